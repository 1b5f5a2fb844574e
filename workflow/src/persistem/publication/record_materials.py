"""The dated record of several materials: what persistence knows of amorphous and liquid beside density."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.optics import focused
from persistem.learning.intervals import change, seed_means, summary
from persistem.learning.models import decisions
from persistem.learning.rows import read_described, representative
from persistem.learning.splits import Split
from persistem.learning.validation import CropLabels
from persistem.plan.plan import Plan
from persistem.publication.material_states import beside, read_published, states_of_material, table
from persistem.publication.record import bullets, fold, shrink
from persistem.report.figures import materials as figure
from persistem.report.figures.baselines import changed, listed, said
from persistem.report.tables import markdown
from persistem.store.files import atomic, read_json
from persistem.study.load import load_study

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.learning.intervals import Change
    from persistem.learning.rows import Described

#: The controls that are compared.
AS_IS, EQUAL = "as simulated", "equal density"
#: Rows by how they are called on the page: name and task.
ROWS = {
    "contrast": ("standard deviation", "absolute"),
    "spectrum": ("spectrum", "contrast removed"),
    "persistence": ("persistence", "contrast removed"),
    "all": ("all together", "absolute"),
}
#: What of these judges the states of another material: what has the contrast removed.
JUDGES = ("spectrum", "persistence")
#: Whether features are standardised within each material, by how it is called on the page.
SCALES = {"as trained": False, "own scale": True}
FOCI = {"in-focus": "in focus", "all": "all foci"}
#: Published values of the states of materials, beside the page.
PUBLISHED = "published.yaml"
#: Half the width of an interval at equal density that is aimed at.
NARROW = 0.05


@dataclass(frozen=True)
class Material:
    """A finished study: its matter with its name, its controls with results and sources, and where its files are."""

    name: str
    plan: Plan
    root: Path
    settings: dict[str, Any]
    controls: dict[str, dict[str, Any]]

    def accuracy(self, control: str, row: str, size: int, foci: str) -> dict[str, Any] | None:
        """The line of a row for crops of a size (px), at foci ``all`` or ``in-focus``; None if there is none."""
        of = self.controls[control]
        narrow = focused(of["defoci"], self.settings["in_focus"]).all()
        if narrow and foci == "all":
            return None
        name, task = ROWS[row]
        wanted = {"row": name, "task": task, "size": size, "foci": "all" if narrow else foci}
        found = [line for line in of["by_size"] if all(line[key] == value for key, value in wanted.items())]
        return found[0] if found else None

    def side(self, size: int) -> float:
        """The side of a crop in Å."""
        return size * self.plan.study.imaging.field / self.plan.study.imaging.pixels


def record_materials(studies: list[Path], docs: Path) -> None:
    """Write ``materials.md`` and ``figures/materials.png`` into ``docs``.

    ``studies`` are folders ``results/<study>`` whose controls *as simulated* and *equal density* and whose report are
    made; ``published.yaml`` in ``docs`` has published values of their states. Raises PersistemError if something is
    missing.
    """
    materials = [material_of(folder) for folder in studies]
    published = read_published(docs / PUBLISHED)
    states = {one.name: states_of_material(one.plan, one.settings, one.root) for one in materials}
    known = [
        row for one in materials for row in beside(one.name, states[one.name], published.get(one.plan.study.name, []))
    ]
    panels = [
        {"size": size, "foci": foci, "title": f"{one.side(size):g} Å, {FOCI[foci]}"}
        for one in materials[:1]
        for size in one.settings["sizes"][:2]
        for foci in ("in-focus", "all")
    ]
    drawn = figure.drawn(
        [
            {
                "material": one.name,
                "control": control,
                "densities": one.controls[control]["densities"],
                "rows": [{row: one.accuracy(control, row, p["size"], p["foci"]) for row in ROWS} for p in panels],
            }
            for one in materials
            for control in (AS_IS, EQUAL)
        ],
        [panel["title"] for panel in panels],
        list(ROWS),
    )
    (docs / "figures").mkdir(parents=True, exist_ok=True)
    drawn.savefig(docs / "figures/materials.png")
    shrink(docs / "figures/materials.png", docs / "figures/materials.png")
    crossed = [
        row for control in (AS_IS, EQUAL) for a, b in permutations(materials, 2) for row in _judged(a, b, control)
    ]
    names = [one.plan.study.name for one in materials]
    parts = [
        f"# What persistence knows beside density, in {listed([one.name for one in materials], len(materials))}",
        bullets([_finding(one) for one in materials] + [_together(materials)] + _across(crossed)),
        "![Accuracy by material, as simulated and at equal density](figures/materials.png)",
        "Amorphous or liquid, on MD seeds that were not trained on; 95 % over seeds (Student's t). Each defocus has a"
        " model of its own. *Contrast* is the standard deviation of a crop; spectrum and persistence see crops whose"
        " contrast is removed; *all* is everything together.",
        _markdown(_table(materials, panels)),
        *_widest(materials),
        *(
            [
                "## Whether a model of one material judges another",
                "Trained on all seeds of one material, in focus, and tested on those of another: accuracy with 95 %"
                " over seeds of the other. *Own scale*: the features of each material less their mean, over their"
                " deviation, which takes no label but knows that both states are there alike. Each material has the"
                " microscope of its study. Chance is 0.5.",
                _markdown([line | {scale: said(line[scale]) for scale in SCALES} for line in crossed]),
            ]
            if crossed
            else []
        ),
        "## The states",
        "Means over seeds. Neighbours are counted up to the first minimum of g(r) behind its first peak. *Quench* is"
        " the rate at which a state was last cooled; without one it was cooled at once, or not.",
        *(f"**{name}**\n\n{_markdown(table(of))}" for name, of in states.items()),
        *(["### Beside published values", _markdown(known)] if known else []),
        fold(
            "How this page was made",
            f"{', '.join(f'`snakemake controlled report --configfile config/{name}.yaml`' for name in names)}, then"
            f" `persistem record-materials {' '.join(f'results/{name}' for name in names)} --docs docs`"
            f" on {datetime.now(UTC):%Y-%m-%d}. No number is typed but those of published.yaml.",
        ),
    ]
    with atomic(docs / "materials.md") as part:
        part.write_text("\n\n".join(parts) + "\n")


def material_of(folder: Path) -> Material:
    """A finished study as a material. Raises PersistemError if its controls are not those, or not made."""
    study = folder / "study.yaml"
    if not study.is_file():
        raise PersistemError(f"{folder}: is not the folder of a study with a report; make it first: snakemake report")
    plan, root = Plan(load_study(study)), folder.absolute().parents[1]
    path = plan.evaluation.controls
    if not path or not (root / path).is_file():
        raise PersistemError(f"{folder}: has no controls; make them first: snakemake controlled")
    settings = plan.settings("controls", Path(path).parent.name)
    controls = {control["name"]: control for control in read_json(root / path)["controls"]}
    if absent := [name for name in (AS_IS, EQUAL) if name not in controls]:
        raise PersistemError(f"{folder}: has no control {absent[0]!r}; needs {AS_IS!r} and {EQUAL!r}")
    matter = plan.study.material
    formula = matter.crystal.formula if matter.file is None else "".join(matter.species)
    return Material(f"{formula} ({plan.study.name})", plan, root, settings, controls)


def _finding(one: Material) -> str:
    """What persistence keeps at equal density, in focus and on the smallest crops, and has beside the others there."""
    before, after = (_first(one, control, "persistence") for control in (AS_IS, EQUAL))
    kept = "its interval lies above chance" if _above(after) else "its interval reaches chance"
    densities = " and ".join(f"{state} {value:.2f}" for state, value in one.controls[AS_IS]["densities"].items())
    spectrum, contrast = (_cell(_first(one, EQUAL, row)) for row in ("spectrum", "contrast"))
    return (
        f"{one.name}, {densities} g/cm³, in focus, {one.side(one.settings['sizes'][0]):g} Å: persistence has"
        f" {_cell(before)}, and at equal density {_cell(after)} (change {changed(_paired(before, after))}): {kept}."
        f" There the spectrum has {spectrum} and the contrast {contrast}; persistence less the spectrum is"
        f" {changed(_beyond(one, 'persistence'))}, everything together less the spectrum"
        f" {changed(_beyond(one, 'all'))}"
    )


def _together(materials: list[Material]) -> str:
    """What persistence knows that density does not, over all materials."""
    above = [one.name for one in materials if _above(_first(one, EQUAL, "persistence"))]
    more = [one.name for one in materials if _beyond(one, "persistence").above]
    adds = [one.name for one in materials if _beyond(one, "all").above]
    told, better, added = (f"in {listed(of, len(of))}" if of else "in none" for of in (above, more, adds))
    return (
        f"what persistence knows that density does not: at equal density its interval lies above chance {told}; it has"
        f" more than the spectrum {better}, and everything together has more than the spectrum {added}"
    )


def _first(one: Material, control: str, row: str) -> dict[str, Any]:
    """The line of a row in focus, of the smallest crops."""
    line = one.accuracy(control, row, one.settings["sizes"][0], "in-focus")
    if line is None:
        raise PersistemError(f"{one.name}: {row} was not evaluated in focus")
    return line


def _above(line: dict[str, Any]) -> bool:
    return line["ci_low"] is not None and line["ci_low"] > 0.5


def _paired(before: dict[str, Any], after: dict[str, Any]) -> Change:
    """The change between two lines, seed by seed."""
    seeds = [seed for seed in before["by_seed"] if seed in after["by_seed"]]
    return change([after["by_seed"][seed] - before["by_seed"][seed] for seed in seeds])


def _beyond(one: Material, row: str) -> Change:
    """What a row has more than the spectrum at equal density."""
    return _paired(_first(one, EQUAL, "spectrum"), _first(one, EQUAL, row))


def _widest(materials: list[Material]) -> list[str]:
    """The widest interval at equal density of each material, in focus and on the smallest crops."""
    clauses = []
    for one in materials:
        lines = [line for row in ROWS if (line := _first(one, EQUAL, row))["ci_low"] is not None]
        if lines:
            half = round(max((line["ci_high"] - line["ci_low"]) / 2 for line in lines), 3)
            clauses.append(
                f"{one.name} ± {half:.3f}" + ("" if half <= NARROW else f", more than the {NARROW:g} aimed at")
            )
    return [f"Widest interval at equal density, in focus, smallest crops: {'; '.join(clauses)}."] if clauses else []


def _table(materials: list[Material], panels: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {"material": one.name, "control": control, "crops": panel["title"]}
        | {row: _cell(one.accuracy(control, row, panel["size"], panel["foci"])) for row in ROWS}
        for one in materials
        for control in one.controls
        for panel in panels
        if one.accuracy(control, "persistence", panel["size"], panel["foci"])
    ]


def _judged(a: Material, b: Material, control: str) -> list[dict[str, Any]]:
    """How a model of one material judges the states of another, row by row, on either scale."""
    if a.settings["states"] != b.settings["states"]:
        listed = " and ".join(", ".join(one.settings["states"]) for one in (a, b))
        raise PersistemError(f"{a.name} and {b.name}: have other states, {listed}")
    known, new = (_described(one, control) for one in (a, b))
    rows = []
    for row in JUDGES:
        name, task = ROWS[row]
        (asked,) = [one for one in a.settings["rows"] if (one["name"], one["task"]) == (name, task)]
        features = representative(asked, a.settings["C"], a.settings["models"])
        line: dict[str, Any] = {"trained on": a.name, "tested on": b.name, "control": control, "row": row}
        for title, own in SCALES.items():
            line[title] = summary("accuracy", "ci", judged(known, new, features, own))
        rows.append(line)
    return rows


def _across(crossed: list[dict[str, Any]]) -> list[str]:
    """Whether models of one material judge another, over all rows and both scales."""
    if not crossed:
        return []
    found = [line[scale] for line in crossed for scale in SCALES]
    better = sum(map(_above, found))
    worse = sum(one["ci_high"] is not None and one["ci_high"] < 0.5 for one in found)
    means = [one["accuracy"] for one in found]
    return [
        f"a model of one material judges another with {min(means):.2f} to {max(means):.2f}: of {len(found)} accuracies"
        f" {better} lie above chance and {worse} below, where what tells the states of one means the reverse in"
        " the other"
    ]


def judged(known: Described, new: Described, candidate: Any, own: bool) -> dict[int, float]:
    """Accuracy on each seed of ``new`` of a model trained on all crops of ``known``.

    With ``own``, features are first standardised within each of the two. Raises PersistemError if they were described
    by other numbers.
    """
    X: dict[str, NDArray[Any]] = {}
    for name in candidate.features:
        parts = [np.asarray(of.X[name], float) for of in (known, new)]
        if parts[0].shape[1] != parts[1].shape[1]:
            raise PersistemError(f"{name}: {parts[0].shape[1]} numbers in one study, {parts[1].shape[1]} in the other")
        X[name] = np.concatenate([_standardised(part) for part in parts] if own else parts)
    one, other = known.crops, new.crops
    together = CropLabels(
        np.r_[one.y, other.y],
        np.r_[one.seed, other.seed],
        np.r_[one.defocus, other.defocus],
        np.r_[one.micrograph, other.micrograph + one.micrograph.max() + 1],
        one.states,
    )
    split = Split(0, np.arange(len(one.y)), np.arange(len(one.y), len(together.y)))
    scores = decisions(X, together, split, [candidate], "pooled")[0, 0]
    return seed_means((scores.argmax(axis=1) == other.y).astype(float), other.seed)


def _standardised(values: NDArray[Any]) -> NDArray[Any]:
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1))


def _described(one: Material, control: str) -> Described:
    """The crops in focus of a control, of the first size."""
    (asked,) = [of for of in one.settings["controls"] if of["name"] == control]
    found = read_described(asked["sources"], one.settings["states"], one.root, one.settings["sizes"][0])
    kept = focused(found.crops.defocus, one.settings["in_focus"])
    X = {name: block[kept] for name, block in found.X.items()}
    return found._replace(X=X, crops=found.crops.of(kept))


def _cell(line: dict[str, Any] | None) -> str:
    return "" if line is None else said(line)


def _markdown(rows: list[dict[str, str]]) -> str:
    import pandas as pd

    return markdown(pd.DataFrame(rows))
