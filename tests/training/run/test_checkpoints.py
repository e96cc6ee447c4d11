import contextlib
import json
import os
from itertools import count
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ostinato.errors import RunError
from ostinato.training.run.checkpoints import Checkpoints
from ostinato.training.run.files import remove_leftovers

STATE = {"step": 3, "hidden": (torch.ones(2), None), "optimizer": {"state": {0: {"exp_avg": torch.zeros(1)}}}}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path)


def state(step):
    return {
        "step": step,
        "weights": torch.full((3, 5), float(step)),
        "bits": torch.tensor([True, False]),
        "half": step / 2,
    }


def same(left, right):
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) if isinstance(left[name], torch.Tensor) else left[name] == right[name]
        for name in left
    )


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_state_comes_back(checkpoints):
    assert checkpoints.read() is None
    checkpoints.write(3, STATE)
    found = checkpoints.read()
    assert (found.step, found.damaged) == (3, ())
    assert torch.equal(found.state["hidden"][0], torch.ones(2))
    assert found.state["hidden"][1] is None
    assert torch.equal(found.state["optimizer"]["state"][0]["exp_avg"], torch.zeros(1))
    assert checkpoints.read_entry("step") == 3
    assert checkpoints.read_entry("nothing") is None


def test_the_newest_few_are_kept_and_the_best(checkpoints):
    for step in range(1, 8):
        checkpoints.write(step, state(step), keep=3, best=step == 2)
    assert checkpoints.steps() == [5, 6, 7]
    assert same(checkpoints.read().state, state(7))
    best = checkpoints.read_best()
    assert best.step == 2
    assert same(best.state, state(2))
    assert len(list(checkpoints.folder.glob("*.safetensors"))) == 4
    checkpoints.write(8, state(8), keep=1, best=True)
    assert len(list(checkpoints.folder.glob("*.safetensors"))) == 1  # one file serves both


def test_the_tensors_are_a_file_that_others_can_read(checkpoints):
    checkpoints.write(1, state(1))
    (path,) = checkpoints.folder.glob("*.safetensors")
    assert torch.equal(load_file(path)["state.weights"], torch.ones(3, 5))


def test_what_is_read_lies_in_memory_as_a_new_tensor_would(checkpoints):
    checkpoints.write(1, {f"{i}": torch.ones(i) for i in range(1, 9)})
    assert all(tensor.data_ptr() % 64 == 0 for tensor in checkpoints.read().state.values())


def test_a_step_is_written_twice(checkpoints):
    checkpoints.write(1, state(1))
    checkpoints.write(1, state(2))
    assert same(checkpoints.read().state, state(2))
    assert len(files(checkpoints.folder)) == 2


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "flip"])
def test_a_damaged_one_is_named_and_the_one_before_it_used(checkpoints, suffix, damage):
    checkpoints.write(2, state(2))
    checkpoints.write(3, state(3))
    (path,) = checkpoints.folder.glob(f"step-000000003*.{suffix}")
    content = bytearray(path.read_bytes())
    content = {
        "cut": content[:-7],
        "empty": b"",
        "garbage": b"\xff{}" * 40,
        "flip": content[:40] + bytes([content[40] ^ 1]) + content[41:],
    }[damage]
    path.write_bytes(content)
    found = checkpoints.read()
    assert found.step == 2
    assert same(found.state, state(2))
    (line,) = found.damaged
    assert line.startswith(f"{path} is damaged")
    assert "\n" not in line
    checkpoints.write(4, state(4))  # the run goes on; the damaged one is no longer in the way
    assert checkpoints.steps() == [2, 4]
    assert checkpoints.read().damaged == ()


def test_tensors_that_are_missing_are_named(checkpoints):
    checkpoints.write(2, state(2))
    checkpoints.write(3, state(3))
    (path,) = checkpoints.folder.glob("step-000000003*.safetensors")
    path.unlink()
    assert checkpoints.read().damaged == (f"{path} is missing",)


def test_not_a_bit_of_the_description_changes_unseen(checkpoints):
    """Every bit flipped: the checkpoint is refused, or says what it said (a space for another)."""
    checkpoints.write(1, state(1))
    path = checkpoints.folder / "step-000000001.json"
    content = path.read_bytes()
    refused = 0
    for place in range(8 * len(content)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            read = checkpoints.read().state
        except RunError:
            refused += 1
        else:
            assert same(read, state(1))
    assert refused > 7 * len(content)


def test_where_none_is_whole_the_run_does_not_go_on(checkpoints):
    checkpoints.write(2, state(2))
    checkpoints.write(3, state(3))
    for path in checkpoints.folder.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        RunError, match=r"is damaged \(its checksum is another\), nor is any of the 1 before it; to begin"
    ) as error:
        checkpoints.read()
    assert "\n" not in str(error.value)
    assert checkpoints.read_best() is None


def test_a_checkpoint_of_another_version_is_told(checkpoints):
    (checkpoints.folder / "step-000000001.json").write_text(json.dumps({"sha256": "", "format": 0}))
    with pytest.raises(RunError, match="or of another version of ostinato, and there is no other"):
        checkpoints.read()


class Died(BaseException):
    pass


class Disk:
    """Counts what changes the disk, dies at one of them, and lets nothing through then: the dead do not come to `finally`."""

    def __init__(self, monkeypatch, dies_at):
        self.dies_at, self.done = dies_at, 0
        for place, name in ((os, "fsync"), (os, "replace"), (Path, "unlink"), (Path, "open")):
            self._wrap(monkeypatch, place, name)

    def _wrap(self, monkeypatch, place, name):
        plain = getattr(place, name)

        def wrapped(*arguments, **named):
            if name == "open" and arguments[1:] != ("wb",):
                return plain(*arguments, **named)
            self.count()
            if self.is_dead and name == "unlink":
                return None
            result = plain(*arguments, **named)
            return self._file(result) if name == "open" else result

        monkeypatch.setattr(place, name, wrapped)

    def _file(self, file):
        disk = self

        class Writer:
            def write(self, content):
                disk.count(lambda: file.write(bytes(content)[: len(content) // 2]))  # torn in the middle
                return file.write(content)

            def __getattr__(self, name):
                return getattr(file, name)

        return Writer()

    @property
    def is_dead(self):
        return self.done > self.dies_at

    def count(self, at_death=lambda: None):
        self.done += 1
        if self.done == self.dies_at + 1:
            at_death()
            raise Died


def test_whatever_the_moment_of_death_the_old_or_the_new_one_is_whole(tmp_path, monkeypatch):
    for dies_at in count():
        folder = tmp_path / str(dies_at)
        folder.mkdir()
        checkpoints = Checkpoints(folder)
        checkpoints.write(1, state(1), keep=1, best=True)
        with monkeypatch.context() as patch:
            disk = Disk(patch, dies_at)
            with contextlib.suppress(Died):
                checkpoints.write(2, state(2), keep=1, best=True)
        found = checkpoints.read()
        assert found.damaged == ()
        assert same(found.state, state(found.step))
        best = checkpoints.read_best()
        assert same(best.state, state(best.step))
        # The next one in the same folder puts everything in order.
        remove_leftovers(folder)
        checkpoints.write(3, state(3), keep=1, best=True)
        assert len(files(folder)) == 3
        assert same(checkpoints.read().state, state(3))
        if not disk.is_dead:
            break
    assert found.step == 2
    assert dies_at > 15
