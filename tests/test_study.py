"""The study: what is refused and how, what stands alone, and what is generated from it."""

from pathlib import Path

import pytest
import yaml
from persistem.errors import PersistemError
from persistem.plan.plan import Plan
from persistem.study import Study
from persistem.study.load import load_study, make_study
from persistem.study.mapping import Windows
from persistem.study.reference import paper_study, reference, schema

ROOT = Path(__file__).parents[1]
GPU = {"run": {"device": "gpu"}}


def nested(key, value):
    """The settings {a: {b: value}} for the key a.b."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def refusal(settings):
    with pytest.raises(PersistemError) as error:
        make_study(settings, Path("config/mine.yaml"))
    return str(error.value)


#: Templates: they name files that a user has.
TEMPLATES = {"labelled", "structures"}


@pytest.mark.parametrize("name", sorted({file.stem for file in (ROOT / "config").glob("*.yaml")} - TEMPLATES))
def test_the_studies_in_config_can_be_planned_and_are_named_after_their_files(name):
    plan = Plan(load_study(ROOT / f"config/{name}.yaml"))
    assert plan.study.name == name and plan.steps["specimens"]


def test_generated_files_agree_with_the_model():
    for name, text in {"README.md": reference(), "schema.json": schema(), "paper.yaml": paper_study()}.items():
        assert (ROOT / "config" / name).read_text() == text, f"config/{name} has drifted; run `make reference`"


def test_the_paper_study_is_the_default_and_states_everything():
    stated = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    assert make_study(stated) == Study()

    def compare(full, part, key):
        for name, value in full.items():
            assert name in part, f"{key}{name} is not stated"
            if isinstance(value, dict):
                compare(value, part[name], f"{key}{name}.")

    compare(Study().model_dump(mode="json"), stated, "")


def test_the_paper_study_is_the_papers():
    plan = Plan(Study())
    assert sorted({s.temperature for s in plan.specimens.values()}) == [1000, 2000, 3000, 4000, 5000, 6000]
    assert sorted(s.seed for s in plan.specimens.values() if s.temperature == 6000 and s.rt) == [1, 2, 3]
    assert list(plan.defoci.values()) == [-100, -50, -25, -13, 0, 13, 25, 50, 100]
    assert list(plan.defoci)[:5] == ["df-100", "df-050", "df-025", "df-013", "df+000"]
    assert plan.crops_per_micrograph == 16
    assert Study().learning.C == 0.01
    from persistem.specimens.structures import crystal_of

    assert len(crystal_of(Study().material)) == 27840


def test_every_field_says_what_it_is_and_every_assumption_has_a_reason():
    def walk(part, name):
        for key, about in part.get("properties", {}).items():
            assert about.get("description"), f"{name}.{key} has no description"
            source = about.get("source", "")
            assert not source.startswith("assumption:") or len(source) > len("assumption: ") + 3

    for name, part in Study.model_json_schema()["$defs"].items():
        walk(part, name)


def test_a_study_never_inherits_from_another():
    mine = make_study(
        {
            "states": {
                "hot": {"temperature": 5000, "rt": False},
                "cold": {"temperature": 1000, "rt": True},
                "melt": {"temperature": 6000, "rt": False},
            }
        }
    )
    assert list(mine.states) == ["hot", "cold", "melt"]
    assert list(make_study({"features": {"mine": {}}}).features) == ["mine"]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("learning.c", 1.0, "allowed are models, C, scaling"),
        ("imaging.voltages", 200, "no such key"),
        ("learning.C", -1.0, "greater than 0"),
        ("learning.C", "0.01", "number"),
        ("learning.C", True, "number"),
        ("learning.C", float("nan"), "finite"),
        ("learning.in_focus", [50.0, -50.0], "the lowest and the highest"),
        ("learning.in_focus", [1.0], "the lowest and the highest"),
        ("learning.in_focus", -1.0, "a number of 0 or more"),
        ("imaging.voltage", 200000, "kV"),
        ("imaging.voltage", "200 kV", "number"),
        ("imaging.defoci", [25, 25.04], "25"),
        ("imaging.defoci", [0, 0.05], "0.1 Å"),
        ("imaging.defoci", [], "at least 1"),
        ("md.series", [], "at least 1"),
        ("md.steps", 10.5, "integer"),
        ("md.barostat", "isotropic", "'iso', 'aniso' or 'none'"),
        ("features.x", {"intensity": {"method": "otsu"}}, "'clahe', 'minmax', 'window', 'standardised'"),
        ("features.x", {"filtrations": ["superlevel", "superlevel"]}, "twice"),
        ("material.repetitions", [1, 2], "repetitions"),
        ("name", "a b", "pattern"),
    ],
)
def test_a_wrong_value_is_refused_in_one_message(key, value, says):
    message = refusal(nested(key, value))
    assert "config/mine.yaml" in message
    assert key.split(".")[-1] in message
    assert says in message
    assert "Traceback" not in message and "pydantic" not in message


@pytest.mark.parametrize(
    ("settings", "names", "says"),
    [
        ({"crops": {"size": 2048}}, "crops.size = 2048", "imaging.pixels = 1024"),
        ({"imaging": {"field": 60.0}}, "imaging.field", "53"),
        ({"imaging": {"thickness": 60.0}}, "imaging.thickness", "51.8"),
        ({"imaging": {"slice_thickness": 51.0}}, "imaging.slice_thickness = 51", "50"),
        (
            {"states": {"a": {"temperature": 6000, "rt": True}, "b": {"temperature": 900, "rt": False}}},
            "states.b",
            "6000",
        ),
        ({"features": {"x": {"intensity": {"method": "window", "low": 1.0, "high": 1.0}}}}, "low = 1", "below high"),
        (
            {"features": {"x": {"intensity": {"method": "clahe", "tiles": [0, 8]}}}},
            "tiles",
            "greater than or equal to 1",
        ),
        ({"crops": {"size": 1024}}, "crops.size = 1024", "at least 2"),
        ({"crops": {"stride": 64, "random": 64}}, "crops.stride = 64 and crops.random = 64", "leave one out"),
        ({"crops": {"random": 1}}, "crops.random", "greater than or equal to 2"),
        ({"crops": {"random": 200000}}, "crops.random = 200000", "at most 100000"),
        ({"crops": {"random": 64}, "figures": {"crop": 64}}, "figures.crop = 64", "0 to 63"),
        (
            {
                "md": {"series": [{"temperatures": [6000, 1000]}]},
                "states": {
                    "a": {"temperature": 6000, "rt": True},
                    "b": {"temperature": 6000, "rt": False},
                    "c": {"temperature": 1000, "rt": True},
                },
                "learning": {"penalised_intercept": ["LR"]},
            },
            "learning.penalised_intercept: LR",
            "two states",
        ),
        ({"md": {"thermo_every": 20000}}, "md.thermo_every = 20000", "at most 5000"),
        ({"learning": {"models": ["LR", "LR"]}}, "learning.models", "twice"),
        ({"name": "specimens"}, "name = 'specimens'", "choose another"),
        ({"imaging": {"Cs": -500.0}}, "imaging.Cs = -500.0", "-10"),
        ({"imaging": {"energy_spread": 700.0}}, "imaging.energy_spread", "20"),
        ({"md": {"pressure_damping": 1.0}}, "md.pressure_damping", "50"),
        ({"md": {"timestep": 0.001}}, "md.timestep", "0.05"),
        ({"material": {"crystal": {"a": 3.5}}}, "material.crystal.formula", "must be given"),
        (
            {
                "md": {
                    "series": [
                        {"temperatures": [6000], "rt": [True]},
                        {"temperatures": [6000], "seeds": [2], "rt": [False]},
                    ]
                }
            },
            "seeds of the states",
            "two seeds of every state",
        ),
        ({"states": {key: {"temperature": 6000, "rt": True} for key in "ab"}}, "states.b", "states.a"),
        ({"potential": {"file": "Si.tersoff"}}, "potential.file = 'Si.tersoff'", "Ga"),
        ({"potential": {"file": "none.tersoff"}}, "potential.file = 'none.tersoff'", "LAMMPS ships"),
        ({"material": {"species": ["Ga"], "radii": {"Ga": 1.0}}}, "material.species", "lacks N"),
        ({"material": {"radii": {"Ga": 1.0}}}, "material.radii", "each of material.species"),
        ({"material": {"crystal": {"formula": "GaN", "structure": "quartz", "a": 3.0}}}, "material.crystal", "quartz"),
        ({"md": {"density": 5.0}}, "md.density = 5", "barostat: none"),
        ({"md": {"series": [{"temperatures": [6000]}, {"temperatures": [6000]}]}}, "md.series", "twice"),
        ({"states": {}}, "states", "at least one"),
        ({"figures": {"recipe": "mine"}}, "figures.recipe = 'mine'", "absolute"),
        ({"figures": {"crop": 16}}, "figures.crop = 16", "0 to 15"),
        ({"figures": {"region": [[2.0, 1.0], [0.0, 1.0]]}}, "figures.region", "low < high"),
        ({"features": {"a": {"detector": {"dose": 0}}}}, "features.a.detector.dose", "greater than 0"),
        ({"features": {"a": {"detector": {"mtf": 1.1}}}}, "features.a.detector.mtf", "less than or equal to 1"),
        ({"features": {"a": {"detector": {"binning": 65}}}}, "features.a.detector.binning", "equal to 64"),
        ({"imaging": {"tilt": [0.0, 71.0]}}, "imaging.tilt", "less than or equal to 70"),
        (
            {"structures": [{"path": "no.xyz", "state": s, "seed": 1} for s in "aba"]},
            "structures",
            "a-s01",
        ),
        (
            {"structures": [{"path": "no.xyz", "state": s, "seed": 1} for s in "ab"]},
            "structures[0].path",
            "no such file",
        ),
        ({"structures": [{"path": "no.xyz", "state": "a"}]}, "structures[0].seed", "must be given"),
    ],
)
def test_impossible_combinations_are_refused(settings, names, says):
    message = refusal(settings)
    assert "config/mine.yaml" in message
    assert names in message
    assert says in message


def test_the_frequency_of_windows_follows_a_sampling_that_cannot_hold_it():
    assert [Windows(sampling=s).frequency for s in (0.05, 0.2, 0.4, 0.5, 0.625)] == [1.25, 1.25, 1.25, 1.0, 0.8]
    model = make_study({"model": {"windows": {"sampling": 0.5}}}).model
    assert model.windows.frequency == 1.0
    # not stated, not in a study: digests and published studies stay as they were
    assert "frequency" not in Windows(sampling=0.4).model_fields_set
    with pytest.raises(ValueError, match=r"frequency = 1.1 1/Å is beyond 1"):
        Windows(sampling=0.5, frequency=1.1)


def test_everything_that_is_wrong_is_said_at_once():
    structures = [{"path": path, "state": "a", "seed": k + 1} for k, path in enumerate(["no.xyz", "none.xyz"])]
    message = refusal({"structures": structures, "figures": {"crop": 99}, "model": {}, "micrographs": [{"path": "a"}]})
    says = ["structures[0].path", "structures[1].path", "figures.crop = 99", "model: needs two", "micrographs: path"]
    assert all(what in message for what in says)
    assert all(line.startswith("config/mine.yaml: ") for line in message.splitlines())


def test_a_gpu_without_cupy_is_refused():
    try:
        import cupy  # noqa: F401
    except ImportError:
        assert "CuPy" in refusal(GPU)
    else:
        make_study(GPU)


@pytest.mark.parametrize(("text", "says"), [("a: [", "YAML"), ("- 1", "mapping"), ("\x00", "YAML")])
def test_a_file_that_is_no_study_is_refused(tmp_path, text, says):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(PersistemError, match=says):
        load_study(tmp_path / "bad.yaml")
    with pytest.raises(PersistemError, match=r"absent\.yaml"):
        load_study(tmp_path / "absent.yaml")


def test_numbers_may_be_written_as_people_write_them(tmp_path):
    """YAML 1.1 takes 1e-5 for text; 1.0e-5 and 0.00001 it takes for numbers."""
    for text in ("1e-5", "1.0e-5", "0.00001", "1E-05"):
        (tmp_path / "s.yaml").write_text(f"learning: {{C: {text}}}")
        assert load_study(tmp_path / "s.yaml").learning.C == 1e-5


def test_defocus_ids_are_exact_and_distinct():
    from persistem.store.paths import defocus_id

    assert [defocus_id(d) for d in (-100, -25, 0, 13, 12.5, -0.1)] == [
        "df-100",
        "df-025",
        "df+000",
        "df+013",
        "df+012p5",
        "df-000p1",
    ]
    values = [k / 10 for k in range(-2000, 2001)]
    assert len({defocus_id(v) for v in values}) == len(values)
