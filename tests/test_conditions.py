"""What a micrograph says of its own conditions, of images whose conditions are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from persistem.commands.cli import main
from persistem.conditions.counting import counting, counting_in
from persistem.conditions.features import NAMES, numbers
from persistem.conditions.rings import rings
from persistem.conditions.spectrum import parts_of, rings_of
from persistem.errors import PersistemError
from persistem.imaging.detector import detected
from persistem.imaging.optics import wavelength
from persistem.maps.conditions import conditions_of, lines
from persistem.reading import read
from persistem.reading.asked import Stated
from persistem.study import Detector
from support.studies import ROOT

MICROGRAPHS = ROOT.parent / "shared/data/micrographs"
#: Signal to this frequency (1/Å), as of atoms at 200 kV.
DETAIL = 0.35


def grain(side, pixel_size, seed=0):
    """An image of 10 % contrast about 1 whose detail ends as a Gaussian in reciprocal space."""
    q = np.hypot(np.fft.fftfreq(side, pixel_size)[:, None], np.fft.fftfreq(side, pixel_size)[None])
    field = np.fft.ifft2(
        np.fft.fft2(np.random.default_rng(seed).normal(size=(side, side))) * np.exp(-((q / DETAIL) ** 2))
    )
    return 1 + 0.1 * field.real / field.real.std()


@pytest.mark.parametrize("dose", [400.0, 1600.0, 6400.0])
@pytest.mark.parametrize("mtf", [None, 0.5, 0.3])
def test_dose_and_transfer_are_read_off_the_noise(dose, mtf):
    image = detected(grain(512, 0.2), 0.2, Detector(dose=dose, mtf=mtf))
    found = counting(image, 0.2)
    assert found.dose.value == pytest.approx(dose, rel=0.05)
    assert found.mtf.value == pytest.approx(mtf or 1.0, rel=0.05)
    assert found.dose.low < dose < found.dose.high or abs(found.dose.value / dose - 1) < 0.02
    # an image in other units, as of a camera with a gain, says the same
    scaled = counting(37.0 * image, 0.2)
    assert scaled.dose.value == pytest.approx(found.dose.value, rel=1e-6)


@pytest.mark.parametrize("dose", [400.0, 3200.0])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_contrast_is_that_without_the_noise(dose, strength):
    clean = 1 + strength * (grain(512, 0.2) - 1)
    found = counting(detected(clean, 0.2, Detector(dose=dose, mtf=0.7)), 0.2).contrast
    assert found.value == pytest.approx(clean.std(), rel=0.1)
    assert found.low < 1.1 * clean.std() and found.high > 0.9 * clean.std()


def test_the_information_limit_is_where_the_signal_falls_below_the_noise():
    limits = []
    for dose in (100.0, 1600.0, 25600.0):
        found = counting(detected(grain(512, 0.2), 0.2, Detector(dose=dose)), 0.2).beyond
        # its density, s² / (π d² / 2) exp(-2 (q/d)²) for a deviation s and detail d, against the noise's, 1 / D
        crossed = DETAIL * np.sqrt(np.log(dose * 0.1**2 / (np.pi * DETAIL**2 / 2)) / 2) if dose > 100 else 0.0
        assert crossed < found.value < crossed + 0.45
        limits.append(found.value)
    assert limits == sorted(limits) and limits[0] < limits[-1]


@pytest.mark.parametrize("layers", [2, 4, 9])
def test_the_contrast_of_layers_that_do_not_know_of_each_other_grows_as_their_root(layers):
    one, several = (
        counting(detected(1 + sum(grain(512, 0.2, k) - 1 for k in range(n)), 0.2, Detector(dose=3200.0)), 0.2).contrast
        for n in (1, layers)
    )
    assert several.value / one.value == pytest.approx(np.sqrt(layers), rel=0.06)


def test_an_image_without_any_structure_says_nothing():
    for image in (np.full((512, 512), 3.0), np.zeros((512, 512))):
        assert not numbers(image, 0.2, 200.0)[[NAMES.index("counted"), NAMES.index("rings")]].any()
    found = counting(np.full((512, 512), 3.0), 0.2)
    assert found.dose.value is None and "constant" in found.dose.reason


def test_a_model_sees_what_the_image_says_and_nothing_where_it_does_not():
    noisy = dict(zip(NAMES, numbers(detected(grain(512, 0.2), 0.2, Detector(dose=800.0)), 0.2, 200.0), strict=True))
    assert noisy["counted"] == 1 and noisy["dose"] == pytest.approx(np.log10(800), abs=0.03)
    assert noisy["contrast"] == pytest.approx(-1, abs=0.05) and noisy["transfer"] == pytest.approx(1, abs=0.05)
    assert noisy["rings"] == noisy["defocus"] == 0
    clean = dict(zip(NAMES, numbers(grain(512, 0.2), 0.2, 200.0), strict=True))
    assert clean["counted"] == clean["dose"] == 0 and clean["contrast"] == pytest.approx(-1, abs=0.05)
    ringed = dict(zip(NAMES, numbers(thon(1024, 0.5, 200, 800), 0.5, 200.0), strict=True))
    assert ringed["rings"] == 1 and ringed["defocus"] == pytest.approx(800, rel=0.02)
    assert not numbers(grain(100, 0.2), 0.2, 200.0).any()  # too small to say anything


def test_without_intervals_the_values_are_the_same():
    parts = parts_of(detected(grain(512, 0.2), 0.2, Detector(dose=800.0, mtf=0.6)), 0.2)
    told, quick = counting_in(parts), counting_in(parts, interval=False)
    assert [one.value for one in quick] == [one.value for one in told] and all(one.low is None for one in quick)


def test_intervals_of_the_dose_hold_it_as_often_as_they_say():
    held = []
    for seed in range(40):
        found = counting(detected(grain(256, 0.2, seed), 0.2, Detector(dose=800.0, mtf=0.6)), 0.2)
        held.append(found.dose.value and found.dose.low <= 800 <= found.dose.high)
    assert held.count(None) <= 1 and np.mean([one for one in held if one is not None]) >= 0.9


def test_an_image_without_counting_noise_says_so():
    for image in (grain(256, 0.2), np.round(255 * grain(256, 0.2) / 2) / 255):
        assert counting(image, 0.2).dose.value is None or counting(image, 0.2).dose.value > 1e4
    found = counting(grain(256, 0.2), 0.2)
    assert found.dose.value is None and found.mtf.value is None and found.dose.reason


def thon(side, pixel_size, voltage, defocus, astigmatism=0.0, direction=0.0, dose=400.0, Cs=0.0, seed=0):
    """A weak phase object of white noise, imaged: Scherzer's contrast transfer, an envelope and counting noise."""
    rng = np.random.default_rng(seed)
    row, column = np.fft.fftfreq(side, pixel_size)[:, None], np.fft.fftfreq(side, pixel_size)[None]
    q2, angle, length = row**2 + column**2, np.arctan2(row, column), wavelength(voltage)
    local = defocus + astigmatism * np.cos(2 * (angle - np.radians(direction)))
    chi = np.pi * length * q2 * local - np.pi / 2 * length**3 * q2**2 * Cs * 1e7
    envelope = np.exp(-q2 / (2 * (0.3 / pixel_size) ** 2))
    image = 1 + 0.15 * np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) * np.sin(chi) * envelope).real
    electrons = dose * pixel_size**2
    return rng.poisson(np.maximum(image, 0) * electrons) / electrons


