"""The comparison of models under drawn conditions (benchmarks/conditions.py), on planted answers."""

import sys

import numpy as np
import pytest
from persistem.conditions.features import NAMES
from persistem.learning.validation import CropLabels
from persistem.model.training import Training
from support.studies import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import conditions

STATES = ("amorphous", "liquid")


def labels(seeds=4, windows=10):
    """Windows of one micrograph for each seed and state."""
    count = seeds * len(STATES) * windows
    return CropLabels(
        np.tile(np.repeat([0, 1], windows), seeds),
        np.repeat(np.arange(1, seeds + 1), len(STATES) * windows),
        np.zeros(count),
        np.arange(count) // windows,
        STATES,
    )


def test_a_vote_is_right_where_most_windows_are():
    crops = labels()
    right = np.tile([True] * 7 + [False] * 3, 8)
    chosen = np.where(right, crops.y, 1 - crops.y)
    probability = np.where(np.arange(2) == chosen[:, None], 0.9, 0.1)
    found = conditions.scores(probability, crops)
    assert found["accuracy"] == pytest.approx(0.7) and found["vote"] == 1
    # a state of a seed that has more windows weighs no more
    kept = (crops.y == 0) | ~right
    fewer = CropLabels(*(values[kept] for values in crops[:4]), STATES)
    assert conditions.scores(probability[kept], fewer)["accuracy"] == pytest.approx(0.35)


def test_of_what_is_claimed_the_share_that_is_right():
    y = np.zeros(100, int)
    probability = np.tile([0.9, 0.1], (100, 1))
    probability[:20] = [0.1, 0.9]
    probability[90:] = [0.6, 0.4]
    found = conditions.claimed(probability, y)
    assert found == {"windows": 90, "claimed": pytest.approx(0.9), "right": pytest.approx(70 / 90)}
    assert conditions.claimed(np.full((5, 2), 0.5), y[:5])["windows"] == 0


def test_what_images_say_is_held_against_what_is_known():
    crops = labels()
    block = np.zeros((80, len(NAMES)), np.float32)
    dose, defocus = np.full(80, 1000.0), np.full(80, -60.0)
    dose[:10] = np.inf
    at = {name: NAMES.index(name) for name in NAMES}
    block[10:70, at["counted"]] = 1
    block[:, at["dose"]] = np.log10(1000)
    block[10:20, at["dose"]] = np.log10(1300)
    block[:20, at["rings"]] = 1
    block[:, at["defocus"]] = 62
    block[:10, at["defocus"]] = 90
    known = Training({"conditions": block}, crops, dose, dose, {}, conditions={"dose": dose, "defocus": defocus})
    found = conditions.said(known)
    assert found["dose"] == {
        "micrographs": 7, "says": pytest.approx(6 / 7), "right": pytest.approx(5 / 6), "off": pytest.approx(0, abs=1e-3)
    }  # fmt: skip
    assert found["defocus"] == {"micrographs": 8, "says": 0.25, "right": 0.5, "off": pytest.approx(16)}


def test_a_share_of_the_conditions_and_the_truth_of_each_window():
    crops = labels()
    dose, defocus = np.full(80, 400.0), np.arange(80.0)
    dose[0] = np.inf
    known = Training(
        {"a": np.arange(80.0)[:, None]}, crops, dose, dose, {}, conditions={"dose": dose, "defocus": defocus}
    )
    told = conditions.knowing(known).X["told"]
    assert told[:, 0].tolist() == defocus.tolist() and told[:2, 1].tolist() == [0.0, pytest.approx(0.05)]
    half = conditions.fewer(known, 2, 0.5)
    assert np.unique(half.crops.micrograph).tolist() == [0, 2, 4, 6] and len(half.X["a"]) == 40


def test_the_page_says_what_is_reached_and_what_is_not(tmp_path):
    def row(accuracy):
        return {"accuracy": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02, "vote": 0.97}

    condition = {"defocus": -50.0, "thickness": 40.0, "dose": None, "mtf": 0.5, "tilt": [3.0, 4.0]}
    claims = {"windows": 100, "claimed": 0.9, "right": 0.9}
    found = {
        "date": "2026-11-30", "study": "conditions", "seeds": 8, "states": list(STATES), "window_A": 18.75,
        "ranges": {"defocus": [-100.0, 100.0], "tilt": 16.0, "dose": [400.0, None], "number": 24}, "micrographs": 400,
        "tried": [
            {"condition": conditions.worded(condition)}
            | {"generalist": row(0.8), "conditioned": row(0.87), "told": row(0.88), "specialist": row(0.9)}
        ],
        "drawn": {"generalist": row(0.8), "conditioned": row(0.85), "told": row(0.86)},
        "recall": {"generalist": {"amorphous": 0.7, "liquid": 0.9}}, "curve": {6: 0.7, 24: 0.8},
        "said": {"dose": {"micrographs": 390, "says": 0.9, "right": 0.95, "off": 0.021}},
        "claimed": dict.fromkeys(("generalist", "conditioned", "specialist"), claims),
    }  # fmt: skip
    page = conditions.record(found)
    assert "| generalist: behind the specialists, mean over conditions | 0.100 | 0.05 | **no** |" in page
    assert "| conditioned: behind the specialists, mean over conditions | 0.030 | 0.05 | yes |" in page
    assert "defocus -100 to 100 Å; tilt up to 16 mrad; dose 400 to without noise. The" in page
    assert "| defocus -50 Å, 40 Å thick, no noise, transfer 0.5, tilt 5 mrad | 0.800 (0.78 to 0.82) [0.97] |" in page
    assert "| dose | 390 | 0.90 | 0.95 | 2.1 % |" in page
    assert "Told every condition, a model of the same micrographs has 0.880 on the tried ones" in page
    assert "0.700 with 6, 0.800 with 24" in page and "generalist: amorphous 0.70, liquid 0.90" in page
    conditions.picture(found, tmp_path / "figures/conditions.png")
    assert (tmp_path / "figures/conditions.png").stat().st_size > 5_000
