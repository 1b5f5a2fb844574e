"""Robustness: accuracy along one setting of the microscope, the detector or the crops, from exit waves.

A sweep images, counts, cuts and describes in one process. So a condition costs its imaging, its diagrams and its
descriptors, but not the start of a process for each micrograph.

Counting noise hides little of a strong image and much of a weak one, so a noisy crop tells its contrast even after it
is standardised. Rows without contrast therefore see crops that had one contrast before they were counted
(``descriptors.crops``). A control shows what that prevents, ``ALONE``: all states have the same patterns, each with the
contrast that the crops of its own state have, then counted and described. What it gets right is contrast alone.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.descriptors.crops import (
    contrasts,
    counted_with,
    describe_crops,
    exact_crops,
    recorded_crops,
)
from persistem.errors import PersistemError
from persistem.imaging import micrographs
from persistem.learning.intervals import seed_means, summary
from persistem.learning.rows import ALONE, REMOVED, Described, key_of, representative, stack
from persistem.learning.validation import Candidate, CropLabels, fixed
from persistem.store.files import atomic
from persistem.study import Describing, Imaging

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Blocks = dict[str, NDArray[np.float32]]
    #: By the task of the rows that see them.
    ByTask = dict[str, Blocks]

#: Bump when this stage's results change for the same study.
VERSION = 2


def sweep_file(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Describe the crops of every condition and write the accuracy of each row at each of them as JSON.

    Parameters
    ----------
    settings
        ``sweep``, ``states``, ``rows``, ``C``, ``models``, ``base`` (the condition trained on) and
        ``conditions``: ``value``, ``imaging``, ``describing``, ``size`` (px), ``defocus`` (Å) and ``waves`` (specimen,
        state, seeds, path of the exit wave)
    root
        folder that paths are relative to
    out
        ``curves`` with ``training``: base, models trained at the base condition, or same, models trained at the
        condition itself; both on other seeds. A point also has the share of the crops that are ``called`` each state. A
        condition without a number has a ``reason``. With counting noise, rows without contrast have another curve, of
        the task ``ALONE``

    Raises
    ------
    PersistemError
        if a file cannot be read, or the base condition cannot be described.
    """
    described, reasons = describe_conditions(settings, root)
    base = settings["base"]
    if reasons[base]:
        raise PersistemError(f"sweep {settings['sweep']!r}: its base condition cannot be described: {reasons[base]}")
    groups = grouped(settings["conditions"])
    conditions = [_described(records, groups, settings["states"]) for records in described]
    wanted = [(row, training) for row in settings["rows"] for training in ("base", "same")]
    if any(_counts(condition) for condition in settings["conditions"]):
        wanted += [(row | {"task": ALONE}, "same") for row in settings["rows"] if row["task"] == REMOVED]
    curves = [
        {**key_of(row), "training": training, "points": _points(row, training, conditions, reasons, settings)}
        for row, training in wanted
    ]
    result = {
        "sweep": settings["sweep"],
        "values": [condition["value"] for condition in settings["conditions"]],
        "base": base,
        "defocus": settings["conditions"][base]["defocus"],
        "curves": curves,
    }
    with atomic(out) as part:
        part.write_text(json.dumps(result, indent=1) + "\n")


def describe_conditions(
    settings: dict[str, Any], root: Path
) -> tuple[list[list[tuple[dict[str, Any], ByTask]]], list[str | None]]:
    """For each condition its waves' records with the blocks of their crops, or the reason why there are none.

    A wave is imaged once for all conditions with the same lens.
    """
    tasks = sorted(
        (record["seeds"], json.dumps([condition["imaging"], condition["defocus"]], sort_keys=True), k, n)
        for k, condition in enumerate(settings["conditions"])
        for n, record in enumerate(condition["waves"])
    )
    described: list[list[tuple[dict[str, Any], ByTask]]] = [[] for _ in settings["conditions"]]
    reasons: list[str | None] = [None for _ in settings["conditions"]]
    started = time.monotonic()
    # the images of one group of seeds with one lens: its states share patterns
    images: dict[str, NDArray[Any]] = {}
    shown: tuple[Any, str] = ([], "")
    for count, (seeds, lens, k, n) in enumerate(tasks, 1):
        condition = settings["conditions"][k]
        if shown != (seeds, lens):
            images, shown = {}, (seeds, lens)
        try:
            if reasons[k] is None:
                record = condition["waves"][n]
                described[k].append((record, _blocks(condition, record, settings, images, root)))
        except PersistemError as error:
            reasons[k], described[k] = str(error), []
        left = (time.monotonic() - started) / count * (len(tasks) - count)
        print(f"{count} of {len(tasks)} images, {left:.0f} s left", flush=True)
    return described, reasons


