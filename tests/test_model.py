"""A model: what it learns, what it calls unlike the training, and bundles that are damaged, foreign or hostile."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import skops.io
from persistem import study
from persistem.commands.cli import main
from persistem.conditions.features import NAMES
from persistem.descriptors import windows
from persistem.errors import PersistemError
from persistem.imaging.detector import binning, detected
from persistem.imaging.micrographs import _write as write_micrograph
from persistem.learning.classifiers import classifier
from persistem.learning.models import block_scaled, probabilities
from persistem.learning.validation import CropLabels
from persistem.model import bundle, card, contrasts, skops_files, unlike
from persistem.model.classifier import Model, calibrated, calibrator, tempered
from persistem.model.contrast_factor import Factored
from persistem.model.training import Probes, Training, _probed, described, fit, noise_alone, train
from persistem.model.trees import Trees, trees_of
from persistem.model.unlike import Distribution
from persistem.plan.plan import Plan
from persistem.study import Detector
from persistem.study.checks import MINIMUM_SEEDS
from persistem.study.load import make_study
from support.hostile import limits, parts, watched
from support.micrographs import damaged
from support.models import STUDY, blobs
from support.studies import TINY, changed

STATES = ["amorphous", "liquid", "crystal"]
LENGTHS = {"contrast": 1, "spectrum": 8, "persistence": 20}
DEFOCI = (-50.0, 0.0)
DOSES = (np.inf, 400.0)
#: Windows of a micrograph.
WINDOWS = 12
#: Rounds of boosting: a quarter of those of a model that is used, for the states of these windows are easily told.
ROUNDS = 25
HERE = Path(__file__).resolve()
PLACES = [folder / "shared/data" for folder in (HERE.parents[2], HERE.parents[1].parent.parent)]
SHARED = next((place for place in PLACES if place.is_dir()), PLACES[0])


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """The windows made up here have fewer numbers than real ones, as many more as they have levels."""
    lengths = {name: LENGTHS[name] for name in LENGTHS}
    of = lambda windows: lengths | {"persistence": LENGTHS["persistence"] + windows.levels - 12}  # noqa: E731
    monkeypatch.setattr("persistem.descriptors.windows.lengths", of)


def windows_of(states: int, seeds: int, apart: float, rng_seed: int = 0, told_by: str = "persistence") -> Training:
    """Windows that one block tells the states of, by the distance ``apart`` in one feature for each; normal noise."""
    rng = np.random.default_rng(rng_seed)
    rows = [
        (y, seed, defocus, dose, y + states * (i + len(DEFOCI) * (j + len(DOSES) * seed)))
        for seed in range(1, seeds + 1)
        for y in range(states)
        for i, defocus in enumerate(DEFOCI)
        for j, dose in enumerate(DOSES)
        for _ in range(WINDOWS)
    ]
    y, seed, defocus, dose, micrograph = (np.array(column) for column in zip(*rows, strict=True))
    X = {name: rng.normal(size=(len(y), length)).astype(np.float32) for name, length in LENGTHS.items()}
    X[told_by][np.arange(len(y)), y] += apart
    crops = CropLabels(y, seed, defocus, micrograph, tuple(STATES[:states]))
    # noise looks like nothing that trains, but in the spectrum only
    noise = {"contrast": rng.normal(size=(200, 1)), "spectrum": rng.normal(size=(200, LENGTHS["spectrum"])) - 6}
    training = Training(X, crops, dose, np.full(len(y), 30.0), noise)
    return training._replace(factored=factored(training)) if seeds >= MINIMUM_SEEDS else training


def factored(training: Training) -> Factored:
    """The windows of a training as they are, and with twice and half the contrast, of which they hold the logarithm."""
    crops, factors = training.crops, np.repeat([1.0, 0.5, 2.0], len(training.crops.y))
    X = {name: np.concatenate([training.X[name]] * 3) for name in ("contrast", "spectrum")}
    X["contrast"] = X["contrast"] + np.log(factors)[:, None].astype(np.float32)
    image = crops.micrograph + (np.arange(3) * (crops.micrograph.max() + 1))[:, None]
    return Factored(X, image.ravel(), np.tile(crops.seed, 3), np.tile(crops.defocus, 3), factors, factors == 1)


def settings_of(states: int, seeds: int, root: Path) -> dict:
    """What the card says of a training beside its windows."""
    (root / "summary.json").write_text(json.dumps({"density_g_cm3": 3.5}))
    about = {"material": "GaN", "preparation": "none", "states": STATES[:states]}
    imaging = {"voltage": 200.0, "Cs": 0.0, "Cc": 1.0, "energy_spread": 0.7}
    imaging |= {"defocus_sign": "underfocus-positive", "defocus_origin": "centre"}
    sources = [
        {"state": state, "seeds": [seed], "defocus": defocus, "thickness": 30.0, "summary": "summary.json"}
        for state in STATES[:states]
        for seed in range(1, seeds + 1)
        for defocus in DEFOCI
    ]
    return about | {"imaging": imaging, "sources": sources}


def fitted(training: Training, asked: study.ModelSettings):
    """What ``fit`` returns, of fewer rounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persistem.learning.classifiers.ROUNDS", ROUNDS)
        return fit(training, asked)


def trained(root: Path, states: int = 3, seeds: int = 4, apart: float = 4.0, **asked) -> Model:
    """A model of synthetic windows, with its card."""
    asked = {"candidates": [["spectrum"], ["contrast", "persistence", "spectrum"]]} | asked
    training, wanted = windows_of(states, seeds, apart), study.ModelSettings(**asked)
    classifier, distribution, assessment = fitted(training, wanted)
    settings = settings_of(states, seeds, root)
    facts = card.facts(settings, wanted, training, classifier, distribution, assessment, root)
    of = tuple(STATES[:states]), wanted.windows, 200.0, (-50.0, 0.0), facts, classifier, distribution
    return Model(*of, gauge=assessment.get("gauge"))


ABOUT = {"study": "0" * 12, "doses_e_A2": [None, 400.0], "thicknesses_A": [30.0]}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(model, tmp_path):
    """A bundle that a test may damage."""
    bundle.write(tmp_path / "bundle", model, card.text(model.card), ABOUT)
    return tmp_path / "bundle"


def rows(model: Model, by: str = "all") -> list[dict]:
    return [row for row in model.card["accuracy"] if row["by"] == by]


# what it learns


@pytest.mark.slow
def test_states_that_are_apart_are_told_apart_by_every_condition(tmp_path):
    model = trained(tmp_path, apart=30.0)
    (overall,) = rows(model)
    assert overall["accuracy"] == overall["vote"] == 1.0
    assert [row["value"] for row in rows(model, "state")] == STATES
    assert [row["value"] for row in rows(model, "defocus")] == list(DEFOCI)
    assert [row["value"] for row in rows(model, "dose")] == [400.0, None]
    assert [row["value"] for row in rows(model, "thickness")] == [30.0]
    assert all(row["accuracy"] == 1.0 for row in model.card["accuracy"])
    assert model.card["calibration"]["brier"] < 0.01
    # the features that no state differs in would not do
    assert "persistence" in model.card["classifier"]["features"]


@pytest.mark.slow
def test_states_that_are_shuffled_are_told_apart_by_chance():
    training = windows_of(3, 6, 30.0)
    crops = training.crops._replace(y=np.random.default_rng(0).permutation(training.crops.y))
    asked = study.ModelSettings(candidates=[["spectrum"], ["persistence", "spectrum"]])
    _, _, assessment = fitted(training._replace(crops=crops), asked)
    assert abs((assessment["nested"].predicted == crops.y).mean() - 1 / 3) < 0.06


