"""minGRU and minLSTM: gates that depend on the input only. Without a recurrent product the recurrence is linear in its state.

The authors train these as a parallel scan over logarithms, for which nothing may be negative; that scan is a way to run the cell,
not the cell itself. Only the `_positive` forms, which are the authors' log-space models, write positive numbers alone.
"""

from __future__ import annotations

from torch import sigmoid, where
from torch.nn import functional as F

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["min_gru", "min_gru_positive", "min_lstm", "min_lstm_positive"]

SOURCE = "Feng et al. 2024, arXiv 2410.01201v3, Were RNNs All We Needed?"


@cell(gates="z h", states="h", recurrent=False, write="z", source=f"{SOURCE}, 3.1.3")
def min_gru(x: Gates, s: State, U: None, candidate: Wrap = identity) -> State:
    """h' = (1 - z) h + z (W_h x + b_h), with z = sigmoid(W_z x + b_z)."""
    z = sigmoid(x.z)
    return State(h=(1 - z) * s.h + z * candidate(x.h))


@cell(gates="z h", states="h", recurrent=False, write="z", source=f"{SOURCE}, appendix B")
def min_gru_positive(x: Gates, s: State, U: None, candidate: Wrap = identity) -> State:
    """h' = (1 - z) h + z g(W_h x + b_h), with g as in `positive`: a state that starts positive stays so."""
    return min_gru.step(x.with_(h=positive(x.h)), s, U, candidate=candidate)


@cell(gates="f i h", states="h", recurrent=False, keep="f", write="i", source=f"{SOURCE}, 3.2.4")
def min_lstm(x: Gates, s: State, U: None, candidate: Wrap = identity) -> State:
    """h' = f' h + i' (W_h x + b_h), with f' = f / (f + i), i' = i / (f + i) and sigmoid gates f and i."""
    # f / (f + i) = sigmoid(log f - log i), which is right even if both gates are so small that they round to zero.
    keep = sigmoid(_log_sigmoid(x.f) - _log_sigmoid(x.i))
    return State(h=keep * s.h + (1 - keep) * candidate(x.h))


@cell(gates="f i h", states="h", recurrent=False, keep="f", write="i", source=f"{SOURCE}, appendix B")
def min_lstm_positive(x: Gates, s: State, U: None, candidate: Wrap = identity) -> State:
    """h' = f' h + i' g(W_h x + b_h), with g as in `positive`: a state that starts positive stays so."""
    return min_lstm.step(x.with_(h=positive(x.h)), s, U, candidate=candidate)


def positive(v: Tensor) -> Tensor:
    """g(v) = v + 0.5 if v >= 0, else sigmoid(v): replaces the identity where a logarithm is taken afterwards."""
    return where(v >= 0, v + 0.5, sigmoid(v))


def _log_sigmoid(v: Tensor) -> Tensor:
    # Above the threshold softplus is the identity: an error of 2e-9 at torch's 20, below float64's resolution at 40.
    return -F.softplus(-v, threshold=40.0)


@named("MinGRU", order=5)
def named_min_gru(*, positive: bool = False) -> Cell:
    """The minimal gated recurrent unit: h' = (1 - z) h + z (W_h x + b_h), z = sigmoid(W_z x + b_z).

    Its gates depend on the input only: there is no `weight_hh`, and the step is linear in its state. Options that act on a
    recurrent product (`weight_dropout`, the recurrent rate of `variational_dropout`) raise.

    Source: Feng et al. 2024, arXiv 2410.01201v3, 3.1.3.

    Args:
        positive: put g(v) = v + 0.5 for v >= 0, else sigmoid(v), around what is written, as the authors' log-space form does
            (appendix B); states that start at 0 or above stay there.
    """
    return min_gru_positive if positive else min_gru


@named("MinLSTM", order=6, variants=[{}, {"positive": True}])
def named_min_lstm(*, positive: bool = False) -> Cell:
    """The minimal LSTM: h' = f / (f + i) h + i / (f + i) (W_h x + b_h), with sigmoid gates f and i.

    Its gates depend on the input only: there is no `weight_hh`, and the step is linear in its state. Options that act on a
    recurrent product (`weight_dropout`, the recurrent rate of `variational_dropout`) raise. `forget_bias` opens f, but i still
    writes, so long memories need chrono initialisation, which closes i too.

    Source: Feng et al. 2024, arXiv 2410.01201v3, 3.2.4.

    Args:
        positive: put g(v) = v + 0.5 for v >= 0, else sigmoid(v), around what is written, as the authors' log-space form does
            (appendix B); states that start at 0 or above stay there.
    """
    return min_lstm_positive if positive else min_lstm
