"""The layout of the records: what is on the surface of a page, and what is behind a fold."""

import json

import cv2
import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.publication import record as pages
from persistem.publication.record import _nearest, _tables, bullets, cut, fold, headline, paper_table, picture
from persistem.publication.record_protocols import record_protocols
from persistem.report.figures import EVALUATION_FIGURES, JOINT_FIGURES
from persistem.report.paper import ACCURACIES, CLAIMS, decimals, judged_per_micrograph
from persistem.report.tables import checked, write_rows
from persistem.study import Study
from test_multiverse import NUMBERS, judged

LONG = "Islands of a crop, Fig. 4 of the paper (Haufe et al., 2014). " + "A sentence that says more about it. " * 12


def figure(**changes):
    return {"about": "One. Two.", "caption": "Found a; found b. Bars: 95 %.", "reason": None, "numbers": {}} | changes


def test_a_caption_is_cut_at_a_sentence_within_three_lines():
    first, rest = cut(LONG.strip())
    assert first.startswith("Islands") and first.endswith("about it.") and 300 < len(first) <= 360
    assert f"{first} {rest}" == LONG.strip()
    assert cut("Short. All of it.") == ("Short. All of it.", "")


def test_a_first_sentence_that_is_too_long_stays_whole():
    sentence = "word " * 100 + "end."
    assert cut(f"{sentence} Next.") == (sentence, "Next.")


def test_a_figure_shows_what_it_found_and_folds_the_rest():
    page = "\n\n".join(picture("leak", "The leak", figure(numbers={"finding": "Found a; found b."})))
    surface, _, folded = page.partition("<details>")
    assert "![The leak](figures/leak.png)" in surface and "- Found a.\n- Found b." in surface and "One. Two." in surface
    assert "Bars: 95 %." in folded and "Found" not in folded


def test_a_figure_that_was_not_drawn_says_why_on_the_surface():
    page = "\n\n".join(picture("leak", "The leak", figure(reason="no seeds", caption="")))
    assert "Not drawn: no seeds" in page and "](figures/" not in page


def test_a_fold_keeps_an_empty_line_around_its_markdown():
    assert fold("More", "a", "", "b") == "<details><summary>More</summary>\n\na\n\nb\n\n</details>"


def test_the_headline_counts_accuracies_and_claims():
    rows = [{"split": "random", "agreement": word} for word in ("agrees", "lower")]
    rows += [{"split": "leave-seed-out", "agreement": None, "paper": 0.7, "ours": ours} for ours in (0.6, 0.8)]
    claims = [{"status": status} for status in ("depends on", "reproduced", "not reproduced", "undecided")]
    first, second, third = headline(rows, claims).splitlines()
    assert first == "- Of 2 accuracies under the paper's random split: 1 in agreement with the paper, 1 lower."
    assert "1 of 2 means are below the paper's" in second and "lower" not in second and "agree" not in second
    assert third.endswith("1 reproduced, 1 holding under some conditions only, 1 not reproduced, 1 undecided.")


def test_an_accuracy_is_judged_by_one_specimen_and_never_beside_unseen_seeds():
    row = {
        "degrees": "0+1",
        "model": "LR",
        "foci": "all",
        "paper": 0.773,
        "ours": 0.72,
        "ci_low": 0.71,
        "ci_high": 0.73,
    }
    random = row | {"split": "random", "one_low": 0.6, "one_high": 0.84, "agreement": "agrees"}
    unseen = row | {"split": "leave-seed-out", "one_low": None, "one_high": None, "agreement": None}
    (line,) = paper_table([random, unseen]).to_dict("records")
    assert line["here, random"] == "0.720 [0.60, 0.84]: agrees"
    assert line["here, leave-seed-out"] == "0.720 [0.71, 0.73]"