def test_the_inner_folds_choose_the_block_that_tells(tmp_path):
    for told_by in ("spectrum", "persistence"):
        training = windows_of(2, 3, 30.0, told_by=told_by)
        alone = [[name] for name in LENGTHS]
        classifier, _, assessment = fitted(training, study.ModelSettings(candidates=alone))
        assert assessment["chosen"].features == (told_by,) == tuple(classifier.lengths)
        assert {c.features for c in assessment["nested"].chosen.values()} == {(told_by,)}


def test_the_scaling_is_that_of_the_evaluation():
    X = {name: block.astype(float) for name, block in windows_of(3, 3, 1.0).X.items()}
    X["persistence"][:, 3] = 2.5  # never varies
    known = np.arange(len(X["spectrum"]))
    both, _ = block_scaled(list(X.values()), known, known)
    ours = np.hstack([unlike.scaled(block, unlike.scaling(block)) for block in X.values()])
    np.testing.assert_allclose(ours, both, atol=1e-12)
    assert ours.var(axis=0).sum() == pytest.approx(3)


@pytest.mark.parametrize("states", [2, 3])
def test_calibration_is_that_of_the_evaluation(states):
    training = windows_of(states, 3, 1.5)
    y, rng = training.crops.y, np.random.default_rng(1)
    scores = 3 * np.eye(states)[y] + rng.normal(scale=2, size=(len(y), states))
    if states == 2:
        scores = np.stack([-scores[:, 1], scores[:, 1]], axis=1)
    fitted = calibrator(scores, y)
    np.testing.assert_allclose(calibrated(fitted, scores), probabilities(scores, y, scores), atol=1e-6)
    seen = scores[:, 1:] if states == 2 else scores
    np.testing.assert_allclose(calibrated(fitted, scores), fitted.predict_proba(seen), atol=1e-12)


@pytest.mark.slow
def test_probabilities_of_unseen_seeds_are_as_frequent_as_they_say(tmp_path):
    model = trained(tmp_path, apart=1.5, seeds=6, candidates=[["persistence"], ["persistence", "spectrum"]])
    other = windows_of(3, 20, 1.5, rng_seed=9)
    probability = model.classify(other.X).probability
    top, right = probability.max(axis=1), probability.argmax(axis=1) == other.crops.y
    for low in (0.4, 0.6, 0.8):
        inside = (top >= low) & (top < low + 0.2)
        assert inside.sum() > 200
        assert abs(top[inside].mean() - right[inside].mean()) < 0.06


@pytest.mark.parametrize("states", [2, 3])
def test_the_arrays_of_the_trees_score_as_scikit_learn_does(states):
    training = windows_of(states, 3, 1.0)
    X, y = training.X["persistence"].astype(float), training.crops.y
    fitted = classifier("trees", 0.1).fit(X, y)
    new = np.vstack([windows_of(states, 3, 1.0, rng_seed=3).X["persistence"], X[:50]]).astype(float)
    raw = trees_of(fitted).raw(new)
    np.testing.assert_allclose(raw if states > 2 else raw[:, 0], fitted.decision_function(new), rtol=1e-12)
    trees_of(fitted).check(X.shape[1])
    with pytest.raises(ValueError, match="a feature that is not among 3"):
        trees_of(fitted).check(3)


def test_trees_ask_and_add_up():
    """Two rounds: a stump that asks whether feature 1 is at most 0.5, and a tree that is a leaf."""
    stump = {"feature": [1, 0, 0, 0], "left": [1, -1, -1, -1], "right": [2, -1, -1, -1], "roots": [[0], [3]]}
    whole = {name: np.array(of, np.int32) for name, of in stump.items()}
    trees = Trees(threshold=np.array([0.5, 0, 0, 0]), value=np.array([0, -1.0, 2.0, 10.0]), start=np.ones(1), **whole)
    assert trees.raw(np.array([[9.0, 0.5], [9.0, 0.6]])).tolist() == [[10.0], [13.0]]


@pytest.mark.parametrize("seeds", [1, 2])
def test_with_too_few_seeds_there_is_a_model_that_says_so(seeds, tmp_path):
    # nothing chooses: the first candidate is taken
    model = trained(tmp_path, seeds=seeds, apart=30.0, candidates=[["persistence"], ["spectrum"]])
    text = card.text(model.card)
    assert f"not assessed: {seeds} seed" in model.card["assessed"]
    assert (
        f"{MINIMUM_SEEDS} of every state are needed" in text
        and "the training windows" in model.card["unlike"]["thresholds_from"]
    )
    assert model.card["accuracy"] == [] and model.card["calibration"] == model.card["abstained"] == {}
    verdict = model.classify(windows_of(3, 2, 30.0, rng_seed=5).X)
    assert (verdict.probability.argmax(axis=1) == windows_of(3, 2, 30.0).crops.y).all()


# unlike the training


@pytest.mark.slow
def test_it_abstains_on_the_share_of_windows_that_was_asked_for(tmp_path):
    for share in (0.02, 0.2):
        model = trained(tmp_path, seeds=6, outside=share, candidates=[["persistence", "spectrum"]])
        found = (model.classify(windows_of(3, 40, 4.0, rng_seed=2).X).outside > 1).mean()
        assert share / 2 < found < 2 * share
        assert abs(model.card["abstained"]["share"] - found) < 0.5 * share + 0.01
        assert len(model.card["abstained"]["by_seed"]) == 6


def test_it_abstains_on_an_outlier_and_says_why(model):
    X = windows_of(3, 1, 4.0, rng_seed=7).X
    dark = X | {"contrast": X["contrast"] - 20}
    other = X | {"spectrum": X["spectrum"] + 20}
    vacuum = X | {"spectrum": X["spectrum"] - 6}
    for blocks, reason, share in ((dark, 2, 1.0), (other, 3, 1.0), (vacuum, 4, 0.95)):
        verdict = model.classify(blocks)
        assert (verdict.outside > 1).all() and (verdict.reason == reason).mean() >= share
    inside = model.classify(X)
    assert ((inside.reason == 0) == (inside.outside <= 1)).all() and (inside.reason == 0).mean() > 0.9


def test_a_direction_that_the_training_never_took_is_outside():
    """Windows on a line in the plane: as far along the line as the training, but off it."""
    rng = np.random.default_rng(0)
    along = rng.normal(size=(500, 1))
    noise = 0.01 * rng.normal(size=(500, 2))
    X = {"contrast": rng.normal(size=(500, 1)), "spectrum": np.hstack([along, along]) + noise}
    near = unlike.distribution(X, {name: block - 9 for name, block in X.items()})
    near = replace(near, thresholds=unlike.thresholds(near.distances(X), 0.01))
    assert near.components.shape == (2, 1)
    new = {"contrast": np.zeros((2, 1)), "spectrum": np.array([[1.0, 1.0], [0.5, -0.5]])}
    on, off = near.distances(new) / near.thresholds
    assert on.max() < 1 and off.argmax() == 2 and off[2] > 100


