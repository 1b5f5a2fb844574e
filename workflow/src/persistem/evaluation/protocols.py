"""The paper's numbers under every protocol of a design, or under those that a search comes upon.

A protocol answers every open question at once. Its numbers are the accuracies that the paper states, of one MD seed
under the paper's random split, and those of the same models on the next seed, which they have not seen. A search
screens by a fractional design and then tries, again and again, the protocols that differ in one answer from the best
that it has not left yet. The best is the one whose largest deviation from the paper is smallest on any one seed, since
the paper had one specimen of each state.

Crops, diagrams and persistence images are shared by all protocols that agree in them. What is finished is in a journal
beside the result, so that a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import json
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.evaluation.designs import Protocol, fractional, full, neighbours
from persistem.imaging.optics import focused
from persistem.learning.classifiers import classifier, factored, projected, scaled
from persistem.learning.splits import Split, random_splits
from persistem.store import seals
from persistem.store.files import atomic
from persistem.study import Learning, Recipe
from persistem.study.settings import section
from persistem.topology.diagrams import read_diagrams
from persistem.topology.persistence_images import DEGREES, persistence_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Bump when this stage's results change for the same study.
VERSION = 2

#: What protocols share, by the factors that change it.
SHARED = ("diagrams", "images")
#: Seeds and recipes whose persistence images are kept in memory: all seeds of a finalist, which are judged in turn.
KEPT = 10
#: How far fits of LR and SVC converge, and rounds of liblinear's: thousands are fitted. Of real diagrams LR to 1e-6 and
#: 1e-4 agreed in all of 288 predictions, SVC to 1e-4 and 1e-3 too. Unscaled features converge in no 100,000 rounds;
#: scikit-learn stops at 1,000 by default.
TOLERANCE, ROUNDS = {"LR": 1e-4, "SVC": 1e-3}, 10_000


class Crops(NamedTuple):
    """Crops of one seed: persistence images by degree (crops, length), and label, defocus (Å) and place of each."""

    X: tuple[NDArray[np.float32], ...]
    y: NDArray[np.int_]
    defocus: Array
    place: NDArray[np.int_]


class Found(NamedTuple):
    """The numbers of a protocol on one seed: (repetitions, numbers), and (numbers,) on the next seed, or none."""

    numbers: list[list[float]]
    unseen: list[float]


Known = dict[tuple[Protocol, int], Found]


def protocols_file(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Write the numbers of every protocol as Parquet.

    Columns: ``protocol`` (number), ``origin`` (design, or how the search came upon it), a column for each question with
    the answer, ``seed``, ``repetition``, each number by ``name_of``, and the same on the next seed with ``unseen``
    before it, for the first repetition.

    Parameters
    ----------
    settings
        ``states``; ``seeds``; ``numbers`` (degrees, model, foci, accuracy: the paper's); ``factors`` (question and
        answers, the study's own first); ``design`` (a design of ``study.Multiverse``); and what protocols use:
        ``diagrams``, ``images`` and ``learning``, each with the ``factors`` that change it and ``by``, which has the
        value for each choice of their answers
    root
        folder that paths are relative to
    jobs
        number of processes; it does not change the result

    Raises
    ------
    PersistemError
        if a file cannot be read or its crops cannot be divided.
    """
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", flush=True)

    journal = out.with_suffix(".journal")
    if known := read_journal(journal):
        say(f"{len({protocol for protocol, _ in known})} protocols are known from a run that was stopped")

    def evaluate(protocols: Iterable[Protocol]) -> Known:
        return remembered(settings, root, protocols, known, journal, jobs)

    results, origins = explored(settings, evaluate, say)
    with atomic(out) as part:
        _write(settings, results, origins, part)
    journal.unlink(missing_ok=True)


def explored(
    settings: dict[str, Any], evaluate: Callable[[Iterable[Protocol]], Known], say: Callable[[str], None]
) -> tuple[Known, dict[Protocol, str]]:
    """The protocols of a design or a search, evaluated, and where each comes from, in that order."""
    counts = [len(factor["answers"]) for factor in settings["factors"]]
    design = settings["design"]
    method, budget = design["method"], design["budget"]
    first = full(counts) if method == "full" else fractional(counts, design["resolution"])
    origins = dict.fromkeys(first, "screening" if method == "search" else method)
    results = evaluate(first)
    say(f"{len(origins)} protocols of the design; {_nearest(settings, results)}")
    if method != "search":
        return results, origins
    rng = np.random.default_rng(design["seed"])
    left: set[Protocol] = set()
    while len(origins) < budget and len(left) < len(origins):
        best = min((p for p in origins if p not in left), key=lambda p: (score(settings, results, p), p))
        left.add(best)
        new = [p for p in neighbours(best, counts) if p not in origins]
        chosen = [new[k] for k in rng.permutation(len(new))[: budget - len(origins)]]
        results |= evaluate(chosen)
        origins |= dict.fromkeys(chosen, "improving")
        say(f"{len(origins)} of {budget} protocols; {_nearest(settings, results)}")
    return results, origins


