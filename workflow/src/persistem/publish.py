"""What people open: ``results/<study>/`` with its tables, its settings and an index from names to digests."""

from __future__ import annotations

import csv
import filecmp
import io
import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from persistem import paths, seals
from persistem.files import atomic, new_folder
from persistem.learning import COLUMNS
from persistem.plan import Plan
from persistem.plan_truth import pictures


def describe(plan: Plan, root: Path = Path()) -> None:
    """Write into every digest's folder what it stands for."""
    for stage, steps in plan.steps.items():
        for digest, step in steps.items():
            path = root / paths.stage_path(stage, digest)
            if not seals.intact(path):
                about = {
                    "stage": stage,
                    "version": step.version,
                    "inputs": list(step.inputs),
                    "settings": step.settings,
                }
                _write(path, yaml.safe_dump(about, sort_keys=False))


def publish(plan: Plan, root: Path = Path()) -> None:
    """Write the study's folder from the results of its stages.

    ``tables/accuracy.csv`` joins the tables of all recipes, ``tables/specimens.csv`` lists the specimens' density
    and thermodynamic state, ``index.csv`` the path of every file, and ``study.yaml`` (written last) every setting.
    """
    name = plan.study.name
    for path in plan.files("learning") + [plan.summary(specimen) for specimen in plan.specimens]:
        seals.check(root / path)
    tables = [(root / path).read_text().splitlines() for path in plan.files("learning")]
    accuracy = [",".join(COLUMNS)] + [line for table in tables for line in table[1:]]
    _write(root / paths.accuracy(name), "\n".join(accuracy) + "\n")
    rows = [_specimen_row(plan, specimen, root) for specimen in plan.specimens]
    _write(root / paths.specimens(name), _table(rows))
    _write(root / paths.index(name), index(plan))
    _write(root / paths.study_file(name, "study.yaml"), settings(plan))


def publish_report(plan: Plan, root: Path = Path()) -> None:
    """Copy the report, its tables and the figures into the study's folder."""
    _copy(plan.report_files(), root)


def publish_model(plan: Plan, root: Path = Path()) -> None:
    """Copy the bundle of the model into the study's folder."""
    _copy(plan.model_files(), root)


def publish_truth(plan: Plan, root: Path = Path()) -> None:
    """Copy the figure of the composites into the study's folder."""
    _copy(pictures(plan), root)


def publish_map(source: Path, out: Path) -> None:
    """Copy the folder of a map; the time stamps that Snakemake leaves in folders stay behind."""
    with new_folder(out) as part:
        shutil.copytree(source, part, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)


def refresh(plan: Plan, root: Path = Path()) -> None:
    """Let the study's folder show the study's results where all of them exist already.

    After a setting, or the content of a file, is changed back nothing has to run, so no rule would notice that the
    folder shows other results.
    """
    for files in (plan.report_files(), plan.model_files(), pictures(plan)):
        if all((root / path).exists() for path in files) and not all(
            (root / shown).exists() and filecmp.cmp(root / source, root / shown, shallow=False)
            for source, shown in files.items()
        ):
            _copy(files, root)
    for name, folder in plan.mapped.folders.items():
        source, out = root / folder, root / plan.mapped.shown[name]
        if source.is_dir() and not _same(source, out):
            shutil.rmtree(out, ignore_errors=True)
            publish_map(source, out)
    shown = {paths.study_file(plan.study.name, "study.yaml"): settings(plan), paths.index(plan.study.name): index(plan)}
    if all((root / path).exists() and (root / path).read_text() == text for path, text in shown.items()):
        return
    summaries = [plan.summary(specimen) for specimen in plan.specimens]
    if all((root / path).exists() for path in summaries + plan.files("learning")):
        publish(plan, root)


def index(plan: Plan) -> str:
    """Stage and path of every file that the study's tables stand on, as CSV."""
    return _table([{"stage": stage, "path": path} for stage in paths.LEARNED for path in plan.files(stage, made=True)])


def settings(plan: Plan) -> str:
    """Every setting of the study that a result can depend on, as YAML."""
    return yaml.safe_dump(plan.study.model_dump(mode="json", exclude={"run"}), sort_keys=False)


def _same(source: Path, out: Path) -> bool:
    """Whether two folders hold the same files, hidden ones apart."""
    names = {path.relative_to(source) for path in source.rglob("[!.]*") if path.is_file()}
    return names == {path.relative_to(out) for path in out.rglob("[!.]*") if path.is_file()} and all(
        filecmp.cmp(source / name, out / name, shallow=False) for name in names
    )


def _copy(files: dict[str, str], root: Path) -> None:
    for source, shown in files.items():
        with atomic(root / shown) as part:
            shutil.copyfile(root / source, part)


def _specimen_row(plan: Plan, name: str, root: Path) -> dict[str, Any]:
    specimen = plan.specimens[name]
    facts = json.loads((root / plan.summary(name)).read_text())
    row = {"specimen": name, "state": specimen.state or "", "seed": specimen.seed}
    return {**row, "target_K": specimen.temperature or "", "rt": int(specimen.rt), **facts}


def _table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    with atomic(path) as part:
        part.write_text(text)
