"""What a model's maps are worth on composites whose regions are known, vacuum, and what was never trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem import study
from persistem.errors import PersistemError
from persistem.imaging.micrographs import read_micrograph
from persistem.maps import Map, map_image
from persistem.model import bundle
from persistem.model.training import as_trained
from persistem.reading import Image
from persistem.specimens.layout import VACUUM, read_layout
from persistem.store.files import atomic
from persistem.study.settings import section
from persistem.trial import scores as truth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from persistem.study import Imaging, ModelSettings

    Array = NDArray[Any]

#: Bump when this stage's results change for the same study.
VERSION = 4

#: Name of the empty micrograph.
EMPTY = "vacuum"
#: What a window is taken for that the model does not judge.
ABSTAINED = "abstained"
#: Classes of confidence; in each the accuracy is compared with the confidence.
BINS = 10


def trial_file(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Map every composite, vacuum and every stranger with one model, and compare the maps with the truth.

    Parameters
    ----------
    settings
        ``model``, path of a bundle's index, and ``asked``, its training settings; ``states`` of the study;
        ``composites``, each with name, kind, states (left and right; of a stranger none), ``seeds`` of the composites,
        ``state`` of a stranger that is one, structure, and ``micrographs``, one for each defocus (``defocus`` as the
        study counts it and ``underfocus``, Å; ``path``); ``imaging`` of their field; ``doses`` (e/Å²), each of which
        every micrograph gets, and ``step`` (Å) of the maps; ``whole_images``, whether the model also abstains on images
        whose contrast as a whole is unlike the training
    root
        folder that paths are relative to
    out
        JSON with a score for each micrograph and dose; beside it, with the suffix .npz, the states of the windows of
        each under the name that the score has as ``map``
    jobs
        processes; they do not change the result

    Raises
    ------
    PersistemError
        if a file cannot be read, or the model is not for these micrographs.
    """
    model, asked = bundle.load((root / settings["model"]).parent), section(study.ModelSettings, settings["asked"])
    if [*model.states] != settings["states"]:
        raise PersistemError(
            f"{settings['model']}: a model of {', '.join(model.states)}, in another order than the study's"
        )
    if not settings["whole_images"]:
        model = replace(model, gauge=None)
    imaging = section(study.Imaging, settings["imaging"])
    scores: list[dict[str, Any]] = []
    states_of_windows: dict[str, Any] = {}
    for composite, view in _views(settings["composites"]):
        intensity = intensity_of(composite, view, imaging, root)
        for dose in settings["doses"]:
            image = image_of(composite, view, intensity, imaging, asked, dose)
            found = map_image(image, model, settings["step"], jobs)
            name = f"{composite['name']} {view['defocus']:g} {dose:g}"
            record = {key: composite.get(key) for key in ("name", "kind", "states", "seeds", "state")}
            record |= {
                "defocus": view["defocus"],
                "dose": dose,
                "map": name,
                "shares": found.shares,
                "origin_A": list(found.origin),
                "warnings": found.facts["warnings"],
            }
            if composite["states"]:
                # the study's labels of the layout's 0, 1 and vacuum
                labels = np.array([*(settings["states"].index(state) for state in composite["states"]), -1], np.int8)
                mask = labels[read_layout(root / composite["structure"]).mask(imaging)]
                record |= score(found, mask, imaging.field / imaging.pixels)
            states_of_windows[name] = found.state.astype(np.int8)
            scores.append(record)
            print(f"{name}: {record.get('overlap', found.shares)}", flush=True)
    card = {key: model.card[key] for key in ("classifier", "accuracy", "pairs", "assessed", "trained_on", "unlike")}
    result = {
        "size_A": model.windows.size,
        "step_A": found.step,
        "states": settings["states"],
        "scores": scores,
    }
    with atomic(out.with_suffix(".npz")) as part, open(part, "wb") as file:
        np.savez_compressed(file, **states_of_windows)
    with atomic(out) as part:
        part.write_text(json.dumps(result | {"card": card}, indent=1) + "\n")


