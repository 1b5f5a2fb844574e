"""From simulation to real micrographs: a model of simulated particles on a support, on images with known regions.

Needs the finished model of config/particles.yaml (`snakemake model --configfile config/particles.yaml`) and the real
images of real.py. Writes docs/transfer.md, docs/transfer.json and a picture. Everything is the same in every run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import real_blind
import real_data as data
import real_maps as maps
from persistem.labelled import blind as wing
from persistem.labelled import mapping, rows, simulated
from persistem.labelled.describing import describe
from persistem.labelled.describing import relative as in_image
from persistem.model.linear import linear_of
from persistem.study.mapping import LABELLED_C
from real import rounded
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from persistem.labelled.rows import Labelled
    from persistem.model.classifier import Model

    Array = NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[1]
#: Blocks that a blind window is described by, and what is compared.
BLIND = ("lifetimes", "spectrum", "texture", "low-passed")
ROWS = {**{name: (name,) for name in BLIND}, "all": BLIND}
#: Blocks of windows that are relative to their image.
SEEN = (
    ("filters",), ("spectrum",), ("lifetimes",), ("spectrum", "lifetimes"), ("filters", "contrast", "lifetimes"),
)  # fmt: skip
#: Strokes of each state, and how many simulated windows train beside each labelled one.
STROKES, BESIDE = (1, 3, 10), (0.3, 1.0, 3.0, 10.0)
#: Distance of the windows of a real image, Å.
STEP = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=ROOT / "config/particles.yaml", help="config/particles.yaml")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that holds results/ (this repository)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the record is written (docs)")
    parser.add_argument("--page", action="store_true", help="write the page and its curve anew from docs/transfer.json")
    options = parser.parse_args()
    if options.page:
        write(json.loads((options.docs / "transfer.json").read_text()), options.docs)
        return
    if data.data() is None:
        sys.exit("no data: shared/data/labelled is neither beside nor above the repository; nothing was measured")
    from persistem.model import bundle
    from persistem.plan.plan import Plan
    from persistem.study import ModelSettings
    from persistem.study.load import load_study
    from persistem.study.settings import section

    started = time.perf_counter()
    settings = Plan(load_study(options.study)).model
    known = settings.settings
    folder = (options.root / settings.index).parent
    if not folder.is_dir():
        sys.exit(f"{folder}: is not there; run snakemake model --configfile {options.study} first")
    asked: ModelSettings = section(ModelSettings, known["model"])
    model = bundle.load(folder)
    every = asked.model_copy(update={"candidates": (*asked.candidates, *SEEN)})
    micrographs = [
        one
        for composite in known["composites"]
        for one in simulated.described(options.root, composite, known["pixel_size"], every)
    ]
    states = list(known["states"])
    print(f"{time.perf_counter() - started:.0f} s  {len(micrographs)} simulated micrographs", flush=True)
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "model": model.digest,
        "simulated": known["about"] | {"micrographs": len(micrographs), "composites": len(known["composites"])},
        "card": model.card["assessed"] | {"features": list(model.classifier.lengths)},
    }
    for name, measure in (
        ("blind", lambda: blind(known, asked, options.root)),
        ("particles", lambda: particles(model)),
        ("carbon", lambda: carbon(model, micrographs, states, options.docs / "figures")),
        ("strokes", lambda: strokes(model, micrographs, states)),
    ):
        with threadpool_limits(1):  # sums of several threads differ in their last digits
            found[name] = measure()
        print(f"{time.perf_counter() - started:.0f} s  {name}", flush=True)
    found = rounded(found)
    (options.docs / "transfer.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    write(found, options.docs)


# blind windows of particles and film


def simulated_windows(
    known: Mapping[str, Any], root: Path, treat: Callable[..., Any] | None
) -> tuple[Array, NDArray[np.int_], NDArray[np.int_], NDArray[np.int_]]:
    """Blind windows (n, side, side) of simulated micrographs: pixels, 1 in particles, numbers of image and film."""
    from persistem.descriptors.windows import nearest_pixels, resample
    from persistem.imaging.varied import read_varied
    from persistem.specimens.layout import read_discs

    films = list(dict.fromkeys(composite["specimen"] for composite in known["composites"]))
    pixels, y, image, film = [], [], [], []
    for composite in known["composites"]:
        discs = read_discs(root / composite["structure"])
        for grey, size in read_varied(root / composite["path"]):
            number = len(image)
            region = simulated.regions(discs, grey.shape, size, known["pixel_size"]).astype(int)
            shown = resample(grey, size, data.PARTICLES)
            at = (
                nearest_pixels(np.arange(n), size, data.PARTICLES, count)
                for n, count in zip(shown.shape, region.shape, strict=True)
            )
            state = np.where(region == 2, -1, region)[np.ix_(*at)]
            cut = wing.cut(shown, state, real_blind.SIDE, np.random.default_rng([0, number]), 3, 40)
            image.append(np.full(len(cut.state), number))
            film.append(np.full(len(cut.state), films.index(composite["specimen"])))
            windows = wing.blinded(cut.pixels) if len(cut.state) else cut.pixels
            if treat is not None and len(np.unique(cut.state)) == 2:
                windows = treat(windows, cut.state, np.random.default_rng([1, number]))
            pixels.append(windows)
            y.append(cut.state)
    return np.concatenate(pixels), np.concatenate(y), np.concatenate(image), np.concatenate(film)


def blind(known: Mapping[str, Any], asked: Any, root: Path) -> dict[str, Any]:
    """AUC of particle against film of blind windows of real images, by linear models of simulated ones."""
    images = {k: (image.pixels, mask) for k in range(data.COUNT) for image, mask in [data.particles(k)]}
    wanted = maps.SETTINGS["particles"][0]
    found: dict[str, Any] = {}
    for name, treat in (("as they are", None), ("noise equalised", wing.equalised)):
        pixels, y, image, film = simulated_windows(known, root, treat)
        real = real_blind.gather(images, treat=treat)
        ours, theirs = wing.described(pixels, wanted, BLIND), wing.described(real.pixels, wanted, BLIND)
        own, others = (
            {block: relative(values, number) for block, values in X.items()}
            for X, number in ((ours, image), (theirs, real.image))
        )
        of: dict[str, Any] = {"simulated": len(y), "real": len(real.y)}
        for how, (train, test) in {"absolute": (ours, theirs), "relative": (own, others)}.items():
            of[how] = {}
            for row, blocks in ROWS.items():
                C = chosen(train, y, film, blocks)
                joined = {b: np.concatenate([train[b], test[b]]) for b in blocks}
                labels = np.concatenate([y, real.y])
                first = np.arange(len(labels)) < len(y)
                score = real_blind.scores(joined, labels, blocks, C, first, ~first)
                aucs = [real_blind.auc(real.y[real.image == k], score[real.image == k]) for k in images]
                of[how][row] = {
                    "mean": np.mean(aucs), "worst": min(aucs), "C": C, "on films": on_films(train, y, film, blocks, C),
                }  # fmt: skip
        found[name] = of
    return found


def relative(X: NDArray[Any], image: NDArray[np.int_]) -> NDArray[Any]:
    """Features (windows, length) less their mean over the image's windows, over their standard deviation."""
    result = np.array(X, dtype=np.float32)
    for k in np.unique(image):
        here = image == k
        result[here] = (X[here] - X[here].mean(axis=0)) / np.maximum(X[here].std(axis=0), 1e-3)
    return result


