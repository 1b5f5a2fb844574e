"""What Snakemake does not tell a logger: what each job is expected to take, and how a finished run ends."""

from __future__ import annotations

import logging
import signal
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from persistem.console.records import INTERRUPTED, NOTHING, Console
from persistem.console.run import PUBLISHING, STAGE_OF_RULE, Job, Run
from persistem.plan import resources
from persistem.plan.plan import Plan
from persistem.store import paths

#: A job that copies files.
COPYING = resources.Work(1.0, 0.0)
TARGET = resources.Work(0.0, 0.0, 0.0)


def attach(workflow: Any, plan: Plan, root: Path) -> bool:
    """Show this call of Snakemake on the console, if it has our logger (`snakemake_logger_plugin_persistem`).

    Returns whether it does. ``root`` is the folder that holds results/.
    """
    output = workflow.output_settings
    handlers = [each for each in workflow.logger_manager.plugin_handlers if hasattr(each, "console")]
    if not handlers or output.verbose or output.debug_dag:
        return False
    handlers[0].console = Console(handlers[0].stream, output.dryrun, colour=not output.nocolor)
    workflow.logger_manager.logger.addFilter(partial(_add_run, workflow, plan, root))
    return True


def _add_run(workflow: Any, plan: Plan, root: Path, record: logging.LogRecord) -> bool:
    """Add a ``Run`` to the record with which Snakemake says what it is going to do.

    A filter runs in the thread that logs, which is the one that changes Snakemake's jobs.
    """
    said = str(record.msg)
    if getattr(record, "event", None) == "run_info" or said.startswith(NOTHING):
        record.run = run_of(workflow, plan, root)
    elif said.startswith(INTERRUPTED):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the process at once, without a traceback
    return True


def run_of(workflow: Any, plan: Plan, root: Path) -> Run:
    """The run that Snakemake is about to do: the jobs of its DAG, and what each is expected to take."""

    @cache
    def work(stage: str, digest: str) -> resources.Work:
        return resources.work(plan, stage, digest)

    def job_of(job: Any) -> Job:
        stage = STAGE_OF_RULE.get(job.rule.name, PUBLISHING)
        known = work(stage, job.wildcards.digest) if stage != PUBLISHING else TARGET if job.is_norun else COPYING
        return Job(stage, known.seconds, known.disk, job.threads)

    jobs = {workflow.dag.jobid(job): job_of(job) for job in workflow.dag.needrun_jobs()}
    log = next(iter(workflow.logger_manager.get_logfile()), "")
    return Run(
        jobs,
        workflow._cores if workflow.local_exec and not workflow.touch else None,
        log,
        root / paths.paces(),
        partial(closing, workflow, plan, root),
    )


def closing(workflow: Any, plan: Plan, root: Path) -> str:
    """What a study found, and which pages to open, if this call of Snakemake was asked for them."""
    name, rules = plan.study.name, {job.rule.name for job in workflow.dag.jobs}
    said = [f"Open {paths.study_file(name, paths.UNSEEN[0])}"] if "publish_unseen" in rules else []
    if "publish_overview" in rules:
        with suppress(OSError):
            said.append((root / paths.summary(name)).read_text().rstrip())
    return "\n".join(said)
