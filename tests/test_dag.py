"""The shape of the DAG, and what a change of each setting runs, as Snakemake resolves it."""

import importlib
import re

import pytest
from persistem.model.bundle import FILES as BUNDLE
from persistem.plan.plan import Plan
from persistem.store.stages import STAGES
from persistem.study import Evaluation, ModelSettings, Section, Study, Trial
from persistem.study.load import make_study
from support import dag
from support.studies import ROOT, TINY, changed

BELOW = [
    "heating",
    "rt_treatment",
    "exit_wave",
    "micrograph",
    "crops",
    "crop_diagrams",
    "persistence_image",
    "learning",
]

#: The tiny study with a third seed and an evaluation that has all parts.
EVALUATED = changed(TINY, "md.series", [{"temperatures": [6000], "seeds": [1, 2, 3]}]) | {
    "evaluation": {
        "describing": {"sizes": [64], "images": {}},
        "rows": [{"name": "standard deviation", "task": "absolute", "blocks": [["contrast"]], "main": True}],
        "multiverse": {
            "factors": [{"question": "C", "answers": [{"answer": "C = 1", "settings": {"learning.C": 1.0}}]}]
        },
        "controls": [{"name": "as simulated"}],
        "sweeps": [{"name": "B2", "title": "B2", "axis": "B2 (Å)", "key": "imaging.coma", "values": [0.0, 200.0]}],
    }
}

