"""What recurs in a series: its season, and the cycles of the calendar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ostinato.data.series.grids import Grid

CYCLES_SEEN = (
    3  # training must have a cycle so often, or its place in it says only which part of the training data it is
)
_LEAST_LIKENESS = 0.2
_LEAST_OF_MANY = 0.5  # if hundreds of lags are tried, chance finds larger ones
_CHANCE, _CHANCE_OF_MANY = 2.0, 4.0  # standard errors above the correlation of noise with so many pairs
_ALMOST = 0.9  # of the likeness after several seasons, which one season must have
# If noise hides a season, the correlation is small, but surely there, after one, two and three seasons.
_FAINT, _SURE, _SURE_OF_MANY = 0.02, 4.0, 5.5  # the least correlation, and its least standard errors
_MULTIPLES = 4
_LEAST_SEASON = 4  # steps; any smooth series is alike after two or three
MOST_SERIES, _MOST_STEPS = 50, 5000  # series in which a season is looked for, and the last steps of each
_LONGEST_SEASON = 400  # the longest that is looked for without a calendar
_DAY_S = 86_400.0
_CYCLES_S = {"minute": 60.0, "hour": 3600.0, "day": _DAY_S, "week": 7 * _DAY_S, "year": 365.25 * _DAY_S}


def season_of(series: Sequence[np.ndarray], grid: Grid | None) -> int:
    """The season of the calendar; or another, as shifts of ten days or cycles of a machine recur without a calendar.

    A season of two or five weeks is taken for one of a week: among many lags, noise decides which correlates most.

    Args:
        series: as in `find_season`.
        grid: as in `find_season`.

    Returns:
        The season in steps; 1 if nothing recurs.
    """
    season = find_season(series, grid)
    if season > 1 or grid is None or grid.step_seconds is None:
        return season
    season = find_season(series, None)
    return next((cycle for cycle in _cycles_of(grid) if season % cycle == 0), season)


def _cycles_of(grid: Grid) -> list[int]:
    """The lengths of the calendar's cycles in steps, the shortest first."""
    cycles = {grid.steps_in(seconds) or 0 for seconds in _CYCLES_S.values()}
    return sorted(steps for steps in cycles if steps >= _LEAST_SEASON)


