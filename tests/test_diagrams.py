"""Diagrams: known pairs, symmetries, three independent libraries, and files that do not depend on batches."""

from __future__ import annotations

from pathlib import Path

import cripser
import gudhi
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
from persistem.errors import PersistemError
from persistem.study import Recipe
from persistem.topology.diagrams import diagram_file, diagram_table, join, read_diagrams

BOTH = ("superlevel", "sublevel")


def pairs(image, filtration: str = "superlevel") -> list[tuple[int, int, int]]:
    """(degree, birth, death) of one image, sorted."""
    table = diagram_table(np.array(image, dtype=np.uint8)[None], Recipe(filtrations=(filtration,)))
    return [
        tuple(map(int, row)) for row in zip(*(table[c].to_numpy() for c in ("degree", "birth", "death")), strict=True)
    ]


def random_crops(n: int = 6, size: int = 24, seed: int = 3) -> np.ndarray:
    """Noise and smooth images by turns, each with many equal grey levels."""
    rng = np.random.default_rng(seed)
    crops = rng.integers(0, 256, (n, size, size))
    crops[::2] = np.cumsum(np.cumsum(rng.normal(size=(len(crops[::2]), size, size)), 1), 2) * 6 % 256
    return crops.astype(np.uint8)


def test_of_two_islands_that_meet_the_younger_dies():
    # the first lives on; the second, born at 150, dies at the saddle between them
    assert pairs([[0, 200, 90, 150, 0]]) == [(0, 150, 90)]
    assert pairs([[0, 200, 90, 150, 60, 170, 0]]) == [(0, 150, 90), (0, 170, 60)]


def test_a_ring_is_born_when_it_closes_and_dies_when_it_is_filled():
    ring = np.full((5, 5), 10)
    ring[1:4, 1:4] = 200
    ring[1, 2] = 120  # where it closes last
    ring[2, 2] = 30
    assert pairs(ring) == [(1, 120, 30)]


def test_pixels_that_share_a_corner_only_are_not_connected():
    checkers = [[200, 10, 10], [10, 180, 10], [10, 10, 160]]
    assert pairs(checkers) == [(0, 160, 10), (0, 180, 10)]
    # a diamond of bright pixels is no ring
    assert [p for p in pairs([[9, 99, 9], [99, 5, 99], [9, 99, 9]]) if p[0] == 1] == [(1, 9, 5)]


def test_sublevel_follows_dark_islands():
    assert pairs([[255, 50, 160, 100, 255]], "sublevel") == [(0, 100, 160)]
    ring = np.full((5, 5), 250)
    ring[1:4, 1:4] = 20
    ring[2, 2] = 90
    assert pairs(ring, "sublevel") == [(1, 20, 90)]


def test_superlevel_of_an_image_is_sublevel_of_its_negative():
    for crop in random_crops():
        mirrored = sorted((degree, 255 - birth, 255 - death) for degree, birth, death in pairs(255 - crop, "sublevel"))
        assert mirrored == pairs(crop, "superlevel")


def test_diagrams_do_not_see_rotations_reflections_and_brightness():
    for crop in random_crops(2) // 2:
        assert pairs(crop) == pairs(crop[::-1].T) == pairs(np.rot90(crop))
        assert pairs(crop + 100) == [(degree, birth + 100, death + 100) for degree, birth, death in pairs(crop)]


def test_no_pairs_of_zero_persistence_and_none_that_never_die():
    constant = np.full((2, 16, 16), 77, dtype=np.uint8)
    assert diagram_table(constant, Recipe(filtrations=BOTH, positions=True)).num_rows == 0
    plateau = np.full((9, 9), 50)
    plateau[4, 4] = 60
    assert pairs(plateau) == []
    for crop in random_crops():
        assert all(birth > death for _, birth, death in pairs(crop))
        assert (0, int(crop.max()), int(crop.min())) not in pairs(crop)


@pytest.mark.parametrize("filtration", BOTH)
def test_cubical_ripser_finds_the_same_pairs(filtration):
    sign = -1 if filtration == "superlevel" else 1
    for crop in random_crops():
        found = cripser.computePH(sign * crop.astype(float), maxdim=1)[:, :3]
        found = found[(found[:, 2] < 1e4) & (found[:, 1] != found[:, 2])]  # not the island that never dies
        assert sorted((int(d), int(sign * b), int(sign * e)) for d, b, e in found) == pairs(crop, filtration)


@pytest.mark.parametrize("filtration", BOTH)
def test_gudhi_finds_the_same_pairs(filtration):
    sign = -1 if filtration == "superlevel" else 1
    for crop in random_crops():
        found = gudhi.CubicalComplex(vertices=sign * crop.astype(float)).persistence()
        expected = sorted((d, int(sign * b), int(sign * e)) for d, (b, e) in found if np.isfinite(e) and b != e)
        assert expected == pairs(crop, filtration)


def test_homclouds_interface_finds_the_same_pairs_and_positions():
    import homcloud.interface as hc

    crops = random_crops(2)
    recipe = Recipe(filtrations=BOTH, positions=True)
    expected = []
    for k, crop in enumerate(crops):
        for filtration in BOTH:
            diagrams = hc.PDList.from_bitmap_levelset(crop, filtration)
            for degree in (0, 1):
                diagram = diagrams.dth_diagram(degree)
                rows = zip(*diagram.birth_death_times(), diagram.birth_positions, diagram.death_positions, strict=True)
                expected += sorted((k, filtration, degree, b, d, *born, *died) for b, d, born, died in rows)
    assert [tuple(row.values()) for row in diagram_table(crops, recipe).to_pylist()] == expected


