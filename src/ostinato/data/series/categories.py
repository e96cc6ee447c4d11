"""Covariates that are words: each word in the training data becomes a column of 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.data.series.numbers import MISSING_WORDS, is_numeric
from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

MOST_WORDS = 500  # different words of a column; with more it holds texts or names, not categories
FEW_WORDS = 50  # up to so many different words are categories even if hardly any occurs twice


@dataclass(frozen=True)
class Expanded:
    """Columns as a model reads them.

    Attributes:
        names: (K,) the names of the columns: "price", "weather=rain".
        words: For each column of words, its words.
        table: A table with these columns as numbers.
    """

    names: tuple[str, ...]
    words: dict[str, tuple[str, ...]]
    table: polars.DataFrame


def expanded(
    path: str | Path,
    table: polars.DataFrame,
    names: Sequence[str],
    like: Mapping[str, Sequence[str]] | None,
    notes: list[str],
    rows: int | None = None,
) -> Expanded:
    """Replace each column of words by a column of 0 and 1 for each word; columns of numbers stay.

    Where a word is missing, all its columns are.

    Args:
        path: The path of the table, for messages.
        table: The table with the columns.
        names: The names of the covariates.
        like: The words of each column in training; None if this is the training data.
        notes: Gets a line about words that training never had; all their columns are 0.
        rows: How many rows the words were collected from; None for the rows of the table.

    Raises:
        DataError: A column has more different words than categories can have.
    """
    with needed():
        import polars

    found: list[str] = []
    words: dict[str, tuple[str, ...]] = {}
    for name in names:
        column = table[name]
        if like is None:
            is_words = isinstance(column.dtype, polars.String | polars.Categorical | polars.Enum) and not is_numeric(
                column.cast(polars.String)
            )
        else:
            is_words = name in like
        cells = [word_of(cell) for cell in column.to_list()] if is_words else []
        there = sorted({cell for cell in cells if cell is not None})
        if not there and (like is None or not is_words):
            found.append(name)
            continue
        words[name] = tuple(there if like is None else like[name])
        # Many words of which few occur twice are texts, not categories.
        are_texts = like is None and len(there) > FEW_WORDS and 2 * len(there) > (rows or len(cells))
        if len(words[name]) > MOST_WORDS or are_texts:
            raise DataError(
                f"{path}: covariate {name!r} has {len(there)} different words, such as {there[0]!r}; expected numbers, or at most "
                f"{MOST_WORDS} words that are kinds of something"
            )
        if strange := [word for word in there if word not in words[name]]:
            notes.append(
                f"{path}: training never had {', '.join(map(repr, strange[:5]))} in column {name!r}: read as none of its words"
            )
        for word in words[name]:
            values = [None if cell is None else float(cell == word) for cell in cells]
            table = table.with_columns(polars.Series(f"{name}={word}", values, dtype=polars.Float64))
            found.append(f"{name}={word}")
    return Expanded(tuple(found), words, table)


def word_of(cell: object) -> str | None:
    """Return the word in a cell; None if it is missing."""
    text = "" if cell is None else str(cell).strip()
    return None if text.lower() in MISSING_WORDS else text
