"""A micrograph at the pixel size at which its windows are described."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Pixels may be so much coarser than those that a model describes; the finest frequencies are then empty.
COARSEST = 1.25
#: Lines that are filtered at a time, so that memory stays that of the image.
LINES = 512


def resample(pixels: NDArray[Any], pixel_size: float, sampling: float) -> NDArray[np.float32]:
    """An image (rows, columns) with pixels of ``pixel_size`` Å, at ``sampling`` Å: float32, band limited.

    What the coarser of the two grids cannot hold is filtered out first (sinc with a Kaiser window, SciPy's
    ``resample_poly``); beyond the edges goes on what is at the edge. The ratio of the pixel sizes is taken as that of
    two whole numbers, the denominator at most 256. Raises PersistemError where the pixels are too coarse.
    """
    import numpy as np

    if pixel_size > COARSEST * sampling:
        raise PersistemError(
            f"its pixels of {pixel_size:.4g} Å are too coarse: the model needs {COARSEST * sampling:.4g} Å or finer;"
            " use a higher magnification, or a model with a coarser windows.sampling"
        )
    image = np.asarray(pixels, dtype=np.float32)
    ratio = Fraction(pixel_size / sampling).limit_denominator(256)
    if ratio == 1:
        return image.copy()
    return _along_rows(_along_rows(image, ratio).T, ratio).T.copy()


def _along_rows(image: NDArray[np.float32], ratio: Fraction) -> NDArray[np.float32]:
    """The image with ``ratio`` times as many columns."""
    import numpy as np
    from scipy.signal import resample_poly

    up, down = ratio.numerator, ratio.denominator
    parts = [
        resample_poly(image[k : k + LINES], up, down, axis=1, padtype="edge").astype(np.float32)
        for k in range(0, len(image), LINES)
    ]
    return np.concatenate(parts)
