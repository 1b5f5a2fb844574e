"""Cases of a claim, the facts of a study that decide them, and how facts are read and worded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from persistem.report.paper import STATES, number

AMORPHOUS, LIQUID = STATES

Row = Mapping[str, Any]


class Case(NamedTuple):
    """One comparison: what distinguishes it from the others, and whether it is as the paper says."""

    of: dict[str, str]
    holds: bool


class Facts(NamedTuple):
    """The facts of a study: the arguments of ``checklist``."""

    numbers: Mapping[str, Any]
    accuracy: Sequence[Row]
    checks: Sequence[Row]
    study: Mapping[str, Any]

    def rows(self, figure: str, key: str) -> list[Row]:
        """The rows of a figure under ``key``; none if it could not be drawn."""
        rows = (self.numbers.get(figure) or {}).get(key) or []
        return [row for row in rows if isinstance(row, Mapping)]


#: The cases of a claim and a sentence with their numbers; or no cases and the reason.
Verdict = tuple[list[Case], str]


def none(reason: str) -> Verdict:
    """No cases, and why."""
    return [], f"{reason[0].upper()}{reason[1:]}."


def near(value: float | None, tolerance: float) -> bool:
    """Whether a value is there and 0 within a tolerance."""
    return value is not None and abs(value) <= tolerance


def superlevel(row: Row) -> bool:
    """Whether a row has the paper's filtration, the default."""
    return bool(row.get("filtration", "superlevel") == "superlevel")


def listed(names: Iterable[str]) -> str:
    """Names with commas between them."""
    return ", ".join(names)


def span(values: list[float], form: str) -> str:
    """The smallest and largest of some values."""
    if not values:
        return "nowhere"
    low, high = (f"{value:{form}}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def by_temperature(rows: Iterable[Row], key: str, rt: bool = False) -> dict[int, list[float]]:
    """Values of specimens with or without RT, by ascending temperature (K)."""
    values: dict[int, list[float]] = {}
    for row in rows:
        value, temperature = number(row.get(key)), number(row.get("temperature"))
        if value is not None and temperature is not None and row.get("rt") is rt:
            values.setdefault(int(temperature), []).append(value)
    return dict(sorted(values.items()))


def by_seed(rows: Iterable[Row], key: str) -> dict[Any, tuple[float, float]]:
    """Means of the amorphous and the liquid rows of each seed that has both."""
    values: dict[Any, dict[Any, list[float]]] = {}
    for row in rows:
        value = number(row.get(key))
        if value is not None and superlevel(row):
            values.setdefault(row.get("seed"), {}).setdefault(row.get("state"), []).append(value)
    both = {seed: by_state for seed, by_state in values.items() if set(STATES) <= set(by_state)}
    return {seed: (fmean(by_state[AMORPHOUS]), fmean(by_state[LIQUID])) for seed, by_state in both.items()}


def accuracies(
    facts: Facts, by: tuple[str, ...], dimension: str, recipe: str | None = None
) -> dict[tuple[str, ...], dict[str, dict[str, Any]]]:
    """Rows of one recipe, one model for all foci: by the values of ``by``, then by the value of ``dimension``."""
    name = recipe or facts.study.get("recipe") or next(iter(facts.study.get("recipes") or [None]))
    tables: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in facts.accuracy:
        values = {key: number(row.get(key)) for key in ("accuracy", "ci_low", "ci_high")}
        pooled = row.get("features") == name and row.get("training") == "pooled"
        if pooled and row.get("foci") in ("all", "in-focus") and values["accuracy"] is not None:
            tables.setdefault(tuple(str(row.get(key)) for key in by), {})[str(row.get(dimension))] = values
    return tables


def tally(apart: list[int], one: Row, other: Row) -> None:
    """Count, in ``apart``, pairs of intervals that do not overlap and all pairs of intervals."""
    if None not in (one["ci_low"], one["ci_high"], other["ci_low"], other["ci_high"]):
        apart[0] += one["ci_high"] < other["ci_low"] or other["ci_high"] < one["ci_low"]
        apart[1] += 1


def overlap(apart: list[int]) -> str:
    """The sentence about the pairs that ``tally`` counted."""
    return f"{apart[0]} of {apart[1]} pairs of intervals lie apart" if apart[1] else "there are no intervals"
