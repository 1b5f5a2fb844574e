"""A study with an evaluation, from MD to the chapter of its report."""

from __future__ import annotations

import copy
import csv
import html
import json

import numpy as np
import pytest
from persistem.evaluation.protocols import read_protocols
from persistem.learning.accuracy import read_by_seed
from persistem.plan.plan import Plan
from persistem.report.figures import EVALUATION_FIGURES, JOINT_FIGURES
from persistem.store import paths
from persistem.study.load import make_study
from support.studies import TINY
from support.workflow import EVALUATED, PARTS, copied, ran, snakemake

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("evaluation", "evaluation"),
        pytest.param("robustness", "evaluation.sweeps", marks=pytest.mark.thorough),
    ],
)
def test_a_target_of_what_the_study_lacks_says_so(target, key, tmp_path):
    text = snakemake(tmp_path, target, "-n", study=TINY, status=1)
    assert f"persistem: the study has no {key}, so the target has nothing to make" in text
    assert "Traceback" not in text


#: The study without what images other specimens: an evaluation and a sweep.
MEASURED = EVALUATED | {
    "evaluation": {k: v for k, v in EVALUATED["evaluation"].items() if k not in ("controls", "multiverse")}
}


@pytest.fixture(scope="module")
def measured(first, tmp_path_factory):
    """A folder in which the study is evaluated; it starts from what it shares with the tiny study."""
    folder = copied(first, tmp_path_factory.mktemp("measured"), "tiny")
    jobs = ran(snakemake(folder, "evaluation", "robustness", study=MEASURED))
    assert jobs == {
        "heating": 1, "rt_treatment": 1, "exit_wave": 2, "micrograph": 2, "crops": 2, "crop_diagrams": 2,
        "persistence_image": 2, "descriptors": 6, "evaluate": 1, "sweep": 1, "evaluation": 1, "robustness": 1,
    }  # fmt: skip
    return folder


@pytest.mark.thorough
def test_the_figures_of_the_chapter_have_their_findings(evaluated):
    figures = Plan(make_study(EVALUATED)).report.figures
    for name in EVALUATION_FIGURES:
        figure = json.loads((evaluated / figures[name]).read_text())
        assert figure["reason"] is None, (name, figure["reason"])
        assert figure["numbers"]["finding"]
        assert (evaluated / figures[name]).with_suffix(".png").stat().st_size > 5000


@pytest.mark.thorough
def test_the_chapter_is_on_the_page_with_its_findings(evaluated, tmp_path):
    here = copied(evaluated, tmp_path / "copy")
    snakemake(here, "report", study=EVALUATED)
    page = html.unescape((here / "results/evaluated/report.html").read_text())
    assert "What the accuracy means" in page
    for name in EVALUATION_FIGURES:
        figure = json.loads((here / f"results/evaluated/figures/{name}.json").read_text())
        assert figure["numbers"]["finding"] in page


@pytest.mark.thorough
def test_seeds_are_the_unit_and_what_cannot_be_measured_says_why(measured):
    plan = Plan(make_study(MEASURED))
    found = json.loads((measured / plan.evaluation.evaluation).read_text())
    assert found["seeds"] == [1, 2, 3]
    assert {row["crop_A"] for row in found["rows"]} == {6.25, 12.5}
    assert all(len(row["chosen"]) == 3 for row in found["rows"] if row["foci"] == "all")
    sweep = json.loads((measured / plan.evaluation.sweeps["crop"]).read_text())
    for curve in sweep["curves"]:
        known, other = curve["points"]
        assert 0 <= known["accuracy"] <= 1 and known["reason"] is None
        # rings of frequencies lie elsewhere in smaller crops
        carried = (curve["row"], curve["training"]) != ("spectrum", "base")
        assert (other["accuracy"] is not None) == carried
        assert carried or "other frequencies" in other["reason"]


@pytest.mark.thorough
def test_controls_are_those_that_the_study_asks_for(evaluated):
    plan = Plan(make_study(EVALUATED))
    controls = json.loads((evaluated / plan.evaluation.controls).read_text())["controls"]
    assert [control["name"] for control in controls] == ["as simulated", "thin"]
    assert controls[0]["densities"] == controls[1]["densities"]


@pytest.mark.thorough
def test_what_sees_a_changed_setting_is_evaluated_again_and_back(measured, tmp_path):
    """For one target; `tests/test_dag.py` says the same of every setting and target."""
    here = copied(measured, tmp_path / "copy")
    more = copy.deepcopy(MEASURED)
    more["evaluation"]["C"] = [3.0]
    assert ran(snakemake(here, "robustness", study=more)) == {"sweep": 1, "robustness": 1}
    assert "Nothing to be done" in snakemake(here, "robustness", study=MEASURED)


@pytest.mark.thorough
def test_only_what_sees_a_changed_setting_runs_again(evaluated, tmp_path):
    here = copied(evaluated, tmp_path / "copy")
    more = copy.deepcopy(EVALUATED)
    more["evaluation"]["C"] = [3.0]
    jobs = ran(snakemake(here, "evaluation", "controlled", "robustness", study=more))
    assert jobs.keys() == {"evaluate", "controls", "sweep", "evaluation", "controlled", "robustness"}
    assert "Nothing to be done" in snakemake(here, *PARTS, study=EVALUATED)


#: Eight protocols together.
JOINT = MEASURED | {
    "evaluation": MEASURED["evaluation"]
    | {
        "multiverse": {
            "factors": [
                {"question": question, "answers": [{"answer": "another", "settings": settings}]}
                for question, settings in {
                    "polarity": {"features.paper.inverted": True},
                    "crops": {"crops": {"size": 64, "random": 6}},
                    "scaling": {"learning.scaling": "maximum by degree"},
                }.items()
            ],
            "design": {"method": "full", "finalists": 2},
        },
    },
}  # fmt: skip


@pytest.mark.thorough
def test_a_joint_multiverse_is_computed_drawn_and_not_computed_again(measured, tmp_path):
    folder = copied(measured, tmp_path / "joint")
    plan = Plan(make_study(JOINT))
    figures = [plan.report.figures[name] for name in JOINT_FIGURES]
    accuracy = paths.path("learning", plan.learning["paper"])
    jobs = ran(snakemake(folder, "multiverse", accuracy, *figures, study=JOINT))
    assert jobs == {
        "specimen_diagrams": 4 * 6, "protocols": 1, "compatibility": 1, "figure": 3, "learning": 1, "multiverse": 1,
    }  # fmt: skip
    table = read_protocols(folder / plan.evaluation.joint.protocols)
    assert len(set(table["protocol"])) == 8 and set(table["seed"]) == {1, 2, 3}
    own = np.array(table["protocol"]) == 0
    # the study's own protocol is the learning stage's
    with open(folder / accuracy) as file:
        rows = [
            r for r in csv.DictReader(file) if (r["split"], r["training"], r["foci"]) == ("random", "pooled", "all")
        ]
    for row in rows:
        shares = np.array(table[f"{row['degrees']} {row['model']} all"])[own].reshape(3, -1)
        by_seed = np.array(list(read_by_seed(row["by_seed"]).values()))[:, : shares.shape[1]]
        np.testing.assert_allclose(shares[:, : by_seed.shape[1]], by_seed, atol=1e-5)
    for figure in figures:
        assert json.loads((folder / figure).read_text())["reason"] is None
    assert not ran(snakemake(folder, "multiverse", "-n", study=JOINT)).get("protocols")
