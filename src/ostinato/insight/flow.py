"""How far a gradient reaches: its norm at every step, and how much of it is left by distance.

Two things are measured in one pass, forward and backward, through the steps in plain PyTorch:

- dL/ds_t, the *total* derivative of the loss with respect to each state after step t: every path through the later steps counts,
  and for the memory of an LSTM the path through its own output, dL/dc_t = dL/dh_t o_t (1 - tanh^2 c_t) + dL/dc_{t+1} f_{t+1} + ...
- the gain d h_T / d s_k, the derivative of the last valid output of each row with respect to each earlier state. It shows whether
the
  recurrence itself lets a gradient through, independently of the loss and of later layers. Here h_k and c_k are two halves of one
  state, and a derivative with respect to one half keeps the other fixed: the product of the Jacobians of the steps in between.

Source: Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, (4) and (5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ostinato.insight.layers import InsightError, Loss, scalar_loss, watched
from ostinato.insight.shown import ShownInNotebooks
from ostinato.insight.tables import make_table, text_of
from ostinato.insight.trajectory import Trajectory
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

REACH = 1e-3  # share of the gain at distance 1; a smaller contribution from far back is lost among the others
_EXACT_UNITS = 32  # the most backward passes for exact gains, one a unit; five cost about a training step
_PROBES = 4


@dataclass(frozen=True)
class Flow:
    """The gradient flow of one direction of one layer.

    Attributes:
        name: "recurrent.l0", "recurrent.l0_reverse"; see `Trajectory`.
        gradients: for each state by name ("h", "c"), the norm of dL/ds_t over all rows and units, for t = 0 ... T - 1.
        gains: for each state by name, `||d h_T / d s_k||_F / sqrt(P)` by distance T - k = 0, 1, ..., root mean square over the
            rows; 1 if everything passes. T is a row's last valid step (its first in the reverse direction). Empty if it was left
            out.
        method: "exact", the number of random vectors that estimated the gains, or "left out".
    """

    name: str
    gradients: dict[str, list[float]]
    gains: dict[str, list[float]]
    method: str

    @property
    def gain(self) -> list[float]:
        """The gain of all states together, by distance."""
        return [math.hypot(*at) for at in zip(*self.gains.values(), strict=True)]

    @property
    def reach_steps(self) -> int | None:
        """The first distance at which the gain is at most 1e-3 of that at distance 1; None if every measured gain is above that."""
        gain = self.gain
        return next((d for d in range(1, len(gain)) if gain[d] <= REACH * gain[1]), None)

    @property
    def growth(self) -> float:
        """The mean factor of a step: below 1 the gradient vanishes, above 1 it explodes; NaN if it is not known.

        It is the slope of a straight line through log(gain) from distance 1 to the reach, by least squares. A line does not fit a
        curve that falls and then levels out: `half_life_steps` and `reach_steps` are read off the curve itself.
        """
        gain = self.gain
        if len(gain) < 3 or math.isnan(gain[1]):
            return math.nan
        # A gain that overflows tells only that it is large, so the line ends before it.
        end = next((d for d, g in enumerate(gain) if not math.isfinite(g)), len(gain))
        last = min(end - 1, max(self.reach_steps or len(gain), 2))
        points = [(d, math.log(gain[d])) for d in range(1, last + 1) if gain[d] > 0]
        if len(points) < 2:
            return 0.0 if end == len(gain) else math.inf  # nothing arrives at all, or everything explodes at once
        centre = sum(d for d, _ in points) / len(points)
        slope = sum((d - centre) * g for d, g in points) / sum((d - centre) ** 2 for d, _ in points)
        return math.exp(slope)

    @property
    def half_life_steps(self) -> float:
        """The number of steps from distance 1 to where the gain is first half of that at distance 1.

        Between two distances the gain is assumed to fall exponentially. Infinite if every measured gain is above half; NaN if there
        are fewer than two distances.
        """
        gain = self.gain
        if len(gain) < 3 or math.isnan(gain[1]):
            return math.nan
        if gain[1] == 0.0:
            return 0.0
        half = 0.5 * gain[1]
        below = next((d for d in range(2, len(gain)) if gain[d] <= half), None)
        if below is None:
            return math.inf
        if gain[below] == 0.0:
            return below - 1.0
        before = gain[below - 1]
        return below - 2 + math.log(before / half) / math.log(before / gain[below])

    @property
    def half_life_text(self) -> str:
        """The half-life as text for people: "2.3", "over 63" or "not known"."""
        steps = self.half_life_steps
        if math.isnan(steps):
            return "not known"
        return f"over {len(self.gain) - 2}" if math.isinf(steps) else f"{steps:.3g}"

    def relative(self, distance: int) -> float:
        """The gain at this distance as a share of that at distance 1; NaN if it was not measured."""
        gain = self.gain
        if not 0 <= distance < len(gain) or len(gain) < 2:
            return math.nan
        return gain[distance] / gain[1] if gain[1] > 0.0 else 0.0


@dataclass(frozen=True)
class GradientFlow(ShownInNotebooks):
    """The gradient flow of a model; print it.

    Attributes:
        loss: the loss of the batch.
        layers: one `Flow` for each direction of each layer, in the order in which they ran.
    """

    loss: float
    layers: list[Flow]

    def __str__(self) -> str:
        return text_of(self.table())

    def __getitem__(self, name: str) -> Flow:
        """A layer by its name."""
        for flow in self.layers:
            if flow.name == name:
                return flow
        raise KeyError(f"expected one of {', '.join(flow.name for flow in self.layers)}, got {name!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, as JSON has them; None for a number that is not finite."""
        return {
            "loss": _finite(self.loss),
            "layers": [
                {
                    "name": flow.name,
                    "method": flow.method,
                    "gradients": {name: [_finite(v) for v in values] for name, values in flow.gradients.items()},
                    "gains": {name: [_finite(v) for v in values] for name, values in flow.gains.items()},
                    "half_life_steps": _finite(flow.half_life_steps),
                    "reach_steps": flow.reach_steps,
                    "growth_per_step": _finite(flow.growth),
                }
                for flow in self.layers
            ],
        }

    def scalars(self) -> dict[str, float]:
        """The numbers to plot over training, by name; infinite numbers and NaN are left out."""
        found = {}
        for flow in self.layers:
            for name, values in flow.gradients.items():
                found[f"{flow.name}/gradient norm first step {name}"] = values[0]
                found[f"{flow.name}/gradient norm last step {name}"] = values[-1]
            if flow.gains:
                found[f"{flow.name}/growth per step"] = flow.growth
                found[f"{flow.name}/half-life in steps"] = flow.half_life_steps
                found[f"{flow.name}/reach in steps"] = float(flow.reach_steps or len(flow.gain))
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def table(self) -> Table:
        """A row for each layer."""
        states = list(dict.fromkeys(name for flow in self.layers for name in flow.gradients))
        columns = ["layer"]
        columns += [f"|dL/d{name}| first, last step" for name in states]
        columns += ["factor a step", "half-life (steps)", f"reach to {REACH:g} (steps)", "gains"]
        rows = []
        for flow in self.layers:
            row: list[Any] = [flow.name]
            for name in states:
                values = flow.gradients.get(name)
                row.append("" if values is None else f"{values[0]:.2g}, {values[-1]:.2g}")
            beyond = f"> {len(flow.gain) - 1}" if flow.reach_steps is None else flow.reach_steps
            row += [flow.growth, flow.half_life_text, beyond] if flow.gains else ["", "", ""]
            rows.append([*row, flow.method])
        return make_table(f"gradient flow at a loss of {self.loss:.4g}", columns, rows)

    def plot(self) -> Figure:
        """The norm of dL/ds_t by step, and the gain by distance, both on a logarithmic scale."""
        from ostinato.insight.plots import COLOURS, GREY, figure, label_lines, name_axes

        made, (left, right) = figure(11.0, 4.2, columns=2)
        for at, flow in enumerate(self.layers):
            for (name, values), style in zip(flow.gradients.items(), ("-", "--", ":", "-."), strict=False):
                label = f"{flow.name} {name}"
                left.plot(_positive(values), style, color=COLOURS[at % len(COLOURS)], label=label)
            gain = flow.gain
            if len(gain) > 1:
                relative = [flow.relative(d) for d in range(1, len(gain))]
                right.plot(range(1, len(gain)), _positive(relative), color=COLOURS[at % len(COLOURS)], label=flow.name)
        for axes in (left, right):
            axes.set_yscale("log")
        right.axhline(REACH, color=GREY, linewidth=0.8, linestyle=":")
        name_axes(left, "step t", "norm of dL/ds_t (loss a unit of state)", "gradient of the loss")
        name_axes(
            right, "distance (steps)", "gain, as a share of that at distance 1", "what the recurrence lets through"
        )
        for axes in (left, right):
            label_lines(axes, aligned=True)
        return made


