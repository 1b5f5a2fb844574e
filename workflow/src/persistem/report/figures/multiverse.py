"""Choices of a study that the paper leaves open: accuracy for every alternative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from persistem.report.figures.baselines import Row, compare, error, listed, said, sentence
from persistem.report.figures.drawing import PAGE, SPLITS, CannotDraw, Drawing
from persistem.report.figures.figure_8 import read_accuracies
from persistem.report.paper import ACCURACIES, STATES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


TITLE = "What the choices that the paper leaves open do to the accuracy"
ABOUT = (
    "Every line changes one choice of the study that the paper does not state, and nothing else: accuracy of the joint"
    " degrees, one model for all defoci, over all foci. Open: the paper's random split; filled: seeds that no training"
    " crop comes from. Bands: the interval of the study as it is; an alternative whose interval shares no value with it"
    " is told apart, any other is not, which does not say that the choice is without effect. Black lines: the paper's"
    " accuracies of the same degrees, where the study's states are the paper's."
)
#: Bump when the figure changes for the same study.
VERSION = 3

#: Length of the labels, in letters.
LENGTH = 44


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw the alternatives as lines, grouped by question, a panel for each model.

    ``settings``: ``states`` (the paper's accuracies are drawn in if they are the paper's) and ``alternatives``
    (``question``, ``answer``, ``default``, ``accuracy``: path of a table), the study itself first. numbers:
    ``finding``, ``accuracies`` (with ``verdict``: ``above``, ``below`` or ``undecided`` against the study as it is,
    None for itself and without intervals, and ``paper``: whether the interval holds the paper's accuracy) and
    ``paper``.
    """
    import matplotlib.pyplot as plt

    alternatives = settings["alternatives"]
    if len(alternatives) < 2:
        raise CannotDraw("the study has no alternative to compare it with")
    stated = ACCURACIES if list(settings.get("states", ())) == list(STATES) else []
    paper = {row["model"]: row["accuracy"] for row in stated if (row["degrees"], row["foci"]) == ("0+1", "all")}
    rows = [row for n, alternative in enumerate(alternatives) for row in _read(n, alternative, root, paper)]
    own = {(row["model"], row["split"]): row for row in rows if row["line"] == 0}
    if not own:
        raise CannotDraw(f"{alternatives[0]['accuracy']} has no accuracy of models trained on all defoci")
    for row in rows:
        row["verdict"] = _verdict(row, own.get((row["model"], row["split"])))
    models = list(dict.fromkeys(model for model, _ in own))
    places, headings = _places(alternatives)

    figure, cells = plt.subplots(
        1, len(models), figsize=(PAGE, 0.9 + 0.165 * max(places.values())), sharex=True, sharey=True, squeeze=False
    )
    marks = [*(row["accuracy"] for row in rows), *(paper.get(model) for model in models)]
    seen = [mark for mark in marks if mark is not None]
    ends = [row["ci_low"] for row in rows if row["ci_low"] is not None]
    low = max(min([*ends, min(seen) - 0.04]), min(seen) - 0.12)  # intervals of three seeds can be as wide as the axis
    for letter, axes, model in zip("abcd", cells[0], models, strict=False):
        _panel(axes, [row for row in rows if row["model"] == model], places)
        if model in paper:
            axes.axvline(paper[model], color="black", lw=0.9)
            axes.annotate(f"paper {paper[model]:.3f}", (paper[model], 1), (0, 2), ("data", "axes fraction"),
                          "offset points", ha="center", va="bottom", fontsize=6.5)  # fmt: skip
        axes.set_title(f"$\\bf{{({letter})}}$ {model}", loc="left")
        axes.set(xlabel="Accuracy, all foci", xlim=(low, max(seen) + 0.04))
    _labels(cells[0][0], alternatives, places, headings)
    _legend(figure, {row["split"] for row in rows})

    finding = _finding(rows, own, models[0], paper)
    seeds = max((row["n_splits"] for row in rows if row["split"] == "leave-seed-out"), default=0)
    caption = (
        f"{finding} {len(alternatives) - 1} alternatives to the study as it is"
        + (f", all on the same {seeds} seeds. " if seeds else ". ")
        + "Error bars and bands: of the random split, 2.5 to 97.5 % of its repetitions; of unseen seeds, 95 % intervals"
        " over seeds."
    )
    shown = [{key: value for key, value in row.items() if key != "line"} for row in rows]
    return Drawing(figure, caption, {"finding": finding, "accuracies": shown, "paper": paper})


def _read(line: int, alternative: Mapping[str, Any], root: Path, paper: Mapping[str, float]) -> list[dict[str, Any]]:
    """Accuracies of one alternative: its joint degrees, one model for all defoci, all foci, both splits."""
    table = [
        r for r in read_accuracies(root / alternative["accuracy"]) if (r["training"], r["foci"]) == ("pooled", "all")
    ]
    joint = max((row["degrees"] for row in table), key=lambda degrees: str(degrees).count("+"), default=None)
    first = table[0].get("features") if table else None
    return [
        {key: alternative[key] for key in ("question", "answer")}
        | {key: row[key] for key in ("model", "split", "accuracy", "ci_low", "ci_high", "n_splits")}
        | {"line": line, "paper": _holds(row, paper.get(row["model"]))}
        for row in table
        if row["degrees"] == joint and row.get("features") == first and row["split"] in SPLITS
    ]


