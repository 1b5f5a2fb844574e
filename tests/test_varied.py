"""Micrographs under drawn conditions: how they are drawn, and that each is what a single one is."""

from pathlib import Path

import abtem
import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.imaging.detector import detected
from persistem.imaging.micrographs import intensity
from persistem.imaging.optics import abtem_settings
from persistem.imaging.varied import _micrograph, blurred, drawn, read_varied, recorded, varied_file
from persistem.model.card import _drawn, _ranges, binned
from persistem.plan.plan import Plan
from persistem.specimens.slabs import grid
from persistem.study import Conditions, Detector, Imaging
from persistem.study.load import make_study
from support.studies import TINY, changed

ALL = Conditions(
    number=64, waves=4, thickness=(30, 70), tilt=16, defocus=(-100, 100), astigmatism=(0, 50), coma=(0, 500),
    energy_spread=(0.3, 1.0), dose=(400, None), mtf=(0.3, 1.0), pixel_size=(0.1, 0.25), drift=(0, 0.5),
    contrast=(0.5, 1.2),
)  # fmt: skip
RANGES = {name: value for name, value in ALL if isinstance(value, tuple)}


def test_conditions_fill_their_ranges_evenly_and_are_the_same_each_time():
    found = drawn(ALL, [0, 1])
    assert found == drawn(ALL, [0, 1]) != drawn(ALL, [1, 1])
    assert len(found) == 64 and {c["wave"] for c in found} == {0, 1, 2, 3}
    for name, (low, high) in RANGES.items():
        values = [c[name] for c in found]
        if name == "dose":
            # evenly in the noise, from none to that of 400 electrons
            values, low, high = [value**-0.5 for value in values], 0.0, 400**-0.5
        if name == "contrast":
            values, low, high = np.log(values), np.log(low), np.log(high)
        counts, _ = np.histogram(values, 4, (low, high))
        assert counts.sum() == 64, name
        assert counts.min() > 0 if name == "thickness" else counts.tolist() == [16] * 4, name
    # micrographs of one exit wave share its thickness and tilt
    for wave in range(4):
        own = [c for c in found if c["wave"] == wave]
        assert len({(c["thickness"], *c["tilt"]) for c in own}) == 1 and np.hypot(*own[0]["tilt"]) <= 16
    assert drawn(Conditions(number=3, waves=1, defocus=(5, 5)), [0, 1]) == [{"wave": 0, "defocus": 5.0}] * 3


IMAGING = Imaging(field=12.8, pixels=128, margin=0.8, thickness=5.0, energy_spread=0.7, focal_nodes=5)


@pytest.fixture(scope="module")
def wave(tmp_path_factory):
    """An exit wave of random phase."""
    points = grid(IMAGING)
    phase = np.random.default_rng(0).normal(size=(points.pixels,) * 2)
    file = tmp_path_factory.mktemp("wave") / "wave.zarr"
    with abtem_settings("cpu"):
        abtem.Waves(np.exp(0.3j * phase).astype(np.complex64), energy=2e5, sampling=points.sampling).to_zarr(str(file))
    return file


def test_each_micrograph_is_what_the_single_one_is(wave, tmp_path):
    asked = ALL.model_copy(update={"number": 4, "waves": 1, "thickness": None, "tilt": None, "pixel_size": (0.1, 0.2)})
    conditions = drawn(asked, [0, 7])
    varied_file(wave, IMAGING, conditions, tmp_path / "v.npz")
    for (image, size), c in zip(read_varied(tmp_path / "v.npz"), conditions, strict=True):
        lens = ("astigmatism", "astigmatism_angle", "coma", "coma_angle", "energy_spread")
        alone = intensity(wave, IMAGING.model_copy(update={name: c[name] for name in lens}), c["defocus"])
        expected, expected_size = recorded(alone, 0.1, c)
        assert size == expected_size and size in (0.1, 0.2)
        np.testing.assert_array_equal(image, expected.astype(np.float32))
    varied_file(wave, IMAGING, conditions, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "v.npz").read_bytes()


