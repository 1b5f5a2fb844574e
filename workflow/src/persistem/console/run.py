"""A run as the console sees it: its jobs, and what each is expected to take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from persistem.store.stages import STAGES

#: What makes no result of a stage: copies into the study's folder, and targets.
PUBLISHING = "publishing"
STAGE_OF_RULE = {rule: stage.name for stage in STAGES for rule in stage.rules}


class Job(NamedTuple):
    """A job: its stage, the seconds and output (MB) that are expected, and the cores that it takes."""

    stage: str
    seconds: float
    disk: float
    cores: int


class Run(NamedTuple):
    """What has to be done: jobs by Snakemake's number, the full log, the file of paces.

    ``cores`` is None where jobs do not run on this machine. ``closing`` gives the lines that a finished run ends with.
    """

    jobs: dict[int, Job]
    cores: int | None
    log: str
    paces: Path
    closing: Callable[[], str]

    def share(self, job: Job) -> float:
        """The part of the run's cores that a job takes; of one core on a cluster."""
        return min(job.cores / self.cores, 1.0) if self.cores else float(job.cores)


class Total(NamedTuple):
    """The jobs of a stage: their number, the seconds that they are expected to take together, their output (MB)."""

    stage: str
    jobs: int
    seconds: float
    disk: float


def totals(run: Run, paces: dict[str, float]) -> list[Total]:
    """The totals of the stages that have jobs, in the order of the pipeline, and the sum of all."""
    stages: dict[str, list[Job]] = {name: [] for name in (*(stage.name for stage in STAGES), PUBLISHING)}
    for job in run.jobs.values():
        stages[job.stage].append(job)
    found = [
        Total(
            stage,
            len(jobs),
            paces.get(stage, 1.0) * sum(job.seconds * run.share(job) for job in jobs),
            sum(job.disk for job in jobs),
        )
        for stage, jobs in stages.items()
        if jobs
    ]
    return [
        *found,
        Total("total", len(run.jobs), sum(each.seconds for each in found), sum(each.disk for each in found)),
    ]
