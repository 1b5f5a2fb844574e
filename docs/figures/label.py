"""Take the pictures of docs/label.md, strokes on a real micrograph and its map.

    .venv/bin/python docs/figures/label.py

It opens the page of `persistem label` in Chromium, paints what a microscopist would, and trains. The micrograph is
PtCo3.jpg of ArdaGen/STEM-Automated-Nanoparticle-Analysis-YOLOv8-SAM (MIT); it is not part of this repository.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MICROGRAPH = Path(__file__).parents[3] / "shared/data/labelled/carbon/images/PtCo3.jpg"
PIXEL_SIZE = 0.5  # Å, from lattice peaks in its spectrum
WIDTH, HEIGHT, SHOWN = 1440, 900, 1000
#: Strokes of each state, in pixels of the micrograph; three and three and six. Of particles all but the first, on a
#: large one, are by a smaller brush.
STROKES = {
    "vacuum": [[(60, 80), (180, 60)], [(450, 50), (570, 60)], [(295, 105), (318, 165)]],
    "carbon": [[(150, 150), (225, 165)], [(480, 160), (540, 140)], [(575, 320), (590, 370)]],
    "particle": [
        [(112, 492), (142, 497)],
        [(185, 220), (200, 225)],
        [(515, 245), (525, 250)],
        [(100, 375), (118, 372)],
        [(290, 420), (294, 440)],
        [(606, 405), (612, 408)],
    ],
}


def main(folder: Path) -> None:
    """Write label-paint.png and label-map.png into a folder."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as out, sync_playwright() as playwright:
        command = [sys.executable, "-m", "persistem", "label", str(MICROGRAPH.resolve()), "--out", "grid-1"]
        command += ["--no-browser", "--pixel-size", str(PIXEL_SIZE)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=out)
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(address)
            page.wait_for_selector("body[data-ready]")
            page.wait_for_timeout(1500)
            for number, name in enumerate(STROKES):
                if number > 1:
                    page.click("#add")
                page.locator(".label-name").nth(number).fill(name)
                page.keyboard.press("Enter")
                page.wait_for_timeout(300)
            for number, strokes in enumerate(STROKES.values()):
                page.keyboard.press(str(number + 1))
                for count, stroke in enumerate(strokes):
                    if number == 2 and count == 1:
                        for _ in range(4):
                            page.keyboard.press("[")
                    _paint(page, stroke)
            page.wait_for_timeout(1500)
            _shoot(page, folder / "label-paint.png")
            page.keyboard.press("t")
            page.wait_for_selector("#map-part:not([hidden])", timeout=120_000)
            page.wait_for_timeout(1500)
            page.mouse.move(*_at(page, 340, 380))
            page.wait_for_timeout(500)
            _shoot(page, folder / "label-map.png")
        finally:
            browser.close()
            server.terminate()
            server.wait()


def _at(page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the micrograph is on the screen."""
    box, view = page.locator("#hand").bounding_box(), page.evaluate("persistem.view")
    return box["x"] + (x - view["x"]) * view["scale"], box["y"] + (y - view["y"]) * view["scale"]


def _paint(page, points: list[tuple[float, float]]) -> None:
    page.mouse.move(*_at(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*_at(page, *point), steps=8)
    page.mouse.up()
    page.wait_for_timeout(150)


def _shoot(page, out: Path) -> None:
    """A screenshot, reduced to ``SHOWN`` pixels and 256 colours."""
    import io

    from PIL import Image

    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    small = picture.resize((SHOWN, round(SHOWN * picture.height / picture.width)), Image.Resampling.LANCZOS)
    small.quantize(256).save(out, optimize=True)


if __name__ == "__main__":
    main(Path(__file__).parent)
