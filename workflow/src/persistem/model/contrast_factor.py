"""How many times the simulated contrast an image has, read from all its windows together.

One window does not tell another contrast from another state. The windows of an image do together, where its defocus is
known: simulations say how strong the contrast of every state is there, and the spectrum says about which state it is. A
ridge regression of second degree, in what windows are judged by and the defocus, gives the logarithm of the factor for
each window, and the image has their median. Its inverse is known as the Stobbs factor (Hÿtch & Stobbs, Ultramicroscopy
53 (1994) 191).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.model.unlike import ones_and_pairs, scaled, scaling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Blocks = Mapping[str, NDArray[Any]]

#: The contrast of simulated images is multiplied by up to so many times more and less than a model is trained for.
WIDER = 2.0
#: How many factors every micrograph gets, at each dose.
EACH = 2
#: Weight of the ridge's penalty; the terms are standardised.
PENALTY = 10.0
#: An image has a factor if its windows, which overlap, have together at least so many times the area of one.
LEAST_AREA = 2.0


class Factored(NamedTuple):
    """Windows of images whose contrast was multiplied.

    Blocks (windows, length), and of each window the number of its image, its seed, underfocus (Å) and factor, and
    whether the image trains the model too.
    """

    X: dict[str, NDArray[Any]]
    image: NDArray[np.int_]
    seed: NDArray[np.int_]
    underfocus: Array
    factor: Array
    trained: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> Factored:
        """The windows that are chosen (windows,)."""
        arrays: Any = (of[chosen] for of in self[1:])
        return Factored({name: of[chosen] for name, of in self.X.items()}, *arrays)


class Gauge(NamedTuple):
    """Reads the factor of an image; one below ``low`` or above ``high`` is unlike the training.

    Windows are vectors of n numbers, blocks side by side and the defocus, scaled by ``mean`` and ``scale`` (n,).
    ``error`` is the root mean square of the logarithm of read over true, of trained images of seeds left out.
    """

    mean: Array
    scale: Array
    intercept: float
    linear: Array  # (n,)
    quadratic: Array  # (n, n), upper triangle
    low: float = 0.0
    high: float = np.inf
    error: float = np.inf

    def logarithms(self, blocks: Blocks, underfocus: float | Array) -> Array:
        """Logarithm of the factor (windows,) by each window, of blocks (windows, length) and the underfocus, Å."""
        z = scaled(_vectors(blocks, underfocus), (self.mean, self.scale))
        return np.asarray(self.intercept + z @ self.linear + ((z @ self.quadratic) * z).sum(axis=1))

    def beyond(self, factor: float) -> bool:
        """Whether an image of this factor is unlike the training; not if it is NaN."""
        return factor < self.low or factor > self.high


def of_image(logarithms: Array, area: float) -> float:
    """The factor of an image by the logarithms of its windows (windows,); NaN if they are too few.

    ``area`` is what a window adds to an image, in those of a window: the square of their distance over their side.
    """
    return float(np.exp(np.median(logarithms))) if len(logarithms) * area >= LEAST_AREA else float("nan")


def beyond(without: dict[int, Gauge], windows: Factored, area: float) -> NDArray[np.bool_]:
    """Whether the image of each window (windows,) is unlike the training, by the regression without its seed."""
    found = np.zeros(len(windows.image), bool)
    for image in np.unique(windows.image):
        own = windows.image == image
        gauge = without[int(windows.seed[own][0])]
        read = gauge.logarithms({name: of[own] for name, of in windows.X.items()}, windows.underfocus[own])
        found[own] = gauge.beyond(of_image(read, area))
    return found


def fitted(windows: Factored) -> Gauge:
    """The regression of windows, without limits.

    As windows scatter, it reads each nearer to the mean than it is, and so their median. What it reads of the images
    that it was made from, in a line with their factors, says by how much.
    """
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    vectors = _vectors(windows.X, windows.underfocus)
    mean, scale = scaling(vectors)
    z, n = scaled(vectors, (mean, scale)), vectors.shape[1]
    i, j = np.triu_indices(n)
    scaler, ridge = make_pipeline(StandardScaler(), Ridge(PENALTY)).fit(
        np.hstack([z, z[:, i] * z[:, j]]), np.log(windows.factor)
    )
    coefficients = ridge.coef_ / scaler.scale_
    quadratic = np.zeros((n, n))
    quadratic[i, j] = coefficients[n:]
    found = Gauge(mean, scale, float(ridge.intercept_ - coefficients @ scaler.mean_), coefficients[:n], quadratic)
    read, true = np.log(_read(found, windows)).T
    slope, shift = np.polyfit(read, true, 1)
    return found._replace(
        intercept=float(slope * found.intercept + shift), linear=slope * found.linear, quadratic=slope * quadratic
    )


def assessed(windows: Factored, trained: tuple[float, float], outside: float) -> tuple[Gauge, dict[int, Gauge]]:
    """The regression with its limits; and that without each seed, whose limits the seed had no part in either.

    An image is unlike the training if its factor lies farther outside the range ``trained`` than an image of another
    seed is misread but by a chance of ``outside``. Needs three seeds or more.
    """
    seeds = np.unique(windows.seed).tolist()
    without = {left: fitted(windows.where(~np.isin(windows.seed, left))) for left in ones_and_pairs(seeds)}
    own = {seed: windows.where((windows.seed == seed) & windows.trained) for seed in seeds}
    read = {(left, seed): _read(gauge, own[seed]) for left, gauge in without.items() for seed in left}
    by_seed = {}
    for seed in seeds:
        others = np.concatenate([read[(min(seed, other), max(seed, other)), other] for other in seeds if other != seed])
        by_seed[seed] = _limited(without[seed,], others, trained, outside)
    alone = np.concatenate([read[(seed,), seed] for seed in seeds])
    return _limited(fitted(windows), alone, trained, outside), by_seed


def _limited(gauge: Gauge, read: Array, trained: tuple[float, float], outside: float) -> Gauge:
    """A regression with limits, by the factors that were read of images and the true ones (images, 2)."""
    from scipy.stats import t

    error = float(np.sqrt(np.mean(np.log(read[:, 0] / read[:, 1]) ** 2)))
    # a prediction of one more image (Student's t), which few images allow too
    reach = float(np.exp(t.ppf(1 - outside, len(read)) * error * np.sqrt(1 + 1 / len(read))))
    return gauge._replace(low=trained[0] / reach, high=trained[1] * reach, error=error)


def _read(gauge: Gauge, windows: Factored) -> Array:
    """The factor of each image as it is read, however few its windows, and as it is (images, 2)."""
    logarithms = gauge.logarithms(windows.X, windows.underfocus)
    images = [windows.image == image for image in np.unique(windows.image)]
    return np.array([(np.exp(np.median(logarithms[own])), windows.factor[own][0]) for own in images]).reshape(-1, 2)


def _vectors(blocks: Blocks, underfocus: float | Array) -> Array:
    """Blocks side by side, in the order of their names, and the underfocus (windows, n)."""
    ordered = [np.asarray(blocks[name], float) for name in sorted(blocks)]
    return np.hstack([*ordered, np.broadcast_to(np.reshape(underfocus, (-1, 1)), (len(ordered[0]), 1))])
