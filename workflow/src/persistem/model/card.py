"""The card of a model: what it was trained on, how good it is on unseen seeds, and what it cannot do."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.evaluation.curves import calibration
from persistem.learning.classifiers import LEAVES, ROUNDS
from persistem.learning.intervals import DEPENDENT, seed_means, summary
from persistem.learning.validation import tabulate
from persistem.model import contrasts
from persistem.model.unlike import STATISTICS, Distribution
from persistem.store.files import read_json
from persistem.study.checks import MINIMUM_SEEDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.model.classifier import Classifier
    from persistem.model.contrast_factor import Gauge
    from persistem.model.training import Training
    from persistem.study import Conditions, ModelSettings

#: What is imaged, by the method of preparation.
PREPARED = {
    "none": "end states",
    "inherent": "inherent structures (minimised)",
    "snapshots": "mean over snapshots",
    "stack": "stacks of slabs",
}
#: Units of what the accuracy is told by.
UNITS = {
    "defocus": "Å", "thickness": "Å", "astigmatism": "Å", "coma": "Å", "drift": "Å", "pixel_size": "Å",
    "energy_spread": "eV", "dose": "e/Å²", "tilt": "mrad", "mtf": "", "contrast": "",
}  # fmt: skip
#: Groups in which the accuracy under drawn conditions is told.
BINS = 5
#: Columns of the accuracy table.
ACCURACY = ("accuracy", "ci_low", "ci_high", "vote", "vote_low", "vote_high", "n_test")


def facts(
    settings: dict[str, Any],
    asked: ModelSettings,
    training: Training,
    classifier: Classifier,
    distribution: Distribution,
    assessment: dict[str, Any],
    root: Path,
) -> dict[str, Any]:
    """The card as plain values.

    Each line of ``accuracy`` is ``by`` all, state, defocus (Å), dose (e/Å²; null without noise) or thickness (Å), with
    the ``value`` of it. ``pairs`` are any two states (``_pairs``), ``contrast`` is of ``contrasts.assessed``. With too
    few seeds ``accuracy``, ``pairs``, ``contrast``, ``calibration`` and ``abstained`` are empty, and ``assessed`` says
    so.
    """
    sources, seeds = settings["sources"], assessment["seeds"]
    assessed = seeds >= MINIMUM_SEEDS
    few = f"not assessed: {_count(seeds, 'seed')}, {MINIMUM_SEEDS} of every state are needed"
    folds = _count(len(np.unique(training.crops.seed)), "seed")
    by_state = {
        state: sorted({int(seed) for s in sources if s["state"] == state for seed in s["seeds"]})
        for state in settings["states"]
    }
    densities = _densities(sources, settings["states"], root)
    contrast = contrasts.assessed(assessment, training, asked, settings["states"])
    return {
        "states": settings["states"],
        "trained_on": {
            "material": settings["material"],
            "preparation": PREPARED[settings["preparation"]],
            "seeds": by_state,
            "density_g_cm3": densities,
            "microscope": settings["imaging"],
            "defoci_A": _shown(sorted({float(defocus) for s in sources for defocus in defoci_of(s)}), asked),
            "defocus_convention": f"{settings['imaging']['defocus_sign']}, zero at the {_plane(settings)}",
            "doses_e_A2": list(asked.trained_doses),
            "contrast": list(asked.trained_contrast),
            "mtf_at_nyquist": asked.mtf,
            "thicknesses_A": _shown(sorted({float(s["thickness"]) for s in sources}), asked),
            **({"conditions": _ranges(asked.conditions)} if asked.conditions is not None else {}),
            "spread": [spread.model_dump(mode="json") for spread in asked.spread],
            "sampling_A": asked.windows.sampling,
            "window_A": asked.windows.size,
            "micrographs": sum(len(s["conditions"]) if "conditions" in s else len(asked.doses) for s in sources),
            "windows": len(training.crops.y),
            "windows_by_state": {
                state: int(np.count_nonzero(training.crops.y == k)) for k, state in enumerate(settings["states"])
            },
        },
        "classifier": {
            "model": f"{ROUNDS} gradient boosted trees of {LEAVES} leaves",
            "features": list(classifier.lengths),
            "C": assessment["chosen"].C,
            "candidates": [list(blocks) for blocks in asked.candidates],
            "C_candidates": sorted(asked.C),
        },
        "assessed": f"leave-seed-out over {folds}" if assessed else few,
        "accuracy": _accuracy(assessment["nested"], training, settings["states"]) if assessed else [],
        "pairs": _pairs(assessment["nested"], training, settings["states"]) if assessed else [],
        "contrast": contrast,
        "chosen_without": _choices(assessment),
        "calibration": _calibration(assessment, training),
        "unlike": {
            "share_asked": asked.outside,
            "thresholds_from": "windows of seeds left out" if assessed else f"the training windows; {few}",
            "thresholds": dict(zip(STATISTICS, map(float, distribution.thresholds), strict=True)),
            "components": len(distribution.variances),
            "blocks": list(distribution.scaling),
            **({"contrast_of_images": contrasts.limits(gauge)} if (gauge := assessment.get("gauge")) else {}),
        },
        "abstained": _abstained(assessment),
        "limits": limits(settings, asked, classifier, densities, seeds, contrast, assessment.get("gauge")),
        **({"labelled": settings["labelled"]} if "labelled" in settings else {}),
    }


def limits(
    settings: dict[str, Any],
    asked: ModelSettings,
    classifier: Classifier,
    densities: dict[str, float],
    seeds: int,
    contrast: list[dict[str, Any]],
    gauge: Gauge | None = None,
) -> list[str]:
    """What the model cannot do, in sentences."""
    listed = ", ".join(f"{state} {value:.2f}" for state, value in densities.items())
    thick = " and ".join(f"{t:g}" for t in _shown(sorted({float(s["thickness"]) for s in settings["sources"]}), asked))
    moment = (
        "the mean over snapshots of the atoms"
        if settings["preparation"] == "snapshots"
        else "one frozen arrangement of atoms; so is 'liquid' where it is a state, while atoms of a real liquid move"
        " during the exposure"
    )
    dense = f"The states are equally dense ({listed} g/cm³)."
    if max(densities.values()) > 1.01 * min(densities.values()):
        dense = (
            f"Density differs between the states ({listed} g/cm³), and with it contrast and spectrum: part of what"
            " tells the states apart is how dense they are, not how they are arranged."
        )
    noise = "and with counting noise that the detector's transfer damps as it damps the signal"
    if all(dose is None for dose in asked.trained_doses):
        noise = "and without counting noise, which every image has"
    return [
        *([] if seeds >= MINIMUM_SEEDS else [
            f"Its accuracy is not known and its probabilities are too certain: {_count(seeds, 'seed')} of a state"
        ]),
        f"Every micrograph that trained shows {moment}.",
        dense,
        f"Trained on simulated slabs {thick} Å thick, without a supporting film, contamination or oxide, without"
        f" inelastic scattering, {noise}.",
        "The contrast of real images is often several times lower than that of simulated ones (Hÿtch & Stobbs,"
        " Ultramicroscopy 53 (1994) 191), much of it by the detector's modulation transfer (Thust, Phys. Rev. Lett. 102"
        f" (2009) 220801). This classifier {contrasts.use(asked, classifier)}; whether a window is unlike the training"
        " is judged by its contrast too. On real images distrust both.",
        *([contrasts.sentence(contrast, asked, gauge)] if contrast else []),
        *([contrasts.reading(gauge)] if gauge is not None else []),
        f"Every specimen was seen {_seen(settings['imaging'], asked)}: a crystal in another orientation is"
        " another pattern.",
        f"Trained on {settings['material']} alone. Windows of another material or state are put to one of"
        f" {', '.join(settings['states'])}, unless they are so unlike that the model abstains.",
        f"A window is {asked.windows.size:g} Å wide: where two states meet it holds both, and smaller regions are not"
        " seen.",
        "Probabilities are those of windows taken from the states as often as trained (above), at defoci and doses as"
        " trained; they say nothing of others. A map joins those of all windows that hold a place: it is right more"
        " often than a window, and rather too unsure.",
    ]  # fmt: skip


def text(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    trained, unlike = card["trained_on"], card["unlike"]
    lens = trained["microscope"]
    seeds = "; ".join(f"{state}: {', '.join(map(str, numbers))}" for state, numbers in trained["seeds"].items())
    doses = ", ".join("no noise" if d is None else f"{d:g}" for d in trained["doses_e_A2"])
    rows = {
        "Material": trained["material"],
        "Imaged": trained["preparation"],
        "Seeds": seeds,
        "Density (g/cm³)": ", ".join(f"{state} {value:.2f}" for state, value in trained["density_g_cm3"].items()),
        "Voltage (kV)": f"{lens['voltage']:g}",
        "Cs, Cc (mm)": f"{lens['Cs']:g}, {lens['Cc']:g}",
        "Energy spread (eV)": f"{lens['energy_spread']:g}",
        "Defoci (Å)": f"{_listed(trained, 'defoci_A')} ({trained['defocus_convention']})",
        "Doses (e/Å²)": doses,
        "Contrast, times the simulated": contrasts.span(trained["contrast"]),
        "Modulation transfer at Nyquist": "1"
        if trained["mtf_at_nyquist"] is None
        else f"{trained['mtf_at_nyquist']:g}",
        "Thicknesses (Å)": _listed(trained, "thicknesses_A"),
        **({"Conditions, drawn": _drawn(trained["conditions"])} if "conditions" in trained else {}),
        **({"Also": "; ".join(map(_further, trained["spread"]))} if trained["spread"] else {}),
        "Sampling (Å)": f"{trained['sampling_A']:g}",
        "Window (Å)": f"{trained['window_A']:g}",
        "Micrographs": str(trained["micrographs"]),
        "Windows": ", ".join(f"{state} {count}" for state, count in trained["windows_by_state"].items()),
    }
    if "conditions" in trained:
        for name in ("Doses (e/Å²)", "Contrast, times the simulated", "Modulation transfer at Nyquist"):
            del rows[name]
    lines = [f"# Model of {', '.join(card['states'])}", "", "## Trained on", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    lines += ["", "## Classifier", ""]
    classifier = card["classifier"]
    lines += [
        f"{classifier['model']}, of {' + '.join(classifier['features'])}, C = {classifier['C']:g}.",
        "",
        "## Accuracy",
        "",
    ]
    lines += [f"Assessed: {card['assessed']}.", ""]
    if card["accuracy"]:
        lines += ["| by | value | windows | 95 % | vote of a micrograph | 95 % |", "| --- " * 6 + "|"]
        lines += [
            f"| {row['by']} | {_value(row)} | {row['accuracy']:.3f} | {_interval(row, 'ci')} | {row['vote']:.3f}"
            f" | {_interval(row, 'vote')} |"
            for row in card["accuracy"]
        ]
        lines += ["", f"95 % over seeds (Student's t); {DEPENDENT}."]
        lines += ["", "Two states alone (chance 0.500):", "", "| states | windows | 95 % |", "| --- " * 3 + "|"]
        lines += [
            f"| {' and '.join(pair['states'])} | {pair['accuracy']:.3f} | {_interval(pair, 'ci')} |"
            for pair in card["pairs"]
        ]
        lines += contrasts.lines(card["contrast"], card["states"])
        choices = "; ".join(f"without seed {seed}: {label}" for seed, label in card["chosen_without"].items())
        calibration, abstained = card["calibration"], card["abstained"]
        lines += [
            "",
            f"Chosen by the inner folds: {choices}.",
            "",
            f"Calibration: Brier score {calibration['brier']:.3f} ({_interval(calibration, 'brier')}), where"
            f" {1 - 1 / len(card['states']):.2f} is chance and 0 perfect.",
            "",
            f"Abstains on {abstained['share']:.2%} of the windows of unseen seeds"
            f" ({_interval(abstained, 'share', '.2%')}), where {unlike['share_asked']:.2%} was asked for.",
        ]
    if labelled := card.get("labelled"):
        listed = "; ".join(f"{one['name']} ({one['specimen']}: {', '.join(one['states'])})" for one in labelled)
        lines += [
            "",
            f"Beside the simulations, labelled micrographs train: {listed}. Each of their specimens is left out"
            " as a seed is. Their voltage, defocus and thickness are not asked for; that they fit is up to you.",
        ]
    lines += ["", f"Thresholds of what is unlike the training: from {unlike['thresholds_from']}.", "", "## Limits", ""]
    return "\n".join([*lines, *(f"- {limit}" for limit in card["limits"])]) + "\n"


def _accuracy(outcome: Any, training: Training, states: list[str]) -> list[dict[str, Any]]:
    """Accuracy per window and by a micrograph's vote: over all windows, and by each condition."""
    crops = training.crops
    nothing = -1.0  # no defocus is in focus, so the table has no line for it
    conditions: dict[str, NDArray[Any]] = {
        "state": crops.y.astype(float),
        "defocus": crops.defocus,
        "dose": training.dose,
        "thickness": training.thickness,
    }
    if training.conditions:
        conditions = {"state": conditions["state"], **{k: binned(v) for k, v in training.conditions.items()}}
    rows: list[dict[str, Any]] = []
    for name, values in conditions.items():
        # the table by defocus becomes one by the condition put in its place
        for row in tabulate(outcome, crops._replace(defocus=values), nothing):
            overall = row["foci"] == "all"
            if overall and rows:
                continue
            value: Any = None if overall or np.isinf(float(row["foci"])) else float(row["foci"])
            value = states[int(value)] if name == "state" and not overall else value
            rows.append({"by": "all" if overall else name, "value": value} | {key: row[key] for key in ACCURACY})
    return rows


