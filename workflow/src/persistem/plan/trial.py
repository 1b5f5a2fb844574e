"""From a study to the trial of its model: composites whose regions are known, their micrographs, and models to compare.

The same stages image composites as image the study's specimens, in a larger field.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.imaging import exit_waves
from persistem.imaging.optics import focal_range, underfocus
from persistem.maps import mapping
from persistem.plan.model import TRAINED
from persistem.report import overview as overview_stage
from persistem.report.figures.worth import CHOSEN
from persistem.specimens import md
from persistem.specimens.layout import Halves
from persistem.specimens.structures import known_forces
from persistem.store import paths
from persistem.store.stages import MODEL, TABLES, TRIAL
from persistem.study.fields import part
from persistem.study.members import states_of
from persistem.study.variants import specimen_alone
from persistem.trial import making, melted, splice, trial
from persistem.trial.imaging import enlarged

if TYPE_CHECKING:
    from persistem.plan.plan import Plan
    from persistem.study import Melt, ModelSettings, Splice, Stranger, Trial

#: What inner folds choose from in the models of simpler measures.
CANDIDATES: dict[str, tuple[tuple[str, ...], ...]] = {
    "plain measures": (("contrast", "low-passed", "moments"), ("contrast", "low-passed", "moments", "spectrum")),
    "low-passed SD": (("low-passed",),),
    "texture": (("texture",), ("contrast", "texture")),
    "local spectrum": (("spectrum",),),
    "local SD": (("contrast",),),
}
#: The measure that is told defocus and dose: it has a model for each.
TOLD = "low-passed SD"
#: The stages that an overview stands on; an evaluation or a report may run after it.
STANDS_ON = (*paths.of_part(TABLES), *paths.of_part(MODEL), *paths.of_part(TRIAL))


@dataclass(frozen=True)
class TrialPlan:
    """What a trial is made of; empty if the study has none."""

    judged: list[dict[str, Any]] = field(default_factory=list)
    composites: list[dict[str, Any]] = field(default_factory=list)
    overview: str = ""
    defoci: dict[str, float] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """The files that say what the maps of each model are worth."""
        return [model["path"] for model in self.judged]


def plan_trial(plan: Plan) -> TrialPlan:
    """Add the steps of the trial to a plan, if the study has one."""
    asked, model = plan.study.truth, plan.study.model
    if asked is None or model is None:
        return TrialPlan()
    planning = _Planning(plan, asked)
    shown = planning.composites()
    own = planning.own(model, shown)
    # of other sizes the overview knows nothing
    overview = planning.overview(own, shown)
    others = [planning.sized(model, size, shown) for size in sorted({*asked.sizes} - {model.windows.size})]
    return TrialPlan([*own, *others], shown, overview, {paths.defocus_id(d): d for d in asked.defoci})


def trial_figures(plan: Plan) -> dict[str, dict[str, Any]]:
    """What the figure of the composites is drawn from; empty if the study has none."""
    if plan.study.truth is None or plan.study.model is None:
        return {}
    about = {"states": states_of(plan.study), "size": plan.study.model.windows.size}
    return {"composites": about | {"judged": plan.trial.judged, "composites": plan.trial.composites}}


def pictures(plan: Plan) -> dict[str, str]:
    """The files of the figure of the composites, each with its place in the study's folder."""
    if not plan.trial.judged:
        return {}
    drawn = [Path(plan.report.figures["composites"]).with_suffix(suffix) for suffix in paths.FIGURE_SUFFIXES]
    return {str(path): paths.study_file(plan.study.name, f"truth/{path.name}") for path in drawn}


def _of(asked: Splice | Melt) -> dict[str, Any]:
    """What a composite is of."""
    return {"states": list(asked.states), "seeds": list(asked.seeds)}


