"""Preparations: what is imaged of a specimen, if not the end state of its molecular dynamics.

The inherent structure and the snapshots continue from the specimen's restart file, on every one of ``md.ranks`` MPI
ranks; a stack is cut out of the structures of several specimens.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens.md import check
from persistem.specimens.segments import THERMO
from persistem.specimens.simulation import hold, quoted, set_forces, start_lammps, state_of, world_of
from persistem.specimens.slabs import check_fits, cut, grid
from persistem.specimens.structures import read_structure, write_structure, write_summary

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Imaging, Inherent, Material, MolecularDynamics, Potential, Snapshots

#: Bump when this stage's results change for the same study.
VERSION = 1

#: The fields of the study's ``imaging`` that a stack reads.
KEYS = ("field", "thickness", "pixels", "margin")

SEAM = 1.0  # Å; atoms of two slabs overlap below this distance, and one of them is left out


def minimise(
    material: Material, potential: Potential, md: MolecularDynamics, settings: Inherent, start: Path, out: Path
) -> None:
    """Minimise the potential energy of the end state ``start`` (``end.restart``) in its cell; write it to ``out``.

    The minimiser is FIRE with bias correction (Echeverri Restrepo & Andric, Comput. Mater. Sci. 218 (2023) 111978):
    cut-offs of bond-order potentials are too sharp for the line search of conjugate gradients. Writes
    ``structure.extxyz`` (positions in Å, cell; no velocities) and ``summary.json``.

    Raises
    ------
    PersistemError
        if the force (eV/Å) on an atom is above ``settings.force`` after ``settings.iterations``, or the number of
        MPI ranks is not the study's.
    """
    world = world_of(md.ranks)
    lmp = _started(material, potential, md, start)
    most = settings.iterations
    _command(lmp, "min_style fire", "min_modify norm max abcfire yes")
    _command(lmp, f"minimize 0 {settings.force} {most} {10 * most}")
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    largest = float(np.linalg.norm(forces, axis=1).max())
    energy = float(lmp.get_thermo("pe"))
    atoms = state_of(lmp, material.species)
    lmp.close()
    if not largest <= settings.force:
        raise PersistemError(
            f"{start}: the largest force is {largest:.3g} eV/Å after {most} iterations of the minimisation, but at most"
            f" preparation.force = {settings.force:g} eV/Å is allowed; raise that or preparation.iterations"
        )
    if world.rank == 0:
        del atoms.arrays["velocities_A_per_ps"]
        _write(out, atoms, potential_energy_eV=round(energy, 4), largest_force_eV_per_A=round(largest, 6))


def snapshots(
    material: Material,
    potential: Potential,
    md: MolecularDynamics,
    settings: Snapshots,
    temperature: float,
    treated: bool,
    start: Path,
    out: Path,
) -> None:
    """Continue a trajectory from ``start`` (``end.restart``) at ``temperature`` (K) and write snapshots into ``out``.

    Thermostat and barostat go on as they were at the end of the heating or, with ``treated``, of the RT treatment.
    Writes ``structure.extxyz`` with ``settings.count`` frames, one every ``settings.interval`` steps (as in
    ``md.heat``: positions in Å, cell, velocities in Å/ps), and ``summary.json``: the last frame's density, and
    temperature and pressure averaged over the frames.

    Raises
    ------
    PersistemError
        if atoms were lost, a quantity is not finite, the mean temperature is not within
        ``md.temperature_tolerance``, or the number of MPI ranks is not the study's.
    """
    world = world_of(md.ranks)
    lmp = _started(material, potential, md, start)
    hold(lmp, md, temperature, treated)
    frames, rows = [], []
    for _ in range(settings.count):
        _command(lmp, f"run {settings.interval}")
        frames.append(state_of(lmp, material.species))
        rows.append({name: float(lmp.get_thermo(keyword)) for name, keyword in THERMO.items()})
    lmp.close()
    means = check(rows, temperature, md.temperature_tolerance, part=1)
    if world.rank == 0:
        _write(out, frames, frames=settings.count, **means)


def stack(structures: list[Path], imaging: Imaging, out: Path) -> None:
    """Put slabs of several specimens one behind the other along the beam and write the stack into the folder ``out``.

    Each slab of (field + 2 margin)² x thickness / count is cut around the centre of its specimen, the first at the
    entrance. The stack's cell is the box around all slabs, periodic across the beam. An atom nearer than ``SEAM`` to
    an atom of an earlier slab is left out. Writes ``structure.extxyz`` and ``summary.json`` with the
    number of atoms ``dropped``.

    Raises
    ------
    PersistemError
        if atoms of a specimen would appear twice in its slab, or the stack holds none.
    """
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    slab_imaging = imaging.model_copy(update={"thickness": imaging.thickness / len(structures)})
    box = np.array([grid(slab_imaging).width, grid(slab_imaging).width, slab_imaging.thickness])
    stacked = Atoms(cell=[box[0], box[1], imaging.thickness], pbc=(True, True, False))
    dropped = 0
    for k, path in enumerate(structures):
        atoms = read_structure(path)
        check_fits(atoms.cell.array, slab_imaging, str(path))
        slab = cut(atoms, box)
        slab.positions[:, 2] += k * slab_imaging.thickness
        before = len(stacked)
        stacked += slab
        first, second = neighbor_list("ij", stacked, SEAM)
        overlapping = np.unique(second[(first < before) & (second >= before)])
        del stacked[overlapping.tolist()]
        dropped += len(overlapping)
    if not len(stacked):
        raise PersistemError(f"{structures[0]}: no atoms in the slabs at the cells' centres; enlarge imaging.field")
    _write(out, stacked, dropped=dropped)


def _started(material: Material, potential: Potential, md: MolecularDynamics, start: Path) -> Any:
    """LAMMPS with the atoms of a restart file and the forces between them."""
    lmp = start_lammps(screen=True, md=md)
    _command(lmp, f"read_restart {quoted(start)}")
    set_forces(lmp, material, potential, md)
    _command(lmp, f"thermo {md.thermo_every}", "thermo_modify lost error flush yes")
    return lmp


def _command(lmp: Any, *commands: str) -> None:
    try:
        lmp.commands_list(list(commands))
    except Exception as error:  # the lammps module raises bare Exceptions with LAMMPS' own message
        raise PersistemError(f"LAMMPS stopped: {str(error).strip()}") from error


def _write(out: Path, atoms: Atoms | list[Atoms], **more: float) -> None:
    """Write the summary of the last frame, then the structure."""
    last = atoms[-1] if isinstance(atoms, list) else atoms
    write_summary(Path(out) / "summary.json", last, **more)
    write_structure(Path(out) / "structure.extxyz", atoms)
