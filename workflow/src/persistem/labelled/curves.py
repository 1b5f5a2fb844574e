"""How many labels are enough: recall on a specimen left out, by the number of others that train, and by their area.

The blocks and C are those that the whole study chose.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.labelled.describing import relative
from persistem.labelled.folds import Fold, over_folds
from persistem.labelled.rows import Labelled, rows_of
from persistem.model.linear import linear_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from persistem.learning.validation import Candidate

    Numbers = NDArray[np.int_]

#: Shares of the labelled area of every state and micrograph that train.
SHARES = (1 / 64, 1 / 16, 1 / 4, 1.0)


def curves(
    micrographs: Sequence[Labelled], every: Sequence[Fold], states: list[str], candidate: Candidate
) -> dict[str, list[dict[str, Any]]]:
    """The recall, mean over states, on what each fold (``every`` one) leaves out, with its interval over specimens.

    ``specimens``: by how many others train, 1, 2, 4, … and all, those that follow it in the study's order; empty with
    one specimen. ``area``: by the labelled area of the others that trains, nm²: of each state in each micrograph the
    places nearest to one of them; of one specimen alone, parts are left out, and there is no interval. A point at which
    a state would be unknown is left out.
    """
    specimens = list(dict.fromkeys(one.specimen for one in micrographs))
    others = len(specimens) - 1

    def left_out(training_of: Callable[[Fold], list[Labelled]]) -> dict[str, Any]:
        """The recall on what each fold tests; ``training_of`` gives what trains. Or nothing."""
        means = {}
        for number, fold in enumerate(every):
            if (found := _recall(training_of(fold), [*fold.tested.values()], states, candidate)) is not None:
                means[number] = found
        return over_folds("recall", means, not others) if means else {}

    def following(fold: Fold, count: int) -> list[Labelled]:
        first = specimens.index(fold.name) + 1
        after = [specimens[(first + k) % len(specimens)] for k in range(count)]
        return [one for one in micrographs if one.specimen in after]

    def thinned(fold: Fold, share: float) -> list[Labelled]:
        return [nearest(one, share) for one in fold.training]

    counts = sorted({*(2**k for k in range(20) if 2**k < others), others}) if others else []
    by_count = [{"specimens": count} | left_out(partial(following, count=count)) for count in counts]
    by_area = []
    for share in SHARES if every else ():
        areas = [sum(map(_area, thinned(fold, share))) for fold in every]
        by_area.append({"area_nm2": round(float(np.mean(areas)), 3)} | left_out(partial(thinned, share=share)))
    return {
        "specimens": [point for point in by_count if "recall" in point],
        "area": [point for point in by_area if "recall" in point],
    }


def nearest(one: Labelled, share: float) -> Labelled:
    """A micrograph with a share of its labels: of each state the places nearest to one of them, at least one."""
    state, rng = np.full(one.state.shape, -1), np.random.default_rng(0)
    for label in np.unique(one.state[one.state >= 0]).tolist():
        places = np.argwhere(one.state == label)
        far = ((places - places[rng.integers(len(places))]) ** 2).sum(axis=1)
        kept = places[np.argsort(far, kind="stable")[: max(round(share * len(places)), 1)]]
        state[tuple(kept.T)] = label
    return one._replace(state=state)


def _area(one: Labelled) -> float:
    """The labelled area of a micrograph, nm²."""
    return float((one.state >= 0).sum() * (one.described.step * one.described.sampling / 10) ** 2)


def _recall(training: list[Labelled], tested: list[Labelled], states: list[str], candidate: Candidate) -> float | None:
    """The recall, mean over the states of the tested micrographs; None if a state is unknown or nothing is labelled."""
    if not all(any((one.state == k).any() for one in training) for k in range(len(states))):
        return None
    said = _predictor(training, states, candidate)
    recalls = []
    for one in tested:
        known = np.flatnonzero(one.state >= 0)
        predicted, truth = said(one, known), one.state.ravel()[known]
        recalls += [float((predicted[truth == k] == k).mean()) for k in np.unique(truth).tolist()]
    return float(np.mean(recalls)) if recalls else None


def _predictor(
    training: list[Labelled], states: list[str], candidate: Candidate
) -> Callable[[Labelled, NDArray[np.intp]], Numbers]:
    """What a linear model says of some places (places,) of a micrograph."""
    names = candidate.features
    rows = rows_of(training, names, (), states)
    scorer = linear_of([rows.X[name] for name in names], rows.crops.y, candidate.C)

    def said(one: Labelled, places: NDArray[np.intp]) -> Numbers:
        known = relative(one.described, names, places)
        raw = scorer.raw(np.hstack([known[name] for name in names]))
        found: Numbers = (raw[:, 0] > 0).astype(int) if raw.shape[1] == 1 else raw.argmax(axis=1)
        return found

    return said
