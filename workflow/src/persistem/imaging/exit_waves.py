"""Exit waves: the electron wave behind the slab of a specimen, by the multislice method (abTEM)."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.optics import abtem_settings, check_device
from persistem.specimens.slabs import check_fits, cut, grid
from persistem.specimens.structures import read_frames
from persistem.store.files import is_file, replaced_folder
from persistem.store.paths import stage_beside
from persistem.study.settings import protocol_of

if TYPE_CHECKING:
    from ase import Atoms

    from persistem.study import Imaging

#: Bump when this stage's results change for the same study.
VERSION = 1

#: The fields of the study's ``imaging`` that this stage reads.
KEYS = ("field", "thickness", "pixels", "slice_thickness", "margin", "parametrization", "tilt", "strain", "voltage")

HEAVIEST = 103  # the last element of both parametrizations


def exit_wave(structure: Path, imaging: Imaging, out: Path, device: str = "cpu") -> None:
    """Compute the exit wave of a slab and write it as a Zarr directory that ``abtem.from_zarr`` reads.

    A slab of (field + 2 margin)² x thickness around the centre of the tiled cell is sliced at ``slice_thickness``
    (the projected potential of an atom lies wholly in its slice) and illuminated along +z by a plane wave of
    amplitude 1. The array has shape (x, y); the last plane is the slab's exit face, z = thickness. The potential is
    periodic across the field (the margin absorbs the effect at the edges) but not along the beam.

    A small tilt (mrad) of the specimen shears the wave's path through it, in the propagator between slices (Ishizuka,
    Acta Cryst. A 38 (1982) 773): seen at the exit face, an atom d before it is shifted by d tan(tilt) along x and y.
    The beam stays on the axis of the lens. A strained specimen is stretched along x and y before the slab is cut.

    A file of several frames gives an ensemble of waves, shape (frame, x, y).

    Raises
    ------
    PersistemError
        if atoms would appear twice, the slab holds none, or an element has no scattering factors.
    """
    check_device(device)
    slabs = [_slab(atoms, imaging, structure) for atoms in read_frames(structure)]
    with abtem_settings(device), replaced_folder(Path(out)) as part:
        import abtem

        waves = []
        for slab in slabs:
            potential = abtem.Potential(
                slab,
                gpts=grid(imaging).pixels,
                slice_thickness=imaging.slice_thickness,
                parametrization=imaging.parametrization,
                device=device,
            )
            beam = abtem.PlaneWave(energy=imaging.voltage * 1e3, tilt=imaging.tilt, device=device)
            waves.append(beam.multislice(potential, lazy=False).to_cpu())
        ensemble = (
            abtem.stack(waves, {"label": "snapshot", "values": tuple(range(len(waves)))})
            if len(waves) > 1
            else waves[0]
        )
        ensemble.to_zarr(str(part), overwrite=True)


def simulated_with(wave: Path) -> dict[str, Any]:
    """The settings of ``imaging`` that a wave in ``results/`` was simulated with; none of a wave elsewhere.

    Raises PersistemError if the ``stage.yaml`` in the wave's folder, which holds them, cannot be read.
    """
    file = stage_beside(Path(wave))
    if not is_file(file):
        return {}
    try:
        settings = protocol_of(str(file))
    except ArgumentTypeError as error:
        raise PersistemError(f"{file}: cannot be read ({error})") from error
    return {key: settings[key] for key in KEYS if key in settings}


def _slab(atoms: Atoms, imaging: Imaging, structure: Path) -> Atoms:
    """The part of a specimen that the beam goes through; raises as ``exit_wave``."""
    if any(imaging.strain):
        stretch = 1 + np.array([*imaging.strain, 0.0])
        atoms.set_cell(atoms.cell.array * stretch, scale_atoms=True)
    check_fits(atoms.cell.array, imaging, str(structure))
    width = grid(imaging).width
    slab = cut(atoms, np.array([width, width, imaging.thickness]))
    if not len(slab):
        raise PersistemError(f"{structure}: no atoms in the slab at the cell's centre; enlarge imaging.field")
    if slab.numbers.min() < 1 or slab.numbers.max() > HEAVIEST:
        raise PersistemError(f"{structure}: scattering factors exist for the elements 1 (H) to {HEAVIEST} (Lr) only")
    return slab
