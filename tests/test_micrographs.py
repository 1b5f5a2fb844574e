from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from persistem.errors import PersistemError
from persistem.imaging import exit_waves, micrographs
from persistem.imaging.micrographs import foci, micrograph, nodes_needed, read_micrograph
from persistem.imaging.optics import focal_sigma, wavelength
from persistem.specimens import slabs
from persistem.specimens.structures import write_structure
from persistem.study import Imaging

#: A perfect lens; tests add what they are about.
PERFECT = {"Cs": 0.0, "temporal_coherence": "none", "semi_angle": 0.0, "focal_nodes": None}
SMALL = {"field": 8.0, "thickness": 8.0, "pixels": 64, "margin": 2.0, "defocus_origin": "exit"}
#: A wide field of low resolution, for transfer functions.
WIDE = PERFECT | {"field": 102.4, "pixels": 128, "margin": 0.0}
STEP = 0.8


def imaging(**values: Any) -> Imaging:
    return Imaging().model_copy(update=SMALL | {"focal_nodes": None} | values)


def imaged(wave: Path, settings: Imaging, defocus: float) -> np.ndarray:
    out = wave.with_name("image.tif")
    micrograph(wave, settings, defocus, out)
    return read_micrograph(out)[0].astype(float)


def write_wave(path: Path, array: np.ndarray, settings: Imaging) -> Path:
    import abtem

    wave = abtem.Waves(
        array.astype(np.complex64), energy=settings.voltage * 1e3, sampling=slabs.grid(settings).sampling
    )
    wave.to_zarr(str(path), overwrite=True)
    return path


def wave_of(atoms: Atoms, settings: Imaging, folder: Path) -> Path:
    write_structure(folder / "structure.extxyz", atoms)
    exit_waves.exit_wave(folder / "structure.extxyz", settings, folder / "wave.zarr")
    return folder / "wave.zarr"


def atom(z: float, symbol: str = "N") -> Atoms:
    """One atom, z (Å) from the centre of the slab."""
    return Atoms(symbol, [[10.0, 10.0, 10.0 + z]], cell=[20.0] * 3, pbc=True)


@pytest.fixture(scope="module")
def strong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exit wave of disordered GaN at a sampling close to the paper's."""
    atoms = bulk("GaN", "wurtzite", a=3.19, c=5.189).repeat((5, 6, 3))
    atoms.rattle(0.4, seed=2)
    return wave_of(atoms, STRONG, tmp_path_factory.mktemp("strong"))


STRONG = imaging(field=6.25, pixels=128, thickness=15.0, margin=0.0)


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Exit wave of a weak phase object that contains all frequencies alike, and the transform of its phase."""
    noise = np.fft.fft2(np.random.default_rng(3).normal(size=(128, 128)))
    phase = 0.1 * np.fft.ifft2(noise / np.abs(noise)).real
    path = tmp_path_factory.mktemp("weak") / "wave.zarr"
    return write_wave(path, np.exp(1j * phase), imaging(**WIDE)), np.fft.fft2(phase)


def transfer(weak: tuple[Path, np.ndarray], settings: Imaging, defocus: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (1/Å) and the phase contrast transfer measured on the micrograph, sorted by frequency."""
    path, phase = weak
    measured = np.fft.fft2(imaged(path, settings, defocus).T) / phase
    k = np.fft.fftfreq(128, STEP)
    k = np.hypot(k[:, None], k).ravel()
    order = np.argsort(k)[1:]
    return k[order], measured.real.ravel()[order]


def transfer_on_the_plane(weak: tuple[Path, np.ndarray], settings: Imaging, defocus: float) -> list[np.ndarray]:
    """Frequencies kx, ky (1/Å) within 0.4 / Å but zero, and the complex transfer measured there."""
    path, phase = weak
    measured = np.fft.fft2(imaged(path, settings, defocus).T) / phase
    kx, ky = np.meshgrid(*[np.fft.fftfreq(128, STEP)] * 2, indexing="ij")
    k = np.hypot(kx, ky)
    inside = (k > 0) & (k < 0.4)
    return [values[inside] for values in (kx, ky, measured)]


def chi(k: np.ndarray, defocus: float, Cs: float = 0.0, voltage: float = 200.0) -> np.ndarray:
    """Aberration phase of underfocus and Cs (Å)."""
    length = wavelength(voltage)
    return np.pi * length * k**2 * (-defocus + Cs * length**2 * k**2 / 2)