def test_what_is_not_varied_leaves_the_image_alone():
    image = 1 + 0.1 * np.random.default_rng(0).normal(size=(64, 48))
    same, size = recorded(image, 0.1, {"wave": 0})
    np.testing.assert_allclose(same, image, rtol=1e-12)
    assert size == 0.1
    half, _ = recorded(image, 0.1, {"contrast": 0.5})
    assert half.std() == pytest.approx(image.std() / 2) and half.mean() == pytest.approx(image.mean())
    counted, _ = recorded(image, 0.1, {"dose": 500.0, "mtf": 0.4})
    assert counted.std() > image.std() and counted.mean() == pytest.approx(image.mean(), abs=0.02)
    blurred_by_camera, _ = recorded(image, 0.1, {"mtf": 0.4})
    np.testing.assert_allclose(blurred_by_camera, detected(image, 0.1, Detector(mtf=0.4)), rtol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 90.0, 30.0])
def test_drift_blurs_along_its_direction_alone(angle):
    image = np.zeros((65, 65))
    image[32, 32] = 1.0
    spread = blurred(image, 3.0, angle)
    rows, columns = np.indices(image.shape) - 32
    along = columns * np.cos(np.radians(angle)) + rows * np.sin(np.radians(angle))
    across = rows * np.cos(np.radians(angle)) - columns * np.sin(np.radians(angle))
    assert spread.sum() == pytest.approx(1) and (spread * along**2).sum() == pytest.approx(9, rel=1e-2)
    assert abs((spread * across**2).sum()) < 0.1


def test_a_file_that_holds_none_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"no")
    with pytest.raises(PersistemError, match=r"a\.npz: not a file of micrographs under conditions"):
        read_varied(tmp_path / "a.npz")


def test_bins_hold_as_many_each_and_keep_what_is_infinite():
    values = np.r_[np.arange(100.0), np.inf]
    found = binned(values)
    assert np.unique(found[:-1]).tolist() == [9.5, 29.5, 49.5, 69.5, 89.5] and np.isinf(found[-1])
    assert binned(np.array([1.0, 2.0, 2.0])).tolist() == [1, 2, 2]


def planned(**conditions):
    study = changed(TINY, "md.series", [{"temperatures": [6000], "seeds": [1, 2, 3]}])
    return Plan(make_study(study | {"model": {"windows": {"size": 6.0}, "conditions": conditions}}))


def test_a_study_images_all_states_of_a_seed_under_the_same_conditions_and_no_two_seeds():
    plan = planned(number=6, waves=2, thickness=[6, 10], defocus=[-50, 50])
    sources = plan.model.settings["sources"]
    assert len(sources) == 6 * 2 and sum(len(s["conditions"]) for s in sources) == 6 * 6
    assert len(plan.steps["varied"]) == len(sources)
    by_state = {}
    for source in sources:
        by_state.setdefault(source["state"], {}).setdefault(tuple(source["seeds"]), []).append(source["conditions"])
    hot, cold = by_state.values()
    assert hot == cold and len({s["thickness"] for s in sources}) == 3 * 2
    for source in sources:
        digest = Path(source["path"]).parts[2]
        wave = plan.input_digest("varied", digest)
        assert plan.settings("exit_waves", wave)["thickness"] == source["thickness"]
        assert plan.settings("varied", digest)["conditions"] == source["conditions"]
        assert plan.settings("varied", digest)["imaging"]["thickness"] == source["thickness"]


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"defocus": [5, 1]}, "lower end of the range comes first"),
        ({"dose": [0, 100]}, "greater than 0"),
        ({"mtf": [0, 1]}, "greater than 0"),
        ({"dose": [0.5, 100]}, "electrons hit a window, too few"),
        ({"pixel_size": [0.01, 0.2]}, "of the simulated pixels"),
        ({"thickness": [6, 60]}, "thick"),
        ({"number": 2, "waves": 3}, "waves = 3: at most number = 2"),
    ],
)
def test_conditions_that_cannot_be_are_refused(conditions, message):
    with pytest.raises(PersistemError, match=message):
        planned(**conditions)


@pytest.mark.parametrize(
    ("imaging", "conditions", "message"),
    [
        ({"astigmatism": 80.0}, {"astigmatism": [0, 50]}, r"imaging\.astigmatism = 80: outside .*, 0 to 50, so"),
        ({"tilt": [12.0, 16.0]}, {"tilt": 16.0}, r"imaging\.tilt = 20: outside model\.conditions\.tilt, 0 to 16"),
        ({"temporal_coherence": "none"}, {"energy_spread": [0.5, 1]}, "energy_spread: changes nothing with"),
    ],
)
def test_conditions_that_contradict_the_imaging_are_refused(imaging, conditions, message):
    study = TINY | {"imaging": TINY["imaging"] | imaging}
    with pytest.raises(PersistemError, match=message):
        make_study(study | {"model": {"windows": {"size": 6.0}, "conditions": conditions}})