def test_positions_are_pixels_of_the_grey_level():
    crops = random_crops()
    table = diagram_table(crops, Recipe(filtrations=BOTH, positions=True), first=10)
    column = {name: table[name].to_numpy() for name in table.column_names if name != "filtration"}
    for event in ("birth", "death"):
        levels = crops[column["crop"] - 10, column[f"{event}_row"], column[f"{event}_column"]]
        np.testing.assert_array_equal(levels, column[event])
    assert table.drop_columns(["birth_row", "birth_column", "death_row", "death_column"]).equals(
        diagram_table(crops, Recipe(filtrations=BOTH), first=10)
    )


def test_rows_are_in_the_order_of_crop_filtration_degree_birth_and_death():
    table = diagram_table(random_crops(), Recipe(filtrations=BOTH), first=4)
    rows = [
        (row["crop"], BOTH.index(row["filtration"]), row["degree"], row["birth"], row["death"])
        for row in table.to_pylist()
    ]
    assert rows == sorted(rows)
    assert {row[0] for row in rows} == set(range(4, 10)) and {row[1] for row in rows} == {0, 1}


def test_only_stacks_of_8_bit_crops_are_taken():
    for crops in (
        np.zeros((8, 8), np.uint8),
        np.zeros((0, 8, 8), np.uint8),
        np.zeros((1, 8, 8)),
        np.zeros((1, 8, 8), np.uint16),
    ):
        with pytest.raises(PersistemError, match="uint8"):
            diagram_table(crops, Recipe())


@pytest.fixture
def stack(tmp_path) -> Path:
    """Seven crops, of which the third and the last have no pairs."""
    crops = random_crops(7)
    crops[[2, 6]] = 128
    tifffile.imwrite(tmp_path / "crops.tif", crops, imagej=True)
    return tmp_path / "crops.tif"


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 7])
def test_diagrams_joined_from_batches_are_the_bytes_of_one_go(tmp_path, stack, batch, positions):
    recipe = Recipe(filtrations=BOTH, positions=positions)
    diagram_file(stack, recipe, tmp_path / "all.parquet")
    parts = []
    for first in range(0, 7, batch):
        parts.append(tmp_path / f"{first}.parquet")
        diagram_file(stack, recipe, parts[-1], first, min(first + batch, 7))
    join(parts, tmp_path / "joined.parquet")
    assert (tmp_path / "joined.parquet").read_bytes() == (tmp_path / "all.parquet").read_bytes()
    assert pq.ParquetFile(tmp_path / "all.parquet").num_row_groups == 1
    assert set(read_diagrams(tmp_path / "all.parquet")["crop"].to_pylist()) == {0, 1, 3, 4, 5}


def test_a_micrograph_without_contrast_has_an_empty_diagram(tmp_path):
    tifffile.imwrite(tmp_path / "c.tif", np.full((2, 8, 8), 9, np.uint8), imagej=True)
    diagram_file(tmp_path / "c.tif", Recipe(), tmp_path / "d.parquet")
    assert read_diagrams(tmp_path / "d.parquet").num_rows == 0
    join([tmp_path / "d.parquet"], tmp_path / "joined.parquet")
    assert (tmp_path / "joined.parquet").read_bytes() == (tmp_path / "d.parquet").read_bytes()


@pytest.mark.parametrize(("first", "last"), [(-1, 3), (0, 8), (3, 3), (5, 2)])
def test_crops_that_a_file_does_not_hold_are_refused(tmp_path, stack, first, last):
    with pytest.raises(PersistemError, match="it holds crops 0 to 7"):
        diagram_file(stack, Recipe(), tmp_path / "d.parquet", first, last)
    assert not (tmp_path / "d.parquet").exists()


def test_parts_are_joined_once_in_order_and_alike(tmp_path, stack):
    a, b, c = (tmp_path / f"{name}.parquet" for name in "abc")
    diagram_file(stack, Recipe(), a, 0, 4)
    diagram_file(stack, Recipe(), b, 3, 7)
    diagram_file(stack, Recipe(positions=True), c, 4, 7)
    whole, last = tmp_path / "whole.parquet", tmp_path / "last.parquet"
    diagram_file(stack, Recipe(), whole)
    diagram_file(stack, Recipe(), last, 6, 7)  # crop 6 has no pairs
    for parts, message in [
        ([a, b], "begins with crop 3 where 4 is next"),
        ([b, a], "in order"),
        ([a], r"a\.parquet: ends before crop 4, but the micrograph has crops 0 to 7"),
        ([a, last], "begins with crop 6 where 4 is next"),
        ([a, whole], "no batch"),
        ([a, c], "differ"),
        ([], "no dia"),
    ]:
        with pytest.raises(PersistemError, match=message):
            join(parts, tmp_path / "joined.parquet")


def test_files_that_are_not_diagrams_are_refused(tmp_path, stack):
    path = tmp_path / "d.parquet"
    path.write_text("not Parquet")
    with pytest.raises(PersistemError, match=r"d\.parquet: not a Parquet file"):
        read_diagrams(path)
    with pytest.raises(PersistemError, match=r"none\.parquet"):
        read_diagrams(tmp_path / "none.parquet")
    diagram_file(stack, Recipe(), path)
    table = read_diagrams(path)
    pq.write_table(table.drop_columns(["death"]), path)
    with pytest.raises(PersistemError, match=r"its columns are \['crop', 'filtration', 'degree', 'birth'\]"):
        read_diagrams(path)
    for value, message in [(np.nan, "a death is not a finite"), (np.inf, "a death is not a finite"), (None, "missing")]:
        deaths = pa.array([value, *table["death"].to_pylist()[1:]], pa.float32())
        pq.write_table(table.set_column(4, "death", deaths), path)
        with pytest.raises(PersistemError, match=message):
            read_diagrams(path)
