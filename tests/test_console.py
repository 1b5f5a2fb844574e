"""The console of a run: what of Snakemake's log is shown, how long a run still takes, and what a dry run tells."""

import contextlib
import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from persistem.console import announce, paces, text
from persistem.console.progress import Progress
from persistem.console.records import Console
from persistem.console.run import Job, Run, totals
from persistem.store import paths
from snakemake_interface_logger_plugins import tests as interface
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_logger_plugin_persistem import LogHandler
from support.studies import ROOT


class TestPlain(interface.TestLogHandlerBase):
    """Without a console, as in the workflow of somebody else."""

    __test__ = True

    def get_log_handler_cls(self):
        return LogHandler

    def get_log_handler_settings(self):
        return None


class TestShown(TestPlain):
    """With one."""

    def _create_handler(self):
        handler = super()._create_handler()
        handler.console = Console(io.StringIO(), dry=False, colour=False)
        return handler

    @pytest.fixture(autouse=True)
    def understood(self, monkeypatch):
        monkeypatch.setattr(LogHandler, "handleError", lambda *_: pytest.fail("a record is not understood"))


@pytest.mark.parametrize(
    ("rules", "last"),
    [({"publish_unseen", "all"}, "Open results/mine/unseen.html"), ({"publish_overview"}, "as found"), ({"all"}, "")],
)
def test_a_run_ends_with_the_page_that_it_was_asked_for(rules, last, tmp_path):
    def named(**names):
        return SimpleNamespace(**names)

    text = tmp_path / paths.summary("mine")
    text.parent.mkdir(parents=True)
    text.write_text("as found\n")
    workflow = named(dag=named(jobs=[named(rule=named(name=rule)) for rule in rules]))
    assert announce.closing(workflow, named(study=named(name="mine")), tmp_path) == last


def run_of(folder, cores=2, said="", **jobs):
    """A run of jobs (stage, seconds, cores); numbered from 1."""
    numbered = {int(number[1:]): Job(stage, float(seconds), 2.0, of) for number, (stage, seconds, of) in jobs.items()}
    return Run(numbered, cores, str(folder / "x.log"), folder / "results/.runs/paces", lambda: said)


def chain(folder, **more):
    """A trajectory of 20 s on both cores, an exit wave of 8 s, four crops of 1 s, on two cores."""
    crops = {f"j{k}": ("crops", 1, 1) for k in range(3, 7)}
    return run_of(folder, j1=("specimens", 20, 2), j2=("exit_waves", 8, 1), **crops, **more)


# how long


def test_the_remaining_time_is_that_of_the_work_on_all_cores(tmp_path):
    progress = Progress(chain(tmp_path), {}, begun=0.0)
    assert progress.remaining(0.0) == 20 + 4 + 2
    progress.start(1, 0.0)
    assert progress.remaining(5.0) == 21
    progress.finish(1, 20.0)
    assert progress.remaining(20.0) == 8, "the exit wave takes one core, and longer than all the rest beside it"
    assert progress.fraction() == pytest.approx(20 / 26)


def test_a_slower_machine_is_noticed_at_once_and_by_stage(tmp_path):
    progress = Progress(chain(tmp_path), {}, begun=0.0)
    progress.start(1, 0.0)
    progress.finish(1, 40.0)
    assert progress.remaining(40.0) == 16, "what has not begun takes twice as long, as what is done did"
    progress.start(3, 40.0)
    progress.finish(3, 41.0)
    assert progress.paces() == {"specimens": 2.0, "crops": 1.0}
    # 41 s for 21 s expected
    assert progress.remaining(41.0) == pytest.approx(8 * 41 / 21)


def test_earlier_runs_teach(tmp_path):
    progress = Progress(chain(tmp_path), {"specimens": 0.5, "crops": 3.0}, begun=0.0)
    assert progress.remaining(0.0) == 10 + 4 + 6


def test_jobs_that_fail_or_take_longer_than_expected_leave_no_less_than_nothing(tmp_path):
    progress = Progress(run_of(tmp_path, j1=("crops", 1, 1)), {}, begun=0.0)
    progress.start(1, 0.0)
    assert progress.remaining(100.0) == 0.0 and progress.stages() == ["crops"]
    progress.fail(1)
    assert progress.remaining(100.0) == 1.0 and not progress.done and not progress.paces()


