"""What can happen to a run: each thing one clear line, and nothing lost."""

import contextlib
import math
import os
import resource
import signal
import stat
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from ostinato.data import Documents
from ostinato.errors import DataError, RunError
from ostinato.models import LanguageModel
from ostinato.training import DivergedError, RunFolder, TrainingSettings, fit
from ostinato.training.run.checkpoints import Checkpoints
from ostinato.training.run.files import NewFile

from .runs import LETTERS, assert_same, at, everything, train


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole") / "run")[2]


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


# --- what cannot be trained on ---


@pytest.mark.parametrize("train_on", [(torch.zeros(4, 2, dtype=torch.int64),) * 2, iter(())])
def test_data_without_a_place_are_refused_before_anything_is_written(train_on, tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(TypeError, match=f"train: expected Streams, .*, got a {type(train_on).__name__}; for anything"):
        fit(LanguageModel(LETTERS, 6, 10), train_on, list, run=run, settings=TrainingSettings(max_steps=1))
    assert not run.path.exists()


def test_a_dataset_without_items_is_refused_before_anything_is_written(tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(DataError, match="expected at least one item, got none"):
        fit(LanguageModel(LETTERS, 6, 10), [], list, run=run, settings=TrainingSettings(max_steps=1))
    assert not run.path.exists()


def test_validation_chunks_in_place_of_their_function_are_told(tmp_path):
    run = RunFolder(tmp_path / "run")
    documents = Documents([torch.zeros(4, dtype=torch.int64)], 1, 2)
    with pytest.raises(
        TypeError, match=r"validation: expected a function that gives the chunks anew .*, got a Documents"
    ):
        fit(LanguageModel(LETTERS, 6, 10), documents, documents, run=run, settings=TrainingSettings(max_steps=1))


# --- numbers that are not finite ---


class Breaking(LanguageModel):
    """Once, at one training step, its loss or its gradient is not finite."""

    def __init__(self, step, what):
        super().__init__(LETTERS, 6, 10, num_layers=2, dropout=0.3)
        self.left, self.what = step, what
        self.output.register_forward_hook(self._break)

    def _break(self, part, inputs, logits):
        return logits * math.nan if self.what == "logits" and self._is_time() else logits

    def loss(self, chunk, state=None):
        loss, state = super().loss(chunk, state)
        if self.what == "gradient" and self._is_time():
            slope = self.output.bias - self.output.bias.detach()
            loss = loss + slope.abs().sqrt().sum()
        return loss, state

    def _is_time(self):
        # Twice: once in training, and once more where it is looked into.
        self.left -= self.training
        return self.training and self.left in (0, -1)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (
            "logits",
            r"the loss became nan at step 9 .* going forward, the output of output \(Linear\); going backward",
        ),
        ("gradient", r"the norm of the gradients became nan at step 9 .* going backward, the gradient of output\.bias"),
    ],
)
def test_a_step_that_is_not_finite_is_not_made(tmp_path, what, told):
    torch.manual_seed(0)
    _, _, whole = train(tmp_path / "whole", module=Breaking(10**9, what))
    torch.manual_seed(0)
    with pytest.raises(DivergedError, match=told) as error:
        train(tmp_path / "run", module=Breaking(9, what))
    assert "keeps the state before that step: lower training.learning_rate" in one_line(error)
    assert RunFolder(tmp_path / "run").checkpoints.read().step == 8
    # Bit for bit the state before it: what goes on from there, and breaks no more, is the run that never broke.
    _, _, run = train(tmp_path / "run", resume=True)
    assert_same(everything(run), everything(whole))


