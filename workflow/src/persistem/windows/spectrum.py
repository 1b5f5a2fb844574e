"""The annular averaged power spectrum of windows, and their contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Windows

#: Power below this share of a window's variance is rounding.
FLOOR = 1e-9


def rings(windows: Windows, size: int) -> NDArray[np.float64]:
    """Which pixels of a window's half spectrum make which ring, (size * (size // 2 + 1), rings), each averaged.

    Rings are as wide as the window resolves, 1 / size, from there to ``windows.frequency``.
    """
    along, across = np.fft.fftfreq(size), np.fft.rfftfreq(size)
    radius = np.hypot(along[:, None], across) * size
    last = int(windows.frequency * windows.sampling * size + 1e-9)
    number = np.rint(radius).astype(int).ravel()
    # of the half spectrum all columns but the first and, of even sizes, the last stand for two
    twice = np.full(len(across), 2.0)
    twice[0] = 1
    if size % 2 == 0:
        twice[-1] = 1
    weight = np.broadcast_to(twice, radius.shape).ravel()
    matrix = np.zeros((radius.size, last))
    for k in range(1, last + 1):
        matrix[:, k - 1] = np.where(number == k, weight, 0)
    averaged: NDArray[np.float64] = matrix / matrix.sum(axis=0)
    return averaged


def spectra(cut: NDArray[Any], averaged: NDArray[np.float64]) -> NDArray[np.float32]:
    """Logarithm of the annular averages of |FFT|² of windows (n, size, size) over their variance, (n, rings).

    Windows are tapered by a Hann window, as an edge that does not repeat is no structure. ``averaged`` from ``rings``.
    """
    from scipy.fft import rfft2

    size = cut.shape[-1]
    taper = np.hanning(size + 2)[1:-1]
    centred = cut - cut.mean(axis=(1, 2), keepdims=True)
    variance = (centred**2).mean(axis=(1, 2))
    power = np.abs(rfft2(centred * taper[:, None] * taper)) ** 2
    mean = power.reshape(len(cut), -1) @ averaged / (size**2 * (taper**2).mean() ** 2)
    constant = variance <= 0
    ratio = mean / np.where(constant, 1, variance)[:, None]
    result: NDArray[np.float32] = np.log(np.maximum(ratio, FLOOR)).astype(np.float32)
    return result
