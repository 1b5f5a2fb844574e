"""docs/real-micrographs.md from the numbers that real.py measured; nothing in its sentences is typed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Values = Mapping[str, Any]

FORESTS = "forest of pixels"
#: The forest that no other program has: its image counts relative to itself, as ours does.
EVEN = "forest of pixels, relative to the image"
#: Rows that are not models of the product, in the order of the tables.
OURS = "PersisTEM"


def record(measured: Values) -> str:
    """The record in Markdown; parts that were not measured are named."""
    lines = ["# What labelled real micrographs are worth", ""]
    lines += summary(measured)
    for part, write in SECTIONS.items():
        lines += [""] + (
            write(measured[part]) if part in measured else [f"*{part}: not measured; its data were absent.*"]
        )
    lines += ["", *remains(), "", *sources(), "", *made(measured)]
    return "\n".join(lines) + "\n"


def f(value: float, digits: int = 3) -> str:
    """A number with fixed digits; figures that round up to 1 without being 1 are cut."""
    shown = f"{value:.{digits}f}"
    return f"{np.floor(value * 10**digits) / 10**digits:.{digits}f}" if value < 1 and float(shown) == 1 else shown


def mw(value: Values, digits: int = 3) -> str:
    """Mean (worst)."""
    return f"{f(value['mean'], digits)} ({f(value['worst'], digits)})"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "| " + " | ".join(["---"] + ["---:"] * (len(head) - 1)) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def met(value: float, least: float, digits: int = 3) -> str:
    """Whether a figure reaches its target."""
    return f"{f(value, digits)} | ≥ {least:g} | {'yes' if value >= least else 'no'}"


def between(change: Values, digits: int = 3) -> str:
    """A difference with its interval."""
    if change["low"] is None:
        return f"{change['mean']:+.{digits}f}"
    return f"{change['mean']:+.{digits}f} ({change['low']:+.{digits}f} to {change['high']:+.{digits}f})"


def best_forest(rows: Values, score: Any) -> tuple[str, float]:
    """The best of the forests, by a score of a row."""
    name = max((row for row in rows if row.startswith(FORESTS)), key=lambda row: score(rows[row]))
    return name, score(rows[name])


def mean(values: Values) -> float:
    return float(np.mean(list(values.values())))


def summary(measured: Values) -> list[str]:
    """The targets, and whether they are reached."""
    rows = []
    if particles := measured.get("particles"):
        by = particles["rows"]
        ours, (name, forest) = by["1"][OURS]["auc"], best_forest(by["1"], lambda row: row["auc"]["mean"])
        gap = ours["mean"] - forest
        rows.append(
            f"| particles, one labelled image → others, AUC mean (worst) | {mw(ours, 4)}; {name}:"
            f" {mw(by['1'][name]['auc'], 4)} | not below the forest by more than 0.002 | {yes(gap >= -0.002)} |"
        )
        for count in by:
            ours = by[count][OURS]["iou"]["mean"]
            plain = {row: one for row, one in by[count].items() if row != EVEN}
            name, forest = best_forest(plain, lambda row: row["iou"]["mean"])
            change, even = (particles["against"][count][row]["iou"] for row in (name, EVEN))
            reached = ours > forest and (count != "10" or ours >= 0.95)
            rows.append(
                f"| particles, IoU, {count} labelled | {f(ours)}; {name}: {f(forest)}, paired {between(change)}."
                f" Given our way to count relative to the image, the forest has {f(by[count][EVEN]['iou']['mean'])},"
                f" paired {between(even)} | above the forest's{', ≥ 0.95' if count == '10' else ''} |"
                f" {yes(reached)}{'' if even['low'] > 0 else '; beside the latter undecided'} |"
            )
    if blind := measured.get("blind"):
        plain = blind["as they are"]["rows"]
        for row, least in (("all", 0.92), ("lifetimes", 0.85)):
            rows.append(f"| blind, five folds, {row} | {met(mean(plain['folds'][row]), least)} |")
        rows.append(f"| blind, five folds, spectrum | {f(mean(plain['folds']['spectrum']))} | | |")
        rows.append(f"| blind, one image → others, all | {met(mean(plain['one']['all']), 0.86)} |")
    if carbon := measured.get("carbon"):
        for part, least, words in (
            ("strokes", 0.95, "strokes → rest of the image"),
            ("sessions", 0.85, "two images → third"),
        ):
            of = carbon[part]["rows"]
            ours, (name, forest) = of[OURS]["rest"], best_forest(of, lambda row: row["rest"]["mean"])
            rows.append(
                f"| carbon, {words}, balanced accuracy mean (worst) | {mw(ours)}; {name}: {mw(of[name]['rest'])} | ≥"
                f" {least:g} and above the forest | {yes(ours['mean'] >= least and ours['mean'] > forest)} |"
            )
        rows.append(
            "| carbon, two images → third, particles |"
            f" {met(carbon['sessions']['rows'][OURS]['rest']['states'][2], 0.97)} |"
        )
    if domain := measured.get("domain"):
        for model in domain["strangers"]["soot"]:
            shares = {name: share(of[model]) for name, of in domain["strangers"].items()}
            least = min(shares, key=lambda name: shares[name])
            short = [name for name in shares if shares[name] < 0.95]
            words = f"; below it: {', '.join(short)}" if short else ""
            rows.append(
                f"| out of domain, abstained, model of {model}: least | {f(shares[least])} ({least}){words} | ≥ 0.95"
                f" | {yes(not short)} |"
            )
    if times := measured.get("times"):
        for name, most, words in (
            ("description, jobs = 2", 10, "first description"),
            ("train", 2, "training after a stroke"),
            ("map", 3, "new map"),
        ):
            one = times[name]
            rows.append(
                f"| {times['side_px']}² px, {words} | wall {one['wall']:.1f} s, CPU {one['cpu']:.1f} s | ≤ {most} s |"
                f" {yes(one['wall'] <= most)} |"
            )
    return ["| | measured | target | reached |", "| --- | --- | --- | --- |", *rows]


def yes(reached: bool) -> str:
    return "yes" if reached else "**no**"


def share(of: Values) -> float:
    """The share of a foreign image that a model refuses or abstains on."""
    return 1.0 if "refused" in of else float(of["abstained"])


def regions(part: Values) -> list[str]:
    images = part["images"]
    same = min(one["same"] for one in images.values())
    return [
        "## Which regions are certain",
        "",
        "On three micrographs of platinum on carbon, polygons of vacuum and of disordered carbon and ellipses in"
        " particles were drawn twice (`tests/data/real`), the second time without sight of the first. Only what is"
        " beyond doubt is marked. Carbon has 002 fringes in places, so it is called disordered, not amorphous.",
        "",
        *table(
            ["image", "certain in both, of the image", "same state there", "of the first set", "of the second"],
            [
                [name, f"{one['both']:.1%}", f"{one['same']:.2%}", f"{one['of_first']:.1%}", f"{one['of_second']:.1%}"]
                for name, one in images.items()
            ],
        ),
        "",
        f"Where both sets are certain, they name the same state in {same:.2%} of the pixels (the image with the"
        " least). They differ in how much they dare: the second marks thicker carbon and more particles.",
    ]


def blind(part: Values) -> list[str]:
    plain, even = part["as they are"], part["noise equalised"]
    rows = []
    for row in plain["rows"]["folds"]:
        cells = [row]
        for of in (plain, even):
            folds = of["rows"]["folds"][row]
            cells.append(f"{f(mean(folds))} ({f(min(folds.values()))})")
            cells.append(f"{f(mean(of['rows']['one'][row]))} ({f(of['rows']['one_worst'][row])})")
        rows.append(cells)
    noise = ["noise's share of the variance", *(cell for of in (plain, even) for cell in (f(mean(sided(of))), ""))]
    best = max(
        (row for row in plain["rows"]["folds"] if not row.startswith("all")),
        key=lambda row: mean(plain["rows"]["folds"][row]),
    )
    control = part["control"]
    first = control["noise differs, structure does not"]
    second = control["structure differs, noise does not"]
    return [
        "## Blind to brightness",
        "",
        f"{plain['windows']} windows of 21 Å of ten images of particles on a film, each wholly in one state: cut"
        " first, plane taken off, divided by its standard deviation, described as an image of its own. AUC of"
        " particle against film, mean (worst) over images: five folds over images, C chosen within the training"
        " images; and one image that trains for all others, C as it is by default. The images are pieces of an"
        " unknown number of frames.",
        "",
        *table(
            ["blocks", "five folds", "one → others", "noise equalised: five folds", "one → others"],
            [*rows, noise],
        ),
        "",
        "**Whether persistence adds** (with `lifetimes` less without, paired over images, 95 % interval, which is"
        " approximate since models share images). Octave moments are the logarithm of the standard deviation,"
        " skewness and kurtosis of the same octaves whose pairs `lifetimes` counts; they know nothing of births and"
        " deaths.",
        "",
        *table(
            ["added to", "five folds", "", "one → others", ""],
            [
                [
                    f"{to}, {name}",
                    *(
                        cell
                        for key in ("folds", "one")
                        for cell in (between(of["rows"]["adds"][to][key]), verdict(of["rows"]["adds"][to][key]))
                    ),
                ]
                for name, of in (("as they are", plain), ("noise equalised", even))
                for to in plain["rows"]["adds"]
            ],
        ),
        "",
        f"The best block alone is `{best}` ({f(mean(plain['rows']['folds'][best]))} over folds,"
        f" {f(mean(plain['rows']['one'][best]))} from one image).",
        "",
        "**Noise.** Fewer electrons come through a particle, so counting noise is a larger share of its variance: by"
        f" that share alone the states can be told with an AUC of {f(mean(sided(plain)))}. It is estimated from the"
        f" power beyond {part['noise']['from_per_px']:g}/px, where the lens transfers nothing. In the control,"
        " windows of both states are paired by rank within each image, and the less noisy of a pair gets as much"
        f" white noise as it lacks. By noise alone the AUC is then {f(mean(sided(even)))}. What is left in the right"
        " half of the table is structure, or noise that is not white.",
        "",
        "The control itself was tried on made-up windows, with the spectrum: where noise alone differs, the AUC"
        f" falls from {f(first['before'])} to {f(first['after'])}; where structure alone differs, it stays"
        f" ({f(second['before'])} and {f(second['after'])}).",
    ]


def sided(of: Values) -> dict[str, float]:
    """AUC by noise alone, whichever state is noisier."""
    return {k: max(v, 1 - v) for k, v in of["noise alone"].items()}


def verdict(change: Values) -> str:
    if change["p"] is None or change["p"] >= 0.05:
        return "undecided"
    return "it adds" if change["mean"] > 0 else "it costs"


def particles(part: Values) -> list[str]:
    counts = list(part["rows"])
    rows = []
    for row in part["rows"][counts[0]]:
        cells = [row]
        for count in counts:
            one = part["rows"][count][row]
            cells += [mw(one["iou"]), mw(one["auc"], 4)]
        rows.append(cells)
    ours = {count: part["rows"][count][OURS] for count in counts}
    head = ["mean (worst)", *(f"{count}: {score}" for count in counts for score in ("IoU", "AUC"))]
    forests = [row for row in part["rows"][counts[0]] if row.startswith(FORESTS)]
    errors = [part["rows"]["1"][row]["ece"]["mean"] for row in forests]
    return [
        "## All that the image shows",
        "",
        "Particles on a film, 20 images, the authors' masks as labels; all images that do not train are tested. IoU"
        " of the particles' pixels; AUC of windows of 48 px that are at least 90 % one state, by the mean"
        " probability in them. One, five and ten images train, in"
        f" {', '.join(str(maps_of(part, count)) for count in counts)} maps. The forest has 100 trees and sees"
        " Gaussians, gradients and Hessians of 1 to 16 px at a pixel.",
        "",
        *table(head, rows),
        "",
        "Brightness alone solves these masks: with Otsu's threshold and no label at all the IoU is"
        f" {f(part['rows']['1']['brightness alone, Otsu']['iou']['mean'])}. They say nothing about states of matter."
        " PersisTEM minus forest, IoU, paired over images:",
        "",
        *table(
            ["forest", *(f"{count} labelled" for count in counts)],
            [[row, *(between(part["against"][count][row]["iou"], 4) for count in counts)] for row in forests],
        ),
        "",
        f"Calibration error from one image: {f(ours['1']['ece']['mean'])} (worst {f(ours['1']['ece']['worst'])});"
        f" forests {f(min(errors))} to {f(max(errors))}. Abstained on images that did not train:"
        + ";".join(
            f" {count} labelled {ours[count]['abstained']['mean']:.1%} (worst {ours[count]['abstained']['worst']:.1%})"
            for count in counts
        )
        + ". What is usual within one image, whose parts set the thresholds, need not be in the next: a model of"
        " one image may abstain on most of another.",
        "",
        "![Particles of one image by models of another](figures/real-particles.png)",
    ]


def maps_of(part: Values, count: str) -> int:
    return int(part["rows"][count][OURS]["maps"])


def carbon(part: Values) -> list[str]:
    strokes, sessions = part["strokes"], part["sessions"]
    images = list(strokes["rows"][OURS]["rest"]["images"])

    def rows_of(of: Values, key: str) -> list[list[str]]:
        return [
            [row, mw(one[key]), *(f(one[key]["images"][name]) for name in images), *map(f, one[key]["states"])]
            for row, one in of["rows"].items()
        ]

    head = ["balanced accuracy", "mean (worst)", *images, "vacuum", "carbon", "particle"]
    apart = strokes["rows"]
    forest, _ = best_forest(apart, lambda row: row["apart"]["mean"])
    gone = sessions["rows"][OURS]["abstained"]
    relative = "filters + contrast + lifetimes"
    without = f"{relative}, not relative to the image"
    return [
        "## Three states from strokes",
        "",
        f"Three strokes a state, drawn at random inside certain regions, {strokes['rows'][OURS]['tries']} times in"
        f" all; together {strokes['area']['mean']:.2%} of an image, at most {strokes['area']['largest']:.2%}. Tested"
        " on the rest of the certain area of the same image; states in the last columns are recalls.",
        "",
        *table(head, rows_of(strokes, "rest")),
        "",
        f"Without what shares pixels with a window of a stroke: PersisTEM {mw(apart[OURS]['apart'])}, {forest}"
        f" {mw(apart[forest]['apart'])}.",
        "",
        f"{worse(strokes['rows'], forest)} {adds(strokes['rows'])}",
        "",
        "![Strokes and the maps that they give](figures/real-strokes.png)",
        "",
        "## The same states in another session",
        "",
        "The certain area of two images trains, that of the third is tested, by both sets of regions.",
        "",
        *table(head, rows_of(sessions, "rest")),
        "",
        f"What counting relative to the image brings, with {relative}: {f(sessions['rows'][without]['rest']['mean'])}"
        f" without, {f(sessions['rows'][relative]['rest']['mean'])} with. Abstained on the image that was left out: "
        + ", ".join(f"{name} {value:.1%}" for name, value in gone.items())
        + ". Three images are three sessions: there is no interval, and the worst says more than the mean.",
        "",
        f"{adds(sessions['rows'])} A window is wider than the borders of a particle, so small particles become larger"
        " on the maps, and neighbours grow together, where the image has few pixels (PtCo3).",
        "",
        "![Each image by a model of the other two](figures/real-sessions.png)",
    ]


def worse(rows: Values, forest: str) -> str:
    """On which images a forest is better than our model."""
    pairs = {
        name: (value, rows[forest]["rest"]["images"][name]) for name, value in rows[OURS]["rest"]["images"].items()
    }
    better = [f"{name} ({f(theirs)} against {f(own)})" for name, (own, theirs) in pairs.items() if theirs > own]
    return (
        f"The {forest} is better on {' and '.join(better)}." if better else "No image is mapped better by that forest."
    )


def adds(rows: Values) -> str:
    """What the block of persistence changes beside filters and contrast."""
    with_it, without = (rows[f"filters + contrast{more}"]["rest"]["mean"] for more in (" + lifetimes", ""))
    return f"Persistence changes the balanced accuracy of filters and contrast by {with_it - without:+.3f}."


def domain(part: Values) -> list[str]:
    models = list(part["strangers"]["soot"])
    rows, through = [], []
    for name, of in part["strangers"].items():
        cells = [name]
        for model in models:
            one = of[model]
            said = f(one["abstained"]) if "abstained" in one else ""
            cells.append(f"refused ({said})" if "refused" in one else said)
            if "refused" in one and one.get("abstained", 1.0) < 0.95 and name not in through:
                through.append(name)
        rows.append(cells)
    own = part["own"]["particles"]
    carbon_models = [model for model in models if model != "particles"]
    said = part["strangers"]["soot"][carbon_models[0]]["said"]
    return [
        "## What the models do not know",
        "",
        "Share of the windows on which a model abstains: one of ten images of particles, and those of the three on"
        " carbon. A file whose pixels are too coarse is refused; in brackets is the share if they are taken as fine"
        " enough, by a wrong pixel size.",
        "",
        *table(["image", *models], rows),
        "",
        "With a wrong pixel size these get through the models on carbon: " + (", ".join(through) or "none") + ". A"
        " model of images that differ as much as those three can tell less from them.",
        "",
        f"Of images of its own kind that it has not seen, the model of particles abstains on {mean(own):.1%} (most:"
        f" {max(own.values()):.1%}); those of two images on carbon on the shares of the third that are given above.",
        "",
        "Soot is disordered carbon beside vacuum, so it is not foreign to the models on carbon. They say "
        + ", ".join(f"{state} {value:.0%}" for state, value in said.items())
        + "; there are no particles in it.",
        "",
        "![Soot by a model of the images on carbon](figures/real-soot.png)",
    ]


def times(part: Values) -> list[str]:
    names = ("description, jobs = 2", "description, jobs = 1", "train", "map")
    return [
        "## Time",
        "",
        f"An image of {part['side_px']}² px at its own sampling, {part['windows']} windows, the blocks that the"
        f" default candidates need; load of the machine (2 cores) {part['load']:.1f}. Wall time grows with load, CPU"
        " time hardly; on two idle cores the description cannot take less than half of its CPU time. Libraries are"
        " loaded already.",
        "",
        *table(
            ["", "wall, s", "CPU, s"],
            [[name, f"{part[name]['wall']:.2f}", f"{part[name]['cpu']:.2f}"] for name in names],
        ),
    ]


def remains() -> list[str]:
    return [
        "## What remains unknown",
        "",
        "**These images were looked at while the models were made.** Blocks, candidates, the way in which blocks"
        " count relative to the image and the limits of abstention were chosen with them in view, so figures on"
        " images that nobody has looked at may be lower. On carbon there are three sessions.",
        "",
        "Voltage, defocus and thickness of all these images, and how many frames the particles' images were cut"
        " from: images of one frame may stand on both sides of a split. Pixel sizes are from lattice peaks, good to"
        " a few percent. The certain regions leave out what is hard: edges, thick carbon over particles, particles"
        " without fringes.",
    ]


def sources() -> list[str]:
    return [
        "## Sources",
        "",
        "- Particles on a film: Duan et al., doi:10.69761/HDTA8338, as in msa-em/microscopy-seg-track, CC-BY-4.0;"
        " pictures here are scaled down, with colours over them.",
        "- Platinum on carbon: ArdaGen/STEM-Automated-Nanoparticle-Analysis-YOLOv8-SAM, MIT; scaled down, with"
        " colours.",
        "- Soot: ucam-ceb-como/HRTEMFringeMapping, MIT; scaled down, with colours.",
        "- Other images, not shown: those of `STRANGERS` in `benchmarks/real_data.py`.",
    ]


def made(measured: Values) -> list[str]:
    dates = sorted({part["date"] for part in measured.values()})
    seconds = sum(part["cpu_s"] for part in measured.values())
    return [
        f"Measured on {' and '.join(dates)}, in {seconds / 60:.0f} minutes of one core, by",
        "",
        "    .venv/bin/python benchmarks/real.py",
        "",
        "which writes this page, its pictures and [real-micrographs.json](real-micrographs.json). `--only blind`"
        " runs a part.",
    ]


SECTIONS = {
    "regions": regions,
    "blind": blind,
    "particles": particles,
    "carbon": carbon,
    "domain": domain,
    "times": times,
}
