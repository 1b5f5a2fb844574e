"""Effects: what each answer to an open question does to the features of the paper's table, and which go together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.evaluation.protocols import name_of, read_protocols
from persistem.report.figures.baselines import listed, sentence
from persistem.report.figures.drawing import DIVERGING, PAGE, SEQUENTIAL, CannotDraw, Drawing, lettered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

TITLE = "What the answers to open questions do to the paper's table, together"
ABOUT = (
    "The paper's eight accuracies have five features: whether rings (degree 1) are better than islands (degree 0), SVC"
    " better than LR, both degrees better than the best single one, in focus better than all foci, and how high they"
    " are. (a) Mean change of each feature from the study's own answer to another, over all protocols of the design, in"
    " hundredths, and the paper's features. (b) Of what is not explained by questions one by one, the two questions"
    " whose answers explain most together: their share of a feature's variance over the protocols."
)
#: Bump when the figure changes for the same study.
VERSION = 1

FEATURES = ("1st − 0th", "SVC − LR", "both − best single", "in focus − all", "level")
#: Length of the labels, in letters; pairs of questions that are shown for each feature.
LENGTH, PAIRS = 44, 8


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw main effects and interactions; ``settings``: ``protocols`` (path), ``factors`` and ``numbers``.

    numbers: ``finding``, ``paper`` and ``study`` (features), ``effects`` (question, answer, protocols, and the change
    of each feature) and ``interactions`` (questions, feature, share of the variance).
    """
    import matplotlib.pyplot as plt

    if not settings["protocols"]:
        raise CannotDraw("the study's multiverse takes answers one at a time")
    table = read_protocols(root / settings["protocols"])
    answers, values = _designed(table, settings)
    paper = features(np.array([[n["accuracy"] for n in settings["numbers"]]]), settings["numbers"])[0]
    own = np.all(answers == 0, axis=1)
    effects = _effects(answers, values, settings["factors"])
    pairs = _interactions(answers, values, settings["factors"])

    height = 0.165 * (len(effects) + len(settings["factors"]) + 3) + 0.5
    figure = plt.figure(figsize=(PAGE, max(height, 3.0)))
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    _table(left, effects, settings["factors"], paper, values[own][0] if own.any() else None)
    lettered(left, "a", "change (hundredths)")
    _shares(right, pairs, figure)
    lettered(right, "b", "share of the variance")

    finding = _finding(effects, pairs)
    count = f"{len(answers)} protocols of the {settings['method']} design, means over seeds and splits. "
    caption = f"{finding} {count}{_confounded(settings)}"
    named = dict(zip(FEATURES, paper.round(4).tolist(), strict=True))
    study = dict(zip(FEATURES, values[own][0].round(4).tolist(), strict=True)) if own.any() else None
    return Drawing(
        figure, caption, {"finding": finding, "paper": named, "study": study, "effects": effects, "interactions": pairs}
    )


