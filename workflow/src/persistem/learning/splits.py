"""Which crops train and which test: the paper's random split, and one MD seed left out at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from persistem.errors import PersistemError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Split(NamedTuple):
    """Rows that train and rows that test.

    ``group`` is the repetition (random) or the held-out seed; ``test`` are the crops that are judged. Accuracies of one
    group are averaged first, and the interval is over the groups.
    """

    group: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def random_splits(
    y: NDArray[np.int_],
    seed: NDArray[np.int_],
    defocus: NDArray[np.float64],
    fraction: float,
    repetitions: int,
    split_seed: int,
    place: NDArray[np.int_] | None = None,
    judged: str = "test",
) -> list[Split]:
    """The paper's split, repeated: crops of one MD seed at a time, a random ``fraction`` of them for testing.

    ``y``, ``seed`` and ``defocus`` (Å) have one entry per crop. The split is stratified by state and, within it, by
    defocus, so that models for all defoci and for one are tested on the same crops. With ``place``, the number of each
    crop in its micrograph, all crops of a place of a specimen are on one side. ``judged`` are the crops whose accuracy
    is taken and which ``test`` then has: those held out (test), those that train (training), or both (all).

    The draw depends only on ``split_seed``, the MD seed and the repetition: another MD seed in the study moves no crop.
    Seeds without all states are left out. Raises PersistemError if there are too few crops to divide.
    """
    # crops of one unit are drawn together: a place, or a crop among those of its defocus
    strata = [defocus == d for d in np.unique(defocus)] if place is None else [np.ones(len(y), bool)]
    complete = [s for s in np.unique(seed) if len(np.unique(y[seed == s])) == len(np.unique(y))]
    splits = []
    for repetition in range(repetitions):
        for s in complete:
            rng = np.random.default_rng([split_seed, s, repetition])
            own, tested = seed == s, np.zeros(len(y), bool)
            for stratum in strata:
                for state in np.unique(y):
                    rows = np.flatnonzero(own & stratum & (y == state))
                    units = rows if place is None else np.unique(place[rows])
                    if len(units) < 2:
                        what = f"crops ({len(rows)})" if place is None else f"places ({len(units)})"
                        at = f" at a defocus of {defocus[stratum][0]:g} Å" if place is None else ""
                        raise PersistemError(
                            f"random split: seed {s} has too few {what} of label {state}{at}; one to train and one to"
                            " test are needed (smaller crops.size or crops.stride)"
                        )
                    count = min(max(round(fraction * len(units)), 1), len(units) - 1)
                    drawn = rng.permutation(units)[:count]
                    tested[drawn if place is None else rows[np.isin(place[rows], drawn)]] = True
            taken = {"test": tested, "training": own & ~tested, "all": own}[judged]
            splits.append(Split(repetition, np.flatnonzero(own & ~tested), np.flatnonzero(taken)))
    return splits


def leave_seed_out(y: NDArray[np.int_], seed: NDArray[np.int_]) -> list[Split]:
    """Each MD seed in turn for testing, with all its specimens and defoci, and all the others for training.

    Empty unless every state has at least two seeds; otherwise some state would be tested but never trained.
    """
    if min(len(np.unique(seed[y == state])) for state in np.unique(y)) < 2:
        return []
    return [Split(int(s), np.flatnonzero(seed != s), np.flatnonzero(seed == s)) for s in np.unique(seed)]


def percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    """2.5 and 97.5 percentiles."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
