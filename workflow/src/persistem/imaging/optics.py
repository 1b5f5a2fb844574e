"""What the imaging stages share: the microscope's formulas, and how abTEM is set up.

Defocus in abTEM is ``-C10`` and zero at the exit face: with a defocus of +f the lens takes the wave back by f (Å), so
a plane inside the slab, f before its exit face, is in focus.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from persistem.errors import PersistemError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Imaging

#: One defocus, or an array of them.
Defocus = TypeVar("Defocus", float, "NDArray[Any]")
REST_ENERGY = 510_998.95  # electron, eV (CODATA 2018)
HC = 12_398.41984  # eV Å
FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
ANGSTROM_PER_MM = 1e7
#: Multislice keeps the wave below this fraction of the grid's highest frequency, against aliasing.
BANDWIDTH = 2 / 3


def wavelength(voltage: float) -> float:
    """Wavelength (Å) of electrons accelerated by ``voltage`` (kV), relativistic."""
    energy = voltage * 1e3
    return HC / math.sqrt(energy * (energy + 2 * REST_ENERGY))


def focal_sigma(imaging: Imaging) -> float:
    """Standard deviation (Å) of the focus that the energy spread causes.

    Classically σ = Cc σ_E / E, from a focal length that follows the electron's momentum; relativistically times
    (1 + E/mc²) / (1 + E/2mc²) (Reimer & Kohl, Transmission Electron Microscopy, 2008). σ_E is the energy spread's
    FWHM / 2.3548.
    """
    energy = imaging.voltage * 1e3
    sigma = imaging.Cc * ANGSTROM_PER_MM * imaging.energy_spread / FWHM_PER_SIGMA / energy
    if imaging.focal_spread == "relativistic":
        sigma *= (1 + energy / REST_ENERGY) / (1 + energy / (2 * REST_ENERGY))
    return sigma


def defocus_at_exit(imaging: Imaging, defocus: float) -> float:
    """abTEM's defocus (Å; underfocus positive, from the exit face) for a defocus as the study counts it."""
    origin = imaging.thickness / 2 if imaging.defocus_origin == "centre" else 0.0
    return underfocus(defocus, imaging.defocus_sign) + origin


def underfocus(defocus: Defocus, sign: str | None) -> Defocus:
    """A study's defocus as underfocus positive, by its ``defocus_sign``; unchanged if the sign is unknown."""
    return -defocus if sign == "overfocus-positive" else defocus


def focal_range(in_focus: float | Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest defocus (Å) that count as in focus, of ``learning.in_focus``."""
    low, high = (-in_focus, in_focus) if isinstance(in_focus, int | float) else in_focus
    return low, high


def focused(defocus: NDArray[Any] | Sequence[float], in_focus: float | Sequence[float]) -> NDArray[np.bool_]:
    """Which of some defoci (Å) count as in focus, of ``learning.in_focus``."""
    low, high = focal_range(in_focus)
    return (np.asarray(defocus) >= low) & (np.asarray(defocus) <= high)


def check_device(device: str) -> None:
    """Raise PersistemError if abTEM cannot compute on ``device``, ``cpu`` or ``gpu``."""
    if device not in ("cpu", "gpu"):
        raise PersistemError(f"run.device = {device!r}: allowed are cpu and gpu")
    if device == "gpu":
        try:
            import cupy

            cupy.cuda.runtime.getDeviceCount()
        except Exception as error:
            reason = "CuPy is not installed" if isinstance(error, ImportError) else str(error)
            raise PersistemError(f"run.device = gpu: no GPU that CuPy can use ({reason}); use cpu") from error


@contextmanager
def abtem_settings(device: str) -> Iterator[None]:
    """Run abTEM on ``device`` with all settings fixed that its results depend on, whatever the user's own are.

    FFTW's plans are estimated, never measured or remembered: plans chosen by timing give results that differ in
    the last bits from run to run.
    """
    check_device(device)
    import abtem
    import pyfftw

    fixed = {
        "device": device,
        "fft": "fftw",
        "fftw.planning_effort": "FFTW_ESTIMATE",
        "fftw.threads": 1,
        "precision": "float32",
        "antialias.cutoff": BANDWIDTH,
        "antialias.taper": 0.01,
        "dask.lazy": False,
        "diagnostics.progress_bar": False,
    }
    remembered = pyfftw.export_wisdom()
    pyfftw.forget_wisdom()
    try:
        with abtem.config.set(fixed):
            yield
    finally:
        pyfftw.import_wisdom(remembered)
