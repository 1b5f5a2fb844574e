"""What a window shows beside its image: its brightness, and filters of many scales at its centre.

These tell regions apart as pixel classifiers do (ilastik, Trainable Weka). They know brightness, and they see beyond
their window; what they say is no evidence of structure. The camera sets gain and offset, so an image counts relative
to its own mean and deviation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Side of the squares (px) whose means give the level of an image, so that noise has little part in it; and the share
#: of them, at either end, that does not count: hot pixels, scale bars.
SQUARE, EXTREME = 8, 0.005
#: A filter reaches so many standard deviations.
REACH = 4
#: The filters of each scale: the Gaussian, its gradient's length, and the eigenvalues of its Hessian.
KINDS = 4


class Level(NamedTuple):
    """The mean grey of an image, and the standard deviation of its brightness from place to place."""

    mean: float
    deviation: float


def level(image: NDArray[np.float32]) -> Level:
    """The level of an image (rows, columns), from its finite squares of ``SQUARE`` pixels.

    A constant image deviates by 1.
    """
    columns = image.shape[1] // SQUARE * SQUARE
    means = []
    with np.errstate(invalid="ignore"):  # pixels may be infinite
        for top in range(0, image.shape[0] - SQUARE + 1, SQUARE):
            squares = image[top : top + SQUARE, :columns].reshape(SQUARE, -1, SQUARE)
            means.append(squares.mean(axis=(0, 2), dtype=float))
    known = np.concatenate(means) if means else np.empty(0)
    known = known[np.isfinite(known)]
    if not known.size:
        return Level(0.0, 1.0)
    low, high = np.quantile(known, [EXTREME, 1 - EXTREME])
    usual = known[(known >= low) & (known <= high)]
    return Level(float(usual.mean()), float(usual.std()) or 1.0)


def scales(size: int) -> list[int]:
    """Standard deviations (px) of the filters of windows of ``size`` pixels: octaves up to half a window."""
    return [2**k for k in range(size.bit_length()) if 2 * 2**k <= size]


def filter_count(size: int) -> int:
    """How many filters there are."""
    return KINDS * len(scales(size))


def filtered(
    image: NDArray[np.float32], level: Level, size: int, step: int, first: int, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Filters at the centres of ``shape`` windows (rows, columns), from row ``first`` of windows: (…, filters).

    ``image`` (rows, columns) is the whole image, which is mirrored beyond its edges; pixels that are not finite count
    as its mean. For each of ``scales``: the Gaussian, the length of its gradient, and the larger and the smaller
    eigenvalue of its Hessian, these times the scale and its square (Lindeberg, Int. J. Comput. Vis. 30 (1998) 79).
    """
    import cv2

    margin = REACH * scales(size)[-1] + 2
    top, bottom = first * step, (first + shape[0] - 1) * step + size
    above = min(margin, top)
    part = np.asarray(image[top - above : bottom + margin], np.float32) - np.float32(level.mean)
    part = np.where(np.isfinite(part), part, 0) / np.float32(level.deviation)
    rows = above + size // 2 + step * np.arange(shape[0])
    columns = size // 2 + step * np.arange(shape[1])
    found = np.empty((*shape, filter_count(size)), np.float32)
    for number, scale in enumerate(scales(size)):
        reach = 2 * REACH * scale + 1
        smooth = cv2.GaussianBlur(part, (reach, reach), scale, borderType=cv2.BORDER_REFLECT_101)
        padded = np.pad(smooth, 1, mode="reflect")

        def at(down: int, right: int, padded: NDArray[np.float32] = padded) -> NDArray[np.float32]:
            return padded[np.ix_(rows + 1 + down, columns + 1 + right)]

        here = at(0, 0)
        along_rows, along_columns = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
        xx, yy = at(0, 1) + at(0, -1) - 2 * here, at(1, 0) + at(-1, 0) - 2 * here
        xy = (at(1, 1) + at(-1, -1) - at(1, -1) - at(-1, 1)) / 4
        middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        found[..., KINDS * number : KINDS * (number + 1)] = np.stack(
            [
                here,
                scale * np.hypot(along_rows, along_columns),
                scale**2 * (middle + spread),
                scale**2 * (middle - spread),
            ],
            axis=-1,
        )
    return found
