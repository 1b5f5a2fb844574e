"""Whether a micrograph as a whole is of the kind that trained."""

import numpy as np
import pytest
from persistem.labelled import mapping, rows, training
from persistem.labelled.describing import describe
from persistem.model import bundle
from persistem.model.typical import ANY, LEAST, MOST, beyond, shown, typical
from persistem.reading import Image
from persistem.study import ModelSettings, Windows

RINGS = 6


def image(rng, shift=0.0, states=(0, 1), ring=2):
    """Windows of states whose spectra differ by their slope; ``shift`` moves one ring of all."""
    state = np.repeat(states, 50)
    spectra = -np.outer(1 + state, np.arange(RINGS)) + 0.3 * rng.normal(size=(len(state), RINGS))
    spectra[:, ring] += shift
    return shown(spectra.astype(np.float32), state, 2)


def test_limit_comes_from_specimens_that_are_left_out():
    rng = np.random.default_rng(0)
    close = typical([image(rng) for _ in range(4)], list("abcd"))
    assert close.limit == LEAST
    # the one that lies 1.4 off is found when it is left out
    apart = typical([image(rng), image(rng), image(rng, 1.4)], list("abc"))
    assert apart.limit == pytest.approx(1.5 * 1.4, abs=0.3)
    # two images of one specimen say nothing of how specimens differ, and two specimens hardly more
    assert typical([image(rng), image(rng)], ["a", "a"]).limit == MOST
    assert typical([image(rng), image(rng, 1.4)], ["a", "b"]).limit == MOST


def test_distance_is_that_of_the_ring_that_is_farthest_off():
    rng = np.random.default_rng(1)
    known = typical([image(rng) for _ in range(4)], list("abcd"))
    assert beyond(image(rng), known.low, known.high) < 0.2
    assert beyond(image(rng, 3.0), known.low, known.high) == pytest.approx(3, abs=0.2)
    assert beyond(image(rng, -3.0), known.low, known.high) == pytest.approx(3, abs=0.2)


def test_how_much_of_a_state_an_image_shows_does_not_matter():
    rng = np.random.default_rng(2)
    known = typical([image(rng, states=(0, 0, 0, 0, 1)) for _ in range(4)], list("abcd"))
    assert beyond(image(rng, states=(0, 1, 1, 1, 1)), known.low, known.high) < 0.3
    assert beyond(image(rng, states=(1,)), known.low, known.high) < 0.3


def test_state_of_few_windows_has_no_typical_spectrum():
    spectra = np.zeros((53, RINGS), np.float32)
    seen = shown(spectra, np.r_[np.zeros(50, int), np.ones(3, int)], 2)
    assert np.isnan(seen.spectra[1]).all() and seen.share.tolist() == [1, 0]
    known = typical([seen, seen], ["a", "b"])
    assert (known.low[1] == -ANY).all() and (known.high[1] == ANY).all()
    none = shown(spectra, np.full(53, -1), 2)
    assert np.isnan(beyond(none, known.low, known.high))


def micrograph(seed, width):
    """Grain of a width on the left, finer and darker grain on the right; and the labels of both."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    left, right = (gaussian_filter(rng.normal(size=(96, 96)), w) for w in (width, width / 2))
    pixels = np.where(np.arange(96) < 48, 100 + 5 * left / left.std(), 80 + 5 * right / right.std())
    labels = np.where(np.arange(96) < 48, 1, 2) * np.ones((96, 1), int)
    found = Image(
        None, None, "", (pixels + 0.5 * rng.normal(size=pixels.shape)).astype(np.float32), 0.5, None, None, {}
    )
    return found, labels.astype(np.uint8)


def test_model_abstains_on_another_kind_of_image_and_is_the_same_from_its_bundle(tmp_path):
    asked = ModelSettings(windows=Windows(sampling=0.5, size=12), candidates=(("filters", "contrast"),), C=(1.0,))

    def described(seed, width):
        found, labels = micrograph(seed, width)
        at = describe(found, asked.windows, 1.5, ("filters", "spectrum"))
        return rows.Labelled(at, rows.states_at(labels, at).astype(int) - 1, str(seed))

    trained = training.train([described(seed, 2.0) for seed in range(3)], ["coarse", "fine"], asked).model
    same, other = described(7, 2.0).described, described(8, 0.7).described
    assert (mapping.judged(same, trained).reason > 0).mean() < 0.2
    assert (mapping.judged(other, trained).reason > 0).all()
    bundle.write(tmp_path / "model", trained, "", {"study": "s", "doses_e_A2": [], "thicknesses_A": []})
    again = bundle.load(tmp_path / "model")
    assert again.typical.limit == trained.typical.limit
    assert (mapping.judged(same, again).probability == mapping.judged(same, trained).probability).all()
    assert (mapping.judged(same, again).reason == mapping.judged(same, trained).reason).all()
