"""Windows and their description: what is put into an image comes out of the windows that show it."""

from __future__ import annotations

import numpy as np
import pytest
from persistem.descriptors.windows import (
    describe_windows,
    lengths,
    pair_table,
    pairs,
    resample,
    side,
    step,
    strips,
)
from persistem.descriptors.windows.local import normalised
from persistem.descriptors.windows.plain import LENGTHS, SMOOTH
from persistem.descriptors.windows.sums import entries, length
from persistem.errors import PersistemError
from persistem.study import Band, Windows
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
    coarse, middle = (200, 240), (slice(40, -40), slice(40, -40))
    for period in (12, 6, 2.3):  # px of the coarser grid
        kept = resample(wave((400, 480), 2 * period, axis), 0.05, 0.1)
        assert kept.shape == coarse and kept.dtype == np.float32
        np.testing.assert_allclose(kept[middle], wave(coarse, period, axis)[middle], atol=0.01)
    for period in (1.95, 1.5, 1.1):  # beyond the Nyquist frequency
        gone = resample(wave((400, 480), 2 * period, axis), 0.05, 0.1)
        assert abs(gone[middle]).max() < 0.01


@pytest.mark.parametrize("pixel_size", [0.137, 0.2, 0.24])
def test_resampling_keeps_the_mean_and_where_things_are(pixel_size):
    image = 1000 + blobs((310, 248))
    found = resample(image, pixel_size, 0.2)
    assert found.mean(dtype=float) - 1000 == pytest.approx((image - 1000).mean(dtype=float), rel=0.05)
    centre = np.array([15, 46]) * pixel_size / 0.2
    corner = np.rint(centre).astype(int) - 9
    around = found[corner[0] : corner[0] + 19, corner[1] : corner[1] + 19] - 1000
    found_at = [(around.sum(axis=1 - axis) @ np.arange(19)) / around.sum() + corner[axis] for axis in (0, 1)]
    np.testing.assert_allclose(found_at, centre, atol=0.05)
    # a saturated part is still one
    saturated = np.random.default_rng(0).poisson(100, (300, 300)).astype(np.uint16)
    saturated[:, :200] = 65535
    inner = resample(saturated, pixel_size, 0.2)[:, : round(120 * pixel_size / 0.2)]
    np.testing.assert_allclose(inner, 65535, rtol=1e-7)
    assert not describe_windows(inner, WINDOWS, 10, ["contrast"]).valid.any()


def test_resampling_leaves_the_same_grid_alone_and_refuses_what_it_cannot():
    image = grain()
    np.testing.assert_array_equal(resample(image, 0.2, 0.2), image)
    with pytest.raises(PersistemError, match=r"pixels of 0.3 Å are too coarse: the model needs 0.25 Å or finer"):
        resample(image, 0.3, 0.2)
    with pytest.raises(PersistemError, match=r"pixels of 2e-05 Å are too fine: the model can use 0.0002 Å or coarser"):
        resample(image, 2e-5, 0.2)


def test_contrast_is_the_logarithm_of_sd_over_mean_of_the_window():
    image = np.random.default_rng(1).normal(5, 0.5, (200, 200)).astype(np.float32)
    found = describe_windows(image, WINDOWS, 31, ["contrast"])
    size = side(WINDOWS)
    window = image[31 : 31 + size, 62 : 62 + size].astype(float)
    assert found.blocks["contrast"][1, 2, 0] == pytest.approx(np.log(window.std() / window.mean()), abs=1e-5)
    assert found.blocks["contrast"].mean() == pytest.approx(np.log(0.1), abs=0.02)
    assert found.blocks["contrast"].shape == (5, 5, 1) and found.valid.all()


