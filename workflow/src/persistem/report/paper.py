"""What the paper states: its accuracies, its claims in words, and its accuracies beside a study's.

F. Uesugi and M. Ishii, "Classification for transmission electron microscope images from different amorphous states
using persistent homology", Microscopy (2022), CC BY. Only its text counts; nothing is read off its figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from persistem.imaging.optics import focused
from persistem.learning.accuracy import read_by_seed
from persistem.learning.intervals import prediction

#: The paper's two states, in the order of their labels.
STATES = ("amorphous", "liquid")

_ALL_FOCI = (
    "For supervised learning insensitive to focusing, the amorphous and liquid phases can be discriminated by 0.773"
    " with LR and 0.817 with SV."
)
_SEPARATE = "the zeroth and first accuracies were 0.649 and 0.756 for LR and 0.672 and 0.790 for SV"
_IN_FOCUS = "when the amount of defocus is within ±25 Å, the accuracy improves to 0.803 for LR and 0.851 for SV"
_LEARNING = "ML using persistent homology"

#: Every accuracy in the paper's text: 75 % of the crops train, 25 % test, one model for all foci.
ACCURACIES: list[dict[str, Any]] = [
    {"model": model, "degrees": degrees, "foci": foci, "accuracy": accuracy, "words": words, "where": _LEARNING}
    for degrees, foci, words, stated in [
        ("0", "all", _SEPARATE, {"LR": 0.649, "SVC": 0.672}),
        ("1", "all", _SEPARATE, {"LR": 0.756, "SVC": 0.790}),
        ("0+1", "all", _ALL_FOCI, {"LR": 0.773, "SVC": 0.817}),
        ("0+1", "in-focus", _IN_FOCUS, {"LR": 0.803, "SVC": 0.851}),
    ]
    for model, accuracy in stated.items()
]


def _claim(id: str, claim: str, where: str, words: str) -> dict[str, str]:
    return {"id": id, "claim": claim, "where": where, "words": words}


#: What the paper says of its results, in our words and briefly in its own, in the paper's order.
CLAIMS: list[dict[str, str]] = [
    _claim(
        "crystal-kept",
        "The crystal is kept except at 6000 K",
        "Generation of amorphous and liquid structure; Fig. 1",
        "the crystal structure and symmetry were maintained except for 6000 K",
    ),
    _claim(
        "disorder-grows",
        "Disorder grows with the temperature from 1000 to 4000 K",
        "Generation of amorphous and liquid structure; Persistent diagram from MD 3D data; Fig. 1",
        "as the temperature increased from 1000 to 4000 K, the structural disorder also increased",
    ),
    _claim(
        "contrast-inverts",
        "The contrast of a micrograph inverts at a defocus of 0 Å",
        "Generation of TEM simulation images",
        "the TEM image contrast changes largely and inverses at defocus 0 Å",
    ),
    _claim(
        "peaks-return",
        "Peaks of the 3D diagram return after RT at 1000 and 4000 K, and not at 6000 K",
        "Persistent diagram from MD 3D data; Fig. 1",
        "In the data for the 1000 K + RT and 4000 K + RT data, peaks appear clearly, but in the case of 6000 K + RT,"
        " peaks do not appear.",
    ),
    _claim(
        "surface-peaks",
        "The peaks of the 3D diagram near (1, 1.7) and (2, 2.4) are due to the surface and vanish without one",
        "Persistent diagram from MD 3D data; Fig. 1",
        "due to the existence of a surface in the structural model used in this study and did not appear in an"
        " infinitely large model",
    ),
    _claim(
        "optimal-volumes",
        "More optimal volumes of the amorphous diagram's peak in the amorphous state than in the liquid",
        "Persistent diagram from MD 3D data; Fig. 2",
        "there are more atomic arrangements satisfied with the optimal volume in Fig. 2b than in Fig. 2a",
    ),
    _claim(
        "aadi-inseparable",
        "Annular averaged diffraction intensities do not tell the states apart",
        "Annular averaged diffraction intensity; Fig. 3",
        "it was difficult to determine whether the image was taken from an RT-treated sample or not",
    ),
    _claim(
        "islands-larger",
        "Islands of the filtration are larger in the amorphous state",
        f"{_LEARNING}; Fig. 4",
        "individual components grow larger than the liquid ones",
    ),
    _claim(
        "islands-gradual",
        "Islands of the filtration change more gradually in the amorphous state",
        f"{_LEARNING}; Fig. 4",
        "the changing manner of the white area is rather gradual",
    ),
    _claim(
        "degrees-order",
        "Accuracy: 0th < 1st < 0th + 1st",
        f"{_LEARNING}; Fig. 8",
        "zeroth-order < first-order < zeroth- and first-order",
    ),
    _claim(
        "svc-over-lr",
        "Accuracy: SVC > LR",
        f"{_LEARNING}; Fig. 8",
        "it can be observed that SV is superior to LR",
    ),
    _claim(
        "focus-helps",
        "Accuracy: in focus > all foci",
        f"{_LEARNING}; Fig. 8",
        "the accuracy of the in-focus is higher than that of the defocus",
    ),
    _claim(
        "weights-farther",
        "Weights of the amorphous state lie farther from the diagonal",
        f"{_LEARNING}; Fig. 6",
        "the blue areas are farther away from the diagonal than the red areas in both the zeroth-order and first-order"
        " PDs",
    ),
    _claim(
        "first-order-regions",
        "Regions of 1st order are commoner in the state whose weights they carry",
        f"{_LEARNING}; Fig. 7",
        "In the first-order results, the pattern corresponding to the area surrounded by the purple (red) line was more"
        " in Amorphous (Liquid) than in Liquid (Amorphous).",
    ),
    _claim(
        "zeroth-order-regions",
        "Regions of 0th order are hardly commoner in the state whose weights they carry",
        f"{_LEARNING}; Fig. 7",
        "In the zeroth-order results, there was only a slight difference between amorphous and liquid",
    ),
    _claim(
        "filter-suffices",
        "A low-pass filter suffices against noise",
        "Concluding remarks",
        "a low-pass filter is often applied to TEM images to avoid dropping information, thus noise is not considered a"
        " big problem",
    ),
]


def number(value: Any) -> float | None:
    """A number from a number or a CSV cell; None for anything else, including an empty cell and NaN."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if abs(result) < float("inf") else None


