"""One model of simulated and of labelled micrographs."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from persistem.errors import PersistemError
from persistem.labelled import describing, mixed
from persistem.model import bundle
from persistem.plan.plan import Plan
from persistem.reading import read
from persistem.study.load import make_study
from support.models import STUDY, blobs

NAMES = {1: "amorphous", 2: "liquid"}
DISTANCES = {"amorphous": 2.6, "liquid": 1.8}


def halves(folder, name, seed, names=NAMES):
    """A micrograph whose left half has the blobs of the first state and whose right half those of the second."""
    rng = np.random.default_rng(seed)
    pixels = np.hstack([blobs(DISTANCES[state], rng) for state in NAMES.values()]).astype(np.float32)
    regions = np.ones(pixels.shape, np.uint8)
    regions[:, pixels.shape[1] // 2 :] = 2
    tifffile.imwrite(folder / f"{name}.tif", pixels)
    tifffile.imwrite(folder / f"{name}.labels.tif", regions)
    entry = {"path": str(folder / f"{name}.tif"), "labels": str(folder / f"{name}.labels.tif"), "states": names}
    return entry | {"pixel_size": 0.2}


def planned(entries, root):
    """The plan of a study of both, with the descriptions that it needs in the folder."""
    plan = Plan(make_study(STUDY | {"labelled": entries}))
    for name, path in plan.labelled.descriptions.items():
        settings = plan.settings("descriptions", Path(path).parent.name)
        image = read(Path(plan.labelled.files[name]), pixel_size=settings["pixel_size"])[0]
        found = describing.describe(image, plan.study.model.windows, settings["step"], settings["blocks"])
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        describing.write(found, root / path)
    return plan


@pytest.fixture(scope="module")
def made(study_root, tmp_path_factory):
    """The bundle of a model of both, and its settings; the labelled micrographs are of two specimens."""
    folder = tmp_path_factory.mktemp("mixed")
    root = shutil.copytree(study_root[0], folder / "root")  # the fixture's is everybody's
    plan = planned([halves(folder, name, seed) for seed, name in enumerate("ab")], root)
    mixed.fit(plan.model.settings, root, folder / "bundle")
    return plan, root, folder / "bundle"


def test_a_study_of_both_simulates_as_without_labels(made):
    plan, _, _ = made
    alone = Plan(make_study(STUDY))
    for stage in ("specimens", "exit_waves", "micrographs"):
        assert set(plan.steps[stage]) == set(alone.steps[stage])
    assert plan.model.stage == "fitted" and not plan.steps["models"]
    assert plan.model.settings["simulated"]["sources"] == alone.model.settings["sources"]
    assert not plan.labelled.unseen and plan.report.report


def test_the_model_knows_both_and_says_so(made):
    _, _, path = made
    model = bundle.load(path)
    assert model.states == ("amorphous", "liquid") and model.voltage == 200.0 and not model.labelled
    card = model.card
    assert [one["specimen"] for one in card["labelled"]] == ["a", "b"]
    assert card["labelled"][0]["states"] == ["amorphous", "liquid"]
    # three seeds, and two specimens that are left out as seeds are
    assert card["assessed"] == "leave-seed-out over 5 seeds"
    assert {row["by"] for row in card["accuracy"]} == {"all", "state", "defocus", "dose", "thickness"}
    assert (
        "nan" not in json.dumps(card).lower()
        and "labelled micrographs train: a.tif (a: amorphous, liquid)" in (path / "card.md").read_text()
    )


def test_labelled_windows_are_those_inside_their_image(made):
    plan, root, _ = made
    from persistem.labelled.sources import labelled

    known = labelled(plan.model.settings["sources"], root, 0.0)
    side, one = 32, known.micrographs[0]
    inside = mixed._inside(one)
    places = np.argwhere(inside) * one.described.step
    assert places.min() == side // 2 or places.min() > side // 2 - one.described.step
    assert (places + side // 2 <= np.array(one.described.shape)).all() and (places >= side // 2).all()


def test_a_state_that_is_not_simulated_is_refused(study_root, tmp_path):
    root = shutil.copytree(study_root[0], tmp_path / "root")
    plan = planned([halves(tmp_path, "c", 5, {1: "amorphous", 2: "glass"})], root)
    with pytest.raises(PersistemError, match=r"state glass is none of the simulated ones, which are amorphous, liquid"):
        mixed.fit(plan.model.settings, root, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": None}, "labelled: nothing learns from them; add a model"),
        (
            {"truth": {"splices": [{"name": "one", "states": ["amorphous", "liquid"], "seeds": [3]}]}},
            "truth: given together with labelled",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(changes, says, tmp_path):
    with pytest.raises(PersistemError, match=re.escape(says)):
        make_study(STUDY | {"labelled": [halves(tmp_path, "d", 6)]} | changes)
