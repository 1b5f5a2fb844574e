"""Models of labelled micrographs: what they find on others, where they are silent, and what they are worth."""

import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.labelled import curves, describing, evaluation, rows, training
from persistem.labelled.describing import describe, relative
from persistem.labelled.folds import folds
from persistem.labelled.mapping import judged, verdict_of
from persistem.labelled.rows import apart, rows_of, states_at
from persistem.maps.mapping import map_image
from persistem.model import bundle
from persistem.model.classifier import RELIEF, Verdict
from persistem.plan.plan import Plan
from persistem.study.load import make_study
from support.labelled import ASKED, MODEL, PIXEL, STATES, grain, image, labelled, planted, save, write
from support.studies import ROOT


@pytest.fixture(scope="module")
def three():
    """Three described micrographs of one specimen each."""
    return [labelled(*planted(seed), f"grid-{seed}") for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def model(three):
    return training.train(three[:2], STATES, ASKED).model


def of(model, pixels, pixel_size=PIXEL):
    return verdict_of(image(pixels, pixel_size), model, ASKED.step)[1]


def found(model, pixels):
    """The number of the most probable state of every place, and whether the model abstains there."""
    verdict = of(model, pixels)
    return verdict.probability.argmax(axis=-1) + 1, verdict.reason > 0


def truth(regions, step=8):
    return regions[::step, ::step]


# what it finds


def test_states_are_found_on_a_micrograph_that_did_not_train(model):
    pixels, regions = planted(7)
    state, abstained = found(model, pixels)
    assert (state == truth(regions)).mean() > 0.97 and abstained.mean() < 0.05


@pytest.mark.parametrize("gain", [0.01, 7])
@pytest.mark.parametrize("offset", [0, 3, "mean", -40])
def test_neither_gain_nor_offset_changes_what_it_finds(model, gain, offset):
    pixels, _ = planted(7)
    changed = gain * (pixels.astype(float) + (-pixels.mean() if offset == "mean" else offset))
    one, other = of(model, pixels), of(model, changed)
    np.testing.assert_allclose(other.probability, one.probability, atol=2e-3)
    # what is unlike the training is told by SD over mean, which an offset changes: it may be silent, not louder
    same = other.reason == one.reason
    assert same.all() if offset == 0 else (same | (other.reason > 0)).all()


@pytest.mark.parametrize("turn", [lambda x: x.T, lambda x: x[::-1], lambda x: x[:, ::-1]])
def test_a_turned_micrograph_has_the_turned_map(model, turn):
    # of an odd number of pixels, so that the grid of places turns into itself
    pixels, _ = planted(7, (129, 129))
    one, other = of(model, pixels), of(model, turn(pixels))
    same = turn(one.probability.argmax(axis=-1)) == other.probability.argmax(axis=-1)
    assert same.mean() > 0.98 and abs(turn(one.reason > 0).mean() - (other.reason > 0).mean()) < 0.02


def test_other_pixels_of_the_same_specimen_have_the_same_map(model):
    pixels, regions = planted(7, (256, 256))
    fine = np.kron(pixels, np.ones((2, 2), np.float32))  # every pixel four times
    found = of(model, fine, PIXEL / 2).probability.argmax(axis=-1)[:32, :32] + 1
    assert (found == truth(regions)).mean() > 0.95


def test_probabilities_of_unseen_micrographs_are_as_frequent_as_they_say():
    """States that differ too little to be told surely."""

    def faint(seed):
        rng = np.random.default_rng(seed)
        fine = np.indices((160, 160))[0] > 80
        step = 0.02 * fine + 0.05 * grain(4, fine.shape, rng)
        return (1 + step + 0.2 * rng.normal(size=fine.shape)).astype(np.float32), np.where(fine, 1, 2).astype(np.uint8)

    ours = [labelled(*faint(seed), f"grid-{seed}") for seed in range(1, 5)]
    model = training.train(ours, STATES, ASKED).model
    top, right = [], []
    for seed in range(10, 16):
        pixels, regions = faint(seed)
        probability = of(model, pixels).probability
        top.append(probability.max(axis=-1).ravel())
        right.append((probability.argmax(axis=-1) + 1 == truth(regions)).ravel())
    top, right = np.concatenate(top), np.concatenate(right)
    assert 0.55 < right.mean() < 0.98
    for low in (0.5, 0.75):
        inside = (top >= low) & (top < low + 0.25)
        assert inside.sum() > 150 and abs(top[inside].mean() - right[inside].mean()) < 0.1


# where it is silent


def square_wave(shape, rng):
    rows, columns = np.indices(shape)
    return 0.85 + 0.15 * (rows > 64) + 0.3 * np.sign(np.sin(columns / 4)) + 0.01 * rng.normal(size=shape)


SILENT = {
    "another texture": square_wave,
    "noise alone": lambda shape, rng: 1 + 0.05 * rng.normal(size=shape),
    "one state alone": lambda shape, rng: 1 + 0.08 * grain(2.4, shape, rng) + 0.02 * rng.normal(size=shape),
}


@pytest.mark.parametrize("kind", SILENT)
def test_it_abstains_on_what_it_was_not_trained_for(model, kind):
    verdict = of(model, SILENT[kind]((128, 128), np.random.default_rng(9)))
    assert (verdict.reason > 0).mean() > 0.95
    assert (verdict.reason == RELIEF).all() == (kind != "another texture")


def test_relief_knows_neither_gain_nor_offset():
    pixels, _ = planted(1)
    reliefs = [
        describe(image(changed), ASKED.windows, ASKED.step, ["filters"]).relief
        for changed in (pixels, 5 * pixels, pixels + 9, pixels - pixels.mean(), 4 - pixels)
    ]
    np.testing.assert_allclose(reliefs, reliefs[0], rtol=1e-3)


# how it is assessed


def test_of_one_micrograph_parts_are_left_out_that_share_no_pixel_with_what_trains(three):
    trained = training.train(three[:1], STATES, ASKED)
    assert trained.rows.units == ("part 1", "part 2", "part 3", "part 4")
    assert trained.assessment.tested.all() and min(trained.assessment.recall.values()) > 0.95
    for unit in range(rows.PARTS):
        train, test = apart(trained.rows, unit)
        place = trained.rows.place * ASKED.windows.size  # Å
        distance = abs(place[train][:, None] - place[test][None]).max(axis=-1)
        assert len(train) and distance.min() >= ASKED.windows.size
        assert (trained.rows.crops.seed[test] == unit).all() and (trained.rows.crops.seed[train] != unit).all()
        assert set(trained.rows.crops.y[train]) == {0, 1}


def test_specimens_are_left_out_together(three):
    pair = [three[0], three[1]._replace(specimen=three[0].specimen), three[2]]
    found = rows_of(pair, ["filters"], ["contrast"], STATES)
    assert found.units == ("grid-1", "grid-3")
    train, test = apart(found, 0)
    assert set(found.crops.micrograph[test]) == {0, 1} and set(found.crops.micrograph[train]) == {2}


def test_a_state_of_one_micrograph_only_is_skipped_and_said(three):
    states = [*STATES, "edge"]
    alone = three[0].state.copy()
    alone[:, :4] = 2
    found, said = evaluation.assess([three[0]._replace(state=alone), *three[1:]], states, ASKED)
    assert found["skipped"] == {"grid-1": "without it edge would not be known"}
    assert said[0] is None and said[1] is not None and said[2] is not None
    edge = next(row for row in found["unseen"] if row["state"] == "edge")
    assert {*edge.values()} == {"edge", None}
    assert [row["sees"] for row in found["decides"]][:2] == ["what the study's model sees", "brightness alone"]


def test_each_micrograph_is_mapped_by_a_model_of_the_others(three):
    found, said = evaluation.assess(three, STATES, ASKED)
    others = training.train(three[1:], STATES, ASKED).model
    verdict = judged(three[0].described, others)
    np.testing.assert_array_equal(said[0], np.where(verdict.reason > 0, -2, verdict.probability.argmax(axis=-1)))
    assert [point["specimens"] for point in found["curves"]["specimens"]] == [1, 2]
    areas = [point["area_nm2"] for point in found["curves"]["area"]]
    step = three[0].described.step * PIXEL / 10
    everything = 2 * (three[0].state >= 0).sum() * step**2
    np.testing.assert_allclose(areas, everything * np.array(curves.SHARES), rtol=0.05)
    assert found["curves"]["area"][-1]["recall"] > 0.95
    assert 0 <= found["calibration"]["brier"] < 0.2 and found["boundary"] < 3 * step
    assert all(row["recall"] > 0.95 and row["iou"] > 0.9 and row["abstained"] < 0.1 for row in found["unseen"])
    assert all(row["calibration_error"] < 0.1 and row["boundary"] < 3 * step for row in found["unseen"])
    # these states differ in brightness too, and the page says so
    brightness = [row["recall"] for row in found["decides"] if row["sees"].startswith("brightness alone")]
    assert len(brightness) == 2 and min(brightness) > 0.95


def test_the_parts_of_one_specimen_are_mapped_by_models_of_the_others(three):
    found, (said,) = evaluation.assess(three[:1], STATES, ASKED)
    assert found["within_one_image"] and not found["skipped"]
    assert ((said == -1) == (three[0].state < 0)).all()
    for row in found["unseen"]:
        assert row["recall"] > 0.9 and row["iou"] > 0.85 and row["abstained"] < 0.1 and row["boundary"] < 1
        assert row["recall_low"] is row["iou_high"] is None  # parts are not independent
    assert found["curves"]["specimens"] == []
    assert len(found["curves"]["area"]) > 1 and found["curves"]["area"][-1]["recall"] > 0.9
    assert all(point["recall_low"] is None for point in found["curves"]["area"])


@pytest.mark.parametrize("count", [1, 3])
def test_no_window_trains_that_shares_pixels_with_one_that_is_tested(three, count):
    every, skipped = folds(three[:count], STATES)
    assert len(every) == (4 if count == 1 else 3) and not skipped
    tested = np.zeros(three[0].state.shape, int)
    for fold in every:
        one = fold.tested.get(0)
        if one is None:
            continue
        tested += one.state >= 0
        if count > 1:
            assert not any(other.described is one.described for other in fold.training)
            continue
        places, others = np.argwhere(one.state >= 0), np.argwhere(fold.training[0].state >= 0)
        apart = np.abs(places[:, None] - others[None]).max(axis=2) * one.described.step
        assert apart.min() >= one.described.size
        assert apart.min() < one.described.size + one.described.step  # and none is left out in vain
    assert (tested == (three[0].state >= 0)).all()  # each once


def test_thresholds_by_otsu_find_states_by_their_brightness_and_by_nothing_else(three):
    def recall(micrographs):
        whole = training.train(micrographs, STATES, ASKED)
        return evaluation.decides(micrographs, STATES, ASKED, whole)[-1]

    row = recall(three)
    assert row["sees"] == "brightness alone, thresholds by Otsu" and row["recall"] > 0.95
    # another image may be inverted as a whole: what is bright is learned, on the others
    inverted = [one._replace(described=one.described._replace(mean=-one.described.mean)) for one in three]
    assert recall(inverted)["recall"] == pytest.approx(row["recall"], abs=0.02)
    assert recall([inverted[0], *three[1:]])["recall"] < 0.7
    rng = np.random.default_rng(0)
    noise = [
        one._replace(described=one.described._replace(mean=rng.normal(size=one.described.mean.shape))) for one in three
    ]
    assert abs(recall(noise)["recall"] - 0.5) < 0.12


def test_a_probability_is_as_far_off_as_it_was_put_off(three):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 0.8, size=(200, 300))
    state = (rng.random(p.shape) < p).astype(int)
    described = three[0].described._replace(valid=np.ones(p.shape, bool))
    for off in (0, 0.1):
        said = np.stack([1 - p - off, p + off], axis=-1)
        verdict = Verdict(said, said[..., 0], np.zeros(p.shape, np.uint8), said[..., 0])
        seen = [evaluation.Seen(0, rows.Labelled(described, state, "one"), verdict)]
        for k in (0, 1):
            assert evaluation._calibration_error(seen, k) == pytest.approx(off, abs=0.01)


