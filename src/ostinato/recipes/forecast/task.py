"""The recipe `forecast`, aligned, then fed back: series in; their future with intervals out."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from ostinato.data.batches.batches import Batch, Examples
from ostinato.data.records.splits import Splits
from ostinato.data.series.laying import following
from ostinato.data.series.layout import Layout
from ostinato.data.series.series import SeriesTable, read_series
from ostinato.data.series.times import Times
from ostinato.data.sources.builtin import carbon_dioxide
from ostinato.data.sources.dialect import Dialect
from ostinato.errors import DataError
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.heads import make_head
from ostinato.models.forecasting.windows import SeriesBatch, uniform_numbers
from ostinato.recipes.forecast.calendar import find_season
from ostinato.recipes.forecast.data import ForecastKnown, ForecastPart, SeriesWindows, Track, origins, tracks_of
from ostinato.recipes.forecast.judge import ForecastJudge
from ostinato.recipes.forecast.metrics import INTERVALS, edges, sample_quantile
from ostinato.recipes.forecast.prediction import ForecastPrediction
from ostinato.recipes.forecast.settings import AnswerSettings, ForecastSettings
from ostinato.recipes.forecast.start import begin
from ostinato.recipes.forecast.values import table_of
from ostinato.recipes.learnt import Learnt
from ostinato.recipes.reasons.parts import number_of
from ostinato.recipes.task import Judge, Task
from ostinato.recipes.trained import validation_of

if TYPE_CHECKING:
    from ostinato.insight.reasons.question import Question
    from ostinato.recipes.exporting.exported import Exported

LearntForecaster: TypeAlias = Learnt[ForecastSettings, ForecastKnown, Forecaster]

_SHORTEST_CONTEXT, _LONGEST_CONTEXT, _CONTEXT_SEASONS = 64, 200, 7
_HORIZON_WITHOUT_SEASON = 12
_LIMIT = 3.0  # spreads of a window, beyond which inputs are squashed
_MOST_VALIDATION, _MOST_TEST = 300, 5000  # forecasts, where the user sets no stride


class Forecast(Task[ForecastSettings, ForecastPart, ForecastKnown, Forecaster]):
    """Probabilistic forecasts of one or many series.

    An answer is the series, the times of the steps to come, mean, median and central intervals of each.
    """

    name = "forecast"
    settings = ForecastSettings
    prediction = ForecastPrediction
    item = "step"
    rows = 64  # each of them has hundreds of paths
    percentages = ("skill", "smape", *(f"coverage_{percent}" for percent in INTERVALS))
    answering = AnswerSettings
    nothing_to_judge = (
        "expected values that change in the steps to validate with, got the same one everywhere (in 16 digits), or none"
    )

    def read(self, settings: ForecastSettings) -> Splits[ForecastPart]:
        """The beginning of each series to learn from, then its validation, its end for the test."""
        table = carbon_dioxide() if settings.data is None else _read(settings, settings.data)
        name = "carbon dioxide of Mauna Loa" if settings.data is None else table.name
        return split(table, settings, name)

    def read_part(self, settings: ForecastSettings, known: ForecastKnown, data: str, *, labelled: bool) -> ForecastPart:
        """All forecasts that a table can be compared with; to predict, one for each series, behind its last value."""
        if data == "-":
            raise DataError("expected a table in a file, whose name tells the format; standard input has none")
        return self._part_of(settings, known, _read(settings, data, known.layout), data, labelled=labelled)

    def from_values(self, settings: ForecastSettings, known: ForecastKnown, given: Any) -> tuple[ForecastPart, bool]:
        """Series of numbers, forecast behind their last value."""
        if isinstance(given, ForecastPart):
            return given, False
        table, is_one = table_of(known, given)
        return self._part_of(settings, known, table, table.name, labelled=False), is_one

    def _part_of(
        self, settings: ForecastSettings, known: ForecastKnown, table: SeriesTable, data: str, *, labelled: bool
    ) -> ForecastPart:
        tracks = tracks_of(table)
        lengths = tuple(map(len, tracks))
        notes = table.notes
        if not labelled:
            notes += (*_strange(data, known, tracks), *_still(data, known, tracks))
        made = partial(
            ForecastPart,
            table.name,
            tracks,
            known.step,
            context=known.context,
            season=known.season,
            fitted=lengths,
            columns=(table.known, table.observed),
            layout=table.layout,
            written=table.written,
            notes=notes,
        )
        if not labelled:
            behind = np.array([track.last[-1] + 1 for track in tracks])
            return made(series=np.arange(len(tracks)), origin=behind, horizon=0)
        spans = [(1, length) for length in lengths]
        series, steps = _at_most(_MOST_TEST, settings.reading.stride, tracks, spans, known.context, known.horizon)
        if not len(steps):
            raise DataError(
                f"{data}: expected a series with a value and {known.horizon} steps behind it to evaluate on, but the longest has "
                f"{max(lengths)} steps; give more rows"
            )
        return made(series=series, origin=steps, horizon=known.horizon)

    def remarks(self, splits: Splits[ForecastPart]) -> list[str]:
        """About the times of the table."""
        return list(splits.train.notes)

    def notes(self, part: ForecastPart) -> list[str]:
        """Rows that were left out, series that training never had."""
        return list(part.notes)

    def learn(self, settings: ForecastSettings, train: ForecastPart) -> ForecastKnown:
        """Season, cycles of the calendar, scales of covariates, names of the series, what the model begins as."""
        known = ForecastKnown.of(train, with_calendar=settings.model.calendar)
        return begin(train, known, make_head(settings.model.head), settings.model.baseline)

    def to_dict(self, known: ForecastKnown) -> dict[str, Any]:
        """Plain values."""
        return known.to_dict()

    def from_dict(self, content: dict[str, Any]) -> ForecastKnown:
        """The inverse."""
        return ForecastKnown.from_dict(content)

    def examples(self, settings: ForecastSettings, known: ForecastKnown, part: ForecastPart) -> Examples:
        """Windows."""
        return SeriesWindows(part, known)

    def fingerprint(self, examples: Examples) -> str | None:
        """A checksum of values, covariates and origins."""
        assert isinstance(examples, SeriesWindows)
        digest = hashlib.sha256(examples.part.origin.tobytes())
        for track in examples.part.tracks:
            for array in (track.times, track.values, track.known, track.observed):
                digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def build(self, settings: ForecastSettings, known: ForecastKnown) -> Forecaster:
        """The untrained model."""
        given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
        del given["calendar"]
        given |= {"baseline": known.baseline, "season": known.season, "start": known.start or None}
        given["limit"] = _LIMIT if known.start else None  # runs of earlier versions had none
        given["lags"] = default_lags(known) if given["lags"] is None else given["lags"]
        return Forecaster(
            known_size=known.known_size, observed_size=len(known.observed), num_series=max(1, len(known.ids)), **given
        )

    def judged_by(self, settings: ForecastSettings) -> str | None:
        """The skill of whole forecasts, not the loss of single steps."""
        return "skill"

    def judge(self, learnt: LearntForecaster, part: ForecastPart, examples: Examples, *, final: bool) -> Judge:
        """Errors, CRPS and coverage, beside those of baselines."""
        assert isinstance(examples, SeriesWindows)
        return ForecastJudge(learnt.model, examples, learnt.known, learnt.answering, final=final)

    def exported(self, learnt: Any) -> Exported:
        """What reads the past, and one step."""
        from ostinato.recipes.forecast.exported import exported

        return exported(learnt.model, learnt.known, validation_of(self, learnt))

    def question(self, learnt: LearntForecaster, part: ForecastPart, batch: Batch, target: str | None) -> Question:
        """Which past steps and covariates made the forecast of a step to come; the first, or that with the number `target`."""
        from ostinato.recipes.forecast.explained import question

        assert isinstance(batch, SeriesBatch)
        most = learnt.answering.horizon or learnt.known.horizon
        ahead = number_of(target, 1, most + 1, "step to come") or 1
        row = int(batch.rows[0])
        track, origin, past = part.tracks[part.series[row]], int(part.origin[row]), int(batch.past[0])
        moments = _times(part, track, origin, ahead)
        future = learnt.known.inputs(moments, _covariates(part, track, origin, ahead))
        is_local = part.layout is not None and part.layout.clock == "local"
        every = np.concatenate([track.times[origin - past : origin], moments])
        times = (part.written or Times(track.times)).written(every, local=is_local)
        anchor, told = float(track.filled[origin - 1]), torch.from_numpy(future).unsqueeze(1).to(batch.input.device)
        return question(learnt, part, batch, ahead, told, anchor, [str(time) for time in times])

    def answers(self, learnt: LearntForecaster, part: ForecastPart, batch: Batch) -> list[dict[str, Any]]:
        """The future of each series."""
        assert isinstance(batch, SeriesBatch)
        known, how = learnt.known, learnt.answering
        horizon = how.horizon or known.horizon
        places = [(part.tracks[part.series[row]], int(part.origin[row])) for row in batch.rows.tolist()]
        times = [_times(part, track, origin, horizon) for track, origin in places]
        inputs = [
            known.inputs(moments, _covariates(part, track, origin, horizon))
            for moments, (track, origin) in zip(times, places, strict=True)
        ]
        future = torch.from_numpy(np.stack(inputs, 1)).to(batch.input.device)
        paths = learnt.model.sample(batch, future, horizon, uniform_numbers(horizon, how.samples, how.seed))
        anchors = np.array([track.filled[origin - 1] for track, origin in places])
        found = paths.double().cpu().numpy().transpose(1, 0, 2) + anchors[:, None, None]
        return [
            _answer(part, track, origin, moments, each)
            for (track, origin), moments, each in zip(places, times, found, strict=True)
        ]


def split(table: SeriesTable, settings: ForecastSettings, name: str) -> Splits[ForecastPart]:
    """Three parts of every series, one behind the other; the season is found in the first.

    Raises:
        DataError: no series is long enough.
    """
    tracks, reading = tracks_of(table), settings.reading
    lengths = [len(track) for track in tracks]

    def ends_of(horizon: int) -> list[tuple[int, int]]:
        return [_ends(length, horizon, reading.validation_share, reading.test_share) for length in lengths]

    season = reading.season
    if season is None:
        fitted = [end for end, _ in ends_of(1)]
        grid = None if table.layout is None or not table.layout.filled else table.layout.grid
        pieces = [track.values[:end] for track, end in zip(tracks, fitted, strict=True)]
        # What no calendar has may still recur: shifts of ten days, cycles of a machine.
        season = find_season(pieces, grid)
        season = find_season(pieces, None) if season == 1 else season
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
        most = {"train": None, "validation": _MOST_VALIDATION, "test": _MOST_TEST}[kind]
        stride = reading.stride if kind == "test" else None
        series, steps = _at_most(most, stride, tracks, of_kind, context, horizon)
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
        )
    return Splits(name, parts["train"], parts["validation"], parts["test"])


def default_lags(known: ForecastKnown) -> list[int]:
    """A season and a step on either side of it, which tell how the same time of the last season changed, where they are read."""
    return [
        lag
        for lag in (known.season - 1, known.season, known.season + 1)
        if 2 <= lag < known.context and known.season > 1
    ]


def _read(settings: ForecastSettings, data: str, like: Layout | None = None) -> SeriesTable:
    reading = settings.reading
    return read_series(
        data,
        reading.values,
        time=reading.time,
        id=reading.id,
        known=reading.known,
        observed=reading.observed,
        grid=reading.grid,
        decimal=reading.decimal,
        dialect=Dialect(reading.separator, reading.header),
        like=like,
    )


def _strange(data: str, known: ForecastKnown, tracks: tuple[Track, ...]) -> list[str]:
    """A line if training had several series, but not all of these."""
    strange = [track.id for track in tracks if not known.number(track.id)] if len(known.ids) > 1 else []
    if not strange:
        return []
    names = ", ".join(map(repr, strange[:5])) + (", ..." if len(strange) > 5 else "")
    had = ", ".join(map(repr, known.ids[:5])) + (", ..." if len(known.ids) > 5 else "")
    return [f"{data}: training never had the series {names} (it had {had}): forecast by what their past says"]


def _still(data: str, known: ForecastKnown, tracks: tuple[Track, ...]) -> list[str]:
    """Lines if series have not changed so far, so that nothing of their own tells how far they may go."""
    alone = [track.id for track in tracks if track.seen[-1] == 1 and known.width(track.id) > 0]
    still = [track.id for track in tracks if track.moved[-1] == 0 and track.id not in alone]
    lines = []
    for ids, have, then in (
        (alone, "one value", "the forecast is as far around it as the values of training are apart"),
        (still, "one value, or the same everywhere", "the forecast stays at it, with intervals of no width"),
    ):
        which = ", ".join(map(repr, ids[:5])) + (", ..." if len(ids) > 5 else "")
        of_them = "its only series has" if len(tracks) == 1 else f"series {which} have"
        lines += [f"{data}: {of_them} {have}: {then}"] if ids else []
    return lines


def _ends(length: int, horizon: int, validation_share: float, test_share: float) -> tuple[int, int]:
    """Where training ends and validation ends, in a series of so many steps."""
    test = max(round(test_share * length), horizon) if test_share else 0
    validation = max(round(validation_share * length), horizon)
    return max(length - test - validation, 0), max(length - test, 0)


def _needed(horizon: int, test_share: float) -> int:
    return (3 if test_share else 2) * horizon + 2


def _at_most(
    most: int | None,
    stride: int | None,
    tracks: tuple[Track, ...],
    spans: list[tuple[int, int]],
    context: int,
    horizon: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Origins with the stride, or without one with the smallest that gives at most so many."""
    if stride is not None or most is None:
        return origins(tracks, spans, context, horizon, stride or 1)
    possible = sum(max(0, end - first - horizon + 1) for first, end in spans)
    return origins(tracks, spans, context, horizon, max(1, -(-possible // most)))


def _times(part: ForecastPart, track: Track, origin: int, horizon: int) -> np.ndarray:
    """Of the steps to come: those that the table has behind the last value, then those that follow.

    Raises:
        DataError: their times follow no rule, and the table does not have all.
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


def _covariates(part: ForecastPart, track: Track, origin: int, horizon: int) -> np.ndarray:
    """(horizon, K): what the table says about the steps to come.

    Raises:
        DataError: it does not say all.
    """
    names, found = part.columns[0], track.known[origin : origin + horizon]
    if names and (len(found) < horizon or np.isnan(found).any()):
        series = f" of series {track.id!r}" if track.id else ""
        raise DataError(
            f"{part.name}: expected {', '.join(names)} for all {horizon} steps behind the last value{series}; add their rows, and "
            "leave what is forecast empty in them"
        )
    return found if names else np.zeros((horizon, 0))


def _answer(part: ForecastPart, track: Track, origin: int, times: np.ndarray, paths: np.ndarray) -> dict[str, Any]:
    """A line of JSON.

    Args:
        part: what it belongs to.
        track: what is forecast.
        origin: first step to come.
        times: (horizon,).
        paths: (horizon, S).
    """
    written = part.written or Times(track.times)
    is_local = part.layout is not None and part.layout.clock == "local"
    last, *ahead = written.written(np.concatenate([track.times[origin - 1 : origin], times]), local=is_local)
    intervals = {}
    for percent in INTERVALS:
        low, high = sample_quantile(paths, edges(percent))
        intervals[str(percent)] = {"low": low.tolist(), "high": high.tolist()}
    return {
        "series": track.id,
        "last": {"time": last, "value": float(track.filled[origin - 1])},
        "times": ahead,
        "mean": paths.mean(1).tolist(),
        "median": np.median(paths, axis=1).tolist(),
        "intervals": intervals,
    }
