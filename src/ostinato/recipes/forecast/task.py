"""The recipe `forecast`, aligned, then fed back: series in; their future with intervals out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import torch

from ostinato.data.batches.batches import Batch, Batches, Examples
from ostinato.data.batches.drawn import DrawnBatches
from ostinato.data.mapped.store import TABLES
from ostinato.data.records.splits import Splits
from ostinato.data.series.series import SeriesTable
from ostinato.data.sources.builtin import carbon_dioxide
from ostinato.errors import ConfigError, DataError
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.heads import make_head
from ostinato.models.forecasting.windows import SeriesBatch, uniform_numbers
from ostinato.recipes.few import few
from ostinato.recipes.forecast.answers.answering import (
    answer,
    covariates_ahead,
    scan_answer,
    table_of,
    times_ahead,
    with_all_ahead,
    written_times,
)
from ostinato.recipes.forecast.answers.prediction import ForecastPrediction
from ostinato.recipes.forecast.answers.reconciliation import reconciled, summing
from ostinato.recipes.forecast.data import ForecastPart, MappedTracks, lengths_of, tracks_of
from ostinato.recipes.forecast.judge import ForecastJudge
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.many import DrawnWindows, Numbered
from ostinato.recipes.forecast.metrics import INTERVALS
from ostinato.recipes.forecast.settings import AnswerSettings, ForecastSettings
from ostinato.recipes.forecast.splitting import MOST_TEST, at_most, cut_at, split
from ostinato.recipes.forecast.start import begin
from ostinato.recipes.forecast.tables import read_table
from ostinato.recipes.forecast.telling import check_head, ends_of, of_series, of_training, of_validation
from ostinato.recipes.forecast.values import series_of
from ostinato.recipes.forecast.windows import SeriesWindows, Together
from ostinato.recipes.learnt import Learnt
from ostinato.recipes.reasons.parts import number_of
from ostinato.recipes.task import Finished, Judge, Opening, Task
from ostinato.recipes.trained import validation_of
from ostinato.training.update.tree import map_tensors

if TYPE_CHECKING:
    from ostinato.insight.reasons.question import Question
    from ostinato.recipes.exporting.exported import Exported

LearntForecaster: TypeAlias = Learnt[ForecastSettings, ForecastKnown, Forecaster]

_LEAST_TOGETHER = 8  # origins of a batch at least, if each has several series
_ALIKE = 8  # rows that are forecast together are padded to a multiple of it
_MOST_ALIKE = 8
_LIMIT = 3.0  # spreads of a window, above which inputs are squashed


class Forecast(Task[ForecastSettings, ForecastPart, ForecastKnown, Forecaster]):
    """Probabilistic forecasts of one or many series.

    An answer has the series, the times of the steps to come, and mean, median and central intervals of each step.
    """

    name = "forecast"
    settings = ForecastSettings
    prediction = ForecastPrediction
    item = "step"
    rows = 64  # each row has hundreds of paths
    part_rows = 512  # its batches may differ from those of one process, as a series is forecast alike in any batch
    percentages = (
        "skill",
        "smape",
        *(f"coverage_{percent}{when}" for when in ("", "_before") for percent in INTERVALS),
    )
    answering = AnswerSettings
    nothing_to_judge = (
        "expected values that change in the steps to validate with, got the same one everywhere (in 16 digits), or none"
    )

    def __init__(self) -> None:
        self._kept: Path | None = None
        self._windows: WeakValueDictionary[int, SeriesWindows] = WeakValueDictionary()  # only those that are in use
        self._sums: WeakKeyDictionary[ForecastPart, tuple[AnswerSettings, np.ndarray]] = WeakKeyDictionary()

    def read(self, settings: ForecastSettings) -> Splits[ForecastPart]:
        """Reads series and splits each: training at the beginning, then validation, the test at the end."""
        return self.open(settings, Opening())

    def open(self, settings: ForecastSettings, opening: Opening) -> Splits[ForecastPart]:
        """Reads like `read`; for a run that is over, with the static columns that it had."""
        layout = None if opening.known is None else opening.known.layout
        if layout is not None:
            reading = dataclasses.replace(settings.reading, static=list(layout.columns.static))
            settings = dataclasses.replace(settings, reading=reading)
        kept = None if opening.folder is None else opening.folder / TABLES
        table = (
            carbon_dioxide()
            if settings.data is None
            else read_table(settings, settings.data, None, kept, opening.on_progress)
        )
        name = "carbon dioxide of Mauna Loa" if settings.data is None else table.name
        return split(cut_at(table, settings.reading.until), settings, name)

    def read_part(self, settings: ForecastSettings, known: ForecastKnown, data: str, *, labelled: bool) -> ForecastPart:
        """All forecasts of a table that have a truth to compare with; to predict, one after each series' last value."""
        if data == "-":
            raise DataError("expected a table in a file, whose name tells the format; standard input has none")
        table = read_table(settings, data, known.layout, self._kept, skip_broken=not labelled)
        return self._part_of(settings, known, table, data, labelled=labelled)

    def load_known(self, folder: Path) -> ForecastKnown:
        """Loads what a run knows; the files of large tables that it is given later go into the run's folder."""
        self._kept = folder / TABLES
        return super().load_known(folder)

    def from_values(self, settings: ForecastSettings, known: ForecastKnown, given: Any) -> tuple[ForecastPart, bool]:
        """Turns series of numbers into forecasts after their last value."""
        if isinstance(given, ForecastPart):
            return given, False
        table, is_one = series_of(known, given)
        return self._part_of(settings, known, table, table.name, labelled=False), is_one

    def _part_of(
        self, settings: ForecastSettings, known: ForecastKnown, table: SeriesTable, data: str, *, labelled: bool
    ) -> ForecastPart:
        tracks = tracks_of(table)
        lengths = tuple(lengths_of(tracks))
        notes = table.notes
        ends = ends_of(tracks)
        told = of_series(data, known, ends)
        if not labelled:
            notes += tuple(told)
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
            static=table.static,
            unread=table.unread,
        )
        if not labelled:
            return made(series=np.arange(len(tracks)), origin=ends.behind, horizon=0)
        spans = [(1, length) for length in lengths]
        series, steps = at_most(MOST_TEST, settings.reading.stride, tracks, spans, known.context, known.horizon)
        if not len(steps):
            raise DataError(
                f"{data}: expected a series with a value and {known.horizon} steps after it to evaluate on, but the longest has "
                f"{max(lengths)} steps; give more rows"
            )
        return made(series=series, origin=steps, horizon=known.horizon)

    def remarks(self, splits: Splits[ForecastPart]) -> list[str]:
        """Notes about the times of the table, and about a validation part that is too short."""
        return [*splits.train.notes, *of_validation(splits.validation)]

    def learn(self, settings: ForecastSettings, train: ForecastPart) -> ForecastKnown:
        """Learns season, cycles of the calendar, scales of covariates, names of the series, and the model's start."""
        check_head(settings.model.head, train)
        known = ForecastKnown.of(train, with_calendar=settings.model.calendar)
        name = "student-t" if settings.model.head == "auto" else settings.model.head
        return begin(train, dataclasses.replace(known, head=name), make_head(name), settings.model.baseline)

    def choose(self, settings: ForecastSettings, known: ForecastKnown, splits: Splits[ForecastPart]) -> ForecastKnown:
        """Chooses the head by trial, if the setting is auto."""
        if settings.model.head != "auto":
            return known
        from ostinato.recipes.forecast.choice import choose

        return choose(settings, known, splits, self.build)

    def begin(self, settings: ForecastSettings, known: ForecastKnown, model: Forecaster) -> list[str]:
        """Notes about season and head."""
        lines = of_training(known, settings.reading.season)
        if known.trials:
            from ostinato.recipes.forecast.choice import told

            return [*lines, told(known.trials)]
        return lines

    def finish(self, learnt: LearntForecaster | None, finished: Finished) -> None:
        """Calibrates intervals and alarms on validation."""
        if learnt is None:
            return
        from ostinato.recipes.forecast.answers.calibrating import calibrated

        learnt.known = calibrated(learnt.model, learnt.known, finished.splits.validation)
        with finished.run.writing():
            self.save_known(learnt.known, finished.run.path)

    def to_dict(self, known: ForecastKnown) -> dict[str, Any]:
        """What is known as plain values."""
        return known.to_dict()

    def from_dict(self, content: dict[str, Any]) -> ForecastKnown:
        """The inverse of `to_dict`."""
        return ForecastKnown.from_dict(content)

    def examples(self, settings: ForecastSettings, known: ForecastKnown, part: ForecastPart) -> Examples:
        """The windows of a part; if there are too many to list, they are made when batches ask for them."""
        if isinstance(part.origin, Numbered):
            drawn: Any = DrawnWindows(part, known)
            return drawn
        return self._windows_of(part, known)

    def _windows_of(self, part: ForecastPart, known: ForecastKnown) -> SeriesWindows:
        """The windows of a part, made once for all of its batches."""
        found = self._windows.get(id(part))
        if found is None or found.part is not part or found.about is not known:
            found = self._windows[id(part)] = SeriesWindows(part, known)
        return found

    def fingerprint(self, examples: Examples) -> str | None:
        """A checksum of values, covariates and origins."""
        assert isinstance(examples, SeriesWindows | DrawnWindows)
        part = examples.part
        if isinstance(part.tracks, MappedTracks):
            mapped = part.tracks.mapped
            digest = hashlib.sha256(f"{mapped.stored.checksum} {part.horizon} {part.context} {len(part)}".encode())
            digest.update(mapped.lengths.tobytes())
            return digest.hexdigest()
        digest = hashlib.sha256(part.origin.tobytes())
        for track in part.tracks:
            for array in (track.times, track.values, track.known, track.observed):
                digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def build(self, settings: ForecastSettings, known: ForecastKnown) -> Forecaster:
        """The untrained model."""
        given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
        del given["calendar"]
        # Runs of earlier versions have the head in their settings only.
        given["head"] = known.head or given["head"]
        given |= {"known_words": known.known_words, "observed_words": known.observed_words}
        given |= {"baseline": known.baseline, "season": known.season, "start": known.start or None}
        given["limit"] = _LIMIT if known.start else None  # None in runs of earlier versions
        given["lags"] = default_lags(known) if given["lags"] is None else given["lags"]
        return Forecaster(
            known_size=known.known_size, observed_size=len(known.observed), num_series=max(1, len(known.ids)), **given
        )

    def batches(
        self, settings: ForecastSettings, examples: Examples, *, rank: int, world: int
    ) -> Batches | DrawnBatches:
        """Windows in random order; if series belong together, an example has the windows of all of them."""
        how = settings.training
        if self._is_joint(settings):
            assert isinstance(examples, SeriesWindows)
            together = Together(examples)
            size = max(_LEAST_TOGETHER, how.batch_size // together.widest)
            return Batches(together, size, seed=settings.seed, rank=rank, world=world)
        if isinstance(examples, DrawnWindows):
            return DrawnBatches(examples, how.batch_size, seed=settings.seed, rank=rank, world=world)
        return super().batches(settings, examples, rank=rank, world=world)

    def watched(self, settings: ForecastSettings, examples: Examples, rows: int, steps: int) -> Any:
        """Some windows, always the same; if windows are drawn, evenly spread ones."""
        if isinstance(examples, DrawnWindows):
            return few(examples.listed(8 * rows), rows)
        return super().watched(settings, examples, rows, steps)

    @staticmethod
    def _is_joint(settings: ForecastSettings) -> bool:
        return settings.model.head == "low-rank"

    def judged_by(self, settings: ForecastSettings) -> str | None:
        """The skill of whole forecasts, as the loss is that of single steps."""
        return "skill"

    def judge(self, learnt: LearntForecaster, part: ForecastPart, examples: Examples, *, final: bool) -> Judge:
        """A judge of errors, CRPS and coverage, beside those of baselines."""
        assert isinstance(examples, SeriesWindows)
        return ForecastJudge(learnt.model, examples, learnt.known, learnt.answering, final=final)

    def exported(self, learnt: Any) -> Exported:
        """Two graphs: one reads the past, the other makes a step."""
        from ostinato.recipes.forecast.answers.exported import exported

        return exported(learnt.model, learnt.known, validation_of(self, learnt))

    def question(self, learnt: LearntForecaster, part: ForecastPart, batch: Batch, target: str | None) -> Question:
        """Asks what made the forecast of a step to come: of the first, or of that with the number `target`."""
        from ostinato.recipes.forecast.answers.explained import question

        assert isinstance(batch, SeriesBatch)
        most = learnt.answering.horizon or learnt.known.horizon
        ahead = number_of(target, 1, most + 1, "step to come") or 1
        row = int(batch.rows[0])
        track, origin, past = part.tracks[int(part.series[row])], int(part.origin[row]), int(batch.past[0])
        moments = times_ahead(part, track, origin, ahead)
        future = learnt.known.inputs(moments, covariates_ahead(part, track, origin, ahead), track.static)
        times = written_times(part, np.concatenate([track.times[origin - past : origin], moments]))
        anchor, told = float(track.filled[origin - 1]), torch.from_numpy(future).unsqueeze(1).to(batch.input.device)
        return question(learnt, part, batch, ahead, told, anchor, [str(time) for time in times])

    def answerable(self, learnt: LearntForecaster, part: ForecastPart) -> ForecastPart:
        """The series that have all covariates ahead, if files are left out; else all series."""
        if not part.unread or learnt.answering.anomalies is not None:
            return part
        return with_all_ahead(part, learnt.answering.horizon or learnt.known.horizon)

    def answers(self, learnt: LearntForecaster, part: ForecastPart, batch: Batch) -> list[dict[str, Any]]:
        """The future of each series, or how strange its values are."""
        assert isinstance(batch, SeriesBatch)
        known, how = learnt.known, learnt.answering
        places = [(part.tracks[int(part.series[row])], int(part.origin[row])) for row in batch.rows.tolist()]
        if how.anomalies is not None:
            return self._scans(learnt, part, [int(part.series[row]) for row in batch.rows.tolist()], how.anomalies)
        horizon = how.horizon or known.horizon
        times = [times_ahead(part, track, origin, horizon) for track, origin in places]
        rows = batch.rows.cpu().numpy()
        found = self._added_up(learnt, part)[rows] if how.sums else self._paths(learnt, part, batch)
        return [
            answer(part, track, origin, moments, each, how)
            for (track, origin), moments, each in zip(places, times, found, strict=True)
        ]

    def _paths(self, learnt: LearntForecaster, part: ForecastPart, batch: SeriesBatch) -> np.ndarray:
        """Calibrated paths (B, horizon, S) in the unit of each series.

        Rows of one length are drawn together, in multiples of eight. Libraries add up in another order for the few rows
        after the last whole block of their kernels; so padded, a series is forecast alike to the last digit in any
        batch.
        """
        rows, lengths = batch.rows.cpu().numpy(), batch.past.cpu().numpy()
        found = np.empty((len(rows), learnt.answering.horizon or learnt.known.horizon, learnt.answering.samples))
        for length in np.unique(lengths):
            at = np.flatnonzero(lengths == length)
            for some in np.split(at, range(_ALIKE * _MOST_ALIKE, len(at), _ALIKE * _MOST_ALIKE)):
                found[some] = self._paths_of(learnt, part, rows[some], batch.input.device)
        return found

    def _paths_of(
        self, learnt: LearntForecaster, part: ForecastPart, rows: np.ndarray, device: torch.device
    ) -> np.ndarray:
        known, how = learnt.known, learnt.answering
        horizon, windows = how.horizon or known.horizon, self._windows_of(part, known)
        whole = windows.batch(np.append(rows, np.repeat(rows[-1:], -len(rows) % _ALIKE)))
        whole = map_tensors(lambda tensor: tensor.to(device), whole)
        places = [(part.tracks[int(part.series[row])], int(part.origin[row])) for row in whole.rows.tolist()]
        moments = [times_ahead(part, track, origin, horizon) for track, origin in places]
        ahead = [covariates_ahead(part, track, origin, horizon) for track, origin in places]
        static = np.repeat(np.stack([track.static for track, _ in places]), horizon, 0)
        inputs = known.inputs(np.concatenate(moments), np.concatenate(ahead), static)
        future = torch.from_numpy(inputs).unflatten(0, (len(places), horizon)).transpose(0, 1)
        uniform = uniform_numbers(horizon, how.samples, how.seed, learnt.model.draws)
        drawn = learnt.model.sample(whole, future.to(device), horizon, uniform)[:, : len(rows)]
        found = windows.absolute(rows, drawn.double().cpu().numpy().transpose(1, 0, 2))
        found = found.round() if learnt.model.head.is_count else found
        if known.calibration is None:
            return found
        return windows.bounded(rows, known.calibration.applied(found, how.conformal))

    def _added_up(self, learnt: LearntForecaster, part: ForecastPart) -> np.ndarray:
        """The paths of all series, moved so that they add up; drawn once for all batches."""
        how = learnt.answering
        kept = self._sums.get(part)
        if kept is None or kept[0] != how:
            summed = summing([part.tracks[int(at)].id for at in part.series], how.sums)
            windows = self._windows_of(part, learnt.known)
            paths = np.empty((len(part), how.horizon or learnt.known.horizon, how.samples))
            for batch in self.in_order(learnt, windows):
                assert isinstance(batch, SeriesBatch)
                paths[batch.rows.cpu().numpy()] = self._paths(learnt, part, batch)
            kept = self._sums[part] = how, reconciled(paths, summed, how.reconcile, windows.floored)
        return kept[1]

    def _scans(
        self, learnt: LearntForecaster, part: ForecastPart, series: list[int], rate: float
    ) -> list[dict[str, Any]]:
        """How strange each value of some series is, an answer for each."""
        from ostinato.recipes.forecast.answers.calibrating import scanned

        if learnt.known.alarm is None:
            raise ConfigError(
                f"{learnt.folder or 'this model'}: expected a run that has learnt on validation which values are ordinary; train "
                "it to its end with this version, or leave options.anomalies out"
            )
        found = [scanned(learnt.model, learnt.known, part, each, rate) for each in series]
        return [scan_answer(part, part.tracks[at], each, rate) for at, each in zip(series, found, strict=True)]

    def table_rows(self, learnt: LearntForecaster, answer: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A row a step, with ids and times in the columns that they have in training's table."""
        return table_of(learnt.known.layout, answer)


def default_lags(known: ForecastKnown) -> list[int]:
    """A season and a step on either side of it, if read: they tell how the last season changed at this time."""
    return [
        lag
        for lag in (known.season - 1, known.season, known.season + 1)
        if 2 <= lag < known.context and known.season > 1
    ]
