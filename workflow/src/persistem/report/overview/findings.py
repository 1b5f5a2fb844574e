"""What a study with a model and composites found, as plain values and in sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from persistem.report.figures.regions import score
from persistem.report.figures.worth import CHOSEN
from persistem.report.tables import timings
from persistem.store.files import read_json

#: Two states are told apart where so many of their windows get the right one of the two; below ``HARDLY`` they hardly
#: are. Chance is ``CHANCE``.
TOLD, HARDLY, CHANCE = 0.95, 0.75, 0.5
#: Names of simpler features where there is little room.
SHORT = {"plain measures": "plain", "local spectrum": "spectrum"}
#: A pressure that is worth a word, GPa.
PRESSURE = 1.0
#: Characters in a line of text.
WIDTH = 80
#: What a full study reached, from its record (``publication.record_maps``).
FULL_STUDY = Path(__file__).with_name("full_study.json")
#: Stages that the text names when it says what ran; the page names all.
NAMED = 3


def of_study(settings: dict[str, Any], root: Path) -> dict[str, Any]:
    """Every number of the overview.

    ``settings`` are those of ``overview.write_overview``. ``pairs`` of states have accuracy, the least and the most of
    a seed, the ``baselines``' accuracy and ``told`` (told, partly, hardly); ``together`` are groups of states that are
    hardly told apart; ``maps`` have the overlap of a composite, of each kind of features, ``joined`` where states of a
    group count as one. ``ran`` is from ``tables.timings``.
    """
    judged = {record["features"]: read_json(root / record["path"]) | record for record in settings["judged"]}
    card = judged[CHOSEN]["card"]
    pairs = [_pair(k, judged) for k in range(len(card["pairs"]))]
    together = _together(settings["states"], [pair["states"] for pair in pairs if pair["told"] == "hardly"])
    return {
        "model": judged[CHOSEN],
        "size_A": judged[CHOSEN]["size_A"],
        "doses": card["trained_on"]["doses_e_A2"],
        "features": card["classifier"]["features"],
        "assessed": card["assessed"],
        "pairs": pairs,
        "together": together,
        "maps": [_map(composite, judged, together) for composite in settings["composites"]],
        "states": [_state(state, settings["samples"], root) for state in settings["states"]],
        "full": read_json(FULL_STUDY),
        "ran": timings(root, settings["timed"], settings["specimens"]),
    }


def lines(found: dict[str, Any], page: str) -> str:
    """What a run of the study ends with: few lines, the last of which names the ``page`` to open."""
    return "\n".join(
        [
            *_wrapped(f"Core minutes: {what_ran(found['ran'])}"),
            *(table(found) if found["pairs"] else _wrapped(f"Accuracy {found['assessed']}.")),
            *_wrapped(" ".join([verdict(found), densities(found["states"])])),
            f"Open {page}",
        ]
    )


def what_ran(ran: list[dict[str, Any]]) -> str:
    """The stages that took most, with the number of jobs and the minutes that they took together."""
    most = sorted(ran, key=lambda row: -row["wall_s"])[:NAMED]
    rest = sum(row["wall_s"] for row in ran) - sum(row["wall_s"] for row in most)
    named = [f"{row['jobs']} {row['stage'].replace('_', ' ')} {_minutes(row['wall_s'])}" for row in ran if row in most]
    return ", ".join([*named, f"rest {_minutes(rest)}"])


def told(right: float) -> str:
    """How well two states are told apart of whose windows the share ``right`` gets its own: told, partly or hardly."""
    return "told" if right >= TOLD else "hardly" if right < HARDLY else "partly"


def of_pairs(found: dict[str, Any]) -> str:
    """What the accuracy of two states is the accuracy of."""
    return f"{found['size_A']:g} Å windows, unseen seeds"


def table(found: dict[str, Any]) -> list[str]:
    """The table of the text: a line for each pair of states, and one for the map of each composite.

    Where states that are hardly told apart count as one, the overlap where they do not stands beside it.
    """
    baselines = list(found["pairs"][0]["baselines"])
    rows = [(of_pairs(found), "right", "by seed", *(SHORT.get(name, name) for name in baselines), "chance")]
    for pair in found["pairs"]:
        seeds = f"{pair['least']:.2f} to {pair['most']:.2f}"
        plain = (f"{pair['baselines'][name]:.2f}" for name in baselines)
        rows.append((" | ".join(pair["states"]), f"{pair['accuracy']:.2f}", seeds, *plain, f"{CHANCE:.2f}"))
    for composite in found["maps"]:
        overlap = (composite["joined"] or composite)["overlap"]
        apart = f"apart {composite['overlap'][CHOSEN]:.2f}" if composite["joined"] else ""
        plain = (f"{overlap[name]:.2f}" for name in baselines)
        rows.append((f"map: {' | '.join(composite['states'])}", f"{overlap[CHOSEN]:.2f}", apart, *plain, "overlap"))
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    cells = ([row[0].ljust(first), *map(str.rjust, row[1:], others)] for row in rows)
    return ["  ".join(row).rstrip() for row in cells]


def verdict(found: dict[str, Any]) -> str:
    """What a study of this size can tell and what it cannot, in a sentence or two."""
    by_verdict: dict[str, list[list[str]]] = {"told": [], "partly": [], "hardly": []}
    for pair in found["pairs"]:
        by_verdict[pair["told"]].append(pair["states"])
    adverb = {"told": "", "partly": "mostly ", "hardly": "hardly "}
    parts = [(adverb[key], _from(pairs)) for key, pairs in by_verdict.items() if pairs]
    if not parts:
        return ""
    (how, first), *others = parts
    sentence = f"A study of this size {how}tells {first}" + "".join(f", {how}{pairs}" for how, pairs in others)
    full = found["full"]
    reached = {frozenset(pair["states"]): pair["accuracy"] for pair in full["pairs"]}
    known = [reached.get(frozenset(pair)) for pair in by_verdict["hardly"]]
    if known and None not in known:
        values = listed([f"{value:.2f}" for value in known])
        sentence += f" (full study, {full['page']}: {values} of {full['size_A']:g} Å windows)"
    return f"{sentence}."


def densities(states: list[dict[str, Any]]) -> str:
    """How dense the states are, where that differs, since density alone tells them apart."""
    values = [state["density_g_cm3"] for state in states]
    if max(values) <= 1.01 * min(values):
        return ""
    each = ", ".join(
        f"{state['state']} {state['density_g_cm3']:.2f}"
        + (f" at {state['pressure_GPa']:.1f} GPa" if abs(state["pressure_GPa"] or 0) > PRESSURE else "")
        for state in states
    )
    return f"Density (g/cm³) helps: {each}."


def of_map(composite: dict[str, Any]) -> str:
    """What the map of a composite is worth."""
    overlap = composite["overlap"]
    parts = [f"overlap of map and truth {_beside(overlap)}"]
    if composite["joined"]:
        parts += [f"with {composite['joined']['name']} as one {_beside(composite['joined']['overlap'])}"]
    if composite["boundary_A"] is not None:
        parts += [f"boundary {composite['boundary_A']:.1f} Å off"]
    return f"{' | '.join(composite['states'])}: {'; '.join(parts)}."


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _pair(k: int, judged: dict[str, Any]) -> dict[str, Any]:
    """The k-th pair of states of the models."""
    pairs = {features: model["card"]["pairs"][k] for features, model in judged.items()}
    right = pairs[CHOSEN]["accuracy"]
    return {
        "states": pairs[CHOSEN]["states"],
        "accuracy": right,
        "least": min(pairs[CHOSEN]["by_seed"].values()),
        "most": max(pairs[CHOSEN]["by_seed"].values()),
        "n_test": pairs[CHOSEN]["n_test"],
        "baselines": {features: pair["accuracy"] for features, pair in pairs.items() if features != CHOSEN},
        "told": told(right),
    }


def _together(states: list[str], pairs: list[list[str]]) -> list[list[str]]:
    """Groups of two or more states that pairs join, in the order of the states."""
    group = {state: {state} for state in states}
    for a, b in pairs:
        joined = group[a] | group[b]
        group |= dict.fromkeys(joined, joined)
    groups = [[state for state in states if state in group[of]] for of in states]
    return [one for k, one in enumerate(groups) if len(one) > 1 and one not in groups[:k]]


def _map(composite: dict[str, Any], judged: dict[str, Any], together: list[list[str]]) -> dict[str, Any]:
    """The overlap of a composite's map and truth, and where states of a group count as one."""
    scores = {features: score(model, composite["name"]) for features, model in judged.items()}
    error = scores[CHOSEN]["boundary_A"]
    groups = [group for group in together if set(group) & set(composite["states"])]
    joined = None
    # two states of one group would leave nothing to tell apart
    if groups and not any(set(composite["states"]) <= set(group) for group in groups):
        joined = {
            "name": listed([listed(group) for group in groups]),
            "overlap": {
                features: _overlap(scored["found"], composite["states"], groups) for features, scored in scores.items()
            },
        }
    return {
        "states": composite["states"],
        "overlap": {features: scored["overlap"]["mean"] for features, scored in scores.items()},
        "joined": joined,
        "boundary_A": error["mean"] if error else None,
    }


