"""How well a map agrees with the known regions of a composite."""

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

#: Distance (Å) of the points that represent a boundary, and the most points: on a boundary too long for them, as in a
#: map of noise, they lie farther apart.
SPACING, MOST_POINTS = 0.05, 2_000_000


class WindowGrid(NamedTuple):
    """The windows of a map, as in ``maps.Map``: shape, and in Å their distance, width and the first's centre.

    Rows and columns are counted from the upper left corner of the micrograph's first pixel.
    """

    shape: tuple[int, int]
    step: float
    size: float
    origin: tuple[float, float]


class Truth(NamedTuple):
    """What windows show: the state at their centres (rows, columns), and whether they show it alone."""

    state: Mask
    pure: NDArray[np.bool_]


class BoundaryError(NamedTuple):
    """Mean distances between the mapped and the true boundary, Å.

    ``mapped`` is from points of the mapped boundary to the nearest of the true one, ``true`` the other way round:
    islands of a wrong state raise the first, a boundary that the map misses raises the second. ``mean`` is of both.
    """

    mean: float
    mapped: float
    true: float


def grid_of(found: Map) -> WindowGrid:
    """The windows of a map."""
    rows, columns = found.abstain.shape
    return WindowGrid((rows, columns), found.step, float(found.facts["parameters"]["window_A"]), found.origin)


def truth(mask: Mask, pixel_size: float, grid: WindowGrid) -> Truth:
    """What the windows of a map show, by the mask of every pixel (rows, columns) of ``pixel_size`` Å."""
    from scipy.ndimage import maximum_filter, minimum_filter

    at = np.ix_(*(_pixels(grid, axis, pixel_size, mask.shape[axis]) for axis in (0, 1)))
    wide = max(1, round(grid.size / pixel_size))
    least, most = (extreme(mask, wide, mode="nearest")[at] for extreme in (minimum_filter, maximum_filter))
    return Truth(mask[at], least == most)


def overlap(found: Labels, true: Labels, states: int) -> list[float | None]:
    """Intersection over union of the windows of each state; None for a state that is neither there nor found.

    Negative entries are no state: abstained in ``found``, vacuum in ``true``. A window that abstains is a miss of its
    state; a window of vacuum that does not abstain counts against the state it is taken for.
    """
    shares: list[float | None] = []
    for state in range(states):
        mapped, actual = found == state, true == state
        union = int(np.count_nonzero(mapped | actual))
        shares.append(int(np.count_nonzero(mapped & actual)) / union if union else None)
    return shares


def boundary_error(
    probability: NDArray[Any], abstain: NDArray[np.bool_], mask: Mask, pixel_size: float, grid: WindowGrid
) -> BoundaryError | None:
    """Distance of the mapped boundary between states from the true one, over the area that the windows' centres span.

    On a boundary a state is as probable as the most probable of the others, interpolated linearly between windows
    (Lorensen & Cline, SIGGRAPH 21 (1987) 163, in two dimensions) or between the pixels of the mask. There is none
    beside a window that abstains, nor beside vacuum.

    Parameters
    ----------
    probability, abstain
        of the map: (rows, columns, states) and (rows, columns)
    mask
        (rows, columns) state of every pixel, or ``VACUUM``
    pixel_size
        Å

    Returns
    -------
    BoundaryError or None
        None if the map or the mask has no boundary.
    """
    from scipy.spatial import cKDTree

    states = range(probability.shape[-1])

    def ahead(state: int) -> NDArray[Any]:
        """By how much a state is more probable in the map than the most probable of the others."""
        others = np.delete(probability, state, axis=-1).max(axis=-1)
        return np.where(abstain, np.nan, probability[..., state] - others)

    def sure(state: int) -> NDArray[Any]:
        """The same for the mask, one state at a time, since a large field has many pixels."""
        return np.where(mask == VACUUM, np.nan, np.where(mask == state, 1.0, -1.0))

    judged = states if len(states) > 2 else states[:1]  # two states have the same boundary
    mapped = _lines(map(ahead, judged), grid.step, np.asarray(grid.origin))
    # the map counts from the corner; pixel centres lie half a pixel from it
    true = _lines(map(sure, judged), pixel_size, np.full(2, pixel_size / 2))
    last = np.asarray(grid.origin) + grid.step * (np.asarray(grid.shape) - 1)
    true = true[((true >= grid.origin) & (true <= last)).all(axis=1)]
    if not len(mapped) or not len(true):
        return None
    from_mapped, from_true = (
        float(cKDTree(nearest).query(points)[0].mean()) for points, nearest in ((mapped, true), (true, mapped))
    )
    return BoundaryError((from_mapped + from_true) / 2, from_mapped, from_true)


def abstentions(abstain: NDArray[np.bool_], of: Truth, states: int) -> dict[int, float | None]:
    """For each state and ``VACUUM``, the share of the pure windows that abstain; None without windows."""
    shares: dict[int, float | None] = {}
    for state in (VACUUM, *range(states)):
        here = of.pure & (of.state == state)
        shares[state] = float(abstain[here].mean()) if here.any() else None
    return shares


def _pixels(grid: WindowGrid, axis: int, pixel_size: float, count: int) -> NDArray[np.intp]:
    """The pixels at the centres of windows, along an axis."""
    centres = grid.origin[axis] + grid.step * np.arange(grid.shape[axis])
    pixels: NDArray[np.intp] = np.clip(np.floor(centres / pixel_size + 1e-9), 0, count - 1).astype(np.intp)
    return pixels


def _lines(ahead: Iterable[NDArray[Any]], step: float, origin: NDArray[Any]) -> NDArray[np.float64]:
    """Points (n, 2), Å, at ``SPACING`` or more on the boundaries of all states, where ``ahead`` of each is 0."""
    from skimage.measure import find_contours

    lines = [origin + step * line for lead in ahead for line in find_contours(lead, 0.0)]
    length = sum(float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum()) for line in lines)
    spacing = max(SPACING, length / MOST_POINTS)
    return np.concatenate([np.empty((0, 2)), *(_dense(line, spacing) for line in lines)])


def _dense(line: NDArray[Any], spacing: float) -> NDArray[np.float64]:
    """Points at ``spacing`` along a line of vertices (n, 2)."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.arange(0.0, along[-1], spacing) + spacing / 2
    return np.stack([np.interp(at, along, line[:, axis]) for axis in (0, 1)], axis=1)
