"""Maps in three lines of Python, and models of one's own labels in one::

    model = api.load("results/demo/model")
    found = api.map(signal, model, defocus=0)
    api.plot(found, signal)

    model = api.train([first, second], [labels, others], states={1: "crystal", 2: "amorphous"})

and, without a model, what looks alike: ``api.explore(signal)``.

``signal`` is a HyperSpy signal, a NumPy array (then with ``pixel_size`` and ``voltage``) or the path of a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.exploring import Exploration
from persistem.exploring import explore as explore_images
from persistem.exploring import write as write_exploration
from persistem.labelled import card as labelled_card
from persistem.labelled import training
from persistem.labelled.describing import describe
from persistem.labelled.evaluation import assess, described_blocks
from persistem.labelled.rows import Labelled, placed
from persistem.labelled.suited import suited
from persistem.maps import Map, map_image, write
from persistem.maps.inspecting import described
from persistem.maps.mapping import STEP, identity
from persistem.maps.overlay import draw
from persistem.model import shipped
from persistem.reading import Image, read
from persistem.reading.asked import Stated, check, filled, remedy, stated_by, unreadable
from persistem.reading.found import BadImage, Found, calibrated
from persistem.reading.hdf5 import of_signal
from persistem.reading.labels import Labels, read_labels
from persistem.reading.labels.legend import checked
from persistem.reading.pixels import frames
from persistem.report.figures.drawing import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from persistem.model.classifier import Model
    from persistem.study import ModelSettings

#: Where in a HyperSpy signal its values stand.
SIGNAL_TAGS = {"pixel_size": "axes_manager", "voltage": "metadata.Acquisition_instrument.TEM.beam_energy"}

__all__ = [
    "Exploration",
    "Map",
    "cross_validate",
    "explore",
    "image",
    "inspect",
    "load",
    "map",
    "plot",
    "train",
    "write",
    "write_exploration",
]


def load(bundle: str | Path) -> Model:
    """The model in a bundle folder, or one that comes with the package, by its name; a folder comes first.

    PersistemError if there is no such folder or name, or if the bundle cannot be used.

    >>> model = load("results/demo/model")
    >>> model
    <Model amorphous | liquid; voltage 200 kV; defocus ...; window 6.4 Å; right in ... (chance 0.50)>
    """
    return shipped.load(bundle)


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

    Examples
    --------
    >>> found = map("film.tif", load("results/demo/model"), pixel_size=0.2, voltage=200, defocus=0)
    >>> found
    <Map film.tif; 7 x 7, 3 Å apart; amorphous ...%, liquid ...%, abstained ...%>
    >>> found.probability.shape
    (7, 7, 2)
    """
    micrograph = image(source, pixel_size=pixel_size, voltage=voltage, defocus=defocus, grey=grey)
    return map_image(micrograph, model, step, jobs, progress, force)


def train(
    sources: Sequence[Any],
    labels: Sequence[Any],
    *,
    states: Mapping[int | str, str] | None = None,
    specimens: Sequence[str] | None = None,
    settings: ModelSettings | None = None,
    pixel_size: float | None = None,
    grey: bool = False,
    jobs: int = 1,
) -> Model:
    """A model of the states that are labelled on micrographs; its ``card`` says what it is worth.

    Parameters
    ----------
    sources
        micrographs, each as ``map`` takes it; voltage and defocus are not needed
    labels
        for each an array (rows, columns) of numbers, 0 = unlabelled, or a file (docs/labels.md)
    states
        the state of each number; not needed where files have a legend
    specimens
        which micrographs are of one specimen, and left out together; by default each is one by itself
    settings
        windows and what the model may see; by default those that suit the pixel sizes
    pixel_size, grey, jobs
        as in ``map``; the pixel size of all sources

    Raises
    ------
    PersistemError
        as in ``image``, if labels do not fit their micrograph, or if there are fewer than two states.

    Examples
    --------
    Two micrographs as arrays, each with an array of labels:

    >>> states = {1: "fine", 2: "coarse"}
    >>> train([first, second], [labels, others], states=states, pixel_size=0.4)
    <Model fine | coarse; window ... Å; right fine ..., coarse ... of unseen specimens>
    """
    known = _labelled(sources, labels, states, specimens, settings, pixel_size, grey, jobs)
    micrographs, names, images, asked = known
    trained = training.train(micrographs, names, asked)
    files = [
        {"name": str(one.path), "sha256": identity(one.path)["sha256"], "pixel_size_A": one.pixel_size}
        for one in images
    ]
    return replace(trained.model, card=labelled_card.facts(trained, micrographs, files, asked))