def chosen(X: Mapping[str, Any], y: NDArray[np.int_], film: NDArray[np.int_], blocks: Sequence[str]) -> float:
    """The C with the best AUC on films that are left out."""
    return max(real_blind.CHOICES, key=lambda C: round(on_films(X, y, film, blocks, C), 6))


def on_films(
    X: Mapping[str, Any], y: NDArray[np.int_], film: NDArray[np.int_], blocks: Sequence[str], C: float
) -> float:
    """The mean AUC of films that are left out in turn."""
    both = [k for k in np.unique(film) if len(np.unique(y[film == k])) == len(np.unique(y[film != k])) == 2]
    found = [real_blind.auc(y[film == k], real_blind.scores(X, y, blocks, C, film != k, film == k)) for k in both]
    return float(np.mean(found)) if found else float("nan")


# the model as it is


def particles(model: Model) -> dict[str, Any]:
    """AUC of windows of particle against film, and the overlap of maps, on images of particles; none has a label."""
    particle = model.states.index("particle")
    aucs, overlaps, abstained = [], [], []
    for k in range(data.COUNT):
        image, mask = data.particles(k)
        of = describe(image, model.windows, STEP, model.blocks)
        verdict = mapping.judged(of, model)
        at = maps.at_pixels(verdict.probability, of, mask.shape)
        aucs.append(maps.window_auc(at[..., particle], mask))
        overlaps.append(maps.iou(at.argmax(axis=-1) == particle, mask))
        abstained.append(float((verdict.reason > 0).mean()))
    return {
        "auc": {"mean": np.mean(aucs), "worst": min(aucs)},
        "iou": {"mean": np.mean(overlaps), "worst": min(overlaps)},
        "abstained": np.mean(abstained),
    }


