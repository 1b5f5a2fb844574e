"""A joint multiverse in a study: what its protocols share, what is refused, and its figures."""

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from persistem.errors import PersistemError
from persistem.evaluation.designs import full
from persistem.evaluation.protocols import name_of, used
from persistem.plan.plan import Plan
from persistem.report.figures import compatibility, effects, protocols
from persistem.report.figures.drawing import CannotDraw, settle, style, write
from persistem.report.paper import ACCURACIES
from persistem.study.load import make_study
from support.figures import check_print
from support.studies import TINY, changed

SERIES = [{"temperatures": [6000], "seeds": [1, 2, 3, 4]}]
SMALL = {
    "describing": {"sizes": [64], "images": {}},
    "rows": [{"name": "standard deviation", "task": "absolute", "blocks": [["contrast"]], "main": True}],
}
NUMBERS = [{key: n[key] for key in ("degrees", "model", "foci", "accuracy")} for n in ACCURACIES]


def factor(question, *answers):
    return {"question": question, "answers": [{"answer": str(k), "settings": a} for k, a in enumerate(answers)]}


FACTORS = [
    factor("origin", {"imaging.defocus_origin": "exit"}),
    factor("polarity", {"features.paper.inverted": True}),
    factor("crops", {"crops": {"size": 64, "random": 6}}, {"crops": {"size": 32, "stride": 32}}),
    factor("filtration", {"features.paper.filtrations": ["sublevel"]}),
    factor("mesh", {"features.paper.bins": 32, "features.paper.sigma": 1.0}),
    factor("recipe", {"features.paper.weight": {"form": "atan"}, "learning.scaling": "maximum by degree"}),
]


def planned(factors=FACTORS, design=None, seeds=(), series=SERIES, **more):
    asked = {"factors": factors, "design": design or {"method": "full"}, "seeds": list(seeds)}
    study = changed(TINY, "md.series", series) | {"evaluation": SMALL | {"multiverse": asked}} | more
    return Plan(make_study(study))


def settings(plan, stage="protocols"):
    return plan.settings(stage, Path(getattr(plan.evaluation.joint, stage)).parent.name)


def test_protocols_share_what_their_answers_leave_alone():
    plan = planned()
    asked = settings(plan)
    assert [asked[name]["factors"] for name in ("diagrams", "images", "learning")] == [[0, 1, 2, 3], [3, 4, 5], [5]]
    assert {name: len(asked[name]["by"]) for name in ("diagrams", "images", "learning")} == {
        "diagrams": 24, "images": 8, "learning": 2,
    }  # fmt: skip
    # one file of diagrams for each specimen and way to make them, and no micrographs but those of two origins
    assert len(plan.steps["specimen_diagrams"]) == 24 * 2 and len(plan.steps["micrographs"]) == 2 * 2
    assert len(plan.steps["specimens"]) == 2 and "learning" not in {s for s in plan.steps if len(plan.steps[s]) > 1}


def test_every_protocol_is_what_its_answers_say():
    asked = settings(planned())
    for protocol in full([2, 2, 3, 2, 2, 2]):
        _, polarity, crops, filtration, mesh, recipe = protocol
        image, learning = used(asked, "images", protocol), used(asked, "learning", protocol)
        assert image["filtrations"] == [["superlevel"], ["sublevel"]][filtration]
        assert (image["bins"], image["sigma"]) == [(TINY_BINS, 2.0), (32, 1.0)][mesh]
        assert image["weight"]["form"] == ("linear", "atan")[recipe]
        assert learning["scaling"] == ("standard", "maximum by degree")[recipe]
        assert used(asked, "diagrams", protocol)["crops"] == (4, 6, 16)[crops]
        digest = used(asked, "diagrams", protocol)["sources"][0]["path"].split("/")[2]
        stage = planned().settings("specimen_diagrams", digest)
        assert stage["recipe"].get("inverted", False) == bool(polarity)
        assert stage["recipe"]["filtrations"] == image["filtrations"]


TINY_BINS = make_study(TINY).features["paper"].bins


def test_a_search_reads_the_seeds_that_it_searches_and_is_confirmed_on_all():
    plan = planned(design={"method": "search", "budget": 40}, seeds=[2])
    seeds = {
        stage: {source["seed"] for one in settings(plan, stage)["diagrams"]["by"].values() for source in one["sources"]}
        for stage in ("protocols", "compatibility")
    }
    assert seeds == {"protocols": {2}, "compatibility": {1, 2, 3, 4}}
    assert settings(plan, "compatibility")["searched"] == [2]


