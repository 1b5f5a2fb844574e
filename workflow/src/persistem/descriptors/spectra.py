"""Annular averaged diffraction intensity: the power spectrum of an image, averaged over directions.

The paper compares it by eye and finds the states inseparable; here it is also trained, on crops. Images are periodic
in the Fourier transform and micrographs are not: without a window the jumps at their edges leak into every frequency.
So a Hann window is applied, scaled to keep the power on average.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.crops import positions
from persistem.imaging.optics import wavelength

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from persistem.study import Crops

#: Spectra are compared and trained up to this spatial frequency (1/Å). Atoms scatter and a corrected 200 kV microscope
#: transfers well below it; beyond are the rounding errors of the files.
LIMIT = 2.0


def power(image: NDArray[Any], pixel_size: float, window: bool = True) -> NDArray[Any]:
    """Power spectral density of images (..., rows, columns) about their means; pixels of ``pixel_size`` (Å).

    |FFT|² times the area of a pixel over the number of pixels, in Å² times the square of the image's unit: integrated
    over frequency (without a window) it is the variance, whatever the size of the image. The frequency zero comes
    first, as in ``numpy.fft``. Raises PersistemError if an image is not finite or narrower than 4 px.
    """
    from scipy.fft import fft2

    values = np.asarray(image, dtype=float)
    if values.ndim < 2 or min(values.shape[-2:]) < 4:
        raise PersistemError(
            f"a spectrum needs images of at least 4 x 4 px, but this array has the shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise PersistemError("a spectrum needs finite intensities, but some are not")
    rows, columns = values.shape[-2:]
    values = values - values.mean(axis=(-2, -1), keepdims=True)
    if window:
        # the mean square of a Hann window is 3/8; the windowed image has a mean again, to be subtracted too
        values = values * (np.outer(hann(rows), hann(columns)) * (8 / 3))
        values -= values.mean(axis=(-2, -1), keepdims=True)
    density: NDArray[Any] = np.abs(fft2(values)) ** 2 * (pixel_size**2 / (rows * columns))
    return density


class Rings(NamedTuple):
    """Points of the half spectrum (rows, columns // 2 + 1) of images, ring after ring.

    ``points`` are positions in the flattened half spectrum, ``weights`` the weights of the points in the mean of their
    ring, and ``starts`` says where the points of each ring begin.
    """

    points: NDArray[np.intp]
    weights: NDArray[np.float64]
    starts: NDArray[np.intp]


def rings(shape: tuple[int, int], last: int) -> Rings:
    """The rings 1 to ``last`` of the spectrum of images (rows, columns).

    A ring is as wide as the frequency step of the shorter side; the frequency zero is in none.
    """
    columns = shape[1]
    number = np.rint(_frequencies(shape) * min(shape)).astype(int)
    # a column of a half spectrum stands for two of the whole, except the first and, of an even number, the last
    across = np.arange(columns // 2 + 1)
    twice = np.where((across == 0) | (2 * across == columns), 1.0, 2.0)
    weights = np.broadcast_to(twice, number.shape).ravel()
    number = number.ravel()
    points = np.argsort(number, kind="stable")
    points = points[(number[points] >= 1) & (number[points] <= last)]
    starts = np.searchsorted(number[points], np.arange(1, last + 1))
    weights = weights[points]
    weights /= np.add.reduceat(weights, starts)[number[points] - 1]
    return Rings(points, weights, starts)


def ring_means(values: NDArray[Any], over: Rings) -> NDArray[np.float64]:
    """The mean over each ring, (..., rings), of values (..., points) at the points of the rings."""
    means: NDArray[np.float64] = np.add.reduceat(values * over.weights, over.starts, axis=-1)
    return means


def hann(pixels: int, symmetric: bool = False) -> NDArray[np.float64]:
    """A Hann window (pixels,): periodic, as a spectrum needs it, or symmetric and nowhere zero.

    Harris, Proc. IEEE 66 (1978) 51. The symmetric one gives the first and the last pixel the same weight.
    """
    if symmetric:
        return np.hanning(pixels + 2)[1:-1]
    return np.asarray(np.sin(np.pi * np.arange(pixels) / pixels) ** 2)


def _frequencies(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Spatial frequencies (1/px) of the half spectrum of images (rows, columns)."""
    rows, columns = shape
    return np.asarray(np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)))


