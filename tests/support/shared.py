"""What costs much is made once for all processes that test side by side."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path


def once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that ``make`` filled, in whichever process asked for it first; the others wait and get the same one."""
    base = tmp_path_factory.getbasetemp()
    # every process of pytest-xdist has a folder of its own in one that they share
    shared = base.parent if base.name.startswith("popen-") else base
    folder = shared / f"once-{name}"
    with open(shared / f"once-{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = shared / f"once-{name}.part"
            shutil.rmtree(part, ignore_errors=True)  # of a process that failed
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder
