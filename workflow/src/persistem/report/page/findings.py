"""The first screen of the page: what the study found, in at most five sentences computed from its numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from persistem.report.claims import too_small
from persistem.report.page.pictures import data_url
from persistem.report.paper import STATES

#: Most sentences, and width of their pictures, pixels: twice that on the screen.
MOST, WIDTH = 5, 640
#: What is said of the claims of an outcome, of one and of several.
OUTCOMES = {
    "reproduced": ("is reproduced", "are reproduced"),
    "not reproduced": ("is not reproduced", "are not reproduced"),
    "depends on": ("holds under some conditions only", "hold under some conditions only"),
    "undecided": ("stays undecided", "stay undecided"),
    "too small": ("is beyond what a study of this size can tell", "are beyond what a study of this size can tell"),
    "not in this study": ("is not in this study", "are not in this study"),
}
#: States that differ less in density count as equally dense.
DENSER = 0.01

Row = Mapping[str, Any]


def findings(
    settings: Row, accuracy: Sequence[Row], claims: Sequence[Row], specimens: Sequence[Row], figures: Sequence[Row]
) -> list[dict[str, str]]:
    """Sentences, each with the ``id`` of the figure or section that has its numbers.

    ``accuracy``, ``claims`` and ``specimens`` are the rows of the page's tables, ``figures`` the chapter's, in order.
    """
    told = [(_first_clause(figure["finding"]), figure["id"]) for figure in figures if figure["finding"]]
    maps = [(says, name) for says, name in told if name == "composites"]
    meaning = [(says, name) for says, name in told if name != "composites"]
    found = [
        (of_accuracy(settings, accuracy), _drawn(settings, "figure-8", "accuracy")),
        (of_claims(claims), "claims"),
        *meaning[:2],
        *maps,
        (of_density(settings.get("states") or [], specimens), _drawn(settings, "figure-1", "specimens")),
        (of_size(settings, specimens), "specimens"),
    ]
    return [{"says": says, "of": name} for says, name in found if says][:MOST]


def of_accuracy(settings: Row, accuracy: Sequence[Row]) -> str:
    """Accuracy of the recipe shown with both degrees and all foci: random split, the paper's, and unseen seeds."""
    mine = [row for row in accuracy if row["features"] == settings.get("recipe") and row["degrees"] == "0+1"]
    best = max(mine, key=lambda row: (row["cells"][0] or {}).get("accuracy") or 0, default=None)
    if best is None or not any(best["cells"]):
        return ""
    seen, unseen = best["cells"][0], best["cells"][2]
    states = settings.get("states") or []
    paper = next(
        (
            row["paper"]
            for row in settings.get("comparison") or []
            if (row["model"], row["degrees"], row["foci"]) == (best["model"], "0+1", "all") and tuple(states) == STATES
        ),
        None,
    )
    parts = []
    if seen:
        beside = f" (the paper: {paper:.2f})" if paper else ""
        parts.append(f"{seen['accuracy']:.2f} under the paper’s random split{beside}")
    if unseen:
        ends = "" if unseen["ci_low"] is None else f" ({unseen['ci_low']:.2f} to {unseen['ci_high']:.2f})"
        parts.append(f"{unseen['accuracy']:.2f}{ends} on specimens of an MD seed that it has not seen")
    chance = f"; chance is {1 / len(states):.2f}" if states else ""
    return (
        f"{best['model']} on persistence images tells {_listed(states)} apart with an accuracy of"
        f" {' and '.join(parts)}{chance}."
    )


def of_claims(claims: Sequence[Row]) -> str:
    """How many of the paper's claims have which outcome."""
    counts = Counter("too small" if too_small(row) else row["status"] for row in claims)
    listed = [f"{n} {words[n > 1]}" for outcome, words in OUTCOMES.items() if (n := counts[outcome])]
    return f"Of {len(claims)} claims that the paper makes in words, {_listed(listed)}." if listed else ""


def of_density(states: Sequence[str], specimens: Sequence[Row]) -> str:
    """How dense the states are, if that differs: density alone then tells them apart."""
    known = [row for row in specimens if row["density"]]
    values = {state: [row["density"] for row in known if row["state"] == state] for state in states}
    means = {state: sum(of) / len(of) for state, of in values.items() if of}
    if len(means) < 2:
        return ""
    listed = ", ".join(f"{state} {value:.2f}" for state, value in means.items())
    if max(means.values()) <= (1 + DENSER) * min(means.values()):
        return f"The states are equally dense ({listed} g/cm³)."
    return f"The states differ in density ({listed} g/cm³), and that alone tells them apart to some extent."


def of_size(settings: Row, specimens: Sequence[Row]) -> str:
    """How many specimens of how many MD seeds, and how many their checks warn of."""
    if not specimens:
        return ""
    seeds = {record.get("seed") for record in settings.get("specimens") or []} - {None}
    warned = sum(bool(row["warnings"]) for row in specimens)
    whole = f"All this is from {_count(len(specimens), 'specimen')}"
    whole += f" of {_count(len(seeds), 'MD seed')}" if seeds else ""
    return f"{whole}; the checks of their state warn of {warned or 'none'}."


def thumbnail(picture: bytes) -> str:
    """A figure (PNG) as a small WebP, as a data URL."""
    import cv2
    import numpy as np

    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    height = max(1, round(image.shape[0] * WIDTH / image.shape[1]))
    small = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA) if image.shape[1] > WIDTH else image
    _, webp = cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, 80])
    return data_url(webp.tobytes(), "webp")


def _drawn(settings: Row, figure: str, section: str) -> str:
    """A figure, if the report has it, else the section with the same numbers."""
    return figure if figure in (settings.get("figures") or {}) else section


def _first_clause(finding: str) -> str:
    """The most important clause of a finding; of maps, what they overlap with."""
    clauses = re.split(r"; |(?<=\.) ", finding)
    first = next((clause for clause in clauses if "overlap" in clause), clauses[0])
    return f"{first.rstrip('.')}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
