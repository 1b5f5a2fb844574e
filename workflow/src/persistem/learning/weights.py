"""The weights that the classifiers learn for the bins of the persistence images, on the plane of birth and death.

A linear classifier decides by the sign of h = w · x + b, where x is a crop's scaled persistence image. h > 0 is label 1
and h < 0 is label 0, as in scikit-learn: pairs in bins of positive weight speak for label 1. (The paper says that the
sigmoid of a negative h is above 0.5; it is below.) With more than two states each has its own weights: h > 0 speaks for
that state and against the others. With scaling ``standard`` a weight is the change of h when a bin changes by its
standard deviation over all crops.

Weights alone mislead if bins vary together or are hardly ever filled: a large weight may then cancel another, or do
nothing. So each bin also has its pattern: the change of its unscaled value, over all crops, when h rises by one
standard deviation (the covariance of Haufe et al., NeuroImage 87, 96, 2014). It shows where the pairs are that go with
a decision.

No crop is held back: these weights are to look at; accuracies come from ``learning``.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.learning.accuracy import Source, read_features
from persistem.learning.classifiers import classifier, reduced, scaled
from persistem.store.files import atomic
from persistem.study import Learning
from persistem.topology.diagrams import arrow, strings
from persistem.topology.persistence_images import GREY_LEVELS, mesh_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Bump when this stage's results change for the same study.
VERSION = 1

COLUMNS = {
    "model": "string",
    "degrees": "string",
    "degree": "int8",
    "state": "string",
    "filtration": "string",
    "birth": "float32",
    "death": "float32",
    "weight": "float64",
    "pattern": "float64",
}
#: Weights above this share of the extreme form the part that speaks for a state.
STRONG = 0.5


def weights_file(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Train on all crops and write a row per model, choice of degrees, degree, state and bin as Parquet.

    Columns: model (LR, SVC), degrees ("0", "1", "0+1": what the model was trained on), degree, state (the one that
    positive weights speak for; with two states, label 1), filtration, birth and death (grey levels of the
    bin's centre), weight, pattern. ``settings`` has ``states`` in the order of their labels, ``recipe`` (a
    ``study.Recipe``), ``sources`` (the fields of ``learning.Source``; paths relative to ``root``), and of a
    ``study.Learning`` ``models``, ``C``, ``scaling`` and, unless it is the default, ``penalised_intercept``. The bytes
    do not depend on the order of the sources.

    Raises PersistemError if a state has no source, the files do not fit together, or their images do not fit the
    recipe.
    """
    states: list[str] = settings["states"]
    recipe: Any = SimpleNamespace(**settings["recipe"])
    sources = [Source(Path(root) / s["path"], *(s[k] for k in Source._fields[1:])) for s in settings["sources"]]
    _check(sources, states)
    sources.sort(key=lambda s: (s.seed, states.index(s.state), s.defocus, s.specimen))  # as in learning.learn
    X, crops = read_features(sources)
    y = np.repeat([states.index(s.state) for s in sources], crops)
    bins = mesh_pixels(recipe)
    for degree, vectors in X.items():
        if vectors.shape[1] != len(bins):
            raise PersistemError(
                f"{sources[0].path}: images of degree {degree} have {vectors.shape[1]} values, but {recipe.bins} bins "
                f"of {', '.join(recipe.filtrations)} make {len(bins)}"
            )
    lengths = len(bins) // len(recipe.filtrations)
    weighted_states = states[1:] if len(states) == 2 else states
    blocks = []
    penalised = settings.get("penalised_intercept", Learning().penalised_intercept)
    for model in settings["models"]:
        fitted = learned(X, y, model, settings["C"], settings["scaling"], model in penalised)
        for degrees, by_degree in fitted.items():
            for degree, values in by_degree.items():
                for i, state in enumerate(weighted_states):
                    for k, filtration in enumerate(recipe.filtrations):
                        here = slice(k * lengths, (k + 1) * lengths)
                        key = (model, degrees, degree, state, filtration)
                        blocks.append((key, np.column_stack([bins[here], *values[:, i, here]])))
    with atomic(out) as part:
        _write(blocks, part)


