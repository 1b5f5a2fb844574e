"""What the documents name is there (paths, modules, headings, stages, wings), and they are short enough to read."""

import ast
import importlib
import importlib.util
import json
import re
import textwrap
from functools import cache
from pathlib import Path

import pytest
from persistem.store.stages import STAGES
from support.studies import ROOT

PACKAGE = ROOT / "workflow/src/persistem"
#: The documents that are written by hand; the gallery's pages are made by `make docs`.
WRITTEN = [file.relative_to(ROOT).as_posix() for file in (ROOT / "docs").rglob("*.md") if file.parent.name != "made"]
ALL = ["README.md", "CONTRIBUTING.md", *sorted(WRITTEN)]
#: The most lines, of so many characters, of a paragraph and of a caption on the surface of a document.
PARAGRAPH, CAPTION, WIDTH = 5, 3, 120
#: Files of examples, which are not there.
EXAMPLES = {"contrasts", "permutation", "figure_9", "new", "mine"}
#: Ends of files that are in the repository, unless they lie elsewhere or are made by a run.
SUFFIXES = (".py", ".smk", ".sh", ".toml", ".lock")
#: Folders that the repository does not hold.
ELSEWHERE = ("results", ".venv", ".snakemake", "__pycache__")


def load(path):
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def text_of(document):
    return (ROOT / document).read_text("utf-8")


def prose(document):
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text_of(document), flags=re.M | re.S)


@cache
def names():
    """The name of every file of the repository that a document may name without its folder."""
    folders = ("workflow", "tests", "docs", "config", "envs", "benchmarks", "profiles")
    return {file.name for folder in folders for file in (ROOT / folder).rglob("*") if "__pycache__" not in file.parts}


def paths(document):
    """What a document names in backticks and looks like a path of the repository."""
    for code in re.findall(r"`([^`\n]+)`", prose(document)):
        for word in code.split():
            first, *rest = word.split("/")
            if not re.fullmatch(r"[\w.][\w./-]*", word) or first in ELSEWHERE or word.rstrip("/").startswith(".."):
                continue
            top = (ROOT / first).exists() or (PACKAGE / first).is_dir()
            if (rest and top) or word.endswith(SUFFIXES):
                yield word


def missing(document):
    places = (ROOT, PACKAGE, *(folder for folder in PACKAGE.iterdir() if folder.is_dir()), (ROOT / document).parent)
    for word in paths(document):
        bare = "/" not in word and word in names()
        if Path(word).stem not in EXAMPLES and not bare and not any((place / word).exists() for place in places):
            yield word


def dotted(document):
    """Every dotted name of the package, and what is imported from it in blocks of code."""
    text = text_of(document)
    for module, imported in re.findall(r"^ *from (persistem[\w.]*) import ([\w, ]+)$", text, re.M):
        yield from (f"{module}.{name.split(' as ')[0].strip()}" for name in imported.split(","))
    yield from re.findall(r"(?<![\w./-])persistem(?:\.[A-Za-z_]\w*)+", text)


def resolves(name):
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[k:]:
            fields = getattr(found, "__dataclass_fields__", {}) | getattr(found, "model_fields", {})
            if not hasattr(found, attribute):
                return attribute in fields
            found = getattr(found, attribute)
        return True
    return False


