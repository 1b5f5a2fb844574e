"""The page of a study: what it says, of a small made-up study, and what it says where something is missing."""

from __future__ import annotations

import base64
import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.report.page import inline_json, inline_script, write_page
from persistem.report.page.explore import runs
from persistem.study import Study
from support.pages import PAIRS, write_study

CHAPTERS = {
    "findings": ["found"], "paper": ["accuracy", "claims", "figures"], "accuracy-means": ["meaning"], "model": ["maps"],
    "atoms": ["explore"], "provenance": ["parameters", "specimens", "timing", "versions"],
}  # fmt: skip
SECTIONS = [section for sections in CHAPTERS.values() for section in sections]
#: Elements without an end tag.
VOID = {"meta", "img", "br", "hr", "input", "link", "line", "circle", "path", "wbr"}


class Page(HTMLParser):
    """Text, elements and their nesting of a page."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.html, self.open, self.elements, self.texts, self.within = html, [], [], [], {}
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append((tag, dict(attributes).get("id")))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1]}"
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][0] not in ("script", "style"):
            self.texts.append(data)
            for _, id in self.open:
                if id:
                    self.within[id] = " ".join(f"{self.within.get(id, '')} {data}".split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self):
        return json.loads(re.search(r'id="data">(.*?)</script>', self.html, re.S)[1])


def made(settings, root) -> Page:
    out = root / "page.html"
    write_page(settings, root, out)
    return Page(out.read_text("utf-8"))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    return write_study(root), root


@pytest.fixture(scope="module")
def page(study):
    return made(*study)


def test_the_paper_stands_beside_ours_and_comes_first(page):
    ids = [attributes["id"] for attributes in page.all("section")]
    assert ids == SECTIONS
    first = page.within["accuracy"]
    for value in ("0.649", "0.817", "0.851", "0.731", "[0.70, 0.86]", "▼ lower", "✓ agrees", "not in this study"):
        assert value in first
    # beside an unseen seed there is the interval of the mean, and no verdict
    assert "0.640 [0.61, 0.67]" in " ".join(first.split())
    assert (first.count("✓"), first.count("▼"), first.count("no interval")) == (1, 1, 1)


def test_every_claim_has_its_status_as_text_and_its_evidence(page):
    claims = page.within["claims"]
    assert "✓ reproduced" in claims and "Islands cover 3.1 Å² and 2.2 Å²" in claims
    assert "depends on the split: random" in claims
    assert "✗ not reproduced" in claims
    assert claims.index("1 reproduced") < claims.index("1 not reproduced")


def test_a_verdict_on_too_few_specimens_has_no_colour(page):
    """One that seeds leave undecided, and one of a single specimen; that specimen's verdict stays in words."""
    claims = re.search(r'<ol class="claims">.*?</ol>', page.html, re.S)[0]
    looks = re.findall(r'<span class="status (\w+)"><span aria-hidden="true">(.)</span> (.*?)</span></div>', claims)
    assert [look for look, _, _ in looks] == ["good", "mixed", "bad", "plain", "plain"]
    assert [text for *_, text in looks[3:]] == ["too small to tell"] * 2
    assert "As far as one specimen can tell: not reproduced." in page.within["claims"]


def test_the_first_screen_has_at_most_five_sentences_from_the_numbers(page):
    found = re.search(r'<ol class="found">.*?</ol>', page.html, re.S)[0]
    sentences = [re.sub("<.*?>", "", text) for text in re.findall(r"<p>(.*?)</p>", found)]
    assert "LR on persistence images tells amorphous and liquid apart with an accuracy of 0.73 under" in sentences[0]
    assert "(the paper: 0.65)" in sentences[0] and "chance is 0.50" in sentences[0]
    assert sentences[1].startswith("Of 5 claims that the paper makes in words, 1 is reproduced, 1 is not reproduced,")
    assert "2 are beyond what a study of this size can tell" in sentences[1]
    assert "equally dense (amorphous 3.54, liquid 3.54 g/cm³)" in sentences[2]
    assert "3 specimens of 2 MD seeds; the checks of their state warn of 3" in sentences[3]
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert set(re.findall(r'<a href="#(.*?)"', found)) <= ids


