"""Descriptors in files: a row per defocus, size, crop and block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.descriptors.crops import blocks_of, describe_micrograph
from persistem.errors import PersistemError
from persistem.imaging.micrographs import read_micrograph
from persistem.store.files import atomic
from persistem.topology.diagrams import arrow, strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Describing

SCHEMA = {"defocus": "double", "size": "int32", "crop": "int32", "block": "string", "values": "list"}


def descriptor_file(micrographs: dict[float, Path], describing: Describing, out: Path) -> None:
    """Describe the crops of one specimen's micrographs, by defocus (Å), and write the blocks as Parquet.

    A row per defocus, size, crop and block. Only crops of the first size have surrogates. Raises
    PersistemError, naming the file.
    """
    rows: list[tuple[float, int, dict[str, NDArray[np.float32]]]] = []
    for defocus, path in micrographs.items():
        intensity, about = read_micrograph(path)
        for size in describing.sizes:
            only = blocks_of(describing) if size == describing.sizes[0] else None
            try:
                blocks = describe_micrograph(intensity, about["pixel_size_A"], describing, size, only)
            except PersistemError as error:
                raise PersistemError(f"{path}: {error}") from error
            rows.append((defocus, size, blocks))
        print(f"defocus {defocus:g} Å, {len(rows) // len(describing.sizes)} of {len(micrographs)}", flush=True)
    write_descriptors(rows, out)


def write_descriptors(rows: list[tuple[float, int, dict[str, NDArray[np.float32]]]], out: Path) -> None:
    """Write blocks of crops, by defocus (Å) and size (px), as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    keys = [(d, s, k, name) for d, s, blocks in rows for name in sorted(blocks) for k in range(len(blocks[name]))]
    vectors = [v for _, _, blocks in rows for name in sorted(blocks) for v in blocks[name]]
    offsets = arrow(np.cumsum([0, *map(len, vectors)]).astype(np.int32))
    defocus, size, crop, block = zip(*keys, strict=True)
    table = pa.table(
        {
            "defocus": arrow(np.array(defocus, float)),
            "size": arrow(np.array(size, np.int32)),
            "crop": arrow(np.array(crop, np.int32)),
            "block": strings(block),
            "values": pa.ListArray.from_arrays(offsets, arrow(np.concatenate(vectors).astype(np.float32))),
        }
    )
    with atomic(out) as part:
        pq.write_table(table, part, compression="zstd", use_dictionary=["block"])


def read_descriptors(path: Path, size: int) -> dict[float, dict[str, NDArray[np.float32]]]:
    """Blocks (crops, length) of the crops of ``size`` (px), by defocus (Å) and name.

    Raises PersistemError if the file has no descriptors, none of this size, or a value that is not finite.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise PersistemError(f"{path}: not a Parquet file of descriptors ({error})") from error
    kinds = {
        name: str(kind).partition("<")[0] for name, kind in zip(table.schema.names, table.schema.types, strict=True)
    }
    if kinds != SCHEMA:
        raise PersistemError(f"{path}: its columns are {kinds}; descriptors have {SCHEMA}")
    if any(column.null_count for column in table.columns):
        raise PersistemError(f"{path}: a value is missing")
    if not pc.any(pc.equal(table["size"], size)).as_py():
        raise PersistemError(f"{path}: has no crops of {size} px")
    table = table.filter(pc.equal(table["size"], size)).combine_chunks()
    values = table["values"].combine_chunks()
    flat = values.flatten()
    if flat.null_count:
        raise PersistemError(f"{path}: a value is missing")
    numbers: NDArray[Any] = np.from_dlpack(flat)
    ends = np.asarray(values.offsets)
    ends = ends - ends[0]
    if not np.isfinite(numbers).all():
        raise PersistemError(f"{path}: a value is not a finite number")
    vectors: dict[float, dict[str, list[NDArray[Any]]]] = {}
    keys = zip(table["defocus"].to_pylist(), table["block"].to_pylist(), strict=True)
    for k, (defocus, block) in enumerate(keys):
        vectors.setdefault(defocus, {}).setdefault(block, []).append(numbers[ends[k] : ends[k + 1]])
    for defocus, blocks in vectors.items():
        for name, parts in blocks.items():
            if len({vector.shape for vector in parts}) > 1:
                raise PersistemError(f"{path}: crops at {defocus:g} Å have {name} of different lengths")
    return {defocus: {name: np.stack(parts) for name, parts in blocks.items()} for defocus, blocks in vectors.items()}
