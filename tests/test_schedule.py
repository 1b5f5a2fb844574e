"""Histories: steps that hold, heat, cool and compress, each from the end of the one before, and what they end as."""

import json
import subprocess
import sys

import numpy as np
import pytest
import yaml
from ase.build import bulk
from persistem.errors import PersistemError
from persistem.plan import jobs
from persistem.plan.plan import Plan
from persistem.specimens.order import crystalline, displacement, order
from persistem.specimens.schedule import even, follow
from persistem.specimens.segments import read_thermo
from persistem.specimens.structures import read_structure
from persistem.study import Material, MolecularDynamics, Potential, Step
from persistem.study.load import make_study
from support.studies import ROOT

SILICON = {"formula": "Si", "structure": "diamond", "a": 5.431, "cubic": True}
CELL = {"crystal": SILICON, "species": ["Si"], "repetitions": [3, 3, 3], "radii": {"Si": 1.11}}
FORCES = {"pair_style": "sw", "file": "Si.sw"}
HOW = {"ranks": 1, "barostat": "iso", "segment_steps": 500, "thermo_every": 20, "temperature_tolerance": 0.5}


def run(out, step, begin=None, start=None, seed=1, **md):
    how = MolecularDynamics(**HOW | md)
    follow(Material(**CELL), Potential(**FORCES), how, Step(**step), begin, seed, start, out)
    return json.loads((out / "summary.json").read_text()), read_thermo(out / "thermo.csv")


# order and movement


@pytest.mark.parametrize(
    ("crystal", "q6"),
    [
        # Steinhardt, Nelson & Ronchetti (1983), table I: nearest neighbours
        (bulk("Cu", "fcc", a=3.6, cubic=True), 0.5745),
        (bulk("Fe", "bcc", a=2.87, cubic=True), 0.5106),
        (bulk("Mg", "hcp", a=3.2, c=3.2 * np.sqrt(8 / 3), orthorhombic=True), 0.4848),
        (bulk("Po", "sc", a=3.3), 0.3536),
        (bulk("Si", "diamond", a=5.43, cubic=True), 0.6285),
    ],
)
def test_crystals_have_the_order_of_the_textbook(crystal, q6):
    cell = crystal.repeat((3, 3, 3))
    # of bcc the second shell, 15 % farther, counts too
    assert order(cell) == pytest.approx(q6, abs=2e-3) and crystalline(cell) == 1
    cell.rotate(33, (1, 2, 3), rotate_cell=True)
    assert order(cell) == pytest.approx(q6, abs=2e-3)


def test_without_order_there_is_none():
    rng = np.random.default_rng(0)
    cell = bulk("Si", "diamond", a=5.43, cubic=True).repeat((6, 6, 6))
    cell.positions[:] = rng.uniform(0, 1, (len(cell), 3)) @ cell.cell.array
    assert order(cell) < 0.05


def test_grains_of_any_direction_are_seen_where_all_bonds_together_have_no_order():
    from ase import Atoms

    rng = np.random.default_rng(2)
    lattice = bulk("Si", "diamond", a=5.43, cubic=True).repeat((8, 8, 8))
    lattice.positions -= lattice.positions.mean(axis=0)
    places = []
    for corner in np.ndindex(3, 3, 3):
        grain = lattice.copy()
        grain.rotate(rng.uniform(0, 360), rng.normal(size=3))
        inside = (np.abs(grain.positions) < 8).all(axis=1)
        places.append(grain.positions[inside] + 16 * np.array(corner) + 8)
    cell = Atoms(f"Si{sum(map(len, places))}", np.concatenate(places), cell=[48] * 3, pbc=True)
    assert order(cell) < 0.15 and crystalline(cell) > 0.3
    cell.positions[:] = rng.uniform(0, 48, cell.positions.shape)
    assert crystalline(cell) < 0.02


# steps


def test_a_step_goes_on_from_the_one_before_and_its_ramp_is_even(tmp_path):
    first, held = run(tmp_path / "warm", {"name": "warm", "temperature": 400, "steps": 600}, segment_steps=300)
    _, ramp = run(
        tmp_path / "hot", {"name": "hot", "temperature": 1200, "steps": 2000, "ramp": True}, 400.0,
        tmp_path / "warm/end.restart",
    )  # fmt: skip
    assert held[-1]["step"] == ramp[0]["step"] == 600 and ramp[-1]["step"] == 2600
    assert ramp[0]["temperature_K"] == pytest.approx(held[-1]["temperature_K"], rel=1e-6)
    at = np.array([row["step"] for row in ramp]), np.array([row["temperature_K"] for row in ramp])
    slope, offset = np.polyfit(at[0] - 600, at[1], 1)
    assert slope == pytest.approx(800 / 2000, rel=0.15) and offset == pytest.approx(400, abs=60)
    assert first["Q6"] > 0.5 and first["moved_A"] < 0.5


