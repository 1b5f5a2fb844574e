"""Training a model of the states that are labelled on micrographs, and assessing it on those that it has not seen.

What is left out together is a specimen; of one specimen alone, a part of its image, and windows that share pixels with
it do not train. The classifier is linear: on the next micrograph it holds up better than trees do, which find limits
that belong to one image (docs/real-micrographs.md), and it is trained and applied in no time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.labelled.rows import Labelled, Rows, apart, rows_of
from persistem.learning.models import decisions
from persistem.learning.splits import Split
from persistem.learning.validation import Candidate, checked
from persistem.model import unlike
from persistem.model.classifier import Classifier, Model, calibrated, tempered
from persistem.model.linear import linear_of
from persistem.model.training import JUDGED, noise_alone
from persistem.model.typical import shown, typical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from persistem.study import ModelSettings

#: Bump when this stage's results change for the same study.
VERSION = 2
#: An image whose relief is so many times larger or smaller than those in training is unlike them.
RELIEF = 2.0


class Assessment(NamedTuple):
    """What the model says of windows that it has not seen: of ``units`` that could be left out.

    ``candidate`` is the one that was best there, of equals the first; ``recall`` is that of each, the mean over states.
    ``scores`` (windows, k) and ``probability`` (windows, k) are NaN where a window was not tested; ``beyond``
    (windows,) says whether the model abstains on it. ``skipped`` says of each other unit why it was not left out.
    """

    candidate: Candidate
    recall: dict[str, float]
    scores: NDArray[np.float64]
    probability: NDArray[np.float64]
    beyond: NDArray[np.bool_]
    tested: NDArray[np.bool_]
    skipped: dict[str, str]


class Trained(NamedTuple):
    """A model, the windows that trained it, and its assessment."""

    model: Model
    rows: Rows
    assessment: Assessment


def train(micrographs: Sequence[Labelled], states: list[str], asked: ModelSettings) -> Trained:
    """Train and assess a model on labelled micrographs; ``asked.candidates`` names the blocks it may see.

    Raises PersistemError if there are fewer than two states, or one labels no window.
    """
    if len(states) < 2:
        raise PersistemError(
            f"labelled: there is one state, {', '.join(states) or 'none'}; a model tells two or more apart"
        )
    candidates = [Candidate(tuple(blocks), "LR", C) for blocks in asked.candidates for C in sorted(asked.C)]
    rows = rows_of(micrographs, list(dict.fromkeys(name for c in candidates for name in c.features)), JUDGED, states)
    checked(rows.X, rows.crops, candidates, "pooled")
    noise = noise_alone(asked)
    assessment, distances = assessed(rows, candidates, noise, asked.outside)
    blocks = assessment.candidate.features
    classifier = Classifier(
        {name: rows.X[name].shape[1] for name in blocks},
        linear_of([rows.X[name] for name in blocks], rows.crops.y, assessment.candidate.C),
        None,
    )
    if _every(rows, assessment.tested):
        known, y = assessment.scores[assessment.tested], rows.crops.y[assessment.tested]
    else:
        known, y = classifier.scores(rows.X), rows.crops.y
    classifier = replace(classifier, calibration=tempered(known, y))
    distribution = unlike.distribution(rows.absolute, noise)
    if not len(distances):
        distances = distribution.distances(rows.absolute)
    distribution = replace(distribution, thresholds=unlike.thresholds(distances, asked.outside))
    reliefs = [one.described.relief for one in micrographs]
    model = Model(
        tuple(states),
        asked.windows,
        None,
        None,
        {},
        classifier,
        distribution,
        relief=(min(reliefs) / RELIEF, max(reliefs) * RELIEF),
        typical=typical(
            [
                shown(
                    one.described.blocks["spectrum"][one.described.valid], one.state[one.described.valid], len(states)
                )
                for one in micrographs
            ],
            [one.specimen for one in micrographs],
        ),
    )
    return Trained(model, rows, assessment)


def assessed(
    rows: Rows, candidates: Sequence[Candidate], noise: dict[str, NDArray[Any]], outside: float
) -> tuple[Assessment, NDArray[np.float64]]:
    """What models without a unit say of its windows, and how far these are from the others, (windows, statistics)."""
    crops = rows.crops
    count, k = len(crops.y), len(crops.states)
    scores, probability = np.full((len(candidates), count, k), np.nan), np.full((count, k), np.nan)
    far = np.full((count, len(unlike.STATISTICS)), np.nan)
    skipped: dict[str, str] = {}
    whole = unlike.distribution(rows.absolute, noise)
    for unit, name in enumerate(rows.units):
        train, test = apart(rows, unit)
        if not len(test):
            continue
        missing = sorted(set(range(k)) - set(crops.y[train].tolist()))
        if missing:
            skipped[name] = f"without it {' and '.join(crops.states[label] for label in missing)} would not be known"
            continue
        split = Split(unit, train, test)
        for number, candidate in enumerate(candidates):
            scores[number, test] = decisions(rows.X, crops, split, [candidate], "pooled")[0, 0]
        without = {block: values[train] for block, values in rows.absolute.items()}
        others = unlike.distribution(without, noise, len(whole.variances))
        far[test] = others.distances({block: values[test] for block, values in rows.absolute.items()})
    tested = ~np.isnan(scores[0, :, 0])
    recall = [_recall(every[tested].argmax(axis=1), crops.y[tested]) if tested.any() else 0.0 for every in scores]
    best = int(np.argmax(np.round(recall, 12)))
    by_label = {c.label(): round(r, 6) for c, r in zip(candidates, recall, strict=True)} if tested.any() else {}
    scores = scores[best]
    beyond = np.zeros(count, bool)
    for unit in np.unique(crops.seed[tested]).tolist():
        own = tested & (crops.seed == unit)
        # calibrated and judged by what was found of the other units; of one alone, by itself
        others_too = tested & (crops.seed != unit)
        base = others_too if _every(rows, others_too) else tested
        probability[own] = calibrated(tempered(scores[base], crops.y[base]), scores[own])
        limits = unlike.thresholds(far[base], outside)
        beyond[own] = (far[own] / limits).max(axis=1) > 1
    return Assessment(candidates[best], by_label, scores, probability, beyond, tested, skipped), far[tested]


def _recall(predicted: NDArray[np.int_], y: NDArray[np.int_]) -> float:
    """The recall of each state that was tested, its mean."""
    return float(np.mean([(predicted[y == label] == label).mean() for label in np.unique(y).tolist()]))


def _every(rows: Rows, among: NDArray[np.bool_]) -> bool:
    """Whether every state has windows among these."""
    return len(np.unique(rows.crops.y[among])) == len(rows.crops.states)
