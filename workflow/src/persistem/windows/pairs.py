"""Birth-death pairs of a whole micrograph, by tiles; each pair once, where it is born.

A pair needs the pixels between its birth and its death, so the diagrams of overlapping windows have most pairs in
common: computed once for a tile they cost a fifteenth of what they cost window by window.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Windows

#: Side of a tile's core (px).
TILE = 512
#: Standard deviations of a Gaussian that reach beyond a tile's core.
REACH = 4
#: Shorter lifetimes (SD of the window) are rounding.
SHORTEST = 1e-3


class Pairs(NamedTuple):
    """Pairs, an array with one entry each: pixel of birth, kind (see ``kinds``), birth and death (SD)."""

    row: NDArray[np.int32]
    column: NDArray[np.int32]
    kind: NDArray[np.int16]
    birth: NDArray[np.float32]
    death: NDArray[np.float32]

    @classmethod
    def join(cls, parts: list[Pairs]) -> Pairs:
        """Several after each other."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def where(self, selected: NDArray[Any]) -> Pairs:
        """Some of the pairs."""
        return Pairs(*(column[selected] for column in self))


def kinds(windows: Windows) -> list[tuple[int, str, int]]:
    """Band, filtration and degree that the numbers of ``Pairs.kind`` stand for."""
    return [(b, f, d) for b in range(len(windows.bands)) for f in windows.filtrations for d in (0, 1)]


def margin(windows: Windows) -> int:
    """Pixels beyond a tile's core that its pairs are computed with: a window, and the reach of the bands."""
    widest = max(band.wide or band.narrow for band in windows.bands)
    return round(windows.size / windows.sampling) + int(np.ceil(REACH * widest / windows.sampling))


def rows_of_tiles(image: NDArray[np.float32], windows: Windows, jobs: int = 1) -> Iterator[tuple[int, Pairs]]:
    """Pairs of one row of tiles after the other, and the image's row at which it ends; ``jobs`` processes.

    Tiles are counted from the image's first pixel, so the pairs do not depend on how many rows are asked for.
    """
    from joblib import Parallel, delayed

    columns = range(0, image.shape[1], TILE)
    with Parallel(n_jobs=jobs) as parallel:
        for top in range(0, image.shape[0], TILE):
            done = parallel(delayed(tile_pairs)(*_cut(image, top, left, windows), windows) for left in columns)
            yield min(top + TILE, image.shape[0]), Pairs.join(list(done))


def pairs_of_image(image: NDArray[np.float32], windows: Windows, jobs: int = 1) -> Pairs:
    """All pairs of an image (rows, columns) with pixels of ``windows.sampling``."""
    return Pairs.join([pairs for _, pairs in rows_of_tiles(image, windows, jobs)])


def tile_pairs(
    tile: NDArray[np.float32], corner: tuple[int, int], core: tuple[int, int, int, int], windows: Windows
) -> Pairs:
    """The pairs of a tile that are born in its core (rows and columns from, to); ``corner`` is the tile's first pixel.

    Births and deaths are those of the bands of the locally normalised tile, by HomCloud.
    """
    from scipy.ndimage import gaussian_filter

    from persistem.windows.local import filled, normalised

    image = normalised(filled(tile), round(windows.size / windows.sampling))

    def smooth(width: float) -> NDArray[np.float32]:
        return gaussian_filter(image, width / windows.sampling, mode="reflect", truncate=REACH) if width else image

    found = []
    kind = 0
    for band in windows.bands:
        shown = smooth(band.narrow) - (0 if band.wide is None else smooth(band.wide))
        # sampled at every second pixel a band that is smooth over several keeps nearly all its pairs
        step = 2 if 2.25 * windows.sampling < band.narrow + 1e-9 else 1
        first = [-corner % step for corner in corner]
        thinned = np.ascontiguousarray(shown[first[0] :: step, first[1] :: step])
        for filtration in windows.filtrations:
            degree, row, column, birth, death = _diagram(thinned, filtration)
            row = corner[0] + first[0] + row * step
            column = corner[1] + first[1] + column * step
            kept = (row >= core[0]) & (row < core[1]) & (column >= core[2]) & (column < core[3])
            pairs = Pairs(
                row.astype(np.int32), column.astype(np.int32), (kind + degree).astype(np.int16), birth, death
            ).where(kept & (np.abs(birth - death) > SHORTEST))
            found.append(pairs.where(np.lexsort((pairs.death, pairs.birth, pairs.kind, pairs.column, pairs.row))))
            kind += 2
    return Pairs.join(found)


def _cut(
    image: NDArray[np.float32], top: int, left: int, windows: Windows
) -> tuple[NDArray[np.float32], tuple[int, int], tuple[int, int, int, int]]:
    """A tile with its margin, its first pixel, and its core."""
    beyond = margin(windows)
    bottom, right = min(top + TILE, image.shape[0]), min(left + TILE, image.shape[1])
    first = max(top - beyond, 0), max(left - beyond, 0)
    tile = np.array(image[first[0] : bottom + beyond, first[1] : right + beyond])
    return tile, first, (top, bottom, left, right)


def _diagram(image: NDArray[np.float32], filtration: str) -> tuple[NDArray[Any], ...]:
    """Degree, row and column of birth, birth, death of every pair of an image."""
    from homcloud.bitmap import Bitmap

    filtered = Bitmap((-image if filtration == "superlevel" else image).astype(float)).build_bitmap_filtration()
    found, _ = filtered.prefered_ph_routine().run()
    pairs = np.array([pair for pair in found if pair[2] is not None], dtype=np.int64).reshape(-1, 3)
    pixels = np.asarray(filtered.index_to_pixel)
    born, died = pixels[pairs[:, 1]], pixels[pairs[:, 2]]
    return pairs[:, 0], born[:, 0], born[:, 1], image[tuple(born.T)], image[tuple(died.T)]
