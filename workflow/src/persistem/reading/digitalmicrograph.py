"""DM3 and DM4 of Gatan's DigitalMicrograph, through RosettaSciIO.

Its parser believes every length it reads, so the tags are walked first: every count has to fit into the rest of the
file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from persistem.reading.found import NONE, BadImage, Found, kilovolts, lookup, mapped, number, unit
from persistem.reading.pixels import fits

#: Bytes of a value, by DigitalMicrograph's code of its type.
SIZES = {2: 2, 3: 4, 4: 2, 5: 4, 6: 4, 7: 8, 8: 1, 9: 1, 10: 1, 11: 8, 12: 8}
STRUCT, STRING, ARRAY = 15, 18, 20
GROUP, DATA = 20, 21
DEEPEST, MOST_TAGS = 64, 1_000_000
#: Types of packed halves of Fourier transforms.
PACKED = (5, 27, 28)


def datasets(path: Path) -> Iterator[Found | BadImage]:
    """The images of a DM3 or DM4, without thumbnails; pixels stay in the file."""
    from rsciio.digitalmicrograph._api import DigitalMicrographReader, ImageObject

    with open(path, "rb") as file:
        _Tags(file).walk()
        reader = DigitalMicrographReader(file)
        reader.parse_file()
        for tags in reader.get_image_dictionaries() or ():
            try:
                yield _found(path, ImageObject(tags, file), ">" if reader.endian == "big" else "<")
            except BadImage as error:
                yield error


def _found(path: Path, image: Any, order: str) -> Found:
    kind = image.imdict.ImageData.DataType
    if kind in PACKED:
        raise BadImage("a Fourier transform; a micrograph is real")
    offset, stored = int(image.imdict.ImageData.Data.offset), int(image.imdict.ImageData.Data.size_bytes)
    dtype, shape = np.dtype(image.dtype).newbyteorder(order), tuple(int(size) for size in image.shape)
    if len(shape) < 2 or min(shape) < 1:
        raise BadImage("a spectrum or a single value, not an image")
    fits(shape, dtype, min(stored, path.stat().st_size - offset), compressed=False)
    pixels = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
    metadata = {"ImageList": {"TagGroup0": image.imdict.to_dict()}}
    signal = {"original_metadata": metadata, "mapping": image.get_mapping()}
    microscope = lookup(metadata, "ImageList.TagGroup0.ImageTags.Microscope Info") or {}
    facts: dict[str, Any] = {"mode": _mode(microscope)}
    exposure = number(lookup(metadata, "ImageList.TagGroup0.ImageTags.DataBar.Exposure Time (s)"))
    if exposure is not None:
        facts["exposure_s"] = exposure
    date = mapped(signal, "date")
    if isinstance(date, str) and date:
        facts["date"] = date
    name = microscope.get("Name") or microscope.get("Microscope")
    if isinstance(name, str) and name:
        facts["instrument"] = name
    axes = image.get_axes_dict()
    tags = {"pixel_size": "ImageData.Calibrations.Dimension", "voltage": "Microscope Info.Voltage"}
    found = Found(pixels, axes, str(image.title), kilovolts(mapped(signal, "beam_energy")), None, facts, tags)
    if facts["mode"] == "TEM" and "DIFF" in str(microscope.get("Imaging Mode", "")).upper() and _uncalibrated(axes):
        found.not_image = "a diffraction pattern (its imaging mode), not an image"
    return found


def _uncalibrated(axes: list[dict[str, Any]]) -> bool:
    return all(unit(axis.get("units")) in NONE for axis in axes[-2:])


def _mode(microscope: dict[str, Any]) -> str:
    illumination = str(microscope.get("Illumination Mode", "")).upper()
    if "STEM" in illumination or "SCANNING" in str(microscope.get("Operation Mode", "")).upper():
        return "STEM"
    return "TEM" if "TEM" in illumination else "unknown"


class _Tags:
    """A walk through the tags that reads no values; DM3 has 4-byte lengths, DM4 8-byte ones."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = os.fstat(file.fileno()).st_size
        self.tags = 0

    def walk(self) -> None:
        """Raise BadImage if a length points beyond the file or a tag is malformed."""
        self.file.seek(0)
        (version,) = struct.unpack(">i", self._read(4))
        self.word = ">q" if version == 4 else ">i"
        self.skip = 8 if version == 4 else 0
        self._long()
        self._read(4)
        self._read(2)
        self._group(0)

    def _read(self, count: int) -> bytes:
        data = self.file.read(count)
        if len(data) < count:
            raise BadImage("truncated or corrupted: its tags end in the middle")
        return data

    def _long(self) -> int:
        word: int = struct.unpack(self.word, self._read(struct.calcsize(self.word)))[0]
        return word

    def _bytes(self, count: int, each: int = 1) -> None:
        """Skip ``count`` values of ``each`` bytes, at least one byte each."""
        if count < 0 or each < 1 or count * each > self.size - self.file.tell():
            raise BadImage(
                f"truncated or corrupted: a tag of {count} values of {each} bytes, in a file of {self.size} bytes"
            )
        self.file.seek(count * each, os.SEEK_CUR)

    def _group(self, depth: int) -> None:
        count = self._long()
        if depth > DEEPEST or not 0 <= count <= self.size:
            raise BadImage("truncated or corrupted: its tags are nested or counted beyond reason")
        for _ in range(count):
            self.tags += 1
            if self.tags > MOST_TAGS:
                raise BadImage(f"corrupted: more than {MOST_TAGS} tags")
            kind, length = struct.unpack(">Bh", self._read(3))
            self._bytes(length)
            if kind not in (GROUP, DATA):
                raise BadImage(f"truncated or corrupted: a tag of the unknown kind {kind}")
            self._read(self.skip)
            if kind == GROUP:
                self._read(2)
                self._group(depth + 1)
            else:
                self._value()

    def _value(self) -> None:
        if self._read(4) != b"%%%%":
            raise BadImage("truncated or corrupted: a tag without its mark")
        self._long()
        code = self._long()
        if code == STRUCT:
            self._bytes(1, self._struct())
        elif code == STRING:
            self._bytes(self._long())
        elif code == ARRAY:
            each = self._each(self._long())
            count = self._long()
            self._bytes(count, each)
        else:
            self._bytes(1, self._each(code))

    def _each(self, code: int) -> int:
        """Bytes of one entry of an array."""
        if code == STRUCT:
            return self._struct()
        if code not in SIZES:
            raise BadImage(f"truncated or corrupted: a value of the unknown type {code}")
        return SIZES[code]

    def _struct(self) -> int:
        self._long()
        fields = self._long()
        if not 0 < fields <= self.size:
            raise BadImage(f"truncated or corrupted: a structure of {fields} fields")
        total = 0
        for _ in range(fields):
            self._long()
            total += self._each(self._long())
        return total
