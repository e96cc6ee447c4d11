"""Sessions of a forecaster: they read values, and answer the forecast from the last one on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from ostinato.data.series.grids import Grid
from ostinato.models.forecasting.forecast_stream import ForecastStream
from ostinato.models.forecasting.heads import Gaussian, Quantiles
from ostinato.models.forecasting.windows import uniform_numbers
from ostinato.recipes.forecast.data import Track
from ostinato.recipes.forecast.windows import SeriesWindows
from ostinato.serving.answers.series import check_above, columns_of, names_of, numbers_of, part_of, track_of, words_of
from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.kinds.kind import FIRST_ROWS, Kind, whole
from ostinato.serving.stepping.bank import Bank
from ostinato.serving.stepping.job import Job

LEVELS = (50.0, 80.0, 95.0)
_MOST_HORIZON, _MOST_SAMPLES, _MOST_LEVELS = 1000, 1000, 20
_DRAWS = 400  # draws for the interval of a value, if values are counts or amounts
_MOST_PATHS = 200_000  # steps of all paths of a forecast; other sessions of the model wait until they are drawn


class Asked(NamedTuple):
    """The requested forecast.

    Attributes:
        horizon: the number of steps.
        samples: the number of paths.
        seed: the seed of the paths.
        levels: the central intervals, in percent.
        future: (horizon, K) covariates known ahead of time; None if there are none.
    """

    horizon: int
    samples: int
    seed: int
    levels: tuple[float, ...]
    future: np.ndarray | None


class ForecastKind(Kind):
    """See `Kind`. A session begins with a past; it answers how each value was expected, and the next forecast."""

    task = "forecast"
    reads: ClassVar[tuple[str, ...]] = ("values",)
    begins: ClassVar[tuple[str, ...]] = ("past", "values")
    peeks = True
    peeks_first = True

    def bank(self) -> Bank:
        """Make rows of a `ForecastStream`; their further state is the zero point of values, and the last time."""
        told = json.dumps(self.known.to_dict(), sort_keys=True, default=repr).encode()
        beside = {
            "anchor": np.zeros(FIRST_ROWS),
            "floored": np.zeros(FIRST_ROWS, np.int64),
            "static": np.full((FIRST_ROWS, len(self.known.static)), np.nan),
            "time": np.zeros(FIRST_ROWS, np.int64),
            "first": np.zeros(FIRST_ROWS, np.int64),
        }
        stream = ForecastStream(self.model, rows=FIRST_ROWS)
        return Bank(stream, beside, hashlib.blake2b(told, digest_size=16).hexdigest())

    # on the event loop

    def opening(self, body: Mapping[str, Any], most: int) -> Any:
        """Read "past", with "series", "start", "known" and "observed"."""
        if body.get("past") is None:
            raise BadRequestError("past: expected the values so far, null where one is missing", param="past")
        if body.get("values"):
            raise BadRequestError("values: expected them in past, where a session begins", param="values")
        return track_of(self.known, body, "past", most)

    def steps_of(self, opening: Any) -> int:
        """Return the number of values in the past."""
        return len(opening)

    def read(self, body: Mapping[str, Any], most: int) -> list[Any]:
        """Read "values", with "known" and "observed" by the names of the columns."""
        if body.get("values") is None:
            return []
        values = numbers_of(body["values"], "values", most)
        check_above(self.known, values, "values")
        known = columns_of(body, "known", len(values), names_of(self.known.known), words_of(self.known))
        observed = columns_of(body, "observed", len(values), names_of(self.known.observed), words_of(self.known))
        return list(zip(values.tolist(), known, observed, strict=True))

    def numbers(self, asked: Any) -> int:
        """Return the count: a mean, and the two ends of an interval."""
        return 3

    def asked(self, body: Mapping[str, Any]) -> Asked:
        """Read horizon, samples, seed, levels and future covariates."""
        horizon = whole(body, "horizon", self.known.horizon, 1, _MOST_HORIZON)
        samples = whole(body, "samples", 200, 2, _MOST_SAMPLES)
        if horizon * samples > _MOST_PATHS:
            raise TooLargeError(
                f"samples: expected at most {_MOST_PATHS // horizon} for {horizon} steps, got {samples}",
                param="samples",
            )
        seed = whole(body, "seed", 0, 0, 2**63 - 1)
        levels = body.get("levels")
        if levels is None:
            levels = LEVELS
        is_list = isinstance(levels, list | tuple) and len(levels) <= _MOST_LEVELS
        if not is_list or not all(type(each) in (int, float) and 0 < each < 100 for each in levels):
            raise BadRequestError("levels: expected percents between 0 and 100, such as [50, 95]", param="levels")
        future = (
            columns_of(body, "future", horizon, names_of(self.known.known), words_of(self.known))
            if self.known.known
            else None
        )
        return Asked(horizon, samples, seed, tuple(float(each) for each in levels), future)

    # in the stepping thread

    def begin(self, bank: Bank, row: int, opening: Any) -> None:
        """Read the past, scaled as for a forecast of it."""
        track: Track = opening
        end = int(track.last[-1]) + 1
        windows = SeriesWindows(part_of(self.known, (track,)), self.known)
        batch: Any = windows.batch(np.array([0]))
        bank.stream.begin(
            batch.input[:, 0],
            known=batch.known[:, 0] if batch.known.shape[2] else None,
            observed=batch.observed[:, 0] if batch.observed.shape[2] else None,
            series=int(batch.series[0]),
            least_scale=float(batch.least_scale[0]),
            level=float(batch.level[0]),
            nonnegative=bool(batch.floored[0]),
            row=row,
        )
        beside = bank.beside
        beside["anchor"][row], beside["floored"][row] = windows.anchors[0], windows.floored[0]
        beside["static"][row] = track.static
        beside["first"][row], beside["time"][row] = (_whole(track.times[at]) for at in (0, end - 1))
        # Values that are missing at the end of the past are steps too.
        rows = np.array([row], dtype=np.int64)
        for at in range(end, len(track)):
            self.step(bank, [(math.nan, track.known[at], track.observed[at])], rows)

    def step(self, bank: Bank, inputs: list[Any], rows: np.ndarray) -> torch.Tensor:
        """Take a step; return how each value was expected, in the unit of the series, minus its anchor."""
        values = torch.tensor([value for value, *_ in inputs], dtype=torch.float64) - torch.from_numpy(
            bank.beside["anchor"][rows]
        )
        times = self._times(bank, rows, 1)[:, 0]
        known = observed = None
        if self.model.known_size:
            given = np.stack([each for _, each, _ in inputs])
            known = torch.from_numpy(self._known(times, given, bank.beside["static"][rows]))
        if self.known.observed:
            scales = np.array([scale for _, *scale in self.known.observed])
            found = (np.stack([each for *_, each in inputs]) - scales[:, 0]) / scales[:, 1]
            observed = torch.from_numpy(found.astype(np.float32))
        said = bank.stream(values.to(self.model.output.weight.dtype), rows, known=known, observed=observed)
        bank.beside["time"][rows] = times
        return said

    def _known(self, times: np.ndarray, covariates: np.ndarray, static: np.ndarray) -> np.ndarray:
        return self.known.inputs(times.astype("datetime64[us]") if self._is_dated else times, covariates, static)

    @property
    def _grid(self) -> Grid | None:
        """The grid of the calendar; None if the model does not use the calendar."""
        layout = self.known.layout
        return None if layout is None or not layout.filled or not self.known.cycles else layout.grid

    @property
    def _is_dated(self) -> bool:
        return self._grid is not None and self._grid.times(np.zeros(1, np.int64)).dtype.kind == "M"

    def _times(self, bank: Bank, rows: np.ndarray, count: int) -> np.ndarray:
        """Return the times that follow, (n, count) int64; plain numbers if the model does not use the calendar."""
        last, grid = bank.beside["time"][rows], self._grid
        if grid is None:
            return last[:, None] + np.arange(1, count + 1)
        kind = "datetime64[us]" if self._is_dated else "int64"
        first = bank.beside["first"][rows].astype(kind)
        found = [grid.fitted(first[at : at + 1]).after(time, count) for at, time in enumerate(last.astype(kind))]
        return np.stack(found).astype(np.int64)

    def say(self, bank: Bank, said: torch.Tensor | None, rows: np.ndarray, jobs: Sequence[Job]) -> list[Any]:
        """Return how each value was expected, and for jobs at their end the forecast."""
        anchors = bank.beside["anchor"][rows]
        found: list[Any] = [None] * len(jobs)
        ending: dict[tuple[int, int, int], list[int]] = {}
        for at, job in enumerate(jobs):
            if said is not None:
                found[at] = [expected(self.model.head, said[at].double(), float(anchors[at]), job.asked.levels), None]
            else:
                found[at] = [None, None]
            if job.at >= len(job.inputs):
                ending.setdefault(job.asked[:3], []).append(at)
        for (horizon, samples, seed), places in ending.items():
            some = rows[places]
            future = None
            if self.model.known_size:
                times = self._times(bank, some, horizon)
                given, static = [jobs[at].asked.future for at in places], bank.beside["static"][some]
                nothing = np.zeros((horizon, 0))
                future = torch.from_numpy(
                    np.stack(
                        [
                            self._known(t, nothing if f is None else f, same)
                            for t, f, same in zip(times, given, static, strict=True)
                        ],
                        1,
                    )
                )
            paths = bank.stream.forecast(horizon, future=future, samples=samples, seed=seed, rows=some).double().numpy()
            for n, at in enumerate(places):
                found[at][1] = _fan(self._bounded(bank, rows[at], paths[:, n] + anchors[at]), jobs[at].asked.levels)
        return found

    def _bounded(self, bank: Bank, row: int, paths: np.ndarray) -> np.ndarray:
        """Calibrate the width of paths (horizon, S), and keep them at 0 or above if the series is never below 0."""
        if self.model.head.is_count:
            paths = paths.round()
        if self.known.calibration is not None:
            paths = self.known.calibration.applied(paths)
        return paths.clip(0.0) if bank.beside["floored"][row] else paths

    # answers

    def answer(self, job: Job) -> dict[str, Any]:
        """Return `said`, how each value was `expected`, and the `forecast`."""
        said = [] if not job.inputs else [{"text": None, "expected": each} for each, _ in job.said]
        return {"said": said, "forecast": job.said[-1][1]}


def expected(head: Any, numbers: torch.Tensor, anchor: float, levels: Sequence[float]) -> dict[str, Any]:
    """Return the mean and the widest interval of the distribution that a head gives for a value."""
    level = (max(levels) if levels else 95.0) / 100.0
    if head.reads_frame:
        return _expected_from_zero(head, numbers, level)
    ends = torch.tensor([(1.0 - level) / 2.0, (1.0 + level) / 2.0], dtype=torch.float64)
    if isinstance(head, Quantiles):
        at = torch.tensor(head.levels, dtype=torch.float64)
        middle = float(numbers[len(numbers) // 2])
        low, high = np.interp(ends.numpy(), at.numpy(), numbers.numpy()).tolist()
    else:
        middle, width = float(numbers[0]), float(numbers[1])
        z = torch.special.ndtri(ends)
        if not isinstance(head, Gaussian):  # the quantiles of a Student-t, by Cornish and Fisher's expansion
            v = float(numbers[2])
            z = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v * v)
        low, high = (middle + width * float(each) for each in z)
    return {"mean": middle + anchor, "low": low + anchor, "high": high + anchor}


def _expected_from_zero(head: Any, numbers: torch.Tensor, level: float) -> dict[str, Any]:
    """Return mean and interval, as `expected` does, by draws; for counts and amounts, which are never below 0."""
    uniform = uniform_numbers(1, _DRAWS, 0)[0].double()
    drawn = head.drawn(numbers.expand(_DRAWS, -1), uniform).numpy()
    low, high = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], method="weibull").tolist()
    return {"mean": float(drawn.mean()), "low": low, "high": high}


def _fan(paths: np.ndarray, levels: Sequence[float]) -> dict[str, Any]:
    """Return the mean and the intervals of paths (horizon, S)."""
    ends = {level: np.quantile(paths, [(1 - level / 100) / 2, (1 + level / 100) / 2], axis=1) for level in levels}
    return {
        "mean": paths.mean(1).tolist(),
        "levels": {f"{level:g}": {"low": low.tolist(), "high": high.tolist()} for level, (low, high) in ends.items()},
    }


def _whole(time: Any) -> int:
    return (
        int(np.array(time).astype("datetime64[us]").astype(np.int64)) if np.array(time).dtype.kind == "M" else int(time)
    )
