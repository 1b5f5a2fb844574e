"""Labelled real micrographs against a forest of pixels, and what decides: writes docs/real-micrographs.md.

Images, masks and boxes are of others and not part of the repository; they are looked for in shared/data beside or above
it, or in $PERSISTEM_DATA. A part whose data are absent is left out, which is said. Numbers of parts that are not run
again stay as docs/real-micrographs.json has them. Everything but times is the same in every run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy: sums of several threads differ in their last digits

ROOT = Path(__file__).resolve().parents[1]
JSON = "real-micrographs.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the record is written (docs)")
    options = parser.parse_args()
    import real_data

    if real_data.data() is None:
        sys.exit("no data: shared/data/labelled is neither beside nor above the repository; nothing was measured")
    file = options.docs / JSON
    measured: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for part in options.only or PARTS:
        needs = [path for path in NEEDS[part]() if not path.exists()]
        if needs:
            print(f"{part}: left out, {needs[0]} is absent", flush=True)
            continue
        start, cpu = time.perf_counter(), time.process_time()
        found = PARTS[part](options.docs / "figures")
        spent = {"date": time.strftime("%Y-%m-%d"), "cpu_s": round(time.process_time() - cpu)}
        measured[part] = found | spent
        print(f"{part}: {time.perf_counter() - start:.0f} s, CPU {spent['cpu_s']} s", flush=True)
        write(options.docs, measured)


def write(docs: Path, measured: dict[str, Any]) -> None:
    """The record, in JSON and in Markdown, of the parts in their order."""
    from real_record import record

    ordered = {part: rounded(measured[part]) for part in PARTS if part in measured}
    (docs / JSON).write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    (docs / "real-micrographs.md").write_text(record(ordered))


def rounded(value: Any) -> Any:
    """The same with all numbers to five decimals."""
    if isinstance(value, dict):
        return {str(key): rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return round(float(value), 5) if hasattr(value, "__float__") and not isinstance(value, int | str) else value


def regions(_: Path) -> dict[str, Any]:
    import numpy as np
    import real_data as data

    found = {}
    for name in data.CARBON:
        first, second = (data.certain(data.regions(which)[name]) for which in data.SETS)
        shares = {
            which: [float(np.mean(labels == k)) for k in (1, 2, 3)]
            for which, labels in zip(data.SETS, (first, second), strict=True)
        }
        found[name] = data.agreement(first, second) | {"share": shares}
    return {"images": found}


def blind(_: Path) -> dict[str, Any]:
    import numpy as np
    import real_blind
    import real_data as data
    import real_maps
    from persistem.labelled import blind as wing

    images = {k: (image.pixels, mask) for k in range(10) for image, mask in [data.particles(k)]}
    found: dict[str, Any] = {}
    for name, treat in (("as they are", None), ("noise equalised", wing.equalised)):
        windows = real_blind.gather(images, treat=treat)
        X = wing.described(windows.pixels, real_maps.SETTINGS["particles"][0], real_blind.BLOCKS)
        X[real_blind.OCTAVE_MOMENTS] = real_blind.octave_moments(windows.pixels.astype(float))
        noise = wing.noise_share(windows.pixels.astype(float))
        share = {k: real_blind.auc(windows.y[windows.image == k], noise[windows.image == k]) for k in images}
        found[name] = {"noise alone": share, "windows": len(windows.y), "rows": blind_rows(X, windows)}
    found["control"] = real_blind.planted_control()
    found["noise"] = {"from_per_px": wing.NOISE, "share": float(np.mean(noise))}
    return found


def blind_rows(X: dict[str, Any], windows: Any) -> dict[str, Any]:
    """Every row over the folds, and from one image; and what persistence adds to the rest, over images."""
    import numpy as np
    import real_blind
    from persistem.learning.intervals import change
    from persistem.study.mapping import LABELLED_C

    across, one = {}, {}
    for name, blocks in real_blind.rows().items():
        across[name] = real_blind.across(X, windows.y, windows.image, blocks)
        one[name] = real_blind.from_one(X, windows.y, windows.image, blocks, LABELLED_C[0])
    names = list(across["all"])
    by_image = {
        name: {k: float(np.mean([of[k] for of in values.values() if k in of])) for k in names}
        for name, values in one.items()
    }
    adds = {
        to: {
            "folds": change([across[whole][k] - across[rest][k] for k in names])._asdict(),
            "one": change([by_image[whole][k] - by_image[rest][k] for k in names])._asdict(),
        }
        for to, (whole, rest) in real_blind.ADDS.items()
    }
    worst = {name: min(v for of in values.values() for v in of.values()) for name, values in one.items()}
    return {"folds": across, "one": by_image, "one_worst": worst, "adds": adds}


#: How many images train: which ones, each time.
CHOICES = {
    "1": [[k] for k in (0, 4, 8, 12, 16)],
    "5": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [0, 4, 8, 12, 16], [1, 5, 9, 13, 17]],
    "10": [list(range(10)), list(range(10, 20))],
}


def particles(figures: Path) -> dict[str, Any]:
    import numpy as np
    import real_data as data
    import real_maps as maps
    from real_pictures import particles_picture

    of = {k: maps.of_particles(k) for k in range(data.COUNT)}
    labelled = {k: maps.labelled(d, mask.astype(np.uint8) + 1, str(k)) for k, (d, mask) in of.items()}
    found: dict[str, Any] = {}
    rows: dict[str, dict[str, Any]] = {}
    shown: dict[str, Any] = {}

    def add(count: str, row: str, image: int, probability: Any, **more: float) -> None:
        mask = of[image][1]
        both = np.stack([1 - probability, probability], axis=-1).reshape(-1, 2)
        score = {
            "image": image,
            "iou": maps.iou(probability > 0.5, mask),
            "auc": maps.window_auc(probability, mask),
            "ece": maps.calibration(both, mask.ravel().astype(int)),
        }
        rows.setdefault(count, {}).setdefault(row, []).append(score | more)

    for count, choices in CHOICES.items():
        for train in choices:
            test = [k for k in of if k not in train]
            known = [labelled[k] for k in train]
            trained = maps.model(known, ["film", "particle"], "particles")
            for k in test:
                judged = maps.judged(of[k][0], trained)
                at = maps.at_pixels(judged.probability, of[k][0], of[k][1].shape)[..., 1]
                add(count, "PersisTEM", k, at, abstained=float(judged.abstained.mean()))
                if train == [0] and k == 11:
                    shown["ours"] = at, judged.abstained
            for row, blocks in maps.BESIDE.items():
                for k, p in zip(test, maps.linear(known, blocks, [of[k][0] for k in test]), strict=True):
                    add(count, row, k, maps.at_pixels(p, of[k][0], of[k][1].shape)[..., 1])
    for row, how in maps.PREPARED.items():
        features = {k: maps.pixel_features(data.particles(k)[0].pixels, how) for k in of}
        for count, choices in CHOICES.items():
            for train in choices:
                masks = [of[k][1].astype(np.uint8) + 1 for k in train]
                drawn = maps.drawn_pixels(masks, np.random.default_rng(0), even=False)
                length = features[0].shape[-1]
                X = np.concatenate([features[k].reshape(-1, length)[d] for k, d in zip(train, drawn, strict=True)])
                y = np.concatenate([mask.ravel()[d] for mask, d in zip(masks, drawn, strict=True)])
                forest = maps.forest(X, y)
                for k in (k for k in of if k not in train):
                    p = forest.predict_proba(features[k].reshape(-1, length))[:, 1].reshape(of[k][1].shape)
                    add(count, row, k, p)
                    if train == [0] and k == 11:
                        shown[how] = p
    for count, choices in CHOICES.items():
        for train in choices:
            for k in (k for k in of if k not in train):
                add(count, "brightness alone, Otsu", k, maps.otsu(data.particles(k)[0].pixels, 2).astype(float))
    found["rows"] = {count: {row: summed(values) for row, values in of_rows.items()} for count, of_rows in rows.items()}
    found["against"] = {
        count: {row: paired(of_rows["PersisTEM"], of_rows[row]) for row in maps.PREPARED}
        for count, of_rows in rows.items()
    }
    particles_picture(figures / "real-particles.png", data.particles(11), shown)
    return found


def summed(values: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and the worst over all choices and images."""
    import numpy as np

    found: dict[str, Any] = {"maps": len(values)}
    for key in values[0]:
        if key != "image":
            numbers = [value[key] for value in values]
            worst = max(numbers) if key in ("ece", "abstained") else min(numbers)
            found[key] = {"mean": float(np.mean(numbers)), "worst": float(worst)}
    return found


