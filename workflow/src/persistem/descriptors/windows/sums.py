"""Histograms of the pairs in every window, from pairs that are each counted once.

A pair adds to the levels of its birth, its death and its lifetime. The edges of all windows divide the image into
cells; the pairs of a cell are counted once, and a window adds up its cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Windows

#: The levels by which a pair is counted.
COUNTED = ("birth", "death", "lifetime")


class Cells:
    """The cells into which the edges of ``shape`` windows (rows, columns), from row ``first`` of windows, cut an image.

    Windows are ``size`` pixels wide and ``step`` pixels apart. A pair is counted in its cell, and a window adds up its
    cells in a fixed order, so that its numbers do not depend on which other windows are described.
    """

    def __init__(self, size: int, step: int, first: int, shape: tuple[int, int]) -> None:
        whole, self._rest = divmod(size, step)
        self._step, self._first, self._shape = step, first, shape
        self._per = 2 if self._rest else 1  # cells in a step
        self._span = self._per * whole + (1 if self._rest else 0)  # cells in a window
        self._rows, self._columns = (self._per * (count - 1) + self._span for count in shape)
        self.count = self._rows * self._columns

    def place(self, pairs: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """The pairs that are born in these windows, and the number of the cell of each."""
        row = self._along(pairs["row"]) - self._per * self._first
        column = self._along(pairs["column"])
        inside = (row >= 0) & (row < self._rows) & (column < self._columns)
        return pairs[inside], (row * self._columns + column)[inside]

    def added(self, values: NDArray[Any], length: int) -> NDArray[np.float64]:
        """Sums over the cells of each window, (rows, columns, length), of ``values`` (cells * length)."""
        lines = self._summed(values.reshape(self._rows, self._columns, length), self._shape[0])
        return self._summed(lines.swapaxes(0, 1), self._shape[1]).swapaxes(0, 1)

    def _along(self, pixel: NDArray[Any]) -> NDArray[np.int64]:
        exact = pixel.astype(np.int64)
        return self._per * (exact // self._step) + (exact % self._step >= self._rest if self._rest else 0)

    def _summed(self, cells: NDArray[Any], count: int) -> NDArray[np.float64]:
        """Sums over the cells of a window along the first axis, one after the other."""
        total = np.zeros((count, *cells.shape[1:]))
        for k in range(self._span):
            total += cells[k : k + self._per * (count - 1) + 1 : self._per]
        return total


def kinds(windows: Windows) -> list[tuple[int, int, int]]:
    """Band, filtration and degree of the diagrams of a window, in the order of its description."""
    return [
        (band, filtration, degree)
        for band in range(len(windows.bands))
        for filtration in range(len(windows.filtrations))
        for degree in (0, 1)
    ]


def length(windows: Windows) -> int:
    """How many numbers describe the pairs of a window: all levels of each kind and each of ``COUNTED``."""
    return len(kinds(windows)) * len(COUNTED) * windows.levels


def entries(pairs: NDArray[np.void], windows: Windows) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where in the description each pair adds, and how much: positions and weights, both (pairs, 6).

    Births and deaths have levels from -window to +window of their band (SD), lifetimes from 0 to window. Each shares
    a weight of 1 between the two levels next to it; values beyond the first or the last level count for that level.
    """
    band, last = pairs["band"].astype(np.int64), windows.levels - 1
    window = np.array([band.window for band in windows.bands])[band]
    birth, death = (pairs[name].astype(np.float64) / window for name in ("birth", "death"))
    level = np.clip(np.stack([(birth + 1) / 2, (death + 1) / 2, np.abs(birth - death)], axis=1), 0, 1) * last
    below = np.minimum(level.astype(np.int64), last - 1)
    share = level - below
    kind = (band * len(windows.filtrations) + pairs["filtration"]) * 2 + pairs["degree"]
    start = (kind[:, None] * len(COUNTED) + np.arange(len(COUNTED))) * windows.levels
    return np.concatenate([start + below, start + below + 1], axis=1), np.concatenate([1 - share, share], axis=1)


def window_sums(
    pairs: NDArray[np.void], windows: Windows, size: int, step: int, first: int, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Histograms of the pairs of ``shape`` windows (rows, columns), from row ``first`` of windows: (…, length) per nm².

    ``pairs`` includes all that are born in these windows, and may include others. A window's numbers do not depend on
    which other windows are described: its pairs are added up in their order, and its cells in a fixed order.
    """
    cells = Cells(size, step, first, shape)
    pairs, place = cells.place(pairs)
    area, n = _area(windows, size), len(COUNTED) * windows.levels
    result = np.empty((*shape, length(windows)), dtype=np.float32)
    for number, kind in enumerate(kinds(windows)):  # one at a time: the cells of all kinds need much memory
        of_kind = np.all(
            [pairs[name] == k for name, k in zip(("band", "filtration", "degree"), kind, strict=True)], axis=0
        )
        positions, weights = entries(pairs[of_kind], windows)
        bins = place[of_kind, None] * n + positions - number * n
        counts = np.bincount(bins.ravel(), weights.ravel(), minlength=cells.count * n)
        result[..., number * n : (number + 1) * n] = cells.added(counts, n) / area
    return result


def _area(windows: Windows, size: int) -> float:
    """The area of a window, nm²."""
    return (size * windows.sampling / 10) ** 2
