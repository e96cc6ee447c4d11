"""Tables for a terminal, as text and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def make_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, words: int = 1) -> Table:
    """Make a table for `rich.print`; numbers are short and aligned to the right.

    Args:
        title: the title above the table.
        columns: the names of the columns, with units.
        rows: the rows, with one cell for each column.
        words: how many columns, from the left, hold words and are aligned to the left.
    """
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for at, name in enumerate(columns):
        table.add_column(name, justify="left" if at < words else "right", overflow="fold")
    for row in rows:
        table.add_row(*(short(cell) for cell in row))
    return table


def short(value: Any) -> str:
    """The text of a value in a table: three digits, with commas between thousands."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if math.isfinite(value) else str(value)


def text_of(*tables: Table, width: int = 110) -> str:
    """The tables as a terminal of this width shows them, without colours."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, force_jupyter=False)
    for table in tables:
        console.print(table)
    file: Any = console.file
    return file.getvalue().rstrip("\n")


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV text: a line of names, then a line for each row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