#: A new value for each setting of the table in docs/re-execution.md.
VALUES = {
    "material.crystal": {"formula": "GaN", "structure": "wurtzite", "a": 3.2, "c": 5.2},
    "material.file": "crystal.xyz",
    "material.repetitions": [7, 6, 4],
    "material.species": ["N", "Ga"],
    "material.radii": {"Ga": 1.5, "N": 0.5},
    "potential.pair_style": "tersoff/mod",
    "potential.file": "mine.tersoff",
    "potential.commands": ["pair_style zero 5.0", "pair_coeff * *"],
    "potential.files": {"gan": "mine.tersoff"},
    "md.timestep": 0.5,
    "md.steps": 600,
    "md.initial_temperature_factor": 1.0,
    "md.barostat": "aniso",
    "md.pressure": 1.0,
    "md.density": 5.0,
    "md.temperature_damping": 50.0,
    "md.pressure_damping": 500.0,
    "md.pchain": 0,
    "md.segment_steps": 100,
    "md.thermo_every": 10,
    "md.atom_style": "charge",
    "md.neighbor": 2.0,
    "md.accelerator": "omp",
    "md.ranks": 2,
    "md.rt.temperature": 400,
    "md.rt.steps": 600,
    "md.rt.velocities": "redrawn",
    "md.temperature_tolerance": 0.8,
    "preparation": {"method": "inherent"},
    "imaging.field": 12.0,
    "imaging.thickness": 9.0,
    "imaging.pixels": 192,
    "imaging.slice_thickness": 0.5,
    "imaging.margin": 1.5,
    "imaging.parametrization": "kirkland",
    "imaging.voltage": 300.0,
    "imaging.Cs": 0.001,
    "imaging.astigmatism": 20.0,
    "imaging.astigmatism_angle": 30.0,
    "imaging.coma": 200.0,
    "imaging.coma_angle": 30.0,
    "imaging.tilt": [5.0, 0.0],
    "imaging.strain": [0.01, 0.0],
    "imaging.Cc": 1.0,
    "imaging.energy_spread": 0.3,
    "imaging.focal_spread": "relativistic",
    "imaging.temporal_coherence": "envelope",
    "imaging.focal_nodes": 21,
    "imaging.semi_angle": 0.2,
    "imaging.aperture": 20.0,
    "imaging.defocus_origin": "exit",
    "imaging.defocus_sign": "overfocus-positive",
    "crops.size": 32,
    "crops.stride": 32,
    "crops.random": 3,
    "crops.seed": 1,
    "features.paper.intensity": {"method": "window"},
    "features.paper.inverted": True,
    "features.paper.detector": {"dose": 1000.0},
    "features.paper.filtrations": ["sublevel"],
    "features.paper.positions": True,
    "features.paper.bins": 32,
    "features.paper.sigma": 1.0,
    "features.paper.sigma_unit": "grey levels",
    "features.paper.weight": {"form": "atan"},
    "learning.models": ["LR"],
    "learning.C": 0.1,
    "learning.scaling": "maximum",
    "learning.penalised_intercept": [],
    "learning.test_fraction": 0.5,
    "learning.repetitions": 5,
    "learning.split_unit": "place",
    "learning.judged": "all",
    "learning.split_seed": 1,
    "learning.in_focus": [-50.0, 13.0],
    "diagrams_3d.periodic": True,
    "figures.temperatures": [6000],
    "figures.cube": 8.0,
    "figures.region": [[0.0, 1.0], [1.0, 2.0]],
    "figures.volumes": 3,
    "figures.recipe": "absolute",
    "figures.defocus": -100.0,
    "figures.crop": 3,
    "model.windows.sampling": 0.3,
    "model.windows.size": 8.0,
    "model.windows.bands": [{"narrow": 0.5}],
    "model.windows.filtrations": ["sublevel"],
    "model.windows.levels": 6,
    "model.windows.frequency": 1.0,
    "model.stride": 3.0,
    "model.doses": [800.0],
    "model.mtf": 0.5,
    "model.contrast": [0.8, 1.2],
    "model.candidates": [["spectrum"]],
    "model.C": [3.0],
    "model.outside": 0.05,
    "model.thicknesses": [6.0],
    "model.spread": [{"state": "amorphous", "settings": {"imaging.tilt": [20.0, 0.0]}}],
    "model.conditions": {"number": 4, "waves": 1, "thickness": [6.0, 10.0], "defocus": [-50.0, 50.0]},
    "model.step": 2.0,
    "map_with": "bundle",
    "truth.field": 120.0,
    "truth.defoci": [25.0],
    "truth.doses": [800.0],
    "truth.baselines": ["texture"],
    "truth.splices": [{"name": "halves", "states": ["amorphous", "liquid"], "seeds": [1]}],
    "truth.melts": [{"name": "melt", "states": ["liquid", "amorphous"], "seeds": [7]}],
    "truth.strangers": [{"name": "gold", "crystal": {"formula": "Au", "structure": "fcc", "a": 4.08}}],
    "truth.sizes": [5.0],
    "evaluation.describing.detector.binning": 1,
    "evaluation.describing.detector.dose": 1000.0,
    "evaluation.describing.detector.mtf": 0.5,
    "evaluation.describing.detector.low_pass": 0.3,
    "evaluation.describing.sizes": [32],
    "evaluation.describing.bands": [{"narrow": 0.3}],
    "evaluation.describing.images": {"images-16": {"bins": 16, "sigma": 1.0}},
    "evaluation.describing.contrast": 0.08,
    "evaluation.rows": [{"name": "moments", "task": "absolute", "blocks": [["moments"]], "main": True}],
    "evaluation.C": [3.0],
    "evaluation.models": ["LR"],
    "evaluation.permutations": 16,
    "evaluation.draws": 2,
    "evaluation.focus": 10.0,
    "evaluation.multiverse.seeds": [1, 2],
    "evaluation.multiverse.factors": [
        {"question": "C", "answers": [{"answer": "C = 2", "settings": {"learning.C": 2.0}}]},
    ],
    "evaluation.multiverse.design": {"method": "full"},
    "evaluation.controls": [{"name": "as simulated"}, {"name": "again", "seeds": [1, 2, 3]}],
    "evaluation.sweeps": [
        {"name": "Cs", "title": "Cs", "axis": "Cs (mm)", "key": "imaging.Cs", "values": [0.0, 0.01]},
    ],
    "run.crops_per_job": 2,
    "run.device": "gpu",
    "name": "another",
}


