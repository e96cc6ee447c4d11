"""A copy of the model to be examined, and the record of one pass over the batch.

Everything is done with the copy, so that the model stays as it is. In the copy torch.nn's layers are replaced by ours, which are
twice differentiable. Dropout is off, so that a repeated measurement gives the same result.
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

from ostinato.insight.diagnosis.passes import Criteria, ProbePass, watched
from ostinato.insight.flow import Flow, gradient_flow
from ostinato.insight.gates import Saturation, saturation
from ostinato.insight.layers import InsightError, Loss
from ostinato.kernels.dispatch import backend
from ostinato.nn.conversion.convert import convert_known
from ostinato.types import Tensor

# Nearer to an end than this, a sigmoid's slope is below 1 % of its maximum, and a gate learns a hundred times more slowly.
# Gates that are open on purpose (forget_bias=4: 0.018 from the end) are not so near.
NEAR_THE_END = 0.0025
# The state of a unit of an untrained LSTM of 512 units varies by 0.1 or more over a batch.
STUCK_BELOW = 1e-3


def _own_loss(model: Any, batch: Any, state: Any) -> Any:
    if not callable(getattr(model, "loss", None)):
        raise InsightError(
            f"loss expected a function (model, batch) -> scalar, as {type(model).__name__} has no method loss(batch, state); "
            "give one"
        )
    return model.loss(batch, state)


@dataclass
class Patient:
    """The model that the doctor examines, with all that is known about its training.

    Attributes:
        original: the model itself, which must not be changed.
        model: the copy.
        batch: one batch.
        loss: `loss(model, batch)`, or None for the model's own `loss(batch, state)`.
        next_batch: the batch that follows in the same streams, or None.
        optimizer: the optimiser of the original, or None.
        history: one mapping for each line of training, oldest first.
        clip_norm: the norm that training clips at, or None.
        lengths: `(B,)` valid steps of each row, or None.
        batch_first: the layout of the batch, if the user has given it, or None.
        figures: how good the model is, by name, or None.
        baselines: figures of simpler models, by the name of the model, or None.
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
    figures: Mapping[str, float] | None = None
    baselines: Mapping[str, Mapping[str, float]] | None = None

    @cached_property
    def seen(self) -> ProbePass:
        """The pass over `batch`, on a separate copy, as a model may keep a state from call to call."""
        return self.run(self.another(), self.batch)

    @cached_property
    def flows(self) -> dict[str, list[Flow]]:
        """The gradient's flow in each layer and direction, by the module's name."""
        flows: dict[str, list[Flow]] = {}
        for flow in gradient_flow(self.model, self.batch, self._scalar).layers:
            flows.setdefault(module_of(flow.name), []).append(flow)
        return flows

    @cached_property
    def saturation(self) -> Saturation:
        """The saturation of all gates and units of the copy."""
        return self.saturation_of(self.model)

    def saturation_of(self, model: nn.Module) -> Saturation:
        """The saturation of all gates and units of another copy."""
        return saturation(model, self.batch, self._scalar, margin=NEAR_THE_END, stuck_below=STUCK_BELOW)

    def _scalar(self, model: nn.Module, batch: Any) -> Tensor:
        return self.evaluate(model, batch)[0]

    @property
    def layers(self) -> dict[str, nn.RNNBase]:
        """The recurrent layers of the copy, by name; a layer with two names appears once."""
        return {name: part for name, part in self.model.named_modules() if isinstance(part, nn.RNNBase)}

    @property
    def updates(self) -> int:
        """The number of updates of the weights, as far as optimiser and history tell it."""
        return max(_optimizer_steps(self.optimizer), _history_steps(self.history))

    def evaluate(self, model: nn.Module, batch: Any, state: Any = None) -> tuple[Tensor, Any]:
        """The loss, a scalar with its graph, and the state after the batch; None if the loss returns no state."""
        torch.manual_seed(0)  # every run draws the same random numbers
        with backend("reference"):
            given = self.loss(model, batch) if self.loss is not None else _own_loss(model, batch, state)
        loss, after = given if isinstance(given, tuple) else (given, None)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise InsightError(f"loss: expected a scalar tensor, or (scalar tensor, state), got {shape}; take its mean")
        return loss.reshape(()), after

    def run(self, model: nn.Module, batch: Any, state: Any = None) -> ProbePass:
        """Run forward and backward and record the pass; the model's gradients are empty afterwards."""
        criteria, bad, calls = Criteria(), [], {}
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        with criteria, watched(model, calls, bad), torch.enable_grad():
            loss, after = self.evaluate(model, batch, state)
        gradients: dict[str, Tensor | None] = dict.fromkeys(parameters)
        if loss.requires_grad:
            loss.backward()
            gradients = {name: p.grad for name, p in parameters.items()}
        model.zero_grad(set_to_none=True)
        return ProbePass(
            float(loss.detach()), detached(after), criteria.calls, calls, gradients, bad[0] if bad else None
        )

    def another(self) -> nn.Module:
        """A new copy of the copy, to try a remedy on."""
        return copy.deepcopy(self.model)


def fit_for_examination(model: nn.Module) -> nn.Module:
    """Make a copy with our layers, without gradients, in training mode except for recurrent layers and dropout.

    Raises:
        InsightError: the model cannot be copied.
    """
    try:
        made = convert_known(copy.deepcopy(model), {})
    except (RuntimeError, TypeError) as error:  # a graph in an attribute; a lock, a generator, an open file
        raise InsightError(
            f"doctor examines a copy, but this model cannot be copied: {' '.join(str(error).split())}. "
            "If it keeps states between calls, detach them"
        ) from error
    made.zero_grad(set_to_none=True)
    made.train()  # training is examined, and a model may compute something else in evaluation
    for part in made.modules():
        if isinstance(part, nn.RNNBase | nn.RNNCellBase) or "dropout" in type(part).__name__.lower():
            part.eval()
    return made


@contextmanager
def left_as_they_are(model: nn.Module) -> Iterator[None]:
    """Restore the random generators of Python, NumPy and torch, on all devices of the model, afterwards."""
    devices = {p.device for p in (*model.parameters(), *model.buffers()) if p.device.type == "cuda"}
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - users draw from it
    try:
        with torch.random.fork_rng(devices=[device.index for device in devices]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _optimizer_steps(optimizer: torch.optim.Optimizer | None) -> int:
    states = optimizer.state.values() if optimizer is not None else ()
    return max((int(state["step"]) for state in states if "step" in state), default=0)


def _history_steps(history: Sequence[Mapping[str, Any]]) -> int:
    return max((int(line.get("step", number + 1)) for number, line in enumerate(history)), default=0)


def module_of(name: str) -> str:
    """The name of a layer's module: "rnn" for "rnn.l0_reverse", "" for "l0"; a single-step cell's name is returned unchanged."""
    return re.sub(r"(^|\.)l\d+(_reverse)?$", "", name)


def detached(state: Any) -> Any:
    """A state without its graph: detaches tensors in tuples, lists and mappings; everything else stays."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, Mapping):
        return {name: detached(each) for name, each in state.items()}
    if isinstance(state, tuple | list) and not hasattr(state, "_fields"):
        return type(state)(detached(each) for each in state)
    return state
