"""Clusters of windows: the axes along which windows differ, a mixture of Gaussians, how many, how alike they are."""

from __future__ import annotations

import math
import warnings
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError, Setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Blocks = dict[str, NDArray[np.float32]]

#: What windows are grouped by, and what it is called; each block counts the same.
BLOCKS = {"intensity": "brightness", "contrast": "contrast", "spectrum": "spectrum", "lifetimes": "persistence"}
#: Windows that the mixture is fitted to, at least, for each cluster.
FEWEST = 20
#: Dimensions that are left of the blocks: at most, or as many as hold this share of the variance.
DIMENSIONS, EXPLAINED = 6, 0.9
#: Most clusters.
CLUSTERS = 8
#: Numbers of clusters whose BIC is less than this apart are as good as each other (Kass & Raftery, J. Am. Stat. Assoc.
#: 90 (1995) 773, call 10 very strong evidence).
DECIDED = 10.0
#: Starts of the fit, and its least variance; blocks vary by 1 along their first axis.
STARTS, LEAST = 5, 1e-4
#: Draws from either Gaussian that tell how often two clusters are mixed up.
DRAWS = 20_000
#: Folds in which what tells two clusters apart is tested, and the windows of a cluster that it takes.
FOLDS, ENOUGH = 4, 8


class Axes(NamedTuple):
    """The axes along which windows differ most, of blocks that are each divided by their first singular value.

    So no block counts for more because it has more numbers (multiple factor analysis: Escofier & Pagès, Comput. Stat.
    Data Anal. 18 (1994) 121).
    """

    means: dict[str, Array]
    scales: dict[str, float]
    analysis: Any
    explained: float

    def places(self, blocks: Blocks) -> Array:
        """The places (windows, dimensions) of blocks (windows, length)."""
        columns = np.hstack([(blocks[name] - mean) / self.scales[name] for name, mean in self.means.items()])
        places: Array = self.analysis.transform(columns)
        return places


def axes_of(blocks: Blocks) -> Axes:
    """The axes of blocks (windows, length); PersistemError if there are too few windows."""
    from sklearn.decomposition import PCA

    count = len(next(iter(blocks.values())))
    if count < 2 * FEWEST:
        raise PersistemError(
            f"the images hold {count} windows that share no pixels, but clusters need at least {2 * FEWEST}; take"
            " larger images, or more of them"
        )
    means = {name: block.mean(axis=0, dtype=float) for name, block in blocks.items()}
    scales = {
        name: float(np.linalg.norm(block - means[name], 2)) / math.sqrt(count) or 1.0 for name, block in blocks.items()
    }
    columns = np.hstack([(block - means[name]) / scales[name] for name, block in blocks.items()])
    analysis = PCA(min(DIMENSIONS, columns.shape[1]), svd_solver="full").fit(columns)
    shares = analysis.explained_variance_ratio_.cumsum()
    kept = int(np.searchsorted(shares, EXPLAINED)) + 1
    if kept < len(shares):
        analysis = PCA(kept, svd_solver="full").fit(columns)
    return Axes(means, scales, analysis, float(shares[min(kept, len(shares)) - 1]))


class Mixture(NamedTuple):
    """A fitted mixture of Gaussians, and BIC by each number of clusters that was tried.

    ``order`` are its clusters in the order that they are named in, the largest first.
    """

    fitted: Any
    bic: dict[int, float]
    order: NDArray[np.intp]

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return len(self.order)

    @property
    def means(self) -> Array:
        """(clusters, dimensions)."""
        means: Array = self.fitted.means_[self.order]
        return means

    @property
    def covariances(self) -> Array:
        """(clusters, dimensions, dimensions)."""
        covariances: Array = self.fitted.covariances_[self.order]
        return covariances

    def probability(self, places: Array) -> Array:
        """Of each cluster (windows, clusters) for windows (windows, dimensions)."""
        probability: Array = self.fitted.predict_proba(places)[:, self.order]
        return probability

    def densities(self, places: Array) -> Array:
        """The logarithm of each cluster's own density (windows, clusters)."""
        from scipy.stats import multivariate_normal

        gaussians = zip(self.means, self.covariances, strict=True)
        columns = [multivariate_normal(mean, covariance).logpdf(places) for mean, covariance in gaussians]
        return np.stack([np.atleast_1d(column) for column in columns], axis=1)