def test_a_border_that_is_shifted_is_as_far_off_as_it_was_shifted(three):
    state = np.zeros((20, 30), int)
    state[:, 12:] = 1
    described = three[0].described._replace(step=5, sampling=0.4)
    for shift in (0, 3):
        said = np.zeros((20, 30, 2), np.float32)
        said[..., 1] = np.roll(state, shift, axis=1) - 0.5
        said[:, :shift, 1] = -0.5
        verdict = Verdict(said, said[..., 0], np.zeros((20, 30), np.uint8), said[..., 0])
        seen = [evaluation.Seen(0, rows.Labelled(described, state, "one"), verdict)]
        for k in (None, 0, 1):
            assert evaluation.boundary(seen, k) == pytest.approx(shift * 0.2)  # 5 pixels of 0.4 Å
    nothing = rows.Labelled(described, np.full((20, 30), -1), "one")
    assert evaluation.boundary([evaluation.Seen(0, nothing, verdict)]) is None


def test_labels_that_say_nothing_are_assessed_as_chance(three):
    rng = np.random.default_rng(0)
    shuffled = [one._replace(state=rng.permutation(one.state.ravel()).reshape(one.state.shape)) for one in three]
    assessment = training.train(shuffled, STATES, ASKED).assessment
    assert abs(next(iter(assessment.recall.values())) - 0.5) < 0.06


