"""Descriptions in words of steps and of the times of a week."""

from __future__ import annotations

from collections.abc import Sequence

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UNITS = (("day", _DAY), ("hour", 3600 * _SECOND), ("minute", 60 * _SECOND), ("second", _SECOND), ("microsecond", 1))


def count_of(microseconds: int) -> str:
    """Write a length of time in its largest whole unit: "1 hour", "7 days"."""
    unit, size = next((unit, size) for unit, size in _UNITS if microseconds % size == 0)
    number = microseconds // size
    return f"{number} {unit}{'s' * (number != 1)}"


def slots_in_words(offsets: Sequence[int], cycle: int, base: int) -> str:
    """Describe times of a day or a week: "Monday to Friday, 09:00 to 16:00"; of another cycle: "5 of every 9 days"."""
    by_day: dict[int, list[int]] = {}
    for offset in offsets:
        by_day.setdefault(offset // _DAY, []).append(offset % _DAY)
    if cycle == _DAY:
        return _times(by_day[0], base)
    if cycle != 7 * _DAY:
        return f"{len(by_day)} of every {cycle // _DAY} days"
    days_of: dict[tuple[int, ...], list[int]] = {}
    for day, times in by_day.items():
        days_of.setdefault(tuple(times), []).append(day)
    groups = [(_weekdays(days), times) for times, days in days_of.items()]
    return "; ".join(days if base == _DAY else f"{days}, {_times(times, base)}" for days, times in groups)


def _weekdays(days: list[int]) -> str:
    """Write weekdays as runs; a run may go beyond Sunday."""
    if len(days) == 7:
        return "every day"
    starts = [day for day in days if (day - 1) % 7 not in days]
    runs: list[str] = []
    for start in starts:
        length = next(n for n in range(1, 8) if (start + n) % 7 not in days)
        end = _DAYS[(start + length - 1) % 7]
        runs.append(_DAYS[start] if length == 1 else f"{_DAYS[start]} {'and' if length == 2 else 'to'} {end}")
    return ", ".join(runs)


def _times(times: Sequence[int], base: int) -> str:
    if len(times) * base == _DAY:
        return "all day"
    runs: list[list[int]] = []
    for time in times:
        if runs and time - runs[-1][-1] == base:
            runs[-1].append(time)
        else:
            runs.append([time])
    words = [_clock(run[0]) if len(run) == 1 else f"{_clock(run[0])} to {_clock(run[-1])}" for run in runs]
    return ", ".join(words)


def _clock(offset: int) -> str:
    minutes, seconds = divmod(offset // _SECOND, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
