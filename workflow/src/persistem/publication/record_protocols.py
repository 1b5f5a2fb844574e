"""The dated record of a joint multiverse: which protocol comes nearest the paper, and what that is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from persistem.errors import PersistemError
from persistem.publication.record import NUMBERS, bullets, check_report, fold, made, picture, reported, shrink
from persistem.report.figures import JOINT_FIGURES
from persistem.report.figures.compatibility import chosen, p_of, verdict
from persistem.report.paper import decimals, joint_numbers
from persistem.report.tables import markdown, read_rows
from persistem.store.files import atomic, read_json
from persistem.study.load import make_study

if TYPE_CHECKING:
    import pandas as pd


def record_protocols(study: Path, docs: Path, beside: list[Path]) -> None:
    """Write ``protocols.md`` and its figures into ``docs``.

    ``study`` is the folder of a study with a joint multiverse and a report, ``results/<study>``; ``beside`` are those
    of studies whose claims are compared, the first the one whose protocol is the study's own. Raises PersistemError if
    a report is missing or was made by other settings.
    """
    about = reported(study)
    for folder in beside:
        check_report(folder)
    if not (study / "figures/compatibility.json").exists():
        raise PersistemError(f"{study}: has no protocols; evaluation.multiverse.design takes answers one at a time")
    figures = {name: read_json(study / "figures" / f"{name}.json") for name in JOINT_FIGURES}
    result = figures["compatibility"]["numbers"]
    if not result:
        raise PersistemError(f"{study}: {figures['compatibility']['reason']}")
    settings = make_study(yaml.safe_load((study / "study.yaml").read_text()))
    best = chosen(result)
    title = "Which protocol gives the paper's numbers"
    learning = settings.learning
    parts = [
        f"# {title}: the study `{study.name}`, {about['date']}",
        bullets([figure["numbers"]["finding"] for figure in figures.values() if figure["numbers"].get("finding")]),
        markdown(numbers_table(result, best)),
        "Random split: of each MD seed by itself, as in the paper, mean over seeds. Unseen seeds: models that learned"
        " from as many crops of the other seeds; in brackets 95 % of the mean. p: of one further specimen pair and"
        " split being as far from the protocol's mean as the paper is, after Holm's correction over the finalists; over"
        " the seeds that did not choose the protocol, if there are three.",
        decimals(settings.imaging.defoci, learning.in_focus, learning.test_fraction, 16),
        made(study, about, "report", "record-protocols"),
        "## The protocols nearest the paper",
        markdown(finalists_table(result)),
        fold("Every answer of the nearest protocol", markdown(answers_table(result, best))),
    ]
    if beside:
        parts += ["## The paper's claims under both protocols", markdown(claims_table(beside))]
    for name, figure in figures.items():
        parts += [f"## {figure['title']}", *picture(name, figure["title"], figure)]
        if not figure["reason"]:
            shrink(study / "figures" / f"{name}.png", docs / "figures" / f"{name}.png")
    with atomic(docs / "protocols.md") as part:
        part.write_text("\n\n".join(parts) + "\n")
    # what other pages quote
    beside_it = {"study": study.name, "date": about["date"], "finding": result["finding"]}
    beside_it |= {"rows": numbers_table(result, best).to_dict("records")}
    with atomic(docs / NUMBERS) as part:
        part.write_text(json.dumps(beside_it, indent=1, ensure_ascii=False) + "\n")


def numbers_table(result: dict[str, Any], best: dict[str, Any]) -> pd.DataFrame:
    """The paper's accuracies beside those of the study's own protocol and of the nearest one."""
    import numpy as np
    import pandas as pd

    own = result["finalists"][0]
    seed = str(best["nearest_seed"])
    nearest = np.mean(best["by_seed"][seed], axis=0)
    return pd.DataFrame(
        {
            "degrees": n["degrees"],
            "model": n["model"],
            "foci": n["foci"],
            "paper": f"{n['accuracy']:.3f}",
            "study as it is": f"{own['mean'][k]:.3f}",
            f"nearest, seed {seed}": f"{nearest[k]:.3f}",
            "nearest, all seeds": f"{best['mean'][k]:.3f}",
            "nearest, unseen seeds": _interval(best["unseen"], k),
            "study as it is, unseen seeds": _interval(own["unseen"], k),
        }
        for k, n in enumerate(result["numbers"])
    )


def finalists_table(result: dict[str, Any]) -> pd.DataFrame:
    """Every finalist: what it answers otherwise than the study, how near it comes, and its p."""
    import numpy as np
    import pandas as pd

    own = result["finalists"][0]["answers"]
    joint = joint_numbers(result["numbers"])
    return pd.DataFrame(
        {
            "answers": "; ".join(f"{q}: {a}" for q, a in row["answers"].items() if own[q] != a) or "the study as it is",
            "largest deviation": f"{row['deviation']:.3f} (seed {row['nearest_seed']})",
            "p, all seeds": f"{row['p_corrected']:.3f}",
            "p, seeds that did not choose": "" if row["p_confirmed"] is None else f"{row['p_confirmed_corrected']:.3f}",
            "so the paper is": f"**{verdict(row)}**",
            "both degrees on unseen seeds": f"{np.mean([row['unseen']['mean'][k] for k in joint]):.2f}",
        }
        for row in result["finalists"]
    )


def answers_table(result: dict[str, Any], best: dict[str, Any]) -> pd.DataFrame:
    """The answers of the study and of the nearest protocol."""
    import pandas as pd

    own = result["finalists"][0]["answers"]
    title = f"nearest (p = {p_of(best):.3f})"
    return pd.DataFrame([{"question": q, "the study": own[q], title: a} for q, a in best["answers"].items()])


def claims_table(studies: list[Path]) -> pd.DataFrame:
    """The status of each claim in each study, and whether the protocol decides it."""
    import pandas as pd

    listed = [{row["claim"]: row["status"] for row in read_rows(study / "tables/claims.csv")} for study in studies]
    rows = []
    for claim in listed[0]:
        found = [claims.get(claim, "not in this study") for claims in listed]
        same = len(set(found)) == 1
        rows.append(
            {"claim": claim}
            | {f"`{study.name}`": status for study, status in zip(studies, found, strict=True)}
            | {"": "" if same else "**the protocol decides**"}
        )
    return pd.DataFrame(rows)


def _interval(unseen: dict[str, Any], k: int) -> str:
    low, high = unseen["low"][k], unseen["high"][k]
    return f"{unseen['mean'][k]:.3f}" + ("" if low is None else f" [{low:.2f}, {high:.2f}]")
