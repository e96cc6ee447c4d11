"""Tables for a terminal, and the same as text and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def make_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, words: int = 1) -> Table:
    """A table for `rich.print`; numbers are short and stand to the right.

    Args:
        title: above it.
        columns: their names, with units.
        rows: as many cells each.
        words: columns at the left that hold words, and stand to the left.
    """
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for at, name in enumerate(columns):
        table.add_column(name, justify="left" if at < words else "right", overflow="fold")
    for row in rows:
        table.add_row(*(short(cell) for cell in row))
    return table


def short(value: Any) -> str:
    """As a cell of a table shows it: three digits, thousands apart."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if math.isfinite(value) else str(value)


def text_of(*tables: Table, width: int = 110) -> str:
    """What a terminal of this width would show, without colours."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, force_jupyter=False)
    for table in tables:
        console.print(table)
    file: Any = console.file
    return file.getvalue().rstrip("\n")


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Lines of values, after one of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
