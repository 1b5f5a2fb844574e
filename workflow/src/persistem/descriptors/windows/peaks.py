"""Peaks of the two-dimensional spectrum of windows, which annular averages hide: lattice fringes have a direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from persistem.descriptors.spectra import hann

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bands of the spectrum, by periods in a window; a band begins at twice the frequency of the one before last.
BANDS = ((2, 4), (3, 6), (4, 8), (6, 12), (8, 16), (12, 24), (16, 32))
#: What is told of a band: its largest, second and fifth largest power over the mean, and how one-sided its power is.
TOLD = 4


def bands(size: int, rings: int) -> list[tuple[int, int]]:
    """The bands of windows of ``size`` pixels that lie within the first ``rings`` rings of their spectrum."""
    return [band for band in BANDS if band[1] <= min(rings, size // 2)] or [BANDS[0]]


def peak_count(size: int, rings: int) -> int:
    """How many numbers tell of the peaks."""
    return TOLD * len(bands(size, rings))


def peaks(cut: NDArray[np.float64], rings: int) -> NDArray[np.float32]:
    """Peaks of the spectra of windows (n, size, size), (n, numbers): ``TOLD`` for each band.

    The powers are those of a Hann window, each over the mean of its ring, so that a fall from ring to ring is no peak;
    they enter by their logarithm. How one-sided a band is, from 0 to 1, is the length of the mean of exp(2iθ) weighted
    by power, θ being the direction.
    """
    from scipy.fft import rfft2

    n, size = len(cut), cut.shape[-1]
    taper = hann(size, symmetric=True)
    transformed = rfft2((cut - cut.mean(axis=(1, 2), keepdims=True)) * (taper[:, None] * taper))
    power = (transformed.real**2 + transformed.imag**2).reshape(n, -1)
    down, across = np.broadcast_arrays(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    frequency = (np.hypot(down, across) * size).ravel()
    # the first column of a half spectrum holds both halves
    half = ~((across == 0) & (down < 0)).ravel()
    turned = np.exp(2j * np.arctan2(down, across)).ravel()
    ring = np.rint(frequency).astype(int)
    told = []
    for low, high in bands(size, rings):
        within = np.flatnonzero(half & (ring >= low) & (ring < high))
        values, number = power[:, within], ring[within] - low
        means = np.stack([values[:, number == k].mean(axis=1) for k in range(high - low)], axis=1)
        over = values / np.where(means > 0, means, 1)[:, number]
        largest = np.sort(over, axis=1)[:, ::-1][:, [0, 1, 4]]
        total = over.sum(axis=1)
        sided = np.abs(over @ turned[within]) / np.where(total > 0, total, 1)
        told.append(np.column_stack([np.log(np.maximum(largest, 1e-6)), sided]))
    return np.hstack(told).astype(np.float32)
