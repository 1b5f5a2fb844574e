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

from persistem.errors import PersistemError
from persistem.store import locks, paths
from persistem.store.environment import process


@dataclass(frozen=True)
class Call:
    """A call of snakemake: its study, who it is (host and process), when it began, what it makes and reads."""

    study: str
    who: str
    since: str
    makes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


def begin(root: Path, study: str, makes: Collection[str], reads: Collection[str]) -> list[Call]:
    """Enter this process as a run until it ends; return the other runs that are alive.

    Raises PersistemError where a run that is alive makes, or reads, what this one would make.
    """
    run = Call(study, process(), time.strftime("%Y-%m-%d %H:%M:%S"), tuple(sorted(makes)), tuple(sorted(reads)))
    with _registry(root) as others:
        for other in others:
            both = {*run.makes} & {*other.makes, *other.reads} | {*run.reads} & {*other.makes}
            if both:
                raise PersistemError(
                    f"study {other.study!r} is being run by {other.who} since {other.since}, and makes or reads files"
                    f" that this run would make ({len(both)}, as {min(both)}); wait until it has ended, or stop it"
                )
        _enter(root, run)
    return others


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let no run begin within the block; PersistemError where one is alive."""
    with _registry(root) as living:
        if living:
            raise PersistemError(
                f"study {living[0].study!r} is being run by {living[0].who} since {living[0].since}; wait until it has"
                " ended, or stop it"
            )
        yield


def _folder(root: Path) -> Path:
    return root / paths.RESULTS / ".runs"


def _enter(root: Path, run: Call) -> None:
    path = _folder(root) / f"{run.who}.json"
    locks.taken(path)  # held until this process ends
    atexit.register(path.unlink, missing_ok=True)
    path.write_text(json.dumps(asdict(run)))


@contextmanager
def _registry(root: Path) -> Iterator[list[Call]]:
    """The runs that are alive; none begins within the block. Entries of runs that were killed are removed."""
    with locks.alone(_folder(root) / "guard", "another run is starting; waiting for it"):
        living = []
        for path in sorted(_folder(root).glob("*.json")):
            descriptor = locks.taken(path)
            if descriptor is None:
                living.append(_read(path))
            else:
                os.close(descriptor)
                path.unlink(missing_ok=True)
        yield living


def _read(path: Path) -> Call:
    try:
        found = json.loads(path.read_text())
        return Call(found["study"], found["who"], found["since"], tuple(found["makes"]), tuple(found["reads"]))
    except (OSError, ValueError, LookupError, TypeError):  # killed while it was written
        return Call("unknown", path.stem, "unknown")
