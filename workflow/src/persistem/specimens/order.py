"""How far atoms move between two states of a trajectory, and whether they are in the order of a crystal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.specimens.simulation import quoted, start_lammps

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: A bond is shorter than this multiple of the distance of the nearest neighbours, the most frequent one.
BOND = 1.25
#: Atoms whose bonds are looked at, at most.
MOST = 200_000


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
    low, high, xy, yz, xz, _, _ = lmp.extract_box()
    sides = np.subtract(high, low)
    cell = np.array([[sides[0], 0, 0], [xy, sides[1], 0], [xz, yz, sides[2]]])
    count = lmp.get_natoms()
    x = np.array(lmp.gather_atoms("x", 1, 3)).reshape(count, 3) - low
    image = np.array(lmp.gather_atoms("image", 0, 3)).reshape(count, 3)
    lmp.close()
    return x @ np.linalg.inv(cell) + image, cell


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
    """Vectors (bonds, 3) to the nearest neighbours of atoms, Å; of a large cell those of its first atoms."""
    from ase.geometry import complete_cell
    from scipy.spatial import cKDTree

    cell = complete_cell(atoms.cell.array)
    inverse = np.linalg.inv(cell)
    places = atoms.positions @ inverse % 1.0
    heights = 1 / np.linalg.norm(inverse, axis=0)
    nearest = 2.0 * (abs(np.linalg.det(cell)) / len(atoms)) ** (1 / 3)
    shifts = [np.arange(-int(np.ceil(nearest / h)), int(np.ceil(nearest / h)) + 1) for h in heights]
    images = np.stack(np.meshgrid(*shifts, indexing="ij"), -1).reshape(-1, 3)
    every = (places[None] + images[:, None]).reshape(-1, 3)
    margin = nearest / heights
    every = every[((every > -margin) & (every < 1 + margin)).all(axis=1)] @ cell
    home = (places @ cell)[:MOST]
    tree = cKDTree(every)
    distance, _ = tree.query(home, k=2)
    length = float(np.median(distance[:, 1]))
    pairs = cKDTree(home).query_ball_tree(tree, BOND * length)
    vectors = np.concatenate([every[near] - at for at, near in zip(home, pairs, strict=True)])
    # an atom is no neighbour of itself
    return np.asarray(vectors[(vectors**2).sum(axis=1) > 1e-6])
