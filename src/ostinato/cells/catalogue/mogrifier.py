"""The Mogrifier LSTM: input and state gate each other in rounds, before an LSTM reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import sigmoid
from torch.nn import functional as F

from ostinato.cells.lstm import lstm
from ostinato.cells.named import State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["mogrifier_lstm"]


def mogrifier_lstm(rounds: int = 5, rank: int = 0) -> Cell:
    """The cell with this number of rounds; equal numbers give the same object.

    For i = 1 .. rounds, with x_{-1} = x and h_0 = h: x_i = 2 sigmoid(Q_i h_{i-1}) x_{i-2} if i is odd, and
    h_i = 2 sigmoid(R_i x_{i-1}) h_{i-2} if it is even; then an LSTM gets the last x and the last h.

    Source: Melis, Kocisky & Blunsom 2020, arXiv 1909.01792, Mogrifier LSTM, (1) and (2). The authors' code (google-deepmind/lamb)
    adds a bias to each of these products, and limits the input gate to at most 1 - f.

    Args:
        rounds: the number of rounds; the authors use 5 or 6; 0 is the LSTM.
        rank: the rank of each Q and R, which is then a product of two matrices; 0 for full matrices.

    Raises:
        CellError: one is not a whole number of at least 0.
    """
    for name, number in (("rounds", rounds), ("rank", rank)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CellError(f"{name} expected an integer of at least 0, got {number!r}")
    return _mogrifier_lstm(rounds, rank)


@cache
def _mogrifier_lstm(rounds: int, rank: int) -> Cell:
    matrices = [("Q", "I", "P") if n % 2 else ("R", "P", "I") for n in range(1, rounds + 1)]
    parameters: dict[str, str] = {}
    for n, (letter, rows, columns) in enumerate(matrices, 1):
        if rank:
            parameters |= {f"{letter}{n}_left": f"{rows} K", f"{letter}{n}_right": f"K {columns}"}
        else:
            parameters[f"{letter}{n}"] = f"{rows} {columns}"

    def product(name: str, v: Tensor, own: Mapping[str, Tensor]) -> Tensor:
        return F.linear(F.linear(v, own[f"{name}_right"]), own[f"{name}_left"]) if rank else F.linear(v, own[name])

    def step(
        x: Tensor, s: State, U: Any, W: Any, candidate: Wrap = identity, memory: Wrap = identity, **own: Tensor
    ) -> State:
        h = s.h
        for n in range(1, rounds + 1):
            if n % 2:
                x = 2 * sigmoid(product(f"Q{n}", h, own)) * x
            else:
                h = 2 * sigmoid(product(f"R{n}", x, own)) * h
        return lstm.step(W(x), s.with_(h=h), U, candidate=candidate, memory=memory)

    step.__name__ = f"mogrifier_lstm_{rounds}" + (f"_of_rank_{rank}" if rank else "")
    step.__doc__ = f"The Mogrifier LSTM of {rounds} rounds; see `mogrifier_lstm`."
    return cell(
        gates="i f g o",
        states="h c",
        keep="f",
        write="i",
        parameters=parameters,
        widths={"K": rank} if rank else None,
        source="Melis, Kocisky & Blunsom 2020, arXiv 1909.01792, (1) and (2)",
    )(step)


@named("MogrifierLSTM", variants=[{"rounds": 3}, {"rounds": 2, "rank": 2}])
def named_mogrifier_lstm(*, rounds: int = 5, rank: int = 0) -> Cell:
    """The Mogrifier LSTM: input and state gate each other, x = 2 sigmoid(Q h) x and h = 2 sigmoid(R x) h in turns, then an LSTM.

    Source: Melis, Kocisky & Blunsom 2020, arXiv 1909.01792, (1) and (2). The authors' code adds a bias to each Q h and R x, and
    limits the input gate to at most 1 - f.

    Args:
        rounds: the number of rounds of gating, each with its own matrix; the first gates the input. The authors use 5 or 6.
        rank: the rank of these matrices, each of which is then a product of two; 0 for full matrices.
    """
    return mogrifier_lstm(rounds, rank)


def __getattr__(name: str) -> Cell:
    # A cell is pickled by its name in its module, so this module has a name for every pair of numbers.
    if found := re.fullmatch("mogrifier_lstm_([0-9]+)(?:_of_rank_([1-9][0-9]*))?", name):
        return mogrifier_lstm(int(found[1]), int(found[2] or 0))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
