# Exit waves: multislice with abTEM.


rule exit_wave:
    """The electron wave behind a specimen; every defocus is imaged from it."""
    input:
        input_of("exit_waves", "specimens", "prepared", "composites"),
    output:
        directory(paths.pattern("exit_waves")),
    log:
        paths.log(paths.pattern("exit_waves")),
    benchmark:
        paths.benchmark(paths.pattern("exit_waves"))
    conda:
        "../../envs/imaging.yaml"
    resources:
        **asks("exit_waves"),
    params:
        protocol=protocol("exit_waves"),
        device=PLAN.study.run.device,
    shell:
        "python -m persistem exit-wave {input:q} {output:q} --device {params.device}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"
