"""Which way the learned weights point, and that they are those of the classifiers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from persistem.errors import PersistemError
from persistem.learning.weights import bin_of, learned, mesh_edges, read_weights, strongest, weight_map, weights_file
from persistem.topology.diagrams import COLUMNS as DIAGRAM_COLUMNS
from persistem.topology.persistence_images import image_file, mesh_pixels, persistence_images
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

RECIPE: dict[str, Any] = {
    "filtrations": ["superlevel"],
    "bins": 16,
    "sigma": 1.0,
    "weight": {"form": "linear", "c": 0.01, "p": 3.0},
}
STATES = ["amorphous", "liquid", "crystal"]
#: Birth and death (grey levels) of the pairs that a state has more of than the others.
OWN = [(120, 100), (220, 60), (60, 10)]
CROPS = 12


def recipe(**changes: Any) -> Any:
    settings = RECIPE | changes
    return SimpleNamespace(**settings | {"weight": SimpleNamespace(**settings["weight"])})


def table_of(pairs: np.ndarray, filtration: str = "superlevel") -> pa.Table:
    """A diagram from rows of crop, degree, birth, death."""
    kinds = {k: v for k, v in DIAGRAM_COLUMNS.items() if k != "filtration"}
    columns = {name: pa.array(pairs[:, i].astype(kind)) for i, (name, kind) in enumerate(kinds.items())}
    columns["filtration"] = pa.array([filtration] * len(pairs), pa.string())
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in DIAGRAM_COLUMNS.items()])
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def pairs_like(state: int, rng: np.random.Generator, degrees: tuple[int, ...] = (0, 1)) -> np.ndarray:
    """Pairs of crops of a state: a few anywhere, and eight about the state's own place."""
    rows = []
    for crop in range(CROPS):
        for degree in degrees:
            early, late = np.sort(rng.integers(0, 256, (2, 6)), axis=0)
            anywhere = np.column_stack([np.maximum(late, early + 1).clip(max=255), early])
            own = OWN[state] + rng.integers(-6, 7, (8, 2))
            rows += [(crop, degree, birth, death) for birth, death in [*anywhere, *own] if birth > death]
    return np.array(rows)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Persistence images of three states and two seeds, with what ``weights_file`` needs to know of each."""
    root = tmp_path_factory.mktemp("weights")
    sources = []
    for seed in (1, 2):
        for label, state in enumerate(STATES):
            name = f"{state}-{seed}"
            rng = np.random.default_rng(10 * seed + label)
            pq.write_table(table_of(pairs_like(label, rng)), root / f"{name}.diagrams")
            image_file(root / f"{name}.diagrams", recipe(), CROPS, root / f"{name}.parquet")
            sources.append(
                {"specimen": name, "state": state, "seed": seed, "path": f"{name}.parquet", "defocus": 0.0, "rt": True}
            )
    return root, sources


def settings(sources: list[dict[str, Any]], states: list[str] = STATES[:2], **changes: Any) -> dict[str, Any]:
    chosen = [s for s in sources if s["state"] in states]
    base = {"recipe": RECIPE, "models": ["LR", "SVC"], "C": 0.01, "scaling": "standard"}
    return base | {"states": states, "sources": chosen} | changes


def at(birth: float, death: float, edges: np.ndarray) -> tuple[int, int]:
    return int(bin_of(np.array(death), edges)), int(bin_of(np.array(birth), edges))


def vector(pairs: list[tuple[int, int]], degree: int) -> np.ndarray:
    rows = np.array([(0, degree, birth, death) for birth, death in pairs])
    return persistence_images(table_of(rows), recipe(), 1)[0, degree].astype(float)


@pytest.mark.parametrize("scaling", ["standard", "maximum", "none"])
def test_weights_are_positive_where_label_1_has_its_pairs(images: Any, tmp_path: Path, scaling: str) -> None:
    root, sources = images
    weights_file(settings(sources, scaling=scaling), root, tmp_path / "w.parquet")
    weights = read_weights(tmp_path / "w.parquet")
    assert set(weights["state"]) == {"liquid"}
    for model in ("LR", "SVC"):
        for degrees, degree in (("0", 0), ("1", 1), ("0+1", 0), ("0+1", 1)):
            for values in ("weight", "pattern"):
                edges, image = weight_map(weights, values, model=model, degrees=degrees, degree=degree)
                assert image[at(*OWN[1], edges)] > 0 > image[at(*OWN[0], edges)]


@pytest.mark.parametrize("model", ["LR", "SVC"])
def test_more_pairs_where_the_weight_is_positive_push_a_crop_to_label_1(images: Any, model: str) -> None:
    root, sources = images
    X, y = features(root, sources, STATES[:2])
    w = learned(X, y, model, 0.01, "none", model == "SVC")["0"][0][0, 0]
    few, many = vector([(200, 20)] + [OWN[1]] * 2, 0), vector([(200, 20)] + [OWN[1]] * 4, 0)
    assert w @ many > w @ few
    classify = {"LR": LogisticRegression(C=0.01), "SVC": LinearSVC(loss="hinge", C=0.01, max_iter=10**5)}[model]
    classify.fit(X[0], y)
    assert classify.decision_function([many]) > classify.decision_function([few])
    assert classify.predict([vector([OWN[1]] * 20, 0)]) == 1
    assert classify.predict([vector([OWN[0]] * 20, 0)]) == 0


def features(root: Path, sources: list[dict[str, Any]], states: list[str]) -> tuple[dict[int, Any], np.ndarray]:
    from persistem.topology.persistence_images import read_images

    files = [(read_images(root / s["path"]), states.index(s["state"])) for s in sources if s["state"] in states]
    X = {k: np.concatenate([v[degree == k] for (_, degree, v), _ in files]).astype(float) for k in (0, 1)}
    return X, np.repeat([label for _, label in files], CROPS)


@pytest.mark.parametrize("states", [2, 3])
def test_weights_are_those_that_scikit_learn_fits_to_all_bins(images: Any, states: int) -> None:
    root, sources = images
    X, y = features(root, sources, STATES[:states])
    # fewer crops than bins, and fewer bins than crops
    for X_some in ({k: v[::2] for k, v in X.items()}, {k: v[:, 60:72] for k, v in X.items()}):
        y_some = y[::2] if len(X_some[0]) < len(y) else y
        both = np.hstack([X_some[0], X_some[1]])
        for model, classify in (
            ("LR", LogisticRegression(C=0.01, tol=1e-9, max_iter=10**5)),
            ("SVC", LinearSVC(loss="hinge", C=0.01, dual=True, max_iter=10**6, tol=1e-9)),
        ):
            fitted = make_pipeline(StandardScaler(), classify).fit(both, y_some)
            result = learned(X_some, y_some, model, 0.01, "standard", model == "SVC")["0+1"]
            w = np.concatenate([result[0][0], result[1][0]], axis=-1)
            assert w.shape == (1 if states == 2 else 3, both.shape[1])
            np.testing.assert_allclose(w, fitted[-1].coef_, atol=2e-3 * np.abs(fitted[-1].coef_).max())
            h = np.atleast_2d(fitted.decision_function(both).T)
            pattern = np.concatenate([result[0][1], result[1][1]], axis=-1)
            expected = np.cov(np.vstack([h / h.std(axis=1, keepdims=True), both.T]), bias=True)[: len(h), len(h) :]
            np.testing.assert_allclose(pattern, expected, atol=2e-3 * np.abs(expected).max())


def test_of_three_states_each_has_its_own_map(images: Any, tmp_path: Path) -> None:
    root, sources = images
    weights_file(settings(sources, STATES), root, tmp_path / "w.parquet")
    weights = read_weights(tmp_path / "w.parquet")
    for model in ("LR", "SVC"):
        for label, state in enumerate(STATES):
            edges, image = weight_map(weights, model=model, degrees="0+1", degree=0, state=state)
            of_own = [image[at(*own, edges)] for own in OWN]
            assert np.argmax(of_own) == label
            assert of_own[label] > 0 > min(of_own)


def test_the_bytes_do_not_depend_on_the_order_of_the_sources(images: Any, tmp_path: Path) -> None:
    root, sources = images
    weights_file(settings(sources), root, tmp_path / "a.parquet")
    weights_file(settings(sources[::-1]), root, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_every_bin_of_the_mesh_has_a_row(images: Any, tmp_path: Path) -> None:
    root, sources = images
    weights_file(settings(sources, models=["LR"]), root, tmp_path / "w.parquet")
    weights = read_weights(tmp_path / "w.parquet")
    assert len(weights["weight"]) == 4 * len(mesh_pixels(recipe()))
    edges, image = weight_map(weights, model="LR", degrees="0", degree=0)
    assert np.array_equal(edges, mesh_edges(16))
    deaths, births = np.nonzero(np.isfinite(image))
    assert (births >= deaths).all()
    assert len(births) == 16 * 17 / 2


@pytest.mark.parametrize("filtration", ["superlevel", "sublevel"])
def test_a_map_has_each_pair_in_the_bin_that_counts_it(filtration: str) -> None:
    settings = recipe(filtrations=[filtration], sigma=0.1)
    bins = mesh_pixels(settings)
    for birth, death in [(200, 20), (17, 0), (255, 16), (31, 15)]:
        pair = (birth, death) if filtration == "superlevel" else (death, birth)
        table = table_of(np.array([(0, 1, *pair)]), filtration)
        image = persistence_images(table, settings, 1)[0, 1]
        columns = {"filtration": np.full(len(bins), filtration), "birth": bins[:, 0], "death": bins[:, 1]}
        edges, plane = weight_map(columns | {"weight": image}, filtration=filtration)
        assert np.unravel_index(np.nanargmax(plane), plane.shape) == at(*pair, edges)
        row, column = at(*pair, edges)
        assert edges[column] < pair[0] < edges[column + 1]
        assert edges[row] < pair[1] < edges[row + 1]


def test_the_strongest_part_is_connected_to_the_extreme_and_above_half_of_it() -> None:
    image = np.array(
        [
            [9.0, 5.0, 4.0, np.nan],
            [1.0, 6.0, -3.0, -8.0],
            [7.0, 2.0, 8.0, -3.9],
        ]
    )
    assert np.argwhere(strongest(image, 1)).tolist() == [[0, 0], [0, 1], [1, 1]]
    assert np.argwhere(strongest(image, -1)).tolist() == [[1, 3]]
    assert not strongest(np.abs(image), -1).any()
    assert not strongest(np.zeros((3, 3)), 1).any()


def test_what_cannot_be_learned_from_is_refused(images: Any, tmp_path: Path) -> None:
    root, sources = images
    out = tmp_path / "w.parquet"
    with pytest.raises(PersistemError, match="1 state given; at least 2"):
        weights_file(settings(sources, STATES[:1]), root, out)
    with pytest.raises(PersistemError, match="state 'liquid' has no persistence images"):
        weights_file(settings(sources) | {"sources": [s for s in sources if s["state"] == "amorphous"]}, root, out)
    with pytest.raises(PersistemError, match="state 'crystal' is not one of the states amorphous, liquid"):
        weights_file(settings(sources) | {"sources": sources}, root, out)
    with pytest.raises(PersistemError, match="have 136 values, but 8 bins of superlevel make 36"):
        weights_file(settings(sources, recipe=RECIPE | {"bins": 8}), root, out)
    assert not out.exists()
    weights_file(settings(sources, models=["LR"]), root, out)
    with pytest.raises(PersistemError, match="no weights of model SVC"):
        weight_map(read_weights(out), model="SVC")
    with pytest.raises(PersistemError, match="its columns are"):
        read_weights(root / sources[0]["path"])
    (tmp_path / "text").write_text("no")
    with pytest.raises(PersistemError, match="not a Parquet file"):
        read_weights(tmp_path / "text")
