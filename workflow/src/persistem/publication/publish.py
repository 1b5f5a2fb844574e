"""Write what people open: ``results/<study>/`` with tables, settings and an index from names to digests."""

from __future__ import annotations

import csv
import filecmp
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from persistem.learning.accuracy import COLUMNS
from persistem.plan.plan import Plan
from persistem.plan.trial import pictures
from persistem.publication import csvw
from persistem.publication.provenance import facts, flat, parts, stamped
from persistem.store import paths, seals
from persistem.store.files import atomic, new_folder
from persistem.store.stages import TABLES
from persistem.study import Study
from persistem.study.checks_model import LISTED, SIMULATED, WITH_LABELLED
from persistem.study.members import target_of


def describe_digests(plan: Plan, root: Path = Path()) -> None:
    """Write what each digest stands for into its folder, and what the study refers to into the study's."""
    _put(root / paths.study_file(plan.study.name, "digests.csv"), digests(plan).encode())
    for stage, digest in _not_described(plan, root):
        step = plan.steps[stage][digest]
        about = {"stage": stage, "version": step.version, "inputs": list(step.inputs), "settings": step.settings}
        _put(root / paths.stage_path(stage, digest), yaml.safe_dump(about, sort_keys=False).encode())


def publish(plan: Plan, root: Path = Path()) -> None:
    """Write the study's folder from the results of its stages.

    ``tables/accuracy.csv`` joins the tables of all recipes, ``tables/specimens.csv`` lists the specimens' density
    and thermodynamic state, ``index.csv`` the path of every file, ``provenance.json`` what made it, and ``study.yaml``
    (written last) every setting. Raises PersistemError if a result does not match its seal.
    """
    _publish(tables(plan, root, facts(plan, root)), root)


def publish_report(plan: Plan, root: Path = Path()) -> None:
    """Copy the report, its tables and the figures into the study's folder, with their provenance."""
    _publish(copies(plan.report_files(), root, facts(plan, root)), root)


def publish_model(plan: Plan, root: Path = Path()) -> None:
    """Copy the model's bundle into the study's folder; the bundle itself says what it was made from."""
    _publish(copies(plan.model_files(), root), root)


def publish_unseen(plan: Plan, root: Path = Path()) -> None:
    """Copy what a model of labelled micrographs is worth on unseen ones into the study's folder.

    And beside it ``provenance.json`` and ``study.yaml``, as ``publish`` does.
    """
    _publish(unseen(plan, root, facts(plan, root)), root)


def publish_overview(plan: Plan, root: Path = Path()) -> None:
    """Copy what the study found into its folder: the page and its text, with their provenance."""
    _publish(copies(plan.overview_files(), root, facts(plan, root)), root)


def publish_trial(plan: Plan, root: Path = Path()) -> None:
    """Copy the figure of the composites into the study's folder, with its provenance."""
    _publish(copies(pictures(plan), root, facts(plan, root)), root)


def publish_map(source: Path, out: Path) -> None:
    """Copy the folder of a map, without the time stamps that Snakemake leaves in folders."""
    with new_folder(out) as part:
        shutil.copytree(source, part, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)


def refresh(plan: Plan, root: Path = Path()) -> None:
    """Let the study's folder show the study's results if all of them exist already.

    After a setting or a file is changed back, nothing has to run, so no rule notices that the folder shows other
    results. Nor does a rule notice that a file in it was damaged.
    """
    table = root / paths.study_file(plan.study.name, "digests.csv")
    current = table.exists() and table.read_text() == digests(plan)
    damaged = any((root / paths.stage_path(*step)).exists() for step in _not_described(plan, root))
    if table.parent.is_dir() and (damaged or not current):
        describe_digests(plan, root)
    for name, content in stale(plan, root):
        _put(root / name, content)
    for source, out in _maps(plan, root):
        if not _same(source, out):
            shutil.rmtree(out, ignore_errors=True)
            publish_map(source, out)


def stale(plan: Plan, root: Path = Path()) -> Iterator[tuple[str, bytes]]:
    """Yield what the study's folder should show of the existing results but does not: path and content."""
    # the bundle and the page on unseen micrographs say themselves what they were made from
    plain = {"model": plan.model_files(), "unseen": plan.unseen_files()}
    files = plan.report_files() | pictures(plan) | plan.overview_files() | plain["model"] | plain["unseen"]
    summaries = [plan.summary(specimen) for specimen in plan.specimens]
    groups = {
        "report": [*plan.report_files()],
        "truth": [*pictures(plan)],
        "overview": [*plan.overview_files()],
        **{name: [*own] for name, own in plain.items()},
        "tables": summaries + plan.files("learning"),
    }
    finished = [name for name, sources in groups.items() if sources and all(seals.intact(root / s) for s in sources)]
    known = facts(plan, root) if finished else {}
    for group in finished:
        copied = {source: files[source] for source in groups[group] if source in files}
        made = {"tables": tables, "unseen": unseen}.get(group)
        shown = made(plan, root, known) if made else copies(copied, root, None if group in plain else known)
        for name, content in shown:
            if not (root / name).is_file() or (root / name).read_bytes() != content:
                yield name, content


