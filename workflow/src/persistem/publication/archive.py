"""A finished study as one file that others can verify and run again: a Workflow RO-Crate.

https://w3id.org/workflowhub/workflow-ro-crate/1.0. The crate holds the workflow, the study, what it shows, and its
finished specimens, from which a run starts. Of the results in between it holds the seals, so that results made again
can be compared byte for byte. The same study gives the same archive: no time stamps, everything in order.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from persistem.errors import PersistemError
from persistem.model import bundle
from persistem.plan.plan import Plan
from persistem.plan.trial import pictures
from persistem.publication import crate, provenance, publish
from persistem.publication.crate import FOLDERS, INSTRUCTIONS, KEPT, MANIFEST, SEALS, STUDY, WORKFLOW
from persistem.reading.labels.legend import legend_path
from persistem.store import home, paths, seals
from persistem.store.bounded import is_regular
from persistem.store.files import atomic

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first day that a zip can express

Content = Path | bytes


def archive(plan: Plan, root: Path, out: Path, command: str) -> dict[str, int]:
    """Write the crate of a finished study to ``out``; return how many files, specimens' files and seals it has.

    ``command`` finishes the study. Raises PersistemError if the study is not finished, or a file is damaged.
    """
    _check_finished(plan, root, command)
    known = _intact_seals(plan, root, command)
    study, files = own(plan)
    files |= workflow()
    kept = {name: root / name for name in _kept(plan, root)}
    shown = {name: root / name for name in _shown(plan, root)}
    files |= kept | shown
    files[STUDY] = yaml.safe_dump(study, sort_keys=False).encode()
    files[SEALS] = _json(_index(plan, root, known))
    files[INSTRUCTIONS] = crate.instructions(plan).encode()
    sums = {name: _sha256(content) for name, content in files.items()}
    sizes = {name: _size(files[name]) for name in files}
    files[crate.METADATA] = _json(crate.metadata(plan, sums, sizes, _date(plan, root)))
    sums[crate.METADATA] = _sha256(files[crate.METADATA])
    files[MANIFEST] = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
    with atomic(out) as part:
        # specimens last and in the order of their making: unpacked with new time stamps, none is older than its source
        _zip({name: files[name] for name in [*sorted(files.keys() - kept.keys()), *kept]}, part)
    return {"files": len(files), "of them of specimens": len(kept), "seals": len(known)}


def workflow() -> dict[str, Path]:
    """The files of the workflow, which travels with its results, by their names in the repository."""
    files = {name: home.HOME / name for name in WORKFLOW if (home.HOME / name).is_file()}
    for folder in FOLDERS:
        files |= {f"{folder}/{name}": home.HOME / folder / name for name in _in(home.HOME / folder)}
    for package in home.PACKAGES:
        there = {f"workflow/src/{package}/{name}": home.SOURCE / package / name for name in _in(home.SOURCE / package)}
        files |= {name: file for name, file in there.items() if not file.is_relative_to(home.CARRIED)}
    return files


def _date(plan: Plan, root: Path) -> str:
    """The date of the report, or of a study without one, that of the last file that it shows."""
    if plan.report_files():
        about = json.loads((root / paths.study_file(plan.study.name, "tables/about.json")).read_bytes())
        return str(about["date"])
    last = max((root / name).stat().st_mtime for name in plan.unseen_files().values())
    return datetime.fromtimestamp(last, UTC).date().isoformat()


def _check_finished(plan: Plan, root: Path, command: str) -> None:
    sources = plan.report_files() | plan.model_files() | plan.unseen_files() | pictures(plan)
    wanted = [*sources.values(), *sources, *plan.files("specimens"), *plan.files("learning")]
    wanted += [] if plan.study.labelled_alone else [paths.accuracy(plan.study.name)]
    wanted += [*plan.maps.folders.values(), *plan.maps.shown.values()]
    if missing := [name for name in dict.fromkeys(wanted) if not (root / name).exists()]:
        raise PersistemError(
            f"study {plan.study.name!r} is not finished: {len(missing)} files are missing, e.g. {missing[0]}; make them"
            f" by `{command}`"
        )


def _intact_seals(plan: Plan, root: Path, command: str) -> dict[str, dict[str, Any]]:
    """The seals of the study's files by path. A removed intermediate still has its seal."""
    known = provenance.sealed(plan, root)
    damaged = [
        path
        for path, seal in known.items()
        if seal is None or ((root / path).exists() and not seals.intact(root / path))
    ]
    # what is shown can only be compared with intact results
    damaged = damaged or [name for name, _ in publish.stale(plan, root)]
    if damaged:
        raise PersistemError(
            f"study {plan.study.name!r} has {len(damaged)} files that are damaged or of other results, e.g."
            f" {damaged[0]}; remove what is damaged and run `{command}`"
        )
    # the segments of a trajectory are not results; the joined trajectory is
    return {path: seal for path, seal in known.items() if seal is not None and "/segments/" not in path}


