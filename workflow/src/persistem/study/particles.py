"""Settings of particles on a support: composites whose regions are known, which a model learns from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from persistem.study.fields import OURS, Name, Real, Section, Whole, assumed, given
from persistem.study.specimens import Crystal

Positive = Annotated[Real, Field(gt=0)]
#: Circles that do not touch cover hardly more; and a field that is mostly vacuum teaches little.
MOST = 0.6
Share = Annotated[Real, Field(ge=0, le=1)]


class Particles(Section):
    """Crystalline particles on a film, which the study's specimens are, and vacuum beside it.

    What is a range is drawn for every composite, or every particle, by itself.
    """

    crystals: tuple[Crystal, ...] = given(
        ..., "unit cells that the particles are of, each in an orientation of its own", source=OURS, min_length=1
    )
    state: Name = given("particle", "what they are called; the film is called as its specimens are", source=OURS)
    number: Whole = assumed(4, "composites of every specimen", reason="tens of particles a specimen", ge=1, le=1000)
    diameter: tuple[Positive, Positive] = assumed(
        (15.0, 60.0), "diameter, drawn evenly in its logarithm", unit="Å", reason="catalysts' particles"
    )
    coverage: tuple[Share, Share] = assumed(
        (0.15, 0.45), "share of the film that lies under particles", reason="film and particles train alike"
    )
    film: tuple[Positive, Positive] = assumed(
        (25.0, 50.0), "thickness of the film", unit="Å", reason="thin carbon supports"
    )
    vacuum: tuple[Share, Share] = assumed(
        (0.15, 0.35), "share of the field without film; its edge is a wave", reason="a window or two of vacuum"
    )
    displacement: Real = assumed(
        0.08,
        "displacement of the crystals' atoms by heat, root mean square along each axis",
        unit="Å",
        reason="platinum at room temperature",
        ge=0,
        le=1,
    )
    microscopes: tuple[dict[str, Any], ...] = given(
        (), "settings of imaging that differ, for one composite after another; none: the study's own", source=OURS
    )
    seed: Whole = assumed(0, "seed of what is drawn", reason="arbitrary", ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Particles:
        for name in ("diameter", "coverage", "film", "vacuum"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} = [{low:g}, {high:g}]: the lower end of the range comes first")
        for name in ("coverage", "vacuum"):
            high = getattr(self, name)[1]
            if high > MOST:
                raise ValueError(
                    f"{name} = {list(getattr(self, name))}: at most {MOST:g}, so that there is a film to see"
                )
        return self
