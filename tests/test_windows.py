"""Windows and their description: what is put into an image comes out of the windows that show it."""

from __future__ import annotations

import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.study import Band, Windows
from persistem.windows import contributions, describe, pairs, pairs_of_image, resample, side, step, strips
from persistem.windows.pairs import Pairs, kinds
from persistem.windows.sums import entries, length
from scipy.ndimage import gaussian_filter

WINDOWS = Windows()
PLAIN = Windows(bands=(Band(narrow=0.0, window=4.0),), filtrations=("superlevel",))


def grain(shape=(300, 340), seed=0, width=2.0):
    """Smooth random contrast about a mean of 1."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    return (1 + 0.1 * noise / noise.std()).astype(np.float32)


def wave(shape, period, axis=1):
    """A sinusoid of so many pixels, of amplitude 1."""
    along = np.arange(shape[axis])
    line = np.sin(2 * np.pi * along / period)
    return np.broadcast_to(line if axis == 1 else line[:, None], shape).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1])
def test_resampling_keeps_what_the_coarser_grid_holds_and_nothing_else(axis):
    kept = resample(wave((200, 240), 12, axis), 0.05, 0.1)
    assert kept.shape == (100, 120)
    middle = kept[20:-20, 20:-20]
    assert middle.std() * np.sqrt(2) == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(middle, wave((100, 120), 6, axis)[20:-20, 20:-20], atol=0.02)
    gone = resample(wave((200, 240), 3, axis), 0.05, 0.1)[20:-20, 20:-20]
    assert abs(gone).max() < 0.02  # 3 px of 0.05 Å: beyond the Nyquist frequency of 0.1 Å


def test_resampling_keeps_mean_constant_and_the_same_grid():
    image = grain()
    np.testing.assert_array_equal(resample(image, 0.2, 0.2), image)
    np.testing.assert_allclose(resample(np.full((90, 80), 3.0), 0.13, 0.2), 3, rtol=1e-3)
    assert resample(image, 0.17, 0.2).mean() == pytest.approx(image.mean(), rel=1e-3)
    assert resample(image, 0.24, 0.2).shape == (360, 408)  # a little coarser is allowed
    with pytest.raises(PersistemError, match=r"pixels of 0.3 Å are too coarse: the model needs 0.25 Å or finer"):
        resample(image, 0.3, 0.2)


def test_contrast_is_the_logarithm_of_sd_over_mean_of_the_window():
    image = np.random.default_rng(1).normal(5, 0.5, (200, 200)).astype(np.float32)
    found = describe(image, WINDOWS, 31, ["contrast"])
    size = side(WINDOWS)
    window = image[31 : 31 + size, 62 : 62 + size].astype(float)
    assert found.blocks["contrast"][1, 2, 0] == pytest.approx(np.log(window.std() / window.mean()), abs=1e-5)
    assert found.blocks["contrast"].mean() == pytest.approx(np.log(0.1), abs=0.02)
    assert found.blocks["contrast"].shape == (5, 5, 1) and found.valid.all()


def test_spectrum_shows_a_period_in_its_ring_and_neither_gain_nor_offset():
    size = side(WINDOWS)
    found = describe(wave((200, 200), size / 5), WINDOWS, 40, ["spectrum"]).blocks["spectrum"]
    assert (found.argmax(axis=-1) == 5 - 1).all()  # five periods in a window: the fifth ring
    image = grain()
    one = describe(image, WINDOWS, 40, ["spectrum"]).blocks["spectrum"]
    other = describe(7 * image + 3, WINDOWS, 40, ["spectrum"]).blocks["spectrum"]
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_spectrum_of_white_noise_is_flat_and_its_power_the_variance():
    image = np.random.default_rng(2).normal(size=(400, 400)).astype(np.float32)
    found = np.exp(describe(image, WINDOWS, 31, ["spectrum"]).blocks["spectrum"]).mean(axis=(0, 1))
    # of each of size² frequencies a share of 1 / size² of the variance, times size² here
    assert found[1:] == pytest.approx(np.full(len(found) - 1, found[1:].mean()), rel=0.1)


def blobs(shape=(434, 434), period=31):
    """A square lattice of Gaussian blobs, one to every ``period``² pixels."""
    image = np.zeros(shape, np.float32)
    image[period // 2 :: period, period // 2 :: period] = 1
    return gaussian_filter(image, 3).astype(np.float32)


def test_a_lattice_of_blobs_has_as_many_births_as_blobs():
    found = describe(blobs(), PLAIN, 15, ["persistence"]).blocks["persistence"]
    islands = found[4:-4, 4:-4, : PLAIN.levels].sum(axis=-1)  # births of degree 0
    # a window is two periods wide and holds four blobs wherever it lies
    np.testing.assert_allclose(islands, 4 / (62 * 0.02) ** 2, rtol=1e-5)
    # births, deaths and lifetimes count the same pairs
    totals = found.reshape(*found.shape[:2], 2, 3, PLAIN.levels).sum(axis=-1)
    np.testing.assert_allclose(totals, totals[..., :1].repeat(3, axis=-1), rtol=1e-5)


def test_persistence_knows_neither_gain_nor_offset():
    image = grain()
    one = describe(image, WINDOWS, 30, ["persistence"]).blocks["persistence"]
    other = describe(4 * image + 100, WINDOWS, 30, ["persistence"]).blocks["persistence"]
    assert abs(one - other).mean() < 2e-3 * one.mean()


def test_windows_add_up_the_pairs_that_are_born_in_them():
    image, size = grain(), side(WINDOWS)
    found = pairs_of_image(image, WINDOWS)
    for stride in (15, 31, 62):  # edges of windows between, at and on those of others
        described = describe(image, WINDOWS, stride, ["persistence"]).blocks["persistence"]
        for i, j in [(0, 0), (1, 2), (described.shape[0] - 1, described.shape[1] - 1)]:
            inside = (found.row >= i * stride) & (found.row < i * stride + size)
            inside &= (found.column >= j * stride) & (found.column < j * stride + size)
            places, weights = entries(found.where(inside), WINDOWS)
            direct = np.bincount(places.ravel(), weights.ravel(), minlength=length(WINDOWS)) / (size * 0.02) ** 2
            np.testing.assert_allclose(described[i, j], direct, atol=1e-4)


def test_strips_are_the_whole_image_bit_for_bit_and_so_are_processes(monkeypatch):
    monkeypatch.setattr(pairs, "TILE", 128)
    image = grain((420, 200))
    whole = describe(image, WINDOWS, 15)
    monkeypatch.setattr("persistem.windows.description.ROWS", 3)
    rows = 0
    for first, part in strips(image, WINDOWS, 15):
        assert first == rows
        rows += len(part.valid)
        for name, block in part.blocks.items():
            np.testing.assert_array_equal(block, whole.blocks[name][first:rows])
    assert rows == len(whole.valid)
    # more rows below change nothing above them, but where tiles end elsewhere
    upper = describe(image[: 2 * 128], WINDOWS, 15, ["contrast", "spectrum"])
    np.testing.assert_array_equal(upper.blocks["spectrum"], whole.blocks["spectrum"][: len(upper.valid)])


def test_every_pair_is_counted_once_whatever_the_tiles(monkeypatch):
    image = grain((330, 330), width=2.5)
    one = pairs_of_image(image, WINDOWS)
    monkeypatch.setattr(pairs, "TILE", 128)
    many = pairs_of_image(image, WINDOWS)

    def born(found: Pairs):
        short = abs(found.birth - found.death) < 1.0
        return set(
            zip(found.row[short].tolist(), found.column[short].tolist(), found.kind[short].tolist(), strict=True)
        )

    # births of short pairs are those of the whole image; a tile's edge moves few deaths
    assert len(born(one) ^ born(many)) < 0.02 * len(born(one))
    assert abs(len(one.row) - len(many.row)) < 0.01 * len(one.row)


def test_a_shifted_image_has_shifted_windows():
    image = grain((400, 400), seed=3)
    one = describe(image, WINDOWS, 20, ["persistence", "spectrum"])
    other = describe(image[20:, 40:], WINDOWS, 20, ["persistence", "spectrum"])
    np.testing.assert_allclose(one.blocks["spectrum"][1:, 2:], other.blocks["spectrum"], atol=1e-5)
    inner = (slice(6, -6), slice(6, -6))
    a, b = one.blocks["persistence"][1:, 2:][inner], other.blocks["persistence"][inner]
    assert abs(a - b).mean() < 0.01 * a.mean()


def test_what_cannot_be_described_is_flagged_and_spoils_nothing_else():
    image = grain((330, 330))
    good = describe(image, WINDOWS, 31)
    spoilt = image.copy()
    spoilt[10, 10], spoilt[:70, 240:] = np.nan, 2.0
    found = describe(spoilt, WINDOWS, 31)
    assert not found.valid[0, 0] and not found.valid[0, -1]
    assert found.valid.sum() == good.valid.sum() - 2
    for name, block in found.blocks.items():
        assert np.isfinite(block).all()
        far = (slice(4, None), slice(None, 4))
        difference = abs(block[far] - good.blocks[name][far]).mean()
        assert difference <= (0.01 if name == "persistence" else 1e-6) * abs(good.blocks[name][far]).mean(), name
    with pytest.raises(PersistemError, match=r"12 x 20 Å, but a window alone is 12.5 Å wide"):
        describe(image[:60, :100], WINDOWS, 15)


def test_contributions_of_pairs_add_up_to_the_score_of_their_window():
    image, size = grain(), side(WINDOWS)
    coefficients = np.random.default_rng(4).normal(size=length(WINDOWS))
    described = describe(image, WINDOWS, 40, ["persistence"]).blocks["persistence"]
    found = pairs_of_image(image, WINDOWS)
    inside = (found.row >= 40) & (found.row < 40 + size) & (found.column >= 80) & (found.column < 80 + size)
    added = contributions(found.where(inside), WINDOWS, coefficients, size)
    assert added.sum() == pytest.approx(float(described[1, 2] @ coefficients), rel=1e-4)


def test_kinds_name_every_number_of_a_pair():
    found = pairs_of_image(grain(), WINDOWS)
    assert set(found.kind.tolist()) == set(range(len(kinds(WINDOWS))))
    for number, (_, filtration, _) in enumerate(kinds(WINDOWS)):
        of = found.where(found.kind == number)
        assert ((of.birth > of.death) if filtration == "superlevel" else (of.birth < of.death)).all()
    assert step(WINDOWS, 3.0) == 15 and step(WINDOWS, 0.01) == 1
