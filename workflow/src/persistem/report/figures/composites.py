"""Composites: maps of specimens whose regions are known, and what the size of the window trades."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.report.figures import regions
from persistem.report.figures.drawing import COLOURS, PAGE, CannotDraw, Drawing
from persistem.store.files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Found = dict[str, Any]

TITLE = "Maps of composites whose regions are known"
ABOUT = (
    "Composites: half-melted crystals by molecular dynamics (melt), and end states spliced together (splice), of seeds"
    " that no model was trained on. Above, maps with windows of the size that other splices chose: states in their"
    " colours, what abstains hatched, the true boundary dashed. Below, against the size of the window: how far maps and"
    " truth overlap (intersection over union, mean of the states; what abstains counts as not found), and how far apart"
    " their boundaries are; persistence and spectrum as the inner folds chose, beside maps made of the local standard"
    " deviation or the local spectrum alone."
)
#: Bump when the figure changes for the same study.
VERSION = 2

CHOSEN = "chosen"
LOOK = {"chosen": "-", "local standard deviation": ":", "local spectrum": "--"}


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw the maps and the scores.

    ``settings``: ``states``, ``judged`` (size, features and path of the scores of each model), ``composites`` (name,
    kind, states, structure, micrograph, chooses), ``dose`` (e/Å²) and ``size`` (Å) of the study's own windows.
    numbers: ``finding``, ``chosen`` (Å), ``rows``, ``abstained`` and ``calibration``.
    """
    import matplotlib.pyplot as plt

    judged = [record | read_json(Path(root) / record["path"]) for record in settings["judged"]]
    choosing = [composite["name"] for composite in settings["composites"] if composite["chooses"]]
    pairs = [composite for composite in settings["composites"] if composite["states"] and not composite["chooses"]]
    if not pairs:
        raise CannotDraw("every composite chooses the window; one more is needed to report")
    size = _chosen(judged, choosing) or settings["size"]
    model = next(candidate for candidate in judged if candidate["size"] == size and candidate["features"] == CHOSEN)

    columns = max(len(pairs) + 1, 3)
    figure = plt.figure(figsize=(PAGE, 2 * PAGE / columns + 0.9))
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.12, 1))
    above, below = parts
    cells = above.subplots(1, columns, squeeze=False)[0]
    for axis, composite in zip(cells, pairs, strict=False):
        _map(axis, composite, model, Path(root))
    _abstained(cells[len(pairs)], model)
    for axis in cells[len(pairs) + 1 :]:
        axis.set_axis_off()
    overlap, error, sure = below.subplots(1, 3)
    for k, composite in enumerate(pairs):
        _curves(overlap, error, judged, composite["name"], COLOURS[(k + 3) % len(COLOURS)])
    for axis in (overlap, error):
        axis.axvline(size, color="0.7", lw=0.7, zorder=0)
        axis.set(xlabel="window (Å)")
    overlap.set(ylabel="intersection over union", ylim=(0, 1.02))
    error.set(ylabel="boundary error (Å)", ylim=(0, None))
    _legend(below, pairs)
    _calibration(sure, pairs, model)

    rows = [
        _row(candidate, composite["name"]) | {"chooses": composite["chooses"]}
        for candidate in judged
        for composite in settings["composites"]
        if composite["states"]
    ]
    finding = _finding(rows, pairs, size, model, settings)
    numbers = {
        "finding": finding,
        "chosen": size,
        "rows": rows,
        "abstained": {score["name"]: score["shares"]["abstained"] for score in model["scores"] if not score["states"]},
        "calibration": {pair["name"]: regions.score(model, pair["name"])["calibration"] for pair in pairs},
    }
    return Drawing(figure, finding, numbers)


def _chosen(judged: list[Found], choosing: list[str]) -> float | None:
    """The window size whose maps of the choosing composites overlap the truth most; the smaller one of equals."""
    overlaps = {
        model["size"]: round(float(np.mean([regions.score(model, name)["overlap"]["mean"] for name in choosing])), 12)
        for model in judged
        if model["features"] == CHOSEN and choosing
    }
    return max(sorted(overlaps), key=lambda size: overlaps[size]) if overlaps else None


def _row(model: Found, name: str) -> Found:
    score = regions.score(model, name)
    return {
        "composite": name,
        "size": model["size"],
        "features": model["features"],
        "blocks": model["card"]["classifier"]["features"],
        "overlap": score["overlap"],
        "boundary_A": score["boundary_A"]["mean"] if score["boundary_A"] else None,
        "calibration_error": score["calibration"]["error"] if score["calibration"] else None,
        "abstained": score["shares"]["abstained"],
    }


