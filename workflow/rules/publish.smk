# What people open: results/<study>/.


rule publish:
    """The study's tables, its settings and the index from names to digests."""
    input:
        learning=PLAN.files("learning"),
        summaries=[PLAN.summary(specimen) for specimen in PLAN.specimens],
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
        mem_mb=500,
        disk_mb=100,
        runtime=10,
    params:
        study=PLAN.study.model_dump_json(exclude_unset=True),
        root=lambda wildcards, output: root(wildcards, output),
    shell:
        "python -m persistem publish {params.study:q} --root {params.root:q} > {log:q} 2>&1"


rule publish_report:
    """The report and the figures, where people open them."""
    input:
        PLAN.report_files().keys(),
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
                paths.study_file(PLAN.study.name, f"figures/{figure}.png"),
                caption="../report/figures.rst",
                category="Figures",
                labels={"figure": figure, "shows": title},
            )
            for figure, title in TITLES.items()
        ],
        files=[
            paths.study_file(PLAN.study.name, f"figures/{figure}{suffix}")
            for figure in TITLES
            for suffix in paths.FIGURE_SUFFIXES
            if suffix != ".png"
        ],
    log:
        f"{paths.RESULTS}/logs/publish_report/{PLAN.study.name}.log",
    conda:
        "../../envs/learning.yaml"
    resources:
        mem_mb=500,
        disk_mb=100,
        runtime=10,
    params:
        study=PLAN.study.model_dump_json(exclude_unset=True),
        root=lambda wildcards, output: root(wildcards, output),
        about=ABOUT,
    shell:
        "python -m persistem publish-report {params.study:q} --root {params.root:q} > {log:q} 2>&1"
