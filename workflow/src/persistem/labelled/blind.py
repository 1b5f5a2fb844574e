"""Blind windows: what tells the states apart if a window sees its own pixels alone, and no brightness.

A window is cut first, wholly inside labels of one state and away from their border; its plane is taken off and it is
divided by its standard deviation. So brightness, thickness and whatever lies around it have no part in what is learned.
Counting noise still has: where fewer electrons arrive, it is a larger share of the variance. ``equalised`` makes that
share the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.descriptors.windows import describe_windows, nearest_pixels, resample
from persistem.labelled.rows import PART_NAMES, Rows, parts_of
from persistem.learning.validation import CropLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from persistem.labelled.rows import Labelled
    from persistem.reading import Image
    from persistem.study import Windows

    Array = NDArray[np.float64]
    Numbers = NDArray[np.int_]

#: Least distance of a window from a border of its labels, px; windows drawn of a micrograph and state.
BORDER, DRAWN = 3, 200
#: A blind window's mean, in its standard deviations; contrasts need a positive one.
MEAN = 10.0
#: Spatial frequencies from here on (1/px) hold mostly noise.
NOISE = 0.45
#: The blocks of a blind window.
BLOCKS = ("lifetimes", "spectrum")


class Cut(NamedTuple):
    """Windows of a micrograph: pixels (n, side, side), their states (n,), and their corners (n, 2), px."""

    pixels: Array
    state: Numbers
    corner: Numbers


def corners(region: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Where windows that lie wholly in a region (rows, columns), ``BORDER`` px from its border, have their corners."""
    import cv2

    if min(region.shape) < side:
        return np.zeros((0, 0), bool)
    reach = 2 * BORDER + 1
    inside = cv2.erode(region.astype(np.uint8), np.ones((reach, reach), np.uint8))
    area = cv2.integral(inside)
    found: NDArray[np.bool_] = (
        area[side:, side:] - area[:-side, side:] - area[side:, :-side] + area[:-side, :-side]
    ) == side**2
    return found


def cut(
    pixels: NDArray[Any],
    state: NDArray[np.integer[Any]],
    side: int,
    rng: np.random.Generator,
    step: int = 1,
    most: int = DRAWN,
) -> Cut:
    """Windows of an image (rows, columns) that lie wholly in one state (rows, columns), -1 without, drawn at random.

    Of each state ``most`` at most, among those whose corners are ``step`` pixels apart.
    """
    found, states, places_found = [], [], []
    for label in np.unique(state[state >= 0]).tolist():
        places = step * np.argwhere(corners(state == label, side)[::step, ::step])
        places = places[np.sort(rng.permutation(len(places))[:most])]
        found += [pixels[i : i + side, j : j + side] for i, j in places.tolist()]
        states += [label] * len(places)
        places_found += places.tolist()
    return Cut(
        np.asarray(found, float).reshape(-1, side, side),
        np.asarray(states, int),
        np.asarray(places_found, int).reshape(-1, 2),
    )


def blinded(windows: Array) -> Array:
    """Windows (n, side, side) less their planes, over their standard deviations, about ``MEAN``."""
    side = windows.shape[-1]
    along = np.arange(side) - (side - 1) / 2
    down, across = np.meshgrid(along, along, indexing="ij")
    planes = np.stack([np.ones(side * side), down.ravel(), across.ravel()], axis=1)
    planes /= np.linalg.norm(planes, axis=0)  # their columns are orthogonal
    flat = windows.reshape(len(windows), -1)
    flat = flat - (flat @ planes) @ planes.T
    deviation = flat.std(axis=1, keepdims=True)
    return np.asarray((flat / np.where(deviation > 0, deviation, 1)).reshape(windows.shape) + MEAN)


def noise_share(windows: Array) -> Array:
    """The share of white noise in the variance of each window (n,), by the power beyond ``NOISE``."""
    side = windows.shape[-1]
    taper = np.hanning(side + 2)[1:-1]
    taper = taper[:, None] * taper
    centred = windows - windows.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(centred * taper)) ** 2 / (taper**2).sum()
    along = np.fft.fftfreq(side)
    beyond = np.hypot(along[:, None], along) >= NOISE
    return np.asarray(power[:, beyond].mean(axis=1) / centred.var(axis=(1, 2)))


