"""What can be done on the page: operations that come from a browser, are written to the journal and are replayed.

Places are (x, y) in pixels of the micrograph, from the upper left corner of its first pixel, whose centre is (½, ½).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from persistem.errors import PersistemError
from persistem.study.fields import Name, Real, Whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Labels are 8 bit, and 0 is unlabelled.
MOST_STATES = 255
#: OpenCV draws between pixels, in so many binary digits.
SHIFT = 4

Coordinate = Annotated[Real, Field(ge=-1e5, le=1e5)]
Points = tuple[tuple[Coordinate, Coordinate], ...]
State = Annotated[Whole, Field(ge=1, le=MOST_STATES)]
Painted = Annotated[Whole, Field(ge=0, le=MOST_STATES)]  # 0 erases
Colour = Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]
#: The name of a micrograph in the folder.
Sheet = Annotated[str, Field(max_length=200, pattern=r"^[^/\x00-\x1f]+$")]
#: Rows or columns of an image.
Extent = Annotated[Whole, Field(ge=1, le=2**16)]


class Operation(BaseModel):
    """Something done; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Opened(Operation):
    """A micrograph that was opened for the first time."""

    do: Literal["open"] = "open"
    image: Sheet
    path: str
    sha256: str
    rows: Extent
    columns: Extent


class PixelSize(Operation):
    """The size of a micrograph's pixels, Å; null: unknown, so lengths are counted in pixels."""

    do: Literal["pixel_size"] = "pixel_size"
    image: Sheet
    value: Annotated[Real, Field(gt=0, le=1e6)] | None


class Named(Operation):
    """A state's name and colour, of a new state or one that is there."""

    do: Literal["state"] = "state"
    number: State
    name: Name
    colour: Colour


class Deleted(Operation):
    """A state that is no longer listed."""

    do: Literal["delete"] = "delete"
    number: State


class Undo(Operation):
    """The last mark on a micrograph is taken back."""

    do: Literal["undo"] = "undo"
    image: Sheet


class Redo(Operation):
    """The mark that was taken back last is made again."""

    do: Literal["redo"] = "redo"
    image: Sheet


class Mark(Operation):
    """Something that gives pixels a label."""

    image: Sheet
    state: Painted
    #: Whether it leaves alone what is labelled.
    careful: ClassVar[bool] = False


class Stroke(Mark):
    """A stroke of the brush, or with state 0 of the eraser; ``radius`` in pixels."""

    do: Literal["stroke"] = "stroke"
    radius: Annotated[Real, Field(ge=0.5, le=5000)]
    points: Annotated[Points, Field(min_length=1, max_length=20_000)]


class Polygon(Mark):
    """A filled polygon."""

    do: Literal["polygon"] = "polygon"
    points: Annotated[Points, Field(min_length=3, max_length=20_000)]


class Region(Mark):
    """A region of a map: runs of windows (row, first column, last column), each the square of a step in pixels."""

    do: Literal["region"] = "region"
    origin: tuple[Coordinate, Coordinate]  # (x, y) of the centre of window (0, 0)
    step: Annotated[Real, Field(gt=0, le=1e5)]
    runs: Annotated[
        tuple[tuple[Annotated[Whole, Field(ge=0, le=10**5)], ...], ...], Field(min_length=1, max_length=200_000)
    ]
    careful: ClassVar[bool] = True


Anything = Opened | PixelSize | Named | Deleted | Undo | Redo | Stroke | Polygon | Region
_ANYTHING: TypeAdapter[Anything] = TypeAdapter(Annotated[Anything, Field(discriminator="do")])


def operation(asked: Any) -> Anything:
    """The operation in a mapping or a line of JSON; raises PersistemError if it is none."""
    try:
        return _ANYTHING.validate_json(asked) if isinstance(asked, bytes | str) else _ANYTHING.validate_python(asked)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["loc"][-1:] == ("name",):
            raise PersistemError(
                "The name of a state has letters, digits, - and _, begins with a letter, and is up to 40 long."
            ) from error
        where = ".".join(map(str, first["loc"]))
        raise PersistemError(f"This cannot be done: {where}: {first['msg']}") from error


class Box(NamedTuple):
    """A rectangle of pixels; ``bottom`` and ``right`` are the first beyond it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns, to index an image with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def drawn(mark: Stroke | Polygon | Region, shape: tuple[int, int]) -> tuple[Box, NDArray[np.bool_]]:
    """The box of an image (rows, columns) that a mark touches, and which pixels in it; the box may be empty.

    A pixel belongs to a stroke if its centre is within the radius, as OpenCV's lines draw it; to a polygon if its
    centre is in it or near its outline.
    """
    if isinstance(mark, Region):
        return _squares(mark, shape)
    points, reach = np.asarray(mark.points), mark.radius if isinstance(mark, Stroke) else 0.0
    (left, top), (right, bottom) = points.min(axis=0) - reach - 1, points.max(axis=0) + reach + 2
    box = _clipped(top, left, bottom, right, shape)
    mask = np.zeros((max(box.bottom - box.top, 0), max(box.right - box.left, 0)), np.uint8)
    if mask.size:
        import cv2

        # OpenCV counts from the centre of the first pixel
        fixed = np.rint((points - (box.left, box.top) - 0.5) * 2**SHIFT).astype(np.int32)
        if isinstance(mark, Polygon):
            cv2.fillPoly(mask, [fixed], 1, shift=SHIFT)
        else:
            cv2.polylines(mask, [fixed], False, 1, max(round(2 * mark.radius), 1), shift=SHIFT)
            for x, y in fixed.tolist():
                cv2.circle(mask, (x, y), round(mark.radius * 2**SHIFT), 1, cv2.FILLED, shift=SHIFT)
    return box, mask.astype(bool)


def _squares(region: Region, shape: tuple[int, int]) -> tuple[Box, NDArray[np.bool_]]:
    rows, first, last = np.array([run[:3] for run in region.runs]).T

    def edge(axis: int, at: NDArray[Any]) -> NDArray[Any]:
        return np.rint(region.origin[axis] + (at - 0.5) * region.step).astype(int)

    tops, bottoms, lefts, rights = edge(1, rows), edge(1, rows + 1), edge(0, first), edge(0, last + 1)
    box = _clipped(tops.min(), lefts.min(), bottoms.max(), rights.max(), shape)
    mask = np.zeros((max(box.bottom - box.top, 0), max(box.right - box.left, 0)), bool)
    corners = zip(tops - box.top, bottoms - box.top, lefts - box.left, rights - box.left, strict=True)
    for top, bottom, left, right in corners:
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    return box, mask


def _clipped(top: float, left: float, bottom: float, right: float, shape: tuple[int, int]) -> Box:
    return Box(max(int(top), 0), max(int(left), 0), min(int(bottom), shape[0]), min(int(right), shape[1]))
