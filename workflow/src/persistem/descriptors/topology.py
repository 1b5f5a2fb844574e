"""Numbers from the persistence diagrams of a crop and of its bands; and a surrogate without topology of its own.

What is counted is counted per nm², so that crops of one texture have the same numbers whatever their size, but for the
scatter and for the pairs that end at the crop's edge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.topology.pairs import SHORTEST, band_image, image_pairs, thinning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Band

    #: By band, then by filtration (superlevel, sublevel): (n, 5) degree, birth, death, row and column of birth.
    Diagrams = list[list[NDArray[np.float32]]]

FILTRATIONS = ("superlevel", "sublevel")
SMALLEST = 32  # px; bands of smaller crops are not thinned
LEVELS = 32  # of a Betti curve
COUNTED = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # pairs that live longer than this share of the band's window
ISLANDS = (0.3, 1.0)  # SD; islands that live longer are marked by the pixel of their birth
REACH, RINGS = 6.0, 24  # Å and number of the rings in which pairs of islands are counted

#: The blocks from persistence diagrams, apart from persistence images.
PERSISTENCE = ("statistics", "betti", "islands")


def surrogate(crop: NDArray[Any]) -> NDArray[Any]:
    """A crop with the same power spectrum and random phases, (rows, columns); the same for the same crop.

    The phases are those of white noise, so the result is real (Theiler et al., Physica D 58 (1992) 77).
    """
    from scipy.fft import irfft2, rfft2

    exact = np.ascontiguousarray(crop, dtype=float)
    seed = int.from_bytes(hashlib.sha256(exact.tobytes()).digest()[:16], "big")
    noise = rfft2(np.random.default_rng(seed).normal(size=exact.shape))
    transformed = rfft2(exact)
    randomised = np.abs(transformed) * noise / np.abs(noise)
    randomised[0, 0] = transformed[0, 0]  # the mean keeps its sign
    result: NDArray[Any] = irfft2(randomised, s=exact.shape)
    return result


def diagrams_of(crop: NDArray[Any], pixel_size: float, bands: Iterable[Band]) -> Diagrams:
    """Persistence diagrams of the bands of a standardised crop (rows, columns): pairs as in ``Diagrams``.

    Births and deaths are in standard deviations of the crop, positions in pixels of the crop. A band that is smooth
    over several pixels is thinned, see ``pairs.thinning``.
    """
    diagrams = []
    for band in bands:
        image = band_image(crop, band, pixel_size)
        step = thinning(band, pixel_size) if min(crop.shape) >= SMALLEST else 1
        thinned = np.ascontiguousarray(image[::step, ::step])
        diagrams.append([_diagram(thinned, filtration, step) for filtration in FILTRATIONS])
    return diagrams


def _diagram(image: NDArray[Any], filtration: str, step: int) -> NDArray[np.float32]:
    """Pairs as in ``Diagrams``, of an image whose pixels are ``step`` pixels of the crop apart."""
    pairs = image_pairs(image, filtration)
    table: NDArray[np.float32] = np.column_stack([*pairs[:3], pairs.born]).astype(np.float32)
    table = table[np.abs(table[:, 1] - table[:, 2]) > SHORTEST]
    table[:, 3:] *= step
    return table


def persistence_blocks(
    diagrams: list[Diagrams], pixel_size: float, bands: Iterable[Band], side: float
) -> dict[str, NDArray[Any]]:
    """The blocks of ``PERSISTENCE``, (crops, length) by name, from diagrams of crops.

    ``pixel_size`` and ``side``, the crop's, are in Å.
    """
    windows = [band.window for band in bands]
    area = area_of(side)

    def parts(bands: Diagrams) -> Iterator[tuple[NDArray[Any], float, float]]:
        for filtrations, window in zip(bands, windows, strict=True):
            for pairs in filtrations:
                for degree in (0, 1):
                    yield pairs[pairs[:, 0] == degree], window, area

    return {
        "statistics": np.array([np.concatenate([statistics(*part) for part in parts(crop)]) for crop in diagrams]),
        "betti": np.array([np.concatenate([betti_curve(*part) for part in parts(crop)]) for crop in diagrams]),
        "islands": np.array(
            [np.concatenate([islands(pairs, pixel_size, side) for pairs in crop[0]]) for crop in diagrams]
        ),
    }


def area_of(side: float) -> float:
    """The area (nm²) of a square crop whose side is in Å."""
    return (side / 10) ** 2


def statistics(pairs: NDArray[Any], window: float, area: float) -> NDArray[Any]:
    """Persistence statistics: seventeen numbers of a diagram (n, 5) in a band's window (SD) and the crop's area (nm²).

    Logarithms of how many pairs per nm² live longer than each share ``COUNTED`` of the window; mean, standard
    deviation, quartiles and ninth decile of the lifetimes, in windows; mean and standard deviation of births and of
    deaths; and persistence entropy (Atienza et al., Pattern Recognit. 107 (2020) 107509), which is log n for n equal
    lifetimes, less the logarithm of the area. Fewer than two pairs give zeros.
    """
    if len(pairs) < 2:
        return np.zeros(len(COUNTED) + 11)
    lifetime = np.abs(pairs[:, 1] - pairs[:, 2]) / window
    counts = np.log1p([(lifetime > share).sum() / area for share in COUNTED])
    share = lifetime / lifetime.sum()
    spread = [lifetime.mean(), lifetime.std(), *np.quantile(lifetime, [0.25, 0.5, 0.75, 0.9])]
    levels = [f(pairs[:, k]) for k in (1, 2) for f in (np.mean, np.std)]
    return np.concatenate([counts, spread, levels, [-(share * np.log(share * area)).sum()]])


def betti_curve(pairs: NDArray[Any], window: float, area: float) -> NDArray[Any]:
    """Square roots of the number of islands or rings per nm² at each of ``LEVELS`` levels; ``area``: the crop's, nm².

    The root evens out the scatter of counts. Levels lie evenly between -window and +window (SD).
    """
    levels = np.linspace(-window, window, LEVELS)
    low, high = np.sort(np.minimum(pairs[:, 1], pairs[:, 2])), np.sort(np.maximum(pairs[:, 1], pairs[:, 2]))
    alive = np.searchsorted(low, levels, "right") - np.searchsorted(high, levels, "right")
    curve: NDArray[Any] = np.sqrt(alive / area)
    return curve


def islands(pairs: NDArray[Any], pixel_size: float, side: float) -> NDArray[Any]:
    """How far apart islands are born: square roots of the density of islands in rings around an island.

    The number of pairs in a ring is divided by the ring's radius, the number of other islands, and the share of such
    pairs of which both ends are in a crop of ``side`` (Å). For each lifetime of ``ISLANDS`` there are ``RINGS`` rings
    up to ``REACH`` (Å); fewer than three islands give zeros.
    """
    from scipy.spatial.distance import pdist

    lifetime = np.abs(pairs[:, 1] - pairs[:, 2])
    radii = (np.arange(RINGS) + 0.5) * (REACH / RINGS)
    curves = []
    for shortest in ISLANDS:
        places = pairs[(pairs[:, 0] == 0) & (lifetime > shortest), 3:] * pixel_size
        if len(places) < 3:
            curves.append(np.zeros(RINGS))
            continue
        counts = np.histogram(pdist(places), np.linspace(0, REACH, RINGS + 1))[0]
        curves.append(np.sqrt(counts / (np.arange(RINGS) + 0.5) / (len(places) - 1) / within(radii, side)))
    return np.concatenate(curves)


def within(distance: NDArray[Any], side: float) -> NDArray[Any]:
    """The share of the steps of a length that begin in a square and end in it, over all directions.

    The isotropised set covariance of a square over its area (Stoyan, Kendall & Mecke, Stochastic Geometry and its
    Applications, 1995, sect. 6.1), which holds up to the side; longer steps count as one of that length.
    """
    ratio = np.minimum(distance / side, 1.0)
    share: NDArray[Any] = 1 - 4 / np.pi * ratio + ratio**2 / np.pi
    return share
