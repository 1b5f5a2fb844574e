"""Calibration: whether the classifier is right as often as it says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.report.figures.baselines import INTERVALS, MAIN, TASKS, Row, evaluation, in_order, look, said, sentence
from persistem.report.figures.drawing import PAGE, CannotDraw, Drawing, lettered

if TYPE_CHECKING:
    from matplotlib.axes import Axes


TITLE = "Whether the probabilities can be believed"
ABOUT = (
    "Top: crops by the probability of the state that they are taken for, and the share of them that is that state; on"
    " the diagonal probabilities mean what they say. Every probability is from a model that saw none of the crop's"
    " seed, a model for each defocus, all foci together. Middle: how many crops have such a probability. Bottom: the"
    " Brier score, the mean over crops of the squared difference between probabilities and truth, summed over states:"
    " lower is better, dotted is what even probabilities get."
)
#: Bump when the figure changes for the same study.
VERSION = 4

#: A mean deviation smaller than this counts as none; bins with less than this share of the crops are not judged.
NONE, FEW = 0.02, 0.01


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw a column for each task; ``settings``: ``evaluation``, path of a JSON.

    numbers: ``finding`` and ``rows``: ``brier`` with its interval, ``over`` (the mean over crops of probability minus
    share; negative: under-confident), ``largest`` (of the bins with at least 1 % of the crops the one farthest from the
    diagonal) and ``bins``.
    """
    import matplotlib.pyplot as plt

    results = evaluation(settings, root)
    rows = [row for row in results.get("calibration", []) if any(of_task["count"] for of_task in row["bins"])]
    rows = [row for row in rows if row["training"] == "per-defocus"] or rows
    if not rows:
        raise CannotDraw("the evaluation has no calibrated probabilities")
    chance = 1 / len(results["states"])
    tasks = [task for task in TASKS if any(row["task"] == task for row in rows)]
    names = {task: in_order(row["row"] for row in rows if row["task"] == task) for task in tasks}
    most = max(map(len, names.values()))
    heights = [2.9, 0.9, 0.25 + 0.19 * most]
    size = (PAGE if len(tasks) > 1 else 4.2, sum(heights) + 1.1)
    figure, cells = plt.subplots(3, len(tasks), figsize=size, height_ratios=heights, squeeze=False)
    for n, task in enumerate(tasks):
        of_task = sorted((row for row in rows if row["task"] == task), key=lambda row: names[task].index(row["row"]))
        _reliability(cells[0, n], of_task, chance)
        _counts(cells[1, n], of_task, chance)
        _brier(cells[2, n], of_task, chance)
        lettered(cells[0, n], "ab"[n], TASKS[task])
    cells[0, 0].set_ylabel("Share that is right")
    cells[1, 0].set_ylabel("Crops")
    for k in (1, 2):
        low = min(axes.get_xlim()[0] if k == 2 else axes.get_ylim()[0] for axes in cells[k])
        high = max(axes.get_xlim()[1] if k == 2 else axes.get_ylim()[1] for axes in cells[k])
        for axes in cells[k]:
            (axes.set_xlim if k == 2 else axes.set_ylim)(low, high)

    measured = [_measured(row) for row in rows]
    finding = _finding(measured)
    caption = f"{finding} Bins with less than {100 * FEW:g} % of the crops are not judged. {INTERVALS}."
    return Drawing(figure, caption, {"finding": finding, "rows": measured})


def _filled(row: Row) -> list[Row]:
    return [filled for filled in row["bins"] if filled["count"]]


def _reliability(axes: Axes, rows: Sequence[Row], chance: float) -> None:
    axes.plot([chance, 1], [chance, 1], color="0.6", lw=0.6, zorder=0)
    for row in rows:
        bins = _filled(row)
        axes.plot(
            [filled["probability"] for filled in bins],
            [filled["share"] for filled in bins],
            ms=4,
            lw=0.9,
            **look(row["row"]),
        )
    low = min([chance, *(filled["share"] for row in rows for filled in _filled(row))])
    axes.set(xlim=(chance - 0.02, 1.02), ylim=(low - 0.03, 1.02))
    axes.text(0.03, 0.96, "right more often\nthan stated", transform=axes.transAxes, va="top", color="0.4")
    axes.text(0.97, 0.04, "right less often\nthan stated", transform=axes.transAxes, ha="right", color="0.4")


