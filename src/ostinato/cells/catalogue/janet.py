"""JANET, just another network: an LSTM that has only the forget gate."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from torch import sigmoid, tanh

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.errors import CellError

__all__ = ["janet"]


def janet(beta: float = 1.0) -> Cell:
    """The cell with this `beta`; equal numbers give the same object.

    h' = sigmoid(s) h + (1 - sigmoid(s - beta)) tanh(W_c x + U_c h + b_c), with s = W_f x + U_f h + b_f. With beta = 0 the cell
    writes as much as it forgets, h' = f h + (1 - f) g; above 0 it writes more.

    Source: van der Westhuizen & Lasenby 2018, arXiv 1804.04849, The unreasonable effectiveness of the forget gate. The authors
    start b_f by chrono initialisation (`init="chrono(784)"`).

    Args:
        beta: a finite number; the authors use 1.

    Raises:
        CellError: if it is not a finite number.
    """
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not math.isfinite(beta):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CellError(f"beta expected a finite number, got {beta!r}")
    return _janet(float(beta))


@cache
def _janet(beta: float) -> Cell:
    def step(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
        u = U(s.h)
        f = x.f + u.f
        return State(h=sigmoid(f) * s.h + (1 - sigmoid(f - beta)) * candidate(tanh(x.g + u.g)))

    step.__name__, step.__doc__ = f"janet_{beta}", f"JANET with beta = {beta}; see `janet`."
    return cell(
        gates="f g",
        states="h",
        keep="f",
        source="van der Westhuizen & Lasenby 2018, arXiv 1804.04849",
    )(step)


@named("JANET", variants=[{}, {"beta": 0.0}])
def named_janet(*, beta: float = 1.0) -> Cell:
    """Just another network: h' = sigmoid(s) h + (1 - sigmoid(s - beta)) tanh(W_c x + U_c h + b_c), s = W_f x + U_f h + b_f.

    The authors start b_f by chrono initialisation. Their code had beta = 1 from the beginning, the paper only since an update.

    Source: van der Westhuizen & Lasenby 2018, arXiv 1804.04849.

    Args:
        beta: a finite number; at 0 the cell writes as much as it forgets, above 0 more.
    """
    return janet(beta)


def __getattr__(name: str) -> Cell:
    # A cell is pickled by its name in its module, so this module has a name for every beta.
    if name.startswith("janet_"):
        try:
            return janet(float(name.removeprefix("janet_")))
        except (ValueError, CellError):
            pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
