"""Which calls of snakemake are alive in a results folder, and what each of them makes.

Snakemake's own locks outlive a killed process, and the first of two runs to end removes the locks of both. Here the
operating system holds the locks: a run that is gone holds none. Two runs may go side by side as long as neither makes
what the other makes or reads.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from persistem.errors import PersistemError
from persistem.store import locks, paths
from persistem.store.bounded import read_text
from persistem.store.environment import process


@dataclass(frozen=True)
class Call:
    """A call of snakemake: its study, its host and process, when it began, and what it makes and reads."""

    study: str
    who: str
    since: str
    makes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


def begin(root: Path, study: str, makes: Collection[str], reads: Collection[str]) -> list[Call]:
    """Register this process as a run until it ends; return the other live runs.

    Raises PersistemError if a live run makes or reads what this one would make, or makes what this one reads.
    """
    run = Call(study, process(), time.strftime("%Y-%m-%d %H:%M:%S"), tuple(sorted(makes)), tuple(sorted(reads)))
    with _registry(root) as others:
        for other in others:
            shared = {*run.makes} & {*other.makes, *other.reads} | {*run.reads} & {*other.makes}
            if shared:
                raise PersistemError(
                    f"study {other.study!r} is being run by {other.who} since {other.since}, and makes or reads"
                    f" files that this run would make ({len(shared)}, e.g. {min(shared)}); wait until it has ended, or"
                    " stop it"
                )
        _enter(root, run)
    return others


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let no run begin within the block; raises PersistemError if one is alive."""
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
    path = _folder(root) / f"{run.who}-{secrets.token_hex(4)}.json"
    descriptor = locks.taken(path)  # held until this process ends
    assert descriptor is not None, "a name that nobody has used"
    atexit.register(path.unlink, missing_ok=True)
    with open(descriptor, "w", closefd=False) as file:
        file.write(json.dumps(asdict(run)))


@contextmanager
def _registry(root: Path) -> Iterator[list[Call]]:
    """Yield the live runs; none can begin within the block. Entries of killed runs are removed."""
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
        entry = json.loads(read_text(path))
        return Call(entry["study"], entry["who"], entry["since"], tuple(entry["makes"]), tuple(entry["reads"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError, PersistemError):  # killed while it wrote this
        return Call("unknown", path.stem, "unknown")