class Infinite(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def loss(self, chunk, state=None):
        return self.weight * math.inf, None


def test_the_first_step_of_all(tmp_path):
    module = Infinite()
    with pytest.raises(DivergedError, match=r"the loss became inf at step 1 .* the gradient of weight\. "):
        train(tmp_path / "run", module=module)
    assert module.weight == 1.0
    assert RunFolder(tmp_path / "run").checkpoints.read().step == 0


# --- disks ---


@contextlib.contextmanager
def smaller_files(size):
    """The system refuses to write more than this into a file, as a full disk does; Python ignores SIGXFSZ."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_leaves_the_checkpoint_before(whole, tmp_path):
    with contextlib.ExitStack() as stack:

        def fill(n):
            if n == 2:
                stack.enter_context(smaller_files(3000))

        with pytest.raises(
            RunError, match=r"cannot write to the run folder .*: File too large; the checkpoint of step 6 is kept"
        ) as error:
            train(tmp_path / "run", hook=fill)
    one_line(error)
    assert RunFolder(tmp_path / "run").checkpoints.read().step == 6
    assert not list(tmp_path.rglob("*.tmp"))
    _, _, run = train(tmp_path / "run", resume=True)
    assert_same(everything(run), everything(whole))


@pytest.mark.parametrize("moment", range(6))
def test_no_space_at_any_file(whole, tmp_path, monkeypatch, moment):
    """The model, the tensors and descriptions of checkpoints, each in its turn."""
    commit, calls = NewFile.commit, []

    def full(self, path):
        calls.append(path)
        if len(calls) == 5 + moment:
            raise OSError(28, "No space left on device")
        commit(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(NewFile, "commit", full)
        with pytest.raises(
            RunError, match=r"No space left on device; the checkpoint of step .* is kept: put it right"
        ) as error:
            train(tmp_path / "run")
        one_line(error)
    _, _, run = train(tmp_path / "run", resume=True)
    assert_same(everything(run), everything(whole))


def test_metrics_that_cannot_be_written_stop_the_run(tmp_path):
    """`/dev/full` is a disk without space."""
    run = RunFolder(tmp_path / "run")
    run.create({})

    def fill(n):
        if n == 1:
            descriptor = os.open("/dev/full", os.O_WRONLY)
            (mine,) = (int(each.name) for each in Path("/proc/self/fd").iterdir() if _is(each, run.metrics_file))
            os.dup2(descriptor, mine)
            os.close(descriptor)

    with pytest.raises(RunError, match=r"cannot write to the run folder .*: No space left on device"):
        train(tmp_path / "run", hook=fill)


def _is(link, path):
    with contextlib.suppress(OSError):
        return os.path.samefile(link, path)
    return False


@contextlib.contextmanager
def nobody():
    """Root may write everywhere; one who is not root is not asked."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_only_be_read(whole):
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        _, _, run = train(Path(name) / "run", hook=at(2, signal.SIGINT))
        for path in (run.path, *run.path.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = run.model_file.read_bytes()
        with nobody(), pytest.raises(RunError, match=r"cannot write to the run folder .*: Permission denied") as error:
            train(run.path, resume=True)
        one_line(error)
        assert run.model_file.read_bytes() == before
        for path in (run.path, *run.path.rglob("*")):
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
        assert_same(everything(train(run.path, resume=True)[2]), everything(whole))


# --- checkpoints that are not what they were ---


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_gone_on_from(whole, tmp_path, capsys):
    _, _, run = train(tmp_path / "run", checkpoint_every=1, hook=at(3, signal.SIGINT))
    (path,) = run.checkpoints.folder.glob("step-000000018*.safetensors")
    path.write_bytes(path.read_bytes()[:-9])
    capsys.readouterr()
    _, _, run = train(tmp_path / "run", resume=True)
    assert capsys.readouterr().err == f"{path} is damaged (its checksum is another); going on from step 17\n"
    assert_same(everything(run), everything(whole))


def test_where_all_are_damaged_the_run_does_not_begin_again_by_itself(tmp_path):
    _, _, run = train(tmp_path / "run", max_steps=6)
    for path in run.checkpoints.folder.glob("*.json"):
        path.write_text("{")
    before = run.metrics_file.read_bytes()
    with pytest.raises(RunError, match=r"is damaged .*and there is no other; to begin the run again, delete") as error:
        train(tmp_path / "run", resume=True)
    one_line(error)
    assert run.metrics_file.read_bytes() == before


def test_another_text_is_refused(tmp_path):
    train(tmp_path / "run", max_steps=6, how={"data_fingerprint": "a"})
    with pytest.raises(RunError, match=r"the data set is not the one"):
        train(tmp_path / "run", resume=True, how={"data_fingerprint": "b"})
    train(tmp_path / "run", resume=True, how={"data_fingerprint": "a"})


def test_another_average_is_refused(tmp_path):
    train(tmp_path / "run", max_steps=6)
    with pytest.raises(RunError, match=r"does not fit the settings it is resumed with: training.averaging is another"):
        train(tmp_path / "run", resume=True, averaging="ema")


# --- two at once, and signals ---


def test_two_runs_in_one_folder(tmp_path):
    second = []

    def begin(n):
        if n == 1:
            with pytest.raises(RunError, match=r"is at work in .*run; wait for its end") as error:
                train(tmp_path / "run", resume=True)
            second.append(one_line(error))

    outcome, _, _ = train(tmp_path / "run", max_steps=6, hook=begin)
    assert outcome.ending == "budget"
    assert second


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["tensors", "sync", "rename"])
def test_a_signal_while_a_checkpoint_is_written(whole, tmp_path, monkeypatch, number, moment):
    """It is written to its end, and the run stops after it."""
    place, name = {"tensors": (NewFile, "write"), "sync": (os, "fsync"), "rename": (os, "replace")}[moment]
    plain, write, writing = getattr(place, name), Checkpoints.write, []

    def interrupted(*arguments):
        if writing and writing.pop():
            os.kill(os.getpid(), number)
        return plain(*arguments)

    def watched(self, step, state, **how):
        writing.append(step == 12)
        write(self, step, state, **how)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, interrupted)
        patch.setattr(Checkpoints, "write", watched)
        outcome, _, run = train(tmp_path / "run")
    assert (outcome.ending, outcome.counters.step) == ("interrupted", 12)
    assert run.checkpoints.read().step == 12
    _, _, run = train(tmp_path / "run", resume=True)
    assert_same(everything(run), everything(whole))


def test_a_second_signal_in_the_middle_of_a_checkpoint_leaves_the_one_before(whole, tmp_path, monkeypatch):
    plain = os.fsync

    def interrupted(descriptor):
        if RunFolder(tmp_path / "run").checkpoints.steps() == [6]:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        plain(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run")
    _, _, run = train(tmp_path / "run", resume=True)
    assert_same(everything(run), everything(whole))
