"""The report of a study: the paper's numbers and claims beside ours, and one HTML page with every figure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from persistem import claims, page, paper
from persistem.errors import PersistemError
from persistem.tables import read_rows, timings, versions, write_rows


def write_report(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Write the page ``out`` and, beside it, ``paper.csv``, ``claims.csv`` and ``timings.csv``.

    ``settings`` are those of ``plan_figures``: every file they name is relative to ``root``.
    Raises PersistemError when one of them cannot be read.
    """
    figures = {name: read_json(root / path) for name, path in settings["figures"].items()}
    accuracy = [row for path in settings["accuracy"].values() for row in read_accuracy(root / path)]
    checks = [read_json(root / specimen["check"]) | specimen for specimen in settings["specimens"]]
    facts = {"states": settings["states"], "recipe": settings["recipe"], "recipes": settings["study"]["features"]}
    facts["defocus_origin"] = settings["study"]["imaging"]["defocus_origin"]
    made = {
        "comparison": paper.comparison(accuracy, settings["recipe"]),
        "claims": claims.checklist({n: f["numbers"] for n, f in figures.items()}, accuracy, checks, facts),
        "timings": timings(root, settings["timed"], [s["specimen"] for s in settings["specimens"]]),
    }
    about = {"versions": versions(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    for name, rows in {"paper": made["comparison"], "claims": made["claims"], "timings": made["timings"]}.items():
        write_rows(Path(out).with_name(f"{name}.csv"), rows)
    page.write_page(settings | made | about, root, out)


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; PersistemError where there is none."""
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise PersistemError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(found, dict):
        raise PersistemError(f"{path}: holds {type(found).__name__}, not a mapping")
    return found


def read_accuracy(table: Path) -> list[dict[str, Any]]:
    """The rows of an accuracy table; degrees and foci stay text."""
    return [
        row | {key: f"{row[key]:g}" for key in ("degrees", "foci") if isinstance(row[key], float)}
        for row in read_rows(table)
    ]
