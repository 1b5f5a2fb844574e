"""Blind windows of real.py: what tells particles from film if a window sees its own pixels alone, and no brightness.

A window is cut first, wholly inside a particle or the film; its plane is taken off and it is divided by its standard
deviation. So brightness, thickness and whatever lies around it have no part in what is learned. Counting noise still
has: where fewer electrons arrive, it is a larger share of the variance. Equalised, that share is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from persistem.labelled import blind
from persistem.labelled.blind import blinded, described, equalised

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Blocks = Mapping[str, NDArray[Any]]

#: Side of a window, px.
SIDE = 36
#: Distances of the windows to draw from, px, and how many are drawn in an image: of the film, and of the particles.
STEPS, DRAWN = (6, 3), (250, 200)
#: The blocks of a window. Contrast would be the same for all; intensity and filters need more than the window.
BLOCKS = ("lifetimes", "spectrum", "peaks", "moments", "texture", "low-passed")
#: What is described beside the blocks, to see what persistence is worth: the octaves of `lifetimes`, without topology.
OCTAVE_MOMENTS = "octave moments"
#: Inner folds choose from these inverses of the L2 penalty.
CHOICES = (0.01, 0.1, 1.0, 10.0)


class Blind(NamedTuple):
    """Blind windows of several images: pixels (windows, side, side), 1 for a particle, and the number of the image."""

    pixels: NDArray[np.float32]
    y: NDArray[np.int_]
    image: NDArray[np.int_]


def cut(pixels: NDArray[Any], mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Array, NDArray[np.int_]]:
    """Windows (n, side, side) wholly in the film or in particles, drawn at random, and 1 where in particles."""
    found = [
        blind.cut(pixels, np.where(mask == bool(state), state, -1), SIDE, rng, step, most)
        for state, (step, most) in enumerate(zip(STEPS, DRAWN, strict=True))
    ]
    return np.concatenate([of.pixels for of in found]), np.concatenate([of.state for of in found])


def octave_moments(windows: Array) -> NDArray[np.float32]:
    """The logarithm of the standard deviation, skewness and excess kurtosis of each octave of windows, (n, 12).

    The octaves are those of the block ``lifetimes``; no birth, no death, no neighbourhood.
    """
    from persistem.descriptors.windows.lifetimes import OCTAVES
    from scipy.ndimage import gaussian_filter

    columns = []
    for narrow, wide, _ in OCTAVES:
        inner = gaussian_filter(windows, (0, narrow, narrow), mode="reflect") if narrow else windows
        band = inner - gaussian_filter(windows, (0, wide, wide), mode="reflect")
        deviation = band.std(axis=(1, 2))
        standard = (band - band.mean(axis=(1, 2), keepdims=True)) / deviation[:, None, None]
        columns += [np.log(deviation), (standard**3).mean(axis=(1, 2)), (standard**4).mean(axis=(1, 2)) - 3]
    return np.stack(columns, axis=1).astype(np.float32)


def scores(X: Blocks, y: NDArray[np.int_], blocks: Sequence[str], C: float, train: Any, test: Any) -> Array:
    """Scores (test,) of a linear model of blocks that all have the same total variance."""
    from persistem.model.linear import linear_of

    fitted = linear_of([X[name][train] for name in blocks], y[train], C)
    return fitted.raw(np.hstack([X[name][test] for name in blocks]))[:, 0]


def auc(y: NDArray[np.int_], score: Array) -> float:
    """Area under the curve of receiver operating characteristic."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, score))


def chosen(X: Blocks, y: NDArray[np.int_], image: NDArray[np.int_], blocks: Sequence[str], pairs: bool) -> float:
    """The C with the best mean AUC over images that are left out in turn, two at a time if ``pairs``."""
    groups = folds(image, 2 if pairs else 1)
    means = []
    for C in CHOICES:
        found = []
        for group in groups:
            left = np.isin(image, group)
            score = scores(X, y, blocks, C, ~left, left)
            found += [auc(y[left][image[left] == k], score[image[left] == k]) for k in group]
        means.append(round(float(np.mean(found)), 6))
    return CHOICES[int(np.argmax(means))]


def folds(image: NDArray[np.int_], size: int) -> list[list[int]]:
    """The numbers of the images, ``size`` at a time."""
    numbers = np.unique(image).tolist()
    return [numbers[k : k + size] for k in range(0, len(numbers), size)]


