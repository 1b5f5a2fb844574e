"""What no study refers to: exactly that is listed and removed, and the studies that are left have nothing to run."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.plan.plan import Plan
from persistem.publication.publish import describe_digests, digests
from persistem.store import paths, runs
from persistem.store.unused import refers, report, size, unused
from persistem.study.load import load_study, make_study
from support.studies import ROOT, TINY, changed

#: Another conversion to images, and another seed: shares specimens and micrographs of seeds 1 and 2.
OTHER = changed(
    changed(changed(TINY, "name", "other"), "features.paper", {"bins": 16}),
    "md.series",
    [{"temperatures": [6000], "seeds": [1, 2, 3]}],
)


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path_factory, monkeypatch):
    """A temporary folder of its own: in the common one, other tests leave what a kill leaves."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))


@pytest.fixture
def two(finished, tmp_path):
    """A results folder in which two studies that share digests have run, with logs and seals."""
    for study in (TINY, OTHER):
        finished(study)
        describe_digests(Plan(make_study(study)), tmp_path)
        (tmp_path / "results" / study["name"] / "study.yaml").touch()
    for path in list((tmp_path / "results").rglob("*")):
        if (found := paths.sealed(path)) and path.is_file() and path.name != "stage.yaml":
            found[1].parent.mkdir(parents=True, exist_ok=True)
            found[1].touch()
            log = tmp_path / paths.log(found[0])
            log.parent.mkdir(parents=True, exist_ok=True)
            log.touch()
    return tmp_path


def of_digests(root):
    """Stage and digest of every folder of a digest."""
    return {
        (path.parent.name, path.name)
        for stage in paths.STAGES
        for path in (root / "results" / stage).glob("*")
        if path.is_dir()
    }


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_nothing_is_unused_while_both_studies_are_there(two, capsys):
    before = files(two)
    assert unused(two, remove=True) == []
    assert main(["unused", "--root", str(two), "--remove"]) == 0
    assert "0 B removed" in capsys.readouterr().out
    assert files(two) >= before