def own(plan: Plan) -> tuple[dict[str, Any], dict[str, Content]]:
    """Every setting of the study, with paths inside the crate, and the files at these paths.

    A file that is named but not used, e.g. a crystal beside own structures, stays out of both.
    """
    files: dict[str, Content] = {}
    ours = (*FOLDERS, *WORKFLOW, paths.RESULTS, "seals", "inputs", STUDY, MANIFEST, INSTRUCTIONS, crate.METADATA)

    def inside(path: str) -> str:
        plain = not Path(path).is_absolute() and ".." not in Path(path).parts
        name = str(Path(path)) if plain and Path(path).parts[0] not in ours else f"inputs/{Path(path).name}"
        number = 1
        while any(file == name or file.startswith(f"{name}/") for file in files):
            number += 1
            name = f"inputs/{number}/{Path(path).name}"
        listed = bundle.FILES if Path(path).is_dir() else ("",)
        files.update({str(Path(name, part)): Path(path, part) for part in listed})
        return name

    study = yaml.safe_load(publish.settings(plan)) | {"run": plan.study.run.model_dump(mode="json")}
    if not study["micrographs"]:
        study["map_with"] = None
    if plan.study.labelled_alone:
        for entry, source in zip(study["labelled"], plan.model.settings["sources"], strict=True):
            entry |= {"path": inside(entry["path"]), "labels": inside(entry["labels"]), "specimen": source["specimen"]}
            if "legend" in source:
                files[str(legend_path(Path(entry["labels"])))] = Path(source["legend"])
    else:
        if study["structures"]:
            study["material"]["file"] = None
        if study["material"]["file"]:
            study["material"]["file"] = inside(study["material"]["file"])
        if "potential" in study and Path(study["potential"]["file"]).is_file():
            study["potential"]["file"] = inside(study["potential"]["file"])
        for name, path in study.get("potential", {}).get("files", {}).items():
            if Path(path).is_file():
                study["potential"]["files"][name] = inside(path)
        for entry in study["structures"]:
            entry["path"] = inside(entry["path"])
    for entry in study["micrographs"]:
        entry["path"] = inside(entry["path"])
    if study["map_with"]:
        study["map_with"] = inside(study["map_with"])
    return study, files


def _kept(plan: Plan, root: Path) -> Iterator[str]:
    """The files of the specimens, and their seals; every run writes what their digests stand for."""
    for (stage, digest), names in provenance.parts(plan).items():
        for name in sorted(names) if stage in KEPT else ():
            folder = f"{paths.RESULTS}/{stage}/{digest}/{name}"
            beside = f"{paths.RESULTS}/seals/{stage}/{digest}/{name}"
            for here in (folder, beside):
                yield from (f"{here}/{file}" for file in _in(root / here) if "segments" not in Path(file).parts)


def _shown(plan: Plan, root: Path) -> list[str]:
    folder = f"{paths.RESULTS}/{plan.study.name}"
    return [f"{folder}/{name}" for name in _in(root / folder)]


def _in(folder: Path) -> list[str]:
    """The files of a folder, in order; without hidden files, damaged files set aside, and Python's leftovers.

    Raises PersistemError if one is a link: what it leads to may be no part of the study.
    """
    found = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_symlink() or not file.is_dir())
    names = [
        name.as_posix()
        for name in found
        if not any(p.startswith(".") or p == "__pycache__" or p.endswith((".egg-info", ".damaged")) for p in name.parts)
    ]
    if links := [name for name in names if not is_regular(folder / name)]:
        raise PersistemError(f"{folder / links[0]}: a link, pipe or device; an archive takes files alone, so remove it")
    return sorted(names)


def _index(plan: Plan, root: Path, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The seals, with each set of versions once, and the result behind each shown file."""
    versions: list[dict[str, str]] = []
    listed = []
    for path, seal in known.items():
        if seal["versions"] not in versions:
            versions.append(seal["versions"])
        listed.append({"path": path, "sha256": seal["sha256"], "made_with": versions.index(seal["versions"])})
    maps = {
        f"{folder}/{file}": f"{plan.maps.shown[name]}/{file}"
        for name, folder in plan.maps.folders.items()
        for file in _in(root / folder)
    }
    stamped = {shown: source for source, shown in (plan.report_files() | pictures(plan)).items()}
    copied = {shown: source for source, shown in (plan.model_files() | maps).items()}
    about = {"study": plan.study.name, "digest": plan.study_digest, "stamped": stamped, "copied": copied}
    return about | {"versions": versions, "seals": listed}


def _zip(files: dict[str, Content], out: Path) -> None:
    with zipfile.ZipFile(out, "w") as archive:
        for name in files:
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            content = files[name]
            with archive.open(info, "w", force_zip64=True) as target:
                if isinstance(content, bytes):
                    target.write(content)
                else:
                    with open(content, "rb") as source:
                        shutil.copyfileobj(source, target, 2**20)


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _sha256(content: Content) -> str:
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else seals.sha256(content)


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
