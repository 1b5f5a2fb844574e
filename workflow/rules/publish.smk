# What people open: results/<study>/.

FIGURES = {name: figure(name) for name in PLAN.report.figures}


rule publish:
    """The study's tables, its settings and the index from names to digests."""
    input:
        learning=PLAN.files("learning"),
        summaries=partial(
            target,
            "specimens",
            [PLAN.summary(specimen) for specimen in PLAN.specimens],
        ),
    output:
        accuracy=report(
            paths.accuracy(PLAN.study.name),
            caption="../report/accuracy.rst",
            category="Accuracy",
        ),
        specimens=report(
            paths.specimens(PLAN.study.name),
            caption="../report/specimens.rst",
            category="Specimens",
        ),
        index=paths.index(PLAN.study.name),
    log:
        f"{paths.RESULTS}/logs/publish/{PLAN.study.name}.log",
    conda:
        "../../envs/learning.yaml"
    resources:
        **COPYING,
    params:
        study=study,
        root=root,
    shell:
        "python -m persistem publish {params.study:q} --root {params.root:q} > {log:q} 2>&1"


rule publish_report:
    """The report and the figures, where people open them."""
    input:
        partial(target, "report", list(PLAN.report_files())),
    output:
        page=report(
            paths.report(PLAN.study.name),
            caption="../report/report.rst",
            category="Report",
        ),
        tables=[
            report(
                paths.study_file(PLAN.study.name, f"tables/{table}"),
                caption=f"../report/{Path(table).stem}.rst",
                category="Beside the paper",
            )
            for table in paths.REPORT_TABLES
        ],
        pictures=[
            report(
                paths.study_file(PLAN.study.name, f"figures/{name}.png"),
                caption="../report/figures.rst",
                category="Figures",
                labels={"figure": name, "shows": module.TITLE},
            )
            for name, module in FIGURES.items()
        ],
        files=[
            paths.study_file(PLAN.study.name, f"figures/{name}{suffix}")
            for name in FIGURES
            for suffix in paths.FIGURE_SUFFIXES
            if suffix != ".png"
        ],
    log:
        f"{paths.RESULTS}/logs/publish_report/{PLAN.study.name}.log",
    conda:
        "../../envs/learning.yaml"
    resources:
        **COPYING,
    params:
        study=study,
        root=root,
        about={name: module.ABOUT for name, module in FIGURES.items()},
    shell:
        "python -m persistem publish-report {params.study:q} --root {params.root:q} > {log:q} 2>&1"