def gradient_flow(
    model: nn.Module, batch: Any, loss: Loss | None = None, *, probes: int | None = None, seed: int = 0
) -> GradientFlow:
    """Measure how the gradient of a loss flows back through the steps of every recurrent layer.

    Args:
        model: a model with recurrent layers or single-step cells, ours or torch.nn's, or one of these itself. It is left as it was:
            `.grad`, hooks, buffers and random generators.
        batch: whatever `loss` takes.
        loss: `loss(model, batch)` gives a scalar, or a tuple that begins with it. None calls `model.loss(batch)`.
        probes: the number of random vectors that estimate the gains (Hutchinson's estimate of ||J||_F^2, without bias); 0 leaves
            the gains out; None for exact gains up to 32 units, else 4 vectors.
        seed: the seed of the random vectors.

    Raises:
        InsightError: there is no recurrent layer, none ran, or the loss is not a scalar with a gradient.
    """
    if probes is not None and (isinstance(probes, bool) or not isinstance(probes, int) or probes < 0):
        raise InsightError(f"probes expected a number of random vectors of at least 0, or None, got {probes!r}")
    with torch.enable_grad(), watched(model, independent=True) as recorder:
        value = scalar_loss(model, batch, loss)
        return flow_of(value, recorder.trajectories(), probes, seed)


