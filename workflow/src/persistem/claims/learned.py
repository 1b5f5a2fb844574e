"""What the paper says of accuracies and learned weights, and by what it is decided."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise, product
from statistics import fmean
from typing import Any

from persistem.claims.cases import (
    AMORPHOUS,
    LIQUID,
    Case,
    Facts,
    Row,
    Verdict,
    accuracies,
    by_seed,
    none,
    overlap,
    span,
    superlevel,
    tally,
)
from persistem.paper import STATES, number

#: Two counts differ slightly up to this ratio.
SLIGHT = 1.25
#: Accuracy that may be lost to noise where a filter suffices.
LOSS = 0.02


def degrees_order(facts: Facts) -> Verdict:
    """The three accuracies over all foci ascend, for each model and split."""
    cases, told, apart = [], [], [0, 0]
    for (split, model, foci), rows in accuracies(facts, ("split", "model", "foci"), "degrees").items():
        if foci == "all" and {"0", "1", "0+1"} <= set(rows):
            three = [rows[degrees] for degrees in ("0", "1", "0+1")]
            values = [row["accuracy"] for row in three]
            cases.append(Case({"split": split, "model": model}, values[0] < values[1] < values[2]))
            told.append(f"{', '.join(f'{v:.3f}' for v in values)} ({model}, {split})")
            for one, other in pairwise(three):
                tally(apart, one, other)
    if not cases:
        return none("needs accuracies of degrees 0, 1 and 0+1")
    return cases, f"Accuracy of 0th, 1st, 0th + 1st: {'; '.join(told)}; {overlap(apart)}."


def better(dimension: str, better: str, worse: str) -> Callable[[Facts], Verdict]:
    """One accuracy is above the other, for each split, degrees, and model or foci."""

    def decide(facts: Facts) -> Verdict:
        by = tuple(key for key in ("split", "degrees", "model", "foci") if key != dimension)
        cases, gains, apart = [], [], [0, 0]
        for of, rows in accuracies(facts, by, dimension).items():
            if better in rows and worse in rows:
                gains.append(rows[better]["accuracy"] - rows[worse]["accuracy"])
                named = {key: f"degrees {v}" if key == "degrees" else v for key, v in zip(by, of, strict=True)}
                cases.append(Case(named, gains[-1] > 0))
                tally(apart, rows[better], rows[worse])
        if not cases:
            return none(f"needs accuracies of {better} and {worse}")
        told = f"{better} minus {worse}: mean {fmean(gains):+.3f}, {span(gains, '+.3f')}"
        return cases, f"{told} over {len(cases)} comparisons; {overlap(apart)}."

    return decide


def weights_farther(facts: Facts) -> Verdict:
    """The lifetime averaged over a state's bins by |weight| is longer for amorphous, in every model and degree."""
    cases, told = [], []
    for row in facts.rows("figure-6", "distance"):
        a, b = number(row.get(AMORPHOUS)), number(row.get(LIQUID))
        if superlevel(row) and a is not None and b is not None:
            of = {"degree": f"degree {row.get('degree')}", "model": str(row.get("model"))}
            of["trained on"] = f"trained on degrees {row.get('degrees')}"
            cases.append(Case(of, a > b))
            told.append(f"{a:.1f} and {b:.1f} ({', '.join(of.values())})")
    if not cases:
        return none("needs weights of models trained on superlevel diagrams")
    return cases, f"Mean lifetime weighted by |w| in grey levels, amorphous and liquid: {'; '.join(told)}."


def regions(degree: str, holds: Callable[[float, float], bool]) -> Callable[[Facts], Verdict]:
    """Pairs per crop in a state's region: in crops of that state against those of the other, for each seed."""

    def decide(facts: Facts) -> Verdict:
        rows = [
            row
            for row in facts.rows("figure-7", "counts")
            if str(row.get("degree")) == degree and row.get("of", "pattern") == "pattern" and superlevel(row)
        ]
        cases, told = [], []
        for own in STATES:
            ratios = []
            in_region = [row for row in rows if row.get("region") == own]
            for seed, (a, b) in by_seed(in_region, "per_crop").items():
                here, there = (a, b) if own == AMORPHOUS else (b, a)
                cases.append(Case({"region": f"the {own} region", "seed": f"seed {seed}"}, holds(here, there)))
                ratios.append(here / there if there else float("inf"))
            if ratios:
                told.append(f"{span(ratios, '.3g')} for the {own} region")
        if not cases:
            return none(f"needs the strongest regions of degree {degree} and diagrams of both states of one seed")
        return cases, f"Pairs of degree {degree}, own state over the other: {' and '.join(told)}."

    return decide


def filter_suffices(facts: Facts) -> Verdict:
    """With noise and the filter at most LOSS of the accuracy without noise is lost; all degrees together, all foci."""
    cases, told = [], []
    for clean, noisy, filtered in noise_recipes(facts.study.get("recipes") or {}):
        tables = [accuracies(facts, ("split", "model", "foci"), "degrees", name) for name in (clean, noisy, filtered)]
        for key in (k for k in tables[0] if k[2] == "all" and all(k in table for table in tables)):
            values = [rows[max(rows, key=len)]["accuracy"] for rows in (table[key] for table in tables)]
            of = {"split": key[0], "model": key[1], "recipe": filtered}
            cases.append(Case(of, values[2] >= values[0] - LOSS))
            told.append(f"{', '.join(f'{v:.3f}' for v in values)} ({', '.join(of.values())}{_noise(facts, filtered)})")
    if not cases:
        return none("needs three recipes that differ in noise only: without, with, and with a low-pass filter")
    return cases, f"Accuracy without noise, with noise, with noise and filter: {'; '.join(told)}."


def _noise(facts: Facts, recipe: str) -> str:
    """Dose and filter of a recipe."""
    noise = ((facts.study.get("recipes") or {}).get(recipe) or {}).get("noise") or {}
    return f", {noise.get('dose'):g} e/Å², σ = {noise.get('low_pass'):g} Å" if noise else ""


def noise_recipes(recipes: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Names of recipes that differ in ``noise`` only: none, a dose, the same dose with a filter."""
    alike: dict[str, dict[str, Row | None]] = {}
    for name, recipe in ((name, recipe or {}) for name, recipe in recipes.items()):
        rest = {key: value for key, value in recipe.items() if key != "noise"}
        alike.setdefault(json.dumps(rest, sort_keys=True, default=str), {})[name] = recipe.get("noise")
    return [
        (clean, noisy, filtered)
        for group in alike.values()
        for clean, noisy, filtered in product(group, repeat=3)
        if not group[clean]
        and (noise := group[noisy])
        and (both := group[filtered])
        and not noise.get("low_pass")
        and both.get("low_pass")
        and noise.get("dose") == both.get("dose")
    ]
