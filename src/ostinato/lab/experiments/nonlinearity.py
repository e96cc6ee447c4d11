"""tanh, sigmoid and ReLU in the same network: why tanh is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.gradients import slope, state_gradients
from ostinato.nn import RNNCell
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("tanh", "sigmoid", "relu")
GAINS = (1.0, 2.0)
_HIDDEN, _ROWS, _STEPS = 64, 32, 60


def measure(seed: int, quick: bool) -> Table:
    """Gradient by distance and state size by step, for an orthogonal W_hh times `gain`; the input is weak noise."""
    steps = _STEPS // 3 if quick else _STEPS
    orthogonal = torch.nn.init.orthogonal_(torch.empty(_HIDDEN, _HIDDEN, dtype=torch.float64))
    x = 0.1 * torch.randn(steps, _ROWS, _HIDDEN, dtype=torch.float64)
    first = torch.zeros(_ROWS, _HIDDEN, dtype=torch.float64)
    rows = []
    for gain in GAINS:
        for name in NAMES:
            step = _step(name, gain * orthogonal)
            norms = state_gradients(step, x, first)[-1]
            with torch.no_grad():
                h, sizes = first, [0.0]
                for x_t in x:
                    h = step(x_t, h)
                    sizes.append(float(h.norm(dim=-1).mean()))
            rows += [(name, gain, n, norms[n], sizes[n]) for n in range(steps + 1)]
    return table("nonlinearity gain steps gradient_norm state_norm", rows)


def _step(name: str, weight: Tensor) -> RNNCell:
    cell = RNNCell(_HIDDEN, _HIDDEN, bias=False, nonlinearity=name, dtype=torch.float64, backend="reference")
    with torch.no_grad():
        cell.weight_hh.copy_(weight)
        cell.weight_ih.copy_(torch.eye(_HIDDEN))
    return cell


def judge(measured: Table) -> Verdict:
    """Sigmoid loses the gradient fastest and keeps at most 1/4 a step; ReLU's state is unbounded, tanh's is bounded."""
    falls = {name: slope(measured.where(nonlinearity=name, gain=1.0).column("gradient_norm")) for name in NAMES}
    kept = {name: 10**fall for name, fall in falls.items()}
    ends = {name: measured.where(nonlinearity=name, gain=2.0).column("state_norm")[-1] for name in NAMES}
    bound = _HIDDEN**0.5
    return Verdict(
        f"With an orthogonal W_hh a gradient keeps {kept['tanh']:.2f} of its size a step through tanh, "
        f"{kept['relu']:.2f} through ReLU and {kept['sigmoid']:.2f} through sigmoid, whose derivative is never above 0.25.",
        f"With twice that W_hh the state after {measured.column('steps')[-1]} steps has norm {ends['relu']:.2g} with ReLU, "
        f"but {ends['tanh']:.2g} with tanh and {ends['sigmoid']:.2g} with sigmoid, which cannot pass {bound:.0f}.",
        kept["tanh"] > kept["relu"] > kept["sigmoid"]
        and kept["sigmoid"] <= 0.25 + 1e-6
        and ends["relu"] > 10 * bound
        and max(ends["tanh"], ends["sigmoid"]) <= bound,
    )


def draw(measured: Table) -> Figure:
    """Left: gradients with gain 1. Right: states with gain 2."""
    figure, (left, right) = pictures.panels(2)
    for axis, gain, column in ((left, 1.0, "gradient_norm"), (right, 2.0, "state_norm")):
        series = {}
        for name in NAMES:
            part = measured.where(nonlinearity=name, gain=gain)
            start = 1 if column == "state_norm" else 0
            series[name] = (part.column("steps")[start:], part.column(column)[start:])
        pictures.lines(axis, series, log=True)
    plots.name_axes(left, "distance T - t (steps)", "gradient norm at h(t)", "Gradient, orthogonal W_hh")
    pictures.threshold(right, _HIDDEN**0.5)
    pictures.note(right, 0.4, 0.24, "dashed: bound of tanh and sigmoid")
    plots.name_axes(right, "time (steps)", "norm of h", "State, twice that W_hh")
    return figure


EXPERIMENT = Experiment(
    name="nonlinearity",
    claim="tanh keeps the gradient longer than sigmoid, whose derivative is at most 1/4, and is bounded where ReLU diverges.",
    source="LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.4",
    measure=measure,
    judge=judge,
    draw=draw,
)
