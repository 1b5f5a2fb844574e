"""The specimens of a study, and their states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from persistem.store import paths

if TYPE_CHECKING:
    from persistem.study import Structure, Study


@dataclass(frozen=True)
class Specimen:
    """One MD end state, or one of the user's own structures."""

    name: str
    seed: int
    state: str | None
    temperature: int | None = None
    rt: bool = False
    structure: Structure | None = None
    #: The step of ``md.schedule`` at whose end it is.
    step: str | None = None


def specimens_of(study: Study) -> list[Specimen]:
    """Every specimen of the study, in the order of the study; none if it learns from labelled micrographs."""
    if study.labelled_alone:
        return []
    if study.structures:
        return [Specimen(paths.structure_id(s.state, s.seed), s.seed, s.state, structure=s) for s in study.structures]
    if study.md.schedule is not None:
        state_of = {state.after: name for name, state in study.states.items()}
        return [
            Specimen(paths.structure_id(step.name, seed), seed, state_of.get(step.name), step=step.name)
            for step in study.md.schedule.steps
            for seed in study.md.schedule.seeds
        ]
    label = {(state.temperature, state.rt): name for name, state in study.states.items()}
    return [
        Specimen(paths.specimen_id(t, rt, seed), seed, label.get((t, rt)), t, rt)
        for series in study.md.series
        for t in series.temperatures
        for seed in series.seeds
        for rt in series.rt
    ]


def groups_of(study: Study) -> dict[str, tuple[Specimen, ...]]:
    """What is imaged, by name: each specimen by itself, or each stack, which has the name of its first specimen.

    Stacks take specimens of the same kind in the order of their seeds; those that do not fill a stack are left out.
    """
    specimens = specimens_of(study)
    if study.preparation.method != "stack":
        return {s.name: (s,) for s in specimens}
    count = study.preparation.count
    alike: dict[tuple[object, ...], list[Specimen]] = {}
    for specimen in sorted(specimens, key=lambda s: s.seed):
        alike.setdefault((specimen.state, specimen.temperature, specimen.rt, specimen.step), []).append(specimen)
    groups = {
        kind[k].name: tuple(kind[k : k + count])
        for kind in alike.values()
        for k in range(0, len(kind) - count + 1, count)
    }
    return {s.name: groups[s.name] for s in specimens if s.name in groups}


def states_of(study: Study) -> list[str]:
    """The classes in the order of their labels; none if they are those of labelled micrographs."""
    if study.labelled_alone:
        return []
    if study.structures:
        return list(dict.fromkeys(s.state for s in study.structures))
    return list(study.states)


def target_of(study: Study, specimen: Specimen) -> float | None:
    """The temperature (K) that a simulated specimen is to have at its end."""
    if specimen.step is not None and study.md.schedule is not None:
        return study.md.schedule.named(specimen.step).temperature
    return study.md.rt.temperature if specimen.rt else specimen.temperature
