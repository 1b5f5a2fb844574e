"""The page of a map: it holds what the map was made from, computes as the model does, and is used as a person would."""

import base64
import json
import re
import zlib
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from persistem.descriptors.windows import describe_windows, pair_table, pairs, side
from persistem.descriptors.windows.sums import entries, length
from persistem.maps import detail, map_image, mapping, page, write
from persistem.maps.detail import FINE, quantised
from persistem.model.classifier import REASONS, Classifier, Verdict
from persistem.model.trees import trees_of
from persistem.reading import Image
from persistem.study import Windows
from scipy.ndimage import gaussian_filter
from support.pages import SIZES, opened, shoot, violations

WINDOWS = Windows()
SIZE = side(WINDOWS)
#: Å; of windows, 10 pixels.
STEP = 2.0
#: Widths of the grains of the states, pixels.
STATES = {"fine": 1.5, "middle": 2.1, "coarse": 3.0}
#: A card that knows two defoci and two doses; one defocus is near chance.
CARD = {
    "assessed": "leave-seed-out over 5 seeds",
    "accuracy": [
        {"by": by, "value": value, "accuracy": accuracy, "ci_low": accuracy - 0.08, "ci_high": accuracy + 0.08}
        for by, value, accuracy in [
            ("all", None, 0.7), ("defocus", -100.0, 0.57), ("defocus", 0.0, 0.83), ("dose", 400.0, 0.6),
            ("dose", None, 0.8),
        ]
    ],
    "pairs": [{"states": ["fine", "middle"], "accuracy": 0.7, "ci_low": 0.62, "ci_high": 0.78}],
}  # fmt: skip
EVIL = '</script><img src=x onerror="document.title=1"><b>&amp;'


@dataclass(frozen=True)
class Model:
    """Judges by its classifier; unlike the training where the contrast is above 1."""

    states: tuple
    classifier: Classifier
    windows: Windows = WINDOWS
    blocks: tuple = ("contrast", "spectrum", "persistence")
    voltage: float = 200.0
    defoci: tuple = (-100.0, 100.0)
    digest: str = "0" * 12
    labelled: bool = False
    gauge: None = None
    card: dict = field(default_factory=lambda: CARD)

    def classify(self, blocks, valid, bright=None):
        flat = {name: block.reshape(-1, block.shape[-1]) for name, block in blocks.items()}
        probability = self.classifier.probability(flat).reshape(*valid.shape, -1)
        probability[~valid] = 1 / len(self.states)
        reason = np.select([~valid, blocks["contrast"][..., 0] > 0], [1, 2], 0)
        never = np.full(reason.shape, -1, np.float32)
        return Verdict(probability.astype(np.float32), probability[..., 0], reason.astype(np.uint8), never)


def grain(width, shape, seed):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    return (1 + 0.1 * noise / noise.std()).astype(np.float32)