def test_on_a_cluster_the_time_follows_from_what_is_done(tmp_path):
    progress = Progress(chain(tmp_path)._replace(cores=None), {}, begun=0.0)
    assert progress.remaining(60.0) is None
    progress.start(1, 0.0)
    progress.finish(1, 300.0)
    assert progress.remaining(300.0) == pytest.approx(300 * 12 / 40), "of 52 s on one core each, 40 are done"


def test_paces_are_kept_and_a_broken_file_teaches_nothing(tmp_path):
    path = tmp_path / "results/.runs/paces"
    paces.learn(path, {"crops": 2.0, "specimens": 0.9})
    paces.learn(path, {"crops": 3.0})
    assert paces.read(path) == {"crops": 3.0, "specimens": 0.9}
    for broken in ("", "[1]", '{"crops": "fast"}', '{"crops": null}', "\x00"):
        path.write_text(broken)
        assert paces.read(path) == {}
    path.write_text(json.dumps({"crops": 0.0, "learning": 1e9, "figures": 1.5}))
    assert paces.read(path) == {"figures": 1.5}


def test_the_table_of_a_dry_run_is_in_the_pipelines_order(tmp_path):
    run = chain(tmp_path, j9=("publishing", 1, 1))
    lines = text.table(totals(run, {"specimens": 3.5}), run.cores).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["specimens", "exit_waves", "crops", "publishing", "total"]
    assert lines[1].split() == ["specimens", "1", "1:10", "2", "MB"]
    assert lines[-2].split() == ["total", "7", "1:16", "14", "MB"]
    assert "on 2 cores" in lines[-1]


# what is shown


def record(event=None, msg="", level=logging.INFO, **more):
    made = logging.makeLogRecord({"msg": msg, "levelno": level, "created": more.pop("at", 100.0), **more})
    if event:
        made.event = event
    return made


def start(job, at, **wildcards):
    return record(LogEvent.JOB_INFO, jobid=job, wildcards={"digest": "0123456789ab", **wildcards}, at=at)


def shown(run, *records, dry=False):
    """What a console shows of a run and some records."""
    stream = io.StringIO()
    console = Console(stream, dry=dry, colour=False)
    for each in (record(LogEvent.WORKFLOW_STARTED), record(LogEvent.RUN_INFO, run=run), *records):
        console.emit(each)
    console.close()
    return stream.getvalue()


def failed(job, log, **more):
    return record(
        LogEvent.JOB_ERROR, level=logging.ERROR, jobid=job, rule_name="crops", rule_msg=None, log=[str(log)],
        **{"indent": False} | more,
    )  # fmt: skip


def test_a_finished_run_is_two_things_its_time_and_what_the_study_says(tmp_path):
    run = run_of(tmp_path, said="accuracy 0.7", j1=("crops", 1, 1), j2=("crops", 1, 1))
    said = shown(
        run,
        *(start(k, 100.0 + k) for k in (1, 2)),
        record(msg="Select jobs to execute..."),
        *(record(LogEvent.JOB_FINISHED, job_id=k, at=180.0 + k) for k in (1, 2)),
    )
    assert said == f"2 jobs in 1:22 on 2 cores; log: {tmp_path}/x.log\naccuracy 0.7\n"
    assert paces.read(run.paces) == {"crops": 80.0}


