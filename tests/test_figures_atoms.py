"""Figures 1 and 2 and the pictures of atoms: what they show, the numbers they state, and why one is not drawn."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.build import bulk
from persistem.errors import PersistemError
from persistem.report.figures import figure_1
from persistem.report.figures.atoms import Rods, picture
from persistem.report.figures.drawing import style, write
from persistem.report.figures.figure_1 import sharpness
from persistem.specimens.structures import write_structure
from persistem.topology.diagrams_3d import diagram_3d_file, read_diagram_3d
from persistem.topology.optimal_volumes import optimal_volumes_file
from support.figures import check_print
from tifffile import imwrite

RADII = {"Ga": 1.25, "N": 0.7}
BOX = (10.0, 10.0, 10.0)


def ink(image, part=np.s_[:, :]):
    """How many pixels of a part of a picture are not white."""
    return int((image[part].min(axis=-1) < 250).sum())


def quarters(image):
    half = len(image) // 2
    parts = {"upper left": np.s_[:half, :half], "upper right": np.s_[:half, half:]}
    parts |= {"lower left": np.s_[half:, :half], "lower right": np.s_[half:, half:]}
    return {name: ink(image, part) for name, part in parts.items()}


@pytest.mark.slow
def test_x_is_to_the_right_and_y_upwards_and_nothing_is_said(capfd):
    frame = quarters(picture(np.empty((0, 3)), [], RADII, BOX, pixels=200))
    for x, y, place in ((7.5, 2.5, "lower right"), (2.5, 7.5, "upper left")):
        image = picture(np.array([[x, y, 5.0]]), ["Ga"], RADII, BOX, pixels=200)
        assert image.shape == (200, 200, 3)
        assert image.dtype == np.uint8
        more = {name: number - frame[name] for name, number in quarters(image).items()}
        assert more.pop(place) > 300
        assert max(more.values()) < 20
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


@pytest.mark.slow
def test_perspective_and_radii():
    def size(z, element="Ga", scale=1.0):
        image = picture(np.array([[5.0, 5.0, z]]), [element], RADII, BOX, pixels=200, scale=scale)
        return ink(image, np.s_[70:130, 70:130])

    assert size(9.0) > 1.15 * size(1.0)
    assert size(5.0, "N") / size(5.0) == pytest.approx((0.7 / 1.25) ** 2, rel=0.1)
    assert size(5.0, scale=0.5) / size(5.0) == pytest.approx(0.25, rel=0.1)


def test_rods_and_faces_are_drawn_in_their_colour():
    triangle = np.array([[2.0, 2.0, 5.0], [8.0, 2.0, 5.0], [5.0, 8.0, 5.0]])

    def green(image):
        red, other, blue = image.astype(int).transpose(2, 0, 1)
        return int(((other - red > 30) & (other - blue > 10)).sum())

    edges = picture(np.empty((0, 3)), [], RADII, BOX, [Rods(triangle, [[0, 1], [1, 2], [0, 2]])], pixels=200)
    filled = picture(np.empty((0, 3)), [], RADII, BOX, [Rods(triangle, [], [[0, 1, 2]])], pixels=200)
    both = picture(
        np.empty((0, 3)), [], RADII, BOX, [Rods(triangle, [[0, 1], [1, 2], [0, 2]], [[0, 1, 2]])], pixels=200
    )
    # a triangle of 18 Å², at 200 pixels for 10 Å seen from a little farther
    assert 0.6 * 18 * 400 < green(filled) < 18 * 400
    assert 200 < green(edges) < green(filled) <= green(both)


def test_a_machine_without_opengl_gets_a_sentence_and_no_segmentation_fault(monkeypatch):
    def absent(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", absent)
    with pytest.raises(PersistemError, match=r"OpenGL.*libEGL\.so\.1.*apt install libegl1"):
        picture(np.empty((0, 3)), [], RADII, BOX, pixels=10)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A crystal, a disturbed one and a random arrangement, with their diagrams; and volumes of the last two."""
    root = tmp_path_factory.mktemp("study")
    crystal = bulk("GaN", "wurtzite", a=3.19, c=5.189, orthorhombic=True).repeat((6, 3, 4))
    records = []
    rng = np.random.default_rng(0)
    for name, state, rattle in (("T4000-rt1-s01", None, 0.05), ("T5000-rt0-s01", "solid", 0.3), ("mine", "mess", None)):
        atoms = crystal.copy()
        if rattle is None:
            atoms.set_scaled_positions(rng.uniform(size=(len(atoms), 3)))
        else:
            atoms.rattle(rattle, seed=1)
        write_structure(root / f"{name}.extxyz", atoms)
        for kind in ("open", "periodic"):
            out = root / kind / f"{name}.pdgm"
            diagram_3d_file(root / f"{name}.extxyz", RADII, (15.0, 14.0), kind == "periodic", out)
        temperature = int(name[1:5]) if name.startswith("T") else None
        record = {"specimen": name, "state": state, "seed": 1, "temperature": temperature, "rt": name[5:9] == "-rt1"}
        files = {"structure": f"{name}.extxyz", "diagram": f"open/{name}.parquet", "pdgm": f"open/{name}.pdgm"}
        files |= {"diagram_periodic": f"periodic/{name}.parquet", "parquet": f"open/{name}.parquet"}
        records.append(record | files)
    about = {"pixel_size_A": 0.25, "intensity_offset": 0.9, "intensity_scale": 1e-5}
    levels = rng.integers(0, 20000, (60, 60)).astype(np.uint16)
    imwrite(root / "df.tif", levels, imagej=True, metadata={"Info": json.dumps(about)})
    return root, records


