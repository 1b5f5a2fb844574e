"""Made-up micrographs of two states with their labels: a fine grain, and a coarse one that is darker."""

from pathlib import Path

import numpy as np
import tifffile
from persistem.labelled.describing import describe
from persistem.labelled.rows import Labelled, states_at
from persistem.reading import Image
from persistem.study import ModelSettings

#: Å; and of one pixel windows of 16 pixels, half a window apart.
PIXEL = 0.4
STATES = ["fine", "coarse"]
MODEL = {"windows": {"sampling": PIXEL, "size": 6.4}, "step": 3.2, "candidates": [["filters"]], "C": [1.0]}
ASKED = ModelSettings(**MODEL)


def grain(period, shape, rng):
    """Noise of one period (Å), of mean 0 and deviation 1."""
    along = [np.fft.fftfreq(n, PIXEL) for n in shape]
    ring = np.exp(-(((np.hypot(*np.meshgrid(*along, indexing="ij")) - 1 / period) / 0.06) ** 2))
    made = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * ring).real
    return made / made.std()


def planted(seed, shape=(128, 128)):
    """A micrograph, and the number of the state at each pixel: 1 fine, below a wavy line; 2 coarse, above it."""
    rng = np.random.default_rng(seed)
    i, j = np.indices(shape) / np.reshape(shape, (2, 1, 1))
    fine = i + 0.2 * np.sin(4 * j + seed) > 0.5
    pixels = np.where(fine, 1 + 0.08 * grain(2.4, shape, rng), 0.85 + 0.05 * grain(5, shape, rng))
    return (pixels + 0.02 * rng.normal(size=shape)).astype(np.float32), np.where(fine, 1, 2).astype(np.uint8)


def image(pixels, pixel_size=PIXEL):
    """A micrograph of which nothing but its pixel size is known."""
    return Image(Path("film.tif"), None, "", np.asarray(pixels, np.float32), pixel_size, None, None, {})


def labelled(pixels, regions, specimen, asked=ASKED, blocks=("spectrum", "intensity", "filters")):
    """A described micrograph with its labels."""
    found = describe(image(pixels), asked.windows, asked.step, blocks)
    return Labelled(found, states_at(regions, found, asked.share).astype(int) - 1, specimen)


def save(path, pixels, pixel_size=PIXEL):
    """Write a TIFF as ImageJ does, with the pixel size (Å), or None."""
    if pixel_size is None:
        tifffile.imwrite(path, pixels)
    else:
        tifffile.imwrite(path, pixels, imagej=True, resolution=(10 / pixel_size,) * 2, metadata={"unit": "nm"})


def write(folder, names="ab", **changes):
    """Files of micrographs and labels in a folder, and the study of them with absolute paths."""
    entries = []
    for k, name in enumerate(names):
        pixels, regions = planted(k + 1)
        save(folder / f"{name}.tif", pixels)
        tifffile.imwrite(folder / f"{name}.labels.tif", regions)
        paths = {"path": str(folder / f"{name}.tif"), "labels": str(folder / f"{name}.labels.tif")}
        entries.append(paths | {"states": dict(enumerate(STATES, 1))})
    return {"name": "mine", "labelled": entries, "model": MODEL} | changes
