"""SER and EMI of FEI's TIA, through RosettaSciIO: pixels are in SER files, their metadata in the EMI."""

from __future__ import annotations

import re
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from persistem.reading.found import BadImage, Found, kilovolts, mapped, number, search, underfocus
from persistem.reading.pixels import countable, fits

#: NumPy's type of a pixel, by TIA's code.
TYPES = {1: "u1", 2: "u2", 3: "u4", 4: "i1", 5: "i2", 6: "i4", 7: "f4", 8: "f8", 9: "c8", 10: "c16"}
IMAGES = 0x4122
#: Bytes of an image's own header, and of the shortest tag behind its pixels.
ELEMENT, TAG = 50, 8
#: An EMI is read whole; its thumbnails have some MB.
MOST_EMI = 2**28


def datasets(path: Path) -> Iterator[Found]:
    """The images of a SER, with the metadata of the EMI beside it; or of all SER files that belong to an EMI."""
    if path.suffix.lower() == ".ser":
        stem = re.sub(r"_\d+$", "", path.stem)
        beside = [path.with_name(stem + suffix) for suffix in (".emi", ".EMI")]
        yield _found(path, next((emi for emi in beside if emi.is_file()), None))
        return
    numbered = re.compile(re.escape(path.stem) + r"_\d+\.ser", re.IGNORECASE)
    files = sorted(ser for ser in path.parent.iterdir() if numbered.fullmatch(ser.name))
    if not files:
        raise BadImage(f"its pixels lie in {path.stem}_1.ser, which is not beside it")
    for ser in files:
        yield _found(ser, path)


def _found(ser: Path, emi: Path | None) -> Found:
    from rsciio.tia._api import DTBox, emixml2dtb, get_xml_info_from_emi, ser_reader

    _check(ser)
    if emi is not None and emi.stat().st_size > MOST_EMI:
        raise BadImage(f"its {emi.name} has {emi.stat().st_size} bytes, more than the metadata of any micrograph")
    objects = get_xml_info_from_emi(str(emi)) if emi is not None else []
    signal = ser_reader(str(ser), objects=objects or None)[0]
    metadata = signal["original_metadata"]
    index = int(number(ser.stem.rpartition("_")[2]) or 1) - 1
    if objects:
        tree = DTBox(metadata, box_dots=True)
        emixml2dtb(ET.fromstring(objects[min(index, len(objects) - 1)]), tree)
        metadata = signal["original_metadata"] = tree.to_dict()
    voltage = (
        mapped(signal, "beam_energy") or search(metadata, "High tension_kV") or search(metadata, "AcceleratingVoltage")
    )
    defocus = underfocus(search(metadata, "Defocus_um"), 1e-4)
    mode = str(search(metadata, "Mode") or "")
    facts: dict[str, Any] = {"mode": "STEM" if "STEM" in mode else "TEM" if "TEM" in mode else "unknown"}
    instrument = mapped(signal, "microscope")
    if isinstance(instrument, str):
        facts["instrument"] = instrument
    tags = {"pixel_size": "the SER's calibration", "voltage": "the EMI's High tension", "defocus": "the EMI's Defocus"}
    found = Found(signal["data"], signal["axes"], ser.stem, kilovolts(voltage), defocus, facts, tags)
    if facts["mode"] == "TEM" and "Diffraction" in mode:
        found.not_image = "a diffraction pattern (its mode in the EMI), not an image"
    return found


def _check(ser: Path) -> None:
    """Raise BadImage if the SER's lengths do not fit into the file, or if it holds spectra.

    Layout: C. Boothroyd, FEI .ser file format (https://www.er-c.org/cbb/info/TIAformat/).
    """
    size = ser.stat().st_size
    with open(ser, "rb") as file:
        start = file.read(34)
        if len(start) < 34 or start[:4] != b"II\x97\x01":
            raise BadImage("not a SER file, or its header is lost")
        version, kind, _, total, valid = struct.unpack("<HIIII", start[4:22])
        wide = version > 0x0210
        word, last = ("<Q", 34) if wide else ("<I", 30)
        (table,) = struct.unpack(word, start[22 : last - 4])
        (dimensions,) = struct.unpack("<I", start[last - 4 : last])
        if kind != IMAGES:
            raise BadImage("spectra, not images" if kind == 0x4120 else f"corrupted: a SER of the unknown kind {kind}")
        if not 0 < valid <= total or dimensions > 8 or table + valid * struct.calcsize(word) > size:
            raise BadImage(f"truncated or corrupted: {valid} of {total} images in {dimensions} dimensions are declared")
        countable(valid)
        grid = 1
        file.seek(last)
        for _ in range(dimensions):
            count, _, _, _, length = struct.unpack("<I2dII", file.read(28))
            file.seek(min(length, size), 1)
            (length,) = struct.unpack("<I", file.read(4))
            file.seek(min(length, size), 1)
            grid *= count
        file.seek(table)
        offsets = struct.unpack(f"<{valid}{word[1]}", file.read(valid * struct.calcsize(word)))
        if grid > total:
            raise BadImage(f"corrupted: its dimensions hold {grid} images, its table {total}")
        shapes = set()
        for offset in offsets:
            if offset + ELEMENT > size:
                raise BadImage("truncated: an image lies beyond the end of the file")
            file.seek(offset + 40)
            shapes.add(struct.unpack("<HII", file.read(10)))
    if len(shapes) != 1:
        raise BadImage("images of several sizes in one SER cannot be read")
    code, columns, rows = shapes.pop()
    if code not in TYPES:
        raise BadImage(f"corrupted: pixels of the unknown type {code}")
    fits((int(valid), rows, columns), TYPES[code], size, compressed=False)
    fits((rows, columns), TYPES[code], size - max(offsets) - ELEMENT - TAG, compressed=False)
