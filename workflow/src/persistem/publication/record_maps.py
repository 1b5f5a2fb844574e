"""The dated record of a finished trial in the repository: what the maps of a model are worth, and its card."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError
from persistem.publication.record import bullets, cut, fold, rest, shrink
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
    parts = [
        f"# What a map is worth: the study `{study.name}`, {datetime.now(UTC):%Y-%m-%d}",
        bullets(re.split(r"(?<=\.) ", numbers["finding"])),
        "Overlap is intersection over union with the known regions. The composites are made of seeds that no model was"
        " trained on. Where something had to be assumed: [assumptions.md](assumptions.md). What the model cannot know:"
        " the limits at the end of its card below.",
        f"![{figure['title']}](figures/composites.png)",
        about,
        *rest(more),
        fold(
            "How this page was made",
            f"`snakemake model truth --configfile config/{study.name}.yaml` and `persistem record-maps"
            f" results/{study.name} docs` made it. No number is typed.",
            "Versions: " + ", ".join(f"{name} {number}" for name, number in used.items()) + ".",
        ),
        "## The score of every window, beside simpler measures",
        "Bold: the window that the composite marked with 'chooses' chose. Blocks: what the inner folds chose, or the"
        " baseline.",
        fold(f"All {len(numbers['rows'])} scores", markdown(_table(numbers["rows"], numbers["chosen"]))),
        card,
    ]
    with atomic(docs / "maps.md") as part:
        part.write_text("\n\n".join(parts).rstrip() + "\n")
    with atomic(full) as part:
        part.write_text(json.dumps(_reached(study), indent=1) + "\n")


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
    }


def _table(rows: list[dict[str, Any]], size: float) -> Any:
    """A line for each composite, window size and set of features."""
    import pandas as pd

    def number(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    return pd.DataFrame(
        [
            {
                "composite": row["composite"] + (" (chooses)" if row["chooses"] else ""),
                "window, Å": f"**{row['size']:g}**" if row["size"] == size else f"{row['size']:g}",
                "features": row["features"],
                "blocks": " + ".join(row["blocks"]),
                "overlap": number(row["overlap"]["mean"], 3),
                "boundary, Å": number(row["boundary_A"], 1),
                "calibration error": number(row["calibration_error"], 3),
                "abstained": number(row["abstained"], 3),
            }
            for row in rows
        ]
    )
