"""Cases of a claim, the facts of a study that decide them, and how facts are read and worded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log
from statistics import fmean, variance
from typing import Any, NamedTuple

from persistem.learning.accuracy import read_by_seed
from persistem.learning.intervals import EQUAL, MINIMUM_GROUPS, students, told
from persistem.model.contrasts import span as spanned
from persistem.report.paper import STATES, number

AMORPHOUS, LIQUID = STATES

Row = Mapping[str, Any]


class Case(NamedTuple):
    """One comparison: what distinguishes it from the others, and whether it is as the paper says.

    ``holds`` is None where the scatter of specimens leaves it undecided. ``seeds`` is the number of specimens, or of
    pairs of one seed, that it is judged by.
    """

    of: dict[str, str]
    holds: bool | None
    seeds: int = 1


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
    return spanned(values, form) if values else "nowhere"


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


def side(values: Sequence[float], threshold: float) -> bool | None:
    """Whether specimens lie above a threshold with a margin, far from what specimens have.

    ``intervals.told`` decides; specimens without scatter, as a single one, are judged by the threshold alone.
    """
    decided = told(values, threshold)
    return values[0] > threshold if decided is None and max(values) - min(values) < EQUAL else decided


def more(these: Sequence[float], those: Sequence[float], groups: Iterable[Sequence[float]]) -> bool | None:
    """Whether these exceed those; None where the scatter leaves it undecided.

    A single specimen is taken to scatter, in proportion, as those of the ``groups`` that have several: an analysis of
    variance of the logarithms, with one variance for all groups.
    """
    if min(*these, *those) <= 0:
        return None
    several = [[log(value) for value in group] for group in groups if len(group) > 1 and min(group) > 0]
    freedom = sum(len(group) - 1 for group in several)
    if freedom < MINIMUM_GROUPS - 1:
        return None
    pooled = sum((len(group) - 1) * variance(group) for group in several) / freedom
    error = (pooled * (1 / len(these) + 1 / len(those))) ** 0.5
    return students(fmean(map(log, these)) - fmean(map(log, those)), error, freedom).above


def index(a: float, b: float) -> float:
    """How far one count exceeds another, from -1 to 1: half of their difference over their mean."""
    return (a - b) / (a + b)


def every(outcomes: Iterable[bool | None]) -> bool | None:
    """Whether all hold: not if one fails, undecided if one is."""
    listed = list(outcomes)
    return False if False in listed else None if None in listed else True


def alone(groups: Mapping[Any, Sequence[float]], unit: str = "K") -> str:
    """The clause on groups with a single specimen."""
    single = [f"{key} {unit}" for key, values in groups.items() if len(values) == 1]
    return f"; one specimen at {listed(single)}" if single else ""


def accuracies(
    facts: Facts, by: tuple[str, ...], dimension: str, recipe: str | None = None
) -> dict[tuple[str, ...], dict[str, dict[str, float]]]:
    """Accuracies of one recipe, one model for all foci: by the values of ``by``, the value of ``dimension``, and seed.

    The mean over seeds is under ``mean``.
    """
    name = recipe or facts.study.get("recipe") or next(iter(facts.study.get("recipes") or [None]))
    tables: dict[tuple[str, ...], dict[str, dict[str, float]]] = {}
    for row in facts.accuracy:
        pooled = row.get("features") == name and row.get("training") == "pooled"
        value = number(row.get("accuracy"))
        if pooled and row.get("foci") in ("all", "in-focus") and value is not None:
            seeds = {seed: fmean(values) for seed, values in read_by_seed(row.get("by_seed")).items()}
            tables.setdefault(tuple(str(row.get(key)) for key in by), {})[str(row.get(dimension))] = seeds | {
                "mean": value
            }
    return tables


def gains(one: Mapping[str, float], other: Mapping[str, float]) -> list[float]:
    """The first accuracy less the second, seed by seed; none unless both have the same seeds."""
    return [one[seed] - other[seed] for seed in one if seed != "mean"] if one.keys() == other.keys() else []
