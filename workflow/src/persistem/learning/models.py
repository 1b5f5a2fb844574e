"""Classifiers of blocks of features: their decision scores and probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.learning.classifiers import TREES, classifier, decisive, reduced, scaled, sigmoid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from persistem.learning.splits import Split
    from persistem.learning.validation import Candidate, CropLabels

    Array = NDArray[np.float64]
    Labels = NDArray[np.int_]
    Rows = NDArray[np.intp]

MODELS = ("LR", "SVC", TREES)
#: scikit-learn's default: hundreds of models are fitted, and their predictions hardly depend on it.
TOLERANCE = 1e-4


def decisions(
    X: Mapping[str, NDArray[Any]],
    crops: CropLabels,
    split: Split,
    candidates: Sequence[Candidate],
    training: str,
    labels: Sequence[Labels] | None = None,
) -> Array:
    """Decision scores (candidates, labellings, test crops, k) of models trained on ``split.train``.

    The candidates share their features. ``labels`` holds other labels to train with, instead of the crops' own. For
    two states the scores are -d and d, with d the decision for label 1.
    """
    from threadpoolctl import threadpool_limits

    labels = [crops.y] if labels is None else labels
    result = np.zeros((len(candidates), len(labels), len(split.test), crops.y.max() + 1))
    unfitted = [classifier(c.model, c.C, tolerance=TOLERANCE) for c in candidates]
    # sums round differently with another number of threads; the limit holds for the libraries loaded by now
    with threadpool_limits(1):
        for train, tested in strata(crops, split, training):
            blocks = [X[name] for name in candidates[0].features]
            vectors = {
                linear: _vectors(blocks, train, split.test[tested], linear)
                for linear in {c.model != TREES for c in candidates}
            }
            for i, (candidate, model) in enumerate(zip(candidates, unfitted, strict=True)):
                known, new = vectors[candidate.model != TREES]
                for j, y in enumerate(labels):
                    d = model.fit(known, y[train]).decision_function(new)
                    result[i, j, tested] = np.stack([-d, d], axis=1) if d.ndim == 1 else d
    return result


def _vectors(blocks: Sequence[NDArray[Any]], train: Rows, test: Rows, linear: bool) -> tuple[Array, Array]:
    """Training and test crops: scaled and reduced for a linear model, unchanged for trees.

    A tree uses one feature at a time, so scaling does not change it.
    """
    if linear:
        return reduced(*block_scaled(blocks, train, test))
    whole = np.hstack([np.asarray(block, float) for block in blocks])
    return whole[train], whole[test]


def strata(crops: CropLabels, split: Split, training: str) -> list[tuple[Rows, Rows]]:
    """For each model, the crops that train it, and the positions in ``split.test`` of the crops it classifies."""
    if training == "pooled":
        return [(split.train, np.arange(len(split.test)))]
    of_train, of_test = crops.defocus[split.train], crops.defocus[split.test]
    return [(split.train[of_train == d], np.flatnonzero(of_test == d)) for d in np.unique(of_test)]


def block_scaled(blocks: Sequence[NDArray[Any]], train: Rows, test: Rows) -> tuple[Array, Array]:
    """Training and test crops with all blocks side by side, every block with the same total variance.

    Features are standardised by the training crops and divided by the root of the number of features in their block
    that vary; otherwise a block would count by its length.
    """
    parts = []
    for block in blocks:
        trained, tested = scaled(block[train], block[test], "standard")
        root = np.sqrt(max(int(np.count_nonzero(np.ptp(trained, axis=0))), 1))
        parts.append((trained / root, tested / root))
    return np.hstack([p[0] for p in parts]), np.hstack([p[1] for p in parts])


def probabilities(scores: Array, y: Labels, new: Array) -> Array:
    """Probabilities (new crops, k) by a sigmoid of decision scores, fitted to ``scores`` (crops, k) of known states."""
    model, unit = sigmoid(scores, y)
    return np.asarray(model.predict_proba(decisive(new) / unit))
