"""Maps: what a model of known judgement says of micrographs of known content, and the folder it is written as."""

import csv
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import tifffile
from matplotlib.colors import to_rgb
from persistem import api
from persistem.commands.cli import main
from persistem.commands.maps import names, option
from persistem.conditions.features import numbers
from persistem.errors import PersistemError
from persistem.maps import Map, files, map_image, mapping, write
from persistem.maps.inspecting import described
from persistem.maps.overlay import STRONGEST, blend, draw
from persistem.maps.regions import regions
from persistem.maps.suitability import objections
from persistem.model.classifier import CONDITIONS, REASONS, WHOLE_CONTRAST, Verdict
from persistem.reading import Image
from persistem.reading.asked import Stated
from persistem.reading.pixels import in_file
from persistem.report.figures.drawing import COLOURS
from persistem.study import Windows
from support.micrographs import write_hspy, write_velox

#: Å; a window has 16 pixels, a step is 5.
SAMPLING, STEP, SIDE = 0.2, 1.0, 16
STATES = ("amorphous", "liquid")
FILES = ["map.hspy", "map.html", "map.json", "map.tif", "overlay.png", "regions.csv"]
GIVEN = ["--pixel-size", "0.2", "--voltage", "200", "--defocus", "0"]


class Model:
    """Liquid, by 0.9, where the contrast is above 0.1; amorphous, by 0.8, below; unlike the training above 0.5."""

    states = STATES
    windows = Windows(sampling=SAMPLING, size=SIDE * SAMPLING)
    blocks = ("contrast",)
    voltage = 200.0
    labelled = False
    defoci = (-100.0, 100.0)
    card: dict = {}  # noqa: RUF012
    gauge = None
    digest = "0" * 12
    # one tree, of a root and two leaves
    classifier = SimpleNamespace(
        lengths={"contrast": 1},
        scorer=SimpleNamespace(
            feature=np.array([0, 0, 0]),
            threshold=np.array([np.log(0.1), 0, 0]),
            left=np.array([1, -1, -1]),
            right=np.array([2, -1, -1]),
            value=np.array([0, np.log(0.2 / 0.8), np.log(0.9 / 0.1)]),
            roots=np.array([[0]]),
            start=np.zeros(1),
        ),
        calibration=SimpleNamespace(coef_=np.ones((1, 1)), intercept_=np.zeros(1)),
    )

    def classify(self, blocks, valid, bright=None):
        contrast = np.where(valid, np.exp(blocks["contrast"][..., 0]), 0.0)
        liquid = np.where(valid, np.where(contrast > 0.1, 0.9, 0.2), 0.5)
        reason = np.select([~valid, contrast > 0.5], [1, 2], 0)
        probability = np.stack([1 - liquid, liquid], -1).astype(np.float32)
        return Verdict(probability, contrast, reason.astype(np.uint8), never(reason))


def never(reason):
    """Odds of vacuum that speak against it everywhere."""
    return np.full(reason.shape, -1, np.float32)


@pytest.fixture(scope="module")
def image():
    """240 x 320 px: columns 0 to 159 of little contrast, the others of more, in them a hole without noise and dirt."""
    noise = np.random.default_rng(1).standard_normal((240, 320))
    pixels = 100 + noise * np.where(np.arange(320) < 160, 4, 25)
    pixels[20:60, 200:240] = 100
    pixels[150:190, 240:290] = 100 + 90 * noise[150:190, 240:290]
    return Image(Path("half.tif"), None, "half", pixels.astype(np.float32), SAMPLING, 200.0, 0.0, {"format": "TIFF"})


@pytest.fixture(scope="module")
def found(image):
    return map_image(image, Model(), STEP)


def drawn(state, probability=0.75, step=2.0, origin=(6.0, 6.0)):
    """A map of states by label, -1 where it abstains."""
    state = np.asarray(state)
    sure = np.broadcast_to(probability, state.shape)[..., None]
    probability = np.where(np.arange(2) == state[..., None], sure, 1 - sure)
    facts = {"image": {"file": "drawn.tif", "title": "", "voltage_kV": 200.0, "pixel_size_A": 0.5}}
    probability = probability.astype(np.float32)
    reason = np.where(state < 0, 3, 0).astype(np.uint8)
    return Map(probability, probability.max(-1), state < 0, reason, step, origin, STATES, facts)


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture
def bundle(monkeypatch):
    """The command line's way to a model, to this file's."""
    from persistem.model import shipped

    monkeypatch.setattr(shipped, "load", lambda path: Model())
    return "bundle"


@pytest.fixture
def shots(image, tmp_path):
    """Files: a good one in each of two folders, under one name; a stack of two; and one that is no image."""
    for folder in "ab":
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "shot.tif", image.pixels)
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([image.pixels, image.pixels[:, ::-1]]), photometric="minisblack")
    (tmp_path / "bad.tif").write_text("not an image")
    return tmp_path


# what is where


