"""MRC: https://www.ccpem.ac.uk/mrc_format/mrc2014.php (Cheng et al., J. Struct. Biol. 192 (2015) 146).

Read here because RosettaSciIO 0.15 takes big-endian files for little-endian ones and signed bytes for unsigned ones,
and gives pixels of an empty header a width of 0, 0.1 or 1 nm. MRC states neither voltage nor defocus. Its origin is at
the lower left (https://bio3d.colorado.edu/imod/doc/mrc_format.txt): the first row stored is the bottom of the image.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from persistem.reading.found import BadImage, Found, number
from persistem.reading.pixels import countable, fits

HEADER = 1024
TYPES = {0: "u1", 1: "i2", 2: "f4", 3: "c4", 4: "c8", 6: "u2", 12: "f2"}
#: Extended header of FEI's acquisition: 1024 records of 128 bytes, whose 12th float is the pixel size in m.
FEI_BYTES, FEI_PIXEL_SIZE = 1024 * 128, 44
IMOD = 1146047817


def datasets(path: Path) -> Iterator[Found]:
    """The image or the sections of an MRC, the top row first, as IMOD shows them; pixels stay in the file."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        header = file.read(HEADER)
        extended = file.read(FEI_PIXEL_SIZE + 4)
    if len(header) < HEADER:
        raise BadImage(f"truncated: an MRC header has {HEADER} bytes, the file has {size}")
    order = _order(header)
    columns, rows, sections, mode = struct.unpack(f"{order}4i", header[:16])
    (extra,) = struct.unpack(f"{order}i", header[92:96])
    if min(columns, rows, sections) < 1 or extra < 0:
        raise BadImage(f"corrupted: its MRC header declares {columns} x {rows} x {sections} px")
    if mode in (3, 4):
        raise BadImage("complex numbers, such as a Fourier transform, not an image")
    if mode not in TYPES:
        raise BadImage(f"its MRC mode is {mode}; known are {', '.join(map(str, TYPES))}")
    dtype = np.dtype(order + TYPES[mode])
    if mode == 0 and _signed(header, order):
        dtype = np.dtype("i1")
    shape = (sections, rows, columns) if sections > 1 else (rows, columns)
    countable(sections)
    fits(shape, dtype, size - HEADER - extra, compressed=False)
    pixels = np.memmap(path, dtype=dtype, mode="r", offset=HEADER + extra, shape=shape)
    scales, tag = _pixel_size(header, order), "the header's cell"
    if extra == FEI_BYTES and scales == (None, None) and len(extended) == FEI_PIXEL_SIZE + 4:
        metres = number(struct.unpack(f"{order}f", extended[FEI_PIXEL_SIZE:])[0])
        scales = (metres * 1e10, metres * 1e10) if metres and 1e-13 < metres < 1e-6 else scales
        tag = "FEI's extended header"
    axes = [{"navigate": True}] * (len(shape) - 2) + [{"scale": scale, "units": "Å"} for scale in scales]
    yield Found(pixels[..., ::-1, :], axes, title=path.stem, tags={"pixel_size": tag})


def _order(header: bytes) -> str:
    """Byte order, by the machine stamp; in old files, which have none, by the order that gives an existing mode."""
    stamp = header[212:214]
    if stamp in (b"\x11\x11", b"\x44\x44", b"\x44\x41"):
        return ">" if stamp == b"\x11\x11" else "<"
    little, big = (struct.unpack(f"{order}i", header[12:16])[0] for order in "<>")
    if little in TYPES:
        return "<"
    if big in TYPES:
        return ">"
    raise BadImage(f"corrupted, or not an MRC: its mode would be {little}")


def _signed(header: bytes, order: str) -> bool:
    """Whether bytes are signed: by the stated range, IMOD's flag or the standard of 2014; before, programs differed."""
    lowest, highest = (number(x) for x in struct.unpack(f"{order}2f", header[76:84]))
    if lowest is not None and highest is not None and lowest < highest:
        if lowest < 0:
            return True
        if highest > 127:
            return False
    stamp, flags = struct.unpack(f"{order}2i", header[152:160])
    if stamp == IMOD:
        return bool(flags & 1)
    return bool(struct.unpack(f"{order}i", header[108:112])[0] >= 20140)


def _pixel_size(header: bytes, order: str) -> tuple[float | None, float | None]:
    """Å along rows and columns; None if nobody filled the header: no cell, no intervals, or 1 Å for either."""
    intervals = struct.unpack(f"{order}3i", header[28:40])
    cell = [number(length) for length in struct.unpack(f"{order}3f", header[40:52])]
    sizes = [
        length / count if length and count > 0 and length > 0 else None
        for length, count in zip(cell[:2], intervals[:2], strict=True)
    ]
    if None in sizes or sizes == [1.0, 1.0] or cell[:2] == [1.0, 1.0]:
        return None, None
    return sizes[1], sizes[0]
