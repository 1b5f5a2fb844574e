"""Digests: the identity of whatever determines a result."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError
from persistem.store import paths
from persistem.store.temporary import replacing

LARGE = 1_000_000  # bytes
TICK = 2.0  # s; that of FAT, the coarsest


def digest_of(stage: str, version: int, settings: dict[str, Any], inputs: list[str]) -> str:
    """Twelve hexadecimal digits over a stage's name, version, settings and the digests of its inputs."""
    identity = {"stage": stage, "version": version, "settings": settings, "inputs": inputs}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


@cache
def content(path: Path) -> str:
    """SHA-256 of a file: a user's own file is known by what is in it, not by where it lies.

    Of a large file it is remembered in results/.contents/, as every job of a run asks for it: by the file's place, size
    and times, of which the change of its inode's cannot be set back. Raises PersistemError when it cannot be read.
    """
    try:
        about = path.stat()
        if about.st_size < LARGE or not Path(paths.RESULTS).is_dir():
            return _sha256(path)
        place = str(path.absolute())
        known = [place, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns]
        note = Path(paths.RESULTS, ".contents", hashlib.sha256(place.encode()).hexdigest()[:24] + ".json")
        with suppress(OSError, ValueError, TypeError):
            *remembered, found = json.loads(note.read_text())
            if remembered == known:
                return str(found)
        found = _sha256(path)
    except OSError as error:
        raise PersistemError(f"{path}: cannot be read ({error.strerror})") from error
    # one that was written just now can be written again within a tick of the file system's clock
    if time.time() - max(about.st_mtime, about.st_ctime) > TICK:
        with suppress(OSError), replacing(note) as part:  # a folder that cannot be written to: it is computed again
            part.write_text(json.dumps([*known, found]))
    return found


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
