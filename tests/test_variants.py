"""Variants of a study, and the plan of an evaluation: what changes, what is shared, and what is refused."""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from typing import Any

import pytest
from persistem.errors import PersistemError
from persistem.plan.evaluation import evaluation_figures
from persistem.plan.plan import Plan
from persistem.store import paths
from persistem.store.paths import files_in
from persistem.study.load import load_study, make_study
from persistem.study.members import specimens_of
from persistem.study.variants import variant, with_seeds
from support.studies import ROOT, TINY, changed

SERIES = [{"temperatures": [6000], "seeds": [1, 2, 3, 4, 5, 6]}, {"temperatures": [1000], "seeds": [1]}]
SMALL = {"describing": {"sizes": [64], "images": {}}, "rows": [
    {"name": "standard deviation", "task": "absolute", "blocks": [["contrast"]], "main": True},
    {"name": "persistence", "task": "contrast removed", "blocks": [["statistics"]], "main": True},
    {"name": "moments", "task": "contrast removed", "blocks": [["moments"]]},
]}  # fmt: skip
SWEEP = {"name": "a", "title": "A", "axis": "a"}
ABOVE = ("specimens", "exit_waves", "micrographs", "crops", "diagrams", "persistence_images", "learning")


def evaluated(**settings: Any) -> dict[str, Any]:
    """The tiny study with six seeds and an evaluation."""
    study = changed(copy.deepcopy(TINY), "md.series", SERIES)
    return study | {"evaluation": copy.deepcopy(SMALL) | settings}


def planned(**settings: Any) -> Plan:
    return Plan(make_study(evaluated(**settings)))


def test_a_variant_differs_in_what_was_changed_alone():
    study = make_study(TINY)
    other = variant(study, {"imaging.voltage": 300.0, "learning.models": ["LR"]}, "here")
    assert (other.imaging.voltage, other.learning.models) == (300.0, ("LR",))
    assert variant(other, {"imaging.voltage": study.imaging.voltage, "learning.models": ["LR", "SVC"]}, "") == study
    assert study.imaging.voltage == 200.0


@pytest.mark.parametrize("stated", [{}, TINY, {"features": {"paper": {}}}, {"imaging": {"Cs": 0.001}}])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("features.paper.bins", 32),
        ("features.paper.intensity", {"method": "window"}),
        ("features.paper.intensity.clip_limit", 40.0),
        ("features.paper.weight.form", "none"),
        ("imaging.voltage", 300.0),
        ("md.rt.velocities", "redrawn"),
        ("material.radii.Ga", 1.5),
        ("states.liquid.temperature", 6000),
        ("material.crystal.a", 3.2),
        ("preparation", {"method": "inherent"}),
        ("diagrams_3d.periodic", True),
    ],
)
def test_one_key_changes_one_setting_whether_or_not_its_section_is_stated(stated, key, value):
    study = make_study(stated)
    found, known = (s.model_dump(mode="json") for s in (variant(study, {key: value}, "here"), study))
    *sections, last = key.split(".")
    here, there = found, known
    for section in sections:
        here, there = here[section], there[section]
    if isinstance(value, dict):
        assert here[last] | value == here[last]
    else:
        assert here[last] == value
    here[last] = there[last]
    assert found == known


def test_a_section_that_is_not_stated_starts_from_what_it_is_there():
    """The detector of descriptors bins by default, another one does not."""
    study = make_study(evaluated())
    assert study.evaluation is not None and study.evaluation.describing.detector.binning == 2
    noisy = variant(study, {"evaluation.describing.detector.dose": 900.0}, "here").evaluation
    assert noisy is not None
    assert noisy.describing.detector.model_dump() == {"binning": 2, "dose": 900.0, "mtf": None, "low_pass": None}
    paper = make_study({})
    assert variant(paper, {"features.filtered.detector.dose": 900.0}, "").features["filtered"].detector.low_pass == 0.3


