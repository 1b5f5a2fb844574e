"""Files that are either whole or absent."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError
from persistem.store import seals
from persistem.store.bounded import read_text
from persistem.store.temporary import left_of, replacing, temporary


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; seal it and rename it to ``path`` if the block ends without an error.

    Raises OSError, naming ``path``, if it cannot be written, e.g. on a full disk.
    """
    path = Path(path)
    with _named(path), replacing(path) as part:
        yield part
        seals.seal(part, path)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; seal it and rename it to ``path`` if the block ends without an error.

    It replaces what is there, and what a killed process left of the same; the caller decides whether it may. What is
    there stays if the new folder cannot take its place. Raises OSError as ``atomic`` does.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = (temporary(path.with_name(f"{path.name}.{kind}")) for kind in ("part", "old"))
    part.mkdir()
    try:
        with _named(path):
            yield part
            seals.seal(part, path)
            _swap(part, path, old)
            for left in left_of(path):
                _remove(left)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        for folder in (part, old):
            _remove(folder)


def _swap(part: Path, path: Path, old: Path) -> None:
    """Rename ``part`` to ``path``; move away what is there, which another process may have put there meanwhile."""
    while True:
        try:
            os.replace(part, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        _remove(old)
        with suppress(FileNotFoundError):
            os.replace(path, old)


def _remove(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """As ``replaced_folder``, but raise PersistemError if something is there: perhaps nothing can make it again."""
    path = Path(path)
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise PersistemError(f"{path}: is there already; remove it, or choose another folder")
    with replaced_folder(path) as part:
        yield part


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file being written in errors of the operating system that name none, e.g. of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def refuse_links(files: Iterable[str | Path]) -> None:
    """Raise PersistemError if one of the files is a link: a shell that writes into it would overwrite its target."""
    for path in map(Path, files):
        if path.is_symlink():
            raise PersistemError(f"{path}: is a link, where a job of this run writes a file; remove it")


def is_file(path: str | Path) -> bool:
    """Whether there is a file of this name; False for an impossible name, e.g. one that is too long."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; raises PersistemError if there is none, or if the file is not what was written."""
    seals.check(path)
    try:
        content = json.loads(read_text(path))
    except OSError as error:
        raise PersistemError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise PersistemError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise PersistemError(f"{path}: holds {type(content).__name__}, not a mapping")
    return content
