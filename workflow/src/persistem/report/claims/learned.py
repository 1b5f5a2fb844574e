"""The paper's claims on accuracies and learned weights, and the criteria that decide them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise, product
from statistics import fmean
from typing import Any

from persistem.learning.intervals import told
from persistem.report.claims.cases import (
    AMORPHOUS,
    LIQUID,
    Case,
    Facts,
    Verdict,
    accuracies,
    by_seed,
    every,
    gains,
    index,
    listed,
    none,
    span,
    superlevel,
)
from persistem.report.paper import STATES, number

#: Two counts differ slightly up to this ratio.
SLIGHT = 1.25
#: Accuracy that may be lost to noise if a filter suffices.
LOSS = 0.02


def degrees_order(facts: Facts) -> Verdict:
    """The three accuracies over all foci ascend, for each model and split, as far as seeds tell."""
    cases, evidence = [], []
    for (split, model, foci), rows in accuracies(facts, ("split", "model", "foci"), "degrees").items():
        if foci == "all" and {"0", "1", "0+1"} <= set(rows):
            three = [rows[degrees] for degrees in ("0", "1", "0+1")]
            steps = [gains(higher, lower) for lower, higher in pairwise(three)]
            cases.append(Case({"split": split, "model": model}, every(map(told, steps)), min(map(len, steps))))
            values = [row["mean"] for row in three]
            evidence.append(f"{', '.join(f'{v:.3f}' for v in values)} ({model}, {split})")
    if not cases:
        return none("needs accuracies of degrees 0, 1 and 0+1")
    return cases, f"Accuracy of 0th, 1st, 0th + 1st: {'; '.join(evidence)}."


def better(dimension: str, better: str, worse: str) -> Callable[[Facts], Verdict]:
    """One accuracy is above the other, for each split, degrees, and model or foci, as far as seeds tell."""

    def decide(facts: Facts) -> Verdict:
        by = tuple(key for key in ("split", "degrees", "model", "foci") if key != dimension)
        cases, means = [], []
        for values, rows in accuracies(facts, by, dimension).items():
            if better in rows and worse in rows:
                means.append(rows[better]["mean"] - rows[worse]["mean"])
                named = {
                    key: f"degrees {value}" if key == "degrees" else value
                    for key, value in zip(by, values, strict=True)
                }
                gained = gains(rows[better], rows[worse])
                cases.append(Case(named, told(gained), len(gained)))
        if not cases:
            return none(f"needs accuracies of {better} and {worse}")
        gain = f"{better} minus {worse}: mean {fmean(means):+.3f}, {span(means, '+.3f')}"
        return cases, f"{gain} over {len(cases)} comparisons."

    return decide


def weights_farther(facts: Facts) -> Verdict:
    """The lifetime averaged over a state's bins by |weight| is longer for amorphous, in every model and degree.

    Always undecided: there is one classifier of all seeds, and nothing says how its weights scatter.
    """
    cases, evidence = [], []
    for row in facts.rows("figure-6", "distance"):
        a, b = number(row.get(AMORPHOUS)), number(row.get(LIQUID))
        if superlevel(row) and a is not None and b is not None:
            case = {"degree": f"degree {row.get('degree')}", "model": str(row.get("model"))}
            case["trained on"] = f"degrees {row.get('degrees')}"
            cases.append(Case(case, None))
            evidence.append(f"{a:.1f} and {b:.1f} ({case['degree']}, {case['model']}, trained on {case['trained on']})")
    if not cases:
        return none("needs weights of models trained on superlevel diagrams")
    return cases, (
        f"Mean lifetime weighted by |w| in grey levels, amorphous and liquid: {'; '.join(evidence)}; each of one"
        " classifier that was trained on all seeds, so nothing says how it scatters, which leaves it undecided."
    )


def hardly_commoner(values: list[float]) -> bool | None:
    """Whether pairs are within SLIGHT as common in both states, from ``index`` of own and other of each seed.

    None if the seeds' interval has more and less.
    """
    limit = index(SLIGHT, 1)
    above = told(values, limit)
    return every((told(values, -limit), None if above is None else not above))


def regions(degree: str, holds: Callable[[list[float]], bool | None]) -> Callable[[Facts], Verdict]:
    """Pairs per crop in a state's region: in crops of that state against crops of the other, over seeds.

    For the regions of the weights, which the paper means, and the regions of the patterns, which the figure shows.
    """

    def decide(facts: Facts) -> Verdict:
        rows = [row for row in facts.rows("figure-7", "counts") if str(row.get("degree")) == degree and superlevel(row)]
        cases, evidence = [], []
        for kind, own in product(("weight", "pattern"), STATES):
            region_rows = [row for row in rows if row.get("of", "pattern") == kind and row.get("region") == own]
            counts = [(a, b) if own == AMORPHOUS else (b, a) for a, b in by_seed(region_rows, "per_crop").values()]
            counts = [(a, b) for a, b in counts if a or b]  # a region that is empty in both says nothing
            if counts:
                case = {"weights or patterns": f"{kind}s", "region": f"{own} region"}
                cases.append(Case(case, holds([index(a, b) for a, b in counts]), len(counts)))
                ratios = [a / b if b else float("inf") for a, b in counts]
                evidence.append(f"{span(ratios, '.3g')} for the {own} region of the {kind}s")
        if not cases:
            return none(f"needs the strongest regions of degree {degree} and diagrams of both states of one seed")
        return cases, (
            f"Pairs of degree {degree}, own state over the other: {', '.join(evidence)};"
            " the classifier was trained on the crops that are counted."
        )

    return decide


def filter_suffices(facts: Facts) -> Verdict:
    """With noise and the filter at most LOSS of the noise-free accuracy is lost, as far as seeds tell.

    All degrees together, all foci.
    The evidence says what the filter adds to the accuracy with noise, and which doses and filters were tried: the
    verdict covers no others.
    """
    cases, evidence, changes, tried = [], [], [], []
    for clean, noisy, filtered in noise_recipes(facts.study.get("recipes") or {}):
        dose, low_pass = _detector(facts, filtered)
        tables = [accuracies(facts, ("split", "model", "foci"), "degrees", name) for name in (clean, noisy, filtered)]
        for key in (k for k in tables[0] if k[2] == "all" and all(k in table for table in tables)):
            three = [rows[max(rows, key=len)] for rows in (table[key] for table in tables)]
            values = [row["mean"] for row in three]
            case = {"split": key[0], "model": key[1], "dose": dose, "filter": low_pass, "recipe": filtered}
            lost = gains(three[2], three[0])
            cases.append(Case(case, told(lost, -LOSS), len(lost)))
            changes.append(values[2] - values[1])
            tried.append(f"{dose} with {low_pass}")
            evidence.append(f"{', '.join(f'{v:.3f}' for v in values)} ({key[0]}, {key[1]}, {filtered})")
    if not cases:
        return none("needs three recipes that differ in noise only: without, with, and with a low-pass filter")
    return cases, (
        f"Accuracy without noise, with noise, with noise and filter: {'; '.join(evidence)}; the filter changes that"
        f" with noise by {span(changes, '+.3f')}; only {listed(dict.fromkeys(tried))} was tried. The accuracies with"
        " noise hold some contrast: how noisy a crop is tells how strong its signal was, even once equalised."
    )


def _detector(facts: Facts, recipe: str) -> tuple[str, str]:
    """Dose and filter of a recipe with both."""
    detector = facts.study["recipes"][recipe]["detector"]
    return f"{detector.get('dose'):g} e/Å²", f"σ = {detector.get('low_pass'):g} Å"


def noise_recipes(recipes: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Names of recipes that differ only in the detector's dose and filter: neither, a dose, the dose and a filter."""
    alike: dict[str, dict[str, tuple[Any, Any]]] = {}
    for name, recipe in ((name, recipe or {}) for name, recipe in recipes.items()):
        detector = dict(recipe.get("detector") or {})
        noise = (detector.pop("dose", None), detector.pop("low_pass", None))
        # no binning and full modulation transfer are no detector
        rest = recipe | {"detector": {key: value for key, value in detector.items() if value not in (None, 1)}}
        alike.setdefault(json.dumps(rest, sort_keys=True, default=str), {})[name] = noise
    return [
        (clean, noisy, filtered)
        for group in alike.values()
        for clean, noisy, filtered in product(group, repeat=3)
        if group[clean] == (None, None)
        and group[noisy][0]
        and not group[noisy][1]
        and group[filtered][0] == group[noisy][0]
        and group[filtered][1]
    ]
