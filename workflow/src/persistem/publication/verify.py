"""Check that files are what was written: in an archive, after a rerun of its study, or in a results folder.

Checksums find accidents, not forgery: whoever changes a file can change its checksum too. What is read of an archive
is confined to its folder all the same, because it may come from anybody.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from persistem.errors import PersistemError
from persistem.publication import csvw
from persistem.publication.crate import MANIFEST, SEALS
from persistem.publication.provenance import flat, stamped
from persistem.store import paths, seals
from persistem.store.bounded import is_regular, read_text
from persistem.store.files import read_json
from persistem.study.fields import Name

#: Most bytes of a shown file that is compared with what it shows.
MOST_SHOWN = 2**30
#: How many names of a long list a message says.
SAID = 5


def _inside(name: str) -> str:
    """A path that stays in its folder; raises ValueError for others."""
    if name != str(PurePosixPath(name)) or name.startswith("/") or ".." in PurePosixPath(name).parts or name == ".":
        raise ValueError("a path that leaves the archive")
    return name


Inside = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Seal(BaseModel):
    path: Inside
    sha256: Sha256
    made_with: Annotated[int, Field(ge=0)]


class _Index(BaseModel):
    """What ``seals/seals.json`` of an archive holds."""

    study: Name
    stamped: dict[Inside, Inside]
    copied: dict[Inside, Inside]
    versions: list[dict[str, str]]
    seals: list[_Seal]


def verify(folder: Path) -> str:
    """Check an unpacked archive, or a folder that holds results/; return in words what was found.

    Raises PersistemError, naming files, if one is damaged or missing, or was made again with other content.
    """
    if is_regular(folder / MANIFEST):
        return _of_archive(folder)
    if (folder / paths.RESULTS / "seals").is_dir():
        return _of_results(folder)
    raise PersistemError(
        f"{folder}: neither an unpacked archive, which has {MANIFEST}, nor a folder with results/seals"
    )


def _of_results(folder: Path) -> str:
    """Check the files of a results folder against their seals; files that were removed are only counted."""
    names = list(seals.every(folder))
    sealed = [name for name in names if paths.sealed(Path(name))]
    if not sealed:
        raise PersistemError(f"{folder}: results/seals has no seal of a result, so that nothing can be verified")
    present = [path for path in sealed if (folder / path).exists()]
    damaged = [path for path in present if not seals.intact(folder / path)]
    text = f"{folder}: {len(present) - len(damaged)} of {len(sealed)} sealed results are what was written"
    text += f"; {len(sealed) - len(present)} are not there any more" if len(present) < len(sealed) else ""
    if others := sorted({*names} - {*sealed}) + _unsealed(folder, {*sealed}):
        text += f"; not checked, as they are not sealed results: {_some(others)}"
    if damaged:
        raise PersistemError(f"{text}; damaged: {', '.join(damaged)}")
    return text


def _unsealed(folder: Path, sealed: set[str]) -> list[str]:
    """The files of stages that have no seal and lie in no folder that has one; hidden ones are locks and stamps."""
    found = []
    for stage in paths.STAGES:
        for file in sorted((folder / paths.RESULTS / stage).glob("*/**/[!.]*")):
            name = PurePosixPath(file.relative_to(folder))
            if not file.is_dir() and not any(str(place) in sealed for place in (name, *name.parents)):
                found.append(str(name))
    return found


def _some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:SAID]) + (f" and {len(names) - SAID} more" if len(names) > SAID else "")


def _of_archive(folder: Path) -> str:
    """Check the files of an archive against its checksums, and what was made again in its folder against its seals."""
    sums = _manifest(folder)
    index = _index(folder)
    bad = [name for name, sha256 in sums.items() if not _is(folder, name, sha256)]
    anew = {seal["path"] for seal in index["seals"] if _written_anew(folder, seal["path"], sums, bad)}
    made_again = [seal for seal in index["seals"] if seal["path"] in anew]
    same = 0
    damaged: list[str] = []
    varied: list[dict[str, Any]] = []
    different: list[dict[str, Any]] = []
    for seal in made_again:
        if seals.sha256(folder / seal["path"]) == seal["sha256"]:
            same += 1
        elif not seals.intact(folder / seal["path"]):
            damaged.append(seal["path"])
        else:
            (varied if varies(seal["path"]) else different).append(seal)
    showing = [name for name in bad if anew and (name in anew or _shows(folder, name, index))]
    bad = [name for name in bad if name not in showing] + damaged
    counts = [f"{len(sums) - len(bad) + len(damaged) - len(showing)} of {len(sums)} files are what was archived"]
    counts += [f"{len(showing)} show what was made again"] if showing else []
    counts += [f"{same} of {len(made_again)} results that were made again are the same bytes"] if made_again else []
    counts += [f"{len(varied)} differ as they do each time, e.g. {varied[0]['path']}"] if varied else []
    if rest := len([seal for seal in index["seals"] if not (folder / seal["path"]).exists()]):
        counts.append(f"{rest} results are not there to compare")
    if others := list(_unlisted(folder, {*sums, MANIFEST}, {seal["path"] for seal in index["seals"]})):
        counts.append(f"not in {MANIFEST}, so not checked: {_some(others)}")
    text = f"{folder}: {'; '.join(counts)}"
    if bad:
        raise PersistemError(f"{text}; missing or damaged: {', '.join(bad)}")
    if different:
        names = ", ".join(seal["path"] for seal in different)
        raise PersistemError(f"{text}; {len(different)} differ{_why(folder, different[0], index)}: {names}")
    return text


def varies(path: str) -> bool:
    """Whether a result need not be the same bytes when the same versions make it again on the same processor.

    The report holds times and a date. A restart file of LAMMPS holds whatever was in memory. A file of HomCloud holds
    a random name and sums in no fixed order. ``stage.yaml`` holds the paths of the user's files.
    """
    return path.split("/")[1] == "report" or path.endswith((".restart", ".pdgm", "/stage.yaml"))


def _manifest(folder: Path) -> dict[str, str]:
    """The checksums of an archive by file; raises PersistemError if it has none, or names a file outside."""
    path = folder / MANIFEST
    try:
        lines = read_text(path).split("\n")
    except ValueError as error:
        raise PersistemError(f"{path}: not text ({error})") from error
    if lines.pop() or not lines:
        raise PersistemError(f"{path}: {'was not written to its end' if lines else 'lists no file'}")
    sums: dict[str, str] = {}
    for k, line in enumerate(lines, 1):
        sha256, _, name = line.partition("  ")
        try:
            if not re.fullmatch("[0-9a-f]{64}", sha256) or _inside(name) in sums:
                raise ValueError("not a checksum and the name of another file")
        except ValueError as error:
            raise PersistemError(f"{path}, line {k}: {line[:100]!r}: {error}") from error
        sums[name] = sha256
    if SEALS not in sums:
        raise PersistemError(f"{path}: does not list {SEALS}, which every archive has")
    return sums


def _index(folder: Path) -> dict[str, Any]:
    """The seals of an archive; raises PersistemError if they are not what ``archive`` writes."""
    path = folder / SEALS
    if not _there(folder, SEALS):
        raise PersistemError(f"{path}: missing, or a link, folder or device, where a file is expected")
    try:
        index = _Index.model_validate(read_json(path)).model_dump()
        if any(seal["made_with"] >= len(index["versions"]) for seal in index["seals"]):
            raise ValueError("made_with: no such entry of versions")
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise PersistemError(f"{path}: not the seals of an archive: {where[:100]}: {problem['msg']}") from error
    except ValueError as error:
        raise PersistemError(f"{path}: not the seals of an archive: {error}") from error
    return index


def _there(folder: Path, name: str) -> bool:
    """Whether a file is in the folder itself: no link is on the way to it, and it is no link, folder or device."""
    return is_regular(folder / name) and not _through_link(folder, name)


def _through_link(folder: Path, name: str) -> bool:
    path = PurePosixPath(name)
    return any(folder.joinpath(part).is_symlink() for part in (path, *path.parents) if str(part) != ".")


def _present(folder: Path, name: str) -> bool:
    """Whether a result, a file or a folder, is in the folder itself."""
    return _there(folder, name) or ((folder / name).is_dir() and not _through_link(folder, name))


def _is(folder: Path, name: str, sha256: str) -> bool:
    if not _there(folder, name):
        return False
    return seals.sha256(folder / name) == sha256


def _unlisted(folder: Path, listed: set[str], sealed: set[str]) -> Iterator[str]:
    """Yield what is neither listed nor a result or its seal; of a folder in which nothing is, only its name."""
    known = listed | sealed | {name.replace("/", "/seals/", 1) + ".json" for name in sealed}
    known_folders = {str(parent) for name in known for parent in PurePosixPath(name).parents}

    def walk(inside: str) -> Iterator[str]:
        for entry in sorted(os.scandir(folder / inside), key=lambda entry: entry.name):
            name = str(PurePosixPath(inside, entry.name))
            if name in known_folders and entry.is_dir(follow_symlinks=False):
                yield from walk(name)
            elif name not in known:
                yield f"{name}/" if entry.is_dir(follow_symlinks=False) else name

    yield from walk("")


def _written_anew(folder: Path, path: str, sums: dict[str, str], bad: list[str]) -> bool:
    """Whether a result was made again: the archive does not hold it, or its seal is a new one, which it matches."""
    seal = paths.sealed(Path(path))
    if seal is None or not _present(folder, path):
        return False
    return path not in sums or (str(seal[1]) in bad and seals.intact(folder / path))


def _shows(folder: Path, name: str, index: dict[str, Any]) -> bool:
    """Whether a file differs from the archived one because it shows, or seals, a result that was made again."""
    try:
        return _is_shown(folder, name, index)
    except Exception:  # nonsense in a file of somebody else's: of whatever kind, it shows nothing
        return False


def _is_shown(folder: Path, name: str, index: dict[str, Any]) -> bool:
    facts = json.loads(_content(folder, paths.provenance(index["study"])))
    content = _content(folder, name)
    if name.startswith(f"{paths.RESULTS}/seals/"):
        return seals.intact(folder / name.replace("/seals/", "/", 1).removesuffix(".json"))
    if source := index["stamped"].get(name, index["copied"].get(name)):
        shown = _content(folder, source)
        return seals.intact(folder / source) and content == (
            shown if name in index["copied"] else stamped(name, shown, facts)
        )
    if name.endswith(csvw.SUFFIX):
        table = name.removesuffix(csvw.SUFFIX)
        return content == csvw.metadata(Path(table).name, _content(folder, table), flat(facts))
    return bool(name == paths.provenance(index["study"]) and facts["study"] == index["study"])


def _content(folder: Path, name: str) -> bytes:
    """The bytes of a file of an archive; raises ValueError if it is none, or too large to be shown."""
    if not _there(folder, name) or (folder / name).stat().st_size > MOST_SHOWN:
        raise ValueError(name)
    return (folder / name).read_bytes()


def _why(folder: Path, seal: dict[str, Any], index: dict[str, Any]) -> str:
    """The versions that differ between a result that was made again and the archived one."""
    now, then = seals.read(folder / seal["path"]), index["versions"][seal["made_with"]]
    if now is None or now["versions"] == then:
        return ", by the same versions (another processor gives other last digits)"
    names = sorted(name for name in then | now["versions"] if now["versions"].get(name) != then.get(name))
    return f", made with other versions of {', '.join(names)}"