def test_a_failed_job_is_its_name_its_reason_and_what_to_do(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("Loop time of 1\npersistem: warning: odd\npersistem: a.tif: is empty\nAbort(1) on node 0\n")
    run = run_of(tmp_path, said="accuracy 0.7", j1=("crops", 1, 1), j2=("crops", 1, 1))
    rest = [
        start(1, 100.0, specimen="T6000-rt1-s01", defocus="df+000"),
        record(LogEvent.ERROR, "RuleException:\nCalledProcessError in file \"crops.smk\", line 21:\n…", logging.ERROR),
        failed(1, log),
        record(msg="Exiting because a job execution failed. Look above for error messages", level=logging.ERROR),
        record(LogEvent.ERROR, "WorkflowError:\nAt least one job did not complete successfully.", logging.ERROR),
    ]  # fmt: skip
    lines = shown(run, *rest).splitlines()
    assert lines == [
        "Failed: crops T6000-rt1-s01 df+000",
        "  persistem: a.tif: is empty",
        f"  log: {log}",
        f"1 job failed, 0 of 2 done in 0:00; log: {tmp_path}/x.log",
        f"Once the cause is gone, {text.GO_ON}.",
    ]
    # what failed in its first try and is done in its second has not failed
    again = shown(
        run, *rest[:3], record(msg="Trying to restart job 1."), rest[0], record(LogEvent.JOB_FINISHED, job_id=1)
    )
    assert "it is tried again" in again and "job failed" not in again


def test_a_log_without_a_sentence_of_ours_ends_with_its_last_lines(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("\n".join(f"line {k}" for k in range(20)))
    assert text.last_lines(str(log)) == [f"line {k}" for k in range(15, 20)]
    assert text.last_lines(str(tmp_path / "none")) == []


def test_an_empty_log_on_a_full_disk_says_that_it_is_full(tmp_path):
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path]).returncode:
        pytest.skip("a small disk can only be made as root, where the kernel lets one mount it")
    try:
        log = tmp_path / "a.log"
        log.touch()
        assert text.last_lines(str(log)) == []
        (tmp_path / "fills").write_bytes(bytes(shutil.disk_usage(tmp_path).free))
        (said,) = text.last_lines(str(log))
        assert said == f"persistem: No space left on the disk that holds {tmp_path}."
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_of_a_group_those_that_failed_are_shown(tmp_path):
    (tmp_path / "good.log").write_text("fine\n")
    (tmp_path / "bad.log").write_text("persistem: a.tif: is empty\n")
    info = [{"rule_name": "micrograph"}, {"rule_name": "crops"}]
    said = shown(
        run_of(tmp_path, j1=("crops", 1, 1)),
        record(LogEvent.GROUP_ERROR, level=logging.ERROR, groupid="g", aux_logs=[], job_error_info=info),
        failed(1, tmp_path / "good.log", indent=True),
        failed(2, tmp_path / "bad.log", indent=True),
    )
    assert "Failed: a group of micrograph, crops" in said
    assert said.count("is empty") == 1 and "good.log" not in said


def test_an_interrupted_run_says_that_it_goes_on_and_nothing_of_the_jobs_that_were_ended(tmp_path):
    said = shown(
        run_of(tmp_path, j1=("crops", 1, 1)),
        start(1, 100.0),
        record(msg="Terminating processes on user request, this might take some time."),
        failed(1, tmp_path / "job.log"),
        record(LogEvent.ERROR, "Cancelling snakemake on user request.", logging.ERROR),
    )
    assert said.splitlines() == [
        f"Stopped; {text.GO_ON}.",
        f"0 of 1 job done in 0:00; log: {tmp_path}/x.log",
    ]


@pytest.mark.parametrize(
    ("msg", "said"),
    [
        ("MissingInputException in rule a:\nMissing input files: b", "MissingInputException in rule a:\nMissing input"),
        ("Traceback (most recent call last):\n  File x\nOSError: [Errno 5] Input/output error", "OSError: [Errno 5]"),
        (
            "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device",
            "No space left on the disk",
        ),
        ("Failed to solve scheduling problem", "Failed to solve"),
    ],
)
def test_what_snakemake_complains_of_is_shown_once_and_without_a_traceback(tmp_path, msg, said):
    complaint = record(LogEvent.ERROR, msg, logging.ERROR)
    shown_ = shown(run_of(tmp_path, j1=("crops", 1, 1)), complaint, complaint)
    assert shown_.startswith(said) and shown_.count(said) == 1 and "Traceback" not in shown_


def test_nothing_to_be_done_ends_with_what_the_study_says(tmp_path):
    stream = io.StringIO()
    console = Console(stream, dry=False, colour=False)
    console.emit(record(msg="Unlocked working directory."))
    console.emit(record(LogEvent.WORKFLOW_STARTED))
    console.emit(record(msg="Nothing to be done (…).", run=run_of(tmp_path, said="accuracy 0.7")))
    console.close()
    first, second, third = stream.getvalue().splitlines()
    assert (first, third) == ("Unlocked working directory.", "accuracy 0.7")
    assert second.startswith("Nothing to be done")


