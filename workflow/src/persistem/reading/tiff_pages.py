"""The chain of the pages of a TIFF, walked before anything else of it is read.

tifffile follows it for millions of pages, also where it comes back to a page before.
https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf, https://www.awaresystems.be/imaging/tiff/bigtiff.html
"""

from __future__ import annotations

import struct
from pathlib import Path

from persistem.reading.found import BadImage
from persistem.reading.pixels import countable

BIG = 43


def check(path: Path) -> None:
    """Raise BadImage if the pages come round to one before, or are more than can be read."""
    with open(path, "rb") as file:
        start = file.read(16)
        order = "<" if start[:2] == b"II" else ">"
        if len(start) < 16:
            raise BadImage("truncated: a TIFF ends in its header")
        big = struct.unpack(f"{order}H", start[2:4])[0] == BIG
        count_of, entry, link = (f"{order}Q", 20, f"{order}Q") if big else (f"{order}H", 12, f"{order}I")
        (at,) = struct.unpack_from(link, start, 8 if big else 4)
        seen: set[int] = set()
        while at:
            if at in seen:
                raise BadImage("corrupted: its pages come round to one before")
            seen.add(at)
            countable(len(seen))
            file.seek(at)
            head = file.read(struct.calcsize(count_of))
            if len(head) < struct.calcsize(count_of):
                return  # what is whole of a truncated file, tifffile reads or refuses
            file.seek(at + len(head) + entry * struct.unpack(count_of, head)[0])
            tail = file.read(struct.calcsize(link))
            at = struct.unpack(link, tail)[0] if len(tail) == struct.calcsize(link) else 0
