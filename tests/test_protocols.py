"""Protocols: their numbers agree with the pipeline's, a search finds what is planted, and nothing is done twice."""

import json

import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.evaluation import compatibility, protocols
from persistem.evaluation.compatibility import compatibility_file, compatible
from persistem.evaluation.designs import full
from persistem.evaluation.protocols import Found, explored, protocols_file, read_protocols
from persistem.learning.accuracy import accuracy_table, read_by_seed
from persistem.report.paper import ACCURACIES
from persistem.study import Learning, Recipe
from persistem.topology.diagrams import diagram_table, read_diagrams, write_diagrams
from persistem.topology.persistence_images import persistence_images

STATES, SEEDS, DEFOCI, CROPS = ["amorphous", "liquid"], [1, 2, 3, 4], [-50.0, 0.0], 8
NUMBERS = [{key: n[key] for key in ("degrees", "model", "foci", "accuracy")} for n in ACCURACIES]
IMAGES = {
    "0": {"filtrations": ["superlevel"], "bins": 16, "sigma": 1.0},
    "1": {"filtrations": ["superlevel"], "bins": 32, "sigma": 16.0, "sigma_unit": "grey levels"},
}
LEARNING = {
    "0.0": {"C": 0.01, "scaling": "standard"},
    "0.1": {"C": 0.01, "scaling": "standard", "judged": "all"},
    "1.0": {"C": 0.1, "scaling": "maximum by degree", "penalised_intercept": [], "split_unit": "place"},
    "1.1": {
        "C": 0.1,
        "scaling": "maximum by degree",
        "penalised_intercept": [],
        "split_unit": "place",
        "judged": "all",
    },
}
FACTORS = [
    {"question": "mesh", "answers": ["coarse", "fine"]},
    {"question": "learning", "answers": ["as it is", "another way"]},
    {"question": "judged", "answers": ["test", "all"]},
]


