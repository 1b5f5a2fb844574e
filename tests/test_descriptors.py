"""What descriptors say of images whose answer is known, and what they must not see."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from persistem.descriptors import crops as descriptors
from persistem.descriptors import files as descriptor_files
from persistem.descriptors import topology
from persistem.descriptors.crops import describe_crops, describe_micrograph
from persistem.descriptors.topology import diagrams_of, surrogate
from persistem.errors import PersistemError
from persistem.learning.validation import Candidate, CropLabels, fixed
from persistem.study import Band, Describing, Detector, Imaging, Mesh
from persistem.topology.pairs import crop_pairs
from pydantic import ValidationError

PIXEL = 0.1  # Å
DESCRIBING = Describing(
    detector=Detector(),
    sizes=(48,),
    bands=(Band(), Band(narrow=0.3, window=2.4), Band(narrow=0.15, wide=0.3, window=1.6)),
    images={"images-16": Mesh(bins=16, sigma=1.0)},
)
WHOLE = DESCRIBING.model_copy(update={"bands": (Band(),)})
SEEN = [name for name in descriptors.blocks_of(DESCRIBING) if "absolute" not in name and name != "contrast"]


def fields(count: int, side: int = 48, width: float = 2.0, seed: int = 0) -> np.ndarray:
    """Smooth random images (count, side, side) of mean 1 and contrast 0.1."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(count, side, side))
    smooth = gaussian_filter(noise, (0, width, width), mode="wrap")
    return 1 + 0.1 * smooth / smooth.std(axis=(1, 2), keepdims=True)


def peaks(places: np.ndarray, side: int, width: float = 2.0) -> np.ndarray:
    """Gaussians of height 1 at places (rows and columns, px) on a ground of zero."""
    y, x = np.mgrid[:side, :side]
    return np.sum([np.exp(-((y - r) ** 2 + (x - c) ** 2) / (2 * width**2)) for r, c in places], axis=0)


