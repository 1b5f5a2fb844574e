"""From a study to its evaluation: descriptors, and the studies that differ from it in one respect.

Alternatives, controls and conditions are variants of the study. Their plans add steps to the study's own plan, so they
share every digest that their settings leave alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.descriptors import crops as descriptors
from persistem.errors import PersistemError
from persistem.evaluation import controls, evaluate, sweeps
from persistem.imaging import crops, micrographs
from persistem.learning import accuracy as learning
from persistem.learning import validation
from persistem.plan.multiverse import JointPlan, plan_joint
from persistem.report.figures import EVALUATION_FIGURES, JOINT_FIGURES
from persistem.store import paths
from persistem.study.checks import MINIMUM_SEEDS
from persistem.study.fields import part
from persistem.study.members import states_of
from persistem.study.variants import plain, variant, with_seeds
from persistem.topology import persistence_images

if TYPE_CHECKING:
    from persistem.plan.plan import Plan
    from persistem.study import Control, Evaluation, Study


@dataclass(frozen=True)
class EvaluationPlan:
    """The files of an evaluation; parts that the study does not ask for are empty."""

    evaluation: str = ""
    controls: str = ""
    sweeps: dict[str, str] = field(default_factory=dict)
    multiverse: list[dict[str, Any]] = field(default_factory=list)
    joint: JointPlan = field(default_factory=JointPlan)
    descriptors: list[str] = field(default_factory=list)


def plan_evaluation(plan: Plan) -> EvaluationPlan:
    """Add the steps of the evaluation to a plan, if the study has one."""
    asked = plan.study.evaluation
    if asked is None:
        return EvaluationPlan()
    planning = _Planning(plan, asked)
    return EvaluationPlan(
        planning.evaluation(),
        planning.controls() if asked.controls else "",
        {sweep.name: planning.sweep(k) for k, sweep in enumerate(asked.sweeps)},
        planning.multiverse() if asked.multiverse.factors and planning.one_at_a_time else [],
        JointPlan() if planning.one_at_a_time else planning.joint(),
        [source["path"] for source in planning.sources],
    )


def evaluation_figures(plan: Plan) -> dict[str, dict[str, Any]]:
    """What each figure of the evaluation is drawn from, by name; empty if the study has no evaluation."""
    asked, evaluated = plan.study.evaluation, plan.evaluation
    if asked is None:
        return {}
    settings: dict[str, dict[str, Any]] = {name: {"evaluation": evaluated.evaluation} for name in EVALUATION_FIGURES}
    settings["multiverse"] = {
        "states": states_of(plan.study),
        "test_fraction": plan.study.learning.test_fraction,
        "alternatives": evaluated.multiverse,
    }
    if not evaluated.multiverse:
        settings |= _joint_figures(plan)
    about = {control.name: control.about for control in asked.controls}
    tested = [{"row": row.name, "task": row.task} for row in asked.rows if row.main]
    settings["controls"] = {"controls": evaluated.controls or None, "about": about, "tested": tested}
    settings["robustness"]["sweeps"] = [
        {"path": evaluated.sweeps[sweep.name], "title": sweep.title, "axis": sweep.axis} for sweep in asked.sweeps
    ]
    return settings


def _joint_figures(plan: Plan) -> dict[str, dict[str, Any]]:
    """What the figures of a joint multiverse are drawn from; none if the study has none."""
    joint = plan.evaluation.joint
    if not joint.protocols:
        return {}
    known = plan.settings("protocols", Path(joint.protocols).parent.name)
    shared = {key: known[key] for key in ("factors", "numbers")}
    shared |= {"protocols": joint.protocols, "method": known["design"]["method"]}
    drawn = {name: shared for name in JOINT_FIGURES}
    drawn["effects"] = shared | {key: value for key, value in known["design"].items() if key == "resolution"}
    return drawn | {"compatibility": {"compatibility": joint.compatibility}}


class _Planning:
    """What the parts of one evaluation share."""

    def __init__(self, plan: Plan, asked: Evaluation) -> None:
        self.plan, self.asked, self.study = plan, asked, plan.study
        self.plain = plain(self.study, "evaluation")
        self.one_at_a_time = asked.multiverse.design.method == "one at a time"
        self.describing = part(asked.describing)
        self.sources = self._described(plan, self.describing)
        self.common: dict[str, Any] = {
            "states": states_of(self.study),
            "rows": [row.model_dump(mode="json") for row in asked.rows],
            "C": list(asked.C),
            "models": list(asked.models),
            "in_focus": self.study.learning.in_focus,
        }

    def evaluation(self) -> str:
        """The evaluation of the study itself."""
        settings = self.common | {
            "sizes": list(self.asked.describing.sizes),
            "pixel_size_A": self.study.imaging.field / self.study.imaging.pixels,
            "permutations": self.asked.permutations,
            "draws": self.asked.draws,
            "sources": [{key: s[key] for key in ("specimen", "state", "seeds", "path")} for s in self.sources],
            "learning": part(self.study.learning),
            "recipes": {name: self._images(name) for name in self.study.features},
        }
        return paths.path("evaluation", self.plan.add("evaluation", evaluate.VERSION, settings, **_classifying()))

    def controls(self) -> str:
        """The controls; the first is the study as it is."""
        listed = [
            {"name": control.name, "sources": self._controlled(k, control, self.describing)}
            for k, control in enumerate(self.asked.controls)
        ]
        settings = self.common | {
            "sizes": list(self.asked.describing.sizes),
            "controls": listed,
            "permutations": self.asked.permutations,
        }
        return paths.path("controls", self.plan.add("controls", controls.VERSION, settings, **_classifying()))

    def sweep(self, k: int) -> str:
        """One sweep: the exit waves, lens and detector of each of its conditions."""
        sweep = self.asked.sweeps[k]
        where = f"evaluation.sweeps[{k}] ({sweep.name})"
        rows = [row for row in self.common["rows"] if row["main"]]
        if not rows:
            raise PersistemError(f"{where}: shows the main rows, but none of evaluation.rows has main = true")
        conditions = []
        for value in sweep.values:
            changes = {**sweep.settings, sweep.key: value}
            evaluation = {key: v for key, v in changes.items() if key.startswith("evaluation.")}
            described = variant(self.study, evaluation, where) if evaluation else self.study
            if described.evaluation is None:
                raise PersistemError(f"{where}: {sweep.key} leaves no evaluation")
            others = {key: v for key, v in changes.items() if key not in evaluation}
            plan = self.plan.variant(variant(self.plain, others, where))
            self._check_states(plan.study, where)
            describing = described.evaluation.describing
            conditions.append(
                {
                    "value": value,
                    "imaging": part(plan.study.imaging, micrographs.KEYS),
                    "describing": part(describing, ("detector", "bands", "images", "contrast")),
                    "size": describing.sizes[0],
                    "defocus": described.evaluation.focus,
                    "waves": [record | {"path": _path(plan, "exit_waves", record)} for record in plan.records()],
                }
            )
        for condition in conditions:
            same = [other["value"] for other in conditions if condition | {"value": other["value"]} == other]
            if len(same) > 1:
                raise PersistemError(f"{where}: {sweep.key} = {same[0]!r} and {same[1]!r} make no difference")
        group = sweeps.grouped(conditions)
        for condition in conditions:
            self._check_seeds([(w["state"], group[w["seeds"][0]]) for w in condition["waves"]], where)
        settings = self.common | {"sweep": sweep.name, "base": sweep.base, "rows": rows, "conditions": conditions}
        # a sweep images and describes crops itself
        versions = {"images": micrographs.VERSION, "descriptors": descriptors.VERSION} | _classifying()
        for condition in conditions:
            versions |= _describing(condition["describing"])
        return paths.path("sweeps", self.plan.add("sweeps", sweeps.VERSION, settings, **versions))

    def multiverse(self) -> list[dict[str, Any]]:
        """The accuracy tables of the study and of each alternative, with the first recipe."""
        name = next(iter(self.study.features))
        asked = self.asked.multiverse
        where = "evaluation.multiverse"
        recipe = self.study.features[name].model_dump(mode="json", exclude_unset=True)
        base = variant(with_seeds(self.plain, asked.seeds, where), {"features": {name: recipe}}, where)
        as_it_is, specimens = self._accuracy(base, name, where)
        listed = [_listed("as it is", "the study", True, as_it_is, True)]
        for k, factor in enumerate(asked.factors):
            for answer in factor.answers:
                here = f"{where}.factors[{k}] ({answer.answer})"
                accuracy, others = self._accuracy(variant(base, answer.settings, here), name, here)
                if accuracy == as_it_is:
                    raise PersistemError(f"{here}: {', '.join(answer.settings)} makes no difference to the study")
                listed.append(_listed(factor.question, answer.answer, False, accuracy, others == specimens))
        return listed

    def joint(self) -> JointPlan:
        """The protocols of a joint design, and how compatible those nearest to the paper are with it."""
        name = next(iter(self.study.features))
        recipe = self.study.features[name].model_dump(mode="json", exclude_unset=True)
        base = variant(self.plain, {"features": {name: recipe}}, "evaluation.multiverse")
        return plan_joint(self.plan, base, self.asked.multiverse, name)

    def _accuracy(self, study: Study, recipe: str, where: str) -> tuple[str, list[str]]:
        """The accuracy table of a variant, and the digests of its specimens."""
        plan = self.plan.variant(study, learned=True)
        if recipe not in plan.learning:
            raise PersistemError(
                f"{where}: needs the recipe {recipe} and two states; there are recipes {', '.join(study.features)} and"
                f" states {', '.join(states_of(study))}"
            )
        return paths.path("learning", plan.learning[recipe]), [
            plan.digest("specimens", s.name) for s in plan.classified
        ]

    def _controlled(self, k: int, control: Control, describing: dict[str, Any]) -> list[dict[str, Any]]:
        where = f"evaluation.controls[{k}] ({control.name})"
        if unknown := sorted(set(control.states) - set(self.common["states"])):
            raise PersistemError(f"{where}: no state {unknown[0]!r}; there are {', '.join(self.common['states'])}")
        changed = variant(with_seeds(self.plain, control.seeds, where), control.settings, where)
        asked = self.asked.model_dump(mode="json", include={"rows", "C", "models"}) | {"describing": describing}
        sources, defoci = [], {}
        for state in self.common["states"]:
            study = variant(changed, control.states.get(state, {}), where)
            self._check_states(study, where)
            variant(study, {"evaluation": asked}, where)  # refused here and not after its molecular dynamics
            plan = self.plan.variant(study)
            sources += [s for s in self._described(plan, describing) if s["state"] == state]
            defoci[state] = sorted(plan.defoci.values())
        if any(values != defoci[state] for values in defoci.values()):
            raise PersistemError(
                f"{where}: imaging.defoci differ between states; all need the same: {_by_state(defoci)}"
            )
        units = [tuple(s["seeds"]) if len(s["seeds"]) > 1 else s["seeds"][0] for s in sources]
        self._check_seeds([(s["state"], unit) for s, unit in zip(sources, units, strict=True)], where)
        return sources

    def _check_states(self, study: Study, where: str) -> None:
        states = states_of(study)
        if set(states) != set(self.common["states"]):
            raise PersistemError(
                f"{where}: its states are {', '.join(states)}; they must be the study's,"
                f" {', '.join(self.common['states'])}"
            )

    def _check_seeds(self, pairs: list[tuple[str, Any]], where: str) -> None:
        """Refuse states with too few or different seeds; each of ``pairs`` is a state and a seed or group of seeds."""
        seeds_of = {state: sorted({seed for of, seed in pairs if of == state}) for state in self.common["states"]}
        first, *_ = seeds_of.values()
        if len(first) < MINIMUM_SEEDS or any(seeds != first for seeds in seeds_of.values()):
            raise PersistemError(
                f"{where}: needs {MINIMUM_SEEDS} seeds, or stacks that share none, or more, the same of every state;"
                f" there are {_by_state(seeds_of)}"
            )

    def _described(self, plan: Plan, describing: dict[str, Any]) -> list[dict[str, Any]]:
        """The descriptors of every classified specimen of a plan."""
        described = []
        for record in plan.records():
            name = record["specimen"]
            image = plan.digest("micrographs", name)
            settings = {"defoci": list(plan.defoci.values()), "describing": describing}
            digest = self.plan.add("descriptors", descriptors.VERSION, settings, image, **_describing(describing))
            path = paths.path("descriptors", digest, name)
            described.append(record | {"path": path, "summary": plan.summary(name)})
        return described

    def _images(self, recipe: str) -> list[dict[str, Any]]:
        """A recipe's persistence images of every micrograph."""
        return [
            record | {"defocus": value, "path": _path(self.plan, "persistence_images", record, recipe, name)}
            for record in self.plan.records()
            for name, value in self.plan.defoci.items()
        ]


def _describing(describing: dict[str, Any]) -> dict[str, int]:
    """Versions in the digest of descriptors, which cut crops, count and make persistence images themselves."""
    counting = {} if describing["detector"]["dose"] is None else {"counting": descriptors.COUNTING}
    return {"crops": crops.VERSION, "persistence_images": persistence_images.VERSION} | counting


def _classifying() -> dict[str, int]:
    """Versions in the digest of accuracies."""
    return {"classifiers": learning.VERSION, "validation": validation.SHARED_VERSION}


def _by_state(lists: dict[str, list[Any]]) -> str:
    return "; ".join(f"{state}: {values}" for state, values in lists.items())


def _path(plan: Plan, stage: str, record: dict[str, Any], recipe: str = "", defocus: str = "") -> str:
    return paths.path(stage, plan.digest(stage, record["specimen"], recipe), record["specimen"], defocus)


def _listed(question: str, answer: str, default: bool, accuracy: str, same: bool) -> dict[str, Any]:
    return {"question": question, "answer": answer, "default": default, "accuracy": accuracy, "same_specimens": same}
