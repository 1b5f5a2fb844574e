"""The user's own structures: read what LAMMPS and ASE read, and refuse what would be wrong without a word.

Files name elements in many ways or not at all, and hold cells, occupancies and frames that a reader takes for what they
are not. What a specimen cannot be is refused here, with the value and what is allowed.
"""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens import lammps_files
from persistem.specimens.bounds import check_size, little_memory

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

#: Densities (g/cm³) of what is solid or liquid, with room for voids and pressure: hydrogen has 0.09, osmium 22.6.
DENSITIES = (0.05, 30.0)
#: Shortest side of a cell and distance of two atoms (Å), H2 has 0.74; and how many cells away an atom may have moved.
SHORTEST, NEAREST, FARTHEST = 1.5, 0.5, 1000.0
#: What files call the occupancies and the masses of atoms, in small letters.
OCCUPANCIES = ("occupancy", "occupancies", "occ")
MASSES = ("mass", "masses")
#: The items of a CIF in which ASE finds the symmetry; without any of them it takes the sites for all atoms.
SYMMETRY = (
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_it_number",
    "_space_group.it_number",
    "_symmetry_int_tables_number",
)


def read_own(source: Path, types: dict[int, str] | None = None, frame: int | None = None) -> Atoms:
    """The atoms of a user's file: LAMMPS' data or dump, or what ASE reads.

    ``types`` gives the elements where the file numbers its atoms. ``frame`` chooses one of several, from 0, or from
    the end if negative.

    Raises
    ------
    PersistemError
        if the file cannot be read, does not say which elements or which frame, contradicts ``types``, or holds what no
        specimen is: no cell, an impossible density, partly occupied sites, overlapping atoms, positions far out.
    """
    source = Path(source)
    for element in (types or {}).values():
        _check_element(source, element)
    check_size(source)
    with little_memory(source):
        if lammps_files.kind_of(source):
            atoms = lammps_files.read_lammps(source, types, frame)
        else:
            atoms = _read_any(source, types, frame)
    check_structure(atoms, source)
    return atoms


def density(atoms: Atoms) -> float:
    """Mass density in g/cm³."""
    from ase.units import _amu

    return float(atoms.get_masses().sum() * _amu * 1e3 / (atoms.get_volume() * 1e-24))


def needs_types(source: Path) -> bool:
    """Whether a file numbers its atoms, by its first lines, so that their elements have to be given."""
    if lammps_files.kind_of(source):
        return not lammps_files.has_elements(source)
    head = lammps_files.head_of(source)
    return _numbered(head) is not None or (_without_symbols(head) and not _named_by_comment(head))


def check_structure(atoms: Atoms, source: Path) -> None:
    """Raise PersistemError if atoms are not those of a specimen; ``source`` names them in the message."""
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise PersistemError(f"{source}: a position or the cell is not finite")
    if not len(atoms):
        raise PersistemError(f"{source}: it has no atoms")
    if atoms.cell.rank < 3 or atoms.get_volume() <= 0:
        raise PersistemError(f"{source}: no three-dimensional cell, but specimens are periodic; give the file one")
    if not atoms.numbers.all():
        raise PersistemError(f"{source}: atom {int(np.argmin(atoms.numbers)) + 1} has no element")
    _check_occupancies(atoms, source)
    _check_masses(atoms, source)
    if min(atoms.cell.lengths()) < SHORTEST:
        sides = " x ".join(f"{side:.4g}" for side in atoms.cell.lengths())
        raise PersistemError(f"{source}: a cell of {sides} Å; allowed are sides of {SHORTEST:g} Å or more")
    if not DENSITIES[0] <= (value := density(atoms)) <= DENSITIES[1]:
        raise PersistemError(
            f"{source}: {value:.3g} g/cm³ ({atoms.get_chemical_formula()} in {atoms.get_volume():.4g} Å³); allowed are"
            f" {DENSITIES[0]:g} to {DENSITIES[1]:g}, so the cell or its unit is wrong (Å are expected)"
        )
    _check_positions(atoms, source)
    if not atoms.pbc[:2].all():
        pbc = " ".join("FT"[int(along)] for along in atoms.pbc)
        raise PersistemError(
            f"{source}: it is not periodic along x and y (pbc = {pbc}), but specimens are;"
            " if its cell does repeat, say so in the file, else make one that does"
        )