def test_several_keys_of_a_section_are_changed_together():
    study = make_study(evaluated())
    changes = {"evaluation.describing.detector.low_pass": 0.3, "evaluation.describing.detector.dose": 900.0}
    found = variant(study, changes, "here").evaluation
    assert found is not None
    assert (found.describing.detector.low_pass, found.describing.detector.dose) == (0.3, 900.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imaging.volts": 1.0}, r"^here: imaging\.volts: no such key; allowed are field, "),
        ({"imagin.voltage": 1.0}, r"^here: imagin\.voltage: no such setting; 'imagin'.*imaging"),
        ({"features.other.bins": 32}, r"^here: features\.other\.bins: no such setting; 'other' holds none \(of paper"),
        ({"learning.C.value": 1.0}, r"^here: learning\.C\.value: no such setting; 'C'"),
        ({"imaging.voltage": -1.0}, r"^here: imaging\.voltage = -1\.0: "),
        ({"imaging.voltage": "high"}, r"^here: imaging\.voltage = 'high': "),
        ({"crops.size": 4096}, r"^here: crops\.size = 4096: larger"),
        ({"evaluation.describing.sizes": [32]}, r"^here: evaluation\.describing\.sizes: no such setting"),
        ({"imaging.voltage": -1.0, "learning.C": -1.0}, r"^here: imaging\.voltage.*; learning\.C"),
        ({"name": "b"}, r"^here: name: cannot differ from the study"),
        ({"run.crops_per_job": 2}, r"^here: run\.crops_per_job: cannot differ"),
        ({"run": {"device": "gpu"}}, r"^here: run: cannot differ"),
        ({"figures.crop": 2}, r"^here: figures\.crop: cannot differ"),
        ({"structures": []}, r"^here: structures: cannot differ"),
    ],
)
def test_what_is_no_setting_is_refused_in_a_sentence_that_names_place_and_key(changes, message):
    with pytest.raises(PersistemError, match=message) as refused:
        variant(make_study(TINY), changes, "here")
    assert "\n" not in str(refused.value)


def test_with_seeds_keeps_specimens_of_states_and_of_these_seeds():
    study = make_study(evaluated())
    plain = variant(study, {"evaluation": None}, "here")
    assert {s.name for s in specimens_of(study)} > {"T1000-rt0-s01"}
    every = with_seeds(plain, (), "here")
    assert sorted(s.name for s in specimens_of(every)) == sorted(s.name for s in specimens_of(study) if s.state)
    two = with_seeds(plain, (3, 1), "here")
    names = {f"T6000-rt{rt}-s{seed:02d}" for rt in (0, 1) for seed in (1, 3)}
    assert {s.name for s in specimens_of(two)} == names
    assert {s.state for s in specimens_of(two)} == {"amorphous", "liquid"}
    with pytest.raises(PersistemError, match=r"^here: seeds = \[9\].*\[1, 2, 3, 4, 5, 6\]"):
        with_seeds(plain, (1, 9), "here")


@pytest.fixture
def own(tmp_path: Path) -> dict[str, Any]:
    """A study of own structures, three of each state."""
    from persistem.specimens.structures import crystal_of
    from persistem.study import Material

    atoms = crystal_of(Material(repetitions=(6, 6, 4)))
    structures = []
    for seed in (1, 2, 3):
        for state in ("solid", "melt"):
            atoms.rattle(0.1, seed=seed)
            file = tmp_path / f"{state}{seed}.xyz"
            atoms.write(file, format="extxyz")
            structures.append({"path": str(file), "state": state, "seed": seed})
    return {key: value for key, value in TINY.items() if key not in {"material", "md"}} | {"structures": structures}


def test_variants_of_own_structures(own):
    study = make_study(own | {"evaluation": SMALL | {"controls": [
        {"name": "as simulated"}, {"name": "thin", "states": {"solid": {"imaging.thickness": 8.0}}},
    ]}})  # fmt: skip
    plan = Plan(study)
    assert len(plan.evaluation.descriptors) == 6
    assert len(plan.steps["specimens"]) == 6
    two = with_seeds(variant(study, {"evaluation": None}, ""), (1, 3), "here")
    assert {s.name for s in specimens_of(two)} == {
        f"{state}-s0{seed}" for state in ("solid", "melt") for seed in (1, 3)
    }
    assert {plan.digest("specimens", s.name) for s in specimens_of(two)} <= set(plan.steps["specimens"])
    with pytest.raises(PersistemError, match=r"^here: md"):
        variant(study, {"md.steps": 500}, "here")


