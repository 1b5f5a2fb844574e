"""The verbs of composites, whose regions are known: their specimens, and what a model's maps of them are worth.

The first line of each docstring is the verb's help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from persistem.study.settings import given, sections


def melt(protocol: dict[str, Any], seed: int, out: Path) -> None:
    """melt and quench a part of a crystal beside the rest by molecular dynamics (LAMMPS), under mpiexec"""
    from persistem.study import Material, MolecularDynamics, Potential
    from persistem.trial import melted

    asked = given(protocol)["melt"]
    rest = {key: value for key, value in protocol.items() if key != "melt"}
    study = sections(rest, material=Material, potential=Potential, md=MolecularDynamics)
    melted.melt_half(
        study["material"],
        study["potential"],
        study["md"],
        asked["temperature"],
        asked["density"],
        seed,
        out,
        asked["share"],
    )


def composite(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """put a composite together from end states or half-melted crystals, and write what is where in it"""
    from persistem.trial.making import make

    make(given(protocol), root, out)


def judge(protocol: dict[str, Any], out: Path, root: Path, jobs: int) -> None:
    """map composites, vacuum and foreign crystals with a model, and compare the maps with the truth"""
    from persistem.trial.judging import judge

    judge(given(protocol), root, out, jobs)


def publish_truth(study: str, root: Path) -> None:
    """copy the figure of the composites into results/<study>/truth/"""
    from persistem.commands.stages import plan_of
    from persistem.publication.publish import publish_truth

    publish_truth(plan_of(study), root)


def record_maps(study: Path, docs: Path) -> None:
    """write the dated record of a study's composites and model, docs/maps.md and its figure"""
    from persistem.publication.record_maps import record_maps

    record_maps(study, docs)
