"""3D diagrams and optimal volumes: known values, GUDHI, HomCloud's own periodicity, and the paper's peaks."""

from __future__ import annotations

import json
import math

import gudhi
import numpy as np
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.build import bulk
from persistem.errors import PersistemError
from persistem.specimens.structures import write_structure
from persistem.topology.diagrams_3d import (
    COLUMNS,
    diagram_3d_file,
    read_diagram_3d,
    read_pairs_3d,
    slab_atoms,
    volume_of,
)
from persistem.topology.optimal_volumes import choose_region, in_region, optimal_volumes_file, volumes_of

RADII = {"Ga": 1.25, "N": 0.7}
TOLERANCE = 1e-3  # Å²; noise of 1e-5 Å


def written(path, atoms):
    write_structure(path, atoms)
    return path


def isolated(path, positions, elements, side=60.0):
    """A few atoms in the middle of a large cell."""
    return written(path, Atoms(elements, np.array(positions) + side / 2, cell=[side] * 3, pbc=True))


def liquid(path, lengths=(15.0, 15.0, 14.0), number=170, seed=1, shift=(0.0, 0.0, 0.0)):
    """Random atoms that keep 1.6 Å apart, in an orthorhombic cell."""
    rng = np.random.default_rng(seed)
    found, lengths = [], np.array(lengths)
    while len(found) < number:
        trial = rng.uniform(0, lengths)
        apart = np.array([trial - other for other in found]).reshape(-1, 3)
        apart -= lengths * np.round(apart / lengths)
        if not len(found) or np.linalg.norm(apart, axis=1).min() > 1.6:
            found.append(trial)
    elements = np.where(np.arange(number) % 2, "N", "Ga")
    return written(path, Atoms(list(elements), (np.array(found) + shift) % lengths, cell=lengths, pbc=True))


def diagram(structure, side, periodic=False, radii=RADII):
    out = structure.with_suffix(f".{'periodic' if periodic else 'open'}.pdgm")
    diagram_3d_file(structure, radii, side, periodic, out)
    return read_diagram_3d(out.with_suffix(".parquet"))


def pairs(found, degree):
    chosen = found["degree"] == degree
    return np.column_stack([found["birth"], found["death"]])[chosen]


def longlived(found, degree, lifetime=0.01):
    of = pairs(found, degree)
    return of[of[:, 1] - of[:, 0] > lifetime]


def unmatched(a, b, tolerance=TOLERANCE):
    """How many rows of two lists of pairs have no partner in the other."""
    near = (np.abs(a[:, None] - b[None]) < tolerance).all(axis=2)
    return int((~near.any(axis=1)).sum() + (~near.any(axis=0)).sum())


@pytest.fixture(scope="module")
def random_liquid(tmp_path_factory):
    return liquid(tmp_path_factory.mktemp("liquid") / "structure.extxyz")


def test_regular_tetrahedron(tmp_path):
    a, r = 3.0, 1.25
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * a / math.sqrt(8)
    found = diagram(isolated(tmp_path / "s.extxyz", corners, ["Ga"] * 4), (20.0, 20.0))
    # squared radii of the circumscribed circles of edge, triangle and tetrahedron, less the weight
    edge, triangle, all_four = a**2 / 4 - r**2, a**2 / 3 - r**2, 3 * a**2 / 8 - r**2
    assert longlived(found, 0) == pytest.approx(np.array([[-(r**2), edge]] * 3), abs=TOLERANCE)
    assert longlived(found, 1) == pytest.approx(np.array([[edge, triangle]] * 3), abs=TOLERANCE)
    assert longlived(found, 2) == pytest.approx(np.array([[triangle, all_four]]), abs=TOLERANCE)


def test_balls_of_two_elements_meet_where_their_powers_are_equal(tmp_path):
    d, big, small = 2.3, 1.25, 0.7
    far = [[0, 0, 0], [d, 0, 0], [0, 15, 0], [0, 0, 15]]
    found = diagram(isolated(tmp_path / "s.extxyz", far, ["Ga", "N", "Ga", "Ga"]), (40.0, 40.0))
    x = (d**2 + big**2 - small**2) / (2 * d)
    # the younger is the one with the smaller radius; the level is the power of the point where they meet
    assert pairs(found, 0)[-1] == pytest.approx([-(small**2), x**2 - big**2], abs=TOLERANCE)


