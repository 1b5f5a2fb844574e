"""Micrographs: an exit wave through the lens at one focus, as a calibrated 16-bit TIFF."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.optics import (
    ANGSTROM_PER_MM,
    BANDWIDTH,
    abtem_settings,
    defocus_at_exit,
    focal_sigma,
    wavelength,
)
from persistem.specimens.slabs import grid
from persistem.store.files import atomic

if TYPE_CHECKING:
    from abtem import Waves
    from tifffile import TiffFile

    from persistem.study import Imaging

#: Bump when this stage's results change for the same study.
VERSION = 1

#: The fields of the study's ``imaging`` that this stage reads; the defocus comes with the job.
KEYS = (
    "field",
    "thickness",
    "pixels",
    "margin",
    "voltage",
    "Cs",
    "astigmatism",
    "astigmatism_angle",
    "coma",
    "coma_angle",
    "Cc",
    "energy_spread",
    "focal_spread",
    "temporal_coherence",
    "focal_nodes",
    "semi_angle",
    "aperture",
    "defocus_origin",
    "defocus_sign",
)

REACH = 4.0  # the focal sum covers the Gaussian to this many standard deviations; 6e-5 of it lies outside
MOST_WAVES = 1_000  # frames of an ensemble
FULL = 65535  # largest 16-bit value


def micrograph(wave: Path, imaging: Imaging, defocus: float, out: Path, device: str = "cpu") -> None:
    """Image an exit wave at one defocus (Å, as the study counts it) and write the field of view as a 16-bit TIFF.

    The lens has spherical aberration, two-fold astigmatism, axial coma, aperture, and the spatial coherence envelope
    of a Gaussian source. The focal spread is summed over, enters as the damping envelope of the linear theory, or is
    left out. The sum takes the spatial envelope at the nominal defocus, so that sum and envelope agree for a weak
    object.

    The image of an ensemble of waves, one for each snapshot of the atoms, is the mean of their intensities (frozen
    phonons: Loane, Xu & Silcox, Acta Cryst. A 47 (1991) 267).

    Rows of the image run along y and columns along x, so it is what the beam sees. Grey levels 0 to 65535 span the
    image's range; ``read_micrograph`` gives back the intensities, in units of the incident beam's intensity.

    Raises
    ------
    PersistemError
        if the wave cannot be read or was simulated on another grid.
    """
    _write(Path(out), intensity(wave, imaging, defocus, device), facts(imaging, defocus))


def intensity(wave: Path, imaging: Imaging, defocus: float, device: str = "cpu") -> np.ndarray:
    """The field of view of an exit wave at one defocus (Å), as ``micrograph`` writes it: (rows, columns) float64.

    Raises PersistemError as ``micrograph``.
    """
    return next(intensities(wave, [(imaging, defocus)], device))


def intensities(wave: Path, lenses: Sequence[tuple[Imaging, float]], device: str = "cpu") -> Iterator[np.ndarray]:
    """The fields of view of one exit wave through several lenses at a defocus (Å) each; the wave is read once.

    The lenses share field, pixels, margin, thickness and voltage. Raises PersistemError as ``micrograph``.
    """
    with abtem_settings(device):
        waves = _read_wave(Path(wave), lenses[0][0])
        snapshots = list(waves) if waves.ensemble_shape else [waves]
        for imaging, defocus in lenses:
            images = [image(snapshot.copy_to_device(device), imaging, defocus) for snapshot in snapshots]
            margin = grid(imaging).margin
            inner = slice(margin, margin + imaging.pixels)
            mean: np.ndarray = np.asarray(images).mean(axis=0, dtype=np.float64)
            yield mean[inner, inner].T


def image(waves: Waves, imaging: Imaging, defocus: float) -> np.ndarray:
    """Intensity (x, y) of a wave (abTEM, in memory) at one defocus, with the margin. Call it within ``abtem_settings``.

    The transmission cross coefficient of a Gaussian focal spread amounts to the mean of the intensities over the spread
    (Ishizuka, Ultramicroscopy 5 (1980) 55), here a sum over ``foci``. The phase π λ k² δ that takes the wave to another
    focus is separable in x and y, so a node costs one inverse FFT.
    """
    from abtem.core.backend import asnumpy, get_array_module
    from abtem.core.complex import abs2
    from abtem.core.fft import ifft2

    # a wave in reciprocal space stays there: abTEM multiplies, and does not transform back
    through = waves.ensure_reciprocal_space().apply_ctf(lens(imaging, defocus))
    spectrum = through.array
    xp = get_array_module(spectrum)
    frequencies = np.fft.fftfreq(spectrum.shape[0], grid(imaging).sampling)
    total = xp.zeros(spectrum.shape, dtype=xp.float32)
    for shift, weight in foci(imaging):
        phase = weight**0.25 * np.exp(1j * np.pi * through.wavelength * shift * frequencies**2)
        phase = xp.asarray(phase.astype(np.complex64))
        total += abs2(ifft2(spectrum * (phase[:, None] * phase), overwrite_x=True))
    intensity: np.ndarray = asnumpy(total)
    return intensity


def lens(imaging: Imaging, defocus: float) -> Any:
    """The ``abtem.CTF`` at one defocus (Å, as the study counts it), without the focal sum.

    Its aberration phase χ, which enters as exp(-iχ), is in polar coordinates θ, φ of the scattering angle

        χ = 2π/λ (θ²/2 (C10 + C12 cos 2(φ - φ12)) + θ³/3 C21 cos(φ - φ21) + θ⁴/4 Cs),  C10 = -defocus

    (Kirkland, Advanced Computing in Electron Microscopy, 2010, eq. 2.22). Correctors name A1 = C12 and B2 = C21/3
    (Uhlemann & Haider, Ultramicroscopy 72 (1998) 109); the study has A1 and B2, and the angles φ12 and φ21.

    abTEM's widths are 1/e half-widths, which are √2 standard deviations: of the focal spread (Å), and of the
    illumination angle (mrad), where ``angular_spread`` s damps by exp(-(s/2)² |∇χ|²) and the mean over a Gaussian of
    standard deviation σ on each axis is exp(-σ² |∇χ|² / 2).
    """
    from abtem import CTF

    envelope = imaging.temporal_coherence == "envelope"
    return CTF(
        energy=imaging.voltage * 1e3,
        defocus=defocus_at_exit(imaging, defocus),
        Cs=imaging.Cs * ANGSTROM_PER_MM,
        C12=imaging.astigmatism,
        phi12=math.radians(imaging.astigmatism_angle),
        C21=3 * imaging.coma,
        phi21=math.radians(imaging.coma_angle),
        semiangle_cutoff=math.inf if imaging.aperture is None else imaging.aperture,
        angular_spread=math.sqrt(2) * imaging.semi_angle,
        focal_spread=math.sqrt(2) * focal_sigma(imaging) if envelope else 0.0,
    )


def foci(imaging: Imaging) -> list[tuple[float, float]]:
    """Shifts of focus (Å) over which an image is averaged, and their weights, which add up to 1.

    The focal sum has ``focal_nodes`` equally spaced shifts, or with None as many as it needs. Two beams whose phases
    run apart by u = π λ (k₁² - k₂²) per Å of focus keep exp(-(u σ)²/2) of their interference. A sum with the spacing h
    gives this factor, and again around u = 2π/h, so 2π/h must lie beyond the largest u of the grid or the aperture.
    Gauss-Hermite nodes are sparser outside and alias there.
    """
    sigma = focal_sigma(imaging)
    if imaging.temporal_coherence != "focal-sum" or sigma == 0:
        return [(0.0, 1.0)]
    nodes = np.linspace(-REACH, REACH, imaging.focal_nodes or nodes_needed(imaging))
    weights = np.exp(-(nodes**2) / 2)
    weights /= weights.sum()
    return [(float(sigma * x), float(w)) for x, w in zip(nodes, weights, strict=True)]


def nodes_needed(imaging: Imaging) -> int:
    """Nodes that bring the focal sum within 1e-4 of the integral over the focal spread, for any specimen."""
    length = wavelength(imaging.voltage)
    highest = BANDWIDTH / (2 * grid(imaging).sampling)
    if imaging.aperture is not None:
        highest = min(highest, imaging.aperture / 1e3 / length)
    spread = math.pi * length * focal_sigma(imaging) * highest**2
    return math.ceil(2 * REACH * (spread + REACH) / (2 * math.pi)) + 1


def facts(imaging: Imaging, defocus: float) -> dict[str, Any]:
    """The metadata of a micrograph; names end in the unit."""
    aberrations: dict[str, Any] = {}
    for name in ("astigmatism", "coma"):
        if getattr(imaging, name):  # without them the file stays as it was before they existed
            angle = getattr(imaging, f"{name}_angle")
            aberrations |= {f"{name}_A": getattr(imaging, name), f"{name}_angle_deg": angle}
    return aberrations | {
        "pixel_size_A": imaging.field / imaging.pixels,
        "thickness_A": imaging.thickness,
        "voltage_kV": imaging.voltage,
        "defocus_A": defocus,
        "defocus_origin": imaging.defocus_origin,
        "defocus_sign": imaging.defocus_sign,
        "Cs_mm": imaging.Cs,
        "Cc_mm": imaging.Cc,
        "energy_spread_eV": imaging.energy_spread,
        "focal_spread": imaging.focal_spread,
        "focal_sigma_A": focal_sigma(imaging),
        "temporal_coherence": imaging.temporal_coherence,
        "focal_nodes": len(foci(imaging)),
        "semi_angle_mrad": imaging.semi_angle,
        "aperture_mrad": imaging.aperture,
    }


def read_micrograph(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Read a micrograph of this package.

    Returns
    -------
    intensity, facts
        float32 (rows, columns) in units of the incident beam's intensity, exact to half a grey level of the file
        (``intensity_scale`` / 2); and the metadata of the file.

    Raises
    ------
    PersistemError
        if the file is not one of this package's micrographs.
    """
    from tifffile import TiffFile, TiffFileError

    try:
        with TiffFile(path) as file:
            levels, metadata = file.pages[0].asarray(), json.loads((file.imagej_metadata or {})["Info"])
        offset, scale = metadata["intensity_offset"], metadata["intensity_scale"]
    except (OSError, TiffFileError, ValueError, KeyError, TypeError, struct.error) as error:
        raise PersistemError(f"{path}: not a micrograph that PersisTEM wrote ({error!r})") from error
    return (offset + scale * levels).astype(np.float32), metadata


