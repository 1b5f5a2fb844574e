"""What a model of labelled micrographs is worth on those that it has not seen, and what decides.

The unit is the specimen: each is mapped by a model that was trained on the others; of one specimen alone, the parts of
its images are. Beside the model stand models that
see one thing alone: brightness, contrast, the annular spectrum, persistence. Where brightness alone does as well, the
model need not have seen any structure.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.evaluation.curves import calibration
from persistem.labelled import curves, page
from persistem.labelled.blind import blind_rows
from persistem.labelled.folds import folds, over_folds
from persistem.labelled.mapping import judged
from persistem.labelled.rows import Labelled, Rows, apart
from persistem.labelled.sources import Known, labelled
from persistem.labelled.training import Trained, train
from persistem.learning.intervals import seed_means, summary
from persistem.learning.models import decisions
from persistem.learning.splits import Split
from persistem.learning.validation import Candidate, CropLabels, Outcome
from persistem.model import training as simulations
from persistem.store.files import atomic
from persistem.study import ModelSettings
from persistem.study.mapping import LABELLED_C
from persistem.study.settings import section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from persistem.model.classifier import Verdict

    Numbers = NDArray[np.int_]

#: Bump when this stage's results change for the same study.
VERSION = 6
#: Bins of probability in a state's calibration error.
BINS = 10
#: What each model beside the study's own sees alone.
ALONE = {"intensity": "brightness", "contrast": "contrast", "spectrum": "spectrum", "lifetimes": "persistence"}


class Seen(NamedTuple):
    """What a model says of a micrograph whose labels had no part in it, and the unit that was left out."""

    unit: int
    labelled: Labelled
    verdict: Verdict


def described_blocks(asked: ModelSettings) -> list[str]:
    """The blocks that the micrographs of a model are described by, in a fixed order."""
    return simulations.described_blocks(asked, ALONE)


def evaluate(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Write the page on unseen micrographs, and beside it its numbers as JSON.

    ``settings`` are those of ``fitting.fit``, and ``study``, the study's name. Raises PersistemError as that.
    """
    asked: ModelSettings = section(ModelSettings, settings["model"])
    known = labelled(settings["sources"], root, asked.share)
    micrographs, images = known.micrographs, known.images
    found, said = assess(micrographs, known.states, asked)
    found["blind"] = blind(known, asked)
    found["window_nm"] = round(asked.windows.size / 10, 4)
    found["study"] = settings.get("study", "")
    found["micrographs"] = [Path(source["image"]).name for source in settings["sources"]]
    html = page.html(found, micrographs, images, said)
    with atomic(out) as part:
        part.write_text(html, "utf-8")
    with atomic(Path(out).with_suffix(".json")) as part:
        part.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


def assess(
    micrographs: Sequence[Labelled], states: list[str], asked: ModelSettings
) -> tuple[dict[str, Any], list[Numbers | None]]:
    """Numbers on what was left out, and the state found at each place (rows, columns) of each micrograph there.

    -1 where a place was not left out, -2 where the model abstains; None for a micrograph that could not be left out.
    """
    whole = train(micrographs, states, asked)
    every, skipped = folds(micrographs, states)
    of_parts = whole.rows.of_parts
    found: list[Numbers | None] = [None] * len(micrographs)
    seen: list[Seen] = []
    for unit, fold in enumerate(every):
        model = train(fold.training, states, asked).model
        for number, one in fold.tested.items():
            verdict = judged(one.described, model)
            seen.append(Seen(unit, one, verdict))
            said = np.where(verdict.reason > 0, -2, verdict.probability.argmax(axis=-1))
            if of_parts:  # the rest of the image trained
                before = found[number]
                said = np.where(one.state >= 0, said, -1 if before is None else before)
            found[number] = said
    numbers: dict[str, Any] = {
        "states": states,
        "specimens": list(dict.fromkeys(one.specimen for one in micrographs)),
        "within_one_image": of_parts,
        "skipped": skipped,
        "unseen": _table(seen, states, of_parts),
        "decides": decides(micrographs, states, asked, whole),
        "calibration": calibrated(whole),
        "boundary": boundary(seen),
        "curves": curves.curves(micrographs, every, states, whole.assessment.candidate),
        "features": list(whole.assessment.candidate.features),
    }
    return numbers, found


