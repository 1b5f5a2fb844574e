"""Guards against HDF5 files on which the C library hangs or crashes, that reach into other files, or that never end.

A damaged heap or index makes the library crash, or loop so that neither an exception nor a signal ends it. So the heaps
of text are checked here first, and a child process then walks through everything but the pixels. It follows every link
as often as a reader could meet it: groups that hold each other are a tree without end.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import resource
import signal
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from persistem.reading.found import BadImage
from persistem.reading.pixels import IN_MEMORY, fits, unpacks

#: Data sets up to this many bytes are read in the trial: metadata, not images.
SMALL = 2**20
#: Seconds that the trial may take, and bytes of the file per extra second.
SECONDS, RATE = 5.0, 2**24
#: Most groups and data sets, one in another, and attributes; most bytes of attributes and texts together.
MOST_ENTRIES, DEEPEST, MOST_ATTRIBUTES, MOST_TEXT = 20_000, 64, 100_000, 2**26
#: Bytes that the trial may hold.
MOST_MEMORY = 3 * 2**30
#: Texts and lists that are read at a time: each may be as long as the file.
TEXTS = 64
#: Packed chunks up to this many bytes are harmless: deflate makes at most 1032 times as many of them.
HARMLESS = IN_MEMORY // 1032
HEAP = b"GCOL\x01\0\0\0"
OBJECT = 16
#: HDF5's number of the filter.
DEFLATE = 1


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


def try_out(path: Path, least: int = 0) -> None:
    """Walk through the file in a child process; BadImage for what it finds, or if it hangs or dies.

    A file of less than ``least`` bytes may unpack to as much as one of so many: labels compress well.
    """
    import h5py  # here, so that the child has it

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # the parent reports its death; the C library, Python's fault handler and core dumps stay silent
            faulthandler.disable()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            limit = MOST_MEMORY if hard == resource.RLIM_INFINITY else min(MOST_MEMORY, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            _walk(h5py, path, least)
        except BadImage as error:
            os.write(writer, str(error).encode()[:1000])
        except MemoryError:
            os.write(writer, b"its metadata unpack to more than can be held in memory")
        finally:
            os._exit(0)
    os.close(writer)
    try:
        _wait(child, SECONDS + path.stat().st_size / RATE)
        said = os.read(reader, 1000).decode(errors="replace")
    finally:
        os.close(reader)
    if said:
        raise BadImage(said)


def _wait(child: int, seconds: float) -> None:
    """Wait for the child; BadImage if it is not done in time, or dies."""
    limit = time.monotonic() + seconds
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


def _walk(h5py: Any, path: Path, least: int) -> None:
    with h5py.File(path, "r") as file:
        # without a link to another file anywhere, links by a path stay in this one: only then they are followed
        for _ in _entries(h5py, file, soft=False):
            pass
        size, declared = max(path.stat().st_size, least), 0
        _attributes(h5py, file, [0, 0])
        read = [0, 0]
        for name, item in _entries(h5py, file, soft=True):
            _attributes(h5py, item, read)
            if not isinstance(item, h5py.Dataset) or item.shape is None:
                continue
            declared += item.nbytes
            _data_set(name, item, size)
            unpacks(declared, size)
            if item.dtype.hasobject:
                _texts(item, read)
            elif 0 < item.nbytes <= SMALL:
                item[()]


def _entries(h5py: Any, file: Any, soft: bool) -> Iterator[tuple[str, Any]]:
    """Every group and data set of a file, with its path, as often as there are ways to it.

    Raises BadImage for a link to another file, and for more entries, or deeper ones, than any micrograph has.
    """
    seen, groups = 0, [("", file)]
    while groups:
        place, group = groups.pop()
        if seen + group.id.get_num_objs() > MOST_ENTRIES:
            raise BadImage(f"more than {MOST_ENTRIES} groups and data sets, or groups that hold each other")
        if place.count("/") > DEEPEST:
            raise BadImage(f"groups that are nested more than {DEEPEST} deep")
        for name in group:
            seen += 1
            kind, where = group.id.links.get_info(name.encode("utf-8", "surrogateescape")).type, f"{place}/{name}"
            if kind not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT):
                raise BadImage(f"{where} in it is a link to another file, which is not followed")
            if kind == h5py.h5l.TYPE_SOFT and (not soft or name not in group):
                continue
            item = group[name]
            if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                raise BadImage(f"its data set {where} lies in another file, which is not read")
            yield where, item
            if isinstance(item, h5py.Group):
                groups.append((where, item))


def _attributes(h5py: Any, item: Any, read: list[int]) -> None:
    """Read the attributes; ``read`` counts them, and their bytes together with those of texts."""
    count = h5py.h5a.get_num_attrs(item.id)
    read[0] += count
    if read[0] > MOST_ATTRIBUTES:
        raise BadImage(f"more than {MOST_ATTRIBUTES} attributes")
    for name in item.attrs if count else ():
        attribute = item.attrs.get_id(name)
        _add(read, attribute.get_storage_size())
        try:
            _add(read, _length(item.attrs[name]))
        except OSError as error:  # damaged, or each of its texts is so long that all together find no memory
            raise BadImage(f"its attribute {name} cannot be read") from error


def _texts(item: Any, read: list[int]) -> None:
    """Read a data set of texts or lists, a few at a time."""
    if item.ndim == 0:
        _add(read, _length(item[()]))
    for k in range(0, len(item) if item.ndim else 0, TEXTS):
        _add(read, _length(item[k : k + TEXTS]))


def _length(value: Any) -> int:
    """Bytes of a value: of a text, or of all texts and lists in an array."""
    if isinstance(value, str | bytes):
        return len(value)
    if getattr(value, "dtype", None) is None:
        return 8
    return sum(map(_length, value.ravel().tolist())) + value.nbytes if value.dtype.hasobject else int(value.nbytes)


def _add(read: list[int], count: int) -> None:
    read[1] += count
    if read[1] > MOST_TEXT:
        raise BadImage(f"its metadata unpack to more than {MOST_TEXT // 2**20} MiB")


def _data_set(name: str, item: Any, size: int) -> None:
    """Raise BadImage if a data set declares, or its chunks unpack to, more than a file of ``size`` bytes can hold."""
    if item.ndim >= 2:
        rows, columns, *_ = item.shape if item.ndim == 3 and "Image" in name else item.shape[-2:]
        fits((rows, columns), item.dtype, size, compressed=item.chunks is not None)
    if item.chunks is None:
        return
    chunk = item.dtype.itemsize
    for length in item.chunks:
        chunk *= length
    unpacks(chunk, size)
    if chunk > IN_MEMORY:
        raise BadImage(f"chunks of {chunk} bytes; up to {IN_MEMORY // 2**20} MiB can be read")
    plan = item.id.get_create_plist()
    filters = [plan.get_filter(k)[0] for k in range(plan.get_nfilters())]
    deflated = filters.count(DEFLATE)
    if deflated > 1:
        raise BadImage(f"its data set {name} is packed several times over")
    for k in range(item.id.get_num_chunks()):
        stored = item.id.get_chunk_info(k)
        if deflated and stored.size > HARMLESS and not stored.filter_mask:
            _, packed = item.id.read_direct_chunk(stored.chunk_offset)
            # beyond its checksum, and the few bytes that other filters may add
            if len(zlib.decompressobj().decompress(packed, chunk + SMALL)) > chunk + 4096:
                raise BadImage(f"a chunk of its data set {name} unpacks to more than the {chunk} bytes that it should")
