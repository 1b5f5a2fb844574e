"""Evaluation, controls and sweeps of crops whose states differ in one known way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from persistem.descriptors.files import read_descriptors, write_descriptors
from persistem.errors import PersistemError
from persistem.evaluation.controls import controls_file
from persistem.evaluation.evaluate import evaluation_file
from persistem.evaluation.sweeps import describe_conditions, grouped, sweep_file
from persistem.learning.rows import available, candidates, read_described, representative, stack
from persistem.study import Band, Describing, Detector, Imaging, Learning

STATES = ["amorphous", "liquid"]
DEFOCI = (-50.0, 0.0)
CROPS = 8
SEEDS = 4
SIGNAL = {"name": "standard deviation", "task": "absolute", "blocks": [["contrast"]], "main": True}
NOISE = {"name": "noise", "task": "contrast removed", "blocks": [["moments"], ["texture"]], "main": True}
BOTH = {"name": "both", "task": "absolute", "blocks": [["moments"], ["contrast", "moments"]], "main": False}
RANDOM = {"name": "phase-randomised", "task": "contrast removed", "blocks": [["surrogate betti"]], "main": False}
ROWS = [SIGNAL, NOISE, BOTH, RANDOM]


def blocks(state: int, rng: np.random.Generator, size: int, apart: float = 6.0) -> dict[str, np.ndarray]:
    """Descriptors of a micrograph: the contrast tells the state, and nothing else does."""
    lengths = {"contrast": 1, "moments": 2, "texture": 5} | ({"surrogate betti": 3} if size == 64 else {})
    made = {name: rng.normal(size=(CROPS, length)).astype(np.float32) for name, length in lengths.items()}
    made["contrast"] += np.float32(apart * state)
    return made


def described(root: Path, folder: str, seeds: int = SEEDS, apart: float = 6.0) -> list[dict[str, Any]]:
    """Sources of the descriptors of a study, each with a file."""
    sources = []
    for seed in range(1, seeds + 1):
        for state in (0, 1):
            rng = np.random.default_rng([seed, state])
            rows = [(d, size, blocks(state, rng, size, apart)) for d in DEFOCI for size in (64, 128)]
            name = f"{STATES[state]}-s{seed:02d}"
            path = f"results/descriptors/{folder}/{name}.parquet"
            write_descriptors(rows, root / path)
            (root / f"{folder}-{name}.json").write_text(json.dumps({"density_g_cm3": 3.5 - state + 0.01 * seed}))
            record = {"specimen": name, "state": STATES[state], "seeds": [seed], "path": path}
            sources.append(record | {"summary": f"{folder}-{name}.json"})
    return sources


def persistence_images(root: Path, sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Images of every micrograph, which know their specimen and not its state."""
    found = []
    for k, source in enumerate(sources):
        for defocus in DEFOCI:
            rng = np.random.default_rng([k, int(defocus) + 100])
            path = f"results/persistence_images/a/{source['specimen']}-{defocus:g}.parquet"
            images = rng.normal(size=(2 * CROPS, 12)).astype(np.float32) + 3 * np.eye(12, dtype=np.float32)[k % 12]
            table = {
                "crop": pa.array(np.repeat(np.arange(CROPS), 2), "int32"),
                "degree": pa.array([0, 1] * CROPS, "int8"),
                "image": pa.FixedSizeListArray.from_arrays(pa.array(images.ravel(), "float32"), 12),
            }
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(table), root / path)
            found.append({k: source[k] for k in ("specimen", "state", "seeds")} | {"defocus": defocus, "path": path})
    return found


def common() -> dict[str, Any]:
    return {"states": STATES, "rows": ROWS, "C": [1.0], "models": ["LR", "SVC"], "in_focus": 25.0}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("evaluated")
    sources = described(root, "base")
    settings = common() | {"sizes": [64, 128], "pixel_size_A": 0.1, "permutations": 64, "draws": 2, "sources": sources}
    settings["recipes"] = {"paper": persistence_images(root, sources)}
    settings["learning"] = Learning(repetitions=2).model_dump(mode="json")
    return root, settings