def _check_occupancies(atoms: Atoms, source: Path) -> None:
    """Refuse sites that are partly occupied; zeros all through, ? and . (whole, in a CIF) are not filled in."""
    shares: dict[str, float] = {}
    for site in (atoms.info.get("occupancy") or {}).values():
        known = {element: _number(source, share) for element, share in site.items() if share not in ("?", ".")}
        shares |= {element: share for element, share in known.items() if share < 0.999}
    for listed in _columns(atoms, OCCUPANCIES, source):
        if listed.any():
            shares |= {atoms[int(k)].symbol: float(listed[k]) for k in np.flatnonzero(listed < 0.999)}
    if shares:
        listing = ", ".join(f"{element} {share:g}" for element, share in sorted(shares.items()))
        raise PersistemError(
            f"{source}: sites are partly occupied ({listing}), but a specimen has whole atoms; make a larger cell"
            " without such sites"
        )


def _number(source: Path, value: Any) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise PersistemError(f"{source}: an occupancy of {value!r}; allowed are numbers, ? and .") from error


def _check_masses(atoms: Atoms, source: Path) -> None:
    for masses in _columns(atoms, MASSES, source):
        for symbol, mass in sorted(set(zip(atoms.get_chemical_symbols(), masses.tolist(), strict=True))):
            if not lammps_files.mass_fits(mass, symbol):
                raise PersistemError(f"{source}: an atom of {symbol} weighs {mass:g}, which is not {symbol}")


def _columns(atoms: Atoms, names: tuple[str, ...], source: Path) -> list[NDArray[np.float64]]:
    """The columns (atoms,) of a file that have one of the names, in capitals or not."""
    found = []
    for name, column in atoms.arrays.items():
        if name.casefold() in names:
            if column.ndim != 1 or column.dtype.kind not in "biuf":
                raise PersistemError(f"{source}: its column {name} is not one number for each atom")
            found.append(column.astype(float))
    return found


def _check_positions(atoms: Atoms, source: Path) -> None:
    scaled = atoms.cell.scaled_positions(atoms.positions)
    away = np.abs(scaled).max(axis=1)
    if away.max() > FARTHEST:
        k = int(away.argmax())
        raise PersistemError(
            f"{source}: atom {k + 1} is at {', '.join(f'{x:.4g}' for x in atoms.positions[k])} Å, more than"
            f" {FARTHEST:g} cells away"
        )
    first, second, apart = _nearest(scaled % 1, atoms.cell.array)
    if apart < NEAREST:
        raise PersistemError(
            f"{source}: atoms {first + 1} and {second + 1} are {apart:.2g} Å apart (the cell is periodic); allowed are"
            f" {NEAREST:g} Å or more"
        )


def _nearest(scaled: NDArray[np.float64], cell: NDArray[np.float64]) -> tuple[int, int, float]:
    """Two atoms that are nearest in a periodic cell, and their distance (Å), infinite if beyond ``NEAREST``."""
    from scipy.spatial import KDTree

    # ASE's neighbour list takes seconds for what a tree of the atoms, and of those just outside, tells at once
    reach = NEAREST * np.linalg.norm(np.linalg.inv(cell), axis=0)
    images = [scaled + shift for shift in itertools.product((0, -1, 1), repeat=3)]
    near = [((image > -reach) & (image < 1 + reach)).all(axis=1) for image in images]
    numbers = np.concatenate([np.flatnonzero(inside) for inside in near])
    points = np.concatenate([image[inside] for image, inside in zip(images, near, strict=True)]) @ cell
    pairs = KDTree(points).query_pairs(NEAREST, output_type="ndarray")
    if not len(pairs):
        return 0, 0, np.inf
    apart = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    first, second = numbers[pairs[apart.argmin()]]
    return int(first), int(second), float(apart.min())


def _check_element(source: Path, name: str) -> None:
    from ase.data import atomic_numbers

    if not atomic_numbers.get(name):
        raise PersistemError(f"{source}: types: {name!r} is not a chemical element")


def _read_any(source: Path, types: dict[int, str] | None, frame: int | None) -> Atoms:
    """One frame of what ASE reads."""
    from ase.io import read
    from ase.io.formats import filetype

    head = lammps_files.head_of(source)
    numbered = _numbered(head)
    if numbered is not None and not types:
        raise PersistemError(f"{source}: its atoms are numbers; give their elements, e.g. types: {{1: Ga, 2: N}}")
    try:
        if numbered is not None:
            frames: list[Atoms] = read(_renamed(source, types or {}), index=":", format="extxyz", parallel=False)
        else:
            known = filetype(str(source))
            if known.startswith("lammps"):
                raise PersistemError(f"{source}: {known} has no elements; write a text dump or a data file instead")
            if known == "cif":
                _check_symmetry(source)
            if known == "vasp" and _without_symbols(head):
                named = _with_symbols(source, head, types)
                frames = read(named, index=":", format="vasp", parallel=False)
            else:
                frames = read(str(source), index=":", format=known, parallel=False, do_not_split_by_at_sign=True)
        if not frames:
            raise ValueError("no atoms")
    except (PersistemError, MemoryError):
        raise
    except Exception as error:
        raise PersistemError(f"{source}: not a structure that ASE reads ({type(error).__name__}: {error})") from error
    atoms = frames[lammps_files.chosen(source, len(frames), frame)]
    foreign = set(atoms.get_chemical_symbols()) - set((types or {}).values())
    if types and foreign:
        raise PersistemError(f"{source}: it has {min(foreign)}, which is not in types: {types}")
    return atoms


