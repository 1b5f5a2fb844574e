"""What becomes of a model where the contrast is another than that of its simulations, measured and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.learning.intervals import seed_means, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from persistem.model.classifier import Classifier
    from persistem.model.contrast_factor import Gauge
    from persistem.model.training import Training
    from persistem.study import ModelSettings


#: Blocks that hold standard deviations of the image over its mean.
KNOWING = {"contrast", "low-passed"}


def assessed(
    assessment: dict[str, Any], training: Training, asked: ModelSettings, states: list[str]
) -> list[dict[str, Any]]:
    """What a model says of windows of unseen seeds at each factor of their contrast; empty if it was not assessed.

    ``accuracy`` is that of all windows and ``states`` that of each state's, whether or not the model abstains;
    ``abstained`` is the share of windows that it abstains on, ``wrong`` the share that it gives a wrong state;
    ``trained`` says whether the factor is in the range of the training. Seeds have equal weight.
    """
    probes = training.probes
    if probes is None or "predicted" not in assessment:
        return []
    y, seed = probes.crops.y, probes.crops.seed
    right, beyond = assessment["predicted"] == y, assessment["probes_abstained"]
    low, high = asked.contrast
    rows = []
    for factor in np.unique(probes.factor).tolist():
        shown = probes.factor == factor
        row = {"factor": factor, "trained": low <= factor <= high, "dose_e_A2": probes.dose}
        row |= summary("accuracy", "ci", seed_means(right, seed, shown))
        row["states"] = {state: _mean(seed_means(right, seed, shown & (y == k))) for k, state in enumerate(states)}
        row |= {"abstained": _mean(seed_means(beyond, seed, shown))}
        row |= {"wrong": _mean(seed_means(~right & ~beyond, seed, shown)), "n_test": int(shown.sum())}
        rows.append(row)
    return rows


def lines(rows: list[dict[str, Any]], states: list[str]) -> list[str]:
    """The table of a card, in Markdown."""
    if not rows:
        return []
    dose = rows[0]["dose_e_A2"]
    at = "without noise" if dose is None else f"at {dose:g} e/Å²"
    head = ["contrast, times the simulated", "windows", "95 %", *states, "abstains", "wrong, not abstaining"]
    table = ["", f"Other contrasts, {at}, one micrograph of every state and seed:", ""]
    table += [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for row in rows:
        low, high = row["ci_low"], row["ci_high"]
        interval = "" if low is None else f"{low:.3f} to {high:.3f}"
        numbers = (row["accuracy"], *(row["states"][state] for state in states), row["abstained"], row["wrong"])
        first, *others = (f"{number:.3f}" for number in numbers)
        factor = f"{row['factor']:g}" + ("" if row["trained"] else " (not trained)")
        table.append(f"| {' | '.join([factor, first, interval, *others])} |")
    return table


def use(asked: ModelSettings, classifier: Classifier) -> str:
    """What a classifier knows of the contrast, as a predicate."""
    if not KNOWING.isdisjoint(classifier.lengths):
        return "uses the contrast"
    if any(dose is not None for dose in asked.trained_doses):
        return "sees the contrast through the counting noise, which hides less of a stronger image"
    return "does not use the contrast"


def limits(gauge: Gauge) -> dict[str, float]:
    """Below and above which factor an image is unlike the training, and how far images are misread."""
    return {"low": round(gauge.low, 4), "high": round(gauge.high, 4), "error": round(gauge.error, 4)}


def reading(gauge: Gauge) -> str:
    """What a model reads of the contrast of an image."""
    return (
        "All windows of an image together say how strong its contrast is, times the simulated, if its defocus is as"
        f" stated: of images of unseen seeds typically to within {gauge.error:.0%}. Below {gauge.low:.2f} and above"
        f" {gauge.high:.2f} the model names no state."
    )


def sentence(rows: list[dict[str, Any]], asked: ModelSettings, gauge: Gauge | None = None) -> str:
    """How right a model is at the contrasts that it was trained at, what it does beyond, and on what it was tried."""
    low, high = asked.contrast
    known = "the simulated contrast" if low == high == 1 else f"contrasts of {span(asked.contrast)} times the simulated"
    beyond = [row for row in rows if not row["trained"]]
    dose = rows[0]["dose_e_A2"]
    at = "without noise" if dose is None else f"at the lowest dose, {dose:g} e/Å²"
    trained = [row for row in rows if row["trained"]]
    right = span([row["accuracy"] for row in trained], ".2f")
    least, state, factor = min((of, name, row["factor"]) for row in trained for name, of in row["states"].items())
    said = (
        f"Trained at {known}; there {right} of the windows of unseen seeds are right, fewest of {state}, {least:.2f} at"
        f" {factor:g} times; tried on one micrograph of every state and seed {at}."
    )
    if beyond:
        worst = max(beyond, key=lambda row: row["wrong"])
        abstained = span([row["abstained"] for row in beyond], ".0%")
        alone = ", as one window does not tell another contrast from another state" if gauge is None else ""
        said += (
            f" Beyond, it abstains on {abstained} of them{alone}; where the contrast is {worst['factor']:g} times the"
            f" simulated, {worst['wrong']:.0%} get a wrong state."
        )
    return said


def span(values: Sequence[float], form: str = "g") -> str:
    """The least and the largest of some values, or the one that both are."""
    low, high = f"{min(values):{form}}", f"{max(values):{form}}"
    return low if low == high else f"{low} to {high}"


def _mean(means: dict[int, float]) -> float:
    return round(sum(means.values()) / len(means), 6)
