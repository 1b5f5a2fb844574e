"""One model for conditions that nobody told it, beside models of one condition each: docs/conditions.md.

The study (config/conditions.yaml) draws conditions for each seed, the same for all its states. Some more are drawn that
no training has, and every specimen is imaged under each. Seeds are left out in turn, and judged under these by four
models:

- generalist: trained on the drawn conditions of the other seeds;
- conditioned: the same, and sees what a micrograph says of its own conditions;
- told: the same, and is told the true conditions, which no micrograph says;
- specialist: trained on the other seeds under the very condition that it is tested at.

Needs the finished micrographs of the study (`snakemake model --configfile config/conditions.yaml`). What is imaged here
is kept in results/tried, and taken from there by the next run. Writes docs/conditions.md, docs/conditions.json and a
picture.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed
from measure import ROOT
from real import rounded

sys.path.insert(0, str(ROOT / "workflow/src"))
from persistem.conditions.features import NAMES
from persistem.imaging.exit_waves import exit_wave
from persistem.imaging.varied import drawn, of_wave, varied_file
from persistem.learning.classifiers import TREES, classifier
from persistem.learning.intervals import interval, seed_means
from persistem.learning.validation import Candidate
from persistem.model import training
from persistem.model.classifier import Classifier, calibrator
from persistem.model.trees import trees_of
from persistem.plan.plan import Plan
from persistem.store import paths
from persistem.store.digests import digest_of
from persistem.study import Imaging, ModelSettings
from persistem.study.load import load_study
from persistem.study.settings import section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from persistem.learning.validation import CropLabels
    from persistem.model.training import Training

    Array = NDArray[np.float64]
    Blocks = Mapping[str, NDArray[Any]]

#: What the models see.
SEEN = ("contrast", "spectrum", "persistence")
MODELS = {
    "generalist": SEEN, "conditioned": (*SEEN, "conditions"), "told": (*SEEN, "told"), "specialist": SEEN
}  # fmt: skip
#: Shares of the drawn conditions of every specimen that generalists also train on, to see what more would bring.
FEWER = (0.25, 0.5)
#: Tells the conditions that are tried from those of every seed.
KEY, SEED = [1000], 1
#: Windows whose most probable state has a probability in this range are those of which it is said nine times in ten.
NINETY = (0.85, 0.95)
#: What an image says of itself is right within these: the dose (relative), the defocus (Å, or relative).
DOSE, DEFOCUS = 0.15, (15.0, 0.1)
#: How conditions are told: before the value, and after it.
WORDS = (
    ("defocus", "defocus ", " Å"),
    ("thickness", "", " Å thick"),
    ("dose", "", " e/Å²"),
    ("mtf", "transfer ", ""),
    ("astigmatism", "A1 ", " Å"),
    ("coma", "B2 ", " Å"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=ROOT / "config/conditions.yaml", help="config/conditions.yaml")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that holds results/ (this repository)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the record is written (docs)")
    parser.add_argument("--tried", type=int, default=6, help="conditions that are tried (6)")
    parser.add_argument("--jobs", type=int, default=2, help="processes; they change no number (2)")
    options = parser.parse_args()
    started = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - started:.0f} s  {what}", flush=True)

    plan = Plan(load_study(options.study))
    known = plan.model.settings
    asked: ModelSettings = section(ModelSettings, known["model"])
    assert asked.conditions is not None
    asked = asked.model_copy(update={"candidates": (SEEN, MODELS["conditioned"])})
    if absent := [source["path"] for source in known["sources"] if not (options.root / source["path"]).is_file()]:
        sys.exit(f"{absent[0]}: is not there; run snakemake model --configfile {options.study} first")
    general = knowing(training.described(known, asked, options.root, options.jobs))
    say(f"{general.crops.micrograph.max() + 1} micrographs under drawn conditions described")
    once = {"number": options.tried, "waves": options.tried, "seed": SEED}
    conditions = drawn(asked.conditions.model_copy(update=once), KEY)
    special = []
    for condition in conditions:
        settings = known | {"sources": imaged(plan, condition | {"wave": 0}, options.root, options.jobs)}
        special.append(knowing(training.described(settings, asked, options.root, options.jobs)))
        say(f"imaged and described under {worded(condition)}")
    C = asked.C[0]
    answers: dict[str, list[Array]] = {}
    for name, seen in MODELS.items():
        if name == "specialist":
            answers[name] = [answered(one, [one], seen, C, options.jobs)[0] for one in special]
        else:
            answers[name] = answered(general, [*special, general], seen, C, options.jobs)
        say(f"{name} trained and tested")
    number = asked.conditions.number
    curve = {}
    for share in FEWER:
        few = fewer(general, number, share)
        curve[round(number * share)] = mean_of(answered(few, special, SEEN, C, options.jobs), special)
        say(f"generalist of {round(number * share)} conditions a specimen trained and tested")
    curve[number] = mean_of(answers["generalist"][:-1], special)
    labels = np.concatenate([one.crops.y for one in [*special, general]])
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "study": plan.study.name,
        "seeds": len(np.unique(general.crops.seed)),
        "states": list(known["states"]),
        "window_A": asked.windows.size,
        "micrographs": int(general.crops.micrograph.max() + 1),
        "ranges": asked.conditions.ranges(),
        "tried": [
            {"condition": worded(c)} | {name: scores(answers[name][k], special[k].crops) for name in MODELS}
            for k, c in enumerate(conditions)
        ],
        "drawn": {name: scores(answers[name][-1], general.crops) for name in MODELS if name != "specialist"},
        "recall": {name: recall(answers[name][-1], general.crops) for name in MODELS if name != "specialist"},
        "curve": curve,
        "said": said(general),
        "claimed": {name: claimed(np.concatenate(of), labels[: sum(map(len, of))]) for name, of in answers.items()},
    }
    found = rounded(found)
    options.docs.mkdir(parents=True, exist_ok=True)
    (options.docs / "conditions.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    (options.docs / "conditions.md").write_text(record(found))
    picture(found, options.docs / "figures/conditions.png")
    say(f"written: {options.docs / 'conditions.md'}")


def knowing(trained: Training) -> Training:
    """The same windows with a block ``told``: the true conditions of each; of the dose the noise, 1/√dose."""
    columns = [
        np.where(np.isinf(values), 0.0, values**-0.5) if name == "dose" else values
        for name, values in sorted(trained.conditions.items())
    ]
    return trained._replace(X={**trained.X, "told": np.stack(columns, axis=1).astype(np.float32)})


def fewer(trained: Training, number: int, share: float) -> Training:
    """The windows of the first of ``number`` conditions of every specimen."""
    kept = trained.crops.micrograph % number < round(number * share)
    X = {name: block[kept] for name, block in trained.X.items()}
    return trained._replace(X=X, crops=trained.crops.of(kept))


def mean_of(answers: list[Array], tests: list[Training]) -> float:
    """Accuracy of windows, the mean over tried conditions."""
    return fmean(scores(of, test.crops)["accuracy"] for of, test in zip(answers, tests, strict=True))


def recall(probability: Array, crops: CropLabels) -> dict[str, float]:
    """The share of the windows of each state that are right, over seeds that weigh equally."""
    right = (probability.argmax(axis=1) == crops.y).astype(float)
    return {
        state: fmean(seed_means(right, crops.seed, crops.y == label).values())
        for label, state in enumerate(crops.states)
    }


def imaged(plan: Plan, condition: dict[str, Any], root: Path, jobs: int) -> list[dict[str, Any]]:
    """Every specimen imaged under a condition: sources, as those of a model's settings."""
    imaging = of_wave(plan.study.imaging, condition)
    sources = []
    for record_ in plan.records():
        structure = plan.structure(record_["specimen"])
        digest = digest_of("tried", 1, {"condition": condition, "structure": structure}, [])
        own = {"thickness": imaging.thickness, "conditions": [condition], "path": f"{paths.RESULTS}/tried/{digest}.npz"}
        sources.append(record_ | own | {"summary": plan.summary(record_["specimen"])})
    Parallel(n_jobs=jobs)(
        delayed(_imaged)(root / plan.structure(s["specimen"]), imaging, condition, root / s["path"]) for s in sources
    )
    return sources