def series(*seeds):
    return [{"temperatures": [6000], "seeds": list(seeds)}]


CRYSTAL = {"states": {"crystal": {"temperature": 6000, "rt": True}, "liquid": {"temperature": 6000, "rt": False}}}
REFUSED = [
    ({"factors": [factor("a", {"features.paper.intensity": {"method": "clahe", "scope": "crop"}}),
                  factor("b", {"features.paper.intensity": {"method": "window"}})]},
     r"a and b both set features\.paper\.intensity, .*make them answers to one question"),
    ({"factors": [factor("a", {"crops.stride": 32}), factor("b", {"crops": {"size": 64, "random": 6}})]},
     "a and b both set crops"),
    ({"factors": [factor("a", {"crops": {"size": 64, "stride": 32, "random": 6}})]},
     r"factors\[0\] \(0\): crops\.stride = 32 and crops\.random = 6"),
    ({"design": {"method": "full", "budget": 50}}, r"budget = 50: the full design of 6 questions has 96 protocols"),
    ({"design": {"method": "fractional", "budget": 3}}, r"budget = 3: the fractional design .* lower resolution"),
    ({"design": {"method": "search", "budget": 4}, "seeds": [1]}, r"budget = 4: the search design"),
    ({"design": {"method": "search"}, "seeds": [1, 2]}, r"seeds = \[1, 2\]: .* confirmed on 3 other seeds or more"),
    ({"design": {"method": "search"}, "seeds": [9]}, r"seeds = \[9\]: the study's states have seeds \[1, 2, 3, 4\]"),
    ({"factors": []}, "none is given"),
    ({"factors": [factor("a", {"learning.repetitions": 3})]}, r"learning\.repetitions: cannot differ between"),
    ({"factors": [factor("a", {"features.paper.positions": True})]}, r"features\.paper\.positions: cannot differ"),
    ({"factors": [factor("a", {"imaging.volt": 3.0})]}, r"factors\[0\] \(0\): imaging\.volt: no such key"),
    ({"factors": [factor("a", {"learning.C": 0.01})]}, r"factors\[0\] \(0\): learning\.C makes no difference"),
    ({"factors": [factor("a", {"learning.C": 1.0}), factor("a", {"imaging.Cs": 0.1})]}, "two questions are called 'a'"),
    (CRYSTAL, r"accuracies of amorphous and liquid; the study's states are crystal, liquid"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "message"), REFUSED)
def test_a_joint_multiverse_that_cannot_work_is_refused(what, message):
    with pytest.raises(PersistemError, match=message) as refusal:
        planned(**what)
    assert "\n" not in str(refusal.value).strip()


def test_fewer_than_three_seeds_say_nothing_of_compatibility():
    with pytest.raises(PersistemError, match=r"3 seeds"):
        planned(series=series(1, 2))


# figures


def table(root, search=True):
    """Protocols of a full design; the first question, asked with the second, lowers rings by 0.1."""
    factors = [{"question": q, "answers": ["own", "other"]} for q in ("polarity", "crops", "weight of a pair")]
    rows = []
    for number, answers in enumerate(itertools.product((0, 1), repeat=3)):
        for seed, repetition in itertools.product((1, 2), (0, 1)):
            rng = np.random.default_rng([number, seed, repetition])
            row = {"protocol": number, "origin": "improving" if search and number == 7 else "screening"}
            row |= {f["question"]: f["answers"][a] for f, a in zip(factors, answers, strict=True)}
            row |= {"seed": seed, "repetition": repetition}
            for n in NUMBERS:
                value = n["accuracy"] + 0.002 * rng.normal() + 0.02 * answers[2] * (n["model"] == "SVC")
                value -= 0.1 * answers[0] * answers[1] * (n["degrees"] == "1")
                row |= {name_of(n): value, f"unseen {name_of(n)}": 0.6 if repetition == 0 else np.nan}
            rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), root / "protocols.parquet")
    return {"protocols": "protocols.parquet", "factors": factors, "numbers": NUMBERS, "method": "full"}


def test_the_paper_has_the_features_that_its_numbers_say():
    found = effects.features(np.array([[n["accuracy"] for n in NUMBERS]]), NUMBERS)[0]
    # by hand: (0.756 + 0.790 - 0.649 - 0.672) / 2, and so on
    np.testing.assert_allclose(found, [0.1125, 0.03725, 0.022, 0.032, 0.763875], atol=1e-9)


