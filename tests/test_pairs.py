"""Pairs of an image, and the bands that they are taken of."""

import numpy as np
import pytest
from persistem.descriptors.topology import diagrams_of
from persistem.descriptors.windows.pairs import pair_table
from persistem.study import Band, Windows
from persistem.topology.pairs import band_image, crop_pairs, image_pairs, lasting, thinning


def test_two_islands_and_a_ring_by_hand():
    image = np.array([[1, 1, 1, 0, 5], [1, 0, 1, 0, 0], [1, 1, 1, 0, 4]], dtype=np.uint8)
    # from bright to dark: islands of 4 and 1 meet the older one of 5 at 0; the ring of ones is filled at 0
    assert crop_pairs(image, "superlevel")[:, :3].tolist() == [[0, 1, 0], [0, 4, 0], [1, 1, 0]]


@pytest.mark.parametrize("filtration", ["superlevel", "sublevel"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_births_and_deaths_are_values_of_the_image_at_their_pixels(filtration, kind):
    image = np.random.default_rng(1).integers(0, 255, (24, 31)).astype(kind)
    pairs = image_pairs(image, filtration)
    assert pairs.birth.dtype == kind
    np.testing.assert_array_equal(pairs.birth, image[tuple(pairs.born.T)])
    np.testing.assert_array_equal(pairs.death, image[tuple(pairs.died.T)])
    older = pairs.birth >= pairs.death if filtration == "superlevel" else pairs.birth <= pairs.death
    assert older.all() and set(pairs.degree) == {0, 1}


@pytest.mark.parametrize("pixel_size", [0.2, 0.1, 0.3, 0.7])
def test_a_band_that_is_just_smooth_enough_is_thinned_whatever_the_rounding(pixel_size):
    assert thinning(Band(narrow=2.25 * pixel_size), pixel_size) == 2
    assert thinning(Band(narrow=float(f"{2.25 * pixel_size:.6g}")), pixel_size) == 2
    assert thinning(Band(narrow=2.24 * pixel_size), pixel_size) == 1
    assert thinning(Band(), pixel_size) == 1


def test_crops_and_windows_thin_the_same_band_alike():
    """At 2.25 pixels windows took every pixel, descriptors every second one."""
    image = np.random.default_rng(2).normal(size=(64, 64))
    band = Band(narrow=0.45)
    (crop,) = diagrams_of(image, 0.2, [band])
    windows = pair_table(image.astype(np.float32), Windows(bands=(band,), size=3.2))
    assert not (crop[0][:, 3:] % 2).any()
    assert not (windows["row"] % 2).any() and not (windows["column"] % 2).any()


def test_a_band_is_the_difference_of_two_gaussians_and_has_no_mean():
    image = np.random.default_rng(3).normal(5, 1, (96, 96))
    np.testing.assert_array_equal(band_image(image, Band(), 0.1), image)
    band = band_image(image, Band(narrow=0.2, wide=0.4), 0.1)
    assert abs(band.mean()) < 0.02 < 0.05 < band.std() < image.std()
    assert lasting(image_pairs(band, "sublevel")).mean() > 0.5
