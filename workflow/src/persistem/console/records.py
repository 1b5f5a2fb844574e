"""From the records that Snakemake logs to what a user needs to see."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, TextIO

from persistem.console import paces, text
from persistem.console.progress import Progress
from persistem.console.run import Run, totals
from persistem.console.screen import Screen

#: What Snakemake says before the record of a failed job, and after it.
BEFORE = "CalledProcessError in file"
AFTER = ("Exiting because a job execution failed.", "At least one job did not complete successfully.")
#: What it says before a run that nobody needs.
IDLE = ("Assuming unrestricted shared filesystem usage.",)
NOTHING = "Nothing to be done"
INTERRUPTED = ("Terminating processes on user request", "Cancelling snakemake on user request")
ENDING = "Will exit after finishing currently running jobs"
AGAIN = "Trying to restart job"


class Console:
    """Shows a run by the records that Snakemake logs of it.

    ``emit`` is called in a thread of Snakemake's, and ``close`` at the end, in the main one. What is to be done comes
    with a record that has a ``Run`` (``console.announce``).
    """

    def __init__(self, stream: TextIO, dry: bool, colour: bool) -> None:
        """Show runs on ``stream``; ``dry`` where nothing is going to run."""
        self.dry = dry
        self.screen = Screen(stream, colour)
        self.run: Run | None = None
        self.progress: Progress | None = None
        self.jobs: dict[int, dict[str, str]] = {}  # the wildcards of jobs that started
        self.shown: set[str] = set()
        self.under_way = self.stopped = self.complete = False
        self.failed: set[int] = set()
        self.now = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Show what a user needs to know of a record."""
        self.now = record.created
        self.run = self.run or getattr(record, "run", None)
        event = getattr(record, "event", None)
        show = getattr(self, f"_{event}", None) if event else self._message
        if show:
            show(record)
        elif record.levelno >= logging.WARNING:
            self._message(record)

    def close(self) -> None:
        """Take the bar away and say how the run ended."""
        progress = self.progress
        self.screen.stop()
        if self.run and progress and not self.dry:
            self._ended(self.run, progress)
        if self.run and self.complete:
            self.screen.show(self.run.closing())

    def _workflow_started(self, record: logging.LogRecord) -> None:
        self.under_way = True

    def _run_info(self, record: logging.LogRecord) -> None:
        if self.run is None or self.progress is not None:
            return
        earlier = paces.read(self.run.paces)
        self.progress = Progress(self.run, earlier, self.now)
        if self.dry:
            self.screen.show(text.table(totals(self.run, earlier), self.run.cores))
        else:
            self.screen.start(self.progress)

    def _job_info(self, record: Any) -> None:
        self.jobs[record.jobid] = dict(record.wildcards)
        self.failed.discard(record.jobid)  # it is tried again
        if self.progress:
            self.progress.start(record.jobid, self.now)

    def _job_finished(self, record: Any) -> None:
        if self.progress:
            self.progress.finish(record.job_id, self.now)
            self.screen.advance()

    def _job_error(self, record: Any) -> None:
        if self.progress:
            self.progress.fail(record.jobid)
        self.failed.add(record.jobid)
        if self.stopped:
            return
        # of a group, every job is reported: those that failed say so
        says = [line for log in record.log for line in text.last_lines(log)]
        if record.indent and not any(line.startswith(text.OURS) for line in says):
            return
        self.screen.show(
            text.failure(record.rule_name, self.jobs.get(record.jobid, {}), record.log, record.rule_msg or "")
        )

    def _group_error(self, record: Any) -> None:
        if not self.stopped:
            rules = list(dict.fromkeys(info["rule_name"] for info in record.job_error_info))
            self.screen.show(text.failure(f"a group of {', '.join(rules)}", {}, record.aux_logs))

    def _message(self, record: logging.LogRecord) -> None:
        said = str(record.msg)
        if said.startswith(INTERRUPTED):
            self._stop(f"Stopped; {text.GO_ON}.")
        elif said.startswith(ENDING):
            self._stop(f"Stopping after the jobs that run; {text.GO_ON}.")
        elif said.startswith(NOTHING):
            self.complete = True
            self._once("Nothing to be done: every result is there and up to date.")
        elif said.startswith(AGAIN):
            self.screen.show("  it is tried again")
        elif record.levelno >= logging.WARNING:
            # with --quiet nothing else says that a job failed
            if BEFORE not in said and not (self.failed and any(known in said for known in AFTER)):
                self._once(text.error(said))
        elif not self.under_way and said not in IDLE and said:
            self.screen.show(said)

    def _once(self, said: str) -> None:
        if said not in self.shown:
            self.shown.add(said)
            self.screen.show(said)

    def _stop(self, said: str) -> None:
        self.stopped = True
        self.screen.stop()
        self._once(said)

    def _ended(self, run: Run, progress: Progress) -> None:
        """Say what was done, and learn from it."""
        if run.cores is not None:
            paces.learn(run.paces, progress.paces())
        done, jobs = len(progress.done), len(run.jobs)
        took, log = text.duration(self.now - progress.begun), f"log: {_short(run.log)}"
        self.complete = done == jobs
        if self.complete:
            where = f" on {text.count(run.cores, 'core')}" if run.cores else ""
            self.screen.show(f"{text.count(done, 'job')} in {took}{where}; {log}")
        elif self.stopped:
            self.screen.show(f"{done:,} of {text.count(jobs, 'job')} done in {took}; {log}")
        elif self.failed:
            failed = text.count(len(self.failed), "job")
            self.screen.show(f"{failed} failed, {done:,} of {jobs:,} done in {took}; {log}")
            self.screen.show(f"Once the cause is gone, {text.GO_ON}.")


def _short(path: str) -> str:
    """A path below the working directory without it."""
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path