def carbon(model: Model, micrographs: list[Labelled], states: list[str], figures: Path) -> dict[str, Any]:
    """Balanced accuracy of vacuum, carbon and particle on the certain regions of real images, and the abstention."""
    from real_pictures import grey, over, save

    order = [model.states.index(name) for name in data.STATES]
    found: dict[str, Any] = {}
    panels = []
    for name in data.CARBON:
        image = data.carbon(name)
        of = describe(image, model.windows, STEP, {*model.blocks, *(b for blocks in SEEN for b in blocks)})
        verdict = mapping.judged(of, model)
        by_block = {" + ".join(blocks): linear(micrographs, states, blocks, of) for blocks in SEEN}
        said = {"the model": verdict.probability, **by_block}
        for which in data.SETS:
            truth = data.certain(data.regions(which)[name])
            state = maps.labelled(of, truth, name).state
            known = state >= 0
            for row, probability in said.items():
                predicted = probability[..., order].argmax(axis=-1)
                recall = maps.recalls(predicted[known], state[known], len(data.STATES))
                score = {"image": name, "set": which, "recall": recall, "balanced": np.mean(recall)}
                found.setdefault(row, []).append(score)
            silent = verdict.reason > 0
            answered = np.where(silent, -1, verdict.probability[..., order].argmax(axis=-1))
            recall = maps.recalls(answered[known], state[known], len(data.STATES))
            found["the model"][-1] |= {"abstained": float(silent[known].mean()), "answered": np.mean(recall)}
        base = grey(image.pixels)
        marks = data.certain(data.regions("second")[name]).astype(int) - 1
        shown = maps.at_pixels(verdict.probability[..., order], of, image.pixels.shape).argmax(axis=-1)
        panels += [(f"{name}, certain regions", over(base, marks)), ("by simulations alone", over(base, shown))]
    save(figures / "transfer.png", [panels[k : k + 2] for k in range(0, len(panels), 2)], legend=True)
    return found


def linear(micrographs: Sequence[Labelled], states: Sequence[str], blocks: Sequence[str], of: Any) -> Array:
    """Probabilities (rows, columns, k) of a described image by a linear model of some blocks of simulated ones."""
    drawn = rows.rows_of(micrographs, blocks, (), list(states))
    return applied([drawn.X[name] for name in blocks], drawn.crops.y, blocks, of)


def applied(X: list[NDArray[Any]], y: NDArray[np.int_], blocks: Sequence[str], of: Any) -> Array:
    """Probabilities (rows, columns, k) of a described image by a linear model of blocks (windows, length)."""
    from scipy.special import softmax

    fitted = linear_of(X, y, LABELLED_C[0])
    blocks_of = in_image(of, blocks)
    vectors = np.concatenate([blocks_of[name] for name in blocks], axis=-1)
    raw = fitted.raw(vectors.reshape(-1, vectors.shape[-1]))
    return np.asarray(softmax(raw, axis=1).reshape(*of.valid.shape, -1))


# labels beside simulations


