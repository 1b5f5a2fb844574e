"""Where the paper's split leaks: the same features and classifiers under four ways to split the crops."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from persistem.report.figures.baselines import Row, compare, error, evaluation, lowest, said, sentence
from persistem.report.figures.drawing import COLUMN, PAGE, CannotDraw, Drawing, lettered

if TYPE_CHECKING:
    from matplotlib.axes import Axes


TITLE = "What the split of the crops lets through"
ABOUT = (
    "The same features and classifiers under four splits. Random: crops of one seed at random, the paper's; the same"
    " atoms at other defoci and neighbouring crops train. Region: the same place of every micrograph of the seed is"
    " left out, so the same atoms no longer train; neighbours do. Micrograph: whole micrographs of the seed are left"
    " out; the same atoms at other defoci train, but no crop at the tested defocus. Seed: the crops of another seed"
    " test. All train on about as many crops of one seed, one model for all defoci. Each is compared with the random"
    " split: region and micrograph leave out different things, and neither contains the other. Closed symbols: LR;"
    " open: SVC."
)
#: Bump when the figure changes for the same study.
VERSION = 4

#: The splits, from the paper's to another seed, and their labels on an axis.
SPLITS = {"random": "random", "region": "region", "micrograph": "micro-\ngraph", "seed": "seed"}
#: What a split within one seed takes out of training.
LEFT = {"region": "the same atoms do not train", "micrograph": "no crop of the same defocus trains"}
COLUMNS = 3
COLOURS = {"LR": "#000000", "SVC": "#009E73"}


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw a panel for each recipe; ``settings``: ``evaluation``, path of a JSON.

    numbers: ``finding``, ``accuracies`` (drawn here) and ``falls`` (from the random split ``to`` each other one).
    """
    import matplotlib.pyplot as plt

    results = evaluation(settings, root)
    rows = [row for row in results.get("leak", []) if row["split"] in SPLITS and row["accuracy"] is not None]
    if not rows:
        raise CannotDraw("the evaluation has no accuracy of different splits")
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    splits = [split for split in SPLITS if any(row["split"] == split for row in rows)]
    chance, low = 1 / len(results["states"]), lowest(rows, 1 / len(results["states"]))

    columns = min(COLUMNS, len(recipes))
    lines = -(-len(recipes) // columns)
    size = (PAGE if columns > 1 else COLUMN, 0.5 + 2.2 * lines)
    figure, axes = plt.subplots(lines, columns, figsize=size, sharey=True, squeeze=False)
    cells = list(axes.ravel())
    for letter, cell, recipe in zip("abcdefghijkl", cells, recipes, strict=False):
        _panel(cell, [row for row in rows if row["recipe"] == recipe], models, splits)
        cell.axhline(chance, color="0.5", lw=0.7, ls=":")
        cell.set(ylim=(low, 1))
        lettered(cell, letter, fill(recipe, 96 // columns))
    for cell in cells[len(recipes) :]:
        cell.set_axis_off()
    for row_of_cells in axes:
        row_of_cells[0].set_ylabel("Accuracy, all foci")
    cells[0].annotate("chance", (0.02, chance), (0, 2), ("axes fraction", "data"), "offset points")

    falls = [fall for recipe in recipes for model in models if (fall := _fall(rows, recipe, model))]
    finding = _finding(falls)
    caption = (
        f"{finding} Error bars: 95 % intervals (Student's t) over the seed that trains (seeds that test each"
        " other are not independent, so those of the seed split are rather too narrow); none where there are"
        " fewer than three. Dotted: chance."
    )
    keys = ("recipe", "model", "split", "accuracy", "ci_low", "ci_high")
    shown = [{key: row[key] for key in keys} for row in rows]
    return Drawing(figure, caption, {"finding": finding, "accuracies": shown, "falls": falls})


def _panel(axes: Axes, rows: list[Row], models: list[str], splits: list[str]) -> None:
    """Splits along x, models side by side; accuracies are written beside them, the last model's on the right."""
    for n, model in enumerate(models):
        curve = [row for split in splits for row in rows if (row["model"], row["split"]) == (model, split)]
        shift = 0.16 * (n - (len(models) - 1) / 2)
        x = [splits.index(row["split"]) + shift for row in curve]
        colour = COLOURS.get(model, "#CC79A7")
        face = "white" if model == "SVC" else colour
        for position, row in zip(x, curve, strict=True):
            bar: dict[str, Any] = {"fmt": "o", "ms": 4, "color": colour, "mfc": face, "mew": 0.8, "elinewidth": 0.7}
            axes.errorbar(position, row["accuracy"], error(row), **bar)
            side = 1 if n == len(models) - 1 else -1
            text: dict[str, Any] = {"ha": "right" if side < 0 else "left", "va": "center"}
            place = (position, row["accuracy"]), (4 * side, 0)
            axes.annotate(f"{row['accuracy']:.2f}", *place, textcoords="offset points", color=colour, **text)
        if curve:
            end: dict[str, Any] = {
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


def _fall(rows: list[Row], recipe: str, model: str) -> dict[str, Any] | None:
    """How accuracy falls from the random split to each other one, for one recipe and model; None without both ends."""
    by_split = {row["split"]: row for row in rows if (row["recipe"], row["model"]) == (recipe, model)}
    if "random" not in by_split or "seed" not in by_split:
        return None
    falls = {
        split: {
            "accuracy": said(by_split[split]),
            "fall": round(by_split["random"]["accuracy"] - by_split[split]["accuracy"], 4),
            "verdict": compare(by_split[split], by_split["random"]),
        }
        for split in SPLITS
        if split in by_split and split != "random"
    }
    return {"recipe": recipe, "model": model, "random": said(by_split["random"]), "to": falls}


def _finding(falls: list[dict[str, Any]]) -> str:
    """The first recipe and model in full, and the range of the others."""
    if not falls:
        return "No recipe was tested under both the random split and unseen seeds."
    first = falls[0]
    seed = first["to"]["seed"]
    verbs = {"below": "falls", "above": "rises", "undecided": "does not change beyond the intervals:"}
    clauses = [
        f"accuracy of {first['model']} on recipe {first['recipe']!r} {verbs[seed['verdict']]} from {first['random']}"
        f" under the random split to {seed['accuracy']} on another seed"
    ]
    parts = []
    for split, left in LEFT.items():
        if fall_of_split := first["to"].get(split):
            verb = {"below": "falls to", "above": "rises to", "undecided": "is not told apart from random,"}
            parts.append(f"where {left} it {verb[fall_of_split['verdict']]} {fall_of_split['accuracy']}")
    clauses.append(" and ".join(parts))
    if len(falls) > 1:
        others = [fall["to"]["seed"]["fall"] for fall in falls[1:]]
        ends = f"{min(others):.2f}" if min(others) == max(others) else f"{min(others):.2f} to {max(others):.2f}"
        clauses.append(f"other recipes and models lose {ends} on another seed".replace("-", "\N{MINUS SIGN}"))
    return sentence(clauses)