def test_at_the_sum_of_radii_bonds_form_at_level_zero(tmp_path):
    far = [[0, 0, 0], [RADII["Ga"] + RADII["N"], 0, 0], [0, 15, 0], [0, 0, 15]]
    found = diagram(isolated(tmp_path / "s.extxyz", far, ["Ga", "N", "Ga", "Ga"]), (40.0, 40.0))
    assert pairs(found, 0)[-1][1] == pytest.approx(0, abs=TOLERANCE)


def test_gudhi_agrees(random_liquid):
    side = (14.0, 13.0)
    points, _ = slab_atoms(random_liquid, RADII, side, False)
    tree = gudhi.AlphaComplex(points=points[:, :3], weights=points[:, 3]).create_simplex_tree()
    theirs = tree.persistence(homology_coeff_field=2, min_persistence=0)
    ours = diagram(random_liquid, side)
    for degree in range(3):
        expected = np.array([p for d, p in theirs if d == degree and math.isfinite(p[1])])
        expected = expected[expected[:, 1] - expected[:, 0] > 1e-4]
        mine = longlived(ours, degree, 1e-4)
        assert len(mine) > 50
        assert len(mine) == len(expected)
        assert unmatched(mine, expected, 2e-6) == 0


def test_surrounded_slab_agrees_with_homclouds_periodicity(random_liquid):
    side = (15.0, 14.0)
    points, _ = slab_atoms(random_liquid, RADII, side, False)
    from homcloud.alpha_filtration import AlphaFiltration

    torus = AlphaFiltration.create(points, 3, True, [(0, 15), (0, 15), (0, 14)], True)
    found, _ = torus.compute_birth_death_pairs(None)
    level = torus.index_to_level
    surrounded, opened = diagram(random_liquid, side, periodic=True), diagram(random_liquid, side)
    for degree in (1, 2):
        whole = np.array([(level[b], level[d]) for k, b, d in found if k == degree and d is not None])
        whole = whole[whole[:, 1] - whole[:, 0] > 0.01]
        # rings and cavities of the torus itself take the place of at most three pairs each
        assert unmatched(longlived(surrounded, degree), whole) <= 6
        assert unmatched(longlived(opened, degree), whole) > 0.2 * len(whole)


@pytest.mark.slow
def test_without_a_surface_the_origin_of_the_cell_does_not_matter(tmp_path, random_liquid):
    moved = liquid(tmp_path / "moved.extxyz", shift=(4.1, 7.7, 2.3))
    a, b = (longlived(diagram(path, (15.0, 14.0), periodic=True), 1) for path in (random_liquid, moved))
    assert unmatched(a, b) < 0.02 * len(a)


@pytest.mark.slow
def test_the_papers_surface_peaks_vanish_without_a_surface(tmp_path):
    crystal = bulk("GaN", "wurtzite", a=3.19, c=5.189, orthorhombic=True).repeat((7, 4, 4))
    crystal.rattle(0.04, seed=2)
    path = written(tmp_path / "s.extxyz", crystal)
    opened, surrounded = (pairs(diagram(path, (17.0, 17.0), periodic), 1) for periodic in (False, True))
    for peak in ((1.0, 1.7), (2.0, 2.4)):
        near = [int((np.abs(of - peak) <= 0.25).all(axis=1).sum()) for of in (opened, surrounded)]
        assert near[0] > 10
        assert near[1] == 0
    # which peaks there are depends on the planes that the faces cut; the rings of six of the crystal itself are in both
    assert all(in_region(of, [[-0.2, 0.3], [1.4, 2.0]]).sum() > 300 for of in (opened, surrounded))


def test_perfect_crystal_and_same_results_each_time(tmp_path):
    path = written(tmp_path / "s.extxyz", bulk("GaN", "wurtzite", a=3.19, c=5.189, orthorhombic=True).repeat((5, 3, 3)))
    first, again = diagram(path, (12.0, 12.0)), diagram(path, (12.0, 12.0))
    assert all(np.array_equal(first[name], again[name]) for name in COLUMNS)
    # all bonds are between 1.948 and 1.959 Å long, so the rings are born about level 0
    rings = longlived(first, 1, 1.0)
    assert len(rings) > 50
    assert np.abs(np.median(rings[:, 0])) < 0.05


