# Specimens from the user's own structures.


rule own_structure:
    """A structure of the user's, brought into the form of a specimen: elements, a periodic cell, density."""
    input:
        # its content is in the digest; when it was saved says nothing
        ancient(lambda w: jobs.own_structure(PLAN, w.digest)),
    output:
        structure=paths.pattern("specimens"),
        summary=paths.beside("specimens", "summary.json"),
    log:
        paths.log(paths.pattern("specimens")),
    benchmark:
        paths.benchmark(paths.pattern("specimens"))
    conda:
        "../../envs/specimens.yaml"
    resources:
        **asks("specimens"),
    params:
        protocol=partial(settings, "specimens"),
        folder=folder,
    shell:
        "python -m persistem structure {params.folder:q} --protocol {params.protocol:q} > {log:q} 2>&1"