def test_every_window_on_one_side_has_that_sides_state(found):
    """And those that show nothing, or what the model does not know, abstain, each for its reason."""
    first = 5 * np.arange(found.abstain.shape[1])
    top = 5 * np.arange(found.abstain.shape[0])
    assert found.abstain.shape == ((240 - SIDE) // 5 + 1, (320 - SIDE) // 5 + 1)
    assert (found.state[:, first + SIDE <= 160] == 0).all()
    clean = found.state[np.ix_((top >= 60) & (top + SIDE <= 150), first >= 160)]
    assert clean.size > 100 and (clean == 1).all()
    hole = np.ix_((top >= 20) & (top + SIDE <= 60), (first >= 200) & (first + SIDE <= 240))
    dirt = np.ix_((top >= 150) & (top + SIDE <= 190), (first >= 240) & (first + SIDE <= 290))
    assert (found.reason[hole] == 1).all() and (found.reason[dirt] == 2).all()
    assert found.abstain[hole].all() and found.abstain[dirt].all()
    np.testing.assert_array_equal(found.abstain, found.reason > 0)
    np.testing.assert_array_equal(found.confidence, found.probability.max(-1))
    np.testing.assert_allclose(found.probability.sum(-1), 1, rtol=1e-6)


def test_an_image_is_as_bright_as_one_in_a_hundred_of_its_squares():
    pixels = np.full((210, 325), 2.0, np.float32)
    pixels[:80, :80] = 5.0  # a hole
    pixels[100, 100], pixels[120, 120] = np.nan, np.inf
    assert mapping.brightest(pixels, 16) == 5.0
    pixels[:80, :80], pixels[5, 5] = 2.0, 50_000.0  # a hot pixel is no hole
    assert mapping.brightest(pixels, 16) == 2.0


def test_a_window_much_darker_than_its_image_gets_is_not_bright():
    class Seeing(Model):
        bright: ClassVar[list] = []

        def classify(self, blocks, valid, bright=None):
            self.bright.append(bright)
            return super().classify(blocks, valid)

    noise = np.random.default_rng(1).standard_normal((64, 128))
    pixels = (1 + 0.05 * noise) * np.where(np.arange(128) < 64, 0.9, 0.6)
    map_image(Image(Path("dark.tif"), None, "", pixels.astype(np.float32), SAMPLING, 200.0, 0.0, {}), Seeing(), STEP)
    bright = np.concatenate(Seeing.bright)
    assert bright[:, 0].all() and not bright[:, -1].any()


def test_a_place_is_judged_by_all_windows_that_hold_it():
    rng = np.random.default_rng(0)
    right = np.arange(60) >= 30
    p = np.clip(0.5 + 0.2 * np.where(right, 1, -1) + rng.normal(0, 0.3, (60, 60)), 0.02, 0.98)
    reason = np.zeros((60, 60), np.uint8)
    alone = np.stack([1 - p, p], -1).astype(np.float32)
    pooled, none = mapping.together(alone, reason, never(reason), 3)
    assert ((pooled.argmax(-1) == right).mean() > 0.97) and (alone.argmax(-1) == right).mean() < 0.8
    assert not none.any() and np.allclose(pooled.sum(-1), 1, atol=1e-6)
    same, _ = mapping.together(alone, reason, never(reason), 0)
    np.testing.assert_allclose(same, alone, atol=1e-6)
    every = np.broadcast_to(np.float32([0.3, 0.7]), (60, 60, 2))
    np.testing.assert_allclose(mapping.together(every, reason, never(reason), 3)[0], every, atol=1e-6)  # to the edges


def test_windows_that_are_unsure_alone_of_vacuum_tell_it_together():
    rng = np.random.default_rng(0)
    odds = rng.normal(np.where(np.arange(60) < 30, 0.7, 0.1), 0.4, (60, 60)).clip(-1, 1).astype(np.float32)
    reason, half = np.zeros((60, 60), np.uint8), np.full((60, 60, 2), 0.5, np.float32)
    _, told = mapping.together(half, reason, odds, 3)
    assert (told[:, :27] == 4).mean() > 0.95 and (told[4:-4, 34:] == 0).all()
    # at a corner a quarter of the windows is asked, and so more of each
    _, corner = mapping.together(half, reason, np.full((60, 60), 0.6, np.float32), 3)
    assert corner[0, 0] == 0 and corner[30, 30] == 4
    # windows further apart than half their side are alone
    _, alone = mapping.together(half, reason, np.full((60, 60), 0.9, np.float32), 0)
    assert (alone == 0).all()
    reason[:] = 1
    assert (mapping.together(half, reason, np.ones_like(odds), 3)[1] == 1).all()


def test_a_place_abstains_where_most_of_its_windows_do():
    reason = np.zeros((40, 40), np.uint8)
    reason[:, :20] = 4
    reason[10, 5] = reason[20:22, 8:10] = 0  # let through in the midst of them
    reason[30, 35] = 2  # a false alarm elsewhere
    reason[5:15, 30:35] = 1  # not valid, and so to its edge
    _, pooled = mapping.together(np.full((40, 40, 2), 0.5, np.float32), reason, never(reason), 4)
    assert (pooled[:, :18] == 4).all() and not pooled[20:, 21:].any()
    assert (pooled[5:15, 30:35] == 1).all()


def test_what_abstains_has_no_vote_and_what_is_not_valid_hides_nothing():
    alone = np.full((9, 9, 2), [0.8, 0.2], np.float32)
    reason = np.zeros((9, 9), np.uint8)
    alone[:, 5:], reason[:, 5:] = [0.001, 0.999], 4  # beside vacuum, which is called the other state
    pooled, why = mapping.together(alone, reason, never(reason), 2)
    believed = why == 0
    assert believed[:, :5].all() and not believed[:, 7:].any()
    np.testing.assert_allclose(pooled[believed], np.broadcast_to([0.8, 0.2], (believed.sum(), 2)), atol=1e-6)
    reason[:], reason[4, 4] = 1, 0
    alone[4, 4] = [0.7, 0.3]
    pooled, why = mapping.together(alone, reason, never(reason), 2)
    assert why[4, 4] == 0 and pooled[4, 4].tolist() == pytest.approx([0.7, 0.3])
    assert (pooled[why == 1] == 0.5).all() and (why == 1).sum() == 80


def test_the_shares_are_of_all_windows(found):
    assert found.shares == {
        "amorphous": pytest.approx((found.state == 0).mean()),
        "liquid": pytest.approx((found.state == 1).mean()),
        "abstained": pytest.approx(found.abstain.mean()),
    }
    assert sum(found.shares.values()) == pytest.approx(1)


def test_the_grid_starts_at_the_centre_of_the_first_window(image):
    """The asked step is rounded to pixels of the model's sampling."""
    found = map_image(image, Model(), 1.07)
    assert (found.step, found.origin) == (pytest.approx(1.0), pytest.approx((1.6, 1.6)))
    coarse, fine = map_image(image, Model(), 3.2), map_image(image, Model(), 0.2)
    assert (coarse.state == fine.state[::16, ::16]).mean() > 0.95


def test_a_finer_micrograph_has_the_same_map_in_ångström(image, found):
    """Twice as many pixels of half the size: the same specimen in the same places."""
    fine = replace(image, pixels=image.pixels.repeat(2, 0).repeat(2, 1), pixel_size=SAMPLING / 2)
    again = map_image(fine, Model(), STEP)
    assert again.abstain.shape == found.abstain.shape
    assert again.origin[0] == pytest.approx(found.origin[0] - SAMPLING / 4)  # the first pixel's centre is nearer
    centre = again.origin[1] + again.step * np.arange(again.abstain.shape[1])
    assert (again.state[:, centre + SIDE * SAMPLING / 2 < 31] == 0).all()


def test_a_large_micrograph_passes_through_a_temporary_file(image, found, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(mapping, "IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    again = map_image(image, Model(), STEP, progress=lambda *_: seen.extend(tmp_path.iterdir()))
    assert seen and not [*tmp_path.iterdir()]
    np.testing.assert_array_equal(again.probability, found.probability)
    np.testing.assert_array_equal(again.reason, found.reason)


def test_a_large_micrograph_is_not_kept_in_memory_to_see_how_bright_it_is(tmp_path):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    with open(tmp_path / "pixels", "xb+") as file:
        pixels = in_file(file, (4000, 4000), np.float32)
    before = resident()
    assert mapping.brightest(pixels, 50) == 0
    assert resident() - before < pixels.nbytes / 4


def test_the_facts_say_what_the_map_is_of(found):
    facts = json.loads(json.dumps(found.facts))
    assert facts["image"] | {"rows": 240, "columns": 320, "voltage_kV": 200.0, "defocus_A": 0.0} == facts["image"]
    assert facts["image"]["file_says"] == {"format": "TIFF"}
    assert facts["parameters"] == {"step_A": 1.0, "window_A": pytest.approx(3.2), "sampling_A": 0.2}
    assert len(facts["model"]["digest"]) == 12 and "numpy" in facts["versions"] and facts["warnings"] == []


# regions


def test_regions_have_their_area_probability_and_place():
    """A step of 2 Å: a window counts for 0.04 nm²."""
    found = drawn(
        [[0, 0, -1, 1], [0, 0, -1, 1], [1, -1, 0, -1]], [[0.6, 0.8, 1, 0.9], [0.6, 0.8, 1, 0.7], [1, 1, 1, 1]]
    )
    square, column, corner, alone = regions(found)
    assert (square["region"], square["state"], square["area_nm2"]) == (1, "amorphous", pytest.approx(4 * 0.04))
    assert square["mean_probability"] == pytest.approx(0.7)
    assert (square["x_nm"], square["y_nm"]) == (pytest.approx(0.7), pytest.approx(0.7))
    edges = [square[edge] for edge in ("left_nm", "top_nm", "right_nm", "bottom_nm")]
    assert edges == pytest.approx([0.5, 0.5, 0.9, 0.9])
    assert {r["state"]: r["area_nm2"] for r in (column, corner, alone)} == {
        "liquid": pytest.approx(0.04),
        "amorphous": pytest.approx(0.04),
    }
    assert column["area_nm2"] == pytest.approx(0.08) and column["mean_probability"] == pytest.approx(0.8)
    assert (column["x_nm"], column["y_nm"]) == (pytest.approx(1.2), pytest.approx(0.7))


def test_regions_touch_by_edges_and_never_through_what_abstains():
    assert len(regions(drawn([[0, 1], [1, 0]]))) == 4
    assert len(regions(drawn([[0, -1, 0]]))) == 2
    assert regions(drawn([[-1, -1]])) == []


def test_regions_and_abstention_cover_the_map(found):
    area = sum(region["area_nm2"] for region in regions(found))
    assert area == pytest.approx((~found.abstain).sum() * (found.step / 10) ** 2)


# the folder


@pytest.fixture(scope="module")
def folder(found, image, tmp_path_factory):
    out = tmp_path_factory.mktemp("maps") / "half"
    write(found, image, Model(), out)
    return out


def test_the_folder_holds_every_file_and_nothing_else(folder):
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert [*folder.parent.iterdir()] == [folder]


def test_the_stack_opens_in_imagej_calibrated_and_named(folder, found):
    with tifffile.TiffFile(folder / "map.tif") as file:
        stack, about, page = file.asarray(), file.imagej_metadata, file.pages[0]
        x, y = (np.divide(*page.tags[name].value) for name in ("XResolution", "YResolution"))
    assert stack.dtype == np.float32 and about["Labels"] == [*STATES, "confidence", "abstain"]
    np.testing.assert_array_equal(stack[:2], found.probability.transpose(2, 0, 1))
    np.testing.assert_array_equal(stack[2:], [found.confidence, found.abstain])
    assert about["unit"] == "nm" and x == pytest.approx(10) and y == pytest.approx(10)
    # ImageJ: position = (pixel - origin) * size, and a pixel's centre is half a pixel further
    assert (0.5 - about["xorigin"]) * 0.1 == pytest.approx(found.origin[1] / 10)
    assert json.loads(about["Info"])["states"] == list(STATES)


@pytest.mark.parametrize("name", ["map.tif", "map.hspy"])
def test_hyperspy_places_the_map_on_the_micrograph(folder, found, name):
    from rsciio import hspy, tiff

    (signal,) = (tiff if name.endswith("tif") else hspy).file_reader(folder / name)
    page, y, x = signal["axes"]
    for axis in (y, x):
        assert axis["units"] == "nm" and axis["scale"] == pytest.approx(0.1)
        # the first pixel's centre is where HyperSpy counts from
        assert axis["offset"] == pytest.approx((SIDE - 1) / 2 * SAMPLING / 10)
    assert page["navigate"] and signal["data"].shape == (4, y["size"], x["size"]) == (4, *found.abstain.shape)
    np.testing.assert_array_equal(signal["data"][3], found.abstain)


def test_rows_and_columns_keep_their_own_origin(tmp_path):
    from rsciio import hspy, tiff

    found = drawn([[0, 1, 1], [0, 1, 1]], origin=(6.0, 8.0))
    files.write_tiff(found, tmp_path / "map.tif")
    files.write_hyperspy(found, tmp_path / "map.hspy")
    for (shown,) in (tiff.file_reader(tmp_path / "map.tif"), hspy.file_reader(tmp_path / "map.hspy")):
        assert [axis["offset"] for axis in shown["axes"][1:]] == pytest.approx([0.575, 0.775])
    with tifffile.TiffFile(tmp_path / "map.tif") as file:
        assert (file.imagej_metadata["yorigin"], file.imagej_metadata["xorigin"]) == (-2.5, -3.5)
    assert regions(found)[0]["x_nm"] == pytest.approx(1.1) and regions(found)[0]["y_nm"] == pytest.approx(0.7)


def test_the_signal_carries_what_is_known_of_the_micrograph(folder, found):
    from rsciio import hspy

    (signal,) = hspy.file_reader(folder / "map.hspy")
    assert signal["metadata"]["General"]["title"] == "Map of half"
    assert signal["metadata"]["Acquisition_instrument"]["TEM"]["beam_energy"] == 200
    assert signal["metadata"]["PersisTEM"]["pages"] == [*STATES, "confidence", "abstain"]
    assert signal["original_metadata"]["image"]["file_says"] == {"format": "TIFF"}
    assert [axis["navigate"] for axis in signal["axes"]] == [True, False, False]
    own = found.to_hyperspy_dict()
    np.testing.assert_array_equal(own["data"], signal["data"])
    assert [axis["scale"] for axis in own["axes"]] == [axis["scale"] for axis in signal["axes"]]


def test_the_facts_and_the_table_agree_with_the_map(folder, found):
    facts = json.loads((folder / "map.json").read_text())
    assert facts["shares"] == found.shares and facts["states"] == list(STATES)
    assert sum(facts["abstained_windows"].values()) == found.abstain.sum()
    assert facts["grid"] | {"step_A": found.step, "origin_A": list(found.origin)} == facts["grid"]
    with open(folder / "regions.csv", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["state"] for row in rows] == [region["state"] for region in regions(found)]
    assert [float(row["area_nm2"]) for row in rows] == pytest.approx([r["area_nm2"] for r in regions(found)], rel=1e-5)


def test_the_same_map_is_the_same_bytes(folder, found, image, tmp_path):
    write(found, image, Model(), tmp_path / "half")
    for name in FILES:
        assert (tmp_path / "half" / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize("there", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "writer", ["write_tiff", "write_hyperspy", "write_overlay", "write_regions", "write_page", "facts_of"]
)
def test_a_failure_in_the_middle_leaves_what_was_there(writer, there, found, image, tmp_path, monkeypatch):
    out = tmp_path / "half"
    if there:
        write(found, image, Model(), out)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, writer, full)
    with pytest.raises(OSError, match="No space left"):
        write(found, image, Model(), out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert out.exists() == there and len([*tmp_path.iterdir()]) == there


def test_a_map_that_cannot_be_put_in_place_leaves_the_one_before(found, image, tmp_path, monkeypatch):
    write(found, image, Model(), tmp_path / "half")
    move = os.replace

    def stuck(source, target):
        if str(source).endswith(".part"):
            raise OSError(5, "Input/output error")
        move(source, target)

    monkeypatch.setattr(os, "replace", stuck)
    with pytest.raises(OSError, match="Input/output"):
        write(found, image, Model(), tmp_path / "half")
    assert [*tmp_path.iterdir()] == [tmp_path / "half"]
    assert sorted(path.name for path in (tmp_path / "half").iterdir()) == FILES


def test_only_a_map_is_replaced(found, image, tmp_path):
    out = tmp_path / "half"
    out.mkdir()
    write(found, image, Model(), out)
    write(found, image, Model(), out)
    assert sorted(path.name for path in out.iterdir()) == FILES
    (out / "notes.txt").write_text("mine")
    with pytest.raises(PersistemError, match=r"holds notes\.txt, which is no file of a map"):
        write(found, image, Model(), out)
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    for name in ("overlay.png", "map.json"):  # a folder or a link of that name is somebody else's, too
        kept = out / name
        kept.rename(tmp_path / "kept")
        kept.symlink_to(tmp_path / "kept")
        with pytest.raises(PersistemError, match=f"holds {name}, which is no file of a map"):
            write(found, image, Model(), out)
        assert kept.is_symlink()
        kept.unlink()
        (tmp_path / "kept").rename(kept)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    file = tmp_path / "file"
    file.write_text("mine")
    for mine in (other, file):
        with pytest.raises(PersistemError, match=f"{mine}: is there already"):
            write(found, image, Model(), mine)
    assert file.read_text() == (other / "thesis.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "half", "other"]


# the overlay


def test_the_overlay_shows_states_by_colour_and_confidence_by_opacity():
    """A grey micrograph of 0.5 Å pixels under windows 2 Å apart; the first window's centre is at 6 Å."""
    grey = np.full((64, 64), 0.5)
    found = drawn([[0, 1, 0, 1], [0, 1, 0, 1]], [[1, 1, 0.5, 0.75]] * 2)
    seen = blend(found, grey, 0.5)
    at = [(12, 12 + 4 * column) for column in range(4)]
    for (row, column), label, sure in zip(at, (0, 1, 0, 1), (1, 1, 0, 0.5), strict=True):
        opacity = STRONGEST * sure
        expected = (1 - opacity) * 0.5 + opacity * np.array(to_rgb(COLOURS[label]))
        np.testing.assert_allclose(seen[row, column], expected, atol=1e-6)
    coloured = np.ptp(seen, axis=-1) > 0.01
    rows, columns = np.nonzero(coloured)
    assert (rows.min(), rows.max() + 1, columns.min()) == (10, 18, 10)  # 5 Å to 9 Å, from 5 Å


def test_what_abstains_is_hatched_in_grey():
    seen = blend(drawn(np.full((8, 8), -1)), np.full((64, 64), 0.5), 0.5)
    inside = seen[12:40, 12:40]
    assert np.ptp(inside, axis=-1).max() < 1e-9 and len(np.unique(inside.round(6))) == 2
    np.testing.assert_array_equal(seen[:9], 0.5)


def test_the_overlay_says_the_states_their_shares_and_what_the_image_is(found, image, folder):
    import matplotlib.pyplot as plt

    figure = draw(found, replace(image, title="50 $ shot_1", defocus=-120.0, frame=3))
    (legend,) = figure.legends
    said = [text.get_text() for text in legend.get_texts()]
    assert said == [f"{what} {share:.0%}" for what, share in found.shares.items()]
    assert figure.axes[0].get_title().startswith(r"50 \$ shot_1")
    assert "frame 3" in figure.axes[0].get_title() and "200 kV" in figure.axes[0].get_title()
    figure.savefig(io.BytesIO())
    plt.close(figure)
    assert plt.imread(folder / "overlay.png").shape[1] > 500


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(40, 1200), (1200, 40), (64, 64)])
@pytest.mark.filterwarnings("error::UserWarning")
def test_an_overlay_has_room_for_any_shape_and_title(shape, tmp_path):
    """Nothing is warned of, so nothing collapsed; a title may be long, and in any letters."""
    import matplotlib.pyplot as plt
    from persistem.maps.overlay import write_overlay

    pixels = np.random.default_rng(2).random(shape)
    found = drawn(np.zeros([size // 4 for size in shape], int))
    found.facts["image"]["title"] = title = "$非晶質$ \udce9\0" * 40
    write_overlay(found, Image(Path("x.tif"), None, title, pixels, 0.5, 200.0, 0.0, {}), tmp_path / "overlay.png")
    rows, columns, _ = plt.imread(tmp_path / "overlay.png").shape
    assert 300 < columns < 1600 and 100 < rows < 2200


def test_a_large_micrograph_is_drawn_small_and_to_scale(image, found):
    import matplotlib.pyplot as plt

    big = replace(image, pixels=np.kron(image.pixels, np.ones((10, 10), np.float32)), pixel_size=SAMPLING / 10)
    figure = draw(found, big)
    shown = figure.axes[0].images[0].get_array()
    assert max(shown.shape) <= 1400 and shown.shape[1] / shown.shape[0] == pytest.approx(4 / 3, rel=0.01)
    tint = (shown[..., 0] - shown[..., 2]).mean(axis=0)  # vermilion against blue
    boundary = np.argmax(tint[100:] > 0) + 100
    assert boundary / shown.shape[1] == pytest.approx(0.5, abs=0.03)
    plt.close(figure)


# what is refused


@pytest.mark.parametrize("missing", ["pixel_size", "voltage", "defocus"])
def test_what_is_not_known_is_asked_for_by_its_argument(image, missing):
    with pytest.raises(PersistemError, match=rf"half.tif: the file does not say .*; give {missing} \(") as refused:
        map_image(replace(image, **{missing: None}), Model(), STEP)
    assert "--" not in str(refused.value) and f"give --{missing.replace('_', '-')} (" in refused.value.worded(option)


def test_all_that_does_not_fit_is_said_at_once(image):
    wrong = replace(image, pixel_size=0.3, voltage=80.0, defocus=None, pixels=image.pixels[:10])
    with pytest.raises(PersistemError) as refused:
        map_image(wrong, Model(), STEP)
    said = str(refused.value)
    assert all(what in said for what in ("does not say the defocus", "too coarse", "taken at 80 kV", "smaller than a"))
    assert said.count("half.tif") == 1 and "\n" not in said
    with pytest.raises(PersistemError, match=r"give pixel_size \(Å\), voltage \(kV\) and defocus \(Å, underfocus"):
        map_image(replace(image, pixel_size=None, voltage=None, defocus=None), Model(), STEP)


@pytest.mark.parametrize(
    ("change", "step", "said"),
    [
        ({"voltage": 203.0}, STEP, "taken at 203 kV, but the model is of 200 kV"),
        ({"voltage": 80.0}, STEP, "taken at 80 kV"),
        ({"pixel_size": 0.3}, STEP, "coarse"),
        ({"pixels": np.ones((15, 400), np.float32)}, STEP, "smaller than a window"),
        ({"pixels": np.ones((1, 1), np.float32)}, STEP, "smaller than a window"),
        ({"pixels": np.full((64, 64), 7.0)}, STEP, "no part of it shows anything"),
        ({}, 0.1, "step = 0.1 Å"),
        ({}, float("nan"), "step = nan"),
        ({}, -3.0, "step = -3"),
    ],
)
def test_what_the_model_cannot_judge_is_refused(image, change, step, said):
    with pytest.raises(PersistemError, match=said) as refused:
        map_image(replace(image, **change), Model(), step)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("made", ["broadcast", "holes"])
def test_a_micrograph_too_large_is_refused_before_anything_is_made_of_it(image, made, tmp_path):
    side, told = 20_000, []
    pixels = np.broadcast_to(np.float32(1), (side, side))
    if made == "holes":
        pixels = np.memmap(tmp_path / "pixels", np.uint16, "w+", shape=(side, side))
    large = replace(image, pixels=pixels)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PersistemError) as refused:
        map_image(large, Model(), STEP, progress=lambda *done: told.append(done))
    said = str(refused.value)
    assert said.startswith(
        "half.tif: too large to be mapped at once, 20000 x 20000 px at the model's sampling of 0.2 Å"
    )
    assert "up to 16000 x 16000 can be" in said and "cut it into parts" in said and "\n" not in said
    assert not told and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start < 2**16  # KiB
    assert said.removeprefix("half.tif: too") in " ".join(described([large], Model(), False, option)[0].split())
    # what counts is how much is shown: finer pixels make it no larger
    assert not objections(replace(large, pixel_size=SAMPLING / 4), Model())
    assert "12800 x 12800 of its own" in str(objections(replace(large, pixel_size=SAMPLING * 1.25), Model())[0])
    fits = replace(image, pixels=np.broadcast_to(np.float32(1), (8_000, 32_000)))
    assert not objections(fits, Model())


@pytest.mark.parametrize("letter", ["x", "é", "\udcff"])
def test_the_map_of_a_long_name_can_be_written(letter, found, image, tmp_path):
    name = letter * (250 // len(os.fsencode(letter)))
    folders = names([tmp_path / f"{name}.tif", tmp_path / f"{name}.dm4"])
    assert len(set(folders.values())) == 2
    for folder in folders.values():
        write(found, image, Model(), tmp_path / folder)
        assert (tmp_path / folder / "map.json").is_file()


def test_more_windows_than_can_be_held_are_refused(image, monkeypatch):
    monkeypatch.setattr(mapping, "MOST_WINDOWS", 1000)
    with pytest.raises(PersistemError, match=r"half.tif: step = 1 Å: makes \d+ windows; up to 1000 can be mapped"):
        map_image(image, Model(), 1.0)


def test_progress_is_told_from_the_start(image):
    told = []
    map_image(image, Model(), STEP, progress=lambda done, of: told.append(done / of))
    assert told[0] == 0 and told[-1] == 1 and told == sorted(told)


def test_a_voltage_within_a_percent_is_the_models(image, found):
    again = map_image(replace(image, voltage=201.9), Model(), STEP)
    np.testing.assert_array_equal(again.probability, found.probability)


@pytest.mark.parametrize(
    ("change", "said"), [({"defocus": 130.0}, "-100 to 100 Å"), ({"facts": {"mode": "STEM"}}, "STEM")]
)
def test_what_was_not_trained_is_warned_of(image, change, said):
    (warning,) = map_image(replace(image, **change), Model(), STEP).facts["warnings"]
    assert said in warning and "half.tif" in warning


def test_a_defocus_far_from_the_training_abstains_everywhere(image, found):
    """Farther than what reverses the contrast of 1 Å at 200 kV, 40 Å; nearer it is as it was, with a warning."""
    near, far = (map_image(replace(image, defocus=defocus), Model(), STEP) for defocus in (-139.0, 141.0))
    np.testing.assert_array_equal(near.reason, found.reason)
    assert far.abstain.all() and (far.reason[found.reason != 1] == REASONS.index("defocus far from the training")).all()
    np.testing.assert_array_equal(far.reason == 1, found.reason == 1)
    assert "too far" in far.facts["warnings"][0] and "too far" not in near.facts["warnings"][0]


def counted(dose, shape=(240, 320)):
    """Vacuum, counted by pixels of ``SAMPLING``."""
    electrons = dose * SAMPLING**2
    return np.random.default_rng(0).poisson(electrons, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("doses", "said"),
    [
        ([1600.0, 400.0], None),
        ([600.0, None], None),
        ([None, 1600.0, 400.0], None),
        ([200.0, 400.0], "trained at 200 to 400 e/Å²"),
        ([3200.0, None], "trained at 3200 e/Å² and above"),
        ([None], "trained without noise"),
    ],
)
def test_a_dose_that_was_not_trained_is_warned_of(image, doses, said):
    model = Model()
    model.card = {"trained_on": {"doses_e_A2": doses}}
    mapped = map_image(replace(image, pixels=counted(800.0)), model, STEP)
    dose = mapped.facts["conditions"]["dose_e_A2"]
    assert dose["low"] <= 800 <= dose["high"] and dose["value"] == pytest.approx(800, rel=0.05)
    warnings = mapped.facts["warnings"]
    assert (warnings == []) if said is None else (said in warnings[0] and "by its noise, the dose is" in warnings[0])


def test_a_model_that_sees_conditions_is_told_those_of_the_image(image):
    seen = []

    class Told(Model):
        blocks = ("contrast", "conditions")

        def classify(self, blocks, valid, bright=None):
            seen.append(blocks["conditions"])
            return super().classify(blocks, valid, bright)

    counting = replace(image, pixels=counted(800.0))
    map_image(counting, Told(), STEP)
    assert all((block == numbers(counting.pixels, 0.2, 200.0)).all() and block.ndim == 3 for block in seen)
    assert seen[0][0, 0, 1] == pytest.approx(np.log10(800), abs=0.05)


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({"dose": [400.0, None], "defocus": [-100.0, 100.0]}, None),
        ({"dose": [1600.0, None]}, "the dose is 796 .* e/Å², but the model was trained at 1600 and above: it abstains"),
        ({"dose": [100.0, 400.0]}, "trained at 100 to 400: it abstains everywhere"),
        ({"mtf": [0.2, 0.5]}, "the modulation transfer at the Nyquist frequency is .* trained at 0.2 to 0.5"),
    ],
)
def test_a_condition_that_the_image_shows_outside_the_ranges_of_the_training_abstains(image, ranges, said):
    model = Model()
    model.card = {"trained_on": {"doses_e_A2": [800.0], "conditions": ranges}}
    mapped = map_image(replace(image, pixels=counted(800.0)), model, STEP)
    warnings, number = mapped.facts["warnings"], CONDITIONS
    if said is None:
        assert warnings == [] and not (mapped.reason == number).any()
    else:
        assert re.search(said, warnings[0]) and len(warnings) == 1
        assert mapped.abstain.all() and (mapped.reason[mapped.reason != 1] == number).all()


@pytest.mark.parametrize(
    ("factor", "defocus", "least", "said"),
    [(1.0, 12.0, 2, None), (1.3, 12.0, 2, None),
     (0.62, 12.0, 2, "its contrast is 0.62 times the simulated (0.56 to 0.68)"),
     (2.0, 12.0, 2, "its defocus is 12 Å as stated; but images like the training have 0.75 to 1.35: it abstains where"),
     (2.0, 12.0, 10**6, None), (2.0, 108.0, 2, "its defocus is 108 Å as stated"), (2.0, 111.0, 2, None)],
)  # fmt: skip
def test_an_image_of_another_contrast_than_trained_is_given_no_state(
    image, found, monkeypatch, factor, defocus, least, said
):
    monkeypatch.setattr("persistem.model.contrast_factor.LEAST_AREA", least)
    asked = []

    class Read(Model):
        distribution = SimpleNamespace(scaling={"contrast": None})
        gauge = SimpleNamespace(error=0.05, low=0.75, high=1.35, beyond=lambda read: not 0.75 < read < 1.35)

    def logarithms(blocks, underfocus):
        asked.append((len(blocks["contrast"]), underfocus))
        return np.full(len(blocks["contrast"]), np.log(factor))

    Read.gauge.logarithms = logarithms
    mapped = map_image(replace(image, defocus=defocus), Read(), STEP)
    told, warnings = mapped.facts["conditions"], [w for w in mapped.facts["warnings"] if "a defocus of" not in w]
    if defocus > 110:  # farther from the training than a defocus is known
        assert not asked and told["contrast_factor"] == {"reason": "its defocus was not trained"}
    else:  # where the image shows anything, also a contrast that was not trained
        assert {underfocus for _, underfocus in asked} == {min(defocus, 100.0)}
        assert (found.reason == 0).sum() < sum(count for count, _ in asked) < mapped.reason.size
    if said is None:
        np.testing.assert_array_equal(mapped.reason, found.reason)
        assert warnings == []
    else:
        assert mapped.abstain.all() and (mapped.reason[found.reason == 0] == WHOLE_CONTRAST).all()
        np.testing.assert_array_equal(mapped.reason[found.reason > 0], found.reason[found.reason > 0])
        assert said in warnings[0] and len(warnings) == 1
    if least == 2 and defocus < 110:
        assert told["contrast_factor"]["value"] == pytest.approx(factor)
        assert told["says"][-1].startswith(f"contrast, times the simulated: {factor:.3g} (")
        assert told["says"][-1].endswith("); if the defocus is as stated")
    else:
        assert told["contrast_factor"]["reason"] in told["says"][-1]


def test_a_map_tells_what_its_image_says_of_its_conditions(image, tmp_path):
    model = Model()
    row = {"accuracy": 0.8, "ci_low": None, "ci_high": None}
    model.card = {
        "accuracy": [row | {"by": by, "value": v} for by, v in (("defocus", 0.0), ("dose", 400.0), ("dose", 800.0))]
    }
    counting = replace(image, pixels=counted(800.0))
    write(map_image(counting, model, STEP), counting, model, tmp_path / "counted")
    facts = json.loads((tmp_path / "counted/map.json").read_text())["conditions"]
    assert facts["dose_e_A2"]["value"] == pytest.approx(800, rel=0.05) and "value" not in facts["defocus_A"]
    assert facts["says"][0].startswith("dose: ") and facts["defocus_A"]["reason"]
    page = (tmp_path / "counted/map.html").read_text()
    assert "What the image says itself" in page and "by this image’s noise" in page
    # one too small to compare parts of says so, and is mapped all the same
    small = replace(image, pixels=image.pixels[:100, :100])
    said = map_image(small, model, STEP).facts["conditions"]
    assert said["says"] == [] and "128 px or more" in said["reason"]


# what contradicts the file


def stating(image, **stated):
    """An image whose file states these."""
    return replace(image, stated={name: Stated(value, "its header") for name, value in stated.items()})


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"pixel_size": 1.478}, "pixel_size = 0.2 Å contradicts the file, which says 1.478 Å (its header)"),
        ({"pixel_size": 0.2 / 1.06}, "pixel_size = 0.2 Å contradicts"),
        ({"voltage": 300.0}, "voltage = 200 kV contradicts the file, which says 300 kV (its header)"),
        ({"defocus": -500.0}, "defocus = 0 Å contradicts the file, which says -500 Å"),
        ({"defocus": 11.0}, "defocus = 0 Å contradicts"),
    ],
)
def test_what_contradicts_the_file_stops_unless_forced(image, stated, said, tmp_path):
    wrong = stating(image, **stated)
    with pytest.raises(PersistemError) as refused:
        map_image(wrong, Model(), STEP)
    assert said in str(refused.value) and "add force to use yours" in str(refused.value)
    assert "add --force to use yours" in refused.value.worded(option)
    forced = map_image(wrong, Model(), STEP, force=True)
    ((name, value),) = stated.items()
    (warning,) = forced.facts["warnings"]
    assert f"{name} = {getattr(image, name):g}" in warning and f"the file says {value:.4g}" in warning
    (correction,) = forced.facts["image"]["corrections"]
    known = {"setting": name, "given": getattr(image, name), "file": value, "tag": "its header", "forced": True}
    assert correction == known
    title = draw(forced, wrong).axes[0].get_title()
    assert f"Forced: {name} {getattr(image, name):g} " in title and f"the file says {value:.4g} " in title
    write(forced, wrong, Model(), tmp_path / "forced")
    page = (tmp_path / "forced/map.html").read_text()
    assert warning in page and "given, forced" in page


