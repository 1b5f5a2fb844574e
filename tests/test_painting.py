"""What is painted: operations, journal, undo, files, and a server that answers its own page alone."""

import asyncio
import base64
import json
import signal
import socket
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import tornado.httpclient
import tornado.httpserver
import tornado.websocket
import yaml
from persistem.commands.cli import main
from persistem.commands.maps import names
from persistem.errors import PersistemError
from persistem.painting import pictures
from persistem.painting.engine import LabelledEngine
from persistem.painting.folder import Folder
from persistem.painting.journal import Journal
from persistem.painting.operations import (
    Box,
    Deleted,
    Named,
    PixelSize,
    Polygon,
    Redo,
    Region,
    Stroke,
    Undo,
    drawn,
    operation,
)
from persistem.painting.places import Grid, doubt, helpful, region
from persistem.painting.server import Session, application, bound
from persistem.reading import read
from persistem.reading.labels import Labels, read_labels, write_labels
from persistem.study.load import load_study
from support.painting import GreyEngine, halves, served

SHAPE = (200, 300)


@pytest.fixture
def image(tmp_path):
    return halves(tmp_path / "halves.tif", *SHAPE)


@pytest.fixture
def opened(tmp_path, image):
    """Open the folder, after closing it if it was open."""
    folders = []

    def close():
        while folders:
            folders.pop().close()

    def open_(*images, **options):
        close()
        folders.append(Folder(tmp_path / "out", names(list(images) or [image]), **options))
        return folders[0]

    open_.close = close
    yield open_
    close()


def stroke(*points, state=1, radius=6, image="halves"):
    return Stroke(image=image, state=state, radius=radius, points=points or ((50, 50), (120, 50)))


# ---- what a mark covers


def test_a_stroke_covers_the_pixels_whose_centres_are_within_its_radius():
    for radius in (0.5, 1, 3.5, 20):
        mark = stroke((60.5, 80.5), (150.5, 80.5), (150.5, 120.5), radius=radius)
        box, mask = drawn(mark, SHAPE)
        full = np.zeros(SHAPE, bool)
        full[box.part] = mask
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
        along = np.hypot(np.maximum(np.abs(x - 105.5) - 45, 0), y - 80.5)
        down = np.hypot(x - 150.5, np.maximum(np.abs(y - 100.5) - 20, 0))
        distance = np.minimum(along, down)
        assert full[distance < radius - 0.8].all() and not full[distance > radius + 0.8].any(), radius


def test_marks_are_where_they_were_made():
    """Rows are not columns: a transposed or shifted drawing would fail."""
    box, mask = drawn(Polygon(image="halves", state=1, points=((10, 20), (40, 20), (40, 30), (10, 30))), SHAPE)
    full = np.zeros(SHAPE, bool)
    full[box.part] = mask
    rows, columns = np.nonzero(full)
    assert abs(rows.min() - 20) <= 1 and abs(rows.max() - 29) <= 1
    assert abs(columns.min() - 10) <= 1 and abs(columns.max() - 39) <= 1
    box, mask = drawn(stroke((299, 5), radius=10), SHAPE)
    assert box.right == SHAPE[1] and box.top == 0 and mask[:, -1].any()
    box, mask = drawn(stroke((-500, -500)), SHAPE)
    assert not mask.size
    box, mask = drawn(Region(image="h", state=1, origin=(8, 8), step=8, runs=((0, 1, 2), (1, 1, 1))), SHAPE)
    assert box == Box(4, 12, 20, 28) and mask.sum() == 3 * 64 and not mask[8:, 8:].any()


@pytest.mark.parametrize(
    "asked",
    [
        {"do": "stroke", "image": "a", "state": 1, "radius": float("inf"), "points": [[1, 1]]},
        {"do": "stroke", "image": "a", "state": 1, "radius": 3, "points": []},
        {"do": "stroke", "image": "a", "state": 256, "radius": 3, "points": [[1, 1]]},
        {"do": "stroke", "image": "a", "state": 1, "radius": 3, "points": [[1e9, 1]]},
        {"do": "stroke", "image": "../a", "state": 1, "radius": 3, "points": [[1, 1]]},
        {"do": "stroke", "image": "a", "state": 1, "radius": 3, "points": [[1, 1]], "more": 1},
        {"do": "polygon", "image": "a", "state": 1, "points": [[1, 1], [2, 2]]},
        {"do": "state", "number": 1, "name": "<b>", "colour": "#000000"},
        {"do": "state", "number": 1, "name": "a", "colour": "url(x)"},
        {"do": "pixel_size", "image": "a", "value": -1},
        {"do": "format disk"},
        [],
        None,
    ],
)
def test_what_is_no_operation_is_refused_in_a_sentence(asked):
    with pytest.raises(PersistemError) as refused:
        operation(asked)
    assert "\n" not in str(refused.value)