def new(alternative: dict[str, Any]) -> dict[str, int]:
    """How many digests of each stage an alternative adds to a study."""
    base = Plan(make_study(changed(TINY, "md.series", SERIES) | {"features": {"paper": {}}}))
    factor = {"question": "q", "answers": [{"answer": "a", "settings": alternative}]}
    plan = planned(multiverse={"factors": [factor]})
    for stage in ABOVE:
        assert set(base.steps[stage]) <= set(plan.steps[stage])
    counts = {stage: len(plan.steps[stage]) - len(base.steps[stage]) for stage in ABOVE}
    return {stage: count for stage, count in counts.items() if count}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"learning.C": 1.0}, {"learning": 1}),
        ({"features.paper.weight": {"form": "none"}}, {"persistence_images": 2, "learning": 1}),
        (
            {"features.paper.intensity": {"method": "window"}},
            {"crops": 2, "diagrams": 2, "persistence_images": 2, "learning": 1},
        ),
        (
            {"imaging.Cs": 0.001},
            {"micrographs": 2, "crops": 2, "diagrams": 2, "persistence_images": 2, "learning": 1},
        ),
        (
            {"imaging.voltage": 300.0},
            {"exit_waves": 2, "micrographs": 2, "crops": 2, "diagrams": 2, "persistence_images": 2, "learning": 1},
        ),
        (
            {"md.steps": 600},
            dict.fromkeys(ABOVE, 2) | {"learning": 1},
        ),
        (
            {"md.rt.velocities": "redrawn"},
            dict.fromkeys(ABOVE, 1),
        ),
    ],
)
def test_an_alternative_shares_every_result_that_it_leaves_alone(settings, expected):
    assert new(settings) == expected


def test_an_evaluation_of_the_study_adds_no_specimen_wave_or_micrograph():
    without = Plan(make_study(changed(TINY, "md.series", SERIES)))
    plan = planned(controls=[{"name": "as simulated"}], sweeps=[SWEEP | {"key": "imaging.Cs", "values": [0.0, 0.01]}])
    for stage in ABOVE:
        assert plan.steps[stage].keys() >= without.steps[stage].keys()
    assert plan.steps["specimens"].keys() == without.steps["specimens"].keys()
    assert plan.steps["exit_waves"].keys() == without.steps["exit_waves"].keys()
    # those of the sweep are imaged by itself
    assert {d for d in plan.steps["crops"]} == set(without.steps["crops"])
    assert plan.learning == without.learning
    assert without.evaluation.evaluation == "" and len(without.plans) == 1
    for stage in paths.of_part("evaluation"):
        assert not without.steps[stage]


def known_files(plan: Plan) -> set[str]:
    """Every file that a step of the plan can make, as the rules do."""
    names = {name for one in plan.plans for name in one.specimens}
    foci = {name for one in plan.plans for name in one.defoci}
    found = set()
    for stage, steps in plan.steps.items():
        for digest in steps:
            for name in names:
                found |= {paths.path(stage, digest, name, defocus) for defocus in foci}
                if stage == "specimens":
                    found.add(paths.beside(stage, "summary.json").format(digest=digest, specimen=name))
    return found


FULL = {
    "multiverse": {
        "seeds": [1, 2, 3],
        "factors": [
            {
                "question": "q",
                "answers": [
                    {"answer": "a", "settings": {"md.steps": 600}},
                    {"answer": "b", "settings": {"learning.C": 1.0}},
                ],
            },
        ],
    },
    "controls": [
        {"name": "as simulated"},
        {"name": "three", "seeds": [1, 2, 3], "settings": {"imaging.defoci": [25]}},
        {"name": "thin", "states": {"amorphous": {"imaging.thickness": 8.0}}},
        {"name": "minimised", "settings": {"preparation": {"method": "inherent"}}},
    ],
    "sweeps": [
        SWEEP | {"key": "evaluation.describing.detector.dose", "values": [None, 1000.0]},
        SWEEP | {"name": "b", "key": "imaging.tilt", "values": [[0.0, 0.0], [9.0, 0.0]]},
        SWEEP
        | {"name": "c", "key": "imaging.thickness", "values": [5.0, 10.0]}
        | {"settings": {"preparation": {"method": "stack", "count": 2}}},
    ],
}