@pytest.mark.parametrize("stated", [{"pixel_size": 0.2 / 1.04}, {"voltage": 201.0}, {"defocus": 9.0}])
def test_a_recalibration_is_mapped_and_recorded(image, stated):
    recalibrated = map_image(stating(image, **stated), Model(), STEP)
    (name,) = stated
    assert recalibrated.facts["warnings"] == [] and recalibrated.facts["image"]["sources"][name] == "given"
    assert [(c["setting"], c["forced"]) for c in recalibrated.facts["image"]["corrections"]] == [(name, False)]
    same = map_image(stating(image, pixel_size=image.pixel_size), Model(), STEP)
    assert same.facts["image"]["corrections"] == [] and same.facts["image"]["sources"]["pixel_size"] == "its header"


def test_all_contradictions_are_said_with_what_is_missing(image):
    with pytest.raises(PersistemError) as refused:
        map_image(replace(stating(image, pixel_size=1.0, voltage=300.0), defocus=None), Model(), STEP)
    assert [word in str(refused.value) for word in ("say the defocus", "pixel_size = ", "voltage = ")] == [True] * 3


def test_a_file_and_a_signal_and_an_image_are_contradicted_alike(image, tmp_path, bundle, capsys):
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, image.pixels, imagej=True, resolution=(6.766, 6.766), metadata={"unit": "nm"})
    known = {"pixel_size": 0.2, "voltage": 200, "defocus": 0}
    with pytest.raises(
        PersistemError, match=r"film.tif: pixel_size = 0.2 Å contradicts the file, which says 1.478 Å \(Im"
    ):
        api.map(path, Model(), **known)
    assert api.map(path, Model(), **known, force=True).facts["image"]["corrections"][0]["forced"]
    axis = SimpleNamespace(scale=0.1478, units="nm")
    signal = SimpleNamespace(
        data=image.pixels,
        axes_manager=SimpleNamespace(signal_axes=(axis, axis)),
        metadata=SimpleNamespace(as_dictionary=dict),
    )
    with pytest.raises(PersistemError, match=r"pixel_size = 0\.2 Å contradicts the signal"):
        api.map(signal, Model(), **known)
    with pytest.raises(PersistemError, match=r"voltage = 202\.5 kV contradicts the file, which says 200 kV"):
        api.map(image, Model(), voltage=202.5)
    assert run("map", path, "--model", bundle, "--out", tmp_path / "out", *GIVEN) == 1
    said = capsys.readouterr().err
    assert "--pixel-size = 0.2 Å contradicts" in said and "add --force" in said and not (tmp_path / "out").exists()
    assert run("map", path, "--model", bundle, "--out", tmp_path / "out", "--force", *GIVEN) == 0
    assert "the file says 1.478 Å" in capsys.readouterr().err


