"""A robustness sweep of many conditions against the bare sum of their imaging, diagrams and descriptors.

A is ``persistem sweep``: one process from exit waves to accuracies, its imports, files and classifications included. B
is the time inside the calls that image a wave, compute the diagrams of its crops and turn them into descriptors, each
done once for every wave and condition that needs it. ``--root`` is a folder that holds the exit waves of ``--study``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from measure import ROOT, run, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds results/")
    parser.add_argument("--study", type=Path, default=ROOT / "config/extended.yaml", help="study with a sweep of doses")
    parser.add_argument("--conditions", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each state that are imaged")
    options = parser.parse_args()
    settings = conditions(options.study, options.conditions, options.seeds)
    with tempfile.TemporaryDirectory() as folder:
        protocol = Path(folder) / "sweep.yaml"
        protocol.write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "persistem", "sweep", f"{folder}/sweep.json", "--root", options.root.resolve()]
        child = run([*command, "--protocol", protocol], Path(folder), Path(folder) / "sweep.log", threads=1)
    bare = by_hand(settings, options.root)
    count = len(settings["conditions"])
    rows: list[list[object]] = [["", "CPU s", "CPU s a condition"]]
    rows += [["persistem sweep", child.cpu, child.cpu / count], ["bare", bare, bare / count]]
    rows += [["ratio", child.cpu / bare, ""]]
    table(rows)


def conditions(study: Path, count: int, seeds: int) -> dict[str, Any]:
    """The settings of the study's first sweep with ``count`` doses from 50 to 50,000 e/Å² and the first seeds alone."""
    from persistem.plan.plan import Plan
    from persistem.study.load import load_study

    plan = Plan(load_study(study))
    settings: dict[str, Any] = next(iter(plan.steps["sweeps"].values())).settings
    first = settings["conditions"][settings["base"]]
    waves = [wave for wave in first["waves"] if wave["seeds"][0] <= seeds]
    doses = [50 * 1000 ** (k / (count - 1)) for k in range(count)]
    listed = [
        first
        | {"value": dose, "waves": waves}
        | {"describing": first["describing"] | {"detector": first["describing"]["detector"] | {"dose": dose}}}
        for dose in doses
    ]
    return settings | {"conditions": listed, "base": count - 1}


def by_hand(settings: dict[str, Any], root: Path) -> float:
    """CPU seconds inside imaging, diagrams and descriptors."""
    from persistem.descriptors.crops import describe_micrograph
    from persistem.imaging.micrographs import intensity
    from persistem.study import Describing, Imaging

    spent = 0.0
    only = {name for row in settings["rows"] for name in row["blocks"][-1]}
    first = settings["conditions"][0]
    imaging = Imaging.model_validate(first["imaging"])
    describing = [Describing.model_validate(condition["describing"]) for condition in settings["conditions"]]
    warm = True
    for wave in first["waves"]:
        start = time.process_time()
        image = intensity(root / wave["path"], imaging, first["defocus"])
        if warm:  # imports, and the first call of every library, are not what is measured here
            describe_micrograph(image, imaging.field / imaging.pixels, describing[0], first["size"], only)
            start, warm = time.process_time(), False
            image = intensity(root / wave["path"], imaging, first["defocus"])
        for one in describing:
            describe_micrograph(image, imaging.field / imaging.pixels, one, first["size"], only)
        spent += time.process_time() - start
    return spent


if __name__ == "__main__":
    main()
