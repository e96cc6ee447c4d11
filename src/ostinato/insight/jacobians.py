"""The Jacobian of a step, d s_t / d s_{t-1}: its singular values and eigenvalues along a trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from ostinato.insight.trajectory import Trajectory
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class JacobianSpectrum:
    """Of some steps of one direction of one layer.

    Attributes:
        name: of the layer; see `Trajectory`.
        steps: which, `(K,)`.
        rows: which row of the batch each of them is of, `(K,)`.
        singular_values: `(K, N)`, largest first; N is the width of all states together.
        eigenvalues: `(K, N)` complex, largest modulus first.
    """

    name: str
    steps: Tensor
    rows: Tensor
    singular_values: Tensor
    eigenvalues: Tensor

    def to_dict(self) -> dict[str, Any]:
        """The summary, as JSON has it."""
        raise NotImplementedError

    def plot(self) -> Figure:
        """The eigenvalues in the complex plane with the unit circle, and the singular values."""
        raise NotImplementedError


def step_jacobians(trajectory: Trajectory, steps: Tensor, rows: Tensor) -> Tensor:
    """d s_t / d s_{t-1} of the whole state, `(K, N, N)` float64, at K places of a trajectory.

    Args:
        trajectory: from `trajectories`.
        steps: `(K,)`, which steps.
        rows: `(K,)`, which row of the batch each is of.
    """
    raise NotImplementedError


def jacobian_spectrum(source: Trajectory | nn.Module, input: Any = None, *, samples: int = 16) -> JacobianSpectrum:
    """Singular values and eigenvalues of d s_t / d s_{t-1} along a trajectory; the state of an LSTM is (h, c).

    Args:
        source: a trajectory, or a recurrent layer, whose first layer and direction is taken.
        input: for a layer, what it is called with.
        samples: steps to look at, spread evenly over all valid ones.
    """
    raise NotImplementedError


def recurrent_radii(model: nn.Module) -> dict[str, dict[str, float]]:
    """The spectral radius of each gate's block of W_hh, by the name of the weight and of the gate."""
    raise NotImplementedError