def test_every_file_that_the_evaluation_reads_is_one_that_a_step_makes():
    plan = planned(**FULL)
    files = known_files(plan)
    for stage in ("evaluation", "controls", "sweeps"):
        for digest in plan.steps[stage]:
            named = files_in(plan.settings(stage, digest))
            assert named and set(named) <= files, stage
    assert all(one["accuracy"] in files for one in plan.evaluation.multiverse)
    assert [one["default"] for one in plan.evaluation.multiverse] == [True, False, False]
    # splits are paired only where the specimens are the study's
    assert [one["same_specimens"] for one in plan.evaluation.multiverse] == [True, False, True]
    # a file is asked for once, of a plan that has the specimen
    for digest in plan.steps["descriptors"]:
        image = plan.input_digest("descriptors", digest)
        assert image in plan.steps["micrographs"] and plan.settings("descriptors", digest)["defoci"]
    assert len(plan.evaluation.descriptors) == 12


def test_controls_and_sweeps_have_every_seed_that_they_are_made_of():
    plan = planned(**FULL)
    (digest,) = plan.steps["controls"]
    controls = {control["name"]: control["sources"] for control in plan.settings("controls", digest)["controls"]}
    seeds = {name: sorted((s["state"], *s["seeds"]) for s in sources) for name, sources in controls.items()}
    both = [(state, seed) for state in ("amorphous", "liquid") for seed in (1, 2, 3, 4, 5, 6)]
    assert seeds["as simulated"] == seeds["thin"] == seeds["minimised"] == both
    assert seeds["three"] == [one for one in both if one[1] < 4]
    of = {name: {s["path"] for s in sources if s["state"] == "liquid"} for name, sources in controls.items()}
    assert of["thin"] == of["as simulated"] and not of["minimised"] & of["as simulated"]
    thin = {s["path"] for s in controls["thin"]} - of["thin"]
    assert not thin & {s["path"] for s in controls["as simulated"]}

    def waves(name):
        path = plan.evaluation.sweeps[name]
        conditions = plan.settings("sweeps", Path(path).parent.name)["conditions"]
        return [condition["waves"] for condition in conditions], conditions

    stacked, _ = waves("c")
    for of_condition in stacked:
        assert [(w["state"], *w["seeds"]) for w in sorted(of_condition, key=lambda w: (w["state"], w["seeds"]))] == [
            ("amorphous", 1, 2), ("amorphous", 3, 4), ("amorphous", 5, 6),
            ("liquid", 1, 2), ("liquid", 3, 4), ("liquid", 5, 6),
        ]  # fmt: skip
    dose, conditions = waves("a")
    assert dose[0] == dose[1]
    assert {w["path"] for w in dose[0]} == {p for p in plan.files("exit_waves") if "T6000" in p}
    assert [c["describing"]["detector"]["dose"] for c in conditions] == [None, 1000.0]
    assert {c["describing"]["detector"]["binning"] for c in conditions} == {2}
    tilted, conditions = waves("b")
    assert tilted[0] == dose[0] and not {w["path"] for w in tilted[1]} & {w["path"] for w in dose[0]}
    # a tilt is in the exit waves alone
    assert [c["value"] for c in conditions] == [[0.0, 0.0], [9.0, 0.0]]
    assert conditions[0]["imaging"] == conditions[1]["imaging"]


def test_sweeps_do_not_depend_on_the_defoci_of_the_study():
    more = evaluated(**FULL)
    more["imaging"] = TINY["imaging"] | {"defoci": [-100, 0, 50]}
    assert Plan(make_study(more)).evaluation.sweeps == planned(**FULL).evaluation.sweeps


