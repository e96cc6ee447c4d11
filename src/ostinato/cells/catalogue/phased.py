"""The phased LSTM: each unit is open for a part of its own period."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from torch import remainder, sigmoid, tanh, where

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["phased_lstm"]


def phased_lstm(leak: float = 0.001) -> Cell:
    """The cell with this leak; equal numbers give the same object.

    Source: Neil, Pfeiffer & Liu 2016, arXiv 1610.09513, Phased LSTM, (1) to (10).

    Args:
        leak: the paper's alpha, the openness in the closed phase, at least 0.

    Raises:
        CellError: if it is not a finite number of at least 0.
    """
    is_number = isinstance(leak, int | float) and not isinstance(leak, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not is_number or not 0 <= leak < math.inf:
        raise CellError(f"leak expected a finite number of at least 0, got {leak!r}")
    return _phased_lstm(float(leak))


@cache
def _phased_lstm(leak: float) -> Cell:
    def step(
        x: Gates,
        s: State,
        U: Any,
        t: Tensor,
        period: Tensor,
        shift: Tensor,
        ratio: Tensor,
        weight_ci: Tensor,
        weight_cf: Tensor,
        weight_co: Tensor,
        candidate: Wrap = identity,
        memory: Wrap = identity,
    ) -> State:
        phase, on = remainder(t - shift, period.abs()) / period.abs(), ratio.abs()
        k = where(phase < on / 2, 2 * phase / on, where(phase < on, 2 - 2 * phase / on, leak * phase))
        u = U(s.h)
        f, i = sigmoid(x.f + u.f + weight_cf * s.c), sigmoid(x.i + u.i + weight_ci * s.c)
        c = f * s.c + i * candidate(tanh(x.g + u.g))
        h = sigmoid(x.o + u.o + weight_co * c) * tanh(memory(c))
        return State(h=k * h + (1 - k) * s.h, c=k * c + (1 - k) * s.c)

    step.__name__, step.__doc__ = f"phased_lstm_{leak}", f"The phased LSTM with a leak of {leak}; see `phased_lstm`."
    return cell(
        gates="i f g o",
        states="h c",
        extras="t",
        keep="f",
        write="i",
        parameters=dict.fromkeys(("period", "shift", "ratio", "weight_ci", "weight_cf", "weight_co"), "H"),
        starts={
            "period": "uniform(10, 100)",
            "shift": "uniform(0, 1000)",
            "ratio": 0.05,
            **dict.fromkeys(("weight_ci", "weight_cf", "weight_co"), "normal(0, 0.1)"),
        },
        fixed="ratio",
        forget_bias=2.0,
        source="Neil, Pfeiffer & Liu 2016, arXiv 1610.09513, (1) to (10)",
    )(step)


@named("PhasedLSTM")
def named_phased_lstm(*, leak: float = 0.001) -> Cell:
    """The phased LSTM, for events at any time: a unit is updated in one part of its period, and keeps its state in the rest.

    With the phase p = ((t - shift) mod period) / period: k = 2 p / ratio if p < ratio / 2, 2 - 2 p / ratio if p < ratio, else
    leak p. An LSTM with peepholes proposes c~ and h~, of which a share k is taken: h' = k h~ + (1 - k) h, c' likewise. The extra
    `t` is the time of each step, `(T, B)`, in a unit that fits the periods. As in the authors' code, which is for times of up to
    1000, periods start in U(10, 100) and shifts in U(0, 1000); for other times set them, `layer.period_l0.uniform_(1, 5)`. The
    ratio, 0.05, is not learned.

    Source: Neil, Pfeiffer & Liu 2016, arXiv 1610.09513, (1) to (10). In (4) o reads c'; in their code (dannyneil/public_plstm) it
    reads the proposed c~, as here, and the first author has said that (4) means c~. The code adds the shift to t, and its leak is
    zero in evaluation: for that, load the same `state_dict` with `leak=0.0`. Its peepholes start in N(0, 0.1), and its forget gate
    at 2, as here.

    Args:
        leak: the openness k in the closed phase is leak p; above 0 it lets gradients pass.
    """
    return phased_lstm(leak)


def __getattr__(name: str) -> Cell:
    # A cell is pickled by its name in its module, so this module has a name for every leak.
    if name.startswith("phased_lstm_"):
        try:
            return phased_lstm(float(name.removeprefix("phased_lstm_")))
        except (ValueError, CellError):
            pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
