"""What the page computes with: it describes micrographs, learns from labels, and maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from persistem.errors import PersistemError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.reading import Image

#: Called with how much is done, and of how much. It raises an error of its own if the user has cancelled.
Progress = Callable[[int, int], None]


class MapLike(Protocol):
    """What a ``persistem.maps.Map`` has too."""

    @property
    def probability(self) -> NDArray[np.float32]:
        """(rows, columns, states)."""

    @property
    def abstain(self) -> NDArray[np.bool_]:
        """(rows, columns)."""

    @property
    def step(self) -> float:
        """Distance of the windows, Å."""

    @property
    def origin(self) -> tuple[float, float]:
        """Centre (row, column) of the first window, Å, from the micrograph's upper left corner."""

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states, in the order of the probabilities."""


class Trained(Protocol):
    """A trained model."""

    @property
    def scores(self) -> dict[str, Any]:
        """What the page shows of held-out blocks; every key may be missing.

        ``recall`` and ``windows``: a number for each name of a state; ``balanced_accuracy``; ``abstained``, a share;
        ``notes``: sentences.
        """


class Engine(Protocol):
    """What the page asks; it runs in a process of its own, to which it is pickled."""

    def describe(self, image: Image, progress: Progress) -> Any:
        """The description of a micrograph, whose pixel size is known. Slow once; then the engine has it on disk."""

    def train(
        self,
        described: Sequence[Any],
        labels: Sequence[NDArray[np.uint8]],
        states: Mapping[int, str],
        progress: Progress,
    ) -> Trained:
        """A model of the states, from labels (rows, columns) of as many described micrographs."""

    def map(self, model: Any, described: Any) -> MapLike:
        """The map of a described micrograph."""

    def study(self, pixel_size: float) -> dict[str, Any]:
        """What a study says besides ``labelled`` to make the same model; ``pixel_size`` (Å) of the first micrograph."""


#: Side of a window and distance of the nearest ones, pixels; most windows of a micrograph.
SIDE, NEAREST, MOST = 32, 8, 40_000
#: A probability below this is no verdict.
LEAST = 0.6
#: Parts of the held-out blocks.
FOLDS = 5


class Described(NamedTuple):
    """The windows of a micrograph."""

    features: NDArray[np.float32]  # (rows, columns, features)
    valid: NDArray[np.bool_]  # (rows, columns)
    step: int  # pixels
    pixel_size: float  # Å


@dataclass(frozen=True)
class Mapped:
    """A map; see ``MapLike``."""

    probability: NDArray[np.float32]
    abstain: NDArray[np.bool_]
    step: float
    origin: tuple[float, float]
    states: tuple[str, ...]


@dataclass(frozen=True)
class Linear:
    """Logistic regression, and what held-out blocks say of it."""

    pipeline: Any
    states: tuple[str, ...]
    scores: dict[str, Any]


@dataclass(frozen=True)
class WindowEngine:
    """Logistic regression on contrast, spectrum and mean of windows of 32 pixels; ``cache`` is a folder."""

    cache: Path

    def describe(self, image: Image, progress: Progress) -> Described:
        """Describe the windows, every 8 pixels or, of a large micrograph, at larger distances."""
        from sklearn import linear_model, pipeline, preprocessing  # noqa: F401 (2 s, which the first training would take)

        from persistem.descriptors.windows import describe_windows
        from persistem.store.files import atomic
        from persistem.store.seals import sha256
        from persistem.study import Windows

        assert image.pixel_size is not None
        if min(image.pixels.shape) < 2 * SIDE:
            raise PersistemError(f"{image.path}: needs at least {2 * SIDE} pixels a side to be described")
        step = max(NEAREST, math.ceil(math.sqrt(image.pixels.size / MOST)))
        kept = self.cache / f"{sha256(image.path)}-{SIDE}-{step}.npz"
        try:
            with np.load(kept, allow_pickle=False) as found:
                return Described(found["features"], found["valid"], step, image.pixel_size)
        except (OSError, ValueError, KeyError, EOFError):
            pass  # not there, or damaged
        pixels = np.asarray(image.pixels, dtype=np.float32)
        # counted in pixels: the features have no unit
        windows = Windows(sampling=1.0, size=SIDE)
        described = describe_windows(pixels, windows, step, ("contrast", "spectrum"), progress=progress)
        low, middle, high = np.percentile(described.mean, (16, 50, 84))
        brightness = ((described.mean - middle) / ((high - low) or 1.0))[..., None].astype(np.float32)
        features = np.concatenate([described.blocks["contrast"], described.blocks["spectrum"], brightness], axis=-1)
        with atomic(kept) as part, open(part, "wb") as file:
            np.savez(file, features=features, valid=described.valid)
        return Described(features, described.valid, step, image.pixel_size)

    def train(
        self,
        described: Sequence[Described],
        labels: Sequence[NDArray[np.uint8]],
        states: Mapping[int, str],
        progress: Progress,
    ) -> Linear:
        """Train on windows by the label that most of a step's square around their centre has."""
        numbers = sorted(states)
        x, y, blocks = [], [], []
        for k, (one, painted) in enumerate(zip(described, labels, strict=True)):
            found = _rows(one, painted, numbers)
            at = np.argwhere(found >= 0)
            x.append(one.features[found >= 0])
            y.append(found[found >= 0])
            # squares of two windows' sides that are held out together
            blocks.append(at * one.step // (2 * SIDE) @ [1, 1000] + 1_000_000 * k)
        rows, target, block = np.concatenate(x), np.concatenate(y), np.concatenate(blocks)
        counts = np.bincount(target, minlength=len(numbers))
        absent = [states[number] for number, count in zip(numbers, counts, strict=True) if not count]
        if absent:
            raise PersistemError(f"{', '.join(absent)}: no window lies in the labels; paint more of it")
        folds = min(FOLDS, len(np.unique(block)))
        progress(0, folds + 1)
        held = np.full(len(target), -1)
        for fold in range(folds if folds > 1 else 0):
            test = np.unique(block, return_inverse=True)[1] % folds == fold
            if len(np.unique(target[~test])) == len(numbers):
                held[test] = _fitted(rows[~test], target[~test]).predict(rows[test])
            progress(fold + 1, folds + 1)
        pipeline = _fitted(rows, target)
        progress(folds + 1, folds + 1)
        scores = _scores(held, target, [states[n] for n in numbers])
        if len(described) == 1:
            scores["notes"].append("Measured within this one micrograph: on another it may be lower.")
        return Linear(pipeline, tuple(states[n] for n in numbers), scores)

    def map(self, model: Linear, described: Described) -> Mapped:
        """Map every window."""
        shape = described.valid.shape
        found = model.pipeline.predict_proba(described.features.reshape(-1, described.features.shape[-1]))
        probability = found.astype(np.float32).reshape(*shape, -1)
        origin = SIDE / 2 * described.pixel_size
        abstain = ~described.valid | (probability.max(axis=-1) < LEAST)
        return Mapped(probability, abstain, described.step * described.pixel_size, (origin, origin), model.states)

    def study(self, pixel_size: float) -> dict[str, Any]:
        """The windows, in Å."""
        return {"model": {"windows": {"sampling": pixel_size, "size": SIDE * pixel_size}}}


def _rows(described: Described, labels: NDArray[np.uint8], numbers: list[int]) -> NDArray[np.intp]:
    """(rows, columns): position in ``numbers`` of each window's label, -1 where it has none."""
    import cv2

    rows, columns = described.valid.shape
    area = slice(SIDE // 2, SIDE // 2 + (rows - 1) * described.step + 1, described.step)
    across = slice(SIDE // 2, SIDE // 2 + (columns - 1) * described.step + 1, described.step)
    side = (described.step, described.step)
    shares = np.stack([cv2.boxFilter((labels == n).astype(np.float32), -1, side)[area, across] for n in numbers])
    best: NDArray[np.intp] = np.where(described.valid & (shares.max(axis=0) > 1e-6), shares.argmax(axis=0), -1)
    return best


def _fitted(rows: NDArray[np.float32], target: NDArray[np.intp]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)).fit(rows, target)


def _scores(held: NDArray[np.intp], target: NDArray[np.intp], names: list[str]) -> dict[str, Any]:
    """What held-out blocks say; -1 in ``held`` was not judged."""
    windows = np.bincount(target, minlength=len(names)).tolist()
    recall = {
        name: float((held[(target == k) & (held >= 0)] == k).mean())
        for k, name in enumerate(names)
        if ((target == k) & (held >= 0)).any()
    }
    scores: dict[str, Any] = {"windows": dict(zip(names, windows, strict=True)), "recall": recall, "notes": []}
    if len(recall) == len(names):
        scores["balanced_accuracy"] = float(np.mean(list(recall.values())))
    else:
        scores["notes"].append("Too few separate strokes to hold some out of every state: paint each at two places.")
    return scores