def test_what_the_evaluation_and_the_composites_found_comes_first_and_has_its_chapter(study):
    settings, root = study
    figures = dict(settings["figures"])
    findings = {"leak": "accuracy `falls`; others too.", "composites": "Windows. A | B: overlap 0.8. Rest."}
    for name, finding in findings.items():
        about = {"title": name, "about": "", "caption": "", "reason": None, "numbers": {"finding": finding}}
        (root / f"figures/{name}.json").write_text(json.dumps(about))
        (root / f"figures/{name}.png").write_bytes((root / "figures/figure-1.png").read_bytes())
        figures[name] = f"figures/{name}.json"
    more = made(settings | {"figures": figures}, root)
    assert "accuracy falls ." in more.within["found"] and "A | B: overlap 0.8." in more.within["found"]
    assert "others too" not in more.within["found"] and more.html.count("<code>falls</code>") == 2
    assert len(re.findall(r'<a href="#(?:leak|composites)" class="pictured"', more.html)) == 2
    assert "overlap 0.8. Rest." in more.within["maps"] and "Figure" not in more.within["meaning"]
    assert 'id="leak"' in re.search(r'<section id="meaning".*?</section>', more.html, re.S)[0]


def test_a_chapter_holds_its_sections_and_the_navigation_has_all(page):
    for chapter, sections in CHAPTERS.items():
        part = page.html.split(f'<div class="chapter" id="{chapter}">')[1].split('<div class="chapter"')[0]
        assert re.findall(r'<section id="([\w-]+)"', part) == sections
    assert re.findall(r'<li><a href="#([\w-]+)">', page.html.split("</nav>")[0]) == [*CHAPTERS]


def test_there_is_code_instead_of_backticks_and_captions_are_folded(page):
    assert "<code>bins: 64</code>" in page.html and "of <code>paper</code>" in page.html
    assert "`" not in page.html.split('id="data"')[0].split("</style>")[1]
    figure = re.search(r'<figure id="figure-1".*?</figure>', page.html, re.S)[0]
    assert "Seeds 1 and 2" in re.search(r"<details><summary>Caption.*?</details>", figure, re.S)[0]


def test_figures_are_embedded_with_their_caption_and_in_the_papers_order(page, study):
    _, root = study
    figures = [attributes["id"] for attributes in page.all("figure")]
    assert figures == ["figure-1", "figure-2", "figure-10"]
    images = [a for a in page.all("img") if a.get("src", "").startswith("data:image/webp")]
    shown, drawn = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        for data in (base64.b64decode(images[0]["src"].split(",")[1]), (root / "figures/figure-1.png").read_bytes())
    )
    np.testing.assert_array_equal(shown, drawn)
    assert (images[0]["width"], images[0]["height"]) == ("30", "20")  # two of its pixels for one of the page
    assert "Squares" in images[0]["alt"]
    assert "Figure 1. Squares." in page.within["figure-1"] and "Seeds 1 and 2" in page.within["figure-1"]
    assert "1.235" in page.within["figure-1"]  # its numbers
    assert "Figure 2 was not drawn: the study has one state only" in page.within["figure-2"]


def test_every_setting_is_listed_once_and_assumptions_have_their_reason(page, study):
    settings, _ = study
    keys = [key.replace("\u200b", "") for key in re.findall(r'<th scope="row"><code>(.*?)</code>', page.html)]
    assert len(keys) == len(set(keys))
    assert {"imaging.voltage", "features.paper.bins", "md.series[1].seeds", "states.liquid.rt"} <= set(keys)

    def leaves(value, key=""):
        if isinstance(value, dict) and value and key != "material.radii":
            return [leaf for k, item in value.items() for leaf in leaves(item, f"{key}.{k}".lstrip("."))]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return [leaf for k, item in enumerate(value) for leaf in leaves(item, f"{key}[{k}]")]
        return [key]

    assert set(leaves(settings["study"])) <= set(keys)
    assert "not stated; a Cs-corrected TEM" in page.within["parameters"]


