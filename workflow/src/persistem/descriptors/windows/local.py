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

    0 where the square is constant and where the pixel itself is not finite. Beyond its edges the image is reflected.
    """
    from scipy.ndimage import uniform_filter

    finite = np.isfinite(image)
    exact = np.where(finite, image, 0).astype(np.float64)
    level = exact.sum() / max(finite.sum(), 1)
    exact -= level  # so that squares lose no digits to the level
    exact[~finite] = 0
    mean, square = (uniform_filter(part, size, mode="reflect") for part in (exact, exact**2))
    if not finite.all():
        share = np.maximum(uniform_filter(finite.astype(float), size, mode="reflect"), 1 / size**2)
        mean, square = mean / share, square / share
    variance = square - mean**2
    nothing = (variance <= FLAT**2 * (variance + (mean + level) ** 2)) | ~finite
    variance[nothing] = 1
    result = (exact - mean) / np.sqrt(variance)
    result[nothing] = 0
    rounded: NDArray[np.float32] = result.astype(np.float32)
    return rounded
