"""Shapes saved from napari as CSV. Coordinates there are (row, column), centres of pixels at whole numbers.

The file has no names, only the index of each shape. A further column, ``state``, names them if somebody has added it.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from persistem.reading.found import BadImage
from persistem.reading.labels.legend import Key, key_of
from persistem.reading.labels.outlines import Region, ellipse
from persistem.store.bounded import read_text

#: Most bytes of a file.
MOST = 2**24
#: The columns that napari writes before the axes, and the one that names a shape.
INDEX, KIND, STATE = "index", "shape-type", "state"


def shapes(path: Path, shape: tuple[int, int], _: Path | None = None) -> list[Region]:
    """The polygons, rectangles and ellipses in a CSV of shapes."""
    rows = list(csv.DictReader(io.StringIO(read_text(path, MOST).removeprefix("\ufeff"))))
    columns = list(rows[0]) if rows else []
    axes = [column for column in columns if str(column).startswith("axis-")]
    if KIND not in columns or len(axes) < 2:
        raise BadImage("a CSV without the columns shape-type, axis-0 and axis-1 that napari writes for shapes")
    if any(len({row[axis] for row in rows}) > 1 for axis in axes[:-2]):
        raise BadImage("its shapes are of several frames of a stack, but labels are of one image")
    grouped: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        if None in row or None in row.values():
            raise BadImage("truncated or corrupted: a line has more or fewer values than the first")
        grouped.setdefault(row[INDEX], []).append(row)
    return [_region(index, vertices, axes[-2:]) for index, vertices in grouped.items()]


def _region(index: str, vertices: list[dict[str, str]], axes: list[str]) -> Region:
    what, kind = f"shape {index[:20]}", vertices[0][KIND]
    try:
        number = int(float(index))
        points = np.array([[float(row[axis]) for axis in axes] for row in vertices])
    except (ValueError, OverflowError) as error:
        raise BadImage(f"{what} has an index or a coordinate that is not a number") from error
    if kind not in ("polygon", "rectangle", "ellipse"):
        raise BadImage(f"{what} is a {kind[:20]}, which has no area; draw round the region")
    if kind == "ellipse":
        if len(points) != 4:
            raise BadImage(f"{what}, an ellipse, has {len(points)} corners, not the four of the box around it")
        points = ellipse(points.mean(axis=0), (points[1] - points[0]) / 2, (points[3] - points[0]) / 2)
    name = vertices[0].get(STATE, "").strip()
    keys: tuple[Key, ...] = (key_of(name),) if name else (number,)
    return Region(f"{what} ({name[:60]})" if name else what, keys, [[points]])
