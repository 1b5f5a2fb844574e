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
from persistem.maps.suitability import cautions
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
    "nm&#8315;&#185;", "cycles/nm", "cycles per nm", "pixels per nm", "0.1 1/nm", "1 nm^-1", "mrads", "millirad",
    "arcsec", "Nyquist", "r.l.u.", "mrad", "µrad", "rad", "deg", "°",
]  # fmt: skip


@pytest.mark.parametrize("form", [None, "NFC", "NFD", "NFKC", "NFKD"])
def test_no_option_makes_an_image_of_a_diffraction_pattern(tmp_path: Path, form: Any) -> None:
    for unit in RECIPROCAL:
        units = unit if form is None else unicodedata.normalize(form, unit)
        path = write_dm(tmp_path / "a.dm3", 3, units)
        assert "diffraction" in refused(path, pixel_size=0.2, voltage=200, defocus=0), units


@pytest.mark.parametrize(
    ("unit", "what"),
    [("s", "time"), ("seconds", "time"), ("ms", "time"), ("ps", "time"), ("mins", "time"), ("eV", "spectrum"),
     ("eVs", "spectrum"), ("nm¯¹", "diffraction"), ("nmâ\x81»Â¹", "diffraction"), ("nm \u03041", "length"),
     ("nm1", "length"), ("nm 1", "length"), ("nm^2", "length"), ("furlong", "length"),
     ("nm (reciprocal)", "length")],
)  # fmt: skip
def test_no_option_makes_an_image_of_what_is_no_length(tmp_path: Path, unit: str, what: str) -> None:
    assert what in refused(write_dm(tmp_path / "a.dm4", unit=unit), pixel_size=0.2)


@pytest.mark.parametrize(
    ("units", "angstrom"),
    [("Ångström", 1), ("A\u030angstro\u0308m", 1), ("angstroem", 1), ("Angstrom", 1), ("A", 1), ("Å", 1), ("\u212b", 1),
     ("A\u030a", 1), ("&#197;", 1), ("&Aring;", 1), ("\\AA", 1), ("ang.", 1), ("&#181;m", 1e4), ("&micro;m", 1e4),
     ("\u00b5m", 1e4), ("\u03bcm", 1e4), ("Âµm", 1e4), ("\\u00B5m", 1e4), ("micron", 1e4), ("nm/pixel", 10),
     ("[n_m]", 10), ("nanometre", 10), ("Nanometers", 10), ("nm (nanometer)", 10), ("nanometer(s)", 10),
     ('"nm"', 10), ("A°", 1), ("0.1 nm", 1), ("1e-9 m", 10), ("2 * nm", 20)],
)  # fmt: skip
def test_lengths_however_they_are_spelt(tmp_path: Path, units: str, angstrom: float) -> None:
    path = write_hspy(tmp_path / "a.hspy", scale=0.4 / angstrom, units=units)
    assert only(path).pixel_size == pytest.approx(0.4)


@pytest.mark.parametrize("units", ["px", "", "pixels", "<undefined>", "inches", "arb. units", "1"])
def test_pixels_without_a_unit_are_asked_for(tmp_path: Path, units: str) -> None:
    path = write_hspy(tmp_path / "a.hspy", units=units)
    assert only(path).pixel_size is None
    assert only(path, pixel_size=0.2).pixel_size == 0.2


def test_frames_may_be_counted_in_seconds_degrees_or_dose(tmp_path: Path) -> None:
    for unit in ("[s]", "[deg]", "e/A^2", "e⁻/Å²", "1/s", "e/(Å² s)"):
        path = write_ncem(tmp_path / "a.emd", STACK, names=("t", "y", "x"), units=(unit, "[n_m]", "[n_m]"))
        assert len(read(path)) == 3


@pytest.mark.parametrize("names", [("Qy", "Qx"), ("ky", "kx"), ("q_y", "q_x"), ("frequency y", "frequency x")])
@pytest.mark.parametrize("unit", ["px", "", "nm"])
def test_diffraction_that_only_the_names_of_axes_say(tmp_path: Path, names: tuple[str, str], unit: str) -> None:
    path = write_ncem(tmp_path / "a.emd", names=names, units=(unit, unit))
    assert "diffraction" in refused(path, pixel_size=0.2)


