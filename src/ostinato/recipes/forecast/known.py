"""What a forecaster knows about its series beside the weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ostinato.data.series.layout import Layout
from ostinato.models.forecasting.baseline import BaselineName
from ostinato.recipes.forecast.answers.alarm import Alarm
from ostinato.recipes.forecast.answers.calibration import Calibration
from ostinato.recipes.forecast.calendar import calendar, find_cycles
from ostinato.recipes.forecast.data import ForecastPart, ids_of
from ostinato.recipes.forecast.learning import learn_numbers


@dataclass(frozen=True)
class ForecastKnown:
    """What a forecaster knows beside its weights.

    Attributes:
        horizon: how many steps training forecasts.
        context: how many steps are read.
        season: the season in steps.
        step: the distance between two steps.
        ids: the names of the training series.
        cycles: the cycles of the calendar that are inputs.
        known: name, mean and standard deviation of each covariate known ahead of time.
        observed: the same for covariates known up to now.
        layout: how the training table was read; other tables are read in the same way.
        static: name, mean and standard deviation of covariates that are the same at all steps of a series.
        known_words: for the inputs known ahead of time, which columns stand for the words of a kind, see `Forecaster`.
        observed_words: the same for the other covariates.
        baseline: what the model's next value is measured from, see `ostinato.models.forecasting.baseline`.
        start: the numbers that its output layer began with; empty for random ones.
        widths: how far each training series spreads in as many steps as a window reads: the scale after few values.
        nonnegative: whether each training series has no value below 0, and so no forecast below it; empty in older
            runs.
        whole: whether all training values are whole numbers.
        head: the kind of distribution of the next value; empty for that of the settings.
        trials: if the head was chosen by trial, each head and its CRPS on validation.
        calibration: the factors of the intervals, from validation; None for none.
        alarm: how surprising validation values are; None if that is not known.
    """

    horizon: int
    context: int
    season: int
    step: str
    ids: tuple[str, ...]
    cycles: tuple[str, ...]
    known: tuple[tuple[str, float, float], ...]
    observed: tuple[tuple[str, float, float], ...]
    layout: Layout | None = None
    baseline: BaselineName = "last_value"
    start: tuple[float, ...] = ()
    widths: tuple[float, ...] = ()
    static: tuple[tuple[str, float, float], ...] = ()
    known_words: tuple[tuple[int, int], ...] = ()
    observed_words: tuple[tuple[int, int], ...] = ()
    nonnegative: tuple[bool, ...] = ()
    whole: bool = False
    head: str = ""
    trials: tuple[tuple[str, float], ...] = ()
    calibration: Calibration | None = None
    alarm: Alarm | None = None

    @classmethod
    def of(cls, train: ForecastPart, *, with_calendar: bool) -> ForecastKnown:
        """Learns from the training steps of each series."""
        found, layout = learn_numbers(train), train.layout
        cycles = find_cycles(found.times, None if layout is None else layout.grid) if with_calendar else ()
        words = {} if layout is None else layout.words
        known, observed, static = (
            tuple(
                (name, *((0.0, 1.0) if kind_of(name, words) else scale))  # words have an embedding, unscaled
                for name, scale in zip(names, scales, strict=True)
            )
            for names, scales in (
                (train.columns[0], found.known),
                (train.columns[1], found.observed),
                (train.static, found.static),
            )
        )
        names = (*[""] * (2 * len(cycles)), *train.columns[0], *train.static)
        return cls(
            train.horizon,
            train.context,
            train.season,
            train.step,
            ids_of(train.tracks),
            cycles,
            known,
            observed,
            layout,
            static=static,
            known_words=_spans(names, words),
            observed_words=_spans(train.columns[1], words),
            nonnegative=found.nonnegative,
            whole=found.whole,
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return {**dataclasses.asdict(self), "layout": None if self.layout is None else self.layout.to_dict()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ForecastKnown:
        """The inverse of `to_dict`."""
        scales = {
            name: tuple((str(n), float(m), float(d)) for n, m, d in content.get(name, ()))
            for name in ("known", "observed", "static")
        }
        names = {name: tuple(content[name]) for name in ("ids", "cycles")}
        layout = None if content["layout"] is None else Layout.from_dict(content["layout"])
        numbers = {name: tuple(map(float, content.get(name, ()))) for name in ("start", "widths")}
        spans = {
            name: tuple((int(a), int(b)) for a, b in content.get(name, ()))
            for name in ("known_words", "observed_words")
        }
        later = {
            "nonnegative": tuple(map(bool, content.get("nonnegative", ()))),
            "trials": tuple((str(name), float(crps)) for name, crps in content.get("trials", ())),
            "calibration": Calibration.from_dict(content.get("calibration")),
            "alarm": Alarm.from_dict(content.get("alarm")),
        }
        return cls(**{**content, **scales, **names, **numbers, **spans, **later, "layout": layout})

    @property
    def known_size(self) -> int:
        """The number of inputs known ahead of time: two for each cycle of the calendar, known and static covariates."""
        return 2 * len(self.cycles) + len(self.known) + len(self.static)

    def inputs(self, times: np.ndarray, known: np.ndarray, static: np.ndarray | None = None) -> np.ndarray:
        """The inputs known ahead of time at each step, (T, known_size) float32.

        Args:
            times: (T,).
            known: (T, K), covariates known ahead of time.
            static: (F,), static covariates; (T, F) if each step is of another series; None if they are not known.
        """
        same = np.atleast_2d(np.full(len(self.static), np.nan) if static is None else static)
        parts = [calendar(times, self.cycles), scaled(known, self.known)]
        parts.append(np.broadcast_to(scaled(same, self.static), (len(times), len(self.static))))
        return np.concatenate(parts, 1).astype(np.float32)

    def is_floored(self, id: str) -> bool:
        """Whether a series never goes below 0: as in training, or for a series new to it, as all of training."""
        at = self._numbers.get(id)
        return bool(self.nonnegative) and (self._all_are if at is None else self.nonnegative[at - 1])

    @cached_property
    def _all_are(self) -> bool:
        return all(self.nonnegative)

    def number(self, id: str) -> int:
        """The number of a series in the model, from 1; 0 for a series that training never had."""
        return self._numbers.get(id, 0)

    def width(self, id: str) -> float:
        """How far a series spreads of which nothing else is known: as it did in training, or as series usually did."""
        if not self.widths:
            return 0.0
        at = self._numbers.get(id)
        return self._usual_width if at is None else self.widths[at - 1]

    @cached_property
    def _usual_width(self) -> float:
        return float(np.median(self.widths))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {id: at for at, id in enumerate(self.ids, start=1)}


def scaled(columns: np.ndarray, scales: Sequence[tuple[str, float, float]]) -> np.ndarray:
    """Covariates (T, K) with mean 0 and deviation 1 in training; columns of words unchanged."""
    means = np.array([mean for _, mean, _ in scales])
    return (columns - means) / np.array([deviation for *_, deviation in scales])


def kind_of(name: str, words: Mapping[str, Sequence[str]]) -> str:
    """The column of words to which an input such as "weather=rain" belongs; "" for numbers."""
    return next((kind for kind, each in words.items() if name in [f"{kind}={word}" for word in each]), "")


def _spans(names: Sequence[str], words: Mapping[str, Sequence[str]]) -> tuple[tuple[int, int], ...]:
    """The range of input columns for each kind of words."""
    kinds = [kind_of(name, words) for name in names]
    first = {kind: kinds.index(kind) for kind in reversed(kinds) if kind}
    return tuple(sorted((at, at + kinds.count(kind)) for kind, at in first.items()))
