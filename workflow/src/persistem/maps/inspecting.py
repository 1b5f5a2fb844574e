"""What is read of a micrograph, from where, what is missing, and whether a model can judge it, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

from persistem.errors import PersistemError
from persistem.maps.mapping import readable
from persistem.maps.suitability import cautions, far_defocus, needed, objections
from persistem.reading.asked import QUANTITIES, differences, missing, obstacles, remedy, unsaid

if TYPE_CHECKING:
    from persistem.model.classifier import Model
    from persistem.reading import Image

#: Columns of a terminal, and of the names before the values.
WIDTH, NAMES = 80, 14
#: Facts of a file that are shown if they are known: name in the facts, words, unit.
FACTS = (
    ("mode", "mode", ""),
    ("instrument", "instrument", ""),
    ("exposure_s", "exposure", " s"),
    ("date", "date", ""),
    ("changed", "note", ""),
)


def described(
    frames: list[Image], model: Model | None = None, force: bool = False, name: Callable[[str], str] = str
) -> tuple[str, bool]:
    """Lines on the images of a file, and whether all of them can be mapped.

    Frames of which the same is to be said share their lines. With a model an image counts as one that can be mapped if
    the model does not refuse it and does not abstain everywhere for its defocus. ``name`` words the settings.
    """
    first = frames[0]
    lines = [readable(str(first.path)), *_line("format", str(first.facts.get("format")))]
    blocks: dict[tuple[tuple[str, ...], bool], list[int | None]] = {}
    for image in frames:
        about, usable = _about(image, model, force, name)
        blocks.setdefault((tuple(about), usable), []).append(image.frame)
    for (about_frames, _), numbers in blocks.items():
        lines += _line("frames", _numbers(numbers)) if numbers[0] is not None else []
        lines += about_frames
    for reason in first.facts.get("skipped", ()):
        lines += _line("left out", reason)
    return "\n".join(lines), all(usable for _, usable in blocks)


def _about(image: Image, model: Model | None, force: bool, name: Callable[[str], str]) -> tuple[list[str], bool]:
    rows, columns = image.pixels.shape
    lines = _line("image", f"{rows} rows, {columns} columns, {image.pixels.dtype}")
    changed = {difference.setting: difference for difference in differences(image)}
    asked = tuple(QUANTITIES) if model is None else needed(model)
    for setting, quantity in QUANTITIES.items():
        value = getattr(image, setting)
        if value is None and setting not in asked:
            said = "not in the file; this model does not ask for it"
        elif value is None:
            said = PersistemError("not in the file; give ", *remedy(setting)).worded(name)
        elif setting in changed:
            difference = changed[setting]
            said = f"{value:.4g} {quantity.unit} as given; the file says {difference.stated:.4g} ({difference.tag})"
        else:
            tag = image.stated[setting].tag if setting in image.stated else "as given; the file does not say"
            said = f"{value:.4g} {quantity.unit} ({tag})"
        lines += _line(quantity.name, said)
    for fact, words, unit in FACTS:
        if image.facts.get(fact) not in (None, "", "unknown"):
            lines += _line(words, f"{image.facts[fact]}{unit}")
    against = obstacles(image, force) if model is None else objections(image, model, force)
    far = model is not None and far_defocus(image, model)
    if against:
        verdict = "something is missing or wrong" if model is None else "the model cannot judge it"
    elif far:
        verdict = "the model would abstain everywhere"
    else:
        verdict = "nothing is missing" if model is None else "the model can judge it"
    lines += _line("verdict", verdict)
    for clause in against:
        # how to give what is missing stands above, where each value would be
        said = unsaid(image, asked) if clause == missing(image, asked) else PersistemError(*clause).worded(name)
        lines += _line("because", said)
    if model is None and against == [missing(image)] and image.pixel_size is not None:
        lines += _line("but", "persistem label and explore need the pixel size alone")
    contradictions = [] if force else [f"{image.path}: {difference}" for difference in changed.values()]
    for warning in cautions(image, model):
        if warning not in contradictions:
            lines += _line("warning", warning.removeprefix(f"{image.path}: "))
    return lines, not against and not far


def _line(name: str, value: str) -> list[str]:
    indent = " " * (2 + NAMES)
    return textwrap.wrap(
        readable(value), WIDTH, initial_indent=f"  {name:{NAMES}}", subsequent_indent=indent, break_long_words=False
    )


def _numbers(numbers: list[int | None]) -> str:
    known = [number for number in numbers if number is not None]
    if len(known) > 2 and known == [*range(known[0], known[-1] + 1)]:
        return f"{known[0]} to {known[-1]}"
    return ", ".join(map(str, known))
