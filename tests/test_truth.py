"""The trial of a model: composites whose regions are known are scored, drawn and recorded."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.imaging.micrographs import _write as write_micrograph
from persistem.model import bundle
from persistem.model.contrast_factor import Gauge
from persistem.plan.plan import Plan
from persistem.plan.trial import STANDS_ON
from persistem.publication.record_maps import record_maps
from persistem.report.figures.drawing import write as draw
from persistem.report.overview import write_overview
from persistem.study.load import make_study
from support.models import STUDY, blobs
from support.studies import TINY, changed

STATES = ["amorphous", "liquid"]
SIDE, FIELD = 256, 51.2
#: What a composite is judged by.
JUDGED = {
    "model": "bundle/model.json",
    "asked": STUDY["model"],
    "states": STATES,
    "composites": [],
    "imaging": {"field": FIELD, "pixels": SIDE, "voltage": 200.0},
    "doses": [5000.0],
    "step": 1.6,
    "whole_images": True,
}
#: Where the boundary lies, Å.
BOUNDARY = 25.6


def composite(root, name, states, seed=1, chooses=False):
    """A micrograph of two kinds of blobs side by side, its layout, and its record; or of one kind, a stranger."""
    rng = np.random.default_rng(len(name))
    distance = {"amorphous": 2.6, "liquid": 1.8, "strange": 1.1}
    halves = [np.vstack([blobs(distance[state], rng) for _ in range(2)]) for state in states or ("strange", "strange")]
    folder = root / "results/composites" / name
    folder.mkdir(parents=True)
    where = {"boundary": BOUNDARY, "amplitude": 0.0, "period": 50.0, "vacuum": None}
    (folder / "layout.json").write_text(json.dumps(where))
    write_micrograph(folder / "image.tif", np.hstack(halves), {"pixel_size_A": FIELD / SIDE, "defocus_A": 0.0})
    path = str((folder / "image.tif").relative_to(root))
    about = {"name": name, "kind": "splice" if states else "stranger", "states": states, "chooses": chooses}
    about |= {"seeds": [seed], "structure": str((folder / "structure.extxyz").relative_to(root))}
    return about | {
        "micrographs": [{"defocus": defocus, "underfocus": defocus, "path": path} for defocus in (0.0, 25.0)]
    }


#: Names of the model and of what it is compared with.
FEATURES = ("chosen", "plain measures", "local spectrum")


@pytest.fixture(scope="module")
def trial(written, tmp_path_factory):
    """A folder with the scores of one model, and the settings of the figure."""
    root = tmp_path_factory.mktemp("trial")
    shutil.copytree(written, root / "bundle")
    composites = [
        composite(root, "choosing", STATES, chooses=True),
        composite(root, "reported", STATES[::-1], seed=2),
        composite(root, "strange", []),
    ]
    settings = JUDGED | {"composites": [{key: one[key] for key in one if key != "chooses"} for one in composites]}
    out = root / "results/truth/one/truth.json"
    assert main(["trial", str(out), "--root", str(root), "--protocol", json.dumps(settings)]) == 0
    judged = [{"size": 6.4, "features": features, "path": str(out.relative_to(root))} for features in FEATURES]
    shown = {"states": STATES, "judged": judged, "composites": composites, "size": 6.4}
    return root, json.loads(out.read_text()), shown


@pytest.mark.slow
def test_what_the_training_does_not_cover_is_kept(trial):
    root, found, shown = trial
    assert all(score["warnings"] == [] for score in found["scores"])
    nowhere = {"name": "nowhere", "kind": "stranger", "states": []}
    far = {"defocus": 500.0, "underfocus": 500.0, "path": shown["composites"][0]["micrographs"][0]["path"]}
    settings = JUDGED | {"composites": [nowhere | {"micrographs": [far]}], "step": 6.4}
    out = root / "far.json"
    assert main(["trial", str(out), "--root", str(root), "--protocol", json.dumps(settings)]) == 0
    *_, (warning,) = (score["warnings"] for score in json.loads(out.read_text())["scores"])
    assert "vacuum: a defocus of 500 Å, but the model was trained at" in warning


@pytest.mark.slow
def test_the_model_abstains_on_a_whole_image_and_simpler_measures_do_not(trial):
    """A model that reads every image as three times too strong."""
    root, found, shown = trial
    model, index = bundle.load(root / "bundle"), json.loads((root / "bundle/model.json").read_text())
    n = 1 + sum(len(mean) for mean, _ in model.distribution.scaling.values())
    strict = Gauge(np.zeros(n), np.ones(n), np.log(3), np.zeros(n), np.zeros((n, n)), 0.8, 1.2, 0.05)
    bundle.write(root / "strict", replace(model, gauge=strict), "", index)
    kept = {key: value for key, value in shown["composites"][0].items() if key != "chooses"}
    for whole in (True, False):
        settings = JUDGED | {"model": "strict/model.json", "composites": [kept], "whole_images": whole}
        out = root / "strict.json"
        assert main(["trial", str(out), "--root", str(root), "--protocol", json.dumps(settings)]) == 0
        score, before = json.loads(out.read_text())["scores"][0], found["scores"][0]
        if whole:
            assert score["shares"]["abstained"] == 1 and "its contrast is 3 times the simulated" in score["warnings"][0]
        else:
            assert score["shares"] == before["shares"] and score["warnings"] == []


@pytest.mark.slow
def test_states_in_another_order_than_the_models_are_refused(trial, tmp_path, capsys):
    """The numbers of a map's states would be compared with those of others."""
    root, _, _ = trial
    settings = JUDGED | {"states": STATES[::-1], "composites": [composite(root, "turned", STATES)]}
    command = ["trial", str(tmp_path / "scores.json"), "--root", str(root), "--protocol", json.dumps(settings)]
    assert main(command) == 1
    assert "in another order than the study's" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_maps_of_one_row_or_column_are_drawn(trial, tmp_path):
    root, _, shown = trial
    thin = shutil.copytree(root, tmp_path / "thin")
    npz = thin / "results/truth/one/truth.npz"
    with np.load(npz) as maps:
        states = dict(maps)
    for part in (np.s_[:1], np.s_[:, :1], np.s_[:1, :1]):
        np.savez_compressed(npz, **{name: state[part] for name, state in states.items()})
        draw("composites", shown, thin, tmp_path)
        assert json.loads((tmp_path / "composites.json").read_text())["reason"] is None


