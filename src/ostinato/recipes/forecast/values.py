"""Turning plain values into what a forecaster reads: series of numbers whose steps are counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from ostinato.data.series.grids import Every
from ostinato.data.series.series import Series, SeriesTable
from ostinato.errors import DataError
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.in_python.kinds import is_list, items_of, numbers_of
from ostinato.recipes.in_python.plain import wrong

_NAME = "the series"


def series_of(known: ForecastKnown, given: Any) -> tuple[SeriesTable, bool]:
    """A table of series made from values, and whether it is one series.

    Args:
        known: what the run knows.
        given: numbers (T,), NaN or None for missing ones; a list of such, or (N, T); `Series` or a `SeriesTable`.

    Raises:
        DataError: the values are something else; or the run reads times or covariates, which numbers alone do not have.
    """
    if isinstance(given, SeriesTable):
        return given, False
    columns = None if known.layout is None else known.layout.columns
    names = ("value",) if columns is None else columns.values
    items, is_one = _items(given)
    series = tuple(_series(known, each, str(at) if not is_one else "", names) for at, each in enumerate(items, start=1))
    ahead, beside = (tuple(name for name, *_ in part) for part in (known.known, known.observed))
    return SeriesTable(_NAME, series, names, ahead, beside, known.step, known.layout), is_one


def _items(given: Any) -> tuple[list[Any], bool]:
    if isinstance(given, Series):
        return [given], True
    numbers = numbers_of(given)
    if numbers is not None and numbers.ndim == 1 and len(numbers):
        return [numbers], True
    if numbers is not None and numbers.ndim == 2:
        return list(numbers), False
    if is_list(given):
        return items_of(given), False
    raise wrong("series: numbers (T,), a list of such, or a frame with a row a step", given)


def _series(known: ForecastKnown, given: Any, id: str, names: tuple[str, ...]) -> Series:
    if isinstance(given, Series):
        return given
    numbers = numbers_of(given)
    if numbers is None or numbers.ndim != 1 or not len(numbers):
        raise wrong("series: numbers (T,), a list of such, or a frame with a row a step", given)
    wanted = [name for name, *_ in (*known.known, *known.observed)]
    columns = None if known.layout is None else known.layout.columns
    if known.cycles and columns is not None:
        wanted.append(columns.time or "time")
    if wanted or len(names) > 1:
        raise DataError(
            f"expected a frame with the columns {', '.join([*wanted, *names])}, which the run reads, got numbers alone"
        )
    nothing = np.zeros((len(numbers), 0))
    values = numbers.astype(np.float64)[:, None]
    return Series(id, np.arange(len(numbers)), values, nothing, nothing, Every(1, dated=False))
