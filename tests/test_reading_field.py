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


# ---- order of axes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
def test_rows_and_frames_of_berkeley_emd(tmp_path: Path, first: int) -> None:
    image = only(write_ncem(tmp_path / "a.emd", first=first))
    np.testing.assert_array_equal(image.pixels, PIXELS)
    image = only(write_ncem(tmp_path / "b.emd", PIXELS.T, names=("x", "y"), first=first))
    np.testing.assert_array_equal(image.pixels, PIXELS)
    last = np.moveaxis(STACK, 0, -1)
    kinds = {
        "t y x": (STACK, ("t", "y", "x"), ("[s]", "[n_m]", "[n_m]")),
        "y x t": (last, ("y", "x", "t"), ("[n_m]", "[n_m]", "[s]")),
        "x y t": (STACK.T, ("x", "y", "z"), ("[n_m]", "[n_m]", "[n_m]")),
        "no names, frames first": (STACK, ("", "", ""), ("[s]", "[n_m]", "[n_m]")),
        "no names, frames last": (last, ("", "", ""), ("[n_m]", "[n_m]", "[s]")),
        "neither names nor units": (STACK, ("", "", ""), ("", "", "")),
    }
    for kind, (data, names, units) in kinds.items():
        images = read(write_ncem(tmp_path / "c.emd", data, names=names, units=units, first=first))
        np.testing.assert_array_equal(np.stack([image.pixels for image in images]), STACK, err_msg=kind)


@pytest.mark.parametrize("names", ["tyx", "   "])
def test_berkeley_emd_of_hyperspy(tmp_path: Path, names: str) -> None:
    np.testing.assert_array_equal(only(write_emd_of_hyperspy(tmp_path / "a.emd", names=names)).pixels, PIXELS)
    images = read(write_emd_of_hyperspy(tmp_path / "b.emd", STACK, names=names))
    np.testing.assert_array_equal(np.stack([image.pixels for image in images]), STACK)


def test_each_dimension_of_an_emd_has_its_own_unit(tmp_path: Path) -> None:
    path = write_ncem(tmp_path / "a.emd", units=("[n_m]", "[Å]"))
    assert "only square ones" in refused(path)
    with h5py.File(path, "r+") as file:
        del file["data/film/dim2"]
        file["data/film/dim2"] = [0.0, 0.4]  # the first two values alone, as emdfile writes linear ones
        file["data/film/dim2"].attrs["units"] = "Å"
    assert only(path).pixel_size == pytest.approx(0.4)


def test_hspy_by_hand(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hspy", "w") as file:
        file.attrs.update(file_format="HyperSpy", file_format_version="3.1")
        group = file.create_group("Experiments/film")
        group["data"] = STACK
        for k, (name, scale, units) in enumerate((("t", 1.0, "s"), ("y", 0.04, "nm"), ("x", 0.04, "nm"))):
            axis = {"name": name, "size": STACK.shape[k], "scale": scale, "offset": 0.0, "units": units}
            axis |= {"navigate": k == 0, "index_in_array": k}
            group.create_group(f"axis-{k}").attrs.update(axis)
        for name in ("metadata", "original_metadata", "learning_results"):
            group.create_group(name)
        group["metadata"].create_group("General").attrs["title"] = "film"
        group["metadata"].create_group("Signal").attrs["signal_type"] = ""
    images = read(tmp_path / "a.hspy")
    np.testing.assert_array_equal(np.stack([image.pixels for image in images]), STACK)
    assert images[0].pixel_size == pytest.approx(0.4)


TOP_LEFT = np.where((np.arange(ROWS)[:, None] < 6) & (np.arange(COLUMNS) < 6), 50000, PIXELS // 4).astype(np.uint16)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.mrc", write_mrc),
        ("a.dm4", lambda path, pixels: write_dm(path, pixels=pixels)),
        ("a_1.ser", lambda path, pixels: write_ser(path, pixels[None])),
        ("a.emd", lambda path, pixels: write_velox(path, pixels[None])),
        ("b.emd", write_ncem),
        ("a.hspy", write_hspy),
        ("a.tif", write_imagej),
    ],
)
def test_the_first_row_is_at_the_top(tmp_path: Path, name: str, write: Any) -> None:
    """Each writer stores its rows as the format's own programs do, MRC and SER the bottom row first."""
    image = only(write(tmp_path / name, TOP_LEFT))
    assert (image.pixels[:6, :6] == 50000).all() and (image.pixels[-6:] < 20000).all()


def test_mrc_is_stored_from_the_bottom(tmp_path: Path) -> None:
    header = struct.pack("<4i12x3i3f", COLUMNS, ROWS, 1, 6, COLUMNS, ROWS, 1, 16.0, 12.0, 1.0).ljust(208, b"\0")
    path = tmp_path / "a.mrc"
    path.write_bytes((header + b"MAP DD\0\0").ljust(1024, b"\0") + PIXELS.tobytes())
    image = only(path)
    np.testing.assert_array_equal(image.pixels, PIXELS[::-1])
    assert image.pixel_size == pytest.approx(0.5)


def test_jpeg_is_upright_as_its_exif_says(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the camera was turned by 90°
    Pillow.fromarray(BYTES).save(tmp_path / "a.jpg", quality=95, exif=exif)
    assert only(tmp_path / "a.jpg").pixels.shape == (COLUMNS, ROWS)


@pytest.mark.parametrize("cell", [(1, 1, 1), (1, 1, 0), (0, 0, 0)])
def test_cell_of_an_angstrom_in_mrc_is_an_empty_header(tmp_path: Path, cell: tuple[int, int, int]) -> None:
    assert only(write_mrc(tmp_path / "a.mrc", at_40=("3f", *cell))).pixel_size is None


