"""What a folder holds for others: labels as TIFF and JSON, and a study that trains on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from persistem.store.files import atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STUDY = "study.yaml"


class Legend(NamedTuple):
    """A state's name and colour."""

    name: str
    colour: str


def labels_path(folder: Path, name: str) -> Path:
    """The labels of a micrograph; the legend is beside it, with the suffix .json."""
    return folder / f"{name}.labels.tif"


def write_labels(
    path: Path, labels: NDArray[np.uint8], states: Mapping[int, Legend], image: Path, sha256: str, pixel: float | None
) -> None:
    """Write labels (rows, columns) as TIFF and their legend as JSON; ``pixel`` is the given size of pixels, Å."""
    import tifffile

    legend = {
        "states": {str(number): state.name for number, state in states.items()},
        "colours": {str(number): state.colour for number, state in states.items()},
        "image": {"path": str(image), "sha256": sha256},
        "pixel_size_A": pixel,
    }
    with atomic(path.with_suffix(".json")) as part:
        part.write_text(json.dumps(legend, indent=1, ensure_ascii=False) + "\n", "utf-8")
    with atomic(path) as part:
        tifffile.imwrite(part, labels, compression="zlib", metadata=None)


def write_study(folder: Path, labelled: Iterable[Mapping[str, Any]], rest: Mapping[str, Any]) -> None:
    """Write the study whose source of training is ``labelled``: entries as ``entry`` makes them; ``rest`` is added."""
    import yaml

    text = yaml.safe_dump({"labelled": list(labelled), **rest}, sort_keys=False, allow_unicode=True)
    with atomic(folder / STUDY) as part:
        part.write_text("# written by `persistem label`, which writes it again after every stroke\n" + text, "utf-8")


def entry(image: Path, labels: Path, states: Mapping[int, Legend], pixel: float | None) -> dict[str, Any]:
    """One labelled micrograph of a study, which is its own specimen."""
    named = {number: state.name for number, state in states.items()}
    given = {} if pixel is None else {"pixel_size": pixel}
    return {"path": str(image), "labels": str(labels), "states": named, "specimen": image.stem, **given}
