# Specimens by molecular dynamics with LAMMPS.


rule heating:
    """The crystal, held at a temperature; the specimens without RT treatment."""
    output:
        structure=paths.pattern("specimens"),
        summary=paths.beside("specimens", "summary.json"),
        thermo=paths.beside("specimens", "thermo.csv"),
        restart=paths.beside("specimens", "end.restart"),
    log:
        paths.log(paths.pattern("specimens")),
    benchmark:
        paths.benchmark(paths.pattern("specimens"))
    wildcard_constraints:
        specimen=r"T\d+-rt0-s\d+",
    conda:
        "../../envs/specimens.yaml"
    threads: ranks("specimens")
    resources:
        **asks("specimens"),
        mpi="mpiexec",
        tasks=ranks("specimens"),
        cpus_per_task=1,
    params:
        protocol=protocol("specimens"),
        temperature=lambda wildcards: plan_of("specimens", wildcards)
        .specimens[wildcards.specimen]
        .temperature,
        seed=lambda wildcards: plan_of("specimens", wildcards)
        .specimens[wildcards.specimen]
        .seed,
        folder=lambda wildcards, output: str(Path(output.structure).parent),
    shell:
        "{resources.mpi} -n {resources.tasks} python -m persistem.specimens.parallel heat {params.folder:q}"
        " --temperature {params.temperature} --seed {params.seed} --protocol {params.protocol:q} > {log:q} 2>&1"


rule rt_treatment:
    """A heated specimen, continued at room temperature; the specimens with RT treatment."""
    input:
        restart=hot_restart,
    output:
        structure=paths.pattern("specimens"),
        summary=paths.beside("specimens", "summary.json"),
        thermo=paths.beside("specimens", "thermo.csv"),
        restart=paths.beside("specimens", "end.restart"),
    log:
        paths.log(paths.pattern("specimens")),
    benchmark:
        paths.benchmark(paths.pattern("specimens"))
    wildcard_constraints:
        specimen=r"T\d+-rt1-s\d+",
    conda:
        "../../envs/specimens.yaml"
    threads: ranks("specimens")
    resources:
        **asks("specimens"),
        mpi="mpiexec",
        tasks=ranks("specimens"),
        cpus_per_task=1,
    params:
        protocol=protocol("specimens"),
        seed=lambda wildcards: plan_of("specimens", wildcards)
        .specimens[wildcards.specimen]
        .seed,
        folder=lambda wildcards, output: str(Path(output.structure).parent),
    shell:
        "{resources.mpi} -n {resources.tasks} python -m persistem.specimens.parallel treat {input.restart:q} {params.folder:q}"
        " --seed {params.seed} --protocol {params.protocol:q} > {log:q} 2>&1"
