"""Plain measures of windows, which persistence must be compared with: low-passed contrast, moments, texture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Gaussian low-pass filters, standard deviations in Å: from the width of an atom's image to the distance of atoms.
SMOOTH = (0.4, 0.8, 1.6)
#: How many numbers each block has; texture is of ten patterns at three radii.
LENGTHS = {"low-passed": len(SMOOTH), "moments": 2 * (1 + len(SMOOTH)), "texture": 30}


def plain(name: str, cuts: Array, sampling: float) -> NDArray[np.float32]:
    """One of the blocks ``LENGTHS`` of windows (n, size, size) with pixels of ``sampling`` Å, (n, length).

    ``low-passed`` is log(SD / mean) after each filter of ``SMOOTH``; ``moments`` are skewness and excess kurtosis, of
    the window as it is and after each filter; ``texture`` is that of ``descriptors.crops``, after the first filter,
    since pixels of a dose of hundreds of electrons hold mostly noise. A window's filter reflects at its edges. Windows
    that are constant or not positive on average get finite numbers that mean nothing.
    """
    made = {"low-passed": _contrasts, "moments": _moments, "texture": _textures}[name](cuts, sampling)
    return made.astype(np.float32)


def _contrasts(cuts: Array, sampling: float) -> Array:
    mean = cuts.mean(axis=(1, 2))
    columns = []
    for smooth in _smoothed(cuts, sampling):
        deviation = smooth.std(axis=(1, 2))
        known = (mean > 0) & (deviation > 0)
        columns.append(np.log(np.divide(deviation, mean, out=np.ones_like(mean), where=known)))
    return np.stack(columns, axis=1)


def _moments(cuts: Array, sampling: float) -> Array:
    columns = []
    for smooth in (cuts, *_smoothed(cuts, sampling)):
        standardised = _standardised(smooth)
        columns += [(standardised**3).mean(axis=(1, 2)), (standardised**4).mean(axis=(1, 2)) - 3]
    return np.stack(columns, axis=1)


def _textures(cuts: Array, sampling: float) -> Array:
    from persistem.descriptors.crops import texture

    return np.array([texture(window) for window in _standardised(next(_smoothed(cuts, sampling)))])


def _smoothed(cuts: Array, sampling: float) -> Iterator[Array]:
    from scipy.ndimage import gaussian_filter

    for width in SMOOTH:
        sigma = width / sampling
        yield gaussian_filter(cuts, (0, sigma, sigma), mode="reflect")


def _standardised(cuts: Array) -> Array:
    deviation = cuts.std(axis=(1, 2), keepdims=True)
    standardised: Array = (cuts - cuts.mean(axis=(1, 2), keepdims=True)) / np.where(deviation > 0, deviation, 1)
    return standardised
