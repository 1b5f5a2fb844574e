"""The benchmark on real micrographs, by planted answers; the regions that are certain; its record."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import real  # noqa: E402
import real_blind  # noqa: E402
import real_carbon  # noqa: E402
import real_data  # noqa: E402
import real_maps  # noqa: E402
import real_record  # noqa: E402
import transfer  # noqa: E402
from persistem.labelled import blind as wing  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402


@pytest.mark.parametrize("name", real_data.CARBON)
def test_both_sets_of_regions_lie_in_the_image_and_name_the_same_states(name):
    for which in real_data.SETS:
        of = real_data.regions(which)[name]
        points = np.concatenate([np.reshape(region, (-1, 2)) for state in real_data.STATES for region in of[state]])
        assert points.min() >= 0 and points.max() <= of["side"]
        assert np.unique(real_data.certain(of)).tolist() == [0, 1, 2, 3]
    agreed = real_data.agreement(*(real_data.certain(real_data.regions(which)[name]) for which in real_data.SETS))
    assert agreed["same"] > 0.999 and agreed["both"] > 0.1


def test_agreement_of_regions_is_that_of_pixels_certain_in_both():
    first, second = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    first[:4], second[2:6] = 1, 1
    second[3] = 2
    agreed = real_data.agreement(first, second)
    assert agreed == pytest.approx({"both": 0.2, "same": 0.5, "of_first": 0.5, "of_second": 0.5})


def test_strokes_stay_in_their_regions_and_below_their_share_of_the_image():
    labels = real_data.certain(real_data.regions("first")["PtCo3"])
    drawn = real_data.strokes(labels, np.random.default_rng(0))
    assert (drawn[drawn > 0] == labels[drawn > 0]).all()
    assert np.unique(drawn).tolist() == [0, 1, 2, 3]
    assert 0.002 < (drawn > 0).mean() <= 0.02
    assert (drawn == real_data.strokes(labels, np.random.default_rng(0))).all()


def test_blind_windows_are_of_one_state_and_know_neither_plane_nor_gain():
    rng = np.random.default_rng(0)
    mask = np.zeros((160, 160), bool)
    mask[60:140, 60:140] = True
    # every pixel says where it is: the state, and 0.5 within the border that no window may touch
    inner, outer = np.zeros_like(mask), np.ones_like(mask)
    inner[63:137, 63:137], outer[57:143, 57:143] = True, False
    pixels = np.where(inner, 1.0, np.where(outer, 0.0, 0.5))
    windows, y = real_blind.cut(pixels, mask, rng)
    assert set(y) == {0, 1} and (windows == y[:, None, None]).all()
    grain = rng.normal(size=(4, 36, 36))
    plane = np.add.outer(np.arange(36.0), 2 * np.arange(36.0))
    blind = wing.blinded(grain)
    assert wing.blinded(3 * grain + plane + 100) == pytest.approx(blind, abs=1e-6)
    assert blind.mean(axis=(1, 2)) == pytest.approx(wing.MEAN) and blind.std(axis=(1, 2)) == pytest.approx(1)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3])
def test_share_of_noise_is_found(share):
    rng = np.random.default_rng(1)
    grain = gaussian_filter(rng.normal(size=(200, 36, 36)), (0, 2, 2), mode="wrap")
    grain /= grain.std(axis=(1, 2), keepdims=True)
    noisy = grain + np.sqrt(share / (1 - share)) * rng.normal(size=grain.shape)
    assert wing.noise_share(noisy).mean() == pytest.approx(share, rel=0.1)


def test_equalising_noise_removes_what_noise_alone_tells_and_leaves_structure():
    found = real_blind.planted_control(count=80)
    noise, structure = found["noise differs, structure does not"], found["structure differs, noise does not"]
    assert noise["before"] > 0.9 and noise["after"] < 0.65
    assert structure["before"] > 0.95 and structure["after"] > 0.95


def test_octave_moments_know_strength_and_not_place():
    rng = np.random.default_rng(2)
    windows = rng.normal(size=(3, 36, 36))
    found = real_blind.octave_moments(windows)
    assert real_blind.octave_moments(2 * windows)[:, 0::3] == pytest.approx(found[:, 0::3] + np.log(2), abs=1e-5)
    assert real_blind.octave_moments(windows[:, ::-1]) == pytest.approx(found, abs=1e-5)


def test_scores_of_maps():
    truth = np.zeros((100, 100), bool)
    truth[:, 50:] = True
    assert real_maps.iou(truth, truth) == 1 and real_maps.iou(~truth, truth) == 0
    assert real_maps.iou(np.roll(truth, 25, axis=1), truth) == pytest.approx(1 / 3)
    assert real_maps.window_auc(truth.astype(float), truth) == 1
    assert real_maps.window_auc(1.0 - truth, truth) == 0
    rng = np.random.default_rng(3)
    p = rng.uniform(0.5, 1, 20_000)
    y = (rng.uniform(size=len(p)) > p).astype(int)
    assert real_maps.calibration(np.stack([p, 1 - p], axis=1), y) < 0.02
    assert real_maps.calibration(np.stack([p**0.2, 1 - p**0.2], axis=1), y) > 0.1
    assert real_maps.recalls(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2) == pytest.approx([1, 2 / 3])


def test_otsu_counts_from_the_brightest_state():
    pixels = np.repeat([200.0, 120.0, 30.0], 30)[:, None] * np.ones((1, 90))
    found = real_maps.otsu(pixels, 3)
    assert [int(np.median(part)) for part in np.split(found, 3)] == [0, 1, 2]


def test_pixels_of_a_forest_are_labelled_and_even_if_asked():
    labels = np.zeros((200, 200), np.uint8)
    labels[:10], labels[10:150] = 1, 2
    (drawn,) = real_maps.drawn_pixels([labels], np.random.default_rng(0), even=True)
    assert np.bincount(labels.ravel()[drawn]).tolist() == [0, 2000, 10_000]
    (drawn,) = real_maps.drawn_pixels([labels], np.random.default_rng(0), even=False)
    assert len(drawn) == real_maps.PIXELS and (labels.ravel()[drawn] > 0).all()


def test_balanced_accuracy_is_over_states_then_over_tries():
    tries = [
        {"image": "a", "rest": [1.0, 0.5, 0.0], "abstained": 0.2},
        {"image": "a", "rest": [1.0, 1.0, 1.0], "abstained": 0.0},
        {"image": "b", "rest": [1.0, np.nan, 0.5], "abstained": 0.4},
    ]
    found = real_carbon.balanced(tries)
    assert found["rest"]["mean"] == pytest.approx(0.75) and found["rest"]["worst"] == pytest.approx(0.5)
    assert found["rest"]["images"] == pytest.approx({"a": 0.75, "b": 0.75})
    assert found["rest"]["states"] == pytest.approx([1, 0.75, 0.5])
    assert found["abstained"] == pytest.approx({"a": 0.1, "b": 0.4})


def test_paired_differences_are_of_the_same_images():
    ours = [{"image": k, "iou": 0.9 + 0.01 * k, "auc": 1.0} for k in (0, 1, 2, 0)]
    theirs = [{"image": k, "iou": 0.8 + 0.01 * k, "auc": 1.0} for k in (2, 1, 0, 0)]
    assert real.paired(ours, theirs)["iou"]["mean"] == pytest.approx(0.1)


def test_record_is_made_of_its_numbers_alone():
    measured = json.loads((ROOT / "docs" / real.JSON).read_text())
    assert (ROOT / "docs" / "real-micrographs.md").read_text() == real_record.record(measured)
    without = {part: values for part, values in measured.items() if part != "blind"}
    assert "*blind: not measured; its data were absent.*" in real_record.record(without)
    assert real_record.f(0.99996) == "0.999" and real_record.f(1.0) == "1.000"


def test_record_of_transfer_is_made_of_its_numbers_alone():
    measured = json.loads((ROOT / "docs" / "transfer.json").read_text())
    assert (ROOT / "docs" / "transfer.md").read_text() == transfer.record(measured)


def test_simulations_are_worth_as_many_strokes_as_give_the_same_alone(tmp_path):
    def scored(labels, both):
        return [{"labels": {"balanced": labels}, "labels and simulations": {"balanced": both}}]

    found = {
        "carbon": {"the model": [{"balanced": 0.7}, {"balanced": 0.8}]},
        "strokes": {"1": scored(0.8, 0.9), "3": scored(0.9, 0.95), "10": scored(0.95, 0.94)},
    }
    points = transfer.curves(found)
    assert points["labels and simulations"][0] == (0, pytest.approx(0.75)) and len(points["labels alone"]) == 3
    # 0.94 is four fifths of the way from 3 strokes to 10
    worth = dict(transfer.worth(points))
    assert worth == {1: pytest.approx(3), 3: pytest.approx(10), 10: pytest.approx(3 * (10 / 3) ** 0.8)}
    transfer.curve(found, tmp_path / "strokes.png")
    assert (tmp_path / "strokes.png").stat().st_size > 5_000
