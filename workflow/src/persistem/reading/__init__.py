"""Micrographs as microscopes write them: images with pixel size, voltage and defocus, or a sentence on what is wrong.

for image in read(Path("film.dm4"), defocus=500.0):
    print(image.title, image.pixels.shape, image.pixel_size)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.reading import asked
from persistem.reading.asked import Stated
from persistem.reading.formats import datasets, kind_of
from persistem.reading.found import BadImage, Found, calibrated
from persistem.reading.pixels import countable, frames, one_line, quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Image:
    """One micrograph, or one frame of a stack; None if neither the file nor the caller says."""

    path: Path
    frame: int | None  # counted from 0 through the images of a file that holds several
    title: str
    pixels: NDArray[Any]  # (rows, columns), real and finite; may be a memmap
    pixel_size: float | None  # Å
    voltage: float | None  # kV
    defocus: float | None  # Å, underfocus positive
    facts: dict[str, Any]  # format, mode (TEM, STEM, unknown), exposure_s, skipped…: plain values
    stated: dict[str, Stated] = field(default_factory=dict)  # what the source itself says, by the names above


def read(
    path: Path,
    *,
    pixel_size: float | None = None,
    voltage: float | None = None,
    defocus: float | None = None,
    grey: bool = False,
) -> list[Image]:
    """Every micrograph in a file: DM3, DM4, EMD, MRC, SER or EMI, TIFF, HyperSpy's HDF5, greyscale PNG or JPEG.

    A stack gives its frames one by one. Frames that are constant or not finite are left out, and so are spectra,
    elemental maps, Fourier transforms and diffraction patterns beside the images; ``facts["skipped"]`` says why. The
    other frames keep their numbers. Uncompressed pixels stay in the file (memmap); a large stack that has to be
    decompressed goes to a temporary file.

    Parameters
    ----------
    path
        the file; its content, not its name, decides the format, except for SER and EMI
    pixel_size, voltage, defocus
        Å, kV, Å (underfocus positive); each replaces what the file says, which ``stated`` keeps
    grey
        take the mean of the channels of a colour image, which is refused otherwise

    Raises
    ------
    PersistemError
        in one sentence with the file's name, if there is no image: not a file of these formats, truncated, corrupted,
        more data declared than the file can hold, colour, complex, not finite, constant, smaller than 16 px, a
        diffraction pattern or a spectrum, pixels that are not square, or a unit that is not a length.
    """
    path = Path(path)
    given = {"pixel_size": pixel_size, "voltage": voltage, "defocus": defocus}
    asked.check(given)
    kind = _kind(path)
    images: list[Image] = []
    frame_numbers: list[int] = []
    skipped: list[BadImage] = []
    count = 0
    try:
        with quiet():
            for found in datasets(path, kind):
                if isinstance(found, BadImage):
                    skipped.append(found)
                    continue
                try:
                    calibrated(found)
                    stated, problem = asked.stated_by(found)
                    if problem is not None and pixel_size is None:
                        raise problem
                    pixels = list(frames(found, grey))
                except BadImage as error:
                    skipped.append(error)
                    continue
                countable(count + len(pixels))
                for frame in pixels:
                    if isinstance(frame, BadImage):
                        skipped.append(frame)
                    else:
                        images.append(_image(path, found, frame, given, stated, problem))
                        frame_numbers.append(count)
                    count += 1
    except PersistemError:
        raise
    except BadImage as error:
        raise asked.unreadable(path, error) from error
    except Exception as error:  # whatever a library stumbles over
        raise PersistemError(
            f"{path}: truncated or corrupted, it cannot be read as {kind} ({one_line(error)})"
        ) from error
    if not images:
        raise asked.unreadable(path, skipped[0] if skipped else BadImage(f"this {kind} holds no image"))
    said = [str(reason) for reason in skipped]
    return [_numbered(image, k if count > 1 else None, said) for image, k in zip(images, frame_numbers, strict=True)]


def needs(image: Image) -> None:
    """Raise PersistemError, naming the settings, if the pixel size, the voltage or the defocus is not known."""
    unknown = asked.missing(image)
    if unknown:
        raise asked.refusal(str(image.path), [unknown])


def _kind(path: Path) -> str:
    try:
        if not path.is_file():
            raise PersistemError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
        return kind_of(path)
    except OSError as error:
        raise PersistemError(f"{path}: cannot be read ({error.strerror})") from error


def _image(
    path: Path,
    found: Found,
    pixels: NDArray[Any],
    given: dict[str, float | None],
    stated: dict[str, Stated],
    problem: BadImage | None,
) -> Image:
    facts = found.facts | ({"unusable_pixel_size": str(problem)} if problem is not None else {})
    known = asked.filled(given, stated)
    return Image(path=path, frame=None, title=found.title, pixels=pixels, facts=facts, stated=stated, **known)


def _numbered(image: Image, frame: int | None, skipped: list[str]) -> Image:
    return replace(image, frame=frame, facts=image.facts | ({"skipped": skipped} if skipped else {}))
