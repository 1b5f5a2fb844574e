"""Pixel size, voltage and defocus: what a source states, what the caller asks for, and whether the two agree."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from persistem.errors import PersistemError, Setting
from persistem.reading.found import BadImage, BadPixelSize, Found, angstrom

if TYPE_CHECKING:
    from persistem.reading import Image

#: The parts of a message that a face puts together.
Clause = tuple[str, ...]


class Quantity(NamedTuple):
    """A setting that the caller may ask for, and how far it may be from what the source states."""

    name: str
    unit: str
    relative: float
    absolute: float = 0.0
    note: str = ""


#: Magnifications of microscopes are wrong by up to 5 %, so a pixel size within that is a recalibration. A voltage has
#: the model's tolerance. A defocus is read off in nm, and its scale is calibrated no better than the magnification.
QUANTITIES = {
    "pixel_size": Quantity("pixel size", "Å", 0.05),
    "voltage": Quantity("voltage", "kV", 0.01),
    "defocus": Quantity("defocus", "Å", 0.05, 10.0, ", underfocus positive"),
}


class Stated(NamedTuple):
    """What a source states of a quantity, and where in it that stands."""

    value: float
    tag: str


class Difference(NamedTuple):
    """A quantity that was asked for otherwise than the source states it."""

    setting: str
    asked: float
    stated: float
    tag: str
    source: str  # file, or what else it is
    contradicts: bool  # farther apart than a recalibration

    def __str__(self) -> str:
        asked, stated = self.values
        return f"{self.setting} = {asked} was given, but the {self.source} says {stated} ({self.tag})"

    @property
    def values(self) -> tuple[str, str]:
        """What was asked for and what is stated, with their unit."""
        unit = QUANTITIES[self.setting].unit
        return f"{self.asked:.4g} {unit}", f"{self.stated:.4g} {unit}"


def check(given: Mapping[str, float | None]) -> None:
    """Raise PersistemError unless every number given is finite, and positive if it is not a defocus."""
    for name, value in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
            raise PersistemError(Setting(name), f" = {value!r}: must be a number, in {QUANTITIES[name].unit}")
        if value is not None and not (math.isfinite(value) and (value > 0 or name == "defocus")):
            kind = "finite" if name == "defocus" else "positive, finite"
            unit = QUANTITIES[name].unit
            raise PersistemError(Setting(name), f" = {value:g} {unit}: must be a {kind} number")


def stated_by(found: Found) -> tuple[dict[str, Stated], BadPixelSize | None]:
    """What a data set states, by setting, and why its pixel size cannot be used, if so."""
    problem = None
    known = {"voltage": found.voltage, "defocus": found.defocus}
    try:
        known["pixel_size"] = angstrom(found)
    except BadPixelSize as error:
        problem = error
    fallback = str(found.facts.get("format", "file"))
    stated = {
        name: Stated(float(value), found.tags.get(name, fallback)) for name, value in known.items() if value is not None
    }
    return stated, problem


def filled(given: Mapping[str, float | None], stated: Mapping[str, Stated]) -> dict[str, float | None]:
    """Each quantity as it is given, or else as the source states it, or None."""
    said = {name: stated[name].value if name in stated else None for name in given}
    return {name: said[name] if value is None else float(value) for name, value in given.items()}


def unreadable(source: Path | str, problem: BadImage) -> PersistemError:
    """The error on a source that holds no image that can be used."""
    tail: Clause = ("; if that is wrong, give ", *remedy("pixel_size")) if isinstance(problem, BadPixelSize) else ()
    return PersistemError(f"{source}: ", *problem.args, *tail)


def differences(image: Image) -> list[Difference]:
    """The quantities of an image that are not as its source states them."""
    found = []
    for name, stated in image.stated.items():
        asked, quantity = getattr(image, name), QUANTITIES[name]
        if asked is not None and asked != stated.value:
            allowed = max(quantity.absolute, quantity.relative * abs(stated.value)) * (1 + 1e-9)
            found.append(Difference(name, asked, *stated, source(image), abs(asked - stated.value) > allowed))
    return found


def contradiction(difference: Difference) -> Clause:
    """The clause on what was asked for against the source, and what to do."""
    asked, stated = difference.values
    return (
        Setting(difference.setting),
        f" = {asked} contradicts the {difference.source}, which says {stated} ({difference.tag}); leave it out to use"
        " that, or add ",
        Setting("force"),
        " to use yours",
    )


def source(image: Image) -> str:
    """What messages call that which an image comes from."""
    return "signal" if image.facts.get("format") == "array" else "file"


def missing(image: Image, needed: Collection[str] = tuple(QUANTITIES)) -> Clause | None:
    """The clause on what neither the source nor the caller says, and how to give it; None if all needed is known."""
    names = _unknown(image, needed)
    remedies: list[str] = []
    for k, name in enumerate(names):
        between = "" if k == 0 else " and " if k == len(names) - 1 else ", "
        remedies += [between, *remedy(name)]
    return (f"{unsaid(image, needed)}; give ", *remedies) if names else None


def unsaid(image: Image, needed: Collection[str] = tuple(QUANTITIES)) -> str:
    """What the source does not say of what is needed, in words."""
    words = [f"{'its' if name == 'pixel_size' else 'the'} {QUANTITIES[name].name}" for name in _unknown(image, needed)]
    listed = words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
    return f"the {source(image)} does not say {listed}"


def _unknown(image: Image, needed: Collection[str]) -> list[str]:
    return [name for name in QUANTITIES if name in needed and getattr(image, name) is None]


def obstacles(image: Image, force: bool = False, needed: Collection[str] = tuple(QUANTITIES)) -> list[Clause]:
    """What is missing of what is needed and, without ``force``, what contradicts the source."""
    unknown = missing(image, needed)
    contradicted = [] if force else [contradiction(d) for d in differences(image) if d.contradicts]
    return [*([unknown] if unknown else []), *contradicted]


def remedy(name: str) -> Clause:
    """A setting and its unit, to follow "give"."""
    return (Setting(name), f" ({QUANTITIES[name].unit}{QUANTITIES[name].note})")


def refusal(name: str, clauses: list[Clause]) -> PersistemError:
    """One error for all that is wrong with an image."""
    parts: list[str] = [f"{name}: "]
    for k, clause in enumerate(clauses):
        parts += [". Also, " if k else "", *clause]
    return PersistemError(*parts)
