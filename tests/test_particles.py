"""Particles on a film: composites whose regions are known, and a model that learns from them."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from ase import Atoms
from persistem import api
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.labelled.card import by_condition
from persistem.labelled.simulated import regions
from persistem.plan.particles import imaged
from persistem.plan.plan import Plan
from persistem.reading import Image
from persistem.specimens.layout import Discs
from persistem.study import Imaging, Particles
from persistem.study.load import load_study, make_study
from persistem.trial.particles import CONTACT, particles, thickness
from support.studies import ROOT

PLATINUM = {"formula": "Pt", "structure": "fcc", "a": 3.92, "cubic": True}
ASKED = Particles(crystals=[PLATINUM], diameter=(8.0, 14.0), film=(10.0, 15.0))


def film(seed=0, width=46.0, height=16.0):
    """A made-up film: carbon as dense as amorphous carbon, no two atoms nearer than 1.3 Å."""
    rng = np.random.default_rng(seed)
    across, up = (int(length / 2.1) for length in (width, height))
    grid = np.stack(np.meshgrid(*map(np.arange, (across, across, up)), indexing="ij"), -1).reshape(-1, 3)
    cell = np.array([width, width, height])
    places = (grid + rng.uniform(-0.18, 0.18, grid.shape)) * cell / (across, across, up)
    return Atoms(f"C{len(places)}", places % cell, cell=cell, pbc=True)


def composite(seed=0, asked=ASKED, field=40.0):
    imaging = Imaging(field=field, pixels=160, margin=0.0, thickness=thickness(asked))
    return *particles(film(), asked, imaging, [1, seed]), imaging


def test_atoms_are_where_the_layout_says():
    for seed in range(4):
        atoms, discs, imaging = composite(seed)
        state = discs.state(*atoms.positions[:, :2].T)
        platinum = atoms.numbers == 78
        assert platinum.any() and (~platinum).any() and discs.discs
        # heat moves an atom over the border of its disc at most
        inside = min(np.hypot(*(atoms.positions[platinum, :2] - disc[:2]).T).min() - disc[2] for disc in discs.discs)
        assert inside < 0 and (state[platinum] == 1).mean() > 0.95
        assert (state[~platinum] >= 0).all()
        near = np.linalg.norm(atoms.positions[platinum][:, None] - atoms.positions[~platinum][None], axis=-1).min()
        assert near >= CONTACT
        low, high = atoms.positions[:, 2].min(), atoms.positions[:, 2].max()
        assert low >= 0 and high <= imaging.thickness and (low + high) / 2 == pytest.approx(imaging.thickness / 2)


def test_what_is_drawn_lies_in_its_range():
    shares, radii, deep = [], [], []
    for seed in range(12):
        atoms, discs, imaging = composite(seed)
        points = np.arange(200) / 5
        state = discs.state(points[None], points[:, None])
        shares.append(float((state == -1).mean()))
        radii += [disc[2] for disc in discs.discs]
        for k, (x, y, radius) in enumerate(discs.discs):
            assert x - radius > discs.boundary - discs.amplitude and max(x, y) + radius <= imaging.field
            for a, b, other in discs.discs[:k]:
                assert np.hypot(x - a, y - b) > radius + other
        carbon = atoms.positions[atoms.numbers == 6]
        deep.append(np.ptp(carbon[:, 2]))
    low, high = ASKED.vacuum
    assert low - 0.03 < min(shares) and max(shares) < high + 0.03 and np.ptp(shares) > 0.05
    assert min(radii) >= 4.0 and max(radii) <= 7.0 and len(radii) > 12
    assert min(deep) > 9.0 and max(deep) <= 15.0


def test_a_composite_is_the_same_each_time_and_no_other():
    (first, discs, _), (again, same, _), (other, else_, _) = composite(1), composite(1), composite(2)
    np.testing.assert_array_equal(first.positions, again.positions)
    assert asdict(discs) == asdict(same) != asdict(else_) and len(first) != len(other)


def test_particles_are_crystals_of_the_lattice_constant_in_many_orientations():
    atoms, discs, _ = composite(3, ASKED.model_copy(update={"displacement": 0.0}))
    platinum = atoms.positions[atoms.numbers == 78]
    first, towards = [], []
    for x, y, radius in discs.discs:
        ball = platinum[np.hypot(platinum[:, 0] - x, platinum[:, 1] - y) <= radius + 1e-6]
        away = ball[:, None] - ball[None]
        far = np.linalg.norm(away, axis=-1)
        np.fill_diagonal(far, np.inf)
        first.append(far.min())
        towards.append(away[np.unravel_index(far.argmin(), far.shape)])
    np.testing.assert_allclose(first, 3.92 / np.sqrt(2), rtol=1e-6)
    assert len(discs.discs) < 2 or abs(np.dot(*np.array(towards[:2]))) < 0.999 * first[0] ** 2


def test_a_film_that_would_appear_twice_is_refused():
    imaging = Imaging(field=60.0, pixels=160, margin=0.0, thickness=thickness(ASKED))
    with pytest.raises(PersistemError, match=r"cell of 46 x 46 x 16 Å would appear twice .* particles\.film"):
        particles(film(), ASKED, imaging, [1])


def test_regions_are_those_of_the_simulated_pixels():
    discs = Discs(10.0, 2.0, 20.0, ((25.0, 20.0, 6.0), (34.0, 8.0, 3.0)))
    fine = np.arange(160) * 0.25
    simulated = discs.state(fine[None], fine[:, None])
    binned = regions(discs, (40, 40), 1.0, 0.25)
    for state, number in ((0, 0), (1, 1), (-1, 2)):
        share = (simulated == state).reshape(40, 4, 40, 4).mean(axis=(1, 3))
        assert (binned[share == 1] == number).all() and (binned[share == 0] != number).all()


STUDY = {
    "name": "balls",
    "imaging": {"field": 40.0, "pixels": 160, "thickness": 15.0, "margin": 0.0},
    "crops": {"size": 32, "stride": 32},
    "particles": {
        "crystals": [PLATINUM],
        "diameter": [8.0, 14.0],
        "film": [10.0, 15.0],
        "number": 2,
        "microscopes": [{"voltage": 200.0}, {"voltage": 300.0, "Cs": 1.0}],
    },
    "model": {
        "windows": {"sampling": 0.5, "size": 8.0, "bands": [{"narrow": 0.6, "window": 4.0}], "levels": 4},
        "step": 2.0,
        "share": 0.9,
        "candidates": [["filters"], ["contrast", "spectrum"]],
        "conditions": {
            "number": 3, "waves": 1, "defocus": [-100.0, 300.0], "dose": [1000.0, None], "pixel_size": [0.25, 0.5],
        },
    },
}  # fmt: skip


def study(tmp_path, **changes):
    """The study with films of its own, as structures that its folder holds."""
    files = []
    for seed in (1, 2, 3):
        film(seed).write(tmp_path / f"film-{seed}.extxyz")
        files.append({"path": str(tmp_path / f"film-{seed}.extxyz"), "state": "carbon", "seed": seed})
    return make_study({**STUDY, "structures": files, **changes})


def test_microscopes_take_turns_and_films_are_left_out_together(tmp_path):
    plan = Plan(study(tmp_path))
    assert [one.voltage for one in imaged(plan.study.particles, plan.study.imaging)] == [200.0, 300.0]
    settings = plan.model.settings
    assert settings["states"] == ["carbon", "particle", "vacuum"] and len(settings["composites"]) == 6
    assert [c["specimen"] for c in settings["composites"]] == [f"carbon-s0{k}" for k in (1, 1, 2, 2, 3, 3)]
    waves = [plan.settings("exit_waves", digest) for digest in plan.steps["exit_waves"]]
    assert sorted(w["voltage"] for w in waves if w["thickness"] == 29.0) == [200.0] * 3 + [300.0] * 3
    conditions = [json.dumps(c["conditions"]) for c in settings["composites"]]
    assert len(set(conditions)) == 6


@pytest.mark.parametrize(
    ("changes", "made_again"),
    [
        ({"particles": {"number": 3}}, {"composites": 3, "exit_waves": 3, "varied": 3}),
        (
            {"particles": {"microscopes": [{"voltage": 200.0}, {"voltage": 120.0, "Cs": 1.0}]}},
            {"exit_waves": 3, "varied": 3},
        ),
        ({"particles": {"microscopes": [{"voltage": 200.0}, {"voltage": 300.0, "Cs": 2.0}]}}, {"varied": 3}),
        ({"model": {"conditions": STUDY["model"]["conditions"] | {"mtf": [0.2, 0.8]}}}, {"varied": 6}),
        ({"particles": {"displacement": 0.1}}, {"composites": 6, "exit_waves": 6, "varied": 6}),
        ({"particles": {"state": "metal"}}, {}),
        ({"model": {"C": [3.0]}}, {}),
    ],
)
def test_a_change_makes_what_depends_on_it_again_and_no_more(tmp_path, changes, made_again):
    before, after = (
        Plan(study(tmp_path, **{key: STUDY[key] | new for key, new in of.items()})) for of in ({}, changes)
    )
    new = {
        stage: len(after.steps[stage].keys() - before.steps[stage].keys())
        for stage in ("composites", "exit_waves", "varied")
    }
    assert {stage: count for stage, count in new.items() if count} == made_again
    assert after.model.digest != before.model.digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "particles: nothing learns from them"),
        ({"model": {k: v for k, v in STUDY["model"].items() if k != "conditions"}}, r"model\.conditions: needs ranges"),
        ({"model": STUDY["model"] | {"conditions": {"waves": 2}}}, r"waves = 2: a composite has one exit wave"),
        ({"model": STUDY["model"] | {"conditions": {"waves": 1, "tilt": 10.0}}}, r"conditions\.tilt: is of whole"),
        ({"model": STUDY["model"] | {"candidates": [["spectrum", "conditions"]]}}, r"candidates: conditions are of"),
        ({"model": STUDY["model"] | {"doses": [400.0]}}, r"model\.doses: given together with model\.conditions"),
        ({"particles": STUDY["particles"] | {"state": "carbon"}}, r"particles\.state = 'carbon'"),
        ({"particles": STUDY["particles"] | {"state": "vacuum"}}, r"particles\.state = 'vacuum'"),
        ({"particles": STUDY["particles"] | {"diameter": [20.0, 10.0]}}, "the lower end of the range comes first"),
        ({"particles": STUDY["particles"] | {"diameter": [10.0, 35.0]}}, r"particles\.diameter: 35 Å is too large"),
        ({"particles": STUDY["particles"] | {"vacuum": [0.1, 0.8]}}, r"vacuum = .* at most 0\.6"),
        ({"particles": STUDY["particles"] | {"microscopes": [{"volts": 1}]}}, r"particles\.microscopes\[0\]"),
        ({"particles": STUDY["particles"] | {"microscopes": [{"margin": 6.25}]}}, r"margin: is of the composite"),
        ({"particles": STUDY["particles"] | {"crystals": [PLATINUM | {"structure": "cubist"}]}}, "ASE cannot build"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_before_any_job(tmp_path, changes, message):
    with pytest.raises(PersistemError, match=message):
        Plan(study(tmp_path, **changes))


def test_a_film_thicker_than_its_specimen_is_refused_before_its_dynamics():
    settings = yaml.safe_load((ROOT / "config/particles.yaml").read_text())
    settings["particles"]["film"] = [15.0, 200.0]
    with pytest.raises(PersistemError, match=r"particles\.film: atoms would appear twice"):
        make_study(settings)


def test_two_states_are_no_film(tmp_path):
    with pytest.raises(PersistemError, match=r"particles: need one state, .* there are amorphous, liquid"):
        make_study(STUDY)


def test_the_study_that_comes_with_the_package_can_be_planned():
    plan = Plan(load_study(ROOT / "config/particles.yaml"))
    assert len(plan.model.settings["composites"]) == 24


def test_a_card_says_under_which_conditions_the_model_is_right_and_where_it_gives_up():
    """Two specimens: right at one dose, half right without noise, where it abstains on a quarter."""
    y, micrograph = np.tile([0, 1], 8), np.repeat([0, 1, 2, 3], 4)
    noisy = np.isin(micrograph, (0, 2))
    said = np.where(noisy, y, 0)
    crops = SimpleNamespace(y=y, micrograph=micrograph, seed=micrograph // 2, states=["film", "particle"])
    assessment = SimpleNamespace(
        probability=np.eye(2)[said], tested=np.ones(16, bool), beyond=~noisy & (np.arange(16) % 4 == 0)
    )
    trained = SimpleNamespace(rows=SimpleNamespace(crops=crops), assessment=assessment)
    conditions = [{"wave": 0, "dose": dose, "mtf": 0.5} for dose in (400.0, None) * 2]
    assert by_condition(trained, conditions) == [
        {"by": "dose", "value": 400.0, "recall": 1.0, "abstained": 0.0, "windows": 8},
        {"by": "dose", "value": None, "recall": 0.5, "abstained": 0.25, "windows": 8},
    ]


@pytest.mark.slow
def test_a_model_of_composites_finds_particles_on_a_film_it_has_not_seen(tmp_path):
    from persistem.imaging.exit_waves import exit_wave
    from persistem.imaging.varied import read_varied, varied_file
    from persistem.model import bundle
    from persistem.trial.making import make

    plan = Plan(study(tmp_path))
    settings = plan.model.settings
    for digest, step in plan.steps["composites"].items():
        (name,) = {c["structure"].split("/")[3] for c in settings["composites"] if digest in c["structure"]}
        make(step.settings | {"film": str(tmp_path / f"film-{name[9]}.extxyz")}, tmp_path,
             tmp_path / f"results/composites/{digest}/{name}")  # fmt: skip
    for composite in settings["composites"]:
        digest = composite["path"].split("/")[2]
        told = plan.settings("varied", digest)
        wave = tmp_path / f"wave-{digest}.zarr"
        imaging = Imaging(**plan.settings("exit_waves", plan.input_digest("varied", digest)) | told["imaging"])
        exit_wave(tmp_path / composite["structure"], imaging, wave)
        (tmp_path / composite["path"]).parent.mkdir(parents=True, exist_ok=True)
        varied_file(wave, imaging, told["conditions"], tmp_path / composite["path"])
    out = tmp_path / "results/fitted/bundle"
    protocol = tmp_path / "protocol.yaml"
    protocol.write_text(yaml.safe_dump(settings))
    assert main(["fit", str(out), "--root", str(tmp_path), "--protocol", str(protocol)]) == 0
    card = (out / "card.md").read_text()
    assert "Particles of Pt, 8 to 14 Å across, on a film of 10 to 15 Å, at 200 and 300 kV" in card
    assert "18 micrographs of 6 composites of 3 films" in card and "| dose | 1000 | no noise |" in card
    about = json.loads((out / "card.json").read_text())
    recall = {row["state"]: row["recall"] for row in about["assessed"]["states"]}
    # three composites train, under conditions of their own; chance is a third
    assert min(recall.values()) > 0.5 and np.mean(list(recall.values())) > 0.7
    # and at each part of each range
    rows = about["by_condition"]
    assert [row["by"] for row in rows] == ["defocus"] * 5 + ["pixel_size"] * 5 + ["dose"] * 5
    assert sum(row["windows"] for row in rows) == 3 * sum(row["windows"] for row in about["assessed"]["states"])
    assert f"| defocus | {rows[0]['value']:g} Å | {rows[0]['recall']:.3f} |" in card
    # a map of one of its micrographs: no voltage, defocus or dose is asked for
    pixels, size = read_varied(tmp_path / settings["composites"][0]["path"])[0]
    found = api.map_image(Image(tmp_path / "a.tif", None, "", pixels, size, None, None, {}), bundle.load(out))
    assert found.states == ("carbon", "particle", "vacuum") and found.shares["abstained"] < 0.5
