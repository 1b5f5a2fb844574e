"""Averages over MD seeds, of equal weight, and their intervals: the seed is what is drawn anew, not the crop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from persistem.learning import MINIMUM_GROUPS
from persistem.splits import percentiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Labels = NDArray[np.int_]


def bootstrap(
    values: Sequence[float] | Array, rng_seed: int = 0, draws: int = 10_000
) -> tuple[float | None, float | None]:
    """95 % percentile interval of the mean of one value per seed, by drawing seeds with replacement; None below three.

    Efron & Tibshirani, An Introduction to the Bootstrap (1993), ch. 13. Somewhat narrow with few seeds: of eight
    normal values it covers the mean nine times in ten.
    """
    import numpy as np

    values = np.asarray(values, float)
    if len(values) < MINIMUM_GROUPS:
        return None, None
    drawn = np.random.default_rng(rng_seed).integers(0, len(values), (draws, len(values)))
    return percentiles(values[drawn].mean(axis=1))


def seed_means(values: NDArray[Any], seed: Labels, selected: NDArray[np.bool_] | None = None) -> Array:
    """Mean of the selected values of each seed that has some, by increasing seed."""
    import numpy as np

    if selected is not None:
        values, seed = values[selected], seed[selected]
    return np.array([values[seed == s].mean() for s in np.unique(seed)])


def summary(name: str, interval: str, values: Array) -> dict[str, Any]:
    """Mean over seeds as ``name``, its interval as ``interval``_low and _high, and of accuracies those of every seed.

    With the same seeds behind them two accuracies are compared by the differences ``by_seed``.
    """
    low, high = (None if v is None else round(v, 6) for v in bootstrap(values))
    each = {"by_seed": [round(float(v), 6) for v in values]} if name == "accuracy" else {}
    return {name: round(float(values.mean()), 6), f"{interval}_low": low, f"{interval}_high": high} | each