STACKED = {"preparation": {"method": "stack", "count": 2}}
TINY_C = make_study(TINY).learning.C


def alternative(settings: dict[str, Any]) -> dict[str, Any]:
    """A multiverse of one alternative."""
    return {"multiverse": {"factors": [{"question": "q", "answers": [{"answer": "a", "settings": settings}]}]}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {
                "multiverse": {
                    "factors": [{"question": "q", "answers": [{"answer": "no", "settings": {"imaging.volt": 3.0}}]}]
                }
            },
            r"^evaluation\.multiverse\.factors\[0\] \(no\): imaging\.volt: no such key",
        ),
        (
            {
                "multiverse": {
                    "seeds": [7],
                    "factors": [{"question": "q", "answers": [{"answer": "a", "settings": {"learning.C": 1.0}}]}],
                }
            },
            r"^evaluation\.multiverse: seeds = \[7\]",
        ),
        (
            {"controls": [{"name": "one"}, {"name": "bad", "settings": {"imaging.thickness": 1e6}}]},
            r"^evaluation\.controls\[1\] \(bad\): .*thickness",
        ),
        (
            {"controls": [{"name": "bad", "states": {"amorphus": {"imaging.thickness": 8.0}}}]},
            r"^evaluation\.controls\[0\] \(bad\): no state 'amorphus'; there are amorphous, liquid",
        ),
        ({"controls": [{"name": "few", "seeds": [1, 2]}]}, r"^evaluation\.controls\[0\] \(few\): .*needs two states"),
        (
            {"controls": [{"name": "few", "settings": {"preparation": {"method": "stack", "count": 3}}}]},
            r"^evaluation\.controls\[0\] \(few\): .*needs two states",
        ),
        (
            {"controls": [{"name": "odd", "settings": {"imaging.pixels": 127, "crops.size": 63, "crops.stride": 63}}]},
            r"^evaluation\.controls\[0\] \(odd\): evaluation\.describing\.detector\.binning = 2",
        ),
        (
            {
                "controls": [
                    {
                        "name": "renamed",
                        "settings": {
                            "states": {
                                "hot": {"temperature": 6000, "rt": False},
                                "cold": {"temperature": 6000, "rt": True},
                            }
                        },
                    }
                ]
            },
            r"^evaluation\.controls\[0\] \(renamed\): its states are hot, cold;.*amorphous, liquid$",
        ),
        (
            {"controls": [{"name": "foci", "states": {"liquid": {"imaging.defoci": [0]}}}]},
            r"^evaluation\.controls\[0\] \(foci\): imaging\.defoci differ.*: amorphous: \[-100\.0, 0\.0\]; liquid: \[0",
        ),
        (
            {"controls": [{"name": "uneven", "states": {"liquid": STACKED}}]},
            r"^evaluation\.controls\[0\] \(uneven\): needs 3 .*amorphous: \[1, 2, .*liquid: \[\(1, 2\), ",
        ),
        (
            {"sweeps": [SWEEP | {"key": "preparation", "values": [STACKED["preparation"] | {"count": 3}]}]},
            r"^evaluation\.sweeps\[0\] \(a\): needs 3 seeds, or stacks.*amorphous: \[1, 4\]; liquid: \[1, 4\]$",
        ),
        (
            # of each alone there are three groups; a seed of one stack is in another of the other condition
            {"sweeps": [SWEEP | {"key": "preparation.count", "values": [2, 3]} | {"settings": STACKED}]},
            r"^evaluation\.sweeps\[0\] \(a\): needs 3 seeds",
        ),
        (
            {
                "rows": [{"name": "moments", "task": "absolute", "blocks": [["moments"]]}],
                "sweeps": [SWEEP | {"key": "imaging.Cs", "values": [0.0, 0.01]}],
            },
            r"^evaluation\.sweeps\[0\] \(a\): .*none of evaluation\.rows has main = true$",
        ),
        (
            alternative({"evaluation.focus": 25.0}),
            r"^evaluation\.multiverse\.factors\[0\] \(a\): evaluation\.focus",
        ),
        (alternative({"run.device": "gpu"}), r"^evaluation\.multiverse\.factors\[0\] \(a\): run\.device: cannot"),
        (
            alternative({"learning.C": TINY_C}),
            r"^evaluation\.multiverse\.factors\[0\] \(a\): learning\.C makes no difference to the study$",
        ),
        (
            alternative({"features": {"other": {}}}),
            r"^evaluation\.multiverse\.factors\[0\] \(a\): needs the recipe paper and .*recipes other and",
        ),
        (
            alternative({"states": {"liquid": {"temperature": 6000, "rt": False}}}),
            r"^evaluation\.multiverse\.factors\[0\] \(a\): needs .*states liquid$",
        ),
        (
            {"sweeps": [SWEEP | {"key": "imaging.volt", "values": [1.0, 2.0]}]},
            r"^evaluation\.sweeps\[0\] \(a\): imaging\.volt: no such key",
        ),
        (
            {"sweeps": [SWEEP | {"key": "evaluation.describing.detector.dose", "values": [None, -1.0]}]},
            r"^evaluation\.sweeps\[0\] \(a\): evaluation\.describing\.detector\.dose = -1",
        ),
        (
            {"sweeps": [SWEEP | {"key": "learning.C", "values": [1.0, 2.0]}]},
            r"^evaluation\.sweeps\[0\] \(a\): learning\.C = 1\.0 and 2\.0 make no difference",
        ),
        (
            {"sweeps": [SWEEP | {"key": "imaging.defoci", "values": [[0.0], [50.0]]}]},
            r"^evaluation\.sweeps\[0\] \(a\): imaging\.defoci = .* make no difference",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_its_place(settings, message):
    with pytest.raises(PersistemError, match=message) as refused:
        planned(**settings)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("series", "settings", "message"),
    [
        ([{"temperatures": [6000], "seeds": [1, 2]}], {}, r"3 seeds or more.*amorphous: \[1, 2\]; liquid: \[1, 2\]"),
        (
            [
                {"temperatures": [6000], "seeds": [1, 2, 3]},
                {"temperatures": [6000], "seeds": [4], "rt": [False]},
            ],
            {},
            r"the same of each.*amorphous: \[1, 2, 3\]; liquid: \[1, 2, 3, 4\]",
        ),
        (SERIES, {"describing": {"sizes": [256]}}, r"sizes = 256: larger than the micrograph.*imaging\.pixels = 128"),
        (SERIES, {"describing": {"sizes": [64], "detector": {"binning": 3}}}, "binning = 3"),
        (SERIES, {"rows": [{"name": "a", "task": "absolute", "blocks": [["contrst"]]}]}, "no block 'contrst'"),
        (SERIES, {"rows": [*SMALL["rows"], SMALL["rows"][0]]}, "two are called standard deviation, absolute"),
        (SERIES, {"controls": [{"name": "a"}, {"name": "a"}]}, "controls: two are called a"),
        (SERIES, {"sweeps": [SWEEP | {"key": "imaging.Cs", "values": [0.0]}] * 2}, "sweeps: two are called a"),
        (SERIES, {"sweeps": [SWEEP | {"key": "imaging.Cs", "values": [0.0], "base": 1}]}, "base = 1"),
        (SERIES, {"describing": {"images": {"betti": {"bins": 8, "sigma": 1.0}}}}, "betti is the name of other"),
        (SERIES, {"C": [1.0, 1.0]}, "listed twice"),
        (SERIES, {"C": [0.1 * k for k in range(1, 26)]}, "at most 24"),
    ],
)
def test_a_study_whose_evaluation_cannot_work_is_refused(series, settings, message):
    with pytest.raises(PersistemError, match=message):
        make_study(changed(TINY, "md.series", series) | {"evaluation": copy.deepcopy(SMALL) | settings})


