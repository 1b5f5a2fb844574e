"""Seals record what was written, so that a damaged file is noticed, set aside and made again.

The seal of ``results/<stage>/<digest>/…`` is ``results/seals/<stage>/<digest>/….json``: path, SHA-256, size, and the
versions of the packages that made it. The seal of a folder, e.g. an exit wave, covers every file in it. Files
elsewhere, e.g. a user's own, have no seal, and nothing here touches them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError
from persistem.store import environment, paths
from persistem.store.bounded import is_regular, read_text
from persistem.store.temporary import replacing

#: The file in which Snakemake keeps the time stamp of a folder.
STAMP = ".snakemake_timestamp"
#: Bytes; a file as large as this is nothing that was written if nearly all of it are holes.
LARGE = 2**30


def sha256(path: Path) -> str:
    """SHA-256 of a file or, of a folder, over the names and hashes of all files in it.

    Raises PersistemError for what may never end: a device, a pipe, or a large file of holes.
    """
    path = Path(path)
    if not path.is_dir():
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PersistemError(f"{path}: a device or pipe, where a file is expected")
        if status.st_size > LARGE and status.st_blocks * 512 < status.st_size / 1000:
            raise PersistemError(f"{path}: {status.st_size} bytes, of which less than a thousandth was ever written")
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    # a link or device in it, which no result has, makes it another folder
    lines = [f"{name} {sha256(path / name) if is_regular(path / name) else 'is no file'}\n" for name in _files(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def seal(part: Path, path: Path) -> None:
    """Write the seal of ``part``, which is about to be renamed to ``path``; none outside the folders of digests."""
    sealed = paths.sealed(path)
    if sealed is None:
        return
    name, out = sealed
    names = _files(part) if part.is_dir() else [""]
    about = {
        "path": name,
        "sha256": sha256(part),
        "bytes": sum((part / file).stat().st_size for file in names),
        "versions": environment.versions(),
    }
    with replacing(out) as written:
        written.write_text(json.dumps(about) + "\n")


def read(path: Path) -> dict[str, Any] | None:
    """The seal of a file or folder: path, sha256, bytes, versions. None if there is none, or if it is damaged."""
    sealed = paths.sealed(path)
    if sealed is None:
        return None
    try:
        about = json.loads(read_text(sealed[1]))
        whole = {"path", "sha256", "bytes", "versions"} <= about.keys() and isinstance(about["versions"], dict)
        return about if whole else None
    except (OSError, ValueError, AttributeError, RecursionError, PersistemError):
        return None


def intact(path: Path) -> bool:
    """Whether a file or folder is there and matches its seal; one without a seal is taken as it is."""
    sealed = paths.sealed(path)
    if not (path.is_file() or path.is_dir()):
        return False
    if sealed is None or not sealed[1].exists():
        return True
    about = read(path)
    return about is not None and about["path"] == sealed[0] and about["sha256"] == sha256(path)


def check(path: Path) -> None:
    """Set a file, or the folder that it was written with, aside if it does not match its seal.

    Raises PersistemError after renaming it to ``….damaged``; Snakemake then finds it missing and makes it again.
    """
    path = Path(path)
    whole = next((place for place in (path, *path.parents) if _is_sealed(place)), None)
    if whole is None or not whole.exists():
        return
    if not intact(whole):
        aside = set_aside(whole)
        raise PersistemError(
            f"{whole}: is not what was written there (its checksum differs); it was renamed to {aside.name}, and the"
            " next call of snakemake makes it again"
        )
    # written by a clock that is ahead: Snakemake refuses results that are older than their sources
    stamped = whole / STAMP if (whole / STAMP).exists() else whole
    if stamped.stat().st_mtime > time.time():
        os.utime(stamped)


def every(root: Path) -> Iterator[str]:
    """Yield the path, relative to ``root``, of everything that has a seal, in order; removed files keep their seals."""
    folder = root / paths.RESULTS / "seals"
    for file in sorted(folder.rglob("[!.]*.json")):
        yield str(Path(paths.RESULTS, file.relative_to(folder))).removesuffix(".json")


def set_aside(path: Path) -> Path:
    """Rename a file or folder to ``….damaged``, replacing an earlier one, and return the new path."""
    aside = path.with_name(f"{path.name}.damaged")
    if aside.is_symlink():
        aside.unlink()
    elif aside.is_dir() and path.exists():
        shutil.rmtree(aside, ignore_errors=True)
    with suppress(FileNotFoundError):  # another job that reads it was faster
        os.replace(path, aside)
    return aside


def _is_sealed(path: Path) -> bool:
    sealed = paths.sealed(path)
    return sealed is not None and sealed[1].exists()


def _files(folder: Path) -> list[str]:
    """The files and links of a folder, relative to it and sorted by name."""
    files = (file for file in folder.rglob("*") if (file.is_symlink() or not file.is_dir()) and file.name != STAMP)
    return sorted(file.relative_to(folder).as_posix() for file in files)