def _overlap(found: dict[str, dict[str, int]], states: list[str], groups: list[list[str]]) -> float:
    """Mean intersection over union of the states of a composite where the states of a group count as one."""
    shares = []
    for state in states:
        group = next((group for group in groups if state in group), [state])
        both = sum(found[true][taken] for true in group if true in found for taken in group)
        actual = sum(sum(found[true].values()) for true in group if true in found)
        mapped = sum(counts[taken] for counts in found.values() for taken in group)
        shares.append(both / (actual + mapped - both))
    return sum(shares) / len(shares)


def _state(state: str, samples: list[dict[str, Any]], root: Path) -> dict[str, Any]:
    """Means over the specimens of a state: density (g/cm³), temperature (K) and pressure (GPa); None if not known."""
    facts = [read_json(root / path) for sample in samples if sample["state"] == state for path in sample["summaries"]]
    means = {}
    for key in ("density_g_cm3", "temperature_K", "pressure_GPa"):
        values = [fact[key] for fact in facts if fact.get(key) is not None]
        means[key] = sum(values) / len(values) if values else None
    return {"state": state, "specimens": len(facts)} | means


def _beside(overlap: dict[str, float]) -> str:
    """The value of the chosen features, and in brackets those of simpler ones."""
    others = ", ".join(f"{name} {value:.2f}" for name, value in overlap.items() if name != CHOSEN)
    return f"{overlap[CHOSEN]:.2f} ({others})"


def _from(pairs: list[list[str]]) -> str:
    """``a from b and c, b from c``."""
    by_first: dict[str, list[str]] = {}
    for first, second in pairs:
        by_first.setdefault(first, []).append(second)
    return ", ".join(f"{first} from {listed(others)}" for first, others in by_first.items())


def _wrapped(says: str) -> list[str]:
    return textwrap.wrap(says, WIDTH, break_long_words=False, break_on_hyphens=False)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}"
