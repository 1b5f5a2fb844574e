"""How far atoms move between two states of a trajectory, and whether they are in the order of a crystal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.specimens.simulation import positions_of, quoted, start_lammps

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: A bond is shorter than this multiple of the distance of the nearest neighbours, the most frequent one.
BOND = 1.25


def displacement(before: Path, after: Path) -> float:
    """The root mean square distance (Å) that atoms moved between two restart files, less that of their mean.

    In fractions of the cell, which may have changed, times the later cell.
    """
    (first, _), (last, cell) = (_unwrapped(path) for path in (before, after))
    moved = (last - first) @ cell
    moved -= moved.mean(axis=0)
    return float(np.sqrt((moved**2).sum(axis=1).mean()))


def _unwrapped(restart: Path) -> tuple[Array, Array]:
    """Positions of the atoms of a restart file in fractions of its cell, counted on across its faces, and the cell."""
    lmp = start_lammps(screen=False)
    lmp.command(f"read_restart {quoted(restart)}")
    positions, cell = positions_of(lmp)
    image = np.array(lmp.gather_atoms("image", 0, 3)).reshape(-1, 3)
    lmp.close()
    return positions @ np.linalg.inv(cell) + image, cell


def order(atoms: Atoms) -> float:
    """Steinhardt's Q6 of all bonds of a periodic cell: how alike their directions are, whatever the crystal.

    Q6² = 4π/13 Σ_m |<Y_6m>|², the mean over bonds (Steinhardt, Nelson & Ronchetti, Phys. Rev. B 28 (1983) 784). Of
    bonds in random directions it is the inverse root of their number.
    """
    from scipy.special import sph_harm_y

    vectors = bonds(atoms)
    if not len(vectors):
        return 0.0
    theta = np.arccos(np.clip(vectors[:, 2] / np.linalg.norm(vectors, axis=1), -1, 1))
    phi = np.arctan2(vectors[:, 1], vectors[:, 0])
    means: list[Any] = [sph_harm_y(6, m, theta, phi).mean() for m in range(-6, 7)]
    return float(np.sqrt(4 * np.pi / 13 * np.sum(np.abs(means) ** 2)))


def bonds(atoms: Atoms) -> Array:
    """Vectors (bonds, 3) from every atom to its nearest neighbours, Å; both ways."""
    from ase.neighborlist import neighbor_list

    # each atom has a neighbour within twice the distance of atoms that fill the cell evenly
    i, distance = neighbor_list("id", atoms, 2 * (atoms.get_volume() / len(atoms)) ** (1 / 3))
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i, distance)
    found: Array = neighbor_list("D", atoms, BOND * float(np.median(nearest)))
    return found
