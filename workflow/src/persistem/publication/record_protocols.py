"""The dated record of a joint multiverse: which protocol comes nearest the paper, and what that is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from persistem.errors import PersistemError
from persistem.publication.record import (
    NUMBERS,
    bullets,
    check_report,
    fold,
    made,
    paper_table,
    picture,
    reported,
    shrink,
)
from persistem.report.figures import JOINT_FIGURES
from persistem.report.figures.compatibility import chosen, p_of, verdict
from persistem.report.paper import CLAIMS, decimals, joint_numbers
from persistem.report.tables import markdown, read_rows
from persistem.store.files import atomic, read_json
from persistem.study.load import make_study

if TYPE_CHECKING:
    import pandas as pd

#: The choice that alone turns a claim of the paper, where states differ in what it acts on; a test turns each.
TURNED = {
    "contrast-inverts": "plane of zero defocus (`imaging.defocus_origin`)",
    "surface-peaks": "the stated radii, or their squares (`material.radii`)",
    "islands-larger": "polarity (`inverted`)",
    "islands-gradual": "polarity (`inverted`)",
    "degrees-order": "polarity (`inverted`)",
    "svc-over-lr": "crops that overlap (`crops.random`)",
    "zeroth-order-regions": "regions of weights or of patterns (figure 7)",
    "filter-suffices": "dose and filter (`detector`)",
}
#: Statuses that say something.
TELLING = ("reproduced", "depends on", "not reproduced")


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
        parts += claims(beside)
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


def claims(studies: list[Path]) -> list[str]:
    """The paper's accuracies and claims in studies with a protocol each, as Markdown."""
    import pandas as pd

    listed = {study.name: read_rows(study / "tables/claims.csv") for study in studies}
    found = {row["id"] for rows in listed.values() for row in rows if row["status"] == "reproduced"}
    turned = [name for name in TURNED if name not in found]
    evidence = pd.DataFrame(
        {"claim": row["claim"], "study": f"`{name}`", "evidence": row["evidence"]}
        for rows in zip(*listed.values(), strict=True)
        for name, row in zip(listed, rows, strict=True)
        if row["status"] != "not in this study"
    )
    return [
        "## The paper's accuracies in studies of their own",
        markdown(accuracies_table(studies)),
        "In brackets 95 %: of one specimen of each state and one split (random), of the mean over MD seeds (unseen).",
        "## The paper's claims under each protocol",
        markdown(claims_table(listed)),
        f"Of {len(CLAIMS)} claims {len(found)} are reproduced in a study here, and {len(turned)} others have a choice"
        " that the paper leaves open and that alone can turn them: *can be turned by*. Each is turned so by a test, on"
        " matter or images for which the effect of the choice is known (tests/test_choices.py). Whether it turns the"
        " claim here is what the columns say; *undecided* where the scatter of MD seeds is larger.",
        fold("The numbers behind each status", markdown(evidence)),
    ]


def accuracies_table(studies: list[Path]) -> pd.DataFrame:
    """The paper's accuracies and those of each study, under the random split and on unseen seeds."""
    import pandas as pd

    columns: dict[str, pd.Series[str]] = {}
    for study in studies:
        table = paper_table(read_rows(study / "tables/paper.csv"))
        names = {"here, random": f"`{study.name}`", "here, leave-seed-out": f"`{study.name}`, unseen seeds"}
        columns |= {names.get(str(name), str(name)): values for name, values in table.items()}
    return pd.DataFrame(columns)


def claims_table(listed: dict[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """The status of each claim in each study, whether they differ, and the choice that can turn it.

    ``listed`` are the rows of ``claims.csv`` by study, all in the paper's order.
    """
    import pandas as pd

    rows = []
    for of_claim in zip(*listed.values(), strict=True):
        claim, statuses = of_claim[0], [row["status"] for row in of_claim]
        differs = len({status for status in statuses if status in TELLING}) > 1
        rows.append(
            {"claim": claim["claim"]}
            | {f"`{name}`": status for name, status in zip(listed, statuses, strict=True)}
            | {"can be turned by": TURNED.get(claim["id"], ""), "": "**differs**" if differs else ""}
        )
    return pd.DataFrame(rows)


def _interval(unseen: dict[str, Any], k: int) -> str:
    low, high = unseen["low"][k], unseen["high"][k]
    return f"{unseen['mean'][k]:.3f}" + ("" if low is None else f" [{low:.2f}, {high:.2f}]")
