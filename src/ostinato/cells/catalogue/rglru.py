"""RG-LRU, the real-gated linear recurrent unit of Griffin: a diagonal recurrence whose gates depend on the input only."""

from __future__ import annotations

from torch import exp, expm1, sigmoid, sqrt
from torch.nn import functional as F
from torch.nn import init

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["rglru"]

C = 8.0


def _long(v: Tensor) -> Tensor:
    """Fill `v` so that sigmoid(v)^8 is uniform between 0.9 and 0.999."""
    log_a = init.uniform_(v, 0.9, 0.999).log_().div_(C)
    return v.copy_(log_a - (-expm1(log_a)).log())  # log(a / (1 - a))


@cell(
    gates="r i v",
    states="h",
    recurrent=False,
    parameters={"Lambda": "H"},
    starts={"Lambda": _long},
    write="r",
    source="De et al. 2024, arXiv 2402.19427, (1) to (4)",
)
def rglru(x: Gates, s: State, U: None, Lambda: Tensor, candidate: Wrap = identity) -> State:
    """h' = a h + sqrt(1 - a^2) (i v), with a = sigmoid(Lambda)^(8 r) and sigmoid gates r and i."""
    log_a = -C * sigmoid(x.r) * F.softplus(-Lambda)
    return State(h=exp(log_a) * s.h + sqrt(-expm1(2 * log_a)) * candidate(sigmoid(x.i) * x.v))


@named("RGLRU")
def named_rglru() -> Cell:
    """Real-gated linear recurrent unit: h' = a h + sqrt(1 - a^2) (i v), with a = sigmoid(Lambda)^(8 r), gates r and i.

    r, i and v are W x + b each. In Griffin's block a linear layer and a convolution over four steps make v first, and the gates are
    made from v with block-diagonal matrices. Here all three are made from x, which without the convolution is the same but for the
    matrices. The block's convolution, its gated second branch and its last layer are separate layers. An open r forgets, so
    `forget_bias` closes it.

    Lambda starts so that a, for a fully open r, is uniform in [0.9, 0.999], as the paper says; in the authors' code the square of
    sigmoid(Lambda) itself is uniform between the squares of these numbers. Their code also writes i v unscaled in the first step of
    a sequence, and bounds the gradient of the root.

    Source: De et al. 2024, arXiv 2402.19427, (1) to (4).
    """
    return rglru
