"""What is compared: subjects that do the same work, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.sizes import Mode, Size


@dataclass(frozen=True)
class Subject:
    """One way to do the work of a case.

    Attributes:
        name: as it stands in the table.
        call: does the work once and returns what can be compared: the output, or in training the input's gradient.
        flops: see `Size.flops`.
        prepare: what comes before each call and is not timed.
        same_as: the subject that must return the same, if one must.
        background: shown for scale only: measured as few times as can be.
    """

    name: str
    call: Callable[[], Any]
    flops: float
    prepare: Callable[[], None] | None = None
    same_as: str | None = None
    background: bool = False


@dataclass(frozen=True)
class Case:
    """Subjects of one size, timed in turns.

    Attributes:
        section: of the registry.
        cell: what the table says it is about: "LSTM", or "options".
        mode: training is the forward and the backward pass of the output's sum; inference is without gradient.
        size: of the input and the layer.
        subjects: in the order of the table.
        baseline: names of subjects; the fastest of them is what all are compared with.
        setting: what else the case is about: "threads 4, neighbours 2".
        within: makes what every call is within; by default `torch.inference_mode()` in inference, and nothing in training.
        sample_s: seconds of a sample, where subjects are timed in whole rounds until the budget is spent; see `measure_in_rounds`.
            By default every subject has an equal share of the budget; see `measure`.
    """

    section: str
    cell: str
    mode: Mode
    size: Size
    subjects: tuple[Subject, ...]
    baseline: tuple[str, ...]
    setting: str = ""
    within: Callable[[], AbstractContextManager[Any]] | None = None
    sample_s: float | None = None


def make_subject(
    name: str,
    module: torch.nn.Module,
    forward: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    mode: Mode,
    flops: float,
    same_as: str | None = None,
    background: bool = False,
) -> Subject:
    """A subject that runs a module of PyTorch.

    Args:
        name: see `Subject`.
        module: whose parameters get gradients; it is put into the mode.
        forward: from the input to the output.
        x: the input. In training it gets a gradient too.
        mode: training or inference. Who calls in inference does so without gradient; see `Case.within`.
        flops: see `Subject`.
        same_as: see `Subject`.
        background: see `Subject`.
    """
    module.train(mode == "training")
    if mode == "inference":
        return Subject(name, lambda: forward(x), flops, None, same_as, background)
    input = x.detach().requires_grad_()
    parameters = list(module.parameters())

    def call() -> torch.Tensor | None:
        forward(input).sum().backward()
        return input.grad

    def prepare() -> None:
        input.grad = None
        _as_after_an_optimiser(parameters)

    return Subject(name, call, flops, prepare, same_as, background)


@torch.no_grad()
def _as_after_an_optimiser(parameters: Iterable[torch.Tensor]) -> None:
    """Drop the gradients and count each parameter as changed: what was cached of it may not serve the next training step."""
    for parameter in parameters:
        parameter.grad = None
        parameter[:0].zero_()