def across(X: Blocks, y: NDArray[np.int_], image: NDArray[np.int_], blocks: Sequence[str]) -> dict[int, float]:
    """The AUC of each image by a model of the images of other folds, two a fold; C is chosen within those."""
    found = {}
    for fold in folds(image, 2):
        left = np.isin(image, fold)
        C = chosen({name: X[name][~left] for name in blocks}, y[~left], image[~left], blocks, pairs=True)
        score = scores(X, y, blocks, C, ~left, left)
        found |= {k: auc(y[left][image[left] == k], score[image[left] == k]) for k in fold}
    return found


def from_one(
    X: Blocks, y: NDArray[np.int_], image: NDArray[np.int_], blocks: Sequence[str], C: float
) -> dict[int, dict[int, float]]:
    """By the image that trains: the AUC of each other image."""
    found: dict[int, dict[int, float]] = {}
    for one in np.unique(image).tolist():
        score = scores(X, y, blocks, C, image == one, image != one)
        rest = image[image != one]
        found[one] = {k: auc(y[image == k], score[rest == k]) for k in np.unique(rest).tolist()}
    return found


def rows() -> dict[str, tuple[str, ...]]:
    """What is compared: each block alone, all, all but persistence, and these with the moments of octaves."""
    rest = tuple(name for name in BLOCKS if name != "lifetimes")
    return {
        **{name: (name,) for name in (*BLOCKS, OCTAVE_MOMENTS)},
        "all": BLOCKS,
        "all but lifetimes": rest,
        "all, octave moments": (*BLOCKS, OCTAVE_MOMENTS),
        "all but lifetimes, octave moments": (*rest, OCTAVE_MOMENTS),
    }


#: Whether persistence adds: to the blocks of the product, and if these know the moments of the octaves too.
ADDS = {"the other blocks": ("all", "all but lifetimes"), "these and octave moments": tuple(list(rows())[-2:])}


def gather(
    images: Mapping[int, tuple[NDArray[Any], NDArray[np.bool_]]],
    seed: int = 0,
    treat: Callable[[Array, NDArray[np.int_], np.random.Generator], Array] | None = None,
) -> Blind:
    """The blind windows of images and masks, by number; ``treat`` changes those of an image."""
    pixels, y, image = [], [], []
    for number, (grey, mask) in images.items():
        windows, labels = cut(grey, mask, np.random.default_rng([seed, number]))
        windows = blinded(windows)
        if treat:
            windows = treat(windows, labels, np.random.default_rng([seed, number, 1]))
        pixels.append(windows.astype(np.float32))
        y.append(labels)
        image.append(np.full(len(labels), number))
    return Blind(np.concatenate(pixels), np.concatenate(y), np.concatenate(image))


def planted(rng: np.random.Generator, count: int, structure: bool, noise: bool) -> tuple[Array, NDArray[np.int_]]:
    """Blind windows of two made-up states, ``count`` of each: grain of one width or two, noise of one share or two."""
    from scipy.ndimage import gaussian_filter

    found = []
    for state in (0, 1):
        for _ in range(count):
            grain = gaussian_filter(rng.normal(size=(SIDE + 24, SIDE + 24)), 1.6 if structure and state else 2.0)
            grain = grain[12:-12, 12:-12]
            share = rng.uniform(0.05, 0.10) * (2 if noise and state else 1)
            found.append(grain / grain.std() + np.sqrt(share / (1 - share)) * rng.normal(size=grain.shape))
    return blinded(np.array(found)), np.repeat([0, 1], count)


def planted_control(count: int = 150) -> dict[str, dict[str, float]]:
    """AUC of the spectrum between made-up states, before and after noise is equalised; half trains, half is tested."""
    from persistem.study import Windows

    wanted = Windows(sampling=1.0, size=SIDE)
    found = {}
    for name, structure, noise in (
        ("noise differs, structure does not", False, True),
        ("structure differs, noise does not", True, False),
        ("both differ", True, True),
    ):
        rng = np.random.default_rng(0)
        windows, y = planted(rng, count, structure, noise)
        half = np.arange(len(y)) % 2 == 0
        found[name] = {}
        for when, shown in (("before", windows), ("after", equalised(windows, y, rng))):
            X = described(shown, wanted, ("spectrum",))
            found[name][when] = auc(y[~half], scores(X, y, ("spectrum",), 1.0, half, ~half))
    return found
