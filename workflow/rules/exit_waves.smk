# Exit waves: multislice with abTEM.


rule exit_wave:
    """The electron wave behind a specimen: a plane wave, taken through the slices of its potential (multislice, abTEM).

    Every defocus is imaged from it.
    """
    input:
        partial(source, "exit_waves"),
    output:
        directory(paths.pattern("exit_waves")),
    log:
        paths.log(paths.pattern("exit_waves")),
    conda:
        "../../envs/imaging.yaml"
    resources:
        **asks("exit_waves"),
    params:
        protocol=partial(settings, "exit_waves"),
        device=PLAN.study.run.device,
    shell:
        "python -m persistem exit-wave {input:q} {output:q} --device {params.device}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"
