"""HGRN: gates that depend on the input only, with a lower bound of the forget gate that is higher in higher layers."""

from __future__ import annotations

import torch
from torch import cos, sigmoid, sin
from torch.nn import functional as F

from ostinato.cells.family import Family, member, number
from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["hgrn", "hgrn_real"]

SOURCE = "Qin et al. 2023, arXiv 2311.04823, 3, figure 1"


def _check(lower_bound: float) -> None:
    number("lower_bound", lower_bound, least=0.0)
    if lower_bound >= 1:
        raise CellError(f"lower_bound expected a number below 1, at which nothing is written, got {lower_bound}")


def _turns(v: Tensor) -> Tensor:
    """Fill with 10000^(-2 n / H), as in rotary embeddings."""
    return v.copy_(10000 ** (-2 / max(1, len(v)) * torch.arange(len(v), dtype=torch.float64)))


@Family
def hgrn(lower_bound: float = 0.0) -> Cell:
    """c' = f exp(i theta) c + (1 - f) silu(z), of complex c = re + i im and z; h' = P (p re) + Q (q im), f >= lower_bound."""
    _check(lower_bound)

    def step(x: Gates, s: State, U: None, theta: Tensor, P: Tensor, Q: Tensor, candidate: Wrap = identity) -> State:
        f = lower_bound + (1 - lower_bound) * sigmoid(x.f)
        a, b = f * cos(theta), f * sin(theta)
        re = a * s.re - b * s.im + (1 - f) * candidate(F.silu(x.re))
        im = a * s.im + b * s.re + (1 - f) * candidate(F.silu(x.im))
        return State(h=F.linear(F.silu(x.p) * re, P) + F.linear(F.silu(x.q) * im, Q), re=re, im=im)

    return cell(
        gates="f re im p q",
        states="h re im",
        recurrent=False,
        parameters={"theta": "H", "P": "H H", "Q": "H H"},
        starts={"theta": _turns},
        keep="f",
        source=SOURCE,
    )(step)


@Family
def hgrn_real(lower_bound: float = 0.0) -> Cell:
    """c' = f c + (1 - f) silu(z); h' = silu(p) c', with f = lower_bound + (1 - lower_bound) sigmoid(f)."""
    _check(lower_bound)

    def step(x: Gates, s: State, U: None, candidate: Wrap = identity, memory: Wrap = identity) -> State:
        f = lower_bound + (1 - lower_bound) * sigmoid(x.f)
        c = f * s.c + (1 - f) * candidate(F.silu(x.z))
        return State(h=F.silu(x.p) * memory(c), c=c)

    return cell(gates="f z p", states="h c", recurrent=False, keep="f", source=SOURCE)(step)


@named("HGRN", variants=[{}, {"real": True, "lower_bound": 0.4}])
def named_hgrn(*, lower_bound: float = 0.0, real: bool = False) -> Cell:
    """Hierarchically gated network: c' = f exp(i theta) c + (1 - f) silu(z), of complex c and z, with f >= lower_bound.

    f = lower_bound + (1 - lower_bound) sigmoid(W_f x + b_f), and theta is learned, one number a unit. In the output
    h' = P (p re) + Q (q im) the gates p and q, silu of W x + b, scale real and imaginary part. The cell is the paper's HGRU without
    two parts: the layer norm of the output (between c' and the gates in the authors' code, after the gates in their description),
    and the bias of the output product. The GLU of the paper is a separate layer.

    The paper learns a bound for every layer, by a cumulative softmax over the layers: 0 in the lowest, near 1 in the highest. Here
    it is one number for all layers of a stack; for another number in each layer, stack layers with `num_layers=1`.

    Source: Qin et al. 2023, arXiv 2311.04823, section 3. The recurrence is in the caption of figure 1; the whole cell is in the
    authors' description of the algorithm (OpenNLPLab/HGRN), whose g is p and q here, and whose W_o is P and Q.

    Args:
        lower_bound: the lower bound of the forget gate f, in [0, 1).
        real: use no complex numbers: c' = f c + (1 - f) silu(z) and h' = silu(p) c', the ablation of the paper; P and the layer
            norm are separate layers.
    """
    return hgrn_real(lower_bound) if real else hgrn(lower_bound)


def __getattr__(name: str) -> Cell:
    return member(__name__, name, hgrn, hgrn_real)
