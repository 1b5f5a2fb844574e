"""What the accuracy table says of data whose answer is known."""

from __future__ import annotations

import csv
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from persistem.errors import PersistemError
from persistem.learning.accuracy import COLUMNS, Source, accuracy_table, by_seed_text, learn, outcome, read_by_seed
from persistem.learning.classifiers import classifier, reduced, scaled
from persistem.learning.splits import Split, leave_seed_out, random_splits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

DEFOCI = (-100.0, 0.0, 12.5)
PAPER = {
    "models": ("LR", "SVC"),
    "C": 0.01,
    "scaling": "standard",
    "penalised_intercept": ("SVC",),
    "test_fraction": 0.25,
    "split_unit": "crop",
    "judged": "test",
    "repetitions": 3,
    "split_seed": 0,
    "in_focus": 25.0,
}
ORTHOGONAL = np.linalg.qr(np.random.default_rng(99).normal(size=(40, 40)))[0]


@pytest.fixture(autouse=True)
def converged() -> Iterator[None]:
    """No fit of these tests may end before it has converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # of what other tests in this process left to be collected
        warnings.simplefilter("ignore", ResourceWarning)
        yield


def settings(**changes: Any) -> Any:
    return SimpleNamespace(**PAPER | changes)


def labels(states: int = 2, seeds: int = 3, crops: int = 8, defoci: tuple[float, ...] = DEFOCI) -> Any:
    """State, seed and defocus of every crop of a study."""
    columns = np.array(list(itertools.product(range(1, seeds + 1), range(states), defoci, range(crops)))).T
    return columns[1].astype(int), columns[0].astype(int), columns[2]


def noise(n: int, length: int = 40, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, length))


def separable(y: np.ndarray, length: int = 40) -> dict[int, np.ndarray]:
    """Vectors of two degrees in which each state lies in its own direction."""
    return {k: noise(len(y), length, k) + 12 * ORTHOGONAL[y, :length] for k in (0, 1)}


def find(rows: list[dict[str, Any]], **keys: str) -> list[dict[str, Any]]:
    return [row for row in rows if all(row[k] == v for k, v in keys.items())]


def one(rows: list[dict[str, Any]], **keys: str) -> dict[str, Any]:
    (row,) = find(rows, **keys)
    return row


POOLED = {"training": "pooled", "foci": "all", "degrees": "0"}


@pytest.mark.parametrize("states", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_separable_states_are_told_apart_and_every_combination_has_a_row(states: int) -> None:
    y, seed, defocus = labels(states)
    rows = accuracy_table(separable(y), y, seed, defocus, settings(), "paper")
    assert [tuple(row) for row in rows] == [COLUMNS] * len(rows)
    combinations = itertools.product(
        ["paper"],
        ["0", "1", "0+1"],
        ["LR", "SVC"],
        ["random", "leave-seed-out"],
        ["pooled", "per-defocus"],
        ["all", "in-focus", "-100", "0", "12.5"],
    )
    assert [tuple(row.values())[:6] for row in rows] == list(combinations)
    assert {row["accuracy"] for row in rows} == {row["ci_high"] for row in rows} == {1.0}
    # three perfect seeds bound the mean; repetitions of the random split do not scatter
    assert {row["ci_low"] for row in find(rows, split="random")} == {1.0}
    assert {row["ci_low"] for row in find(rows, split="leave-seed-out")} == {round(0.05 ** (1 / 3), 6)}


def test_a_row_holds_the_accuracy_of_every_split_by_seed() -> None:
    y, seed, defocus = labels(crops=8)
    rows = accuracy_table({0: noise(len(y))}, y, seed, defocus, settings(models=("LR",)), "paper")
    for row in rows:
        values = read_by_seed(row["by_seed"])
        splits = 3 if row["split"] == "random" else 1
        assert {name: len(of) for name, of in values.items()} == dict.fromkeys("123", splits)
        assert np.mean(list(values.values())) == pytest.approx(row["accuracy"], abs=1e-5)
    # the first random split of seed 2, by hand
    split = next(s for s in random_splits(y, seed, defocus, 0.25, 3, 0) if set(seed[s.test]) == {2})
    right = outcome(noise(len(y)), y, defocus, split, 1, settings(models=("LR",)))["LR", "pooled"]
    row = one(rows, split="random", model="LR", **POOLED)
    assert read_by_seed(row["by_seed"])["2"][0] == pytest.approx(right.mean(), abs=1e-5)
    assert read_by_seed(by_seed_text({3: [0.5, 0.25], 12: [1.0, 0.0]})) == {"3": [0.5, 0.25], "12": [1.0, 0.0]}
    assert read_by_seed("") == read_by_seed(None) == {}


def test_crops_and_splits_are_counted() -> None:
    y, seed, defocus = labels(crops=8)
    rows = accuracy_table(separable(y), y, seed, defocus, settings(models=("LR",)), "paper")
    for training in ("pooled", "per-defocus"):
        keys = {"degrees": "0", "model": "LR", "training": training}
        tested = {r["foci"]: (r["n_test"], r["n_splits"]) for r in find(rows, split="random", **keys)}
        cell = 3 * 3 * 2 * 2  # seeds, repetitions, states, a quarter of 8 crops
        assert tested == {
            "all": (3 * cell, 9),
            "in-focus": (2 * cell, 9),
            "-100": (cell, 9),
            "0": (cell, 9),
            "12.5": (cell, 9),
        }
        assert one(rows, split="leave-seed-out", foci="all", **keys)["n_test"] == len(y)
        assert one(rows, split="leave-seed-out", foci="0", **keys)["n_splits"] == 3


def test_labels_without_meaning_give_chance() -> None:
    y, seed, defocus = labels(seeds=4, crops=16)
    X = {0: noise(len(y))}
    rows = accuracy_table(X, y, seed, defocus, settings(), "paper")
    assert {row["degrees"] for row in rows} == {"0"}
    for row in find(rows, foci="all"):
        # repetitions test the same crops again: at most 384 of them count as independent
        assert abs(row["accuracy"] - 0.5) < 4 * np.sqrt(0.25 / min(row["n_test"], len(y)))


def test_features_that_tell_only_specimens_apart_deceive_the_random_split() -> None:
    y, seed, defocus = labels(seeds=6, defoci=(0.0,))
    specimen = 2 * (seed - 1) + y
    # directions that share nothing: what one specimen looks like says nothing of another
    X = {0: noise(len(y)) + 12 * ORTHOGONAL[specimen]}
    rows = accuracy_table(X, y, seed, defocus, settings(), "paper")
    for model in ("LR", "SVC"):
        assert one(rows, split="random", model=model, **POOLED)["accuracy"] == 1.0
        assert 0.2 < one(rows, split="leave-seed-out", model=model, **POOLED)["accuracy"] < 0.8


def test_agrees_with_scikit_learn_done_directly() -> None:
    y, seed, defocus = labels(crops=6)
    X = {0: noise(len(y), 200) + 0.4 * y[:, None] * noise(1, 200, 7)}
    models = {
        "LR": LogisticRegression(C=0.01, tol=1e-8, max_iter=10_000, solver="newton-cholesky"),
        "SVC": LinearSVC(C=0.01, loss="hinge", random_state=3, max_iter=10_000, tol=1e-6),
    }
    rows = accuracy_table(X, y, seed, defocus, settings(), "paper")
    for name, model in models.items():
        pipeline = make_pipeline(StandardScaler(), model)
        hits = np.array([])
        per_seed = []
        for train, test in LeaveOneGroupOut().split(X[0], y, seed):
            right = pipeline.fit(X[0][train], y[train]).predict(X[0][test]) == y[test]
            per_seed.append(right.mean())
            hits = np.append(hits, right[defocus[test] == 12.5])
        row = one(rows, split="leave-seed-out", model=name, **POOLED)
        assert 0.5 < row["accuracy"] < 1
        assert row["accuracy"] == pytest.approx(np.mean(per_seed), abs=1e-6)
        assert one(rows, split="leave-seed-out", model=name, **POOLED | {"foci": "12.5"})["accuracy"] == pytest.approx(
            hits.mean(), abs=1e-6
        )
        folds = [((defocus == -100) & (seed != s), (defocus == -100) & (seed == s)) for s in (1, 2, 3)]
        alone = [pipeline.fit(X[0][a], y[a]).score(X[0][b], y[b]) for a, b in folds]
        row = one(rows, degrees="0", split="leave-seed-out", model=name, training="per-defocus", foci="-100")
        assert row["accuracy"] == pytest.approx(np.mean(alone), abs=1e-6)


@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("model", ["LR", "SVC"])
def test_reduction_changes_no_decision(model: str, states: int) -> None:
    y, _, _ = labels(states, seeds=1, crops=16)
    # a steep spectrum, repeated columns and repeated rows: as smoothed diagrams have, and worse
    X = noise(len(y), 300) @ np.diag(0.9 ** np.arange(300)) @ noise(300, 300, 2)
    X = np.hstack([X, X[:, :20]]) + y[:, None]
    X[1] = X[0]
    train, test = scaled(X[::2], X[1::2], "standard")
    few, few_test = reduced(train, test)
    assert few.shape[1] <= len(train) < train.shape[1]
    np.testing.assert_allclose(few @ few.T, train @ train.T, atol=1e-8)
    np.testing.assert_allclose(few_test @ few.T, test @ train.T, atol=1e-5)
    direct = classifier(model, 0.01, model == "SVC").fit(train, y[::2]).decision_function(test)
    plain = {
        "LR": LogisticRegression(C=0.01, tol=1e-9, max_iter=10_000),
        "SVC": LinearSVC(C=0.01, loss="hinge", random_state=3, tol=1e-8, max_iter=1_000_000),
    }[model]
    np.testing.assert_allclose(plain.fit(train, y[::2]).decision_function(test), direct, atol=1e-3)
    np.testing.assert_allclose(
        classifier(model, 0.01, model == "SVC").fit(few, y[::2]).decision_function(few_test), direct, atol=1e-5
    )


def test_crops_without_any_feature_are_classified_by_the_prior() -> None:
    y, seed, defocus = labels()
    rows = accuracy_table({0: np.zeros((len(y), 40))}, y, seed, defocus, settings(), "paper")
    assert {row["accuracy"] for row in rows} == {0.5}


@pytest.mark.parametrize("scaling", ["standard", "maximum", "maximum by degree", "none"])
def test_test_rows_do_not_reach_the_training(scaling: str) -> None:
    y, _, defocus = labels(seeds=2)
    X = np.abs(noise(len(y))) / 10 + 0.15 * y[:, None]
    half = len(y) // 2
    split = Split(1, np.arange(half), np.arange(half, len(y)))
    with_outlier = X.copy()
    with_outlier[-1] *= 1e6
    before, after = (outcome(x, y, defocus, split, 2, settings(C=0.1, scaling=scaling)) for x in (X, with_outlier))
    assert before["LR", "pooled"].mean() > 0.5
    for key, right in before.items():
        assert np.array_equal(right[:-1], after[key][:-1])


def test_scaling_is_what_its_name_says() -> None:
    train, test = np.array([[1.0, 7.0, 2.0], [3.0, 7.0, 4.0]]), np.array([[5.0, 8.0, 16.0]])
    assert [a.tolist() for a in scaled(train, test, "standard")] == [[[-1, 0, -1], [1, 0, 1]], [[3, 1, 13]]]
    assert np.allclose(scaled(train, test, "maximum")[1], test / 7)
    by_degree = [scaled(train[:, :2], test[:, :2], "maximum by degree", degrees=k)[1] for k in (1, 2)]
    assert [a.tolist() for a in by_degree] == [[[5 / 7, 8 / 7]], [[5 / 3, 8 / 7]]]
    assert scaled(train, test, "none")[1].tolist() == test.tolist()


def test_scaling_and_C_go_together() -> None:
    y, _, _ = labels(seeds=1)
    X = separable(y)[0] / 1e4

    def probability(C: float, scaling: str, factor: float = 1.0) -> float:
        vectors = factor * scaled(X, X, scaling)[0]
        return float(classifier("LR", C).fit(vectors, y).predict_proba(vectors).max())

    # of small features C = 0.01 makes nothing but the prior; scaled, or with a large C, they decide
    assert probability(0.01, "none") < 0.51 < 0.8 < probability(0.01, "standard")
    assert probability(1e8, "none") > 0.99
    # features k times as large are a C k² times as large
    assert probability(1e-6, "standard", 100) == pytest.approx(probability(0.01, "standard"), abs=1e-4)


def test_a_model_for_each_defocus_helps_where_the_contrast_inverts() -> None:
    y, seed, defocus = labels(defoci=(-50.0, 50.0))
    sign = np.where(defocus > 0, 1, -1) * (2 * y - 1)
    X = {0: noise(len(y)) + 6 * sign[:, None] * ORTHOGONAL[0]}
    rows = accuracy_table(X, y, seed, defocus, settings(), "paper")
    assert not find(rows, foci="in-focus")  # no defocus is
    for keys in itertools.product(["random", "leave-seed-out"], ["LR", "SVC"]):
        chosen = find(rows, split=keys[0], model=keys[1], foci="all")
        pooled, single = (row["accuracy"] for row in chosen)
        assert pooled < 0.75 < 0.95 < single


def test_foci_are_selected_by_their_defocus() -> None:
    y, seed, defocus = labels(defoci=(-26.0, -25.0, 25.0))
    # states can be told apart at +25 Å and nowhere else
    X = {0: noise(len(y)) + 12 * np.where(defocus == 25, 2 * y - 1, 0)[:, None] * ORTHOGONAL[0]}
    rows = find(accuracy_table(X, y, seed, defocus, settings(), "paper"), split="leave-seed-out", model="LR")
    for training in ("pooled", "per-defocus"):
        of = {row["foci"]: row["accuracy"] for row in find(rows, training=training)}
        assert of["25"] == 1 and of["-25"] < 0.8 and of["-26"] < 0.8
        assert of["in-focus"] == pytest.approx((of["-25"] + of["25"]) / 2, abs=2e-6)
        assert of["all"] == pytest.approx((of["-26"] + of["-25"] + of["25"]) / 3, abs=2e-6)


def test_the_random_split_divides_every_specimen_and_focus_alike() -> None:
    y, seed, defocus = labels(states=3, crops=16)
    splits = random_splits(y, seed, defocus, 0.25, 4, 0)
    assert len({tuple(s.test) for s in splits}) == len(splits) == 12
    for split in splits:
        assert len(set(seed[split.train]) | set(seed[split.test])) == 1
        assert not set(split.train) & set(split.test) and len(split.train) + len(split.test) == 3 * 3 * 16
        cells = np.unique(np.array([y[split.test], defocus[split.test]]), axis=1, return_counts=True)[1]
        assert cells.tolist() == [4] * 9
    # another seed in the study, or fewer repetitions, changes no draw
    first = seed == 1
    alone = random_splits(y[first], seed[first], defocus[first], 0.25, 2, 0)
    assert [tuple(s.test) for s in alone] == [tuple(s.test) for s in splits if seed[s.test[0]] == 1][:2]
    other = random_splits(y, seed, defocus, 0.25, 4, 1)
    assert all(tuple(a.test) != tuple(b.test) for a, b in zip(splits, other, strict=True))


def test_a_split_by_places_keeps_the_crops_of_a_place_together() -> None:
    y, seed, defocus = labels(states=3, crops=16)
    place = np.tile(np.arange(16), len(y) // 16)
    for split in random_splits(y, seed, defocus, 0.25, 4, 0, place):
        (own,) = set(seed[split.train]) | set(seed[split.test])
        for state in range(3):
            sides = [set(place[rows][y[rows] == state]) for rows in (split.train, split.test)]
            assert not sides[0] & sides[1] and [len(side) for side in sides] == [12, 4]
        assert len(split.train) + len(split.test) == (seed == own).sum()
    with pytest.raises(PersistemError, match=r"too few places \(1\)"):
        random_splits(y, seed, defocus, 0.25, 4, 0, 0 * place)


def test_places_show_what_crops_at_other_defoci_give_away() -> None:
    y, seed, defocus = labels(seeds=1, crops=16)
    place = np.tile(np.arange(16), len(y) // 16)
    # every place of every specimen has a pattern of its own, the same at all defoci, which says nothing of the state
    X = {0: noise(2 * 16)[16 * y + place] + 0.1 * noise(len(y), seed=1)}
    shares = {
        unit: one(
            accuracy_table(X, y, seed, defocus, settings(split_unit=unit, C=10.0, repetitions=20), "", place=place),
            model="LR", training="pooled", foci="all",
        )["accuracy"]
        for unit in ("crop", "place")
    }  # fmt: skip
    assert shares["place"] < 0.65 < 0.9 < shares["crop"]


def test_judged_crops_are_those_that_are_asked_for() -> None:
    y, seed, defocus = labels()
    splits = {j: random_splits(y, seed, defocus, 0.25, 2, 0, judged=j) for j in ("test", "training", "all")}
    for held_out, training, both in zip(*splits.values(), strict=True):
        assert np.array_equal(held_out.train, training.train) and np.array_equal(training.train, training.test)
        assert sorted([*held_out.train, *held_out.test]) == both.test.tolist()
    X = {0: noise(len(y), 200)}
    shares = {
        j: one(accuracy_table(X, y, seed, defocus, settings(judged=j, C=10.0), ""), split="random", model="SVC",
               training="pooled", foci="all")["accuracy"]
        for j in splits
    }  # fmt: skip
    # of noise anything can be learned by heart
    assert shares["test"] < 0.65 and shares["training"] == 1
    assert shares["all"] == pytest.approx(0.75 + 0.25 * shares["test"], abs=1e-6)


@pytest.mark.parametrize("model", ["LR", "SVC"])
def test_a_penalised_intercept_is_the_weight_of_a_constant_feature(model: str) -> None:
    y, _, _ = labels(seeds=2)
    X = separable(y)[0][:, :5] + 3
    y = np.concatenate([y, np.ones(40, int)])
    X = np.concatenate([X, noise(40)[:, :5] + 3])
    one_more = np.column_stack([X, np.ones(len(X))])
    fitted = classifier(model, 1e-3, True, 1e-9).fit(X, y)
    plain = {
        "LR": LogisticRegression(C=1e-3, tol=1e-9, max_iter=10_000, fit_intercept=False),
        "SVC": LinearSVC(C=1e-3, loss="hinge", fit_intercept=False, random_state=3, tol=1e-9, max_iter=10**6),
    }[model].fit(one_more, y)
    np.testing.assert_allclose(fitted.decision_function(X), plain.decision_function(one_more), atol=1e-4)
    free = classifier(model, 1e-3, False, 1e-9).fit(X, y)
    assert abs(free.intercept_[0]) > 2 * abs(fitted.intercept_[0])


def test_seeds_decide_which_splits_and_intervals_there_are() -> None:
    def table(keep: Any, **changes: Any) -> list[dict[str, Any]]:
        y, seed, defocus = labels()
        chosen = keep(y, seed)
        y, seed, defocus = y[chosen], seed[chosen], defocus[chosen]
        return accuracy_table(separable(y), y, seed, defocus, settings(models=("LR",), **changes), "paper")

    rows = table(lambda y, seed: seed == 1)
    assert {row["split"] for row in rows} == {"random"}
    rows = table(lambda y, seed: seed < 3)
    assert {row["ci_low"] for row in find(rows, split="leave-seed-out")} == {None}
    assert None not in {row["ci_high"] for row in find(rows, split="random")}
    assert {row["ci_low"] for row in table(lambda y, seed: seed == 1, repetitions=2)} == {None}
    # state 1 is missing from seed 3, which the random split then leaves out
    rows = table(lambda y, seed: (y == 0) | (seed < 3))
    assert {row["n_splits"] for row in find(rows, split="random")} == {6}
    assert {row["n_splits"] for row in find(rows, split="leave-seed-out")} == {3}
    # one seed of state 1: without it nothing could be trained
    assert not leave_seed_out(np.array([0, 0, 1]), np.array([1, 2, 1]))
    with pytest.raises(PersistemError, match="at least two seeds of every state"):
        table(lambda y, seed: (y == 0) == (seed == 1))


def write_source(folder: Path, specimen: str, state: str, seed: int, defocus: float, vectors: Any) -> Source:
    """A file of persistence images; ``vectors`` (crops, degrees, length)."""
    crops, degrees, length = vectors.shape
    path = folder / f"{specimen}{defocus:+.1f}.parquet"
    columns = {
        "crop": pa.array(np.repeat(np.arange(crops), degrees), pa.int32()),
        "degree": pa.array(np.tile(np.arange(degrees), crops), pa.int8()),
        "image": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), length),
    }
    pq.write_table(pa.table(columns), path)
    return Source(path, specimen, state, seed, defocus)


def study(folder: Path) -> list[Source]:
    rng = np.random.default_rng(3)
    return [
        write_source(folder, f"{state}-s{seed}", state, seed, d, rng.normal(0.4 * (state == "liquid"), 1, (4, 2, 30)))
        for state in ("amorphous", "liquid")
        for seed in (1, 2, 3)
        for d in DEFOCI
    ]


STATES = ["amorphous", "liquid"]


@pytest.mark.slow
def test_the_table_is_the_same_in_any_order_and_number_of_jobs(tmp_path: Path) -> None:
    sources = study(tmp_path)
    # a second specimen of one state and seed, so that the draw has an order to depend on
    sources += [write_source(tmp_path, "other", "liquid", 1, d, noise(8, 30, 4).reshape(4, 2, 30)) for d in DEFOCI]
    shuffled = [sources[i] for i in np.random.default_rng(0).permutation(len(sources))]
    learn(sources, STATES, settings(), "paper", tmp_path / "a.csv")
    learn(shuffled, STATES, settings(), "paper", tmp_path / "b.csv", jobs=2)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 3 * 2 * 2 * 2 * 5
    assert len({row["accuracy"] for row in rows}) > 20  # hard enough that another order could show
    learn(sources, STATES, settings(split_seed=1), "paper", tmp_path / "c.csv")
    assert (tmp_path / "a.csv").read_bytes() != (tmp_path / "c.csv").read_bytes()


@pytest.mark.slow
def test_vectors_go_to_the_crop_and_degree_that_they_say(tmp_path: Path) -> None:
    sources = study(tmp_path)
    learn(sources, STATES, settings(repetitions=1), "paper", tmp_path / "a.csv")
    for source in sources:
        table = pq.read_table(source.path)
        pq.write_table(table.take(np.random.default_rng(1).permutation(len(table))), source.path)
    learn(sources, STATES, settings(repetitions=1), "paper", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_input_that_cannot_be_learned_from_is_refused(tmp_path: Path) -> None:
    sources = study(tmp_path)

    def refused(match: str, sources: list[Source], states: list[str] = STATES, **changes: Any) -> None:
        with pytest.raises(PersistemError, match=match):
            learn(sources, states, settings(**changes), "paper", tmp_path / "out.csv")
        assert not (tmp_path / "out.csv").exists()

    refused("'crystal' has no specimen", sources, [*STATES, "crystal"])
    refused("'liquid' is not one of the states", sources, ["amorphous", "crystal"])
    refused("at least 2", sources[:9], ["amorphous"])
    refused("listed twice", [*sources, sources[0]])
    refused("lacks a defocus", sources[1:])
    refused("two states or seeds", [sources[0]._replace(seed=9, defocus=1.0), *sources])

    def spoiled(vectors: Any) -> list[Source]:
        folder = tmp_path / "spoiled"
        folder.mkdir(exist_ok=True)
        return [*sources[:-1], write_source(folder, *sources[-1][1:], vectors)]

    refused("31 values, those of .* 30", spoiled(np.zeros((4, 2, 31))))
    refused("finite", spoiled(np.full((4, 2, 30), np.nan)))
    refused(r"degree \[0\]", spoiled(np.zeros((4, 1, 30))))
    refused("at least one crop", spoiled(np.zeros((0, 2, 30))))
    refused("too few crops", spoiled(np.zeros((1, 2, 30))))
    twice = spoiled(np.zeros((4, 2, 30)))
    table = pq.read_table(twice[-1].path)
    pq.write_table(pa.concat_tables([table, table]), twice[-1].path)
    refused("exactly one image", twice)
