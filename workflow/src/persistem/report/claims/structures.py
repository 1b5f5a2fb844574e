"""The paper's claims on specimens, micrographs and filtrations, and the criteria that decide them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf
from statistics import fmean

from persistem.learning.accuracy import read_by_seed
from persistem.learning.intervals import interval, told
from persistem.report.claims.cases import (
    AMORPHOUS,
    Case,
    Facts,
    Verdict,
    alone,
    by_seed,
    by_temperature,
    every,
    index,
    listed,
    more,
    near,
    none,
    side,
    span,
)
from persistem.report.paper import number

#: Least share of a crystal's atoms on their lattice sites: with thermal vibration it is 1, in a liquid almost 0.
ON_SITE = 0.9
#: A peak of the 3D diagram has returned if it is at least this high, relative to the sharpest diagram of figure 1.
RETURNED = 0.5
#: A peak has vanished if at most this share of its density of pairs is left.
VANISHED = 0.1
#: A surface makes a peak if the open diagram's density of pairs exceeds the periodic one's by this share of itself.
SURFACE = 0.2
#: The paper's crystal is lost from here on, K.
MELT = 6000
#: Disorder grows between these temperatures according to the paper, K.
WARMED = (1000, 4000)
#: Up to this many times chance an accuracy is barely above chance: 0.6 for two states.
BARELY = 1.2
#: Planes from which defocus may be counted, and the figure's key of the inversion from each.
PLACES = {"the slab's centre": "from_centre_A", "its exit face": "from_exit_face_A"}


def crystal_kept(facts: Facts) -> Verdict:
    """Hot specimens below MELT have at least ON_SITE of their atoms on their sites, hotter ones have fewer.

    Several specimens of a temperature are judged by their interval, one by ON_SITE alone.
    """
    shares = by_temperature(facts.checks, "on_site")
    if not shares or min(shares) >= MELT or max(shares) < MELT:
        return none(f"needs displacements from the crystal at {MELT} K and at a lower temperature, before RT")
    kept = {t: side(values, ON_SITE) for t, values in shares.items()}
    cases = [
        Case({"temperature": f"{t} K"}, None if on is None else on == (t < MELT), len(shares[t]))
        for t, on in kept.items()
    ]
    evidence = ", ".join(f"{fmean(values):.3g} at {t} K" for t, values in shares.items())
    lost = [f"{t} K" for t, on in kept.items() if t < MELT and on is False]
    return cases, (
        f"Share of atoms within half a bond of their lattice site before RT: {evidence}; a crystal has {ON_SITE:g}"
        + (f", which is lost at {listed(lost)} too" if lost else "")
        + f"{alone(shares)}."
    )


def disorder_grows(facts: Facts) -> Verdict:
    """From each temperature to the next: atoms lie farther from their sites; the 3D diagram's peak is lower.

    Displacements are compared in the paper's range WARMED: above it there is no crystal to be displaced from, and atoms
    of a melt go farther the longer it lasts. A temperature of one specimen is taken to scatter as the others, see
    ``more``.
    """
    cases, evidence = [], []
    for measure, rows, key, sign, (lowest, highest) in (
        ("displacement over bond length", facts.checks, "lindemann", 1, WARMED),
        ("height of the 3D diagram's peak", facts.rows("figure-1", "panels"), "sharpness", -1, (0, inf)),
    ):
        values = by_temperature(rows, key)
        means = {t: fmean(of) for t, of in values.items()}
        judged = {t: value for t, value in means.items() if lowest <= t <= highest}
        for low, high in pairwise(judged):
            less, greater = (low, high) if sign > 0 else (high, low)
            grows = more(values[greater], values[less], values.values())
            fewest = min(len(values[low]), len(values[high]))
            cases.append(Case({"measure": measure, "temperatures": f"{low} to {high} K"}, grows, fewest))
        if len(judged) > 1:
            hotter = {t: value for t, value in means.items() if t > highest}
            aside = f" (not compared above {highest:g} K: {_at(hotter)})" if hotter else ""
            evidence.append(f"{measure} {_at(judged)}{aside}")
    return (cases, f"Before RT: {'; '.join(evidence)}.") if cases else none("needs two temperatures before RT")


def _at(values: dict[int, float]) -> str:
    """Values at their temperatures."""
    return ", ".join(f"{value:.3g} at {t} K" for t, value in values.items())


def peaks_return(facts: Facts) -> Verdict:
    """After RT the peak is at least RETURNED of the sharpest of all and, at 1000 and 4000 K, higher than before RT.

    RETURNED alone decides of one specimen; a temperature of one specimen is taken to scatter as the others, see
    ``more``.
    """
    panels = facts.rows("figure-1", "panels")
    hot, treated = by_temperature(panels, "sharpness"), by_temperature(panels, "sharpness", rt=True)
    shown = [t for t in (1000, 4000, 6000) if t in hot and t in treated]
    if 6000 not in shown or len(shown) < 2:
        return none("needs 3D diagrams with and without RT at 6000 K and at 1000 or 4000 K")
    highest = max(fmean(v) for v in [*hot.values(), *treated.values()])
    cases, evidence = [], []
    for t in shown:
        before, after = fmean(hot[t]), fmean(treated[t])
        high = side(treated[t], RETURNED * highest)
        groups = [*hot.values(), *treated.values()]
        returned = high if t == 6000 else every((high, more(treated[t], hot[t], groups)))
        as_said = None if returned is None else returned == (t != 6000)
        cases.append(Case({"temperature": f"{t} K"}, as_said, min(len(hot[t]), len(treated[t]))))
        evidence.append(f"from {before:.3g} to {after:.3g} at {t} K")
    return cases, f"Height of the 3D diagram's peak before and after RT: {', '.join(evidence)} (highest {highest:.3g})."


def contrast_inverts(facts: Facts) -> Verdict:
    """The defocus about which contrast inverts is 0 to within a tolerance, for each possible origin.

    It is the midpoint of a pair of defoci, known to half the distance to the next such midpoints. It is judged if there
    are three midpoints, it is not an outermost one, and the tolerance could tell the two origins apart. So the claim
    holds for at most one origin; the paper does not say which one it counts from.
    """
    cases, inversions, tolerances = [], {place: list[float]() for place in PLACES}, []
    for row in facts.rows("figure-3", "contrast"):
        at, *places = (number(row.get(key)) for key in ("centre_A", *PLACES.values()))
        values = [value for value in places if value is not None]
        pairs = [pair.get("defoci") or [] for pair in row.get("pairs") or []]
        gaps = _gaps(at, sorted({(a + b) / 2 for a, b in pairs}) if all(len(pair) == 2 for pair in pairs) else [])
        if not gaps or len(values) < len(PLACES) or max(gaps) / 2 >= abs(values[0] - values[1]) / 2:
            continue
        tolerances.append(max(gaps) / 2)
        for place, value in zip(PLACES, values, strict=True):
            case = {"origin": f"defocus counted from {place}", "specimen": str(row.get("specimen"))}
            cases.append(Case(case, near(value, tolerances[-1])))
            inversions[place].append(value)
    if not cases:
        return none("needs micrographs of one specimen at defoci close enough to tell from which plane 0 is counted")
    evidence = " and ".join(f"{span(values, '+.3g')} Å from {place}" for place, values in inversions.items())
    return cases, f"Underfocus about which contrast inverts: {evidence}, known to ±{max(tolerances):g} Å."


def _gaps(at: float | None, midpoints: list[float]) -> list[float]:
    """Distances from a midpoint to both its neighbours; none if it is an outermost one, or no midpoint."""
    if at is None or at not in midpoints[1:-1]:
        return []
    nth = midpoints.index(at)
    return [midpoints[nth] - midpoints[nth - 1], midpoints[nth + 1] - midpoints[nth]]


def surface_peaks(facts: Facts) -> Verdict:
    """At most VANISHED of the density of pairs near a peak is left in the periodic diagram.

    Each specimen is judged by these sizes alone. Judged only if a surface makes a peak at all: if the open diagram has
    more pairs than the periodic one by at least SURFACE of its own. Then most pairs may still come from the bulk, which
    the claim denies. If there are as many pairs without a surface, as in a melt, there is no surface peak and nothing
    can vanish.
    """
    cases, evidence, absent = [], [], []
    for row in facts.rows("figure-1", "panels"):
        left = []
        when = {"temperature": f"{row.get('temperature')} K", "RT": "after RT" if row.get("rt") else "before RT"}
        for peak in row.get("surface") or []:
            with_surface, periodic = number(peak.get("open")), number(peak.get("periodic"))
            if with_surface is None or not with_surface > 0 or periodic is None:
                continue
            at = f"({', '.join(f'{x:g}' for x in peak.get('at') or [])})"
            left.append(f"{periodic / with_surface:.2g} at {at}")
            if with_surface - periodic >= SURFACE * with_surface:
                cases.append(Case({"peak": at} | when, periodic <= VANISHED * with_surface))
            else:
                absent.append(f"{at} {' '.join(when.values())}")
        if left:
            evidence.append(f"{' '.join(when.values())}: {', '.join(left)}")
    ratios = f"pairs there without a surface over those with one: {'; '.join(evidence)}"
    if not evidence:
        return none("needs 3D diagrams with and without a surface that have pairs near (1, 1.7) or (2, 2.4)")
    if not cases:
        return none(f"no 3D diagram has a peak of the surface near (1, 1.7) or (2, 2.4); {ratios}")
    return cases, f"P{ratios[1:]}" + (
        f"; no peak of the surface at {listed(dict.fromkeys(absent))}." if absent else "."
    )


def optimal_volumes(facts: Facts) -> Verdict:
    """More pairs per volume in the amorphous specimens, as far as seeds tell; the evidence has them per mass too.

    The seed whose amorphous diagram chose the region is judged only if there is no other.
    """
    counts = by_seed(facts.rows("figure-2", "counts"), "per_nm3")
    if not counts:
        return none("needs 3D diagrams of both states of one seed")
    around = (facts.numbers.get("figure-2") or {}).get("around") or {}
    how = "the region is the study's own"
    if around:
        how = f"region around the peak of the {around.get('state')} diagram of seed {around.get('seed')}"
        if around.get("state") != AMORPHOUS:
            return none(f"needs a region of the amorphous diagram's peak: {how}")
        fresh = {seed: pairs for seed, pairs in counts.items() if seed != around.get("seed")}
        how += ", judged in the others" if fresh else ", in which it is judged"
        counts = fresh or counts
    judged = [index(a, b) for a, b in counts.values() if a or b]
    cases = [Case({}, told(judged), len(judged))]
    evidence = (
        f"Ratio of pairs per volume, amorphous to liquid: {span([a / b for a, b in counts.values() if b], '.3g')}"
    )
    per_mass = by_seed(facts.checks, "density_g_cm3")
    ratios = [a / b * per_mass[s][1] / per_mass[s][0] for s, (a, b) in counts.items() if b and s in per_mass]
    return cases, evidence + (f"; per mass {span(ratios, '.3g')}" if ratios else "") + f"; {how}."


def aadi_inseparable(facts: Facts) -> Verdict:
    """Classifiers trained on crop spectra: the interval of their accuracy over all foci holds chance and little above.

    It fails if the interval over seeds (Student's t) lies above chance. An interval that holds chance but reaches
    BARELY times chance is too wide and decides nothing: few specimens must not pass for states that are alike.
    """
    chance = 1 / max(2, len(facts.study.get("states") or ()))
    cases: list[Case] = []
    found: dict[str, list[tuple[float, float, float]]] = {}
    for spectra, key in {"contrast removed": "accuracy", "absolute contrast": "accuracy_absolute"}.items():
        for row in facts.rows("figure-3", key):
            seeds = [fmean(values) for values in read_by_seed(row.get("by_seed")).values()]
            low, high = interval(seeds, 0.0, 1.0)
            if row.get("foci") != "all" or low is None or high is None:
                continue
            case = {"spectra": spectra, "split": str(row.get("split"))}
            found.setdefault(", ".join(case.values()), []).append((fmean(seeds), low, high))
            holds = False if low > chance else True if high < BARELY * chance else None
            cases.append(Case(case | {"model": str(row.get("model"))}, holds, len(seeds)))
    if not cases:
        return none("needs accuracies of crop spectra of three seeds")
    evidence = "; ".join(
        f"{span([v for v, *_ in values], '.3f')} ({case}; intervals from {min(low for _, low, _ in values):.3f}"
        f" to {max(high for *_, high in values):.3f})"
        for case, values in found.items()
    )
    return cases, (
        f"Accuracy of models trained on spectra of crops: {evidence}; chance is {chance:.2g}, barely above it is"
        f" {BARELY * chance:.2g}."
    )


def islands(key: str, what: str, sign: int) -> Callable[[Facts], Verdict]:
    """The amorphous mean over in-focus crops and levels is above (for sign -1 below) the liquid's, if seeds tell."""

    def decide(facts: Facts) -> Verdict:
        means = by_seed(facts.rows("figure-4", "islands"), key)
        if not means:
            return none("needs in-focus crops of both states of one seed")
        ratios = span([a / b for a, b in means.values() if b], ".3g")
        judged = [sign * index(a, b) for a, b in means.values() if a or b]
        cases = [Case({}, told(judged), len(judged))]
        return cases, f"{what}, ratio of amorphous to liquid: {ratios} over {len(means)} seed{'s' * (len(means) > 1)}."

    return decide
