"""The process that computes for the page, one job at a time, so that painting stays smooth and a job can be stopped."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.painting.places import Grid, doubt, helpful

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Event

    from numpy.typing import NDArray

    from persistem.painting.engine import Engine, MapLike, Progress, Sizes

#: Seconds between two messages on progress; seconds after which a job that does not stop is ended with its process.
OFTEN, PATIENCE = 0.1, 3.0


class Source(NamedTuple):
    """A micrograph to read, and the sizes of all."""

    path: Path
    pixel_size: float
    grey: bool
    sizes: Sizes


class Packed(NamedTuple):
    """Labels on their way to the process: most are 0."""

    content: bytes
    shape: tuple[int, int]

    @classmethod
    def of(cls, labels: NDArray[np.uint8]) -> Packed:
        """Labels (rows, columns), deflated."""
        return cls(zlib.compress(labels.tobytes(), 1), (labels.shape[0], labels.shape[1]))

    def labels(self) -> NDArray[np.uint8]:
        """The labels (rows, columns)."""
        return np.frombuffer(zlib.decompress(self.content), np.uint8).reshape(self.shape)


class Cancelled(Exception):
    """The user has cancelled the job."""


@dataclass
class _Desk:
    """What the process has at hand: the descriptions, and the last model."""

    engine: Engine
    described: dict[Source, Any] = field(default_factory=dict)
    model: Any = None
    numbers: dict[str, int] = field(default_factory=dict)

    def describe(self, progress: Progress, source: Source) -> None:
        from persistem.reading import read

        if source not in self.described:
            image = read(source.path, pixel_size=source.pixel_size, grey=source.grey)[0]
            self.described[source] = self.engine.describe(image, source.sizes, progress)

    def train(
        self, progress: Progress, sources: list[Source], labels: list[Packed], states: dict[int, str]
    ) -> dict[str, Any]:
        for source in sources:
            self.describe(progress, source)
        described = [self.described[source] for source in sources]
        self.model = self.engine.train(described, [one.labels() for one in labels], states, progress)
        self.numbers = {name: number for number, name in states.items()}
        scores: dict[str, Any] = self.model.scores
        return scores

    def map(self, progress: Progress, source: Source, labels: Packed) -> Grid:
        if self.model is None:
            raise PersistemError("The model is gone; train again.")
        self.describe(progress, source)
        return self._grid(self.engine.map(self.model, self.described[source]), source, labels.labels())

    def _grid(self, found: MapLike, source: Source, labels: NDArray[np.uint8]) -> Grid:
        pixel_size, window = source.pixel_size, self.engine.window(source.sizes) / source.pixel_size
        probability, abstain = np.asarray(found.probability), np.asarray(found.abstain)
        step, origin = found.step / pixel_size, (found.origin[1] / pixel_size, found.origin[0] / pixel_size)
        places = helpful(doubt(probability, abstain), labels, step, origin, window)
        eight = np.rint(255 * np.clip(probability, 0, 1)).astype(np.uint8)
        return Grid(eight, abstain, tuple(self.numbers[name] for name in found.states), step, origin, places)


def _work(connection: Connection, stop: Event, engine: Engine) -> None:
    """Do jobs until the other end is closed."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the server, which closes the pipe
    desk, last = _Desk(engine), 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        if stop.is_set():
            raise Cancelled
        if time.monotonic() - last > OFTEN or done >= total:
            last = time.monotonic()
            connection.send(("progress", (done, total)))

    try:
        while True:
            kind, arguments = connection.recv()
            try:
                answer = ("done", getattr(desk, kind)(progress, *arguments))
            except Cancelled:
                answer = ("cancelled", None)
            except (PersistemError, MemoryError) as error:
                answer = ("failed", str(error) or "There is not enough memory.")
            except (EOFError, BrokenPipeError):
                raise
            except Exception as error:
                traceback.print_exc(file=sys.stderr)
                answer = ("failed", f"This did not work: {type(error).__name__}: {error}")
            connection.send(answer)
    except (EOFError, OSError):
        return  # the server is gone