def evaluated(root: Path, settings: dict[str, Any], name: str, jobs: int = 1) -> dict[str, Any]:
    evaluation_file(settings, root, root / name, jobs)
    found: dict[str, Any] = json.loads((root / name).read_text())
    return found


@pytest.fixture(scope="module")
def found(study: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    return evaluated(*study, "evaluation.json")


def of(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (row,) = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return row


def test_an_evaluation_has_what_its_figures_read(found):
    assert found.keys() == {
        "states", "seeds", "defoci", "in_focus", "leak", "rows", "permutation", "learning_curve", "calibration",
        "defocus_matrix",
    }  # fmt: skip
    assert (found["states"], found["seeds"], found["defoci"]) == (STATES, [1, 2, 3, 4], list(DEFOCI))
    numbers = {"accuracy", "ci_low", "ci_high"}
    assert all(row.keys() >= {"recipe", "model", "split", "n_splits", *numbers} for row in found["leak"])
    for row in found["rows"]:
        assert row.keys() >= {"row", "task", "crop_A", "training", "foci", "vote", "vote_low", "vote_high", *numbers}
        assert row["n_test"] == 2 * SEEDS * CROPS * (2 if row["foci"] == "all" else 1)
        assert ("chosen" in row) == (row["foci"] == "all")
        assert len(row.get("chosen", [0] * SEEDS)) == SEEDS
    main = {(row["name"], row["task"]) for row in ROWS if row["main"]}
    for part in ("permutation", "learning_curve", "calibration", "defocus_matrix"):
        assert {(row["row"], row["task"]) for row in found[part]} == main, part
    assert {row["seeds"] for row in found["learning_curve"]} == {1, 2, 3}
    assert {row["training"] for row in found["calibration"]} == {"per-defocus", "pooled"}
    # every row at the first size with both trainings; of others one, and without surrogates
    combinations = {(row["row"], row["crop_A"], row["training"]) for row in found["rows"]}
    names = {row["name"] for row in ROWS}
    assert combinations == {(name, 6.4, training) for name in names for training in ("per-defocus", "pooled")} | {
        (name, 12.8, "per-defocus") for name in names - {"phase-randomised"}
    }


def test_accuracy_is_where_the_signal_is(found):
    bound = 3 * 0.5 / np.sqrt(2 * SEEDS * CROPS * 2)
    for side in (6.4, 12.8):
        for foci in ("all", "in-focus", "-50", "0"):
            where = {"crop_A": side, "foci": foci, "training": "per-defocus"}
            assert of(found["rows"], row="standard deviation", **where)["accuracy"] > 0.98
            wide = bound if foci == "all" else bound * np.sqrt(2)
            assert abs(of(found["rows"], row="noise", **where)["accuracy"] - 0.5) < wide
    every = {"crop_A": 6.4, "foci": "all", "training": "per-defocus"}
    both = of(found["rows"], row="both", **every)
    assert both["accuracy"] > 0.98 and all(label.startswith("contrast + moments") for label in both["chosen"])
    assert of(found["rows"], row="standard deviation", **every)["vote"] == 1.0
    for row, p in (("standard deviation", 1 / 8), ("noise", None)):
        test = of(found["permutation"], row=row)
        assert test["arrangements"] == 8 and len(test["null"]) == 7  # of four seeds the first is not swapped
        assert test["p"] == p if p else test["p"] > 1 / 8
    curve = [point["accuracy"] for point in found["learning_curve"] if point["row"] == "standard deviation"]
    assert len(curve) == 3 and curve[-1] > 0.98
    matrix = np.array(of(found["defocus_matrix"], row="standard deviation")["accuracy"])
    assert matrix.shape == (2, 2) and matrix.min() > 0.95
    of_signal, of_noise = (
        of(found["calibration"], row=row, training="per-defocus")["brier"] for row in ("standard deviation", "noise")
    )
    assert of_signal < 0.1 < 0.4 < of_noise


def test_the_leak_of_images_that_know_their_specimen_is_seen(found):
    for model in ("LR", "SVC"):
        leak = {row["split"]: row["accuracy"] for row in found["leak"] if row["model"] == model}
        assert leak["random"] > 0.9 and leak["micrograph"] > 0.9 and leak["region"] > 0.9
        assert leak["seed"] < 0.75
    assert {row["recipe"] for row in found["leak"]} == {"paper"}


@pytest.mark.slow
def test_order_and_processes_change_nothing(study, found):
    root, settings = study
    images = settings["recipes"]["paper"]
    shuffled = settings | {
        "sources": settings["sources"][3:] + settings["sources"][2::-1],
        "recipes": {"paper": images[::-1]},
    }
    assert evaluated(root, shuffled, "shuffled.json", jobs=2) == found


def test_crops_come_in_one_order_with_their_place(study):
    root, settings = study
    first = read_described(settings["sources"], STATES, root, 64)
    again = read_described(settings["sources"][::-1], STATES, root, 64)
    assert all(np.array_equal(first.X[name], again.X[name]) for name in first.X)
    assert all(np.array_equal(a, b) for a, b in zip(first.crops[:4], again.crops[:4], strict=True))
    micrographs = 2 * SEEDS * len(DEFOCI)
    assert np.array_equal(first.position, np.tile(np.arange(CROPS), micrographs))
    assert np.array_equal(first.crops.micrograph, np.repeat(np.arange(micrographs), CROPS))
    liquid = read_descriptors(root / settings["sources"][1]["path"], 64)[0.0]["moments"]
    rows = (first.crops.y == 1) & (first.crops.seed == 1) & (first.crops.defocus == 0)
    assert np.array_equal(first.X["moments"][rows], liquid)


def test_descriptors_that_do_not_belong_together_are_refused(study, tmp_path):
    _, settings = study
    sources = described(tmp_path, "base", 3)
    rng = np.random.default_rng(0)
    write_descriptors([(0.0, 64, blocks(0, rng, 64))], tmp_path / sources[-1]["path"])
    with pytest.raises(PersistemError, match="liquid-s03 was described at other defoci"):
        read_described(sources, STATES, tmp_path, 64)
    write_descriptors([(d, 64, blocks(0, rng, 128)) for d in DEFOCI], tmp_path / sources[-1]["path"])
    with pytest.raises(PersistemError, match="liquid, seed 3, at -50 Å has other descriptors"):
        read_described(sources, STATES, tmp_path, 64)
    (tmp_path / sources[-1]["path"]).unlink()
    with pytest.raises(PersistemError, match=r"liquid-s03\.parquet"):
        evaluation_file(settings | {"sources": sources}, tmp_path, tmp_path / "e.json")
    assert not (tmp_path / "e.json").exists()
    with pytest.raises(PersistemError, match="no crop"):
        stack([], STATES)


def test_candidates_go_from_simple_to_rich():
    listed = candidates(BOTH, [10.0, 1.0], ["LR", "SVC"])
    assert [c.label() for c in listed] == [
        f"{features}, {model}, C = {C}"
        for features in ("moments", "contrast + moments")
        for model in ("LR", "SVC")
        for C in (1, 10)
    ]
    assert representative(BOTH, [10.0, 1.0], ["LR", "SVC"]).label() == "contrast + moments, LR, C = 10"
    assert available(ROWS, {"contrast": np.zeros((1, 1)), "moments": np.zeros((1, 2))}) == [SIGNAL, BOTH]


@pytest.mark.slow
def test_a_control_that_takes_the_difference_away_is_at_chance(tmp_path):
    listed = [
        {"name": "as simulated", "sources": described(tmp_path, "base", 4)},
        {"name": "equal", "sources": described(tmp_path, "equal", 3, apart=0.0)},
    ]
    settings = common() | {"rows": [SIGNAL, NOISE], "sizes": [64], "controls": listed, "permutations": 64}
    controls_file(settings, tmp_path, tmp_path / "controls.json")
    result = json.loads((tmp_path / "controls.json").read_text())
    base, equal = result["controls"]
    assert result["states"] == STATES
    assert base["seeds"] == [1, 2, 3, 4] and equal["seeds"] == [1, 2, 3] and base["defoci"] == list(DEFOCI)
    assert base["densities"] == {"amorphous": 3.525, "liquid": 2.525}
    assert base["name"] == "as simulated"
    assert of(base["rows"], row="standard deviation")["accuracy"] > 0.98
    assert abs(of(equal["rows"], row="standard deviation")["accuracy"] - 0.5) < 0.25  # of 96 crops
    for row in base["rows"]:
        assert row.keys() >= {"row", "task", "accuracy", "ci_low", "ci_high", "vote"}
    # the main rows are held against chance, as well as so few seeds allow
    test = of(base["permutation"], row="standard deviation")
    assert (test["arrangements"], test["as_good"], test["p"]) == (8, 1, 1 / 8) and "null" not in test
    assert of(equal["permutation"], row="standard deviation")["arrangements"] == 4
    few = settings | {"controls": [listed[0], listed[1] | {"sources": listed[1]["sources"][:4]}]}
    with pytest.raises(PersistemError, match=r"^control 'equal': .*three seeds"):
        controls_file(few, tmp_path, tmp_path / "few.json")
    (tmp_path / listed[1]["sources"][0]["summary"]).write_text("[]")
    with pytest.raises(PersistemError, match="control 'equal'"):
        controls_file(settings, tmp_path, tmp_path / "few.json")


IMAGING = Imaging(field=9.6, thickness=8.0, pixels=96, margin=1.0, defoci=(0.0,))
DESCRIBING = Describing(detector=Detector(), sizes=(32,), bands=(Band(),), images={})
SWEPT = [SIGNAL, {"name": "spectrum", "task": "contrast removed", "blocks": [["moments"], ["spectrum"]], "main": True}]


def synthetic(path: Path, imaging: Imaging, defocus: float) -> np.ndarray:
    """An image whose contrast tells the state of its file's name, the more the less astigmatism; 100 Å invert it."""
    state, seed = Path(path).stem.split("-s")
    noise = np.random.default_rng([int(seed), STATES.index(state), int(imaging.tilt[0])]).normal(size=(96, 96))
    larger = 1.0 - imaging.astigmatism / 50
    contrast = 0.1 * (2.0 ** (larger * (STATES.index(state) - 0.5)))
    return 1 + contrast * noise.clip(-3, 3) + 0 * defocus


def waves(seeds: list[list[int]], folder: str = "w") -> list[dict[str, Any]]:
    return [
        {"specimen": f"{state}-s{of[0]}", "state": state, "seeds": of, "path": f"{folder}/{state}-s{of[0]}"}
        for state in STATES
        for of in seeds
    ]


SINGLE = [[1], [2], [3], [4]]


def condition(value: Any, detector: Detector | None = None, size: int = 32, seeds: Any = SINGLE, **imaging: Any) -> Any:
    describing = DESCRIBING.model_copy(update={"detector": detector or Detector()})
    return {
        "value": value,
        "imaging": IMAGING.model_copy(update=imaging).model_dump(mode="json", exclude={"defoci"}),
        "describing": describing.model_dump(mode="json", include={"detector", "bands", "images"}),
        "size": size,
        "defocus": 0.0,
        "waves": waves(seeds),
    }


def sweep(conditions: list[Any], base: int = 0) -> dict[str, Any]:
    named = {"sweep": "a", "base": base, "rows": SWEPT, "conditions": conditions}
    return common() | named


def swept(root: Path, settings: dict[str, Any]) -> dict[str, Any]:
    out = root / "sweep.json"
    sweep_file(settings, root, out)
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def points(result: dict[str, Any], row: str, training: str, task: str = "") -> list[dict[str, Any]]:
    task = task or next(of["task"] for of in SWEPT if of["name"] == row)
    found: list[dict[str, Any]] = of(result["curves"], row=row, training=training, task=task)["points"]
    return found


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Synthetic images instead of those of exit waves, and which were asked for."""
    asked: list[tuple[str, Any]] = []

    def intensity(path: Path, imaging: Imaging, defocus: float) -> np.ndarray:
        asked.append((Path(path).name, imaging.astigmatism))
        return synthetic(path, imaging, defocus)

    monkeypatch.setattr("persistem.imaging.micrographs.intensity", intensity)
    return asked


def test_models_of_the_base_fail_where_models_of_the_condition_do_not(images, tmp_path):
    values = [0.0, 50.0, 100.0]
    result = swept(tmp_path, sweep([condition(v, astigmatism=v) for v in values]))
    assert {key: result[key] for key in result if key != "curves"} == {
        "sweep": "a", "base": 0, "values": values, "defocus": 0.0,
    }  # fmt: skip
    assert len(result["curves"]) == 4
    base, same = (points(result, "standard deviation", training) for training in ("base", "same"))
    assert [p["value"] for p in base] == values and all(p["reason"] is None for p in base + same)
    assert base[0] == same[0] and base[0]["accuracy"] > 0.98
    # states of the same contrast; and then the other way round
    assert abs(same[1]["accuracy"] - 0.5) < 0.2
    assert base[2]["accuracy"] < 0.02 and same[2]["accuracy"] > 0.98
    assert {p["n_test"] for p in base + same} == {8 * 9}
    assert all(p["ci_low"] <= p["accuracy"] <= p["ci_high"] for p in base + same)
    assert base[0]["called"] == pytest.approx({"amorphous": 0.5, "liquid": 0.5}, abs=0.02)


def test_an_accuracy_of_one_half_says_whether_it_is_guesswork_or_one_answer(images, tmp_path):
    """All contrasts half as large: models of the base call every crop the state of lower contrast."""
    conditions = [condition(0), condition(1, Detector(mtf=0.02))]
    point = points(swept(tmp_path, sweep(conditions)), "standard deviation", "base")[1]
    assert point["accuracy"] == 0.5 and point["called"] == {"amorphous": 1.0, "liquid": 0.0}


def test_a_wave_is_imaged_once_for_conditions_that_share_the_lens(images, tmp_path):
    conditions = [condition(None), condition(1e6, Detector(dose=1e6)), condition(5.0, astigmatism=5.0)]
    made, reasons = describe_conditions(sweep(conditions), tmp_path)
    assert len(images) == 2 * 8 == len(set(images))
    assert [len(of) for of in made] == [8, 8, 8] and reasons == [None] * 3
    contrast = {r["specimen"]: float(b["absolute"]["contrast"].mean()) for r, b in made[0]}
    for record, found in made[1]:
        assert float(found["absolute"]["contrast"].mean()) == pytest.approx(contrast[record["specimen"]], abs=0.05)
        # only what the representatives need
        assert found["absolute"].keys() == {"contrast"} and found["contrast removed"].keys() == {"spectrum"}


def test_the_order_of_conditions_and_waves_changes_no_number(images, tmp_path):
    conditions = [condition(0.0), condition(20.0, astigmatism=20.0)]
    first = swept(tmp_path, sweep(conditions))
    turned = [c | {"waves": c["waves"][::-1]} for c in conditions[::-1]]
    second = swept(tmp_path, sweep(turned, base=1))
    for curve in first["curves"]:
        assert points(second, curve["row"], curve["training"])[::-1] == curve["points"]


def test_a_condition_that_cannot_be_described_has_a_reason_and_no_number(images, tmp_path):
    low, coarse = condition(1.0, Detector(dose=1.0)), condition(7, Detector(binning=7))
    result = swept(tmp_path, sweep([condition(None), low, coarse, condition(64, size=48)]))
    alone = points(result, "spectrum", "same", "contrast alone")
    assert [p["accuracy"] for p in alone] == [None] * 4 and "no counting noise" in alone[0]["reason"]
    for curve in result["curves"][:4]:
        known, few, odd, other = curve["points"]
        assert known["accuracy"] is not None and known["reason"] is None
        for point, why in ((few, "too few"), (odd, "multiple")):
            assert why in point["reason"] and "\n" not in point["reason"]
            assert (point["accuracy"], point["ci_low"], point["ci_high"], point["n_test"]) == (None, None, None, 0)
            assert point["called"] is None
        # rings of a spectrum are others in other crops
        refused = (curve["row"], curve["training"]) == ("spectrum", "base")
        assert (other["accuracy"] is None) == refused == (other["reason"] is not None)
        assert not refused or "frequencies" in other["reason"]
    assert not (tmp_path / "conditions/1.parquet").exists()
    with pytest.raises(PersistemError, match=r"^sweep 'a': its base condition cannot be described: detector\.dose"):
        sweep_file(sweep([condition(None), low], base=1), tmp_path, tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()


def test_crops_of_almost_the_same_side_do_not_share_a_spectrum(images, tmp_path):
    """As many rings, of other frequencies."""
    result = swept(tmp_path, sweep([condition(9.6), condition(9.9, field=9.9)]))
    assert points(result, "spectrum", "base")[1]["accuracy"] is None
    assert "frequencies" in points(result, "spectrum", "base")[1]["reason"]
    assert points(result, "spectrum", "same")[1]["reason"] is None
    assert points(result, "standard deviation", "base")[1]["accuracy"] > 0.98


def test_models_of_other_pixels_are_refused_where_a_block_has_another_length(images, tmp_path):
    result = swept(tmp_path, sweep([condition(1), condition(2, Detector(binning=4))]))
    refused = points(result, "spectrum", "base")[1]
    assert refused["accuracy"] is None and "numbers here and" in refused["reason"]
    assert points(result, "spectrum", "same")[1]["reason"] is None
    assert points(result, "standard deviation", "base")[1]["reason"] is None


def test_seeds_that_share_a_stack_leave_together(images, tmp_path):
    assert grouped([{"waves": waves(SINGLE)}]) == {1: 1, 2: 2, 3: 3, 4: 4}
    assert grouped([{"waves": waves(SINGLE)}, {"waves": waves([[1, 2], [3, 4]])}]) == {1: 1, 2: 1, 3: 3, 4: 3}
    chain = [{"waves": waves([[3, 4], [1, 2]])}, {"waves": waves([[2, 3]])}, {"waves": waves([[5]])}]
    assert grouped(chain) == {1: 1, 2: 1, 3: 1, 4: 1, 5: 5}
    # the stack of seeds 1 and 2 is named after seed 1; seed 2 must not train what is tested on it
    result = swept(tmp_path, sweep([condition(1), condition(2, seeds=[[1, 2], [3, 4]])]))
    for training in ("base", "same"):
        point = points(result, "standard deviation", training)[1]
        assert point["n_test"] == 4 * 9 and point["accuracy"] > 0.98
        assert point["ci_low"] is None  # two groups
    alone = swept(tmp_path, sweep([condition(1), condition(2, seeds=[[1, 2, 3, 4]])]))
    for curve in alone["curves"]:
        for point in curve["points"]:
            assert point["accuracy"] is None and "left out" in point["reason"]


#: Electrons per Å²; a pixel of 0.1 Å counts a hundredth of them.
COUNTED = [None, 1e4, 2e3]


def noisy_sweep(
    root: Path, monkeypatch: pytest.MonkeyPatch, contrast: tuple[float, float], width: tuple[float, float]
) -> dict[str, Any]:
    """A sweep of the dose for states whose smooth random patterns have some contrast and width (px), by state."""
    from scipy.ndimage import gaussian_filter

    def intensity(path: Path, imaging: Imaging, defocus: float) -> np.ndarray:
        name, seed = Path(path).stem.split("-s")
        state = STATES.index(name)
        noise = np.random.default_rng([int(seed), state]).normal(size=(96, 96))
        pattern = gaussian_filter(noise, width[state], mode="wrap")
        return 1 + contrast[state] * pattern / pattern.std()

    monkeypatch.setattr("persistem.imaging.micrographs.intensity", intensity)
    seeds = [[k] for k in range(1, 7)]
    return swept(root, sweep([condition(d, Detector(dose=d), seeds=seeds) for d in COUNTED]))


def test_contrast_that_is_removed_does_not_come_back_through_the_noise(monkeypatch, tmp_path):
    """States that differ by contrast alone are at chance at every dose; the control says what they would be told by."""
    result = noisy_sweep(tmp_path, monkeypatch, contrast=(0.06, 0.12), width=(1.5, 1.5))
    wide = 4 * 0.5 / np.sqrt(2 * 6 * 9)
    for training in ("base", "same"):
        removed = [p["accuracy"] for p in points(result, "spectrum", training)]
        assert removed == pytest.approx([0.5] * len(COUNTED), abs=wide), training
    alone = [p["accuracy"] for p in points(result, "spectrum", "same", "contrast alone")]
    assert alone[0] is None and min(alone[1:]) > 0.8
    assert min(p["accuracy"] for p in points(result, "standard deviation", "same")[:2]) > 0.95


def test_patterns_of_equal_contrast_are_told_through_the_noise_and_contrast_alone_tells_nothing(monkeypatch, tmp_path):
    result = noisy_sweep(tmp_path, monkeypatch, contrast=(0.1, 0.1), width=(1.5, 2.0))
    removed = [p["accuracy"] for p in points(result, "spectrum", "same")]
    assert min(removed[:2]) > 0.85
    alone = [p["accuracy"] for p in points(result, "spectrum", "same", "contrast alone")]
    # crops of either state have a spread of contrasts
    assert alone[1:] == pytest.approx([0.5] * 2, abs=0.2)


@pytest.mark.parametrize("task", ["contrast removed", "absolute"])
def test_an_evaluation_with_noise_takes_the_equalised_blocks_where_contrast_is_removed(task):
    X = {name: np.zeros((1, 2)) for name in ("moments", "texture", "equalised moments", "equalised texture")}
    (row,) = available([NOISE | {"task": task}], X)
    before = "equalised " if task == "contrast removed" else ""
    assert row["blocks"] == [[f"{before}moments"], [f"{before}texture"]]


@pytest.mark.slow
def test_a_sweep_of_real_exit_waves(tmp_path):
    """Crystals rattled a little and much; the contrast by which they are told apart changes with the astigmatism."""
    from persistem.imaging.exit_waves import exit_wave
    from persistem.specimens.structures import crystal_of, write_structure
    from persistem.study import Material

    imaging = Imaging(field=6.4, thickness=6.0, pixels=64, margin=1.0, defoci=(0.0,), temporal_coherence="none")
    for record in waves([[1], [2], [3]]):
        atoms = crystal_of(Material(repetitions=(4, 4, 3)))
        atoms.rattle(0.03 if record["state"] == "amorphous" else 0.5, seed=record["seeds"][0])
        write_structure(tmp_path / "structure.extxyz", atoms)
        exit_wave(tmp_path / "structure.extxyz", imaging, tmp_path / record["path"])
    keys = ("field", "thickness", "pixels", "margin", "temporal_coherence")
    grid = {key: getattr(imaging, key) for key in keys}
    conditions = [condition(v, seeds=SINGLE[:3], **grid, astigmatism=v) for v in (0.0, 10.0)]
    result = swept(tmp_path, sweep(conditions))
    base, same = (points(result, "standard deviation", training) for training in ("base", "same"))
    assert all(point["n_test"] == 6 * 4 for point in base + same)
    assert base[0] == same[0] and min(point["accuracy"] for point in same) > 0.9
    assert base[1]["accuracy"] < same[1]["accuracy"]
    bad = condition(None, seeds=SINGLE[:3], **grid, voltage=300.0)
    with pytest.raises(PersistemError, match="300 kV"):
        sweep_file(sweep([bad]), tmp_path, tmp_path / "bad.json")