def test_pairs_lie_in_the_slab(random_liquid):
    found = diagram(random_liquid, (12.0, 10.0), periodic=True)
    xyz = np.column_stack([found["x"], found["y"], found["z"]])
    assert (xyz >= 0).all()
    assert (xyz < [12, 12, 10]).all()
    assert (xyz.max(axis=0) > [10, 10, 8]).all()


def test_structures_that_cannot_be_used(tmp_path, random_liquid):
    out = tmp_path / "out.pdgm"
    with pytest.raises(PersistemError, match=r"no radius for N; material\.radii has Ga"):
        diagram_3d_file(random_liquid, {"Ga": 1.25}, (10.0, 10.0), False, out)
    with pytest.raises(PersistemError, match=r"twice, shifted by .*smaller imaging\.field"):
        diagram_3d_file(random_liquid, RADII, (10.0, 14.5), True, out)
    few = isolated(tmp_path / "few.extxyz", [[0, 0, 0], [2, 0, 0], [0, 2, 0]], ["Ga"] * 3)
    with pytest.raises(PersistemError, match="3 atoms in the slab"):
        diagram_3d_file(few, RADII, (10.0, 10.0), False, out)
    assert not out.exists()
    assert not out.with_suffix(".parquet").exists()


def test_damaged_tables_are_refused(tmp_path, random_liquid):
    diagram(random_liquid, (10.0, 10.0))
    table = pq.read_table(random_liquid.with_suffix(".open.parquet"))
    path = tmp_path / "t.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(PersistemError, match="not a Parquet file"):
        read_diagram_3d(path)
    pq.write_table(table.drop_columns(["x"]), path)
    with pytest.raises(PersistemError, match="its columns are"):
        read_diagram_3d(path)
    for name, value, reason in (("death", np.nan, "death is not finite"), ("death", -99.0, "dies before its birth")):
        column = table[name].to_numpy().copy()
        column[3] = value
        pq.write_table(table.set_column(table.column_names.index(name), name, [column]), path)
        with pytest.raises(PersistemError, match=reason):
            read_diagram_3d(path)


def test_pairs_of_one_degree_and_the_slabs_volume(random_liquid):
    table = diagram(random_liquid, (10.0, 12.0))
    path = random_liquid.with_suffix(".open.parquet")
    for degree in range(3):
        found = read_pairs_3d(path, degree)
        assert found.shape == ((table["degree"] == degree).sum(), 2)
        assert np.array_equal(found, pairs(table, degree))
    assert volume_of((10.0, 12.0)) == pytest.approx(1.2)


# Optimal volumes

RING = [[4 * math.cos(t), 4 * math.sin(t), 0.3 * (-1) ** i] for i, t in enumerate(np.arange(8) * math.pi / 4)]
AWAY = [[0, 0, 12], [2.2, 0, 12], [0, 2.2, 12], [0.7, 0.7, 14]]
SIDE = 40.0
ALL = [[-50.0, 50.0], [-50.0, 50.0]]
LOW, HIGH = np.zeros(3), np.full(3, SIDE)


def test_optimal_volume_of_a_ring_is_the_ring(tmp_path):
    path = isolated(tmp_path / "s.extxyz", RING + AWAY, ["Ga", "N"] * 4 + ["Ga"] * 4)
    found = pairs(diagram(path, (SIDE, SIDE)), 1)
    longest = found[(found[:, 1] - found[:, 0]).argmax()]
    region = [[longest[0] - 0.1, longest[0] + 0.1], [longest[1] - 0.1, longest[1] + 0.1]]
    number, volumes = volumes_of(path.with_suffix(".open.pdgm"), 1, region, LOW, HIGH)
    assert number == 1
    (volume,) = volumes
    for kind in ("optimal", "stable"):
        ring = volume[kind]
        points = np.array(ring["points"])
        expected = np.array(RING) + SIDE / 2
        distance = np.linalg.norm(points[:, None] - expected[None], axis=2)
        assert sorted(distance.argmin(axis=1)) == list(range(8))
        assert distance.min(axis=1).max() < 1e-3
        assert sorted(ring["elements"]) == ["Ga"] * 4 + ["N"] * 4
        # a closed loop through neighbours, filled by a disc of triangles
        assert sorted(np.array(ring["edges"]).ravel()) == sorted([*range(8)] * 2)
        bonds = [ring["elements"][a] + ring["elements"][b] for a, b in ring["edges"]]
        assert set(bonds) <= {"GaN", "NGa"}
        assert len(ring["faces"]) == 6


