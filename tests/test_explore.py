"""Micrographs without labels: planted kinds are found and counted, and the page says what is so."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import tifffile
from persistem import api
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.exploring import clusters
from persistem.exploring.explore import NOT_STATES, SIDE, explore
from persistem.exploring.files import write
from persistem.exploring.page import in_words, of_pair, write_page
from persistem.maps.overlay import blend
from persistem.reading import Image
from scipy.ndimage import gaussian_filter
from sklearn.metrics import adjusted_rand_score
from support.pages import opened

#: Å, and widths of the grains of each kind, px: brightness and contrast are the same.
PIXEL, GRAINS = 0.6, (1.0, 1.8, 3.0)
#: So many windows that share no pixels fit along a side.
ROWS = SIDE * 11


def image(pixels, name="planted.tif", pixel_size=PIXEL):
    return Image(Path(name), None, Path(name).stem, pixels.astype(np.float32), pixel_size, None, None, {})


def planted(kinds, seed=0):
    """Stripes of grains, 1000 bright, and the kind of each pixel."""
    rng = np.random.default_rng(seed)
    kind = np.broadcast_to(np.arange(ROWS) * len(kinds) // ROWS, (ROWS, ROWS))
    grains = [gaussian_filter(rng.normal(size=(ROWS, ROWS)), width) for width in kinds]
    return 1000 + 100 * np.choose(kind, [grain / grain.std() for grain in grains]), kind


def found(map, kind):
    """Cluster and kind of the windows that lie in one kind."""
    step, half = round(map.step / PIXEL), SIDE // 2
    at = half + np.arange(map.abstain.shape[0]) * step
    low, high = (kind[0, np.clip(at + shift, 0, ROWS - 1)] for shift in (-half, half))
    pure = low == high
    truth = np.broadcast_to(low, map.state.shape)
    return map.state[:, pure].ravel(), truth[:, pure].ravel()


@pytest.fixture(scope="module")
def three():
    pixels, kind = planted(GRAINS)
    return pixels, kind, explore([image(pixels)])


@pytest.fixture(scope="module")
def one():
    return explore([image(planted(GRAINS[1:2])[0][: 8 * SIDE, : 8 * SIDE])])


@pytest.mark.slow
def test_three_planted_kinds_are_found_and_counted(three):
    _, kind, explored = three
    assert explored.facts["number"]["chosen"] == 3
    assert adjusted_rand_score(*found(explored.maps[0], kind)) > 0.97
    # contrast and brightness do not know them
    for pair in explored.facts["pairs"]:
        assert pair["alone"]["brightness"] < 0.75
        assert max(pair["alone"]["spectrum"], pair["alone"]["persistence"]) > 0.98


@pytest.mark.slow
def test_where_there_is_one_kind_one_cluster_is_found(one):
    number = one.facts["number"]
    assert number["chosen"] == 1
    assert number["bic"]["1"] + clusters.DECIDED < number["bic"]["2"]
    assert "no groups" in number["says"]


@pytest.mark.slow
def test_brightness_alone_makes_clusters_and_so_does_a_border_and_the_words_say_so():
    pixels, kind = planted((1.8, 1.8), seed=2)
    explored = explore([image(pixels + 400 * kind)])
    assert explored.facts["number"]["chosen"] == 3
    cluster, truth = found(explored.maps[0], kind)
    assert adjusted_rand_score(cluster, truth) > 0.97
    border = ({0, 1, 2} - set(np.unique(cluster).tolist())).pop()
    assert 0.03 < explored.facts["clusters"][border]["share"] < 0.1
    pair = next(pair for pair in explored.facts["pairs"] if chr(ord("A") + border) not in pair["clusters"])
    assert pair["alone"].pop("brightness") > 0.99
    assert max(pair["alone"].values()) < 0.7
    assert "brightness alone tells them apart" in of_pair(pair | {"alone": {"brightness": 1.0} | pair["alone"]})
    sides = sorted(explored.facts["clusters"], key=lambda cluster: cluster["brightness_SD"])
    lines = in_words(explored.facts)
    assert any(line.startswith(f"{sides[0]['name']}: ") and "darker" in line for line in lines)
    assert any(line.startswith(f"{sides[-1]['name']}: ") and "brighter" in line for line in lines)


@pytest.mark.slow
def test_neither_orientation_nor_gain_nor_offset_changes_the_clusters(three):
    pixels, _, before = three
    after = explore([image(3.7 * pixels.T[::-1] - 3800)])
    assert after.facts["number"]["chosen"] == before.facts["number"]["chosen"]
    turned = before.maps[0].state.T[::-1]
    assert adjusted_rand_score(turned.ravel(), after.maps[0].state.ravel()) > 0.97


@pytest.mark.thorough
def test_hardly_ever_does_one_kind_fall_into_several_clusters():
    chosen = [
        explore([image(planted((width,), seed)[0])]).facts["number"]["chosen"]
        for width in (0.7, 1.0, 1.8, 3.0)
        for seed in range(4)
    ]
    assert chosen.count(1) >= 15, chosen


@pytest.mark.slow
def test_images_share_their_clusters():
    first, second = planted(GRAINS[::2])[0], planted(GRAINS[::-2], seed=5)[0]
    # half of the rows: two images have as many windows as one
    first, second = first[: ROWS // 2], second[: ROWS // 2]
    explored = explore([image(first, "first.tif"), image(7 * second + 100, "second.tif")])
    assert explored.facts["number"]["chosen"] == 2
    left, right = (map.state for map in explored.maps)
    assert adjusted_rand_score(left.ravel(), right[:, ::-1].ravel()) > 0.9
    assert (left == right[:, ::-1]).mean() > 0.95


@pytest.mark.thorough
def test_the_same_images_give_the_same_bytes(folder, tmp_path):
    write(explore([image(planted(GRAINS)[0])]), tmp_path / "b")
    for path in folder.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(folder)).read_bytes(), path


@pytest.mark.thorough
def test_the_order_of_images_does_not_matter():
    images = image(planted(GRAINS[::2])[0], "first.tif"), image(planted(GRAINS[::-2], seed=5)[0], "second.tif")
    explored, turned = explore(images), explore(images[::-1])
    assert all((a.state == b.state).mean() > 0.99 for a, b in zip(explored.maps, turned.maps[::-1], strict=True))


@pytest.mark.slow
def test_typical_windows_diagrams_and_spectra_are_those_of_the_kind(three):
    _, kind, explored = three
    by_kind = {}
    for k, cluster in enumerate(explored.facts["clusters"]):
        kinds = {int(kind[0, round((10 * at["x_nm"] - PIXEL / 2) / PIXEL)]) for at in cluster["typical"]}
        assert len(kinds) == 1
        assert explored.patches[k].shape == (len(cluster["typical"]), SIDE, SIDE)
        by_kind[kinds.pop()] = k
    order = [by_kind[k] for k in range(3)]
    # finer grains: more pairs, and more of the power at high frequencies
    density = [explored.facts["clusters"][k]["pairs_per_nm2"] for k in order]
    assert density[0] > density[1] > density[2]
    highest = explored.profiles.spectrum[order, -1]
    assert highest[0] > highest[1] > highest[2]
    # a Gaussian of width s leaves exp(-(2 pi k s)²) of white noise's power
    frequency = explored.profiles.frequency
    between = (frequency > 0.15) & (frequency < 0.3)
    (slope, _) = np.polyfit(frequency[between] ** 2, explored.profiles.spectrum[order[1], between], 1)
    assert slope == pytest.approx(-((2 * np.pi * GRAINS[1] * PIXEL) ** 2), rel=0.2)
    shares = [cluster["share"] for cluster in explored.facts["clusters"]]
    mean = np.average(explored.profiles.diagram[:-1], axis=0, weights=shares)
    assert np.allclose(mean, explored.profiles.diagram[-1])


@pytest.mark.parametrize("apart", [0.0, 1.0, 3.0])
def test_how_alike_two_gaussians_are(apart):
    means, covariances = np.array([[0.0, 0.0], [apart, 0.0]]), np.stack([np.eye(2)] * 2)
    (pair,) = clusters.alike(["A", "B"], means, covariances, {}, np.empty(0, int))
    assert pair["overlap"] == pytest.approx(np.exp(-(apart**2) / 8))
    expected = NormalDist().cdf(-apart / 2) if apart else 0
    assert pair["mixed_up"] == pytest.approx(expected, abs=0.01)


def test_the_fewer_clusters_are_taken_where_the_criterion_does_not_decide():
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + np.array([8, 0])])
    found = clusters.mixture_of(places, None)
    assert found.clusters == 2
    axes = clusters.axes_of({"a": rng.normal(size=(200, 3)).astype(np.float32)})
    undecided = {1: 400.0, 2: 100.0, 3: 97.0}
    assert clusters.fewest(undecided) == 2 and clusters.fewest(undecided | {1: 106.9}) == 1
    says = clusters.number(found._replace(bic=undecided), None, 200, axes)["says"]
    assert "least for 3 clusters" in says and "2 clusters came only 3.0 behind" in says
    assert says.endswith("so the fewer are taken.")
    given = clusters.number(found._replace(bic={1: 0.0, 2: 50.0}), 2, 200, axes)["says"]
    assert given.startswith("The number of clusters, 2, was given, though the criterion takes 1.")
    assert given.endswith("So these measures find no groups here.")


@pytest.fixture(scope="module")
def folder(three, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explored") / "a"
    write(three[2], folder)
    return folder


@pytest.mark.slow
def test_one_cluster_is_shown_too(one, tmp_path):
    write_page(one, ["planted"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "the map shows nothing" in page and "How alike they are" not in page
    assert not blend(one.maps[0], np.zeros((8 * SIDE, 8 * SIDE)), PIXEL).any()


@pytest.mark.slow
def test_the_folder_is_whole_and_in_words(three, folder):
    explored = three[2]
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    of_a_map = {f"planted/{name}" for name in ("map.tif", "map.hspy", "overlay.png", "regions.csv", "map.json")}
    assert files == {"explore.html", "explore.json", "profiles.npz"} | of_a_map
    page = (folder / "explore.html").read_text()
    said, number = NOT_STATES.partition(".")[0], explored.facts["number"]["says"]
    assert said in page and number in page and "http" not in page.replace("http-equiv", "")
    facts = json.loads((folder / "explore.json").read_text())
    assert facts["note"] == NOT_STATES and facts["number"] == explored.facts["number"]
    layers = tifffile.imread(folder / "planted/map.tif")
    assert len(layers) == len(facts["clusters"]) + 2
    assert np.allclose(layers[: len(facts["clusters"])].sum(axis=0), 1, atol=1e-5)
    with np.load(folder / "profiles.npz") as arrays:
        assert np.array_equal(arrays["typical_A"], explored.patches[0])


@pytest.mark.thorough
def test_the_command_says_what_it_found_and_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("mine.tif", planted(GRAINS[::2])[0].astype(np.uint16))
    assert main(["explore", "mine.tif", "--pixel-size", str(PIXEL), "--states", "2"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Clusters are not states.")
    assert "The number of clusters, 2, was given. The Bayesian" in said.out
    assert said.out.endswith("Open explored/mine/explore.html\n") and Path("explored/mine/explore.html").is_file()
    assert max(map(len, said.out.splitlines())) <= 80 and not said.err


@pytest.mark.slow
def test_bad_input_gets_one_sentence(three, folder, tmp_path, monkeypatch, capsys):
    pixels, _, explored = three
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    tifffile.imwrite("noise.tif", rng.integers(0, 99, (100, 100), np.uint16))
    for options, said in [
        ([], "noise.tif: its pixel size is not in the file; give --pixel-size (Å), or 1 to count in pixels"),
        (["--pixel-size", "7"], "noise.tif: its pixels of 7 Å are too coarse; 5 Å or finer can be explored"),
        (["--pixel-size", "0.1"], "noise.tif: it shows 10.2 x 10.2 Å, but a window alone is 21.6 Å wide"),
        (["--pixel-size", "1"], "the images hold 4 windows that share no pixels, but clusters need at least 40; take"),
        (["--pixel-size", "1", "--states", "9"], "--states = 9: must be a number of clusters, 2 to 8"),
        (
            ["--pixel-size", "1", "--out", "noise.tif"],
            "noise.tif: is there already and is no folder; choose another --out",
        ),
    ]:
        assert main(["explore", "noise.tif", *options]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"persistem: {said}") and error.count("\n") == 1, error
    assert main(["explore", "noise.tif", "none.tif"]) == 1
    assert capsys.readouterr().err == "persistem: none.tif: no such file\n"
    shutil.copytree(folder, "out")
    other = explored._replace(images=(replace(explored.images[0], frame=3),))
    with pytest.raises(PersistemError, match="out: is the exploration of other images"):
        write(other, tmp_path / "out")
    (tmp_path / "out/planted/notes.txt").write_text("mine")
    with pytest.raises(PersistemError, match=r"holds planted/notes.txt, which is no file of an exploration"):
        write(explored, tmp_path / "out")
    assert (tmp_path / "out/planted/notes.txt").read_text() == "mine"
    with pytest.raises(PersistemError, match="enough for 8 clusters"):
        clusters.mixture_of(np.zeros((170, 2)), 9)
    with pytest.raises(PersistemError, match="states = 1: must be a number of clusters"):
        api.explore(pixels, 1, pixel_size=PIXEL)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["phone", pytest.param("desktop", marks=pytest.mark.thorough)])
def test_the_page_fits_and_its_map_lies_on_the_micrograph(browser, folder, size):
    page, complaints = opened(browser, folder / "explore.html", size)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".cluster").count() == 3 and page.locator(".typical img").count() == 24
    below, above = page.locator(".stack > img").all()
    below, above = below.bounding_box(), above.bounding_box()
    # the first window's centre is half a window inside, and stands for the square of a step around it
    margin = (SIDE / 2 - 3) / ROWS
    assert (above["x"] - below["x"]) / below["width"] == pytest.approx(margin, abs=0.005)
    assert above["width"] / below["width"] == pytest.approx(1 - 2 * margin, abs=0.005)
    slider = page.locator("input[type=range]")
    slider.evaluate("s => { s.value = 20; s.dispatchEvent(new Event('input', {bubbles: true})); }")
    assert page.locator(".over").evaluate("map => map.style.opacity") == "0.2"
    assert not complaints
