"""What is learnt from validation after the weights: how wide intervals must be, and which values are strange."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ostinato.data.batches.batches import InOrder
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.windows import SeriesBatch, uniform_numbers
from ostinato.models.parts.reading import reading
from ostinato.recipes.forecast.answers.alarm import Alarm
from ostinato.recipes.forecast.answers.calibration import Calibration
from ostinato.recipes.forecast.data import ForecastPart, Track
from ostinato.recipes.forecast.judge import ForecastJudge
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.settings import AnswerSettings
from ostinato.recipes.forecast.windows import SeriesWindows
from ostinato.training.update.tree import map_tensors

_ROWS = 64
_MIDDLE_OF = 64  # draws of which the median is taken


def calibrated(model: Forecaster, known: ForecastKnown, validation: ForecastPart) -> ForecastKnown:
    """Adds to what is known how wide intervals must be, and how surprising ordinary values are.

    Args:
        model: the model with the weights that are kept.
        known: what is known so far.
        validation: forecasts that the weights were not learnt from.
    """
    windows = SeriesWindows(validation, known)
    judge = ForecastJudge(model, windows, known, AnswerSettings(conformal="none"), final=False, is_scored=True)
    with reading(model):
        for batch in _batches(model, windows):
            judge.see(batch)
        apart = SeriesWindows(validation.apart(), known)
        surprises = [_surprises(model, batch)[0].flatten() for batch in _batches(model, apart)]
    alarm = Alarm.of(torch.cat(surprises).double().cpu().numpy()) if surprises else None
    return dataclasses.replace(known, calibration=Calibration.of(judge.scores, len(apart.part)), alarm=alarm)


def _batches(model: Forecaster, windows: SeriesWindows) -> Any:
    device = next(model.parameters()).device
    return (map_tensors(lambda v: v.to(device), batch) for batch in InOrder(windows, _ROWS))


def _surprises(model: Forecaster, batch: SeriesBatch) -> tuple[torch.Tensor, torch.Tensor, int]:
    """The surprise of each value and the median expected relative to the anchors, (T', B) each; and the first step."""
    found = model.one_step(batch)
    surprise = model.head.surprise(found.raw, found.change, found.frame).to(found.change.dtype)
    T, B = found.change.shape
    uniform = uniform_numbers(1, _MIDDLE_OF, 0)[0].to(found.raw)
    drawn = model.head.sample(
        found.raw.reshape(T * B, -1).repeat_interleave(_MIDDLE_OF, 0),
        uniform.repeat(1, T * B),
        None if found.frame is None else found.frame.flat().repeated(_MIDDLE_OF),
    )
    change = drawn.reshape(T, B, _MIDDLE_OF).median(-1).values
    middle = found.scale.centre + found.scale.width * (found.baseline + change)
    return surprise.masked_fill(~found.counted, torch.nan), middle, found.begin


def scanned(model: Forecaster, known: ForecastKnown, part: ForecastPart, series: int, rate: float) -> dict[str, Any]:
    """How strange each value of a series is, given the values before it.

    Args:
        model: the model of the run.
        known: what is known about the data.
        part: the part with the series.
        series: the number of its track.
        rate: the rate of false alarms, above 0 and below 1.

    Returns:
        Lists with an entry for each step: `expected` (the median), `surprise`, `probability` (how often an ordinary
        value is at least so surprising) and `anomaly`; an entry is None at the beginning, where nothing can be said,
        and for a missing value.
    """
    track = part.tracks[series]
    T = len(track)
    expected, surprise = np.full(T, np.nan), np.full(T, np.nan)
    origins = _origins(track, known)
    if origins:
        horizon = min(known.horizon, T - origins[0])
        made = dataclasses.replace(
            part, series=np.full(len(origins), series), origin=np.array(origins), horizon=horizon, tracks=part.tracks
        )
        windows = SeriesWindows(made, known)
        with reading(model):
            for batch in _batches(model, windows):
                surprises, medians, begin = _surprises(model, batch)
                found, middle = (v.double().cpu().numpy() for v in (surprises, medians))
                for at, row in enumerate(batch.rows.tolist()):
                    first = int(batch.past[at]) - begin
                    place = slice(origins[row], origins[row] + horizon)
                    surprise[place] = found[first : first + horizon, at]
                    expected[place] = windows.absolute(np.array([row]), middle[None, first : first + horizon, at])[0]
    alarm = known.alarm
    shares = np.full(T, np.nan) if alarm is None else alarm.probability(surprise)
    return {
        "expected": _listed(np.where(np.isnan(surprise), np.nan, expected)),
        "surprise": _listed(surprise),
        "probability": _listed(shares),
        "anomaly": [None if np.isnan(share) else bool(share <= rate) for share in shares],
    }


def _origins(track: Track, known: ForecastKnown) -> list[int]:
    """The origins of windows that together forecast every step once, from the first step with enough past on."""
    T = len(track)
    seen = np.flatnonzero(track.seen > 1)
    if not len(seen) or seen[0] >= T:
        return []
    first = max(int(seen[0]), min(known.context, T // 2))
    horizon = min(known.horizon, T - first)
    found = list(range(first, T - horizon + 1, horizon))
    if found[-1] + horizon < T:
        found.append(T - horizon)
    return found


def _listed(values: np.ndarray) -> Sequence[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]
