"""Files as other programs write and change them: sizes, orientation, units and pixels that a reader may get wrong."""

from __future__ import annotations

import struct
import unicodedata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from persistem.errors import PersistemError
from persistem.imaging.micrographs import _write
from persistem.reading import Image, read
from PIL import Image as Pillow
from support.micrographs import (
    COLUMNS,
    PIXELS,
    ROWS,
    STACK,
    write_dm,
    write_emd_of_hyperspy,
    write_hspy,
    write_imagej,
    write_mrc,
    write_ncem,
    write_ser,
    write_velox,
)

HERE = Path(__file__).resolve()
PLACES = [folder / "shared/data/field" for folder in (HERE.parents[2], HERE.parents[1].parent.parent)]
FIELD = next((place for place in PLACES if place.is_dir()), PLACES[0])
field = pytest.mark.skipif(not FIELD.is_dir(), reason=f"the folder of files that went wrong, {FIELD}, is not here")
BYTES = (PIXELS // 256).astype(np.uint8)


def only(path: Path, **given: Any) -> Image:
    (image,) = read(path, **given)
    return image


def refused(path: Path, **given: Any) -> str:
    with pytest.raises(PersistemError) as error:
        read(path, **given)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


# ---- units ------------------------------------------------------------------------------------------------------

RECIPROCAL = [
    "1/nm", "(1/nm)", "1 / nm", "nm-1", "nm^-1", "nm^(-1)", "nm**-1", "nm⁻¹", "nm–1", "nm$^{-1}$", "Å⁻¹", "1/Å", "A^-1",
    "Ångström⁻¹", "1/px", "1/pixel", "px^-1", "1/m", "µm⁻¹", "per nm", "1 per Å", "inverse nm", "[1/n_m]", "1⁄nm",
    "nm&#8315;&#185;", "cycles/nm", "mrad", "µrad", "rad", "deg", "°",
]  # fmt: skip


@pytest.mark.parametrize("form", [None, "NFC", "NFD", "NFKC", "NFKD"])
def test_no_option_makes_an_image_of_a_diffraction_pattern(tmp_path: Path, form: Any) -> None:
    for unit in RECIPROCAL:
        units = unit if form is None else unicodedata.normalize(form, unit)
        path = write_dm(tmp_path / "a.dm3", 3, units)
        assert "diffraction" in refused(path, pixel_size=0.2, voltage=200, defocus=0), units


@pytest.mark.parametrize(("unit", "what"), [("s", "time"), ("seconds", "time"), ("ms", "time"), ("eV", "spectrum")])
def test_no_option_makes_an_image_of_times_and_energies(tmp_path: Path, unit: str, what: str) -> None:
    assert what in refused(write_dm(tmp_path / "a.dm4", unit=unit), pixel_size=0.2)


@pytest.mark.parametrize(
    ("units", "angstrom"),
    [("Ångström", 1), ("A\u030angstro\u0308m", 1), ("angstroem", 1), ("Angstrom", 1), ("A", 1), ("Å", 1), ("\u212b", 1),
     ("A\u030a", 1), ("&#197;", 1), ("&Aring;", 1), ("\\AA", 1), ("ang.", 1), ("&#181;m", 1e4), ("&micro;m", 1e4),
     ("\u00b5m", 1e4), ("\u03bcm", 1e4), ("Âµm", 1e4), ("\\u00B5m", 1e4), ("micron", 1e4), ("nm/pixel", 10),
     ("[n_m]", 10), ("nanometre", 10), ("Nanometers", 10)],
)  # fmt: skip
def test_lengths_however_they_are_spelt(tmp_path: Path, units: str, angstrom: float) -> None:
    path = write_hspy(tmp_path / "a.hspy", scale=0.4 / angstrom, units=units)
    assert only(path).pixel_size == pytest.approx(0.4)


def test_frames_may_be_counted_in_seconds_or_degrees(tmp_path: Path) -> None:
    for unit in ("[s]", "[deg]"):
        path = write_ncem(tmp_path / "a.emd", STACK, names=("t", "y", "x"), units=(unit, "[n_m]", "[n_m]"))
        assert len(read(path)) == 3


def test_diffraction_that_only_the_microscope_says(tmp_path: Path) -> None:
    path = write_velox(tmp_path / "a.emd")
    with h5py.File(path, "r+") as file:
        group = next(iter(file["Data/Image"].values()))
        said = group["Metadata"][:, 0].tobytes().replace(b'"OperatingMode"', b'"ProjectorMode": "1", "OperatingMode"')
        del group["Metadata"]
        group["Metadata"] = np.frombuffer(said, np.uint8)[:, None]
    assert "diffraction" in refused(path, pixel_size=0.2)


