"""What a folder holds for others: labels as TIFF and JSON, and a study that trains on them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from persistem.reading.labels import Labels, write_labels
from persistem.store.files import atomic
from persistem.store.paths import free

if TYPE_CHECKING:
    from persistem.painting.folder import Sheet

STUDY = "study.yaml"


class Legend(NamedTuple):
    """A state's name and colour."""

    name: str
    colour: str


def labels_path(folder: Path, name: str) -> Path:
    """The labels of a micrograph; the legend is beside it, with the suffix .json."""
    return folder / f"{name}.labels.tif"


def save_labels(folder: Path, sheet: Sheet, states: Mapping[int, Legend]) -> None:
    """Write the labels of a sheet and their legend: of the states that it shows, or of all as long as it shows none."""
    shown = {number: state for number, state in states.items() if sheet.counts[number]} or states
    write_labels(
        labels_path(folder, sheet.name),
        Labels(sheet.labels, {number: state.name for number, state in shown.items()}),
        sheet.path,
        colours={number: state.colour for number, state in shown.items()},
        pixel_size=sheet.pixel_size,
        sha256=sheet.sha256,
    )


def save_study(folder: Path, sheets: Iterable[Sheet], states: Mapping[int, Legend], grey: bool, rest: Any) -> None:
    """Write the study that trains on all sheets with labels; ``rest`` is what else it says. Paths are absolute."""
    import yaml

    labelled: list[dict[str, Any]] = []
    for sheet in sheets:
        if not sheet.counts[1:].any():
            continue
        taken = [one["specimen"] for one in labelled]
        entry = {
            "path": str(sheet.path),
            "labels": str(labels_path(folder.resolve(), sheet.name)),
            "states": {number: state.name for number, state in states.items() if sheet.counts[number]},
            "specimen": _specimen(sheet.name, taken),
        }
        given = {} if sheet.asked is None else {"pixel_size": sheet.asked}
        labelled.append(entry | given | ({"grey": True} if grey else {}))
    study = {"name": f"labels-{_plain(folder.resolve().name)}", "labelled": labelled, **rest} if labelled else {}
    text = yaml.safe_dump(study, sort_keys=False, allow_unicode=True)
    with atomic(folder / STUDY) as part:
        part.write_text("# written by `persistem label`, which writes it again after every stroke\n" + text, "utf-8")


def _specimen(name: str, taken: Collection[str]) -> str:
    """The name of a micrograph as a study can call a specimen: each is one of its own."""
    plain = _plain(name)
    return free(plain if plain[:1].isalpha() else f"image-{plain}", taken)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:30]
