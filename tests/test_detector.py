"""The detector: counts are Poisson's, transfer and filter have known gains, binning averages, the draw is the image's
own.
"""

import math

import numpy as np
import pytest
import tifffile
from persistem.errors import PersistemError
from persistem.imaging.crops import check_detector, crop_file, read_crops
from persistem.imaging.detector import detected
from persistem.imaging.micrographs import _write as write_micrograph
from persistem.study import Crops, Detector, Recipe, Window

PIXEL = 0.05  # Å


def flat(value=1.0, side=400):
    return np.full((side, side), value)


def wave(k, side=256):
    """A standing wave along the columns with k half periods: k / side of the Nyquist frequency, even at the edges."""
    return 1 + 0.5 * np.cos(np.pi * k * (np.arange(side) + 0.5) / side) * np.ones((side, 1))


@pytest.mark.parametrize("intensity", [0.5, 1.0, 2.0])
def test_mean_and_variance_are_those_of_counts(intensity):
    dose = 4000.0  # 10 electrons per pixel in vacuum
    image = detected(flat(intensity), PIXEL, Detector(dose=dose))
    electrons = dose * PIXEL**2
    counts = image * electrons
    assert np.allclose(counts, np.round(counts))
    # 160,000 pixels: the mean is within 5 standard errors, the variance within 5 of its own
    expected = intensity * electrons
    assert abs(counts.mean() - expected) < 5 * np.sqrt(expected / image.size)
    assert abs(counts.var() / expected - 1) < 5 * np.sqrt(2 / image.size + 1 / (expected * image.size))


def test_a_higher_dose_has_less_noise():
    low, high = (detected(flat(), PIXEL, Detector(dose=dose)).std() for dose in (400.0, 40_000.0))
    assert low / high == pytest.approx(10, rel=0.02)


def test_a_detector_without_fault_changes_nothing():
    image = wave(50) * wave(31).T
    assert np.array_equal(detected(image, PIXEL, Detector()), image)
    assert np.allclose(detected(image, PIXEL, Detector(mtf=1.0)), image, atol=1e-12)


@pytest.mark.parametrize("mtf", [0.1, 0.6])
@pytest.mark.parametrize("k", [16, 128, 255])
def test_a_wave_is_damped_by_the_transfer_at_its_frequency(mtf, k):
    factor = mtf ** ((k / 256) ** 2)
    assert np.allclose(detected(wave(k), PIXEL, Detector(mtf=mtf)) - 1, factor * (wave(k) - 1), atol=1e-12)
    # and where it runs obliquely, by that at the length of its wave vector
    both, gain = wave(k) * wave(100).T, mtf ** ((k / 256) ** 2 + (100 / 256) ** 2)
    contrast = both - wave(k) - wave(100).T + 1
    damped = detected(both, PIXEL, Detector(mtf=mtf))
    assert (damped * contrast).sum() / (both * contrast).sum() == pytest.approx(gain)


def test_the_transfer_is_a_gaussian_blur():
    # exp(-ln(1/mtf) (q/q_N)²) is the transform of a Gaussian of sqrt(2 ln(1/mtf)) / pi pixels
    from scipy.ndimage import gaussian_filter

    image, mtf = np.random.default_rng(1).random((90, 120)), 1e-4
    sigma = np.sqrt(2 * np.log(1 / mtf)) / np.pi
    assert np.allclose(detected(image, PIXEL, Detector(mtf=mtf)), gaussian_filter(image, sigma, truncate=8), atol=1e-4)


@pytest.mark.parametrize("mtf", [0.1, 0.5])
def test_noise_after_the_transfer_is_what_parseval_says(mtf):
    before = detected(flat(), PIXEL, Detector(dose=4000.0))
    after = detected(flat(), PIXEL, Detector(dose=4000.0, mtf=mtf))
    # the mean over all frequencies of exp(-2 L (qx² + qy²) / q_N²), L = ln(1/mtf)
    twice = 2 * np.log(1 / mtf)
    expected = (np.sqrt(np.pi / (4 * twice)) * math.erf(np.sqrt(twice))) ** 2
    assert after.var() / before.var() == pytest.approx(expected, rel=0.02)
    assert after.mean() == pytest.approx(before.mean(), rel=1e-12)


def test_a_binned_pixel_averages():
    image = np.arange(48.0).reshape(6, 8)
    binned = detected(image, PIXEL, Detector(binning=2))
    assert binned.shape == (3, 4)
    assert binned[1, 2] == image[2:4, 4:6].mean()
    assert binned.mean() == pytest.approx(image.mean())


def test_a_binned_pixel_counts_the_electrons_on_its_area():
    dose, binning = 1000.0, 4
    counts = detected(flat(1.5), PIXEL, Detector(dose=dose, binning=binning)) * dose * (binning * PIXEL) ** 2
    assert np.allclose(counts, np.round(counts))
    expected = 1.5 * dose * (binning * PIXEL) ** 2  # 60
    assert counts.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / counts.size))
    assert counts.var() == pytest.approx(expected, rel=5 * np.sqrt(2 / counts.size))


def test_transfer_is_in_units_of_the_binned_pixels_and_the_filter_in_angstrom():
    image, binned = wave(64), detected(wave(64), PIXEL, Detector(binning=2))
    # 64 of 128 frequencies: half of the Nyquist frequency of the detector
    after = detected(image, PIXEL, Detector(binning=2, mtf=0.3))
    assert np.allclose(after - 1, 0.3**0.25 * (binned - 1), atol=1e-12)
    smooth = detected(image, PIXEL, Detector(binning=2, low_pass=0.1))
    frequency = 64 / 256 / (2 * PIXEL)
    gain = np.exp(-2 * (np.pi * 0.1 * frequency) ** 2)
    assert np.ptp(smooth) / np.ptp(binned) == pytest.approx(gain, rel=0.02)