def test_what_a_forgotten_study_alone_referred_to_is_listed_and_removed(two, resolve, capsys):
    mine, theirs = (
        {(stage, digest) for stage, steps in Plan(make_study(study)).steps.items() for digest in steps}
        for study in (TINY, OTHER)
    )
    assert theirs - mine and mine & theirs and of_digests(two) == mine | theirs
    shutil.rmtree(two / "results/other")
    expected = files(two)
    found = unused(two)
    assert files(two) >= expected
    assert {(one.stage, one.digest) for one in found if one.what == "all"} == theirs - mine
    specimens = {one.what for one in found} - {"all"}
    assert specimens == {"T6000-rt0-s03", "T6000-rt1-s03"}
    assert {(o.stage, o.digest) for o in found if o.what != "all"} < mine & theirs
    assert main(["unused", "--root", str(two), "--remove"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("To forget a study, delete its folder results/<study>/")
    assert of_digests(two) == mine
    left = {file for file in files(two) if ".runs" not in file and ".snakemake" not in file}
    assert not [file for file in left if "s03" in file]
    assert not [file for file in left if any(digest in file for _, digest in theirs - mine)]
    assert unused(two) == []
    assert not resolve(TINY).jobs


def test_the_other_way_round_the_larger_study_keeps_all_of_its_own(two, resolve):
    shutil.rmtree(two / "results/tiny")
    found = unused(two, remove=True)
    assert {one.what for one in found} == {"all"}
    assert {one.stage for one in found} & set(paths.of_part("tables")) == {"persistence_images", "learning"}
    assert not resolve(OTHER).jobs


def test_sizes_add_up(two):
    shutil.rmtree(two / "results/other")
    wave = next(iter((two / "results/learning").glob("*")))
    (wave / "accuracy.csv").write_bytes(b"x" * 1234)
    (wave / "accuracy.csv.json").write_bytes(b"x" * 1000)
    one = [one for one in unused(two) if one.digest == wave.name]
    total = sum(file.lstat().st_size for o in one for path in o.paths for file in path.rglob("*") if file.is_file())
    assert [o.bytes for o in one] in ([], [total])
    assert [size(n) for n in (0, 999, 1000, 1_450_000, 2 * 10**12)] == ["0 B", "999 B", "1.0 kB", "1.4 MB", "2.0 TB"]


def test_left_overs_of_dead_processes_and_damaged_files(two):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = next((two / "results/micrographs").glob("*/T6000-rt0-s01"))
    node = platform.node()
    gone, alive = folder / f".{node}-{dead.pid}.df+000.tif", folder / f".{node}-{os.getpid()}.df+000.tif"
    young, old = folder / ".node-x-7.df+000.tif", folder / ".node-x-8.df+000.tif"
    for path in (gone, alive, young, old):
        path.touch()
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    part = two / "results/exit_waves" / next((two / "results/exit_waves").glob("*")).name
    part = part / f".{node}-{dead.pid}.T6000-rt0-s01.zarr.part"
    part.mkdir()
    (part / "0.0").write_text("abc")
    damaged = folder / "df+000.tif.damaged"
    damaged.touch()
    found = {path: one for one in unused(two) for path in one.paths}
    assert set(found) == {gone, old, part, damaged}
    assert found[part].bytes == 3 and found[damaged].what == "damaged"
    unused(two, remove=True)
    assert alive.exists() and young.exists() and not any(path.exists() for path in (gone, old, part, damaged))


def test_links_and_what_is_not_of_a_digest_stay(two):
    outside = two / "mine"
    outside.mkdir()
    (outside / "data.dm4").write_text("mine")
    results = two / "results"
    (results / "notes").mkdir()
    (results / "notes/todo.txt").write_text("mine")
    (results / "micrographs/notes.txt").write_text("mine")
    (results / "micrographs/abc").mkdir()
    (results / "micrographs/0123456789ab").symlink_to(outside)
    orphan = results / "crops/0123456789ab/T6000-rt0-s01"
    orphan.mkdir(parents=True)
    (orphan / "link").symlink_to(outside)
    assert [(one.stage, one.digest) for one in unused(two, remove=True)] == [("crops", "0123456789ab")]
    assert not orphan.exists() and (outside / "data.dm4").read_text() == "mine"
    assert (results / "micrographs/0123456789ab").is_symlink() and (results / "micrographs/abc").is_dir()
    assert (results / "notes/todo.txt").exists() and (results / "micrographs/notes.txt").exists()


def test_a_study_that_does_not_say_what_it_refers_to_is_refused(two, capsys):
    before = files(two)
    (two / "results/other/digests.csv").unlink()
    assert main(["unused", "--root", str(two), "--remove"]) == 1
    said = capsys.readouterr().err
    assert "results/other" in said and "persistem publish" in said and said.count("\n") == 1
    assert files(two) >= before - {"results/other/digests.csv"}
    (two / "results/other/digests.csv").write_text("no,table\n1,2\n")
    with pytest.raises(PersistemError, match=r"digests\.csv"):
        unused(two)


def test_while_a_run_is_alive_nothing_is_listed_or_removed(two, monkeypatch):
    monkeypatch.setattr(runs.atexit, "register", lambda *a, **k: None)
    shutil.rmtree(two / "results/other")
    code = (
        "import sys, time; from pathlib import Path; from persistem.store import runs;"
        f"runs.begin(Path({str(two)!r}), 'tiny', [], []); print('there', flush=True); time.sleep(3600)"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert run.stdout.readline() == "there\n"
        with pytest.raises(PersistemError, match="tiny"):
            unused(two, remove=True)
    finally:
        run.kill()
        run.wait()
        run.stdout.close()
    assert unused(two)


def test_without_a_results_folder(tmp_path):
    with pytest.raises(PersistemError, match="--root"):
        unused(tmp_path)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "name",
    [
        "demo",
        pytest.param("trial", marks=pytest.mark.slow),
        pytest.param("extended", marks=pytest.mark.thorough),
    ],
)
def test_studies_refer_to_everything_that_snakemake_makes(name, resolve, tmp_path):
    study = load_study(ROOT / f"config/{name}.yaml")
    table = tmp_path / f"results/{name}/digests.csv"
    table.parent.mkdir(parents=True)
    table.write_text(digests(Plan(study)))
    referred = refers(tmp_path / "results")
    made = {
        file for target in (None, "report") for file in resolve(ROOT / f"config/{name}.yaml", target=target).outputs
    }
    stages = 0
    for parts in (Path(file).relative_to(tmp_path).parts for file in made):
        if parts[1] not in paths.STAGES:
            continue
        stages += 1
        specimens = referred[parts[1], parts[2]]
        assert specimens is None or parts[3].split(".")[0] in specimens, parts
    assert stages > 50


def test_a_report_of_nothing_is_readable():
    assert report([], removed=False).splitlines()[0] == "0 B that no study refers to"
