"""The documentation site: its links as on GitHub, its gallery, and what a browser makes of it without network."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from persistem.store.stages import STAGES
from support.pages import SIZES, shoot
from support.studies import ROOT
from test_documents import WRITTEN, load
from test_documents_commands import strange_names

pytest.importorskip("mkdocs", reason="mkdocs is not installed")
GALLERY = load("docs/gallery/build.py")
HOOKS = load("docs/site/hooks.py")
#: Attributes by which an element loads something when the page is opened.
LOADS = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
#: Relations of <link> that load nothing.
NOT_LOADED = {"canonical", "prev", "next", "license"}


def navigated():
    """Every page that the navigation names."""

    def leaves(entry):
        if isinstance(entry, str):
            yield entry
        else:
            for value in entry.values() if isinstance(entry, dict) else entry:
                yield from leaves(value)

    return list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))


def test_every_document_is_in_the_navigation_once():
    pages = navigated()
    assert len(pages) == len(set(pages))
    written = {*WRITTEN, *HOOKS.PAGES}
    made = {f"gallery/made/{name}.md" for name in GALLERY.scripts()}
    assert set(pages) == {HOOKS.place_of(document) for document in written} | made | set(HOOKS.generated())


def test_links_lead_where_they_lead_on_github():
    page = type("Page", (), {"file": type("File", (), {"src_uri": "tutorials/paper.md"})})
    given = (
        "[a](../using.md#x) [using.md](../using.md) "
        "[b](../../config/README.md) `[c](../../README.md)` [d](../../config/demo.yaml) [e](#here)\n"
        "```\n[f](../../README.md)\n```\n[g](https://example.org) <details>"
    )
    assert HOOKS.on_page_markdown(given, page) == (
        "[a](../using.md#x) [Run, change and read a study](../using.md) "
        "[b](../settings.md) `[c](../../README.md)` [d](../files/config/demo.yaml) [e](#here)\n"
        '```\n[f](../../README.md)\n```\n[g](https://example.org) <details markdown="1">'
    )


def test_the_command_line_has_every_verb():
    page = HOOKS.command_line()
    assert "## persistem map\n" in page and "--pixel-size" in page
    declared = {stage.verbs[0] for stage in STAGES if stage.function}
    assert {"explore", "label", "micrograph", *declared} <= set(re.findall(r"^## persistem ([\w-]+)$", page, re.M))


@pytest.mark.parametrize("name", GALLERY.scripts())
def test_a_script_of_the_gallery_has_a_title_and_names_what_is_there(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs/gallery")
    title, text, code = GALLERY.said(name)
    assert 10 < len(title) < 70 and text and "download" not in code
    assert not list(strange_names(code))
    assert f"({name}.py)" in (ROOT / "docs/gallery/README.md").read_text("utf-8")


def test_the_code_of_a_page_is_that_of_the_script():
    _, _, code = GALLERY.said("crop")
    tree = ast.parse((ROOT / "docs/gallery/crop.py").read_text("utf-8"))
    assert [ast.unparse(node) for node in ast.parse(code).body] == [ast.unparse(node) for node in tree.body[1:]]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make docs` builds it; it is strict, so a warning fails."""
    out = tmp_path_factory.mktemp("site")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    for command in (["docs/gallery/build.py"], ["-m", "mkdocs", "build", "--quiet", "--site-dir", str(out)]):
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
    return out


class Read(HTMLParser):
    """What a page loads, links to and can be linked to at; paragraphs that were meant as lists."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        loads = values.get(LOADS.get(tag))
        if loads and not (tag == "link" and set(values.get("rel", "").split()) <= NOT_LOADED):
            self.loads.append(loads)


@cache
def read(file):
    return Read(file.read_text("utf-8"))


def lost(file, link):
    """Whether a link of a page of the site leads nowhere."""
    path, anchor = unquote(urlsplit(link).path), urlsplit(link).fragment
    target = (file.parent / path).resolve() if path else file
    target = target / "index.html" if target.is_dir() else target
    return not target.is_file() or (target.suffix == ".html" and anchor and unquote(anchor) not in read(target).ids)


def test_what_is_lost_or_comes_from_the_network_is_seen(tmp_path):
    given = '<h1 id="a">A</h1><a href="b.txt#x"></a><img src="https://x.org/y.png"><link rel="next" href="//x.org">'
    (tmp_path / "a.html").write_text(given)
    (tmp_path / "b.txt").touch()
    assert read(tmp_path / "a.html").loads == ["https://x.org/y.png"]
    links = ["#a", "#b", "a.html#a", "a.html#b", "b.txt#x", "c.html", "."]
    assert [link for link in links if lost(tmp_path / "a.html", link)] == ["#b", "a.html#b", "c.html", "."]


@pytest.mark.thorough
def test_nothing_is_lost_and_nothing_comes_from_the_network(site):
    pages = [file for file in site.rglob("*.html") if file.name != "404.html"]  # which servers show, at their root
    assert {f"{Path(place).with_suffix('')}.html".replace("README", "index") for place in navigated()} == {
        file.relative_to(site).as_posix() for file in pages
    }
    for file in pages:
        page = read(file)
        assert not [source for source in page.loads if re.match(r"(https?:)?//", source)], file
        local = [link for link in [*page.links, *page.loads] if not re.match(r"[a-z]+:|//", link)]
        assert not [link for link in local if lost(file, link)], file
    for file in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", file.read_text("utf-8")), file


@pytest.mark.thorough
def test_lists_and_tables_are_such(site):
    for file in site.rglob("*.html"):
        content = re.sub(r"<(pre|code)[ >].*?</\1>", "", file.read_text("utf-8"), flags=re.S)
        assert not re.search(r"<p>(?:[^<]|<(?!/p>))*\n(?:[-*] |\d\. |\|)", content), file


@pytest.mark.thorough
@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_without_network_and_nothing_complains(site, browser, size):
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height})
    complaints = []
    page.on("request", lambda one: complaints.append(one.url) if re.match("https?:|wss?:", one.url) else None)
    page.on("requestfailed", lambda one: complaints.append(one.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for file in sorted(site.rglob("*.html")):
        if file.name == "404.html":
            continue
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, file
        shown = "all => all.every(image => image.complete && image.naturalWidth > 0)"
        assert page.locator("article img").evaluate_all(shown), file
        if file.name == "index.html":
            shoot(page, f"site-{size}")
    assert not complaints
    page.close()


@pytest.mark.thorough
def test_the_search_finds_without_a_server(site, browser):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto((site / "tutorials/paper.html").as_uri())
    page.click("input.md-search__input")
    page.keyboard.type("exit wave", delay=20)
    page.locator(".md-search-result__link").first.wait_for(timeout=30_000)
    page.locator(".md-search-result__link").first.click()
    page.wait_for_function("!location.pathname.endsWith('paper.html')")
    assert (Path(unquote(urlsplit(page.url).path))).is_file()
    page.close()
