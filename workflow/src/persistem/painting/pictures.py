"""Micrographs as the page shows them: 8 bit, in tiles of several magnifications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from persistem.report.page.pictures import RANGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.reading import Image

#: Pixels of a tile's side.
TILE = 512


def levels(shape: tuple[int, int]) -> int:
    """How many magnifications there are: each has half the pixels of the one before, until one tile holds all."""
    return max(int(np.ceil(np.log2(max(shape) / TILE))), 0) + 1


def pyramid(image: Image) -> list[NDArray[np.uint8]]:
    """The micrograph in grey levels, and means over 2², 4², … pixels. Black and white are the percentiles ``RANGE``."""
    import cv2

    low, high = np.percentile(_sampled(image.pixels), RANGE)
    grey = np.empty(image.pixels.shape, np.uint8)
    scale = 255 / ((high - low) or 1.0)
    for row in range(0, len(grey), TILE):  # a large image may lie in a file
        part = np.asarray(image.pixels[row : row + TILE], dtype=np.float32)
        grey[row : row + TILE] = np.clip((part - low) * scale, 0, 255).round()
    size = len(grey), grey.size // len(grey)
    found = [grey]
    for _ in range(levels(size) - 1):
        size = -(-size[0] // 2), -(-size[1] // 2)
        found.append(cv2.resize(found[-1], size[::-1], interpolation=cv2.INTER_AREA))
    return found


def _sampled(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Some million pixels of an image, which tell its percentiles."""
    every = max(int(np.sqrt(pixels.size / 4e6)), 1)
    return np.asarray(pixels[::every, ::every], dtype=np.float64)


def tile(level: NDArray[np.uint8], row: int, column: int) -> bytes | None:
    """One tile of a level as PNG; None beyond its edges."""
    import cv2

    part = level[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
    if not part.size:
        return None
    _, png = cv2.imencode(".png", part, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return bytes(png.tobytes())
