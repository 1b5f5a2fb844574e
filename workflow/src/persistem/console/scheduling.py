"""How often Snakemake looks for jobs that it could start."""

from __future__ import annotations

import time
from typing import Any


def one_timer_at_a_time() -> None:
    """Let Snakemake's scheduler set no timer while it has one.

    It looks for jobs when one ends, and a second after each time that it looked (job_scheduler.py of Snakemake 9.27,
    for its limit of jobs a second). So each job that ends adds a timer that goes on for as long as jobs wait: a
    thousand jobs before a long one keep a core busy until that ends. A Snakemake that does otherwise is left alone.
    """
    from snakemake.scheduling.job_scheduler import JobScheduler

    name = "_schedule_reevalutation"  # spelt so
    original = getattr(JobScheduler, name, None)
    if original is None or hasattr(original, "__wrapped__"):
        return
    due: dict[int, float] = {}

    def once(scheduler: Any, delay: float) -> None:
        now = time.monotonic()
        if now >= due.get(id(scheduler), 0.0):
            due[id(scheduler)] = now + delay
            original(scheduler, delay)

    once.__wrapped__ = original  # type: ignore[attr-defined]
    setattr(JobScheduler, name, once)
