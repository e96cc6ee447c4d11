"""LEM, long expressive memory: two states, each with a time step that is learned."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh

from ostinato.cells.family import Family, member, number
from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity

__all__ = ["lem"]


@Family
def lem(dt: float = 1.0) -> Cell:
    """z' = (1 - a) z + a tanh(W_z y + V_z x + b_z); y' = (1 - b) y + b tanh(W_y z' + V_y x + b_y), with gates a, b in (0, dt)."""
    number("dt", dt, above=0.0)

    def step(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
        u = U.only("a b z")(s.y)
        a, b = dt * sigmoid(x.a + u.a), dt * sigmoid(x.b + u.b)
        z = (1 - a) * s.z + a * candidate(tanh(x.z + u.z))
        y = (1 - b) * s.y + b * candidate(tanh(x.y + U.only("y")(z).y))
        return State(y=y, z=z)

    return cell(gates="a b z y", states="y z", write="a b", source="Rusch et al. 2022, arXiv 2110.04744, (3)")(step)


@named("LEM", variants=[{}, {"dt": 0.4}])
def named_lem(*, dt: float = 1.0) -> Cell:
    """Long expressive memory: z' = (1 - a) z + a tanh(W_z y + V_z x + b_z); y' = (1 - b) y + b tanh(W_y z' + V_y x + b_y).

    The time steps a = dt sigmoid(W_a y + V_a x + b_a) and b, likewise, are the paper's Delta t and Delta t bar. The output is y.
    All parameters start in [-1, 1] / sqrt(H), as torch's and the authors' do.

    Source: Rusch et al. 2022, arXiv 2110.04744, (3).

    Args:
        dt: the longest time step, above 0.
    """
    return lem(dt)


def __getattr__(name: str) -> Cell:
    return member(__name__, name, lem)
