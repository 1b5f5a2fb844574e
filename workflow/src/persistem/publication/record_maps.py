"""The dated record of a finished trial in the repository: what the maps of a model are worth, and its card."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError
from persistem.publication.record import bullets, cut, fold, rest, shrink
from persistem.report.figures.worth import CHOSEN, best_other, said
from persistem.report.figures.worth_text import label
from persistem.report.tables import markdown
from persistem.store.environment import versions
from persistem.store.files import atomic, read_json

FIGURE = "truth/composites.json"


def record_maps(study: Path, docs: Path, full: Path) -> None:
    """Write ``maps.md`` and ``figures/composites.png`` into ``docs``; ``full`` is what small studies quote.

    ``study`` is the folder ``results/<study>`` of a study whose ``truth`` and ``model`` are made. Raises PersistemError
    if one of them is missing.
    """
    study, docs = Path(study), Path(docs)
    for path, target in ((FIGURE, "truth"), ("model/card.md", "model")):
        if not (study / path).exists():
            raise PersistemError(f"{study}: has no {path}; make it first: snakemake {target}")
    figure = read_json(study / FIGURE)
    if figure["reason"]:
        raise PersistemError(f"{study / FIGURE}: was not drawn: {figure['reason']}")
    shrink((study / FIGURE).with_suffix(".png"), docs / "figures/composites.png")
    used = {name: number for name, number in versions().items() if name in ("persistem", "abtem", "homcloud", "numpy")}
    card = (study / "model/card.md").read_text().replace("\n#", "\n##").replace("# Model", "## Its card: model", 1)
    numbers = figure["numbers"]
    about, more = cut(figure["about"])
    ours = [row for row in numbers["rows"] if row["features"] == CHOSEN]
    parts = [
        f"# What a map is worth: the study `{study.name}`, {datetime.now(UTC):%Y-%m-%d}",
        bullets(re.split(r"(?<=\.) ", numbers["finding"])),
        "Overlap is intersection over union with the known regions. The composites are made of seeds that no model was"
        " trained on; in brackets stands the 95 % interval over composites (Student's t; those that share a seed count"
        " as one), of means over defoci and doses. Where something had to be assumed: [assumptions.md](assumptions.md)."
        " What the model cannot know: the limits at the end of its card below.",
        "## Beside simpler measures",
        "The same windows, seeds and boosted trees, told other numbers. Plain measures: standard deviations as they are"
        " and after low passes, skewness, kurtosis, and the spectrum where inner folds choose it. Low-passed SD: told"
        " defocus and dose too, with a model for each. Texture: local binary patterns. Ahead: the model's overlap less"
        " the measure's, in pairs.",
        markdown(_beside(numbers["worth"])),
        "## By defocus and dose",
        markdown(_by_condition(numbers["worth"])),
        "## What was never trained",
        "Shares of the windows, mean over defoci and doses: of other matter, and of trained states in conditions that"
        " were not trained, with the state that they are. Vacuum stands here for comparison: its noise is trained.",
        markdown(_strangers(numbers["strangers"])),
        "## Maps",
        f"![{figure['title']}](figures/composites.png)",
        about,
        *rest(more),
        fold(
            "How this page was made",
            f"`snakemake model truth --configfile config/{study.name}.yaml` and `persistem record-maps"
            f" results/{study.name} docs` made it. No number is typed.",
            "Versions: " + ", ".join(f"{name} {number}" for name, number in used.items()) + ".",
        ),
        fold(f"The model's {len(ours)} maps, of other windows too", markdown(_table(ours))),
        card,
    ]
    with atomic(docs / "maps.md") as part:
        part.write_text("\n\n".join(parts).rstrip() + "\n")
    with atomic(full) as part:
        part.write_text(json.dumps(_reached(study) | {"maps": _overlaps(numbers["worth"])}, indent=1) + "\n")


def _reached(study: Path) -> dict[str, Any]:
    """What the study's model reached on MD seeds that it had not seen."""
    card = read_json(study / "model/card.json")
    (right,) = (row["accuracy"] for row in card["accuracy"] if row["by"] == "all")
    return {
        "study": study.name,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "page": "docs/maps.md",
        "states": card["states"],
        "size_A": card["trained_on"]["window_A"],
        "accuracy": round(right, 3),
        "pairs": [{"states": pair["states"], "accuracy": round(pair["accuracy"], 3)} for pair in card["pairs"]],
    }


