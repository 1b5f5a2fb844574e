"""What the paper says of specimens, micrographs and filtrations, and by what it is decided."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from statistics import fmean

from persistem.claims.cases import Case, Facts, Verdict, by_seed, by_temperature, near, none, span
from persistem.paper import number

#: Atoms on their lattice sites in a crystal, at least (share): thermal vibration leaves 1, and a liquid next to none.
ON_SITE = 0.9
#: A peak of the 3D diagram has returned when it is at least this high, relative to the sharpest diagram of figure 1.
RETURNED = 0.5
#: A peak has vanished when at most this share of its density of pairs is left.
VANISHED = 0.1


def crystal_kept(facts: Facts) -> Verdict:
    """Hot specimens up to 4000 K have at least ON_SITE of their atoms on their sites, those from 6000 K have not."""
    found = by_temperature(facts.checks, "on_site")
    if 4000 not in found or max(found) < 6000:
        return none("needs displacements from the crystal at 4000 K and at 6000 K, before RT")
    cases = [
        Case({"temperature": f"{t} K"}, all((v >= ON_SITE) == (t <= 4000) for v in values))
        for t, values in found.items()
        if t <= 4000 or t >= 6000
    ]
    told = ", ".join(f"{fmean(values):.3g} at {t} K" for t, values in found.items())
    return (
        cases,
        f"Share of atoms within half a bond of their lattice site before RT: {told}; a crystal has {ON_SITE:g}.",
    )


def disorder_grows(facts: Facts) -> Verdict:
    """From each temperature to the next: atoms lie farther from their sites; the 3D diagram's peak is lower."""
    cases, told = [], []
    for measure, rows, key, sign in (
        ("displacement over bond length", facts.checks, "lindemann", 1),
        ("height of the 3D diagram's peak", facts.rows("figure-1", "panels"), "sharpness", -1),
    ):
        means = {t: fmean(values) for t, values in by_temperature(rows, key).items()}
        for (low, before), (high, after) in pairwise(means.items()):
            grows = sign * (after - before) > 0
            cases.append(Case({"measure": measure, "temperatures": f"{low} to {high} K"}, grows))
        if len(means) > 1:
            told.append(f"{measure} {', '.join(f'{value:.3g} at {t} K' for t, value in means.items())}")
    return (cases, f"Before RT: {'; '.join(told)}.") if cases else none("needs two temperatures before RT")


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
    """The defocus about which contrast inverts is 0 to within half the least step, for each possible origin."""
    rows = facts.rows("figure-3", "contrast")
    pairs = [pair.get("defoci") or [] for row in rows for pair in row.get("pairs") or []]
    defoci = sorted({float(defocus) for pair in pairs for defocus in pair})
    step = min((b - a for a, b in pairwise(defoci)), default=0.0)
    places = {"the slab's centre": "from_centre_A", "its exit face": "from_exit_face_A"}
    if not any(key in row for row in rows for key in places.values()):
        places = {str(facts.study.get("defocus_origin", "the study's origin")): "centre_A"}
    found = {place: [number(row.get(key)) for row in rows] for place, key in places.items()}
    cases = [
        Case({"origin": f"defocus counted from {place}", "specimen": str(row.get("specimen"))}, near(value, step / 2))
        for place, values in found.items()
        for row, value in zip(rows, values, strict=True)
    ]
    told = [f"{span([v for v in values if v is not None], '+.3g')} Å from {place}" for place, values in found.items()]
    if not cases:
        return none("needs micrographs of one specimen at three defoci")
    return cases, f"Underfocus about which contrast inverts: {' and '.join(told)}, known to ±{step / 2:g} Å."


def surface_peaks(facts: Facts) -> Verdict:
    """At most VANISHED of the density of pairs near a peak is left in the periodic diagram."""
    cases, told = [], []
    for row in facts.rows("figure-1", "panels"):
        left = []
        for peak in row.get("surface") or []:
            there, periodic = number(peak.get("open")), number(peak.get("periodic"))
            if there and periodic is not None:
                at = f"({', '.join(f'{x:g}' for x in peak.get('at') or [])})"
                left.append(f"{periodic / there:.2g} at {at}")
                cases.append(Case({"peak": at, "specimen": str(row.get("specimen"))}, periodic <= VANISHED * there))
        if left:
            told.append(f"{row.get('specimen')}: {', '.join(left)}")
    if not cases:
        return none("needs 3D diagrams with and without a surface that have pairs near (1, 1.7) or (2, 2.4)")
    return cases, f"Share of the pairs near a peak that is left without a surface: {'; '.join(told)}."


def optimal_volumes(facts: Facts) -> Verdict:
    """More pairs per volume in the amorphous specimen of each seed; the evidence has them per mass too."""
    found = by_seed(facts.rows("figure-2", "counts"), "per_nm3")
    if not found:
        return none("needs 3D diagrams of both states of one seed")
    cases = [Case({"seed": f"seed {seed}"}, a > b) for seed, (a, b) in found.items()]
    told = f"Ratio of pairs per volume, amorphous to liquid: {span([a / b for a, b in found.values() if b], '.3g')}"
    per_mass = by_seed(facts.checks, "density_g_cm3")
    ratios = [a / b * per_mass[s][1] / per_mass[s][0] for s, (a, b) in found.items() if b and s in per_mass]
    return cases, told + (f"; per mass {span(ratios, '.3g')}." if ratios else ".")


def aadi_inseparable(facts: Facts) -> Verdict:
    """Classifiers trained on crop spectra: the interval of their accuracy over all foci reaches down to chance."""
    chance = 1 / max(2, len(facts.study.get("states") or ()))
    cases: list[Case] = []
    found: dict[str, list[tuple[float, float]]] = {}
    for spectra, key in {"contrast removed": "accuracy", "absolute contrast": "accuracy_absolute"}.items():
        for row in facts.rows("figure-3", key):
            low, value = number(row.get("ci_low")), number(row.get("accuracy"))
            if row.get("foci") == "all" and low is not None and value is not None:
                of = {"spectra": spectra, "split": str(row.get("split"))}
                found.setdefault(", ".join(of.values()), []).append((value, low))
                cases.append(Case(of | {"model": str(row.get("model"))}, low <= chance))
    if not cases:
        return none("needs accuracies of crop spectra with intervals, from three seeds or three random splits")
    told = "; ".join(
        f"{span([v for v, _ in values], '.3f')} ({of}; intervals from {min(low for _, low in values):.3f})"
        for of, values in found.items()
    )
    return cases, f"Accuracy of models trained on spectra of crops: {told}; chance is {chance:.2g}."


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
