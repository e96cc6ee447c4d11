"""What recurs in a series: the season that it has, and the cycles of the calendar that its steps fall into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ostinato.data.series.grids import Grid

CYCLES_SEEN = (
    3  # training must have a cycle so often, or its place in it says only which part of the training data it is
)
_LEAST_LIKENESS = 0.2
_LEAST_OF_MANY = 0.5  # where hundreds of lags are tried, chance finds more
_CHANCE, _CHANCE_OF_MANY = 2.0, 4.0  # standard errors that a correlation is above what noise of so many pairs has
_ALMOST = 0.9  # of what is alike after several seasons, and is so after one
# Where noise hides a season, series are alike by little, after one season as after two and three; but surely.
_FAINT, _SURE, _SURE_OF_MANY = 0.02, 4.0, 5.5  # the least likeness, and standard errors that it is
_MULTIPLES = 4
_LEAST_SEASON = 4  # steps; two or three are alike in any smooth series
MOST_SERIES, _MOST_STEPS = 50, 5000  # that are looked at for a season, the last of each
_LONGEST_SEASON = 400  # that is looked for where no calendar says which could be
_DAY_S = 86_400.0
_CYCLES_S = {"minute": 60.0, "hour": 3600.0, "day": _DAY_S, "week": 7 * _DAY_S, "year": 365.25 * _DAY_S}


def season_of(series: Sequence[np.ndarray], grid: Grid | None) -> int:
    """The season of the calendar; or another, for what no calendar has may still recur: shifts of ten days, cycles of a machine.

    What is alike after two weeks, or five, is so because weeks are: of many lags, noise chooses which is alike most.

    Args:
        series: as of `find_season`.
        grid: see there.

    Returns:
        Steps; 1 where nothing recurs.
    """
    season = find_season(series, grid)
    if season > 1 or grid is None or grid.step_seconds is None:
        return season
    season = find_season(series, None)
    return next((cycle for cycle in _cycles_of(grid) if season % cycle == 0), season)


def _cycles_of(grid: Grid) -> list[int]:
    """Steps of the cycles of the calendar, the shortest first."""
    cycles = {grid.steps_in(seconds) or 0 for seconds in _CYCLES_S.values()}
    return sorted(steps for steps in cycles if steps >= _LEAST_SEASON)


def find_season(series: Sequence[np.ndarray], grid: Grid | None) -> int:
    """After how many steps the changes of a series are like themselves, more than after half of it.

    Where noise hides the season, as in small counts, all series together tell it: the mean correlation after one season, two, three
    and four is then several of its standard errors (Bartlett 1946, (7)).

    Args:
        series: (T,) each, NaN where missing: what training has.
        grid: their times. Where they are dates, the season is a day, a week or a year (a minute, an hour): of working days, a week
            is five steps. Elsewhere, and without a grid, it is any number of steps up to 400, whose correlation stands out from
            those beside it.

    Returns:
        Steps; 1 where nothing recurs.
    """
    is_dated = grid is not None and grid.step_seconds is not None
    candidates = _cycles_of(grid) if grid is not None and is_dated else range(_LEAST_SEASON, _LONGEST_SEASON + 1)
    looked_at = [values[-_MOST_STEPS:] for values in series[:MOST_SERIES]]
    least, chance = (_LEAST_LIKENESS, _CHANCE) if is_dated else (_LEAST_OF_MANY, _CHANCE_OF_MANY)
    both = {lag: _alike(looked_at, lag, lag, max(1, lag // 12)) for lag in candidates}
    found = {lag: value for lag, (value, _) in both.items()}
    # Changes of noise are like themselves one step, or a few, before: -1/2 (Bartlett 1946).
    error = {lag: float(np.sqrt(1.5 / max(1, pairs))) for lag, (_, pairs) in both.items()}
    peaks = [
        lag
        for lag, value in found.items()
        if value >= max(least, chance * error[lag])
        and value > _likeness(looked_at, lag, max(lag // 2, 1))
        and _stands_out(looked_at, lag)
    ]
    # What recurs each day recurs each week too: the shortest, at the top of its peak.
    if peaks:
        season = max((lag for lag in peaks if lag < 1.5 * peaks[0]), key=found.__getitem__)
        return season if is_dated else _shortest(looked_at, season)
    sure = _SURE if is_dated else _SURE_OF_MANY
    faint = next((lag for lag in candidates if found[lag] > 0 and _recurs(looked_at, lag, sure)), 1)
    # What recurs after four weeks may do so because each week is alike.
    parts = (lag for lag in candidates if lag < faint and faint % lag == 0)
    return next((lag for lag in parts if _recurs(looked_at, lag, _SURE)), faint)


def _shortest(series: Sequence[np.ndarray], season: int) -> int:
    """The season, or the one that it is several of: changes over so many steps show it, where shorter ones are mostly noise."""
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
    """Whether a season is more alike than lags a little off it: in smooth series, and in trends, all short lags are alike."""
    off = max(1, season // 6)
    return _likeness(series, season, season) > max(
        _likeness(series, season, lag) for lag in (season - off, season + off)
    )


def _recurs(series: Sequence[np.ndarray], season: int, sure: float) -> bool:
    """Whether changes are surely alike after one season and after each of the next ones, however little."""
    longest, over = max(map(len, series)), max(1, season // 3)  # the longer, the more of a change is the season's
    lags = range(season, min(_MULTIPLES * season, longest - 2 * season) + 1, season)
    found = [_alike(series, season, lag, over) for lag in lags]
    values, pairs = np.array([value for value, _ in found]), np.array([count for _, count in found])
    if not len(values) or not pairs.all() or values.mean() < max(_FAINT, sure / np.sqrt(pairs.sum())):
        return False
    # What is alike from step to step is alike by chance after a season, too.
    short = sum(_alike(series, season, lag, over)[0] ** 2 for lag in range(1, season // 2 + 1))
    errors = np.sqrt((1.0 + 2.0 * short) / pairs)
    mean = float(values.mean())
    # A cycle that is not kept to fades with each of its turns.
    if mean < sure * float(np.sqrt((errors**2).sum())) / len(values) or (values < mean / 2 - 2 * errors).any():
        return False
    off = max(1, season // 6)
    beside = ([_alike(series, season, lag + by, over)[0] for lag in lags] for by in (-(season // 2), -off, off))
    return all(mean > np.mean(each) for each in beside)


def _likeness(series: Sequence[np.ndarray], season: int, lag: int) -> float:
    """Correlation of changes with those `lag` steps before, over all series; 0 where none has the season three times.

    A change is over a twelfth of the season, so that the noise of single steps does not hide a long one.
    """
    return _alike(series, season, lag, max(1, season // 12))[0]


def _alike(series: Sequence[np.ndarray], season: int, lag: int, over: int) -> tuple[float, int]:
    """Correlation of changes over some steps with those `lag` steps before, over all series, and of how many pairs it is."""
    product = left = right = 0.0
    pairs = 0
    for values in series:
        if len(values) < CYCLES_SEEN * season or len(values) <= over + lag:
            continue
        changes = values[over:] - values[:-over]
        there = changes[~np.isnan(changes)]
        # Each series counts the same, whatever its unit; a steady trend is no change.
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
    """The cycles that training sees often enough and that its steps are shorter than: "day", "week", "year".

    Args:
        times: (T,) each, of training.
        grid: of them; None where they follow no rule.
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
    """Where in each cycle the times are, as points of a circle.

    Args:
        times: (T,) datetime64 or int64.
        cycles: as `find_cycles` names them.

    Returns:
        (T, 2 cycles) float64: sine and cosine of each.
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
