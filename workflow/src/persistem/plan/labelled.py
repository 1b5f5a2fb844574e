"""From a study's labelled micrographs to descriptions, a model and what it is worth on those that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.descriptors import windows
from persistem.labelled import describing, evaluation, fitting, mixed
from persistem.model import training
from persistem.plan.model import versions
from persistem.reading.labels.legend import legend_path
from persistem.store import paths
from persistem.store.digests import content
from persistem.study import ModelSettings
from persistem.study.checks_model import SIMULATED
from persistem.study.fields import part

if TYPE_CHECKING:
    from persistem.plan.plan import Plan

#: The settings that a description sees, and those that the training sees.
DESCRIBED = ("windows", "step")
TRAINED = tuple(key for key in ModelSettings.model_fields if key not in ("step", *SIMULATED))


@dataclass(frozen=True)
class LabelledPlan:
    """What is made of labelled micrographs; empty if the study has none."""

    #: The micrograph's file, and its description, by the micrograph's name.
    files: dict[str, str] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    #: The page on micrographs that the model has not seen.
    unseen: str = ""


def plan_labelled(plan: Plan, simulated: dict[str, Any] | None = None) -> tuple[LabelledPlan, str, dict[str, Any]]:
    """Add the steps of labelled micrographs to a plan; also the digest and the settings of their model.

    With ``simulated``, the settings of a model of simulations, one model learns from both.

    A micrograph and its labels are known by their contents. Labels have no part in a description, so another stroke
    describes nothing again.
    """
    study = plan.study
    assert study.model is not None
    if simulated is None:
        blocks, described = evaluation.described_blocks(study.model), part(study.model, DESCRIBED)
    else:  # as simulated micrographs are
        blocks, described = training.described_blocks(study.model), part(study.model, ("windows",))
        described["step"] = study.model.stride
    made = LabelledPlan()
    sources, known, digests = [], [], []
    for entry in study.labelled:
        name = paths.micrograph_id(entry.path, made.files)
        asked = described | part(entry, ("pixel_size", "grey")) | {"blocks": blocks}
        image = content(Path(entry.path))
        digest = plan.add("descriptions", describing.VERSION, asked, path=image, windows_version=windows.VERSION)
        made.files[name] = str(Path(entry.path).absolute())
        made.descriptions[name] = paths.path("descriptions", digest, micrograph=name)
        source: dict[str, Any] = {
            "path": made.descriptions[name],
            "image": made.files[name],
            "labels": str(Path(entry.labels).absolute()),
            "states": [[key, state] for key, state in (entry.states or {}).items()] or None,
            "specimen": entry.specimen or name,
            "pixel_size": entry.pixel_size,
            "grey": entry.grey,
            "sha256": {"image": image, "labels": content(Path(entry.labels))},
        }
        legend = legend_path(Path(entry.labels))
        if legend != Path(entry.labels) and legend.is_file():
            source["legend"] = str(legend.absolute())
            source["sha256"] = source["sha256"] | {"legend": content(legend)}
        sources.append(source)
        known.append({key: value for key, value in source.items() if key not in source["sha256"]})
        digests.append(digest)
    inputs = dict.fromkeys(digests)
    if simulated is not None:
        together = {"simulated": simulated, "share": study.model.share, "sources": sources}
        model = plan.add("fitted", mixed.VERSION, together, *inputs, sources=known, **versions())
        return made, model, together
    settings: dict[str, Any] = {"model": part(study.model, TRAINED), "sources": sources}
    identity = {"sources": known, "training": fitting.VERSION, **versions()}
    model = plan.add("fitted", fitting.VERSION, settings, *inputs, **identity)
    page = plan.add("unseen", evaluation.VERSION, settings | {"study": study.name}, *inputs, **identity)
    return LabelledPlan(made.files, made.descriptions, paths.path("unseen", page)), model, settings
