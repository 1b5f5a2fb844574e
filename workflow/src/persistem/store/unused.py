"""Find and remove what no study refers to in the results folder.

``results/<study>/digests.csv`` lists the digests that a study refers to, and for some of them the specimens. Only the
folders ``results/<stage>/<digest>/`` and their logs, benchmarks and seals are searched, and the system's temporary
folder for what killed processes left there; symbolic links are not followed.
"""

from __future__ import annotations

import csv
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from persistem.errors import PersistemError
from persistem.store import paths, runs
from persistem.store.temporary import SCRATCH, TEMPORARY, lives

DIGEST = re.compile("[0-9a-f]{12}")
#: Age, s, after which a temporary file of another node counts as left over: its process cannot be asked.
DAY = 86_400.0
FORGET = "To forget a study, delete its folder results/<study>/; what only it refers to is then listed here."

#: By stage and digest: the specimens that studies refer to, None for all.
Referred = dict[tuple[str, str], set[str] | None]


@dataclass(frozen=True)
class Unused:
    """Files and folders that no study refers to: of a digest, of a specimen in it, or left over beside them."""

    stage: str
    digest: str
    what: str
    paths: tuple[Path, ...]
    bytes: int


def unused(root: Path, remove: bool = False) -> list[Unused]:
    """What no study in ``root``/results refers to, by stage and digest; ``remove`` deletes it.

    Raises PersistemError if there is no results folder, a run is alive in it, or a study does not say what it refers
    to.
    """
    if not (root / paths.RESULTS).is_dir():
        raise PersistemError(f"{root / paths.RESULTS}: no such folder; --root is the folder that holds results/")
    with runs.alone(root):
        referred = refers(root / paths.RESULTS)
        items = [item for stage in paths.STAGES for item in _of_stage(root / paths.RESULTS, stage, referred)]
        items += _scratch()
        if remove:
            for path in (path for item in items for path in item.paths):
                _remove(path)
    return items


def refers(results: Path) -> Referred:
    """What the studies of a results folder refer to; raises PersistemError if one does not say."""
    referred: Referred = {}
    for study in sorted(path for path in results.iterdir() if path.is_dir() and path.name not in paths.STAGES):
        table = study / "digests.csv"
        if not table.exists():
            if (study / "study.yaml").exists():
                raise PersistemError(
                    f"{study}: a study that does not say what it refers to; `persistem publish FILE --root"
                    f" {results.parent}` with the study's file writes its digests.csv"
                )
            continue
        for stage, digest, specimen in _rows(table):
            known = referred.setdefault((stage, digest), set())
            if not specimen:
                referred[stage, digest] = None
            elif known is not None:
                known.add(specimen)
    return referred


def report(items: list[Unused], removed: bool) -> str:
    """Lines for people: stage, digest, what of it, size; then the total, and how to forget a study."""
    widths = [max((len(getattr(item, key)) for item in items), default=0) for key in ("stage", "digest", "what")]
    lines = [
        f"{item.stage:{widths[0]}}  {item.digest:{widths[1]}}  {item.what:{widths[2]}}  {size(item.bytes):>8}"
        for item in items
    ]
    total = size(sum(item.bytes for item in items))
    if removed:
        lines.append(f"{total} removed")
    else:
        lines.append(f"{total} that no study refers to" + ("; --remove removes them" if items else ""))
    return "\n".join([*lines, FORGET])


def size(count: int) -> str:
    """A number of bytes for people: ``1.4 GB``."""
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "kB")):
        if count >= 10**power:
            return f"{count / 10**power:.1f} {unit}"
    return f"{count} B"


def _rows(table: Path) -> list[tuple[str, str, str]]:
    try:
        with open(table, newline="") as file:
            return [(row["stage"], row["digest"], row["specimen"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise PersistemError(f"{table}: not the table of a study's digests; run the study again") from error


def _of_stage(results: Path, stage: str, referred: Referred) -> Iterator[Unused]:
    """What no study refers to in a stage, digest by digest."""
    folders = [results / stage, *(results / kind / stage for kind in paths.RECORDS)]
    digests = {path.name for folder in folders for path in _entries(folder) if DIGEST.fullmatch(path.name)}
    for digest in sorted(digests):
        present = [path for folder in folders if _is_folder(path := folder / digest)]
        if (stage, digest) in referred:
            yield from _of_digest(stage, digest, present, referred[stage, digest])
        elif present:
            yield _unused(stage, digest, "all", present)


def _unused(stage: str, digest: str, what: str, listed: list[Path]) -> Unused:
    length = sum(file.lstat().st_size for path in listed for file in _files(path))
    return Unused(stage, digest, what, tuple(listed), length)


def _of_digest(stage: str, digest: str, folders: list[Path], specimens: set[str] | None) -> Iterator[Unused]:
    """Unused parts of a digest that a study refers to: specimens that none refers to, and what was left over."""
    by_specimen: dict[str, list[Path]] = {}
    for path in (path for folder in folders for path in _entries(folder)):
        name = path.name.split(".")[0]
        if specimens is not None and name and name not in specimens and path.name.split(".json")[0] != "stage.yaml":
            by_specimen.setdefault(name, []).append(path)
    for name, listed in sorted(by_specimen.items()):
        yield _unused(stage, digest, name, listed)
    gone = {path for listed in by_specimen.values() for path in listed}
    left = [path for folder in folders for path in _left(folder) if path not in gone]
    for what, kind in (("left by a process that is gone", _is_temporary), ("damaged", _is_damaged)):
        if listed := [path for path in left if kind(path)]:
            yield _unused(stage, digest, what, listed)


def _scratch() -> list[Unused]:
    """This user's folders in the system's temporary folder whose process is gone."""
    folder = Path(tempfile.gettempdir())
    named = [(path, match) for path in _entries(folder) if (match := SCRATCH.fullmatch(path.name))]
    listed = [path for path, match in named if _is_mine(path) and _is_gone(match, path)]
    return [_unused(str(folder), "", "left by a process that is gone", listed)] if listed else []


def _left(folder: Path) -> Iterator[Path]:
    """Temporary and damaged files and folders, at any depth, but nothing inside them."""
    for path in _entries(folder):
        if _is_temporary(path) or _is_damaged(path):
            yield path
        elif _is_folder(path):
            yield from _left(path)


def _is_damaged(path: Path) -> bool:
    return path.name.endswith(".damaged")


def _is_temporary(path: Path) -> bool:
    """Whether a process that is gone was writing this path; on another node, whether the path is older than a day."""
    match = TEMPORARY.fullmatch(path.name)
    return match is not None and _is_gone(match, path)


def _is_gone(match: re.Match[str], path: Path) -> bool:
    node, pid = match["node"], int(match["pid"])
    if node == platform.node():
        return not lives(pid)
    with suppress(FileNotFoundError):
        return time.time() - path.lstat().st_mtime > DAY
    return False


def _is_mine(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.getuid()
    except FileNotFoundError:
        return False


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, sorted by name; nothing if it is a link or no folder."""
    return sorted(folder.iterdir()) if _is_folder(folder) else []


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _files(path: Path) -> Iterator[Path]:
    """A file or link itself; for a folder, all files and links in it."""
    if not _is_folder(path):
        yield path
    for inner in _entries(path):
        yield from _files(inner)


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