def anchors(document):
    """The anchors of a document's headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ +(.+?) *$", prose(document), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        yield re.sub(r"[^\w -]", "", plain).replace(" ", "-")


def broken(document):
    """The links of a document that lead nowhere."""
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", prose(document))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        there = file.exists() and (not anchor or anchor in anchors(str(file.resolve().relative_to(ROOT))))
        if not there:
            yield link


def long(document):
    """The paragraphs and captions of a document that are too long; tables, lists, code and folds may be."""
    surface = re.sub(r"<details>.*?</details>|<!--.*?-->", "", prose(document), flags=re.S)
    before = ""
    for block in re.split(r"\n\s*\n", surface):
        text = re.sub(r"\]\([^)]*\)", "]", " ".join(block.split()))
        most = CAPTION if before.startswith("![") else PARAGRAPH
        before = block.strip()
        if not re.match(r" {4}|\||#|!\[|[-*] |\d+\. ", block) and len(textwrap.wrap(text, WIDTH)) > most:
            yield text[:60]


@pytest.mark.parametrize("document", ALL)
def test_every_path_that_is_named_exists(document):
    assert not list(missing(document))


def test_a_path_that_does_not_exist_is_seen(monkeypatch):
    said = "`tests/test_nothing.py`, `nothing.py`, `python docs/nothing.py`, `imaging/nothing.py`"
    others = "`results/demo/x.py`, `workflow/rules/<part>.smk`, `config/*.yaml`, `tests/support/`, `plan/report.py`"
    monkeypatch.setitem(globals(), "prose", lambda _: f"{said} {others}")
    expected = ["tests/test_nothing.py", "nothing.py", "docs/nothing.py", "imaging/nothing.py"]
    assert list(missing("README.md")) == expected


@pytest.mark.parametrize("document", ALL)
def test_every_name_of_the_package_is_there(document):
    assert not [name for name in dict.fromkeys(dotted(document)) if not resolves(name)]


def test_a_name_that_is_not_there_is_seen():
    assert resolves("persistem.imaging.micrographs.KEYS") and resolves("persistem.model.classifier.Model.classify")
    assert not resolves("persistem.micrographs") and not resolves("persistem.imaging.micrographs.nothing")


@pytest.mark.parametrize("document", [*ALL, "config/README.md"])
def test_every_link_leads_somewhere(document):
    assert not list(broken(document))


def test_a_link_that_leads_nowhere_is_seen(monkeypatch):
    given = "# A `b`, c\n[a](#a-b-c) [b](#nothing) [c](docs/nothing.md) [d](docs/running.md#slurm) [e](https://x.org)"
    monkeypatch.setitem(globals(), "prose", lambda document: given if document == "README.md" else "## Slurm")
    assert list(broken("README.md")) == ["#nothing", "docs/nothing.md"]


@pytest.mark.parametrize("document", [*ALL, "config/README.md"])
def test_paragraphs_and_captions_are_short(document):
    assert not list(long(document)), "split it, or put the rest into <details>"


def test_a_long_paragraph_and_a_long_caption_are_seen(monkeypatch):
    four, six = "word " * 24 * 4, "many " * 24 * 6
    fold = f"<details><summary>More</summary>\n\n{six}\n\n</details>"
    fine = f"{four}\n\n| {six} |\n\n- {six}\n\n    {six}\n\n{fold}"
    monkeypatch.setitem(globals(), "prose", lambda _: f"{fine}\n\n{six}\n\n![a](a.png)\n\n{four}\n")
    assert [text[:4] for text in long("README.md")] == ["many", "word"]


@pytest.mark.parametrize("document", ALL)
def test_blocks_of_python_are_python(document):
    for block in re.findall(r"^```python\n(.*?)^```$", text_of(document), re.M | re.S):
        if not block.startswith("module "):  # Snakemake's own
            ast.parse(block)


def test_the_table_of_stages_is_that_of_the_declarations():
    page, glossary = text_of("docs/architecture.md"), load("docs/glossary.py")
    assert glossary.written(page) == page, "run `python docs/glossary.py`"
    listed = page.partition(glossary.START)[2].partition(glossary.END)[0]
    assert re.findall(r"^\| `(\w+)`", listed, re.M) == [stage.name for stage in STAGES]


def test_every_wing_has_a_row_and_a_place_in_the_picture():
    wings = load("docs/figures/wings.py").order()
    section = text_of("docs/architecture.md").partition("## The wings")[2].partition("\n### ")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.M) == wings
    drawn = text_of("docs/figures/wings.svg")
    assert all(f">{wing}<" in drawn for wing in wings), "run `python docs/figures/wings.py`"


def quoted(page, *forms):
    """What the first group says of the first form that a page has."""
    return next(found[1] for form in forms if (found := re.search(form, page)))


def test_the_readme_quotes_the_record_of_what_persistence_adds():
    """The first paragraph that speaks of persistence says what measures without it reach, in the record's numbers."""
    record = text_of("docs/evaluation.md").partition("## Persistence beside")[2].partition("<details>")[0]
    # the second form of each is that of the record of 2026-11-22
    number, verdict = r"(\d\.\d\d)", "(more than|less than|not told apart from)"
    without = quoted(record, f"without persistence together give {number}", f"all but persistence with {number}")
    both = quoted(record, f"persistence and spectrum with {number}", f"Both together give {number}")
    every = quoted(record, rf"persistence included, {number}", f"All together give {number}")
    said = quoted(record, rf"persistence included, [^,]*, {verdict}", rf"All together give [^,]*, {verdict}")
    first = next(block for block in prose("README.md").split("\n\n") if "persisten" in block.replace("PersisTEM", ""))
    sentence = " ".join(first.split())
    assert f"simpler measures get {without} of the crops of unseen seeds right" in sentence
    assert f"persistence and spectrum {both}, and persistence beside all simpler measures {every}, " in sentence
    assert ("no difference beyond the scatter" in sentence) == (said == "not told apart from")
    assert ("nothing beyond the scatter" in text_of("docs/README.md")) == (said == "not told apart from")


