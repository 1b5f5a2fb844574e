"""Figure 3: annular averaged diffraction intensities, by eye and trained; and where the contrast inverts."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from statistics import fmean
from textwrap import fill
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.descriptors.spectra import (
    LIMIT,
    annular_average,
    contrast_inversion,
    micrograph_features,
    scattering_angle,
)
from persistem.errors import PersistemError
from persistem.imaging.micrographs import read_micrograph
from persistem.imaging.optics import defocus_at_exit, focal_range, wavelength
from persistem.learning.accuracy import accuracy_table
from persistem.report.figures.drawing import (
    COLOURS,
    ERROR_BARS,
    PAGE,
    SPLITS,
    CannotDraw,
    Drawing,
    lettered,
    record_of,
    signed,
)
from persistem.study import Crops, Learning
from persistem.study.settings import section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

TITLE = "Annular averaged diffraction intensity at every defocus"
ABOUT = (
    "Power spectra of the micrographs, averaged over directions, against scattering angle and spatial frequency: some"
    " defoci together as in Fig. 3 of the paper, here in focus and farthest from it (solid: the last state, the paper's"
    " liquid; dashed: the first, its amorphous), and each defocus by itself. The spectra are of the intensity over its"
    " mean, under a Hann window, in absolute units. The paper dismisses them by eye; here they are trained too, crop by"
    " crop, on the study's splits."
)
#: Bump when the figure changes for the same study.
VERSION = 5

#: Line styles; as in the paper the last state's is solid.
DASHES = ((0, (4, 2)), "-.", ":", (0, (1, 1)), (0, (6, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 4)))
COLUMNS = 5
ORIGINS = {"centre": "centre", "exit": "exit face"}
#: Whether a crop's contrast is removed, and its name.
KINDS = {True: "contrast removed", False: "absolute"}


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw the spectra of all micrographs, their separation, and the accuracy of classifiers trained on crops of them.

    numbers: ``separation`` (rms difference of log10 curves, between states, defoci and seeds), ``accuracy`` (crops
    standardised, one model for all defoci), ``accuracy_per_defocus`` (a model for each), ``accuracy_absolute`` (the
    contrast of a crop counts; one model), ``not_trained`` (the reason if there is none, or None) and ``contrast``
    (where it inverts, for each specimen).
    """
    import matplotlib.pyplot as plt

    states = list(settings["states"])
    if not settings["micrographs"]:
        raise CannotDraw("the study has no micrographs of a state, so there is no diffraction intensity to average")
    k, curves, tables, contrast = _measure(settings, root)
    defoci = sorted({key[1] for key in curves})
    accuracy, reason = _trained(settings, tables)

    rows = -(-len(defoci) // COLUMNS)
    figure = plt.figure(figsize=(PAGE, 3.1 + 1.35 * rows))
    parts: Any = figure.subfigures(2, 1, height_ratios=[3.1, 1.35 * rows + 0.1])
    top, bottom = parts
    together, bars = top.subplots(1, 2, width_ratios=[1.75, 1])
    farthest = _farthest(defoci, fmean(focal_range(settings["learning"]["in_focus"])))
    _together(together, k, curves, states, farthest, settings["voltage"])
    _bars(bars, accuracy, len(states), reason)
    _apart(bottom, k, curves, states, defoci, rows, settings["voltage"])
    for axes, letter in ((together, "a"), (bars, "b")):
        lettered(axes, letter)

    standardised, absolute = accuracy[True], accuracy[False]
    numbers: dict[str, Any] = {
        "separation": _separation(k, curves),
        "accuracy": [row for row in standardised if row["training"] == "pooled"],
        "accuracy_per_defocus": [row for row in standardised if row["training"] == "per-defocus"],
        "accuracy_absolute": [row for row in absolute if row["training"] == "pooled"],
        "not_trained": reason,
        "contrast": contrast,
    }
    seeds = len({key[2] for key in curves})
    over = f"means over {seeds} seeds, bands (c) from the lowest to the highest" if seeds > 1 else "one seed"
    inverting = [c["centre_A"] for c in contrast if c["centre_A"] is not None]
    trained = f"Accuracy of linear classifiers on crop spectra. {ERROR_BARS}" if reason is None else f"Empty: {reason}"
    caption = (
        f"{len(settings['micrographs'])} micrographs at {settings['voltage']:g} kV; {over}. (a) In focus and farthest"
        f" from it. (b) {trained}. (c) Each defocus in Å from the slab's {ORIGINS[settings['defocus_origin']]}."
        f"{_caption_of(numbers['separation'])}"
    )
    if inverting:
        caption += f" The contrast inverts about a defocus of {signed(round(float(np.mean(inverting)), 1))}."
    return Drawing(figure, caption, numbers)


def _measure(settings: dict[str, Any], root: Path) -> tuple[Any, dict[tuple[str, float, int], Any], Any, list[Any]]:
    """Frequencies; a curve for each state, defocus and seed; crop features with labels; contrast of specimens."""
    crops = section(Crops, settings["crops"])
    # in the order of the learning stage: the last digits of a fit depend on it
    ordered = sorted(
        settings["micrographs"],
        key=lambda m: (m["seed"], settings["states"].index(m["state"]), m["specimen"], m["defocus"]),
    )
    curves: dict[tuple[str, float, int], Any] = {}
    features: dict[bool, list[Any]] = {True: [], False: []}
    labels: list[tuple[int, int, float, int]] = []
    contrast: list[Any] = []
    k = None
    for name in dict.fromkeys(m["specimen"] for m in ordered):
        images = []
        of_specimen = [m for m in ordered if m["specimen"] == name]
        for m in of_specimen:
            intensity, about = read_micrograph(root / m["path"])
            intensity = intensity / intensity.mean()
            frequency, mean = annular_average(intensity, about["pixel_size_A"])
            k = frequency[frequency <= LIMIT]
            curves[m["state"], m["defocus"], m["seed"]] = mean[: len(k)]
            for standardise, described in features.items():
                described.append(micrograph_features(intensity, about["pixel_size_A"], crops, standardise))
            state = settings["states"].index(m["state"])
            labels += [(state, m["seed"], m["defocus"], place) for place in range(len(features[True][-1]))]
            images.append(intensity)
        inversion = contrast_inversion(np.stack(images), [m["defocus"] for m in of_specimen])
        contrast.append(record_of(of_specimen[0]) | inversion | _planes(inversion["centre_A"], about))
    tables = {kind: np.concatenate(described) for kind, described in features.items()}, np.array(labels)
    return k, curves, tables, contrast


def _planes(defocus: float | None, about: dict[str, Any]) -> dict[str, float | None]:
    """A defocus of the study as underfocus (Å) from the slab's centre and from its exit face, half a slab away."""
    if defocus is None:
        return {"from_centre_A": None, "from_exit_face_A": None}
    keys = ("thickness", "defocus_origin", "defocus_sign")
    imaging = SimpleNamespace(**dict(zip(keys, (about["thickness_A"], about[keys[1]], about[keys[2]]), strict=True)))
    at_exit = defocus_at_exit(imaging, defocus)  # type: ignore[arg-type]
    return {"from_centre_A": at_exit - about["thickness_A"] / 2, "from_exit_face_A": at_exit}


def _trained(settings: dict[str, Any], tables: Any) -> tuple[dict[bool, list[dict[str, Any]]], str | None]:
    """Accuracy of the study's models on its splits, over all foci and in focus; or none, and the reason."""
    features, labels = tables
    label, seed = labels[:, 0].astype(int), labels[:, 1].astype(int)
    learning = section(Learning, settings["learning"])
    keys = ("model", "split", "training", "foci", "accuracy", "ci_low", "ci_high", "by_seed")
    accuracy: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    if len(set(label.tolist())) < 2:
        return accuracy, "the study has micrographs of one state"
    for kind, X in features.items():
        try:
            rows = accuracy_table(
                {0: X}, label, seed, labels[:, 2], learning, "spectrum", place=labels[:, 3].astype(int)
            )
        except PersistemError as error:  # the curves are drawn all the same
            return {True: [], False: []}, str(error)
        accuracy[kind] = [{key: row[key] for key in keys} for row in rows if row["foci"] in ("all", "in-focus")]
    return accuracy, None


def _separation(k: NDArray[Any], curves: dict[tuple[str, float, int], Any]) -> dict[str, Any]:
    """Rms difference of log10 curves that differ only in state, defocus or seed (None if there are no such curves).

    ``shape`` first removes the mean of each log10 curve, so the strength of the contrast does not count.
    """
    result: dict[str, Any] = {"unit": "rms difference of log10 intensity", "up_to_per_A": round(float(k[-1]), 4)}
    for name in ("intensity", "shape"):
        logs = {key: np.log10(np.maximum(curve, np.finfo(float).tiny)) for key, curve in curves.items()}
        if name == "shape":
            logs = {key: curve - curve.mean() for key, curve in logs.items()}
        differences: dict[str, list[float]] = {"states": [], "defoci": [], "seeds": []}
        for one, other in combinations(logs, 2):
            different = [n for n, a, b in zip(differences, one, other, strict=True) if a != b]
            if len(different) == 1:
                differences[different[0]].append(float(np.sqrt(np.mean((logs[one] - logs[other]) ** 2))))
        result[name] = {n: round(float(np.mean(v)), 4) if v else None for n, v in differences.items()}
    return result


def _caption_of(separation: dict[str, Any]) -> str:
    differences = {n: v for n, v in separation["intensity"].items() if v is not None}
    if not differences:
        return ""
    return (
        " Curves that differ in one thing only differ by a factor (rms) of "
        + ", ".join(f"{10**v:.2f} between {n}" for n, v in differences.items())
        + "."
    )


def _mean(curves: dict[tuple[str, float, int], Any], state: str, defocus: float) -> tuple[Any, Any, Any] | None:
    """Mean over seeds, and the lowest and highest."""
    of_state = [curve for (s, d, _), curve in curves.items() if s == state and d == defocus]
    return (np.mean(of_state, axis=0), np.min(of_state, axis=0), np.max(of_state, axis=0)) if of_state else None


def _line(states: list[str], state: str) -> Any:
    return "-" if state == states[-1] else DASHES[states.index(state) % len(DASHES)]


def _farthest(defoci: list[float], focus: float) -> list[float]:
    """The defocus nearest to focus, and those farthest from it on either side."""
    return sorted({defoci[0], min(defoci, key=lambda defocus: abs(defocus - focus)), defoci[-1]})


def _together(axes: Axes, k: Any, curves: Any, states: list[str], defoci: list[float], voltage: float) -> None:
    import matplotlib.pyplot as plt

    colours = plt.get_cmap("viridis")(np.linspace(0, 0.93, len(defoci)))
    for state in states:
        for defocus, colour in zip(defoci, colours, strict=True):
            if mean := _mean(curves, state, defocus):
                axes.plot(scattering_angle(k, voltage), mean[0], color=colour, ls=_line(states, state), lw=0.9)
    _frequency_axes(axes, k, curves, voltage)
    for defocus, colour in zip(defoci, colours, strict=True):
        axes.plot([], [], color=colour, label=signed(defocus))
    for state in states:
        axes.plot([], [], color="0.2", ls=_line(states, state), label=state)
    axes.legend(handlelength=2.4, labelspacing=0.25)


def _frequency_axes(axes: Axes, k: Any, curves: Any, voltage: float) -> None:
    """Scattering angle below, spatial frequency above."""
    everything = np.stack(list(curves.values()))
    high = everything.max()
    low = max(everything.min(), high * 1e-6)
    axes.set(yscale="log", ylim=(low / 1.6, high * 1.6), xlim=(0, float(scattering_angle(k[-1], voltage))))
    axes.set(xlabel="Scattering angle (mrad)", ylabel="Annular averaged intensity (Å²)")
    above = axes.secondary_xaxis(
        "top",
        functions=(
            lambda angle: 2 * np.sin(np.asarray(angle) / 2e3) / wavelength(voltage),
            lambda frequency: scattering_angle(frequency, voltage),
        ),
    )
    above.set_xlabel("Spatial frequency (1/Å)")


def _apart(figure: Any, k: Any, curves: Any, states: list[str], defoci: list[float], rows: int, voltage: float) -> None:
    """A panel for each defocus with its own linear scale, to show differences between the states."""
    columns = min(COLUMNS, len(defoci))
    cells = list(figure.subplots(rows, columns, squeeze=False).ravel())
    angle = scattering_angle(k, voltage)
    for axes, defocus in zip(cells, defoci, strict=False):
        for label, state in enumerate(states):
            if mean := _mean(curves, state, defocus):
                colour = COLOURS[label % len(COLOURS)]
                axes.plot(angle, mean[0] * 1e3, color=colour, ls=_line(states, state), label=state, lw=0.9)
                axes.fill_between(angle, mean[1] * 1e3, mean[2] * 1e3, color=colour, alpha=0.25, lw=0)
        axes.set(xlim=(0, angle[-1]), ylim=(0, None))
        axes.locator_params(axis="y", nbins=4)
        axes.text(0.95, 0.93, signed(defocus), transform=axes.transAxes, ha="right", va="top")
    for axes in cells[len(defoci) :]:
        axes.set_axis_off()
    handles, names = cells[0].get_legend_handles_labels()
    if len(defoci) < len(cells):
        cells[-1].legend(handles, names, loc="center")
    else:
        cells[0].legend(handles, names, loc="center right", handlelength=1.6)
    figure.supxlabel("Scattering angle (mrad)")
    figure.supylabel("Intensity (10⁻³ Å²)")
    lettered(cells[0], "c")


def _bars(axes: Axes, accuracy: dict[bool, list[dict[str, Any]]], n_states: int, reason: str | None) -> None:
    """Accuracy over all foci: model and kind of crop along x, a colour for each split."""
    shown = [(kind, row) for kind, rows in accuracy.items() for row in rows if row["foci"] == "all"]
    shown = [(kind, row) for kind, row in shown if row["training"] == "pooled"]
    if reason is not None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, fill(f"Not trained: {reason}", 36), ha="center", va="center", transform=axes.transAxes)
        return
    groups = list(dict.fromkeys((kind, row["model"]) for kind, row in shown))
    for n, (split, (name, colour, _)) in enumerate(SPLITS.items()):
        for kind, row in (s for s in shown if s[1]["split"] == split):
            x = groups.index((kind, row["model"])) + 0.2 * (n - 0.5)
            ends = [row["accuracy"] if row[end] is None else row[end] for end in ("ci_low", "ci_high")]
            spread = np.abs(np.array(ends)[:, None] - row["accuracy"])
            axes.errorbar(x, row["accuracy"], spread, fmt="o", color=colour, ms=4, capsize=2, label=name)
    axes.axhline(1 / n_states, color="0.5", lw=0.7, ls=":")
    axes.annotate("chance", (0.02, 1 / n_states), (0, 2), ("axes fraction", "data"), "offset points")
    axes.set_xticks(range(len(groups)), [f"{model}\n{KINDS[kind].replace(' ', chr(10))}" for kind, model in groups])
    axes.set(ylabel="Accuracy, all foci", xlim=(-0.6, len(groups) - 0.4), ylim=(min(0.45, 0.9 / n_states), 1))
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    # above the axes: intervals of few crops reach everywhere inside them
    axes.legend(unique.values(), unique.keys(), title="test crops", loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
