"""What the model that comes with the package is worth on composites whose regions are known.

Composites of `config/trial.yaml` of seeds that did not train the model, and strangers that need no molecular dynamics,
are imaged in a folder with the finished specimens of these seeds; maps of the model are compared with the truth. The
record of the whole trial (docs/maps.md) has models of its own, half-melted crystals and simpler measures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from measure import ROOT, SNAKEMAKE, run, table

sys.path.insert(0, str(ROOT / "workflow/src"))
from persistem.learning.intervals import interval
from persistem.model import bundle
from persistem.model.shipped import SHIPPED
from persistem.plan.plan import Plan
from persistem.report.figures.worth import CHOSEN
from persistem.store import paths
from persistem.study.load import load_study
from persistem.trial.trial import trial_file

NAME = "gan-200kV"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder whose results/ has the finished specimens")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7, 8, 9, 10], help="of the composites")
    options = parser.parse_args()
    study = options.root / "shipped.yaml"
    study.write_text(yaml.safe_dump(trial_of(options.seeds), sort_keys=False))
    plan = Plan(load_study(study))
    (judged,) = [m for m in plan.trial.judged if m["features"] == CHOSEN and m["size"] == plan.study.model.windows.size]
    settings = plan.settings("truth", Path(judged["path"]).parent.name)
    wanted = [composite["structure"] for composite in settings["composites"]]
    wanted += [view["path"] for composite in settings["composites"] for view in composite["micrographs"]]
    snakemake = [*SNAKEMAKE, *wanted, "--cores", "2", "-s", ROOT / "Snakefile", "--configfile", study.resolve()]
    run(snakemake, options.root, options.root / "shipped.log")

    settings["model"] = str(SHIPPED / NAME / bundle.INDEX)
    out = options.root / paths.RESULTS / "shipped.json"
    with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
        trial_file(settings, options.root, out, 2)
    shown(json.loads(out.read_text())["scores"])


def trial_of(seeds: list[int]) -> dict[str, Any]:
    """The study of the trial, with the composites of these seeds and without other molecular dynamics."""
    trial: dict[str, Any] = yaml.safe_load((ROOT / "config/trial.yaml").read_text()) | {"name": "shipped"}
    truth = trial["truth"]
    splices = [splice for splice in truth["splices"] if {*splice["seeds"]} <= {*seeds}]
    truth["splices"] = [{key: value for key, value in splice.items() if key != "chooses"} for splice in splices]
    truth["melts"], truth["sizes"] = [], []
    truth["strangers"] = [stranger for stranger in truth["strangers"] if "settings" not in stranger]
    return trial


def shown(scores: list[dict[str, Any]]) -> None:
    """Print the overlap at every focus and dose over composites, and what strangers are taken for."""
    spliced = [score for score in scores if score["kind"] == "splice"]
    states = spliced[0]["states"]
    rows: list[list[object]] = [["focus Å", "dose e/Å²", "composites", "overlap", *states, "95 % of the mean"]]
    for dose in sorted({score["dose"] for score in spliced}):
        for defocus in sorted({score["defocus"] for score in spliced}):
            here = [score["overlap"] for score in spliced if (score["dose"], score["defocus"]) == (dose, defocus)]
            means = [f"{fmean(one[key] for one in here):.3f}" for key in ("mean", *states)]
            low, high = interval([one["mean"] for one in here], 0, 1)
            ends = "" if low is None else f"{low:.2f} to {high:.2f}"
            rows.append([f"{defocus:g}", f"{dose:g}", len(here), *means, ends])
    table(rows)
    names = dict.fromkeys(score["name"] for score in scores if score["kind"] != "splice")
    taken = list(scores[0]["shares"])
    rows = [["not a composite", *taken]]
    for name in names:
        here = [score["shares"] for score in scores if score["name"] == name]
        rows.append([name, *(f"{fmean(one[key] for one in here):.2f}" for key in taken)])
    table(rows)


if __name__ == "__main__":
    main()
