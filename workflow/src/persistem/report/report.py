"""The report of a study: the paper's numbers and claims beside ours, and one HTML page with every figure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from persistem.report import claims, page, paper
from persistem.report.tables import checked, read_accuracy, timings, write_rows
from persistem.store.environment import versions
from persistem.store.files import atomic, read_json


def write_report(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Write the page ``out`` and, beside it, ``paper.csv``, ``claims.csv``, ``state_checks.csv``, ``timings.csv`` and
    ``about.json``.

    ``settings`` come from ``plan_report``; the files they name are relative to ``root``.
    Raises PersistemError if one of them cannot be read.
    """
    figures = {name: read_json(root / path) for name, path in settings["figures"].items()}
    accuracy = [row for path in settings["accuracy"].values() for row in read_accuracy(root / path)]
    checks = [read_json(root / specimen["check"]) | specimen for specimen in settings["specimens"]]
    facts = {"states": settings["states"], "recipe": settings["recipe"], "recipes": settings["study"]["features"]}
    results = {
        "comparison": paper.comparison(accuracy, settings["recipe"], settings["states"]),
        "claims": claims.checklist({n: f["numbers"] for n, f in figures.items()}, accuracy, checks, facts),
        "timings": timings(root, settings["timed"], [s["specimen"] for s in settings["specimens"]]),
    }
    about = {"versions": versions(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    with atomic(Path(out).with_name("about.json")) as part:
        part.write_text(json.dumps({"digest": settings["digest"]} | about, indent=1) + "\n")
    for name, rows in {
        "paper": results["comparison"],
        "claims": results["claims"],
        "state_checks": checked(checks),
        "timings": results["timings"],
    }.items():
        write_rows(Path(out).with_name(f"{name}.csv"), rows)
    page.write_page(settings | results | about, root, out)