def _table(seen: list[Seen], states: list[str], of_parts: bool) -> list[dict[str, Any]]:
    """Of each state: recall, share of the union (IoU), and abstention, means over units with their intervals.

    And how far its probability is from its frequency, and its border from that of the labels, nm. Parts of one specimen
    are not independent, so they give no interval.
    """
    rows = []
    for k, state in enumerate(states):
        values: dict[str, dict[int, list[float]]] = {"recall": {}, "iou": {}, "abstained": {}}
        for unit, one, verdict in seen:
            known = one.state >= 0
            said = np.where(known, verdict.probability.argmax(axis=-1), -1)
            own, called = one.state == k, said == k
            if not own.any():
                continue
            values["recall"].setdefault(unit, []).append(float(called[own].mean()))
            values["iou"].setdefault(unit, []).append(float((own & called).sum() / (own | called).sum()))
            values["abstained"].setdefault(unit, []).append(float((verdict.reason[own] > 0).mean()))
        row: dict[str, Any] = {"state": state}
        for name, by_unit in values.items():
            means = {unit: float(np.mean(of)) for unit, of in by_unit.items()}
            row |= over_folds(name, means, of_parts) if means else {name: None}
        row["calibration_error"] = _calibration_error(seen, k) if values["recall"] else None
        row["boundary"] = boundary(seen, k) if values["recall"] else None
        rows.append(row)
    return rows


def _calibration_error(seen: list[Seen], k: int) -> float:
    """How far the probability of a state is from its frequency: the expected calibration error of all labelled places.

    Naeini et al., AAAI 2015: the mean of the differences in ten bins of probability, weighted by their places.
    """
    said = np.concatenate([verdict.probability[one.state >= 0][:, k] for _, one, verdict in seen]).astype(float)
    truly = np.concatenate([one.state[one.state >= 0] == k for _, one, _ in seen])
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    off = np.bincount(place, said - truly, BINS)
    return round(float(np.abs(off).sum() / len(said)), 4)


def boundary(seen: list[Seen], k: int | None = None) -> float | None:
    """How far borders of states on maps of what was left out are from those of the labels, nm, mean over micrographs.

    The mean distance from each to the other, both ways, where both sides of a border are labelled; of one state, the
    ``k``-th, or of all. None without any.
    """
    from scipy.ndimage import distance_transform_edt

    found = []
    for _, one, verdict in seen:
        known = one.state >= 0
        both = one.state, verdict.probability.argmax(axis=-1)
        borders = [_border(state if k is None else state == k, known) for state in both]
        if all(border.any() for border in borders):
            step = one.described.step * one.described.sampling / 10
            far = [distance_transform_edt(~border) for border in borders]
            found.append(step * float(np.mean([far[0][borders[1]].mean(), far[1][borders[0]].mean()])))
    return round(float(np.mean(found)), 4) if found else None


