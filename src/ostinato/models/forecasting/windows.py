"""What a forecaster reads, where it stands behind it, and the numbers that its paths are drawn with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ostinato.data.batches.batches import Batch
from ostinato.models.forecasting.frame import Frame
from ostinato.models.forecasting.scale import Scale


@dataclass(frozen=True)
class SeriesBatch(Batch):
    """Windows of series side by side: what was, and behind it what is to come; padded at their ends.

    `input` are values (T, B), NaN where missing; `lengths` are the steps of a window, past and future together. `target` is unused.

    Attributes:
        past: (B,) int64, from 1: how many steps of each row were; the others are to come.
        known: (T, B, K), covariates that are known ahead of time, of every step.
        observed: (T, B, P), covariates that are known up to now only, NaN where missing; those to come are not looked at.
        series: (B,) int64, which series it is; 0 for one that training never had.
        least_scale: (B,), the least scale of a row, at least 0; see `Scale`.
        level: (B,), what was subtracted from the values of a row, so that a value of 0 is -level here; None for 0.
        floored: (B,) bool, whether a row has no value below 0, and no forecast; None for rows that may.
        group: (B,) int64: rows of the same number are series that belong together, from the same origin; None for none.
        channel: (B,) int64, from 0: which of the series that belong together a row is, for draws of its own; None for the first.
    """

    past: torch.Tensor = None  # pyright: ignore[reportAssignmentType]  # a field behind one with a default must have one
    known: torch.Tensor | None = None
    observed: torch.Tensor | None = None
    series: torch.Tensor | None = None
    least_scale: torch.Tensor | None = None
    level: torch.Tensor | None = None
    floored: torch.Tensor | None = None
    group: torch.Tensor | None = None
    channel: torch.Tensor | None = None


@dataclass(frozen=True)
class Behind:
    """Where a forecaster stands behind the past of B rows.

    Attributes:
        state: of the layers.
        scale: of the windows.
        values: (reach, B), the last values, in the scale of the window; missing ones filled.
        flags: (reach, B), 1 where there was one, else 0.
        begun: (reach, B), 1 where there had been one by then.
        means: (m, B), of the baseline, the first one for the first step; or None.
        level: (B,), see `SeriesBatch`.
        floored: (B,) bool, see `SeriesBatch`.
        size: (B,), about how large the values of the past are, in the unit of the series, see `Frame`.
        channel: (B,) int64, see `SeriesBatch`.
    """

    state: Any
    scale: Scale
    values: torch.Tensor
    flags: torch.Tensor
    begun: torch.Tensor
    means: torch.Tensor | None
    level: torch.Tensor
    floored: torch.Tensor
    size: torch.Tensor
    channel: torch.Tensor


@dataclass(frozen=True)
class OneStep:
    """What is said of each value to come from the true values before it, and what came; from the step `begin` on.

    Attributes:
        begin: the first step.
        raw: (T - begin, B, K), numbers of the head.
        change: (T - begin, B), what came less the baseline, in the scale of the window; 0 where it is not counted.
        counted: (T - begin, B) bool, whether there is a value to come, and a scale.
        baseline: (T - begin, B), in the scale of the window.
        scale: of the windows.
        frame: of the same places; None for a head that reads none.
    """

    begin: int
    raw: torch.Tensor
    change: torch.Tensor
    counted: torch.Tensor
    baseline: torch.Tensor
    scale: Scale
    frame: Frame | None


def uniform_numbers(horizon: int, samples: int, seed: int, draws: int = 2) -> torch.Tensor:
    """(horizon, draws, S): each row has one number from each of S equal parts of [0, 1], in an order of its own.

    So the S draws of one step are as evenly spread as they can be (Latin hypercube; McKay et al. 1979), and intervals need fewer.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(horizon, draws, samples, generator=generator, dtype=torch.float64, device="cpu").argsort(-1)
    within = torch.rand(horizon, draws, samples, generator=generator, dtype=torch.float64, device="cpu")
    # Away from 0 and 1 in float32 too, whose logarithms and inverses are then finite.
    return ((order + within) / samples).clamp(1e-6, 1.0 - 1e-6).float()