def test_no_seed_of_a_splice_trains_at_any_thickness():
    splice = {"name": "halves", "states": STATES, "seeds": [2]}
    model = {"windows": {"size": 6.0}, "thicknesses": [8.0, 6.0]}
    plan = Plan(make_study(TINY | {"model": model, "truth": {"splices": [splice], "sizes": [5.0]}}))
    trained = [source for step in plan.steps["models"].values() for source in step.settings["sources"]]
    assert {source["thickness"] for source in trained} == {8.0, 6.0}
    assert {seed for source in trained for seed in source["seeds"]} == {1}


@pytest.mark.slow
def test_a_map_that_finds_the_regions_scores_high_whichever_side_they_are_on(trial):
    _, found, _ = trial
    scores = {(score["name"], score["defocus"]): score for score in found["scores"]}
    assert len(scores) == len(found["scores"]) == 3 * 2 + 1, "each at each defocus, and vacuum once"
    for name in ("choosing", "reported"):
        for defocus in (0.0, 25.0):
            score = scores[name, defocus]
            assert score["overlap"]["mean"] > 0.85 and min(score["overlap"].values()) > 0.8
            assert score["boundary_A"]["mean"] < 3
            assert sum(score["shares"].values()) == pytest.approx(1)
    assert scores["strange", 0.0]["shares"]["abstained"] > 0.95, "blobs that no model was trained on"
    assert scores["vacuum", 0.0]["shares"]["abstained"] == 1.0