def _overlaps(kinds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How far maps of each kind of composite overlap with the truth, with the interval."""
    return [
        {"states": kind["states"], "kind": kind["kind"], "composites": kind["composites"]}
        | {
            key: None if value is None else round(value, 3)
            for key, value in kind["features"][CHOSEN]["overlap"].items()
        }
        for kind in kinds
    ]


def _beside(kinds: list[dict[str, Any]]) -> Any:
    """A line for the model and each simpler measure, best first; two columns for each kind of composite."""
    import pandas as pd

    names = dict.fromkeys(features for kind in kinds for features in kind["features"])
    order = sorted(names, key=lambda n: (n != CHOSEN, -sum(k["features"][n]["overlap"]["mean"] for k in kinds)))
    lines = []
    for name in order:
        line = {"told": "the model" if name == CHOSEN else name}
        line["blocks"] = ", or ".join(dict.fromkeys(b for kind in kinds for b in kind["features"][name]["blocks"]))
        for kind in kinds:
            of = kind["features"][name]
            line[label(kind)] = said(of["overlap"])
            line[f"the model ahead, {' | '.join(kind['states'])}"] = said(of["ahead"]) if "ahead" in of else ""
        lines.append(line)
    return _escaped(pd.DataFrame(lines))


def _by_condition(kinds: list[dict[str, Any]]) -> Any:
    """A line for each defocus and dose: the model's overlap on each kind, and that of the best simpler measure."""
    import pandas as pd

    lines = []
    for k, condition in enumerate(kinds[0]["features"][CHOSEN]["by_condition"]):
        line = {"defocus, Å": f"{condition['defocus']:g}", "dose, e/Å²": f"{condition['dose']:g}"}
        for kind in kinds:
            line[label(kind)] = said(kind["features"][CHOSEN]["by_condition"][k])
            if other := best_other(kind):
                line[f"{other}, {' | '.join(kind['states'])}"] = said(kind["features"][other]["by_condition"][k])
        lines.append(line)
    return _escaped(pd.DataFrame(lines))


def _strangers(strangers: list[dict[str, Any]]) -> Any:
    """A line for each stranger: what its windows are called."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"specimen": stranger["name"], "it is": stranger["state"] or "none of them"}
            | {name: f"{share:.0%}" for name, share in stranger["shares"].items()}
            | {"abstained, by condition": f"{stranger['least']:.0%} to {stranger['most']:.0%}"}
            for stranger in strangers
        ]
    )


def _table(rows: list[dict[str, Any]]) -> Any:
    """A line for each map of a composite."""
    import pandas as pd

    def number(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    return pd.DataFrame(
        [
            {
                "composite": row["name"] + (" (chooses)" if row["chooses"] else ""),
                "window, Å": f"{row['size']:g}",
                "defocus, Å": f"{row['defocus']:g}",
                "dose, e/Å²": f"{row['dose']:g}",
                "overlap": number(row["overlap"]["mean"], 3),
                "boundary, Å": number(row["boundary_A"], 1),
                "calibration error": number(row["calibration_error"], 3),
                "abstained": number(row["abstained"], 3),
            }
            for row in rows
        ]
    )


def _escaped(table: Any) -> Any:
    """A table whose column names hold no sign that divides columns in Markdown."""
    return table.rename(columns=lambda name: name.replace("|", "\\|"))
