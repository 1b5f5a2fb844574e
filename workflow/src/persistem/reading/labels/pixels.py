"""Labels that are images: numbers, 0 / 255 masks and colours, in TIFF, PNG and NPY.

A file may be far smaller than its pixels, since labels compress well; what is allocated is bounded by the micrograph.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.reading import tiff_pages
from persistem.reading.found import BadImage
from persistem.reading.labels.legend import COLOUR, Key, Legend, key_of, sentence_of
from persistem.reading.pictures import opened
from persistem.reading.tiff import JPEG, NOT_PACKED, PACKED, PALETTE, RGB, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Most values of an image of labels; one that has more is a picture.
MOST_VALUES = 1000
#: Most pixels of a tile of a TIFF, which may be larger than the image.
TILE = 2**24
#: Modes of Pillow that are numbers: 1 bit, grey, indices of a palette.
NUMBERS = ("1", "L", "P", "I;16", "I;16B", "I")
#: The tag of Exif that says how a picture is turned.
ORIENTATION = 0x0112
#: A colour with its opacity, as one number: fully transparent, and opaque black, are unlabelled.
TRANSPARENT, BLACK, OPAQUE = 0, 0xFF000000, 0xFF


@dataclass
class Values:
    """An image of labels: a number for each pixel, and what the file calls the numbers."""

    pixels: NDArray[Any]  # (rows, columns) whole numbers, or (rows, columns, 3 or 4) of 8 bits
    names: dict[Key, str] = field(default_factory=dict)
    palette: NDArray[np.uint8] | None = None  # (n, 3 or 4), colours of the numbers


def numbered(found: Values, legend: Legend) -> NDArray[np.uint8]:
    """Numbers of states (rows, columns), 0 where nothing is labelled.

    Raises BadImage for values and colours that the legend does not name.
    """
    in_numbers = any(isinstance(key, int) for key in legend.given)
    in_colours = any(isinstance(key, str) and COLOUR.fullmatch(key) for key in legend.given)
    pixels = found.pixels
    if in_colours and not in_numbers and pixels.ndim == 2:
        pixels = _coloured(found)
    if pixels.ndim == 3 and not in_colours:
        pixels = _grey(pixels)
    if pixels.ndim == 3:
        return _of_colours(pixels, legend)
    if pixels.dtype.kind == "b":  # black and white: the white may be called 1 or 255
        pixels = pixels.astype(np.uint8) * (255 if 255 in legend.numbers and 1 not in legend.numbers else 1)
    keys: dict[int, tuple[Key, ...]] = {
        value: (key_of(found.names[value]), value) if value in found.names else (value,) for value in _distinct(pixels)
    }
    return _looked_up(pixels, keys, {0}, legend, "values")


def check_size(found: tuple[int, ...], shape: tuple[int, int]) -> None:
    """Raise BadImage unless labels (rows, columns, …) are of the micrograph's size."""
    if len(found) < 2:
        raise BadImage(f"holds values of shape {found}, not an image")
    if tuple(found[:2]) != tuple(shape):
        swapped = tuple(found[:2]) == (shape[1], shape[0])
        raise BadImage(
            f"{found[1]} columns and {found[0]} rows, but the micrograph has {shape[1]} columns and {shape[0]} rows"
            + ("; it was transposed, or turned by 90°" if swapped else "")
        )


def tiff(path: Path, shape: tuple[int, int], _: Path | None = None) -> Values:
    """The one image in a TIFF, its numbers as they are stored."""
    from tifffile import TiffFile

    tiff_pages.check(path)
    with TiffFile(path, is_ome=False) as file:
        if len(file.series) != 1:
            raise BadImage(f"holds {len(file.series)} images, but labels are one")
        series = file.series[0]
        page = series.keyframe
        size, channels = (page.imagelength, page.imagewidth), page.samplesperpixel
        check_size(size, shape)
        if math.prod(series.shape) != math.prod(size) * channels:
            raise BadImage(f"a stack of {math.prod(series.shape) // (math.prod(size) * channels)} images, not one")
        if not (channels == 1 or (channels in (3, 4) and int(page.photometric) == RGB)):
            raise BadImage(f"an image of {channels} channels that are neither numbers nor RGB")
        _check_stored(page, path.stat().st_size)
        pixels = series.asarray()
        if "S" in series.axes:
            pixels = np.moveaxis(pixels, series.axes.index("S"), -1)
        pixels = pixels.reshape(*shape, channels) if channels > 1 else pixels.reshape(shape)
        palette = table(page.colormap) if int(page.photometric) == PALETTE else None
    return Values(_whole(pixels), palette=palette)


def _check_stored(page: Any, size: int) -> None:
    """Raise BadImage if the pixels are stored with loss, or not in the file."""
    if int(page.compression) == JPEG or int(page.compression) not in (NOT_PACKED, *PACKED):
        name = str(getattr(page.compression, "name", page.compression)).replace("_", " ")
        raise BadImage(f"compressed as {name}, which labels cannot be; save it without compression, or with Deflate")
    if page.is_tiled and page.tilelength * page.tilewidth > max(TILE, page.imagelength * page.imagewidth):
        raise BadImage(f"tiles of {page.tilewidth} x {page.tilelength} px, larger than the image")
    if page.dtype is None:
        raise BadImage("holds pixels of a type that numpy does not have")
    packed = int(page.compression) != NOT_PACKED
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if not segments or any(start <= 0 or count <= 0 or start + count > size for start, count in segments):
        raise BadImage("truncated or corrupted: pixels lie beyond the end of the file")
    if not packed and sum(count for _, count in segments) * 8 < page.size * page.bitspersample:
        raise BadImage("truncated or corrupted: there are fewer pixels than declared")


