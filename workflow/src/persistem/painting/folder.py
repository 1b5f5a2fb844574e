"""A folder of painting: micrographs, their labels and the states, as the journal tells and nobody else may write."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.painting import saving
from persistem.painting.journal import NAME, Journal
from persistem.painting.operations import (
    MOST_STATES,
    Anything,
    Box,
    Deleted,
    Named,
    Opened,
    PixelSize,
    Polygon,
    Redo,
    Region,
    Stroke,
    Undo,
    drawn,
)
from persistem.painting.saving import Legend
from persistem.reading import Image, read
from persistem.report.figures.drawing import COLOURS
from persistem.store.locks import taken
from persistem.store.seals import sha256
from persistem.study.mapping import RESERVED_LABELLED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.painting.engine import Sizes

#: The states that a new folder begins with.
FIRST = ("state-1", "state-2")


class Found(NamedTuple):
    """What the file of a micrograph says: its size (rows, columns), and that of its pixels, Å, if it does."""

    shape: tuple[int, int]
    stated: float | None


class Patch(NamedTuple):
    """What a mark changed: which pixels of a box, and what they were, deflated."""

    box: Box
    state: int
    changed: bytes
    before: bytes


@dataclass
class Sheet:
    """A micrograph and what is painted on it."""

    name: str
    path: Path
    sha256: str
    shape: tuple[int, int]
    labels: NDArray[np.uint8]
    #: Å: what the file says, and what the user gave; ``counted`` if lengths are to be counted in pixels.
    stated: float | None = None
    given: float | None = None
    counted: bool = False
    #: Pixels of each label.
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(MOST_STATES + 1, np.int64))
    done: list[Patch] = field(default_factory=list)
    undone: list[Patch] = field(default_factory=list)
    revision: int = 0
    #: Why it cannot be used, in a sentence.
    problem: str = ""
    _status: tuple[int, ...] = ()
    _content: tuple[int, int] = (-1, 0)

    @property
    def content(self) -> int:
        """A number that the same labels have again, after an undo for example."""
        if self._content[0] != self.revision:
            self._content = self.revision, zlib.crc32(np.ascontiguousarray(self.labels).data)
        return self._content[1]

    @property
    def pixel_size(self) -> float | None:
        """Å; 1 if lengths are counted in pixels, None as long as nobody has said."""
        return 1.0 if self.counted else self.given if self.given is not None else self.stated

    @property
    def asked(self) -> float | None:
        """The pixel size that a study has to give, as the file does not say it or not so, Å."""
        return 1.0 if self.counted else self.given

    def check(self) -> None:
        """Raise PersistemError if the file is not the one that was opened."""
        try:
            status = self.path.stat()
            now = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if now == self._status:
                return
            found = sha256(self.path)
        except OSError as error:
            self.problem = f"{self.path}: cannot be read any more ({error.strerror}); its labels are kept"
            raise PersistemError(self.problem) from error
        if found != self.sha256:
            self.problem = (
                f"{self.path}: has changed since it was labelled; put the old file back, or label the new one into"
                " another folder"
            )
            raise PersistemError(self.problem)
        self._status, self.problem = now, ""

    def put(self, box: Box, changed: NDArray[np.bool_], now: NDArray[np.uint8] | np.uint8) -> None:
        """Give new labels to the changed pixels of a box."""
        part = self.labels[box.part]
        self.counts -= np.bincount(part[changed], minlength=MOST_STATES + 1)
        part[changed] = now
        self.counts += np.bincount(part[changed], minlength=MOST_STATES + 1)
        self.revision += 1


class Folder:
    """The folder that a page paints into; hold one in only one place, ``close`` it at the end.

    Parameters
    ----------
    out
        the folder; it is made if it is not there
    named
        the micrographs to open, and the name of each in the folder
    pixel_size, grey
        as of ``persistem.reading.read``
    progress
        called with how many micrographs are read, and of how many
    check
        raises PersistemError if pixels of that size (Å), of an image of that shape, cannot be described

    Raises
    ------
    PersistemError
        if another process has it open, its journal is damaged, or a micrograph cannot be read, holds several frames or
        has changed since it was labelled here. Then the folder is as it was, or was not made.
    """

    def __init__(
        self,
        out: Path,
        named: Mapping[Path, str],
        pixel_size: float | None = None,
        grey: bool = False,
        progress: Callable[[int, int], None] | None = None,
        check: Callable[[Sizes], Any] | None = None,
    ) -> None:
        self.path, self.grey, self.sheets, self.states = out, grey, dict[str, Sheet](), dict[int, Legend]()
        self._deleted: set[int] = set()
        found: dict[Path, Found] = {}
        for k, path in enumerate(named):
            if progress:
                progress(k, len(named))
            found[path] = self._found(path.resolve(), pixel_size)
        if not os.path.lexists(out / NAME):
            self._agree(named, found, pixel_size, check)  # before a folder is made
        lock = taken(out / ".lock")
        if lock is None:
            raise PersistemError(f"{out}: is open in another `persistem label`; end that one first")
        self._lock = lock
        try:
            self._journal = Journal(out / NAME)
            for done in self._journal.replay():
                self._again(done)
            self._agree(named, found, pixel_size, check)
            self._open(named, found, pixel_size)
            if not self.states:
                for k, name in enumerate(FIRST):
                    self.perform(Named(number=k + 1, name=name, colour=COLOURS[k].lower()))
        except BaseException:
            os.close(lock)
            raise

    def _found(self, path: Path, pixel_size: float | None) -> Found:
        image = self._image(path, pixel_size)
        stated = image.stated.get("pixel_size")
        return Found((image.pixels.shape[0], image.pixels.shape[1]), stated.value if stated else None)

    def _known(self, path: Path, name: str) -> Sheet | None:
        """The sheet of a file; also if the file was moved to another place."""
        place = path.resolve()
        for sheet in self.sheets.values():
            if sheet.path == place:
                return sheet
        same = self.sheets.get(name)
        return same if same and same.sha256 == sha256(place) else None

    def _agree(
        self,
        named: Mapping[Path, str],
        found: Mapping[Path, Found],
        pixel_size: float | None,
        check: Callable[[Sizes], Any] | None,
    ) -> None:
        """Raise PersistemError if a micrograph cannot be opened here; nothing is changed."""
        for path, name in named.items():
            sheet = self._known(path, name)
            if sheet is None:
                if name in self.sheets:
                    raise PersistemError(
                        f"{path}: {self.path} has labels of another {name}, {self.sheets[name].path}; label this one"
                        " into another folder"
                    )
                labels = saving.labels_path(self.path, name)
                if os.path.lexists(labels):
                    raise PersistemError(
                        f"{labels}: is there, but {NAME} does not tell how it was painted; choose another folder"
                    )
            else:
                if sheet.path == path.resolve():
                    sheet.check()
                if sheet.shape != found[path].shape:
                    raise PersistemError(f"{self.path / NAME}: is damaged ({path} is not of the size that it says)")
            size = pixel_size or (sheet.asked if sheet else None) or found[path].stated
            if check and size is not None:
                try:
                    check(((size, found[path].shape),))
                except PersistemError as error:
                    raise PersistemError(f"{path}: {error}") from error

    def _open(self, named: Mapping[Path, str], found: Mapping[Path, Found], pixel_size: float | None) -> None:
        for path, name in named.items():
            place = path.resolve()
            sheet = self._known(path, name)
            if sheet is None or sheet.path != place:
                rows, columns = found[path].shape
                name = sheet.name if sheet else name
                self.perform(Opened(image=name, path=str(place), sha256=sha256(place), rows=rows, columns=columns))
                sheet = self.sheets[name]
            sheet.check()
            sheet.stated = found[path].stated
            if pixel_size is not None and pixel_size not in (sheet.given, sheet.stated):
                self.perform(PixelSize(image=sheet.name, value=pixel_size))
        for sheet in self.sheets.values():
            if sheet.path not in {path.resolve() for path in named}:
                try:
                    sheet.check()
                    sheet.stated = self._found(sheet.path, None).stated
                except PersistemError as error:
                    sheet.problem = str(error)

    def _image(self, path: Path, pixel_size: float | None) -> Image:
        frames = read(path, pixel_size=pixel_size, grey=self.grey)
        if len(frames) > 1:
            raise PersistemError(
                f"{path}: holds {len(frames)} micrographs; save the one to be labelled as a file of its own"
            )
        return frames[0]

    def image(self, name: str) -> Image:
        """The micrograph of a sheet. Raises PersistemError if it has changed since it was opened."""
        sheet = self.sheets[name]
        sheet.check()
        return self._image(sheet.path, sheet.pixel_size)

    def sheet(self, name: str) -> Sheet:
        """A sheet by its name; raises PersistemError if there is none."""
        if name not in self.sheets:
            raise PersistemError(f"There is no micrograph {name!r} here.")
        return self.sheets[name]

    @property
    def listed(self) -> dict[int, Legend]:
        """The states that are not deleted. One that an undone stroke brings back is listed again."""
        return {k: state for k, state in self.states.items() if k not in self._deleted or self.used(k)}

    def used(self, number: int) -> bool:
        """Whether any pixel has this label."""
        return any(sheet.counts[number] for sheet in self.sheets.values())

    def perform(self, asked: Anything) -> Box | None:
        """Do an operation once it is in the journal; return the box whose labels changed, or None if none did.

        Raises PersistemError if it is not possible, and OSError if the journal cannot be written.
        """
        self._refuse(asked)
        if isinstance(asked, Stroke | Polygon | Region):
            sheet = self.sheets[asked.image]
            box, changed = _changed(sheet, asked)
            if not changed.any():
                return None
            self._journal.append(asked)
            return _marked(sheet, asked, box, changed)
        self._journal.append(asked)
        return self._apply(asked)

    def _refuse(self, asked: Anything) -> None:
        """Raise PersistemError if an operation is not possible."""
        if isinstance(asked, Opened):
            return
        if isinstance(asked, Named):
            if asked.name in RESERVED_LABELLED:
                raise PersistemError(f"{asked.name} is a word of maps; call the state something else.")
            others = {state.name for number, state in self.listed.items() if number != asked.number}
            if asked.name in others:
                raise PersistemError(f"There is a state {asked.name} already; two cannot have one name.")
            return
        if isinstance(asked, Deleted):
            if asked.number not in self.listed:
                raise PersistemError("This state is not there any more.")
            if self.used(asked.number):
                raise PersistemError(f"{self.states[asked.number].name} has labels; erase them before it is deleted.")
            return
        sheet = self.sheet(asked.image)
        sheet.check()
        if isinstance(asked, Undo | Redo) and not (sheet.done if isinstance(asked, Undo) else sheet.undone):
            raise PersistemError(f"There is nothing to {asked.do}.")
        if isinstance(asked, Stroke | Polygon | Region) and asked.state and asked.state not in self.listed:
            raise PersistemError("This state is not there any more.")

    def _apply(self, done: Anything) -> Box | None:
        """Do what is in the journal."""
        if isinstance(done, Opened) and done.image in self.sheets:
            self.sheets[done.image].path = Path(done.path)
            return None
        if isinstance(done, Opened):
            labels = np.zeros((done.rows, done.columns), np.uint8)
            self.sheets[done.image] = sheet = Sheet(
                done.image, Path(done.path), done.sha256, (done.rows, done.columns), labels
            )
            sheet.counts[0] = labels.size
            return None
        if isinstance(done, Named):
            self.states[done.number] = Legend(done.name, done.colour)
            self._deleted.discard(done.number)
            return None
        if isinstance(done, Deleted):
            self._deleted.add(done.number)
            return None
        sheet = self.sheet(done.image)
        if isinstance(done, PixelSize):
            sheet.given, sheet.counted = done.value, done.value is None
            return None
        if isinstance(done, Undo | Redo):
            return _turned(sheet, isinstance(done, Undo))
        return _marked(sheet, done, *_changed(sheet, done))

    def _again(self, done: Anything) -> None:
        """Do what is in the journal, after a restart."""
        try:
            self._apply(done)
        except PersistemError as error:
            raise PersistemError(f"{self._journal.path}: is damaged ({error})") from error

    def save(self, names: Iterable[str], rest: Mapping[str, Any]) -> None:
        """Write the labels of these sheets, and the study, of which ``rest`` is what the engine says."""
        for name in names:
            saving.save_labels(self.path, self.sheets[name], self.listed)
        saving.save_study(self.path, self.sheets.values(), self.listed, self.grey, rest)

    def next_state(self) -> int:
        """A number that no state has ever had. Raises PersistemError if there is none."""
        number = max(self.states, default=0) + 1
        if number > MOST_STATES:
            raise PersistemError(f"There are {MOST_STATES} states, which is as many as labels can tell apart.")
        return number

    def close(self) -> None:
        """Close the journal and let others open the folder."""
        self._journal.close()
        os.close(self._lock)


def _changed(sheet: Sheet, mark: Stroke | Polygon | Region) -> tuple[Box, NDArray[np.bool_]]:
    """The box of a mark, and which pixels in it change on a sheet; perhaps none."""
    box, mask = drawn(mark, sheet.shape)
    before = sheet.labels[box.part]
    mask &= before == 0 if mark.careful else before != mark.state
    return box, mask


def _marked(sheet: Sheet, mark: Stroke | Polygon | Region, box: Box, changed: NDArray[np.bool_]) -> Box:
    """Make a mark, which can then be undone."""
    before = sheet.labels[box.part][changed]
    patch = Patch(box, mark.state, _deflated(np.packbits(changed)), _deflated(before))
    sheet.put(box, changed, np.uint8(mark.state))
    sheet.done.append(patch)
    sheet.undone.clear()
    return box


def _turned(sheet: Sheet, back: bool) -> Box:
    """Take the last mark back, or make it again."""
    source, target = (sheet.done, sheet.undone) if back else (sheet.undone, sheet.done)
    if not source:
        raise PersistemError(f"There is nothing to {'undo' if back else 'redo'}.")
    patch = source.pop()
    target.append(patch)
    box = patch.box
    shape = box.bottom - box.top, box.right - box.left
    changed = np.unpackbits(_inflated(patch.changed), count=shape[0] * shape[1]).reshape(shape).astype(bool)
    sheet.put(box, changed, _inflated(patch.before) if back else np.uint8(patch.state))
    return box


def _deflated(values: NDArray[np.uint8]) -> bytes:
    return zlib.compress(values.tobytes(), 1)


def _inflated(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(zlib.decompress(content), np.uint8)
