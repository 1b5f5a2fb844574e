"""The dated record of a finished study in the repository: the paper's numbers, claims and figures beside ours.

What a reader needs first is on the surface, in short lines; the rest is behind folds, which GitHub shows.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from persistem.errors import PersistemError
from persistem.report.figures import EVALUATION_FIGURES, FIGURES
from persistem.report.tables import EXPLANATION, accuracy_wide, markdown, read_rows
from persistem.store.files import atomic, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

#: Width of a figure on the page, in pixels.
READING = 900
#: A caption on the surface has at most so many lines of so many characters.
LINES, WIDTH = 3, 120
#: The study whose evaluation is the page ``evaluation.md``; another's page, and its figures, bear the study's name.
EVALUATED = "extended"
#: The figures of an evaluation that a list in it asks for.
LISTED = {"controls": "controls", "robustness": "sweeps"}
#: The numbers of the record of protocols, beside it.
NUMBERS = "protocols.json"
#: What a sentence says of the claims with a status.
CLAIMS = {
    "reproduced": "reproduced",
    "depends on": "holding under some conditions only",
    "not reproduced": "not reproduced",
    "undecided": "undecided",
}


def record(study: Path, docs: Path, only: Sequence[str] = ()) -> None:
    """Write a page and its ``figures/*.png`` into ``docs``: what an evaluation found, or else what is the paper's.

    ``study`` is the folder of a study with a report, ``results/<study>``; ``only`` are the figures to show, all by
    default. Raises PersistemError if the folder has no report, or no such figure.
    """
    study, docs = Path(study), Path(docs)
    about = reported(study)
    evaluated = yaml.safe_load((study / "study.yaml").read_text()).get("evaluation")
    page, prefix, names = "reproduction.md", "", FIGURES
    if evaluated:
        names = tuple(name for name in EVALUATION_FIGURES if name not in LISTED or evaluated[LISTED[name]])
        page, prefix = ("evaluation.md", "") if study.name == EVALUATED else (f"{study.name}.md", f"{study.name}-")
    if unknown := sorted(set(only) - set(names)):
        raise PersistemError(f"{study}: has no figure {unknown[0]!r}; there are {', '.join(names)}")
    names = tuple(name for name in names if not only or name in only)
    figures = {name: read_json(study / "figures" / f"{name}.json") for name in names}
    text = evaluation(study, figures, about, prefix, only) if evaluated else reproduction(study, figures, about, docs)
    for name in figures:
        if not figures[name]["reason"]:
            shrink(study / "figures" / f"{name}.png", docs / "figures" / f"{prefix}{name}.png")
    with atomic(docs / page) as part:
        part.write_text(text)


def reported(study: Path) -> dict[str, Any]:
    """What the report of a study says of itself. Raises PersistemError if there is none of the study's settings."""
    check_report(study)
    about = read_json(study / "tables/about.json")
    if read_json(study / "provenance.json")["digest"] != about["digest"]:
        raise PersistemError(f"{study}: its tables and its report have different settings; run snakemake report")
    return about


def check_report(study: Path) -> None:
    """Raise PersistemError if a study has no report."""
    if not (study / "report.html").exists():
        raise PersistemError(f"{study}: has no report; make it first: snakemake report")


def fold(summary: str, *parts: str) -> str:
    """Paragraphs behind a line that opens on a click."""
    return "\n\n".join([f"<details><summary>{summary}</summary>", *filter(None, parts), "</details>"])


def bullets(clauses: list[str]) -> str:
    """Clauses as a list of sentences."""
    return "\n".join(f"- {clause[:1].upper()}{clause[1:].rstrip('.')}." for clause in clauses)


def cut(caption: str) -> tuple[str, str]:
    """The first sentences of a caption, as many as ``LINES`` lines hold but at least one, and the rest."""
    sentences = re.split(r"(?<=\.) (?=[A-Z(])", caption)
    fitting = [k for k in range(1, len(sentences) + 1) if len(textwrap.wrap(" ".join(sentences[:k]), WIDTH)) <= LINES]
    count = max(fitting, default=1)
    return " ".join(sentences[:count]), " ".join(sentences[count:])


def rest(*parts: str) -> list[str]:
    """What of a caption is not on the surface, behind a fold; nothing where there is nothing."""
    return [fold("The rest of the caption", *parts)] if any(parts) else []


def picture(name: str, title: str, figure: dict[str, Any]) -> list[str]:
    """A figure with the start of its caption, what it found, and the rest of the caption behind a fold."""
    about, more = cut(figure["about"])
    if figure["reason"]:
        return [about, f"Not drawn: {figure['reason']}", *rest(more)]
    finding = figure["numbers"].get("finding") or ""
    here = figure["caption"].removeprefix(finding).strip()
    return [
        f"![{title}](figures/{name}.png)",
        about,
        *([bullets(clauses(finding))] if finding else []),
        *rest(more, here),
    ]


def clauses(finding: str) -> list[str]:
    """The clauses of a finding, the most important one first."""
    return finding.split("; ")


def made(study: Path, about: dict[str, Any], target: str, verb: str = "record", also: str = "") -> str:
    """How a page was made, and with which versions, behind a fold; ``also`` follows the command."""
    return fold(
        "How this page was made",
        f"`snakemake {target} --configfile config/{study.name}.yaml` and `persistem {verb} results/{study.name}"
        f" docs{also}`"
        " made it. No number is typed, and each sentence is computed from the numbers beside it.",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in about["versions"].items()) + ".",
    )


def headline(rows: list[dict[str, Any]], claims: list[dict[str, Any]]) -> str:
    """How many of the paper's accuracies and claims are found again, in a list."""
    found = [row["agreement"] for row in rows if row["split"] == "random"]
    counts = _counts(found, {"agrees": "in agreement with the paper"})
    lines = [f"Of {len(found)} accuracies under the paper's random split: {counts}"]
    unseen = [row for row in rows if row["split"] == "leave-seed-out" and row["ours"] is not None]
    if unseen:
        below = sum(row["ours"] < row["paper"] for row in unseen)
        lines.append(
            f"On MD seeds that were not trained on (leave-seed-out), which the paper does not test, {below} of"
            f" {len(unseen)} means are below the paper's accuracies of the random split"
        )
    counts = _counts([row["status"] for row in claims], CLAIMS)
    return bullets([*lines, f"Of the {len(claims)} claims that the paper makes in words: {counts}"])


def _counts(found: list[str], words: dict[str, str]) -> str:
    """How often each word is found, in the order of ``words`` and then of the words found."""
    order = dict.fromkeys([*(word for word in words if word in found), *found])
    return ", ".join(f"{found.count(word)} {words.get(word, word)}" for word in order)


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
    ends = "one" if row["split"] == "random" else "ci"
    low, high = row[f"{ends}_low"], row[f"{ends}_high"]
    interval = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    return f"{row['ours']:.3f}{interval}" + (f": {row['agreement']}" if row["agreement"] else "")


def evaluation(
    study: Path, figures: dict[str, dict[str, Any]], about: dict[str, Any], prefix: str, only: Sequence[str] = ()
) -> str:
    """The record of what the accuracy means, as Markdown; files of figures have ``prefix`` before their names.

    The page of one figure has its title.
    """
    findings = [
        f"- **{figure['title']}.** {clauses(figure['numbers']['finding'])[0].rstrip('.')}."
        for figure in figures.values()
        if figure["numbers"].get("finding")
    ]
    alone = next(iter(figures.values()))["title"] if len(figures) == 1 else ""
    then = (
        " So equal density comes first."
        if "controls" in figures
        else " What remains at equal density: [density.md](density.md)."
    )
    parts = [
        f"# {alone or 'What the accuracy means'}: the study `{study.name}`, {about['date']}",
        *([] if alone else ["\n".join(findings)]),
        "States that are simulated at zero pressure differ in density, as much as the size of the cell and the length"
        f" of the run have it ([assumptions.md](assumptions.md#molecular-dynamics)).{'' if alone else then}",
        "In brackets 95 % over MD seeds. Everything is evaluated by MD seeds: a seed's specimens, of all states and at"
        " all defoci, train or are tested together. Where the paper is silent: [assumptions.md](assumptions.md).",
        made(study, about, "report", also=f" --figures {' '.join(only)}" if only else ""),
    ]
    for name, figure in figures.items():
        parts += [*([] if alone else [f"## {figure['title']}"]), *picture(f"{prefix}{name}", figure["title"], figure)]
    return "\n\n".join([*parts, *_tables(study)]) + "\n"


def reproduction(study: Path, figures: dict[str, dict[str, Any]], about: dict[str, Any], docs: Path) -> str:
    """The record of the paper's numbers, claims and figures beside ours, as Markdown.

    What the record of protocols in ``docs`` says of the protocol nearest the paper is quoted.
    """
    accuracies = read_rows(study / "tables/paper.csv")
    claims = read_rows(study / "tables/claims.csv")
    parts = [
        f"# What is reproduced of the paper: the study `{study.name}`, {about['date']}",
        markdown(paper_table(accuracies)),
        headline(accuracies, claims),
        "In brackets 95 %. Random: the prediction interval of one specimen of each state and one split, which is what"
        " the paper states; ours are means over seeds and splits. *Agrees*: it holds the paper's value and not chance."
        " *Undecided*: it holds both. Leave-seed-out: the interval of the mean over MD seeds. This estimates something"
        " else than the paper, so nothing is judged beside it. A claim is *undecided* where the intervals of what it"
        " compares do not part. The paper is Uesugi & Ishii, Microscopy (2022). Where it is silent, something had to be"
        " assumed: [assumptions.md](assumptions.md).",
        made(study, about, "report"),
        *_nearest(docs),
        "## Each claim of the paper, and whether it holds here",
        *_claims(claims),
        "## Each figure of the paper, from this study",
    ]
    for name, figure in figures.items():
        number = name.removeprefix("figure-")
        parts += [f"### Figure {number}: {figure['title']}", *picture(name, f"Figure {number}", figure)]
    return "\n\n".join([*parts, *_tables(study)]) + "\n"


def _nearest(docs: Path) -> list[str]:
    """The paper's accuracies under the protocol nearest the paper, if there is a record of protocols."""
    import pandas as pd

    if not (docs / NUMBERS).exists():
        return []
    known = read_json(docs / NUMBERS)
    return [
        "## Under the protocol nearest the paper",
        bullets(clauses(known["finding"])),
        markdown(pd.DataFrame(known["rows"])),
        "How it was found, and every protocol beside it: [protocols.md](protocols.md).",
    ]


def _claims(rows: list[dict[str, Any]]) -> list[str]:
    """The claims with their status, and the evidence behind a fold."""
    import pandas as pd

    claims = [row["claim"] for row in rows]
    statuses = [f"**{row['status']}**" + (f": {row['depends_on']}" if row["depends_on"] else "") for row in rows]
    evidence = [row["evidence"] for row in rows]
    return [
        markdown(pd.DataFrame({"claim": claims, "status": statuses})),
        fold("The numbers behind each status", markdown(pd.DataFrame({"claim": claims, "evidence": evidence}))),
    ]


def _tables(study: Path) -> list[str]:
    """Every accuracy, the specimens and the times of a study, as Markdown."""
    import pandas as pd

    timings = pd.DataFrame(read_rows(study / "tables/timings.csv"))
    specimens = pd.read_csv(study / "tables/specimens.csv")
    shown: dict[str, Any] = {
        "specimen": specimens.specimen,
        "state": specimens.state.fillna(""),
        "density, g/cm³": specimens.density_g_cm3.map("{:.3f}".format),
    }
    for column, title, digits in (("temperature_K", "T, K", 0), ("pressure_GPa", "P, GPa", 3)):
        if column in specimens:
            shown[title] = specimens[column].map(f"{{:.{digits}f}}".format)
    checks = pd.read_csv(study / "tables/state_checks.csv").set_index("specimen").reindex(specimens.specimen)
    for column in checks.columns.drop("state"):
        share = " around " not in column
        numbers = (100 * checks[column]).map("{:.1f}".format) if share else checks[column].map("{:.2f}".format)
        title = f"{column.removesuffix(' molecules')}, %" if share else column
        shown[title] = numbers.where(checks[column].notna(), "").tolist()
    wide = accuracy_wide(study / "tables/accuracy.csv")
    for column in ("jobs", "wall_s", "CPU_s", "memory_MB"):
        if column in timings:
            timings[column] = timings[column].map("{:.0f}".format)
    return [
        "## The accuracy of every recipe, degree and classifier",
        EXPLANATION.replace("\n", " "),
        fold(f"All {len(wide)} rows", markdown(wide)),
        "## The density, temperature, pressure and structure of every specimen",
        "Temperature and pressure are means over the last fifth of the trajectory. Cavities: the share of the volume"
        " that is farther than 2.5 Å from every atom. A around B: the mean number of A in the first shell of B. A-A:"
        " the share of A that is bonded to its own kind as in a molecule (N-N: closer than 1.30 Å).",
        fold(f"All {len(specimens)} specimens", markdown(pd.DataFrame(shown))),
        "## The time and memory of every stage",
        "As `results/benchmarks/` has it: jobs, wall and CPU time (s), largest resident memory (MB).",
        fold(f"All {len(timings)} stages", markdown(timings)),
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
