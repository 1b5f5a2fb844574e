"""Classification of the persistence images, and its accuracy on crops that the models have not seen.

There are two splits. ``random`` is the paper's: it divides the crops of one specimen pair at random, which puts
neighbouring crops, and the same atoms at other defoci, on both sides. ``leave-seed-out`` tests on trajectories that
no training crop comes from. If the two differ, the second holds for a new specimen.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.optics import focused
from persistem.learning.classifiers import asked, reduced, scaled
from persistem.learning.intervals import MINIMUM_GROUPS, interval
from persistem.learning.splits import Split, leave_seed_out, percentiles, random_splits
from persistem.store import seals
from persistem.store.files import atomic
from persistem.study import Learning
from persistem.study.settings import section
from persistem.topology.persistence_images import read_images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    #: By model and training: whether each test row of a split is classified correctly.
    Outcome = dict[tuple[str, str], NDArray[np.bool_]]

#: Bump when this stage's results change for the same study.
VERSION = 3

KEYS = ("features", "degrees", "model", "split", "training", "foci")
COLUMNS = (*KEYS, "accuracy", "ci_low", "ci_high", "n_test", "n_splits", "by_seed")
TRAININGS = ("pooled", "per-defocus")


class Source(NamedTuple):
    """The persistence images of one micrograph, and its specimen, state, seed and ``defocus`` (Å)."""

    path: Path
    specimen: str
    state: str
    seed: int
    defocus: float


def learning_file(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Write the accuracy table of one recipe, as ``learn`` does.

    ``settings`` has ``recipe``, ``states``, ``learning`` (a ``study.Learning``) and ``sources``, the fields of
    ``Source``; paths are relative to ``root``.
    """
    sources = [Source(root / s["path"], *(s[key] for key in Source._fields[1:])) for s in settings["sources"]]
    learn(sources, settings["states"], section(Learning, settings["learning"]), settings["recipe"], out, jobs)


def learn(sources: list[Source], states: list[str], learning: Learning, recipe: str, out: Path, jobs: int = 1) -> None:
    """Write the accuracy table of one recipe to the CSV ``out``; labels are the positions in ``states``.

    The bytes depend neither on the order of ``sources`` nor on ``jobs``, the number of processes. Raises
    PersistemError if the sources do not fit together or cannot be divided into training and test crops.
    """
    _check_sources(sources, states)
    # liblinear visits the rows in a random but fixed order, so the rows need one too
    ordered = sorted(sources, key=lambda s: (s.seed, states.index(s.state), s.defocus, s.specimen))
    X, crops = read_features(ordered)
    y = np.repeat([states.index(s.state) for s in ordered], crops)
    seed = np.repeat([s.seed for s in ordered], crops)
    defocus = np.repeat([float(s.defocus) for s in ordered], crops)
    place = np.concatenate([np.arange(count) for count in crops])
    rows = accuracy_table(X, y, seed, defocus, learning, recipe, jobs, place)
    with atomic(out) as part, open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_features(sources: list[Source]) -> tuple[dict[int, Array], list[int]]:
    """Feature vectors by degree, each (crops of all sources, length), and the number of crops of each source."""
    blocks: dict[int, list[Array]] = {}
    counts: list[int] = []
    for source in sources:
        seals.check(source.path)
        crop, degree, images = (np.asarray(a) for a in read_images(source.path))
        degrees = sorted(set(degree.tolist()))
        if not degrees:
            raise PersistemError(f"{source.path}: holds no persistence image; at least one crop is needed")
        if blocks and degrees != sorted(blocks):
            raise PersistemError(
                f"{source.path}: has images of degree {degrees}, {sources[0].path} of {sorted(blocks)}; all need"
                " the same"
            )
        names = [np.sort(crop[degree == k]) for k in degrees]
        if any(len(np.unique(n)) < len(n) or not np.array_equal(n, names[0]) for n in names):
            raise PersistemError(f"{source.path}: every crop needs exactly one image of each degree {degrees}")
        for k in degrees:
            rows = np.flatnonzero(degree == k)
            block = np.asarray(images[rows[np.argsort(crop[rows])]], np.float64)
            length = blocks.setdefault(k, [block])[0].shape[1]
            if block.shape[1] != length:
                raise PersistemError(
                    f"{source.path}: images of degree {k} have {block.shape[1]} values, those of {sources[0].path}"
                    f" {length}; all need the same mesh"
                )
            if counts:
                blocks[k].append(block)
        counts.append(len(names[0]))
    return {k: np.concatenate(parts) for k, parts in sorted(blocks.items())}, counts