def tables(plan: Plan, root: Path, facts: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the tables joined from results, the provenance and the settings: path and content."""
    name = plan.study.name
    for path in (*plan.files("learning"), *map(plan.summary, plan.specimens)):
        seals.check(root / path)
    learned = [(root / path).read_text().splitlines() for path in plan.files("learning")]
    accuracy = [",".join(COLUMNS)] + [line for table in learned for line in table[1:]]
    rows = [_specimen_row(plan, specimen, root) for specimen in plan.specimens]
    texts = {
        paths.accuracy(name): "\n".join(accuracy) + "\n",
        paths.specimens(name): _table(rows),
        paths.index(name): index(plan),
    }
    for path, text in texts.items():
        yield from _with_metadata(path, text.encode(), facts)
    yield from _about(plan, facts)


def unseen(plan: Plan, root: Path, facts: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the page on unseen micrographs and its numbers, the provenance and the settings: path and content."""
    yield from copies(plan.unseen_files(), root)
    yield from _about(plan, facts)


def _about(plan: Plan, facts: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    name = plan.study.name
    yield paths.provenance(name), (json.dumps(facts, indent=1) + "\n").encode()
    yield paths.study_file(name, "study.yaml"), settings(plan).encode()


def copies(files: dict[str, str], root: Path, facts: dict[str, Any] | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield the shown copies of files under digests: path and content; with their provenance if given ``facts``."""
    for source, shown in files.items():
        seals.check(root / source)
        content = (root / source).read_bytes()
        if facts is None:
            yield shown, content
        else:
            yield from _with_metadata(shown, stamped(shown, content, facts), facts)


def index(plan: Plan) -> str:
    """Stage and path of every file that the study's tables stand on, as CSV."""
    made = [(stage, path) for stage in paths.of_part(TABLES) for path in plan.files(stage, made=True)]
    return _table([{"stage": stage, "path": path} for stage, path in made])


def digests(plan: Plan) -> str:
    """What the study refers to, as CSV: stage, digest and specimen; no specimen means all of the digest."""
    return _table(
        [
            {"stage": stage, "digest": digest, "specimen": specimen}
            for (stage, digest), names in parts(plan).items()
            for specimen in sorted({name.split("/")[0] for name in names}) or [""]
        ]
    )


def settings(plan: Plan) -> str:
    """Every setting of the study that a result can depend on, as YAML."""
    # beside own structures, loading refuses states, md and potential; beside labelled micrographs, all but a few
    out = {"run"} | ({"states", "md", "potential"} if plan.study.structures else set())
    if plan.study.labelled_alone:
        out |= set(type(plan.study).model_fields) - WITH_LABELLED
    said = plan.study.model_dump(mode="json", exclude=out)
    if plan.study.labelled_alone:
        said["model"] = {key: value for key, value in said["model"].items() if key not in SIMULATED}
    for section, keys in _replaced(plan.study).items():
        said[section] = {key: value for key, value in (said.get(section) or {}).items() if key not in keys}
    return yaml.safe_dump(said, sort_keys=False)


def _replaced(study: Study) -> dict[str, tuple[str, ...]]:
    """The settings that others replace, by section: loading refuses both."""
    found: dict[str, tuple[str, ...]] = {}
    if not study.structures and not study.labelled_alone and study.md.schedule is not None:
        found["md"] = ("series", "steps", "rt")
    if study.model is not None and study.model.conditions is not None:
        found["model"] = LISTED
    return found


def _not_described(plan: Plan, root: Path) -> Iterator[tuple[str, str]]:
    """Yield the stages and digests whose folders do not say, or no longer say, what they stand for.

    A folder without results is described anew: jobs read the description, and an older one may differ.
    """
    for stage, steps in plan.steps.items():
        for digest in steps:
            path = root / paths.stage_path(stage, digest)
            if not seals.intact(path) or os.listdir(path.parent) == [path.name]:
                yield stage, digest


def _same(source: Path, out: Path) -> bool:
    """Whether two folders hold the same files, apart from hidden ones."""
    names = {path.relative_to(source) for path in source.rglob("[!.]*") if path.is_file()}
    return names == {path.relative_to(out) for path in out.rglob("[!.]*") if path.is_file()} and all(
        filecmp.cmp(source / name, out / name, shallow=False) for name in names
    )


def _with_metadata(path: str, content: bytes, facts: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield a file and, for a table, the metadata beside it."""
    yield path, content
    if path.endswith(".csv"):
        yield f"{path}{csvw.SUFFIX}", csvw.metadata(Path(path).name, content, flat(facts))


def _maps(plan: Plan, root: Path) -> list[tuple[Path, Path]]:
    """The folders of the existing maps, and where they are shown."""
    folders = [(root / folder, root / plan.maps.shown[name]) for name, folder in plan.maps.folders.items()]
    return [(source, out) for source, out in folders if source.is_dir()]


def _publish(shown: Iterator[tuple[str, bytes]], root: Path) -> None:
    for name, content in shown:
        _put(root / name, content)


def _put(path: Path, content: bytes) -> None:
    with atomic(path) as part:
        part.write_bytes(content)


def _specimen_row(plan: Plan, name: str, root: Path) -> dict[str, Any]:
    specimen = plan.specimens[name]
    facts = json.loads((root / plan.summary(name)).read_text())
    row = {"specimen": name, "state": specimen.state or "", "seed": specimen.seed}
    if specimen.step:  # nobody says whether the step is a treatment
        return {**row, "target_K": target_of(plan.study, specimen), "rt": "", **facts}
    return {**row, "target_K": specimen.temperature or "", "rt": int(specimen.rt), **facts}


def _table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