def test_effects_and_interactions_are_those_that_are_planted(tmp_path):
    with style():
        drawing = effects.draw(table(tmp_path, search=False), tmp_path)
    change = {(row["question"], name): row[name] for row in drawing.numbers["effects"] for name in effects.FEATURES}
    assert change["weight of a pair", "SVC − LR"] == pytest.approx(0.02, abs=0.003)
    assert change["weight of a pair", "1st − 0th"] == pytest.approx(0, abs=0.003)
    # 0.1 less in half of the protocols
    assert change["polarity", "1st − 0th"] == pytest.approx(-0.05, abs=0.003)
    first = drawing.numbers["interactions"][0]
    assert first["questions"] == ["polarity", "crops"] and first["feature"] == "1st − 0th"
    # of a product of two, a third of the variance is of each alone and a third of both together
    assert first["share"] == pytest.approx(1 / 3, abs=0.03)
    assert "weight of a pair: other (+0.02)" in drawing.caption


def judged(**more):
    values = [[[n["accuracy"] + 0.01 * seed for n in NUMBERS]] * 2 for seed in range(4)]
    return {
        "protocol": 0,
        "answers": {"polarity": "own", "crops": "own"},
        "deviation": 0.0,
        "nearest_seed": 1,
        "by_seed": {str(seed): of for seed, of in enumerate(values, 1)},
        "mean": np.mean(values, axis=(0, 1)).round(4).tolist(),
        "p": 0.4,
        "p_confirmed": 0.3,
        "p_corrected": 0.8,
        "p_confirmed_corrected": 0.6,
        "unseen": {"by_seed": {}, "mean": [0.6] * 8, "low": [0.5] * 7 + [None], "high": [0.7] * 7 + [None]},
    } | more


def test_the_nearest_compatible_protocol_is_shown(tmp_path):
    rows = [
        judged(),
        judged(protocol=3, deviation=0.02, p_confirmed_corrected=0.01),
        judged(protocol=5, deviation=0.03, answers={"polarity": "other", "crops": "own"}),
        judged(protocol=6, deviation=0.2),
    ]
    result = {"numbers": NUMBERS, "seeds": [1, 2, 3, 4], "searched": [1], "tried": 96, "repetitions": 2}
    (tmp_path / "c.json").write_text(json.dumps(result | {"finalists": rows}))
    with style():
        drawing = compatibility.draw({"compatibility": "c.json"}, tmp_path)
        settle(drawing.figure)
        check_print(drawing.figure)
    assert drawing.numbers["finding"] == (
        "Of 96 protocols 2 of the 3 nearest come within 0.05 of all of the paper's accuracies on some seed, and 2 of"
        " them are compatible with the paper (p > 0.05). The nearest of these deviates by 0.030 at most on seed 1 (p ="
        " 0.600); on unseen seeds both degrees give LR 0.60, SVC 0.60, where the paper states LR 0.77, SVC 0.82."
    )
    assert "(b) polarity: other." in drawing.caption
    assert [row["verdict"] for row in drawing.numbers["finalists"]] == ["compatible", "excluded", *["compatible"] * 2]


def test_the_map_of_protocols_names_the_nearest(tmp_path):
    with style():
        drawing = protocols.draw(table(tmp_path), tmp_path)
    away = {int(k): row["deviation"] for k, row in drawing.numbers["protocols"].items()}
    assert drawing.numbers["study"] == 0 and len(away) == 8
    assert away[6] == pytest.approx(0.1, abs=0.01) and away[0] < 0.01 and away[1] == pytest.approx(0.02, abs=0.01)
    assert "is right in 0.60 on another seed" in drawing.caption


@pytest.mark.parametrize("module", [effects, protocols])
def test_figures_of_protocols_can_be_printed(module, tmp_path):
    with style():
        figure = module.draw(table(tmp_path), tmp_path).figure
        settle(figure)
        check_print(figure)


def test_without_a_joint_design_there_is_nothing_to_draw(tmp_path):
    for module in (effects, protocols, compatibility):
        with pytest.raises(CannotDraw, match="one at a time"):
            module.draw({"protocols": "", "compatibility": "", "factors": [], "numbers": []}, tmp_path)
    write("effects", {"protocols": "", "factors": [], "numbers": []}, tmp_path, tmp_path)
    assert "one at a time" in json.loads((tmp_path / "effects.json").read_text())["reason"]
