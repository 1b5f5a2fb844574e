"""Specimens by a schedule: hold, heat or cool, and compress; each step goes on from the end of the one before.

This module works in LAMMPS ``units metal`` (Å, ps, eV, K, bar); the study has fs and GPa.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens import segments
from persistem.specimens.md import check, create_crystal, velocity_seed, write_end
from persistem.specimens.order import bonds, crystalline, displacement, order
from persistem.specimens.own_structures import density
from persistem.specimens.simulation import ensemble, quoted, set_forces, velocities, world_of
from persistem.specimens.structures import crystal_of
from persistem.store import seals

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Material, MolecularDynamics, Potential, Step

#: Bump when this stage's results change for the same study.
VERSION = 1
#: Å: root mean square distance that atoms of a liquid move in the last segment at least, and of a solid at most. Atoms
#: that vibrate stay below a third of it.
MOVED = 1.0
#: Steinhardt's Q6 of all bonds: 0.35 to 0.63 in crystals, the inverse root of the number of bonds without order.
ORDERED = 0.1
#: The share of a glass or a liquid that may be in order.
CRYSTALLINE = 0.05
#: Least density of a liquid, as a share of the crystal's that the specimen began as: up to their boiling points liquids
#: keep more than half of it, and what expands freely soon has less.
CONDENSED = 0.5
#: The temperature is asked for over the last part in so many of a step.
PART = 5
#: What of a step decides whether it is accepted, not what it becomes.
JUDGED = ("state", "drift", "energy_drift")


def follow(
    material: Material,
    potential: Potential,
    md: MolecularDynamics,
    step: Step,
    begin: float | None,
    seed: int,
    start: Path | None,
    out: Path,
) -> None:
    """Run one step of a schedule and write its end state to the folder ``out``, as ``md.heat`` does.

    Parameters
    ----------
    step
        with its length in ``steps``
    begin
        temperature (K) at which it begins; None holds ``step.temperature`` from the start
    seed
        of the velocities of the first step
    start
        ``end.restart`` of the step before, or None for the first, which starts from the crystal

    Raises
    ------
    PersistemError
        as ``md.heat``; and if the end state is not what ``step.state`` says: a liquid whose atoms stay where they are,
        a glass whose atoms move or that is a crystal, a crystal that has melted, a melt that has boiled; or if its
        density or energy drifts.
    """
    assert step.steps is not None
    # all as long as each other, since what atoms move in the last one is judged
    length, every = step.steps, even(step.steps, md.segment_steps)
    first = step.temperature if begin is None else begin

    def at(done: int) -> float:
        return first + (step.temperature - first) * done / length

    def set_up(lmp: Any, k: int, restart: Path | None) -> None:
        if source := restart or start:
            lmp.command(f"read_restart {quoted(source)}")
        else:
            create_crystal(lmp, material, md, Path(out))
        set_forces(lmp, material, potential, md)
        if k == 1 and start is None:
            lmp.command(velocities(first * md.initial_temperature_factor, velocity_seed(seed)))
        if k == 1 and step.density is not None:
            _scale(lmp, step.density)
        done = sum(every[: k - 1])
        lmp.command(ensemble(f"step_{step.name}", md, at(done), at(done + every[k - 1]), pressure_of(md, step)))

    world = world_of(md.ranks)
    chain = segments.Chain(Path(out), every, md, set_up)
    segments.run(chain, world)
    atoms = segments.end_state(chain, material.species)
    before = chain.restart(len(every) - 1)
    moved = displacement(before, chain.end) if len(every) > 1 and seals.intact(before) else None
    if world.rank == 0:
        series = segments.rows(chain)
        # of a ramp the mean over its last part is asked for
        last = series[-max(1, len(series) // PART) :]
        target = float(np.mean([at(round(row["step"] - series[0]["step"])) for row in last]))
        means = check(series, target, md.temperature_tolerance, PART)
        dense = density(crystal_of(material))
        write_end(chain, atoms, series, means | _judged(step, atoms, moved, series, dense))


def even(steps: int, most: int) -> tuple[int, ...]:
    """Lengths of as few segments as have ``most`` steps at most, which differ by one at most."""
    count = -(-steps // most)
    whole, rest = divmod(steps, count)
    return (whole + 1,) * rest + (whole,) * (count - rest)


def pressure_of(md: MolecularDynamics, step: Step) -> float | None:
    """The pressure (GPa) that a step has at its end; None if its density is held."""
    if md.barostat == "none" or step.density is not None:
        return None
    return md.pressure if step.pressure is None else step.pressure


def _scale(lmp: Any, wanted: float) -> None:
    """Scale the cell and the atoms in it to a density (g/cm³); tilted cells keep their angles."""
    factor = (float(lmp.get_thermo("density")) / wanted) ** (1 / 3)
    low, high, xy, yz, xz, _, _ = lmp.extract_box()
    sides = np.subtract(high, low) * factor
    middle = np.add(high, low) / 2
    ends = " ".join(
        f"{axis} final {m - side / 2!r} {m + side / 2!r}"
        for axis, m, side in zip("xyz", middle.tolist(), sides.tolist(), strict=True)
    )
    tilts = "".join(f" {name} final {tilt * factor!r}" for name, tilt in (("xy", xy), ("xz", xz), ("yz", yz)) if tilt)
    lmp.command(f"change_box all {ends}{tilts} remap units box")


def _judged(
    step: Step, atoms: Atoms, moved: float | None, series: list[dict[str, float]], dense: float
) -> dict[str, float]:
    """What the end state is like.

    Keys: root mean square distance moved in the last segment (Å), Q6, the share in order, and what changed over the
    last quarter: the density (relative), the potential energy of an atom (eV). ``dense`` is the density of the crystal,
    g/cm³. Raises PersistemError if it is not what the step says.
    """
    known = bonds(atoms)
    q6, ordered = order(atoms, known), crystalline(atoms, known)
    earlier, later = _quarters(series, "density_g_cm3")
    drift = later / earlier - 1
    before, after = _quarters(series, "potential_energy_eV")
    energy = (after - before) / len(atoms)
    found = {
        "Q6": round(q6, 4),
        "crystalline": round(ordered, 4),
        "density_drift": round(drift, 6),
        "energy_drift_eV": round(energy, 6),
    }
    if moved is not None:
        found["moved_A"] = round(moved, 4)
    if step.state == "liquid" and step.density is None and density(atoms) < CONDENSED * dense:
        raise PersistemError(
            f"step {step.name}: the melt has boiled: its density fell to {density(atoms):.3g} g/cm³, less than"
            f" {CONDENSED:.0%} of the crystal's {dense:.3g}; make the pressure higher, or the temperature lower"
        )
    if step.drift is not None and abs(drift) > step.drift:
        changed = f"changed by {drift:+.2%} over its last quarter, to {density(atoms):.3g} g/cm³"
        raise PersistemError(
            f"step {step.name}: the density {changed}, but drift = {step.drift:g} allows {step.drift:.2%}; make it"
            " longer, or the pressure higher"
        )
    if step.energy_drift is not None and abs(energy) > step.energy_drift:
        raise PersistemError(
            f"step {step.name}: the potential energy of an atom changed by {energy:+.3g} eV over its last quarter, but"
            f" energy_drift allows {step.energy_drift:g} eV; make it longer"
        )
    if step.state is not None:
        _check_state(step, q6, ordered, moved)
    return found


def _quarters(series: list[dict[str, float]], name: str) -> tuple[float, float]:
    """The means of a column over the third and the last quarter of a run; of a run that is too short, twice its end."""
    half = series[len(series) // 2 :]
    middle = len(half) // 2
    if not middle:
        return series[-1][name], series[-1][name]
    earlier, later = (float(np.mean([row[name] for row in part])) for part in (half[:middle], half[middle:]))
    return earlier, later


def _check_state(step: Step, q6: float, ordered: float, moved: float | None) -> None:
    said = f"step {step.name}: is to end as a {step.state}, but"
    if step.state == "crystal" and q6 < ORDERED:
        raise PersistemError(f"{said} has no long-range order: Q6 = {q6:.3f}, a crystal has {ORDERED} or more")
    if step.state != "crystal" and q6 >= ORDERED:
        raise PersistemError(f"{said} is ordered: Q6 = {q6:.3f}, without a crystal in it it is below {ORDERED}")
    if step.state != "crystal" and ordered > CRYSTALLINE:
        raise PersistemError(f"{said} {ordered:.0%} of it is crystalline, in grains that differ in direction")
    if step.state == "crystal" and moved is None:
        return
    if moved is None:
        raise PersistemError(f"{said} how far atoms moved is not known: the segment before the last is damaged or gone")
    if step.state == "liquid" and moved < MOVED:
        raise PersistemError(
            f"{said} its atoms moved by {moved:.2f} Å in the last segment, in a liquid by {MOVED:g} Å or more; a longer"
            " md.segment_steps shows slower diffusion"
        )
    if step.state != "liquid" and moved > MOVED:
        raise PersistemError(f"{said} its atoms moved by {moved:.2f} Å in the last segment: it flows, or it melts")