def strokes(model: Model, micrographs: Sequence[Labelled], states: Sequence[str]) -> dict[str, Any]:
    """Balanced accuracy off the strokes, by labels alone, and by labels and simulations: on each image on carbon.

    How many simulated windows train beside each labelled one is what the other strokes say best of one left out; of one
    stroke a state there is none, and as many train of both.
    """
    blocks = ("filters", "contrast", "lifetimes")
    drawn = rows.rows_of(micrographs, blocks, (), list(states))
    order = [list(states).index(name) for name in data.STATES]
    y_of = np.array([order.index(k) for k in range(len(states))])[drawn.crops.y]
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {}
    for name in data.CARBON:
        image = data.carbon(name)
        of = describe(image, model.windows, STEP, blocks)
        for which in data.SETS:
            truth = data.certain(data.regions(which)[name])
            state = maps.labelled(of, truth, name).state
            for each in STROKES:
                marks = data.strokes(truth, np.random.default_rng([0, data.SETS.index(which)]), each)
                one = maps.labelled(of, marks, name)
                rest = (state >= 0) & (one.state < 0)
                if len(np.unique(one.state[one.state >= 0])) < len(data.STATES):
                    continue
                ours = rows.rows_of([one], blocks, (), list(data.STATES))
                by = {}
                for row, ratios in {"labels": (0.0,), "labels and simulations": BESIDE}.items():
                    ratio = ratios[0] if len(ratios) == 1 else best(ours, drawn, y_of, blocks, ratios, rng, each)
                    X, y = joined(ours, drawn, y_of, blocks, ratio, rng)
                    predicted = applied(X, y, blocks, of).argmax(axis=-1)
                    recall = maps.recalls(predicted[rest], state[rest], len(data.STATES))
                    by[row] = {"balanced": np.nanmean(recall), "ratio": ratio}
                found.setdefault(str(each), []).append({"image": name, "set": which} | by)
    return found


def joined(
    ours: rows.Rows, drawn: rows.Rows, y_of: NDArray[np.int_], blocks: Sequence[str], ratio: float, rng: Any
) -> tuple[list[NDArray[Any]], NDArray[np.int_]]:
    """Labelled windows and, beside each, ``ratio`` simulated ones; as many of each state."""
    states = np.unique(y_of)
    count = round(ratio * len(ours.crops.y) / len(states))
    chosen_rows = np.concatenate([rng.permutation(np.flatnonzero(y_of == k))[:count] for k in states])
    X = [np.concatenate([ours.X[name], drawn.X[name][chosen_rows]]) for name in blocks]
    return X, np.concatenate([ours.crops.y, y_of[chosen_rows]])


def best(
    ours: rows.Rows, drawn: rows.Rows, y_of: NDArray[np.int_], blocks: Sequence[str], ratios: Sequence[float], rng: Any,
    each: int,
) -> float:  # fmt: skip
    """The ratio with the best mean recall on parts of the labels that are left out."""
    if each == 1:
        return 1.0
    scores: dict[float, list[float]] = {ratio: [] for ratio in ratios}
    part = ours.crops.seed
    for left in np.unique(part):
        train, test = part != left, part == left
        if len(np.unique(ours.crops.y[train])) < len(np.unique(y_of)):
            continue
        kept = ours._replace(
            X={name: ours.X[name][train] for name in blocks}, crops=ours.crops._replace(y=ours.crops.y[train])
        )
        for ratio in ratios:
            X, y = joined(kept, drawn, y_of, blocks, ratio, rng)
            raw = linear_of(X, y, LABELLED_C[0]).raw(np.hstack([ours.X[name][test] for name in blocks]))
            truth = ours.crops.y[test]
            scores[ratio].append(np.mean([(raw[truth == k].argmax(axis=1) == k).mean() for k in np.unique(truth)]))
    return max(ratios, key=lambda ratio: round(float(np.mean(scores[ratio] or [0])), 6))


# the record


def write(found: Mapping[str, Any], docs: Path) -> None:
    """The page, and the curve of accuracy against strokes."""
    (docs / "transfer.md").write_text(record(found))
    curve(found, docs / "figures/strokes.png")


def curves(found: Mapping[str, Any]) -> dict[str, list[tuple[int, float]]]:
    """Balanced accuracy against strokes, the mean over images and sets of regions; of none, of the model as it is."""
    none = float(np.mean([value["balanced"] for value in found["carbon"]["the model"]]))
    points: dict[str, list[tuple[int, float]]] = {"labels alone": [], "labels and simulations": [(0, none)]}
    for each, values in found["strokes"].items():
        for name, row in (("labels alone", "labels"), ("labels and simulations", "labels and simulations")):
            points[name].append((int(each), float(np.mean([value[row]["balanced"] for value in values]))))
    return points


