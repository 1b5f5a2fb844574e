"""The map of a micrograph by a model of labelled micrographs: every place by the window about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from persistem.labelled.describing import Described, describe, relative
from persistem.model.classifier import RELIEF, SPECTRUM, Model, Verdict
from persistem.model.typical import beyond, shown

if TYPE_CHECKING:
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
