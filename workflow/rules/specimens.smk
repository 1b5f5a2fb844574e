# Specimens by molecular dynamics with LAMMPS.


rule heating:
    """The crystal, held at a temperature: velocities drawn from a Gaussian, thermostat and barostat (LAMMPS).

    Its end state is a specimen without RT treatment.
    """
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
    priority: 1  # the longest jobs: what needs them waits, and small jobs must not hold them up
    conda:
        "../../envs/specimens.yaml"
    threads: partial(ranks, "specimens")
    resources:
        **asks("specimens"),
        mpi="mpiexec",
        tasks=partial(ranks, "specimens"),
        cpus_per_task=1,
    params:
        protocol=partial(settings, "specimens"),
        temperature=partial(of_specimen, "temperature", "specimens"),
        seed=partial(of_specimen, "seed", "specimens"),
        folder=folder,
    shell:
        "{resources.mpi} -n {resources.tasks} python -m persistem.specimens.parallel heat {params.folder:q}"
        " --temperature {params.temperature} --seed {params.seed} --protocol {params.protocol:q} > {log:q} 2>&1"


rule rt_treatment:
    """A heated specimen, continued at room temperature: it is quenched at once, and relaxes."""
    input:
        restart=lambda w: jobs.hot_restart(PLAN, w.digest, w.specimen),
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
    priority: 1  # the longest jobs: what needs them waits, and small jobs must not hold them up
    conda:
        "../../envs/specimens.yaml"
    threads: partial(ranks, "specimens")
    resources:
        **asks("specimens"),
        mpi="mpiexec",
        tasks=partial(ranks, "specimens"),
        cpus_per_task=1,
    params:
        protocol=partial(settings, "specimens"),
        seed=partial(of_specimen, "seed", "specimens"),
        folder=folder,
    shell:
        "{resources.mpi} -n {resources.tasks} python -m persistem.specimens.parallel treat {input.restart:q} {params.folder:q}"
        " --seed {params.seed} --protocol {params.protocol:q} > {log:q} 2>&1"


rule scheduled:
    """A step of a schedule: held, heated or cooled, compressed; it goes on from the end of the one before (LAMMPS)."""
    input:
        lambda w: jobs.followed_restart(PLAN, w.digest, w.specimen),
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
        specimen=jobs.steps_of(PLAN),
    priority: 1  # the longest jobs: what needs them waits, and small jobs must not hold them up
    conda:
        "../../envs/specimens.yaml"
    threads: partial(ranks, "specimens")
    resources:
        **asks("specimens"),
        mpi="mpiexec",
        tasks=partial(ranks, "specimens"),
        cpus_per_task=1,
    params:
        protocol=partial(settings, "specimens"),
        seed=lambda wildcards: int(wildcards.specimen.rpartition("-s")[2]),
        restart=lambda wildcards, input: f"--restart '{input[0]}'" if input else "",
        folder=folder,
    shell:
        "{resources.mpi} -n {resources.tasks} python -m persistem.specimens.parallel follow {params.folder:q}"
        " --seed {params.seed} {params.restart} --protocol {params.protocol:q} > {log:q} 2>&1"
