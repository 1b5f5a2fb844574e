"""Gradient boosted trees as plain arrays: what scikit-learn learned, without its objects.

Plain numbers can be read without trusting a file and checked before use, and the page of a map can follow them too.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


#: More rounds and longer ways than training makes (100 rounds of 8 leaves).
MOST_ROUNDS, DEEPEST = 10_000, 64


@dataclass(frozen=True)
class Trees:
    """Trees of all rounds, their nodes one after the other, for k' scores: one for two states, else one per state.

    A node compares the ``feature`` (nodes,) of a window with its ``threshold`` (nodes,): up to it the window goes to
    node ``left`` (nodes,), above it to ``right`` (nodes,). In a leaf both are -1, and ``value`` (nodes,) is added to
    the score. ``roots`` (rounds, k') are the trees' first nodes; ``start`` (k',) is where the scores begin.
    """

    feature: NDArray[np.int32]
    threshold: Array
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Array
    roots: NDArray[np.int32]
    start: Array

    def raw(self, vectors: NDArray[Any]) -> Array:
        """Scores (n, k') of feature vectors (n, length), as scikit-learn's ``decision_function`` gives them."""
        exact = np.asarray(vectors, float)
        total = np.tile(self.start, (len(exact), 1))
        rows = np.arange(len(exact))
        for roots in self.roots:
            for k, root in enumerate(roots):
                node = np.full(len(exact), root)
                asks = rows if self.left[root] >= 0 else rows[:0]
                while len(asks):
                    at = node[asks]
                    low = exact[asks, self.feature[at]] <= self.threshold[at]
                    node[asks] = np.where(low, self.left[at], self.right[at])
                    asks = asks[self.left[node[asks]] >= 0]
                total[:, k] += self.value[node]
        return total

    def check(self, length: int) -> None:
        """Raise ValueError unless every window of ``length`` features finds its way to a leaf."""
        nodes = len(self.feature)
        for field in fields(self):
            array, wanted = getattr(self, field.name), {"roots": 2}.get(field.name, 1)
            kind = float if field.name in ("threshold", "value", "start") else np.int32
            if array.ndim != wanted or array.dtype != kind:
                raise ValueError(f"trees: {field.name} is not an array of {np.dtype(kind)}, {wanted}-dimensional")
            if field.name not in ("roots", "start") and len(array) != nodes:
                raise ValueError(f"trees: {field.name} has {len(array)} nodes, not {nodes}")
            if not np.isfinite(array).all():
                raise ValueError(f"trees: {field.name} is not finite")
        inner = self.left >= 0
        at = np.arange(nodes)[inner]
        # to later nodes only, so that no path is a circle
        targets = [side[inner] for side in (self.left, self.right)]
        if any(((target <= at) | (target >= nodes)).any() for target in targets) or (self.right[~inner] >= 0).any():
            raise ValueError("trees: a node leads nowhere")
        if ((self.feature < 0) | (self.feature >= length)).any():
            raise ValueError(f"trees: a node asks for a feature that is not among {length}")
        if len(self.roots) > MOST_ROUNDS:
            raise ValueError(f"trees: {len(self.roots)} rounds; at most {MOST_ROUNDS}")
        if ((self.roots < 0) | (self.roots >= nodes)).any() or self.roots.shape[1] != len(self.start):
            raise ValueError("trees: a tree has no first node")
        level = np.unique(self.roots)
        for _ in range(DEEPEST):
            asks = level[self.left[level] >= 0]
            level = np.unique(np.concatenate([self.left[asks], self.right[asks]]))
        if level.size:
            raise ValueError(f"trees: deeper than {DEEPEST} nodes")


def trees_of(fitted: Any) -> Trees:
    """The trees of a fitted ``sklearn.ensemble.HistGradientBoostingClassifier`` of numerical features."""
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    roots, count = [], 0
    for of_round in fitted._predictors:
        roots_of_round = []
        for predictor in of_round:
            nodes, leaf = predictor.nodes, predictor.nodes["is_leaf"].astype(bool)
            roots_of_round.append(count)
            parts["feature"].append(np.where(leaf, 0, nodes["feature_idx"]))
            parts["threshold"].append(np.where(leaf, 0.0, nodes["num_threshold"]))
            for side in ("left", "right"):
                parts[side].append(np.where(leaf, -1, nodes[side].astype(np.int64) + count))
            parts["value"].append(np.where(leaf, nodes["value"], 0.0))
            count += len(nodes)
        roots.append(roots_of_round)
    whole = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    for name in ("feature", "left", "right"):
        whole[name] = whole[name].astype(np.int32)
    return Trees(**whole, roots=np.array(roots, np.int32), start=np.array(fitted._baseline_prediction, float).ravel())
