"""Damaged micrographs: each is read, or refused in one sentence; never a traceback, a hang or memory without end."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.reading import read
from test_reading import STACK, WRITTEN, write_imagej, write_mrc, write_ser, write_velox

#: Files that are damaged: one of each format, and stacks.
SEEDS = {name: write for name, (write, *_) in WRITTEN.items() if name != "film.h5"} | {
    "stack.mrc": lambda path: write_mrc(path, STACK),
    "stack.emd": lambda path: write_velox(path, STACK),
    "stack_1.ser": lambda path: write_ser(path, STACK),
    "stack.tif": lambda path: write_imagej(path, STACK),
}
EACH = 60  # damaged files of every seed
MEMORY = 2**30  # bytes that may be added to what the process has
SECONDS = 5.0  # for one file of some kB; reading takes milliseconds
#: Lengths and counts that a header may claim.
CLAIMS = (0, 1, 0x7F, 0xFF, 60000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**40, 2**63 - 1)


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """An address space with room for ``MEMORY`` more: an allocation by a false header fails here and elsewhere."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def damaged(whole: bytes, random: np.random.Generator) -> bytes:
    """A copy with a few bits flipped, cut, a stretch zeroed, a length replaced, or two stretches swapped.

    Half of the damage is done to the first kB, where most formats have their header.
    """
    data = bytearray(whole)
    reach = len(data) if random.random() < 0.5 else min(len(data), 1024)
    kind = random.integers(6)
    if kind == 0:
        for at in random.integers(reach, size=random.integers(1, 20)):
            data[at] ^= 1 << int(random.integers(8))
    elif kind == 1:
        del data[int(random.integers(reach)) :]
    elif kind == 2:
        at = int(random.integers(reach))
        stretch = data[at : at + int(random.integers(1, 200))]
        data[at : at + len(stretch)] = bytes(len(stretch))
    elif kind in (3, 4):
        width = int(random.choice([2, 4, 8]))
        for at in random.integers(max(1, reach - width), size=random.integers(1, 4)):
            claim = int(random.choice(np.array(CLAIMS, dtype=object))) % 256**width
            data[at : at + width] = claim.to_bytes(width, "little" if random.random() < 0.5 else "big")
    else:
        width = int(random.choice([2, 4, 8]))
        one, other = (int(at) // width * width for at in random.integers(max(1, reach - width), size=2))
        data[one : one + width], data[other : other + width] = data[other : other + width], data[one : one + width]
    return bytes(data)


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_are_read_or_refused(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    SEEDS[name](path)
    whole = path.read_bytes()
    random = np.random.default_rng(sorted(SEEDS).index(name))
    refused = 0
    for _ in range(EACH):
        path.unlink()  # not overwritten: a memmap of the file before may be alive
        path.write_bytes(damaged(whole, random))
        start = time.monotonic()
        try:
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
        assert time.monotonic() - start < SECONDS
    assert refused > 5, "damage that is hardly ever seen is no test"
    assert capfd.readouterr() == ("", "")


def test_enough_files_are_damaged() -> None:
    assert EACH * len(SEEDS) >= 500
