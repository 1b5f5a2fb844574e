"""What each split lets through, for features that carry one kind of identity and nothing else."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.evaluation.leak import SPLITS, attribution, splits_of
from persistem.learning.validation import CropLabels
from persistem.study import Learning

DEFOCI = (-100.0, -50.0, 0.0, 50.0)
POSITIONS = 8
SETTINGS = Learning(repetitions=4, models=("LR",))


def design(
    seeds: int = 6, defoci: tuple[float, ...] = DEFOCI, positions: int = POSITIONS
) -> tuple[CropLabels, np.ndarray]:
    rows = list(itertools.product(range(1, seeds + 1), range(2), defoci, range(positions)))
    seed, y, defocus, position = (np.array(column) for column in zip(*rows, strict=True))
    micrograph = np.unique(np.array([seed, y, defocus]), axis=1, return_inverse=True)[1].ravel()
    return CropLabels(y, seed, defocus.astype(float), micrograph, ("amorphous", "liquid")), position


def one_vector_each(*columns: np.ndarray, length: int = 150, rng_seed: int = 0) -> np.ndarray:
    """For each combination of the columns' values a random vector that says nothing of any other."""
    which = np.unique(np.array(columns), axis=1, return_inverse=True)[1].ravel()
    rng = np.random.default_rng(rng_seed)
    return 3 * rng.normal(size=(which.max() + 1, length))[which] + 0.1 * rng.normal(size=(len(which), length))


def accuracies(
    X: np.ndarray, crops: CropLabels, position: np.ndarray, learning: Learning = SETTINGS
) -> dict[str, float]:
    rows = attribution(X, crops, position, learning)
    assert len({row["split"] for row in rows}) == len(rows)
    return {row["split"]: row["accuracy"] for row in rows}


@pytest.mark.parametrize(
    ("of", "let_through"),
    [
        (("micrograph",), {"random", "region"}),  # noise, normalisation: the image gives itself away
        (("seed", "y", "position"), {"random", "micrograph"}),  # the same atoms at other defoci
        (("seed", "y"), {"random", "micrograph", "region"}),  # a specimen knows itself, and no other
        (("y",), {"random", "micrograph", "region", "seed"}),  # the state
    ],
)
def test_each_split_lets_through_what_it_leaves_in(of: tuple[str, ...], let_through: set[str]) -> None:
    crops, position = design()
    columns = crops._asdict() | {"position": position}
    found = accuracies(one_vector_each(*(columns[name] for name in of)), crops, position)
    assert list(found) == list(SPLITS)
    for split, value in found.items():
        if split in let_through:
            assert value == 1.0, split
        else:
            assert 0.25 < value < 0.75, split


@pytest.mark.slow
def test_the_focus_of_the_micrographs_left_out_does_not_tell_the_state() -> None:
    # nothing but the focus shows: a model that had seen one state alone at a focus would take the focus for it
    crops, position = design(defoci=tuple(np.arange(8.0)))
    found = accuracies(one_vector_each(crops.defocus), crops, position, Learning(repetitions=10, models=("LR",)))
    assert abs(found["micrograph"] - 0.5) < 0.06


def test_splits_differ_in_what_they_leave_out_and_in_nothing_else() -> None:
    crops, position = design(seeds=3)
    per_seed = 2 * len(DEFOCI) * POSITIONS
    found = {name: splits_of(name, crops, position, SETTINGS) for name in SPLITS}
    for name, splits in found.items():
        assert [split.group for split in splits] == list(np.repeat([1, 2, 3], SETTINGS.repetitions))
        for split in splits:
            assert set(crops.seed[split.train]) == {split.group}
            assert not set(split.train) & set(split.test)
            assert len(split.train) == 0.75 * per_seed and len(split.test) == 0.25 * per_seed
            assert np.bincount(crops.y[split.train]).tolist() == [0.375 * per_seed] * 2
            tested = set(crops.seed[split.test])
            assert len(tested) == 1 and (tested == {split.group}) == (name != "seed")
            shared = {
                "micrograph": set(crops.micrograph[split.train]) & set(crops.micrograph[split.test]),
                "region": set(position[split.train]) & set(position[split.test]),
            }
            assert not shared.get(name)
            assert name != "random" or (shared["micrograph"] and shared["region"])
    # the same models, tested elsewhere: each of the other seeds in turn
    for own, other in zip(found["random"], found["seed"], strict=True):
        assert np.array_equal(own.train, other.train)
    pairs = {(split.group, int(crops.seed[split.test[0]])) for split in found["seed"]}
    assert pairs == set(itertools.permutations((1, 2, 3), 2))
    assert len({tuple(split.test) for split in found["region"]}) > 6


def test_rows_and_intervals() -> None:
    crops, position = design(seeds=3)
    X = one_vector_each(crops.seed, crops.y)
    settings = Learning(repetitions=2)
    rows = attribution(X, crops, position, settings)
    assert [(row["model"], row["split"]) for row in rows] == list(itertools.product(("LR", "SVC"), SPLITS))
    assert {row["n_splits"] for row in rows} == {6}
    assert all(row["ci_low"] <= row["accuracy"] <= row["ci_high"] for row in rows)
    two = crops.seed < 3
    fewer = attribution(X[two], CropLabels(*(c[two] for c in crops[:4])), position[two], settings)
    assert {row["ci_low"] for row in fewer} == {None}


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    crops, position = design(seeds=3)
    X = one_vector_each(crops.seed, crops.y)
    settings = Learning(repetitions=2)
    assert attribution(X, crops, position, settings, jobs=2) == attribution(X, crops, position, settings)


def test_a_split_that_is_not_possible_has_no_row() -> None:
    def splits(**changes: Any) -> set[str]:
        crops, position = design(seeds=2, **changes)
        return set(accuracies(one_vector_each(crops.y), crops, position))

    assert splits(defoci=(0.0,)) == {"random", "region", "seed"}
    assert splits(positions=1) == {"micrograph"}
    assert splits(defoci=(0.0,), positions=1) == set()
    # one state shows at one defocus alone, without which there is nothing to tell apart
    crops, position = design(seeds=2)
    some = (crops.y == 0) | (crops.defocus == 0)
    kept = CropLabels(*(c[some] for c in crops[:4]))
    assert set(accuracies(one_vector_each(kept.y), kept, position[some])) == {"region"}


def test_a_seed_without_all_states_is_left_out_and_one_seed_is_too_few() -> None:
    crops, position = design(seeds=3)
    X = one_vector_each(crops.y)
    some = (crops.seed < 3) | (crops.y == 0)
    kept = CropLabels(*(c[some] for c in crops[:4]))
    for name in SPLITS:
        assert {s.group for s in splits_of(name, kept, position[some], SETTINGS)} == {1, 2}
    one = (crops.seed < 2) | (crops.y == 0)
    with pytest.raises(PersistemError, match=r"two seeds with all states are needed; complete are \[1\]"):
        attribution(X[one], CropLabels(*(c[one] for c in crops[:4])), position[one], SETTINGS)
    X[0, 0] = np.nan
    with pytest.raises(PersistemError, match="not a finite number"):
        attribution(X, crops, position, SETTINGS)
    with pytest.raises(PersistemError, match="but there are 192 crops"):
        attribution(X[1:], crops, position, SETTINGS)