def test_distances_are_those_of_mahalanobis_where_nothing_is_left_to_the_residual():
    rng = np.random.default_rng(1)
    block = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3)) + 5
    X = {"contrast": block[:, :1], "spectrum": block}
    near = unlike.distribution(X, {name: block - 9 for name, block in X.items()}, rank=3)
    deviation = block - block.mean(axis=0)
    squared = np.einsum("ni,ij,nj->n", deviation, np.linalg.inv(np.cov(block.T, bias=True)), deviation)
    found = near.distances(X)
    np.testing.assert_allclose(found[:, 1], squared, rtol=1e-6)
    np.testing.assert_allclose(found[:, 2], 0, atol=1e-9)
    np.testing.assert_allclose(found[:, 0], (deviation[:, 0] / block[:, 0].std()) ** 2, rtol=1e-6)


#: Windows of a model without and with noise, small so that a test is fast.
NOISY = study.ModelSettings(doses=[None, 1600.0, 400.0], windows={"size": 6.0})


def like_a_specimen(noise: dict) -> tuple[dict, Distribution]:
    """Windows of a made-up specimen, whose low frequencies are stronger than a camera lets them fall; and a model."""
    rng = np.random.default_rng(0)
    falling = np.linspace(1, -1, noise["spectrum"].shape[1]) + 0.8 * np.sin(np.arange(noise["spectrum"].shape[1]))
    known = {"contrast": rng.normal(-1.5, 0.6, (500, 1)), "spectrum": falling + rng.normal(0, 0.4, (500, len(falling)))}
    near = unlike.distribution(known, noise)
    return known, replace(near, thresholds=unlike.thresholds(near.distances(known), 0.01))


def vacuum_of(camera: Detector, pixel: float = 0.2, seed: int = 0) -> dict:
    """Blocks of windows of vacuum that a camera records; its mean is a little off 1, so that the noise is another."""
    image = detected(np.full((300, 300), 1 + 0.01 * seed), pixel, camera)
    found = windows.describe_windows(windows.resample(image, pixel, 0.2), NOISY.windows, 30, ("contrast", "spectrum"))
    return {name: block[found.valid] for name, block in found.blocks.items()}


def test_counting_noise_alone_is_told_at_doses_between_those_trained():
    noise = noise_alone(NOISY)
    known, near = like_a_specimen(noise)
    other = vacuum_of(Detector(dose=800.0), seed=1)
    assert ((near.distances(other) / near.thresholds)[:, 3] > 1).mean() > 0.9
    assert ((near.distances(known) / near.thresholds)[:, 3] > 1).mean() <= 0.01
    # contrast of counting noise: 1 / root of the electrons in a pixel of 0.2 Å
    assert np.exp(other["contrast"]).mean() == pytest.approx(1 / np.sqrt(800 * 0.04), rel=0.02)
    assert np.exp(noise["contrast"]).max() == pytest.approx(1 / np.sqrt(400 * 0.04), rel=0.1)
    assert len(noise_alone(NOISY.model_copy(update={"doses": (None,)}))["contrast"]) == len(noise["contrast"]) / 2


def test_noise_is_like_noise_at_every_dose_and_camera():
    _, near = like_a_specimen(noise_alone(NOISY))
    for dose in (3.0, 100.0, 50_000.0):
        for mtf, pixel in ((None, 0.2), (0.6, 0.23), (0.3, 0.2), (0.5, 0.07)):
            assert near.like_noise(vacuum_of(Detector(dose=dose, mtf=mtf), pixel)).mean() > 0.85, (dose, mtf, pixel)


def test_structure_is_not_like_noise_however_much_it_falls():
    known, near = like_a_specimen(noise_alone(NOISY))
    assert near.like_noise(known).mean() < 0.02
    for far in (3.0, 30.0):  # along and beyond where a line between specimen and noise leads
        line = near.noise[1:] * far
        mean, scale = near.scaling["spectrum"]
        beyond = {"contrast": known["contrast"], "spectrum": np.tile(line * scale + mean, (500, 1))}
        assert not near.like_noise(beyond).any()
        assert (near.distances(beyond)[:, 3] < near.thresholds[3]).all()


