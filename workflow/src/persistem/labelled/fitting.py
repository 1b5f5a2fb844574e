"""The model of a study's labelled micrographs: from descriptions and labels to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.labelled import card, mixed, simulated, training
from persistem.labelled.sources import labelled
from persistem.model import bundle
from persistem.store.digests import content, digest_of
from persistem.study import ModelSettings
from persistem.study.settings import section

if TYPE_CHECKING:
    from persistem.labelled.rows import Labelled
    from persistem.reading import Image

#: Bump when this stage's results change for the same study.
VERSION = training.VERSION


def fit(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Write the bundle of a model of labelled micrographs as the folder of ``out``'s name.

    ``settings`` has ``model``, the section of the study, and ``sources``, one for each micrograph: ``path`` of its
    description, ``image``, ``labels``, ``states``, ``specimen``, ``pixel_size``, ``grey``, and ``sha256`` of these
    files, and of the ``legend`` if one lies beside the labels. Raises PersistemError if a file cannot be read or does
    not fit the others, or a state labels no window.

    With ``simulated``, the settings of ``model.training.train``, one model learns from simulated micrographs too; with
    ``composites``, the settings of ``labelled.simulated.fit``, from nothing else.
    """
    if "composites" in settings:
        simulated.fit(settings, root, out, jobs)
        return
    if "simulated" in settings:
        mixed.fit(settings, root, out, jobs)
        return
    asked: ModelSettings = section(ModelSettings, settings["model"])
    known = labelled(settings["sources"], root, asked.share)
    trained = training.train(known.micrographs, known.states, asked)
    write(trained, known.micrographs, known.images, asked, settings, out)


def write(
    trained: training.Trained,
    micrographs: list[Labelled],
    images: Sequence[Image],
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
        "study": digest_of("fitted", VERSION, _without_places(settings), []),
        "doses_e_A2": [],
        "thicknesses_A": [],
    }
    bundle.write(out, replace(trained.model, card=about), card.text(about), known)


def _without_places(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without the folders of a machine, so that the same study gives the same bundle anywhere."""
    sources = [source | {key: Path(source[key]).name for key in source["sha256"]} for source in settings["sources"]]
    return settings | {"sources": sources}
