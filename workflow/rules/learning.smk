# Learning: classification with scikit-learn, the paper's random split beside leave-one-seed-out.


rule learning:
    """The accuracy table of one recipe."""
    input:
        files_of("learning"),
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
        protocol=settings_of("learning"),
        root=root,
    shell:
        "python -m persistem learning {output:q} --root {params.root:q} --protocol {params.protocol:q} > {log:q} 2>&1"
