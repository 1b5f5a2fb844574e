"""Curves: accuracy against the number of seeds that train and against the side of a crop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.report.figures.baselines import (
    INTERVALS,
    MAIN,
    TASKS,
    Row,
    compare,
    error,
    evaluation,
    in_order,
    label_ends,
    look,
    lowest,
    said,
    sentence,
)
from persistem.report.figures.drawing import PAGE, CannotDraw, Drawing, lettered

if TYPE_CHECKING:
    from matplotlib.axes import Axes


TITLE = "Accuracy against training seeds and crop size"
ABOUT = (
    "Whether more data would help: accuracy on unseen seeds against the number of seeds that train, and against the"
    " side of a crop, a model for each defocus, over all foci. Against seeds, every row has one classifier; against"
    " sides, inner folds choose it, so the two need not agree where they should meet."
)
#: Bump when the figure changes for the same study.
VERSION = 4

#: The two abscissae: their key in the JSON and the label of their axis.
ACROSS = {"seeds": "Seeds that train", "crop_A": "Side of a crop (Å)"}
#: A change smaller than this counts as none.
FLAT = 0.01


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw seeds on the left and sides on the right, a line of panels for each task; ``settings``: ``evaluation``.

    numbers: ``finding``, ``seeds`` and ``sides`` (the points drawn).
    """
    import matplotlib.pyplot as plt

    results = evaluation(settings, root)
    points = {
        "seeds": _main(results.get("learning_curve", [])),
        "crop_A": [r for r in _main(results["rows"]) if r["training"] == "per-defocus" and r["foci"] == "all"],
    }
    points = {across: rows for across, rows in points.items() if len({row[across] for row in rows}) > 1}
    if not points:
        raise CannotDraw("the evaluation has one number of training seeds and one side of crops, so there is no curve")
    tasks = [task for task in TASKS if any(row["task"] == task for rows in points.values() for row in rows)]
    chance = 1 / len(results["states"])
    low = lowest([row for rows in points.values() for row in rows], chance)

    size = (PAGE, 0.5 + 2.1 * len(tasks))
    figure, cells = plt.subplots(len(tasks), len(points), figsize=size, sharey=True, sharex="col", squeeze=False)
    for n, task in enumerate(tasks):
        for axes, (across, rows) in zip(cells[n], points.items(), strict=True):
            axes.set(ylim=(low, 1.015))
            _panel(axes, [row for row in rows if row["task"] == task], across)
            axes.axhline(chance, color="0.5", lw=0.7, ls=":")
            if n == len(tasks) - 1:
                axes.set_xlabel(ACROSS[across])
        cells[n][0].set_ylabel("Accuracy on unseen seeds")
    for letter, axes, n in zip("abcd", cells.ravel(), range(cells.size), strict=False):
        lettered(axes, letter, TASKS[tasks[n // len(points)]])

    finding = _finding(points)
    keys = ("row", "task", "training", "accuracy", "ci_low", "ci_high")
    shown = {name: [{k: row[k] for k in (*keys, across)} for row in points.get(across, [])]
             for name, across in (("seeds", "seeds"), ("sides", "crop_A"))}  # fmt: skip
    caption = f"{finding} {INTERVALS}. Dotted: chance."
    return Drawing(figure, caption, {"finding": finding, **shown})


def _main(rows: Sequence[Row]) -> list[Row]:
    """The main rows, or all if none is there; with a model for each defocus if there is a choice."""
    main = [row for row in rows if row["row"] in MAIN] or list(rows)
    return [row for row in main if row["training"] == "per-defocus"] or main


def _panel(axes: Axes, rows: Sequence[Row], across: str) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    values = sorted({row[across] for row in rows})
    names = in_order(row["row"] for row in rows)
    ends = []
    if across == "crop_A":
        axes.set_xscale("log", base=2)
    for n, name in enumerate(names):
        curve = sorted((row for row in rows if row["row"] == name), key=lambda row: row[across])
        shift = n - (len(names) - 1) / 2
        x = [row[across] * 1.02**shift if across == "crop_A" else row[across] + 0.05 * shift for row in curve]
        style = look(name)
        axes.plot(x, [row["accuracy"] for row in curve], color=style["color"], lw=0.9)
        for position, row in zip(x, curve, strict=True):
            axes.errorbar(position, row["accuracy"], error(row), ms=4, elinewidth=0.6, ls="", **style)
        ends.append((x[-1], curve[-1]["accuracy"], name, style["color"]))
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    label_ends(axes, ends, 0.085)


def _finding(points: dict[str, list[Row]]) -> str:
    """What more seeds and larger crops bring the first main row, without contrast if that was tested."""
    rows = [row for listed in points.values() for row in listed]
    name = next((name for name in MAIN if any(row["row"] == name for row in rows)), rows[0]["row"])
    tasks = {row["task"] for row in rows if row["row"] == name}
    task = next(task for task in reversed(TASKS) if task in tasks)
    clauses: list[str] = []
    for across, rows_across in points.items():
        curve = sorted((r for r in rows_across if (r["row"], r["task"]) == (name, task)), key=lambda r: r[across])
        if len(curve) < 2:
            continue
        verb = {"above": "rises", "below": "falls", "undecided": "does not change beyond the intervals:"}[
            compare(curve[-1], curve[0])
        ]
        subject = f"with {TASKS[task]}, accuracy of {name}" if not clauses else "it"
        if across == "seeds":
            start, last = curve[0], curve[-1]
            seeds = f"{start['seeds']} training seed{'s' if start['seeds'] > 1 else ''}"
            clauses.append(
                f"{subject} {verb} from {said(start)} with {seeds} to {said(last)} with {last['seeds']},"
                f" {_still(curve)}"
            )
        else:
            start, larger = _doubled(curve)
            verb = {"above": "rises", "below": "falls", "undecided": "does not change beyond the intervals:"}[
                compare(larger, start)
            ]
            sides = (
                f"from {said(start)} in crops of {start[across]:g} Å to {said(larger)} in crops of {larger[across]:g} Å"
            )
            clauses.append(f"{subject} {verb} {sides}")
            if larger is not curve[-1]:
                clauses[-1] += f" and {said(curve[-1])} in crops of {curve[-1][across]:g} Å"
    return sentence(clauses)


def _still(curve: Sequence[Row]) -> str:
    """Whether the last half of the seeds still changed the accuracy."""
    last = curve[-1]
    half = max((row for row in curve[:-1] if row["seeds"] <= last["seeds"] / 2), key=lambda r: r["seeds"],
               default=curve[0])  # fmt: skip
    if half is curve[0]:  # the rise from there on is already stated
        return "too few numbers of seeds to say whether it still rises"
    change = last["accuracy"] - half["accuracy"]
    since = f"from {half['seeds']} seeds on"
    if verdict := {"above": "still rising", "below": "falling"}.get(compare(last, half)):
        return f"{verdict} {since} (by {abs(change):.2f})"
    if abs(change) < FLAT:
        return f"level {since} (a change below {FLAT:g})"
    return f"and whether it still {'rises' if change > 0 else 'falls'} {since} (by {abs(change):.2f}) is undecided"


def _doubled(curve: Sequence[Row]) -> tuple[Row, Row]:
    """The smallest crops and the ones of twice their side, or the next larger."""
    smallest = curve[0]
    return smallest, next((row for row in curve if row["crop_A"] == 2 * smallest["crop_A"]), curve[1])
