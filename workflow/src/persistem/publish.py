"""What people open: ``results/<study>/`` with its tables, its settings and an index from names to digests."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import yaml

from persistem import paths
from persistem.files import atomic
from persistem.plan import Plan


def describe(plan: Plan, root: Path = Path()) -> None:
    """Write into every digest's folder what it stands for."""
    for stage, steps in plan.steps.items():
        for digest, step in steps.items():
            path = root / paths.stage_path(stage, digest)
            if not path.exists():
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
    and thermodynamic state, ``study.yaml`` every setting, and ``index.csv`` (written last) names and paths.
    """
    name = plan.study.name
    tables = [(root / path).read_text().splitlines() for path in plan.files("learning")]
    accuracy = [tables[0][0]] + [line for table in tables for line in table[1:]]
    _write(root / paths.accuracy(name), "\n".join(accuracy) + "\n")
    rows = [_specimen_row(plan, specimen, root) for specimen in plan.specimens]
    _write(root / paths.specimens(name), _table(rows))
    settings = plan.study.model_dump(mode="json", exclude={"run"})
    _write(root / paths.study_file(name, "study.yaml"), yaml.safe_dump(settings, sort_keys=False))
    _write(root / paths.index(name), index(plan))


def index(plan: Plan) -> str:
    """The study's index as CSV: stage and path of every file it stands on."""
    rows = [{"stage": stage, "path": path} for stage in paths.STAGES for path in plan.files(stage)]
    return _table(rows)


def refresh(plan: Plan, root: Path = Path()) -> None:
    """Point the study's folder at results that exist already.

    When a setting is changed back nothing has to run, so no rule would notice that the folder shows other results.
    """
    shown = root / paths.index(plan.study.name)
    wanted = plan.files("specimens") + plan.files("learning")
    if shown.exists() and shown.read_text() != index(plan) and all((root / path).exists() for path in wanted):
        publish(plan, root)


def _specimen_row(plan: Plan, name: str, root: Path) -> dict[str, Any]:
    specimen = plan.specimens[name]
    summary = Path(paths.path("specimens", plan.digest("specimens", name), name)).with_name("summary.json")
    facts = json.loads((root / summary).read_text())
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
