"""Made-up files that a new study names until its own take their place: structures, and micrographs with labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: Distances that atoms are moved by, Å (standard deviation along each axis), by state.
MOVED = {"ordered": 0.07, "disordered": 0.22}
#: Å of a pixel, and the period of the grain (Å) of each state.
PIXEL, PERIODS = 0.4, {"fine": 2.4, "coarse": 5.0}
SIDE = 192


def structures(folder: Path) -> None:
    """Write crystals of GaN whose atoms are moved a little, and much: ``ordered-1.xyz`` to ``disordered-2.xyz``."""
    from ase.build import bulk

    for state, distance in MOVED.items():
        for seed in (1, 2):
            atoms = bulk("GaN", "wurtzite", a=3.19, c=5.189, orthorhombic=True) * (10, 6, 5)
            atoms.rattle(distance, seed=seed)
            atoms.wrap()
            atoms.write(folder / f"{state}-{seed}.xyz", format="extxyz")


def labelled(folder: Path) -> None:
    """Write two micrographs, ``a.tif`` and ``b.tif``, and their labels: 1 fine grain below a line, 2 coarse above."""
    from tifffile import imwrite

    for seed, name in enumerate("ab", 1):
        rng = np.random.default_rng(seed)
        row, column = np.indices((SIDE, SIDE)) / SIDE
        border = row + 0.1 * np.sin(6 * column + seed) - 0.5
        fine, coarse = (_grain(period, rng) for period in PERIODS.values())
        pixels = (1 + 0.1 * np.where(border > 0, fine, coarse)).astype(np.float32)
        # nothing is labelled near the border, as one paints
        labels = np.where(border > 0.1, 1, np.where(border < -0.1, 2, 0)).astype(np.uint8)
        scale = {"imagej": True, "resolution": (10 / PIXEL,) * 2, "metadata": {"unit": "nm"}}
        imwrite(folder / f"{name}.tif", pixels, **scale)
        imwrite(folder / f"{name}.labels.tif", labels)


def _grain(period: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of one period (Å), of mean 0 and deviation 1."""
    frequency = np.fft.fftfreq(SIDE, PIXEL)
    ring = np.exp(-(((np.hypot(*np.meshgrid(frequency, frequency)) - 1 / period) / 0.06) ** 2))
    made = np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIDE, SIDE))) * ring).real
    return np.asarray(made / made.std())
