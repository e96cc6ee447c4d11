"""Tables as a forecaster reads them: small ones in memory, large ones mapped."""

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
    """The series of a table; of a large one they are mapped.

    Args:
        settings: of the run.
        data: where the table lies.
        like: how that of training was read; None for training itself.
        kept: where the columns of a large one are kept; None for a folder that is gone when nobody uses them any more.
        on_progress: called with the bytes that are read, and of how many.
        skip_broken: whether of many files those that cannot be read are left out, whatever the settings say.
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
