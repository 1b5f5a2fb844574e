"""`persistem map` on whatever comes: damaged files of every format and all that is no micrograph.

Damaged files are mapped by a process of its own, as a user's are; the rest by the function that it calls.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from persistem.commands.cli import main
from support.micrographs import SEEDS, damaged, write_mrc
from support.models import blobs

OPTIONS = ["--pixel-size", "0.2", "--voltage", "200", "--defocus", "0"]
#: Damaged copies of every kind of file.
COPIES = 2


def mapped(images: list[Path], bundle: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "persistem", "map", *map(str, images), "--model", str(bundle), "--out", str(out)]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=600)


@pytest.fixture
def mapped_here(capsys):
    """As ``mapped``, in this process."""

    def run(images: list[Path], bundle: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        command = ["map", *map(str, images), "--model", str(bundle), "--out", str(out), *options]
        status = main(command)
        return subprocess.CompletedProcess(command, status, *capsys.readouterr())

    return run


def whole(folder: Path) -> bool:
    """Whether a folder is a map with all its files."""
    files = {path.name for path in folder.iterdir()}
    return files == {"map.tif", "map.hspy", "map.html", "overlay.png", "regions.csv", "map.json"}


def sentences(result: subprocess.CompletedProcess[str]) -> list[str]:
    """What was said, line by line; warnings apart."""
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("persistem: warning: ")]
    assert all(line.startswith("persistem: ") and len(line) < 600 for line in lines), result.stderr
    return lines


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A micrograph that the model can judge."""
    path = tmp_path_factory.mktemp("good") / "good.tif"
    tifffile.imwrite(path, (1000 * blobs(2.6, np.random.default_rng(5))).astype(np.uint16))
    return path


@pytest.mark.slow
def test_damaged_files_in_a_batch_do_not_keep_the_good_one(written, good, tmp_path):
    random = np.random.default_rng(3)
    images = []
    for name, write in SEEDS.items():
        write(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        for copy in range(COPIES):
            stem, dot, suffix = name.rpartition(".")
            # of the number of a SER file its reader makes something
            damage = tmp_path / f"{copy}-{stem}{dot}{suffix}"
            damage.write_bytes(damaged(content, random))
            images.append(damage)
    assert len(images) >= 20
    out = tmp_path / "maps"
    result = mapped([*images, good], written, out, *OPTIONS)
    said = sentences(result)
    # the test's files are smaller than a window: read or not, none of them can be mapped, and each is said once
    assert result.returncode == 1 and len(said) >= len(images)
    assert all(any(str(image) in line for line in said) for image in images)
    assert [path.name for path in out.iterdir()] == ["good"] and whole(out / "good")
    assert result.stdout.count("\n") == 1 and "good: " in result.stdout


def bad_files(folder: Path) -> dict[str, Path]:
    """What is no micrograph, or none that the model can judge, by what has to be said of it."""
    grey = (1000 * blobs(2.6, np.random.default_rng(6))).astype(np.float32)
    nothing = np.full_like(grey, np.nan)
    files = {
        "TIFF": folder / "notes.tif",
        "colour": folder / "screenshot.tif",
        "finite": folder / "nan.tif",
        "constant": folder / "constant.tif",
        "16 rows and columns": folder / "one.tif",
        "no such file": folder / "absent.dm4",
        "empty": folder / "empty.mrc",
        "declares 60000": folder / "header.mrc",
    }
    files["TIFF"].write_text("Tuesday: the filament is old. " * 50)
    tifffile.imwrite(files["colour"], np.arange(64 * 64 * 3, dtype=np.uint16).reshape(64, 64, 3), photometric="rgb")
    tifffile.imwrite(files["finite"], nothing)
    tifffile.imwrite(files["constant"], np.full_like(grey, 7))
    tifffile.imwrite(files["16 rows and columns"], grey[:1, :1])
    files["empty"].write_bytes(b"")
    write_mrc(files["declares 60000"])
    header = bytearray(files["declares 60000"].read_bytes()[:1024])
    header[:8] = (60000).to_bytes(4, "little") * 2
    files["declares 60000"].write_bytes(header)
    return files


@pytest.mark.slow
def test_what_is_no_micrograph_is_said_and_leaves_nothing(written, mapped_here, tmp_path):
    files = bad_files(tmp_path)
    result = mapped_here([*files.values()], written, tmp_path / "maps", *OPTIONS)
    said = sentences(result)
    assert result.returncode == 1 and len(said) == len(files)
    for what, path in files.items():
        (line,) = [line for line in said if str(path) in line]
        assert what in line, line
    assert not list((tmp_path / "maps").glob("*")) if (tmp_path / "maps").exists() else True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give --pixel-size"),
        (["--pixel-size", "0.2", "--defocus", "0"], "give --voltage"),
        (["--pixel-size", "2.0", "--voltage", "200", "--defocus", "0"], "too coarse: the model needs 0.25 Å or finer"),
        (["--pixel-size", "0.2", "--voltage", "300", "--defocus", "0"], "the model is of 200 kV"),
        (["--pixel-size", "-1", "--voltage", "200", "--defocus", "0"], "positive"),
    ],
)
def test_what_is_missing_or_not_the_models_is_said(written, good, mapped_here, tmp_path, options, said):
    result = mapped_here([good], written, tmp_path / "maps", *options)
    (line,) = sentences(result)
    assert result.returncode == 1 and said in line
    assert not (tmp_path / "maps" / "good").exists()


@pytest.mark.slow
def test_a_bundle_that_was_tampered_with_maps_nothing(written, good, mapped_here, tmp_path):
    import shutil

    for name, change, said in (
        ("model.json", lambda text: text.replace('"format": 4', '"format": 99'), "format 99"),
        ("model.json", lambda text: text.replace("liquid", "gas"), "was changed"),
        ("card.json", lambda text: text + " ", "truncated or changed"),
    ):
        bundle = tmp_path / said.replace(" ", "-")
        shutil.copytree(written, bundle)
        (bundle / name).write_text(change((bundle / name).read_text()))
        (line,) = sentences(mapped_here([good], bundle, tmp_path / "maps", *OPTIONS))
        assert said in line
    assert not (tmp_path / "maps").exists()
    assert json.loads((written / "model.json").read_text())["format"] == 4
