import json
import os

import pytest
import torch
from safetensors.torch import load_file

from ostinato.training import files


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
