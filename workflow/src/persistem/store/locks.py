"""Locks that the operating system lets go of when their process ends, however it ends (flock; NFS has it too)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def taken(path: Path, wait: bool = False) -> int | None:
    """Lock a file, which is made where it is missing: its descriptor, or None where another process holds it.

    ``wait`` waits until that process lets go. Closing the descriptor, as the end of the process does, lets go.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # a file system without locks: there, one has to see to it oneself
        pass
    return descriptor


@contextmanager
def alone(path: Path, meanwhile: str) -> Iterator[None]:
    """Hold the lock on a file within the block; print ``meanwhile`` where another process has to be waited for."""
    descriptor = taken(path)
    if descriptor is None:
        print(meanwhile, flush=True)
        descriptor = taken(path, wait=True)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
