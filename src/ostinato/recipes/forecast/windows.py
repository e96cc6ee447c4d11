"""The windows of series that a forecaster reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ostinato.data.batches.batches import pad
from ostinato.models.forecasting.windows import SeriesBatch
from ostinato.recipes.forecast.data import ForecastPart, MappedTracks, Track, ids_of, some_of, times_at
from ostinato.recipes.forecast.known import ForecastKnown, scaled

LEAST_OF_HISTORY = 0.1  # the least width of a window, as a share of the mean change in its history
OWN_VALUES = 10  # number of values from which on a window's own spread is trusted alone


def _least_widths(seen: np.ndarray, moved: np.ndarray, usual: float) -> np.ndarray:
    """The least width of each window.

    One value has no spread, though nobody can be certain after it; two values that happen to be alike have next to
    none. So few values are assumed to spread as the series usually does, the less, the more there are. A series that
    has never changed stays without a spread.

    Args:
        seen: (N,), values before each origin.
        moved: (N,), their mean absolute change from one to the next.
        usual: the usual spread of the series.
    """
    few = usual * (1.0 - (seen - 1) / OWN_VALUES).clip(0.0, 1.0)
    own = LEAST_OF_HISTORY * moved
    return np.where((moved > 0) | (seen == 1), np.maximum(few, own), own)


class HeldBeside:
    """The inputs beside values, for series in memory: made once for all windows."""

    def __init__(self, tracks: Sequence[Track], known: ForecastKnown):
        self._known = [known.inputs(track.times, track.known, track.static) for track in tracks]
        self._observed = [scaled(track.observed, known.observed).astype(np.float32) for track in tracks]

    def windows(self, places: Sequence[tuple[int, slice]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The known inputs (T, K) and the observed ones (T, P) of each window, float32.

        Args:
            places: for each window, the series and its steps.
        """
        pairs = [(self._known[at][window], self._observed[at][window]) for at, window in places]
        return [each for each, _ in pairs], [each for _, each in pairs]


