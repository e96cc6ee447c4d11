"""The state before the first step: zeros, learned, noisy, and wrong on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.tasks import waves
from ostinato.nn import GRU
from ostinato.training.update.clipping import clip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STARTS = {"zeros": "zeros", "learned": "learned", "noisy": "noisy(0.5)"}
EARLY = 10  # the first steps, over which errors are averaged
_HIDDEN, _ROWS, _STEPS = 32, 32, 40
_NOISE = 0.1
_WRONG = 0.5  # standard deviation of a wrong first state, drawn at random


def train(start: str, updates: int) -> tuple[GRU, nn.Linear]:
    """Trains a network to forecast the next value of a wave, with this kind of first state."""
    layer, head = GRU(1, _HIDDEN, initial_state=STARTS[start]), nn.Linear(_HIDDEN, 1)
    parameters = [*layer.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-2)
    for _ in range(updates):
        series, _ = waves(_ROWS, _STEPS + 1, _NOISE)
        loss = F.mse_loss(head(layer(series[:-1])[0]), series[1:])
        optimizer.zero_grad()
        loss.backward()
        clip(parameters, norm=1.0)
        optimizer.step()
    layer.eval()
    return layer, head


def measure(seed: int, quick: bool) -> Table:
    """Errors by step, from the first state of training and from a wrong one."""
    series, true = waves(512, _STEPS + 1, _NOISE)
    wrong = _WRONG * torch.randn(1, 512, _HIDDEN)
    rows = []
    for start in STARTS:
        layer, head = train(start, 2 if quick else 600)
        with torch.no_grad():
            errors = [
                (head(layer(series[:-1], hx)[0]) - true[1:]).square().mean((1, 2)).sqrt().tolist()
                for hx in (None, wrong)
            ]
        rows += [(start, step + 1, *pair) for step, pair in enumerate(zip(*errors, strict=True))]
    return table("first_state step error error_after_wrong_start", rows)


def harm(measured: Table, start: str) -> list[float]:
    """How much a wrong first state adds to the error, by step."""
    part = measured.where(first_state=start)
    return [w - e for w, e in zip(part.column("error_after_wrong_start"), part.column("error"), strict=True)]


def judge(measured: Table) -> Verdict:
    """The effect of a wrong first state fades, and it is smaller for the network that was trained with noise."""
    early = {start: sum(harm(measured, start)[:EARLY]) / EARLY for start in STARTS}
    late = {start: sum(harm(measured, start)[-EARLY:]) / EARLY for start in STARTS}
    error = {start: sum(measured.where(first_state=start).column("error")[:EARLY]) / EARLY for start in STARTS}
    return Verdict(
        f"A wrong first state adds {early['zeros']:.3f} to the error of the first {EARLY} steps of a network trained "
        f"from zeros, {early['learned']:.3f} with a learned first state and {early['noisy']:.3f} with a noisy one; over the last "
        f"{EARLY} of {_STEPS} steps it adds {late['zeros']:.3f}, {late['learned']:.3f} and {late['noisy']:.3f}.",
        f"Begun as they were trained, they err by {error['zeros']:.3f} (zeros), {error['learned']:.3f} (learned) and "
        f"{error['noisy']:.3f} (noisy) over those first steps, of a wave of size 1.",
        early["noisy"] < 0.7 * early["zeros"]
        and abs(late["zeros"]) < 0.2 * early["zeros"]
        and error["learned"] < 1.2 * error["zeros"],
    )


def draw(measured: Table) -> Figure:
    """Left: errors from the first state of training. Right: errors from a wrong first state."""
    figure, axes = pictures.panels(2)
    top = max(measured.column("error_after_wrong_start")) * 1.05
    for axis, column, title in zip(
        axes, ("error", "error_after_wrong_start"), ("Begun as in training", "Begun from a wrong state"), strict=True
    ):
        axis.set_ylim(0, top)
        series = {}
        for start in STARTS:
            part = measured.where(first_state=start)
            series[start] = (part.column("step"), part.column(column))
        plots.name_axes(axis, "time (steps)", "error (sizes of the wave)", title)
        pictures.lines(axis, series)
    return figure


EXPERIMENT = Experiment(
    name="first_state",
    claim="A wrong first state is put right within some steps, and noise on the first state in training makes it matter less.",
    source="Zimmermann, Tietz & Grothmann 2012, Forecasting with Recurrent Neural Networks: 12 Tricks",
    measure=measure,
    judge=judge,
    draw=draw,
)
