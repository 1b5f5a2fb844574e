"""What the paper says in words, decided by the numbers of a study.

A claim is split into *cases*: the same comparison for each model, split, temperature and so on. A case is as the paper
says, or against it, if at least three seeds tell at 95 % (Student's t, or the sign test where all are equal), in pairs
of the same seed where there are any; else it is undecided. The claim is

- "reproduced" if every case is as the paper states,
- "not reproduced" if every case is against it,
- "depends on" if some are and some are against it; then with what separates the ones from the others,
- "undecided" if cases are undecided and the others, if any, agree with each other,
- "not in this study" if its subject was not computed.

Each case is judged at 95 % by itself. Sizes that the paper implies, such as what share of atoms makes a crystal, decide
of one specimen too. Numbers alone decide: each function states its criterion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

from persistem.learning.intervals import MINIMUM_GROUPS, told
from persistem.report.claims import learned, structures
from persistem.report.claims.cases import Case, Facts, Row, Verdict, listed, none
from persistem.report.paper import CLAIMS, STATES

__all__ = ["Case", "checklist", "depends_on", "too_small"]


#: Up to this many cases are listed one by one.
FEW = 3


def checklist(
    numbers: Mapping[str, Any], accuracy: Sequence[Row], checks: Sequence[Row], study: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Every claim of the paper with its status, a sentence with the numbers, and what it depends on.

    ``numbers`` has the numbers of each figure by its name (``figure-1`` …; empty if it could not be drawn),
    ``accuracy`` the rows of all recipes' ``accuracy.csv``, ``checks`` the results of ``specimens.state_checks``, and
    ``study`` has ``states``, ``recipe`` (the name of the one in the figures) and ``recipes`` (name: settings). A row
    has id, claim, where, words (the paper's), status, evidence, depends_on, None unless the status is "depends on", and
    seeds, the fewest that any decided case was judged by.
    Missing input makes a claim "not in this study", never an error.
    """
    facts = Facts(numbers, list(accuracy), list(checks), study)
    lacking = [state for state in STATES if state not in (study.get("states") or ())]
    rows = []
    for claim in CLAIMS:
        if claim["id"] in OF_STATES and lacking:
            cases, evidence = none(f"the study has no state named {' or '.join(lacking)}")
        else:
            cases, evidence = DECIDE[claim["id"]](facts)
        status = status_of(cases)
        depends = depends_on([case for case in cases if case.holds is not None]) if status == "depends on" else None
        if status != "not in this study":
            evidence = evidence if claim["id"] in OF_ONE_CLASSIFIER else f"{evidence} {counted(cases)}".strip()
        seeds = min((case.seeds for case in cases if case.holds is not None), default=None)
        rows.append({**claim, "status": status, "evidence": evidence, "depends_on": depends, "seeds": seeds})
    return rows


def too_small(row: Mapping[str, Any]) -> bool:
    """Whether a study is too small to tell about the claim of a row: seeds leave it undecided, or too few were judged.

    From ``MINIMUM_GROUPS`` seeds on something says how they scatter. A claim that no seeds can decide is not among
    these: no larger study would tell.
    """
    if row["status"] == "undecided":
        return row["id"] not in OF_ONE_CLASSIFIER
    return row["seeds"] is not None and row["seeds"] < MINIMUM_GROUPS


def status_of(cases: Sequence[Case]) -> str:
    """The status of a claim with these cases."""
    outcomes = {case.holds for case in cases}
    if not outcomes:
        return "not in this study"
    if {True, False} <= outcomes:
        return "depends on"
    if None in outcomes:
        return "undecided"
    return "reproduced" if True in outcomes else "not reproduced"


def counted(cases: Sequence[Case]) -> str:
    """How many comparisons are decided, if some are not."""
    outcomes = [case.holds for case in cases]
    if None not in outcomes:
        return ""
    if len(outcomes) == 1:
        return "These seeds do not decide it."
    return (
        f"Of {len(outcomes)} comparisons {outcomes.count(True)} are as the paper says beyond the scatter of seeds,"
        f" {outcomes.count(False)} are against it and {outcomes.count(None)} are undecided."
    )


def depends_on(cases: list[Case]) -> str:
    """The fewest properties that separate decided cases that hold from the others, and briefly where the claim holds.

    A long list is shortened to its exceptions if these are at most FEW; else to how many cases hold for each value of
    the property that separates best.
    """
    names = [name for name in cases[0].of if len({case.of.get(name) for case in cases}) > 1]
    chosen: tuple[str, ...] = tuple(names)
    for few in (c for size in range(1, len(names)) for c in combinations(names, size)):
        outcomes: dict[tuple[Any, ...], set[bool]] = {}
        for case in cases:
            outcomes.setdefault(tuple(case.of.get(name) for name in few), set()).add(bool(case.holds))
        if all(len(holding) == 1 for holding in outcomes.values()):
            chosen = few
            break
    places: dict[bool, list[str]] = {True: [], False: []}
    for case in cases:
        places[bool(case.holds)].append(" ".join(str(case.of.get(name)) for name in chosen))
    holds, fails = (list(dict.fromkeys(places[outcome])) for outcome in (True, False))
    summary = f"holds for {listed(holds)}; not for {listed(fails)}"
    if len(holds) + len(fails) > FEW + 1:
        fewer, word = (holds, "holds only") if len(holds) <= len(fails) else (fails, "holds but")
        summary = f"{word} for {listed(fewer)}" if len(fewer) <= FEW else by_value(cases, chosen)
    return f"{listed(chosen)} ({summary})"


def by_value(cases: list[Case], names: Sequence[str]) -> str:
    """How many cases hold for each value of the property that best predicts whether they hold."""
    counts: dict[str, dict[str, list[bool]]] = {name: {} for name in names}
    for case in cases:
        for name in names:
            counts[name].setdefault(str(case.of.get(name)), []).append(bool(case.holds))
    odd = {
        name: sum(min(sum(holds), len(holds) - sum(holds)) for holds in values.values())
        for name, values in counts.items()
    }
    best = counts[min(names, key=lambda name: odd[name])]
    return "holds in " + listed(f"{sum(holds)} of {len(holds)} for {value}" for value, holds in best.items())


DECIDE: dict[str, Callable[[Facts], Verdict]] = {
    "crystal-kept": structures.crystal_kept,
    "disorder-grows": structures.disorder_grows,
    "contrast-inverts": structures.contrast_inverts,
    "peaks-return": structures.peaks_return,
    "surface-peaks": structures.surface_peaks,
    "optimal-volumes": structures.optimal_volumes,
    "aadi-inseparable": structures.aadi_inseparable,
    "islands-larger": structures.islands("mean_area_A2", "Mean area of islands", 1),
    "islands-gradual": structures.islands("changes_per_level", "Births and deaths of islands per level", -1),
    "degrees-order": learned.degrees_order,
    "svc-over-lr": learned.better("model", "SVC", "LR"),
    "focus-helps": learned.better("foci", "in-focus", "all"),
    "weights-farther": learned.weights_farther,
    "first-order-regions": learned.regions("1", told),
    "zeroth-order-regions": learned.regions("0", learned.hardly_commoner),
    "filter-suffices": learned.filter_suffices,
}
#: Claims that no seeds can decide; their evidence says why.
OF_ONE_CLASSIFIER = {"weights-farther"}
#: Claims that need the paper's two states by name.
OF_STATES = {
    *("optimal-volumes", "aadi-inseparable", "islands-larger", "islands-gradual", "degrees-order", "svc-over-lr"),
    *("focus-helps", "weights-farther", "first-order-regions", "zeroth-order-regions", "filter-suffices"),
}
