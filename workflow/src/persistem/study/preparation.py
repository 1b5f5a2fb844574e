"""Settings of the preparation: what is imaged of a specimen."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from persistem.study.fields import OURS, Real, Section, Whole, assumed, given


class EndState(Section):
    """The specimen as the molecular dynamics ends, or as the user's own structure has it."""

    method: Literal["none"] = Field("none", description="the end state as it is")


class Inherent(Section):
    """The inherent structure: the atoms without their thermal vibration (Stillinger & Weber 1982)."""

    method: Literal["inherent"] = Field(
        "inherent", description="potential energy minimised at the end state's volume (LAMMPS, FIRE)"
    )
    force: Real = assumed(
        0.01,
        "largest force on an atom at which the minimisation ends",
        unit="eV/Å",
        reason="with 1 eV/Å² and more that hold an atom it is within 0.01 Å of the minimum, a fifth of a pixel",
        gt=0,
        le=1,
    )
    iterations: Whole = assumed(
        50000,
        "most iterations; a minimisation that needs more fails",
        reason="a melt of 576 atoms needs 6,000",
        ge=1,
    )


class Snapshots(Section):
    """Snapshots of the continued trajectory: an exposure averages over the atoms' motion (frozen phonons)."""

    method: Literal["snapshots"] = Field(
        "snapshots", description="mean image over snapshots of the trajectory, continued at the specimen's temperature"
    )
    count: Whole = assumed(
        20,
        "snapshots",
        reason="were they independent, the mean's noise would be a fifth of one snapshot's",
        ge=2,
        le=1000,
    )
    interval: Whole = assumed(
        50, "steps from one snapshot to the next", unit="steps", reason="50 fs, about a period of the Ga-N bond", ge=1
    )


class Stack(Section):
    """Slabs of several specimens of a state one behind the other: thick without repeating a box."""

    method: Literal["stack"] = Field(
        "stack", description="slabs of specimens with successive seeds, one behind the other along the beam"
    )
    count: Whole = given(
        2,
        "specimens in a stack, each imaging.thickness / count thick; seeds that do not fill one are not imaged",
        source=OURS,
        ge=2,
        le=1000,
    )


Preparation = EndState | Inherent | Snapshots | Stack
