"""Faults, injected for real: one sentence says what happened, the next call completes, and the results are the same.

Kills at random moments are `benchmarks/soak.py`; a few of its rounds run here.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import test_workflow
import yaml
from conftest import ROOT, TINY, changed
from persistem.plan.plan import Plan
from persistem.store import seals
from persistem.study.load import make_study
from test_workflow import copy, first, path, ran, reported, snakemake  # noqa: F401

pytestmark = pytest.mark.slow

PLAN = Plan(make_study(TINY))
SNAKEMAKE = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "--cores", "2"]
#: LAMMPS' steps that a log tells of
STEPS = re.compile(r"^Loop time of .* for (\d+) steps", re.M)


def one_sentence(text, damaged):
    """Whether a run says of a file that it is damaged, in one sentence and without a traceback."""
    said = re.findall(r"^.*persistem: .*$", text, re.M)
    assert any(damaged in line and "is not what was written there" in line for line in said), text[-3000:]
    assert "Traceback" not in text


def same(folder, other, but=()):
    """Whether two folders hold the same results; what was set aside is not one."""
    test_workflow.same(folder, other, but=(".damaged", *but))


def cut_short(file):
    """Truncate a file, or the largest one in a folder."""
    if file.is_dir():
        file = max((f for f in file.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file):
    """Change one bit of a file, or of the largest one in a folder."""
    if file.is_dir():
        file = max((f for f in file.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def remove(file):
    shutil.rmtree(file) if file.is_dir() else file.unlink()


def specimen(name, file):
    return str(Path(path("specimens", name)).with_name(file))


#: Each kind of intermediate, and what has to be made from it again, so that it is read.
KINDS = {
    "structure (extended XYZ)": (specimen("T6000-rt0-s01", "structure.extxyz"), path("exit_waves", "T6000-rt0-s01")),
    "restart (LAMMPS)": (specimen("T6000-rt0-s02", "end.restart"), specimen("T6000-rt1-s02", "structure.extxyz")),
    "summary (JSON)": (specimen("T6000-rt1-s01", "summary.json"), "results/tiny/tables/specimens.csv"),
    "exit wave (Zarr)": (path("exit_waves", "T6000-rt1-s01"), path("micrographs", "T6000-rt1-s01", "df-100")),
    "micrograph (TIFF)": (
        path("micrographs", "T6000-rt0-s02", "df-100"),
        path("crops", "T6000-rt0-s02", "df-100"),
    ),
    "crops (TIFF)": (path("crops", "T6000-rt0-s02", "df+000"), path("diagrams", "T6000-rt0-s02", "df+000")),
    "diagrams (Parquet)": (
        path("diagrams", "T6000-rt1-s01", "df+000"),
        path("persistence_images", "T6000-rt1-s01", "df+000"),
    ),
    "persistence images (Parquet)": (path("persistence_images", "T6000-rt0-s01", "df+000"), path("learning")),
    "accuracy table (CSV)": (path("learning"), "results/tiny/tables/accuracy.csv"),
}


@pytest.mark.parametrize(("kind", "how"), [*zip(KINDS, itertools.cycle([flip, cut_short]), strict=False)])
def test_a_damaged_intermediate_is_set_aside_said_and_made_again(copy, first, kind, how):  # noqa: F811
    damaged, below = (copy / name for name in KINDS[kind])
    how(damaged)
    remove(below)
    target = str(below.relative_to(copy))
    text = snakemake(copy, target, study=TINY, status=1)
    one_sentence(text, str(damaged.relative_to(copy)))
    assert damaged.with_name(f"{damaged.name}.damaged").exists() and not damaged.exists()
    text = snakemake(copy, target, study=TINY)
    # what was dynamics is not computed again: the end of the last segment is there
    for log in (copy / "results/logs/specimens").rglob("*.log") if "heating" in ran(text) else ():
        if log.stat().st_mtime > damaged.with_name(f"{damaged.name}.damaged").stat().st_ctime:
            assert "resuming after segment 2 of 2" in log.read_text() and not STEPS.search(log.read_text())
    snakemake(copy, study=TINY)
    same(copy, first)


REPORTED = ("state_checks", "diagrams_3d", "optimal_volumes", "weights", "inverse", "figures", "report")


def test_damage_of_what_the_report_is_made_of(reported, tmp_path):  # noqa: F811
    folder = tmp_path / "copy"
    shutil.copytree(reported, folder, ignore=shutil.ignore_patterns(".snakemake"))
    damaged = []
    for stage in REPORTED[:-1]:
        made = [f for f in sorted((folder / "results" / stage).rglob("*")) if f.is_file() and f.suffix != ".yaml"]
        damaged += [max((f for f in made if f.suffix == suffix), key=str) for suffix in {f.suffix for f in made}]
    damaged = [f for f in damaged if f.suffix != ".pdf"]  # nothing is made from it; the next test
    for file in damaged:
        flip(file)
    shutil.rmtree(folder / "results/report")
    for figure in (folder / "results/figures").rglob("*"):
        if figure.is_file() and figure not in damaged:
            figure.unlink()
    calls = 0
    while True:
        calls += 1
        done = subprocess.run(
            [*SNAKEMAKE, "report", "--keep-going", "--configfile", "study.yaml"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert "Traceback" not in done.stdout + done.stderr
        if not done.returncode:
            break
        assert calls < 10, done.stdout[-3000:] + done.stderr[-3000:]
    assert list(folder.rglob("*.damaged"))
    assert all((folder / name).exists() for name in PLAN.report_files())
    # of the day, of how long it took, and a random name of HomCloud's
    same(folder, reported, but=("about.json", "report.html", "timings.csv", ".pdgm"))


def test_what_is_published_is_mended_when_snakemake_starts(copy, first):  # noqa: F811
    shown = [f for f in (copy / "results/tiny").rglob("*") if f.is_file()]
    assert len(shown) >= 4
    for k, file in enumerate(shown):
        (flip, cut_short, remove)[k % 3](file)
    for file in (copy / "results").glob("*/*/stage.yaml"):
        cut_short(file)
    snakemake(copy, study=TINY)
    same(copy, first)


def test_two_calls_on_one_study_the_second_says_who_the_first_is(tmp_path, first):  # noqa: F811
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TINY))
    command = [*SNAKEMAKE, "--configfile", "study.yaml"]
    one = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("results/.runs/*.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    text = snakemake(tmp_path, study=TINY, status=1)
    assert re.search(r"persistem: study 'tiny' is being run by \S+-\d+ since .*; wait until it has ended", text), text
    assert "Traceback" not in text
    # a study that shares specimens which the first has still to make is refused too; one that shares nothing runs
    other = changed(TINY, "learning.C", 0.5) | {"name": "other"}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    done = subprocess.run([*command[:-1], "other.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert one.poll() is not None or (done.returncode == 1 and "study 'tiny' is being run by" in done.stderr)
    out, _ = one.communicate(timeout=600)
    assert one.returncode == 0, out[-3000:]
    same(tmp_path, first)
    done = subprocess.run([*command[:-1], "other.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and ran(done.stdout + done.stderr).keys() == {"learning", "publish", "all"}


def test_clocks_that_disagree_cost_no_dynamics_and_settle(copy, first):  # noqa: F811
    ahead = time.time() + 86400
    for name in ("T6000-rt0-s01", "T6000-rt0-s02"):
        for file in Path(copy, path("specimens", name)).parent.iterdir():
            if file.is_file():
                os.utime(file, (ahead, ahead))
    behind = time.time() - 86400
    for file in (copy / "results/diagrams").rglob("*.parquet"):
        os.utime(file, (behind, behind))
    for file in (copy / "results/tiny").rglob("*"):
        os.utime(file, (ahead, ahead))
    before = {log: log.read_text() for log in (copy / "results/logs/specimens").rglob("*.log")}
    snakemake(copy, study=TINY)
    for log, text in before.items():
        assert log.read_text() == text or not STEPS.search(log.read_text())
    assert ran(snakemake(copy, study=TINY)) == {}
    same(copy, first)


def test_a_published_table_from_the_future_does_not_stay_behind_its_study(copy):  # noqa: F811
    ahead = time.time() + 86400
    for file in (copy / "results/tiny").rglob("*"):
        os.utime(file, (ahead, ahead))
    before = (copy / "results/tiny/tables/accuracy.csv").read_text()
    snakemake(copy, study=changed(TINY, "learning.C", 100.0))
    assert (copy / "results/tiny/tables/accuracy.csv").read_text() != before


def test_a_full_disk_is_said_and_the_next_call_goes_on(tmp_path, first):  # noqa: F811
    folder, disk = tmp_path / "study", tmp_path / "study/results"
    disk.mkdir(parents=True)
    small = ["mount", "-t", "tmpfs", "-o", "size=700k,nr_inodes=4000", "tmpfs", disk]
    if os.geteuid() or subprocess.run(small, capture_output=True).returncode:
        pytest.skip("a small disk can only be made as root, where the kernel lets one mount it")
    try:
        text = snakemake(folder, study=TINY, status=1)
        assert re.search(r"persistem: .*(No space left on device|room on the disk)", text), text[-3000:]
        assert "Traceback (most recent call last)" not in re.sub(r"(?s)^.*?Error in rule", "", text)
        stages = [f for f in disk.glob("*/*/**/*") if f.is_file() and seals.read(f)]
        assert stages and all(seals.intact(f) for f in stages)
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        snakemake(folder, study=TINY)
        same(folder, first)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_soak_of_a_few_rounds():
    command = [sys.executable, ROOT / "benchmarks/soak.py", "--rounds", "8", "--seed", "7", "--longest", "12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "every result as in an undisturbed run" in done.stdout
