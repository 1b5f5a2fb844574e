"""How far atoms move between two states of a trajectory, and whether they are in the order of a crystal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.specimens.simulation import positions_of, quoted, start_lammps
from persistem.specimens.structures import heights

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Bonds = tuple[NDArray[np.int_], Array]

#: A bond is shorter than this multiple of the distance of the nearest neighbours, the most frequent one.
BOND = 1.25
#: Atoms of a block that is judged by itself; and its Q6 from which on it is in order: blocks of glasses and liquids of
#: GaN have 0.05 to 0.18, of crystals 0.4 to 0.6.
BLOCK, ORDERED = 64, 0.2


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


def order(atoms: Atoms, known: Bonds | None = None) -> float:
    """Steinhardt's Q6 of all bonds of a periodic cell: how alike their directions are, whatever the crystal.

    Q6² = 4π/13 Σ_m |<Y_6m>|², the mean over bonds (Steinhardt, Nelson & Ronchetti, Phys. Rev. B 28 (1983) 784). Of
    bonds in random directions it is the inverse root of their number. ``known`` are the bonds, if they are.
    """
    _, vectors = known or bonds(atoms)
    return float(_steinhardt(vectors, np.zeros(len(vectors), int), 1)[0])


def crystalline(atoms: Atoms, known: Bonds | None = None) -> float:
    """The share of a periodic cell that is in order, in blocks of BLOCK atoms or more, each judged by its own bonds.

    Grains of different directions, whose bonds together have no order, are so many blocks with order. ``known``
    are the bonds, if they are.
    """
    count = np.maximum(
        1, (heights(atoms.cell.array) / (BLOCK * atoms.get_volume() / len(atoms)) ** (1 / 3)).astype(int)
    )
    place = np.minimum((atoms.get_scaled_positions(wrap=True) * count).astype(int), count - 1)
    owner, vectors = known or bonds(atoms)
    number = int(count.prod())
    block = np.ravel_multi_index(tuple(place.T), tuple(count))[owner]
    return float(np.mean(_steinhardt(vectors, block, number) >= ORDERED))


def _steinhardt(vectors: Array, group: NDArray[np.int_], number: int) -> Array:
    """Q6 of the bonds of each group, (number,); 0 of a group without any."""
    from scipy.special import sph_harm_y

    length = np.linalg.norm(vectors, axis=1)
    theta, phi = np.arccos(np.clip(vectors[:, 2] / length, -1, 1)), np.arctan2(vectors[:, 1], vectors[:, 0])
    count = np.maximum(np.bincount(group, minlength=number), 1)
    squares = np.zeros(number)
    for m in range(-6, 7):
        harmonic: Any = sph_harm_y(6, m, theta, phi)
        for part in (harmonic.real, harmonic.imag):
            squares += (np.bincount(group, part, minlength=number) / count) ** 2
    return np.asarray(np.sqrt(4 * np.pi / 13 * squares))


def bonds(atoms: Atoms) -> Bonds:
    """The atom (bonds,) of every bond, and the vector (bonds, 3) to its nearest neighbour, Å; both ways."""
    from ase.neighborlist import neighbor_list

    # each atom has a neighbour within twice the distance of atoms that fill the cell evenly
    i, distance = neighbor_list("id", atoms, 2 * (atoms.get_volume() / len(atoms)) ** (1 / 3))
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i, distance)
    owner, vectors = neighbor_list("iD", atoms, BOND * float(np.median(nearest)))
    return owner, vectors
