"""How far a window is from the windows a model was trained on, and whether it shows vacuum.

Four statistics, each with a threshold set by windows of unseen seeds. The first is the squared deviation of the
contrast. The next two come from multivariate process control, for the other blocks side by side: Hotelling's T² in
the space of the training's principal components, and the squared residual Q outside it (Jackson & Mudholkar,
Technometrics 21 (1979) 341). The last is the odds that a window shows counting noise alone (vacuum, or a hole) rather
than one of the training's, both taken as normally distributed: at low doses the training itself reaches down to noise.

The odds need the contrast of the noise, and so its dose. Whether a window can be noise at all is asked of its spectrum
alone, which is the same at all doses and gains. Odds of windows that cannot be would be extrapolated, and do not count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

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
#: The least thresholds: windows below them are not far, and not ten times as likely noise as one of the training's.
LEAST = (ROUNDING, ROUNDING, ROUNDING, 10.0)
#: Share of the windows of noise that are not recognised by their spectrum.
MISSED = 0.01


@dataclass(frozen=True)
class Distribution:
    """Where the windows of a training lie, and those of noise alone.

    ``scaling`` holds mean and scale (length,) of each block, the contrast included; all else is in these units.
    ``components`` (structure, rank) span the blocks other than the contrast, side by side, with ``variances`` (rank,)
    along them. ``covariance`` (length, length) is that of all blocks side by side, the contrast first. ``noise``
    (length,) is the mean of windows of noise, ``noise_covariance`` their covariance; ``noise_least`` the logarithm of
    the density, of all but the contrast, below which a window is not noise. ``thresholds`` (4,) belong to the
    ``STATISTICS``.
    """

    scaling: dict[str, tuple[Array, Array]]
    components: Array
    variances: Array
    covariance: Array
    noise: Array
    noise_covariance: Array
    noise_least: Array
    thresholds: Array

    def distances(self, blocks: Blocks) -> Array:
        """The ``STATISTICS`` of windows, (windows, 4), for blocks (windows, length)."""
        vectors = _vectors(blocks, self.scaling)
        contrast, structure = vectors[:, :1], vectors[:, 1:]
        scores = structure @ self.components
        residual = structure - scores @ self.components.T
        odds = _density(vectors, self.noise, self.noise_covariance) - _density(vectors, 0 * self.noise, self.covariance)
        odds = np.where(self._noisy(structure), odds, -SUREST)
        return np.stack(
            [
                (contrast**2).sum(axis=1),
                (scores**2 / self.variances).sum(axis=1),
                (residual**2).sum(axis=1),
                np.exp(np.clip(odds, -SUREST, SUREST)),
            ],
            axis=1,
        )

    def like_noise(self, blocks: Blocks) -> NDArray[np.bool_]:
        """Whether the spectrum of windows (windows,) is one that noise has, whatever the dose and the gain."""
        return self._noisy(_vectors(blocks, self.scaling)[:, 1:])

    def _noisy(self, structure: Array) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = _density(structure, *self._noise_of_structure) >= self.noise_least
        return found

    @property
    def _noise_of_structure(self) -> tuple[Array, Array]:
        """Mean and covariance of noise in all blocks but the contrast."""
        return self.noise[1:], self.noise_covariance[1:, 1:]


def scaling(block: NDArray[Any]) -> tuple[Array, Array]:
    """Mean and scale (length,) that bring a block (windows, length) to zero mean and a total variance of 1.

    The scale is the standard deviation times the root of the number of varying features; a constant feature keeps its
    unit (as ``learning.models.block_scaled``, which scales training and test at once).
    """
    exact = np.asarray(block, float)
    varies = exact.max(axis=0) > exact.min(axis=0)
    root = np.sqrt(max(int(np.count_nonzero(varies)), 1))
    # the mean of a constant is rounded
    return np.where(varies, exact.mean(axis=0), exact[0]), np.where(varies, exact.std(axis=0), 1.0) * root


def scaled(block: NDArray[Any], by: tuple[Array, Array]) -> Array:
    """A block (windows, length) with the mean taken off and divided by the scale."""
    mean, scale = by
    return (np.asarray(block, float) - mean) / scale


def _vectors(blocks: Blocks, by: Mapping[str, tuple[Array, Array]]) -> Array:
    """All blocks, scaled and side by side, the contrast first."""
    names = [CONTRAST, *(name for name in by if name != CONTRAST)]
    return np.hstack([scaled(blocks[name], by[name]) for name in names])


def _density(vectors: Array, mean: Array, covariance: Array) -> Array:
    """Logarithm of the density of a normal distribution at vectors (windows, length), but for a constant."""
    from scipy.linalg import solve_triangular

    root = np.linalg.cholesky(covariance)
    deviation = solve_triangular(root, (vectors - mean).T, lower=True)
    return np.asarray(-0.5 * (deviation**2).sum(axis=0) - np.log(np.diag(root)).sum())


def distribution(blocks: Blocks, noise: Blocks, rank: int | None = None) -> Distribution:
    """The distribution of training windows, with thresholds of 1; ``rank`` components, or as many as hold ``KEPT``.

    ``noise`` are windows of noise alone. Covariances are shrunk as much as the number of windows asks for (Ledoit &
    Wolf, J. Multivar. Anal. 88 (2004) 365).
    """
    from sklearn.covariance import ledoit_wolf

    by = {name: scaling(block) for name, block in blocks.items()}
    vectors, empty = _vectors(blocks, by), _vectors(noise, by)
    structure = vectors[:, 1:]
    variances, components = np.linalg.eigh(structure.T @ structure / len(structure))
    variances, components = np.maximum(variances[::-1], 0), components[:, ::-1]
    if rank is None:
        rank = int(np.searchsorted(np.cumsum(variances), KEPT * variances.sum())) + 1
    rank = min(rank, int(np.count_nonzero(variances > ROUNDING * variances.sum())))
    # the sign of an eigenvector depends on the library that computed it
    largest = np.abs(components).argmax(axis=0)
    components = components * np.sign(components[largest, np.arange(len(largest))])
    found = Distribution(
        scaling=by,
        components=components[:, :rank].copy(),
        variances=variances[:rank].copy(),
        covariance=ledoit_wolf(vectors, assume_centered=True)[0],
        noise=empty.mean(axis=0),
        noise_covariance=ledoit_wolf(empty)[0],
        noise_least=np.zeros(()),
        thresholds=np.ones(len(STATISTICS)),
    )
    least = np.quantile(_density(empty[:, 1:], *found._noise_of_structure), MISSED)
    return replace(found, noise_least=np.asarray(least))


def thresholds(distances: Array, outside: float) -> Array:
    """Thresholds (4,) that a share ``outside`` of the windows exceeds in at least one statistic.

    Each starts as its statistic's quantile at 1 - ``outside``; one factor then raises all, so that ``outside`` is the
    share of windows beyond any of them.
    """
    each = np.maximum(np.quantile(distances, 1 - outside, axis=0), LEAST)
    together = float(np.quantile((distances / each).max(axis=1), 1 - outside))
    return np.asarray(each * together)


def ones_and_pairs(seeds: list[int]) -> list[tuple[int, ...]]:
    """What is left out: every seed, so that it is unseen, and every pair, so that one sets limits for the other."""
    return [*((seed,) for seed in seeds), *combinations(seeds, 2)]


def left_out(
    blocks: Blocks, noise: Blocks, seed: NDArray[Any], rank: int, train: NDArray[np.bool_]
) -> dict[tuple[int, ...], tuple[NDArray[np.intp], Array]]:
    """For every seed and pair of seeds: which windows they have, and how far these are from the windows of all others.

    ``train`` (windows,) marks those that the others may be. Needs three seeds or more.
    """
    distances = {}
    for left in ones_and_pairs(np.unique(seed).tolist()):
        test = np.isin(seed, left)
        others = distribution({name: block[~test & train] for name, block in blocks.items()}, noise, rank)
        distances[left] = np.flatnonzero(test), others.distances({name: block[test] for name, block in blocks.items()})
    return distances


def abstained(
    of: Mapping[tuple[int, ...], tuple[NDArray[np.intp], Array]],
    seed: NDArray[Any],
    outside: float,
    train: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whether each window is beyond thresholds that its seed had no part in.

    Every other seed's windows that ``train`` set them, seen from the training without both seeds; ``of`` is the result
    of ``left_out``.
    """
    seeds = np.unique(seed).tolist()
    beyond = np.zeros(len(seed), bool)
    for seed_left in seeds:
        other_distances = []
        for other in (s for s in seeds if s != seed_left):
            rows, distances = of[min(seed_left, other), max(seed_left, other)]
            other_distances.append(distances[(seed[rows] == other) & train[rows]])
        rows, distances = of[seed_left,]
        beyond[rows] = (distances / thresholds(np.concatenate(other_distances), outside)).max(axis=1) > 1
    return beyond
