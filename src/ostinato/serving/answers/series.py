"""Series in requests: their values, times and covariates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ostinato.data.series.grids import Every, Grid
from ostinato.data.series.times import parse_numbers, parse_times
from ostinato.errors import DataError
from ostinato.recipes.forecast.data import ForecastPart, Track
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.telling import is_never_below_zero
from ostinato.serving.errors import BadRequestError, TooLargeError

Words: TypeAlias = Mapping[str, Sequence[str]]


def numbers_of(given: Any, param: str, most: int) -> np.ndarray:
    """Read a list of numbers as (T,) float64, NaN for null.

    Raises:
        BadRequestError, TooLargeError: they are no finite numbers, or too many.
    """
    wrong = BadRequestError(f"{param}: expected a list of finite numbers, null where one is missing", param=param)
    if not isinstance(given, list):
        raise wrong
    if len(given) > most:
        raise TooLargeError(f"{param}: expected at most {most} values, got {len(given)}", param=param)
    if any(isinstance(each, bool) or not isinstance(each, int | float | None) for each in given):
        raise wrong
    try:
        found = np.array([np.nan if each is None else float(each) for each in given], dtype=np.float64)
    except OverflowError:
        raise wrong from None
    if any(each is not None for each, is_nan in zip(given, np.isnan(found).tolist(), strict=True) if is_nan):
        raise wrong
    if np.isinf(found).any() or (np.abs(found[~np.isnan(found)]) > 1e30).any():
        raise wrong
    return found


def columns_of(body: Mapping[str, Any], name: str, steps: int, wanted: tuple[str, ...], words: Words) -> np.ndarray:
    """Read covariates, (steps, K), from the body's {column: values}.

    A column of words may be given as texts, or as a column of 0 and 1 for each word.

    Raises:
        BadRequestError: columns are missing or unknown, or have another number of values.
    """
    given = body.get(name) or {}
    if isinstance(given, Mapping):
        given = {each: v for column, values in given.items() for each, v in _spelled(column, values, wanted, words)}
    if not isinstance(given, Mapping) or set(given) != set(wanted):
        told = ", ".join(wanted) or "none"
        raise BadRequestError(f"{name}: expected lists of numbers by the name of the column ({told})", param=name)
    found = [numbers_of(given[column], f"{name}.{column}", steps) for column in wanted]
    if any(len(each) != steps for each in found):
        raise BadRequestError(f"{name}: expected {steps} numbers for each column", param=name)
    return np.stack(found, 1) if found else np.zeros((steps, 0))


def _spelled(column: str, values: Any, wanted: tuple[str, ...], words: Words) -> list[tuple[str, Any]]:
    """Turn a column of texts into columns of 0 and 1, one for each word; leave other columns as they are."""
    names = [f"{column}={word}" for word in words.get(column, ())]
    are_texts = isinstance(values, list) and all(each is None or isinstance(each, str) for each in values)
    if not names or not set(names) <= set(wanted) or not are_texts:
        return [(column, values)]
    return [
        (name, [None if each is None else int(each.strip() == word) for each in values])
        for name, word in zip(names, words[column], strict=True)
    ]


def words_of(known: ForecastKnown) -> Words:
    """Return the words of each column of words."""
    return {} if known.layout is None else known.layout.words


def static_of(known: ForecastKnown, body: Mapping[str, Any]) -> np.ndarray:
    """Read the static values of a series, (F,), from "static" of the body: {column: number or word}; NaN if not given.

    Raises:
        BadRequestError: training did not have the column, or a value must be a number and is none.
    """
    given, words = body.get("static") or {}, words_of(known)
    names = names_of(known.static)
    columns = list(dict.fromkeys(name.partition("=")[0] if name.partition("=")[0] in words else name for name in names))
    if not isinstance(given, Mapping) or not set(given) <= set(columns):
        raise BadRequestError(
            f"static: expected values by the name of the column ({', '.join(columns)})", param="static"
        )
    found = np.full(len(names), np.nan)
    for at, name in enumerate(names):
        column, _, word = name.partition("=")
        value = given.get(column if column in words else name)
        if value is None:
            continue
        if column in words:
            found[at] = float(str(value).strip() == word)
        else:
            found[at] = numbers_of([value], f"static.{name}", 1)[0]
    return found


def names_of(scales: tuple[tuple[str, float, float], ...]) -> tuple[str, ...]:
    """Return the names of covariates."""
    return tuple(name for name, *_ in scales)


def grid_for(known: ForecastKnown, series: str, start: Any) -> tuple[Grid, Any]:
    """Return the grid of a series that begins at `start`, and that time as the grid has it.

    Args:
        known: what the run knows about its data.
        series: the name of the series.
        start: a time as in a table; None if the run does not need it.

    Raises:
        BadRequestError: `start` is no time of the grid, or it is missing and the run needs it.
    """
    layout = known.layout
    grid = None if layout is None or not layout.filled else layout.grid_of(series)
    if start is None:
        if known.cycles:
            raise BadRequestError(
                'start: expected the time of the first value, such as "2024-05-31", as the model reads the calendar',
                param="start",
            )
        return Every(1, dated=False), np.int64(0)
    if grid is None:
        if known.cycles:
            raise BadRequestError(
                "the times of training follow no rule, so those of the steps to come cannot be told", param="start"
            )
        return Every(1, dated=False), np.int64(0)
    try:
        if isinstance(start, str):
            read = parse_times([start], day_first=layout.day_first if layout is not None else None)
            moment = (read.local if layout is not None and layout.clock == "local" else read.moments)[0]
        elif isinstance(start, int) and not isinstance(start, bool) and abs(start) < 2**53:
            moment = parse_numbers(np.array([start], dtype=np.int64)).moments[0]
        else:
            raise BadRequestError(
                "start: expected a time as a text, or a whole number where steps are counted", param="start"
            )
    except (DataError, OverflowError) as error:
        raise BadRequestError(f"start: {error}", param="start") from None
    if moment.dtype.kind != grid.times(np.zeros(1, dtype=np.int64)).dtype.kind:
        raise BadRequestError(f"start: expected a time of the steps that training has, {grid}", param="start")
    fitted = grid.fitted(np.array([moment]))
    if fitted.numbers(np.array([moment]))[0] < -(2**61):
        raise BadRequestError(f"start: expected a time of the steps that training has, {grid}", param="start")
    return fitted, moment


def track_of(known: ForecastKnown, body: Mapping[str, Any], name: str, most: int) -> Track:
    """Read a series with its past.

    Args:
        known: what the run knows about its data.
        body: the values under `name`; "series", the name; "start", the time of the first value; "known" and "observed",
            covariates; "static", static values.
        name: the name of the values in the body.
        most: how many values there may be.

    Raises:
        BadRequestError, TooLargeError: the series cannot be read.
    """
    values = numbers_of(body.get(name), name, most)
    if not len(values) or np.isnan(values).all():
        raise BadRequestError(f"{name}: expected at least one value", param=name)
    check_above(known, values, name)
    series = body.get("series")
    if series is not None and not isinstance(series, str):
        raise BadRequestError("series: expected the name of a series", param="series")
    grid, first = grid_for(known, series or "", body.get("start"))
    try:
        times = np.concatenate([np.array([first]), grid.after(first, len(values) - 1)])
    except (OverflowError, ValueError):
        raise BadRequestError("start: expected a time that leaves room for all values", param="start") from None
    words = words_of(known)
    ahead = columns_of(body, "known", len(values), names_of(known.known), words)
    beside = columns_of(body, "observed", len(values), names_of(known.observed), words)
    return Track(series or "", times, values, ahead, beside, grid, static_of(known, body))


def check_above(known: ForecastKnown, values: np.ndarray, name: str) -> None:
    """Raise a BadRequestError for negative values if the head of the model excludes them."""
    if is_never_below_zero(known.head) and (values < 0).any():
        raise BadRequestError(
            f"{name}: expected nothing below 0, as training had none and the head {known.head} never forecasts it, got "
            f"{float(np.nanmin(values)):g}",
            param=name,
        )


def part_of(known: ForecastKnown, tracks: tuple[Track, ...]) -> ForecastPart:
    """Make the part whose forecasts begin after the last values of series."""
    made = partial(ForecastPart, "the request", tracks, known.step, context=known.context, season=known.season)
    behind = np.array([track.last[-1] + 1 for track in tracks])
    return made(
        series=np.arange(len(tracks)),
        origin=behind,
        horizon=0,
        fitted=tuple(map(len, tracks)),
        columns=(names_of(known.known), names_of(known.observed)),
        layout=known.layout,
    )
