"""Guards against HDF5 files on which the C library hangs or crashes.

A damaged heap or index makes it crash, or loop so that neither an exception nor a signal ends it. So the heaps of text
are checked here first, and a child process then walks through everything but the pixels.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import resource
import signal
import struct
import time
from pathlib import Path
from typing import Any

from persistem.reading.found import BadImage

#: Data sets up to this many bytes are read in the trial: metadata, not images.
SMALL = 2**20
#: Seconds that the trial may take, and bytes of the file per extra second.
SECONDS, RATE = 3.0, 2**24
HEAP = b"GCOL\x01\0\0\0"
OBJECT = 16


def check_heaps(path: Path) -> None:
    """Raise BadImage if the objects of a global heap do not fit it (HDF5 file format 3.0, III.E)."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(HEAP)
        while at >= 0:
            head = data[at + 8 : at + 16]
            end = at + (struct.unpack("<Q", head)[0] if len(head) == 8 else 0)
            if not at + OBJECT <= end <= len(data):
                raise BadImage("truncated or corrupted: a heap of the HDF5 file is longer than the file")
            here = at + OBJECT
            while here + OBJECT <= end:
                index, _, length = struct.unpack("<HHxxxxQ", data[here : here + OBJECT])
                need = OBJECT + (length + 7) // 8 * 8 if index else length
                if need < OBJECT or here + need > end:
                    raise BadImage("corrupted: the objects in a heap of the HDF5 file do not fit into it")
                here += need
            at = data.find(HEAP, at + 8)


def try_out(path: Path) -> None:
    """Walk through the file in a child process; BadImage if it hangs or dies."""
    import h5py  # here, so that the child has it

    child = os.fork()
    if child == 0:
        try:
            # the parent reports its death; the C library, Python's fault handler and core dumps stay silent
            faulthandler.disable()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            _walk(h5py, path)
        finally:
            os._exit(0)
    limit = time.monotonic() + SECONDS + path.stat().st_size / RATE
    pause = 0.001
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise BadImage("corrupted: the HDF5 library hangs on it")
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    if os.WIFSIGNALED(status):
        raise BadImage("corrupted: the HDF5 library crashes on it")


def _walk(h5py: Any, path: Path) -> None:
    def visit(_: str, item: Any) -> None:
        list(item.attrs.items())
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            if item.chunks is not None:
                item.id.get_num_chunks()
            if 0 < item.nbytes <= SMALL:
                item[()]

    with h5py.File(path, "r") as file:
        list(file.attrs.items())
        file.visititems(visit)
