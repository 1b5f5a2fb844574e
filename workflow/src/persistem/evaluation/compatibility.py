"""Whether the paper's numbers could be those of one further specimen pair and one further split under a protocol.

The paper had one specimen of each state, and specimens scatter more than most choices of a protocol change. So what
counts is not how near a protocol comes on the seed where it comes nearest, but where the paper's numbers lie in the
joint distribution of a protocol's numbers over seeds. The finalists of a design are judged on all seeds of the study;
of a search, also on the seeds that it did not see.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.evaluation.protocols import (
    Crops,
    Found,
    Known,
    answers_of,
    away,
    block,
    crops_of,
    learning_of,
    models_of,
    name_of,
    numbers_of,
    read_journal,
    read_protocols,
    remembered,
)
from persistem.learning.classifiers import asked, reduced, scaled
from persistem.learning.intervals import MINIMUM_GROUPS, holm, interval
from persistem.learning.splits import random_splits
from persistem.store.files import atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.evaluation.designs import Protocol
    from persistem.study import Learning

    Array = NDArray[np.float64]

#: Bump when this stage's results change for the same study.
VERSION = 1

#: Draws of the parametric bootstrap; p is no smaller than one more than these, inverted.
DRAWS = 1999
#: Numbers that scatter less than this (a hundredth of a per cent) are taken to scatter so much.
LEAST = 1e-4
#: Correlations are shrunk by this share at least, so that numbers that always agree can be told apart.
SHRUNK = 0.05


def compatibility_file(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Write how compatible the finalists of a design are with the paper, as JSON.

    Keys: ``numbers`` (the paper's), ``seeds``, ``searched`` (the seeds that chose), ``tried`` (protocols), and
    ``finalists``, the study's own protocol first: ``protocol``, ``answers`` (by question), ``deviation`` (the largest,
    on the seed where it is smallest), ``by_seed`` (repetitions, numbers), ``mean``, ``p`` over all seeds,
    ``p_confirmed`` over the seeds that did not choose (None below three), both also after Holm's correction over the
    finalists, and ``unseen``: mean numbers of models that learned from as many crops of the other seeds, their 95 %
    interval and by seed.

    ``settings`` are those of ``protocols.protocols_file``, with ``protocols`` (its file), ``seeds`` (all of the study)
    and ``searched``. ``jobs`` is the number of processes. Raises PersistemError if a file cannot be used.
    """
    table = read_protocols(root / settings["protocols"])
    listed = _protocols(table, settings)
    chosen = finalists(table, settings)
    journal = out.with_suffix(".journal")
    known = remembered(settings, root, [listed[k] for k in chosen], read_journal(journal), journal, jobs)
    rows = [_judged(settings, root, k, listed[k], known, jobs) for k in chosen]
    for key in ("p", "p_confirmed"):
        for row, p in zip(rows, holm([row[key] for row in rows]), strict=True):
            row[f"{key}_corrected"] = None if p is None else round(p, 6)
    result = {
        "numbers": settings["numbers"],
        "seeds": settings["seeds"],
        "searched": settings["searched"],
        "tried": len(listed),
        "repetitions": settings["design"]["repetitions"],
        "finalists": rows,
    }
    with atomic(out) as part:
        part.write_text(json.dumps(result, indent=1) + "\n")
    journal.unlink(missing_ok=True)


def finalists(table: dict[str, list[Any]], settings: dict[str, Any]) -> list[int]:
    """The protocols that are judged on all seeds: the study's own, and those nearest the paper, nearest first."""
    deviation = deviations(table, settings["numbers"])
    nearest = sorted(deviation, key=lambda k: (deviation[k], k))
    own = _protocols(table, settings).index((0,) * len(settings["factors"]))
    return [own, *(k for k in nearest if k != own)][: settings["design"]["finalists"] + 1]


