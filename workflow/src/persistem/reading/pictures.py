"""Greyscale PNG and JPEG: pixels without calibration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from persistem.reading import jpeg
from persistem.reading.found import Found
from persistem.reading.pixels import coloured, fits, held

#: Pillow's modes of one grey channel, and the bytes of a pixel.
GREY = {"1": 1, "L": 1, "I;16": 2, "I;16B": 2, "I": 4, "F": 4}


def datasets(path: Path) -> Iterator[Found]:
    """The picture in a PNG or JPEG; upright as its Exif orientation says."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    with open(path, "rb") as file:
        limit, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        try:
            picture = Pillow.open(file, formats=("PNG", "JPEG"))
        finally:
            Pillow.MAX_IMAGE_PIXELS = limit
        columns, rows = picture.size
        fits((rows, columns), np.dtype(f"u{GREY.get(picture.mode, 4)}"), path.stat().st_size, compressed=True)
        held((rows, columns), np.dtype(f"u{GREY.get(picture.mode, 4)}"))
        if picture.format == "JPEG":
            jpeg.check(path.read_bytes(), rows, columns)
        upright = ImageOps.exif_transpose(picture)
        grey = upright.mode in GREY
        pixels = np.asarray(upright) if grey else coloured(np.asarray(upright.convert("RGB")))
    yield Found(pixels, [{}, {}], title=path.stem)