def equalised(windows: Array, state: Numbers, rng: np.random.Generator) -> Array:
    """Windows (n, side, side) of one image with white noise added, so that all states have the same shares of noise.

    The windows of a state are matched to those of the others that have the same rank by their share of noise; each
    gets as much noise as it lacks to the noisiest. The result is blind if the windows are.
    """
    share = noise_share(windows)
    target = share.copy()
    states = np.unique(state).tolist()
    for own in states:
        here = state == own
        rank = (np.argsort(np.argsort(share[here])) + 0.5) / here.sum()
        target[here] = np.max([np.quantile(share[state == other], rank) for other in states], axis=0)
        target[here] = np.maximum(target[here], share[here])
    lacking = np.maximum((target - share) * windows.var(axis=(1, 2)) / np.maximum(1 - target, 1e-3), 0)
    return blinded(windows + np.sqrt(lacking)[:, None, None] * rng.normal(size=windows.shape))


def described(windows: Array, wanted: Windows, blocks: Iterable[str] = BLOCKS) -> dict[str, NDArray[np.float32]]:
    """The blocks (n, length) of windows, each described as an image of its own."""
    names = tuple(blocks)
    found = [describe_windows(one.astype(np.float32), wanted, one.shape[0], names).blocks for one in windows]
    return {name: np.concatenate([one[name][0] for one in found]) for name in names}


def blind_rows(
    micrographs: Sequence[Labelled],
    images: Sequence[Image],
    regions: Sequence[NDArray[np.int16]],
    states: list[str],
    wanted: Windows,
) -> tuple[Rows, Rows] | None:
    """The rows of blind windows of micrographs as they are, and with noise ``equalised``; None if some state has none.

    ``regions`` (rows, columns) hold the state of each pixel of the images, -1 without.
    """
    specimens = list(dict.fromkeys(one.specimen for one in micrographs))
    plain: dict[str, list[NDArray[Any]]] = {name: [] for name in BLOCKS}
    equal: dict[str, list[NDArray[Any]]] = {name: [] for name in BLOCKS}
    y, unit, number, place = [], [], [], []
    for k, (one, image, region) in enumerate(zip(micrographs, images, regions, strict=True)):
        side = one.described.size
        assert image.pixel_size is not None
        pixels = resample(image.pixels, image.pixel_size, wanted.sampling)
        at = (
            nearest_pixels(np.arange(n), image.pixel_size, wanted.sampling, count)
            for n, count in zip(pixels.shape, region.shape, strict=True)
        )
        found = cut(pixels, region[np.ix_(*at)], side, np.random.default_rng([0, k]))
        shows = np.isfinite(found.pixels).all(axis=(1, 2)) & (np.ptp(found.pixels, axis=(1, 2)) > 0)
        if not shows.any():
            continue
        found = Cut(*(of[shows] for of in found))
        windows = blinded(found.pixels)
        for X, shown in (
            (plain, windows),
            (equal, equalised(windows, found.state, np.random.default_rng([1, k]))),
        ):
            for name, block in described(shown, wanted).items():
                X[name].append(block)
        y.append(found.state)
        place.append(found.corner / side)
        number.append(np.full(len(found.state), k))
        alone = len(specimens) == 1
        unit.append(
            parts_of(found.state, found.corner) if alone else np.full(len(found.state), specimens.index(one.specimen))
        )
    if not y or set(np.concatenate(y).tolist()) != set(range(len(states))):
        return None
    labels = np.concatenate(y)
    crops = CropLabels(labels, np.concatenate(unit), np.zeros(len(labels)), np.concatenate(number), tuple(states))
    units = tuple(specimens) if len(specimens) > 1 else PART_NAMES
    as_they_are, with_equal_noise = (
        Rows({name: np.concatenate(of) for name, of in X.items()}, {}, crops, units, np.concatenate(place))
        for X in (plain, equal)
    )
    return as_they_are, with_equal_noise
