# The paper's figures, the checks of the specimens, and the report.


rule state_checks:
    """Whether a specimen is in the state that it is taken for: g(r), displacements, contacts, drift at the end."""
    input:
        partial(sources, "state_checks"),
    output:
        paths.pattern("state_checks"),
    log:
        paths.log(paths.pattern("state_checks")),
    conda:
        "../../envs/specimens.yaml"
    resources:
        **asks("state_checks"),
    params:
        protocol=partial(settings_file, "state_checks"),
        root=root,
    shell:
        "python -m persistem state-checks {output:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule diagram_3d:
    """The 3D persistence diagram of a specimen's slab: balls grow about its atoms (weighted alpha filtration, HomCloud)."""
    input:
        partial(source, "diagrams_3d"),
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
        protocol=partial(settings, "diagrams_3d"),
    shell:
        "python -m persistem diagram-3d {input:q} {output.diagram:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule optimal_volumes:
    """The smallest sets of simplices that fill the rings behind a region of the 3D diagrams, and how many pairs it has."""
    input:
        partial(sources, "optimal_volumes"),
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
        protocol=partial(settings_file, "optimal_volumes"),
        root=root,
    shell:
        "python -m persistem optimal-volumes {output:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule weights:
    """What a classifier of all crops learned: its weights, and the pattern that goes with them, on birth and death."""
    input:
        partial(sources, "weights"),
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
        protocol=partial(settings_file, "weights"),
        root=root,
    shell:
        "python -m persistem weights {output:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule inverse:
    """The region of a crop that each pair of its diagram stands for (inverse analysis)."""
    input:
        partial(sources, "inverse"),
    output:
        paths.pattern("inverse"),
    log:
        paths.log(paths.pattern("inverse")),
    conda:
        "../../envs/topology.yaml"
    resources:
        **asks("inverse"),
    params:
        protocol=partial(settings_file, "inverse"),
        root=root,
    shell:
        "python -m persistem inverse {output:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule figure:
    """One figure as PNG, PDF, and its caption and numbers as JSON."""
    input:
        partial(sources, "figures"),
    output:
        multiext(
            paths.pattern("figures").removesuffix(".json"),
            **{suffix[1:]: suffix for suffix in paths.FIGURE_SUFFIXES},
        ),
    log:
        paths.log(paths.pattern("figures")),
    conda:
        "../../envs/figures.yaml"
    resources:
        **asks("figures"),
    params:
        protocol=partial(settings_file, "figures"),
        root=root,
    shell:
        "python -m persistem figure {output.json:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule report_page:
    """The paper's numbers and claims beside the study's, every figure, and the specimens' state on one page."""
    input:
        partial(sources, "report"),
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
        protocol=partial(settings_file, "report"),
        root=root,
    shell:
        "python -m persistem report {output.page:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"
