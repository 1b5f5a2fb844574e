"""A study's own micrographs: one job for each, what a change maps again, and what cannot be mapped."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import yaml
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.maps import mapping
from persistem.model.bundle import FILES as BUNDLE
from persistem.plan.plan import Plan
from persistem.publication.publish import refresh
from persistem.store import paths
from persistem.study.load import make_study
from support.environments import ALONE, closure, generate
from support.models import STUDY, blobs
from support.studies import ROOT, TINY, changed

MAP = {"map.tif", "map.hspy", "map.html", "overlay.png", "regions.csv", "map.json"}
MODEL = {"windows": {"size": 4.0}, "stride": 4.0}
MAPPED = TINY | {"model": MODEL, "micrographs": [{"path": "data/*.dm4"}, {"path": "films/a.tif", "defocus": 500.0}]}
FINISHED = {key: value for key, value in MAPPED.items() if key != "model"} | {"map_with": "bundle"}


#: A job finds this package by its path: nothing says which version is installed.
BY_ITS_PATH = """
import importlib.metadata
known = importlib.metadata.version
def version(name):
    if name == "persistem":
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.version = version
"""


@pytest.fixture
def films(tmp_path, monkeypatch):
    """Three files, known by their content, and a finished model; the working directory."""
    for name in ("data/b.dm4", "data/a.dm4", "films/a.tif", *(f"bundle/{name}" for name in BUNDLE)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mapped(study):
    return Plan(make_study(study)).maps


def rules(resolved):
    """Rules and how many jobs, without the targets."""
    return {name: count for name, count in resolved.jobs.items() if name not in {"all", "maps"}}


# which files


def test_a_pattern_stands_for_the_files_that_it_matches(films):
    """Sorted; and the study that is shown, which lists them, is the same study again."""
    (films / "data/folder.dm4").mkdir()
    study = make_study(changed(MAPPED, "micrographs", [{"path": "**/*.dm4", "pixel_size": 0.3}]))
    assert [(m.path, m.pixel_size) for m in study.micrographs] == [("data/a.dm4", 0.3), ("data/b.dm4", 0.3)]
    again = make_study(json.loads(study.model_dump_json(exclude_unset=True)))
    assert again == study
    absolute = make_study(changed(MAPPED, "micrographs", [{"path": str(films / "data" / "[b-z].dm4")}]))
    assert [m.path for m in absolute.micrographs] == [str(films / "data/b.dm4")]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(films):
    (films / "film[1].dm4").write_text("mine")
    (films / "film1.dm4").write_text("another")
    assert list(mapped(changed(MAPPED, "micrographs", [{"path": "film[1].dm4"}])).files) == ["film_1_"]


def test_every_micrograph_has_a_name_of_its_own(films):
    for name in ("data/A.dm4", "data/a 1.x.dm4", "data/Größe.dm4"):
        (films / name).write_text(name)
    named = mapped(MAPPED)
    assert list(named.files) == ["A", "Größe", "a_1_x", "data-a", "b", "films-a"]
    assert named.files["films-a"] == str(films / "films/a.tif")
    assert named.shown["data-a"] == "results/tiny/maps/data-a"
    assert len(set(named.folders.values())) == 6


@pytest.mark.parametrize(
    ("micrographs", "match"),
    [
        ([{"path": "data/*.dm3"}], r"micrographs: path = 'data/\*.dm3': no file matches"),
        ([{"path": "data/c.dm4"}], r"micrographs: path = 'data/c.dm4': no such file"),
        ([{"path": "data"}], r"micrographs: path = 'data': no such file"),
        ([{"path": "data/*.dm4"}, {"path": "./data/a.dm4", "defocus": 1.0}], "data/a.dm4 is listed twice"),
        ([{"path": "data/a.dm4", "pixel_size": 0.0}], r"micrographs\[0\].pixel_size = 0.0: .*greater than 0"),
        ([{"path": "data/a.dm4", "voltage": "200"}], r"micrographs\[0\].voltage = '200'"),
        ([{"file": "data/a.dm4"}], r"micrographs\[0\].path: must be given"),
    ],
)
def test_micrographs_that_cannot_be_mapped_are_refused(micrographs, match, films):
    with pytest.raises(PersistemError, match=match):
        make_study(changed(MAPPED, "micrographs", micrographs))


def test_micrographs_without_a_model_are_refused_with_the_remedy(films):
    study = {key: value for key, value in FINISHED.items() if key != "map_with"}
    with pytest.raises(PersistemError, match=r"micrographs: nothing maps them; add a model .* \(map_with") as refused:
        make_study(study)
    assert "\n" not in str(refused.value)
    with pytest.raises(PersistemError, match=r"map_with = 'films': not the folder of a model; it has no model.json"):
        make_study(study | {"map_with": "films"})


def test_a_step_finer_than_a_pixel_of_the_model_is_refused():
    with pytest.raises(PersistemError, match=r"step = 0.1 Å: at least a pixel of windows.sampling, 0.2 Å"):
        make_study(changed(MAPPED, "model.step", 0.1))


# what runs


def test_every_micrograph_is_a_job(resolve, finished, films):
    finished({key: value for key, value in MAPPED.items() if key != "micrographs"})
    assert resolve(MAPPED).jobs == {"map_micrograph": 3, "publish_map": 3, "all": 1}
    assert resolve(MAPPED, target="maps").jobs == {"map_micrograph": 3, "publish_map": 3, "maps": 1}


def test_a_finished_model_maps_without_any_simulation(resolve, films):
    assert resolve(FINISHED, target="maps").jobs == {"map_micrograph": 3, "publish_map": 3, "maps": 1}


def test_a_study_without_micrographs_has_nothing_to_map(resolve):
    with pytest.raises(SystemExit, match="the study has no micrographs, so the target has nothing to make"):
        resolve(TINY, target="maps")


def test_one_micrograph_that_changes_is_mapped_again_alone(resolve, finished, films):
    finished(MAPPED)
    one = {"map_micrograph": 1, "publish_map": 1}
    last = MAPPED["micrographs"][1]
    for key, value in {"defocus": 400.0, "pixel_size": 0.3, "voltage": 300.0}.items():
        study = changed(MAPPED, "micrographs", [MAPPED["micrographs"][0], last | {key: value}])
        assert rules(resolve(study)) == one, key
    (films / "data/a.dm4").write_text("another")
    assert rules(resolve(MAPPED)) == one
    (films / "data/a.dm4").write_text("data/a.dm4")
    os.utime(films / "data/a.dm4")  # saved again, with nothing changed
    assert not resolve(MAPPED).jobs
    (films / "data/c.dm4").write_text("one more")
    assert rules(resolve(MAPPED)) == one


def test_a_file_that_was_moved_is_not_mapped_again(resolve, finished, films):
    finished(MAPPED)
    (films / "data").rename(films / "elsewhere")
    micrographs = [{"path": "elsewhere/*.dm4"}, MAPPED["micrographs"][1]]
    assert not resolve(changed(MAPPED, "micrographs", micrographs)).jobs


def test_another_model_maps_all_again(resolve, finished, films):
    finished(MAPPED)
    trained = {"training": 1, "publish_model": 1, "map_micrograph": 3, "publish_map": 3}
    assert rules(resolve(changed(MAPPED, "model.outside", 0.05))) == trained
    assert rules(resolve(changed(MAPPED, "model.step", 2.0))) == {"map_micrograph": 3, "publish_map": 3}
    finished(FINISHED)
    (films / "bundle/card.md").write_text("other words")  # of which the index would have the checksum
    assert not resolve(FINISHED).jobs
    (films / "bundle/model.json").write_text("another")
    assert rules(resolve(FINISHED)) == {"map_micrograph": 3, "publish_map": 3}


def test_a_raised_version_of_the_maps_trains_no_model(resolve, finished, films, monkeypatch):
    finished(MAPPED)
    monkeypatch.setattr(mapping, "VERSION", mapping.VERSION + 1)
    assert rules(resolve(MAPPED)) == {"map_micrograph": 3, "publish_map": 3}


def test_variants_of_a_study_have_no_maps(films):
    study = changed(MAPPED, "model.thicknesses", [10.0, 8.0])
    assert len(Plan(make_study(study)).steps["maps"]) == 3


def test_the_study_shows_its_maps_after_a_change_back(films):
    """Nothing runs then, so the folder is brought up to date before."""
    plan = Plan(make_study(FINISHED))
    for name, folder in plan.maps.folders.items():
        (films / folder).mkdir(parents=True)
        (films / folder / "map.json").write_text(name)
    shown = {name: films / folder / "map.json" for name, folder in plan.maps.shown.items()}
    shown["b"].parent.mkdir(parents=True)
    for file in (shown["b"], shown["b"].with_name("left-over.png")):
        file.write_text("of another setting")
    refresh(plan, films)
    assert {name: file.read_text() for name, file in shown.items()} == {name: name for name in plan.maps.files}
    assert not shown["b"].with_name("left-over.png").exists()


# the jobs, for real


@pytest.fixture
def taken(study_root, tmp_path):
    """Micrographs of known states: one of each, a stack of both, and a file that is none."""
    root = tmp_path / "taken"
    root.mkdir()
    rng = np.random.default_rng(7)
    both = [blobs(distance, rng).astype(np.float32) for distance in (2.6, 1.8)]
    for name, pixels in (("amorphous", both[0]), ("liquid", both[1]), ("stack", np.stack(both))):
        tifffile.imwrite(root / f"{name}.tif", pixels, photometric="minisblack")
    (root / "bad.tif").write_text("not an image")
    return root


def state(folder):
    """The state that most of a map has."""
    shares = json.loads((folder / "map.json").read_text())["shares"]
    return max(shares, key=shares.get)


@pytest.mark.slow
def test_the_verb_maps_each_frame_or_leaves_nothing(taken, written, tmp_path, capsys):
    def run(file, out, **settings):
        capsys.readouterr()
        arguments = ["map-micrograph", taken / file, tmp_path / out, "--model", written]
        return main([*map(str, arguments), "--protocol", json.dumps(settings)]), capsys.readouterr().err

    known = {"path": "ignored.tif", "bundle": None, "pixel_size": 0.2, "voltage": 200.0, "defocus": 0.0, "step": 6.4}
    assert run("liquid.tif", "one", **known) == (0, "")
    assert {file.name for file in (tmp_path / "one").iterdir()} == MAP and state(tmp_path / "one") == "liquid"
    assert run("stack.tif", "two", **known) == (0, "")
    assert {folder.name: state(folder) for folder in (tmp_path / "two").iterdir()} == {
        "frame-0": "amorphous", "frame-1": "liquid",
    }  # fmt: skip
    stack = tifffile.imread(taken / "stack.tif")
    tifffile.imwrite(taken / "gap.tif", np.stack([stack[0], 0 * stack[0], stack[1]]), photometric="minisblack")
    status, said = run("gap.tif", "gap", **known)
    assert status == 0 and said.count("\n") == 1 and "gap.tif: frame 1: every pixel is 0" in said
    assert {folder.name: state(folder) for folder in (tmp_path / "gap").iterdir()} == {
        "frame-0": "amorphous", "frame-2": "liquid",
    }  # fmt: skip
    kept = (tmp_path / "one/map.json").read_bytes()
    for file, out, changes, match in (
        ("bad.tif", "three", {}, "bad.tif"),
        ("liquid.tif", "three", {"pixel_size": None}, "does not say its pixel size; give micrographs.pixel_size (Å)"),
        ("liquid.tif", "three", {"voltage": 300.0}, "the model is of 200 kV; train one for 300 kV"),
        ("liquid.tif", "three", {"step": 0.1}, "persistem: model.step = 0.1 Å: must be at least"),
        ("liquid.tif", "three", {"step": "wide"}, "step = 'wide': a distance in Å"),
        ("liquid.tif", "three", {"gain": 2.0}, "gain: no such setting"),
        ("liquid.tif", "one", {}, "is there already"),
    ):
        status, said = run(file, out, **known | changes)
        assert status == 1 and match in said and said.count("\n") == 1, said
        assert "--" not in said.replace("--protocol", "")
    tifffile.imwrite(taken / "film.tif", stack[1], imagej=True, resolution=(5.0, 5.0), metadata={"unit": "nm"})
    status, said = run("film.tif", "film", **known)
    assert status == 1 and "micrographs.pixel_size = 0.2 Å contradicts the file, which says 2 Å" in said
    assert "add micrographs.force" in said
    status, said = run("film.tif", "film", **known, force=True)
    assert status == 0 and "the file says 2 Å" in said and state(tmp_path / "film") == "liquid"
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "gap", "film", "taken"}
    assert (tmp_path / "one/map.json").read_bytes() == kept


@pytest.mark.slow
def test_the_environment_of_the_rule_has_what_it_needs(taken, written, tmp_path):
    here = closure(generate.STAGES["maps"])
    absent = [
        module
        for module, names in importlib.metadata.packages_distributions().items()
        if not any(re.sub(r"[-_.]+", "-", name).lower() in here | {"persistem"} for name in names)
    ]
    assert "abtem" in absent and "skops" not in absent
    settings = json.dumps({"pixel_size": 0.2, "voltage": 200.0, "defocus": 0.0, "step": 6.4})
    call = ["map-micrograph", str(taken / "liquid.tif"), "out", "--model", str(written), "--protocol", settings]
    done = subprocess.run(
        [sys.executable, "-c", BY_ITS_PATH + ALONE, json.dumps([absent, [call]])],
        cwd=tmp_path, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert state(tmp_path / "out") == "liquid"


@pytest.mark.thorough
@pytest.mark.slow
def test_a_study_maps_its_micrographs_and_says_which_it_cannot(study_root, written, taken):
    """The study's model is there; its maps run through Snakemake as a user's do."""
    root, plan, _ = study_root
    shutil.copytree(root / "results/models", taken / "results/models", ignore=shutil.ignore_patterns(".*"))
    known = {"pixel_size": 0.2, "voltage": 200.0, "defocus": 0.0}
    study = STUDY | {"micrographs": [{"path": "*.tif", **known}]}

    def snakemake(*arguments, status=0):
        (taken / "study.yaml").write_text(yaml.safe_dump(changed(study, "model.step", 6.4)))
        command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2", "maps"]
        command += ["--workflow-profile", str(ROOT / "profiles/default"), "--configfile", "study.yaml", *arguments]
        done = subprocess.run(command, cwd=taken, capture_output=True, text=True, timeout=600)
        assert done.returncode == status, (done.stdout + done.stderr)[-6000:]
        return done.stdout + done.stderr

    text = snakemake("--keep-going", status=1)
    assert "persistem: bad.tif: " in text.replace(f"{taken}/", "") and "Traceback" not in text
    shown = taken / paths.study_file("blobs", "maps")
    assert {folder.name for folder in shown.iterdir()} == {"amorphous", "liquid", "stack"}
    assert (state(shown / "amorphous"), state(shown / "liquid")) == ("amorphous", "liquid")
    assert [state(shown / "stack" / frame) for frame in ("frame-0", "frame-1")] == ["amorphous", "liquid"]
    assert {file.name for file in (shown / "liquid").iterdir() if file.name[0] != "."} == MAP
    assert json.loads((shown / "liquid/map.json").read_text())["parameters"]["step_A"] == pytest.approx(6.4)
    logs = {log.stem: log.read_text() for log in (taken / "results/logs/maps").rglob("*.log")}
    assert logs["bad"].startswith("persistem: ") and logs["bad"].count("\n") == 1
    about = yaml.safe_load(next((taken / "results/maps").glob("*/stage.yaml")).read_text())
    assert about["inputs"] == [plan.model.digest] and about["settings"]["pixel_size"] == 0.2
    (taken / "bad.tif").unlink()
    assert "Nothing to be done" in snakemake()
    # a map that somebody wants anew
    shutil.rmtree(shown / "liquid")
    snakemake()
    assert state(shown / "liquid") == "liquid"