def paired(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, Any]:
    """Our IoU less theirs, by image (mean over choices), with its interval over images; and that of AUC."""
    import numpy as np
    from persistem.learning.intervals import change

    found = {}
    for key in ("iou", "auc"):
        means = [
            {k: np.mean([v[key] for v in values if v["image"] == k]) for k in {v["image"] for v in values}}
            for values in (ours, theirs)
        ]
        found[key] = change([means[0][k] - means[1][k] for k in sorted(means[0])])._asdict()
    return found


def carbon(figures: Path) -> dict[str, Any]:
    import real_carbon
    from real_pictures import sessions_picture, strokes_picture

    strokes, drawn = real_carbon.within()
    sessions, maps = real_carbon.across()
    strokes_picture(figures / "real-strokes.png", drawn)
    sessions_picture(figures / "real-sessions.png", maps)
    return {"strokes": strokes, "sessions": sessions}


def domain(figures: Path) -> dict[str, Any]:
    import real_carbon
    from real_pictures import soot_picture

    found, soot = real_carbon.strangers()
    soot_picture(figures / "real-soot.png", soot)
    return found


def times(_: Path) -> dict[str, Any]:
    import real_carbon

    return real_carbon.times()


def needs(*names: str) -> Callable[[], list[Path]]:
    """The files of groups of images."""

    def files() -> list[Path]:
        import real_data as data

        folder = data.present()
        found = {
            "particles": [data.particles_path(k) for k in range(data.COUNT)],
            "carbon": [data.carbon_path(name) for name in data.CARBON],
            "strangers": [folder / one.path for one in data.STRANGERS.values()],
        }
        return [path for name in names for path in found[name]]

    return files


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "regions": regions,
    "blind": blind,
    "particles": particles,
    "carbon": carbon,
    "domain": domain,
    "times": times,
}
NEEDS = {
    "regions": needs(),
    "blind": needs("particles"),
    "particles": needs("particles"),
    "carbon": needs("carbon"),
    "domain": needs("particles", "carbon", "strangers"),
    "times": needs("carbon"),
}

if __name__ == "__main__":
    main()
