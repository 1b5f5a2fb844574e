"""What maps are worth, in sentences that are made of the numbers of ``worth``."""

from __future__ import annotations

from typing import Any

from persistem.report.figures.worth import ABSTAINED, CHOSEN, best_other, said

Found = dict[str, Any]

#: What the scores call the empty micrograph.
VACUUM = "vacuum"
#: A share of the windows that is worth a word.
SHARE = 0.005


def label(kind: Found) -> str:
    """What a composite is of, and how it was made."""
    return f"{kind['states'][0]} | {kind['states'][1]} ({kind['kind']})"


def sentences(kinds: list[Found], strangers: list[Found], size: float, chosen: float | None, card: Found) -> list[str]:
    """The worth of the maps; first of all where a simpler measure does better.

    ``kinds`` and ``strangers`` are from ``worth``; ``size`` of the model's windows and the one that was ``chosen``, Å.
    """
    conditions = kinds[0]["features"][CHOSEN]["by_condition"]
    foci, doses = (", ".join(f"{v:g}" for v in sorted({c[key] for c in conditions})) for key in ("defocus", "dose"))
    blocks = " + ".join(card["classifier"]["features"])
    parts = [sentence for kind in kinds if (sentence := _beaten(kind))]
    parts.append(f"Windows of {size:g} Å, {blocks}; mean over defoci of {foci} Å and doses of {doses} e/Å².")
    parts += [_of_kind(kind) for kind in kinds]
    strange = [stranger for stranger in strangers if stranger["name"] != VACUUM]
    if matter := [of_stranger(stranger) for stranger in strange if stranger["state"] is None]:
        parts.append(f"Matter never trained: {'; '.join(matter)}.")
    if condition := [of_stranger(stranger) for stranger in strange if stranger["state"] is not None]:
        parts.append(f"Trained states in conditions never trained: {'; '.join(condition)}.")
    empty = [of_stranger(stranger) for stranger in strangers if stranger["name"] == VACUUM]
    parts += [f"Trained, as counting noise to abstain on: {says}." for says in empty]
    parts.append(_unlike(card["unlike"]))
    if chosen is not None and chosen != size:
        parts.append(f"The composite that chooses the window is mapped best with {chosen:g} Å, not {size:g} Å.")
    return parts


def _beaten(kind: Found) -> str:
    """Whether a simpler measure does better than the model, in a sentence; nothing if none does."""
    other = best_other(kind)
    if other is None or kind["features"][other]["ahead"]["mean"] >= 0:
        return ""
    ahead = kind["features"][other]["ahead"]
    return (
        f"A simpler measure does better on {label(kind)}: {other} overlaps by"
        f" {kind['features'][other]['overlap']['mean']:.2f}, ours by {kind['features'][CHOSEN]['overlap']['mean']:.2f};"
        f" {said(_turned(ahead))} ahead{_picked(kind)}{'' if ahead['sure'] else ', which may be chance'}."
    )


def _of_kind(kind: Found) -> str:
    """What the maps of a kind of composite are worth."""
    ours, other = kind["features"][CHOSEN], best_other(kind)
    least, most = (pick(ours["by_condition"], key=lambda c: float(c["mean"])) for pick in (min, max))
    sharing = "" if kind["groups"] == kind["composites"] else f" in {kind['groups']} groups that share no seed"
    number = f"{kind['composites']} composite" + ("" if kind["composites"] == 1 else "s")
    says = f"{label(kind)[0].upper()}{label(kind)[1:]}, {number}{sharing}: overlap {said(ours['overlap'])}"
    if len(ours["by_condition"]) > 1:
        says += f", from {_in(least)} to {_in(most)}"
    if ours["boundary_A"] is not None:
        says += f", boundary {ours['boundary_A']:.1f} Å off"
    if other is not None:
        beside = kind["features"][other]
        ahead = beside["ahead"]
        by = f"ahead by {said(ahead)}" if ahead["mean"] >= 0 else f"behind by {said(_turned(ahead))}"
        says += f"; of simpler measures {other} {said(beside['overlap'])}, ours {by}{_picked(kind)}"
    return f"{says}."


def _turned(ahead: Found) -> Found:
    """How far ours is behind, from how far it is ahead."""
    low, high = (None if ahead[end] is None else -ahead[end] for end in ("high", "low"))
    return {"mean": -ahead["mean"], "low": low, "high": high}


def _picked(kind: Found) -> str:
    """That the measure beside ours was picked from several by the same composites, which flatters it."""
    count = len(kind["features"]) - 1
    return f" (the best of {count} on these composites, so its interval flatters it)" if count > 1 else ""


def _in(condition: Found) -> str:
    return f"{condition['mean']:.2f} ({condition['defocus']:g} Å, {condition['dose']:g} e/Å²)"


def of_stranger(stranger: Found) -> str:
    """What a stranger is called, the larger shares alone."""
    shares = {name: share for name, share in stranger["shares"].items() if name != ABSTAINED and share >= SHARE}
    called = ", ".join(
        f"{share:.0%} called {name}" + (", which it is" if name == stranger["state"] else "")
        for name, share in sorted(shares.items(), key=lambda item: -item[1])
    )
    over = f" ({stranger['least']:.0%} to {stranger['most']:.0%})" if stranger["maps"] > 1 else ""
    return f"{stranger['name']} abstained {stranger['shares'][ABSTAINED]:.0%}{over}" + (f", {called}" if called else "")


def _unlike(unlike: Found) -> str:
    """When a window counts as unlike the training."""
    blocks, share = " or ".join(unlike["blocks"]), f"{unlike['share_asked']:.1%}"
    return (
        f"A window counts as unlike the training where its {blocks} is farther from the training's than in all but"
        f" {share} of the windows of trained states ({unlike['thresholds_from']}), or where counting noise alone"
        " explains it far better."
    )