@dataclass
class Job:
    """One thing to compute; ``arguments`` are made when it begins, ``then`` gets its result."""

    kind: str  # describe, train or map
    title: str
    arguments: Callable[[], tuple[Any, ...]]
    then: Callable[[Any], None] = lambda _: None


class Worker:
    """The queue of jobs and the process that does them; everything here runs in the server's event loop.

    ``tell`` is called with what the page shows of the work: None if there is none, else its title, the share that is
    done and the remaining seconds (None if not known yet), and with a sentence if a job has failed.
    """

    def __init__(self, engine: Engine, tell: Callable[[dict[str, Any] | None, str], None]) -> None:
        self._engine, self._tell = engine, tell
        self._context = multiprocessing.get_context("spawn")
        self._stop = self._context.Event()
        self._process: Any = None
        self._queue: list[Job] = []
        self._current: Job | None = None
        self._begun, self._share = 0.0, 0.0

    @property
    def state(self) -> dict[str, Any] | None:
        """What the page shows of the work."""
        if self._current is None:
            return None
        took = time.monotonic() - self._begun
        left = took * (1 - self._share) / self._share if self._share else None
        return {"kind": self._current.kind, "title": self._current.title, "share": self._share, "remaining": left}

    def add(self, *jobs: Job) -> None:
        """Append jobs to the queue, without those that wait in it already."""
        waiting = {job.title for job in [*self._queue, self._current] if job}
        self._queue += [job for job in jobs if job.title not in waiting]
        self._next()

    def replace(self, *jobs: Job) -> None:
        """Append jobs in place of those that train or map, also of the one that runs; descriptions go on."""
        self._queue = [job for job in self._queue if job.kind == "describe"] + list(jobs)
        if self._current and self._current.kind != "describe":
            self._halt()
        self._next()

    def cancel(self) -> None:
        """Drop all jobs, also the one that runs."""
        self._queue.clear()
        if self._current:
            self._halt()

    def _halt(self) -> None:
        """Ask the running job to stop; end its process if it does not."""
        job = self._current
        self._stop.set()

        def insist() -> None:
            if self._current is job and self._process:
                self._process.kill()  # noticed as the end of its pipe

        asyncio.get_running_loop().call_later(PATIENCE, insist)

    def _next(self) -> None:
        while self._current is None and self._queue:
            job = self._queue.pop(0)
            try:
                arguments = job.arguments()
            except PersistemError as error:
                self._queue.clear()
                self._tell(None, str(error))
                return
            self._stop.clear()
            self._current, self._begun, self._share = job, time.monotonic(), 0.0
            self._started().send((job.kind, arguments))
            self._tell(self.state, "")

    def _started(self) -> Connection:
        if self._process is None:
            self._connection, other = self._context.Pipe()
            self._process = self._context.Process(target=_work, args=(other, self._stop, self._engine))
            self._process.start()
            other.close()
            asyncio.get_running_loop().add_reader(self._connection.fileno(), self._read)
        return self._connection

    def _read(self) -> None:
        try:
            kind, content = self._connection.recv()
        except (EOFError, OSError):
            self._gone()
            return
        job = self._current
        assert job is not None
        if kind == "progress":
            done, total = content
            self._share = done / total if total else 0.0
            self._tell(self.state, "")
            return
        self._current = None
        if kind == "done":
            job.then(content)
        elif kind == "failed":
            self._queue.clear()
        self._next()
        self._tell(self.state, content if kind == "failed" else "")

    def _gone(self) -> None:
        """The process has ended: it was told to, or something has killed it."""
        job, asked = self._current, self._stop.is_set()
        self.close()
        self._current = None
        if job and not asked:
            self._queue.clear()
        self._next()
        sentence = "" if asked or job is None else f"{job.title}: ended unexpectedly; is there enough memory?"
        self._tell(self.state, sentence)

    def close(self) -> None:
        """End the process."""
        if self._process:
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            self._connection.close()
            self._process.kill()
            self._process.join()
            self._process = None
