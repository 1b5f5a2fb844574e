"""A small crystal at three defoci

Wurtzite GaN along its c axis, atoms displaced as by heat, 25 Å thick: one exit wave by multislice, imaged at three
defoci by the paper's lens. Positive is underfocus. Most of what one sees changes with defocus, so a model has to know
it.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from ase.build import bulk
from persistem.imaging.exit_waves import exit_wave
from persistem.imaging.micrographs import intensity
from persistem.study import Imaging

crystal = bulk("GaN", "wurtzite", a=3.19, c=5.189, orthorhombic=True).repeat((8, 5, 6))
crystal.rattle(0.07, seed=1)  # Å
crystal.write("crystal.xyz")

imaging = Imaging(field=18.0, thickness=25.0, pixels=160, margin=2.5)
exit_wave(Path("crystal.xyz"), imaging, Path("wave.zarr"))

figure, axes = plt.subplots(1, 3, figsize=(6.7, 2.5), layout="constrained")
for defocus, panel in zip((-50, 0, 50), axes, strict=True):
    image = intensity(Path("wave.zarr"), imaging, defocus)
    print(f"{defocus:3d} Å: contrast (standard deviation / mean) {image.std() / image.mean():.3f}")
    panel.imshow(image, cmap="gray", extent=(0, imaging.field, imaging.field, 0))
    panel.set(title=f"{defocus} Å", xlabel="Å")
    panel.label_outer()
