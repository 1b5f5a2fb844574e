"""3D persistence diagrams of specimens, by HomCloud: weighted alpha filtration of the imaged slab.

Balls grow about the atoms. An atom of radius r has the weight r², so at the level α (Å², which may be negative) its
ball has the radius √(r² + α): at α = 0 the balls are as large as the atoms. Degree 0 are separate parts, degree 1
rings, degree 2 cavities. Births and deaths are levels α in Å².

The slab's faces are open, as in the paper, or (``periodic``) atoms of the periodic continuation surround it, so that it
has no surface. A pair belongs to the slab if the centre of its birth simplex is in it. Pairs depend on atoms at some
distance: in a 50 Å cube of liquid or amorphous GaN, atoms up to ``MARGIN`` around it give all but two in a thousand of
the pairs that a margin of 14 Å gives.

``homcloud.alpha_filtration`` is the module that ``homcloud.interface`` calls; the interface takes 2 s to import.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens.slabs import cut, repeats
from persistem.specimens.structures import read_structure
from persistem.store.files import atomic
from persistem.topology.diagrams import arrow, values_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bump when this stage's results change for the same study.
VERSION = 1

#: Standard deviation of the noise added to each coordinate (Å) and weight (Å²): the alpha filtration of a perfect
#: crystal is degenerate, and HomCloud pairs equal births of atoms at random.
NOISE = 1e-5
#: Decimals of the table. HomCloud's levels differ in the last bits from run to run.
DECIMALS = 6
#: How far atoms reach around a slab without surface, Å.
MARGIN = 10.0
#: CGAL has no three-dimensional triangulation of fewer points.
FEWEST = 4

COLUMNS = {"degree": "int8", **dict.fromkeys(("birth", "death", "x", "y", "z"), "float64")}


def box_of(side: tuple[float, float]) -> NDArray[Any]:
    """The slab's sides, (3,) Å, from field and thickness."""
    return np.array([side[0], side[0], side[1]], float)


def volume_of(side: tuple[float, float]) -> float:
    """The slab's volume, nm³, from field and thickness in Å."""
    return float(side[0] ** 2 * side[1]) * 1e-3


def slab_atoms(
    structure: Path, radii: dict[str, float], side: tuple[float, float], periodic: bool
) -> tuple[NDArray[Any], list[str]]:
    """The atoms of the filtration: (n, 4) position in the slab (Å) and weight r² (Å²), and their n elements.

    ``periodic`` adds the atoms up to ``MARGIN`` outside the slab; their coordinates are below 0 or above its sides.

    Raises
    ------
    PersistemError
        if an element has no radius, the slab holds too few atoms, or some of them twice.
    """
    atoms = read_structure(structure)
    missing = sorted(set(atoms.symbols) - set(radii))
    if missing:
        raise PersistemError(
            f"{structure}: no radius for {missing[0]}; material.radii has {', '.join(radii) or 'none'}"
        )
    box = box_of(side)
    if (twice := repeats(atoms.cell.array, box)) is not None:
        shift = ", ".join(f"{x:.2f}" for x in twice)
        raise PersistemError(
            f"{structure}: atoms would appear twice, shifted by ({shift}) Å, in a slab of {box[0]:g} x {box[1]:g} x"
            f" {box[2]:g} Å; allowed: a smaller imaging.field or imaging.thickness, or a larger specimen"
        )
    margin = MARGIN if periodic else 0.0
    slab = cut(atoms, box + 2 * margin)
    positions = slab.positions - margin
    if (inside := int(_inside(positions, box).sum())) < FEWEST:
        raise PersistemError(
            f"{structure}: {inside} atoms in the slab, and a diagram needs {FEWEST}; enlarge the field"
        )
    elements = list(slab.symbols)
    points = np.column_stack([positions, [radii[element] ** 2 for element in elements]])
    return points + np.random.default_rng(0).normal(scale=NOISE, size=points.shape), elements


