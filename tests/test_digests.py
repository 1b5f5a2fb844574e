"""The content of a user's own file: hashed once, and again as soon as anything about the file is another."""

import hashlib
import os

import pytest
from persistem.errors import PersistemError
from persistem.store import digests


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    """A large file in a folder with results/, and which files were hashed since."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(digests, "LARGE", 10)
    monkeypatch.setattr(digests, "TICK", -1.0)
    calls, real = [], digests._sha256
    monkeypatch.setattr(digests, "_sha256", lambda path: calls.append(path) or real(path))
    digests._content.cache_clear()
    return calls


def again(path):
    """The content as another process is told it."""
    digests._content.cache_clear()
    return digests.content(path)


def test_a_large_file_is_hashed_once(tmp_path, hashed):
    path = tmp_path / "image.dm4"
    path.write_bytes(b"x" * 100)
    expected = hashlib.sha256(b"x" * 100).hexdigest()
    assert [again(path) for _ in range(3)] == [expected] * 3
    assert hashed == [path]


def test_another_content_of_the_same_size_and_time_is_noticed(tmp_path, hashed):
    path = tmp_path / "image.dm4"
    path.write_bytes(b"x" * 100)
    before = path.stat()
    again(path)
    path.write_bytes(b"y" * 100)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert again(path) == hashlib.sha256(b"y" * 100).hexdigest()


def test_what_was_written_just_now_is_not_remembered(tmp_path, hashed, monkeypatch):
    monkeypatch.setattr(digests, "TICK", 60.0)
    path = tmp_path / "image.dm4"
    path.write_bytes(b"x" * 100)
    again(path), again(path)
    assert len(hashed) == 2


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b"[1, 2, 3, 4, 5, 6]", b"\xff"])
def test_a_damaged_note_counts_for_nothing(tmp_path, hashed, damage):
    path = tmp_path / "image.dm4"
    path.write_bytes(b"x" * 100)
    expected = again(path)
    (note,) = (tmp_path / "results/.contents").iterdir()
    note.write_bytes(damage)
    assert again(path) == expected and len(hashed) == 2


def test_small_files_and_folders_without_results_leave_nothing(tmp_path, hashed):
    small = tmp_path / "small"
    small.write_bytes(b"x")
    again(small)
    assert not (tmp_path / "results/.contents").exists()
    (tmp_path / "results").rmdir()
    large = tmp_path / "large"
    large.write_bytes(b"x" * 100)
    again(large)
    assert {path.name for path in tmp_path.iterdir()} == {"small", "large"}


def test_a_file_that_is_not_there_is_named(tmp_path, hashed):
    with pytest.raises(PersistemError, match="missing"):
        digests.content(tmp_path / "missing")