def _border(state: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Places (rows, columns) whose neighbour below or to the right is of another state; both are labelled."""
    border = np.zeros(state.shape, bool)
    border[:-1] |= (state[:-1] != state[1:]) & known[:-1] & known[1:]
    border[:, :-1] |= (state[:, :-1] != state[:, 1:]) & known[:, :-1] & known[:, 1:]
    return border


def calibrated(trained: Trained) -> dict[str, Any]:
    """Whether states are as frequent as their probability says, on what was left out (``evaluation.curves``)."""
    tested, crops = trained.assessment.tested, trained.rows.crops
    if not tested.any():
        return {}
    labels = CropLabels(
        crops.y[tested], crops.seed[tested], crops.defocus[tested], crops.micrograph[tested], crops.states
    )
    probability = trained.assessment.probability[tested]
    return calibration(Outcome(probability, probability.argmax(axis=1), {}), labels)


def decides(
    micrographs: Sequence[Labelled], states: list[str], asked: ModelSettings, whole: Trained
) -> list[dict[str, Any]]:
    """The mean recall of models that see one thing alone, and of the study's own, on the same windows left out."""
    found = [{"sees": "what the study's model sees", **_recall(whole)}]
    for block, name in ALONE.items():
        if all(block in one.described.blocks for one in micrographs):
            alone = asked.model_copy(update={"candidates": ((block,),)})
            found.append({"sees": f"{name} alone", **_recall(train(micrographs, states, alone))})
    by_otsu = _mean_recall(whole.rows, _by_otsu(micrographs, whole.rows))
    return [*found, {"sees": "brightness alone, thresholds by Otsu", **by_otsu}]


def _by_otsu(micrographs: Sequence[Labelled], rows: Rows) -> Numbers:
    """The state (windows,) by Otsu's thresholds on the windows' means of each image, -1 where not tested.

    As many thresholds as part the states; which is the brightest, the other units say. Nothing else is learned.
    """
    from skimage.filters import threshold_multiotsu

    crops, k = rows.crops, len(rows.crops.states)
    brightness, group = np.zeros(len(crops.y)), np.zeros(len(crops.y), int)
    for number, one in enumerate(micrographs):
        mean = one.described.mean
        shown = mean[one.described.valid].astype(float)
        here = crops.micrograph == number
        at = np.rint(rows.place[here] * one.described.size / one.described.step).astype(int)
        values = mean[tuple(at.T)]
        brightness[here] = (values - shown.mean()) / (shown.std() or 1.0)
        if len(np.unique(shown)) > k:
            # the search over more than two thresholds takes a coarser histogram, or hours
            group[here] = np.digitize(values, threshold_multiotsu(shown, k, nbins=256 if k <= 3 else 32))
    predicted = np.full(len(crops.y), -1)
    for unit in range(len(rows.units)):
        training, test = apart(rows, unit)
        if len(test) and len(np.unique(crops.y[training])) == k:
            order = np.argsort([brightness[training][crops.y[training] == label].mean() for label in range(k)])
            predicted[test] = order[group[test]]
    return predicted


def blind(known: Known, asked: ModelSettings) -> list[dict[str, Any]]:
    """The mean recall of models of blind windows, as they are and with counting noise equalised (``blind``).

    Empty if the labels of some state hold no window.
    """
    both = blind_rows(known.micrographs, known.images, known.regions, known.states, asked.windows)
    found = []
    for rows, what in zip(both or (), ("as they are", "counting noise equalised"), strict=False):
        for blocks in (("lifetimes",), ("spectrum",), ("lifetimes", "spectrum")):
            names = " and ".join(ALONE[name] for name in blocks)
            found.append({"sees": names, "windows": what, "count": len(rows.crops.y), **_left_out(rows, blocks)})
    return found


def _left_out(rows: Rows, blocks: tuple[str, ...]) -> dict[str, Any]:
    """The recall of a linear model of blocks on units that are left out."""
    crops = rows.crops
    predicted = np.full(len(crops.y), -1)
    for unit in range(len(rows.units)):
        training, test = apart(rows, unit)
        if len(test) and len(np.unique(crops.y[training])) == len(crops.states):
            split = Split(unit, training, test)
            candidate = Candidate(blocks, "LR", LABELLED_C[0])
            predicted[test] = decisions(rows.X, crops, split, [candidate], "pooled")[0, 0].argmax(axis=1)
    return _mean_recall(rows, predicted)


def _recall(trained: Trained) -> dict[str, Any]:
    """Recall, mean over states, on what was left out, with its interval over specimens; of parts of one image none."""
    predicted = np.nan_to_num(trained.assessment.probability).argmax(axis=1)
    return _mean_recall(trained.rows, np.where(trained.assessment.tested, predicted, -1))


def _mean_recall(rows: Rows, predicted: NDArray[np.int_]) -> dict[str, Any]:
    """Recall, mean over states, of predicted states (windows,), -1 where not tested; with its interval."""
    tested, crops = predicted >= 0, rows.crops
    if not tested.any():
        return {"recall": None, "recall_low": None, "recall_high": None}
    right = predicted == crops.y
    if rows.of_parts:
        by_state = []
        for label in np.unique(crops.y[tested]).tolist():
            own = tested & (crops.y == label)
            by_state.append(np.mean([*seed_means(right, crops.seed, own).values()]))
        return {"recall": round(float(np.mean(by_state)), 6), "recall_low": None, "recall_high": None}
    means: dict[int, float] = {}
    for unit in np.unique(crops.seed[tested]).tolist():
        own = tested & (crops.seed == unit)
        means[unit] = float(np.mean([right[own & (crops.y == k)].mean() for k in np.unique(crops.y[own]).tolist()]))
    return summary("recall", "recall", means)