def _imaged(structure: Path, imaging: Imaging, condition: dict[str, Any], out: Path) -> None:
    if out.is_file():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "wave.zarr"
        exit_wave(structure, imaging, wave)
        varied_file(wave, imaging, [condition], out)


def answered(trained: Training, tests: list[Training], seen: tuple[str, ...], C: float, jobs: int) -> list[Array]:
    """Probabilities of the windows of several sets, each seed's by a model of all other seeds."""
    seeds = np.unique(trained.crops.seed).tolist()
    done = Parallel(n_jobs=jobs)(delayed(_judged)(trained, tests, seen, C, seed) for seed in seeds)
    found = []
    for k, test in enumerate(tests):
        probability = np.zeros((len(test.crops.y), len(test.crops.states)))
        for seed, of in zip(seeds, done, strict=True):
            probability[test.crops.seed == seed] = of[k]
        found.append(probability)
    return found


def _judged(trained: Training, tests: list[Training], seen: tuple[str, ...], C: float, seed: int) -> list[Array]:
    rest = trained.crops.seed != seed
    fitted = learned({name: trained.X[name][rest] for name in seen}, trained.crops.of(rest), seen, C)
    return [fitted.probability({name: test.X[name][test.crops.seed == seed] for name in seen}) for test in tests]


