"""The LSTM with peepholes."""

from __future__ import annotations

from typing import Any

from ostinato.cells.lstm import lstm
from ostinato.cells.named import Gates, State
from ostinato.cells.options import peephole
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["peephole_lstm"]

_SEEING = peephole(lstm)


@cell(
    gates="i f g o",
    states="h c",
    keep="f",
    write="i",
    parameters={"weight_ci": "H", "weight_cf": "H", "weight_co": "H"},
    source="Gers & Schmidhuber 2000, Recurrent Nets that Time and Count; Graves 2013, arXiv 1308.0850, (7) to (11)",
)
def peephole_lstm(
    x: Gates,
    s: State,
    U: Any,
    weight_ci: Tensor,
    weight_cf: Tensor,
    weight_co: Tensor,
    candidate: Wrap = identity,
    memory: Wrap = identity,
) -> State:
    """An LSTM that adds w_ci c and w_cf c to its gates i and f, and w_co c' to o: the option `peephole` of `lstm`."""
    own = {"weight_ci": weight_ci, "weight_cf": weight_cf, "weight_co": weight_co}
    return _SEEING.step(x, s, U, **own, candidate=candidate, memory=memory)


@named("PeepholeLSTM")
def named_peephole_lstm() -> Cell:
    """The LSTM whose gates read its memory: i + w_ci c, f + w_cf c and o + w_co c', with one weight a unit, which starts at 0.

    It is `ostinato.LSTM(..., peephole=True)` under a name of its own, with the same `state_dict`.

    Source: Gers & Schmidhuber 2000, Recurrent Nets that Time and Count; the equations are those of Graves 2013, arXiv 1308.0850.
    """
    return peephole_lstm