@pytest.mark.parametrize(("defocus", "Cs"), [(300.0, 0.0), (-300.0, 0.0), (500.0, 1.0), (0.0, -0.5)])
def test_contrast_transfer_is_the_closed_form(weak: tuple[Path, np.ndarray], defocus: float, Cs: float) -> None:
    k, measured = transfer(weak, imaging(**WIDE | {"Cs": Cs}), defocus)
    # |1 + iφ exp(-iχ)|² = 1 + 2 φ sin χ
    expected = 2 * np.sin(chi(k, defocus, Cs * 1e7))
    assert np.abs(expected).max() > 1.5
    assert np.allclose(measured, expected, atol=0.05)


def test_zero_crossings_without_spherical_aberration(weak: tuple[Path, np.ndarray]) -> None:
    k, measured = transfer(weak, imaging(**WIDE), 500.0)
    for n in (1, 2, 3):
        zero = np.sqrt(n / (wavelength(200.0) * 500.0))
        below, above = (measured[np.abs(k - zero * f) < 0.01].mean() for f in (0.96, 1.04))
        assert below * above < 0
        assert (-1) ** n * below > 0  # dark atoms at underfocus up to the first zero


def test_scherzer_focus_passes_one_wide_band(weak: tuple[Path, np.ndarray]) -> None:
    length, Cs = wavelength(200.0), 1e7
    k, measured = transfer(weak, imaging(**WIDE | {"Cs": 1.0}), 1.2 * np.sqrt(Cs * length))
    first_zero = 1.549 * Cs**-0.25 * length**-0.75
    band = (k > 0.3 * first_zero) & (k < 0.98 * first_zero)
    assert (measured[band] < 0).all()  # atoms are dark throughout the band
    assert measured[band].min() == pytest.approx(-2, abs=0.05)
    assert (measured[(k > 1.01 * first_zero) & (k < 1.1 * first_zero)] > -0.05).all()


def test_defocus_sign_and_origin(weak: tuple[Path, np.ndarray]) -> None:
    k, under = transfer(weak, imaging(**WIDE), 300.0)
    over = transfer(weak, imaging(**WIDE, defocus_sign="overfocus-positive"), 300.0)[1]
    assert np.allclose(over, -under, atol=0.05)
    # from the centre of a slab of 8 Å, 300 Å of underfocus are 304 Å from its exit face, and of overfocus 296 Å
    for sign, from_exit in (("underfocus-positive", 304.0), ("overfocus-positive", -296.0)):
        centre = transfer(weak, imaging(**WIDE, defocus_origin="centre", defocus_sign=sign), 300.0)[1]
        assert np.allclose(centre, 2 * np.sin(chi(k, from_exit)), atol=0.05)


@pytest.mark.parametrize(
    ("z", "focus", "origin", "sign"),
    [
        (0.0, 0.0, "centre", "underfocus-positive"),
        (0.0, 0.0, "centre", "overfocus-positive"),
        (0.0, 10.0, "exit", "underfocus-positive"),
        (0.0, -10.0, "exit", "overfocus-positive"),
        (9.0, 0.0, "exit", "underfocus-positive"),
        (-5.0, 5.0, "centre", "underfocus-positive"),
        (-5.0, -5.0, "centre", "overfocus-positive"),
    ],
)
def test_a_thin_object_vanishes_where_it_is_in_focus(
    tmp_path: Path, z: float, focus: float, origin: str, sign: str
) -> None:
    # a light atom is a weak phase object: least contrast in focus, and opposite contrast on the two sides
    settings = imaging(**PERFECT, thickness=20.0, defocus_origin=origin, defocus_sign=sign, aperture=40.0)
    wave = wave_of(atom(z), settings, tmp_path)
    series = {df: imaged(wave, settings, focus + df) for df in (-20.0, -10.0, -5.0, 0.0, 5.0, 10.0, 20.0)}
    contrast = {df: image.std() for df, image in series.items()}
    assert min(contrast, key=contrast.__getitem__) == 0
    assert np.corrcoef(series[-20.0].ravel(), series[20.0].ravel())[0, 1] < -0.9
    underfocused = series[20.0 if sign == "underfocus-positive" else -20.0]
    assert underfocused[32, 32] < 1 - 3 * contrast[0.0]  # atoms are dark at underfocus


def test_illumination_angle_is_a_standard_deviation(weak: tuple[Path, np.ndarray]) -> None:
    k, measured = transfer(weak, imaging(**WIDE | {"semi_angle": 1.0}), 500.0)
    # the mean over tilts θ of exp(i ∇χ θ), each component of θ of standard deviation 1 mrad
    gradient = 2 * np.pi * 500.0 * k
    expected = 2 * np.sin(chi(k, 500.0)) * np.exp(-((1e-3 * gradient) ** 2) / 2)
    assert np.exp(-((1e-3 * gradient.max()) ** 2) / 2) < 0.3
    assert np.allclose(measured, expected, atol=0.05)


