"""From a study to its model: the micrographs that train it; other thicknesses come from variants of the study."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.descriptors import windows
from persistem.imaging import micrographs, varied
from persistem.learning import accuracy as learning
from persistem.learning import validation
from persistem.model import bundle, training
from persistem.store import paths
from persistem.study import ModelSettings
from persistem.study.fields import part
from persistem.study.members import states_of
from persistem.study.variants import FURTHER, one_state, plain, variant

if TYPE_CHECKING:
    from persistem.plan.plan import Plan
    from persistem.study import Imaging, Study

#: The lens, and how its defocus is counted; the micrographs hold the rest of the imaging.
MICROSCOPE = tuple(key for key in micrographs.KEYS if key not in ("field", "thickness", "pixels", "margin"))

#: The settings that the training sees; the step is for the maps.
TRAINED = tuple(key for key in ModelSettings.model_fields if key != "step")


@dataclass(frozen=True)
class ModelPlan:
    """The model of a study and what it is trained from; without a digest if the study has none."""

    digest: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    #: The stage that trains it: on simulated micrographs, or on labelled ones.
    stage: str = "models"

    @property
    def index(self) -> str:
        """The bundle's index."""
        return paths.path(self.stage, self.digest) if self.digest else ""

    @property
    def files(self) -> list[str]:
        """Every file of the bundle."""
        return [str(Path(self.index).with_name(name)) for name in bundle.FILES] if self.index else []

    def of(self, plan: Plan, asked: ModelSettings, defocus: float | None = None) -> str:
        """Add the step of another model, trained from the same micrographs; return the index of its bundle.

        With a ``defocus`` it is trained from those that are nearest to it alone.
        """
        sources = self.settings["sources"]
        if defocus is not None:
            nearest = min((source["defocus"] for source in sources), key=lambda value: abs(value - defocus))
            sources = [source for source in sources if source["defocus"] == nearest]
        return paths.path("models", _trained(plan, self.settings | {"model": part(asked, TRAINED), "sources": sources}))


def plan_model(plan: Plan) -> ModelPlan:
    """Add the steps of the model to a plan, if the study has one."""
    if plan.study.model is None:
        return ModelPlan()
    settings = model_settings(plan)
    return ModelPlan(_trained(plan, settings), settings)


def model_settings(plan: Plan) -> dict[str, Any]:
    """What a model of simulations is trained from; adds the steps that make its micrographs."""
    study = plan.study
    assert study.model is not None
    kept = {seed for splice in study.truth.splices for seed in splice.seeds} if study.truth else set()
    return {
        "states": states_of(study),
        "model": part(study.model, TRAINED),
        "imaging": part(study.imaging, MICROSCOPE),
        "material": _material(study),
        "preparation": study.preparation.method,
        "sources": _varied(plan, kept)
        if study.model.conditions is not None
        else [
            *(source for each in _thicknesses(plan) for source in _sources(each, kept)),
            *(source | {"spread": True} for each in _spread(plan) for source in _sources(each, kept)),
        ],
    }


def _trained(plan: Plan, settings: dict[str, Any]) -> str:
    return plan.add("models", training.VERSION, settings, **versions())


def versions() -> dict[str, int]:
    """The versions of what a model does itself: it describes windows and classifies them."""
    return {"classifiers": learning.VERSION, "validation": validation.SHARED_VERSION, "windows": windows.VERSION}


def _thicknesses(plan: Plan) -> list[Plan]:
    """A plan for each training thickness: the study's own, or a variant's."""
    assert plan.study.model is not None
    if not plan.study.model.thicknesses:
        return [plan]
    study = plain(plan.study, "model")
    plans = []
    for k, thickness in enumerate(plan.study.model.thicknesses):
        if thickness == plan.study.imaging.thickness:
            plans.append(plan)
            continue
        plans.append(plan.variant(variant(study, {"imaging.thickness": thickness}, f"model.thicknesses[{k}]")))
    return plans


def _spread(plan: Plan) -> list[Plan]:
    """A plan for each further condition, of the specimens of one state."""
    assert plan.study.model is not None
    plans = []
    for k, spread in enumerate(plan.study.model.spread):
        where = f"model.spread[{k}]"
        other = variant(plan.study, FURTHER | spread.settings, where)
        plans.append(plan.variant(one_state(other, spread.state, where)))
    return plans


def _sources(plan: Plan, kept: set[int]) -> list[dict[str, Any]]:
    """Every micrograph of a classified specimen, without the seeds ``kept`` for composites."""
    return [
        record
        | {
            "thickness": plan.study.imaging.thickness,
            "defocus": value,
            "path": paths.path("micrographs", plan.digest("micrographs", record["specimen"]), record["specimen"], name),
            "summary": plan.summary(record["specimen"]),
        }
        for record in plan.records()
        if kept.isdisjoint(record["seeds"])
        for name, value in plan.defoci.items()
    ]


def _varied(plan: Plan, kept: set[int]) -> list[dict[str, Any]]:
    """A file of micrographs for each exit wave of a classified specimen, and the conditions they are taken under.

    Exit waves differ in thickness and tilt, so each has settings of its own. The conditions are drawn for each seed,
    the same for all its states: where each state has its own, they tell a model which specimen it sees.
    """
    study = plan.study
    assert study.model is not None and study.model.conditions is not None
    asked = study.model.conditions
    if (thickness := asked.span("thickness")) is not None:  # refused here and not after its molecular dynamics
        variant(study, FURTHER | {"imaging.thickness": thickness[1]}, "model.conditions.thickness")
    sources = []
    for record in plan.records():
        if not kept.isdisjoint(record["seeds"]):
            continue
        conditions = varied.drawn(asked, record["seeds"])
        for wave in range(asked.waves):
            own = [condition for condition in conditions if condition["wave"] == wave]
            imaging = varied.of_wave(study.imaging, own[0])
            exit_wave = plan.add_wave(imaging, plan.digest("prepared", record["specimen"]))
            digest = varied_step(plan, imaging, own, exit_wave)
            sources.append(
                record
                | {
                    "thickness": imaging.thickness,
                    "conditions": own,
                    "path": paths.path("varied", digest, record["specimen"]),
                    "summary": plan.summary(record["specimen"]),
                }
            )
    return sources


def varied_step(plan: Plan, imaging: Imaging, conditions: list[dict[str, Any]], wave: str) -> str:
    """Add the step that images the exit wave of a digest under conditions; its digest."""
    told = {"imaging": part(imaging, micrographs.KEYS), "conditions": conditions}
    return plan.add("varied", varied.VERSION, told, wave, lens=micrographs.VERSION, **plan.device)


def _material(study: Study) -> str:
    """The material in words, for the model's card."""
    if study.structures:
        return "own structures"
    return study.material.file or study.material.crystal.formula
