"""The verbs that map a user's own micrographs.

The first line of a verb's docstring is its help.
"""

from __future__ import annotations

import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.store.paths import free, map_name

if TYPE_CHECKING:
    from persistem.model.classifier import Model
    from persistem.reading import Image


#: At most so many files are named at the end.
NAMED = 3
#: Columns of a terminal.
WIDTH = 80


def map(
    images: list[Path],
    model: Path,
    out: Path,
    step: float,
    pixel_size: float | None,
    voltage: float | None,
    defocus: float | None,
    force: bool,
    grey: bool,
    jobs: int,
) -> None:
    """say where on micrographs which state is: a map, a page, an overlay and a table of regions for each"""
    from persistem.model import shipped
    from persistem.reading import read

    trained = shipped.load(model)
    failures: list[str] = []
    warned: set[str] = set()
    named = names(images)
    for path, name in named.items():
        try:
            frames = read(path, pixel_size=pixel_size, voltage=voltage, defocus=defocus, grey=grey)
        except (PersistemError, OSError) as error:
            failures.append(_sentence(path, error))
            continue
        refused: dict[str, list[str]] = {}
        for image in frames:
            try:
                _map(image, trained, _folder(out, name, image, named), step, jobs, warned, force)
            except (PersistemError, OSError) as error:
                refused.setdefault(_sentence(path, error), []).append(str(image.frame))
        # a sentence that holds for all frames is printed once
        for sentence, numbers in refused.items():
            failures.append(sentence if len(numbers) == len(frames) else f"{sentence} (frame {', '.join(numbers)})")
    if failures:
        raise PersistemError("\npersistem: ".join(failures))


def inspect(
    images: list[Path],
    model: Path | None,
    pixel_size: float | None,
    voltage: float | None,
    defocus: float | None,
    force: bool,
    grey: bool,
) -> None:
    """say what is read of micrographs, from where, what is missing, and whether a model can judge them"""
    from persistem.maps.inspecting import described
    from persistem.model import shipped
    from persistem.reading import read

    trained = None if model is None else shipped.load(model)
    refused = []
    for k, path in enumerate(dict.fromkeys(images)):
        if k:
            print()
        try:
            frames = read(path, pixel_size=pixel_size, voltage=voltage, defocus=defocus, grey=grey)
        except (PersistemError, OSError) as error:
            print(_sentence(path, error), flush=True)
            refused.append(path)
            continue
        text, usable = described(frames, trained, force, option)
        print(text, flush=True)
        if not usable:
            refused.append(path)
    if refused:
        named = ", ".join(str(path) for path in refused[:NAMED]) + (", …" if len(refused) > NAMED else "")
        raise PersistemError(f"{len(refused)} of {len(set(images))} cannot be mapped as they are: {named}")


def conditions(
    images: list[Path], pixel_size: float | None, voltage: float | None, Cs: float, force: bool, grey: bool
) -> None:
    """say what micrographs tell of their own conditions: dose, detector, defocus, astigmatism"""
    from persistem.maps.conditions import conditions_of, lines
    from persistem.reading import read

    failures = []
    for path in dict.fromkeys(images):
        try:
            for image in read(path, pixel_size=pixel_size, voltage=voltage, grey=grey):
                frame = "" if image.frame is None else f", frame {image.frame}"
                said = lines(conditions_of(image, Cs, force))
                print("\n".join([f"{path}{frame}", *(f"  {line}" for line in said)]), flush=True)
        except (PersistemError, OSError) as error:
            failures.append(_sentence(path, error))
    if failures:
        raise PersistemError("\npersistem: ".join(failures))


def models(name: str | None) -> None:
    """list the models that come with the package, or show the card of one"""
    from persistem.model import shipped

    print("\n".join(shipped.listed()) if name is None else shipped.card(name).rstrip())


def explore(
    images: list[Path],
    states: int | None,
    out: Path | None,
    pixel_size: float | None,
    grey: bool,
    jobs: int,
) -> None:
    """find what looks alike on micrographs without labels: clusters of windows, where they are, how alike they are"""
    from persistem.exploring.explore import explore
    from persistem.exploring.files import PAGE, names_of, refuse, write
    from persistem.exploring.page import in_words, titled
    from persistem.maps.mapping import readable
    from persistem.reading import read

    found: list[Image] = []
    failures: list[str] = []
    for path in names(images):
        try:
            found += read(path, pixel_size=pixel_size, grey=grey)
        except (PersistemError, OSError) as error:
            failures.append(_sentence(path, error))
    if failures:
        raise PersistemError("\npersistem: ".join(failures))
    title = titled(names_of(tuple(found)))
    folder = out or Path("explored") / title.replace(" ", "-")
    refuse(tuple(found), folder)
    with progress_bar(readable(title)) as progress:
        explored = explore(found, states, jobs, progress)
    left_out = [readable(f"{image.path}: {reason}; left out") for image in found for reason in _skipped(image)]
    for warning in dict.fromkeys([*left_out, *explored.facts["warnings"]]):
        print(f"persistem: warning: {warning}", file=sys.stderr, flush=True)
    write(explored, folder)
    for line in in_words(explored.facts):
        print(textwrap.fill(line, WIDTH, subsequent_indent="  "))
    print(readable(f"Open {folder / PAGE}"), flush=True)


