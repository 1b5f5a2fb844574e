"""Files that are either whole or absent."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError
from persistem.store import seals
from persistem.store.temporary import replacing, temporary


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that is sealed and takes its place when the block ends without an error.

    Raises OSError, naming ``path``, where it cannot be written, as on a full disk.
    """
    path = Path(path)
    with _named(path), replacing(path) as part:
        yield part
        seals.seal(part, path)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that is sealed and takes its place when the block ends without an error.

    What is there is replaced, and stays where the new folder cannot be put in its place; whether it may be replaced is
    the caller's to say. Raises OSError as ``atomic``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = (temporary(path.with_name(f"{path.name}.{kind}")) for kind in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        with _named(path):
            yield part
            seals.seal(part, path)
            _swap(part, path, old)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)


def _swap(part: Path, path: Path, old: Path) -> None:
    """Put a folder in its place, what is there, perhaps put there by another process meanwhile, out of the way."""
    while True:
        try:
            os.replace(part, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        shutil.rmtree(old, ignore_errors=True)
        with suppress(FileNotFoundError):
            os.replace(path, old)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """As ``replaced_folder``; PersistemError where something is there, which nothing may be able to make again."""
    path = Path(path)
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise PersistemError(f"{path}: is there already; remove it, or choose another folder")
    with replaced_folder(path) as part:
        yield part


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the operating system that name no file, as those of a full disk, name the one that is written."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def is_file(path: str | Path) -> bool:
    """Whether there is a file of this name; a name that none can have, as one that is too long, is of none."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; PersistemError where there is none, or it is not what was written."""
    seals.check(path)
    try:
        found = json.loads(Path(path).read_text())
    except OSError as error:
        raise PersistemError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise PersistemError(f"{path}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise PersistemError(f"{path}: holds {type(found).__name__}, not a mapping")
    return found
