"""Counting noise: the dose of a micrograph and the detector's modulation transfer, from its highest frequencies.

Beyond the finest detail of the specimen a spectrum holds noise alone. Of an image over its mean, Poisson noise of D
electrons per Å² has the density 1/D at every frequency, and a detector that damps noise as it damps the signal
multiplies it by MTF². With the Gaussian transfer of ``persistem.imaging.detector``, exp(-ln(1/m) (q/q_N)²), the
logarithm of the density is a straight line over q²: its height at 0 gives the dose and its slope m, the transfer at the
Nyquist frequency q_N. What is left of the specimen's signal falls more steeply; it is fitted beside the noise, as a
second line that adds to the first, over the frequencies at which it is no longer far above it.

What is left of the spectrum without the noise is the specimen's contrast. It grows with the thickness: of a thin
amorphous specimen as its square root, since layers that do not know of each other scatter into the same directions.

Grey levels must be proportional to counts: an offset, or noise of another kind, counts as dose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.conditions.spectrum import Estimate, Parts, ninety_five, parts_of, resampled, rings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Rings of the spectrum; and the fewest, at the highest frequencies, that make a line.
RINGS, FEWEST = 64, 12
#: A line ends where its squared deviations, in units of their error, exceed so many for each ring.
STRAIGHT = 2.5
#: Signal and noise are fitted where their sum is below so many times the noise.
ABOVE = 30.0
#: More electrons per Å² than any camera counts in an exposure, and a steeper transfer than any camera has: what is seen
#: then is rounding, or the signal.
MOST, LEAST = 1e6, 0.12
DRAWS = 60


class Counting(NamedTuple):
    """Dose, modulation transfer, the frequency above which noise is alone, and the contrast without the noise.

    In e/Å², at the Nyquist frequency, in 1/Å, and as standard deviation over mean.
    """

    dose: Estimate
    mtf: Estimate
    beyond: Estimate
    contrast: Estimate


def counting(pixels: NDArray[Any], pixel_size: float) -> Counting:
    """The counting noise of a micrograph (rows, columns) with pixels of ``pixel_size`` (Å).

    Raises PersistemError as ``spectrum.parts_of``.
    """
    return counting_in(parts_of(pixels, pixel_size))


def counting_in(parts: Parts, interval: bool = True) -> Counting:
    """The counting noise of a micrograph whose parts have these spectra; an ``interval`` takes most of the time."""
    q, density = rings_of(parts, RINGS)
    squared = (q / parts.nyquist) ** 2
    if not (density > 0).all():
        return _none("the image is constant in places")
    start = _line(squared, density)
    if start is None:
        return _none("the specimen's signal reaches to the highest frequencies, or the noise is not counting noise")
    first = _lowest(squared, density, start)

    def fit(chosen: Array) -> tuple[float, float]:
        return _fit(squared[first:], chosen[:, first:], start - first)

    def contrast(chosen: Array, height: float, slope: float) -> float:
        return deviation(q, chosen.mean(axis=0) - np.exp(height + slope * squared), parts.nyquist)

    height, slope = fit(density)
    dose, mtf = float(np.exp(-height)), float(np.exp(slope / 2))
    if dose > MOST:
        return _none(f"there is no noise as of counting: it would be of {dose:.2g} e/Å²")
    if mtf < LEAST:
        return _none("the spectrum falls to the highest frequencies as the specimen's signal does")
    own = contrast(density, height, slope)
    if not interval:
        return Counting(*(Estimate(value) for value in (dose, mtf, float(q[start]), own)))
    chosen = [density[rows] for rows in resampled(len(density), DRAWS)]
    drawn = [fit(of) for of in chosen]
    contrasts = ninety_five([contrast(of, *by) for of, by in zip(chosen, drawn, strict=True)], own, len(density))
    doses = np.exp(ninety_five([-h for h, _ in drawn], -height, len(density)))
    mtfs = np.minimum(np.exp(ninety_five([s / 2 for _, s in drawn], slope / 2, len(density))), 1)
    return Counting(
        Estimate(dose, float(doses[0]), float(doses[1])),
        Estimate(mtf, float(mtfs[0]), float(mtfs[1])),
        Estimate(float(q[start]), float(q[max(start - 1, 0)]), float(q[start])),
        Estimate(own, max(contrasts[0], 0.0), contrasts[1]),
    )


def deviation(q: Array, density: Array, nyquist: float) -> float:
    """The standard deviation of an image whose spectrum has a density (rings,) at frequencies ``q``; 0 if negative."""
    return float(np.sqrt(max(float((2 * np.pi * q * density).sum()) * nyquist / RINGS, 0.0)))


def _line(squared: Array, density: Array) -> int | None:
    """The first ring from which on the logarithm of the density is straight over q²; None if too few are."""
    mean = density.mean(axis=0)
    # parts overlap by half, so that about every second counts
    error = density.std(axis=0, ddof=1) / mean * np.sqrt(2 / len(density))
    start = None
    for first in range(len(mean) - FEWEST, -1, -1):
        height, slope = _straight(squared[first:], mean[first:])
        away = (np.log(mean[first:]) - height - slope * squared[first:]) / error[first:]
        if np.mean(away**2) > STRAIGHT or np.mean(away[: FEWEST // 2] ** 2) > 2 * STRAIGHT:
            break
        start = first
    return start


def _straight(squared: Array, mean: Array) -> tuple[float, float]:
    """Height and slope of the logarithm of a density over squared frequencies; no upward slope."""
    weight = np.sqrt(squared)  # a ring has as many points as it is long
    slope, height = np.polyfit(squared, np.log(mean), 1, w=np.sqrt(weight))
    if slope > 0:
        return float(np.average(np.log(mean), weights=weight)), 0.0
    return float(height), float(slope)


def _lowest(squared: Array, density: Array, start: int) -> int:
    """The first ring of those up to the highest in which the density is below ``ABOVE`` times the noise."""
    mean = density.mean(axis=0)
    height, slope = _straight(squared[start:], mean[start:])
    above = np.flatnonzero(mean > ABOVE * np.exp(height + slope * squared))
    return int(above.max()) + 1 if len(above) else 0


def _fit(squared: Array, density: Array, start: int) -> tuple[float, float]:
    """Height and slope of the noise, beside a signal that falls more steeply; from ``start`` on there is hardly any."""
    from scipy.optimize import least_squares
    from scipy.special import expit

    mean = density.mean(axis=0)
    height, slope = _straight(squared[start:], mean[start:])
    if start < 4:
        return height, slope
    rest = np.maximum(mean - np.exp(height + slope * squared), 0.05 * mean)[:start]
    steep, tall = np.polyfit(squared[:start], np.log(rest), 1)
    weight = squared**0.25

    def away(of: Array) -> Array:
        a, b, c, d, e = of
        signal = c + (b - d) * squared - e * squared**2
        return np.asarray((np.logaddexp(a + b * squared, signal) - np.log(mean)) * weight)

    def slopes(of: Array) -> Array:
        a, _, c, d, e = of
        share = expit(c - a - d * squared - e * squared**2)  # of the signal in the sum
        columns = (1 - share, squared, share, -share * squared, -share * squared**2)
        return np.asarray(np.stack(columns, axis=1) * weight[:, None])

    begin = [height, min(slope, -1e-6), tall, max(slope - steep, 1.0), 1.0]
    least, most = [-np.inf, -np.inf, -np.inf, 0.5, 0.0], [np.inf, 0.0, np.inf, np.inf, np.inf]
    found = least_squares(away, begin, slopes, bounds=(least, most), x_scale=[0.1, 0.1, 1, 1, 10])
    return float(found.x[0]), float(found.x[1])


def _none(reason: str) -> Counting:
    return Counting(*(Estimate(None, reason=reason) for _ in Counting._fields))
