"""Locks that the operating system releases when their process ends, however it ends (flock; also on NFS)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def taken(path: Path, wait: bool = False) -> int | None:
    """Lock a file, creating it if missing; return its descriptor, or None if another process holds the lock.

    ``wait`` waits until that process releases it. Closing the descriptor releases the lock; so does the process's end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # a file system without locks: there, users have to take care themselves
        pass
    return descriptor


@contextmanager
def alone(path: Path, meanwhile: str) -> Iterator[None]:
    """Hold the lock on a file within the block; print ``meanwhile`` before waiting for another process."""
    descriptor = taken(path)
    if descriptor is None:
        print(meanwhile, flush=True)
        descriptor = taken(path, wait=True)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
