"""What the paper says of specimens, micrographs and filtrations, and by what it is decided."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf
from statistics import fmean

from persistem.report.claims.cases import (
    AMORPHOUS,
    Case,
    Facts,
    Verdict,
    by_seed,
    by_temperature,
    listed,
    near,
    none,
    span,
)
from persistem.report.paper import number

#: Atoms on their lattice sites in a crystal, at least (share): thermal vibration leaves 1, and a liquid next to none.
ON_SITE = 0.9
#: A peak of the 3D diagram has returned when it is at least this high, relative to the sharpest diagram of figure 1.
RETURNED = 0.5
#: A peak has vanished when at most this share of its density of pairs is left.
VANISHED = 0.1
#: A surface makes a peak where at least this share of the open diagram's density of pairs is beyond the periodic one's.
SURFACE = 0.2
#: The paper loses the crystal from here, K.
MELT = 6000
#: Temperatures between which the paper says that disorder grows, K.
WARMED = (1000, 4000)
#: An accuracy is barely above chance below this many times chance: 0.6 for two states.
BARELY = 1.2
#: Planes from which defocus may be counted, and what the figure calls the inversion from them.
PLACES = {"the slab's centre": "from_centre_A", "its exit face": "from_exit_face_A"}


def crystal_kept(facts: Facts) -> Verdict:
    """Hot specimens below MELT have at least ON_SITE of their atoms on their sites, those from MELT have not."""
    found = by_temperature(facts.checks, "on_site")
    if not found or min(found) >= MELT or max(found) < MELT:
        return none(f"needs displacements from the crystal at {MELT} K and at a lower temperature, before RT")
    cases = [
        Case({"temperature": f"{t} K"}, all((v >= ON_SITE) == (t < MELT) for v in values))
        for t, values in found.items()
    ]
    told = ", ".join(f"{fmean(values):.3g} at {t} K" for t, values in found.items())
    lost = [f"{t} K" for t, values in found.items() if t < MELT and min(values) < ON_SITE]
    return cases, (
        f"Share of atoms within half a bond of their lattice site before RT: {told}; a crystal has {ON_SITE:g}"
        + (f", which is lost at {listed(lost)} too." if lost else ".")
    )


def disorder_grows(facts: Facts) -> Verdict:
    """From each temperature to the next: atoms lie farther from their sites; the 3D diagram's peak is lower.

    Displacements are compared in WARMED, of which the paper speaks: farther up there is no crystal to be displaced
    from, and atoms of a melt go farther the longer it lasts.
    """
    cases, told = [], []
    for measure, rows, key, sign, (lowest, highest) in (
        ("displacement over bond length", facts.checks, "lindemann", 1, WARMED),
        ("height of the 3D diagram's peak", facts.rows("figure-1", "panels"), "sharpness", -1, (0, inf)),
    ):
        means = {t: fmean(values) for t, values in by_temperature(rows, key).items()}
        judged = {t: value for t, value in means.items() if lowest <= t <= highest}
        for (low, before), (high, after) in pairwise(judged.items()):
            grows = sign * (after - before) > 0
            cases.append(Case({"measure": measure, "temperatures": f"{low} to {high} K"}, grows))
        if len(judged) > 1:
            hotter = {t: value for t, value in means.items() if t > highest}
            aside = f" (not compared above {highest:g} K: {_at(hotter)})" if hotter else ""
            told.append(f"{measure} {_at(judged)}{aside}")
    return (cases, f"Before RT: {'; '.join(told)}.") if cases else none("needs two temperatures before RT")


def _at(values: dict[int, float]) -> str:
    """Values at their temperatures."""
    return ", ".join(f"{value:.3g} at {t} K" for t, value in values.items())


def peaks_return(facts: Facts) -> Verdict:
    """After RT the peak is at least RETURNED of the sharpest of all and, at 1000 and 4000 K, higher than before RT."""
    panels = facts.rows("figure-1", "panels")
    hot, treated = by_temperature(panels, "sharpness"), by_temperature(panels, "sharpness", rt=True)
    shown = [t for t in (1000, 4000, 6000) if t in hot and t in treated]
    if 6000 not in shown or len(shown) < 2:
        return none("needs 3D diagrams with and without RT at 6000 K and at 1000 or 4000 K")
    highest = max(fmean(v) for v in [*hot.values(), *treated.values()])
    cases, told = [], []
    for t in shown:
        before, after = fmean(hot[t]), fmean(treated[t])
        returned = after >= RETURNED * highest and (t == 6000 or after > before)
        cases.append(Case({"temperature": f"{t} K"}, returned == (t != 6000)))
        told.append(f"from {before:.3g} to {after:.3g} at {t} K")
    return cases, f"Height of the 3D diagram's peak before and after RT: {', '.join(told)} (highest {highest:.3g})."


def contrast_inverts(facts: Facts) -> Verdict:
    """The defocus about which contrast inverts is 0 to within a tolerance, for each possible origin.

    It is the midpoint of a pair of defoci, and known to half the way to the next such midpoints; it is judged where
    there are three, it is none of the outermost, and the tolerance could tell the two origins from each other. So it
    holds for one origin at most, and which one the paper counts from it does not say.
    """
    cases, found, tolerances = [], {place: list[float]() for place in PLACES}, []
    for row in facts.rows("figure-3", "contrast"):
        at, *places = (number(row.get(key)) for key in ("centre_A", *PLACES.values()))
        values = [value for value in places if value is not None]
        pairs = [pair.get("defoci") or [] for pair in row.get("pairs") or []]
        gaps = _gaps(at, sorted({(a + b) / 2 for a, b in pairs}) if all(len(pair) == 2 for pair in pairs) else [])
        if not gaps or len(values) < len(PLACES) or max(gaps) / 2 >= abs(values[0] - values[1]) / 2:
            continue
        tolerances.append(max(gaps) / 2)
        for place, value in zip(PLACES, values, strict=True):
            of = {"origin": f"defocus counted from {place}", "specimen": str(row.get("specimen"))}
            cases.append(Case(of, near(value, tolerances[-1])))
            found[place].append(value)
    if not cases:
        return none("needs micrographs of one specimen at defoci close enough to tell from which plane 0 is counted")
    told = " and ".join(f"{span(values, '+.3g')} Å from {place}" for place, values in found.items())
    return cases, f"Underfocus about which contrast inverts: {told}, known to ±{max(tolerances):g} Å."


def _gaps(at: float | None, midpoints: list[float]) -> list[float]:
    """Distances from a midpoint to both its neighbours; none where it is the outermost, or no midpoint."""
    if at is None or at not in midpoints[1:-1]:
        return []
    nth = midpoints.index(at)
    return [midpoints[nth] - midpoints[nth - 1], midpoints[nth + 1] - midpoints[nth]]


def surface_peaks(facts: Facts) -> Verdict:
    """At most VANISHED of the density of pairs near a peak is left in the periodic diagram.

    Judged where a surface makes a peak at all: where the open diagram has more pairs than the periodic one by at least
    SURFACE of its own. So much may be there and most of the pairs be of the bulk, which the claim denies; where the
    pairs are as many without a surface, as in a melt, the place has no peak of the surface and nothing can vanish.
    """
    cases, told, absent = [], [], []
    for row in facts.rows("figure-1", "panels"):
        left = []
        when = {"temperature": f"{row.get('temperature')} K", "RT": "after RT" if row.get("rt") else "before RT"}
        for peak in row.get("surface") or []:
            there, periodic = number(peak.get("open")), number(peak.get("periodic"))
            if there is None or not there > 0 or periodic is None:
                continue
            at = f"({', '.join(f'{x:g}' for x in peak.get('at') or [])})"
            left.append(f"{periodic / there:.2g} at {at}")
            if there - periodic >= SURFACE * there:
                cases.append(Case({"peak": at} | when, periodic <= VANISHED * there))
            else:
                absent.append(f"{at} {' '.join(when.values())}")
        if left:
            told.append(f"{' '.join(when.values())}: {', '.join(left)}")
    ratios = f"pairs there without a surface over those with one: {'; '.join(told)}"
    if not told:
        return none("needs 3D diagrams with and without a surface that have pairs near (1, 1.7) or (2, 2.4)")
    if not cases:
        return none(f"no 3D diagram has a peak of the surface near (1, 1.7) or (2, 2.4); {ratios}")
    return cases, f"P{ratios[1:]}" + (f"; no peak of the surface at {listed(absent)}." if absent else ".")


def optimal_volumes(facts: Facts) -> Verdict:
    """More pairs per volume in the amorphous specimen of each seed; the evidence has them per mass too.

    The seed in whose amorphous diagram the region was chosen is judged only where there is no other.
    """
    found = by_seed(facts.rows("figure-2", "counts"), "per_nm3")
    if not found:
        return none("needs 3D diagrams of both states of one seed")
    around = (facts.numbers.get("figure-2") or {}).get("around") or {}
    how = "the region is the study's own"
    if around:
        how = f"region around the peak of the {around.get('state')} diagram of seed {around.get('seed')}"
        if around.get("state") != AMORPHOUS:
            return none(f"needs a region of the amorphous diagram's peak: {how}")
        fresh = {seed: of for seed, of in found.items() if seed != around.get("seed")}
        how += ", judged in the others" if fresh else ", in which it is judged"
        found = fresh or found
    cases = [Case({"seed": f"seed {seed}"}, a > b) for seed, (a, b) in found.items()]
    told = f"Ratio of pairs per volume, amorphous to liquid: {span([a / b for a, b in found.values() if b], '.3g')}"
    per_mass = by_seed(facts.checks, "density_g_cm3")
    ratios = [a / b * per_mass[s][1] / per_mass[s][0] for s, (a, b) in found.items() if b and s in per_mass]
    return cases, told + (f"; per mass {span(ratios, '.3g')}" if ratios else "") + f"; {how}."


def aadi_inseparable(facts: Facts) -> Verdict:
    """Classifiers trained on crop spectra: the interval of their accuracy over all foci has chance, and little above.

    It fails where the interval lies above chance. One with chance that reaches BARELY times chance is too wide for
    either and decides nothing: few specimens must not pass for states that are alike.
    """
    chance = 1 / max(2, len(facts.study.get("states") or ()))
    cases: list[Case] = []
    wide = 0
    found: dict[str, list[tuple[float, float, float]]] = {}
    for spectra, key in {"contrast removed": "accuracy", "absolute contrast": "accuracy_absolute"}.items():
        for row in facts.rows("figure-3", key):
            low, value, high = (number(row.get(name)) for name in ("ci_low", "accuracy", "ci_high"))
            if row.get("foci") != "all" or low is None or value is None or high is None:
                continue
            of = {"spectra": spectra, "split": str(row.get("split"))}
            found.setdefault(", ".join(of.values()), []).append((value, low, high))
            if low > chance or high < BARELY * chance:
                cases.append(Case(of | {"model": str(row.get("model"))}, low <= chance))
            else:
                wide += 1
    if not found:
        return none("needs accuracies of crop spectra with intervals, from three seeds or three random splits")
    told = "; ".join(
        f"{span([v for v, *_ in values], '.3f')} ({of}; intervals from {min(low for _, low, _ in values):.3f}"
        f" to {max(high for *_, high in values):.3f})"
        for of, values in found.items()
    )
    told = f"ccuracy of models trained on spectra of crops: {told}; chance is {chance:.2g}"
    if not cases:
        return none(f"not decided: every interval has chance and reaches {BARELY * chance:.2g}; a{told}")
    return cases, f"A{told}" + (f"; {wide} intervals with it are too wide to decide." if wide else ".")


def islands(key: str, what: str, sign: int) -> Callable[[Facts], Verdict]:
    """The amorphous mean, over in-focus crops and levels of each seed, lies above (below for sign -1) the liquid's."""

    def decide(facts: Facts) -> Verdict:
        found = by_seed(facts.rows("figure-4", "islands"), key)
        cases = [Case({"seed": f"seed {seed}"}, sign * (a - b) > 0) for seed, (a, b) in found.items()]
        if not cases:
            return none("needs in-focus crops of both states of one seed")
        ratios = span([a / b for a, b in found.values() if b], ".3g")
        return cases, f"{what}, ratio of amorphous to liquid: {ratios} over {len(cases)} seed{'s' * (len(cases) > 1)}."

    return decide
