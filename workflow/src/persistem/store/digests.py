"""Digests identify what determines a result."""

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
from persistem.store.bounded import read_text
from persistem.store.temporary import replacing

LARGE = 1_000_000  # bytes
TICK = 2.0  # s; FAT's, the coarsest of any file system


def digest_of(stage: str, version: int, settings: dict[str, Any], inputs: list[str]) -> str:
    """Twelve hexadecimal digits over a stage's name, version, settings and the digests of its inputs."""
    identity = {"stage": stage, "version": version, "settings": settings, "inputs": inputs}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def content(path: Path) -> str:
    """SHA-256 of a file: a user's own file is known by its content, not by its path.

    Every job of a run asks for it, so the SHA-256 of a large file is kept in results/.contents/ with the file's path,
    inode, size and times. Nobody can set back the time of the inode's last change. Raises PersistemError if the file
    cannot be read.
    """
    try:
        status = path.stat()
        identity = (str(path.absolute()), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return _content(*identity)
    except OSError as error:
        raise PersistemError(f"{path}: cannot be read ({error.strerror})") from error


@cache  # a process asks often, and of a file that has changed again
def _content(place: str, ino: int, size: int, mtime_ns: int, ctime_ns: int) -> str:
    if size < LARGE or not Path(paths.RESULTS).is_dir():
        return _sha256(Path(place))
    identity = [place, ino, size, mtime_ns, ctime_ns]
    note = Path(paths.RESULTS, ".contents", hashlib.sha256(place.encode()).hexdigest()[:24] + ".json")
    with suppress(OSError, ValueError, TypeError, RecursionError, PersistemError):
        *noted, sha256 = json.loads(read_text(note))
        if noted == identity:
            return str(sha256)
    sha256 = _sha256(Path(place))
    # a file written just now can change again within one tick of the file system's clock
    if time.time() - max(mtime_ns, ctime_ns) / 1e9 > TICK:
        with suppress(OSError), replacing(note) as part:  # a read-only folder: computed again next time
            part.write_text(json.dumps([*identity, sha256]))
    return sha256


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