@pytest.mark.parametrize("coherence", ["envelope", "focal-sum"])
def test_focal_spread_damps_a_weak_object_by_the_envelope(weak: tuple[Path, np.ndarray], coherence: str) -> None:
    settings = imaging(**WIDE | {"temporal_coherence": coherence, "energy_spread": 6.0})
    k, measured = transfer(weak, settings, 300.0)
    k, measured = k[k < 2 / 3 * 0.5 / STEP], measured[k < 2 / 3 * 0.5 / STEP]  # what a multislice wave contains
    damping = np.exp(-((np.pi * wavelength(200.0) * focal_sigma(settings) * k**2) ** 2) / 2)
    assert damping.min() < 0.1
    assert np.allclose(measured, 2 * np.sin(chi(k, 300.0)) * damping, atol=0.05)


def test_astigmatism_and_coma_are_the_textbooks(weak: tuple[Path, np.ndarray]) -> None:
    A1, B2, a, b = 100.0, 4000.0, 0.4, 1.9
    settings = imaging(
        **WIDE | {"Cs": 0.2},
        astigmatism=A1, astigmatism_angle=np.degrees(a), coma=B2, coma_angle=np.degrees(b),
    )  # fmt: skip
    kx, ky, measured = transfer_on_the_plane(weak, settings, 300.0)
    theta, phi = wavelength(200.0) * np.hypot(kx, ky), np.arctan2(ky, kx)
    # Re(½ (C1 + A1 exp(-2iφ)) θ² + B2 exp(iφ) θ³ + ¼ Cs θ⁴), turned by the angles
    even = theta**2 / 2 * (-300.0 + A1 * np.cos(2 * (phi - a))) + 0.2e7 * theta**4 / 4
    odd = B2 * theta**3 * np.cos(phi - b)
    even, odd = (2 * np.pi / wavelength(200.0) * part for part in (even, odd))
    assert np.ptp(odd) > 2
    # |1 + iφ exp(-iχ)|² has iφ (exp(-iχ(k)) - exp(iχ(-k))) at k
    assert np.allclose(measured, 2 * np.sin(even) * np.exp(-1j * odd), atol=0.1)


@pytest.mark.parametrize("angle", [0.0, 90.0])
def test_astigmatism_is_another_focus_along_each_axis(weak: tuple[Path, np.ndarray], angle: float) -> None:
    kx, ky, measured = transfer_on_the_plane(weak, imaging(**WIDE, astigmatism=80.0, astigmatism_angle=angle), 300.0)
    along, across = (ky == 0, kx == 0) if angle == 0 else (kx == 0, ky == 0)
    k = np.hypot(kx, ky)
    for axis, focus in ((along, 220.0), (across, 380.0)):
        assert np.allclose(measured[axis], 2 * np.sin(chi(k[axis], focus)), atol=0.05)


def test_illumination_angle_damps_what_astigmatism_bends(weak: tuple[Path, np.ndarray]) -> None:
    kx, ky, measured = transfer_on_the_plane(weak, imaging(**WIDE | {"semi_angle": 1.0}, astigmatism=200.0), 500.0)
    even = np.pi * wavelength(200.0) * (-300.0 * kx**2 - 700.0 * ky**2)
    squared = (2 * np.pi) ** 2 * ((300.0 * kx) ** 2 + (700.0 * ky) ** 2)
    assert np.allclose(measured, 2 * np.sin(even) * np.exp(-1e-6 * squared / 2), atol=0.05)


def test_a_tilt_moves_an_atom_by_its_depth(tmp_path: Path) -> None:
    settings = imaging(**PERFECT)
    upright = imaged(wave_of(atom(-3.5, "Ga"), settings, tmp_path), settings, 40.0)
    # the atom's slice begins 8 Å before the exit face; the image moves by a pixel of 0.125 Å along x, the columns
    settings = settings.model_copy(update={"tilt": (1e3 * np.arctan(0.125 / 8), 0.0)})
    tilted = imaged(wave_of(atom(-3.5, "Ga"), settings, tmp_path), settings, 40.0)
    assert np.ptp(upright) > 0.1
    assert np.abs(np.roll(upright, 1, axis=1) - tilted)[:, 2:].max() < 0.01 * np.ptp(upright)


