"""Where a random split leaks: the same features and models under splits that differ only in what they leave out.

Three quarters (by ``learning.test_fraction``) of one seed's crops train. As many crops as the rest test:

- random: crops of the same seed, at random, as in the paper;
- micrograph: whole micrographs of the same seed; the same atoms at other defoci remain;
- region: crop positions of the same seed, at all defoci and in all states; neighbouring regions remain;
- seed: crops of another seed, each of the others in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.learning.classifiers import asked, reduced, scaled
from persistem.learning.intervals import seed_means, summary
from persistem.learning.splits import Split, random_splits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.learning.validation import CropLabels
    from persistem.study import Learning

SPLITS = ("random", "micrograph", "region", "seed")


def attribution(
    X: NDArray[Any], crops: CropLabels, position: NDArray[np.int_], learning: Learning, degrees: int = 1, jobs: int = 1
) -> list[dict[str, Any]]:
    """Accuracy under each split: ``model``, ``split``, ``accuracy``, ``ci_low``, ``ci_high``, ``n_splits``.

    ``X`` (crops, length) has ``degrees`` side by side; ``position`` is a crop's place in its micrograph. Models and
    their settings are the study's, one model for all defoci. Accuracy is averaged over repetitions and then over the
    seed that trains, whose scatter gives the interval (``intervals.interval``). A split that a seed's crops, defoci or
    positions do not allow has no row.
    Raises PersistemError if fewer than two seeds have all states, or if features do not fit or are not finite.
    """
    from joblib import Parallel, delayed

    values = np.asarray(X, float)
    if values.ndim != 2 or len(values) != len(crops.y):
        raise PersistemError(f"leak: features have the shape {values.shape}, but there are {len(crops.y)} crops")
    if not np.isfinite(values).all():
        raise PersistemError("leak: a feature is not a finite number")
    tasks = [(name, split) for name in SPLITS for split in splits_of(name, crops, position, learning)]
    done = Parallel(n_jobs=jobs)(delayed(_accuracy)(values, crops.y, split, degrees, learning) for _, split in tasks)
    rows = []
    for k, model in enumerate(learning.models):
        for name in SPLITS:
            scores = [
                (split.group, shares[k]) for (kind, split), shares in zip(tasks, done, strict=True) if kind == name
            ]
            if scores:
                means = seed_means(np.array([share for _, share in scores]), np.array([seed for seed, _ in scores]))
                rows.append(
                    {"model": model, "split": name} | summary("accuracy", "ci", means) | {"n_splits": len(scores)}
                )
    return rows


def splits_of(name: str, crops: CropLabels, position: NDArray[np.int_], learning: Learning) -> list[Split]:
    """The splits of one kind; a split's group is the seed that trains. Empty if a seed does not allow them."""
    complete = [s for s in np.unique(crops.seed).tolist() if set(crops.y[crops.seed == s]) == set(crops.y)]
    if len(complete) < 2:
        raise PersistemError(f"leak: two seeds with all states are needed; complete are {complete or 'none'}")
    if name in ("random", "seed"):
        return _random(complete, crops, learning, elsewhere=name == "seed")
    splits = []
    for seed in complete:
        own = crops.seed == seed
        # micrographs are left out at the same defoci in all states, else the remaining foci would tell the state
        units: NDArray[Any] = crops.defocus if name == "micrograph" else position
        listed = np.unique(units[own])
        count = min(max(round(learning.test_fraction * len(listed)), 1), len(listed) - 1)
        for repetition in range(learning.repetitions):
            rng = np.random.default_rng([learning.split_seed, seed, repetition])
            tested = own & np.isin(units, rng.permutation(listed)[:count])
            train = np.flatnonzero(own & ~tested)
            if not tested.any() or set(crops.y[train]) != set(crops.y):
                return []
            splits.append(Split(seed, train, np.flatnonzero(tested)))
    return splits


def _random(complete: list[int], crops: CropLabels, learning: Learning, elsewhere: bool) -> list[Split]:
    """The paper's splits, tested on the same seed or, if ``elsewhere``, on the test crops of another."""
    try:
        drawn = random_splits(
            crops.y, crops.seed, crops.defocus, learning.test_fraction, learning.repetitions, learning.split_seed
        )
    except PersistemError:
        return []
    of_seed = {s: [split for split in drawn if crops.seed[split.train[0]] == s] for s in complete}
    splits = []
    for k, seed in enumerate(complete):
        for repetition, split in enumerate(of_seed[seed]):
            step = 1 + repetition % (len(complete) - 1) if elsewhere else 0
            other = complete[(k + step) % len(complete)]
            splits.append(Split(seed, split.train, of_seed[other][repetition].test))
    return splits


def _accuracy(X: NDArray[Any], y: NDArray[np.int_], split: Split, degrees: int, learning: Learning) -> list[float]:
    """The share of test crops that each of the study's models classifies correctly."""
    from threadpoolctl import threadpool_limits

    unfitted = [asked(model, learning) for model in learning.models]
    # sums round differently with another number of threads; the limit holds for the libraries loaded by now
    with threadpool_limits(1):
        train, test = reduced(*scaled(X[split.train], X[split.test], learning.scaling, degrees))
        return [float((m.fit(train, y[split.train]).predict(test) == y[split.test]).mean()) for m in unfitted]
