"""Robustness: accuracy when the microscope, the detector or the crops differ from the training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from persistem.learning.rows import ALONE
from persistem.report.figures.baselines import (
    INTERVALS,
    MAIN,
    TASKS,
    Row,
    compare,
    error,
    evaluation,
    in_order,
    listed,
    look,
    lowest,
    said,
    sentence,
)
from persistem.report.figures.drawing import PAGE, CannotDraw, Drawing, lettered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Sweep = dict[str, Any]

TITLE = "Accuracy under other conditions than those of the training"
ABOUT = (
    "One setting of the microscope, the detector or the crops changes along each panel. Dashed: the classifier was"
    " trained at the base condition (vertical line) and does not know of the change; solid: it was trained on the"
    " condition itself. Both are tested on seeds that they have not seen, at one defocus. Crosses below: no number."
)
#: Bump when the figure changes for the same study.
VERSION = 5

COLUMNS = 4
#: Positive values that span more than this factor get a logarithmic axis.
SPAN = 15
#: The look of the control, which has no interval: it would hide those of the rows.
CONTROL: dict[str, Any] = {"color": "0.45", "lw": 0.9, "ls": ":", "marker": "+", "ms": 5}


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw a panel for each sweep.

    ``settings``: ``sweeps`` (``path`` of a JSON, ``title`` and ``axis`` of each) and ``evaluation`` (path of a JSON
    with the states, or None).
    numbers: ``finding``, and ``sweeps`` with the points of every row.
    """
    import matplotlib.pyplot as plt

    sweeps = [evaluation({"sweep": record["path"]}, root, "sweep") | record for record in settings["sweeps"]]
    results = evaluation(settings, root) if settings.get("evaluation") else {}
    sweeps = [sweep for sweep in sweeps if any(_known(curve) for curve in sweep["curves"])]
    if not sweeps:
        raise CannotDraw("no sweep has a number")
    names = main_rows([curve for sweep in sweeps for curve in sweep["curves"]])
    chance = 1 / len(results["states"]) if results else None
    points = [point for sweep in sweeps for curve in sweep["curves"] for point in _known(curve)]

    lines = -(-len(sweeps) // COLUMNS)
    columns = min(COLUMNS, max(len(sweeps), 2))
    figure, cells = plt.subplots(lines, columns, figsize=(PAGE, 1.9 * lines + 0.5), sharey=True, squeeze=False)
    for letter, axes, sweep in zip("abcdefghijklmnop", cells.ravel(), sweeps, strict=False):
        axes.set(ylim=(lowest(points, chance if chance is not None else 1), 1.015))
        _panel(axes, sweep, names)
        if chance is not None:
            axes.axhline(chance, color="0.5", lw=0.7, ls=":")
        lettered(axes, letter, fill(sweep["title"], 96 // columns))
    for axes in cells.ravel()[len(sweeps) :]:
        axes.set_axis_off()
    for line in cells:
        line[0].set_ylabel("Accuracy")
    _legend(figure, names, _control(sweeps, names))

    finding = sentence([_worst(sweeps, names), _alone(sweeps, names)])
    without = [f"{s['title']}, {_value(p['value'], s)}: {p['reason']}" for s in sweeps for p in _missing(s)]
    caption = f"{finding} {INTERVALS}."
    if without:
        caption += f" No number: {listed(without, 4)}."
    if chance is not None:
        caption += " Dotted: chance."
    keys = ("sweep", "title", "axis", "values", "base", "defocus", "curves")
    shown = [{key: sweep[key] for key in keys} for sweep in sweeps]
    return Drawing(figure, caption, {"finding": finding, "sweeps": shown})


def _known(curve: Row) -> list[Row]:
    return [point for point in curve["points"] if point["accuracy"] is not None]


def main_rows(curves: Sequence[Row]) -> dict[str, str]:
    """The main rows, or all if none is there, each in one task: without contrast if that was tested."""
    main = [curve for curve in curves if curve["row"] in MAIN] or list(curves)
    tasks = {
        name: {curve["task"] for curve in main if curve["row"] == name} for name in in_order(c["row"] for c in main)
    }
    return {name: next(task for task in reversed(TASKS) if task in tested) for name, tested in tasks.items()}


def _control(sweeps: Sequence[Sweep], names: dict[str, str]) -> str | None:
    """The first of the rows that has a control of contrast alone."""
    tested = {curve["row"] for sweep in sweeps for curve in sweep["curves"] if curve["task"] == ALONE}
    return next((name for name in (*MAIN, *names) if name in names and name in tested), None)


def _controls(sweep: Sweep, name: str | None) -> list[Row]:
    return [curve for curve in sweep["curves"] if (curve["row"], curve["task"]) == (name, ALONE)]


def _missing(sweep: Sweep) -> list[Row]:
    """Conditions without a number in any curve, with the reason."""
    reasons: dict[int, Row] = {}
    for k in range(len(sweep["values"])):
        points = [curve["points"][k] for curve in sweep["curves"] if k < len(curve["points"])]
        if points and all(point["accuracy"] is None for point in points):
            reasons[k] = points[0]
    return [point for point in reasons.values() if point["reason"]]


def _value(value: Any, sweep: Sweep) -> str:
    """A condition in the form of axis labels; None is an infinite dose, or the absence of what the sweep changes."""
    if value is None:
        return "∞" if "dose" in f"{sweep['sweep']} {sweep['axis']}".lower() else "none"
    if isinstance(value, list):
        return ", ".join(_value(v, sweep) for v in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _scale(sweep: Sweep) -> tuple[str, list[float]]:
    """``log``, ``linear`` or ``names``, and the place of each condition; an infinite dose lies beyond the others."""
    values = sweep["values"]
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    infinite = [v for v in values if v is None and _value(v, sweep) == "∞"]
    if len(set(numbers)) > 1 and len(numbers) + len(infinite) == len(values):
        low, high = min(numbers), max(numbers)
        if low > 0 and (infinite or high / low > SPAN):
            step = max((high / low) ** (1 / (len(set(numbers)) - 1)), 2)
            return "log", [high * step if v is None else float(v) for v in values]
        if not infinite:
            return "linear", numbers
    return "names", [float(k) for k in range(len(values))]


def _panel(axes: Axes, sweep: Sweep, names: dict[str, str]) -> None:
    scale, places = _scale(sweep)
    ordered = sorted(range(len(places)), key=lambda k: places[k])
    if scale == "log":
        axes.set_xscale("log")
    axes.axvline(places[sweep["base"]], color="0.75", lw=2.0, zorder=0)
    for name, task in names.items():
        colour = look(name)["color"]
        for training in ("base", "same"):
            curve = next(
                (c for c in sweep["curves"] if (c["row"], c["task"], c["training"]) == (name, task, training)), None
            )
            if curve is None:
                continue
            known = [k for k in ordered if curve["points"][k]["accuracy"] is not None]
            accuracy = [curve["points"][k]["accuracy"] for k in known]
            x = [places[k] for k in known]
            style = look(name) | ({"mfc": "white"} if training == "base" else {})
            axes.plot(x, accuracy, color=colour, lw=0.9, ls=(0, (3, 1.5)) if training == "base" else "-")
            for k in known:
                point = curve["points"][k]
                bar: dict[str, Any] = {"ms": 2.8, "mew": 0.7, "elinewidth": 0.5, "ecolor": (colour, 0.5), "ls": ""}
                axes.errorbar(places[k], point["accuracy"], error(point), **bar, **style)
    for curve in _controls(sweep, _control([sweep], names)):
        known = [k for k in ordered if curve["points"][k]["accuracy"] is not None]
        axes.plot([places[k] for k in known], [curve["points"][k]["accuracy"] for k in known], **CONTROL)
    for point in _missing(sweep):
        k = sweep["values"].index(point["value"])
        axes.plot(places[k], 0.07, "x", color="0.3", ms=4, transform=axes.get_xaxis_transform(), clip_on=False)
    _ticks(axes, sweep, scale, places)
    axes.set_xlabel(fill(sweep["axis"], 28))


def _ticks(axes: Axes, sweep: Sweep, scale: str, places: list[float]) -> None:
    """Values as labels, as many as fit; the base and the ends first."""
    from matplotlib.ticker import NullFormatter, NullLocator

    texts = [_value(value, sweep) for value in sweep["values"]]
    if scale == "names":
        upright = sum(map(len, texts)) > 20
        axes.set_xticks(places, [fill(text, 14) for text in texts], rotation=40 if upright else 0,
                        ha="right" if upright else "center", rotation_mode="anchor" if upright else None)  # fmt: skip
        axes.set_xlim(-0.4, len(places) - 0.6)
        return
    position = [math.log(p) if scale == "log" else p for p in places]
    width = max(position) - min(position)
    kept: list[int] = []
    for k in [position.index(max(position)), position.index(min(position)), sweep["base"], *range(len(places))]:
        if all(abs(position[k] - position[j]) > 0.045 * width * (len(texts[k]) + len(texts[j])) / 2 for j in kept):
            kept.append(k)
    axes.set_xticks(places, [text if k in kept else "" for k, text in enumerate(texts)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Any, names: dict[str, str], control: str | None) -> None:
    from matplotlib.lines import Line2D

    several = len(set(names.values())) > 1
    handles = [
        Line2D([], [], lw=0.9, ms=3.5, label=f"{name} ({task})" if several else name, **look(name))
        for name, task in names.items()
    ]
    handles.append(
        Line2D([], [], color="0.3", ls=(0, (3, 1.5)), marker="o", mfc="white", ms=3.5, label="trained at base")
    )
    handles.append(Line2D([], [], color="0.3", marker="o", ms=3.5, label="trained at the condition"))
    if control is not None:
        handles.append(Line2D([], [], **CONTROL, label=f"{control}, {ALONE}"))
    columns = len(handles) if len(handles) < 5 and not several else 3
    title = None if several else f"with {TASKS[next(iter(names.values()))]}"
    figure.legend(handles=handles, title=title, loc="outside lower center", ncols=columns)


def _worst(sweeps: Sequence[Sweep], names: dict[str, str]) -> str:
    """Where the first main row, trained at the base, drops most, and how much training on the condition recovers."""
    name = next((name for name in MAIN if name in names), next(iter(names), None))
    drops = []
    for sweep in sweeps:
        curves = {c["training"]: c for c in sweep["curves"] if (c["row"], c["task"]) == (name, names.get(str(name)))}
        start = curves["base"]["points"][sweep["base"]] if "base" in curves else None
        if start is None or start["accuracy"] is None:
            continue
        for k, point in enumerate(curves["base"]["points"]):
            if k != sweep["base"] and point["accuracy"] is not None:
                same = curves["same"]["points"][k] if "same" in curves else None
                drops.append((start["accuracy"] - point["accuracy"], sweep, start, point, same))
    if not drops:
        return "no condition was tested by a model trained at the base of its sweep"
    lost, sweep, start, point, same = max(drops, key=lambda drop: (compare(drop[3], drop[2]) == "below", drop[0]))
    at = f"{sweep['title']}, {_value(point['value'], sweep)}"
    verdict = compare(point, start)
    if verdict == "undecided" and lost > 0:
        change = (
            f"loses at no condition beyond the intervals, and falls most at {at}, from {said(start)} to {said(point)}"
        )
    else:
        verb = "loses most" if verdict == "below" else "loses at no condition, and gains least"
        change = f"{verb} at {at}: {said(start)} becomes {said(point)}"
    clauses = [f"trained at the base, {name} ({TASKS[names[str(name)]]}) {change}{_called(point)}"]
    if lost > 0 and same is not None and same["accuracy"] is not None:
        back = same["accuracy"] - point["accuracy"]
        gain = {"above": f"recovers {back:.2f} of the {lost:.2f}", "below": f"loses {-back:.2f} more",
                "undecided": "recovers nothing beyond the intervals"}[compare(same, point)]  # fmt: skip
        clauses.append(f"training at that condition {gain}, with {said(same)}")
    return "; ".join(clauses)


def _alone(sweeps: Sequence[Sweep], names: dict[str, str]) -> str:
    """What contrast alone would tell through the noise where it tells most, and what is told there without it."""
    name = _control(sweeps, names)
    told = [
        (point, sweep, k)
        for sweep in sweeps
        for curve in _controls(sweep, name)
        for k, point in enumerate(curve["points"])
        if point["accuracy"] is not None
    ]
    if not told:
        return ""
    most, sweep, k = max(told, key=lambda of: of[0]["accuracy"])
    without = next(
        curve["points"][k]
        for curve in sweep["curves"]
        if (curve["row"], curve["task"], curve["training"]) == (name, names[str(name)], "same")
    )
    return (
        f"contrast alone, seen through the noise of {sweep['title']}, {_value(most['value'], sweep)}, would give {name}"
        f" {said(most)}; with the contrast removed before counting it has {said(without)} there"
    )


def _called(point: Row) -> str:
    """What an accuracy is made of: the state that most crops are called, and how many of them."""
    if not point.get("called"):
        return ""
    state, share = max(point["called"].items(), key=lambda item: item[1])
    return f", where it calls {'every crop' if share == 1 else f'{math.floor(100 * share)} % of the crops'} {state}"
