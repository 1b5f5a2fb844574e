"""Settings of the composites: specimens of two states side by side whose regions are known, to try a model on."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from persistem.study.fields import OURS, Flag, Name, Real, Section, Whole, assumed, given
from persistem.study.imaging import named
from persistem.study.specimens import Crystal

Seed = Annotated[Whole, Field(ge=1, le=9999)]


class Splice(Section):
    """Two states beside each other, spliced from end states: they need not be able to coexist."""

    name: Name = given(..., "what it is called", source=OURS)
    states: tuple[Name, Name] = given(..., "the state on the left and on the right", source=OURS)
    seeds: tuple[Seed, ...] = given(
        ..., "seeds of both states, whose specimens do not train", source=OURS, min_length=1
    )
    amplitude: Real = assumed(
        0.0, "of the boundary's waves about the middle", unit="Å", reason="a straight boundary", ge=0
    )
    period: Real = assumed(75.0, "of the boundary's waves", unit="Å", reason="two in a field", gt=0)
    vacuum: tuple[Real, Real] | None = given(None, "first and last row of a strip without atoms", unit="Å", source=OURS)
    chooses: Flag = given(False, "the window is chosen by it, so it is not what is reported", source=OURS)


class Melt(Section):
    """Two states beside each other by molecular dynamics: a crystal of which a part is melted and quenched."""

    name: Name = given(..., "what it is called", source=OURS)
    states: tuple[Name, Name] = given(..., "the state of the part that stays, and of the part that melts", source=OURS)
    seeds: tuple[Seed, ...] = given(
        ..., "seeds, an independent trajectory each, in bands one below the other", source=OURS, min_length=1
    )
    temperature: Whole = given(6000, "of the part that melts, for md.steps steps", unit="K", ge=1, le=99999)
    density: Real = assumed(
        3.53,
        "of the melt while it is held at the temperature; it then contracts",
        unit="g/cm³",
        reason="without pressure it boils",
        gt=0,
    )
    repetitions: tuple[Whole, Whole, Whole] = assumed(
        (41, 15, 10),
        "repetitions of the rectangular cell",
        reason="131 x 83 x 52 Å of GaN, which becomes 155 Å long; two fill a field",
    )
    share: Real = assumed(0.366, "of the crystal that melts", reason="15 of 41 cells, which become as wide", gt=0, lt=1)


class Stranger(Section):
    """A crystal of a material that no model was trained on."""

    name: Name = given(..., "what it is called", source=OURS)
    crystal: Crystal = Field(..., description="its unit cell, seen along z; stated as a whole")


class Trial(Section):
    """What the maps of the study's model are worth where the truth is known."""

    field: Real = assumed(150.0, "side of the field of view", unit="Å", reason="several windows on each side", gt=0)
    defocus: Annotated[Real, AfterValidator(named)] = assumed(0.0, "defocus", unit="Å", reason="in focus")
    dose: Real = assumed(400.0, "electron dose", unit="e/Å²", reason="what a material stands", gt=0)
    splices: tuple[Splice, ...] = given((), "composites of end states", source=OURS)
    melts: tuple[Melt, ...] = given((), "composites by molecular dynamics", source=OURS)
    strangers: tuple[Stranger, ...] = given((), "materials never trained", source=OURS)
    sizes: tuple[Annotated[Real, Field(gt=0)], ...] = given(
        (), "sides of windows to compare, beside model.windows.size", unit="Å", source=OURS
    )

    @model_validator(mode="after")
    def _names(self) -> Trial:
        names = [composite.name for kind in (self.splices, self.melts, self.strangers) for composite in kind]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is the name of two composites; each needs its own")
        if not self.splices and not self.melts:
            raise ValueError("needs a composite: one of splices or melts")
        return self
