"""Faults, injected for real: one sentence says what happened, the next call completes, and the results are the same.

Kills at random moments are `benchmarks/soak.py`; a few of its rounds are the thorough test here.
"""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from persistem.store import paths, seals
from persistem.store.unused import unused
from support import workflow
from support.studies import ROOT, TINY, changed
from support.waiting import until
from support.workflow import PLAN, copied, path, ran, snakemake

pytestmark = pytest.mark.slow

SNAKEMAKE = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "--cores", "2"]
#: LAMMPS' steps that a log tells of
STEPS = re.compile(r"^Loop time of .* for (\d+) steps", re.M)


@pytest.fixture
def copy(first, tmp_path):
    """A copy of the finished study."""
    return copied(first, tmp_path / "copy")


def one_sentence(text, damaged):
    """Whether a run says of a file that it is damaged, in one sentence and without a traceback."""
    said = re.findall(r"^.*persistem: .*$", text, re.M)
    assert any(damaged in line and "is not what was written there" in line for line in said), text[-3000:]
    assert "Traceback" not in text


def same(folder, other, but=()):
    """Whether two folders hold the same results; what was set aside is not one."""
    workflow.same(folder, other, but=(".damaged", *but))


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


#: What is made again soonest.
QUICKEST = "accuracy table (CSV)"
#: Those that are damaged at once: none is made from what must be made anew for another.
TOGETHER = {
    "structure (extended XYZ)": ("T6000-rt0-s01", "structure.extxyz", "exit_wave", "exit_waves", ""),
    "restart (LAMMPS)": ("T6000-rt0-s01", "end.restart", "rt_treatment", "specimens", ""),
    "exit wave (Zarr)": ("T6000-rt1-s02", "exit_waves", "micrograph", "micrographs", "df-100"),
    "micrograph (TIFF)": ("T6000-rt0-s02", "micrographs", "crops", "crops", "df-100"),
    "crops (TIFF)": ("T6000-rt0-s02", "crops", "crop_diagrams", "diagrams", "df+000"),
    "diagrams (Parquet)": ("T6000-rt1-s02", "diagrams", "persistence_image", "persistence_images", "df+000"),
}


def no_dynamics_since(folder, damaged):
    """Whether what was dynamics was not computed again: the end of the last segment was there."""
    logs = [log for log in (folder / "results/logs/specimens").rglob("*.log")]
    later = [log for log in logs if log.stat().st_mtime > damaged.stat().st_ctime]
    return (
        later
        and all("resuming after segment 2 of 2" in log.read_text() for log in later)
        and not any(STEPS.search(log.read_text()) for log in later)
    )


@pytest.mark.thorough
def test_damaged_files_are_set_aside_said_and_made_again(copy, first):
    """Each kind at once, and every job that reads one fails with its reason on the terminal and leaves no output."""
    damaged, targets = {}, {}
    for kind, (name, made, _, stage, defocus) in TOGETHER.items():
        wave = made == "exit_waves"
        file = specimen(name, made) if "." in made else path(made, name, "" if wave else defocus)
        damaged[kind] = copy / file
        targets[kind] = path(stage, name.replace("rt0", "rt1") if stage == "specimens" else name, defocus)
    for file, how in zip(damaged.values(), itertools.cycle([flip, cut_short]), strict=False):
        how(file)
    for target in targets.values():
        remove(copy / target)
    text = snakemake(copy, "--keep-going", *targets.values(), study=TINY, status=1)
    for kind, file in damaged.items():
        one_sentence(text, str(file.relative_to(copy)))
        assert f"Failed: {TOGETHER[kind][2]} " in text
        log = (copy / paths.log(targets[kind])).read_text()
        reason = [line for line in log.splitlines() if line.startswith("persistem: ")]
        assert reason and str(file.relative_to(copy)) in reason[-1] and reason[-1] in text
        assert file.with_name(f"{file.name}.damaged").exists() and not file.exists()
        assert not (copy / targets[kind]).exists()
    assert ran(snakemake(copy, *targets.values(), study=TINY))["heating"] == 1
    assert no_dynamics_since(copy, damaged["restart (LAMMPS)"].with_name("end.restart.damaged"))
    snakemake(copy, study=TINY)
    same(copy, first)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        pytest.param(kind, how, marks=() if kind == QUICKEST else pytest.mark.thorough)
        for kind, how in zip(KINDS, itertools.cycle([flip, cut_short]), strict=False)
    ],
)
def test_a_damaged_intermediate_is_set_aside_said_and_made_again(copy, first, kind, how):
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


