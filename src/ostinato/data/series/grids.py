"""Which times a series has: equal steps, months, or the same times of each day or week; their numbers, and those that follow.

A grid numbers its times with whole numbers without a gap, so that what a table leaves out is told from what the grid never has.
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
MONDAY = 4 * DAY  # 1970-01-05, behind the beginning of times
OFF = -(2**62)  # the number of a time that a grid does not have


class Grid(ABC):
    """Times that can be numbered: datetime64[us], or int64 where steps are counted."""

    @abstractmethod
    def numbers(self, times: np.ndarray) -> np.ndarray:
        """(T,) int64: which of its times each is; `OFF` for those that it does not have."""

    @abstractmethod
    def times(self, numbers: np.ndarray) -> np.ndarray:
        """(T,): the inverse."""

    @abstractmethod
    def fitted(self, times: np.ndarray) -> Grid:
        """The same grid, begun as a series begins: weeks on its weekday, hours at its minute, months on its day.

        Args:
            times: (T,), increasing; T at least 1.
        """

    @abstractmethod
    def steps_in(self, seconds: float) -> int | None:
        """After how many steps so much time has passed; None where the grid cannot tell."""

    @property
    @abstractmethod
    def step_seconds(self) -> float | None:
        """From one step to the next, where nothing lies between; None where steps have no length."""

    @abstractmethod
    def __str__(self) -> str:
        """As a person says it: "1 hour", "1 day, Monday to Friday"."""

    def after(self, last: Any, count: int) -> np.ndarray:
        """The `count` times behind one of its times: (count,)."""
        return self.times(self.numbers(np.array([last]))[0] + np.arange(1, count + 1))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": type(self).__name__, **dataclasses.asdict(self)}  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Every(Grid):
    """Equal steps.

    Args:
        size: microseconds from one to the next, or whole numbers where `dated` is false; at least 1.
        begin: one of its times, as a whole number.
        dated: whether its times are dates.
    """

    size: int
    begin: int = 0
    dated: bool = True

    def numbers(self, times: np.ndarray) -> np.ndarray:
        """Which of its times each is, or `OFF`."""
        steps, beside = np.divmod(_whole(times) - self.begin, self.size)
        return np.where(beside == 0, steps, OFF)

    def times(self, numbers: np.ndarray) -> np.ndarray:
        """The inverse of `numbers`."""
        found = self.begin + numbers * self.size
        return found.astype("datetime64[us]") if self.dated else found

    def fitted(self, times: np.ndarray) -> Every:
        """Begun as a series begins."""
        return dataclasses.replace(self, begin=_most_common(_whole(times) % self.size))

    def steps_in(self, seconds: float) -> int | None:
        """After how many steps so much time has passed."""
        return round(seconds * SECOND / self.size) if self.dated else None

    @property
    def step_seconds(self) -> float | None:
        """From one step to the next."""
        return self.size / SECOND if self.dated else None

    def __str__(self) -> str:
        return count_of(self.size) if self.dated else str(self.size)


@dataclass(frozen=True)
class Slots(Grid):
    """The same times in each day, week or other cycle: working days, opening hours.

    Args:
        base: microseconds; all its times are multiples of it apart.
        offsets: where in a cycle its times are, microseconds, increasing; at least one.
        cycle: microseconds, days or weeks. A cycle of whole weeks begins on a Monday.
    """

    base: int
    offsets: tuple[int, ...]
    cycle: int = WEEK

    @property
    def begin(self) -> int:
        """Where a cycle begins, microseconds."""
        return MONDAY if self.cycle % WEEK == 0 else 0

    def numbers(self, times: np.ndarray) -> np.ndarray:
        """Which of its times each is, or `OFF`."""
        cycles, within = np.divmod(_whole(times) - self.begin, self.cycle)
        offsets = np.array(self.offsets)
        place = np.searchsorted(offsets, within).clip(0, len(offsets) - 1)
        return np.where(offsets[place] == within, cycles * len(offsets) + place, OFF)

    def times(self, numbers: np.ndarray) -> np.ndarray:
        """The inverse of `numbers`."""
        cycles, place = np.divmod(numbers, len(self.offsets))
        return (self.begin + cycles * self.cycle + np.array(self.offsets)[place]).astype("datetime64[us]")

    def fitted(self, times: np.ndarray) -> Slots:
        """Begun as a series begins."""
        # What is there by day may be written at any hour; opening hours are what they are.
        if self.base != DAY:
            return self
        moved = _most_common(_whole(times) % DAY) - self.offsets[0] % DAY
        return dataclasses.replace(self, offsets=tuple(offset + moved for offset in self.offsets))

    def steps_in(self, seconds: float) -> int | None:
        """After how many steps so much time has passed."""
        span = round(seconds * SECOND)
        if span % self.cycle == 0 or span > 10 * self.cycle:
            return round(span / self.cycle * len(self.offsets))
        # As many as most of its times have to the same time a span later: of working hours, the hours of a day.
        numbers = np.arange(len(self.offsets))
        ahead = self.numbers(self.times(numbers) + np.timedelta64(span, "us"))
        apart = (ahead - numbers)[ahead != OFF]
        return _most_common(apart) if len(apart) * 2 >= len(numbers) else None

    @property
    def step_seconds(self) -> float | None:
        """From one step to the next."""
        return self.base / SECOND

    def __str__(self) -> str:
        return f"{count_of(self.base)}, {slots_in_words(self.offsets, self.cycle, self.base)}"


@dataclass(frozen=True)
class Months(Grid):
    """A time a month, or every so many months, or in some months of the year.

    Args:
        size: months from one to the next; 1 where `of_year` says which.
        day: of the month, the last where a month has fewer; `FIRST_WORKING_DAY` or `LAST_WORKING_DAY` (Monday to Friday).
        hour: microseconds behind midnight.
        of_year: the months that it has, 1 to 12, increasing; empty for all.
        begin: one of its months, 0 to size - 1.
    """

    size: int
    day: int = 1
    hour: int = 0
    of_year: tuple[int, ...] = ()
    begin: int = 0

    def numbers(self, times: np.ndarray) -> np.ndarray:
        """Which of its times each is, or `OFF`."""
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
        """The inverse of `numbers`."""
        if self.of_year:
            years, place = np.divmod(numbers, len(self.of_year))
            months = years * 12 + np.array(self.of_year)[place] - 1
        else:
            months = self.begin + numbers * self.size
        return day_in(months, self.day) + np.timedelta64(self.hour, "us")

    def fitted(self, times: np.ndarray) -> Months:
        """Begun as a series begins."""
        begin = _most_common(months_of(times) % self.size)
        mine = dataclasses.replace(self, begin=begin)
        days = days_of_months(times)
        if (mine.numbers(times) != OFF).all() or days is None:
            return mine
        return dataclasses.replace(mine, day=days, hour=_most_common(_whole(times) % DAY))

    def steps_in(self, seconds: float) -> int | None:
        """After how many steps so much time has passed."""
        years = seconds / (365.25 * 86_400)
        return round(years * (len(self.of_year) or 12 / self.size))

    @property
    def step_seconds(self) -> float | None:
        """From one step to the next."""
        return self.size * 365.25 / 12 * 86_400

    def __str__(self) -> str:
        words = f"{self.size} month{'s' * (self.size != 1)}"
        return words + (f", of each year {', '.join(map(str, self.of_year))}" if self.of_year else "")


FIRST_WORKING_DAY, LAST_WORKING_DAY = 0, -1


def months_of(times: np.ndarray) -> np.ndarray:
    """(T,) int64: months since January 1970."""
    return times.astype("datetime64[M]").astype(np.int64)


def day_in(months: np.ndarray, day: int) -> np.ndarray:
    """(T,) datetime64[us]: a day of each month, as `Months.day` says it."""
    first, behind = (each.astype("datetime64[M]").astype("datetime64[D]") for each in (months, months + 1))
    if day == FIRST_WORKING_DAY:
        found = np.busday_offset(first, 0, roll="forward")
    elif day == LAST_WORKING_DAY:
        found = np.busday_offset(behind, -1, roll="forward")
    else:
        found = np.minimum(first + np.timedelta64(day - 1, "D"), behind - np.timedelta64(1, "D"))
    return found.astype("datetime64[us]")


def days_of_months(times: np.ndarray) -> int | None:
    """Which day of each month the times are, as `Months.day` says it; None if that is no one day, or none at one hour."""
    hours = _whole(times) % DAY
    if not len(times) or (hours != hours[0]).any():
        return None
    days, months = times.astype("datetime64[D]").astype("datetime64[us]"), months_of(times)
    highest = int(((days - day_in(months, 1)) // np.timedelta64(DAY, "us")).max()) + 1
    # All at the end of their months: so are those to come, unless they are Februaries only, on the 28th.
    choices = [31, highest] if highest > 28 else [highest]
    if len(times) > 2:
        choices += [FIRST_WORKING_DAY, LAST_WORKING_DAY]
    return next((day for day in choices if (day_in(months, day) == days).all()), None)


def grid_from_dict(content: Mapping[str, Any]) -> Grid:
    """The inverse of `Grid.to_dict`; KeyError, TypeError or ValueError for what it cannot be."""
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
