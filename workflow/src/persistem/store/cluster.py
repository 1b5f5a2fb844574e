"""Slurm's jobs that a call of snakemake left behind when it was killed: they would be submitted a second time."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import time
from pathlib import Path

#: What the names of jobs begin with (`slurm-jobname-prefix` in profiles/slurm).
PREFIX = "persistem_"


def cancel_leftovers(folder: Path, patience: float = 60.0) -> list[str]:
    """Cancel the workflow's jobs that run or wait in ``folder``, and wait until they are gone; their numbers.

    To be called where no other run in the folder is alive. Nothing, at once, on a machine without Slurm, or whose Slurm
    does not answer. ``patience`` is how long to wait, s.
    """
    if shutil.which("squeue") is None:
        return []
    jobs = _queued(folder)
    if jobs:
        subprocess.run(["scancel", *jobs], capture_output=True, check=False)
        end = time.monotonic() + patience
        while _queued(folder) and time.monotonic() < end:
            time.sleep(1)
    return jobs


def _queued(folder: Path) -> list[str]:
    """Numbers of the workflow's jobs in the queue, by their names and folder."""
    command = ["squeue", "--noheader", "--user", getpass.getuser(), "--format", "%i|%j|%Z"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    lines = [line.split("|", 2) for line in answer.splitlines()]
    here = str(folder.resolve())
    return [job for job, name, where in lines if name.startswith(PREFIX) and where == here]
