"""What a model of labelled micrographs is worth on those that it has not seen, and what decides.

The unit is the specimen: each is mapped by a model that was trained on the others. Beside the model stand models that
see one thing alone: brightness, contrast, the annular spectrum, persistence. Where brightness alone does as well, the
model need not have seen any structure.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.evaluation.curves import calibration
from persistem.labelled import curves, page
from persistem.labelled.blind import blind_rows
from persistem.labelled.mapping import judged
from persistem.labelled.rows import Labelled, Rows, apart
from persistem.labelled.sources import Known, labelled
from persistem.labelled.training import Trained, train
from persistem.learning.intervals import seed_means, summary
from persistem.learning.models import decisions
from persistem.learning.splits import Split
from persistem.learning.validation import Candidate, CropLabels, Outcome
from persistem.model import training as simulations
from persistem.model.classifier import Verdict
from persistem.store.files import atomic
from persistem.study import ModelSettings
from persistem.study.mapping import LABELLED_C
from persistem.study.settings import section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


#: Bump when this stage's results change for the same study.
VERSION = 4
#: What each model beside the study's own sees alone.
ALONE = {"intensity": "brightness", "contrast": "contrast", "spectrum": "spectrum", "lifetimes": "persistence"}


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
    found, verdicts = assess(micrographs, known.states, asked)
    found["blind"] = blind(known, asked)
    found["study"] = settings.get("study", "")
    found["micrographs"] = [Path(source["image"]).name for source in settings["sources"]]
    html = page.html(found, micrographs, images, verdicts)
    with atomic(out) as part:
        part.write_text(html, "utf-8")
    with atomic(Path(out).with_suffix(".json")) as part:
        part.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


def assess(
    micrographs: Sequence[Labelled], states: list[str], asked: ModelSettings
) -> tuple[dict[str, Any], list[Verdict | None]]:
    """Numbers on what was left out, and what was said of each micrograph there; None where it could not be left out."""
    specimens = list(dict.fromkeys(one.specimen for one in micrographs))
    whole = train(micrographs, states, asked)
    verdicts: list[Verdict | None] = [None] * len(micrographs)
    skipped = whole.assessment.skipped if len(specimens) > 1 else {}
    for specimen in specimens if len(specimens) > 1 else []:
        if specimen in skipped:
            continue
        others = [one for one in micrographs if one.specimen != specimen]
        model = train(others, states, asked).model
        for k, one in enumerate(micrographs):
            if one.specimen == specimen:
                verdicts[k] = judged(one.described, model)
    seen = [(one, verdict) for one, verdict in zip(micrographs, verdicts, strict=True) if verdict is not None]
    found: dict[str, Any] = {
        "states": states,
        "specimens": specimens,
        "within_one_image": len(specimens) == 1,
        "skipped": skipped,
        "unseen": _table(seen, states, specimens),
        "decides": decides(micrographs, states, asked, whole),
        "calibration": calibrated(whole),
        "boundary": boundary(seen),
        "curves": curves.curves(micrographs, states, whole.assessment.candidate),
        "features": list(whole.assessment.candidate.features),
    }
    return found, verdicts


def _table(seen: list[tuple[Labelled, Verdict]], states: list[str], specimens: list[str]) -> list[dict[str, Any]]:
    """Of each state: recall, share of the union (IoU), and abstention, means over specimens with their intervals."""
    rows = []
    for k, state in enumerate(states):
        values: dict[str, dict[int, list[float]]] = {"recall": {}, "iou": {}, "abstained": {}}
        for one, verdict in seen:
            known = one.state >= 0
            said = np.where(known, verdict.probability.argmax(axis=-1), -1)
            own, called = one.state == k, said == k
            if not own.any():
                continue
            unit = specimens.index(one.specimen)
            values["recall"].setdefault(unit, []).append(float(called[own].mean()))
            values["iou"].setdefault(unit, []).append(float((own & called).sum() / (own | called).sum()))
            values["abstained"].setdefault(unit, []).append(float((verdict.reason[own] > 0).mean()))
        row: dict[str, Any] = {"state": state}
        for name, by_unit in values.items():
            means = {unit: float(np.mean(of)) for unit, of in by_unit.items()}
            row |= summary(name, name, means) if means else {name: None}
        rows.append(row)
    return rows


def boundary(seen: list[tuple[Labelled, Verdict]]) -> float | None:
    """How far borders of states on maps of unseen micrographs are from those of the labels, nm, mean over micrographs.

    The mean distance from each to the other, both ways, where both sides of a border are labelled. None without any.
    """
    from scipy.ndimage import distance_transform_edt

    found = []
    for one, verdict in seen:
        known = one.state >= 0
        borders = [_border(state, known) for state in (one.state, verdict.probability.argmax(axis=-1))]
        if all(border.any() for border in borders):
            step = one.described.step * one.described.sampling / 10
            far = [distance_transform_edt(~border) for border in borders]
            found.append(step * float(np.mean([far[0][borders[1]].mean(), far[1][borders[0]].mean()])))
    return round(float(np.mean(found)), 4) if found else None


def _border(state: NDArray[np.int_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
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
    return found


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
