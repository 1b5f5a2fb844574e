"""The structure of a composite for the later stages, and the layout that says what is where in it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem import study
from persistem.errors import PersistemError
from persistem.specimens.layout import LAYOUT, Discs, Halves
from persistem.specimens.slabs import cut, grid
from persistem.specimens.structures import crystal_cell, read_structure, write_structure, write_summary
from persistem.store.files import atomic
from persistem.study.settings import section
from persistem.trial import melted
from persistem.trial.particles import particles
from persistem.trial.splice import splice, stacked

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Imaging, Stranger

#: Of the displacements by heat.
SEED = 1
#: Bump when this stage's results change for the same study.
VERSION = 1


def make(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Write ``structure.extxyz``, ``summary.json`` and, for several states, ``layout.json`` into the folder ``out``.

    Parameters
    ----------
    settings
        ``imaging`` of the field; for a splice ``layout`` and ``states``, two lists of structures; or ``melts``, a list
        of half-melted structures; or ``stranger``, what ``study.Stranger`` says of a crystal; or ``particles``, what
        ``study.Particles`` says, with the structure of the ``film`` and the seeds that they ``draw`` by
    root
        folder that paths are relative to

    Raises
    ------
    PersistemError
        if a structure cannot be read, or the specimens are too few or too small for the field.
    """
    imaging = section(study.Imaging, settings["imaging"])
    layout: Halves | Discs | None = None
    if "states" in settings:
        layout = Halves(**settings["layout"])
        atoms = splice(
            [[read_structure(root / path) for path in paths] for paths in settings["states"]], layout, imaging
        )
    elif "particles" in settings:
        film = read_structure(root / settings["film"])
        asked = section(study.Particles, settings["particles"])
        atoms, layout = particles(film, asked, imaging, settings["draw"])
    elif "melts" in settings:
        melts = [read_structure(root / path) for path in settings["melts"]]
        layout = melted.halves(melts, imaging)
        atoms = stacked(melts, imaging)
    else:
        atoms = _filling(section(study.Stranger, {"name": "stranger"} | settings["stranger"]), imaging)
    facts = {"dropped": int(atoms.info.pop("dropped", 0))}
    write_structure(out / "structure.extxyz", atoms)
    if layout:
        with atomic(out / LAYOUT) as part:
            part.write_text(json.dumps(asdict(layout), indent=1) + "\n")
    write_summary(out / "summary.json", atoms, **facts)


def _filling(stranger: Stranger, imaging: Imaging) -> Atoms:
    """A crystal that fills the field. Raises PersistemError if ASE cannot build it.

    Its direction ``along`` points along z. Heat moves each atom by itself (Einstein's model), normally distributed and
    drawn from a constant seed. The field's edges do not match the crystal's period.
    """
    crystal = stranger.crystal
    assert crystal is not None
    try:
        cell = crystal_cell(crystal)
    except Exception as error:
        raise PersistemError(f"crystal {crystal.formula}: ASE cannot build it ({error})") from error
    cell.rotate(np.array(stranger.along, float) @ cell.cell.array, "z", rotate_cell=True)
    if any(stranger.strain):
        cell.set_cell(cell.cell.array * (1 + np.array([*stranger.strain, 0.0])), scale_atoms=True)
    width = grid(imaging).width
    atoms = cut(cell, np.array([width, width, imaging.thickness]))
    if stranger.displacement:
        atoms.positions += np.random.default_rng(SEED).normal(scale=stranger.displacement, size=(len(atoms), 3))
    return atoms
