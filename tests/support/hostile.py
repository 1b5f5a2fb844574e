"""Inputs that nobody meant well with: how many, under which limits, and what they may touch."""

import os
import resource
import signal
import stat
import sys
from contextlib import contextmanager
from pathlib import Path

#: Inputs for each fuzzer, e.g. FUZZ=10000; a few by default. Each may take so many seconds and bytes.
COUNT = int(os.environ.get("FUZZ", "0"))
SECONDS, MEMORY = 20, 4 * 2**30
#: What has to do with files and processes, by the names that Python's audit hooks have for it.
CHANGES = {
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod", "os.chown",
    "shutil.rmtree",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect"}

#: What the audit hook, which cannot be taken away again, asks about an event; None outside of ``watched``.
_watching = None


def parts(default, each=250):
    """The seeds of a fuzzer, in parts: ``default`` of them, or as many as FUZZ says."""
    count = COUNT or default
    return [range(first, min(first + each, count)) for first in range(0, count, each)]


def is_file(path):
    """Whether there is a file itself, and no link to one."""
    return path.exists() and stat.S_ISREG(path.lstat().st_mode)


@contextmanager
def limits(seconds=SECONDS):
    """An error after so many seconds of a clock, or where all memory together is more than ``MEMORY``."""

    def late(*_):
        raise AssertionError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    memory = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, memory[1]))
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_DATA, memory)


@contextmanager
def watched(folder, writes=True):
    """An error where anything is written or removed outside a folder, or anything is started; Python's caches apart."""
    global _watching
    allowed = [str(Path(folder).resolve())] if writes else []
    found = []

    def ask(event, arguments):
        if event in STARTS:
            found.append((event, arguments[:2]))
        elif (
            event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        ) or event in CHANGES:
            note(event, arguments[0])

    def note(event, path):
        if isinstance(path, int):
            return
        name = os.path.realpath(os.path.dirname(os.fsdecode(path)))  # noqa: PTH120
        if not any(name == place or name.startswith(f"{place}/") for place in allowed) and "__pycache__" not in name:
            found.append((event, os.fsdecode(path)))

    _watching = ask
    try:
        yield
    finally:
        _watching = None
    assert not found, found[:5]


def _hook(event, arguments):
    if _watching is not None:
        _watching(event, arguments)


sys.addaudithook(_hook)