def test_the_readme_quotes_the_record_of_what_is_left_at_one_density():
    record, number = text_of("docs/density.md"), r"\d\.\d\d"
    said = " ".join(prose("README.md").split())
    for row, phrase in (
        ("persistence", "persistence has {} where it had {}"),
        ("spectrum", "and the spectrum {} where it had {}"),
    ):
        of = rf"(?<!\+ ){row} \(contrast removed\)"  # not of persistence + spectrum
        left = quoted(record, rf"{of} with ({number} \({number} to {number}\))")
        before = quoted(record, rf"{of}, ({number}) to {number}")
        assert phrase.format(left, before) in said


def test_the_readme_quotes_the_record_of_other_matter():
    said = " ".join(prose("README.md").split())
    row = re.search(
        r"^\| Si \(silicon\) \| as simulated \| 12.5 Å, all foci \| (.*) \|$", text_of("docs/materials.md"), re.M
    )
    _, spectrum, persistence, _ = row[1].split(" | ")
    assert f"persistence has {persistence} and the spectrum {spectrum}" in said


def test_the_readme_quotes_the_record_of_one_model_for_unknown_conditions():
    record, said = text_of("docs/conditions.md"), " ".join(prose("README.md").split())
    plain, special = re.search(r"the generalist has (\d\.\d+) and specialists (\d\.\d+)", record).groups()
    assert (
        f"gets {float(plain):.2f} of the windows right where models of the very condition get {float(special):.2f}"
        in said
    )


def test_the_readme_quotes_the_records_of_maps():
    said = " ".join(prose("README.md").split())
    shipped = text_of("docs/shipped.md")
    by_kind = {}
    for title, rows in re.findall(r"^## (.+?): \d+ composites.*?\n\n(.*?)\n\n", shipped, re.M | re.S):
        cells = re.findall(r"^\| (-?\d+) \| (\d+) \| (\d\.\d+) \| ([^|]*) \|", rows, re.M)
        by_kind[title] = {(int(focus), int(dose)): (mean, ends) for focus, dose, mean, ends in cells}
    (low, high), (fine, finer) = (
        [
            pick(mean for (_, dose), (mean, _) in by_kind["Amorphous | liquid"].items() if dose == at)
            for pick in (min, max)
        ]
        for at in (400, 1600)
    )
    mean, ends = by_kind["Amorphous | liquid"][0, 400]
    assert f"by {low} to {high} at 400 e/Å², by focus (in focus {mean}, 95 %: {ends})" in said
    melted = [mean for mean, _ in by_kind["Crystal | amorphous"].values()]
    assert f"by {fine} to {finer} at 1,600 e/Å²; of crystal | amorphous by {min(melted)} to {max(melted)}" in said
    contrasts = re.findall(r"^\| (\d[.\d]*) \| \d\.\d+ to \d\.\d+ \| \S+ \| (\d\.\d+) \|$", shipped, re.M)
    beyond = [float(share) for factor, share in contrasts if not 0.85 <= float(factor) <= 1.18]
    assert len(beyond) == 3 and f"it abstains on {100 * min(beyond):.0f} to {100 * max(beyond):.0f} %" in said
    silicon = float(re.search(r"^\| amorphous-silicon \| \S+ \| (\S+) \|", shipped, re.M)[1])
    assert f"calls {silicon:.0%}".replace("%", " %") + " of the windows of amorphous silicon liquid" in said
    beside = re.findall(
        r"plain measures overlaps by (\d\.\d+), ours by (\d\.\d+);.*?(?:, which may be chance)?\.\n",
        text_of("docs/maps.md"),
    )
    (a, b), (c, d) = beside
    assert (
        f"Plain measures without persistence do no worse: {a} beside {b} for amorphous | liquid, and {c} beside {d} "
        in said
    )


