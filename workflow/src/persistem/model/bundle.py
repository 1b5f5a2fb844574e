"""The bundle of a model: a folder that is written whole or not at all, and loaded without executing anything in it."""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from persistem.conditions import features
from persistem.descriptors import windows as described
from persistem.errors import PersistemError
from persistem.model.classifier import Classifier, Model
from persistem.model.contrast_factor import Gauge
from persistem.model.linear import Linear
from persistem.model.skops_files import MOST_BYTES, dumped, loaded, one_line
from persistem.model.trees import Trees
from persistem.model.typical import Typical
from persistem.model.unlike import CONTRAST, STATISTICS, VACUUM, Distribution
from persistem.store.bounded import is_regular
from persistem.store.files import read_json, replaced_folder
from persistem.study import Windows
from persistem.study.fields import Name
from persistem.study.mapping import RESERVED, RESERVED_LABELLED

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The kind that model.json states, and the version of the folder's format: of a model of simulations, and of one of
#: labelled micrographs, which is linear and knows neither voltage nor defocus.
KIND = "PersisTEM model"
FORMAT, LABELLED = 4, 3
#: Version of the windows of a bundle whose index does not state one; of the descriptions of micrographs
#: (``labelled.describing``), to be bumped when they change; and that of a bundle whose index does not state one.
FIRST_WINDOWS = 1
DESCRIPTIONS, FIRST_DESCRIPTIONS = 4, 3
#: Arrays of the distribution beside its scaling.
JUDGE = ("components", "variances", "covariance", "noise", "noise_covariance", "noise_least", "thresholds")
INDEX = "model.json"
MOST_INDEX = 2**20
MOST_CARD = 2**22
#: The other files, with checksums in the index; and all files.
PARTS = ("classifier.skops", "distribution.skops", "card.md", "card.json")
FILES = (INDEX, *PARTS)
#: The other keys of the index; defoci in Å, underfocus positive.
KEYS = ("study", "versions", "states", "windows", "blocks", "voltage_kV", "defoci_A", "doses_e_A2", "thicknesses_A")
#: What a study may have: kV, Å; and larger than any dose (e/Å²) or thickness (Å); px of a window's side, and levels.
VOLTAGES, MOST_DEFOCUS, LARGEST, MOST_SIDE = (10, 3000), 99999, 1e9, 10_000
#: Packages whose versions a model's numbers depend on.
PACKAGES = ("persistem", "numpy", "scipy", "scikit-learn", "skops")


