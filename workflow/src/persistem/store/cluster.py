"""Cancel the Slurm jobs of a killed snakemake: the next call would submit them a second time."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import time
from pathlib import Path

#: Prefix of the jobs' names (`slurm-jobname-prefix` in profiles/slurm).
PREFIX = "persistem_"


def cancel_leftovers(folder: Path, patience: float = 60.0) -> list[str]:
    """Cancel the workflow's jobs that run or wait in ``folder``, wait until they are gone, and return their numbers.

    Call this only if no other run in the folder is alive. It returns at once without Slurm, or if Slurm does not
    answer. ``patience`` is the longest wait, s.
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
    """Numbers of the queued jobs that have the workflow's prefix and this folder."""
    command = ["squeue", "--noheader", "--user", getpass.getuser(), "--format", "%i|%j|%Z"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    lines = [line.split("|", 2) for line in answer.splitlines()]
    here = str(folder.resolve())
    return [job for job, name, where in lines if name.startswith(PREFIX) and where == here]