def as_written(file: TiffFile) -> bool:
    """Whether an open micrograph of this package has the pixels that were written, not what another program made of it.

    ImageJ and others keep the metadata when they bin, crop or convert, but intensities and optics then no longer hold.
    ``stored`` in the metadata records shape, type, pages and the sum of the grey levels, which a rotation keeps. Files
    from before there was this record have one page of 16 bit whose grey levels span the whole range.
    """
    try:
        metadata = json.loads((file.imagej_metadata or {})["Info"])
        levels = file.series[0].asarray()
        if "stored" in metadata:
            return bool(metadata["stored"] == _stored(levels, len(file.pages)))
        span = (FULL if metadata["intensity_scale"] else 0) - int(np.ptp(levels))
    except (KeyError, TypeError, ValueError):
        return False
    return levels.dtype == np.uint16 and levels.ndim == 2 and span == 0


def _stored(levels: np.ndarray, pages: int = 1) -> dict[str, Any]:
    return {"shape": list(levels.shape), "dtype": str(levels.dtype), "pages": pages, "sum": int(levels.sum())}


def _read_wave(path: Path, imaging: Imaging) -> Waves:
    from abtem import Waves, from_zarr

    points = grid(imaging)
    declared = _largest(path)
    most = MOST_WAVES * points.pixels**2
    if declared > most:
        raise PersistemError(f"{path}: declares {declared} values at once, but this study's waves have {most} at most")
    try:
        waves = from_zarr(str(path)).compute()
        finite = bool(np.isfinite(waves.array).all())
    except Exception as error:
        raise PersistemError(f"{path}: not an exit wave that abTEM reads ({type(error).__name__}: {error})") from error
    if not isinstance(waves, Waves):
        raise PersistemError(f"{path}: not an exit wave")
    if not finite:
        raise PersistemError(f"{path}: a value of the exit wave is not a finite number")
    pixels, voltage = (points.pixels, points.pixels), imaging.voltage
    same = waves.base_shape == pixels and math.isclose(waves.extent[0], points.width)
    if not same or not math.isclose(waves.energy, voltage * 1e3):
        raise PersistemError(
            f"{path}: an exit wave of {_across(waves.base_shape, waves.extent[0])} at {waves.energy / 1e3:g} kV, but"
            f" the settings ask for {_across(pixels, points.width)} at {voltage:g} kV; give field, pixels, margin,"
            " thickness and voltage as the wave was simulated with"
        )
    return waves


