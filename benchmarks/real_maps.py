"""Maps of real.py: models of this package on labelled images, beside a random forest of pixels and what is simpler.

The forest is what ilastik and Trainable Weka do: Gaussians, gradients and Hessians of several widths at every pixel
(scikit-image's multiscale features) and a random forest. It gets the same labels as our model.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import real_data as data
from persistem.labelled import mapping, rows, training
from persistem.labelled.describing import Described, describe, relative
from persistem.study import ModelSettings, Windows
from persistem.study.mapping import LABELLED_C, LABELLED_CANDIDATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from persistem.reading import Image

    Array = NDArray[np.float64]

#: Windows of 36 px, and the distance between them (Å): of the particles' images, and of those on carbon.
SETTINGS = {
    "particles": (Windows(sampling=data.PARTICLES, size=36 * data.PARTICLES), 2 * data.PARTICLES),
    "carbon": (Windows(sampling=0.6, size=21.6), 3.0),
}
#: The blocks that are described.
BLOCKS = ("lifetimes", "spectrum", "contrast", "intensity", "filters")
#: What is put beside the model: one block each, all but persistence, and the largest candidate.
BESIDE = {
    "brightness of the window (intensity)": ("intensity",),
    "contrast": ("contrast",),
    "spectrum": ("spectrum",),
    "lifetimes": ("lifetimes",),
    "filters": ("filters",),
    "filters + contrast": ("filters", "contrast"),
    "filters + contrast + lifetimes": ("filters", "contrast", "lifetimes"),
}
#: Trees of a forest, widths of its filters (px), and pixels that train it.
TREES, WIDTHS, PIXELS = 100, (1, 16), 20_000
#: Width (px) over which an image's local mean and contrast are removed for the forest.
LOCAL = 15


class Judged(NamedTuple):
    """An image by a model: probabilities of the places of its windows (rows, columns, k), and where it abstains."""

    probability: NDArray[np.float32]
    abstained: NDArray[np.bool_]


def asked(of: str) -> ModelSettings:
    """The settings of a model, as a study of labelled micrographs has them by default."""
    return ModelSettings(windows=SETTINGS[of][0], candidates=LABELLED_CANDIDATES, C=LABELLED_C)


def described(image: Image, of: str, jobs: int = 1) -> Described:
    """An image's windows with all the blocks that are compared."""
    wanted, stride = SETTINGS[of]
    return describe(image, wanted, stride, BLOCKS, jobs)


@cache
def of_particles(number: int) -> tuple[Described, NDArray[np.bool_]]:
    """An image of particles, described, and its mask."""
    image, mask = data.particles(number)
    return described(image, "particles"), mask


@cache
def of_carbon(name: str) -> Described:
    """An image on carbon, described."""
    return described(data.carbon(name), "carbon")


def labelled(of: Described, labels: NDArray[np.uint8], specimen: str) -> rows.Labelled:
    """A described image with the states, from 1, of its pixels."""
    return rows.Labelled(of, rows.states_at(labels, of).astype(int) - 1, specimen)


def model(micrographs: Sequence[rows.Labelled], states: Sequence[str], of: str) -> training.Trained:
    """The model that a study would have."""
    return training.train(micrographs, list(states), asked(of))


def judged(of: Described, trained: training.Trained) -> Judged:
    """What a model says of an image."""
    verdict = mapping.judged(of, trained.model)
    return Judged(verdict.probability, verdict.reason > 0)


def linear(
    micrographs: Sequence[rows.Labelled], blocks: Sequence[str], test: Sequence[Described], absolute: bool = False
) -> list[Array]:
    """Probabilities (rows, columns, k) of images by a linear model of these blocks alone, fitted as ours is.

    With ``absolute``, blocks count as they are described, not relative to their image.
    """
    from persistem.model.linear import linear_of
    from scipy.special import expit, softmax

    shown = (lambda of: of) if absolute else in_itself
    states = int(max(one.state.max() for one in micrographs)) + 1
    known = [one._replace(described=shown(one.described)) for one in micrographs]
    drawn = rows.rows_of(known, (), blocks, [str(k) for k in range(states)])
    fitted = linear_of([drawn.absolute[name] for name in blocks], drawn.crops.y, LABELLED_C[0])
    found = []
    for of in map(shown, test):
        vectors = np.concatenate([of.blocks[name] for name in blocks], axis=-1)
        raw = fitted.raw(vectors.reshape(-1, vectors.shape[-1]))
        p = np.hstack([1 - expit(raw), expit(raw)]) if raw.shape[1] == 1 else softmax(raw, axis=1)
        found.append(p.reshape(*of.valid.shape, -1))
    return found


#: Descriptions whose blocks are relative to their image, by the identity of what they were made of, which is kept.
_RELATIVE: dict[int, tuple[Described, Described]] = {}


def in_itself(of: Described) -> Described:
    """A description whose blocks are relative to their image; made once."""
    if id(of) not in _RELATIVE:
        _RELATIVE[id(of)] = of, of._replace(blocks=relative(of, of.blocks))
    return _RELATIVE[id(of)][1]