@pytest.mark.slow
def test_the_figure_says_what_the_scores_say(trial, tmp_path):
    root, found, shown = trial
    draw("composites", shown, root, tmp_path)
    about = json.loads((tmp_path / "composites.json").read_text())
    assert about["reason"] is None and (tmp_path / "composites.png").stat().st_size > 20_000
    numbers = about["numbers"]
    assert numbers["chosen"] == 6.4
    assert [(one["name"], round(one["shares"]["abstained"], 1)) for one in numbers["strangers"]] == [
        ("strange", 1.0),
        ("vacuum", 1.0),
    ]
    rows = [row for row in numbers["rows"] if row["name"] == "reported" and row["features"] == "chosen"]
    of = [score["overlap"]["mean"] for score in found["scores"] if score["name"] == "reported"]
    assert [row["overlap"]["mean"] for row in rows] == of
    assert f"overlap {np.mean(of):.2f}, from {min(of):.2f} (" in about["caption"]
    only = shown | {"composites": shown["composites"][:1]}
    draw("composites", only, root, tmp_path / "only")
    assert "one more is needed" in json.loads((tmp_path / "only" / "composites.json").read_text())["reason"]


@pytest.mark.slow
def test_the_overview_shows_the_maps_and_says_what_the_scores_say(trial, tmp_path):
    root, found, shown = trial
    summary = root / "summary.json"
    summary.write_text(json.dumps({"density_g_cm3": 3.0, "temperature_K": 300.0, "pressure_GPa": None}))
    reported = [one for one in shown["composites"] if one["states"] and not one["chooses"]]
    view = reported[0]["micrographs"][0]
    samples = [
        {"state": state, "specimen": f"{state}-s01", "path": view["path"], "summaries": ["summary.json"]}
        for state in STATES
    ]
    settings = {key: shown[key] for key in ("states", "judged")} | {"dose": 5000.0, "defocus": 0.0}
    settings |= {"name": "mine", "composites": reported, "samples": samples, "timed": {}, "specimens": []}
    write_overview(settings, root, tmp_path / "overview.html")
    page = (tmp_path / "overview.html").read_text()
    assert page.count("data:image/png;base64,") == 2, "the composite, and a sample of each state"
    overlap = next(score for score in found["scores"] if score["name"] == "reported")["overlap"]["mean"]
    assert f"overlap of map and truth {overlap:.2f}" in page
    *_, last = (tmp_path / "summary.txt").read_text().splitlines()
    assert last == "Open results/mine/overview.html"
    (pair,) = found["card"]["pairs"]
    assert f"{pair['accuracy']:.2f}" in (tmp_path / "summary.txt").read_text()


@pytest.mark.slow
def test_the_record_has_the_scores_and_the_card(trial, written, tmp_path):
    root, _, shown = trial
    study, docs = tmp_path / "results/mine", tmp_path / "docs"
    draw("composites", shown, root, study / "truth")
    with pytest.raises(PersistemError, match="make it first: snakemake model"):
        record_maps(study, docs, tmp_path / "full.json")
    shutil.copytree(written, study / "model")
    record_maps(study, docs, tmp_path / "full.json")
    text = (docs / "maps.md").read_text()
    assert "| reported | 6.4 | 0 | 5000 |" in text and "| choosing (chooses) |" in text
    assert "## Its card: model of amorphous, liquid" in text
    never, trained = (
        text.index("Matter never trained: strange"),
        text.index("Trained, as counting noise to abstain on: vacuum"),
    )
    assert never < trained and "| the model |" in text and "| plain measures |" in text
    assert (docs / "figures/composites.png").exists()


def asked(**truth):
    splices = [{"name": f"halves-{seed}", "states": STATES, "seeds": [seed]} for seed in (2, 3)]
    study = changed(TINY, "md.series", [{"temperatures": [6000], "seeds": [1, 2, 3]}])
    return study | {"model": {"windows": {"size": 6.0}}, "truth": {"splices": splices} | truth}


