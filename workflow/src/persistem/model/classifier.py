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

    from persistem.model.contrast_factor import Gauge
    from persistem.model.linear import Linear
    from persistem.model.trees import Trees
    from persistem.model.typical import Typical
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
    "brightness changes more, or less, than in the training",
    "conditions that the image shows itself are outside the training",
    "contrast of the image as a whole unlike the training",
)
#: Natural logarithm of the least and the largest factor of scores, over their standard deviation.
STEEPEST = (-5.0, 5.0)
#: Where another contrast of the window, another spectrum, vacuum, a far defocus, another relief, other conditions and
#: another contrast of the image are among them; the last four hold for a whole micrograph, and the spectrum may.
WINDOW_CONTRAST, SPECTRUM, VACUUM, FAR_DEFOCUS, RELIEF, CONDITIONS, WHOLE_CONTRAST = 2, 3, 4, 5, 6, 7, 8


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
    """Scores of the blocks side by side, and a fitted logistic regression that calibrates their scores.

    ``scorer`` are trees or linear; ``lengths`` holds the length of each block that it sees, in order.
    """

    lengths: dict[str, int]
    scorer: Trees | Linear
    calibration: Any

    def scores(self, blocks: Blocks) -> Array:
        """Decision scores (windows, k) of blocks (windows, length); -d and d for two states."""
        raw = self.scorer.raw(np.hstack([blocks[name] for name in self.lengths]))
        return np.hstack([-raw, raw]) if raw.shape[1] == 1 else raw

    def probability(self, blocks: Blocks) -> Array:
        """Calibrated probabilities (windows, k) of blocks (windows, length)."""
        return calibrated(self.calibration, self.scores(blocks))


@dataclass(frozen=True)
class Model:
    """A trained model: what `persistem map` needs to classify the windows of a micrograph.

    ``states`` are in the order of the probabilities; ``windows`` is how windows are described; ``card`` says what the
    model was trained on and how good it is. A model of simulations knows its ``voltage``, kV, and ``defoci``, the
    smallest and largest in training, Å, underfocus positive, and by its ``gauge`` how strong the contrast of an image
    should be, if it was trained at three seeds or more, not under drawn conditions, and without labelled micrographs.
    One of labelled micrographs alone knows none of this but their ``relief``, the least and the largest that an image
    may have (``labelled.describing``), and the ``typical`` spectra of their states.
    """

    states: tuple[str, ...]
    windows: Windows
    voltage: float | None
    defoci: tuple[float, float] | None
    card: dict[str, Any]
    classifier: Classifier
    distribution: Distribution
    digest: str = ""  # checksum of the bundle it was loaded from
    relief: tuple[float, float] | None = None
    typical: Typical | None = None
    gauge: Gauge | None = None

    def __repr__(self) -> str:
        from persistem.model.summary import line

        return f"<Model {line(self)}>"

    def _repr_html_(self) -> str:
        from persistem.model.summary import html

        return html(self)

    @property
    def labelled(self) -> bool:
        """Whether it was trained on labelled micrographs."""
        return self.relief is not None

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks of features that describe a window."""
        return tuple(name for name in BLOCKS if name in self._lengths())

    def classify(
        self,
        blocks: Blocks,
        valid: NDArray[np.bool_] | None = None,
        bright: NDArray[np.bool_] | None = None,
        judged: Blocks | None = None,
    ) -> Verdict:
        """The verdict on windows, given blocks (…, length) by name; ``judged``, if others say how unlike they are.

        ``valid`` (…) and ``bright`` (…), whether a window is about as bright as its image gets, are True everywhere by
        default. A window with a feature that is not finite is not valid either. A window that is unlike the training
        shows vacuum if it is bright and its spectrum is one that noise has, whichever statistic it is found by.
        """
        shape = next(iter(blocks.values())).shape[:-1]
        judged = blocks if judged is None else judged
        known, far = (
            {name: np.asarray(of[name]).reshape(-1, length) for name, length in lengths.items()}
            for of, lengths in ((blocks, self.classifier.lengths), (judged, self._judged()))
        )
        usable = np.ones(shape, bool).ravel() if valid is None else np.asarray(valid).ravel().copy()
        for block in (*known.values(), *far.values()):
            usable &= np.isfinite(block).all(axis=1)
        k, odds = len(self.states), STATISTICS.index(ODDS)
        probability = np.full((len(usable), k), 1 / k)
        ratio = np.full((len(usable), len(self.distribution.thresholds)), np.inf)
        empty = np.ones(shape, bool).ravel() if bright is None else np.asarray(bright).ravel().copy()
        if usable.any():
            known, far = ({name: block[usable] for name, block in of.items()} for of in (known, far))
            probability[usable] = self.classifier.probability(known)
            ratio[usable] = self.distribution.distances(far) / self.distribution.thresholds
            empty[usable] &= self.distribution.like_noise(far)
        with np.errstate(over="ignore"):  # farther away than float32 reaches
            outside = ratio.max(axis=1).astype(np.float32)
        # structure is missing where noise is not vacuum
        strongest = np.where(ratio.argmax(axis=1) == STATISTICS.index(CONTRAST), WINDOW_CONTRAST, SPECTRUM)
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
        return self._judged() | self.classifier.lengths

    def _judged(self) -> dict[str, int]:
        return {name: len(mean) for name, (mean, _) in self.distribution.scaling.items()}


def calibrator(scores: Array, y: NDArray[np.int_]) -> Any:
    """The logistic regression that turns decision scores (windows, k), in their own units, into probabilities."""
    model, unit = sigmoid(scores, y)
    model.coef_ = model.coef_ / unit
    return model


def tempered(scores: Array, y: NDArray[np.int_]) -> Any:
    """A calibration of decision scores (windows, k) by one factor, so that the largest score stays the most probable.

    ``calibrator`` also shifts the scores of each state, by what it sees of few images, and so may move the borders of
    states on the next. Guo et al., ICML 2017, temperature scaling; the targets are Platt's, as in ``sigmoid``.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax
    from sklearn.linear_model import LogisticRegression

    n, k = scores.shape
    of_state = np.bincount(y, minlength=k)[y]
    target = np.repeat(1 / (of_state + 2) / (k - 1), k).reshape(n, k)
    target[np.arange(n), y] = (of_state + 1) / (of_state + 2)
    logits = decisive(scores)
    logits = np.hstack([0 * logits, logits]) if k == 2 else logits
    unit = float(logits.std()) or 1.0

    def loss(exponent: float) -> float:
        return -float((target * log_softmax(np.exp(exponent) / unit * logits, axis=1)).sum(axis=1).mean())

    factor = np.exp(minimize_scalar(loss, bounds=STEEPEST, method="bounded", options={"xatol": 1e-6}).x) / unit
    model = LogisticRegression()
    rows = 1 if k == 2 else k
    model.classes_, model.coef_, model.intercept_ = np.arange(k), factor * np.eye(rows), np.zeros(rows)
    return model


def calibrated(calibration: Any, scores: Array) -> Array:
    """Probabilities (windows, k) of decision scores (windows, k): the sigmoid for two states, else the softmax."""
    k = scores.shape[1]
    # only the coefficients and intercepts are used
    logits = decisive(scores) @ calibration.coef_.T + calibration.intercept_
    logits = np.hstack([0 * logits, logits]) if k == 2 else logits
    exponential = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=1, keepdims=True))
