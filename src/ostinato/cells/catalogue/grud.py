"""GRU-D: a gated recurrent unit for values that are missing."""

from __future__ import annotations

from typing import Any

from torch import exp, relu, sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.named import State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["gru_d"]


@cell(
    gates="r z n",
    states="h last:I",
    extras="mask:I dt:I",
    write="z",
    parameters={
        "mean": "I",
        "decay_input": "I",
        "decay_input_bias": "I",
        "decay_hidden": "H I",
        "decay_hidden_bias": "H",
        "weight_mask": "G I",
    },
    starts={"decay_input": "uniform(0, 1)", "decay_hidden": "uniform(0, 0.1)"},
    fixed="mean",
    source="Che et al. 2018, arXiv 1606.01865, (11) to (16)",
)
def gru_d(
    x: Tensor,
    s: State,
    U: Any,
    W: Any,
    mask: Tensor,
    dt: Tensor,
    mean: Tensor,
    decay_input: Tensor,
    decay_input_bias: Tensor,
    decay_hidden: Tensor,
    decay_hidden_bias: Tensor,
    weight_mask: Tensor,
    candidate: Wrap = identity,
) -> State:
    """x^ = m x + (1 - m) (g_x last + (1 - g_x) mean) and h^ = g_h h, with g = exp(-max(0, W dt + b)), diagonal for x; then a GRU.

    r = sigmoid(W_r x^ + U_r h^ + V_r m + b_r), z likewise; n = tanh(W x^ + U (r h^) + V m + b); h' = (1 - z) h^ + z n. The state
    `last` is the last observed value minus the mean, so that its first value, zero, stands for the mean.
    """
    last = mask * (x - mean) + (1 - mask) * s.last
    keep_input = exp(-relu(decay_input * dt + decay_input_bias))
    seen = mask * x + (1 - mask) * (mean + keep_input * s.last)
    h = exp(-relu(F.linear(dt, decay_hidden, decay_hidden_bias))) * s.h
    w, u = W(seen), U.only("r z")(h)
    r_mask, z_mask, n_mask = F.linear(mask, weight_mask).chunk(3, -1)
    r, z = sigmoid(w.r + u.r + r_mask), sigmoid(w.z + u.z + z_mask)
    n = candidate(tanh(w.n + U.only("n")(r * h).n + n_mask))
    return State(h=(1 - z) * h + z * n, last=last)


@named("GRUD")
def named_gru_d() -> Cell:
    """GRU-D, for series with missing values: a missing value decays from the last observed one to the mean; the state decays too.

    It has two extras, `(T, B, I)` each: `mask`, 1 for an observed value and 0 for a missing one, and `dt`, the time since that
    variable was last observed. Input values with `mask` 0 have no effect, but must be finite numbers. `mean_l0` is the mean of each
    variable: copy it there before training; it is not learned, and is zero at first. As the extras are as wide as the input,
    `num_layers` must be 1 unless `input_size` is `hidden_size`.

    Source: Che et al. 2018, arXiv 1606.01865, (11) to (16), Recurrent neural networks for multivariate time series with missing
    values. The authors' code (PeterChe1990/GRU-D) has inputs of mean zero, gives the gates 1 - m instead of m, and computes
    h' = z h + (1 - z) n with the h before its decay. Its decay weights start at zero, where max(0, .) has no slope; here those of
    the input start in [0, 1], and those of the state in [0, 0.1].
    """
    return gru_d