# labels of windows


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("pixel_size", [0.4, 0.2])
def test_states_are_those_of_the_labels_about_the_places(share, pixel_size):
    rng = np.random.default_rng(4)
    shape = tuple(round(n * 0.4 / pixel_size) for n in (80, 100))
    coarse = rng.integers(0, 4, (8, 10))
    labels = np.kron(coarse, np.ones((shape[0] // 8, shape[1] // 10), int)).astype(np.uint8)
    one = describe(image(rng.normal(1, 0.1, shape), pixel_size), ASKED.windows, ASKED.step, ["intensity"])
    got = states_at(labels, one, share)
    ratio = one.sampling / pixel_size
    size, half = round(one.size * ratio), round(one.size * ratio) // 2
    for i, j in np.ndindex(got.shape):
        row, column = round(i * one.step * ratio), round(j * one.step * ratio)
        here = labels[row, column]
        top, left = row - half, column - half
        window = labels[max(top, 0) : top + size, max(left, 0) : left + size]
        enough = here and (window == here).sum() >= share * (window > 0).sum()
        assert got[i, j] == (here if enough else 0), (i, j)


@pytest.mark.parametrize("pixel_size", [0.1, 0.3, 0.47])
def test_labels_are_read_where_their_window_is_to_the_far_edge(pixel_size):
    # sides that are no multiple of the pixels of the description: its last one lies beyond the image
    pixels = np.add.outer(np.arange(601.0), 0.01 * np.arange(403.0))
    one = describe(image(pixels, pixel_size), ASKED.windows, ASKED.step, ["intensity"])
    lines = (np.arange(601) % 256).astype(np.uint8)
    here = states_at(np.repeat(lines[:, None], 403, axis=1), one)
    at = np.arange(len(here)) * one.step * one.sampling / pixel_size
    off = (here[:, 3].astype(float) - at + 128) % 256 - 128
    assert (np.abs(off[one.valid[:, 3] & (at <= 600)]) <= 0.5).all()


def test_windows_that_show_nothing_carry_no_label():
    pixels, regions = planted(1)
    pixels[20:70, 30:90] = pixels.max()  # saturated
    pixels[100, 100] = np.nan
    one = describe(image(pixels), ASKED.windows, ASKED.step, ["filters"])
    here = states_at(regions, one)
    assert not one.valid[5, 8] and here[5, 8] == 0 and not one.valid[12, 12] and here[12, 12] == 0
    assert (here[one.valid] == truth(regions)[one.valid]).all() and one.valid.mean() > 0.6
    assert all(np.isfinite(block).all() for block in relative(one, ["filters"]).values())


def test_a_description_is_read_as_it_was_written(three, tmp_path):
    describing.write(three[0].described, tmp_path / "a.npz")
    again = describing.read(tmp_path / "a.npz")
    for name, value in three[0].described._asdict().items():
        same = again._asdict()[name]
        for one, other in zip(*([x[k] for k in x] if isinstance(x, dict) else [x] for x in (same, value)), strict=True):
            np.testing.assert_array_equal(one, other)


# the bundle


def stages(folder, study, monkeypatch):
    """Describe and train as the jobs of a study in a folder do; returns the folder of the bundle."""
    monkeypatch.chdir(folder)
    plan = Plan(make_study(study))
    for name, path in plan.labelled.descriptions.items():
        (digest,) = (d for d in plan.steps["descriptions"] if f"/{d}/" in path)
        protocol = json.dumps(plan.settings("descriptions", digest))
        assert main(["description", plan.labelled.files[name], path, "--jobs", "1", "--protocol", protocol]) == 0
    (model,) = plan.steps["fitted"].values()
    out = (folder / plan.model.index).parent
    assert main(["fit", str(out), "--root", str(folder), "--protocol", json.dumps(model.settings)]) == 0
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder in which a study of two micrographs has trained, and its bundle."""
    folder = tmp_path_factory.mktemp("labelled")
    with pytest.MonkeyPatch.context() as patch:
        return folder, stages(folder, write(folder), patch)


@pytest.fixture
def folder(made, tmp_path):
    """A bundle that a test may damage."""
    return shutil.copytree(made[1], tmp_path / "bundle")


def test_the_same_study_gives_the_same_bytes_in_another_folder(made, tmp_path, monkeypatch):
    root, out = made
    other = tmp_path / "elsewhere" / "deeper"
    other.mkdir(parents=True)
    again = stages(other, write(other), monkeypatch)
    for name in bundle.FILES:
        content = (out / name).read_bytes()
        assert content == (again / name).read_bytes(), name
        assert str(root).encode() not in content and root.name.encode() not in content


def test_a_loaded_model_says_the_same_to_the_bit(made, model):
    loaded = bundle.load(made[1])
    assert loaded.labelled and loaded.voltage is loaded.defoci is None and loaded.states == tuple(STATES)
    pixels, _ = planted(7)
    for one, other in zip(of(model, pixels), of(loaded, pixels), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_card_says_what_it_learned_from(made):
    card = json.loads((made[1] / "card.json").read_text())
    assert card["assessed"]["within_one_image"] is False and card["assessed"]["units"] == ["a", "b"]
    assert [one["name"] for one in card["micrographs"]] == ["a.tif", "b.tif"]
    for one, (_, regions) in zip(card["micrographs"], map(planted, (1, 2)), strict=True):
        for number, state in enumerate(STATES, 1):
            assert one["labelled_nm2"][state] == pytest.approx((regions == number).sum() * 0.04**2, rel=0.1)
    text = (made[1] / "card.md").read_text()
    assert "On 2 specimens, each tested by a model of the others" in text and "within one image" not in text


def indexed(folder, **changes):
    """Change the index, and make all checksums fit."""
    index = json.loads((folder / bundle.INDEX).read_text())
    index.pop("checksum")
    index["checksums"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in bundle.PARTS}
    index |= changes
    checksum = hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()
    (folder / bundle.INDEX).write_text(json.dumps(index | {"checksum": checksum}))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"format": 4},
        {"voltage_kV": 200.0},
        {"defoci_A": [0.0, 1.0]},
        {"descriptions_version": 3},
        {"relief": None},
        {"relief": [2.0, 1.0]},
        {"relief": [1.0]},
        {"relief": [0.5, 1e400]},
        {"relief": [-1.0, 1.0]},
        {"relief": ["a", "b"]},
        {"states": [*STATES, "third"]},
        {"states": ["abstained", "coarse"]},
        {"blocks": ["contrast", "spectrum"]},
        {"windows": {"sampling": PIXEL, "size": 12.8}},
    ],
)
def test_an_index_that_does_not_fit_is_refused(changes, folder):
    indexed(folder)
    bundle.load(folder)
    indexed(folder, **changes)
    with pytest.raises(
        PersistemError, match=r"do not fit together|a bundle of the format|described as in version 3"
    ) as refused:
        bundle.load(folder)
    assert "\n" not in str(refused.value)


def test_an_index_without_relief_is_refused(folder):
    index = json.loads((folder / bundle.INDEX).read_text())
    del index["relief"], index["checksum"]
    checksum = hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()
    (folder / bundle.INDEX).write_text(json.dumps(index | {"checksum": checksum}))
    with pytest.raises(PersistemError, match="do not fit together"):
        bundle.load(folder)


@pytest.mark.parametrize(
    "linear",
    [
        {"weights": np.zeros((3, 1))},
        {"start": np.zeros(2)},
        {"start": np.array([np.nan])},
        {"weights": "none"},
        {"weights": None},
        {"more": np.zeros(1)},
    ],
)
def test_weights_that_no_training_gives_are_refused(linear, folder):
    from persistem.model.skops_files import dumped, loaded

    path = folder / "classifier.skops"
    parts = loaded(path, path.read_bytes())
    parts["linear"] |= linear
    path.write_bytes(dumped(parts))
    indexed(folder)
    with pytest.raises(PersistemError):
        bundle.load(folder)


# maps


def test_a_map_needs_the_pixel_size_alone_and_reaches_the_edges(model):
    pixels, regions = planted(7, (131, 150))
    found = map_image(image(pixels), model, step=2.0)
    rows_, columns = found.state.shape
    assert found.step == pytest.approx(2.0) and found.origin == (PIXEL / 2, PIXEL / 2)
    for count, side in ((rows_, 131), (columns, 150)):
        assert (count - 1) * 5 < side <= count * 5  # the last place is within a step of the edge
    assert (found.probability.argmax(axis=-1) + 1 == truth(regions, 5)).mean() > 0.95
    assert found.facts["image"]["voltage_kV"] is found.facts["image"]["defocus_A"] is None
    with pytest.raises(PersistemError, match="pixel_size"):
        map_image(image(pixels, None), model)
    with pytest.raises(PersistemError, match="too coarse"):
        map_image(image(pixels, 0.6), model)
    with pytest.raises(PersistemError, match="smaller than a window"):
        map_image(image(pixels[:12, :12]), model)


def test_processes_do_not_change_a_map(model):
    pixels, _ = planted(7)
    one, other = (map_image(image(pixels), model, jobs=jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(one.probability, other.probability)


def test_the_map_command_and_inspect(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pixels, _ = planted(7)
    save("new.tif", pixels)
    assert main(["inspect", "new.tif", "--model", str(made[1])]) == 0
    said = capsys.readouterr().out
    assert said.count("this model does not ask for it") == 2 and "the model can judge it" in said
    assert main(["map", "new.tif", "--model", str(made[1]), "--out", "maps"]) == 0
    text = next((tmp_path / "maps").rglob("map.html")).read_text()
    assert "labelled micrographs" in text and 'data-array="trees.' not in text
    save("bare.tif", pixels, None)
    assert main(["map", "bare.tif", "--model", str(made[1]), "--out", "maps"]) == 1
    said = capsys.readouterr().err
    assert "pixel size" in said and "voltage" not in said and "defocus" not in said


# bad input


def spoilt(folder, k=0, **entry):
    """The study of two micrographs with one entry changed."""
    study = write(folder)
    study["labelled"][k] = study["labelled"][k] | entry
    return study


def checked(folder, study, capsys):
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    status = main(["check", str(folder / "study.yaml")])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out + err


def test_check_says_what_is_labelled(tmp_path, capsys):
    study = write(tmp_path, micrographs=[{"path": str(tmp_path / "b.tif")}])
    status, said = checked(tmp_path, study, capsys)
    assert status == 0 and "2 labelled micrographs (2 specimens), states fine, coarse, 1 micrographs to map" in said
    assert "defoci" not in said and "specimens (" not in said.replace("(2 specimens)", "")
    fine = (planted(1)[1] == 1).sum() * 0.04**2
    assert f"a.tif: specimen a, fine {fine:.3g} nm²" in said
    status, said = checked(tmp_path, spoilt(tmp_path, states={1: "fine", 2: "edge"}), capsys)
    assert status == 0 and "edge is labelled on specimen a alone, which cannot be left out" in said
    status, said = checked(tmp_path, write(tmp_path, "a"), capsys)
    assert status == 0 and "all of one specimen" in said


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"states": {1: "fine", 2: "fine"}}, "two of them are called fine"),
        ({"states": {}}, "names no state"),
        ({"states": {1: "fine", 2: "abstained"}}, "abstained, which maps say"),
        ({"states": {1: "fine"}}, "holds the value 2"),
        ({"states": None}, "nothing says which states are meant"),
        ({"pixel_size": 0.6}, "too coarse"),
        ({"pixel_size": 1e-6}, "too fine"),
        ({"pixel_size": 0.03}, "a window alone is 6.4 Å wide"),
        ({"labels": "none.tif"}, "no such file"),
        ({"labels": "small.tif"}, "but the micrograph has 128"),
        ({"labels": "empty.tif"}, "nothing in it is labelled"),
        ({"labels": "a.tif"}, "a picture and no labels"),
        ({"path": "bare.tif"}, "its pixel size is not in the file"),
        ({"path": "stack.tif"}, "holds 3 images; labels belong to one"),
        ({"path": "b.tif"}, "is listed twice"),
        ({"path": "."}, "no such file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_said_before_anything_runs(entry, named, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels, _ = planted(1)
    tifffile.imwrite("small.tif", np.ones((12, 10), np.uint8))
    tifffile.imwrite("empty.tif", np.zeros((128, 128), np.uint8))
    tifffile.imwrite("stack.tif", np.stack([pixels] * 3), imagej=True, resolution=(25, 25), metadata={"unit": "nm"})
    save("bare.tif", pixels, None)
    study = spoilt(tmp_path, **entry)
    if entry.get("path") == "b.tif":
        study["labelled"][0]["path"] = study["labelled"][1]["path"]
    status, said = checked(tmp_path, study, capsys)
    assert status == 1 and named in said and "labelled[" in said


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ({"C": [0.0]}, "model.C"),
        ({"C": [1.0, 1.0]}, "model.C"),
        ({"doses": [-1.0]}, "model.doses"),
        ({"candidates": [["filters", "filters"]]}, "model.candidates"),
        ({"candidates": []}, "model.candidates"),
        *(({key: value}, f"model.{key}") for key, value in (("stride", 5.0), ("mtf", 0.5), ("thicknesses", [30.0]))),
    ],
)
def test_a_model_that_cannot_work_is_refused(model, named, tmp_path, capsys):
    status, said = checked(tmp_path, write(tmp_path, model=MODEL | model), capsys)
    assert status == 1 and named in said


def test_labels_that_hold_no_window_are_not_left_out_in_silence(three):
    from persistem.reading.labels import Labels

    described = [one.described for one in three]
    regions = [planted(seed)[1] for seed in (1, 2, 3)]
    regions[0][1:4, 1:4] = 3  # between the places of windows
    labels = [Labels(of, {1: "fine", 2: "coarse", 3: "dot", 4: "unused"}) for of in regions]
    with pytest.raises(PersistemError, match="no window lies in what is labelled as dot; label more of it"):
        rows.placed(described, labels, ["a", "b", "c"])
    regions[0][1:12, 1:12] = 3
    found, states = rows.placed(described, labels, ["a", "b", "c"])
    assert states == ["fine", "coarse", "dot"] and (found[0].state == 2).sum() == 1


@pytest.mark.parametrize("key", ["image", "labels", "legend"])
def test_a_file_that_changes_after_the_plan_stops_the_job(key, made, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = write(tmp_path)
    (tmp_path / "a.labels.json").write_text(json.dumps({"states": study["labelled"][0]["states"]}))
    plan = Plan(make_study(study))
    (model,) = plan.steps["fitted"].values()
    with open(model.settings["sources"][0][key], "ab") as file:
        file.write(b" ")
    protocol = json.dumps(model.settings)
    assert main(["fit", "out", "--root", str(made[0]), "--protocol", protocol]) == 1
    said = capsys.readouterr().err
    assert "has changed since the study was planned; run it again" in said and "Traceback" not in said


def test_labels_of_an_image_that_has_changed_are_refused(tmp_path, capsys):
    study = write(tmp_path)
    about = {"states": study["labelled"][0]["states"], "image": {"path": "a.tif", "sha256": "0" * 64}}
    (tmp_path / "a.labels.json").write_text(json.dumps(about))
    status, said = checked(tmp_path, study, capsys)
    assert status == 1 and "labelled[0]" in said and "a.labels" in said


# the workflow


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the files of a study, and the study with paths relative to it."""
    monkeypatch.chdir(tmp_path)
    study = write(tmp_path)
    for entry, name in zip(study["labelled"], "ab", strict=True):
        entry |= {"path": f"{name}.tif", "labels": f"{name}.labels.tif"}
    return study


def stroke(regions):
    """Labels with one more stroke."""
    other = regions.copy()
    other[60:70, 60:70] = 0
    return other


def painted(study, name="a"):
    tifffile.imwrite(f"{name}.labels.tif", stroke(tifffile.imread(f"{name}.labels.tif")))


def with_legend(study):
    Path("a.labels.json").write_text(json.dumps({"states": {"1": "fine", "2": "coarse"}}))


def repainted(study):
    save("a.tif", planted(1)[0] + 1)


def one_more(study):
    save("c.tif", planted(3)[0])
    tifffile.imwrite("c.labels.tif", planted(3)[1])
    study["labelled"].append(study["labelled"][0] | {"path": "c.tif", "labels": "c.labels.tif"})


def entry(**changes):
    return lambda study: study["labelled"][0].update(changes)


def asking(**changes):
    return lambda study: study["model"].update(changes)


def mapping(study):
    save("new.tif", planted(7)[0])
    study["micrographs"] = [{"path": "new.tif"}]


#: What makes each row of the table on labelled micrographs in docs/re-execution.md.
CHANGES = [
    [painted, with_legend],
    [entry(states={1: "fine", 2: "rough"}), entry(specimen="grid"), lambda study: study["labelled"].pop()],
    [asking(C=[0.3]), asking(doses=[None]), asking(outside=0.05), asking(share=0.8)],
    [asking(candidates=[["filters"], ["filters", "contrast"]])],
    [asking(candidates=[["peaks"]]), asking(candidates=[["contrast"]])],
    [asking(windows={"sampling": PIXEL, "size": 8.0}), asking(step=1.6)],
    [entry(pixel_size=0.41), repainted, one_more],
    [lambda study: study.update(name="other")],
    [mapping],
]
TABLE = (ROOT / "docs/re-execution.md").read_text().partition("## Labelled micrographs")[2]
TABLE = re.findall(r"^\| (.+?) \| ([a-z_, ]+) \|$", TABLE.replace("change | runs", ""), re.M)
ROWS = [(row, k, change) for row, changes in zip(TABLE, CHANGES, strict=True) for k, change in enumerate(changes)]


@pytest.mark.parametrize(
    ("row", "change"),
    [
        pytest.param(row, change, marks=[pytest.mark.thorough] if k else [], id=f"{row[0]}-{k}")
        for row, k, change in ROWS
    ],
)
def test_a_change_runs_exactly_the_rules_of_its_row(row, change, here, resolve, finished):
    finished(here)
    other = copy.deepcopy(here)
    change(other)
    found = resolve(other)
    listed = set(re.findall(r"[a-z_]+", row[1].replace(" of that micrograph", "").replace(" of that file", "")))
    assert found.rules == listed
    if "description" in listed:
        assert found.jobs["description"] == (1 if "of that micrograph" in row[1] else 2)


def test_a_stroke_that_is_taken_back_runs_nothing(here, resolve, finished):
    finished(here)
    before = tifffile.imread("a.labels.tif")
    painted(here)
    assert resolve(here).jobs
    tifffile.imwrite("a.labels.tif", before)
    assert not resolve(here).jobs


def test_maps_of_others_follow_the_model(here, resolve, finished):
    pixels, _ = planted(7)
    save("new.tif", pixels)
    study = here | {"micrographs": [{"path": "new.tif"}]}
    finished(study)
    tifffile.imwrite("a.labels.tif", stroke(tifffile.imread("a.labels.tif")))
    assert resolve(study).rules >= {"fitting", "unseen", "map_micrograph", "publish_map"}
    assert "description" not in resolve(study).rules


@pytest.mark.parametrize("target", ["report", "publish", "specimens", "micrographs", "figures", "truth", "maps"])
def test_a_target_that_such_a_study_lacks_says_so(target, here, resolve):
    with pytest.raises(SystemExit, match="a study of labelled micrographs without") as stopped:
        resolve(here, target)
    assert "\n" not in str(stopped.value)


def test_every_setting_of_such_a_study_makes_the_same_study(here):
    from persistem.publication import publish

    plan = Plan(make_study(here))
    again = Plan(make_study(yaml.safe_load(publish.settings(plan))))
    assert again.study_digest == plan.study_digest and again.model.index == plan.model.index


def test_what_is_shown_follows_a_stroke_that_is_taken_back(here, tmp_path):
    from persistem.publication.publish import publish_unseen, refresh
    from persistem.store.files import atomic

    before = tifffile.imread("a.labels.tif")
    for text, labels in (("one", before), ("two", stroke(before))):
        tifffile.imwrite("a.labels.tif", labels)
        plan = Plan(make_study(here))
        for file in plan.unseen_files():
            with atomic(tmp_path / file) as part:
                part.write_text(json.dumps({"is": text}))
        publish_unseen(plan, tmp_path)
    page, made_from = (tmp_path / "results/mine" / name for name in ("unseen.json", "provenance.json"))
    assert "two" in page.read_text()
    tifffile.imwrite("a.labels.tif", before)
    plan = Plan(make_study(here))
    refresh(plan, tmp_path)
    assert "one" in page.read_text()
    about = json.loads(made_from.read_text())
    known = {one["name"]: one["sha256"] for one in about["inputs"]}
    assert about["digest"] == plan.study_digest
    assert known["a.labels.tif"] == hashlib.sha256(Path("a.labels.tif").read_bytes()).hexdigest()
    settings = yaml.safe_load((tmp_path / "results/mine/study.yaml").read_text())
    assert Plan(make_study(settings)).study_digest == plan.study_digest


@pytest.mark.thorough
def test_a_study_runs_and_its_archive_runs_to_the_same_bytes(here, tmp_path):
    """Jobs, another stroke, a map of another micrograph, and the archive unpacked elsewhere."""
    pixels, _ = planted(7)
    save("new.tif", pixels)
    with open("a.labels.json", "w") as file:
        json.dump({"states": here["labelled"][0]["states"]}, file)
    study = here | {"micrographs": [{"path": "new.tif"}]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    run(tmp_path)
    shown = tmp_path / "results/mine"
    assert bundle.load(shown / "model").states == tuple(STATES)
    assert json.loads((shown / "unseen.json").read_text())["skipped"] == {}
    page = (shown / "unseen.html").read_text()
    assert str(tmp_path) not in page
    assert "2 specimens are too few for an interval" in page and "<th>interval</th>" not in page
    assert page.count("<table") == page.count('<div class="scroll"') > 3  # they scroll by themselves on a phone
    assert (shown / "maps/new/map.tif").is_file()
    assert main(["archive", "study.yaml", "study.zip"]) == 0
    with zipfile.ZipFile("study.zip") as crate:
        crate.extractall("crate")
    assert main(["verify", "crate"]) == 0
    shutil.rmtree("crate/results")
    run(tmp_path / "crate")
    again = tmp_path / "crate/results/mine"
    assert (shown / "study.yaml").is_file() and (shown / "provenance.json").is_file()
    for name in ("model/model.json", "unseen.json", "unseen.html"):
        assert (again / name).read_bytes() == (shown / name).read_bytes(), name
    # the map also says in which folder the micrograph lay
    one, other = (tifffile.imread(folder / "maps/new/map.tif") for folder in (shown, again))
    np.testing.assert_array_equal(one, other)


def run(folder):
    """Run the study in a folder."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--cores", "1", "--configfile", str(folder / "study.yaml")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_many_micrographs_are_read_one_by_one(made, monkeypatch):
    """A job holds one image, and one block of one description, at a time."""
    from persistem.labelled import sources

    folder, *_ = made
    plan = Plan(make_study(write(folder)))
    (step,) = plan.steps["fitted"].values()
    known = sources.labelled(step.settings["sources"], folder, ASKED.share)
    assert all(isinstance(one.described.blocks, describing.Stored) for one in known.micrographs)
    opened, real = [], sources.one_image
    monkeypatch.setattr(sources, "one_image", lambda *of: opened.append(of[0].name) or real(*of))
    for image_, regions in zip(known.images, known.regions, strict=True):
        assert regions.shape == image_.pixels.shape and regions.dtype.itemsize <= 2
    assert opened == ["a.tif", "a.tif", "b.tif", "b.tif"]
    one = known.micrographs[0].described
    places = np.array([0, 5, 100])
    for name, block in relative(one, ["filters", "spectrum"]).items():
        at = relative(one, [name], places)[name]
        np.testing.assert_array_equal(block.reshape(-1, block.shape[-1])[places], at)
    with pytest.raises(KeyError):
        one.blocks["persistence"]
