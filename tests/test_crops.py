"""Crops: grey levels of a micrograph in three conversions, cut on a grid."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from persistem.errors import PersistemError
from persistem.imaging.crops import crop_file, cut, number, positions, read_crops
from persistem.study import Clahe, Crops, Detector, MinMax, Recipe, Standardised, Window

SMALL = Crops(size=32, stride=32)
RECIPES = [
    Clahe(),
    Clahe(depth=8),
    Clahe(scope="crop"),
    Clahe(scope="crop", depth=8),
    MinMax(),
    Window(),
    Standardised(),
]


@pytest.fixture(scope="module")
def intensity() -> np.ndarray:
    """A 128 x 96 image of smooth grains about 1, brighter towards the bottom."""
    rng = np.random.default_rng(7)
    grains = cv2.GaussianBlur(rng.normal(size=(128, 96)), (0, 0), 3)
    return 1 + 0.3 * grains / grains.std() * np.linspace(0.2, 0.6, 128)[:, None]


def sixteen_bit(image: np.ndarray) -> np.ndarray:
    return np.rint((image - image.min()) / np.ptp(image) * 65535).astype(np.uint16)


def write_micrograph(path: Path, grey: np.ndarray, offset: float, scale: float) -> None:
    info = {"pixel_size_A": 0.05, "intensity_offset": offset, "intensity_scale": scale}
    tifffile.imwrite(path, grey, imagej=True, metadata={"Info": json.dumps(info)})


def test_crops_lie_on_a_grid_row_by_row():
    assert positions((13, 17), Crops(size=8, stride=5)).tolist() == [[0, 0], [0, 5], [5, 0], [5, 5]]
    assert positions((8, 8), Crops(size=8, stride=8)).tolist() == [[0, 0]]
    assert len(positions((1024, 1024), Crops())) == 16


def test_random_crops_lie_anywhere_in_the_micrograph_and_fewer_are_the_first_of_more():
    crops = Crops(size=8, random=4000)
    corners = positions((13, 17), crops)
    assert corners.shape == (4000, 2) and number(17, crops) == 4000 and number(7, crops) == 0
    assert [sorted(set(column.tolist())) for column in corners.T] == [list(range(6)), list(range(10))]
    assert np.array_equal(positions((13, 17), Crops(size=8, random=9)), corners[:9])
    assert not np.array_equal(positions((13, 17), Crops(size=8, random=9, seed=1)), corners[:9])


@pytest.mark.parametrize("binning", [1, 2])
def test_random_crops_of_a_file_are_the_pieces_that_their_labels_say(tmp_path, intensity, binning):
    write_micrograph(tmp_path / "m.tif", sixteen_bit(intensity), 0.5, 1e-5)
    recipe = Recipe(intensity=MinMax(), detector=None if binning == 1 else Detector(binning=binning))
    crop_file(tmp_path / "m.tif", recipe, Crops(size=32, random=5), tmp_path / "c.tif")
    crop_file(tmp_path / "m.tif", recipe, Crops(size=32, stride=binning), tmp_path / "all.tif")
    with tifffile.TiffFile(tmp_path / "c.tif") as file:
        corners = [tuple(map(int, label.split()[1::2])) for label in file.imagej_metadata["Labels"]]
    every = {tuple(corner): k for k, corner in enumerate(positions(intensity.shape, Crops(size=32, stride=binning)))}
    whole = read_crops(tmp_path / "all.tif")
    assert np.array_equal(read_crops(tmp_path / "c.tif"), np.stack([whole[every[corner]] for corner in corners]))


def test_minmax_is_the_16_bit_image_at_8_bit(intensity):
    expected = np.rint(sixteen_bit(intensity) / 257)[32:64, 32:64]
    assert np.array_equal(cut(intensity, MinMax(), SMALL)[4], expected)
    alone = cut(intensity, MinMax(scope="crop"), SMALL)
    assert (alone.min(axis=(1, 2)) == 0).all() and (alone.max(axis=(1, 2)) == 255).all()


def test_inverted_exchanges_bright_and_dark(tmp_path, intensity):
    write_micrograph(tmp_path / "m.tif", sixteen_bit(intensity), 0.0, 1e-4)
    for inverted in (False, True):
        crop_file(tmp_path / "m.tif", Recipe(inverted=inverted), SMALL, tmp_path / f"{inverted}.tif")
    plain, exchanged = (read_crops(tmp_path / f"{inverted}.tif") for inverted in (False, True))
    assert np.array_equal(exchanged, 255 - plain)


@pytest.mark.parametrize("stride", [32, 20])
def test_a_crop_is_the_piece_of_the_grey_image_at_its_position(intensity, stride):
    crops = Crops(size=32, stride=stride)
    window = Window(low=0, high=2)
    stack = cut(intensity, window, crops)
    grey = np.rint(np.clip(intensity / intensity.mean() * 127.5, 0, 255))
    assert stack.dtype == np.uint8
    for crop, (row, column) in zip(stack, positions(intensity.shape, crops), strict=True):
        np.testing.assert_array_equal(crop, grey[row : row + 32, column : column + 32])


def test_whole_micrograph_clahe_is_opencvs_at_16_bit(intensity):
    recipe = Clahe(clip_limit=3.0, tiles=(4, 2))
    expected = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(4, 2)).apply(sixteen_bit(intensity)) / 257
    assert np.array_equal(cut(intensity, recipe, SMALL)[4], np.rint(expected)[32:64, 32:64])


def test_whole_micrograph_clahe_is_opencvs_at_8_bit(intensity):
    grey = np.rint(sixteen_bit(intensity) / 257).astype(np.uint8)
    expected = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(grey)
    assert np.array_equal(cut(intensity, Clahe(depth=8), SMALL)[1], expected[:32, 32:64])


def test_a_crop_equalised_alone_does_not_know_its_neighbours(intensity):
    alone = Clahe(scope="crop", tiles=(2, 2))
    stack = cut(intensity, alone, SMALL)
    expected = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(2, 2)).apply(sixteen_bit(intensity)[:32, :32]) / 257
    assert np.array_equal(stack[0], np.rint(expected))

    changed = intensity.copy()
    changed[64:, 64:] = intensity.mean()
    changed[-1, -1], changed[-1, -2] = intensity.min(), intensity.max()  # the same 16-bit scale
    assert np.array_equal(cut(changed, alone, SMALL)[4], stack[4])
    whole = Clahe(tiles=(2, 2))
    assert not np.array_equal(cut(changed, whole, SMALL)[4], cut(intensity, whole, SMALL)[4])


def test_depth_and_scope_of_clahe_matter(intensity):
    stacks = [cut(intensity, recipe, SMALL).tobytes() for recipe in RECIPES[:4]]
    assert len(set(stacks)) == 4


def test_window_maps_its_limits_to_black_and_white():
    image = np.array([0.5, 0.75, 1.0, 1.0, 1.25, 1.5] * 96).reshape(18, 32)  # of mean 1
    cases = {
        (0.5, 1.5): [0, 64, 128, 191, 255],
        (0.75, 1.25): [0, 0, 128, 255, 255],
        (0.0, 2.0): [64, 96, 128, 159, 191],
    }
    for (low, high), grey in cases.items():
        stack = cut(3 * image, Window(low=low, high=high), Crops(size=18))
        assert stack[0, 0, [0, 1, 2, 4, 5]].tolist() == grey


def test_window_does_not_depend_on_the_dose_but_on_contrast(intensity):
    stack = cut(intensity, Window(), SMALL)
    for dose in (0.25, 1024.0):
        assert np.array_equal(cut(dose * intensity, Window(), SMALL), stack)
    flat = cut(1 + 0.5 * (intensity - 1), Window(), SMALL)
    assert flat.std() == pytest.approx(stack.std() / 2, rel=0.02)


def test_standardised_crops_have_their_own_mean_and_sd(intensity):
    stack = cut(intensity, Standardised(half_width=4), SMALL).astype(float)
    np.testing.assert_allclose(stack.mean(axis=(1, 2)), 127.5, atol=0.5)
    np.testing.assert_allclose(stack.std(axis=(1, 2)), 127.5 / 4, rtol=0.01)


def test_standardised_is_free_of_brightness_and_contrast(intensity):
    stack = cut(intensity, Standardised(), SMALL)
    other = cut(17.3 * intensity - 4.1, Standardised(), SMALL)
    difference = np.abs(stack.astype(int) - other)
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3  # a grey level's edge, moved by rounding
    mirrored = cut(-intensity, Standardised(), SMALL)
    assert np.abs(stack.astype(int) + mirrored - 255).max() <= 1


@pytest.mark.parametrize("value", [1.0, 0.1, 1e6 + 1 / 3])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: "-".join(map(str, r.model_dump().values())))
def test_an_image_without_contrast_is_one_grey(recipe, value):
    stack = cut(np.full((64, 64), value), recipe, SMALL)
    assert np.ptp(stack) == 0
    if recipe.method not in ("clahe", "minmax"):
        assert stack[0, 0, 0] in (127, 128)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: "-".join(map(str, r.model_dump().values())))
def test_single_and_double_precision_agree(intensity, recipe):
    single, double = (cut(intensity.astype(kind), recipe, SMALL).astype(int) for kind in (np.float32, np.float64))
    # equalisation of 256 levels may magnify one that moved by rounding
    assert (np.abs(single - double) > 1).mean() < 0.01


def test_bad_micrographs_are_refused_in_a_sentence(intensity):
    with pytest.raises(PersistemError, match="128 x 96 px"):
        cut(intensity, Window(), Crops(size=100))
    for value in (np.nan, np.inf):
        broken = intensity.copy()
        broken[3, 4:6] = value
        with pytest.raises(PersistemError, match="2 of the micrograph's 12288 intensities"):
            cut(broken, Window(), SMALL)
    with pytest.raises(PersistemError, match="rows and columns"):
        cut(intensity[None], Window(), SMALL)
    with pytest.raises(PersistemError, match="mean intensity"):
        cut(intensity - intensity.mean() - 1, Window(), SMALL)


def test_a_file_of_crops_is_a_calibrated_stack_with_the_same_bytes_every_time(tmp_path, intensity):
    grey = sixteen_bit(intensity)
    write_micrograph(tmp_path / "m.tif", grey, 0.97, 0.05 / 65535)
    recipe = Recipe(intensity=Clahe(tiles=(4, 4)))
    for name in ("a.tif", "b.tif"):
        crop_file(tmp_path / "m.tif", recipe, SMALL, tmp_path / name)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()

    stack = read_crops(tmp_path / "a.tif")
    # the 16-bit levels survive the way through intensities
    expected = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4)).apply(grey) / 257
    assert stack.shape == (12, 32, 32)
    assert np.array_equal(stack[5], np.rint(expected)[32:64, 64:96])
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_imagej and file.imagej_metadata["unit"] == "nm" and len(file.pages) == 12
        pixels, length = file.pages[0].tags["XResolution"].value
        assert length / pixels == pytest.approx(0.005)
        assert file.imagej_metadata["Labels"][5] == "row 32 column 64"


def test_hyperspy_reads_the_pixel_size_of_crops(tmp_path, intensity):
    reader = pytest.importorskip("rsciio.tiff")
    write_micrograph(tmp_path / "m.tif", sixteen_bit(intensity), 0.0, 1e-5)
    crop_file(tmp_path / "m.tif", Recipe(), Crops(size=64, stride=64), tmp_path / "c.tif")
    _, *across = reader.file_reader(str(tmp_path / "c.tif"))[0]["axes"]
    with tifffile.TiffFile(tmp_path / "m.tif") as file:
        pixel_size = json.loads(file.imagej_metadata["Info"])["pixel_size_A"]
    assert [(axis["units"], axis["scale"]) for axis in across] == [("nm", pytest.approx(pixel_size / 10))] * 2


def test_one_crop_is_a_stack_too(tmp_path, intensity):
    write_micrograph(tmp_path / "m.tif", sixteen_bit(intensity), 0.0, 1e-4)
    crop_file(tmp_path / "m.tif", Recipe(intensity=Window()), Crops(size=96), tmp_path / "c.tif")
    assert read_crops(tmp_path / "c.tif").shape == (1, 96, 96)


def test_errors_name_the_file(tmp_path, intensity):
    write_micrograph(tmp_path / "m.tif", sixteen_bit(intensity), 0.0, 1e-4)
    with pytest.raises(PersistemError, match=r"m\.tif: crops\.size = 256"):
        crop_file(tmp_path / "m.tif", Recipe(), Crops(), tmp_path / "c.tif")
    assert not (tmp_path / "c.tif").exists()
    with pytest.raises(PersistemError, match=r"m\.tif: a uint16 array"):
        read_crops(tmp_path / "m.tif")
    (tmp_path / "text.tif").write_text("not an image")
    with pytest.raises(PersistemError, match=r"text\.tif: not a TIFF"):
        read_crops(tmp_path / "text.tif")
    with pytest.raises(PersistemError, match=r"none\.tif"):
        read_crops(tmp_path / "none.tif")
