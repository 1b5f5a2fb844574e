"""What clusters of windows look like: typical windows, the mean persistence diagram, the mean spectrum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from persistem.descriptors.windows import resample
from persistem.descriptors.windows.filters import level
from persistem.descriptors.windows.pairs import rows_of_tiles, sought
from persistem.labelled.describing import Described
from persistem.report.page.pictures import ends, grey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.reading import Image
    from persistem.study import Windows

    Array = NDArray[np.float64]
    Labels = NDArray[np.intp]

#: Grey level at which an image is described, in deviations: so high that a window's mean has no part in its contrast.
LEVEL = 100.0
#: Windows that show a cluster, and of how many of the likeliest they are chosen.
TYPICAL, AMONG = 8, 5000
#: Births and deaths that a diagram shows, SD; its bins; those of lifetimes.
REACH, BINS = 3.0, 36


class Place(NamedTuple):
    """The centre of a window: number of its image, row and column, px of the windows."""

    image: int
    row: int
    column: int


class Profiles(NamedTuple):
    """What clusters look like on average; the last row of each array is all windows together.

    ``spectrum`` (clusters + 1, rings) and its ``scatter`` at ``frequency`` (1/Å), logarithms of the power over that of
    white noise; ``diagram`` (clusters + 1, birth, death) and ``lifetimes`` (clusters + 1, degree, lifetime), pairs per
    nm² in each bin; ``edges`` of births and deaths, and ``steps`` of lifetimes, SD.
    """

    frequency: Array
    spectrum: Array
    scatter: Array
    diagram: Array
    lifetimes: Array
    edges: Array
    steps: Array


def levelled(image: Image) -> Image:
    """An image without its gain and offset, around ``LEVEL``."""
    pixels = np.asarray(image.pixels, dtype=np.float32)
    mean, deviation = level(pixels)
    return replace(image, pixels=(pixels - np.float32(mean)) / np.float32(deviation) + np.float32(LEVEL))


def typical(described: Sequence[Described], labels: Sequence[Labels], densities: Sequence[Array]) -> list[list[Place]]:
    """Of each cluster the likeliest windows that share no pixels.

    ``labels`` (windows,) and ``densities`` (windows, clusters), logarithms, are of the valid windows of each image; the
    first is half a window from its edge.
    """
    candidates = []
    for number, (one, label, density) in enumerate(zip(described, labels, densities, strict=True)):
        row, column = (one.size // 2 + index * one.step for index in np.nonzero(one.valid))
        own = density[np.arange(len(label)), label]
        candidates.append(np.column_stack([own, label, np.full(len(row), number), row, column]))
    table = np.concatenate(candidates)
    size = described[0].size
    shown: list[list[Place]] = []
    for cluster in range(densities[0].shape[1]):
        members = table[table[:, 1] == cluster]
        members = members[np.argsort(-members[:, 0], kind="stable")][:AMONG]
        taken: list[Place] = []
        for image, row, column in members[:, 2:].astype(int).tolist():
            near = (max(abs(row - p.row), abs(column - p.column)) < size for p in taken if p.image == image)
            if len(taken) < TYPICAL and not any(near):
                taken.append(Place(image, row, column))
        shown.append(taken)
    return shown


def profiles_of(
    images: Sequence[Image],
    described: Sequence[Described],
    labels: Sequence[Labels],
    shown: Sequence[Sequence[Place]],
    windows: Windows,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Profiles, tuple[NDArray[np.uint8], ...]]:
    """What each cluster looks like on average, and the windows that are ``shown`` (windows, rows, columns) in grey.

    ``labels`` (windows,) are of the valid windows of each image; the first is half a window from its edge. Pairs belong
    to the cluster of the window whose centre is next to their birth.
    """
    count = len(shown)
    edges, steps = np.linspace(-REACH, REACH, BINS + 1), np.linspace(0, REACH, BINS + 1)
    diagram, lifetimes = np.zeros((count, BINS, BINS)), np.zeros((count, 2, BINS))
    patches: dict[Place, NDArray[np.uint8]] = {}
    for number, (image, one, label) in enumerate(zip(images, described, labels, strict=True)):
        assert image.pixel_size is not None
        pixels = resample(levelled(image).pixels, image.pixel_size, windows.sampling)
        # -1 where there is no window
        grid = np.full([side + 2 for side in one.valid.shape], -1)
        grid[1:-1, 1:-1][one.valid] = label
        of_image = part(progress, number / len(images), (number + 1) / len(images))
        tiles = rows_of_tiles(pixels, windows, {"all": sought(windows)}, jobs, of_image)
        for _, born in tiles:
            pairs = born["all"]
            row, column = (
                np.clip(np.rint((pairs[axis] - one.size // 2) / one.step).astype(int) + 1, 0, side + 1)
                for axis, side in (("row", one.valid.shape[0]), ("column", one.valid.shape[1]))
            )
            for k in range(count):
                of = pairs[grid[row, column] == k]
                # what is beyond the last bin counts for it
                birth, death = (np.clip(of[name], -REACH, REACH) for name in ("birth", "death"))
                diagram[k] += np.histogram2d(birth, death, bins=(edges, edges))[0]
                for degree in (0, 1):
                    lasted = np.abs(of["birth"] - of["death"])[of["degree"] == degree]
                    lifetimes[k, degree] += np.histogram(np.minimum(lasted, REACH), steps)[0]
        patches |= _patches(pixels, [place for of in shown for place in of if place.image == number], one.size)
    label = np.concatenate(labels)
    places = np.bincount(label, minlength=count)
    area = np.append(places, places.sum()) * (described[0].step * windows.sampling / 10) ** 2
    area = np.maximum(area, np.finfo(float).tiny)
    spectra = np.concatenate([one.blocks["spectrum"][one.valid] for one in described]).astype(float)
    groups = [*(spectra[label == k] for k in range(count)), spectra]
    profiles = Profiles(
        frequency=np.arange(1, spectra.shape[1] + 1) / (described[0].size * windows.sampling),
        spectrum=np.stack([group.mean(axis=0) for group in groups]),
        scatter=np.stack([group.std(axis=0) for group in groups]),
        diagram=np.concatenate([diagram, diagram.sum(axis=0, keepdims=True)]) / area[:, None, None],
        lifetimes=np.concatenate([lifetimes, lifetimes.sum(axis=0, keepdims=True)]) / area[:, None, None],
        edges=edges,
        steps=steps,
    )
    none = np.empty((0, described[0].size, described[0].size), np.uint8)
    return profiles, tuple(np.stack([patches[place] for place in of]) if of else none for of in shown)


def part(
    progress: Callable[[int, int], None] | None, start: float, end: float = 1.0
) -> Callable[[int, int], None] | None:
    """The progress of a part of the work, from the share ``start`` of all of it to ``end``."""
    if progress is None:
        return None
    return lambda done, total: progress(round(10_000 * (start + (end - start) * done / total)), 10_000)


def _patches(pixels: NDArray[np.float32], places: Sequence[Place], size: int) -> dict[Place, NDArray[np.uint8]]:
    """Windows of an image; what is black and white is the same in all of them."""
    shown = ends(pixels)
    half = size // 2
    cut = {place: pixels[place.row - half :, place.column - half :][:size, :size] for place in places}
    return {place: grey(window, *shown) for place, window in cut.items()}
