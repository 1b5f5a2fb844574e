# What the accuracy means: descriptors, nested cross-validation by seeds, controls, robustness.


rule descriptors:
    """The descriptors of every crop of one specimen, at all defoci and crop sizes."""
    input:
        micrographs_of_descriptors,
    output:
        paths.pattern("descriptors"),
    log:
        paths.log(paths.pattern("descriptors")),
    benchmark:
        paths.benchmark(paths.pattern("descriptors"))
    conda:
        "../../envs/evaluation.yaml"
    resources:
        **asks("descriptors"),
    params:
        protocol=protocol("descriptors"),
    shell:
        "python -m persistem descriptors {input:q} --out {output:q} --protocol {params.protocol:q} > {log:q} 2>&1"


rule evaluate:
    """Leak, baselines, nested cross-validation, learning curves and calibration."""
    input:
        files_of("evaluation"),
    output:
        paths.pattern("evaluation"),
    log:
        paths.log(paths.pattern("evaluation")),
    benchmark:
        paths.benchmark(paths.pattern("evaluation"))
    conda:
        "../../envs/evaluation.yaml"
    threads: 2
    resources:
        **asks("evaluation"),
    params:
        protocol=settings_of("evaluation"),
        root=root,
    shell:
        "python -m persistem evaluation {output:q} --root {params.root:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule controls:
    """The accuracy where a difference between the states is taken away."""
    input:
        files_of("controls"),
    output:
        paths.pattern("controls"),
    log:
        paths.log(paths.pattern("controls")),
    benchmark:
        paths.benchmark(paths.pattern("controls"))
    conda:
        "../../envs/evaluation.yaml"
    threads: 2
    resources:
        **asks("controls"),
    params:
        protocol=settings_of("controls"),
        root=root,
    shell:
        "python -m persistem controls {output:q} --root {params.root:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule sweep:
    """The accuracy along one setting of the microscope, the detector or the crops; from exit waves."""
    input:
        files_of("sweeps"),
    output:
        paths.pattern("sweeps"),
    log:
        paths.log(paths.pattern("sweeps")),
    benchmark:
        paths.benchmark(paths.pattern("sweeps"))
    conda:
        "../../envs/evaluation.yaml"
    resources:
        **asks("sweeps"),
    params:
        protocol=settings_of("sweeps"),
        root=root,
    shell:
        "python -m persistem sweep {output:q} --root {params.root:q} --protocol {params.protocol:q} > {log:q} 2>&1"
