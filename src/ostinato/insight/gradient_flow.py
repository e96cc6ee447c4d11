"""How far a gradient reaches: its norm at every step, and what is left of it by distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from ostinato.insight.layers import Loss

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


@dataclass(frozen=True)
class Flow:
    """Of one direction of one layer.

    Attributes:
        name: "recurrent.l0", "recurrent.l0_reverse"; see `Trajectory`.
        gradients: for each state by name ("h", "c"), the norm of dL/ds_t over all rows and units, for t = 0 ... T - 1.
        gains: for each state by name, `||d h_t / d s_k||_F / sqrt(P)` by distance t - k = 0 ... T - 1: 1 where everything passes.
        method: "exact", or how many random vectors estimated the gains.
    """

    name: str
    gradients: dict[str, list[float]]
    gains: dict[str, list[float]]
    method: str

    @property
    def gain(self) -> list[float]:
        """Of all states together, by distance."""
        raise NotImplementedError

    @property
    def half_life_steps(self) -> float:
        """The distance over which the gain halves, in steps; infinite where it does not shrink."""
        raise NotImplementedError

    @property
    def reach_steps(self) -> int | None:
        """The first distance at which the gain is below 1e-3 of that at distance 1; None where all that was measured is above."""
        raise NotImplementedError

    @property
    def growth(self) -> float:
        """The factor of a step, below 1 where the gradient vanishes and above 1 where it explodes."""
        raise NotImplementedError

    def relative(self, distance: int) -> float:
        """The gain at this distance as a share of that at distance 1."""
        raise NotImplementedError


@dataclass(frozen=True)
class GradientFlow:
    """Of a model; print it.

    Attributes:
        loss: of the batch.
        layers: one `Flow` for each direction of each layer, in the order in which they ran.
    """

    loss: float
    layers: list[Flow]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, as JSON has them."""
        raise NotImplementedError

    def table(self) -> Table:
        """A row for each layer."""
        raise NotImplementedError

    def plot(self) -> Figure:
        """The norm of dL/ds_t by step, and the gain by distance."""
        raise NotImplementedError


def gradient_flow(
    model: nn.Module, batch: Any, loss: Loss | None = None, *, probes: int | None = None, seed: int = 0
) -> GradientFlow:
    """How the gradient of a loss flows back through the steps of every recurrent layer.

    Args:
        model: holds recurrent layers or single-step cells, ours or torch.nn's, or is one. It is left as it was: no `.grad`, no
            hook, no buffer, no random number.
        batch: whatever `loss` takes.
        loss: `loss(model, batch)` gives a scalar, or a tuple that begins with it. None calls `model.loss(batch)`.
        probes: random vectors that estimate the gains; 0 leaves the gains out; None for exact gains up to 32 units, else 4 vectors.
        seed: of the random vectors.

    Raises:
        InsightError: there is no recurrent layer, none ran, or the loss is no scalar with a gradient.
    """
    raise NotImplementedError
