"""The scikit-learn estimators: its own checks, agreement with the stages of the workflow, and use in its tools."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from persistem.estimators import PersistenceImages, StateClassifier
from persistem.imaging.crops import cut
from persistem.learning.classifiers import classifier, scaled
from persistem.study import Clahe, Crops, Recipe, Standardised, Weight, Window
from persistem.topology.diagrams import diagram_table
from persistem.topology.persistence_images import persistence_images
from scipy.ndimage import gaussian_filter
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

BOTH = ("superlevel", "sublevel")
SIDE = 32


def noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Images of smoothed noise."""
    return gaussian_filter(rng.normal(size=(n, SIDE, SIDE)), (0, 1.5, 1.5))


def blobs(rng: np.random.Generator, n: int) -> np.ndarray:
    """Images of bright points, smoothed alike, in a little noise."""
    points = gaussian_filter((rng.random((n, SIDE, SIDE)) < 0.02).astype(float), (0, 1.5, 1.5))
    return points / points.std() + 0.05 * rng.normal(size=points.shape)


@pytest.fixture(scope="module")
def specimens() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, states and seeds: of each seed four images of blobs and four of noise."""
    images, states, seeds = [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        images += [blobs(rng, 4), noise(rng, 4)]
        states += ["blobs"] * 4 + ["noise"] * 4
        seeds += [seed] * 8
    return np.concatenate(images), np.array(states), np.array(seeds)


@parametrize_with_checks([PersistenceImages()])
def test_scikit_learns_own_checks_of_images(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([StateClassifier()])
def test_scikit_learns_own_checks_of_the_classifier(estimator, check):
    check(estimator)


@pytest.mark.thorough
@parametrize_with_checks(
    [
        PersistenceImages(filtrations=BOTH, bins=16, weight="atan", degrees=(0,)),
        StateClassifier(filtrations=BOTH, sigma=1.0),
    ]
)
def test_scikit_learns_own_checks_of_other_settings(estimator, check):
    check(estimator)


@pytest.mark.thorough
def test_the_check_that_needs_scipys_array_interface():
    # SciPy looks at the variable when it is imported; in this process the check skips itself
    script = """
from persistem.estimators import PersistenceImages, StateClassifier
from sklearn.utils.estimator_checks import check_estimator
for estimator in (PersistenceImages(), StateClassifier()):
    found = check_estimator(estimator, on_fail=None, on_skip=None)
    print({r["check_name"] for r in found if r["status"] != "passed"} or "passed", len(found) > 40)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"SCIPY_ARRAY_API": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n") == ["passed True", "passed True", ""]


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(filtrations=BOTH[::-1], bins=20, sigma=1.5, weight=Weight(c=0.1))])
def test_vectors_are_those_of_the_workflow_for_its_own_crops(recipe):
    micrograph = gaussian_filter(np.random.default_rng(1).normal(size=(64, 96)), 1.2)
    crops = cut(micrograph, Standardised(), Crops(size=32, stride=32))
    expected = persistence_images(diagram_table(crops, recipe), recipe, len(crops))
    settings = {name: getattr(recipe, name) for name in ("filtrations", "bins", "sigma", "weight")}
    for degrees in [(0, 1), (0,), (1,)]:
        images = expected[:, degrees].reshape(6, -1)
        own = PersistenceImages(**settings, intensity=None, degrees=degrees).fit_transform(crops)
        np.testing.assert_array_equal(own, images)
        pieces = micrograph.reshape(2, 32, 3, 32).swapaxes(1, 2).reshape(6, 32, 32)
        from_floats = PersistenceImages(**settings, degrees=degrees).fit_transform(pieces)
        np.testing.assert_array_equal(from_floats, images)
        assert images.any(axis=1).all()


