# What of a specimen is imaged, where it is not its end state: minimised, continued, or stacked.


rule preparation:
    """The inherent structure of a specimen, snapshots of its trajectory, or a stack of several specimens."""
    input:
        members,
    output:
        structure=paths.pattern("prepared"),
        summary=paths.beside("prepared", "summary.json"),
    log:
        paths.log(paths.pattern("prepared")),
    benchmark:
        paths.benchmark(paths.pattern("prepared"))
    conda:
        "../../envs/specimens.yaml"
    threads: ranks("prepared")
    resources:
        **asks("prepared"),
        mpi="mpiexec",
        tasks=ranks("prepared"),
        cpus_per_task=1,
    params:
        protocol=protocol("prepared"),
        held=held_at,
        folder=lambda wildcards, output: str(Path(output.structure).parent),
    shell:
        "{resources.mpi} -n {resources.tasks} python -m persistem.specimens.parallel preparation {input:q} --out {params.folder:q}"
        " {params.held} --protocol {params.protocol:q} > {log:q} 2>&1"
