"""Files that are either whole or absent."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends without an error.

    The name is this process's own, so two writers of one file cannot mix their bytes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that takes its place when the block ends without an error.

    What is there is replaced, and stays where the new folder cannot be put in its place; whether it may be replaced is
    the caller's to say.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = (path.with_name(f".{os.getpid()}.{path.name}.{kind}") for kind in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        if path.exists():
            os.replace(path, old)
        os.replace(part, path)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """As ``replaced_folder``; PersistemError where something is there, which nothing may be able to make again."""
    path = Path(path)
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise PersistemError(f"{path}: is there already; remove it, or choose another folder")
    with replaced_folder(path) as part:
        yield part


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; PersistemError where there is none."""
    try:
        found = json.loads(Path(path).read_text())
    except OSError as error:
        raise PersistemError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise PersistemError(f"{path}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise PersistemError(f"{path}: holds {type(found).__name__}, not a mapping")
    return found
