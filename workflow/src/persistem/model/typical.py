"""Whether a micrograph as a whole is of the kind that trained: the typical spectrum of each state in it.

Windows of few micrographs of several sessions scatter so widely that a foreign image's hardly stand out one by one.
The median spectrum of all windows that are said to show a state hardly scatters. Another kind of image has another,
whatever it shows: dark-field, another transfer of the lens or the camera, another specimen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Spectra may lie so many times farther off than those of specimens that were left out in turn.
MARGIN = 1.5
#: The least and the largest limit, logarithm of power. Fewer than ``SEVERAL`` specimens do not tell how specimens
#: differ; then it is the largest. Sessions on one kind of specimen were 0.8 to 2.7 apart, dark-field 3.4 and more
#: (docs/real-micrographs.md).
LEAST, MOST, SEVERAL = 1.25, 2.5, 3
#: Ends of the range of a state without a typical spectrum: everything lies between them.
ANY = 1e3
#: A state with fewer windows in an image has no typical spectrum there.
FEW = 10


class Typical(NamedTuple):
    """The ``low`` and ``high`` end (k, rings) of the states' typical spectra, and how far beyond an image may lie."""

    low: Array
    high: Array
    limit: float


class Shown(NamedTuple):
    """Of an image: the median spectrum of each state's windows (k, rings), NaN without, and their share (k,)."""

    spectra: Array
    share: Array


def shown(spectra: NDArray[np.float32], state: NDArray[np.int_], k: int) -> Shown:
    """What windows with these spectra (windows, rings) and states (windows,) show; -1 is no state."""
    found, count = np.full((k, spectra.shape[1]), np.nan), np.zeros(k)
    for label in range(k):
        own = spectra[state == label]
        if len(own) >= FEW:
            found[label], count[label] = np.median(own, axis=0), len(own)
    return Shown(found, count / max(count.sum(), 1))


def beyond(image: Shown, low: Array, high: Array) -> float:
    """How far an image's typical spectra lie beyond a range (k, rings), in their largest ring; mean over its windows.

    NaN if it shows no state whose range is known.
    """
    far = np.maximum(image.spectra - high, low - image.spectra).max(axis=1)
    known = np.isfinite(far)
    if not known.any():
        return float("nan")
    return float(np.average(np.maximum(far[known], 0), weights=image.share[known]))


def typical(images: Sequence[Shown], specimens: Sequence[str]) -> Typical:
    """What is typical of images of specimens; the limit is set by specimens that are left out in turn."""
    distances = []
    for name in dict.fromkeys(specimens):
        others = [one for one, specimen in zip(images, specimens, strict=True) if specimen != name]
        if others:
            own = [one for one, specimen in zip(images, specimens, strict=True) if specimen == name]
            distances += [beyond(one, *_ends(others)) for one in own]
    known = [distance for distance in distances if np.isfinite(distance)]
    low, high = _ends(images)
    low, high = np.where(np.isnan(low), -ANY, low), np.where(np.isnan(high), ANY, high)
    several = known and len(set(specimens)) >= SEVERAL
    return Typical(low, high, float(np.clip(MARGIN * max(known), LEAST, MOST)) if several else MOST)


def _ends(images: Sequence[Shown]) -> tuple[Array, Array]:
    """The least and the largest of spectra (k, rings), NaN for a state that no image shows."""
    spectra = np.stack([one.spectra for one in images])
    return np.fmin.reduce(spectra), np.fmax.reduce(spectra)
