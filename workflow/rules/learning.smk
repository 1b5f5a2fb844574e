# Learning: classification with scikit-learn, the paper's random split beside leave-one-seed-out.


rule learning:
    """The accuracy table of one recipe."""
    input:
        lambda wildcards: PLAN.images(wildcards.digest),
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
        protocol=protocol("learning"),
        root=lambda wildcards, output: str(Path(output[0]).parents[3]),
    shell:
        "python -m persistem learn {output:q} --root {params.root:q} --protocol {params.protocol:q} > {log:q} 2>&1"
