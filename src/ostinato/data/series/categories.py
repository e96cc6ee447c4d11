"""Covariates of words: a column of 0 and 1 for each word that training has."""

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

MOST_WORDS = 500  # of a column; more are texts or names, and no kinds
FEW_WORDS = 50  # that may be kinds even where hardly one comes again


@dataclass(frozen=True)
class Expanded:
    """Columns as a model reads them.

    Attributes:
        names: Of the columns, (K,): "price", "weather=rain".
        words: Of the columns of words, which there are.
        table: Has them as numbers.
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
    """Columns of numbers as they are, a column of words as one of 0 and 1 for each word; missing where the word is.

    Args:
        path: Of the table, for messages.
        table: Has the columns.
        names: Of the covariates.
        like: The words that training has; None for training itself.
        notes: Gets a line for words that training never had: all of their columns are 0.
        rows: That say the words; None for those of the table.

    Raises:
        DataError: A column has more words than kinds of something have.
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
        # Many words of which few come again are texts, and no kinds.
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
    """What a cell of words says; None for what is missing."""
    text = "" if cell is None else str(cell).strip()
    return None if text.lower() in MISSING_WORDS else text
