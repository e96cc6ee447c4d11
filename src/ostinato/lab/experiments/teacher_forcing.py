"""The input of a forecaster in training: the true values, its own forecasts, or more and more of its own forecasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.tasks import waves
from ostinato.nn import GRUCell
from ostinato.training.update.clipping import clip
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The share of steps whose input is the network's own forecast, as a function of the share of training that is done.
WAYS: dict[str, Callable[[float], float]] = {
    "teacher forcing": lambda _: 0.0,
    "scheduled sampling": lambda done: done,
    "free running": lambda _: 1.0,
}
_HIDDEN, _ROWS, _SEEN, _AHEAD, _TESTED = 32, 32, 16, 32, 64
_RATE = 1e-2
_NETWORKS = 3  # of each way: the result of one depends much on its first weights
_NOISE = 0.2  # standard deviation of the measured values around the true wave, of size 1


class OneStepForecaster(nn.Module):
    """A GRU that reads one value a step and forecasts the next."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = GRUCell(1, _HIDDEN), nn.Linear(_HIDDEN, 1)

    def forward(self, series: Tensor, own_share: float, seen: int) -> Tensor:
        """The forecast of each next value, (T - 1, B, 1).

        Args:
            series: (T, B, 1).
            own_share: the probability, from step `seen` on, that a row reads its own forecast instead of the series.
            seen: the number of first steps that always read the series.
        """
        state, said, value = None, [], series[0]
        for t in range(len(series) - 1):
            state = self.cell(value, state)
            said.append(self.head(state))
            is_own = (torch.rand(series.shape[1], 1) < own_share) & torch.tensor(t + 1 >= seen)
            value = torch.where(is_own, said[-1], series[t + 1])
        return torch.stack(said)


def train(share: Callable[[float], float], updates: int) -> OneStepForecaster:
    """Trains a forecaster on noisy waves; `share` gives how often it reads its own forecasts."""
    model = OneStepForecaster()
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters, _RATE)
    for update in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - update / updates)
        series, _ = waves(_ROWS, _SEEN + _AHEAD, _NOISE)
        said = model(series, share(update / updates), _SEEN)
        loss = F.mse_loss(said[_SEEN - 1 :], series[_SEEN:])
        optimizer.zero_grad()
        loss.backward()
        clip(parameters, norm=1.0)
        optimizer.step()
    return model


def measure(seed: int, quick: bool) -> Table:
    """The error against the true wave by steps ahead: reading the series to the end, and reading only own forecasts."""
    series, true = waves(256, _SEEN + _TESTED, _NOISE)
    rows = []
    for name, share in WAYS.items():
        models = [train(share, 2 if quick else 250) for _ in range(1 if quick else _NETWORKS)]
        errors = []
        for own_share in (0.0, 1.0):
            with torch.no_grad():
                off = torch.stack([model(series, own_share, _SEEN)[_SEEN - 1 :] - true[_SEEN:] for model in models])
            errors.append(off.square().mean((0, 2, 3)).sqrt().tolist())
        rows += [(name, ahead + 1, *pair) for ahead, pair in enumerate(zip(*errors, strict=True))]
    return table("training steps_ahead error_fed_truth error_running_free", rows)


def mean(measured: Table, name: str, column: str) -> float:
    """The mean of a column over all steps ahead."""
    values = measured.where(training=name).column(column)
    return sum(values) / len(values)


def judge(measured: Table) -> Verdict:
    """After teacher forcing the error grows while a network reads its own forecasts; scheduled sampling lowers it."""
    fed = {name: mean(measured, name, "error_fed_truth") for name in WAYS}
    free = {name: mean(measured, name, "error_running_free") for name in WAYS}
    teacher, scheduled, running = WAYS
    first = measured.where(training=teacher).column("error_running_free")[0]
    last = {name: measured.where(training=name).column("error_running_free")[-1] for name in WAYS}
    return Verdict(
        f"Fed the truth, networks trained by teacher forcing err by {fed[teacher]:.2f} (scheduled "
        f"sampling {fed[scheduled]:.2f}, free running {fed[running]:.2f}), where the wave has size 1.",
        f"Fed their own forecasts they err by {free[teacher]:.2f} on average and {last[teacher]:.2f} after {_TESTED} steps; "
        f"scheduled sampling brings that to {free[scheduled]:.2f} and {last[scheduled]:.2f}, free running to "
        f"{free[running]:.2f} and {last[running]:.2f}.",
        free[teacher] > 1.5 * fed[teacher] and last[teacher] > 2 * first and free[scheduled] < 0.97 * free[teacher],
    )


def draw(measured: Table) -> Figure:
    """Errors by steps ahead. Left: reading the true series. Right: reading own forecasts."""
    figure, axes = pictures.panels(2)
    most = max(measured.column("error_running_free")) * 1.05
    for axis, column, title in zip(
        axes,
        ("error_fed_truth", "error_running_free"),
        ("Fed the truth at every step", "Fed its own forecasts"),
        strict=True,
    ):
        series = {}
        for name in WAYS:
            part = measured.where(training=name)
            series[name] = (part.column("steps_ahead"), part.column(column))
        axis.set_ylim(0, most)
        plots.name_axes(axis, "time after the last value seen (steps)", "error (sizes of the wave)", title)
        pictures.lines(axis, series)
    return figure


EXPERIMENT = Experiment(
    name="teacher_forcing",
    claim="A network that was only ever fed the truth errs more and more on its own forecasts; scheduled sampling helps.",
    source="Williams & Zipser 1989; Bengio, Vinyals, Jaitly & Shazeer 2015, arXiv 1506.03099",
    measure=measure,
    judge=judge,
    draw=draw,
)
