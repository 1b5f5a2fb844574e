"""Birth-death pairs of a whole micrograph, by tiles; each pair once, where it is born.

A pair needs only the pixels between its birth and its death, so overlapping windows have most pairs in common. Found
once per tile, pairs cost a small part of what they cost window by window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from persistem.descriptors.windows.local import normalised
from persistem.topology.pairs import REACH, band_image, image_pairs, lasting, thinning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Band, Windows

#: Side of a tile's core (px).
TILE = 512

#: A pair: pixel of its birth; its band and filtration, as numbered in the settings, and degree; birth and death (SD).
PAIR = np.dtype(
    [
        ("row", np.int32),
        ("column", np.int32),
        ("band", np.int8),
        ("filtration", np.int8),
        ("degree", np.int8),
        ("birth", np.float32),
        ("death", np.float32),
    ]
)


class Sought(NamedTuple):
    """Which pairs are sought: bands, each sampled at every so many pixels (1, 2 or 4), and filtrations."""

    bands: tuple[tuple[Band, int], ...]
    filtrations: tuple[str, ...]


def sought(windows: Windows) -> Sought:
    """The pairs of the block ``persistence``: those of the bands and filtrations that the settings name."""
    bands = tuple((band, thinning(band, windows.sampling)) for band in windows.bands)
    return Sought(bands, windows.filtrations)


def pair_table(image: NDArray[np.float32], windows: Windows, jobs: int = 1) -> NDArray[np.void]:
    """All pairs of an image (rows, columns) with pixels of ``windows.sampling``: (pairs,) of ``PAIR``."""
    one = {"persistence": sought(windows)}
    return np.concatenate([pairs["persistence"] for _, pairs in rows_of_tiles(image, windows, one, jobs)])


def rows_of_tiles(
    image: NDArray[np.float32],
    windows: Windows,
    wanted: Mapping[str, Sought],
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, dict[str, NDArray[np.void]]]]:
    """For each row of tiles, the row of the image at which it ends, and its pairs, by the names in ``wanted``.

    Tiles are counted from the image's first pixel, so pairs depend neither on which windows are described nor on
    ``jobs``, the number of processes. ``progress`` is called with the number of tiles done and of all tiles.
    """
    from joblib import Parallel, delayed

    rows, columns = (range(0, side, TILE) for side in image.shape)
    done, total = 0, len(rows) * len(columns)
    with Parallel(n_jobs=jobs, return_as="generator", max_nbytes=None) as parallel:
        # all rows in one go: the other processes find the pairs of the next while this one is used
        found = parallel(
            delayed(_tile_pairs)(*_tile(image, top, left, windows, wanted), windows, wanted)
            for top in rows
            for left in columns
        )
        for top in rows:
            tables: dict[str, list[NDArray[np.void]]] = {name: [] for name in wanted}
            for pairs in islice(found, len(columns)):
                for name in wanted:
                    tables[name].append(pairs[name])
                done += 1
                if progress:
                    progress(done, total)
            yield min(top + TILE, image.shape[0]), {name: np.concatenate(parts) for name, parts in tables.items()}


def _tile(
    image: NDArray[np.float32], top: int, left: int, windows: Windows, wanted: Mapping[str, Sought]
) -> tuple[NDArray[np.float32], tuple[int, int], tuple[int, int, int, int]]:
    """A tile: its core with a window and the reach of the bands about it, its first pixel, and the core's edges."""
    widest = max(band.wide or band.narrow for one in wanted.values() for band, _ in one.bands)
    beyond = math.ceil((windows.size + REACH * widest) / windows.sampling)
    bottom, right = min(top + TILE, image.shape[0]), min(left + TILE, image.shape[1])
    first = max(top - beyond, 0), max(left - beyond, 0)
    return np.array(image[first[0] : bottom + beyond, first[1] : right + beyond]), first, (top, bottom, left, right)


def _tile_pairs(
    tile: NDArray[np.float32],
    first: tuple[int, int],
    core: tuple[int, int, int, int],
    windows: Windows,
    wanted: Mapping[str, Sought],
) -> dict[str, NDArray[np.void]]:
    """The pairs of the bands of a tile, its local mean and contrast removed, that are born in its core; sorted."""
    image = normalised(tile, round(windows.size / windows.sampling))
    return {name: _pairs_of(image, first, core, one, windows.sampling) for name, one in wanted.items()}


def _pairs_of(
    image: NDArray[np.float32],
    first: tuple[int, int],
    core: tuple[int, int, int, int],
    wanted: Sought,
    sampling: float,
) -> NDArray[np.void]:
    top, bottom, left, right = core
    tables = []
    for number, (band, step) in enumerate(wanted.bands):
        shown = band_image(image, band, sampling)
        start = [-corner % step for corner in first]  # the same pixels of all tiles
        thinned = np.ascontiguousarray(shown[start[0] :: step, start[1] :: step])
        for filtration, name in enumerate(wanted.filtrations):
            all_pairs = image_pairs(thinned, name)
            row, column = np.add(first, start)[:, None] + all_pairs.born.T * step
            kept = (row >= top) & (row < bottom) & (column >= left) & (column < right) & lasting(all_pairs)
            pairs = np.empty(kept.sum(), dtype=PAIR)
            pairs["row"], pairs["column"] = row[kept], column[kept]
            pairs["band"], pairs["filtration"], pairs["degree"] = number, filtration, all_pairs.degree[kept]
            pairs["birth"], pairs["death"] = all_pairs.birth[kept], all_pairs.death[kept]
            tables.append(pairs[np.lexsort([pairs[key] for key in ("death", "birth", "degree", "column", "row")])])
    return np.concatenate(tables)
