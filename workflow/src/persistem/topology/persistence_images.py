"""Persistence images: diagrams as vectors of one length (Adams et al., J. Mach. Learn. Res. 18, 2017), by HomCloud.

The pairs of a diagram are counted on a mesh over the plane of birth and death. Each bin is multiplied by a weight that
depends on its lifetime, and the mesh is smoothed with a Gaussian. The bins on the diagonal and on one side of it make
the vector. As in HomCloud, a bin has the lifetime of its centre, so with linear weights the bins on the diagonal are 0
before smoothing; with 256 bins every grey level is a centre. The Gaussian is cut at 4 sigma and reflected at the edges
of the mesh. HomCloud takes its standard deviation in grey levels; a recipe gives it in bins, unless it says otherwise.

``homcloud.histogram`` is the module that ``homcloud.interface`` calls, without the interface's 2 s of imports.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.store.files import atomic
from persistem.topology.diagrams import arrow, read_diagrams, strings, values_of

if TYPE_CHECKING:
    import pyarrow as pa
    from homcloud.histogram import HistoSpec
    from numpy.typing import NDArray

    from persistem.study import Mesh, Recipe

#: Bump when this stage's results change for the same study.
VERSION = 1

#: The mesh along birth and death: 8-bit grey levels, so that with 256 bins each is a bin's centre.
GREY_LEVELS = (-0.5, 255.5)
DEGREES = (0, 1)


def persistence_images(table: pa.Table, recipe: Recipe | Mesh, n_crops: int) -> NDArray[Any]:
    """Vectors of the diagrams of ``n_crops`` crops.

    Parameters
    ----------
    table
        diagrams as ``diagrams.diagram_table`` gives them
    recipe
        filtrations, mesh, Gaussian and weight
    n_crops
        crops of the micrograph; a crop without pairs gives a vector of zeros

    Returns
    -------
    NDArray
        (n_crops, 2, n_filtrations * bins * (bins + 1) / 2) float32: crop, degree, and the bins of ``mesh_pixels``

    Raises
    ------
    PersistemError
        if a crop is not one of the ``n_crops``, or a pair is not on its filtration's side of the mesh, where it
        would be dropped silently.
    """
    import pyarrow.compute as pc
    from homcloud.pdgm import SimplePDGM

    vectors = []
    for filtration in recipe.filtrations:
        rows = table.filter(pc.equal(table["filtration"], strings([filtration])[0]))
        crop, degree, birth, death = (values_of(rows[name]) for name in ("crop", "degree", "birth", "death"))
        _check(crop, degree, birth, death, filtration, n_crops)
        spec = _spec(recipe, filtration)
        weight, sigma = _weight(spec, recipe), recipe.sigma
        if getattr(recipe, "sigma_unit", "bins") == "bins":  # as in a mesh of descriptors, which names no unit
            sigma *= spec.x_ruler.bin_width()
        images = np.zeros((n_crops * len(DEGREES), spec.vector_size()), dtype=np.float32)
        image = crop * len(DEGREES) + degree
        order = np.argsort(image, kind="stable")
        starts = np.searchsorted(image, np.arange(len(images) + 1), sorter=order)
        for k in np.flatnonzero(np.diff(starts)):
            pairs = order[starts[k] : starts[k + 1]]
            histogram = spec.histogram_from_diagram(SimplePDGM(k % len(DEGREES), birth[pairs], death[pairs]))
            histogram.values *= weight
            histogram.apply_gaussian_filter(sigma)
            images[k] = histogram.vectorize()
        vectors.append(images.reshape(n_crops, len(DEGREES), -1))
    return np.concatenate(vectors, axis=-1)


def mesh_pixels(recipe: Recipe) -> NDArray[Any]:
    """Birth and death (grey levels) at the centre of the bin of each vector element: (length, 2) float."""
    return np.concatenate([_spec(recipe, name).centers_of_vectorize_bins() for name in recipe.filtrations])


def image_file(diagrams: Path, recipe: Recipe, n_crops: int, out: Path) -> None:
    """Write the persistence images of a micrograph as Parquet: a row per crop and degree, the vector as a list.

    Raises PersistemError, naming the file, as ``persistence_images`` does.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = read_diagrams(diagrams)
    try:
        images = persistence_images(table, recipe, n_crops)
    except PersistemError as error:
        raise PersistemError(f"{diagrams}: {error}") from error
    columns = {
        "crop": arrow(np.repeat(np.arange(n_crops, dtype=np.int32), len(DEGREES))),
        "degree": arrow(np.tile(np.array(DEGREES, dtype=np.int8), n_crops)),
        "image": pa.FixedSizeListArray.from_arrays(arrow(images.ravel()), images.shape[-1]),
    }
    with atomic(out) as part:
        pq.write_table(pa.table(columns), part, compression="zstd", use_dictionary=False)