def binned(values: NDArray[Any]) -> NDArray[np.float64]:
    """Values in ``BINS`` groups of about equal size, each replaced by the median of its group; infinite ones stay."""
    finite = np.isfinite(values)
    found = np.array(values, float)
    kept = found[finite]
    if len(np.unique(kept)) <= BINS:
        return found
    edges = np.quantile(kept, np.linspace(0, 1, BINS + 1))
    group = np.searchsorted(edges[1:-1], kept, side="right")
    middle = np.array([np.median(kept[group == k]) if (group == k).any() else np.nan for k in range(BINS)])
    found[finite] = [float(f"{value:.3g}") for value in middle[group]]
    return found


def defoci_of(source: dict[str, Any]) -> list[float]:
    """The defoci of the micrographs of a source, Å."""
    if "conditions" in source:
        return [condition.get("defocus", 0.0) for condition in source["conditions"]]
    return [source["defocus"]]


def _shown(values: list[float], asked: ModelSettings) -> list[float]:
    """Values one by one, or the ends of their range where they were drawn from one."""
    return values if asked.conditions is None or len(values) < 3 else [values[0], values[-1]]


def _listed(trained: dict[str, Any], name: str) -> str:
    """Numbers one by one, or from the least to the largest where they were drawn."""
    numbers = trained[name]
    if "conditions" not in trained or len(numbers) < 2:
        return _numbers(numbers)
    return f"{numbers[0]:.3g} to {numbers[-1]:.3g}"


