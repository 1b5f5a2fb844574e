"""Made-up micrographs for the gallery: noise of one period, with one border or none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Å.
PIXEL = 0.6


def grain(period: float, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise (rows, columns) of one period (Å) with pixels of ``PIXEL``; its mean is 0, its standard deviation 1."""
    along = [np.fft.fftfreq(n, PIXEL) for n in shape]
    ring = np.exp(-(((np.hypot(*np.meshgrid(*along, indexing="ij")) - 1 / period) / 0.05) ** 2))
    made = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * ring).real
    return made / made.std()


def two_phases(seed: int, shape: tuple[int, int] = (192, 192)) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A micrograph of a fine and a coarse grain, equally bright and strong, and the number of the grain at each pixel.

    1 is the fine grain, below a wavy line; 2 the coarse one, above it.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape) / np.reshape(shape, (2, 1, 1))
    fine = rows + 0.15 * np.sin(5 * columns + seed) > 0.5
    pixels = 1 + 0.1 * np.where(fine, grain(3, shape, rng), grain(6, shape, rng))
    return (pixels + 0.02 * rng.normal(size=shape)).astype(np.float32), np.where(fine, 1, 2).astype(np.uint8)
