"""TIFF of microscopes, ImageJ, OME and this package, through RosettaSciIO and tifffile.

The first row is the top one, as ImageJ shows it, which does not look at the tag Orientation.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.imaging.micrographs import as_written, read_micrograph
from persistem.imaging.optics import underfocus
from persistem.reading import jpeg, ome, tiff_pages
from persistem.reading.found import LENGTHS, BadImage, Found, angstrom, kilovolts, mapped, number, search, unit
from persistem.reading.pixels import coloured, countable, fits, held, unpacks

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Values of PhotometricInterpretation.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
#: Values of Compression; JPEG's decoder turns YCbCr into RGB.
NOT_PACKED, JPEG = 1, 7
#: Those that are unpacked no further than a strip or tile is long: fax, LZW, JPEG (see jpeg.py), Deflate, PackBits,
#: LZMA, Zstandard. Other codecs, such as JPEG 2000, allocate what their own header declares.
PACKED = (2, 3, 4, 5, JPEG, 8, 32773, 32946, 34925, 50000)
#: Values of ExtraSamples that say that a channel is the opacity.
OPACITY = (1, 2)
#: Tags that a pixel size may stand in: the resolution, DigitalMicrograph's, FEI's, Zeiss's, TVIPS's, Olympus's, JEOL's
#: (in the description).
CALIBRATION = (270, 282, 283, 296, *range(65003, 65012), 34680, 34682, 34118, 37706, 33471, 33560)
#: Units of a printer's resolution, as the inch is (found.NONE): ImageJ makes them its unit unasked.
PRINTED = {name for name, angstroms in LENGTHS.items() if angstroms in (LENGTHS["mm"], LENGTHS["cm"])}
#: What is said of a micrograph of ours whose pixels are not those that were written.
CHANGED = "another program changed this micrograph of PersisTEM: only the pixel size is still known"


def datasets(path: Path) -> Iterator[Found | BadImage]:
    """The images of a TIFF, one data set per series; our own micrographs in units of the incident beam's intensity.

    In an OME-TIFF each page is a data set, since each has the size of the image that it is a plane of; and so it is in
    any other where pages of a shape, which tifffile takes for a stack, differ in their calibration.
    """
    from rsciio.tiff._api import _read_tiff
    from tifffile import TiffFile, TiffPageSeries

    tiff_pages.check(path)
    with TiffFile(path, is_ome=False) as file:  # tifffile's series of OME put zeros for files that are not there
        if not len(file.pages):
            raise BadImage("truncated or corrupted: this TIFF holds no page")
        description, sizes = str(file.pages[0].description), []
        parts = [part for series in file.series for part in _parts(series)]
        if ome.is_ome(description):
            sizes = ome.axes(description, path, [(page.imagelength, page.imagewidth) for page in file.pages])
            parts = [TiffPageSeries([page]) for page in file.pages]
        declared = 0
        for k, part in enumerate(parts):
            try:
                _check(path, part)
                declared += math.prod(part.shape) * part.dtype.itemsize
                unpacks(declared, path.stat().st_size)
                pixels = _calibrated(_pixels(part), file.pages[0].description)
            except BadImage as error:
                yield error
                continue
            # file_reader would leave the file open
            signal = _read_tiff(_alone(file, part.keyframe), part, str(path), lazy=True, RGB_as_structured_array=False)
            metadata = signal["original_metadata"]
            axes = [axis for axis, code in zip(signal["axes"], part.axes, strict=True) if code != "S"]
            tag = _put_right(axes, metadata)
            if sizes:
                axes[-2:], tag = sizes[k], "OME-XML, PhysicalSize"
            for n, axis in enumerate(axes):
                axis["navigate"] = n < len(axes) - 2
            voltage = mapped(signal, "beam_energy") or search(metadata, "AcceleratingVoltage")
            found = Found(pixels, axes, str(search(signal["metadata"], "title") or path.stem), kilovolts(voltage))
            found.tags = {"pixel_size": tag, "voltage": "the maker's TIFF tag"}
            about = str((file.imagej_metadata or {}).get("Info", ""))
            if "intensity_scale" in about:
                if len(parts) == 1 and as_written(file) and _same_size(found, json.loads(about)):
                    _own(path, found)
                else:
                    found.facts["changed"] = CHANGED
            yield found


def _parts(series: Any) -> list[Any]:
    """A series, or its pages one by one if they state different calibrations."""
    from tifffile import TiffPageSeries

    if series.kind in ("imagej", "shaped") or None in series.pages:  # a stack by its description, on the first page
        return [series]
    pages = [page.aspage() for page in series.pages]
    said = [[str(page.tags.valueof(tag)) for tag in CALIBRATION] for page in pages]
    return [series] if all(tags == said[0] for tags in said) else [TiffPageSeries([page]) for page in pages]


def _alone(file: Any, page: Any) -> SimpleNamespace:
    """What RosettaSciIO asks a file, which answers for its first page only, as if it held this page alone."""
    fei: dict[str, Any] = {}
    for said in map(page.tags.valueof, (34680, 34682)):
        fei |= said if isinstance(said, dict) else {}
    return SimpleNamespace(
        flags=page.flags,
        pages=[page],
        fei_metadata=fei,
        imagej_metadata=file.imagej_metadata,
        filehandle=file.filehandle,
    )


def _check(path: Path, series: Any) -> None:
    """Raise BadImage if a series is neither grey nor RGB, or if its pixels do not fit into the file."""
    page, size = series.keyframe, path.stat().st_size
    kind, channels = int(page.photometric), page.samplesperpixel
    grey = kind in (WHITE_IS_ZERO, BLACK_IS_ZERO) and channels in (1, 2)
    rgb = channels >= 3 and (kind == RGB or (kind == YCBCR and int(page.compression) == JPEG))
    if not (grey or rgb or (kind == PALETTE and channels == 1)):
        raise BadImage(f"an image of {channels} channels that are neither grey nor RGB, but a micrograph is grey")
    if int(page.compression) not in (NOT_PACKED, *PACKED):
        name = str(getattr(page.compression, "name", page.compression)).replace("_", " ")
        raise BadImage(f"compressed as {name}; save it without compression, or with LZW or Deflate")
    if series.dtype is None:
        raise BadImage("holds pixels of a type that numpy does not have")
    shape = tuple(length for length, code in zip(series.shape, series.axes, strict=True) if code != "S")
    if len(shape) < 2:
        raise BadImage(f"holds values of shape {series.shape}, not images")
    countable(math.prod(shape[:-2]))
    if kind == WHITE_IS_ZERO:
        held(shape, series.dtype)
    packed = int(page.compression) != NOT_PACKED or page.bitspersample != 8 * series.dtype.itemsize
    fits(shape, np.dtype((np.void, channels * series.dtype.itemsize)), size, compressed=packed)
    if page.is_tiled:  # a tile may be larger than the image
        fits((page.tilelength, page.tilewidth), np.dtype((np.void, channels * series.dtype.itemsize)), size, True)
    if series.dataoffset is not None:
        fits(shape, series.dtype, size - series.dataoffset, compressed=packed)
        return
    for page_of_stack in series.pages:
        if page_of_stack is None:
            raise BadImage("truncated: a page of the stack is missing")
        segments = list(zip(page_of_stack.dataoffsets, page_of_stack.databytecounts, strict=True))
        if not segments or any(count <= 0 or start <= 0 or start + count > size for start, count in segments):
            raise BadImage("truncated or corrupted: pixels lie beyond the end of the file")
        if int(page.compression) == JPEG:
            _check_jpeg(path, page_of_stack, segments)
        if not packed and sum(count for _, count in segments) < page_of_stack.size * page_of_stack.dtype.itemsize:
            raise BadImage("truncated or corrupted: there are fewer pixels than declared")


def _check_jpeg(path: Path, page: Any, segments: list[tuple[int, int]]) -> None:
    """Raise BadImage if a strip or tile holds a JPEG larger than itself."""
    rows = min(page.rowsperstrip, page.imagelength)
    size = (page.tilelength, page.tilewidth) if page.is_tiled else (rows, page.imagewidth)
    jpeg.check(page.jpegtables or b"", *size)
    with open(path, "rb") as file:
        for start, count in segments:
            file.seek(start)
            jpeg.check(file.read(count), *size)


def _pixels(series: Any) -> NDArray[Any]:
    """Pixels (…, rows, columns), white at the largest value; with the fields R, G and B if they are coloured."""
    page = series.keyframe
    pixels: NDArray[Any] = series.asarray(out="memmap")
    if "S" in series.axes:
        pixels = np.moveaxis(pixels, series.axes.index("S"), -1)
    kind = int(page.photometric)
    if kind in (RGB, YCBCR):
        return coloured(pixels)
    if kind == PALETTE:
        return coloured(table(page.colormap)[pixels])
    if page.samplesperpixel == 2:
        other = pixels[..., 1]
        if not set(map(int, page.extrasamples)) & set(OPACITY) and other.min() != other.max():
            raise BadImage("two values in each pixel, and the file does not say that the second is the opacity")
        pixels = pixels[..., 0]
    return _inverted(pixels, page.bitspersample) if kind == WHITE_IS_ZERO else pixels


def _calibrated(pixels: NDArray[Any], description: str) -> NDArray[Any]:
    """The values that ImageJ shows, c0 + c1 x pixel, such as those of the signed 16 bits that it stores as unsigned.

    Raises BadImage for its other functions. https://imagej.net/ij/source/ij/measure/Calibration.java
    """
    said = dict(re.findall(r"^(cf|c0|c1)=(.*)$", description, re.MULTILINE)) if description.startswith("ImageJ") else {}
    if number(said.get("cf")) in (None, 20) or pixels.dtype.names is not None:  # 20: none
        return pixels
    c0, c1 = number(said.get("c0")), number(said.get("c1"))
    if number(said["cf"]) != 0 or c0 is None or not c1:
        raise BadImage("ImageJ calibrated its grey values by a function that is no straight line; save the raw values")
    if (c0, c1) == (0, 1):
        return pixels
    held(pixels.shape, np.float64)
    values: NDArray[Any] = c0 + c1 * pixels.astype(np.float64)
    if pixels.dtype == np.uint16 and (c0, c1) == (-32768, 1):
        return values.astype(np.int16)
    return values.astype(np.float32)


def table(colours: NDArray[Any]) -> NDArray[Any]:
    """A palette (entries, 3); of 8 bits if its 16 are no more than that, as in the same picture as a PNG."""
    high = colours >> 8
    if colours.max() < 256:
        high = colours
    elif not (np.array_equal(colours, high * 257) or np.array_equal(colours, high * 256)):
        return colours.T
    return high.astype(np.uint8).T


def _inverted(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """White to the other end: of the integers that the bits hold, or of the range of the image's own values.

    The latter for floats, and for signed integers of which none is negative, as counts are not.
    """
    kind = pixels.dtype.kind
    if kind == "b" or (kind == "i" and pixels.size and pixels.min() < 0):
        return ~pixels
    if kind == "i":
        return pixels.max() - (pixels - pixels.min()) if pixels.size else pixels
    if kind == "u":
        ends = pixels.dtype.type(2**bits - 1)
    else:
        finite = pixels[np.isfinite(pixels)]
        ends = finite.min() + finite.max() if finite.size else 0
    inverted: NDArray[Any] = ends - pixels
    return inverted


def _put_right(axes: list[dict[str, Any]], metadata: dict[str, Any]) -> str:
    """Set ImageJ's pixel size: RosettaSciIO loses a unit that is not the micron, and takes none for 1.

    Returns where the pixel size stands.
    """
    description = str(metadata.get("ImageDescription", ""))
    units = [re.search(rf"^{name}=(.*)$", description, re.MULTILINE) for name in ("yunit", "unit")]
    if not description.startswith("ImageJ") or units[1] is None:
        return "the maker's TIFF tags"
    for axis, tag, said in zip(axes[-2:], ("YResolution", "XResolution"), units, strict=True):
        pixels, lengths = metadata.get(tag) or (0, 1)
        axis |= {"scale": lengths / pixels if pixels else None, "units": (said or units[1])[1].strip()}
        if unit(axis["units"]) in PRINTED:
            axis |= {"scale": None, "units": ""}
    return "ImageJ's unit and resolution"


def _same_size(found: Found, about: dict[str, Any]) -> bool:
    try:
        now, then = angstrom(found), number(about.get("pixel_size_A"))
    except BadImage:
        return False
    return now is not None and then is not None and math.isclose(now, then, rel_tol=1e-3)


def _own(path: Path, found: Found) -> None:
    """What this package says about its own micrographs."""
    found.data, about = read_micrograph(path)
    pixel_size, defocus = number(about.get("pixel_size_A")), number(about.get("defocus_A"))
    found.axes = [{"scale": pixel_size, "units": "Å"}] * 2
    found.voltage = kilovolts(about.get("voltage_kV"))
    names = {"pixel_size": "pixel_size_A", "voltage": "voltage_kV", "defocus": "defocus_A"}
    found.tags = {name: f"{key} in PersisTEM's description" for name, key in names.items()}
    if defocus is not None:
        found.defocus = underfocus(defocus, about.get("defocus_sign"))
    found.facts = {"mode": "TEM", "instrument": "simulation", "defocus_origin": str(about.get("defocus_origin"))}
