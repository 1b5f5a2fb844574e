"""Spectra of images whose power is known, and contrast whose inversion is."""

import numpy as np
import pytest
from persistem.descriptors.spectra import (
    LIMIT,
    annular_average,
    contrast_inversion,
    micrograph_features,
    power,
    scattering_angle,
    spectrum_features,
)
from persistem.errors import PersistemError
from persistem.imaging.optics import wavelength
from persistem.study import Crops

PIXEL = 0.05  # Å


@pytest.fixture
def noise():
    return np.random.default_rng(3).normal(5, 2, (96, 128))


def grating(frequency, direction=0.0, size=256, phase=0.3):
    rows, columns = np.mgrid[:size, :size] * PIXEL
    along = columns * np.cos(direction) + rows * np.sin(direction)
    return 3 + np.cos(2 * np.pi * frequency * along + phase)


def test_power_integrates_to_the_variance(noise):
    """Parseval, with the area of a point of the reciprocal lattice."""
    area = 1 / (noise.size * PIXEL**2)
    assert power(noise, PIXEL, window=False).sum() * area == pytest.approx(noise.var())


def test_the_window_keeps_the_power_of_noise():
    images = np.random.default_rng(0).normal(size=(50, 64, 64))
    ratio = power(images, PIXEL).sum() / power(images, PIXEL, window=False).sum()
    assert ratio == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("window", [True, False])
@pytest.mark.parametrize("size", [64, 96])
def test_white_noise_is_flat_at_its_variance_whatever_the_size(size, window):
    images = np.random.default_rng(1).normal(0, 2, (60, size, size))
    _, mean = annular_average(images, PIXEL, window)
    mean = mean.mean(axis=0)[2:]  # the window takes from the lowest rings what it takes from the mean
    assert np.allclose(mean, 4 * PIXEL**2, rtol=0.15)
    assert mean.mean() == pytest.approx(4 * PIXEL**2, rel=0.02)


@pytest.mark.parametrize("direction", [0.0, 0.4, np.pi / 2, 2.0])
@pytest.mark.parametrize("frequency", [0.5, 1.7, 4.0])
def test_a_grating_peaks_at_its_frequency_in_any_direction(frequency, direction):
    k, mean = annular_average(grating(frequency, direction), PIXEL)
    assert k[mean.argmax()] == pytest.approx(frequency, abs=1 / (256 * PIXEL))


def test_turning_or_mirroring_the_image_changes_nothing(noise):
    square = noise[:90, :90]
    _, mean = annular_average(square, PIXEL)
    for other in (np.rot90(square), np.rot90(square, 2), square.T, square[:, ::-1]):
        # mirrored, a periodic window is off by a pixel
        assert np.allclose(annular_average(other, PIXEL, window=False)[1], annular_average(square, PIXEL, False)[1])
    assert np.allclose(annular_average(square.T, PIXEL)[1], mean)


def test_the_window_keeps_a_slope_out_of_high_frequencies():
    """A grating that does not fit into the image jumps at its edges, which leaks everywhere without a window."""
    image = grating(0.53)
    k, windowed = annular_average(image, PIXEL)
    _, bare = annular_average(image, PIXEL, window=False)
    far = k > 2
    assert windowed[far].max() < 1e-3 * bare[far].min()


def test_rings_lie_between_the_image_and_the_nyquist_frequency(noise):
    k, mean = annular_average(noise, PIXEL)
    assert mean.shape == k.shape == (47,)
    assert (np.diff(k) > 0).all()
    assert k[0] == pytest.approx(1 / (96 * PIXEL), rel=0.2)
    assert 0.95 / (2 * PIXEL) < k[-1] < 1 / (2 * PIXEL)


def test_many_images_at_once_are_each_alone(noise):
    stack = np.stack([noise, noise**2])
    together = annular_average(stack, PIXEL)[1]
    assert np.allclose(together, [annular_average(image, PIXEL)[1] for image in stack])


def test_wavelength_and_angle_are_relativistic():
    assert wavelength(200) == pytest.approx(0.02508, abs=5e-6)
    assert wavelength(300) == pytest.approx(0.01969, abs=5e-6)
    assert scattering_angle(1.0, 200) == pytest.approx(25.08, abs=0.01)
    assert scattering_angle(0.0, 200) == 0


def test_features_without_contrast_know_the_pattern_alone(noise):
    crops = noise[None, :64, :64]
    assert np.allclose(spectrum_features(crops, PIXEL), spectrum_features(7 * crops - 3, PIXEL))
    absolute = [spectrum_features(c, PIXEL, standardise=False) for c in (crops, 7 * crops)]
    assert np.allclose(absolute[1] - absolute[0], 2 * np.log(7))


def test_features_are_the_logarithm_up_to_the_limit():
    crop = np.random.default_rng(2).normal(size=(1, 256, 256))
    k, mean = annular_average(crop[0], PIXEL)
    assert k[-1] > LIMIT
    features = spectrum_features(crop, PIXEL, standardise=False)
    assert np.allclose(features[0], np.log(mean[k <= LIMIT]))


def test_a_blank_crop_has_finite_features():
    assert np.isfinite(spectrum_features(np.full((2, 32, 32), 4.0), 0.5)).all()


def test_features_of_a_micrograph_are_those_of_its_crops(noise):
    crops = Crops(size=32, stride=32)
    found = micrograph_features(noise, PIXEL, crops)
    assert found.shape[0] == 3 * 4
    assert np.allclose(found[5], spectrum_features(noise[None, 32:64, 32:64], PIXEL)[0])


def test_contrast_inverts_where_it_was_made_to():
    rng = np.random.default_rng(4)
    pattern, static = rng.normal(size=(2, 64, 64))
    defoci = [-50.0, -20.0, 0.0, 10.0, 35.0, 60.0]
    images = [1 + 1e-3 * (d - 20) * pattern + 2e-3 * static for d in defoci]
    found = contrast_inversion(np.stack(images), defoci)
    assert found["correlation"] < -0.98
    assert found["centre_A"] == pytest.approx(np.mean([-50, 60]))
    assert found["lowest_contrast_A"] == 10
    assert len(found["pairs"]) == 15
    signs = {tuple(p["defoci"]): p["correlation"] for p in found["pairs"]}
    assert signs[-50.0, -20.0] > 0.9
    assert signs[35.0, 60.0] > 0.9
    assert signs[-20.0, 60.0] < -0.9


def test_correlation_is_pearsons(noise):
    other = noise + np.random.default_rng(8).normal(size=noise.shape)
    pair = contrast_inversion(np.stack([noise, other]), [0.0, 1.0])["pairs"][0]
    assert pair["correlation"] == pytest.approx(np.corrcoef(noise.ravel(), other.ravel())[0, 1], abs=1e-5)


def test_contrast_that_never_inverts_has_no_centre(noise):
    found = contrast_inversion(np.stack([noise, 2 * noise]), [0.0, 10.0])
    assert found["centre_A"] is None
    assert found["correlation"] is None
    assert contrast_inversion(noise[None], [5.0])["pairs"] == []


def test_bad_images_are_refused(noise):
    with pytest.raises(PersistemError, match="at least 4 x 4 px"):
        power(np.ones((3, 8)), PIXEL)
    with pytest.raises(PersistemError, match="finite"):
        power(np.where(noise > 8, np.nan, noise), PIXEL)
    with pytest.raises(PersistemError, match="no spatial frequency up to"):
        spectrum_features(np.zeros((1, 8, 8)), PIXEL)
    with pytest.raises(PersistemError, match="blank"):
        contrast_inversion(np.ones((2, 8, 8)), [0.0, 1.0])
