"""Moments of the lifetimes and births in every window, octave by octave of the image's detail.

The histograms of ``sums`` say at which grey levels pairs live, and in which bands the settings name. These moments say
how many pairs there are and how long they live in each octave, from the finest pixel on, so nothing has to be known
about the specimen. Pairs are those of a superlevel filtration, islands and rings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from persistem.descriptors.windows.pairs import Sought
from persistem.descriptors.windows.sums import Cells
from persistem.study.evaluation import Band

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Windows

#: The octaves: standard deviations (px) of the two Gaussians, and every how many pixels their difference is sampled.
OCTAVES = ((0, 1, 1), (1, 2, 1), (2, 4, 2), (4, 8, 4))
#: What is told of the pairs of an octave and degree: how many, the mean and the root mean square of their lifetimes,
#: the mean and the root mean square of their births.
MOMENTS = 5
LENGTH = len(OCTAVES) * 2 * MOMENTS
#: An octave and degree without pairs counts as half a pair with this lifetime (SD).
LEAST = 0.02


def sought(windows: Windows) -> Sought:
    """The pairs whose moments are taken."""
    px = windows.sampling
    bands = tuple((Band(narrow=narrow * px, wide=wide * px), step) for narrow, wide, step in OCTAVES)
    return Sought(bands, ("superlevel",))


def moments(pairs: NDArray[np.void], size: int, step: int, first: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Moments of the pairs of ``shape`` windows (rows, columns), from row ``first`` of windows: (…, ``LENGTH``).

    Counts and lifetimes enter by their logarithm. ``pairs`` includes all that are born in these windows, and may
    include others; windows are ``size`` pixels wide and ``step`` apart.
    """
    cells = Cells(size, step, first, shape)
    pairs, place = cells.place(pairs)
    result = np.empty((*shape, len(OCTAVES), 2, MOMENTS), dtype=np.float32)
    for octave in range(len(OCTAVES)):
        for degree in (0, 1):
            among = (pairs["band"] == octave) & (pairs["degree"] == degree)
            birth = pairs["birth"][among].astype(float)
            lifetime = np.abs(birth - pairs["death"][among])
            sums = [
                cells.added(np.bincount(place[among], weights, minlength=cells.count), 1)[..., 0]
                for weights in (np.ones(len(birth)), lifetime, lifetime**2, birth, birth**2)
            ]
            count = sums[0] + 0.5
            mean, square, mean_birth, square_birth = (total / count for total in sums[1:])
            result[..., octave, degree, :] = np.stack(
                [
                    np.log(count),
                    np.log(mean + LEAST / count),
                    0.5 * np.log(square + LEAST**2 / count),
                    mean_birth,
                    0.5 * np.log(square_birth + LEAST**2 / count),
                ],
                axis=-1,
            )
    return result.reshape(*shape, LENGTH)
