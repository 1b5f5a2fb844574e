"""Where the paper's split leaks: the same features and classifiers under four ways to split the crops."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from persistem.figures.baselines import compare, error, evaluation, lowest, said, sentence
from persistem.figures.drawing import PAGE, CannotDraw, Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from persistem.figures.baselines import Row

TITLE = "What the split of the crops lets through"
ABOUT = (
    "The same features and classifiers under four splits. Random: crops of one seed at random, the paper's. Micrograph:"
    " whole micrographs of the seed are left out; the same atoms at other defoci train. Region: the same place of every"
    " micrograph of the seed is left out; its neighbours train. Seed: another seed tests. All train on as many crops of"
    " one seed, one model for all defoci. What accuracy falls by where a split leaves something out was let through by"
    " the split before it. Closed symbols: LR; open: SVC."
)
#: Raised when the figure changes for the same study.
VERSION = 1

#: From the paper's to the strictest, and what an axis calls them.
SPLITS = {"random": "random", "micrograph": "micro-\ngraph", "region": "region", "seed": "seed"}
COLUMNS = 3
COLOURS = {"LR": "#000000", "SVC": "#009E73"}


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw a panel for each recipe; ``settings``: ``evaluation``, the path of a JSON.

    numbers: ``finding``, ``accuracies`` (those drawn) and ``falls`` (from the random split to seeds, and each step).
    """
    import matplotlib.pyplot as plt

    found = evaluation(settings, root)
    rows = [row for row in found.get("leak", []) if row["split"] in SPLITS and row["accuracy"] is not None]
    if not rows:
        raise CannotDraw("the evaluation has no accuracy of different splits")
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    splits = [split for split in SPLITS if any(row["split"] == split for row in rows)]
    chance, low = 1 / len(found["states"]), lowest(rows, 1 / len(found["states"]))

    columns = min(COLUMNS, len(recipes))
    lines = -(-len(recipes) // columns)
    size = (min(PAGE, 1.2 + 2.6 * columns), 0.5 + 2.2 * lines)
    figure, axes = plt.subplots(lines, columns, figsize=size, sharey=True, squeeze=False)
    cells = list(axes.ravel())
    for letter, cell, recipe in zip("abcdefghijkl", cells, recipes, strict=False):
        _panel(cell, [row for row in rows if row["recipe"] == recipe], models, splits)
        cell.axhline(chance, color="0.5", lw=0.7, ls=":")
        cell.set(ylim=(low, 1))
        cell.set_title(f"$\\bf{{({letter})}}$ {fill(recipe, 96 // columns)}", loc="left")
    for cell in cells[len(recipes) :]:
        cell.set_axis_off()
    for row_of_cells in axes:
        row_of_cells[0].set_ylabel("Accuracy, all foci")
    cells[0].annotate("chance", (0.02, chance), (0, 2), ("axes fraction", "data"), "offset points", fontsize=6.5)

    falls = [fall for recipe in recipes for model in models if (fall := _fall(rows, recipe, model))]
    finding = _finding(falls)
    caption = (
        f"{finding} Error bars: 95 % intervals over the seeds that train; none where there are fewer than three."
        " Dotted: chance."
    )
    keys = ("recipe", "model", "split", "accuracy", "ci_low", "ci_high")
    shown = [{key: row[key] for key in keys} for row in rows]
    return Drawing(figure, caption, {"finding": finding, "accuracies": shown, "falls": falls})


def _panel(axes: Axes, rows: list[Row], models: list[str], splits: list[str]) -> None:
    """Splits along x, a line for each model with its accuracies, below the line of the lowest and above the others."""
    mean = {model: _mean(row["accuracy"] for row in rows if row["model"] == model) for model in models}
    for n, model in enumerate(models):
        of = [row for split in splits for row in rows if (row["model"], row["split"]) == (model, split)]
        shift = 0.14 * (n - (len(models) - 1) / 2)
        x = [splits.index(row["split"]) + shift for row in of]
        colour = COLOURS.get(model, "#CC79A7")
        face = "white" if model == "SVC" else colour
        axes.plot(x, [row["accuracy"] for row in of], color=colour, lw=0.8, alpha=0.6, zorder=1)
        for at, row in zip(x, of, strict=True):
            bar: dict[str, Any] = {"fmt": "o", "ms": 4, "color": colour, "mfc": face, "mew": 0.8, "elinewidth": 0.7}
            axes.errorbar(at, row["accuracy"], error(row), **bar)
            side = -1 if mean[model] == min(mean.values()) else 1
            text: dict[str, Any] = {"ha": "right" if side < 0 else "left", "va": "center", "fontsize": 6}
            place = (at, row["accuracy"]), (3 * side, 6 * side)
            axes.annotate(f"{row['accuracy']:.2f}", *place, textcoords="offset points", color=colour, **text)
        if of:
            end: dict[str, Any] = {
                "fontsize": 7,
                "color": colour,
                "va": "top",
                "ha": "right",
                "transform": axes.transAxes,
            }
            axes.text(0.97, 0.97 - 0.08 * n, ("○ " if model == "SVC" else "● ") + model, **end)
    axes.set_xticks(range(len(splits)), [SPLITS[split] for split in splits])
    axes.set_xlabel("Crops split by")
    axes.set_xlim(-0.7, len(splits) - 0.3)
    axes.tick_params(axis="x", length=0)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 1.0


def _fall(rows: list[Row], recipe: str, model: str) -> dict[str, Any] | None:
    """How accuracy falls from one split to the next, for one recipe and model; None without both ends."""
    of = {row["split"]: row for row in rows if (row["recipe"], row["model"]) == (recipe, model)}
    if "random" not in of or "seed" not in of:
        return None
    splits = [split for split in SPLITS if split in of]
    steps = [
        {
            "from": one,
            "to": other,
            "fall": round(of[one]["accuracy"] - of[other]["accuracy"], 4),
            "decided": compare(of[one], of[other]) != "undecided",
        }
        for one, other in pairwise(splits)
    ]
    return {
        "recipe": recipe,
        "model": model,
        "random": said(of["random"]),
        "seed": said(of["seed"]),
        "fall": round(of["random"]["accuracy"] - of["seed"]["accuracy"], 4),
        "order": compare(of["random"], of["seed"]),
        "steps": steps,
    }


def _finding(falls: list[dict[str, Any]]) -> str:
    """The first recipe and model in full, the range of the others."""
    if not falls:
        return "No recipe was tested under both the random split and unseen seeds."
    first = falls[0]
    ends = f"from {first['random']} under the random split to {first['seed']} on unseen seeds"
    of = f"accuracy of {first['model']} on recipe {first['recipe']!r}"
    verb = {"above": "falls", "below": "rises", "undecided": "does not change beyond the intervals:"}[first["order"]]
    clauses = [f"{of} {verb} {ends}"]
    step = max(first["steps"], key=lambda step: step["fall"] if first["fall"] >= 0 else -step["fall"])
    if first["order"] != "undecided" and len(first["steps"]) > 1:
        share = f"{abs(step['fall']):.2f} of {abs(first['fall']):.2f}"
        sure = "" if step["decided"] else ", within the scatter of the seeds"
        clauses.append(
            f"the largest step, {share}, lies between the splits {_named(step['from'])} and {_named(step['to'])}{sure}"
        )
    if len(falls) > 1:
        others = [fall["fall"] for fall in falls[1:]]
        ends = f"{min(others):.2f}" if min(others) == max(others) else f"{min(others):.2f} to {max(others):.2f}"
        clauses.append(f"other recipes and models lose {ends}".replace("-", "\N{MINUS SIGN}"))
    return sentence(clauses)


def _named(split: str) -> str:
    return "at random" if split == "random" else f"by {split}"
