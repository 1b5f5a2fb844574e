"""The classifiers, the scaling of features, and the sigmoid that turns decision scores into probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Learning

    Array = NDArray[np.float64]
    Labels = NDArray[np.int_]

TREES = "trees"
#: Rounds of the boosting, and leaves of a tree.
ROUNDS, LEAVES = 100, 8


def classifier(model: str, C: float, penalised: bool = False, tolerance: float = 1e-6, rounds: int = 100_000) -> Any:
    """An unfitted classifier of scikit-learn: LR, SVC or trees.

    LR is logistic regression with an L2 penalty, fitted to ``tolerance``; so is liblinear's SVC where that is above
    scikit-learn's 1e-4, in ``rounds`` at most. SVC is a linear support vector machine with
    the hinge loss. ``penalised`` is whether their intercept is penalised as the weights are, as liblinear does, which
    tells one state from the rest and, for LR, two states at most; libsvm's SVC is one against one. Trees are grown by
    gradient boosting (Ke et al., NIPS 30, 2017), with an L2 penalty of 1/C on the values of their leaves.

    LR and liblinear's SVC converge at the paper's C. With features far larger than 1, or a much larger C, scikit-learn
    may warn that the support vectors are not converged.
    """
    if model == "LR":
        from sklearn.linear_model import LogisticRegression

        if penalised:
            return LogisticRegression(C=C, tol=tolerance, max_iter=100_000, solver="liblinear")
        return LogisticRegression(C=C, tol=tolerance, max_iter=100_000)
    if model == "SVC" and penalised:
        from sklearn.svm import LinearSVC

        return LinearSVC(loss="hinge", C=C, dual=True, tol=max(tolerance, 1e-4), max_iter=rounds, random_state=0)
    if model == "SVC":
        from sklearn.svm import SVC

        return SVC(kernel="linear", C=C)
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=ROUNDS, max_leaf_nodes=LEAVES, l2_regularization=1 / C, early_stopping=False, random_state=0
    )


def asked(model: str, learning: Learning) -> Any:
    """An unfitted LR or SVC with the C and the intercept that a study's learning asks for."""
    return classifier(model, learning.C, model in learning.penalised_intercept)


def scaled(train: Array, test: Array, scaling: str, degrees: int = 1) -> tuple[Array, Array]:
    """Scale features by the training rows (crops, features) alone.

    standard: each feature by its mean and standard deviation; maximum: all by the largest value of all; maximum by
    degree: by the largest of their degree, of which there are ``degrees`` of one length side by side; none.
    """
    if scaling == "standard":
        # the deviation of a constant is not exactly zero in floating point
        varies = train.max(axis=0) > train.min(axis=0)
        mean, deviation = train.mean(axis=0), np.where(varies, train.std(axis=0), 1.0)
        return (train - mean) / deviation, (test - mean) / deviation
    if scaling in ("maximum", "maximum by degree"):
        parts = degrees if scaling == "maximum by degree" else 1
        largest = train.reshape(len(train), parts, -1).max(axis=(0, 2))
        by = np.repeat(np.where(largest, largest, 1.0), train.shape[1] // parts)
        return train / by, test / by
    return train, test


def reduced(train: Array, test: Array) -> tuple[Array, Array]:
    """The same crops in at most as many coordinates as there are training rows, with the same predictions.

    An L2-regularised linear model has its weights in the span of its training rows, so it sees only inner products with
    them. A pivoted Cholesky factor of the training rows' Gram matrix keeps these, to rounding.
    """
    if len(train) >= train.shape[1] or not train.any():
        return train, test
    new, basis = factored(train @ train.T)
    return new, projected(new[basis], train[basis] @ test.T)


def factored(inner: Array) -> tuple[Array, NDArray[np.intp]]:
    """Coordinates (rows, rank) that have these inner products (rows, rows), and the rows that are their basis."""
    from scipy.linalg.lapack import dpstrf

    factor, pivots, rank, _ = dpstrf(inner, lower=1)
    order = pivots - 1
    new = np.empty((len(inner), rank))
    new[order] = np.tril(factor)[:, :rank]
    return new, order[:rank]


def projected(basis: Array, inner: Array) -> Array:
    """Coordinates (others, rank) of others by their inner products (rank, others) with the rows of the basis."""
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(basis, inner, lower=True).T)


def sigmoid(scores: Array, y: Labels) -> tuple[Any, float]:
    """The logistic regression that turns decision scores (rows, k) of known states into probabilities, and its unit.

    It takes ``decisive`` scores, divided by the unit. See Platt, in Advances in Large Margin Classifiers (MIT Press,
    2000), p. 61; for more than two states the logistic function is multinomial. His targets, (N + 1) / (N + 2) for a
    state with N rows, keep separable scores from certainty.
    """
    from sklearn.linear_model import LogisticRegression

    n, k = scores.shape
    seen = decisive(scores)
    unit = float(seen.std()) or 1.0
    rows_of_state = np.bincount(y, minlength=k)[y]
    target = np.repeat(1 / (rows_of_state + 2) / (k - 1), k).reshape(n, k)
    target[np.arange(n), y] = (rows_of_state + 1) / (rows_of_state + 2)
    model = LogisticRegression(C=1e6, tol=1e-6, max_iter=100_000)
    model.fit(np.tile(seen / unit, (k, 1)), np.repeat(np.arange(k), n), sample_weight=target.T.ravel())
    return model, unit


def decisive(scores: Array) -> Array:
    """The columns of decision scores (rows, k) that decide: for two states, with scores -d and d, only the second."""
    return scores[:, 1:] if scores.shape[1] == 2 else scores
