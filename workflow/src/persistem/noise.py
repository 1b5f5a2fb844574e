"""Counting noise of the detector, and the low-pass filter that is applied against it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Noise


def detected(intensity: NDArray[Any], pixel_size: float, noise: Noise) -> NDArray[Any]:
    """A micrograph as a detector counts it, and after the filter.

    Electrons that arrive at a pixel are Poisson distributed about ``noise.dose`` times the pixel's area times its
    intensity. The draw is seeded by the micrograph itself: the same image has the same noise, and two images have
    independent noise. The Gaussian filter has the standard deviation ``noise.low_pass`` and reflects at the edges.

    Parameters
    ----------
    intensity
        absolute intensity, (rows, columns), where vacuum is 1
    pixel_size
        Å
    noise
        dose in electrons per Å², filter in Å

    Returns
    -------
    NDArray
        (rows, columns) float, where vacuum is 1 on average
    """
    import numpy as np
    from scipy.ndimage import gaussian_filter

    exact = np.ascontiguousarray(intensity, dtype=float)
    seed = int.from_bytes(hashlib.sha256(exact.tobytes()).digest()[:16], "big")
    electrons = noise.dose * pixel_size**2  # in vacuum
    # an interpolated micrograph may fall below zero by rounding
    counts: NDArray[Any] = np.random.default_rng(seed).poisson(np.maximum(exact, 0) * electrons) / electrons
    if noise.low_pass is None:
        return counts
    filtered: NDArray[Any] = gaussian_filter(counts, noise.low_pass / pixel_size)
    return filtered