def _largest(path: Path) -> int:
    """Values of the largest array or chunk that a Zarr folder declares; 0 if it is none."""
    import zarr

    try:
        arrays = [array for _, array in zarr.open_group(str(path), mode="r").arrays()]
        return max((math.prod(sizes) for array in arrays for sizes in (array.shape, array.chunks)), default=0)
    except Exception:  # whatever zarr stumbles over, it does again when the waves are read
        return 0


def calibration(pixel_size: float) -> list[tuple[int, str, int, Any, bool]]:
    """DigitalMicrograph's TIFF tags, unit and scale (nm) of x and y: HyperSpy reads them and ignores ImageJ's unit."""
    return [
        *((tag, "s", 0, "nm", True) for tag in (65003, 65004)),
        *((tag, "d", 1, pixel_size, True) for tag in (65009, 65010)),
    ]


def _across(shape: tuple[int, ...], width: float) -> str:
    return f"{shape[0]} x {shape[1]} px, {width:g} Å wide,"


def _write(out: Path, intensity: np.ndarray, metadata: dict[str, Any]) -> None:
    """Write 16 bit with offset and scale, and the pixel size in nm.

    ImageJ finds the pixel size in its own tags; for HyperSpy see ``calibration``.
    """
    from tifffile import imwrite

    exact = intensity.astype(np.float64)
    offset = exact.min()
    scale = (exact.max() - offset) / FULL
    levels = np.rint((exact - offset) / scale) if scale > 0 else np.zeros_like(exact)
    levels = levels.astype(np.uint16)
    metadata = metadata | {"intensity_offset": float(offset), "intensity_scale": float(scale)}
    metadata |= {"stored": _stored(levels)}
    per_nm = 10 / metadata["pixel_size_A"]
    with atomic(out) as part:
        imwrite(
            part,
            levels,
            imagej=True,
            resolution=(per_nm, per_nm),
            extratags=calibration(1 / per_nm),
            metadata={"unit": "nm", "Info": json.dumps(metadata, indent=1)},
        )
