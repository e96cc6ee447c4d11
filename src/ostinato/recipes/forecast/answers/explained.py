"""What a forecaster is asked: which past steps and covariates made the forecast of a step to come."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from ostinato.insight.reasons.question import Question
from ostinato.models.forecasting.scale import Scale, fill_forward
from ostinato.models.forecasting.windows import SeriesBatch
from ostinato.types import Tensor

VALUE = "value"


def question(
    learnt: Any, part: Any, batch: SeriesBatch, ahead: int, future: Tensor, anchor: float, times: list[str]
) -> Question:
    """The median forecast of a step to come, each step before it at its own median, in the unit of the series.

    Nothing is a series that has always had its last value, and covariates at their means. The scale of the window is that of what
    was read. Steps to come have covariates only.

    Args:
        learnt: the model.
        part: the forecasts.
        batch: of one row.
        ahead: which step to come, from 1.
        future: (ahead, 1, K), covariates known of the steps to come.
        anchor: what the values of the batch are relative to.
        times: of the past and of the steps to come, as they are written.
    """
    model, known = learnt.model, learnt.known
    past = int(batch.past[0])
    window = {"input": batch.input[:past], "known": _cut(batch.known, past), "observed": _cut(batch.observed, past)}
    batch = dataclasses.replace(batch, **window, lengths=None)
    with torch.no_grad():
        z, scale = model.scaled(batch)
        filled, there = fill_forward(z)
    like = filled.new_zeros(past, 1, 0)
    told, seen = (like if v is None else v.to(filled.dtype) for v in (batch.known, batch.observed))
    K, P = told.shape[2], seen.shape[2]
    below = torch.cat([filled.unsqueeze(2), told.nan_to_num(0.0), seen.nan_to_num(0.0)], 2)
    above = torch.cat([filled.new_zeros(ahead, 1, 1), future.to(filled.dtype), filled.new_zeros(ahead, 1, P)], 2)
    x = torch.cat([below, above])

    def answer(network: Any, variants: Tensor) -> Tensor:
        rows = variants.shape[1]
        values, known_then, observed = variants[:past].split([1, K, P], 2)
        observed = observed.masked_fill(seen.isnan().expand(-1, rows, -1), torch.nan)
        several = dataclasses.replace(
            batch,
            input=values[..., 0],
            known=known_then,
            observed=observed,
            past=batch.past.expand(rows),
            series=None if batch.series is None else batch.series.expand(rows),
        )
        wide = Scale(*(getattr(scale, name).to(variants).expand(rows) for name in ("centre", "width")))
        behind = network.behind_filled(several, values[..., 0], there.expand(-1, rows), wide)
        beside = [
            network._beside(several, variants[past + step, :, 1 : 1 + K], observed if step == 0 else None)
            for step in range(ahead)
        ]
        # Where both are so, what a Gaussian, a Student-t or quantiles draw is their median.
        uniform = variants.new_tensor([0.5, 0.25]).expand(ahead, 2).unsqueeze(2)
        return network.paths(behind, beside, uniform)[-1, :, 0] + anchor

    names = [VALUE, *known.cycles, *(name for name, *_ in known.known), *(name for name, *_ in known.observed)]
    cycles = len(known.cycles)
    columns = [0, *(1 + n // 2 for n in range(2 * cycles)), *range(1 + cycles, len(names))]
    row, track = int(batch.rows[0]), part.tracks[part.series[int(batch.rows[0])]]
    cells = np.arange(past + ahead)[:, None] * len(names) + np.array(columns)
    cells[past:, [0, *range(1 + K, 1 + K + P)]] = -1
    read = np.full((past + ahead, len(names)), np.nan)
    origin = int(part.origin[row])
    read[:past, 0] = track.values[origin - past : origin]
    for at in range(1 + cycles, len(names)):  # in their own unit, as far as the table has them
        column = at - 1 - cycles
        own = track.known[:, column] if column < len(known.known) else track.observed[:, column - len(known.known)]
        own = own[origin - past : origin + (ahead if column < len(known.known) else 0)]
        read[: len(own), at] = own
    with torch.no_grad():
        said = float(answer(model, x)[0])
    return Question(
        model,
        answer,
        x,
        torch.zeros_like(x),
        f"forecast of step {ahead} to come",
        "the series' unit",
        tuple(times),
        tuple(names),
        cells,
        name=track.id or f"forecast {row}",
        said=f"{said:.6g}",
        read=read,
    )


def _cut(v: Tensor | None, steps: int) -> Tensor | None:
    return None if v is None else v[:steps]
