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
#: Pixels so much finer than a model's show less than a window; the unit of their size is wrong.
FINEST = 1000
#: The filter passes 88 % of the coarser grid's Nyquist frequency and, to 0.1 %, nothing from that frequency on.
HALF_LENGTH, CUTOFF, BETA = 32, 0.94, 6.0
#: Lines that are filtered at a time, so that memory stays that of the image.
LINES = 256


def resample(pixels: NDArray[Any], pixel_size: float, sampling: float) -> NDArray[np.float32]:
    """An image (rows, columns) with pixels of ``pixel_size`` Å, at ``sampling`` Å: float32, band limited.

    What the coarser of the two grids cannot hold is filtered out first (sinc with a Kaiser window, SciPy's
    ``resample_poly``); beyond the edges goes on what is at the edge. The first pixels coincide. The ratio of the pixel
    sizes is taken as that of two whole numbers, the smaller at most 1000. Raises PersistemError where the pixels are
    too coarse, or finer than any micrograph's.
    """
    import numpy as np

    if not 0 < pixel_size <= COARSEST * sampling * (1 + 1e-9):
        raise PersistemError(
            f"its pixels of {pixel_size:.4g} Å are too coarse: the model needs {COARSEST * sampling:.4g} Å or finer;"
            " use a higher magnification, or a model with a coarser windows.sampling"
        )
    if pixel_size * FINEST < sampling:
        raise PersistemError(
            f"its pixels of {pixel_size:.4g} Å are too fine: the model can use {sampling / FINEST:.4g} Å or coarser;"
            " look at the unit of the pixel size"
        )
    ratio = Fraction(pixel_size / sampling).limit_denominator(FINEST)
    if ratio == 1:
        return np.array(pixels, dtype=np.float32)
    lines = _along_rows(pixels, ratio)
    return np.ascontiguousarray(_along_rows(lines.T, ratio).T)


def _along_rows(image: NDArray[Any], ratio: Fraction) -> NDArray[np.float32]:
    """The image with ``ratio`` times as many columns."""
    import numpy as np
    from scipy.signal import firwin, resample_poly

    up, down = ratio.numerator, ratio.denominator
    coarser = max(up, down)
    taps = firwin(2 * HALF_LENGTH * coarser + 1, CUTOFF / coarser, window=("kaiser", BETA))
    for k in range(up):  # every pixel is a mean, so that what is constant (saturated, vacuum) stays so to the last bit
        taps[k::up] /= taps[k::up].sum() * up
    result = np.empty((len(image), -(-image.shape[1] * up // down)), dtype=np.float32)
    for k in range(0, len(image), LINES):
        part = np.asarray(image[k : k + LINES], dtype=np.float64)
        result[k : k + LINES] = resample_poly(part, up, down, axis=1, window=taps, padtype="edge")
    return result
