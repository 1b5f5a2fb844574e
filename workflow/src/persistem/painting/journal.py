"""The journal of a folder: every operation as a line of JSON, on the disk before it counts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from persistem.errors import PersistemError
from persistem.painting.operations import Anything, operation

NAME = "strokes.jsonl"
#: Most bytes of a line; a region of a large map has the longest.
LONGEST = 8 * 2**20


class Journal:
    """A journal that is open for reading and appending; only the holder of the folder's lock may have it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            self._file = open(os.open(path, flags, 0o666), "r+b")  # noqa: SIM115 (open as long as the page is)
        except OSError as error:
            raise PersistemError(f"{path}: cannot be opened ({error.strerror})") from error
        if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            raise PersistemError(f"{path}: a device or pipe, where a journal is expected")

    def replay(self) -> Iterator[Anything]:
        """The operations so far. A last line without an end, which a kill leaves, is cut off.

        Raises PersistemError, naming the line, if one is no operation.
        """
        number, whole = 0, 0
        self._file.seek(0)
        while line := self._file.readline(LONGEST + 1):
            if not line.endswith(b"\n"):
                if len(line) > LONGEST:
                    raise PersistemError(f"{self.path}: line {number + 1} is longer than any that was written")
                break
            number, whole = number + 1, whole + len(line)
            try:
                yield operation(line)
            except PersistemError as error:
                raise PersistemError(f"{self.path}: line {number} is damaged ({error})") from error
        self._file.truncate(whole)
        self._file.seek(whole)

    def append(self, done: Anything) -> None:
        """Write an operation, and return when it is on the disk. Raises OSError; then the journal is as before."""
        end = self._file.tell()
        try:
            self._file.write(done.model_dump_json().encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            self._file.seek(end)
            self._file.truncate(end)
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()
