"""Maps in three lines of Python::

    model = api.load("results/demo/model")
    found = api.map(signal, model, defocus=0)
    api.plot(found, signal)

and, without a model, what looks alike: ``api.explore(signal)``.

``signal`` is a HyperSpy signal, a NumPy array (then with ``pixel_size`` and ``voltage``) or the path of a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.labelled.explore import Exploration
from persistem.labelled.explore import explore as explore_images
from persistem.labelled.explore_files import write as write_exploration
from persistem.maps import Map, map_image, write
from persistem.maps.inspecting import described
from persistem.maps.mapping import STEP
from persistem.maps.overlay import draw
from persistem.model import bundle as bundles
from persistem.reading import Image, read
from persistem.reading.asked import Stated, check, filled, stated_by, unreadable
from persistem.reading.found import BadImage, Found, calibrated
from persistem.reading.hdf5 import of_signal
from persistem.reading.pixels import frames
from persistem.report.figures.drawing import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from persistem.model.classifier import Model

#: Where in a HyperSpy signal its values stand.
SIGNAL_TAGS = {"pixel_size": "axes_manager", "voltage": "metadata.Acquisition_instrument.TEM.beam_energy"}

__all__ = ["Exploration", "Map", "explore", "image", "inspect", "load", "map", "plot", "write", "write_exploration"]


def load(bundle: str | Path) -> Model:
    """The model in a bundle folder; PersistemError if it cannot be used."""
    return bundles.load(Path(bundle))


def map(
    source: Any,
    model: Model,
    *,
    pixel_size: float | None = None,
    voltage: float | None = None,
    defocus: float | None = None,
    step: float = STEP,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    force: bool = False,
    grey: bool = False,
) -> Map:
    """Map one micrograph: which state is where.

    Parameters
    ----------
    source
        a HyperSpy signal, an array (rows, columns), a file of one image, or a result of ``image``
    pixel_size, voltage, defocus
        Å, kV, Å (underfocus positive): fill in or correct the source's values
    grey
        take the mean of the channels of a colour image
    step, jobs, progress, force
        as in ``persistem.maps.map_image``

    Returns
    -------
    Map
        with ``probability`` (rows, columns, states), ``abstain`` (rows, columns) and ``to_hyperspy_dict()``

    Raises
    ------
    PersistemError
        as in ``image`` and ``persistem.maps.map_image``.
    """
    micrograph = image(source, pixel_size=pixel_size, voltage=voltage, defocus=defocus, grey=grey)
    return map_image(micrograph, model, step, jobs, progress, force)


def explore(
    source: Any,
    states: int | None = None,
    *,
    pixel_size: float | None = None,
    grey: bool = False,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Exploration:
    """Find what looks alike, without a model and without labels: clusters of windows, which are not states.

    Parameters
    ----------
    source
        as of ``map``, or a list of such: all share their clusters
    states
        how many clusters, 2 to 8; by default as many, perhaps 1, as BIC says
    pixel_size, grey
        as of ``map``; voltage and defocus have no part in it
    jobs, progress
        as in ``persistem.labelled.explore.explore``

    Returns
    -------
    Exploration
        with a map of each image in ``maps``, ``profiles`` of the clusters, and in ``facts`` how the number was chosen
        and how alike clusters are; ``write_exploration`` writes it into a folder

    Raises
    ------
    PersistemError
        as in ``image`` and ``persistem.labelled.explore.explore``.
    """
    sources = source if isinstance(source, list | tuple) else [source]
    images = [image(one, pixel_size=pixel_size, grey=grey) for one in sources]
    return explore_images(images, states, jobs, progress)


def plot(found: Map, source: Any) -> Figure:
    """The micrograph in grey with the map's states in colour: a Matplotlib figure.

    ``source`` is the one that was mapped.
    """
    import matplotlib

    facts = found.facts["image"]
    micrograph = image(
        source, pixel_size=facts["pixel_size_A"], voltage=facts["voltage_kV"], defocus=facts["defocus_A"], grey=True
    )
    with matplotlib.rc_context(STYLE):
        return draw(found, micrograph)


def inspect(
    source: Any,
    model: Model | None = None,
    *,
    pixel_size: float | None = None,
    voltage: float | None = None,
    defocus: float | None = None,
    force: bool = False,
    grey: bool = False,
) -> str:
    """What is read of a source or all images of a file, from where, what is missing, and whether a model can judge it.

    Lines to print, as ``persistem inspect`` does. PersistemError as in ``image``.
    """
    if isinstance(source, str | Path):
        images = read(Path(source), pixel_size=pixel_size, voltage=voltage, defocus=defocus, grey=grey)
    else:
        images = [image(source, pixel_size=pixel_size, voltage=voltage, defocus=defocus, grey=grey)]
    return described(images, model, force)[0]


def image(
    source: Any,
    *,
    pixel_size: float | None = None,
    voltage: float | None = None,
    defocus: float | None = None,
    grey: bool = False,
) -> Image:
    """One micrograph from a HyperSpy signal, an array (rows, columns), a file or an image; options fill in or override.

    A signal is recognised by its ``data`` and ``axes_manager``. PersistemError unless it is one image of finite
    numbers.
    """
    given = {"pixel_size": pixel_size, "voltage": voltage, "defocus": defocus}
    check(given)
    if isinstance(source, Image):
        asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        own = {name: Stated(value, "the image") for name in asked if (value := getattr(source, name)) is not None}
        return replace(source, stated=own | source.stated, **asked)
    if isinstance(source, str | Path):
        images = read(Path(source), pixel_size=pixel_size, voltage=voltage, defocus=defocus, grey=grey)
        if len(images) != 1:
            raise PersistemError(f"{source}: {len(images)} images; persistem.reading.read gives them one by one")
        return images[0]
    title = "array"
    if hasattr(source, "axes_manager"):
        metadata = source.metadata.as_dictionary()
        # HyperSpy lists x before y
        axes = [
            {"name": str(getattr(axis, "name", "")), "scale": axis.scale, "units": axis.units, "navigate": False}
            for axis in reversed(source.axes_manager.signal_axes)
        ]
        found = of_signal({"data": np.asarray(source.data), "axes": axes, "metadata": metadata})
        title = metadata.get("General", {}).get("title") or "signal"
        found.tags = SIGNAL_TAGS
    else:
        found = Found(np.asarray(source), [{}, {}], title)
    try:
        if found.data.ndim != 2:
            raise BadImage(f"{found.data.ndim}-dimensional; one image, (rows, columns), is needed")
        calibrated(found)
        said, problem = stated_by(found)
        if problem is not None and pixel_size is None:
            raise problem
        (pixels,) = frames(found, grey)
        if isinstance(pixels, BadImage):
            raise pixels
    except BadImage as error:
        raise unreadable(title, error) from error
    facts = found.facts | {"format": "array"} | ({"unusable_pixel_size": str(problem)} if problem is not None else {})
    known = filled(given, said)
    return Image(path=Path(title), frame=None, title=title, pixels=pixels, facts=facts, stated=said, **known)
