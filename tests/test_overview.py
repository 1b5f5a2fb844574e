"""What a study found, in a few lines and on a page: the numbers of the trial, said as they are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from persistem.learning.validation import CropLabels
from persistem.model.card import _pairs
from persistem.report.overview import findings as overview
from persistem.store import paths
from persistem.study.load import load_study
from persistem.study.members import states_of
from support.studies import ROOT

STATES = ["crystal", "amorphous", "liquid"]
FEATURES = ("chosen", "plain measures", "local spectrum")


def test_the_accuracy_of_two_states_is_of_their_windows_alone():
    # seed 1: all right; seed 2: amorphous and liquid are taken for each other, and crystal is never in doubt
    y = np.array([0, 1, 2, 0, 1, 2])
    seed = np.array([1, 1, 1, 2, 2, 2])
    probability = np.array(
        [[0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.1, 0.3, 0.6], [0.8, 0.1, 0.1], [0.5, 0.2, 0.3], [0.1, 0.5, 0.4]]
    )
    crops = CropLabels(y=y, seed=seed, defocus=np.zeros(6), micrograph=np.arange(6), states=tuple(STATES))
    found = _pairs(SimpleNamespace(probability=probability), SimpleNamespace(crops=crops), STATES)
    right = {tuple(pair["states"]): pair["by_seed"] for pair in found}
    assert right["amorphous", "liquid"] == {"1": 1.0, "2": 0.0}
    # the amorphous window of seed 2 is more probably crystal than amorphous
    assert right["crystal", "amorphous"] == {"1": 1.0, "2": 0.5}
    assert right["crystal", "liquid"] == {"1": 1.0, "2": 1.0}


def card(right):
    pairs = [(0, 1), (0, 2), (1, 2)]
    return {
        "pairs": [
            {"states": [STATES[a], STATES[b]], "accuracy": r, "by_seed": {"1": r - 0.01, "2": r + 0.01}, "n_test": 90}
            for (a, b), r in zip(pairs, right, strict=True)
        ],
        "trained_on": {"doses_e_A2": [None, 400.0], "seeds": {}},
        "classifier": {"features": ["persistence"]},
        "assessed": "leave-seed-out over 3 seeds",
    }


@pytest.fixture
def study(tmp_path):
    """Settings of an overview whose trial is planted: 90 of 100 amorphous windows are called liquid."""

    def write(right, found):
        judged = []
        for features in FEATURES:
            score = {"name": "c", "overlap": {"mean": 0.5}, "boundary_A": {"mean": 2.0}, "found": found}
            path = tmp_path / f"results/truth/{features}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"size_A": 12.5, "card": card(right), "scores": [score]}))
            judged.append({"features": features, "path": str(path.relative_to(tmp_path))})
        samples = []
        for state, density, pressure in zip(STATES, (6.0, 5.0, 4.0), (0.0, 0.0, 4.7), strict=True):
            (tmp_path / f"{state}.json").write_text(
                json.dumps({"density_g_cm3": density, "temperature_K": 300.0, "pressure_GPa": pressure})
            )
            samples.append({"state": state, "summaries": [f"{state}.json"]})
        settings = {"judged": judged, "states": STATES, "samples": samples, "timed": {}, "specimens": []}
        settings["composites"] = [{"name": "c", "kind": "splice", "states": ["crystal", "amorphous"]}]
        return overview.of_study(settings, tmp_path)

    return write


FOUND = {
    "crystal": {"abstained": 0, "crystal": 100, "amorphous": 0, "liquid": 0},
    "amorphous": {"abstained": 0, "crystal": 0, "amorphous": 10, "liquid": 90},
}


def test_states_that_are_hardly_told_apart_count_as_one_on_the_map(study):
    found = study((1.0, 0.99, 0.6), FOUND)
    assert found["together"] == [["amorphous", "liquid"]]
    (composite,) = found["maps"]
    assert composite["overlap"]["chosen"] == 0.5
    assert composite["joined"] == {"name": "amorphous and liquid", "overlap": dict.fromkeys(FEATURES, 1.0)}
    says = overview.lines(found, "results/mine/overview.html").splitlines()
    assert says[-1] == "Open results/mine/overview.html"
    text = " ".join(says)
    assert "tells crystal from amorphous and liquid, hardly amorphous from liquid (full" in text
    (reached,) = (p["accuracy"] for p in found["full"]["pairs"] if set(p["states"]) == {"amorphous", "liquid"})
    assert f"{reached:.2f} of {found['full']['size_A']:g} Å windows)" in text
    assert "crystal 6.00, amorphous 5.00, liquid 4.00 at 4.7 GPa" in text
    assert numbers(says)["map: crystal | amorphous"] == [1.0, 0.5, 1.0, 1.0]


def test_wrong_windows_count_against_states_that_count_as_one(study):
    wrong = FOUND | {"crystal": {"abstained": 20, "crystal": 60, "amorphous": 0, "liquid": 20}}
    (composite,) = study((1.0, 0.99, 0.6), wrong)["maps"]
    # crystal: 60 of 100 found, none too many; the rest: 100 found, and 20 of crystal
    assert composite["joined"]["overlap"]["chosen"] == pytest.approx((60 / 100 + 100 / 120) / 2)


def test_states_that_are_told_apart_stay_apart(study):
    found = study((1.0, 0.96, 0.97), FOUND)
    assert found["together"] == [] and found["maps"][0]["joined"] is None
    text = overview.lines(found, "page").replace("\n", " ")
    assert "tells crystal from amorphous and liquid, amorphous from liquid. Density" in text


def test_a_composite_of_two_states_that_count_as_one_is_not_joined(study):
    found = study((0.6, 0.99, 0.99), FOUND)
    assert found["together"] == [["crystal", "amorphous"]] and found["maps"][0]["joined"] is None
    assert "hardly crystal from amorphous" in overview.verdict(found)


@pytest.mark.parametrize(("right", "says"), [(0.95, "tells a from b."), (0.94, "mostly tells"), (0.74, "hardly tells")])
def test_the_verdict_follows_the_accuracy(right, says):
    pair = {"states": ["a", "b"], "told": overview.told(right)}
    sentence = overview.verdict({"pairs": [pair], "full": {"pairs": []}})
    assert sentence.startswith(f"A study of this size {says}")
    # what a full study reached is of the same two states
    full = {"page": "docs/maps.md", "size_A": 18.75, "pairs": [{"states": ["b", "a"], "accuracy": 0.716}]}
    sentence = overview.verdict({"pairs": [pair], "full": full})
    assert ("tells a from b (full study, docs/maps.md: 0.72 of 18.75 Å windows)." in sentence) == ("hardly" in says)


def test_what_a_full_study_reached_is_what_its_record_says():
    full = json.loads(overview.FULL_STUDY.read_text())
    text = (ROOT / full["page"]).read_text()
    assert f"the study `{full['study']}`, {full['date']}" in text
    assert f"| all |  | {full['accuracy']:.3f} |" in text and f"| Window (Å) | {full['size_A']:g} |" in text
    assert f"model of {', '.join(full['states'])}" in text
    assert len(full["pairs"]) == 3
    for pair in full["pairs"]:
        assert f"| {' and '.join(pair['states'])} | {pair['accuracy']:.3f} |" in text


def test_readme_says_what_the_maps_of_the_full_study_are_worth():
    says = " ".join((ROOT / "README.md").read_text().split())
    for kind in json.loads(overview.FULL_STUDY.read_text()).get("maps", []):
        assert f"{kind['mean']:.2f} for {' | '.join(kind['states'])}" in says


def shown_in_readme():
    """The lines that README shows as the demo's last."""
    (block,) = re.findall(r"```\n(Core minutes.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return block.splitlines()


def numbers(lines):
    """The rows of the table in the last lines: by name, the numbers in the order of the columns."""
    rows = [re.split(r"  +", line) for line in lines if re.match(r"[\w: |]+  +\d\.\d\d  ", line)]
    return {name: [float(x) for cell in cells for x in re.findall(r"\d\.\d\d", cell)] for name, *cells in rows}


def test_readme_shows_the_last_lines_of_the_demo_that_it_starts():
    study = load_study(ROOT / "config/demo.yaml")
    shown = shown_in_readme()
    rows = numbers(shown)
    pairs = [" | ".join(pair) for pair in combinations(states_of(study), 2)]
    maps = [f"map: {' | '.join(splice.states)}" for splice in study.truth.splices]
    assert list(rows) == pairs + maps and shown[1].startswith(f"{study.model.windows.size:g} Å windows")
    assert len(shown) <= 10 and shown[-1] == f"Open {paths.overview('demo')}"
    # what the sentence says follows from the numbers above it
    told = [overview.told(rows[pair][0]) for pair in pairs]
    full = json.loads(overview.FULL_STUDY.read_text())
    said = overview.verdict(
        {"pairs": [{"states": p.split(" | "), "told": t} for p, t in zip(pairs, told, strict=True)], "full": full}
    )
    assert said in " ".join(shown)
    assert max(map(len, shown)) <= 80, "a terminal of 80 columns breaks no line"
    assert rows["crystal | amorphous"][0] >= overview.TOLD and rows["crystal | liquid"][0] >= overview.TOLD


@pytest.mark.thorough
def test_the_demo_ends_as_readme_shows(tmp_path):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "-s", str(ROOT / "Snakefile")]
    command += ["--configfile", str(ROOT / "config/demo.yaml")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800)
    said = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 0, said[-60:]
    ends = (tmp_path / paths.summary("demo")).read_text().splitlines()
    assert len(said) <= 60 and said[-len(ends) :] == ends and len(ends) <= 10
    expected, found = numbers(shown_in_readme()), numbers(ends)
    assert expected.keys() == found.keys()
    for name, (right, *_) in found.items():
        # molecular dynamics on another processor parts after picoseconds: other atoms of the same kind
        spread = 0.05 if expected[name][0] >= overview.TOLD else 0.25
        assert right == pytest.approx(expected[name][0], abs=spread), name
    page = (tmp_path / paths.overview("demo")).read_text()
    assert page.count("data:image/png") == 2 and "1.00" in page
