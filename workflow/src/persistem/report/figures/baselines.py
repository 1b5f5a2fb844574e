"""Baselines: accuracy of persistence beside simpler measures of the same crops; rows of the evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.learning.intervals import DEPENDENT, Change, change
from persistem.report.figures.drawing import PAGE, CannotDraw, Drawing, lettered
from persistem.store.files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A row of the evaluation: names and numbers; the ends of an interval may be None.
Row = Mapping[str, Any]

TITLE = "Persistence beside simpler measures of a crop"
ABOUT = (
    "What telling the states apart takes: accuracy of persistence beside that of the standard deviation, the histogram"
    " and the annular averaged spectrum of the same crops, with the contrast of a crop left in (absolute) and removed."
    " Persistence: statistics, Betti curves and distances of islands of the crop and of its differences of Gaussians,"
    " so at several length scales; persistence image: one diagram of the crop, as in the paper."
    " Every row's features, model and C are chosen by inner folds of the training seeds, and every crop is judged by a"
    " model that saw none of its seed. Filled: a model for each defocus, all foci; diamonds: those in focus; open: one"
    " model for all defoci. The vote is the most frequent state among the crops of a micrograph. The paper tests"
    " persistence only, and dismisses the spectrum by eye."
)
#: Bump when the figure changes for the same study.
VERSION = 5

#: The two tasks: whether the contrast of a crop counts.
TASKS = {"absolute": "contrast left in", "contrast removed": "contrast removed"}
#: Colour and symbol of a row; the states' colours (blue, vermilion) are not used.
ROWS: dict[str, tuple[str, str]] = {
    "persistence": ("#000000", "o"),
    "spectrum": ("#E69F00", "s"),
    "persistence + spectrum": ("#009E73", "D"),
    "standard deviation": ("#7F7F7F", "^"),
    "skewness, kurtosis": ("#B8860B", "v"),
    "SD, skewness, kurtosis": ("#B8860B", "v"),
    "histogram": ("#CC79A7", "P"),
    "texture": ("#7B3294", "X"),
    "phase-randomised": ("#A05A2C", "*"),
    "persistence image": ("#56B4E9", "h"),
    "all but persistence": ("#999933", "<"),
    "all together": ("#332288", ">"),
}
#: The rows drawn as curves.
MAIN = ("persistence", "spectrum", "persistence + spectrum", "standard deviation")
SHARED = f"{DEPENDENT[0].upper()}{DEPENDENT[1:]}"
INTERVALS = f"Error bars: 95 % intervals over seeds (Student's t); none where there are fewer than three. {SHARED}"
#: Rows with all features, with and without persistence.
TOGETHER = ("all together", "all but persistence")
#: Results of ``compare`` in words.
VERDICTS = {"above": "more than", "below": "less than", "undecided": "not told apart from"}
#: Side of the crops that the rows compare (Å).
SIDE = 12.5


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw the rows of both tasks, a panel each; ``settings``: ``evaluation``, path of a JSON.

    numbers: ``finding``, ``rows`` (drawn here), ``permutation`` (of the same rows, from the evaluation) and
    ``side_A``.
    """
    import matplotlib.pyplot as plt

    results = evaluation(settings, root)
    side, rows = _at_side(results["rows"])
    tasks = [task for task in TASKS if any(row["task"] == task for row in rows)]
    if not tasks:
        raise CannotDraw("the evaluation has no row, so there is nothing to compare")
    chance = 1 / len(results["states"])
    names = {task: in_order(row["row"] for row in rows if row["task"] == task) for task in tasks}
    size = (PAGE, 1.0 + 0.36 * max(map(len, names.values())))
    figure, cells = plt.subplots(1, len(tasks), figsize=size, sharex=True, squeeze=False)
    low = lowest(rows, chance)
    for letter, axes, task in zip("ab", cells[0], tasks, strict=False):
        _panel(axes, [row for row in rows if row["task"] == task], names[task])
        axes.axvline(chance, color="0.5", lw=0.7, ls=":")
        axes.set(xlim=(low, 1.0), xlabel="Accuracy on unseen seeds")
        lettered(axes, letter, TASKS[task])
    _legend(figure, rows)

    finding = _finding(rows)
    tests = [{k: test[k] for k in test if k != "null"} for test in results.get("permutation", [])]
    caption = f"{finding} Crops of {side:g} Å. {INTERVALS}. Dotted: chance. Right: accuracy of a micrograph's vote."
    if tests:
        caption += " Permutation of the states of seeds: " + "; ".join(map(_test, tests)) + "."
    keys = ("row", "task", "training", "foci", "accuracy", "ci_low", "ci_high", "vote", "vote_low", "vote_high")
    drawn = [{key: row.get(key) for key in keys} for row in rows]
    return Drawing(figure, caption, {"finding": finding, "rows": drawn, "permutation": tests, "side_A": side})