def score(settings: dict[str, Any], results: Known, protocol: Protocol) -> float:
    """The largest deviation of a protocol's mean numbers from the paper, on the seed where it is smallest."""
    means = [np.mean(results[protocol, seed].numbers, axis=0) for seed in settings["seeds"]]
    return float(away(means, settings["numbers"]).min())


def away(means: Sequence[Any] | Array, numbers: Sequence[dict[str, Any]]) -> Array:
    """The largest deviation of mean numbers (seeds, numbers) from the paper's, on each seed."""
    paper = [number["accuracy"] for number in numbers]
    return np.asarray(np.abs(np.asarray(means) - paper).max(axis=1))


def remembered(
    settings: dict[str, Any], root: Path, protocols: Iterable[Protocol], known: Known, journal: Path, jobs: int
) -> Known:
    """The numbers of protocols on every seed; those that are not known are added, and written into a journal."""
    wanted = [(protocol, seed) for protocol in protocols for seed in settings["seeds"]]
    with journal.open("a") as file:
        file.write("\n")  # a line that was cut short must not take the next one with it
        for protocol, seed, found in evaluated(settings, root, [key for key in wanted if key not in known], jobs):
            known[protocol, seed] = found
            file.write(json.dumps([protocol, seed, *found]) + "\n")
            file.flush()
    return {key: known[key] for key in wanted}


def evaluated(
    settings: dict[str, Any], root: Path, wanted: Sequence[tuple[Protocol, int]], jobs: int
) -> Iterable[tuple[Protocol, int, Found]]:
    """The numbers of protocols on seeds, as they are finished; what is shared is computed once."""
    from joblib import Parallel, delayed

    groups: dict[tuple[Any, ...], list[Protocol]] = defaultdict(list)
    for protocol, seed in wanted:
        groups[seed, *(choice(settings, name, protocol) for name in SHARED)].append(protocol)
    tasks = (delayed(_group)(settings, root, key[0], protocols) for key, protocols in sorted(groups.items()))
    for seed, found in Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks):
        for protocol, numbers in found:
            yield protocol, seed, numbers


def choice(settings: dict[str, Any], name: str, protocol: Protocol) -> str:
    """The answers of a protocol that change one of the parts that protocols share, as the key of that part."""
    return ".".join(str(protocol[k]) for k in settings[name]["factors"])


def used(settings: dict[str, Any], name: str, protocol: Protocol) -> Any:
    """What a protocol uses of ``diagrams``, ``images`` or ``learning``."""
    return settings[name]["by"][choice(settings, name, protocol)]


def learning_of(settings: dict[str, Any], protocol: Protocol) -> Learning:
    """How a protocol learns."""
    asked = used(settings, "learning", protocol) | {"repetitions": settings["design"]["repetitions"]}
    learning: Learning = section(Learning, asked)
    return learning


def crops_of(settings: dict[str, Any], root: Path, protocol: Protocol, seed: int) -> Crops:
    """The crops of a seed as a protocol describes them. Raises PersistemError if a file cannot be used."""
    diagrams = used(settings, "diagrams", protocol)
    files = tuple((s["path"], s["state"]) for s in diagrams["sources"] if s["seed"] == seed)
    recipe = json.dumps(used(settings, "images", protocol), sort_keys=True)
    return _read(root, files, tuple(settings["states"]), tuple(diagrams["defoci"]), diagrams["crops"], recipe)


def numbers_of(
    settings: dict[str, Any],
    right: dict[tuple[str, str], NDArray[np.bool_]],
    defocus: Array,
    in_focus: float | Sequence[float],
) -> list[float]:
    """Each of the paper's numbers, of whether crops are classified rightly by degrees and model."""
    rows = {"all": np.ones(len(defocus), bool), "in-focus": focused(defocus, in_focus)}
    return [
        round(float(right[n["degrees"], n["model"]][rows[n["foci"]]].mean()), 6) if rows[n["foci"]].any() else np.nan
        for n in settings["numbers"]
    ]


