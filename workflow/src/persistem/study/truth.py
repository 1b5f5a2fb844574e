"""Settings of the composites: specimens of two states side by side whose regions are known, to try a model on."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, field_validator, model_validator

from persistem.study.fields import OURS, Flag, Name, Real, Section, Whole, assumed, given, once
from persistem.study.imaging import Stretch, named
from persistem.study.specimens import Crystal

Seed = Annotated[Whole, Field(ge=1, le=9999)]
Positive = Annotated[Real, Field(gt=0)]
#: Simpler measures that a model is compared with, the weakest last.
Baseline = Literal["plain measures", "low-passed SD", "texture", "local spectrum", "local SD"]
BASELINES: tuple[str, ...] = get_args(Baseline)


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
    """Matter that no model was trained on, or a state in a condition that none was: a crystal, or made by MD."""

    name: Name = given(..., "what it is called", source=OURS)
    state: Name | None = given(
        None, "the state of the study that it is, so that being called that is right", source=OURS
    )
    crystal: Crystal | None = Field(None, description="unit cell of a crystal that fills the field; stated as a whole")
    along: tuple[Whole, Whole, Whole] = given(
        (0, 0, 1),
        "direction of the beam through the crystal, in the vectors of its cell as ASE builds it; where those are 120°"
        " apart, [1, 1, 0] is the same axis as [1, 0, 0], and [1, 2, 0] is at right angles to it",
        source=OURS,
    )
    strain: tuple[Stretch, Stretch] = given((0.0, 0.0), "strain of the crystal along x and y", source=OURS)
    displacement: Real = given(
        0.0, "displacement of its atoms by heat, root mean square along each axis", unit="Å", source=OURS, ge=0, le=1
    )
    settings: dict[str, Any] | None = given(
        None,
        "instead of a crystal: dotted keys of the study and the values that differ, whose md.series makes one specimen",
        source=OURS,
    )

    @model_validator(mode="after")
    def _made(self) -> Stranger:
        if (self.crystal is None) == (self.settings is None):
            raise ValueError(f"{self.name!r}: needs either crystal or settings")
        if self.along == (0, 0, 0):
            raise ValueError(f"{self.name!r}: along = [0, 0, 0] is no direction")
        return self


class Trial(Section):
    """What the maps of the study's model are worth where the truth is known."""

    field: Real = assumed(150.0, "side of the field of view", unit="Å", reason="several windows on each side", gt=0)
    defoci: tuple[Annotated[Real, AfterValidator(named)], ...] = assumed(
        (0.0,), "defoci; the first is drawn, and compares windows", unit="Å", reason="in focus", min_length=1
    )
    doses: tuple[Positive, ...] = assumed(
        (400.0,), "electron doses, each at each defocus", unit="e/Å²", reason="what a material stands", min_length=1
    )
    baselines: tuple[Baseline, ...] = given(
        BASELINES,
        "simpler measures to compare with, from the seeds that the model is trained on; `low-passed SD` is told defocus"
        " and dose",
        source=OURS,
    )
    splices: tuple[Splice, ...] = given((), "composites of end states", source=OURS)
    melts: tuple[Melt, ...] = given((), "composites by molecular dynamics", source=OURS)
    strangers: tuple[Stranger, ...] = given((), "matter and conditions never trained", source=OURS)
    sizes: tuple[Positive, ...] = given(
        (), "sides of windows to compare, beside model.windows.size", unit="Å", source=OURS
    )

    _once = field_validator("defoci", "doses", "baselines")(once("value"))

    @model_validator(mode="after")
    def _names(self) -> Trial:
        names = [composite.name for kind in (self.splices, self.melts, self.strangers) for composite in kind]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is the name of two composites; each needs its own")
        if not self.splices and not self.melts:
            raise ValueError("needs a composite: one of splices or melts")
        return self
