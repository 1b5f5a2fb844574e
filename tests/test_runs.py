"""Two calls of snakemake in one folder, and calls that were killed."""

import subprocess
import sys

import pytest
from persistem.errors import PersistemError
from persistem.store import locks, runs

CODE = """
import sys, time
from pathlib import Path
from persistem.store import runs
study, makes, reads = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(",")
try:
    others = runs.begin(Path("."), study, makes, reads)
except Exception as error:
    sys.exit(str(error))
print("begun", sorted(run.study for run in others), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def call(study, makes, reads=""):
        run = subprocess.Popen(
            [sys.executable, "-c", CODE, study, makes, reads],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(run)
        return run, run.stdout.readline().strip()

    yield call
    for run in started:
        run.kill()
        run.communicate()


def test_runs_that_share_nothing_go_side_by_side_and_others_are_refused(start, tmp_path):
    _, said = start("one", "a,b", "x")
    assert said == "begun []"
    assert start("two", "c", "x")[1] == "begun ['one']"
    for makes, reads, shared in (("b,d", "", "b"), ("x", "", "x"), ("e", "a", "a")):
        run, said = start("three", makes, reads)
        assert said == "" and run.wait(600) == 1
        message = run.stderr.read()
        assert "study 'one' is being run by" in message or "study 'two' is being run by" in message
        assert f"(1, e.g. {shared}); wait until it has ended, or stop it" in message
        assert "Traceback" not in message
    assert start("four", "f")[1] == "begun ['one', 'two']"
    with pytest.raises(PersistemError, match="is being run"), runs.alone(tmp_path):
        pass


def test_a_run_that_was_killed_holds_nothing_and_is_forgotten(start, tmp_path):
    run, _ = start("one", "a")
    run.kill()
    run.wait()
    second, said = start("two", "a")
    assert said == "begun []"
    assert len(list(tmp_path.glob("results/.runs/*.json"))) == 1
    second.communicate("", timeout=600)
    assert not list(tmp_path.glob("results/.runs/*.json"))
    with runs.alone(tmp_path):
        pass


def test_nobody_begins_while_a_folder_is_tidied(start, tmp_path):
    with runs.alone(tmp_path):
        run = subprocess.Popen(
            [sys.executable, "-c", CODE, "one", "a", ""], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert run.stdout.readline().strip() == b"another run is starting; waiting for it"
    assert run.stdout.readline().startswith(b"begun")
    run.communicate()


def test_an_entry_that_was_half_written_is_that_of_a_dead_run(start, tmp_path):
    (tmp_path / "results/.runs").mkdir(parents=True)
    (tmp_path / "results/.runs/host-1.json").write_text('{"study": "on')
    with runs.alone(tmp_path):
        pass
    assert start("two", "a")[1] == "begun []"


def test_a_lock_is_held_until_it_is_let_go(tmp_path):
    with locks.alone(tmp_path / "lock", "waiting"):
        assert locks.taken(tmp_path / "lock") is None
    assert locks.taken(tmp_path / "lock") is not None