def table(column):
    """The rows of docs/re-execution.md: setting and the rules that run for the tables (1) or the report (2)."""
    text = (ROOT / "docs/re-execution.md").read_text()
    for keys, *rules in re.findall(r"^\| (`.+?) \| (.+?) \| (.+?) \|$", text, re.M):
        for key in re.findall(r"`([\w.]+)`", keys):
            if "." in key or key in ("name", "preparation", "map_with"):
                yield key, set() if rules[column - 1] == "nothing" else set(rules[column - 1].split(", "))


ROWS, REPORT_ROWS = dict(table(1)), dict(table(2))


OPTIONAL = {"evaluation": Evaluation, "model": ModelSettings, "truth": Trial}


def settings(model, prefix=""):
    """Every setting of the study, sections opened, those of recipes under ``features.paper``."""
    for name, field in model.model_fields.items():
        section = isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        if name in OPTIONAL:
            yield from settings(OPTIONAL[name], f"{name}.")
        elif section and name != "crystal":
            yield from settings(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_the_table_has_every_setting():
    from persistem.study import Recipe

    listed = {"md.series", "imaging.defoci", "structures", "states", "features", "micrographs"}  # the second table
    listed |= {"md.schedule"}  # the second too: test_schedule.py
    listed |= {"particles"}  # the third: test_particles.py
    listed |= {"labelled", "model.share"}  # the fourth: test_labelled.py
    every = {*settings(Study), *(f"features.paper.{name}" for name in Recipe.model_fields)} - listed
    assert every == set(ROWS)
    assert set(VALUES) == set(ROWS)


def base(key):
    """The tiny study, with what the new value of a setting needs."""
    also = {
        "crops.size": ("crops.stride", 32),
        "crops.random": ("crops", {"size": 64, "random": 4}),
        "crops.seed": ("crops", {"size": 64, "random": 4}),
        "md.density": ("md.barostat", "none"),
        "potential.files": (
            "potential",
            {"commands": ["pair_style tersoff", "pair_coeff * * {gan} {elements}"], "files": {"gan": "GaN.tersoff"}},
        ),
        "figures.recipe": ("features.absolute", {"intensity": {"method": "window"}}),
        "figures.temperatures": ("md.series", [*TINY["md"]["series"], {"temperatures": [1000], "seeds": [1]}]),
    }
    if key.startswith("evaluation."):
        return EVALUATED
    if key in ("model.step", "map_with"):
        return TINY | {"model": {"windows": {"size": 6.0}}, "micrographs": [{"path": "film.tif"}]}
    if key.startswith("truth."):
        splice = {"name": "halves", "states": ["amorphous", "liquid"], "seeds": [2]}
        return TINY | {"model": {"windows": {"size": 6.0}}, "truth": {"splices": [splice]}}
    if key.startswith("model."):
        return TINY | {"model": {"windows": {"size": 6.0}}}
    return changed(TINY, *also[key]) if key in also else TINY


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A crystal, a potential, a micrograph and a model of the user's own, which rows of the table refer to."""
    from persistem.specimens.structures import crystal_of, potential_path
    from persistem.study import Material

    crystal_of(Material(repetitions=(1, 1, 1))).write(tmp_path / "crystal.xyz", format="extxyz")
    (tmp_path / "mine.tersoff").write_text(potential_path("GaN.tersoff").read_text() + "\n# mine\n")
    (tmp_path / "bundle").mkdir()
    for name in ("film.tif", *(f"bundle/{name}" for name in BUNDLE)):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def any_device(monkeypatch):
    """As if there were a GPU."""
    monkeypatch.setattr("persistem.study.checks.check_device", lambda device: None)


#: The first setting of each row of the table that runs other rules than the rows before.
DISTINCT = list({(frozenset(ROWS[key]), frozenset(REPORT_ROWS[key])): key for key in reversed(VALUES)}.values())
#: One of each part of the pipeline.
FEW = ("material.crystal", "imaging.voltage", "learning.C", "figures.crop", "evaluation.rows", "truth.doses")


#: Settings with which other files of the same digests are asked for, or new ones of none that is made.
OF_FILES = {"diagrams_3d.periodic", "truth.defoci", "evaluation.sweeps"}


@pytest.mark.parametrize("key", [key for key in VALUES if key not in OF_FILES])
def test_a_changed_setting_gives_new_digests_to_the_stages_of_its_row(key, files, any_device):
    before, after = (Plan(make_study(study)) for study in (base(key), changed(base(key), key, VALUES[key])))
    new = {stage.name for stage in STAGES if after.steps[stage.name].keys() - before.steps[stage.name].keys()}
    stage_of = {rule: stage.name for stage in STAGES for rule in stage.rules}
    assert {stage_of[rule] for rule in ROWS[key] | REPORT_ROWS[key] if rule in stage_of} == new


def as_often(key):
    """Each row once, and some of each part of the pipeline in `make test-fast`; digests say the same of every key."""
    marks = () if key in FEW else pytest.mark.slow if key in {*DISTINCT, *OF_FILES} else pytest.mark.thorough
    return pytest.param(key, marks=marks)


@pytest.mark.parametrize("key", list(map(as_often, VALUES)))
def test_a_changed_setting_runs_exactly_the_rules_of_its_row(key, finished, files, any_device, tmp_path):
    finished(base(key), target="report")
    other = dag.resolve(changed(base(key), key, VALUES[key]), tmp_path, "all", "report")
    assert other.rules_of("all") == ROWS[key]
    assert other.rules_of("report") - ROWS[key] == REPORT_ROWS[key]


@pytest.mark.slow
@pytest.mark.parametrize("key", DISTINCT)
def test_without_a_report_the_same_runs_and_changing_back_runs_nothing(key, resolve, finished, files, any_device):
    study = base(key)
    finished(study)
    other = resolve(changed(study, key, VALUES[key]))
    assert other.rules == ROWS[key]
    dag.make(other.outputs)
    assert not resolve(study).jobs


def test_one_more_defocus_images_that_defocus_from_the_same_waves(resolve, finished):
    finished(TINY)
    more = resolve(changed(TINY, "imaging.defoci", [-100, 0, 25.5])).jobs
    assert more == {
        "micrograph": 4, "crops": 4, "crop_diagrams": 4, "persistence_image": 4, "learning": 1, "publish": 1, "all": 1,
    }  # fmt: skip


def test_one_more_seed_runs_no_existing_specimen(resolve, finished):
    finished(TINY)
    more = resolve(changed(TINY, "md.series", [{"temperatures": [6000], "seeds": [1, 2, 3]}])).jobs
    assert (more["heating"], more["rt_treatment"], more["exit_wave"], more["micrograph"]) == (1, 1, 2, 4)
    # in another order, and split over series, they are the same specimens
    split = [{"temperatures": [6000], "seeds": [2]}, {"temperatures": [6000], "seeds": [1]}]
    assert resolve(changed(TINY, "md.series", split)).rules <= {"learning", "publish"}


def test_a_temperature_without_a_state_is_simulated_only(resolve, finished):
    finished(TINY)
    series = [*TINY["md"]["series"], {"temperatures": [1000], "seeds": [1]}]
    assert resolve(changed(TINY, "md.series", series)).rules == {"heating", "rt_treatment", "publish"}


def test_one_more_recipe_starts_at_the_micrographs(resolve, finished):
    finished(TINY)
    more = changed(TINY, "features.absolute", {"intensity": {"method": "window"}})
    assert resolve(more).jobs == {
        "crops": 8, "crop_diagrams": 8, "persistence_image": 8, "learning": 1, "publish": 1, "all": 1,
    }  # fmt: skip


def test_recipes_share_what_they_have_in_common(resolve, finished):
    finished(TINY)
    assert resolve(changed(TINY, "features.narrow", {"sigma": 1.0})).jobs == {
        "persistence_image": 8, "learning": 1, "publish": 1, "all": 1,
    }  # fmt: skip


def test_studies_share_what_they_have_in_common(resolve, finished):
    finished(TINY)
    other = changed(changed(TINY, "name", "other"), "learning.C", 1.0)
    assert resolve(other).rules == {"learning", "publish"}
    finished(other)
    assert not resolve(TINY).jobs


@pytest.mark.parametrize(
    ("stage", "first"),
    [
        ("specimens.md", "heating"),
        ("imaging.exit_waves", "exit_wave"),
        ("imaging.micrographs", "micrograph"),
        ("imaging.crops", "crops"),
        ("topology.diagrams", "crop_diagrams"),
        ("topology.persistence_images", "persistence_image"),
        ("learning.accuracy", "learning"),
    ],
)
def test_a_raised_version_runs_its_stage_and_what_is_below(stage, first, resolve, finished, monkeypatch):
    finished(TINY)
    module = importlib.import_module(f"persistem.{stage}")
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert resolve(TINY).rules == {*BELOW[BELOW.index(first) :], "publish"}


def test_a_state_that_covers_other_specimens_images_those(resolve, finished):
    series = [{"temperatures": [4000, 6000], "seeds": [1, 2]}]
    study = changed(TINY, "md.series", series)
    finished(study)
    states = {"amorphous": {"temperature": 6000, "rt": True}, "liquid": {"temperature": 4000, "rt": False}}
    assert resolve(changed(study, "states", states)).jobs == {
        "exit_wave": 2, "micrograph": 4, "crops": 4, "crop_diagrams": 4, "persistence_image": 4, "learning": 1,
        "publish": 1, "all": 1,
    }  # fmt: skip


def test_an_evaluation_starts_at_the_micrographs_and_changes_no_table(resolve, finished):
    without = {key: value for key, value in EVALUATED.items() if key != "evaluation"}
    finished(without)
    assert not resolve(EVALUATED).jobs
    assert resolve(EVALUATED, target="evaluation").jobs == {"descriptors": 6, "evaluate": 1, "evaluation": 1}
    assert resolve(EVALUATED, target="controlled").jobs == {"descriptors": 6, "controls": 1, "controlled": 1}
    assert resolve(EVALUATED, target="multiverse").jobs == {"learning": 1, "multiverse": 1}
    assert resolve(EVALUATED, target="robustness").jobs == {"sweep": 1, "robustness": 1}


@pytest.mark.parametrize(
    ("stage", "rules"),
    [
        ("descriptors.crops", {"descriptors", "evaluate", "controls", "sweep"}),
        ("evaluation.evaluate", {"evaluate"}),
        ("evaluation.controls", {"controls"}),
        ("evaluation.sweeps", {"sweep"}),
    ],
)
def test_a_raised_version_of_the_evaluation_runs_its_stage_and_what_reads_it(
    stage, rules, resolve, finished, monkeypatch
):
    finished(EVALUATED, target="report")
    module = importlib.import_module(f"persistem.{stage}")
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert resolve(EVALUATED, target="report").rules == rules | {"figure", "report_page", "publish_report"}


def test_cores_run_nothing(resolve, finished):
    finished(TINY)
    assert not resolve(TINY, cores=16).jobs


def test_an_own_structure_is_known_by_its_content(resolve, finished, tmp_path, monkeypatch):
    from persistem.specimens.structures import crystal_of
    from persistem.study import Material

    monkeypatch.chdir(tmp_path)
    atoms = crystal_of(Material(repetitions=(6, 6, 4)))
    structures = []
    for k, state in enumerate("ab"):
        atoms.rattle(0.1, seed=k)
        atoms.write(f"{state}.xyz", format="extxyz")
        structures.append({"path": f"{state}.xyz", "state": state, "seed": 1})
    study = {key: value for key, value in TINY.items() if key not in {"material", "md"}} | {"structures": structures}
    finished(study)
    moved = changed(study, "structures", [structures[0], structures[1] | {"path": "elsewhere/b.xyz"}])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/b.xyz").write_bytes((tmp_path / "b.xyz").read_bytes())
    assert not resolve(moved).jobs
    atoms.rattle(0.1, seed=9)
    atoms.write("elsewhere/b.xyz", format="extxyz")

    jobs = resolve(moved).jobs
    assert (jobs["own_structure"], jobs["exit_wave"], jobs["micrograph"], jobs["learning"]) == (1, 1, 2, 1)
    assert "heating" not in jobs


@pytest.mark.slow
def test_the_paper_study_has_the_shape_of_the_paper(resolve):
    jobs = resolve({}).jobs
    recipes = 5
    assert jobs["heating"] == 3 + 5
    assert jobs["rt_treatment"] == 3 + 5
    assert jobs["exit_wave"] == 6  # the specimens that the states name
    assert jobs["micrograph"] == 6 * 9
    assert jobs["crops"] == jobs["crop_diagrams"] == jobs["persistence_image"] == recipes * 6 * 9
    assert jobs["learning"] == recipes


def test_batches_of_crops_are_joined(resolve):
    jobs = resolve(changed(TINY, "run", {"crops_per_job": 3})).jobs
    assert (jobs["crop_diagrams"], jobs["join_diagrams"]) == (16, 8)
    jobs = resolve(changed(TINY, "run", {"crops_per_job": 1})).jobs
    assert (jobs["crop_diagrams"], jobs["join_diagrams"]) == (32, 8)


def test_settings_that_came_later_leave_the_digests_of_results_as_they_were():
    from persistem.plan.plan import Plan
    from persistem.study.load import make_study

    def digests(stage, **imaging):
        return list(Plan(make_study({"imaging": imaging})).steps[stage])

    waves, images = ["80889310720c", "bbc4f4267368"], ["bb1ec9827d1e", "c08042c7e665"]
    assert (digests("exit_waves"), digests("micrographs")) == (waves, images)
    assert digests("micrographs", astigmatism=0.0, coma=0.0, tilt=[0.0, 0.0]) == images
    crops = ["b0505a6bb1f1", "f7d6ac8ae50a", "58078c70e1bc"]  # of the recipes without a detector
    assert [digest for digest in digests("crops") if digest in crops] == crops
    for later in ({"astigmatism": 10.0}, {"coma": 10.0}):
        assert digests("exit_waves", **later) == waves
        assert not set(digests("micrographs", **later)) & set(images)
    assert not set(digests("exit_waves", tilt=[0.0, 1.0])) & set(waves)
    assert not set(digests("micrographs", tilt=[0.0, 1.0])) & set(images)


def test_finished_specimens_keep_their_digests():
    """Hours of molecular dynamics: those of the paper's protocol, hot and after RT."""
    from persistem.plan.plan import Plan
    from persistem.study.load import make_study

    def digests(**md):
        return list(Plan(make_study({"md": md})).steps["specimens"])

    finished = ["7d81a02c3e20", "8591c1ebde30"]
    assert digests() == digests(pchain=3) == finished
    assert not set(digests(pchain=0)) & set(finished)


def test_a_stage_receives_later_settings_where_they_differ_from_the_default():
    from persistem.imaging.micrographs import KEYS
    from persistem.study import Imaging
    from persistem.study.fields import part

    assert "astigmatism" not in part(Imaging(), KEYS)
    assert part(Imaging(astigmatism=12.0), KEYS)["astigmatism"] == 12.0
    assert Imaging.model_validate(part(Imaging(tilt=(1.0, 0.0)))) == Imaging(tilt=(1.0, 0.0))