# the command line


def test_a_micrograph_by_the_command_line(shots, bundle, found, capsys):
    assert run("map", shots / "a/shot.tif", "--model", bundle, "--out", shots / "out", "--step", STEP, *GIVEN) == 0
    said = capsys.readouterr()
    assert said.err == "" and said.out.count("\n") == 1 and f"liquid {found.shares['liquid']:.0%}" in said.out
    assert sorted(path.name for path in (shots / "out/shot").iterdir()) == FILES
    with tifffile.TiffFile(shots / "out/shot/map.tif") as file:
        np.testing.assert_array_equal(file.asarray()[:2], found.probability.transpose(2, 0, 1))


@pytest.mark.slow
def test_a_bad_file_does_not_keep_the_others(shots, bundle, capsys):
    """A folder for each image and frame, whatever shares a name; one sentence for what cannot be read."""
    images = [shots / name for name in ("bad.tif", "a/shot.tif", "stack.tif", "absent.tif", "b/shot.tif", "a/shot.tif")]
    assert run("map", *images, "--model", bundle, "--out", shots / "out", "--step", 3, *GIVEN) == 1
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.err.splitlines()] == ["persistem"] * 2
    assert "bad.tif" in said.err and "absent.tif" in said.err and "Traceback" not in said.err
    made = ["a-shot", "b-shot", "stack-frame-0", "stack-frame-1"]
    assert sorted(path.name for path in (shots / "out").iterdir()) == made
    left, right = (tifffile.imread(shots / f"out/stack-frame-{n}/map.tif") for n in (0, 1))
    assert left[1].mean(0).argmax() > right[1].mean(0).argmax()


