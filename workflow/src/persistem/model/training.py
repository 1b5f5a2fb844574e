"""Training a model of the states for a microscope, from simulated micrographs of specimens of known states.

One classifier serves all defoci, doses and thicknesses, since a microscopist knows them only roughly. It is assessed by
MD seeds: a window is classified, and called unlike the training, only by models that have not seen its seed.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem import study
from persistem.conditions.features import numbers
from persistem.descriptors import windows
from persistem.errors import PersistemError
from persistem.imaging.detector import binning, detected
from persistem.imaging.micrographs import read_micrograph
from persistem.imaging.optics import underfocus
from persistem.imaging.varied import read_varied, recorded
from persistem.learning.classifiers import TREES, classifier
from persistem.learning.intervals import seed_means
from persistem.learning.models import decisions
from persistem.learning.rows import stack
from persistem.learning.validation import Candidate, CropLabels, checked, nested, without
from persistem.model import bundle, card, contrast_factor, unlike
from persistem.model.classifier import Classifier, Model, calibrator
from persistem.model.contrast_factor import Factored, Gauge
from persistem.model.trees import trees_of
from persistem.store.digests import digest_of
from persistem.study import Detector, ModelSettings
from persistem.study.checks import MINIMUM_SEEDS
from persistem.study.mapping import BLOCKS
from persistem.study.settings import section

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from persistem.model.unlike import Distribution
    from persistem.study import Windows

    Blocks = dict[str, NDArray[Any]]
    #: Dose (e/Å², None without noise) and factor of the contrast of an image.
    Shot = tuple[float | None, float]

#: Bump when this stage's results change for the same study.
VERSION = 6

#: The blocks that say whether a window is like the training, whichever blocks tell the states apart. Persistence is not
#: among them: the tails of its block, where a level holds a pair in one window of a hundred, would drown all else. With
#: it vacuum and crystals lie ten times nearer, in units of the threshold, to amorphous and liquid GaN.
JUDGED = ("contrast", "spectrum")
#: Cameras that record vacuum: their pixels, in those of ``windows.sampling``, and their transfer at Nyquist. A camera's
#: is not the model's, so they range from counting detectors to scintillators, and from fine pixels to coarse ones.
CAMERAS = tuple(product((0.5, 1.0, 1.1), (1.0, 0.7, 0.5, 0.35, 0.25)))
#: Windows along a picture of vacuum of one camera at one dose.
VACUA = 6
#: Dose of vacuum (e/Å²) for a model that has no noise.
DOSE = 400.0
#: Factors of the contrast at which a model is assessed, beside the ends of the range that it is trained at.
FACTORS = (0.5, 0.67, 0.85, 1.0, 1.18, 1.5)
#: Its multiples, modulo 1, fill an interval evenly, however many they are.
GOLDEN = (math.sqrt(5) - 1) / 2


class Probes(NamedTuple):
    """Windows that do not train: the same micrographs with their contrast times each of several factors.

    Blocks (windows, length), what the windows show, the ``factor`` and ``underfocus`` (Å) of each, and the ``dose``
    (e/Å²) of all.
    """

    X: Blocks
    crops: CropLabels
    factor: NDArray[np.float64]
    underfocus: NDArray[np.float64]
    dose: float | None

    def factored(self) -> Factored:
        """The same as windows whose contrast can be read."""
        X, crops = {name: self.X[name] for name in JUDGED}, self.crops
        return Factored(X, crops.micrograph, crops.seed, self.underfocus, self.factor, np.zeros(len(crops.y), bool))


class Training(NamedTuple):
    """The windows of a training: blocks (windows, length), what they show, and how they were taken.

    ``dose`` in e/Å², infinite without noise, and ``thickness`` in Å have one entry per window, NaN where nobody knows.
    ``noise`` has the ``JUDGED`` blocks of windows that show only the counting noise of vacuum. ``probes`` need three
    seeds or more.
    """

    X: Blocks
    crops: CropLabels
    dose: NDArray[np.float64]
    thickness: NDArray[np.float64]
    noise: Blocks
    probes: Probes | None = None
    #: Windows that say how strong the contrast of an image is; they need three seeds too.
    factored: Factored | None = None
    #: Of micrographs under drawn conditions: the value of each condition of every window, by name.
    conditions: dict[str, NDArray[np.float64]] = {}  # noqa: RUF012 (never changed)


def train(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Write the bundle of a model of the states as the folder ``out``.

    Parameters
    ----------
    settings
        ``states``; ``model``, the section of the study; ``imaging``, the lens, with the voltage and the conventions
        of the defocus; ``material`` and ``preparation`` in words; ``sources``, one for each micrograph: specimen,
        state, seeds, thickness and defocus (Å), path of the micrograph, summary of the specimen
    root
        folder that paths are relative to
    out
        folder
    jobs
        processes; they do not change the result

    Raises
    ------
    PersistemError
        if a file cannot be read or shows no usable window, or a state has no micrograph.
    """
    started = time.monotonic()
    asked: study.ModelSettings = section(study.ModelSettings, settings["model"])
    training = described(settings, asked, root, jobs)
    print(f"{time.monotonic() - started:6.0f} s  {len(training.crops.y)} windows described", flush=True)
    model, about = trained(settings, asked, training, root, jobs)
    print(f"{time.monotonic() - started:6.0f} s  trained and assessed", flush=True)
    bundle.write(out, model, card.text(model.card), about)


