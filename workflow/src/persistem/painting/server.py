"""The server of the page: on this machine alone, to whoever has the address, which holds a token.

A page of another site cannot use it: its requests lack the token, come with its own origin, or with its own host name
if that was made to point here (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hmac
import json
import secrets
import signal
import socket
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket

from persistem.errors import PersistemError, Setting
from persistem.painting import pictures
from persistem.painting.folder import Folder, Sheet
from persistem.painting.operations import Deleted, Named, PixelSize, Region, operation
from persistem.painting.places import Grid, region
from persistem.painting.worker import Job, Packed, Source, Worker
from persistem.report.figures.drawing import COLOURS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.painting.engine import Engine, Sizes

HOST = "127.0.0.1"
#: Seconds from a stroke to the files of the labels; most bytes of a message from a page.
SAVED_AFTER, LARGEST = 0.5, 2**20
#: Micrographs whose tiles are at hand.
AT_HAND = 4
#: What a page is made of, in the package, by its name in the address.
ASSETS = {
    "": ("painting/page/index.html", "text/html"),
    "base.css": ("report/page/page.css", "text/css"),
    "label.css": ("painting/page/label.css", "text/css"),
    "icon.svg": ("painting/page/icon.svg", "image/svg+xml"),
    **{
        f"{name}.js": (f"painting/page/{name}.js", "text/javascript")
        for name in ("main", "socket", "view", "layers", "tools", "panel")
    },
}


class Session:
    """What all open pages share: the folder, the worker, the maps and the scores."""

    def __init__(self, folder: Folder, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        self.pages: set[Socket] = set()
        self.maps: dict[str, Grid] = {}
        self.scores: dict[str, Any] | None = None
        #: The labels of each micrograph that the model was trained on, as ``Sheet.content``.
        self.trained_on: dict[str, int] = {}
        #: Whether labels were there at the start; a model is not kept.
        self.back = any(sheet.counts[1:].any() for sheet in folder.sheets.values())
        self.worker = Worker(engine, self._tell_work)
        self._dirty: set[str] = {sheet.name for sheet in folder.sheets.values() if sheet.done}
        self._saving: asyncio.Task[None] | None = None
        self.pyramid: Callable[[str], list[NDArray[np.uint8]]] = lru_cache(AT_HAND)(
            lambda name: pictures.pyramid(folder.image(name))
        )

    # ---- what pages are told

    def tell(self, **message: Any) -> None:
        """Tell all pages."""
        text = json.dumps(message)
        for page in list(self.pages):
            page.say(text)

    def _tell_work(self, state: dict[str, Any] | None, sentence: str) -> None:
        self.tell(tell="work", work=state)
        if sentence:
            self.tell(tell="sentence", text=sentence)

    def hello(self) -> dict[str, Any]:
        """Everything but pixels."""
        return {
            "tell": "hello",
            "folder": str(self.folder.path),
            "tile": pictures.TILE,
            "colours": [colour.lower() for colour in COLOURS],
            "images": self.images(),
            "states": self.states(),
            "work": self.worker.state,
            "scores": self.scores,
            "trained": self.trained_on,
            "back": self.back,
            "maps": list(self.maps),
        }

    def states(self) -> list[dict[str, Any]]:
        """The states as a page lists them."""
        listed = self.folder.listed.items()
        return [
            {"number": k, "name": state.name, "colour": state.colour, "used": self.folder.used(k)}
            for k, state in listed
        ]

    def images(self) -> list[dict[str, Any]]:
        """The micrographs as a page lists them."""
        return [self.about(sheet) for sheet in self.folder.sheets.values()]

    def about(self, sheet: Sheet) -> dict[str, Any]:
        """A micrograph as a page shows it; ``window`` is the side of a window in its pixels."""
        size = sheet.pixel_size
        return {
            "name": sheet.name,
            "file": sheet.path.name,
            "rows": sheet.shape[0],
            "columns": sheet.shape[1],
            "levels": pictures.levels(sheet.shape),
            "pixel_size": size,
            "window": None if size is None else self.engine.window(self._sizes()) / size,
            "counted": sheet.counted,
            "problem": sheet.problem,
            "undo": len(sheet.done),
            "redo": len(sheet.undone),
            "revision": sheet.revision,
            "content": sheet.content,
            "counts": {int(k): int(sheet.counts[k]) for k in np.flatnonzero(sheet.counts) if k},
        }

    # ---- what pages ask

    def do(self, asked: dict[str, Any]) -> None:
        """Do what a page asks; raises PersistemError if it cannot be done."""
        kind = asked.pop("do", None)
        if kind in ("train", "map", "describe", "cancel", "accept", "add"):
            getattr(self, f"_{kind}")(asked)
            return
        if kind in ("open", "region"):
            raise PersistemError("A page cannot ask for this.")
        self._perform(operation(asked | {"do": kind}))

    def _perform(self, asked: Any) -> None:
        """Do an operation of the journal and tell all pages."""
        name = getattr(asked, "image", "")
        if isinstance(asked, PixelSize):  # before it is in the journal: windows have to suit it
            try:
                self.engine.study(self._sizes({name: 1.0 if asked.value is None else asked.value}))
            except PersistemError as error:
                raise PersistemError(f"{self.folder.sheet(name).path.name}: {error}") from error
        try:
            box = self.folder.perform(asked)
        except PersistemError:
            if name in self.folder.sheets and self.folder.sheets[name].problem:
                self.tell(tell="image", image=self.about(self.folder.sheets[name]))
            raise
        if isinstance(asked, Named | Deleted):
            self._changed(*self.folder.sheets)
            self.tell(tell="states", states=self.states())
            return
        if isinstance(asked, PixelSize):
            # windows suit the pixel sizes of all micrographs, so the model is one of other windows
            self.maps.clear()
            self.scores, self.trained_on = None, {}
            self.tell(tell="trained", scores=self.scores, trained=self.trained_on)
            self._changed(name)
            for sheet in self.folder.sheets.values():
                self.tell(tell="image", image=self.about(sheet))
            return
        if box is not None:
            part = self.folder.sheets[name].labels[box.part]
            data = base64.b64encode(zlib.compress(part.tobytes(), 1)).decode()
            self._changed(name)
            self.tell(tell="labels", image=self.about(self.folder.sheets[name]), box=list(box), data=data)
            self.tell(tell="states", states=self.states())
        else:
            self.tell(tell="image", image=self.about(self.folder.sheets[name]))

    def _sheet(self, asked: dict[str, Any]) -> Sheet:
        sheet = self.folder.sheet(str(asked.get("image")))
        sheet.check()
        return sheet

    def _add(self, asked: dict[str, Any]) -> None:
        """Add a state, named by its number, with the first colour that is free."""
        number, listed = self.folder.next_state(), self.folder.listed.values()
        names, colours = {state.name for state in listed}, {state.colour for state in listed}
        name = next(name for k in range(number, number + 999) if (name := f"state-{k}") not in names)
        free = [colour.lower() for colour in COLOURS if colour.lower() not in colours]
        colour = free[0] if free else COLOURS[number % len(COLOURS)].lower()
        self._perform(Named(number=number, name=name, colour=colour))

    def _accept(self, asked: dict[str, Any]) -> None:
        """Label the region of the map at a point as the map has it."""
        sheet, grid = self._sheet(asked), self.maps.get(str(asked.get("image")))
        x, y = asked.get("x"), asked.get("y")
        if grid is None or not isinstance(x, int | float) or not isinstance(y, int | float):
            raise PersistemError("There is no map here yet; train first.")
        found = region(grid, x, y) if np.isfinite([x, y]).all() else None
        if found is None:
            raise PersistemError("The model is not sure of this place; paint it instead.")
        state, runs = found
        before = sheet.revision
        self._perform(Region(image=sheet.name, state=state, origin=grid.origin, step=grid.step, runs=tuple(runs)))
        if sheet.revision == before:
            raise PersistemError("All of this region is labelled already.")

    # ---- computing

    def _source(self, sheet: Sheet) -> Source:
        sheet.check()
        if sheet.pixel_size is None:
            raise PersistemError(f"{sheet.path.name}: say how large its pixels are first.")
        return Source(sheet.path, sheet.pixel_size, self.folder.grey, self._sizes())

    def _sizes(self, asked: Mapping[str, float] = MappingProxyType({})) -> Sizes:
        """The sizes of the micrographs whose pixel size is known, some as they are ``asked`` for."""
        known = ((asked.get(name, sheet.pixel_size), sheet.shape) for name, sheet in self.folder.sheets.items())
        return tuple((size, shape) for size, shape in known if size is not None)

    def _describing(self, sheet: Sheet) -> Job:
        return Job("describe", f"Looking at {sheet.path.name}", lambda: (self._source(sheet),))

    def _mapping(self, sheet: Sheet) -> Job:
        def arguments() -> tuple[Any, ...]:
            return self._source(sheet), Packed.of(sheet.labels)

        def then(grid: Grid) -> None:
            self.maps[sheet.name] = grid
            self.tell(**self.map_of(sheet.name))

        return Job("map", f"Mapping {sheet.path.name}", arguments, then)

    def _describe(self, asked: dict[str, Any]) -> None:
        """Describe a micrograph ahead, if there is nothing else to do."""
        sheet = self._sheet(asked)
        if sheet.pixel_size is not None and self.worker.state is None:
            self.worker.add(self._describing(sheet))

    def _train(self, asked: dict[str, Any]) -> None:
        """Train on all labels, in place of a training that runs, and map the micrograph that the page shows."""
        shown = self._sheet(asked)
        labelled = [sheet for sheet in self.folder.sheets.values() if sheet.counts[1:].any()]
        states = {k: state.name for k, state in self.folder.listed.items() if self.folder.used(k)}
        if len(states) < 2:
            raise PersistemError("Paint at least two states first.")
        for sheet in labelled:
            self._source(sheet)
        contents = {sheet.name: sheet.content for sheet in labelled}

        def arguments() -> tuple[Any, ...]:
            return [self._source(sheet) for sheet in labelled], packed, states

        def then(scores: dict[str, Any]) -> None:
            self.scores, self.trained_on = scores, contents
            self.maps.clear()
            self.tell(tell="trained", scores=scores, trained=contents)

        packed = [Packed.of(sheet.labels) for sheet in labelled]
        self.worker.replace(
            *(self._describing(sheet) for sheet in labelled),
            Job("train", "Training", arguments, then),
            self._mapping(shown),
        )

    def _map(self, asked: dict[str, Any]) -> None:
        """Map a micrograph with the model that is there, or tell its map again."""
        sheet = self._sheet(asked)
        if sheet.name in self.maps:
            self.tell(**self.map_of(sheet.name))
        elif self.scores is not None and sheet.pixel_size is not None:
            self.worker.add(self._describing(sheet), self._mapping(sheet))

    def _cancel(self, asked: dict[str, Any]) -> None:
        self.worker.cancel()

    def map_of(self, name: str) -> dict[str, Any]:
        """The message with a map."""
        grid = self.maps[name]
        content = grid.probability.tobytes() + grid.abstain.astype(np.uint8).tobytes()
        return {
            "tell": "map",
            "image": name,
            "rows": grid.abstain.shape[0],
            "columns": grid.abstain.shape[1],
            "states": list(grid.states),
            "step": grid.step,
            "origin": list(grid.origin),
            "places": [list(place) for place in grid.places],
            "data": base64.b64encode(zlib.compress(content, 1)).decode(),
        }

    # ---- saving

    def _changed(self, *names: str) -> None:
        self._dirty.update(names)
        self.tell(tell="saved", saved=False)
        if self._saving is None or self._saving.done():
            self._saving = asyncio.get_running_loop().create_task(self._save_soon())

    async def _save_soon(self) -> None:
        while self._dirty:
            await asyncio.sleep(SAVED_AFTER)
            try:
                self.save()
            except (OSError, PersistemError) as error:
                where = str(error)
                if isinstance(error, OSError):
                    where = f"{error.filename or self.folder.path}: {error.strerror or error}"
                self.tell(tell="sentence", text=f"The labels cannot be written. {where}. The strokes are kept.")
                await asyncio.sleep(5)
            else:
                self.tell(tell="saved", saved=True)

    def save(self) -> None:
        """Write what has changed."""
        names = [name for name in self.folder.sheets if name in self._dirty]
        sizes = self._sizes()
        self.folder.save(names, self.engine.study(sizes) if sizes else {})
        self._dirty.clear()

    def close(self) -> None:
        """Stop computing, write what has changed and close the folder."""
        self.worker.close()
        try:
            self.save()
        finally:
            self.folder.close()


class Guarded(tornado.web.RequestHandler):
    """Answers only requests that have the token and come from this page or the address bar."""

    @property
    def session(self) -> Session:
        """What all pages share."""
        session: Session = self.settings["session"]
        return session

    def set_default_headers(self) -> None:
        """Nothing from elsewhere, nothing inline, nothing kept."""
        hosts = " ".join(f"ws://{host}" for host in self.settings["hosts"])
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
            f" connect-src 'self' {hosts}; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
        for name, value in {
            "Server": "persistem",
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse what has the wrong token, host or origin."""
        headers, hosts = self.request.headers, self.settings["hosts"]
        token = self.request.path.split("/")[1]
        origin = headers.get("Origin")
        if self.request.host not in hosts:
            raise tornado.web.HTTPError(403, reason="This server answers this machine alone")
        if origin is not None and origin not in {f"http://{host}" for host in hosts}:
            raise tornado.web.HTTPError(403, reason="Pages of other sites are refused")
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise tornado.web.HTTPError(403, reason="Pages of other sites are refused")
        if not hmac.compare_digest(token.encode(), self.settings["token"].encode()):
            raise tornado.web.HTTPError(403, reason="The address is not the one that persistem label printed")

    def write_error(self, status_code: int, **_: Any) -> None:
        """A sentence."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self._reason}.\n")

    def sheet(self, number: str) -> Sheet:
        """The sheet of that number."""
        sheets = list(self.session.folder.sheets.values())
        if int(number) >= len(sheets):
            raise tornado.web.HTTPError(404)
        return sheets[int(number)]


class Missing(Guarded):
    """There is nothing at this address."""

    def get(self, *_: str) -> None:
        """Say so."""
        raise tornado.web.HTTPError(404)


class Asset(Guarded):
    """A file of the page."""

    def get(self, name: str) -> None:
        """Send it."""
        if name not in ASSETS:
            raise tornado.web.HTTPError(404)
        path, kind = ASSETS[name]
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.write((files("persistem") / path).read_bytes())


class Tile(Guarded):
    """A tile of a micrograph."""

    async def get(self, number: str, level: str, row: str, column: str) -> None:
        """Send it as PNG."""
        name = self.sheet(number).name
        try:
            levels = await asyncio.get_running_loop().run_in_executor(None, self.session.pyramid, name)
        except (PersistemError, OSError) as error:
            raise tornado.web.HTTPError(409, reason="The micrograph cannot be read") from error
        png = pictures.tile(levels[int(level)], int(row), int(column)) if int(level) < len(levels) else None
        if png is None:
            raise tornado.web.HTTPError(404)
        self.set_header("Content-Type", "image/png")
        self.write(png)


class Labels(Guarded):
    """The labels of a micrograph."""

    def get(self, number: str) -> None:
        """Send them as bytes, row by row."""
        sheet = self.sheet(number)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Encoding", "deflate")
        self.set_header("X-Revision", str(sheet.revision))
        self.write(zlib.compress(sheet.labels.tobytes(), 1))


class Socket(Guarded, tornado.websocket.WebSocketHandler):
    """The line to one page: it asks, and is told what changes."""

    def check_origin(self, origin: str) -> bool:
        """``prepare`` has checked it."""
        return True

    def open(self, *_: str, **__: str) -> None:
        """Tell the new page everything."""
        self.session.pages.add(self)
        self.say(json.dumps(self.session.hello()))

    def on_close(self) -> None:
        """Forget the page."""
        self.session.pages.discard(self)

    def say(self, text: str) -> None:
        """Tell this page, if it is still there."""
        with suppress(tornado.websocket.WebSocketClosedError):
            self.write_message(text)

    def on_message(self, message: str | bytes) -> None:
        """Do what the page asks; if it cannot be done, say why to this page alone."""
        number = None
        try:
            asked = json.loads(message)
            if not isinstance(asked, dict):
                raise PersistemError("This cannot be done: not a mapping.")
            number = asked.pop("id", None)
            self.session.do(asked)
        except (ValueError, RecursionError):
            self.say(json.dumps({"tell": "sentence", "text": "This cannot be done: not JSON."}))
        except PersistemError as error:
            self.say(json.dumps({"tell": "sentence", "text": str(error)}))
        except OSError as error:
            text = f"This was not done, as it cannot be written down: {error.strerror or error}."
            self.say(json.dumps({"tell": "sentence", "text": text}))
        self.say(json.dumps({"tell": "did", "id": number}))


def bound(port: int) -> list[socket.socket]:
    """Sockets that listen on this machine alone; raises PersistemError if the port cannot be had."""
    if not 0 <= port <= 65535:
        raise PersistemError(Setting("port"), f" = {port}: must be 0 to 65535, where 0 is one that is free")
    try:
        return tornado.netutil.bind_sockets(port, HOST, family=socket.AF_INET)
    except OSError as error:
        reason = {errno.EADDRINUSE: "is in use", errno.EACCES: "is reserved"}.get(error.errno or 0, str(error))
        raise PersistemError(
            Setting("port"), f" = {port}: {reason}; choose another, or leave it out to get one that is free"
        ) from error


def application(session: Session, port: int, token: str) -> tornado.web.Application:
    """The web application."""
    return tornado.web.Application(
        [
            (r"/[^/]+/tiles/(\d{1,4})/(\d{1,2})/(\d{1,4})/(\d{1,4})\.png", Tile),
            (r"/[^/]+/labels/(\d{1,4})", Labels),
            (r"/[^/]+/socket", Socket),
            (r"/[^/]+/([a-z.]*)", Asset),
        ],
        default_handler_class=Missing,
        session=session,
        token=token,
        hosts=(f"{HOST}:{port}", f"localhost:{port}"),
        websocket_max_message_size=LARGEST,
        websocket_ping_interval=20,
        log_function=lambda _: None,
    )


async def serve(folder: Folder, engine: Engine, sockets: list[socket.socket], ready: Callable[[str], None]) -> None:
    """Serve a folder on ``bound`` sockets until the process is told to end; ``ready`` is called with the address."""
    session = Session(folder, engine)
    number, token = sockets[0].getsockname()[1], secrets.token_urlsafe(24)
    server = tornado.httpserver.HTTPServer(application(session, number, token))
    end, loop = asyncio.Event(), asyncio.get_running_loop()
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(ending, end.set)
    try:
        session.save()
        server.add_sockets(sockets)
        ready(f"http://{HOST}:{number}/{token}/")
        await end.wait()
    finally:
        server.stop()
        session.close()
