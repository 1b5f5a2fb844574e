"""What a job reads and is told, by the digest and the names in the path of its result."""

from __future__ import annotations

from pathlib import Path

from persistem.plan.plan import Plan
from persistem.store import paths
from persistem.study.members import Specimen


def source(plan: Plan, stage: str, digest: str) -> str:
    """The file that a job reads; its wildcards other than the digest stay open."""
    before = plan.input_digest(stage, digest)
    made_by = next(name for name, steps in plan.steps.items() if before in steps)
    return paths.pattern(made_by).replace("{digest}", before)


def specimen(plan: Plan, stage: str, digest: str, name: str) -> Specimen:
    """The specimen of a job, from the study or a variant of it."""
    return plan.plan_of(name, stage, digest).specimens[name]


def hot_restart(plan: Plan, digest: str, name: str) -> str:
    """The end of the heating that an RT treatment continues from."""
    hot = plan.input_digest("specimens", digest)
    return paths.beside("specimens", "end.restart").format(digest=hot, specimen=paths.untreated_id(name))


def followed_restart(plan: Plan, digest: str, name: str) -> list[str]:
    """The end of the step before, that a step of a schedule goes on from; none of the first."""
    inputs = plan.inputs("specimens", digest)
    if not inputs:
        return []
    schedule = plan.plan_of(name, "specimens", digest).study.md.schedule
    assert schedule is not None
    steps = [step.name for step in schedule.steps]
    step, _, seed = name.rpartition("-s")
    before = paths.structure_id(steps[steps.index(step) - 1], int(seed))
    return [paths.beside("specimens", "end.restart").format(digest=inputs[0], specimen=before)]


def steps_of(plan: Plan) -> str:
    """A regular expression for the specimens of the schedules of a study and its variants; without any, for none."""
    names = {step.name for one in plan.plans if one.study.md.schedule for step in one.study.md.schedule.steps}
    return rf"({'|'.join(sorted(names))})-s\d+" if names else "(?!)"


def members(plan: Plan, digest: str, name: str) -> list[str]:
    """What a preparation starts from: a specimen's restart file, or the structures of a stack's members."""
    own = plan.plan_of(name, "prepared", digest)
    file = "structure.extxyz" if is_stack(plan, digest) else "end.restart"
    return [
        paths.beside("specimens", file).format(digest=own.digest("specimens", member.name), specimen=member.name)
        for member in own.members[name]
    ]


def is_stack(plan: Plan, digest: str) -> bool:
    """Whether a preparation is a stack, which one process cuts out."""
    method: str = plan.settings("prepared", digest)["preparation"]["method"]
    return method == "stack"


def ranks(plan: Plan, stage: str, digest: str) -> int:
    """The MPI ranks of a job; a trajectory depends on their number."""
    if stage == "prepared" and is_stack(plan, digest):
        return 1
    number: int = plan.settings(stage, digest)["md"]["ranks"]
    return number


def held_at(plan: Plan, digest: str, name: str) -> str:
    """The options for the temperature (K) and the thermostat that hold a specimen."""
    own = plan.plan_of(name, "prepared", digest)
    held = own.specimens[name]
    if held.structure:
        return ""
    return f"--temperature {own.study.md.rt.temperature} --treated" if held.rt else f"--temperature {held.temperature}"


def micrographs(plan: Plan, stage: str, digest: str, name: str) -> list[str]:
    """The micrographs of a specimen that a job reads, in the order of the defoci."""
    pattern = source(plan, stage, digest)
    defoci = plan.settings(stage, digest)["defoci"]
    return [pattern.format(specimen=name, defocus=paths.defocus_id(defocus)) for defocus in defoci]


def batches(plan: Plan, digest: str, name: str, defocus: str, size: int) -> list[str]:
    """The files with the diagrams of a micrograph, ``size`` crops in each; a variant may have other crops."""
    count = plan.crops_of[digest]
    pattern = paths.crop_batch()
    return [
        pattern.format(digest=digest, specimen=name, defocus=defocus, first=first, last=min(first + size, count))
        for first in range(0, count, size)
    ]


def own_structure(plan: Plan, digest: str) -> list[str]:
    """The user's file behind a specimen, as input; absolute, because a Snakemake module's prefix must not move it."""
    return as_inputs(str(Path(plan.settings("specimens", digest)["path"]).absolute()))


def as_inputs(*files: str) -> list[str]:
    """A user's files as Snakemake can be told of them: it takes ``{name}`` for a wildcard, and nothing can quote that.

    A job that is not told of a file runs all the same: the study's check looks for the file, and its content is in the
    digest.
    """
    return [file for file in files if "{" not in file]


def defoci(plan: Plan) -> dict[str, float]:
    """Every defocus (Å) of the study, its variants and its trial, by its name in paths."""
    return plan.trial.defoci | {name: value for each in plan.plans for name, value in each.defoci.items()}