def made(root, seeds=SEEDS):
    """Settings of protocols of made-up crops whose states differ a little in how rough they are."""
    sources = []
    for seed in seeds:
        for k, state in enumerate(STATES):
            rng = np.random.default_rng([seed, k])
            rough = rng.integers(0, 256, (len(DEFOCI) * CROPS, 16, 16))
            smooth = (rough + np.roll(rough, 1, 1) * (1 + k) / 2) / (1 + (1 + k) / 2)
            path = f"results/specimen_diagrams/0123456789ab/{state}-s{seed:02d}.parquet"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            write_diagrams(diagram_table(smooth.astype(np.uint8), Recipe()), root / path)
            sources.append({"state": state, "seed": seed, "path": path})
    return {
        "states": STATES,
        "seeds": seeds,
        "numbers": NUMBERS,
        "factors": FACTORS,
        "design": {"method": "full", "budget": 8, "repetitions": 3, "finalists": 2},
        "diagrams": {"factors": [], "by": {"": {"crops": CROPS, "defoci": DEFOCI, "sources": sources}}},
        "images": {"factors": [0], "by": IMAGES},
        "learning": {"factors": [1, 2], "by": LEARNING},
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("protocols")
    settings = made(root)
    out = root / "protocols.parquet"
    protocols_file(settings, root, out)
    return root, settings, read_protocols(out)


def test_numbers_are_those_of_the_learning_stage(finished):
    root, settings, table = finished
    for number, protocol in list(enumerate(full([2, 2, 2])))[::3]:
        recipe = Recipe(**IMAGES[str(protocol[0])])
        learning = Learning(**LEARNING[f"{protocol[1]}.{protocol[2]}"], repetitions=3)
        X = [persistence_images(read_diagrams(root / s["path"]), recipe, 2 * CROPS)
             for s in settings["diagrams"]["by"][""]["sources"]]  # fmt: skip
        each = len(SEEDS) * len(STATES)
        y, seed = np.tile(np.repeat([0, 1], 16), len(SEEDS)), np.repeat(SEEDS, 32)
        defocus = np.tile(np.repeat(DEFOCI, CROPS), each)
        place = np.tile(np.arange(CROPS), 2 * each)
        blocks = {k: np.concatenate([x[:, k] for x in X]) for k in (0, 1)}
        rows = accuracy_table(blocks, y, seed, defocus, learning, "toy", place=place)
        mine = np.array(table["protocol"]) == number
        for n in NUMBERS:
            (row,) = [
                r for r in rows
                if (r["degrees"], r["model"], r["foci"]) == (n["degrees"], n["model"], n["foci"])
                and (r["split"], r["training"]) == ("random", "pooled")
            ]  # fmt: skip
            values = np.array(table[protocols.name_of(n)])[mine].reshape(len(SEEDS), 3)
            np.testing.assert_allclose(values, list(read_by_seed(row["by_seed"]).values()), atol=2e-6)


def test_other_seeds_are_judged_once_and_their_crops_do_not_train(finished):
    _, _, table = finished
    first = np.array(table["repetition"]) == 0
    for n in NUMBERS:
        unseen = np.array(table[f"unseen {protocols.name_of(n)}"])
        assert np.isfinite(unseen[first]).all() and np.isnan(unseen[~first]).all()
        # shares of all crops of a seed
        count = {"all": 32, "in-focus": 16}[n["foci"]]
        np.testing.assert_allclose(unseen[first] * count, np.rint(unseen[first] * count), atol=1e-4)


def test_processes_change_nothing(finished, tmp_path):
    root, settings, table = finished
    protocols_file(settings, root, tmp_path / "again.parquet", jobs=2)
    again = read_protocols(tmp_path / "again.parquet")
    assert json.dumps(again) == json.dumps(table)


class Killed(Exception):
    pass


def test_what_a_killed_run_had_finished_is_not_done_twice(finished, tmp_path, monkeypatch):
    root, settings, table = finished
    out, done, real = tmp_path / "protocols.parquet", [], protocols.evaluated

    def dying(settings, root, wanted, jobs):
        for k, (protocol, seed, found) in enumerate(real(settings, root, wanted, jobs)):
            if k == 9:
                raise Killed
            done.append((protocol, seed))
            yield protocol, seed, found

    monkeypatch.setattr(protocols, "evaluated", dying)
    with pytest.raises(Killed):
        protocols_file(settings, root, out)
    journal = out.with_suffix(".journal")
    with journal.open("a") as file:  # killed while it wrote
        file.write("[[1, 1, 1], 4, [[0.5")
    monkeypatch.setattr(protocols, "evaluated", lambda s, r, wanted, j: (done.extend(wanted), real(s, r, wanted, j))[1])
    protocols_file(settings, root, out)
    assert len(done) == len(set(done)) == 8 * len(SEEDS)
    assert json.dumps(read_protocols(out)) == json.dumps(table) and not journal.exists()


def test_a_line_that_was_cut_short_does_not_take_the_next_with_it(finished, tmp_path, monkeypatch):
    root, settings, table = finished
    out, done, real = tmp_path / "protocols.parquet", [], protocols.evaluated
    out.with_suffix(".journal").write_text("[[1, 1, 1], 4, [[0.5")

    def dying(settings, root, wanted, jobs):
        for k, (protocol, seed, found) in enumerate(real(settings, root, wanted, jobs)):
            done.append((protocol, seed))
            yield protocol, seed, found
            if k == 4:
                raise Killed

    monkeypatch.setattr(protocols, "evaluated", dying)
    with pytest.raises(Killed):
        protocols_file(settings, root, out)
    monkeypatch.setattr(protocols, "evaluated", lambda s, r, wanted, j: (done.extend(wanted), real(s, r, wanted, j))[1])
    protocols_file(settings, root, out)
    assert len(done) == len(set(done)) == 8 * len(SEEDS)
    assert json.dumps(read_protocols(out)) == json.dumps(table)


def searched(budget, planted=(1, 2, 0, 1, 2, 1), counts=(2, 3, 2, 2, 4, 3)):
    """A search where the numbers of one protocol are the paper's, and each other answer takes them away from it."""
    settings = {
        "seeds": [1, 2],
        "numbers": NUMBERS,
        "factors": [{"question": str(k), "answers": list(map(str, range(n)))} for k, n in enumerate(counts)],
        "design": {"method": "search", "budget": budget, "resolution": 3, "seed": 0},
    }
    asked = []

    def evaluate(wanted):
        asked.extend(wanted)
        away = {p: 0.02 * sum(a != b for a, b in zip(p, planted, strict=True)) for p in wanted}
        return {
            (p, s): Found([[n["accuracy"] + away[p] + 0.01 * s for n in NUMBERS]], [0.5] * len(NUMBERS))
            for p in wanted for s in settings["seeds"]
        }  # fmt: skip

    results, origins = explored(settings, evaluate, lambda what: None)
    assert len(asked) == len(set(asked)) == len(origins) <= budget
    return settings, results, origins, planted


def test_a_search_finds_a_planted_protocol_among_many():
    settings, results, origins, planted = searched(60)
    assert min(origins, key=lambda p: protocols.score(settings, results, p)) == planted
    assert protocols.score(settings, results, planted) == pytest.approx(0.01)  # on the nearer seed
    assert origins[planted] == "improving" and list(origins.values())[:8] == ["screening"] * 8


def test_a_search_ends_when_everything_is_tried():
    *_, origins, _ = searched(10_000)
    assert len(origins) == 2 * 3 * 2 * 2 * 4 * 3


def scattered(rng, n, splits, shift=0.0):
    """Numbers of n specimens, and of one more that is shifted; their scatter is correlated as that of accuracies."""
    mixing = np.random.default_rng(5).normal(size=(8, 8)) * 0.02 + 0.02
    values = 0.7 + rng.normal(size=(n + 1, 1, 8)) @ mixing + 0.02 * rng.normal(size=(n + 1, splits, 8))
    return values[:n], values[n, 0] + shift * np.array([1, -1] * 4)


@pytest.mark.parametrize(("n", "splits"), [(8, 2), pytest.param(5, 1, marks=pytest.mark.thorough), (3, 2)])
def test_a_further_specimen_is_called_compatible_as_often_as_it_should(n, splits, monkeypatch):
    monkeypatch.setattr(compatibility, "DRAWS", 79)
    rng = np.random.default_rng(n)
    p = [compatible(*scattered(rng, n, splits)) for _ in range(120)]
    assert 0.9 <= np.mean(np.array(p) > 0.05) <= 0.99


def test_numbers_that_no_specimen_gives_are_told(monkeypatch):
    monkeypatch.setattr(compatibility, "DRAWS", 39)
    rng = np.random.default_rng(0)
    p = {shift: np.mean([compatible(*scattered(rng, 8, 2, shift)) <= 0.05 for _ in range(40)]) for shift in (0.0, 0.2)}
    assert p[0.0] < 0.2 and p[0.2] > 0.8


def test_finalists_are_the_nearest_and_the_study_itself(finished, tmp_path, monkeypatch):
    root, settings, _ = finished
    monkeypatch.setattr(compatibility, "DRAWS", 99)
    protocols_file(settings | {"seeds": [1]}, root, root / "found.parquet")
    compatibility_file(settings | {"searched": [1], "protocols": "found.parquet"}, root, tmp_path / "c.json", jobs=2)
    result = json.loads((tmp_path / "c.json").read_text())
    own, *others = result["finalists"]
    assert set(own["answers"].values()) == {"coarse", "as it is", "test"} and result["tried"] == 8
    assert others[0]["protocol"] != 0 and len(others) == 2
    for row in result["finalists"]:
        values = np.array([row["by_seed"][str(s)] for s in SEEDS])
        paper = np.array([n["accuracy"] for n in NUMBERS])
        np.testing.assert_allclose(row["mean"], values.mean(axis=(0, 1)), atol=1e-6)
        assert row["deviation"] == pytest.approx(np.abs(values.mean(axis=1) - paper).max(axis=1).min(), abs=1e-6)
        assert row["p_corrected"] >= row["p"] > 0 and row["p_confirmed"] is not None
        assert set(row["unseen"]["by_seed"]) == {"1", "2", "3", "4"}


def test_a_file_that_holds_no_protocols_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(PersistemError, match=r"a\.parquet: not a Parquet file of protocols"):
        read_protocols(tmp_path / "a.parquet")