def test_spectrum_shows_a_period_in_its_ring_and_neither_gain_nor_offset():
    size = side(WINDOWS)
    found = describe_windows(wave((200, 200), size / 5), WINDOWS, 40, ["spectrum"]).blocks["spectrum"]
    assert (found.argmax(axis=-1) == 5 - 1).all()  # five periods in a window: the fifth ring
    image = grain()
    one = describe_windows(image, WINDOWS, 40, ["spectrum"]).blocks["spectrum"]
    other = describe_windows(7 * image + 3, WINDOWS, 40, ["spectrum"]).blocks["spectrum"]
    np.testing.assert_allclose(one, other, atol=1e-3)
    turned = describe_windows(image.T, WINDOWS, 40, ["spectrum"]).blocks["spectrum"]
    np.testing.assert_allclose(turned.swapaxes(0, 1), one, atol=1e-4)  # rings know no direction
    alone = describe_windows(image[40 : 40 + size, 80 : 80 + size], WINDOWS, 40, ["spectrum"]).blocks["spectrum"]
    np.testing.assert_allclose(alone[0, 0], one[1, 2], atol=1e-6)


def test_spectrum_of_white_noise_is_flat_and_its_power_the_variance():
    image = np.random.default_rng(2).normal(size=(800, 800)).astype(np.float32)
    found = np.exp(describe_windows(image, WINDOWS, 62, ["spectrum"]).blocks["spectrum"]).mean(axis=(0, 1))
    np.testing.assert_allclose(found[1:], 1, atol=0.08)  # the slowest ring loses what the mean takes


