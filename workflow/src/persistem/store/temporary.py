"""Files being written have a name of their process until they take their place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from persistem.store.environment import process

#: Names of files being written; if their process is gone, they are left over.
TEMPORARY = re.compile(r"\.(?P<node>[^/]+?)-(?P<pid>\d+)\.[^/]+")


def temporary(path: Path) -> Path:
    """This process's own path beside ``path``: two writers of one file cannot mix their bytes."""
    return path.with_name(f".{process()}.{path.name}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
