"""Legends: which number, colour or name in a file is which state, and the JSON beside labels that says so."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from persistem.errors import PersistemError, Setting
from persistem.reading.found import BadImage
from persistem.store import seals
from persistem.store.bounded import read_text

#: What a legend names: a number, a colour, or a name that a file has for a region.
Key = int | str
COLOUR = re.compile(r"#[0-9a-f]{6}")
#: Numbers of states: regions are of 8 bits, and 0 is unlabelled.
MOST_STATES = 255
#: Most bytes of a legend.
MOST = 2**20
#: How many names a message lists.
LISTED = 5


class Legend(NamedTuple):
    """The number of a state by what a file has for it, and its name by number."""

    numbers: dict[Key, int]
    names: dict[int, str]
    given: tuple[Key, ...]  # what was stated; nothing where the file's own names are those of the states

    @classmethod
    def of(cls, stated: Mapping[Key, str] | None, own: Mapping[Key, str]) -> Legend:
        """Of a legend that was stated, or else of a file's own names.

        Numbers from 1 to 255 are kept; whatever else the legend names gets the least numbers that are free, in its
        order. Raises BadImage if there are more than 255 states.
        """
        entries = own if stated is None else stated
        names = {key: name for key, name in entries.items() if isinstance(key, int) and 1 <= key <= MOST_STATES}
        by_name = {name: number for number, name in names.items()}
        free = (number for number in range(1, MOST_STATES + 1) if number not in names)
        for name in entries.values():
            if name not in by_name:
                number = next(free, None)
                if number is None:
                    raise BadImage(f"more than {MOST_STATES} states")
                by_name[name] = number
        numbers = {key: by_name[name] for key, name in entries.items()}
        # a file that calls a region by the name of a state needs no entry of its own
        for name, number in by_name.items():
            numbers.setdefault(name, number)
        return cls(numbers, dict(sorted((number, name) for name, number in by_name.items())), tuple(stated or ()))

    def number(self, keys: Iterable[Key]) -> int | None:
        """The state of the first key that has one."""
        return next((self.numbers[key] for key in keys if key in self.numbers), None)

    def said(self) -> str:
        """What was stated, in words."""
        return listed(f"{key}: {self.names[self.numbers[key]]}" for key in self.given)


def stated(path: Path, states: Mapping[Key, str] | None, image: Path | None) -> dict[Key, str] | None:
    """The legend that is given, or else stands beside the labels; None if there is neither.

    Raises PersistemError if it is not one, if both are there and differ, or if the image is not the one labelled.
    """
    given = None if states is None else checked(states, f"{path}: ", Setting("states"))
    place = legend_path(path)
    beside = None if place == path else read_legend(place)
    if beside is None:
        return given
    _same_image(place, beside, image)
    there = checked(beside["states"], f"{place}: ", "states")
    if given is not None and given != there:
        raise PersistemError(
            f"{path}: two legends disagree: ", Setting("states"), f" says {_difference(given, there)}, and {place.name}"
            f" {_difference(there, given)}; correct one of them or leave it out"
        )  # fmt: skip
    return there


def legend_path(path: Path) -> Path:
    """``a.labels.json`` for ``a.labels.tif``."""
    return path.with_suffix(".json")


def read_legend(path: Path) -> dict[str, Any] | None:
    """What ``write_labels`` wrote beside labels: states, colours, image; None where there is no such file.

    JSON without ``states`` is somebody else's, and no legend. Raises PersistemError if it cannot be read.
    """
    try:
        content = json.loads(read_text(path, MOST))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PersistemError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise PersistemError(f"{path}: not JSON ({error}), where the legend of labels is expected") from error
    return content if isinstance(content, dict) and "states" in content else None


def legend_text(
    path: Path,
    states: Mapping[int, str],
    image: Path,
    colours: Mapping[int, str] | None,
    pixel_size: float | None,
    sha256: str | None = None,
) -> str:
    """The JSON beside labels at ``path``; raises PersistemError if the image cannot be read."""
    place = os.path.relpath(Path(image).resolve(), path.resolve().parent)
    about: dict[str, Any] = {"states": {str(k): states[k] for k in sorted(states)}}
    if colours:
        about["colours"] = {str(k): colours[k] for k in sorted(colours)}
    about["image"] = {"path": Path(place).as_posix(), "sha256": sha256 or _sha256(image)}
    if pixel_size is not None:
        about["pixel"] = {"size_A": pixel_size}
    return json.dumps(about, indent=2, ensure_ascii=False) + "\n"


def checked(states: object, *where: str) -> dict[Key, str]:
    """A legend with keys as ``key_of`` spells them; PersistemError, beginning with ``where``, if it is none."""
    if not isinstance(states, Mapping) or not states:
        raise PersistemError(*where, " must name at least one state by its number, colour or name")
    legend: dict[Key, str] = {}
    for key, name in states.items():
        if isinstance(key, bool) or not isinstance(key, int | str) or key == "":
            raise PersistemError(*where, f" has the key {key!r}; allowed are numbers, colours (#rrggbb) and names")
        if not isinstance(name, str) or not name.strip():
            raise PersistemError(*where, f": {key} must have the name of a state, not {name!r}")
        spelt, name = key_of(key), name.strip()
        if spelt in legend:
            raise PersistemError(*where, f" names {spelt} twice")
        twin = next((other for other, taken in legend.items() if taken == name and isinstance(other, int)), None)
        if isinstance(spelt, int) and twin is not None:
            raise PersistemError(*where, f" gives {twin} and {spelt} the same name, {name}; each needs one of its own")
        legend[spelt] = name
    return legend


def key_of(name: Key) -> Key:
    """One spelling of what a legend names: digits are a number, colours are lower case."""
    if isinstance(name, int):
        return name
    name = name.strip()
    if re.fullmatch(r"-?\d{1,18}", name, re.ASCII):
        return int(name)
    return name.lower() if COLOUR.fullmatch(name.lower()) else name


def listed(keys: Iterable[Key]) -> str:
    """Some keys in words, at most ``LISTED`` of them."""
    words = [str(key)[:60] for key in keys]
    shown = words[:LISTED] if len(words) > LISTED + 1 else words
    rest = len(words) - len(shown)
    last = f"{rest} others" if rest else shown.pop() if len(shown) > 1 else ""
    return ", ".join(shown) + (f" and {last}" if last else "")


def sentence_of(unknown: Sequence[tuple[Key, int]], legend: Legend, what: str) -> BadImage:
    """The error on values or colours that have no name, each with the number of its pixels."""
    what = what if len(unknown) > 1 else what.removesuffix("s")
    most = sorted(unknown, key=lambda pair: -pair[1])
    counted = listed(f"{key} ({count} px)" for key, count in most)
    if not legend.given:
        return BadImage(
            f"nothing says which states are meant by the {what} {listed(sorted(key for key, _ in most))}; give ",
            Setting("states"), ", or a legend beside it (docs/labels.md)",
        )  # fmt: skip
    return BadImage(f"holds the {what} {counted}, but the legend says {legend.said()}")


def _difference(legend: Mapping[Key, str], other: Mapping[Key, str]) -> str:
    different = [key for key in (*legend, *other) if legend.get(key) != other.get(key)]
    return f"{different[0]}: {legend[different[0]]}" if different[0] in legend else f"nothing of {different[0]}"


def _same_image(place: Path, legend: Mapping[str, Any], image: Path | None) -> None:
    about = legend.get("image")
    if image is None or about is None:
        return
    if not isinstance(about, Mapping) or not isinstance(about.get("sha256"), str):
        raise PersistemError(f"{place}: its image must have a path and a sha256")
    if _sha256(image) != about["sha256"]:
        raise PersistemError(
            f"{image}: not the image that was labelled, by its SHA-256 in {place.name}; bring that one back, or look"
            f" whether the labels still fit and delete image in {place}"
        )


def _sha256(image: Path) -> str:
    """Of a file as it is now: it may change while a process that has read it runs."""
    try:
        return seals.sha256(image)
    except OSError as error:
        raise PersistemError(f"{image}: cannot be read ({error.strerror})") from error
