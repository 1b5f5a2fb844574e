"""Locks that the operating system releases when their process ends, however it ends (flock; also on NFS)."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from persistem.errors import PersistemError


def taken(path: Path, wait: bool = False) -> int | None:
    """Lock a file, creating it if missing; return its descriptor, or None if another process holds the lock.

    ``wait`` waits until that process releases it. Closing the descriptor releases the lock; so does the process's end.
    Raises PersistemError if something else than a file is there, or its folder is a link: what is written to a lock,
    or removed beside it, must not be somebody's file elsewhere.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # a file system without locks: there, users have to take care themselves
        pass
    return descriptor


def _opened(path: Path) -> int:
    if path.parent.is_symlink():
        raise PersistemError(f"{path.parent}: is a link, where a folder for locks is expected; remove it")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
    else:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
            return descriptor
        os.close(descriptor)
    raise PersistemError(f"{path}: is a link, folder or device, where a file for a lock is expected; remove it")


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
