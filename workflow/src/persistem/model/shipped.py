"""Models that come with the package, by name: the bundles in ``model/bundles/``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from persistem.errors import PersistemError
from persistem.model import bundle, summary

if TYPE_CHECKING:
    from persistem.model.classifier import Model

#: A folder for each bundle, whose name is the model's.
SHIPPED = Path(__file__).with_name("bundles")


def names() -> list[str]:
    """The names of the models that come with the package."""
    return sorted(index.parent.name for index in SHIPPED.glob(f"*/{bundle.INDEX}"))


def load(asked: str | Path) -> Model:
    """The model in a bundle folder, or of a name; a folder of that name comes first.

    Raises
    ------
    PersistemError
        if there is no such folder and no such name, or as ``persistem.model.bundle.load``.
    """
    path = Path(asked)
    # what has a folder before its name is a path, and bundle.load says what is wrong with it
    if path.exists() or len(path.parts) != 1:
        return bundle.load(path)
    _check(path.name, f"{asked}: no such folder, and")
    return bundle.load(SHIPPED / path.name)


def card(name: str) -> str:
    """The card (Markdown) of a model that comes with the package. Raises PersistemError if there is none of it."""
    _check(name, f"{name}:")
    return (SHIPPED / name / "card.md").read_text("utf-8")


def listed() -> list[str]:
    """A line for each model that comes with the package."""
    lines = [f"{name}: {summary.line(bundle.load(SHIPPED / name))}" for name in names()]
    return lines or [
        "No model comes with this version; a study with a `model` makes one: persistem new NAME --from demo"
    ]


def _check(name: str, before: str) -> None:
    if name not in names():
        known = f"whose models are {', '.join(names())}" if names() else "which has none"
        raise PersistemError(f"{before} no model that comes with the package, {known}")