def test_a_resumed_step_is_the_undisturbed_one(tmp_path):
    step = {"name": "cool", "temperature": 700, "steps": 300, "ramp": True}
    run(tmp_path / "before", {"name": "before", "temperature": 900, "steps": 100}, temperature_tolerance=2.0)
    start = tmp_path / "before/end.restart"
    run(tmp_path / "whole", step, 900.0, start, segment_steps=100, temperature_tolerance=2.0)
    run(tmp_path / "cut", step, 900.0, start, segment_steps=100, temperature_tolerance=2.0)
    (tmp_path / "cut/segments/003.restart").unlink()
    (tmp_path / "cut/structure.extxyz").unlink()
    run(tmp_path / "cut", step, 900.0, start, segment_steps=100, temperature_tolerance=2.0)
    files = [(tmp_path / name / "structure.extxyz").read_bytes() for name in ("whole", "cut")]
    assert files[0] == files[1]


def test_a_density_is_reached_at_once_and_held(tmp_path):
    _, rows = run(tmp_path / "dense", {"name": "dense", "temperature": 300, "steps": 200, "density": 2.45})
    assert {round(row["density_g_cm3"], 6) for row in rows} == {2.45}
    atoms = read_structure(tmp_path / "dense/structure.extxyz")
    assert order(atoms) > 0.5 and atoms.cell.angles() == pytest.approx([90, 90, 90])


def test_a_tilted_cell_keeps_its_angles_when_it_is_scaled(tmp_path):
    hexagonal = Material(repetitions=(4, 4, 3))
    how = MolecularDynamics(**HOW | {"barostat": "none"})
    step = Step(name="light", temperature=300, steps=20, density=5.0)
    follow(hexagonal, Potential(), how, step, None, 1, None, tmp_path / "light")
    atoms = read_structure(tmp_path / "light/structure.extxyz")
    assert atoms.cell.angles() == pytest.approx([90, 90, 120], abs=1e-6)
    a, b, c = atoms.cell.lengths()
    assert a == pytest.approx(b) and c / a == pytest.approx(3 * 5.189 / (4 * 3.19), rel=1e-9)
    assert json.loads((tmp_path / "light/summary.json").read_text())["density_g_cm3"] == pytest.approx(5.0)


@pytest.mark.slow
def test_a_melt_flows_and_its_quench_does_not(tmp_path):
    hot = {"name": "melt", "temperature": 3500, "steps": 3000, "state": "liquid"}
    melt, _ = run(tmp_path / "melt", hot, segment_steps=1000)
    assert melt["moved_A"] > 2 and melt["Q6"] < 0.1 and melt["crystalline"] == 0 and abs(melt["energy_drift_eV"]) < 0.1
    # so far above its melting point the liquid is about as dense as the crystal, 2.33 g/cm³
    assert 2.1 < melt["density_g_cm3"] < 2.6
    cold = {"name": "glass", "temperature": 300, "steps": 4000, "ramp": True, "state": "glass"}
    glass, _ = run(tmp_path / "glass", cold, 3500.0, tmp_path / "melt/end.restart")
    assert glass["moved_A"] < 1 and glass["Q6"] < 0.1
    # the same, looked at from outside
    files = [tmp_path / f"glass/segments/00{k}.restart" for k in (7, 8)]
    assert displacement(*files) == pytest.approx(glass["moved_A"], abs=1e-4)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"temperature": 300, "state": "liquid"}, "is to end as a liquid, but is ordered: Q6 = 0.6"),
        ({"temperature": 300, "state": "glass"}, "is to end as a glass, but is ordered"),
        (
            {"temperature": 6000, "state": "crystal", "steps": 1500},
            "is to end as a crystal, but has no long-range order",
        ),
        (
            {"temperature": 6000, "pressure": -3.0, "drift": 0.001, "steps": 600},
            r"the density changed by .* drift = 0\.001",
        ),
        (
            {"temperature": 6000, "density": 2.0, "energy_drift": 1e-4, "steps": 600},
            r"the potential energy of an atom changed by [-+]0\.\d+ eV .* energy_drift allows 0\.0001 eV",
        ),
        (
            {"temperature": 9000, "pressure": -20.0, "state": "liquid", "steps": 1500},
            r"the melt has boiled: its density fell to .* g/cm³, less than 50% of the crystal's 2\.33",
        ),
    ],
)
def test_what_a_step_does_not_end_as_fails_it(tmp_path, step, message):
    with pytest.raises(PersistemError, match=message):
        run(tmp_path / "odd", {"name": "odd", "steps": 200} | step, segment_steps=100)
    assert not (tmp_path / "odd/structure.extxyz").exists()


