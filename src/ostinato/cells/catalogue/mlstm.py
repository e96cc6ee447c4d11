"""mLSTM, the LSTM of xLSTM with a matrix as memory, which is written with keys and read with queries."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import exp, maximum, sigmoid
from torch.nn import functional as F

from ostinato.cells.named import State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["mlstm"]


def forgetting(bias: Tensor) -> Tensor:
    """Fill with numbers from 3 to 6, evenly spaced over the heads."""
    return bias.copy_(torch.linspace(3, 6, len(bias), dtype=bias.dtype, device=bias.device))


@cell(
    gates="q k v o",
    states="h C:N,d,d n:N,d m:N",
    recurrent=False,
    parameters={"weight_i": "N I", "bias_i": "N", "weight_f": "N I", "bias_f": "N"},
    starts={"weight_i": 0.0, "bias_i": "normal(0, 0.1)", "weight_f": 0.0, "bias_f": forgetting},
    source="Beck et al. 2024, arXiv 2405.04517, xLSTM, (19) to (27)",
)
def mlstm(
    x: Tensor,
    s: State,
    U: None,
    W: Any,
    num_heads: int,
    weight_i: Tensor,
    bias_i: Tensor,
    weight_f: Tensor,
    bias_f: Tensor,
    candidate: Wrap = identity,
    memory: Wrap = identity,
) -> State:
    """m' = max(log f + m, i); C' = f' C + i' v k^T; n' = f' n + i' k; h' = sigmoid(o) C' q / max(|n'^T q|, exp(-m')).

    Here f' = exp(log f + m - m') and i' = exp(i - m'), with log f = log sigmoid(f), one number each a head: (19) to (27) with the
    stabiliser of (15) to (17), from which exp(-m') comes too.
    """

    def heads(v: Tensor) -> Tensor:
        return v.view(*v.shape[:-1], num_heads, v.shape[-1] // num_heads)

    w = W(x)
    q, k, v = heads(w.q), heads(w.k) / math.sqrt(w.k.shape[-1] // num_heads), heads(candidate(w.v))
    i, f = F.linear(x, weight_i, bias_i), F.logsigmoid(F.linear(x, weight_f, bias_f)) + s.m
    m = maximum(f, i)
    i, f = exp(i - m)[..., None], exp(f - m)[..., None]
    C = f[..., None] * s.C + i[..., None] * v[..., :, None] * k[..., None, :]
    n = f * s.n + i * k
    read = (C @ q[..., None]).squeeze(-1) / maximum((n * q).sum(-1, keepdim=True).abs(), exp(-m)[..., None])
    return State(h=sigmoid(w.o) * memory(read.flatten(-2)), C=C, n=n, m=m)


@named("MLSTM")
def named_mlstm() -> Cell:
    """The mLSTM of xLSTM, whose memory is a matrix for each of `num_heads`: C' = f C + i v k^T, read as sigmoid(o) C' q.

    All its gates depend on the input only: there is no `weight_hh`. The states are h, C `(N, d, d)`, n `(N, d)` and m `(N,)`, for N
    heads of d = H / N units. The compiler does not support matrices as states, so the cell runs in plain PyTorch, step by step.

    Source: Beck et al. 2024, arXiv 2405.04517, (19) to (27); (26) allows sigmoid or exp for the forget gate, and this is sigmoid.
    It is the recurrence only: the authors' block (NX-AI/xlstm) has a convolution before q and k and a normalisation of each head
    after the memory; its i and f read q, k and v instead of x, and it adds eps = 1e-6 to the divisor. As in their code, i and f
    start with weights of zero, f with biases from 3 to 6 over the heads.
    """
    return mlstm
