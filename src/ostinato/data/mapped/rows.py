"""Rows of a table as numbers: their series, times and columns. Equal cells are parsed only once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ostinato.data.mapped.survey import Roles, id_of, is_empty
from ostinato.data.series.categories import FEW_WORDS, MOST_WORDS, word_of
from ostinato.data.series.columns import Columns, read_times
from ostinato.data.series.numbers import decimal_sign, is_numeric, read_numbers
from ostinato.data.series.times import Form, Times, zone_offsets
from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

MISSING, UNKNOWN = -1.0, -2.0  # the codes of a missing word, and of a word that training never had


@dataclass
class RowNumbers:
    """Numbers of N rows.

    Attributes:
        series: (N,) int64, the index of the series.
        moments: (N,) datetime64[us] or int64, the time.
        offsets: (N,) int64, microseconds that the local time is ahead of UTC; None if times have no zone.
        columns: (N, C) float64: values, then known, then observed columns; a column of words has their codes.
    """

    series: np.ndarray
    moments: np.ndarray
    offsets: np.ndarray | None
    columns: np.ndarray


@dataclass
class RowReader:
    """Reader of rows, part by part, which meanwhile collects the words and finds out how times are written.

    Args:
        path: The path of the table.
        roles: What was found out about its columns from a sample.
        columns: The role of each column.
        ids: The names of the series, in order.
        decimal: The decimal sign, "." or ","; None to find it.
        separator: The separator of the cells, in a table of text.

    Attributes:
        words: For each column of words, its words in the order of first appearance, with their codes.
        strange: For each column of words, words that training never had.
        form: How times are written.
        zone: The name of the time zone.
        sign: The decimal sign; None if it is not known so far.
        day_first: Whether 1/2/2024 is in February; None if days are not written in this way.
    """

    path: str
    roles: Roles
    columns: Columns
    ids: polars.Series
    decimal: str | None
    separator: str | None
    words: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    strange: dict[str, dict[str, None]] = field(default_factory=dict[str, dict[str, None]])
    form: Form | None = None
    zone: str | None = None
    sign: str | None = None
    day_first: bool | None = None

    def __post_init__(self):
        with needed():
            import polars

        sample, like = self.roles.sample, self.roles.asked.like
        names = (*self.columns.known, *self.columns.observed)
        for name in names:
            if like is not None:
                if name in like.words:
                    self.words[name] = {word: at for at, word in enumerate(like.words[name])}
            elif isinstance(sample[name].dtype, polars.String | polars.Categorical | polars.Enum) and not is_numeric(
                sample[name].cast(polars.String)
            ):
                self.words[name] = {}
        self._like, self._are_words = like, tuple(self.words)
        self._numbers = [name for name in (*self.columns.values, *names) if name not in self.words]
        self._order = [*self.columns.values, *names]
        usual = None if like is None else like.decimal
        self.sign = self.decimal or decimal_sign(
            self.path, sample, self._numbers, separator=self.separator, usual=usual
        )
        self._ids = polars.Enum(self.ids.cast(polars.String)) if self.columns.id is not None else None
        self._hint = "" if self.roles.named is not None else ", or name the columns to forecast with --reading.values"
        self._counts_up = False
        self._with_zone: bool | None = None  # whether all times have a zone, or none

    def look_at_times(self, parts: Sequence[Path]) -> None:
        """Find out how times are written, from the sample or, if it is not enough, from all rows.

        Raises:
            DataError: No row decides which is the day and which is the month.
        """
        with needed():
            import polars

        name = self.columns.time
        if name is None:
            return
        self.day_first = None if self._like is None else self._like.day_first
        cells = self.roles.sample[name].drop_nulls().unique(maintain_order=True)
        if cells.dtype == polars.String:
            cells = cells.filter(cells.str.strip_chars() != "")
        try:
            times = self._unique_times(cells, self.path, 0)
        except DataError as error:
            if "does not tell the day" not in str(error):
                times = self._right_ones(cells)
                if times is None:
                    raise
                self._told_by(times)
                return  # reading all rows will name the row of the wrong time
            all_of_them = [polars.scan_parquet(part, glob=False).select(name).unique() for part in parts]
            cells = polars.concat(all_of_them, how="vertical_relaxed").unique().collect(engine="streaming").to_series()
            times = self._unique_times(cells.drop_nulls(), self.path, 0)
        self._told_by(times)

    def _told_by(self, times: Times) -> None:
        self.day_first, self._counts_up = times.day_first, times.form.kind == "number"
        self._with_zone = times.offsets is not None

    def _right_ones(self, cells: polars.Series) -> Times | None:
        """Return the times among cells, all with a zone or all without, as the first is; None if there is none."""
        right: list[bool] = []
        with_zone: bool | None = None
        for at in range(len(cells)):
            try:
                found = self._unique_times(cells.slice(at, 1), self.path, 0)
            except DataError as error:
                right.append("does not tell the day" in str(error) and not with_zone)
            else:
                with_zone = found.offsets is not None if with_zone is None else with_zone
                right.append((found.offsets is not None) == with_zone)
        found = cells.filter(right)
        return self._unique_times(found, self.path, 0) if len(found) else None

    def read(self, table: polars.DataFrame, file: str, before: int, counted: int) -> RowNumbers:
        """Read rows as numbers.

        Args:
            table: The rows.
            file: The name of their file, for messages.
            before: How many rows of the file come before them.
            counted: How many rows of all files come before them.

        Raises:
            DataError: A cell is no number or no time; the message has its file and row.
        """
        with needed():
            import polars

        if self.columns.time is not None:
            table = table.filter(~is_empty(table.schema))
        series = np.zeros(table.height, dtype=np.int64)
        if self._ids is not None and self.columns.id is not None:
            found = table.select(id_of(self.columns.id).cast(self._ids).to_physical()).to_series()
            series = found.cast(polars.Int64).to_numpy()
        moments, offsets = self._times(table, file, before, counted)
        if self.sign is None:
            self.sign = decimal_sign(file, table, self._numbers, separator=self.separator)
        content = np.empty((table.height, len(self._order)))
        numbers = [at for at, name in enumerate(self._order) if name not in self.words]
        if numbers:
            content[:, numbers] = read_numbers(
                file, table, self._numbers, decimal=self.sign or ".", hint=self._hint, before=before
            )
        for name in self._are_words:
            content[:, self._order.index(name)] = self._codes(table[name], name)
        return RowNumbers(series, moments, offsets, content)

    def _codes(self, column: polars.Series, name: str) -> np.ndarray:
        """Return the codes of the words in a column, (N,); a new word gets the next code."""
        with needed():
            import polars

        known = self.words[name]
        column = column.cast(polars.String)
        cells = column.unique()
        numbers: list[float] = []
        for cell in cells.to_list():
            word = word_of(cell)
            if word is not None and word not in known:
                if self._like is None:
                    known[word] = len(known)
                else:
                    self.strange.setdefault(name, {})[word] = None
            numbers.append(MISSING if word is None else float(known.get(word, UNKNOWN)))
        if len(known) > MOST_WORDS:
            raise DataError(
                f"{self.path}: covariate {name!r} has more than {MOST_WORDS} different words, such as {next(iter(known))!r}; "
                "expected numbers, or words that are kinds of something"
            )
        return column.replace_strict(cells, polars.Series(numbers), return_dtype=polars.Float64).to_numpy()

    def sorted_words(self, rows: int) -> tuple[dict[str, tuple[str, ...]], dict[str, np.ndarray]]:
        """Return for each column its words, sorted, and an array that maps the code of a word to its place among them.

        Args:
            rows: The rows of the table.

        Raises:
            DataError: A column has so many words that they must be texts.
        """
        words: dict[str, tuple[str, ...]] = {}
        places: dict[str, np.ndarray] = {}
        for name, known in self.words.items():
            came = list(known)
            if self._like is None and len(came) > FEW_WORDS and 2 * len(came) > rows:
                raise DataError(
                    f"{self.path}: covariate {name!r} has {len(came)} different words, such as {min(came)!r}; expected numbers, or "
                    f"at most {MOST_WORDS} words that are kinds of something"
                )
            order = sorted(range(len(came)), key=came.__getitem__) if self._like is None else list(range(len(came)))
            words[name] = tuple(came[at] for at in order)
            places[name] = np.argsort(order).astype(np.float64)
        return words, places

    # --- times ---

    def _times(
        self, table: polars.DataFrame, file: str, before: int, counted: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        with needed():
            import polars

        name = self.columns.time
        if name is None:
            return np.arange(counted, counted + table.height), None
        column = table[name]
        if self._counts_up:
            numbers = (
                column.str.strip_chars().cast(polars.Int64, strict=False) if column.dtype == polars.String else column
            )
            if (not column.dtype.is_integer() and numbers.has_nulls()) or column.has_nulls():
                self._blame(column, file, before)
            self._write_as(Form(kind="number", whole=True))
            return numbers.cast(polars.Int64).to_numpy(), None
        if isinstance(column.dtype, polars.Date) or (
            isinstance(column.dtype, polars.Datetime) and column.dtype.time_zone is None
        ):
            if column.has_nulls() or self._with_zone:
                self._blame(column, file, before)
            times = read_times(file, table, name)
            self._write_as(times.form)
            return times.moments, None
        cells = column.unique(maintain_order=True)
        times = self._unique_times(cells, file, before, column)
        if (times.offsets is not None) != self._with_zone:
            self._blame(column, file, before)
        self._write_as(times.form)
        self.zone = times.zone
        numbers = polars.Series(np.arange(len(cells)))
        at = column.replace_strict(cells, numbers, return_dtype=polars.Int64).to_numpy()
        return times.moments[at], None if times.offsets is None else times.offsets[at]

    def _unique_times(self, cells: polars.Series, file: str, before: int, column: polars.Series | None = None) -> Times:
        assert self.columns.time is not None
        cells = cells.unique(maintain_order=True)
        try:
            times = read_times(file, cells.to_frame(), self.columns.time, day_first=self.day_first)
            if self._like is not None and self._like.clock == "local" and self._like.zone and times.offsets is not None:
                offsets = zone_offsets(times.moments, self._like.zone)  # in the zone of training
                times = dataclasses.replace(times, offsets=offsets, zone=self._like.zone)
            return times
        except DataError:
            if column is None:
                raise
            self._blame(column, file, before)
            raise

    def _blame(self, column: polars.Series, file: str, before: int) -> None:
        """Raise a DataError that names the first row whose time cannot be read."""
        import polars

        name = column.name
        for row, cell in enumerate(column.to_list()):
            alone = polars.Series(name, [cell], dtype=column.dtype)
            what = "is empty; give every row a time" if cell is None or not str(cell).strip() else ""
            try:
                times = read_times(file, alone.to_frame(), name, day_first=self.day_first)
                right = (times.form.kind == "number") == self._counts_up
                if right and (times.offsets is not None) != self._with_zone:
                    right, others = False, "have one" if self._with_zone else "have none"
                    what = f"has {str(cell)!r}; expected a time zone in all times or in none, and others {others}"
            except DataError:
                right = False
            if not right:
                raise DataError(
                    f"{file}, row {before + row + 1} after the header: column {name!r} "
                    + (what or f"has {cell!r}; expected a time that is written as the others are")
                )

    def _write_as(self, form: Form) -> None:
        old = self.form
        if old is None:
            self.form = form
            return
        # The form of the last time counts, but a time at midnight is often written as a day alone.
        form = form if form.between or not old.between else old
        self.form = dataclasses.replace(form, padded=form.padded and old.padded)