def test_the_table_of_specimens_has_cavities_and_coordination(tmp_path):
    (tmp_path / "tables").mkdir()
    empty = dict.fromkeys(("features", "degrees", "model", "split", "training", "foci"), "all")
    rows = {
        "timings": [{"stage": "md", "jobs": 1}],
        "accuracy": [empty | {"training": "pooled", "accuracy": 0.5, "ci_low": "", "ci_high": ""}],
        "specimens": [{"specimen": name, "state": "liquid", "density_g_cm3": 2.6} for name in ("a", "b")],
        "state_checks": checked(
            [
                {"specimen": "b", "state": "liquid", "cavities": 0.1058, "contacts": {}, "coordination": {}},
                {"specimen": "a", "state": "liquid", "cavities": 0.0562}
                | {"contacts": {"N-N": {"per_atom": 0.09, "molecules": 0.0851}}}
                | {"coordination": {"Ga around N": {"cutoff_A": 2.7, "mean": 2.89}}},
            ]
        ),
    }
    for name, table in rows.items():
        write_rows(tmp_path / f"tables/{name}.csv", table)
    page = "\n".join(_tables(tmp_path))
    assert "| specimen | state | density, g/cm³ | cavities, % | Ga around N | N-N, % |" in page
    assert "| a | liquid | 2.600 | 5.6 | 2.89 | 8.5 |" in page
    assert "| b | liquid | 2.600 | 10.6 |  |  |" in page


@pytest.mark.parametrize(("name", "page", "prefix"), [("extended", "evaluation", ""), ("mine", "mine", "mine-")])
@pytest.mark.parametrize("controls", [[], [{"name": "equal density"}]])
def test_the_page_of_an_evaluation_and_its_figures_bear_the_name_of_the_study(
    name, page, prefix, controls, tmp_path, monkeypatch
):
    """But for the study of evaluation.md; and figures that the study does not ask for are left out."""
    study, docs = tmp_path / name, tmp_path / "docs"
    (study / "figures").mkdir(parents=True)
    (docs / "figures").mkdir(parents=True)
    (study / "study.yaml").write_text(json.dumps({"evaluation": {"controls": controls, "sweeps": [{"name": "dose"}]}}))
    for each in EVALUATION_FIGURES:
        (study / f"figures/{each}.json").write_text(json.dumps(figure(title=f"Of {each}")))
        cv2.imwrite(str(study / f"figures/{each}.png"), np.zeros((4, 4), np.uint8))
    monkeypatch.setattr(pages, "reported", lambda _: {"date": "2026-11-30", "versions": {}})
    monkeypatch.setattr(pages, "_tables", lambda _: [])
    pages.record(study, docs)
    text = (docs / f"{page}.md").read_text()
    shown = [each for each in EVALUATION_FIGURES if controls or each != "controls"]
    assert sorted(file.stem for file in (docs / "figures").iterdir()) == sorted(f"{prefix}{each}" for each in shown)
    assert all(f"](figures/{prefix}{each}.png)" in text for each in shown) and text.count("](figures/") == len(shown)
    assert ("So equal density comes first" in text) == bool(controls)
    # a page of one figure has its title, and no other figure
    pages.record(study, docs, ["leak"])
    text = (docs / f"{page}.md").read_text()
    assert text.startswith(f"# Of leak: the study `{name}`") and text.count("](figures/") == 1
    assert "docs --figures leak`" in text and "equal density" not in text
    with pytest.raises(PersistemError, match=r"has no figure 'leaks'; there are .*leak"):
        pages.record(study, docs, ["leaks"])


def test_a_list_begins_with_a_capital_and_ends_with_a_point():
    assert bullets(["one is 0.5.", "Two"]) == "- One is 0.5.\n- Two."


def test_the_decimals_of_the_papers_accuracies_need_many_crops():
    foci, near = 9, 5
    possible = judged_per_micrograph(foci, near)

    # by hand: each accuracy is right / judged, to half a thousandth
    def fits(crops):
        return all(
            any(abs(right / n - row["accuracy"]) <= 0.0005 + 1e-12 for right in range(n + 1))
            for row in ACCURACIES
            for n in [2 * crops * (foci if row["foci"] == "all" else near)]
        )

    assert [n for n in range(1, 62) if fits(n)] == [n for n in possible if n < 62] == [59, 61]
    text = decimals(Study().imaging.defoci, 25.0, 0.25, 16)
    assert "at least 59 crops of each micrograph were judged: 234 crops a micrograph where 25% are tested, 59" in text
    assert "fit only averages over 17 splits or more (5 where all are judged)" in text


