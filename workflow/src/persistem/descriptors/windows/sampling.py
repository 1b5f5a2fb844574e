"""A micrograph at the pixel size at which its windows are described."""

from __future__ import annotations

import mmap
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: Pixels may be coarser than a model's by this factor; the finest frequencies are then empty.
COARSEST = 1.25
#: Pixels finer than a model's by this factor show less than a window: the unit of their size is wrong.
FINEST = 1000
#: The filter passes 88 % of the coarser grid's Nyquist frequency and, to 0.1 %, nothing from that frequency on.
HALF_LENGTH, CUTOFF, BETA = 32, 0.94, 6.0
#: Lines to filter at a time, so that little memory is needed beyond the image's.
LINES = 256


def check_pixel_size(pixel_size: float, sampling: float) -> None:
    """Raise PersistemError if windows at ``sampling`` cannot be described on pixels of that size; both in Å."""
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


def resampled_shape(shape: tuple[int, ...], pixel_size: float, sampling: float) -> tuple[int, ...]:
    """The shape that an image of this shape has at ``sampling`` Å."""
    ratio = _ratio(pixel_size, sampling)
    return tuple(-(-side * ratio.numerator // ratio.denominator) for side in shape)


def nearest_pixels(places: NDArray[np.int_], pixel_size: float, sampling: float, count: int) -> NDArray[np.int_]:
    """The pixels (places,) of a line of ``count`` that places of it at ``sampling`` Å, in pixels there, are nearest to.

    ``pixel_size`` (Å) is the line's own. As in ``resample``, the first pixels coincide.
    """
    ratio = _ratio(pixel_size, sampling)
    return np.minimum((2 * places * ratio.denominator + ratio.numerator) // (2 * ratio.numerator), count - 1)


def resample(
    pixels: NDArray[Any], pixel_size: float, sampling: float, empty: Callable[..., NDArray[Any]] | None = None
) -> NDArray[np.float32]:
    """An image (rows, columns) with pixels of ``pixel_size`` Å, at ``sampling`` Å: float32, band limited.

    ``empty`` makes arrays of a shape and type, by default ``numpy.empty``. If it makes them in files, only some lines
    of the image are in memory at a time.

    Frequencies that the coarser of the two grids cannot hold are filtered out first (sinc with a Kaiser window, SciPy's
    ``resample_poly``). Pixels at the edges continue beyond them. The first pixels coincide. The ratio of the pixel
    sizes is rounded to a ratio of two whole numbers, the smaller at most 1000. Raises PersistemError if the pixels are
    too coarse, or finer than any micrograph's.
    """
    check_pixel_size(pixel_size, sampling)
    ratio = _ratio(pixel_size, sampling)
    empty = empty or np.empty
    if ratio == 1:
        result = empty(pixels.shape, np.float32)
        for k in range(0, len(pixels), LINES):
            result[k : k + LINES] = pixels[k : k + LINES]
            forget(result, pixels)
        return result
    taps = _taps(ratio)
    rows, columns = resampled_shape(pixels.shape, pixel_size, sampling)
    lines = empty((len(pixels), columns), np.float32)
    for k in range(0, len(pixels), LINES):
        lines[k : k + LINES] = _along_rows(pixels[k : k + LINES], ratio, taps)
        forget(lines, pixels)
    result = empty((rows, columns), np.float32)
    for k in range(0, columns, LINES):
        result[:, k : k + LINES] = _along_rows(lines[:, k : k + LINES].T, ratio, taps).T
        forget(result, lines)
    return result


def forget(*arrays: NDArray[Any]) -> None:
    """Give back the memory that arrays in files have taken; what was written to them is in their files."""
    for array in arrays:
        mapped = getattr(array, "_mmap", None)
        if mapped is not None and getattr(array, "mode", "c") != "c":  # what is written to a copy is nowhere else
            mapped.madvise(mmap.MADV_DONTNEED)


def _ratio(pixel_size: float, sampling: float) -> Fraction:
    return Fraction(pixel_size / sampling).limit_denominator(FINEST)


def _taps(ratio: Fraction) -> NDArray[Any]:
    """The coefficients of the filter."""
    from scipy.signal import firwin

    up = ratio.numerator
    coarser = max(up, ratio.denominator)
    taps: NDArray[Any] = firwin(2 * HALF_LENGTH * coarser + 1, CUTOFF / coarser, window=("kaiser", BETA))
    for k in range(up):  # every pixel is a mean, so that a constant area (saturated, vacuum) stays so to the last bit
        taps[k::up] /= taps[k::up].sum() * up
    return taps


def _along_rows(lines: NDArray[Any], ratio: Fraction, taps: NDArray[Any]) -> NDArray[Any]:
    """Lines with ``ratio`` times as many columns."""
    from scipy.signal import resample_poly

    exact = np.asarray(lines, dtype=np.float64)
    filtered: NDArray[Any] = resample_poly(
        exact, ratio.numerator, ratio.denominator, axis=1, window=taps, padtype="edge"
    )
    return filtered
