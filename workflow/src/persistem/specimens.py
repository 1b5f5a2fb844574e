"""Which specimens a study has, and which states they are examples of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from persistem import paths

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


def specimens_of(study: Study) -> list[Specimen]:
    """Every specimen of the study, in the order of the study."""
    if study.structures:
        return [Specimen(paths.structure_id(s.state, s.seed), s.seed, s.state, structure=s) for s in study.structures]
    label = {(state.temperature, state.rt): name for name, state in study.states.items()}
    return [
        Specimen(paths.specimen_id(t, rt, seed), seed, label.get((t, rt)), t, rt)
        for series in study.md.series
        for t in series.temperatures
        for seed in series.seeds
        for rt in series.rt
    ]


def states_of(study: Study) -> list[str]:
    """The classes in the order of their labels."""
    if study.structures:
        return list(dict.fromkeys(s.state for s in study.structures))
    return list(study.states)
