"""Tables as people read them."""

from __future__ import annotations

import csv
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.learning.accuracy import COLUMNS
from persistem.learning.intervals import DEPENDENT
from persistem.store import paths
from persistem.store.files import atomic

if TYPE_CHECKING:
    import pandas as pd

#: Stages whose benchmarks are filed by specimen.
PER_SPECIMEN = tuple(stage for stage, file in paths.FILES.items() if "{specimen}" in file)

EXPLANATION = (
    "Accuracy, one model for all defoci. random: the paper's split, each MD seed alone; leave-seed-out: tested\n"
    "on an unseen MD seed. In brackets 95 %: over repetitions of the split, and Student's t over seeds;\n"
    f"{DEPENDENT}."
)


def accuracy_text(table: Path) -> str:
    """An accuracy table for the terminal: models pooled over defoci, all foci and in focus."""
    study = Path(table).parent.parent
    places = [
        f"every row, per defocus and with n: {table}",
        f"densities: {study}/tables/specimens.csv; settings: {study}/study.yaml; every file: {study}/index.csv",
    ]
    return "\n".join([EXPLANATION, "", accuracy_wide(table).to_string(index=False), "", *places])


def accuracy_wide(table: Path) -> pd.DataFrame:
    """Accuracy with its interval, one row per recipe, degrees and model, one column per split and foci.

    Raises PersistemError if ``table`` is not an accuracy table.
    """
    import pandas as pd

    try:
        rows = pd.read_csv(table, dtype={"degrees": str, "foci": str})
        rows = rows[(rows.training == "pooled") & rows.foci.isin(["all", "in-focus"])]
        values = zip(rows.accuracy.tolist(), rows.ci_low.tolist(), rows.ci_high.tolist(), strict=True)
        cells = [f"{mean:.3f}" + ("" if isnan(low) else f" [{low:.2f}, {high:.2f}]") for mean, low, high in values]
    except (OSError, ValueError, AttributeError) as error:
        raise PersistemError(f"{table}: not an accuracy table ({error})") from error
    rows = rows.assign(column=rows.split + ", " + rows.foci, cell=cells)
    keys = ["features", "degrees", "model"]
    wide = rows.pivot(index=keys, columns="column", values="cell").fillna("")
    wide = wide.loc[
        list(dict.fromkeys(rows[keys].itertuples(index=False, name=None))), list(dict.fromkeys(rows.column))
    ]
    wide.columns.name = None
    return wide.reset_index()


def timings(root: Path, digests: dict[str, list[str]], specimens: list[str]) -> list[dict[str, Any]]:
    """Times and memory of each stage's jobs, from ``results/benchmarks/``.

    ``digests`` by stage; ``specimens`` of this study, since studies share folders. Rows: stage, number of jobs, median
    and sum of wall time (s), sum of CPU time (s), largest resident memory (MB).
    """
    import pandas as pd

    rows = []
    for stage, names in digests.items():
        folders = [root / f"{paths.RESULTS}/benchmarks/{stage}/{digest}" for digest in names]
        tables = [
            table
            for folder in folders
            for table in sorted(folder.rglob("*.tsv"))
            if stage not in PER_SPECIMEN or any(part in specimens for part in (table.stem, *table.parts))
        ]
        if tables:
            job = pd.concat([pd.read_csv(table, sep="\t", na_values="-") for table in tables])
            rows.append(
                {
                    "stage": stage,
                    "jobs": len(job),
                    "median_wall_s": round(float(job.s.median()), 2),
                    "wall_s": round(float(job.s.sum())),
                    "CPU_s": round(float(job.cpu_time.sum())),
                    "memory_MB": round(float(job.max_rss.max())),
                }
            )
    return rows


def checked(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each state check: specimen, state, share of cavities, and of each pair of elements what was counted.

    Columns of pairs are empty where a specimen does not have the elements.
    """
    rows: list[dict[str, Any]] = []
    for check in checks:
        row = {key: check.get(key) for key in ("specimen", "state", "cavities")}
        row |= {shell: found["mean"] for shell, found in (check.get("coordination") or {}).items()}
        row |= {f"{pair} molecules": found.get("molecules") for pair, found in (check.get("contacts") or {}).items()}
        rows.append(row)
    columns = dict.fromkeys(key for row in rows for key in row)
    return [dict.fromkeys(columns) | row for row in rows]


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    cells = [[cell.replace("|", "\\|") for cell in line] for line in table.astype(str).values.tolist()]
    lines = [list(table.columns), ["---"] * len(table.columns), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def read_rows(table: Path) -> list[dict[str, Any]]:
    """The rows of a CSV table, numbers as numbers and empty cells as None.

    Raises PersistemError if the file cannot be read.
    """
    try:
        with open(table, newline="") as file:
            return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, csv.Error) as error:
        raise PersistemError(f"{table}: not a table ({error})") from error


def read_accuracy(table: Path) -> list[dict[str, Any]]:
    """The rows of an accuracy table; degrees and foci stay text. Raises PersistemError if it is not one."""
    rows = read_rows(table)
    if any(missing := {*COLUMNS} - row.keys() for row in rows):
        raise PersistemError(f"{table}: not an accuracy table ({sorted(missing)[0]} is missing)")
    return [row | {key: f"{row[key]:g}" for key in ("degrees", "foci") if isinstance(row[key], float)} for row in rows]


def write_rows(table: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV; all have the columns of the first row."""
    with atomic(table) as part, open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _value(text: str | None) -> Any:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text
