"""The description of the windows of a micrograph: blocks of numbers on the grid of the windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.study.mapping import BLOCKS
from persistem.windows.pairs import Pairs, rows_of_tiles
from persistem.windows.spectrum import rings, spectra
from persistem.windows.sums import window_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Windows

#: Rows of windows that are described at a time.
ROWS = 8


class Description(NamedTuple):
    """Blocks (rows, columns, length) float32 of windows, and whether a window can be described (rows, columns).

    Window [i, j] begins at pixel (i * step, j * step) and is ``size`` pixels wide.
    """

    blocks: dict[str, NDArray[np.float32]]
    valid: NDArray[np.bool_]
    step: int
    size: int


def side(windows: Windows) -> int:
    """Side of a window in pixels."""
    return round(windows.size / windows.sampling)


def step(windows: Windows, stride: float) -> int:
    """The distance of windows in pixels that is nearest to ``stride`` Å; at least one."""
    return max(round(stride / windows.sampling), 1)


def describe(
    image: NDArray[np.float32],
    windows: Windows,
    step: int,
    only: Iterable[str] = BLOCKS,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Description:
    """All windows of an image (rows, columns) with pixels of ``windows.sampling``; as ``strips`` gives them."""
    parts = [part for _, part in strips(image, windows, step, only, jobs, progress)]
    blocks = {name: np.concatenate([part.blocks[name] for part in parts]) for name in parts[0].blocks}
    return Description(blocks, np.concatenate([part.valid for part in parts]), step, side(windows))


def strips(
    image: NDArray[np.float32],
    windows: Windows,
    step: int,
    only: Iterable[str] = BLOCKS,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, Description]]:
    """The windows of an image, a few rows of them after the other: the first row, and their description.

    Parameters
    ----------
    image
        (rows, columns) with pixels of ``windows.sampling``; may be a memory map, of which a row of tiles is read
    windows, step
        the windows, and their distance in pixels
    only
        the blocks to make: contrast, log(SD / mean); spectrum, see ``spectrum.spectra``; persistence, see ``sums``
    jobs
        processes, which do not change the result
    progress
        called with how many rows of windows are done and how many there are

    Raises
    ------
    PersistemError
        when the image is smaller than a window.
    """
    size = side(windows)
    if image.ndim != 2 or min(image.shape) < size:
        raise PersistemError(
            f"it shows {' x '.join(f'{n * windows.sampling:.3g}' for n in image.shape)} Å, but a window alone is"
            f" {windows.size:g} Å wide"
        )
    shape = tuple((n - size) // step + 1 for n in image.shape)
    wanted = set(only)
    pairs: list[Pairs] = []
    done, averaged = 0, rings(windows, size)
    tiles: Iterable[tuple[int, Pairs | None]]
    tiles = rows_of_tiles(image, windows, jobs) if "persistence" in wanted else [(image.shape[0], None)]
    for bottom, found in tiles:
        if found is not None:
            pairs = [*(p.where(p.row >= done * step) for p in pairs), found]
        ready = (bottom - size) // step + 1 if bottom < image.shape[0] else shape[0]
        joined = Pairs.join(pairs) if pairs else None
        while done < ready:
            count = min(ROWS, ready - done)
            blocks, valid = _plain(image, windows, step, done, (count, shape[1]), wanted, averaged)
            if joined is not None:
                blocks["persistence"] = window_sums(joined, windows, size, step, done, (count, shape[1]))
            yield done, Description(blocks, valid, step, size)
            done += count
            if progress:
                progress(done, shape[0])


def _plain(
    image: NDArray[np.float32],
    windows: Windows,
    step: int,
    first: int,
    shape: tuple[int, int],
    wanted: set[str],
    averaged: NDArray[np.float64],
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
    """Blocks that need no diagrams, and which windows are finite and have contrast."""
    size = side(windows)
    blocks: dict[str, list[NDArray[np.float32]]] = {name: [] for name in ("contrast", "spectrum") if name in wanted}
    valid = []
    for row in range(first, first + shape[0]):
        line = np.asarray(image[row * step : row * step + size], dtype=float)
        cut = np.lib.stride_tricks.sliding_window_view(line, size, axis=1)[:, ::step].swapaxes(0, 1)
        finite = np.isfinite(cut).all(axis=(1, 2))
        cut = np.where(finite[:, None, None], cut, 0)
        mean, deviation = cut.mean(axis=(1, 2)), cut.std(axis=(1, 2))
        good = finite & (deviation > 1e-9 * np.abs(mean)) & (deviation > 0)
        valid.append(good)
        if "contrast" in blocks:
            positive = good & (mean > 0)
            ratio = np.divide(deviation, mean, out=np.ones_like(mean), where=positive)
            blocks["contrast"].append(np.log(ratio)[:, None].astype(np.float32))
        if "spectrum" in blocks:
            blocks["spectrum"].append(spectra(cut, averaged))
    return {name: np.stack(rows) for name, rows in blocks.items()}, np.stack(valid)
