"""The model of a study's labelled micrographs: from descriptions and labels to a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.labelled import card, training
from persistem.labelled.describing import read
from persistem.labelled.rows import Labelled, placed
from persistem.model import bundle
from persistem.reading import read as read_images
from persistem.reading.labels import read_labels
from persistem.store.digests import content, digest_of
from persistem.study import ModelSettings
from persistem.study.settings import section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from persistem.reading import Image
    from persistem.reading.labels import Labels

#: Bump when this stage's results change for the same study.
VERSION = training.VERSION


def fit(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Write the bundle of a model of labelled micrographs as the folder of ``out``'s name.

    ``settings`` has ``model``, the section of the study, and ``sources``, one for each micrograph: ``path`` of its
    description, ``image``, ``labels``, ``states``, ``specimen``, ``pixel_size``, ``grey``, and ``sha256`` of these
    files, and of the ``legend`` if one lies beside the labels. Raises PersistemError if a file cannot be read or does
    not fit the others, or a state labels no window.
    """
    asked: ModelSettings = section(ModelSettings, settings["model"])
    known = labelled(settings, root, asked)
    trained = training.train(known.micrographs, known.states, asked)
    write(trained, known.micrographs, known.images, asked, settings, out)


def write(
    trained: training.Trained,
    micrographs: list[Labelled],
    images: list[Image],
    asked: ModelSettings,
    settings: dict[str, Any],
    out: Path,
) -> None:
    """Write the bundle of a trained model, its card included."""
    files = [
        {"name": image.path.name, "sha256": content(image.path), "pixel_size_A": image.pixel_size} for image in images
    ]
    about = card.facts(trained, micrographs, files, asked)
    known = {
        "study": digest_of("labelled", VERSION, _without_places(settings), []),
        "doses_e_A2": [],
        "thicknesses_A": [],
    }
    bundle.write(out, replace(trained.model, card=about), card.text(about), known)


class Known(NamedTuple):
    """The labelled micrographs of a study, the states in the order in which the legends name them, and the images.

    ``regions`` (rows, columns) hold the number of the state, from 0, of each pixel of an image, -1 without.
    """

    micrographs: list[Labelled]
    states: list[str]
    images: list[Image]
    regions: list[NDArray[np.int_]]


def labelled(settings: dict[str, Any], root: Path, asked: ModelSettings) -> Known:
    """Read the labelled micrographs of a study."""
    read_so_far = []
    for source in settings["sources"]:
        for key, sha256 in source["sha256"].items():
            if content(Path(source[key])) != sha256:
                raise PersistemError(f"{source[key]}: has changed since the study was planned; run it again")
        read_so_far.append((source, *opened(source)))
    described = [read(root / source["path"]) for source, *_ in read_so_far]
    specimens = [source["specimen"] for source, *_ in read_so_far]
    micrographs, states = placed(described, [labels for *_, labels in read_so_far], specimens, asked.share)
    regions = []
    for _, _, labels in read_so_far:
        number_of = np.full(256, -1)
        for number, name in labels.states.items():
            number_of[number] = states.index(name) if name in states else -1
        regions.append(number_of[labels.regions])
    return Known(micrographs, states, [image for _, image, _ in read_so_far], regions)


def opened(source: Mapping[str, Any]) -> tuple[Image, Labels]:
    """The micrograph of a source, and its labels. Raises PersistemError if they cannot be read or do not fit."""
    image = one_image(Path(source["image"]), source.get("pixel_size"), source.get("grey", False))
    legend = None if source.get("states") is None else {key: name for key, name in source["states"]}
    return image, read_labels(Path(source["labels"]), image.pixels.shape, legend, image=image.path)


def one_image(path: Path, pixel_size: float | None, grey: bool) -> Image:
    """The one image in a file. Raises PersistemError if it holds several."""
    images = read_images(path, pixel_size=pixel_size, grey=grey)
    if len(images) != 1:
        raise PersistemError(f"{path}: holds {len(images)} images; labels belong to one")
    return images[0]


def _without_places(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without the folders of a machine, so that the same study gives the same bundle anywhere."""
    sources = [source | {key: Path(source[key]).name for key in source["sha256"]} for source in settings["sources"]]
    return settings | {"sources": sources}
