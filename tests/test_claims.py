"""The paper's accuracies beside ours, and its claims decided by made-up numbers in both directions."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from persistem.learning.accuracy import by_seed_text, read_by_seed
from persistem.learning.intervals import told
from persistem.report.claims import Case, checklist, depends_on, status_of
from persistem.report.claims.cases import more, side
from persistem.report.paper import ACCURACIES, CLAIMS, comparison, number

SPLITS = ("random", "leave-seed-out")
#: Made-up accuracies: degrees, and what SVC, focus, noise and the filter add.
OF_DEGREES = {"0": 0.65, "1": 0.75, "0+1": 0.77}
OF_RECIPE = {"paper": 0.0, "noisy": -0.15, "filtered": -0.01}
RECIPES = {
    "paper": {"bins": 64, "detector": None},
    "absolute": {"bins": 32, "detector": None},
    "noisy": {"bins": 64, "detector": {"dose": 100.0, "low_pass": None}},
    "filtered": {"bins": 64, "detector": {"dose": 100.0, "low_pass": 0.3}},
}


def accuracies() -> list[dict[str, Any]]:
    rows = []
    for recipe, degrees, model, split, foci in product(
        OF_RECIPE, OF_DEGREES, ("LR", "SVC"), SPLITS, ("all", "in-focus", "-100")
    ):
        value = OF_DEGREES[degrees] + OF_RECIPE[recipe] + 0.04 * (model == "SVC") + 0.03 * (foci == "in-focus")
        key = {"features": recipe, "degrees": degrees, "model": model, "split": split, "foci": foci}
        for training in ("pooled", "per-defocus"):
            # a model for each defocus is not the paper's, and must not count
            shown = value if training == "pooled" else 0.5
            row = key | {"training": training, "accuracy": shown, "ci_low": shown - 0.01, "ci_high": shown + 0.01}
            splits = 4 if split == "random" else 1
            rows.append({name: str(v) for name, v in row.items()} | {"by_seed": scattered(shown, splits)})  # as in CSV
    return rows


def scattered(mean: float, splits: int = 1, by: float | None = None) -> str:
    """Accuracies of three seeds that differ by ``by`` (in proportion, 0.001 of 0.65); their splits do not."""
    by = 0.001 * mean / 0.65 if by is None else by
    return by_seed_text({k: [mean + by * (k - 2)] * splits for k in (1, 2, 3)})


def specimens() -> list[dict[str, Any]]:
    """One specimen of a temperature, and three of 6000 K."""
    return [
        {"specimen": f"T{t}-rt{int(rt)}-s0{seed}", "state": ("liquid", "amorphous")[rt] if t == 6000 else None}
        | {"seed": seed, "temperature": t, "rt": rt}
        for t, rt in product((1000, 4000, 6000), (False, True))
        for seed in ((1, 2, 3) if t == 6000 else (1,))
    ]


def luck(row: dict[str, Any]) -> float:
    """The factor by which the specimen of a seed differs from others."""
    return 1 + 0.01 * (row["seed"] - 2)


def pairs_of(*defoci: float) -> list[dict[str, Any]]:
    return [{"defoci": list(pair)} for pair in combinations(defoci, 2)]


def as_the_paper_says() -> dict[str, Any]:
    """Arguments of ``checklist`` in which every claim holds: one of them for one of two origins, as it must."""
    sharpness = {(1000, False): 5.0, (4000, False): 2.0, (6000, False): 0.5}
    sharpness |= {(1000, True): 8.0, (4000, True): 7.0, (6000, True): 0.7}
    peaks = [{"at": [1, 1.7], "open": 2.0, "periodic": 0.01}, {"at": [2, 2.4], "open": 1.0, "periodic": 0.0}]
    of_seeds = {n: [{"seed": k, "state": s} for k in range(1, n + 1) for s in ("amorphous", "liquid")] for n in (3, 4)}
    both = of_seeds[3]

    def by_state(amorphous: float, liquid: float, key: str, seeds: int = 3) -> list[dict[str, Any]]:
        return [s | {key: amorphous * luck(s) if s["state"] == "amorphous" else liquid} for s in of_seeds[seeds]]

    counts = [
        s
        | {"of": kind, "degree": degree, "region": region}
        | {"per_crop": own * luck(s) if s["state"] == region else 10.0}
        for kind in ("pattern", "weight")
        for s in both
        for degree, own in ((0, 11.0), (1, 15.0))
        for region in ("amorphous", "liquid")
    ]
    places = {"centre_A": 0.0, "from_centre_A": 0.0}
    places |= {"from_exit_face_A": 25.0, "pairs": pairs_of(-50, -13, 0, 13, 50)}
    islands = [
        a | b for a, b in zip(by_state(5.0, 3.0, "mean_area_A2"), by_state(1.0, 1.4, "changes_per_level"), strict=True)
    ]
    return {
        "numbers": {
            "figure-1": {
                "panels": [
                    s | {"sharpness": sharpness[s["temperature"], s["rt"]] * luck(s), "surface": deepcopy(peaks)}
                    for s in specimens()
                ]
            },
            "figure-2": {"counts": by_state(3.0, 1.0, "per_nm3", 4), "around": {"state": "amorphous", "seed": 1}},
            "figure-3": {
                "contrast": [s | places for s in specimens()[-2:]],
                "accuracy": [
                    {"model": m, "split": s, "foci": "all", "by_seed": scattered(0.53, by=0.02)}
                    for m, s in product(("LR", "SVC"), SPLITS)
                ],
            },
            "figure-4": {"islands": islands},
            "figure-6": {
                "distance": [
                    {"model": m, "degrees": d, "degree": int(k), "filtration": "superlevel"}
                    | {"amorphous": 60.0, "liquid": 20.0}
                    for m, d in product(("LR", "SVC"), ("0", "1", "0+1"))
                    for k in d.split("+")
                ]
            },
            "figure-7": {"counts": counts},
        },
        "accuracy": accuracies(),
        "checks": [
            s
            | {"density_g_cm3": 3.5 if s["rt"] else 2.6}
            | {"on_site": None if s["rt"] else 0.99 if s["temperature"] < 5000 else 0.0}
            | {"lindemann": None if s["rt"] else luck(s) * s["temperature"] / 1e4}
            for s in specimens()
        ],
        "study": {
            "states": ["amorphous", "liquid"],
            "recipe": "paper",
            "recipes": RECIPES,
        },
    }


def status(study: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["status"] for row in checklist(**study)}


def test_every_claim_is_reproduced_by_numbers_that_say_what_the_paper_says() -> None:
    rows = checklist(**as_the_paper_says())
    assert [row["id"] for row in rows] == [claim["id"] for claim in CLAIMS]
    assert len(rows) == 16
    for row in rows:
        # weights have nothing that says how they scatter
        expected = {"contrast-inverts": "depends on", "weights-farther": "undecided"}.get(row["id"], "reproduced")
        assert row["status"] == expected, row
        assert (row["depends_on"] is None) == (expected != "depends on")
        assert any(c.isdigit() for c in row["evidence"]), row
        assert row["evidence"].endswith(".")
        assert row["where"]
        assert row["words"]


def scale(figure: str, key: str, name: str, which: Callable[[dict[str, Any]], bool], factor: float) -> Any:
    def change(study: dict[str, Any]) -> None:
        for row in study["numbers"][figure][key]:
            if which(row):
                row[name] *= factor

    return change


def shift(which: Callable[[dict[str, Any]], bool], by: float) -> Any:
    def change(study: dict[str, Any]) -> None:
        for row in study["accuracy"]:
            if which(row):
                row |= {key: str(float(row[key]) + by) for key in ("accuracy", "ci_low", "ci_high")}
                seeds = read_by_seed(row["by_seed"])
                row["by_seed"] = by_seed_text({int(k): [value + by for value in of] for k, of in seeds.items()})

    return change


def set_checks(which: Callable[[dict[str, Any]], bool], **values: Any) -> Any:
    def change(study: dict[str, Any]) -> None:
        for row in study["checks"]:
            if which(row):
                row |= values

    return change


def set_peaks(specimen: str, periodic: float) -> Any:
    def change(study: dict[str, Any]) -> None:
        for row in study["numbers"]["figure-1"]["panels"]:
            if row["specimen"].startswith(specimen):
                for peak in row["surface"]:
                    peak["periodic"] = periodic

    return change


def set_rows(figure: str, key: str, which: Callable[[dict[str, Any]], bool], **values: Any) -> Any:
    def change(study: dict[str, Any]) -> None:
        for row in study["numbers"][figure][key]:
            if which(row):
                row |= values

    return change


def set_each(where: str, which: Callable[[dict[str, Any]], bool], name: str, value: float) -> Any:
    def change(study: dict[str, Any]) -> None:
        for row in study["checks"] if where == "checks" else study["numbers"]["figure-1"]["panels"]:
            if which(row):
                row[name] = value * luck(row)

    return change


def amorphous(row: dict[str, Any]) -> bool:
    return bool(row["state"] == "amorphous")


def own(row: dict[str, Any]) -> bool:
    return bool(row["state"] == row["region"])


def anything(row: dict[str, Any]) -> bool:
    return True


def hot(row: dict[str, Any]) -> bool:
    return not row["rt"]


def all_of(*changes: Any) -> Any:
    def change(study: dict[str, Any]) -> None:
        for one in changes:
            one(study)

    return change


REVERSED: dict[str, Any] = {
    "crystal-kept": all_of(
        set_checks(lambda r: hot(r) and r["temperature"] < 5000, on_site=0.1),
        set_checks(lambda r: hot(r) and r["temperature"] == 6000, on_site=1.0),
    ),
    "disorder-grows": all_of(
        *(
            set_each("checks", lambda r, t=t: hot(r) and r["temperature"] == t, "lindemann", 1 - t / 1e4)
            for t in (1000, 4000, 6000)
        ),
        *(
            set_each("panels", lambda r, t=t: hot(r) and r["temperature"] == t, "sharpness", t / 1e3)
            for t in (1000, 4000, 6000)
        ),
    ),
    "contrast-inverts": set_rows("figure-3", "contrast", anything, from_centre_A=40.0, from_exit_face_A=65.0),
    "peaks-return": all_of(
        set_rows("figure-1", "panels", lambda r: r["rt"] and r["temperature"] < 5000, sharpness=0.6),
        set_rows("figure-1", "panels", lambda r: r["rt"] and r["temperature"] == 6000, sharpness=9.0),
    ),
    "surface-peaks": set_peaks("T", 1.5),
    "optimal-volumes": scale("figure-2", "counts", "per_nm3", amorphous, 0.2),
    "aadi-inseparable": set_rows("figure-3", "accuracy", anything, by_seed=scattered(0.8, by=0.02)),
    "islands-larger": scale("figure-4", "islands", "mean_area_A2", amorphous, 0.3),
    "islands-gradual": scale("figure-4", "islands", "changes_per_level", amorphous, 3),
    "degrees-order": shift(lambda r: r["degrees"] == "1", -0.2),
    "svc-over-lr": shift(lambda r: r["model"] == "SVC", -0.1),
    "focus-helps": shift(lambda r: r["foci"] == "in-focus", -0.1),
    "first-order-regions": scale(
        "figure-7", "counts", "per_crop", lambda r: r["degree"] == 1 and r["state"] == r["region"], 1 / 3
    ),
    "zeroth-order-regions": scale(
        "figure-7", "counts", "per_crop", lambda r: r["degree"] == 0 and r["state"] == r["region"], 3
    ),
    "filter-suffices": shift(lambda r: r["features"] == "filtered", -0.1),
}


@pytest.mark.parametrize("claim", list(REVERSED))
def test_a_claim_is_not_reproduced_by_numbers_that_say_the_opposite(claim: str) -> None:
    study = as_the_paper_says()
    REVERSED[claim](study)
    assert status(study)[claim] == "not reproduced"


DEPENDING: dict[str, tuple[Any, str]] = {
    "crystal-kept": (set_checks(lambda r: hot(r) and r["temperature"] == 4000, on_site=0.2), "temperature"),
    "disorder-grows": (
        set_checks(lambda r: hot(r) and r["temperature"] == 4000, lindemann=0.01),
        "measure",
    ),
    "contrast-inverts": (
        set_rows("figure-3", "contrast", anything, from_centre_A=-25.0, from_exit_face_A=0.0),
        "origin",
    ),
    "peaks-return": (
        set_rows("figure-1", "panels", lambda r: r["rt"] and r["temperature"] == 4000, sharpness=1.0),
        "temperature",
    ),
    "surface-peaks": (set_peaks("T4000-rt0", 0.5), "temperature, RT"),
    "aadi-inseparable": (
        set_rows("figure-3", "accuracy", lambda r: r["split"] == "random", by_seed=scattered(0.8, by=0.02)),
        "split",
    ),
    "degrees-order": (shift(lambda r: r["degrees"] == "0" and r["split"] == "leave-seed-out", 0.3), "split"),
    "svc-over-lr": (shift(lambda r: r["model"] == "SVC" and r["degrees"] == "0", -0.2), "degrees"),
    "focus-helps": (shift(lambda r: r["foci"] == "in-focus" and r["model"] == "LR", -0.2), "model"),
    "first-order-regions": (
        scale(
            "figure-7",
            "counts",
            "per_crop",
            lambda r: r["degree"] == 1 and r["state"] == r["region"] == "liquid",
            1 / 3,
        ),
        "region",
    ),
    "zeroth-order-regions": (
        scale("figure-7", "counts", "per_crop", lambda r: r["degree"] == 0 and r["of"] == "weight" and own(r), 3),
        "weights or patterns",
    ),
    "filter-suffices": (shift(lambda r: r["features"] == "filtered" and r["model"] == "SVC", -0.1), "model"),
}


@pytest.mark.parametrize("claim", list(DEPENDING))
def test_a_claim_that_holds_in_part_names_what_it_depends_on(claim: str) -> None:
    study = as_the_paper_says()
    change, on = DEPENDING[claim]
    change(study)
    row = next(row for row in checklist(**study) if row["id"] == claim)
    assert row["status"] == "depends on"
    assert row["depends_on"].split(" (")[0] == on


def test_missing_numbers_are_never_an_error() -> None:
    empty = {"numbers": {}, "accuracy": [], "checks": [], "study": {}}
    assert set(status(empty).values()) == {"not in this study"}
    full = as_the_paper_says()
    undrawn = full | {"numbers": {f"figure-{k}": {} for k in range(1, 9)}, "accuracy": [], "checks": []}
    for row in checklist(**undrawn):
        assert row["status"] == "not in this study"
        assert row["evidence"].startswith("Needs ")


def prune(value: Any) -> Any:
    """Every version of some numbers with one of its entries gone or empty."""
    if isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            yield value | {key: None}
            for smaller in prune(value[key]):
                yield value | {key: smaller}
    elif isinstance(value, list) and value:
        yield []
        for smaller in prune(value[0]):
            yield [smaller, *value[1:]]


def test_any_single_missing_entry_is_never_an_error() -> None:
    study = as_the_paper_says()
    for name in ("numbers", "accuracy", "checks", "study"):
        for smaller in prune(study[name]):
            if smaller is not None:
                assert len(checklist(**(study | {name: smaller}))) == 16


def test_claims_about_states_need_the_papers_states() -> None:
    study = as_the_paper_says()
    study["study"]["states"] = ["glass", "melt"]
    found = status(study)
    assert found["svc-over-lr"] == "not in this study"
    assert found["optimal-volumes"] == "not in this study"
    assert found["crystal-kept"] == "reproduced"
    reasons = [row["evidence"] for row in checklist(**study) if row["status"] == "not in this study"]
    assert set(reasons) == {"The study has no state named amorphous or liquid."}


def test_a_study_of_one_temperature_has_no_claims_about_temperatures() -> None:
    study = as_the_paper_says()
    study["checks"] = [row for row in study["checks"] if row["temperature"] == 6000]
    panels = study["numbers"]["figure-1"]["panels"]
    study["numbers"]["figure-1"]["panels"] = [row for row in panels if row["temperature"] == 6000]
    found = status(study)
    for claim in ("crystal-kept", "disorder-grows", "peaks-return"):
        assert found.pop(claim) == "not in this study"
    assert found.pop("contrast-inverts") == "depends on"
    assert found.pop("weights-farther") == "undecided"
    assert set(found.values()) == {"reproduced"}


def test_other_recipes_and_trainings_do_not_count() -> None:
    study = as_the_paper_says()
    study["study"]["recipe"] = "absolute"
    assert status(study)["svc-over-lr"] == "not in this study"


def test_recipes_that_differ_in_more_than_noise_are_not_compared() -> None:
    study = as_the_paper_says()
    study["study"]["recipes"] = RECIPES | {"filtered": RECIPES["filtered"] | {"bins": 32}}
    assert status(study)["filter-suffices"] == "not in this study"
    study["study"]["recipes"] = RECIPES | {"filtered": {"bins": 64, "detector": {"dose": 5.0, "low_pass": 0.3}}}
    assert status(study)["filter-suffices"] == "not in this study"


def row_of(study: dict[str, Any], claim: str) -> dict[str, Any]:
    return next(row for row in checklist(**study) if row["id"] == claim)


def test_a_crystal_that_melts_below_6000_K_is_named() -> None:
    study = as_the_paper_says()
    study["checks"].append({"temperature": 5000, "rt": False, "on_site": 0.003, "seed": 1, "state": None})
    row = row_of(study, "crystal-kept")
    assert row["depends_on"] == "temperature (holds for 1000 K, 4000 K, 6000 K; not for 5000 K)"
    assert "lost at 5000 K too" in row["evidence"]
    study["checks"][-1]["on_site"] = 0.95
    assert row_of(study, "crystal-kept")["status"] == "reproduced"


def test_displacements_in_a_melt_say_nothing_of_disorder_in_the_crystal() -> None:
    study = as_the_paper_says()
    set_each("checks", lambda r: hot(r) and r["temperature"] == 6000, "lindemann", 0.01)(study)
    row = row_of(study, "disorder-grows")
    assert row["status"] == "reproduced"
    assert "not compared above 4000 K: 0.01 at 6000 K" in row["evidence"]


@pytest.mark.parametrize(
    ("defoci", "at"),
    [((0,), None), ((-50, 50), 0.0), ((-50, 0, 50), 0.0), ((-100, 0, 25), -37.5), ((-13, 0, 13), -6.5)],
)
def test_few_defoci_do_not_tell_where_contrast_inverts(defoci: tuple[float, ...], at: float | None) -> None:
    study = as_the_paper_says()
    face = None if at is None else at + 25
    places = {"centre_A": at, "from_centre_A": at, "from_exit_face_A": face, "pairs": pairs_of(*defoci)}
    set_rows("figure-3", "contrast", anything, **places)(study)
    assert status(study)["contrast-inverts"] == "not in this study"


def test_enough_defoci_tell_from_which_plane_contrast_inverts() -> None:
    row = row_of(as_the_paper_says(), "contrast-inverts")
    assert row["depends_on"].startswith("origin (holds for defocus counted from the slab's centre;")
    assert row["evidence"].endswith("known to ±3.25 Å.")


def test_what_no_surface_made_cannot_vanish() -> None:
    study = as_the_paper_says()
    for specimen in ("T6000-rt0", "T6000-rt1"):
        for panel in study["numbers"]["figure-1"]["panels"]:
            if panel["specimen"].startswith(specimen):
                panel["surface"] = [{"at": [1, 1.7], "open": 2.0, "periodic": 1.9}]
    row = row_of(study, "surface-peaks")
    assert row["status"] == "reproduced"
    assert row["evidence"].endswith("no peak of the surface at (1, 1.7) 6000 K before RT, (1, 1.7) 6000 K after RT.")
    assert "6000 K after RT: 0.95 at (1, 1.7)" in row["evidence"]
    for panel in study["numbers"]["figure-1"]["panels"]:
        panel["surface"] = [{"at": [1, 1.7], "open": 2.0, "periodic": 2.1}]
    row = row_of(study, "surface-peaks")
    assert row["status"] == "not in this study"
    assert "1.1 at (1, 1.7)" in row["evidence"]


def test_the_seed_that_chose_the_region_is_no_proof() -> None:
    study = as_the_paper_says()
    scale("figure-2", "counts", "per_nm3", lambda r: amorphous(r) and r["seed"] > 1, 0.1)(study)
    row = row_of(study, "optimal-volumes")
    assert row["status"] == "not reproduced"
    assert "region around the peak of the amorphous diagram of seed 1, judged in the others" in row["evidence"]
    shown = study["numbers"]["figure-2"]
    shown["counts"] = [row for row in shown["counts"] if row["seed"] == 1]
    row = row_of(study, "optimal-volumes")
    assert row["status"] == "undecided"
    assert "of seed 1, in which it is judged. These seeds do not decide it." in row["evidence"]
    shown["around"]["state"] = "liquid"
    assert row_of(study, "optimal-volumes")["status"] == "not in this study"
    shown["around"] = None
    assert "; the region is the study's own." in row_of(study, "optimal-volumes")["evidence"]


def test_wide_intervals_do_not_make_states_alike() -> None:
    study = as_the_paper_says()
    set_rows("figure-3", "accuracy", lambda r: r["model"] == "SVC", by_seed=scattered(0.53, by=0.1))(study)
    row = row_of(study, "aadi-inseparable")
    assert row["status"] == "undecided"
    assert "Of 4 comparisons 2 are as the paper says beyond the scatter of seeds, 0 are against it" in row["evidence"]
    set_rows("figure-3", "accuracy", anything, by_seed="1: 0.9; 2: 0.9")(study)
    assert status(study)["aadi-inseparable"] == "not in this study"


def test_what_seeds_scatter_more_than_is_undecided() -> None:
    study = as_the_paper_says()
    for row in study["accuracy"]:  # the order of the paper, reversed by a hair, and seeds that scatter each on its own
        rng = np.random.default_rng([len(row["degrees"]), int(row["degrees"][-1]), len(row["model"]), len(row["foci"])])
        value = {"0": 0.668, "1": 0.663, "0+1": 0.723}[row["degrees"]]
        row["by_seed"] = by_seed_text({k: [value + 0.04 * rng.normal()] for k in (1, 2, 3)})
    for claim in ("degrees-order", "svc-over-lr", "focus-helps"):
        assert status(study)[claim] == "undecided"
    assert "4 are undecided" in row_of(study, "degrees-order")["evidence"]
    # islands that differ by 1 % where seeds differ by 1 %
    scale("figure-4", "islands", "mean_area_A2", amorphous, 0.605)(study)
    row = row_of(study, "islands-larger")
    assert row["status"] == "undecided" and row["evidence"].endswith("These seeds do not decide it.")


def test_claims_that_are_told_in_one_case_alone_are_neither_reproduced_nor_not() -> None:
    cases = {name: Case({"a": name}, holds) for name, holds in (("y", True), ("n", False), ("u", None))}
    of = {names: status_of([cases[name] for name in names]) for names in ("yy", "nn", "yn", "ynu", "yu", "nu", "u", "")}
    assert of == {
        **{"yy": "reproduced", "nn": "not reproduced", "yn": "depends on", "ynu": "depends on"},
        **{"yu": "undecided", "nu": "undecided", "u": "undecided", "": "not in this study"},
    }


def test_one_specimen_scatters_as_the_others_and_is_named() -> None:
    study = as_the_paper_says()
    assert "; one specimen at 1000 K, 4000 K." in row_of(study, "crystal-kept")["evidence"]
    # specimens of 6000 K differ by a third: 0.1 and 0.4 of 1000 and 4000 K do not differ beyond that
    set_checks(lambda r: hot(r) and r["temperature"] == 6000 and r["seed"] == 3, lindemann=1.4)(study)
    assert row_of(study, "disorder-grows")["status"] == "undecided"
    study["checks"] = [row for row in study["checks"] if row["seed"] == 1]
    panels = study["numbers"]["figure-1"]
    panels["panels"] = [row for row in panels["panels"] if row["seed"] == 1]
    assert row_of(study, "disorder-grows")["status"] == "undecided"
    assert row_of(study, "crystal-kept")["status"] == "reproduced"


def test_an_interval_over_seeds_decides() -> None:
    # t of two degrees of freedom is 4.303
    assert told([0.1, 0.2, 0.3]) is None and told([0.15, 0.2, 0.25]) is True and told([-0.15, -0.2, -0.25]) is False
    assert told([0.15, 0.2, 0.25], 0.2) is None and told([0.3]) is None and told([0.3, 0.3]) is None
    # of three seeds one in four agrees in the sign by chance, of eight one in 128; two are never enough
    assert told([0.3] * 3) is None and told([0.3] * 8) is True and told([-0.3] * 8) is False
    assert told([0.3, 0.3001]) is None and told([]) is None
    assert side([0.95], 0.9) is True and side([0.95, 0.96, 0.2], 0.9) is None
    # what does not scatter is judged by the threshold, however many there are
    assert {side([value] * n, 0.9) for value in (0.95, 1.0) for n in (1, 2, 3, 8)} == {True}
    assert side([0.0, 0.0], 0.9) is False and side([0.95, 0.96], 0.9) is None
    # the scatter of one pair decides nothing, that of three specimens does
    assert more([3.0], [1.0], [[1.0, 1.001]]) is None and more([3.0], [1.0], [[1.0, 1.001, 1.002]]) is True


def test_weights_of_one_classifier_are_undecided_for_want_of_scatter() -> None:
    study = as_the_paper_says()
    study["numbers"]["figure-6"]["distance"] = study["numbers"]["figure-6"]["distance"][:1]
    row = row_of(study, "weights-farther")
    assert row["status"] == "undecided"
    assert row["evidence"].endswith("so nothing says how it scatters, which leaves it undecided.")


def test_regions_of_weights_and_of_patterns_may_differ() -> None:
    study = as_the_paper_says()
    mine = lambda r: r["of"] == "weight" and r["degree"] == 1 and r["state"] == r["region"]  # noqa: E731
    scale("figure-7", "counts", "per_crop", mine, 1 / 3)(study)
    row = row_of(study, "first-order-regions")
    assert row["depends_on"] == "weights or patterns (holds for patterns; not for weights)"
    assert "trained on the crops that are counted" in row["evidence"]
    set_rows("figure-7", "counts", lambda r: r["of"] == "weight", per_crop=0.0)(study)
    assert row_of(study, "first-order-regions")["status"] == "reproduced"


def test_a_filter_is_compared_with_none_at_the_doses_tried() -> None:
    study = as_the_paper_says()
    evidence = row_of(study, "filter-suffices")["evidence"]
    assert "the filter changes that with noise by +0.140; only 100 e/Å² with σ = 0.3 Å was tried" in evidence
    low = {"low": {"bins": 64, "detector": {"dose": 5.0, "low_pass": None}}}
    low |= {"low-filtered": {"bins": 64, "detector": {"dose": 5.0, "low_pass": 0.3}}}
    study["study"]["recipes"] = RECIPES | low
    study["accuracy"] += [row | {"features": n} for n in low for row in study["accuracy"] if row["features"] == "noisy"]
    row = row_of(study, "filter-suffices")
    assert row["depends_on"] == "dose (holds for 100 e/Å²; not for 5 e/Å²)"
    assert "only 100 e/Å² with σ = 0.3 Å, 5 e/Å² with σ = 0.3 Å was tried" in row["evidence"]


def test_what_a_claim_depends_on_is_told_briefly() -> None:
    def cases(holds: Callable[[int, int], bool]) -> list[Case]:
        return [Case({"seed": f"s{i}", "level": f"l{k}"}, holds(i, k)) for i, k in product(range(4), range(3))]

    assert depends_on(cases(lambda i, k: (i, k) != (1, 2))) == "seed, level (holds but for s1 l2)"
    assert depends_on(cases(lambda i, k: (i, k) == (1, 2))) == "seed, level (holds only for s1 l2)"
    told = depends_on(cases(lambda i, k: k == 0 or (k == 1 and i < 1)))
    assert told == "seed, level (holds in 4 of 4 for l0, 1 of 4 for l1, 0 of 4 for l2)"


def test_what_a_claim_depends_on_is_the_fewest_things() -> None:
    cases = [
        Case({"split": s, "model": m, "seed": k}, (s == "random") != (m == "LR"))
        for s, m, k in product(SPLITS, ("LR", "SVC"), "12")
    ]
    assert depends_on(cases).startswith("split, model (holds for random SVC, leave-seed-out LR;")
    assert depends_on([c for c in cases if c.of["model"] == "LR"]).startswith("split (holds for leave-seed-out;")


def test_the_papers_accuracies_beside_ours() -> None:
    stated = {(row["model"], row["degrees"], row["foci"]): row["accuracy"] for row in ACCURACIES}
    assert stated == {
        ("LR", "0", "all"): 0.649,
        ("SVC", "0", "all"): 0.672,
        ("LR", "1", "all"): 0.756,
        ("SVC", "1", "all"): 0.790,
        ("LR", "0+1", "all"): 0.773,
        ("SVC", "0+1", "all"): 0.817,
        ("LR", "0+1", "in-focus"): 0.803,
        ("SVC", "0+1", "in-focus"): 0.851,
    }
    rows = {(r["model"], r["degrees"], r["foci"], r["split"]): r for r in comparison(accuracies(), "paper")}
    assert len(rows) == 16
    first = rows["LR", "0", "all", "random"]
    assert first["ours"] == 0.65 and first["paper"] == 0.649 and first["agreement"] == "agrees"
    assert (first["ci_low"], first["ci_high"]) == (0.64, 0.66)
    # splits do not scatter here: t of two degrees of freedom, 0.001, and 1 + 1/3
    assert first["one_high"] - 0.65 == pytest.approx(4.302653 * 0.001 * np.sqrt(4 / 3), abs=1e-5)
    assert rows["SVC", "0", "all", "random"]["agreement"] == "higher"
    assert rows["SVC", "0+1", "in-focus", "random"]["agreement"] == "lower"
    unseen = [row for key, row in rows.items() if key[-1] == "leave-seed-out"]
    assert {(r["agreement"], r["one_low"], r["one_high"]) for r in unseen} == {(None, None, None)}
    assert all(row["ours"] is not None for row in unseen)
    assert {r["agreement"] for r in comparison(accuracies(), "another")} == {"not in this study"}
    for row in (without := accuracies()):
        row["by_seed"] = ""
    found = {r["agreement"] for r in comparison(without, "paper") if r["split"] == "random"}
    assert found == {"no interval"}


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.93), (8, 0.935)])
def test_a_paper_of_one_specimen_and_one_split_like_ours_is_said_to_agree(seeds: int, least: float) -> None:
    rng = np.random.default_rng(5)
    wanted = {
        "features": "paper",
        "degrees": "0+1",
        "model": "LR",
        "split": "random",
        "foci": "all",
        "training": "pooled",
    }
    (ours,) = [row for row in accuracies() if wanted.items() <= row.items()]
    verdicts = []
    for _ in range(2000):
        # seeds and splits scatter by 0.02 each; the paper's 0.773 is of one of such pairs under one split
        mean = 0.773 - 0.02 * rng.normal() - 0.02 * rng.normal()
        values = mean + 0.02 * rng.normal(size=(seeds, 1)) + 0.02 * rng.normal(size=(seeds, 10))
        row = ours | {"by_seed": by_seed_text(dict(enumerate(values.tolist(), 1)))}
        (verdict,) = [found["agreement"] for found in comparison([row], "paper") if found["ours"] is not None]
        verdicts.append(verdict == "agrees")
    assert least <= np.mean(verdicts) <= 0.98


def test_the_papers_words_are_in_its_text() -> None:
    words = {row["words"] for row in ACCURACIES} | {claim["words"] for claim in CLAIMS}
    for quotation in words:
        assert '"' not in quotation
        assert len(quotation) < 200
    for row in ACCURACIES:
        assert f"{row['accuracy']:.3f}" in row["words"]


@pytest.mark.parametrize(
    ("value", "expected"), [("0.5", 0.5), (1, 1.0), ("", None), (None, None), ("nan", None), (float("inf"), None)]
)
def test_numbers_as_csv_files_hold_them(value: Any, expected: float | None) -> None:
    assert number(value) == expected
