# A model of the states that people labelled on their own micrographs.


rule description:
    """The description of one labelled micrograph; its labels have no part in it."""
    input:
        # its content is in the digest; when it was saved says nothing
        ancient(lambda w: jobs.as_inputs(PLAN.labelled.files[w.micrograph])),
    output:
        paths.pattern("descriptions"),
    log:
        paths.log(paths.pattern("descriptions")),
    benchmark:
        paths.benchmark(paths.pattern("descriptions"))
    conda:
        "../../envs/maps.yaml"
    threads: 2
    resources:
        **asks("descriptions"),
    params:
        protocol=partial(settings, "descriptions"),
        micrograph=lambda w: PLAN.labelled.files[w.micrograph],
    shell:
        "python -m persistem description {params.micrograph:q} {output:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule fitting:
    """The bundle of the model, from descriptions and labels."""
    input:
        partial(sources, "fitted"),
    output:
        [paths.beside("fitted", name) for name in BUNDLE],
    log:
        paths.log(paths.pattern("fitted")),
    benchmark:
        paths.benchmark(paths.pattern("fitted"))
    conda:
        "../../envs/maps.yaml"
    threads: 2
    resources:
        **asks("fitted"),
    params:
        protocol=partial(settings_file, "fitted"),
        root=root,
        folder=folder,
    shell:
        "python -m persistem fit {params.folder:q} --root {params.root:q} --jobs {threads}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule unseen:
    """What maps of labelled micrographs that the model has not seen are worth, and what decides."""
    input:
        partial(sources, "unseen"),
    output:
        page=paths.beside("unseen", paths.UNSEEN[0]),
        numbers=paths.beside("unseen", paths.UNSEEN[1]),
    log:
        paths.log(paths.pattern("unseen")),
    benchmark:
        paths.benchmark(paths.pattern("unseen"))
    conda:
        "../../envs/maps.yaml"
    resources:
        **asks("unseen"),
    params:
        protocol=partial(settings_file, "unseen"),
        root=root,
    shell:
        "python -m persistem unseen {output.page:q} --root {params.root:q}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


rule publish_unseen:
    """The page on micrographs that the model has not seen, where people open it."""
    input:
        PLAN.unseen_files().keys(),
    output:
        [
            report(
                paths.study_file(PLAN.study.name, name),
                caption="../report/unseen.rst",
                category="Model",
            )
            for name in paths.UNSEEN
        ],
    log:
        f"{paths.RESULTS}/logs/publish_unseen/{PLAN.study.name}.log",
    conda:
        "../../envs/learning.yaml"
    resources:
        **COPYING,
    params:
        study=study,
        root=root,
    shell:
        "python -m persistem publish-unseen {params.study:q} --root {params.root:q} > {log:q} 2>&1"
