"""EMD of Berkeley (NCEM): https://emdatasets.com/format.

Read here because RosettaSciIO 0.15 takes the dimensions in reverse, which is right for its own files alone: the
standard and ncempy store rows before columns. Each dimension has a vector of its values (``dim1``, ``dim2``…; since
version 1 ``dim0``…), with name and units.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from persistem.reading.found import LENGTHS, NONE, Found, number, unit

#: Words in the names of an image's axes: x, x axis, scan_x, Prismatic's R_x, those that HyperSpy gives to TIFF.
#: py4DSTEM's Rx is not among them: it runs down the rows that py4DSTEM shows.
AXES = {
    "x": {"x", "xaxis", "col", "cols", "column", "columns", "width", "horizontal"},
    "y": {"y", "yaxis", "row", "rows", "height", "vertical"},
}


def datasets(file: Any) -> Iterator[Found]:
    """The data sets of an open file; rows along y, columns along x, frames first, as its dimensions are named."""
    from dask.array import from_array
    from rsciio.emd._emd_ncem import EMD_NCEM

    for path in EMD_NCEM.find_dataset_paths(file):
        data = file[path]
        group, first = data.parent, 0 if "dim0" in data.parent else 1
        axes = [_axis(group.get(f"dim{first + k}"), size) for k, size in enumerate(data.shape)]
        order = _order(axes, backwards=path.startswith("signals/"))
        if order != sorted(order):
            lazy: Any = from_array(data)  # type: ignore[no-untyped-call]
            data, axes = lazy.transpose(order), [axes[k] for k in order]
        for k, axis in enumerate(axes):
            axis["navigate"] = k < len(axes) - 2
        yield Found(data, axes, title=group.name.rpartition("/")[2], tags={"pixel_size": "its dimension vectors"})


def _axis(dimension: Any, size: int) -> dict[str, Any]:
    """Scale, units and name by the vector of a dimension, of which some writers give the first two values only."""
    if dimension is None:
        return {}
    said = {key: _text(dimension.attrs.get(key)) for key in ("name", "units")}
    ends = [number(dimension[k]) for k in (0, -1)] if dimension.ndim == 1 and len(dimension) > 1 else [None, None]
    start, end = ends
    if start is None or end is None or size < 2:
        return said
    return said | {"scale": (end - start) / (len(dimension) - 1)}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _order(axes: list[dict[str, Any]], backwards: bool) -> list[int]:
    """The order of the axes in which frames come first, then y, then x.

    Where their names do not say, the axis that is no length counts frames, and the others stay as they are stored:
    rows first, or ``backwards`` in HyperSpy's files, which are stored in reverse.
    """
    order = list(range(len(axes)))[:: -1 if backwards else 1]
    words = [_words(str(axis.get("name", ""))) for axis in axes]
    x, y = ([k for k in order if words[k] & AXES[axis]] for axis in "xy")
    if len(x) == len(y) == 1 and x != y:
        return [k for k in order if k not in (x[0], y[0])] + [y[0], x[0]]
    units = [unit(axis.get("units")) for axis in axes]
    frames = [k for k in order if units[k] not in LENGTHS and units[k] not in NONE]
    if len(axes) == 3 and len(frames) == 1:
        return frames + [k for k in order if k not in frames]
    return order


def _words(name: str) -> set[str]:
    """The words of an axis's name, without a unit in brackets."""
    return set(re.split(r"[^a-z]+", re.sub(r"(?<=\S)\s*[(\[{<].*", "", name).lower()))