def deviations(table: dict[str, list[Any]], numbers: Sequence[dict[str, Any]]) -> dict[int, float]:
    """The largest deviation of each protocol's mean numbers from the paper, on the seed where it is smallest."""
    protocol, seed = np.array(table["protocol"]), np.array(table["seed"])
    values = np.column_stack([np.array(table[name_of(number)]) for number in numbers])
    return {
        int(k): float(away([values[(protocol == k) & (seed == s)].mean(axis=0) for s in set(seed)], numbers).min())
        for k in np.unique(protocol)
    }


def compatible(values: Sequence[Sequence[Sequence[float]]] | Array, paper: Sequence[float], seed: int = 0) -> float:
    """The p of one further specimen pair under one further split being as far from the mean as the paper's numbers.

    ``values`` are (seeds, splits, numbers), taken as m + a_s + e_sr as in ``intervals.prediction``. How far is told by
    the Mahalanobis distance with the covariance of one further specimen and split, (1 + 1/n) S + (1 - 1/R) W, where S
    is that of the seeds' means and W that within seeds. Seeds are few, so its correlations are shrunk towards none
    (Ledoit & Wolf, J. Multivar. Anal. 88 (2004) 365). The distance's own distribution is drawn from the fitted model,
    shrinking anew each time (parametric bootstrap), since with fewer seeds than numbers Hotelling's T² has none.
    """
    values = np.asarray(values, float)
    n, splits, _ = values.shape
    rng = np.random.default_rng(seed)
    total, within = _covariances(values)
    between = _root(total - within)
    split = _root(within)
    seen = _distance(values, np.asarray(paper, float))
    farther = 0
    for _ in range(DRAWS):
        specimens = rng.normal(size=(n + 1, 1, len(total))) @ between
        drawn = specimens + rng.normal(size=(n + 1, splits, len(total))) @ split
        farther += _distance(drawn[:n], drawn[n, 0]) >= seen
    return (1 + farther) / (1 + DRAWS)


def _distance(values: Array, point: Array) -> float:
    """Squared Mahalanobis distance of a point from the mean of values (seeds, splits, numbers)."""
    n = len(values)
    total, _ = _covariances(values)
    away = point - values.mean(axis=(0, 1))
    return float(away @ np.linalg.solve(total * (1 + 1 / n), away))


def _covariances(values: Array) -> tuple[Array, Array]:
    """The covariance of one specimen's numbers under one split, its correlations shrunk, and the part of the split."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    n, splits, k = values.shape
    means = values.mean(axis=1)
    within = np.zeros((k, k))
    if splits > 1:
        inside = (values - means[:, None]).reshape(-1, k)
        within = inside.T @ inside / (n * (splits - 1))
    total = np.cov(means, rowvar=False) + (1 - 1 / splits) * within
    sd = np.sqrt(np.maximum(np.diag(total), LEAST**2))
    spread = means.std(axis=0)
    standard = (means - means.mean(axis=0)) / np.where(spread > 0, spread, 1)
    shrinkage = max(SHRUNK, ledoit_wolf_shrinkage(standard, assume_centered=True)) if spread.any() else 1.0
    correlation = total / np.outer(sd, sd)
    shrunk = (1 - shrinkage) * correlation + shrinkage * np.eye(k)
    np.fill_diagonal(shrunk, 1.0)
    return shrunk * np.outer(sd, sd), within


def _root(covariance: Array) -> Array:
    """A matrix whose product with normal numbers has a covariance, without its negative part."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root: Array = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def _protocols(table: dict[str, list[Any]], settings: dict[str, Any]) -> list[Protocol]:
    """Every protocol of the table, by its number."""
    columns = [[f["answers"].index(answer) for answer in table[f["question"]]] for f in settings["factors"]]
    listed = dict(zip(table["protocol"], zip(*columns, strict=True), strict=True))
    return [listed[k] for k in sorted(listed)]