def worth(points: Mapping[str, Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """How many strokes alone are as good as so many with simulations: by straight lines over the strokes' logarithm.

    Fewer than the fewest that were tried count as these, and more than the most as those.
    """
    alone = points["labels alone"]
    at, reached = np.log([n for n, _ in alone]), np.maximum.accumulate([value for _, value in alone])
    return [(n, float(np.exp(np.interp(value, reached, at)))) for n, value in points["labels and simulations"] if n]


def curve(found: Mapping[str, Any], out: Path) -> None:
    """Accuracy against strokes, with and without simulations."""
    from matplotlib.figure import Figure
    from persistem.report.figures.drawing import COLOURS, DPI, style

    points = curves(found)
    with style():
        figure = Figure(figsize=(3.6, 2.6), layout="constrained")
        axis = figure.subplots()
        for k, (name, of) in enumerate(points.items()):
            axis.plot([n for n, _ in of], [value for _, value in of], "os"[k] + "-", color=COLOURS[k], ms=4, label=name)
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xticks([0, 1, 3, 10], ["0", "1", "3", "10"])
        axis.set(xlabel="strokes of each state", ylabel="balanced accuracy", ylim=(None, 1.0))
        axis.legend(frameon=False, loc="lower right")
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=DPI)


def record(found: Mapping[str, Any]) -> str:
    """The record in Markdown; no number is typed."""
    about, card = found["simulated"], found["card"]
    bodies = [
        "# From simulation to real micrographs",
        "",
        *summary(found),
        "",
        f"Simulated: particles of {', '.join(about['particles'])}, {about['diameter_A'][0]:g} to"
        f" {about['diameter_A'][1]:g} Å across, on films of amorphous carbon of {about['film_A'][0]:g} to"
        f" {about['film_A'][1]:g} Å, at {' and '.join(f'{v:g}' for v in about['voltages_kV'])} kV:"
        f" {about['micrographs']} micrographs of {about['composites']} composites, each under conditions of its own"
        " ([config/particles.yaml](../config/particles.yaml)). Real: the images of"
        " [real-micrographs.md](real-micrographs.md). Of these the model is told the pixel size, and nothing else.",
        "",
        "## On films that it has not seen",
        "",
        f"The model sees {', '.join(card['features'])}; recall of each state on simulated films that were left out:",
        "",
        "| state | recall |",
        "| --- | ---: |",
        *(f"| {row['state']} | {row['recall']:.3f} |" for row in card["states"]),
        "",
        "## Particle or film, blind to brightness",
        "",
        "Windows of 21 Å, each wholly in one state, cut first, plane taken off, divided by its standard deviation; AUC"
        " on the 20 images of `nanoparticles/`, mean (worst), by linear models of simulated windows alone. *Relative*:"
        " less the mean over the windows of the image, over their standard deviation, which takes no label but knows"
        " that about as many windows show either. In brackets on simulated films that were left out.",
        "",
        "| windows | features | " + " | ".join(ROWS) + " |",
        "| --- | --- |" + " ---: |" * len(ROWS),
    ]
    for name, of in found["blind"].items():
        for how in ("absolute", "relative"):
            cells = [
                f"{of[how][r]['mean']:.3f} ({of[how][r]['worst']:.3f}) [{of[how][r]['on films']:.3f}]" for r in ROWS
            ]
            bodies.append(f"| {name} | {how} | " + " | ".join(cells) + " |")
    seen = found["particles"]
    bodies += [
        "",
        "## Particle or film, all that the image shows",
        "",
        f"The model as it is: AUC {seen['auc']['mean']:.3f} (worst {seen['auc']['worst']:.3f}), overlap with the masks"
        f" (intersection over union) {seen['iou']['mean']:.3f} (worst {seen['iou']['worst']:.3f}); it abstains on"
        f" {seen['abstained']:.0%} of the area. Brightness alone solves these masks.",
        "",
        "## Vacuum, carbon and particle",
        "",
        "Balanced accuracy on the certain regions of real images on carbon, the mean over two sets of regions.",
        "",
        "| sees | " + " | ".join(data.CARBON) + " |",
        "| --- |" + " ---: |" * len(data.CARBON),
    ]
    for row, values in found["carbon"].items():
        cells = []
        for name in data.CARBON:
            mine = [value for value in values if value["image"] == name]
            cells.append(f"{np.mean([value['balanced'] for value in mine]):.3f}")
        bodies.append(f"| {row} | " + " | ".join(cells) + " |")
    model = {name: [v for v in found["carbon"]["the model"] if v["image"] == name] for name in data.CARBON}
    cells = [f"{np.mean([v['answered'] for v in of]):.3f}" for of in model.values()]
    bodies += [
        f"| the model, abstention counted as wrong | {' | '.join(cells)} |",
        "",
        "The other rows count the most probable state also where the model abstains: "
        + ", ".join(f"{np.mean([v['abstained'] for v in of]):.0%} of {name}" for name, of in model.items())
        + " (certain places). It does so where an image's spectra or grey values are unlike those that it trained on.",
        "",
        "![Real images and their maps by simulations alone](figures/transfer.png)",
        "",
        "## How many strokes is the simulation worth?",
        "",
        "Strokes of each state on the image itself; balanced accuracy on the rest of what is certain, mean (worst) over"
        " images and sets of regions. Filters, contrast and lifetimes, a linear model.",
        "",
        "| strokes of a state | labels alone | labels and simulations |",
        "| --- | ---: | ---: |",
    ]
    for each, values in found["strokes"].items():
        cells = [
            f"{np.mean([v[row]['balanced'] for v in values]):.3f} ({min(v[row]['balanced'] for v in values):.3f})"
            for row in ("labels", "labels and simulations")
        ]
        bodies.append(f"| {each} | " + " | ".join(cells) + " |")
    points = curves(found)
    said = ", ".join(f"{n} with them as {strokes:.1f} alone" for n, strokes in worth(points))
    bodies += [
        "",
        "![Accuracy against strokes, with and without simulations](figures/strokes.png)",
        "",
        f"Simulations without a stroke give {points['labels and simulations'][0][1]:.3f}, one stroke of each state"
        f" without simulations {points['labels alone'][0][1]:.3f}. Strokes are worth: {said}.",
        "",
        "## What it does not do",
        "",
        "- Windows are described relative to their image, so the model knows no dose, transfer or defocus in numbers:"
        " that these lie outside its ranges does not make it abstain, spectra and grey values unlike its own do.",
        "- Imaging on a GPU (`run.device: gpu`) was not measured: none was at hand.",
        "",
        f"Made by `python benchmarks/transfer.py` on {found['date']}; model {found['model']}.",
        "",
    ]
    return "\n".join(bodies)


def summary(found: Mapping[str, Any]) -> list[str]:
    """Targets and what was reached."""
    # the row is chosen by the films that were left out, not by the real images
    equal, plain = (
        max((of[how][row] for how in ("absolute", "relative") for row in ROWS), key=lambda one: one["on films"])["mean"]
        for of in (found["blind"]["noise equalised"], found["blind"]["as they are"])
    )
    shown = found["particles"]["auc"]["mean"]
    names = ("PtCo3", "pt_on_carbon")
    model = [v for v in found["carbon"]["the model"] if v["image"] in names]
    none, answered = (np.mean([v[key] for v in model]) for key in ("balanced", "answered"))
    one = [v for v in found["strokes"].get("1", []) if v["image"] in names]
    stroke = np.mean([v["labels and simulations"]["balanced"] for v in one]) if one else float("nan")
    table = [
        ("particle or film, blind to brightness: AUC of the row that is best on simulated films", plain, 0.80),
        ("the same, counting noise equalised", equal, None),
        ("particle or film, all that the image shows: AUC", shown, 0.97),
        ("vacuum, carbon, particle on PtCo3 and pt_on_carbon, no label: balanced accuracy", none, 0.75),
        ("the same, abstention counted as wrong", answered, 0.75),
        ("vacuum, carbon, particle on both with one stroke a state: balanced accuracy", stroke, 0.92),
    ]
    lines = ["| | measured | target | reached |", "| --- | ---: | ---: | --- |"]
    for what, value, target in table:
        aim = "" if target is None else f"{target:.2f}"
        reached = "" if target is None else "yes" if value >= target else "**no**"
        lines.append(f"| {what} | {value:.3f} | {aim} | {reached} |")
    return lines


if __name__ == "__main__":
    main()
