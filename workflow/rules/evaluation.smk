# What the accuracy means: descriptors, nested cross-validation by seeds, controls, robustness.


rule descriptors:
    """The descriptors of every crop of one specimen, at all defoci and crop sizes.

    Of persistence diagrams statistics, Betti curves and images; and what they are compared with: contrast, moments,
    histogram, spectrum, texture, and a surrogate with the crop's spectrum and random phases.
    """
    input:
        lambda w: jobs.micrographs(PLAN, "descriptors", w.digest, w.specimen),
    output:
        paths.pattern("descriptors"),
    log:
        paths.log(paths.pattern("descriptors")),
    conda:
        "../../envs/evaluation.yaml"
    resources:
        **asks("descriptors"),
    params:
        protocol=partial(settings, "descriptors"),
    shell:
        "python -m persistem descriptors {input:q} --out {output:q} --protocol {params.protocol:q} > {log:q} 2>&1"


rule specimen_diagrams:
    """The persistence diagrams of the crops of all of a specimen's micrographs, for protocols that share them."""
    input:
        lambda w: jobs.micrographs(PLAN, "specimen_diagrams", w.digest, w.specimen),
    output:
        paths.pattern("specimen_diagrams"),
    log:
        paths.log(paths.pattern("specimen_diagrams")),
    conda:
        "../../envs/topology.yaml"
    resources:
        **asks("specimen_diagrams"),
    params:
        protocol=partial(settings, "specimen_diagrams"),
    shell:
        "python -m persistem specimen-diagrams {input:q} --out {output:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule protocols:
    """The paper's accuracies under every protocol of a design, or under those that a search comes upon."""
    input:
        partial(sources, "protocols"),
    output:
        paths.pattern("protocols"),
    log:
        paths.log(paths.pattern("protocols")),
    benchmark:
        paths.benchmark(paths.pattern("protocols"))
    conda:
        "../../envs/evaluation.yaml"
    threads: 2
    resources:
        **asks("protocols"),
    params:
        protocol=partial(settings_file, "protocols"),
        root=root,
    shell:
        "python -m persistem protocols {output:q} --root {params.root:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule compatibility:
    """Whether the paper's accuracies could be those of a further specimen, under the protocols nearest to them.

    Judged on all seeds, on those that did not choose, and by models that learned from other seeds.
    """
    input:
        partial(sources, "compatibility"),
    output:
        paths.pattern("compatibility"),
    log:
        paths.log(paths.pattern("compatibility")),
    benchmark:
        paths.benchmark(paths.pattern("compatibility"))
    conda:
        "../../envs/evaluation.yaml"
    threads: 2
    resources:
        **asks("compatibility"),
    params:
        protocol=partial(settings_file, "compatibility"),
        root=root,
    shell:
        "python -m persistem compatibility {output:q} --root {params.root:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule evaluate:
    """What the accuracy means: where a random split leaks, baselines, nested cross-validation over MD seeds.

    And a permutation test that swaps the states of whole seeds, learning curves and calibration.
    """
    input:
        partial(sources, "evaluation"),
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
        protocol=partial(settings_file, "evaluation"),
        root=root,
    shell:
        "python -m persistem evaluation {output:q} --root {params.root:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule controls:
    """The accuracy where a difference between the states is taken away: density, vibration, contrast."""
    input:
        partial(sources, "controls"),
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
        protocol=partial(settings_file, "controls"),
        root=root,
    shell:
        "python -m persistem controls {output:q} --root {params.root:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule sweep:
    """The accuracy along one setting of the microscope, the detector or the crops; imaged anew from exit waves.

    With models that know the base condition only, and with models of the condition itself.
    """
    input:
        partial(sources, "sweeps"),
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
        protocol=partial(settings_file, "sweeps"),
        root=root,
    shell:
        "python -m persistem sweep {output:q} --root {params.root:q} --protocol {params.protocol:q} > {log:q} 2>&1"
