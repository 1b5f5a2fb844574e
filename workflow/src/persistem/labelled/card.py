"""The card of a model of labelled micrographs: what it learned from, what it is worth, and where not to believe it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.learning.intervals import seed_means, summary
from persistem.model.card import UNITS, binned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from persistem.labelled.rows import Labelled
    from persistem.labelled.training import Trained
    from persistem.study import ModelSettings


def facts(
    trained: Trained, micrographs: list[Labelled], files: list[dict[str, Any]], asked: ModelSettings
) -> dict[str, Any]:
    """The card as plain values. ``files`` (name, sha256, pixel_size_A) are the micrographs' in the same order."""
    rows, assessment, states = trained.rows, trained.assessment, trained.rows.crops.states
    specimens = list(dict.fromkeys(one.specimen for one in micrographs))
    within = len(specimens) == 1
    tested = assessment.tested
    return {
        "kind": "labelled micrographs",
        "states": list(states),
        "micrographs": [
            file
            | {
                "specimen": one.specimen,
                "labelled_nm2": {
                    state: round(
                        float((one.state == k).sum() * (one.described.step * one.described.sampling / 10) ** 2), 3
                    )
                    for k, state in enumerate(states)
                },
                "relief": round(one.described.relief, 4),
            }
            for file, one in zip(files, micrographs, strict=True)
        ],
        "trained_on": {
            "windows": len(rows.crops.y),
            "window_A": micrographs[0].described.size * asked.windows.sampling,
            "sampling_A": asked.windows.sampling,
            "step_A": micrographs[0].described.step * asked.windows.sampling,
            "specimens": specimens,
        },
        "classifier": {
            "kind": "logistic regression",
            "features": list(assessment.candidate.features),
            "C": assessment.candidate.C,
            "recall_of_candidates": assessment.recall,
        },
        "assessed": {
            "within_one_image": within,
            "units": [name for k, name in enumerate(rows.units) if (rows.crops.seed[tested] == k).any()],
            "skipped": assessment.skipped,
            "states": scores(trained),
            "abstained": round(float(assessment.beyond[tested].mean()), 4) if tested.any() else None,
        },
        "relief": list(trained.model.relief or ()),
    }


def scores(trained: Trained) -> list[dict[str, Any]]:
    """Recall of each state on what was left out, with its interval over specimens (``learning.intervals``).

    Of parts of one image there is no interval: they are not independent.
    """
    rows, assessment = trained.rows, trained.assessment
    predicted = np.nan_to_num(assessment.probability).argmax(axis=1)
    found = []
    for label, state in enumerate(rows.crops.states):
        shown = assessment.tested & (rows.crops.y == label)
        if not shown.any():
            found.append({"state": state, "recall": None, "low": None, "high": None, "windows": 0})
            continue
        means = seed_means(np.equal(predicted, label), rows.crops.seed, shown)
        said = summary("recall", "recall", means)
        few = len(means) < 2 or rows.of_parts
        low, high = (None, None) if few else (said["recall_low"], said["recall_high"])
        found.append({"state": state, "recall": said["recall"], "low": low, "high": high, "windows": int(shown.sum())})
    return found