# ---- the folder


def test_labels_undo_and_redo_survive_a_restart(opened):
    folder = opened()
    folder.perform(stroke())
    one = folder.sheets["halves"].labels.copy()
    folder.perform(stroke((60, 50), (60, 150), state=2))
    two = folder.sheets["halves"].labels.copy()
    folder.perform(stroke((60, 50), state=0, radius=30))
    three = folder.sheets["halves"].labels.copy()
    folder.perform(Undo(image="halves"))
    folder = opened()
    sheet = folder.sheets["halves"]
    assert (sheet.labels == two).all() and len(sheet.done) == 2 and len(sheet.undone) == 1
    folder.perform(Redo(image="halves"))
    assert (sheet.labels == three).all()
    for expected in (two, one, np.zeros(SHAPE)):
        folder.perform(Undo(image="halves"))
        assert (sheet.labels == expected).all()
        assert (sheet.counts == np.bincount(sheet.labels.ravel(), minlength=256)).all()
    with pytest.raises(PersistemError, match="nothing to undo"):
        folder.perform(Undo(image="halves"))
    folder.perform(stroke())
    with pytest.raises(PersistemError, match="nothing to redo"):
        folder.perform(Redo(image="halves"))


def test_a_region_never_covers_labels(opened):
    folder = opened()
    folder.perform(stroke(state=2))
    before = folder.sheets["halves"].labels.copy()
    folder.perform(Region(image="halves", state=1, origin=(8, 8), step=8, runs=tuple((k, 0, 30) for k in range(12))))
    after = folder.sheets["halves"].labels
    assert (after[before > 0] == 2).all() and (after == 1).sum() > 5000


def test_states_are_named_recoloured_and_deleted(opened):
    folder = opened()
    folder.perform(Named(number=1, name="carbon", colour="#123456"))
    folder.perform(Named(number=folder.next_state(), name="vacuum", colour="#654321"))
    folder.perform(stroke(state=3))
    with pytest.raises(PersistemError, match="two cannot have one name"):
        folder.perform(Named(number=2, name="carbon", colour="#123456"))
    with pytest.raises(PersistemError, match="a word of maps"):
        folder.perform(Named(number=2, name="abstained", colour="#123456"))
    with pytest.raises(PersistemError, match="vacuum has labels; erase them"):
        folder.perform(Deleted(number=3))
    folder.perform(Undo(image="halves"))
    folder.perform(Deleted(number=3))
    with pytest.raises(PersistemError, match="not there any more"):
        folder.perform(stroke(state=3))
    assert folder.next_state() == 4  # a number is never given twice
    folder = opened()
    assert {k: state.name for k, state in folder.listed.items()} == {1: "carbon", 2: "state-2"}
    folder.perform(Redo(image="halves"))
    assert folder.listed[3].name == "vacuum"  # its labels are back, and so is it


def test_files_are_what_is_painted(opened, tmp_path, image):
    folder = opened()
    folder.perform(PixelSize(image="halves", value=0.5))
    folder.perform(Named(number=1, name="dark", colour="#0072b2"))
    folder.perform(stroke())
    folder.save(["halves"], {"model": {"windows": {"sampling": 0.5, "size": 8.0}}})
    path = tmp_path / "out" / "halves.labels.tif"
    written = tifffile.imread(path)
    assert written.dtype == np.uint8 and (written == folder.sheets["halves"].labels).all()
    found = read_labels(path, SHAPE, image=image)
    assert (found.regions == written).all() and found.states == {1: "dark"}
    legend = json.loads(path.with_suffix(".json").read_text())
    assert legend["colours"] == {"1": "#0072b2"} and legend["pixel"] == {"size_A": 0.5}
    study = load_study(tmp_path / "out" / "study.yaml")
    assert study.name == "labels-out"
    [entry] = study.labelled
    assert (entry.path, entry.labels) == (str(image.resolve()), str(path.resolve()))
    assert (entry.states, entry.specimen, entry.pixel_size) == ({1: "dark"}, "halves", 0.5)
    assert read_labels(path, SHAPE, entry.states, image=image).states == {1: "dark"}