@pytest.mark.parametrize("option", ["--pixel-size", "--voltage", "--defocus"])
def test_the_command_line_never_asks(shots, bundle, option, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    given = dict(zip(GIVEN[::2], GIVEN[1::2], strict=True))
    del given[option]
    arguments = [word for pair in given.items() for word in pair]
    assert run("map", shots / "stack.tif", "--model", bundle, "--out", shots / "out", *arguments) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and option in said.err
    assert not (shots / "out").exists()


def test_a_name_in_another_encoding_is_no_obstacle(image, tmp_path, bundle, capfd):
    path = tmp_path / os.fsdecode(b"caf\xe9.tif")
    tifffile.imwrite(path, image.pixels)
    assert run("map", path, "--model", bundle, "--out", tmp_path / "out", "--step", 5, *GIVEN) == 0
    (folder,) = (tmp_path / "out").iterdir()
    assert os.fsencode(folder.name) == b"caf\xe9" and sorted(file.name for file in folder.iterdir()) == FILES
    assert json.loads((folder / "map.json").read_text("utf-8"))["image"]["file"] == "caf?.tif"
    assert "caf?: amorphous" in capfd.readouterr().out


@pytest.mark.slow
def test_the_command_line_warns_of_a_defocus_that_was_not_trained(shots, bundle, capsys):
    """And far from it abstains everywhere, for that reason."""
    given = [*GIVEN[:-1], "900"]
    assert run("map", shots / "stack.tif", "--model", bundle, "--out", shots / "out", *given) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("persistem: warning: ") and "900 Å" in said
    facts = json.loads((shots / "out/stack-frame-1/map.json").read_text())
    assert facts["warnings"] == [said[len("persistem: warning: ") : -1]] and "too far" in said
    assert facts["shares"]["abstained"] == 1
    assert facts["abstained_windows"]["defocus far from the training"] > 300


def test_what_is_in_the_way_is_said_before_anything_is_computed(shots, bundle, capsys, monkeypatch):
    (shots / "out/shot").mkdir(parents=True)
    (shots / "out/shot/thesis.txt").write_text("mine")
    monkeypatch.setattr(mapping, "_resampled", None)
    assert run("map", shots / "a/shot.tif", "--model", bundle, "--out", shots / "out", *GIVEN) == 1
    assert "holds no map" in capsys.readouterr().err
    assert [*(shots / "out/shot").iterdir()] == [shots / "out/shot/thesis.txt"]


def test_names_are_unique(tmp_path):
    images = [Path(name) for name in ("x.dm4", "x.tif", "x-2.dm4", "b/X.mrc", "x.dm4")]
    assert [*names(images).values()] == ["x", "x-2", "x-2-2", "b-X"]


@pytest.mark.parametrize(
    ("name", "folder"),
    [("..tif", "tif"), ("...tif", "tif"), ("....", "image"), (".film.tif", ".film"), ("a.b.tif", "a.b")],
)
def test_a_name_of_dots_is_no_folder_above(name, folder):
    assert [*names([Path(name)]).values()] == [folder]


def test_a_map_never_replaces_one_of_another_file(shots, image, bundle, capsys):
    """In the next call; the same file, moved or changed, replaces its own map."""

    def maps(*files):
        assert run("map", *files, "--model", bundle, "--out", shots / "out", "--step", 6, *GIVEN) == 0
        of = {}
        for folder in (shots / "out").iterdir():
            facts = json.loads((folder / "map.json").read_text())["image"]
            of[folder.name] = f"{facts['folder']}/{facts['file']}"
        return of

    a, b = shots / "a/shot.tif", shots / "b/shot.tif"
    tifffile.imwrite(b, image.pixels[::-1])
    assert maps(a) == {"shot": "a/shot.tif"}
    both = {"shot": "a/shot.tif", "b-shot": "b/shot.tif"}
    assert maps(b) == both and maps(b) == both and maps(a) == both
    tifffile.imwrite(b, image.pixels[:, ::-1])
    assert maps(b) == both
    b.rename(shots / "shot.tif")
    third = maps(shots / "shot.tif")
    assert third == both | {f"{shots.name}-shot": f"{shots.name}/shot.tif"}
    assert str(shots) not in (shots / "out/shot/map.json").read_text()
    capsys.readouterr()


def test_a_link_in_the_way_is_not_followed(shots, bundle, capsys):
    (shots / "mine").mkdir()
    (shots / "out").mkdir()
    (shots / "out/shot").symlink_to(shots / "mine")
    assert run("map", shots / "a/shot.tif", "--model", bundle, "--out", shots / "out", *GIVEN) == 1
    assert "is not a map; choose another --out" in capsys.readouterr().err
    assert not [*(shots / "mine").iterdir()] and (shots / "out/shot").is_symlink()


def test_in_python_too_a_map_of_another_file_stays(shots, image, tmp_path):
    for folder in "ab":
        tifffile.imwrite(shots / folder / "shot.tif", image.pixels[: 200 + (folder == "b")])
    one, other = (api.image(shots / folder / "shot.tif", pixel_size=0.2, voltage=200, defocus=0) for folder in "ab")
    write(map_image(one, Model(), 6), one, Model(), tmp_path / "out")
    with pytest.raises(PersistemError, match="is the map of another file; choose another out"):
        write(map_image(other, Model(), 6), other, Model(), tmp_path / "out")


def test_a_map_that_is_stopped_leaves_nothing_behind(tmp_path):
    """In the middle of a large micrograph, whose copy is in temporary files."""
    stopped = """
import os, signal
import numpy as np
from pathlib import Path
from persistem.maps import mapping
from persistem.reading import Image
mapping.IN_MEMORY = 1
image = Image(Path("film"), None, "film", np.ones((64, 64)), 0.1, 200.0, 0.0, {})
with mapping._resampled(image, 0.2) as pixels:
    assert any(Path(os.environ["TMPDIR"]).glob("*/0"))
    os.kill(os.getpid(), signal.SIGTERM)
"""
    ended = subprocess.run([sys.executable, "-c", stopped], env=os.environ | {"TMPDIR": str(tmp_path)})
    assert ended.returncode == 128 + signal.SIGTERM
    assert not [*tmp_path.iterdir()]


def test_no_name_or_title_acts_on_a_terminal(image, tmp_path, bundle, capsys):
    evil = "\x1b]0;owned\x07\x9b31m"
    path = tmp_path / f"film{evil}.tif"
    tifffile.imwrite(path, image.pixels)
    assert run("map", path, "--model", bundle, "--out", tmp_path / "out", "--step", 6, *GIVEN) == 0
    assert run("inspect", path, *GIVEN) == 0
    path.write_bytes(b"II*\0")
    assert run("map", path, "--model", bundle, "--out", tmp_path / "out", *GIVEN) == 1
    said = capsys.readouterr()
    assert all(letter.isprintable() or letter == "\n" for letter in said.out + said.err)
    assert "owned" in said.out and "owned" in said.err


def test_progress_is_for_terminals(shots, bundle, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert run("map", shots / "a/shot.tif", "--model", bundle, "--out", shots / "out", *GIVEN) == 0
    said = terminal.getvalue()
    assert "100%" in said and "0:00 left" in said and "\n" not in said and said.endswith("\r\x1b[K")


# three lines of Python


def test_an_array_and_a_signal_and_a_file_have_the_same_map(shots, image, found):
    axis = SimpleNamespace(scale=0.02, units="nm", size=320)
    metadata = {"Acquisition_instrument": {"TEM": {"beam_energy": 200}}, "General": {"title": "mine"}}
    signal = SimpleNamespace(
        data=image.pixels,
        axes_manager=SimpleNamespace(signal_axes=(axis, axis), navigation_axes=()),
        metadata=SimpleNamespace(as_dictionary=lambda: metadata),
    )
    given = {"pixel_size": 0.2, "voltage": 200, "defocus": 0}
    for source, options in [
        (image.pixels, given),
        (signal, {"defocus": 0}),
        (shots / "a/shot.tif", given),
        (image, {}),
    ]:
        again = api.map(source, Model(), step=STEP, **options)
        np.testing.assert_array_equal(again.probability, found.probability)
    assert api.map(signal, Model(), defocus=0).facts["image"]["title"] == "mine"
    axis.units = "px"
    with pytest.raises(PersistemError, match=r"mine: the signal does not say its pixel size; give pixel_size \(Å\)"):
        api.map(signal, Model(), defocus=0)


def test_a_map_is_plotted_over_its_micrograph(image, found):
    import matplotlib
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend()
    figure = api.plot(found, image.pixels)
    assert figure.axes[0].images[0].get_array().shape == (240, 320, 3)
    assert matplotlib.get_backend() == before
    plt.close(figure)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 32, 32)), "3-dimensional"),
        (np.zeros((32, 32), complex), "complex"),
        (np.full((32, 32), "a"), "<U1"),
        (np.full((32, 32), np.nan), "not finite"),
    ],
)
def test_an_array_that_is_no_image_is_refused(array, said):
    with pytest.raises(PersistemError) as refused:
        api.map(array, Model(), pixel_size=0.2, voltage=200, defocus=0)
    assert said in str(refused.value)


