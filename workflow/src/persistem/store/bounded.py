"""Reads that end: of regular files alone, and of so many bytes at most.

A file that somebody else has sent, or put into a shared folder, may be a device or a pipe that never ends, or larger
than any memory.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from persistem.errors import PersistemError

#: Most bytes of a file of text that is read whole; JSON takes some twenty times as much memory.
MOST = 64 * 2**20


def is_regular(path: Path) -> bool:
    """Whether a path is a file itself: no link, folder, device or pipe."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):  # none there; a name that cannot be one
        return False


def read_text(path: Path, most: int = MOST, errors: str = "strict") -> str:
    """The text of a file.

    Raises PersistemError if it is a device or the like, or has more than ``most`` bytes; OSError if it cannot be read,
    and ValueError if it is not text in UTF-8.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise PersistemError(f"{path}: cannot be read (a folder, device or pipe, where a file is expected)")
        content = file.read(most + 1)
    if len(content) > most:
        raise PersistemError(f"{path}: more than the {most / 2**20:g} MiB that such a file may have")
    return content.decode(errors=errors)
