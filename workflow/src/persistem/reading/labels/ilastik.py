"""Labels of ilastik: painted in a project (``.ilp``), or exported to HDF5.

A project keeps the labels of each image in blocks, of which the attribute ``blockSlice`` says where they are:
https://github.com/ilastik/ilastik/blob/main/ilastik/applets/base/appletSerializer/slotSerializer.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.reading.found import BadImage
from persistem.reading.hdf5_guard import check_heaps, try_out
from persistem.reading.labels.legend import listed
from persistem.reading.labels.pixels import Values, check_size
from persistem.reading.pixels import EXPANSION, IN_MEMORY

if TYPE_CHECKING:
    from numpy.typing import NDArray

SETS, NAMES, INFOS = "PixelClassification/LabelSets", "PixelClassification/LabelNames", "Input Data/infos"
#: Axes of an array that says nothing of them, by how many it has.
AXES = {2: "yx", 3: "yxc", 4: "zyxc", 5: "tzyxc"}


def labels(path: Path, shape: tuple[int, int], image: Path | None = None) -> Values:
    """The labels of the image in a project, with their names, or the numbers of an exported image."""
    import h5py

    check_heaps(path)
    try_out(path, IN_MEMORY // EXPANSION)
    with h5py.File(path, "r") as file:
        if SETS in file:
            return _painted(file, shape, image)
        if "ilastikVersion" in file or "workflowName" in file:
            raise BadImage("an ilastik project without labels of pixels (Pixel Classification)")
        arrays: list[tuple[str, Any]] = []
        file.visititems(lambda name, item: arrays.append((name, item)) if isinstance(item, h5py.Dataset) else None)
        if len(arrays) != 1:
            raise BadImage(f"an HDF5 file of {len(arrays)} data sets, neither a project nor an export of ilastik")
        name, array = arrays[0]
        axes = _axes(array.attrs.get("axistags"), array.ndim)
        check_size(tuple(array.shape[axes.index(axis)] for axis in "yx"), shape)
        if array.dtype.kind not in "iub":
            raise BadImage(f"its data set {name} holds {array.dtype}, not numbers of labels")
        return Values(_plane(array, axes))


def _painted(file: Any, shape: tuple[int, int], image: Path | None) -> Values:
    lane, blocks = _lane(file, image)
    raw = file.get(f"{INFOS}/lane{lane:04d}/Raw Data", {})
    if "shape" in raw:
        lengths = tuple(map(int, raw["shape"][()]))
        axes = _axes(raw["axistags"][()] if "axistags" in raw else None, len(lengths))
        check_size(tuple(lengths[axes.index(axis)] for axis in "yx"), shape)
    pixels = np.zeros(shape, np.uint8)
    for name, block in blocks.items():
        said = _text(block.attrs.get("blockSlice", ""))
        bounds = [tuple(map(int, pair)) for pair in re.findall(r"(\d{1,9}):(\d{1,9})", said)]
        tags = block.attrs.get("axistags", raw["axistags"][()] if "axistags" in raw else None)
        if not hasattr(block, "shape") or [end - start for start, end in bounds] != list(block.shape):
            raise BadImage(f"its labels {name} are not of the size that their place says ({said[:60]})")
        axes = _axes(tags, block.ndim)
        (top, bottom), (left, right) = (bounds[axes.index(axis)] for axis in "yx")
        if bottom > shape[0] or right > shape[1]:
            raise BadImage(
                f"labels reach to column {right} and row {bottom}, but the micrograph has {shape[1]} columns and"
                f" {shape[0]} rows"
            )
        if block.dtype != np.uint8:
            raise BadImage(f"its labels {name} are {block.dtype}, not of 8 bits")
        there = pixels[top:bottom, left:right]
        np.maximum(there, _plane(block, axes), out=there)
    names = [_text(name) for name in np.atleast_1d(file[NAMES][()])] if NAMES in file else []
    return Values(pixels, {k: name for k, name in enumerate(names, 1) if name.strip()})


def _lane(file: Any, image: Path | None) -> tuple[int, Any]:
    """The number of the image in the project, and the blocks of its labels."""
    sets = sorted(file[SETS].items(), key=lambda item: int("0" + re.sub(r"\D", "", item[0])))
    if len(sets) == 1:
        return 0, sets[0][1]
    called = [_image(file.get(f"{INFOS}/lane{k:04d}/Raw Data", {})) for k in range(len(sets))]
    fitting = [k for k, names in enumerate(called) if image is not None and {image.name, image.stem} & set(names)]
    if len(fitting) != 1:
        of = image.name if image is not None else "the micrograph"
        raise BadImage(
            f"a project of {len(sets)} images ({listed(names[0] for names in called)}), "
            f"of which {'none' if not fitting else 'more than one'} is called {of}"
        )
    return fitting[0], sets[fitting[0]][1]


def _image(raw: Any) -> tuple[str, ...]:
    """What a project calls an image: its file's name, with and without its ending, and its nickname.

    Without the ending, because ilastik does not read what microscopes write: a.dm4 is there as a.png or a.h5.
    """
    path = _text(raw["filePath"][()]).replace("\\", "/") if "filePath" in raw else ""
    inner = re.sub(r"(\.(?:h5|hdf5|ilp|hspy|emd))/.*", r"\1", path)
    nickname = _text(raw["nickname"][()]) if "nickname" in raw else ""
    return (PurePosixPath(inner).name, PurePosixPath(inner).stem, nickname)


def _axes(tags: Any, count: int) -> str:
    """A letter for each axis, e.g. yxc; BadImage if rows and columns are not among them."""
    axes = AXES.get(count, "")
    if tags is not None:
        said = json.loads(_text(tags))
        axes = "".join(str(axis["key"]) for axis in said["axes"])
    if len(axes) != count or "y" not in axes or "x" not in axes:
        raise BadImage(f"{count}-dimensional labels with the axes {axes!r}, not an image")
    return axes


def _plane(array: Any, axes: str) -> NDArray[Any]:
    """The rows and columns of an array whose other axes have one entry."""
    others = [length for length, axis in zip(array.shape, axes, strict=True) if axis not in "yx"]
    if any(length != 1 for length in others):
        raise BadImage("labels of a stack, but a micrograph is one image")
    plane = np.asarray(array[tuple(slice(None) if axis in "yx" else 0 for axis in axes)])
    return plane.T if axes.index("x") < axes.index("y") else plane


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