def test_diffraction_that_only_the_microscope_says(tmp_path: Path) -> None:
    path = write_velox(tmp_path / "a.emd")
    with h5py.File(path, "r+") as file:
        group = next(iter(file["Data/Image"].values()))
        said = group["Metadata"][:, 0].tobytes().replace(b'"OperatingMode"', b'"ProjectorMode": "1", "OperatingMode"')
        del group["Metadata"]
        group["Metadata"] = np.frombuffer(said, np.uint8)[:, None]
    assert "diffraction" in refused(path, pixel_size=0.2)


# ---- OME-TIFF ---------------------------------------------------------------------------------------------------


def ome(images: list[str], uuid: str = "") -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://ome/2016-06" {uuid}>{"".join(images)}</OME>'


def ome_image(nanometres: float | None, data: str, shape: tuple[int, int] = (ROWS, COLUMNS), unit: str = "nm") -> str:
    said = "".join(f' PhysicalSize{a}="{nanometres}" PhysicalSize{a}Unit="{unit}"' for a in "XY" if nanometres)
    size = f'SizeX="{shape[1]}" SizeY="{shape[0]}" SizeZ="1" SizeC="1" SizeT="1"'
    return f'<Image><Pixels DimensionOrder="XYZCT" Type="uint16" {size}{said}>{data}</Pixels></Image>'


def write_ome(path: Path, xml: str, *pages: np.ndarray) -> Path:
    with tifffile.TiffWriter(path) as file:
        for k, page in enumerate(pages):
            file.write(page, description=xml.encode() if k == 0 else None, metadata=None, contiguous=False)
    return path


def test_each_page_of_an_ome_tiff_has_the_size_of_its_image(tmp_path: Path) -> None:
    plane = '<TiffData IFD="{}" PlaneCount="1"/>'.format
    xml = ome([
        ome_image(None, plane(0)),
        ome_image(0.02, plane(2)),
        ome_image(0.3, plane(1), unit="&#197;"),
        ome_image(2e-5, plane(3), (COLUMNS, ROWS), "&#181;m"),
        ome_image(0.05, plane(4), (99, 99)),  # as large as no page: of what the file was before a crop
    ])  # fmt: skip
    path = write_ome(tmp_path / "a.ome.tif", xml, *STACK, PIXELS.T, PIXELS)
    sizes = [image.pixel_size for image in read(path)]
    assert sizes == [None, pytest.approx(0.3), pytest.approx(0.2), pytest.approx(0.2), None]
    np.testing.assert_array_equal(read(path)[3].pixels, PIXELS.T)


def test_ome_names_the_micrometre_and_planes_by_default(tmp_path: Path) -> None:
    image = ome_image(2e-5, "<TiffData/>").replace(' PhysicalSizeXUnit="nm"', "").replace(' PhysicalSizeYUnit="nm"', "")
    path = write_ome(tmp_path / "a.tif", ome([image.replace('SizeZ="1"', 'SizeZ="3"')]), *STACK)
    assert [image.pixel_size for image in read(path)] == [pytest.approx(0.2)] * 3
    twice = ome([ome_image(0.02, "<TiffData/>"), ome_image(0.03, "<TiffData/>")])
    assert only(write_ome(tmp_path / "b.tif", twice, PIXELS)).pixel_size is None  # which of the two, nobody knows


@pytest.mark.parametrize("name", ["a.ome.tif", "b.ome.tif", "renamed.tif"])
@pytest.mark.parametrize("beside", [False, True])
def test_each_file_of_an_ome_set_has_its_own_size(tmp_path: Path, name: str, beside: bool) -> None:
    def plane(file: str) -> str:
        return f'<TiffData IFD="0"><UUID FileName="{file}.ome.tif">urn:uuid:{file}</UUID></TiffData>'

    images = [ome_image(0.02, plane("a")), ome_image(0.013, plane("b"))]
    own = "a" if name[0] == "a" else "b"
    path = write_ome(tmp_path / name, ome(images, f'UUID="urn:uuid:{own}"'), PIXELS)
    if beside:
        write_ome(
            tmp_path / ("b.ome.tif" if own == "a" else "a.ome.tif"), ome(images, 'UUID="urn:uuid:other"'), STACK[1]
        )
    image = only(path)
    assert image.pixel_size == pytest.approx(0.2 if own == "a" else 0.13)
    np.testing.assert_array_equal(image.pixels, PIXELS)