@pytest.mark.parametrize("given", [{"pixel_size": -0.2}, {"voltage": float("inf")}, {"defocus": float("nan")}])
def test_an_option_that_is_no_number_of_its_kind_is_refused(image, given):
    with pytest.raises(PersistemError, match=next(iter(given))):
        api.map(image.pixels, Model(), **{"pixel_size": 0.2, "voltage": 200, "defocus": 0} | given)


def test_a_stack_is_mapped_image_by_image(shots):
    with pytest.raises(PersistemError, match="2 images"):
        api.map(shots / "stack.tif", Model(), pixel_size=0.2, voltage=200, defocus=0)


# what is read


def test_inspect_says_what_is_read_from_where_and_what_is_missing(image, tmp_path, capsys):
    write_velox(tmp_path / "film.emd", (100 * image.pixels[None]).clip(0, 60000).astype(np.uint16))
    assert run("inspect", tmp_path / "film.emd") == 0
    said = capsys.readouterr().out
    for words in (
        r"format +EMD",
        r"image +240 rows, 320 columns, uint16",
        r"pixel size +0\.25 Å \(BinaryResult\.PixelSize\)",
        r"voltage +300 kV \(Optics\.AccelerationVoltage\)",
        r"defocus +1000 Å \(Optics\.Defocus\)",
        r"mode +TEM",
        r"verdict +nothing is missing",
    ):
        assert re.search(words, said), words
    assert max(map(len, said.splitlines()[1:])) <= 80
    tifffile.imwrite(tmp_path / "bare.tif", image.pixels)
    assert run("inspect", tmp_path / "bare.tif", tmp_path / "absent.tif", "--voltage", "200") == 1
    said = capsys.readouterr()
    assert re.search(r"pixel size +not in the file; give --pixel-size \(Å\)\n", said.out)
    assert re.search(r"voltage +200 kV \(as given; the file does not say\)", said.out)
    assert "need the pixel size alone" not in said.out
    assert run("inspect", tmp_path / "bare.tif", "--pixel-size", "0.25") == 1
    assert re.search(r"but +persistem label and explore need the pixel size alone\n", capsys.readouterr().out)
    assert "absent.tif: no such file" in said.out and said.err.count("\n") == 1


