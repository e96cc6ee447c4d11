"""Pictures of reasons, red for the answer and blue against it: over words, over channels and steps, over pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.insight.plots import DIVERGING, figure, heat_map, name_axes
from ostinato.insight.reasons.question import Reasons
from ostinato.insight.reasons.words import shade

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE, _MOST_CHANNELS = 72, 8  # characters of a line, and the most axes of a figure


def picture_of(found: Reasons) -> Figure:
    """A picture of the contribution of each step and channel to an answer."""
    if found.joiner is not None:
        return _over_text(found)
    if found.channels and found.channels[0] == "column 0":
        return _over_image(found)
    if found.channels and found.channels[0] == "row 0":
        return _over_line(found)
    return _over_series(found)


def _title(found: Reasons) -> str:
    name = f"{found.name}: " if found.name else ""
    about = f"{name}{found.about}, {found.method}"
    return about if len(about) <= 90 else about[:87] + "..."


def _over_text(found: Reasons) -> Figure:
    from matplotlib.patches import Rectangle

    most = float(np.abs(found.by_step).max()) or 1.0
    boxes, line, column = [], 0, 0
    for at, step in enumerate(found.steps):
        shown = "".join(c if c.isprintable() else " " for c in step)
        gap = len(found.joiner or "") if column else 0
        if column and column + gap + len(shown) > _LINE:
            line, column, gap = line + 1, 0, 0
        column += gap
        boxes.append((line, column, shown, found.by_step[at] / most))
        column += len(shown)
        if "\n" in step:
            line, column = line + 1, 0
    made, (axes,) = figure(7.6, 0.9 + 0.24 * (line + 1))
    for line_at, start, shown, weight in boxes:
        colour = tuple(each / 255 for each in shade(weight))
        axes.add_patch(Rectangle((start, -line_at - 0.4), max(1, len(shown)), 0.8, facecolor=colour, linewidth=0))
        for offset, character in enumerate(shown):
            axes.text(
                start + offset + 0.5, -line_at, character, family="monospace", fontsize=9, ha="center", va="center"
            )
    axes.set_xlim(-0.5, _LINE + 0.5)
    axes.set_ylim(-line - 0.8, 0.8)
    axes.set_axis_off()
    axes.set_title(_title(found), fontsize=10, loc="left")
    _scale(made, axes, most, found.unit)
    return made


def _scale(made: Any, axes: Any, most: float, unit: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    colours = LinearSegmentedColormap.from_list(
        "why", [tuple(c / 255 for c in shade(w)) for w in np.linspace(-1, 1, 21)]
    )
    bar = made.colorbar(ScalarMappable(Normalize(-most, most), colours), ax=axes, fraction=0.04, pad=0.01)
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _over_image(found: Reasons) -> Figure:
    both = found.read is not None
    made, axes = figure(7.6 if both else 4.2, 3.6, columns=2 if both else 1)
    if found.read is not None:
        axes[0].imshow(found.read, cmap="gray", interpolation="nearest")
        axes[0].grid(False)
        name_axes(axes[0], "column (from 0)", "row (from 0)", "read")
    heat_map(axes[-1], found.values, unit=found.unit, centred=True)
    name_axes(axes[-1], "column (from 0)", "row (from 0)", _title(found))
    return made


def _over_line(found: Reasons) -> Figure:
    """A picture for an image whose steps are its columns, such as a line of text."""
    made, axes = figure(7.6, 3.6 if found.read is not None else 2.0, rows=2 if found.read is not None else 1)
    if found.read is not None:
        axes[0].imshow(found.read.T, cmap="gray_r", interpolation="nearest", aspect="auto")
        axes[0].grid(False)
        name_axes(axes[0], "", "row (from 0)", f"read: {found.said}" if found.said else "read")
    heat_map(axes[-1], found.values.T, unit=found.unit, centred=True)
    name_axes(axes[-1], "column (from 0)", "row (from 0)", _title(found))
    return made


def _over_series(found: Reasons) -> Figure:
    names = list(found.channels) or [""]
    order = np.argsort(-np.abs(found.values).sum(0), kind="stable")[:_MOST_CHANNELS]
    made, axes = figure(7.6, 1.0 + 1.15 * len(order), rows=len(order), share_x=True)
    most = float(np.abs(found.values).max()) or 1.0
    steps = np.arange(len(found.steps))
    image = None
    for panel, channel in zip(axes, order.tolist(), strict=True):
        values = None if found.read is None else found.read[:, channel]
        there = values is not None and bool(np.isfinite(values).any())
        low, high = (float(np.nanmin(values)), float(np.nanmax(values))) if values is not None and there else (0.0, 1.0)
        edge = 0.08 * (high - low) or 0.5
        image = panel.imshow(
            found.values[None, :, channel],
            cmap=DIVERGING,
            vmin=-most,
            vmax=most,
            aspect="auto",
            interpolation="nearest",
            extent=(-0.5, len(steps) - 0.5, low - edge, high + edge),
        )
        panel.grid(False)
        if values is not None and there:
            panel.plot(steps, values, color="#000000", linewidth=0.9)
        panel.set_ylim(low - edge, high + edge)
        panel.set_ylabel(names[channel], fontsize=9)
    axes[0].set_title(_title(found), fontsize=10, loc="left")
    axes[-1].set_xlabel("step", fontsize=10)
    _name_steps(axes[-1], found)
    made.colorbar(image, ax=axes, label=f"contribution ({found.unit})")  # pyright: ignore[reportArgumentType]
    return made


def _name_steps(axes: Any, found: Reasons) -> None:
    """Label a few steps by their names, such as times, if these are not the steps' numbers."""
    if all(name == str(at) for at, name in enumerate(found.steps)):
        return
    every = max(1, math.ceil(len(found.steps) / 5))
    places = list(range(0, len(found.steps), every))
    axes.set_xticks(places, [found.steps[at] for at in places], fontsize=8)
