"""Check that files are what was written: in an archive, after a rerun of its study, or in a results folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError
from persistem.publication import csvw
from persistem.publication.crate import MANIFEST, SEALS
from persistem.publication.provenance import flat, stamped
from persistem.store import paths, seals
from persistem.store.files import read_json


def verify(folder: Path) -> str:
    """Check an unpacked archive, or a folder that holds results/; return in words what was found.

    Raises PersistemError, naming files, if one is damaged or missing, or was made again with other content.
    """
    if (folder / MANIFEST).is_file():
        return _of_archive(folder)
    if (folder / paths.RESULTS / "seals").is_dir():
        return _of_results(folder)
    raise PersistemError(
        f"{folder}: neither an unpacked archive, which has {MANIFEST}, nor a folder with results/seals"
    )


def _of_results(folder: Path) -> str:
    """Check the files of a results folder against their seals; files that were removed are only counted."""
    sealed = list(seals.every(folder))
    present = [path for path in sealed if (folder / path).exists()]
    damaged = [path for path in present if not seals.intact(folder / path)]
    text = f"{folder}: {len(present) - len(damaged)} of {len(sealed)} sealed results are what was written"
    text += f"; {len(sealed) - len(present)} are not there any more" if len(present) < len(sealed) else ""
    if damaged:
        raise PersistemError(f"{text}; damaged: {', '.join(damaged)}")
    return text


def _of_archive(folder: Path) -> str:
    """Check the files of an archive against its checksums, and what was made again in its folder against its seals."""
    index = read_json(folder / SEALS)
    lines = (folder / MANIFEST).read_text().splitlines()
    sums = {name: sha256 for sha256, name in (line.split("  ", 1) for line in lines)}
    bad = [name for name, sha256 in sums.items() if not _is(folder / name, sha256)]
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


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and seals.sha256(path) == sha256


def _written_anew(folder: Path, path: str, sums: dict[str, str], bad: list[str]) -> bool:
    """Whether a result was made again: the archive does not hold it, or its seal is a new one, which it matches."""
    seal = paths.sealed(folder / path)
    if seal is None or not (folder / path).exists():
        return False
    return path not in sums or (str(seal[1].relative_to(folder)) in bad and seals.intact(folder / path))


def _shows(folder: Path, name: str, index: dict[str, Any]) -> bool:
    """Whether a file differs from the archived one because it shows, or seals, a result that was made again."""
    try:
        facts = json.loads((folder / paths.provenance(index["study"])).read_bytes())
        content = (folder / name).read_bytes()
    except (OSError, ValueError):
        return False
    if name.startswith(f"{paths.RESULTS}/seals/"):
        return seals.intact(folder / name.replace("/seals/", "/", 1).removesuffix(".json"))
    source = folder / index["stamped"].get(name, index["copied"].get(name, paths.RESULTS))
    if source.is_file():
        shown = source.read_bytes()
        return seals.intact(source) and content == (shown if name in index["copied"] else stamped(name, shown, facts))
    if name.endswith(csvw.SUFFIX):
        table = (folder / name).with_name(Path(name).name.removesuffix(csvw.SUFFIX))
        return table.is_file() and content == csvw.metadata(table.name, table.read_bytes(), flat(facts))
    return name == paths.provenance(index["study"]) and facts["study"] == index["study"]


def _why(folder: Path, seal: dict[str, Any], index: dict[str, Any]) -> str:
    """The versions that differ between a result that was made again and the archived one."""
    now, then = seals.read(folder / seal["path"]), index["versions"][seal["made_with"]]
    if now is None or now["versions"] == then:
        return ", by the same versions (another processor gives other last digits)"
    names = sorted(name for name in then | now["versions"] if now["versions"].get(name) != then.get(name))
    return f", made with other versions of {', '.join(names)}"