def test_without_labels_there_is_no_study(opened, tmp_path):
    """An empty one would be the paper's, with hours of molecular dynamics."""
    folder, study = opened(), tmp_path / "out" / "study.yaml"
    folder.save(["halves"], {})
    assert not study.exists()
    folder.perform(stroke())
    folder.save(["halves"], {"model": {"windows": {"sampling": 0.5, "size": 8.0}}})
    assert study.exists()
    folder.perform(Undo(image="halves"))
    folder.save(["halves"], {})
    assert not study.exists()


def test_a_study_can_name_every_specimen(opened, tmp_path):
    images = [halves(tmp_path / f"{name}.tif", pixel_size=2.0) for name in ("1 ü", "1-ü", "a b")]
    folder = opened(*images)
    for name in folder.sheets:
        folder.perform(stroke(image=name))
        folder.perform(stroke((20, 20), state=2, image=name))
    folder.save(folder.sheets, {"model": {"windows": {"sampling": 2.0, "size": 32.0}}})
    study = load_study(tmp_path / "out" / "study.yaml")
    assert [entry.specimen for entry in study.labelled] == ["image-1--", "image-1---2", "a-b"]


def test_a_changed_image_is_refused(opened, image, tmp_path, capsys):
    folder = opened()
    folder.perform(stroke())
    before = image.read_bytes()
    image.touch()  # the same content
    folder.perform(stroke(state=2))
    halves(image, *SHAPE, seed=1)
    with pytest.raises(PersistemError, match="has changed since it was labelled"):
        folder.perform(stroke((5, 5)))
    folder.save(["halves"], {})  # the labels are of the image that was there
    with pytest.raises(PersistemError, match="not the image that was labelled"):
        read_labels(tmp_path / "out" / "halves.labels.tif", SHAPE, image=image)
    opened.close()
    assert main(["label", str(image), "--out", str(tmp_path / "out"), "--no-browser"]) == 1
    said = capsys.readouterr().err
    assert "has changed since it was labelled" in said and said.count("\n") == 1
    image.write_bytes(before)
    assert len(opened().sheets["halves"].done) == 2


def test_other_images_of_a_folder_keep_their_labels(opened, image, tmp_path):
    other = halves(tmp_path / "other.tif", 100, 120, pixel_size=2.0)
    opened().perform(stroke())
    folder = opened(other)
    assert folder.sheets["halves"].labels.any() and folder.sheets["other"].pixel_size == pytest.approx(2.0)
    image.unlink()
    folder = opened(other)
    assert "labels are kept" in folder.sheets["halves"].problem and folder.sheets["halves"].labels.any()


def test_a_moved_image_keeps_its_labels_and_another_of_its_name_is_refused(opened, image, tmp_path):
    opened().perform(stroke())
    (tmp_path / "moved").mkdir()
    place = image.rename(tmp_path / "moved" / image.name)
    for folder in (opened(place), opened(place)):
        assert list(folder.sheets) == ["halves"] and len(folder.sheets["halves"].done) == 1
    assert not opened(place).sheets["halves"].problem
    other = halves(tmp_path / "halves.tif", seed=5)
    with pytest.raises(PersistemError, match="has labels of another halves"):
        opened(other)


def test_labels_of_unknown_origin_are_not_overwritten(tmp_path, image):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "halves.labels.tif").write_bytes(b"mine")
    with pytest.raises(PersistemError, match="choose another folder"):
        Folder(tmp_path / "out", names([image]))
    assert (tmp_path / "out" / "halves.labels.tif").read_bytes() == b"mine"


@pytest.mark.parametrize("before", [None, "empty", "used", "foreign"])
def test_a_refused_start_leaves_everything_as_it_was(before, opened, tmp_path, image, capsys):
    out = tmp_path / "out"
    if before == "used":
        opened()
        opened.close()
    elif before:
        out.mkdir()
    if before == "foreign":
        (out / "halves.labels.tif").write_bytes(b"mine")
    coarse = halves(tmp_path / "coarse.tif", pixel_size=80.0)
    tifffile.imwrite(
        tmp_path / "stack.tif", np.random.default_rng(0).integers(0, 9, (4, 40, 40), np.uint8), photometric="minisblack"
    )
    wrong = [["coarse.tif"], ["stack.tif"], ["absent.tif"], ["halves.tif", "coarse.tif"]]
    wrong += [["halves.tif", "--pixel-size", "70"]] + ([["halves.tif"]] if before == "foreign" else [])
    kept = {path: path.read_bytes() for path in out.rglob("*")} if before else None
    for arguments in wrong:
        arguments = [str(tmp_path / word) if word.endswith(".tif") else word for word in arguments]
        assert main(["label", *arguments, "--out", str(out), "--no-browser"]) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and str(tmp_path) in said
        assert ({path: path.read_bytes() for path in out.rglob("*")} if out.exists() else None) == kept, said
    main(["label", str(coarse), "--out", str(out), "--no-browser"])
    assert f"{coarse}: pixel_size = 80 Å: too coarse" in capsys.readouterr().err


