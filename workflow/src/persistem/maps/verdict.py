"""What a map says in words: which state, how often its model is right on such an image, and why it abstains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.model.classifier import REASONS

if TYPE_CHECKING:
    from persistem.maps.mapping import Map
    from persistem.model.classifier import Model
    from persistem.reading import Image

#: An accuracy is near chance if its interval reaches chance and it lies in this lowest part from there to 1.
LOWEST = 0.5


class Worth(NamedTuple):
    """What a model's card says of images like one: a sentence, and sentences on what is near chance."""

    says: str
    near_chance: tuple[str, ...] = ()


def found(map: Map) -> tuple[str, str]:
    """Which state has most of the area, in a few words, and a sentence with the areas and how sure they are.

    How sure is the mean probability of a state over the places that are put to it. The sentence is empty if the map
    abstains everywhere.
    """
    shares = {state: map.shares[state] for state in map.states if map.shares[state]}
    if not shares:
        return "No verdict", ""
    order = sorted(shares, key=lambda state: -shares[state])
    most = shares[order[0]]
    name = "All" if most == 1 else "Mostly" if most > 0.5 else "No majority; most is"
    sure = {state: float(map.confidence[map.state == map.states.index(state)].mean()) for state in order}
    first, *others = (f"{state} {percent(shares[state])}" for state in order)
    listed = [f"{first} of the area (mean probability {sure[order[0]]:.2f})"]
    listed += [f"{part} ({sure[state]:.2f})" for part, state in zip(others, order[1:], strict=True)]
    says = ", ".join(listed)
    return f"{name} {order[0]}", f"{says[0].upper()}{says[1:]}."


def abstained(map: Map) -> str:
    """How much of the area the map abstains on, and for which reason most of it."""
    counts = np.bincount(map.reason[map.abstain], minlength=len(REASONS))
    if not counts.sum():
        return "The model abstains nowhere."
    main = int(counts.argmax())
    part = counts[main] / counts.sum()
    mainly = "because of this" if part == 1 else f"mainly ({percent(part)} of it) because of this"
    return f"The model abstains on {percent(map.shares['abstained'])} of the area, {mainly}: {REASONS[main]}."


def worth(image: Image, model: Model, dose: float | None = None) -> Worth:
    """How often a model is right on images like one, from its card: at the image's defocus, and at each dose.

    The card has defocus and dose one by one, never together. ``dose`` (e/Å²) is the image's by its noise, if it says.
    """
    card = model.card
    if card.get("kind") == "labelled micrographs":
        return _of_labelled(card)
    rows = {(row["by"], row["value"]): row for row in card.get("accuracy") or ()}
    defoci = sorted(value for by, value in rows if by == "defocus")
    if not defoci or image.defocus is None:
        why = card.get("assessed") or "it has no accuracy"
        return Worth(f"How often this model is right, its card cannot say: {why}.")
    if not defoci[0] <= image.defocus <= defoci[-1]:
        at = f"{number(defoci[0])} Å" if len(defoci) == 1 else f"{number(defoci[0])} to {number(defoci[-1])} Å"
        return Worth(
            f"How often this model is right at this defocus of {number(image.defocus)} Å, its card cannot say: it was"
            f" assessed at {at}."
        )
    nearest = min(defoci, key=lambda value: abs(value - image.defocus))
    row, chance = rows["defocus", nearest], 1 / len(model.states)
    where = f"At a defocus of {number(nearest)} Å"
    if nearest != image.defocus:
        where += f", the nearest assessed to this image’s {number(image.defocus)} Å,"
    says = (
        f"{where} this model is right in {percent(row['accuracy'])} of windows of specimens that it has not seen"
        f" ({_interval(row)}chance is {percent(chance)})"
    )
    doses = {value: of for (by, value), of in rows.items() if by == "dose"}
    if len(doses) > 1:
        each = ", ".join(f"{percent(of['accuracy'])} {_dose(value)}" for value, of in doses.items())
        known = "which this image does not tell" if dose is None else f"which is {dose:.0f} e/Å² by this image’s noise"
        says += f"; by dose, {known}: {each}"
    near = [_chance(f"at a defocus of {number(nearest)} Å the model is", row, chance)]
    near += [_chance(f"telling {' from '.join(pair['states'])} is", pair, 0.5) for pair in card.get("pairs") or ()]
    return Worth(f"{says}.", tuple(text for text in near if text))


def percent(share: float) -> str:
    """A share in percent: whole ones, but never 0 % or 100 % of what is not none or all."""
    text = f"{100 * share:.0f}"
    if text == "0" and share > 0:
        return "less than 1 %"
    return "more than 99 %" if text == "100" and share < 1 else f"{text} %"


def number(value: float) -> str:
    """A number with a true minus sign."""
    return f"{value:g}".replace("-", "−")


def _of_labelled(card: dict[str, Any]) -> Worth:
    """The recall of each state on labelled micrographs, or parts of one, that were left out."""
    assessed = card["assessed"]
    rows = [row for row in assessed["states"] if row["recall"] is not None]
    if not rows:
        return Worth("How often this model is right, its card cannot say: nothing labelled could be left out.")
    each = ", ".join(f"{percent(row['recall'])} of {row['state']}" for row in rows)
    where = "parts of its own micrograph" if assessed["within_one_image"] else "specimens"
    says = f"On {where} that it had not seen, this model found {each}; defocus and dose are not known to it."
    mean, chance = sum(row["recall"] for row in rows) / len(rows), 1 / len(card["states"])
    row = {"accuracy": mean, "ci_low": None}
    near = _chance("on average over the states the model is", row, chance)
    return Worth(says, (near,) if near else ())


def _chance(what: str, row: dict[str, Any], chance: float) -> str:
    """A sentence on an accuracy that is near chance; empty if it is not."""
    reaches = row["ci_low"] is None or row["ci_low"] <= chance
    if not reaches or row["accuracy"] >= chance + LOWEST * (1 - chance):
        return ""
    interval = _interval(row)
    return f"{what} near chance: right in {percent(row['accuracy'])} of windows ({interval}chance is {percent(chance)})"


def _interval(row: dict[str, Any]) -> str:
    if row["ci_low"] is None:
        return ""
    return f"95 % interval {100 * row['ci_low']:.0f} to {100 * row['ci_high']:.0f} %, "


def _dose(dose: float | None) -> str:
    return "without noise" if dose is None else f"at {dose:g} e/Å²"
