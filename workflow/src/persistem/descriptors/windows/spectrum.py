"""The annular averages of the power spectrum of windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from persistem.descriptors.spectra import Rings, hann, ring_means, rings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Windows

#: Power below this share of a window's variance is rounding.
FLOOR = 1e-9


def rings_of(windows: Windows, size: int) -> Rings:
    """Rings as wide as a window of ``size`` pixels resolves, 1 / size, from there to ``windows.frequency``."""
    return rings((size, size), ring_count(windows, size))


def ring_count(windows: Windows, size: int) -> int:
    """How many rings there are."""
    return int(windows.frequency * windows.sampling * size + 1e-9)


def spectra(cut: NDArray[np.float64], over: Rings) -> NDArray[np.float32]:
    """Logarithm of the annular averages of |FFT|² of windows (n, size, size) over their variance, (n, rings).

    A Hann window tapers each window, since an edge that does not repeat is no structure. White noise gives 0 on average
    over rings; a window without variance gives the logarithm of ``FLOOR``.
    """
    from scipy.fft import rfft2

    taper = hann(cut.shape[-1], symmetric=True)
    centred = cut - cut.mean(axis=(1, 2), keepdims=True)
    variance = (centred**2).mean(axis=(1, 2))
    transformed = rfft2(centred * (taper[:, None] * taper)).reshape(len(cut), -1)[:, over.points]
    mean = ring_means(transformed.real**2 + transformed.imag**2, over) / (taper**2).sum() ** 2
    share = mean / np.where(variance > 0, variance, 1)[:, None]
    result: NDArray[np.float32] = np.log(np.maximum(share, FLOOR)).astype(np.float32)
    return result