#: Parts (top, left, bottom, right) of real images, whether they are vacuum, and Å per pixel, from lattice fringes.
REAL = {
    "micrographs/pt_on_carbon.jpg": (
        0.466,
        [((1450, 800, 2040, 1900), True), ((100, 1250, 1000, 1900), False), ((900, 50, 1300, 500), False)],
    ),
    "micrographs/soot.tif": (0.555, [((20, 10, 300, 180), True), ((100, 250, 470, 440), False)]),
    "labelled/carbon/images/PtC2.jpg": (0.42, [((0, 900, 600, 1400), True), ((900, 0, 2000, 1000), False)]),
    "labelled/nanoparticles/train/images/image_0.png": (0.58, [((150, 150, 350, 350), False)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_vacuum_of_real_images_is_like_noise_and_carbon_is_not(name):
    file = SHARED / name
    if not file.is_file():
        pytest.skip(f"{file} is not here")
    pixel, parts = REAL[name]
    asked = study.ModelSettings(doses=[400.0], windows={"sampling": pixel, "frequency": 0.8})
    _, near = like_a_specimen(noise_alone(asked))
    image = np.asarray(PIL.Image.open(file).convert("L"), np.float32)
    for (top, left, bottom, right), vacuum in parts:
        found = windows.describe_windows(
            image[top:bottom, left:right], asked.windows, windows.side(asked.windows), ("contrast", "spectrum")
        )
        share = near.like_noise({name: block[found.valid] for name, block in found.blocks.items()}).mean()
        assert share > 0.8 if vacuum else share < 0.02, (top, left)


def test_vacuum_is_the_reason_only_where_a_window_is_bright_and_like_noise(model):
    X = windows_of(3, 1, 4.0, rng_seed=7).X
    vacuum = X | {"spectrum": X["spectrum"] - 6, "contrast": X["contrast"] - 20}
    count = len(X["contrast"])
    half = np.arange(count) < count // 2
    verdict = model.classify(vacuum, bright=half)
    # found by its contrast, and yet noise explains it
    assert (verdict.outside > 1).all()
    assert (verdict.reason[half] == 4).mean() > 0.95 and (verdict.reason[~half] != 4).all()
    assert (model.classify(X, bright=half).reason == model.classify(X).reason).all()
    # a window's odds speak for vacuum or against it
    assert (verdict.vacuum[half] == 1).mean() > 0.95 and (verdict.vacuum[~half] == -1).all()
    assert (model.classify(X).vacuum < 0).all()


def test_windows_that_are_not_valid_have_no_verdict(model):
    X = {name: block.copy() for name, block in windows_of(3, 1, 4.0).X.items()}
    X["persistence"][0, 3], X["contrast"][1] = np.nan, -np.inf
    valid = np.ones(len(X["contrast"]), bool)
    valid[2] = False
    verdict = model.classify(X, valid)
    assert (verdict.reason[:3] == 1).all() and (verdict.reason[3:] != 1).all()
    assert np.isinf(verdict.outside[:3]).all() and np.isfinite(verdict.probability).all()
    np.testing.assert_allclose(verdict.probability[:3], 1 / 3)
    nothing = model.classify(X, np.zeros(len(valid), bool))
    assert (nothing.reason == 1).all()


def test_the_shape_of_a_map_is_kept(model):
    X = windows_of(3, 1, 4.0).X
    flat = model.classify(X)
    count = len(flat.outside)
    shaped = model.classify({name: block.reshape(4, count // 4, -1) for name, block in X.items()})
    assert shaped.probability.shape == (4, count // 4, 3) and shaped.reason.shape == (4, count // 4)
    assert np.array_equal(shaped.probability.reshape(-1, 3), flat.probability)
    np.testing.assert_allclose(flat.probability.sum(axis=1), 1, rtol=1e-6)


# bundles


@pytest.mark.parametrize("states", [2, 3])
def test_a_loaded_model_says_the_same_to_the_bit(states, model, tmp_path):
    if states == 2:
        model = trained(tmp_path, states=2)
    bundle.write(tmp_path / "bundle", model, card.text(model.card), ABOUT)
    loaded = bundle.load(tmp_path / "bundle")
    X = windows_of(states, 5, 2.0, rng_seed=4).X
    for one, other in zip(model.classify(X), loaded.classify(X), strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)
    for name, of in vars(model.classifier.scorer).items():
        assert np.array_equal(of, getattr(loaded.classifier.scorer, name))
    for one, other in zip(model.gauge, loaded.gauge, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(loaded.digest) == 12
    assert (loaded.states, loaded.windows, loaded.blocks) == (model.states, model.windows, model.blocks)
    assert (loaded.voltage, loaded.defoci, loaded.card) == (model.voltage, model.defoci, model.card)


@pytest.mark.slow
def test_the_same_training_gives_the_same_bytes(tmp_path):
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        model = trained(tmp_path, seeds=3)
        bundle.write(tmp_path / name, model, card.text(model.card), ABOUT)
    for name in bundle.FILES:
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    with zipfile.ZipFile(tmp_path / "once" / "classifier.skops") as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}


def test_a_bundle_takes_the_place_of_another_but_of_nothing_else(model, folder, tmp_path):
    before = {name: (folder / name).read_bytes() for name in bundle.FILES}
    (folder / "card.md").write_text("damaged")
    bundle.write(folder, model, card.text(model.card), ABOUT)
    assert {name: (folder / name).read_bytes() for name in bundle.FILES} == before
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(PersistemError, match="something else than a model bundle"):
        bundle.write(folder, model, card.text(model.card), ABOUT)
    assert (folder / "thesis.tex").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bundle"]


def refused(folder: Path, match: str) -> None:
    """Loading says one sentence."""
    with pytest.raises(PersistemError, match=match) as error:
        bundle.load(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


@pytest.mark.parametrize("name", bundle.FILES)
def test_a_file_that_is_missing_truncated_or_changed_is_refused(name, folder):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    refused(folder, "not JSON" if name == bundle.INDEX else "truncated or changed")
    place = content.index(b"liquid") if b"liquid" in content else len(content) // 2
    changed = bytearray(content)
    changed[place] ^= 1
    (folder / name).write_bytes(changed)
    refused(folder, "changed")
    (folder / name).unlink()
    refused(folder, "has no model.json" if name == bundle.INDEX else "not complete")


def indexed(folder: Path, **changes) -> None:
    """Change the index, and make all checksums fit, as somebody would who wants a bundle to be believed."""
    index = json.loads((folder / bundle.INDEX).read_text())
    index.pop("checksum")
    index |= {"checksums": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in bundle.PARTS}}
    index |= changes
    checksum = hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()
    (folder / bundle.INDEX).write_text(json.dumps(index | {"checksum": checksum}))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": 2}, "format 2, but this version of PersisTEM reads 4"),
        ({"format": None}, "format None"),
        ({"windows_version": 7}, "windows are described as in version 7, but this version of PersisTEM .* in 2"),
        ({"kind": "a wardrobe"}, "describes no PersisTEM model but 'a wardrobe'"),
        ({"states": ["amorphous", "liquid"]}, "do not fit together"),
        ({"states": ["amorphous", "liquid", "liquid"]}, "do not fit together"),
        ({"states": 3}, "do not fit together"),
        ({"blocks": ["spectrum"]}, "do not fit together"),
        ({"windows": {"size": -1.0}}, "do not fit together"),
        ({"windows": {"unknown": 1}}, "do not fit together"),
        ({"voltage_kV": "high"}, "do not fit together"),
        ({"defoci_A": [0]}, "do not fit together"),
        ({"voltage_kV": float("nan")}, "nan is not a number from 10 to 3000"),
        ({"voltage_kV": True}, "True is not a number"),
        ({"voltage_kV": 1e300}, "not a number from 10 to 3000"),
        ({"defoci_A": [-float("inf"), float("inf")]}, "inf is not a number"),
        ({"defoci_A": [100.0, 0.0]}, "100 to 0 is no range"),
        ({"doses_e_A2": [float("nan")]}, "nan is not a number"),
        ({"states": ["amorphous", "vacuum", "liquid"]}, "one is called vacuum, which maps say of windows"),
        ({"states": ["abstained", "crystal", "liquid"]}, "one is called abstained"),
        ({"states": ["amorphous\0", "crystal", "liquid"]}, "do not fit together"),
        ({"states": ["\x1b]0;owned\x07", "crystal", "liquid"]}, "do not fit together"),
        ({"states": ["x" * 1000, "crystal", "liquid"]}, "do not fit together"),
        ({"windows": {"size": 1e300}}, "do not fit together"),
        ({"windows": {"levels": 10**9}}, "do not fit together"),
        ({"windows": {"levels": 13}}, "length of persistence|scaling of persistence"),
        ({"checksums": {}}, "truncated or changed"),
        ({"checksums": []}, "lacks checksums"),
    ],
)
def test_an_index_of_something_else_is_refused(changes, match, folder):
    indexed(folder)
    bundle.load(folder)
    indexed(folder, **changes)
    refused(folder, match)


@pytest.mark.parametrize("name", bundle.FILES)
def test_what_is_no_file_in_a_bundle_is_not_read(name, folder, tmp_path):
    path = folder / name
    kept = path.rename(tmp_path / "kept")
    for make in (lambda: path.symlink_to(kept), lambda: path.symlink_to("/dev/zero"), lambda: os.mkfifo(path)):
        make()
        refused(folder, "a link, folder, device or pipe")
        path.unlink()
    with path.open("wb") as file:
        file.truncate(2**33)
    refused(folder, "no model has more than|larger than the index")


def mutated(folder: Path, random: np.random.Generator) -> None:
    """Change an index so that it fits, or flip bits of a part whose checksum then fits."""
    index = json.loads((folder / bundle.INDEX).read_text())
    values = (None, True, -1, 1e308, float("nan"), float("inf"), "", "\x1b[31m\0", "vacuum", [], {}, [[]], 10**400)
    if random.random() < 0.6:
        places, at = [index], index
        while isinstance(at, dict | list) and at and random.random() < 0.8:
            places.append(at)
            at = at[random.choice([*at])] if isinstance(at, dict) else at[random.integers(len(at))]
        place = places[-1]
        if place:
            key = random.choice([*place]) if isinstance(place, dict) else int(random.integers(len(place)))
            place[key] = values[random.integers(len(values))]
        index.pop("checksum", None)
        index.pop("checksums", None)
        indexed(folder, **index)
        return
    path = folder / bundle.PARTS[random.integers(len(bundle.PARTS))]
    path.write_bytes(damaged(path.read_bytes(), random))
    indexed(folder)


@pytest.mark.parametrize("seeds", parts(200))
def test_bundles_that_are_mutated_are_refused_or_whole(seeds, folder, tmp_path, capfd):
    for seed in seeds:
        copy = tmp_path / str(seed)
        shutil.copytree(folder, copy)
        mutated(copy, np.random.default_rng(seed))
        try:
            with limits(), watched(tmp_path):
                found = bundle.load(copy)
            assert 10 <= found.voltage <= 3000 and found.defoci[0] <= found.defoci[1]
        except PersistemError as error:
            said = str(error)
            assert said.isprintable() and str(copy) in said and len(said) < len(str(copy)) + 600, said
        shutil.rmtree(copy)
    assert capfd.readouterr() == ("", "")


def test_a_bundle_that_does_not_say_its_windows_is_of_the_first(folder, monkeypatch):
    index = json.loads((folder / bundle.INDEX).read_text())
    del index["checksum"], index["windows_version"]
    checksum = hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()
    (folder / bundle.INDEX).write_text(json.dumps(index | {"checksum": checksum}))
    refused(folder, "version 1, but .* in 2; train the model again")
    monkeypatch.setattr("persistem.descriptors.windows.VERSION", 1)
    bundle.load(folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    refused(tmp_path / "absent", "not a model bundle")
    refused(tmp_path, "has no model.json")
    (tmp_path / "model.json").write_text("[" * 100_000)
    refused(tmp_path, "nested deeper|not JSON")
    (tmp_path / "model.json").write_bytes(b"\xff\xfe")
    refused(tmp_path, "not JSON")
    (tmp_path / "model.json").write_bytes(b" " * (bundle.MOST_INDEX + 1))
    refused(tmp_path, "larger than the index of any model")


class Hostile:
    """Whoever unpickles it, or builds it, leaves a trace."""

    trace: Path = Path("trace")

    def __init__(self) -> None:
        self.about = "harmless"

    def __reduce__(self):
        return (Path.touch, (self.trace,))

    def __setstate__(self, state):
        self.trace.touch()


def hostile_files(folder: Path) -> dict[str, bytes]:
    """Files that pretend to be a classifier."""
    honest = skops_files.loaded(folder, (folder / "classifier.skops").read_bytes())
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", " " * 10_000_000)
    return {
        "types": skops.io.dumps(honest | {"trees": Hostile()}),
        "SimpleNamespace": skops.io.dumps({"trees": SimpleNamespace()}),
        "not a skops file.*BadZipFile": pickle.dumps(Hostile()),
        "members are compressed": compressed.getvalue(),
        "not a skops file": b"",
        "holds list": skops_files.dumped([1, 2]),
        "types: ": skops_files.dumped(honest | {"calibration": [1.0]}),
        "KeyError": skops_files.dumped({"lengths": {}}),
        "TypeError": skops_files.dumped(honest | {"trees": {"value": np.zeros(3)}}),
        "lengths": skops_files.dumped(honest | {"lengths": {"spectrum": -4}}),
        "feature that is not among 1": skops_files.dumped(honest | {"lengths": {"spectrum": 1}}),
        **{match: skops_files.dumped(honest | {"trees": honest["trees"] | of}) for match, of in crooked(honest)},
    }


def crooked(honest: dict) -> list[tuple[str, dict]]:
    """What is wrong with trees that lead astray, and their arrays."""
    trees = honest["trees"]
    circle, beyond, roots = trees["left"].copy(), trees["right"].copy(), trees["roots"].copy()
    inner = np.flatnonzero(circle >= 0)
    circle[inner[-1]], beyond[inner[0]], roots[0, 0] = inner[0], len(beyond), -1
    return [
        ("a node leads nowhere", {"left": circle}),
        ("a node leads nowhere.*", {"right": beyond}),
        ("a tree has no first node", {"roots": roots}),
        ("value is not finite", {"value": np.full_like(trees["value"], np.nan)}),
        ("threshold has 2 nodes", {"threshold": np.zeros(2)}),
        ("left is not an array of int32", {"left": trees["left"].astype(float)}),
    ]


def test_a_hostile_part_is_refused_and_nothing_of_it_is_executed(folder, tmp_path):
    Hostile.trace = tmp_path / "trace"
    pickle.loads(pickle.dumps(Hostile()))
    assert Hostile.trace.exists()  # it would work
    Hostile.trace.unlink()
    for match, content in hostile_files(folder).items():
        (folder / "classifier.skops").write_bytes(content)
        refused(folder, "changed")
        indexed(folder)
        refused(folder, match)
        assert not Hostile.trace.exists(), match


def test_numbers_that_no_training_gives_are_refused(folder):
    honest = skops_files.loaded(folder, (folder / "distribution.skops").read_bytes())
    for name, value in (
        ("variances", 0.0),
        ("thresholds", np.nan),
        ("thresholds", -1.0),
        ("components", np.inf),
        ("covariance", np.nan),
        ("noise", np.nan),
        ("noise_least", np.inf),
    ):
        changed = honest | {name: np.full_like(honest[name], value)}
        (folder / "distribution.skops").write_bytes(skops_files.dumped(changed))
        indexed(folder)
        refused(folder, "finite numbers")
    (folder / "distribution.skops").write_bytes(skops_files.dumped(honest | {"thresholds": np.ones(4)}))
    indexed(folder)
    refused(folder, "odds of vacuum")
    gauge = honest["gauge"]
    for match, change in (
        ("finite gauge", {"mean": gauge["mean"] * np.nan}),
        ("finite gauge", {"high": np.asarray(np.inf)}),
        ("gauge that can read", {"scale": -gauge["scale"]}),
        ("gauge that can read", {"low": np.asarray(9.0)}),
        ("gauge: .* instead of", {"linear": gauge["linear"][1:]}),
        ("gauge: .* instead of", {"quadratic": gauge["linear"]}),
    ):
        (folder / "distribution.skops").write_bytes(skops_files.dumped(honest | {"gauge": gauge | change}))
        indexed(folder)
        refused(folder, match)
    for name in ("covariance", "noise_covariance"):
        for value, match in ((-honest[name], "positive definite"), (honest[name][1:], "covariance")):
            (folder / "distribution.skops").write_bytes(skops_files.dumped(honest | {name: value}))
            indexed(folder)
            refused(folder, match)


def test_bytes_that_change_by_chance_are_refused_and_never_more(folder, tmp_path):
    """What checksums cannot see: every part damaged at a random place, its checksum made to fit."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = tmp_path / "damaged"
        shutil.copytree(folder, damaged)
        name = str(rng.choice(["classifier.skops", "distribution.skops"]))
        content = bytearray((damaged / name).read_bytes())
        content[rng.integers(len(content))] ^= int(rng.integers(1, 256))
        (damaged / name).write_bytes(content)
        indexed(damaged)
        try:
            bundle.load(damaged)
        except PersistemError as error:
            assert "\n" not in str(error)
        shutil.rmtree(damaged)


@pytest.mark.slow
def test_loading_needs_neither_abtem_nor_homcloud_nor_pandas(folder):
    code = """
import json, sys
from importlib.machinery import PathFinder
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in {"abtem", "homcloud", "pandas", "ase", "cv2", "snakemake"}
        return None if absent else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Without
from persistem.model import bundle
from persistem.descriptors import windows
windows.lengths = lambda _: json.loads(sys.argv[2])  # as of the fixture
print(bundle.load(sys.argv[1]).states)
"""
    command = [sys.executable, "-c", code, str(folder), json.dumps(LENGTHS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tuple(STATES))


# the card


def test_the_card_says_what_there_is_to_say(model):
    text = card.text(model.card)
    assert text.startswith(f"# Model of {', '.join(model.states)}\n")
    for sentence in (
        "frozen arrangement",
        "equally dense (amorphous 3.50,",
        "contrast of real images",
        "Stobbs",
        "GaN alone",
    ):
        assert sentence in text
    for state in STATES:
        assert f"| state | {state} |" in text
    assert "| dose | no noise |" in text and "| dose | 400 e/Å² |" in text
    assert "and with counting noise" in text
    assert "Brier score" in text and "Abstains on" in text
    assert json.loads(json.dumps(model.card)) == model.card


def test_the_card_of_a_model_without_doses_does_not_speak_of_counts(model):
    settings = {"sources": [{"thickness": 30.0}], "preparation": "single", "material": "GaN", "states": STATES}
    settings["imaging"] = {}
    asked = study.ModelSettings(doses=(None,), windows=model.windows, contrast=(1.0, 1.0))
    text = " ".join(card.limits(settings, asked, model.classifier, {"liquid": 3.5, "crystal": 3.5}, 4, []))
    assert "without counting noise" in text and "with counting noise that" not in text


@pytest.mark.parametrize(
    ("doses", "blocks", "said"),
    [
        ((None,), ["persistence"], "does not use the contrast"),
        ((None, 400.0), ["persistence"], "sees the contrast through the counting noise"),
        ((None,), ["contrast", "spectrum"], "uses the contrast"),
        ((None, 400.0), ["low-passed"], "uses the contrast"),
    ],
)
def test_a_card_says_whether_the_classifier_knows_the_contrast(doses, blocks, said):
    asked = study.ModelSettings(doses=doses)
    assert contrasts.use(asked, SimpleNamespace(lengths=dict.fromkeys(blocks, 1))).startswith(said)


# other contrasts


def contrast_study(
    root: Path, of: tuple[float, float], widths: tuple[float, float] = (2.2, 2.2), seeds: int = 3, **asked
) -> tuple[dict, study.ModelSettings]:
    """Micrographs whose states have patterns of some widths, the same as far as seeds do, and another contrast."""
    sources = []
    for seed in range(1, seeds + 1):
        for k, state in enumerate(STATES[:2]):
            path = f"{state}{seed}.tif"
            image = 1 + 10 * of[k] * (blobs(widths[k], np.random.default_rng([seed, k])) - 1)
            write_micrograph(root / path, image, {"pixel_size_A": 0.2})
            record = {"state": state, "seeds": [seed], "thickness": 30.0, "defocus": 0.0}
            sources.append(record | {"specimen": path, "path": path})
    wanted = {"windows": {"size": 6.4}, "stride": 3.2, "doses": [2000.0], "candidates": [["spectrum"]]}
    imaging = {"voltage": 200.0, "defocus_sign": "underfocus-positive"}
    settings = {"states": STATES[:2], "sources": sources, "imaging": imaging}
    return settings, study.ModelSettings(**(wanted | asked))


def by_contrast(root: Path, contrast: tuple[float, float], trained_at: tuple[float, float]) -> dict[float, dict]:
    """The rows of a card about other contrasts, by factor."""
    settings, asked = contrast_study(root, contrast, contrast=trained_at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persistem.descriptors.windows.lengths", windows.description.lengths)
        training = described(settings, asked, root)
        _, _, assessment = fitted(training, asked)
    rows = contrasts.assessed(assessment, training, asked, settings["states"])
    return {row["factor"]: row for row in rows}


def test_a_model_that_only_knows_contrast_through_noise_takes_a_stronger_image_for_the_stronger_state(tmp_path):
    """States that differ by contrast alone; blocks that are standardised after the noise tell them, and err with it."""
    rows = by_contrast(tmp_path, (0.06, 0.12), (1.0, 1.0))
    assert rows[1.0]["accuracy"] > 0.8 and rows[1.0]["trained"] and not rows[1.5]["trained"]
    weak, strong = STATES[:2]
    assert rows[0.5]["states"][weak] > 0.95 and rows[0.5]["states"][strong] < 0.3
    assert rows[1.5]["states"][strong] > 0.95 and rows[1.5]["states"][weak] < 0.5
    assert {row["dose_e_A2"] for row in rows.values()} == {2000.0}
    # trained at contrasts that hold both, it knows how little it knows
    wide = by_contrast(tmp_path, (0.06, 0.12), (0.25, 4.0))
    assert {0.25, 4.0} < wide.keys() and all(row["trained"] for row in wide.values())
    assert wide[1.0]["accuracy"] < 0.8


def test_an_image_beyond_the_contrasts_that_were_trained_is_abstained_on(tmp_path, monkeypatch):
    """States of unlike patterns, one of them twice as strong: the weaker at 1.5 times is no stronger than the other."""
    monkeypatch.setattr("persistem.descriptors.windows.lengths", windows.description.lengths)
    settings, asked = contrast_study(tmp_path, (0.1, 0.2), (1.2, 2.6), seeds=4, doses=[4000.0])
    training = described(settings, asked, tmp_path)
    _, _, assessment = fitted(training, asked)
    _, _, alone = fitted(training._replace(factored=None), asked)
    table, without = (
        {row["factor"]: row for row in contrasts.assessed(of, training, asked, settings["states"])}
        for of in (assessment, alone)
    )
    for factor in (0.5, 1.5):
        assert table[factor]["abstained"] > 0.9 and table[factor]["wrong"] < 0.02
        assert without[factor]["abstained"] < 0.9
    assert table[1.0]["abstained"] == without[1.0]["abstained"] < 0.1
    assert "gauge" not in alone and assessment["gauge"].error < 0.15
    assert assessment["abstained"].keys() == alone["abstained"].keys()
    said = contrasts.sentence(list(table.values()), asked, assessment["gauge"])
    assert "one window does not tell" not in said and "one window does not tell" in contrasts.sentence(
        list(table.values()), asked
    )
    assert f"typically to within {assessment['gauge'].error:.0%}. Below" in contrasts.reading(assessment["gauge"])
    # counted the other way, the same images have the other defocus
    over = settings | {"imaging": settings["imaging"] | {"defocus_sign": "overfocus-positive"}}
    over["sources"] = [source | {"defocus": 20.0} for source in settings["sources"]]
    turned = described(over, asked, tmp_path)
    assert described(over, asked, tmp_path, gauged=False).factored is None
    assert (turned.factored.underfocus == -20).all() and (turned.probes.underfocus == -20).all()


def test_every_image_has_a_contrast_of_its_own_in_the_range_and_the_states_have_the_same(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("persistem.model.training.as_trained", lambda *args: seen.append(args[3:]) or (args[0], 0.2))
    settings, asked = contrast_study(tmp_path, (0.1, 0.1), doses=[1600.0, 400.0], contrast=[0.5, 2.0])
    monkeypatch.setattr("persistem.descriptors.windows.lengths", windows.description.lengths)
    training = described(settings, asked, tmp_path)
    assert len(training.crops.y) == 6 * 2 * 49  # as many windows as without a range
    by_state = {state: [] for state in STATES[:2]}
    for k in range(6):
        each = seen[13 * k : 13 * (k + 1)]
        shots, probes, wider = each[:2], each[2:9], each[9:]
        by_state[STATES[k % 2]] += [factor for _, factor in shots]
        assert [dose for dose, _ in shots] == [1600.0, 400.0]
        assert [dose for dose, _ in wider] == [1600.0, 1600.0, 400.0, 400.0]
        assert all(0.25 <= factor <= 4 for _, factor in wider)
        assert probes == [(400.0, factor) for factor in (0.5, 0.67, 0.85, 1.0, 1.18, 1.5, 2.0)]
    assert by_state["amorphous"] == by_state["liquid"]
    factors = np.sort(np.log2(by_state["liquid"]))
    assert factors[0] >= -1 and factors[-1] <= 1 and np.diff(factors).max() < 0.7  # six over two octaves


def test_a_model_may_see_what_each_micrograph_says_of_its_conditions(tmp_path, monkeypatch):
    wanted = {"doses": [1600.0, 400.0], "candidates": [["spectrum", "conditions"]]}
    settings, asked = contrast_study(tmp_path, (0.1, 0.1), **wanted)
    monkeypatch.setattr("persistem.descriptors.windows.lengths", windows.description.lengths)
    training = described(settings, asked, tmp_path)
    block = training.X["conditions"]
    assert block.shape == (len(training.crops.y), len(NAMES)) and (block[:, 0] == 1).mean() > 0.9
    for micrograph in np.unique(training.crops.micrograph):
        own = training.crops.micrograph == micrograph
        assert len(np.unique(block[own], axis=0)) == 1
        if block[own][0, 0]:
            assert 10 ** block[own][0, 1] == pytest.approx(training.dose[own][0], rel=0.3)
    about = settings_of(2, 3, tmp_path)
    sources = [source | {"summary": "summary.json"} for source in settings["sources"]]
    train(about | {"sources": sources, "model": asked.model_dump(mode="json")}, tmp_path, tmp_path / "model")
    model = bundle.load(tmp_path / "model")
    assert model.blocks == ("contrast", "spectrum", "conditions")
    (overall,) = rows(model)
    assert overall["accuracy"] == pytest.approx(0.5, abs=0.1)  # patterns alike, and conditions tell nothing


def test_all_states_of_a_seed_are_probed_in_one_condition_and_the_seeds_cover_the_defoci():
    """A state with further conditions has more micrographs, and its probes must not lie elsewhere for that."""
    sources = [
        {"state": state, "seeds": [seed], "thickness": 30.0, "defocus": defocus} | further
        for seed in (1, 2, 3, 4, 5)
        for state in STATES[:2]
        for defocus in (-25.0, -13.0, 0.0, 13.0, 25.0)
        for further in (({}, {"spread": True}) if state == STATES[1] and defocus in (-25.0, 0.0) else ({},))
    ]
    probed = _probed(sources, study.ModelSettings(doses=[400.0]))
    chosen = [source for source, shots in zip(sources, probed, strict=True) if shots]
    assert not any("spread" in source for source in chosen)
    defoci = {state: [s["defocus"] for s in chosen if s["state"] == state] for state in STATES[:2]}
    assert defoci["amorphous"] == defoci["liquid"] == [-25.0, -13.0, 0.0, 13.0, 25.0]
    few = [source for source in sources if source["seeds"][0] < 4]
    probed = _probed(few, study.ModelSettings(doses=[400.0]))
    assert {s["defocus"] for s, shots in zip(few, probed, strict=True) if shots} == {-25.0, -13.0, 13.0}


def test_windows_that_only_probe_change_nothing_of_the_model():
    training = windows_of(2, 3, 1.0)
    half = np.arange(len(training.crops.y)) % 2 == 0
    X = {name: block[half] for name, block in training.X.items()}
    crops = CropLabels(*(of[half] for of in training.crops[:4]), training.crops.states)
    known = training._replace(X=X, crops=crops, dose=training.dose[half], thickness=training.thickness[half])
    known = known._replace(factored=factored(known))
    asked = study.ModelSettings(candidates=[["persistence"]])
    other = CropLabels(*(of[~half] for of in training.crops[:4]), training.crops.states)
    ones = np.ones((~half).sum())
    probes = Probes({name: block[~half] for name, block in training.X.items()}, other, ones, 0 * ones, 400.0)
    _, near, alone = fitted(known, asked)
    _, both_near, both = fitted(known._replace(probes=probes), asked)
    assert np.array_equal(alone["nested"].probability, both["nested"].probability)
    assert np.array_equal(near.thresholds, both_near.thresholds) and alone["abstained"] == both["abstained"]
    assert len(both["predicted"]) == len(both["probes_abstained"]) == (~half).sum()
    assert 0.5 < (both["predicted"] == other.y).mean() < 1


def test_the_card_tabulates_other_contrasts_and_says_what_they_do(tmp_path):
    rows = [
        {"factor": f, "trained": f >= 0.67, "dose_e_A2": 400.0, "accuracy": a, "ci_low": a - 0.05, "ci_high": a + 0.05}
        | {"states": {"amorphous": a, "liquid": a}, "abstained": 1 - a, "wrong": 0.25, "n_test": 9}
        for f, a in ((0.5, 0.4), (0.67, 0.8), (1.0, 0.9))
    ]
    table = "\n".join(contrasts.lines(rows, STATES[:2]))
    assert "at 400 e/Å²" in table and "| 0.5 (not trained) | 0.400 | 0.350 to 0.450 | 0.400 | 0.400 | 0.600 |" in table
    assert contrasts.sentence(rows, SimpleNamespace(contrast=(0.67, 1.5))) == (
        "Trained at contrasts of 0.67 to 1.5 times the simulated; there 0.80 to 0.90 of the windows of unseen seeds are"
        " right, fewest of amorphous, 0.80 at 0.67 times; tried on one micrograph of every state and seed at the lowest"
        " dose, 400 e/Å². Beyond, it abstains on 60% of them, as one window does not tell another contrast from another"
        " state; where the contrast is 0.5 times the simulated, 25% get a wrong state."
    )
    inside = contrasts.sentence(rows[1:], SimpleNamespace(contrast=(1.0, 1.0)))
    assert inside.startswith("Trained at the simulated contrast;") and "Beyond" not in inside
    assert contrasts.lines([], STATES) == []


# from micrographs to the bundle, and on to what the model says of others


def test_every_thickness_and_defocus_of_the_classified_specimens_trains(study_root):
    _, plan, digest = study_root
    sources = plan.settings("models", digest)["sources"]
    kinds = {(s["state"], *s["seeds"], s["thickness"], s["defocus"]) for s in sources}
    assert len(kinds) == len(sources) == 2 * 3 * 2 * 2
    assert len({s["path"] for s in sources}) == len(sources)
    assert {s["thickness"] for s in sources} == {20.0, 30.0}
    assert len({Path(s["path"]).parts[2] for s in sources}) > 1


@pytest.mark.slow
def test_a_model_of_micrographs_tells_new_ones(study_root, written):
    from persistem.descriptors import windows

    model = bundle.load(written)
    assert model.states == ("amorphous", "liquid")
    assert model.defoci == (-25.0, 50.0)  # underfocus positive
    assert model.card["trained_on"]["windows"] == 24 * 2 * 16
    assert "Density differs between the states (amorphous 3.50, liquid 2.60 g/cm³)" in (written / "card.md").read_text()
    assert model.card["trained_on"]["density_g_cm3"] == {"amorphous": 3.5, "liquid": 2.6}
    (overall,) = rows(model)
    assert overall["accuracy"] > 0.97 and overall["vote"] == 1.0
    rng = np.random.default_rng(100)
    for distance, state in ((2.6, 0), (1.8, 1)):
        image = blobs(distance, rng).astype(np.float32)
        found = windows.describe_windows(image, model.windows, 16, model.blocks)
        verdict = model.classify(found.blocks, found.valid)
        assert verdict.probability.shape == (7, 7, 2)
        assert (verdict.probability.argmax(axis=-1) == state).mean() > 0.95
        assert (verdict.reason == 0).mean() > 0.8
    strange = np.ones((128, 128), np.float32)
    strange[:, 64:] = rng.poisson(10, (128, 64))  # a constant half, and counting noise of nothing
    found = windows.describe_windows(strange, model.windows, 32, model.blocks)
    verdict = model.classify(found.blocks, found.valid)
    assert (verdict.reason[:, :2] == 1).all() and (verdict.outside[:, 2:] > 1).all()


@pytest.mark.slow
def test_processes_and_runs_do_not_change_the_bytes(study_root, written, tmp_path):
    root, plan, digest = study_root
    train(plan.settings("models", digest), root, tmp_path / "again", jobs=2)
    for name in bundle.FILES:
        assert (written / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_bundle_is_published(study_root, written, tmp_path):
    root = shutil.copytree(study_root[0], tmp_path / "root")
    assert main(["publish-model", json.dumps(STUDY), "--root", str(root)]) == 0
    assert bundle.load(root / "results/blobs/model").card == bundle.load(written).card


def test_what_cannot_be_trained_from_says_so(study_root, tmp_path, capsys):
    root, plan, digest = study_root
    settings = plan.settings("models", digest)
    write_micrograph(tmp_path / "flat.tif", np.ones((128, 128)), {"pixel_size_A": 0.2})
    write_micrograph(tmp_path / "coarse.tif", blobs(2.6, np.random.default_rng(0)), {"pixel_size_A": 0.4})
    for name, match in (("flat.tif", "no window"), ("coarse.tif", "coarse"), ("absent.tif", "not a micrograph")):
        first, *others = settings["sources"]
        protocol = settings | {"sources": [first | {"path": str(tmp_path / name)}, *others]}
        capsys.readouterr()
        arguments = ["--root", str(root), "--protocol", json.dumps(protocol)]
        assert main(["model", str(tmp_path / "out"), *arguments]) == 1
        said = capsys.readouterr().err
        assert name in said and match in said and said.count("\n") == 1
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("pixel_size", "count"), [(0.2, 1), (50 / 1024, 4), (0.25, 1), (0.133, 1), (0.12, 2), (0.02, 10)]
)
def test_detector_pixels_are_never_coarser_than_the_model_takes(pixel_size, count):
    assert binning(pixel_size, 0.2) == count
    assert count * pixel_size <= 1.25 * 0.2


# studies


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("imaging.pixels", 100, "model.windows.sampling = 0.2: the micrographs have pixels of 0.256 Å"),
        ("model.windows.size", 26.0, "model.windows.size = 26: larger than the micrograph"),
        ("model.doses", [None, None], "model.doses"),
        ("model.doses", [0.0], "model.doses = .0.0.: all have to be above 0"),
        ("model.C", [1.0, 1.0], "model.C"),
        ("model.contrast", [1.5, 0.5], "contrast = .1.5, 0.5.: the lower end of the range comes first"),
        ("model.contrast", [0.0, 1.0], "model.contrast"),
        ("model.candidates", [[]], "model.candidates.0. = ..: needs one block"),
        ("model.candidates", [["spectrum"], ["spectrum", "spectrum"]], "model.candidates.1."),
        ("states", {"amorphous": {"temperature": 6000, "rt": True}}, "model: needs two states"),
        ("model.thicknesses", [30.0, 900.0], "model.thicknesses.1."),
    ],
)
def test_a_study_whose_model_cannot_work_is_refused(key, value, match):
    with pytest.raises(PersistemError, match=match):
        Plan(make_study(changed(STUDY, key, value)))


MODELLED = changed(TINY, "model", {"windows": {"size": 4.0}, "stride": 4.0, "thicknesses": [10.0, 8.0]})


@pytest.mark.slow
def test_the_model_starts_at_the_micrographs_and_is_part_of_all(resolve, finished):
    finished(TINY)
    jobs = resolve(MODELLED).jobs
    assert jobs == {"exit_wave": 4, "micrograph": 8, "training": 1, "publish_model": 1, "all": 1}
    finished(MODELLED)
    changes = {"model.C": [3.0], "model.doses": [None], "model.windows.levels": 6, "model.outside": 0.05}
    for key, value in changes.items():
        assert resolve(changed(MODELLED, key, value)).rules == {"training", "publish_model"}
    assert resolve(changed(MODELLED, "model.thicknesses", [10.0])).rules == {"training", "publish_model"}
    assert not resolve(TINY).jobs


def test_a_state_trains_in_further_conditions_and_the_others_do_not():
    tilted = {"state": "amorphous", "settings": {"imaging.tilt": [30.0, 40.0], "imaging.defoci": [0]}}
    hot = {"state": "amorphous", "settings": {"states.amorphous": {"temperature": 4000, "rt": False}}}
    study = changed(TINY, "md.series", [*TINY["md"]["series"], {"temperatures": [4000], "seeds": [2], "rt": [False]}])
    plan = Plan(make_study(changed(study, "model", {"windows": {"size": 4.0}, "stride": 4.0, "spread": [tilted, hot]})))
    (digest,) = plan.steps["models"]
    sources = plan.settings("models", digest)["sources"]
    of = {(s["state"], s["specimen"], s["defocus"], s["path"].split("/")[2]) for s in sources}
    assert len(of) == len(sources) == 8 + 2 + 2
    assert sum(s["specimen"] == "T4000-rt0-s02" for s in sources) == 2
    assert [s.get("spread", False) for s in sources] == [False] * 8 + [True] * 4
    assert {s["state"] for s in sources if s["specimen"].startswith("T4000")} == {"amorphous"}
    assert {tuple(step.settings.get("tilt", ())) for step in plan.steps["exit_waves"].values()} == {(), (30.0, 40.0)}
    asked = plan.study.model
    assert card._seen({}, asked) == "along the z axis of its cell, and amorphous up to 2.9° off it too"
    own = {"tilt": [0.0, 20.0]}
    assert card._seen(own, asked) == "1.1° off the z axis of its cell, and amorphous up to 2.9° off it too"
    assert card._seen(own, SimpleNamespace(spread=())) == "1.1° off the z axis of its cell alone"
    with pytest.raises(PersistemError, match=r"model.spread\[0\]: state = 'solid': the study has amorphous, liquid"):
        wrong = {"state": "solid", "settings": {"imaging.tilt": [1.0, 0.0]}}
        Plan(make_study(changed(TINY, "model", {"windows": {"size": 4.0}, "stride": 4.0, "spread": [wrong]})))


def test_a_study_without_a_model_has_nothing_to_make_of_it(resolve):
    with pytest.raises(SystemExit, match="the study has no model, so the target has nothing to make"):
        resolve(TINY, target="model")


@pytest.mark.parametrize("k", [2, 3])
def test_one_factor_calibrates_scores_and_leaves_the_most_probable_state(k):
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, 4000)
    z = rng.normal(size=(4000, k)) + 2 * np.eye(k)[y]
    scores = 5 * (z if k > 2 else np.stack([z[:, 0] - z[:, 1], z[:, 1] - z[:, 0]], axis=1))
    calibration = tempered(scores, y)
    # the logarithm of the odds of two such states is 2 (z1 - z0)
    assert calibration.coef_ == pytest.approx(0.4 * np.eye(len(calibration.coef_)), rel=0.05, abs=1e-9)
    probability = calibrated(calibration, scores)
    assert (probability.argmax(axis=1) == scores.argmax(axis=1)).all()
    assert probability.max(axis=1).mean() == pytest.approx((probability.argmax(axis=1) == y).mean(), abs=0.02)
    # scores that separate the states do not make it certain beyond all measure
    assert np.isfinite(calibrated(tempered(scores + 50 * np.eye(k)[y], y), scores)).all()
