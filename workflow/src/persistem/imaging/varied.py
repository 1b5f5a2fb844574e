"""Micrographs of one exit wave under many conditions, as a microscopist might take them, in one job.

A job that makes one micrograph spends most of its time on imports; here they are done once. Each micrograph is what the
single one of the same settings is: the same lens, detector and noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.detector import detected
from persistem.imaging.micrographs import intensities
from persistem.store.files import atomic
from persistem.study import Detector
from persistem.study.features import MOST_DOSE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Conditions, Imaging

#: Bump when this stage's results change for the same study.
VERSION = 1

#: Conditions of the lens, by their names in ``imaging``; the defocus beside them.
LENS = ("astigmatism", "astigmatism_angle", "coma", "coma_angle", "energy_spread")
#: Where the conditions of a micrograph lie in a point of the sequence; directions have 7 and 8.
PLACES = {
    "defocus": 0, "astigmatism": 1, "coma": 2, "energy_spread": 3, "mtf": 4, "pixel_size": 5, "drift": 6, "dose": 9,
    "contrast": 10,
}  # fmt: skip
#: Digits to which conditions are drawn.
DIGITS = 6


def drawn(asked: Conditions, key: Sequence[int]) -> list[dict[str, Any]]:
    """The conditions of every micrograph of a specimen, which ``key`` tells from others: plain numbers by name.

    Those that are not asked for are left out. ``wave`` is the number of the exit wave, whose ``thickness`` (Å) and
    ``tilt`` (mrad; x, y) its micrographs share.
    """
    from scipy.stats import qmc

    def sequence(dimensions: int, count: int, part: int) -> NDArray[np.float64]:
        rng = np.random.default_rng([asked.seed, part, *key])
        # a power of two is balanced; the first of it are what is wanted
        power = max(1, int(np.ceil(np.log2(count))))
        return np.asarray(qmc.Sobol(dimensions, scramble=True, rng=rng).random_base2(power)[:count])

    waves = [_specimen(asked, u) for u in sequence(3, asked.waves, 0)]
    points = sequence(11, asked.number, 1)
    return [{"wave": k % asked.waves, **waves[k % asked.waves], **_micrograph(asked, u)} for k, u in enumerate(points)]


def of_wave(imaging: Imaging, condition: Mapping[str, Any]) -> Imaging:
    """The imaging of the exit wave of a condition: with its thickness and tilt, where it has them."""
    settings = {name: condition[name] for name in ("thickness", "tilt") if name in condition}
    return imaging.model_copy(update={k: tuple(v) if k == "tilt" else v for k, v in settings.items()})


def varied_file(
    wave: Path, imaging: Imaging, conditions: Sequence[Mapping[str, Any]], out: Path, device: str = "cpu"
) -> None:
    """Write the micrographs of an exit wave under conditions, as NumPy arrays ``image-0``, ``image-1`` … (npz).

    Each is (rows, columns) float32 in units of the incident beam, as the detector records it, with pixels of
    ``pixel_size`` (Å) of its number. Raises PersistemError as ``micrographs.intensities``, or if nothing is counted.
    """
    lenses = [
        (imaging.model_copy(update={name: c[name] for name in LENS if name in c}), c.get("defocus", 0.0))
        for c in conditions
    ]
    pixel = imaging.field / imaging.pixels
    arrays: dict[str, Any] = {}
    sizes = []
    for k, (intensity, c) in enumerate(zip(intensities(wave, lenses, device), conditions, strict=True)):
        try:
            image, size = recorded(intensity, pixel, c)
        except PersistemError as error:
            raise PersistemError(f"{wave}: condition {k}: {error}") from error
        arrays[f"image-{k}"] = image.astype(np.float32)
        sizes.append(size)
    with atomic(out) as part, open(part, "wb") as file:
        np.savez_compressed(file, pixel_size=np.array(sizes), **arrays)


def recorded(intensity: NDArray[Any], pixel_size: float, condition: Mapping[str, Any]) -> tuple[NDArray[Any], float]:
    """What a detector records of an intensity (rows, columns) under a condition, and the size of its pixels, Å."""
    mean = intensity.mean()
    image = mean + condition.get("contrast", 1.0) * (intensity - mean)
    if drift := condition.get("drift", 0.0):
        image = blurred(image, drift / pixel_size, condition.get("drift_angle", 0.0))
    binning = max(1, round(condition.get("pixel_size", pixel_size) / pixel_size))
    rows, columns = (side - side % binning for side in image.shape)
    detector = Detector(binning=binning, dose=condition.get("dose"), mtf=condition.get("mtf"))
    return detected(image[:rows, :columns], pixel_size, detector), binning * pixel_size


def blurred(image: NDArray[Any], width: float, angle: float) -> NDArray[Any]:
    """An image under a Gaussian drift with this standard deviation (px) along ``angle`` (degrees from right to down).

    The image continues beyond its edges as its mirror image.
    """
    rows, columns = image.shape
    mirrored = np.block([[image, image[:, ::-1]], [image[::-1], image[::-1, ::-1]]])
    row, column = np.fft.fftfreq(2 * rows)[:, None], np.fft.fftfreq(2 * columns)[None]
    along = column * np.cos(np.radians(angle)) + row * np.sin(np.radians(angle))
    smooth = np.fft.ifft2(np.fft.fft2(mirrored) * np.exp(-2 * (np.pi * width * along) ** 2)).real
    return np.asarray(smooth[:rows, :columns])


def read_varied(path: Path) -> list[tuple[NDArray[np.float32], float]]:
    """The micrographs that ``varied_file`` wrote, each with the size of its pixels (Å).

    Raises PersistemError if the file has none.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            sizes = file["pixel_size"]
            return [(np.asarray(file[f"image-{k}"]), float(size)) for k, size in enumerate(sizes)]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise PersistemError(f"{path}: not a file of micrographs under conditions ({error})") from error


def _specimen(asked: Conditions, u: NDArray[np.float64]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if asked.span("thickness") is not None:
        found["thickness"] = _value(asked, "thickness", u[0])
    if asked.tilt is not None:
        # evenly over the disc of directions
        size, angle = asked.tilt * np.sqrt(u[1]), 2 * np.pi * u[2]
        found["tilt"] = [round(float(size * np.cos(angle)), 3), round(float(size * np.sin(angle)), 3)]
    return found


def _micrograph(asked: Conditions, u: NDArray[np.float64]) -> dict[str, Any]:
    found = {name: _value(asked, name, u[k]) for name, k in PLACES.items() if asked.span(name) is not None}
    for k, name in ((7, "astigmatism"), (8, "coma"), (8, "drift")):
        if name in found:
            # a direction of astigmatism and of drift returns after half a turn
            turns = 360.0 if name == "coma" else 180.0
            found[f"{name}_angle"] = round(float(turns * (u[k] if name != "drift" else (u[7] + u[8]) % 1)), 3)
    return found


def _value(asked: Conditions, name: str, u: float) -> float | None:
    """The value of a condition at a place in [0, 1) of its range or its list; None: no noise."""
    if name in asked.listed:
        values = asked.listed[name]
        return values[int(u * len(values))]
    low, high = getattr(asked, name)
    if name == "dose":
        least, most = 0.0 if high is None else high**-0.5, low**-0.5
        noise = round(float(least + (most - least) * u), 12)
        # a dose that is larger than a detector counts is as good as no noise
        return None if noise**2 * MOST_DOSE < 1 else round(noise**-2, 3)
    if name == "contrast":
        return round(float(low * (high / low) ** u), DIGITS)
    return round(float(low + (high - low) * u), 2 if name == "thickness" else DIGITS)
