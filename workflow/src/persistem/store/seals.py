"""Seals: what was written, so that a file that is no longer that is noticed, set aside and made again.

The seal of ``results/<stage>/<digest>/…`` is ``results/seals/<stage>/<digest>/….json``: path, SHA-256, size, and the
versions of the packages that made it. Of a folder, as an exit wave's, it is over every file in it. Files elsewhere, as
a user's own, have none, and nothing here touches them.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError
from persistem.store import environment, paths
from persistem.store.temporary import replacing

#: Snakemake keeps the time stamp of a folder in it.
STAMP = ".snakemake_timestamp"


def sha256(path: Path) -> str:
    """SHA-256 of a file or, of a folder, over the names and hashes of all files in it."""
    path = Path(path)
    if not path.is_dir():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = [f"{name} {sha256(path / name)}\n" for name in _files(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def seal(part: Path, path: Path) -> None:
    """Write the seal of ``part``, which is about to be renamed to ``path``; nothing outside the folders of digests."""
    found = paths.sealed(path)
    if found is None:
        return
    name, out = found
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
    """The seal of a file or folder: path, sha256, bytes, versions. None where it has none, or one that is damaged."""
    found = paths.sealed(path)
    if found is None:
        return None
    try:
        about = json.loads(found[1].read_text())
        return about if {"path", "sha256", "bytes", "versions"} <= about.keys() else None
    except (OSError, ValueError, AttributeError):
        return None


def intact(path: Path) -> bool:
    """Whether a file or folder is there and is what was sealed; one that was never sealed is taken as it is."""
    found = paths.sealed(path)
    if not path.exists():
        return False
    if found is None or not found[1].exists():
        return True
    about = read(path)
    return about is not None and about["path"] == found[0] and about["sha256"] == sha256(path)


def check(path: Path) -> None:
    """Set a file, or the folder that it was written with, aside where it is not what was written.

    Raises PersistemError after renaming it to ``….damaged``; Snakemake finds it missing then, and makes it again.
    """
    path = Path(path)
    whole = next((one for one in (path, *path.parents) if _is_sealed(one)), None)
    if whole is None or not whole.exists():
        return
    if not intact(whole):
        aside = set_aside(whole)
        raise PersistemError(
            f"{whole}: is not what was written there (its checksum differs); it was renamed to {aside.name}, and the"
            " next call of snakemake makes it again"
        )
    # from a clock that is ahead: Snakemake refuses results that are older than what they are made from
    stamped = whole / STAMP if (whole / STAMP).exists() else whole
    if stamped.stat().st_mtime > time.time():
        os.utime(stamped)


def every(root: Path) -> Iterator[str]:
    """The paths, relative to ``root``, of everything that has a seal, in order; what was removed still has its own."""
    folder = root / paths.RESULTS / "seals"
    for file in sorted(folder.rglob("[!.]*.json")):
        yield str(Path(paths.RESULTS, file.relative_to(folder))).removesuffix(".json")


def set_aside(path: Path) -> Path:
    """Rename a file or folder to ``….damaged``, in place of one from before, and return where it is."""
    import shutil

    aside = path.with_name(f"{path.name}.damaged")
    if aside.is_dir() and path.exists():
        shutil.rmtree(aside, ignore_errors=True)
    with suppress(FileNotFoundError):  # another job that reads it was first
        os.replace(path, aside)
    return aside


def _is_sealed(path: Path) -> bool:
    found = paths.sealed(path)
    return found is not None and found[1].exists()


def _files(folder: Path) -> list[str]:
    """The files of a folder, relative to it and in the order of their names."""
    found = (file for file in folder.rglob("*") if file.is_file() and file.name != STAMP)
    return sorted(file.relative_to(folder).as_posix() for file in found)
