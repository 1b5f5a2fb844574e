"""Spectra of parts of a micrograph: their scatter says how well anything read off their mean is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.descriptors.spectra import power
from persistem.errors import PersistemError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Sides of a part, pixels; and how many parts there are along a side, at least and at most.
SMALLEST, LARGEST, PARTS, MOST = 64, 512, 3, 12


#: Standard deviations from the mean to the ends of 95 % of a normal distribution.
NORMAL = 1.96


class Estimate(NamedTuple):
    """A value and the ends of its 95 % interval; None with a ``reason`` where the image does not say."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


class Parts(NamedTuple):
    """Power spectral densities of overlapping parts, (parts, side, side // 2 + 1), and their spatial frequencies, 1/Å.

    The image is divided by its mean, so that counting noise of D electrons per Å² has the density 1/D, in Å².
    """

    density: Array
    row: Array
    column: Array
    nyquist: float


def parts_of(pixels: NDArray[Any], pixel_size: float) -> Parts:
    """Spectra of parts of an image (rows, columns) with pixels of ``pixel_size`` (Å), half overlapping.

    Of a large image parts are taken evenly, and as many as say enough.

    Raises PersistemError if the image is too small, not finite, or has no positive mean to refer to.
    """
    image = np.asarray(pixels)
    side = min(LARGEST, 2 * (min(image.shape) // (PARTS + 1)))
    if side < SMALLEST:
        raise PersistemError(
            f"an image of {image.shape[0]} x {image.shape[1]} px has no parts whose spectra could be compared; needs"
            f" {SMALLEST * (PARTS + 1) // 2} px or more along a side"
        )
    mean = image.mean(dtype=float)
    if not np.isfinite(mean) or mean <= 0:
        raise PersistemError(f"the mean of the image is {mean:g}; counts have a positive one")
    starts = [
        np.unique(np.linspace(0, length - side, min(MOST, 2 * length // side - 1)).astype(int))
        for length in image.shape
    ]
    tiles = (image[r : r + side, c : c + side] / mean for r in starts[0] for c in starts[1])
    density = np.stack([power(tile, pixel_size)[:, : side // 2 + 1] for tile in tiles])
    row: Array = np.asarray(np.fft.fftfreq(side, pixel_size), float)[:, None]
    column: Array = np.asarray(np.fft.rfftfreq(side, pixel_size), float)[None]
    return Parts(density, row, column, 0.5 / pixel_size)


def rings_of(parts: Parts, count: int) -> tuple[Array, Array]:
    """Frequencies (rings,) and densities (parts, rings), averaged over directions up to the Nyquist frequency.

    Rings are as wide as a pixel of the spectrum, or wider where ``count`` is less. The zero frequency is left out.
    """
    q = np.hypot(parts.row, parts.column)
    number = np.minimum((q / parts.nyquist * count).astype(int), count)
    inside = (number < count) & (q > 0)
    # of a half spectrum the columns between the first and the last count twice
    weight = np.where((parts.column == 0) | (parts.column >= parts.nyquist * (1 - 1e-9)), 1.0, 2.0) * inside
    flat, ring = weight.ravel(), number.ravel()
    total = np.bincount(ring, flat, count + 1)[:count]
    kept = total > 0
    frequency = np.bincount(ring, (q * weight).ravel(), count + 1)[:count][kept] / total[kept]
    density = np.stack([np.bincount(ring, (d * weight).ravel(), count + 1)[:count][kept] for d in parts.density])
    return frequency, density / total[kept]


def resampled(number: int, draws: int) -> list[NDArray[np.intp]]:
    """Parts drawn with replacement, the same each time."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, number, number) for _ in range(draws)]


def ninety_five(values: list[float], value: float, number: int) -> tuple[float, float]:
    """Ends of an interval of 95 % about a value, by the scatter of values from parts drawn with replacement.

    Parts overlap by half, so that about every second counts.
    """
    spread = NORMAL * float(np.std(values)) * float(np.sqrt(2 * number / max(number - 1, 1)))
    return value - spread, value + spread