def read_images(path: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Crop (n,), degree (n,) and vectors (n, length) float32 that ``image_file`` wrote.

    Raises PersistemError if the file has no persistence images, or a value is not finite.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read().combine_chunks()
    except (OSError, pa.ArrowException) as error:
        raise PersistemError(f"{path}: not a Parquet file of persistence images ({error})") from error
    kind = table.schema.types[-1] if table.column_names == ["crop", "degree", "image"] else pa.null()
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        raise PersistemError(f"{path}: its columns are {table.column_names}, not crop, degree and image (float32 list)")
    values = table["image"].combine_chunks().flatten()
    if len(values) != table.num_rows * kind.list_size or any(c.null_count for c in (values, *table.columns)):
        raise PersistemError(f"{path}: a value is missing")
    images = np.from_dlpack(values)
    if not np.isfinite(images).all():
        raise PersistemError(f"{path}: a value is not a finite number")
    return values_of(table["crop"]), values_of(table["degree"]), images.reshape(-1, kind.list_size)


def _spec(recipe: Recipe | Mesh, filtration: str) -> HistoSpec:
    from homcloud.histogram import HistoSpec, Ruler

    ruler = Ruler(GREY_LEVELS, recipe.bins)
    return HistoSpec.from_rulers(ruler, ruler, sign_flipped=filtration == "superlevel")


def _weight(spec: HistoSpec, recipe: Recipe | Mesh) -> NDArray[Any]:
    """The weight of each bin of the mesh (death, birth), by the lifetime (grey levels) of its centre."""
    births, deaths = spec.coordinates_of_center_of_bins()
    lifetime = np.abs(deaths - births)
    forms: dict[str, NDArray[Any]] = {
        "linear": lifetime,
        "atan": np.arctan(recipe.weight.c * lifetime**recipe.weight.p),
        "none": np.ones_like(lifetime),
    }
    return forms[recipe.weight.form]


def _check(
    crop: NDArray[Any], degree: NDArray[Any], birth: NDArray[Any], death: NDArray[Any], filtration: str, n_crops: int
) -> None:
    if not len(crop):
        return
    if crop.min() < 0 or crop.max() >= n_crops:
        raise PersistemError(
            f"it has pairs of crops {crop.min()} to {crop.max()}, but there are crops 0 to {n_crops - 1}"
        )
    if degree.min() < min(DEGREES) or degree.max() > max(DEGREES):
        raise PersistemError(f"it has pairs of degree {degree.min()} to {degree.max()}, but an image has 0 and 1")
    early, late = (death, birth) if filtration == "superlevel" else (birth, death)
    low, high = GREY_LEVELS
    counted = (low <= early) & (early < late) & (late <= high)
    if not counted.all():
        k = counted.argmin()
        raise PersistemError(
            f"a {filtration} pair is born at {birth[k]:g} and dies at {death[k]:g}: grey levels are 0 to 255, and "
            f"{'a birth is above its death' if filtration == 'superlevel' else 'a birth is below its death'}"
        )
