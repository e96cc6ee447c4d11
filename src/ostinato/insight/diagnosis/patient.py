"""A copy of the model to be examined, and what one pass over the batch showed.

Everything is done to the copy, so that the model stays as it is. The copy's layers of torch.nn are made ours, which are twice
differentiable; masks of dropout are off, since what is measured twice should come out the same.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence
from torch.overrides import TorchFunctionMode

from ostinato.insight.flow import Flow, gradient_flow
from ostinato.insight.gates import Saturation, saturation
from ostinato.insight.layers import InsightError, Loss
from ostinato.kernels.dispatch import backend
from ostinato.nn.convert import convert
from ostinato.types import Tensor

# Nearer to an end than this, a sigmoid's slope is below 1 % of its greatest, and a gate learns a hundred times more slowly.
# Gates that are meant to be open (forget_bias=4: 0.018 from the end) are not so near.
NEAR_THE_END = 0.0025
# The state of a unit of an untrained LSTM of 512 units moves by 0.1 and more over a batch.
STUCK_BELOW = 1e-3
_CRITERIA = ("cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


@dataclass(frozen=True)
class Criterion:
    """A call of a loss function of torch.nn.functional.

    Attributes:
        name: such as "cross_entropy".
        said: what the model said, a node of the graph.
        target: what was to be said.
        arguments: the others that were given by name.
    """

    name: str
    said: Tensor
    target: Tensor
    arguments: Mapping[str, Any]

    @property
    def input(self) -> Tensor:
        """What the model said, without its graph."""
        return self.said.detach()

    @property
    def gradient(self) -> Tensor | None:
        """Of the loss with respect to what the model said."""
        return self.said.grad


@dataclass
class Call:
    """A layer's first call in a pass.

    Attributes:
        input: `(T, B, I)` or as `batch_first` says; the `data` of a `PackedSequence`.
        output: laid out like the input.
        is_packed: whether the input was packed.
        lengths: as the layer was given them, else None.
        first: the states before the first step that it was given, else None.
        last: the states after the last step.
        is_raw: whether the input was computed from no parameter that trains.
    """

    input: Tensor
    output: Tensor
    is_packed: bool
    lengths: Any
    first: Any
    last: Any
    is_raw: bool

    @property
    def input_gradient(self) -> Tensor | None:
        """Of the loss; None where it does not depend on the input."""
        return self.input.grad

    @property
    def output_gradient(self) -> Tensor | None:
        """Of the loss; None where it does not depend on the output."""
        return self.output.grad


@dataclass
class Pass:
    """One pass over a batch, forward and backward.

    Attributes:
        loss: its value.
        state: what the model gave back to be carried on, if it did.
        criteria: the loss functions that were called, in order.
        calls: the first call of each recurrent layer, by the layer's name.
        gradients: of each parameter that requires one, None where the loss does not depend on it.
        first_not_finite: the innermost module whose output first was no finite number, or None.
    """

    loss: float
    state: Any
    criteria: list[Criterion]
    calls: dict[str, Call]
    gradients: dict[str, Tensor | None]
    first_not_finite: str | None = None


def _own_loss(model: Any, batch: Any, state: Any) -> Any:
    if not callable(getattr(model, "loss", None)):
        raise InsightError(
            f"loss expected a function (model, batch) -> scalar, as {type(model).__name__} has no method loss(batch, state); "
            "give one"
        )
    return model.loss(batch, state)


@dataclass
class Patient:
    """What the doctor examines.

    Attributes:
        original: the model itself, to be read only.
        model: the copy.
        batch: one batch.
        loss: `loss(model, batch)`, or None for the model's own `loss(batch, state)`.
        next_batch: the batch that follows in the same streams, or None.
        optimizer: of the original, or None.
        history: one mapping a line, oldest first.
        clip_norm: that training clips at, or None.
        lengths: `(B,)` valid steps of each row, or None.
        batch_first: what the user says of the batch, or None.
    """

    original: nn.Module
    model: nn.Module
    batch: Any
    loss: Loss | None
    next_batch: Any = None
    optimizer: torch.optim.Optimizer | None = None
    history: Sequence[Mapping[str, Any]] = ()
    clip_norm: float | None = None
    lengths: Tensor | None = None
    batch_first: bool | None = None

    @cached_property
    def seen(self) -> Pass:
        """The pass over `batch`."""
        return self.run(self.model, self.batch)

    @cached_property
    def flows(self) -> dict[str, list[Flow]]:
        """The gradient's flow in each layer and direction, by the module's name."""
        flows: dict[str, list[Flow]] = {}
        for flow in gradient_flow(self.model, self.batch, self._scalar).layers:
            flows.setdefault(module_of(flow.name), []).append(flow)
        return flows

    @cached_property
    def saturation(self) -> Saturation:
        """Of all gates and units."""
        return self.saturation_of(self.model)

    def saturation_of(self, model: nn.Module) -> Saturation:
        """Of all gates and units of another copy."""
        return saturation(model, self.batch, self._scalar, margin=NEAR_THE_END, stuck_below=STUCK_BELOW)

    def _scalar(self, model: nn.Module, batch: Any) -> Tensor:
        return self.evaluate(model, batch)[0]

    @property
    def layers(self) -> dict[str, nn.RNNBase]:
        """The recurrent layers of the copy, by name; one that has two names is there once."""
        return {name: part for name, part in self.model.named_modules() if isinstance(part, nn.RNNBase)}

    @property
    def updates(self) -> int:
        """How many updates the weights have had, as far as optimiser and history tell."""
        return max(_optimizer_steps(self.optimizer), _history_steps(self.history))

    def evaluate(self, model: nn.Module, batch: Any, state: Any = None) -> tuple[Tensor, Any]:
        """The loss, a scalar with its graph, and the state after the batch, None where the loss tells none."""
        torch.manual_seed(0)  # whatever is drawn is drawn again in the next run
        with backend("reference"):
            given = self.loss(model, batch) if self.loss is not None else _own_loss(model, batch, state)
        loss, after = given if isinstance(given, tuple) else (given, None)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise InsightError(f"loss: expected a scalar tensor, or (scalar tensor, state), got {shape}; take its mean")
        return loss.reshape(()), after

    def run(self, model: nn.Module, batch: Any, state: Any = None) -> Pass:
        """Runs forward and backward and keeps what there is to see; the model's gradients are empty afterwards."""
        criteria, bad, calls = _Criteria(), [], {}
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        with criteria, _watched(model, calls, bad), torch.enable_grad():
            loss, after = self.evaluate(model, batch, state)
        gradients: dict[str, Tensor | None] = dict.fromkeys(parameters)
        if loss.requires_grad:
            loss.backward()
            gradients = {name: p.grad for name, p in parameters.items()}
        model.zero_grad(set_to_none=True)
        return Pass(float(loss.detach()), detached(after), criteria.calls, calls, gradients, bad[0] if bad else None)

    def another(self) -> nn.Module:
        """A fresh copy of the copy, to try a remedy on."""
        return copy.deepcopy(self.model)


