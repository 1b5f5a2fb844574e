"""Tables and figures of the page, as plain values for the template."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from persistem.errors import PersistemError
from persistem.report.claims import too_small
from persistem.report.figures import TRIAL_FIGURES
from persistem.report.page import findings
from persistem.report.page.pictures import data_url
from persistem.report.tables import read_accuracy
from persistem.store import seals
from persistem.store.files import read_json
from persistem.study import Study
from persistem.study.reference import sections

SPLITS = ("random", "leave-seed-out")
#: What is said of a claim instead of a verdict on too few specimens.
TOO_SMALL = "too small to tell"
#: How a claim's status is drawn.
STATUS = {
    "reproduced": ("good", "✓"),
    "not reproduced": ("bad", "✗"),
    "depends on": ("mixed", "◐"),
    TOO_SMALL: ("plain", "?"),
    "undecided": ("plain", "~"),
    "not in this study": ("plain", "–"),
}
#: Most rows in a table of a figure's numbers; the figure's own JSON has them all.
ROWS = 40


def content(settings: dict[str, Any], root: Path) -> dict[str, Any]:
    """Every variable of the template except the script's."""
    specimens = settings.get("specimens") or []
    study = settings.get("study") or {}
    figures = settings.get("figures") or {}
    drawn = {name: figure(name, root / path) for name, path in sorted(figures.items(), key=_nth) if _is_paper(name)}
    chapter = {name: figure(name, root / path) for name, path in figures.items() if not _is_paper(name)}
    table, checked = accuracy(settings.get("accuracy") or {}, root), checks(specimens, root)
    found = findings.findings(settings, table, settings.get("claims") or [], checked["rows"], [*chapter.values()])
    for sentence in found:
        of = (drawn | chapter).get(sentence["of"]) or {}
        sentence["picture"] = findings.thumbnail(of["png"]) if of.get("png") else ""
    return {
        "findings": found,
        "name": settings.get("name") or "study",
        "digest": settings.get("digest"),
        "date": settings.get("date"),
        "states": settings.get("states") or [],
        "recipe": settings.get("recipe"),
        "headline": headline(settings.get("comparison") or []),
        "accuracy": table,
        "claims": claims(settings.get("claims") or []),
        "figures": [*drawn.values()],
        "chapter": [of for name, of in chapter.items() if name not in TRIAL_FIGURES],
        "maps": [of for name, of in chapter.items() if name in TRIAL_FIGURES],
        "parameters": parameters(study) if study else [],
        "specimens": checked,
        "timings": settings.get("timings") or [],
        "versions": settings.get("versions") or {},
        "seeds": sorted({record["seed"] for record in specimens if record.get("seed") is not None}),
        "split_seed": (study.get("learning") or {}).get("split_seed"),
    }


