"""Figures 5, 6 and 7 of small studies: what they show, what they say, and when they cannot be drawn."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from persistem.learning.weights import read_weights, weights_file
from persistem.report.figures import drawing, figure_5, figure_6, figure_7
from persistem.topology.diagrams import diagram_file
from persistem.topology.inverse import inverse_file
from persistem.topology.pairs import crop_pairs
from persistem.topology.persistence_images import image_file
from scipy.ndimage import gaussian_filter
from support.figures import check_print

SIZE, CROPS = 48, 4
#: Correlation length of each state's crops (px).
STATES = {"glass": 3.0, "melt": 1.5, "powder": 2.1}
FILTRATIONS = ["superlevel", "sublevel"]


class Study:
    """Crops, diagrams, weights and inverse analyses of some states, two seeds each, and the figures' settings."""

    def __init__(self, root: Path, states: list[str], filtrations: list[str], models: list[str]) -> None:
        self.root, self.states, self.filtrations = root, states, filtrations
        weight = {"form": "linear", "c": 0.01, "p": 3.0}
        recipe = {"filtrations": filtrations, "positions": False, "bins": 32, "sigma": 1.0, "weight": weight}
        typed: Any = SimpleNamespace(**recipe | {"weight": SimpleNamespace(**weight)})
        self.records = []
        for label, state in enumerate(states):
            for seed in (1, 2):
                name = f"{state}-{seed}"
                rng = np.random.default_rng(10 * label + seed)
                fields = gaussian_filter(rng.normal(size=(CROPS, SIZE, SIZE)), (0, STATES[state], STATES[state]))
                stack = np.rint(np.clip(127.5 * (1 + fields / fields.std() / 3), 0, 255)).astype(np.uint8)
                tifffile.imwrite(root / f"{name}.tif", stack, imagej=True, metadata={"axes": "ZYX"})
                diagram_file(root / f"{name}.tif", typed, root / f"{name}.diagrams")
                image_file(root / f"{name}.diagrams", typed, CROPS, root / f"{name}.images")
                inverse = {"crops": f"{name}.tif", "index": 1, "filtrations": filtrations}
                inverse_file(inverse, root, root / f"{name}.inverse")
                self.records.append(
                    {"specimen": name, "state": state, "seed": seed, "temperature": None, "rt": False, "defocus": 0.0}
                )
        sources = [r | {"path": f"{r['specimen']}.images"} for r in self.records]
        settings = {"states": states, "recipe": recipe, "sources": sources, "models": models}
        if len(states) > 1:
            weights_file(settings | {"C": 0.01, "scaling": "standard"}, root, root / "weights.parquet")
        self.crops = [
            r
            | {"path": f"{r['specimen']}.tif", "index": 1}
            | {"diagrams": f"{r['specimen']}.diagrams", "inverse": f"{r['specimen']}.inverse"}
            for r in self.records
            if r["seed"] == 1
        ]

    def figure_5(self) -> dict[str, Any]:
        return {
            "states": self.states,
            "filtrations": self.filtrations,
            "pixel_size_A": 0.25,
            "crops": self.crops,
        }

    def figure_6(self) -> dict[str, Any]:
        return {"states": self.states, "weights": "weights.parquet", "scaling": "standard"}

    def figure_7(self) -> dict[str, Any]:
        return {
            "states": self.states,
            "weights": "weights.parquet",
            "model": "SVC",
            "degrees": "0+1",
            "pixel_size_A": 0.25,
            "crops_per_micrograph": CROPS,
            "crops": self.crops,
            "diagrams": [r | {"path": f"{r['specimen']}.diagrams"} for r in self.records],
        }


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("two"), ["glass", "melt"], ["superlevel"], ["LR", "SVC"])


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("three"), list(STATES), FILTRATIONS, ["SVC"])


def drawn(module: Any, settings: dict[str, Any], root: Path, render: bool = False) -> Any:
    import matplotlib.pyplot as plt

    with drawing.style():
        result = module.draw(settings, root)
        if render:
            result.figure.canvas.draw()
            check_print(result.figure)
    plt.close(result.figure)
    return result


def words(figure: Any) -> str:
    import matplotlib.text

    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_figure_5_counts_the_pairs_of_the_crops_shown(two: Study) -> None:
    result = drawn(figure_5, two.figure_5(), two.root)
    assert [p["pairs"] for p in result.numbers["pairs"]] == [
        int((crop_pairs(tifffile.imread(two.root / crop["path"])[1], "superlevel")[:, 0] == degree).sum())
        for crop in two.crops
        for degree in (0, 1)
    ]
    first = result.numbers["pairs"][0]
    assert f"degree 0 (islands): {first['pairs']} pairs" in words(result.figure)
    assert "birth (grey level)" in words(result.figure)
    # 48 px of 0.25 Å are 12 Å: the bar is 2 Å
    assert "2 Å" in words(result.figure)


