"""The page of a study: its results in one HTML file that opens without network.

``content`` makes the tables and figures, ``explore`` the data of the interactive parts: atoms to rotate, a diagram to
point at, micrographs and crops to slide through. ``template.html``, ``page.css`` and ``page.js`` show them.
"""

from __future__ import annotations

import html
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.report.page import content, explore
from persistem.store.files import atomic

if TYPE_CHECKING:
    from jinja2 import Template


def write_page(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Write the page of a study.

    Parameters
    ----------
    settings
        plain values; every path in them is relative to ``root``. Where a part is empty, null or left out, the page says
        that it is missing. ``study`` holds every setting; ``name``, ``digest``, ``date``, ``recipe``, ``states`` (in
        the order of labels), ``timings`` and ``versions`` are as named; ``comparison`` and ``claims`` are
        the rows of ``report.paper`` and ``report.claims``; ``accuracy`` the table of each recipe; ``figures`` each
        figure's path without suffix; ``specimens`` specimen records with the paths ``check`` and ``summary``. For the
        interactive parts: ``volumes`` with ``structures``, ``cube`` and ``field``, ``thickness`` (Å); ``inverse`` with
        ``crops``, ``index``, ``defocus`` and ``inverse``; ``micrographs`` with ``path`` and ``defocus``; and
        ``pixel_size_A``.
    root
        folder that the paths are relative to
    out
        the HTML file

    Raises
    ------
    PersistemError
        if a file that the settings name cannot be read.
    """
    import base64
    import zlib

    from plotly.offline import get_plotlyjs

    package = files("persistem.report.page")
    data = explore.explore(settings, Path(root))
    text = template("template.html").render(
        **content.content(settings, Path(root)),
        explore=data,
        data=inline_json(data),
        style=(package / "page.css").read_text("utf-8"),
        script=inline_script((package / "page.js").read_text("utf-8")),
        plotly=base64.b64encode(zlib.compress(get_plotlyjs().encode(), 9)).decode(),
    )
    with atomic(out) as part:
        part.write_text(text, "utf-8")


def template(name: str, package: str = "persistem.report.page") -> Template:
    """A page's template in a package; its values are escaped, and none may be undefined.

    It sets ``policy``, what the page may use, and ``heading``, and includes ``head.html``, which all pages share.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(each, "") for each in (package, "persistem.report.page")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"coded": coded, "uncoded": uncoded}
    return environment.get_template(name)


def coded(text: Any) -> str:
    """Text whose words between backticks are code, escaped."""
    from jinja2.filters import do_mark_safe

    return do_mark_safe(re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(str(text))))


def uncoded(text: Any) -> str:
    """Text without backticks, where there can be no code, as in an attribute."""
    return str(text).replace("`", "")


def inline_json(value: Any) -> str:
    """JSON that can stand inside a ``<script>`` element, whatever its strings hold."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def inline_script(text: str) -> str:
    """A script that can stand inside a ``<script>`` element: nothing in it ends the element."""
    return re.sub(r"</(?=script)", r"<\\/", text, flags=re.IGNORECASE)