def _ranges(conditions: Conditions) -> dict[str, Any]:
    """The ranges and lists that conditions are drawn from, and how many of a specimen."""
    listed = {"listed": conditions.model_dump(mode="json")["listed"]} if conditions.listed else {}
    return {name: getattr(conditions, name) for name in ("number", "waves", "seed")} | conditions.ranges() | listed


def _drawn(ranges: dict[str, Any]) -> str:
    """The ranges and lists in words."""
    said = []
    for name, value in ranges.items():
        if name in ("number", "waves", "seed", "listed"):
            continue
        if values := ranges.get("listed", {}).get(name):
            told = ", ".join(_end(one) for one in values)
        else:
            told = " to ".join(_end(end) for end in (value if isinstance(value, list) else [0.0, value]))
        said.append(f"{name.replace('_', ' ')} {told} {UNITS.get(name, '')}".rstrip())
    return f"{'; '.join(said)}: {ranges['number']} micrographs of each specimen, {ranges['waves']} exit waves"


def _end(value: float | None) -> str:
    return "∞" if value is None else f"{value:g}"


def _pairs(outcome: Any, training: Training, states: list[str]) -> list[dict[str, Any]]:
    """Of the windows of two states, the share that has the higher probability for its own state; chance is 0.5."""
    crops, probability = training.crops, outcome.probability
    rows = []
    for a, b in combinations(range(len(states)), 2):
        own, other = (np.where(crops.y == a, probability[:, i], probability[:, j]) for i, j in ((a, b), (b, a)))
        shown = np.isin(crops.y, (a, b))
        means = seed_means((own > other) + 0.5 * (own == other), crops.seed, shown)
        named = {"states": [states[a], states[b]], "n_test": int(shown.sum())}
        rows.append(named | summary("accuracy", "ci", means))
    return rows


