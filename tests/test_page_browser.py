"""The page of a study in a real browser: it opens from a file without network, shows everything, and moves."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest
from support.pages import PAIRS, SIZES, opened, shoot, violations, write_study

pytestmark = pytest.mark.slow

PARTS = ["x-atoms", "x-pairs", "x-defocus", "x-threshold", "x-checks"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    from persistem.report.page import write_page

    root = tmp_path_factory.mktemp("study")
    write_page(write_study(root), root, root / "page.html")
    return root / "page.html"


def reach(page, id):
    """Open the chapter that holds something, as a link to it does."""
    page.evaluate("id => { location.hash = id; }", id)
    page.wait_for_function("id => document.getElementById(id).closest('.chapter').classList.contains('now')", arg=id)


def begin(page, part):
    """Bring a part of the page into view, and wait until it is drawn."""
    reach(page, part)
    page.locator(f"#{part}").scroll_into_view_if_needed()
    page.wait_for_selector(f"#{part}[data-ready]")


@pytest.fixture(scope="module")
def page(browser, file):
    page, complaints = opened(browser, file, "desktop", bypass_csp=True)
    for part in PARTS:
        begin(page, part)
    # all chapters at once, so that a test need not turn to one
    page.evaluate("document.body.classList.remove('chaptered')")
    yield page
    assert not complaints


def role(page, part, name):
    return page.locator(f'#{part} [data-role="{name}"]')


def farthest_corner(page):
    """How far from the middle of the plot the corners of the cube are seen: 1 is at an edge of the plot."""
    return role(page, "x-atoms", "plot").evaluate(
        """plot => {
            const { _scene: scene } = plot._fullLayout.scene, { projection, view, model } = scene.glplot.cameraParams;
            const by = (m, v) => [0, 1, 2, 3].map((r) => [0, 1, 2, 3].reduce((s, c) => s + m[4 * c + r] * v[c], 0));
            const cube = plot.data.at(-1), [a, b, c] = scene.dataScale;
            return Math.max(...cube.x.flatMap((x, k) => {
                if (x === null) return [];
                const seen = by(projection, by(view, by(model, [x * a, cube.y[k] * b, cube.z[k] * c, 1])));
                return [Math.abs(seen[0] / seen[3]), Math.abs(seen[1] / seen[3])];
            }));
        }"""
    )


def slide(page, part, name, value):
    """Move a slider as a person does: what it says changes and the page is told."""
    role(page, part, name).evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true})); }",
        str(value),
    )


def pixels(page, part, nth=0):
    """What a canvas shows, (rows, columns, 3)."""
    url = page.locator(f"#{part} canvas").nth(nth).evaluate("canvas => canvas.toDataURL()")
    return cv2.imdecode(np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize("size", SIZES)
def test_it_opens_and_everything_fits_and_nobody_complains(browser, file, size):
    page, complaints = opened(browser, file, size, has_touch=size == "phone")
    shoot(page, f"report-{size}")
    for part in PARTS:
        begin(page, part)
        if part == "x-atoms":
            assert 0.4 < farthest_corner(page) < 1  # the whole cube is in view
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.evaluate("document.body.classList.remove('chaptered')")
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    images = page.locator("figure.figure img").evaluate_all(
        "all => all.map(i => [i.naturalWidth, i.getBoundingClientRect().width])"
    )
    assert len(images) == 2 and all(natural > 0 and shown > 0 for natural, shown in images)
    assert page.locator("#x-defocus img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    for plot in page.locator(".js-plotly-plot").all():
        box = plot.bounding_box()
        assert box["width"] > 200 and box["height"] > 200
    assert not complaints
    page.context.close()


def test_the_atoms_turn_and_the_volume_is_chosen(page):
    camera = "plot => plot._fullLayout.scene._scene.getCamera().eye"
    plot, status = role(page, "x-atoms", "plot"), role(page, "x-atoms", "status")
    assert "5 atoms" in status.inner_text() and "2.5 Å²" in status.inner_text()
    assert plot.evaluate("plot => plot.data.filter(t => t.name === 'ring')[0].x.length") == 3 * 4

    before = plot.evaluate(camera)
    page.locator("#x-atoms [data-turn='1']").click()
    page.wait_for_function(
        f"x => Math.abs(({camera})(document.querySelector('#x-atoms .plot')).x - x) > 0.05", arg=before["x"]
    )
    turned = plot.evaluate(camera)
    box = plot.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 30, steps=6)
    page.mouse.up()
    page.wait_for_function(
        f"x => Math.abs(({camera})(document.querySelector('#x-atoms .plot')).x - x) > 0.05", arg=turned["x"]
    )

    role(page, "x-atoms", "kind").select_option("stable")
    page.wait_for_function("document.querySelector('#x-atoms [data-role=status]').textContent.includes('3 atoms')")
    assert plot.evaluate("plot => plot.data.filter(t => t.name === 'ring')[0].x.length") == 3 * 3
    role(page, "x-atoms", "volume").select_option("1")  # has no stable volume
    page.wait_for_function("document.querySelector('#x-atoms [data-role=status]').textContent.includes('1.5 Å²')")
    assert role(page, "x-atoms", "kind").input_value() == "optimal"
    role(page, "x-atoms", "specimen").select_option("1")
    page.wait_for_function("document.querySelector('#x-atoms [data-role=status]').textContent.includes('liquid')")
    assert plot.evaluate("plot => plot.data.filter(t => t.name === 'ring').length") == 0


def shown_region(page):
    """Pixels of the crop that are not grey, as flat numbers, without those under the mark of the birth."""
    image = pixels(page, "x-pairs").astype(int)
    fine = image.shape[0] // 48
    centres = image[fine // 2 :: fine, fine // 2 :: fine]
    assert centres.shape == (48, 48, 3)
    coloured = np.ptp(centres, axis=2) > 60
    green = (centres[..., 1] > centres[..., 2] + 60) & coloured
    return set(np.flatnonzero(coloured & ~green)), set(np.flatnonzero(green))


def hover(page, k):
    """Point at a pair of the diagram."""
    x, y = role(page, "x-pairs", "plot").evaluate(
        """(plot, k) => {
            const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout, {x, y} = plot.data[2];
            return [box.left + xaxis._offset + xaxis.d2p(x[k]), box.top + yaxis._offset + yaxis.d2p(y[k])];
        }""",
        k,
    )
    page.mouse.move(x + 25, y + 25)
    page.mouse.move(x, y, steps=4)


def test_pointing_at_a_pair_shows_its_region_and_birth(page):
    role(page, "x-pairs", "plot").scroll_into_view_if_needed()
    status = role(page, "x-pairs", "status")
    for k in (1, 0):
        hover(page, k)
        page.wait_for_function(
            f"document.querySelector('#x-pairs [data-role=status]').textContent.startsWith('Pair {k + 1} of 2')"
        )
        region, birth = shown_region(page)
        assert region == set(PAIRS[k]["pixels"]) - birth
        assert PAIRS[k]["birth_row"] * 48 + PAIRS[k]["birth_column"] in birth
    assert "born at grey level 200 (row 2, column 3)" in status.inner_text()

    role(page, "x-pairs", "degree").select_option("1")
    page.wait_for_function("document.querySelector('#x-pairs [data-role=status]').textContent.includes('a ring')")
    region, birth = shown_region(page)
    assert region == set(PAIRS[2]["pixels"]) - birth
    liquid = page.locator("#x-pairs canvas").evaluate("canvas => canvas.toDataURL()")
    role(page, "x-pairs", "crop").select_option("1")
    page.wait_for_function("before => document.querySelector('#x-pairs canvas').toDataURL() !== before", arg=liquid)


def test_pairs_are_reached_by_keyboard(page):
    role(page, "x-pairs", "degree").select_option("0")
    role(page, "x-pairs", "pair").focus()
    page.keyboard.press("ArrowRight")
    assert role(page, "x-pairs", "status").inner_text().startswith("Pair 2 of 2")
    assert role(page, "x-pairs", "pair").get_attribute("aria-valuetext").startswith("Pair 2 of 2")


def test_the_defocus_slider_changes_both_micrographs(page):
    images = page.locator("#x-defocus img")
    assert images.count() == 2 and role(page, "x-defocus", "value").inner_text() == "0 Å"
    before = images.evaluate_all("all => all.map(image => image.src)")
    role(page, "x-defocus", "defocus").focus()
    page.keyboard.press("ArrowLeft")
    assert role(page, "x-defocus", "value").inner_text() == "−100 Å"
    after = images.evaluate_all("all => all.map(image => image.src)")
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert "−100 Å" in images.first.get_attribute("alt")


@pytest.mark.parametrize("level", [60, 110, 128, 200, 255])
def test_the_threshold_slider_shows_and_counts_islands(page, file, level):
    import tifffile

    white = tifffile.imread(file.with_name("crops.tif")).reshape(48, 48) >= level
    slide(page, "x-threshold", "threshold", level)
    assert role(page, "x-threshold", "value").inner_text() == f"≥ {level}"
    for nth in (0, 1):
        assert ((pixels(page, "x-threshold", nth)[..., 0] > 0) == white).all()
    islands = cv2.connectedComponents(white.astype(np.uint8), connectivity=4)[0] - 1
    # a ring holds dark pixels, connected over corners too, that do not reach the edge: pad, and leave out the outside
    dark = np.pad(~white, 1, constant_values=True).astype(np.uint8)
    rings = cv2.connectedComponents(dark, connectivity=8)[0] - 2
    text = page.locator("#x-threshold figcaption").first.inner_text()
    assert f": {islands} white island" in text and f", {rings} ring" in text


def test_the_curves_of_the_state_checks_can_be_chosen(page):
    plot = role(page, "x-checks", "plot")
    assert plot.evaluate("plot => plot.layout.xaxis.title.text") == "r, Å"
    role(page, "x-checks", "curve").select_option("density_g_cm3")
    page.wait_for_function("document.querySelector('#x-checks .plot').layout.yaxis.title.text === 'density, g/cm³'")
    assert plot.evaluate("plot => plot.data.length") == 3


def test_assumptions_can_be_shown_alone(page):
    rows = page.locator("table.parameters tbody tr:visible")
    everything = rows.count()
    page.locator("#parameters select").select_option("assumed")
    assert 0 < rows.count() < everything
    assert rows.count() == page.locator("table.parameters .tag:visible").count()
    page.locator("#parameters select").select_option("all")


def test_a_figure_is_enlarged_and_closed_by_keyboard(page):
    page.locator("#figure-1 .zoom").focus()
    page.keyboard.press("Enter")
    page.locator("dialog img").wait_for(state="visible")
    assert "Squares" in page.locator("dialog img").get_attribute("alt")
    page.keyboard.press("Escape")
    page.locator("dialog img").wait_for(state="hidden")


def test_tables_scroll_on_their_own_on_a_phone(browser, file):
    page, complaints = opened(browser, file, "phone")
    reach(page, "parameters")
    box = page.locator("#parameters .scroll")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    box.evaluate("box => { box.scrollLeft = 200; }")
    assert box.evaluate("box => box.scrollLeft") > 0
    assert page.evaluate("scrollX") == 0
    assert not complaints
    page.context.close()


def test_axe_finds_nothing_serious(page):
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    assert not violations(page)


def test_text_has_contrast_enough_to_read(page):
    """WCAG AA: 4.5 between text and what is behind it."""
    worst = page.evaluate(
        """() => {
            const value = (c) => c <= 10 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4;
            const light = (c) => 0.2126 * value(c[0]) + 0.7152 * value(c[1]) + 0.0722 * value(c[2]);
            const parse = (text) => text.match(/[\\d.]+/g).map(Number);
            const behind = (e) => {
                for (; e; e = e.parentElement) {
                    const c = parse(getComputedStyle(e).backgroundColor);
                    if (c.length < 4 || c[3] > 0.5) return c;
                }
                return [255, 255, 255];
            };
            const contrast = (e) => {
                const both = [parse(getComputedStyle(e).color), behind(e)].map(light);
                return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
            };
            return [...document.querySelectorAll('main *, header *, nav *, footer *')]
                .filter((e) => !e.closest('.plot, svg, noscript'))
                .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
                .map((e) => [contrast(e), `${e.className}: ${e.textContent.slice(0, 40)}`])
                .sort((p, q) => p[0] - q[0])[0];
        }"""
    )
    assert worst[0] >= 4.5, worst


def test_a_link_opens_the_chapter_of_what_it_names(browser, file):
    page, complaints = opened(browser, file, "phone")
    assert page.locator(".chapter:visible").evaluate_all("all => all.map(e => e.id)") == ["findings"]
    page.locator(".found a[href='#figure-1']").click()
    page.wait_for_selector("#figure-1", state="visible")
    assert page.locator(".chapter:visible").evaluate_all("all => all.map(e => e.id)") == ["paper"]
    assert page.locator("nav [aria-current]").inner_text() == "Paper"
    page.locator("nav a[href='#provenance']").click()
    page.wait_for_selector("#parameters", state="visible")
    # stays in reach, once the page has scrolled to where the chapter begins, and leaves the page to be read
    page.wait_for_function("document.getElementById('provenance').getBoundingClientRect().top > 0")
    page.wait_for_function("document.querySelector('nav').getBoundingClientRect().top <= 1")
    assert page.locator("nav").bounding_box()["height"] < 90
    assert not complaints
    page.context.close()


def test_without_script_everything_that_is_read_is_there(browser, file):
    page, complaints = opened(browser, file, "desktop", java_script_enabled=False)
    assert page.locator("#accuracy table").first.is_visible() and page.locator("#figure-1 img").is_visible()
    assert "need JavaScript" in page.locator("#explore").inner_text()
    assert not complaints
    page.context.close()
