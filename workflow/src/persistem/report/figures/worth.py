"""What maps of composites are worth: means over composites with intervals, by condition, beside simpler measures.

A composite's value is the mean over the defoci and doses at which it was mapped. Composites that share an MD seed are
not independent: they count as one, with the mean of their values. So the interval is over groups that share none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from persistem.learning.intervals import LEVEL, interval
from persistem.report.figures.baselines import spread

Row = dict[str, Any]

#: The features of the model itself, which its inner folds chose.
CHOSEN = "chosen"
#: What the scores call windows that are not judged.
ABSTAINED = "abstained"


def rows_of(judged: Iterable[dict[str, Any]]) -> list[Row]:
    """A row for each map of a composite, from the scores of trials with their ``size`` and ``features``."""
    return [
        {key: score[key] for key in ("name", "kind", "states", "seeds", "defocus", "dose", "overlap")}
        | {
            "size": model["size"],
            "features": model["features"],
            "blocks": model["card"]["classifier"]["features"],
            "boundary_A": score["boundary_A"]["mean"] if score["boundary_A"] else None,
            "calibration_error": score["calibration"]["error"] if score["calibration"] else None,
            "abstained": score["shares"]["abstained"],
        }
        for model in judged
        for score in model["scores"]
        if score["states"]
    ]


def grouped(seeds: Mapping[str, Sequence[int]]) -> list[list[str]]:
    """Composites, by name, in groups that share no MD seed with each other; ``seeds`` of each composite."""
    groups: list[tuple[set[int], list[str]]] = []
    for name, own in seeds.items():
        joined = [group for group in groups if group[0] & set(own)]
        groups = [group for group in groups if group not in joined]
        together = (set(own).union(*(group[0] for group in joined)), [n for group in joined for n in group[1]] + [name])
        groups.append(together)
    return [names for _, names in groups]


def worth(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What maps are worth, for each kind of composite and its states, in the order of the rows.

    Each has ``composites`` and ``groups`` that share no seed (numbers), and ``features``: of each, ``overlap`` (mean,
    low, high), ``by_condition``, the same for each defocus and dose, ``boundary_A`` and ``abstained`` (means), and of
    all but ours ``ahead``, ours less it in pairs, with whether its sign is ``sure``: the interval is without 0 also if
    widened for as many measures as there are (Bonferroni), since the best of them is picked by these composites.
    """
    kinds = {(row["kind"], *row["states"]): row["states"] for row in rows}
    found = []
    for kind, states in kinds.items():
        own = [row for row in rows if (row["kind"], *row["states"]) == kind]
        groups = grouped({row["name"]: row["seeds"] for row in own})
        by_features: dict[str, dict[str, Any]] = {}
        others = max(len({row["features"] for row in own} - {CHOSEN}), 1)
        ours = _means([row for row in own if row["features"] == CHOSEN], _overlap)
        for features in dict.fromkeys(row["features"] for row in own):
            these = [row for row in own if row["features"] == features]
            theirs = _means(these, _overlap)
            conditions = sorted({(row["defocus"], row["dose"]) for row in these})
            by_features[features] = {
                "blocks": sorted({" + ".join(row["blocks"]) for row in these}),
                "overlap": over(groups, theirs),
                "by_condition": [
                    {"defocus": defocus, "dose": dose}
                    | over(groups, _means([r for r in these if (r["defocus"], r["dose"]) == (defocus, dose)], _overlap))
                    for defocus, dose in conditions
                ],
                "boundary_A": _mean([row["boundary_A"] for row in these if row["boundary_A"] is not None]),
                "abstained": _mean([row["abstained"] for row in these]),
            }
            if features != CHOSEN:
                apart = {name: ours[name] - theirs[name] for name in theirs}
                wide = over(groups, apart, -1, 1 - (1 - LEVEL) / others)
                sure = bool(wide["low"] is not None and wide["high"] is not None and wide["low"] * wide["high"] > 0)
                by_features[features]["ahead"] = over(groups, apart, -1) | {"sure": sure}
        count = len({row["name"] for row in own})
        found.append(
            {"kind": kind[0], "states": states, "composites": count, "groups": len(groups), "features": by_features}
        )
    return found


def over(
    groups: Sequence[Sequence[str]], values: Mapping[str, float], least: float = 0.0, level: float = LEVEL
) -> dict[str, float | None]:
    """Mean over groups of composites with its interval (None below three groups); values from ``least`` to 1."""
    means = [sum(values[name] for name in names) / len(names) for names in groups]
    low, high = interval(means, least, 1.0, level)
    return {"mean": sum(means) / len(means), "low": low, "high": high}


def strangers(model: dict[str, Any]) -> list[dict[str, Any]]:
    """What the windows of each stranger and of vacuum are called: shares, mean over defoci and doses."""
    foreign = [score for score in model["scores"] if not score["states"]]
    means = []
    for name in dict.fromkeys(score["name"] for score in foreign):
        own = [score for score in foreign if score["name"] == name]
        shares = {key: _mean([score["shares"][key] for score in own]) for key in own[0]["shares"]}
        abstained = [score["shares"][ABSTAINED] for score in own]
        means.append(
            {"name": name, "state": own[0]["state"], "shares": shares}
            | {"least": min(abstained), "most": max(abstained), "maps": len(own)}
        )
    return means


def best_other(kind: dict[str, Any]) -> str | None:
    """The simpler measure whose maps overlap most with the truth; None if there is none."""
    others = [features for features in kind["features"] if features != CHOSEN]
    return max(others, key=lambda name: kind["features"][name]["overlap"]["mean"], default=None)


def said(value: Mapping[str, float | None]) -> str:
    """A mean of ``over`` with its interval, in the captions' form."""
    assert value["mean"] is not None
    return spread(value["mean"], value["low"], value["high"])


def _overlap(row: Row) -> float:
    return float(row["overlap"]["mean"])


def _means(rows: Iterable[Row], of: Callable[[Row], float]) -> dict[str, float]:
    """Mean of a value over the maps of each composite, by its name."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["name"], []).append(of(row))
    return {name: sum(several) / len(several) for name, several in values.items()}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
