"""Which head suits the data: each possible one is trained for a few steps, and its validation forecasts are judged."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import torch

from ostinato.data.batches.batches import Batches, InOrder
from ostinato.data.batches.drawn import DrawnBatches
from ostinato.data.records.splits import Splits
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.heads import AMOUNT_HEADS, COUNT_HEADS, HeadName, make_head
from ostinato.models.parts.reading import reading
from ostinato.recipes.forecast.data import ForecastPart
from ostinato.recipes.forecast.judge import ForecastJudge
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.many import DrawnWindows, Numbered
from ostinato.recipes.forecast.settings import AnswerSettings, ForecastSettings
from ostinato.recipes.forecast.start import begin, thinned
from ostinato.recipes.forecast.windows import SeriesWindows
from ostinato.training.distributed.device import choose_device
from ostinato.training.update.tree import map_tensors

_STEPS = 60  # of training with each head, but at most a fifth of the run's
_SHARE_OF_TIME = 0.1  # the share of the run's time that each head may take
_FORECASTS = 100  # validation forecasts that are judged
_SAMPLES = 100
_CLIP = 1.0

Build = Callable[[ForecastSettings, ForecastKnown], Forecaster]


def candidates(known: ForecastKnown, train: ForecastPart) -> tuple[HeadName, ...]:
    """The heads that may suit training: those of counts if all values are whole, of amounts if none is negative."""
    names: tuple[HeadName, ...] = ("student-t", "quantiles")
    if not known.nonnegative or not all(known.nonnegative):
        return names
    if known.whole:
        return (*names, *COUNT_HEADS)
    pieces = zip(train.tracks, train.fitted, strict=True)
    has_zeros = any(bool((track.values[:end] == 0).any()) for track, end in pieces)
    return (*names, *(name for name in AMOUNT_HEADS if name != "log-normal" or not has_zeros))


def choose(
    settings: ForecastSettings, known: ForecastKnown, splits: Splits[ForecastPart], build: Build
) -> ForecastKnown:
    """Adds to what is known the head with the smallest CRPS on validation, each series in its own unit.

    Each head is trained for 60 steps, at most a fifth of the run's steps, and no longer than a tenth of its time; so
    all of them take less than the training itself.
    """
    validation = thinned(splits.validation, _FORECASTS)
    found: list[tuple[float, HeadName, ForecastKnown]] = []
    for name in candidates(known, splits.train):
        its = begin(splits.train, dataclasses.replace(known, head=name), make_head(name), settings.model.baseline)
        found.append((_tried(settings, its, splits.train, validation, build), name, its))
    _, _, best = min(found, key=lambda each: each[0])
    trials = tuple((name, crps) for crps, name, _ in sorted(found, key=lambda each: each[0]))
    return dataclasses.replace(best, trials=trials)


def _tried(
    settings: ForecastSettings, known: ForecastKnown, train: ForecastPart, validation: ForecastPart, build: Build
) -> float:
    """The CRPS on validation after a few steps of training; infinite if there is none."""
    how, budget = settings.training, settings.training.budget
    steps = _STEPS if budget.max_steps is None else max(1, min(_STEPS, budget.max_steps // 5))
    until = None if budget.max_time_s is None else time.perf_counter() + _SHARE_OF_TIME * budget.max_time_s
    torch.manual_seed(settings.seed)
    device = choose_device(settings.device)
    model = build(settings, known).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), how.learning_rate)
    batches = _batches(train, known, how.batch_size, settings.seed)
    done = 0
    while done < steps and (until is None or time.perf_counter() < until):
        for batch in batches:
            optimizer.zero_grad(set_to_none=True)
            loss, _ = model.loss(map_tensors(lambda v: v.to(device), batch))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
            optimizer.step()
            done += 1
            if done >= steps or (until is not None and time.perf_counter() >= until):
                break
    windows = SeriesWindows(validation, known)
    judge = ForecastJudge(model, windows, known, AnswerSettings(samples=_SAMPLES), final=False)
    model.eval()
    with reading(model):
        for batch in InOrder(windows, 64):
            judge.see(map_tensors(lambda v: v.to(device), batch))
    crps = judge.scaled_crps()
    return crps if crps == crps else float("inf")


def _batches(train: ForecastPart, known: ForecastKnown, size: int, seed: int) -> Batches | DrawnBatches:
    if isinstance(train.origin, Numbered):
        return DrawnBatches(DrawnWindows(train, known), size, seed=seed)
    return Batches(SeriesWindows(train, known), size, seed=seed)


def told(trials: Sequence[tuple[str, float]]) -> str:
    """A line about which head was chosen, and the CRPS of each."""
    best, *others = (f"{name} ({crps:.4g})" for name, crps in trials)
    line = f"head: {best}, of the smallest CRPS on validation after a few steps of each, in the unit of MASE"
    return line + (f"; others: {', '.join(others)}" if others else "")