def trained(
    settings: dict[str, Any], asked: ModelSettings, training: Training, root: Path, jobs: int = 1
) -> tuple[Model, dict[str, Any]]:
    """The model of a training with its card, and what else its bundle says; ``settings`` are those of ``train``."""
    classifier, distribution, assessment = fit(training, asked, jobs)
    facts = card.facts(settings, asked, training, classifier, distribution, assessment, root)
    voltage, sign = settings["imaging"]["voltage"], settings["imaging"]["defocus_sign"]
    defoci = [underfocus(defocus, sign) for s in settings["sources"] for defocus in card.defoci_of(s)]
    model = Model(
        tuple(settings["states"]),
        asked.windows,
        float(voltage),
        (float(min(defoci)), float(max(defoci))),
        facts,
        classifier,
        distribution,
        gauge=assessment.get("gauge"),
    )
    about = {
        "study": digest_of("models", VERSION, settings, []),
        "doses_e_A2": list(asked.trained_doses),
        "thicknesses_A": sorted({float(s["thickness"]) for s in settings["sources"]}),
    }
    return model, about


def described(
    settings: dict[str, Any], asked: ModelSettings, root: Path, jobs: int = 1, gauged: bool = True
) -> Training:
    """The valid windows of every micrograph at every dose, in a fixed order; with those ``factored`` if ``gauged``.

    The contrast of an image of a real specimen is known less well than its shape. So the noise-free intensities of each
    image that trains are scaled about their mean before they are counted, by a factor of its own in the range of
    ``asked.contrast``; the same one for all states that share seed, thickness and defocus.
    """
    from joblib import Parallel, delayed

    states = settings["states"]
    blocks = described_blocks(asked)
    if asked.conditions is not None:
        return _under_conditions(settings, asked, blocks, root, jobs)
    ordered = sorted(
        settings["sources"], key=lambda s: (s["seeds"], states.index(s["state"]), s["thickness"], s["defocus"])
    )
    taken = [_shots(ordered, asked.doses, asked.contrast), _probed(ordered, asked)]
    taken += [_factored(ordered, asked) if gauged else [[] for _ in ordered]]
    voltage, sign = settings["imaging"]["voltage"], settings["imaging"]["defocus_sign"]
    done = Parallel(n_jobs=jobs)(
        delayed(_described)(root / s["path"], asked, list(zip(shots, (blocks, blocks, JUDGED), strict=True)), voltage)
        for s, *shots in zip(ordered, *taken, strict=True)
    )
    known, probes, factored = (
        [(s, shot, of) for s, parts in zip(ordered, done, strict=True) for shot, of in parts[k]] for k in range(3)
    )
    X, crops, shot_of = _stacked(known, states)
    thickness = np.array([s["thickness"] for s, *_ in known], float)[crops.micrograph]
    doses = np.array([np.inf if dose is None else dose for dose, _ in shot_of], float)
    training = Training(X, crops, doses, thickness, noise_alone(asked))
    if probes:
        X, crops, shot_of = _stacked(probes, states)
        factors = np.array([factor for _, factor in shot_of])
        training = training._replace(probes=Probes(X, crops, factors, underfocus(crops.defocus, sign), _lowest(asked)))
    if factored:
        training = training._replace(factored=_joined_factors(known, factored, states, sign))
    return training


