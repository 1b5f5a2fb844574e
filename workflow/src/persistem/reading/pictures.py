"""Greyscale PNG and JPEG: pixels without calibration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from persistem.reading.found import BadImage, Found
from persistem.reading.pixels import fits

#: Pillow's modes of one grey channel, and the bytes of a pixel.
GREY = {"1": 1, "L": 1, "I;16": 2, "I;16B": 2, "I": 4, "F": 4}


def datasets(path: Path) -> Iterator[Found]:
    """The picture in a PNG or JPEG; three equal channels count as grey, since many programs write it so."""
    from PIL import Image as Pillow

    with open(path, "rb") as file:
        limit, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        try:
            picture = Pillow.open(file, formats=("PNG", "JPEG"))
        finally:
            Pillow.MAX_IMAGE_PIXELS = limit
        columns, rows = picture.size
        fits((rows, columns), np.dtype(f"u{GREY.get(picture.mode, 4)}"), path.stat().st_size, compressed=True)
        picture.load()
        if picture.mode not in GREY:
            red, green, blue = (np.asarray(band) for band in picture.convert("RGB").split())
            if not (np.array_equal(red, green) and np.array_equal(red, blue)):
                raise BadImage("a colour image (RGB); a micrograph is grey")
            pixels = red
        else:
            pixels = np.asarray(picture)
    yield Found(pixels, [{}, {}], title=path.stem)