def fit_for_examination(model: nn.Module) -> nn.Module:
    """A copy with our layers, without gradients, in training mode but for what draws at random.

    Raises:
        InsightError: it cannot be copied.
    """
    try:
        made = convert(copy.deepcopy(model))
    except (RuntimeError, TypeError) as error:  # a graph in an attribute; a lock, a generator, an open file
        raise InsightError(
            f"doctor examines a copy, but this model cannot be copied: {' '.join(str(error).split())}. "
            "If it keeps states between calls, detach them"
        ) from error
    made.zero_grad(set_to_none=True)
    made.train()  # a model may compute another thing in evaluation, and its training is what is asked about
    for part in made.modules():
        if isinstance(part, nn.RNNBase | nn.RNNCellBase) or "dropout" in type(part).__name__.lower():
            part.eval()
    return made


@contextmanager
def left_as_they_are(model: nn.Module) -> Iterator[None]:
    """The random generators of Python, NumPy and torch, on all devices of the model, go on afterwards where they were."""
    devices = {p.device for p in (*model.parameters(), *model.buffers()) if p.device.type == "cuda"}
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - users draw from it
    try:
        with torch.random.fork_rng(devices=[device.index for device in devices]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


class _Criteria(TorchFunctionMode):
    """Listens for loss functions."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Criterion] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _CRITERIA:
            named = dict(zip(("input", "target"), args, strict=False)) | kwargs
            said, target = named.pop("input"), named.pop("target")
            if said.requires_grad and not said.is_leaf:
                said.retain_grad()
            self.calls.append(Criterion(name, said, target.detach(), named))
        return func(*args, **kwargs)


@contextmanager
def _watched(model: nn.Module, calls: dict[str, Call], bad: list[str]) -> Iterator[None]:
    handles: list[Any] = []

    def watch(name: str, layer: nn.Module) -> None:
        def before(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if name in calls or not args:
                return None
            given = args[0]
            x = given.data if isinstance(given, PackedSequence) else given
            if x.requires_grad:
                if not x.is_leaf:
                    x.retain_grad()
                return None
            # A constant's gradient is wanted too: it tells which steps the loss depends on.
            x = x.detach().requires_grad_()
            given = given._replace(data=x) if isinstance(given, PackedSequence) else x
            return (given, *args[1:]), kwargs

        def after(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            if name in calls or not args:
                return
            given, output = args[0], result[0]
            packed = isinstance(given, PackedSequence)
            x, y = (given.data, output.data) if packed else (given, output)
            if y.requires_grad:
                y.retain_grad()
            first = args[1] if len(args) > 1 else kwargs.get("hx")
            calls[name] = Call(x, y, packed, kwargs.get("lengths"), first, result[1], x.is_leaf)

        handles.append(layer.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(layer.register_forward_hook(after, with_kwargs=True))

    def look(name: str, part: nn.Module) -> None:
        def hook(part: nn.Module, args: Any, output: Any) -> None:
            if not _is_finite(output):
                bad.append(f"{name or 'the model'} ({type(part).__name__})")

        handles.append(part.register_forward_hook(hook))

    for name, part in model.named_modules():
        if isinstance(part, nn.RNNBase):
            watch(name, part)
        look(name, part)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    if isinstance(value, tuple | list):
        return all(_is_finite(each) for each in value)
    return True


def _optimizer_steps(optimizer: torch.optim.Optimizer | None) -> int:
    states = optimizer.state.values() if optimizer is not None else ()
    return max((int(state["step"]) for state in states if "step" in state), default=0)


def _history_steps(history: Sequence[Mapping[str, Any]]) -> int:
    return max((int(line.get("step", number + 1)) for number, line in enumerate(history)), default=0)


def module_of(name: str) -> str:
    """The module of a layer: of "rnn.l0_reverse" it is "rnn", of "l0" ""; a single-step cell's name is its module's."""
    return re.sub(r"(^|\.)l\d+(_reverse)?$", "", name)


def detached(state: Any) -> Any:
    """A state without its graph: tensors in tuples, lists and mappings; what else there is stays."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, Mapping):
        return {name: detached(each) for name, each in state.items()}
    if isinstance(state, tuple | list) and not hasattr(state, "_fields"):
        return type(state)(detached(each) for each in state)
    return state