def test_the_filter_averages_over_its_area():
    sigma = 0.2  # 4 px
    noise = detected(flat(), PIXEL, Detector(dose=4000.0)).std()
    filtered = detected(flat(), PIXEL, Detector(dose=4000.0, low_pass=sigma)).std()
    # a Gaussian of standard deviation s pixels averages over 4 pi s² of them
    assert noise / filtered == pytest.approx(np.sqrt(4 * np.pi) * sigma / PIXEL, rel=0.1)


def test_the_filter_keeps_the_mean_and_removes_what_is_finer_than_itself():
    x = np.arange(400) * PIXEL
    coarse, fine = (1 + 0.5 * np.sin(2 * np.pi * x / period)[None, :] * np.ones((400, 1)) for period in (4.0, 0.4))
    filtered = [detected(image, PIXEL, Detector(dose=1e8, low_pass=0.3)) for image in (coarse, fine)]
    # exp(-2 pi² s² / period²): 0.895 and 1.5e-5
    assert filtered[0].std() / coarse.std() == pytest.approx(np.exp(-2 * np.pi**2 * 0.09 / 16), abs=0.01)
    assert filtered[1][:, 40:-40].std() < 0.01 * fine.std()  # at the edges the reflected wave has a kink
    assert filtered[0].mean() == pytest.approx(1, abs=1e-3)


def test_the_same_image_has_the_same_noise_and_another_has_independent_noise():
    detector = Detector(dose=1000.0)
    first, again, other = (detected(flat(v), PIXEL, detector) for v in (1.0, 1.0, 1.0 + 1e-6))
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.02


def test_crops_of_a_recipe_with_noise_are_noisy(tmp_path):
    image = flat(side=64)
    image[:, 32:] = 1.2
    write_micrograph(tmp_path / "m.tif", image, {"pixel_size_A": PIXEL})
    recipes = {"clean": None, "noisy": Detector(dose=1e4), "filtered": Detector(dose=1e4, low_pass=0.2)}
    sd = {}
    for name, detector in recipes.items():
        recipe = Recipe(intensity=Window(), detector=detector)
        crop_file(tmp_path / "m.tif", recipe, Crops(size=32, stride=32), tmp_path / name)
        sd[name] = read_crops(tmp_path / name)[0].std()
    assert sd["clean"] == 0
    assert sd["noisy"] > 5 * sd["filtered"] > 0


def test_crops_of_a_detector_that_bins_show_the_same_places_with_its_pixels(tmp_path):
    image = 1 + 0.3 * np.random.default_rng(2).normal(size=(64, 64))
    write_micrograph(tmp_path / "m.tif", image, {"pixel_size_A": PIXEL})
    recipe = Recipe(intensity=Window(), detector=Detector(binning=2))
    crop_file(tmp_path / "m.tif", recipe, Crops(size=32, stride=16), tmp_path / "c.tif")
    stack = read_crops(tmp_path / "c.tif")
    assert stack.shape == (9, 16, 16)
    place = image[16:48, 32:64].reshape(16, 2, 16, 2).mean(axis=(1, 3))
    assert np.abs(stack[5] - 127.5 * place / image.mean()).max() < 0.6
    with tifffile.TiffFile(tmp_path / "c.tif") as file:
        assert file.imagej_metadata["Labels"][5] == "row 16 column 32"
        pixels, length = file.pages[0].tags["XResolution"].value
        assert length / pixels == pytest.approx(2 * PIXEL / 10)


@pytest.mark.parametrize(
    ("detector", "crops", "message"),
    [
        ({"binning": 3}, {"size": 30, "stride": 30}, r"detector\.binning = 3: imaging\.pixels = 64 px"),
        ({"binning": 4}, {"size": 34, "stride": 32}, r"detector\.binning = 4: crops\.size = 34 px"),
        ({"binning": 4}, {"size": 32, "stride": 30}, r"detector\.binning = 4: crops\.stride = 30 px"),
        ({"binning": 8}, {"size": 32, "stride": 32}, r"crops\.size = 32 px becomes 4 px; allowed is at most 4"),
        ({"dose": 30.0}, {"size": 32, "stride": 32}, r"detector\.dose = 30 e/Å²: 76\.8 electrons .* needs 100, 39\.1"),
    ],
)
def test_detectors_that_do_not_fit_are_refused(detector, crops, message, tmp_path):
    detector, crops = Detector(**detector), Crops(**crops)
    with pytest.raises(PersistemError, match=message):
        check_detector(detector, crops, (64, 64), PIXEL)
    write_micrograph(tmp_path / "m.tif", wave(9, 64), {"pixel_size_A": PIXEL})
    with pytest.raises(PersistemError, match=rf"m\.tif: .*{message}"):
        crop_file(tmp_path / "m.tif", Recipe(detector=detector), crops, tmp_path / "c.tif")
    assert not (tmp_path / "c.tif").exists()


def test_a_detector_that_fits_is_not_refused():
    check_detector(Detector(binning=4, dose=39.1), Crops(size=32, stride=16), (64, 64), PIXEL)


def test_a_micrograph_without_an_electron_is_refused():
    with pytest.raises(PersistemError, match=r"detector\.dose = 1e-06 e/Å²: no electron is counted.*0\.0004 are"):
        detected(flat(), PIXEL, Detector(dose=1e-6))