def test_ome_in_a_companion_file(tmp_path: Path) -> None:
    plane = '<TiffData IFD="0"><UUID FileName="b.tif">urn:uuid:b</UUID></TiffData>'
    other = plane.replace("b", "a").replace("uuid:a", "uuid:a")
    xml = ome(['<BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:set"/>'], 'UUID="urn:uuid:b"')
    path = write_ome(tmp_path / "b.tif", xml, PIXELS)
    assert only(path).pixel_size is None
    (tmp_path / "set.companion.ome").write_text(ome([ome_image(0.02, other), ome_image(0.013, plane)]))
    assert only(path).pixel_size == pytest.approx(0.13)


@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_a_single_image_of_ome_needs_no_tiffdata(tmp_path: Path, mark: str) -> None:
    path = write_ome(tmp_path / "a.tif", mark + ome([ome_image(0.02, "")]), PIXELS)
    assert only(path).pixel_size == pytest.approx(0.2)
    two = ome([ome_image(0.02, ""), ome_image(0.03, "")])
    assert only(write_ome(tmp_path / "a.tif", mark + two, PIXELS)).pixel_size is None


def test_an_ome_image_of_another_file_is_not_believed(tmp_path: Path) -> None:
    image = ome_image(0.02, '<TiffData IFD="0"><UUID FileName="a.tif">urn:uuid:a</UUID></TiffData>')
    for name, own, size in (("a.tif", "a", 0.2), ("a.tif", "b", 0.2), ("b.tif", "a", 0.2), ("b.tif", "b", None)):
        path = write_ome(tmp_path / name, ome([image], f'UUID="urn:uuid:{own}"'), PIXELS)
        assert only(path).pixel_size == (size and pytest.approx(size))


# ---- other TIFFs of several pages -------------------------------------------------------------------------------


def fei_tag(angstrom: float) -> list[tuple[Any, ...]]:
    size = f"{angstrom}e-10"
    return [(34682, "s", 0, f"[Beam]\r\nHV=200000\r\n[Scan]\r\nPixelWidth={size}\r\nPixelHeight={size}\r\n", True)]


def gatan_tags(angstrom: float) -> list[tuple[Any, ...]]:
    return [(tag, "s", 0, "nm", True) for tag in (65003, 65004)] + [
        (tag, "d", 1, angstrom / 10, True) for tag in (65009, 65010)
    ]


@pytest.mark.parametrize("tags", [fei_tag, gatan_tags])
def test_each_page_has_the_size_that_its_own_tags_state(tmp_path: Path, tags: Any) -> None:
    def sizes(*pages: tuple[np.ndarray, float | None]) -> list[float | None]:
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for page, size in pages:
                extra = [] if size is None else tags(size)
                file.write(page, extratags=extra, metadata=None, contiguous=False)
        images = read(tmp_path / "a.tif")
        np.testing.assert_array_equal(images[-1].pixels, pages[-1][0])
        return [image.pixel_size for image in images]

    assert sizes((PIXELS, 1.0), (STACK[1], 2.0)) == pytest.approx([1, 2])
    assert sizes((PIXELS, 1.0), (STACK[1], 1.0)) == pytest.approx([1, 1])
    assert sizes((PIXELS, 1.0), (PIXELS.T, 2.0)) == pytest.approx([1, 2])
    assert sizes((PIXELS, 1.0), (STACK[1], None)) == [pytest.approx(1), None]


# ---- micrographs of ours that another program changed -----------------------------------------------------------

ABOUT = {"pixel_size_A": 0.2, "voltage_kV": 200.0, "defocus_A": 50.0, "defocus_sign": "underfocus-positive"}
INTENSITY = 1 + 0.1 * np.random.default_rng(1).normal(size=(72, 72))


def resaved(path: Path, change: Any, factor: float = 1.0, record: bool = True) -> Path:
    """A micrograph of ours after a change of its pixels in ImageJ, whose pixels then are ``factor`` times as wide."""
    _write(path, INTENSITY, ABOUT)
    with tifffile.TiffFile(path) as file:
        levels, about = file.asarray(), str(file.imagej_metadata["Info"])
    if not record:
        about = about.replace('"stored"', '"other"')
    per_nm = 50 / factor
    changed = np.ascontiguousarray(change(levels))
    tifffile.imwrite(path, changed, imagej=True, resolution=(per_nm, per_nm), metadata={"unit": "nm", "Info": about})
    return path


