"""Three states on carbon in real.py, from strokes and from other images; foreign images; times."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import real_data as data
import real_maps as maps
from persistem.descriptors import windows
from persistem.errors import PersistemError
from persistem.labelled import mapping, rows
from persistem.labelled.describing import describe
from persistem.reading import read
from persistem.study import Windows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from persistem.labelled.describing import Described
    from persistem.reading import Image

#: How often strokes are drawn on each image and in each set of regions.
DRAWS = 2
#: Distance of the windows of a foreign image, Å; and how many images of a file are looked at.
STRIDE, FRAMES = 3.0, 1


def recall(predicted: NDArray[np.int_], state: NDArray[np.int_], among: NDArray[np.bool_]) -> list[float]:
    """The recall of each state among some places."""
    return maps.recalls(predicted[among], state[among], len(data.STATES))


def scaled_labels(labels: NDArray[np.uint8], of: Described) -> NDArray[np.uint8]:
    """Labels of an image at the pixels of its description."""
    import cv2

    found: NDArray[np.uint8] = cv2.resize(labels, of.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return found


def places(of: Described) -> tuple[NDArray[np.intp], ...]:
    """The pixels, at a description's sampling, at the places of its windows."""
    return np.ix_(
        *(np.minimum(np.arange(n) * of.step, side - 1) for n, side in zip(of.valid.shape, of.shape, strict=True))
    )


def resampled(name: str) -> NDArray[np.float32]:
    """An image on carbon at the sampling of its description; what the forests get."""
    image = data.carbon(name)
    assert image.pixel_size
    return windows.resample(image.pixels, image.pixel_size, maps.SETTINGS["carbon"][0].sampling)


def by_otsu(name: str, of: Described) -> NDArray[np.int_]:
    """The states at the places of an image by brightness alone: vacuum is brightest, particles are darkest."""
    return maps.otsu(resampled(name), len(data.STATES))[places(of)]


def forest_at(
    features: Mapping[str, NDArray[np.float32]],
    labels: Mapping[str, NDArray[np.uint8]],
    of: Described,
    test: str,
    everywhere: bool = False,
) -> NDArray[np.int_]:
    """The states at the places of the windows of an image, by a forest of labelled pixels of images."""
    drawn = maps.drawn_pixels(list(labels.values()), np.random.default_rng(0), even=True)
    length = features[test].shape[-1]
    X = np.concatenate([features[n].reshape(-1, length)[d] for n, d in zip(labels, drawn, strict=True)])
    y = np.concatenate([one.ravel()[d] for one, d in zip(labels.values(), drawn, strict=True)])
    known = features[test] if everywhere else features[test][places(of)]
    found: NDArray[np.int_] = maps.forest(X, y).predict(known.reshape(-1, length)).reshape(known.shape[:-1]).astype(int)
    return found - 1


def within() -> tuple[dict[str, Any], dict[str, Any]]:
    """From strokes to the rest of the certain area of the same image; and what a picture shows of one try."""
    import cv2

    found: dict[str, list[dict[str, Any]]] = {}
    shown: dict[str, Any] = {}
    areas = []
    for name in data.CARBON:
        of = maps.of_carbon(name)
        features = {how: maps.pixel_features(resampled(name), how) for how in maps.PREPARED.values()}
        dark = by_otsu(name, of)
        for which in data.SETS:
            truth = data.certain(data.regions(which)[name])
            state = maps.labelled(of, truth, name).state
            for draw in range(DRAWS):
                drawn = data.strokes(truth, np.random.default_rng([draw, data.SETS.index(which)]))
                areas.append(float((drawn > 0).mean()))
                one = maps.labelled(of, drawn, name)
                reach = round(2 * of.size * truth.shape[0] / of.shape[0]) + 1
                near = cv2.dilate((drawn > 0).astype(np.uint8), np.ones((reach, reach), np.uint8))
                among = {
                    "rest": (state >= 0) & (one.state < 0),
                    "apart": (state >= 0) & (rows.states_at(near, of) == 0),
                }
                trained = maps.model([one], data.STATES, "carbon")
                judged = maps.judged(of, trained)
                predicted = {"PersisTEM": judged.probability.argmax(axis=-1), "brightness alone, Otsu": dark}
                for row, blocks in maps.BESIDE.items():
                    predicted[row] = maps.linear([one], blocks, [of])[0].argmax(axis=-1)
                for row, how in maps.PREPARED.items():
                    marks = {name: scaled_labels(drawn, of)}
                    predicted[row] = forest_at({name: features[how]}, marks, of, name)
                for row, states in predicted.items():
                    scores = {key: recall(states, state, where) for key, where in among.items()}
                    more = {"abstained": float(judged.abstained[among["rest"]].mean())} if row == "PersisTEM" else {}
                    found.setdefault(row, []).append({"image": name, "set": which, "draw": draw} | scores | more)
                if (name, which, draw) == ("pt_on_carbon", "second", 0):
                    marks = {name: scaled_labels(drawn, of)}
                    shown = {
                        "pixels": data.carbon(name).pixels,
                        "strokes": drawn,
                        "map": maps.at_pixels(judged.probability, of, truth.shape),
                        "forest": forest_at({name: features["image"]}, marks, of, name, everywhere=True),
                    }
    return {
        "area": {"mean": float(np.mean(areas)), "largest": max(areas)},
        "rows": {row: balanced(values) for row, values in found.items()},
    }, shown


