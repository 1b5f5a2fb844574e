"""Averages over MD seeds of equal weight, and their intervals: a new sample is a new seed, not a new crop.

There is one kind of interval of a mean, Student's t over seeds; ``prediction`` is of one further specimen instead, and
what accuracy tables hold of the random split are percentiles over its repetitions, see ``accuracy.accuracy_table``. In
leave-seed-out the models of two seeds share most of their training, so the seeds' values are not independent and no
interval is exact (Bengio & Grandvalet, J. Mach. Learn. Res. 5 (2004) 1089): ``DEPENDENT`` says so wherever an interval
stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Labels = NDArray[np.int_]

#: Fewer seeds, or repetitions of a split, give no interval.
MINIMUM_GROUPS = 3
#: The share of intervals that hold the mean.
LEVEL = 0.95
#: A difference is told below this p.
ALPHA = 0.05
#: Values that differ by less are equal, up to rounding.
EQUAL = 1e-12
#: What has to be known of every interval over seeds.
DEPENDENT = "the models of two seeds share most of their training, so these intervals are approximate"


def interval(
    values: Sequence[float] | Array, least: float = -np.inf, most: float = np.inf, level: float = LEVEL
) -> tuple[float | None, float | None]:
    """95 % (``level``) interval of the mean of one value per seed, by Student's t, cut at ``least`` and ``most``.

    None below three seeds, and where all seeds agree, since nothing then says how seeds scatter. Only if all lie at an
    end of the range is there a bound: a mean of values in [0, 1] that is below 0.05^(1/n) shows n ones in at most one
    case of twenty, whatever the distribution. Where most seeds lie at an end, the scatter of the few others says hardly
    more, and the interval reaches at least to that bound.
    """
    from scipy.special import stdtrit

    values = np.asarray(values, float)
    n = len(values)
    if n < MINIMUM_GROUPS:
        return None, None
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + level) / 2)) * spread / np.sqrt(n)
    low, high = max(mean - half, least), min(mean + half, most)
    bound = 1 - (1 - level) ** (1 / n)  # of the range
    if np.sum(values == most) > n / 2:
        return min(low, most - bound * (most - least)), high
    if np.sum(values == least) > n / 2:
        return low, max(high, least + bound * (most - least))
    return (None, None) if np.ptp(values) == 0 else (low, high)


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


class Change(NamedTuple):
    """A mean difference, its 95 % interval, and the two-sided p of there being none.

    The interval is None where nothing says how differences scatter, and so is p unless all have one sign.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None

    @property
    def above(self) -> bool | None:
        """Whether the difference is above 0, or below; None unless p is below ALPHA."""
        return None if self.p is None or self.p >= ALPHA else self.mean > 0

    @property
    def verdict(self) -> str:
        """The same in a word: ``above``, ``below`` or ``undecided``."""
        return {True: "above", False: "below", None: "undecided"}[self.above]


def change(differences: Sequence[float] | Array) -> Change:
    """Student's paired t-test of one difference per seed, so on specimens that nobody has seen.

    What two accuracies of one seed share (its specimens, its crops) is gone from their difference. Equal differences
    have no scatter, and get the p of the sign test.
    """
    values = np.asarray(differences, float)
    if len(values) < MINIMUM_GROUPS:
        return Change(float(values.mean()), None, None, None)
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    return _tested(float(values.mean()), error, len(values) - 1, values)


def told(values: Sequence[float], threshold: float = 0.0) -> bool | None:
    """Whether the mean of values, one per seed, lies above a threshold; None where ``change`` does not tell."""
    return change(np.asarray(values, float) - threshold).above if len(values) else None


def change_within(differences: Sequence[Sequence[float]] | Array, test_fraction: float) -> Change:
    """The same of one difference per split of each of these seeds, (seeds, splits): it holds for these specimens alone.

    The splits of a seed share most of their crops, so their variance counts 1/R + f/(1 - f) instead of 1/R times, for R
    splits of which a share f is tested (Nadeau & Bengio, Machine Learning 52 (2003) 239).
    """
    values = np.asarray(differences, float)
    seeds, splits = values.shape
    if splits < 2:
        return Change(float(values.mean()), None, None, None)
    variance = float(values.var(axis=1, ddof=1).mean()) / seeds * (1 / splits + test_fraction / (1 - test_fraction))
    return _tested(float(values.mean()), np.sqrt(variance), seeds * (splits - 1), values.mean(axis=1))