def _joined_factors(
    known: list[tuple[dict[str, Any], Shot, Blocks]],
    wider: list[tuple[dict[str, Any], Shot, Blocks]],
    states: list[str],
    sign: str,
) -> Factored:
    """The windows of the images that train, and of the same at factors of a wider range."""
    judged = [(s, shot, {name: of[name] for name in JUDGED}) for s, shot, of in [*known, *wider]]
    X, crops, shot_of = _stacked(judged, states)
    factors = np.array([factor for _, factor in shot_of])
    trained = crops.micrograph < len(known)
    return Factored(X, crops.micrograph, crops.seed, underfocus(crops.defocus, sign), factors, trained)


def _under_conditions(
    settings: dict[str, Any], asked: ModelSettings, blocks: list[str], root: Path, jobs: int
) -> Training:
    """The valid windows of micrographs under drawn conditions, in a fixed order."""
    from joblib import Parallel, delayed

    states, voltage = settings["states"], settings["imaging"]["voltage"]
    ordered = sorted(settings["sources"], key=lambda s: (s["seeds"], states.index(s["state"]), s["path"]))
    done = Parallel(n_jobs=jobs)(delayed(_described_varied)(root / s["path"], asked, blocks, voltage) for s in ordered)
    known = [
        (s | {"defocus": c.get("defocus", 0.0)}, (c.get("dose"), c.get("contrast", 1.0)), of, c)
        for s, images in zip(ordered, done, strict=True)
        for c, of in zip(s["conditions"], images, strict=True)
    ]
    X, crops, shot_of = _stacked([one[:3] for one in known], states)
    thickness = np.array([s["thickness"] for s, *_ in known], float)[crops.micrograph]
    doses = np.array([np.inf if dose is None else dose for dose, _ in shot_of], float)
    names = sorted({name for *_, c in known for name in c} - {"wave", "tilt"})
    conditions = {
        name: np.array([np.inf if c[name] is None else c[name] for *_, c in known], float)[crops.micrograph]
        for name in names
        if not name.endswith("_angle")
    }
    return Training(X, crops, doses, thickness, noise_alone(asked), conditions=conditions)


def described_blocks(asked: ModelSettings, also: Iterable[str] = JUDGED) -> list[str]:
    """The blocks that windows are described by: those of the candidates and some others, in a fixed order."""
    seen = {*(block for candidate in asked.candidates for block in candidate), *also}
    return [block for block in BLOCKS if block in seen]


def _stacked(
    images: list[tuple[dict[str, Any], Shot, Blocks]], states: list[str]
) -> tuple[Blocks, CropLabels, list[Shot]]:
    """Blocks and labels of the windows of images, and the dose and factor of each window."""
    stacked = stack(((s["state"], s["seeds"][0], s["defocus"], of) for s, _, of in images), states)
    return stacked.X, stacked.crops, [images[k][1] for k in stacked.crops.micrograph]


def _shots(
    sources: list[dict[str, Any]], doses: Sequence[float | None], contrast: tuple[float, float]
) -> list[list[Shot]]:
    """For each source, the doses, each with a factor of its contrast from a range."""
    low, high = contrast
    conditions = [(s["seeds"][0], s["thickness"], s["defocus"]) for s in sources]
    first = {condition: k * len(doses) for k, condition in enumerate(sorted(set(conditions)))}
    return [
        [(dose, low * (high / low) ** ((first[of] + k + 0.5) * GOLDEN % 1)) for k, dose in enumerate(doses)]
        for of in conditions
    ]


