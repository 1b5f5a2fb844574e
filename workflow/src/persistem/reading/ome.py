"""Pixel sizes in OME-XML, for each page of a TIFF.

https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/specification.html: every ``Image`` has its size, and its
``TiffData`` say which pages of which file are its planes.
"""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from persistem.errors import PersistemError
from persistem.reading.found import BadImage
from persistem.store.bounded import read_text

#: OME's unit where a file states none.
MICRON = "µm"
#: Most pages that all images together claim: more than there can be, also where each is claimed twice.
MOST_CLAIMS = 1_000_000


def is_ome(description: str) -> bool:
    """Whether the description of a TIFF is OME-XML."""
    return re.match(r"(\ufeff|ï»¿|\s)*(<\?xml.*?>|<!--.*?-->|\s)*<(\w+:)?OME\b", description, re.DOTALL) is not None


def axes(description: str, path: Path, shapes: list[tuple[int, int]]) -> list[list[dict[str, Any]]]:
    """Rows and columns, with scale and units, for each page of the file ``path`` with pages of ``shapes``.

    A page has no scale unless an image claims it, states its size, and is as large as the page. Where two images of
    different sizes claim a page, nobody knows.
    """
    claims: list[list[tuple[Any, ...]]] = [[] for _ in shapes]
    claimed = 0
    root = _parsed(description, path)
    here = _here(root, path)
    images = root.findall("{*}Image/{*}Pixels")
    for pixels in images:
        shape = (_whole(pixels.get("SizeY"), 0), _whole(pixels.get("SizeX"), 0))
        size = tuple(
            (pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit") or MICRON) for axis in "YX"
        )
        planes = pixels.findall("{*}TiffData")
        if not planes and len(images) == 1:  # a single image leaves no doubt
            planes = [ET.Element("TiffData")]
        for part in planes:
            pages = _pages(part, pixels, len(shapes)) if here(part) else range(0)
            claimed += len(pages)
            if claimed > MOST_CLAIMS:
                raise BadImage(f"corrupted: its OME-XML claims pages more than {MOST_CLAIMS} times")
            for page in pages:
                claims[page].append(size if shape == shapes[page] else ())
    return [_agreed(claim) for claim in claims]


def _agreed(claims: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    if len(set(claims)) != 1 or not claims[0]:
        return [{}, {}]
    return [{"scale": scale, "units": units} for scale, units in claims[0]]


def _parsed(description: str, path: Path) -> ET.Element:
    """The XML, or that of the companion file that it refers to; without images if neither can be read."""
    root = _element(description)
    companion = root.find("{*}BinaryOnly")
    if companion is None:
        return root
    beside = path.with_name(PurePath(companion.get("MetadataFile") or "none").name)
    try:
        said = _element(read_text(beside))
    except (OSError, UnicodeError, PersistemError):
        return root
    said.set("UUID", root.get("UUID") or "")
    return said


def _element(text: str) -> ET.Element:
    # XML knows five names of characters; programs also write HTML's, such as &micro;
    named = re.sub(r"&(?!amp;|lt;|gt;|quot;|apos;)[A-Za-z]+;", lambda name: html.unescape(name[0]), text)
    try:
        return ET.fromstring(named.removeprefix("ï»¿").strip("\0\ufeff \r\n\t"))
    except (ET.ParseError, ValueError):
        return ET.Element("OME")


def _here(root: ET.Element, path: Path) -> Callable[[ET.Element], bool]:
    """Whether a TiffData is of this file: by its UUID, which survives another name, or else by its name.

    Of two that contradict each other, neither is believed.
    """
    files = {_file(part) for part in root.iterfind("{*}Image/{*}Pixels/{*}TiffData/{*}UUID")}
    own = root.get("UUID")
    by_id, by_name = own in {uuid for uuid, _ in files}, path.name in {name for _, name in files}

    def here(part: ET.Element) -> bool:
        said = part.find("{*}UUID")
        if said is None:
            return True
        uuid, name = _file(said)
        if len(files) == 1:  # renamed or saved anew, unless both say that it is another file
            return not own or uuid == own or name == path.name
        return (by_id or by_name) and (not by_id or uuid == own) and (not by_name or name == path.name)

    return here


def _file(uuid: ET.Element) -> tuple[str, str]:
    return (uuid.text or "").strip(), PurePath(uuid.get("FileName") or "").name


def _pages(part: ET.Element, pixels: ET.Element, pages: int) -> range:
    """Pages that a TiffData refers to: one from its IFD on, or as many as it says; without IFD all planes."""
    first = _whole(part.get("IFD"), 0)
    planes = _whole(pixels.get("SizeZ"), 1) * _whole(pixels.get("SizeT"), 1) * _whole(pixels.get("SizeC"), 1)
    count = _whole(part.get("PlaneCount"), 1 if "IFD" in part.attrib else planes)
    return range(max(first, 0), min(first + count, pages))


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"\d{1,9}", text.strip()) else otherwise
