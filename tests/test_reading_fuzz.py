"""Damaged micrographs: each is read, or refused in one sentence; never a traceback, a hang or memory without end."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.reading import read
from support.hostile import COUNT, limits, watched
from support.micrographs import SEEDS, damaged

EACH = -(-COUNT // len(SEEDS)) or 27  # damaged files of every seed
MEMORY = 2**30  # bytes that may be added to what the process has
SECONDS = 5.0  # of the processor for one file of some kB; reading takes milliseconds


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """An address space with room for ``MEMORY`` more: an allocation by a false header fails here and elsewhere."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_are_read_or_refused(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    path = tmp_path / name
    SEEDS[name](path)
    whole = path.read_bytes()
    random = np.random.default_rng(sorted(SEEDS).index(name))
    refused = 0
    for _ in range(EACH):
        path.unlink()  # not overwritten: a memmap of the file before may be alive
        path.write_bytes(damaged(whole, random))
        start = time.process_time()
        try:
            with limits(), watched(tmp_path):
                images = read(path)
        except PersistemError as error:
            refused += 1
            sentence = str(error)
            assert str(path) in sentence and "\n" not in sentence and len(sentence) < len(str(path)) + 400
        else:
            assert images
            for image in images:
                assert image.pixels.ndim == 2 and np.isfinite(image.pixels).all()
                assert image.pixel_size is None or 1e-3 <= image.pixel_size <= 1e6
        assert time.process_time() - start < SECONDS
    assert refused > EACH // 12, "damage that is hardly ever seen is no test"
    assert capfd.readouterr() == ("", "")


def test_enough_files_are_damaged() -> None:
    assert EACH * len(SEEDS) >= 500
