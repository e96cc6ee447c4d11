import json
import math
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from ostinato.data import CharVocabulary, Streams, Tokens
from ostinato.errors import RunError
from ostinato.models import LanguageModel
from ostinato.training import DivergedError, Progress, RunFolder, TrainingSettings, evaluate, fit, learning_rate_factor
from ostinato.training.checkpoints import Checkpoints

TEXT = "the quick brown fox jumps over the lazy dog\n" * 12
LETTERS = CharVocabulary("".join(sorted(set(TEXT))))


def streams(batch_size=4, chunk_length=8):
    ids = LETTERS.encode(TEXT)
    starts = np.flatnonzero(np.roll(ids, 1) == LETTERS.encode("\n")[0])
    return Streams(Tokens(ids, starts, len(TEXT), 1), batch_size, chunk_length, reset_at_documents=True)


def train(folder, resume=False, hook=None, module=None, quiet=True, **settings):
    """A run of 40 steps on four streams: two epochs and a half, with dropout, so that everything a state holds matters."""
    torch.manual_seed(0)
    module = module or LanguageModel(LETTERS, 6, 10, num_layers=2, dropout=0.3)
    run = RunFolder(folder)
    if not resume:
        run.create({})
    calls = []

    def validation():
        calls.append(None)
        if hook is not None:
            hook(len(calls))
        return iter(streams())

    settings = TrainingSettings(
        **{"max_steps": 40, "evaluate_every": 6, "log_every": 5, "learning_rate": 0.02, **settings}
    )
    outcome = fit(
        module,
        streams(),
        validation,
        run=run,
        settings=settings,
        device="cpu",
        precision="32-true",
        resume=resume,
        progress=Progress(quiet=quiet),
        sample=lambda: "sample",
    )
    return outcome, module, run


def at(evaluation, number):
    def hook(n):
        if n == evaluation:
            os.kill(os.getpid(), number)

    return hook


def everything(run):
    """All that a run leaves behind, but the time it took."""
    state = run.checkpoints.read().state
    state["counters"].pop("elapsed_s")
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    for line in lines:
        for name in ("elapsed_s", "tokens_per_s"):
            line.pop(name, None)
    return state, lines, run.model_file.read_bytes()


def assert_same(left, right, where="state"):
    assert type(left) is type(right), where
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_same(left[key], right[key], f"{where}.{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), where
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            assert_same(a, b, f"{where}.{i}")
    else:
        assert left == right, where


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole") / "run")


def test_a_run_leaves_a_folder_that_says_everything(whole):
    outcome, module, run = whole
    assert outcome.ending == "budget"
    assert outcome.counters.step == 40
    assert outcome.counters.epoch == 2
    state, lines, _ = everything(run)
    logged = [line["step"] for line in lines if "loss" in line]
    validated = {line["step"]: line["validation_loss"] for line in lines if "validation_loss" in line}
    assert logged == [5, 10, 15, 20, 25, 30, 35, 40]
    assert list(validated) == [6, 12, 18, 24, 30, 36, 40]
    assert outcome.counters.best == min(validated.values())
    assert validated[outcome.counters.best_step] == outcome.counters.best
    assert any((run.path / "tensorboard").iterdir())
    assert_same(state["model"], {name: tensor.detach() for name, tensor in module.state_dict().items()})
    assert all(line["sample"] == "sample" for line in lines if "validation_loss" in line)
    assert lines[0]["bits_per_character"] == pytest.approx(lines[0]["loss"] / math.log(2))


def test_the_model_kept_is_the_best_on_the_validation_text(whole):
    outcome, _, run = whole
    best = LanguageModel(LETTERS, 6, 10, num_layers=2)
    best.load_state_dict(run.read_model())
    result = evaluate(best, streams())
    assert result is not None
    assert result.nats_per_token == outcome.counters.best


def test_the_learning_rate_follows_the_schedule(whole):
    _, lines, _ = everything(whole[2])
    rates = [line["learning_rate"] for line in lines if "loss" in line]
    middles = [(step - 0.5) / 40 for step in (5, 10, 15, 20, 25, 30, 35, 40)]
    assert rates == pytest.approx([0.02 * learning_rate_factor(p, "cosine", warmup=0.02) for p in middles])


@pytest.mark.parametrize("evaluation", [1, 3, 7])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed_it_ends_bit_for_bit_where_the_whole_ends(whole, tmp_path, evaluation, number):
    outcome, _, run = train(tmp_path / "run", hook=at(evaluation, number))
    assert outcome.ending == "interrupted"
    assert outcome.counters.step == [6, 12, 18, 24, 30, 36, 40][evaluation - 1]
    outcome, _, _ = train(tmp_path / "run", resume=True)
    assert outcome.ending == "budget"
    assert_same(everything(run), everything(whole[2]))


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_every_optimiser_resumes(tmp_path, optimizer):
    _, _, whole = train(tmp_path / "whole", optimizer=optimizer, max_steps=8)
    train(tmp_path / "parts", optimizer=optimizer, max_steps=8, hook=at(1, signal.SIGINT))
    _, _, parts = train(tmp_path / "parts", optimizer=optimizer, max_steps=8, resume=True)
    assert_same(everything(parts), everything(whole))


def test_a_run_that_died_before_its_first_state_begins_again(whole, tmp_path):
    def die(n):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "run", hook=die)
    _, _, run = train(tmp_path / "run", resume=True)
    assert_same(everything(run), everything(whole[2]))