def _tested(mean: float, error: float, freedom: int, seeds: Array) -> Change:
    """Student's t-test; without scatter the sign test of the ``seeds``' differences, if all have one sign."""
    if error < EQUAL:
        one_sign = bool((seeds > EQUAL).all() or (seeds < -EQUAL).all())
        return Change(mean, None, None, 2.0 ** (1 - len(seeds)) if one_sign else None)
    return students(mean, error, freedom)


def students(mean: float, error: float, freedom: int) -> Change:
    """Student's t-test of a mean difference with this standard error; only the mean without any error."""
    from scipy.special import stdtr, stdtrit

    if error < EQUAL:
        return Change(mean, None, None, None)
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    return Change(mean, mean - half, mean + half, 2 * float(stdtr(freedom, -abs(mean) / error)))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Corrected p of several tests: at most 5 % of such families have any below 0.05 by chance, dependent or not.

    None stays None and is no test. Holm, Scand. J. Stat. 6 (1979) 65.
    """
    corrected: list[float | None] = [None] * len(p)
    tests = sorted((value, k) for k, value in enumerate(p) if value is not None)
    largest = 0.0
    for rank, (value, k) in enumerate(tests):
        largest = max(largest, min(1.0, value * (len(tests) - rank)))
        corrected[k] = largest
    return corrected


def smallest_shown(spread: float, n: int, tests: int = 1, power: float = 0.8) -> float:
    """The change that a paired t-test of ``n`` differences with standard deviation ``spread`` shows with ``power``.

    Two-sided at 0.05 / ``tests``, the level of the first of Holm's steps. By the noncentral t distribution (Cohen,
    Statistical Power Analysis for the Behavioral Sciences, 1988).
    """
    from scipy.special import nctdtrinc, stdtrit

    critical = float(stdtrit(n - 1, 1 - (1 - LEVEL) / (2 * tests)))
    # a change upwards practically never passes for one downwards
    return float(nctdtrinc(n - 1, 1 - power, critical)) * spread / float(np.sqrt(n))


def prediction(values: Sequence[Sequence[float]] | Array) -> tuple[float | None, float | None]:
    """95 % interval of the accuracy of ONE further specimen pair under ONE further split, cut at 0 and 1.

    ``values`` (seeds, splits) are accuracies of n seeds under R splits each, taken as m + a_s + e_sr: the seed's luck
    and the split's. The further one differs from our mean by a + e less the mean's own error, with the variance

        var(a) (1 + 1/n) + var(e) (1 + 1/(n R)) = (1 + 1/n) S² + (1 - 1/R) W,

    where S² is the variance of the seeds' means, whose expectation is var(a) + var(e) / R, and W that within seeds,
    var(e). Student's t with Satterthwaite's degrees of freedom (Lin & Liao, J. Stat. Plan. Inference 138 (2008) 3164,
    method 2; in simulations of three seeds it holds 92 to 96 %). With one split a seed it is t S sqrt(1 + 1/n). It
    supposes that the further specimen gives as many crops as ours. None below three seeds, or without any scatter.
    """
    from scipy.special import stdtrit

    values = np.asarray(values, float)
    n, splits = values.shape
    if n < MINIMUM_GROUPS:
        return None, None
    seeds = (1 + 1 / n) * float(values.mean(axis=1).var(ddof=1))
    within = (1 - 1 / splits) * float(values.var(axis=1, ddof=1).mean()) if splits > 1 else 0.0
    variance = seeds + within
    if variance < EQUAL**2:
        return None, None
    freedom = variance**2 / (seeds**2 / (n - 1) + (within**2 / (n * (splits - 1)) if splits > 1 else 0.0))
    half = float(stdtrit(freedom, (1 + LEVEL) / 2) * np.sqrt(variance))
    mean = float(values.mean())
    return max(mean - half, 0.0), min(mean + half, 1.0)
