"""IndRNN, the independently recurrent network: of the step before, every unit reads its own state only."""

from __future__ import annotations

from torch import relu, tanh

from ostinato.cells.named import Gates, State
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["indrnn_relu", "indrnn_tanh"]

SOURCE = "Li et al. 2018, arXiv 1803.04831, (2)"


@cell(gates="h", states="h", recurrent=False, parameters={"u": "H"}, starts={"u": "uniform(0, 1)"}, source=SOURCE)
def indrnn_relu(x: Gates, s: State, U: None, u: Tensor) -> State:
    """h' = relu(W x + u h + b), with one recurrent weight u a unit."""
    return State(h=relu(x.h + u * s.h))


@cell(gates="h", states="h", recurrent=False, parameters={"u": "H"}, starts={"u": "uniform(0, 1)"}, source=SOURCE)
def indrnn_tanh(x: Gates, s: State, U: None, u: Tensor) -> State:
    """h' = tanh(W x + u h + b), with one recurrent weight u a unit."""
    return State(h=tanh(x.h + u * s.h))


_BY_NONLINEARITY = {"relu": indrnn_relu, "tanh": indrnn_tanh}


@named("IndRNN", variants=[{"nonlinearity": name} for name in _BY_NONLINEARITY])
def named_indrnn(*, nonlinearity: str = "relu") -> Cell:
    """Independently recurrent network: h' = relu(W x + u h + b), with one recurrent weight u a unit.

    Only the layer above combines units, so stack several layers. u starts in [0, 1], as in the authors' code. The paper bounds |u|
    by 2^(1/T) for sequences of T steps, so that nothing explodes, and the code clips u after every update:
    `layer.u_l0.data.clamp_(-2 ** (1 / T), 2 ** (1 / T))`. In the last layer, if only its last step is used, the code starts u
    between 0.5^(1/T) and 2^(1/T).

    Source: Li et al. 2018, arXiv 1803.04831, (2).

    Args:
        nonlinearity: "relu" or "tanh".
    """
    if nonlinearity not in _BY_NONLINEARITY:
        raise CellError(f"nonlinearity expected one of {', '.join(_BY_NONLINEARITY)}, got {nonlinearity!r}")
    return _BY_NONLINEARITY[nonlinearity]
