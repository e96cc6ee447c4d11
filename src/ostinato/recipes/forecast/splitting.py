"""How a table of series is split: training at the beginning of each series, then validation, then the test."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import islice

import numpy as np

from ostinato.data.mapped.table import MappedSeries
from ostinato.data.records.splits import Splits
from ostinato.data.series.series import Series, SeriesTable
from ostinato.data.series.times import parse_times
from ostinato.errors import DataError
from ostinato.recipes.forecast.calendar import MOST_SERIES, season_of
from ostinato.recipes.forecast.data import ForecastPart, MappedTracks, Track, lengths_of, origins, tracks_of
from ostinato.recipes.forecast.many import every_origin, spread
from ostinato.recipes.forecast.settings import ForecastSettings

_SHORTEST_CONTEXT, _LONGEST_CONTEXT, _CONTEXT_SEASONS = 64, 200, 7
_HORIZON_WITHOUT_SEASON = 12
_MOST_VALIDATION, MOST_TEST = 300, 5000  # forecasts, if the user sets no stride
MANY_SERIES = 5000  # with more series, not all are judged
_LEAST_OF_MANY, _MOST_OF_MANY = 1000, 2000  # series that are then judged: on validation, on the test
MOST_LISTED = 1_000_000  # training windows of a table on disk that are listed; if there are more, they are drawn


def cut_at(table: SeriesTable, until: str | None) -> SeriesTable:
    """The table up to a time, inclusive; series that begin after it are left out.

    Raises:
        DataError: `until` is no time of this table, or there is nothing before it.
    """
    if until is None:
        return table
    is_dated = bool(table.series) and table.series[0].times.dtype.kind == "M"
    try:
        end = parse_times([until]).moments[0] if is_dated else np.int64(until)
    except ValueError:
        raise DataError(
            f"reading.until: expected a whole number, as the times of {table.name} are, got {until!r}"
        ) from None
    if is_dated and table.layout is not None and len(until.strip()) <= 10 and until.strip()[4:5] == "-":
        end = end + np.timedelta64(1, "D") - np.timedelta64(1, "us")  # a date means the whole day

    def end_of(times: np.ndarray) -> int:
        return int(np.searchsorted(times, end, side="right"))

    if isinstance(table.series, MappedSeries):
        kept = table.series.cut(end_of)
    else:
        kept = [_cut(series, end_of(series.times)) for series in table.series]
        kept = [series for series in kept if len(series)]
    if not len(kept):
        raise DataError(f"{table.name}: expected rows up to {until}, got none")
    return dataclasses.replace(table, series=kept if isinstance(kept, MappedSeries) else tuple(kept))


def _cut(series: Series, end: int) -> Series:
    parts = {name: getattr(series, name)[:end] for name in ("times", "values", "known", "observed")}
    return dataclasses.replace(series, **parts)


def split(table: SeriesTable, settings: ForecastSettings, name: str) -> Splits[ForecastPart]:
    """Splits every series into three parts, one after the other; the season is found in the first.

    Raises:
        DataError: no series is long enough.
    """
    tracks, reading = tracks_of(table), settings.reading
    lengths = lengths_of(tracks)

    def ends_of(horizon: int) -> list[tuple[int, int]]:
        return [_ends(length, horizon, reading.validation_share, reading.test_share) for length in lengths]

    season = reading.season
    if season is None:
        fitted = [end for end, _ in ends_of(1)]
        grid = None if table.layout is None or not table.layout.filled else table.layout.grid
        pieces = [track.values[:end] for track, end in zip(islice(tracks, MOST_SERIES), fitted, strict=False)]
        season = season_of(pieces, grid)
    horizon = reading.horizon or (season if season > 1 else _HORIZON_WITHOUT_SEASON)
    context = reading.context or min(max(_CONTEXT_SEASONS * season, _SHORTEST_CONTEXT), _LONGEST_CONTEXT)
    ends = ends_of(horizon)
    fitted = tuple(end for end, _ in ends)
    spans = {
        "train": [(1, first) for first, _ in ends],
        "validation": list(ends),
        "test": [(second, length) for (_, second), length in zip(ends, lengths, strict=True)],
    }
    columns, parts = (table.known, table.observed), {}
    for kind, of_kind in spans.items():
        most = {"train": None, "validation": _MOST_VALIDATION, "test": MOST_TEST}[kind]
        stride = reading.stride if kind == "test" else None
        if kind == "train" and _is_drawn(tracks, of_kind, horizon, settings):
            series, steps = every_origin(of_kind, context, horizon)
        else:
            series, steps = at_most(most, stride, tracks, of_kind, context, horizon)
        if not len(steps) and (kind != "test" or reading.test_share):
            raise DataError(
                f"{name}: expected a series with at least {_needed(horizon, reading.test_share)} steps to forecast {horizon} of, "
                f"but the longest has {max(lengths)}; give more rows, or forecast fewer steps with reading.horizon"
            )
        parts[kind] = ForecastPart(
            name,
            tracks,
            table.step,
            series,
            steps,
            horizon,
            context,
            season,
            fitted,
            columns,
            table.layout,
            table.written,
            table.notes if kind == "train" else (),
            table.static,
        )
    return Splits(name, parts["train"], parts["validation"], parts["test"])


def _is_drawn(tracks: Sequence[Track], spans: list[tuple[int, int]], horizon: int, settings: ForecastSettings) -> bool:
    """Whether there are too many windows to list; those of series that belong together are always listed."""
    possible = sum(max(0, end - first - horizon + 1) for first, end in spans)
    return isinstance(tracks, MappedTracks) and possible > MOST_LISTED and settings.model.head != "low-rank"


def _ends(length: int, horizon: int, validation_share: float, test_share: float) -> tuple[int, int]:
    """The steps where training ends and where validation ends, in a series of so many steps."""
    test = max(round(test_share * length), horizon) if test_share else 0
    validation = max(round(validation_share * length), horizon)
    return max(length - test - validation, 0), max(length - test, 0)


def _needed(horizon: int, test_share: float) -> int:
    return (3 if test_share else 2) * horizon + 2


def at_most(
    most: int | None,
    stride: int | None,
    tracks: Sequence[Track],
    spans: list[tuple[int, int]],
    context: int,
    horizon: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Origins with the stride, or with the smallest that gives at most so many; for very many series see `spread`."""
    if stride is not None or most is None:
        return origins(tracks, spans, context, horizon, stride or 1)
    if len(tracks) > MANY_SERIES:
        return spread(min(max(most, _LEAST_OF_MANY), _MOST_OF_MANY), tracks, spans, context, horizon)
    possible = sum(max(0, end - first - horizon + 1) for first, end in spans)
    return origins(tracks, spans, context, horizon, max(1, -(-possible // most)))
