"""What the accuracy of a study means: leak, baselines, nested cross-validation, learning curves, calibration.

The unit is the MD seed: a seed's specimens, of all states and at all defoci, train or test together.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.evaluation.curves import calibration, defocus_matrix, learning_curve, permutation_test
from persistem.evaluation.leak import attribution
from persistem.learning.accuracy import TRAININGS, Source, read_features
from persistem.learning.rows import available, candidates, key_of, label, read_described, representative, stack
from persistem.learning.validation import nested, tabulate
from persistem.store.files import atomic
from persistem.study import Learning

if TYPE_CHECKING:
    from persistem.learning.rows import Described

#: Bump when this stage's results change for the same study.
VERSION = 2


def evaluation_file(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Write the evaluation of a study as JSON.

    Parameters
    ----------
    settings
        ``states``; ``sources`` (specimen, state, seeds, path of the descriptors); ``rows``, ``C``, ``models``,
        ``sizes`` (px), ``pixel_size_A``, ``in_focus`` (Å), ``permutations``, ``draws``; ``recipes`` with the
        persistence images of each (specimen, state, seeds, defocus, path) and ``learning`` for the paper's split
    root
        folder that paths are relative to
    out
        keys ``states``, ``seeds``, ``defoci``, ``in_focus``, ``leak``, ``rows``, ``permutation``, ``learning_curve``,
        ``calibration``, ``defocus_matrix``
    jobs
        number of processes; it does not change the result

    Raises
    ------
    PersistemError
        if a file cannot be read, or seeds and states do not allow nested cross-validation.
    """
    started = time.monotonic()

    def done(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", flush=True)

    first = read_described(settings["sources"], settings["states"], root, settings["sizes"][0])
    results: dict[str, Any] = {
        "states": settings["states"],
        "seeds": sorted({int(s) for source in settings["sources"] for s in source["seeds"]}),
        "defoci": sorted({float(d) for d in first.crops.defocus}),
        "in_focus": settings["in_focus"],
        "leak": [],
        "rows": [],
        "calibration": [],
    }
    for recipe, images in settings["recipes"].items():
        results["leak"] += [{"recipe": recipe} | row for row in leak(images, settings, root, jobs)]
        done(f"leak, recipe {recipe}")
    for size in settings["sizes"]:
        described = (
            first
            if size == settings["sizes"][0]
            else read_described(settings["sources"], settings["states"], root, size)
        )
        for training in TRAININGS[::-1] if described is first else ("per-defocus",):
            rows, calibrated = compared(described, settings, training, jobs)
            side = {"crop_A": round(size * settings["pixel_size_A"], 6), "training": training}
            results["rows"] += [row | side for row in rows]
            if described is first:
                results["calibration"] += [row | side for row in calibrated]
            done(f"nested cross-validation, crops of {side['crop_A']:g} Å, {training}")
    results |= by_representative(first, settings, jobs)
    done("permutation test, learning curves, defocus matrix")
    with atomic(out) as part:
        part.write_text(json.dumps(results, indent=1) + "\n")


def compared(
    described: Described, settings: dict[str, Any], training: str, jobs: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Accuracy of every row by nested cross-validation, and how its probabilities are calibrated.

    A model for all defoci has many times more crops to fit, so its inner folds choose C alone.
    """
    rows = available(settings["rows"], described.X)
    choices = {label(row): candidates(row, settings["C"], settings["models"]) for row in rows}
    if training == "pooled":
        choices = {
            label(row): [representative(row, [c], settings["models"]) for c in sorted(settings["C"])] for row in rows
        }
    outcomes = nested(described.X, described.crops, choices, training, jobs)
    tables, calibrated = [], []
    for row in rows:
        outcome = outcomes[label(row)]
        for line in tabulate(outcome, described.crops, settings["in_focus"]):
            chosen = {"chosen": [c.label() for c in outcome.chosen.values()]} if line["foci"] == "all" else {}
            tables.append(key_of(row) | line | chosen)
        if row["main"]:
            calibrated.append(key_of(row) | calibration(outcome, described.crops))
    return tables, calibrated


def by_representative(described: Described, settings: dict[str, Any], jobs: int) -> dict[str, list[dict[str, Any]]]:
    """Permutation test, learning curve and defocus matrix of the main rows, each by its representative candidate."""
    results: dict[str, list[dict[str, Any]]] = {"permutation": [], "learning_curve": [], "defocus_matrix": []}
    for row in available([row for row in settings["rows"] if row["main"]], described.X):
        candidate = representative(row, settings["C"], settings["models"])
        about = key_of(row) | {"training": "per-defocus", "candidate": candidate.label()}
        data = (described.X, described.crops, candidate)
        most, draws = settings["permutations"], settings["draws"]
        results["permutation"].append(about | permutation_test(*data, "per-defocus", most, 0, jobs))
        curve = learning_curve(*data, "per-defocus", draws, 0, jobs)
        results["learning_curve"] += [about | point for point in curve]
        results["defocus_matrix"].append(about | defocus_matrix(*data, jobs))
    return results


def leak(images: list[dict[str, Any]], settings: dict[str, Any], root: Path, jobs: int) -> list[dict[str, Any]]:
    """Accuracy of a recipe's persistence images under four splits that differ in what they leave out."""
    states = settings["states"]
    ordered = sorted(images, key=lambda s: (s["seeds"], states.index(s["state"]), s["defocus"]))
    sources = [Source(root / s["path"], s["specimen"], s["state"], s["seeds"][0], s["defocus"]) for s in ordered]
    X, counts = read_features(sources)
    joint = np.split(np.hstack(list(X.values())).astype(np.float32), np.cumsum(counts)[:-1])
    described = stack(
        ((s.state, s.seed, s.defocus, {"images": block}) for s, block in zip(sources, joint, strict=True)), states
    )
    learning = Learning.model_validate(settings["learning"])
    return attribution(described.X["images"], described.crops, described.position, learning, len(X), jobs)
