"""Persistence images: closed form of one pair, linearity, symmetry, and agreement with HomCloud's own vectors."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
from persistem.errors import PersistemError
from persistem.study import Recipe, Weight
from persistem.topology.diagrams import diagram_table
from persistem.topology.persistence_images import image_file, mesh_pixels, persistence_images, read_images

BOTH = ("superlevel", "sublevel")
WEIGHTS = [Weight(), Weight(form="atan", c=1e-4, p=2.0), Weight(form="none")]


def diagrams(rows: list[tuple[int, str, int, float, float]]) -> pa.Table:
    """A table of (crop, filtration, degree, birth, death)."""
    kinds = {
        "crop": pa.int32(),
        "filtration": pa.string(),
        "degree": pa.int8(),
        "birth": pa.float32(),
        "death": pa.float32(),
    }
    columns = zip(*rows, strict=True) if rows else ([] for _ in kinds)
    return pa.table({name: pa.array(c, kind) for c, (name, kind) in zip(columns, kinds.items(), strict=True)})


def one(recipe: Recipe, *pairs: tuple[float, float], filtration: str = "superlevel") -> np.ndarray:
    """The vector of degree 0 of one crop with these pairs."""
    return persistence_images(diagrams([(0, filtration, 0, *pair) for pair in pairs]), recipe, 1)[0, 0]


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (3, 32, 32), dtype=np.uint8)


def test_sigma_in_grey_levels_does_not_change_with_the_mesh():
    pair = (200, 60)
    for bins in (32, 64):
        in_levels = one(Recipe(bins=bins, sigma=8.0, sigma_unit="grey levels"), pair)
        assert np.array_equal(in_levels, one(Recipe(bins=bins, sigma=8.0 * bins / 256), pair))


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.5])
def test_one_pair_is_a_gaussian_about_its_bin_times_its_lifetime(sigma):
    # bins of 4 grey levels: 200 lies in the one about 201.5, and 60 in the one about 61.5
    image = one(Recipe(sigma=sigma), (200, 60))
    births, deaths = mesh_pixels(Recipe()).T
    distance = ((births - 201.5) ** 2 + (deaths - 61.5) ** 2) / 4**2  # bins²
    gaussian = 140 / (2 * np.pi * sigma**2) * np.exp(-distance / (2 * sigma**2))
    np.testing.assert_allclose(image, gaussian, rtol=0, atol=2e-3 * gaussian.max())
    assert image.sum() == pytest.approx(140, rel=1e-5)
    assert image.shape == (64 * 65 // 2,) and image.dtype == np.float32
    assert tuple(mesh_pixels(Recipe())[image.argmax()]) == (201.5, 61.5)


@pytest.mark.parametrize("lifetime", [24, 61, 139])
def test_weights_are_those_of_the_lifetime_in_grey_levels(lifetime):
    # with 256 bins every grey level is a bin's centre
    for weight, total in [
        (Weight(), lifetime),
        (Weight(form="atan", c=0.002, p=1.5), np.arctan(0.002 * lifetime**1.5)),
        (Weight(form="none"), 1),
    ]:
        recipe = Recipe(bins=256, weight=weight, sigma=2.0, filtrations=BOTH)
        assert one(recipe, (200, 200 - lifetime)).sum() == pytest.approx(total, rel=1e-5)
        assert one(recipe, (90, 90 + lifetime), filtration="sublevel").sum() == pytest.approx(total, rel=1e-5)


def test_linear_weight_scales_one_shape():
    # the same Gaussian at every place of the mesh, times the lifetime
    near, far = one(Recipe(), (160, 100)), one(Recipe(), (200, 60))
    np.testing.assert_allclose(far.max() / near.max(), 140 / 60, rtol=1e-5)
    assert one(Recipe(), (101, 100), (57, 56)).max() == 0  # bins on the diagonal


def test_images_add_up():
    a, b = [(200, 60), (180, 20)], [(200, 60), (111, 90), (250, 240)]
    for weight in WEIGHTS:
        recipe = Recipe(weight=weight)
        both = one(recipe, *a, *b)
        assert np.allclose(both, one(recipe, *a) + one(recipe, *b), rtol=1e-5, atol=1e-6) and both.max() > 0


def test_a_crop_without_pairs_is_zero_and_others_are_in_their_place():
    table = diagrams([(3, "superlevel", 1, 200, 60), (1, "superlevel", 0, 120, 30), (3, "superlevel", 1, 90, 30)])
    images = persistence_images(table, Recipe(), 5)
    assert images.shape == (5, 2, 2080)
    assert [tuple(k) for k in np.argwhere(images.any(axis=2))] == [(1, 0), (3, 1)]
    np.testing.assert_array_equal(images[3, 1], one(Recipe(), (200, 60), (90, 30)))
    np.testing.assert_array_equal(images[1, 0], one(Recipe(), (120, 30)))
    assert not persistence_images(diagrams([]), Recipe(filtrations=BOTH), 2).any()


def test_filtrations_follow_each_other_in_the_order_of_the_recipe(crops):
    table = diagram_table(crops, Recipe(filtrations=BOTH))
    single = {name: persistence_images(table, Recipe(filtrations=(name,)), 3) for name in BOTH}
    for order in (BOTH, BOTH[::-1]):
        images = persistence_images(table, Recipe(filtrations=order), 3)
        np.testing.assert_array_equal(images, np.concatenate([single[name] for name in order], axis=2))
        births, deaths = (
            mesh_pixels(Recipe(filtrations=order)).reshape(2, -1, 2).transpose(0, 2, 1)[order.index("sublevel")]
        )
        assert (births <= deaths).all()


def test_the_negative_image_has_the_mirrored_persistence_image(crops):
    above, below = (Recipe(filtrations=(name,), bins=50) for name in BOTH)
    images = persistence_images(diagram_table(crops, above), above, 3)
    negative = persistence_images(diagram_table(255 - crops, below), below, 3)
    here, there = np.lexsort(mesh_pixels(above).T), np.lexsort((255 - mesh_pixels(below)).T)
    np.testing.assert_allclose(mesh_pixels(above)[here], 255 - mesh_pixels(below)[there])
    np.testing.assert_allclose(images[..., here], negative[..., there], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("weight", WEIGHTS, ids=lambda w: w.form)
@pytest.mark.parametrize("filtration", BOTH)
def test_vectors_are_those_of_homclouds_interface(crops, filtration, weight):
    import homcloud.interface as hc

    recipe = Recipe(filtrations=(filtration,), bins=32, sigma=1.5, weight=weight)
    images = persistence_images(diagram_table(crops, recipe), recipe, len(crops))
    own = {"linear": ("linear", 1.0), "atan": ("atan", 1e-4, 2.0), "none": "none"}[weight.form]
    # 32 bins of 8 grey levels: HomCloud takes sigma in grey levels
    spec = hc.PIVectorizeSpec((-0.5, 255.5), 32, weight=own, sigma=1.5 * 8, superlevel=filtration == "superlevel")
    for crop, image in zip(crops, images, strict=True):
        diagram = hc.PDList.from_bitmap_levelset(crop, filtration, save_suppl_info=False)
        for degree in (0, 1):
            expected = spec.vectorize(diagram.dth_diagram(degree))
            np.testing.assert_allclose(image[degree], expected, rtol=1e-5, atol=1e-5 * expected.max())


@pytest.mark.parametrize("filtration", BOTH)
def test_mesh_pixels_are_where_homcloud_draws_a_vector(filtration):
    import homcloud.interface as hc

    recipe = Recipe(filtrations=(filtration,), bins=10)
    pixels = mesh_pixels(recipe)
    vector = np.arange(1.0, len(pixels) + 1)
    spec = hc.PIVectorizeSpec((-0.5, 255.5), 10, weight="none", sigma=1.0, superlevel=filtration == "superlevel")
    drawn = spec.histogram_from_vector(vector)
    column, row = ((pixels + 0.5) // 25.6).astype(int).T
    np.testing.assert_array_equal(drawn.values[row, column], vector)
    assert np.count_nonzero(drawn.values) == len(pixels) == 55


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((4, "superlevel", 0, 90, 30), "crops 0 to 4, but there are crops 0 to 3"),
        ((-1, "superlevel", 0, 90, 30), "crops -1 to 0"),
        ((0, "superlevel", 2, 90, 30), "degree 0 to 2"),
        ((0, "superlevel", 0, 30, 90), "born at 30 and dies at 90"),
        ((0, "superlevel", 0, 300, 90), "born at 300 and dies at 90"),
        ((0, "sublevel", 1, 90, 30), "a birth is below its death"),
        ((0, "sublevel", 1, -5, 30), "born at -5"),
        ((0, "sublevel", 1, 5, float("nan")), "dies at nan"),
    ],
)
def test_pairs_that_would_vanish_are_refused(row, message):
    with pytest.raises(PersistemError, match=message):
        persistence_images(diagrams([(0, "superlevel", 0, 90, 30), row]), Recipe(filtrations=BOTH), 4)


def test_files_hold_the_images_and_have_the_same_bytes_every_time(tmp_path, crops):
    recipe = Recipe(filtrations=BOTH, bins=16)
    table = diagram_table(crops, recipe)
    pq.write_table(table, tmp_path / "d.parquet")
    for name in ("a.parquet", "b.parquet"):
        image_file(tmp_path / "d.parquet", recipe, 4, tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    crop, degree, images = read_images(tmp_path / "a.parquet")
    assert crop.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] and degree.tolist() == [0, 1] * 4
    np.testing.assert_array_equal(images.reshape(4, 2, -1), persistence_images(table, recipe, 4))
    assert images.dtype == np.float32 and not images[6:].any()
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.types == [pa.int32(), pa.int8(), pa.list_(pa.float32(), 272)]


def test_files_that_cannot_be_used_are_refused(tmp_path, crops):
    path = tmp_path / "d.parquet"
    pq.write_table(diagram_table(crops, Recipe()), path)
    with pytest.raises(PersistemError, match=r"d\.parquet: it has pairs of crops 0 to 2"):
        image_file(path, Recipe(), 2, tmp_path / "i.parquet")
    assert not (tmp_path / "i.parquet").exists()
    with pytest.raises(PersistemError, match=r"d\.parquet: its columns are"):
        read_images(path)
    path.write_text("not Parquet")
    with pytest.raises(PersistemError, match="not a Parquet file of persistence images"):
        read_images(path)
    images = pa.FixedSizeListArray.from_arrays(pa.array([1.0, np.nan], pa.float32()), 2)
    pq.write_table(pa.table({"crop": [0], "degree": [0], "image": images}), path)
    with pytest.raises(PersistemError, match="not a finite"):
        read_images(path)


@pytest.mark.slow
def test_jobs_do_not_import_what_costs_more_than_their_work(tmp_path, crops):
    tifffile.imwrite(tmp_path / "c.tif", crops, imagej=True)
    job = f"""
import sys
from pathlib import Path
from persistem.imaging.crops import read_crops
from persistem.topology.diagrams import diagram_file, join
from persistem.topology.persistence_images import image_file, read_images
from persistem.study import Recipe
folder, recipe = Path({str(tmp_path)!r}), Recipe(positions=True)
diagram_file(folder / "c.tif", recipe, folder / "part.parquet")
join([folder / "part.parquet"], folder / "d.parquet")
image_file(folder / "d.parquet", recipe, 3, folder / "i.parquet")
assert read_images(folder / "i.parquet")[2].any()
print(*({{"pandas", "sklearn", "matplotlib", "pyvista", "homcloud.interface"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", job], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.split() == []


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
