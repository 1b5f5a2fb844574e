"""The classifier of a model: boosted trees over blocks of features, and the probabilities of their scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.learning.classifiers import decisive, sigmoid
from persistem.model.unlike import CONTRAST, STATISTICS, Distribution
from persistem.model.unlike import VACUUM as ODDS
from persistem.study.mapping import BLOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from persistem.model.trees import Trees
    from persistem.study import Windows

    Array = NDArray[np.float64]
    Blocks = Mapping[str, NDArray[Any]]

#: Why a window should not be believed, by number.
REASONS = (
    "none",
    "not valid: constant, saturated or not finite",
    "contrast unlike the training",
    "spectrum unlike the training",
    "vacuum: counting noise alone",
    "defocus far from the training",
)
#: Where vacuum and a far defocus are among them; the second holds for a whole micrograph.
VACUUM, FAR_DEFOCUS = 4, 5


class Verdict(NamedTuple):
    """What a model says of windows: arrays of their shape.

    ``probability`` (…, k) of each state, calibrated; ``outside``, the largest ratio of a distance to its threshold,
    above 1 if the window is unlike the training; ``reason``, the number in ``REASONS``; ``vacuum``, the logarithm of
    the odds of vacuum over that of its threshold, between -1 and 1. A window that is not valid has equal probabilities
    and lies infinitely far outside.
    """

    probability: NDArray[np.float32]
    outside: NDArray[np.float32]
    reason: NDArray[np.uint8]
    vacuum: NDArray[np.float32]


@dataclass(frozen=True)
class Classifier:
    """Trees over the blocks side by side, and a fitted logistic regression that calibrates their scores.

    ``lengths`` holds the length of each block that the trees see, in order.
    """

    lengths: dict[str, int]
    trees: Trees
    calibration: Any

    def scores(self, blocks: Blocks) -> Array:
        """Decision scores (windows, k) of blocks (windows, length); -d and d for two states."""
        raw = self.trees.raw(np.hstack([blocks[name] for name in self.lengths]))
        return np.hstack([-raw, raw]) if raw.shape[1] == 1 else raw

    def probability(self, blocks: Blocks) -> Array:
        """Calibrated probabilities (windows, k) of blocks (windows, length)."""
        return calibrated(self.calibration, self.scores(blocks))


@dataclass(frozen=True)
class Model:
    """A trained model: what `persistem map` needs to classify the windows of a micrograph.

    ``states`` are in the order of the probabilities; ``windows`` is how windows are described; ``voltage`` in kV;
    ``defoci`` are the smallest and largest in training, Å, underfocus positive; ``card`` says what the model was
    trained on and how good it is.
    """

    states: tuple[str, ...]
    windows: Windows
    voltage: float
    defoci: tuple[float, float]
    card: dict[str, Any]
    classifier: Classifier
    distribution: Distribution
    digest: str = ""  # checksum of the bundle it was loaded from

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks of features that describe a window."""
        return tuple(name for name in BLOCKS if name in self._lengths())

    def classify(
        self, blocks: Blocks, valid: NDArray[np.bool_] | None = None, bright: NDArray[np.bool_] | None = None
    ) -> Verdict:
        """The verdict on windows, given blocks (…, length) by name.

        ``valid`` (…) and ``bright`` (…), whether a window is about as bright as its image gets, are True everywhere by
        default. A window with a feature that is not finite is not valid either. A window that is unlike the training
        shows vacuum if it is bright and its spectrum is one that noise has, whichever statistic it is found by.
        """
        shape = next(iter(blocks.values())).shape[:-1]
        known = {name: np.asarray(blocks[name]).reshape(-1, length) for name, length in self._lengths().items()}
        usable = np.ones(shape, bool).ravel() if valid is None else np.asarray(valid).ravel().copy()
        for block in known.values():
            usable &= np.isfinite(block).all(axis=1)
        k, odds = len(self.states), STATISTICS.index(ODDS)
        probability = np.full((len(usable), k), 1 / k)
        ratio = np.full((len(usable), len(self.distribution.thresholds)), np.inf)
        empty = np.ones(shape, bool).ravel() if bright is None else np.asarray(bright).ravel().copy()
        if usable.any():
            known = {name: block[usable] for name, block in known.items()}
            probability[usable] = self.classifier.probability(known)
            ratio[usable] = self.distribution.distances(known) / self.distribution.thresholds
            empty[usable] &= self.distribution.like_noise(known)
        with np.errstate(over="ignore"):  # farther away than float32 reaches
            outside = ratio.max(axis=1).astype(np.float32)
        # structure is missing where noise is not vacuum
        strongest = np.where(ratio.argmax(axis=1) == STATISTICS.index(CONTRAST), 2, 3)
        reason = np.select([~usable, outside <= 1, empty], [1, 0, VACUUM], strongest)
        limit = self.distribution.thresholds[odds]
        evidence = np.log(np.clip(ratio[:, odds] * limit, 1 / limit, limit)) / np.log(limit)
        vacuum = np.where(usable & empty, evidence, -1)
        return Verdict(
            probability.astype(np.float32).reshape(*shape, k),
            outside.reshape(shape),
            reason.astype(np.uint8).reshape(shape),
            vacuum.astype(np.float32).reshape(shape),
        )

    def _lengths(self) -> dict[str, int]:
        """The length of each block that is classified or judged."""
        judged = {name: len(mean) for name, (mean, _) in self.distribution.scaling.items()}
        return judged | self.classifier.lengths


def calibrator(scores: Array, y: NDArray[np.int_]) -> Any:
    """The logistic regression that turns decision scores (windows, k), in their own units, into probabilities."""
    model, unit = sigmoid(scores, y)
    model.coef_ = model.coef_ / unit
    return model


def calibrated(calibration: Any, scores: Array) -> Array:
    """Probabilities (windows, k) of decision scores (windows, k): the sigmoid for two states, else the softmax."""
    k = scores.shape[1]
    # only the coefficients and intercepts are used
    logits = decisive(scores) @ calibration.coef_.T + calibration.intercept_
    logits = np.hstack([0 * logits, logits]) if k == 2 else logits
    exponential = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=1, keepdims=True))