def learned(X: Blocks, crops: CropLabels, seen: tuple[str, ...], C: float) -> Classifier:
    """Trees of windows, calibrated by seeds left out in turn."""
    _, scores = training.chosen(dict(X), crops, [Candidate(seen, TREES, C)])
    trees = classifier(TREES, C).fit(np.hstack([X[name] for name in seen]), crops.y)
    return Classifier({name: X[name].shape[1] for name in seen}, trees_of(trees), calibrator(scores, crops.y))


def scores(probability: Array, crops: CropLabels) -> dict[str, Any]:
    """Share of windows right and of micrographs right by the mean of their windows, over seeds that weigh equally.

    Every state of a seed weighs equally too, however many specimens it has.
    """
    right = (probability.argmax(axis=1) == crops.y).astype(float)
    windows = _by_seed(right, crops)
    first, inverse = np.unique(crops.micrograph, return_index=True, return_inverse=True)[1:]
    votes = np.zeros((len(first), probability.shape[1]))
    np.add.at(votes, inverse, probability)
    label, seed = crops.y[first], crops.seed[first]
    vote = seed_means((votes.argmax(axis=1) == label).astype(float), seed)
    low, high = interval(list(windows.values()), 0, 1)
    return {"accuracy": fmean(windows.values()), "low": low, "high": high, "vote": fmean(vote.values())}


def _by_seed(right: Array, crops: CropLabels) -> dict[int, float]:
    by_state = [seed_means(right, crops.seed, crops.y == label) for label in np.unique(crops.y)]
    return {seed: fmean(of[seed] for of in by_state if seed in of) for seed in np.unique(crops.seed).tolist()}


def claimed(probability: Array, y: NDArray[np.int_]) -> dict[str, Any]:
    """Of windows whose most probable state has nine tenths or so: what is claimed, and the share that is right."""
    most = probability.max(axis=1)
    some = (most >= NINETY[0]) & (most <= NINETY[1])
    if not some.any():
        return {"windows": 0, "claimed": float("nan"), "right": float("nan")}
    right = probability[some].argmax(axis=1) == y[some]
    return {"windows": int(some.sum()), "claimed": float(most[some].mean()), "right": float(right.mean())}


def said(trained: Training) -> dict[str, dict[str, float]]:
    """Of micrographs under drawn conditions, how many say their dose and defocus, and how many of these are right.

    ``micrographs`` are those that have it, as one without noise has no dose; ``says`` and ``right`` are shares, the
    second of those that say it. ``off`` is the median deviation: of the dose relative, of the defocus in Å.
    """
    first = np.unique(trained.crops.micrograph, return_index=True)[1]
    block = dict(zip(NAMES, trained.X["conditions"][first].T, strict=True))
    found = {}
    for name, flag, value in (("dose", "counted", 10 ** block["dose"]), ("defocus", "rings", block["defocus"])):
        if name not in trained.conditions:
            continue
        true = np.abs(trained.conditions[name][first])
        has, says = np.isfinite(true), block[flag] > 0
        away = np.abs(value - true)
        limit = DOSE * true if name == "dose" else np.maximum(DEFOCUS[0], DEFOCUS[1] * true)
        told = has & says
        off = away[told] / (true[told] if name == "dose" else 1)
        found[name] = {
            "micrographs": int(has.sum()),
            "says": float(says[has].mean()),
            "right": float((away <= limit)[told].mean()) if told.any() else float("nan"),
            "off": float(np.median(off)) if told.any() else float("nan"),
        }
    return found


