"""Settings of the 3D diagrams and the figures."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from persistem.study.fields import OURS, Flag, Name, Real, Section, Whole, assumed, given

Interval = tuple[Real, Real]


class Diagrams3D(Section):
    """3D persistence diagrams of the specimens: weighted alpha filtration of the slab that is imaged."""

    periodic: Flag = given(
        False,
        "surround the slab by the atoms that the periodic cell continues with: no surface, as in an infinite specimen",
        source="paper: the cube has a surface",
    )


class Figures(Section):
    """What the figures show."""

    temperatures: tuple[Annotated[Whole, Field(ge=1, le=99999)], ...] = given(
        (1000, 4000, 6000), "temperatures in figure 1, of those that are simulated", unit="K", min_length=1
    )
    cube: Real = given(20.0, "side of the central cube whose atoms are drawn", unit="Å", gt=0)
    region: tuple[Interval, Interval] | None = assumed(
        None,
        "births and deaths of the pairs of figure 2; null: around the peak of the first state's diagram",
        unit="Å²",
        reason="the paper's red arrow is in a picture",
    )
    volumes: Whole = assumed(
        12, "most optimal volumes drawn in one specimen", reason="more hide each other", ge=1, le=500
    )
    recipe: Name | None = given(None, "recipe of figures 4 to 8; null: the first", source=OURS)
    defocus: Real = given(
        0.0, "defocus of the micrographs shown: the nearest of imaging.defoci", unit="Å", source="paper: just-focused"
    )
    crop: Annotated[Whole, Field(ge=0)] | None = assumed(
        None, "crop shown, from 0; null: the one nearest the centre", reason="not stated"
    )

    @field_validator("region")
    @classmethod
    def _ordered(cls, value: tuple[Interval, Interval] | None) -> tuple[Interval, Interval] | None:
        if value is not None and any(low >= high for low, high in value):
            raise ValueError("births and deaths are each given as [low, high] with low < high")
        return value