def _without_symbols(head: list[str]) -> bool:
    """Whether a file is a POSCAR of VASP 4: below the cell are the numbers of atoms, and no symbols."""
    number = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?")
    rows = [line.split() for line in head[1:6]]
    numbers = len(rows) == 5 and all(row and all(map(number.fullmatch, row[:3])) for row in rows)
    return numbers and all(len(row) >= 3 for row in rows[1:4]) and rows[4][0].isdigit()


def _named_by_comment(head: list[str]) -> list[str]:
    """The elements of a POSCAR of VASP 4 by its first line, if that has one for each number and nothing else."""
    from ase.data import atomic_numbers

    words, counts = head[0].split(), head[5].split("!")[0].split()
    return words if len(words) == len(counts) and all(atomic_numbers.get(word) for word in words) else []


def _with_symbols(source: Path, head: list[str], types: dict[int, str] | None) -> Any:
    """A POSCAR of VASP 4 with the line of symbols that it lacks: a stream that ASE reads."""
    symbols = _named_by_comment(head)
    if types:
        counts = range(1, len(head[5].split("!")[0].split()) + 1)
        if missing := [kind for kind in counts if kind not in types]:
            raise PersistemError(f"{source}: atom type {missing[0]} has no element in types: {types}")
        listed = [types[kind] for kind in counts]
        if symbols and symbols != listed:
            raise PersistemError(f"{source}: its first line says {' '.join(symbols)}, but types: {types}")
        symbols = listed
    if not symbols:
        raise PersistemError(f"{source}: it has no line of symbols; give its elements, e.g. types: {{1: Ga, 2: N}}")
    with lammps_files.open_text(source) as file:
        lines = file.readlines()
    return io.StringIO("".join([*lines[:5], " ".join(symbols) + "\n", *lines[5:]]))


def _check_symmetry(source: Path) -> None:
    """Refuse a CIF that does not state its symmetry in a way that ASE reads, as most of its atoms may be missing."""
    from ase.io.cif import parse_cif
    from ase.io.formats import open_with_compression

    with open_with_compression(str(source), "rb") as file:
        for block in parse_cif(file):
            if block.has_structure() and all(block.get(item) is None for item in SYMMETRY):
                hall = " besides a Hall symbol, which is not read" if any("hall" in item for item in block) else ""
                raise PersistemError(
                    f"{source}: data_{block.name} states no symmetry{hall}; add its symmetry operations,"
                    " Hermann-Mauguin symbol or number (_space_group_IT_number), which is 1 if all atoms are listed"
                )


def _numbered(head: list[str]) -> str | None:
    """The first atom's number, if a file is XYZ, extended or not, that numbers its atoms; else None."""
    if len(head) < 3 or not head[0].strip().isdigit() or not (fields := head[2].split()):
        return None
    column = _species(head[1])
    if column is None or len(fields) <= column or not fields[column].isdigit():
        return None
    return fields[column]


def _species(comment: str) -> int | None:
    """The column of the species in XYZ, by its comment line; types count if there are no species."""
    found = re.search(r'Properties="?([\w:]+)', comment)
    if not found:
        return 0 if "Properties" not in comment else None
    fields, at, columns = found[1].split(":"), 0, {}
    for name, _, count in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        columns[name.lower()] = at
        at += int(count)
    if not {"z", "numbers"}.isdisjoint(columns):  # atomic numbers are elements
        return None
    return next((columns[name] for name in ("species", "symbols", "type", "types") if name in columns), None)


def _renamed(source: Path, types: dict[int, str]) -> Any:
    """Extended XYZ with elements in place of numbers: a stream that ASE reads."""
    out = io.StringIO()
    with lammps_files.open_text(source) as file:
        for first in file:
            if not first.strip():
                break
            comment = next(file)
            column = _species(comment)
            named = re.sub(r"(?i)\b(species|symbols|types?):[IRS]:1", "species:S:1", comment)
            out.write(first + named)
            for _ in range(int(first)):
                fields = next(file).split()
                if column is None or int(fields[column]) not in types:
                    raise PersistemError(f"{source}: atom type {fields[column or 0]} has no element in types: {types}")
                fields[column] = types[int(fields[column])]
                out.write(" ".join(fields) + "\n")
    out.seek(0)
    return out
