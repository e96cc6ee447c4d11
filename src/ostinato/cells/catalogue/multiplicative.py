"""The multiplicative LSTM: the effect of the state on the gates depends on the input."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["multiplicative_lstm", "multiplicative_lstm_late"]

_SOURCE = "Krause et al. 2016, arXiv 1609.07959, (18) to (22) of its ICLR workshop form"
# m replaces h in the recurrent product, so it has the width of h: P, which is H without a projection.
_OWN = {"weight_mx": "P I", "weight_mh": "P P"}


@cell(gates="i f g o", states="h c", keep="f", write="i", forget_bias=1.0, parameters=_OWN, source=_SOURCE)
def multiplicative_lstm(
    x: Tensor,
    s: State,
    U: Any,
    W: Any,
    weight_mx: Tensor,
    weight_mh: Tensor,
    candidate: Wrap = identity,
    memory: Wrap = identity,
) -> State:
    """The LSTM of x and m = (W_mx x) (W_mh h) in place of h: c' = f c + i tanh(g); h' = o tanh(c')."""
    w, u = W(x), _product(x, s, U, weight_mx, weight_mh)
    c = sigmoid(w.f + u.f) * s.c + sigmoid(w.i + u.i) * candidate(tanh(w.g + u.g))
    return State(h=sigmoid(w.o + u.o) * tanh(memory(c)), c=c)


@cell(gates="i f g o", states="h c", keep="f", write="i", forget_bias=1.0, parameters=_OWN, source=_SOURCE)
def multiplicative_lstm_late(
    x: Tensor,
    s: State,
    U: Any,
    W: Any,
    weight_mx: Tensor,
    weight_mh: Tensor,
    candidate: Wrap = identity,
    memory: Wrap = identity,
) -> State:
    """As `multiplicative_lstm`, with one tanh, which comes last: c' = f c + i g; h' = tanh(o c')."""
    w, u = W(x), _product(x, s, U, weight_mx, weight_mh)
    c = sigmoid(w.f + u.f) * s.c + sigmoid(w.i + u.i) * candidate(w.g + u.g)
    return State(h=tanh(sigmoid(w.o + u.o) * memory(c)), c=c)


def _product(x: Tensor, s: State, U: Any, weight_mx: Tensor, weight_mh: Tensor) -> Gates:
    return U(F.linear(x, weight_mx) * F.linear(s.h, weight_mh))


@named("MultiplicativeLSTM", variants=[{}, {"late_tanh": True}])
def named_multiplicative_lstm(*, late_tanh: bool = False) -> Cell:
    """The multiplicative LSTM, the older of two cells called mLSTM: the LSTM of x and m = (W_mx x) (W_mh h) in place of h.

    `forget_bias` is 1.0 by default, as in the authors' code for Chainer.

    Source: Krause, Lu, Murray & Renals 2016, arXiv 1609.07959, Multiplicative LSTM for sequence modelling, (18) to (22) in the
    numbering of its ICLR 2017 workshop version. (16) of that version is h' = tanh(o c'), as with `late_tanh`.

    Args:
        late_tanh: c' = f c + i g and h' = tanh(o c'), as in the authors' code for MATLAB, which adds the bias of g inside that
            tanh; else c' = f c + i tanh(g) and h' = o tanh(c'), as in their code for Chainer.
    """
    return multiplicative_lstm_late if late_tanh else multiplicative_lstm