def _choices(assessment: dict[str, Any]) -> dict[str, str]:
    """What the inner folds chose, by the seed they did not see."""
    outcome = assessment.get("nested")
    return {str(seed): c.label() for seed, c in outcome.chosen.items()} if outcome else {}


def _calibration(assessment: dict[str, Any], training: Training) -> dict[str, Any]:
    return calibration(assessment["nested"], training.crops) if "nested" in assessment else {}


def _abstained(assessment: dict[str, Any]) -> dict[str, Any]:
    """Share of the windows of unseen seeds that the model abstains on, with its interval over seeds."""
    if "abstained" not in assessment:
        return {}
    shares = assessment["abstained"]
    by_seed = {str(seed): round(share, 6) for seed, share in shares.items()}
    return summary("share", "share", shares) | {"by_seed": by_seed}


def _densities(sources: list[dict[str, Any]], states: list[str], root: Path) -> dict[str, float]:
    """Mean density of each state's specimens, g/cm³."""
    by_state: dict[str, dict[str, float]] = {state: {} for state in states}
    for source in sources:
        summary = source["summary"]
        if summary not in by_state[source["state"]]:
            by_state[source["state"]][summary] = read_json(root / summary)["density_g_cm3"]
    return {state: round(sum(values.values()) / len(values), 4) for state, values in by_state.items() if values}


