"""Composites: maps of specimens whose regions are known, beside simpler measures, and what was never trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.report.figures import regions, worth, worth_text
from persistem.report.figures.drawing import COLOURS, PAGE, CannotDraw, Drawing, lettered
from persistem.report.figures.worth import ABSTAINED, CHOSEN
from persistem.report.figures.worth_text import label
from persistem.store.files import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    Found = dict[str, Any]

TITLE = "Maps of composites whose regions are known"
ABOUT = (
    "Composites of MD seeds that no model was trained on: half-melted crystals by molecular dynamics (melt), and end"
    " states spliced together (splice). Above, the first composite of each kind: states in their colours, what abstains"
    " hatched, the true boundary dashed; and what the windows are called of matter that was not trained, and of trained"
    " states in conditions that were not, mean over defoci and doses."
    " Below, how far maps and truth overlap (intersection over union, mean of the states; what"
    " abstains counts as not found), mean over composites, defoci and doses with the 95 % interval over composites,"
    " beside simpler measures of the same windows; the same against the size of the window, in the first condition; and"
    " how often windows are right that are so sure. Low-passed SD is told defocus and dose: it has a model for each."
)
#: Bump when the figure changes for the same study.
VERSION = 5


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw the maps and the scores.

    ``settings``: ``states``, ``judged`` (size, features and path of the scores of each model), ``composites`` (name,
    kind, states, structure, micrographs, chooses), and ``size`` (Å) of the study's own windows. numbers: ``finding``,
    ``size`` (Å), ``chosen`` (Å, None if nothing chooses), ``worth`` (``worth.worth``), ``rows`` of every map,
    ``strangers`` and ``calibration``.
    """
    import matplotlib.pyplot as plt

    judged = [record | read_json(Path(root) / record["path"]) for record in settings["judged"]]
    choosing = [composite["name"] for composite in settings["composites"] if composite["chooses"]]
    pairs = [composite for composite in settings["composites"] if composite["states"] and not composite["chooses"]]
    if not pairs:
        raise CannotDraw("every composite chooses the window; one more is needed to report")
    size, rows = settings["size"], worth.rows_of(judged)
    model = next(one for one in judged if one["size"] == size and one["features"] == CHOSEN)
    reported = [row for row in rows if row["name"] not in choosing]
    kinds = worth.worth([row for row in reported if row["size"] == size])
    shown = [next(one for one in pairs if (one["kind"], one["states"]) == (k["kind"], k["states"])) for k in kinds]
    strangers = worth.strangers(model)

    columns = max(len(shown) + 1, 3)
    figure = plt.figure(figsize=(PAGE, 2 * PAGE / columns + 0.9))
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.12, 1))
    above, below = parts
    cells = above.subplots(1, columns, squeeze=False)[0]
    letters = iter("abcdefghij")
    for axis, composite in zip(cells, shown, strict=False):
        _map(axis, composite, model, Path(root), next(letters))
    _called(cells[len(shown)], strangers, model["states"], next(letters))
    for axis in cells[len(shown) + 1 :]:
        axis.set_axis_off()
    beside, sizes, sure = below.subplots(1, 3)
    _beside(beside, kinds)
    _sizes(sizes, reported, kinds, size)
    for axis in (beside, sizes, sure):
        lettered(axis, next(letters))
    curves = {label(kind): _calibrated(model, reported, kind) for kind in kinds}
    _calibration(sure, list(curves.values()))
    _legend(below, kinds)

    chosen = _chosen(rows, choosing)
    finding = " ".join(worth_text.sentences(kinds, strangers, size, chosen, model["card"]))
    numbers = {
        "finding": finding,
        "size": size,
        "chosen": chosen,
        "worth": kinds,
        "rows": [row | {"chooses": row["name"] in choosing} for row in rows],
        "strangers": strangers,
        "calibration": curves,
    }
    return Drawing(figure, finding, numbers)


def _chosen(rows: list[Found], choosing: list[str]) -> float | None:
    """The window size whose maps of the choosing composites overlap the truth most; the smaller one of equals.

    Sizes are compared in the condition in which all were tried, the first.
    """
    ours = [row for row in rows if row["name"] in choosing and row["features"] == CHOSEN]
    if not ours:
        return None
    first = (ours[0]["defocus"], ours[0]["dose"])
    by_size: dict[float, list[float]] = {}
    for row in ours:
        if (row["defocus"], row["dose"]) == first:
            by_size.setdefault(row["size"], []).append(row["overlap"]["mean"])
    overlaps = {size: round(float(np.mean(values)), 12) for size, values in by_size.items()}
    return max(sorted(overlaps), key=lambda size: overlaps[size])