def flow_of(value: Tensor, runs: Sequence[Trajectory], probes: int | None, seed: int) -> GradientFlow:
    """Measure as `gradient_flow` does, from a pass that was already made: its loss and the trajectories on its graph."""
    if not value.requires_grad:
        raise InsightError(
            "loss expected a scalar with a gradient, got one without; let it depend on the model's output"
        )
    nodes = [getattr(state, name) for run in runs for name in run.cell.states for state in run.after]
    found = iter(torch.autograd.grad(value, nodes, retain_graph=probes != 0, allow_unused=True))
    layers = []
    for run in runs:
        gradients = {
            name: _stacked([next(found) for _ in run.after], getattr(run.after[0], name)).flatten(1).norm(dim=1)
            for name in run.cell.states
        }
        gains, method = ({}, "left out") if probes == 0 else _gains(run, probes, seed)
        layers.append(Flow(run.name, {name: v.tolist() for name, v in gradients.items()}, gains, method))
    return GradientFlow(float(value.detach()), layers)


def _gains(run: Trajectory, probes: int | None, seed: int) -> tuple[dict[str, list[float]], str]:
    """The gains by distance from the last step of each row, and the method; see `Flow`."""
    T, B = run.valid.shape
    device, steps = run.valid.device, torch.arange(T, device=run.valid.device)
    kept = run.valid.any(0)
    if run.is_reverse:
        last = run.valid.int().argmax(0)
        distance = steps[:, None] - last
    else:
        last = T - 1 - run.valid.flip(0).int().argmax(0)
        distance = last - steps[:, None]
    counts = run.valid & kept & (distance >= 0)  # (T, B)
    outputs = torch.stack([getattr(state, run.cell.output) for state in run.handed])  # (T, B, P)
    end = outputs[last, torch.arange(B, device=device)]  # (B, P)
    P = end.shape[-1]
    if probes is None and P <= _EXACT_UNITS:
        vectors, method, weight = torch.eye(P, dtype=end.dtype, device=device)[:, None].expand(P, B, P), "exact", 1.0
    else:
        number = _PROBES if probes is None else probes
        generator = torch.Generator().manual_seed(seed)
        vectors = torch.randn(number, B, P, generator=generator, device="cpu").to(end)
        method, weight = f"{number} random vectors", 1.0 / number
    names = list(run.cell.states)
    nodes = [getattr(state, name) for name in names for state in run.handed]
    squares = torch.zeros(len(names), T, B, dtype=torch.float64, device=device)
    for vector in vectors:
        found = torch.autograd.grad(end, nodes, vector, retain_graph=True, allow_unused=True)
        for at, name in enumerate(names):
            each = _stacked(found[at * T : (at + 1) * T], getattr(run.after[0], name))
            squares[at] += each.double().square().sum(-1) * weight  # double, as squares may leave float32's range
    furthest = int(distance[counts].max()) if bool(counts.any()) else -1
    sums = torch.zeros(len(names), furthest + 1, dtype=torch.float64, device=device)
    sums.index_add_(1, distance[counts], squares[:, counts])
    rows = torch.bincount(distance[counts], minlength=furthest + 1)
    gains = (sums / rows / P).sqrt()
    return {name: gains[at].tolist() for at, name in enumerate(names)}, method


def _stacked(found: Sequence[Tensor | None], like: Tensor) -> Tensor:
    """Stack gradients to `(T, B, H)`, with zeros for states that the loss does not depend on."""
    return torch.stack([torch.zeros_like(like) if v is None else v for v in found])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _positive(values: Sequence[float]) -> list[float]:
    """Replace numbers that a logarithmic scale cannot show, such as zero, by NaN."""
    return [v if v > 0 and math.isfinite(v) else math.nan for v in values]
