"""Regions of pairs: exactly known ones, and agreement with OpenCV's components and HomCloud's trees."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from homcloud.pict.tree import construct_mergetrees
from persistem.errors import PersistemError
from persistem.topology.inverse import inverse_file, read_inverse, regions
from persistem.topology.pairs import crop_pairs
from scipy.ndimage import gaussian_filter

FILTRATIONS = ("superlevel", "sublevel")

#: Two islands, of which the left one (8) dies at 3 where it meets the right one (9).
ISLANDS = [
    [0, 0, 0, 0, 0, 0, 0],
    [0, 8, 5, 3, 6, 9, 0],
    [0, 7, 1, 0, 1, 7, 0],
    [0, 0, 0, 0, 0, 0, 2],
]
#: A ring that closes at 4, around three pixels of which two touch by a corner only; the last fills at 1.
RING = [
    [0, 0, 0, 0, 0],
    [9, 9, 9, 9, 0],
    [9, 2, 8, 9, 0],
    [9, 8, 1, 9, 0],
    [9, 9, 3, 4, 0],
    [9, 9, 9, 9, 0],
]


def smooth(size: int, seed: int, sigma: float = 3.0) -> np.ndarray:
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), sigma)
    return np.rint(255 * (field - field.min()) / np.ptp(field)).astype(np.uint8)


def found(crop: np.ndarray, filtration: str = "superlevel") -> dict[tuple[int, ...], set[tuple[int, ...]]]:
    """The pixels of each region, by the pair: degree, birth, death."""
    pairs = crop_pairs(crop, filtration)
    return {
        tuple(pair[:3].tolist()): {divmod(p, crop.shape[1]) for p in region.tolist()}
        for pair, region in zip(pairs, regions(crop, filtration, pairs), strict=True)
    }


@pytest.mark.parametrize("filtration", FILTRATIONS)
def test_the_region_of_an_island_is_what_is_connected_to_its_peak_before_it_dies(filtration: str) -> None:
    crop = np.array(ISLANDS, np.uint8)
    crop = crop if filtration == "superlevel" else 9 - crop
    level = (lambda v: v) if filtration == "superlevel" else (lambda v: 9 - v)
    of = found(crop, filtration)
    assert of[0, level(8), level(3)] == {(1, 1), (1, 2), (2, 1)}
    assert of[0, level(2), level(0)] == {(3, 6)}


@pytest.mark.parametrize("filtration", FILTRATIONS)
def test_the_region_of_a_ring_is_the_hole_that_it_encloses_when_it_closes(filtration: str) -> None:
    crop = np.array(RING, np.uint8)
    crop = crop if filtration == "superlevel" else 9 - crop
    level = (lambda v: v) if filtration == "superlevel" else (lambda v: 9 - v)
    of = {pair: region for pair, region in found(crop, filtration).items() if pair[0] == 1}
    assert of == {(1, level(4), level(1)): {(2, 1), (3, 2), (4, 2)}}


def test_pixels_of_the_grey_level_of_death_belong_to_no_island_and_of_birth_to_no_hole() -> None:
    plateau = np.array([[9, 5, 5, 5, 7]], np.uint8)
    assert found(plateau)[0, 7, 5] == {(0, 4)}
    pit = np.full((5, 5), 6, np.uint8)
    pit[2, 2] = 1
    assert found(pit)[1, 6, 1] == {(2, 2)}


@pytest.mark.parametrize("filtration", FILTRATIONS)
def test_every_region_is_the_component_that_opencv_finds(filtration: str) -> None:
    crop = smooth(64, 1)
    pairs = crop_pairs(crop, filtration)
    early = crop.astype(int) if filtration == "superlevel" else -crop.astype(int)
    assert {0, 1} == set(pairs[:, 0].tolist())
    for (degree, birth, death, *corners), region in zip(pairs.tolist(), regions(crop, filtration, pairs), strict=True):
        level = (death if degree == 0 else birth) * (1 if filtration == "superlevel" else -1)
        mask = early > level if degree == 0 else early < level
        _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4 if degree == 0 else 8)
        seed = tuple(corners[:2] if degree == 0 else corners[2:])
        assert mask[seed]
        assert np.array_equal(region, np.flatnonzero(labels.ravel() == labels[seed]))
        # the pair's own pixel is the first of an island and the last of a hole
        values = early.ravel()[region]
        assert early[seed] == (values.max() if degree == 0 else values.min())
        rows, columns = np.divmod(region, crop.shape[1])
        if degree == 1:  # a hole cannot reach the edge
            assert min(rows.min(), columns.min()) > 0
            assert max(rows.max(), columns.max()) < crop.shape[0] - 1


@pytest.mark.parametrize("filtration", FILTRATIONS)
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_without_equal_grey_levels_regions_are_the_volumes_of_homclouds_trees(filtration: str, seed: int) -> None:
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(16, 16)), 0.8)
    crop = field.ravel().argsort().argsort().astype(np.uint8).reshape(16, 16)  # every grey level once
    volumes = {}
    for tree in construct_mergetrees(crop.astype(float), filtration == "superlevel"):
        for n in range(tree.num_nodes()):
            # the nodes of HomCloud's diagrams
            if tree.node_is_on_boundary(n) or tree.node_is_trivial(n) or tree.node_is_essential(n):
                continue
            corners = (*tree.node_birth_pixel(n), *tree.node_death_pixel(n))
            volumes[tree.degree(), *corners] = {tuple(pixel) for pixel in tree.node_volume(n)}
    pairs = crop_pairs(crop, filtration)
    assert {(degree, *corners) for degree, _, _, *corners in pairs.tolist()} == set(volumes)
    for (degree, _, _, *corners), region in zip(pairs.tolist(), regions(crop, filtration, pairs), strict=True):
        joins = tuple(corners[2:] if degree == 0 else corners[:2])  # HomCloud may count the pixel that joins
        assert volumes[degree, *corners] - {joins} == {divmod(pixel, 16) for pixel in region.tolist()}


def test_sublevel_is_superlevel_of_the_negative() -> None:
    crop = smooth(32, 5)
    bright, dark = found(crop, "superlevel"), found(255 - crop, "sublevel")
    assert bright
    assert {(k, 255 - b, 255 - d): region for (k, b, d), region in dark.items()} == bright


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    stack = np.stack([smooth(32, 6), smooth(32, 7), np.full((32, 32), 9, np.uint8)])
    tifffile.imwrite(tmp_path / "crops.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    return tmp_path / "crops.tif"


def settings(index: int, *filtrations: str) -> dict:
    return {"crops": "crops.tif", "index": index, "filtrations": list(filtrations or FILTRATIONS)}


def test_the_file_holds_every_pair_of_the_diagram_with_its_pixels(crops: Path, tmp_path: Path) -> None:
    inverse_file(settings(1), tmp_path, tmp_path / "inverse.parquet")
    rows = read_inverse(tmp_path / "inverse.parquet").to_pylist()
    crop = tifffile.imread(crops)[1]
    expected = [(name, *pair) for name in FILTRATIONS for pair in crop_pairs(crop, name).tolist()]
    assert [tuple(list(row.values())[:-1]) for row in rows] == expected
    flat = crop.ravel()
    for row in rows:
        seed = ("birth", "death")[row["degree"]]
        assert row[f"{seed}_row"] * 32 + row[f"{seed}_column"] in row["pixels"]
        values = flat[row["pixels"]]
        bright = row["filtration"] == "superlevel"
        if row["degree"] == 0:
            assert (values > row["death"]).all() if bright else (values < row["death"]).all()
        else:
            assert (values < row["birth"]).all() if bright else (values > row["birth"]).all()


def test_a_crop_without_contrast_has_no_rows(crops: Path, tmp_path: Path) -> None:
    inverse_file(settings(2), tmp_path, tmp_path / "inverse.parquet")
    assert read_inverse(tmp_path / "inverse.parquet").num_rows == 0


@pytest.mark.parametrize("index", [3, -1])
def test_a_crop_that_is_not_there_is_refused(crops: Path, tmp_path: Path, index: int) -> None:
    with pytest.raises(PersistemError, match=r"crops\.tif: crop -?\d+ was asked for, but it holds crops 0 to 2"):
        inverse_file(settings(index), tmp_path, tmp_path / "inverse.parquet")
    assert not (tmp_path / "inverse.parquet").exists()


def test_another_file_is_refused(crops: Path, tmp_path: Path) -> None:
    from persistem.topology.diagrams import diagram_file

    with pytest.raises(PersistemError, match="not a Parquet file"):
        read_inverse(crops)
    recipe = type("Recipe", (), {"filtrations": ("superlevel",), "positions": False})
    diagram_file(crops, recipe, tmp_path / "diagrams.parquet")
    with pytest.raises(PersistemError, match="its columns are"):
        read_inverse(tmp_path / "diagrams.parquet")