def cross_validate(
    sources: Sequence[Any],
    labels: Sequence[Any],
    *,
    states: Mapping[int | str, str] | None = None,
    specimens: Sequence[str] | None = None,
    settings: ModelSettings | None = None,
    pixel_size: float | None = None,
    grey: bool = False,
    jobs: int = 1,
) -> dict[str, Any]:
    """What a model of these labels is worth on micrographs that it has not seen, and what decides: plain values.

    Parameters and errors are those of ``train``. Keys: ``unseen``, of each state its recall, overlap (IoU), abstention,
    calibration error, and how far its border is off, nm; ``decides``, the recall of models that see one thing alone;
    ``curves``, the recall by the number of specimens and the area that train; ``calibration``; ``boundary``. Of one
    specimen, parts are left out.

    >>> worth = cross_validate([first, second], [labels, others], states=states, pixel_size=0.4)
    >>> [row["state"] for row in worth["unseen"]]
    ['fine', 'coarse']
    """
    known = _labelled(sources, labels, states, specimens, settings, pixel_size, grey, jobs)
    return assess(known.micrographs, known.states, known.settings)[0]


class _Known(NamedTuple):
    micrographs: list[Labelled]
    states: list[str]
    images: list[Image]
    settings: ModelSettings


def _labelled(
    sources: Sequence[Any],
    labels: Sequence[Any],
    states: Mapping[int | str, str] | None,
    specimens: Sequence[str] | None,
    settings: ModelSettings | None,
    pixel_size: float | None,
    grey: bool,
    jobs: int,
) -> _Known:
    """The described and labelled micrographs, the states, the images, and the settings."""
    if not len(sources) == len(labels) > 0:
        raise PersistemError(f"{len(sources)} micrographs and {len(labels)} labels; as many of both are needed")
    if specimens is not None and len(specimens) != len(sources):
        raise PersistemError(f"{len(sources)} micrographs and {len(specimens)} specimens; as many of both are needed")
    images = [image(source, pixel_size=pixel_size, grey=grey) for source in sources]
    regions = [_regions(one, of, states) for one, of in zip(images, labels, strict=True)]
    for one in images:
        if one.pixel_size is None:
            raise PersistemError(f"{one.title}: its pixel size is not known; give ", *remedy("pixel_size"))
    sizes = [one.pixel_size for one in images if one.pixel_size is not None]
    asked = settings or suited(sizes, [(one.pixels.shape[0], one.pixels.shape[1]) for one in images])
    described = [describe(one, asked.windows, asked.step, described_blocks(asked), jobs) for one in images]
    names = list(specimens or (f"{k + 1}" for k in range(len(images))))
    micrographs, found = placed(described, regions, names, asked.share)
    return _Known(micrographs, found, images, asked)


def _regions(one: Image, labels: Any, states: Mapping[int | str, str] | None) -> Labels:
    shape = one.pixels.shape[0], one.pixels.shape[1]
    if isinstance(labels, str | Path):
        return read_labels(Path(labels), shape, states, image=one.path if one.path.is_file() else None)
    array = np.asarray(labels)
    if array.shape != shape:
        raise PersistemError(f"{one.title}: labels of the shape {array.shape}, but the micrograph has {shape}")
    if states is None:
        raise PersistemError(f"{one.title}: labels are an array, so states = {{number: name}} has to say what they are")
    names = {}
    for number, name in checked(states, f"{one.title}: states").items():
        if not isinstance(number, int) or not 0 < number < 256:
            raise PersistemError(
                f"{one.title}: states has the key {number!r}; of labels in an array they go from 1 to 255"
            )
        names[number] = name
    unknown = sorted(set(np.unique(array).tolist()) - {0, *names})
    if unknown:
        raise PersistemError(
            f"{one.title}: labels hold {unknown[0]}, which states does not name; they go from 1 to 255"
        )
    return Labels(array.astype(np.uint8), names)


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
        as in ``persistem.exploring.explore``

    Returns
    -------
    Exploration
        with a map of each image in ``maps``, ``profiles`` of the clusters, and in ``facts`` how the number was chosen
        and how alike clusters are; ``write_exploration`` writes it into a folder

    Raises
    ------
    PersistemError
        as in ``image`` and ``persistem.exploring.explore``.

    Examples
    --------
    >>> alike = explore("wide.tif", states=2, pixel_size=0.4)
    >>> len(alike.maps), len(alike.facts["clusters"])
    (1, 2)
    """
    sources = source if isinstance(source, list | tuple) else [source]
    images = [image(one, pixel_size=pixel_size, grey=grey) for one in sources]
    return explore_images(images, states, jobs, progress)


def plot(found: Map, source: Any) -> Figure:
    """The micrograph in grey with the map's states in colour: a Matplotlib figure.

    ``source`` is the one that was mapped.

    >>> plot(map("film.tif", load("results/demo/model"), pixel_size=0.2, voltage=200, defocus=0), "film.tif")
    <Figure size ...>
    """
    import matplotlib

    facts = found.facts["image"]
    micrograph = image(
        source, pixel_size=facts["pixel_size_A"], voltage=facts["voltage_kV"], defocus=facts["defocus_A"], grey=True
    )
    with matplotlib.rc_context(fname=STYLE):
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

    >>> print(inspect("film.tif", pixel_size=0.2))
    film.tif...
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

    >>> import numpy as np
    >>> micrograph = image(np.eye(64, 48), pixel_size=0.2, voltage=200)
    >>> micrograph.pixels.shape, micrograph.pixel_size, micrograph.defocus
    ((64, 48), 0.2, None)
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