def test_what_differs_from_the_papers_study_is_said(page):
    rows = re.findall(r"<tr class=\"[^\"]*other[^\"]*\">.*?</tr>", page.html)
    assert len(rows) == 1 and "voltage" in rows[0] and "300" in rows[0] and "paper’s study: 200" in rows[0]
    assert "1 differ from the paper" in page.within["parameters"]


def test_the_papers_own_study_differs_nowhere(study):
    settings, root = study
    same = made(settings | {"study": Study().model_dump(mode="json")}, root)
    assert "None differs from the paper’s study" in same.within["parameters"]


def test_state_checks_and_warnings_of_each_specimen(page):
    text = page.within["specimens"]
    for value in ("T6000-rt1-s01", "3.535", "0.006", "2.389", "0.084", "246.10", "5.8", "2.91", "8.8 %"):
        assert value in text
    assert "Warning: not equilibrated: the density still falls" in text
    curves = page.data["checks"][0]["curves"]
    assert curves["g(r) Ga-Ga"] == [[0.5, 1.5, 2.5], [0, 1.25, 1]]
    assert curves["density_g_cm3"][1] == [6.08, 2.61]


def test_times_versions_seeds_and_digest(page):
    assert "503.1" in page.within["timing"] and "median wall, s" in page.within["timing"]
    for value in ("homcloud", "5.4.0", "MD seeds 1, 2", "5a3f19c0d7e2", "2026-11-22"):
        assert value in page.within["versions"]


def test_a_pairs_region_is_that_of_the_inverse_analysis(page):
    crop = page.data["crops"][0]
    grey = np.frombuffer(base64.b64decode(crop["grey"]), np.uint8).reshape(crop["side"], crop["side"])
    assert grey[2, 3] == 200
    islands = crop["degrees"]["0"]
    lifetimes = [abs(birth - death) for birth, death, *_ in islands["pairs"]]
    assert lifetimes == sorted(lifetimes, reverse=True) and lifetimes[0] == 150
    assert islands["pairs"][0] == [200, 50, 2, 3, 9, 9]
    gaps = iter(islands["regions"][0])
    flat, end = [], 0
    for gap in gaps:
        flat += range(end + gap, end + gap + (length := next(gaps)))
        end += gap + length
    assert flat == sorted(PAIRS[0]["pixels"])
    assert islands["areas"][0] == len(PAIRS[0]["pixels"])
    assert len(crop["degrees"]["1"]["pairs"]) == 1


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_give_the_pixels_back(seed):
    pixels = np.flatnonzero(np.random.default_rng(seed).random(500) < 0.4)
    values = runs(np.random.default_rng(seed).permutation(pixels))
    ends = np.cumsum(values)
    assert [p for k in range(0, len(values), 2) for p in range(ends[k], ends[k + 1])] == pixels.tolist()
    assert runs([]) == []


def test_only_the_longest_lived_pairs_can_be_pointed_at(study, monkeypatch):
    from persistem.report.page import explore

    monkeypatch.setattr(explore, "PAIRS", 1)
    islands = made(*study).data["crops"][0]["degrees"]["0"]
    assert [pair[:2] for pair in islands["pairs"]] == [[200, 50]]
    assert islands["rest"] == [[120], [100]]
    assert len(islands["regions"]) == 1


def test_a_volumes_points_are_atoms_of_the_cube(page):
    specimen = page.data["atoms"][0]
    part = specimen["volumes"][0]["optimal"]
    for point, element in zip(part["points"], part["elements"], strict=True):
        distances = np.linalg.norm(np.array(specimen["positions"]) - point, axis=1)
        assert distances.min() < 0.02 and specimen["elements"][distances.argmin()] == element
    assert np.array(specimen["positions"]).min() >= 0 and np.array(specimen["positions"]).max() <= specimen["cube"]
    lengths = [np.linalg.norm(np.subtract(*(specimen["positions"][k] for k in bond))) for bond in specimen["bonds"]]
    assert np.allclose(lengths, 1.95, atol=0.03)  # of the crystal: Ga-N and no others


