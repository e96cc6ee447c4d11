"""Static columns, whose values stay the same within a series: the kind of a shop, the size of a house."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ostinato.data.series.categories import MOST_WORDS
from ostinato.data.series.columns import INDEX_NAMES, TIME_NAMES, Columns
from ostinato.data.series.numbers import is_numeric
from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

_MOST_LISTED = 8


def with_static(
    path: str | Path,
    table: polars.DataFrame,
    columns: Columns,
    wanted: Sequence[str] | None,
    named_values: Sequence[str] | None,
    notes: list[str],
    is_static: Callable[[str], bool] | None = None,
) -> Columns:
    """Add the static columns to the roles of columns.

    Args:
        path: The path of the table, for messages.
        table: The table with the columns.
        columns: The roles so far.
        wanted: Columns that are static; None to find those that have one value in each of several series, not the same
            in all.
        named_values: The columns that the user named to be forecast; other columns to forecast may become static
            instead.
        notes: Gets a line if columns were found.
        is_static: Tells whether a column is static, if `table` is only a part of the table; None to look into `table`.
    """
    if wanted is not None:
        return dataclasses.replace(columns, static=tuple(wanted))
    if columns.id is None:
        return columns
    id = columns.id
    free = may_be_static(table, columns, named_values)
    found = [name for name in free if (_is_static(table, id, name) if is_static is None else is_static(name))]
    left = tuple(name for name in columns.values if name not in found)
    if not found or not left:
        return columns
    shown = ", ".join(found[:_MOST_LISTED]) + (", ..." if len(found) > _MOST_LISTED else "")
    notes.append(f"{path}: has one value for each series in {shown}: read as what tells them apart (--reading.static)")
    return dataclasses.replace(columns, values=left, static=tuple(found))


def may_be_static(table: polars.DataFrame, columns: Columns, named_values: Sequence[str] | None) -> list[str]:
    """Return the columns of numbers or words that the user named for no other role."""
    taken = {columns.time, columns.id, *columns.known, *columns.observed, *(named_values or ())}
    return [name for name in table.columns if name not in taken and _may_be(name, table[name])]


def _may_be(name: str, column: polars.Series) -> bool:
    with needed():
        import polars

    is_named = name.lower() in TIME_NAMES or INDEX_NAMES.fullmatch(name.lower()) is not None
    return not is_named and (
        column.dtype.is_numeric() or isinstance(column.dtype, polars.String | polars.Categorical | polars.Enum)
    )


def _is_static(table: polars.DataFrame, id: str, name: str) -> bool:
    with needed():
        import polars

    pairs = table.select(polars.col(id).cast(polars.String), polars.col(name)).drop_nulls()
    apart = pairs.unique()
    series = pairs[id].n_unique()
    if apart.height != series or pairs.height == series:
        return False
    return tells_apart(table[name], series, pairs[name].n_unique())


def tells_apart(column: polars.Series, series: int, values: int) -> bool:
    """Tell whether a column with one value for each series, `values` different ones in all, describes the series."""
    with needed():
        import polars

    if series < 2 or values < 2:
        return False
    # If each series has its own word, the words are only further names of the series.
    return is_numeric(column.cast(polars.String)) or values <= min(MOST_WORDS, series - 1)


def static_of(path: str | Path, series: str, names: Sequence[str], content: np.ndarray) -> np.ndarray:
    """Return the value of each static column in a series, (F,); NaN if it has none.

    Args:
        path: The path of the table, for messages.
        series: The name of the series.
        names: (F,) the names of the columns.
        content: (T, F) the values, NaN where missing.

    Raises:
        DataError: A column has several different values.
    """
    found = np.full(len(names), np.nan)
    for at, name in enumerate(names):
        there = content[~np.isnan(content[:, at]), at]
        if len(there) and (there != there[0]).any():
            other = there[there != there[0]][0]
            what = f"{there[0]:g} and {other:g}" if "=" not in name else f"{name.partition('=')[2]!r} and others"
            raise DataError(
                f"{path}: column {name.partition('=')[0]!r} is to stay the same in a series, but {series!r} has {what}; name it "
                "with --reading.known where it changes"
            )
        found[at] = there[0] if len(there) else np.nan
    return found
