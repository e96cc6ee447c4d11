import json
import math
import signal

import pytest
import torch
from torch import nn

from ostinato.errors import RunError
from ostinato.models import LanguageModel
from ostinato.training import (
    DivergedError,
    Evaluation,
    Progress,
    RunFolder,
    TrainingSettings,
    evaluate,
    fit,
    learning_rate_factor,
)
from ostinato.training.update.update import Updater
from tests.training.runs import LETTERS, assert_same, at, everything, streams, train


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


FEATURES = [
    {"optimizer": "adam"},
    {"optimizer": "sgd", "momentum": 0.5},
    {"optimizer": "rmsprop"},
    {"chunk_length": 8, "backprop_length": 13},
    {"vary_length": True},
    {"accumulate": 3, "checkpoint_every": 2},
    {"averaging": "ema", "ema_decay": 0.7},
    {"averaging": "nt-asgd", "averaging_patience": 1, "learning_rate": 1.0, "evaluate_every": 2},
    {"schedule": "epochs", "decay_after_epochs": 1.0},
    {"evaluate_every": None, "evaluate_every_epochs": 0.2},
    {"evaluate_every": None},
]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: "-".join(feature))
@pytest.mark.parametrize("evaluation", [1, 2])
def test_with_every_feature_it_goes_on_as_if_it_had_not_been_interrupted(tmp_path, feature, evaluation):
    settings = {"max_steps": 18, **feature}
    _, _, whole = train(tmp_path / "whole", **settings)
    outcome, _, _ = train(tmp_path / "parts", hook=at(evaluation, signal.SIGINT), **settings)
    assert outcome.ending == "interrupted"
    _, _, parts = train(tmp_path / "parts", resume=True, **settings)
    assert_same(everything(parts), everything(whole))


def test_checkpoints_change_nothing(whole, tmp_path):
    _, _, run = train(tmp_path / "run", checkpoint_every=1, checkpoint_every_s=1e-9, keep_checkpoints=5)
    assert run.checkpoints.steps() == [36, 37, 38, 39, 40]
    assert_same(everything(run), everything(whole[2]))


def test_checkpoints_come_with_time(tmp_path):
    _, _, run = train(tmp_path / "run", max_steps=5, checkpoint_every_s=1e-9, keep_checkpoints=9)
    assert run.checkpoints.steps() == [1, 2, 3, 4, 5]


def test_the_best_checkpoint_is_kept(whole):
    outcome, _, run = whole
    best = run.checkpoints.read_best()
    assert best.step == outcome.counters.best_step
    assert best.state["counters"]["best"] == outcome.counters.best
    weights = run.read_model()
    assert all(torch.equal(weights[name], tensor) for name, tensor in best.state["model"].items())


class Untold(LanguageModel):
    """Its first evaluation gives no number."""

    evaluations = 0

    def eval(self):
        self.evaluations += 1
        return super().eval()

    def loss(self, chunk, state=None):
        loss, state = super().loss(chunk, state)
        return loss * math.nan if not self.training and self.evaluations == 1 else loss, state


def test_any_number_is_better_than_none(tmp_path):
    module = Untold(LETTERS, 6, 10, num_layers=2)
    outcome, _, run = train(tmp_path / "run", module=module, max_steps=12)
    assert outcome.counters.best_step == 12
    assert math.isfinite(outcome.counters.best)
    assert all(torch.equal(run.read_model()[name], tensor) for name, tensor in module.state_dict().items())


def test_another_optimiser_does_not_go_on_with_the_state_of_one(tmp_path):
    train(tmp_path / "run", max_steps=6)
    with pytest.raises(RunError, match=r"does not fit the settings it is resumed with: training\.optimizer is another"):
        train(tmp_path / "run", resume=True, max_steps=12, optimizer="sgd")


def test_the_best_model_is_that_of_the_state_gone_on_from(tmp_path):
    """A process that was killed after it had written a newer model, or before it had called its newest checkpoint the best."""
    outcome, _, run = train(tmp_path / "run", max_steps=12)
    assert outcome.counters.best_step == 12
    right = run.model_file.read_bytes()
    run.write_model({"w": torch.ones(1)})
    run.checkpoints.name_best(6)
    train(tmp_path / "run", max_steps=12, resume=True)
    assert run.model_file.read_bytes() == right
    assert run.checkpoints.read_best().step == 12


@pytest.mark.parametrize("name", ["ema", "nt-asgd"])
def test_averaged_weights_are_evaluated_and_kept(tmp_path, name):
    seen = []

    def hear(step, loss):
        seen.append((step, loss))

    settings = {"averaging": name, "averaging_patience": 1, "ema_decay": 0.5, "learning_rate": 1.0, "max_steps": 20}
    _, module, run = train(tmp_path / "run", how={"on_evaluation": hear}, evaluate_every=2, **settings)
    state = run.checkpoints.read().state
    assert state["averaging"]["weights"] is not None
    assert_same(state["model"], {name: tensor.detach() for name, tensor in module.state_dict().items()})
    best = LanguageModel(LETTERS, 6, 10, num_layers=2)
    best.load_state_dict({**state["model"], **state["averaging"]["weights"]})
    assert evaluate(best, streams()).nats_per_token == seen[-1][1]
    best.load_state_dict(run.read_model())
    assert evaluate(best, streams()).nats_per_token == min(loss for _, loss in seen)


def test_whoever_listens_to_the_evaluations_can_stop(tmp_path):
    heard = []

    def listen(step, loss):
        heard.append((step, loss, RunFolder(tmp_path / "run").checkpoints.steps()[-1]))
        return step == 12

    outcome, _, _ = train(tmp_path / "run", how={"on_evaluation": listen})
    assert outcome.ending == "pruned"
    assert [(step, saved) for step, _, saved in heard] == [(6, 6), (12, 12)]


