"""Controls: accuracy where one difference between the states is taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
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
    look,
    lowest,
    said,
    sentence,
)
from persistem.report.figures.drawing import PAGE, CannotDraw, Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes


TITLE = "What remains when one difference is taken away"
ABOUT = (
    "The same classification on specimens or images that lack one of the differences between the states: where the"
    " accuracy of a row falls, that difference is what it told the states apart by. A model for each defocus, all foci,"
    " on unseen seeds. Thin lines: the first control of the same seeds, the states as they were simulated, with which a"
    " control is compared. Below a control's name the densities of its states."
)
#: The rows to draw, if there are any of them; the JSON has all.
SHOWN = (*MAIN, "texture", "phase-randomised", "persistence image", "all together")
#: Bump when the figure changes for the same study.
VERSION = 3


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw a line for each control and a panel for each task; ``settings``: ``controls``, path of a JSON.

    numbers: ``finding``, ``controls`` (name, densities in g/cm³, rows) and ``changes`` from the first control.
    """
    import matplotlib.pyplot as plt

    results = evaluation(settings, root, "controls")
    controls = [control for control in results.get("controls", []) if control["rows"]]
    if len(controls) < 2:
        raise CannotDraw("there is no control beside the states as they were simulated")
    everything = controls
    if any(row["row"] in SHOWN for control in controls for row in control["rows"]):
        controls = [dict(control, rows=[row for row in control["rows"] if row["row"] in SHOWN]) for control in controls]
    rows = [row for control in controls for row in control["rows"]]
    tasks = [task for task in TASKS if any(row["task"] == task for row in rows)]
    names = in_order(row["row"] for row in rows)
    chance = 1 / len(results["states"])

    height = max(0.42, 0.13 * len(names) + 0.1)
    size = (PAGE, 0.9 + height * len(controls))
    figure, cells = plt.subplots(1, len(tasks), figsize=size, sharey=True, sharex=True, squeeze=False)
    for letter, axes, task in zip("ab", cells[0], tasks, strict=False):
        _panel(axes, controls, task, names)
        axes.axvline(chance, color="0.5", lw=0.7, ls=":")
        axes.set(xlim=(lowest(rows, chance), 1.015), xlabel="Accuracy on unseen seeds")
        axes.set_title(f"$\\bf{{({letter})}}$ {TASKS[task]}", loc="left")
    cells[0][0].set_yticks(range(len(controls)), [_label(control) for control in controls])
    _legend(figure, names)

    changes = _changes(controls)
    finding = _finding(changes)
    descriptions = settings.get("about") or {}
    described = " ".join(
        f"{control['name'][:1].upper()}{control['name'][1:]}: {descriptions[control['name']].rstrip('.')}."
        for control in controls
        if descriptions.get(control["name"])
    )
    keys = ("row", "task", "accuracy", "ci_low", "ci_high", "vote")
    shown = [
        {key: control[key] for key in ("name", "seeds", "densities")}
        | {"rows": [{key: row.get(key) for key in keys} for row in control["rows"]]}
        for control in everything
    ]
    plain = [{key: value for key, value in change.items() if key not in ("before", "after")} for change in changes]
    caption = f"{finding} {described} {INTERVALS}. Dotted: chance."
    return Drawing(figure, caption, {"finding": finding, "controls": shown, "changes": plain})


def _panel(axes: Axes, controls: Sequence[Mapping[str, Any]], task: str, names: list[str]) -> None:
    """Rows beside each other within a control's line."""
    step = 0.78 / max(len(names), 2)
    first = _references(controls)
    for k, control in enumerate(controls):
        for row in (row for row in control["rows"] if row["task"] == task):
            y = k + step * (names.index(row["row"]) - (len(names) - 1) / 2)
            style = look(row["row"])
            axes.errorbar(row["accuracy"], y, xerr=error(row), ms=4, elinewidth=0.7, **style)
            if before := first.get((tuple(control["seeds"]), task, row["row"])):
                axes.plot(
                    [before["accuracy"]] * 2, [k - 0.5, k + 0.5], color=style["color"], lw=0.6, alpha=0.5, zorder=0
                )
        if k:
            axes.axhline(k - 0.5, color="0.9", lw=0.5, zorder=0)
    axes.set_ylim(len(controls) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)


def _label(control: Mapping[str, Any]) -> str:
    """A control's name and the densities of its states."""
    name = fill(control["name"], 26)
    if not control["densities"]:
        return name
    return f"{name}\n{' | '.join(f'{value:.2f}' for value in control['densities'].values())} g/cm³"


def _legend(figure: Any, names: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], ls="", ms=4.5, label=name, **look(name)) for name in names]
    columns = len(handles) if len(handles) < 5 else -(-len(handles) // 2)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handletextpad=0.2, columnspacing=1.2)


def _changes(controls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How each row's accuracy differs from the first control's with the same seeds."""
    reference = _references(controls)
    return [
        {
            "control": control["name"],
            "row": row["row"],
            "task": row["task"],
            "change": round(row["accuracy"] - before["accuracy"], 4),
            "verdict": compare(row, before),
            "before": before,
            "after": row,
        }
        for control in controls
        for row in control["rows"]
        if (before := reference.get((tuple(control["seeds"]), row["task"], row["row"]))) and before is not row
    ]


def _references(controls: Sequence[Mapping[str, Any]]) -> dict[tuple[tuple[int, ...], str, str], Row]:
    """The rows of the first control of each set of seeds, by seeds, task and row."""
    first: dict[tuple[int, ...], Mapping[str, Any]] = {}
    for control in controls:
        first.setdefault(tuple(control["seeds"]), control)
    return {(seeds, row["task"], row["row"]): row for seeds, control in first.items() for row in control["rows"]}


def _finding(changes: Sequence[dict[str, Any]]) -> str:
    """Which control takes most accuracy from which row, and which takes most from persistence."""
    if not changes:
        return "No row was tested both as simulated and in another control."
    fallen = [change for change in changes if change["verdict"] == "below"]
    if fallen:
        most = min(fallen, key=lambda change: change["change"])
        clauses = [f"{most['control']} takes most accuracy from {_row(most)}: {_ends(most)}"]
    else:
        most = min(changes, key=lambda change: change["change"])
        clauses = [
            "no control takes accuracy from a row beyond the intervals; the least favourable is"
            f" {most['control']} for {_row(most)}: {_ends(most)}"
        ]
    main_changes = [change for change in changes if change["row"] == MAIN[0]]
    task = next((task for task in reversed(TASKS) if any(change["task"] == task for change in main_changes)), None)
    main_changes = [change for change in main_changes if change["task"] == task]
    if main_changes and (worst := min(main_changes, key=lambda c: (c["verdict"] != "below", c["change"]))) is not most:
        verb = {"below": "falls most", "above": "falls in no control, and rises least"}
        how = verb.get(worst["verdict"], "does not fall beyond the intervals, and is lowest")
        clauses.append(f"{_row(worst)} {how} with {worst['control']}: {_ends(worst)}")
    others = sum(1 for change in changes if change["verdict"] == "undecided")
    clauses.append(f"{others} of {len(changes)} changes are within the intervals")
    return sentence(clauses)


def _row(change: Mapping[str, Any]) -> str:
    return f"{change['row']} ({TASKS[change['task']]})"


def _ends(change: Mapping[str, Any]) -> str:
    return f"{said(change['before'])} becomes {said(change['after'])}"