def evaluation(settings: Mapping[str, Any], root: Path, key: str = "evaluation") -> dict[str, Any]:
    """The JSON that the settings name; CannotDraw if they name none, or if it is missing or not JSON."""
    if not settings.get(key):
        raise CannotDraw(f"the study asks for no {key}")
    try:
        return read_json(Path(root) / settings[key])
    except PersistemError as error:
        raise CannotDraw(str(error)) from error


def in_order(names: Iterable[str]) -> list[str]:
    """Unique names in order, but from simple to rich: rows with persistence late, rows with all features last."""
    different = list(dict.fromkeys(names))
    return sorted(different, key=lambda name: 2 if name in TOGETHER else int("persistence" in name))


def look(row: str) -> dict[str, Any]:
    """Colour and symbol of a row; grey dots if it has none of its own."""
    colour, marker = ROWS.get(row, ("0.4", "o"))
    return {"color": colour, "marker": marker, "mec": colour, "mfc": colour}


def error(item: Row) -> list[list[float]]:
    """Lengths of an error bar, 0 without an interval; an interval need not enclose its mean."""
    low, high = item["ci_low"], item["ci_high"]
    if low is None or high is None:
        return [[0.0], [0.0]]
    return [[max(item["accuracy"] - low, 0.0)], [max(high - item["accuracy"], 0.0)]]


def lowest(items: Iterable[Row], chance: float) -> float:
    """Lower end of an axis of accuracies: the points decide, as intervals of few seeds reach from 0 to 1."""
    least = min([*(float(item["accuracy"]) for item in items), chance])
    return max(math.floor(least * 20 - 1) / 20, 0.0)


def said(item: Row, of: str = "accuracy", interval: str = "ci") -> str:
    """A number with its interval, in the captions' form."""
    return spread(item[of], item.get(f"{interval}_low"), item.get(f"{interval}_high"))


def spread(value: float, low: float | None, high: float | None) -> str:
    """A number with its interval, if it has one: ``0.86 (0.81 to 0.91)``."""
    return f"{value:.2f}" + ("" if low is None or high is None else f" ({low:.2f} to {high:.2f})")


def compare(one: Row, other: Row) -> str:
    """``above`` or ``below`` if two accuracies differ by more than seeds scatter, else ``undecided``.

    If both come from the same seeds, their differences seed by seed decide (``intervals.change``); else the two
    intervals must not overlap.
    """
    if pairs := differences(one, other):
        return change(pairs).verdict
    ends = [item[end] for item in (one, other) for end in ("ci_low", "ci_high")]
    if any(end is None for end in ends):
        return "undecided"
    if ends[0] > ends[3]:
        return "above"
    return "below" if ends[1] < ends[2] else "undecided"


def differences(one: Row, other: Row) -> list[float]:
    """The first accuracy less the second, seed by seed; none unless both have the same seeds."""
    first, second = one.get("by_seed") or {}, other.get("by_seed") or {}
    return [first[seed] - second[seed] for seed in first] if first.keys() == second.keys() else []


