"""The search for the grid of series: equal steps with gaps, or a pattern such as working days or opening hours.

Of several grids the one with the shortest description of the times is taken (minimum description length; Rissanen 1978,
*Modeling by shortest data description*). The description consists of the pattern, of the times of the grid that are
missing, and of each time that is not on the grid; its length is counted in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ostinato.data.series.grids import DAY, OFF, WEEK, Every, Grid, Months, Slots, days_of_months, months_of

MOST_STRAY = 0.04  # share of the rows that may be off a pattern, such as the one open Sunday before Christmas
_LEAST_THERE = 1 / 3  # share of the grid's times that must have a row
_RARE = 0.3  # a slot with a smaller share of rows, relative to the slot with the largest, is not in the pattern
_MOSTLY = 0.9  # share of the times that must have a row, if the cycle is neither a day nor a week
_AGAIN = 1.5  # rows that each time of a pattern must have on average, because a pattern must recur
_DOUBT = 3.0  # nats by which the description by a pattern must be shorter than that by equal steps
# Working weeks in the calendars of the world: the first day (0 is Monday), and the number of days.
_WORKING_WEEKS = tuple(
    frozenset((first + day) % 7 for day in range(length))
    for first, length in ((0, 5), (6, 5), (5, 5), (0, 6), (1, 5), (5, 6), (6, 6))
)
_MOST_OWN = 500  # the most series for which grids of their own are searched


@dataclass(frozen=True)
class _Candidate:
    grid: Grid | None
    nats: float  # the length of the description of the times


def find_grid(series: Sequence[np.ndarray]) -> Grid | None:
    """Find the grid that all series are on.

    Args:
        series: The times of each series, (T,), increasing; datetime64[us] or int64.

    Returns:
        The grid; None if the times follow no rule, or no series has two times.
    """
    return _best(series).grid


def find_grids(series: Mapping[str, np.ndarray]) -> tuple[Grid | None, dict[str, Grid]]:
    """Find the grid of all series, and grids of single series, such as shops that close on different days.

    Args:
        series: The times of each series by its name, as for `find_grid`.
    """
    several = {name: times for name, times in series.items() if len(times) > 1}
    common = _best(list(several.values()))
    if not 1 < len(several) <= _MOST_OWN or common.nats == 0.0:
        return common.grid, {}
    own = {name: _best([times]) for name, times in several.items()}
    steps = {None if each.grid is None else each.grid.step_seconds for each in own.values()}
    if len(steps) > 1 or None in steps or sum(each.nats for each in own.values()) >= common.nats:
        return common.grid, {}
    found = {name: each.grid for name, each in own.items() if each.grid is not None}
    return common.grid or next(iter(found.values())), found


def _best(series: Sequence[np.ndarray]) -> _Candidate:
    several = [times for times in series if len(times) > 1]
    if not several:
        return _Candidate(None, 0.0)
    if several[0].dtype.kind != "M":
        return _if_full(_Candidate(equal_steps(several), 0.0), several)
    months = _equal_months(several)
    if months is not None:
        candidates = [_Candidate(months, _cost(months, several, -_DOUBT)), *_some_months(months, several)]
    else:
        every = Every(_common_step(several), int(several[0][0].astype(np.int64)))
        candidates = [_Candidate(every, _cost(every, several, -_DOUBT))]
        if _share(every, several) < 1.0:
            candidates += [_Candidate(grid, _cost(grid, several, words)) for grid, words in _slots(several, every.size)]
    # The first candidate, without a pattern, sets the length to beat, even if too few of its times have a row.
    shorter = [each for each in candidates if each.nats <= candidates[0].nats]
    full = [each for each in shorter if _if_full(each, several).grid is not None]
    best = min(full, key=lambda candidate: candidate.nats, default=_Candidate(None, math.inf))
    return _Candidate(best.grid, max(best.nats, 0.0))


def equal_steps(series: Sequence[np.ndarray]) -> Every | Months:
    """Find the largest equal steps, or months, that all times are on; at least one series must have two times."""
    several = [times for times in series if len(times) > 1]
    dated = several[0].dtype.kind == "M"
    if dated and (months := _equal_months(several)) is not None:
        return months
    return Every(_common_step(several), int(several[0][0].astype(np.int64)), dated)


def _common_step(series: Sequence[np.ndarray]) -> int:
    return int(np.gcd.reduce(np.concatenate([np.diff(times).astype(np.int64) for times in series])))


def _if_full(found: _Candidate, series: Sequence[np.ndarray]) -> _Candidate:
    """Return the candidate if enough of its grid's times have a row; else one without a grid and of infinite length."""
    assert found.grid is not None
    return found if _share(found.grid, series) >= _LEAST_THERE else _Candidate(None, math.inf)


