"""A micrograph without its local mean and contrast, so that windows on it need no normalisation of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A standard deviation below this share of the root mean square is the rounding of float32: nothing varies there.
FLAT = 1e-6


def normalised(image: NDArray[Any], size: int) -> NDArray[np.float32]:
    """(image - mean) / SD, both of the finite pixels in the square of ``size`` pixels about a pixel, (rows, columns).

    The square is centred on the pixel: of an even size, the pixels on its edges count half. 0 where the square is
    constant and where the pixel itself is not finite. Beyond its edges the image is reflected.
    """
    finite = np.isfinite(image)
    exact = np.where(finite, image, 0).astype(np.float64)
    level = exact.sum() / max(finite.sum(), 1)
    exact -= level  # so that squares lose no digits to the level
    exact[~finite] = 0
    mean, square = (_mean(part, size) for part in (exact, exact**2))
    if not finite.all():
        share = np.maximum(_mean(finite.astype(float), size), 1 / size**2)
        mean, square = mean / share, square / share
    variance = square - mean**2
    nothing = (variance <= FLAT**2 * (variance + (mean + level) ** 2)) | ~finite
    variance[nothing] = 1
    result = (exact - mean) / np.sqrt(variance)
    result[nothing] = 0
    rounded: NDArray[np.float32] = result.astype(np.float32)
    return rounded


def _mean(image: NDArray[Any], size: int) -> NDArray[Any]:
    """The mean over the square of ``size`` pixels about each pixel."""
    from scipy.ndimage import uniform_filter1d

    for axis in (0, 1):
        # of an even size, scipy's window lies half a pixel to one side; the mean of both sides does not
        sides = (0,) if size % 2 else (0, -1)
        image = sum(uniform_filter1d(image, size, axis, mode="reflect", origin=side) for side in sides) / len(sides)
    return image
