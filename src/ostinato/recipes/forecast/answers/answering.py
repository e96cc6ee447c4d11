"""A forecaster's answers about a series, as JSON and tables hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ostinato.data.series.laying import following
from ostinato.data.series.layout import Layout
from ostinato.data.series.times import Times
from ostinato.errors import DataError
from ostinato.recipes.forecast.data import ForecastPart, Track
from ostinato.recipes.forecast.metrics import INTERVALS, edges, sample_quantile
from ostinato.recipes.forecast.settings import AnswerSettings
from ostinato.recipes.forecast.telling import listed


def times_ahead(part: ForecastPart, track: Track, origin: int, horizon: int) -> np.ndarray:
    """The times of the steps to come: those that the table has after the last value, then those that follow.

    Raises:
        DataError: the times follow no rule, and the table does not have all of them.
    """
    there = track.times[origin : origin + horizon]
    missing = horizon - len(there)
    if not missing:
        return there
    if track.grid is None:
        series = f" of series {track.id!r}" if track.id else ""
        raise DataError(
            f"{part.name}: the times of training follow no rule, so those of the next {horizon} steps{series} cannot be told; add "
            "rows with these times, and leave what is forecast empty in them"
        )
    return np.concatenate([there, following(track.times, track.grid, missing)])


def covariates_ahead(part: ForecastPart, track: Track, origin: int, horizon: int) -> np.ndarray:
    """The covariates of the steps to come, (horizon, K), from the table.

    Raises:
        DataError: the table does not have all of them.
    """
    names, found = part.columns[0], track.known[origin : origin + horizon]
    words = () if part.layout is None else part.layout.words
    columns = [name.partition("=")[0] if name.partition("=")[0] in words else name for name in names]
    # A missing word reads like one that training never had; a missing number has no such reading.
    needed = [column not in words for column in columns]
    if names and (len(found) < horizon or np.isnan(found[:, needed]).any()):
        series = f" of series {track.id!r}" if track.id else ""
        raise DataError(
            f"{part.name}: expected {', '.join(dict.fromkeys(columns))} for all {horizon} steps after the last value{series}; "
            "add their rows, and leave what is forecast empty in them"
        )
    return found if names else np.zeros((horizon, 0))


def with_all_ahead(part: ForecastPart, horizon: int) -> ForecastPart:
    """The series of which the table has all covariates ahead, for tables with files left out; a note names the others.

    Raises:
        DataError: there is no such series.
    """
    kept, lost, reason = [], [], ""
    for row, (at, origin) in enumerate(zip(part.series.tolist(), part.origin.tolist(), strict=True)):
        track = part.tracks[at]
        try:
            times_ahead(part, track, origin, horizon)
            covariates_ahead(part, track, origin, horizon)
            kept.append(row)
        except DataError as error:
            lost.append(track.id)
            reason = reason or str(error)
    if not lost:
        return part
    if not kept:
        raise DataError(f"{reason}; files are left out, the first: {part.unread[0]}")
    note = (
        f"{part.name}: {len(lost):,} of its {len(part):,} series have no forecast, as files are left out: {listed(lost)}; of the "
        f"first: {reason.removeprefix(f'{part.name}: ')}"
    )
    return dataclasses.replace(part, series=part.series[kept], origin=part.origin[kept], notes=(*part.notes, note))


def answer(
    part: ForecastPart, track: Track, origin: int, times: np.ndarray, paths: np.ndarray, how: AnswerSettings
) -> dict[str, Any]:
    """A forecast as a line of JSON.

    Args:
        part: the part that the series belongs to.
        track: the series.
        origin: the first step to come.
        times: (horizon,), the times of the steps to come.
        paths: (horizon, S), calibrated.
        how: the settings of answers, with the quantiles that are asked for.
    """
    last, *ahead = written_times(part, np.concatenate([track.times[origin - 1 : origin], times]))
    intervals = {}
    for percent in INTERVALS:
        low, high = sample_quantile(paths, edges(percent))
        intervals[str(percent)] = {"low": low.tolist(), "high": high.tolist()}
    asked = {f"{level:g}": sample_quantile(paths, level).tolist() for level in how.quantiles}
    return {
        "series": track.id,
        **({"column": track.column} if track.column else {}),
        "last": {"time": last, "value": float(track.filled[origin - 1])},
        "times": ahead,
        "mean": paths.mean(1).tolist(),
        "median": np.median(paths, axis=1).tolist(),
        "intervals": intervals,
        **({"quantiles": asked} if asked else {}),
    }


def scan_answer(part: ForecastPart, track: Track, found: Mapping[str, Any], rate: float) -> dict[str, Any]:
    """How strange each value of a series is, as a line of JSON.

    Args:
        part: the part that the series belongs to.
        track: the series.
        found: lists with an entry for each step, see `calibrating.scanned`.
        rate: the rate of false alarms.
    """
    return {
        "series": track.id,
        **({"column": track.column} if track.column else {}),
        "false_alarms": rate,
        "times": written_times(part, track.times),
        "values": [None if np.isnan(v) else float(v) for v in track.values],
        **found,
    }


def written_times(part: ForecastPart, times: np.ndarray) -> list[Any]:
    """Times in the form in which the table writes its own."""
    written = part.written or Times(times)
    is_local = part.layout is not None and part.layout.clock == "local"
    return list(written.written(times, local=is_local))


def table_of(layout: Layout | None, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An answer as rows of a table, one a step; columns for ids and times have the names of training's table.

    Args:
        layout: how training's table was read.
        found: the answer, a forecast or a scan.
    """
    columns = None if layout is None else layout.columns
    column, series = found.get("column", ""), found["series"]
    beside: dict[str, Any] = {}
    if columns is not None and columns.id is not None:
        beside[columns.id] = series.removesuffix(f"/{column}") if column else series
    if column:
        beside["column"] = column
    time = "step" if columns is None or columns.time is None else columns.time
    if "false_alarms" in found:
        parts = {"value": found["values"]}
        parts |= {name: found[name] for name in ("expected", "surprise", "probability", "anomaly")}
    else:
        parts = {"mean": found["mean"], "median": found["median"]}
        levels = {edge: ends[side] for ends, side, edge in _edges(found)} | {
            float(level): values for level, values in found.get("quantiles", {}).items()
        }
        parts |= {f"q{level:g}": levels[level] for level in sorted(levels)}
    return [
        {**beside, time: moment, **{name: values[at] for name, values in parts.items()}}
        for at, moment in enumerate(found["times"])
    ]


def _edges(found: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str, float]]:
    """The ends of each interval, and the level of the quantile that each end is."""
    ends: list[tuple[Mapping[str, Any], str, float]] = []
    for percent, interval in found["intervals"].items():
        low, high = (round(edge, 6) for edge in edges(int(percent)))
        ends += [(interval, "low", low), (interval, "high", high)]
    return ends
