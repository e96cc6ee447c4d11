"""Gates that are always open or shut, and units that never move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from ostinato.insight.layers import Loss

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


@dataclass(frozen=True)
class GateShare:
    """One nonlinearity of one direction of one layer.

    Attributes:
        name: of the layer; see `Trajectory`.
        gate: by the cell's name for it ("i", "f", "g", "o"); "out" for one that no gate enters, as tanh(c).
        kind: "sigmoid", "tanh" or "relu".
        low: share of the values near the lower end, 0 or -1; of a ReLU, of those that are off.
        high: share near the upper end, 1; 0 for a ReLU.
        mean: of the values.
    """

    name: str
    gate: str
    kind: str
    low: float
    high: float
    mean: float


@dataclass(frozen=True)
class UnitShare:
    """The units of one direction of one layer that do nothing.

    Attributes:
        name: of the layer; see `Trajectory`.
        units: `H`, or `P`.
        dead: those whose ReLU was never on, by number.
        stuck: those whose state did not move over steps and rows, by number.
    """

    name: str
    units: int
    dead: list[int]
    stuck: list[int]


@dataclass(frozen=True)
class Saturation:
    """Of a model; print it."""

    gates: list[GateShare]
    units: list[UnitShare]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, as JSON has them."""
        raise NotImplementedError

    def table(self) -> Table:
        """A row for each gate."""
        raise NotImplementedError

    def plot(self) -> Figure:
        """The shares near both ends, gate by gate."""
        raise NotImplementedError


def saturation(
    model: nn.Module, batch: Any, loss: Loss | None = None, *, margin: float = 0.1, stuck_below: float = 1e-3
) -> Saturation:
    """The share of each gate near its ends, and the units that never move, in one pass over a batch.

    Args:
        model: as in `gradient_flow`.
        batch: as in `trajectories`.
        loss: as in `trajectories`.
        margin: how near to an end is saturated, in (0, 0.5): a sigmoid below 0.1 or above 0.9, a tanh below -0.9 or above 0.9.
        stuck_below: a unit whose state stays within so much is stuck.
    """
    raise NotImplementedError
