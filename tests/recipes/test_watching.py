"""A run that is watched is the run that it would have been, and says more."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.insight import InsightError
from ostinato.recipes import train
from ostinato.recipes.classify.task import Classify
from ostinato.recipes.settings import RunSettings
from ostinato.recipes.task_training import train as train_task
from ostinato.recipes.watching import COST, PREFIX, watching
from ostinato.training.loop.metrics import Metrics
from ostinato.training.run.settings import UpdateSettings
from tests.recipes import reviews
from tests.recipes.conftest import small

ALONE: Any = SimpleNamespace(world=1, is_first=True)


def lines(run):
    return [json.loads(line) for line in run.metrics_file.read_text().splitlines()]


def watched(settings, every):
    return dataclasses.replace(settings, training=dataclasses.replace(settings.training, watch_every=every))


def test_a_language_model_is_watched_and_learns_the_same(result, text, tmp_path):
    found = train(watched(small(tmp_path / "run", text), 10))
    assert found.run.model_file.read_bytes() == result.run.model_file.read_bytes()
    (first, *_) = seen = [line for line in lines(found.run) if COST in line]
    assert first["step"] == 10
    assert all(line["step"] % 10 == 0 for line in seen)
    for name in ("recurrent.l0/reach in steps", "recurrent.l0/f high share", "embedding.weight/update ratio"):
        assert first[PREFIX + name] >= 0
    assert 0 < first[COST] < 1
    assert not any(name.startswith(PREFIX) for line in lines(result.run) for name in line)
    plain = [line["loss"] for line in lines(result.run) if "loss" in line]
    assert [line["loss"] for line in lines(found.run) if "loss" in line] == plain


def test_so_is_a_task(tmp_path):
    data = reviews.write(tmp_path / "reviews.csv", reviews.rows())
    runs = []
    for every in (None, 4):
        settings = watched(reviews.small(tmp_path / f"run{every}", data), every)
        runs.append(train_task(Classify(), settings).run)
    assert runs[0].model_file.read_bytes() == runs[1].model_file.read_bytes()
    assert next(line["step"] for line in lines(runs[1]) if COST in line) == 4
    assert not any(COST in line for line in lines(runs[0]))


def test_curves_reach_tensorboard(result, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = type(result.run)(tmp_path)
    metrics = Metrics(run)
    metrics.write(3, {"insight/l0/reach in steps": 7.0})
    metrics.close()
    (point,) = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("insight/l0/reach in steps")
    assert (point.step, point.value) == (3, 7.0)


def test_what_cannot_be_watched_is_told_before_training():
    class Dense(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def loss(self, batch, state):
            return self.layer(batch).sum(), None

    def batch():
        return torch.ones(3, 2)

    how = UpdateSettings(watch_every=5)
    assert watching(Dense(), batch, RunSettings(), UpdateSettings(), ALONE) is None
    with pytest.raises(InsightError, match="expected a model with a recurrent layer"):
        watching(Dense(), batch, RunSettings(), how, ALONE)
    two: Any = SimpleNamespace(world=2, is_first=True)
    with pytest.raises(ConfigError, match=r"training\.watch_every: expected whole weights"):
        watching(Dense(), batch, RunSettings(strategy="fsdp"), how, two)
    two.is_first = False
    assert watching(Dense(), batch, RunSettings(), how, two) is None
    with pytest.raises(ConfigError, match=r"training\.watch_every: expected an integer of at least 1, or null, got 0"):
        UpdateSettings(watch_every=0)
