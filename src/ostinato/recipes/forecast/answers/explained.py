"""What a forecaster is asked in an explanation: which past steps and covariates made a forecast."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from ostinato.insight.reasons.question import Question
from ostinato.models.forecasting.scale import Scale, fill_forward
from ostinato.models.forecasting.windows import SeriesBatch
from ostinato.recipes.forecast.data import Track
from ostinato.recipes.forecast.known import ForecastKnown, kind_of
from ostinato.types import Tensor

VALUE = "value"


def question(
    learnt: Any, part: Any, batch: SeriesBatch, ahead: int, future: Tensor, anchor: float, times: list[str]
) -> Question:
    """Asks about the forecast of a step to come, in the unit of the series: the median or the mean.

    The head decides which of the two (`Head.middle`): for counts it is the mean, as their median moves in jumps. The
    steps before the asked one have their own forecasts. The baseline that stands for nothing is a series that has
    always had its last value, with covariates at their means, and no word. The scale of the window and the size of its
    values stay those of the data. Steps to come have covariates only. The columns of a kind of words are one channel.

    Args:
        learnt: the model of a run.
        part: the forecasts.
        batch: a batch of one row.
        ahead: which step to come, from 1.
        future: (ahead, 1, K), the covariates that are known for the steps to come.
        anchor: the value that the values of the batch are relative to.
        times: the times of the past and of the steps to come, as they are written.
    """
    model, known = learnt.model, learnt.known
    past = int(batch.past[0])
    window = {"input": batch.input[:past], "known": _cut(batch.known, past), "observed": _cut(batch.observed, past)}
    batch = dataclasses.replace(batch, **window, lengths=None)
    with torch.no_grad():
        z, scale = model.scaled(batch)
        filled, there = fill_forward(z)
        level, floored, size = model._levels(batch)
    like = filled.new_zeros(past, 1, 0)
    told, seen = (like if v is None else v.to(filled.dtype) for v in (batch.known, batch.observed))
    K, P = told.shape[2], seen.shape[2]
    below = torch.cat([filled.unsqueeze(2), told.nan_to_num(0.0), seen.nan_to_num(0.0)], 2)
    above = torch.cat([filled.new_zeros(ahead, 1, 1), future.to(filled.dtype), filled.new_zeros(ahead, 1, P)], 2)
    x = torch.cat([below, above])

    def answer(network: Any, variants: Tensor) -> Tensor:
        rows = variants.shape[1]

        def many(v: Tensor) -> Tensor:
            return (v.to(variants) if v.is_floating_point() else v).expand(rows)

        values, known_then, observed = variants[:past].split([1, K, P], 2)
        observed = observed.masked_fill(seen.isnan().expand(-1, rows, -1), torch.nan)
        # Everything that belongs to a row, once for each variant of it.
        alike = {name: getattr(batch, name) for name in ("past", "series", "level", "floored", "channel")}
        alike = {name: None if v is None else many(v) for name, v in alike.items()}
        several = dataclasses.replace(batch, input=values[..., 0], known=known_then, observed=observed, **alike)
        wide = Scale(many(scale.centre), many(scale.width))
        behind = network.behind_filled(several, values[..., 0], there.expand(-1, rows), wide)
        # `values` are in the window's scale here; the size is in the unit of the series.
        behind = dataclasses.replace(behind, level=many(level), floored=many(floored), size=many(size))
        beside = [
            network._beside(several, variants[past + step, :, 1 : 1 + K], observed if step == 0 else None)
            for step in range(ahead)
        ]
        return network.middles(behind, beside)[-1] + anchor

    row, track = int(batch.rows[0]), part.tracks[part.series[int(batch.rows[0])]]
    origin = int(part.origin[row])
    names, columns, own = _channels(known, track, slice(origin - past, origin + ahead))
    cells = np.arange(past + ahead)[:, None] * len(names) + np.array(columns)
    cells[past:, [0, *range(1 + K, 1 + K + P)]] = -1
    read = np.full((past + ahead, len(names)), np.nan)
    read[:past, 0] = track.values[origin - past : origin]
    for at, numbers in own.items():  # in their own unit, for the steps that the table has
        read[: len(numbers), at] = numbers
    read[past:, [at for at in own if at > max(columns[: 1 + K])]] = np.nan
    with torch.no_grad():
        said = float(answer(model, x)[0])
    return Question(
        model,
        answer,
        x,
        torch.zeros_like(x),
        f"forecast of step {ahead} to come, {model.head.middle_is}",
        "the series' unit",
        tuple(times),
        tuple(names),
        cells,
        name=track.id or f"forecast {row}",
        said=f"{said:.6g}",
        read=read,
    )


def _channels(known: ForecastKnown, track: Track, window: slice) -> tuple[list[str], list[int], dict[int, np.ndarray]]:
    """Names of channels; the channel of each input column; and for channels of numbers their values in the window.

    The input columns are the value, two for each cycle of the calendar, covariates known ahead of time, static
    covariates, and covariates known up to now.
    """
    words = {} if known.layout is None else known.layout.words
    names, columns, own = [VALUE, *known.cycles], [0], dict[int, np.ndarray]()
    columns += [1 + at // 2 for at in range(2 * len(known.cycles))]
    steps = len(track.times[window])
    same = np.broadcast_to(track.static, (steps, len(track.static)))
    for scales, table in (
        (known.known, track.known[window]),
        (known.static, same),
        (known.observed, track.observed[window]),
    ):
        last = ""
        for at, (name, *_) in enumerate(scales):
            kind = kind_of(name, words)
            if not kind or kind != last:
                names.append(kind or name)
            last = kind
            columns.append(len(names) - 1)
            if not kind:
                own[len(names) - 1] = table[:, at]
    return names, columns, own


def _cut(v: Tensor | None, steps: int) -> Tensor | None:
    return None if v is None else v[:steps]
