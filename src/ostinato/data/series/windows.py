"""Windows of series: steps to read and the following steps to forecast, as views of the series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ostinato.data.series.series import Series, SeriesTable
from ostinato.errors import ConfigError, DataError


@dataclass(frozen=True)
class Window:
    """One forecast: the past steps and the steps to forecast. All arrays are views.

    Attributes:
        series: Index of the series in its table.
        origin: The first step to forecast, as an index into the series.
        past: Values before the origin: (context, C).
        future: Values from the origin on: (horizon, C).
        known: Covariates known ahead of time: (context + horizon, K).
        observed: Covariates known up to now only: (context, P).
        times: The times of all steps: (context + horizon,).
    """

    series: int
    origin: int
    past: np.ndarray
    future: np.ndarray
    known: np.ndarray
    observed: np.ndarray
    times: np.ndarray


class Windows:
    """The windows of a table whose steps to forecast are in one part of each series.

    For training and evaluation on the same table, give the parts (0, 0.7), (0.7, 0.8), (0.8, 1): a window of one part forecasts
    steps of that part only, but may read earlier steps of other parts, as a forecast on that day would. Windows are
    made on request, and nothing is copied.

    Args:
        table: A table of series; series that are too short for a window are skipped.
        context: Steps to read; at least 1.
        horizon: Steps to forecast; at least 1.
        part: The part with the steps to forecast, as shares of each series: 0 <= part[0] < part[1] <= 1.
        stride: Steps from one origin to the next: 1 for every step, `horizon` for forecasts that follow each other.

    Raises:
        ConfigError: A size is less than 1, or the part is out of range.
        DataError: No series is long enough.
    """

    def __init__(
        self,
        table: SeriesTable,
        context: int,
        horizon: int,
        *,
        part: tuple[float, float] = (0.0, 1.0),
        stride: int = 1,
    ):
        for name, value in (("context", context), ("horizon", horizon), ("stride", stride)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1 step; got {value}")
        if not 0 <= part[0] < part[1] <= 1:
            raise ConfigError(f"part must be two shares of a series, 0 <= first < last <= 1; got {part}")
        self.table, self.context, self.horizon, self.stride = table, context, horizon, stride
        origins = [self._origins(len(series), part) for series in table.series]
        self._origins_of = origins
        self._ends = np.cumsum([len(found) for found in origins])
        if not self._ends[-1]:
            longest = max(map(len, table.series))
            raise DataError(
                f"{table.name}: no series has {context} steps to read and {horizon} to forecast from {part[0]:.0%} to "
                f"{part[1]:.0%} of it; the longest has {longest} steps: read or forecast fewer"
            )

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Window:
        if not 0 <= index < len(self):
            raise IndexError(f"window must be 0 to {len(self) - 1}; got {index}")
        series = int(np.searchsorted(self._ends, index, side="right"))
        within = index - int(self._ends[series] - len(self._origins_of[series]))
        return self._window(series, self._origins_of[series][within])

    def __iter__(self) -> Iterator[Window]:
        return (self._window(series, origin) for series, origins in enumerate(self._origins_of) for origin in origins)

    def _origins(self, length: int, part: tuple[float, float]) -> range:
        # Rounded, not truncated: 0.8 of 10 steps are 8, although 0.8 is not exact in binary.
        first, end = (round(share * length) for share in part)
        return range(max(first, self.context), end - self.horizon + 1, self.stride)

    def _window(self, index: int, origin: int) -> Window:
        series: Series = self.table.series[index]
        start, end = origin - self.context, origin + self.horizon
        return Window(
            series=index,
            origin=origin,
            past=series.values[start:origin],
            future=series.values[origin:end],
            known=series.known[start:end],
            observed=series.observed[start:origin],
            times=series.times[start:end],
        )
