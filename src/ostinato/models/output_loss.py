"""The cross entropy of an output layer over many words, some rows at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_LOGITS = {
    "cpu": 2**21
}  # that a processor's cache holds; memory that is mapped anew each time costs more than the sums in it
_MOST_LOGITS = 2**27


def output_cross_entropy(
    output: nn.Linear, readout: torch.Tensor, target: torch.Tensor, *, label_smoothing: float = 0.0
) -> torch.Tensor:
    """The mean cross entropy of `output(readout)`, in nats, a scalar.

    It is `torch.nn.functional.cross_entropy(output(readout), target)`, but what has gone through the layer, (N, V), is never in
    memory as a whole: the loss and the gradients of some rows are computed together, then those of the next. It can be
    differentiated once.

    Args:
        output: R to V.
        readout: (N, R), N at least 1.
        target: (N,) int64.
        label_smoothing: share of the target that is spread over all V, in [0, 1) (Szegedy et al. 2016, section 7).
    """
    limit = _LOGITS.get(readout.device.type, _MOST_LOGITS)
    rows = max(16, limit // output.out_features)
    return _InRows.apply(readout, output.weight, output.bias, target, label_smoothing, rows) / len(readout)  # pyright: ignore[reportReturnType, reportOptionalOperand]


class _InRows(torch.autograd.Function):
    """The sum over the rows; autograd differentiates each piece as soon as it is there."""

    @staticmethod
    def forward(
        ctx: Any,
        readout: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        target: torch.Tensor,
        label_smoothing: float,
        rows: int,
    ) -> torch.Tensor:
        needed = any(ctx.needs_input_grad)
        given = [readout, weight] if bias is None else [readout, weight, bias]
        gradients = [torch.zeros_like(each) for each in given] if needed else []
        total = torch.zeros((), dtype=torch.promote_types(readout.dtype, torch.float32), device=readout.device)
        leaves = [each.detach().requires_grad_(needed) for each in given[1:]]
        for start in range(0, len(readout), rows):
            piece = slice(start, start + rows)
            x = readout[piece].detach().requires_grad_(needed)
            with torch.set_grad_enabled(needed):
                logits = F.linear(x, *leaves)
                logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
                loss = F.cross_entropy(logits, target[piece], reduction="sum", label_smoothing=label_smoothing)
            total += loss.detach()
            if needed:
                dx, *dparameters = torch.autograd.grad(loss, (x, *leaves))
                gradients[0][piece] = dx
                for sum_of_all, gradient in zip(gradients[1:], dparameters, strict=True):
                    sum_of_all += gradient
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        found = [(gradient * each).to(each.dtype) for each in ctx.saved_tensors]
        bias = found[2] if len(found) == 3 else None
        return found[0], found[1], bias, None, None, None
