"""Figures 3, 4 and 8: what they say of images and tables whose answer is known."""

import csv
import json

import gudhi
import numpy as np
import pytest
from cripser import computePH
from matplotlib.axes import Axes
from persistem.imaging.crops import crop_file
from persistem.imaging.micrographs import read_micrograph
from persistem.learning.accuracy import COLUMNS
from persistem.report import paper
from persistem.report.figures import figure_3, figure_4, figure_8
from persistem.report.figures.drawing import CannotDraw, style, write
from persistem.study import Crops, Recipe, Standardised
from persistem.topology.diagrams import diagram_file
from persistem.topology.pairs import crop_pairs
from scipy.ndimage import gaussian_filter, label
from support.figures import check_print
from tifffile import imwrite

PIXEL = 0.25  # Å
SIDE = 96
STATES = ["glass", "melt", "crystal"]
LEARNING = {
    "models": ["LR", "SVC"],
    "C": 1.0,
    "scaling": "standard",
    "test_fraction": 0.25,
    "repetitions": 3,
    "split_seed": 0,
    "in_focus": 25.0,
}
RECIPE = Recipe(intensity=Standardised(), filtrations=("superlevel", "sublevel"))


def drawn(figure, settings, root):
    import matplotlib.pyplot as plt

    with style():
        drawing = figure.draw(json.loads(json.dumps(settings)), root)
        drawing.figure.canvas.draw()
        check_print(drawing.figure)
        plt.close(drawing.figure)
    json.dumps(drawing.numbers)
    return drawing


def words(figure):
    """Every text of a figure, on one line."""
    from matplotlib.text import Text

    return " ".join(" ".join(text.get_text().split()) for text in figure.findobj(Text))