def test_inspect_says_whether_the_model_can_judge_and_all_reasons_why_not(shots, bundle, capsys):
    def inspected(*options):
        status = run("inspect", shots / "stack.tif", "--model", bundle, *options)
        return status, " ".join(capsys.readouterr().out.split())

    assert inspected(*GIVEN) == (0, inspected(*GIVEN)[1]) and "the model can judge it" in inspected(*GIVEN)[1]
    assert "frames 0, 1 image" in inspected(*GIVEN)[1]
    status, said = inspected("--pixel-size", "0.3", "--voltage", "300")
    assert status == 1 and "cannot judge it because" in said and "too coarse" in said and "model is of 200 kV" in said
    status, said = inspected(*GIVEN[:-1], "900")
    assert status == 1 and "abstain everywhere" in said


def hyperspy_like(data, units="nm", **metadata):
    axis = SimpleNamespace(name="x", scale=0.02, units=units)
    return SimpleNamespace(
        data=data,
        axes_manager=SimpleNamespace(signal_axes=(axis, axis)),
        metadata=SimpleNamespace(as_dictionary=lambda: metadata),
    )


def test_a_signal_is_judged_as_its_file_would_be(image):
    for units in ("nm", "px"):
        with pytest.raises(PersistemError, match="diffraction pattern"):
            pattern = hyperspy_like(image.pixels, units, Signal={"signal_type": "electron_diffraction"})
            api.image(pattern, pixel_size=0.2)
    microscope = {"TEM": {"acquisition_mode": "STEM", "beam_energy": 200.0}}
    read = api.image(hyperspy_like(image.pixels, Acquisition_instrument=microscope))
    assert (read.facts["mode"], read.voltage, read.pixel_size) == ("STEM", 200, pytest.approx(0.2))