@pytest.mark.parametrize(
    ("name", "section"),
    [("window", Window()), ("clahe", Clahe()), (Standardised(half_width=2.0),) * 2, (Window(low=0.5, high=1.5),) * 2],
)
def test_grey_levels_are_those_of_a_micrograph_that_is_one_crop(name, section):
    images = 1 + 0.2 * noise(np.random.default_rng(2), 3)
    grey = np.concatenate([cut(image, section, Crops(size=SIDE, stride=SIDE)) for image in images])
    expected = PersistenceImages(intensity=None).fit_transform(grey)
    np.testing.assert_array_equal(PersistenceImages(intensity=name).fit_transform(images), expected)
    assert expected.any()


def test_a_valley_between_two_peaks_is_an_island_and_a_rim_is_a_ring():
    islands = PersistenceImages(intensity=None, bins=256, degrees=(0,))
    line = islands.fit_transform([[200, 60, 180], [200, 60, 60], [9, 9, 9]])  # lines of three pixels
    np.testing.assert_allclose(line.sum(axis=1), [120, 0, 0], rtol=1e-5)  # linear weight: the lifetime
    # two pixels have no valley between them: the reason for the tag poor_score
    assert not PersistenceImages().fit_transform([[1.0, 2.0], [5.0, 3.0]]).any()
    rim = np.full((1, 3, 3), 200)
    rim[0, 1, 1] = 50
    ring = PersistenceImages(intensity=None, bins=256)
    np.testing.assert_allclose(ring.fit_transform(rim).reshape(2, -1).sum(axis=1), [0, 150], rtol=1e-5)
    names = ring.get_feature_names_out()
    assert names[ring.transform(rim)[0].argmax()] == "superlevel degree 1 birth 200 death 50"
    assert names[0].startswith("superlevel degree 0") and len(set(names)) == len(names) == 256 * 257


def test_names_follow_degrees_then_filtrations_in_a_table():
    pandas = pytest.importorskip("pandas")
    islands = np.full((1, 8, 8), 120)
    islands[0, 1, 1], islands[0, 5, 5], islands[0, 3, 6] = 200, 180, 60
    table = PersistenceImages(intensity=None, filtrations=BOTH).set_output(transform="pandas").fit_transform(islands)
    assert isinstance(table, pandas.DataFrame)
    assert table.filter(like="superlevel degree 0").iloc[0].idxmax() == "superlevel degree 0 birth 181.5 death 121.5"
    # dark pixel: the first to be born from below, and a hole that closes last from above
    assert not table.filter(like="sublevel degree 0").iloc[0].any()
    assert table.filter(like="superlevel degree 1").iloc[0].idxmax() == "superlevel degree 1 birth 121.5 death 61.5"
    assert table.filter(like="sublevel degree 1").iloc[0].idxmax() == "sublevel degree 1 birth 121.5 death 201.5"


def test_standardised_images_forget_gain_and_offset_and_a_constant_one_is_zero():
    images = noise(np.random.default_rng(3), 4)
    vectors = PersistenceImages().fit_transform(images)
    np.testing.assert_allclose(PersistenceImages().fit_transform(8 * images + 40), vectors, atol=1e-4)
    images[2] = 1e5 / 3
    blank = PersistenceImages().fit_transform(images)
    assert not blank[2].any()
    np.testing.assert_array_equal(blank[[0, 1, 3]], vectors[[0, 1, 3]])


def test_flattened_images_are_the_same_images():
    images = noise(np.random.default_rng(4), 5)[:, :20]
    upright = PersistenceImages().fit(images)
    expected, flat = upright.transform(images), images.reshape(5, -1)
    assert upright.image_shape_ == (20, SIDE) and upright.n_features_in_ == 20 * SIDE
    np.testing.assert_array_equal(upright.transform(flat), expected)
    laid = PersistenceImages(image_shape=[20, SIDE]).fit(flat)
    np.testing.assert_array_equal(laid.transform(images.tolist()), expected)
    assert not np.array_equal(PersistenceImages(image_shape=(SIDE, 20)).fit_transform(flat), expected)
    grey = np.random.default_rng(9).integers(0, 256, (2, 12, 40), dtype=np.uint8)
    own = persistence_images(diagram_table(grey, Recipe()), Recipe(), 2).reshape(2, -1)
    np.testing.assert_array_equal(PersistenceImages(intensity=None).fit_transform(grey), own)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int32", "float32", "float64"])