def _blocks(
    condition: dict[str, Any],
    record: dict[str, Any],
    settings: dict[str, Any],
    images: dict[str, NDArray[Any]],
    root: Path,
) -> ByTask:
    """Blocks of the crops of one wave at one condition; ``images`` keeps, by path, those made already."""
    imaging = Imaging.model_validate(condition["imaging"])
    describing = Describing.model_validate(condition["describing"])
    detector = describing.detector
    pixel_size = imaging.field / imaging.pixels
    where = (pixel_size, detector, condition["size"])

    def image(of: dict[str, Any]) -> NDArray[Any]:
        path = of["path"]
        if path not in images:
            images[path] = micrographs.intensity(root / path, imaging, condition["defocus"])
        return images[path]

    recorded = recorded_crops(image(record), *where)
    crops = {row["task"]: recorded for row in settings["rows"]}
    if REMOVED in crops and _counts(condition):
        first = next(
            wave
            for wave in condition["waves"]
            if wave["state"] == settings["states"][0] and wave["seeds"] == record["seeds"]
        )
        exact, patterns = (exact_crops(image(wave), *where) for wave in (record, first))
        coarse = pixel_size * detector.binning
        crops[REMOVED] = counted_with(exact, describing.contrast, coarse, detector)
        crops[ALONE] = counted_with(patterns, contrasts(exact), coarse, detector)
    return {
        task: describe_crops(of, pixel_size * detector.binning, describing, _names(task, settings["rows"]))
        for task, of in crops.items()
    }


def _counts(condition: dict[str, Any]) -> bool:
    """Whether a condition has counting noise."""
    return condition["describing"]["detector"]["dose"] is not None


def _names(task: str, rows: list[dict[str, Any]]) -> set[str]:
    """The blocks that the representatives of a task's rows need."""
    of = REMOVED if task == ALONE else task
    return {name for row in rows if row["task"] == of for name in row["blocks"][-1]}


def grouped(conditions: list[dict[str, Any]]) -> dict[int, int]:
    """The group of each seed, named by its smallest: seeds that share a stack in any condition leave together."""
    group: dict[int, int] = {}
    for condition in conditions:
        for record in condition["waves"]:
            joined = {group.get(seed, seed) for seed in record["seeds"]}
            for seed in record["seeds"]:
                group.setdefault(seed, seed)
            for seed, name in list(group.items()):
                if name in joined:
                    group[seed] = min(joined)
    return group


def _described(
    records: list[tuple[dict[str, Any], ByTask]], groups: dict[int, int], states: list[str]
) -> dict[str, Described]:
    """The crops of one condition, by task; empty if it could not be described."""
    ordered = sorted(records, key=lambda m: (m[0]["seeds"], states.index(m[0]["state"])))
    return {
        task: stack(((r["state"], groups[r["seeds"][0]], 0.0, blocks[task]) for r, blocks in ordered), states)
        for task in (ordered[0][1] if ordered else ())
    }


def _points(
    row: dict[str, Any],
    training: str,
    conditions: list[dict[str, Described]],
    reasons: list[str | None],
    settings: dict[str, Any],
) -> list[dict[str, Any]]:
    """The accuracy at each condition, or the reason why there is none."""
    candidate = representative(row, settings["C"], settings["models"])
    base = conditions[settings["base"]].get(row["task"])
    sides = [c["size"] * c["imaging"]["field"] / c["imaging"]["pixels"] for c in settings["conditions"]]
    points = []
    for k, condition in enumerate(conditions):
        point: dict[str, Any] = {"value": settings["conditions"][k]["value"], "accuracy": None}
        point |= {"ci_low": None, "ci_high": None, "n_test": 0, "called": None, "reason": reasons[k]}
        tested = condition.get(row["task"])
        trained = base if training == "base" else tested
        if tested is not None and trained is not None:
            try:
                if training == "base" and not math.isclose(sides[k], sides[settings["base"]]):
                    _check_carries_over(candidate)
                point |= _accuracy(tested, trained, candidate)
            except PersistemError as error:
                point["reason"] = str(error)
        elif condition:
            point["reason"] = "there is no counting noise to see the contrast through"
        points.append(point)
    return points


def _check_carries_over(candidate: Candidate) -> None:
    """Refuse models for crops of another side (Å): a spectrum has other frequencies there."""
    for name in ("spectrum", "absolute spectrum"):
        if name in candidate.features:
            raise PersistemError(f"{name} has other frequencies in crops of another side; models do not carry over")


def _accuracy(tested: Described, trained: Described, candidate: Candidate) -> dict[str, Any]:
    """Accuracy on seeds that the training left out, whether it was on the same crops or on others; and what was called.

    An accuracy of chance is either guesswork or one answer for all: ``called`` tells them apart.
    """
    X, crops = tested.X, tested.crops
    train = np.ones(len(crops.y), bool)
    if trained is not tested:
        for name in candidate.features:
            if trained.X[name].shape[1] != X[name].shape[1]:
                lengths = f"{X[name].shape[1]} numbers here and {trained.X[name].shape[1]} at the base"
                raise PersistemError(f"{name} has {lengths}; models do not carry over")
        X = {name: np.concatenate([trained.X[name], X[name]]) for name in candidate.features}
        train = np.concatenate([np.ones(len(trained.crops.y), bool), np.zeros(len(crops.y), bool)])
        after = crops.micrograph + trained.crops.micrograph.max() + 1
        y, seed, defocus, micrograph = (
            np.concatenate(pair) for pair in zip(trained.crops[:4], (*crops[:3], after), strict=True)
        )
        crops = CropLabels(y, seed, defocus, micrograph, crops.states)
    predicted = fixed(X, crops, candidate, "pooled", train)[-len(tested.crops.y) :]
    values = seed_means(predicted == tested.crops.y, tested.crops.seed)
    called = {tested.crops.name(k): float((predicted == k).mean()) for k in range(int(crops.y.max()) + 1)}
    return summary("accuracy", "ci", values) | {"n_test": len(tested.crops.y), "called": called}
