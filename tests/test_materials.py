"""The record of several materials, of studies whose answers are planted."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.learning.rows import Described
from persistem.learning.validation import Candidate, CropLabels
from persistem.plan.plan import Plan
from persistem.publication import record_materials
from persistem.publication.material_states import beside, crystals, first_minimum, of_structure, quench, read_published
from persistem.publication.record_materials import Material, judged
from persistem.specimens.structures import crystal_of
from persistem.study.load import load_study, make_study
from persistem.study.members import states_of
from support.studies import ROOT
from test_schedule import STUDY as HISTORY

STATES = ("amorphous", "liquid")
SETTINGS = {
    "states": list(STATES), "in_focus": 0.0, "sizes": [256, 512], "C": [1.0], "models": ["LR"],
    "rows": [{"name": name, "task": task, "blocks": [[name]]} for name, task in record_materials.ROWS.values()],
}  # fmt: skip


def crops(apart, offset=0.0, scale=1.0, seeds=6, rng=0, length=5):
    """Crops of seeds whose states lie ``apart`` in every number, in units of their scatter."""
    y = np.tile(np.repeat([0, 1], 40), seeds)
    seed = np.repeat(np.arange(1, seeds + 1), 80)
    values = np.random.default_rng(rng).normal(size=(len(y), length)) + apart * (y[:, None] - 0.5)
    block = (offset + scale * values).astype(np.float32)
    labels = CropLabels(y, seed, np.zeros(len(y)), np.arange(len(y)) // 40, STATES)
    return Described({"persistence": block, "spectrum": block}, labels, np.zeros((len(y), 2), int))


CANDIDATE = Candidate(("persistence",), "LR", 1.0)


def test_a_model_judges_a_material_that_is_like_its_own_and_not_one_that_is_the_other_way_round():
    same = judged(crops(2.0), crops(2.0, rng=1), CANDIDATE, own=False)
    assert same.keys() == set(range(1, 7)) and np.mean(list(same.values())) > 0.95
    turned = judged(crops(2.0), crops(-2.0, rng=1), CANDIDATE, own=False)
    assert np.mean(list(turned.values())) < 0.05
    # numbers in other units are told on their own scale alone
    away = crops(2.0, offset=50.0, scale=7.0, rng=1)
    assert np.mean(list(judged(crops(2.0), away, CANDIDATE, own=False).values())) == pytest.approx(0.5, abs=0.05)
    assert np.mean(list(judged(crops(2.0), away, CANDIDATE, own=True).values())) > 0.95
    with pytest.raises(PersistemError, match="persistence: 5 numbers in one study, 6 in the other"):
        judged(crops(2.0), crops(2.0, length=6), CANDIDATE, own=False)


def test_of_crystals_bonds_and_neighbours_are_those_of_the_textbook():
    from ase.build import bulk

    silicon = bulk("Si", cubic=True).repeat((5, 5, 5))
    silicon.rattle(0.08, seed=1)
    found = of_structure(silicon)
    assert found.keys() == {"density, g/cm³", "first peak Si-Si, Å", "Si around Si"}
    assert found["first peak Si-Si, Å"] == pytest.approx(2.352, abs=0.03)
    assert found["Si around Si"] == pytest.approx(4) and found["density, g/cm³"] == pytest.approx(2.33, abs=0.01)
    alloy = bulk("CuZr", "cesiumchloride", a=3.26).repeat((8, 8, 8))
    alloy.rattle(0.05, seed=1)
    found = of_structure(alloy)
    assert found["Zr around Cu"] == found["Cu around Zr"] == pytest.approx(8)
    assert found["Cu around Cu"] == found["Zr around Zr"] == pytest.approx(6)
    assert found["first peak Cu-Zr, Å"] == pytest.approx(3.26 * np.sqrt(3) / 2, abs=0.03)


def test_of_what_has_no_order_neighbours_are_as_many_as_the_density_asks_for():
    # hard spheres of which none is nearer than 2 Å: g(r) begins there, and is lowest somewhere behind it
    from ase import Atoms
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    places = rng.uniform(0, 30, (6000, 3))
    kept = np.ones(len(places), bool)
    for a, b in cKDTree(places, boxsize=30).query_pairs(2.0):
        if kept[a] and kept[b]:
            kept[b] = False
    places = places[kept]
    found = of_structure(Atoms(f"Ar{len(places)}", places, cell=[30] * 3, pbc=True))
    assert 2.0 < found["first peak Ar-Ar, Å"] < 2.2
    far = 1.6 * found["first peak Ar-Ar, Å"]
    assert 0 < found["Ar around Ar"] < 1.3 * len(places) / 30**3 * 4 / 3 * np.pi * far**3


def test_the_quench_is_the_rate_at_which_a_state_was_last_cooled():
    plan = Plan(make_study(HISTORY))
    rates = {
        name: quench(plan, f"{name}-s01", plan.digest("specimens", f"{name}-s01"))
        for name in ("melt", "liquid", "glass")
    }
    assert rates == {"melt": None, "liquid": 100, "glass": 50}
    assert crystals(plan) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"quantity": "density, g/cm³", "value": 2.3, "source": "x"}, "a value has no state; each has quantity"),
        ({"state": "a", "quantity": "q", "value": 2.3, "source": "x", "from": "y"}, "a value has from; each has"),
        (
            {"state": "a", "quantity": "q", "value": 2.3, "source": "x"},
            "no 'q' of 'a' was measured; there are as simulated",
        ),
        ({"state": "glass", "quantity": "q", "value": 2.3, "source": "x"}, "no 'q' of 'glass' was measured"),
    ],
)
def test_a_published_value_that_stands_beside_nothing_is_refused(value, message, tmp_path):
    file = tmp_path / "published.yaml"
    file.write_text(json.dumps({"one": [value]}))
    with pytest.raises(PersistemError, match=message):
        beside("one", {("as simulated", "glass"): {"density": 2.0}}, read_published(file)["one"])


def test_the_first_shell_of_a_liquid_ends_at_the_first_minimum_and_not_at_the_lowest_bin_of_a_flat_curve():
    r = np.arange(0.025, 6.5, 0.05)
    flat = 1 + 1.2 * np.exp(-(((r - 2.5) / 0.25) ** 2)) - 0.1 * np.exp(-(((r - 3.1) / 0.2) ** 2))
    for seed in range(20):
        g = flat + np.random.default_rng(seed).normal(0, 0.02, len(r)) * (r > 2)
        assert first_minimum(r, g, 2.5) == pytest.approx(3.1, abs=0.15)


def material(name, equal):
    """A study with planted accuracies: 0.9 as simulated and ``equal`` at equal density, scattered by 0.01."""

    def control(of, accuracy, densities):
        scatter = np.random.default_rng(len(name)).normal(scale=0.01, size=6)
        by_seed = {str(seed + 1): round(accuracy + value, 6) for seed, value in enumerate(scatter)}
        line = {"accuracy": accuracy, "ci_low": accuracy - 0.01, "ci_high": accuracy + 0.01, "by_seed": by_seed}
        rows = [
            {"row": row, "task": task, "size": size, "foci": foci} | line
            for row, task in record_materials.ROWS.values()
            for size in SETTINGS["sizes"]
            for foci in ("all", "in-focus")
        ]
        return {
            "name": of,
            "defoci": [-50.0, 0.0],
            "densities": dict(zip(STATES, densities, strict=True)),
            "by_size": rows,
        }

    imaging = SimpleNamespace(field=50.0, pixels=1024)
    plan = SimpleNamespace(study=SimpleNamespace(name=name, imaging=imaging))
    controls = {
        "as simulated": control("as simulated", 0.9, (3.5, 2.6)),
        "equal density": control("equal density", equal, (3.0, 3.0)),
    }
    return Material(name, plan, ROOT, SETTINGS, controls)


def test_the_page_says_what_is_left_at_equal_density(tmp_path, monkeypatch):
    made = {"one": material("one", 0.8), "other": material("other", 0.5)}
    known = {"one": crops(2.0), "other": crops(2.0, rng=1)}
    states = {
        ("as simulated", "amorphous"): {"density, g/cm³": 2.3},
        ("as simulated", "liquid"): {"quench, K/ps": 50.0},
    }
    monkeypatch.setattr(record_materials, "material_of", lambda folder: made[folder.name])
    monkeypatch.setattr(record_materials, "_described", lambda one, control: known[one.name])
    monkeypatch.setattr(record_materials, "states_of_material", lambda plan, settings, root: states)
    value = {"state": "amorphous", "quantity": "density, g/cm³", "value": 2.29, "source": "somebody, 1999"}
    (tmp_path / "published.yaml").write_text(json.dumps({"one": [value]}))
    record_materials.record_materials([tmp_path / "one", tmp_path / "other"], tmp_path)
    page = (tmp_path / "materials.md").read_text()
    assert "# What persistence knows beside density, in one and other" in page
    assert "at equal density 0.80 (0.79 to 0.81) (change −0.10): its interval lies above chance" in page
    assert "at equal density 0.50 (0.49 to 0.51) (change −0.40): its interval reaches chance" in page
    assert "at equal density its interval lies above chance in one; it has more than the spectrum in none" in page
    assert "one ± 0.010; other ± 0.010" in page
    assert "| one | equal density | 12.5 Å, in focus | 0.80 (0.79 to 0.81) |" in page
    assert "| one | amorphous | density, g/cm³ | 2.3 | 2.29 | +0.4% | yes | somebody, 1999 |" in page
    assert "| as simulated | liquid |  | 50 |" in page
    assert page.count("| one | other |") == 4 and (tmp_path / "figures/materials.png").stat().st_size > 10_000


def test_published_values_are_of_states_that_the_studies_have():
    published = read_published(ROOT / "docs/published.yaml")
    assert published.keys() == {"silicon", "cuzr", "gan-glass"}
    for name, values in published.items():
        plan = Plan(load_study(ROOT / f"config/{name}.yaml"))
        assert crystals(plan)
        of_material = of_structure(read_structure_of(plan))
        assert {value["quantity"] for value in values} <= of_material.keys()
        assert {value["state"] for value in values} <= {"crystal", *states_of(plan.study)}
        # what is published of the crystal is what the study begins with
        for value in (value for value in values if value["state"] == "crystal"):
            assert of_material[value["quantity"]] == pytest.approx(value["value"], rel=0.01), value


def read_structure_of(plan):
    """The crystal that a study begins with, shaken by what heat does."""
    atoms = crystal_of(plan.study.material.model_copy(update={"repetitions": (6, 6, 6)}))
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.mark.parametrize("missing", ["nothing", "a study without controls"])
def test_a_study_that_is_not_finished_is_refused(missing, tmp_path, capsys):
    if missing != "nothing":
        (tmp_path / "study.yaml").write_text("{name: a}\n")
    said = "is not the folder of a study" if missing == "nothing" else "has no controls; make them first"
    assert main(["record-materials", str(tmp_path), "--docs", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err
