"""A micrograph without its local mean and contrast, so that windows on it need no normalisation of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Below this share of the image's own SD a place counts as constant.
FLAT = 1e-6


def filled(image: NDArray[Any]) -> NDArray[np.float32]:
    """The image with the mean of its finite pixels in place of the others."""
    import numpy as np

    finite = np.isfinite(image)
    if finite.all():
        return np.asarray(image, np.float32)
    mean = image[finite].mean(dtype=float) if finite.any() else 0.0
    return np.where(finite, image, mean).astype(np.float32)


def normalised(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(image - mean) / SD, both of the square of ``size`` pixels about a pixel, (rows, columns); 0 where SD is 0."""
    import numpy as np
    from scipy.ndimage import uniform_filter

    exact = image.astype(np.float64)
    exact -= exact.mean()
    mean = uniform_filter(exact, size, mode="reflect")
    variance = uniform_filter(exact**2, size, mode="reflect") - mean**2
    constant = variance <= (FLAT * exact.std()) ** 2
    variance[constant] = 1
    result = (exact - mean) / np.sqrt(variance)
    result[constant] = 0
    rounded: NDArray[np.float32] = result.astype(np.float32)
    return rounded