def intensity_of(composite: dict[str, Any], view: dict[str, Any], imaging: Imaging, root: Path) -> Array:
    """The noise-free intensity (rows, columns) of a composite, or of vacuum."""
    if composite["kind"] == EMPTY:
        return np.ones((imaging.pixels, imaging.pixels))
    return read_micrograph(root / view["path"])[0]


def image_of(
    composite: dict[str, Any],
    view: dict[str, Any],
    intensity: Array,
    imaging: Imaging,
    asked: ModelSettings,
    dose: float | None,
    factor: float = 1.0,
) -> Image:
    """What a model's detector records of an intensity (rows, columns) whose contrast is multiplied by ``factor``."""
    pixels, size = as_trained(intensity, imaging.field / imaging.pixels, asked, dose, factor)
    name = composite["name"]
    return Image(Path(name), None, name, pixels, size, imaging.voltage, view["underfocus"], facts={})


def _views(composites: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every composite with each of its micrographs, and vacuum at the first of the defoci, which it does not show."""
    for composite in composites:
        for view in composite["micrographs"]:
            yield composite, view
    yield {"name": EMPTY, "kind": EMPTY, "states": []}, composites[0]["micrographs"][0]


def score(found: Map, mask: Array, pixel_size: float) -> dict[str, Any]:
    """Scores of a map, given the state of every pixel (rows, columns) of ``pixel_size`` Å, -1 for vacuum.

    ``overlap``: intersection over union for each state that is there, where windows that abstain count as not found,
    and their ``mean``. ``found``: of the windows of each state and of vacuum, how many are taken for which state,
    or abstain. ``boundary_A``: ``truth.boundary_error``. ``abstained``: share of the pure windows of each state
    that abstain. ``calibration``: of windows of a state that do not abstain.
    """
    grid = truth.grid_of(found)
    true = truth.truth(mask, pixel_size, grid)
    present = [state for state in range(len(found.states)) if (mask == state).any()]
    by_state = truth.overlap(found.state, true.state, len(found.states))
    overlap = {found.states[state]: by_state[state] or 0.0 for state in present}
    error = truth.boundary_error(found.probability, found.abstain, mask, pixel_size, grid)
    abstained = truth.abstentions(found.abstain, true, len(found.states))
    believed = ~found.abstain & (true.state >= 0)
    names = {VACUUM: EMPTY, **dict(enumerate(found.states))}
    labels = {-1: ABSTAINED, **dict(enumerate(found.states))}
    shown = [label for label in names if (true.state == label).any()]
    return {
        "found": {
            names[label]: {
                taken_for: int(np.count_nonzero((true.state == label) & (found.state == k)))
                for k, taken_for in labels.items()
            }
            for label in shown
        },
        "overlap": overlap | {"mean": float(np.mean(list(overlap.values())))},
        "boundary_A": error._asdict() if error else None,
        "abstained": {names[state]: share for state, share in abstained.items() if share is not None},
        "calibration": calibration(found.probability[believed], true.state[believed]) if believed.any() else None,
    }


def calibration(probability: Array, state: Array) -> dict[str, Any]:
    """How often windows (n,) show their most probable state, by its probability (n, k), and the calibration error.

    The error is the mean difference of confidence and accuracy over ``BINS`` classes of confidence, weighted by their
    windows (Naeini et al., AAAI 29 (2015) 2901).
    """
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == state
    bin_of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    curve = [
        {
            "confidence": float(confidence[bin_of == k].mean()),
            "accuracy": float(right[bin_of == k].mean()),
            "windows": int(np.count_nonzero(bin_of == k)),
        }
        for k in range(BINS)
        if (bin_of == k).any()
    ]
    error = sum(point["windows"] * abs(point["confidence"] - point["accuracy"]) for point in curve) / len(state)
    return {"error": float(error), "curve": curve}
