import json
import os
import tracemalloc

import pytest
import torch
from safetensors.torch import load_file

from ostinato.training.run import files


def test_a_file_is_whole_or_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    files.write_json(path, {"a": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_tensors_that_share_memory_are_written(tmp_path):
    whole = torch.arange(6.0).reshape(2, 3)
    path = tmp_path / "x.safetensors"
    with files.NewFile(tmp_path) as file:
        files.write_tensors(file, {"whole": whole, "view": whole.T, "same": whole})
        file.commit(path)
    loaded = load_file(path)
    assert torch.equal(loaded["view"], whole.T)
    assert torch.equal(loaded["same"], whole)


@pytest.mark.parametrize("dtype", list(files._DTYPES))
def test_every_type_of_tensor_comes_back_bit_for_bit(tmp_path, dtype):
    tensors = {"a": torch.arange(7).to(dtype), "b": torch.zeros(0, 3, dtype=dtype), "c": torch.ones((), dtype=dtype)}
    tensors["odd"] = torch.ones(3, dtype=torch.bool)
    path = tmp_path / "x.safetensors"
    with files.NewFile(tmp_path) as file:
        files.write_tensors(file, tensors)
        file.commit(path)
    loaded = load_file(path)
    assert loaded.keys() == tensors.keys()
    assert all(loaded[name].dtype == tensor.dtype for name, tensor in tensors.items())
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    assert files.sha256_of(path) == file.sha256


def test_a_type_that_the_format_has_no_name_for_is_refused(tmp_path):
    what = r"z: expected a tensor of a type that safetensors holds, got torch\.complex64"
    with files.NewFile(tmp_path) as file, pytest.raises(TypeError, match=what):
        files.write_tensors(file, {"z": torch.zeros(1, dtype=torch.complex64)})
    assert not any(tmp_path.iterdir())


def test_writing_needs_no_second_copy(tmp_path):
    tracemalloc.start()
    with files.NewFile(tmp_path) as file:
        files.write_tensors(file, {f"{i}": torch.ones(250_000) for i in range(8)})
        file.commit(tmp_path / "x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    for name in (".9-1.tmp", "a.tmp", ".hidden"):
        (tmp_path / name).write_text("")
    files.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "a.tmp"]