def test_the_learning_rate_follows_the_length_of_the_chunk(tmp_path):
    settings = {"vary_length": True, "schedule": "constant", "warmup": 0.0, "log_every": 1}
    settings |= {"chunk_length": 8, "accumulate": 2}
    _, _, run = train(tmp_path / "run", max_steps=6, **settings)
    lengths = [chunk.target.shape[0] for chunk in streams(vary_length=True)][:12]
    assert len(set(lengths)) > 3
    rates = [line["learning_rate"] for line in everything(run)[1] if "loss" in line]
    means = [(lengths[i] + lengths[i + 1]) / 2 for i in range(0, 12, 2)]
    assert rates == pytest.approx([0.02 * mean / 8 for mean in means])


def test_the_schedule_of_epochs_counts_epochs(tmp_path):
    settings = {"schedule": "epochs", "decay": 0.5, "decay_after_epochs": 1.0, "warmup": 0.0, "log_every": 1}
    _, _, run = train(tmp_path / "run", max_steps=None, max_epochs=3, **settings)
    rates = [line["learning_rate"] for line in everything(run)[1] if "loss" in line]
    per_epoch = streams().chunks_per_epoch
    assert rates == [0.02] * per_epoch + [0.01] * per_epoch + [0.005] * per_epoch


def test_evaluations_by_epochs(tmp_path):
    _, _, run = train(tmp_path / "run", max_steps=None, max_epochs=2, evaluate_every=None, evaluate_every_epochs=0.5)
    per_epoch = streams().chunks_per_epoch
    steps = [line["step"] for line in everything(run)[1] if "validation_loss" in line]
    assert steps == [math.ceil(per_epoch * share) for share in (0.5, 1, 1.5, 2)]


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


def test_what_is_measured_after_a_step_is_kept_and_changes_nothing(whole, tmp_path):
    asked = []

    def look(step):
        asked.append(step)
        return {"insight/reach": float(step)} if step % 3 == 0 else {}

    _, _, run = train(tmp_path / "run", how={"on_step": look})
    assert asked == list(range(1, 41))
    state, lines, model = everything(run)
    plain_state, plain_lines, plain_model = everything(whole[2])
    seen = [line for line in lines if "insight/reach" in line]
    assert seen == [{"step": step, "insight/reach": float(step)} for step in range(3, 41, 3)]
    assert [line for line in lines if "insight/reach" not in line] == plain_lines
    assert state.pop("metrics_lines") == plain_state.pop("metrics_lines") + len(seen)
    assert_same((state, model), (plain_state, plain_model))

    train(tmp_path / "parts", hook=at(2, signal.SIGINT), how={"on_step": look})
    _, _, parts = train(tmp_path / "parts", resume=True, how={"on_step": look})
    assert_same(everything(parts), everything(run))


def test_a_part_of_the_module_may_follow_the_training(tmp_path):
    class Following(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.told = []

        def follow_training(self, progress):
            self.told.append(progress)

    module = LanguageModel(LETTERS, 6, 10)
    module.part = Following()
    train(tmp_path / "run", module=module, max_steps=4)
    assert module.part.told == [0.0, 0.25, 0.5, 0.75]


def test_nothing_is_kept_of_a_step_that_was_not_made(tmp_path, monkeypatch):
    """On a device that is not waited for, whoever looks may be ahead of what is known."""

    def hasty(self, *arguments):
        begin(self, *arguments)
        self.reads_every_update = False

    begin = Updater.__init__
    monkeypatch.setattr(Updater, "__init__", hasty)

    class Late(LanguageModel):
        def loss(self, chunk, state=None):
            loss, state = super().loss(chunk, state)
            return (loss * math.nan if self.training and len(looked) == 3 else loss), state

    looked = []

    def look(step):
        looked.append(step)
        return {"seen": 1.0}

    with pytest.raises(DivergedError):
        train(tmp_path / "run", module=Late(LETTERS, 6, 10, num_layers=2), how={"on_step": look})
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "seen" in line] == [1, 2, 3]


def test_of_weights_that_few_examples_cannot_tell_apart_the_last_are_kept(tmp_path):
    told = [
        (1.0, 2.0, 3.0),
        (0.5, 1.0, 1.5),
        (0.9, 0.7, 1.5),
        (1.0, 1.5, 2.0),
        (0.9, 0.8, 1.5),
        (1.0, 1.5, 2.0),
        (2.0, 2.0, 2.0),
    ]
    seen = []

    def evaluator(module, *, should_stop, total):
        losses = told[len(seen)]
        seen.append(losses)
        return Evaluation(sum(losses), 3, losses=losses)

    outcome, _, run = train(tmp_path / "run", how={"evaluator": evaluator})
    # That of step 12 has the lowest mean, and those of 18 and 30 are higher by less than they vary.
    assert (outcome.counters.best_step, outcome.counters.lowest) == (30, told[1])
    assert run.checkpoints.read_best().step == 30
    seen.clear()
    train(tmp_path / "cut", how={"evaluator": evaluator}, max_steps=12)
    outcome, _, _ = train(tmp_path / "cut", how={"evaluator": evaluator}, resume=True, max_steps=40)
    assert outcome.counters.lowest == told[1]
    seen.clear()
    outcome, _, _ = train(tmp_path / "patient", how={"evaluator": evaluator}, patience=2)
    assert (outcome.ending, outcome.counters.step, outcome.counters.best_step) == ("patience", 24, 18)