def _map(axis: Axes, composite: Found, model: Found, root: Path) -> None:
    """The micrograph in grey, the map over it, and the true boundary."""
    shown = regions.read_shown(root / composite["micrograph"])
    regions.micrograph(axis, shown)
    regions.mapped(axis, model, composite["name"], shown.pixel_size, root)
    regions.boundary(axis, composite, shown, root)
    overlap = regions.score(model, composite["name"])["overlap"]["mean"]
    axis.set_title(f"{composite['states'][0]} | {composite['states'][1]} ({composite['kind']}): {overlap:.2f}")


def _abstained(axis: Axes, model: Found) -> None:
    """Shares of windows of foreign specimens, which were never trained: abstained, or taken for a state."""
    foreign = [score for score in model["scores"] if not score["states"]]
    left = np.zeros(len(foreign))
    names = [score["name"] for score in foreign]
    for k, state in enumerate((*model["states"], "abstained")):
        share = np.array([score["shares"][state] for score in foreign])
        colour = "0.8" if state == "abstained" else COLOURS[k % len(COLOURS)]
        axis.barh(names, share, left=left, color=colour, label=state, hatch="////" if state == "abstained" else None)
        left += share
    axis.set(xlim=(0, 1), xlabel="share of the windows", title="never trained")
    axis.invert_yaxis()
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2, fontsize=6)


def _curves(overlap: Axes, error: Axes, judged: list[Found], name: str, colour: str) -> None:
    for features, dashes in LOOK.items():
        rows = sorted(
            (_row(model, name) for model in judged if model["features"] == features), key=lambda row: float(row["size"])
        )
        sizes = [row["size"] for row in rows]
        mark: Found = {"color": colour, "ls": dashes, "marker": "o", "ms": 2.5}
        overlap.plot(sizes, [row["overlap"]["mean"] for row in rows], **mark)
        error.plot(sizes, [np.nan if row["boundary_A"] is None else row["boundary_A"] for row in rows], **mark)


def _legend(figure: Any, pairs: list[Found]) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=COLOURS[(k + 3) % len(COLOURS)], label=composite["name"])
        for k, composite in enumerate(pairs)
    ]
    lines += [Line2D([], [], color="0.3", ls=dashes, label=name) for name, dashes in LOOK.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), fontsize=6.5)


def _calibration(axis: Axes, pairs: list[Found], model: Found) -> None:
    axis.plot([0.3, 1], [0.3, 1], color="0.7", lw=0.7)
    for k, composite in enumerate(pairs):
        calibration = regions.score(model, composite["name"])["calibration"]
        if calibration:
            curve = [point for point in calibration["curve"] if point["windows"] >= 10]
            known = [[point[key] for point in curve] for key in ("confidence", "accuracy")]
            axis.plot(*known, color=COLOURS[(k + 3) % len(COLOURS)], marker="o", ms=2.5)
    axis.set(xlabel="confidence", ylabel="accuracy of the windows", xlim=(0.3, 1.01), ylim=(0, 1.03))


def _finding(rows: list[Found], pairs: list[Found], size: float, model: Found, settings: dict[str, Any]) -> str:
    """The worth of the maps, in sentences."""
    blocks = " + ".join(model["card"]["classifier"]["features"])
    parts = [f"Windows of {size:g} Å, {blocks}, {settings['dose']:g} e/Å²."]
    for composite in pairs:
        by_features = {
            row["features"]: row for row in rows if row["composite"] == composite["name"] and row["size"] == size
        }
        chosen = by_features[CHOSEN]
        others = ", ".join(f"{name} {by_features[name]['overlap']['mean']:.2f}" for name in LOOK if name != CHOSEN)
        each = " and ".join(f"{chosen['overlap'][state]:.2f} of {state}" for state in composite["states"])
        boundary = "" if chosen["boundary_A"] is None else f", boundary {chosen['boundary_A']:.1f} Å off"
        parts.append(
            f"{composite['states'][0]} | {composite['states'][1]} ({composite['kind']}): overlap"
            f" {chosen['overlap']['mean']:.2f} ({each}){boundary}; {others}."
        )
    foreign = ", ".join(
        f"{score['name']} {score['shares']['abstained']:.0%}" for score in model["scores"] if not score["states"]
    )
    return " ".join([*parts, f"Abstained on what was never trained: {foreign}."])
