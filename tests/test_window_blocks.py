"""Blocks that describe windows of labelled micrographs: lifetimes, peaks, filters, intensity."""

import numpy as np
import pytest
from persistem.descriptors.windows import describe_windows, lengths, side
from persistem.descriptors.windows.filters import filtered, level, scales
from persistem.descriptors.windows.lifetimes import MOMENTS, OCTAVES
from persistem.descriptors.windows.peaks import TOLD, bands
from persistem.study import Windows
from scipy.ndimage import gaussian_filter
from skimage.feature import hessian_matrix, hessian_matrix_eigvals

WINDOWS = Windows(sampling=0.4, size=12.8)
SIZE = side(WINDOWS)
BLOCKS = ("lifetimes", "peaks", "filters", "intensity")


def grain(shape=(150, 170), width=2.0, seed=0):
    made = gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    return (1 + 0.1 * made / made.std()).astype(np.float32)


def described(image, *blocks, step=16, jobs=1):
    return describe_windows(np.asarray(image, np.float32), WINDOWS, step, blocks or BLOCKS, jobs).blocks


def test_blocks_are_as_long_as_they_say():
    found = described(grain())
    for name in BLOCKS:
        assert found[name].shape[-1] == lengths(WINDOWS)[name]
        assert found[name].dtype == np.float32 and np.isfinite(found[name]).all()


def test_lifetimes_count_the_blobs_of_a_lattice():
    period = 16
    image = np.zeros((160, 160))
    image[period // 2 :: period, period // 2 :: period] = 1
    found = described(gaussian_filter(image, 2), "lifetimes", step=8)["lifetimes"]
    found = found.reshape(*found.shape[:2], len(OCTAVES), 2, MOMENTS)[3:-3, 3:-3]
    # a window is two periods wide; in a finer octave the ripple about a blob can make islands between blobs too
    for octave in (0, 3):
        np.testing.assert_allclose(np.exp(found[:, :, octave, 0, 0]) - 0.5, (SIZE / period) ** 2, rtol=1e-5)
    # all blobs are alike: the mean lifetime is the root mean square, but for the half pair that is added
    ratio = np.exp(found[:, :, 3, 0, 2] - found[:, :, 3, 0, 1])
    np.testing.assert_allclose(ratio, np.sqrt(4.5 / 4), rtol=0.02)


def test_an_octave_without_pairs_counts_half_a_pair():
    found = described(np.add.outer(np.arange(64.0), np.zeros(64)), "lifetimes")["lifetimes"]
    counts = np.exp(found.reshape(*found.shape[:2], len(OCTAVES), 2, MOMENTS)[..., 0])
    assert np.isfinite(found).all() and counts.min() == pytest.approx(0.5)


@pytest.mark.parametrize("change", [lambda x: 40 * x, lambda x: x + 7, lambda x: 3 * x - 5])
def test_blocks_know_neither_gain_nor_offset(change):
    image = grain().astype(float)
    one, other = described(image), described(change(image))
    for name in BLOCKS:
        spread = one[name].std(axis=(0, 1)) + 1e-6
        assert (abs(one[name] - other[name]).mean(axis=(0, 1)) / spread).max() < 0.05, name


def test_filters_are_those_of_scikit_image():
    """The Gaussian, its gradient's length and the Hessian's eigenvalues at the centres, in units of the scale."""
    image, step = grain((140, 150), width=3.0), 10
    greys = level(image)
    shape = (140 - SIZE) // step + 1, (150 - SIZE) // step + 1
    found = filtered(image, greys, SIZE, step, 0, shape).reshape(*shape, len(scales(SIZE)), 4)
    at = np.ix_(SIZE // 2 + step * np.arange(shape[0]), SIZE // 2 + step * np.arange(shape[1]))
    relative = (image.astype(float) - greys.mean) / greys.deviation
    for number, scale in enumerate(scales(SIZE)):
        smooth = gaussian_filter(relative, scale, mode="mirror", truncate=4)
        down, across = np.gradient(smooth)
        hessian = hessian_matrix(smooth, sigma=0.01, order="rc", use_gaussian_derivatives=False)
        eigenvalues = hessian_matrix_eigvals(hessian)
        expected = [smooth, scale * np.hypot(down, across), *(scale**2 * eigenvalues)]
        for kind, values in enumerate(expected):
            ours, theirs = found[..., number, kind].ravel(), values[at].ravel()
            if kind < 2:
                np.testing.assert_allclose(ours, theirs, atol=0.02 * abs(theirs).max() + 1e-4)
            else:  # scikit-image's second differences are two pixels wide
                assert np.corrcoef(ours, theirs)[0, 1] > (0.9 if scale < 2 else 0.99), (scale, kind)


def test_filters_see_the_image_mirrored_beyond_its_edges():
    image = grain()
    mirrored = np.pad(image, 16, mode="reflect")
    greys = level(image)
    one = filtered(image, greys, SIZE, 8, 0, (3, 3))
    other = filtered(mirrored, greys, SIZE, 8, 2, (3, 5))[:, 2:]
    np.testing.assert_allclose(one[..., :12], other[..., :12], atol=1e-4)


def fringes(degrees, periods=6, noise=0.0, seed=0):
    i, j = np.indices((SIZE, SIZE))
    along = i * np.sin(np.radians(degrees)) + j * np.cos(np.radians(degrees))
    image = 1 + 0.1 * np.cos(2 * np.pi * periods * along / SIZE)
    return image + noise * np.random.default_rng(seed).normal(size=image.shape)


def test_peaks_tell_fringes_from_grain_of_the_same_ring():
    """Both have their power at six periods in a window; that of fringes has a direction."""
    rng = np.random.default_rng(1)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIZE) * SIZE] * 2))
    ring = np.exp(-(((frequency - 6) / 1.0) ** 2))
    number = bands(SIZE, 12).index((4, 8))
    sided, largest = [], []
    for made in (
        [fringes(angle, noise=0.05, seed=k) for k, angle in enumerate(range(0, 180, 15))],
        [np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIZE, SIZE))) * ring).real for _ in range(12)],
    ):
        told = np.stack([described(image, "peaks")["peaks"][0, 0] for image in made]).reshape(len(made), -1, TOLD)
        largest.append(told[:, number, 0])
        sided.append(told[:, number, 3])
    assert sided[0].min() > sided[1].max() and largest[0].min() > largest[1].mean()
    # the direction itself is no feature
    turned = [described(fringes(angle), "peaks")["peaks"][0, 0, TOLD * number + 3] for angle in (0, 90)]
    assert turned[0] == pytest.approx(turned[1], abs=1e-3)