def test_numbers_of_every_kind_are_taken_exactly(kind):
    counts = np.random.default_rng(5).poisson(40, (3, SIDE, SIDE))
    vectors = PersistenceImages().fit_transform(counts.astype(kind))
    np.testing.assert_array_equal(vectors, PersistenceImages().fit_transform(counts.astype(float)))
    assert vectors.dtype == ("float32" if kind == "float32" else "float64")


@pytest.mark.slow
def test_states_are_told_apart_on_seeds_that_did_not_train(specimens):
    images, states, seeds = specimens
    flat, folds = images.reshape(len(images), -1), GroupKFold(3)
    shape = (SIDE, SIDE)
    steps = make_pipeline(PersistenceImages(image_shape=shape), StandardScaler(), LogisticRegression(C=0.01))
    found = cross_val_score(steps, flat, states, groups=seeds, cv=folds)
    assert found.mean() >= 0.9
    np.testing.assert_array_equal(cross_val_score(StateClassifier(), images, states, groups=seeds, cv=folds), found)
    within = Pipeline([("log", FunctionTransformer(np.exp)), ("state", StateClassifier(image_shape=shape))])
    assert cross_val_score(within, flat, states, groups=seeds, cv=folds).mean() >= 0.9
    # of one state alone there is nothing to tell
    same = states == "noise"
    names = np.random.default_rng(0).permutation(["blobs", "noise"] * 12)
    assert abs(cross_val_score(StateClassifier(), images[same], names, groups=seeds[same], cv=folds).mean() - 0.5) < 0.3


@pytest.mark.slow
def test_a_grid_of_parameters_is_searched(specimens):
    images, states, seeds = specimens
    grid = {"bins": np.array([8, 16]), "weight": ["linear", Weight(form="none")], "C": [1e-6, 0.01]}
    search = GridSearchCV(StateClassifier(), grid, cv=GroupKFold(2), error_score="raise")
    search.fit(images, states, groups=seeds)
    assert search.best_score_ >= 0.9 and search.predict(images[:4]).tolist() == ["blobs"] * 4
    assert len(search.cv_results_["params"]) == 8


def test_the_classifier_is_the_workflows(specimens):
    images, states, seeds = specimens
    train, test = images[seeds < 4], images[seeds >= 4]
    model = StateClassifier(C=0.02).fit(train, states[seeds < 4])
    crops = [np.concatenate([cut(i, Standardised(), Crops(size=SIDE)) for i in part]) for part in (train, test)]
    vectors = [persistence_images(diagram_table(c, Recipe()), Recipe(), len(c)).reshape(len(c), -1) for c in crops]
    standard = scaled(*(v.astype(float) for v in vectors), "standard")
    own = classifier("LR", 0.02).fit(standard[0], states[seeds < 4])
    np.testing.assert_allclose(model.decision_function(test), own.decision_function(standard[1]), atol=1e-4)
    np.testing.assert_array_equal(model.classes_, ["blobs", "noise"])


def test_three_states_have_three_probabilities():
    rng = np.random.default_rng(7)
    images = np.concatenate([blobs(rng, 10), noise(rng, 10), rng.normal(size=(10, SIDE, SIDE))])
    states = np.repeat(["crystal", "liquid", "amorphous"], 10)
    model = StateClassifier(bins=32).fit(images[::2], states[::2])
    probability = model.predict_proba(images[1::2])
    assert probability.shape == model.decision_function(images[1::2]).shape == (15, 3)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert model.classes_.tolist() == ["amorphous", "crystal", "liquid"]
    np.testing.assert_array_equal(model.classes_[probability.argmax(axis=1)], model.predict(images[1::2]))
    assert model.score(images[1::2], states[1::2]) >= 0.9


