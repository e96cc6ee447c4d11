"""`fit` on independent examples, against a plain torch loop."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from ostinato.data.batches.batches import Batch, Batches, InOrder
from ostinato.training import Evaluation, Progress, RunFolder, chunks, evaluate, fit
from ostinato.training.loop.progress import ExampleProgress
from ostinato.training.run.settings import UpdateSettings


class Points:
    """Points on a plane, two classes."""

    def __init__(self, count):
        generator = np.random.default_rng(0)
        self.x = generator.normal(size=(count, 2)).astype(np.float32)
        self.y = (self.x.sum(1) > 0).astype(np.int64)
        self.lengths = self.counts = np.ones(count, np.int64)

    def batch(self, rows):
        x, y = torch.from_numpy(self.x[rows]), torch.from_numpy(self.y[rows])
        return Batch(x[None], y, None, torch.as_tensor(rows))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(2, 2)

    def loss(self, batch, state=None):
        assert state is None
        return nn.functional.cross_entropy(self.linear(batch.input[0]), batch.target), None


SETTINGS = UpdateSettings(batch_size=7, optimizer="sgd", momentum=0.0, weight_decay=0.0, clip_norm=None, max_epochs=2.0,
                          schedule="constant", warmup=0.0, learning_rate=0.5, log_every=1)  # fmt: skip


def train(folder, model, settings=SETTINGS, **arguments):
    run = RunFolder(folder)
    resume = run.config_file.exists()
    if not resume:
        run.create({})
    points = Points(30)
    return fit(
        model,
        Batches(points, 7),
        lambda: InOrder(points, 8),
        run=run,
        settings=settings,
        device="cpu",
        precision="32-true",
        resume=resume,
        **{"progress": Progress(quiet=True), **arguments},
    )


def test_two_epochs_are_those_of_a_plain_loop(tmp_path):
    model, expected = Model(), Model()
    outcome = train(tmp_path, model)
    optimizer = torch.optim.SGD(expected.parameters(), 0.5)
    batches = Batches(Points(30), 7)
    for _ in range(2):
        for batch in batches:
            optimizer.zero_grad()
            expected.loss(batch)[0].backward()
            optimizer.step()
    assert (outcome.counters.step, outcome.counters.tokens) == (10, 60)
    for got, want in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(got, want)


def test_an_evaluation_weighs_batches_by_their_examples():
    points, model = Points(30), Model()
    evaluation = evaluate(model, InOrder(points, 8))
    assert evaluation is not None
    whole = nn.functional.cross_entropy(model.linear(torch.from_numpy(points.x)), torch.from_numpy(points.y))
    assert evaluation.tokens == 30
    assert evaluation.nats_per_token == pytest.approx(whole.item(), rel=1e-6)


def test_a_run_that_is_resumed_ends_like_one_that_was_not(tmp_path):
    whole, parted = Model(), Model()
    train(tmp_path / "whole", whole)
    train(tmp_path / "parted", parted, dataclasses.replace(SETTINGS, max_epochs=1.4))
    other = Model()
    train(tmp_path / "parted", other)
    for got, want in zip(other.parameters(), whole.parameters(), strict=True):
        assert torch.equal(got, want)


def test_an_evaluator_says_which_weights_are_best_and_what_is_written(tmp_path):
    scores = iter([0.5, 0.9, 0.7])
    kept = []

    def evaluator(module, *, should_stop, total):
        kept.append({name: value.clone() for name, value in module.state_dict().items()})
        return Evaluation(3.0, 3, {"accuracy": next(scores)}, judged_by="accuracy")

    settings = dataclasses.replace(SETTINGS, evaluate_every=4)
    progress = ExampleProgress("point", ["accuracy"], quiet=True)
    outcome = train(tmp_path, Model(), settings, evaluator=evaluator, progress=progress)
    assert (outcome.counters.best, outcome.counters.best_step) == (-0.9, 8)
    written = RunFolder(tmp_path).read_model()
    assert all(torch.equal(written[name], kept[1][name]) for name in written)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    evaluated = [line for line in lines if "validation_loss" in line]
    assert [line["validation_accuracy"] for line in evaluated] == [0.5, 0.9, 0.7]
    assert all(line["validation_loss"] == 1.0 for line in evaluated)
    assert "points_per_s" in lines[0]
    assert "bits_per_character" not in lines[0]


def test_what_a_model_begins_with_is_kept_where_nothing_is_better(tmp_path):
    """Step 0 is judged too, and updates are the same as without."""
    scores, model, plain = iter([0.9, 0.5, 0.7]), Model(), Model()
    begun = {name: value.clone() for name, value in model.state_dict().items()}

    def evaluator(module, *, should_stop, total):
        return Evaluation(3.0, 3, {"accuracy": next(scores)}, judged_by="accuracy")

    outcome = train(tmp_path / "first", model, dataclasses.replace(SETTINGS, evaluate_first=True, evaluate_every=5),
                    evaluator=evaluator)  # fmt: skip
    train(tmp_path / "plain", plain)
    assert (outcome.counters.best, outcome.counters.best_step) == (-0.9, 0)
    written = RunFolder(tmp_path / "first").read_model()
    assert all(torch.equal(written[name], begun[name]) for name in written)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))


def test_evaluations_over_the_budget_are_the_same_with_one_before_it(tmp_path):
    found = {}
    for first in (False, True):
        train(tmp_path / str(first), Model(), dataclasses.replace(SETTINGS, evaluate_first=first))
        lines = [json.loads(line) for line in (tmp_path / str(first) / "metrics.jsonl").read_text().splitlines()]
        found[first] = [line["step"] for line in lines if "validation_loss" in line]
    assert found[True] == [0, *found[False]]


def test_a_resumed_run_does_not_begin_again(tmp_path):
    settings = dataclasses.replace(SETTINGS, evaluate_first=True, evaluate_every=5)
    train(tmp_path, Model(), settings, on_evaluation=lambda step, loss: step == 0)
    train(tmp_path, Model(), settings)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation_loss" in line] == [0, 5, 10]


@pytest.mark.parametrize(
    ("figures", "losses", "best_step"),
    [
        ([1.0, 1.0, 1.0], [0.6, 0.2, 0.4], 8),  # accuracy at its end, while the loss still tells
        ([0.0, 0.0, 0.0], [3.0, 2.0, 1.0], 10),  # BLEU of short texts
        ([0.9, 0.8, 0.9], [0.5, 0.1, 0.4], 10),
        ([0.5, 0.5, 0.5], [1.0, 1.0, 1.0], 4),  # nothing was gained
        ([0.5, 0.5, 0.5], [math.nan, 1.0, math.nan], 8),
        ([math.nan, 0.1, 0.1], [1.0, 2.0, math.nan], 8),
    ],
)
def test_the_loss_decides_between_evaluations_of_the_same_figure(tmp_path, figures, losses, best_step):
    found = iter(zip(figures, losses, strict=True))

    def evaluator(module, *, should_stop, total):
        figure, loss = next(found)
        return Evaluation(3 * loss, 3, {"accuracy": figure}, judged_by="accuracy")

    # Stopped in between and resumed: the loss that decides is kept too.
    train(tmp_path, Model(), dataclasses.replace(SETTINGS, evaluate_every=4, max_epochs=0.8), evaluator=evaluator)
    settings = dataclasses.replace(SETTINGS, evaluate_every=4)
    counters = train(tmp_path, Model(), settings, evaluator=evaluator).counters
    at = {4: 0, 8: 1, 10: 2}[best_step]
    assert (counters.best_step, counters.best, pytest.approx(counters.best_loss)) == (
        best_step,
        -figures[at],
        losses[at],
    )


def test_an_outcome_says_which_limit_ended_the_run(tmp_path):
    outcome = train(tmp_path, Model(), dataclasses.replace(SETTINGS, max_steps=3))
    assert outcome.used_up == {"max_steps": 3}
    assert outcome.told() == "at step 3, for training.max_steps 3 is used up; the weights of step 3 are kept"


def test_progress_is_in_the_units_of_the_task():
    progress = ExampleProgress("image", ["accuracy"])
    text = progress.validation_text(Evaluation(2.0, 4, {"accuracy": 0.975, "calibration_error": 0.0123456}))
    assert text == "accuracy 97.50%, calibration error 0.01235, loss 0.5000 nats/image"


def test_batches_are_never_cut():
    with pytest.raises(ValueError, match="expected none of them for batches of examples"):
        next(iter(chunks(Batches(Points(30), 7), k1=3)))


def test_something_to_evaluate_on_is_needed(tmp_path):
    run = RunFolder(tmp_path)
    run.create({})
    with pytest.raises(ValueError, match="expected validation chunks or an evaluator"):
        fit(Model(), Batches(Points(30), 7), run=run, settings=SETTINGS)
