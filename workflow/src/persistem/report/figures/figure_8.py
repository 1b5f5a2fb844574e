"""Figure 8: accuracy against defocus, and averaged over foci."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.imaging.optics import focal_range
from persistem.report.figures.drawing import ERROR_BARS, PAGE, SPLITS, CannotDraw, Drawing, lettered
from persistem.report.paper import ACCURACIES, STATES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLE = "Accuracy against defocus"
ABOUT = (
    "Answers Fig. 8 of the paper: accuracy of logistic regression (LR, closed symbols) and support vectors (SVC, open)"
    " against defocus, for each degree of homology and both together, and averaged over all foci and in focus. Ours in"
    " two ways: under the paper's random split, and on crops of a seed that no training crop comes from. The paper's"
    " curves are in its picture only and are not digitised; the averages that its text states are drawn in as bars"
    " where the study's states are the paper's."
)
#: Bump when the figure changes for the same study.
VERSION = 4

#: The symbols' shapes distinguish the foci.
FOCI = {"all": ("all foci", "o"), "in-focus": ("in focus", "D")}
DEGREES = {"0": "zeroth order", "1": "first order", "0+1": "zeroth + first"}
OPEN = "SVC"


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw the accuracies of one model for all defoci; numbers: ``averages`` (all foci and in focus) and ``paper``."""
    import matplotlib.pyplot as plt

    if settings["accuracy"] is None:
        raise CannotDraw("the study has fewer than two states, so there is no accuracy")
    rows = [row for row in read_accuracies(root / settings["accuracy"]) if row["training"] == "pooled"]
    if not rows:
        raise CannotDraw(f"{settings['accuracy']} has no accuracy of models trained on all defoci")
    degrees = list(dict.fromkeys(row["degrees"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    stated = ACCURACIES if settings["states"] == list(STATES) else []
    paper = [row for row in stated if row["degrees"] in degrees and row["model"] in models]
    chance = 1 / len(settings["states"])
    # intervals of few seeds reach from 0 to 1, so the points set the axis
    low = max(math.floor(min([*(row["accuracy"] for row in rows), chance]) * 20 - 1) / 20, 0)

    splits = [split for split in SPLITS if any(row["split"] == split for row in rows)]
    figure = plt.figure(figsize=(PAGE, 2.9 + 1.9 * len(splits)))
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.9 * len(splits), 2.9])
    top, bottom = parts
    grid = top.subplots(len(splits), len(degrees), sharex=True, sharey=True, squeeze=False)
    letters = iter("abcdefghijklmnopq")
    for line, split in zip(grid, splits, strict=True):
        for axes, choice in zip(line, degrees, strict=True):
            own = [row for row in rows if (row["degrees"], row["split"]) == (choice, split)]
            _against_defocus(axes, own, split, models, settings["in_focus"])
            if split == "random":  # as the paper's
                _paper_lines(axes, [row for row in paper if row["degrees"] == choice and row["foci"] == "all"])
            lettered(axes, next(letters), DEGREES.get(choice, choice))
        line[0].set_ylabel(f"Accuracy, {SPLITS[split][0]}")
    for axes in grid[-1]:
        axes.set_xlabel("Defocus (Å)")
    averages = bottom.subplots()
    _averages(averages, [row for row in rows if row["foci"] in FOCI], paper, degrees, models)
    lettered(averages, next(letters), "averages")
    for axes in (*grid.ravel(), averages):
        axes.axhline(chance, color="0.5", lw=0.7, ls=":")
        axes.set(ylim=(low, 1))
    _legend(bottom, rows, models, bool(paper))

    keys = ("model", "degrees", "split", "foci", "accuracy", "ci_low", "ci_high")
    shown = [{key: row[key] for key in keys} for row in rows if row["foci"] in FOCI]
    named = " and ".join(SPLITS[split][0] for split in splits)
    low_focus, high_focus = focal_range(settings["in_focus"])
    caption = (
        f"Recipe {settings['recipe']!r}, one model for all defoci, {named}. {ERROR_BARS}; bars that"
        f" meet a panel's edge go on. Shaded: in focus, {low_focus:g} to {high_focus:g} Å. Dotted: chance."
    )
    if paper:
        caption += " Black lines: the paper's averages over all foci."
    if len(splits) == 1:
        caption += " The study's seeds allow no other split."
    return Drawing(figure, caption, {"averages": shown, "paper": [dict(row) for row in paper]})


def read_accuracies(path: Path) -> list[dict[str, Any]]:
    """Rows of an accuracy table, numbers as numbers, a missing interval as None; rows without accuracy are left out.

    Raises CannotDraw if there is no such table, or columns are missing.
    """
    needed = {"degrees", "model", "split", "training", "foci", "accuracy", "ci_low", "ci_high"}
    try:
        with open(path, newline="") as file:
            table = csv.DictReader(file)
            rows: list[dict[str, Any]] = list(table)
            lacking = sorted(needed - set(table.fieldnames or ()))
    except OSError as error:
        raise CannotDraw(f"{path}: no accuracy table ({error.strerror})") from error
    if lacking:
        raise CannotDraw(f"{path}: an accuracy table has columns {', '.join(sorted(needed))}; lacking {lacking[0]}")
    for row in rows:
        for key in ("accuracy", "ci_low", "ci_high"):
            value = float(row[key]) if row[key] else math.nan
            row[key] = None if math.isnan(value) else value
    return [row for row in rows if row["accuracy"] is not None]


def _spread(row: dict[str, Any]) -> list[list[float]]:
    """Lengths of an error bar; the percentiles of few repetitions need not enclose their mean."""
    low, high = row["ci_low"], row["ci_high"]
    if low is None or high is None:
        return [[0.0], [0.0]]
    return [[max(row["accuracy"] - low, 0.0)], [max(high - row["accuracy"], 0.0)]]


def _against_defocus(
    axes: Axes, rows: list[dict[str, Any]], split: str, models: list[str], in_focus: float | Sequence[float]
) -> None:
    """A line for each model, of one split."""
    defoci = sorted({float(row["foci"]) for row in rows if row["foci"] not in FOCI})
    gap = (defoci[-1] - defoci[0]) / 50 if len(defoci) > 1 else 1.0
    colour = SPLITS[split][1]
    axes.axvspan(*focal_range(in_focus), color="0.93", lw=0, zorder=0)
    for n, model in enumerate(models):
        curve = [row for row in rows if row["foci"] not in FOCI and row["model"] == model]
        curve.sort(key=lambda row: float(row["foci"]))
        x = [float(row["foci"]) + gap * (n - (len(models) - 1) / 2) for row in curve]
        axes.plot(x, [row["accuracy"] for row in curve], color=colour, ls=_dash(model), lw=0.8)
        for position, row in zip(x, curve, strict=True):
            axes.errorbar(
                position, row["accuracy"], _spread(row), ecolor=(colour, 0.45), **_symbol(colour, model, "o", 3)
            )


def _symbol(colour: str, model: str, marker: str, size: float) -> dict[str, Any]:
    face = "white" if model == OPEN else colour
    return {"fmt": marker, "color": colour, "mfc": face, "mec": colour, "ms": size, "elinewidth": 0.6, "mew": 0.8}


def _paper_lines(axes: Axes, paper: list[dict[str, Any]]) -> None:
    """The paper's average over all foci, one line per model: it states no accuracy at a single defocus."""
    for row in paper:
        axes.axhline(row["accuracy"], color="black", lw=0.9, ls=_dash(row["model"]), zorder=1)


def _dash(model: str) -> Any:
    """Lines of open symbols are dashed."""
    return (0, (5, 2)) if model == OPEN else "-"


def _averages(
    axes: Axes, rows: list[dict[str, Any]], paper: list[dict[str, Any]], degrees: list[str], models: list[str]
) -> None:
    """Degrees and models along x; for each the splits side by side, all foci and then in focus."""
    groups = [(choice, model) for choice in degrees for model in models]
    offsets = {(split, foci): 0.13 * (k - 1.5) for k, (foci, split) in enumerate((f, s) for f in FOCI for s in SPLITS)}
    for row in rows:
        x = groups.index((row["degrees"], row["model"])) + offsets[row["split"], row["foci"]]
        style = _symbol(SPLITS[row["split"]][1], row["model"], FOCI[row["foci"]][1], 4.5)
        axes.errorbar(x, row["accuracy"], _spread(row), **style)
    for row in paper:
        x = groups.index((row["degrees"], row["model"])) + sum(offsets[split, row["foci"]] for split in SPLITS) / 2
        axes.hlines(row["accuracy"], x - 0.12, x + 0.12, color="black", lw=1.8)
        side = -1 if row["foci"] == "all" else 1  # beside the bar, away from the points
        axes.annotate(f"{row['accuracy']:.3f}", (x + 0.13 * side, row["accuracy"]), va="center",
                      ha="right" if side < 0 else "left")  # fmt: skip
    for k in range(1, len(degrees)):
        axes.axvline(k * len(models) - 0.5, color="0.8", lw=0.6)
    axes.set_xticks(range(len(groups)), [f"{model}\n{DEGREES.get(choice, choice)}" for choice, model in groups])
    axes.set(ylabel="Accuracy", xlim=(-0.55, len(groups) - 0.45))
    axes.tick_params(axis="x", length=0)


def _legend(figure: Any, rows: list[dict[str, Any]], models: list[str], paper: bool) -> None:
    from matplotlib.lines import Line2D

    grey: dict[str, Any] = {"color": "0.3", "ls": ""}
    handles = [
        Line2D([], [], color=colour, label=name)
        for split, (name, colour, _) in SPLITS.items()
        if any(row["split"] == split for row in rows)
    ]
    handles += [
        Line2D(
            [], [], color="0.3", marker="o", mfc="white" if model == OPEN else "0.3", ls=_dash(model), label=model, ms=4
        )
        for model in models
    ]
    handles += [Line2D([], [], marker=marker, label=name, ms=4, **grey) for name, marker in FOCI.values()]
    if paper:
        handles += [Line2D([], [], color="black", ls=_dash(m), label=f"paper, {m}") for m in models]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2, handlelength=1.8)