def features(values: NDArray[np.float64], numbers: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    """The five features (protocols, 5) of the paper's numbers (protocols, numbers)."""

    def of(degrees: str, foci: str = "all") -> NDArray[np.float64]:
        models = [k for k, n in enumerate(numbers) if (n["degrees"], n["foci"]) == (degrees, foci)]
        return np.asarray(values[:, models].mean(axis=1))

    def by(model: str) -> NDArray[np.float64]:
        return np.asarray(values[:, [k for k, n in enumerate(numbers) if n["model"] == model]].mean(axis=1))

    zeroth, first, both, focused = of("0"), of("1"), of("0+1"), of("0+1", "in-focus")
    return np.column_stack(
        [first - zeroth, by("SVC") - by("LR"), both - np.maximum(zeroth, first), focused - both, values.mean(axis=1)]
    )


def _designed(table: dict[str, list[Any]], settings: dict[str, Any]) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Answers (protocols, questions) and features (protocols, 5) of the protocols of the design, not of its search."""
    numbers = settings["numbers"]
    rows = np.array([origin != "improving" for origin in table["origin"]])
    protocol = np.array(table["protocol"])[rows]
    columns = [np.array([f["answers"].index(a) for a in table[f["question"]]])[rows] for f in settings["factors"]]
    values = np.column_stack([np.array(table[name_of(n)], float)[rows] for n in numbers])
    kinds, first = np.unique(protocol, return_index=True)
    means = np.array([values[protocol == k].mean(axis=0) for k in kinds])
    return np.column_stack(columns)[first], features(means, numbers)


def _effects(
    answers: NDArray[np.int_], values: NDArray[np.float64], factors: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The mean change of each feature from the study's own answer to another, over the protocols."""
    rows = []
    for k, factor in enumerate(factors):
        own = values[answers[:, k] == 0].mean(axis=0)
        for number, answer in enumerate(factor["answers"][1:], 1):
            chosen = answers[:, k] == number
            if chosen.any():
                change = values[chosen].mean(axis=0) - own
                rows.append(
                    {"question": factor["question"], "answer": answer, "protocols": int(chosen.sum())}
                    | dict(zip(FEATURES, change.round(4).tolist(), strict=True))
                )
    return rows


def _interactions(
    answers: NDArray[np.int_], values: NDArray[np.float64], factors: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The share of each feature's variance that two questions explain together beyond each alone, largest first."""
    total = values.var(axis=0)
    rows = []
    for i, j in combinations(range(len(factors)), 2):
        shares = np.zeros(len(FEATURES))
        for a in np.unique(answers[:, i]):
            for b in np.unique(answers[:, j]):
                one, other = answers[:, i] == a, answers[:, j] == b
                cell = one & other
                if cell.any():
                    beyond = values[cell].mean(0) - values[one].mean(0) - values[other].mean(0) + values.mean(0)
                    shares += cell.mean() * beyond**2
        shares = shares / np.where(total > 0, total, 1)
        rows += [
            {
                "questions": [factors[i]["question"], factors[j]["question"]],
                "feature": name,
                "share": round(float(s), 4),
            }
            for name, s in zip(FEATURES, shares, strict=True)
        ]
    return sorted(rows, key=lambda row: -row["share"])


def _table(
    axes: Axes,
    effects: Sequence[dict[str, Any]],
    factors: Sequence[dict[str, Any]],
    paper: NDArray[np.float64],
    study: NDArray[np.float64] | None,
) -> None:
    """Answers as lines and features as columns, coloured by the change; above them the paper's and the study's own."""
    lines: list[tuple[str, NDArray[np.float64] | None, bool]] = [("the paper", paper, True)]
    if study is not None:
        lines.append(("the study as it is", study, True))
    for factor in factors:
        lines.append((f"{factor['question']}: {factor['answers'][0]} →", None, True))
        lines += [
            (row["answer"], np.array([row[name] for name in FEATURES]), False)
            for row in effects
            if row["question"] == factor["question"]
        ]
    shown = np.array([np.full(len(FEATURES), np.nan) if v is None or bold else v for _, v, bold in lines])
    limit = float(np.nanmax(np.abs(shown))) or 1.0
    axes.imshow(shown, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
    for y, (_, line, _) in enumerate(lines):
        for x, value in enumerate([] if line is None else line):
            white = np.isfinite(shown[y, x]) and abs(shown[y, x]) > 0.6 * limit
            text = f"{100 * value:.0f}" if abs(value) < 1e-9 or not np.isfinite(shown[y, x]) else f"{100 * value:+.0f}"
            axes.text(x, y, text, ha="center", va="center", color="white" if white else "black")
    _heads(axes)
    axes.set_yticks(range(len(lines)), [shorten(name, LENGTH, placeholder=" …") for name, _, _ in lines])
    for label, (_, _, bold) in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if bold else "normal")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _heads(axes: Axes) -> None:
    """The features above their columns."""
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(FEATURES)), FEATURES, rotation=45, ha="left", rotation_mode="anchor")


def _shares(axes: Axes, pairs: Sequence[dict[str, Any]], figure: Any) -> None:
    """The pairs of questions that explain most, as lines, and what they explain of each feature."""
    best: dict[tuple[str, ...], float] = {}
    for row in pairs:
        best.setdefault(tuple(row["questions"]), row["share"])
    names = list(best)[:PAIRS]
    shares = {(tuple(row["questions"]), row["feature"]): row["share"] for row in pairs}
    shown = np.array([[shares[name, feature] for feature in FEATURES] for name in names])
    image = axes.imshow(100 * shown, cmap=SEQUENTIAL, vmin=0, aspect="auto")
    _heads(axes)
    axes.set_yticks(range(len(names)), ["\n× ".join(shorten(n, 24, placeholder=" …") for n in name) for name in names])
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, label="% of the variance", shrink=0.5, aspect=12, pad=0.02)


def _finding(effects: Sequence[dict[str, Any]], pairs: Sequence[dict[str, Any]]) -> str:
    """The answer that moves each feature most, and the strongest pair."""
    clauses = []
    for name in FEATURES:
        row = max(effects, key=lambda one: abs(one[name]))
        clauses.append(f"{name} is moved most by {row['question']}: {row['answer']} ({row[name]:+.2f})")
    strongest = pairs[0] if pairs else None
    text = sentence([listed(clauses, most=len(clauses))])
    if strongest:
        text += (
            f" Together, {' and '.join(strongest['questions'])} explain {100 * strongest['share']:.0f} % of the"
            f" variance of {strongest['feature']} beyond each alone."
        )
    return text


def _confounded(settings: dict[str, Any]) -> str:
    resolution = settings.get("resolution")
    if resolution is None:
        return "Every combination was tried."
    return {
        3: "At resolution 3 an answer is confounded with pairs of others.",
        4: "At resolution 4 pairs of questions are confounded with other pairs.",
        5: "At resolution 5 no two pairs of two-answer questions are confounded.",
    }[resolution]
