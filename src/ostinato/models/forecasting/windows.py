"""What a forecaster reads, its state after that, and the uniform numbers of its paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ostinato.data.batches.batches import Batch
from ostinato.models.forecasting.frame import Frame
from ostinato.models.forecasting.scale import Scale


@dataclass(frozen=True)
class SeriesBatch(Batch):
    """Windows of series side by side: the past, then the steps to come; padded at their ends.

    `input` are values (T, B), NaN for missing ones; `lengths` are the steps of a window, past and future together.
    `target` is not used.

    Attributes:
        past: (B,) int64, from 1: how many steps of each row are past; the others are to come.
        known: (T, B, K), covariates known ahead of time, for every step.
        observed: (T, B, P), covariates known up to now only, NaN for missing ones; those of steps to come are not used.
        series: (B,) int64, the number of the series; 0 for one that training never had.
        least_scale: (B,), the least scale of a row, at least 0; see `Scale`.
        level: (B,), what was subtracted from the values of a row, so that a value of 0 is -level here; None for 0.
        floored: (B,) bool, whether a row has no value below 0, and so no forecast below it; None if all rows may have
            some.
        group: (B,) int64: rows with the same number are joint series, from the same origin; None for none.
        channel: (B,) int64, from 0: which of the joint series a row is, so that it has draws of its own; None for the
            first.
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
    """The state of a forecaster after the past of B rows.

    Attributes:
        state: the state of the layers.
        scale: the scale of the windows.
        values: (reach, B), the last values, in the scale of the window; missing ones filled.
        flags: (reach, B), 1 if there was a value, else 0.
        begun: (reach, B), 1 if the series had begun by then, else 0.
        means: (m, B), the means of the baseline, from that of the first step to come on; or None.
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
    """Forecasts of values to come, each from the true values before it, and the true changes; from the step `begin` on.

    Attributes:
        begin: the first step.
        raw: (T - begin, B, K), numbers of the head.
        change: (T - begin, B), the true value minus the baseline, in the scale of the window; 0 if it is not counted.
        counted: (T - begin, B) bool, whether there is a value to come, and a scale.
        baseline: (T - begin, B), in the scale of the window.
        scale: the scale of the windows.
        frame: the frame of the same places; None for a head that reads none.
    """

    begin: int
    raw: torch.Tensor
    change: torch.Tensor
    counted: torch.Tensor
    baseline: torch.Tensor
    scale: Scale
    frame: Frame | None


def uniform_numbers(horizon: int, samples: int, seed: int, draws: int = 2) -> torch.Tensor:
    """Uniform numbers (horizon, draws, S): each row has one in each of S equal parts of [0, 1], in an order of its own.

    So the S draws of a step are spread as evenly as possible (Latin hypercube; McKay et al. 1979), and intervals need
    fewer draws.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(horizon, draws, samples, generator=generator, dtype=torch.float64, device="cpu").argsort(-1)
    within = torch.rand(horizon, draws, samples, generator=generator, dtype=torch.float64, device="cpu")
    # Away from 0 and 1 in float32 too, so that logarithms and inverses are finite.
    return ((order + within) / samples).clamp(1e-6, 1.0 - 1e-6).float()