def binned(levels: np.ndarray) -> np.ndarray:
    return levels.reshape(18, 4, 18, 4).mean(axis=(1, 3)).astype(np.uint16)


@pytest.mark.parametrize("record", [True, False], ids=["with record", "without"])
@pytest.mark.parametrize(
    ("change", "factor"),
    [(binned, 4), (lambda p: p[::2, ::2], 2), (lambda p: (p // 256).astype(np.uint8), 1), (lambda p: p[:20, :30], 1),
     (lambda p: np.stack([p, p]), 1), (lambda p: p.astype(np.float32), 1), (lambda p: p // 2, 1)],
    ids=["bin", "scale", "8 bit", "crop", "stack", "32 bit", "halve"],
)  # fmt: skip
def test_what_another_program_did_wins(tmp_path: Path, change: Any, factor: float, record: bool) -> None:
    image = read(resaved(tmp_path / "own.tif", change, factor, record))[0]
    assert image.pixel_size == pytest.approx(0.2 * factor) and (image.voltage, image.defocus) == (None, None)
    assert image.pixels.max() > 100 and "another program" in image.facts["changed"]


@pytest.mark.parametrize("record", [True, False], ids=["with record", "without"])
def test_what_only_copied_or_turned_our_micrograph_keeps_its_parameters(tmp_path: Path, record: bool) -> None:
    for turn in (np.copy, np.rot90):
        image = only(resaved(tmp_path / "own.tif", turn, record=record))
        np.testing.assert_allclose(image.pixels, turn(INTENSITY), atol=1e-5)
        assert (image.pixel_size, image.voltage, image.defocus) == (0.2, 200.0, 50.0)


def test_inverted_levels_of_ours_are_not_ours(tmp_path: Path) -> None:
    assert only(resaved(tmp_path / "own.tif", lambda p: 65535 - p)).voltage is None


def test_a_pixel_size_set_in_imagej_is_the_pixel_size(tmp_path: Path) -> None:
    assert only(resaved(tmp_path / "own.tif", np.copy, factor=1.5)).pixel_size == pytest.approx(0.3)


# ---- order of axes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
def test_rows_and_frames_of_berkeley_emd(tmp_path: Path, first: int) -> None:
    image = only(write_ncem(tmp_path / "a.emd", first=first))
    np.testing.assert_array_equal(image.pixels, PIXELS)
    image = only(write_ncem(tmp_path / "b.emd", PIXELS.T, names=("x", "y"), first=first))
    np.testing.assert_array_equal(image.pixels, PIXELS)
    image = only(write_ncem(tmp_path / "b.emd", names=("Rx", "Ry"), first=first))  # py4DSTEM's x runs down the rows
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


@pytest.mark.parametrize(
    "names",
    [
        ("X (nm)", "Y (nm)"), ("x_nm", "y_nm"), ("col", "row"), ("scan_x", "scan_y"), ("dim_x", "dim_y"),
        ("x position", "y position"), ("x pixel", "y pixel"), ("horizontal", "vertical"), ("R_x", "R_y"),
        ("Width [px]", "Height [px]"), ("x axis", "y axis"),
    ],
)  # fmt: skip
def test_dimensions_of_an_emd_are_known_by_a_word_of_their_names(tmp_path: Path, names: tuple[str, str]) -> None:
    np.testing.assert_array_equal(only(write_ncem(tmp_path / "a.emd", PIXELS.T, names=names)).pixels, PIXELS)
    np.testing.assert_array_equal(only(write_ncem(tmp_path / "b.emd", PIXELS, names=names[::-1])).pixels, PIXELS)


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


# ---- grey values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"])
def test_white_may_be_the_least_value(tmp_path: Path, dtype: str) -> None:
    kind = np.dtype(dtype)
    pixels = PIXELS.astype(kind) if kind.itemsize > 1 else (PIXELS >> 8).astype(kind)
    if kind.kind != "u":
        pixels -= kind.type(100 if kind.itemsize == 1 else 20_000)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    read_in = only(tmp_path / "a.tif").pixels
    assert read_in.dtype == kind
    ends = (np.iinfo(kind).min, np.iinfo(kind).max) if kind.kind in "ui" else (pixels.min(), pixels.max())
    expected = float(ends[0]) + float(ends[1]) - pixels.astype(float)
    np.testing.assert_allclose(read_in, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4"])
def test_white_is_the_least_of_counts_in_signed_integers(tmp_path: Path, dtype: str) -> None:
    pixels = (PIXELS >> 9).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    found = only(tmp_path / "a.tif").pixels
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, int(pixels.min()) + int(pixels.max()) - pixels.astype(int))


def test_imagej_calibrates_grey_values(tmp_path: Path) -> None:
    def write(pixels: np.ndarray, said: str) -> Path:
        description = f"ImageJ=1.53t\nunit=nm\n{said}"
        tifffile.imwrite(tmp_path / "a.tif", pixels, description=description, resolution=(25, 25), metadata=None)
        return tmp_path / "a.tif"

    counts = (PIXELS >> 4).astype(np.int16) - 100
    found = only(write((counts.astype(int) + 32768).astype(np.uint16), "cf=0\nc0=-32768.0\nc1=1.0\nvunit=Gray Value\n"))
    assert found.pixels.dtype == np.int16 and found.pixel_size == pytest.approx(0.4)
    np.testing.assert_array_equal(found.pixels, counts)
    found = only(write(PIXELS, "cf=0\nc0=10\nc1=0.5\n"))
    np.testing.assert_allclose(found.pixels, 10 + 0.5 * PIXELS)
    np.testing.assert_array_equal(only(write(PIXELS, "")).pixels, PIXELS)
    for other in ("cf=1\nc0=0\nc1=1\nc2=3\n", "cf=21\nc0=0\nc1=1\n"):
        assert "no straight line" in refused(write(PIXELS, other))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_png_of_16_bits_and_several_channels(tmp_path: Path, channels: int) -> None:
    from imagecodecs import png_encode

    pixels = np.repeat(PIXELS[..., None], channels, -1)
    if channels != 3:
        pixels[..., -1] = 65535  # opaque
    (tmp_path / "a.png").write_bytes(png_encode(pixels))
    np.testing.assert_array_equal(only(tmp_path / "a.png").pixels, PIXELS)


@pytest.mark.parametrize("unit", ["cm", "mm", "inch"])
def test_a_printers_resolution_is_no_pixel_size(tmp_path: Path, unit: str) -> None:
    path = write_imagej(tmp_path / "a.tif", per_unit=118.11, unit=unit)
    assert only(path).pixel_size is None and only(path, pixel_size=0.3).pixel_size == 0.3


@pytest.mark.parametrize(
    "compression", ["tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "zstd", "lzma", "jpeg", "tiff_raw_16"]
)
def test_compressed_tiff(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    if compression == "jpeg":
        Pillow.fromarray(BYTES).save(path, compression="jpeg", quality=100)
        assert np.abs(only(path).pixels.astype(int) - BYTES).max() <= 4
        return
    Pillow.fromarray(PIXELS).save(path, compression=None if compression == "tiff_raw_16" else compression)
    np.testing.assert_array_equal(only(path).pixels, PIXELS)


def test_predictors_and_packed_bits_of_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for pixels, compression in ((PIXELS, "lzw"), (PIXELS, "zlib"), (PIXELS.astype(np.float32), "lzw"), (STACK, "lzw")):
        tifffile.imwrite(path, pixels, compression=compression, predictor=True, photometric="minisblack")
        found = np.stack([image.pixels for image in read(path)]).reshape(pixels.shape)
        np.testing.assert_array_equal(found, pixels)
    tifffile.imwrite(path, PIXELS >> 4, bitspersample=12)
    np.testing.assert_array_equal(only(path).pixels, PIXELS >> 4)
    for compression in ("group4", None):
        Pillow.fromarray(PIXELS > 30000).save(path, compression=compression)
        np.testing.assert_array_equal(only(path).pixels, PIXELS > 30000)


def test_grey_stored_as_colour(tmp_path: Path) -> None:
    grey = Pillow.fromarray(BYTES)
    palette = grey.convert("P")
    palette.putpalette([level for level in range(256) for _ in range(3)])
    for picture in (grey, palette, *(grey.convert(mode) for mode in ("RGB", "RGBA", "LA"))):
        for name in ("a.tif", "a.png"):
            picture.save(tmp_path / name)
            np.testing.assert_array_equal(only(tmp_path / name).pixels, BYTES, err_msg=f"{picture.mode} {name}")
    falling = palette.copy()
    falling.putpalette([255 - level for level in range(256) for _ in range(3)])
    falling.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(only(tmp_path / "a.tif").pixels, 255 - BYTES)
    for planar in ("contig", "separate"):
        channels = np.repeat(PIXELS[None], 3, 0)
        channels = channels if planar == "separate" else np.moveaxis(channels, 0, -1)
        tifffile.imwrite(tmp_path / "a.tif", channels, photometric="rgb", planarconfig=planar)
        np.testing.assert_array_equal(only(tmp_path / "a.tif").pixels, PIXELS)
    tifffile.imwrite(tmp_path / "a.tif", np.repeat(STACK[..., None], 3, -1), photometric="rgb")
    np.testing.assert_array_equal(np.stack([image.pixels for image in read(tmp_path / "a.tif")]), STACK)
    Pillow.fromarray(BYTES).convert("RGB").save(tmp_path / "a.tif", compression="jpeg", quality=100)
    assert np.abs(only(tmp_path / "a.tif").pixels.astype(int) - BYTES).max() <= 4


def test_two_channels_of_data_are_not_grey_and_opacity(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.stack([PIXELS, STACK[1]], -1), photometric="minisblack", planarconfig="contig"
    )
    assert "two values" in refused(tmp_path / "a.tif")


def test_grey_takes_the_mean_of_a_colour_image(tmp_path: Path) -> None:
    colours = np.repeat(BYTES[..., None], 3, -1)
    colours[-4:-2, 2:9] = (250, 251, 3)  # a scale bar
    expected = BYTES.copy()
    expected[-4:-2, 2:9] = 168
    for name in ("a.png", "a.tif"):
        Pillow.fromarray(colours).save(tmp_path / name)
        assert "; grey takes" in refused(tmp_path / name)
        image = only(tmp_path / name, grey=True)
        np.testing.assert_array_equal(image.pixels, expected)
        assert f"{tmp_path / name}: a colour image; the mean of its channels was taken" in cautions(image)
    Pillow.fromarray(colours).quantize(256).save(tmp_path / "b.tif")
    assert "; grey takes" in refused(tmp_path / "b.tif")
    grey = only(tmp_path / "b.tif", grey=True).pixels
    assert grey.dtype == np.uint8 and np.abs(grey.astype(int) - expected).mean() < 8


# ---- the files that went wrong ----------------------------------------------------------------------------------


@field
@pytest.mark.parametrize(
    ("name", "sizes", "shape"),
    [
        ("set_b.ome.tif", [0.13], (96, 96)),
        ("ome_first_uncalibrated_fine.ome.tif", [None, 0.2], (96, 96)),
        ("own_binned_in_imagej.tif", [0.1953125], (96, 96)),
        ("own_8bit_cropped.tif", [0.048828125], (96, 96)),
        ("ncem_rect.emd", [0.2], (64, 96)),
        ("ncem_stack.emd", [0.2] * 3, (96, 96)),
        ("stack.mrc", [0.2] * 3, (96, 96)),
        *((f"tiff_{name}.tif", [None], (96, 96)) for name in ("lzw", "lzw_predictor", "jpeg")),
        *((f"{name}_grey.tif", [None], (96, 96)) for name in ("palette", "rgb")),
        ("min_is_white_signed.tif", [None], (96, 96)),
    ],
)
def test_files_that_went_wrong(name: str, sizes: list[float | None], shape: tuple[int, int]) -> None:
    images = read(FIELD / name)
    assert [image.pixel_size for image in images] == [size and pytest.approx(size) for size in sizes]
    assert images[0].pixels.shape == shape
    assert not name.startswith("own") or images[0].pixels.mean() > 50


@field
@pytest.mark.parametrize("name", ["dm_inv_bracket.dm3", "dm_inv_word.dm3", "dm_inv_super.dm3"])
def test_diffraction_patterns_that_were_read(name: str) -> None:
    assert "diffraction" in refused(FIELD / name, pixel_size=0.2)
