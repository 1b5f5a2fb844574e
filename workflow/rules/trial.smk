# Composites, specimens of two states whose regions are known, and what a model's maps of them are worth.

from persistem.plan.trial import pictures


rule melt:
    """A crystal of which a part is melted and quenched beside the rest, by molecular dynamics (LAMMPS)."""
    output:
        structure=paths.pattern("melts"),
        summary=paths.beside("melts", "summary.json"),
    log:
        paths.log(paths.pattern("melts")),
    benchmark:
        paths.benchmark(paths.pattern("melts"))
    wildcard_constraints:
        specimen=r"melt-s\d+",
    priority: 1  # the longest jobs: what needs them waits, and small jobs must not hold them up
    conda:
        "../../envs/specimens.yaml"
    threads: partial(ranks, "melts")
    resources:
        **asks("melts"),
        mpi="mpiexec",
        tasks=partial(ranks, "melts"),
        cpus_per_task=1,
    params:
        protocol=partial(settings, "melts"),
        seed=lambda wildcards: int(wildcards.specimen.rpartition("s")[2]),
        folder=folder,
    shell:
        "{resources.mpi} -n {resources.tasks} python -m persistem.specimens.parallel melt {params.folder:q}"
        " --seed {params.seed} --protocol {params.protocol:q} > {log:q} 2>&1"


rule composite:
    """Two states beside each other in a field of several windows, or a crystal that no model knows."""
    input:
        partial(sources, "composites"),
    output:
        structure=paths.pattern("composites"),
        summary=paths.beside("composites", "summary.json"),
    log:
        paths.log(paths.pattern("composites")),
    conda:
        "../../envs/imaging.yaml"
    resources:
        **asks("composites"),
    params:
        protocol=partial(settings_file, "composites"),
        root=root,
        folder=folder,
    shell:
        "python -m persistem composite {params.folder:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule trial:
    """What the maps of one model are worth: their overlap with the known regions, the error of the boundary, calibration."""
    input:
        partial(sources, "truth"),
    output:
        scores=paths.pattern("truth"),
        maps=paths.beside("truth", "truth.npz"),
    log:
        paths.log(paths.pattern("truth")),
    benchmark:
        paths.benchmark(paths.pattern("truth"))
    conda:
        "../../envs/evaluation.yaml"
    threads: 2
    resources:
        **asks("truth"),
    params:
        protocol=partial(settings_file, "truth"),
        root=root,
    shell:
        "python -m persistem trial {output.scores:q} --root {params.root:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule overview_page:
    """What the study found: maps beside the truth, how well states are told apart, what ran; a page and a few lines."""
    input:
        partial(sources, "overview"),
    output:
        page=paths.pattern("overview"),
        text=paths.beside("overview", paths.SUMMARY),
    log:
        paths.log(paths.pattern("overview")),
    conda:
        "../../envs/figures.yaml"
    resources:
        **asks("overview"),
    params:
        protocol=partial(settings_file, "overview"),
        root=root,
    shell:
        "python -m persistem overview {output.page:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule publish_overview:
    """What the study found, where people open it."""
    input:
        partial(target, "truth", list(PLAN.overview_files())),
    output:
        page=report(
            paths.overview(PLAN.study.name),
            caption="../report/overview.rst",
            category="Overview",
        ),
        text=paths.summary(PLAN.study.name),
    log:
        f"{paths.RESULTS}/logs/publish_overview/{PLAN.study.name}.log",
    conda:
        "../../envs/learning.yaml"
    resources:
        **COPYING,
    params:
        study=study,
        root=root,
    shell:
        "python -m persistem publish-overview {params.study:q} --root {params.root:q} > {log:q} 2>&1"


rule publish_trial:
    """The figure of the composites, where people open it."""
    input:
        partial(target, "truth", list(pictures(PLAN))),
    output:
        paths.study_file(PLAN.study.name, "truth/composites.json"),
    log:
        f"{paths.RESULTS}/logs/publish_trial/{PLAN.study.name}.log",
    conda:
        "../../envs/learning.yaml"
    resources:
        **COPYING,
    params:
        study=study,
        root=root,
    shell:
        "python -m persistem publish-trial {params.study:q} --root {params.root:q} > {log:q} 2>&1"
