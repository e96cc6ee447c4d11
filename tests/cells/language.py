"""Cells that say more than gates and states: extras, the input itself, matrices, scalars, other widths, heads."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, exp, relu, sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells import Cell, Gates, State, cell, identity
from ostinato.cells.product import Wrap

_OWN = {"decay": "I", "decay_bias": "I", "weight_dt": "H I", "bias_dt": "H", "weight_mask": "G I"}


@cell(gates="z r n", states="h last:I", extras="mask:I dt:I", parameters=_OWN, starts={"decay": 0.3, "bias_dt": 0.2})
def decaying(
    x: Tensor,
    s: State,
    U: Any,
    W: Any,
    mask: Tensor,
    dt: Tensor,
    decay: Tensor,
    decay_bias: Tensor,
    weight_dt: Tensor,
    bias_dt: Tensor,
    weight_mask: Tensor,
) -> State:
    """As GRU-D: what is missing decays, and so does the state."""
    seen = mask * x + (1 - mask) * exp(-relu(decay * dt + decay_bias)) * s.last
    h = exp(-relu(F.linear(dt, weight_dt, bias_dt))) * s.h
    w, u = W(seen), U(h)
    z_mask, r_mask, n_mask = F.linear(mask, weight_mask).chunk(3, -1)
    z, r = sigmoid(w.z + u.z + z_mask), sigmoid(w.r + u.r + r_mask)
    n = tanh(w.n + r * u.n + n_mask)
    return State(h=(1 - z) * h + z * n, last=mask * x + (1 - mask) * s.last)


@cell(gates="i f g o", states="h c", keep="f", write="i", parameters={"Q": "I P", "R": "P I"})
def gating(x: Tensor, s: State, U: Any, W: Any, Q: Tensor, R: Tensor, memory: Wrap = identity) -> State:
    """As the Mogrifier LSTM: input and state gate each other."""
    x = 2 * sigmoid(F.linear(s.h, Q)) * x
    h = 2 * sigmoid(F.linear(x, R)) * s.h
    w, u = W(x), U(h)
    c = sigmoid(w.f + u.f) * s.c + sigmoid(w.i + u.i) * tanh(w.g + u.g)
    return State(h=sigmoid(w.o + u.o) * tanh(memory(c)), c=c)


@cell(gates="z h", states="h", write="z")
def skipping(x: Tensor, s: State, U: Any, W: Any) -> State:
    """The input itself, on its way around: its mean over the features, beside its product."""
    w, u = W(x), U(s.h)
    z = sigmoid(w.z + u.z)
    return State(h=(1 - z) * s.h + z * tanh(w.h + u.h) + 0.1 * x.mean(-1, keepdim=True))


@cell(gates="f g", states="h", extras="dt", parameters={"a": "H", "b": "1"}, starts={"a": "uniform(0.1, 0.9)"})
def timed(x: Gates, s: State, U: Any, dt: Tensor, a: Tensor, b: Tensor) -> State:
    """As a closed-form continuous-time cell: the time gates."""
    u, t = U(s.h), sigmoid(a * dt + b)
    return State(h=tanh(x.f + u.f) * (1 - t) + t * tanh(x.g + u.g))


_MEMORY = {"e": "H", "e_memory": "M", "A": "M M", "B": "M", "W_memory": "H M"}


@cell(
    gates="f",
    states="h memory:M",
    widths={"M": 5},
    parameters=_MEMORY,
    starts={"A": "orthogonal", "B": 1.0, "e": 0.3, "e_memory": "normal(0, 0.2)"},
    fixed="A B",
)
def remembering(
    x: Gates, s: State, U: Any, e: Tensor, e_memory: Tensor, A: Tensor, B: Tensor, W_memory: Tensor
) -> State:
    """As the Legendre memory unit: a linear memory of another width, written through one number."""
    u = (s.h * e).sum(-1, keepdim=True) + (s.memory * e_memory).sum(-1, keepdim=True)
    memory = F.linear(s.memory, A) + u * B
    return State(h=tanh(x.f + U(s.h).f + F.linear(memory, W_memory)), memory=memory)


@cell(gates="f g", states="h n:1", parameters={"w": "H"}, starts={"w": 0.2})
def counting(x: Gates, s: State, U: Any, w: Tensor) -> State:
    """One number a row is a state."""
    n = 0.5 * s.n + (w * s.h).mean(-1, keepdim=True) + 0.1
    return State(h=tanh(x.f + U(s.h).f + n) * sigmoid(x.g), n=n)


@cell(gates="i f z o", states="h c n m", keep="f")
def stabilised(x: Gates, s: State, U: Any) -> State:
    """As sLSTM: exponential gates, a normaliser and a stabiliser."""
    u = U(s.h)
    i, f = x.i + u.i, F.logsigmoid(x.f + u.f)
    m = torch.maximum(f + s.m, i)
    i, f = exp(i - m), exp(f + s.m - m)
    c, n = f * s.c + i * tanh(x.z + u.z), f * s.n + i
    return State(h=sigmoid(x.o + u.o) * c / n, c=c, n=n, m=m)


@cell(gates="q k v i f o", states="h C:N,d,d n:N,d", recurrent=False)
def matrix(x: Gates, s: State, U: None, num_heads: int) -> State:
    """As mLSTM without its stabiliser: a matrix of memory for each head."""

    def heads(v: Tensor) -> Tensor:
        return v.unflatten(-1, (num_heads, -1))

    q, k, v = heads(x.q), heads(x.k), heads(x.v)
    k = k / math.sqrt(k.shape[-1])
    i, f = sigmoid(heads(x.i).mean(-1)), sigmoid(heads(x.f).mean(-1))
    C = f[..., None, None] * s.C + i[..., None, None] * v[..., :, None] * k[..., None, :]
    n = f[..., None] * s.n + i[..., None] * k
    read = (C @ q[..., None])[..., 0] / (1 + (n * q).sum(-1, keepdim=True).abs())
    return State(h=sigmoid(x.o) * read.flatten(-2), C=C, n=n)


@cell(gates="z g", states="h n:N most:N", parameters={"e": "N"}, starts={"e": "uniform(0.2, 0.6)"})
def by_head(x: Gates, s: State, U: Any, e: Tensor, num_heads: int) -> State:
    """Numbers of each head are states: how much it has had, and the most."""
    u = U(s.h)
    z, g = sigmoid(x.z + u.z), tanh(x.g + u.g).unflatten(-1, (num_heads, -1))
    much = g.abs().mean(-1)
    most = torch.maximum(e * s.most, torch.logsumexp(g, -1))
    share = sigmoid(most - s.n).unsqueeze(-1) + 0.1 * torch.softmax(s.n, -1).unsqueeze(-1)
    return State(h=(1 - z) * s.h + z * (share * g).flatten(-2), n=0.5 * s.n + much, most=most)


@cell(gates="h", states="h", derived={"weight_hh": lambda w: w - w.t()})
def skew(x: Gates, s: State, U: Any) -> State:
    """As the antisymmetric network: what is multiplied is made of what is learned."""
    return State(h=s.h + 0.1 * tanh(x.h + U(s.h).h))


COMPILED: dict[str, Cell] = {
    each.name: each for each in (decaying, gating, skipping, timed, remembering, counting, stabilised, by_head, skew)
}


def extras(layer: Any, steps: int, rows: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Of all time steps, for each that the layer's cell has: masks of ones and zeros, all else in [0, 1]."""
    found = {}
    for name, width in layer._extra_sizes.items():
        v = torch.rand(steps, rows, width, dtype=dtype)
        v = v.round() if name == "mask" else v
        found[name] = v.squeeze(-1) if layer.base_cell.extras[name] == "1" else v
    return found
