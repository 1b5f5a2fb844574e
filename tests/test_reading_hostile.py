"""Micrographs that reach into other files, or unpack to more than they are: refused in one sentence, nothing read."""

from __future__ import annotations

import os
import resource
import stat
import struct
import tempfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from persistem.errors import PersistemError
from persistem.reading import hdf5_guard, pixels, read
from PIL import Image as Pillow
from support.hostile import limits, watched
from support.micrographs import PIXELS, write_hspy, write_mrc, write_ncem, write_ser, write_velox


@pytest.fixture(autouse=True)
def bounded(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with limits(), watched(tmp_path):
        yield


def refused(path: Path) -> str:
    with pytest.raises(PersistemError) as caught:
        read(path)
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence and sentence.isprintable()
    return sentence


@pytest.fixture
def secret(tmp_path):
    """The pixels and the text of another file, also as HDF5."""
    path = tmp_path / "secret"
    path.write_bytes(PIXELS.tobytes())
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["pixels"], file["text"] = PIXELS, "a secret"
        file["group/title"] = "a secret"
    return path


def external(group, name, secret, shape=PIXELS.shape, dtype="u2"):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_external(str(secret).encode(), 0, h5py.h5f.UNLIMITED)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(np.dtype(dtype)), space, plan, links)


def virtual(group, name, secret, shape=PIXELS.shape):
    layout = h5py.VirtualLayout(shape, "u2")
    layout[...] = h5py.VirtualSource(f"{secret}.h5", "pixels", PIXELS.shape)[tuple(slice(0, n) for n in shape)]
    group.create_virtual_dataset(name, layout)


def link(group, name, secret, there="pixels"):
    group[name] = h5py.ExternalLink(f"{secret}.h5", there)


#: How a file can refer to another: the image itself, metadata of any rank, whole groups, by a path through a link.
REFERENCES: dict[str, Callable[[h5py.File, str, Path], None]] = {
    "pixels, external storage": lambda file, at, secret: external(file, f"{at}/data", secret),
    "pixels, virtual": lambda file, at, secret: virtual(file, f"{at}/data", secret),
    "pixels, link": lambda file, at, secret: link(file, f"{at}/data", secret),
    "a line of metadata": lambda file, at, secret: external(file, f"{at}/note", secret, (64,), "u1"),
    "a scalar of metadata": lambda file, at, secret: external(file, f"{at}/note", secret, (), "S64"),
    "many dimensions": lambda file, at, secret: external(file, f"{at}/note", secret, (2, 2, 2, 2, 2), "u1"),
    "virtual metadata": lambda file, at, secret: virtual(file, f"{at}/note", secret, (2, 3)),
    "link to text": lambda file, at, secret: link(file, f"{at}/note", secret, "text"),
    "link to a group": lambda file, at, secret: link(file, f"{at}/more", secret, "group"),
    "soft link through a link": lambda file, at, secret: (
        link(file, "elsewhere", secret, "/"),
        file.__setitem__(f"{at}/note", h5py.SoftLink("/elsewhere/text")),
    ),
    "link to nowhere": lambda file, at, secret: link(file, f"{at}/note", secret.with_name("no such file")),
}
HDF5 = {
    "film.hspy": (write_hspy, "Experiments/film"),
    "velox.emd": (write_velox, "Data/Image/0123456789abcdef"),
    "berkeley.emd": (write_ncem, "data/film"),
}


@pytest.mark.parametrize("name", HDF5)
def test_hdf5_that_refers_to_another_file_is_refused(tmp_path, secret, name):
    write, at = HDF5[name]
    for kind, refer in REFERENCES.items():
        path = write(tmp_path / name)
        with h5py.File(path, "r+") as file:
            if kind.startswith("pixels"):
                where = "Data" if "velox" in name else "data"
                del file[f"{at}/{where}"]
            refer(file, at, secret)
        said = refused(path)
        assert "another file" in said and "a secret" not in said, kind
        path.unlink()


def test_a_link_within_the_file_is_followed(tmp_path):
    path = write_hspy(tmp_path / "film.hspy")
    with h5py.File(path, "r+") as file:
        file.move("Experiments/film/data", "pixels")
        file["Experiments/film/data"] = h5py.SoftLink("/pixels")
        file["dangling"] = h5py.SoftLink("/nothing")
    assert (read(path)[0].pixels == PIXELS).all()


def round_and_round(group):
    group["again"] = group


def doubled(group):
    for _ in range(40):
        below = group.create_group("a")
        group["b"], group = below, below


def deep(group):
    for _ in range(200):
        group = group.create_group("d")


def soft_round(group):
    group["again"] = h5py.SoftLink(group.name)