def accuracy_table(
    X: Mapping[int, NDArray[Any]],
    y: NDArray[np.int_],
    seed: NDArray[np.int_],
    defocus: Array,
    learning: Learning,
    recipe: str,
    jobs: int = 1,
    place: NDArray[np.int_] | None = None,
) -> list[dict[str, Any]]:
    """Accuracy for each choice of degrees, model, split, training and foci: rows with the keys ``COLUMNS``.

    ``X`` holds feature vectors (crops, length) by degree; ``y`` (label), ``seed`` and ``defocus`` (Å) one entry per
    crop, and so ``place``, its number in the micrograph, where ``learning.split_unit`` needs it. Accuracy is the share
    of test crops classified correctly (in the random split, of the crops that ``learning.judged`` says), averaged with
    equal weight over

    - random: MD seeds, then repetitions; ci is the 2.5 to 97.5 percentile of the seeds' average over repetitions, which
      shows the luck of the draw and not how specimens differ;
    - leave-seed-out: held-out seeds; ci is the 95 % interval of the mean, ``intervals.interval``.

    ci is None below three repetitions or seeds, and where all seeds agree. ``by_seed`` is the accuracy of every split,
    by the MD seed that is tested, as ``by_seed_text`` writes it. ``n_test`` counts the crops tested over all
    ``n_splits`` splits. A split that the seeds do not allow has no rows, nor has ``in-focus`` if no defocus is in
    focus. Raises PersistemError if neither split is possible.
    """
    from joblib import Parallel, delayed

    splits = {
        "random": random_splits(
            y,
            seed,
            defocus,
            learning.test_fraction,
            learning.repetitions,
            learning.split_seed,
            place if learning.split_unit == "place" else None,
            learning.judged,
        ),
        "leave-seed-out": leave_seed_out(y, seed),
    }
    if not any(splits.values()):
        raise PersistemError(
            "learning needs a seed that has specimens of all states, or at least two seeds of every state;"
            " there is neither"
        )
    features = {str(k): np.asarray(v, np.float64) for k, v in sorted(X.items())}
    if len(features) > 1:
        features["+".join(features)] = np.hstack(list(features.values()))
    tasks = [(degrees, name, split) for degrees in features for name in splits for split in splits[name]]
    done = Parallel(n_jobs=jobs)(
        delayed(outcome)(features[degrees], y, defocus, split, degrees.count("+") + 1, learning)
        for degrees, _, split in tasks
    )
    selections = {"all": np.ones(len(y), bool), "in-focus": focused(defocus, learning.in_focus)}
    selections |= {f"{d + 0.0:g}": defocus == d for d in np.unique(defocus)}  # + 0.0: no "-0"
    rows = []
    for degrees in features:
        for model in learning.models:
            for name, divisions in splits.items():
                outcomes = [o for o, task in zip(done, tasks, strict=True) if task[:2] == (degrees, name)]
                for training in TRAININGS:
                    correct = [o[model, training] for o in outcomes]
                    for foci, selected in selections.items():
                        if divisions and selected.any():
                            key = dict(zip(KEYS, (recipe, degrees, model, name, training, foci), strict=True))
                            tested = [int(seed[division.test[0]]) for division in divisions]
                            rows.append(key | _accuracy(divisions, tested, correct, selected, name))
    return rows


def by_seed_text(values: Mapping[int, list[float]]) -> str:
    """Accuracies by seed, a value for each split, as one cell of a table: ``1: 0.75 0.7083; 2: 0.6875 0.75``.

    Splits of different seeds are in the same order: the nth of each is its nth repetition.
    """
    return "; ".join(f"{seed}: {' '.join(f'{value:.6g}' for value in of)}" for seed, of in sorted(values.items()))