def balanced(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Balanced accuracies, mean and worst, by image and state, over tries; a state without rest (NaN) is left out."""
    result: dict[str, Any] = {"tries": len(values)}
    for key in ("rest", "apart"):
        if key not in values[0]:
            continue
        every = np.array([value[key] for value in values])
        mean = np.nanmean(every, axis=1)
        images = list(dict.fromkeys(value["image"] for value in values))
        result[key] = {
            "mean": float(mean.mean()),
            "worst": float(mean.min()),
            "states": np.nanmean(every, axis=0).tolist(),
            "worst_states": np.nanmin(every, axis=0).tolist(),
            "images": {
                name: float(np.mean([m for m, value in zip(mean, values, strict=True) if value["image"] == name]))
                for name in images
            },
        }
    if "abstained" in values[0]:
        result["abstained"] = {
            name: float(np.mean([value["abstained"] for value in values if value["image"] == name]))
            for name in dict.fromkeys(value["image"] for value in values)
        }
    return result


def across() -> tuple[dict[str, Any], dict[str, Any]]:
    """From the certain area of two images to that of the third, of another session; and what a picture shows."""
    found: dict[str, list[dict[str, Any]]] = {}
    shown: dict[str, Any] = {}
    of = {name: maps.of_carbon(name) for name in data.CARBON}
    features = {how: {name: maps.pixel_features(resampled(name), how) for name in of} for how in maps.PREPARED.values()}
    for which in data.SETS:
        truth = {name: data.certain(data.regions(which)[name]) for name in of}
        labelled = {name: maps.labelled(of[name], truth[name], name) for name in of}
        for left in of:
            known = [labelled[name] for name in of if name != left]
            state, among = labelled[left].state, labelled[left].state >= 0
            trained = maps.model(known, data.STATES, "carbon")
            judged = maps.judged(of[left], trained)
            predicted = {
                "PersisTEM": judged.probability.argmax(axis=-1),
                "brightness alone, Otsu": by_otsu(left, of[left]),
            }
            for row, blocks in maps.BESIDE.items():
                predicted[row] = maps.linear(known, blocks, [of[left]])[0].argmax(axis=-1)
                if row not in ("filters", "brightness of the window (intensity)"):  # these are relative by themselves
                    absolute = maps.linear(known, blocks, [of[left]], absolute=True)[0]
                    predicted[f"{row}, not relative to the image"] = absolute.argmax(axis=-1)
            for row, how in maps.PREPARED.items():
                marks = {name: scaled_labels(truth[name], of[name]) for name in of if name != left}
                predicted[row] = forest_at(features[how], marks, of[left], left)
            for row, states in predicted.items():
                more = {"abstained": float(judged.abstained[among].mean())} if row == "PersisTEM" else {}
                score = {"image": left, "set": which, "rest": recall(states, state, among)}
                found.setdefault(row, []).append(score | more)
            if which == "second":
                shown[left] = {
                    "pixels": data.carbon(left).pixels,
                    "map": maps.at_pixels(judged.probability, of[left], truth[left].shape),
                    "abstained": judged.abstained,
                }
    return {"rows": {row: balanced(values) for row, values in found.items()}}, shown


def opened(one: data.Stranger) -> list[Image]:
    """The images of a foreign file."""
    return read(data.present() / one.path, pixel_size=one.pixel_size, grey=True)[:FRAMES]


def strangers() -> tuple[dict[str, Any], dict[str, Any]]:
    """The share of foreign images on which models abstain, or why they refuse them; and of images of their own kind.

    Images whose pixels are too coarse are also taken as if they were fine enough.
    """
    of = {k: maps.of_particles(k) for k in range(data.COUNT)}
    known = [maps.labelled(of[k][0], of[k][1].astype(np.uint8) + 1, str(k)) for k in range(10)]
    models = {"particles": maps.model(known, ["film", "particle"], "particles")}
    on = {name: maps.of_carbon(name) for name in data.CARBON}
    for which in data.SETS:
        marks = [maps.labelled(on[name], data.certain(data.regions(which)[name]), name) for name in on]
        models[f"carbon, {which} regions"] = maps.model(marks, data.STATES, "carbon")
    own = {
        "particles": {str(k): float(maps.judged(of[k][0], models["particles"]).abstained.mean()) for k in range(10, 20)}
    }
    found: dict[str, Any] = {}
    soot: dict[str, Any] = {}
    for name, one in data.STRANGERS.items():
        for image in opened(one):
            described: dict[str, Described | str] = {}
            for model, trained in models.items():
                kind, wanted = model.split(",")[0], trained.model.windows
                if kind not in described:
                    described[kind], note = seen(image, wanted)
                at = described[kind]
                if isinstance(at, str):
                    found.setdefault(name, {})[model] = {"refused": at}
                    continue
                verdict = mapping.judged(at, trained.model)
                share = [float((verdict.probability.argmax(-1) == k).mean()) for k in range(len(trained.model.states))]
                found.setdefault(name, {})[model] = {
                    "abstained": float((verdict.reason > 0).mean()),
                    "said": dict(zip(trained.model.states, share, strict=True)),
                    **({"refused": note} if note else {}),
                }
                if name == "soot" and kind == "carbon" and not soot:
                    soot = {
                        "pixels": image.pixels,
                        "map": maps.at_pixels(verdict.probability, at, image.pixels.shape),
                    }
    return {"strangers": found, "own": own}, soot


def seen(image: Image, wanted: Windows) -> tuple[Described | str, str | None]:
    """A foreign image's description, its pixels taken as fine enough if they are not, and why it is refused."""
    from dataclasses import replace

    note = None
    if image.pixel_size is None or image.pixel_size > wanted.sampling:
        try:
            describe(image, wanted, STRIDE, maps.BLOCKS)
        except PersistemError as error:
            note = str(error).removeprefix(f"{image.path}: ").split(":")[0].split(";")[0]
            image = replace(image, pixel_size=wanted.sampling)
    try:
        return describe(image, wanted, STRIDE, maps.BLOCKS), note
    except PersistemError as error:
        return str(error).removeprefix(f"{image.path}: "), note


def times(repeat: int = 3) -> dict[str, Any]:
    """Seconds of wall time and CPU of an image of 2048² px: its description, training after a stroke, a new map."""
    import psutil

    def cpu() -> float:
        this = psutil.Process()
        used = [process.cpu_times() for process in (this, *this.children(recursive=True))]
        return sum(one.user + one.system for one in used)

    image = data.carbon("pt_on_carbon")
    sampling = image.pixel_size
    wanted, stride = Windows(sampling=sampling, size=36 * sampling), 3.0
    asked = maps.asked("carbon").model_copy(update={"windows": wanted})
    blocks = ("spectrum", *{name for candidate in asked.candidates for name in candidate})
    found: dict[str, Any] = {"side_px": image.pixels.shape[0], "load": psutil.getloadavg()[0]}
    for jobs in (2, 1):
        start, before = time.perf_counter(), cpu()
        of = describe(image, wanted, stride, blocks, jobs)
        found[f"description, jobs = {jobs}"] = {"wall": time.perf_counter() - start, "cpu": cpu() - before}
    found["windows"] = int(of.valid.size)
    truth = data.certain(data.regions("second")["pt_on_carbon"])
    drawn = data.strokes(truth, np.random.default_rng(0))
    steps: dict[str, list[dict[str, float]]] = {"train": [], "map": []}
    from persistem.labelled import training

    for _ in range(repeat):
        start, before = time.perf_counter(), cpu()
        trained = training.train([maps.labelled(of, drawn, "one")], list(data.STATES), asked)
        steps["train"].append({"wall": time.perf_counter() - start, "cpu": cpu() - before})
        start, before = time.perf_counter(), cpu()
        maps.at_pixels(mapping.judged(of, trained.model).probability, of, image.pixels.shape).argmax(axis=-1)
        steps["map"].append({"wall": time.perf_counter() - start, "cpu": cpu() - before})
    for name, each in steps.items():
        found[name] = {key: float(np.median([one[key] for one in each])) for key in ("wall", "cpu")}
    return found
