"""A model in a line, and in a few rows of HTML: its states, its microscope, and how often it is right."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from persistem.errors import printable

if TYPE_CHECKING:
    from persistem.model.classifier import Model

UNKNOWN = "not known"


def line(model: Model) -> str:
    """States, voltage, defoci, window, and how often the model is right, in one line."""
    said = rows(model)
    return f"{said.pop('states')}; " + "; ".join(f"{name} {value}" for name, value in said.items())


def html(model: Model) -> str:
    """The same as a table."""
    return table("Model", rows(model))


def rows(model: Model) -> dict[str, str]:
    """What to say of a model, by name."""
    said = {"states": " | ".join(model.states)}
    if model.voltage is not None:
        said["voltage"] = f"{model.voltage:g} kV"
    if model.defoci is not None:
        low, high = model.defoci
        said["defocus"] = f"{low:g} Å" if low == high else f"{low:g} to {high:g} Å"
    said["window"] = f"{model.windows.size:g} Å"
    return said | {"right": right(model.card)}


def right(card: Mapping[str, Any]) -> str:
    """How often a model is right on what it was not trained on, by its card.

    Of a model of simulations, the share of windows of unseen seeds; of one of labelled micrographs, the recall of each
    state on unseen specimens. Cards are read with care: a bundle may be anybody's.
    """
    try:
        if card.get("kind") == "labelled micrographs":
            assessed = card["assessed"]
            of = "left-out parts of the one image" if assessed["within_one_image"] else "unseen specimens"
            known = [one for one in assessed["states"] if one["recall"] is not None]
            return ", ".join(f"{one['state']} {one['recall']:.2f}" for one in known) + f" of {of}" if known else UNKNOWN
        overall = next(row for row in card["accuracy"] if row["by"] == "all")
        chance = 1 / len(card["states"])
        return f"in {overall['accuracy']:.2f} of the windows of unseen seeds (chance {chance:.2f})"
    except (LookupError, StopIteration, TypeError, ValueError, AttributeError, ArithmeticError):
        return UNKNOWN


def table(title: str, said: Mapping[str, str]) -> str:
    """A title and rows of two columns as HTML; whatever they hold is text."""
    cells = "".join(
        f'<tr><th style="text-align:left">{_text(name)}</th><td style="text-align:left">{_text(value)}</td></tr>'
        for name, value in said.items()
    )
    return f"<table><caption><b>{_text(title)}</b></caption><tbody>{cells}</tbody></table>"


def _text(value: str) -> str:
    return escape(printable(value))
