"""Averages over MD seeds of equal weight, and their intervals: a new sample is a new seed, not a new crop.

There is one kind of interval, Student's t over seeds. In leave-seed-out the models of two seeds share most of their
training, so the seeds' values are not independent and no interval is exact (Bengio & Grandvalet, J. Mach. Learn. Res. 5
(2004) 1089): ``DEPENDENT`` says so wherever an interval stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Labels = NDArray[np.int_]

#: Fewer seeds, or repetitions of a split, give no interval.
MINIMUM_GROUPS = 3
#: The share of intervals that hold the mean.
LEVEL = 0.95
#: What has to be known of every interval over seeds.
DEPENDENT = "the models of two seeds share most of their training, so these intervals are approximate"


def interval(
    values: Sequence[float] | Array, least: float = -np.inf, most: float = np.inf
) -> tuple[float | None, float | None]:
    """95 % interval of the mean of one value per seed, by Student's t, cut at ``least`` and ``most``.

    None below three seeds, and where all seeds agree, since nothing then says how seeds scatter. Only if all lie at an
    end of the range is there a bound: a mean of values in [0, 1] that is below 0.05^(1/n) shows n ones in at most one
    case of twenty, whatever the distribution.
    """
    from scipy.special import stdtrit

    values = np.asarray(values, float)
    n = len(values)
    if n < MINIMUM_GROUPS:
        return None, None
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    if np.ptp(values) == 0:
        width = (most - least) * (1 - (1 - LEVEL) ** (1 / n))
        return (most - width, most) if mean == most else (least, least + width) if mean == least else (None, None)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * spread / np.sqrt(n)
    return max(mean - half, least), min(mean + half, most)


def seed_means(values: NDArray[Any], seed: Labels, selected: NDArray[np.bool_] | None = None) -> dict[int, float]:
    """Mean of the selected values of each seed, by increasing seed; seeds without any are left out."""
    if selected is not None:
        values, seed = values[selected], seed[selected]
    return {int(s): float(values[seed == s].mean()) for s in np.unique(seed)}


def summary(name: str, ends: str, means: Mapping[int, float], most: float = 1.0) -> dict[str, Any]:
    """Mean over seeds as ``name``, its interval as ``ends``_low and _high; for accuracies also ``by_seed``.

    Values lie between 0 and ``most``. ``by_seed`` allows two accuracies over the same seeds to be compared by their
    differences.
    """
    values = list(means.values())
    low, high = (None if v is None else round(v, 6) for v in interval(values, 0.0, most))
    each = {"by_seed": {str(seed): round(value, 6) for seed, value in means.items()}} if name == "accuracy" else {}
    return {name: round(sum(values) / len(values), 6), f"{ends}_low": low, f"{ends}_high": high} | each