def test_the_record_of_protocols_compares_numbers_finalists_and_claims(tmp_path):
    rows = [judged(), judged(protocol=5, deviation=0.03, answers={"polarity": "other", "crops": "own"})]
    result = {"numbers": NUMBERS, "seeds": [1, 2, 3, 4], "searched": [1], "tried": 96, "repetitions": 2}
    result |= {"finding": "None fits.", "finalists": rows}
    for name, status in (("search", None), ("paper", "not reproduced"), ("reconstruction", "reproduced")):
        folder = tmp_path / name
        (folder / "tables").mkdir(parents=True)
        (folder / "report.html").touch()
        statuses = dict.fromkeys((row["id"] for row in CLAIMS), "undecided") | {"svc-over-lr": status}
        statuses |= {"focus-helps": "reproduced", "filter-suffices": "not in this study"}
        claims = [row | {"status": statuses[row["id"]], "evidence": f"As {name} has it."} for row in CLAIMS]
        write_rows(folder / "tables/claims.csv", claims)
        ours = {"ours": 0.7, "ci_low": 0.6, "ci_high": 0.8, "one_low": 0.5, "one_high": 0.9, "agreement": "agrees"}
        row = {key: ACCURACIES[0][key] for key in ("degrees", "model", "foci")}
        write_rows(folder / "tables/paper.csv", [row | {"paper": 0.649, "split": "random"} | ours])
    study = tmp_path / "search"
    about = {"date": "2026-11-29", "digest": "0123456789ab", "versions": {"homcloud": "5"}}
    (study / "tables/about.json").write_text(json.dumps(about))
    (study / "provenance.json").write_text(json.dumps({"digest": "0123456789ab"}))
    (study / "study.yaml").write_text("name: search\n")
    (study / "figures").mkdir()
    for name in JOINT_FIGURES:
        cv2.imwrite(str(study / f"figures/{name}.png"), np.zeros((8, 8, 3), np.uint8))
        numbers = result if name == "compatibility" else {"finding": f"Of {name}."}
        drawn = {"title": name, "about": "About.", "caption": "More.", "reason": None, "numbers": numbers}
        (study / f"figures/{name}.json").write_text(json.dumps(drawn))
    (tmp_path / "docs/figures").mkdir(parents=True)
    record_protocols(study, tmp_path / "docs", [tmp_path / "paper", tmp_path / "reconstruction"])
    page = (tmp_path / "docs/protocols.md").read_text()
    assert "- None fits.\n- Of effects.\n- Of protocols." in page
    assert "| 0 | LR | all | 0.649 | 0.664 | 0.649 | 0.664 | 0.600 [0.50, 0.70] |" in page
    assert "| polarity: other | 0.030 (seed 1) | 0.800 | 0.600 | **compatible** | 0.60 |" in page
    assert (
        "| Accuracy: SVC > LR | not reproduced | reproduced | crops that overlap (`crops.random`) | **differs** |"
        in page
    )
    assert "| Accuracy: in focus > all foci | reproduced | reproduced |  |  |" in page
    assert "Of 16 claims 2 are reproduced in a study here, and 7 others have a choice" in page
    assert "| Accuracy: SVC > LR | `reconstruction` | As reconstruction has it. |" in page
    assert "| A low-pass filter suffices against noise | `paper` |" not in page
    assert "| 0 | LR | all | 0.649 | 0.700 [0.50, 0.90]: agrees | 0.700 [0.50, 0.90]: agrees |" in page
    assert (tmp_path / "docs/figures/effects.png").exists()
    quoted = "\n".join(_nearest(tmp_path / "docs"))
    assert (
        "- None fits." in quoted and "| 0 | LR | all | 0.649 | 0.664 | 0.649 | 0.664 | 0.600 [0.50, 0.70] |" in quoted
    )
    assert _nearest(tmp_path) == []
    (study / "figures/compatibility.json").unlink()
    with pytest.raises(PersistemError, match="one at a time"):
        record_protocols(study, tmp_path / "docs", [])