def test_aperture(weak: tuple[Path, np.ndarray]) -> None:
    k, measured = transfer(weak, imaging(**WIDE | {"aperture": 8.0}), 300.0)
    edge = 8e-3 / wavelength(200.0)
    assert np.abs(measured[k > edge + 0.02]).max() < 0.02
    inside = k < edge - 0.02
    assert np.allclose(measured[inside], 2 * np.sin(chi(k[inside], 300.0)), atol=0.05)


@pytest.mark.slow
def test_focal_sum_is_the_mean_of_coherent_images(strong: Path) -> None:
    summed = imaged(strong, STRONG.model_copy(update={"semi_angle": 0.0}), 25.0)
    one = STRONG.model_copy(update={"temporal_coherence": "none", "semi_angle": 0.0})
    shifts = np.linspace(-5, 5, 161)
    weights = np.exp(-(shifts**2) / 2)
    images = [imaged(strong, one, 25.0 + focal_sigma(one) * x) for x in shifts]
    mean = np.tensordot(weights / weights.sum(), images, axes=1)
    assert mean.std() > 0.02
    assert np.abs(summed - mean).max() < 2e-4
    # and that is not what the linear theory's envelope gives
    envelope = imaged(strong, one.model_copy(update={"temporal_coherence": "envelope"}), 25.0)
    assert np.abs(envelope - mean).max() > 0.02


