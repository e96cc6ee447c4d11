"""Plot the measurements that were made while a model trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ostinato.insight.layers import InsightError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UPDATE_RATIO = "update ratio"
_MOST_LINES = 14  # the most names that fit beside the lines of a panel
_STYLES = ("-", "--", ":", "-.")


def plot_watched(history: Sequence[tuple[int, Mapping[str, float]]]) -> Figure:
    """Plot reach and growth of the gradient, saturation and update ratios over training: a line a layer, a gate, a parameter.

    Args:
        history: for each measurement the step and the numbers by name, as `Watch` has them.

    Raises:
        InsightError: nothing has been measured.
    """
    from ostinato.insight.plots import GREY, figure, name_axes

    if not history:
        raise InsightError("expected at least one measurement to plot, got none; train for more steps than `every`")
    made, (reach, growth, gates, updates) = figure(11.0, 7.6, rows=2, columns=2)
    growth.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":", label="_stays")
    reaches = {layer: [f"{layer}/reach in steps"] for layer in _of(history, "/reach in steps")}
    _draw(reach, history, reaches, from_zero=True)
    _draw(growth, history, {layer: [f"{layer}/growth per step"] for layer in _of(history, "/growth per step")})
    # A ReLU is off below, and has no upper end.
    ends = {gate: [f"{gate} low share", f"{gate} high share"] for gate in _of(history, " low share")}
    _draw(gates, history, {gate.replace("/", " "): names for gate, names in ends.items()}, factor=100.0, from_zero=True)
    updates.set_yscale("log")
    parameters = _of(history, f"/{UPDATE_RATIO}")
    if len(parameters) > _MOST_LINES:  # of a large model only matrices are shown
        parameters = [name for name in parameters if "bias" not in name][:_MOST_LINES]
    _draw(updates, history, {name: [f"{name}/{UPDATE_RATIO}"] for name in parameters})
    name_axes(reach, "update", "reach of the gradient (steps)", "how far back the gradient reaches, or all steps")
    name_axes(growth, "update", "factor of a step (no unit)", "below 1 the gradient vanishes, above it explodes")
    name_axes(gates, "update", "share of values near an end (%)", "saturation")
    name_axes(updates, "update", "change of an update / weights", "update ratios")
    return made


def _of(history: Sequence[tuple[int, Mapping[str, float]]], ending: str) -> list[str]:
    """The names of layers, gates or parameters that have numbers of a kind, in the order of their first appearance."""
    names = dict.fromkeys(name for _, numbers in history for name in numbers)
    return [name.removesuffix(ending) for name in names if name.endswith(ending)]


def _draw(
    axes: Axes,
    history: Sequence[tuple[int, Mapping[str, float]]],
    lines: Mapping[str, Sequence[str]],
    factor: float = 1.0,
    *,
    from_zero: bool = False,
) -> None:
    """Draw lines by their labels; each shows the sum of the numbers with its names, and has its label at its end."""
    from ostinato.insight.plots import COLOURS, label_lines

    steps = [step for step, _ in history]
    marker = "o" if len(steps) == 1 else ""
    for at, (label, names) in enumerate(lines.items()):
        values = [
            factor * sum(numbers[name] for name in names if name in numbers)
            if any(name in numbers for name in names)
            else math.nan
            for _, numbers in history
        ]
        style = _STYLES[at // len(COLOURS) % len(_STYLES)]
        axes.plot(steps, values, style, color=COLOURS[at % len(COLOURS)], marker=marker, label=label)
    if from_zero:
        axes.set_ylim(bottom=0.0)
    label_lines(axes)
