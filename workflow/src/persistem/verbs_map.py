"""The verb that maps a microscopist's own micrographs.

The first line of its docstring is its help.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from persistem.errors import PersistemError

if TYPE_CHECKING:
    from persistem.model.classifier import Model
    from persistem.reading import Image


def map(
    images: list[Path],
    model: Path,
    out: Path,
    step: float,
    pixel_size: float | None,
    voltage: float | None,
    defocus: float | None,
    jobs: int,
) -> None:
    """say where on micrographs which state is: a map, an overlay and a table of regions for each"""
    from persistem.model import bundle
    from persistem.reading import read

    trained = bundle.load(model)
    # what a file is, is said once, not for each of its frames
    failures: dict[str, None] = {}
    warned: set[str] = set()
    named = names(images)
    for path, name in named.items():
        try:
            frames = read(path, pixel_size=pixel_size, voltage=voltage, defocus=defocus)
        except (PersistemError, OSError) as error:
            failures[_sentence(path, error)] = None
            continue
        for image in frames:
            folder = name if image.frame is None else _free(f"{name}-frame-{image.frame}", named.values())
            try:
                _map(image, trained, out / folder, step, jobs, warned)
            except (PersistemError, OSError) as error:
                failures[_sentence(path, error)] = None
    if failures:
        raise PersistemError("\npersistem: ".join(failures))


def names(images: list[Path]) -> dict[Path, str]:
    """A folder's name for each image: its stem, numbered where another image has it; an image listed twice counts once.

    Names that differ only in upper and lower case are the same to some file systems, so they are numbered too.
    """
    found: dict[Path, str] = {}
    known = set()
    for path in images:
        if path.resolve() not in known:
            known.add(path.resolve())
            found[path] = _free(path.stem, found.values())
    return found


def _free(name: str, taken: Collection[str]) -> str:
    """The name, or with the first number from 2 on that makes it another than those taken."""
    lower = {other.lower() for other in taken}
    number, free = 1, name
    while free.lower() in lower:
        number += 1
        free = f"{name}-{number}"
    return free


def _map(image: Image, model: Model, out: Path, step: float, jobs: int, warned: set[str]) -> None:
    """Map one image into one folder; new warnings on standard error, one line of what was found on standard output."""
    from persistem.maps import map_image, write
    from persistem.maps.files import refuse_foreign
    from persistem.maps.mapping import readable

    refuse_foreign(out)
    with _progress(out.name) as progress:
        found = map_image(image, model, step, jobs, progress)
    for warning in found.facts["warnings"]:
        if warning not in warned:
            warned.add(warning)
            print(f"persistem: warning: {warning}", file=sys.stderr, flush=True)
    write(found, image, model, out)
    print(readable(f"{out}: ") + ", ".join(f"{what} {share:.0%}" for what, share in found.shares.items()), flush=True)


def _sentence(path: Path, error: PersistemError | OSError) -> str:
    if isinstance(error, PersistemError):
        return str(error)
    return f"{error.filename or path}: {error.strerror or error}"


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """A line on standard error that says how much is done and how long the rest takes; none without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    start = time.monotonic()

    def show(done: int, total: int) -> None:
        left = (time.monotonic() - start) * (total - done) / done if done else 0.0
        minutes, seconds = divmod(round(left), 60)
        bar = "#" * (30 * done // total)
        rest = f"{minutes}:{seconds:02} left" if done else ""
        print(f"\r{name} [{bar:30}] {done / total:4.0%} {rest}\x1b[K", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