def test_focal_sum_has_enough_nodes(strong: Path) -> None:
    needed = imaged(strong, STRONG, -25.0)
    more = imaged(strong, STRONG.model_copy(update={"focal_nodes": 3 * nodes_needed(STRONG)}), -25.0)
    few = imaged(strong, STRONG.model_copy(update={"focal_nodes": nodes_needed(STRONG) // 3}), -25.0)
    assert np.abs(needed - more).max() < 1e-4
    assert np.abs(few - more).max() > 1e-3


def test_foci_are_a_gaussian_of_the_focal_spread() -> None:
    shifts, weights = np.array(foci(imaging())).T
    assert len(shifts) == nodes_needed(imaging())
    assert weights.sum() == pytest.approx(1)
    assert weights @ shifts == pytest.approx(0, abs=1e-9)
    assert np.sqrt(weights @ shifts**2) == pytest.approx(focal_sigma(imaging()), rel=1e-3)
    for kurtosis in [weights @ shifts**4 / (weights @ shifts**2) ** 2]:
        assert kurtosis == pytest.approx(3, abs=0.02)
    assert len(foci(imaging(focal_nodes=7))) == 7
    assert foci(imaging(energy_spread=0.0)) == foci(imaging(temporal_coherence="none")) == [(0.0, 1.0)]
    # an aperture takes away the beams that need many
    assert nodes_needed(imaging(aperture=30.0)) < nodes_needed(imaging(aperture=50.0)) <= nodes_needed(imaging())


def test_a_perfect_lens_in_focus_shows_the_exit_wave(tmp_path: Path) -> None:
    import abtem

    settings = imaging(**PERFECT)
    wave = wave_of(atom(1.0, "Ga"), settings, tmp_path)
    array = np.asarray(abtem.from_zarr(str(wave)).compute().array)
    # the margin is cropped; rows are y and columns x
    expected = np.abs(array[16:-16, 16:-16].T) ** 2
    assert np.ptp(expected) > 0.01
    assert np.allclose(imaged(wave, settings, 0.0), expected, atol=np.ptp(expected) / 65535)


def test_columns_run_along_x_and_rows_along_y(tmp_path: Path) -> None:
    settings = imaging(**PERFECT)
    atoms = atom(3.0, "Ga")
    atoms.positions += (2.0, -1.0, 0.0)
    image = imaged(wave_of(atoms, settings, tmp_path), settings, 20.0)
    row, column = np.unravel_index(np.argmax(np.abs(image - 1)), image.shape)
    assert (row, column) == (32 - 8, 32 + 16)


def test_sixteen_bit_file_gives_back_absolute_intensities(strong: Path) -> None:
    import abtem
    from persistem.imaging.optics import abtem_settings

    out = strong.with_name("levels.tif")
    micrograph(strong, STRONG, 13.0, out)
    with abtem_settings("cpu"):
        exact = micrographs.image(abtem.from_zarr(str(strong)).compute(), STRONG, 13.0).T
    intensity, facts = read_micrograph(out)
    assert intensity.dtype == np.float32 and intensity.shape == (128, 128)
    assert np.abs(intensity - exact).max() <= facts["intensity_scale"] / 2 + 2e-7
    assert intensity.mean() == pytest.approx(1, abs=0.03)  # in units of the incident beam
    from tifffile import imread

    levels = imread(out)
    assert levels.dtype == np.uint16 and levels.min() == 0 and levels.max() == 65535


def test_vacuum_is_one_everywhere(tmp_path: Path) -> None:
    settings = imaging()
    wave = write_wave(tmp_path / "wave.zarr", np.ones((96, 96)), settings)
    assert np.allclose(imaged(wave, settings, 50.0), 1, atol=1e-5)


def test_pixel_size_and_facts_are_in_the_file(tmp_path: Path) -> None:
    from tifffile import TiffFile

    settings = imaging(field=7.3, margin=0.0)
    out = tmp_path / "image.tif"
    micrograph(write_wave(tmp_path / "wave.zarr", np.ones((64, 64)), settings), settings, -12.5, out)
    with TiffFile(out) as file:
        assert file.is_imagej and file.imagej_metadata is not None
        assert file.imagej_metadata["unit"] == "nm"
        for axis in ("XResolution", "YResolution"):
            pixels, nanometres = file.pages[0].tags[axis].value
            assert nanometres / pixels == pytest.approx(0.73 / 64, rel=1e-6)
    facts = read_micrograph(out)[1]
    assert facts["pixel_size_A"] == 7.3 / 64
    assert (facts["defocus_A"], facts["voltage_kV"], facts["Cs_mm"], facts["aperture_mrad"]) == (
        -12.5,
        200,
        -0.0005,
        None,
    )
    assert facts["focal_sigma_A"] == pytest.approx(20.36, abs=0.01)
    assert "astigmatism_A" not in facts  # a lens without it makes the file it made before there was any
    micrograph(out.with_name("wave.zarr"), settings.model_copy(update={"astigmatism": 12.0}), -12.5, out)
    facts = read_micrograph(out)[1]
    assert (facts["astigmatism_A"], facts["astigmatism_angle_deg"]) == (12, 0)


def test_hyperspy_reads_the_pixel_size(tmp_path: Path) -> None:
    reader = pytest.importorskip("rsciio.tiff")
    settings = imaging(margin=0.0)
    out = tmp_path / "image.tif"
    micrograph(write_wave(tmp_path / "wave.zarr", np.ones((64, 64)), settings), settings, 0.0, out)
    for axis in reader.file_reader(str(out))[0]["axes"]:
        assert axis["units"] == "nm"
        assert axis["scale"] == pytest.approx(0.0125)


def test_same_bytes_wherever_and_whenever(strong: Path, tmp_path: Path) -> None:
    micrograph(strong, STRONG, 25.0, tmp_path / "a" / "one.tif")
    elsewhere = tmp_path / "moved.zarr"
    elsewhere.symlink_to(strong)
    subset = SimpleNamespace(**{key: getattr(STRONG, key) for key in micrographs.KEYS})
    micrograph(elsewhere, subset, 25.0, tmp_path / "b" / "two.tif")  # type: ignore[arg-type]
    first = (tmp_path / "a" / "one.tif").read_bytes()
    assert first == (tmp_path / "b" / "two.tif").read_bytes()
    assert str(tmp_path).encode() not in first


def test_refusals(strong: Path, tmp_path: Path) -> None:
    out = tmp_path / "image.tif"
    with pytest.raises(PersistemError, match="not an exit wave that abTEM reads"):
        micrograph(tmp_path / "nothing.zarr", STRONG, 0.0, out)
    with pytest.raises(PersistemError, match="160 x 160 px"):
        micrograph(strong, STRONG.model_copy(update={"pixels": 160}), 0.0, out)
    with pytest.raises(PersistemError, match="300 kV"):
        micrograph(strong, STRONG.model_copy(update={"voltage": 300.0}), 0.0, out)
    with pytest.raises(PersistemError, match=r"7\.5 Å"):
        micrograph(strong, STRONG.model_copy(update={"field": 7.5}), 0.0, out)
    with pytest.raises(PersistemError, match="cpu and gpu"):
        micrograph(strong, STRONG, 0.0, out, device="tpu")
    assert not out.exists()


def test_reading_what_is_no_micrograph(tmp_path: Path) -> None:
    from tifffile import imwrite

    (tmp_path / "text.tif").write_text("not a TIFF")
    imwrite(tmp_path / "plain.tif", np.zeros((8, 8), np.uint16))
    imwrite(tmp_path / "imagej.tif", np.zeros((8, 8), np.uint16), imagej=True, metadata={"Info": "[1]"})
    for name in ("missing.tif", "text.tif", "plain.tif", "imagej.tif"):
        with pytest.raises(PersistemError, match=name):
            read_micrograph(tmp_path / name)
