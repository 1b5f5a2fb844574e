"""The detector: pixels that count electrons, the spread of an electron's signal, and the low-pass filter."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Detector


def detected(intensity: NDArray[Any], pixel_size: float, detector: Detector) -> NDArray[Any]:
    """A micrograph as the detector records it, after the filter.

    A pixel of the detector averages ``binning``² pixels of the micrograph. Its electrons are Poisson distributed about
    dose times area times intensity. An electron's signal spreads over neighbouring pixels. This damps signal and noise
    by the modulation transfer function, here a Gaussian with the value ``mtf`` at the Nyquist frequency q_N of the
    detector's pixels, exp(-ln(1/mtf) (q/q_N)²). In a scintillator the paths of electrons differ and noise is damped
    less than signal (Meyer & Kirkland, Microsc. Res. Tech. 49 (2000) 269); here all electrons deposit alike, so both
    are damped alike. The filter is a Gaussian. Both reflect at the edges.

    The draw is seeded by the micrograph itself: the same image has the same noise, and two images have independent
    noise.

    Parameters
    ----------
    intensity
        absolute intensity, (rows, columns), where vacuum is 1; both multiples of ``detector.binning``
    pixel_size
        of ``intensity``, Å
    detector
        dose in electrons per Å², filter in Å

    Returns
    -------
    NDArray
        (rows, columns) / binning, float, where vacuum is 1 on average; its pixels are ``pixel_size * binning`` wide

    Raises
    ------
    PersistemError
        if no electron is counted in the whole micrograph.
    """
    from scipy.ndimage import gaussian_filter

    binning = detector.binning
    exact = np.ascontiguousarray(intensity, dtype=float)
    rows, columns = (side // binning for side in exact.shape)
    image: NDArray[Any] = exact.reshape(rows, binning, columns, binning).mean(axis=(1, 3)) if binning > 1 else exact
    if detector.dose is not None:
        image = _counted(image, detector.dose * (pixel_size * binning) ** 2, detector.dose)
    if detector.mtf is not None:
        image = _transferred(image, detector.mtf)
    if detector.low_pass is not None:
        image = gaussian_filter(image, detector.low_pass / (pixel_size * binning))
    return image


def _counted(image: NDArray[Any], electrons: float, dose: float) -> NDArray[Any]:
    """Counts in units of ``electrons``, the mean count of a pixel in vacuum."""
    seed = int.from_bytes(hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()[:16], "big")
    # an interpolated micrograph may fall below zero by rounding
    counts: NDArray[Any] = np.random.default_rng(seed).poisson(np.maximum(image, 0) * electrons)
    if not counts.any():
        raise PersistemError(
            f"detector.dose = {dose:g} e/Å²: no electron is counted in the micrograph, {image.sum() * electrons:.3g}"
            " are expected; needs a higher dose"
        )
    return counts / electrons


def _transferred(image: NDArray[Any], mtf: float) -> NDArray[Any]:
    """The image times the Gaussian transfer function in reciprocal space.

    Cosine k over n pixels has k/n of the Nyquist frequency, and continues beyond the edges as a reflection. In real
    space the Gaussian is narrower than a pixel, too narrow to be sampled.
    """
    from scipy.fft import dctn, idctn

    rows, columns = (np.exp(math.log(mtf) * (np.arange(n) / n) ** 2) for n in image.shape)
    transferred: NDArray[Any] = idctn(dctn(image) * rows[:, None] * columns)
    return transferred


def binning(pixel_size: float, sampling: float) -> int:
    """Simulated pixels along a detector pixel: nearest to ``sampling``, and at most 1.25 times it (both in Å)."""
    return max(1, min(round(sampling / pixel_size), int(1.25 * sampling / pixel_size)))
