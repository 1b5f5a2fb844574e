# Learning: classification with scikit-learn, the paper's random split beside leave-one-seed-out.


rule learning:
    """The accuracy of linear classifiers on crops that they have not seen, of one recipe.

    By the paper's random split of the crops of one seed, and with one MD seed left out at a time.
    """
    input:
        partial(sources, "learning"),
    output:
        paths.pattern("learning"),
    log:
        paths.log(paths.pattern("learning")),
    benchmark:
        paths.benchmark(paths.pattern("learning"))
    conda:
        "../../envs/learning.yaml"
    resources:
        **asks("learning"),
    params:
        protocol=partial(settings_file, "learning"),
        root=root,
    shell:
        "python -m persistem learning {output:q} --root {params.root:q} --protocol {params.protocol:q} > {log:q} 2>&1"
