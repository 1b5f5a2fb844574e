"""What a reader finds in a file, and how programs write units: lengths in Å, voltages, defoci."""

from __future__ import annotations

import contextlib
import html
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Å in a unit of length, by its name as ``unit`` spells it: Å, µ and accents are plain letters.
LENGTHS = {
    **dict.fromkeys(("a", "aa", "a°", "ang", "angstrom", "angstroms", "angstroem", "angstroems"), 1.0),
    **dict.fromkeys(("pm", "picometer", "picometers", "picometre", "picometres"), 1e-2),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 10.0),
    **dict.fromkeys(("um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"), 1e4),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e7),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 1e8),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e10),
}
#: Units of an axis without calibration; the inch comes from a printer's resolution, which programs write unasked.
NONE = ("", "none", "null", "px", "pix", "pixel", "pixels", "undefined", "unknown", "arbu", "arbunit", "arbunits",
        "arbitrary", "arbitraryunit", "arbitraryunits", "au", "n/a", "-", "inch", "inches", "in",
        "referenceframe")  # fmt: skip
#: What an axis may stand for in place of a length, and the units that say so.
ENERGIES = ("ev", "evs", "kev", "mev", "electronvolt", "electronvolts", "counts")
ANGLES = ("mrad", "mrads", "urad", "urads", "rad", "rads", "millirad", "millirads", "microrad", "microrads",
          "milliradian", "milliradians", "microradian", "microradians", "radian", "radians", "deg", "degs", "degree",
          "degrees", "°", "arcsec", "arcsecs", "arcsecond", "arcseconds", "arcmin", "nyquist", "rlu")  # fmt: skip
TIMES = ("s", "sec", "secs", "second", "seconds", "ms", "msec", "millisecond", "milliseconds", "us", "usec", "ns",
         "nanosecond", "nanoseconds", "ps", "picosecond", "picoseconds", "fs", "microsecond", "microseconds", "min",
         "mins", "minute", "minutes", "h", "hr", "hrs", "hour", "hours")  # fmt: skip
#: 1/nm, nm-1, nm^-1, nm**-1, per nm, inverse nm, cycles/nm, pixels per nm, Hz: whatever is divided by.
RECIPROCAL = re.compile(r"/|(\^|\*\*|[a-z])-\d|^(inv|recip)|per|^[kmg]?hz$")
#: What a reciprocal length holds beside the length's name.
NOT_ITS_LENGTH = re.compile(r"[^a-z]|per|^inv(erse)?|^reciprocal|cycles?")
#: A number before a unit, which multiplies it: 0.1 nm, 1e-9 m.
TIMES_UNIT = re.compile(r"\s*(\d*\.?\d+(?:e[+-]?\d+)?)\s*[*x·×]?\s*(?=[^\W\d]|$)")
#: Names of the axes of reciprocal space: Qx, ky, q_x, kr, frequency, 2theta.
RECIPROCAL_AXES = re.compile(r"(q|k)[\s_]*[xyr]\b|.*freq|.*theta|.*reciprocal")
#: Signs that a minus, a slash and an accented letter may be stored as, also after a Unicode normalisation.
PLAIN = str.maketrans(
    {**dict.fromkeys("‐‑‒–—−﹣－¯", "-"), **dict.fromkeys("⁄∕／", "/"), **dict.fromkeys("º˚", "°"), "μ": "u", "ø": "o"}
)
#: Pixels of an electron microscope's image, Å.
SMALLEST, LARGEST = 1e-3, 1e6


class BadImage(Exception):
    """Why something in a file is not a micrograph: a clause to follow the file's name, whole or in parts.

    A part may be a ``persistem.errors.Setting``, which each face words.
    """

    def __str__(self) -> str:
        return "".join(map(str, self.args))


class BadPixelSize(BadImage):
    """Why the pixel size that a file states cannot be used; one that the caller gives replaces it."""


@dataclass
class Found:
    """A data set of a file and what the file says about it.

    ``axes`` as in RosettaSciIO: one dict per axis of ``data``, with ``scale``, ``units`` and ``navigate``.
    """

    data: Any  # numpy, dask or HDF5 array
    axes: list[dict[str, Any]]
    title: str = ""
    voltage: float | None = None  # kV
    defocus: float | None = None  # Å, underfocus positive
    facts: dict[str, Any] = field(default_factory=dict)
    #: Where in the file ``pixel_size``, ``voltage`` and ``defocus`` stand.
    tags: dict[str, str] = field(default_factory=dict)
    not_image: str = ""  # why it is no image, where more than its axes says so


def unit(units: object) -> str:
    """A unit's name in one spelling: lower case, plain letters (``um``, ``a``), no blanks, brackets and dots.

    Programs write entities into XML (``&#181;m``) and escapes into TIFF (``\\u00B5m``), superscripts (``nm⁻¹``) and TeX
    (``nm$^{-1}$``), ``[n_m]`` into EMD, ``nm/pixel`` for a pixel's width, and UTF-8 that another read as Latin-1.
    """
    return measured(units)[1]