def _share(grid: Grid, series: Sequence[np.ndarray]) -> float:
    """Return the share of the grid's times that have a row."""
    there, all_of_them = 0, 0
    for times in series:
        numbers = grid.fitted(times).numbers(times)
        numbers = numbers[numbers != OFF]
        if len(numbers):
            there, all_of_them = there + len(numbers), all_of_them + int(numbers[-1] - numbers[0]) + 1
    return there / max(all_of_them, 1)


def _cost(grid: Grid, series: Sequence[np.ndarray], words: float) -> float:
    """Return the nats that describe the times by a grid (`words` for the grid itself); infinite if too many are off."""
    rows = there = places = gaps = 0
    span = 1.0
    for times in series:
        numbers = grid.fitted(times).numbers(times)
        on = numbers[numbers != OFF]
        rows, there = rows + len(times), there + len(on)
        if len(on):
            places, gaps = places + int(on[-1] - on[0]) + 1, gaps + int((np.diff(on) > 1).sum())
        if grid.step_seconds:
            span += float((times[-1] - times[0]) / np.timedelta64(1, "s")) / grid.step_seconds
    stray = rows - there
    if stray > MOST_STRAY * rows or not places:
        return math.inf
    # Gaps are described step by step, or by the beginning and the end of each, which is shorter for long outages.
    missing = min(_entropy(there, places), 2 * gaps * math.log(places))
    return words + missing + stray * math.log(span)


def _entropy(there: int, places: int) -> float:
    """Return the nats that describe which `there` of `places` places are taken."""
    share = there / places
    return -sum(part * places * math.log(part) for part in (share, 1.0 - share) if part > 0)


# --- the same times of each day, week, ... ---


def _slots(series: Sequence[np.ndarray], base: int) -> Iterator[tuple[Slots, float]]:
    """Give the patterns that the times suggest, and the nats that describe each."""
    if DAY % base and base % DAY:
        return
    span = max(int((times[-1] - times[0]).astype(np.int64)) for times in series)
    cycles = [DAY, WEEK, 2 * WEEK] if base < DAY else []
    if base == DAY:
        cycles = [days * DAY for days in (7, 14, *(days for days in range(2, 29) if days not in (7, 14)))]
    for at, cycle in enumerate(cycles):
        usual = cycle in (DAY, WEEK)
        seen, possible = _seen(series, cycle)
        if span < (cycle if usual else 3 * cycle - DAY) or len(seen) * base == cycle:
            continue
        size = cycle // base
        for offsets, nats in _sets_of(seen, possible, size, base):
            there = sum(seen[offset] for offset in offsets) / sum(possible[offset] for offset in offsets)
            again = sum(seen[offset] for offset in offsets) / len(offsets)
            if again < _AGAIN or (not usual and there < _MOSTLY):
                continue
            yield Slots(base, offsets, cycle), nats + math.log(1 + at)
        if cycle == WEEK and base < DAY:
            for offsets, nats in _days_by_hours(seen, possible, base):
                yield Slots(base, offsets, cycle), nats + math.log(1 + at)


