"""Files being written have a name of their own until they take their place; large ones of a while have a folder.

A name that others can foresee could be a link by the time that it is written to, and its target would be overwritten.
So names are random, and files are made anew or not at all.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from persistem.store.environment import process

#: Names of files being written; if their process is gone, they are left over.
TEMPORARY = re.compile(r"\.(?P<node>[^/]+?)-(?P<pid>\d+)\.[^/]+")
#: Names of folders in the system's temporary folder, likewise.
SCRATCH = re.compile(r"persistem-(?P<node>[^/]+)-(?P<pid>\d+)-\w+")


def temporary(path: Path) -> Path:
    """A path beside ``path`` that nobody can foresee: two writers of one file cannot mix their bytes."""
    return path.with_name(f".{process()}.{secrets.token_hex(4)}.{path.name}")


def left_of(path: Path) -> list[Path]:
    """Folders beside ``path`` that a process of this node, now gone, was writing to replace it, or had moved away."""
    name = re.compile(rf"\.{re.escape(platform.node())}-(\d+)\.[0-9a-f]{{8}}\.{re.escape(path.name)}\.(part|old)")
    found = [(other, match) for other in path.parent.iterdir() if (match := name.fullmatch(other.name))]
    return [other for other, match in found if not lives(int(match[1])) and other.is_dir() and not other.is_symlink()]


def lives(pid: int) -> bool:
    """Whether there is a process of this number on this node."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's process
        pass
    return True


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty temporary file beside ``path``; rename it to ``path`` if the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary(path)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder in the system's temporary folder; it is gone at the end of the block, and so after SIGTERM.

    What SIGKILL leaves of it, ``persistem unused`` finds by its name.
    """
    with _ended_by_errors(), TemporaryDirectory(prefix=f"persistem-{process()}-") as folder:
        yield Path(folder)


@contextmanager
def _ended_by_errors() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the process as SystemExit, which blocks clean up after."""
    signals = (signal.SIGTERM, signal.SIGHUP)
    if threading.current_thread() is not threading.main_thread():  # others cannot say what a signal does
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    # somebody else's handler knows better, and so does `nohup`
    default = [number for number in signals if signal.getsignal(number) is signal.SIG_DFL]
    for number in default:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in default:
            signal.signal(number, signal.SIG_DFL)