def comparison(
    accuracy: Iterable[Mapping[str, Any]], recipe: str, states: Sequence[str] = STATES
) -> list[dict[str, Any]]:
    """Each of the paper's accuracies beside ours, one row per split.

    ``accuracy`` are rows of ``accuracy.csv`` of any recipes. Rows of ``recipe`` with one model for all foci, as in the
    paper, are used. A row has model, degrees, foci, split, ``paper``, ``ours`` (None if the study has none, as one of
    other ``states``), ``ci_low`` and ``ci_high`` (the 95 % interval of our mean over seeds; of the random split the
    percentiles over repetitions), and, of the random split, ``one_low`` and ``one_high``: ``intervals.prediction``, of
    one specimen pair and one split, which is what the paper states.

    ``agreement`` is "agrees" if this interval holds the paper's value and not chance; "undecided" if it holds both;
    "higher" or "lower" (ours) if it does not hold the paper's; "no interval"; or "not in this study". Beside
    leave-seed-out, which estimates something else than the paper, it is None.
    """
    rows_of_states = accuracy if tuple(states) == STATES else ()
    ours = {
        tuple(row.get(k) for k in ("split", "model", "degrees", "foci")): row
        for row in rows_of_states
        if row.get("features") == recipe and row.get("training") == "pooled"
    }
    rows = []
    for stated in ACCURACIES:
        key = {k: stated[k] for k in ("model", "degrees", "foci")}
        for split in ("random", "leave-seed-out"):
            row = ours.get((split, *key.values()), {})
            value, low, high = (number(row.get(k)) for k in ("accuracy", "ci_low", "ci_high"))
            one = one_specimen(row) if split == "random" else (None, None)
            agreement = _agreement(stated["accuracy"], value, *one)
            if split != "random" and value is not None:
                agreement = None
            rows.append(
                key
                | {"split": split, "paper": stated["accuracy"], "ours": value, "ci_low": low, "ci_high": high}
                | {"one_low": one[0], "one_high": one[1], "agreement": agreement}
            )
    return rows


def one_specimen(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The 95 % interval of one specimen pair and one split, of a row of the random split in ``accuracy.csv``."""
    values = list(read_by_seed(row.get("by_seed")).values())
    if not values or len({len(of) for of in values}) > 1:
        return None, None
    low, high = prediction(values)
    return (None, None) if low is None or high is None else (round(low, 6), round(high, 6))


def _agreement(paper: float, ours: float | None, low: float | None, high: float | None) -> str | None:
    if ours is None:
        return "not in this study"
    if low is None or high is None:
        return "no interval"
    if low <= paper <= high:
        return "undecided" if low <= 1 / len(STATES) else "agrees"
    return "higher" if paper < low else "lower"


def joint_numbers(numbers: Sequence[Mapping[str, Any]]) -> list[int]:
    """The places of the accuracies of both degrees over all foci among numbers such as ``ACCURACIES``."""
    return [k for k, number in enumerate(numbers) if (number["degrees"], number["foci"]) == ("0+1", "all")]


def judged_per_micrograph(foci: int, in_focus: int, most: int = 1000) -> list[int]:
    """How many judged crops of each of two states' micrographs can give all the paper's accuracies, to three decimals.

    ``foci`` defoci, of which ``in_focus`` are in focus, with as many judged crops at each. An accuracy is a number of
    crops over another, so with few crops hardly any decimals are possible.
    """

    def possible(accuracy: float, crops: int) -> bool:
        right = round(accuracy * crops)
        return abs(Fraction(right, crops) - Fraction(f"{accuracy:.3f}")) <= Fraction(1, 2000)

    return [
        crops
        for crops in range(1, most + 1)
        if all(
            possible(row["accuracy"], 2 * crops * (foci if row["foci"] == "all" else in_focus)) for row in ACCURACIES
        )
    ]


def decimals(defoci: Sequence[float], in_focus: float | Sequence[float], test_fraction: float, crops: int) -> str:
    """What the decimals of the paper's accuracies say of how many crops it judged, in sentences.

    ``defoci`` and ``in_focus`` in Å, ``test_fraction`` of the random split, and the ``crops`` of a micrograph where
    they do not overlap.
    """
    near = int(focused(defoci, in_focus).sum())
    least = min(judged_per_micrograph(len(defoci), near))
    quarter = next(n for n in range(1, 100 * least) if int(n * test_fraction + 0.5) >= least)
    tested = int(crops * test_fraction + 0.5)

    def splits(each: int) -> int:
        fitting = {n for n in judged_per_micrograph(len(defoci), near, 100 * each) if n % each == 0}
        return min(fitting) // each

    return (
        f"The paper's {len(ACCURACIES)} accuracies have three decimals. With as many crops at each of {len(defoci)}"
        f" defoci they are shares of a number of crops only if at least {least} crops of each micrograph were judged:"
        f" {quarter} crops a micrograph where {test_fraction:.0%} are tested, {least} where all are. The {crops} crops"
        f" of a micrograph that do not overlap fit only averages over {splits(tested)} splits or more ({splits(crops)}"
        " where all are judged)."
    )
