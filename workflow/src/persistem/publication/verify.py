"""Whether files are what was written: of an archive, of what was made again from it, or of a results folder."""

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
    """What was found in the folder of an unpacked archive, or one that holds results/, in words.

    Raises PersistemError, naming files, where one is damaged or missing, or was made again as something else.
    """
    if (folder / MANIFEST).is_file():
        return _of_archive(folder)
    if (folder / paths.RESULTS / "seals").is_dir():
        return _of_results(folder)
    raise PersistemError(
        f"{folder}: neither an unpacked archive, which has {MANIFEST}, nor a folder with results/seals"
    )


def _of_results(folder: Path) -> str:
    """The files of a results folder against their seals; what Snakemake, or a user, removed is only counted."""
    found = list(seals.every(folder))
    there = [path for path in found if (folder / path).exists()]
    bad = [path for path in there if not seals.intact(folder / path)]
    text = f"{folder}: {len(there) - len(bad)} of {len(found)} sealed results are what was written"
    text += f"; {len(found) - len(there)} are not there any more" if len(there) < len(found) else ""
    if bad:
        raise PersistemError(f"{text}; damaged: {', '.join(bad)}")
    return text


def _of_archive(folder: Path) -> str:
    """The files of an archive against its checksums, and what was made again in its folder against its seals."""
    index = read_json(folder / SEALS)
    lines = (folder / MANIFEST).read_text().splitlines()
    sums = {name: sha256 for sha256, name in (line.split("  ", 1) for line in lines)}
    bad = [name for name, sha256 in sums.items() if not _is(folder / name, sha256)]
    anew = {seal["path"] for seal in index["seals"] if _written_anew(folder, seal["path"], sums, bad)}
    made = [seal for seal in index["seals"] if seal["path"] in anew]
    same = 0
    damaged: list[str] = []
    varied: list[dict[str, Any]] = []
    other: list[dict[str, Any]] = []
    for seal in made:
        if seals.sha256(folder / seal["path"]) == seal["sha256"]:
            same += 1
        elif not seals.intact(folder / seal["path"]):
            damaged.append(seal["path"])
        else:
            (varied if varies(seal["path"]) else other).append(seal)
    again = [name for name in bad if anew and (name in anew or _shows(folder, name, index))]
    bad = [name for name in bad if name not in again] + damaged
    said = [f"{len(sums) - len(bad) + len(damaged) - len(again)} of {len(sums)} files are what was archived"]
    said += [f"{len(again)} show what was made again"] if again else []
    said += [f"{same} of {len(made)} results that were made again are the same bytes"] if made else []
    said += [f"{len(varied)} differ as they do each time, as {varied[0]['path']}"] if varied else []
    if rest := len([seal for seal in index["seals"] if not (folder / seal["path"]).exists()]):
        said.append(f"{rest} results are not there to compare")
    text = f"{folder}: {'; '.join(said)}"
    if bad:
        raise PersistemError(f"{text}; missing or damaged: {', '.join(bad)}")
    if other:
        paths_of = ", ".join(seal["path"] for seal in other)
        raise PersistemError(f"{text}; {len(other)} differ{_why(folder, other[0], index)}: {paths_of}")
    return text


def varies(path: str) -> bool:
    """Whether a result need not be the same bytes when the same versions make it again on the same processor.

    The report has times and a date in it, a restart file of LAMMPS what was in memory, a file of HomCloud a random
    name and sums in no fixed order; what a digest stands for is written with the paths of the user's files.
    """
    return path.split("/")[1] == "report" or path.endswith((".restart", ".pdgm", "/stage.yaml"))


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and seals.sha256(path) == sha256


def _written_anew(folder: Path, path: str, sums: dict[str, str], bad: list[str]) -> bool:
    """Whether a result was not unpacked: it was not in the archive, or has another seal now, and is what that says."""
    seal = paths.sealed(folder / path)
    if seal is None or not (folder / path).exists():
        return False
    return path not in sums or (str(seal[1].relative_to(folder)) in bad and seals.intact(folder / path))


def _shows(folder: Path, name: str, index: dict[str, Any]) -> bool:
    """Whether a file is not the archived one because it shows, or seals, a result that was made again."""
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