# the study

STUDY = {
    "name": "silicon",
    "material": CELL | {"repetitions": [5, 5, 5]},
    "potential": FORCES,
    "imaging": {"field": 12.0, "pixels": 128, "thickness": 12.0, "defoci": [0]},
    "crops": {"size": 64, "stride": 64},
    "md": {
        "ranks": 1,
        "schedule": {
            "seeds": [1, 2],
            "steps": [
                {"name": "melt", "temperature": 3500, "steps": 5000, "state": "liquid"},
                {"name": "liquid", "temperature": 1800, "rate": 100},
                {"name": "glass", "temperature": 300, "rate": 50, "state": "glass"},
            ],
        },
    },
    "states": {"liquid": {"after": "liquid"}, "amorphous": {"after": "glass"}},
}


def changed(**md):
    schedule = STUDY["md"]["schedule"] | md.pop("schedule", {})
    return STUDY | {"md": STUDY["md"] | {"schedule": schedule} | md}


def test_specimens_are_the_ends_of_steps_and_those_of_states_are_classified():
    plan = Plan(make_study(STUDY))
    assert list(plan.specimens) == [f"{name}-s0{k}" for name in ("melt", "liquid", "glass") for k in (1, 2)]
    assert [(s.name, s.state) for s in plan.classified] == [
        (f"{step}-s0{k}", state) for step, state in (("liquid", "liquid"), ("glass", "amorphous")) for k in (1, 2)
    ]
    glass, liquid = plan.digest("specimens", "glass-s02"), plan.digest("specimens", "liquid-s02")
    assert jobs.followed_restart(plan, glass, "glass-s02") == [f"results/specimens/{liquid}/liquid-s02/end.restart"]
    assert jobs.followed_restart(plan, plan.digest("specimens", "melt-s01"), "melt-s01") == []
    # 1500 K at 50 K/ps in steps of 1 fs
    asked = plan.settings("specimens", glass)
    assert asked["step"]["steps"] == 30_000 and asked["begin"] == 1800


def test_a_changed_step_runs_it_and_those_after_it():
    before = Plan(make_study(STUDY))

    def same(study):
        after = Plan(make_study(study))
        ends = {name: f"{name}-s01" for name in ("melt", "liquid", "glass")}
        return [name for name, end in ends.items() if after.digest("specimens", end) == before.digest("specimens", end)]

    steps = [dict(step) for step in STUDY["md"]["schedule"]["steps"]]
    assert same(changed(schedule={"steps": [*steps[:2], steps[2] | {"rate": 20}]})) == ["melt", "liquid"]
    assert same(changed(schedule={"steps": [steps[0], steps[1] | {"pressure": 1.0}, steps[2]]})) == ["melt"]
    assert same(changed(schedule={"seeds": [1, 2, 3]})) == ["melt", "liquid", "glass"]
    assert same(changed(timestep=0.5)) == []
    # what a step has to be changes nothing that it is
    assert same(
        changed(schedule={"steps": [*steps[:2], steps[2] | {"state": None, "drift": 0.1, "energy_drift": 0.1}]})
    ) == list(step["name"] for step in steps)


def test_checks_ask_for_the_temperature_and_the_pressure_of_the_step():
    steps = [A | {"pressure": 5.0}, A | {"name": "b", "temperature": 900, "density": 2.2}]
    states = {"one": {"after": "a"}, "two": {"after": "b"}}
    plan = Plan(make_study(changed(schedule={"steps": steps}) | {"states": states}))
    asked = [plan.settings("state_checks", digest) for digest in plan.steps["state_checks"]]
    targets = {one["specimen"][0]: (one["target_K"], one["target_GPa"]) for one in asked}
    assert targets == {"a": (300, 5.0), "b": (900, None)}