def test_a_micrograph_keeps_its_contrast_and_its_field(page):
    liquid = [m for m in page.data["micrographs"] if m["state"] == "liquid"]
    assert [m["defocus"] for m in liquid] == [-100.0, 0.0]
    assert liquid[0]["field"] == pytest.approx(64 * 0.05)
    assert liquid[0]["contrast"] == pytest.approx(0.3, abs=0.02)
    image = cv2.imdecode(np.frombuffer(base64.b64decode(liquid[0]["image"].split(",")[1]), np.uint8), 0)
    assert image.shape == (64, 64) and image.min() < 20 and image.max() > 235


def test_the_same_settings_give_the_same_bytes(study):
    settings, root = study
    assert made(settings, root).html == made(copy.deepcopy(settings), root).html


def test_nothing_is_loaded_from_elsewhere(page):
    for tag, attributes in page.elements:
        for name in ("src", "href", "data", "poster", "srcset"):
            assert re.match(r"data:|#|$", attributes.get(name) or ""), (tag, attributes[name])
    assert not page.all("link") and "@import" not in page.html.split("</style>")[0]


def test_controls_and_pictures_have_names(page):
    assert all(a.get("alt") is not None for a in page.all("img"))
    assert all(a.get("scope") for a in page.all("th"))
    assert page.all("html") == [{"lang": "en"}]
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a} <= set(ids)
    for control in re.findall(r"<(?:select|input)[^>]*>", page.html.split('id="data"')[0]):
        assert re.search(r"<label[^>]*>[^<]+" + re.escape(control), page.html)


@pytest.mark.parametrize("empty", [None, "absent", "empty"])
def test_a_study_of_which_nothing_is_known_says_so_everywhere(tmp_path, study, empty):
    keys = study[0]
    settings = {} if empty == "absent" else {key: None if empty is None else type(keys[key])() for key in keys}
    bare = made(settings, tmp_path)
    for section in SECTIONS:
        missing = re.search(rf'<section id="{section}".*?</section>', bare.html, re.S)[0]
        assert 'class="missing"' in missing, section
    assert bare.text.count("in this study") >= 4


@pytest.mark.parametrize("key", ["comparison", "claims", "accuracy", "volumes", "structures", "inverse", "micrographs"])
def test_one_missing_part_leaves_the_others(study, page, key):
    settings, root = study
    less = made(settings | {key: None}, root)
    assert less.within["versions"] == page.within["versions"]
    assert less.within["figures"] == page.within["figures"]


def test_names_cannot_break_the_page(study):
    settings, root = study
    evil = "</script><script>alert(1)</script>"
    changed = settings | {"name": evil, "states": [evil, "liquid"], "versions": {evil: "<b>1"}}
    specimens = [
        record | {"state": evil if record["state"] == "amorphous" else record["state"]}
        for record in settings["specimens"]
    ]
    broken = made(changed | {"specimens": specimens}, root)
    assert len(broken.all("script")) == 3 and evil in broken.text
    assert broken.data["states"][0] == evil


def test_scripts_and_data_cannot_end_their_element():
    assert json.loads(inline_json({"a": "</script>&<!--"})) == {"a": "</script>&<!--"}
    assert "<" not in inline_json("</script><!--")
    assert "</script" not in inline_script('x = "</script>"').lower()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("figures/figure-1.json", "figure-1.json: cannot be read"),
        ("figures/figure-1.png", "figure-1.png: cannot be read"),
        ("check.json", "check.json: cannot be read"),
        ("inverse.parquet", "inverse.parquet"),
        ("accuracy.csv", "accuracy.csv: not a table"),
    ],
)
def test_a_file_that_is_not_there_is_named(tmp_path, path, says):
    settings = write_study(tmp_path)
    (tmp_path / path).unlink()
    with pytest.raises(PersistemError, match=re.escape(says)):
        write_page(settings, tmp_path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_damaged_file_is_named(tmp_path):
    settings = write_study(tmp_path)
    Path(tmp_path / "check.json").write_text("{")
    with pytest.raises(PersistemError, match=r"check\.json: not JSON"):
        write_page(settings, tmp_path, tmp_path / "page.html")
    settings["inverse"][0]["index"] = 7
    write_study(tmp_path)
    with pytest.raises(PersistemError, match="crop 7 was asked for, but it holds crops 0 to 0"):
        write_page(settings, tmp_path, tmp_path / "page.html")