def test_parameters_survive_clones_and_pickles(specimens):
    images, states, _ = specimens
    settings = {"filtrations": BOTH, "bins": 8, "weight": Weight(form="atan"), "intensity": Standardised(half_width=3)}
    model = StateClassifier(**settings, C=1.0)
    assert model.get_params().items() >= settings.items()
    assert clone(model).get_params() == model.get_params()
    assert PersistenceImages(**settings).set_params(bins=9).get_params()["bins"] == 9
    model.fit(images, states)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(images), model.predict_proba(images))
    with pytest.raises(NotFittedError):
        clone(model).predict(images)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"bins": 1}, "bins = 1: input should be greater than or equal to 2"),
        ({"bins": 8.5}, "bins = 8.5: input should be a valid integer"),
        ({"sigma": 0.0}, "sigma = 0.0: input should be greater than 0"),
        ({"filtrations": ("upwards",)}, "filtrations.0 = 'upwards': input should be 'superlevel' or 'sublevel'"),
        ({"filtrations": ("superlevel",) * 2}, "filtrations = .*: a filtration is listed twice"),
        ({"weight": "square"}, "weight.form = 'square': input should be 'linear', 'atan' or 'none'"),
        ({"intensity": "gamma"}, "intensity = .*'gamma'.*: input tag 'gamma' .* does not match"),
        ({"degrees": ()}, r"degrees = \(\): allowed are \(0,\), \(1,\) and \(0, 1\)"),
        ({"degrees": 0}, "degrees = 0: allowed are"),
        ({"degrees": (0, 2)}, r"degrees = \(0, 2\): allowed are"),
        ({"image_shape": 64}, "image_shape = 64: must be None or the rows and columns"),
        ({"image_shape": (-8, -8)}, r"image_shape = \(-8, -8\): must be None or the rows and columns"),
        ({"image_shape": (8, 9)}, r"image_shape = \(8, 9\): the flattened images have 64 pixels"),
    ],
)
@pytest.mark.parametrize("make", [PersistenceImages, StateClassifier])
def test_unusable_parameters_are_refused_when_fitted(make, settings, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        make(**settings).fit(np.eye(8).reshape(1, 64).repeat(2, axis=0), [0, 1])


def test_unusable_images_are_refused():
    images = noise(np.random.default_rng(8), 3)
    fitted = PersistenceImages().fit(images)
    for wrong, sentence in [
        (images[:, :20], "PersistenceImages takes images of 32 x 32 pixels, not 20 x 32"),
        (images.reshape(3, 16, 64), "takes images of 32 x 32 pixels, not 16 x 64"),
        (images[:, 0], "X has 32 features, but PersistenceImages is expecting 1024 features"),
        (images[0, 0], "Expected 2D array, got 1D array"),
        (images[None], "Found array with dim 4"),
        (images[:0], "Found array with 0 sample"),
        (images + np.where(np.eye(SIDE), np.nan, 0), "Input X contains NaN"),
        (images + 1j, "Complex data not supported"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            fitted.transform(wrong)
    with pytest.raises(ValueError, match=r"^PersistenceImages takes images of 8 x 8 pixels, not 32 x 32$"):
        PersistenceImages(image_shape=(8, 8)).fit(images)
    with pytest.raises(ValueError, match=r"^image 1: the micrograph's mean intensity is -2"):
        PersistenceImages(intensity="window").fit_transform(np.ones((2, 8, 8)) * [[[1]], [[-2]]])
    for grey in (np.full((1, 8, 8), 256), np.full((1, 8, 8), -1), np.full((1, 8, 8), 0.5)):
        with pytest.raises(ValueError, match=r"^intensity = None: grey levels are whole numbers from 0 to 255, not"):
            PersistenceImages(intensity=None).fit_transform(grey)
    with pytest.raises(ValueError, match="only one class"):
        StateClassifier().fit(images, ["liquid"] * 3)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        StateClassifier().fit(images, ["liquid", "solid"])
