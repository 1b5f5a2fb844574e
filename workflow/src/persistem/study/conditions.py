"""Settings of the conditions that training micrographs are taken under, as ranges and lists."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from persistem.study.features import MOST_DOSE
from persistem.study.fields import OURS, Real, Section, Whole, assumed, given

Range = tuple[Real, Real]
Positive = Annotated[Real, Field(gt=0)]
Length = Annotated[Real, Field(ge=0)]
Varied = Literal[
    "thickness", "defocus", "astigmatism", "coma", "energy_spread", "dose", "mtf", "pixel_size", "drift", "contrast"
]


class Conditions(Section):
    """Conditions of micrographs that train; what is neither ranged nor listed is the study's own.

    They are drawn for each seed, the same for all its states, by a scrambled Sobol sequence, which fills the space of
    all ranges evenly (Owen, J. Complexity 14 (1998) 466; ``scipy.stats.qmc``).
    """

    later: ClassVar[tuple[str, ...]] = ("listed",)

    number: Whole = assumed(
        32, "micrographs of every specimen", reason="every range is then seen in 32 places", ge=1, le=4096
    )
    waves: Whole = assumed(
        2,
        "exit waves of every specimen, each with a thickness and a tilt of its own, among which micrographs are shared",
        reason="multislice takes longer than imaging",
        ge=1,
        le=256,
    )
    seed: Whole = assumed(0, "seed of the sequence", reason="arbitrary", ge=0)
    thickness: tuple[Positive, Positive] | None = given(None, "thickness", unit="Å", source=OURS)
    tilt: Annotated[Real, Field(gt=0, le=70)] | None = given(
        None, "largest tilt of the specimen, in any direction", unit="mrad", source=OURS
    )
    defocus: Range | None = given(None, "defocus, as imaging counts it", unit="Å", source=OURS)
    astigmatism: tuple[Length, Length] | None = given(
        None, "two-fold astigmatism A1, in any direction", unit="Å", source=OURS
    )
    coma: tuple[Length, Length] | None = given(None, "axial coma B2, in any direction", unit="Å", source=OURS)
    energy_spread: tuple[Length, Length] | None = given(None, "energy spread, FWHM", unit="eV", source=OURS)
    dose: tuple[Positive, Positive | None] | None = given(
        None,
        "dose, drawn evenly in 1/√dose, to which the noise is proportional; null at the upper end: no noise",
        unit="e/Å²",
        source=OURS,
    )
    mtf: tuple[Positive, Annotated[Real, Field(gt=0, le=1)]] | None = given(
        None, "modulation transfer at the Nyquist frequency of the detector's pixels", source=OURS
    )
    pixel_size: tuple[Positive, Positive] | None = given(
        None, "pixel size of the detector, in whole simulated pixels", unit="Å", source=OURS
    )
    drift: tuple[Length, Length] | None = given(
        None, "standard deviation of the blur by drift, in any direction", unit="Å", source=OURS
    )
    contrast: tuple[Positive, Positive] | None = given(
        None,
        "factor that scales the contrast before electrons are counted (Hÿtch & Stobbs, Ultramicroscopy 53 (1994) 191),"
        " drawn evenly in its logarithm",
        source=OURS,
    )
    listed: dict[Varied, tuple[Real | None, ...]] = given(
        {},
        "conditions that are one of some values, each as often, instead of a range: their names and values, in the"
        " same units; a dose of null: no noise",
        source=OURS,
    )

    def span(self, name: str) -> tuple[float, float] | None:
        """The smallest and the largest value of a condition, of its range or its list; none if it is not varied.

        A dose without noise is infinite, and a tilt is 0 or more.
        """
        ends: Any = self.listed[name] if name in self.listed else getattr(self, name)
        if ends is None or name == "tilt":
            return None if ends is None else (0.0, ends)
        values = [math.inf if value is None else value for value in ends]
        return min(values), max(values)

    def ranges(self) -> dict[str, Any]:
        """What is varied, by name: its smallest and largest value (None: no noise), of ``tilt`` the largest alone."""
        found: dict[str, Any] = {}
        for name in (key for key in type(self).model_fields if key in (*get_args(Varied), "tilt")):
            if (ends := self.span(name)) is not None:
                found[name] = self.tilt if name == "tilt" else [None if end == math.inf else end for end in ends]
        return found

    @model_validator(mode="after")
    def _values(self) -> Conditions:
        for name, values in self.listed.items():
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: has a range and a list; give one of them")
            if not values or len(set(values)) < len(values):
                raise ValueError(f"listed.{name} = {list(values)}: needs one value or more, each once")
            for value in values:
                if value is None and name != "dose":
                    raise ValueError(f"listed.{name} = {list(values)}: null is allowed for a dose alone: no noise")
                if value is not None and value > MOST_DOSE and name == "dose":
                    raise ValueError(
                        f"listed.dose = {list(values)}: at most {MOST_DOSE:g} is counted; null is no noise"
                    )
                if value is not None:
                    type(self)(**{name: (value, value)})
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Conditions:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and value[1] is not None and value[0] > value[1]:
                raise ValueError(f"{name} = {list(value)}: the lower end of the range comes first")
        if self.waves > self.number:
            raise ValueError(f"waves = {self.waves}: at most number = {self.number}, so that each has a micrograph")
        return self
