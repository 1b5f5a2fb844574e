"""The page of an exploration: one HTML file, opened without network, with what was found in words."""

from __future__ import annotations

import io
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.exploring.explore import NOT_STATES
from persistem.maps.overlay import HATCHING, STRONGEST
from persistem.maps.page import picture
from persistem.report.figures.drawing import COLOURS, PAGE, SEQUENTIAL, style
from persistem.report.page import inline_script, template
from persistem.report.page.pictures import data_url
from persistem.store.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from persistem.exploring.explore import Exploration
    from persistem.exploring.profiles import Profiles
    from persistem.maps.mapping import Map
    from persistem.reading import Image

#: Longest side of a micrograph on the page, pixels; and dots per inch of its figures.
SHOWN, DPI = 1400, 130
#: So much brighter, or of so much more contrast than its image is a cluster of which that is said, SD.
MUCH = 0.3
#: Two clusters of which this share of windows would be mixed up are hardly two; below ``CLEAR`` they are clearly two.
HARDLY, CLEAR = 0.1, 0.01
#: What tells two clusters apart by itself: an area under the curve.
TOLD = 0.95

SCRIPT = """
for (const slider of document.querySelectorAll("input[type=range]")) {
  const show = () => { for (const map of document.querySelectorAll(".over")) map.style.opacity = slider.value / 100; };
  slider.addEventListener("input", show);
  show();
}
document.body.classList.add("moving");
"""


def write_page(found: Exploration, names: list[str], out: Path) -> None:
    """Write the page of an exploration whose images have these names. The same exploration gives the same bytes."""
    facts = found.facts
    clusters = [
        cluster
        | {
            "colour": COLOURS[k],
            "says": of_cluster(cluster),
            "patches": [_grey(patch) for patch in found.patches[k]],
            "figure": _figure(found.profiles, k),
        }
        for k, cluster in enumerate(facts["clusters"])
    ]
    shown = [
        {
            "name": name,
            "picture": data_url(_micrograph(image), "jpeg"),
            "map": data_url(_over(map)),
            "place": _place(map, image),
            "says": _shares(map),
            "field": [side * (image.pixel_size or 0) / 10 for side in image.pixels.shape[::-1]],
        }
        for image, map, name in zip(found.images, found.maps, names, strict=True)
    ]
    text = template("explore.html", "persistem.exploring").render(
        title=titled(names),
        facts=facts,
        lines=[line for line in in_words(facts) if line != NOT_STATES],
        clusters=clusters,
        names=names,
        shown=shown,
        pairs=[pair | {"says": of_pair(pair), "percent": _percent(pair["mixed_up"])} for pair in facts["pairs"]],
        bic=_bic(facts["number"]),
        opacity=round(100 * STRONGEST),
        style="".join(
            (files("persistem") / path).read_text("utf-8") for path in ("report/page/page.css", "exploring/explore.css")
        ),
        script=inline_script(SCRIPT),
    )
    with atomic(out) as part:
        part.write_text(text, "utf-8")


def titled(names: list[str]) -> str:
    """A few names, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def in_words(facts: dict[str, Any]) -> list[str]:
    """What an exploration found, in lines, as a terminal shows them."""
    lines = [NOT_STATES, facts["number"]["says"]]
    if len(facts["clusters"]) > 1:
        lines += [f"{cluster['name']}: {of_cluster(cluster)}" for cluster in facts["clusters"]]
        clear = [pair["mixed_up"] < CLEAR and any(pair["alone"].values()) for pair in facts["pairs"]]
        lines += [of_pair(pair) for pair, told in zip(facts["pairs"], clear, strict=True) if not told]
        if all(clear):
            lines.append(f"Any two clusters would mix up less than {100 * CLEAR:g} % of their windows.")
    return lines


def of_cluster(cluster: dict[str, Any]) -> str:
    """A cluster in a sentence: its share, how it differs from its images, its pairs."""
    differs = [
        f"{more if value > 0 else less} ({value:+.1f} SD)".replace("-", "\N{MINUS SIGN}")
        for name, more, less in (
            ("brightness_SD", "brighter", "darker"),
            ("contrast_SD", "of more contrast", "of less contrast"),
        )
        if (value := cluster[name]) is not None and abs(value) >= MUCH
    ]
    relative = f", {' and '.join(differs)} than the image on average" if differs else ""
    lived = cluster["mean_lifetime_SD"]
    lasting = "" if lived is None else f" that last {lived:.2f} SD on average"
    share, density = 100 * cluster["share"], cluster["pairs_per_nm2"]
    return f"{share:.0f} % of the windows{relative}; {density:.1f} pairs per nm²{lasting}."


def of_pair(pair: dict[str, Any]) -> str:
    """How alike two clusters are, in a sentence, and what tells them apart by itself."""
    a, b = pair["clusters"]
    mixed = pair["mixed_up"]
    how = "hardly two groups" if mixed >= HARDLY else "clearly two groups" if mixed < CLEAR else "two groups that touch"
    alone = {name: value for name, value in pair["alone"].items() if value is not None}
    told = [name for name, value in alone.items() if value >= TOLD]
    if not alone:
        return f"{a} and {b}: one of them has too few windows to be compared."
    if told:
        by = f"{_listed(told)} alone {'tells' if len(told) == 1 else 'tell'} them apart"
        by = by.replace(" alone", " each alone") if len(told) > 1 else by
    else:
        by = "no one measure alone tells them apart"
    return f"{a} and {b} are {how} ({_percent(mixed)} mixed up); {by}."


def _percent(share: float) -> str:
    return "under 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _shares(map: Map) -> str:
    return ", ".join(
        f"{name} {100 * share:.0f} %" for name, share in map.shares.items() if share or name != "abstained"
    )


def _bic(number: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each number of clusters that was tried: BIC above the least."""
    tried = {int(count): value for count, value in number["bic"].items()}
    least = min(tried.values(), default=0.0)
    return [
        {"clusters": count, "bic": value, "above": value - least, "chosen": count == number["chosen"]}
        for count, value in tried.items()
    ]