def learned(
    X: Mapping[int, NDArray[Any]], y: NDArray[np.int_], model: str, C: float, scaling: str, penalised: bool
) -> dict[str, dict[int, Array]]:
    """Weights and patterns by choice of degrees, then by degree: (2, states, length), for two states (2, 1, length).

    ``X`` holds feature vectors (crops, length) by degree, ``y`` the crops' labels; ``penalised`` is whether the
    intercept is, see ``classifiers.classifier``. Weights are for the scaled features, see ``classifiers.scaled``;
    patterns are in units of ``X``.
    """
    from threadpoolctl import threadpool_limits

    degrees = sorted(X)
    choices = [[k] for k in degrees] + ([degrees] if len(degrees) > 1 else [])
    classify = classifier(model, C, penalised)
    result = {}
    # sums round differently with another number of threads; the limit holds for the libraries loaded by now
    with threadpool_limits(1):
        for chosen in choices:
            images = np.hstack([np.asarray(X[k], np.float64) for k in chosen])
            vectors, _ = scaled(images, images[:1], scaling, len(chosen))
            short, _ = reduced(vectors, vectors[:1])
            coefficients = classify.fit(short, y).coef_
            # w is a sum of the crops' vectors; the fit gives the same sum of their short vectors
            w = np.linalg.lstsq(short.T, coefficients.T, rcond=None)[0].T @ vectors
            both = np.stack([w, _patterns(vectors @ w.T, images)])
            parts = np.split(both, len(chosen), axis=-1)
            result["+".join(map(str, chosen))] = dict(zip(chosen, parts, strict=True))
    return result


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """The columns that ``weights_file`` wrote, by name. Raises PersistemError if the file has no weights."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise PersistemError(f"{path}: not a Parquet file of weights ({error})") from error
    if table.schema != _schema():
        raise PersistemError(f"{path}: its columns are {table.column_names}; weights have {[*COLUMNS]}")
    if any(column.null_count for column in table.columns):
        raise PersistemError(f"{path}: a value is missing")
    columns = {
        name: np.array(column.to_pylist()) if COLUMNS[name] == "string" else np.from_dlpack(column.combine_chunks())
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    if not all(np.isfinite(columns[name]).all() for name in ("weight", "pattern")):
        raise PersistemError(f"{path}: a weight or pattern is not a finite number")
    return columns


def weight_map(weights: Mapping[str, NDArray[Any]], values: str = "weight", **of: Any) -> tuple[Array, Array]:
    """The column ``values`` as a map: edges of the bins (bins + 1,) in grey levels, and (death, birth), NaN elsewhere.

    ``of`` chooses by column, down to one filtration: model, degrees, degree, state, filtration. An unknown combination
    raises PersistemError.
    """
    rows = np.logical_and.reduce([weights[name] == value for name, value in of.items()])
    if not rows.any():
        raise PersistemError(f"there are no weights of {', '.join(f'{k} {v}' for k, v in of.items())}")
    birth, death, contents = (weights[name][rows] for name in ("birth", "death", values))
    edges = mesh_edges(len(np.unique(birth)))
    image = np.full((len(edges) - 1,) * 2, np.nan)
    image[bin_of(death, edges), bin_of(birth, edges)] = contents
    return edges, image


def side_of(states: list[str], state: str) -> tuple[str, int]:
    """The value of the column ``state`` whose weights speak for a state, and the sign of the weights that do."""
    if len(states) > 2:
        return state, 1
    return states[1], (-1, 1)[states.index(state)]


def mesh_edges(bins: int) -> Array:
    """Edges (grey levels) of the bins of a persistence image: (bins + 1,)."""
    return np.linspace(*GREY_LEVELS, bins + 1)


def bin_of(levels: NDArray[Any], edges: Array) -> NDArray[np.int_]:
    """The bin in which each grey level lies."""
    return np.clip(np.searchsorted(edges, levels, side="right") - 1, 0, len(edges) - 2)


def strongest(image: Array, sign: int) -> NDArray[np.bool_]:
    """The bins of a weight map (death, birth) that speak most for one side.

    They are connected, by edges, to the largest weight of this ``sign`` and above half of it. No bin if no weight has
    the sign.
    """
    from scipy import ndimage

    signed = np.nan_to_num(image) * sign
    if signed.max() <= 0:
        return np.zeros(image.shape, bool)
    parts, _ = ndimage.label(signed > STRONG * signed.max())
    region: NDArray[np.bool_] = parts == parts[np.unravel_index(signed.argmax(), signed.shape)]
    return region


def _check(sources: list[Any], states: list[str]) -> None:
    if len(states) < 2:
        raise PersistemError(f"weights: {len(states)} state given; at least 2 are needed")
    for s in sources:
        if s.state not in states:
            raise PersistemError(f"{s.path}: state {s.state!r} is not one of the states {', '.join(states)}")
    for state in states:
        if state not in {s.state for s in sources}:
            raise PersistemError(f"weights: state {state!r} has no persistence images; every state needs some")


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, getattr(pa, kind)()) for name, kind in COLUMNS.items()])


def _patterns(h: Array, images: Array) -> Array:
    """Covariance of each standardised column of ``h`` (crops, states) with each of ``images``: (states, length)."""
    deviation = h.std(axis=0)
    scores = (h - h.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    pattern: Array = scores.T @ (images - images.mean(axis=0)) / len(h)
    return pattern


def _write(blocks: list[tuple[tuple[Any, ...], NDArray[Any]]], out: Path) -> None:
    """Rows of all blocks: (model, degrees, degree, state, filtration), and (n, 4): birth, death, weight, pattern."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = list(COLUMNS.values())
    block_of_row = arrow(np.repeat(np.arange(len(blocks)), [len(values) for _, values in blocks]))
    columns = []
    for kind, entries in zip(kinds, zip(*(key for key, _ in blocks), strict=True), strict=False):
        values = strings(entries) if kind == "string" else arrow(np.array(entries, dtype=kind))
        columns.append(values.take(block_of_row))
    numbers = np.concatenate([values for _, values in blocks]).T
    columns += [arrow(column.astype(kind)) for column, kind in zip(numbers, kinds[len(columns) :], strict=True)]
    pq.write_table(pa.Table.from_arrays(columns, schema=_schema()), out, compression="zstd")
