"""The labelled micrographs of a study, as its settings name them: descriptions, labels and images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.labelled.describing import read
from persistem.labelled.rows import Labelled, placed
from persistem.reading import read as read_images
from persistem.reading.labels import read_labels
from persistem.store.digests import content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from persistem.reading import Image
    from persistem.reading.labels import Labels


class Known(NamedTuple):
    """The labelled micrographs of a study, the states in the order in which the legends name them, and the images.

    ``regions`` (rows, columns) hold the number of the state, from 0, of each pixel of an image, -1 without. Images and
    regions are read whenever they are asked for, so that one of many is in memory at a time.
    """

    micrographs: list[Labelled]
    states: list[str]
    images: Sequence[Image]
    regions: Sequence[NDArray[np.int16]]


class Each(Sequence[Any]):
    """What ``read`` gives for each number below ``count``, whenever it is asked for."""

    def __init__(self, count: int, read: Callable[[int], Any]) -> None:
        self._numbers, self._read = range(count), read

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, k: Any) -> Any:
        return self._read(self._numbers[k])


def labelled(sources: list[dict[str, Any]], root: Path, share: float) -> Known:
    """Read labelled micrographs; of ``sources`` and ``share`` see ``fitting.fit`` and ``rows.states_at``."""
    for source in sources:
        for key, sha256 in source["sha256"].items():
            if content(Path(source[key])) != sha256:
                raise PersistemError(f"{source[key]}: has changed since the study was planned; run it again")
    described = [read(root / source["path"], stored=True) for source in sources]
    specimens = [source["specimen"] for source in sources]
    micrographs, states = placed(described, (opened(source)[1] for source in sources), specimens, share)

    def regions(k: int) -> NDArray[np.int16]:
        labels = opened(sources[k])[1]
        number_of = np.full(256, -1, np.int16)
        for number, name in labels.states.items():
            number_of[number] = states.index(name) if name in states else -1
        return number_of[labels.regions]

    images = Each(len(sources), lambda k: _image(sources[k]))
    return Known(micrographs, states, images, Each(len(sources), regions))


def _image(source: Mapping[str, Any]) -> Image:
    return one_image(Path(source["image"]), source.get("pixel_size"), source.get("grey", False))


def opened(source: Mapping[str, Any]) -> tuple[Image, Labels]:
    """The micrograph of a source, and its labels. Raises PersistemError if they cannot be read or do not fit."""
    image = _image(source)
    legend = None if source.get("states") is None else {key: name for key, name in source["states"]}
    return image, read_labels(Path(source["labels"]), image.pixels.shape, legend, image=image.path)


def one_image(path: Path, pixel_size: float | None, grey: bool) -> Image:
    """The one image in a file. Raises PersistemError if it holds several."""
    images = read_images(path, pixel_size=pixel_size, grey=grey)
    if len(images) != 1:
        raise PersistemError(f"{path}: holds {len(images)} images; labels belong to one")
    return images[0]
