"""Forecasts are asked whatever their head, with words and with what stays the same in a series."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ostinato.models.forecasting.frame import Frame
from ostinato.models.forecasting.heads import HEAD_NAMES, make_head
from ostinato.models.forecasting.low_rank import LowRank
from ostinato.models.forecasting.windows import uniform_numbers
from ostinato.recipes.trained import validation_of
from tests.recipes.forecast.test_counts import rows, settings, write
from tests.recipes.reasons.test_tasks import few, learnt, replies


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_the_middle_of_each_head_is_that_of_what_it_draws(head: Any) -> None:
    torch.manual_seed(0)
    found = make_head(head)
    raw = torch.randn(3, found.size).repeat_interleave(20_000, 0)
    draws = 1 + found.rank if isinstance(found, LowRank) else 2
    # Baselines of 2, nearly 5, and below 0.
    zero = torch.tensor([-0.5, -1.2, 0.1]).repeat_interleave(20_000)
    frame = Frame(zero, torch.full_like(zero, 4.0), torch.full_like(zero, 5.0)) if found.reads_frame else None
    uniform = uniform_numbers(3, 20_000, 0, draws).transpose(0, 1).reshape(draws, -1)
    drawn = found.sample(raw, uniform, frame).view(3, -1)
    middle = found.middle(raw, frame).view(3, -1)[:, 0]
    wanted = drawn.mean(1) if found.middle_is == "mean" else drawn.median(1).values
    assert (middle - wanted).abs().max() < 0.03 * drawn.std(1).max() + 0.01


@pytest.mark.parametrize("head", ["negative-binomial", "zero-inflated", "log-normal", "rectified", "low-rank"])
def test_a_forecast_of_counts_with_words(head: Any, tmp_path: Path) -> None:
    sold = [[*row[:4], row[4] + (head == "log-normal"), *row[5:]] for row in rows(steps=120)]  # which has no zeros
    given = settings(tmp_path / "run", write(tmp_path / "data.csv", sold), head=head)
    run = learnt(few(dataclasses.replace(given, training=dataclasses.replace(given.training, batch_size=16)), 20))
    part = validation_of(run.task, run)()
    answer = run.answer_with({"samples": 2000}).predict(part)[1]
    ahead = 2 if head == "low-rank" else 1
    found = replies(run, part, rows=[1], target=ahead)["gates"][0]
    is_mean = head not in ("log-normal", "low-rank")
    assert found.about == f"forecast of step {ahead} to come, {'mean' if is_mean else 'median'}"
    width = answer["intervals"]["80"]["high"][ahead - 1] - answer["intervals"]["80"]["low"][ahead - 1]
    wanted = answer["mean" if is_mean else "median"][ahead - 1]
    assert found.answer == pytest.approx(wanted, abs=0.05 * width)
    # The words of a kind are one channel.
    assert sorted(set(found.channels) - set(run.known.cycles)) == ["kind", "size", "value", "weekday"]
    assert len(found.channels) == len(set(found.channels))
    assert found.read is not None
    size = found.channels.index("size")
    assert np.all(found.read[:, size] == found.read[0, size])
    later = found.values[-ahead:]
    assert np.all(later[:, found.channels.index("value")] == 0.0)
    assert np.any(later[:, found.channels.index("weekday")] != 0.0)