def test_the_readme_quotes_the_record_on_real_micrographs():
    record, number = text_of("docs/real-micrographs.md"), r"(\d\.\d+)"
    third = re.search(rf"two images → third, balanced [^|]*\| {number} [^|]*forest of pixels[^|]*: {number}", record)
    rows = {
        name: re.search(rf"^\| {name} \| {number} [^|]*\|[^|]*\| {number} ", record, re.M).groups()
        for name in ("lifetimes", "spectrum")
    }
    said = " ".join(prose("README.md").split())
    ours, forest = (f"{float(value):.2f}" for value in third.groups())
    assert (
        f"a balanced accuracy of {ours} on the certain places of a third (a forest of pixels as in ilastik {forest})"
        in said
    )
    (plain, equal), (spectrum, equal_spectrum) = (
        [f"{float(value):.2f}" for value in rows[name]] for name in ("lifetimes", "spectrum")
    )
    assert f"with an AUC of {plain}, the spectrum {spectrum}" in said
    assert f"with counting noise equalised {equal} and {equal_spectrum}" in said


def test_the_readme_quotes_the_record_of_protocols():
    """Each of the paper's accuracies beside the study's own protocol, the nearest one, and both on unseen seeds."""
    rows = json.loads(text_of("docs/protocols.json"))["rows"]
    readme = text_of("README.md")
    assert len(rows) == 8
    for degrees, model, foci, paper, own, nearest, _, unseen, own_unseen in (row.values() for row in rows):
        cells = [degrees, model, foci, paper, own, nearest, unseen.split()[0], own_unseen.split()[0]]
        assert f"| {' | '.join(cells)} |" in readme


def test_the_reason_for_the_default_protocol_quotes_the_record():
    said = " ".join(text_of("docs/assumptions.md").split())
    record = text_of("docs/protocols.md")
    table = record.partition("in studies of their own")[2].partition("##")[0].strip().splitlines()
    columns = [cell.strip() for cell in table[0].split("|")]
    agree = {
        name: sum("agrees" in row.split("|")[columns.index(f"`{name}`")] for row in table[2:10])
        for name in ("reconstruction-search", "reconstruction")
    }
    assert (
        f"It gives {agree['reconstruction']} of the eight, and the default gives {agree['reconstruction-search']}."
        in said
    )
    finalists = record.partition("## The protocols nearest the paper")[2].partition("<details>")[0]
    answers = ["polarity: dark first", "crops of a micrograph: 64 at random", "bins: 128"]
    answers += ["feature scaling: maximum of all", "penalised intercept: of neither (libsvm)"]
    p = [
        re.search(rf"^\| {re.escape(name)} \|[^|]*\|[^|]*\| ([0-9.]+) \|", finalists, re.M)[1]
        for name in ("; ".join(answers), "the study as it is")
    ]
    assert f"p = {p[0]} and {p[1]}, on seeds that chose neither" in said
    assert f"of {re.search(r'Of ([0-9]+) protocols', record)[1]} protocols" in said


def test_the_readme_quotes_the_record_of_transfer():
    said, record = " ".join(prose("README.md").split()), text_of("docs/transfer.md")
    measured = {what: f"{float(value):.2f}" for what, value in re.findall(r"^\| ([^|]+) \| ([0-9.]+) \|", record, re.M)}
    none = measured["vacuum, carbon, particle on PtCo3 and pt_on_carbon, no label: balanced accuracy"]
    stroke = measured["vacuum, carbon, particle on both with one stroke a state: balanced accuracy"]
    blind = measured["particle or film, blind to brightness: AUC of the row that is best on simulated films"]
    assert f"a balanced accuracy of {none} for vacuum, carbon and particle" in said
    assert f"it abstains on {re.search(r'([0-9]+)% of PtCo3', record)[1]} % of the harder image" in said
    assert f"With one stroke a state it is {stroke}." in said
    assert f"an AUC of {blind} only" in said