def _holds(row: Row, value: float | None) -> bool | None:
    """Whether a value lies in a row's interval; None if either is missing."""
    if value is None or row["ci_low"] is None or row["ci_high"] is None:
        return None
    return bool(row["ci_low"] <= value <= row["ci_high"])


def _verdict(row: Row, own: Row | None) -> str | None:
    """How a row compares with the study as it is; None for the study itself and without an interval."""
    if own is None or not row["line"] or any(r[end] is None for r in (row, own) for end in ("ci_low", "ci_high")):
        return None
    return compare(row, own)


def _places(alternatives: Sequence[Mapping[str, Any]]) -> tuple[dict[int, float], dict[str, float]]:
    """Height of each alternative, and of each question's heading, a line of its own above its answers."""
    places, headings, height = {0: 0.0}, {}, 1.3
    for question in dict.fromkeys(alternative["question"] for alternative in alternatives[1:]):
        headings[question] = height
        for n, alternative in enumerate(alternatives):
            if n and alternative["question"] == question:
                height += 1
                places[n] = height
        height += 1.3
    return places, headings


def _panel(axes: Axes, rows: Sequence[Row], places: Mapping[int, float]) -> None:
    for split, (_, colour, _) in SPLITS.items():
        face = "white" if split == "random" else colour
        for row in rows:
            if row["split"] != split:
                continue
            if row["line"] == 0 and row["ci_low"] is not None and row["ci_high"] is not None:
                axes.axvspan(row["ci_low"], row["ci_high"], color=colour, alpha=0.13, lw=0, zorder=0)
            y = places[row["line"]] + (-0.14 if split == "random" else 0.14)
            bar: dict[str, Any] = {"fmt": "o", "ms": 4, "color": colour, "mfc": face, "mew": 0.9, "elinewidth": 0.7}
            axes.errorbar(row["accuracy"], y, xerr=error(row), **bar)
    for y in places.values():
        axes.axhline(y, color="0.9", lw=0.4, zorder=0)
    axes.set_ylim(max(places.values()) + 0.7, -0.8)
    axes.tick_params(axis="y", length=0)


def _labels(
    axes: Axes, alternatives: Sequence[Mapping[str, Any]], places: Mapping[int, float], headings: Mapping[str, float]
) -> None:
    """Questions in bold and answers below them, as axis labels, so that the layout makes room for them."""
    lines = [(y, shorten(question, LENGTH, placeholder=" …"), True) for question, y in headings.items()]
    for n, y in places.items():
        alternative = alternatives[n]
        name = (
            "the study as it is"
            if n == 0
            else f"{alternative['answer']}" + (" (default)" if alternative["default"] else "")
        )
        lines.append((y, shorten(name, LENGTH, placeholder=" …"), n == 0))
    lines.sort()
    axes.set_yticks([y for y, _, _ in lines], [name for _, name, _ in lines], fontsize=6.5)
    for label, (_, _, bold) in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if bold else "normal")


def _legend(figure: Any, splits: set[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], ls="", marker="o", ms=4, color=colour, mfc="white" if s == "random" else colour, label=name)
        for s, (name, colour, _) in SPLITS.items()
        if s in splits
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handletextpad=0.2)


def _finding(rows: Sequence[Row], own: Mapping[tuple[str, str], Row], model: str, paper: Mapping[str, float]) -> str:
    """Which alternatives differ from the study in the first model's accuracy, and which reach the paper's."""
    clauses = []
    for split, (name, _, _) in SPLITS.items():
        others = [row for row in rows if (row["model"], row["split"]) == (model, split) and row["line"]]
        study = own.get((model, split))
        if study is None or not others:
            continue
        on = "under the random split" if split == "random" else f"on an {name}"
        if study["ci_low"] is None or study["ci_high"] is None:
            clauses.append(f"{on} {model} gives {said(study)} without an interval, so nothing is told apart from it")
            continue
        apart = sorted(
            (row for row in others if row["verdict"] in ("above", "below")),
            key=lambda row: -abs(row["accuracy"] - study["accuracy"]),
        )
        which = listed([f"{_named(row)} ({row['accuracy']:.2f})" for row in apart], most=8) if apart else ""
        clauses.append(
            f"{on} {len(apart) or 'none'} of {len(others)} alternatives {'is' if len(apart) == 1 else 'are'} told apart"
            f" from the study's own {said(study)} with {model}" + (f": {which}" if apart else "")
        )
    for other, accuracy in paper.items():
        if (other, "random") in own:
            holding = [row for row in rows if (row["model"], row["split"]) == (other, "random") and row["paper"]]
            clauses.append(
                f"the paper's {accuracy:.3f} with {other} lies within the random split's interval of "
                + (listed([_named(row) for row in holding], most=8) if holding else "no alternative, nor of the study")
            )
    return sentence(clauses)


def _named(row: Row) -> str:
    if not row["line"]:
        return "the study as it is"
    return shorten(f"{row['question']}: {row['answer']}", 2 * LENGTH, placeholder=" …")
