"""Insight while a model trains, for a few per cent of the time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from ostinato.insight.flow import flow_of
from ostinato.insight.gates import saturation_of
from ostinato.insight.layers import InsightError, Loss, scalar_loss, watched
from ostinato.insight.watched_plot import UPDATE_RATIO, plot_watched
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.optim import Optimizer
    from torch.utils.hooks import RemovableHandle


class FigureWriter(Protocol):
    """An object that writes curves, such as TensorBoard's `SummaryWriter`."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:
        """Write a point of a curve."""
        ...


class Watch:
    """Measure gradient flow, saturation and update ratios every n steps, for at most a share of the time, and log them.

        watch = Watch(model, batch, loss, writer=SummaryWriter(folder), every=100)
        watch.attach(optimizer)  # or call watch(step) after each update

    One measurement is a pass forward and a few backward in plain PyTorch, with one random vector a layer for the gains. It changes
    neither the model nor its gradients nor the random generators, and so does not affect training. The update ratio of a parameter
    is the norm of the change by an update, divided by the parameter's norm before it; for that the weights before the update are
    kept.

    Args:
        model: the model in training.
        batch: the batch to measure on, the same every time, so that the numbers can be compared; a few rows suffice.
        loss: as in `gradient_flow`.
        writer: an object that writes curves; None to only keep the numbers.
        every: the number of steps from one measurement to the next, at least 1.
        at_most: the share of the time that measuring may take, in (0, 1]: a measurement is skipped if, with the length of the last
            one, it would exceed that share. The first is always made.
        clock: returns seconds, as `time.perf_counter` does.

    Attributes:
        history: for each measurement the step and the numbers by name.

    Raises:
        InsightError: an argument is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        batch: Any,
        loss: Loss | None = None,
        *,
        writer: FigureWriter | None = None,
        every: int = 100,
        at_most: float = 0.05,
        clock: Callable[[], float] = time.perf_counter,
    ):
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise InsightError(f"every expected a number of steps of at least 1, got {every!r}")
        if not 0.0 < at_most <= 1.0:
            raise InsightError(f"at_most expected a share of the time above 0 and up to 1, got {at_most!r}")
        self.history: list[tuple[int, dict[str, float]]] = []
        self._model, self._batch, self._loss, self._writer = model, batch, loss, writer
        self._every, self._at_most, self._clock = every, at_most, clock
        self._began_s, self._spent_s, self._last_s = clock(), 0.0, 0.0
        self._before: dict[str, Tensor] = {}

    @property
    def share(self) -> float:
        """The share of the time since this object was made that was spent on measuring."""
        return self._spent_s / max(self._clock() - self._began_s, 1e-9)

    def attach(self, optimizer: Optimizer) -> RemovableHandle:
        """Measure after updates of an optimiser; its updates are counted from 1.

        Returns:
            A handle; its `remove()` ends the measuring.
        """
        steps = 0

        def after(*_: Any) -> None:
            nonlocal steps
            steps += 1
            self(steps)

        return optimizer.register_step_post_hook(after)

    def __call__(self, step: int) -> dict[str, float]:
        """Measure if it is time to; call it after each update.

        Args:
            step: the number of updates made.

        Returns:
            The measured numbers by name; empty if nothing was measured.
        """
        values = self._measured(step) if step % self._every == 0 else {}
        if (step + 1) % self._every == 0:
            began = self._clock()
            self._before = {name: p.detach().clone() for name, p in self._model.named_parameters()}
            self._spent_s += self._clock() - began
        return values

    def _measured(self, step: int) -> dict[str, float]:
        before, self._before = self._before, {}
        began = self._clock()
        if self._spent_s + self._last_s > self._at_most * (began - self._began_s):
            return {}
        values = {**self.measure(), **update_ratios(self._model, before)}
        self.history.append((step, values))
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"insight/{name}", value, step)
        self._last_s = self._clock() - began
        self._spent_s += self._last_s
        return values

    def measure(self) -> dict[str, float]:
        """Measure gradient flow and saturation now; returns the numbers by name."""
        with torch.enable_grad(), watched(self._model, independent=True) as recorder:
            loss = scalar_loss(self._model, self._batch, self._loss)
            runs = recorder.trajectories()
            flow = flow_of(loss, runs, probes=1, seed=0)
        return {**flow.scalars(), **saturation_of(runs).scalars()}

    def plot(self) -> Figure:
        """Plot the measurements over training, see `plot_watched`.

        Raises:
            InsightError: nothing has been measured.
        """
        return plot_watched(self.history)


def update_ratios(model: nn.Module, before: Mapping[str, Tensor]) -> dict[str, float]:
    """By how much an update changed each parameter: the norm of the change divided by the parameter's norm before.

    About 1e-3 is common in good training (Karpathy, "CS231n: Neural networks part 3"); far above it the weights jump about, far
    below it they hardly learn.

    Args:
        model: the model after the update.
        before: its parameters before the update, by name; parameters that are not in it are left out, as are those that were zero.
    """
    found = {}
    for name, parameter in model.named_parameters():
        if name in before and (norm := float(before[name].norm())) > 0.0:
            ratio = float((parameter.detach() - before[name]).norm()) / norm
            if math.isfinite(ratio):
                found[f"{name}/{UPDATE_RATIO}"] = ratio
    return found