def pattern(width, seed):
    """Noise smoothed to ``width`` px, with a mean of 0 and a standard deviation of 1."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), width, mode="wrap")
    return (smooth - smooth.mean()) / smooth.std()


def study(root, states, defoci, seeds=(1, 2), origin="centre", inverts_at=0.0, same=False):
    """Micrographs of states that differ in the width of their pattern, and invert their contrast at a defocus."""
    found = []
    for number, state in enumerate(states):
        for seed in seeds:
            image = pattern(1.5 if same else 1.5 + number, 100 * number + seed)
            static = pattern(1.5, 100 * number + seed + 50)
            for defocus in defoci:
                intensity = 1 + 0.004 * (defocus - inverts_at) * image + 0.01 * static
                path = root / state / f"{seed}-{defocus:g}.tif"
                path.parent.mkdir(exist_ok=True)
                low, high = intensity.min(), intensity.max()
                about = {
                    "pixel_size_A": PIXEL,
                    "thickness_A": 40.0,
                    "defocus_origin": origin,
                    "defocus_sign": "underfocus-positive",
                    "intensity_offset": low,
                    "intensity_scale": (high - low) / 65535,
                }
                levels = np.rint((intensity - low) / about["intensity_scale"]).astype(np.uint16)
                imwrite(path, levels, imagej=True, metadata={"Info": json.dumps(about)})
                assert np.allclose(read_micrograph(path)[0], intensity, atol=1e-4)
                specimen = {
                    "specimen": f"{state}-{seed}",
                    "state": state,
                    "seed": seed,
                    "temperature": None,
                    "rt": False,
                }
                found.append(specimen | {"path": str(path.relative_to(root)), "defocus": defocus})
    return found


def settings_3(micrographs, states, origin="centre"):
    return {
        "states": states,
        "voltage": 200.0,
        "micrographs": micrographs,
        "crops": {"size": 32, "stride": 32},
        "learning": LEARNING,
        "thickness": 40.0,
        "defocus_origin": origin,
    }


# Figure 3


@pytest.mark.slow
@pytest.mark.parametrize("states, defoci", [(STATES[:2], [-40.0, -10.0, 20.0, 60.0]), (STATES, [10.0])])
def test_spectra_of_any_study_are_drawn_and_tell_patterns_apart(tmp_path, states, defoci):
    numbers = drawn(figure_3, settings_3(study(tmp_path, states, defoci), states), tmp_path).numbers
    found = {(r["model"], r["split"], r["foci"]): r["accuracy"] for r in numbers["accuracy"]}
    assert {(m, s) for m, s, _ in found} == {(m, s) for m in ("LR", "SVC") for s in ("random", "leave-seed-out")}
    assert min(found.values()) > 0.8
    assert numbers["not_trained"] is None
    assert numbers["separation"]["shape"]["states"] > numbers["separation"]["shape"]["seeds"]


@pytest.mark.slow
def test_states_that_are_the_same_are_not_told_apart(tmp_path):
    states = STATES[:2]
    micrographs = study(tmp_path, states, [10.0, 30.0], seeds=(1, 2, 3, 4), same=True)
    numbers = drawn(figure_3, settings_3(micrographs, states), tmp_path).numbers
    unseen = [r["accuracy"] for r in numbers["accuracy"] if r["split"] == "leave-seed-out"]
    assert max(unseen) < 0.75
    separation = numbers["separation"]["shape"]
    assert separation["states"] == pytest.approx(separation["seeds"], rel=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("origin, from_exit", [("centre", 25.0), ("exit", 5.0)])
def test_contrast_inverts_at_the_same_plane_from_either_origin(tmp_path, origin, from_exit):
    states = STATES[:2]
    micrographs = study(tmp_path, states, [-35.0, -10.0, 20.0, 45.0], origin=origin, inverts_at=5.0)
    drawing = drawn(figure_3, settings_3(micrographs, states, origin), tmp_path)
    assert len(drawing.numbers["contrast"]) == 4
    for specimen in drawing.numbers["contrast"]:
        assert specimen["correlation"] < -0.95
        assert specimen["centre_A"] == 5
        assert specimen["from_exit_face_A"] == from_exit
        assert specimen["from_centre_A"] == from_exit - 20


def test_one_state_has_spectra_but_no_classifier(tmp_path):
    numbers = drawn(figure_3, settings_3(study(tmp_path, STATES[:1], [0.0]), STATES[:1]), tmp_path).numbers
    assert numbers["accuracy"] == numbers["accuracy_absolute"] == []
    assert numbers["not_trained"] == "the study has micrographs of one state"
    assert numbers["separation"]["intensity"] == {
        "states": None, "defoci": None, "seeds": numbers["separation"]["intensity"]["seeds"]
    }  # fmt: skip
    assert numbers["contrast"][0]["centre_A"] is None


def test_seeds_that_allow_no_split_leave_the_curves(tmp_path):
    states = STATES[:2]
    micrographs = study(tmp_path, states, [0.0])
    apart = [m for m in micrographs if (m["state"] == states[0]) == (m["seed"] == 1)]
    drawing = drawn(figure_3, settings_3(apart, states), tmp_path)
    assert drawing.numbers["accuracy"] == []
    assert len(drawing.numbers["contrast"]) == 2
    reason = drawing.numbers["not_trained"]
    assert "at least two seeds of every state" in reason
    assert reason in drawing.caption
    assert f"Not trained: {reason}" in words(drawing.figure)


def test_no_micrographs_no_spectra(tmp_path):
    with pytest.raises(CannotDraw, match="no micrographs"):
        figure_3.draw(settings_3([], STATES), tmp_path)


# Figure 4

ARRAY = np.array(figure_4.ARRAY, dtype=np.uint8)


def array_pairs():
    """Birth and death of the array's islands and rings, without the island that never dies."""
    found = figure_4.features_of(ARRAY)
    return sorted((f["degree"], f["birth"], f["death"]) for f in found if f["death"] is not None)


def test_the_arrays_pairs_are_those_of_gudhi():
    cubes = gudhi.CubicalComplex(vertices=-ARRAY.astype(float))
    cubes.compute_persistence(min_persistence=0)
    found = [(d, -b, -e) for d, (b, e) in cubes.persistence(min_persistence=0) if np.isfinite(e) and b != e]
    assert sorted(found) == array_pairs()