def _difference(one: Row, other: Row) -> str:
    """How much more accurate one row is than another, with the interval of the differences seed by seed."""
    pairs = differences(one, other)
    ends = (change(pairs).low, change(pairs).high) if pairs else (None, None)
    return changed(Change(one["accuracy"] - other["accuracy"], *ends, None), 3)


def changed(change: Change, digits: int = 2) -> str:
    """A change with its interval, if it has one: ``−0.02, −0.05 to +0.01``."""
    form = f"+.{digits}f"
    ends = "" if change.low is None else f", {change.low:{form}} to {change.high:{form}}"
    return f"{change.mean:{form}}{ends}".replace("-", "\N{MINUS SIGN}")


def listed(words: Sequence[str], most: int = 3) -> str:
    """Words with commas and an *and*; after the first few the others are only counted."""
    words = [*words[:most], f"{len(words) - most} more"] if len(words) > most + 1 else list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def sentence(clauses: Iterable[str]) -> str:
    """One sentence of clauses, without the empty ones."""
    text = "; ".join(clause for clause in clauses if clause)
    return f"{text[:1].upper()}{text[1:]}."


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]], gap: float) -> None:
    """Label curves beside their right ends, moved apart to at least ``gap`` of the axis.

    ``ends`` holds x, y, text and colour of each; the limits of the axes are already set.
    """
    low, high = axes.get_ylim()
    ordered = sorted(ends, key=lambda end: end[1])
    placed = [(y - low) / (high - low) for _, y, _, _ in ordered]
    for _ in range(200):  # a cluster stays centred on its curves
        for k in range(len(placed) - 1):
            if (short := gap - (placed[k + 1] - placed[k])) > 0:
                placed[k], placed[k + 1] = placed[k] - short / 2, placed[k + 1] + short / 2
        beyond = max(0.0, placed[-1] - 1) if placed else 0.0
        placed = [y - beyond for y in placed]
    for (_, _, text, colour), y in zip(ordered, placed, strict=True):
        axes.text(1.02, y, text, color=colour, transform=axes.transAxes, va="center")


def _at_side(rows: Sequence[Row]) -> tuple[float, list[Row]]:
    """The side of crops to compare (the paper's, or the smallest if it is missing), and the rows with it."""
    sides = {float(row["crop_A"]) for row in rows}
    if not sides:
        return SIDE, []
    side = SIDE if SIDE in sides else min(sides)
    shown = [("per-defocus", "all"), ("per-defocus", "in-focus"), ("pooled", "all")]
    return side, [r for r in rows if float(r["crop_A"]) == side and (r["training"], r["foci"]) in shown]


def _panel(axes: Axes, rows: Sequence[Row], names: list[str]) -> None:
    for row in rows:
        below = {("per-defocus", "all"): 0.0, ("per-defocus", "in-focus"): -0.22, ("pooled", "all"): 0.22}
        y = names.index(row["row"]) + below[row["training"], row["foci"]]
        style = _symbol(row, look(row["row"])["color"])
        axes.errorbar(row["accuracy"], y, xerr=error(row), elinewidth=0.7, **style)
        if (row["training"], row["foci"]) == ("per-defocus", "all") and row.get("vote") is not None:
            axes.text(1.02, y, f"{row['vote']:.2f}", transform=axes.get_yaxis_transform(), va="center")
    axes.text(1.02, -0.62, "vote", transform=axes.get_yaxis_transform(), va="center", color="0.4")
    for k in range(1, len(names)):
        axes.axhline(k - 0.5, color="0.92", lw=0.5, zorder=0)
    axes.set_yticks(range(len(names)), [fill(name, 24) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.45, -0.55)


def _symbol(row: Row, colour: str) -> dict[str, Any]:
    marker, size = ("D", 3.0) if row["foci"] == "in-focus" else ("o", 4.5)
    face = "white" if row["training"] == "pooled" else colour
    return {"fmt": marker, "ms": size, "color": colour, "mfc": face, "mec": colour, "mew": 0.8}


def _legend(figure: Any, rows: Sequence[Row]) -> None:
    from matplotlib.lines import Line2D

    kinds = {
        "one model per defocus, all foci": {"training": "per-defocus", "foci": "all"},
        "the same, in focus": {"training": "per-defocus", "foci": "in-focus"},
        "one model for all defoci": {"training": "pooled", "foci": "all"},
    }
    handles = []
    for label, kind in kinds.items():
        if any(row["training"] == kind["training"] and row["foci"] == kind["foci"] for row in rows):
            style = _symbol(kind, "0.3")
            style["marker"] = style.pop("fmt")
            handles.append(Line2D([], [], ls="", label=label, **style))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handletextpad=0.2)


