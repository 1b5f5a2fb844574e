"""TIFF of microscopes, ImageJ and this package, through RosettaSciIO and tifffile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from persistem.imaging.micrographs import read_micrograph
from persistem.imaging.optics import underfocus
from persistem.reading.found import BadImage, Found, kilovolts, mapped, number, search
from persistem.reading.pixels import fits

#: Grey values of PhotometricInterpretation: white is zero, black is zero.
GREY = (0, 1)
NOT_PACKED = 1
MOST_PAGES = 100_000


def datasets(path: Path) -> Iterator[Found | BadImage]:
    """The images of a TIFF, one data set per series; our own micrographs in units of the incident beam's intensity."""
    from rsciio.tiff._api import _read_tiff
    from tifffile import TiffFile

    with TiffFile(path) as file:
        ours = "intensity_scale" in str((file.imagej_metadata or {}).get("Info", ""))
        if not file.series:
            raise BadImage("truncated or corrupted: this TIFF holds no page")
        for series in file.series:
            try:
                _check(path, series)
            except BadImage as error:
                yield error
                continue
            signal = _read_tiff(file, series, str(path), lazy=True)  # file_reader would leave the file open
            metadata = signal["original_metadata"]
            tag = _put_right(signal["axes"], metadata)
            voltage = mapped(signal, "beam_energy") or search(metadata, "AcceleratingVoltage")
            found = Found(None, signal["axes"], str(search(signal["metadata"], "title") or path.stem))
            found.tags = {"pixel_size": tag, "voltage": "the maker's TIFF tag"}
            found.voltage, found.data = kilovolts(voltage), series.asarray(out="memmap")
            if metadata.get("PhotometricInterpretation") == 0 and found.data.dtype.kind == "u":
                found.data = np.iinfo(found.data.dtype).max - found.data
            if ours and len(file.series) == 1:
                _own(path, found)
            yield found


def _check(path: Path, series: Any) -> None:
    """Raise BadImage if a series is coloured or its pixels do not fit into the file."""
    page, size = series.keyframe, path.stat().st_size
    if int(page.photometric) not in GREY or page.samplesperpixel != 1:
        raise BadImage("a colour image (RGB or palette); a micrograph is grey")
    if series.dtype is None:
        raise BadImage("holds pixels of a type that numpy does not have")
    if len(series.shape) < 2 or len(series.pages) > MOST_PAGES:
        raise BadImage(f"holds values of shape {series.shape}, not images")
    packed = int(page.compression) != NOT_PACKED
    fits(tuple(series.shape), series.dtype, size, compressed=packed)
    if series.dataoffset is not None:
        fits(tuple(series.shape), series.dtype, size - series.dataoffset, compressed=packed)
        return
    for page_of_stack in series.pages:
        if page_of_stack is None:
            raise BadImage("truncated: a page of the stack is missing")
        segments = list(zip(page_of_stack.dataoffsets, page_of_stack.databytecounts, strict=True))
        if not segments or any(count <= 0 or start <= 0 or start + count > size for start, count in segments):
            raise BadImage("truncated or corrupted: pixels lie beyond the end of the file")
        if not packed and sum(count for _, count in segments) < page_of_stack.size * page_of_stack.dtype.itemsize:
            raise BadImage("truncated or corrupted: there are fewer pixels than declared")


def _put_right(axes: list[dict[str, Any]], metadata: dict[str, Any]) -> str:
    """Set ImageJ's unit, which RosettaSciIO loses unless it is the micron, and OME's pixel size, which it ignores.

    Returns where the pixel size stands.
    """
    description = str(metadata.get("ImageDescription", ""))
    sizes = [re.search(rf'PhysicalSize{axis}="([^"]+)"', description) for axis in "YX"]
    units = [re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', description) for axis in "YX"]
    if all(sizes):
        for axis, size, name in zip(axes[-2:], sizes, units, strict=True):
            axis |= {"scale": number(size[1]) if size else None, "units": name[1] if name else "µm"}
    imagej = re.search(r"^unit=(.*)$", description, re.MULTILINE)
    if imagej and description.startswith("ImageJ"):
        for axis in axes[-2:]:
            axis["units"] = axis.get("units") or imagej[1].strip()
        return "ImageJ's unit and resolution"
    return "OME-XML, PhysicalSize" if all(sizes) else "the maker's TIFF tags"


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
