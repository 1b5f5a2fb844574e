"""The annular averages of the power spectrum of windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Windows

#: Power below this share of a window's variance is rounding.
FLOOR = 1e-9


class Rings(NamedTuple):
    """Pixels of a window's half spectrum (size, size // 2 + 1), ring after ring: where, weight, where a ring begins."""

    pixels: NDArray[np.intp]
    weights: NDArray[np.float64]
    starts: NDArray[np.intp]


def rings(windows: Windows, size: int) -> Rings:
    """Rings as wide as a window of ``size`` pixels resolves, 1 / size, from there to ``windows.frequency``."""
    along, across = np.fft.fftfreq(size, 1 / size), np.fft.rfftfreq(size, 1 / size)
    number = np.rint(np.hypot(along[:, None], across)).astype(int).ravel()
    # all columns of a half spectrum but the first and, of even sizes, the last stand for two of the whole
    twice = np.where((across == 0) | (2 * across == size), 1.0, 2.0)
    order = np.argsort(number, kind="stable")
    last = int(windows.frequency * windows.sampling * size + 1e-9)
    order = order[(number[order] >= 1) & (number[order] <= last)]
    weights = np.broadcast_to(twice, (size, len(across))).ravel()[order]
    starts = np.searchsorted(number[order], np.arange(1, last + 1))
    weights /= np.add.reduceat(weights, starts)[number[order] - 1]
    return Rings(order, weights, starts)


def spectra(cut: NDArray[np.float64], over: Rings) -> NDArray[np.float32]:
    """Logarithm of the annular averages of |FFT|² of windows (n, size, size) over their variance, (n, rings).

    A window is tapered by a Hann window, as an edge that does not repeat is no structure. White noise gives 0
    on average over rings; what has no variance gives the least that is told from rounding.
    """
    from scipy.fft import rfft2

    size = cut.shape[-1]
    taper = np.hanning(size + 2)[1:-1]
    centred = cut - cut.mean(axis=(1, 2), keepdims=True)
    variance = (centred**2).mean(axis=(1, 2))
    transformed = rfft2(centred * (taper[:, None] * taper)).reshape(len(cut), -1)[:, over.pixels]
    power = (transformed.real**2 + transformed.imag**2) * over.weights
    mean = np.add.reduceat(power, over.starts, axis=1) / (taper**2).sum() ** 2
    share = mean / np.where(variance > 0, variance, 1)[:, None]
    result: NDArray[np.float32] = np.log(np.maximum(share, FLOOR)).astype(np.float32)
    return result
