"""RG-LRU, the real-gated linear recurrent unit of Griffin: a diagonal recurrence whose gates see the input alone."""

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
    """sigmoid(v)^8 uniform between 0.9 and 0.999."""
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

    r, i and v are W x + b each. In Griffin's block v comes first, of a linear layer and a convolution over four steps, and the
    gates are of v, with block-diagonal matrices; here all three are of x, which without the convolution is the same up to
    its matrices. The convolution, the gated branch beside and the layer behind are layers around. An open r
    forgets, so `forget_bias` closes it.

    Lambda starts so that a of an open r is uniform in [0.9, 0.999], as the paper says; the authors' code has sigmoid(Lambda) itself
    there, uniform in its square. It also writes i v whole in the first step of a sequence, and bounds the gradient of the root.

    Source: De et al. 2024, arXiv 2402.19427, (1) to (4).
    """
    return rglru
