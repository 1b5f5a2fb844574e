"""Inverse analysis: where in a crop the pairs of its diagrams are.

A pair of degree 0 stands for an island: the pixels connected to its birth pixel just before it dies, that is before the
pixels of its death's grey level are added. A pair of degree 1 stands for a filled ring: the hole around its death pixel
that is left when the ring has closed, that is after the pixels of its birth's grey level are added. Islands are
connected by edges, holes by edges and corners, as in HomCloud's filtration.

These are the volumes of HomCloud's ``BitmapPHTrees``, at the grey levels of the crop. The trees themselves order pixels
of one grey level in another way than HomCloud's diagrams do, so that most pairs of a crop would have other pixels of
birth or death, and count the pixel at which two islands meet to either of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.store.files import atomic

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

#: Raised when the results of this stage change for the same study.
VERSION = 1

NUMBERS = {"degree": "int8", "birth": "float32", "death": "float32"} | dict.fromkeys(
    ("birth_row", "birth_column", "death_row", "death_column"), "int32"
)


def inverse_file(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Write every pair of one crop, and the region it stands for, as Parquet.

    Columns: filtration, degree, birth and death (grey levels), birth_row, birth_column, death_row and death_column
    (pixels of the crop), and pixels: the region as ascending indices row * width + column. Rows are in the order of
    filtrations and of ``pairs.crop_pairs``. ``settings`` has ``crops`` (a file of crops, relative to ``root``),
    ``index`` (of the crop, from 0) and ``filtrations``. Raises PersistemError when the file holds no such crop.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from persistem.imaging.crops import read_crops
    from persistem.topology.diagrams import arrow, strings
    from persistem.topology.pairs import crop_pairs

    path, index = Path(root) / settings["crops"], settings["index"]
    stack = read_crops(path)
    if not 0 <= index < len(stack):
        raise PersistemError(f"{path}: crop {index} was asked for, but it holds crops 0 to {len(stack) - 1}")
    filtrations = settings["filtrations"]
    pairs = [crop_pairs(stack[index], name) for name in filtrations]
    found = [region for name, of in zip(filtrations, pairs, strict=True) for region in regions(stack[index], name, of)]
    names = np.repeat(np.arange(len(filtrations)), [len(of) for of in pairs])
    values = np.concatenate(pairs).T
    offsets = np.cumsum([0, *map(len, found)]).astype(np.int32)
    pixels = np.concatenate([np.zeros(0, np.int32), *found]).astype(np.int32)
    columns = [strings(filtrations).take(arrow(names))]
    columns += [arrow(column.astype(kind)) for column, kind in zip(values, NUMBERS.values(), strict=True)]
    columns.append(pa.ListArray.from_arrays(arrow(offsets), arrow(pixels)))
    with atomic(out) as part:
        pq.write_table(pa.Table.from_arrays(columns, schema=_schema()), part, compression="zstd")


def regions(crop: NDArray[Any], filtration: str, pairs: NDArray[Any]) -> list[NDArray[np.int_]]:
    """The region of each of the ``pairs`` (n, 7) of ``pairs.crop_pairs``: indices of flattened pixels, ascending."""
    import numpy as np
    from scipy import ndimage

    # what is added first is highest
    sign = 1 if filtration == "superlevel" else -1
    levels = sign * crop.astype(int)
    around = {0: ndimage.generate_binary_structure(2, 1), 1: ndimage.generate_binary_structure(2, 2)}
    components: dict[tuple[int, int], NDArray[Any]] = {}
    found = []
    for degree, birth, death, *corners in pairs.tolist():
        seed, level = (corners[:2], sign * death) if degree == 0 else (corners[2:], sign * birth)
        if (degree, level) not in components:
            present = levels > level if degree == 0 else levels < level
            components[degree, level] = ndimage.label(present, around[degree])[0].astype(np.int32).ravel()
        labels = components[degree, level]
        found.append(np.flatnonzero(labels == labels[np.ravel_multi_index(seed, crop.shape)]))
    return found


def read_inverse(path: Path) -> pa.Table:
    """The table that ``inverse_file`` wrote; PersistemError when it is not one."""
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
