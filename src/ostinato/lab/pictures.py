"""Shared parts of the experiments' figures, in the style of `ostinato.insight.plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ostinato.insight import plots
from ostinato.insight.plots import COLOURS, GREY

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def panels(count: int, width: float = 4.5, height: float = 3.4) -> tuple[Figure, list[Any]]:
    """A figure with panels side by side, each `width` times `height` inches; returns it and its axes."""
    return plots.figure(width * count, height, columns=count)


def lines(
    axis: Any,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    log: bool = False,
    marker: str = "",
    labels: bool = True,
) -> None:
    """Draws lines, each with its name at its right end; call it once for an axis, after all else is drawn.

    Args:
        axis: the axis to draw on.
        series: name -> x and y.
        log: whether the y axis is logarithmic.
        marker: matplotlib's marker of the points.
        labels: whether to write the names.
    """
    if log:
        axis.set_yscale("log")
    for n, (name, (x, y)) in enumerate(series.items()):
        axis.plot(x, y, color=COLOURS[n % len(COLOURS)], linewidth=2, marker=marker, markersize=5, label=name)
    if labels:
        axis.set_xlim(axis.get_xlim())  # fixes the limits: the places of the names depend on them
        axis.set_ylim(axis.get_ylim())
        plots.label_lines(axis, gap=0.06)


def note(axis: Any, x: float, y: float, text: str, **options: Any) -> None:
    """Writes a remark at a place of the axis, from 0 to 1 in each direction."""
    axis.text(x, y, text, transform=axis.transAxes, color=GREY, fontsize=9, **options)


def threshold(axis: Any, y: float, text: str = "", *, right: bool = False, below: bool = False) -> None:
    """A dashed horizontal line across the panel, with its name at one end, above or below it."""
    axis.axhline(y, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1, label="_level")
    axis.annotate(
        text,
        xy=(float(right), y),
        xycoords=("axes fraction", "data"),
        xytext=(-3 if right else 3, -3 if below else 3),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top" if below else "bottom",
        color=GREY,
        fontsize=9,
    )


def bars(axis: Any, values: Mapping[str, float], form: str = "{:.2f}") -> None:
    """One bar for each name, with its value above it."""
    names = list(values)
    axis.bar(range(len(names)), list(values.values()), color=[COLOURS[n % len(COLOURS)] for n in range(len(names))])
    axis.set_xticks(range(len(names)), names)
    axis.grid(False, axis="x")
    axis.margins(y=0.15)
    for n, value in enumerate(values.values()):
        axis.annotate(
            form.format(value), xy=(n, value), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=9
        )