def _factored(sources: list[dict[str, Any]], asked: ModelSettings) -> list[list[Shot]]:
    """For each source, what says how strong the contrast of an image is: each dose at factors of a wider range."""
    if _fewest_seeds(sources) < MINIMUM_SEEDS:
        return [[] for _ in sources]
    low, high = asked.contrast
    doses = [dose for dose in asked.doses for _ in range(contrast_factor.EACH)]
    return _shots(sources, doses, (low / contrast_factor.WIDER, high * contrast_factor.WIDER))


def _fewest_seeds(sources: list[dict[str, Any]]) -> int:
    """The smallest number of seeds that a state has."""
    by_state: dict[str, set[int]] = {}
    for source in sources:
        by_state.setdefault(source["state"], set()).add(source["seeds"][0])
    return min(map(len, by_state.values()))


def _probed(sources: list[dict[str, Any]], asked: ModelSettings) -> list[list[Shot]]:
    """For each source, the lowest dose with every factor if it is the one that is probed of its state and seed.

    All states of a seed are probed at the same thickness and defocus, never in a further condition (``spread``); the
    seeds are spread evenly over the thicknesses and defoci that all states have.
    """
    conditions: dict[str, set[tuple[float, float]]] = {s["state"]: set() for s in sources}
    own = [source for source in sources if not source.get("spread")]
    for source in own:
        conditions[source["state"]].add((source["thickness"], source["defocus"]))
    keys = sorted(set.intersection(*conditions.values()))
    if not keys or _fewest_seeds(own) < MINIMUM_SEEDS:
        return [[] for _ in sources]
    seeds = sorted({source["seeds"][0] for source in own})
    at = {seed: keys[k * len(keys) // len(seeds)] for k, seed in enumerate(seeds)}
    every = [(_lowest(asked), factor) for factor in sorted({*FACTORS, *asked.contrast})]
    return [
        every if not s.get("spread") and at[s["seeds"][0]] == (s["thickness"], s["defocus"]) else [] for s in sources
    ]


def _lowest(asked: ModelSettings) -> float | None:
    """The lowest dose of a model, e/Å²; None if it has no noise."""
    return min((dose for dose in asked.doses if dose is not None), default=None)


def noise_alone(asked: ModelSettings) -> Blocks:
    """Blocks (windows, length) of the noise of vacuum as cameras record it: at every dose of a model, and ``CAMERAS``.

    The noise of a model without any is that of ``DOSE``.
    """
    return dict(_noise_alone(asked.windows, tuple(dose for dose in asked.trained_doses if dose is not None) or (DOSE,)))


# an assessment trains many models of the same windows
@lru_cache(maxsize=2)
def _noise_alone(wanted: Windows, doses: tuple[float, ...]) -> Blocks:
    side = windows.side(wanted)
    by_block: dict[str, list[NDArray[Any]]] = {name: [] for name in JUDGED}
    for dose, (pixel, mtf) in product(doses, CAMERAS):
        across = math.ceil(VACUA * side / pixel)
        vacuum = detected(np.ones((across, across)), pixel * wanted.sampling, Detector(dose=dose, mtf=mtf))
        image = windows.resample(vacuum, pixel * wanted.sampling, wanted.sampling)
        description = windows.describe_windows(image, wanted, side, JUDGED)
        for name in JUDGED:
            by_block[name].append(description.blocks[name][description.valid])
    return {name: np.concatenate(parts) for name, parts in by_block.items()}


def fit(training: Training, asked: ModelSettings, jobs: int = 1) -> tuple[Classifier, Distribution, dict[str, Any]]:
    """The classifier, the distribution of the training, and how good both are on unseen seeds.

    The assessment has ``seeds``, the smallest number that a state has; ``chosen``, the candidate; and with three seeds
    or more ``nested`` (outcome of nested cross-validation), ``abstained`` (share of unseen windows, by seed), ``gauge``
    (what reads the contrast of images, if the training has ``factored`` windows), and for the probes ``predicted`` and
    ``probes_abstained`` (windows,). With fewer, the first candidate is taken, and probabilities and thresholds come
    from the training windows. Raises PersistemError if windows do not fit together or a state has none.
    """
    from threadpoolctl import threadpool_limits

    X, crops, probes = training.X, training.crops, training.probes
    count = len(crops.y)
    candidates = [Candidate(tuple(blocks), TREES, c) for blocks in asked.candidates for c in sorted(asked.C)]
    X = X | checked(X, crops, candidates, "pooled")
    seeds = min(len(np.unique(crops.seed[crops.y == label])) for label in np.unique(crops.y))
    assessed = seeds >= MINIMUM_SEEDS
    assessment: dict[str, Any] = {"seeds": seeds, "chosen": candidates[0]}
    if assessed:
        # windows that train, and after them those that only probe
        judged_too, labels = (X, crops) if probes is None else _joined(X, crops, probes)
        trains = np.arange(len(labels.y)) < count
        outcome = nested(judged_too, labels, {"model": candidates}, "pooled", jobs, trains)["model"]
        # a map shows the most probable state
        predicted = outcome.probability.argmax(axis=1)
        assessment["nested"] = outcome._replace(probability=outcome.probability[:count], predicted=predicted[:count])
        assessment["predicted"] = predicted[count:]
        assessment["chosen"], scores = chosen(X, crops, candidates, jobs)
    with threadpool_limits(1):
        features = assessment["chosen"].features
        lengths = {name: X[name].shape[1] for name in features}
        grown = classifier(TREES, assessment["chosen"].C).fit(np.hstack([X[name] for name in features]), crops.y)
        fitted = Classifier(lengths, trees_of(grown), None)
        fitted = replace(fitted, calibration=calibrator(scores if assessed else fitted.scores(X), crops.y))
        judged = {name: X[name] for name in JUDGED}
        distribution = unlike.distribution(judged, training.noise)
        if assessed:
            every = {name: judged_too[name] for name in JUDGED}
            left_out = unlike.left_out(every, training.noise, labels.seed, len(distribution.variances), trains)
            alone = [of for left, of in left_out.items() if len(left) == 1]
            distances = np.concatenate([unseen[trains[rows]] for rows, unseen in alone])
            beyond = unlike.abstained(left_out, labels.seed, asked.outside, trains)
            if training.factored is not None:
                assessment["gauge"], without = contrast_factor.assessed(
                    training.factored, asked.contrast, asked.outside
                )
                beyond |= _of_other_contrast(training.factored, probes, without, asked)
            assessment["abstained"] = seed_means(beyond, labels.seed, trains)
            assessment["probes_abstained"] = beyond[count:]
        else:
            distances = distribution.distances(judged)
    thresholds = unlike.thresholds(distances, asked.outside)
    return fitted, replace(distribution, thresholds=thresholds), assessment


def _of_other_contrast(
    factored: Factored, probes: Probes | None, without: dict[int, Gauge], asked: ModelSettings
) -> NDArray[np.bool_]:
    """Whether the image of each window that trains, and after them of each that probes, is of another contrast."""
    area = (windows.step(asked.windows, asked.stride) / windows.side(asked.windows)) ** 2
    judged = [factored.where(factored.trained), *([] if probes is None else [probes.factored()])]
    return np.concatenate([contrast_factor.beyond(without, of, area) for of in judged])


def _joined(X: Blocks, crops: CropLabels, probes: Probes) -> tuple[Blocks, CropLabels]:
    """Windows that train and windows that probe, one after the other."""
    after = probes.crops.micrograph + crops.micrograph.max() + 1
    pairs = zip(crops[:4], (*probes.crops[:3], after), strict=True)
    y, seed, defocus, micrograph = (np.concatenate(pair) for pair in pairs)
    labels = CropLabels(y, seed, defocus, micrograph, crops.states)
    return {name: np.concatenate([X[name], probes.X[name]]) for name in X}, labels


def chosen(
    X: Blocks, crops: CropLabels, candidates: Sequence[Candidate], jobs: int = 1
) -> tuple[Candidate, NDArray[np.float64]]:
    """The candidate that is best on seeds left out (of equals the first), and its scores there; seeds weigh equally."""
    from joblib import Parallel, delayed

    splits = [without(crops, (seed,), "pooled") for seed in np.unique(crops.seed).tolist()]
    alike: dict[tuple[str, ...], list[Candidate]] = {}
    for candidate in candidates:
        alike.setdefault(candidate.features, []).append(candidate)
    tasks = [(features, split) for features in alike for split in splits]
    done = Parallel(n_jobs=jobs)(
        delayed(decisions)({name: X[name] for name in features}, crops, split, alike[features], "pooled")
        for features, split in tasks
    )
    scores = {c: np.zeros((len(crops.y), crops.y.max() + 1)) for c in candidates}
    right: dict[Candidate, list[float]] = {c: [] for c in candidates}
    for (features, split), several in zip(tasks, done, strict=True):
        for candidate, decided in zip(alike[features], several, strict=True):
            scores[candidate][split.test] = decided[0]
            right[candidate].append(float((decided[0].argmax(axis=1) == crops.y[split.test]).mean()))
    best = max(candidates, key=lambda c: round(float(np.mean(right[c])), 12))
    return best, scores[best]


def as_trained(
    intensity: NDArray[Any], pixel_size: float, asked: ModelSettings, dose: float | None, factor: float = 1.0
) -> tuple[NDArray[Any], float]:
    """What the model's detector records of an intensity (rows, columns) with pixels of ``pixel_size`` Å, and its pixel.

    The intensity is first scaled about its mean by ``factor``. Whole simulated pixels are binned to about the sampling
    of the windows.
    """
    sampling = asked.windows.sampling
    count = binning(pixel_size, sampling)
    # mtf is stated at the Nyquist frequency of the model's pixels; the detector's differ a little from them
    mtf = None if asked.mtf is None else asked.mtf ** ((sampling / (count * pixel_size)) ** 2)
    condition = {"contrast": factor, "pixel_size": count * pixel_size, "dose": dose, "mtf": mtf}
    return recorded(intensity, pixel_size, condition)


def _described_varied(path: Path, asked: ModelSettings, blocks: list[str], voltage: float) -> list[Blocks]:
    """Blocks (windows, length) of the valid windows of each micrograph of a file."""
    return [
        _valid(image, pixel_size, asked, blocks, voltage, f"{path}: micrograph {k}")
        for k, (image, pixel_size) in enumerate(read_varied(path))
    ]


def _valid(
    image: NDArray[Any], pixel_size: float, asked: ModelSettings, blocks: Sequence[str], voltage: float, name: str
) -> Blocks:
    """Blocks (windows, length) of the valid windows of an image with pixels of ``pixel_size`` Å."""
    wanted = asked.windows
    try:
        resampled = windows.resample(image, pixel_size, wanted.sampling)
        description = windows.describe_windows(resampled, wanted, windows.step(wanted, asked.stride), blocks)
    except PersistemError as error:
        raise PersistemError(f"{name}: {error}") from error
    if not description.valid.any():
        raise PersistemError(f"{name}: no window of {wanted.size:g} Å is valid; its micrograph is constant")
    found = {block: values[description.valid] for block, values in description.blocks.items()}
    if "conditions" in blocks:
        found["conditions"] = np.tile(numbers(image, pixel_size, voltage), (description.valid.sum(), 1))
    return found


def _described(
    path: Path, asked: ModelSettings, parts: list[tuple[list[Shot], Sequence[str]]], voltage: float
) -> list[list[tuple[Shot, Blocks]]]:
    """Blocks (windows, length) of the valid windows of one micrograph, for each part its blocks at its shots."""
    intensity, about = read_micrograph(path)
    done: list[list[tuple[Shot, Blocks]]] = []
    for shots, blocks in parts:
        done.append([])
        for dose, factor in shots:
            try:
                image, pixel_size = as_trained(intensity, about["pixel_size_A"], asked, dose, factor)
            except PersistemError as error:
                raise PersistemError(f"{path}: {error}") from error
            done[-1].append(((dose, factor), _valid(image, pixel_size, asked, blocks, voltage, str(path))))
    return done