@pytest.mark.thorough
def test_a_damaged_part_of_the_report_is_made_again(reported, tmp_path):
    folder = copied(reported, tmp_path / "copy")
    check = folder / PLAN.report.checks["T6000-rt1-s02"]
    flip(check)
    page = folder / PLAN.report.report
    page.unlink()
    text = snakemake(folder, PLAN.report.report, study=TINY, status=1)
    one_sentence(text, str(check.relative_to(folder)))
    assert not page.exists()
    assert ran(snakemake(folder, PLAN.report.report, study=TINY)) == {"state_checks": 1, "report_page": 1}
    same(folder, reported, but=("report", "about.json", "timings.csv"))


@pytest.mark.thorough
def test_damage_of_what_the_report_is_made_of(reported, tmp_path):
    folder = copied(reported, tmp_path / "copy")
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


def test_what_is_published_is_mended_when_snakemake_starts(copy, first):
    shown = [f for f in (copy / "results/tiny").rglob("*") if f.is_file()]
    assert len(shown) >= 4
    for k, file in enumerate(shown):
        (flip, cut_short, remove)[k % 3](file)
    for file in (copy / "results").glob("*/*/stage.yaml"):
        cut_short(file)
    snakemake(copy, study=TINY)
    same(copy, first)


def processes_in(folder):
    """The processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


@pytest.mark.thorough
def test_two_calls_on_one_study_the_second_says_who_the_first_is(copy, first):
    left = [path("persistence_images", "T6000-rt1-s02", defocus) for defocus in PLAN.defoci]
    for file in (*left, path("learning")):
        (copy / file).unlink()
    logs = [copy / paths.log(file) for file in left]
    for log in logs:
        log.unlink()
    (copy / "study.yaml").write_text(yaml.safe_dump(TINY))
    # a study that shares what the first has still to make
    (copy / "other.yaml").write_text(yaml.safe_dump(changed(TINY, "learning.C", 0.5) | {"name": "other"}))
    command = [*SNAKEMAKE, "--cores", "1", "--configfile", "study.yaml"]
    with open(copy / "log", "wb") as log:
        one = subprocess.Popen(command, cwd=copy, stdout=log, stderr=log)
    try:
        until(lambda: any(log.exists() for log in logs) or one.poll() is not None)
        one.send_signal(signal.SIGSTOP)  # so that it is alive while others are asked
        assert one.poll() is None, (copy / "log").read_text()[-3000:]
        text = snakemake(copy, "--configfile", "study.yaml", status=1)
        said = r"persistem: study 'tiny' is being run by \S+-\d+ since .*; wait until it has ended"
        assert re.search(said, text) and "Traceback" not in text, text
        text = snakemake(copy, "--configfile", "other.yaml", status=1)
        assert re.search(said, text) and "Traceback" not in text, text
        one.send_signal(signal.SIGCONT)
        assert one.wait(600) == 0, (copy / "log").read_text()[-3000:]
    finally:
        one.kill()
        one.wait()
    same(copy, first)
    jobs = ran(snakemake(copy, "--configfile", "other.yaml"))
    assert jobs.keys() == {"learning", "publish", "all"}


@pytest.mark.thorough
def test_a_power_failure_costs_the_jobs_of_the_moment(copy, first):
    for stage in ("diagrams", "persistence_images", "learning"):
        shutil.rmtree(copy / "results" / stage)
    (copy / "study.yaml").write_text(yaml.safe_dump(TINY))
    command = [*SNAKEMAKE, "--configfile", "study.yaml"]
    with open(copy / "log", "wb") as log:
        run = subprocess.Popen(command, cwd=copy, stdout=log, stderr=log)

    def finished():
        return [file for file in (copy / "results/diagrams").rglob("*.parquet") if file.name[0] != "."]

    until(lambda: len(finished()) > 3 or run.poll() is not None)
    while left := processes_in(copy):
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        run.poll()
    assert run.wait() == -signal.SIGKILL, (copy / "log").read_text()[-3000:]
    left = 8 - len(finished())
    jobs = ran(snakemake(copy, study=TINY))
    # two cores: of two files at most Snakemake had not noted that they are whole
    assert left <= jobs.get("crop_diagrams", 0) <= left + 2
    assert jobs["learning"] == 1 and not {"crops", "micrograph", "heating"} & jobs.keys()
    assert {one.what for one in unused(copy, remove=True)} <= {"left by a process that is gone"}
    same(copy, first)


@pytest.mark.thorough
def test_clocks_that_disagree_cost_no_dynamics_and_settle(copy, first):
    ahead = time.time() + 86400
    for file in Path(copy, path("specimens", "T6000-rt0-s01")).parent.iterdir():
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


@pytest.mark.thorough
def test_a_published_table_from_the_future_does_not_stay_behind_its_study(copy):
    ahead = time.time() + 86400
    for file in (copy / "results/tiny").rglob("*"):
        os.utime(file, (ahead, ahead))
    before = (copy / "results/tiny/tables/accuracy.csv").read_text()
    snakemake(copy, study=changed(TINY, "learning.C", 100.0))
    assert (copy / "results/tiny/tables/accuracy.csv").read_text() != before


ROOM = 300_000


@pytest.mark.thorough
def test_a_full_disk_is_said_and_the_next_call_goes_on(tmp_path, first):
    """The disk has room for some of what is left to do: crops, and all below."""
    folder, disk = tmp_path / "study", tmp_path / "study/results"
    disk.mkdir(parents=True)
    small = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", disk]
    if os.geteuid() or subprocess.run(small, capture_output=True).returncode:
        pytest.skip("a small disk can only be made as root, where the kernel lets one mount it")
    try:
        copied(first / "results", disk)
        for stage in ("crops", "diagrams", "persistence_images", "learning"):
            shutil.rmtree(disk / stage)
        size = shutil.disk_usage(disk).used + ROOM
        subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
        text = snakemake(folder, study=TINY, status=1)
        assert re.search(r"persistem: .*(No space left on|room on the disk)", text), text[-3000:]
        assert "Traceback (most recent call last)" not in text
        stages = [f for f in disk.glob("*/*/**/*") if f.is_file() and seals.read(f)]
        assert stages and all(seals.intact(f) for f in stages)
        assert list((disk / "crops").rglob("*.tif"))
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        snakemake(folder, study=TINY)
        same(folder, first)
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.thorough
def test_a_study_that_begins_on_a_small_disk(tmp_path, first):
    folder, disk = tmp_path / "study", tmp_path / "study/results"
    disk.mkdir(parents=True)
    small = ["mount", "-t", "tmpfs", "-o", "size=700k,nr_inodes=4000", "tmpfs", disk]
    if os.geteuid() or subprocess.run(small, capture_output=True).returncode:
        pytest.skip("a small disk can only be made as root, where the kernel lets one mount it")
    try:
        text = snakemake(folder, study=TINY, status=1)
        assert re.search(r"persistem: .*(No space left on|room on the disk)", text), text[-3000:]
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        snakemake(folder, study=TINY)
        same(folder, first)
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.thorough
def test_a_soak_of_a_few_rounds():
    command = [sys.executable, ROOT / "benchmarks/soak.py", "--rounds", "8", "--seed", "7", "--longest", "12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "every result as in an undisturbed run" in done.stdout
