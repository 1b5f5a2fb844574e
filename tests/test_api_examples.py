"""The examples in the docstrings of `persistem.api`: they run, and say what they show."""

import doctest
import shutil

import numpy as np
import pytest
import tifffile
from persistem import api
from support import labelled
from support.models import blobs

#: What learns from micrographs takes seconds.
LEARN = {"train", "cross_validate", "explore"}
ALL = set(api.__all__) - {"Exploration", "Map", "write", "write_exploration"}


@pytest.mark.parametrize("names", [ALL - LEARN, pytest.param(LEARN, marks=pytest.mark.thorough)], ids=["use", "learn"])
def test_the_examples_of_the_api_run(names, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(written, "results/demo/model")
    tifffile.imwrite("film.tif", blobs(2.6, np.random.default_rng(1)).astype(np.float32))
    tifffile.imwrite("wide.tif", labelled.planted(3, (384, 384))[0])
    (first, labels), (second, others) = (labelled.planted(seed, (64, 64)) for seed in (1, 2))
    given = {"first": first, "labels": labels, "second": second, "others": others}
    given["states"] = {1: "fine", 2: "coarse"}
    found = doctest.DocTestFinder().find(api, globs=vars(api) | given)
    examples = [test for test in found if test.examples and test.name.rpartition(".")[2] in names]
    assert len(examples) == len(names)
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in examples:
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
