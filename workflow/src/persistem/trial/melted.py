"""Amorphous beside crystal: part of a crystal is melted and quenched beside the rest, by molecular dynamics (LAMMPS).

Inside this module units are LAMMPS's ``units metal`` (Å, ps, eV, K, bar); the study has fs and GPa.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens import segments
from persistem.specimens.layout import Halves
from persistem.specimens.md import check, velocity_seed
from persistem.specimens.simulation import hold, quoted, set_forces, velocities, world_of
from persistem.specimens.structures import crystal_of, write_structure, write_summary
from persistem.store.temporary import scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from persistem.study import Imaging, Material, MolecularDynamics, Potential

#: Bump when this stage's results change for the same study.
VERSION = 2

CRYSTAL, MELTED = 0, 1
#: The crystal relaxes for one part in this many of an RT treatment.
RELAXING = 5
EDGE = 1e-6  # fraction of the cell: an atom on the boundary belongs to the upper part despite rounding


def melt_half(
    material: Material,
    potential: Potential,
    md: MolecularDynamics,
    temperature: float,
    density: float,
    seed: int,
    out: Path,
    share: float = 0.5,
) -> None:
    """Melt part of the crystal beside the rest, treat all of it, and write the composite to the folder ``out``.

    The crystal is held at ``md.rt.temperature`` for a fifth of ``md.rt.steps``. Then its lower part along x is frozen,
    while the other ``share`` is held at ``temperature`` (K) for ``md.steps``. In the first quarter of the melting the
    cell is stretched along x, without the frozen atoms, until the melt has the ``density`` (g/cm³): at the paper's
    6000 K a melt without pressure boils. Finally all atoms move at ``md.rt.temperature`` for ``md.rt.steps``, as in the
    RT treatment, with one barostat per axis if the study has a barostat, and the melt contracts.

    All of this is a chain of segments (``segments``). After a kill one segment is repeated, at most a quarter of
    ``md.steps``.

    Written: ``structure.extxyz`` (positions in Å, cell, array ``state``: 0 crystal, 1 melted; the boundary between
    them, crystal to the left, is the plane at half the cell) and ``summary.json``, with the widths ``crystal_A`` and
    ``melted_A`` along x. Called on every one of ``md.ranks`` MPI ranks.

    Raises
    ------
    PersistemError
        if the cell is not rectangular, the density is not positive, a part has no atoms, atoms were lost, a quantity
        is not finite, the temperature was missed, or the number of MPI ranks is not the study's.
    """
    world = world_of(md.ranks)
    if not 0 < density < math.inf:
        raise PersistemError(f"a density of {density:g} g/cm³ of the melt: it has to be positive")
    crystal, held = _parted(material, share)
    plan = _phases(md)

    def set_up(lmp: Any, k: int, restart: Path | None) -> None:
        phase = plan[k - 1][0]
        if restart:  # it has the groups too
            lmp.command(f"read_restart {quoted(restart)}")
        else:
            _create(lmp, world, crystal, held, material, md.atom_style)
        set_forces(lmp, material, potential, md)
        first = k == 1 or plan[k - 2][0] != phase
        PHASES[phase](lmp, md, temperature, seed, first)
        if phase == "drawn":
            final = _room(lmp, density, held / len(crystal))
            ends = " ".join(map(repr, final))
            lmp.command(f"fix room melted deform 1 x final {ends} remap x units box")

    chain = segments.Chain(Path(out), tuple(steps for _, steps in plan), md, set_up)
    segments.run(chain, world)
    atoms = segments.end_state(chain, material.species)
    if world.rank == 0:
        rows = segments.rows(chain)
        last = [row for row in rows if row["step"] > rows[-1]["step"] - md.rt.steps]
        means = check(last, md.rt.temperature, md.temperature_tolerance)
        del atoms.arrays["velocities_A_per_ps"]
        atoms.set_array("state", np.where(np.arange(len(atoms)) < held, CRYSTAL, MELTED))
        centre(atoms)
        widths = {f"{name}_A": round(width, 3) for name, width in zip(("crystal", "melted"), parts(atoms), strict=True)}
        write_summary(Path(out) / "summary.json", atoms, **means, **widths)
        write_structure(Path(out) / "structure.extxyz", atoms)


def parts(atoms: Atoms) -> tuple[float, float]:
    """Widths along x of the crystal and of the melt, Å, for atoms with the array ``state``."""
    _, width = _slab(atoms)
    return width, float(atoms.cell.lengths()[0]) - width


def centre(atoms: Atoms) -> None:
    """Move the atoms along x so that the boundary to the right of the crystal is the plane at half the cell."""
    middle, width = _slab(atoms)
    atoms.positions[:, 0] += atoms.cell.lengths()[0] / 2 - (middle + width / 2)
    atoms.wrap()


def halves(melts: Sequence[Atoms], imaging: Imaging) -> Halves:
    """The layout of a micrograph of composites that ``melt_half`` wrote; moves the atoms of each to fit it.

    Crystal and melt share the field as they share the first composite. Raises PersistemError if one of them is narrower
    than its share, so that its other boundary would show.
    """
    widths = [parts(melt) for melt in melts]
    crystal, molten = widths[0]
    boundary = imaging.field * crystal / (crystal + molten)
    for width, melt in zip(widths, melts, strict=True):
        if width[0] < boundary or width[1] < imaging.field - boundary:
            raise PersistemError(
                f"a field of {imaging.field:g} Å: a composite has {width[0]:.4g} Å of crystal and {width[1]:.4g} Å of"
                f" melt along x; allowed is a field of at most {min(map(sum, widths)):.4g} Å, or more repetitions"
            )
        melt.positions[:, 0] += boundary - imaging.field / 2
        melt.wrap()
    return Halves(boundary=boundary)


def _parted(material: Material, share: float) -> tuple[Atoms, int]:
    """The crystal with the frozen atoms first, and their number."""
    crystal = crystal_of(material)
    if not np.allclose(crystal.cell.angles(), 90):
        raise PersistemError(
            "the crystal's cell is not rectangular, so a plane across x does not divide it; use a rectangular one"
            " (material.crystal: orthorhombic: true, or cubic: true)"
        )
    # whole unit cells, so that the boundary does not cut through a layer of atoms
    count = material.repetitions[0]
    below = round((1 - share) * count) / count
    upper = np.mod(crystal.get_scaled_positions()[:, 0] + EDGE, 1) >= below
    held = int(np.count_nonzero(~upper))
    if not 0 < held < len(crystal):
        raise PersistemError(
            f"a share of {share:g} of {count} unit cells along x leaves a part without atoms; allowed are shares"
            " between 0 and 1 that leave each part a unit cell"
        )
    return crystal[np.argsort(upper, kind="stable")], held


def _create(lmp: Any, world: Any, crystal: Atoms, held: int, material: Material, style: str) -> None:
    """Hand the crystal to LAMMPS, in the groups ``held`` and ``melted``."""
    from ase.io.lammpsdata import write_lammps_data

    with scratch() as folder:
        data = world.bcast(str(folder / "crystal.data"))
        if world.rank == 0:
            order = list(material.species)
            write_lammps_data(data, crystal, specorder=order, masses=True, units="metal", atom_style=style)
        world.Barrier()
        lmp.commands_list(["units metal", f"atom_style {style}", "boundary p p p", f"read_data {quoted(Path(data))}"])
        world.Barrier()
    lmp.commands_list([f"group held id 1:{held}", f"group melted id {held + 1}:{len(crystal)}"])


def _phases(md: MolecularDynamics) -> list[tuple[str, int]]:
    """The phases of ``melt_half`` and the steps of each of their segments; the stretching is one segment."""
    begin = max(md.steps // 4, 1)
    lasting = {"resting": max(md.rt.steps // RELAXING, 1), "drawn": begin, "hot": md.steps - begin, "end": md.rt.steps}
    return [
        (phase, steps)
        for phase, total in lasting.items()
        for steps in ([total] if phase == "drawn" else segments.lengths(total, md.segment_steps))
    ]


def _resting(lmp: Any, md: MolecularDynamics, temperature: float, seed: int, first: bool) -> None:
    """The whole crystal at the RT temperature."""
    if first:
        hot = md.rt.temperature * md.initial_temperature_factor
        lmp.command(velocities(hot, velocity_seed(seed)))
    hold(lmp, _free(md), md.rt.temperature, treated=False)


def _hot(lmp: Any, md: MolecularDynamics, temperature: float, seed: int, first: bool) -> None:
    """One part hot, the other frozen: nothing integrates it."""
    lmp.command(f"fix melt melted nvt temp {temperature} {temperature} {md.temperature_damping / 1000}")


def _drawn(lmp: Any, md: MolecularDynamics, temperature: float, seed: int, first: bool) -> None:
    """The same, starting with new velocities."""
    hot = temperature * md.initial_temperature_factor
    lmp.command("velocity held set 0 0 0")
    lmp.command(velocities(hot, velocity_seed(seed, stream=1), "melted"))
    _hot(lmp, md, temperature, seed, first)


def _end(lmp: Any, md: MolecularDynamics, temperature: float, seed: int, first: bool) -> None:
    """All atoms at the RT temperature."""
    if first:
        # their frozen positions are a snapshot at this temperature, so their lattice takes up no heat
        lmp.command(velocities(md.rt.temperature, velocity_seed(seed, stream=2), "held"))
    hold(lmp, _free(md), md.rt.temperature, treated=True)


def _free(md: MolecularDynamics) -> MolecularDynamics:
    """With a barostat for each axis, if there is a barostat."""
    return md if md.barostat == "none" else md.model_copy(update={"barostat": "aniso"})


PHASES = {"resting": _resting, "drawn": _drawn, "hot": _hot, "end": _end}


def _room(lmp: Any, density: float, below: float) -> tuple[float, float]:
    """Ends of the cell along x (Å) at which the melted atoms have a density (g/cm³).

    The cell grows about the middle of the crystal, so that both of its faces get the same room.
    """
    from ase.units import _amu

    low, high = (np.array(end) for end in lmp.extract_box()[:2])
    crystal = (high - low)[0] * below
    lmp.command("variable weight equal mass(melted)")
    grams = lmp.extract_variable("weight") * _amu * 1e3
    length = crystal + grams / density * 1e24 / (high - low)[1:].prod()
    middle = low[0] + crystal / 2
    return float(middle - length / 2), float(middle + length / 2)


def _slab(atoms: Atoms) -> tuple[float, float]:
    """Middle and width along x of the crystal, Å, as a uniform slab with the same mean and variance."""
    length = float(atoms.cell.lengths()[0])
    x: NDArray[Any] = atoms.positions[atoms.arrays["state"] == CRYSTAL, 0]
    middle = float(np.angle(np.exp(2j * np.pi * x / length).mean())) * length / (2 * np.pi)
    apart = np.mod(x - middle + length / 2, length) - length / 2
    return middle + float(apart.mean()), float(np.sqrt(12 * apart.var()))
