"""The words of the console."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from persistem.console.run import Total

#: What a user can do after a failure, an interruption, or an error of the operating system.
GO_ON = "the same call goes on where this one stopped"
#: So many last lines of the log of a failed job are shown.
LINES = 5
#: A sentence in a log takes a block of a disk, so many bytes or fewer.
SENTENCE = 4096
#: How our jobs say why they cannot go on.
OURS = "persistem: "
#: At most so many names of stages that run, specimens or the like.
NAMES = 2


def duration(seconds: float) -> str:
    """Minutes and seconds, ``M:SS``, or hours, ``H:MM:SS``."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(megabytes: float) -> str:
    """A size on disk, ``12 MB`` or ``1.2 GB``."""
    if megabytes >= 1000:
        return f"{megabytes / 1000:.1f} GB"
    return f"{megabytes:.0f} MB" if megabytes >= 1 else "< 1 MB"


def count(number: int, what: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def some(names: Sequence[str]) -> str:
    """The first names, and whether there are more."""
    return ", ".join(names[:NAMES]) + (", …" if len(names) > NAMES else "")


def table(parts: Sequence[Total], cores: int | None) -> str:
    """The table of a dry run: jobs, time and disk by stage."""
    head = ("stage", "jobs", "time", "disk")
    rows = [head, *((p.stage, f"{p.jobs}", duration(p.seconds), size(p.disk)) for p in parts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))])
        for name, *cells in rows
    ]
    where = f"on {count(cores, 'core')}" if cores else "of one core"
    note = f"Times and sizes are estimates; time {where}. --verbose lists every job and why it runs."
    return "\n".join([*lines, note])


def failure(rule: str, wildcards: Mapping[str, str], logs: Sequence[str], message: str = "") -> str:
    """What is known of a failed job: rule and names, the last lines of its log, and where the log is."""
    of = [value for name, value in wildcards.items() if name != "digest"]
    lines = [f"Failed: {' '.join([rule, *of])}"]
    lines += [f"  {line}" for line in message.splitlines()[:LINES] if line.strip()]
    for log in logs:
        lines += [f"  {line}" for line in last_lines(log)]
    return "\n".join([*lines, *(f"  log: {log}" for log in logs)])


def last_lines(log: str) -> list[str]:
    """The last lines of a log: the last sentence of ours, or the very last ones; of an empty one, a full disk."""
    try:
        with open(log, errors="replace") as file:
            lines = [line.rstrip() for line in file if line.strip()]
        # the sentence of a job that found no room has none in its log either
        if not lines and shutil.disk_usage(log).free < SENTENCE:
            return [f"{OURS}No space left on the disk that holds {Path(log).parent}."]
    except OSError:
        return []
    return [line for line in lines if line.startswith(OURS)][-1:] or lines[-LINES:]


def error(message: str) -> str:
    """An error of Snakemake's in the words that a user needs; of a traceback, what happened."""
    lines = [line for line in message.strip().splitlines() if line.strip()]
    if "No space left on device" in message:
        return f"No space left on the disk that holds {Path.cwd()}: make room, and {GO_ON}."
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return lines[-1]
    return "\n".join(lines)
