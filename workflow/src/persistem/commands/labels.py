"""The verb that opens the page for labels.

The first line of a verb's docstring is its help.
"""

from __future__ import annotations

from pathlib import Path

from persistem.commands.maps import names, progress_bar


def label(images: list[Path], out: Path, pixel_size: float | None, grey: bool, port: int, no_browser: bool) -> None:
    """open a page on which you paint states on micrographs, and which maps them; it ends with Ctrl+C"""
    import asyncio

    from persistem.painting.engine import LabelledEngine
    from persistem.painting.folder import Folder
    from persistem.painting.server import bound, serve

    sockets, engine = bound(port), LabelledEngine(out / ".described")
    with progress_bar("opening the micrographs") as progress:
        folder = Folder(out, names(images), pixel_size, grey, progress, engine.study)

    def ready(address: str) -> None:
        print(f"The page is at {address}\nLabels are kept in {out}. Ctrl+C ends.", flush=True)
        if not no_browser:
            import webbrowser

            webbrowser.open(address)

    asyncio.run(serve(folder, engine, sockets, ready))
