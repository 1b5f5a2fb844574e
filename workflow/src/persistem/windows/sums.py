"""Histograms of the pairs in every window, from pairs that are each counted once.

A pair adds to the levels of its birth, its death and its lifetime. The edges of all windows divide the image into
cells; the pairs of a cell are counted once, and a window adds up its cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.windows.pairs import kinds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Windows
    from persistem.windows.pairs import Pairs

#: What is counted of a pair.
COUNTED = ("birth", "death", "lifetime")


def length(windows: Windows) -> int:
    """Numbers that describe the pairs of a window."""
    return len(kinds(windows)) * len(COUNTED) * windows.levels


def entries(pairs: Pairs, windows: Windows) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where each pair adds how much: positions in the description and weights, both (pairs, 6).

    Birth, death and lifetime each share a weight of 1 between the two levels next to them; beyond the first and the
    last level it is that level's.
    """
    reach = np.array([windows.bands[band].window for band, _, _ in kinds(windows)])[pairs.kind]
    last = windows.levels - 1
    scaled = [
        (pairs.birth / reach + 1) / 2 * last,
        (pairs.death / reach + 1) / 2 * last,
        np.abs(pairs.birth - pairs.death) / reach * last,
    ]
    start = pairs.kind.astype(np.int64) * len(COUNTED) * windows.levels
    places, weights = [], []
    for k, values in enumerate(scaled):
        level = np.clip(values.astype(np.float64), 0, last)
        below = np.minimum(level.astype(np.int64), last - 1)
        share = level - below
        places += [start + k * windows.levels + below, start + k * windows.levels + below + 1]
        weights += [1 - share, share]
    return np.stack(places, axis=1), np.stack(weights, axis=1)


def window_sums(
    pairs: Pairs, windows: Windows, size: int, step: int, first: int, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Histograms of the pairs of ``shape`` windows (rows, columns), from row ``first`` of windows: (…, length) per nm².

    ``pairs`` are all that are born in these windows, and may be more. A window's numbers do not depend on which other
    windows are asked for: cells are added up in a fixed order.
    """
    n = length(windows)
    whole, rest = divmod(size, step)
    per = 2 if rest else 1  # cells in a step
    span = per * whole + (1 if rest else 0)  # cells in a window
    cells = [per * (count - 1) + span for count in shape]

    def cell(pixel: NDArray[Any]) -> NDArray[np.int64]:
        wide = pixel.astype(np.int64)
        return per * (wide // step) + (wide % step >= rest if rest else 0)

    row, column = cell(pairs.row) - per * first, cell(pairs.column)
    inside = (row >= 0) & (row < cells[0]) & (column < cells[1])
    places, weights = entries(pairs.where(inside), windows)
    at = ((row * cells[1] + column)[inside] * n)[:, None] + places
    flat = np.bincount(at.ravel(), weights.ravel(), minlength=cells[0] * cells[1] * n)
    rows = _added(flat.reshape(*cells, n).astype(float), span, per, shape[0])
    both = _added(rows.swapaxes(0, 1), span, per, shape[1]).swapaxes(0, 1)
    area = (size * windows.sampling / 10) ** 2
    return np.ascontiguousarray(both / area, dtype=np.float32)


def contributions(pairs: Pairs, windows: Windows, coefficients: NDArray[Any], size: int) -> NDArray[np.float64]:
    """What each pair adds to a linear score of the windows that it is born in, (pairs,).

    ``coefficients`` (length,) are those of the persistence block.
    """
    places, weights = entries(pairs, windows)
    area = (size * windows.sampling / 10) ** 2
    total: NDArray[np.float64] = (np.asarray(coefficients)[places] * weights).sum(axis=1) / area
    return total


def _added(cells: NDArray[np.float64], span: int, per: int, count: int) -> NDArray[np.float64]:
    """Sums over ``span`` cells of the first axis, every ``per`` cells, one after the other."""
    total = np.zeros((count, *cells.shape[1:]))
    for k in range(span):
        total += cells[k : k + per * (count - 1) + 1 : per]
    return total
