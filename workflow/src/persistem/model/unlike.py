"""How far a window is from the windows a model was trained on.

Four statistics, each with a threshold set by windows of unseen seeds. The first is the squared deviation of the
contrast. The next two come from multivariate process control, for the other blocks side by side: Hotelling's T² in
the space of the training's principal components, and the squared residual Q outside it (Jackson & Mudholkar,
Technometrics 21 (1979) 341). The last is the odds that a window shows counting noise alone (vacuum, or a hole) rather
than one of the training's: at low doses the training itself reaches down to noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Blocks = Mapping[str, NDArray[Any]]

#: The block judged by itself: it says how strong an image is, not what is in it.
CONTRAST = "contrast"
VACUUM = "vacuum"
STATISTICS = (CONTRAST, "T²", "Q", VACUUM)
#: Logarithm of the least and the largest odds.
SUREST = 300.0
#: Share of the variance that the components keep; the rest, the residual, is mostly counting noise.
KEPT = 0.95
#: Share of the variance below which a residual is rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Distribution:
    """Where the windows of a training lie: scaled blocks, and the principal components of all but the contrast.

    ``scaling`` holds mean and scale (length,) of each block, the contrast included. ``components`` (length, rank) span
    the other blocks side by side, with ``variances`` (rank,) along them. ``vacuum`` (length + 1,) holds the
    coefficients and the constant of the logarithmic odds that a window shows noise alone; ``thresholds`` (4,) belong
    to the ``STATISTICS``.
    """

    scaling: dict[str, tuple[Array, Array]]
    components: Array
    variances: Array
    vacuum: Array
    thresholds: Array

    def distances(self, blocks: Blocks) -> Array:
        """The ``STATISTICS`` of windows, (windows, 4), for blocks (windows, length)."""
        vectors = _structure(blocks, self.scaling)
        scores = vectors @ self.components
        residual = vectors - scores @ self.components.T
        return np.stack(
            [
                (scaled(blocks[CONTRAST], self.scaling[CONTRAST]) ** 2).sum(axis=1),
                (scores**2 / self.variances).sum(axis=1),
                (residual**2).sum(axis=1),
                np.exp(np.clip(vectors @ self.vacuum[:-1] + self.vacuum[-1], -SUREST, SUREST)),
            ],
            axis=1,
        )


def scaling(block: NDArray[Any]) -> tuple[Array, Array]:
    """Mean and scale (length,) that bring a block (windows, length) to zero mean and a total variance of 1.

    The scale is the standard deviation times the root of the number of varying features; a constant feature keeps its
    unit (as ``learning.models.block_scaled``, which scales training and test at once).
    """
    exact = np.asarray(block, float)
    varies = exact.max(axis=0) > exact.min(axis=0)
    root = np.sqrt(max(int(np.count_nonzero(varies)), 1))
    return exact.mean(axis=0), np.where(varies, exact.std(axis=0), 1.0) * root


def scaled(block: NDArray[Any], by: tuple[Array, Array]) -> Array:
    """A block (windows, length) with the mean taken off and divided by the scale."""
    mean, scale = by
    return (np.asarray(block, float) - mean) / scale


def _structure(blocks: Blocks, by: Mapping[str, tuple[Array, Array]]) -> Array:
    """All blocks but the contrast, scaled and side by side."""
    return np.hstack([scaled(blocks[name], mean_and_scale) for name, mean_and_scale in by.items() if name != CONTRAST])


def distribution(blocks: Blocks, noise: Blocks, rank: int | None = None) -> Distribution:
    """The distribution of training windows, with thresholds of 1; ``rank`` components, or as many as hold ``KEPT``.

    ``noise`` are windows of noise alone. There may be none; then no window is taken for noise.
    """
    by = {name: scaling(block) for name, block in blocks.items()}
    vectors = _structure(blocks, by)
    variances, components = np.linalg.eigh(vectors.T @ vectors / len(vectors))
    variances, components = np.maximum(variances[::-1], 0), components[:, ::-1]
    if rank is None:
        rank = int(np.searchsorted(np.cumsum(variances), KEPT * variances.sum())) + 1
    rank = min(rank, int(np.count_nonzero(variances > ROUNDING * variances.sum())))
    # the sign of an eigenvector depends on the library that computed it
    largest = np.abs(components).argmax(axis=0)
    components = components * np.sign(components[largest, np.arange(len(largest))])
    vacuum = _vacuum(vectors, _structure(noise, by))
    return Distribution(by, components[:, :rank].copy(), variances[:rank].copy(), vacuum, np.ones(len(STATISTICS)))


def _vacuum(vectors: Array, noise: Array) -> Array:
    """Coefficients (length + 1,) of the logarithmic odds of noise: logistic regression, classes of equal weight."""
    from sklearn.linear_model import LogisticRegression

    if not len(noise):
        return np.append(np.zeros(vectors.shape[1]), -SUREST)
    shows = np.repeat([0, 1], [len(vectors), len(noise)])
    # for vectors of total variance 1 a weak penalty: it only keeps separable classes from certainty
    fitted = LogisticRegression(C=100.0, class_weight="balanced", max_iter=10_000)
    fitted.fit(np.vstack([vectors, noise]), shows)
    return np.append(fitted.coef_[0], fitted.intercept_)


def thresholds(distances: Array, outside: float) -> Array:
    """Thresholds (4,) that a share ``outside`` of the windows exceeds in at least one statistic.

    Each starts as its statistic's quantile at 1 - ``outside``; one factor then raises all, so that ``outside`` is the
    share of windows beyond any of them.
    """
    each = np.maximum(np.quantile(distances, 1 - outside, axis=0), ROUNDING)
    together = float(np.quantile((distances / each).max(axis=1), 1 - outside))
    return np.asarray(each * together)


def left_out(
    blocks: Blocks, noise: Blocks, seed: NDArray[Any], rank: int
) -> dict[tuple[int, ...], tuple[NDArray[np.intp], Array]]:
    """For every seed and pair of seeds: which windows they have, and how far these are from the windows of all others.

    Needs three seeds or more.
    """
    seeds = np.unique(seed).tolist()
    distances = {}
    for left in [*((s,) for s in seeds), *combinations(seeds, 2)]:
        test = np.isin(seed, left)
        others = distribution({name: block[~test] for name, block in blocks.items()}, noise, rank)
        distances[left] = np.flatnonzero(test), others.distances({name: block[test] for name, block in blocks.items()})
    return distances


def abstained(
    of: Mapping[tuple[int, ...], tuple[NDArray[np.intp], Array]], seed: NDArray[Any], outside: float
) -> Sequence[tuple[int, float]]:
    """Each seed, and the share of its windows beyond thresholds that it had no part in.

    Every other seed sets them, seen from the training without both seeds; ``of`` is the result of ``left_out``.
    """
    seeds = np.unique(seed).tolist()
    shares = []
    for seed_left in seeds:
        other_distances = []
        for other in (s for s in seeds if s != seed_left):
            rows, distances = of[min(seed_left, other), max(seed_left, other)]
            other_distances.append(distances[seed[rows] == other])
        ratios = of[seed_left,][1] / thresholds(np.concatenate(other_distances), outside)
        shares.append((int(seed_left), float((ratios.max(axis=1) > 1).mean())))
    return shares