def _micrograph(image: Image) -> bytes:
    assert image.pixel_size is not None
    finest = image.pixel_size * -(-max(image.pixels.shape) // SHOWN)
    return picture(image, finest)[0]


def _over(map: Map) -> bytes:
    """The map as PNG, a pixel to a window: the colour of its cluster, the more opaque the surer; grey without one."""
    import cv2
    from matplotlib.colors import to_rgb

    count = len(map.states)
    colours = np.array([to_rgb(COLOURS[k]) for k in range(count)])
    sure = (count * map.confidence - 1) / max(count - 1, 1)
    colour = np.where(map.abstain[..., None], HATCHING[0], colours[map.state])
    opacity = np.where(map.abstain, 1.0, sure.clip(0, 1))
    layers = np.concatenate([colour[..., ::-1], opacity[..., None]], axis=-1)
    _, png = cv2.imencode(".png", np.rint(255 * layers).astype(np.uint8))
    return bytes(png)


def _place(map: Map, image: Image) -> dict[str, float]:
    """Where on its micrograph a map lies, in percent of the micrograph's sides."""
    assert image.pixel_size is not None
    place: dict[str, float] = {}
    for near, far, origin, windows, pixels in zip(
        ("top", "left"), ("height", "width"), map.origin, map.abstain.shape, image.pixels.shape, strict=True
    ):
        side = pixels * image.pixel_size
        place |= {near: 100 * (origin - map.step / 2) / side, far: 100 * windows * map.step / side}
    return place


def _grey(patch: NDArray[np.uint8]) -> str:
    import cv2

    return data_url(bytes(cv2.imencode(".png", patch)[1]))


def _figure(profiles: Profiles, k: int) -> str:
    """The mean diagram, the lifetimes and the spectrum of a cluster, beside those of all windows."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    with style():
        figure, (diagram, lifetimes, spectrum) = plt.subplots(1, 3, figsize=(PAGE, 2.25))
        all_pairs = profiles.diagram[:-1]
        most, ends = float(all_pairs.max()) or 1.0, profiles.edges[[0, -1]]
        shown = diagram.pcolormesh(
            profiles.edges,
            profiles.edges,
            np.ma.masked_equal(profiles.diagram[k].T, 0),
            norm=LogNorm(most / 1000, most, clip=True),
            cmap=SEQUENTIAL,
            rasterized=True,
        )
        diagram.plot(ends, ends, color="0.6", linewidth=0.6)
        diagram.set(xlabel="birth (SD)", ylabel="death (SD)", title="Mean persistence diagram", aspect="equal")
        figure.colorbar(shown, ax=diagram, label="pairs per nm²")
        width = profiles.steps[1] - profiles.steps[0]
        for degree, (name, dashes) in enumerate((("islands", "-"), ("rings", (0, (3, 1.5))))):
            for row, colour, what in ((-1, "0.65", "all: "), (k, COLOURS[k], "")):
                counted = profiles.lifetimes[row, degree] / width
                lifetimes.stairs(counted, profiles.steps, color=colour, linestyle=dashes, label=f"{what}{name}")
        lowest = profiles.lifetimes[:-1].max() / width / 3000 or 1e-6
        lifetimes.set(xlabel="lifetime (SD)", ylabel="pairs per nm² and SD", yscale="log", title="Lifetimes")
        lifetimes.set_ylim(bottom=lowest)
        lifetimes.legend()
        mean, scatter = profiles.spectrum[k] / np.log(10), profiles.scatter[k] / np.log(10)
        spectrum.plot(profiles.frequency, profiles.spectrum[-1] / np.log(10), color="0.65", label="all windows")
        spectrum.fill_between(profiles.frequency, mean - scatter, mean + scatter, color=COLOURS[k], alpha=0.2, lw=0)
        spectrum.plot(profiles.frequency, mean, color=COLOURS[k], label="this cluster")
        spectrum.set(xlabel="spatial frequency (1/Å)", ylabel="log₁₀ of power / variance", title="Annular spectrum")
        spectrum.legend()
        return _png(figure)


def _png(figure: Figure) -> str:
    import matplotlib.pyplot as plt

    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return data_url(data.getvalue())