def test_the_arrays_pairs_are_those_of_cubical_ripser():
    found = computePH(-ARRAY.astype(float), maxdim=1)[:, :3]
    # it gives the island that never dies the largest float as its death
    assert sorted((int(d), -b, -e) for d, b, e in found if b < e < 1e6) == array_pairs()


def test_the_array_shows_islands_that_merge_and_rings_that_close():
    found = figure_4.features_of(ARRAY)
    assert sum(f["degree"] == 0 for f in found) >= 3
    assert sum(f["degree"] == 1 for f in found) >= 2
    (lasting,) = [f for f in found if f["death"] is None]
    assert lasting["birth"] == ARRAY.max()
    assert all(lasting["birth"] > f["birth"] for f in found if f is not lasting), "no tie decides who is the elder"


def test_islands_join_an_elder_that_they_meet_when_they_die():
    islands = {f["index"]: f for f in figure_4.features_of(ARRAY) if f["degree"] == 0}
    for island in islands.values():
        assert ARRAY[island["at"]] == island["birth"]
        if island["death"] is not None:
            elder = islands[island["elder"]]
            assert elder["birth"] > island["birth"]
            met, before = (label(island["death"] + k <= ARRAY)[0] for k in (0, 1))
            assert met[elder["at"]] == met[island["at"]]
            assert before[elder["at"]] != before[island["at"]]


def islands_of(crops, filtration):
    """Births and deaths of the islands of all crops."""
    pairs = np.concatenate([crop_pairs(crop, filtration) for crop in crops])
    return pairs[pairs[:, 0] == 0, 1:3].T


@pytest.mark.parametrize("filtration", ["superlevel", "sublevel"])
def test_islands_are_those_that_are_counted_one_level_at_a_time(filtration):
    crops = np.random.default_rng(5).integers(0, 256, (3, 24, 24)).astype(np.uint8)
    number, white, born, dead, n = figure_4.island_counts(crops, filtration, *islands_of(crops, filtration))
    assert set(n) == {3}
    for level in range(0, 256, 5):
        masks = crops >= level if filtration == "superlevel" else crops <= level
        assert number[level] == sum(label(mask)[1] for mask in masks)
        assert white[level] == masks.sum()
    assert born.sum() - dead.sum() == 3


def test_the_islands_of_two_hills_are_known():
    crop = np.full((1, 6, 9), 10, np.uint8)
    crop[0, 2, 2], crop[0, 2, 6], crop[0, 2, 3:6] = 200, 150, 60
    number, white, born, dead, _ = figure_4.island_counts(crop, "superlevel", *islands_of(crop, "superlevel"))
    assert [number[level] for level in (201, 200, 151, 150, 61, 60, 10)] == [0, 1, 1, 2, 2, 1, 1]
    assert [white[level] for level in (201, 200, 150, 60, 10)] == [0, 1, 2, 5, 54]
    assert (np.flatnonzero(born).tolist(), np.flatnonzero(dead).tolist()) == ([150, 200], [60])


def crops_of(root, states, seeds=(1, 2), widths=(1.5, 3.0, 1.5)):
    found = []
    for m in study(root, states, [-10.0, 10.0], seeds):
        path = f"crops/{m['specimen']}{m['defocus']:g}.tif"
        crop_file(root / m["path"], RECIPE, Crops(size=32, stride=32), root / path)
        diagram_file(root / path, RECIPE, root / f"{path}.parquet")
        found.append(m | {"path": path, "diagrams": f"{path}.parquet"})
    return found


def settings_4(crops, states, filtration="superlevel"):
    first = [next(c for c in crops if c["state"] == state) for state in dict.fromkeys(c["state"] for c in crops)]
    return {
        "states": states,
        "recipe": "contrast-free",
        "filtration": filtration,
        "pixel_size_A": PIXEL,
        "crops": [c | {"index": 4} for c in first],
        "islands": crops,
    }


