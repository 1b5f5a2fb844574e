"""The slab of a specimen that the beam goes through: its grid, its box, and the atoms in it."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from persistem.errors import PersistemError

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Imaging

EDGE = 1e-6  # Å; an atom on a face of the box belongs to the lower one, whatever the rounding


class Grid(NamedTuple):
    """The simulated grid: the micrograph and its margin, at the micrograph's sampling."""

    pixels: int
    margin: int  # pixels on each side
    sampling: float  # Å

    @property
    def width(self) -> float:
        """Side of the simulated field, Å."""
        return self.pixels * self.sampling


def grid(imaging: Imaging) -> Grid:
    """The simulated grid; the margin is rounded down to whole pixels (6.25 Å in the paper's study: 128 of 1280)."""
    sampling = imaging.field / imaging.pixels
    margin = math.floor(imaging.margin / sampling + EDGE)
    return Grid(imaging.pixels + 2 * margin, margin, sampling)


def repeats(cell: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """The shortest lattice vector by which an atom inside a box could appear in it twice, or None.

    Parameters
    ----------
    cell
        Cell vectors as rows, shape (3, 3), Å.
    box
        Sides of an orthorhombic box, shape (3,), Å.

    Returns
    -------
    ndarray or None
        The shortest t ≠ 0 of the lattice with |t_i| < box_i for every i, shape (3,).
    """
    vectors = _overlaps(np.asarray(cell, float), np.asarray(box, float))
    return vectors[np.argmin((vectors**2).sum(axis=1))] if len(vectors) else None


def check_fits(cell: np.ndarray, imaging: Imaging, where: str = "the specimen") -> None:
    """Raise PersistemError if atoms of a periodic cell (rows, Å) would appear twice in the simulated slab."""
    width, thickness = grid(imaging).width, imaging.thickness
    cell = np.asarray(cell, float)
    if abs(np.linalg.det(cell)) < EDGE:
        raise PersistemError(f"{where}: no three-dimensional cell, but specimens are periodic; give it one")
    overlaps = np.abs(_overlaps(cell, np.array([width, width, thickness])))
    if not len(overlaps):
        return
    widest, thickest = overlaps[:, :2].max(axis=1).min(), overlaps[:, 2].min()
    remedies = []
    if widest > 2 * imaging.margin + EDGE:
        most = _floor(widest - 2 * imaging.margin)
        remedies.append(f"imaging.field at most {most:.2f} Å at this imaging.thickness and imaging.margin")
    if thickest > EDGE:
        remedies.append(f"imaging.thickness at most {_floor(thickest):.2f} Å at this imaging.field and imaging.margin")
    raise PersistemError(
        f"{where}: atoms would appear twice in a slab of {width:g} x {width:g} x {thickness:g} Å (imaging.field"
        f" {imaging.field:g} Å with imaging.margin {imaging.margin:g} Å on each side, imaging.thickness"
        f" {thickness:g} Å); allowed: {', or '.join([*remedies, 'a larger specimen'])}"
    )


def cut(atoms: Atoms, box: np.ndarray) -> Atoms:
    """The atoms of a periodically tiled cell inside a box (3,), Å, centred on the cell's centre.

    The result has the box as its cell and its origin at the box's lower corner. Axes keep their directions.
    """
    from ase import Atoms

    cell = atoms.cell.array
    corner = cell.sum(axis=0) / 2 - box / 2
    corners = (corner + np.array(list(itertools.product((0, 1), repeat=3))) * box) @ np.linalg.inv(cell)
    scaled = atoms.positions @ np.linalg.inv(cell)
    first = np.floor(corners.min(axis=0) - scaled.max(axis=0)).astype(int)
    last = np.ceil(corners.max(axis=0) - scaled.min(axis=0)).astype(int)
    numbers, positions = [atoms.numbers[:0]], [np.empty((0, 3))]
    for image in itertools.product(*(range(a, b + 1) for a, b in zip(first, last, strict=True))):
        moved = atoms.positions + (np.array(image) @ cell - corner)
        inside = ((moved >= -EDGE) & (moved < box - EDGE)).all(axis=1)
        numbers.append(atoms.numbers[inside])
        positions.append(np.maximum(moved[inside], 0.0))
    return Atoms(np.concatenate(numbers), np.concatenate(positions), cell=box, pbc=(True, True, False))


def _overlaps(cell: np.ndarray, box: np.ndarray) -> np.ndarray:
    """One of each pair ±t of lattice vectors with |t_i| < box_i, shape (n, 3); a box of exactly a period has none."""
    reach = np.floor(box @ np.abs(np.linalg.inv(cell))).astype(int)
    # if the box holds very many cells, near neighbours say enough
    near = _overlaps_within(cell, box, np.minimum(reach, 16))
    return near if len(near) or reach.max() <= 16 else _overlaps_within(cell, box, reach)


def _overlaps_within(cell: np.ndarray, box: np.ndarray, reach: np.ndarray) -> np.ndarray:
    j, k = (axis.ravel() for axis in np.mgrid[-reach[1] : reach[1] + 1, -reach[2] : reach[2] + 1])
    plane = j[:, None] * cell[1] + k[:, None] * cell[2]
    half = (j > 0) | ((j == 0) & (k > 0))
    overlaps = [np.empty((0, 3))]
    for i in range(reach[0] + 1):
        vectors = i * cell[0] + (plane if i else plane[half])
        overlaps.append(vectors[(np.abs(vectors) < box - EDGE).all(axis=1)])
    return np.concatenate(overlaps)


def _floor(length: float) -> float:
    return math.floor(length * 100 + EDGE) / 100
