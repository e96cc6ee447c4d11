"""The curves of a report: measurements in training, by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ostinato.errors import RunError
from ostinato.insight.html.pages import picture
from ostinato.insight.plots import COLOURS, GREY, figure, name_axes
from ostinato.recipes.inspection.inspected import Inspected

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves(run: Inspected) -> str:
    """Draws loss, learning rate, gradient norm, speed and the figure that chooses the weights, over training."""
    training, validated, unit = run.loss_curves
    steps, losses = run.of_lines(training)
    if not steps:
        raise RunError(f"{run.run.metrics_file} has no line about training yet; train a little longer")
    validation = run.of_lines(validated)[1]
    norms = run.of_lines("gradient_norm")[1]
    clip = run.settings.training.clip_norm
    words = f"The training loss ends at {losses[-1]:.3f} {unit}"
    if validation:
        gap = validation[-1] - losses[-1]
        words += f", the validation loss at {validation[-1]:.3f}: {abs(gap):.3f} {'above' if gap > 0 else 'below'} it"
    if clip is not None and norms:
        share = sum(value > clip for value in norms) / len(norms)
        words += f". The gradient was clipped in {share:.0%} of the steps that were logged"
    drawn = {
        "Loss": _loss_curve(run),
        "Learning rate": _rate_curve(run),
        "Gradient norm": _norm_curve(run, clip),
        "Speed": _speed_curve(run),
    }
    if run.figure_curve is not None:
        drawn[run.figure_curve.replace("_", " ").capitalize()] = _figure_curve(run, run.figure_curve)
    pictures = (picture(each, f"{name} by step", f"curve{at}") for at, (name, each) in enumerate(drawn.items()))
    return f'<p>{escape(words)}.</p><div class="pictures">{"".join(pictures)}</div>'


def _curve() -> tuple[Figure, Axes]:
    made, (axes,) = figure(5.2, 3.0)
    return made, axes


def _loss_curve(run: Inspected) -> Figure:
    made, axes = _curve()
    training, validated, unit = run.loss_curves
    steps, losses = run.of_lines(training)
    axes.plot(steps, losses, color=COLOURS[0], linewidth=1.2, label="training")
    at, validation = run.of_lines(validated)
    if at:
        axes.plot(at, validation, color=COLOURS[1], marker="o", markersize=4, label="validation")
        axes.legend(frameon=False, fontsize=9)
    axes.set_ylim(top=_without_the_beginning(losses, validation))
    name_axes(axes, "step", f"loss ({unit})", "Loss")
    return made


def _rate_curve(run: Inspected) -> Figure:
    made, axes = _curve()
    axes.plot(*run.of_lines("learning_rate"), color=COLOURS[2])
    axes.set_ylim(bottom=0.0)
    name_axes(axes, "step", "learning rate (no unit)", "Learning rate")
    return made


def _norm_curve(run: Inspected, clip: float | None) -> Figure:
    made, axes = _curve()
    axes.plot(*run.of_lines("gradient_norm"), color=COLOURS[3], linewidth=1.0)
    axes.set_yscale("log")
    name_axes(axes, "step", f"norm (nats/{run.item} / weight)", "Gradient norm before clipping")
    if clip is not None:
        axes.axhline(clip, color=GREY, linestyle="--", linewidth=1.0)
        at: Any = ("axes fraction", "data")
        axes.annotate(f"clipped at {clip:g}", (1.0, clip), xycoords=at, ha="right", va="bottom", fontsize=9)
    return made


def _speed_curve(run: Inspected) -> Figure:
    made, axes = _curve()
    axes.plot(*run.of_lines(f"{run.item}s_per_s"), color=COLOURS[5])
    axes.set_ylim(bottom=0.0)
    name_axes(axes, "step", f"speed ({run.item}s a second)", "Speed")
    return made


def _figure_curve(run: Inspected, name: str) -> Figure:
    made, axes = _curve()
    axes.plot(*run.of_lines(name), color=COLOURS[1], marker="o", markersize=4)
    shown = name.removeprefix("validation_").replace("_", " ")
    name_axes(axes, "step", shown, f"{shown.capitalize()} of the validation data")
    return made


def _without_the_beginning(losses: Sequence[float], validation: Sequence[float]) -> float | None:
    """An upper end of the axis that cuts off the first steps, whose losses would flatten the others; or None."""
    finite = sorted(value for value in losses if math.isfinite(value))
    if len(finite) < 20:
        return None
    return 1.1 * max([finite[int(0.97 * len(finite))], *(v for v in validation if math.isfinite(v))])
