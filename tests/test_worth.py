"""What maps are worth: intervals over composites that share no seed, simpler measures, and the sentences they make."""

from __future__ import annotations

import json

import numpy as np
import pytest
from persistem.learning.intervals import interval
from persistem.report.figures import worth, worth_text
from persistem.report.figures.worth import CHOSEN

STATES = ["amorphous", "liquid"]
CARD = {
    "classifier": {"features": ["persistence"]},
    "unlike": {"share_asked": 0.01, "blocks": ["contrast", "spectrum"], "thresholds_from": "windows of seeds left out"},
}


def row(name, seeds, overlap, features=CHOSEN, defocus=0.0, dose=400.0, kind="splice"):
    return {
        "name": name, "kind": kind, "states": STATES, "seeds": seeds, "size": 12.5, "features": features,
        "blocks": ["contrast"], "defocus": defocus, "dose": dose, "overlap": {"mean": overlap}, "boundary_A": 2.0,
        "calibration_error": 0.1, "abstained": 0.0,
    }  # fmt: skip


def test_composites_that_share_a_seed_count_as_one():
    seeds = {"a": [1, 2], "b": [3], "c": [2, 5], "d": [6], "e": [5, 7]}
    assert sorted(map(sorted, worth.grouped(seeds))) == [["a", "c", "e"], ["b"], ["d"]]
    rows = [row(name, own, 0.8) for name, own in seeds.items()]
    values = {"a": 0.8, "b": 0.9, "c": 0.7, "d": 0.95, "e": 0.9}
    (kind,) = worth.worth([one | {"overlap": {"mean": values[one["name"]]}} for one in rows])
    assert json.loads(json.dumps(kind)) == kind  # as it is kept
    assert (kind["composites"], kind["groups"]) == (5, 3)
    found = kind["features"][CHOSEN]["overlap"]
    assert (found["low"], found["high"]) == pytest.approx(interval([0.8, 0.9, 0.95], 0, 1))
    assert found["mean"] == pytest.approx(np.mean([0.8, 0.9, 0.95]))


def test_conditions_of_a_composite_are_averaged_before_the_interval_is_taken():
    # they scatter by 0.2, composites by nothing: the interval is not made narrow or wide by them
    rows = [
        row(f"c{seed}", [seed], 0.8 + 0.01 * seed + shift, defocus=defocus, dose=dose)
        for seed in range(5)
        for defocus, shift in ((0.0, -0.1), (25.0, 0.1))
        for dose in (400.0, 1600.0)
    ]
    (kind,) = worth.worth(rows)
    ours = kind["features"][CHOSEN]
    values = [0.8 + 0.01 * seed for seed in range(5)]
    assert (ours["overlap"]["low"], ours["overlap"]["high"]) == pytest.approx(interval(values, 0, 1))
    means = {(c["defocus"], c["dose"]): round(c["mean"], 6) for c in ours["by_condition"]}
    assert means == {(0.0, 400.0): 0.72, (0.0, 1600.0): 0.72, (25.0, 400.0): 0.92, (25.0, 1600.0): 0.92}


def compared(ours, theirs, apart=0.004):
    """Sentences of five composites that scatter by far more than the model and the measure differ."""
    scatter = np.linspace(-0.1, 0.1, 5)
    noise = apart * np.array([1, -1, 0, -1, 1])
    rows = [row(f"c{k}", [k], ours + x, CHOSEN) for k, x in enumerate(scatter)]
    rows += [
        row(f"c{k}", [k], theirs + x + e, "plain measures") for k, (x, e) in enumerate(zip(scatter, noise, strict=True))
    ]
    rows += [row(f"c{k}", [k], 0.3, "local SD") for k in range(5)]
    kinds = json.loads(json.dumps(worth.worth(rows)))  # as they are kept
    return worth_text.sentences(kinds, [], 12.5, None, CARD)


def test_a_simpler_measure_that_does_better_is_said_first():
    first, _, kind, *_ = compared(0.80, 0.85)
    assert first.startswith(
        "A simpler measure does better on amorphous | liquid (splice): plain measures overlaps by 0.85"
    )
    best = "(the best of 2 on these composites, so its interval flatters it)"
    assert f"ours by 0.80; 0.05 (0.05 to 0.05) ahead {best}." in first
    assert kind.endswith(f"ours behind by 0.05 (0.05 to 0.05) {best}.")
    first, *_ = compared(0.80, 0.802)
    assert first.endswith(f"ahead {best}, which may be chance.")
    # 0.05 (0.005 to 0.095), but of the better of two measures
    first, *_ = compared(0.80, 0.85, 0.0361)
    assert "0.05 (0.01 to 0.09) ahead" in first and first.endswith(f"{best}, which may be chance.")
    first, kind, *_ = compared(0.85, 0.80)
    assert first.startswith("Windows of 12.5 Å, persistence; mean over defoci of 0 Å and doses of 400 e/Å².")
    assert "5 composites: overlap 0.85 (" in kind and "plain measures 0.80 (" in kind and "ours ahead by 0.05 (" in kind


def test_what_was_never_trained_is_said_apart_from_vacuum_whose_noise_was():
    def score(name, abstained, state=None, **shares):
        shares = {"amorphous": 0.0, "liquid": 0.0} | shares | {"abstained": abstained}
        return {"name": name, "states": [], "state": state, "shares": shares}

    model = {
        "scores": [
            score("carbon", 0.2, amorphous=0.8), score("carbon", 0.4, amorphous=0.6),
            score("warm", 0.1, state="liquid", liquid=0.9), score("vacuum", 1.0),
        ]
    }  # fmt: skip
    found = worth.strangers(model)
    assert found[0]["shares"]["abstained"] == pytest.approx(0.3) and (found[0]["least"], found[0]["most"]) == (0.2, 0.4)
    kinds = worth.worth([row(f"c{k}", [k], 0.9) for k in range(3)])
    never, condition, vacuum, unlike, other = worth_text.sentences(kinds, found, 12.5, 25.0, CARD)[2:]
    assert never == "Matter never trained: carbon abstained 30% (20% to 40%), 70% called amorphous."
    assert condition == (
        "Trained states in conditions never trained: warm abstained 10%, 90% called liquid, which it is."
    )
    assert vacuum == "Trained, as counting noise to abstain on: vacuum abstained 100%."
    assert "contrast or spectrum" in unlike and "all but 1.0%" in unlike
    assert "25 Å, not 12.5 Å" in other
