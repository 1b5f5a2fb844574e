"""The map of a micrograph by a model of labelled micrographs: every place by the window about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.labelled.describing import Described, describe, relative
from persistem.model.classifier import RELIEF, SPECTRUM, Model, Verdict
from persistem.model.typical import beyond, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.reading import Image


def judged(described: Described, model: Model) -> Verdict:
    """What a model says of every place of a described image; if the image is none of a kind it knows, it abstains.

    Its relief says so, or the typical spectrum of what it seems to show.
    """
    known = relative(described, model.classifier.lengths)
    verdict = model.classify(known, described.valid, judged=described.blocks)
    assert model.relief is not None and model.typical is not None
    low, high = model.relief
    if not low <= described.relief <= high:
        return verdict._replace(reason=np.where(described.valid, np.uint8(RELIEF), verdict.reason))
    state = verdict.probability[described.valid].argmax(axis=-1)
    seen = shown(described.blocks["spectrum"][described.valid], state, len(model.states))
    if beyond(seen, model.typical.low, model.typical.high) <= model.typical.limit:
        return verdict
    return verdict._replace(reason=np.where(described.valid, np.uint8(SPECTRUM), verdict.reason))


def verdict_of(
    image: Image, model: Model, stride: float, jobs: int = 1, progress: Callable[[int, int], None] | None = None
) -> tuple[Described, Verdict]:
    """The description of an image with windows ``stride`` Å apart, and what a model says of them."""
    described = describe(image, model.windows, stride, model.blocks, jobs, progress)
    return described, judged(described, model)


def labels_of(verdict: Verdict, described: Described, shape: tuple[int, int]) -> NDArray[Any]:
    """The number of the most probable state, from 0, at every pixel of an image (rows, columns).

    Probabilities between the places of windows are linear.
    """
    import cv2

    rows, columns = described.valid.shape
    at = [
        (np.arange(pixels) * side / pixels / described.step).astype(np.float32)
        for pixels, side in zip(shape, described.shape, strict=True)
    ]
    x, y = np.meshgrid(np.minimum(at[1], columns - 1), np.minimum(at[0], rows - 1))
    layers = [
        cv2.remap(np.ascontiguousarray(verdict.probability[..., k]), x, y, cv2.INTER_LINEAR)
        for k in range(verdict.probability.shape[-1])
    ]
    found: NDArray[Any] = np.argmax(layers, axis=0)
    return found
