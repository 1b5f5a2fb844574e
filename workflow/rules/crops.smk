# Crops: conversion to 8 bit and cutting, with OpenCV.


rule crops:
    """The small images of one micrograph: its intensity as 8-bit grey levels (CLAHE, a window, standardised), cut."""
    input:
        partial(source, "crops"),
    output:
        paths.pattern("crops"),
    log:
        paths.log(paths.pattern("crops")),
    conda:
        "../../envs/topology.yaml"
    resources:
        **asks("crops"),
    params:
        protocol=partial(settings, "crops"),
    shell:
        "python -m persistem crops {input:q} {output:q} --protocol {params.protocol:q} > {log:q} 2>&1"
