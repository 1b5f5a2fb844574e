# A model of the states for the study's microscope, which maps a microscopist's own micrographs.

from persistem.model.bundle import FILES as BUNDLE


rule varied_micrographs:
    """One exit wave through many lenses and detectors, drawn from the ranges of model.conditions."""
    input:
        partial(source, "varied"),
    output:
        paths.pattern("varied"),
    log:
        paths.log(paths.pattern("varied")),
    conda:
        "../../envs/imaging.yaml"
    resources:
        **asks("varied"),
    params:
        protocol=partial(settings_file, "varied"),
        device=PLAN.study.run.device,
    shell:
        "python -m persistem varied {input:q} {output:q} --device {params.device}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule training:
    """The bundle of the model: boosted trees of the windows of every micrograph at every dose and thickness.

    Its probabilities are calibrated, and its limits of abstention set, on MD seeds left out of the training.
    """
    input:
        partial(sources, "models"),
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
        protocol=partial(settings_file, "models"),
        root=root,
        folder=folder,
    shell:
        "python -m persistem model {params.folder:q} --root {params.root:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule publish_model:
    """The bundle of the model, where people open it."""
    input:
        partial(target, "model", PLAN.model.files),
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
        **COPYING,
    params:
        study=study,
        root=root,
    shell:
        "python -m persistem publish-model {params.study:q} --root {params.root:q} > {log:q} 2>&1"
