"""The dated record of a finished study in the repository: the paper's numbers, claims and figures beside ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from persistem.errors import PersistemError
from persistem.report.figures import EVALUATION_FIGURES, FIGURES
from persistem.report.tables import EXPLANATION, accuracy_wide, markdown, read_rows
from persistem.store.files import atomic, read_json

if TYPE_CHECKING:
    import pandas as pd

#: Width of a figure on the page, in pixels.
READING = 900
#: The record's headline stands between these lines of a README.
BEGIN, END = "<!-- headline: persistem record -->", "<!-- end -->"


def record(study: Path, docs: Path) -> None:
    """Write ``reproduction.md`` and ``figures/*.png`` into ``docs``, and the headline into the README beside it.

    For a study with an evaluation it writes ``evaluation.md`` instead and leaves the README as it is.

    ``study`` is the folder of a study with a report, ``results/<study>``. A README without a place for a headline is
    left alone. Raises PersistemError if the folder has no report.
    """
    study, docs = Path(study), Path(docs)
    if not (study / "report.html").exists():
        raise PersistemError(f"{study}: has no report; make it first: snakemake report")
    about = read_json(study / "tables/about.json")
    settings = yaml.safe_load((study / "study.yaml").read_text())
    if read_json(study / "provenance.json")["digest"] != about["digest"]:
        raise PersistemError(f"{study}: its tables and its report have different settings; run snakemake report")
    evaluated = bool(settings.get("evaluation"))
    names = EVALUATION_FIGURES if evaluated else FIGURES
    figures = {name: read_json(study / "figures" / f"{name}.json") for name in names}
    text = (evaluation if evaluated else reproduction)(study, figures, about)
    for name in figures:
        if not figures[name]["reason"]:
            shrink(study / "figures" / f"{name}.png", docs / "figures" / f"{name}.png")
    with atomic(docs / ("evaluation.md" if evaluated else "reproduction.md")) as part:
        part.write_text(text)
    if evaluated:
        return
    readme = docs.parent / "README.md"
    if readme.exists() and BEGIN in readme.read_text():
        old = readme.read_text()
        new = re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{headline(study)}\n{END}", old, flags=re.DOTALL)
        with atomic(readme) as part:
            part.write_text(new)


def headline(study: Path) -> str:
    """The paper's accuracies beside the study's, as Markdown."""
    rows = read_rows(study / "tables/paper.csv")
    claims = [row["status"] for row in read_rows(study / "tables/claims.csv")]
    counts = ", ".join(f"{claims.count(status)} {status}" for status in dict.fromkeys(claims))
    about = f"Of {len(claims)} claims that the paper makes in words: {counts}."
    return f"{markdown(paper_table(rows))}\n\n{about}"


def paper_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows of ``paper.comparison``: one per accuracy that the paper states, a column for each of our splits."""
    import pandas as pd

    table: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows:
        degrees = f"{row['degrees']:g}" if isinstance(row["degrees"], float) else row["degrees"]
        line = table.setdefault(
            (degrees, row["model"], row["foci"]),
            {
                "degrees": degrees,
                "model": row["model"],
                "foci": row["foci"],
                "paper (random split)": f"{row['paper']:.3f}",
            },
        )
        line[f"here, {row['split']}"] = _cell(row)
    return pd.DataFrame(list(table.values())).fillna("")


def _cell(row: dict[str, Any]) -> str:
    if row["ours"] is None:
        return str(row["agreement"])
    interval = "" if row["ci_low"] is None else f" [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return f"{row['ours']:.3f}{interval}: {row['agreement']}"


def evaluation(study: Path, figures: dict[str, dict[str, Any]], about: dict[str, Any]) -> str:
    """The record of what the accuracy means, as Markdown."""
    findings = [f"- {f['title']}: {f['numbers']['finding']}" for f in figures.values() if f["numbers"].get("finding")]
    parts = [
        f"# What the accuracy means: the study `{study.name}`, {about['date']}",
        f"Made by `snakemake report --configfile config/{study.name}.yaml` and `persistem record"
        f" results/{study.name} docs`; no number is typed, and each sentence is computed from its figure's numbers. "
        + ", ".join(f"{name} {number}" for name, number in about["versions"].items())
        + ". Everything is evaluated by MD seeds: a seed's specimens, of all states and at all defoci, train or are"
        " tested together; intervals are 95 % over seeds. Assumptions: [assumptions.md](assumptions.md).",
        "\n".join(findings),
    ]
    for name, figure in figures.items():
        parts += [f"## {figure['title']}"]
        parts += [f"![{figure['title']}](figures/{name}.png)"] if not figure["reason"] else []
        parts += [figure["about"], figure["caption"] or f"Not drawn: {figure['reason']}"]
    return "\n\n".join([*parts, *_tables(study)]) + "\n"


def reproduction(study: Path, figures: dict[str, dict[str, Any]], about: dict[str, Any]) -> str:
    """The record of the paper's numbers, claims and figures beside ours, as Markdown."""
    import pandas as pd

    claims = read_rows(study / "tables/claims.csv")
    parts = [
        f"# The paper beside the study `{study.name}`, {about['date']}",
        f"Uesugi & Ishii, Microscopy (2022). Made by `make report STUDY={study.name}` and `persistem record"
        f" results/{study.name} docs`; no number is typed. "
        + ", ".join(f"{name} {number}" for name, number in about["versions"].items())
        + ". What had to be assumed where the paper is silent: [assumptions.md](assumptions.md).",
        "## Accuracy",
        "In brackets 95 %: over repetitions of the split (random), over MD seeds (leave-seed-out). The paper's split"
        " is random; leave-seed-out tests on MD seeds that were not trained on. Undecided: the interval holds the"
        " paper's value and chance.",
        headline(study),
        "## What the paper says",
        markdown(
            pd.DataFrame(
                {
                    "claim": [row["claim"] for row in claims],
                    "status": [
                        f"**{row['status']}**" + (f": {row['depends_on']}" if row["depends_on"] else "")
                        for row in claims
                    ],
                    "evidence": [row["evidence"] for row in claims],
                }
            )
        ),
        "## Figures",
    ]
    for name, figure in figures.items():
        number = name.removeprefix("figure-")
        parts += [f"### Figure {number}: {figure['title']}", f"![Figure {number}](figures/{name}.png)"]
        parts += [figure["about"], figure["caption"] or f"Not drawn: {figure['reason']}"]
    return "\n\n".join([*parts, *_tables(study)]) + "\n"


def _tables(study: Path) -> list[str]:
    """Every accuracy, the specimens and the times of a study, as Markdown."""
    import pandas as pd

    timings = read_rows(study / "tables/timings.csv")
    specimens = pd.read_csv(study / "tables/specimens.csv")
    shown = {
        "specimen": specimens.specimen,
        "state": specimens.state.fillna(""),
        "density, g/cm³": specimens.density_g_cm3.map("{:.3f}".format),
    }
    for column, title, digits in (("temperature_K", "T, K", 0), ("pressure_GPa", "P, GPa", 3)):
        if column in specimens:
            shown[title] = specimens[column].map(f"{{:.{digits}f}}".format)
    return [
        "## Every accuracy",
        EXPLANATION,
        markdown(accuracy_wide(study / "tables/accuracy.csv")),
        "## Specimens",
        "Temperature and pressure are means over the last fifth of the trajectory.",
        markdown(pd.DataFrame(shown)),
        "## Time",
        "As Snakemake's benchmarks have it: jobs, wall and CPU time (s), largest resident memory (MB).",
        markdown(pd.DataFrame(timings)),
    ]


def shrink(source: Path, out: Path) -> None:
    """Write a PNG at reading size."""
    import cv2

    picture = cv2.imread(str(source))
    if picture is None:
        raise PersistemError(f"{source}: not a PNG")
    scale = min(1.0, READING / picture.shape[1])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    with atomic(out) as part:
        done, data = cv2.imencode(".png", small, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        assert done
        part.write_bytes(data.tobytes())