@pytest.fixture(scope="module")
def crops_of_three(tmp_path_factory):
    """A folder and the crops of three states in it."""
    root = tmp_path_factory.mktemp("crops")
    return root, crops_of(root, STATES)


@pytest.fixture(scope="module", params=["superlevel", "sublevel"])
def filtered(request, crops_of_three):
    """A filtration and the figure of it."""
    root, crops = crops_of_three
    return request.param, drawn(figure_4, settings_4(crops, STATES, request.param), root)


@pytest.mark.slow
def test_wider_patterns_have_larger_and_fewer_islands(filtered):
    _, drawing = filtered
    islands = drawing.numbers["islands"]
    assert [(i["state"], i["seed"]) for i in islands] == [(state, seed) for state in STATES for seed in (1, 2)]
    area, number, changes = (
        [np.mean([i[key] for i in islands if i["state"] == state]) for state in STATES]
        for key in ("mean_area_A2", "mean_number", "changes_per_level")
    )
    assert area[0] < area[1] < area[2]
    assert number[0] > number[1] > number[2]
    assert changes[0] > changes[1] > changes[2]
    assert all(state in drawing.caption for state in STATES)


@pytest.mark.slow
def test_the_caption_says_which_way_a_filtration_goes(filtered):
    filtration, drawing = filtered
    caption = drawing.caption
    assert ("(b) From bright to dark" in caption) == (filtration == "superlevel")
    assert ("(b) From dark to bright" in caption) == (filtration == "sublevel")


@pytest.mark.slow
def test_without_crops_in_focus_only_the_counts_are_missing(tmp_path):
    settings = settings_4(crops_of(tmp_path, STATES[:2], seeds=(1,)), STATES[:2])
    whole, part = (drawn(figure_4, settings | more, tmp_path) for more in ({}, {"islands": []}))
    assert "(c) is empty: no defocus of the study is within learning.in_focus" in words(part.figure)
    assert "no crops are in focus" in part.caption
    assert part.numbers == {"array": whole.numbers["array"], "islands": [], "levels": None}
    # the panels of the counts alone are not there
    assert len(part.figure.findobj(Axes)) == len(whole.figure.findobj(Axes)) - 3


def test_crops_that_show_nothing_are_told(tmp_path):
    crops = crops_of(tmp_path, STATES[:2], seeds=(1,))
    settings = settings_4(crops, STATES[:2])
    with pytest.raises(CannotDraw, match="no specimen belongs to a state"):
        figure_4.draw(settings | {"crops": []}, tmp_path)
    with pytest.raises(CannotDraw, match="crop 9 of glass-1 is to be shown, but there are 9 crops"):
        figure_4.draw(settings | {"crops": [c | {"index": 9} for c in settings["crops"]]}, tmp_path)
    for c in crops:
        imwrite(tmp_path / c["path"], np.full((9, 32, 32), 7, np.uint8), imagej=True)
    with pytest.raises(CannotDraw, match="do not vary"):
        figure_4.draw(settings, tmp_path)


# Figure 8


def table(path, splits=("random", "leave-seed-out"), degrees=("0", "1", "0+1"), models=("LR", "SVC"), interval=True):
    """An accuracy table whose values tell their row."""
    rows = []
    for degree in degrees:
        for model in models:
            for split in splits:
                for training in ("pooled", "per-defocus"):
                    for k, foci in enumerate(("all", "in-focus", "-50", "0", "12.5")):
                        accuracy = 0.6 + 0.01 * k + 0.1 * (training == "pooled") + 0.05 * (split == "random")
                        ends = (accuracy - 0.04, accuracy + 0.03) if interval else ("", "")
                        rows.append(("paper", degree, model, split, training, foci, accuracy, *ends, 10, 3, ""))
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    return {"states": list(paper.STATES), "accuracy": path.name, "recipe": "paper", "in_focus": 25.0}


