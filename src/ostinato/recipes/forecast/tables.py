"""Reading a forecaster's tables: small ones in memory, large ones memory-mapped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ostinato.data.mapped.files import is_large
from ostinato.data.mapped.table import map_series
from ostinato.data.series.layout import Layout
from ostinato.data.series.series import SeriesTable, read_series
from ostinato.data.sources.dialect import Dialect
from ostinato.recipes.forecast.settings import ForecastSettings


def read_table(
    settings: ForecastSettings,
    data: str,
    like: Layout | None,
    kept: Path | None,
    on_progress: Callable[[int, int | None], None] | None = None,
    *,
    skip_broken: bool = False,
) -> SeriesTable:
    """The series of a table; those of a large table are memory-mapped.

    Args:
        settings: the settings of the run.
        data: the path of the table.
        like: how the training table was read; None for reading that one.
        kept: the folder for a large table's columns; None for a temporary one, deleted when nothing uses it any more.
        on_progress: called with the bytes read so far, and the bytes there are.
        skip_broken: leave out those of many files that cannot be read, whatever the settings say.
    """
    reading = settings.reading
    how: dict[str, Any] = {
        "time": reading.time,
        "id": reading.id,
        "known": reading.known,
        "observed": reading.observed,
        "static": reading.static,
        "grid": reading.grid,
        "decimal": reading.decimal,
        "dialect": Dialect(reading.separator, reading.header),
        "like": like,
    }
    skip = skip_broken or reading.skip_broken
    if is_large(data):
        return map_series(data, kept, reading.values, **how, skip_broken=skip, on_progress=on_progress)
    return read_series(data, reading.values, **how)
