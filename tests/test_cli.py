"""Every stage by hand from the command line, and what it says about input that cannot be used."""

import importlib.metadata
import itertools
import json
import re
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from persistem.commands.cli import main
from persistem.commands.parser import parsed
from persistem.store.stages import STAGES
from support.studies import ROOT, TINY

VERBS = [
    "heat", "treat", "structure", "preparation", "exit-wave", "micrograph", "crops", "diagrams", "join-diagrams",
    "persistence-images", "descriptors", "melt", "diagram-3d", "figure", "learning", "evaluation", "controls", "sweep",
    "model", "fit", "unseen", "composite", "trial", "overview", "state-checks", "optimal-volumes", "weights", "inverse",
    "report",
    "description", "map-micrograph", "check", "publish", "publish-report", "publish-model", "publish-trial",
    "publish-unseen", "publish-overview",
    "publish-map", "unused", "accuracy", "record", "record-maps", "record-materials", "archive", "verify", "reference",
    "map", "label", "inspect", "explore", "models", "new", "run", "stages",
]  # fmt: skip
IMAGING = "{field: 8.0, thickness: 8.0, pixels: 64, margin: 2.0, focal_nodes: 3}"
CROPS = "{intensity: {method: window}, crops: {size: 32, stride: 32}}"
DIAGRAMS = "{filtrations: [superlevel]}"
IMAGES = "{bins: 16, crops_per_micrograph: 4}"
DIGEST = "0123456789ab"
STATES = ["ordered", "disordered"]


def run(*arguments):
    """A verb in this process; it must succeed."""
    assert main([str(argument) for argument in arguments]) == 0


def refused(capsys, *arguments):
    """What a verb says that must fail: one sentence, and no traceback."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("persistem: ") and said.err.count("\n") == 1
    assert "Traceback" not in said.err and len(said.err) < 2000
    return said.err


def files(folder):
    """Everything in a folder."""
    return sorted(folder.rglob("*"))


def learning_protocol(recipe="paper", **changes):
    images = "results/persistence_images/{digest}/{specimen}/df+000.parquet"
    sources = [
        {"path": images.format(digest=DIGEST, specimen=f"{state}-s01")}
        | {"specimen": f"{state}-s01", "state": state, "seed": 1, "defocus": 0.0}
        for state in STATES
    ]
    return {"recipe": recipe, "states": STATES, "learning": {"repetitions": 3}, "sources": sources} | changes


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Two structures taken to persistence images by hand, every stage once for each; the folder of the files."""
    from persistem.specimens.structures import crystal_of
    from persistem.study import Material

    folder = tmp_path_factory.mktemp("by hand")
    atoms = crystal_of(Material(repetitions=(5, 6, 2)))
    for state, shift in zip(STATES, (0.05, 0.3), strict=True):
        atoms.rattle(shift, seed=1)
        atoms.write(folder / f"{state}.xyz", format="extxyz")
        run("structure", folder / state, "--protocol", f"{{path: '{folder / state}.xyz'}}")
        image = folder / f"results/persistence_images/{DIGEST}/{state}-s01/df+000.parquet"
        steps = [
            ("exit-wave", "structure.extxyz", "wave.zarr", IMAGING),
            ("micrograph", "wave.zarr", "image.tif", IMAGING),
            ("crops", "image.tif", "crops.tif", CROPS),
            ("diagrams", "crops.tif", "diagrams.parquet", DIAGRAMS),
            ("persistence-images", "diagrams.parquet", image, IMAGES),
        ]
        for verb, source, out, protocol in steps:
            more = ["--defocus=0"] if verb == "micrograph" else []
            run(verb, folder / state / source, folder / state / out, "--protocol", protocol, *more)
    return folder


@pytest.fixture
def mine(chain, tmp_path):
    """A copy of the first structure's files, to be damaged."""
    shutil.copytree(chain / "ordered", tmp_path / "mine")
    shutil.copytree(chain / "results", tmp_path / "results")
    return tmp_path / "mine"


def learn(root, protocol, out="accuracy.csv"):
    return ["learning", root / "results/learning" / DIGEST / out, "--root", root, "--protocol", json.dumps(protocol)]