def write(out: Path, model: Model, card: str, about: Mapping[str, Any]) -> None:
    """Write a model's bundle as the folder ``out``; it replaces a bundle that is there.

    ``card`` is the model card in Markdown; ``about`` has ``study``, ``doses_e_A2`` and ``thicknesses_A``. The same
    model gives the same bytes.
    """
    classifier, distribution, gauge = model.classifier, model.distribution, model.gauge
    contents = {
        "classifier.skops": dumped(
            {
                "lengths": classifier.lengths,
                "linear" if model.labelled else "trees": dict(vars(classifier.scorer)),
                "calibration": classifier.calibration,
            }
        ),
        "distribution.skops": dumped(
            {"scaling": _arrays(distribution.scaling)}
            | {name: getattr(distribution, name) for name in JUDGE}
            | ({"gauge": {key: np.asarray(of) for key, of in gauge._asdict().items()}} if gauge is not None else {})
        ),
        "card.md": card.encode(),
        "card.json": _json(model.card),
    }
    index = {
        "kind": KIND,
        "format": LABELLED if model.labelled else FORMAT,
        "study": about["study"],
        "versions": versions(),
        "states": list(model.states),
        "windows": model.windows.model_dump(mode="json"),
        "windows_version": described.VERSION,
        "blocks": list(model.blocks),
        "voltage_kV": model.voltage,
        "defoci_A": None if model.defoci is None else list(model.defoci),
        **_images(model),
        "doses_e_A2": list(about["doses_e_A2"]),
        "thicknesses_A": list(about["thicknesses_A"]),
        "checksums": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    contents[INDEX] = _json(index | {"checksum": _checksum(index)})
    _replace(Path(out), contents)


def _images(model: Model) -> dict[str, Any]:
    """What the index of a model of labelled micrographs says of an image as a whole."""
    if model.relief is None or model.typical is None:
        return {}
    described_as = {"descriptions_version": DESCRIPTIONS}
    ends = {name: getattr(model.typical, name).tolist() for name in ("low", "high")}
    return described_as | {"relief": list(model.relief), "typical": ends | {"limit": model.typical.limit}}


def load(path: Path) -> Model:
    """The model in a bundle.

    Nothing in a bundle is executed. Checksums reveal a file that was damaged or changed; they are no signature.

    Raises
    ------
    PersistemError
        if the folder is not a bundle, is of another version, is truncated or was changed, or if a part does not
        belong to a model.
    """
    path = Path(path)
    index = _index(path)
    contents = {name: _content(path / name, index["checksums"].get(name)) for name in PARTS}
    try:
        return _model(path, index, contents)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        # checksums can be made to fit, so nothing in the files is taken for granted
        raise PersistemError(f"{path}: its parts do not fit together ({one_line(error)})") from error


def versions() -> dict[str, str]:
    """The versions of the packages that a model's numbers depend on."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:  # this package itself, if jobs find it by its path
            installed[name] = "not installed"
    return installed


def _index(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise PersistemError(f"{path}: not a model bundle, which is a folder with {', '.join(FILES)}")
    for name in FILES:
        if os.path.lexists(path / name) and not is_regular(path / name):
            raise PersistemError(f"{path / name}: a link, folder, device or pipe, where a bundle has a file; refused")
    if not (path / INDEX).is_file():
        raise PersistemError(f"{path}: not a model bundle: it has no {INDEX}")
    if (path / INDEX).stat().st_size > MOST_INDEX:
        raise PersistemError(f"{path / INDEX}: larger than the index of any model; refused")
    try:
        index = read_json(path / INDEX)
    except RecursionError as error:
        raise PersistemError(f"{path / INDEX}: nested deeper than the index of any model; refused") from error
    if index.get("kind") != KIND:
        raise PersistemError(f"{path / INDEX}: describes no PersisTEM model but {index.get('kind')!r}")
    if index.get("format") not in (FORMAT, LABELLED):
        raise PersistemError(
            f"{path / INDEX}: a bundle of the format {index.get('format')!r}, but this version of PersisTEM reads"
            f" {FORMAT} and {LABELLED}; train the model again or use the version that wrote it"
        )
    windows_version = index.get("windows_version", FIRST_WINDOWS)
    if windows_version != described.VERSION:
        raise PersistemError(
            f"{path / INDEX}: its windows are described as in version {windows_version!r}, but this version of"
            f" PersisTEM describes them as in {described.VERSION}; train the model again or use the version that wrote"
            " it"
        )
    descriptions_version = index.get("descriptions_version", FIRST_DESCRIPTIONS)
    if index["format"] == LABELLED and descriptions_version != DESCRIPTIONS:
        raise PersistemError(
            f"{path / INDEX}: its micrographs are described as in version {descriptions_version!r}, but this version of"
            f" PersisTEM describes them as in {DESCRIPTIONS}; train the model again or use the version that wrote it"
        )
    checksum = index.pop("checksum", None)
    missing = [key for key in (*KEYS, "checksums") if key not in index]
    if missing or not isinstance(index["checksums"], dict):
        raise PersistemError(f"{path / INDEX}: lacks {', '.join(missing) or 'checksums'}; the bundle is damaged")
    if checksum != _checksum(index):
        raise PersistemError(f"{path / INDEX}: was changed after the bundle was written; refused")
    return index


def _content(path: Path, checksum: str | None) -> bytes:
    try:
        size, most = path.stat().st_size, MOST_BYTES if path.suffix == ".skops" else MOST_CARD
        content = path.read_bytes() if size <= most else b""
    except OSError as error:
        raise PersistemError(f"{path}: cannot be read ({error.strerror}); the bundle is not complete") from error
    if size > most:
        raise PersistemError(f"{path}: {size} bytes; no model has more than {most}")
    if hashlib.sha256(content).hexdigest() != checksum:
        raise PersistemError(f"{path}: is not the file that the bundle was written with; truncated or changed, refused")
    return content


def _model(path: Path, index: dict[str, Any], contents: dict[str, bytes]) -> Model:
    from sklearn.linear_model import LogisticRegression

    parts = loaded(path / "classifier.skops", contents["classifier.skops"])
    distances = loaded(path / "distribution.skops", contents["distribution.skops"])
    states, blocks = tuple(index["states"]), tuple(index["blocks"])
    _fit("lengths", all(type(length) is int and length > 0 for length in parts["lengths"].values()), True)
    labelled, calibration, seen = index["format"] == LABELLED, parts["calibration"], sum(parts["lengths"].values())
    scorer = Linear(**parts["linear"]) if labelled else Trees(**parts["trees"])
    scorer.check(seen)
    classifier = Classifier(dict(parts["lengths"]), scorer, calibration)
    distribution = Distribution(_scaling(distances["scaling"]), *(np.asarray(distances[name], float) for name in JUDGE))
    card = json.loads(contents["card.json"])
    _fit("types", (type(calibration), type(card)), (LogisticRegression, dict))
    _check_states(states, RESERVED_LABELLED if labelled else RESERVED)
    voltage = defoci = relief = typical = None
    if labelled:
        _fit("voltage_kV and defoci_A", (index["voltage_kV"], index["defoci_A"]), (None, None))
        relief = _range("relief", index["relief"], 0, LARGEST)
        ends, limit = index["typical"], _ranged("typical", index["typical"]["limit"], 0, LARGEST)
        typical = Typical(np.asarray(ends["low"], float), np.asarray(ends["high"], float), limit)
    else:
        voltage = _ranged("voltage_kV", index["voltage_kV"], *VOLTAGES)
        defoci = _range("defoci_A", index["defoci_A"], -MOST_DEFOCUS, MOST_DEFOCUS)
    for key in ("doses_e_A2", "thicknesses_A"):
        for value in filter(None, index[key]):  # no dose: without counting noise
            _ranged(key, value, 0, LARGEST)
    _fit("judged", CONTRAST in distribution.scaling and len(distribution.scaling) > 1, True)
    k, rows = len(states), 1 if len(states) == 2 else len(states)
    structure = sum(len(mean) for name, (mean, _) in distribution.scaling.items() if name != CONTRAST)
    _fit("scores", scorer.start.shape, (rows,))
    _fit("classes", list(calibration.classes_), list(range(k)))
    _fit("calibration", (calibration.coef_.shape, calibration.intercept_.shape), ((rows, rows), (rows,)))
    _fit("components", distribution.components.shape, (structure, len(distribution.variances)))
    _fit("noise", (distribution.noise.shape, distribution.noise_least.shape), ((structure + 1,), ()))
    for covariance in (distribution.covariance, distribution.noise_covariance):
        _fit("covariance", covariance.shape, (structure + 1, structure + 1))
    if typical:
        shape = k, len(distribution.scaling["spectrum"][0])
        _fit("typical", (typical.low.shape, typical.high.shape), (shape, shape))
        ordered = bool((typical.low <= typical.high).all() and np.isfinite([typical.low, typical.high]).all())
        _fit("typical ends", ordered, True)
    _fit("thresholds", distribution.thresholds.shape, (len(STATISTICS),))
    scalings = list(distribution.scaling.values())
    numbers = [calibration.coef_, calibration.intercept_, *(getattr(distribution, name) for name in JUDGE)]
    positive = [distribution.variances, distribution.thresholds, *(scale for _, scale in scalings)]
    finite = all(bool(np.isfinite(array).all()) for array in [*numbers, *positive, *(mean for mean, _ in scalings)])
    _fit("finite numbers", finite and all(bool((array > 0).all()) for array in positive), True)
    _fit("odds of vacuum are sure", bool(distribution.thresholds[STATISTICS.index(VACUUM)] > 1), True)
    for covariance in (distribution.covariance, distribution.noise_covariance):
        np.linalg.cholesky(covariance)  # raises an error unless it is positive definite
    windows = Windows.model_validate(index["windows"])
    digest = _checksum(index)[:12]
    _fit("gauge of labelled micrographs", labelled and "gauge" in distances, False)
    gauge = _gauge(distances["gauge"], 1 + structure + 1) if "gauge" in distances else None
    model = Model(states, windows, voltage, defoci, card, classifier, distribution, digest, relief, typical, gauge)
    _fit("blocks", model.blocks, blocks)
    _check_lengths(model)
    _fit("blocks", {*classifier.lengths, *distribution.scaling} <= set(blocks), True)
    return model


def _check_states(states: tuple[Any, ...], taken: tuple[str, ...]) -> None:
    """Raise ValueError unless these are names of states that a study could have: pages, tables and files hold them."""
    names = TypeAdapter(tuple[Name, ...]).validate_python(states)
    reserved = [name for name in names if name in taken]
    if reserved:
        raise ValueError(f"states: one is called {reserved[0]}, which maps say of windows")
    _fit("states", len(set(names)) == len(names) > 1, True)


def _range(what: str, ends: Any, least: float, most: float) -> tuple[float, float]:
    low, high = (_ranged(what, end, least, most) for end in ends)
    if low > high:
        raise ValueError(f"{what}: {low:g} to {high:g} is no range")
    return low, high


def _ranged(what: str, value: object, low: float, high: float) -> float:
    if type(value) not in (int, float) or not low <= value <= high:  # type: ignore[operator]
        raise ValueError(f"{what}: {value} is not a number from {low:g} to {high:g}")
    return float(value)  # type: ignore[arg-type]


def _check_lengths(model: Model) -> None:
    """Raise ValueError unless the windows are described by as many numbers as the model takes."""
    side = described.side(model.windows)
    if not 2 <= side <= MOST_SIDE or model.windows.levels > MOST_SIDE:
        raise ValueError(f"windows: {side} px wide, of {model.windows.levels} levels; at most {MOST_SIDE}")
    lengths = described.lengths(model.windows) | {"conditions": len(features.NAMES)}
    for name, length in model.classifier.lengths.items():
        _fit(f"length of {name}", length, lengths[name])
    for name, (mean, _) in model.distribution.scaling.items():
        _fit(f"scaling of {name}", len(mean), lengths[name])


def _fit(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise ValueError(f"{what}: {found} instead of {wanted}")


def _gauge(parts: dict[str, Any], n: int) -> Gauge:
    """What reads the contrast of an image, of windows of ``n`` numbers."""
    arrays = {name: np.asarray(parts[name], float) for name in Gauge._fields}
    shapes = dict(zip(Gauge._fields, ((n,), (n,), (), (n,), (n, n), (), (), ()), strict=True))
    _fit("gauge", {name: array.shape for name, array in arrays.items()}, shapes)
    _fit("finite gauge", all(bool(np.isfinite(array).all()) for array in arrays.values()), True)
    intercept, low, high, error = (float(arrays[name]) for name in ("intercept", "low", "high", "error"))
    _fit("gauge that can read", bool((arrays["scale"] > 0).all()) and 0 < low <= high and error >= 0, True)
    return Gauge(arrays["mean"], arrays["scale"], intercept, arrays["linear"], arrays["quadratic"], low, high, error)


def _scaling(arrays: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Mean and scale by block, of arrays (2, length)."""
    blocks = {str(name): np.asarray(array, float) for name, array in arrays.items()}
    for name, array in blocks.items():
        _fit(f"scaling of {name}", (array.ndim, len(array)), (2, 2))
    return {name: (array[0], array[1]) for name, array in blocks.items()}


def _arrays(scaling: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {name: np.stack(mean_and_scale) for name, mean_and_scale in scaling.items()}


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _checksum(index: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()


def _replace(out: Path, contents: Mapping[str, bytes]) -> None:
    """Replace ``out``, which must be a bundle, empty or missing, with a folder of these files."""
    if out.exists() and (not out.is_dir() or {entry.name for entry in out.iterdir()} - set(FILES)):
        raise PersistemError(f"{out}: there is something else than a model bundle; choose another folder")
    with replaced_folder(out) as part:
        for name, content in contents.items():
            (part / name).write_bytes(content)
