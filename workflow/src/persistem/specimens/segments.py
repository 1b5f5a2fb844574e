"""Molecular dynamics as a chain of segments; after a kill, at most one is repeated.

Every segment starts from the restart file of the one before, even if nothing was interrupted. So a resumed run goes
through exactly the states of an undisturbed one: reading a restart file changes the order of atoms and with it the
rounding, and two trajectories that differ in the last bit are unrelated after 2,000 steps.

``segments/``, beside the end state, keeps the last two restart files, each with the thermo table of the trajectory so
far. They stay after the end, so that a damaged end state can be written again without any dynamics.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.specimens.simulation import quoted, start_lammps, state_of
from persistem.store import locks, paths, seals
from persistem.store.temporary import temporary

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import MolecularDynamics

#: What LAMMPS writes at both ends of a restart file (src/write_restart.cpp).
MAGIC = b"LammpS RestartT\0"
#: Restart files to keep: if the last is damaged, one segment is repeated.
KEPT = 2

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
class Chain:
    """A trajectory: its folder, the steps of each segment, the study's dynamics, and how a segment is set up.

    ``set_up(lmp, k, restart)`` gives LAMMPS the atoms, forces and fixes of segment ``k``, counted from 1; ``restart``
    is the restart file of the segment before, or None for the first.
    """

    out: Path
    steps: tuple[int, ...]
    md: MolecularDynamics
    set_up: Callable[[Any, int, Path | None], None]

    def restart(self, k: int) -> Path:
        """The restart file after segment ``k``."""
        return self.out / "segments" / f"{k:03d}.restart"

    def table(self, k: int) -> Path:
        """The thermo table up to the end of segment ``k``."""
        return self.restart(k).with_suffix(".csv")

    @property
    def end(self) -> Path:
        """The restart file after the last segment."""
        return self.restart(len(self.steps))


def lengths(steps: int, each: int) -> tuple[int, ...]:
    """Lengths of the segments of a run of ``steps``; the last one takes what is left."""
    full, rest = divmod(steps, each)
    return (each,) * full + ((rest,) if rest else ())


def run(chain: Chain, world: Any) -> None:
    """Run the missing segments of a chain on every MPI rank of ``world``; other processes wait.

    Raises PersistemError if LAMMPS stops or a file cannot be written whole.
    """
    first = world.rank == 0
    waiting = f"{chain.out}: another process runs this trajectory; waiting for it"
    with locks.alone(chain.out / "segments" / ".lock", waiting) if first else nullcontext():
        done = world.bcast(_done(chain) if first else 0)
        if first and done:
            print(f"resuming after segment {done} of {len(chain.steps)}", flush=True)
        for k in range(done + 1, len(chain.steps) + 1):
            _segment(chain, k, world)


def rows(chain: Chain) -> list[dict[str, float]]:
    """The thermo series of a chain that has run; see ``read_thermo``."""
    return read_thermo(chain.table(len(chain.steps)))


def end_state(chain: Chain, species: tuple[str, ...]) -> Atoms:
    """The end of the last segment, atoms in the order of the initial crystal, velocities in Å/ps; on every rank."""
    lmp = start_lammps(screen=False)
    lmp.command(f"read_restart {quoted(chain.end)}")
    atoms = state_of(lmp, species)
    lmp.close()
    return atoms


def read_thermo(table: Path) -> list[dict[str, float]]:
    """The rows of a thermo table as floats by column name."""
    with open(table, newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _done(chain: Chain) -> int:
    """The last segment with an intact restart file and thermo table, or 0. Damaged files are set aside."""
    for k in range(len(chain.steps), 0, -1):
        files = (chain.restart(k), chain.table(k))
        if all(seals.intact(file) for file in files):
            return k
        for file in files:
            if file.exists() and not seals.intact(file):
                print(f"{file}: damaged; renamed to {seals.set_aside(file).name}", flush=True)
    return 0


def _segment(chain: Chain, k: int, world: Any) -> None:
    """Run segment ``k``, then put its thermo table and, after it, its restart file in place."""
    table, restart = (Path(world.bcast(str(temporary(path)))) for path in (chain.table(k), chain.restart(k)))
    try:
        first, last = _integrate(chain, k, table, restart)
        if world.rank == 0:
            _check_table(table, chain.md.thermo_every, first, last)
            _check_restart(restart)
            if k > 1:
                _prepend(chain.table(k - 1), table)
            for part, path in ((table, chain.table(k)), (restart, chain.restart(k))):
                seals.seal(part, path)
                os.replace(part, path)
            if k > KEPT:
                _remove(chain.restart(k - KEPT))
                _remove(chain.table(k - KEPT))
    finally:
        if world.rank == 0:
            for part in (table, restart):
                part.unlink(missing_ok=True)
    world.Barrier()


def _integrate(chain: Chain, k: int, table: Path, restart: Path) -> tuple[int, int]:
    """Integrate segment ``k`` and return its first and last step. Thermo lines show progress; the table keeps them."""
    lmp = start_lammps(screen=True, md=chain.md)
    try:
        chain.set_up(lmp, k, chain.restart(k - 1) if k > 1 else None)
        first = int(lmp.get_thermo("step"))
        end, every = first + sum(chain.steps[k - 1 :]), chain.md.thermo_every
        for name in THERMO.values():
            lmp.command(f"variable {name}_ equal {name}")
        row = ",".join(f"${{{name}_}}" for name in THERMO.values())
        lmp.commands_list(
            [
                # tpcpu and spcpu: picoseconds and steps per second of wall time since the last line
                "variable rate equal tpcpu*86.4",
                f"variable left equal ({end}-step)/(spcpu+(spcpu<1e-6)*1e30)",
                "thermo_style custom step temp press density pe v_rate v_left",
                'thermo_modify lost error flush yes colname v_rate "ns/day" colname v_left "seconds left"',
                f"thermo {every}",
                f'fix table all print {every} "{row}" file {quoted(table)} screen no title "{",".join(THERMO)}"',
                f"run {chain.steps[k - 1]}",
                "unfix table",
                f"write_restart {quoted(restart)}",
            ]
        )
    except PersistemError:
        raise
    except Exception as error:  # the lammps module raises bare Exceptions with LAMMPS' own message
        raise PersistemError(f"LAMMPS stopped: {str(error).strip()}") from error
    lmp.close()
    return first, first + chain.steps[k - 1]


def _check_table(table: Path, every: int, first: int, last: int) -> None:
    """Refuse a table with a row missing or cut short: LAMMPS does not check that its writes succeed."""
    lines = table.read_text().split("\n")
    expected = last // every - -(-first // every) + 1
    if len(lines) != expected + 2 or lines[-1] or any(line.count(",") != len(THERMO) - 1 for line in lines[:-1]):
        raise PersistemError(
            f"{table}: {max(len(lines) - 2, 0)} of {expected} rows were written; is there room on the disk?"
        )


def _check_restart(restart: Path) -> None:
    """Refuse a restart file that does not end as LAMMPS ends one."""
    with open(restart, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(-min(len(MAGIC), file.tell()), os.SEEK_END)
        if file.read() != MAGIC:
            raise PersistemError(f"{restart}: was not written to its end; is there room on the disk?")


def _prepend(previous: Path, table: Path) -> None:
    """Put the previous table's rows before those of a segment's table, without the step that both have."""
    rows = previous.read_text().splitlines(keepends=True)
    known = {row.split(",")[0] for row in rows}
    rows += [row for row in table.read_text().splitlines(keepends=True) if row.split(",")[0] not in known]
    table.write_text("".join(rows))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    if seal := paths.sealed(path):
        seal[1].unlink(missing_ok=True)
