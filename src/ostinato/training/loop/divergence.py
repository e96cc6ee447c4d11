"""Find where a loss or a gradient first became infinite or NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ostinato.errors import OstinatoError
from ostinato.training.update.tree import map_tensors

NOTHING_FOUND = "No output of a module and no gradient is not finite when the step is run again"


class DivergedError(OstinatoError):
    """The loss or a gradient is no longer a finite number."""


def where_it_began(module: nn.Module, attempt: Callable[[], Any]) -> str:
    """Run a step again and look for the first number that is not finite, forward and backward.

    Args:
        module: the module whose parts and parameters are checked; its gradients are empty afterwards.
        attempt: computes the loss and its gradients as the step did, from the same state.

    Returns:
        A sentence: which module's output was the first, and which parameter's gradient (in the order of the backward pass, so that
        the one nearest to the loss comes first); or that all numbers were finite this time.
    """
    outputs: list[str] = []
    gradients: list[str] = []
    with _watched(module, outputs, gradients):
        attempt()
    unseen = [
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is not None and not _is_finite(parameter.grad) and name not in gradients
    ]
    module.zero_grad(set_to_none=True)
    found = []
    if outputs:
        found.append(f"going forward, the output of {outputs[0]}")
    if gradients or unseen:
        found.append(f"going backward, the gradient of {(gradients or unseen)[0]}")
    if not found:
        return NOTHING_FOUND
    return f"The first not finite: {'; '.join(found)}"


@contextmanager
def _watched(module: nn.Module, outputs: list[str], gradients: list[str]) -> Iterator[None]:
    """Inside, record the names of modules with an output that is not finite, innermost first, and of such gradients' parameters."""
    handles = []

    def look_at(name: str, part: nn.Module) -> None:
        def hook(part: nn.Module, inputs: Any, output: Any) -> None:
            if not _is_finite(output):
                outputs.append(name)

        handles.append(part.register_forward_hook(hook))

    def listen_to(name: str, parameter: nn.Parameter) -> None:
        def hook(gradient: torch.Tensor) -> None:
            if not _is_finite(gradient):
                gradients.append(name)

        handles.append(parameter.register_hook(hook))

    for name, part in module.named_modules():
        look_at(f"{name or 'the model'} ({type(part).__name__})", part)
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            listen_to(name, parameter)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_finite(tree: Any) -> bool:
    found = True

    def look(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal found
        found = found and (not tensor.is_floating_point() or bool(torch.isfinite(tensor).all()))
        return tensor

    map_tensors(look, tree)
    return found