def attributes(group):
    for k in range(100):
        below = group.create_group(f"g{k}")
        for j in range(20):
            below.attrs[f"a{j}"] = np.zeros(6000)


def long_texts(group):
    data = group.create_dataset("texts", (20_000,), h5py.string_dtype(), chunks=(20_000,))
    data[0] = "x" * 2**20
    raw = data.id.read_direct_chunk((0,))[1]
    data.id.write_direct_chunk((0,), raw[:16] * 20_000)


def long_attribute(group):
    group.attrs.create("texts", np.array(["x" * 2**16] * 2000, dtype=object), dtype=h5py.string_dtype())


def one_dimension(group):
    group.create_dataset("line", (2**32,), "u1", chunks=(2**20,), compression="gzip")


def chunk_beyond(group):
    group.create_dataset("square", (2, 2), "u1", chunks=(40_000, 40_000), maxshape=(None, None), compression="gzip")


def overflowing(group):
    data = group.create_dataset("square", (16, 16), "u1", chunks=(16, 16), compression="gzip")
    data.id.write_direct_chunk((0, 0), zlib.compress(bytes(2**24)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (round_and_round, "groups that"),
        (doubled, "groups that"),
        (deep, "nested"),
        (soft_round, "groups that"),
        (attributes, "unpack"),
        (long_texts, "unpack"),
        (long_attribute, "unpack"),
        (one_dimension, "more than 64 times"),
        (chunk_beyond, "more than 64 times"),
        (overflowing, "unpacks to more"),
    ],
)
@pytest.mark.parametrize("name", ["film.hspy", "berkeley.emd"])
def test_hdf5_that_grows_when_it_is_read_is_refused(tmp_path, name, make, said, monkeypatch):
    for limit, lower in (("MOST_ENTRIES", 2000), ("MOST_TEXT", 2**24), ("HARMLESS", 1000)):
        monkeypatch.setattr(hdf5_guard, limit, lower)
    write, at = HDF5[name]
    path = write(tmp_path / name)
    with h5py.File(path, "r+") as file:
        below = "metadata" if name == "film.hspy" else "more"
        make(file[at].require_group(below))
    assert said in refused(path)


def test_more_frames_than_can_be_read_are_refused(tmp_path):
    frames = pixels.MOST_FRAMES + 1
    path = write_mrc(tmp_path / "a.mrc", np.zeros((frames, 16, 16), np.uint8))
    assert "cut it into parts" in refused(path)
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        group = file.create_group("data/film")
        group.attrs["emd_group_type"] = 1
        group.create_dataset("data", (frames, 16, 16), "u1", chunks=(100, 16, 16), compression="gzip")
    assert "cut it into parts" in refused(tmp_path / "a.emd")
    whole = write_ser(tmp_path / "a_1.ser").read_bytes()
    head = bytearray(whole + bytes(4 * frames))
    struct.pack_into("<4I", head, 14, frames, frames, len(whole), 1)
    (tmp_path / "a_1.ser").write_bytes(head)
    assert "cut it into parts" in refused(tmp_path / "a_1.ser")


def chained(path: Path, pages: int, back_to: int | None, big: bool = False) -> Path:
    """A TIFF of pages without pixels, whose last leads back to one before."""
    head, count, link = (16, "<Q", "<Q") if big else (8, "<H", "<I")
    size = struct.calcsize(count) + struct.calcsize(link)
    data = bytearray(b"II+\0\x08\0\0\0" if big else b"II*\0") + struct.pack(link, head)
    for k in range(pages):
        last = 0 if back_to is None else head + size * back_to
        data += struct.pack(count, 0) + struct.pack(link, last if k == pages - 1 else head + size * (k + 1))
    path.write_bytes(data + bytes(16))
    return path


@pytest.mark.parametrize("big", [False, True])
def test_pages_without_end_are_refused(tmp_path, big):
    for back_to in (0, 1, 4):
        assert "come round" in refused(chained(tmp_path / "a.tif", 5, back_to, big))
    assert "cut it into parts" in refused(chained(tmp_path / "a.tif", 100_000, None, big))


def test_pages_that_share_their_pixels_are_counted_together(tmp_path):
    """Each within its bounds, all together not: what is too much is left out."""
    path = tmp_path / "a.tif"
    ramp = np.tile(np.arange(250, dtype=np.uint8), (1000, 5))
    with tifffile.TiffWriter(path) as file:
        for k in range(50):
            file.write(ramp[:, k:], compression="zlib", metadata=None)
    images = read(path)
    assert 0 < len(images) < 50 and "more than 64 times" in images[0].facts["skipped"][0]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_pixels_that_have_to_be_held_together_are_bounded(tmp_path, name, monkeypatch):
    monkeypatch.setattr(pixels, "IN_MEMORY", 1000)
    Pillow.fromarray((PIXELS >> 8).astype(np.uint8)).convert("RGB").save(tmp_path / name)
    assert "can only be unpacked together" in refused(tmp_path / name)


