"""The same W_hh at every step: how its spectral radius decides what happens to the gradient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.gradients import slope, state_gradients
from ostinato.nn import RNNCell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALES = (0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
TOLERANCE = 0.02  # of a slope, in powers of ten a step
_HIDDEN, _ROWS = 48, 16


def measure(seed: int, quick: bool) -> Table:
    """||dh_T/dh_t|| by distance for W_hh of spectral radius `scale`, at rest (tanh' = 1) and with noise as input."""
    steps = 60 if quick else 200
    direction = torch.randn(_HIDDEN, _HIDDEN, dtype=torch.float64)
    direction /= torch.linalg.eigvals(direction).abs().max()
    rows = []
    for scale in SCALES:
        cell = RNNCell(_HIDDEN, _HIDDEN, bias=False, dtype=torch.float64)
        with torch.no_grad():
            cell.weight_hh.copy_(scale * direction)
            cell.weight_ih.copy_(torch.eye(_HIDDEN))
        first = torch.zeros(_ROWS, _HIDDEN, dtype=torch.float64)
        for network, strength in (("at rest", 0.0), ("driven", 0.5)):
            x = strength * torch.randn(steps, _ROWS, _HIDDEN, dtype=torch.float64)
            norms = state_gradients(cell, x, first)[-1]
            rows += [(network, scale, distance, norm, scale**distance) for distance, norm in enumerate(norms)]
    return table("network scale distance_steps gradient_norm predicted_norm", rows)


def slopes(measured: Table, network: str) -> dict[float, float]:
    """Powers of ten a step, by scale; from half the distance on, where the largest eigenvalue decides."""
    found = {}
    for scale in measured.kinds("scale"):
        norms = measured.where(network=network, scale=scale).column("gradient_norm")
        found[scale] = slope(norms, start=len(norms) // 2)
    return found


def judge(measured: Table) -> Verdict:
    """Every slope at rest is log10(scale): a scale below 1 makes the gradient fall, 1 keeps it, above 1 it grows."""
    rest, driven = slopes(measured, "at rest"), slopes(measured, "driven")
    off = max(abs(found - math.log10(scale)) for scale, found in rest.items())
    least, most = min(rest), max(rest)
    return Verdict(
        f"With W_hh scaled to {least:g} the gradient changes by {rest[least]:+.3f} decimal orders of magnitude a step "
        f"(predicted {math.log10(least):+.3f}), at 1 by {rest[1.0]:+.3f} (predicted +0.000), at {most:g} by "
        f"{rest[most]:+.3f} (predicted {math.log10(most):+.3f}); no slope is off by more than {off:.0e}.",
        f"Driven by noise, tanh' takes its share: scale {most:g} gives {driven[most]:+.3f} a step and scale 1 gives "
        f"{driven[1.0]:+.3f}, so that what explodes at rest explodes less, and what stays at rest vanishes.",
        off <= TOLERANCE
        and all(driven[scale] <= rest[scale] + TOLERANCE for scale in rest)
        and driven[1.0] < -TOLERANCE,
    )


def draw(measured: Table) -> Figure:
    """Left: the gradient by distance. Right: the slopes, with the prediction."""
    figure, (left, right) = pictures.panels(2)
    shown = [scale for scale in measured.kinds("scale") if scale in (0.5, 0.8, 1.0, 1.25, 2.0)]
    rest = {
        f"{scale:g}": (part.column("distance_steps"), part.column("gradient_norm"))
        for scale in shown
        for part in [measured.where(network="at rest", scale=scale)]
    }
    pictures.lines(left, rest, log=True)
    for scale in shown:
        part = measured.where(network="at rest", scale=scale)
        left.plot(part.column("distance_steps"), part.column("predicted_norm"), "k:", linewidth=1.3)
    plots.name_axes(left, "distance T - t (steps)", "gradient norm at h(t)", "Repeated W_hh, by its scale")
    pictures.note(left, 0.03, 0.04, "dotted: scale to the power of the distance")
    scales = measured.kinds("scale")
    right.plot(scales, [math.log10(s) for s in scales], "k:", label="predicted: log10(scale)")
    for n, (network, label) in enumerate((("at rest", "at rest, tanh' = 1"), ("driven", "driven by noise"))):
        found = slopes(measured, network)
        right.plot(list(found), list(found.values()), "so"[n], color=pictures.COLOURS[n], label=label)
    right.axhline(0, color=pictures.GREY, linewidth=0.8)
    right.legend(frameon=False, fontsize=11)
    plots.name_axes(right, "scale of W_hh", "slope (orders of magnitude / step)", "Above 0 explodes, below 0 vanishes")
    return figure


EXPERIMENT = Experiment(
    name="repeated_matrix",
    claim="Multiplying by the same W_hh at every step makes gradients vanish below scale 1, stay at 1 and explode above 1, where "
    "tanh is straight; where it bends they shrink more, and those of scale 1 vanish.",
    source="Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, section 2.1",
    measure=measure,
    judge=judge,
    draw=draw,
)
