"""Choices that the paper leaves open and that decide its claims: each is turned alone, and the claim turns with it."""

from itertools import product

import numpy as np
from persistem.imaging.crops import crops_of
from persistem.imaging.micrographs import _write as write_micrograph
from persistem.learning.accuracy import accuracy_table, read_by_seed
from persistem.report.claims import checklist
from persistem.report.figures.figure_4 import _summary, island_counts
from persistem.study import Crops, Learning, Recipe
from persistem.topology.diagrams import diagram_table, values_of
from persistem.topology.persistence_images import persistence_images
from scipy.ndimage import gaussian_filter

STATES, SEEDS, CROPS = ("amorphous", "liquid"), (1, 2, 3, 4, 5, 6), Crops(size=48, stride=48)
SIDE = 288


def bumps(rng, width):
    """A field of maxima of this width (px), nowhere below 0."""
    field = gaussian_filter(rng.normal(size=(SIDE, SIDE)), width, mode="wrap")
    return np.maximum(field / field.std(), 0)


#: Widths of the bright bumps and of the dark pits of each state.
PITS = {"amorphous": (2.5, 2.0), "liquid": (2.5, 2.7)}
BOTH = {"amorphous": (3.0, 2.0), "liquid": (2.0, 3.0)}


def micrograph(widths, state, seed):
    """Bright bumps less dark pits, each of a width of its own."""
    rng = np.random.default_rng([seed, STATES.index(state)])
    bright, dark = widths[state]
    return 1 + 0.05 * (bumps(rng, bright) - bumps(rng, dark))


def stacks(folder, widths, inverted):
    """The crops of each state and seed (n, rows, columns), in 8 bit."""
    recipe = Recipe(intensity={"method": "minmax"}, inverted=inverted)
    found = {}
    for state, seed in product(STATES, SEEDS):
        file = folder / "micrograph.tif"
        write_micrograph(file, micrograph(widths, state, seed), {"pixel_size_A": 0.05})
        found[state, seed] = crops_of(file, recipe, CROPS)[0]
    return found


def islands(stack):
    """What figure 4 says of the islands of crops."""
    table = diagram_table(stack, Recipe())
    island = values_of(table["degree"]) == 0
    counts = island_counts(stack, "superlevel", values_of(table["birth"])[island], values_of(table["death"])[island])
    white = counts[1] / (counts[4] * stack[0].size)
    return _summary(counts, (white > 0) & (white <= 0.5), 0.05**2)


def statuses(crops):
    """The status of each claim that figure 4 decides."""
    rows = [{"state": state, "seed": seed} | islands(stack) for (state, seed), stack in crops.items()]
    study = {"states": list(STATES), "recipe": "paper", "recipes": {"paper": {}}}
    listed = checklist({"figure-4": {"islands": rows}}, [], [], study)
    return {row["id"]: row["status"] for row in listed if row["id"].startswith("islands")}


def accuracies(crops, **learning):
    """The mean accuracy of the random split by degrees and model, each of (seeds,)."""
    X = {0: [], 1: []}
    y, seed = [], []
    for (state, number), stack in crops.items():
        images = persistence_images(diagram_table(stack, Recipe()), Recipe(bins=32, sigma=1.0), len(stack))
        for degree, of in X.items():
            of.append(images[:, degree])
        y += [STATES.index(state)] * len(stack)
        seed += [number] * len(stack)
    blocks = {degree: np.concatenate(of) for degree, of in X.items()}
    asked = Learning(repetitions=6, **learning)
    rows = accuracy_table(blocks, np.array(y), np.array(seed), np.zeros(len(y)), asked, "paper")
    return {
        (row["degrees"], row["model"]): np.array([np.mean(of) for of in read_by_seed(row["by_seed"]).values()])
        for row in rows
        if (row["split"], row["training"], row["foci"]) == ("random", "pooled", "all")
    }


def test_polarity_decides_whether_islands_are_larger_and_change_more_gradually(tmp_path):
    own, inverted = (statuses(stacks(tmp_path, BOTH, inverted)) for inverted in (False, True))
    assert own == {"islands-larger": "reproduced", "islands-gradual": "reproduced"}
    assert inverted == {"islands-larger": "not reproduced", "islands-gradual": "not reproduced"}


def test_polarity_decides_which_degree_tells_more(tmp_path):
    """States that differ in their pits: rings around them from bright to dark, islands from dark to bright."""
    own, inverted = (accuracies(stacks(tmp_path, PITS, inverted)) for inverted in (False, True))
    for model in ("LR", "SVC"):
        assert (own["1", model] - own["0", model]).mean() > 0.03
        assert (inverted["1", model] - inverted["0", model]).mean() < -0.03