def test_the_extended_study_is_planned_with_the_detector_of_its_descriptors():
    study = load_study(ROOT / "config/extended.yaml")
    plan = Plan(study)
    assert len(plan.evaluation.descriptors) == 16
    assert len(plan.evaluation.multiverse) == 1 + sum(
        len(factor.answers) for factor in study.evaluation.multiverse.factors
    )
    for name in ("dose", "dose-filtered", "astigmatism", "stack"):
        conditions = plan.settings("sweeps", Path(plan.evaluation.sweeps[name]).parent.name)["conditions"]
        assert {c["describing"]["detector"]["binning"] for c in conditions} == {2}, name
    assert len(heated(plan)) == 1


def heated(plan):
    """The digests of the steps that heat."""
    return {digest for digest, step in plan.steps["specimens"].items() if not step.inputs}


def test_the_studies_of_density_and_motion_have_specimens_of_the_extended_study_and_other_dynamics():
    names = ("extended", "density", "motion")
    extended, density, motion = (Plan(load_study(ROOT / f"config/{name}.yaml")) for name in names)
    assert extended.specimens.keys() == density.specimens.keys() > motion.specimens.keys()
    assert extended.evaluation.evaluation == density.evaluation.evaluation  # made once for both
    # the paper's, and at a fixed density, or with other velocities at the start
    assert heated(extended) < heated(density) and len(heated(density)) == 2
    assert heated(extended) < heated(motion) and len(heated(motion)) == 2
    assert heated(extended) == heated(density) & heated(motion)