def test_figure_5_counts_each_filtration_apart(three: Study) -> None:
    numbers = drawn(figure_5, three.figure_5(), three.root).numbers["pairs"]
    assert len(numbers) == 3 * 2 * 2
    image = tifffile.imread(three.root / three.crops[2]["path"])[1]
    (islands,) = [n for n in numbers if (n["state"], n["degree"], n["filtration"]) == ("powder", 0, "sublevel")]
    assert islands["pairs"] == (crop_pairs(image, "sublevel")[:, 0] == 0).sum()


def test_figure_6_says_which_way_the_weights_point(two: Study) -> None:
    result = drawn(figure_6, two.figure_6(), two.root)
    text = words(result.figure)
    assert "positive (red) speaks for label 1, melt; negative (blue) for label 0, glass" in text
    assert "per standard deviation" in text
    mesh = result.figure.axes[0].collections[0]
    low, middle, high = mesh.cmap([0.1, 0.5, 0.9])[:, :3]
    assert low[2] > low[0]  # blue is negative
    assert high[0] > high[2]  # red is positive
    assert min(middle) > 0.9
    assert mesh.norm.vmin == -mesh.norm.vmax


def test_figure_6_has_the_distance_of_each_states_bins_from_the_diagonal(two: Study) -> None:
    numbers = drawn(figure_6, two.figure_6(), two.root).numbers
    weights = read_weights(two.root / "weights.parquet")
    for key, values in (("distance", "weight"), ("distance_of_pattern", "pattern")):
        assert len(numbers[key]) == 2 * 4  # models; degree 0 and 1, alone and combined
        for row in numbers[key]:
            of = np.logical_and.reduce([weights[k] == row[k] for k in ("model", "degrees", "degree")])
            lifetime = weights["birth"][of] - weights["death"][of]
            for state, sign in (("glass", -1), ("melt", 1)):
                mine = weights[values][of] * sign > 0
                expected = np.average(lifetime[mine], weights=np.abs(weights[values][of][mine]))
                assert row[state] == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
def test_figure_6_has_a_map_for_each_of_three_states(three: Study) -> None:
    result = drawn(figure_6, three.figure_6(), three.root)
    assert "one for each state" in words(result.figure)
    assert all(f"{state}, degrees combined" in words(result.figure) for state in STATES)
    assert {row["filtration"] for row in result.numbers["distance"]} == set(FILTRATIONS)
    for row in result.numbers["distance"]:
        assert all(0 <= row[state] <= 255 for state in STATES)


def test_figure_7_counts_the_pairs_in_each_states_region(two: Study) -> None:
    result = drawn(figure_7, two.figure_7(), two.root)
    regions = {(r["of"], r["degree"], r["state"]): r for r in result.numbers["regions"]}
    assert len(regions) == 2 * 2 * 2
    assert all(r["bins"] > 0 for r in regions.values())
    for degree in (0, 1):  # the two regions are on different bins, and where the weights have their sign
        glass, melt = (regions["pattern", degree, state] for state in ("glass", "melt"))
        assert (glass["birth"], glass["death"]) != (melt["birth"], melt["death"])
    counts = {
        (c["of"], c["seed"], c["state"], c["degree"], c["region"]): c["per_crop"] for c in result.numbers["counts"]
    }
    assert len(counts) == 2 * 2 * 2 * 2 * 2
    # crops of 1 of the 4 are drawn: what is drawn cannot exceed what is counted in all of them
    for n in result.numbers["drawn"]:
        assert n["pairs"] <= CROPS * counts["pattern", n["seed"], n["state"], n["degree"], n["region"]] + 1e-3
        assert f"{n['region']} region: {n['pairs']} pairs" in words(result.figure)
    # trained on these crops, the classifier finds each state's rings in its own region
    for state, other in (("glass", "melt"), ("melt", "glass")):
        of = [[counts["pattern", seed, shown, 0, state] for seed in (1, 2)] for shown in (state, other)]
        assert np.mean(of[0]) > np.mean(of[1])


