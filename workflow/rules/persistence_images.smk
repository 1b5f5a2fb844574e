# Persistence images with HomCloud's vectorizer.


rule persistence_image:
    """The feature vectors of a micrograph's crops: pairs, weighted by lifetime and smoothed, on a mesh of birth and death."""
    input:
        partial(source, "persistence_images"),
    output:
        paths.pattern("persistence_images"),
    log:
        paths.log(paths.pattern("persistence_images")),
    conda:
        "../../envs/topology.yaml"
    resources:
        **asks("persistence_images"),
    params:
        protocol=partial(settings, "persistence_images"),
    shell:
        "python -m persistem persistence-images {input:q} {output:q} --protocol {params.protocol:q} > {log:q} 2>&1"