def diagram_3d_file(
    structure: Path, radii: dict[str, float], side: tuple[float, float], periodic: bool, out: Path
) -> None:
    """Write the diagram of the slab around the specimen's centre, as HomCloud's file and as a table beside it.

    Parameters
    ----------
    structure
        extended XYZ with a periodic cell
    radii
        of each element, Å
    side
        field and thickness of the slab, Å
    periodic
        whether atoms of the periodic continuation surround the slab
    out
        HomCloud's file (``.pdgm``): all pairs, if ``periodic`` also those outside the slab, with the data that optimal
        volumes need; vertices have their elements as symbols. The same name with ``.parquet`` holds the slab's pairs
        that die after their birth: degree, birth, death (Å²), x, y, z of the centre of the birth simplex (Å, from the
        slab's lower corner).

    Raises
    ------
    PersistemError
        as ``slab_atoms``.
    """
    from homcloud.alpha_filtration import AlphaFiltration

    points, elements = slab_atoms(Path(structure), radii, side, periodic)
    # three dimensions, weighted, no periodicity of HomCloud's own, squared, with the boundary map
    filtration = AlphaFiltration.create(points, 3, True, None, True, elements, True)
    with atomic(Path(out)) as part, open(part, "w+b") as file:
        filtration.compute_pdgm(file)
        file.seek(0)
        columns = _pairs(file, filtration.index_to_simplex, points[:, :3])
    _write({name: column[_inside(columns["xyz"], box_of(side))] for name, column in columns.items()}, out)


def read_diagram_3d(path: Path) -> dict[str, NDArray[Any]]:
    """The table that ``diagram_3d_file`` wrote, by column: degree, birth, death (Å²), x, y, z (Å), each (n,).

    Raises PersistemError if it is not one, or a value is missing or not finite.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise PersistemError(f"{path}: not a Parquet file of a 3D diagram ({error})") from error
    if {field.name: field.type for field in table.schema} != {n: getattr(pa, k)() for n, k in COLUMNS.items()}:
        raise PersistemError(f"{path}: its columns are {table.column_names}; 3D diagrams have {[*COLUMNS]}")
    if any(column.null_count for column in table.columns):
        raise PersistemError(f"{path}: values are missing")
    columns = {name: values_of(table[name]) if table.num_rows else np.empty(0) for name in COLUMNS}
    for name, column in columns.items():
        if not np.isfinite(column).all():
            raise PersistemError(f"{path}: {name} is not finite everywhere")
    if (columns["birth"] >= columns["death"]).any():
        raise PersistemError(f"{path}: a pair dies before its birth")
    return columns


def read_pairs_3d(path: Path, degree: int) -> NDArray[Any]:
    """Births and deaths (Å²) of one degree of such a table, (n, 2); raises as ``read_diagram_3d``."""
    diagram = read_diagram_3d(path)
    pairs: NDArray[Any] = np.column_stack([diagram["birth"], diagram["death"]])[diagram["degree"] == degree]
    return pairs


def _inside(positions: NDArray[Any], box: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(((positions >= 0) & (positions < box)).all(axis=1))


def _pairs(file: Any, simplices: list[tuple[int, ...]], positions: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Pairs of a HomCloud file that die, sorted by degree, birth, death; ``xyz`` is the centre of the birth simplex."""
    from homcloud.pdgm_format import PDGMReader

    reader = PDGMReader(file)
    parts = []
    for degree in range(3):
        births, deaths, _ = reader.load_pd_chunk("pd", degree)
        indices, _, _ = reader.load_pd_chunk("indexed_pd", degree)
        corners = np.array([simplices[i] for i in indices], dtype=int).reshape(-1, degree + 1)
        values = np.column_stack([np.full(len(births), degree), births, deaths])
        parts.append(np.hstack([values, positions[corners].mean(axis=1)]))
    pairs = np.concatenate(parts).round(DECIMALS)
    pairs = pairs[pairs[:, 1] < pairs[:, 2]]
    pairs = pairs[np.lexsort(pairs[:, ::-1].T)]
    return {"degree": pairs[:, 0], "birth": pairs[:, 1], "death": pairs[:, 2], "xyz": pairs[:, 3:]}


def _write(columns: dict[str, NDArray[Any]], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = [columns["degree"], columns["birth"], columns["death"], *columns["xyz"].T]
    arrays = [arrow(value.astype(kind)) for value, kind in zip(values, COLUMNS.values(), strict=True)]
    table = pa.Table.from_arrays(arrays, names=[*COLUMNS])
    with atomic(Path(out).with_suffix(".parquet")) as part:
        pq.write_table(table, part, compression="zstd", row_group_size=max(1, table.num_rows))
