"""Greyscale PNG and JPEG: pixels without calibration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from persistem.reading import jpeg
from persistem.reading.found import BadImage, Found
from persistem.reading.pixels import coloured, fits, held

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pillow's modes of one grey channel, and the bytes of a pixel.
GREY = {"1": 1, "L": 1, "I;16": 2, "I;16B": 2, "I": 4, "F": 4}


def datasets(path: Path) -> Iterator[Found]:
    """The picture in a PNG or JPEG; upright as its Exif orientation says."""
    from PIL import ImageOps

    with open(path, "rb") as file:
        picture = opened(file, ("PNG", "JPEG"))
        columns, rows = picture.size
        fits((rows, columns), np.dtype(f"u{GREY.get(picture.mode, 4)}"), path.stat().st_size, compressed=True)
        held((rows, columns), np.dtype(f"u{GREY.get(picture.mode, 4)}"))
        if picture.format == "PNG" and _deep(path):
            yield Found(_decoded(path, picture), [{}, {}], title=path.stem)
            return
        if picture.format == "JPEG":
            jpeg.check(path.read_bytes(), rows, columns)
        upright = ImageOps.exif_transpose(picture)
        grey = upright.mode in GREY
        pixels = np.asarray(upright) if grey else coloured(np.asarray(upright.convert("RGB")))
    yield Found(pixels, [{}, {}], title=path.stem)


def opened(file: IO[bytes], formats: tuple[str, ...]) -> Any:
    """Pillow's picture in a file, nothing of it decoded; of any size, which the caller has to bound."""
    from PIL import Image as Pillow

    limit, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
    try:
        return Pillow.open(file, formats=formats)
    finally:
        Pillow.MAX_IMAGE_PIXELS = limit


def _deep(path: Path) -> bool:
    """Whether a PNG has 16 bits and colours or opacity, which Pillow cuts to 8 bits. https://www.w3.org/TR/png/#11IHDR"""
    with open(path, "rb") as file:
        depth, colour = file.read(26)[24:]
    return depth == 16 and colour in (2, 4, 6)


def _decoded(path: Path, picture: Any) -> NDArray[Any]:
    """Pixels of a PNG with 16 bits in up to four channels, of which the opacity is left out."""
    from imagecodecs import png_decode

    shape = picture.size[::-1]
    fits(shape, np.dtype("u8"), path.stat().st_size, compressed=True)
    held(shape, np.dtype("u8"))
    if picture.getexif().get(0x0112, 1) != 1:
        raise BadImage("its Exif turns a picture of 16 bits and several channels; save it upright")
    channels = png_decode(path.read_bytes())
    return channels[..., 0] if channels.shape[-1] == 2 else coloured(channels)