def facts(root, name, settings):
    write(name, settings, root, root / "figures")
    for suffix in ("png", "pdf"):
        assert (root / "figures" / f"{name}.{suffix}").stat().st_size > 5000
    return json.loads((root / "figures" / f"{name}.json").read_text())


def first(records, **more):
    panels = [record | {"micrograph": "df.tif", "defocus": -12.5} for record in records]
    return {"cube": 10.0, "field": 15.0, "thickness": 14.0, "radii": RADII, "panels": panels, "shown": "open"} | more


@pytest.mark.slow
def test_figure_1(study):
    root, records = study
    found = facts(root, "figure-1", first(records))
    assert found["reason"] is None
    assert "radii Ga 1.25 Å, N 0.7 Å" in found["caption"]
    assert "central 10 Å, defocus −12.5 Å" in found["caption"]
    panels = found["numbers"]["panels"]
    assert [panel["specimen"] for panel in panels] == ["T4000-rt1-s01", "T5000-rt0-s01", "mine"]
    assert panels[0]["sharpness"] > 2 * panels[1]["sharpness"] > 2 * panels[2]["sharpness"]
    table = read_diagram_3d(root / records[1]["diagram"])
    of = table["degree"] == 1
    volume = 1.5 * 1.5 * 1.4
    assert panels[1]["pairs_per_nm3"] == pytest.approx(of.sum() / volume)
    near = of & (abs(table["birth"] - 2.0) <= 0.25) & (abs(table["death"] - 2.4) <= 0.25)
    assert panels[1]["surface"][1] == {
        "at": [2.0, 2.4],
        "open": pytest.approx(near.sum() / volume),
        "periodic": pytest.approx(panels[1]["surface"][1]["periodic"]),
    }


@pytest.mark.slow
def test_figure_1_names_births_below_its_diagrams(study):
    root, records = study
    with style():
        drawing = figure_1.draw(first(records), root)
        drawing.figure.canvas.draw()
    check_print(drawing.figure)
    labels = [axis.get_xlabel() for axis in drawing.figure.axes if "²" in axis.get_xlabel()]
    assert labels == ["birth (Å²)"] * 2