class MappedBeside:
    """The inputs beside values, for series on disk: made for the windows that are asked for, all at once."""

    def __init__(self, tracks: MappedTracks, known: ForecastKnown):
        self._tracks, self._about = tracks, known

    def windows(self, places: Sequence[tuple[int, slice]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The inputs as in `HeldBeside.windows`."""
        about = self._about
        lengths = [window.stop - window.start for _, window in places]
        ends = np.cumsum(lengths)[:-1]
        if about.known_size:
            static = np.repeat(np.stack([self._tracks[at].static for at, _ in places]), lengths, 0)
            times, known = (self._all(name, places) for name in ("times", "known"))
            inputs = np.split(about.inputs(times, known, static), ends)
        else:
            inputs = [np.zeros((length, 0), dtype=np.float32) for length in lengths]
        if not about.observed:
            return inputs, [np.zeros((length, 0), dtype=np.float32) for length in lengths]
        return inputs, np.split(scaled(self._all("observed", places), about.observed).astype(np.float32), ends)

    def _all(self, name: str, places: Sequence[tuple[int, slice]]) -> np.ndarray:
        return np.concatenate([some_of(self._tracks[at], name, window) for at, window in places])


class SeriesWindows:
    """Windows of series as examples: up to `context` steps before each origin, and the horizon from it on.

    Values are relative to the last one before the origin. The forecaster does not depend on that offset, and in float32
    a change by 1 of a value of a billion is kept.

    Args:
        part: N forecasts.
        known: what is known about the series.
        like: windows of the same series, whose inputs are used again; None for none.

    Attributes:
        part: the forecasts.
        about: what is known about the series.
        anchors: (N,) float64, the last value before each origin.
        floored: (N,) bool, whether there is no value below 0 so far, nor in training: then none is forecast.
    """

    def __init__(self, part: ForecastPart, known: ForecastKnown, like: SeriesWindows | None = None):
        self.part, self.about, self._context = part, known, known.context
        tracks = part.tracks
        if like is None:
            self._beside = (
                MappedBeside(tracks, known) if isinstance(tracks, MappedTracks) else HeldBeside(tracks, known)
            )
            self._numbers = np.array([known.number(id) for id in ids_of(tracks)], dtype=np.int64)
            self._channels = np.where(self._numbers > 0, self._numbers, np.arange(len(tracks)) + 1) - 1
        else:
            self._beside, self._numbers, self._channels = like._beside, like._numbers, like._channels
        past = np.minimum(part.origin, self._context)
        self.lengths = past + part.horizon
        self._least, self.anchors = np.zeros(len(part)), np.zeros(len(part))
        # Columns of a table with several belong together; with one column, all series do.
        is_wide = bool(tracks[0].column)
        moments = np.zeros(len(part), dtype=np.int64)
        for track, rows in part.by_track():
            moments[rows] = times_at(track, part.origin[rows] - 1).astype(np.int64)
        self.groups = np.unique(
            np.stack([np.array([tracks[at].group if is_wide else 0 for at in part.series], dtype=np.int64), moments]),
            axis=1,
            return_inverse=True,
        )[1].reshape(-1)
        there, self.floored = np.zeros(len(part), dtype=np.int64), np.zeros(len(part), dtype=bool)
        for track, rows in part.by_track():
            origin = part.origin[rows]
            self._least[rows] = _least_widths(track.seen[origin], track.moved[origin], known.width(track.id))
            self.anchors[rows] = track.filled[origin - 1]
            self.floored[rows] = known.is_floored(track.id) & (track.lowest[origin] >= 0)
            there[rows] = track.seen[origin + part.horizon] - track.seen[origin]
        # A series that has not changed so far has no scale, and no loss.
        self.counts = np.where(self._least > 0, there, 0)

    def batch(self, rows: np.ndarray) -> SeriesBatch:
        """A batch of values relative to their anchors, (T, B) float32, with the inputs beside them."""
        values, places = [], []
        for row in rows:
            series, origin = int(self.part.series[row]), int(self.part.origin[row])
            window = slice(max(0, origin - self._context), origin + self.part.horizon)
            values.append((self.part.tracks[series].values[window] - self.anchors[row]).astype(np.float32))
            places.append((series, window))
        known, observed = self._beside.windows(places)
        (input, lengths), past = pad(values), np.minimum(self.part.origin[rows], self._context)
        return SeriesBatch(
            input,
            None,
            lengths,
            torch.from_numpy(rows),
            past=torch.from_numpy(past.astype(np.int64)),
            known=pad(known)[0],
            observed=pad(observed)[0],
            series=torch.from_numpy(self._numbers[self.part.series[rows]]),
            least_scale=torch.from_numpy(self._least[rows].astype(np.float32)),
            level=torch.from_numpy(self.anchors[rows].astype(np.float32)),
            floored=torch.from_numpy(self.floored[rows]),
            group=torch.from_numpy(self.groups[rows]),
            channel=torch.from_numpy(self._channels[self.part.series[rows]]),
        )

    def absolute(self, rows: np.ndarray, paths: np.ndarray) -> np.ndarray:
        """Turns paths (B, ...) of some rows, relative to their anchors, into the unit of the series."""
        return self.bounded(rows, paths + self.anchors[rows].reshape(-1, *[1] * (paths.ndim - 1)))

    def bounded(self, rows: np.ndarray, paths: np.ndarray) -> np.ndarray:
        """Cuts paths at 0 for series that never go below it."""
        return np.where(self.floored[rows].reshape(-1, *[1] * (paths.ndim - 1)), paths.clip(0.0), paths)


class Together:
    """Windows of series that belong together: one example has the windows of all of them from the same time on.

    Args:
        windows: the windows of single series.

    Attributes:
        widest: how many windows the largest example has.
    """

    def __init__(self, windows: SeriesWindows):
        self._windows = windows
        order = np.argsort(windows.groups, kind="stable")
        begins = np.flatnonzero(np.diff(windows.groups[order], prepend=-1))
        self._members = np.split(order, begins[1:])
        self.lengths = np.array([windows.lengths[each].max() for each in self._members])
        self.counts = np.array([windows.counts[each].sum() for each in self._members])
        self.widest = max(map(len, self._members))

    def batch(self, rows: np.ndarray) -> SeriesBatch:
        """A batch with all windows of some examples."""
        return self._windows.batch(np.concatenate([self._members[row] for row in rows]))
