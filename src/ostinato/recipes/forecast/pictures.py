"""Pictures of forecasts: fans, and how far intervals can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ostinato.extras import needed
from ostinato.insight.plots import COLOURS, GREY, figure, name_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Fan:
    """One forecast and the true values.

    Attributes:
        id: the name of the series.
        times: (T,), the times of the steps in the picture, of which the last are forecast.
        values: (T,), NaN for missing values.
        past: how many of these steps the forecast has read.
        median: (horizon,).
        intervals: lower and upper bounds, (horizon,) each, by percent.
    """

    id: str
    times: np.ndarray
    values: np.ndarray
    past: int
    median: np.ndarray
    intervals: Mapping[int, tuple[np.ndarray, np.ndarray]]


def fans(shown: Sequence[Fan]) -> Figure:
    """Draws forecasts, one above the other: past, truth, the median and its intervals."""
    made, axes = figure(7.2, 0.4 + 1.9 * max(len(shown), 1), rows=max(len(shown), 1))
    for at, (each, one) in enumerate(zip(axes, shown, strict=False)):
        _draw(each, one)
        title = "Forecasts from the past alone (median, 50, 80, 95 % intervals) and what came" if at == 0 else ""
        unit = "time" if one.times.dtype.kind == "M" else "step"
        name_axes(each, unit if at == len(shown) - 1 else "", one.id or "value", title)
    if shown:
        axes[0].legend(fontsize=8, frameon=False, loc="best", ncols=3)
    return made


def _draw(axes: Axes, fan: Fan) -> None:
    ahead = fan.times[fan.past :]
    # The fan begins at the last value, so that it joins the past.
    last = np.flatnonzero(~np.isnan(fan.values[: fan.past]))
    begin = slice(last[-1], last[-1] + 1) if len(last) else slice(0, 0)
    times = np.concatenate([fan.times[begin], ahead])
    start = fan.values[begin]
    for strength, percent in zip((0.18, 0.28, 0.42), sorted(fan.intervals, reverse=True), strict=True):
        low, high = (np.concatenate([start, bound]) for bound in fan.intervals[percent])
        axes.fill_between(times, low, high, color=COLOURS[0], alpha=strength, linewidth=0)  # pyright: ignore[reportArgumentType]
    axes.plot(fan.times, fan.values, color=COLOURS[-1], linewidth=1.0, label="what was and came")
    axes.plot(times, np.concatenate([start, fan.median]), color=COLOURS[0], linewidth=1.4, label="median")
    axes.axvline(fan.times[fan.past - 1], color=GREY, linewidth=0.8, linestyle=":")
    axes.margins(x=0.01)
    if fan.times.dtype.kind == "M":
        with needed():
            from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=3, maxticks=8)  # with a higher minimum, some spans cause warnings
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def calibration(
    coverage: Mapping[int, float], places: np.ndarray, count: int, before: Mapping[int, float] | None = None
) -> Figure:
    """Draws how often intervals contain the truth, and where in the forecasts the truth is.

    Args:
        coverage: the share of true values within the interval, by its percentage.
        places: the shares of true values in equal parts of the distributions.
        count: the number of steps.
        before: the coverage before calibration on validation; None if the intervals are not calibrated.
    """
    made, (left, right) = figure(8.0, 3.6, columns=2)
    left.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, linestyle=":")
    left.plot(list(coverage), [100 * share for share in coverage.values()], marker="o", markersize=5, linewidth=1.2)
    if before is not None:
        left.plot(
            list(before),
            [100 * share for share in before.values()],
            marker=".",
            color=GREY,
            linewidth=0.8,
            label="before",
        )
        left.lines[1].set_label("after calibration on validation")
        left.legend(fontsize=8, frameon=False, loc="upper left")
    for percent, share in coverage.items():
        left.annotate(f"{100 * share:.1f}", (percent, 100 * share), (5, -11), textcoords="offset points", fontsize=8)
    left.set(
        xlim=(40, 102), ylim=(min(40, 100 * min([*coverage.values(), *(before or {}).values()], default=0.4) - 5), 102)
    )
    name_axes(left, "interval (%)", "what came lies within (%)", f"Coverage: {count:,} steps")
    bins = len(places)
    right.bar((np.arange(bins) + 0.5) / bins, places * bins, width=0.92 / bins)
    right.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    name_axes(right, "place of what came in the forecast (PIT)", "density", "Flat is right")
    return made