@pytest.mark.slow
def test_figure_1_says_why_it_is_not_drawn(study):
    root, records = study
    none = facts(root, "figure-1", first([]))
    assert "no specimen of a temperature" in none["reason"]
    table = pq.read_table(root / records[0]["diagram"])
    pq.write_table(table.filter(pc.not_equal(table["degree"], 1)), root / "separate.parquet")
    empty = records[0] | {"diagram": "separate.parquet", "diagram_periodic": "separate.parquet"}
    assert "no pairs of degree 1" in facts(root, "figure-1", first([empty]))["reason"]


def test_sharpness_of_a_known_peak():
    rng = np.random.default_rng(0)
    peak = np.column_stack([rng.normal(0, 0.05, 20000), rng.normal(2, 0.05, 20000)])
    # a Gaussian of 0.05 Å² that is smoothed by as much
    assert sharpness(peak) == pytest.approx(1 / (2 * np.pi * 2 * 0.05**2), rel=0.05)
    # pairs near the diagonal weigh little
    noise = rng.uniform(0, 1, 20000)
    assert sharpness(np.vstack([peak, np.column_stack([noise, noise + 1e-3])])) > 0.99 * sharpness(peak)
    assert sharpness(np.empty((0, 2))) is None


def second(study, **more):
    root, records = study
    chosen = {"states": ["solid", "mess"], "region": None, "degree": 1, "cube": 10.0, "field": 15.0, "thickness": 14.0}
    settings = chosen | {"most": 4, "diagrams": records[1:]} | more
    optimal_volumes_file(settings, root, root / "volumes.json")
    shown = {"cube": 10.0, "field": 15.0, "thickness": 14.0, "radii": RADII, "volumes": "volumes.json"}
    return facts(root, "figure-2", shown | {"structures": settings["diagrams"]})


@pytest.mark.slow
def test_figure_2(study):
    found = second(study)
    assert found["reason"] is None
    numbers = found["numbers"]
    per_nm3 = [count["per_nm3"] for count in numbers["counts"]]
    assert per_nm3[0] > per_nm3[1]
    assert numbers["ratio"] == pytest.approx(per_nm3[0] / per_nm3[1])
    assert [entry["specimen"] for entry in numbers["drawn"]] == ["T5000-rt0-s01", "mine"]
    assert "chosen automatically around the peak of T5000-rt0-s01" in found["caption"]


@pytest.mark.slow
def test_figure_2_says_why_it_is_not_drawn(study):
    _, records = study
    one = second(study, states=["solid"], diagrams=records[1:2])
    assert "two states are compared" in one["reason"]
    empty = second(study, region=[[-40.0, -39.0], [-30.0, -29.0]])
    assert empty["reason"].startswith("the region births -40 to -39 Å², deaths -30 to -29 Å²")
    alone = second(study, states=["solid"], diagrams=records[1:2], region=[[0.0, 1.0], [1.0, 3.0]])
    assert "specimens of one" in alone["reason"]


def test_elements_of_another_material():
    silicon = Atoms("Si2", [[4.0, 5.0, 5.0], [6.35, 5.0, 5.0]])
    image = picture(silicon.positions, list(silicon.symbols), {"Si": 1.11}, BOX, pixels=120)
    assert ink(image) > ink(picture(silicon.positions[:1], ["Si"], {"Si": 1.11}, BOX, pixels=120)) + 100


def test_only_elements_that_are_drawn_are_listed(tmp_path):
    from ase.build import bulk
    from persistem.report.figures.drawing import with_elements_drawn
    from persistem.specimens.structures import write_structure

    write_structure(tmp_path / "a.extxyz", bulk("GaN", "wurtzite", a=3.19))
    write_structure(tmp_path / "b.extxyz", bulk("Si", "diamond", a=5.43))
    settings = {"radii": {"C": 0.8, "Ga": 1.2, "N": 0.7, "Si": 1.1}, "cube": 8.0}
    records = [{"structure": "a.extxyz"}, {"structure": "b.extxyz"}]
    assert with_elements_drawn(settings, records, tmp_path) == settings | {"radii": {"Ga": 1.2, "N": 0.7, "Si": 1.1}}
    assert with_elements_drawn(settings, records[:1], tmp_path)["radii"] == {"Ga": 1.2, "N": 0.7}
