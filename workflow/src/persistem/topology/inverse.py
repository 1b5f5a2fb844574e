"""Inverse analysis: where in a crop the pairs of its diagrams are.

A pair of degree 0 stands for an island: the pixels connected to its birth pixel just before it dies, before the pixels
of its death's grey level are added. A pair of degree 1 stands for a filled ring: the hole around its death pixel just
after the ring closes, after the pixels of its birth's grey level are added. Islands are connected by edges, holes by
edges and corners, as in HomCloud's filtration.

These are the volumes of HomCloud's ``BitmapPHTrees``, at the grey levels of the crop. The trees themselves order pixels
of one grey level differently from HomCloud's diagrams, so that most pairs of a crop would have other pixels of birth or
death. They also count the pixel at which two islands meet to either of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.crops import read_crops
from persistem.store.files import atomic
from persistem.topology.diagrams import arrow, strings
from persistem.topology.pairs import crop_pairs

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

#: Bump when this stage's results change for the same study.
VERSION = 1

NUMBERS = {"degree": "int8", "birth": "float32", "death": "float32"} | dict.fromkeys(
    ("birth_row", "birth_column", "death_row", "death_column"), "int32"
)


def inverse_file(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Write every pair of one crop, and its region, as Parquet.

    Columns: filtration, degree, birth and death (grey levels), birth_row, birth_column, death_row and death_column
    (pixels of the crop), and pixels: the region, as ascending indices row * width + column. Rows are in the order of
    filtrations and of ``pairs.crop_pairs``. ``settings`` has ``crops`` (a file of crops, relative to ``root``),
    ``index`` (of the crop, from 0) and ``filtrations``. Raises PersistemError if the file holds no such crop.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, index = Path(root) / settings["crops"], settings["index"]
    stack = read_crops(path)
    if not 0 <= index < len(stack):
        raise PersistemError(f"{path}: crop {index} was asked for, but it holds crops 0 to {len(stack) - 1}")
    filtrations = settings["filtrations"]
    crop = stack[index]
    tables = [crop_pairs(crop, name) for name in filtrations]
    areas = [area for name, pairs in zip(filtrations, tables, strict=True) for area in regions(crop, name, pairs)]
    names = np.repeat(np.arange(len(filtrations)), [len(pairs) for pairs in tables])
    values = np.concatenate(tables).T
    offsets = np.cumsum([0, *map(len, areas)]).astype(np.int32)
    pixels = np.concatenate([np.zeros(0, np.int32), *areas]).astype(np.int32)
    columns = [strings(filtrations).take(arrow(names))]
    columns += [arrow(column.astype(kind)) for column, kind in zip(values, NUMBERS.values(), strict=True)]
    columns.append(pa.ListArray.from_arrays(arrow(offsets), arrow(pixels)))
    with atomic(out) as part:
        pq.write_table(pa.Table.from_arrays(columns, schema=_schema()), part, compression="zstd")


def regions(crop: NDArray[Any], filtration: str, pairs: NDArray[Any]) -> list[NDArray[np.int_]]:
    """The region of each of the ``pairs`` (n, 7) of ``pairs.crop_pairs``: indices of flattened pixels, ascending."""
    from scipy import ndimage

    # pixels that are added first are highest
    sign = 1 if filtration == "superlevel" else -1
    levels = sign * crop.astype(int)
    around = {0: ndimage.generate_binary_structure(2, 1), 1: ndimage.generate_binary_structure(2, 2)}
    components: dict[tuple[int, int], NDArray[Any]] = {}
    areas = []
    for degree, birth, death, *corners in pairs.tolist():
        seed, level = (corners[:2], sign * death) if degree == 0 else (corners[2:], sign * birth)
        if (degree, level) not in components:
            present = levels > level if degree == 0 else levels < level
            components[degree, level] = ndimage.label(present, around[degree])[0].astype(np.int32).ravel()
        labels = components[degree, level]
        areas.append(np.flatnonzero(labels == labels[np.ravel_multi_index(seed, crop.shape)]))
    return areas


def read_inverse(path: Path) -> pa.Table:
    """The table that ``inverse_file`` wrote. Raises PersistemError if it is not one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise PersistemError(f"{path}: not a Parquet file of an inverse analysis ({error})") from error
    if table.schema != _schema():
        names = [field.name for field in _schema()]
        raise PersistemError(f"{path}: its columns are {table.column_names}; an inverse analysis has {names}")
    if any(column.null_count for column in table.columns):
        raise PersistemError(f"{path}: a value is missing")
    return table


def _schema() -> pa.Schema:
    import pyarrow as pa

    numbers = [(name, getattr(pa, kind)()) for name, kind in NUMBERS.items()]
    return pa.schema([("filtration", pa.string()), *numbers, ("pixels", pa.list_(pa.field("element", pa.int32())))])
