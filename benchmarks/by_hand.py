"""A study of own structures as one script would do it: no workflow, no files between the stages, one process.

`pipeline.py` runs it beside the workflow. Plain calls of ASE, abTEM and OpenCV; for what the package adds to a library
(the focal sum, HomCloud without the imports of its interface, the splits and the fast fits) it calls the package, so
both compute the same numbers in the same way, and whatever the workflow takes longer is the workflow's own.

    python benchmarks/by_hand.py STUDY.yaml accuracy.csv
"""

from __future__ import annotations

import csv
import gzip
import sys
import time
from pathlib import Path

import abtem
import ase.io
import cv2
import numpy as np
from ase.data import atomic_numbers
from ase.io.lammpsdata import read_lammps_data
from persistem.imaging.micrographs import image
from persistem.imaging.optics import abtem_settings
from persistem.learning.accuracy import COLUMNS, accuracy_table
from persistem.specimens.slabs import cut, grid
from persistem.study.load import load_study
from persistem.topology.diagrams import diagram_table
from persistem.topology.persistence_images import persistence_images

clock = {"import": time.process_time()}
started = time.perf_counter()


def lap(stage: str) -> None:
    """Add the seconds since the last lap to a stage's."""
    global started
    now = time.perf_counter()
    clock[stage] = clock.get(stage, 0.0) + now - started
    started = now


study = load_study(Path(sys.argv[1]))
imaging, size, stride = study.imaging, study.crops.size, study.crops.stride
(name, recipe), *_ = study.features.items()
states = list(dict.fromkeys(s.state for s in study.structures))
points = grid(imaging)
inner = slice(points.margin, points.margin + imaging.pixels)
corners = range(0, imaging.pixels - size + 1, stride)
clahe = cv2.createCLAHE(clipLimit=recipe.intensity.clip_limit, tileGridSize=recipe.intensity.tiles)

vectors, labels, seeds, defoci = [], [], [], []
for structure in sorted(study.structures, key=lambda s: (s.seed, states.index(s.state))):
    if ".data" in Path(structure.path).name:
        elements = {number: atomic_numbers[element] for number, element in structure.types.items()}
        with (gzip.open if structure.path.endswith(".gz") else open)(structure.path, "rt") as file:
            atoms = read_lammps_data(file, units="metal", Z_of_type=elements)
    else:
        atoms = ase.io.read(structure.path)
    atoms.pbc = True
    atoms.wrap()
    # as extended XYZ keeps them: what is finer moves the last bits of the wave, and CLAHE at 16 bit shows them
    atoms.positions = [[round(x, 8) for x in position] for position in atoms.positions.tolist()]
    slab = cut(atoms, np.array([points.width, points.width, imaging.thickness]))
    lap("specimens")
    with abtem_settings("cpu"):
        potential = abtem.Potential(
            slab,
            gpts=points.pixels,
            slice_thickness=imaging.slice_thickness,
            parametrization=imaging.parametrization,
        )
        wave = abtem.PlaneWave(energy=imaging.voltage * 1e3).multislice(potential, lazy=False)
        lap("exit_waves")
        for defocus in sorted(imaging.defoci):
            micrograph = image(wave, imaging, defocus)[inner, inner].T.astype(float)
            lap("micrographs")
            low, high = micrograph.min(), micrograph.max()
            grey = np.rint((micrograph - low) * (65535 / (high - low))).astype(np.uint16)
            grey = np.rint(clahe.apply(grey) / 257).astype(np.uint8)
            crops = np.stack([grey[r : r + size, c : c + size] for r in corners for c in corners])
            lap("crops")
            diagrams = diagram_table(crops, recipe)
            lap("diagrams")
            vectors.append(persistence_images(diagrams, recipe, len(crops)))
            labels += [states.index(structure.state)] * len(crops)
            seeds += [structure.seed] * len(crops)
            defoci += [defocus] * len(crops)
            lap("persistence_images")

X = np.concatenate(vectors)
rows = accuracy_table(
    {degree: X[:, degree] for degree in (0, 1)},
    np.array(labels),
    np.array(seeds),
    np.array(defoci, float),
    study.learning,
    name,
)
lap("learning")
with open(sys.argv[2], "w", newline="") as file:
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
print(f"crops {len(X)}")
for stage, seconds in clock.items():
    print(f"stage {stage} {seconds:.3f}")
