"""Thon rings: defocus and astigmatism from the zeros of the contrast transfer in a spectrum.

The spectrum of a thin amorphous object is E(q) sin² χ + N(q), where envelope E and background N are smooth and
χ = π λ q² Δf - π λ³ q⁴ Cs / 2 (Scherzer; Reimer & Kohl, Transmission Electron Microscopy, 2008). So its logarithm is a
smooth curve plus a smooth curve times -cos 2χ. For every defocus both curves are fitted by least squares, and the
defocus is that with which they explain most (variable projection). Without spherical aberration underfocus and
overfocus look alike, and the defocus has no sign.

Rings show where the phase goes through several multiples of π below the finest detail of the image. Near focus there
are none, and the spectrum of the atoms' arrangement is all that is seen; then the image does not say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.conditions.spectrum import NORMAL, Estimate, Parts, ninety_five, parts_of, resampled, rings_of
from persistem.imaging.optics import ANGSTROM_PER_MM, wavelength

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Pieces of the smooth curves; the more, the more structure passes for background.
PIECES = 6
#: Turns of 2χ over the fitted frequencies: with fewer the smooth curves would follow them; and those that are needed:
#: distances between atoms make up to five rings too.
TURNS, NEEDED = 2.5, 6.0
#: The share of what the smooth curve leaves that rings explain, at least.
EXPLAINED = 0.35
#: The defocus of both halves of the parts must agree to this share.
AGREE = 0.05
#: Directions whose rings are compared; the largest share of the defocus that astigmatism has.
SECTORS, LARGEST = 12, 0.4
DRAWS = 40


class Rings(NamedTuple):
    """Defocus (Å, without sign), astigmatism (Å, half the difference of the largest and the smallest), its direction.

    The direction of the largest defocus is in degrees from right (along a row) towards down (along a column). ``turns``
    is how often 2χ goes around between the lowest and the highest frequency that were fitted.
    """

    defocus: Estimate
    astigmatism: Estimate
    direction: float | None
    turns: float


def rings(
    pixels: NDArray[Any], pixel_size: float, voltage: float, Cs: float = 0.0, beyond: float | None = None
) -> Rings:
    """Defocus and astigmatism of a micrograph (rows, columns), where rings show.

    ``pixel_size`` in Å, ``voltage`` in kV, ``Cs`` in mm; no ring is sought above the frequency ``beyond`` (1/Å), where
    noise is alone. Raises PersistemError as ``spectrum.parts_of``.
    """
    return rings_in(parts_of(pixels, pixel_size), voltage, Cs, beyond)


def rings_in(parts: Parts, voltage: float, Cs: float = 0.0, beyond: float | None = None) -> Rings:
    """Defocus and astigmatism of a micrograph whose parts have these spectra; the rest as of ``rings``."""
    side = parts.density.shape[1]
    q, density = rings_of(parts, side // 2)
    highest = min(0.95 * parts.nyquist, beyond or np.inf)
    kept = (q > 8 * parts.nyquist / side) & (q <= highest)
    q, density = q[kept], density[:, kept]
    if len(q) < 4 * PIECES or not (density > 0).all():
        return _none("the spectrum has too few frequencies with signal")
    lens = _Lens(wavelength(voltage), Cs * ANGSTROM_PER_MM)
    found = _best(q, np.log(density.mean(axis=0)), lens)
    if found is None:
        return _none("no defocus has rings that could be told from the background")
    value, explained, low = found
    turns = float(abs(lens.phase(q[-1], value) - lens.phase(q[low], value)) / np.pi)
    if explained < EXPLAINED:
        return _none(f"rings explain {explained:.0%} of the spectrum's structure; {EXPLAINED:.0%} are needed", turns)
    if turns < NEEDED:
        return _none(f"{turns:.0f} rings could be of the atoms' arrangement; {NEEDED:.0f} are needed", turns)
    halves = [_near(q, np.log(density[k::2].mean(axis=0)), lens, value, 0.3) for k in (0, 1)]
    if abs(halves[0] - halves[1]) > AGREE * value:
        return _none("two halves of the image have rings of different defoci", turns)
    drawn = [_near(q, np.log(density[k].mean(axis=0)), lens, value, 0.1) for k in resampled(len(density), DRAWS)]
    # astigmatism blurs rings that are averaged over directions, so the defocus is the mean of the directions'
    mean, astigmatism, direction, scatter = _astigmatism(parts, lens, value, q[0], highest)
    if scatter > AGREE * mean:
        return _none("the rings of different directions do not fit one lens", turns)
    return Rings(Estimate(mean, *ninety_five(drawn, mean, len(density))), astigmatism, direction, turns)


class _Lens(NamedTuple):
    """Wavelength (Å) and spherical aberration (Å)."""

    wavelength: float
    Cs: float

    def phase(self, q: Any, defocus: Any) -> Any:
        """χ at spatial frequencies (1/Å) for a defocus (Å)."""
        return np.pi * self.wavelength * q**2 * defocus - np.pi / 2 * self.wavelength**3 * q**4 * self.Cs

    def defocus_of(self, turns: float, low: float, high: float) -> float:
        """The defocus (Å) with which 2χ turns so often between two frequencies, without spherical aberration."""
        return turns / (self.wavelength * (high**2 - low**2))


def _smooth(q: Array) -> Array:
    """Functions of a smooth curve over frequencies: (frequencies, PIECES)."""
    from scipy.interpolate import BSpline

    inner = np.linspace(q[0], q[-1], PIECES - 2)
    knots = np.concatenate([[q[0]] * 3, inner, [q[-1]] * 3])
    return np.asarray(BSpline.design_matrix(np.clip(q, q[0], q[-1] * (1 - 1e-9)), knots, 3).toarray())


def _explained(q: Array, log: Array, lens: _Lens, defoci: Array, smooth: Array, weight: Array) -> Array:
    """The share of what the smooth curve leaves that rings of each defocus explain, with a positive amplitude."""
    base, _ = np.linalg.qr(smooth * weight[:, None])
    left = log * weight
    left = left - base @ (base.T @ left)
    total = float(left @ left)
    few = smooth[:, ::2]
    shares = np.zeros(len(defoci))
    for k, defocus in enumerate(defoci):
        wave = -np.cos(2 * lens.phase(q, defocus))
        columns = few * (wave * weight)[:, None]
        columns = columns - base @ (base.T @ columns)
        amplitude, *_ = np.linalg.lstsq(columns, left, rcond=None)
        # rings have no negative amplitude; one that has is background
        amplitude = np.maximum(amplitude, 0)
        fitted = columns @ amplitude
        norm = float(fitted @ fitted)
        shares[k] = max(float(fitted @ left), 0.0) ** 2 / (norm * total) if norm > 0 else 0.0
    return shares


def _best(q: Array, log: Array, lens: _Lens) -> tuple[float, float, int] | None:
    """The defocus that explains most, the share, and the first frequency that was fitted."""
    highest = len(q) // 4  # turns that the frequencies resolve: four points each
    best: tuple[float, float, int] | None = None
    # structure and the beam spoil the lowest frequencies, by how much the image does not say
    for low in (0, len(q) // 8, len(q) // 4):
        part, values = q[low:], log[low:]
        smooth, weight = _smooth(part), np.sqrt(part)
        turns = np.arange(TURNS, highest, 0.1)
        defoci = np.array([lens.defocus_of(turn, part[0], part[-1]) for turn in turns])
        if not len(defoci):
            continue
        shares = _explained(part, values, lens, defoci, smooth, weight)
        k = int(shares.argmax())
        if best is None or shares[k] > best[1] + 0.02:
            best = float(defoci[k]), float(shares[k]), low
    if best is None:
        return None
    value = _near(q[best[2] :], log[best[2] :], lens, best[0], 0.1)
    return value, best[1], best[2]


def _near(q: Array, log: Array, lens: _Lens, defocus: float, reach: float) -> float:
    """The defocus near another, to a share ``reach``, that explains most."""
    smooth, weight = _smooth(q), np.sqrt(q)
    for width in (reach, reach / 8, reach / 64):
        defoci = defocus * (1 + np.linspace(-width, width, 25))
        defocus = float(defoci[_explained(q, log, lens, defoci, smooth, weight).argmax()])
    return defocus


def _astigmatism(
    parts: Parts, lens: _Lens, defocus: float, low: float, high: float
) -> tuple[float, Estimate, float | None, float]:
    """Mean defocus, astigmatism and its direction, from the rings of each direction, and what is left of their scatter.

    All in Å but the direction, which is in degrees.
    """
    q = np.hypot(parts.row, parts.column)
    angle = np.mod(np.arctan2(parts.row, parts.column), np.pi)
    mean = parts.density.mean(axis=0)
    found, towards = [], (np.arange(SECTORS) + 0.5) * np.pi / SECTORS
    count = parts.density.shape[1] // 4
    for direction in towards:
        # half a turn is where a direction begins again
        away = np.abs(np.mod(angle - direction + np.pi / 2, np.pi) - np.pi / 2)
        inside = (away < np.pi / SECTORS) & (q >= low) & (q <= high)
        number = ((q[inside] - low) / (high - low) * count).astype(int).clip(0, count - 1)
        total = np.bincount(number, minlength=count)
        filled = total > 0
        density = np.bincount(number, mean[inside], count)[filled] / total[filled]
        middle = np.bincount(number, q[inside], count)[filled] / total[filled]
        found.append(_near(middle, np.log(density), lens, defocus, LARGEST))
    wave = np.column_stack([np.ones(SECTORS), np.cos(2 * towards), np.sin(2 * towards)])
    (mean_defocus, c, s), *_ = np.linalg.lstsq(wave, np.array(found), rcond=None)
    residual = float(np.std(found - wave @ (mean_defocus, c, s), ddof=3))
    error = float(NORMAL * residual * np.sqrt(2 / SECTORS))
    # a direction is an average over its sector, which damps what changes with the direction
    size = float(np.hypot(c, s) / np.sinc(1 / SECTORS))
    direction = float(np.degrees(np.arctan2(s, c) / 2) % 180) if size > error else None
    return float(mean_defocus), Estimate(size, max(size - error, 0.0), size + error), direction, residual


def _none(reason: str, turns: float = 0.0) -> Rings:
    return Rings(Estimate(None, reason=reason), Estimate(None, reason=reason), None, turns)