def test_peaks_of_a_lattice_of_two_directions_are_two():
    number = bands(SIZE, 12).index((4, 8))
    one, two = (
        described(image + 0.01 * np.random.default_rng(0).normal(size=(SIZE, SIZE)), "peaks")["peaks"][0, 0]
        for image in (fringes(0), fringes(0) + fringes(90))
    )
    assert one[TOLD * number + 3] > 0.7 and two[TOLD * number + 3] < 0.2


def test_intensity_is_the_mean_relative_to_the_image():
    image = grain()
    image[:, :80] += 1
    found, greys = described(image, "intensity", step=20)["intensity"][..., 0], level(image)
    window = image[20 : 20 + SIZE, 100 : 100 + SIZE]
    assert found[1, 5] == pytest.approx((window.mean() - greys.mean) / greys.deviation, abs=1e-4)
    assert found[:, 0].min() > 0 > found[:, -1].max()


def test_a_scale_bar_and_hot_pixels_do_not_set_the_level():
    image = grain((400, 400))
    spoilt = image.copy()
    spoilt[384:388, 20:80], spoilt[100, 100], spoilt[200, 200] = 50.0, 1e4, np.nan
    for ours, plain in zip(level(spoilt), level(image), strict=True):
        assert ours == pytest.approx(plain, abs=0.05 * level(image).deviation)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_window_does_not_depend_on_which_others_are_described(name, monkeypatch):
    image = grain()
    every, few = described(image, name, step=8)[name], described(image, name, step=24)[name]
    np.testing.assert_array_equal(every[::3, ::3][: few.shape[0], : few.shape[1]], few)
    monkeypatch.setattr("persistem.descriptors.windows.description.ROWS", 2)
    monkeypatch.setattr("persistem.descriptors.windows.description.TALL", 16)
    np.testing.assert_array_equal(described(image, name, step=8)[name], every)
    together = described(image, *BLOCKS, "contrast", "persistence", step=8)[name]
    np.testing.assert_array_equal(together, every)


@pytest.mark.thorough
def test_processes_change_nothing(monkeypatch):
    monkeypatch.setattr("persistem.descriptors.windows.pairs.TILE", 64)
    image = grain()
    for name, block in described(image).items():
        np.testing.assert_array_equal(block, described(image, jobs=2)[name])


def test_what_is_not_finite_spoils_its_own_windows_alone():
    image = grain()
    spoilt = image.copy()
    spoilt[75, 20] = np.nan
    one, other = described(image), describe_windows(spoilt, WINDOWS, 16, BLOCKS)
    assert (~other.valid).sum() == 4
    for name in BLOCKS:
        assert np.isfinite(other.blocks[name]).all()
        np.testing.assert_allclose(one[name][:, -2:], other.blocks[name][:, -2:], atol=0.05)
