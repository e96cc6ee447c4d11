"""Run one pass over a batch and record it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence
from torch.overrides import TorchFunctionMode

from ostinato.types import Tensor

_CRITERIA = ("cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


@dataclass(frozen=True)
class Criterion:
    """A call of a loss function of torch.nn.functional.

    Attributes:
        name: the name of the function, such as "cross_entropy".
        said: the model's output, a node of the graph.
        target: the target.
        arguments: the other arguments by name.
    """

    name: str
    said: Tensor
    target: Tensor
    arguments: Mapping[str, Any]

    @property
    def input(self) -> Tensor:
        """The model's output without its graph."""
        return self.said.detach()

    @property
    def gradient(self) -> Tensor | None:
        """The gradient of the loss with respect to the model's output."""
        return self.said.grad


@dataclass
class Call:
    """A layer's first call in a pass.

    Attributes:
        input: `(T, B, I)` or as `batch_first` says; the `data` of a `PackedSequence`.
        output: the output, laid out like the input.
        is_packed: whether the input was packed.
        lengths: the argument `lengths`, else None.
        first: the states before the first step, if the call gave any, else None.
        last: the states after the last step.
        is_raw: whether the input does not depend on any trained parameter.
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
        """The gradient of the loss with respect to the input; None if the loss does not depend on it."""
        return self.input.grad

    @property
    def output_gradient(self) -> Tensor | None:
        """The gradient of the loss with respect to the output; None if the loss does not depend on it."""
        return self.output.grad


@dataclass
class ProbePass:
    """One pass over a batch, forward and backward.

    Attributes:
        loss: the value of the loss.
        state: the state that the model returned for the next batch, if any.
        criteria: the calls of loss functions, in order.
        calls: the first call of each recurrent layer, by the layer's name.
        gradients: the gradient of each parameter that requires one; None if the loss does not depend on it.
        first_not_finite: the innermost module with the first output that is not finite, or None.
    """

    loss: float
    state: Any
    criteria: list[Criterion]
    calls: dict[str, Call]
    gradients: dict[str, Tensor | None]
    first_not_finite: str | None = None


class Criteria(TorchFunctionMode):
    """Inside, records the calls of loss functions."""

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
def watched(model: nn.Module, calls: dict[str, Call], bad: list[str]) -> Iterator[None]:
    """Inside, put each recurrent layer's first call into `calls`, and the names of modules with outputs not finite into `bad`."""
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
            # Get the gradient of a constant input too: it shows which steps the loss depends on.
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