def _plane(settings: dict[str, Any]) -> str:
    return "slab's centre" if settings["imaging"]["defocus_origin"] == "centre" else "slab's exit face"


def _further(spread: dict[str, Any]) -> str:
    """A further condition in which a state was trained, in words."""
    return f"{spread['state']}: {', '.join(f'{key} = {value}' for key, value in spread['settings'].items())}"


def _seen(imaging: dict[str, Any], asked: ModelSettings) -> str:
    """How specimens were turned: by the study's own tilt (mrad), and which states by those of further conditions."""
    own = math.hypot(*imaging.get("tilt", (0.0, 0.0)))
    most: dict[str, float] = {}
    for spread in asked.spread:
        if tilt := spread.settings.get("imaging.tilt"):
            most[spread.state] = max(most.get(spread.state, 0.0), math.hypot(*tilt))
    seen = f"{_degrees(own)} off the z axis of its cell" if own else "along the z axis of its cell"
    also = " and ".join(f"{state} up to {_degrees(tilt)} off it" for state, tilt in most.items())
    return f"{seen}, and {also} too" if also else f"{seen} alone"


def _degrees(tilt: float) -> str:
    """A tilt in mrad, in degrees."""
    return f"{math.degrees(tilt / 1000):.1f}°"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _value(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "no noise" if row["by"] == "dose" else ""
    number = isinstance(row["value"], float)
    return f"{row['value']:g} {UNITS.get(row['by'], '')}".rstrip() if number else str(row["value"])


def _interval(row: dict[str, Any], ends: str, form: str = ".3f") -> str:
    low, high = row[f"{ends}_low"], row[f"{ends}_high"]
    return "" if low is None else f"{low:{form}} to {high:{form}}"
