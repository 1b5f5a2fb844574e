"""What the windows of a map were judged by, kept for the page that shows a window and what decided it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.descriptors.windows.pairs import PAIR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Windows

#: With more pairs than this none are kept; with more windows only every second, third… row and column is kept.
MOST_PAIRS = 4_000_000
MOST_WINDOWS = 40_000
#: Levels of stored births and deaths from 0 to the end of the band's window, and where there are more pairs than
#: ``FEW_PAIRS``, so that a page stays small: a score is then off by some hundredths.
FINE, COARSE, FEW_PAIRS = 2**14, 2**9, 500_000


@dataclass(frozen=True)
class Detail:
    """What the windows of a map were judged by.

    ``pairs`` are all pairs of the micrograph, (pairs,) of ``windows.pairs.PAIR``; None if there are more than
    ``MOST_PAIRS``. ``blocks`` (rows, columns, length) float32 are all blocks but persistence, of every ``every``-th row
    and column of windows.
    """

    pairs: NDArray[np.void] | None
    blocks: dict[str, NDArray[np.float32]]
    every: int


class Collector:
    """Collects the detail of a map of ``shape`` windows (rows, columns) while it is made."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._every = thinning(shape)
        self._pairs: list[NDArray[np.void]] | None = [np.empty(0, dtype=PAIR)]
        self._blocks: dict[str, list[NDArray[np.float32]]] = {}

    def add_pairs(self, pairs: NDArray[np.void]) -> None:
        """Add pairs of ``PAIR``."""
        if self._pairs is not None:
            self._pairs.append(pairs)
            if sum(map(len, self._pairs)) > MOST_PAIRS:
                self._pairs = None

    def add_windows(self, first: int, blocks: dict[str, NDArray[np.float32]]) -> None:
        """Add rows of windows as ``windows.strips`` gives them; ``first`` is the number of the first row."""
        for name, block in blocks.items():
            if name != "persistence":
                self._blocks.setdefault(name, []).append(block[-first % self._every :: self._every, :: self._every])

    def detail(self) -> Detail:
        """What was collected."""
        pairs = None if self._pairs is None else np.concatenate(self._pairs)
        return Detail(pairs, {name: np.concatenate(parts) for name, parts in self._blocks.items()}, self._every)


def thinning(shape: tuple[int, ...]) -> int:
    """Distance in rows and columns between the windows that are kept, of ``shape`` (rows, columns) windows."""
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] / MOST_WINDOWS)))


def fineness(pairs: NDArray[np.void]) -> int:
    """Levels of stored births and deaths from 0 to the end of the band's window."""
    return FINE if len(pairs) <= FEW_PAIRS else COARSE


def quantised(pairs: NDArray[np.void], windows: Windows) -> dict[str, NDArray[Any]]:
    """Pairs in few bytes, sorted by the pixel of their birth: arrays of the smallest integer type that holds them.

    ``starts`` (last row + 2,) has the first pair of each row of pixels; ``column``, ``kind`` (a number in
    ``windows.sums.kinds``), ``birth`` and ``death`` (pairs,) describe each pair. Births and deaths are
    (2 + value / window of the band) * ``fineness``, rounded and clipped at twice the window. Its end is itself a level,
    so that what lies beyond still does: it counts for the last level of a window's histograms.
    """
    fine = fineness(pairs)
    pairs = pairs[np.lexsort([pairs["column"], pairs["row"]])]
    unit = fine / np.array([band.window for band in windows.bands])[pairs["band"]]

    def level(name: str) -> NDArray[Any]:
        levels: NDArray[Any] = np.clip(np.rint(pairs[name] * unit) + 2 * fine, 0, 4 * fine - 1).astype(np.uint16)
        return levels

    rows = int(pairs["row"].max(initial=0)) + 1
    kind = (pairs["band"].astype(np.int64) * len(windows.filtrations) + pairs["filtration"]) * 2 + pairs["degree"]
    return {
        "starts": _small(np.searchsorted(pairs["row"], np.arange(rows + 1))),
        "column": _small(pairs["column"]),
        "kind": _small(kind),
        "birth": level("birth"),
        "death": level("death"),
    }


def _small(numbers: NDArray[Any]) -> NDArray[Any]:
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))
