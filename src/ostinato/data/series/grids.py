"""Grids, the rules for the times of a series: equal steps, months, or the same times of each day or week.

A grid numbers its times without gaps, so a time that is missing in a table differs from a time that the grid never has.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ostinato.data.sources.slot_words import count_of, slots_in_words

SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND
WEEK = 7 * DAY
MONDAY = 4 * DAY  # 1970-01-05, the first Monday after time 0
OFF = -(2**62)  # the number for a time that is not on a grid


class Grid(ABC):
    """A rule for times, which can be numbered: datetime64[us], or int64 if times are whole numbers."""

    @abstractmethod
    def numbers(self, times: np.ndarray) -> np.ndarray:
        """Return the number of each time on the grid, (T,) int64; `OFF` for a time that is not on it."""

    @abstractmethod
    def times(self, numbers: np.ndarray) -> np.ndarray:
        """Return the times with these numbers, (T,); the inverse of `numbers`."""

    @abstractmethod
    def fitted(self, times: np.ndarray) -> Grid:
        """Shift the grid to the times of a series: weeks to its weekday, hours to its minute, months to its day.

        Args:
            times: (T,), increasing; T at least 1.
        """

    @abstractmethod
    def steps_in(self, seconds: float) -> int | None:
        """Return the number of steps in which `seconds` pass; None if it is not defined for the grid."""

    @property
    @abstractmethod
    def step_seconds(self) -> float | None:
        """The usual time from one step to the next, without pauses such as nights; None if times are no dates."""

    @abstractmethod
    def __str__(self) -> str:
        """Describe the grid in words: "1 hour", "1 day, Monday to Friday"."""

    def after(self, last: Any, count: int) -> np.ndarray:
        """Return the `count` times after `last`, which is on the grid: (count,)."""
        return self.times(self.numbers(np.array([last]))[0] + np.arange(1, count + 1))

    def to_dict(self) -> dict[str, Any]:
        """Return the grid as plain values, for JSON."""
        return {"kind": type(self).__name__, **dataclasses.asdict(self)}  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Every(Grid):
    """Equal steps.

    Args:
        size: the step, in microseconds, or as a whole number if `dated` is false; at least 1.
        begin: one of the grid's times, as a whole number (of microseconds since 1970).
        dated: whether the times are dates.
    """

    size: int
    begin: int = 0
    dated: bool = True

    def numbers(self, times: np.ndarray) -> np.ndarray:
        """Return the number of each time on the grid, or `OFF`."""
        steps, beside = np.divmod(_whole(times) - self.begin, self.size)
        return np.where(beside == 0, steps, OFF)

    def times(self, numbers: np.ndarray) -> np.ndarray:
        """Return the times with these numbers."""
        found = self.begin + numbers * self.size
        return found.astype("datetime64[us]") if self.dated else found

    def fitted(self, times: np.ndarray) -> Every:
        """Shift the grid to the times of a series."""
        return dataclasses.replace(self, begin=_most_common(_whole(times) % self.size))

    def steps_in(self, seconds: float) -> int | None:
        """Return the number of steps in which `seconds` pass."""
        return round(seconds * SECOND / self.size) if self.dated else None

    @property
    def step_seconds(self) -> float | None:
        """The time from one step to the next."""
        return self.size / SECOND if self.dated else None

    def __str__(self) -> str:
        return count_of(self.size) if self.dated else str(self.size)


@dataclass(frozen=True)
class Slots(Grid):
    """The same times in each day, week or other cycle: working days, opening hours.

    Args:
        base: microseconds; the distances between the times are multiples of it.
        offsets: the times within a cycle, in microseconds, increasing; at least one.
        cycle: the length of a cycle in microseconds: whole days or weeks. A cycle of whole weeks begins on a Monday.
    """

    base: int
    offsets: tuple[int, ...]
    cycle: int = WEEK

    @property
    def begin(self) -> int:
        """The time at which cycle 0 begins, in microseconds."""
        return MONDAY if self.cycle % WEEK == 0 else 0

    def numbers(self, times: np.ndarray) -> np.ndarray:
        """Return the number of each time on the grid, or `OFF`."""
        cycles, within = np.divmod(_whole(times) - self.begin, self.cycle)
        offsets = np.array(self.offsets)
        place = np.searchsorted(offsets, within).clip(0, len(offsets) - 1)
        return np.where(offsets[place] == within, cycles * len(offsets) + place, OFF)

    def times(self, numbers: np.ndarray) -> np.ndarray:
        """Return the times with these numbers."""
        cycles, place = np.divmod(numbers, len(self.offsets))
        return (self.begin + cycles * self.cycle + np.array(self.offsets)[place]).astype("datetime64[us]")

    def fitted(self, times: np.ndarray) -> Slots:
        """Shift the grid to the times of a series."""
        # Daily times may be written with any hour, so they are shifted; opening hours are not.
        if self.base != DAY:
            return self
        moved = _most_common(_whole(times) % DAY) - self.offsets[0] % DAY
        return dataclasses.replace(self, offsets=tuple(offset + moved for offset in self.offsets))

    def steps_in(self, seconds: float) -> int | None:
        """Return the number of steps in which `seconds` pass."""
        span = round(seconds * SECOND)
        if span % self.cycle == 0 or span > 10 * self.cycle:
            return round(span / self.cycle * len(self.offsets))
        # The most common number of steps from a time to the time a span later: for a day, its number of working hours.
        numbers = np.arange(len(self.offsets))
        ahead = self.numbers(self.times(numbers) + np.timedelta64(span, "us"))
        apart = (ahead - numbers)[ahead != OFF]
        return _most_common(apart) if len(apart) * 2 >= len(numbers) else None

    @property
    def step_seconds(self) -> float | None:
        """The time from one step to the next within a run of times."""
        return self.base / SECOND

    def __str__(self) -> str:
        return f"{count_of(self.base)}, {slots_in_words(self.offsets, self.cycle, self.base)}"


@dataclass(frozen=True)
class Months(Grid):
    """One time in each month, in every `size`-th month, or in some months of the year.

    Args:
        size: months from one time to the next; 1 if `of_year` is given.
        day: the day of the month, or the last day if a month has fewer; `FIRST_WORKING_DAY` or `LAST_WORKING_DAY`
            (Monday to Friday).
        hour: microseconds after midnight.
        of_year: the months of the year that the grid has, 1 to 12, increasing; empty for all.
        begin: the number of the first month since January 1970 that the grid has, 0 to size - 1.
    """

    size: int
    day: int = 1
    hour: int = 0
    of_year: tuple[int, ...] = ()
    begin: int = 0

    def numbers(self, times: np.ndarray) -> np.ndarray:
        """Return the number of each time on the grid, or `OFF`."""
        months = months_of(times)
        right = day_in(months, self.day) + np.timedelta64(self.hour, "us") == times
        if self.of_year:
            years, month = np.divmod(months, 12)
            here = np.array(self.of_year) - 1
            place = np.searchsorted(here, month).clip(0, len(here) - 1)
            return np.where(right & (here[place] == month), years * len(here) + place, OFF)
        steps, beside = np.divmod(months - self.begin, self.size)
        return np.where(right & (beside == 0), steps, OFF)

    def times(self, numbers: np.ndarray) -> np.ndarray:
        """Return the times with these numbers."""
        if self.of_year:
            years, place = np.divmod(numbers, len(self.of_year))
            months = years * 12 + np.array(self.of_year)[place] - 1
        else:
            months = self.begin + numbers * self.size
        return day_in(months, self.day) + np.timedelta64(self.hour, "us")

    def fitted(self, times: np.ndarray) -> Months:
        """Shift the grid to the times of a series."""
        begin = _most_common(months_of(times) % self.size)
        mine = dataclasses.replace(self, begin=begin)
        days = days_of_months(times)
        if (mine.numbers(times) != OFF).all() or days is None:
            return mine
        return dataclasses.replace(mine, day=days, hour=_most_common(_whole(times) % DAY))

    def steps_in(self, seconds: float) -> int | None:
        """Return the number of steps in which `seconds` pass."""
        years = seconds / (365.25 * 86_400)
        return round(years * (len(self.of_year) or 12 / self.size))

    @property
    def step_seconds(self) -> float | None:
        """The mean time from one step to the next, if `of_year` is empty."""
        return self.size * 365.25 / 12 * 86_400

    def __str__(self) -> str:
        words = f"{self.size} month{'s' * (self.size != 1)}"
        return words + (f", of each year {', '.join(map(str, self.of_year))}" if self.of_year else "")


FIRST_WORKING_DAY, LAST_WORKING_DAY = 0, -1


def months_of(times: np.ndarray) -> np.ndarray:
    """Return (T,) int64, the months since January 1970."""
    return times.astype("datetime64[M]").astype(np.int64)


def day_in(months: np.ndarray, day: int) -> np.ndarray:
    """Return (T,) datetime64[us], the day of each month that `day` means, as in `Months`."""
    first, behind = (each.astype("datetime64[M]").astype("datetime64[D]") for each in (months, months + 1))
    if day == FIRST_WORKING_DAY:
        found = np.busday_offset(first, 0, roll="forward")
    elif day == LAST_WORKING_DAY:
        found = np.busday_offset(behind, -1, roll="forward")
    else:
        found = np.minimum(first + np.timedelta64(day - 1, "D"), behind - np.timedelta64(1, "D"))
    return found.astype("datetime64[us]")


def days_of_months(times: np.ndarray) -> int | None:
    """Find the `Months.day` that all times have; None if they have no common day, or not all the same hour."""
    hours = _whole(times) % DAY
    if not len(times) or (hours != hours[0]).any():
        return None
    days, months = times.astype("datetime64[D]").astype("datetime64[us]"), months_of(times)
    highest = int(((days - day_in(months, 1)) // np.timedelta64(DAY, "us")).max()) + 1
    # If all are the last day of a month, so are those to come, unless all are the 28th of a February.
    choices = [31, highest] if highest > 28 else [highest]
    if len(times) > 2:
        choices += [FIRST_WORKING_DAY, LAST_WORKING_DAY]
    return next((day for day in choices if (day_in(months, day) == days).all()), None)


def grid_from_dict(content: Mapping[str, Any]) -> Grid:
    """Make a grid from what `Grid.to_dict` returned; KeyError, TypeError or ValueError for anything else."""
    kind = {"Every": Every, "Slots": Slots, "Months": Months}[content["kind"]]
    values: dict[str, Any] = {name: value for name, value in content.items() if name != "kind"}
    lists = {name: tuple[Any, ...](values[name]) for name in ("offsets", "of_year") if name in values}
    values |= lists
    grid = kind(**values)
    numbers = [each for name, value in values.items() for each in lists.get(name, (value,))]
    sizes = [getattr(grid, name, 1) for name in ("size", "base", "cycle")]
    if not all(isinstance(number, int) for number in numbers) or min(sizes) < 1 or getattr(grid, "offsets", 1) == ():
        raise ValueError(f"{content} is no grid")
    return grid


def _whole(times: np.ndarray) -> np.ndarray:
    return (times.astype("datetime64[us]") if times.dtype.kind == "M" else times).astype(np.int64)


def _most_common(numbers: np.ndarray) -> int:
    values, counts = np.unique(numbers, return_counts=True)
    return int(values[counts.argmax()])
