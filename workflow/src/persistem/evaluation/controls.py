"""Controls: the same classification with one difference between the states taken away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError
from persistem.evaluation.curves import permutation_test
from persistem.learning.rows import Described, available, candidates, key_of, label, read_described, representative
from persistem.learning.validation import nested, tabulate
from persistem.store.files import atomic, read_json

#: Bump when this stage's results change for the same study.
VERSION = 3


def controls_file(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Write accuracy by nested cross-validation, one model per defocus, of each control and row as JSON.

    ``settings``: ``states``, ``rows``, ``C``, ``models``, ``in_focus`` (Å), ``sizes`` (px), ``permutations`` and
    ``controls``, each with ``name`` and ``sources`` (specimen, state, seeds, path of the descriptors, summary); paths
    are relative to ``root``. Written: ``controls`` with ``seeds``, ``defoci``, ``densities`` (g/cm³, by state);
    ``rows``, of crops of the first size at all foci; ``permutation``, the test of each main row of these against chance
    (``curves.permutation_test`` without its null); and ``by_size``, the rows of every ``size`` with ``foci`` all and,
    if there are others, in-focus. Raises PersistemError, naming the control, if it cannot be evaluated.
    """
    listed = []
    for control in settings["controls"]:
        try:
            listed.append(_control(control, settings, root, jobs))
        except PersistemError as error:
            raise PersistemError(f"control {control['name']!r}: {error}") from error
        print(f"{len(listed)} of {len(settings['controls'])}: {control['name']}", flush=True)
    with atomic(out) as part:
        part.write_text(json.dumps({"states": settings["states"], "controls": listed}, indent=1) + "\n")


def _control(control: dict[str, Any], settings: dict[str, Any], root: Path, jobs: int) -> dict[str, Any]:
    by_size, permutation = [], []
    for size in settings["sizes"]:
        described = read_described(control["sources"], settings["states"], root, size)
        rows = available(settings["rows"], described.X)
        choices = {label(row): candidates(row, settings["C"], settings["models"]) for row in rows}
        outcomes = nested(described.X, described.crops, choices, "per-defocus", jobs)
        defoci = sorted({float(d) for d in described.crops.defocus})
        told = ("all", "in-focus") if len(defoci) > 1 else ("all",)
        for row in rows:
            lines = tabulate(outcomes[label(row)], described.crops, settings["in_focus"])
            by_size += [key_of(row) | {"size": size} | line for line in lines if line["foci"] in told]
        if size == settings["sizes"][0]:
            permutation = [_against_chance(described, row, settings, jobs) for row in rows if row["main"]]
    first = [line for line in by_size if (line["size"], line["foci"]) == (settings["sizes"][0], "all")]
    return {
        "name": control["name"],
        "seeds": sorted({int(seed) for source in control["sources"] for seed in source["seeds"]}),
        "defoci": defoci,
        "densities": _densities(control["sources"], settings["states"], root),
        "rows": [{key: value for key, value in line.items() if key != "size"} for line in first],
        "permutation": permutation,
        "by_size": by_size,
    }


def _against_chance(described: Described, row: dict[str, Any], settings: dict[str, Any], jobs: int) -> dict[str, Any]:
    candidate = representative(row, settings["C"], settings["models"])
    data = (described.X, described.crops, candidate, "per-defocus", settings["permutations"])
    test = permutation_test(*data, jobs=jobs)
    return key_of(row) | {key: value for key, value in test.items() if key != "null"}


def _densities(sources: list[dict[str, Any]], states: list[str], root: Path) -> dict[str, float]:
    """Mean density of each state's specimens, g/cm³."""
    densities: dict[str, list[float]] = {state: [] for state in states}
    for source in sources:
        densities[source["state"]].append(read_json(root / source["summary"])["density_g_cm3"])
    return {state: round(sum(values) / len(values), 4) for state, values in densities.items() if values}
