"""What the accuracy of a study means: leak, baselines, nested cross-validation, learning curves, calibration.

The unit is the MD seed: a seed's specimens, of all states and at all defoci, are trained on or tested on together.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.learning.accuracy import TRAININGS
from persistem.learning.rows import available, candidates, key_of, label, read_described, representative
from persistem.learning.validation import nested, tabulate
from persistem.store.files import atomic

if TYPE_CHECKING:
    from persistem.learning.rows import Described

#: Raised when the results of this stage change for the same study.
VERSION = 1


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
        processes; they do not change the result

    Raises
    ------
    PersistemError
        when a file cannot be read, or seeds and states do not allow nested cross-validation.
    """
    started = time.monotonic()

    def done(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", flush=True)

    first = read_described(settings["sources"], settings["states"], root, settings["sizes"][0])
    found: dict[str, Any] = {
        "states": settings["states"],
        "seeds": sorted({int(s) for source in settings["sources"] for s in source["seeds"]}),
        "defoci": sorted({float(d) for d in first.crops.defocus}),
        "in_focus": settings["in_focus"],
        "leak": [],
        "rows": [],
        "calibration": [],
    }
    for recipe, images in settings["recipes"].items():
        found["leak"] += [{"recipe": recipe} | row for row in leak(images, settings, root, jobs)]
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
            found["rows"] += [row | side for row in rows]
            if described is first:
                found["calibration"] += [row | side for row in calibrated]
            done(f"nested cross-validation, crops of {side['crop_A']:g} Å, {training}")
    found |= by_representative(first, settings, jobs)
    done("permutation test, learning curves, defocus matrix")
    with atomic(out) as part:
        part.write_text(json.dumps(found, indent=1) + "\n")


def compared(
    described: Described, settings: dict[str, Any], training: str, jobs: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Accuracy of every row by nested cross-validation, and how its probabilities are calibrated.

    One model for all defoci has many times more crops to fit: there the inner folds choose C alone.
    """
    from persistem.evaluation.curves import calibration

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
    from persistem.evaluation.curves import defocus_matrix, learning_curve, permutation_test

    found: dict[str, list[dict[str, Any]]] = {"permutation": [], "learning_curve": [], "defocus_matrix": []}
    for row in available([row for row in settings["rows"] if row["main"]], described.X):
        candidate = representative(row, settings["C"], settings["models"])
        about = key_of(row) | {"training": "per-defocus", "candidate": candidate.label()}
        given = (described.X, described.crops, candidate)
        most, draws = settings["permutations"], settings["draws"]
        found["permutation"].append(about | permutation_test(*given, "per-defocus", most, 0, jobs))
        curve = learning_curve(*given, "per-defocus", draws, 0, jobs)
        found["learning_curve"] += [about | point for point in curve]
        found["defocus_matrix"].append(about | defocus_matrix(*given, jobs))
    return found


def leak(images: list[dict[str, Any]], settings: dict[str, Any], root: Path, jobs: int) -> list[dict[str, Any]]:
    """Accuracy of a recipe's persistence images under four splits that differ in what they leave out."""
    import numpy as np

    from persistem.evaluation.leak import attribution
    from persistem.learning.accuracy import Source, read_features
    from persistem.learning.rows import stack
    from persistem.study import Learning

    states = settings["states"]
    ordered = sorted(images, key=lambda s: (s["seeds"], states.index(s["state"]), s["defocus"]))
    sources = [Source(root / s["path"], s["specimen"], s["state"], s["seeds"][0], s["defocus"]) for s in ordered]
    X, counts = read_features(sources)
    joint = np.split(np.hstack(list(X.values())).astype(np.float32), np.cumsum(counts)[:-1])
    described = stack(
        ((s.state, s.seed, s.defocus, {"images": block}) for s, block in zip(sources, joint, strict=True)), states
    )
    learning = Learning.model_validate(settings["learning"])
    return attribution(described.X["images"], described.crops, described.position, learning, jobs)