def annular_average(image: NDArray[Any], pixel_size: float, window: bool = True) -> tuple[NDArray[Any], NDArray[Any]]:
    """Spatial frequency (rings,) in 1/Å, and the mean of ``power`` over each ring, (..., rings), of images.

    A ring is as wide as the frequency step of the shorter side, and rings reach up to the Nyquist frequency. The
    frequency of a ring is the mean over its points. The frequency zero is left out. Raises PersistemError as ``power``.
    """
    density = power(image, pixel_size, window)
    rows, columns = density.shape[-2:]
    over = rings((rows, columns), (min(rows, columns) - 1) // 2)
    half = density[..., : columns // 2 + 1].reshape(*density.shape[:-2], -1)
    frequency = _frequencies((rows, columns)).ravel()[over.points] / pixel_size
    return ring_means(frequency, over), ring_means(half[..., over.points], over)


def scattering_angle(frequency: Any, voltage: float) -> Any:
    """Angle (mrad) at which a spatial frequency (1/Å) diffracts electrons of ``voltage`` (kV): Bragg's 2 sin(θ/2) = λk.

    The wavelength is relativistic.
    """
    return 2e3 * np.arcsin(np.asarray(frequency) * wavelength(voltage) / 2)


def spectrum_features(crops: NDArray[Any], pixel_size: float, standardise: bool = True) -> NDArray[Any]:
    """Feature vectors (n, rings) of crops (n, size, size): the logarithm of the annular average up to ``LIMIT``.

    ``standardise`` scales each crop by its own mean and standard deviation, which removes contrast and with it density.
    A crop without contrast has the features of one with next to none. Otherwise intensities count as they are.
    """
    values = np.asarray(crops, dtype=float)
    if standardise:
        deviation = values.std(axis=(-2, -1), keepdims=True)
        values = (values - values.mean(axis=(-2, -1), keepdims=True)) / np.where(deviation > 0, deviation, 1)
    frequency, intensity = annular_average(values, pixel_size)
    kept = frequency <= LIMIT
    if not kept.any():
        raise PersistemError(
            f"crops of {values.shape[-1] * pixel_size:.3g} Å have no spatial frequency up to {LIMIT:g} 1/Å;"
            " spectra need larger ones"
        )
    smallest = np.finfo(float).tiny
    return np.asarray(np.log(np.maximum(intensity[..., kept], smallest)))


def micrograph_features(
    intensity: NDArray[Any], pixel_size: float, crops: Crops, standardise: bool = True
) -> NDArray[Any]:
    """``spectrum_features`` of the crops of a micrograph (rows, columns), in the order of ``crops.positions``."""
    corners = positions(intensity.shape, crops)
    cut = np.stack([intensity[r : r + crops.size, c : c + crops.size] for r, c in corners])
    return spectrum_features(cut, pixel_size, standardise)


def contrast_inversion(images: NDArray[Any], defoci: Sequence[float]) -> dict[str, Any]:
    """Where the contrast of one specimen inverts, from its micrographs (n, rows, columns) at ``defoci`` (n,) in Å.

    Keys: ``pairs``, the correlation of the two images for each pair of defoci; ``correlation``, the most negative one,
    and ``centre_A``, the midpoint of its pair (both None if none is negative); ``lowest_contrast_A``, the defocus with
    the smallest standard deviation over mean. Mirrored in focus, a weak phase object is its own negative, so about the
    inversion the correlation of a pair tends to -1.
    """
    flat = np.asarray(images, dtype=np.float32).reshape(len(images), -1)
    means = flat.mean(axis=1, keepdims=True, dtype=float)
    flat = flat - means.astype(np.float32)
    deviation = np.sqrt(np.einsum("ij,ij->i", flat, flat, dtype=float) / flat.shape[1])
    if not (deviation > 0).all() or not (means > 0).all():
        raise PersistemError("contrast: a micrograph is blank, so its contrast cannot be compared with another's")
    matrix = (flat @ flat.T).astype(float) / (flat.shape[1] * np.outer(deviation, deviation))
    correlations = [(float(matrix[i, j]), i, j) for i in range(len(defoci)) for j in range(i + 1, len(defoci))]
    pairs = [{"defoci": [float(defoci[i]), float(defoci[j])], "correlation": round(r, 6)} for r, i, j in correlations]
    centre = correlation = None
    if correlations and min(correlations)[0] < 0:
        correlation, i, j = min(correlations)
        centre, correlation = (float(defoci[i]) + float(defoci[j])) / 2, round(correlation, 6)
    lowest = float(defoci[int(np.argmin(deviation / means[:, 0]))])
    return {"centre_A": centre, "correlation": correlation, "lowest_contrast_A": lowest, "pairs": pairs}
