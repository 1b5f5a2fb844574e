"""Compatibility: the paper's eight accuracies beside those of the study's protocol and of the one nearest the paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.learning.intervals import ALPHA
from persistem.report.figures.baselines import evaluation
from persistem.report.figures.drawing import COLOURS, PAGE, CannotDraw, Drawing, lettered
from persistem.report.paper import joint_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLE = "The paper's accuracies under the study's protocol and under the one nearest the paper"
ABOUT = (
    "Black: the paper's eight accuracies, of one specimen of each state. Circles: each MD seed of the study under the"
    " paper's random split, those of the seeds that chose the protocol open; lines join the numbers of the seed where"
    " they come nearest the paper. Diamonds: seeds that models have not learned from, with as many crops to learn from;"
    " mean and 95 % interval over seeds. p is that of one further specimen pair and split being as far from the"
    " protocol's mean as the paper is, over seeds that did not choose it where there are three, after Holm's correction"
    " over the finalists."
)
#: Bump when the figure changes for the same study.
VERSION = 2


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw the study's own protocol and the best of the others; ``settings``: ``compatibility``, path of a JSON.

    numbers: ``finding``, ``tried``, ``numbers`` (the paper's), ``seeds``, ``searched`` and ``finalists``, each with
    ``verdict`` (compatible or excluded).
    """
    import matplotlib.pyplot as plt

    if not settings["compatibility"]:
        raise CannotDraw("the study's multiverse takes answers one at a time")
    result = evaluation(settings, root, "compatibility")
    own, *others = result["finalists"]
    if not others:
        raise CannotDraw("no protocol besides the study's own was tried")
    best = chosen(result)
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 3.0), sharey=True)
    for letter, axes, row, name in (("a", left, own, "the study as it is"), ("b", right, best, "nearest the paper")):
        _panel(axes, row, result)
        lettered(axes, letter, f"{name}: p = {p_of(row):.3f}")
    left.set_ylabel("Accuracy")
    _legend(figure)
    finding = _finding(result, best)
    changed = [f"{q}: {a}" for q, a in best["answers"].items() if own["answers"][q] != a]
    caption = (
        f"{finding} (b) {'; '.join(changed) or 'the study as it is'}. Seeds {', '.join(map(str, result['seeds']))};"
        f" {result['repetitions']} splits each."
    )
    finalists = [row | {"verdict": verdict(row)} for row in result["finalists"]]
    return Drawing(figure, caption, {"finding": finding} | result | {"finalists": finalists})


def p_of(row: dict[str, Any]) -> float:
    """The p that counts: over seeds that did not choose, if there are enough; after Holm's correction."""
    confirmed = row["p_confirmed_corrected"]
    return float(row["p_corrected"] if confirmed is None else confirmed)


def verdict(row: dict[str, Any]) -> str:
    """Whether the paper's numbers could be those of a further specimen."""
    return "compatible" if p_of(row) > ALPHA else "excluded"


def chosen(result: dict[str, Any]) -> dict[str, Any]:
    """The finalist that is shown: of those compatible with the paper the nearest, else the nearest of all."""
    others: list[dict[str, Any]] = result["finalists"][1:]
    compatible = [row for row in others if verdict(row) == "compatible"]
    return min(compatible or others, key=lambda row: (row["deviation"], row["protocol"]))


def _panel(axes: Axes, row: dict[str, Any], result: dict[str, Any]) -> None:
    x = np.arange(len(result["numbers"]))
    for seed in result["seeds"]:
        mean = np.mean(row["by_seed"][str(seed)], axis=0)
        searched = seed in result["searched"]
        axes.plot(x - 0.12, mean, ls="", marker="o", ms=3, color=COLOURS[2], mfc="white" if searched else COLOURS[2])
        if seed == row["nearest_seed"]:
            axes.plot(x - 0.12, mean, color=COLOURS[2], lw=0.8)
    unseen = row["unseen"]
    lows, highs = (
        [mean if end is None else end for mean, end in zip(unseen["mean"], unseen[key], strict=True)]
        for key in ("low", "high")
    )
    error = np.abs(np.array([lows, highs]) - unseen["mean"])
    axes.errorbar(x + 0.16, unseen["mean"], yerr=error, ls="", marker="D", ms=3.5, color=COLOURS[3], elinewidth=0.8)
    axes.plot(x, [n["accuracy"] for n in result["numbers"]], ls="", marker="_", ms=13, mew=1.8, color="black")
    axes.axhline(0.5, color="0.7", lw=0.6, zorder=0)
    labels = [
        f"{n['degrees']}\n{n['model']}" + ("\nin\nfocus" if n["foci"] != "all" else "") for n in result["numbers"]
    ]
    axes.set_xticks(x, labels)
    axes.set_ylim(0.2, 1.02)


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], ls="", marker="_", ms=11, mew=1.8, color="black", label="paper"),
        Line2D([], [], ls="", marker="o", ms=3, color=COLOURS[2], label="seed, random split"),
        Line2D([], [], ls="", marker="o", ms=3, color=COLOURS[2], mfc="white", label="seed that chose"),
        Line2D([], [], ls="", marker="D", ms=3.5, color=COLOURS[3], label="unseen seeds"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, handletextpad=0.2)


def _finding(result: dict[str, Any], best: dict[str, Any]) -> str:
    """Whether a protocol is compatible with the paper, how near it comes, and what it is worth on unseen seeds."""
    rows = result["finalists"][1:]
    compatible = sum(verdict(row) == "compatible" for row in rows)
    near = [row for row in rows if row["deviation"] <= 0.05]
    joint = joint_numbers(result["numbers"])
    unseen = ", ".join(f"{result['numbers'][k]['model']} {best['unseen']['mean'][k]:.2f}" for k in joint)
    stated = ", ".join(f"{result['numbers'][k]['model']} {result['numbers'][k]['accuracy']:.2f}" for k in joint)
    return (
        f"Of {result['tried']} protocols {len(near) or 'none'} of the {len(rows)} nearest"
        f" {'comes' if len(near) <= 1 else 'come'} within 0.05 of all of the paper's accuracies on some seed, and"
        f" {compatible or 'none'} of them {'is' if compatible <= 1 else 'are'} compatible with the paper (p >"
        f" {ALPHA:g}). The nearest of these deviates by {best['deviation']:.3f} at most on seed {best['nearest_seed']}"
        f" (p = {p_of(best):.3f}); on unseen seeds both degrees give {unseen}, where the paper states {stated}."
    )