def _counts(axes: Axes, rows: Sequence[Row], chance: float) -> None:
    for row in rows:
        bins = _filled(row)
        axes.plot(
            [filled["probability"] for filled in bins],
            [filled["count"] for filled in bins],
            ms=2.5,
            lw=0.7,
            **look(row["row"]),
        )
    axes.set(xlim=(chance - 0.02, 1.02), ylim=(0, None), xlabel="Probability stated")
    axes.locator_params(axis="y", nbins=3)


def _brier(axes: Axes, rows: Sequence[Row], chance: float) -> None:
    """A line for each row, in the symbol and colour of its curve above."""
    for k, row in enumerate(rows):
        low, high = (row["brier"] if row[end] is None else row[end] for end in ("brier_low", "brier_high"))
        spread = [[max(row["brier"] - low, 0)], [max(high - row["brier"], 0)]]
        axes.errorbar(row["brier"], k, xerr=spread, ms=4.5, elinewidth=0.7, **look(row["row"]))
        axes.annotate(f"{row['brier']:.3f}", (1.02, k), xycoords=axes.get_yaxis_transform(), va="center")
    axes.set_yticks(range(len(rows)), [row["row"] for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(look(row["row"])["color"])
    axes.axvline(1 - chance, color="0.5", lw=0.7, ls=":")  # of even probabilities
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel="Brier score")
    axes.margins(x=0.1)


def _measured(row: Row) -> dict[str, Any]:
    """A row's deviations from the diagonal, weighted by the number of crops."""
    bins = _filled(row)
    total = sum(filled["count"] for filled in bins)
    over = [filled["probability"] - filled["share"] for filled in bins]
    judged = [filled for filled in bins if filled["count"] >= FEW * total]
    largest = max(judged, key=lambda filled: abs(filled["probability"] - filled["share"])) if judged else None
    mean = sum(deviation * filled["count"] for deviation, filled in zip(over, bins, strict=True)) / total
    keys = ("row", "task", "training", "brier", "brier_low", "brier_high")
    return {key: row[key] for key in keys} | {
        "over": round(mean, 4),
        "largest": largest,
        "judged": len(judged),
        "bins": bins,
    }


def _error(filled: Row) -> float:
    """Standard error of the share that is right, of a bin's crops if they were independent (binomial)."""
    stated = float(filled["probability"])
    return math.sqrt(stated * (1 - stated) / float(filled["count"]))


def _finding(rows: Sequence[dict[str, Any]]) -> str:
    """The first main row in full, and how many others are over- or under-confident."""
    rank = {name: n for n, name in enumerate(MAIN)}
    first = min(rows, key=lambda r: (rank.get(r["row"], len(rank)), -list(TASKS).index(r["task"])))
    clauses = [
        f"with {TASKS[first['task']]}, {first['row']} is {_kind(first)} (Brier score {said(first, 'brier', 'brier')})"
    ]
    if largest := first["largest"]:
        clauses.append(
            f"of its {first['judged']} judged bins the largest deviation is"
            f" {abs(largest['probability'] - largest['share']):.2f}: where it states {largest['probability']:.2f},"
            f" {largest['share']:.2f} is right ({largest['count']:g} crops, with a standard error of"
            f" {_error(largest):.2f} if they were independent, and the largest of several errors is larger)"
        )
    others = [row for row in rows if row is not first]
    if others:
        over, under = (sum(1 for row in others if sign * row["over"] >= NONE) for sign in (1, -1))
        clauses.append(f"of {len(others)} other rows {over} are over-confident and {under} under-confident")
    return sentence(clauses)


def _kind(row: dict[str, Any]) -> str:
    if abs(row["over"]) < NONE:
        return f"neither over- nor under-confident on average (by less than {NONE:g})"
    return f"{'over' if row['over'] > 0 else 'under'}-confident by {abs(row['over']):.2f} on average"
