"""Micrographs in microscopes' formats: real ones, and synthetic ones whose pixels and calibration are known."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from persistem.errors import PersistemError
from persistem.reading import Image, needs, read
from PIL import Image as Pillow
from support.micrographs import (
    COLUMNS,
    PIXELS,
    ROWS,
    STACK,
    WRITTEN,
    write_dm,
    write_hspy,
    write_imagej,
    write_mrc,
    write_png,
    write_ser,
    write_velox,
)

HERE = Path(__file__).resolve()
PLACES = [folder / "shared/data/micrographs" for folder in (HERE.parents[2], HERE.parents[1].parent.parent)]
REAL = next((place for place in PLACES if place.is_dir()), PLACES[0])
real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the folder of real micrographs, {REAL}, is not here")


def only(path: Path, **given: float) -> Image:
    (image,) = read(path, **given)
    assert np.isfinite(image.pixels).all()
    json.dumps(image.facts)
    return image


def refused(path: Path, **given: float) -> str:
    with pytest.raises(PersistemError) as error:
        read(path, **given)
    sentence = str(error.value)
    assert str(path) in sentence and "\n" not in sentence and "Traceback" not in sentence
    return sentence


# ---- formats ----------------------------------------------------------------------------------------------------


@real
@pytest.mark.parametrize(
    ("name", "pixel_size", "voltage", "shape", "mode"),
    [
        ("amorphous_carbon.tif", 1.4782, None, (1006, 1006), "unknown"),
        ("pt_on_carbon.jpg", None, None, (2048, 2048), "unknown"),
        ("vitreous_ice.mrc", 0.6666, None, (1024, 1024), "unknown"),
        ("au_particles_haadf.emd", 0.074984, 300.0, (2048, 2048), "STEM"),
        ("camera_noise.emd", 31.39, 300.0, (512, 512), "TEM"),
        ("tiny_haadf.dm4", 12.49, 80.0, (112, 112), "STEM"),
    ],
)
def test_real_micrographs(name: str, pixel_size: float | None, voltage: float | None, shape: Any, mode: str) -> None:
    image = only(REAL / name)
    assert image.pixel_size == (pixel_size if pixel_size is None else pytest.approx(pixel_size, rel=5e-4))
    assert (image.voltage, image.pixels.shape, image.facts["mode"]) == (voltage, shape, mode)
    assert image.frame is None and image.path == REAL / name


@real
def test_colour_micrograph_is_refused() -> None:
    assert "colour" in refused(REAL / "soot.tif", pixel_size=0.555)


@real
def test_signed_counts_and_defocus_of_velox() -> None:
    noise = only(REAL / "camera_noise.emd")
    assert (noise.pixels.min(), noise.pixels.max(), noise.defocus) == (-10, 7, 0.0)


@pytest.mark.parametrize("name", WRITTEN)
def test_pixels_and_calibration_come_back(tmp_path: Path, name: str) -> None:
    write, pixel_size, voltage = WRITTEN[name]
    image = only(write(tmp_path / name))
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert image.pixel_size == (pixel_size if pixel_size is None else pytest.approx(pixel_size, rel=1e-6))
    assert image.voltage == voltage


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.mrc", write_mrc),
        ("a.emd", write_velox),
        ("a_1.ser", write_ser),
        ("a.hspy", write_hspy),
        ("a.tif", write_imagej),
    ],
)
def test_stacks_come_frame_by_frame(tmp_path: Path, name: str, write: Callable[..., Path]) -> None:
    images = read(write(tmp_path / name, STACK))
    assert [image.frame for image in images] == [0, 1, 2]
    np.testing.assert_array_equal(np.stack([image.pixels for image in images]), STACK)
    assert len({image.pixel_size for image in images}) == 1 and images[0].pixel_size is not None


@pytest.mark.parametrize("blank", [0, 1, 2])
def test_a_blank_frame_costs_that_frame_alone(tmp_path: Path, blank: int) -> None:
    stack = STACK.copy()
    stack[blank] = 3
    images = read(write_mrc(tmp_path / "a.mrc", stack))
    kept = [k for k in range(3) if k != blank]
    assert [image.frame for image in images] == kept
    np.testing.assert_array_equal(np.stack([image.pixels for image in images]), STACK[kept])
    assert all(f"frame {blank}: every pixel is 3" in image.facts["skipped"][0] for image in images)
    (last,) = read(write_mrc(tmp_path / "b.mrc", np.stack([stack[blank], PIXELS])))
    assert last.frame == 1
    assert "frame 0: every pixel is 3" in refused(write_mrc(tmp_path / "c.mrc", np.full_like(STACK, 3)))


def test_large_raw_files_stay_on_disk(tmp_path: Path) -> None:
    for path in (write_mrc(tmp_path / "a.mrc"), write_dm(tmp_path / "a.dm4"), write_imagej(tmp_path / "a.tif")):
        assert isinstance(only(path).pixels, np.memmap)


def test_defocus_is_positive_under_focus(tmp_path: Path) -> None:
    assert only(write_velox(tmp_path / "a.emd")).defocus == pytest.approx(1000)


def test_own_micrograph_has_its_intensities_and_optics(tmp_path: Path) -> None:
    from persistem.imaging.micrographs import _write

    intensity = 1 + 0.1 * np.random.default_rng(1).normal(size=(ROWS, COLUMNS))
    about = {"pixel_size_A": 0.2, "voltage_kV": 200.0, "defocus_A": -50.0, "defocus_sign": "overfocus-positive"}
    _write(tmp_path / "own.tif", intensity, about)
    image = only(tmp_path / "own.tif")
    np.testing.assert_allclose(image.pixels, intensity, atol=1e-5)
    assert (image.pixel_size, image.voltage, image.defocus) == (0.2, 200.0, 50.0)


def test_emi_says_the_voltage_of_its_ser(tmp_path: Path) -> None:
    write_ser(tmp_path / "film_1.ser")
    said = "<Data><Label>{}</Label><Value>{}</Value><Unit>{}</Unit></Data>"
    description = (
        said.format("Mode", "TEM HR", "")
        + said.format("High tension", "200", "kV")
        + said.format("Defocus", "-0.05", "um")
    )
    (tmp_path / "film.emi").write_text(
        "junk<ObjectInfo><AcquireDate>Thu Nov 22 10:00:00 2018</AcquireDate><ExperimentalDescription><Root>"
        f"{description}</Root></ExperimentalDescription></ObjectInfo>junk"
    )
    emi = tmp_path / "film.emi"
    for name in ("film_1.ser", "film.emi"):
        image = only(tmp_path / name)
        assert (image.voltage, image.defocus, image.facts["mode"]) == (200.0, pytest.approx(500), "TEM")
    emi.write_text(emi.read_text().replace("TEM HR", "TEM Diffraction"))
    assert "diffraction" in refused(tmp_path / "film_1.ser", pixel_size=0.2)
    (tmp_path / "film_1.ser").unlink()
    assert "film_1.ser" in refused(tmp_path / "film.emi")


# ---- units and calibration --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "units", "pixel_size"),
    [(0.04, "nm", 0.4), (4e-5, "µm", 0.4), (4e-5, "μm", 0.4), (40, "pm", 0.4), (4e-11, "m", 0.4), (0.4, "Å", 0.4),
     (0.04, "n_m", 0.4), (1.0, "", None), (1.0, "px", None)],
)  # fmt: skip
def test_units_of_hyperspy(tmp_path: Path, scale: float, units: str, pixel_size: float | None) -> None:
    image = only(write_hspy(tmp_path / "a.hspy", scale=scale, units=units))
    assert image.pixel_size == (pixel_size if pixel_size is None else pytest.approx(pixel_size))


@pytest.mark.parametrize(
    ("unit", "pixel_size"), [("nm", 0.4), ("micron", 400.0), ("\\u00B5m", 400.0), ("pixel", None), ("inch", None)]
)
def test_units_of_imagej(tmp_path: Path, unit: str, pixel_size: float | None) -> None:
    assert only(write_imagej(tmp_path / "a.tif", unit=unit)).pixel_size == pixel_size


@pytest.mark.parametrize("unit", ["1/nm", "nm^-1", "mrad"])
def test_diffraction_pattern_is_refused(tmp_path: Path, unit: str) -> None:
    assert "diffraction" in refused(write_dm(tmp_path / "a.dm4", unit=unit), pixel_size=0.2)


def test_pixels_of_no_micrograph_name_the_option(tmp_path: Path) -> None:
    path = write_hspy(tmp_path / "a.hspy", scale=1e9)
    assert "give pixel_size (Å)" in refused(path) and "1e+10 Å wide" in refused(path)
    assert only(path, pixel_size=0.2).pixel_size == 0.2


@pytest.mark.parametrize(
    "put",
    [{"at_40": ("3f", 0, 0, 0)}, {"at_28": ("3i", 0, 0, 0)}, {"at_40": ("3f", COLUMNS, ROWS, 1)}],
    ids=["no cell", "no intervals", "cell of one Å each"],
)
def test_header_of_mrc_that_nobody_filled_is_no_calibration(tmp_path: Path, put: dict[str, Any]) -> None:
    assert only(write_mrc(tmp_path / "a.mrc", **put)).pixel_size is None


def test_big_endian_and_signed_mrc(tmp_path: Path) -> None:
    image = only(write_mrc(tmp_path / "a.mrc", order=">"))
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert image.pixel_size == pytest.approx(0.5)
    signed = (PIXELS % 200 - 100).astype(np.int8)
    np.testing.assert_array_equal(only(write_mrc(tmp_path / "b.mrc", signed)).pixels, signed)
    unsigned = (PIXELS % 256).astype(np.uint8)
    image = only(write_mrc(tmp_path / "c.mrc", unsigned, at_76=("2f", 0, 255)))
    np.testing.assert_array_equal(image.pixels, unsigned)


def test_options_override_and_needs_names_them(tmp_path: Path) -> None:
    image = only(write_dm(tmp_path / "a.dm4"), pixel_size=0.1, defocus=-50)
    assert (image.pixel_size, image.voltage, image.defocus) == (0.1, 200.0, -50.0)
    assert image.stated["pixel_size"].value == pytest.approx(0.5) and "defocus" not in image.stated
    needs(image)
    bare = only(write_png(tmp_path / "a.png"))
    with pytest.raises(PersistemError) as error:
        needs(bare)
    assert all(word in str(error.value) for word in ("give pixel_size", "voltage (kV)", "defocus (Å", "a.png"))
    with pytest.raises(PersistemError, match="pixel_size = nan Å"):
        read(tmp_path / "a.png", pixel_size=float("nan"))


# ---- what is no micrograph --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITTEN)
def test_truncated_files(tmp_path: Path, name: str) -> None:
    path = WRITTEN[name][0](tmp_path / name)
    whole = path.read_bytes()
    for share in (0.02, 0.3, 0.6):
        path.write_bytes(whole[: int(len(whole) * share)])
        refused(path)


def test_not_a_file_of_a_microscope(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.dm4")
    assert "not a file" in refused(tmp_path)
    (tmp_path / "notes.dm4").write_text("Tuesday: the filament is old. " * 50)
    assert "DM4" in refused(tmp_path / "notes.dm4")
    (tmp_path / "nothing.tif").write_bytes(b"")
    assert "empty" in refused(tmp_path / "nothing.tif")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_counted(tmp_path: Path, value: float) -> None:
    pixels = PIXELS.astype(np.float32)
    pixels[3, 4:9] = value
    for path in (write_mrc(tmp_path / "a.mrc", pixels), write_hspy(tmp_path / "a.hspy", pixels)):
        assert f"5 of {pixels.size}" in refused(path)


def test_pixels_that_are_no_image(tmp_path: Path) -> None:
    assert "constant" in refused(write_mrc(tmp_path / "flat.mrc", np.full_like(PIXELS, 7)))
    assert "1 x 1" in refused(write_mrc(tmp_path / "one.mrc", PIXELS[:1, :1]))
    assert "complex" in refused(write_hspy(tmp_path / "fft.hspy", PIXELS + 1j))
    for name in ("shot.png", "shot.tif"):
        Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(tmp_path / name)
        assert "colour" in refused(tmp_path / name)
    Pillow.fromarray(np.repeat((PIXELS % 256).astype(np.uint8)[..., None], 3, -1)).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(only(tmp_path / "grey.png").pixels, PIXELS % 256)


def test_images_beside_what_is_none_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "several.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((40, 40), np.uint8))
        file.write(PIXELS)
    image = only(path)
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert len(image.facts["skipped"]) == 1 and "constant" in image.facts["skipped"][0]


def test_headers_without_data_allocate_nothing(tmp_path: Path) -> None:
    side = 60000
    write_mrc(tmp_path / "a.mrc", at_0=("2i", side, side))
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file["Version"] = np.array([b'{"format": "Velox", "version": "1.10"}'], dtype=h5py.string_dtype())
        file.create_dataset("Data/Image/a/Data", (side, side, 1), np.uint16, chunks=(1000, 1000, 1))
    raw = zlib.compress(bytes(1000))
    head = struct.pack(">2I5B", side, side, 16, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", raw), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    tifffile.imwrite(tmp_path / "a.tif", PIXELS)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        for tag in (256, 257):
            entry = tiff.pages[0].tags[tag]
            struct.pack_into("<H", data, entry.valueoffset, side) if entry.dtype == 3 else struct.pack_into(
                "<I", data, entry.valueoffset, side
            )
    (tmp_path / "a.tif").write_bytes(data)
    for name in ("a.mrc", "a.emd", "a.png", "a.tif"):
        assert "20000 x 20000" in refused(tmp_path / name), name


@pytest.mark.slow
def test_compressed_bombs(tmp_path: Path) -> None:
    zeros = np.zeros((8000, 8000), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", zeros, compression="zlib")
    Pillow.fromarray(zeros).save(tmp_path / "a.png")
    with h5py.File(tmp_path / "a.hspy", "w") as file:
        file.attrs["file_format_version"] = "3.3"
        file.create_dataset("Experiments/film/data", data=zeros, compression="gzip")
    for name in ("a.tif", "a.png", "a.hspy"):
        assert "64 times" in refused(tmp_path / name)


def test_libraries_keep_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, (write, *_) in WRITTEN.items():
        path = write(tmp_path / name)
        only(path)
        path.write_bytes(path.read_bytes()[:-40])
        try:
            read(path)
        except PersistemError:
            continue
    assert capfd.readouterr() == ("", "")