def _judged(
    settings: dict[str, Any], root: Path, number: int, protocol: Protocol, known: Known, jobs: int
) -> dict[str, Any]:
    """One finalist."""
    paper = [n["accuracy"] for n in settings["numbers"]]
    by_seed: dict[int, Found] = {seed: known[protocol, seed] for seed in settings["seeds"]}
    values = np.array([found.numbers for found in by_seed.values()])
    confirming = [k for k, seed in enumerate(settings["seeds"]) if seed not in settings["searched"]]
    means = values.mean(axis=1)
    deviation = away(means, settings["numbers"])
    return {
        "protocol": number,
        "answers": answers_of(settings, protocol),
        "deviation": round(float(deviation.min()), 6),
        "nearest_seed": settings["seeds"][int(deviation.argmin())],
        "by_seed": {str(seed): found.numbers for seed, found in by_seed.items()},
        "mean": [round(float(m), 6) for m in means.mean(axis=0)],
        "p": round(compatible(values, paper), 6),
        "p_confirmed": round(compatible(values[confirming], paper), 6) if len(confirming) >= MINIMUM_GROUPS else None,
        "unseen": left_out(settings, root, protocol, jobs),
    }


def left_out(settings: dict[str, Any], root: Path, protocol: Protocol, jobs: int = 1) -> dict[str, Any]:
    """Numbers on each seed of models that learned from the others: ``by_seed``, and ``mean``, ``low`` and ``high``.

    They learn from as many crops as one seed's split trains, drawn alike from every other seed, state and defocus, so
    that only the specimens differ from the random split and not how much is learned.
    """
    from joblib import Parallel, delayed

    seeds = settings["seeds"]
    by_seed = dict(zip(seeds, Parallel(n_jobs=jobs)(
        delayed(_on_left_out)(settings, root, protocol, seed) for seed in seeds
    ), strict=True))  # fmt: skip
    columns = list(zip(*by_seed.values(), strict=True))
    ends = [interval(column, 0.0, 1.0) for column in columns]
    return {
        "by_seed": {str(seed): numbers for seed, numbers in by_seed.items()},
        "mean": [round(float(np.mean(column)), 6) for column in columns],
        "low": [None if low is None else round(low, 6) for low, _ in ends],
        "high": [None if high is None else round(high, 6) for _, high in ends],
    }


def _on_left_out(settings: dict[str, Any], root: Path, protocol: Protocol, seed: int) -> list[float]:
    from threadpoolctl import threadpool_limits

    learning = learning_of(settings, protocol)
    own = crops_of(settings, root, protocol, seed)
    share = _share(own, seed, learning, settings)
    others = [
        _drawn(crops_of(settings, root, protocol, other), share, other) for other in settings["seeds"] if other != seed
    ]
    y = np.concatenate([crops.y for crops in others])
    right = {}
    # sums round differently with another number of threads; the limit holds for the libraries loaded by now
    with threadpool_limits(1):
        for degrees, model in models_of(settings):
            train = np.vstack([block(crops, degrees) for crops in others])
            known, new = reduced(*scaled(train, block(own, degrees), learning.scaling, degrees.count("+") + 1))
            right[degrees, model] = asked(model, learning).fit(known, y).predict(new) == own.y
    return numbers_of(settings, right, own.defocus, learning.in_focus)


def _share(own: Crops, seed: int, learning: Learning, settings: dict[str, Any]) -> float:
    """The share of each other seed's crops that together are as many as a split of one seed trains."""
    split, *_ = random_splits(
        own.y, np.full(len(own.y), seed), own.defocus, learning.test_fraction, 1, learning.split_seed
    )
    return len(split.train) / len(own.y) / (len(settings["seeds"]) - 1)


def _drawn(crops: Crops, share: float, seed: int) -> Crops:
    """A share of the crops of every state and defocus, at least one of each."""
    rng = np.random.default_rng([seed])
    rows = np.concatenate([
        rng.permutation(same)[: max(1, round(share * len(same)))]
        for y in np.unique(crops.y)
        for defocus in np.unique(crops.defocus)
        for same in [np.flatnonzero((crops.y == y) & (crops.defocus == defocus))]
    ])  # fmt: skip
    return Crops(tuple(X[rows] for X in crops.X), crops.y[rows], crops.defocus[rows], crops.place[rows])
