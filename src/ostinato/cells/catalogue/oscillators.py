"""CoRNN and UnICORNN: networks of oscillators; each unit has a position y and a speed z."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh
from torch.nn import init

from ostinato.cells.family import Family, member, number
from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["cornn", "unicornn"]


@Family
def cornn(dt: float = 0.042, gamma: float = 2.7, epsilon: float = 4.7, implicit: bool = False) -> Cell:
    """z' = z + dt (tanh(W y + W_z z + V x + b) - gamma y - epsilon z); y' = y + dt z'. Implicit: with epsilon z'."""
    number("dt", dt, above=0.0)
    number("gamma", gamma)
    number("epsilon", epsilon)

    def step(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
        force = candidate(tanh(x.y + U.only("y")(s.y).y + U.only("z")(s.z).z)) - gamma * s.y
        z = (s.z + dt * force) / (1 + dt * epsilon) if implicit else s.z + dt * (force - epsilon * s.z)
        return State(y=s.y + dt * z, z=z)

    # W and W_z are stored as one matrix: the rows of gate y are multiplied with y, those of gate z with z.
    return cell(gates="y z", states="y z", inputs="y", source="Rusch & Mishra 2021, arXiv 2010.00951, (3)")(step)


def _small(v: Tensor) -> Tensor:
    return init.kaiming_uniform_(v, a=8)


@Family
def unicornn(dt: float = 0.19, alpha: float = 30.65) -> Cell:
    """z' = z - dt sigmoid(c) (tanh(w y + V x + b) + alpha y); y' = y + dt sigmoid(c) z', with w and c one number a unit."""
    number("dt", dt, above=0.0)
    number("alpha", alpha, least=0.0)

    def step(x: Gates, s: State, U: None, w: Tensor, c: Tensor, candidate: Wrap = identity) -> State:
        pace = dt * sigmoid(c)
        z = s.z - pace * (candidate(tanh(w * s.y + x.y)) + alpha * s.y)
        return State(y=s.y + pace * z, z=z)

    return cell(
        gates="y",
        states="y z",
        recurrent=False,
        parameters={"w": "H", "c": "H"},
        starts={"w": "uniform(0, 1)", "c": "uniform(-0.1, 0.1)", "weight_ih": _small, "bias_ih": 0.0},
        source="Rusch & Mishra 2021, arXiv 2103.05487, 2",
    )(step)


@named("CoRNN", variants=[{}, {"dt": 0.3, "implicit": True}])
def named_cornn(*, dt: float = 0.042, gamma: float = 2.7, epsilon: float = 4.7, implicit: bool = False) -> Cell:
    """Coupled oscillators: z' = z + dt (tanh(W y + W_z z + V x + b) - gamma y - epsilon z); y' = y + dt z'.

    W and W_z are the rows of `weight_hh`. The output is y.

    Source: Rusch & Mishra 2021, arXiv 2010.00951, (3), which has both forms of the damping; the authors' code has the explicit one.
    The default numbers are the authors' for sequential MNIST.

    Args:
        dt: the length of a step, above 0.
        gamma: the strength that pulls y back to 0.
        epsilon: the strength of the damping of z.
        implicit: use epsilon z', with the new z', as damping; it is stable for every dt.
    """
    return cornn(dt, gamma, epsilon, implicit)


@named("UnICORNN", variants=[{}, {"dt": 0.05, "alpha": 2.0}])
def named_unicornn(*, dt: float = 0.19, alpha: float = 30.65) -> Cell:
    """Undamped independent controlled oscillators: z' = z - e (tanh(w y + V x + b) + alpha y); y' = y + e z', e = dt sigmoid(c).

    w and c are one number a unit, so only the layer above combines units: stack several layers. The output is y. As in the authors'
    code, w starts in [0, 1], c in [-0.1, 0.1], V as `torch.nn.init.kaiming_uniform_(a=8)`, and b at 0; their code allows another dt
    in every layer.

    Source: Rusch & Mishra 2021, arXiv 2103.05487, section 2. The default numbers are the authors' for permuted MNIST.

    Args:
        dt: the longest step, above 0.
        alpha: the strength that pulls y back to 0, at least 0.
    """
    return unicornn(dt, alpha)


def __getattr__(name: str) -> Cell:
    return member(__name__, name, cornn, unicornn)
