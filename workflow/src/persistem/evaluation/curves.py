"""What one candidate's accuracy depends on: chance, number of seeds, defocus; and whether its probabilities hold."""

from __future__ import annotations

from itertools import combinations, permutations, product
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.learning.intervals import seed_means, summary
from persistem.learning.models import decisions
from persistem.learning.validation import checked, without

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.learning.splits import Split
    from persistem.learning.validation import Blocks, Candidate, CropLabels, Outcome

    Labels = NDArray[np.int_]


def permutation_test(
    X: Blocks, crops: CropLabels, candidate: Candidate, training: str, most: int, rng_seed: int = 0, jobs: int = 1
) -> dict[str, Any]:
    """How often meaningless labels are predicted as accurately as the true ones.

    The labels of whole specimens are permuted within each seed. Renaming all states alike leaves the accuracy as it
    is, so the first seed keeps its labels: of k states and S seeds there are (k!)^(S-1) arrangements. All are used
    if there are no more than ``most``, else ``most`` random ones with the true one among them.

    Returns ``accuracy``, ``arrangements``, ``as_good`` (those at least as accurate, the true one included), ``p`` =
    as_good / arrangements, and ``null``, the accuracies of the others (Ojala & Garriga, J. Mach. Learn. Res. 11
    (2010) 1833, with specimens as the units). Raises PersistemError if a seed lacks a state.
    """
    from joblib import Parallel, delayed

    blocks = checked(X, crops, [candidate], training)
    seeds = np.unique(crops.seed).tolist()
    states = int(crops.y.max()) + 1
    for seed in seeds:
        missing = sorted(set(range(states)) - set(crops.y[crops.seed == seed].tolist()))
        if missing:
            raise PersistemError(f"permutation test: seed {seed} has no state {crops.name(missing[0])} to swap")
    labels = np.array(
        [_relabelled(crops, seeds, orders) for orders in _arrangements(states, len(seeds), most, rng_seed)]
    )
    splits = [without(crops, (seed,), training) for seed in seeds]
    # arrangements that differ only in the held-out seed share their model
    same = [np.unique(labels[:, s.train], axis=0, return_index=True, return_inverse=True)[1:] for s in splits]
    done = Parallel(n_jobs=jobs)(
        delayed(decisions)(blocks, crops, split, [candidate], training, list(labels[distinct]))
        for split, (distinct, _) in zip(splits, same, strict=True)
    )
    right = [
        (scores[0].argmax(axis=2)[model.ravel()] == labels[:, split.test]).mean(axis=1)
        for split, scores, (_, model) in zip(splits, done, same, strict=True)
    ]
    accuracy = np.mean(right, axis=0)
    as_good = int((accuracy >= accuracy[0] - 1e-9).sum())
    return {
        "accuracy": round(float(accuracy[0]), 6),
        "arrangements": len(labels),
        "as_good": as_good,
        "p": as_good / len(labels),
        "null": [round(float(a), 6) for a in accuracy[1:]],
    }


def learning_curve(
    X: Blocks, crops: CropLabels, candidate: Candidate, training: str, draws: int, rng_seed: int = 0, jobs: int = 1
) -> list[dict[str, Any]]:
    """Accuracy on a held-out seed after training on 1, 2, … of the others.

    Points have ``seeds``, ``accuracy``, ``ci_low`` and ``ci_high``. Each held-out seed gives the mean accuracy over
    ``draws`` random sets of the others, or over all sets if there are no more.
    """
    from joblib import Parallel, delayed

    blocks = checked(X, crops, [candidate], training)
    seeds = np.unique(crops.seed).tolist()
    rng = np.random.default_rng(rng_seed)
    tasks: list[tuple[int, int, Split]] = []
    for count in range(1, len(seeds)):
        for seed in seeds:
            for chosen in _sets([s for s in seeds if s != seed], count, draws, rng):
                tasks.append((count, seed, without(crops, (seed,), training, np.isin(crops.seed, chosen))))
    done = Parallel(n_jobs=jobs)(delayed(decisions)(blocks, crops, split, [candidate], training) for *_, split in tasks)
    accuracy: dict[int, dict[int, list[float]]] = {}
    for (count, seed, split), scores in zip(tasks, done, strict=True):
        right = float((scores[0, 0].argmax(axis=1) == crops.y[split.test]).mean())
        accuracy.setdefault(count, {}).setdefault(seed, []).append(right)
    return [
        {"seeds": count} | summary("accuracy", "ci", {seed: float(np.mean(values)) for seed, values in by_seed.items()})
        for count, by_seed in accuracy.items()
    ]


