"""Outlines drawn in ImageJ: ``.roi`` and ``RoiSet.zip``, through roifile. Coordinates there are of pixels' corners."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.reading.found import BadImage
from persistem.reading.labels.legend import Key, key_of
from persistem.reading.labels.outlines import MOST_REGIONS, Region, ellipse

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Most bytes of one ROI, and of all in a set.
MOST_ROI, MOST_SET = 2**24, 2**26
#: What the ROI Manager adds to a name that is there already; names that it gives itself are of digits, 0012-0034.
AGAIN = re.compile(r"(.*[^\d-].*)-\d+")


def roi(path: Path, shape: tuple[int, int], _: Path | None = None) -> list[Region]:
    """The one outline in a ``.roi``; ImageJ calls it by the name in it, or else by the file's."""
    with open(path, "rb") as file:
        content = file.read(MOST_ROI + 1)
    if len(content) > MOST_ROI:
        raise BadImage(f"more than the {MOST_ROI // 2**20} MiB that an ROI may have")
    return _regions([("", path.stem, content)])


def roi_set(path: Path, shape: tuple[int, int], _: Path | None = None) -> list[Region]:
    """The outlines in a ``RoiSet.zip``, which the ROI Manager lists by the names of the files in it."""
    if path.stat().st_size > MOST_SET:
        raise BadImage(f"more than the {MOST_SET // 2**20} MiB that a set of ROIs may have")
    with zipfile.ZipFile(path) as archive:
        # beside each file, macOS puts one of its own with the same ending
        names = [entry for entry in archive.infolist() if not entry.filename.startswith("__MACOSX/")]
        entries = [entry for entry in names if entry.filename.lower().endswith(".roi")]
        if not entries:
            raise BadImage("a ZIP without an ImageJ ROI in it")
        if len(entries) > MOST_REGIONS:
            raise BadImage(f"it holds {len(entries)} ROIs; up to {MOST_REGIONS} can be read")
        contents, left = [], MOST_SET
        for entry in entries:
            most = min(MOST_ROI, left)
            with archive.open(entry) as file:
                content = file.read(most + 1)
            if len(content) > most:
                raise BadImage(
                    f"its ROIs unpack to more than {MOST_ROI // 2**20} MiB, or {MOST_SET // 2**20} MiB together"
                )
            left -= len(content)
            name = Path(entry.filename).name[: -len(".roi")]
            contents.append((name, name, content))
    return _regions(contents)


def _regions(contents: list[tuple[str, str, bytes]]) -> list[Region]:
    """Of ROIs with the name that counts, if any, the name of the file, and bytes."""
    from roifile import ImagejRoi

    rois = [
        (name or roi.name or file, roi) for name, file, content in contents for roi in [ImagejRoi.frombytes(content)]
    ]
    if len({(roi.position, roi.c_position, roi.z_position, roi.t_position) for _, roi in rois}) > 1:
        raise BadImage("its ROIs are of several frames of a stack, but labels are of one image")
    names = {name for name, _ in rois}
    return [Region(f"the ROI {name[:60]!r}", _keys(name, names, roi.group), [_rings(name, roi)]) for name, roi in rois]


def _keys(name: str, names: set[str], group: int) -> tuple[Key, ...]:
    """The name; the name without the number of a repetition; the group, if it is in one."""
    again = AGAIN.fullmatch(name)
    called = [again[1], name] if again and again[1] in names else [name, again[1]] if again else [name]
    return (*map(key_of, called), *([group] if group else []))


def _rings(name: str, roi: Any) -> list[NDArray[np.float64]]:
    from roifile import ROI_SUBTYPE, ROI_TYPE

    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE):
        raise BadImage(f"the ROI {name[:60]!r} is a text or a picture, not a region")
    if roi.multi_coordinates is not None:
        rings = roi.coordinates(multi=True)
    elif roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        rings = [_box(name, roi)]
    elif roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        rings = [roi.coordinates()]
    else:
        raise BadImage(f"the ROI {name[:60]!r} is a line or points, which have no area; draw round the region")
    return [np.asarray(ring, np.float64).reshape(-1, 2)[:, ::-1] - 0.5 for ring in rings]


def _box(name: str, roi: Any) -> NDArray[np.float64]:
    """Corners (n, 2) of (x, y) of a rectangle or an oval: roifile's have whole numbers, and few corners of an oval."""
    from roifile import ROI_TYPE

    start, end = np.array([roi.left, roi.top], float), np.array([roi.right, roi.bottom], float)
    if roi.subpixelrect:
        start = np.array([roi.xd, roi.yd], float)
        end = start + np.array([roi.widthd, roi.heightd])
    if roi.roitype == ROI_TYPE.OVAL:
        half = (end - start) / 2
        return ellipse((start + end) / 2, half * [1, 0], half * [0, 1])
    if roi.rounded_rect_arc_size:
        raise BadImage(f"the ROI {name[:60]!r} is a rectangle with round corners; draw a polygon in its place")
    (left, top), (right, bottom) = start, end
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
