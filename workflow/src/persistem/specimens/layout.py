"""Which state is where in a composite, as its micrograph shows it."""

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

#: What a mask holds where there are no atoms.
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
        """Where the boundary is (x, Å) at each y (Å)."""
        along = np.asarray(y, float)
        return self.boundary + self.amplitude * np.sin(2 * np.pi * along / self.period)

    def state(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.int8]:
        """The state at points (Å): 0, 1, or ``VACUUM``; of the shape that ``x`` and ``y`` broadcast to."""
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


def read_layout(structure: Path) -> Halves:
    """Which state is where in the composite with this structure; PersistemError where its layout cannot be read."""
    try:
        found = read_json(structure.with_name(LAYOUT))
    except PersistemError:
        seals.set_aside(structure)  # the rule that makes both is asked for this one
        raise
    return Halves(**found | {"vacuum": tuple(found["vacuum"]) if found["vacuum"] else None})
