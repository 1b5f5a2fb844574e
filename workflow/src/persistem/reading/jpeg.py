"""What a JPEG declares, looked at before it is decoded: alone, or as a strip or tile of a TIFF.

The markers are those of ITU-T T.81, annex B, https://www.w3.org/Graphics/JPEG/itu-t81.pdf.
"""

from __future__ import annotations

import struct

from persistem.reading.found import BadImage

#: Most passes over a progressive JPEG, each of which decodes the whole picture; encoders make about ten.
MOST_SCANS, SCAN = 100, b"\xff\xda"
#: Markers of a frame, which has the size of the picture: all of C0 to CF but for tables (C4, CC) and one that is free.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length: the start and the end of the picture.
BARE = (0xD8, 0xD9)


def check(data: bytes, rows: int, columns: int) -> None:
    """Raise BadImage if a JPEG is larger than ``rows`` x ``columns``, or of too many passes."""
    scans = data.count(SCAN)
    if scans > MOST_SCANS:
        raise BadImage(f"a JPEG in {scans} passes; up to {MOST_SCANS} can be read")
    at = 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == SCAN[1]:
            return
        if marker in BARE or marker == 0xFF:  # any number of FF may come before a marker
            at += 1 if marker == 0xFF else 2
            continue
        if marker in FRAMES and at + 9 <= len(data):
            height, width = struct.unpack_from(">2H", data, at + 5)
            if height > rows or width > columns:
                raise BadImage(f"corrupted: a part of {columns} x {rows} px holds a JPEG of {width} x {height}")
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
