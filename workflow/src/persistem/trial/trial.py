"""What a model's maps are worth on composites whose regions are known, on vacuum and on materials never trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem import study
from persistem.imaging.micrographs import read_micrograph
from persistem.maps import map_image
from persistem.model import bundle
from persistem.model.training import as_trained
from persistem.reading import Image
from persistem.specimens.layout import VACUUM, read_layout
from persistem.store.files import atomic
from persistem.study.settings import section
from persistem.trial import scores as truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.maps import Map

    Array = NDArray[Any]

#: Raised when the results of this stage change for the same study.
VERSION = 1

#: The micrograph of nothing.
EMPTY = "vacuum"
#: Classes of confidence whose accuracy is compared with it.
BINS = 10


def trial_file(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Map every composite, vacuum and every stranger with one model, and compare the maps with the truth.

    Parameters
    ----------
    settings
        ``model``, path of a bundle's index, and ``asked``, the settings that it was trained with; ``states`` of the
        study; ``composites``, for each its name, kind, states (left and right), structure and micrograph; ``imaging``
        of their field; ``dose`` (e/Å²), ``defocus`` (Å, underfocus positive) and ``step`` (Å) of the map
    root
        folder that paths are relative to
    out
        JSON with the scores of each; beside it, with the suffix .npz, the state of every window of each
    jobs
        processes; they do not change the result

    Raises
    ------
    PersistemError
        when a file cannot be read, or the model is not for these micrographs.
    """
    model, asked = bundle.load((root / settings["model"]).parent), section(study.ModelSettings, settings["asked"])
    imaging = section(study.Imaging, settings["imaging"])
    pixel_size = imaging.field / imaging.pixels
    scores: list[dict[str, Any]] = []
    maps: dict[str, Any] = {}
    for composite in (*settings["composites"], {"name": EMPTY, "kind": EMPTY, "states": []}):
        intensity: Array = np.ones((imaging.pixels, imaging.pixels))
        if "micrograph" in composite:
            intensity, _ = read_micrograph(root / composite["micrograph"])
        counted = as_trained(intensity, pixel_size, asked, settings["dose"])
        image = Image(
            path=Path(composite["name"]),
            frame=None,
            title=composite["name"],
            pixels=counted,
            pixel_size=asked.windows.sampling,
            voltage=imaging.voltage,
            defocus=settings["defocus"],
            facts={},
        )
        found = map_image(image, model, settings["step"], jobs)
        maps[composite["name"]] = found.state.astype(np.int8)
        about = {key: composite[key] for key in ("name", "kind", "states")}
        about |= {"shares": found.shares, "origin_A": list(found.origin), "warnings": found.facts["warnings"]}
        if composite["states"]:
            # of the layout's 0 and 1, and vacuum, the labels of the study
            labels = np.array([*(settings["states"].index(state) for state in composite["states"]), -1], np.int8)
            mask = labels[read_layout(root / composite["structure"]).mask(imaging)]
            about |= score(found, mask, pixel_size)
        scores.append(about)
        print(f"{composite['name']}: {about.get('overlap', found.shares)}", flush=True)
    card = {key: model.card[key] for key in ("classifier", "accuracy", "assessed")}
    result = {"size_A": model.windows.size, "step_A": found.step, "states": settings["states"], "scores": scores}
    with atomic(out.with_suffix(".npz")) as part, open(part, "wb") as file:
        np.savez_compressed(file, **maps)
    with atomic(out) as part:
        part.write_text(json.dumps(result | {"card": card}, indent=1) + "\n")


def score(found: Map, mask: Array, pixel_size: float) -> dict[str, Any]:
    """Scores of a map where the state of every pixel (rows, columns) of ``pixel_size`` Å is known, -1 of vacuum.

    ``overlap``: intersection over union for each state that is there, with windows that abstain not found, and the
    ``mean`` of these. ``boundary_A``: ``truth.boundary_error``. ``abstained``: share of the windows of one state alone,
    by state. ``calibration``: of windows of a state that do not abstain.
    """
    grid = truth.grid_of(found)
    true = truth.truth(mask, pixel_size, grid)
    there = [state for state in range(len(found.states)) if (mask == state).any()]
    each = truth.overlap(found.state, true.state, len(found.states))
    overlap = {found.states[state]: each[state] or 0.0 for state in there}
    error = truth.boundary_error(found.probability, found.abstain, mask, pixel_size, grid)
    abstained = truth.abstentions(found.abstain, true, len(found.states))
    believed = ~found.abstain & (true.state >= 0)
    names = {VACUUM: EMPTY, **dict(enumerate(found.states))}
    return {
        "overlap": overlap | {"mean": float(np.mean(list(overlap.values())))},
        "boundary_A": error._asdict() if error else None,
        "abstained": {names[state]: share for state, share in abstained.items() if share is not None},
        "calibration": calibration(found.probability[believed], true.state[believed]) if believed.any() else None,
    }


def calibration(probability: Array, state: Array) -> dict[str, Any]:
    """How often windows (n,) are of their most probable state, by its probability (n, k), and the calibration error.

    The error is the mean difference of confidence and accuracy over ``BINS`` classes of confidence, weighted by their
    windows (Naeini et al., AAAI 29 (2015) 2901).
    """
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == state
    at = np.minimum((confidence * BINS).astype(int), BINS - 1)
    curve = [
        {
            "confidence": float(confidence[at == k].mean()),
            "accuracy": float(right[at == k].mean()),
            "windows": int(np.count_nonzero(at == k)),
        }
        for k in range(BINS)
        if (at == k).any()
    ]
    error = sum(of["windows"] * abs(of["confidence"] - of["accuracy"]) for of in curve) / len(state)
    return {"error": float(error), "curve": curve}