LATTICE = np.stack(np.meshgrid(*[np.arange(8, 64, 16)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)


def of_degree(pairs: np.ndarray, degree: int, shortest: float = 0.0) -> np.ndarray:
    return pairs[(pairs[:, 0] == degree) & (np.abs(pairs[:, 1] - pairs[:, 2]) > shortest)]


def test_brightness_and_contrast_are_in_the_absolute_blocks_alone():
    crops = fields(3)
    made = describe_crops(crops, PIXEL, DESCRIBING, descriptors.blocks_of(DESCRIBING))
    other = describe_crops(0.5 * crops + 0.25, PIXEL, DESCRIBING, descriptors.blocks_of(DESCRIBING))
    assert made.keys() == other.keys() == set(descriptors.blocks_of(DESCRIBING))
    for name in SEEN:
        if name.startswith(descriptors.SURROGATE):  # random phases are drawn from the last digit of a crop
            continue
        np.testing.assert_allclose(other[name], made[name], atol=2e-3, err_msg=name)
    np.testing.assert_allclose(other["contrast"] - made["contrast"], np.log(0.5), atol=1e-5)
    np.testing.assert_allclose(made["contrast"], np.log(0.1), atol=1e-5)
    for name in ("absolute histogram", "absolute spectrum", "absolute images-16"):
        assert not np.allclose(other[name], made[name], atol=1e-2), name


def test_every_block_is_finite_and_has_one_vector_for_each_crop():
    made = describe_crops(fields(2), PIXEL, DESCRIBING, descriptors.blocks_of(DESCRIBING))
    assert all(block.shape[0] == 2 and block.dtype == np.float32 for block in made.values())
    assert all(np.isfinite(block).all() and block.any() for block in made.values())
    part = describe_crops(fields(2), PIXEL, DESCRIBING, ["statistics", "texture"])
    assert part.keys() == {"statistics", "texture"}
    assert all(np.array_equal(part[name], made[name]) for name in part)


@pytest.mark.parametrize("side", [32, 33])
def test_a_surrogate_has_the_spectrum_mean_and_deviation_and_nothing_else(side):
    crop = np.exp(3 * fields(1, side)[0]) - 30
    other = surrogate(crop)
    assert other.shape == crop.shape and np.isrealobj(other)
    np.testing.assert_allclose(np.abs(np.fft.fft2(other)), np.abs(np.fft.fft2(crop)), rtol=1e-9, atol=1e-9)
    assert other.mean() == pytest.approx(crop.mean()) and other.std() == pytest.approx(crop.std())
    assert np.corrcoef(crop.ravel(), other.ravel())[0, 1] < 0.5
    assert np.array_equal(other, surrogate(crop.copy()))
    assert not np.allclose(other, surrogate(crop + 1e-9))


def test_statistics_of_a_diagram_by_hand():
    pairs = np.array([[0, 2.0, 1.0, 0, 0], [0, 3.0, 0.0, 0, 0]])
    counts, rest = np.split(topology.statistics(pairs, 10.0, 1.0), [len(topology.COUNTED)])
    # lifetimes are 0.1 and 0.3 of the window
    np.testing.assert_allclose(counts, np.log1p([2, 2, 1, 1, 0, 0]))
    shares = np.array([0.25, 0.75])
    expected = [0.2, 0.1, 0.15, 0.2, 0.25, 0.28, 2.5, 0.5, 0.5, 0.5, -(shares * np.log(shares)).sum()]
    np.testing.assert_allclose(rest, expected)
    assert not topology.statistics(pairs[:1], 10.0, 1.0).any()


@pytest.mark.parametrize(("sign", "filtration"), [(1, 0), (-1, 1)])
def test_islands_are_counted_between_their_saddles_and_their_tops(sign, filtration):
    image = sign * peaks(LATTICE, 64)
    crop = (image - image.mean()) / image.std()
    ((*both,),) = diagrams_of(crop, PIXEL, [Band()])
    pairs = both[filtration]
    alive = topology.betti_curve(of_degree(pairs, 0), 4.5, 1.0) ** 2
    levels = np.linspace(-4.5, 4.5, topology.LEVELS)
    top = np.abs(crop).max()
    saddle = sign * crop[8, 16]
    between = (sign * levels > saddle) & (sign * levels < top - 0.05)
    assert between.sum() > 5
    np.testing.assert_allclose(alive[between], len(LATTICE) - 1)  # the one that never dies is left out
    assert not alive[sign * levels > top].any()
    wide = sign * peaks(LATTICE, 64, 5.0)
    pairs = diagrams_of((wide - wide.mean()) / wide.std(), PIXEL, [Band()])[0][filtration]
    assert len(of_degree(pairs, 1, 0.2)) == 9  # the ground between four peaks is the hole of a ring


def test_islands_on_a_lattice_are_its_spacing_apart():
    crop = peaks(LATTICE, 64)
    crop = (crop - crop.mean()) / crop.std()
    pairs = diagrams_of(crop, PIXEL, [Band()])[0][0]
    born = of_degree(pairs, 0, 1.0)
    assert {tuple(place) for place in born[:, 3:].astype(int)} < {tuple(place) for place in LATTICE}
    rings = topology.islands(pairs, PIXEL, 6.4)[-topology.RINGS :]
    width = topology.REACH / topology.RINGS
    assert rings.argmax() == int(1.6 / width)  # 16 px
    assert not rings[: int(1.6 / width)].any()
    assert not topology.islands(pairs[:0], PIXEL, 6.4).any()


def test_distances_of_three_islands_in_a_row_by_hand():
    """Two of 1.1 Å and one of 2.2 Å, in rings of 0.25 Å; one of the islands is short-lived."""
    pairs = np.array([[0, 2.0, 0.0, 5, 0], [0, 2.0, 0.0, 5, 11], [0, 2.0, 1.5, 5, 22], [1, 2.0, 0.0, 9, 9]])
    short, long = np.split(topology.islands(pairs, PIXEL, 1e9), 2)
    expected = np.zeros(topology.RINGS)
    expected[[4, 8]] = np.sqrt([2 / 4.5 / 2, 1 / 8.5 / 2])
    np.testing.assert_allclose(short, expected)
    assert not long.any()


def test_the_share_of_steps_that_stay_in_a_square_is_that_of_random_ones():
    rng = np.random.default_rng(0)
    start, angle = rng.random((200_000, 2)), rng.uniform(0, 2 * np.pi, 200_000)
    for length in (0.1, 0.5, 1.0):
        end = start + length * np.column_stack([np.cos(angle), np.sin(angle)])
        stays = ((end >= 0) & (end <= 1)).all(axis=1).mean()
        assert topology.within(np.array([5 * length]), 5.0)[0] == pytest.approx(stays, abs=0.005)


def test_one_texture_has_the_same_descriptors_at_two_sizes():
    """In crops of four times the area counts were four times as large: beyond the scatter of the small crops."""
    pixel, side = 0.2, 128
    texture = np.sinh(10 * (fields(8, side) - 1))
    texture = 1 + 0.1 * texture / texture.std(axis=(1, 2), keepdims=True)
    small = texture.reshape(8, 2, side // 2, 2, side // 2).swapaxes(2, 3).reshape(-1, side // 2, side // 2)
    describing = WHOLE.model_copy(update={"bands": (Band(), Band(narrow=0.6, window=2.4))})
    names = [*topology.PERSISTENCE, *describing.images]
    few, many = (describe_crops(crops, pixel, describing, names) for crops in (texture, small))
    for name in names:
        scatter = many[name].std(axis=0)
        varies = scatter > 0.05 * scatter.max()
        shift = np.abs(few[name].mean(axis=0) - many[name].mean(axis=0))[varies] / scatter[varies]
        assert np.median(shift) < 0.6 and np.quantile(shift, 0.9) < 1.3, (name, np.quantile(shift, [0.5, 0.9]))


def test_diagrams_are_those_of_the_8_bit_stage_but_for_rounding():
    crop = fields(1, 40, 3.0)[0]
    crop = (crop - crop.mean()) / crop.std()
    step = 8 / 255  # SD a grey level
    grey = np.rint((crop + 4) / step).clip(0, 255).astype(np.uint8)
    for exact, filtration in zip(diagrams_of(crop, PIXEL, [Band()])[0], topology.FILTRATIONS, strict=True):
        rounded = crop_pairs(grey, filtration)
        for degree in (0, 1):
            of_levels = rounded[rounded[:, 0] == degree, 1:3] * step - 4
            long = of_levels[np.abs(of_levels[:, 0] - of_levels[:, 1]) > 0.25]
            known = of_degree(exact, degree)[:, 1:3]
            assert len(long) > 2
            nearest = np.abs(long[:, None] - known[None]).max(axis=-1).min(axis=1)
            assert nearest.max() < 1.01 * step


def test_sampling_a_smooth_band_at_every_second_pixel_keeps_what_lives_long(monkeypatch):
    crop = fields(1, 64, 1.0)[0]
    crop = (crop - crop.mean()) / crop.std()
    band = Band(narrow=0.4, window=2.4)  # 4 px

    def longest(pixel_size):
        found = diagrams_of(crop, pixel_size, [band.model_copy(update={"narrow": 4 * pixel_size})])[0]
        return [of_degree(pairs, degree, 0.1) for pairs in found for degree in (0, 1)]

    sampled = longest(PIXEL)
    monkeypatch.setattr(descriptors, "min", lambda shape: 31, raising=False)  # too small to be sampled
    for few, every in zip(sampled, longest(PIXEL), strict=True):
        assert len(every) > 2 and abs(len(few) - len(every)) <= 1
        nearest = np.abs(few[:, None, 1:3] - every[None, :, 1:3]).max(axis=-1).min(axis=1)
        assert np.sort(nearest)[:-1].max() < 0.05
        places = np.abs(few[:, None, 3:] - every[None, :, 3:]).max(axis=-1).min(axis=1)
        assert np.sort(places)[:-1].max() <= 2


def test_a_quarter_turn_changes_no_texture_spectrum_or_persistence():
    crops = fields(2)
    names = ["texture", "spectrum", "betti", "statistics", "moments"]
    made = describe_crops(crops, PIXEL, WHOLE, names)
    turned = describe_crops(np.rot90(crops, axes=(1, 2)), PIXEL, WHOLE, names)
    other = describe_crops(fields(2, seed=9), PIXEL, WHOLE, names)
    for name in names:  # a Hann window that is periodic is a pixel off the centre
        near = 0.1 if name == "spectrum" else 0.02
        np.testing.assert_allclose(turned[name], made[name], atol=near, err_msg=name)
        assert not np.allclose(other[name], made[name], atol=near), name


def test_histograms_and_patterns_are_shares():
    crops = fields(3)
    crops[0, 0, 0] = 40.0  # far outside of both windows
    made = describe_crops(crops, PIXEL, WHOLE, ["histogram", "absolute histogram", "texture"])
    np.testing.assert_allclose(made["histogram"].sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(made["absolute histogram"].sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(made["texture"].reshape(3, 3, 10).sum(axis=2), 1, atol=1e-6)
    # intensities of 1 on average are in the middle
    middle = descriptors.BINS // 2
    assert made["absolute histogram"][1:, middle - 8 : middle + 8].sum(axis=1).min() > 0.99


def test_persistence_images_of_levels_outside_of_their_window_are_at_its_edge():
    crops = np.stack([1 + 0.1 * peaks(LATTICE, 64, 1.0)] * 2)  # tops at 9 SD
    made = describe_crops(crops, PIXEL, WHOLE, ["images-16", "absolute images-16"])
    assert np.isfinite(made["images-16"]).all() and made["images-16"].any()
    assert np.array_equal(made["images-16"][0], made["images-16"][1])


def test_crops_of_a_micrograph_come_in_order_and_in_units_of_its_mean():
    image = np.concatenate([fields(4), 2 * fields(2, seed=1)]).reshape(2, 3, 48, 48).swapaxes(1, 2).reshape(96, 144)
    made = describe_micrograph(5 * image, PIXEL, WHOLE, 48, ["contrast", "texture"])
    single = [describe_crops(crop[None], PIXEL, WHOLE, ["texture"])["texture"][0] for crop in fields(4)]
    np.testing.assert_array_equal(made["texture"][:4], single)
    unit = np.log(0.1 / image.mean())
    np.testing.assert_allclose(made["contrast"][:, 0], unit + np.log([1, 1, 1, 1, 2, 2]), atol=1e-4)
    binned = DESCRIBING.model_copy(update={"detector": Detector(binning=2), "bands": (Band(),)})
    coarse = image.reshape(48, 2, 72, 2).mean(axis=(1, 3))[:24, :24] / image.mean()
    np.testing.assert_allclose(
        describe_micrograph(image, PIXEL, binned, 48, ["spectrum"])["spectrum"][0],
        describe_crops(coarse[None], 2 * PIXEL, WHOLE, ["spectrum"])["spectrum"][0],
        rtol=1e-5,
    )


def test_crops_of_one_contrast_before_counting_have_the_noise_of_that_contrast():
    """Counted crops of the stated contrast: variance of the pattern plus that of the counts."""
    image = fields(4).reshape(2, 2, 48, 48).swapaxes(1, 2).reshape(96, 96)
    image[:, 48:] = 1 + 0.3 * (image[:, 48:] - 1)
    dose, contrast = 4e4, 0.1  # 400 electrons a pixel of 0.1 Å
    detector = Detector(dose=dose)
    exact = descriptors.exact_crops(7 * image, PIXEL, detector, 48)
    np.testing.assert_allclose(descriptors.contrasts(exact), [0.1, 0.03, 0.1, 0.03], rtol=0.03)
    counted = descriptors.counted_with(exact, contrast, PIXEL, detector)
    np.testing.assert_allclose(counted.std(axis=(1, 2)), np.hypot(contrast, 1 / np.sqrt(400)), rtol=0.03)
    np.testing.assert_allclose(counted.mean(axis=(1, 2)), 1, atol=0.005)
    for crop, pattern in zip(counted, exact, strict=True):
        assert np.corrcoef(crop.ravel(), pattern.ravel())[0, 1] > 0.85
    own = descriptors.counted_with(exact[:1].repeat(4, 0), descriptors.contrasts(exact), PIXEL, detector)
    np.testing.assert_allclose(own.std(axis=(1, 2)), np.hypot([0.1, 0.03, 0.1, 0.03], 0.05), rtol=0.03)


def test_with_a_dose_every_block_without_contrast_is_described_twice():
    image = fields(4).reshape(2, 2, 48, 48).swapaxes(1, 2).reshape(96, 96)
    noisy = WHOLE.model_copy(update={"detector": Detector(dose=4e4)})
    names = ["contrast", "moments", "absolute histogram", "spectrum"]
    assert describe_micrograph(image, PIXEL, WHOLE, 48, names).keys() == set(names)
    made = describe_micrograph(image, PIXEL, noisy, 48, names)
    assert made.keys() == {*names, "equalised moments", "equalised spectrum"}
    weak = describe_micrograph(1 + 0.3 * (image - 1), PIXEL, noisy, 48, names)
    apart = {name: float(np.abs(weak[name].mean(0) - made[name].mean(0)).max()) for name in made}
    assert apart["spectrum"] > 0.5 > 0.3 > apart["equalised spectrum"]


def broken(**at):
    image = fields(1, 96)[0]
    for value in at.values():
        image[3, 3] = value
    return image


@pytest.mark.parametrize(
    ("image", "detector", "size", "message"),
    [
        (np.ones((96, 96)), {}, 48, "constant"),
        (np.pad(fields(1)[0], ((0, 48), (0, 0)), constant_values=1.0), {}, 48, "crop 1 is constant"),
        (np.zeros((96, 96)), {}, 48, "mean intensity is 0"),
        (broken(a=np.nan), {}, 48, "mean intensity is nan"),
        (broken(a=np.nan), {"dose": 1e4}, 48, "mean intensity is nan"),
        (broken(a=np.inf), {}, 48, "mean intensity is inf"),
        (broken(a=np.inf), {"dose": 1e4}, 48, "mean intensity is inf"),
        (1e-9 * fields(1, 96)[0], {"dose": 10.0}, 48, "no electron is counted"),
        (fields(1, 96)[0], {"dose": 0.5}, 48, "too few"),
        (fields(1, 96)[0], {"binning": 5}, 48, "multiple"),
        (fields(1, 96)[0], {}, 128, "must fit"),
    ],
)
def test_an_image_that_cannot_be_described_is_refused_in_a_sentence(image, detector, size, message):
    describing = WHOLE.model_copy(update={"detector": Detector(**detector)})
    with pytest.raises(PersistemError, match=message) as refused, np.errstate(invalid="ignore"):
        describe_micrograph(image, PIXEL, describing, size)
    assert "\n" not in str(refused.value)


def test_the_file_of_a_specimen_holds_what_was_described(tmp_path):
    from persistem.imaging.micrographs import _write, facts

    imaging = Imaging(field=9.6, pixels=96, margin=1.0, thickness=10.0)
    describing = DESCRIBING.model_copy(update={"sizes": (48, 96)})
    paths = {}
    for k, defocus in enumerate((-100.0, 25.5)):
        paths[defocus] = tmp_path / f"{k}.tif"
        _write(paths[defocus], fields(1, 96, seed=k)[0], facts(imaging, defocus))
    descriptor_files.descriptor_file(paths, describing, tmp_path / "a.parquet")
    again = tmp_path / "again.parquet"
    descriptor_files.descriptor_file(paths, describing, again)
    assert again.read_bytes() == (tmp_path / "a.parquet").read_bytes()
    found = descriptor_files.read_descriptors(tmp_path / "a.parquet", 48)
    assert list(found) == [-100.0, 25.5]
    exact = describe_micrograph(fields(1, 96, seed=1)[0], PIXEL, describing, 48, descriptors.blocks_of(describing))
    assert found[25.5].keys() == exact.keys()
    for name, block in exact.items():
        assert found[25.5][name].shape == block.shape
        if not name.startswith(descriptors.SURROGATE):
            np.testing.assert_allclose(found[25.5][name], block, atol=0.05, err_msg=name)
    whole = descriptor_files.read_descriptors(tmp_path / "a.parquet", 96)[-100.0]
    assert len(whole["contrast"]) == 1
    assert not any(name.startswith(descriptors.SURROGATE) for name in whole)
    (tmp_path / "bad.tif").write_bytes(b"no image")
    with pytest.raises(PersistemError, match=r"bad\.tif"):
        descriptor_files.descriptor_file({0.0: tmp_path / "bad.tif"}, describing, tmp_path / "b.parquet")
    _write(tmp_path / "bad.tif", np.ones((96, 96)), facts(imaging, 0.0))
    with pytest.raises(PersistemError, match=r"bad\.tif: crop 0 is constant"):
        descriptor_files.descriptor_file({0.0: tmp_path / "bad.tif"}, describing, tmp_path / "b.parquet")
    assert not (tmp_path / "b.parquet").exists()


BLOCKS = {"contrast": np.array([[1.0], [2.0]], np.float32), "moments": np.ones((2, 3), np.float32)}


def test_written_blocks_are_read_by_defocus_size_and_name(tmp_path):
    other = {name: block + 1 for name, block in BLOCKS.items()}
    descriptor_files.write_descriptors([(5.0, 48, BLOCKS), (5.0, 96, other), (-5.0, 48, other)], tmp_path / "a.parquet")
    found = descriptor_files.read_descriptors(tmp_path / "a.parquet", 48)
    assert list(found) == [5.0, -5.0]
    for defocus, blocks in ((5.0, BLOCKS), (-5.0, other)):
        assert found[defocus].keys() == blocks.keys()
        assert all(np.array_equal(found[defocus][name], block) for name, block in blocks.items())


def damaged(path, kind):
    """One file of descriptors, damaged."""
    table = pq.read_table(path)
    column = {
        "null": ("defocus", pa.array([None] * len(table), "float64")),
        "type": ("size", pa.array(["48"] * len(table))),
        "missing": ("values", pa.array([[1.0, None]] * len(table), pa.list_(pa.float32()))),
        "nan": ("values", pa.array([[float("nan")]] * len(table), pa.list_(pa.float32()))),
        "lengths": ("values", pa.array([[1.0] * (k + 1) for k in range(len(table))], pa.list_(pa.float32()))),
    }
    if kind == "absent":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif kind == "columns":
        pq.write_table(table.drop_columns(["crop"]), path)
    elif kind == "empty":
        pq.write_table(table.slice(0, 0), path)
    else:
        name, values = column[kind]
        pq.write_table(table.set_column(table.column_names.index(name), name, values), path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "not a Parquet file"),
        ("cut", "not a Parquet file"),
        ("columns", "columns"),
        ("type", "columns"),
        ("empty", "no crops of 48 px"),
        ("null", "a value is missing"),
        ("missing", "a value is missing"),
        ("nan", "not a finite number"),
        ("lengths", "different lengths"),
    ],
)
def test_a_damaged_file_is_named(kind, message, tmp_path):
    path = tmp_path / "a.parquet"
    descriptor_files.write_descriptors([(5.0, 48, BLOCKS)], path)
    damaged(path, kind)
    with pytest.raises(PersistemError, match=message) as refused:
        descriptor_files.read_descriptors(path, 48)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bands": [{"narrow": 0.3, "wide": 0.3}]}, "wide"),
        ({"sizes": [64, 64]}, "twice"),
        ({"images": {"a": {"bins": 8, "sigma": 1.0, "filtrations": ["sublevel", "sublevel"]}}}, "twice"),
    ],
)
def test_settings_that_describe_nothing_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Describing.model_validate(settings)


@pytest.mark.slow
def test_a_topological_difference_behind_equal_spectra_is_found_by_persistence_and_not_by_the_spectrum():
    """Bright islands on a dark ground against random phases of the same images."""
    groups, each = 5, 12
    count = groups * each
    islands = np.exp(1.5 * (fields(count, width=2.5, seed=4) - 1) / 0.1)
    islands = (islands - islands.mean(axis=(1, 2), keepdims=True)) / islands.std(axis=(1, 2), keepdims=True)
    crops = np.concatenate([islands, [surrogate(crop) for crop in islands]])
    for crop, other in zip(crops[:count], crops[count:], strict=True):
        np.testing.assert_allclose(np.abs(np.fft.rfft2(crop)), np.abs(np.fft.rfft2(other)), atol=1e-6)
    # a spectrum without a window, which would weigh the centre
    from persistem.descriptors.spectra import annular_average

    spectrum = np.log(annular_average(crops, PIXEL, window=False)[1])
    X = describe_crops(crops, PIXEL, WHOLE, ["statistics", "images-16", "surrogate statistics"]) | {
        "spectrum": spectrum
    }
    seed = np.tile(np.repeat(np.arange(groups), each), 2)
    labels = np.repeat([0, 1], count)
    of = CropLabels(labels, seed, np.zeros(2 * count), np.arange(2 * count), ("islands", "random"))

    def accuracy(name):
        return float((fixed(X, of, Candidate((name,), "LR", 1.0), "pooled") == labels).mean())

    assert accuracy("statistics") > 0.9
    assert accuracy("images-16") > 0.9
    # the same numbers belong to both states: nothing to learn
    assert accuracy("spectrum") <= 0.5 + 3 * 0.5 / np.sqrt(2 * count)
    assert accuracy("surrogate statistics") <= 0.5 + 3 * 0.5 / np.sqrt(2 * count)
