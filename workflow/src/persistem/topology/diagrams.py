"""Persistence diagrams of crops: where islands and rings are born and die as the grey level changes.

The pairs are those of ``persistem.topology.pairs``. The island that never dies, one per crop and filtration, is left
out, and so are pairs that die at the grey level of their birth; neither is in HomCloud's births and deaths.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.crops import read_crops
from persistem.store.files import atomic
from persistem.topology.pairs import crop_pairs

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from persistem.study import Recipe

#: Bump when this stage's results change for the same study.
VERSION = 1

COLUMNS = {"crop": "int32", "filtration": "string", "degree": "int8", "birth": "float32", "death": "float32"}
POSITIONS = dict.fromkeys(("birth_row", "birth_column", "death_row", "death_column"), "int32")
#: Metadata of a file with some of the crops: the first, the one after the last, and how many the micrograph has.
BATCH = b"crops"


def diagram_table(crops: NDArray[Any], recipe: Recipe, first: int = 0) -> pa.Table:
    """Birth-death pairs of crops (n, rows, columns) uint8; the first one is crop ``first`` of its micrograph.

    Columns: crop, filtration, degree, birth and death (grey levels) and, with ``recipe.positions``, row and column
    of the pixels at which the pair is born and dies. Rows are in the order of crop, filtration (as in the recipe),
    degree, birth, death and positions, so they do not depend on which crops are computed together.
    """
    import pyarrow as pa

    if crops.ndim != 3 or not crops.size or crops.dtype != np.uint8:
        raise PersistemError(f"crops are (n, rows, columns) uint8, but these are {crops.shape} {crops.dtype}")
    tables = [crop_pairs(crop, filtration) for crop in crops for filtration in recipe.filtrations]
    lengths = [len(pairs) for pairs in tables]
    numbers = np.arange(first, first + len(crops)).repeat(len(recipe.filtrations))
    names = np.tile(np.arange(len(recipe.filtrations), dtype=np.int8), len(crops)).repeat(lengths)
    filtrations = strings(recipe.filtrations).take(arrow(names))
    values = [numbers.repeat(lengths), *np.concatenate(tables).T]
    kinds = [kind for kind in (COLUMNS | POSITIONS).values() if kind != "string"]
    columns = [arrow(value.astype(kind)) for value, kind in zip(values, kinds, strict=True)]
    columns.insert(1, filtrations)
    schema = _schema(POSITIONS if recipe.positions else {})
    return pa.Table.from_arrays(columns[: len(schema)], schema=schema)


def arrow(values: NDArray[Any]) -> pa.Array:
    """A NumPy array as an Arrow array. Unlike ``pa.array``, it does not import pandas (0.35 s)."""
    import pyarrow as pa

    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, buffer])


def strings(texts: Iterable[str]) -> pa.Array:
    """Strings as an Arrow array; like ``arrow``, it does not import pandas."""
    import pyarrow as pa

    data = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, data)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(data), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(data))])


def values_of(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column of numbers as a NumPy array. Unlike ``to_numpy``, it does not import pandas."""
    return np.from_dlpack(column.combine_chunks())


def diagram_file(crops: Path, recipe: Recipe, out: Path, first: int | None = None, last: int | None = None) -> None:
    """Write the diagrams of crops ``first`` up to but not including ``last`` (by default all) as Parquet.

    Raises PersistemError if the file does not hold these crops.
    """
    stack = read_crops(crops)
    start, stop = first or 0, len(stack) if last is None else last
    if not 0 <= start < stop <= len(stack):
        raise PersistemError(f"{crops}: crops {start} to {stop} were asked for, but it holds crops 0 to {len(stack)}")
    table = diagram_table(stack[start:stop], recipe, start)
    if stop - start < len(stack):
        table = table.replace_schema_metadata({BATCH: f"{start} {stop} {len(stack)}"})
    write_diagrams(table, out)


def join(parts: list[Path], out: Path) -> None:
    """Join files with some of a micrograph's crops each, in the order of crops, and write all diagrams.

    The bytes are the same as from ``diagram_file`` over all crops. Raises PersistemError if a crop is in two files or
    in none, if the files are out of order, or if only some of them have positions.
    """
    import pyarrow as pa

    tables = [read_diagrams(part) for part in parts]
    if not tables:
        raise PersistemError(f"{out}: there are no diagrams to join")
    end = count = 0
    for part, table in zip(parts, tables, strict=True):
        if table.schema != tables[0].schema:
            raise PersistemError(f"{part}: columns {table.column_names} differ from those of {parts[0]}")
        # a crop may have no pairs, so rows do not tell which crops were computed
        batch = (table.schema.metadata or {}).get(BATCH)
        if batch is None and len(parts) > 1:
            raise PersistemError(f"{part}: does not say which crops it holds, so it is no batch; delete it")
        first, stop, count = map(int, batch.split()) if batch else (0, 0, 0)
        if first != end:
            raise PersistemError(f"{part}: begins with crop {first} where {end} is next; crops must be in order, once")
        end = stop
    if end != count:
        raise PersistemError(f"{parts[-1]}: ends before crop {end}, but the micrograph has crops 0 to {count}")
    write_diagrams(pa.concat_tables(tables).replace_schema_metadata(None), out)


def read_diagrams(path: Path) -> pa.Table:
    """The table that ``diagram_file`` wrote. Raises PersistemError if it is not one, or a grey level is not finite."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise PersistemError(f"{path}: not a Parquet file of diagrams ({error})") from error
    if table.schema not in (_schema({}), _schema(POSITIONS)):
        raise PersistemError(
            f"{path}: its columns are {table.column_names}; diagrams have {[*COLUMNS]} and may have {[*POSITIONS]}"
        )
    for column in table.columns:
        if column.null_count:
            raise PersistemError(f"{path}: {column.null_count} values are missing")
    for name in ("birth", "death"):
        if not pc.all(pc.is_finite(table[name]), min_count=0).as_py():
            raise PersistemError(f"{path}: a {name} is not a finite grey level")
    return table


def _schema(more: dict[str, str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, getattr(pa, kind)()) for name, kind in (COLUMNS | more).items()])


def write_diagrams(table: pa.Table, out: Path) -> None:
    """Write one row group of one chunk, so that the bytes depend on the rows only."""
    import pyarrow.parquet as pq

    with atomic(out) as part:
        pq.write_table(table.combine_chunks(), part, compression="zstd", row_group_size=max(1, table.num_rows))