# what works


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: persistem {verb}" in text and len(text.splitlines()) > 5


def test_the_help_lists_every_verb_by_task(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    tasks = dict(re.findall(r"^(\w[\w ]*):\n((?:  .*\n)+)", text, re.M))
    start, micrographs, results = (
        re.findall(r"^  (\S+)", tasks[name], re.M) for name in ("Start", "Micrographs", "Studies and results")
    )
    assert start == ["new", "check", "run"]
    assert micrographs == ["label", "explore", "map", "inspect", "conditions", "models"]
    assert {"accuracy", "archive", "verify", "unused", "record"} <= set(results)
    stages = text.partition("Stages:")[2].partition("examples:")[0]
    assert {verb for stage in STAGES for verb in stage.verbs} <= set(re.findall(r"[\w-]+", stages))
    for verb in VERBS:
        assert verb in {*start, *micrographs, *results} or re.search(rf"(?<![\w-]){verb}(?![\w-])", stages), verb
    assert max(map(len, text.splitlines())) <= 80
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2


def test_the_stages_are_listed_with_what_they_do(capsys):
    run("stages")
    text = capsys.readouterr().out
    assert all(re.search(rf"^  {stage.verbs[0]} +\w", text, re.M) for stage in STAGES)


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_every_verb_are_commands(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    examples = re.findall(r"^  (.*)$", capsys.readouterr().out.partition("\nexamples:\n")[2], re.M)
    assert examples
    for example in examples:
        words = shlex.split(example.replace("stage.yaml", "'{}'"))
        words = words[words.index("persistem") + 1 :]
        assert words[0] == verb
        parsed(words)


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"persistem {importlib.metadata.version('persistem')}\n"


def test_help_comes_at_once():
    """Half a second is what a person waits without noticing; here of the processor, which others use too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "persistem", "--help"], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
    loaded = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.M))
    assert "persistem.commands.parser" in loaded
    assert not loaded & {"numpy", "pydantic", "yaml", "asyncio", "persistem.study", "importlib.metadata"}


def test_every_stage_by_hand_gives_what_the_library_gives(chain):
    import tifffile
    from persistem.topology.persistence_images import read_images

    for state in STATES:
        assert tifffile.imread(chain / state / "image.tif").shape == (64, 64)
        assert tifffile.imread(chain / state / "crops.tif").shape == (4, 32, 32)
        crop, degree, images = read_images(chain / f"results/persistence_images/{DIGEST}/{state}-s01/df+000.parquet")
        assert list(zip(crop, degree, strict=True)) == list(itertools.product(range(4), (0, 1)))
        assert images.shape == (8, 16 * 17 // 2) and images.max() > 0


@pytest.mark.slow
def test_a_classification_by_hand(chain, tmp_path, capsys):
    import pandas as pd

    shutil.copytree(chain / "results", tmp_path / "results")
    run(*learn(tmp_path, learning_protocol()))
    run(*learn(tmp_path, learning_protocol(), "again.csv"), "--jobs", 2)
    table, again = (tmp_path / "results/learning" / DIGEST / name for name in ("accuracy.csv", "again.csv"))
    assert table.read_bytes() == again.read_bytes()
    assert set(pd.read_csv(table).split) == {"random"}
    capsys.readouterr()
    run("accuracy", table)
    text = capsys.readouterr().out
    assert str(table) in text
    row = pd.read_csv(table, dtype=str).query("degrees == '0+1' and model == 'LR' and foci == 'all'").iloc[0]
    assert any(line.split()[:4] == ["paper", "0+1", "LR", f"{float(row.accuracy):.3f}"] for line in text.splitlines())


def test_settings_come_inline_or_from_a_file_or_from_a_stage_yaml(mine, tmp_path):
    settings = yaml.safe_load(CROPS)
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(settings))
    about = {"stage": "crops", "version": 1, "inputs": [DIGEST], "settings": settings}
    (tmp_path / "stage.yaml").write_text(yaml.safe_dump(about))
    for k, protocol in enumerate([json.dumps(settings), tmp_path / "plain.yaml", tmp_path / "stage.yaml"]):
        run("crops", mine / "image.tif", tmp_path / f"{k}.tif", "--protocol", protocol)
        assert (tmp_path / f"{k}.tif").read_bytes() == (mine / "crops.tif").read_bytes()


def test_numbers_are_read_as_json_and_as_yaml_write_them(mine, tmp_path):
    """JSON writes 0.00001 as 1e-05, which YAML takes for text."""
    settings = yaml.safe_load(IMAGING) | {"Cs": 0.00001}
    for k, protocol in enumerate([json.dumps(settings), yaml.safe_dump(settings, default_flow_style=True)]):
        run("micrograph", mine / "wave.zarr", tmp_path / f"{k}.tif", "--defocus=0", "--protocol", protocol)
    assert (tmp_path / "0.tif").read_bytes() == (tmp_path / "1.tif").read_bytes()


def test_an_exit_wave_of_the_workflow_knows_what_it_was_simulated_with(mine, tmp_path, monkeypatch, capsys):
    """The commands and the lines of Python in docs/using.md, beside a wave whose folder has a ``stage.yaml``."""
    says = refused(capsys, "micrograph", mine / "wave.zarr", tmp_path / "none.tif", "--defocus=-25")
    assert "96 x 96 px, 12 Å wide" in says and "1280 x 1280 px" in says
    exit_wave = {key: yaml.safe_load(IMAGING)[key] for key in ("field", "thickness", "pixels", "margin")}
    (mine / "stage.yaml").write_text(
        yaml.safe_dump({"stage": "exit_waves", "settings": exit_wave | {"voltage": 200.0}})
    )
    monkeypatch.chdir(mine)
    page = (ROOT / "docs/using.md").read_text().partition("## Use a stage from the command line")[2]
    (command,) = re.findall(r"^ {4}persistem (micrograph .*)$", page, re.M)
    run(*shlex.split(command))
    by_command = Path("out.tif").read_bytes()
    Path("out.tif").unlink()
    exec(re.search(r"^```python\n(.*?)^```$", page, re.M | re.S)[1], {})
    assert Path("out.tif").read_bytes() == by_command
    assert "300 kV" in refused(capsys, "micrograph", "wave.zarr", "no.tif", "--defocus=0", "--protocol={voltage: 300}")
    Path("stage.yaml").write_text("{")
    assert "stage.yaml" in refused(capsys, "micrograph", "wave.zarr", "no.tif", "--defocus=0")


def test_what_is_not_given_is_the_papers(mine, tmp_path):
    """Diagrams of the paper are superlevel, without positions."""
    run("diagrams", mine / "crops.tif", tmp_path / "default.parquet")
    assert (tmp_path / "default.parquet").read_bytes() == (mine / "diagrams.parquet").read_bytes()


def test_diagrams_in_batches_are_joined(mine, tmp_path):
    parts = [tmp_path / f"{first}.parquet" for first in (0, 3)]
    for part, first, last in zip(parts, (0, 3), (3, 4), strict=True):
        run("diagrams", mine / "crops.tif", part, "--first", first, "--last", last, "--protocol", DIAGRAMS)
    run("join-diagrams", *parts, "--out", tmp_path / "all.parquet")
    assert (tmp_path / "all.parquet").read_bytes() == (mine / "diagrams.parquet").read_bytes()


def test_check_says_what_a_study_asks_for(tmp_path, capsys):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    run("check", ROOT / "config/paper.yaml", tmp_path / "tiny.yaml")
    paper, tiny = capsys.readouterr().out.splitlines()
    assert "16 specimens (6 classified), 9 defoci, 16 crops per micrograph" in paper
    assert "study 'tiny', 4 specimens (4 classified), 2 defoci, 4 crops per micrograph, recipes paper" in tiny


def test_reference_writes_the_files_in_config(tmp_path):
    run("reference", tmp_path)
    for file in tmp_path.iterdir():
        assert file.read_text() == (ROOT / "config" / file.name).read_text()


def test_publish_needs_the_results(tmp_path, capsys):
    said = refused(capsys, "publish", json.dumps(TINY), "--root", tmp_path)
    assert "results/learning" in said
    assert [path.name for path in files(tmp_path / "results/tiny")] == ["digests.csv"]


# what is refused

#: A verb that reads each kind of file, and where it writes.
READERS = {
    "structure.extxyz": ["exit-wave", "structure.extxyz", "new", "--protocol", IMAGING],
    "wave.zarr": ["micrograph", "wave.zarr", "new", "--defocus=0", "--protocol", IMAGING],
    "image.tif": ["crops", "image.tif", "new", "--protocol", CROPS],
    "crops.tif": ["diagrams", "crops.tif", "new", "--protocol", DIAGRAMS],
    "diagrams.parquet": ["persistence-images", "diagrams.parquet", "new", "--protocol", IMAGES],
}


def call(folder, source):
    verb, _, out, *more = READERS[source]
    return [verb, folder / source, folder / out, *more]


def half(content):
    return content[: len(content) // 2]


def damaged(file, change):
    """Change the bytes of a file, or of the largest file in a folder."""
    if file.is_dir():
        file = max((f for f in file.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    file.write_bytes(change(file.read_bytes()))


@pytest.mark.parametrize("source", READERS)
@pytest.mark.parametrize("damage", [half, lambda content: b"", lambda content: b"\x00\xff not this \xfe" * 9, None],
                         ids=["cut in half", "empty", "something else", "missing"])  # fmt: skip
def test_a_damaged_file_is_named_and_nothing_is_written(source, damage, mine, capsys):
    if damage:
        damaged(mine / source, damage)
    else:
        shutil.rmtree(mine / source) if (mine / source).is_dir() else (mine / source).unlink()
    before = files(mine)
    said = refused(capsys, *call(mine, source))
    assert str(mine / source) in said
    assert files(mine) == before


@pytest.mark.parametrize("damage", [half, lambda content: b"", None], ids=["cut in half", "empty", "missing"])
def test_damaged_persistence_images_are_named(damage, mine, tmp_path, capsys):
    file = tmp_path / f"results/persistence_images/{DIGEST}/ordered-s01/df+000.parquet"
    damaged(file, damage) if damage else file.unlink()
    assert str(file) in refused(capsys, *learn(tmp_path, learning_protocol()))
    assert not list(tmp_path.glob("results/learning/*/*"))


@pytest.mark.parametrize("damage", [half, lambda content: b"", None], ids=["cut in half", "empty", "missing"])
def test_a_damaged_own_structure_is_named(damage, chain, tmp_path, capsys):
    file = tmp_path / "mine.xyz"
    shutil.copy(chain / "ordered.xyz", file)
    damaged(file, damage) if damage else file.unlink()
    assert str(file) in refused(capsys, "structure", tmp_path / "out", "--protocol", f"{{path: '{file}'}}")
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("damage", [half, lambda content: b"", None], ids=["cut in half", "empty", "missing"])
def test_a_damaged_part_of_the_diagrams_is_named(damage, mine, tmp_path, capsys):
    file = mine / "diagrams.parquet"
    damaged(file, damage) if damage else file.unlink()
    assert str(file) in refused(capsys, "join-diagrams", file, "--out", tmp_path / "all.parquet")
    assert not (tmp_path / "all.parquet").exists()


def test_a_file_of_another_stage_is_refused(mine, capsys):
    for source, other in itertools.permutations(READERS, 2):
        verb, _, out, *more = READERS[source]
        assert str(mine / other) in refused(capsys, verb, mine / other, mine / out, *more)
        assert not (mine / out).exists()


@pytest.mark.parametrize(
    ("source", "protocol", "says"),
    [
        ("structure.extxyz", "{voltage: -1}", ["voltage", "-1", "10"]),
        ("wave.zarr", "{pixels: many}", ["pixels", "many"]),
        ("image.tif", "{crops: {size: 4}}", ["size", "4", "8"]),
        ("image.tif", "{intensity: {method: sharpen}}", ["intensity", "sharpen", "clahe"]),
        ("crops.tif", "{filtrations: [upward]}", ["filtrations", "upward", "superlevel"]),
        ("diagrams.parquet", "{bins: 1, crops_per_micrograph: 4}", ["bins", "1", "2"]),
        ("image.tif", "{crops: {size: 65}}", ["crops.size", "65", "64"]),
    ],
)
def test_a_setting_that_is_not_allowed(source, protocol, says, mine, capsys):
    verb, _, out, *more = READERS[source]
    more = more[: more.index("--protocol")]
    said = refused(capsys, verb, mine / source, mine / out, *more, "--protocol", protocol)
    assert all(part in said for part in says), said
    assert not (mine / out).exists()


@pytest.mark.parametrize(
    ("verb", "protocol"),
    [
        ("structure", "{}"),
        ("learning", "{}"),
        ("learning", json.dumps({k: v for k, v in learning_protocol().items() if k != "states"})),
    ],
)
def test_a_setting_that_must_be_given(verb, protocol, tmp_path, capsys):
    refused(capsys, verb, tmp_path / "results/learning" / DIGEST / "out", "--protocol", protocol)
    assert not list(tmp_path.rglob("out"))


@pytest.mark.parametrize("protocol", ["missing.yaml", "{a: [1", "{a: 1}}", "[1, 2]"])
def test_a_protocol_that_is_none(protocol, mine, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(SystemExit) as stopped:
        main(["crops", str(mine / "image.tif"), "out.tif", "--protocol", protocol.replace("[1, 2]", "list.yaml")])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "--protocol" in said and "Traceback" not in said
    assert not (tmp_path / "out.tif").exists()


def test_check_refuses_and_names_the_file_and_the_key(tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text("imaging: {volts: 200}\n")
    said = refused(capsys, "check", file)
    assert f"{file}: imaging.volts: no such key; allowed are field, thickness" in said
    assert str(tmp_path / "none.yaml") in refused(capsys, "check", tmp_path / "none.yaml")


def test_accuracy_refuses_what_is_no_table(tmp_path, mine, capsys):
    file = tmp_path / "other.csv"
    for content in ("a,b\n1,2\n", "", "features,degrees,training,foci\n1,2,pooled,all\n"):
        file.write_text(content)
        assert str(file) in refused(capsys, "accuracy", file)
    assert str(mine / "image.tif") in refused(capsys, "accuracy", mine / "image.tif")
    assert "none.csv" in refused(capsys, "accuracy", tmp_path / "none.csv")


def test_a_folder_that_cannot_be_written_is_named(mine, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    said = refused(capsys, "crops", mine / "image.tif", tmp_path / "file/out.tif", "--protocol", CROPS)
    assert str(tmp_path / "file") in said


def test_values_of_a_wave_that_are_not_finite_do_not_become_a_micrograph(mine, capsys):
    import abtem

    wave = abtem.from_zarr(str(mine / "wave.zarr")).compute()
    wave.array[3, 4] = np.nan
    shutil.rmtree(mine / "wave.zarr")
    wave.to_zarr(str(mine / "wave.zarr"))
    refused(capsys, *call(mine, "wave.zarr"))
    assert not (mine / "new").exists()


@pytest.mark.parametrize("verb", ["state-checks", "optimal-volumes", "weights", "inverse", "report", "figure"])
def test_settings_that_a_figure_needs_are_named(verb, tmp_path, capsys):
    out = tmp_path / ("figure-1.json" if verb == "figure" else "out")
    said = refused(capsys, verb, out, "--protocol", "{figure: figure-1}")
    assert "must be given" in said
    assert not files(tmp_path)


def test_a_specimen_is_checked_by_hand(chain, tmp_path):
    structure = next(chain.rglob("structure.extxyz"))
    settings = {"specimen": "a", "structure": structure.name, "species": None, "thermo": None, "reference": None}
    run("state-checks", tmp_path / "a.json", "--root", structure.parent, "--protocol", json.dumps(settings))
    assert json.loads((tmp_path / "a.json").read_text())["density_g_cm3"] > 1


def test_the_record_of_a_study_without_a_report_is_refused(tmp_path, capsys):
    assert "snakemake report" in refused(capsys, "record", tmp_path, tmp_path / "docs")
