"""What a forecaster starts from: the baseline that leaves least to learn, and the distribution of its errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from ostinato.models.forecasting.baseline import BASELINE_NAMES, Baseline, BaselineName
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.frame import Frame
from ostinato.models.forecasting.heads import Head, least_size
from ostinato.models.forecasting.scale import fill_forward, size_of
from ostinato.recipes.forecast.data import ForecastPart
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.windows import SeriesWindows

_MOST_WINDOWS = 512  # evenly spread windows whose errors are measured
_SURE = 3.0  # deviations of a fair coin, above which errors lean to a side
_NEARLY = 1.02  # times the least error: the simplest baseline within it is taken


def begin(train: ForecastPart, known: ForecastKnown, head: Head, wanted: BaselineName | None) -> ForecastKnown:
    """Adds to what is known the baseline, the output layer's first numbers, and how far series spread.

    The baseline is the one with the smallest errors a step ahead, from the true values before it: these are what the
    training loss is about. The one with the best whole forecasts may leave more to learn, if noise adds up from step to
    step.

    Args:
        train: the training forecasts.
        known: what is known so far.
        head: the head of the model.
        wanted: the baseline; None for the simplest that is nearly the best.
    """
    # Windows are about a horizon apart, so that each step counts once.
    thin = thinned(train, min(_MOST_WINDOWS, -(-len(train) // train.horizon)))
    known = dataclasses.replace(known, widths=_widths(train))
    windows = SeriesWindows(thin, known)
    names: list[BaselineName] = [name for name in BASELINE_NAMES if wanted in (None, name)]
    if wanted is None and known.season == 1:
        names = [name for name in names if name in ("last_value", "season_mean")]
    errors: dict[BaselineName, torch.Tensor] = {
        name: one_step_errors(windows, Baseline(name, known.season)) for name in names
    }
    sizes: dict[BaselineName, float] = {
        name: float((each - each.median()).abs().mean()) for name, each in errors.items()
    }
    best: BaselineName = next(name for name in names if sizes[name] <= _NEARLY * min(sizes.values()))
    # Counts and amounts have a frame: their errors are not centred.
    frame = frame_of(windows, Baseline(best, known.season), head)
    start = head.start(centred(errors[best]) if frame is None else errors[best], frame)
    return dataclasses.replace(known, baseline=best, start=tuple(start.tolist()))


def thinned(part: ForecastPart, most: int) -> ForecastPart:
    """At most so many of the forecasts, evenly spread."""
    rows = np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).round().astype(int))
    return dataclasses.replace(part, series=part.series[rows], origin=part.origin[rows])


def one_step_errors(windows: SeriesWindows, baseline: Baseline) -> torch.Tensor:
    """The errors of a baseline a step ahead, (N,), from the true values before, in the scale of each window."""
    batch = windows.batch(np.arange(len(windows.part)))
    z, scale = Forecaster.scaled(batch)
    filled, is_there = fill_forward(z)
    counted = is_there & Forecaster.to_come(batch) & (scale.width > 0)
    found = (z - baseline.of_window(filled, is_there, batch.past))[counted]
    return found if len(found) else z.new_zeros(1)


def frame_of(windows: SeriesWindows, baseline: Baseline, head: Head) -> Frame | None:
    """Where zero is, relative to each value of `one_step_errors`; None for a head that does not read it."""
    if not head.reads_frame:
        return None
    batch = windows.batch(np.arange(len(windows.part)))
    z, scale = Forecaster.scaled(batch)
    filled, is_there = fill_forward(z)
    counted = is_there & Forecaster.to_come(batch) & (scale.width > 0)
    if not bool(counted.any()):
        return Frame(*(z.new_full((1,), v) for v in (0.0, 1.0, 1.0)))
    assert batch.level is not None
    width = torch.where(scale.width > 0, scale.width, 1.0)
    zero = -(batch.level + scale.centre) / width - baseline.of_window(filled, is_there, batch.past)
    size = size_of(batch.input, batch.past, batch.level, least_size(head))
    return Frame(*(each.expand_as(zero)[counted] for each in (zero, width, size)))


def centred(errors: torch.Tensor) -> torch.Tensor:
    """Errors with their median moved to 0, unless they are surely more often above 0 or below it (by the sign test).

    A drift that a random walk has by chance alone is worse than none, as each step adds to it.
    """
    above, below = int((errors > 0).sum()), int((errors < 0).sum())
    return errors if abs(above - below) > _SURE * np.sqrt(above + below) else errors - errors.median()


def _widths(train: ForecastPart) -> tuple[float, ...]:
    """How far values of a series spread in as many steps as a window reads; the usual spread without values.

    For a series that is no longer than that, it is the spread of all its training values, as windows with little past
    tell less.
    """
    found = [
        np.median(
            [np.abs(block - block.mean()).mean() for block in _blocks(track.values[:end], train.context)] or np.nan
        )
        for track, end in zip(train.tracks, train.fitted, strict=True)
    ]
    return tuple(np.nan_to_num(found, nan=np.nanmedian(found)).tolist())


def _blocks(values: np.ndarray, context: int) -> list[np.ndarray]:
    """Pieces of `context` steps from the end, without missing values; a shorter series is one piece."""
    most = max(len(values) // context, 1)
    pieces = (values[max(len(values) - (at + 1) * context, 0) : len(values) - at * context] for at in range(most))
    return [there for piece in pieces if len(there := piece[~np.isnan(piece)])]