def test_figure_7_draws_regions_and_births_of_the_pairs_in_a_region(two: Study) -> None:
    result = drawn(figure_7, two.figure_7(), two.root)
    panels = np.array(result.figure.axes).reshape(4, 3)[:, 1:]
    by_panel = {(n["degree"], n["state"], n["region"]): n["pairs"] for n in result.numbers["drawn"]}
    assert max(by_panel.values()) > 0
    for i, (degree, state) in enumerate((d, s) for d in (0, 1) for s in two.states):
        for axis, region, channel in zip(panels[i], two.states, (2, 0), strict=True):
            n = by_panel[degree, state, region]
            births = axis.lines[-1]
            assert len(births.get_xdata()) == n
            cover = axis.images[1].get_array()
            covered = cover[..., 3] > 0
            assert covered.any() == (n > 0)
            if n:
                assert cover[covered][0, :3].argmax() == channel  # blue for label 0, red for label 1
                if degree == 0:  # an island contains the pixel of its birth
                    assert covered[births.get_ydata().astype(int), births.get_xdata().astype(int)].all()


@pytest.mark.slow
def test_figure_7_of_three_states_and_two_filtrations(three: Study) -> None:
    result = drawn(figure_7, three.figure_7(), three.root)
    assert len(result.figure.axes) == 2 * 3 * 4
    assert {c["filtration"] for c in result.numbers["counts"]} == set(FILTRATIONS)
    for r in result.numbers["regions"]:  # superlevel pairs are below the diagonal, sublevel pairs above
        early, late = ("death", "birth") if r["filtration"] == "superlevel" else ("birth", "death")
        assert r[early][0] <= r[late][0]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["two", pytest.param("three", marks=pytest.mark.thorough)])
def test_figures_can_be_read_in_print(which: str, request: pytest.FixtureRequest) -> None:
    of = request.getfixturevalue(which)
    for module, settings in ((figure_5, of.figure_5()), (figure_6, of.figure_6()), (figure_7, of.figure_7())):
        drawn(module, settings, of.root, render=True)


@pytest.mark.slow
def test_figures_are_written_with_their_captions(two: Study, tmp_path: Path) -> None:
    for name, settings in (("figure-5", two.figure_5()), ("figure-6", two.figure_6()), ("figure-7", two.figure_7())):
        drawing.write(name, settings, two.root, tmp_path)
        about = json.loads((tmp_path / f"{name}.json").read_text())
        assert about["reason"] is None
        assert about["caption"].endswith(".")
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        from PIL import Image

        width, _ = Image.open(tmp_path / f"{name}.png").size
        assert 0.8 * drawing.PAGE < width / drawing.DPI < drawing.PAGE + 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("figure-5", {"crops": []}, "no specimen belongs to a state"),
        ("figure-6", {"weights": None, "states": ["glass"]}, "fewer than two states"),
        ("figure-7", {"weights": None, "states": ["glass"]}, "fewer than two states"),
        ("figure-7", {"crops": []}, "no specimen belongs to a state"),
        ("figure-7", {"model": "SVC", "degrees": "0+2"}, "SVC was not trained on degrees 0\\+2"),
    ],
)
def test_a_figure_that_cannot_be_drawn_says_why(
    two: Study, tmp_path: Path, name: str, changes: dict[str, Any], reason: str
) -> None:
    settings = getattr(two, name.replace("-", "_"))() | changes
    drawing.write(name, settings, two.root, tmp_path)
    about = json.loads((tmp_path / f"{name}.json").read_text())
    assert about["numbers"] == {}
    import re

    assert re.search(reason, about["reason"])
    assert (tmp_path / f"{name}.png").stat().st_size > 1000


def test_a_crop_that_is_not_there_and_crops_without_contrast_are_said(two: Study, tmp_path: Path) -> None:
    beyond = two.figure_5() | {"crops": [two.crops[0] | {"index": 7}]}
    with pytest.raises(drawing.CannotDraw, match="crop 7 of glass-1 is to be shown, but there are 4 crops"):
        drawn(figure_5, beyond, two.root)
    stack = np.full((2, SIZE, SIZE), 128, np.uint8)
    tifffile.imwrite(two.root / "flat.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    typed: Any = SimpleNamespace(filtrations=["superlevel"], positions=False)
    diagram_file(two.root / "flat.tif", typed, two.root / "flat.diagrams")
    flat = two.crops[0] | {"path": "flat.tif", "diagrams": "flat.diagrams"}
    with pytest.raises(drawing.CannotDraw, match="have no contrast"):
        drawn(figure_5, two.figure_5() | {"crops": [flat]}, two.root)
