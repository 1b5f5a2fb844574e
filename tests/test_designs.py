"""Designs of protocols: what they confound, and what neighbours are."""

from functools import reduce
from itertools import combinations
from operator import xor

import numpy as np
import pytest
from persistem.evaluation.designs import columns_of, fractional, full, full_size, neighbours


@pytest.mark.parametrize("number", [1, 2, 5, 8, 12, 17])
@pytest.mark.parametrize("resolution", [3, 4, 5])
def test_columns_have_the_resolution_that_they_say(number, resolution):
    columns = columns_of(number, resolution)
    assert len(set(columns)) == number
    for few in range(1, resolution):
        assert all(reduce(xor, some) for some in combinations(columns, few))


@pytest.mark.parametrize(
    # the smallest regular fractions: Montgomery, Design and Analysis of Experiments, table 8.14
    ("factors", "resolution", "runs"),
    [(3, 3, 4), (7, 3, 8), (4, 4, 8), (8, 4, 16), (16, 4, 32), (5, 5, 16), (6, 5, 32), (8, 5, 64), (11, 5, 128)],
)
def test_fractions_are_as_small_as_the_textbooks(factors, resolution, runs):
    protocols = fractional([2] * factors, resolution)
    assert len(protocols) == runs and protocols[0] == (0,) * factors
    levels = 1 - 2 * np.array(protocols)
    # balanced, and main effects orthogonal; at resolution 5 pairs too
    effects = [levels[:, k] for k in range(factors)]
    if resolution == 5:
        effects += [levels[:, i] * levels[:, j] for i, j in combinations(range(factors), 2)]
    matrix = np.column_stack([np.ones(runs), *effects])
    assert np.array_equal(matrix.T @ matrix, runs * np.eye(matrix.shape[1]))


def test_questions_of_several_answers_are_all_asked():
    counts = [3, 2, 4, 1, 5]
    protocols = fractional(counts, 4)
    assert protocols[0] == (0,) * 5 and len(set(protocols)) == len(protocols) < full_size(counts)
    assert [set(answers) for answers in zip(*protocols, strict=True)] == [set(range(k)) for k in counts]
    assert len(full(counts)) == full_size(counts) == 120 and set(protocols) < set(full(counts))


def test_neighbours_differ_in_one_answer():
    near = neighbours((1, 0, 2), [2, 3, 3])
    assert near == [(0, 0, 2), (1, 1, 2), (1, 2, 2), (1, 0, 0), (1, 0, 1)]
