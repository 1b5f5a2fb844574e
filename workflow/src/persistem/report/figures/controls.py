"""Controls: accuracy where one difference between the states is taken away."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from statistics import stdev
from textwrap import fill
from typing import TYPE_CHECKING, Any

from persistem.learning.intervals import ALPHA, Change, change, holm, smallest_shown
from persistem.model.contrasts import span
from persistem.report.figures.baselines import (
    INTERVALS,
    MAIN,
    TASKS,
    Row,
    changed,
    differences,
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


TITLE = "What remains when one difference is taken away"
ABOUT = (
    "The same classification on specimens or images that lack one of the differences between the states: where the"
    " accuracy of a row falls, the row lived on that difference, or on what else the control changes. A model for each"
    " defocus, on unseen seeds. Ticks: the first control of the same seeds, the states as they were"
    " simulated. The rows named by the study (its main rows) are compared with it seed by seed (Student's paired t),"
    " and with chance by permuting the states of specimens; no other row is tested. Stars: changed, with p below 0.05"
    " after Holm's correction over all named rows of all controls; the tests against chance are corrected over the"
    " named rows of one control. Below a control's name the densities of its states."
)
#: The rows to draw, if there are any of them; the JSON has all.
SHOWN = (*MAIN, "texture", "phase-randomised", "persistence image", "all together")
#: Bump when the figure changes for the same study.
VERSION = 6


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw a line for each control and a panel for each task.

    ``settings``: ``controls``, path of a JSON; ``tested``, the rows to test (row, task); ``about`` by control. numbers:
    ``finding``, ``controls`` (name, densities in g/cm³, rows), ``changes`` from the first control of the same seeds and
    ``chance``, the named rows of each control against chance, with ``p`` corrected over the rows of the control. A
    change of a named row has its interval, ``p`` corrected over all of them, ``verdict``, and ``smallest``, the change
    that so many seeds that scatter so would have shown with 80 % power; in others these are None. Equal changes of all
    seeds have no interval and no ``smallest``.
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
    tested = [(row["row"], row["task"]) for row in settings.get("tested") or []]
    changes = _changes(everything, tested)
    chances = _chances(everything, tested)
    told = {(c["control"], c["row"], c["task"]) for c in changes if c["verdict"] in ("above", "below")}
    for letter, axes, task in zip("ab", cells[0], tasks, strict=False):
        _panel(axes, controls, task, names, told)
        axes.axvline(chance, color="0.5", lw=0.7, ls=":")
        axes.set(xlim=(lowest(rows, chance), 1.015), xlabel="Accuracy on unseen seeds")
        lettered(axes, letter, TASKS[task])
    cells[0][0].set_yticks(range(len(controls)), [_label(control) for control in controls])
    _legend(figure, names)

    finding = _finding(changes, chances)
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
    caption = f"{finding} {described} {_foci(controls)}{INTERVALS}. Dotted: chance."
    numbers = {"finding": finding, "controls": shown, "changes": plain, "chance": chances}
    return Drawing(figure, caption, numbers)


def _foci(controls: Sequence[Mapping[str, Any]]) -> str:
    """The defoci of the controls; nothing where they differ or are not told."""
    told = {tuple(control.get("defoci") or ()) for control in controls}
    defoci = next(iter(told))
    if len(told) > 1 or not defoci:
        return ""
    if len(defoci) == 1:
        return f"Micrographs at a defocus of {defoci[0]:g} Å. "
    return f"Micrographs at {len(defoci)} defoci, {min(defoci):g} to {max(defoci):g} Å. "


def _panel(
    axes: Axes,
    controls: Sequence[Mapping[str, Any]],
    task: str,
    names: list[str],
    told: Container[tuple[str, str, str]],
) -> None:
    """Rows beside each other within a control's line, those in ``told`` with a star."""
    step = 0.78 / max(len(names), 2)
    first = _references(controls)
    for k, control in enumerate(controls):
        for row in (row for row in control["rows"] if row["task"] == task):
            y = k + step * (names.index(row["row"]) - (len(names) - 1) / 2)
            style = look(row["row"])
            axes.errorbar(row["accuracy"], y, xerr=error(row), ms=4, elinewidth=0.7, **style)
            if (control["name"], row["row"], task) in told:
                axes.annotate("*", (row["accuracy"], y), (5, -1), textcoords="offset points", va="center", fontsize=9)
            before = first.get((tuple(control["seeds"]), task, row["row"]))
            if before is not None and before is not row:
                axes.plot(before["accuracy"], y, "|", color=style["color"], ms=7, mew=1.2)
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


def _changes(controls: Sequence[Mapping[str, Any]], tested: Container[tuple[str, str]]) -> list[dict[str, Any]]:
    """How each row's accuracy differs from the first control's with the same seeds; those in ``tested`` are tested."""
    reference = _references(controls)
    changes = []
    for control in controls:
        for row in control["rows"]:
            before = reference.get((tuple(control["seeds"]), row["task"], row["row"]))
            if before is None or before is row:
                continue
            pairs = differences(row, before) if (row["row"], row["task"]) in tested else []
            found = change(pairs) if pairs else Change(row["accuracy"] - before["accuracy"], *[None] * 3)
            changes.append(
                {"control": control["name"], "seeds": len(control["seeds"]), "row": row["row"], "task": row["task"]}
                | {"change": round(found.mean, 4), "low": found.low, "high": found.high, "p": found.p}
                | {"named": (row["row"], row["task"]) in tested, "verdict": None, "smallest": None}
                | {"before": before, "after": row}
            )
    tests = sum(1 for item in changes if item["p"] is not None)
    for item, p in zip(changes, holm([item["p"] for item in changes]), strict=True):
        if item["named"]:
            item |= {"p": p, "verdict": Change(item["change"], item["low"], item["high"], p).verdict}
        if item["low"] is not None:
            pairs = differences(item["after"], item["before"])
            item["smallest"] = round(smallest_shown(stdev(pairs), len(pairs), tests), 4)
    return changes


