"""Placing the rows of a series on its grid: a time of the grid without a row is a missing value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.series.grids import DAY, OFF, Grid
from ostinato.data.series.layout import Layout
from ostinato.data.series.patterns import MOST_STRAY, equal_steps, find_grid
from ostinato.errors import DataError

_FEW_GAPS = 6  # a table with at least so many gaps, all multiples of a larger step, has that step
_MOST_TIMES = 5  # a table with fewer gaps has it if its steps were more than so many times its rows
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def no_time_twice(path: str | Path, name: str, moments: np.ndarray) -> None:
    """Raise a DataError if a time of a series occurs twice; the times must be in order."""
    same = moments[1:][moments[1:] == moments[:-1]]
    if not len(same):
        return
    time = str(same[0]).removesuffix("T00:00:00.000000").removesuffix(".000000")
    what = f"{path}: time {time}{f' of series {name!r}' if name else ''} is there twice"
    if _are_hours_of_autumn(moments, same):
        raise DataError(
            f"{what}, as where clocks are put back; write times with their offset (such as {str(same[0])[:19]}+01:00), or in UTC"
        )
    raise DataError(
        f"{what}; name the column that tells series apart with --reading.id, or keep one row for each time (a day and its hour "
        "belong in one column)"
    )


def _are_hours_of_autumn(moments: np.ndarray, same: np.ndarray) -> bool:
    """Tell whether the times that occur twice are an hour (or less) of one night, at most once a year."""
    if moments.dtype.kind != "M" or (np.diff(same).astype(np.int64) == 0).any() or len(moments) < 24:
        return False
    if np.median(np.diff(moments).astype(np.int64)) > DAY // 24:
        return False
    nights = np.unique(same.astype("datetime64[D]"))
    in_the_night = ((same - same.astype("datetime64[D]")).astype(np.int64) < DAY // 4).all()
    spans = [same[same.astype("datetime64[D]") == night] for night in nights]
    within = all((each[-1] - each[0]).astype(np.int64) < DAY // 24 for each in spans)
    apart = (np.diff(nights).astype(np.int64) > 300).all()
    return bool(in_the_night and within and apart)


def same_step(path: str | Path, series: Mapping[str, np.ndarray], layout: Layout) -> None:
    """Raise a DataError if the rows of a table are regularly further apart, or closer, than the steps of training."""
    if layout.grid is None or not layout.filled:
        return
    gaps: list[np.ndarray] = []
    rows = filled = off = 0
    for name, moments in series.items():
        grid = layout.grid_of(name)
        assert grid is not None
        if moments.dtype.kind != grid.times(np.array([0])).dtype.kind:
            raise DataError(
                f"{path}: expected steps of {layout.step}, as in training, got "
                f"{'dates' if moments.dtype.kind == 'M' else 'whole numbers'}; write times as training has them"
            )
        numbers = grid.fitted(moments).numbers(moments)
        on = numbers[numbers != OFF]
        gaps.append(np.diff(on))
        rows, off = rows + len(moments), off + len(moments) - len(on)
        filled += int(on[-1] - on[0]) + 1 if len(on) else 0
    apart = np.concatenate(gaps)
    step = int(np.gcd.reduce(apart)) if len(apart) else 1
    coarser = step > 1 and (len(apart) >= _FEW_GAPS or filled > _MOST_TIMES * rows)
    closer = off > MOST_STRAY * rows and any(_is_finer(moments, layout.grid) for moments in series.values())
    if coarser or closer:
        several = [moments for moments in series.values() if len(moments) > 1]
        own = find_grid(several) or equal_steps(several)
        raise DataError(
            f"{path}: expected steps of {layout.step}, as in training, got {own}; give a row for each step, empty where it is "
            "missing"
        )


def _is_finer(moments: np.ndarray, grid: Grid) -> bool:
    """Tell whether rows are usually closer together than the times of the grid."""
    if len(moments) < 2 or moments.dtype.kind != "M" or grid.step_seconds is None:
        return False
    return float(np.median(np.diff(moments).astype(np.int64))) < 0.75 * grid.step_seconds * 1e6


def share_of(layout: Layout, series: Mapping[str, np.ndarray]) -> float:
    """Return the share of the grids' times that have a row."""
    rows = filled = 0
    for name, moments in series.items():
        grid = layout.grid_of(name)
        assert grid is not None
        numbers = grid.fitted(moments).numbers(moments)
        on = numbers[numbers != OFF]
        rows, filled = rows + len(on), filled + (int(on[-1] - on[0]) + 1 if len(on) else 0)
    return rows / max(filled, 1)


def laid(
    path: str | Path, name: str, moments: np.ndarray, content: np.ndarray, layout: Layout, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, Grid | None]:
    """Return the times of the steps of a series, their contents, and the grid.

    Args:
        path: The path of the table, for messages.
        name: The name of the series.
        moments: (T,) the times of the rows, increasing.
        content: (T, C) the numbers in the rows.
        layout: The grid of the series, and whether its gaps are steps.
        notes: Gets a line if a few rows are left out because their times are not on the grid.

    Raises:
        DataError: More than a few rows have times that are not on the grid.
    """
    grid = layout.grid_of(name)
    if grid is None:
        return moments, content, None
    grid = grid.fitted(moments)
    if not layout.filled:
        return moments, content, grid
    numbers = grid.numbers(moments)
    off = numbers == OFF
    if off.any():
        first = moments[off.argmax()]
        where = f"{path}: {_in_words(first)}{f' of series {name!r}' if name else ''}"
        if off.sum() > MOST_STRAY * len(off):
            raise DataError(
                f"{where} is no time of the steps that training has, {grid}; leave such rows out, or train with "
                "--reading.grid fill or rows"
            )
        notes.append(f"{where} is no time of the steps, {grid}: left out {int(off.sum()):,} such of {len(off):,} rows")
        moments, content, numbers = moments[~off], content[~off], numbers[~off]
    places = numbers - numbers[0]
    count = int(places[-1]) + 1
    if count == len(moments):
        return moments, content, grid
    filled = np.full((count, content.shape[1]), np.nan)
    filled[places] = content
    return grid.times(np.arange(numbers[0], numbers[-1] + 1, dtype=np.int64)), filled, grid


def _in_words(moment: Any) -> str:
    """Write a time with its weekday, without zeros at its end."""
    if moment.dtype.kind != "M":
        return str(moment)
    weekday = _WEEKDAYS[(int(moment.astype("datetime64[D]").astype(np.int64)) + 3) % 7]
    return f"{str(moment).removesuffix('.000000').removesuffix('T00:00:00')}, a {weekday},"


def following(times: np.ndarray, grid: Grid, count: int) -> np.ndarray:
    """Return the times of the `count` steps that follow a series: (count,)."""
    numbers = grid.numbers(times)
    on = np.flatnonzero(numbers != OFF)
    if not len(on):
        return grid.fitted(times[-1:]).after(times[-1], count)
    beyond = len(times) - 1 - on[-1]  # rows at the end that are not on the grid
    ahead = grid.after(times[on[-1]], count + int(beyond) + 1)
    return ahead[ahead > times[-1]][:count]
