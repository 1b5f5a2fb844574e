"""A linear classifier of blocks as plain arrays, which can be read without trusting a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.model.unlike import scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """Weights (length, k') and offsets (k',) for k' scores: one for two states, else one per state."""

    weights: Array
    start: Array

    def raw(self, vectors: NDArray[Any]) -> Array:
        """Scores (n, k') of feature vectors (n, length)."""
        return np.asarray(vectors, float) @ self.weights + self.start

    def check(self, length: int) -> None:
        """Raise ValueError unless vectors of ``length`` features have finite scores."""
        if self.start.ndim != 1 or self.weights.shape != (length, len(self.start)):
            raise ValueError(f"weights: {self.weights.shape} for {length} features")
        if not (np.isfinite(self.weights).all() and np.isfinite(self.start).all()):
            raise ValueError("weights: a value is not a finite number")


def linear_of(blocks: list[NDArray[Any]], y: NDArray[np.int_], C: float) -> Linear:
    """Logistic regression of blocks (windows, length), each with the same total variance, as ``learning.models``."""
    from persistem.learning.classifiers import classifier

    centre, scale = (np.concatenate(parts) for parts in zip(*map(scaling, blocks), strict=True))
    fitted = classifier("LR", C).fit((np.hstack(blocks) - centre) / scale, y)
    weights = fitted.coef_.T / scale[:, None]
    return Linear(weights, fitted.intercept_ - centre @ weights)
