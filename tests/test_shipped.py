"""Models that come with the package: their list and names; and what a model and a map say of themselves."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from persistem import api
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.maps.mapping import Map
from persistem.model import shipped, summary
from persistem.store.home import PACKAGE

#: A card of labelled micrographs, as labelled.card writes it.
LABELLED = {
    "kind": "labelled micrographs",
    "states": ["film", "hole"],
    "assessed": {
        "within_one_image": False,
        "states": [{"state": "film", "recall": 0.934}, {"state": "hole", "recall": None}],
    },
}


@pytest.fixture
def one(written, tmp_path, monkeypatch):
    """A package with one model, ``blobs-200kV``, and an empty working folder."""
    folder = tmp_path / "bundles"
    shutil.copytree(written, folder / "blobs-200kV")
    (folder / "README.md").write_text("no model")
    monkeypatch.setattr(shipped, "SHIPPED", folder)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


def test_a_model_is_listed_with_what_its_card_says(one, capsys):
    assert main(["models"]) == 0
    said = capsys.readouterr().out.splitlines()
    card = api.load("blobs-200kV").card
    right = next(row["accuracy"] for row in card["accuracy"] if row["by"] == "all")
    assert said == [
        "blobs-200kV: amorphous | liquid; voltage 200 kV; defocus -25 to 50 Å; window 6.4 Å; "
        f"right in {right:.2f} of the windows of unseen seeds (chance 0.50)"
    ]


def test_without_models_the_list_says_how_to_make_one(one, capsys):
    shutil.rmtree(one / "blobs-200kV")
    assert main(["models"]) == 0
    assert "persistem new NAME --from demo" in capsys.readouterr().out


def test_the_card_of_a_model_is_shown_by_its_name(one, capsys):
    assert main(["models", "blobs-200kV"]) == 0
    assert capsys.readouterr().out.strip() == (one / "blobs-200kV/card.md").read_text().strip()
    assert main(["models", "README.md"]) == 1
    assert capsys.readouterr().err == (
        "persistem: README.md: no model that comes with the package, whose models are blobs-200kV\n"
    )


def test_a_name_loads_and_a_folder_of_that_name_comes_first(one, written):
    named = api.load("blobs-200kV")
    assert named.digest == api.load(written).digest
    shutil.copytree(written, "blobs-200kV")
    (one / "blobs-200kV/model.json").write_text("{}")
    assert api.load("blobs-200kV").digest == named.digest


def test_a_name_that_is_none_is_refused_with_those_that_are(one, capsys, tmp_path):
    with pytest.raises(PersistemError, match=r"gan: no such folder.* whose models are blobs-200kV$"):
        api.load("gan")
    (tmp_path / "work/a.tif").write_text("")
    for command in (["inspect", "a.tif"], ["map", "a.tif", "--out", "out"]):
        assert main([*command, "--model", "gan"]) == 1
        said = capsys.readouterr().err
        assert said.startswith("persistem: gan: no such folder") and said.count("\n") == 1
    with pytest.raises(PersistemError, match="not a model bundle"):
        api.load("results/none/model")


def test_a_micrograph_is_inspected_by_the_name_of_a_model(one, capsys):
    import tifffile

    tifffile.imwrite("a.tif", np.random.default_rng(1).normal(1, 0.1, (128, 128)).astype(np.float32))
    conditions = ["--pixel-size", "0.2", "--voltage", "200", "--defocus", "0"]
    assert main(["inspect", "a.tif", "--model", "blobs-200kV", *conditions]) == 0
    assert "model" in capsys.readouterr().out


def test_models_that_come_with_the_package_can_be_loaded_and_are_small():
    for name in shipped.names():
        assert shipped.load(name).card
        assert sum(file.stat().st_size for file in (shipped.SHIPPED / name).iterdir()) < 1e6
    assert shipped.SHIPPED == PACKAGE / "model/bundles" and (shipped.SHIPPED / "README.md").is_file()


def test_a_model_says_in_one_line_what_it_is(one):
    model = api.load("blobs-200kV")
    assert repr(model) == f"<Model {summary.line(model)}>"
    assert "\n" not in repr(model) and len(repr(model)) < 250


def test_a_model_of_labels_says_the_recall_of_its_states(one):
    model = replace(api.load("blobs-200kV"), states=("film", "hole"), voltage=None, defoci=None, card=LABELLED)
    assert repr(model) == "<Model film | hole; window 6.4 Å; right film 0.93 of unseen specimens>"


@pytest.mark.parametrize(
    "card", [{}, {"accuracy": []}, {"accuracy": 3}, {"accuracy": [{"by": "all", "accuracy": "x"}], "states": []},
             {"kind": "labelled micrographs"}, {"accuracy": [None], "states": ["a"]}],
)  # fmt: skip
def test_a_card_that_does_not_say_how_often_is_no_error(card):
    assert summary.right(card) == "not known"


def small_map(name="film.tif"):
    probability = np.full((2, 3, 2), 0.5, np.float32)
    probability[0, :, 0] = 0.9
    probability[0, :, 1] = 0.1
    abstain = np.zeros((2, 3), bool)
    abstain[1, 0] = True
    return Map(
        probability=probability, confidence=probability.max(axis=-1), abstain=abstain, reason=abstain.astype(np.uint8),
        step=3.0, origin=(0.0, 0.0), states=("amorphous", "liquid"), facts={"image": {"file": name}},
    )  # fmt: skip


def test_a_map_says_in_one_line_what_it_shows():
    assert repr(small_map()) == "<Map film.tif; 2 x 3, 3 Å apart; amorphous 83%, liquid 0%, abstained 17%>"


def test_what_a_name_holds_is_text_in_html_and_harmless_in_a_terminal(one):
    evil = "<script>alert(1)</script>&\x1b[2J.tif"
    shown = small_map(evil)
    html = shown._repr_html_()
    assert "<script" not in html and "&lt;script&gt;" in html and "&amp;" in html and "\x1b" not in html + repr(shown)
    model = replace(api.load("blobs-200kV"), states=("<b>a</b>", "liquid"))
    assert "<b>a" not in model._repr_html_() and "&lt;b&gt;a" in model._repr_html_()
