"""From a study to the protocols of a joint multiverse: what they share, by the answers that change it.

Diagrams are shared by protocols that agree in what is imaged and how crops are made, persistence images by those that
agree in their recipe too, and the ways to learn are few. So thousands of protocols need no more files than there are
ways to make diagrams.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from persistem.errors import PersistemError
from persistem.evaluation import compatibility, designs, protocols
from persistem.imaging import crops
from persistem.learning import accuracy as learning
from persistem.report.paper import ACCURACIES, STATES
from persistem.store import paths
from persistem.study.checks import MINIMUM_SEEDS
from persistem.study.fields import part
from persistem.study.members import states_of
from persistem.study.variants import changed_section, variant
from persistem.topology import diagrams, persistence_images, specimen_diagrams

if TYPE_CHECKING:
    from persistem.plan.plan import Plan
    from persistem.study import Multiverse, Study

WHERE = "evaluation.multiverse"
#: Sections of a study that decide what micrographs show.
IMAGED = ("material", "potential", "md", "preparation", "imaging")
#: Settings of a recipe that decide diagrams, and those that decide persistence images.
CUT = ("detector", "intensity", "inverted", "filtrations")
MESHED = ("filtrations", "bins", "sigma", "sigma_unit", "weight")
#: Settings of the learning that a design has its own of, or that decide which numbers there are.
DESIGNED = ("models", "repetitions")


class JointPlan(NamedTuple):
    """The files of a joint multiverse; empty if answers are taken one at a time."""

    protocols: str = ""
    compatibility: str = ""


def plan_joint(plan: Plan, base: Study, asked: Multiverse, recipe: str) -> JointPlan:
    """Add the steps of a joint design to a plan. ``base`` has the first ``recipe`` and the classified specimens.

    Raises PersistemError if the design, the seeds or an answer cannot be used.
    """
    _check_design(asked)
    _check_states(base)
    # the evaluation has refused states of different seeds, and fewer than three
    seeds = sorted({record["seeds"][0] for record in plan.variant(base).records()})
    searched = _searched(asked, seeds)
    changed = _changed(asked, base, recipe)
    shared = {
        "diagrams": _diagrams(plan, base, asked, recipe, changed),
        "images": {
            "factors": changed["images"],
            "by": {
                key: part(changed_section(base.features[recipe], _within(settings, "features", recipe), WHERE), MESHED)
                for key, settings in _combinations(asked, changed["images"])
            },
        },
        "learning": {
            "factors": changed["learning"],
            "by": {
                key: part(changed_section(base.learning, _within(settings, "learning"), WHERE))
                for key, settings in _combinations(asked, changed["learning"])
            },
        },
    }
    _check_effect(asked, shared)
    settings = {
        "states": states_of(base),
        "numbers": [
            {"degrees": n["degrees"], "model": n["model"], "foci": n["foci"], "accuracy": n["accuracy"]}
            for n in ACCURACIES
        ],
        "factors": [
            {"question": f.question, "answers": [f.own, *(answer.answer for answer in f.answers)]}
            for f in asked.factors
        ],
        "design": part(asked.design),
    }
    versions = {"classifiers": learning.VERSION, "images": persistence_images.VERSION}
    found = plan.add("protocols", protocols.VERSION, settings | _of(shared, searched), **versions)
    file = paths.path("protocols", found)
    confirmed = settings | _of(shared, seeds) | {"searched": searched, "protocols": file}
    judged = plan.add("compatibility", compatibility.VERSION, confirmed, evaluated=protocols.VERSION, **versions)
    return JointPlan(file, paths.path("compatibility", judged))


def _check_design(asked: Multiverse) -> None:
    """Refuse a design that is larger than its budget."""
    counts, design = _counts(asked), asked.design
    assert design.method != "one at a time"
    if not asked.factors:
        raise PersistemError(f"{WHERE}.factors: none is given, so there is nothing to combine")
    if design.method == "full":
        needed = designs.full_size(counts)
    else:
        needed = len(designs.fractional(counts, design.resolution))
    if needed > design.budget:
        fewer = "fewer answers" if design.method == "full" else "fewer answers or a lower resolution"
        raise PersistemError(
            f"{WHERE}.design.budget = {design.budget}: the {design.method} design of {len(counts)} questions has"
            f" {needed} protocols; allow as many, or give {fewer}"
        )


def _check_states(base: Study) -> None:
    if tuple(states_of(base)) != STATES:
        raise PersistemError(
            f"{WHERE}.design: protocols are compared with the paper's accuracies of {' and '.join(STATES)}; the study's"
            f" states are {', '.join(states_of(base))}"
        )
    if missing := {"LR", "SVC"} - set(base.learning.models):
        raise PersistemError(f"{WHERE}.design: the paper's accuracies need {min(missing)} in learning.models")


def _searched(asked: Multiverse, seeds: list[int]) -> list[int]:
    chosen = sorted(set(asked.seeds)) or seeds
    if missing := sorted(set(chosen) - set(seeds)):
        raise PersistemError(f"{WHERE}.seeds = {missing}: the study's states have seeds {seeds}")
    if asked.design.method == "search" and len(seeds) - len(chosen) < MINIMUM_SEEDS:
        raise PersistemError(
            f"{WHERE}.seeds = {chosen}: what a search finds is confirmed on {MINIMUM_SEEDS} other seeds or more; the"
            f" study has {seeds}"
        )
    return chosen


def _changed(asked: Multiverse, base: Study, recipe: str) -> dict[str, list[int]]:
    """The factors that change micrographs, crops, images and learning."""
    changed: dict[str, list[int]] = {name: [] for name in ("micrographs", "crops", "images", "learning")}
    for k, factor in enumerate(asked.factors):
        for answer in factor.answers:
            where = f"{WHERE}.factors[{k}] ({answer.answer})"
            variant(base, answer.settings, where)  # refused here and not after its molecular dynamics
            for key in answer.settings:
                for name in _parts(key, recipe, where):
                    if k not in changed[name]:
                        changed[name].append(k)
    return changed


def _parts(key: str, recipe: str, where: str) -> Iterator[str]:
    """What a dotted key changes."""
    head, *rest = key.split(".")
    if head in IMAGED:
        yield "micrographs"
    elif head == "crops":
        yield "crops"
    elif head == "learning" and rest and rest[0] not in DESIGNED:
        yield "learning"
    elif head == "features" and rest[:1] == [recipe] and rest[1:2] and rest[1] in {*CUT, *MESHED}:
        if rest[1] in CUT:
            yield "crops"
        if rest[1] in MESHED:
            yield "images"
    else:
        raise PersistemError(
            f"{where}: {key}: cannot differ between the protocols of a joint design; allowed are settings of"
            f" {', '.join(IMAGED)}, crops, learning (but {' and '.join(DESIGNED)}) and of features.{recipe}"
            f" ({', '.join(dict.fromkeys((*CUT, *MESHED)))})"
        )


def _diagrams(plan: Plan, base: Study, asked: Multiverse, recipe: str, changed: dict[str, list[int]]) -> dict[str, Any]:
    """The diagrams of every combination of answers that changes them."""
    cut = dict(_combinations(asked, changed["crops"]))
    studies = {key: variant(base, settings, WHERE) for key, settings in cut.items()}
    factors = sorted({*changed["micrographs"], *changed["crops"]})
    by = {}
    for imaged, settings in _combinations(asked, changed["micrographs"]):
        own = plan.variant(variant(base, settings, WHERE) if settings else base)
        for key, study in studies.items():
            chosen = dict(zip(changed["micrographs"], _numbers(imaged), strict=True))
            numbers = dict(zip(changed["crops"], _numbers(key), strict=True))
            if any(chosen[k] != numbers[k] for k in chosen.keys() & numbers.keys()):
                continue
            how = {
                "recipe": part(study.features[recipe], CUT),
                "crops": part(study.crops),
                "defoci": list(own.defoci.values()),
            }
            versions = {"cutting": crops.VERSION, "pairs": diagrams.VERSION}
            sources = []
            for record in own.records():
                name = record["specimen"]
                image = own.digest("micrographs", name)
                digest = plan.add("specimen_diagrams", specimen_diagrams.VERSION, how, image, **versions)
                path = paths.path("specimen_diagrams", digest, name)
                sources.append({"state": record["state"], "seed": record["seeds"][0], "path": path})
            label = ".".join(str((chosen | numbers)[k]) for k in factors)
            by[label] = {
                "crops": crops.number(own.study.imaging.pixels, study.crops),
                "defoci": list(own.defoci.values()),
                "sources": sources,
            }
    return {"factors": factors, "by": by}


def _combinations(asked: Multiverse, factors: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of answers to some questions, as a key, and the settings of those that are not the study's."""
    for numbers in product(*(range(1 + len(asked.factors[k].answers)) for k in factors)):
        settings: dict[str, Any] = {}
        for k, number in zip(factors, numbers, strict=True):
            if number:
                settings |= asked.factors[k].answers[number - 1].settings
        yield ".".join(map(str, numbers)), settings