def at_pixels(probability: NDArray[Any], of: Described, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Probabilities (rows, columns, k) at every pixel of an image, linear between the places of windows."""
    import cv2

    lines = [
        np.minimum(np.arange(n) * of.pixel_size / of.sampling / of.step, count - 1).astype(np.float32)
        for n, count in zip(shape, of.valid.shape, strict=True)
    ]
    x, y = np.meshgrid(lines[1], lines[0])
    layers = np.moveaxis(np.asarray(probability, np.float32), -1, 0)
    return np.stack([cv2.remap(np.ascontiguousarray(one), x, y, cv2.INTER_LINEAR) for one in layers], axis=-1)


def blurred(image: NDArray[Any], width: float) -> NDArray[np.float32]:
    """An image after a Gaussian of this standard deviation (px)."""
    import cv2

    return np.asarray(cv2.GaussianBlur(image, (0, 0), width, borderType=cv2.BORDER_REFLECT), np.float32)


def prepared(pixels: NDArray[Any], how: str) -> NDArray[np.float32]:
    """An image as the forest gets it: raw, local mean and contrast removed, or relative to the image."""
    image = np.asarray(pixels, np.float32)
    if how == "raw":
        return image / 255
    if how == "local":
        mean = blurred(image, LOCAL)
        return (image - mean) / np.sqrt(np.maximum(blurred((image - mean) ** 2, LOCAL), 1e-6))
    middle = np.median(blurred(image, 2))
    return (image - middle) / np.float32(max(1.4826 * np.median(np.abs(image - middle)), 1e-6))


#: How the forest's images are prepared.
PREPARED = {
    "forest of pixels, raw": "raw",
    "forest of pixels, local mean and contrast removed": "local",
    "forest of pixels, relative to the image": "image",
}


def pixel_features(pixels: NDArray[Any], how: str) -> NDArray[np.float32]:
    """The forest's features (rows, columns, length) of an image."""
    from skimage.feature import multiscale_basic_features

    found = multiscale_basic_features(prepared(pixels, how), sigma_min=WIDTHS[0], sigma_max=WIDTHS[1])
    return np.asarray(found, np.float32)


def forest(X: NDArray[np.float32], y: NDArray[Any]) -> Any:
    """A random forest of pixels."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, random_state=0, n_jobs=1).fit(X, y)


def drawn_pixels(labels: Sequence[NDArray[Any]], rng: np.random.Generator, even: bool) -> list[NDArray[np.intp]]:
    """Labelled pixels (> 0) of images that train a forest, ``PIXELS`` in all; ``even``: as many of each state."""
    chosen = []
    for one in labels:
        flat = one.ravel()
        most = PIXELS // len(labels)
        if even:
            numbers = np.unique(flat[flat > 0])
            parts = [rng.permutation(np.flatnonzero(flat == n))[: most // len(numbers)] for n in numbers]
            chosen.append(np.concatenate(parts))
        else:
            chosen.append(rng.permutation(np.flatnonzero(flat > 0))[:most])
    return chosen


def otsu(pixels: NDArray[Any], states: int) -> NDArray[np.int_]:
    """An image by brightness alone: Gaussian of 4 px, thresholds by Otsu; 0 is the brightest."""
    from skimage.filters import threshold_multiotsu

    smooth = blurred(np.asarray(pixels, np.float32), 4)
    return np.asarray(states - 1 - np.digitize(smooth, threshold_multiotsu(smooth, states)), int)


def iou(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union; 1 if both are empty."""
    union = int((found | truth).sum())
    return float((found & truth).sum() / union) if union else 1.0


def pure(mask: NDArray[np.bool_], size: int = 48, share: float = 0.9) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which places have windows, ``size`` wide, of which this share at least is particle, or film."""
    import cv2

    of = cv2.boxFilter(mask.astype(np.float32), -1, (size, size), borderType=cv2.BORDER_REFLECT)
    half = size // 2
    inside = np.zeros_like(mask)
    inside[half : mask.shape[0] - half : 4, half : mask.shape[1] - half : 4] = True
    return inside & (of >= share), inside & (of <= 1 - share)


def window_auc(probability: NDArray[Any], mask: NDArray[np.bool_], size: int = 48) -> float:
    """AUC of windows of particle against film, by the mean probability of a particle (rows, columns) over a window."""
    import cv2
    from sklearn.metrics import roc_auc_score

    mean = cv2.boxFilter(np.asarray(probability, np.float32), -1, (size, size), borderType=cv2.BORDER_REFLECT)
    particle, film = pure(mask, size)
    y = np.r_[np.ones(particle.sum()), np.zeros(film.sum())]
    return float(roc_auc_score(y, np.r_[mean[particle], mean[film]]))


def recalls(predicted: NDArray[np.int_], y: NDArray[np.int_], states: int) -> list[float]:
    """The recall of each state."""
    return [float((predicted[y == k] == k).mean()) for k in range(states)]


def calibration(probability: NDArray[Any], y: NDArray[np.int_], bins: int = 10) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy, over bins of confidence."""
    confidence, right = probability.max(axis=-1), probability.argmax(axis=-1) == y
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    parts = [(number == k) for k in range(bins)]
    return float(sum(abs(confidence[p].mean() - right[p].mean()) * p.mean() for p in parts if p.any()))
