"""What the benchmarks share: children with their wall time, CPU time and peak memory, and a plain table.

This module imports little on purpose: Linux counts the memory of the process that starts a child as the child's.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
#: Of Linux' prctl: be the parent of what outlives its own.
SUBREAPER = 36


class Child(NamedTuple):
    """A finished process and all it started: seconds, the largest resident set of one (GiB), and what they said."""

    wall: float
    cpu: float
    peak: float
    text: str


def run(command: Sequence[str | Path], folder: Path, log: Path, threads: int | None = None) -> Child:
    """Run a command in a folder with its output in a file; end the benchmark with that output where it fails.

    The seconds of the processor are those of all that the command started, also of what outlives it, as the servers do
    of which a workflow's jobs are forks: such processes become children of this one.
    """
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    before = _children()
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    folder.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        start = time.perf_counter()
        child = subprocess.Popen(list(map(str, command)), cwd=folder, env=environment, stdout=out, stderr=out)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
    used = [usage]
    while left := _children() - before:
        used += [os.wait4(pid, 0)[2] for pid in left]
    child.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(errors="replace")
    if child.returncode:
        sys.exit(f"{text[-3000:]}\nfailed with exit status {child.returncode}: {' '.join(map(str, command))[:500]}")
    cpu = sum(each.ru_utime + each.ru_stime for each in used)
    return Child(wall, cpu, max(each.ru_maxrss for each in used) / 2**20, text)


def _children() -> set[int]:
    """The processes whose parent is this one."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """The median ratio of neighbouring runs, with the range over the pairs: a slow hour slows both of a pair."""
    pairs = [a / b for a, b in zip(above, below, strict=True)]
    return f"{median(pairs):.3f} ({min(pairs):.3f} to {max(pairs):.3f})"


def table(rows: Sequence[Sequence[object]]) -> None:
    """Print rows, the first of which are the headings; numbers to the right."""
    cells = [[f"{c:.2f}" if isinstance(c, float) else str(c) for c in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]))
    print(flush=True)


def opening(page: Path) -> float | str:
    """Seconds until a headless browser has loaded the page; what is missing where there is no browser."""
    browser = shutil.which("chromium")
    if browser is None:
        return "no chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        times = []
        for _ in range(5):
            tab = chromium.new_page()
            start = time.perf_counter()
            tab.goto(page.resolve().as_uri(), wait_until="load")
            times.append(time.perf_counter() - start)
            tab.close()
        chromium.close()
    return statistics.median(times)
