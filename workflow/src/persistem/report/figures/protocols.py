"""Protocols: how near each comes to the paper, and how often its models are right on another specimen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from persistem.evaluation.compatibility import deviations
from persistem.evaluation.protocols import name_of, read_protocols
from persistem.report.figures.drawing import COLOURS, COLUMN, CannotDraw, Drawing
from persistem.report.paper import joint_numbers

TITLE = "Nearness to the paper against accuracy on another specimen"
ABOUT = (
    "Every protocol that was tried: the largest deviation of its accuracies from the paper's eight, on the seed where"
    " it is smallest, and how often models of both degrees over all foci are right on the next seed, which they have"
    " not learned from (mean of LR and SVC over seeds)."
)
#: Bump when the figure changes for the same study.
VERSION = 1


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw a dot for every protocol; ``settings``: ``protocols`` (path), ``factors`` and ``numbers``.

    numbers: ``finding``, and ``protocols`` (deviation and unseen accuracy by number), ``study`` and ``correlation``
    (Spearman's).
    """
    import matplotlib.pyplot as plt
    from scipy.stats import spearmanr

    if not settings["protocols"]:
        raise CannotDraw("the study's multiverse takes answers one at a time")
    table = read_protocols(root / settings["protocols"])
    numbers = settings["numbers"]
    away = deviations(table, numbers)
    joint = [numbers[k] for k in joint_numbers(numbers)]
    right = np.mean([np.array(table[f"unseen {name_of(n)}"], float) for n in joint], axis=0)
    protocol, origin = np.array(table["protocol"]), np.array(table["origin"])
    if np.isnan(right).all():
        raise CannotDraw("one seed was searched, so there is no other that models have not learned from")
    unseen = {k: float(np.nanmean(right[protocol == k])) for k in away}
    first = [np.array(table[f["question"]]) == f["answers"][0] for f in settings["factors"]]
    own = int(protocol[np.all(first, axis=0)][0])
    varies = len(set(away.values())) > 1 < len(set(unseen.values()))
    correlation = float(spearmanr(list(away.values()), list(unseen.values())).statistic) if varies else None

    figure, axes = plt.subplots(figsize=(COLUMN, 2.9))
    searched = {k for k in away if "improving" in set(origin[protocol == k])}
    for chosen, colour, label in ((set(away) - searched, COLOURS[5], "design"), (searched, COLOURS[1], "search")):
        if chosen:
            axes.plot(
                [away[k] for k in chosen], [unseen[k] for k in chosen], ls="", marker=".", ms=3, color=colour,
                label=f"{label} ({len(chosen)})", rasterized=True,
            )  # fmt: skip
    axes.plot(away[own], unseen[own], ls="", marker="*", ms=9, color="black", label="the study as it is")
    axes.axhline(np.mean([n["accuracy"] for n in joint]), color="black", lw=0.9)
    axes.annotate("paper, random split", (1, np.mean([n["accuracy"] for n in joint])), (-2, 2),
                  ("axes fraction", "data"), "offset points", ha="right", va="bottom")  # fmt: skip
    axes.axhline(0.5, color="0.7", lw=0.6, zorder=0)
    axes.margins(y=0.1)
    axes.set(xlabel="largest deviation from the paper's accuracies", ylabel="Accuracy on another seed")
    figure.legend(loc="outside lower center", ncols=3, handletextpad=0.2)

    nearest = min(away, key=lambda k: (away[k], k))
    best = max(unseen, key=lambda k: (unseen[k], -k))
    finding = (
        f"The protocol nearest the paper ({away[nearest]:.3f}) is right in {unseen[nearest]:.2f} on another seed, the"
        f" study as it is in {unseen[own]:.2f}, and the best of {len(away)} protocols there, in {unseen[best]:.2f},"
        f" deviates from the paper by {away[best]:.2f}."
    )
    shown = {str(k): {"deviation": round(away[k], 4), "unseen": round(unseen[k], 4)} for k in away}
    rank = None if correlation is None else round(correlation, 3)
    caption = finding if rank is None else f"{finding} Rank correlation of deviation and accuracy: {rank:+.2f}."
    return Drawing(figure, caption, {"finding": finding, "protocols": shown, "study": own, "correlation": rank})
