"""What nested cross-validation, permutations, learning curves and calibration say of data whose answer is known."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.evaluation.curves import calibration, defocus_matrix, learning_curve, permutation_test
from persistem.learning.intervals import change, change_within, holm, interval, prediction, smallest_shown, summary
from persistem.learning.models import block_scaled, probabilities
from persistem.learning.validation import Candidate, CropLabels, Outcome, fixed, nested, tabulate
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

STATES = ("amorphous", "liquid", "crystal")
DEFOCI = (-100.0, 0.0)
SIGNAL = Candidate(("signal",), "LR", 1.0)


@pytest.fixture(autouse=True)
def converged() -> Iterator[None]:
    """No fit of these tests may end before it has converged, or divide by nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # of what other tests in this process left to be collected
        warnings.simplefilter("ignore", ResourceWarning)
        yield


def design(seeds: int = 4, states: int = 2, defoci: tuple[float, ...] = DEFOCI, crops: int = 6) -> CropLabels:
    """A study with one micrograph of each seed, state and defocus."""
    micrographs = list(itertools.product(range(1, seeds + 1), range(states), defoci))
    seed, y, defocus = (np.repeat(np.array(column), crops) for column in zip(*micrographs, strict=True))
    return CropLabels(y, seed, defocus, np.repeat(np.arange(len(micrographs)), crops), STATES[:states])


def chosen_rows(crops: CropLabels, rows: Any) -> CropLabels:
    return CropLabels(*(column[rows] for column in crops[:4]), crops.states)


def noise(crops: CropLabels, length: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(crops.y), length))


def shifted(crops: CropLabels, effect: float, length: int = 8, seed: int = 0) -> np.ndarray:
    """Noise, and for each state its own direction."""
    return noise(crops, length, seed) + effect * np.eye(length)[crops.y]


def of_specimens(crops: CropLabels, length: int = 8, seed: int = 0, spread: float = 3.0) -> np.ndarray:
    """Noise, and for each specimen a vector of its own that says nothing of its state."""
    specimen = crops.seed * 10 + crops.y
    vectors = np.random.default_rng(seed).normal(size=(specimen.max() + 1, length))
    return noise(crops, length, seed + 1000) + spread * vectors[specimen]


def accuracy(predicted: np.ndarray, crops: CropLabels) -> float:
    return float(np.mean([np.mean((predicted == crops.y)[crops.seed == s]) for s in np.unique(crops.seed)]))


# nested cross-validation


@pytest.mark.parametrize("training", ["pooled", pytest.param("per-defocus", marks=pytest.mark.slow)])
@pytest.mark.parametrize("states", [2, pytest.param(3, marks=pytest.mark.thorough)])
def test_sharing_pairs_of_seeds_equals_the_plain_nested_loop(training: str, states: int) -> None:
    crops = design(seeds=4, states=states)
    X = {"a": shifted(crops, 1.3, seed=1), "b": shifted(crops, 1.5, 30, seed=2), "c": noise(crops, 1)}
    candidates = [Candidate(f, m, C) for f in (("c",), ("a",), ("a", "b")) for m in ("LR", "SVC") for C in (0.3, 3.0)]
    outcome = nested(X, crops, {"row": candidates}, training)["row"]
    for outer in np.unique(crops.seed):
        inside = crops.seed != outer
        within = chosen_rows(crops, inside)
        blocks = {name: block[inside] for name, block in X.items()}
        inner = [round(accuracy(fixed(blocks, within, c, training), within), 9) for c in candidates]
        best = candidates[inner.index(max(inner))]
        assert outcome.chosen[outer] == best
        assert np.array_equal(outcome.predicted[~inside], fixed(X, crops, best, training)[~inside])
    assert np.allclose(outcome.probability.sum(axis=1), 1)
    assert 0.6 < accuracy(outcome.predicted, crops) < 1


@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("model", ["LR", "SVC"])
def test_predictions_agree_with_scikit_learn_done_directly(model: str, states: int) -> None:
    crops = design(seeds=3, states=states, crops=10)
    X = {"few": shifted(crops, 0.8, 3), "many": 40 * shifted(crops, 0.8, 300, seed=3) + 7}
    predicted = fixed(X, crops, Candidate(("few", "many"), model, 2.0), "per-defocus")
    agree = []
    for outer, defocus in itertools.product(np.unique(crops.seed), DEFOCI):
        at = crops.defocus == defocus
        train, test = at & (crops.seed != outer), at & (crops.seed == outer)
        parts = [(x - x[train].mean(axis=0)) / x[train].std(axis=0) / np.sqrt(x.shape[1]) for x in X.values()]
        x = np.hstack(parts)
        direct = SVC(kernel="linear", C=2.0, tol=1e-8)
        if model == "LR":
            direct = LogisticRegression(C=2.0, tol=1e-9, max_iter=10_000)
        scores = direct.fit(x[train], crops.y[train]).decision_function(x[test])
        label = (scores > 0).astype(int) if states == 2 else scores.argmax(axis=1)
        agree += list(label == predicted[test])
    assert np.mean(agree) >= 0.98  # crops between two states may fall to either side


