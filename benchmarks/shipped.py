"""What the model that comes with the package is worth where the regions are known: docs/shipped.md.

Composites of `config/trial.yaml` of seeds that did not train the model, its half-melted crystals and its strangers are
imaged, and maps of the model are compared with the truth. Needs the finished specimens and melts of that study; what is
missing is made, by molecular dynamics of hours. The record of the trial (docs/maps.md) has a model of its own, windows
of other sizes, and simpler measures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from measure import ROOT, SNAKEMAKE, run

sys.path.insert(0, str(ROOT / "workflow/src"))
from persistem.maps import map_image
from persistem.model import bundle
from persistem.model.shipped import SHIPPED
from persistem.plan.plan import Plan
from persistem.report.figures.worth import CHOSEN, grouped, over
from persistem.store import paths
from persistem.study import Imaging, ModelSettings
from persistem.study.load import load_study
from persistem.study.settings import section
from persistem.trial.trial import ABSTAINED, image_of, intensity_of, trial_file

NAME = "gan-200kV"
#: Factors of the contrast of the composites.
CONTRASTS = (0.5, 0.67, 0.85, 1.0, 1.18, 1.5)
#: How composites of each kind are made.
MADE = {"splice": "end states spliced together", "melt": "crystals half melted and quenched"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that holds results/ (this repository)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7, 8, 9, 10], help="of the spliced composites")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the page is written (docs)")
    options = parser.parse_args()
    study = options.root / "shipped.yaml"
    study.write_text(yaml.safe_dump(trial_of(options.seeds), sort_keys=False))
    plan = Plan(load_study(study))
    (judged,) = [m for m in plan.trial.judged if m["features"] == CHOSEN and m["size"] == plan.study.model.windows.size]
    settings = plan.settings("truth", Path(judged["path"]).parent.name)
    wanted = [composite["structure"] for composite in settings["composites"] if "structure" in composite]
    wanted += [view["path"] for composite in settings["composites"] for view in composite["micrographs"]]
    snakemake = [*SNAKEMAKE, *wanted, "--cores", "2", "-s", ROOT / "Snakefile", "--configfile", study.resolve()]
    run(snakemake, options.root, options.root / "shipped.log")

    settings["model"] = str(SHIPPED / NAME / bundle.INDEX)
    out = options.root / paths.RESULTS / "shipped.json"
    with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
        trial_file(settings, options.root, out, 2)
    found = json.loads(out.read_text()) | {"contrasts": other_contrasts(settings, options.root)}
    (options.docs / "shipped.md").write_text(page(found, time.strftime("%Y-%m-%d")))
    print(f"written: {options.docs / 'shipped.md'}")


def trial_of(seeds: list[int]) -> dict[str, Any]:
    """The study of the trial, with the composites of these seeds; all are judged, since the model chooses nothing."""
    trial: dict[str, Any] = yaml.safe_load((ROOT / "config/trial.yaml").read_text()) | {"name": "shipped"}
    truth = trial["truth"]
    splices = [splice for splice in truth["splices"] if {*splice["seeds"]} <= {*seeds}]
    truth["splices"] = [{key: value for key, value in splice.items() if key != "chooses"} for splice in splices]
    truth["sizes"] = []
    return trial


def other_contrasts(settings: dict[str, Any], root: Path) -> list[dict[str, Any]]:
    """What becomes of every composite at other contrasts: how strong it is read to be, and the share abstained on."""
    model = bundle.load(Path(settings["model"]).parent)
    asked, imaging = section(ModelSettings, settings["asked"]), section(Imaging, settings["imaging"])
    rows = []
    shown = [(one, view) for one in settings["composites"] if one["states"] for view in one["micrographs"]]
    for composite, view in shown:
        intensity = intensity_of(composite, view, imaging, root)
        for dose, factor in product(settings["doses"], CONTRASTS):
            image = image_of(composite, view, intensity, imaging, asked, dose, factor)
            mapped = map_image(image, model, settings["step"], 2)
            read = mapped.facts["conditions"]["contrast_factor"]
            rows.append({"factor": factor, "read": read.get("value"), "abstained": mapped.shares[ABSTAINED]})
    return rows


def page(found: dict[str, Any], date: str) -> str:
    """The overlap at every focus and dose over the composites of each kind, and what strangers are taken for."""
    scores = found["scores"]
    composites = [score for score in scores if "overlap" in score]
    kinds = list(dict.fromkeys((score["kind"], tuple(score["states"])) for score in composites))
    lines = [
        f"# What `{NAME}` is worth where the truth is known",
        "The model that comes with the package, on simulated composites of GaN of MD seeds that it was not trained on:"
        f" windows of {found['size_A']:g} Å. Overlap: intersection over union of map and truth, the mean of the two"
        " states, and each; 95 % over composites (Student's t).",
    ]
    for kind, states in kinds:
        here = [score for score in composites if (score["kind"], tuple(score["states"])) == (kind, states)]
        seeds = {score["name"]: score["seeds"] for score in here}
        groups = grouped(seeds)
        lines.append(f"## {' | '.join(states).capitalize()}: {len(seeds)} composites, {MADE[kind]}")
        rows = [f"| focus, Å | dose, e/Å² | overlap | 95 % | {' | '.join(states)} | abstained |"]
        rows.append("|" + " ---: |" * (len(states) + 5))
        for dose, defocus in sorted({(score["dose"], score["defocus"]) for score in here}):
            at = [score for score in here if (score["dose"], score["defocus"]) == (dose, defocus)]
            means = [f"{fmean(one['overlap'][key] for one in at):.2f}" for key in ("mean", *states)]
            mean = over(groups, {one["name"]: one["overlap"]["mean"] for one in at})
            ends = "" if mean["low"] is None else f"{mean['low']:.2f} to {mean['high']:.2f}"
            gave_up = fmean(fmean(one["abstained"].values()) for one in at)
            rows.append(f"| {defocus:g} | {dose:g} | {means[0]} | {ends} | {' | '.join(means[1:])} | {gave_up:.2f} |")
        lines.append("\n".join(rows))
    rows = ["| contrast, times the simulated | read, least to most | images given no state | abstained |"]
    rows.append("| ---: " * 4 + "|")
    for factor in CONTRASTS:
        at = [one for one in found["contrasts"] if one["factor"] == factor]
        read = [one["read"] for one in at if one["read"] is not None]
        none, gave_up = fmean(one["abstained"] == 1 for one in at), fmean(one["abstained"] for one in at)
        rows.append(f"| {factor:g} | {min(read):.2f} to {max(read):.2f} | {none:.2f} | {gave_up:.2f} |")
    lines += [
        "## Other contrasts",
        f"The same {len(at)} micrographs of composites with their contrast multiplied before electrons are counted.",
        "\n".join(rows),
    ]
    names = dict.fromkeys(score["name"] for score in scores if "overlap" not in score)
    taken = list(scores[0]["shares"])
    rows = [f"| | {' | '.join(taken)} |", "| --- |" + " ---: |" * len(taken)]
    for name in names:
        shares = [score["shares"] for score in scores if score["name"] == name]
        rows.append(f"| {name} | {' | '.join(f'{fmean(one[key] for one in shares):.2f}' for key in taken)} |")
    lines += [
        "## What is no composite",
        "Shares of the windows, mean over foci and doses. Vacuum was trained, and so were crystals of GaN along c that"
        " are warm or strained by up to 2 %.",
        "\n".join(rows),
        "[maps.md](maps.md) has a model trained for the trial, with windows of several sizes and simpler measures.",
        f"Made by `python benchmarks/shipped.py` on {date}.",
    ]
    return "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