def test_a_finished_run_goes_on_with_a_larger_budget(tmp_path):
    outcome, _, _ = train(tmp_path / "run", max_steps=6)
    assert outcome.counters.step == 6
    outcome, _, _ = train(tmp_path / "run", max_steps=9, resume=True)
    assert (outcome.ending, outcome.counters.step) == ("budget", 9)


def test_time_is_a_budget_over_all_sessions(tmp_path):
    outcome, _, run = train(tmp_path / "run", max_steps=None, max_time_s=0.5, evaluate_every=None)
    assert outcome.ending == "budget"
    assert outcome.counters.elapsed_s >= 0.5
    steps = outcome.counters.step
    assert run.checkpoints.read().state["counters"]["elapsed_s"] >= 0.5
    outcome, _, _ = train(tmp_path / "run", max_steps=None, max_time_s=0.5, evaluate_every=None, resume=True)
    assert outcome.counters.step == steps  # nothing was left


def test_epochs_are_a_budget(tmp_path):
    outcome, _, _ = train(tmp_path / "run", max_steps=None, max_epochs=1.5)
    per_epoch = streams().chunks_per_epoch
    assert outcome.counters.step == math.ceil(1.5 * per_epoch)


def test_evaluations_are_spread_over_the_budget_where_no_number_is_set(tmp_path):
    _, _, run = train(tmp_path / "run", max_steps=12, evaluate_every=None)
    assert [line["step"] for line in everything(run)[1] if "validation_loss" in line] == [2, 4, 6, 8, 10, 12]


def test_patience_ends_training(tmp_path):
    # A learning rate of nothing: no evaluation after the first is better.
    outcome, _, _ = train(tmp_path / "run", learning_rate=1e-30, patience=2)
    assert outcome.ending == "patience"
    assert outcome.counters.step == 18


class Diverging(nn.Module):
    def __init__(self, step):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.left = step

    def loss(self, chunk, state=None):
        if self.training:
            self.left -= 1
        return self.weight * (math.inf if self.left == 0 else 1.0), None


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(tmp_path):
    module = Diverging(9)
    with pytest.raises(DivergedError, match=r"the loss became inf at step 9 .*lower training\.learning_rate"):
        train(tmp_path / "run", module=module)
    assert RunFolder(tmp_path / "run").checkpoints.read().step == 8
    assert torch.isfinite(module.weight)


def test_a_state_of_another_model_is_refused(tmp_path):
    train(tmp_path / "run", max_steps=6)
    with pytest.raises(RunError, match=r"does not fit the settings it is resumed with: .*size mismatch"):
        train(tmp_path / "run", resume=True, module=LanguageModel(LETTERS, 6, 11, num_layers=2))


def test_gradients_are_clipped_before_the_step(tmp_path):
    """With plain gradient descent and clipping by value, no weight moves further than learning rate times value."""
    torch.manual_seed(0)
    module = LanguageModel(LETTERS, 6, 10)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    train(
        tmp_path / "run",
        module=module,
        max_steps=1,
        optimizer="sgd",
        weight_decay=0.0,
        learning_rate=1.0,
        schedule="constant",
        warmup=0.0,
        clip_norm=None,
        clip_value=1e-3,
    )
    moved = max(float((a - b).detach().abs().max()) for a, b in zip(module.parameters(), before, strict=True))
    assert moved == pytest.approx(1e-3, rel=1e-3)


def test_a_full_disk_leaves_the_state_before(tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    written = Checkpoints.write

    def full(self, step, state, **how):
        if step == 12:
            raise OSError(28, "No space left on device")
        written(self, step, state, **how)

    monkeypatch.setattr(Checkpoints, "write", full)
    with pytest.raises(RunError, match="No space left on device; the checkpoint of step 6 is kept"):
        train(tmp_path / "run")
    assert run.checkpoints.read().state["counters"]["step"] == 6


def test_mixed_precision_keeps_weights_and_optimiser_in_float32(tmp_path):
    torch.manual_seed(0)
    model = LanguageModel(LETTERS, 6, 10)
    run = RunFolder(tmp_path / "run")
    run.create({})
    settings = TrainingSettings(max_steps=3)
    outcome = fit(
        model,
        streams(),
        lambda: iter(streams()),
        run=run,
        settings=settings,
        device="cpu",
        precision="bf16-mixed",
        progress=Progress(quiet=True),
    )
    assert outcome.precision == "bf16-mixed"
    state = run.checkpoints.read().state
    assert all(tensor.dtype == torch.float32 for tensor in state["model"].values())
    assert all(entry["exp_avg"].dtype == torch.float32 for entry in state["optimizer"]["state"].values())


class Recorder(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.states = []

    def loss(self, chunk, state=None):
        if self.training:
            self.states.append(state)
        return self.weight * 1.0, (0 if state is None else state) + 1


def test_the_state_is_fresh_at_the_start_of_every_epoch(tmp_path):
    module, per_epoch = Recorder(), streams().chunks_per_epoch
    train(tmp_path / "run", module=module, max_steps=None, max_epochs=2)
    assert module.states == [None, *range(1, per_epoch)] * 2