def _test(test: Row) -> str:
    # the true arrangement is always as good as itself
    least = ", the least that so many arrangements allow" if test["as_good"] == 1 else ""
    return (
        f"{test['row']} ({test['task']}, {test['training']}): as good in {test['as_good']} of"
        f" {test['arrangements']}, p = {test['p']:.2g}{least}"
    )


def _finding(rows: Sequence[Row]) -> str:
    """What measures reach without persistence and with it; persistence against the spectrum; the standard deviation.

    Over all foci. What persistence adds comes first: it is what the method is worth.
    """
    by_row = {(r["task"], r["row"]): r for r in rows if r["foci"] == "all" and r["training"] == "per-defocus"}
    by_row = by_row or {(r["task"], r["row"]): r for r in rows if r["foci"] == "all"}
    task = next((t for t in reversed(TASKS) if (t, "persistence") in by_row), None)
    if task is None:
        return sentence([f"{name} ({t}) gives {said(row)}" for (t, name), row in by_row.items()][:3] or ["no row"])
    alone, spectrum, both = (by_row.get((task, name)) for name in MAIN[:3])
    assert alone is not None
    whole, without = (by_row.get((task, name)) for name in TOGETHER)
    clauses = [f"persistence alone gives {said(alone)}"]
    if spectrum:
        clauses[0] += f", {VERDICTS[compare(alone, spectrum)]} the spectrum alone with {said(spectrum)}"
    if both:
        against = {"persistence": alone} | ({"spectrum": spectrum} if spectrum else {})
        named = {
            words: [f"{name} alone" for name, row in against.items() if compare(both, row) == verdict]
            for verdict, words in VERDICTS.items()
        }
        gain = [f"{words} {' and '.join(names)}" for words, names in named.items() if names]
        clauses.append(f"both together give {said(both)}, {', '.join(gain)}")
    if whole and without:
        first = f"measures without persistence together give {said(without)}"
        if both:
            first += f", {VERDICTS[compare(without, both)]} persistence and spectrum with {said(both)}"
        verdict = f"{VERDICTS[compare(whole, without)]} them ({_difference(whole, without)})"
        clauses.insert(0, f"{first}, and all together, persistence included, {said(whole)}, {verdict}")
    elif whole:
        clauses.append(f"all together give {said(whole)}")
    clauses[0] = f"with {TASKS[task]}, {clauses[0]}"
    others = {name: row for (t, name), row in by_row.items() if t == task and name not in (*MAIN, *TOGETHER)}
    if others:
        clauses.append(
            "the others give " + listed([f"{name} {row['accuracy']:.2f}" for name, row in others.items()], 8)
        )
    if deviation := by_row.get(("absolute", "standard deviation")):
        clauses.append(f"with {TASKS['absolute']}, the standard deviation alone gives {said(deviation)}")
        if persistence := by_row.get(("absolute", "persistence")):
            clauses[-1] += f", {VERDICTS[compare(deviation, persistence)]} persistence with {said(persistence)}"
    return sentence(clauses)
