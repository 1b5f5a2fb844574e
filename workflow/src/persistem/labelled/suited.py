"""Windows that suit micrographs of which nothing but the pixel size is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

from persistem.errors import PersistemError
from persistem.study import ModelSettings, Windows
from persistem.study.mapping import LABELLED_C, LABELLED_CANDIDATES

#: Side of a window, and the least distance of windows, in pixels of the coarsest micrograph.
SIDE, NEAREST = 36, 3
#: Windows of the largest micrograph, so that a map takes seconds.
MOST = 40_000
#: Micrographs resolve nothing that finer pixels would show, Å.
FINEST = 0.25


def suited(pixel_sizes: Sequence[float], shapes: Sequence[tuple[int, int]]) -> ModelSettings:
    """The settings of a model of labelled micrographs of these pixel sizes (Å) and shapes (rows, columns).

    Windows are sampled as the coarsest micrograph is, and ``SIDE`` of its pixels wide. Raises PersistemError if its
    pixels are so coarse that no window could be described.
    """
    coarsest = max(*pixel_sizes, FINEST)
    sampling = float(f"{coarsest:.4g}")
    if sampling > 5:
        raise PersistemError(
            f"pixel_size = {coarsest:.4g} Å: too coarse for windows, which need 5 Å or finer; look at its unit"
        )
    largest = max(
        rows * columns * (size / sampling) ** 2 for size, (rows, columns) in zip(pixel_sizes, shapes, strict=True)
    )
    step = max(NEAREST, math.ceil(math.sqrt(largest / MOST)))
    return ModelSettings(
        windows=Windows(sampling=sampling, size=float(f"{SIDE * sampling:.6g}")),
        step=float(f"{step * sampling:.6g}"),
        candidates=LABELLED_CANDIDATES,
        C=LABELLED_C,
    )