def worded(condition: Mapping[str, Any]) -> str:
    """A condition in words."""
    words = []
    for name, before, unit in WORDS:
        if name in condition:
            value = condition[name]
            words.append("no noise" if value is None else f"{before}{float(f'{value:.3g}'):,g}{unit}")
    if "tilt" in condition:
        words.append(f"tilt {np.hypot(*condition['tilt']):.0f} mrad")
    return ", ".join(words)


def record(found: dict[str, Any]) -> str:
    """The page of the record."""
    tried, drawn_ = found["tried"], found["drawn"]
    behind = {
        name: [row["specialist"]["accuracy"] - row[name]["accuracy"] for row in tried]
        for name in ("generalist", "conditioned")
    }
    rows = []
    for name, of in behind.items():
        rows += [
            (f"{name}: behind the specialists, mean over conditions", f"{fmean(of):.3f}", "0.05", fmean(of) <= 0.05),
            (f"{name}: the same, the worst condition", f"{max(of):.3f}", "0.10", max(of) <= 0.10),
            (f"{name}: a micrograph's vote, all drawn conditions", f"{drawn_[name]['vote']:.3f}", "0.95",
             drawn_[name]["vote"] >= 0.95),
            (f"{name}: right of windows told with 90 %", f"{found['claimed'][name]['right']:.3f}", "0.87 to 0.93",
             0.87 <= found["claimed"][name]["right"] <= 0.93),
        ]  # fmt: skip
    lines = [
        "# One model for conditions that nobody told it",
        "| | measured | target | reached |\n| --- | ---: | ---: | --- |\n"
        + "\n".join(f"| {what} | {is_} | {aim} | {'yes' if yes else '**no**'} |" for what, is_, aim, yes in rows),
        f"{' | '.join(found['states'])}, windows of {found['window_A']:g} Å, {found['micrographs']} micrographs under"
        f" drawn conditions ([config/{found['study']}.yaml](../config/{found['study']}.yaml)). Each of {found['seeds']}"
        " seeds is judged by models that have not seen it, under conditions that no training micrograph had. The"
        " generalist is told no condition; the conditioned model sees what the micrograph says of itself (dose,"
        " transfer, information limit, contrast, rings), *told* the true conditions; a specialist trains under the very"
        " condition that it is tested at.",
        f"Drawn by a Sobol sequence for each seed, the same for all its states: {'; '.join(ranged(found['ranges']))}."
        " The specimens hold no thicker slab.",
        "![Accuracy by condition](figures/conditions.png)",
        "## By condition",
        "Accuracy of windows on unseen seeds, with 95 % over seeds; in brackets the micrograph's vote.",
        f"| condition | {' | '.join(MODELS)} |\n| --- |{' ---: |' * len(MODELS)}\n"
        + "\n".join(f"| {row['condition']} | {' | '.join(_cell(row[name]) for name in MODELS)} |" for row in tried)
        + f"\n| all drawn conditions | {' | '.join(_cell(drawn_[name]) for name in drawn_)} | |",
        "## Why",
        why(found),
        "## Whether nine in ten are nine in ten",
        f"Windows whose most probable state has {NINETY[0]:g} to {NINETY[1]:g}.",
        "| | windows | claimed | right |\n| --- | ---: | ---: | ---: |\n"
        + "\n".join(
            f"| {name} | {of['windows']} | {of['claimed']:.3f} | {of['right']:.3f} |"
            for name, of in found["claimed"].items()
        ),
        "## What a micrograph says of its dose and defocus",
        f"Of the {found['micrographs']} under drawn conditions. Right: the dose within {100 * DOSE:g} %, the defocus,"
        f" whose sign is not told, within {DEFOCUS[0]:g} Å or {100 * DEFOCUS[1]:g} %. Near focus there are no rings,"
        " and the image does not say.",
        "| | micrographs | say it | of these right | median deviation |\n| --- | ---: | ---: | ---: | ---: |\n"
        + "\n".join(_told(name, of) for name, of in found["said"].items()),
        f"Made by `python benchmarks/conditions.py` on {found['date']}.",
    ]
    return "\n\n".join(lines) + "\n"


