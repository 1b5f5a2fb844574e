"""The conditions of a micrograph as it tells them, in words and as plain values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from persistem.conditions.counting import Counting, counting_in
from persistem.conditions.rings import Rings, rings_in
from persistem.conditions.spectrum import NORMAL, Estimate, parts_of
from persistem.errors import PersistemError
from persistem.reading.asked import obstacles, refusal

if TYPE_CHECKING:
    from persistem.reading import Image


class Conditions(NamedTuple):
    """Counting noise, and Thon rings; these are None where the voltage is not known."""

    counting: Counting
    rings: Rings | None


def conditions_of(image: Image, Cs: float = 0.0, force: bool = False) -> Conditions:
    """What a micrograph says of its conditions; ``Cs`` is the spherical aberration in mm.

    Raises PersistemError if the pixel size is not known or, without ``force``, what was asked for contradicts the
    source; and if the image is too small or has no positive mean.
    """
    if against := obstacles(image, force, ("pixel_size",)):
        raise refusal(str(image.path), against)
    assert image.pixel_size is not None
    try:
        parts = parts_of(image.pixels, image.pixel_size)
    except PersistemError as error:
        raise PersistemError(f"{image.path}: {error}") from error
    counted = counting_in(parts)
    if image.voltage is None:
        return Conditions(counted, None)
    return Conditions(counted, rings_in(parts, image.voltage, Cs, counted.beyond.value))


def lines(found: Conditions) -> list[str]:
    """A line for each quantity: its value with the interval of 95 %, or why the image does not say."""
    dose, mtf, beyond, contrast = found.counting
    said = [_line("dose", dose, "e/Å²", "if grey levels are proportional to counts")]
    if dose.value is not None:
        said.append(_line("modulation transfer", mtf, "at the Nyquist frequency"))
        said.append(_line("information limit", beyond, "1/Å; beyond it is noise alone"))
        said.append(_line("contrast", contrast, "", "deviation over mean without the noise; the thicker, the larger"))
    if found.rings is None:
        return [*said, "defocus: not known without the voltage; give --voltage (kV)"]
    defocus, astigmatism, direction, turns = found.rings
    said.append(_line("defocus", defocus, "Å", f"under or over focus alike; {turns:.0f} rings"))
    if astigmatism.value is not None:
        towards = (
            "no direction stands out" if direction is None else f"largest at {direction:.0f}° from right towards down"
        )
        said.append(_line("astigmatism", astigmatism, "Å", towards))
    return said


def facts(found: Conditions) -> dict[str, Any]:
    """Plain values: each quantity with ``value``, ``low`` and ``high``, or the ``reason`` why the image does not say.

    Dose in e/Å², modulation transfer at the Nyquist frequency, information limit in 1/Å, contrast as deviation over
    mean, defocus without sign and astigmatism in Å, the direction of the largest defocus in degrees; ``says`` has the
    same in words. Nothing on rings if the voltage is not known.
    """
    values: dict[str, Any] = {"says": lines(found)}
    counted = found.counting
    values |= {"dose_e_A2": _plain(counted.dose), "mtf": _plain(counted.mtf), "limit_1_A": _plain(counted.beyond)}
    values |= {"contrast": _plain(counted.contrast)}
    if found.rings is not None:
        values |= {"defocus_A": _plain(found.rings.defocus), "astigmatism_A": _plain(found.rings.astigmatism)}
        values |= {"direction_deg": found.rings.direction}
    return values


def with_contrast(said: dict[str, Any], factor: float, error: float, defocus_trained: bool) -> dict[str, Any]:
    """What an image says, ``facts``, and how strong its contrast is by a model's ``Gauge``, times the simulated.

    ``factor`` is NaN if too few windows say so, or the model was not trained at the defocus; ``error`` is the standard
    deviation of its logarithm.
    """
    why = "too few windows show anything that was trained" if defocus_trained else "its defocus was not trained"
    told = Estimate(None, reason=why)
    if math.isfinite(factor):
        told = Estimate(factor, factor * math.exp(-NORMAL * error), factor * math.exp(NORMAL * error))
    line = _line("contrast, times the simulated", told, "", "if the defocus is as stated")
    return said | {"contrast_factor": _plain(told), "says": [*said["says"], line]}


def _plain(estimate: Estimate) -> dict[str, Any]:
    if estimate.value is None:
        return {"reason": estimate.reason}
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _line(name: str, estimate: Estimate, unit: str, note: str = "") -> str:
    if estimate.value is None:
        return f"{name}: the image does not say; {estimate.reason}"
    ends = (
        ""
        if estimate.low is None or estimate.high is None
        else f" ({_number(estimate.low)} to {_number(estimate.high)})"
    )
    return f"{name}: {_number(estimate.value)}{ends} {unit}".rstrip() + (f"; {note}" if note else "")


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
