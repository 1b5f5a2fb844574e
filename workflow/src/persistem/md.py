"""Specimens: molecular dynamics with LAMMPS, as a chain of fixed segments.

A trajectory is cut into segments of a fixed number of steps. Every segment starts by reading the restart file of
the one before, whether or not anything was interrupted, so a resumed run walks through exactly the states of an
undisturbed one: reading a restart changes the order of atoms and with it the rounding, and two trajectories that
differ in the last bit are unrelated after 2,000 steps.

Units are those of LAMMPS ``units metal`` (Å, ps, eV, K, bar) inside this module; the study speaks of fs and GPa.
"""

from __future__ import annotations

import csv
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.files import atomic
from persistem.simulation import BAR_PER_GPA, hold, set_forces, start_lammps, state_of, world_of
from persistem.structures import crystal_of, density, write_structure, write_summary

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Material, MolecularDynamics, Potential

#: Raised when the results of this stage change for the same study.
VERSION = 1

THERMO = {
    "step": "step",
    "temperature_K": "temp",
    "pressure_bar": "press",
    "density_g_cm3": "density",
    "potential_energy_eV": "pe",
    "total_energy_eV": "etotal",
    "volume_A3": "vol",
}


@dataclass(frozen=True)
class Trajectory:
    """One run of LAMMPS: what it starts from, at which temperature (K) it is held, for how many steps, and where."""

    material: Material
    potential: Potential
    md: MolecularDynamics
    temperature: float
    steps: int
    out: Path
    start: Path | None
    draw: str | None

    @property
    def segments(self) -> list[int]:
        """Lengths of the segments; the last one takes what is left."""
        full, rest = divmod(self.steps, self.md.segment_steps)
        return [self.md.segment_steps] * full + ([rest] if rest else [])

    def restart(self, k: int) -> Path:
        """The restart file after segment ``k``, counted from 1."""
        return self.out / "segments" / f"{k:03d}.restart"


def heat(
    material: Material, potential: Potential, md: MolecularDynamics, temperature: int, seed: int, out: Path
) -> None:
    """Hold the crystal at ``temperature`` (K) and write the end state to the folder ``out``.

    Velocities are drawn from a Gaussian at ``md.initial_temperature_factor`` times the temperature. Written:
    ``structure.extxyz`` (positions in Å, cell, velocities in Å/ps), ``end.restart`` (LAMMPS, what the RT treatment
    continues from), ``thermo.csv`` and ``summary.json``. Called on every one of ``md.ranks`` MPI ranks.

    Raises
    ------
    PersistemError
        when atoms were lost, a quantity is not finite, the target temperature was missed, or the number of MPI
        ranks is not the study's.
    """
    draw = f"velocity all create {temperature * md.initial_temperature_factor} {velocity_seed(seed)}"
    _run(Trajectory(material, potential, md, temperature, md.steps, Path(out), None, draw))


def treat(material: Material, potential: Potential, md: MolecularDynamics, seed: int, start: Path, out: Path) -> None:
    """Continue the hot end state ``start`` (``end.restart``) at the RT temperature; written and raised as in ``heat``.

    The thermostat and barostat start afresh; velocities are the hot state's, or redrawn at the RT temperature.
    """
    redrawn = md.rt.velocities == "redrawn"
    draw = f"velocity all create {md.rt.temperature} {velocity_seed(seed, stream=1)}" if redrawn else None
    _run(Trajectory(material, potential, md, md.rt.temperature, md.rt.steps, Path(out), Path(start), draw))


def velocity_seed(seed: int, stream: int = 0) -> int:
    """A LAMMPS velocity seed for the study's ``seed``.

    LAMMPS' generator is multiplicative: the streams of seeds 1 and 2 are proportional. Mixing makes them unrelated.
    """
    import numpy as np

    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0] % 899_999_999) + 1


def _run(run: Trajectory) -> None:
    """Run what is missing of a trajectory, segment after segment, and write its end state."""
    world = world_of(run.md.ranks)
    count = len(run.segments)
    if world.rank == 0:
        run.restart(0).parent.mkdir(parents=True, exist_ok=True)
    done = 0
    while done < count and run.restart(done + 1).exists() and run.restart(done + 1).with_suffix(".csv").exists():
        done += 1
    done = world.bcast(done)
    if world.rank == 0 and done:
        print(f"resuming after segment {done} of {count}", flush=True)
    for k in range(done + 1, count + 1):
        _segment(run, k)
    atoms = _end_state(run)
    if world.rank == 0:
        series = read_thermo([run.restart(k).with_suffix(".csv") for k in range(1, count + 1)])
        means = check(series, run.temperature, run.md.temperature_tolerance)
        write_thermo(run.out / "thermo.csv", series)
        write_summary(run.out / "summary.json", atoms, **means)
        write_structure(run.out / "structure.extxyz", atoms)
        # a kill after any of these steps leaves at most one segment to repeat
        os.replace(run.restart(count), run.out / "end.restart")
        finished = run.out / "segments.finished"
        shutil.rmtree(finished, ignore_errors=True)
        os.replace(run.restart(0).parent, finished)
        shutil.rmtree(finished)


