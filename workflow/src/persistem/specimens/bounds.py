"""Bounds on a user's structure before it is read: some bytes may declare, or unpack to, any number of atoms."""

from __future__ import annotations

import resource
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path

from persistem.errors import PersistemError
from persistem.specimens.lammps_files import open_text

#: Most bytes of a file, unpacked, and bytes that reading it may take; a million atoms have some 100 MB.
MOST_BYTES, MOST_MEMORY = 512 * 2**20, 4 * 2**30
#: Bytes that are unpacked at a time.
PART = 2**20


def check_size(source: Path) -> None:
    """Raise PersistemError for what is no file, unpacks to too much, or is XYZ with fewer atoms than it declares."""
    if not source.is_file():
        raise PersistemError(f"{source}: {'not a file' if source.exists() else 'no such file'}")
    try:
        with open_text(source) as text:
            packed = getattr(text, "buffer")  # noqa: B009 - a stream of text does not declare it
            size = 0
            while size <= MOST_BYTES and (part := len(packed.read(PART))):
                size += part
        if size > MOST_BYTES:
            raise PersistemError(
                f"{source}: more than {MOST_BYTES // 2**20} MiB, unpacked; no larger structure can be read"
            )
        if "xyz" in source.name.lower():
            _check_frames(source)
    except (OSError, EOFError, LZMAError, zlib.error) as error:
        raise PersistemError(f"{source}: cannot be read ({error})") from error


def _check_frames(source: Path) -> None:
    """ASE counts the lines of atoms that are not there, which takes minutes for 10⁹."""
    with open_text(source) as text:
        try:
            for first in text:
                for _ in range(1 + int(first)):
                    if not text.readline():
                        raise PersistemError(f"{source}: declares {int(first)} atoms, more than it has lines")
        except ValueError:  # another format, or what follows the atoms: for ASE to judge
            return


@contextmanager
def little_memory(source: Path) -> Iterator[None]:
    """Raise PersistemError instead of allocating more than ``MOST_MEMORY``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    known = [limit for limit in (held + MOST_MEMORY, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(known), hard))
    try:
        yield
    except MemoryError as error:
        raise PersistemError(f"{source}: it takes more than {MOST_MEMORY // 2**30} GiB to read; cut it down") from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
