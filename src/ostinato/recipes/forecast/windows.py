"""Windows of series as a forecaster reads them."""

from __future__ import annotations

import numpy as np
import torch

from ostinato.data.batches.batches import pad
from ostinato.models.forecasting.windows import SeriesBatch
from ostinato.recipes.forecast.data import ForecastPart
from ostinato.recipes.forecast.known import ForecastKnown, scaled

LEAST_OF_HISTORY = 0.1  # a window is at least so wide, as a share of the mean step of its history
OWN_VALUES = 10  # values from which on a window has a spread of its own


def _least_widths(seen: np.ndarray, moved: np.ndarray, usual: float) -> np.ndarray:
    """How wide windows are at least.

    One value has no spread, and nobody is certain after it; two that happen to be alike have next to none. So a few values are
    taken to spread as the series usually does, the less, the more there are. What has never changed stays without a spread.

    Args:
        seen: (N,), values before each origin.
        moved: (N,), their mean absolute change from one to the next.
        usual: spread of the series.
    """
    few = usual * (1.0 - (seen - 1) / OWN_VALUES).clip(0.0, 1.0)
    own = LEAST_OF_HISTORY * moved
    return np.where((moved > 0) | (seen == 1), np.maximum(few, own), own)


class SeriesWindows:
    """Windows of series as examples: up to `context` steps before each origin, and the horizon behind it.

    Values are relative to the last one before the origin: a forecaster takes no notice, and in float32 a change by 1 of a value of
    a billion is still a change.

    Args:
        part: N forecasts.
        known: what is known about the series.

    Attributes:
        anchors: (N,) float64, the last value before each origin.
        floored: (N,) bool, whether there is no value below 0 so far, nor in training: nothing below it is forecast.
    """

    def __init__(self, part: ForecastPart, known: ForecastKnown):
        self.part, self._context = part, known.context
        tracks = part.tracks
        self._known = [known.inputs(track.times, track.known, track.static) for track in tracks]
        self._observed = [scaled(track.observed, known.observed).astype(np.float32) for track in tracks]
        self._numbers = np.array([known.number(track.id) for track in tracks], dtype=np.int64)
        past = np.minimum(part.origin, self._context)
        self.lengths = past + part.horizon
        self._least, self.anchors = np.zeros(len(part)), np.zeros(len(part))
        # Columns of a table belong together; where there is one only, all series do.
        is_wide = any(track.column for track in tracks)
        moments = np.zeros(len(part), dtype=np.int64)
        for track, rows in part.by_track():
            moments[rows] = track.times[part.origin[rows] - 1].astype(np.int64)
        self.groups = np.unique(
            np.stack([np.array([tracks[at].group if is_wide else 0 for at in part.series], dtype=np.int64), moments]),
            axis=1,
            return_inverse=True,
        )[1].reshape(-1)
        places = [known.number(track.id) or at + 1 for at, track in enumerate(tracks)]
        self._channels = np.array(places, dtype=np.int64) - 1
        there, self.floored = np.zeros(len(part), dtype=np.int64), np.zeros(len(part), dtype=bool)
        for track, rows in part.by_track():
            origin = part.origin[rows]
            self._least[rows] = _least_widths(track.seen[origin], track.moved[origin], known.width(track.id))
            self.anchors[rows] = track.filled[origin - 1]
            self.floored[rows] = known.is_floored(track.id) & (track.lowest[origin] >= 0)
            there[rows] = track.seen[origin + part.horizon] - track.seen[origin]
        # Without any change so far there is no scale, and no loss.
        self.counts = np.where(self._least > 0, there, 0)

    def batch(self, rows: np.ndarray) -> SeriesBatch:
        """Values relative to their anchors, (T, B) float32, and what is beside them."""
        values, known, observed = [], [], []
        for row in rows:
            series, origin = self.part.series[row], self.part.origin[row]
            window = slice(max(0, origin - self._context), origin + self.part.horizon)
            values.append((self.part.tracks[series].values[window] - self.anchors[row]).astype(np.float32))
            known.append(self._known[series][window])
            observed.append(self._observed[series][window])
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
        """Paths (B, ...) of some rows, relative to their anchors, in the unit of the series."""
        return self.bounded(rows, paths + self.anchors[rows].reshape(-1, *[1] * (paths.ndim - 1)))

    def bounded(self, rows: np.ndarray, paths: np.ndarray) -> np.ndarray:
        """The same, nothing below 0 where it never is."""
        return np.where(self.floored[rows].reshape(-1, *[1] * (paths.ndim - 1)), paths.clip(0.0), paths)


class Together:
    """Windows of series that belong together as one example: those of all of them that begin at the same time.

    Args:
        windows: of the series.

    Attributes:
        widest: how many windows the largest has.
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
        """All windows of some examples."""
        return self._windows.batch(np.concatenate([self._members[row] for row in rows]))
