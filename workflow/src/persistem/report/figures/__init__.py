"""The paper's figures for any study, one module each, ``figure_1`` … ``figure_8``; and the evaluation's figures.

A module has ``TITLE``, ``ABOUT`` (what the figure shows, which figure of the paper it answers, and what differs), a
``VERSION`` to bump when the figure changes for the same study, and ``draw(settings, root)``, which returns a
``drawing.Drawing`` or raises ``drawing.CannotDraw`` with the reason.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

#: The paper's figures, by the names in files and verbs.
FIGURES = tuple(f"figure-{k}" for k in range(1, 9))
#: Figures of a study with an evaluation: what the accuracy means. Equal density, a control, comes first: how much the
#: states differ in density is decided by how large a cell is simulated and for how long.
EVALUATION_FIGURES = ("controls", "leak", "baselines", "curves", "calibration", "multiverse", "robustness", "defocus")
#: Figures of a multiverse whose answers are taken together.
JOINT_FIGURES = ("compatibility", "effects", "protocols")
#: Figures of a study with composites: what the maps of its model are worth.
TRIAL_FIGURES = ("composites",)


def module(name: str) -> ModuleType:
    """The module of a figure."""
    return import_module(f"persistem.report.figures.{name.replace('-', '_')}")
