"""Show a measurement in a notebook: its tables, and its picture if matplotlib is installed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ostinato import notebook
from ostinato.errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


class ShownInNotebooks:
    """Base of classes with `tables()` or `table()`, and perhaps `plot()`: a notebook shows these, in light and dark themes."""

    def _repr_html_(self) -> str:
        own: Any = self
        tables: Sequence[Table] = own.tables() if hasattr(self, "tables") else [own.table()]
        drawn = picture_of(own.plot, str(tables[0].title or "")) if hasattr(self, "plot") else ""
        return notebook.piece(*map(html_of, tables), drawn)


def html_of(table: Table) -> str:
    """A table of rich as HTML, with all its rows."""
    words = next((at for at, column in enumerate(table.columns) if column.justify == "right"), len(table.columns))
    cells = [[_plain(cell) for cell in column.cells] for column in table.columns]
    columns = [_plain(column.header) for column in table.columns]
    rows = list(zip(*cells, strict=True))
    return notebook.table(columns, rows, words=words, caption=_plain(table.title) if table.title else "", most=None)


def _plain(cell: Any) -> str:
    from rich.text import Text

    return cell.plain if isinstance(cell, Text) else Text.from_markup(str(cell)).plain


def picture_of(draw: Any, described: str) -> str:
    """A figure as a picture in the page; "" if matplotlib is not installed.

    Args:
        draw: returns the figure.
        described: a description of the picture, for readers who cannot see it.
    """
    try:
        figure: Figure = draw()
    except MissingPackageError:
        return ""
    from ostinato.insight.html.pages import picture_of_svg
    from ostinato.insight.plots import svg

    drawn = svg(figure)
    # Names must be unique in the whole notebook; only copies of one picture may share them.
    return picture_of_svg(drawn, described, "o" + hashlib.sha256(drawn.encode()).hexdigest()[:12])
