# A model of the states for the study's microscope, which maps a microscopist's own micrographs.

from persistem.model.bundle import FILES as BUNDLE


rule training:
    """The bundle of the model: trained on windows of every micrograph at every dose and thickness."""
    input:
        files_of("models"),
    output:
        [paths.beside("models", name) for name in BUNDLE],
    log:
        paths.log(paths.pattern("models")),
    benchmark:
        paths.benchmark(paths.pattern("models"))
    conda:
        "../../envs/evaluation.yaml"
    threads: 2
    resources:
        **asks("models"),
    params:
        protocol=settings_of("models"),
        root=root,
        folder=lambda wildcards, output: str(Path(output[0]).parent),
    shell:
        "python -m persistem model {params.folder:q} --root {params.root:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule publish_model:
    """The bundle of the model, where people open it."""
    input:
        asked("model", PLAN.model.files),
    output:
        [
            (
                report(
                    paths.model_file(PLAN.study.name, name),
                    caption="../report/model.rst",
                    category="Model",
                )
                if name == "card.md"
                else paths.model_file(PLAN.study.name, name)
            )
            for name in BUNDLE
        ],
    log:
        f"{paths.RESULTS}/logs/publish_model/{PLAN.study.name}.log",
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
        "python -m persistem publish-model {params.study:q} --root {params.root:q} > {log:q} 2>&1"