def test_a_measure_that_is_told_defocus_and_dose_has_a_model_for_each():
    truth = {"defoci": [0, -90.0], "doses": [400.0, 800.0], "sizes": [5.0]}
    plan = Plan(make_study(asked(baselines=["low-passed SD", "texture"], **truth)))
    told = [record for record in plan.trial.judged if record["features"] == "low-passed SD"]
    conditions = set()
    for record in told:
        settings = plan.settings("truth", record["path"].split("/")[2])
        (view,) = {view["defocus"] for one in settings["composites"] for view in one["micrographs"]}
        (dose,) = settings["doses"]
        model = plan.settings("models", settings["model"].split("/")[2])
        # -90 Å is nearest to -100 of those that train
        assert {source["defocus"] for source in model["sources"]} == {0.0 if view == 0 else -100.0}
        assert model["model"]["doses"] == [dose] and model["model"]["candidates"] == [["low-passed"]]
        conditions.add((view, dose))
    assert len(told) == len(conditions) == 4
    features = [record["features"] for record in plan.trial.judged]
    assert features == ["chosen", *["low-passed SD"] * 4, "texture", "chosen"]
    other = plan.settings("truth", plan.trial.judged[-1]["path"].split("/")[2])
    assert other["doses"] == [400.0] and {len(one["micrographs"]) for one in other["composites"]} == {1}


def test_a_stranger_is_made_by_the_molecular_dynamics_of_another_material():
    silicon = {
        "material": {
            "crystal": {"formula": "Si", "structure": "diamond", "a": 5.46, "cubic": True},
            "repetitions": [6, 6, 4], "species": ["Si"], "radii": {"Si": 1.1},
        },
        "potential": {"pair_style": "tersoff", "file": "Si.tersoff"},
        "md.series": [{"temperatures": [3500], "seeds": [1], "rt": [True]}],
    }  # fmt: skip
    truth = {"field": 30.0, "strangers": [{"name": "silicon", "settings": silicon}]}
    plan = Plan(make_study(asked(**truth)))
    (stranger,) = [one for one in plan.trial.composites if one["name"] == "silicon"]
    assert stranger["states"] == [] and len(stranger["micrographs"]) == 1
    image = stranger["micrographs"][0]["path"].split("/")
    wave = plan.settings("exit_waves", plan.input_digest("micrographs", image[2]))
    assert image[3] == "T3500-rt1-s01" and wave["field"] == pytest.approx(30.0, abs=0.1) and wave["margin"] == 0
    made = plan.settings("specimens", plan.input_digest("exit_waves", plan.input_digest("micrographs", image[2])))
    assert made["potential"]["file"] == "Si.tersoff" and made["material"]["species"] == ["Si"]
    for wrong, message in (
        (
            silicon | {"md.series": [{"temperatures": [3500, 3000], "seeds": [1], "rt": [True]}]},
            "needs one temperature",
        ),
        ({"md.steps": 3}, "needs md.series with one series"),
        (silicon | {"material.repetitions": [3, 3, 3]}, "atoms would appear twice"),
    ):
        with pytest.raises(PersistemError, match=rf"truth.strangers\[0\].settings.*{message}"):
            Plan(make_study(asked(field=30.0, strangers=[{"name": "silicon", "settings": wrong}])))


@pytest.mark.parametrize(
    ("stranger", "message"),
    [
        ({"name": "nothing"}, "needs either crystal or settings"),
        (
            {"name": "flat", "crystal": {"formula": "Au", "structure": "fcc", "a": 4.08}, "along": [0, 0, 0]},
            "no direction",
        ),
        (
            {"name": "gas", "crystal": {"formula": "Au", "structure": "fcc", "a": 4.08}, "state": "gas"},
            "strangers.0..state",
        ),
    ],
)
def test_what_cannot_be_a_stranger_is_refused(stranger, message):
    with pytest.raises(PersistemError, match=message):
        make_study(asked(strangers=[stranger]))


def test_an_overview_waits_for_all_that_it_says_ran():
    splice = {"name": "halves", "states": STATES, "seeds": [2]}
    plan = Plan(make_study(TINY | {"model": {"windows": {"size": 6.0}}, "truth": {"splices": [splice]}}))
    (step,) = plan.steps["overview"].values()
    read = set(plan.sources("overview", step.digest))
    assert {*plan.files("learning"), *map(plan.summary, plan.specimens)} <= read
    assert set(step.settings["timed"]) <= {"overview", *STANDS_ON} and "learning" in step.settings["timed"]
