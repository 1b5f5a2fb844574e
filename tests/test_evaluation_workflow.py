"""A study with an evaluation, from MD to the chapter of its report."""

from __future__ import annotations

import copy
import html
import json

import pytest
from conftest import TINY
from persistem.plan.plan import Plan
from persistem.report.figures import EVALUATION_FIGURES
from persistem.study.load import make_study
from test_workflow import ran, snakemake

EVALUATED = copy.deepcopy(TINY) | {
    "name": "evaluated",
    "evaluation": {
        "describing": {"detector": {"binning": 2}, "sizes": [64, 128], "images": {}},
        "rows": [
            {"name": "standard deviation", "task": "absolute", "blocks": [["contrast"]], "main": True},
            {"name": "spectrum", "task": "contrast removed", "blocks": [["spectrum"]], "main": True},
            {"name": "persistence", "task": "contrast removed", "blocks": [["statistics"], ["betti"]], "main": True},
        ],
        "multiverse": {"alternatives": [{"question": "C", "answer": "1", "settings": {"learning.C": 1.0}}]},
        "controls": [
            {"name": "as simulated"},
            {"name": "thin", "states": {"amorphous": {"imaging.thickness": 8.0}}},
        ],
        "sweeps": [
            {
                "name": "crop",
                "title": "Crop size",
                "axis": "side (px)",
                "key": "evaluation.describing.sizes",
                "values": [[64], [32]],
            },
        ],
    },
}
EVALUATED["imaging"] = TINY["imaging"] | {"defoci": [0]}
EVALUATED["md"] = TINY["md"] | {"series": [{"temperatures": [6000], "seeds": [1, 2, 3]}]}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    snakemake(folder, "report", study=EVALUATED)
    return folder


@pytest.mark.parametrize(("target", "key"), [("evaluation", "evaluation"), ("robustness", "evaluation.sweeps")])
def test_a_target_of_what_the_study_lacks_says_so(target, key, tmp_path):
    text = snakemake(tmp_path, target, "-n", study=TINY, status=1)
    assert f"persistem: the study has no {key}, so the target has nothing to make" in text
    assert "Traceback" not in text


def test_the_chapter_is_on_the_page_with_its_findings(evaluated):
    page = html.unescape((evaluated / "results/evaluated/report.html").read_text())
    assert "What the accuracy means" in page
    for name in EVALUATION_FIGURES:
        figure = json.loads((evaluated / f"results/evaluated/figures/{name}.json").read_text())
        assert figure["reason"] is None, (name, figure["reason"])
        assert figure["numbers"]["finding"] in page
        assert (evaluated / f"results/evaluated/figures/{name}.png").stat().st_size > 5000


def test_seeds_are_the_unit_and_what_cannot_be_measured_says_why(evaluated):
    plan = Plan(make_study(EVALUATED))
    found = json.loads((evaluated / plan.evaluation.evaluation).read_text())
    assert found["seeds"] == [1, 2, 3]
    assert {row["crop_A"] for row in found["rows"]} == {6.25, 12.5}
    assert all(len(row["chosen"]) == 3 for row in found["rows"] if row["foci"] == "all")
    sweep = json.loads((evaluated / plan.evaluation.sweeps["crop"]).read_text())
    for curve in sweep["curves"]:
        known, other = curve["points"]
        assert 0 <= known["accuracy"] <= 1 and known["reason"] is None
        # rings of frequencies lie elsewhere in smaller crops
        carried = (curve["row"], curve["training"]) != ("spectrum", "base")
        assert (other["accuracy"] is not None) == carried
        assert carried or "other frequencies" in other["reason"]
    controls = json.loads((evaluated / plan.evaluation.controls).read_text())["controls"]
    assert [control["name"] for control in controls] == ["as simulated", "thin"]
    assert controls[0]["densities"] == controls[1]["densities"]


def test_only_what_sees_a_changed_setting_runs_again(evaluated, tmp_path):
    more = copy.deepcopy(EVALUATED)
    more["evaluation"]["C"] = [3.0]
    jobs = ran(snakemake(evaluated, "evaluation", "controlled", "robustness", study=more))
    assert jobs.keys() == {"evaluate", "controls", "sweep", "evaluation", "controlled", "robustness"}
    assert "Nothing to be done" in snakemake(evaluated, "report", study=EVALUATED)
