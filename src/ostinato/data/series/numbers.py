"""Numbers as tables write them: with thousands separators, a decimal comma, units, and words for missing numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

MISSING_WORDS = ("", "na", "n/a", "#n/a", "nan", "null", "none", "-", "--", "\u2013", "\u2014", "?", ".", "..", "...")
_SPACES = " \u00a0\u2009\u202f"
_UNITS = re.compile(
    rf"(?:(?P<minus>[\-\u2212]?)[{_SPACES}]*(?P<before>[$€£¥₩₹]))?[{_SPACES}]*(?P<number>[+\-\u2212]?[\d.,'\u2019{_SPACES}]*\d(?:[eE][+\-]?\d+)?[.,]?)"
    rf"[{_SPACES}]*(?P<after>[$€£¥₩₹%])?"
)
_GROUPED = {
    mark: re.compile(
        rf"[+\-]?\d{{1,3}}(?:(?P<mark>[{others}'\u2019{_SPACES}])\d{{3}}(?:(?P=mark)\d{{3}})*)?(?:{sign}\d*)?"
    )
    for mark, sign, others in ((".", r"\.", ","), (",", ",", "."))
}


def is_numeric(column: polars.Series) -> bool:
    """Tell whether a column holds numbers: by its type, or because at least half of its texts, if not missing, are."""
    with needed():
        import polars

    if column.dtype != polars.String:
        return column.dtype.is_numeric()
    there = _there(column).drop_nulls()
    if not len(there):
        return False
    plain = int(there.cast(polars.Float64, strict=False).is_not_null().sum())
    if plain * 2 < len(there):
        odd = there.filter(there.cast(polars.Float64, strict=False).is_null())
        plain += sum(any(_value(cell, mark) is not None for mark in ".,") for cell in odd.to_list())
    return plain * 2 >= len(there)


def read_numbers(
    path: str | Path,
    table: polars.DataFrame,
    names: Sequence[str],
    *,
    decimal: str | None = None,
    separator: str | None = None,
    hint: str = "",
    before: int = 0,
) -> np.ndarray:
    """Read the numbers of columns: (T, len(names)) float64, NaN where missing.

    Args:
        path: The path of the table, for messages.
        table: A table with columns of numbers or texts.
        names: The names of the columns.
        decimal: The decimal sign, "." or ","; None to find it by `decimal_sign`.
        separator: The separator of the cells, in a table of text.
        hint: The end of the message about a cell that is no number.
        before: How many rows of the file come before these, for messages.

    Raises:
        DataError: A cell is no number, or 1,003 could be two; the message names it.
    """
    with needed():
        import polars

    columns: dict[str, polars.Series] = {}
    for name in names:
        kind = table[name].dtype
        if not kind.is_numeric() and not isinstance(kind, polars.String | polars.Boolean | polars.Null):
            raise DataError(f"{path}: expected numbers in column {name!r}, got {kind}")
        columns[name] = _there(table[name]) if kind == polars.String else table[name]
    sign = decimal or decimal_sign(path, table, names, separator=separator) or "."
    return np.stack([_numbers(path, name, column, sign, hint, before) for name, column in columns.items()], axis=1)


def _there(column: polars.Series) -> polars.Series:
    """Strip the cells, and replace words for a missing number by null."""
    with needed():
        import polars

    bare = column.str.strip_chars()
    return polars.select(
        polars.when(bare.str.to_lowercase().is_in(MISSING_WORDS)).then(None).otherwise(bare)
    ).to_series()


def _numbers(path: str | Path, name: str, column: polars.Series, sign: str, hint: str, before: int) -> np.ndarray:
    with needed():
        import polars

    plain = column
    if column.dtype == polars.String and sign == ",":
        # A point is then no decimal sign, though a cast to float would take it as one.
        plain = polars.select(
            polars.when(column.str.contains(".", literal=True)).then(None).otherwise(column)
        ).to_series()
    if column.dtype == polars.String and column.str.to_lowercase().is_in(["true", "false"]).all():
        plain = column.str.to_lowercase() == "true"
    numbers = plain.cast(polars.Float64, strict=False)
    found = numbers.fill_null(float("nan")).to_numpy().copy()
    units: dict[str, int] = {}
    rows = (numbers.is_null() & column.is_not_null()).arg_true().to_list()
    for row in rows:
        value = _value(str(column[row]), sign)
        if value is None:
            raise _wrong(path, name, before + row, column[row], hint)
        found[row] = value[0]
        units.setdefault(value[1], row)
    if len(units) > 1 or (any(units) and len(rows) < column.len() - column.null_count()):
        row = next(row for unit, row in units.items() if unit)
        raise DataError(
            f"{path}, row {before + row + 1} after the header: column {name!r} has {column[row]!r} beside numbers of another unit; "
            "write all in one unit"
        )
    if np.isinf(found).any():
        row = int(np.isinf(found).argmax())
        raise _wrong(path, name, before + row, column[row], hint)
    return found


def _wrong(path: str | Path, name: str, row: int, cell: object, hint: str) -> DataError:
    return DataError(
        f"{path}, row {row + 1} after the header: expected a number in column {name!r}, got {cell!r}; "
        f"leave the cell empty where it is missing{hint}"
    )


def _value(cell: str, sign: str) -> tuple[float, str] | None:
    """Return the number in a cell and its unit; None if it is no number with this decimal sign."""
    found = _UNITS.fullmatch(cell)
    if found is None or (found["before"] and found["after"]):
        return None
    text = ((found["minus"] or "") + found["number"]).replace("\u2212", "-")
    bare, _, exponent = text.lower().partition("e")
    grouped = _GROUPED[sign].fullmatch(bare)
    if grouped is not None:
        bare = bare.replace(grouped["mark"] or "'", "")
    elif "." in bare and sign == ",":
        return None
    try:
        return float(bare.replace(sign, ".") + ("e" + exponent if exponent else "")), found["before"] or found[
            "after"
        ] or ""
    except ValueError:
        return None


def decimal_sign(
    path: str | Path,
    table: polars.DataFrame,
    names: Sequence[str],
    *,
    separator: str | None = None,
    usual: str | None = None,
    hint: str = ", or say which sign it is with --reading.decimal",
) -> str | None:
    """Find out whether the decimal sign is a comma or a point, by the cells that can be read in one way only.

    Args:
        path: The path of the table, for messages.
        table: A table with columns of numbers or texts.
        names: The names of its columns of numbers.
        separator: The separator of the cells, in a table of text.
        usual: The sign if no cell decides it, such as that of training; None if there is none.
        hint: The end of the message that cells disagree.

    Returns:
        "." or ","; None if no text has either and `usual` is None.

    Raises:
        DataError: Cells disagree; or no cell decides, and one such as 1,003 may be read in both ways.
    """
    with needed():
        import polars

    told: dict[str, str] = {}
    either: str | None = None
    for column in (_there(table[name]) for name in names if table[name].dtype == polars.String):
        marked = column.filter(column.str.contains("[.,]").fill_null(False)).unique(maintain_order=True)
        pointed = not marked.str.contains(r",|\..*\.").any()
        for cell in marked.to_list():
            signs = [mark for mark in ".," if _value(cell, mark) is not None]
            if len(signs) == 1:
                told.setdefault(signs[0], cell)
                if pointed:  # the other cells cannot decide otherwise
                    break
            elif signs and (either is None or "," in cell):
                either = cell if either is None or "," not in either else either
        if len(told) > 1:
            raise DataError(
                f"{path}: {told['.']!r} has a decimal point, but {told[',']!r} a decimal comma; write numbers in one way{hint}"
            )
    if told or usual is not None or either is None:
        return next(iter(told), usual)
    # If commas separate the cells, a comma within a number is hardly a decimal sign.
    if "," in either and separator != ",":
        raise DataError(
            f"{path}: {either!r} may be {either.replace(',', '.')} or {either.replace(',', '')}, and no other cell tells; say "
            "which sign comes before the decimals with --reading.decimal , or --reading.decimal ."
        )
    return "."
