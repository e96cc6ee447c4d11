"""The layout of a table that is read for training: its steps, and the clock (UTC or local time) that they are in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from ostinato.data.series.columns import Columns
from ostinato.data.series.grids import Every, Grid
from ostinato.data.series.laying import no_time_twice, share_of
from ostinato.data.series.layout import Clock, Layout
from ostinato.data.series.patterns import equal_steps, find_grids
from ostinato.errors import DataError

Gaps = Literal["auto", "fill", "rows"]

_MOST_MISSING = 0.2  # a larger share of missing steps is reported
_NO_RULE = (
    "the times follow no rule: each row is a step, and a prediction needs rows for the steps to come; round the times if they are "
    "meant to be evenly spaced"
)


def layout_of(
    path: str | Path,
    columns: Columns,
    clocks: Mapping[Clock, Mapping[str, np.ndarray]],
    gaps: Gaps,
    zone: str | None = None,
    offsets: tuple[int, ...] = (),
) -> Layout:
    """Find the layout of a table that is read for training.

    Args:
        path: The path of the table, for messages.
        columns: The role of each column.
        clocks: The sorted times of each series, by each clock that the grid may be in; empty if there is no column of
            times.
        gaps: As `grid` of `read_series`.
        zone: The name of the time zone; None if the times have none.
        offsets: How many microseconds the local time is ahead of UTC; each different value once.

    Raises:
        DataError: A time occurs twice, or a grid would be huge.
    """
    if columns.time is None:
        return Layout(columns, Every(1, 0, dated=False), filled=False)
    choices: list[tuple[float, Layout]] = []
    for clock, series in clocks.items():
        if clock == "local" and any((each[1:] == each[:-1]).any() for each in series.values()):
            continue  # when clocks are put back, an hour occurs twice: only UTC tells the two apart
        for name, each in series.items():
            no_time_twice(path, name, each)
        found, own = find_grids(series)
        if gaps == "fill" and any(len(each) > 1 for each in series.values()):
            found, own = equal_steps(list(series.values())), {}
            _not_huge(path, found, series)
        filled = found is not None and gaps != "rows"
        layout = Layout(columns, found, own, filled, clock, zone=zone, offsets=offsets)
        share = 0.0 if found is None else min(share_of(layout, series), 1.0)
        # Equal steps below a day go on through a change of the clocks; days, months and opening hours follow local
        # time.
        plain = isinstance(found, Every) and (found.step_seconds or 0.0) < 86_400.0
        choices.append((share - (1e-6 if clock == "local" and plain else 0.0), layout))
    return max(choices, key=lambda choice: choice[0])[1]


def _not_huge(path: str | Path, grid: Grid, series: Mapping[str, np.ndarray]) -> None:
    rows = sum(map(len, series.values()))
    numbers = [grid.fitted(times).numbers(times[[0, -1]]) for times in series.values()]
    filled = sum(int(last - first) + 1 for first, last in numbers)
    if filled > 100 * rows:
        raise DataError(
            f"{path}: a grid of {grid} would have {filled:,} steps for {rows:,} rows; "
            "round the times, or take the rows as steps with --reading.grid rows"
        )


def remarks(layout: Layout, steps: int, rows: int, longest: int) -> list[str]:
    """Return what a user should know about the steps of a table: that they follow no rule, or that many are missing.

    Args:
        layout: How the table was read.
        steps: The steps of all series together.
        rows: The rows of all series together.
        longest: The most rows of a series.
    """
    if layout.grid is None and longest > 1:
        return [_NO_RULE]
    missing = 1.0 - rows / max(steps, 1)
    if layout.filled and missing > _MOST_MISSING:
        return [f"{missing:.0%} of the steps ({layout.step}) have no row: they are missing values"]
    return []
