"""Persistence images, features of windows and the classification of states as scikit-learn estimators.

``PersistenceImages`` does to an array of images what the stages crops, diagrams and persistence images do to files,
with the same functions. ``StateClassifier`` is the paper's classifier: persistence images, each bin standardised,
and logistic regression. Both take images (n, rows, columns), or flattened ones (n, rows * columns) for pipelines whose
other steps only know tables.

Importing this module imports scikit-learn, whose classes these derive from.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from persistem.descriptors.windows import describe_windows
from persistem.errors import PersistemError
from persistem.imaging.crops import grey_levels
from persistem.learning.classifiers import classifier
from persistem.study import Recipe, Section, Windows
from persistem.study.load import explain
from persistem.topology.diagrams import diagram_table
from persistem.topology.persistence_images import mesh_pixels, persistence_images

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from sklearn.pipeline import Pipeline


#: Parameters that are settings of a recipe.
SETTINGS = ("filtrations", "bins", "sigma", "weight", "intensity")
DEGREES = ((0,), (1,), (0, 1))
#: Blocks that a window has by itself.
ALONE_IN_A_WINDOW = ("lifetimes", "spectrum", "contrast", "peaks", "moments", "texture", "low-passed")


class PersistenceImages(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Persistence images of images: (n, rows, columns), or flattened (n, rows * columns), to (n, n_features_out).

    Images of more than 8 bit are first converted, each by itself, to the grey levels 0 to 255. The diagrams are
    HomCloud's (``persistem.topology.diagrams``), the vectors follow Adams et al. (J. Mach. Learn. Res. 18, 2017; see
    ``persistem.topology.persistence_images``). An image without contrast is allowed: standardised it is mid-grey, so
    it has no pairs, and its persistence image is zero.

    Parameters
    ----------
    image_shape
        rows and columns of a flattened image. None: as in the images (n, rows, columns) of ``fit``; if those are
        flattened too, nothing is known of a second direction and each row is an image of (1, n_features) pixels: a line
        profile, which has islands but no rings
    filtrations
        "superlevel" (bright to dark, as in the paper), "sublevel", or both
    bins
        of a persistence image along birth and death, 2 to 256
    sigma
        standard deviation of the persistence image's Gaussian in bins
    weight
        of a pair by its lifetime: "linear", "atan", "none", or a ``study.Weight`` for more settings
    intensity
        conversion to grey levels, see ``persistem.imaging.crops``: "standardised" (by the image's own mean and standard
        deviation), "window" (in units of the image's mean, which must be positive), "clahe" (equalised), a
        ``study.Standardised``, ``study.Window`` or ``study.Clahe`` for more settings, or None for images that are 8-bit
        grey levels already, as crops are
    degrees
        0 (islands), 1 (rings), or both

    Attributes
    ----------
    image_shape_
        rows and columns of an image
    n_features_in_
        pixels of an image
    feature_names_in_
        names of the pixels, if it was fitted to a table with column names
    """

    def __init__(
        self,
        image_shape: tuple[int, int] | None = None,
        filtrations: tuple[str, ...] = ("superlevel",),
        bins: int = 64,
        sigma: float = 2.0,
        weight: str | Section = "linear",
        intensity: str | Section | None = "standardised",
        degrees: tuple[int, ...] = (0, 1),
    ) -> None:
        self.image_shape = image_shape
        self.filtrations = filtrations
        self.bins = bins
        self.sigma = sigma
        self.weight = weight
        self.intensity = intensity
        self.degrees = degrees

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn the shape of the images (n, rows, columns) or (n, rows * columns), and check the parameters.

        Raises ValueError if a parameter or the images cannot be used. ``y`` is ignored.
        """
        _recipe(self)
        _images(self, X, reset=True)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Persistence images (n, n_features_out) of images (n, rows, columns) or (n, rows * columns).

        A row is ordered by degree, then filtration, then bin; ``get_feature_names_out`` names its entries. It is
        float32 for float32 images, else float64; values have single precision. Raises ValueError if images are not
        finite, not of the fitted shape, or cannot be converted to grey levels.
        """
        check_is_fitted(self)
        recipe, images = _recipe(self), _images(self, X, reset=False)
        grey = _grey_levels(images, None if self.intensity is None else recipe.intensity)
        vectors = persistence_images(diagram_table(grey, recipe), recipe, len(grey))
        kind = np.float32 if images.dtype == np.float32 else np.float64
        return vectors[:, list(self.degrees)].reshape(len(grey), -1).astype(kind, copy=False)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Name of each bin, such as ``superlevel degree 0 birth 201.5 death 61.5`` (grey levels of its centre).

        ``input_features`` are the names of the pixels; ValueError if it was fitted to others.
        """
        check_is_fitted(self)
        if input_features is not None:
            given, fitted = np.asarray(input_features, object), getattr(self, "feature_names_in_", None)
            if fitted is not None and not np.array_equal(given, fitted):
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(given) != self.n_features_in_:
                raise ValueError(f"input_features should have length equal to the {self.n_features_in_} pixels")
        bins = mesh_pixels(_recipe(self)).reshape(len(self.filtrations), -1, 2)
        names = [
            f"{filtration} degree {degree} birth {birth:g} death {death:g}"
            for degree in self.degrees
            for filtration, bins_of_filtration in zip(self.filtrations, bins, strict=True)
            for birth, death in bins_of_filtration
        ]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class WindowFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What describes a window of a micrograph (``persistem.descriptors.windows``): (n, rows, columns) to (n, features).

    Every image is a window by itself and sees no pixels but its own, so a model of these knows nothing of what is
    around. Images are square; flattened ones (n, rows * columns) are allowed.

    Parameters
    ----------
    blocks
        "lifetimes" (moments of birth-death pairs), "spectrum", "contrast", "peaks", "moments", "texture", "low-passed"
    sampling
        size of a pixel, Å; it sets the scale of "low-passed", "moments" and "texture", and how far a spectrum reaches

    Attributes
    ----------
    side_
        pixels along a side of an image
    """

    def __init__(self, blocks: tuple[str, ...] = ("lifetimes", "spectrum"), sampling: float = 0.5) -> None:
        self.blocks = blocks
        self.sampling = sampling

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn the size of the images, and check the parameters. ``y`` is ignored."""
        unknown = sorted(set(self.blocks) - set(ALONE_IN_A_WINDOW))
        if unknown or not self.blocks:
            raise ValueError(f"blocks = {self.blocks!r}: allowed are {', '.join(ALONE_IN_A_WINDOW)}")
        self.side_ = _square(validate_data(self, X, ensure_2d=False, allow_nd=True)).shape[-1]
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Features (n, n_features_out) of images (n, rows, columns) or (n, rows * columns)."""
        check_is_fitted(self, "side_")
        images = _square(validate_data(self, X, ensure_2d=False, allow_nd=True, reset=False))
        side = images.shape[-1]
        if side != self.side_:
            raise ValueError(f"images of {side} x {side} pixels, but it was fitted to {self.side_} x {self.side_}")
        try:
            windows = Windows(sampling=self.sampling, size=side * self.sampling)
        except ValidationError as error:
            raise ValueError(explain(error, None)) from error
        rows = []
        for image in images:
            found = describe_windows(np.asarray(image, np.float32), windows, side, self.blocks)
            rows.append(np.concatenate([found.blocks[name][0, 0] for name in self.blocks]))
        return np.asarray(rows, float)


class StateClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The state that an image shows, by logistic regression on its persistence image, each bin standardised.

    For images (n, rows, columns) or flattened (n, rows * columns), and two or more states. ``C`` is the inverse
    strength of the L2 penalty (paper: 0.01); for the other parameters see ``PersistenceImages``. Accuracy on unseen
    images means something only if these come from other trajectories or specimens than the training images:
    cross-validate with one group for each (``GroupKFold``).

    Rows of a few numbers are no pictures: two pixels have neither two islands nor a ring, so their persistence images
    are zero and all get the most frequent state. scikit-learn's tag for this is ``poor_score``.

    Attributes
    ----------
    classes_
        states in the order of the columns of ``predict_proba``
    pipeline_
        the fitted steps: ``persistenceimages``, ``standardscaler``, ``logisticregression``
    image_shape_, n_features_in_, feature_names_in_
        as in ``PersistenceImages``
    """

    def __init__(
        self,
        image_shape: tuple[int, int] | None = None,
        filtrations: tuple[str, ...] = ("superlevel",),
        bins: int = 64,
        sigma: float = 2.0,
        weight: str | Section = "linear",
        intensity: str | Section | None = "standardised",
        degrees: tuple[int, ...] = (0, 1),
        C: float = 0.01,
    ) -> None:
        self.image_shape = image_shape
        self.filtrations = filtrations
        self.bins = bins
        self.sigma = sigma
        self.weight = weight
        self.intensity = intensity
        self.degrees = degrees
        self.C = C

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on images (n, rows, columns) or (n, rows * columns) and their states ``y`` (n,), text or numbers.

        Raises ValueError if a parameter or the images cannot be used, or if there are fewer than two states.
        """
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        images, labels = _images(self, X, y, reset=True)
        parameters = {name: value for name, value in self.get_params(deep=False).items() if name != "C"}
        pipeline = make_pipeline(PersistenceImages(**parameters), StandardScaler(), classifier("LR", self.C))
        self.pipeline_ = pipeline.fit(images, labels)
        self.classes_ = self.pipeline_.classes_
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The state (n,) of each image."""
        return np.asarray(self._fitted().predict(_images(self, X, reset=False)))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probability (n, states) of each of ``classes_``."""
        return np.asarray(self._fitted().predict_proba(_images(self, X, reset=False)))

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Score of each of ``classes_`` (n, states); for two states the score of the second (n,)."""
        return np.asarray(self._fitted().decision_function(_images(self, X, reset=False)))

    def _fitted(self) -> Pipeline:
        check_is_fitted(self)
        return self.pipeline_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.classifier_tags.poor_score = True
        return tags


def _square(images: NDArray[Any]) -> NDArray[Any]:
    """Images (n, side, side). Raises ValueError if they are not square."""
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        if side**2 == images.shape[1]:
            return images.reshape(len(images), side, side)
    elif images.ndim == 3 and images.shape[1] == images.shape[2]:
        return images
    raise ValueError(f"images of the shape {images.shape[1:]}: a window is square")


def _recipe(estimator: PersistenceImages) -> Recipe:
    """The recipe of the parameters; ValueError with a sentence on the first that cannot be used."""
    if not isinstance(estimator.degrees, tuple | list) or tuple(estimator.degrees) not in DEGREES:
        raise ValueError(f"degrees = {estimator.degrees!r}: allowed are (0,), (1,) and (0, 1)")
    settings = {name: getattr(estimator, name) for name in SETTINGS}
    # a search over parameters draws NumPy's numbers
    settings = {name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()}
    for name, key in (("weight", "form"), ("intensity", "method")):
        if isinstance(settings[name], str):
            settings[name] = {key: settings[name]}
    if settings["intensity"] is None:
        del settings["intensity"]
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        problem = error.errors()[0]
        name, message = ".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")
        raise ValueError(f"{name} = {problem['input']!r}: {message[0].lower() + message[1:]}") from error


def _images(estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool) -> Any:
    """Images (n, rows, columns) of real numbers, of the estimator's shape, which ``reset`` sets.

    With ``y`` also the labels (n,).
    """
    shape = estimator.image_shape if reset else estimator.image_shape_
    if shape is not None and (np.shape(shape) != (2,) or min(shape) < 1):
        raise ValueError(f"image_shape = {shape!r}: must be None or the rows and columns of an image, e.g. (64, 64)")
    shape = None if shape is None else tuple(shape)
    if np.asarray(X).ndim == 3:
        X = np.asarray(X)
        (rows, columns), wanted = X.shape[1:], shape or X.shape[1:]
        if (rows, columns) != wanted:
            name = type(estimator).__name__
            raise ValueError(f"{name} takes images of {wanted[0]} x {wanted[1]} pixels, not {rows} x {columns}")
        shape, X = (rows, columns), X.reshape(len(X), rows * columns)
    checked = validate_data(estimator, X, y, reset=reset)
    flat, labels = checked if isinstance(checked, tuple) else (checked, None)
    if reset:
        shape = shape or (1, flat.shape[1])
        if shape[0] * shape[1] != flat.shape[1]:
            raise ValueError(f"image_shape = {shape}: the flattened images have {flat.shape[1]} pixels")
        estimator.image_shape_ = shape
    images = flat.reshape(-1, *shape)
    return images if labels is None else (images, labels)


def _grey_levels(images: NDArray[Any], how: Any) -> NDArray[np.uint8]:
    """8-bit grey levels of images, each converted as a micrograph that is one crop; None: already grey levels."""
    if how is None:
        if images.min() < 0 or images.max() > 255 or (images != np.rint(images)).any():
            span = f"{images.min():g} to {images.max():g}"
            raise ValueError(f"intensity = None: grey levels are whole numbers from 0 to 255, not values from {span}")
        return images.astype(np.uint8)
    grey = []
    for k, image in enumerate(images):
        try:
            grey.append(grey_levels(image.astype(np.float64), how))
        except PersistemError as error:
            raise ValueError(f"image {k}: {error}") from error
    return np.stack(grey)