def find_season(series: Sequence[np.ndarray], grid: Grid | None) -> int:
    """The number of steps after which a series changes in the same way, more than after half as many.

    If noise hides the season, as in small counts, all series together show it: the mean correlation after one, two,
    three and four seasons is then several of its standard errors (Bartlett 1946, (7)).

    Args:
        series: the training values of each series, (T,), NaN for missing ones.
        grid: the grid of their times. If they are dates, the season is a day, a week or a year (a minute, an hour); a
            week of working days is five steps. Otherwise, and without a grid, it is any number of steps up to 400 whose
            correlation stands out from those of its neighbours.

    Returns:
        The season in steps; 1 if nothing recurs.
    """
    is_dated = grid is not None and grid.step_seconds is not None
    candidates = _cycles_of(grid) if grid is not None and is_dated else range(_LEAST_SEASON, _LONGEST_SEASON + 1)
    looked_at = [values[-_MOST_STEPS:] for values in series[:MOST_SERIES]]
    least, chance = (_LEAST_LIKENESS, _CHANCE) if is_dated else (_LEAST_OF_MANY, _CHANCE_OF_MANY)
    both = {lag: _alike(looked_at, lag, lag, max(1, lag // 12)) for lag in candidates}
    found = {lag: value for lag, (value, _) in both.items()}
    # Changes in noise correlate with those one step, or a few, before: by -1/2 (Bartlett 1946).
    error = {lag: float(np.sqrt(1.5 / max(1, pairs))) for lag, (_, pairs) in both.items()}
    peaks = [
        lag
        for lag, value in found.items()
        if value >= max(least, chance * error[lag])
        and value > _likeness(looked_at, lag, max(lag // 2, 1))
        and _stands_out(looked_at, lag)
    ]
    # What recurs each day recurs each week too: take the shortest season, at the top of its peak.
    if peaks:
        season = max((lag for lag in peaks if lag < 1.5 * peaks[0]), key=found.__getitem__)
        return season if is_dated else _shortest(looked_at, season)
    sure = _SURE if is_dated else _SURE_OF_MANY
    faint = next((lag for lag in candidates if found[lag] > 0 and _recurs(looked_at, lag, sure)), 1)
    # What recurs after four weeks may do so because all weeks are alike.
    parts = (lag for lag in candidates if lag < faint and faint % lag == 0)
    return next((lag for lag in parts if _recurs(looked_at, lag, _SURE)), faint)


def _shortest(series: Sequence[np.ndarray], season: int) -> int:
    """The season, or the part of it that is the true one; long changes show that, as short ones are mostly noise."""
    over = max(1, season // 12)

    def alike(lag: int) -> float:
        return _alike(series, lag, lag, over)[0]

    wanted = _ALMOST * alike(season)
    for times in range(_MULTIPLES, 1, -1):
        near, off = round(season / times), max(1, season // (6 * times))
        part = max(range(max(_LEAST_SEASON, near - off + 1), near + off), key=alike, default=season)
        if part < season and alike(part) >= max(wanted, alike(part - off), alike(part + off)):
            return part
    return season


def _stands_out(series: Sequence[np.ndarray], season: int) -> bool:
    """Whether the correlation is above that of lags a little off: in smooth series and trends, all short lags are."""
    off = max(1, season // 6)
    return _likeness(series, season, season) > max(
        _likeness(series, season, lag) for lag in (season - off, season + off)
    )


def _recurs(series: Sequence[np.ndarray], season: int, sure: float) -> bool:
    """Whether changes surely correlate, however little, after one season and after each of the next ones."""
    longest, over = max(map(len, series)), max(1, season // 3)  # the longer a change, the more of it is seasonal
    lags = range(season, min(_MULTIPLES * season, longest - 2 * season) + 1, season)
    found = [_alike(series, season, lag, over) for lag in lags]
    values, pairs = np.array([value for value, _ in found]), np.array([count for _, count in found])
    if not len(values) or not pairs.all() or values.mean() < max(_FAINT, sure / np.sqrt(pairs.sum())):
        return False
    # A series that correlates from step to step does so after a season too, by chance.
    short = sum(_alike(series, season, lag, over)[0] ** 2 for lag in range(1, season // 2 + 1))
    errors = np.sqrt((1.0 + 2.0 * short) / pairs)
    mean = float(values.mean())
    # The correlation of an irregular cycle fades with each of its turns.
    if mean < sure * float(np.sqrt((errors**2).sum())) / len(values) or (values < mean / 2 - 2 * errors).any():
        return False
    off = max(1, season // 6)
    beside = ([_alike(series, season, lag + by, over)[0] for lag in lags] for by in (-(season // 2), -off, off))
    return all(mean > np.mean(each) for each in beside)


def _likeness(series: Sequence[np.ndarray], season: int, lag: int) -> float:
    """The correlation of changes with those `lag` steps before, over all series; 0 if none has the season three times.

    A change is over a twelfth of the season, so that the noise of single steps does not hide a long one.
    """
    return _alike(series, season, lag, max(1, season // 12))[0]


def _alike(series: Sequence[np.ndarray], season: int, lag: int, over: int) -> tuple[float, int]:
    """The correlation of changes over `over` steps with those `lag` steps before, over all series; and its pairs."""
    product = left = right = 0.0
    pairs = 0
    for values in series:
        if len(values) < CYCLES_SEEN * season or len(values) <= over + lag:
            continue
        changes = values[over:] - values[:-over]
        there = changes[~np.isnan(changes)]
        # All series count equally, whatever their unit; a steady trend counts as no change.
        middle, unit = (float(there.mean()), float(there.var())) if len(there) else (0.0, 0.0)
        if unit == 0.0:
            continue
        a, b = changes[lag:] - middle, changes[:-lag] - middle
        both = ~(np.isnan(a) | np.isnan(b))
        a, b = a[both], b[both]
        pairs += len(a)
        product += float((a * b).sum()) / unit
        left, right = left + float((a * a).sum()) / unit, right + float((b * b).sum()) / unit
    return (float(product / np.sqrt(left * right)), pairs) if left > 0 and right > 0 else (0.0, 0)


def find_cycles(times: Sequence[np.ndarray], grid: Grid | None) -> tuple[str, ...]:
    """The cycles, of "day", "week" and "year", that are longer than a step and that training sees often enough.

    Args:
        times: the times of each training series, (T,).
        grid: the grid of these times; None if they follow no rule.
    """
    if not times or times[0].dtype.kind != "M":
        return ()
    spans = max((float((each[-1] - each[0]) / np.timedelta64(1, "s")) for each in times if len(each)), default=0.0)
    length = (grid and grid.step_seconds) or _usual_gap(times)
    wanted = {"day": _CYCLES_S["day"], "week": _CYCLES_S["week"], "year": _CYCLES_S["year"]}
    return tuple(name for name, cycle in wanted.items() if 0 < length < 0.75 * cycle and spans >= CYCLES_SEEN * cycle)


def _usual_gap(times: Sequence[np.ndarray]) -> float:
    gaps = np.concatenate([np.diff(each) for each in times])
    return float(np.median(gaps) / np.timedelta64(1, "s")) if len(gaps) else 0.0


def calendar(times: np.ndarray, cycles: Sequence[str]) -> np.ndarray:
    """The place of times in each cycle, as points of a circle.

    Args:
        times: (T,) datetime64 or int64.
        cycles: as `find_cycles` names them.

    Returns:
        (T, 2 cycles) float64: sine and cosine for each cycle.
    """
    parts = [np.zeros((len(times), 0))]
    for name in cycles:
        if name == "year":
            begin = times.astype("datetime64[Y]")
            end = begin + np.timedelta64(1, "Y")
            share = (times - begin) / (end.astype(times.dtype) - begin.astype(times.dtype))
        else:
            # The first of January 1970 was a Thursday; any day may begin the circle.
            seconds = (times - np.datetime64("1970-01-01", "us")) / np.timedelta64(1, "s")
            share = (seconds % _CYCLES_S[name]) / _CYCLES_S[name]
        angle = 2.0 * np.pi * share.astype(np.float64)
        parts.append(np.stack([np.sin(angle), np.cos(angle)], 1))
    return np.concatenate(parts, 1)