def test_without_a_terminal_a_line_is_written_now_and_then(tmp_path, monkeypatch):
    clock = iter(range(1000, 100_000, 6))
    monkeypatch.setattr(time, "time", lambda: next(clock))
    jobs = {f"j{k}": ("crops", 1, 1) for k in range(1, 1001)}
    finished = [each for k in range(1, 1001) for each in (start(k, 1000.0), record(LogEvent.JOB_FINISHED, job_id=k))]
    lines = shown(run_of(tmp_path, **jobs), *finished).splitlines()
    assert 15 <= len(lines) <= 21
    assert re.fullmatch(r"[\d:]+  \d+ of 1,000 jobs, about [\d:]+ left", lines[0]), lines[0]


def test_on_a_terminal_a_bar_stands_below_what_is_said_and_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream:
        console = Console(stream, dry=False, colour=True)
        console.emit(record(LogEvent.RUN_INFO, run=run_of(tmp_path, j1=("crops", 9, 1), j2=("crops", 9, 1))))
        console.emit(start(1, time.time()))
        console.emit(record(msg="odd", level=logging.WARNING))
        console.emit(record(LogEvent.JOB_FINISHED, job_id=1))
        console.close()
    seen = b""
    with contextlib.suppress(OSError):  # the end
        while more := os.read(ours, 65536):
            seen += more
    os.close(ours)
    seen = seen.decode()
    assert "━" in seen and "0 of 2 jobs" in seen and "about 0:09 left" in seen and "odd" in seen
    after = seen.rpartition("━")[2]
    assert "\x1b[2K" in after, "the line of the bar is cleared"
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l"), "the cursor is there"


@pytest.mark.slow
def test_a_dry_run_ends_with_jobs_time_and_disk(tmp_path):
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "2", "-s", str(ROOT / "Snakefile")]
    command += ["--configfile", str(ROOT / "config/demo.yaml")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) < 20 and lines[0].split() == ["stage", "jobs", "time", "disk"]
    row = {line.split()[0]: line.split()[1:] for line in lines[1:-1]}
    assert row["specimens"][0] == "15" and row["micrographs"][0] == "14" and row["models"][0] == "3"
    minutes, seconds = map(int, row["total"][1].split(":"))
    # 3 min 30 s with the installation, 3 min without
    assert 120 < 60 * minutes + seconds < 240
    assert 30 < float(row["total"][2]) < 100


def test_jobs_that_end_add_no_timers_to_the_scheduler(monkeypatch):
    """Each time that Snakemake's scheduler looks for jobs it sets a timer, which makes it look again."""
    import threading

    from persistem.console.scheduling import one_timer_at_a_time
    from snakemake.scheduling.job_scheduler import JobScheduler

    timers, now = [], [100.0]
    original = JobScheduler._schedule_reevalutation
    original = getattr(original, "__wrapped__", original)
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", original)
    monkeypatch.setattr("persistem.console.scheduling.time.monotonic", lambda: now[0])

    class Timer:
        def __init__(self, delay, function):
            timers.append((now[0] + delay, function))

        def start(self):
            pass

    monkeypatch.setattr(threading, "Timer", Timer)
    one_timer_at_a_time()
    one_timer_at_a_time()  # a second Snakefile in the same process
    scheduler = JobScheduler.__new__(JobScheduler)
    looked = 0
    for step in range(2000):  # a job ends every tenth of a second, and after each the scheduler looks
        now[0] = 100 + step / 100
        due = [timer for timer in timers if timer[0] <= now[0]]
        timers[:] = [timer for timer in timers if timer[0] > now[0]]
        for _ in range(len(due) + (step % 10 == 0)):
            looked += 1
            scheduler._schedule_reevalutation(1)
    assert 200 + 15 <= looked <= 200 + 20  # once a job, and once a second; without the limit 2,100
    assert len(timers) == 1