def _seen(series: Sequence[np.ndarray], cycle: int) -> tuple[dict[int, int], dict[int, int]]:
    """Count how often each offset in a cycle has a row, and how often it could have one."""
    begin = Slots(DAY, (0,), cycle).begin
    whole = [times.astype(np.int64) - begin for times in series]
    offsets, counts = np.unique(np.concatenate(whole) % cycle, return_counts=True)
    could = np.zeros(len(offsets), dtype=np.int64)
    for times in whole:
        could += (times[-1] - offsets) // cycle - (times[0] - 1 - offsets) // cycle
    return (
        dict(zip(offsets.tolist(), counts.tolist(), strict=True)),
        dict(zip(offsets.tolist(), could.tolist(), strict=True)),
    )


def _sets_of(
    seen: dict[int, int], possible: dict[int, int], size: int, base: int
) -> Iterator[tuple[tuple[int, ...], float]]:
    """Give two sets with their nats: all offsets that have a row, and those that have one often."""
    shares = {offset: seen[offset] / max(possible[offset], 1) for offset in seen}
    for least in (0.0, _RARE * max(shares.values())):
        offsets = tuple(offset for offset, share in shares.items() if share > least)
        places = [offset // base for offset in offsets]
        yield offsets, _nats_of_days(places) if size == 7 else _nats_of_set(places, size)


def _days_by_hours(
    seen: dict[int, int], possible: dict[int, int], base: int
) -> Iterator[tuple[tuple[int, ...], float]]:
    """Give patterns with the same hours on some days of the week, and their nats.

    They are shorter than a set of hours for each day, and have no hole where a few rows are missing.
    """
    for least in (0.0, _RARE):
        by_day: dict[int, tuple[int, int]] = {}
        by_hour: dict[int, tuple[int, int]] = {}
        for offset, count in seen.items():
            for parts, key in ((by_day, offset // DAY), (by_hour, offset % DAY)):
                there, could = parts.get(key, (0, 0))
                parts[key] = there + count, could + possible[offset]
        days, hours = (_often(parts, least) for parts in (by_day, by_hour))
        nats = _nats_of_days(days) + _nats_of_set([hour // base for hour in hours], DAY // base)
        yield tuple(day * DAY + hour for day in days for hour in hours), nats


def _often(parts: dict[int, tuple[int, int]], least: float) -> list[int]:
    most = max(there for there, _ in parts.values())
    return sorted(key for key, (there, _) in parts.items() if there > least * most)


def _nats_of_days(days: Sequence[int]) -> float:
    """Return the nats that describe days of a week, 0 for Monday; few if they are a usual working week."""
    return math.log(len(_WORKING_WEEKS)) if frozenset(days) in _WORKING_WEEKS else _nats_of_set(days, 7)


def _nats_of_set(places: Sequence[int], size: int) -> float:
    """Return the nats that describe a set of places on a circle.

    It is described by where its runs begin and end, or by its number among all sets of its size, whichever is shorter.
    """
    there = set(places)
    if len(there) == size:
        return 0.0
    runs = sum((place - 1) % size not in there for place in there)
    which = math.lgamma(size + 1) - math.lgamma(len(there) + 1) - math.lgamma(size - len(there) + 1)
    return min(2 * runs * math.log(size), which + math.log(size))


# --- months ---


def _equal_months(series: Sequence[np.ndarray]) -> Months | None:
    """Return a grid of months (or quarters, years) if each series has one time in each, on the same day; else None."""
    if any((np.diff(months_of(times)) < 1).any() or days_of_months(times) is None for times in series):
        return None
    first = series[0]
    size = int(np.gcd.reduce(np.concatenate([np.diff(months_of(times)) for times in series])))
    return Months(size, days_of_months(first) or 0, int(first[0].astype(np.int64) % DAY)).fitted(first)


def _some_months(equal: Months, series: Sequence[np.ndarray]) -> list[_Candidate]:
    """Return the grid of the months of the year that occur, if each does at least twice; else nothing."""
    months = np.concatenate([months_of(times) % 12 + 1 for times in series])
    of_year, counts = np.unique(months, return_counts=True)
    if counts.min() < 2:
        return []
    some = Months(1, equal.day, equal.hour, tuple(of_year.tolist()))
    return [_Candidate(some, _cost(some, series, _nats_of_set(of_year.tolist(), 12)))]
