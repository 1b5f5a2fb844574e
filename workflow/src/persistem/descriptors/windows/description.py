"""The description of the windows of a micrograph: blocks of numbers on the grid of the windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from persistem.descriptors.spectra import Rings
from persistem.descriptors.windows.local import FLAT
from persistem.descriptors.windows.pairs import PAIR, rows_of_tiles
from persistem.descriptors.windows.plain import LENGTHS, plain
from persistem.descriptors.windows.spectrum import ring_count, rings_of, spectra
from persistem.descriptors.windows.sums import length as pair_numbers
from persistem.descriptors.windows.sums import window_sums
from persistem.errors import PersistemError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Windows

#: The blocks that are made unless others are asked for.
USUAL = ("contrast", "spectrum", "persistence")
#: Rows of windows that are described at a time.
ROWS = 8
#: Pixels of the windows that are in memory at a time.
PIXELS = 2**21


class Description(NamedTuple):
    """Blocks (rows, columns, length) float32 of windows; whether a window is valid, and its mean (rows, columns).

    Window [i, j] begins at pixel (i * step, j * step) and is ``size`` pixels wide.
    """

    blocks: dict[str, NDArray[np.float32]]
    valid: NDArray[np.bool_]
    mean: NDArray[np.float64]
    step: int
    size: int


def side(windows: Windows) -> int:
    """Side of a window in pixels."""
    return round(windows.size / windows.sampling)


def step(windows: Windows, stride: float) -> int:
    """The distance of windows in pixels, nearest to ``stride`` Å and at least one."""
    return max(round(stride / windows.sampling), 1)


def lengths(windows: Windows) -> dict[str, int]:
    """How many numbers each block of a window has."""
    spectrum, persistence = ring_count(windows, side(windows)), pair_numbers(windows)
    return {"contrast": 1, "spectrum": spectrum, "persistence": persistence} | LENGTHS


def describe_windows(
    image: NDArray[np.float32],
    windows: Windows,
    step: int,
    only: Iterable[str] = USUAL,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Description:
    """Describe all windows of an image (rows, columns) with pixels of ``windows.sampling``, as ``strips`` does."""
    parts = [part for _, part in strips(image, windows, step, only, jobs, progress)]
    blocks = {name: np.concatenate([part.blocks[name] for part in parts]) for name in parts[0].blocks}
    valid, mean = np.concatenate([part.valid for part in parts]), np.concatenate([part.mean for part in parts])
    return Description(blocks, valid, mean, step, side(windows))


def strips(
    image: NDArray[np.float32],
    windows: Windows,
    step: int,
    only: Iterable[str] = USUAL,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    pairs: Callable[[NDArray[np.void]], None] | None = None,
) -> Iterator[tuple[int, Description]]:
    """Describe the windows of an image, a few rows at a time: the number of the first row, and the description.

    Parameters
    ----------
    image
        (rows, columns) with pixels of ``windows.sampling``; a memory map is read a row of tiles at a time
    windows, step
        the windows, and their distance in pixels
    only
        the blocks to make: contrast, log(SD / mean), 0 where the mean is not positive; spectrum, see
        ``spectrum.spectra``; persistence, see ``sums.window_sums``; low-passed, moments and texture, see ``plain``
    jobs
        number of processes; it does not change the result
    progress
        called with how much is done and the total: tiles with diagrams, else rows of windows
    pairs
        called with the pairs (of ``pairs.PAIR``) that are born in each row of tiles

    Yields
    ------
    tuple of int and Description
        a window is valid if all its pixels are finite and not all of them are the same; the blocks of other windows
        are finite and mean nothing.

    Raises
    ------
    PersistemError
        if the image is smaller than a window.
    """
    size = side(windows)
    if image.ndim != 2 or min(image.shape) < size:
        raise PersistemError(
            f"it shows {' x '.join(f'{n * windows.sampling:.3g}' for n in image.shape)} Å, but a window alone is"
            f" {windows.size:g} Å wide"
        )
    shape = (image.shape[0] - size) // step + 1, (image.shape[1] - size) // step + 1
    wanted, over, done = set(only), rings_of(windows, size), 0
    persistence = "persistence" in wanted
    near = np.empty(0, dtype=PAIR)
    rows: Iterable[tuple[int, NDArray[np.void]]] = [(image.shape[0], near)]
    for bottom, born in rows_of_tiles(image, windows, jobs, progress) if persistence else rows:
        if pairs and persistence:
            pairs(born)
        near = np.concatenate([near[near["row"] >= done * step], born])
        ready = min(max((bottom - size) // step + 1, 0), shape[0])
        while done < ready:
            count = min(ROWS, ready - done)
            parts = [
                _direct(image[row * step :][:size], windows, step, wanted, over) for row in range(done, done + count)
            ]
            blocks = {name: np.stack([part[0][name] for part in parts]) for name in parts[0][0]}
            if persistence:
                blocks["persistence"] = window_sums(near, windows, size, step, done, (count, shape[1]))
            valid, mean = np.stack([part[1] for part in parts]), np.stack([part[2] for part in parts])
            yield done, Description(blocks, valid, mean, step, size)
            done += count
            if progress and not persistence:
                progress(done, shape[0])


def _direct(
    line: NDArray[np.float32], windows: Windows, step: int, wanted: set[str], over: Rings
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_], NDArray[np.float64]]:
    """Blocks that need no diagrams of a row of windows, (columns, length), which windows are valid, and their means."""
    size = side(windows)
    cuts = np.lib.stride_tricks.sliding_window_view(line, size, axis=1)[:, ::step].swapaxes(0, 1)
    direct = ("contrast", "spectrum", *LENGTHS)
    blocks: dict[str, list[NDArray[np.float32]]] = {name: [] for name in direct if name in wanted}
    valid, means = [], []
    few = max(PIXELS // size**2, 1)
    for k in range(0, len(cuts), few):
        cut = cuts[k : k + few].astype(np.float64)
        finite = np.array([np.isfinite(window).all() for window in cut])
        cut[~finite] = 0
        mean, deviation = cut.mean(axis=(1, 2)), cut.std(axis=(1, 2))
        means.append(mean)
        valid.append(finite & (deviation > FLAT * np.hypot(mean, deviation)))
        if "contrast" in blocks:
            ratio = np.divide(deviation, mean, out=np.ones_like(mean), where=valid[-1] & (mean > 0))
            blocks["contrast"].append(np.log(ratio)[:, None].astype(np.float32))
        if "spectrum" in blocks:
            blocks["spectrum"].append(spectra(cut, over))
        for name in wanted & LENGTHS.keys():
            blocks[name].append(plain(name, cut, windows.sampling))
    return (
        {name: np.concatenate(parts) for name, parts in blocks.items()},
        np.concatenate(valid),
        np.concatenate(means),
    )
