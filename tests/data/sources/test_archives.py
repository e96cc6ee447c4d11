import gzip

import numpy as np
import pytest

from ostinato.data.sources.archives import archive_names, first_of, names_for, read_archive
from ostinato.errors import DataError


def test_what_is_wanted_is_read_and_the_rest_is_let_be(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), notes=np.array([{}], dtype=object))
    assert archive_names(tmp_path / "a.npz") == ("x", "notes")
    found = read_archive(tmp_path / "a.npz", lambda name: name == "x")
    assert list(found) == ["x"]
    np.testing.assert_array_equal(found["x"], np.arange(3))


def test_python_objects_are_refused_with_the_array_and_what_to_do(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), notes=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"a\.npz: .* the array notes is one of Python objects, .*; do this"):
        read_archive(tmp_path / "a.npz", objects="do this")


def test_a_compressed_archive_and_one_on_a_server(tmp_path):
    import fsspec

    np.savez(tmp_path / "a.npz", x=np.arange(3))
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz.gz").write_bytes(gzip.compress(content))
    fsspec.filesystem("memory").pipe("/archives/a.npz", content)
    for path in (tmp_path / "b.npz.gz", "memory://archives/a.npz"):
        np.testing.assert_array_equal(read_archive(path)["x"], np.arange(3))


def test_what_is_no_archive_is_told(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"x,y\n1,2\n")
    np.save(tmp_path / "b.npy", np.arange(3))
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", x=np.arange(1000))
    damaged = bytearray((tmp_path / "c.npz").read_bytes())
    damaged[500] ^= 255
    (tmp_path / "c.npz").write_bytes(damaged)
    for name in "abc":
        with pytest.raises(DataError, match=rf"{name}\.npz: is not a whole NumPy archive"):
            read_archive(tmp_path / f"{name}.npz")
    with pytest.raises(DataError, match=r"d\.npz: no such file"):
        archive_names(tmp_path / "d.npz")


def test_names_of_parts():
    assert names_for(("x", "data")) == ["x", "data"]
    assert names_for(("x",), ("val", "valid")) == ["val_x", "x_val", "valid_x", "x_valid"]
    arrays = {"X_train": np.zeros(1), "Y": np.ones(1)}
    found = first_of(arrays, names_for(("data", "x"), ("train",)))
    assert found is not None
    assert found[0] == "X_train"
    assert first_of(arrays, ("z",)) is None
