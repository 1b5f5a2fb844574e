"""What a micrograph says of its own conditions, as numbers that a model may see beside what describes a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.conditions.counting import RINGS, counting_in, deviation
from persistem.conditions.rings import rings_in
from persistem.conditions.spectrum import Parts, parts_of, rings_of
from persistem.errors import PersistemError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The numbers, in their order. Doses are logarithms to base 10 of e/Å², contrasts of the deviation over the mean; the
#: information limit is in 1/Å, the defocus in Å and without sign. What the image does not say is 0, and so are the
#: numbers ``counted`` and ``rings``, which are 1 where it says so.
NAMES = ("counted", "dose", "transfer", "information limit", "contrast", "rings", "defocus")


def numbers(pixels: NDArray[Any], pixel_size: float, voltage: float) -> NDArray[np.float32]:
    """The numbers ``NAMES`` of a micrograph (rows, columns) with pixels of ``pixel_size`` (Å), taken at a voltage (kV).

    Of a micrograph that says nothing at all, as one that is too small for parts of it to be compared, all are 0. The
    defocus is sought without spherical aberration.
    """
    found = np.zeros(len(NAMES), np.float32)
    try:
        parts = parts_of(pixels, pixel_size)
    except PersistemError:
        return found
    dose, transfer, beyond, contrast = counting_in(parts, interval=False)
    if dose.value is not None:
        found[:4] = 1, np.log10(dose.value), transfer.value, beyond.value
    found[4] = np.log10(max(_whole(parts) if contrast.value is None else contrast.value, 1e-6))
    defocus = rings_in(parts, voltage, beyond=beyond.value).defocus
    if defocus.value is not None:
        found[5:] = 1, defocus.value
    return found


def _whole(parts: Parts) -> float:
    """The deviation over the mean, noise included."""
    q, density = rings_of(parts, RINGS)
    return deviation(q, density.mean(axis=0), parts.nyquist)
