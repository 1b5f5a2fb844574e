# Persistence diagrams with HomCloud: all crops of a micrograph in one job, or in batches that are joined.

MOST_CROPS = max(plan.crops_per_micrograph for plan in PLAN.plans)
BATCH = PLAN.study.run.crops_per_job or MOST_CROPS
WHOLE = BATCH >= MOST_CROPS
BATCH_FILE = paths.pattern("diagrams") if WHOLE else paths.crop_batch()


rule crop_diagrams:
    """The persistence diagrams of a micrograph's crops, or of some of them where run.crops_per_job says so.

    Islands and rings are born and die as pixels are added from bright to dark, or from dark to bright (HomCloud).
    """
    input:
        partial(source, "diagrams"),
    output:
        BATCH_FILE if WHOLE else temp(BATCH_FILE),
    log:
        paths.log(BATCH_FILE),
    conda:
        "../../envs/topology.yaml"
    resources:
        **asks("diagrams"),
    params:
        protocol=partial(settings, "diagrams"),
        range="" if WHOLE else "--first {first} --last {last}",
    shell:
        "python -m persistem diagrams {input:q} {output:q} {params.range}"
        " --protocol {params.protocol:q} > {log:q} 2>&1"


if not WHOLE:

    rule join_diagrams:
        """The diagrams of a micrograph from those of its batches; the same bytes as from one job."""
        input:
            lambda w: jobs.batches(PLAN, w.digest, w.specimen, w.defocus, BATCH),
        output:
            paths.pattern("diagrams"),
        log:
            paths.log(paths.pattern("diagrams")),
        conda:
            "../../envs/topology.yaml"
        resources:
            **asks("diagrams"),
        shell:
            "python -m persistem join-diagrams {input:q} --out {output:q} > {log:q} 2>&1"
