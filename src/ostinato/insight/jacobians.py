"""The Jacobian of a step, d s_t / d s_{t-1}: its singular values and eigenvalues along a trajectory.

The state s is that of the whole cell, (h, c) for an LSTM. A step is run again in float64 at many places at once, and one backward
pass gives every row of every Jacobian.

Source: Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, 2.1: where the largest singular values stay below 1 the gradient vanishes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ostinato.insight.layers import InsightError, convert_alone, recurrent_modules, trajectories
from ostinato.insight.shown import ShownInNotebooks
from ostinato.insight.tables import make_table, text_of
from ostinato.insight.trajectory import Trajectory
from ostinato.nn.recurrent import Recurrent
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

_WIDE = 256
_NUMBERS_AT_ONCE = 1 << 24  # the most numbers in one batched step: 128 MiB of float64 a gate


@dataclass(frozen=True)
class JacobianSpectrum(ShownInNotebooks):
    """Singular values and eigenvalues of some steps of one direction of one layer; print it.

    Attributes:
        name: the name of the layer; see `Trajectory`.
        steps: the numbers of the steps, `(K,)`.
        rows: the row of the batch that each step belongs to, `(K,)`.
        singular_values: `(K, N)`, largest first; N is the width of all states together.
        eigenvalues: `(K, N)` complex, largest modulus first.
    """

    name: str
    steps: Tensor
    rows: Tensor
    singular_values: Tensor
    eigenvalues: Tensor

    def __str__(self) -> str:
        return text_of(self.table())

    def summary(self) -> dict[str, float]:
        """Means over the K steps: the largest singular value, their geometric mean, and the spectral radius.

        The geometric mean is exp of the mean logarithm of all singular values: the factor by which a step scales volume, for each
        direction. It is 0 if a step has a singular value of 0.
        """
        values = self.singular_values
        return {
            "largest singular value": float(values[:, 0].mean()),
            "geometric mean of singular values": float(values.log().mean().exp()),
            "spectral radius": float(self.eigenvalues[:, 0].abs().mean()),
            "share of singular values above 1": float((values > 1.0).double().mean()),
        }

    def to_dict(self) -> dict[str, Any]:
        """The layer, the number of steps, and `summary`."""
        return {"name": self.name, "samples": len(self.steps), "units": self.singular_values.shape[1], **self.summary()}

    def table(self) -> Table:
        """A row for each number of `summary`."""
        title = f"Jacobian of a step of {self.name}, {len(self.steps)} steps, {self.singular_values.shape[1]} units of state"
        return make_table(title, ["what (a step)", "mean"], self.summary().items())

    def plot(self) -> Figure:
        """The eigenvalues in the complex plane with the unit circle, and the singular values, largest first."""
        from ostinato.insight.plots import COLOURS, GREY, figure, name_axes

        made, (left, right) = figure(10.0, 4.4, columns=2)
        angle = torch.linspace(0.0, 2.0 * math.pi, 200, device="cpu")
        left.plot(angle.cos().tolist(), angle.sin().tolist(), color=GREY, linewidth=0.8)
        points = self.eigenvalues.flatten()
        left.scatter(points.real.tolist(), points.imag.tolist(), s=6, alpha=0.4, color=COLOURS[0], linewidths=0)
        left.set_aspect("equal", adjustable="datalim")
        name_axes(left, "real part (a step)", "imaginary part (a step)", "eigenvalues and the unit circle")
        order = range(1, self.singular_values.shape[1] + 1)
        for values in self.singular_values.clamp_min(1e-300).tolist():
            right.plot(order, values, color=COLOURS[0], alpha=0.35, linewidth=0.9)
        right.axhline(1.0, color=GREY, linewidth=0.8)
        right.set_yscale("log")
        right.set_ylim(bottom=max(float(self.singular_values.min()), 1e-8))
        name_axes(right, "rank", "singular value (a step)", f"{self.name}: singular values, a line a step")
        return made


def step_jacobians(trajectory: Trajectory, steps: Tensor, rows: Tensor) -> Tensor:
    """d s_t / d s_{t-1} of the whole state, `(K, N, N)` float64, at K places of a trajectory.

    Args:
        trajectory: a trajectory from `trajectories`.
        steps: `(K,)`, the numbers of the steps.
        rows: `(K,)`, the row of the batch that each step belongs to.
    """
    N = trajectory.size
    whole = torch.empty(len(steps), N, N, dtype=torch.float64, device=trajectory.valid.device)
    at_once = max(1, _NUMBERS_AT_ONCE // (N * N))
    for begin in range(0, len(steps), at_once):
        part = slice(begin, begin + at_once)
        # Rows of a step are independent, so one backward pass over N copies of a row gives the gradients of all N units.
        taken = trajectory.take(steps[part].repeat_interleave(N), rows[part].repeat_interleave(N), torch.float64)
        size = len(steps[part])
        unit = torch.eye(N, dtype=torch.float64, device=whole.device).repeat(size, 1)
        with torch.enable_grad():
            state = taken.start.requires_grad_()
            after = taken(state)
            pulled = torch.autograd.grad(after, state, unit)[0] if after.requires_grad else torch.zeros_like(unit)
        whole[part] = pulled.view(size, N, N)
    return whole


def pushed(function: Callable[[Tensor], Tensor], state: Tensor, directions: Tensor) -> Tensor:
    """J v, with one Jacobian and one direction for each row: `(K, N)` from `(K, N)` and `(K, N)`.

    As u^T J is linear in u, its derivative in the direction v is J v: this takes two backward passes, which every step supports.
    (torch's forward mode warns when it is first used, and has no rule for some operations.)
    """
    with torch.enable_grad():
        state = state.detach().requires_grad_()
        after = function(state)
        if not after.requires_grad:
            return torch.zeros_like(after)
        u = torch.zeros_like(after, requires_grad=True)
        (pulled,) = torch.autograd.grad(after, state, u, create_graph=True, materialize_grads=True)
        if not pulled.requires_grad:
            return torch.zeros_like(after)
        return torch.autograd.grad(pulled, u, directions, materialize_grads=True)[0]


def jacobian_spectrum(
    source: Trajectory | nn.Module, input: Any = None, *, samples: int | None = None
) -> JacobianSpectrum:
    """Singular values and eigenvalues of d s_t / d s_{t-1} along a trajectory; the state of an LSTM is (h, c).

    Args:
        source: a trajectory, or a recurrent layer or single-step cell; of a layer the first direction of the first layer is used.
        input: the input of the call, if `source` is a layer.
        samples: the number of steps to look at, at least 1, spread evenly over all valid places; fewer if there are not so many.
            None for 16 up to N = 256, and 4 above, as the time for eigenvalues grows with N^3.

    Raises:
        InsightError: `samples` is below 1, or nothing ran.
    """
    if samples is not None and (isinstance(samples, bool) or not isinstance(samples, int) or samples < 1):
        raise InsightError(f"samples expected a number of steps of at least 1, got {samples!r}")
    run = source if isinstance(source, Trajectory) else trajectories(source, input)[0]
    steps, rows = run.places()
    if not len(steps):
        raise InsightError(f"expected a trajectory with at least one valid step, got none in {run.name}")
    wanted = min(samples or (16 if run.size <= _WIDE else 4), len(steps))
    chosen = torch.linspace(0, len(steps) - 1, wanted, device=steps.device).round().long()
    steps, rows = steps[chosen], rows[chosen]
    jacobians = step_jacobians(run, steps, rows).cpu()
    eigenvalues = torch.linalg.eigvals(jacobians)
    order = eigenvalues.abs().argsort(-1, descending=True)
    return JacobianSpectrum(
        run.name, steps.cpu(), rows.cpu(), torch.linalg.svdvals(jacobians), eigenvalues.gather(-1, order)
    )


def recurrent_radii(model: nn.Module) -> dict[str, dict[str, float]]:
    """The spectral radius of each gate's block of W_hh, by the name of the weight and of the gate.

    With a projection the block has H rows and P columns, and no eigenvalues: then the radius is that of W_hr W_gate, (P, P), which
    maps one output to the next.

    Args:
        model: a model with recurrent layers or single-step cells, ours or torch.nn's; those without a recurrent product are left
            out.

    Raises:
        InsightError: there is no recurrent layer.
    """
    found = {}
    for name, module in recurrent_modules(model).items():
        layer: Any = convert_alone(module)
        for suffix in _suffixes(layer):
            if (weight := getattr(layer, f"weight_hh{suffix}", None)) is None:
                continue
            blocks = weight.detach().double().cpu().chunk(len(layer.cell.gates))
            back = getattr(layer, f"weight_hr{suffix}", None)
            if back is not None:
                blocks = [back.detach().double().cpu() @ block for block in blocks]
            radii = [float(torch.linalg.eigvals(block).abs().max()) for block in blocks]
            found[f"{name}.weight_hh{suffix}".lstrip(".")] = dict(zip(layer.cell.gates, radii, strict=True))
    return found


def _suffixes(layer: Any) -> Iterator[str]:
    if isinstance(layer, Recurrent):
        yield from (suffix for _, _, suffix in layer._places())
    else:
        yield ""
