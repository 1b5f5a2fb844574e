# What of a specimen is imaged, where it is not its end state: minimised, continued, or stacked.


rule preparation:
    """What of a specimen is imaged, where it is not its end state.

    The inherent structure at the nearest minimum of the energy, snapshots of a continued trajectory, which show its
    vibrations, or slabs of several specimens in a stack.
    """
    input:
        lambda w: jobs.members(PLAN, w.digest, w.specimen),
    output:
        structure=paths.pattern("prepared"),
        summary=paths.beside("prepared", "summary.json"),
    log:
        paths.log(paths.pattern("prepared")),
    benchmark:
        paths.benchmark(paths.pattern("prepared"))
    priority: 1  # the longest jobs: what needs them waits, and small jobs must not hold them up
    conda:
        "../../envs/specimens.yaml"
    threads: partial(ranks, "prepared")
    resources:
        **asks("prepared"),
        mpi="mpiexec",
        tasks=partial(ranks, "prepared"),
        cpus_per_task=1,
    params:
        protocol=partial(settings, "prepared"),
        held=lambda w: jobs.held_at(PLAN, w.digest, w.specimen),
        folder=folder,
    shell:
        "{resources.mpi} -n {resources.tasks} python -m persistem.specimens.parallel preparation {input:q} --out {params.folder:q}"
        " {params.held} --protocol {params.protocol:q} > {log:q} 2>&1"