def test_grey_takes_the_mean_of_a_coloured_signal(image):
    levels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    coloured = levels.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    with pytest.raises(PersistemError, match="colour image"):
        api.image(hyperspy_like(coloured))
    np.testing.assert_array_equal(
        api.image(hyperspy_like(coloured), grey=True).pixels, np.rint(levels.mean(-1)).astype(np.uint8)
    )
    assert "mean of its channels" in " ".join(api.inspect(hyperspy_like(coloured), grey=True).split())


def test_a_quantity_that_is_no_number_is_one_sentence(image):
    for wrong in ("0.3", [0.3], True):
        with pytest.raises(PersistemError, match=r"^pixel_size = .*: must be a number, in Å$"):
            api.image(image.pixels, pixel_size=wrong)


def test_inspect_in_python_names_arguments(image, tmp_path):
    said = api.inspect(image.pixels, Model(), pixel_size=0.2)
    assert "give voltage (kV)" in said and "--" not in said and "the signal does not say" in said
    path = write_hspy(tmp_path / "film.hspy", image.pixels, scale=1e9)
    said = " ".join(api.inspect(path, Model(), pixel_size=0.2, voltage=200, force=True).split())
    assert "voltage 200 kV as given; the file says 80" in said
    assert "1e+10 Å wide, which no micrograph's are; pixel_size = 0.2 Å was given instead" in said
