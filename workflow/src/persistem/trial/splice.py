"""A field of two states that cannot coexist, put together from the end states of several specimens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens.slabs import cut, grid, repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from persistem.specimens.layout import Halves
    from persistem.study import Imaging

#: Bump when this stage's results change for the same study.
VERSION = 1

SEAM = 1.5  # Å; if two atoms of different tiles are closer than this, one is left out
FINE = 0.25  # Å; grid on which the extent of a state is found


def splice(specimens: Sequence[Sequence[Atoms]], halves: Halves, imaging: Imaging) -> Atoms:
    """A slab of (field + 2 margin)² x thickness that has state 0 and state 1 where ``halves`` has them.

    The region of a state is a mosaic of as few rectangles as its specimens can fill without an atom twice. Each is cut
    around the centre of another specimen. Two atoms nearer than ``SEAM``, of different tiles or across the edges of the
    field (periodic, as its exit wave is), cannot both stay: the one of the later tile or state is left out.

    Parameters
    ----------
    specimens
        end states of state 0 and of state 1, periodic in all directions; no more are used than needed
    halves
        which state is where
    imaging
        of the field, see ``trial.imaging.enlarged``

    Returns
    -------
    Atoms
        with the field as its cell, ready for the exit wave, and the arrays ``state`` and ``specimen`` (the index in the
        list of that state); ``info`` has the number of atoms ``dropped``.

    Raises
    ------
    PersistemError
        if a state has too few specimens, too small ones, or no place.
    """
    from ase import Atoms

    points = grid(imaging)
    lead = points.margin * points.sampling
    spliced = Atoms(cell=[points.width, points.width, imaging.thickness], pbc=(True, True, False))
    for state, of_state in enumerate(specimens):
        for k, (low, high) in enumerate(_tiles(halves, state, of_state, imaging)):
            tile = cut(of_state[k], np.array([*(high - low), imaging.thickness]))
            tile.positions[:, :2] += low
            here = halves.state(*(tile.positions[:, :2] - lead).T) == state
            tile.set_array("state", np.full(len(tile), state))
            tile.set_array("specimen", np.full(len(tile), k))
            spliced += tile[here]
    late = crowded(spliced, _origin(spliced))
    del spliced[late]
    spliced.info["dropped"] = len(late)
    return spliced


def stacked(melts: Sequence[Atoms], imaging: Imaging) -> Atoms:
    """A slab of (field + 2 margin)² x thickness of half-melted specimens, in bands along x one below the other.

    Each band is cut around the centre of its specimen, where its states meet; crowded atoms are left out as in
    ``splice``. Raises PersistemError if a band would hold an atom twice.
    """
    from ase import Atoms

    width = grid(imaging).width
    band = np.array([width, width / len(melts), imaging.thickness])
    whole = Atoms(cell=[width, width, imaging.thickness], pbc=(True, True, False))
    for k, melt in enumerate(melts):
        if repeats(melt.cell.array, band) is not None:
            sides, cell = (" x ".join(f"{side:.4g}" for side in lengths) for lengths in (band, melt.cell.lengths()))
            raise PersistemError(
                f"half-melted specimen {k + 1} of {len(melts)}: its {cell} Å cannot fill a band of {sides} Å without an"
                " atom twice; allowed: more seeds, more repetitions, or a smaller field"
            )
        tile = cut(melt, band)
        tile.positions[:, 1] += k * band[1]
        tile.set_array("state", np.zeros(len(tile), int))
        tile.set_array("specimen", np.full(len(tile), k))
        whole += tile
    late = crowded(whole, _origin(whole))
    del whole[late]
    whole.info["dropped"] = len(late)
    return whole


def _tiles(
    halves: Halves, state: int, specimens: Sequence[Atoms], imaging: Imaging
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Lower and upper corners (x, y), Å, of the fewest rectangles over a state's region; raises as ``splice``."""
    points = grid(imaging)
    low, high = _extent(halves, state, points.width, points.margin * points.sampling)
    for count in range(1, len(specimens) + 1):
        shapes = [(nx, count // nx) for nx in range(1, count + 1) if count % nx == 0]
        for shape in sorted(shapes, key=lambda n: abs(math.log((high - low)[0] * n[1] / ((high - low)[1] * n[0])))):
            size = (high - low) / shape
            box = np.array([*size, imaging.thickness])
            if all(repeats(specimen.cell.array, box) is None for specimen in specimens[:count]):
                corners = [low + size * (i, j) for j in range(shape[1]) for i in range(shape[0])]
                return [(corner, corner + size) for corner in corners]
    wide, tall = high - low
    raise PersistemError(
        f"state {state}: {len(specimens)} specimens cannot fill its {wide:.4g} x {tall:.4g} x {imaging.thickness:g} Å"
        " without an atom twice; allowed: more specimens, larger ones, or a smaller imaging.field or imaging.thickness"
    )


def _extent(halves: Halves, state: int, width: float, lead: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lower and upper corner (x, y), Å, of the rectangle around a state in the field with its margin."""
    count = math.ceil(width / FINE)
    centres = (np.arange(count) + 0.5) * width / count
    here = halves.state((centres - lead)[None, :], (centres - lead)[:, None]) == state
    if not here.any():
        raise PersistemError(f"state {state}: has no place in a field of {width:g} Å with its margin")
    occupied = [np.flatnonzero(here.any(axis=axis)) for axis in (0, 1)]
    # one step more on each side: the boundary runs between the points
    low = np.array([max(places[0] - 1, 0) for places in occupied])
    high = np.array([min(places[-1] + 2, count) for places in occupied])
    return low * width / count, high * width / count


def _origin(atoms: Atoms) -> NDArray[np.int_]:
    """The number of each atom's tile, by its state and specimen."""
    return np.asarray(atoms.arrays["state"] * len(atoms) + atoms.arrays["specimen"])


def crowded(atoms: Atoms, tile: NDArray[np.int_], distance: float = SEAM) -> list[int]:
    """Atoms nearer than ``distance`` to an earlier one, of another tile (atoms,) or across the edges of the field."""
    from scipy.spatial import cKDTree

    width = atoms.cell.lengths()[0]
    tree = cKDTree(np.mod(atoms.positions, [width, width, np.inf]), boxsize=[width, width, 0])
    pairs = tree.query_pairs(distance, output_type="ndarray")
    earlier, later = pairs.T
    across = (np.abs(atoms.positions[earlier, :2] - atoms.positions[later, :2]) > width / 2).any(axis=1)
    seams = pairs[across | (tile[earlier] != tile[later])]
    late: set[int] = set()
    for earlier, later in seams[np.argsort(seams[:, 1], kind="stable")].tolist():
        if earlier not in late:
            late.add(later)
    return sorted(late)
