"""How well a map agrees with what a composite is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.specimens.layout import VACUUM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from persistem.maps import Map

    Mask = NDArray[np.int8]
    Labels = NDArray[np.integer[Any]]

#: Å; distance of the points on a boundary between which distances are taken, and the most points: on boundaries that
#: are longer than these cover, such as those of a map of noise, they lie further apart.
SPACING, MOST_POINTS = 0.05, 2_000_000


class WindowGrid(NamedTuple):
    """The windows of a map, as ``maps.Map`` has them: shape, and in Å their distance, width and the first's centre.

    Rows and columns are counted from the upper left corner of the micrograph's first pixel.
    """

    shape: tuple[int, int]
    step: float
    size: float
    origin: tuple[float, float]


class Truth(NamedTuple):
    """What windows show: the state at their centres (rows, columns), and whether they show nothing else."""

    state: Mask
    pure: NDArray[np.bool_]


class BoundaryError(NamedTuple):
    """Mean distances between the mapped and the true boundary, Å; None where one of them is not there.

    ``mapped`` from the points of the mapped to the nearest of the true one, ``true`` the other way round: islands of
    a wrong state raise the first, a boundary that the map misses raises the second. ``mean`` of both.
    """

    mean: float
    mapped: float
    true: float


def grid_of(found: Map) -> WindowGrid:
    """The windows of a map."""
    rows, columns = found.abstain.shape
    return WindowGrid((rows, columns), found.step, float(found.facts["parameters"]["window_A"]), found.origin)


def truth(mask: Mask, pixel_size: float, grid: WindowGrid) -> Truth:
    """What the windows of a map show, after the mask of every pixel (rows, columns) of ``pixel_size`` Å."""
    from scipy.ndimage import maximum_filter, minimum_filter

    at = np.ix_(*(_pixels(grid, axis, pixel_size, mask.shape[axis]) for axis in (0, 1)))
    wide = max(1, round(grid.size / pixel_size))
    least, most = (of(mask, wide, mode="nearest")[at] for of in (minimum_filter, maximum_filter))
    return Truth(mask[at], least == most)


def overlap(found: Labels, true: Labels, states: int) -> list[float | None]:
    """Intersection over union of the windows of each state; None of a state that is neither there nor found.

    Negative entries are of no state: abstained in ``found``, vacuum in ``true``. A window that abstains is missed by
    its state, one of vacuum that does not abstain counts against the state it is taken for.
    """
    shares: list[float | None] = []
    for state in range(states):
        one, other = found == state, true == state
        union = int(np.count_nonzero(one | other))
        shares.append(int(np.count_nonzero(one & other)) / union if union else None)
    return shares


def boundary_error(
    probability: NDArray[Any], abstain: NDArray[np.bool_], mask: Mask, pixel_size: float, grid: WindowGrid
) -> BoundaryError | None:
    """How far the mapped boundary between states is from the true one, over the area that the windows' centres span.

    Boundaries are lines along which a state is as probable as the most probable of the others, interpolated linearly
    between windows (Lorensen & Cline, SIGGRAPH 21 (1987) 163, in two dimensions), or between the pixels of the mask.
    There is none beside a window that abstains, nor beside vacuum.

    Parameters
    ----------
    probability, abstain
        of the map: (rows, columns, states) and (rows, columns)
    mask
        (rows, columns) state of every pixel, ``VACUUM`` where there is none
    pixel_size
        Å

    Returns
    -------
    BoundaryError or None
        None where the map or the mask has no boundary.
    """
    from scipy.spatial import cKDTree

    states = range(probability.shape[-1])

    def ahead(state: int) -> NDArray[Any]:
        """By how much the map has a state more probable than the most probable of the others."""
        others = np.delete(probability, state, axis=-1).max(axis=-1)
        return np.where(abstain, np.nan, probability[..., state] - others)

    def sure(state: int) -> NDArray[Any]:
        """The same of the mask: a state at a time, as a large field has many pixels."""
        return np.where(mask == VACUUM, np.nan, np.where(mask == state, 1.0, -1.0))

    of = states if len(states) > 2 else states[:1]  # of two states the boundary of one is that of the other
    mapped = _lines(map(ahead, of), grid.step, np.asarray(grid.origin))
    # the pixels' own centres lie half a pixel from the corner that the map counts from
    true = _lines(map(sure, of), pixel_size, np.full(2, pixel_size / 2))
    last = np.asarray(grid.origin) + grid.step * (np.asarray(grid.shape) - 1)
    true = true[((true >= grid.origin) & (true <= last)).all(axis=1)]
    if not len(mapped) or not len(true):
        return None
    there, back = (float(cKDTree(to).query(of)[0].mean()) for of, to in ((mapped, true), (true, mapped)))
    return BoundaryError((there + back) / 2, there, back)


def abstentions(abstain: NDArray[np.bool_], of: Truth, states: int) -> dict[int, float | None]:
    """Share of the windows wholly of a state that abstain, for each state and ``VACUUM``; None without windows."""
    shares: dict[int, float | None] = {}
    for state in (VACUUM, *range(states)):
        here = of.pure & (of.state == state)
        shares[state] = float(abstain[here].mean()) if here.any() else None
    return shares


def _pixels(grid: WindowGrid, axis: int, pixel_size: float, count: int) -> NDArray[np.intp]:
    """The pixels at the centres of windows, along an axis."""
    centres = grid.origin[axis] + grid.step * np.arange(grid.shape[axis])
    found: NDArray[np.intp] = np.clip(np.floor(centres / pixel_size + 1e-9), 0, count - 1).astype(np.intp)
    return found


def _lines(ahead: Iterable[NDArray[Any]], step: float, origin: NDArray[Any]) -> NDArray[np.float64]:
    """Points (n, 2) at ``SPACING`` or more on the boundaries of all states, Å, where each is as much ``ahead`` as 0."""
    from skimage.measure import find_contours

    lines = [origin + step * line for of in ahead for line in find_contours(of, 0.0)]
    length = sum(float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum()) for line in lines)
    spacing = max(SPACING, length / MOST_POINTS)
    return np.concatenate([np.empty((0, 2)), *(_dense(line, spacing) for line in lines)])


def _dense(line: NDArray[Any], spacing: float) -> NDArray[np.float64]:
    """Points at ``spacing`` along a line of vertices (n, 2)."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.arange(0.0, along[-1], spacing) + spacing / 2
    return np.stack([np.interp(at, along, line[:, axis]) for axis in (0, 1)], axis=1)
