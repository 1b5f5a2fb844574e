"""Specimens: molecular dynamics with LAMMPS, as a chain of segments of a fixed number of steps.

This module works in LAMMPS ``units metal`` (Å, ps, eV, K, bar); the study has fs and GPa.
"""

from __future__ import annotations

import csv
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens import segments
from persistem.specimens.own_structures import density
from persistem.specimens.segments import THERMO
from persistem.specimens.simulation import BAR_PER_GPA, hold, quoted, set_forces, velocities, world_of
from persistem.specimens.structures import crystal_of, write_structure, write_summary
from persistem.store.files import atomic
from persistem.store.temporary import temporary

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Material, MolecularDynamics, Potential

#: Bump when this stage's results change for the same study.
VERSION = 1

#: The fields of the study's ``md`` that this stage reads for heating; the RT treatment also reads ``rt``.
KEYS = (
    "timestep",
    "steps",
    "initial_temperature_factor",
    "barostat",
    "pressure",
    "density",
    "temperature_damping",
    "pressure_damping",
    "pchain",
    "segment_steps",
    "thermo_every",
    "atom_style",
    "neighbor",
    "accelerator",
    "ranks",
)
#: The fields of the study's ``material`` that this stage reads.
MATERIAL_KEYS = ("crystal", "file", "repetitions", "species")


@dataclass(frozen=True)
class Trajectory:
    """One run of LAMMPS: held at ``temperature`` (K) for ``steps`` steps, written to the folder ``out``.

    It starts from the restart file ``start``, or from the initial crystal. ``draw`` is the LAMMPS command that draws
    velocities, if any.
    """

    material: Material
    potential: Potential
    md: MolecularDynamics
    temperature: float
    steps: int
    out: Path
    start: Path | None
    draw: str | None


def heat(
    material: Material, potential: Potential, md: MolecularDynamics, temperature: int, seed: int, out: Path
) -> None:
    """Hold the crystal at ``temperature`` (K) and write the end state to the folder ``out``.

    Velocities are drawn from a Gaussian at ``md.initial_temperature_factor`` times the temperature. Writes
    ``structure.extxyz`` (positions in Å, cell, velocities in Å/ps), ``end.restart`` (LAMMPS; the RT treatment continues
    from it), ``thermo.csv`` and ``summary.json``. Call it on every one of ``md.ranks`` MPI ranks.

    Raises
    ------
    PersistemError
        if atoms were lost, a quantity is not finite, the target temperature was missed, or the number of MPI
        ranks is not the study's.
    """
    draw = velocities(temperature * md.initial_temperature_factor, velocity_seed(seed))
    _run(Trajectory(material, potential, md, temperature, md.steps, Path(out), None, draw))


def treat(material: Material, potential: Potential, md: MolecularDynamics, seed: int, start: Path, out: Path) -> None:
    """Continue the hot end state ``start`` (``end.restart``) at the RT temperature; writes and raises as ``heat``.

    The thermostat and barostat start afresh; velocities are the hot state's, or redrawn at the RT temperature.
    """
    redrawn = md.rt.velocities == "redrawn"
    draw = velocities(md.rt.temperature, velocity_seed(seed, stream=1)) if redrawn else None
    _run(Trajectory(material, potential, md, md.rt.temperature, md.rt.steps, Path(out), Path(start), draw))


def velocity_seed(seed: int, stream: int = 0) -> int:
    """A LAMMPS velocity seed for the study's ``seed``.

    LAMMPS' generator is multiplicative: the streams of seeds 1 and 2 are proportional. Mixing makes them unrelated.
    """
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0] % 899_999_999) + 1


def _run(run: Trajectory) -> None:
    """Run the missing segments of a trajectory, and write its end state."""

    def set_up(lmp: Any, k: int, restart: Path | None) -> None:
        """Set atoms (from a restart file or the crystal), potential, velocities, thermostat and barostat."""
        if source := restart or run.start:
            lmp.command(f"read_restart {quoted(source)}")
        else:
            create_crystal(lmp, run.material, run.md, run.out)
        set_forces(lmp, run.material, run.potential, run.md)
        if run.draw and k == 1:
            lmp.command(run.draw)
        hold(lmp, run.md, run.temperature, treated=run.start is not None)

    world = world_of(run.md.ranks)
    steps = segments.lengths(run.steps, run.md.segment_steps)
    chain = segments.Chain(run.out, steps, run.md, set_up)
    segments.run(chain, world)
    atoms = segments.end_state(chain, run.material.species)
    if world.rank == 0:
        series = segments.rows(chain)
        write_end(chain, atoms, series, check(series, run.temperature, run.md.temperature_tolerance))


def write_end(chain: segments.Chain, atoms: Atoms, series: list[dict[str, float]], facts: dict[str, float]) -> None:
    """Write the end state of a chain beside its segments: thermo series, summary with ``facts``, structure, restart."""
    write_thermo(chain.out / "thermo.csv", series)
    write_summary(chain.out / "summary.json", atoms, **facts)
    write_structure(chain.out / "structure.extxyz", atoms)
    with atomic(chain.out / "end.restart") as part:
        shutil.copyfile(chain.end, part)


def create_crystal(lmp: Any, material: Material, md: MolecularDynamics, out: Path) -> None:
    """Hand the initial crystal to LAMMPS through a data file, scaled to ``md.density`` if it is set."""
    from ase.io.lammpsdata import write_lammps_data

    world = world_of(md.ranks)
    data = Path(world.bcast(str(temporary(out / "segments" / "crystal.data"))))
    if world.rank == 0:
        atoms = crystal_of(material)
        if md.density is not None:
            atoms.set_cell(atoms.cell * (density(atoms) / md.density) ** (1 / 3), scale_atoms=True)
        order, style = list(material.species), md.atom_style
        write_lammps_data(data, atoms, specorder=order, masses=True, units="metal", atom_style=style)
    world.Barrier()
    lmp.commands_list(["units metal", f"atom_style {md.atom_style}", "boundary p p p", f"read_data {quoted(data)}"])
    world.Barrier()
    if world.rank == 0:
        data.unlink()


def write_thermo(path: Path, rows: list[dict[str, float]]) -> None:
    """Write the thermo series: step, temperature (K), pressure (bar), density (g/cm³), energies (eV), volume (Å³)."""
    with atomic(path) as part, open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, list(THERMO))
        writer.writeheader()
        writer.writerows({**row, "step": int(row["step"])} for row in rows)


def check(rows: list[dict[str, float]], temperature: float, tolerance: float, part: int = 5) -> dict[str, float]:
    """Mean temperature (K) and pressure (GPa) over the last 1/``part`` of a series; refuse an invalid one.

    Raises
    ------
    PersistemError
        if a value is not finite, or the mean temperature is not within ``tolerance`` (a fraction) of the target.
    """
    for row in rows:
        for name, value in row.items():
            if not math.isfinite(value):
                raise PersistemError(f"{name} is {value} at step {row['step']:.0f}: the trajectory is not valid")
    last = rows[-max(1, len(rows) // part) :]
    mean = sum(row["temperature_K"] for row in last) / len(last)
    if abs(mean - temperature) > tolerance * temperature:
        raise PersistemError(
            f"the run missed its target temperature: {mean:.0f} K over the last {len(last)} samples, "
            f"target {temperature:.0f} K within {tolerance:.0%} (md.temperature_tolerance)"
        )
    pressure = sum(row["pressure_bar"] for row in last) / len(last) / BAR_PER_GPA
    return {"temperature_K": round(mean, 2), "pressure_GPa": round(pressure, 5)}