def test_a_pixel_size_that_was_given_holds_where_the_file_says_a_coarse_one(opened, tmp_path):
    coarse = halves(tmp_path / "coarse.tif", pixel_size=80.0)
    check = LabelledEngine(tmp_path / "cache").study
    opened(coarse, pixel_size=0.5, check=check)
    assert opened(coarse, check=check).sheets["coarse"].pixel_size == 0.5


def test_a_cut_line_is_dropped_and_a_damaged_one_is_named(opened, tmp_path, image):
    folder = opened()
    folder.perform(stroke())
    expected = folder.sheets["halves"].labels.copy()
    opened.close()
    path = tmp_path / "out" / "strokes.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:40])
    folder = opened()
    assert (folder.sheets["halves"].labels == expected).all()
    folder.perform(stroke(state=2))
    opened.close()
    assert path.read_bytes().startswith(whole) and path.read_bytes().count(b"\n") == whole.count(b"\n") + 1
    for damage, said in [
        (b"\0\1\n", "line 5 is damaged"),
        (b'{"do":"undo","image":"halves"}\n' * 2, "nothing to undo"),
    ]:
        path.write_bytes(whole + damage)
        with pytest.raises(PersistemError, match=said):
            Folder(tmp_path / "out", names([image]))
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PersistemError, match=r"strokes\.jsonl: cannot be opened"):
        Journal(path)


def test_a_full_disk_loses_nothing(opened, monkeypatch):
    folder = opened()
    before = (folder.path / "strokes.jsonl").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError):
            folder.perform(stroke())
    assert not folder.sheets["halves"].labels.any() and (folder.path / "strokes.jsonl").read_bytes() == before
    folder.perform(stroke())
    assert opened().sheets["halves"].labels.any()


