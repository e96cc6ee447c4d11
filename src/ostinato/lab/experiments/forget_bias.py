"""The bias of the forget gate at 0, 1 and 2."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.gradients import reach, slope, state_gradients
from ostinato.nn import LSTMCell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BIASES = (0.0, 1.0, 2.0)
TOLERANCE = 0.1  # the greatest relative error of the share that a step keeps, against the prediction
_INPUT, _HIDDEN, _ROWS, _STEPS = 8, 64, 16, 100
_SHOWN = 1e-14  # smaller shares are not drawn
_SMALL = 0.1  # "small random weights" (Jozefowicz et al. 2015): torch's range, times this


def measure(seed: int, quick: bool) -> Table:
    """By distance, for each forget bias: ||dL/dc_t||, and as prediction sigmoid(bias) to the power of the distance."""
    steps = 40 if quick else _STEPS
    x = torch.randn(steps, _ROWS, _INPUT, dtype=torch.float64)
    rows = []
    for bias in BIASES:
        cell = LSTMCell(_INPUT, _HIDDEN, dtype=torch.float64)
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.mul_(_SMALL)
        set_forget_bias(cell, bias)
        zeros = torch.zeros(_ROWS, _HIDDEN, dtype=torch.float64)
        norms = state_gradients(cell, x, (zeros, zeros))[1]
        kept = 1 / (1 + math.exp(-bias))
        rows += [(bias, d, norms[d] / norms[1], kept ** (d - 1)) for d in range(1, steps + 1)]
    return table("forget_bias distance_steps gradient_share predicted_share", rows)


def set_forget_bias(cell: LSTMCell, bias: float) -> None:
    """Makes the two biases of the forget gate add up to `bias`; they are rows H to 2 H of b_i b_f b_g b_o."""
    H = cell.hidden_size
    with torch.no_grad():
        cell.bias_ih[H : 2 * H] = bias
        cell.bias_hh[H : 2 * H] = 0.0


def kept_a_step(measured: Table) -> dict[float, float]:
    """The share of dL/dc that one step keeps, by bias."""
    shares = {bias: measured.where(forget_bias=bias).column("gradient_share") for bias in BIASES}
    return {bias: 10 ** slope(share) for bias, share in shares.items()}


def judge(measured: Table) -> Verdict:
    """The share that a step keeps is near sigmoid(bias), and a larger bias reaches farther."""
    kept = kept_a_step(measured)
    predicted = {bias: 1 / (1 + math.exp(-bias)) for bias in BIASES}
    reached = {bias: reach([1.0, *measured.where(forget_bias=bias).column("gradient_share")]) for bias in BIASES}
    said = ", ".join(f"{kept[bias]:.2f} at bias {bias:g} (predicted {predicted[bias]:.2f})" for bias in BIASES)
    return Verdict(
        f"Small random weights leave the forget gate at sigmoid(bias), and the cell state keeps that share of its gradient in "
        f"each step: {said}.",
        f"The gradient falls below a thousandth after {reached[0.0]} steps at bias 0, {reached[1.0]} at 1 and "
        f"{reached[2.0]} at 2.",
        all(abs(kept[bias] / predicted[bias] - 1) < TOLERANCE for bias in BIASES)
        and reached[0.0] < reached[1.0] < reached[2.0],
    )


def draw(measured: Table) -> Figure:
    """Measured and predicted gradients by distance."""
    figure, (axis,) = pictures.panels(1, width=7)
    series = {}
    for bias in BIASES:
        part = measured.where(forget_bias=bias)
        shown = [row[1:] for row in part.rows if row[2] > _SHOWN]
        distances, shares, predicted = zip(*shown, strict=True)
        series[f"bias {bias:g}"] = (distances, shares)
        axis.plot(distances, predicted, "k:", linewidth=1.3, zorder=3, label="_predicted")
    pictures.lines(axis, series, log=True)
    pictures.threshold(axis, 1e-3, "a thousandth", right=True)
    pictures.note(axis, 0.42, 0.93, "dotted: sigmoid(bias) to the power of the distance")
    plots.name_axes(axis, "distance T - t (steps)", "dL/dc(t) / dL/dc at distance 1", "LSTM at the start of training")
    return figure


EXPERIMENT = Experiment(
    name="forget_bias",
    claim="A forget gate at bias 0 halves the gradient in every step; a bias of 1 keeps about 73 % of it, a bias of 2 about 88 %.",
    source="Jozefowicz, Zaremba & Sutskever 2015; Gers, Schmidhuber & Cummins 2000",
    measure=measure,
    judge=judge,
    draw=draw,
)
