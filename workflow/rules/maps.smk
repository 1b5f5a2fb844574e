# Maps of a microscopist's own micrographs: which state is where.


rule map_micrograph:
    """The map of one micrograph, or of each of its frames, whose number is not known before the file is read.

    Windows slide over it; the model gives each the probabilities of the states, or abstains.
    """
    input:
        # their contents are in the digest; when they were saved says nothing
        micrograph=ancient(lambda w: jobs.as_inputs(PLAN.maps.files[w.micrograph])),
        bundle=ancient(jobs.as_inputs(*PLAN.maps.bundle)),
    output:
        directory(paths.pattern("maps")),
    log:
        paths.log(paths.pattern("maps")),
    benchmark:
        paths.benchmark(paths.pattern("maps"))
    conda:
        "../../envs/maps.yaml"
    threads: 2
    resources:
        **asks("maps"),
    params:
        protocol=partial(settings, "maps"),
        micrograph=lambda w: PLAN.maps.files[w.micrograph],
        model=lambda w, input: str(Path([*input.bundle, *PLAN.maps.bundle][0]).parent),
    shell:
        "python -m persistem map-micrograph {params.micrograph:q} {output:q} --model {params.model:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule publish_map:
    """One map where people open it: each by itself, so that a micrograph that cannot be mapped holds up no other."""
    input:
        lambda w: PLAN.maps.folders[w.micrograph],
    output:
        directory(paths.map_folder(PLAN.study.name, "{micrograph}")),
    log:
        f"{paths.RESULTS}/logs/publish_map/{PLAN.study.name}/{{micrograph}}.log",
    conda:
        "../../envs/learning.yaml"
    resources:
        **COPYING,
    shell:
        "python -m persistem publish-map {input:q} {output:q} > {log:q} 2>&1"
