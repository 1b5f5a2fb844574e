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
        runtime=10,
    params:
        study=PLAN.study.model_dump_json(exclude_unset=True),
        root=lambda wildcards, output: str(Path(output.index).parents[2]),
    shell:
        "python -m persistem publish {params.study:q} --root {params.root:q} > {log:q} 2>&1"
