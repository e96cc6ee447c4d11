"""sLSTM, the LSTM of xLSTM with one number a unit as memory: exponential gates, a normaliser and a stabiliser."""

from __future__ import annotations

from typing import Any

import torch
from torch import exp, maximum, sigmoid, tanh, where
from torch.nn import functional as F

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["slstm"]


def forgetting(bias: Tensor, num_heads: int) -> Tensor:
    """Fill with numbers from 5 down to -7 in each head of d units: 5 - 12 (j / (d - 1))^0.3 for j = 0 .. d - 1."""
    units = len(bias) // num_heads
    places = torch.arange(units, dtype=bias.dtype, device=bias.device) / max(units - 1, 1)
    return bias.view(num_heads, units).copy_(5 - 12 * places**0.3)


@cell(
    gates="i f z o",
    states="h c n m",
    keep="f",
    starts={"weight_hh": 0.0, "bias_ih": 0.0, "bias_hh": 0.0},
    forget_bias=forgetting,
    source="Beck et al. 2024, arXiv 2405.04517, xLSTM, (8) to (17)",
)
def slstm(x: Gates, s: State, U: Any, candidate: Wrap = identity, memory: Wrap = identity) -> State:
    """m' = max(log f + m, i); c' = f' c + i' tanh(z); n' = f' n + i'; h' = sigmoid(o) c' / n'.

    Here f' = exp(log f + m - m') and i' = exp(i - m'), with log f = log sigmoid(f): (8) to (17); of the two forget gates that the
    paper allows, it is the one of the authors' code. Before anything has been written, n = 0, there is nothing to keep and m' = i.
    """
    u = U(s.h)
    i, f = x.i + u.i, F.logsigmoid(x.f + u.f) + s.m
    is_first = s.n == 0
    m = where(is_first, i, maximum(f, i))
    i, f = exp(i - m), exp(where(is_first, 0.0, f - m))
    c, n = f * s.c + i * candidate(tanh(x.z + u.z)), f * s.n + i
    return State(h=sigmoid(x.o + u.o) * memory(c / n), c=c, n=n, m=m)


@named("SLSTM")
def named_slstm() -> Cell:
    """The sLSTM of xLSTM: c' = f c + exp(i) tanh(z); n' = f n + exp(i); h' = sigmoid(o) c' / n', stabilised by m.

    `num_heads` gives it heads, which do not read each other's states. It is the recurrence only: the authors' block has a
    convolution, a normalisation of each head and a feed-forward part around it. As in their code, the recurrent matrix starts at
    zero, and the biases of f go from 5 down to -7 in each head. The options `zoneout` of c, n or m, `peephole` and `coupled_gates`
    are made for the LSTM: here they would act on numbers that the stabiliser has scaled, or on gates that are not sigmoids.

    Source: Beck et al. 2024, arXiv 2405.04517, (8) to (17). Of the two forget gates that (13) allows, sigmoid and exp, this is
    sigmoid, as in the authors' code.
    """
    return slstm
