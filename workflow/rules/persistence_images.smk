# Persistence images with HomCloud's vectorizer.


rule persistence_image:
    """The feature vectors of every crop of one micrograph."""
    input:
        input_of("persistence_images", "diagrams"),
    output:
        paths.pattern("persistence_images"),
    log:
        paths.log(paths.pattern("persistence_images")),
    benchmark:
        paths.benchmark(paths.pattern("persistence_images"))
    conda:
        "../../envs/topology.yaml"
    resources:
        **asks("persistence_images"),
    params:
        protocol=protocol("persistence_images"),
    shell:
        "python -m persistem persistence-images {input:q} {output:q} --protocol {params.protocol:q} > {log:q} 2>&1"