class _Planning:
    """What the parts of one trial share."""

    def __init__(self, plan: Plan, asked: Trial) -> None:
        self.plan, self.asked, self.study = plan, asked, plan.study
        try:
            self.imaging = enlarged(self.study.imaging, asked.field)
        except PersistemError as error:
            raise PersistemError(f"truth.field: {error}") from error
        self.of_field = {"imaging": part(self.imaging, exit_waves.KEYS)}
        self.records = plan.records()

    def composites(self) -> list[dict[str, Any]]:
        """Every composite and stranger: name, kind, states, seeds, structure and micrographs."""
        composites = [
            self._imaged(asked.name, "splice", self._spliced(k, asked)) | _of(asked) | {"chooses": asked.chooses}
            for k, asked in enumerate(self.asked.splices)
        ]
        composites += [self._imaged(melt.name, "melt", self._molten(melt)) | _of(melt) for melt in self.asked.melts]
        composites += [self._stranger(k, stranger) for k, stranger in enumerate(self.asked.strangers)]
        return [{"chooses": False} | composite for composite in composites]

    def judged(
        self,
        model: ModelSettings,
        features: str,
        shown: list[dict[str, Any]],
        defoci: tuple[float, ...],
        doses: tuple[float, ...],
        trained_at: float | None = None,
    ) -> dict[str, Any]:
        """What the maps of a model are worth, tried at ``defoci`` and ``doses``; trained at all defoci, or at one."""
        composites = [
            {key: value for key, value in composite.items() if key != "chooses"}
            | {"micrographs": [view for view in composite["micrographs"] if view["defocus"] in defoci]}
            for composite in shown
        ]
        settings = {
            "model": self.plan.model.of(self.plan, model, trained_at),
            "asked": part(model, TRAINED),
            "states": states_of(self.study),
            "composites": composites,
            "imaging": part(self.imaging, ("field", "pixels", "voltage")),
            "doses": list(doses),
            "step": model.step,
            "whole_images": features == CHOSEN,
        }
        digest = self.plan.add("truth", trial.VERSION, settings, maps=mapping.VERSION)
        return {"size": model.windows.size, "features": features, "path": paths.path("truth", digest)}

    def own(self, model: ModelSettings, shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What maps of the model and of simpler measures are worth; of what is told defocus and dose, one for each."""
        defoci, doses = self.asked.defoci, self.asked.doses
        found = [self.judged(model, CHOSEN, shown, defoci, doses)]
        for name in self.asked.baselines:
            plain = model.model_copy(update={"candidates": CANDIDATES[name]})
            if name != TOLD:
                found.append(self.judged(plain, name, shown, defoci, doses))
                continue
            for defocus, dose in product(defoci, doses):
                # a colleague who measures the SD knows how strong the contrast of the simulation is
                one = plain.model_copy(update={"doses": (dose,), "contrast": (1.0, 1.0)})
                found.append(self.judged(one, name, shown, (defocus,), (dose,), trained_at=defocus))
        return found

    def sized(self, model: ModelSettings, size: float, shown: list[dict[str, Any]]) -> dict[str, Any]:
        """What maps with windows of another size are worth on the composites, in the first condition."""
        other = model.model_copy(update={"windows": model.windows.model_copy(update={"size": size})})
        composites = [composite for composite in shown if composite["states"]]
        return self.judged(other, CHOSEN, composites, self.asked.defoci[:1], self.asked.doses[:1])

    def overview(self, judged: list[dict[str, Any]], shown: list[dict[str, Any]]) -> str:
        """What the models of the study's own windows found; the path of the page."""
        known = [composite for composite in shown if composite["states"]]
        # of what has a model for each condition, the one in the first
        first = {record["features"]: record for record in reversed(judged)}
        settings = {
            "name": self.study.name,
            "states": states_of(self.study),
            "judged": [first[features] for features in dict.fromkeys(record["features"] for record in judged)],
            # what chose the window is not reported, unless there is nothing else
            "composites": [one for one in known if not one["chooses"]] or known,
            "samples": [self._sample(state) for state in states_of(self.study)],
            "dose": self.asked.doses[0],
            "defocus": self.asked.defoci[0],
            "specimens": [*self.plan.specimens, *(composite["name"] for composite in shown)],
            # their jobs have ended before the page says what ran
            "tables": [*self.plan.files("learning"), *map(self.plan.summary, self.plan.specimens)],
            "timed": {stage: list(self.plan.steps[stage]) for stage in STANDS_ON if self.plan.steps[stage]},
        }
        return paths.path("overview", self.plan.add("overview", overview_stage.VERSION, settings))

    def _sample(self, state: str) -> dict[str, Any]:
        """The first specimen of a state, its micrograph nearest to focus, and the summaries of all its specimens."""
        specimens = [s for s in self.plan.classified if s.state == state]
        first, focus = specimens[0].name, fmean(focal_range(self.plan.study.learning.in_focus))
        defocus = min(self.plan.defoci, key=lambda name: abs(self.plan.defoci[name] - focus))
        return {
            "state": state,
            "specimen": first,
            "path": paths.path("micrographs", self.plan.digest("micrographs", first), first, defocus),
            "summaries": [self.plan.summary(s.name) for s in specimens],
        }

    def _imaged(self, name: str, kind: str, made_of: dict[str, Any]) -> dict[str, Any]:
        """A composite and its micrographs, made by the stages that image the specimens."""
        structure = self.plan.add("composites", making.VERSION, self.of_field | made_of, splice=splice.VERSION)
        _, image = self.plan.add_images(self.imaging, structure)
        return {
            "name": name,
            "kind": kind,
            "structure": paths.path("composites", structure, name),
            "micrographs": self._views(image, name),
        }

    def _views(self, image: str, name: str) -> list[dict[str, Any]]:
        """The micrographs under a digest, one for each defocus."""
        return [
            {
                "defocus": defocus,
                "underfocus": underfocus(defocus, self.imaging.defocus_sign),
                "path": paths.path("micrographs", image, name, paths.defocus_id(defocus)),
            }
            for defocus in self.asked.defoci
        ]

    def _stranger(self, k: int, asked: Stranger) -> dict[str, Any]:
        """A crystal that fills the field, or a specimen of another study, imaged in the same field."""
        about: dict[str, Any] = {"states": [], "state": asked.state}
        if asked.settings is None:
            crystal = {"stranger": part(asked, ("crystal", "along", "strain", "displacement"))}
            return self._imaged(asked.name, "stranger", crystal) | about
        where = f"truth.strangers[{k}].settings"
        field = {f"imaging.{key}": getattr(self.imaging, key) for key in ("field", "pixels", "margin")}
        field |= {"imaging.defoci": list(self.asked.defoci)}
        other = self.plan.variant(specimen_alone(self.study, field | asked.settings, where))
        (alone,) = other.classified
        views = self._views(other.digest("micrographs", alone.name), alone.name)
        return {"name": asked.name, "kind": "stranger", "micrographs": views} | about

    def _spliced(self, k: int, asked: Splice) -> dict[str, Any]:
        """The end states of a splice, as they are imaged, and its layout."""
        specimen_of = {(record["state"], tuple(record["seeds"])): record["specimen"] for record in self.records}
        structures = []
        for state in asked.states:
            missing = [seed for seed in asked.seeds if (state, (seed,)) not in specimen_of]
            if missing:
                raise PersistemError(
                    f"truth.splices[{k}].seeds = {list(asked.seeds)}: {state} has no seed {missing[0]}"
                )
            names = [specimen_of[state, (seed,)] for seed in asked.seeds]
            structures.append([self.plan.structure(name) for name in names])
        halves = Halves(self.imaging.field / 2, asked.amplitude, asked.period, asked.vacuum)
        return {"layout": asdict(halves), "states": structures}

    def _molten(self, asked: Melt) -> dict[str, Any]:
        """The trajectories of a melt."""
        material = part(self.study.material, md.MATERIAL_KEYS) | {"repetitions": list(asked.repetitions)}
        if not material["crystal"]["cubic"]:
            material["crystal"] |= {"orthorhombic": True}
        potential = part(self.study.potential)
        protocol = part(self.study.md, (*md.KEYS, "rt"))
        check = part(self.study.md, ("temperature_tolerance",))
        melting = {"melt": part(asked, ("temperature", "density", "share"))}
        settings = {"material": material, "potential": potential, "md": protocol | check} | melting
        file = {"potential": known_forces(self.study.potential), "md": protocol}
        digest = self.plan.add("melts", melted.VERSION, settings, **file)
        return {"melts": [paths.path("melts", digest, paths.melt_id(seed)) for seed in asked.seeds]}
