"""Averages over MD seeds of equal weight, and their intervals: a new sample is a new seed, not a new crop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.learning.accuracy import MINIMUM_GROUPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Labels = NDArray[np.int_]


def bootstrap(
    values: Sequence[float] | Array, rng_seed: int = 0, draws: int = 10_000
) -> tuple[float | None, float | None]:
    """95 % interval of the mean of one value per seed, by drawing seeds with replacement; None below three seeds.

    With few seeds the percentiles of the drawn means are too narrow. They are taken further out, so that for normal
    values they would agree with Student's t (expanded percentiles: Hesterberg, Am. Stat. 69 (2015) 371). No draw
    reaches beyond the extreme seeds, so with three to five seeds the interval remains too narrow.
    """
    from scipy.special import ndtr, stdtrit

    values = np.asarray(values, float)
    n = len(values)
    if n < MINIMUM_GROUPS:
        return None, None
    drawn = np.random.default_rng(rng_seed).integers(0, n, (draws, n))
    share = 100 * float(ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.025)))
    low, high = np.percentile(values[drawn].mean(axis=1), [share, 100 - share])
    return float(low), float(high)


def interval(differences: Sequence[float] | Array) -> tuple[float | None, float | None]:
    """95 % interval of the mean of differences, one per seed, by Student's t; None below three seeds."""
    from scipy.special import stdtrit

    values = np.asarray(differences, float)
    n = len(values)
    if n < MINIMUM_GROUPS:
        return None, None
    half = float(stdtrit(n - 1, 0.975) * values.std(ddof=1) / np.sqrt(n))
    return float(values.mean()) - half, float(values.mean()) + half


def seed_means(values: NDArray[Any], seed: Labels, selected: NDArray[np.bool_] | None = None) -> dict[int, float]:
    """Mean of the selected values of each seed, by increasing seed; seeds without any are left out."""
    if selected is not None:
        values, seed = values[selected], seed[selected]
    return {int(s): float(values[seed == s].mean()) for s in np.unique(seed)}


def summary(name: str, ends: str, means: Mapping[int, float]) -> dict[str, Any]:
    """Mean over seeds as ``name``, its interval as ``ends``_low and _high; for accuracies also ``by_seed``.

    ``by_seed`` allows two accuracies over the same seeds to be compared by their differences.
    """
    values = list(means.values())
    low, high = (None if v is None else round(v, 6) for v in bootstrap(values))
    each = {"by_seed": {str(seed): round(value, 6) for seed, value in means.items()}} if name == "accuracy" else {}
    return {name: round(sum(values) / len(values), 6), f"{ends}_low": low, f"{ends}_high": high} | each
