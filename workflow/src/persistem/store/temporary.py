"""What is being written, under a name of its process, until it takes its place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from persistem.store.environment import process

#: Names of what is being written; of a process that is gone, of what was.
TEMPORARY = re.compile(r"\.(?P<node>[^/]+?)-(?P<pid>\d+)\.[^/]+")


def temporary(path: Path) -> Path:
    """A path beside ``path`` that is this process's own, so that two writers of one file cannot mix their bytes."""
    return path.with_name(f".{process()}.{path.name}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
