"""Which calls of snakemake are alive in a results folder, and what each of them is making.

Snakemake's own locks outlive a process that is killed, and the first of two runs to end removes those of both. These
are held by the operating system: a run that is gone holds none, and two runs may go side by side as long as neither
makes what the other makes or reads.
"""

from __future__ import annotations

import atexit
import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from persistem import locks, paths
from persistem.environment import process
from persistem.errors import PersistemError


@dataclass(frozen=True)
class Run:
    """A call of snakemake: its study, who it is (host and process), when it began, what it makes and reads."""

    study: str
    who: str
    since: str
    makes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


def begin(root: Path, study: str, makes: Collection[str], reads: Collection[str]) -> list[Run]:
    """Enter this process as a run until it ends; return the runs that ended without a word, as a killed one does.

    Raises PersistemError where a run that is alive makes, or reads, what this one would make.
    """
    run = Run(study, process(), f"{time.strftime('%Y-%m-%d %H:%M:%S')}", tuple(sorted(makes)), tuple(sorted(reads)))
    with locks.alone(_folder(root) / "guard", "another run is starting; waiting for it"):
        living, dead = _runs(root)
        for other in living:
            both = {*run.makes} & {*other.makes, *other.reads} | {*run.reads} & {*other.makes}
            if both:
                raise PersistemError(
                    f"study {other.study!r} is being run by {other.who} since {other.since}, and makes or reads files"
                    f" that this run would make ({len(both)}, as {min(both)}); wait until it has ended, or stop it"
                )
        _enter(root, run)
    return dead


def alive(root: Path) -> list[Run]:
    """The runs that are alive in the folder that holds results/."""
    if not _folder(root).is_dir():
        return []
    with locks.alone(_folder(root) / "guard", "another run is starting; waiting for it"):
        return _runs(root, forget=False)[0]


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let no run begin within the block; PersistemError where one is alive."""
    with locks.alone(_folder(root) / "guard", "another run is starting; waiting for it"):
        living, _ = _runs(root, forget=False)
        if living:
            raise PersistemError(
                f"study {living[0].study!r} is being run by {living[0].who} since {living[0].since}; wait until it has"
                " ended, or stop it"
            )
        yield


def _folder(root: Path) -> Path:
    return root / paths.RESULTS / ".runs"


def _enter(root: Path, run: Run) -> None:
    path = _folder(root) / f"{run.who}.json"
    locks.taken(path)  # held until this process ends
    atexit.register(path.unlink, missing_ok=True)
    path.write_text(json.dumps(asdict(run)))


def _runs(root: Path, forget: bool = True) -> tuple[list[Run], list[Run]]:
    """The runs that are alive, and those that are not, whose entries are removed unless told otherwise."""
    living, dead = [], []
    for path in sorted(_folder(root).glob("*.json")):
        descriptor = locks.taken(path)
        run = _read(path)
        if descriptor is None:
            living.append(run)
            continue
        os.close(descriptor)
        dead.append(run)
        if forget:
            path.unlink(missing_ok=True)
    return living, dead


def _read(path: Path) -> Run:
    try:
        found = json.loads(path.read_text())
        return Run(found["study"], found["who"], found["since"], tuple(found["makes"]), tuple(found["reads"]))
    except (OSError, ValueError, LookupError, TypeError):  # killed while it was written
        return Run("unknown", path.stem, "unknown")
