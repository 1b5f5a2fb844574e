"""Choices of a study that the paper leaves open: accuracy for every alternative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from persistem.learning.accuracy import read_by_seed
from persistem.learning.intervals import EQUAL, Change, change, change_within, holm
from persistem.report.figures.baselines import SHARED, Row, changed, error, listed, sentence
from persistem.report.figures.drawing import PAGE, SPLITS, CannotDraw, Drawing, lettered
from persistem.report.figures.figure_8 import read_accuracies
from persistem.report.paper import ACCURACIES, STATES, one_specimen

if TYPE_CHECKING:
    from matplotlib.axes import Axes


TITLE = "What the choices that the paper leaves open do to the accuracy"
ABOUT = (
    "Every line changes one choice of the study that the paper does not state, and nothing else: accuracy of the joint"
    " degrees, one model for all defoci, over all foci. Open: the paper's random split; filled: seeds that no training"
    " crop comes from. An alternative shares its seeds and splits with the study as it is (coloured lines) and is"
    " compared with it in pairs: error bars are 95 % intervals of the change. On unseen seeds pairs are seeds"
    " (Student's t). Under the random split they are splits, so what is found holds for these specimens; where the"
    " choice makes other specimens they are seeds again. Diamonds: told apart, with p below 0.05 after Holm's"
    " correction over the alternatives of a model and split. Any other is not, which does not say that the choice is"
    " without effect. Black lines: the paper's accuracies of the same degrees, where the study's states are the"
    " paper's."
)
#: Bump when the figure changes for the same study.
VERSION = 5

#: Length of the labels, in letters.
LENGTH = 44


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw the alternatives as lines, grouped by question, a panel for each model.

    ``settings``: ``states`` (the paper's accuracies are drawn in if they are the paper's), ``test_fraction`` of the
    random split and ``alternatives`` (``question``, ``answer``, ``default``, ``accuracy``: path of a table,
    ``same_specimens``: whether they are the study's), the study itself first. numbers: ``finding``, ``accuracies`` and
    ``paper``. An accuracy has ``paper`` (whether the interval of one specimen and one split holds the paper's; None
    beside unseen seeds) and, but for the study itself, ``pairs`` (splits or seeds), ``change``, its interval
    ``change_low`` and ``change_high``, ``p`` after Holm's correction and ``verdict``: above, below or undecided.
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
    for key, study in own.items():
        others = [row for row in rows if (row["model"], row["split"]) == key and row["line"]]
        _compare(others, study, settings["test_fraction"])
    models = list(dict.fromkeys(model for model, _ in own))
    places, headings = _places(alternatives)

    figure, cells = plt.subplots(
        1, len(models), figsize=(PAGE, 0.9 + 0.175 * max(places.values())), sharex=True, sharey=True, squeeze=False
    )
    marks = [*(row["accuracy"] for row in rows), *(paper.get(model) for model in models)]
    seen = [mark for mark in marks if mark is not None]
    low = min(seen) - 0.1  # intervals of three seeds can be as wide as the axis
    for letter, axes, model in zip("abcd", cells[0], models, strict=False):
        _panel(axes, [row for row in rows if row["model"] == model], own, places)
        if model in paper:
            axes.axvline(paper[model], color="black", lw=0.9)
            axes.annotate(f"paper {paper[model]:.3f}", (paper[model], 1), (0, 2), ("data", "axes fraction"),
                          "offset points", ha="center", va="bottom")  # fmt: skip
        lettered(axes, letter, model)
        axes.set(xlabel="Accuracy, all foci", xlim=(low, max(seen) + 0.08))
    _labels(cells[0][0], alternatives, places, headings)
    _legend(figure, {row["split"] for row in rows})

    finding = _finding(rows, own, models[0], paper)
    seeds = max((row["n_splits"] for row in rows if row["split"] == "leave-seed-out"), default=0)
    caption = (
        f"{finding} {len(alternatives) - 1} alternatives to the study as it is"
        + (f", all on the same {seeds} seeds. " if seeds else ". ")
        + f"Error bars are not corrected; none where differences do not scatter. {SHARED}."
    )
    shown = [{key: value for key, value in row.items() if key not in ("line", "by_seed", "same")} for row in rows]
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
        | {"by_seed": read_by_seed(row.get("by_seed")), "same": alternative["same_specimens"]}
        for row in table
        if row["degrees"] == joint and row.get("features") == first and row["split"] in SPLITS
    ]


def _holds(row: Row, value: float | None) -> bool | None:
    """Whether one specimen and one split may give a value; None beside unseen seeds and without an interval."""
    low, high = one_specimen(row) if row["split"] == "random" else (None, None)
    return None if value is None or low is None or high is None else low <= value <= high


def _compare(rows: Sequence[dict[str, Any]], study: Row, test_fraction: float) -> None:
    """Compare the alternatives of one model and split with the study, and add what ``draw`` says of it."""
    for row in rows:
        pairs, tested = _change(row, study, test_fraction)
        row |= {"pairs": pairs, "change": tested.mean, "change_low": tested.low, "change_high": tested.high}
        row["p"] = tested.p
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row |= {"p": p, "verdict": _of(row)._replace(p=p).verdict}


def _change(row: Row, study: Row, test_fraction: float) -> tuple[str | None, Change]:
    """The change from the study in pairs of splits, else of seeds, else without an interval."""
    one, other = row["by_seed"], study["by_seed"]
    if not one or one.keys() != other.keys():
        return None, Change(row["accuracy"] - study["accuracy"], None, None, None)
    splits = {len(values) for by_seed in (one, other) for values in by_seed.values()}
    if row["split"] == "random" and row["same"] and len(splits) == 1:
        differences = [[a - b for a, b in zip(one[seed], other[seed], strict=True)] for seed in one]
        return "splits", change_within(differences, test_fraction)
    return "seeds", change([fmean(one[seed]) - fmean(other[seed]) for seed in one])


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


def _panel(axes: Axes, rows: Sequence[Row], own: Mapping[tuple[str, str], Row], places: Mapping[int, float]) -> None:
    for split, (_, colour, _) in SPLITS.items():
        face = "white" if split == "random" else colour
        for row in rows:
            if row["split"] != split:
                continue
            y = places[row["line"]] + (-0.14 if split == "random" else 0.14)
            mark, size = ("o", 4.0) if row.get("verdict") in (None, "undecided") else ("D", 4.5)
            bar: dict[str, Any] = {"fmt": mark, "ms": size, "color": colour, "mfc": face, "mew": 0.9, "elinewidth": 0.7}
            if row["line"] == 0:
                axes.axvline(row["accuracy"], color=colour, lw=0.8, alpha=0.6, zorder=0)
                axes.errorbar(row["accuracy"], y, **bar)
            elif study := own.get((row["model"], split)):
                ends = (row["change_low"], row["change_high"])
                low, high = (None if end is None else study["accuracy"] + end for end in ends)
                axes.errorbar(row["accuracy"], y, xerr=error({**row, "ci_low": low, "ci_high": high}), **bar)
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
    axes.set_yticks([y for y, _, _ in lines], [name for _, name, _ in lines])
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
        on = "under the random split, for these specimens," if split == "random" else f"on an {name}"
        if all(row["p"] is None for row in others):
            why = "there are too few seeds to tell anything apart"
            if not any(row["pairs"] for row in others):
                why = "nothing is told apart without pairs"
            elif all(abs(row["change"]) < EQUAL for row in others):
                why = "no alternative changes it"
            clauses.append(f"{on} {model} gives {study['accuracy']:.2f}, and {why}")
            continue
        apart = sorted(
            (row for row in others if row["verdict"] != "undecided"), key=lambda row: -abs(float(row["change"]))
        )
        which = listed([f"{_named(row)} ({changed(_of(row))})" for row in apart], most=8) if apart else ""
        clauses.append(
            f"{on} {len(apart) or 'none'} of {len(others)} alternatives {'is' if len(apart) == 1 else 'are'} told apart"
            f" from the study's own {study['accuracy']:.2f} with {model}" + (f": {which}" if apart else "")
        )
    for other, accuracy in paper.items():
        judged = [r for r in rows if (r["model"], r["split"]) == (other, "random") and r["paper"] is not None]
        if judged:
            holding = [row for row in judged if row["paper"]]
            clauses.append(
                f"the paper's {accuracy:.3f} with {other} lies where one specimen and one split would, under "
                + (listed([_named(row) for row in holding], most=8) if holding else "no alternative, nor the study")
            )
    return sentence(clauses)


def _of(row: Row) -> Change:
    """The change that a row holds."""
    return Change(row["change"], row["change_low"], row["change_high"], row["p"])


def _named(row: Row) -> str:
    if not row["line"]:
        return "the study as it is"
    return shorten(f"{row['question']}: {row['answer']}", 2 * LENGTH, placeholder=" …")
