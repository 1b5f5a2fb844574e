"""Hooks of MkDocs: what the site has beside the pages in docs/, and links that work on GitHub and in the site.

The documents are written for GitHub: they link to files of the repository. In the site, pages from elsewhere have a
place (``PAGES``), other files that a document links to are copied into ``files/``, and links are changed accordingly.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).parents[2]
#: Pages that lie outside docs/, or have another name in the site than there.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "config/README.md": "settings.md",
    "results/README.md": "results.md",
    "benchmarks/README.md": "benchmarks.md",
    "docs/README.md": "documents.md",
}
SOURCES = {place: source for source, place in PAGES.items()}
ASSETS = ("site.css", "iframe-worker.js")
API = "# {title}\n\n::: persistem.{module}\n"
#: Code, in which nothing is changed, or the target of a link, or a link that is named by its file, and its target.
LINK = re.compile(r"^```.*?^```$|`[^`\n]+`|(?<=\]\()([^)\s]+)(?=\))|\[[\w./-]+\.md\](?=\(([^)\s]+)\))", re.M | re.S)
LIST = re.compile(r"(?:^- .*\n)+", re.M)


def on_config(config: Any) -> None:
    """Name headings as GitHub does."""
    config.mdx_configs["toc"]["slugify"] = slug


def on_files(files: Any, config: Any) -> None:
    """Add the pages from elsewhere, the generated ones, and the files that documents link to."""
    files.remove(files.get_file_from_path("README.md"))
    for source, place in PAGES.items():
        files.append(copied(config, place, ROOT / source))
    for name in ASSETS:
        files.append(copied(config, f"assets/{name}", ROOT / "docs/site" / name))
    for place, content in generated().items():
        files.append(File.generated(config, place, content=content))
    documents = [*PAGES, *(f"docs/{file.src_uri}" for file in files if (ROOT / "docs" / file.src_uri).suffix == ".md")]
    for source in dict.fromkeys(documents):
        if (ROOT / source).is_file():
            for target in targets(source):
                place = place_of(target)
                if files.get_file_from_path(place) is None and (ROOT / target).is_file():
                    files.append(copied(config, place, ROOT / target))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Change the links of a page, open its folds to Markdown, and show the gallery's list as pictures."""
    place = page.file.src_uri
    source = SOURCES.get(place, f"docs/{place}")

    def changed(found: re.Match[str]) -> str:
        target = resolved(source, link) if (link := found[1] or found[2]) else None
        if target is None:
            return found[0]
        if found[2]:
            return f"[{title_of(target[0])}]"
        there = place_of(target[0])
        if source == "docs/gallery/README.md" and (page_of := made(target[0])).is_file():
            there = f"gallery/made/{page_of.name}"
        return relpath(there, dirname(place) or ".") + target[1]

    markdown = LINK.sub(changed, markdown).replace("<details>", '<details markdown="1">')
    return LIST.sub(cards(), markdown) if place == "gallery/README.md" else markdown


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings announce a block of code by two colons."""
    return html.replace("::</p>", ":</p>")


def copied(config: Any, place: str, file: Path) -> File:
    """A file of the repository at a place of the site; what is excluded in docs/ may be there by another name."""
    return File.generated(config, place, abs_src_path=str(file), inclusion=InclusionLevel.INCLUDED)


def slug(text: str, separator: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", text.lower()).replace(" ", separator)


def targets(source: str) -> list[str]:
    """The files of the repository that a document links to."""
    links = (found[1] for found in LINK.finditer((ROOT / source).read_text("utf-8")) if found[1])
    return [target[0] for link in links if (target := resolved(source, link))]


def resolved(source: str, link: str) -> tuple[str, str] | None:
    """The file of the repository that a link of a document leads to, and its anchor; None for other links."""
    path, hash_, anchor = link.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return None
    return normpath(join(dirname(source), path)), hash_ + anchor


def place_of(path: str) -> str:
    """Where a file of the repository is in the site."""
    if path in PAGES:
        return PAGES[path]
    if not path.startswith("docs/") or path.endswith(".py"):
        return f"files/{path}"
    return path.removeprefix("docs/")


def title_of(document: str) -> str:
    """The heading of a document, without what follows a colon."""
    return (ROOT / document).read_text("utf-8").partition("\n")[0].removeprefix("# ").partition(":")[0]


def made(script: str) -> Path:
    """The page of a script of the gallery."""
    return ROOT / "docs/gallery/made" / f"{Path(script).stem}.md"


def generated() -> dict[str, str]:
    """The pages that are made from the package."""
    return {
        "command-line.md": command_line(),
        "api.md": API.format(title="Maps and models in Python", module="api"),
        "estimators.md": API.format(title="Estimators for scikit-learn", module="estimators"),
    }


def command_line() -> str:
    """Every verb with its help, from the parser itself."""
    import argparse

    from persistem.commands.parser import _parser

    os.environ["COLUMNS"] = "88"
    parser = _parser()
    (verbs,) = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = ["# Command line", f"```text\n{parser.format_help()}```"]
    for name, verb in verbs.items():
        parts += [f"## persistem {name}", f"```text\n{verb.format_help()}```"]
    return "\n\n".join(parts) + "\n"


def cards() -> str:
    """A picture of each script, which leads to its page."""
    made = sorted((ROOT / "docs/gallery/made").glob("*.md"))
    items = []
    for page in made:
        title = page.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        picture = min(page.parent.glob(f"{page.stem}-*.png"))
        items.append(f'<a href="made/{page.stem}.html"><img src="made/{picture.name}" alt="">{title}</a>')
    return '<div class="gallery">\n' + "\n".join(items) + "\n</div>\n"
