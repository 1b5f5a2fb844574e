# The paper's figures, the checks of the specimens, and the report.


rule state_checks:
    """Whether a specimen is in the state that it is taken for."""
    input:
        files_of("state_checks"),
    output:
        paths.pattern("state_checks"),
    log:
        paths.log(paths.pattern("state_checks")),
    benchmark:
        paths.benchmark(paths.pattern("state_checks"))
    conda:
        "../../envs/specimens.yaml"
    resources:
        **asks("state_checks"),
    params:
        protocol=settings_of("state_checks"),
        root=root,
    shell:
        "python -m persistem state-checks {output:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule diagram_3d:
    """The 3D persistence diagram of a specimen's slab."""
    input:
        input_of("diagrams_3d", "specimens"),
    output:
        diagram=paths.pattern("diagrams_3d"),
        pairs=paths.beside("diagrams_3d", "{specimen}.parquet"),
    log:
        paths.log(paths.pattern("diagrams_3d")),
    benchmark:
        paths.benchmark(paths.pattern("diagrams_3d"))
    conda:
        "../../envs/topology.yaml"
    resources:
        **asks("diagrams_3d"),
    params:
        protocol=protocol("diagrams_3d"),
    shell:
        "python -m persistem diagram-3d {input:q} {output.diagram:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule optimal_volumes:
    """The optimal volumes behind a region of the 3D diagrams."""
    input:
        files_of("optimal_volumes"),
    output:
        paths.pattern("optimal_volumes"),
    log:
        paths.log(paths.pattern("optimal_volumes")),
    benchmark:
        paths.benchmark(paths.pattern("optimal_volumes"))
    conda:
        "../../envs/topology.yaml"
    resources:
        **asks("optimal_volumes"),
    params:
        protocol=settings_of("optimal_volumes"),
        root=root,
    shell:
        "python -m persistem optimal-volumes {output:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule weights:
    """What a classifier of all crops learned, on the plane of birth and death."""
    input:
        files_of("weights"),
    output:
        paths.pattern("weights"),
    log:
        paths.log(paths.pattern("weights")),
    benchmark:
        paths.benchmark(paths.pattern("weights"))
    conda:
        "../../envs/learning.yaml"
    resources:
        **asks("weights"),
    params:
        protocol=settings_of("weights"),
        root=root,
    shell:
        "python -m persistem weights {output:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule inverse:
    """The regions of one crop that the pairs of its diagram stand for."""
    input:
        files_of("inverse"),
    output:
        paths.pattern("inverse"),
    log:
        paths.log(paths.pattern("inverse")),
    benchmark:
        paths.benchmark(paths.pattern("inverse"))
    conda:
        "../../envs/topology.yaml"
    resources:
        **asks("inverse"),
    params:
        protocol=settings_of("inverse"),
        root=root,
    shell:
        "python -m persistem inverse {output:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule figure:
    """One of the paper's figures."""
    input:
        files_of("figures"),
    output:
        multiext(paths.pattern("figures").removesuffix(".json"), *paths.FIGURE_SUFFIXES),
    log:
        paths.log(paths.pattern("figures")),
    benchmark:
        paths.benchmark(paths.pattern("figures"))
    conda:
        "../../envs/figures.yaml"
    resources:
        **asks("figures"),
    params:
        protocol=settings_of("figures"),
        root=root,
        folder=lambda wildcards, output: str(Path(output[0]).parent),
    shell:
        "python -m persistem figure {wildcards.figure} {params.folder:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule report_page:
    """Everything on one page."""
    input:
        files_of("report"),
    output:
        page=paths.pattern("report"),
        tables=[paths.beside("report", table) for table in paths.REPORT_TABLES],
    log:
        paths.log(paths.pattern("report")),
    conda:
        "../../envs/figures.yaml"
    resources:
        **asks("report"),
    params:
        protocol=settings_of("report"),
        root=root,
    shell:
        "python -m persistem report {output.page:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"