def models_of(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Degrees and model of every fit that the numbers need."""
    return list(dict.fromkeys((number["degrees"], number["model"]) for number in settings["numbers"]))


def block(crops: Crops, degrees: str) -> Array:
    """The persistence images of some degrees, ``0``, ``1`` or ``0+1``, side by side."""
    return np.hstack([crops.X[int(degree)] for degree in degrees.split("+")]).astype(np.float64)


def read_journal(file: Path) -> Known:
    """What runs that were stopped had finished; a line that was cut short does not count."""
    known: Known = {}
    for line in file.read_text().splitlines() if file.is_file() else ():
        try:
            protocol, seed, numbers, unseen = json.loads(line)
        except ValueError:
            continue
        known[tuple(protocol), seed] = Found(numbers, unseen)
    return known


def answers_of(settings: dict[str, Any], protocol: Protocol) -> dict[str, str]:
    """The answers of a protocol in words, by question."""
    return {f["question"]: f["answers"][a] for f, a in zip(settings["factors"], protocol, strict=True)}


def name_of(number: dict[str, Any]) -> str:
    """The column of a number: degrees, model and foci, as in ``0+1 SVC in-focus``."""
    return f"{number['degrees']} {number['model']} {number['foci']}"


def read_protocols(file: Path) -> dict[str, list[Any]]:
    """The columns that ``protocols_file`` wrote. Raises PersistemError if the file has none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table: dict[str, list[Any]] = pq.ParquetFile(file).read().to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise PersistemError(f"{file}: not a Parquet file of protocols ({error})") from error
    if missing := {"protocol", "origin", "seed", "repetition"} - table.keys():
        raise PersistemError(f"{file}: has no column {min(missing)}; it is not a file of protocols")
    return table


def _group(
    settings: dict[str, Any], root: Path, seed: int, protocols: Sequence[Protocol]
) -> tuple[int, list[tuple[Protocol, Found]]]:
    """The numbers of protocols that share diagrams and images."""
    from threadpoolctl import threadpool_limits

    seeds = settings["seeds"]
    own = crops_of(settings, root, protocols[0], seed)
    following = seeds[(seeds.index(seed) + 1) % len(seeds)]
    other = crops_of(settings, root, protocols[0], following) if following != seed else None
    shared = _Shared({}, {}, {})
    # sums round differently with another number of threads; the limit holds for the libraries loaded by now
    with threadpool_limits(1):
        return seed, [(p, _found(settings, own, other, seed, learning_of(settings, p), shared)) for p in protocols]


class _Inner(NamedTuple):
    """Inner products of crops of one degree: of those that train, and of the others with them; the largest value."""

    trained: Array
    others: Array
    largest: float


class _Shared(NamedTuple):
    """What ways to learn share: inner products, coordinates, and which crops are classified rightly by a fit."""

    inner: dict[tuple[Any, ...], _Inner]
    vectors: dict[tuple[Any, ...], tuple[Array, Array]]
    right: dict[tuple[Any, ...], NDArray[np.bool_]]


def _found(
    settings: dict[str, Any], own: Crops, other: Crops | None, seed: int, learning: Learning, shared: _Shared
) -> Found:
    """The numbers of one way to learn."""
    place = own.place if learning.split_unit == "place" else None
    splits = random_splits(
        own.y, np.full(len(own.y), seed), own.defocus, learning.test_fraction, learning.repetitions,
        learning.split_seed, place,
    )  # fmt: skip
    numbers, unseen = [], [np.nan] * len(settings["numbers"])
    for split in splits:
        # the next seed is judged once: specimens scatter more than splits
        elsewhere = other if split.group == 0 else None
        right = {key: _right(own, elsewhere, split, *key, learning, shared) for key in models_of(settings)}
        trained, own_crops = len(split.train), len(split.train) + len(split.test)
        judged = {"test": slice(trained, own_crops), "training": slice(trained), "all": slice(own_crops)}
        rows = judged[learning.judged]
        defocus = np.concatenate([own.defocus[split.train], own.defocus[split.test]])[rows]
        ours = {key: hits[rows] for key, hits in right.items()}
        numbers.append(numbers_of(settings, ours, defocus, learning.in_focus))
        if elsewhere is not None:
            theirs = {key: hits[own_crops:] for key, hits in right.items()}
            unseen = numbers_of(settings, theirs, elsewhere.defocus, learning.in_focus)
    return Found(numbers, unseen)


def _right(
    own: Crops, other: Crops | None, split: Split, degrees: str, model: str, learning: Learning, shared: _Shared
) -> NDArray[np.bool_]:
    """Whether crops are classified rightly: those that train, those held out, and those of another seed."""
    drawn = (split.group, learning.split_unit, learning.test_fraction, learning.split_seed)
    scale = (degrees, learning.scaling, *drawn)
    if scale not in shared.vectors:
        shared.vectors[scale] = _vectors(own, other, split, degrees, learning.scaling, drawn, shared)
    penalised = model in learning.penalised_intercept
    fit = (*scale, model, learning.C, penalised)
    if fit not in shared.right:
        known, new = shared.vectors[scale]
        fitted = classifier(model, learning.C, penalised, TOLERANCE[model], ROUNDS)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Liblinear failed to converge")
            fitted.fit(known, own.y[split.train])
        y = np.concatenate([own.y[split.train], own.y[split.test], *([] if other is None else [other.y])])
        # as ``predict`` of two states, but that of libsvm takes the support vectors one by one
        called = np.concatenate([known, new]) @ fitted.coef_[0] + fitted.intercept_[0] > 0
        shared.right[fit] = called == y
    return shared.right[fit]


def _vectors(
    own: Crops, other: Crops | None, split: Split, degrees: str, scaling: str, drawn: tuple[Any, ...], shared: _Shared
) -> tuple[Array, Array]:
    """Crops that train, and the others, in as few coordinates as keep their inner products; as ``reduced``.

    Inner products of both degrees side by side are sums of those of each.
    """
    parts = []
    for degree in degrees.split("+"):
        key = (degree, scaling == "standard", *drawn)
        if key not in shared.inner:
            shared.inner[key] = _inner(own, other, split, int(degree), scaling == "standard")
        parts.append(shared.inner[key])
    largest = max(part.largest for part in parts) or 1.0
    by = {
        "maximum": [largest] * len(parts),
        "maximum by degree": [part.largest or 1.0 for part in parts],
    }.get(scaling, [1.0] * len(parts))
    trained = sum(part.trained / unit**2 for part, unit in zip(parts, by, strict=True))
    others = sum(part.others / unit**2 for part, unit in zip(parts, by, strict=True))
    known, basis = factored(np.asarray(trained))
    return known, projected(known[basis], np.asarray(others)[:, basis].T)


def _inner(own: Crops, other: Crops | None, split: Split, degree: int, standard: bool) -> _Inner:
    """Inner products of crops of one degree, standardised or as they are."""
    X = own.X[degree]
    train = X[split.train].astype(np.float64)
    others = np.concatenate([X[split.test], *([] if other is None else [other.X[degree]])]).astype(np.float64)
    largest = float(train.max())
    if standard:
        train, others = scaled(train, others, "standard")
    return _Inner(train @ train.T, others @ train.T, largest)


@lru_cache(KEPT)
def _read(
    root: Path,
    files: tuple[tuple[str, str], ...],
    states: tuple[str, ...],
    defoci: tuple[float, ...],
    n: int,
    text: str,
) -> Crops:
    """The persistence images of the diagrams in files, and what their crops show."""
    recipe = section(Recipe, json.loads(text))
    images, labels = [], []
    for path, state in files:
        seals.check(root / path)
        table = read_diagrams(root / path)
        try:
            images.append(persistence_images(table, recipe, n * len(defoci)))
        except PersistemError as error:
            raise PersistemError(f"{root / path}: {error}") from error
        labels.append(np.full(n * len(defoci), states.index(state)))
    X = np.concatenate(images)
    return Crops(
        tuple(X[:, k] for k in range(len(DEGREES))),
        np.concatenate(labels),
        np.tile(np.repeat(np.array(defoci, float), n), len(files)),
        np.tile(np.arange(n), len(defoci) * len(files)),
    )


def _nearest(settings: dict[str, Any], results: Known) -> str:
    best = min(score(settings, results, protocol) for protocol in {p for p, _ in results})
    return f"the nearest deviates from the paper by {best:.3f} at most"


def _write(settings: dict[str, Any], results: Known, origins: dict[Protocol, str], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    for k, (protocol, origin) in enumerate(origins.items()):
        answers = answers_of(settings, protocol)
        for seed in settings["seeds"]:
            found = results[protocol, seed]
            for repetition, numbers in enumerate(found.numbers):
                row = {"protocol": k, "origin": origin, **answers, "seed": seed, "repetition": repetition}
                unseen = found.unseen if repetition == 0 else [np.nan] * len(numbers)
                for number, value, elsewhere in zip(settings["numbers"], numbers, unseen, strict=True):
                    row |= {name_of(number): value, f"unseen {name_of(number)}": elsewhere}
                rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), out, compression="zstd")
