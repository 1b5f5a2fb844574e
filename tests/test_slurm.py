"""The workflow on a real Slurm: three nodes on this machine (tests/slurm_up.sh), through profiles/slurm as it is."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import yaml
from persistem.plan.plan import Plan
from persistem.store.unused import unused
from persistem.study.load import make_study
from support.studies import ROOT, TINY, changed
from support.waiting import until
from support.workflow import ran, same

pytestmark = [pytest.mark.slow, pytest.mark.slurm]

#: The tiny study of one seed and one defocus, on two ranks: 15 jobs.
STUDY = TINY | {
    "md": TINY["md"] | {"series": [{"temperatures": [6000], "seeds": [1]}], "ranks": 2},
    "imaging": TINY["imaging"] | {"defoci": [0]},
}
CLUSTER = ROOT / "tests/slurm_up.sh"
SNAKEMAKE = [
    sys.executable,
    "-m",
    "snakemake",
    "-s",
    str(ROOT / "Snakefile"),
    "--nocolor",
    "--configfile",
    "study.yaml",
]
ON_SLURM = [*SNAKEMAKE, "--profile", str(ROOT / "profiles/slurm"), "--latency-wait", "10"]
PREFIX, LOCK = "persistem-slurm-", "persistem-slurm.lock"
#: A call that hangs is killed; nothing here takes longer.
LIMIT = ["timeout", "-s", "KILL", "900"]


@pytest.fixture(scope="module")
def slurm():
    """A Slurm with accounting, and its clients' environment."""
    missing = [name for name in ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd") if not shutil.which(name)]
    if missing or os.geteuid():
        why = f"{', '.join(missing)} not installed: tests/slurm_up.sh install" if missing else "only root can start it"
        pytest.skip(f"there is no Slurm to test on ({why})")
    here = Path(tempfile.gettempdir())
    with open(here / LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # its ports and its file in /etc are those of every test on this machine
        for left in here.glob(f"{PREFIX}*"):  # by tests that were killed
            down(left)
        yield from cluster()


def cluster():
    base = Path(tempfile.mkdtemp(prefix=PREFIX))
    base.chmod(0o755)  # the database has a user of its own
    here = os.environ | {"SLURM_BASE": str(base), "SLURM_ACCOUNTING": "1", "SLURM_MEM": "4000"}
    up = subprocess.run(["bash", CLUSTER, "up"], env=here, capture_output=True, text=True, timeout=300)
    if up.returncode:
        down(base)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        yield here | {"SLURM_CONF": f"{base}/etc/slurm.conf"}
    finally:
        down(base)


def down(base):
    here = os.environ | {"SLURM_BASE": str(base)}
    subprocess.run(["bash", CLUSTER, "down"], env=here, capture_output=True, timeout=300)
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A folder in which the study has run on this machine alone, as far as its micrographs."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    call = [*LIMIT, *SNAKEMAKE, "--cores", "2", "micrographs"]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


def jobs(slurm, folder):
    """Slurm's own record of the jobs of a folder, one row for each."""
    columns = ["JobIDRaw", "JobName", "Comment", "State", "AllocCPUS", "ReqMem", "TimelimitRaw", "NodeList", "WorkDir"]
    command = ["sacct", "--allocations", "--noheader", "--parsable2", "--duplicates", f"--format={','.join(columns)}"]
    text = subprocess.run(command, env=slurm, capture_output=True, text=True, check=True, timeout=300).stdout
    rows = [dict(zip(columns, line.split("|"), strict=True)) for line in text.splitlines()]
    return [row for row in rows if row["WorkDir"] == str(folder)]


def begin(slurm, folder, *arguments):
    """Start snakemake, with its output in the file ``log``."""
    with open(folder / "log", "wb") as log:
        return subprocess.Popen([*LIMIT, *ON_SLURM, *arguments], cwd=folder, env=slurm, stdout=log, stderr=log)


def running(slurm, folder, rule, run):
    """Wait until a job of a rule runs; its number and node."""
    command = ["squeue", "--noheader", "--states", "RUNNING", "--format", "%i|%N|%k|%Z"]

    def found():
        assert run.poll() is None, (folder / "log").read_text()[-4000:]
        text = subprocess.run(command, env=slurm, capture_output=True, text=True, check=True, timeout=300).stdout
        rows = [line.split("|") for line in text.splitlines()]
        return [(number, node) for number, node, comment, where in rows if rule in comment and where == str(folder)]

    return until(found)[0]


def end(run, folder):
    run.wait()
    text = (folder / "log").read_text()
    assert run.returncode == 0, text[-4000:]
    return text


def test_a_killed_run_goes_on_through_sbatch_and_gives_the_bytes_of_a_local_run(slurm, local, study):
    run = begin(slurm, study, "micrographs")
    left, _ = running(slurm, study, "rule_imaging", run)
    subprocess.run(["pkill", "-KILL", "-P", str(run.pid)], check=True)  # below timeout
    run.wait()
    text = end(begin(slurm, study, "micrographs"), study)
    assert "Traceback" not in text
    assert re.search(r"persistem: cancelled \d Slurm jobs that a run which was killed left behind", text)
    found = jobs(slurm, study)
    state = {job["JobIDRaw"]: job["State"] for job in found}
    assert state[left].startswith("CANCELLED")
    # what was finished is not done a second time, and what takes seconds shares a job of Slurm's
    completed = [job for job in found if job["State"] == "COMPLETED"]
    assert len(completed) == len(found) - 1
    assert Counter(re.match(r"rule_([a-z]+)", job["Comment"])[1] for job in completed) == {
        "heating": 1, "rt": 1, "imaging": 1,
    }  # fmt: skip
    for job in found:
        assert job["JobName"].startswith("persistem_") and job["AllocCPUS"] == "2"
        memory = int(job["ReqMem"].rstrip("M"))
        assert 500 <= memory <= 2000 and int(job["TimelimitRaw"]) <= 30, "a group asks for what two of its jobs need"
    log = next((study / "results/logs/specimens").rglob("T6000-rt0-s01/structure.log")).read_text()
    assert "2 MPI tasks x 1 OpenMP threads" in log
    # what the cancelled jobs were writing, under names of their own
    assert {one.what for one in unused(study, remove=True)} <= {"left by a process that is gone"}
    same(study, local)


@pytest.mark.thorough
def test_a_whole_study_runs_through_sbatch(slurm, study):
    text = end(begin(slurm, study, "--verbose"), study)
    assert "Traceback" not in text
    found = jobs(slurm, study)
    assert {job["State"] for job in found} == {"COMPLETED"}
    # 15 jobs of Snakemake's, of which all that takes seconds shares one of Slurm's for every two specimens
    assert sum(ran(text).values()) == 15
    kinds = Counter(re.match(r"rule_([a-z]+)", job["Comment"])[1] for job in found)
    assert kinds == {"heating": 1, "rt": 1, "imaging": 1, "learning": 1}
    learning = next(job for job in found if job["Comment"].startswith("rule_learning"))
    assert learning["AllocCPUS"] == "1"
    assert (study / "results/tiny/tables/accuracy.csv").is_file()


@pytest.mark.thorough
def test_a_node_that_dies_costs_a_try_and_dynamics_goes_on_where_it_was(slurm, study, tmp_path_factory):
    longer = changed(changed(STUDY, "md.steps", 3000), "md.segment_steps", 500)
    alone = tmp_path_factory.mktemp("alone")
    for folder in (study, alone):
        (folder / "study.yaml").write_text(yaml.safe_dump(longer))
    target = next(file for file in Plan(make_study(longer)).files("specimens") if "T6000-rt0-s01" in file)
    run = begin(slurm, study, target)
    job, node = running(slurm, study, "rule_heating", run)
    until(lambda: (study / target).with_name("segments").joinpath("001.restart").exists() or run.poll() is not None)
    command = ["bash", CLUSTER, "node-down", node]
    subprocess.run(command, env=slurm, check=True, capture_output=True, timeout=300)
    assert not (study / target).exists(), "the node died too late to test anything"
    try:
        # Slurm would notice by itself, after SlurmdTimeout
        fallen = ["scontrol", "update", f"nodename={node}", "state=down", "reason=died"]
        subprocess.run(fallen, env=slurm, check=True, capture_output=True, timeout=300)
        end(run, study)
    finally:
        subprocess.run(["bash", CLUSTER, "node-up", node], env=slurm, capture_output=True, timeout=300)
    found = jobs(slurm, study)
    rule = next(other["Comment"] for other in found if other["JobIDRaw"] == job)
    again = [other for other in found if other["Comment"] == rule]
    assert Counter(other["State"] for other in again) == {"NODE_FAIL": 1, "COMPLETED": 1}
    first, second = sorted(again, key=lambda other: int(other["JobIDRaw"]))
    assert int(second["TimelimitRaw"]) == 2 * int(first["TimelimitRaw"]), "a further try asks for more time"
    log = next((study / "results/logs/specimens").rglob("T6000-rt0-s01/structure.log")).read_text()
    assert re.search(r"resuming after segment \d+ of 6", log)
    done = subprocess.run([*LIMIT, *SNAKEMAKE, "--cores", "2", target], cwd=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    unused(study, remove=True)
    same(study, alone)


@pytest.mark.thorough
def test_dynamics_longer_than_the_time_limit_goes_on_where_it_was(slurm, study):
    long = STUDY | {
        "material": {"repetitions": [24, 24, 10]},
        "md": STUDY["md"] | {"steps": 2000, "segment_steps": 100},
    }
    (study / "study.yaml").write_text(yaml.safe_dump(long))
    plan = Plan(make_study(long))
    target = next(path for path in plan.files("specimens") if "T6000-rt0-s01" in path)
    end(begin(slurm, study, target, "--set-resources", "heating:runtime=1", "--retries", "9"), study)
    states = Counter(job["State"] for job in jobs(slurm, study))
    assert states["TIMEOUT"] >= 1 and states["COMPLETED"] == 1
    log = next((study / "results/logs/specimens").rglob("T6000-rt0-s01/structure.log")).read_text()
    assert re.search(r"resuming after segment \d+ of 20", log)
    assert Path(study, target).exists()