def png(path: Path, shape: tuple[int, int], _: Path | None = None) -> Values:
    """The picture in a PNG: numbers, or the indices of a palette, or colours."""
    with open(path, "rb") as file:
        depth, colour = file.read(26)[24:]
        if depth == 16 and colour in (2, 4, 6):
            raise BadImage("colours of 16 bits, which name no region; save it with 8 bits")
        picture = opened(file, ("PNG",))
        check_size(picture.size[::-1], shape)
        if picture.getexif().get(ORIENTATION, 1) != 1:
            raise BadImage("its Exif turns the picture; save it upright")
        if picture.mode in NUMBERS:
            return Values(np.asarray(picture), palette=_palette(picture) if picture.mode == "P" else None)
        return Values(np.asarray(picture.convert("RGBA")))


def _palette(picture: Any) -> NDArray[np.uint8]:
    """Colours (n, 4) of the indices of a PNG, some of which may be transparent."""
    palette = np.array(picture.getpalette("RGBA"), np.uint8).reshape(-1, 4)
    clear = picture.info.get("transparency", b"")
    opacity = [OPAQUE] * clear + [0] if isinstance(clear, int) else list(clear)
    palette[: len(opacity), 3] = opacity[: len(palette)]
    return palette


def npy(path: Path, shape: tuple[int, int], _: Path | None = None) -> Values:
    """The array in a NumPy file; nothing in it is unpickled."""
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        size, _fortran, dtype = header(file)
        check_size(size, shape)
        if dtype.hasobject or dtype.names is not None or len(size) > 3 or (len(size) == 3 and size[2] > 4):
            raise BadImage(f"an array of {dtype} and shape {size}, not an image of labels")
        declared, there = math.prod(size) * dtype.itemsize, path.stat().st_size - file.tell()
        if declared > there:
            raise BadImage(f"truncated: {declared} bytes of pixels are declared, but only {there} are there")
    return Values(_whole(np.load(path, allow_pickle=False)))


def _whole(pixels: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers, also where they are stored as floats; BadImage for others, and for colours not of 8 bits."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim == 3 and pixels.dtype != np.uint8:
        raise BadImage(f"colours of {pixels.dtype}, which name no region; save it with 8 bits")
    if pixels.dtype.kind == "f":
        limit = 2**31
        if not (np.isfinite(pixels).all() and (abs(pixels) < limit).all() and (pixels == np.rint(pixels)).all()):
            raise BadImage("holds fractions or values that are not finite, so it is a picture and no labels")
        pixels = pixels.astype(np.int64)
    if pixels.dtype.kind not in "iub":
        raise BadImage(f"holds {pixels.dtype}, not whole numbers")
    return pixels


def _coloured(found: Values) -> NDArray[np.uint8]:
    """The colours of numbers: of the palette, or greys; BadImage if they have none."""
    pixels = found.pixels
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8) * 255
    if found.palette is not None and int(pixels.max()) < len(found.palette):
        colours: NDArray[np.uint8] = found.palette[pixels]
        return colours
    if pixels.dtype != np.uint8:
        raise BadImage(f"holds numbers ({pixels.dtype}), but the legend names colours")
    return np.repeat(pixels[..., None], 3, axis=2)


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The numbers of an image whose channels are all the same and opaque, e.g. a mask; others as they are."""
    same = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    opaque = pixels.shape[2] == 3 or (pixels[..., 3] == OPAQUE).all()
    return pixels[..., 0] if same and opaque else pixels


def _of_colours(pixels: NDArray[np.uint8], legend: Legend) -> NDArray[np.uint8]:
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    opacity: Any = pixels[..., 3].astype(np.uint32) if pixels.shape[2] == 4 else np.uint32(OPAQUE)
    codes = np.where(opacity == 0, np.uint32(TRANSPARENT), opacity << 24 | red << 16 | green << 8 | blue)
    keys: dict[int, tuple[Key, ...]] = {}
    for code in _distinct(codes):
        colour, opaque = f"#{code & 0xFFFFFF:06x}", code >> 24 == OPAQUE
        keys[code] = (colour if opaque else f"{colour}{code >> 24:02x}",)
    return _looked_up(codes, keys, {TRANSPARENT, BLACK}, legend, "colours")


def _distinct(pixels: NDArray[Any]) -> list[int]:
    values = np.unique(pixels)
    if len(values) > MOST_VALUES:
        raise BadImage(f"holds {len(values)} different values or colours, so it is a picture and no labels")
    return [int(value) for value in values]


def _looked_up(
    pixels: NDArray[Any], keys: Mapping[int, tuple[Key, ...]], empty: set[int], legend: Legend, what: str
) -> NDArray[np.uint8]:
    """The state of each value by its keys; values that are ``empty`` may have none."""
    regions = np.zeros(pixels.shape, np.uint8)
    unknown: list[tuple[Key, int]] = []
    for value, names in keys.items():
        number = legend.number(names)
        if number is not None:
            regions[pixels == value] = number
        elif value not in empty:
            unknown.append((names[0], int((pixels == value).sum())))
    if unknown:
        raise sentence_of(unknown, legend, what)
    return regions