def test_averages_are_the_tables_of_one_model_for_all_defoci(tmp_path):
    numbers = drawn(figure_8, table(tmp_path / "a.csv"), tmp_path).numbers
    assert len(numbers["averages"]) == 3 * 2 * 2 * 2
    row = next(r for r in numbers["averages"] if r["split"] == "random" and r["foci"] == "in-focus")
    assert (row["accuracy"], row["ci_low"], row["ci_high"]) == pytest.approx((0.76, 0.72, 0.79))


def test_the_papers_words_are_in_the_figure(tmp_path):
    drawing = drawn(figure_8, table(tmp_path / "a.csv"), tmp_path)
    stated = {(r["model"], r["degrees"], r["foci"]): r["accuracy"] for r in drawing.numbers["paper"]}
    assert "paper, SVC" in words(drawing.figure)
    assert len(stated) == 8
    assert stated["SVC", "0+1", "in-focus"] == 0.851
    alone = drawn(figure_8, table(tmp_path / "b.csv", degrees=("0",), models=("LR",)), tmp_path).numbers["paper"]
    assert [r["accuracy"] for r in alone] == [0.649]


def test_states_other_than_the_papers_are_not_held_against_its_accuracies(tmp_path):
    drawing = drawn(figure_8, table(tmp_path / "a.csv") | {"states": STATES[:2]}, tmp_path)
    assert drawing.numbers["paper"] == []
    assert "paper" not in words(drawing.figure)
    assert "the paper" not in drawing.caption


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"splits": ("random",)}, {"splits": ("leave-seed-out",)}, {"interval": False},
                                     {"degrees": ("1",)}, {"models": ("SVC",)}])  # fmt: skip
def test_what_a_table_lacks_is_left_out(tmp_path, changes):
    drawing = drawn(figure_8, table(tmp_path / "a.csv", **changes), tmp_path)
    averages = drawing.numbers["averages"]
    assert {r["split"] for r in averages} == set(changes.get("splits", ("random", "leave-seed-out")))
    assert all((r["ci_low"] is None) != changes.get("interval", True) for r in averages)
    assert ("no other split" in drawing.caption) == ("splits" in changes)


def test_bars_have_the_length_of_the_interval(tmp_path):
    row = {"accuracy": 0.7, "ci_low": 0.6, "ci_high": 0.75}
    assert np.allclose(figure_8._spread(row), [[0.1], [0.05]])
    # of few repetitions the percentiles need not enclose the mean
    assert np.min(figure_8._spread(row | {"ci_low": 0.71})) == 0


def test_a_missing_accuracy_is_left_out_and_a_missing_table_is_told(tmp_path):
    settings = table(tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text().replace("0.65,", "nan,")
    (tmp_path / "a.csv").write_text(text)
    assert all(r["accuracy"] is not None for r in drawn(figure_8, settings, tmp_path).numbers["averages"])
    with pytest.raises(CannotDraw, match="no accuracy table"):
        figure_8.draw(settings | {"accuracy": "none.csv"}, tmp_path)
    (tmp_path / "a.csv").write_text("degrees,model\n0,LR\n")
    with pytest.raises(CannotDraw, match="lacking accuracy"):
        figure_8.draw(settings, tmp_path)
    (tmp_path / "a.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(CannotDraw, match="no accuracy of models"):
        figure_8.draw(settings, tmp_path)


def test_a_figure_that_cannot_be_drawn_is_written_with_its_reason(tmp_path):
    settings = table(tmp_path / "a.csv") | {"accuracy": "none.csv"}
    write("figure-8", settings, tmp_path, tmp_path / "out")
    about = json.loads((tmp_path / "out/figure-8.json").read_text())
    assert "no accuracy table" in about["reason"]
    assert (tmp_path / "out/figure-8.png").stat().st_size > 1000


def test_homcloud_labels_the_array():
    """The labels that are drawn are pairs of HomCloud, none typed."""
    assert sorted(map(tuple, crop_pairs(ARRAY, "superlevel")[:, :3].tolist())) == array_pairs()