@pytest.mark.parametrize(
    ("pixel_size", "voltage", "defocus", "astigmatism", "direction", "Cs"),
    [
        (1.0, 200, 3000, 0, 0, 0.0),
        (1.0, 200, 3000, 300, 30, 0.0),
        pytest.param(0.5, 200, 800, 50, 120, 0.0, marks=pytest.mark.thorough),
        (0.2, 200, 100, 0, 0, 0.0),
        (1.5, 300, 12000, 500, 170, 2.7),
        pytest.param(1.0, 80, 1500, 100, 60, 0.0, marks=pytest.mark.thorough),
    ],
)
def test_defocus_and_astigmatism_are_read_off_the_rings(pixel_size, voltage, defocus, astigmatism, direction, Cs):
    found = rings(thon(1024, pixel_size, voltage, defocus, astigmatism, direction, Cs=Cs), pixel_size, voltage, Cs)
    assert found.defocus.value == pytest.approx(defocus, rel=0.02)
    assert found.astigmatism.value == pytest.approx(astigmatism, rel=0.1, abs=0.01 * defocus)
    if astigmatism:
        away = abs(found.direction - direction) % 180
        assert min(away, 180 - away) < 5
    # under and over focus look alike without spherical aberration
    if not Cs:
        other = rings(
            thon(1024, pixel_size, voltage, -defocus, -astigmatism, direction, Cs=Cs), pixel_size, voltage, Cs
        )
        assert other.defocus.value == pytest.approx(defocus, rel=0.02)


