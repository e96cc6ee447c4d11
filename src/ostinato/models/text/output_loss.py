"""The cross entropy of an output layer over many words, computed for some rows at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import has_torch_function_unary

_FEW_WORDS = 1024  # words up to which the logits are not larger than their input
# Numbers of logits that are in memory together, and that are processed together: on a CPU, as many as its cache holds.
_LOGITS = {"cpu": (2**23, 2**18)}
_MOST_LOGITS = (2**27, 2**27)


NO_WORD = -100
"""A target that is left out, as of `torch.nn.functional.cross_entropy`."""


def output_cross_entropy(
    output: nn.Linear,
    readout: torch.Tensor,
    target: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
    has_gaps: bool = False,
) -> torch.Tensor:
    """The mean cross entropy of `output(readout)`, in nats, a scalar.

    It is `torch.nn.functional.cross_entropy(output(readout), target)`, in float32 at least. With 1,024 words or more,
    the logits (N, V) are never in memory as a whole: loss and gradients of some rows are computed together, then those
    of the next rows, in the same memory. It can then be differentiated only once, and hooks of the layer are not
    called.

    Args:
        output: a linear layer from R to V.
        readout: (N, R); without rows the loss is 0.
        target: (N,) int64, from 0 to V - 1.
        label_smoothing: share of the target that is spread over all V, in [0, 1) (Szegedy et al. 2016, section 7).
        has_gaps: whether targets may be `NO_WORD`, whose rows are left out; if none is left, the loss is 0. So rows of
            padding need not be removed, for which the CPU would have to know their number.
    """
    if not len(readout):
        # Every parameter gets a gradient here too, as other processes that train wait for it.
        return output(readout).to(torch.promote_types(readout.dtype, torch.float32)).sum()
    if has_gaps:  # as not even NaN there may have an effect
        readout = readout.masked_fill((target == NO_WORD).unsqueeze(1), 0)
    # Listeners to torch's functions, such as `ostinato.insight.doctor`, need the call that this replaces.
    if output.out_features < _FEW_WORDS or has_torch_function_unary(readout):
        logits = output(readout)
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if not has_gaps:
            return F.cross_entropy(wide, target, label_smoothing=label_smoothing)
        total = F.cross_entropy(wide, target, label_smoothing=label_smoothing, ignore_index=NO_WORD, reduction="sum")
        return total / (target != NO_WORD).sum().clamp(min=1)
    rows = tuple(max(16, limit // output.out_features) for limit in _LOGITS.get(readout.device.type, _MOST_LOGITS))
    total = _InRows.apply(readout, output.weight, output.bias, target, label_smoothing, rows, has_gaps)
    count = (target != NO_WORD).sum().clamp(min=1) if has_gaps else len(readout)
    return total / count  # pyright: ignore[reportReturnType, reportOptionalOperand]


class _InRows(torch.autograd.Function):
    """The sum of the loss over the rows.

    With z the logits of a row, y its target and s the smoothing, L = -(1 - s) log p_y - s / V sum_v log p_v, p =
    softmax(z), so

        dL / dz_v = p_v - s / V - (1 - s) [v = y]
    """

    @staticmethod
    def forward(
        ctx: Any,
        readout: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        target: torch.Tensor,
        label_smoothing: float,
        rows: tuple[int, int],
        has_gaps: bool,
    ) -> torch.Tensor:
        kind = readout.device.type
        low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else readout.dtype
        wide = torch.promote_types(low, torch.float32)
        x, w = readout.to(low), weight.to(low)
        given = [each for each in (readout, weight, bias) if each is not None]
        needed = any(ctx.needs_input_grad)
        gradients = [
            torch.zeros_like(each, dtype=torch.promote_types(each.dtype, torch.float32)) for each in given if needed
        ]
        uniform = label_smoothing / len(weight)
        total = torch.zeros((), dtype=wide, device=x.device)
        most, some = (min(each, len(x)) for each in rows)
        logits = x.new_empty(most, len(weight))
        numbers = None if low == wide else torch.empty(some, len(weight), dtype=wide, device=x.device)
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(x), most):
                piece = slice(start, start + most)
                z = logits[: len(x[piece])]
                torch.mm(x[piece], w.T, out=z)
                for these, wanted in zip(z.split(some), target[piece].split(some), strict=True):
                    log_p = these if numbers is None else numbers[: len(these)].copy_(these)
                    if bias is not None:
                        log_p += bias
                    torch.log_softmax(log_p, 1, out=log_p)
                    counts = None
                    if has_gaps:
                        counts = (wanted != NO_WORD).unsqueeze(1).to(log_p.dtype)
                        wanted = wanted.clamp(min=0)
                        log_p *= counts
                    total -= (1.0 - label_smoothing) * log_p.gather(1, wanted.unsqueeze(1)).sum()
                    if label_smoothing:
                        total -= uniform * log_p.sum()
                    if needed:
                        d = log_p.exp_()
                        d -= uniform
                        d[torch.arange(len(d), device=d.device), wanted] -= 1.0 - label_smoothing
                        if counts is not None:
                            d *= counts
                        if len(gradients) == 3:
                            gradients[2] += d.sum(0)
                        if numbers is not None:
                            these.copy_(d)
                if needed:
                    gradients[0][piece] = z @ w
                    gradients[1] += z.T @ x[piece]
        ctx.save_for_backward(
            *(gradient.to(each.dtype) for gradient, each in zip(gradients, given, strict=bool(gradients)))
        )
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        found = [(gradient * each).to(each.dtype) for each in ctx.saved_tensors]
        bias = found[2] if len(found) == 3 else None
        return found[0], found[1], bias, None, None, None, None