def test_a_jpeg_of_many_passes_is_refused(tmp_path):
    picture = BytesIO()
    Pillow.fromarray((PIXELS >> 8).astype(np.uint8)).save(picture, "JPEG", progressive=True)
    whole = picture.getvalue()
    (tmp_path / "a.jpg").write_bytes(whole)
    assert read(tmp_path / "a.jpg")
    last = whole.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(whole[:last] + whole[last:-2] * 200 + whole[-2:])
    assert "passes" in refused(tmp_path / "a.jpg")


def in_tiff(path: Path, packed: bytes, compression: int) -> Path:
    """A TIFF whose one strip, of 24 x 32 px, is these bytes."""
    tifffile.imwrite(path, (PIXELS >> 8).astype(np.uint8))
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        for code, value in ((259, compression), (273, len(data)), (279, len(packed))):
            struct.pack_into({3: "<H", 4: "<I"}[int(tags[code].dtype)], data, tags[code].valueoffset, value)
    path.write_bytes(data + packed)
    return path


@pytest.mark.parametrize("side", [33, 16_000])
def test_a_jpeg_larger_than_its_strip_is_refused(tmp_path, side):
    picture = BytesIO()
    Pillow.fromarray((PIXELS >> 8).astype(np.uint8)).save(picture, "JPEG", quality=100)
    whole = bytearray(picture.getvalue())
    image = read(in_tiff(tmp_path / "a.tif", bytes(whole), 7))[0]
    assert np.abs(image.pixels.astype(int) - (PIXELS >> 8)).mean() < 2
    struct.pack_into(">2H", whole, whole.index(b"\xff\xc0") + 5, side, side)
    for before in (b"\xff\xd8", b"\xff\xd8\xff\xff\xff"):  # markers may have more than one FF before them
        fill = before + bytes(whole[2 if len(before) == 2 else 3 :])
        assert f"a JPEG of {side} x {side}" in refused(in_tiff(tmp_path / "a.tif", fill, 7))


@pytest.mark.parametrize("side", [16_384, 65_520])
def test_a_tile_larger_than_any_image_of_the_file_is_refused(tmp_path, side):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, (PIXELS >> 8).astype(np.uint8), tile=(32, 32), compression="zlib")
    assert read(path)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for code in (322, 323):
            tag = file.pages[0].tags[code]
            struct.pack_into({3: "<H", 4: "<I"}[int(tag.dtype)], data, tag.valueoffset, side)
    path.write_bytes(data)
    said = refused(path)
    assert "more than 64 times" in said or "up to 20000" in said


@pytest.mark.parametrize(("codec", "number"), [("jpeg2k", 34712), ("jpegxl", 50002), ("webp", 50001), ("png", 34933)])
def test_codecs_that_unpack_what_they_like_are_refused(tmp_path, codec, number):
    import imagecodecs

    inner = getattr(imagecodecs, f"{codec}_encode")(np.zeros((200, 300, 3), np.uint8))
    assert "compressed as" in refused(in_tiff(tmp_path / "a.tif", inner, number))


def test_a_strip_that_goes_on_is_unpacked_to_its_end_only(tmp_path):
    import imagecodecs

    for codec, number in (("zlib", 8), ("zstd", 50000), ("lzma", 34925)):
        path = in_tiff(tmp_path / "a.tif", getattr(imagecodecs, f"{codec}_encode")(bytes(range(256)) * 2**17), number)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            assert read(path)[0].pixels.shape == PIXELS.shape
        except PersistemError as error:
            assert "\n" not in str(error)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**14  # KiB


def test_a_stack_that_is_unpacked_needs_one_file(tmp_path, monkeypatch):
    """However many its frames are: a memmap keeps its file open."""
    monkeypatch.setattr(pixels, "IN_MEMORY", 1000)
    stack = np.stack([np.roll(PIXELS, k, axis=1) for k in range(12)])
    path = write_velox(tmp_path / "a.emd", stack)
    before = len(os.listdir("/proc/self/fd"))
    images: Any = read(path)
    assert all((image.pixels == frame).all() for image, frame in zip(images, stack, strict=True))
    assert len(os.listdir("/proc/self/fd")) <= before + 2


@pytest.mark.parametrize("name", ["socket.tif", "pipe.mrc", "folder.emd"])
def test_what_is_no_file_is_not_read(tmp_path, name):
    path = tmp_path / name
    {"socket": lambda: os.mknod(path, 0o600 | stat.S_IFSOCK), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[
        path.stem
    ]()
    assert "not a file" in refused(path)
