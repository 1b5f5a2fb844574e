"""Structures that declare or unpack to more than any memory holds: refused in one sentence."""

import gzip
import json
import lzma

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from persistem.errors import PersistemError
from persistem.imaging import micrographs
from persistem.specimens import bounds
from persistem.specimens.structures import import_structure
from persistem.study import Imaging
from support.hostile import limits


@pytest.fixture(autouse=True)
def bounded():
    with limits():
        yield


def refused(path, out, types=None):
    with pytest.raises(PersistemError) as caught:
        import_structure(path, types, out)
    assert str(path) in str(caught.value) and len(str(caught.value)) < len(str(path)) + 500
    assert not out.exists()
    return str(caught.value)


DECLARED = {
    "POSCAR": "GaN\n1.0\n10 0 0\n0 10 0\n0 0 10\nGa N\n1000000000 1000000000\nDirect\n0 0 0\n",
    "a.xyz": '1000000000\nLattice="10 0 0 0 10 0 0 0 10"\nGa 0 0 0\n',
    "a.data": "#\n\n1000000000 atoms\n1 atom types\n0 10 xlo xhi\n0 10 ylo yhi\n0 10 zlo zhi\n\nAtoms\n\n1 1 0 0 0\n",
}


@pytest.mark.parametrize("name", DECLARED)
def test_atoms_that_are_declared_and_not_there_are_refused(tmp_path, name):
    (tmp_path / name).write_text(DECLARED[name])
    refused(tmp_path / name, tmp_path / "out", {1: "Ga"})


@pytest.mark.parametrize(("suffix", "opened"), [("gz", gzip.open), ("xz", lzma.open)])
def test_what_unpacks_without_end_is_refused(tmp_path, suffix, opened, monkeypatch):
    monkeypatch.setattr(bounds, "MOST_BYTES", 2**22)
    for name in ("a.data", "a.xyz"):
        path = tmp_path / f"{name}.{suffix}"
        with opened(path, "wb") as file:
            file.write(b"x" * 2**23)
        assert "unpacked" in refused(path, tmp_path / "out")


def test_a_name_with_an_at_sign_is_a_name(tmp_path):
    write(tmp_path / "film@0.xyz", bulk("Cu", cubic=True), format="extxyz")
    write(tmp_path / "film", bulk("Au", cubic=True), format="extxyz")
    import_structure(tmp_path / "film@0.xyz", None, tmp_path / "out")
    assert json.loads((tmp_path / "out/summary.json").read_text())["density_g_cm3"] < 10  # copper


@pytest.mark.parametrize(("shape", "chunks"), [((200_000, 200_000), (200_000, 200_000)), ((16, 16), (60_000, 60_000))])
def test_a_wave_that_declares_more_than_the_study_has_is_refused(tmp_path, shape, chunks):
    import zarr

    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("array0", shape=shape, chunks=chunks, dtype=np.complex64)
    with pytest.raises(PersistemError, match="declares"):
        micrographs.micrograph(tmp_path / "a.zarr", Imaging(), 0.0, tmp_path / "out.tif")