def learned(states, used):
    """A model of so many states by boosted trees, from one image of each."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    parts = [
        describe_windows(grain(width, (250, 250), k), WINDOWS, 10).blocks for k, width in enumerate(STATES.values())
    ]
    parts = [{name: block.reshape(-1, block.shape[-1]) for name, block in part.items()} for part in parts[:states]]
    vectors = np.concatenate([np.hstack([part[name] for name in used]) for part in parts]).astype(float)
    y = np.repeat(np.arange(states), len(vectors) // states)
    fitted = HistGradientBoostingClassifier(
        max_iter=15, learning_rate=0.3, max_leaf_nodes=8, max_features=0.03, random_state=0
    ).fit(vectors, y)
    trees = trees_of(fitted)
    k = trees.roots.shape[1]
    calibration = SimpleNamespace(coef_=0.8 * np.eye(k) + 0.05, intercept_=np.linspace(-0.1, 0.2, k))
    lengths = {name: parts[0][name].shape[1] for name in used}
    return Model(tuple(STATES)[:states], Classifier(lengths, trees, calibration))


@pytest.fixture(scope="module")
def image():
    """220 x 300 px: fine grain on the left, coarser on the right, in it a hole; and dirt below."""
    pixels = np.hstack([grain(1.5, (220, 150), 7), grain(3.0, (220, 150), 8)])
    pixels[20:110, 190:280] = 1
    pixels[150:, 190:] *= np.random.default_rng(9).exponential(1, (70, 110)) ** 3
    return Image(Path("<b>half<b>.tif"), None, EVIL, pixels, 0.2, 200.0, -50.0, {"format": "TIFF", "<i>": EVIL})


@pytest.fixture(scope="module")
def models():
    both = ("persistence", "spectrum")
    return {"two": learned(2, both), "three": learned(3, both), "spectrum": learned(2, ("spectrum",))}


@pytest.fixture(scope="module")
def made(image, models, tmp_path_factory):
    """Map and page by each model."""
    root, found = tmp_path_factory.mktemp("pages"), {}
    for name, model in models.items():
        found[name] = map_image(image, model, STEP), root / name / "map.html"
        write(found[name][0], image, model, root / name)
    return found


def stored(file):
    """The page's data and its arrays, read from its text."""
    text = file.read_text("utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    found = re.findall(r'data-array="(.*?)" data-type="(.*?)">(.*?)</script>', text, re.S)
    return data, {
        name: np.frombuffer(zlib.decompress(base64.b64decode(code)), dtype=kind) for name, kind, code in found
    }


def unpacked(arrays, windows):
    """Pairs from a page's arrays."""
    starts, kind = arrays["pairs.starts"].astype(int), arrays["pairs.kind"].astype(int)
    found = np.empty(len(kind), dtype=pairs.PAIR)
    found["row"] = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    found["column"], found["degree"] = arrays["pairs.column"], kind % 2
    found["filtration"], found["band"] = kind // 2 % len(windows.filtrations), kind // 2 // len(windows.filtrations)
    unit = np.array([band.window for band in windows.bands])[found["band"]] / FINE
    for name in ("birth", "death"):
        found[name] = (arrays[f"pairs.{name}"].astype(float) - 2 * FINE) * unit
    return found


def exact(arrays, windows):
    """The histograms' entries of a page's pairs, and their pixels; births are doubles, as a browser has them."""
    found = unpacked(arrays, windows)
    wide = found.astype([(name, "f8" if kind == "<f4" else kind) for name, kind in pairs.PAIR.descr])
    unit = np.array([band.window for band in windows.bands])[found["band"]] / FINE
    for name in ("birth", "death"):
        wide[name] = (arrays[f"pairs.{name}"].astype(float) - 2 * FINE) * unit
    return wide, *entries(wide, windows)


def judged(found, model, arrays):
    """Probabilities of every window from a page's arrays, and what each pair of the windows decides, by window."""
    windows, stride = model.windows, round(found.step / model.windows.sampling)
    wide, positions, weights = exact(arrays, windows)
    spectrum = arrays["blocks.spectrum"].reshape(*found.abstain.shape, -1)
    probability = np.empty(found.probability.shape)
    decides = {}
    for i, j in np.ndindex(found.abstain.shape):
        inside = (wide["row"] >= i * stride) & (wide["row"] < i * stride + SIZE)
        inside &= (wide["column"] >= j * stride) & (wide["column"] < j * stride + SIZE)
        vectors = np.bincount(positions[inside].ravel(), weights[inside].ravel(), minlength=length(windows))[None]
        if (i, j) in ((0, 0), (3, 3)):
            without = np.zeros((inside.sum(), length(windows)))
            np.add.at(without, (np.arange(inside.sum())[:, None], positions[inside]), weights[inside])
            vectors = np.concatenate([vectors, vectors - without])
        histograms = (vectors / (SIZE * windows.sampling / 10) ** 2).astype(np.float32)
        blocks = {"persistence": histograms, "spectrum": np.tile(spectrum[i, j], (len(histograms), 1))}
        p = model.classifier.probability(blocks)
        probability[i, j] = p[0]
        if len(p) > 1:
            scores = np.log(p[:, 0] / (1 - p[:, 0]))
            decides[i, j] = scores[0] - scores[1:]
    return probability, decides


def alone(image, model):
    """Probabilities of every window, by itself."""
    found = describe_windows(image.pixels, WINDOWS, 10, model.blocks)
    return model.classify(found.blocks, found.valid).probability


# what is kept


def test_the_pairs_of_a_map_are_those_that_it_was_made_from(image, models, made, monkeypatch):
    """All of them, each found once."""
    whole = pair_table(image.pixels, WINDOWS)
    np.testing.assert_array_equal(made["two"][0].detail.pairs, whole)
    calls = []
    image_pairs = pairs.image_pairs
    monkeypatch.setattr(pairs, "image_pairs", lambda *given: calls.append(1) or image_pairs(*given))
    map_image(image, models["two"], STEP)
    assert len(calls) == len(WINDOWS.bands) * len(WINDOWS.filtrations)  # of one tile


def test_the_other_blocks_are_kept_and_thinned_where_windows_are_too_many(image, models, made, monkeypatch):
    kept = made["two"][0].detail
    wanted = describe_windows(image.pixels, WINDOWS, 10, ["contrast", "spectrum"]).blocks
    assert kept.every == 1 and kept.blocks.keys() == wanted.keys()
    for name, block in wanted.items():
        np.testing.assert_array_equal(kept.blocks[name], block)
    monkeypatch.setattr(detail, "MOST_WINDOWS", 60)
    thin = map_image(image, models["two"], STEP)
    assert thin.detail.every == 3  # 16 x 24 windows
    np.testing.assert_array_equal(thin.probability, made["two"][0].probability)
    for name, block in wanted.items():
        np.testing.assert_array_equal(thin.detail.blocks[name], block[::3, ::3])
    data, arrays = page.about(thin, image, models["two"]), page.arrays(thin, models["two"])
    assert (data["grid"]["rows"], data["grid"]["columns"], data["stride"]) == (6, 8, 30)
    assert data["grid"]["step"] == pytest.approx(0.6)
    assert arrays["probability"].shape == (6, 8, 2) and arrays["reason"].shape == (6, 8)


def test_stored_pairs_are_the_pairs_but_for_rounding(made):
    found = made["two"][0].detail.pairs
    found = found[np.lexsort([found["column"], found["row"]])]
    again = unpacked({f"pairs.{name}": part for name, part in quantised(found, WINDOWS).items()}, WINDOWS)
    for name in ("row", "column", "band", "filtration", "degree"):
        np.testing.assert_array_equal(again[name], found[name])
    window = np.array([band.window for band in WINDOWS.bands])[found["band"]]
    for name in ("birth", "death"):
        inside = np.abs(found[name]) < window
        assert inside.any() and np.abs(again[name] - found[name])[inside].max() <= 3 / FINE
        assert (np.abs(again[name])[~inside] >= window[~inside]).all()


def test_many_pairs_are_stored_in_fewer_levels(made, monkeypatch):
    found = made["two"][0].detail.pairs
    fine = quantised(found, WINDOWS)
    monkeypatch.setattr(detail, "FEW_PAIRS", len(found) - 1)
    coarse = quantised(found, WINDOWS)
    for name in ("birth", "death"):
        a, b = fine[name] / detail.FINE, coarse[name] / detail.COARSE
        assert np.abs(a - b)[a < 3.9].max() <= 0.51 / detail.COARSE
        assert len(page.packed(coarse[name])) < 0.8 * len(page.packed(fine[name]))
    np.testing.assert_array_equal(coarse["column"], fine["column"])


@pytest.mark.parametrize("name", ["two", "three"])
def test_the_stored_pairs_say_what_the_model_says(image, made, models, name):
    found, file = made[name]
    data, arrays = stored(file)
    probability, _ = judged(found, models[name], arrays)
    valid = found.reason != 1
    assert valid.any() and not valid.all() and len(np.unique(found.state)) > 2
    assert np.abs(probability - alone(image, models[name]))[valid].max() < 0.01
    shown = arrays["probability"].reshape(found.probability.shape) / 65535
    np.testing.assert_allclose(shown, found.probability, atol=1e-5)
    np.testing.assert_array_equal(arrays["reason"].reshape(found.reason.shape), found.reason)
    assert data["reasonCounts"] == np.bincount(found.reason.ravel(), minlength=len(REASONS)).tolist()


@pytest.mark.slow
def test_without_pairs_where_there_are_too_many(image, models, monkeypatch, tmp_path):
    monkeypatch.setattr(detail, "MOST_PAIRS", 100)
    found = map_image(image, models["two"], STEP)
    assert found.detail.pairs is None
    write(found, image, models["two"], tmp_path / "out")
    data, arrays = stored(tmp_path / "out/map.html")
    assert data["pairs"] == "many" and not [name for name in arrays if name.startswith("pairs")]


@pytest.mark.parametrize(("pixel_size", "side_", "pixel"), [(0.2, 60, 0.2), (0.07, 60, 0.07)])
def test_the_picture_is_the_micrograph_at_its_own_resolution(pixel_size, side_, pixel):
    """Of a ramp from black to white, with a pixel that is not finite."""
    ramp = np.broadcast_to(np.arange(60.0), (60, 60)).copy()
    ramp[40:43, 40:43] = np.nan
    jpeg, size, _ = page.picture(Image(Path("x.tif"), None, "", ramp, pixel_size, 200.0, 0.0, {}), 10**6)
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grey.shape == (side_, side_) and size == pytest.approx(pixel)
    steps = np.diff(grey[: side_ // 2].mean(axis=0))
    assert (
        grey[0, 0] < 10
        and grey[0, -1] > 245
        and steps.min() > -2
        and steps.mean() == pytest.approx(255 / side_, rel=0.1)
    )
    assert grey[41 * side_ // 60, 41 * side_ // 60] < 40


def test_a_large_picture_is_no_larger_than_it_may_be(monkeypatch):
    monkeypatch.setattr(page, "LARGEST", 50)
    pixels = grain(2, (90, 120), 0)
    image = Image(Path("x.tif"), None, "", pixels, 0.2, 200.0, 0.0, {})
    jpeg, size, quality = page.picture(image, 10**6)
    assert quality == page.QUALITIES[0]
    smaller, _, quality = page.picture(image, len(jpeg) - 1)
    assert len(smaller) < len(jpeg) and quality < page.QUALITIES[0]
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grey.shape == (30, 40) and size == pytest.approx(0.6)
    mean = pixels.reshape(30, 3, 40, 3).mean(axis=(1, 3))
    assert np.corrcoef(mean.ravel(), grey.ravel())[0, 1] > 0.99


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_text_from_files_stays_text_and_nothing_is_loaded(made):
    """A title that would end a script, a file that is named like an element."""
    text = made["two"][1].read_text("utf-8")
    parser = Elements()
    parser.feed(text)
    assert "<img src=x" not in text and "<b>half" not in text and "&lt;b&gt;half" in text
    assert [attributes["id"] for tag, attributes in parser.found if tag == "img"] == ["micrograph"]
    assert not [tag for tag, attributes in parser.found if tag in ("link", "iframe", "b", "i")]
    for _, attributes in parser.found:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))


def verdict_of(model, defocus, image=None):
    from persistem.maps.verdict import worth

    return worth(Image(Path("x.tif"), None, "", np.ones((2, 2)), 0.2, 200.0, defocus, {}), model)


def test_how_often_the_model_is_right_is_its_cards_number_at_this_defocus_and_each_dose(models):
    """The nearest defocus that was assessed; near chance where the interval reaches it and the accuracy is low."""
    here, near = verdict_of(models["two"], -20.0), verdict_of(models["two"], -100.0)
    assert "At a defocus of 0 Å, the nearest assessed to this image’s −20 Å," in here.says and "83 % of" in here.says
    assert "60 % at 400 e/Å², 80 % without noise" in here.says and not here.near_chance
    assert "At a defocus of −100 Å this model is right in 57 %" in near.says
    assert near.near_chance == (
        "at a defocus of −100 Å the model is near chance: right in 57 % of windows (95 % interval 49 to 65 %, chance is"
        " 50 %)",
    )
    # three states: 0.57 is far from a chance of a third
    assert not verdict_of(replace(models["three"], card=CARD), -100.0).near_chance
    pair = CARD | {"pairs": [CARD["pairs"][0] | {"ci_low": 0.45}]}
    (said,) = verdict_of(replace(models["two"], card=pair), 0.0).near_chance
    assert said.startswith("telling fine from middle is near chance: right in 70 %")


def test_where_the_card_cannot_say_how_often_the_model_is_right_the_page_says_so(models):
    outside = verdict_of(models["two"], 300.0)
    assert "at this defocus of 300 Å, its card cannot say: it was assessed at −100 to 0 Å" in outside.says
    few = {"assessed": "not assessed: 1 seed, 3 of every state are needed", "accuracy": [], "pairs": []}
    assert "cannot say: not assessed: 1 seed" in verdict_of(replace(models["two"], card=few), 0.0).says
    states = [{"state": "fine", "recall": 0.9, "low": None, "high": None}, {"state": "middle", "recall": 0.2}]
    labelled = {"kind": "labelled micrographs", "states": ["fine", "middle"]}
    labelled |= {"assessed": {"within_one_image": True, "states": states}}
    said = verdict_of(replace(models["two"], card=labelled), None)
    assert "90 % of fine, 20 % of middle" in said.says and "55 % of windows" in said.near_chance[0]


def test_the_verdict_is_counted_from_the_map(made):
    from persistem.maps.verdict import abstained, found

    mapped = made["two"][0]
    name, says = found(mapped)
    first = max(mapped.states, key=mapped.shares.get)
    sure = mapped.confidence[mapped.state == mapped.states.index(first)].mean()
    assert first in name and f"{first} {100 * mapped.shares[first]:.0f} % of the area" in says.lower()
    assert f"mean probability {sure:.2f}" in says
    assert f"{100 * mapped.shares['abstained']:.0f} % of the area" in abstained(mapped)
    assert REASONS[np.bincount(mapped.reason[mapped.abstain]).argmax()] in abstained(mapped)
    nowhere = replace(mapped, abstain=np.ones_like(mapped.abstain))
    assert found(nowhere) == ("No verdict", "")


def test_the_map_warns_where_the_card_says_that_the_model_is_near_chance(image, models):
    """In the map's warnings, so on the console; the page says it in the verdict instead."""
    from persistem.maps.suitability import cautions

    assert any("near chance" in text for text in cautions(replace(image, defocus=-100.0), models["two"]))
    assert not any("near chance" in text for text in cautions(replace(image, defocus=0.0), models["two"]))


@pytest.mark.slow
def test_the_page_says_the_warnings_of_the_map(image, models, tmp_path):
    shot = replace(image, title="shot", defocus=-900.0)
    write(map_image(shot, models["two"], STEP), shot, models["two"], tmp_path / "out")
    assert "the model was trained at -100 to 100 Å" in (tmp_path / "out/map.html").read_text("utf-8")


# in a browser


def ready(browser, file, size="desktop", **more):
    shown, complaints = opened(browser, file, size, **more)
    shown.wait_for_selector("body[data-ready]")
    return shown, complaints


@pytest.fixture
def shown(browser, made):
    shown, complaints = ready(browser, made["two"][1])
    yield shown
    assert not complaints
    shown.context.close()


def role(shown, name):
    return shown.locator(f'[data-role="{name}"]')


def at(shown, i, j):
    """Where on the screen the centre of a window is."""
    x, y = shown.evaluate("([i, j]) => { const c = centre({ i, j }); return toScreen(c.x, c.y); }", [i, j])
    box = shown.locator("#view").bounding_box()
    return box["x"] + x, box["y"] + y


def seen(shown):
    """What the map's canvas shows, (rows, columns, 3)."""
    shown.evaluate("draw()")
    url = shown.locator("#view").evaluate("canvas => canvas.toDataURL()")
    return cv2.imdecode(np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two", "three"])
def test_the_page_computes_what_the_model_computes(browser, made, models, name):
    """Probabilities of all windows, and what each pair decides, to 1e-6."""
    found, file = made[name]
    wanted, decides = judged(found, models[name], stored(file)[1])
    shown, complaints = ready(browser, file)
    computed = shown.evaluate(
        """() => Array.from({ length: grid.rows }, (_, i) => Array.from({ length: grid.columns }, (_, j) =>
            probabilities(DATA, blocksOf(DATA, i, j, pairsOf({ i, j })))))"""
    )
    np.testing.assert_allclose(computed, wanted, atol=1e-6)
    for (i, j), of in decides.items():
        effects = shown.evaluate(
            """([i, j]) => { const pairs = pairsOf({ i, j });
                return decided(DATA, blocksOf(DATA, i, j, pairs), pairs, 0); }""",
            [i, j],
        )
        np.testing.assert_allclose(effects, of, atol=1e-6)
        assert np.count_nonzero(np.abs(of) > 1e-6) > 3
    # base and parts add up to the score; what does not differ from the other windows adds nothing
    said = shown.evaluate(
        """() => { const of = (i, j) => blocksOf(DATA, i, j, pairsOf({ i, j })), own = of(3, 3);
            const others = [of(0, 0), of(1, 5), of(9, 2)], { base, parts, adds } = additive(DATA, own, others, 0);
            const mean = others.reduce((sum, other) => sum + score(DATA, other, 0) / 3, 0);
            const self = additive(DATA, own, [own], 0);
            const names = parts.map(nameOf);
            return { base, mean, adds: [...adds], own: score(DATA, own, 0), names, self: [...self.adds] }; }"""
    )
    assert said["base"] == pytest.approx(said["mean"], abs=1e-9)
    assert said["base"] + sum(said["adds"]) == pytest.approx(said["own"], abs=1e-9)
    assert len(set(said["names"])) == len(said["adds"]) == 9 and np.count_nonzero(said["adds"]) > 3
    assert not np.any(said["self"])
    assert not complaints
    shown.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_it_opens_and_fits_and_nobody_complains(browser, made, size):
    shown, complaints = ready(browser, made["two"][1], size, has_touch=size == "phone", bypass_csp=True)
    shoot(shown, f"map-{size}")
    press = shown.touchscreen.tap if size == "phone" else shown.mouse.click
    shown.locator("#view").scroll_into_view_if_needed()
    press(*at(shown, 3, 3))
    assert role(shown, "answer").is_visible() and shown.locator(".pairs tbody tr").count() > 3
    shown.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert not violations(shown)
    assert shown.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert shown.title() == f"PersisTEM: map of {EVIL}"
    assert not complaints
    shown.context.close()


@pytest.mark.slow
def test_verdict_and_map_with_its_bar_are_on_one_screen(shown):
    for what in (shown.locator(".verdict"), shown.locator("#view"), role(shown, "bar"), role(shown, "scale")):
        box = what.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= SIZES["desktop"][1]
    assert shown.locator("#view").bounding_box()["height"] > 300


@pytest.mark.slow
def test_pointing_at_a_window_shows_its_probabilities_and_its_diagrams(shown, made):
    found = made["two"][0]
    shown.mouse.move(*at(shown, 5, 4))
    position = role(shown, "where").inner_text()
    centre = [(origin + number * found.step) / 10 for origin, number in zip(found.origin, (5, 4), strict=True)]
    assert [float(x) for x in re.findall(r"[\d.]+", position)] == pytest.approx(centre[::-1], abs=0.02)
    widths = shown.locator(".states .fill").evaluate_all("all => all.map(e => parseFloat(e.style.width) / 100)")
    assert widths == pytest.approx(found.probability[5, 4].tolist(), abs=1e-4)
    born = found.detail.pairs
    born = born[(born["row"] >= 50) & (born["row"] < 50 + SIZE) & (born["column"] >= 40) & (born["column"] < 40 + SIZE)]
    labels = shown.locator(".diagrams canvas").evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
    counts = [[int(n) for n in re.findall(r"(\d+) (?:island|ring)", label)] for label in labels]
    wanted = [
        [int(((born["band"] == band) & (born["filtration"] == f) & (born["degree"] == d)).sum()) for d in (0, 1)]
        for band in (0, 1)
        for f in (0, 1)
    ]
    assert counts == wanted and sum(map(sum, counts)) == len(born) > 50
    assert not role(shown, "reason").is_visible()
    # in the hole
    i, j = np.argwhere(found.reason == 1)[0].tolist()
    shown.mouse.move(*at(shown, i, j))
    assert "not valid" in role(shown, "reason").inner_text()


@pytest.mark.slow
def test_a_click_says_what_decided(shown, image, made, models):
    found, file = made["two"]
    _, decides = judged(found, models["two"], stored(file)[1])
    shown.locator('[data-role="what"]').select_option("p:0")
    shown.mouse.click(*at(shown, 3, 3))
    first, change = shown.locator(".pairs tbody tr").first.locator("td").all_inner_texts()[-2:]
    assert float(first.replace("−", "-")) == pytest.approx(
        np.abs(decides[3, 3]).max() * np.sign(float(first.replace("−", "-"))), abs=6e-4
    )
    parts = role(shown, "parts").inner_text()
    p = alone(image, models["two"])[3, 3, 0]
    own = float(re.search(r"is ([+−][\d.]+)\.", parts)[1].replace("−", "-"))
    assert own == pytest.approx(np.log(p / (1 - p)), abs=0.05)
    without = 1 / (1 + np.exp(float(first.replace("−", "-")) - own))
    assert float(change.replace("−", "-")) == pytest.approx(100 * (p - without), abs=0.2)
    numbers = [float(x.replace("−", "-")) for x in shown.locator(".parts td").all_inner_texts()]
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=0.01 * len(numbers))  # of rounded numbers
    assert numbers[-1] == own and "spectrum" in parts and "pairs: superlevel island" in parts
    detail_ = role(shown, "detail")
    before = detail_.evaluate("canvas => canvas.toDataURL()")
    shown.locator(".pairs button").nth(1).focus()
    assert detail_.evaluate("canvas => canvas.toDataURL()") != before  # the pair is marked


@pytest.mark.slow
def test_births_are_marked_where_they_are(shown, made):
    """On the picture of a window, enlarged: the centre of the most decisive pair's pixel has its colour."""
    shown.mouse.click(*at(shown, 3, 3))
    row, column, colour, scale = shown.evaluate(
        """() => {
            const pairs = pairsOf(asked), s = stateOf(asked);
            const e = decided(DATA, blocksOf(DATA, 3, 3, pairs), pairs, s);
            const k = e.reduce((b, x, n) => (Math.abs(x) >= Math.abs(e[b]) ? n : b), 0); // the last is on top
            return [pairs[k].row, pairs[k].column, rgb(colourOf(e[k], s)), find("detail").width / DATA.size];
        }"""
    )
    found = made["two"][0].detail.pairs
    assert ((found["row"] == row) & (found["column"] == column)).any()
    pixel = role(shown, "detail").evaluate(
        "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3)",
        [(column - 30 + 0.5) * scale, (row - 30 + 0.5) * scale],
    )
    assert np.abs(np.array(pixel) - colour).max() < 40


@pytest.mark.slow
def test_zooming_by_wheel_buttons_and_keys_keeps_the_bar_true(shown):
    bar, view = role(shown, "bar"), shown.locator("#view")

    def scale():
        """Screen pixels in a nm: the page's, which the bar has to agree with."""
        shown.evaluate("draw()")
        length = float(bar.inner_text().split()[0]) * (1 if bar.inner_text().endswith("nm") else 0.1)
        across = bar.evaluate("bar => parseFloat(bar.style.width)")
        assert across / length == pytest.approx(shown.evaluate("view.scale"), rel=1e-3)
        assert 0.05 < across / view.bounding_box()["width"] < 0.25
        return across / length

    whole = scale()
    # the view is wider than the micrograph: until that fills it, it stays in the middle
    shown.evaluate("zoom(width / (field[1] * view.scale))")
    filled = scale()
    x, y = at(shown, 5, 4)
    shown.mouse.move(x, y)
    shown.mouse.wheel(0, -300)
    shown.wait_for_function("was => view.scale > was", arg=filled)
    assert at(shown, 5, 4) == (pytest.approx(x, abs=0.5), pytest.approx(y, abs=0.5))  # stays under the pointer
    wheeled = scale()
    shown.mouse.down()
    shown.mouse.move(x - 60, y - 40, steps=4)
    shown.mouse.up()
    assert at(shown, 5, 4) == (pytest.approx(x - 60, abs=0.5), pytest.approx(y - 40, abs=0.5))
    assert not role(shown, "answer").is_visible()  # a drag is no click
    view.focus()
    shown.keyboard.press("+")
    assert scale() == pytest.approx(1.5 * wheeled, rel=1e-4)
    shown.locator("[data-zoom=out]").click()
    assert scale() == pytest.approx(wheeled, rel=1e-4)
    shown.locator("[data-zoom=all]").click()
    assert scale() == pytest.approx(whole, rel=1e-4)


@pytest.mark.slow
def test_windows_are_reached_and_asked_by_keyboard(shown, made):
    found = made["two"][0]
    shown.locator("#view").focus()
    shown.evaluate("point({ i: 3, j: 3 })")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft"):
        shown.keyboard.press(key)
    assert shown.evaluate("[current.i, current.j]") == [5, 3]
    state = found.states[found.probability[5, 3].argmax()]
    assert state in role(shown, "heard").inner_text()
    shown.keyboard.press("Enter")
    assert state in role(shown, "asked").inner_text() and role(shown, "answer").is_visible()


def test_every_reason_has_a_colour_of_its_own():
    script = (Path(mapping.__file__).parent / "map.js").read_text()
    (listed,) = re.findall(r"^const REASONS = \[(.*)\];", script, re.MULTILINE)
    colours = re.findall("#[0-9a-f]{6}", listed)
    assert len(set(colours)) == len(colours) == len(REASONS)


@pytest.mark.slow
def test_colours_follow_what_is_shown_and_how_opaque(shown, made):
    found = made["two"][0]
    i, j = np.argwhere((found.state == 1) & (found.confidence > 0.9))[0].tolist()
    x, y = map(round, shown.evaluate("([i, j]) => { const c = centre({ i, j }); return toScreen(c.x, c.y); }", [i, j]))

    def tint():
        patch = seen(shown)[y - 3 : y + 4, x - 3 : x + 4].astype(int)
        return float((patch[..., 0] - patch[..., 2]).mean())  # vermilion against blue

    assert tint() > 50
    role(shown, "what").select_option("p:0")
    assert abs(tint()) < 15  # hardly probable, hardly coloured
    role(shown, "what").select_option("p:1")
    strong = tint()
    slider = role(shown, "opacity")
    slider.focus()
    shown.keyboard.press("Home")
    assert role(shown, "opacity-value").inner_text() == "0 %"
    assert abs(tint()) < 5 < strong
    for what in ("confidence", "abstain"):
        role(shown, "what").select_option(what)
        assert role(shown, "scale").inner_text()
    assert f"{(found.reason == 1).sum()} window" in role(shown, "scale").inner_text()


@pytest.mark.slow
def test_a_region_is_zoomed_to(shown, made):
    from persistem.maps.regions import regions

    first = regions(made["two"][0])[1]
    shown.locator("[data-region='1']").click()
    left, top, right, bottom = shown.evaluate(
        "[view.x, view.y, view.x + width / view.scale, view.y + height / view.scale]"
    )
    assert left <= first["left_nm"] and right >= first["right_nm"]
    assert top <= first["top_nm"] and bottom >= first["bottom_nm"]
    assert shown.evaluate("view.scale > whole()")


@pytest.mark.slow
def test_a_model_without_pairs_and_a_map_with_too_many_say_so(browser, image, models, made, monkeypatch, tmp_path):
    monkeypatch.setattr(detail, "MOST_PAIRS", 100)
    write(map_image(image, models["two"], STEP), image, models["two"], tmp_path / "out")
    for file, note in {
        made["spectrum"][1]: "decides by the spectrum alone; it does not use the pairs",
        tmp_path / "out/map.html": "has too many pairs for a page",
    }.items():
        shown, complaints = ready(browser, file)
        shown.mouse.click(*at(shown, 3, 3))
        assert note in role(shown, "parts").inner_text()
        assert role(shown, "detail").is_visible()
        assert not complaints
        shown.context.close()


def test_pairs_are_left_out_where_the_picture_would_not_fit_beside_them(image, models, monkeypatch, tmp_path):
    found = map_image(image, models["two"], STEP)
    kept = {name: (array.dtype.name, page.packed(array)) for name, array in page.arrays(found, models["two"]).items()}
    pairs = sum(len(text) for name, (_, text) in kept.items() if name.startswith("pairs."))
    smallest = len(page.picture(image, 0)[0]) * 4 // 3
    # half of the pairs would fit beside the smallest picture
    monkeypatch.setattr(page, "MOST", page.length_of(kept) + smallest - pairs // 2)
    page.write_page(found, image, models["two"], tmp_path / "map.html")
    text = (tmp_path / "map.html").read_text()
    assert re.search(r'"pairs": ?"many"', text)
    monkeypatch.setattr(page, "MOST", page.length_of(kept) + smallest + 100)
    page.write_page(found, image, models["two"], tmp_path / "all.html")
    assert not re.search(r'"pairs": ?"many"', (tmp_path / "all.html").read_text())


@pytest.mark.slow
def test_a_map_that_keeps_nothing_of_its_windows_offers_no_question(browser, image, models, made, tmp_path):
    write(replace(made["two"][0], detail=None), image, models["two"], tmp_path / "out")
    shown, complaints = ready(browser, tmp_path / "out/map.html")
    shown.mouse.click(*at(shown, 3, 3))
    assert not shown.locator("#decided").is_visible()
    said = shown.locator("#keys").text_content()
    assert "asks" not in said and "decided" not in said and "dragging moves. By keyboard: arrows" in said
    assert not complaints
    shown.context.close()


@pytest.mark.slow
def test_without_script_the_picture_and_the_tables_are_there(browser, made):
    shown, complaints = opened(browser, made["two"][1], "desktop", java_script_enabled=False)
    assert shown.locator("#micrograph").is_visible() and shown.locator(".regions").is_visible()
    assert "needs JavaScript" in shown.locator("#map").inner_text()
    assert not shown.locator("#view").is_visible() and not complaints
    shown.context.close()