def read_by_seed(text: Any) -> dict[str, list[float]]:
    """What ``by_seed_text`` wrote; empty if the cell is empty."""
    seeds = (part.split(":") for part in str(text or "").split(";") if part.strip())
    return {seed.strip(): [float(value) for value in values.split()] for seed, values in seeds}


def outcome(X: Array, y: NDArray[np.int_], defocus: Array, split: Split, degrees: int, learning: Learning) -> Outcome:
    """Train on ``split.train`` and test on ``split.test``, with one model for all defoci and with one for each.

    ``X`` (crops, length) has ``degrees`` side by side.
    """
    from threadpoolctl import threadpool_limits

    defoci = np.unique(defocus[split.test])
    result: Outcome = {
        (m, training): np.zeros(len(split.test), bool) for m in learning.models for training in TRAININGS
    }
    unfitted = {m: asked(m, learning) for m in learning.models}
    # sums round differently with another number of threads; the limit holds for the libraries loaded by now
    with threadpool_limits(1):
        for training, value in [("pooled", None), *(("per-defocus", d) for d in defoci)]:
            train = split.train if value is None else split.train[defocus[split.train] == value]
            tested = np.full(len(split.test), True) if value is None else defocus[split.test] == value
            test = split.test[tested]
            vectors = reduced(*scaled(X[train], X[test], learning.scaling, degrees))
            for m, classify in unfitted.items():
                result[m, training][tested] = classify.fit(vectors[0], y[train]).predict(vectors[1]) == y[test]
    return result


def _accuracy(
    splits: list[Split], seeds: list[int], correct: list[NDArray[np.bool_]], selected: NDArray[np.bool_], name: str
) -> dict[str, Any]:
    """Mean accuracy on the selected crops, its interval, and the numbers of crops and splits."""
    groups: dict[int, list[float]] = {}
    by_seed: dict[int, list[float]] = {}
    n_test = 0
    for split, seed, hits in zip(splits, seeds, correct, strict=True):
        hits = hits[selected[split.test]]
        groups.setdefault(split.group, []).append(float(hits.mean()))
        by_seed.setdefault(seed, []).append(float(hits.mean()))
        n_test += len(hits)
    values = np.array([np.mean(v) for v in groups.values()])
    low = high = None
    if len(values) >= MINIMUM_GROUPS:
        ends = percentiles(values) if name == "random" else interval(values, 0.0, 1.0)
        low, high = (None if end is None else round(end, 6) for end in ends)
    accuracy = round(float(values.mean()), 6)
    counts = {"n_test": n_test, "n_splits": len(splits), "by_seed": by_seed_text(by_seed)}
    return {"accuracy": accuracy, "ci_low": low, "ci_high": high} | counts


def _check_sources(sources: list[Source], states: list[str]) -> None:
    defoci: dict[str, list[float]] = {}
    states_and_seeds: dict[str, tuple[str, int]] = {}
    for s in sources:
        if s.state not in states:
            raise PersistemError(f"{s.path}: state {s.state!r} is not one of the states {', '.join(states)}")
        if s.defocus in defoci.setdefault(s.specimen, []):
            raise PersistemError(f"{s.path}: specimen {s.specimen} is listed twice at a defocus of {s.defocus:g} Å")
        if states_and_seeds.setdefault(s.specimen, (s.state, s.seed)) != (s.state, s.seed):
            raise PersistemError(f"{s.path}: specimen {s.specimen} has two states or seeds; it can have one of each")
        defoci[s.specimen].append(s.defocus)
    if len(states) < 2:
        raise PersistemError(f"learning: {len(states)} state given; at least 2 are needed")
    for state in states:
        if state not in {s.state for s in sources}:
            raise PersistemError(f"learning: state {state!r} has no specimen; every state needs at least one")
    for specimen, listed in defoci.items():
        if set(listed) != {s.defocus for s in sources}:
            raise PersistemError(f"learning: specimen {specimen} lacks a defocus that others have; all need the same")