@pytest.mark.slow
def test_volumes_are_those_of_homclouds_pairs(random_liquid):
    import homcloud.interface as hc

    diagram(random_liquid, (15.0, 14.0))
    path = random_liquid.with_suffix(".open.pdgm")
    persistence = hc.PDList(str(path)).dth_diagram(1)
    chosen = sorted(persistence.pairs(), key=hc.Pair.lifetime)[-3:]
    for pair in chosen:
        at = [[t - 2e-6, t + 2e-6] for t in pair]
        number, volumes = volumes_of(path, 1, at, LOW - 1, HIGH)
        assert number == 1
        ours = next(iter(volumes))
        band = 0.1 * pair.lifetime()
        theirs = {"optimal": pair.optimal_volume(cutoff_radius=6), "stable": pair.stable_volume(band, cutoff_radius=6)}
        for kind, volume in theirs.items():
            edges = {tuple(sorted(map(tuple, np.round(edge, 5)))) for edge in volume.boundary()}
            points = [tuple(point) for point in ours[kind]["points"]]
            assert {tuple(sorted((points[a], points[b]))) for a, b in ours[kind]["edges"]} == edges


def test_hull_of_a_cavity_encloses_it(tmp_path):
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * 3.0
    path = isolated(tmp_path / "s.extxyz", corners, ["Ga"] * 8)
    found = pairs(diagram(path, (SIDE, SIDE)), 2)
    longest = found[(found[:, 1] - found[:, 0]).argmax()]
    assert longest[1] == pytest.approx(27 / 4 - 1.25**2, abs=0.01)
    _, volumes = volumes_of(path.with_suffix(".open.pdgm"), 2, [[t - 2e-6, t + 2e-6] for t in longest], LOW, HIGH)
    hull = next(iter(volumes))["optimal"]
    assert len(hull["points"]) == 8
    # Euler: a closed surface of triangles without handles
    assert len(hull["points"]) - len(hull["edges"]) + len(hull["faces"]) == 2


def cloud(number, centre, spread, seed):
    rng = np.random.default_rng(seed)
    births, deaths = rng.normal(centre, spread, (number, 2)).T
    return np.column_stack([births, np.maximum(deaths, births + 0.01)])


def test_region_is_around_the_peak():
    # most pairs are near the diagonal, where they count little
    noise, peak = cloud(3000, (1.0, 1.1), 0.1, 0), cloud(800, (0.1, 1.8), 0.05, 1)
    region, reason = choose_region(np.concatenate([noise, peak]))
    assert reason is None
    (b0, b1), (d0, d1) = region
    assert b0 < 0.1 < b1
    assert d0 < 1.8 < d1
    # half of the maximum of the smoothed peak: 1.18 standard deviations, sqrt(0.05² + 0.1²), on both sides
    assert b1 - b0 == pytest.approx(2 * 1.18 * 0.112, abs=0.06)
    assert in_region(peak, region).mean() > 0.9


def test_no_region_says_why():
    assert choose_region(np.empty((0, 2))) == (None, "the first state's diagram has no pairs")


def records(tmp_path, states=("dense", "thin")):
    found = []
    for state, number in zip(states, (170, 90), strict=False):
        path = liquid(tmp_path / f"{state}.extxyz", number=number)
        diagram(path, (14.0, 13.0))
        specimen = {"specimen": state, "state": state, "seed": 1, "temperature": None, "rt": False}
        found.append(specimen | {"pdgm": f"{state}.open.pdgm", "parquet": f"{state}.open.parquet"})
    return found


