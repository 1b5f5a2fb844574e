"""Micrographs without labels: windows that look alike, and what each such cluster looks like.

Clusters are not states. A mixture of Gaussians groups windows by brightness, contrast, spectrum and persistence,
whatever makes them differ: structure, but also thickness, focus, dirt or uneven illumination.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.descriptors.windows import resampled_shape
from persistem.errors import PersistemError, Setting
from persistem.exploring.clusters import BLOCKS, CLUSTERS, alike, axes_of, mixture_of, number
from persistem.exploring.profiles import REACH, Place, Profiles, levelled, part, profiles_of, typical
from persistem.labelled.describing import Described, describe, relative
from persistem.maps.mapping import Map, facts_of, name_of
from persistem.maps.suitability import cautions
from persistem.model.bundle import versions
from persistem.study import Band, Windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.exploring.profiles import Array, Labels
    from persistem.reading import Image

#: What is said wherever clusters are shown.
NOT_STATES = (
    "Clusters are not states. A cluster is a group of windows that look alike; thickness, focus, dirt or illumination"
    " make clusters as structure does. One state may fall into several clusters, and two states may share one."
)
#: Pixels are averaged to this size if they are finer, and none may be coarser than that, Å.
FINEST, COARSEST = 0.6, 5.0
#: Side of a window, and the distances of windows, px: the first that makes at most ``MOST`` of them in all images, of
#: those that half a window is a multiple of.
SIDE, STEPS, MOST = 36, (6, 9, 18), 1_000_000
#: How much of all work is done when images are described, and when the mixture is fitted.
DESCRIBING, FITTING = 0.8, 0.9
#: Most windows that share no pixels to which the mixture is fitted.
FITTED = 2000


class Exploration(NamedTuple):
    """A map of the clusters of each image; typical windows ``patches`` (windows, rows, columns) of each cluster.

    ``facts`` are plain values: how the number of clusters was chosen, each cluster, each pair of clusters.
    """

    images: tuple[Image, ...]
    maps: tuple[Map, ...]
    profiles: Profiles
    patches: tuple[NDArray[np.uint8], ...]
    facts: dict[str, Any]


def explore(
    images: Sequence[Image],
    states: int | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Exploration:
    """Group the windows of images by what they look like, those of all images together.

    Parameters
    ----------
    images
        with their pixel size (Å); each counts relative to itself, so gain and offset have no part in it
    states
        how many clusters, 2 to ``CLUSTERS``; by default as many, perhaps 1, as BIC says (``clusters.mixture_of``)
    jobs, progress
        processes; called with how much is done, and of how much

    Raises
    ------
    PersistemError
        if a pixel size is not known or above ``COARSEST``, if an image is smaller than a window or shows nothing, or if
        there are too few windows.
    """
    if states is not None and not (isinstance(states, int) and 2 <= states <= CLUSTERS):
        raise PersistemError(Setting("states"), f" = {states}: must be a number of clusters, 2 to {CLUSTERS}")
    windows, step = windows_of(images)
    describing, count = part(progress, 0, DESCRIBING), len(images)
    described = []
    for k, image in enumerate(images):
        of_image = part(describing, k / count, (k + 1) / count)
        described.append(_inside(describe(levelled(image), windows, step * windows.sampling, BLOCKS, jobs, of_image)))
    blocks = [{name: block[one.valid] for name, block in relative(one, BLOCKS).items()} for one in described]
    apart = np.flatnonzero(np.concatenate([_apart(one)[one.valid] for one in described]))
    if len(apart) > FITTED:
        apart = np.sort(np.random.default_rng(0).permutation(apart)[:FITTED])
    fitted = {name: np.concatenate([of[name] for of in blocks])[apart] for name in BLOCKS}
    axes = axes_of(fitted)
    mixture = mixture_of(axes.places(fitted), states, part(progress, DESCRIBING, FITTING))
    places = [axes.places(of) for of in blocks]
    probability = [mixture.probability(of) for of in places]
    labels = [of.argmax(axis=1) for of in probability]
    shown = typical(described, labels, [mixture.densities(of) for of in places])
    profiles, patches = profiles_of(images, described, labels, shown, windows, jobs, part(progress, FITTING))
    names = [chr(ord("A") + k) for k in range(mixture.clusters)]
    facts = {
        "note": NOT_STATES,
        "number": number(mixture, states, len(apart), axes),
        "clusters": _clusters(names, labels, blocks, profiles, shown, images, described),
        "pairs": alike(names, mixture.means, mixture.covariances, fitted, np.concatenate(labels)[apart]),
        "parameters": {
            "window_A": SIDE * windows.sampling,
            "step_A": step * windows.sampling,
            "sampling_A": windows.sampling,
            "blocks": list(BLOCKS),
        },
        "images": [facts_of(image) for image in images],
        "versions": versions(),
        "warnings": list(dict.fromkeys(warning for image in images for warning in cautions(image))),
    }
    maps = tuple(
        _map(image, one, of, names, facts) for image, one, of in zip(images, described, probability, strict=True)
    )
    return Exploration(tuple(images), maps, profiles, patches, facts)


def windows_of(images: Sequence[Image]) -> tuple[Windows, int]:
    """The windows that all images can be described by, and their distance, px."""
    sizes = []
    for image in images:
        if image.pixel_size is None:
            raise PersistemError(
                f"{name_of(image)}: its pixel size is not in the file; give ",
                Setting("pixel_size"),
                " (Å), or 1 to count in pixels",
            )
        if image.pixel_size > COARSEST:
            raise PersistemError(
                f"{name_of(image)}: its pixels of {image.pixel_size:.4g} Å are too coarse; {COARSEST:g} Å or finer"
                " can be explored"
            )
        sizes.append(image.pixel_size)
    sampling = max(FINEST, *sizes) if sizes else FINEST
    shapes = [resampled_shape(image.pixels.shape, size, sampling) for image, size in zip(images, sizes, strict=True)]

    def count(step: int) -> int:
        return sum(math.prod(max(side - SIDE, 0) // step + 1 for side in shape) for shape in shapes)

    step = next((step for step in STEPS if count(step) <= MOST), None)
    if step is None:
        raise PersistemError(
            f"the images have {count(STEPS[-1])} windows; {MOST} can be explored together, so take fewer images"
        )
    # one band, smoothed by a pixel: what a mean diagram shows
    band = Band(narrow=sampling, window=REACH)
    return Windows(sampling=sampling, size=SIDE * sampling, bands=(band,), filtrations=("superlevel",)), step


def _inside(described: Described) -> Described:
    """The windows that lie in their image; the first is half a window from its edge.

    The others show mirrored structure, which is a cluster of its own.
    """
    first = described.size // 2 // described.step
    rows, columns = ((side - described.size) // described.step + 1 for side in described.shape)
    inside = slice(first, first + rows), slice(first, first + columns)
    return described._replace(
        blocks={name: block[inside] for name, block in described.blocks.items()},
        valid=described.valid[inside],
        mean=described.mean[inside],
    )


def _apart(described: Described) -> NDArray[np.bool_]:
    """Windows (rows, columns) that share no pixels, as many as there are."""
    apart = np.zeros_like(described.valid)
    every = described.size // described.step
    apart[::every, ::every] = True
    return apart & described.valid


def _clusters(
    names: list[str],
    labels: Sequence[Labels],
    blocks: Sequence[dict[str, NDArray[np.float32]]],
    profiles: Profiles,
    shown: Sequence[Sequence[Place]],
    images: Sequence[Image],
    described: Sequence[Described],
) -> list[dict[str, Any]]:
    """Each cluster in numbers: shares of the windows, brightness and contrast relative to the image, pairs, places."""
    label = np.concatenate(labels)
    columns = {name: np.concatenate([of[name][:, 0] for of in blocks]) for name in ("intensity", "contrast")}
    middle = (profiles.steps[1:] + profiles.steps[:-1]) / 2
    found = []
    for k, name in enumerate(names):
        own = label == k
        lasting = profiles.lifetimes[k].sum(axis=0)
        found.append(
            {
                "name": name,
                "share": float(own.mean()),
                "by_image": [float((of == k).mean()) for of in labels],
                "brightness_SD": float(columns["intensity"][own].mean()) if own.any() else None,
                "contrast_SD": float(columns["contrast"][own].mean()) if own.any() else None,
                "pairs_per_nm2": float(lasting.sum()),
                "mean_lifetime_SD": float((lasting * middle).sum() / lasting.sum()) if lasting.any() else None,
                "typical": [_where(place, images[place.image], described[place.image].sampling) for place in shown[k]],
            }
        )
    return found


def _where(place: Place, image: Image, sampling: float) -> dict[str, Any]:
    """Number of the image, and distance of a window's centre from its upper left corner, nm."""
    assert image.pixel_size is not None
    x, y = ((at * sampling + image.pixel_size / 2) / 10 for at in (place.column, place.row))
    return {"image": place.image, "x_nm": x, "y_nm": y}


def _map(image: Image, described: Described, probability: Array, names: list[str], facts: dict[str, Any]) -> Map:
    """The map of an image: the clusters in place of states."""
    assert image.pixel_size is not None
    shares = np.full((*described.valid.shape, len(names)), 1 / len(names), np.float32)
    shares[described.valid] = probability
    reason = np.where(described.valid, 0, 1).astype(np.uint8)
    # the first pixels of the resampled image and of the micrograph have the same centre
    centre = described.size // 2 * described.sampling + image.pixel_size / 2
    return Map(
        probability=shares,
        confidence=shares.max(axis=-1),
        abstain=reason > 0,
        reason=reason,
        step=described.step * described.sampling,
        origin=(centre, centre),
        states=tuple(f"cluster {name}" for name in names),
        facts={
            "note": NOT_STATES,
            "image": facts_of(image),
            "parameters": facts["parameters"],
            "versions": facts["versions"],
            "warnings": cautions(image),
        },
    )
