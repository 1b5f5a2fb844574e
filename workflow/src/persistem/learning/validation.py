"""Nested cross-validation over MD seeds: every choice is made without the specimens it is tested on.

The unit is the MD seed (for stacks, a group of seeds): all its crops, of all states and defoci, train or test together.
Inner folds choose one candidate and calibrate its probabilities; outer folds measure. Features are scaled block by
block: each by its mean and standard deviation over the training crops, divided by the root of the number of features in
its block that vary, so that every block has the same total variance (Escofier & Pagès, Comput.
Stat. Data Anal. 18, 121 (1994), multiple factor analysis, with the total instead of the first eigenvalue).
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.optics import focused
from persistem.learning.accuracy import TRAININGS
from persistem.learning.intervals import seed_means, summary
from persistem.learning.models import MODELS, decisions, probabilities
from persistem.learning.splits import Split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Labels = NDArray[np.int_]
    Blocks = Mapping[str, NDArray[Any]]

#: Bump when classifications, their averages or intervals change for the same study; it is part of the
#: version of every stage that uses them.
SHARED_VERSION = 2


class Candidate(NamedTuple):
    """One way to classify: names of blocks of features, side by side, and a model with its C."""

    features: tuple[str, ...]
    model: str
    C: float

    def label(self) -> str:
        """For tables, e.g. ``statistics + betti, LR, C = 10``."""
        return f"{' + '.join(self.features)}, {self.model}, C = {self.C:g}"


class CropLabels(NamedTuple):
    """What each crop shows: arrays with one entry per crop.

    ``y`` is the label, 0 … k - 1; ``seed`` the MD seed or group of seeds; ``defocus`` in Å; ``micrograph`` the number
    of the crop's micrograph. ``states`` names the k labels in messages.
    """

    y: Labels
    seed: Labels
    defocus: Array
    micrograph: Labels
    states: tuple[str, ...] = ()

    def name(self, label: int) -> str:
        """The state that a label stands for."""
        return self.states[label] if self.states else str(label)

    def of(self, rows: NDArray[Any]) -> CropLabels:
        """The labels of some crops, by their numbers or a mask."""
        y, seed, defocus, micrograph = (column[rows] for column in self[:4])
        return CropLabels(y, seed, defocus, micrograph, self.states)


class Outcome(NamedTuple):
    """The models' answers for crops of seeds that they have not seen.

    ``probability`` (crops, k) is calibrated by the inner folds; ``predicted`` is the label with the largest decision
    score, not the largest probability; ``chosen`` is the candidate by held-out seed.
    """

    probability: Array
    predicted: Labels
    chosen: dict[int, Candidate]


def nested(
    X: Blocks,
    crops: CropLabels,
    rows: Mapping[str, Sequence[Candidate]],
    training: str,
    jobs: int = 1,
    train: NDArray[np.bool_] | None = None,
) -> dict[str, Outcome]:
    """Each row's outcome if inner folds choose among its candidates: the first of those with the best accuracy.

    ``X`` holds blocks of features (crops, length) by name; ``training`` is pooled, one model for all defoci, or
    per-defocus, one for each. Inner accuracy is averaged over the inner seeds with equal weight. A model trained
    without seeds i and j serves as inner fold j of outer fold i and as inner fold i of outer fold j. ``train`` (crops,)
    marks the crops that may train, choose and calibrate, by default all; the others are only judged. The number of
    processes, ``jobs``, does not change the result. Raises PersistemError if the input does not fit together, or if
    there are fewer than three seeds of every state.
    """
    from joblib import Parallel, delayed

    candidates = list(dict.fromkeys(c for choices in rows.values() for c in choices))
    blocks = checked(X, crops, candidates, training)
    seeds = np.unique(crops.seed).tolist()
    if len(seeds) < 3:
        raise PersistemError(f"nested cross-validation needs at least three seeds; there are {_listed(seeds)}")
    folds = [*combinations(seeds, 2), *((s,) for s in seeds)]
    splits = {left: without(crops, left, training, train) for left in folds}
    of_features: dict[tuple[str, ...], list[Candidate]] = {}
    for c in candidates:
        of_features.setdefault(c.features, []).append(c)
    tasks = [(features, left) for features in of_features for left in folds]
    done = Parallel(n_jobs=jobs)(
        delayed(decisions)({f: blocks[f] for f in features}, crops, splits[left], of_features[features], training)
        for features, left in tasks
    )
    scores = {
        (c, left): decided[0]
        for (features, left), by_candidate in zip(tasks, done, strict=True)
        for c, decided in zip(of_features[features], by_candidate, strict=True)
    }
    return {name: _chosen(crops, list(choices), seeds, splits, scores, train) for name, choices in rows.items()}


def fixed(
    X: Blocks,
    crops: CropLabels,
    candidate: Candidate,
    training: str,
    train: NDArray[np.bool_] | None = None,
    jobs: int = 1,
) -> Labels:
    """Labels (crops,) that one candidate predicts, each seed in turn left out of the training.

    ``train`` (crops,) marks the crops that may train, by default all. Raises PersistemError if the input does not fit
    together, or if a state is missing from the training.
    """
    from joblib import Parallel, delayed

    blocks = checked(X, crops, [candidate], training)
    splits = [without(crops, (s,), training, train) for s in np.unique(crops.seed).tolist()]
    done = Parallel(n_jobs=jobs)(delayed(decisions)(blocks, crops, s, [candidate], training) for s in splits)
    predicted = np.zeros(len(crops.y), int)
    for split, scores in zip(splits, done, strict=True):
        predicted[split.test] = scores[0, 0].argmax(axis=1)
    return predicted


def tabulate(outcome: Outcome | Labels, crops: CropLabels, in_focus: float | Sequence[float]) -> list[dict[str, Any]]:
    """Accuracy at all defoci, in focus (``learning.in_focus``) and at each, averaged over seeds of equal weight.

    ``vote`` is the accuracy on micrographs, each classified as most of its crops are; the sum of their probabilities
    decides a tie, which without probabilities counts as half right. Intervals are those of ``intervals.interval``.
    """
    if isinstance(outcome, Outcome):
        predicted, probability = outcome.predicted, outcome.probability
    else:
        predicted, probability = outcome, None
    selections = {"all": np.ones(len(crops.y), bool), "in-focus": focused(crops.defocus, in_focus)}
    selections |= {f"{d + 0.0:g}": crops.defocus == d for d in np.unique(crops.defocus)}  # + 0.0: no "-0"
    first, votes = _votes(predicted, probability, crops)
    rows = []
    for foci, selected in selections.items():
        if selected.any():
            row: dict[str, Any] = {"foci": foci}
            crop_means = seed_means(np.equal(predicted, crops.y), crops.seed, selected)
            vote_means = seed_means(votes, crops.seed[first], selected[first])
            row |= summary("accuracy", "ci", crop_means) | summary("vote", "vote", vote_means)
            rows.append(row | {"n_test": int(selected.sum())})
    return rows


def checked(X: Blocks, crops: CropLabels, candidates: Sequence[Candidate], training: str) -> dict[str, Array]:
    """The blocks that candidates name, as float arrays.

    Raises PersistemError if a block is missing, not finite or not as long as the crops, if the model or training is
    unknown, if a state has no crop, or if there is only one state.
    """
    if training not in TRAININGS:
        raise PersistemError(f"training = {training!r}: allowed are {', '.join(TRAININGS)}")
    if len(np.unique(crops.y)) < 2:
        raise PersistemError("evaluation: the crops show one state; at least two are needed")
    for label in range(max(int(crops.y.max()) + 1, len(crops.states))):
        if label not in crops.y:
            raise PersistemError(f"evaluation: state {crops.name(label)} has no crop; every state needs some")
    blocks: dict[str, Array] = {}
    for candidate in candidates:
        if candidate.model not in MODELS:
            raise PersistemError(f"model = {candidate.model!r}: allowed are {', '.join(MODELS)}")
        for name in candidate.features:
            if name not in X:
                raise PersistemError(f"{candidate.label()}: there is no block {name!r}; there are {', '.join(X)}")
            if name not in blocks:
                blocks[name] = np.asarray(X[name], float)
                if blocks[name].shape[:1] != crops.y.shape or blocks[name].ndim != 2:
                    raise PersistemError(
                        f"block {name!r} has the shape {blocks[name].shape}, but there are {len(crops.y)} crops"
                    )
                if not np.isfinite(blocks[name]).all():
                    raise PersistemError(f"block {name!r}: a value is not a finite number")
    return blocks


def without(crops: CropLabels, seeds: Sequence[int], training: str, train: NDArray[np.bool_] | None = None) -> Split:
    """The split that leaves out ``seeds``. Raises PersistemError if a state has no other seed at some defocus."""
    left = np.isin(crops.seed, seeds)
    kept = ~left if train is None else ~left & train
    for defocus in [None] if training == "pooled" else np.unique(crops.defocus[left]).tolist():
        rows = kept if defocus is None else kept & (crops.defocus == defocus)
        missing = sorted(set(crops.y.tolist()) - set(crops.y[rows].tolist()))
        if missing:
            at = "" if defocus is None else f" at a defocus of {defocus:g} Å"
            raise PersistemError(
                f"state {crops.name(missing[0])} has nothing to train on{at} where {_listed(seeds)}"
                f" {'is' if len(seeds) == 1 else 'are'} left out; it needs another seed"
            )
    return Split(int(seeds[0]), np.flatnonzero(kept), np.flatnonzero(left))


def _listed(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _chosen(
    crops: CropLabels,
    candidates: list[Candidate],
    seeds: list[int],
    splits: dict[tuple[int, ...], Split],
    scores: dict[tuple[Candidate, tuple[int, ...]], Array],
    train: NDArray[np.bool_] | None,
) -> Outcome:
    """For each seed, choose the candidate that is best on all the others, decide on the seed, and calibrate."""
    states = crops.y.max() + 1
    may = np.ones(len(crops.y), bool) if train is None else train
    outcome = Outcome(np.zeros((len(crops.y), states)), np.zeros(len(crops.y), int), {})
    for outer in seeds:
        inner: dict[Candidate, tuple[Array, Labels]] = {}
        accuracy = []
        for c in candidates:
            known, labels, right = [], [], []
            for other in (s for s in seeds if s != outer):
                pair = (min(outer, other), max(outer, other))
                test = splits[pair].test
                of_other = (crops.seed[test] == other) & may[test]
                decided, y = scores[c, pair][of_other], crops.y[test][of_other]
                known.append(decided)
                labels.append(y)
                right.append(np.mean(decided.argmax(axis=1) == y))
            inner[c] = np.concatenate(known), np.concatenate(labels)
            accuracy.append(np.mean(right))
        # equal accuracies in another order of seeds may differ in the last digit of their mean: still a tie
        best = candidates[int(np.argmax(np.round(accuracy, 12)))]
        test = splits[(outer,)].test
        decided = scores[best, (outer,)]
        outcome.predicted[test] = decided.argmax(axis=1)
        outcome.probability[test] = probabilities(*inner[best], decided)
        outcome.chosen[int(outer)] = best
    return outcome


def _votes(predicted: Labels, probability: Array | None, crops: CropLabels) -> tuple[NDArray[np.intp], Array]:
    """The first crop of each micrograph, and whether most of its crops are right: 1, 0, or a share for a tie."""
    _, first, micrograph = np.unique(crops.micrograph, return_index=True, return_inverse=True)
    states = crops.y.max() + 1
    counts = np.zeros((len(first), states))
    np.add.at(counts, (micrograph, predicted), 1)
    leading = counts == counts.max(axis=1, keepdims=True)
    if probability is not None:
        sums = np.zeros((len(first), states))
        np.add.at(sums, micrograph, probability)
        sums = np.where(leading, sums.round(9), -1)
        leading = sums == sums.max(axis=1, keepdims=True)
    return first, leading[np.arange(len(first)), crops.y[first]] / leading.sum(axis=1)