@pytest.mark.parametrize(("steps", "most", "expected"), [(2510, 2500, (1255, 1255)), (7, 3, (3, 2, 2)), (5, 9, (5,))])
def test_segments_of_a_step_are_as_long_as_each_other(steps, most, expected):
    assert even(steps, most) == expected


def steps(*asked):
    return changed(schedule={"steps": [{"name": "a"} | step for step in asked]})


A = {"name": "a", "temperature": 300, "steps": 5000}


def states(**asked):
    return STUDY | {"states": asked}


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (steps({"temperature": -20, "steps": 10}), "greater than or equal to 1"),
        (states(liquid={"after": "boiling"}), "'boiling': no step of md.schedule: melt, liquid, glass"),
        (states(liquid={"temperature": 6000, "rt": False}), "states.liquid: needs after"),
        (states(liquid={"after": "melt"}, molten={"after": "melt"}), "the same specimens as states.liquid"),
        (states(liquid={"after": "melt", "rt": True}), "leave temperature and rt out"),
        (steps({"temperature": 3500, "rate": 5}), "the first step holds a temperature"),
        (steps({"temperature": 3500}), "needs either steps or rate"),
        (steps({"temperature": 30, "steps": 500}, {"temperature": 30, "steps": 500}), "two steps are called a"),
        (steps({"temperature": 30, "steps": 500, "density": 2.0, "pressure": 1.0}), "one is held"),
        (changed(series=[{"temperatures": [6000]}]), "md.series: given together with md.schedule"),
        (changed(rt={"steps": 10}), "md.rt: given together with md.schedule"),
        (steps({"temperature": 30, "steps": 50}), "the end of step a, 50 steps long"),
        (STUDY | {"preparation": {"method": "inherent"}}, "which a schedule does not have"),
        (steps({"temperature": 3500, "steps": 2000, "state": "liquid"}), "md.segment_steps = 2500: .* at most 1999"),
        (steps({"temperature": 300, "steps": 500, "density": 2.0, "drift": 0.1}), "does not drift"),
        (changed(barostat="none", schedule={"steps": [A | {"drift": 0.1}]}), "has a drift, but md.barostat is none"),
        (changed(barostat="none", density=2.2, schedule={"steps": [A | {"density": 2.0}]}), "leave one out"),
        ({"states": {"liquid": {"after": "melt"}}}, "the study has no md.schedule; give temperature and rt"),
    ],
)
def test_a_schedule_that_cannot_be_followed_is_refused(study, message):
    with pytest.raises(PersistemError, match=message):
        Plan(make_study(study))


def test_controls_and_seeds_of_a_variant_are_those_of_the_schedule():
    evaluation = {
        "describing": {"sizes": [64], "images": {}},
        "rows": [{"name": "spread", "task": "absolute", "blocks": [["contrast"]], "main": True}],
        "controls": [
            {"name": "as it is"},
            {"name": "thin", "settings": {"imaging.thickness": 8.0}, "seeds": [1, 2, 3]},
        ],
    }
    plan = Plan(make_study(changed(schedule={"seeds": [1, 2, 3, 4]}) | {"evaluation": evaluation}))
    assert len(plan.plans) > 1 and plan.evaluation.controls


@pytest.mark.slow
def test_the_workflow_follows_a_schedule(tmp_path):
    steps = [
        {"name": "warm", "temperature": 300, "steps": 100},
        {"name": "hot", "temperature": 900, "steps": 100, "ramp": True},
    ]
    md = {"ranks": 1, "temperature_tolerance": 3.0, "thermo_every": 10, "segment_steps": 50}
    study = changed(schedule={"steps": steps}, **md) | {
        "material": CELL | {"repetitions": [4, 4, 4]}, "imaging": STUDY["imaging"] | {"margin": 0.0},
        "states": {"cold": {"after": "warm"}, "hot": {"after": "hot"}},
    }  # fmt: skip
    file = tmp_path / "history.yaml"
    file.write_text(yaml.safe_dump(study))
    command = [sys.executable, "-m", "snakemake", "specimens", "--cores", "2", "--configfile", str(file)]
    command += ["--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    made = {path.parent.name for path in tmp_path.glob("results/specimens/*/*/structure.extxyz")}
    assert made == {"warm-s01", "warm-s02", "hot-s01", "hot-s02"}
    again = subprocess.run([*command, "-n"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "specimens  " not in again.stdout + again.stderr