def _map(axis: Axes, composite: Found, model: Found, root: Path, letter: str) -> None:
    """The micrograph in grey, the map over it, and the true boundary."""
    shown = regions.read_shown(root / composite["micrographs"][0]["path"])
    regions.micrograph(axis, shown)
    regions.mapped(axis, model, composite["name"], shown.pixel_size, root)
    regions.boundary(axis, composite, shown, root)
    score = regions.score(model, composite["name"])
    condition = f"{score['defocus']:g} Å, {score['dose']:g} e/Å²"
    lettered(axis, letter, f"{label(composite)}\n{condition}: {score['overlap']['mean']:.2f}")


def _called(axis: Axes, strangers: list[Found], states: list[str], letter: str) -> None:
    """What the windows are called of specimens that were not trained."""
    left = np.zeros(len(strangers))
    names = [stranger["name"] for stranger in strangers]
    for k, state in enumerate((*states, ABSTAINED)):
        share = np.array([stranger["shares"][state] for stranger in strangers])
        colour = "0.8" if state == ABSTAINED else COLOURS[k % len(COLOURS)]
        axis.barh(names, share, left=left, color=colour, label=state, hatch="////" if state == ABSTAINED else None)
        left += share
    axis.set(xlim=(0, 1), xlabel="share of the windows")
    lettered(axis, letter, "not trained, and vacuum")
    axis.invert_yaxis()
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2)


def _beside(axis: Axes, kinds: Sequence[Found]) -> None:
    """The overlap by the model and by simpler measures, each with its interval."""
    names = list(dict.fromkeys(features for kind in kinds for features in kind["features"]))
    for k, kind in enumerate(kinds):
        for place, features in enumerate(names):
            value = kind["features"][features]["overlap"]
            at, colour = place + 0.25 * (k - (len(kinds) - 1) / 2), _colour(k)
            axis.plot(value["mean"], at, "o", ms=3, color=colour)
            if value["low"] is not None:
                axis.plot([value["low"], value["high"]], [at, at], color=colour, lw=1)
    shown = ["the model" if name == CHOSEN else name for name in names]
    axis.set(yticks=range(len(names)), yticklabels=shown, xlim=(0, 1.02), xlabel="intersection over union")
    axis.invert_yaxis()


def _sizes(axis: Axes, rows: list[Found], kinds: Sequence[Found], size: float) -> None:
    """The overlap of the model's maps against the size of the window, in the first condition."""
    for k, kind in enumerate(kinds):
        own = [row for row in rows if _is(row, kind) and row["features"] == CHOSEN]
        own = [row for row in own if (row["defocus"], row["dose"]) == (own[0]["defocus"], own[0]["dose"])]
        means = {s: np.mean([r["overlap"]["mean"] for r in own if r["size"] == s]) for s in {r["size"] for r in own}}
        axis.plot(sorted(means), [means[s] for s in sorted(means)], color=_colour(k), marker="o", ms=2.5)
    axis.axvline(size, color="0.7", lw=0.7, zorder=0)
    axis.set(xlabel="window (Å)", ylabel="intersection over union", ylim=(0, 1.02))


def _is(row: Found, kind: Found) -> bool:
    return bool(row["kind"] == kind["kind"] and row["states"] == kind["states"])


def _colour(k: int) -> str:
    return COLOURS[(k + 3) % len(COLOURS)]


def _legend(figure: Any, kinds: Sequence[Found]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=_colour(k), marker="o", ms=3, label=label(kind)) for k, kind in enumerate(kinds)]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines))


def _calibrated(model: Found, rows: list[Found], kind: Found) -> list[Found]:
    """How often windows are right, by their confidence, over all maps of a kind of composite."""
    names = {row["name"] for row in rows if _is(row, kind)}
    curves = [s["calibration"]["curve"] for s in model["scores"] if s["name"] in names and s["calibration"]]
    classes: dict[int, list[Found]] = {}
    for point in (point for curve in curves for point in curve):
        classes.setdefault(min(int(point["confidence"] * 10), 9), []).append(point)
    joined = []
    for points in (classes[k] for k in sorted(classes)):
        windows = [point["windows"] for point in points]
        joined.append(
            {key: float(np.average([p[key] for p in points], weights=windows)) for key in ("confidence", "accuracy")}
            | {"windows": sum(windows)}
        )
    return joined


def _calibration(axis: Axes, curves: Sequence[list[Found]]) -> None:
    axis.plot([0.3, 1], [0.3, 1], color="0.7", lw=0.7)
    for k, curve in enumerate(curves):
        shown = [point for point in curve if point["windows"] >= 10]
        known = [[point[key] for point in shown] for key in ("confidence", "accuracy")]
        axis.plot(*known, color=_colour(k), marker="o", ms=2.5)
    axis.set(xlabel="confidence", ylabel="accuracy of the windows", xlim=(0.3, 1.01), ylim=(0, 1.03))