def blobs(shape=(434, 434), period=31):
    """A square lattice of Gaussian blobs, one to every ``period``² pixels."""
    image = np.zeros(shape, np.float32)
    image[period // 2 :: period, period // 2 :: period] = 1
    return gaussian_filter(image, 3).astype(np.float32)


def test_a_lattice_of_blobs_has_as_many_births_as_blobs():
    found = describe_windows(blobs(), PLAIN, 15, ["persistence"]).blocks["persistence"]
    islands = found[4:-4, 4:-4, : PLAIN.levels].sum(axis=-1)  # births of degree 0
    # a window is two periods wide and holds four blobs wherever it lies
    np.testing.assert_allclose(islands, 4 / (62 * 0.02) ** 2, rtol=1e-5)
    # births, deaths and lifetimes count the same pairs
    totals = found.reshape(*found.shape[:2], 2, 3, PLAIN.levels).sum(axis=-1)
    np.testing.assert_allclose(totals, totals[..., :1].repeat(3, axis=-1), rtol=1e-5)


def test_persistence_knows_neither_gain_nor_offset():
    image = grain()
    one = describe_windows(image, WINDOWS, 30, ["persistence"]).blocks["persistence"]
    other = describe_windows(4 * image + 100, WINDOWS, 30, ["persistence"]).blocks["persistence"]
    assert abs(one - other).mean() < 2e-3 * one.mean()


@pytest.mark.slow
def test_windows_add_up_the_pairs_that_are_born_in_them(monkeypatch):
    monkeypatch.setattr(pairs, "TILE", 128)  # windows across rows of tiles
    image, size = grain(), side(WINDOWS)
    found = pair_table(image, WINDOWS)
    for stride in (25, 31, 62, 100):  # edges of windows between and on those of others, and gaps
        described = describe_windows(image, WINDOWS, stride, ["persistence"]).blocks["persistence"]
        for i, j in np.ndindex(described.shape[:2]):
            inside = (found["row"] >= i * stride) & (found["row"] < i * stride + size)
            inside &= (found["column"] >= j * stride) & (found["column"] < j * stride + size)
            places, weights = entries(found[inside], WINDOWS)
            direct = np.bincount(places.ravel(), weights.ravel(), minlength=length(WINDOWS)) / (size * 0.02) ** 2
            np.testing.assert_allclose(described[i, j], direct, atol=1e-4)


def test_strips_are_the_whole_image_bit_for_bit(monkeypatch, tmp_path):
    monkeypatch.setattr(pairs, "TILE", 128)
    image = grain((420, 200))
    whole = describe_windows(image, WINDOWS, 15)
    assert {name: block.shape for name, block in whole.blocks.items()} == {
        "contrast": (24, 10, 1),
        "spectrum": (24, 10, 15),
        "persistence": (24, 10, length(WINDOWS)),
    }
    image.tofile(tmp_path / "pixels")
    lazy = np.memmap(tmp_path / "pixels", dtype=np.float32, mode="r", shape=image.shape)
    monkeypatch.setattr("persistem.descriptors.windows.description.ROWS", 3)
    rows, told = 0, []
    for first, part in strips(lazy, WINDOWS, 15, progress=lambda done, of: told.append((done, of))):
        assert first == rows
        rows += len(part.valid)
        for name, block in part.blocks.items():
            np.testing.assert_array_equal(block, whole.blocks[name][first:rows])
    assert rows == len(whole.valid)
    assert told == [(done, 8) for done in range(1, 9)]
    # what lies further below than tiles reach changes nothing
    upper = describe_windows(image[:384], WINDOWS, 15)
    for name, block in upper.blocks.items():
        np.testing.assert_array_equal(block[:5], whole.blocks[name][:5])


@pytest.mark.slow
def test_processes_change_nothing(monkeypatch):
    monkeypatch.setattr(pairs, "TILE", 128)
    image = grain((150, 260))
    np.testing.assert_array_equal(pair_table(image, WINDOWS, jobs=2), pair_table(image, WINDOWS))


def test_every_pair_is_counted_once_whatever_the_tiles(monkeypatch):
    image = grain((330, 330), width=2.5)
    one = pair_table(image, WINDOWS)
    monkeypatch.setattr(pairs, "TILE", 128)
    many = pair_table(image, WINDOWS)

    def born(found):
        short = found[abs(found["birth"] - found["death"]) < 1.0]
        names = ("row", "column", "band", "filtration", "degree")
        listed = list(zip(*(short[name].tolist() for name in names), strict=True))
        assert len(listed) == len(set(listed))  # a pixel gives birth once
        return set(listed)

    # a tile's edge moves few deaths
    assert len(born(one) ^ born(many)) < 0.005 * len(born(one))
    assert abs(len(one) - len(many)) < 0.005 * len(one)


def test_a_shifted_image_has_shifted_windows():
    image = grain((400, 400), seed=3)
    one = describe_windows(image, WINDOWS, 20, ["persistence", "spectrum"])
    other = describe_windows(image[20:, 40:], WINDOWS, 20, ["persistence", "spectrum"])
    np.testing.assert_allclose(one.blocks["spectrum"][1:, 2:], other.blocks["spectrum"], atol=1e-5)
    inner = (slice(6, -6), slice(6, -6))
    a, b = one.blocks["persistence"][1:, 2:][inner], other.blocks["persistence"][inner]
    assert abs(a - b).mean() < 0.01 * a.mean()


def test_what_cannot_be_described_is_flagged_and_spoils_nothing_else():
    image = grain((330, 330))
    good = describe_windows(image, WINDOWS, 31)
    spoilt = image.copy()
    spoilt[10, 10], spoilt[:70, 240:] = np.nan, 2.0
    found = describe_windows(spoilt, WINDOWS, 31)
    assert not found.valid[0, 0] and not found.valid[0, -1]
    assert found.valid.sum() == good.valid.sum() - 2
    for name, block in found.blocks.items():
        assert np.isfinite(block).all()
        far = (slice(4, None), slice(None, 4))
        difference = abs(block[far] - good.blocks[name][far]).mean()
        assert difference <= (0.01 if name == "persistence" else 1e-6) * abs(good.blocks[name][far]).mean(), name
    with pytest.raises(PersistemError, match=r"12 x 20 Å, but a window alone is 12.5 Å wide"):
        describe_windows(image[:60, :100], WINDOWS, 15)


def test_a_window_holds_what_its_pairs_add():
    image, size = grain(), side(WINDOWS)
    described = describe_windows(image, WINDOWS, 40, ["persistence"]).blocks["persistence"]
    found = pair_table(image, WINDOWS)
    inside = (found["row"] >= 40) & (found["row"] < 40 + size) & (found["column"] >= 80) & (found["column"] < 80 + size)
    positions, weights = entries(found[inside], WINDOWS)
    added = np.bincount(positions.ravel(), weights.ravel(), minlength=length(WINDOWS)) / (size * 0.2 / 10) ** 2
    np.testing.assert_allclose(added, described[1, 2], rtol=1e-4, atol=1e-4)


def test_one_texture_has_the_same_persistence_in_windows_of_two_sizes():
    image = grain((250, 250))
    small, large = (
        describe_windows(image, PLAIN.model_copy(update={"size": size}), 25, ["persistence"]).blocks["persistence"]
        for size in (5.0, 10.0)
    )
    few, many = (found.reshape(-1, found.shape[-1]) for found in (large, small))
    seen = many.mean(axis=0) > 0.05 * many.mean(axis=0).max()
    shift = np.abs(few.mean(axis=0) - many.mean(axis=0))[seen] / many.std(axis=0)[seen]
    assert seen.sum() > 10 and shift.max() < 1 and np.median(shift) < 0.3
    assert few.sum(axis=1).mean() == pytest.approx(many.sum(axis=1).mean(), rel=0.05)


def test_pairs_say_of_which_diagram_they_are():
    image = grain()
    found = pair_table(image, WINDOWS)
    diagrams = {(b, f, d) for b, f, d in zip(found["band"], found["filtration"], found["degree"], strict=True)}
    assert diagrams == {(b, f, d) for b in range(2) for f in range(2) for d in range(2)}
    down, up = found[found["filtration"] == 0], found[found["filtration"] == 1]  # superlevel, sublevel
    assert (down["birth"] > down["death"]).all() and (up["birth"] < up["death"]).all()
    # an island is born on a bright pixel or a dark one
    for pairs_of, sign in ((down, 1), (up, -1)):
        islands = pairs_of[(pairs_of["degree"] == 0) & (pairs_of["band"] == 0)]
        assert sign * (image[islands["row"], islands["column"]].mean() - image.mean()) > 0.5 * image.std()


def test_distances_are_whole_pixels():
    assert side(WINDOWS) == 62
    assert step(WINDOWS, 3.0) == 15 and step(WINDOWS, 0.01) == 1


@pytest.mark.parametrize("size", [5, 6, 20, 31])
def test_the_local_mean_is_that_about_the_pixel(size):
    image = grain((80, 90))
    # a mirrored image has the mirrored result: the square has no side
    np.testing.assert_allclose(normalised(image[::-1, ::-1], size), normalised(image, size)[::-1, ::-1], atol=1e-4)
    slope = np.broadcast_to(np.arange(90.0), (80, 90))
    assert abs(normalised(slope, size)[40, 40:50]).max() < 1e-6, "a slope is its own local mean"


def test_plain_measures_are_those_of_the_window_by_itself():
    from scipy.stats import kurtosis, skew

    image = (1 + 0.1 * np.random.default_rng(3).gamma(2, size=(150, 150))).astype(np.float32)
    found = describe_windows(image, WINDOWS, 40, list(LENGTHS)).blocks
    assert {name: block.shape[2] for name, block in found.items()} == LENGTHS
    assert lengths(WINDOWS).items() >= LENGTHS.items()
    size = side(WINDOWS)
    window = image[40 : 40 + size, :size].astype(float)
    smooth = [window, *(gaussian_filter(window, width / WINDOWS.sampling) for width in SMOOTH)]
    assert found["low-passed"][1, 0] == pytest.approx([np.log(s.std() / window.mean()) for s in smooth[1:]], abs=1e-5)
    moments = [moment(s, axis=None) for s in smooth for moment in (skew, kurtosis)]
    assert found["moments"][1, 0] == pytest.approx(moments, abs=1e-4)
    assert found["texture"][1, 0].reshape(3, 10).sum(axis=1) == pytest.approx([1, 1, 1])


def test_a_low_pass_finds_contrast_that_noise_hides():
    # waves of 4 Å, in one half twice as strong, under noise that is several times as strong
    across = np.arange(300) * WINDOWS.sampling
    strength = np.repeat([0.05, 0.1], 150)
    noise = np.random.default_rng(1).normal(scale=0.3, size=(300, 300))
    image = (1 + strength[:, None] * np.sin(2 * np.pi * across / 4)[None] + noise).astype(np.float32)
    found = describe_windows(image, WINDOWS, 75, ["contrast", "low-passed"]).blocks
    risen = {name: (block[-1, -1] - block[0, 0]).max() for name, block in found.items()}
    assert risen["contrast"] < 0.03 and risen["low-passed"] > 0.15
