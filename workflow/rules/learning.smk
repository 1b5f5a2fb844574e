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
        mem_mb=4000,
        runtime=30,
    params:
        protocol=protocol("learning"),
    shell:
        "python -m persistem learn {output:q} --jobs {threads} --protocol {params.protocol:q} > {log:q} 2>&1"