def map_micrograph(protocol: dict[str, Any], micrograph: Path, out: Path, model: Path, jobs: int) -> None:
    """map a micrograph of a study into a folder of its own, or each frame of it into a folder in that"""
    from persistem.maps.mapping import STEP, name_of
    from persistem.model import bundle
    from persistem.reading import read
    from persistem.store.files import new_folder
    from persistem.study import Micrograph
    from persistem.study.settings import section

    settings = {key: value for key, value in protocol.items() if key not in ("step", "bundle")}
    step = protocol.get("step", STEP)
    if not isinstance(step, int | float):
        raise PersistemError(f"--protocol: step = {step!r}: a distance in Å")
    asked = section(Micrograph, settings | {"path": str(micrograph)})
    trained = bundle.load(model)
    warned: set[str] = set()
    try:
        with new_folder(out) as folder:
            conditions = {"pixel_size": asked.pixel_size, "voltage": asked.voltage, "defocus": asked.defocus}
            for image in read(micrograph, **conditions, grey=asked.grey):
                part = folder if image.frame is None else folder / f"frame-{image.frame}"
                _map(image, trained, part, step, jobs, warned, asked.force, name_of(image))
    except PersistemError as error:
        raise PersistemError(error.worded(_key)) from error


def publish_map(source: Path, out: Path) -> None:
    """copy the folder of a map into results/<study>/maps/"""
    from persistem.publication.publish import publish_map

    publish_map(source, out)


def option(setting: str) -> str:
    """A setting as the command line calls it."""
    return "--" + setting.replace("_", "-")


def _key(setting: str) -> str:
    """A setting as a study calls it."""
    return "model.step" if setting == "step" else f"micrographs.{setting}"


def names(images: list[Path]) -> dict[Path, str]:
    """The folder name of each image: its stem; if several share that, with their folders before it, or numbered.

    An image listed twice counts once.
    """
    once = {path.resolve(): path for path in reversed(images)}
    distinct = [path for path in dict.fromkeys(images) if once[path.resolve()] == path]
    stems = Counter(map_name(path).lower() for path in distinct)
    folders: dict[Path, str] = {}
    for path in distinct:
        folders[path] = free(map_name(path, folder=stems[map_name(path).lower()] > 1), folders.values())
    return folders


def _folder(out: Path, name: str, image: Image, named: dict[Path, str]) -> Path:
    """The folder for the map of an image: the first of its names that holds no map of another file or frame."""
    from persistem.maps.files import of_another

    frame = "" if image.frame is None else f"-frame-{image.frame}"
    others = [other for path, other in named.items() if path != image.path]
    first = name if not frame else free(name + frame, named.values())
    with_parent = map_name(image.path.absolute(), folder=True) + frame
    candidates = chain([first, with_parent], (f"{with_parent}-{number}" for number in count(2)))
    return next(out / name for name in candidates if name not in others and not of_another(out / name, image))


def _map(
    image: Image,
    model: Model,
    out: Path,
    step: float,
    jobs: int,
    warned: set[str],
    force: bool,
    title: str | None = None,
) -> None:
    """Map one image into one folder; print new warnings on standard error, shares on standard output."""
    from persistem.maps import map_image, write
    from persistem.maps.files import refuse_foreign
    from persistem.maps.mapping import readable

    refuse_foreign(out)
    title = title or str(out)
    with progress_bar(readable(Path(title).name)) as progress:
        mapped = map_image(image, model, step, jobs, progress, force)
    left_out = [readable(f"{image.path}: {reason}; left out") for reason in _skipped(image)]
    for warning in (*left_out, *mapped.facts["warnings"]):
        if warning not in warned:
            warned.add(warning)
            print(f"persistem: warning: {warning}", file=sys.stderr, flush=True)
    write(mapped, image, model, out)
    shares = ", ".join(f"{readable(what)} {share:.0%}" for what, share in mapped.shares.items())
    print(readable(f"{title}: ") + shares, flush=True)


def _skipped(image: Image) -> Sequence[str]:
    """Why other frames of an image's file were left out."""
    reasons: Sequence[str] = image.facts.get("skipped", ())
    return reasons


def _sentence(path: Path, error: PersistemError | OSError) -> str:
    if isinstance(error, PersistemError):
        return error.worded(option)
    return f"{error.filename or path}: {error.strerror or error}"


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show on standard error how much is done and how long the rest takes; nothing without a terminal."""
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
