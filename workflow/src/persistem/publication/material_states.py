"""What the states of a material are like, beside published values: density, g(r), neighbours, how fast they cooled."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from persistem.errors import PersistemError
from persistem.specimens.own_structures import density
from persistem.specimens.state_checks import BIN, pair_distances, rdf
from persistem.specimens.structures import read_structure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms
    from numpy.typing import NDArray

    from persistem.plan.plan import Plan

#: How far g(r) is asked for, Å; where the first shell ends at most, as a multiple of its peak; bins smoothed over.
FAR, SHELL, SMOOTH = 6.5, 1.6, 5
#: What a published value has to say; a ``reason`` for what deviates, and a ``control`` that is not the first, it may.
SAYS, MAY_SAY = {"state", "quantity", "value", "source"}, {"reason", "control"}
#: A deviation from a published value that is none.
AGREES = 0.03

States = dict[tuple[str, str], dict[str, float]]


def states_of_material(plan: Plan, settings: Mapping[str, Any], root: Path) -> States:
    """The means over specimens of what ``of_structure`` measures, by control and state.

    ``settings`` are those of the controls. Crystals that the history of the study goes through belong to its first
    control. ``quench, K/ps`` is there where a schedule cools at a rate.
    """
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    controls = settings["controls"]
    for one in crystals(plan):
        path = root / plan.structure(one)
        found.setdefault((controls[0]["name"], "crystal"), []).append(of_structure(read_structure(path)))
    for control in controls:
        for source in control["sources"]:
            folder = (root / source["summary"]).parent
            of = of_structure(read_structure(folder / "structure.extxyz"))
            if (rate := quench(plan, source["specimen"], folder.parent.name)) is not None:
                of["quench, K/ps"] = rate
            found.setdefault((control["name"], source["state"]), []).append(of)
    return {key: {name: fmean(one[name] for one in of) for name in of[0]} for key, of in found.items()}


def crystals(plan: Plan) -> list[str]:
    """The specimens of steps that have to end as a crystal and are not classified."""
    schedule = plan.study.md.schedule
    steps = {step.name for step in schedule.steps if step.state == "crystal"} if schedule else set()
    return [one.name for one in plan.specimens.values() if one.state is None and one.step in steps]


def quench(plan: Plan, specimen: str, digest: str) -> float | None:
    """How fast a specimen was cooled last, K/ps; None if it was not, or not at a rate."""
    of = next(one for one in plan.plans if one.has(specimen, "specimens", digest))
    schedule = of.study.md.schedule
    if schedule is None:
        return None
    names = [step.name for step in schedule.steps]
    before = schedule.steps[: names.index(of.specimens[specimen].step or "") + 1]
    cooled = [
        step.rate for last, step in pairwise(before) if step.rate is not None and step.temperature < last.temperature
    ]
    return cooled[-1] if cooled else None


def of_structure(atoms: Atoms) -> dict[str, float]:
    """Density (g/cm³), first peaks of g(r) (Å), and neighbours up to the first minimum behind them.

    Neighbours are ``B around A``; of a pair of elements so far apart that g(r) has no peak, nothing is there.
    """
    found = {"density, g/cm³": density(atoms)}
    symbols = atoms.get_chemical_symbols()
    species = sorted(set(symbols))
    edges = np.arange(0, FAR + BIN / 2, BIN)
    r = (edges[1:] + edges[:-1]) / 2
    shells = pair_distances(atoms, species, FAR)
    curves = {pair: rdf(atoms, pair, distances, edges) for pair, distances in shells.items()}
    peaks = {pair: first_peak(r, g) for pair, g in curves.items() if g.any()}
    found |= {f"first peak {'-'.join(pair)}, Å": peak for pair, peak in peaks.items()}
    for (a, b), peak in peaks.items():
        pairs = float((shells[a, b] < first_minimum(r, curves[a, b], peak)).sum())
        for centre, other in dict.fromkeys([(a, b), (b, a)]):
            found[f"{other} around {centre}"] = pairs / symbols.count(centre)
    return found


def first_peak(r: NDArray[Any], g: NDArray[Any]) -> float:
    """Where g(r) has its first peak that is at least half as high as its highest, Å, between bins by a parabola."""
    tall = np.flatnonzero((g[1:-1] >= g[:-2]) & (g[1:-1] > g[2:]) & (g[1:-1] >= 0.5 * g.max())) + 1
    if not len(tall):
        return float(r[int(g.argmax())])
    k = int(tall[0])
    below, here, above = g[k - 1 : k + 2]
    curve = below - 2 * here + above
    return float(r[k] + (0.5 * (below - above) / curve if curve else 0.0) * (r[1] - r[0]))


def first_minimum(r: NDArray[Any], g: NDArray[Any], peak: float) -> float:
    """Where g(r) has its first minimum behind its first ``peak``, Å, or else is lowest, up to SHELL times as far.

    It is sought in the mean over SMOOTH bins: behind the shell of a liquid g(r) is flat, and its lowest bin anywhere.
    """
    smooth = np.convolve(np.pad(g, SMOOTH // 2, mode="edge"), np.full(SMOOTH, 1 / SMOOTH), mode="valid")
    behind = np.flatnonzero((r > peak) & (r <= SHELL * peak))[:-1]
    turns = behind[(smooth[behind] <= smooth[behind - 1]) & (smooth[behind] < smooth[behind + 1])]
    return float(r[turns[0] if len(turns) else behind[int(smooth[behind].argmin())]])


def table(states: States) -> list[dict[str, str]]:
    """A row for each control and state, a column for each quantity."""
    columns = list(dict.fromkeys(name for of in states.values() for name in of))
    return [
        {"control": control, "state": state} | {name: f"{of[name]:.3g}" if name in of else "" for name in columns}
        for (control, state), of in states.items()
    ]


def read_published(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Published values by material; none without the file. Raises PersistemError for one that does not say enough."""
    if not path.is_file():
        return {}
    found = yaml.safe_load(path.read_text()) or {}
    for material, values in found.items():
        for value in values:
            if (missing := SAYS - value.keys()) or (value.keys() - SAYS - MAY_SAY):
                wrong = f"has no {min(missing)}" if missing else f"has {min(value.keys() - SAYS - MAY_SAY)}"
                allowed = f"{', '.join(sorted(SAYS))}, and may have {', '.join(sorted(MAY_SAY))}"
                raise PersistemError(f"{path}: {material}: a value {wrong}; each has {allowed}")
    return dict(found)


def beside(material: str, states: States, published: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A row for each published value of a material, with ours. Raises PersistemError for what was not measured."""
    first = next(iter(states))[0]
    rows = []
    for value in published:
        ours = states.get((value.get("control", first), value["state"]), {}).get(value["quantity"])
        if ours is None:
            known = "; ".join(f"{control}, {state}: {', '.join(of)}" for (control, state), of in states.items())
            raise PersistemError(
                f"published: {material}: no {value['quantity']!r} of {value['state']!r} was measured; there are {known}"
            )
        off = ours / value["value"] - 1
        near = "yes" if abs(off) <= AGREES else "**no**"
        rows.append(
            {
                "material": material,
                "state": value["state"],
                "quantity": value["quantity"],
                "ours": f"{ours:.3g}",
                "published": f"{value['value']:g}",
                "deviation": f"{off:+.1%}",
                f"within {AGREES:.0%}": near,
                "source": value["source"] + (f"; {value['reason']}" if value.get("reason") else ""),
            }
        )
    return rows
