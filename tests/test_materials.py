"""The record of several materials, of studies whose answers are planted."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.learning.rows import Described
from persistem.learning.validation import Candidate, CropLabels
from persistem.publication import record_materials
from persistem.publication.record_materials import Material, first_peak, judged
from persistem.specimens.state_checks import rdf
from support.studies import ROOT

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


def test_the_first_peak_of_a_crystal_is_its_bond():
    from ase.build import bulk
    from persistem.specimens.state_checks import pair_distances

    atoms = bulk("Si", cubic=True).repeat((5, 5, 5))
    atoms.rattle(0.08, seed=1)
    edges = np.linspace(0, 10, 201)
    g = rdf(atoms, ("Si", "Si"), pair_distances(atoms, ["Si"], 10.0)["Si", "Si"], edges)
    assert first_peak((edges[1:] + edges[:-1]) / 2, g) == pytest.approx(2.352, abs=0.03)


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
    plan = SimpleNamespace(study=SimpleNamespace(name=name, imaging=imaging), report=SimpleNamespace(checks={}))
    controls = {
        "as simulated": control("as simulated", 0.9, (3.5, 2.6)),
        "equal density": control("equal density", equal, (3.0, 3.0)),
    }
    return Material(name, plan, ROOT, SETTINGS, controls)


def test_the_page_says_what_is_left_at_equal_density(tmp_path, monkeypatch):
    made = {"one": material("one", 0.8), "other": material("other", 0.5)}
    known = {"one": crops(2.0), "other": crops(2.0, rng=1)}
    checks = {
        "state": "amorphous", "density_g_cm3": 2.3, "coordination": {}, "contacts": {},
        "rdf": {"r_A": np.arange(0.5, 5).tolist(), "pairs": {"Si-Si": [0, 0.2, 3, 0.2, 1]}},
    }  # fmt: skip
    made["one"].plan.report.checks["s"] = "check.json"
    monkeypatch.setattr(record_materials, "material_of", lambda folder: made[folder.name])
    monkeypatch.setattr(record_materials, "_described", lambda one, control: known[one.name])
    monkeypatch.setattr(record_materials, "read_json", lambda path: checks)
    value = {"state": "amorphous", "quantity": "density, g/cm³", "value": 2.29, "source": "somebody, 1999"}
    (tmp_path / "published.yaml").write_text(json.dumps({"one": [value]}))
    record_materials.record_materials([tmp_path / "one", tmp_path / "other"], tmp_path)
    page = (tmp_path / "materials.md").read_text()
    assert "# What persistence knows beside density, in one and other" in page
    assert "at equal density 0.80 (0.79 to 0.81), −0.10: it still tells the states apart" in page
    assert "at equal density 0.50 (0.49 to 0.51), −0.40: it is not told from chance" in page
    assert "| one | equal density | 12.5 Å, in focus | 0.80 (0.79 to 0.81) |" in page
    assert "| one | amorphous | density, g/cm³ | 2.3 | 2.29 | +0.4% | somebody, 1999 |" in page
    assert page.count("| one | other |") == 4 and (tmp_path / "figures/materials.png").stat().st_size > 10_000


@pytest.mark.parametrize("missing", ["nothing", "a study without controls"])
def test_a_study_that_is_not_finished_is_refused(missing, tmp_path, capsys):
    if missing != "nothing":
        (tmp_path / "study.yaml").write_text("{name: a}\n")
    said = "is not the folder of a study" if missing == "nothing" else "has no controls; make them first"
    assert main(["record-materials", str(tmp_path), "--docs", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err
