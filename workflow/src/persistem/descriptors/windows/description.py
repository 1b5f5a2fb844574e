"""The description of the windows of a micrograph: blocks of numbers on the grid of the windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from persistem.descriptors.spectra import Rings
from persistem.descriptors.windows import lifetimes
from persistem.descriptors.windows import pairs as window_pairs
from persistem.descriptors.windows.filters import Level, filter_count, filtered, level
from persistem.descriptors.windows.local import FLAT
from persistem.descriptors.windows.pairs import PAIR, rows_of_tiles
from persistem.descriptors.windows.peaks import peak_count, peaks
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
#: Rows of pixels that are filtered at a time: a filter needs many above and below.
TALL = 256
#: The blocks that need birth-death pairs, and which.
SOUGHT = {"persistence": window_pairs.sought, "lifetimes": lifetimes.sought}
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
    size, spectrum = side(windows), ring_count(windows, side(windows))
    usual = {"contrast": 1, "spectrum": spectrum, "persistence": pair_numbers(windows)}
    beside = {"peaks": peak_count(size, spectrum), "intensity": 1, "filters": filter_count(size)}
    return usual | LENGTHS | {"lifetimes": lifetimes.LENGTH} | beside


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
        ``spectrum.spectra``; persistence, see ``sums.window_sums``; low-passed, moments and texture, see ``plain``;
        lifetimes, see ``lifetimes.moments``; peaks, see ``peaks.peaks``; intensity, the mean less the image's, over
        the image's deviation, see ``filters.level``; filters, see ``filters.filtered``
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
    seeking = {name: find(windows) for name, find in SOUGHT.items() if name in wanted}
    near = {name: np.empty(0, dtype=PAIR) for name in seeking}
    greys = level(image) if wanted & {"intensity", "filters"} else Level(0.0, 1.0)
    rows: Iterable[tuple[int, dict[str, NDArray[np.void]]]] = [(image.shape[0], near)]
    at_once = max(ROWS, TALL // step) if "filters" in wanted else ROWS
    for bottom, born in rows_of_tiles(image, windows, seeking, jobs, progress) if seeking else rows:
        if pairs and "persistence" in seeking:
            pairs(born["persistence"])
        near = {name: np.concatenate([near[name][near[name]["row"] >= done * step], born[name]]) for name in seeking}
        ready = min(max((bottom - size) // step + 1, 0), shape[0])
        while done < ready:
            count = min(at_once, ready - done)
            parts = [
                _direct(image[row * step :][:size], windows, step, wanted, over) for row in range(done, done + count)
            ]
            blocks = {name: np.stack([part[0][name] for part in parts]) for name in parts[0][0]}
            valid, mean = np.stack([part[1] for part in parts]), np.stack([part[2] for part in parts])
            grid = done, (count, shape[1])
            if "persistence" in seeking:
                blocks["persistence"] = window_sums(near["persistence"], windows, size, step, *grid)
            if "lifetimes" in seeking:
                blocks["lifetimes"] = lifetimes.moments(near["lifetimes"], size, step, *grid)
            if "intensity" in wanted:
                brightness = (mean - greys.mean) / greys.deviation
                blocks["intensity"] = brightness.astype(np.float32)[..., None]
            if "filters" in wanted:
                blocks["filters"] = filtered(image, greys, size, step, *grid)
            yield done, Description(blocks, valid, mean, step, size)
            done += count
            if progress and not seeking:
                progress(done, shape[0])


def _direct(
    line: NDArray[np.float32], windows: Windows, step: int, wanted: set[str], over: Rings
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_], NDArray[np.float64]]:
    """Blocks that need no diagrams of a row of windows, (columns, length), which windows are valid, and their means."""
    size = side(windows)
    cuts = np.lib.stride_tricks.sliding_window_view(line, size, axis=1)[:, ::step].swapaxes(0, 1)
    direct = ("contrast", "spectrum", "peaks", *LENGTHS)
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
        if "peaks" in blocks:
            blocks["peaks"].append(peaks(cut, len(over.starts)))
        for name in wanted & LENGTHS.keys():
            blocks[name].append(plain(name, cut, windows.sampling))
    return (
        {name: np.concatenate(parts) for name, parts in blocks.items()},
        np.concatenate(valid),
        np.concatenate(means),
    )
