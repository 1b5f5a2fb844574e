"""From a study to the maps of the user's own micrographs: one step and one job for each file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.descriptors import windows
from persistem.maps import mapping
from persistem.model import bundle
from persistem.store import paths
from persistem.store.digests import content
from persistem.study import ModelSettings
from persistem.study.fields import part

if TYPE_CHECKING:
    from persistem.plan.plan import Plan


@dataclass(frozen=True)
class MapsPlan:
    """The maps of a study, by the name of the micrograph; empty if the study has no micrographs."""

    #: The files of the model that makes them.
    bundle: tuple[str, ...] = ()
    #: The micrograph's file; the folder of its map under its digest, and in the study's folder.
    files: dict[str, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)


def plan_maps(plan: Plan) -> MapsPlan:
    """Add a step for each of a study's own micrographs to a plan.

    A micrograph is known by its content, and so is a finished model: its index holds the checksums of its other files.
    """
    study = plan.study
    if not study.micrographs:
        return MapsPlan()
    settings: dict[str, Any] = {"step": (study.model or ModelSettings()).step}
    identity: dict[str, Any] = {"windows": windows.VERSION, "page": mapping.PAGE}
    if study.map_with is None:
        files, inputs = plan.model.files, [plan.model.digest]
    else:
        # absolute, because a Snakemake module's prefix must not move them
        files, inputs = [str(Path(study.map_with, name).absolute()) for name in bundle.FILES], []
        settings["bundle"] = study.map_with
        identity["bundle"] = content(Path(study.map_with, bundle.INDEX))
    maps = MapsPlan(tuple(files))
    for micrograph in study.micrographs:
        name = paths.micrograph_id(micrograph.path, maps.files)
        known = identity | {"path": content(Path(micrograph.path))}
        digest = plan.add("maps", mapping.VERSION, settings | part(micrograph), *inputs, **known)
        maps.files[name] = str(Path(micrograph.path).absolute())
        maps.folders[name] = paths.path("maps", digest, micrograph=name)
        maps.shown[name] = paths.map_folder(study.name, name)
    return maps
