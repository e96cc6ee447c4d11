"""The liquid time-constant network: a differential equation whose time constants depend on the input."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from torch import exp, sigmoid

from ostinato.cells.named import Gates, State
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["ltc"]


def ltc(unfolds: int = 6) -> Cell:
    """The cell whose solver takes this number of steps; equal numbers give the same object; see `named_ltc`.

    Source: Hasani et al. 2021, arXiv 2006.04439, Liquid Time-constant Networks, (3), the fused step of algorithm 1.

    Raises:
        CellError: if it is not a whole number of at least 1.
    """
    if isinstance(unfolds, bool) or not isinstance(unfolds, int) or unfolds < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CellError(
            f"unfolds expected the number of steps of the solver, an integer of at least 1, got {unfolds!r}"
        )
    return _ltc(unfolds)


@cache
def _ltc(unfolds: int) -> Cell:
    def step(x: Gates, s: State, U: Any, dt: Tensor, A: Tensor, log_tau: Tensor) -> State:
        h, dt = s.h, dt / unfolds
        for _ in range(unfolds):
            f = sigmoid(x.f + U(h).f)
            h = (h + dt * f * A) / (1 + dt * (exp(-log_tau) + f))
        return State(h=h)

    step.__name__, step.__doc__ = f"ltc_{unfolds}", f"The liquid time-constant cell with {unfolds} steps; see `ltc`."
    return cell(
        gates="f",
        states="h",
        extras="dt",
        parameters={"A": "H", "log_tau": "H"},
        starts={"A": "uniform(-1, 1)"},
        source="Hasani et al. 2021, arXiv 2006.04439, (1) and (3)",
    )(step)


@named("LTC", variants=[{"unfolds": 3}])
def named_ltc(*, unfolds: int = 6) -> Cell:
    """The liquid time-constant network: dh/dt = -(1 / tau + f) h + f A, with f = sigmoid(W x + U h + b).

    The fused solver of the paper takes `unfolds` steps of dt / unfolds each: h = (h + dt f A) / (1 + dt (1 / tau + f)). The extra
    `dt`, `(T, B)`, is the time since the step before: ones if all steps are equally long. tau is positive; its logarithm is
    learned, starting at tau = 1.

    Source: Hasani et al. 2021, arXiv 2006.04439, (1), and (3) with algorithm 1. The paper leaves the nonlinearity of f open; its
    example is tanh. The authors' code (raminmh/liquid_time_constant_networks, mlech26l/ncps) has another f: every pair of units has
    a synapse w sigmoid(sigma (v - mu)) with its own reversal potential in place of A; a unit adds up its synapses, most of which a
    wiring may leave out. Here a unit has one f and one A.

    Args:
        unfolds: the number of steps of the solver, at least 1; the authors use 6.
    """
    return ltc(unfolds)


def __getattr__(name: str) -> Cell:
    # A cell is pickled by its name in its module, so this module has a name for every number of steps.
    if found := re.fullmatch("ltc_([1-9][0-9]*)", name):
        return ltc(int(found[1]))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
