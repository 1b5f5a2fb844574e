"""`persistem map` of a large micrograph, from the file to the folder: time and memory.

The micrograph is a simulated one of the model's microscope at the model's sampling, with the noise of a dose, laid side
by side with its mirror images until it is large enough; in a TIFF file. Memory in sum is the largest sum of
proportional shares (PSS) of all processes that was seen, five times a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from measure import opening, run, table
from windows import Memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="bundle folder, or a model that comes with the package")
    parser.add_argument("--micrograph", type=Path, required=True, help="micrograph of the workflow")
    parser.add_argument("--size", type=int, default=4096, help="side of the image, px (4096)")
    parser.add_argument("--dose", type=float, default=400.0, help="e/Å² (400)")
    parser.add_argument("--step", type=float, default=3.0, help="distance of the windows, Å (3)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sampling, voltage, window = image(options, folder / "large.tif")
        command = [sys.executable, "-m", "persistem", "map", folder / "large.tif", "--model", options.model]
        command += ["--out", folder / "maps", f"--step={options.step}", f"--jobs={options.jobs}"]
        command += [f"--pixel-size={sampling}", f"--voltage={voltage}", "--defocus=0"]
        memory = Memory()
        found = run(command, Path.cwd(), folder / "log", threads=1)
        in_sum = memory.stop()
        opens = opening(folder / "maps/large/map.html")
        sizes = {path.name: path.stat().st_size / 2**20 for path in sorted((folder / "maps" / "large").iterdir())}
    table(
        [
            ["image", "window Å", "wall s", "CPU s", "largest GiB", "in sum GiB"],
            [f"{options.size} x {options.size}", window, found.wall, found.cpu, found.peak, in_sum],
        ]
    )
    print(found.text.strip())
    print("MiB: " + ", ".join(f"{name} {size:.1f}" for name, size in sizes.items()))
    print(f"the page opens in {opens} s (median of 5)")
    print("target: 4096 x 4096 at 0.2 Å/px, windows of 12.5 Å, 3 Å apart: wall <= 180 s on 2 cores; < 2 GiB;")
    print("page <= 15 MB, opens in < 2 s")


def image(options: argparse.Namespace, out: Path) -> tuple[float, float, float]:
    """Write the image; sampling (Å) and voltage (kV) of the model, and the side of its windows (Å)."""
    import numpy as np
    import tifffile
    from persistem.descriptors.windows import resample
    from persistem.imaging.micrographs import read_micrograph
    from persistem.model import shipped
    from persistem.model.training import as_trained
    from persistem.study import ModelSettings

    model = shipped.load(options.model)
    intensity, about = read_micrograph(options.micrograph)
    asked = ModelSettings(windows=model.windows)
    tile = resample(*as_trained(intensity, about["pixel_size_A"], asked, None), asked.windows.sampling)
    tile = np.block([[tile, tile[:, ::-1]], [tile[::-1], tile[::-1, ::-1]]])
    count = -(-options.size // min(tile.shape))
    large = np.tile(tile, (count, count))[: options.size, : options.size]
    electrons = options.dose * model.windows.sampling**2
    counts = np.random.default_rng(0).poisson(large.clip(0) * electrons)
    tifffile.imwrite(out, counts.astype(np.uint16))
    return model.windows.sampling, model.voltage, model.windows.size


if __name__ == "__main__":
    main()