def headline(comparison: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The paper's accuracies, one row each, with ours under every split beside it; from ``paper.comparison``."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in comparison:
        key = tuple(str(row[name]) for name in ("model", "degrees", "foci"))
        entry = rows.setdefault(
            key, dict(zip(("model", "degrees", "foci"), key, strict=True)) | {"paper": row["paper"]}
        )
        entry[row["split"]] = row
    return [{split: None for split in SPLITS} | row for row in rows.values()]


def accuracy(tables: dict[str, str], root: Path) -> list[dict[str, Any]]:
    """Accuracy with one model for all foci: one row per recipe, degrees and model, one cell per split and foci."""
    rows: dict[tuple[str, ...], dict[tuple[str, str], Any]] = {}
    for table in tables.values():
        for line in read_accuracy(root / table):
            if line["training"] == "pooled":
                cell = {name: line[name] for name in ("accuracy", "ci_low", "ci_high")}
                key = (line["features"], line["degrees"], line["model"])
                rows.setdefault(key, {})[line["split"], line["foci"]] = cell
    columns = [(split, foci) for split in SPLITS for foci in ("all", "in-focus")]
    return [
        {"features": features, "degrees": degrees, "model": model, "cells": [cells.get(column) for column in columns]}
        for (features, degrees, model), cells in rows.items()
    ]


def claims(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows of ``claims.checklist`` with the class and sign of their status, and the tally of each status.

    A status of which the study is too small to tell has no colour; ``alone`` says what so few specimens tell.
    """
    shown = []
    for row in rows:
        small = too_small(row)
        status = TOO_SMALL if small else row["status"]
        alone = ""
        if small and row["seeds"]:
            few = "one specimen" if row["seeds"] == 1 else f"{row['seeds']} specimens"
            alone = f"As far as {few} can tell: {row['status']} {row.get('depends_on') or ''}".strip() + "."
        look = dict(zip(("look", "sign"), STATUS[status], strict=True))
        shown.append(row | look | {"status": status, "alone": alone})
    counts = {status: sum(row["status"] == status for row in shown) for status in STATUS}
    return {"rows": shown, "tally": [(*STATUS[status], count, status) for status, count in counts.items() if count]}


def figure(name: str, path: Path) -> dict[str, Any]:
    """A figure with its picture as a data URL, or the reason for having none."""
    prefix = path.with_suffix("") if path.suffix in (".json", ".png", ".pdf") else path
    about = read_json(prefix.with_name(f"{prefix.name}.json"))
    numbers = dict(about.get("numbers") or {})
    picture = None
    if not about.get("reason"):
        seals.check(prefix.with_name(f"{prefix.name}.png"))
        try:
            picture = prefix.with_name(f"{prefix.name}.png").read_bytes()
        except OSError as error:
            raise PersistemError(f"{prefix}.png: cannot be read ({error.strerror})") from error
    return {
        "id": name,
        "label": f"Figure {name.rpartition('-')[2]}" if _is_paper(name) else name.capitalize(),
        "title": about["title"],
        "about": about.get("about") or "",
        "caption": about.get("caption") or "",
        "reason": about.get("reason"),
        "finding": numbers.pop("finding", None),
        "numbers": [numbers_table(key, value) for key, value in numbers.items()],
        "size": _shown(picture) if picture else None,
        "picture": data_url(*lossless(picture)) if picture else None,
        "png": picture,
    }


def lossless(picture: bytes) -> tuple[bytes, str]:
    """A PNG as a WebP with the same pixels, and the name of the kind: about half as large."""
    import cv2

    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    _, webp = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 101])  # above 100: lossless
    return webp.tobytes(), "webp"


def numbers_table(name: str, value: Any) -> dict[str, Any]:
    """A part of a figure's numbers as columns and rows of text."""
    rows = value if isinstance(value, list) else [value]
    if not rows or not all(isinstance(row, dict) for row in rows):
        rows = [{"value": value}]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    shown = [[plain(row.get(key)) for key in columns] for row in rows[:ROWS]]
    return {"name": name.replace("_", " "), "columns": columns, "rows": shown, "more": len(rows) - len(shown)}


def plain(value: Any) -> str:
    """A value as the text of a table cell: four digits, lists with commas, mappings as ``key value``."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    if isinstance(value, list | tuple):
        return "; ".join(map(plain, value)) if any(isinstance(v, dict) for v in value) else ", ".join(map(plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {plain(item)}" for key, item in value.items())
    return str(value)


def checks(specimens: list[dict[str, Any]], root: Path) -> dict[str, Any]:
    """The specimens' state checks, a row each, and the pairs and shells of elements that were counted."""
    rows = []
    for record in specimens:
        check = read_json(root / record["check"]) if record.get("check") else {}
        summary = read_json(root / record["summary"]) if record.get("summary") else {}
        rows.append(
            {
                "specimen": record["specimen"],
                "state": record.get("state"),
                "target_K": record.get("temperature"),
                "rt": record.get("rt"),
                "atoms": summary.get("atoms"),
                "density": check.get("density_g_cm3") or summary.get("density_g_cm3"),
                "temperature": summary.get("temperature_K"),
                "pressure": summary.get("pressure_GPa"),
                "msd": check.get("msd_A2"),
                "lindemann": check.get("lindemann"),
                "cavities": check.get("cavities"),
                "contacts": check.get("contacts") or {},
                "coordination": check.get("coordination") or {},
                "warnings": check.get("warnings") or [],
                "checked": bool(check),
            }
        )
    pairs = {pair: contact.get("cutoff_A") for row in rows for pair, contact in row["contacts"].items()}
    shells = {shell: found["cutoff_A"] for row in rows for shell, found in row["coordination"].items()}
    near = {pair: found.get("molecule_A") for row in rows for pair, found in row["contacts"].items()}
    return {"rows": rows, "pairs": pairs, "shells": shells, "near": near}


def parameters(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Every setting of a study: key, value, unit, meaning, source, whether assumed, and the paper's if it differs."""
    paper = Study().model_dump(mode="json")
    return list(_settings(Study, study, paper, ""))


def _settings(model: Any, value: dict[str, Any], paper: Any, prefix: str) -> Iterator[dict[str, Any]]:
    for name, info in model.model_fields.items():
        if name not in value:
            continue
        ours = value[name]
        papers = paper.get(name) if isinstance(paper, dict) else None
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        source = str(extra.get("source", ""))
        named = "dict" in str(info.annotation)
        inner = list(_inner(ours, papers, f"{prefix}{name}", named)) if sections(info.annotation) else []
        if source or not inner:
            comparable = isinstance(paper, dict) and name in paper and source != "this workflow"
            yield {
                "key": prefix + name,
                "value": ", ".join(ours)
                if inner and isinstance(ours, dict)
                else f"{len(ours)} listed"
                if inner
                else setting(ours),
                "unit": extra.get("unit", ""),
                "about": info.description or "",
                "source": source.removeprefix("assumption: "),
                "assumed": source.startswith("assumption"),
                "paper": setting(papers) if comparable and not inner and ours != papers else None,
            }
        for key, item, other in inner:
            # the member of a union that knows all keys
            part = next(part for part in sections(info.annotation) if set(item) <= set(part.model_fields))
            yield from _settings(part, item, other, f"{key}.")


def _inner(here: Any, there: Any, key: str, named: bool) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """The sections that a setting holds, each with the paper's counterpart."""
    if isinstance(here, list):
        for k, item in enumerate(here):
            yield f"{key}[{k}]", item, there[k] if isinstance(there, list) and k < len(there) else None
    elif isinstance(here, dict) and named:
        for name, item in here.items():
            yield f"{key}.{name}", item, there.get(name) if isinstance(there, dict) else None
    elif isinstance(here, dict):
        yield key, here, there


def setting(value: Any) -> str:
    """A setting's value as a study file would have it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list):
        return "[" + ", ".join(map(setting, value)) + "]"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {setting(item)}" for key, item in value.items()) or "{}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(png: bytes) -> tuple[int, int]:
    """Width and height on the page, from a PNG's header: two of its pixels for one, for screens that have so many."""
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    return -(-width // 2), -(-height // 2)


def _nth(item: tuple[str, Any]) -> tuple[int, str]:
    digits = "".join(character for character in item[0] if character.isdigit())
    return int(digits or 0), item[0]


def _is_paper(name: str) -> bool:
    """Whether a figure is one of the paper's."""
    return name.startswith("figure-")