@pytest.mark.slow
def test_counts_and_volumes_of_a_study(tmp_path):
    settings = {"diagrams": records(tmp_path), "states": ["dense", "thin"], "region": None, "degree": 1, "cube": 10.0}
    settings |= {"field": 14.0, "thickness": 13.0, "most": 3}
    optimal_volumes_file(settings, tmp_path, tmp_path / "volumes.json")
    found = json.loads((tmp_path / "volumes.json").read_text())
    assert found["chosen"] == "automatic"
    assert (found["around"]["specimen"], found["around"]["seed"]) == ("dense", 1)
    for record, count in zip(settings["diagrams"], found["counts"], strict=True):
        table = read_diagram_3d(tmp_path / record["parquet"])
        (b0, b1), (d0, d1) = found["region"]
        birth, death = table["birth"], table["death"]
        inside = (table["degree"] == 1) & (birth >= b0) & (birth <= b1) & (death >= d0) & (death <= d1)
        assert count["pairs"] == inside.sum()
        assert count["per_nm3"] == pytest.approx(inside.sum() / (1.4 * 1.4 * 1.3))
    drawn = {entry["specimen"]: entry for entry in found["drawn"]}
    assert drawn["dense"]["volumes"] == 3
    assert drawn["thin"]["volumes"] <= drawn["thin"]["pairs"]
    for name, entry in drawn.items():
        assert [v["specimen"] for v in found["volumes"]].count(name) == entry["volumes"]
    # the pairs of volumes are those of the table to the last digit, which varies in HomCloud's file
    of = {record["specimen"]: read_diagram_3d(tmp_path / record["parquet"]) for record in settings["diagrams"]}
    for volume in found["volumes"]:
        table = of[volume["specimen"]]
        assert ((table["birth"] == volume["birth"]) & (table["death"] == volume["death"])).sum() == 1
    # a region of one's own
    own = settings | {"region": [[0.0, 1.0], [1.5, 3.0]]}
    optimal_volumes_file(own, tmp_path, tmp_path / "own.json")
    found = json.loads((tmp_path / "own.json").read_text())
    assert (found["region"], found["chosen"], found["around"]) == ([[0.0, 1.0], [1.5, 3.0]], "given", None)
    assert all(0 <= v["birth"] <= 1 and 1.5 <= v["death"] <= 3 for v in found["volumes"])


def test_only_the_first_diagram_of_the_first_state_chooses_the_region(tmp_path):
    chosen, thin = records(tmp_path)
    another = thin | {"specimen": "other", "state": "dense", "seed": 2}
    settings = {"states": ["dense", "thin"], "region": None, "degree": 1, "cube": 10.0}
    settings |= {"field": 14.0, "thickness": 13.0, "most": 1}
    found = []
    for diagrams in ([chosen, thin], [thin, chosen, another], [chosen]):
        optimal_volumes_file(settings | {"diagrams": diagrams}, tmp_path, tmp_path / "volumes.json")
        found.append(json.loads((tmp_path / "volumes.json").read_text()))
        assert found[-1]["around"]["specimen"] == "dense"
        assert found[-1]["region"] == found[0]["region"]
        assert len(found[-1]["counts"]) == len(diagrams)
    assert [entry["specimen"] for entry in found[2]["drawn"]] == ["dense"]


def test_a_missing_state_has_a_reason_and_bad_settings_an_error(tmp_path):
    settings = {
        "diagrams": records(tmp_path, ("dense",)),
        "states": ["thin", "dense"],
        "region": None,
        "degree": 1,
        "cube": 10.0,
    }
    settings |= {"field": 14.0, "thickness": 13.0, "most": 3}
    optimal_volumes_file(settings, tmp_path, tmp_path / "volumes.json")
    found = json.loads((tmp_path / "volumes.json").read_text())
    assert found["region"] is None
    assert "a diagram of the first state, and the study has none" in found["reason"]
    assert found["around"] is None
    assert found["counts"] == found["volumes"] == []
    with pytest.raises(PersistemError, match=r"degree 1 .* or 2"):
        optimal_volumes_file(settings | {"degree": 0}, tmp_path, tmp_path / "volumes.json")
    (tmp_path / "bad.pdgm").write_bytes(b"x" * 100)
    with pytest.raises(PersistemError, match="not a HomCloud file"):
        volumes_of(tmp_path / "bad.pdgm", 1, ALL, LOW, HIGH)