def test_ranges_do_not_stand_beside_lists():
    with pytest.raises(PersistemError, match=r"model\.doses: given together with model\.conditions"):
        make_study(TINY | {"model": {"windows": {"size": 6.0}, "doses": [400.0], "conditions": {"defocus": [0, 9]}}})


LISTED = {"dose": [400.0, 1600.0, None], "defocus": [-50.0, 0.0, 50.0], "thickness": [6.0, 10.0]}


def test_what_is_listed_is_each_as_often():
    asked = Conditions(number=48, waves=2, contrast=(0.5, 1.0), listed=LISTED)
    found = drawn(asked, [3])
    for name, values in LISTED.items():
        counts = [sum(c[name] == value for c in found) for value in values]
        # 64 places, of which the first 48 are taken
        assert sum(counts) == 48 and min(counts) >= 48 / len(values) - 2, (name, counts)
    assert asked.ranges() == {
        "thickness": [6.0, 10.0], "defocus": [-50.0, 50.0], "dose": [400.0, None], "contrast": [0.5, 1.0]
    }  # fmt: skip


def test_a_study_may_list_conditions_and_the_rest_of_it_knows():
    plan = planned(number=6, waves=2, listed=LISTED)
    assert {s["thickness"] for s in plan.model.settings["sources"]} == {6.0, 10.0}
    assert plan.study.model.trained_doses == (400.0, 1600.0, None) and plan.study.model.trained_contrast == (1.0, 1.0)
    assert _ranges(plan.study.model.conditions)["defocus"] == [-50.0, 50.0]
    assert "defocus -50, 0, 50 Å; dose 400, 1600, ∞ e/Å²: 6" in _drawn(_ranges(plan.study.model.conditions))
    # without a list nothing of it is in the digest
    assert "listed" not in plan_settings(planned(number=6, defocus=[0, 5]))


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"listed": {"defocus": []}}, "needs one value or more, each once"),
        ({"listed": {"defocus": [5, 5]}}, "needs one value or more, each once"),
        ({"listed": {"defocus": [5, None]}}, "null is allowed for a dose alone"),
        ({"listed": {"mtf": [0.0, 0.5]}}, "greater than 0"),
        ({"listed": {"mtf": [0.5]}, "mtf": [0.3, 1]}, "mtf: has a range and a list; give one of them"),
        ({"listed": {"tilt": [3.0]}}, "tilt"),
        ({"listed": {"dose": [400, 2e9]}}, r"at most 1e\+09 is counted; null is no noise"),
        ({"listed": {"dose": [0.5]}}, "electrons hit a window, too few"),
        ({"listed": {"pixel_size": [0.01, 0.2]}}, "of the simulated pixels"),
        ({"listed": {"thickness": [6, 60]}}, "thick"),
    ],
)
def test_lists_that_cannot_be_are_refused(conditions, message):
    with pytest.raises(PersistemError, match=message):
        planned(**conditions)


def plan_settings(plan):
    return plan.model.settings["model"]["conditions"]


def test_a_dose_that_no_detector_counts_is_none():
    asked = Conditions(dose=(400.0, None))
    for u in (0.0, 1e-9, 1e-6, 1e-5, 1e-4, 6e-4, 1e-3, 1.0):
        dose = _micrograph(asked, np.full(11, u))["dose"]
        assert dose is None if u < 6.3e-4 else dose == pytest.approx(400 / u**2)
        assert detected(np.ones((64, 64)), 0.2, Detector(dose=dose)).mean() == pytest.approx(1, abs=0.1)


def test_doses_of_a_range_are_those_of_even_noise():
    asked = make_study(TINY | {"model": {"windows": {"size": 6.0}, "conditions": {"dose": [400.0, None]}}}).model
    assert asked.trained_doses == (400.0, 711.111, 1600.0, 6400.0, None) and asked.trained_contrast == (1.0, 1.0)
    plain = make_study(TINY | {"model": {"windows": {"size": 6.0}, "conditions": {"defocus": [0.0, 9.0]}}}).model
    assert plain.trained_doses == (None,)
