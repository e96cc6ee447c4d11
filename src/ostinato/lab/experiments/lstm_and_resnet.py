"""Where LSTM and ResNet meet: an LSTM with open gates is a residual network over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.gradients import state_gradients
from ostinato.nn import LSTMCell
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HIDDEN, _ROWS, _DEPTH = 32, 64, 60
_OPEN = 40.0  # sigmoid of it is 1 in double precision
_SMALL = 0.1  # times torch's range: F(x) of a residual block is small at the start


def lstm_as_resnet(steps: int) -> tuple[LSTMCell, Tensor]:
    """An LSTM with open gates, in which each step is a residual block.

    With f = i = o = 1 a step is c_t = c_{t-1} + tanh(W_g x_t + U_g h_{t-1} + b_g), h = tanh(c): a block x + F(x).

    Returns:
        The cell, and its inputs, (T, B, I), one for each step.
    """
    cell = LSTMCell(_HIDDEN, _HIDDEN, dtype=torch.float64)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(_SMALL)
        cell.bias_ih[: 2 * _HIDDEN] = _OPEN
        cell.bias_ih[3 * _HIDDEN :] = _OPEN
    return cell, 0.1 * torch.randn(steps, _ROWS, _HIDDEN, dtype=torch.float64)


def residual_twin(cell: LSTMCell) -> Callable[[Tensor, Tensor], Tensor]:
    """The residual block c + F(c, x) with the LSTM's weights of g, without any gate."""
    rows = slice(2 * _HIDDEN, 3 * _HIDDEN)  # the rows of g, in b_i b_f b_g b_o
    W, U, b = cell.weight_ih[rows], cell.weight_hh[rows], (cell.bias_ih + cell.bias_hh)[rows]
    return lambda x, c: c + torch.tanh(x @ W.T + torch.tanh(c) @ U.T + b)


def measure(seed: int, quick: bool) -> Table:
    """The gradient by distance in each network, and how far the LSTM's cell state differs from its twin's at most."""
    depth = 20 if quick else _DEPTH
    cell, x = lstm_as_resnet(depth)
    twin = residual_twin(cell)
    zeros = torch.zeros(_ROWS, _HIDDEN, dtype=torch.float64)
    difference = 0.0
    with torch.no_grad():
        h, c, r = zeros, zeros, zeros
        for x_t in x:
            h, c = cell(x_t, (h, c))
            r = twin(x_t, r)
            difference = max(difference, float((c - r).abs().max()))
    closed, _ = lstm_as_resnet(depth)
    with torch.no_grad():
        closed.bias_ih[_HIDDEN : 2 * _HIDDEN] = 0.0
    weights = torch.empty(depth, 2, _HIDDEN, _HIDDEN, dtype=torch.float64).uniform_(-1, 1) / _HIDDEN**0.5
    layer = iter(range(10**9))
    start = torch.randn(_ROWS, _HIDDEN, dtype=torch.float64)

    def block(kind: str) -> Callable[[Tensor, Tensor], Tensor]:
        def step(_: Tensor, v: Tensor) -> Tensor:
            W, gate = weights[next(layer) % depth]
            branch = torch.tanh(v @ W.T)
            if kind == "plain":
                return branch
            if kind == "residual":
                return v + _SMALL * branch
            carry = torch.sigmoid(2.0 + v @ gate.T)  # highway networks start with gates that mostly carry
            return carry * v + (1 - carry) * branch

        return step

    networks = {
        "LSTM, f = 1": state_gradients(cell, x, (zeros, zeros))[1],
        "LSTM, f = 0.5": state_gradients(closed, x, (zeros, zeros))[1],
        "residual net": state_gradients(block("residual"), x, start)[-1],
        "highway net": state_gradients(block("highway"), x, start)[-1],
        "plain net": state_gradients(block("plain"), x, start)[-1],
    }
    rows = [
        (name, distance, norms[distance] / norms[1], difference)
        for name, norms in networks.items()
        for distance in range(1, depth + 1)
    ]
    return table("network distance_layers gradient_share lstm_minus_resnet", rows)


def judge(measured: Table) -> Verdict:
    """The open LSTM and its residual twin are the same function; both keep the gradient that a plain net loses."""
    last = {name: measured.where(network=name).column("gradient_share")[-1] for name in measured.kinds("network")}
    difference = max(measured.column("lstm_minus_resnet"))
    depth = measured.column("distance_layers")[-1]
    return Verdict(
        f"An LSTM with open gates and a residual network with its candidate weights differ by {difference:.0e} at most over "
        f"{depth} steps: c + F(c, x) is both of them.",
        f"After {depth} steps or layers the gradient is {last['LSTM, f = 1']:.2g} times what it was in that LSTM, "
        f"{last['residual net']:.2g} in a residual net, {last['highway net']:.1e} in a highway net, {last['plain net']:.1e} in "
        f"a plain net and {last['LSTM, f = 0.5']:.1e} in an LSTM whose forget gate is half closed.",
        difference < 1e-12
        and min(last["LSTM, f = 1"], last["residual net"]) > 0.1
        and last["plain net"] < 1e-3 * last["highway net"]
        and last["LSTM, f = 0.5"] < 1e-3 * last["LSTM, f = 1"],
    )


def draw(measured: Table) -> Figure:
    """The gradient by distance."""
    figure, (axis,) = pictures.panels(1, width=6)
    series = {}
    for name in measured.kinds("network"):
        part = measured.where(network=name)
        series[name] = (part.column("distance_layers"), part.column("gradient_share"))
    plots.name_axes(
        axis,
        "distance (steps or layers)",
        "gradient / gradient at distance 1",
        "A sum keeps the gradient, over time or depth",
    )
    pictures.lines(axis, series, log=True)
    return figure


EXPERIMENT = Experiment(
    name="lstm_and_resnet",
    claim="The cell state of an LSTM with open gates is a residual connection over time: its gradient does not vanish.",
    source="He et al. 2016, arXiv 1512.03385; Srivastava, Greff & Schmidhuber 2015, arXiv 1505.00387; Greff et al. 2017",
    measure=measure,
    judge=judge,
    draw=draw,
)