def why(found: Mapping[str, Any]) -> str:
    """What holds the models back: what the image does not say, how few conditions they train on, and which states."""
    special, plain, known = (
        fmean(row[name]["accuracy"] for row in found["tried"]) for name in ("specialist", "generalist", "told")
    )
    curve = ", ".join(f"{value:.3f} with {number}" for number, value in found["curve"].items())
    recalls = "; ".join(
        f"{name}: " + ", ".join(f"{state} {value:.2f}" for state, value in of.items())
        for name, of in found["recall"].items()
    )
    return "\n".join(
        [
            f"- Told every condition, a model of the same micrographs has {known:.3f} on the tried ones, mean, where"
            f" the generalist has {plain:.3f} and specialists {special:.3f}.",
            f"- Conditions of every specimen that the generalist trains on: {curve}.",
            f"- Right of each state under the drawn conditions: {recalls}.",
        ]
    )


def _told(name: str, of: Mapping[str, float]) -> str:
    off = f"{100 * of['off']:.1f} %" if name == "dose" else f"{of['off']:.1f} Å"
    return f"| {name} | {of['micrographs']} | {of['says']:.2f} | {of['right']:.2f} | {off} |"


def ranged(ranges: Mapping[str, Any]) -> list[str]:
    """The ranges that conditions are drawn from, in words."""
    units = {"tilt": " mrad", "dose": " e/Å²", "mtf": ""}
    found = []
    for name, ends in ranges.items():
        unit = units.get(name, " Å")
        if name == "tilt":
            found.append(f"tilt up to {ends:g}{unit}")
        elif isinstance(ends, list):
            upper = "without noise" if ends[1] is None else f"{ends[1]:g}"
            found.append(f"{name} {ends[0]:g} to {upper}{'' if ends[1] is None else unit}")
    return found


def _cell(of: dict[str, Any]) -> str:
    ends = "" if of["low"] is None else f" ({of['low']:.2f} to {of['high']:.2f})"
    return f"{of['accuracy']:.3f}{ends} [{of['vote']:.2f}]"


def picture(found: dict[str, Any], out: Path) -> None:
    """Accuracy of the three models by condition, as dots with intervals over seeds."""
    from matplotlib.figure import Figure
    from persistem.report.figures.drawing import COLOURS, DPI, style

    tried = found["tried"]
    with style():
        figure = Figure(figsize=(7.2, 0.8 + 0.5 * len(tried)), layout="constrained")
        axis = figure.subplots()
        for k, name in enumerate(MODELS):
            value = np.array([row[name]["accuracy"] for row in tried])
            ends = np.array([[row[name][end] or row[name]["accuracy"] for row in tried] for end in ("low", "high")])
            place = np.arange(len(tried)) + 0.18 * (k - (len(MODELS) - 1) / 2)
            error = np.abs(ends - value)
            axis.errorbar(value, place, xerr=error, fmt="o", color=COLOURS[k], label=name, markersize=4, capsize=2)
        axis.set_yticks(np.arange(len(tried)), [row["condition"] for row in tried], fontsize=6)
        axis.axvline(1 / len(found["states"]), color="0.6", linestyle=":")
        least = min(row[name]["low"] or row[name]["accuracy"] for row in tried for name in MODELS)
        axis.set_xlim(max(0.0, min(0.3, least - 0.03)), 1.0)
        axis.invert_yaxis()
        axis.set_xlabel("accuracy of windows on unseen seeds")
        figure.legend(loc="outside upper center", ncols=len(MODELS), frameon=False)
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=DPI)


if __name__ == "__main__":
    main()