def treated(temperatures: tuple[int, int]) -> dict[str, Any]:
    """States that are all RT-treated, of two temperatures."""
    states = {name: {"temperature": t, "rt": True} for name, t in zip(("low", "high"), temperatures, strict=True)}
    return {"md.series": [{"temperatures": [4000, 6000], "rt": [True], "seeds": [1, 2, 3]}], "states": states}


def test_what_is_heated_only_to_be_treated_is_planned(resolve):
    study = TINY
    for key, value in treated((4000, 6000)).items():
        study = changed(study, key, value)
    plan = Plan(make_study(study))
    assert {name: s.state for name, s in plan.specimens.items() if not s.rt} == dict.fromkeys(
        [f"T{t}-rt0-s{seed:02d}" for t in (4000, 6000) for seed in (1, 2, 3)]
    )
    assert {s.name for s in plan.imaged} == {f"T{t}-rt1-s{seed:02d}" for t in (4000, 6000) for seed in (1, 2, 3)}
    jobs = resolve(study).jobs
    assert (jobs["heating"], jobs["rt_treatment"], jobs["exit_wave"]) == (6, 6, 6)
    assert resolve(study, target="report").jobs["state_checks"] == 12
    # those of variants have other digests, of which the study itself has no specimen
    alternatives = alternative({"md.steps": 600})
    jobs = resolve(study | {"evaluation": SMALL | alternatives}, target="multiverse").jobs
    assert (jobs["heating"], jobs["rt_treatment"], jobs["learning"]) == (12, 12, 2)


def test_images_of_a_variant_are_those_of_its_own_defoci():
    plan = planned(**alternative({"imaging.defoci": [0]}))
    of_study, of_variant = (
        [source["path"] for source in plan.settings("learning", Path(one["accuracy"]).parent.name)["sources"]]
        for one in plan.evaluation.multiverse
    )
    assert len(of_study) == 2 * len(of_variant) == 2 * 12
    assert set(of_variant) < set(of_study) and all("df+0" in file for file in of_variant)


def test_a_variant_does_not_replace_a_step_of_the_study():
    """A tolerance decides whether a run is accepted; it is in no digest."""
    plan = planned(**alternative({"md.temperature_tolerance": 0.5, "learning.C": 1.0}))
    tolerances = {s.settings["md"]["temperature_tolerance"] for s in plan.steps["specimens"].values()}
    assert tolerances == {TINY["md"]["temperature_tolerance"]}


