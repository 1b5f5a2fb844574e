"""Classifiers of blocks of features: their decision scores, and the probabilities that go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from persistem.learning import reduced, scaled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from persistem.evaluation.validation import Candidate, Crops
    from persistem.splits import Split

    Array = NDArray[np.float64]
    Labels = NDArray[np.int_]
    Rows = NDArray[np.intp]

TREES = "trees"
MODELS = ("LR", "SVC", TREES)
#: Rounds of the boosting, and leaves of a tree.
ROUNDS, LEAVES = 100, 8


def classifier(model: str, C: float) -> Any:
    """Unfitted: LR, logistic regression with an L2 penalty; SVC, linear support vectors with the hinge loss; trees.

    The trees are grown by gradient boosting (Ke et al., NIPS 30, 2017, in scikit-learn's implementation), with an L2
    penalty of 1/C on the values of their leaves.
    """
    if model == "LR":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=C, max_iter=100_000)
    if model == "SVC":
        from sklearn.svm import SVC

        return SVC(kernel="linear", C=C)
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=ROUNDS, max_leaf_nodes=LEAVES, l2_regularization=1 / C, early_stopping=False, random_state=0
    )


def decisions(
    X: Mapping[str, NDArray[Any]],
    crops: Crops,
    split: Split,
    candidates: Sequence[Candidate],
    training: str,
    labels: Sequence[Labels] | None = None,
) -> Array:
    """Decision scores (candidates, labellings, test crops, k) of models trained on ``split.train``.

    The candidates share their features. ``labels`` holds other labels of the crops to train with, instead of their
    own. Of two states the scores are -d and d, with d the decision for label 1.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    labels = [crops.y] if labels is None else labels
    result = np.zeros((len(candidates), len(labels), len(split.test), crops.y.max() + 1))
    unfitted = [classifier(c.model, c.C) for c in candidates]
    # sums in another number of threads round differently; the limit holds for the libraries loaded by now
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
    """Training and test crops for a linear model; or as they are, since a tree asks for one feature at a time."""
    import numpy as np

    if linear:
        return reduced(*block_scaled(blocks, train, test))
    whole = np.hstack([np.asarray(block, float) for block in blocks])
    return whole[train], whole[test]


def strata(crops: Crops, split: Split, training: str) -> list[tuple[Rows, Rows]]:
    """For each model, the crops that train it, and which of ``split.test`` it classifies, as positions therein."""
    import numpy as np

    if training == "pooled":
        return [(split.train, np.arange(len(split.test)))]
    of_train, of_test = crops.defocus[split.train], crops.defocus[split.test]
    return [(split.train[of_train == d], np.flatnonzero(of_test == d)) for d in np.unique(of_test)]


def block_scaled(blocks: Sequence[NDArray[Any]], train: Rows, test: Rows) -> tuple[Array, Array]:
    """Training and test crops with all blocks side by side, every block with the same total variance.

    Features are standardised by the training crops and divided by the root of the number of those in their block that
    vary, which else would count by its length.
    """
    import numpy as np

    parts = []
    for block in blocks:
        trained, tested = scaled(block[train], block[test], "standard")
        root = np.sqrt(max(int(np.count_nonzero(np.ptp(trained, axis=0))), 1))
        parts.append((trained / root, tested / root))
    return np.hstack([p[0] for p in parts]), np.hstack([p[1] for p in parts])


def probabilities(scores: Array, y: Labels, new: Array) -> Array:
    """Probabilities (new crops, k) by a sigmoid of decision scores, fitted to ``scores`` (crops, k) of known states.

    Platt, in Advances in Large Margin Classifiers (MIT Press, 2000), p. 61; for more than two states the multinomial
    logistic function. His targets, (N + 1) / (N + 2) for the state of N crops, keep separable scores from certainty.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    n, k = scores.shape
    if k == 2:
        scores, new = scores[:, 1:], new[:, 1:]
    unit = scores.std() or 1.0
    of_state = np.bincount(y, minlength=k)[y]
    target = np.repeat(1 / (of_state + 2) / (k - 1), k).reshape(n, k)
    target[np.arange(n), y] = (of_state + 1) / (of_state + 2)
    model = LogisticRegression(C=1e6, tol=1e-6, max_iter=100_000)
    model.fit(np.tile(scores / unit, (k, 1)), np.repeat(np.arange(k), n), sample_weight=target.T.ravel())
    return np.asarray(model.predict_proba(new / unit))