def test_an_image_without_rings_says_so():
    for image in (thon(1024, 0.2, 200, 20, dose=1600.0), detected(grain(512, 0.2), 0.2, Detector(dose=800.0))):
        found = rings(image, 0.2, 200)
        assert found.defocus.value is None and found.astigmatism.value is None and found.defocus.reason


def test_ten_rings_of_a_real_carbon_film():
    if not (MICROGRAPHS / "amorphous_carbon.tif").exists():
        pytest.skip("the real micrographs are not here")
    (image,) = read(MICROGRAPHS / "amorphous_carbon.tif", voltage=200.0)
    found = conditions_of(image).rings
    assert found.defocus.value == pytest.approx(4700, rel=0.03) and 9 <= found.turns <= 13
    # halves of the image agree, and so does the image with its axes exchanged
    upper, lower = (rings(half, image.pixel_size, 200.0) for half in np.array_split(np.asarray(image.pixels), 2))
    assert upper.defocus.value == pytest.approx(lower.defocus.value, rel=0.02)
    turned = rings(np.asarray(image.pixels).T, image.pixel_size, 200.0)
    assert turned.defocus.value == pytest.approx(found.defocus.value, rel=0.005)
    assert (turned.direction + found.direction) % 180 == pytest.approx(90, abs=10)


def test_parts_have_the_density_of_white_noise():
    electrons = 50.0
    image = np.random.default_rng(0).poisson(electrons, (300, 400))
    parts = parts_of(image, 0.5)
    q, density = rings_of(parts, 20)
    # D = 50 / 0.25 electrons per Å²
    np.testing.assert_allclose(density.mean(axis=0), 0.25 / electrons, rtol=0.15)
    assert 0 < q[0] < q[-1] <= 1.0 and parts.density.shape[0] > 9


def test_a_large_image_says_as_much_as_its_parts_in_little_memory():
    image = np.random.default_rng(0).poisson(50.0, (8192, 8192)).astype(np.float32)
    parts = parts_of(image, 0.5)
    assert parts.density.shape[0] <= 144
    _, density = rings_of(parts, 20)
    np.testing.assert_allclose(density.mean(axis=0), 0.25 / 50.0, rtol=0.03)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ones((100, 100)), r"100 x 100 px has no parts .* 128 px or more"),
        (-np.ones((200, 200)), "mean of the image is -1"),
    ],
)
def test_an_image_that_cannot_say_anything_is_refused(image, message):
    with pytest.raises(PersistemError, match=message):
        counting(image, 0.2)


def test_the_command_says_what_the_image_says_and_what_is_missing(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a.tif", thon(512, 1.0, 200, 3000, dose=100.0).astype(np.float32))
    assert main(["conditions", str(tmp_path / "a.tif")]) == 1
    assert "does not say its pixel size; give --pixel-size (Å)" in capsys.readouterr().err
    assert main(["conditions", str(tmp_path / "a.tif"), "--pixel-size", "1"]) == 0
    assert "defocus: not known without the voltage; give --voltage (kV)" in capsys.readouterr().out
    assert main(["conditions", str(tmp_path / "a.tif"), "--pixel-size", "1", "--voltage", "200"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == str(tmp_path / "a.tif") and said[-2].startswith("  defocus: ") and "rings" in said[-2]


def test_an_option_against_the_file_is_refused():
    image = SimpleNamespace(
        path="a.tif", pixels=grain(256, 1.0), pixel_size=2.0, voltage=None, defocus=None, facts={}, stated={}
    )
    assert "dose" in lines(conditions_of(image))[0]
    image.stated = {"pixel_size": Stated(1.0, "tag")}
    with pytest.raises(PersistemError, match="contradicts the file"):
        conditions_of(image)
    assert conditions_of(image, force=True).rings is None
