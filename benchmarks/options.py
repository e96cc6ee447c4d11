"""The section `options`: every option, and a cell that a user wrote, beside the plain LSTM of the same size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import sigmoid, tanh

import ostinato
from benchmarks.case import Case, Subject, make_subject
from benchmarks.sizes import GATES, SIZES, Mode, Size


@ostinato.cell(gates="i f g o", states="h c")
def users_lstm(x: Any, s: Any, U: Any) -> ostinato.State:
    """The arithmetic of LSTM, written by somebody whom no kernel knows."""
    u = U(s.h)
    c = sigmoid(x.f + u.f) * s.c + sigmoid(x.i + u.i) * tanh(x.g + u.g)
    return ostinato.State(h=sigmoid(x.o + u.o) * tanh(c), c=c)


@dataclass(frozen=True)
class Option:
    """A layer with one thing changed.

    Attributes:
        name: as it stands in the table.
        cell: whose option it is: "RNN", "LSTM" or "GRU".
        make: from a size and a backend to the layer.
        gates: `G`.
        training_only: in evaluation it is a plain layer, and measured as one already.
        proj_size: from a size to `P`; 0 for none.
    """

    name: str
    cell: str
    make: Callable[[Size, Any], torch.nn.Module]
    gates: int
    training_only: bool = False
    proj_size: Callable[[Size], int] = lambda size: 0


def _lstm(name: str, *, gates: int = 4, training_only: bool = False, **options: Any) -> Option:
    return Option(
        name, "LSTM", lambda s, b: ostinato.LSTM(s.I, s.H, backend=b, **options), gates, training_only=training_only
    )


def _half(size: Size) -> int:
    return size.H // 2


PLAIN = tuple(
    Option(f"plain {cell}", cell, lambda s, b, c=cell: getattr(ostinato, c)(s.I, s.H, backend=b), gates)
    for cell, gates in GATES.items()
)
OPTIONS = (
    _lstm("variational dropout", variational_dropout=0.3, training_only=True),
    _lstm("recurrent dropout", recurrent_dropout=0.2, training_only=True),
    _lstm("zoneout", zoneout=(0.05, 0.5)),
    _lstm("peephole", peephole=True),
    _lstm("coupled gates", coupled_gates=True, gates=3),
    _lstm("layer norm", layer_norm=True),
    Option(
        "projection", "LSTM", lambda s, b: ostinato.LSTM(s.I, s.H, proj_size=_half(s), backend=b), 4, proj_size=_half
    ),
    Option("user's LSTM", "LSTM", lambda s, b: ostinato.Recurrent(users_lstm, s.I, s.H, backend=b), 4),
    Option("reset before", "GRU", lambda s, b: ostinato.GRU(s.I, s.H, reset_after=False, backend=b), 3),
    Option("relu", "RNN", lambda s, b: ostinato.RNN(s.I, s.H, nonlinearity="relu", backend=b), 1),
)
BASELINE = "plain LSTM"


def options(sizes: Sequence[Size] = SIZES, cells: Sequence[str] = tuple(GATES)) -> Iterator[Case]:
    """Training and inference, all options of a size in turns."""
    for mode in ("training", "inference"):
        for size in sizes:
            yield Case("options", "options", mode, size, tuple(_subjects(size, mode, cells)), (BASELINE,))


def _subjects(size: Size, mode: Mode, cells: Sequence[str]) -> Iterator[Subject]:
    torch.manual_seed(0)
    x = torch.randn(size.T, size.B, size.I)

    def subject(option: Option, backend: str) -> Subject:
        torch.manual_seed(1)  # the user's cell must get the plain LSTM's weights
        layer = option.make(size, backend)
        by_reference = backend == "reference"
        return make_subject(
            f"{option.name}, reference" if by_reference else option.name,
            layer,
            lambda x: layer(x)[0],
            x,
            mode,
            size.flops(option.gates, mode, option.proj_size(size)),
            same_as=BASELINE if option.name == "user's LSTM" else None,
            background=by_reference,
        )

    for option in PLAIN:
        if option.cell in cells or option.name == BASELINE:
            yield subject(option, "auto")
    for option in OPTIONS:
        if option.cell in cells and not (option.training_only and mode == "inference"):
            yield subject(option, "auto")
            yield subject(option, "reference")
