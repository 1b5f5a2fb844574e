"""Counting noise: its statistics are Poisson's, the filter's gain is known, and the draw is the image's own."""

import numpy as np
import pytest
from persistem.crops import crop_file, read_crops
from persistem.micrographs import _write as write_micrograph
from persistem.noise import detected
from persistem.study import Crops, Noise, Recipe, Window

PIXEL = 0.05  # Å


def flat(value=1.0, side=400):
    return np.full((side, side), value)


@pytest.mark.parametrize("intensity", [0.5, 1.0, 2.0])
def test_mean_and_variance_are_those_of_counts(intensity):
    dose = 4000.0  # 10 electrons per pixel in vacuum
    image = detected(flat(intensity), PIXEL, Noise(dose=dose))
    electrons = dose * PIXEL**2
    counts = image * electrons
    assert np.allclose(counts, np.round(counts))
    # 160,000 pixels: the mean is within 5 standard errors, the variance within 5 of its own
    expected = intensity * electrons
    assert abs(counts.mean() - expected) < 5 * np.sqrt(expected / image.size)
    assert abs(counts.var() / expected - 1) < 5 * np.sqrt(2 / image.size + 1 / (expected * image.size))


def test_a_higher_dose_has_less_noise():
    low, high = (detected(flat(), PIXEL, Noise(dose=dose)).std() for dose in (400.0, 40_000.0))
    assert low / high == pytest.approx(10, rel=0.02)


def test_the_filter_averages_over_its_area():
    sigma = 0.2  # 4 px
    noise = detected(flat(), PIXEL, Noise(dose=4000.0)).std()
    filtered = detected(flat(), PIXEL, Noise(dose=4000.0, low_pass=sigma)).std()
    # a Gaussian of standard deviation s pixels averages over 4 pi s² of them
    assert noise / filtered == pytest.approx(np.sqrt(4 * np.pi) * sigma / PIXEL, rel=0.1)


def test_the_filter_keeps_the_mean_and_removes_what_is_finer_than_itself():
    x = np.arange(400) * PIXEL
    coarse, fine = (1 + 0.5 * np.sin(2 * np.pi * x / period)[None, :] * np.ones((400, 1)) for period in (4.0, 0.4))
    filtered = [detected(image, PIXEL, Noise(dose=1e8, low_pass=0.3)) for image in (coarse, fine)]
    # exp(-2 pi² s² / period²): 0.895 and 1.5e-5
    assert filtered[0].std() / coarse.std() == pytest.approx(np.exp(-2 * np.pi**2 * 0.09 / 16), abs=0.01)
    assert filtered[1][:, 40:-40].std() < 0.01 * fine.std()  # at the edges the reflected wave has a kink
    assert filtered[0].mean() == pytest.approx(1, abs=1e-3)


def test_the_same_image_has_the_same_noise_and_another_has_independent_noise():
    noise = Noise(dose=1000.0)
    first, again, other = (detected(flat(v), PIXEL, noise) for v in (1.0, 1.0, 1.0 + 1e-6))
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.02


def test_crops_of_a_recipe_with_noise_are_noisy(tmp_path):
    image = flat(side=64)
    image[:, 32:] = 1.2
    write_micrograph(tmp_path / "m.tif", image, {"pixel_size_A": PIXEL})
    recipes = {"clean": None, "noisy": Noise(dose=1e4), "filtered": Noise(dose=1e4, low_pass=0.2)}
    sd = {}
    for name, noise in recipes.items():
        crop_file(
            tmp_path / "m.tif", Recipe(intensity=Window(), noise=noise), Crops(size=32, stride=32), tmp_path / name
        )
        sd[name] = read_crops(tmp_path / name)[0].std()
    assert sd["clean"] == 0
    assert sd["noisy"] > 5 * sd["filtered"] > 0