def _segment(run: Trajectory, k: int) -> None:
    """Run segment ``k`` (counted from 1) from the restart file before it, and write its own atomically."""
    lmp = start_lammps(screen=True)
    try:
        _set_up(lmp, run, run.restart(k - 1) if k > 1 else run.start, draw=run.draw if k == 1 else None)
        _integrate(lmp, run, k)
    except PersistemError:
        raise
    except Exception as error:  # the lammps module raises bare Exceptions with LAMMPS' own message
        raise PersistemError(f"LAMMPS stopped: {str(error).strip()}") from error
    rank = lmp.extract_setting("world_rank")
    lmp.close()
    if rank == 0:
        os.replace(f"{run.restart(k)}.part", run.restart(k))


def _set_up(lmp: Any, run: Trajectory, source: Path | None, draw: str | None) -> None:
    """Atoms (from ``source``, or the initial crystal), potential, velocities, and the thermostat and barostat."""
    if source is None:
        _create_crystal(lmp, run)
    else:
        lmp.command(f'read_restart "{source}"')
    set_forces(lmp, run.material, run.potential, run.md)
    if draw:
        lmp.command(f"{draw} dist gaussian mom yes rot no loop all")
    hold(lmp, run.md, run.temperature, treated=run.start is not None)


def _integrate(lmp: Any, run: Trajectory, k: int) -> None:
    """Run the steps of segment ``k``; thermo lines show progress, a CSV table beside the restart file keeps them."""
    end = int(lmp.get_thermo("step")) + sum(run.segments[k - 1 :])
    for name in THERMO.values():
        lmp.command(f"variable {name}_ equal {name}")
    row = ",".join(f"${{{name}_}}" for name in THERMO.values())
    every = run.md.thermo_every
    lmp.commands_list(
        [
            # tpcpu and spcpu: picoseconds and steps per second of wall time since the last line
            "variable rate equal tpcpu*86.4",
            f"variable left equal ({end}-step)/(spcpu+(spcpu<1e-6)*1e30)",
            "thermo_style custom step temp press density pe v_rate v_left",
            'thermo_modify lost error flush yes colname v_rate "ns/day" colname v_left "seconds left"',
            f"thermo {every}",
            f'fix table all print {every} "{row}" file "{run.restart(k).with_suffix(".csv")}" screen no'
            f' title "{",".join(THERMO)}"',
            f"run {run.segments[k - 1]}",
            "unfix table",
            f'write_restart "{run.restart(k)}.part"',
        ]
    )


def _create_crystal(lmp: Any, run: Trajectory) -> None:
    """Hand the initial crystal to LAMMPS through a data file, scaled to ``md.density`` where that is set."""
    from ase.io.lammpsdata import write_lammps_data
    from mpi4py import MPI

    data = run.out / "segments" / "crystal.data"
    if MPI.COMM_WORLD.rank == 0:
        atoms = crystal_of(run.material)
        if run.md.density is not None:
            atoms.set_cell(atoms.cell * (density(atoms) / run.md.density) ** (1 / 3), scale_atoms=True)
        with atomic(data) as part:
            write_lammps_data(part, atoms, specorder=list(run.material.species), masses=True, units="metal")
    MPI.COMM_WORLD.Barrier()
    lmp.commands_list(["units metal", "atom_style atomic", "boundary p p p", f'read_data "{data}"'])


def _end_state(run: Trajectory) -> Atoms:
    """The end of the last segment, atoms in the order of the initial crystal, velocities in Å/ps; on every rank."""
    lmp = start_lammps(screen=False)
    lmp.command(f'read_restart "{run.restart(len(run.segments))}"')
    atoms = state_of(lmp, run.material.species)
    lmp.close()
    return atoms


def read_thermo(paths: list[Path]) -> list[dict[str, float]]:
    """The rows of a chain's thermo tables as floats by column name; a step two segments share appears once."""
    rows: dict[int, dict[str, float]] = {}
    for path in paths:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault(int(row["step"]), {key: float(value) for key, value in row.items()})
    return [rows[step] for step in sorted(rows)]


def write_thermo(path: Path, rows: list[dict[str, float]]) -> None:
    """Write the thermo series: step, temperature (K), pressure (bar), density (g/cm³), energies (eV), volume (Å³)."""
    with atomic(path) as part, open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, list(THERMO))
        writer.writeheader()
        writer.writerows({**row, "step": int(row["step"])} for row in rows)


def check(rows: list[dict[str, float]], temperature: float, tolerance: float, part: int = 5) -> dict[str, float]:
    """Mean temperature (K) and pressure (GPa) over the last 1/``part`` of a series; refuse one that is not valid.

    Raises
    ------
    PersistemError
        when a value is not finite, or the mean temperature is not within ``tolerance`` (a fraction) of the target.
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
