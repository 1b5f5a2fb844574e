# Micrographs: the lens, at every defocus, with abTEM.


rule micrograph:
    """One specimen at one defocus: the wave through the lens, with aberrations and partial coherence, as an intensity."""
    input:
        partial(source, "micrographs"),
    output:
        paths.pattern("micrographs"),
    log:
        paths.log(paths.pattern("micrographs")),
    conda:
        "../../envs/imaging.yaml"
    resources:
        **asks("micrographs"),
    params:
        protocol=partial(settings, "micrographs"),
        defocus=lambda wildcards: DEFOCI[wildcards.defocus],
        device=PLAN.study.run.device,
    shell:
        "python -m persistem micrograph {input:q} {output:q} --defocus={params.defocus} --device {params.device}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"