def _chances(controls: Sequence[Mapping[str, Any]], tested: Container[tuple[str, str]]) -> list[dict[str, Any]]:
    """The permutation tests of the named rows, with p corrected over the rows of a control."""
    chances = []
    for control in controls:
        tests = [test for test in control.get("permutation") or [] if (test["row"], test["task"]) in tested]
        corrected = holm([test["p"] for test in tests])
        chances += [
            {"control": control["name"], "row": test["row"], "task": test["task"], "accuracy": test["accuracy"], "p": p}
            # what p would be if no other arrangement were as good
            | {"least": round(len(tests) / test["arrangements"], 6)}
            for test, p in zip(tests, corrected, strict=True)
        ]
    return chances


def _references(controls: Sequence[Mapping[str, Any]]) -> dict[tuple[tuple[int, ...], str, str], Row]:
    """The rows of the first control of each set of seeds, by seeds, task and row."""
    first: dict[tuple[int, ...], Mapping[str, Any]] = {}
    for control in controls:
        first.setdefault(tuple(control["seeds"]), control)
    return {(seeds, row["task"], row["row"]): row for seeds, control in first.items() for row in control["rows"]}


def _finding(changes: Sequence[dict[str, Any]], chances: Sequence[dict[str, Any]]) -> str:
    """What each control does to the named rows, that which takes most first, and what is left of them above chance."""
    if not changes:
        return "No row was tested both as simulated and in another control."
    named = [change for change in changes if change["named"]]
    if not named:
        return "No row was named beforehand, so none is tested."
    of = {name: [c for c in named if c["control"] == name] for name in dict.fromkeys(c["control"] for c in named)}
    order = sorted(of, key=lambda name: min((c["change"] for c in of[name] if c["verdict"] == "below"), default=1.0))
    clauses = []
    for name in order:
        clauses.append(_effect(name, of[name]))
        if any(c["verdict"] == "below" for c in of[name]):
            lines = {(c["row"], c["task"]): c["after"] for c in of[name]}
            clauses.append(_left(name, [chance for chance in chances if chance["control"] == name], lines))
    return sentence(clauses)


def _effect(name: str, changes: Sequence[dict[str, Any]]) -> str:
    """Which named rows a control changes, and what it could have shown of the others."""
    seeds = f"{changes[0]['seeds']} seeds"
    parts = []
    for verdict, words in (("below", "takes accuracy from"), ("above", "adds accuracy to")):
        told = sorted((c for c in changes if c["verdict"] == verdict), key=lambda c: -abs(c["change"]))
        if told:
            parts.append(f"{words} {listed([f'{_row(c)}, {_ends(c)}' for c in told], 8)}")
    undecided = [c for c in changes if c["verdict"] == "undecided"]
    powers = [c["smallest"] for c in undecided if c["smallest"] is not None]
    if not undecided:
        return f"{name} ({seeds}) {' and '.join(parts)}"
    enough = ""
    if powers:
        enough = f", where 80 % of such studies would show a change of {span(powers, '.2f')}"
    if not parts:
        return f"{name} ({seeds}) is not told to change any of {len(changes)} named rows{enough}"
    rest = f"{len(undecided)} of {len(changes)} named rows are undecided"
    return f"{name} ({seeds}) {' and '.join(parts)}, while {rest}{enough}"


def _left(name: str, chances: Sequence[dict[str, Any]], lines: Mapping[tuple[str, str], Row]) -> str:
    """Which named rows are told from chance with a control, and how accurate they are, by ``lines``."""
    if not chances:
        return ""
    if min(chance["least"] for chance in chances) >= ALPHA:
        return f"with {name} there are too few seeds to tell any named row from chance"
    above = [c for c in chances if c["p"] < ALPHA]
    others = [f"{c['row']} ({TASKS[c['task']]}, {_p(c['p'])})" for c in chances if c["p"] >= ALPHA]
    if not above:
        return f"with {name} nothing is told from chance: {listed(others, 8)}"
    most = max(c["p"] for c in above)
    verb = "is" if len(above) == 1 else "are"
    # no other arrangement is as good
    floor = ", the least that so many arrangements allow" if round(most, 6) <= max(c["least"] for c in above) else ""
    told = listed([f"{_row(c)} with {said(lines[c['row'], c['task']])}" for c in above], 8)
    text = f"with {name} {told} {verb} told from chance (p at most {most:.2g}{floor})"
    return text + (f", not {listed(others, 8)}" if others else "")


def _p(p: float) -> str:
    return f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"


def _row(change: Mapping[str, Any]) -> str:
    return f"{change['row']} ({TASKS[change['task']]})"


def _ends(change: Mapping[str, Any]) -> str:
    by = changed(Change(*(change[key] for key in ("change", "low", "high", "p"))))
    before, after = (change[key]["accuracy"] for key in ("before", "after"))
    return f"{before:.2f} to {after:.2f} (change {by}, {_p(change['p'])})"