def defocus_matrix(X: Blocks, crops: CropLabels, candidate: Candidate, jobs: int = 1) -> dict[str, Any]:
    """Accuracy on unseen seeds when trained at one defocus and tested at another: ``accuracy``[trained][tested].

    ``one_state``[trained][tested] is the share of the crops that get the state that is called most often there.
    """
    from joblib import Parallel, delayed

    blocks = checked(X, crops, [candidate], "per-defocus")
    defoci = np.unique(crops.defocus).tolist()
    seeds = np.unique(crops.seed).tolist()
    tasks = [without(crops, (seed,), "pooled", crops.defocus == trained) for trained in defoci for seed in seeds]
    done = Parallel(n_jobs=jobs)(delayed(decisions)(blocks, crops, split, [candidate], "pooled") for split in tasks)
    called = np.zeros((len(defoci), len(crops.y)), int)
    for k, (split, scores) in enumerate(zip(tasks, done, strict=True)):
        called[k // len(seeds), split.test] = scores[0, 0].argmax(axis=1)
    at = [crops.defocus == tested for tested in defoci]
    means = [[seed_means(found == crops.y, crops.seed, selected) for selected in at] for found in called]
    matrix = [[float(np.mean(list(by_seed.values()))) for by_seed in row] for row in means]
    most = [[float(np.bincount(found[selected]).max() / selected.sum()) for selected in at] for found in called]
    return {
        "defoci": defoci,
        "accuracy": np.round(matrix, 6).tolist(),
        "one_state": np.round(most, 6).tolist(),
    }


def calibration(outcome: Outcome, crops: CropLabels, bins: int = 10) -> dict[str, Any]:
    """Whether states are as frequent as their probability says: the reliability diagram, and the Brier score.

    ``bins`` lists those that hold crops: mean ``probability`` of the predicted state, the ``share`` that is right, and
    the ``count``. The Brier score is the mean square difference between probabilities and states, summed over states
    (0 is perfect, 1 - 1/k is chance), averaged over seeds, with its interval over seeds.
    """
    truth = np.eye(outcome.probability.shape[1])[crops.y]
    score = ((outcome.probability - truth) ** 2).sum(axis=1)
    top = outcome.probability.max(axis=1)
    right = outcome.probability.argmax(axis=1) == crops.y
    lowest = 1 / outcome.probability.shape[1]
    place = np.clip(((top - lowest) / (1 - lowest) * bins).astype(int), 0, bins - 1)
    filled = [
        {
            "probability": round(float(top[place == k].mean()), 6),
            "share": round(float(right[place == k].mean()), 6),
            "count": int((place == k).sum()),
        }
        for k in range(bins)
        if (place == k).any()
    ]
    return summary("brier", "brier", seed_means(score, crops.seed), most=2.0) | {"bins": filled}


def _sets(seeds: list[int], count: int, draws: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """All sets of ``count`` seeds, or ``draws`` different ones at random if there are more."""
    if comb(len(seeds), count) <= draws:
        return list(combinations(seeds, count))
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < draws:
        drawn[tuple(sorted(rng.choice(seeds, count, replace=False).tolist()))] = None
    return list(drawn)


def _arrangements(states: int, seeds: int, most: int, rng_seed: int) -> list[tuple[tuple[int, ...], ...]]:
    """For each seed a permutation of the states; the first arrangement is the true one."""
    orders = list(permutations(range(states)))
    if len(orders) ** (seeds - 1) <= most:
        return [(orders[0], *rest) for rest in product(orders, repeat=seeds - 1)]
    rng = np.random.default_rng(rng_seed)
    drawn = {(orders[0],) * seeds: None}
    while len(drawn) < most:
        drawn[(orders[0], *(orders[k] for k in rng.integers(0, len(orders), seeds - 1)))] = None
    return list(drawn)


def _relabelled(crops: CropLabels, seeds: list[int], arrangement: tuple[tuple[int, ...], ...]) -> Labels:
    labels = crops.y.copy()
    for seed, order in zip(seeds, arrangement, strict=True):
        rows = crops.seed == seed
        labels[rows] = np.array(order)[crops.y[rows]]
    return labels