def by_condition(trained: Trained, conditions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How the model does at each part of the range of each condition that the micrographs, in their order, differ in.

    Rows with the name of the condition and its ``value``, the median of the part (None: no noise); on what was left
    out, the ``recall``, mean over states whose specimens weigh equally, and the share ``abstained`` on.
    """
    rows, assessment = trained.rows, trained.assessment
    right = np.equal(np.nan_to_num(assessment.probability).argmax(axis=1), rows.crops.y)
    found = []
    for name in (key for key in UNITS if all(key in one for one in conditions)):
        told = np.array([np.inf if one[name] is None else one[name] for one in conditions], float)
        if len(np.unique(told)) < 2:
            continue
        at = binned(told)[rows.crops.micrograph]
        for value in np.unique(at[assessment.tested]).tolist():
            here = assessment.tested & (at == value)
            recalls = [
                np.mean(list(seed_means(right, rows.crops.seed, here & (rows.crops.y == label)).values()))
                for label in np.unique(rows.crops.y[here]).tolist()
            ]
            found.append(
                {
                    "by": name,
                    "value": None if np.isinf(value) else value,
                    "recall": round(float(np.mean(recalls)), 4),
                    "abstained": round(float(assessment.beyond[here].mean()), 4),
                    "windows": int(here.sum()),
                }
            )
    return found


def text(card: dict[str, Any]) -> str:
    """The card in Markdown."""
    trained = card["trained_on"]
    lines = [f"# Model of {', '.join(card['states'])}", ""]
    lines += _of_simulations(card) if "simulated" in card else _of_labels(card)
    lines += [
        "",
        f"Windows of {trained['window_A']:.3g} Å at {trained['sampling_A']:g} Å a pixel; {trained['windows']} train."
        f" The classifier is linear and sees {', '.join(card['classifier']['features'])}.",
        "",
        "## What it is worth",
        "",
        *_worth(card),
        "## Where not to believe it",
        "",
        *_limits(card),
        "",
    ]
    return "\n".join(lines)


def _of_labels(card: dict[str, Any]) -> list[str]:
    """The micrographs that it learned from."""
    lines = ["Learned from labels that people set on micrographs.", ""]
    lines += ["| micrograph | specimen | pixel (Å) | " + " | ".join(f"{s} (nm²)" for s in card["states"]) + " |"]
    lines += ["|" + " --- |" * (3 + len(card["states"]))]
    for one in card["micrographs"]:
        areas = " | ".join(f"{area:g}" for area in one["labelled_nm2"].values())
        lines.append(f"| {one['name']} | {one['specimen']} | {one['pixel_size_A']:.4g} | {areas} |")
    return lines


def _of_simulations(card: dict[str, Any]) -> list[str]:
    """What was simulated, and how much of it."""
    about, shown = card["simulated"], card["micrographs"]
    voltages = " and ".join(f"{voltage:g}" for voltage in about["voltages_kV"])
    lines = [
        "Learned from simulated micrographs, whose regions are known; nobody labelled anything. Particles of"
        f" {', '.join(about['particles'])}, {_range(about['diameter_A'], 'Å')} across, on a film of"
        f" {_range(about['film_A'], 'Å')}, at {voltages} kV: {len(shown)} micrographs of"
        f" {len({one['name'].partition(',')[0] for one in shown})} composites of"
        f" {len(card['trained_on']['specimens'])} films.",
    ]
    if about["conditions"]:
        lines += ["", "| condition | from | to |", "| --- | --- | --- |"]
        lines += [f"| {name} | {_end(low)} | {_end(high)} |" for name, (low, high) in about["conditions"].items()]
    return lines


def _range(ends: list[float], unit: str) -> str:
    return f"{ends[0]:g} to {ends[1]:g} {unit}"


def _end(value: float | None) -> str:
    return "no noise" if value is None else f"{value:g}"


def _worth(card: dict[str, Any]) -> list[str]:
    """What it is worth on what was left out."""
    assessed = card["assessed"]
    if not assessed["units"]:
        return [
            "Not assessed: " + (_skipped(assessed) or "nothing could be left out") + ".",
            "",
            "Probabilities and limits come from the windows that trained, so it is surer than it should be.",
            "",
        ]
    where = (
        "parts of one specimen, tested by models of its other parts; windows that share pixels with them do not"
        " train, but filters see farther than a window. It says nothing of the next specimen"
        if assessed["within_one_image"]
        else f"{len(assessed['units'])} specimens, each tested by a model of the others"
    )
    lines = [f"On {where}.", "", "| state | recall | interval | windows |", "| --- | --- | --- | --- |"]
    for row in assessed["states"]:
        recall = "not tested" if row["recall"] is None else f"{row['recall']:.3f}"
        between = "" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
        lines.append(f"| {row['state']} | {recall} | {between} | {row['windows']} |")
    lines += ["", f"It abstains on {assessed['abstained']:.1%} of these windows.", ""]
    better = "" if "simulated" in card else "; `unseen.html` maps each specimen by a model that had no part of it"
    lines += [
        "What it sees was chosen, and its probabilities calibrated, on what is left out here, so these numbers are"
        f" a little too good{better}.",
        "",
    ]
    if conditions := card.get("by_condition"):
        lines += ["| condition | about | recall, mean of states | abstained |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {row['by'].replace('_', ' ')} | {_end(row['value'])} {UNITS[row['by']]} | {row['recall']:.3f}"
            f" | {row['abstained']:.1%} |".replace("  |", " |")
            for row in conditions
        ]
        lines.append("")
    if assessed["skipped"]:
        lines += [f"Not left out: {_skipped(assessed)}.", ""]
    return lines


def _limits(card: dict[str, Any]) -> list[str]:
    """Where not to believe it."""
    low, high = card["relief"]
    first = (
        "- What it recognises is what told apart the regions of simulations, brightness included. What it is worth on"
        " real micrographs, they do not say."
        if "simulated" in card
        else "- What it recognises is what the labels told apart, brightness included; `unseen.html` says what decides."
    )
    return [
        first,
        "- It takes each image relative to itself. An image of one state alone, or one whose brightness changes"
        f" less than {low:.2g} or more than {high:.2g} times as much as its grain, is unlike the training: it abstains."
        " So it does if the spectra of what it takes for the states are, all in all, not those that it knows of them.",
        "- It calls a window unlike the training by its deviation over its mean, too. Grey values with another offset,"
        " as exports in 8 bits have, are abstained on, though the states found are the same.",
        "- Voltage, defocus and thickness are not known to it; another defocus may look like another state.",
    ]


def _skipped(assessed: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in assessed["skipped"].items())