def mixture_of(places: Array, states: int | None, progress: Callable[[int, int], None] | None = None) -> Mixture:
    """The mixture of Gaussians fitted to windows (windows, dimensions), of so many or as many clusters as BIC says."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    most = len(places) // FEWEST
    if states is not None and states > most:
        raise PersistemError(
            Setting("states"),
            f" = {states}: the images hold {len(places)} windows that share no pixels, enough for {most} clusters",
        )
    # whatever the order of images and windows
    places = places[np.argsort(places[:, 0], kind="stable")]
    numbers = range(1, min(CLUSTERS, most) + 1)
    bic, mixtures = {}, {}
    for done, number in enumerate(numbers, 1):
        mixture = GaussianMixture(number, n_init=STARTS, random_state=0, reg_covar=LEAST, max_iter=300)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixtures[number] = mixture.fit(places)
        bic[number] = float(mixture.bic(places))
        if progress:
            progress(done, len(numbers))
    best = mixtures[fewest(bic) if states is None else states]
    sizes = np.bincount(best.predict(places), minlength=best.n_components)
    return Mixture(best, bic, np.argsort(-sizes, kind="stable"))


def fewest(bic: dict[int, float]) -> int:
    """The least number of clusters that is as good as the best."""
    return min(number for number, value in bic.items() if value < min(bic.values()) + DECIDED)


def number(found: Mixture, states: int | None, windows: int, axes: Axes) -> dict[str, Any]:
    """How the number of clusters was chosen, in numbers and in words; ``states`` if it was given."""
    known = {
        "chosen": found.clusters,
        "windows": windows,
        "dimensions": axes.analysis.n_components_,
        "explained": axes.explained,
        "bic": {str(count): value for count, value in found.bic.items()},
    }
    least = min(found.bic, key=lambda count: found.bic[count])
    others = {count: value - found.bic[least] for count, value in found.bic.items() if count != least}
    second, chosen = min(others, key=lambda count: others[count]), fewest(found.bic)
    tried = f"of 1 to {len(found.bic)} tried on {windows} windows that share no pixels"
    says = f"The Bayesian information criterion (BIC) is least for {in_words(least)}, {tried}; "
    if chosen != least:
        says += f"{in_words(chosen)} came only {others[chosen]:.1f} behind, and below {DECIDED:g} nothing is decided"
        says += "." if states else ", so the fewer are taken."
    else:
        says += f"{second} came next, {others[second]:.1f} behind."
    if states:
        against = "" if states == chosen else f", though the criterion takes {chosen}"
        says = f"The number of clusters, {states}, was given{against}. {says}"
    if chosen == 1:
        says += " So these measures find no groups here."
    return known | {"criterion": "given" if states else "BIC", "says": says}


def in_words(count: int) -> str:
    """So many clusters."""
    return "1 cluster" if count == 1 else f"{count} clusters"


def alike(
    names: list[str], means: Array, covariances: Array, blocks: Blocks, label: NDArray[np.intp]
) -> list[dict[str, Any]]:
    """How alike two clusters are, for each two.

    ``overlap`` is the Bhattacharyya coefficient of their Gaussians, 0 to 1; ``mixed_up`` the share of windows, drawn
    from the two in equal numbers, that the other would get, 0 to 0.5; ``alone`` how well each block tells them apart by
    itself (area under the curve, 0.5 to 1), None if too few windows share no pixels. As clusters are made of these
    blocks, it exceeds 0.5 also where nothing differs.
    """
    return [
        {
            "clusters": [names[a], names[b]],
            "overlap": _overlap(means[[a, b]], covariances[[a, b]]),
            "mixed_up": _mixed_up(means[[a, b]], covariances[[a, b]]),
            "alone": {BLOCKS[name]: _alone(block, label, a, b) for name, block in blocks.items()},
        }
        for a, b in combinations(range(len(names)), 2)
    ]


def _overlap(means: Array, covariances: Array) -> float:
    """The Bhattacharyya coefficient of two Gaussians."""
    middle = covariances.mean(axis=0)
    between = means[0] - means[1]
    volume = np.linalg.slogdet(middle)[1] - np.linalg.slogdet(covariances)[1].mean()
    return float(np.exp(-(between @ np.linalg.solve(middle, between)) / 8 - volume / 2))


def _mixed_up(means: Array, covariances: Array) -> float:
    """How often draws from two Gaussians in equal numbers are likelier by the other."""
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(0)
    gaussians = [multivariate_normal(mean, covariance) for mean, covariance in zip(means, covariances, strict=True)]
    wrong = []
    for own, other in (gaussians, gaussians[::-1]):
        drawn = own.rvs(DRAWS, random_state=rng).reshape(DRAWS, -1)
        wrong.append(float((other.logpdf(drawn) > own.logpdf(drawn)).mean()))
    return sum(wrong) / 2


def _alone(block: NDArray[np.float32], label: NDArray[np.intp], a: int, b: int) -> float | None:
    """How well a block by itself tells clusters a and b apart: linear, tested on windows that it has not seen."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    among = (label == a) | (label == b)
    y = label[among] == b
    if min(y.sum(), (~y).sum()) < ENOUGH:
        return None
    if block.shape[1] == 1:
        area = float(roc_auc_score(y, block[among, 0]))
        return max(area, 1 - area)
    linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(linear, block[among].astype(float), y, cv=folds, method="decision_function")
    return max(float(roc_auc_score(y, scores)), 0.5)
