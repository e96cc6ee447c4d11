"""The stackable recurrent cell, made for gradients that keep their size through many layers."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.named import State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["star", "star_as_run"]

_SOURCE = "Turkoglu et al. 2021, arXiv 1911.11033"
_OWN = {"weight_z": "H I", "bias_z": "H"}  # z has no recurrent product, so it is not a gate
_STARTS = {"weight_ih": "orthogonal", "weight_hh": "orthogonal", "weight_z": "orthogonal"}


@cell(gates="k", states="h", write="k", parameters=_OWN, starts=_STARTS, source=_SOURCE)
def star(x: Tensor, s: State, U: Any, W: Any, weight_z: Tensor, bias_z: Tensor, candidate: Wrap = identity) -> State:
    """h' = tanh((1 - k) h + k z), with k = sigmoid(W_k x + U_k h + b_k) and z = tanh(W_z x + b_z)."""
    k = sigmoid(W(x).k + U(s.h).k)
    z = candidate(tanh(F.linear(x, weight_z, bias_z)))
    return State(h=tanh((1 - k) * s.h + k * z))


@cell(gates="k", states="h", write="k", parameters=_OWN, starts=_STARTS, source=f"{_SOURCE}, the authors' code")
def star_as_run(
    x: Tensor, s: State, U: Any, W: Any, weight_z: Tensor, bias_z: Tensor, candidate: Wrap = identity
) -> State:
    """h' = tanh((1 - sigmoid(a)) h + sigmoid(a + 1) z), with a = W_k x + U_k h + b_k and z = tanh(W_z x + b_z)."""
    a = W(x).k + U(s.h).k
    z = candidate(tanh(F.linear(x, weight_z, bias_z)))
    return State(h=tanh((1 - sigmoid(a)) * s.h + sigmoid(a + 1) * z))


@named("STAR", variants=[{}, {"as_run": True}])
def named_star(*, as_run: bool = False) -> Cell:
    """The stackable recurrent cell: h' = tanh((1 - k) h + k z), k = sigmoid(W_k x + U_k h + b_k), z = tanh(W_z x + b_z).

    Matrices start orthogonal, as in the authors' code, which also starts b_k by chrono initialisation (`init="chrono(784)"`; an
    open gate of theirs keeps, an open k here writes). `layer_norm` and `bias=False` leave W_z x + b_z as it is.

    Source: Turkoglu et al. 2021 (2019), arXiv 1911.11033, Gating revisited: deep multi-layer RNNs that can be trained, figure 3.
    The authors' convolutional code (0zgur0/multi-stage-convSTAR-network) has no outer tanh and a gate that keeps, whose bias starts
    at 1: h' = k h + (1 - k) z.

    Args:
        as_run: compute what the authors' code computes, h' = tanh((1 - sigmoid(a)) h + sigmoid(a + 1) z), with
            a = W_k x + U_k h + b_k; like JANET it writes more than it forgets.
    """
    return star_as_run if as_run else star
