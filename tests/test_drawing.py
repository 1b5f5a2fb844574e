"""The same figure is the same file."""

import random

import kiwisolver
import numpy as np
import pytest
from persistem.report.figures import drawing


def places(seed):
    """The corners of the parts and axes of a figure, with the memory of the layout's solver in another disorder."""
    import matplotlib.pyplot as plt

    # freed in a random order, so that what the solver allocates next lies in one
    terms = [kiwisolver.Variable(str(i)) for i in range(3000)]
    random.Random(seed).shuffle(terms)
    del terms[1000:]
    with drawing.style():
        figure = plt.figure(figsize=(7, 7.2))
        top, bottom = figure.subfigures(2, 1, height_ratios=[3.1, 2.3])
        left, right = top.subfigures(1, 2, width_ratios=[4.2, 1.3])
        left.subplots(2, 4, gridspec_kw={"width_ratios": [1, 2, 3, 0.7]})
        right.subplots(2, 1)
        bottom.colorbar(bottom.subplots().imshow([[1, 2]]))
        for number, axes in enumerate(figure.axes):
            axes.set(title="birth" * (number % 3), xlabel="death", ylabel="pairs\n" * (number % 2))
        drawing.settle(figure)
        figure.draw_without_rendering()
    boxes = [part.bbox_relative for part in (top, bottom, left, right)]
    found = np.array([box.extents for box in [*boxes, *(axes.get_position(original=True) for axes in figure.axes)]])
    plt.close(figure)
    return found


@pytest.mark.slow
def test_places_do_not_depend_on_where_the_layout_s_solver_keeps_its_terms():
    first, *others = (places(seed) for seed in range(4))
    assert len(first) == 4 + 12
    assert np.array_equal(first, first.round(4))
    assert all(np.array_equal(first, other) for other in others)
    # and nothing lies on anything else: the layout was made before it was kept
    x0, y0, x1, y1 = first[4:12].T
    apart = (x1[:, None] <= x0) | (x0[:, None] >= x1) | (y1[:, None] <= y0) | (y0[:, None] >= y1)
    assert apart[~np.eye(8, dtype=bool)].all()


def test_a_scale_bar_is_as_long_as_it_says():
    import matplotlib.pyplot as plt

    pixel_size = 0.2  # Å; 300 pixels are 6 nm, so the bar is 2 nm: 100 pixels, drawn as 200
    with drawing.style(), plt.rc_context({"figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(6, 6), dpi=100)
        axis = figure.add_axes((0, 0, 1, 1))
        axis.imshow(np.zeros((300, 300)), cmap="gray", vmin=0, vmax=1)
        drawing.scale_bar(axis, (300, 300), pixel_size)
        figure.canvas.draw()
        drawn = np.asarray(figure.canvas.buffer_rgba())[..., 0]
        plt.close(figure)
    white = drawn > 127
    longest = max(int(row.sum()) for row in white[int(0.93 * len(white)) :])
    assert longest == pytest.approx(200, abs=1)