def _numbers(key: str) -> list[int]:
    return [int(number) for number in key.split(".") if number]


def _within(settings: dict[str, Any], *path: str) -> dict[str, Any]:
    """The settings of a section, by the keys in it."""
    prefix = "".join(f"{name}." for name in path)
    return {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}


def _counts(asked: Multiverse) -> list[int]:
    return [1 + len(factor.answers) for factor in asked.factors]


def _check_effect(asked: Multiverse, shared: dict[str, Any]) -> None:
    """Refuse an answer that changes nothing."""
    own = (0,) * len(asked.factors)
    for k, factor in enumerate(asked.factors):
        for number, answer in enumerate(factor.answers, 1):
            other = (*own[:k], number, *own[k + 1 :])
            if all(protocols.used(shared, name, own) == protocols.used(shared, name, other) for name in shared):
                raise PersistemError(
                    f"{WHERE}.factors[{k}] ({answer.answer}): {', '.join(answer.settings)} makes no difference to the"
                    " study"
                )


def _of(shared: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
    """What protocols share, with the files of some seeds."""
    by = {
        key: one | {"sources": [source for source in one["sources"] if source["seed"] in seeds]}
        for key, one in shared["diagrams"]["by"].items()
    }
    return shared | {"diagrams": shared["diagrams"] | {"by": by}, "seeds": seeds}