def test_a_block_counts_as_much_as_any_other_whatever_its_length_and_unit() -> None:
    crops = design()
    blocks = [5 + 1e3 * noise(crops, 1), noise(crops, 400, 2)]
    rows = np.arange(len(crops.y))
    train, test = block_scaled(blocks, rows[::2], rows[1::2])
    assert train.shape == test.shape == (len(rows) // 2, 401)
    assert train[:, :1].var(axis=0).sum() == pytest.approx(1) == train[:, 1:].var(axis=0).sum()
    assert np.allclose(train.mean(axis=0), 0)
    spoiled = [b.copy() for b in blocks]
    spoiled[0][1] = 1e9  # a test crop: the training may not know of it
    assert np.array_equal(block_scaled(spoiled, rows[::2], rows[1::2])[0], train)


def test_one_feature_is_not_drowned_by_a_long_block() -> None:
    crops = design(seeds=5, defoci=(0.0,), crops=8)
    one, many = 1.2 * (2 * crops.y - 1)[:, None] + noise(crops, 1), noise(crops, 500, 1)
    by_block = fixed({"one": one, "many": many}, crops, Candidate(("one", "many"), "LR", 1.0), "pooled")
    side_by_side = fixed({"both": np.hstack([one, many])}, crops, Candidate(("both",), "LR", 1.0), "pooled")
    assert accuracy(by_block, crops) > accuracy(side_by_side, crops) + 0.1


def test_the_candidate_that_carries_the_signal_is_chosen() -> None:
    crops = design(seeds=5)
    X = {f"noise {k}": of_specimens(crops, seed=k) for k in range(5)} | {"signal": shifted(crops, 3.0)}
    candidates = [Candidate((name,), "LR", 1.0) for name in X]
    rows = {"all": candidates, "without": candidates[:-1], "alone": [SIGNAL]}
    outcomes = nested(X, crops, rows, "pooled")
    assert set(outcomes["all"].chosen) == {1, 2, 3, 4, 5}
    assert set(outcomes["all"].chosen.values()) == {SIGNAL}
    assert accuracy(outcomes["all"].predicted, crops) > 0.95
    assert SIGNAL not in outcomes["without"].chosen.values()
    assert np.array_equal(outcomes["all"].probability, outcomes["alone"].probability)


def test_of_equally_good_candidates_the_first_is_chosen() -> None:
    crops = design(seeds=4)
    X = {"signal": shifted(crops, 9.0)}
    for order in ([0.1, 1.0, 10.0], [10.0, 1.0, 0.1]):
        outcome = nested(X, crops, {"row": [SIGNAL._replace(C=C) for C in order]}, "pooled")["row"]
        assert accuracy(outcome.predicted, crops) == 1
        assert {c.C for c in outcome.chosen.values()} == {order[0]}


def test_neither_the_order_of_candidates_nor_other_rows_change_the_choice() -> None:
    crops = design(seeds=4, crops=12)
    X = {name: shifted(crops, 0.8, seed=19 + k) for k, name in enumerate("abc")}
    candidates = [Candidate((name,), "LR", 1.0) for name in X]
    found = nested(X, crops, {"row": candidates, "few": candidates[:2]}, "pooled")["row"]
    turned = nested(X, crops, {"others": candidates[1:], "row": candidates[::-1]}, "pooled")["row"]
    assert found.chosen == turned.chosen and len(set(found.chosen.values())) == 2
    assert np.array_equal(found.predicted, turned.predicted)
    assert np.array_equal(found.probability, turned.probability)


def test_the_same_accuracies_of_other_seeds_are_a_tie() -> None:
    # 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in the last digit; here 1, 2 and 3 crops of 10 are right
    crops = design(seeds=4, defoci=(0.0,), crops=5)
    wrong = {"a": (9, 8, 7), "b": (7, 8, 9)}
    X = {}
    for name, counts in wrong.items():
        x = (2.0 * crops.y - 1) * 100
        for seed, count in zip((1, 2, 3), counts, strict=True):
            x[np.flatnonzero(crops.seed == seed)[:count]] *= -1
        X[name] = x[:, None]
    candidates = [Candidate((name,), "LR", 1.0) for name in X]
    outcome = nested(X, crops, {"ab": candidates, "ba": candidates[::-1]}, "pooled")
    inside = crops.seed != 4
    within = chosen_rows(crops, inside)
    inner = [accuracy(fixed({k: v[inside] for k, v in X.items()}, within, c, "pooled"), within) for c in candidates]
    assert inner[0] == pytest.approx(inner[1], abs=1e-12)
    assert (outcome["ab"].chosen[4], outcome["ba"].chosen[4]) == tuple(candidates)


def test_nothing_of_the_held_out_seed_is_used_but_its_features() -> None:
    crops = design(seeds=4)
    X = {"a": shifted(crops, 1.5), "b": noise(crops, 30)}
    rows = {"row": [Candidate(f, m, 1.0) for f in (("a",), ("b",), ("a", "b")) for m in ("LR", "SVC")]}
    held = crops.seed == 2
    swapped = crops._replace(y=np.where(held, 1 - crops.y, crops.y))
    before, after = (nested(X, c, rows, "per-defocus")["row"] for c in (crops, swapped))
    assert np.array_equal(before.probability[held], after.probability[held])
    assert np.array_equal(before.predicted[held], after.predicted[held])
    assert before.chosen[2] == after.chosen[2]
    assert not np.array_equal(before.probability[~held], after.probability[~held])


@pytest.mark.slow
def test_choosing_among_noise_makes_nothing_of_it() -> None:
    outer, best_inner = [], []
    for study in range(2):
        crops = design(seeds=4, defoci=(0.0,), crops=10)
        X = {str(k): noise(crops, seed=100 * study + k) for k in range(12)}
        candidates = [Candidate((name,), model, 1.0) for name in X for model in ("LR", "SVC")]
        outcome = nested(X, crops, {"row": candidates}, "pooled")["row"]
        outer.append(accuracy(outcome.predicted, crops))
        best_inner.append(max(accuracy(fixed(X, crops, c, "pooled"), crops) for c in candidates))
    assert abs(np.mean(outer) - 0.5) < 3.5 * np.sqrt(0.25 / (2 * 80))
    # the best of 24 lies well above chance, by one to two standard deviations of each
    assert np.mean(best_inner) > 0.5 + 1.2 * np.sqrt(0.25 / 80)


def test_what_tells_only_specimens_apart_is_chance_for_an_unseen_seed() -> None:
    crops = design(seeds=8, defoci=(0.0,), crops=4)
    candidates = [Candidate(("x",), model, 1.0) for model in ("LR", "SVC")]
    blocks = [{"x": of_specimens(crops, 40, k)} for k in range(8)]
    found = [accuracy(fixed(X, crops, c, "pooled"), crops) for X in blocks for c in candidates]
    assert abs(np.mean(found) - 0.5) < 3.5 * np.sqrt(0.25 / (8 * 16))


@pytest.mark.slow
def test_jobs_change_nothing() -> None:
    crops = design(seeds=3, crops=4)
    X = {"a": shifted(crops, 0.5), "b": noise(crops, 60, 5)}
    rows = {"row": [Candidate(f, m, 1.0) for f in (("a",), ("a", "b")) for m in ("LR", "SVC")]}
    one, two = (nested(X, crops, rows, "per-defocus", jobs)["row"] for jobs in (1, 2))
    assert np.array_equal(one.probability, two.probability) and one.chosen == two.chosen
    assert np.array_equal(one.predicted, two.predicted)
    of_one, of_two = (
        [
            permutation_test(X, crops, SIGNAL._replace(features=("a",)), "pooled", 10, 0, jobs),
            learning_curve(X, crops, SIGNAL._replace(features=("a",)), "pooled", 2, 0, jobs),
            defocus_matrix(X, crops, SIGNAL._replace(features=("a",)), jobs),
        ]
        for jobs in (1, 2)
    )
    assert of_one == of_two


def test_a_constant_block_changes_nothing_and_alone_is_chance() -> None:
    crops = design(seeds=3)
    X = {"signal": shifted(crops, 1.0), "constant": np.full((len(crops.y), 5), 0.1)}
    both = Candidate(("signal", "constant"), "LR", 1.0)
    assert np.array_equal(fixed(X, crops, both, "pooled"), fixed(X, crops, SIGNAL, "pooled"))
    for model in ("LR", "SVC"):
        outcome = nested(X, crops, {"row": [Candidate(("constant",), model, 1.0)]}, "per-defocus")["row"]
        assert accuracy(outcome.predicted, crops) == 0.5
        assert np.allclose(outcome.probability, 0.5)


def test_only_marked_crops_train() -> None:
    crops = design(seeds=3)
    sign = np.where(crops.defocus < 0, -1.0, 1.0) * (2 * crops.y - 1)
    X = {"signal": (5 * sign[:, None]) + noise(crops, 1)}
    for marked in DEFOCI:
        right = fixed(X, crops, SIGNAL, "pooled", crops.defocus == marked) == crops.y
        assert right[crops.defocus == marked].all() and not right[crops.defocus != marked].any()
    assert (fixed(X, crops, SIGNAL, "per-defocus") == crops.y).all()
    assert 0.3 < accuracy(fixed(X, crops, SIGNAL, "pooled"), crops) < 0.7


# tables


def test_seeds_count_alike_however_many_crops_they_have() -> None:
    crops = chosen_rows(design(seeds=3, crops=4), np.r_[0:16, 16:20, 24:28, 32:48])
    predicted = np.where(crops.seed == 2, 1 - crops.y, crops.y)
    rows = {row["foci"]: row for row in tabulate(predicted, crops, 25.0)}
    assert list(rows) == ["all", "in-focus", "-100", "0"]
    assert rows["all"]["accuracy"] == rows["all"]["vote"] == pytest.approx(2 / 3, abs=1e-6)
    assert rows["all"]["n_test"] == 40
    assert rows["0"]["accuracy"] == rows["in-focus"]["accuracy"] == 1.0 and rows["0"]["ci_low"] is None
    assert rows["-100"]["accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert (rows["-100"]["ci_low"], rows["-100"]["ci_high"]) == (0.0, 1.0)
    assert "in-focus" not in {
        row["foci"] for row in tabulate(predicted, crops._replace(defocus=crops.defocus - 50), 25)
    }


def test_a_lens_with_spherical_aberration_is_in_focus_where_its_study_says() -> None:
    crops = design(seeds=3, crops=4)  # at -100 and 0 Å
    predicted = np.where(crops.defocus == 0, 1 - crops.y, crops.y)
    rows = {row["foci"]: row for row in tabulate(predicted, crops, [-120.0, -100.0])}
    assert rows["in-focus"]["accuracy"] == rows["-100"]["accuracy"] == 1.0
    assert rows["in-focus"]["n_test"] == rows["-100"]["n_test"] == 24


def test_a_micrograph_is_what_most_of_its_crops_are() -> None:
    crops = design(seeds=1, defoci=(0.0,), crops=4)  # two micrographs, amorphous and liquid

    def vote(predicted: list[int], liquid: list[float] | None = None) -> float:
        labels: Any = np.array(predicted)
        if liquid is not None:
            labels = Outcome(np.stack([1 - np.array(liquid), liquid], axis=1), labels, {})
        return float(tabulate(labels, crops, 25.0)[0]["vote"])

    assert vote([0, 0, 0, 1, 1, 1, 1, 0]) == 1.0
    assert vote([0, 0, 0, 1, 0, 0, 1, 0]) == 0.5
    assert vote([1, 1, 1, 0, 0, 0, 0, 1]) == 0.0
    # two against two
    assert vote([0, 0, 1, 1, 1, 1, 1, 1]) == 0.75
    surely_liquid = [0.8] * 4
    assert vote([0, 0, 1, 1, 1, 1, 1, 1], [0.4, 0.4, 0.9, 0.9, *surely_liquid]) == 0.5
    assert vote([0, 0, 1, 1, 1, 1, 1, 1], [0.1, 0.1, 0.6, 0.6, *surely_liquid]) == 1.0
    assert vote([0, 0, 1, 1, 1, 1, 1, 1], [0.3, 0.3, 0.7, 0.7, *surely_liquid]) == 0.75
    # the majority is not overruled by probabilities
    assert vote([0, 0, 0, 1, 1, 1, 1, 1], [0.4, 0.4, 0.4, 1.0, *surely_liquid]) == 1.0


def test_votes_of_three_states() -> None:
    crops = design(seeds=1, states=3, defoci=(0.0,), crops=5)
    predicted = np.array([0, 0, 1, 1, 2, 1, 1, 2, 2, 2, 2, 2, 0, 1, 1])
    assert tabulate(predicted, crops, 25.0)[0]["vote"] == pytest.approx((0.5 + 0 + 0.5) / 3, abs=1e-6)


def test_an_interval_is_students_t_cut_at_the_ends_of_the_range() -> None:
    # 0.8 ± 4.303 * 0.1 / sqrt(3), Student's t of 2 degrees of freedom
    assert interval([0.7, 0.8, 0.9], 0.0, 1.0) == pytest.approx((0.55159, 1.0), abs=1e-4)
    assert interval([0.45, 0.5, 0.55], 0.0, 1.0) == pytest.approx((0.37579, 0.62421), abs=1e-4)
    assert interval([0.4, 0.9]) == (None, None)
    # seeds that agree by chance say nothing of how seeds scatter
    assert interval([0.5, 0.5, 0.5], 0.0, 1.0) == (None, None)


@pytest.mark.parametrize("n", [3, 4, 8])
def test_perfect_seeds_bound_the_mean(n: int) -> None:
    low, high = interval([1.0] * n, 0.0, 1.0)
    # a mean of this much gives so many perfect seeds in one case of twenty, where each is all right or all wrong
    assert high == 1.0 and low is not None and low**n == pytest.approx(0.05)
    assert interval([0.0] * n, 0.0, 1.0) == (0.0, pytest.approx(1 - low))
    assert summary("accuracy", "ci", dict.fromkeys(range(n), 1.0))["ci_high"] == 1.0


def test_an_interval_does_not_shrink_where_one_of_many_perfect_seeds_errs() -> None:
    (all_low, _), (low, high) = (interval([*[1.0] * 7, last], 0.0, 1.0) for last in (1.0, 0.995))
    assert all_low is not None and low == pytest.approx(all_low) and high == 1.0
    assert interval([*[0.0] * 7, 0.005], 0.0, 1.0) == (0.0, pytest.approx(1 - all_low))
    # one perfect seed of many changes nothing
    assert interval([0.8, 0.85, 0.9, 1.0], 0.0, 1.0) == (interval([0.8, 0.85, 0.9, 1.0])[0], 1.0)


def covered(draw: Any, mean: float, seeds: int, times: int = 4000) -> float:
    """The share of intervals over ``seeds`` values that hold their ``mean``; none counts as holding it."""
    ends = (interval(draw(seeds), 0.0, 1.0) for _ in range(times))
    return float(np.mean([low is None or high is None or low <= mean <= high for low, high in ends]))


@pytest.mark.parametrize("seeds", [3, 4, 8])
def test_intervals_cover_a_planted_accuracy(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    assert 0.94 < covered(lambda n: rng.normal(0.7, 0.05, n), 0.7, seeds) < 0.96
    # accuracies of 36 windows; of an accuracy near 1, skewed, the interval is too narrow, and it says so
    assert covered(lambda n: rng.binomial(36, 0.7, n) / 36, 0.7, seeds) > 0.93
    assert covered(lambda n: rng.beta(19, 1, n), 0.95, seeds) > 0.85
    # most seeds are perfect, a few nearly so, and rarely one fails altogether: its loss is most of what is lost
    assert covered(lambda n: rng.choice([1.0, 0.99, 0.0], n, p=[0.9, 0.07, 0.03]), 0.9693, seeds) >= 0.95
    # seeds that fail altogether, one in twenty: the bound holds them
    assert covered(lambda n: rng.binomial(1, 0.95, n), 0.95, seeds) >= 0.95


@pytest.mark.parametrize(("n", "p"), [(3, 0.25), (8, 2**-7)])
def test_equal_differences_have_the_p_of_the_sign_test(n: int, p: float) -> None:
    from scipy.stats import binomtest

    assert change([0.5] * n) == (0.5, None, None, p) and p == pytest.approx(binomtest(n, n).pvalue)
    assert change([-0.5] * n).p == p and change([0.0] * n).p is None
    # splits of a seed are no further seeds, and seeds of both signs tell nothing
    assert change_within([[0.5, 0.5]] * n, 0.25).p == p
    assert change_within([[0.5, 0.5], *[[-0.1, -0.1]] * (n - 1)], 0.25).p is None


# permutations


@pytest.mark.parametrize("seeds", [5, pytest.param(8, marks=pytest.mark.slow)])
def test_a_real_effect_is_as_rare_as_arrangements_allow(seeds: int) -> None:
    crops = design(seeds=seeds, defoci=(0.0,), crops=3)
    found = permutation_test({"signal": shifted(crops, 6.0)}, crops, SIGNAL, "pooled", 128)
    assert (found["accuracy"], found["arrangements"], found["as_good"]) == (1.0, 2 ** (seeds - 1), 1)
    assert found["p"] == 1 / 2 ** (seeds - 1) and len(found["null"]) == 2 ** (seeds - 1) - 1


@pytest.mark.parametrize(("states", "training"), [(2, "per-defocus"), (3, "pooled")])
def test_over_all_arrangements_accuracy_is_chance_on_average(states: int, training: str) -> None:
    # what trains without a seed knows nothing of its labels, each of which is as frequent as the others
    crops = design(seeds=4 if states == 2 else 3, states=states)
    X = {"signal": shifted(crops, 1.0)}
    found = permutation_test(X, crops, SIGNAL, training, 1000)
    assert found["arrangements"] == {2: 2**3, 3: 6**2}[states]
    assert np.mean([found["accuracy"], *found["null"]]) == pytest.approx(1 / states, abs=0.01)
    assert found["accuracy"] == pytest.approx(accuracy(fixed(X, crops, SIGNAL, training), crops), abs=1e-6)
    assert found["accuracy"] > 1 / states + 0.1


def test_each_arrangement_has_the_accuracy_of_its_labels() -> None:
    crops = design(seeds=3, defoci=(0.0,), crops=8)
    X = {"signal": shifted(crops, 1.0)}
    expected = []
    for swapped in ([], [3], [2], [2, 3]):
        y = np.where(np.isin(crops.seed, swapped), 1 - crops.y, crops.y)
        expected.append(accuracy(fixed(X, crops._replace(y=y), SIGNAL, "pooled"), crops._replace(y=y)))
    found = permutation_test(X, crops, SIGNAL, "pooled", 100)
    assert [found["accuracy"], *found["null"]] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_without_an_effect_small_p_are_as_rare_as_they_say() -> None:
    crops = design(seeds=4, defoci=(0.0,), crops=2)
    p = [permutation_test({"signal": of_specimens(crops, 4, k)}, crops, SIGNAL, "pooled", 8)["p"] for k in range(30)]
    assert np.mean(np.array(p) <= 0.25) < 0.25 + 2.5 * np.sqrt(0.25 * 0.75 / 30)
    assert 0.4 < np.mean(p) < 0.8 and min(p) < 0.25


def test_too_many_arrangements_are_drawn() -> None:
    crops = design(seeds=6, defoci=(0.0,), crops=2)
    X = {"signal": shifted(crops, 6.0)}
    one, same, other = (permutation_test(X, crops, SIGNAL, "pooled", 20, seed) for seed in (0, 0, 1))
    assert (one["arrangements"], one["as_good"], one["p"]) == (20, 1, 0.05)  # none is drawn twice
    assert one == same and one["null"] != other["null"]


@pytest.mark.slow
def test_arrangements_of_three_states_are_all_taken_or_drawn() -> None:
    crops = design(seeds=4, states=3, defoci=(0.0,), crops=2)
    X = {"signal": shifted(crops, 6.0, 3)}
    every, some = (permutation_test(X, crops, SIGNAL, "pooled", most) for most in (6**3, 60))
    assert (every["accuracy"], every["arrangements"], every["as_good"], every["p"]) == (1.0, 216, 1, 1 / 216)
    assert (some["accuracy"], some["arrangements"], some["as_good"], some["p"]) == (1.0, 60, 1, 1 / 60)
    assert set(some["null"]) <= set(every["null"])


# learning curves, defoci


@pytest.mark.slow
def test_more_seeds_help_where_specimens_differ_and_the_last_point_is_leave_seed_out() -> None:
    crops = design(seeds=5, defoci=(0.0,), crops=4)
    X = {"signal": of_specimens(crops, 10, 3, spread=1.0) + shifted(crops, 1.6, 10)}
    curve = learning_curve(X, crops, SIGNAL, "pooled", 3)
    assert [point["seeds"] for point in curve] == [1, 2, 3, 4]
    assert curve[-1]["accuracy"] > curve[0]["accuracy"] + 0.03
    assert curve[-1]["accuracy"] == pytest.approx(accuracy(fixed(X, crops, SIGNAL, "pooled"), crops), abs=1e-6)
    assert all(point["ci_low"] <= point["accuracy"] <= point["ci_high"] for point in curve)
    assert curve == learning_curve(X, crops, SIGNAL, "pooled", 3)
    assert curve != learning_curve(X, crops, SIGNAL, "pooled", 3, rng_seed=1)
    # with all sets taken, the first point is the mean over ordered pairs of seeds
    every = learning_curve(X, crops, SIGNAL, "pooled", 100)[0]["accuracy"]
    pairs = []
    for train, test in itertools.permutations(range(1, 6), 2):
        two = np.isin(crops.seed, [train, test])
        pair = chosen_rows(crops, two)
        pairs.append((fixed({"signal": X["signal"][two]}, pair, SIGNAL, "pooled") == pair.y)[pair.seed == test].mean())
    assert every == pytest.approx(np.mean(pairs), abs=1e-6)


def test_the_defocus_matrix_shows_where_the_contrast_inverts() -> None:
    crops = design(seeds=3, defoci=(-50.0, 0.0, 50.0))
    x = np.sign(crops.defocus) * (2 * crops.y - 1) * 6.0
    found = defocus_matrix({"signal": x[:, None] + noise(crops, 1)}, crops, SIGNAL)
    assert found["defoci"] == [-50.0, 0.0, 50.0]
    matrix = np.array(found["accuracy"])
    assert matrix[0, 0] == matrix[2, 2] == 1.0 and matrix[0, 2] == matrix[2, 0] == 0.0
    assert (np.abs(matrix[:, 1] - 0.5) < 0.35).all()
    # wrong throughout is not one answer for all; a model without a signal at its defocus guesses
    one = np.array(found["one_state"])
    assert one[0, 0] == one[0, 2] == 0.5 and (one[:, 1] >= 0.5).all()
    always = defocus_matrix({"signal": np.abs(x)[:, None] * (crops.defocus > 0)[:, None] + x[:, None]}, crops, SIGNAL)
    assert always["one_state"][0][2] == always["accuracy"][0][0] == 1.0
    # a seed without a defocus counts at the others
    lacking = chosen_rows(crops, (crops.seed > 1) | (crops.defocus < 50))
    kept = x[(crops.seed > 1) | (crops.defocus < 50), None]
    assert np.array(defocus_matrix({"signal": kept}, lacking, SIGNAL)["accuracy"])[2, 2] == 1.0


# calibration


@pytest.mark.slow
def test_probabilities_are_those_of_a_known_law() -> None:
    # states at -1 and 1 with unit variance: the odds of liquid are exp(2 x)
    crops = design(seeds=8, defoci=(0.0,), crops=150)
    x = noise(crops, 1)[:, 0] + 2 * crops.y - 1
    outcome = nested({"signal": x[:, None]}, crops, {"row": [SIGNAL._replace(model="SVC")]}, "pooled")["row"]
    law = 1 / (1 + np.exp(-2 * x))
    assert np.abs(outcome.probability[:, 1] - law).max() < 0.06
    found = calibration(outcome, crops)
    grid = np.linspace(-8, 8, 4001)
    density = sum(np.exp(-((grid - m) ** 2) / 2) for m in (-1, 1))
    p = 1 / (1 + np.exp(-2 * grid))
    brier = 2 * np.sum(density * p * (1 - p)) / np.sum(density)
    assert found["brier"] == pytest.approx(brier, abs=0.02)
    assert found["brier_low"] < brier < found["brier_high"]
    assert sum(b["count"] for b in found["bins"]) == len(crops.y) and len(found["bins"]) == 10
    for b in found["bins"]:
        assert abs(b["probability"] - b["share"]) < 0.02 + 3 * np.sqrt(0.25 / b["count"])


def test_calibration_of_chance_and_of_certainty() -> None:
    crops = design(seeds=3, states=3)
    even = Outcome(np.full((len(crops.y), 3), 1 / 3), crops.y, {})
    assert calibration(even, crops)["brier"] == pytest.approx(2 / 3, abs=1e-6)
    sure = Outcome(np.eye(3)[crops.y], crops.y, {})
    found = calibration(sure, crops, bins=5)
    assert found["brier"] == 0 and found["bins"] == [{"probability": 1.0, "share": 1.0, "count": len(crops.y)}]
    wrong = Outcome(np.eye(3)[(crops.y + 1) % 3], crops.y, {})
    assert calibration(wrong, crops)["brier"] == 2 and calibration(wrong, crops)["bins"][0]["share"] == 0


def test_separable_scores_do_not_become_certain() -> None:
    y = np.repeat([0, 1, 2], 10)
    for states in (2, 3):
        of = y < states
        scores = 5 * np.eye(states)[y[of]]
        p = probabilities(scores, y[of], scores)
        assert (p.argmax(axis=1) == y[of]).all()
        # Platt's targets: 11 of 12 for ten crops of a state
        assert p.max(axis=1) == pytest.approx(11 / 12, abs=1e-3)


def test_probabilities_do_not_depend_on_the_unit_of_the_scores() -> None:
    y = np.repeat([0, 1, 2], 40)
    for states in (2, 3):
        of = y < states
        scores = np.eye(states)[y[of]] + np.random.default_rng(0).normal(size=(of.sum(), states))
        p = probabilities(scores, y[of], scores)
        for unit in (1e-5, 1e5):
            assert np.allclose(probabilities(unit * scores, y[of], unit * scores), p, atol=1e-3)


# what cannot be evaluated


def test_input_that_cannot_be_evaluated_is_refused_in_a_sentence() -> None:
    crops = design(seeds=4)
    X = {"signal": shifted(crops, 3.0)}

    def refused(match: str, rows: Any = slice(None), training: str = "pooled", **changes: Any) -> None:
        kept = chosen_rows(crops, rows)
        candidate = SIGNAL._replace(**{k: v for k, v in changes.items() if k != "X"})
        with pytest.raises(PersistemError, match=match):
            nested({"signal": changes.get("X", X["signal"][rows])}, kept, {"row": [candidate]}, training)

    refused("at least three seeds; there are seeds 1, 2", crops.seed < 3)
    some = (crops.y == 0) | (crops.seed < 3)
    refused("state liquid has nothing to train on where seeds 1, 2 are left out", some)
    at_one = some | (crops.defocus < 0)
    refused("state liquid .* at a defocus of 0 Å where seeds 1, 2", at_one, "per-defocus")
    nested({"signal": X["signal"][at_one]}, chosen_rows(crops, at_one), {"row": [SIGNAL]}, "pooled")
    refused("one state; at least two", crops.y == 0)
    refused("allowed are pooled, per-defocus", training="each")
    refused("allowed are LR, SVC", model="forest")
    refused("no block 'betti'; there are signal", features=("betti",))
    spoiled = X["signal"].copy()
    spoiled[3, 2] = np.nan
    refused("'signal': a value is not a finite number", X=spoiled)
    refused("95, .* 96 crops", X=X["signal"][:-1])
    refused("there are 96 crops", X=X["signal"][:, 0])

    three = design(seeds=3, states=3)
    for label in (1, 2):
        lacking = chosen_rows(three, three.y != label)
        with pytest.raises(PersistemError, match=f"state {STATES[label]} has no crop"):
            fixed({"signal": noise(lacking)}, lacking, SIGNAL, "pooled")
    lacking = chosen_rows(crops, (crops.seed != 4) | (crops.y == 0))
    with pytest.raises(PersistemError, match="seed 4 has no state liquid"):
        permutation_test({"signal": noise(lacking)}, lacking, SIGNAL, "pooled", 10)
    with pytest.raises(PersistemError, match="state liquid has nothing to train on where seed 1 is left out"):
        learning_curve({"signal": noise(lacking)}, lacking, SIGNAL, "pooled", 10)
    with pytest.raises(PersistemError, match="seed 1 is left out"):
        fixed({"signal": noise(crops)}, crops, SIGNAL, "pooled", crops.seed == 1)


def test_a_candidate_says_what_it_is() -> None:
    assert Candidate(("statistics", "betti"), "LR", 10.0).label() == "statistics + betti, LR, C = 10"


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_differences_that_are_none_are_decided_in_one_case_of_twenty(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    ends = [interval(rng.normal(size=seeds)) for _ in range(2000)]
    wrong = np.mean([low is not None and high is not None and not low <= 0 <= high for low, high in ends])
    assert 0.03 < wrong < 0.07
    assert interval([0.1, 0.2]) == (None, None)


def test_a_paired_change_is_students_paired_test() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(4)
    one, other = rng.normal(size=(2, 8)) + rng.normal(size=8)
    tested, known = change(one - other), ttest_rel(one, other)
    assert tested.p == pytest.approx(known.pvalue)
    assert (tested.low, tested.high) == pytest.approx(known.confidence_interval(0.95))
    # equal differences say nothing of how they scatter, so that their sign alone is tested; two say nothing
    assert change([0.1, 0.1, 0.1]) == (pytest.approx(0.1), None, None, 2 * 0.5**3)
    assert change([0.1, 0.2])[1:] == (None, None, None)


def test_splits_of_the_same_seeds_are_not_taken_for_independent() -> None:
    differences = np.array([[0.1, 0.2, 0.3], [0.2, 0.2, 0.5]])
    # pooled variance within seeds 0.02, two seeds, 1/3 + (1/4) / (3/4)
    error = np.sqrt(0.02 / 2 * (1 / 3 + 1 / 3))
    tested = change_within(differences, 0.25)
    assert tested.mean == pytest.approx(0.25)
    assert tested.high - tested.mean == pytest.approx(2.776445 * error, rel=1e-5)  # t of four degrees of freedom
    assert change_within([[0.1], [0.2]], 0.25)[1:] == (None, None, None)


def test_holms_correction() -> None:
    # worked: 0.005 x 4, 0.01 x 3, 0.03 x 2, and no p below the one before it
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.02]) == [pytest.approx(0.5), None, pytest.approx(0.04)]
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


@pytest.mark.parametrize("tests", [1, 20])
def test_the_smallest_change_that_could_be_shown_is_shown_in_80_percent(tests: int) -> None:
    rng = np.random.default_rng(6)
    shown = smallest_shown(0.05, 8, tests)
    found = [change(shown + 0.05 * rng.normal(size=8)).p for _ in range(2000)]
    assert abs(np.mean([p is not None and p < 0.05 / tests for p in found]) - 0.8) < 0.03
    if tests == 1:
        assert smallest_shown(1.0, 8) == pytest.approx(1.156, abs=2e-3)  # G*Power: d = 1.156


@pytest.mark.parametrize("variances", [(0.02, 0.02), (0.03, 0.01), (0.0, 0.03)])
def test_one_specimen_and_one_split_lie_in_the_prediction_interval(variances: tuple[float, float]) -> None:
    rng = np.random.default_rng(7)
    of_seed, of_split = variances

    def accuracies(seeds: int, splits: int) -> Any:
        return 0.7 + of_seed * rng.normal(size=(seeds, 1)) + of_split * rng.normal(size=(seeds, splits))

    held = []
    for _ in range(800):
        low, high = prediction(accuracies(8, 10))
        assert low is not None and high is not None
        held.append(low <= accuracies(1, 1).item() <= high)
    assert abs(np.mean(held) - 0.95) < 0.025
    # one split a seed: t S sqrt(1 + 1/n)
    one = np.array([[0.6], [0.7], [0.8]])
    assert prediction(one) == pytest.approx((0.7 - 4.302653 * 0.1 * np.sqrt(4 / 3), 1.0))
    assert prediction(one[:2]) == prediction(np.full((3, 2), 0.7)) == (None, None)
