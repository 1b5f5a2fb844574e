"""How strong the contrast of an image is, times the simulated, read from all its windows."""

import numpy as np
import pytest
from persistem.model.contrast_factor import LEAST_AREA, Factored, assessed, beyond, fitted, of_image

RINGS, WINDOWS = 6, 36
RANGE = (0.85, 1.18)
#: Logarithm of the contrast, and slope of the spectrum, of each state: the strong one looks like the weak one's double.
STRENGTH, SLOPE = np.array([-2.0, -1.3]), np.array([0.5, 1.5])
#: How much the contrast grows with the defocus, and differs between specimens (of a seed) and from window to window.
BY_DEFOCUS, OF_SEEDS, OF_WINDOWS = 0.01, 0.03, 0.2


def image(rng, states, seed, defocus, factor, windows=WINDOWS):
    """Blocks of the windows of an image whose contrast is multiplied."""
    state = np.resize(states, windows)
    own = OF_SEEDS * np.random.default_rng([7, seed]).normal()
    strength = STRENGTH[state] + own + BY_DEFOCUS * defocus + np.log(factor) + OF_WINDOWS * rng.normal(size=windows)
    spectrum = -np.outer(SLOPE[state], np.arange(RINGS)) + 0.2 * rng.normal(size=(windows, RINGS))
    return {"contrast": strength[:, None], "spectrum": spectrum}


def training(seeds=(1, 2, 3, 4)):
    """Images of two states at three defoci: one in the range of the training, and three wider."""
    rng, images = np.random.default_rng(0), []
    for seed in seeds:
        for state in (0, 1):
            for defocus in (-25.0, 0.0, 25.0):
                factors = np.exp(np.log(RANGE[1]) * rng.uniform(-1, 1, 4) * [1, 5, 5, 5])
                images += [(seed, defocus, factor, k == 0, state) for k, factor in enumerate(factors)]
    blocks = [image(rng, [state], seed, defocus, factor) for seed, defocus, factor, _, state in images]
    X = {name: np.concatenate([of[name] for of in blocks]) for name in blocks[0]}
    seed, defocus, factor, trained, _ = (np.repeat(column, WINDOWS) for column in zip(*images, strict=True))
    number = np.repeat(np.arange(len(images)), WINDOWS)
    return Factored(X, number, seed, defocus, factor, trained.astype(bool))


@pytest.fixture(scope="module")
def gauge():
    return assessed(training(), RANGE, 0.01)[0]


@pytest.mark.parametrize("factor", [0.5, 0.6, 1.0, 1.5])
@pytest.mark.parametrize("states", [[0], [1], [0, 1], [0, 0, 0, 1]])
def test_the_factor_of_an_image_is_read_whichever_states_it_shows(gauge, factor, states):
    for seed, defocus in ((11, 0.0), (12, 25.0), (13, -13.0)):
        blocks = image(np.random.default_rng(seed), states, seed, defocus, factor)
        read = of_image(gauge.logarithms(blocks, defocus), 1.0)
        assert np.log(read / factor) == pytest.approx(0, abs=0.15)
        assert gauge.beyond(read) == (factor != 1.0)


def test_one_window_does_not_tell_what_all_together_do(gauge):
    blocks = image(np.random.default_rng(3), [1], 11, 0.0, 0.67)
    each = np.exp(gauge.logarithms(blocks, 0.0))
    assert 0.2 < np.mean([gauge.beyond(read) for read in each]) < 0.95
    assert gauge.beyond(of_image(np.log(each), 1.0))


def test_a_defocus_that_is_not_the_images_reads_as_another_contrast(gauge):
    """The contrast changes by 28 % over 25 Å, so this is what a wrong defocus must do: it is no independent check."""
    blocks = image(np.random.default_rng(4), [0], 11, 25.0, 1.0)
    assert of_image(gauge.logarithms(blocks, 25.0), 1.0) == pytest.approx(1, rel=0.1)
    assert of_image(gauge.logarithms(blocks, 0.0), 1.0) == pytest.approx(np.exp(0.25), rel=0.1)


def test_limits_lie_as_far_outside_the_range_as_unseen_seeds_are_misread(gauge):
    assert gauge.error == pytest.approx(np.hypot(OF_SEEDS, OF_WINDOWS / np.sqrt(WINDOWS)), rel=0.5)
    for limit, end in ((gauge.low, RANGE[0]), (gauge.high, RANGE[1])):
        assert 1.2 * gauge.error < abs(np.log(limit / end)) < 4 * gauge.error
    assert gauge.low < RANGE[0] and gauge.high > RANGE[1]


def test_a_seed_has_no_part_in_the_limits_that_it_is_judged_by():
    known = training()
    _, without = assessed(known, RANGE, 0.01)
    own = known.seed == 2
    moved = known._replace(X=known.X | {"contrast": known.X["contrast"] + own[:, None]})
    _, other = assessed(moved, RANGE, 0.01)
    for one, same in zip(without[2], other[2], strict=True):
        np.testing.assert_array_equal(one, same)
    # as the others know it, it is twice as strong as any, so their limits are wide
    assert other[1].high > 1.5 * without[1].high


def test_an_image_of_few_windows_is_not_judged(gauge):
    """However many windows there are, they must not all lie one over the other."""
    read = gauge.logarithms(image(np.random.default_rng(5), [0], 11, 0.0, 0.2), 0.0)
    assert gauge.beyond(of_image(read, 1.01 * LEAST_AREA / WINDOWS))
    few = of_image(read, 0.99 * LEAST_AREA / WINDOWS)
    assert np.isnan(few) and not gauge.beyond(few)
    assert np.isnan(of_image(np.empty(0), 1.0))


def test_images_are_judged_without_their_seed():
    known = training()
    _, without = assessed(known, RANGE, 0.01)
    found = beyond(without, known, 0.11)
    by_factor = np.abs(np.log(known.factor)) / np.log(RANGE[1])
    assert found[by_factor < 0.9].mean() < 0.03 and found[by_factor > 3].all()
    assert not beyond(without, known, 0.05).any()  # too few windows


def test_what_never_changes_does_not_matter():
    """One defocus for all, whose standard deviation is no more than rounding, and a ring without power."""
    known = training()
    known = known.where(known.underfocus == 0)
    known = known._replace(underfocus=known.underfocus + 33.3)
    known.X["spectrum"][:, -1] = -20.1
    gauge = fitted(known)
    blocks = image(np.random.default_rng(6), [0, 1], 11, 0.0, 0.67)
    blocks["spectrum"][:, -1] = -20.1
    for defocus in (33.3, 35.0):
        assert of_image(gauge.logarithms(blocks, defocus), 1.0) == pytest.approx(0.67, rel=0.15)