def test_tiles_show_the_whole_image(image):
    pixels = np.tile(np.linspace(0, 1000, 1300, dtype=np.float32), (1100, 1))
    shown = read(image, pixel_size=1.0)[0]
    object.__setattr__(shown, "pixels", pixels)
    levels = pictures.pyramid(shown)
    assert [level.shape for level in levels] == [(1100, 1300), (550, 650), (275, 325)] and pictures.levels(
        (1100, 1300)
    ) == 3
    assert levels[0][0, 0] == 0 and levels[0][0, -1] == 255 and abs(levels[0][0, 650] - 127) <= 2
    import cv2

    last = cv2.imdecode(np.frombuffer(pictures.tile(levels[0], 2, 2), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (last == levels[0][1024:, 1024:]).all()
    assert pictures.tile(levels[0], 3, 0) is None


# ---- places


def test_places_are_doubtful_far_from_labels_and_apart():
    probability = np.full((50, 50, 2), (0.99, 0.01), np.float32)
    probability[10:14, 30:34] = 0.5
    abstain = np.zeros((50, 50), bool)
    abstain[40:44, 5:9] = True
    labels = np.zeros((400, 400), np.uint8)
    found = helpful(doubt(probability, abstain), labels, 8, (4, 4), 40)
    assert len(found) == 2
    assert {(round(x / 80), round(y / 80)) for x, y in found} == {(3, 1), (1, 4)}
    labels[80:110, 245:275] = 1
    assert all(y > 200 for _, y in helpful(doubt(probability, abstain), labels, 8, (4, 4), 40)[:1])
    assert helpful(np.zeros((50, 50)), labels, 8, (4, 4), 40) == []


def test_no_place_is_nearer_to_an_edge_than_half_a_window():
    doubts = np.zeros((50, 60))
    doubts[:, :6] = doubts[:, -6:] = doubts[:6] = doubts[-6:] = 1  # the edges are the most doubtful
    found = helpful(doubts, np.zeros((400, 480), np.uint8), 8, (4, 4), 40)
    assert found and all(20 <= x <= 460 and 20 <= y <= 380 for x, y in found)
    assert helpful(doubts, np.zeros((400, 480), np.uint8), 8, (4, 4), 402) == []


def test_a_region_is_connected_sure_and_of_one_state():
    probability = np.zeros((6, 8, 2), np.uint8)
    probability[..., 0] = 250
    probability[2:4, 2:5] = (5, 250)
    probability[2, 5] = (100, 155)
    grid = Grid(probability, np.zeros((6, 8), bool), (4, 9), 10, (5, 5), [])
    assert region(grid, 35, 25) == (9, [(2, 2, 4), (3, 2, 4)])
    assert region(grid, 55, 25) is None and region(grid, -20, 5) is None
    state, runs = region(grid, 5, 5)
    assert state == 4 and (2, 0, 1) in runs and (2, 6, 7) in runs


# ---- the engine


def test_the_engine_tells_textures_apart(tmp_path):
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    fine, coarse = (gaussian_filter(rng.normal(size=(160, 160)), width) for width in (1, 3))
    pixels = 100 + 10 * np.hstack([fine / fine.std(), coarse / coarse.std()])
    tifffile.imwrite(tmp_path / "a.tif", pixels.astype(np.float32))
    image = read(tmp_path / "a.tif", pixel_size=0.5)[0]
    engine = LabelledEngine(tmp_path / "cache")
    described = engine.describe(image, ((0.5, image.pixels.shape),), lambda done, total: None)
    labels = np.zeros(pixels.shape, np.uint8)
    labels[30:50, 20:120], labels[100:120, 20:120], labels[30:50, 200:300], labels[100:120, 200:300] = 1, 1, 2, 2
    model = engine.train([described], [labels], {1: "fine", 2: "coarse"}, lambda done, total: None)
    found = engine.map(model, described)
    best = np.array(found.states)[found.probability.argmax(axis=-1)]
    centre = found.origin[1] / 0.5 + np.arange(best.shape[1]) * found.step / 0.5
    assert (best[:, centre < 120] == "fine").mean() > 0.95 and (best[:, centre > 200] == "coarse").mean() > 0.95
    assert model.scores["balanced_accuracy"] > 0.9
    assert model.scores["held"] == "part by part" and "abstained_all" not in model.scores
    # both states are in strips 20 px high, where a window and what must be about it take 42
    assert any(
        "No area of fine or coarse is clearly wider than a window (1.8 nm)" in said for said in model.scores["notes"]
    )
    assert engine.window(((0.5, image.pixels.shape),)) == 18.0
    again = engine.describe(image, ((0.5, image.pixels.shape),), lambda done, total: pytest.fail("it is on the disk"))
    assert (again.described.blocks["filters"] == described.described.blocks["filters"]).all()


def test_a_study_makes_the_model_of_the_page(tmp_path, monkeypatch):
    """The study in the folder has the same windows, rows and order: its model is the page's, number for number."""
    from persistem.labelled import describing, fitting
    from persistem.model import bundle
    from persistem.plan.plan import Plan
    from scipy.ndimage import gaussian_filter

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    engine, sizes = LabelledEngine(tmp_path / "cache"), ((0.5, (160, 320)), (0.4, (200, 400)))
    described, painted, entries = [], [], []
    for name, (pixel_size, shape) in zip("ab", sizes, strict=True):
        half = shape[1] // 2
        fine, coarse = (gaussian_filter(rng.normal(size=(shape[0], half)), width / pixel_size) for width in (0.5, 1.5))
        pixels = 100 + 10 * np.hstack([fine / fine.std(), coarse / coarse.std()])
        tifffile.imwrite(f"{name}.tif", pixels.astype(np.float32))
        image = read(Path(f"{name}.tif"), pixel_size=pixel_size)[0]
        labels = np.zeros(shape, np.uint8)
        labels[20:66, 20 : half - 30], labels[20:66, half + 30 : -20] = 1, 2
        write_labels(Path(f"{name}.labels.tif"), Labels(labels, {1: "fine", 2: "coarse"}), image.path)
        described.append(engine.describe(image, sizes, lambda done, total: None))
        painted.append(labels)
        entries.append({"path": f"{name}.tif", "labels": f"{name}.labels.tif", "pixel_size": pixel_size})
    learned = engine.train(described, painted, {1: "fine", 2: "coarse"}, lambda done, total: None)
    page = learned.model
    Path("study.yaml").write_text(yaml.safe_dump({"labelled": entries, **engine.study(sizes)}))
    plan = Plan(load_study(Path("study.yaml")))
    for name, path in plan.labelled.descriptions.items():
        settings = plan.settings("descriptions", Path(path).parent.name)
        image = read(Path(plan.labelled.files[name]), pixel_size=settings["pixel_size"])[0]
        windows = page.windows
        assert windows.model_dump(mode="json") == settings["windows"]
        describing.write(describing.describe(image, windows, settings["step"], settings["blocks"]), tmp_path / path)
    fitting.fit(plan.model.settings, tmp_path, tmp_path / "bundle")
    made = bundle.load(tmp_path / "bundle")
    # and the page says of windows left out what the study's card says
    card, said = json.loads((tmp_path / "bundle/card.json").read_text()), learned.scores
    assert said["held"] == "micrograph by micrograph" and said["recall"].keys() == {"fine", "coarse"}
    assert said["abstained_all"] == pytest.approx(card["assessed"]["abstained"], abs=1e-4)
    shares = [said["abstained"][name] * said["windows"][name] for name in said["windows"]]
    assert sum(shares) / sum(said["windows"].values()) == pytest.approx(said["abstained_all"])
    assert not any("wider than a window" in note for note in said["notes"])
    assert made.states == page.states and made.classifier.lengths == page.classifier.lengths
    assert np.array_equal(made.classifier.scorer.weights, page.classifier.scorer.weights)
    assert np.array_equal(made.classifier.calibration.coef_, page.classifier.calibration.coef_)
    assert np.array_equal(made.distribution.thresholds, page.distribution.thresholds)
    assert made.relief == page.relief


# ---- the server


def served_here(folder, use, engine=None):
    """Serve in this process, and run the coroutine ``use(session, address, port)``."""

    async def run():
        sockets = bound(0)
        session, port = Session(folder, engine or GreyEngine()), sockets[0].getsockname()[1]
        server = tornado.httpserver.HTTPServer(application(session, port, "token"))
        server.add_sockets(sockets)
        try:
            return await use(session, f"127.0.0.1:{port}/token/")
        finally:
            server.stop()
            session.worker.close()

    return asyncio.run(run())


async def fetched(address, **headers):
    client = tornado.httpclient.AsyncHTTPClient()
    return await client.fetch(f"http://{address}", headers=headers, raise_error=False)


async def told(page, kind):
    """The next message of a kind."""
    while True:
        message = json.loads(await asyncio.wait_for(page.read_message(), 20))
        if message["tell"] == kind:
            return message
        if message["tell"] == "sentence":
            return message


def test_only_the_page_itself_is_answered(opened):
    async def use(session, address):
        port = address.split(":")[1].split("/")[0]
        good = await fetched(address)
        assert good.code == 200 and b"PersisTEM" in good.body
        policy = good.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
        assert b"<script>" not in good.body and b"style=" not in good.body and b"onclick" not in good.body
        for name in ("base.css", "label.css", "main.js", "socket.js", "view.js", "layers.js", "tools.js", "panel.js"):
            assert (await fetched(address + name)).code == 200, name
        assert (await fetched(address + "tiles/0/0/0/0.png")).body.startswith(b"\x89PNG")
        for name in ("tiles/7/0/0/0.png", "tiles/0/9/0/0.png", "tiles/0/0/9/9.png", "labels/7", "server.py", "../x"):
            assert (await fetched(address + name)).code in (403, 404), name
        for name in ("", "tiles/0/0/0/0.png", "labels/0", "socket"):
            for wrong in ("guess/", "", "toke/", "tokent/"):
                assert (await fetched(address.replace("token/", wrong) + name)).code in (403, 404), (name, wrong)
            assert (await fetched(address + name, Host="evil.example")).code == 403
            assert (await fetched(address + name, Host=f"evil.example:{port}")).code == 403
            assert (await fetched(address + name, Origin="http://evil.example")).code == 403
            assert (await fetched(address + name, Origin="null")).code == 403
            assert (await fetched(address + name, **{"Sec-Fetch-Site": "cross-site"})).code == 403
        request = tornado.httpclient.HTTPRequest(f"ws://{address}socket", headers={"Origin": "http://evil.example"})
        with pytest.raises(tornado.httpclient.HTTPClientError, match="403"):
            await tornado.websocket.websocket_connect(request)
        with pytest.raises(tornado.httpclient.HTTPClientError, match="403"):
            await tornado.websocket.websocket_connect(f"ws://{address.replace('token', 'guess')}socket")
        with socket.socket() as other, pytest.raises(OSError):
            other.settimeout(0.3)
            other.connect((socket.gethostbyname(socket.gethostname()), int(port)))
            if socket.gethostbyname(socket.gethostname()).startswith("127."):
                raise OSError  # this machine has no other address

    served_here(opened(), use)


def test_two_pages_see_the_same_and_errors_go_to_one(opened):
    folder = opened()

    async def use(session, address):
        one, two = [await tornado.websocket.websocket_connect(f"ws://{address}socket") for _ in range(2)]
        hello = await told(one, "hello")
        assert hello["images"][0]["file"] == "halves.tif" and hello["images"][0]["pixel_size"] is None
        await told(two, "hello")
        mark = {"do": "stroke", "image": "halves", "state": 1, "radius": 4, "points": [[20, 30], [60, 30]], "id": 5}
        await one.write_message(json.dumps(mark))
        seen = [await told(page, "labels") for page in (one, two)]
        assert seen[0] == seen[1] and (await told(one, "did"))["id"] == 5
        top, left, bottom, right = seen[0]["box"]
        part = np.frombuffer(zlib.decompress(base64.b64decode(seen[0]["data"])), np.uint8)
        assert (
            part.reshape(bottom - top, right - left) == folder.sheets["halves"].labels[top:bottom, left:right]
        ).all()
        answer = await fetched(address + "labels/0", **{"Accept-Encoding": "deflate"})
        assert answer.headers["X-Revision"] == "1"
        for wrong in (
            "not json",
            "[]",
            '{"do": "open"}',
            '{"do": "train", "image": "none"}',
            json.dumps(mark | {"state": 9}),
        ):
            await one.write_message(wrong)
            assert (await told(one, "sentence"))["tell"] == "sentence", wrong
        await one.write_message(json.dumps({"do": "state", "number": 1, "name": "a b", "colour": "#000000"}))
        assert "letters, digits" in (await told(one, "sentence"))["text"]
        await one.write_message(json.dumps({"do": "add"}))
        assert [state["name"] for state in (await told(two, "states"))["states"]] == [
            "state-1",
            "state-2",
        ]  # the stroke
        assert [state["name"] for state in (await told(two, "states"))["states"]] == ["state-1", "state-2", "state-3"]
        await asyncio.sleep(0.8)
        assert (tifffile.imread(folder.path / "halves.labels.tif") == folder.sheets["halves"].labels).all()

    served_here(folder, use)


def two_strokes(opened):
    """The folder with a stroke of each state, which a training needs."""
    folder = opened(pixel_size=2.0)
    folder.perform(stroke((40, 50), (40, 150)))
    folder.perform(stroke((250, 50), (250, 150), state=2))
    return folder


def test_a_training_gives_scores_a_map_and_regions_and_can_be_replaced(opened):
    folder = two_strokes(opened)

    async def use(session, address):
        page = await tornado.websocket.websocket_connect(f"ws://{address}socket")
        await told(page, "hello")

        async def ask(**message):
            await page.write_message(json.dumps(message))

        await ask(do="accept", image="halves", x=20, y=20)
        assert "train first" in (await told(page, "sentence"))["text"]
        await ask(do="train", image="halves")
        await asyncio.sleep(0.05)
        await ask(do="train", image="halves")  # in place of the first
        trained = await told(page, "trained")
        assert trained["scores"]["balanced_accuracy"] == 1.0
        assert trained["trained"] == {"halves": folder.sheets["halves"].content}
        found = await told(page, "map")
        size = found["rows"] * found["columns"]
        content = np.frombuffer(zlib.decompress(base64.b64decode(found["data"])), np.uint8)
        best = content[: 2 * size].reshape(found["rows"], found["columns"], 2).argmax(axis=-1)
        x = found["origin"][0] + found["step"] * np.arange(found["columns"])
        assert (best[:, x < 140] == 0).all() and (best[:, x > 160] == 1).all()
        assert found["step"] == 8 and found["origin"] == [8, 8] and found["states"] == [1, 2]
        await ask(do="accept", image="halves", x=100, y=100)
        await told(page, "labels")
        labels = folder.sheets["halves"].labels
        assert labels[100, 100] == 1 and labels[100, 20] == 1 and labels[100, 200] == 0 and (labels == 1).mean() > 0.4
        await ask(do="accept", image="halves", x=100, y=100)
        assert "labelled already" in (await told(page, "sentence"))["text"]
        assert folder.sheets["halves"].content != trained["trained"]["halves"]
        for kind, same in (("undo", True), ("redo", False)):
            await ask(do=kind, image="halves")
            now = (await told(page, "labels"))["image"]["content"]
            assert (now == trained["trained"]["halves"]) is same
        await ask(do="accept", image="halves", x=150, y=100)
        assert "not sure" in (await told(page, "sentence"))["text"]
        await ask(do="train", image="halves")
        await ask(do="cancel")
        await asyncio.sleep(0.3)
        assert session.worker.state is None and session.maps
        await ask(do="state", number=2, name="crash", colour="#000000")
        await ask(do="train", image="halves")
        assert (await told(page, "sentence"))["text"] == "this is not to be learned"

    served_here(folder, use, GreyEngine(slow=0.4))


@pytest.mark.thorough
def test_a_worker_that_is_killed_or_does_not_stop_is_started_again(opened, monkeypatch):
    monkeypatch.setattr("persistem.painting.worker.PATIENCE", 0.2)
    folder = two_strokes(opened)

    async def use(session, address):
        page = await tornado.websocket.websocket_connect(f"ws://{address}socket")
        await told(page, "hello")

        async def busy():
            await page.write_message(json.dumps({"do": "train", "image": "halves"}))
            while ((await told(page, "work"))["work"] or {}).get("kind") != "train":
                pass
            return session.worker._process

        for _ in range(2):
            first = await busy()
            first.kill()  # as if memory had run out
            assert "is there enough memory?" in (await told(page, "sentence"))["text"]
        first = await busy()
        await asyncio.sleep(1)  # until it is deep in its work
        await page.write_message(json.dumps({"do": "cancel"}))
        while (await told(page, "work"))["work"]:
            pass
        assert not first.is_alive()
        session.engine = session.worker._engine = GreyEngine()
        await page.write_message(json.dumps({"do": "train", "image": "halves"}))
        assert (await told(page, "trained"))["scores"]["balanced_accuracy"] == 1.0

    served_here(folder, use, GreyEngine(slow=200))


def test_a_port_in_use_and_a_folder_in_use_are_one_sentence_each(opened, image, tmp_path, capsys):
    opened()
    assert main(["label", str(image), "--out", str(tmp_path / "out"), "--no-browser"]) == 1
    said = capsys.readouterr().err
    assert "is open in another `persistem label`" in said and said.count("\n") == 1
    [taken] = bound(0)
    port = str(taken.getsockname()[1])
    assert main(["label", str(image), "--out", str(tmp_path / "new"), "--no-browser", "--port", port]) == 1
    assert f"--port = {port}: is in use; choose another" in capsys.readouterr().err
    taken.close()
    assert main(["label", str(image), "--out", str(tmp_path / "new"), "--port", "70000"]) == 1
    assert "0 to 65535" in capsys.readouterr().err
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.random.default_rng(0).integers(0, 255, (3, 64, 64), np.uint8), photometric="minisblack")
    assert main(["label", str(stack), "--out", str(tmp_path / "new"), "--no-browser"]) == 1
    assert "holds 3 micrographs" in capsys.readouterr().err


async def painted(address, times):
    """Paint over a socket until each stroke is answered."""
    page = await tornado.websocket.websocket_connect(address.replace("http", "ws") + "socket")
    await told(page, "hello")
    for k in range(times):
        mark = {"do": "stroke", "image": "halves", "state": 1, "radius": 4, "points": [[20, 30 + 10 * k], [60, 30]]}
        await page.write_message(json.dumps(mark))
        await told(page, "did")


def test_a_killed_server_loses_nothing(image, tmp_path):
    with served(tmp_path / "out", image) as (process, address):
        asyncio.run(painted(address, 3))
        process.kill()  # before the labels are written
        process.wait()
    folder = Folder(tmp_path / "out", names([image]))  # and its lock is gone
    assert len(folder.sheets["halves"].done) == 3
    folder.close()


@pytest.mark.thorough
def test_a_stopped_server_saves(image, tmp_path):
    out = tmp_path / "out"
    with served(out, image) as (process, address):
        asyncio.run(painted(address, 5))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    folder = Folder(out, names([image]))
    assert (tifffile.imread(out / "halves.labels.tif") == folder.sheets["halves"].labels).all()
    assert folder.sheets["halves"].labels.any()
    folder.close()


@pytest.mark.thorough
def test_the_verb_prints_its_address_and_ends_with_ctrl_c(image, tmp_path):
    command = [sys.executable, "-m", "persistem", "label", str(image), "--out", str(tmp_path / "out"), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline().split()[-1].startswith("http://127.0.0.1:")
    assert "Ctrl+C ends" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 0 and not err
