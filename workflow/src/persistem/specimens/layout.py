"""The layout of a composite: which state is where in its micrograph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens.slabs import grid
from persistem.store import seals
from persistem.store.files import read_json

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from persistem.study import Imaging

#: The value of a mask where there are no atoms.
VACUUM = -1
#: The file beside the structure of a composite.
LAYOUT = "layout.json"


@dataclass(frozen=True)
class Halves:
    """State 0 to the left of a boundary and state 1 to its right, and perhaps a strip of vacuum across both.

    The boundary is x = ``boundary`` + ``amplitude`` sin(2π y / ``period``), the strip ``vacuum[0]`` <= y <
    ``vacuum[1]``. Lengths are in Å; x and y count along columns and rows from the first pixel of the micrograph.
    """

    boundary: float
    amplitude: float = 0.0
    period: float = 50.0
    vacuum: tuple[float, float] | None = None

    def edge(self, y: ArrayLike) -> NDArray[np.float64]:
        """The boundary's x (Å) at each y (Å)."""
        along = np.asarray(y, float)
        return self.boundary + self.amplitude * np.sin(2 * np.pi * along / self.period)

    def state(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.int8]:
        """The state at each point (Å): 0, 1 or ``VACUUM``, in the shape that ``x`` and ``y`` broadcast to."""
        across, along = np.asarray(x, float), np.asarray(y, float)
        right = across >= self.edge(along)
        state = right.astype(np.int8)
        if self.vacuum is not None:
            state[np.broadcast_to((along >= self.vacuum[0]) & (along < self.vacuum[1]), state.shape)] = VACUUM
        return state

    def mask(self, imaging: Imaging) -> NDArray[np.int8]:
        """The state at every pixel of the micrograph, (rows, columns)."""
        points: NDArray[Any] = np.arange(imaging.pixels) * grid(imaging).sampling
        return self.state(points[None, :], points[:, None])


@dataclass(frozen=True)
class Discs:
    """A film to the right of its edge, vacuum to the left, and the discs of particles on the film.

    The edge is as that of ``Halves``; ``discs`` have x, y and radius. Lengths are in Å; x and y count along columns and
    rows from the first pixel of the micrograph.
    """

    boundary: float
    amplitude: float
    period: float
    discs: tuple[tuple[float, ...], ...]

    def edge(self, y: ArrayLike) -> NDArray[np.float64]:
        """The x (Å) of the film's edge at each y (Å)."""
        return Halves(self.boundary, self.amplitude, self.period).edge(y)

    def state(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.int8]:
        """The state at each point (Å): 0 film, 1 particle or ``VACUUM``, in the shape that ``x`` and ``y`` give."""
        across, along = np.asarray(x, float), np.asarray(y, float)
        state = np.where(across >= self.edge(along), 0, VACUUM).astype(np.int8)
        for column, row, radius in self.discs:
            state[np.broadcast_to((across - column) ** 2 + (along - row) ** 2 <= radius**2, state.shape)] = 1
        return state


def read_layout(structure: Path) -> Halves:
    """The layout of the composite with this structure. Raises PersistemError if it cannot be read."""
    layout = _read(structure)
    return Halves(**layout | {"vacuum": tuple(layout["vacuum"]) if layout["vacuum"] else None})


def read_discs(structure: Path) -> Discs:
    """The layout of the composite of particles with this structure. Raises PersistemError if it cannot be read."""
    layout = _read(structure)
    return Discs(**layout | {"discs": tuple(tuple(disc) for disc in layout["discs"])})


def _read(structure: Path) -> dict[str, Any]:
    try:
        layout: dict[str, Any] = read_json(structure.with_name(LAYOUT))
    except PersistemError:
        seals.set_aside(structure)  # one rule makes both files, and runs again if the structure is missing
        raise
    return layout