def measured(units: object) -> tuple[float, str]:
    """The number in front of a unit, or 1, and the unit's name as ``unit`` has it."""
    if not isinstance(units, str):
        return 1.0, ""
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), html.unescape(units))
    for codec in ("cp1252", "latin-1") if set(plain) & set("ÂÃÎâ") else ():
        with contextlib.suppress(UnicodeError):
            plain = plain.encode(codec).decode()
            break
    plain = unicodedata.normalize("NFKD", plain.translate(PLAIN)).translate(PLAIN).casefold()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = re.sub(r"""^\s*(["'])(.*)\1\s*$""", r"\2", plain)
    bracket = re.search(r"(?<=[a-z])\s*[(\[]([a-z]+)[)\]]\s*$", plain)
    if bracket and (bracket[1] in LENGTHS or bracket[1] == "s"):  # nm (nanometer), nanometer(s)
        plain = plain[: bracket.start()]
    factor = TIMES_UNIT.match(plain)
    plain = re.sub(r"[\s_.\x00()\[\]{}<>$\\]", "", plain[factor.end() :] if factor else plain)
    return float(factor[1]) if factor else 1.0, re.sub(r"(?<=[a-z])(/|per)(px|pix|pixels?)$", "", plain)


def calibrated(found: Found) -> None:
    """Raise BadImage if the axes say that this is no image: reciprocal or angular (diffraction), energies or times.

    Only what an image lies in has to be a length: a stack may count its frames in seconds, degrees or by dose.
    """
    if found.not_image:
        raise BadImage(found.not_image)
    names = [unit(axis.get("units")) for axis in found.axes]
    if any(name in ENERGIES for name in names):
        raise BadImage("a spectrum, not an image")
    titles = [str(axis.get("name", "")).casefold().replace("_", " ") for axis in found.axes[-2:]]
    if any(RECIPROCAL_AXES.match(title.strip()) for title in titles):
        raise BadImage("a diffraction pattern or a Fourier transform (the names of its axes), not an image")
    if any(map(_reciprocal_length, names[:-2])) or any(_reciprocal(name) or name in ANGLES for name in names[-2:]):
        raise BadImage("a diffraction pattern or a Fourier transform (its axes are reciprocal), not an image")
    if set(names[-2:]) & set(TIMES):
        raise BadImage("not an image: an axis of it is a time")
    for axis, name in zip(found.axes[-2:], names[-2:], strict=True):
        if name not in LENGTHS and name not in NONE:
            raise BadImage(f"not an image: an axis of it is in {str(axis['units'])[:20]!r}, which is not a length")


def _reciprocal(name: str) -> bool:
    return name not in LENGTHS and name not in NONE and RECIPROCAL.search(name) is not None


def _reciprocal_length(name: str) -> bool:
    return _reciprocal(name) and NOT_ITS_LENGTH.sub("", name) in LENGTHS


def angstrom(found: Found) -> float | None:
    """Pixel size in Å by the last two axes; None if they are not calibrated.

    Raises BadPixelSize if it cannot be used.
    """
    if len(found.axes) < 2:
        return None
    rows, columns = (_length(axis.get("scale"), axis.get("units")) for axis in found.axes[-2:])
    if rows is None or columns is None:
        return None
    if abs(rows / columns - 1) > 0.01:
        raise BadPixelSize(
            f"its pixels are {columns:.4g} Å wide and {rows:.4g} Å high, but only square ones can be used"
        )
    return columns


def _length(scale: object, units: object) -> float | None:
    size = number(scale)
    factor, name = measured(units)
    if name not in LENGTHS or size is None or size == 0:
        return None
    length = abs(size) * factor * LENGTHS[name]
    if not SMALLEST <= length <= LARGEST:
        raise BadPixelSize(f"its pixels would be {length:.3g} Å wide, which no micrograph's are")
    return length


def number(value: object) -> float | None:
    """A finite number, also from text; None for anything else."""
    try:
        converted = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return converted if math.isfinite(converted) else None


def kilovolts(value: object) -> float | None:
    """A voltage in kV from one in kV or V; None if no electron microscope has it."""
    volts = number(value)
    if volts is None:
        return None
    volts = abs(volts) / 1e3 if abs(volts) > 5e3 else abs(volts)
    return volts if 1 <= volts <= 5e3 else None


def underfocus(value: object, per_angstrom: float = 1e-10) -> float | None:
    """Defocus in Å, underfocus positive, from FEI's and Thermo Fisher's, in m and negative for underfocus."""
    metres = number(value)
    return None if metres is None else 0.0 - metres / per_angstrom


def lookup(tree: object, path: str) -> Any:
    """The entry of nested mappings at a dotted path, or None."""
    for name in path.split("."):
        if not isinstance(tree, Mapping) or name not in tree:
            return None
        tree = tree[name]
    return tree


def search(tree: object, name: str) -> Any:
    """The first entry of that name anywhere in nested mappings, or None."""
    if not isinstance(tree, Mapping):
        return None
    if name in tree:
        return tree[name]
    return next((hit for item in tree.values() if (hit := search(item, name)) is not None), None)


def mapped(signal: Mapping[str, Any], name: str) -> Any:
    """The value ``name``, such as ``beam_energy``, in RosettaSciIO's metadata or its mapping of the maker's."""
    value = search(signal.get("metadata"), name)
    if value is not None:
        return value
    for path, (target, convert) in (signal.get("mapping") or {}).items():
        value = lookup(signal["original_metadata"], path) if target.endswith(f".{name}") else None
        if value is not None:
            try:
                return convert(value) if convert else value
            except (TypeError, ValueError, KeyError, AttributeError):
                return None
    return None
