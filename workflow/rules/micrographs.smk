# Micrographs: the lens, at every defocus, with abTEM.


rule micrograph:
    """One specimen at one defocus, as a calibrated 16-bit TIFF."""
    input:
        input_of("micrographs", "exit_waves"),
    output:
        paths.pattern("micrographs"),
    log:
        paths.log(paths.pattern("micrographs")),
    benchmark:
        paths.benchmark(paths.pattern("micrographs"))
    conda:
        "../../envs/imaging.yaml"
    resources:
        **asks("micrographs"),
    params:
        protocol=protocol("micrographs"),
        defocus=lambda wildcards: DEFOCI[wildcards.defocus],
        device=PLAN.study.run.device,
    shell:
        "python -m persistem micrograph {input:q} {output:q} --defocus={params.defocus} --device {params.device}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"