def test_batches_are_of_the_crops_of_their_own_variant(resolve):
    study = evaluated(**alternative({"crops.size": 32, "crops.stride": 32})) | {"run": {"crops_per_job": 3}}
    resolved = resolve(study, target="multiverse")
    batches: dict[str, set[str]] = {}
    for file in resolved.outputs:
        if "/crops-" in file:
            batches.setdefault(str(Path(file).parent), set()).add(Path(file).stem)
    four = {"crops-0-3", "crops-3-4"}
    sixteen = {f"crops-{k}-{min(k + 3, 16)}" for k in range(0, 16, 3)}
    assert len(batches) == 2 * 24 and all(found in (four, sixteen) for found in batches.values())
    assert sum(found == four for found in batches.values()) == 24


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("imaging.crops", {"descriptors", "evaluation", "controls", "sweeps"}),
        ("topology.persistence_images", {"descriptors", "evaluation", "controls", "sweeps"}),
        ("learning.validation", {"evaluation", "controls", "sweeps"}),
        ("descriptors.crops", {"descriptors", "evaluation", "controls", "sweeps"}),
        ("learning.accuracy", {"evaluation", "controls", "sweeps"}),
    ],
)
def test_stages_have_the_version_of_what_they_compute_with(module, stages, monkeypatch):
    parts = {"controls": [{"name": "as it is"}], "sweeps": [SWEEP | {"key": "imaging.Cs", "values": [0.0, 0.01]}]}
    before = planned(**parts)
    found = importlib.import_module(f"persistem.{module}")
    name = "SHARED_VERSION" if hasattr(found, "SHARED_VERSION") else "VERSION"
    monkeypatch.setattr(found, name, getattr(found, name) + 1)
    after = planned(**parts)
    evaluated_in = ("descriptors", "evaluation", "controls", "sweeps")
    assert {stage for stage in evaluated_in if not before.steps[stage].keys() & after.steps[stage].keys()} == stages
    assert {stage for stage in evaluated_in if before.steps[stage].keys() != after.steps[stage].keys()} == stages


def test_words_of_the_figures_are_in_no_digest_of_what_is_computed():
    def of(word: str) -> Plan:
        sweep = {"name": "a", "title": f"A {word}", "axis": f"a {word}", "key": "imaging.Cs", "values": [0.0, 0.01]}
        return planned(controls=[{"name": "one", "about": word}], sweeps=[sweep])

    first, second = of("here"), of("there")
    assert first.evaluation == second.evaluation
    found = evaluation_figures(second)
    assert found["controls"]["about"] == {"one": "there"}
    path = second.evaluation.sweeps["a"]
    assert found["robustness"]["sweeps"] == [{"path": path, "title": "A there", "axis": "a there"}]
    assert path in files_in(found["robustness"])


@pytest.mark.parametrize(
    ("study", "target", "heating", "rt_treatment", "expected"),
    [
        pytest.param(
            *("extended", "robustness", 8, 8, {"sweep": 10, "micrograph": None, "exit_wave": 16 * 4 + 16}),
            marks=pytest.mark.slow,
        ),
        # fixed density, of all seeds
        pytest.param(
            *("density", "controlled", 16, 16),
            {"controls": 1, "descriptors": 16 + 16 + 8, "preparation": None},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("motion", "controlled", 3, 3),
            {"controls": 1, "descriptors": 6 + 6 + 6, "preparation": 12},
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            *("extended", "evaluation", 8, 8),
            {"descriptors": 16, "evaluate": 1, "learning": None, "sweep": None},
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            *("extended", "multiverse", 3, 3, {"learning": 21, "descriptors": None}), marks=pytest.mark.thorough
        ),
        # other velocities, of three seeds; redrawn ones continue the same heating
        pytest.param(*("motion", "multiverse", 6, 9, {"learning": 3, "descriptors": None}), marks=pytest.mark.thorough),
    ],
)
def test_the_workflow_resolves_each_part_of_the_studies_of_seeds(
    study, target, heating, rt_treatment, expected, resolve
):
    jobs = resolve(ROOT / f"config/{study}.yaml", target=target).jobs
    assert (jobs["heating"], jobs["rt_treatment"], jobs[target]) == (heating, rt_treatment, 1)
    assert {name: jobs.get(name) for name in expected} == expected
