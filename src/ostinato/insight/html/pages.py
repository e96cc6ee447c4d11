"""HTML pages in one file: they open without a network, and can be read in light and dark themes, on paper and on a phone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MINUS = "\N{MINUS SIGN}"
_FACE = "system-ui, sans-serif"


# Colours of a figure, replaced by those of the page: background, text, grid, less important parts; and a blue that is visible on a
# dark background too.
_COLOURS = {
    "#ffffff": "var(--card)",
    "#000000": "currentColor",
    "#e4e4e4": "var(--line)",
    "#6b6b6b": "var(--soft)",
    "#0072b2": "var(--blue)",
}


def document(title: str, body: str, *, scripts: Sequence[str] = ()) -> str:
    """Make a whole page.

    Args:
        title: the title of the window, plain text.
        body: the body, HTML.
        scripts: JavaScript, put at the end of the page.
    """
    code = "".join(f"<script>{script}</script>\n" for script in scripts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # An empty icon, so that a browser does not ask the network for one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{asset('style.css')}</style>\n</head>\n"
        f"<body>\n{body}\n{code}</body>\n</html>\n"
    )


def asset(name: str) -> str:
    """The text of a file beside this one."""
    return (files("ostinato.insight.html") / name).read_text(encoding="utf-8")


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str | int | float]], *, caption: str = "") -> str:
    """Make a table in which every number has a unit.

    Args:
        columns: (name, unit) of each column; the unit is shown in the heading. "" for a column of words.
        rows: words or numbers; numbers are aligned to the right, with three significant digits (integers with all digits).
        caption: the text above the table, plain text.

    Raises:
        ValueError: there is a number in a column without a unit.
    """
    # On a phone without room for columns each value is shown with its column's name.
    names = [f"{name} ({unit})" if unit else name for name, unit in columns]
    head = "".join(
        f'<th scope="col"{_right(unit)}>{escape(name)}</th>' for name, (_, unit) in zip(names, columns, strict=True)
    )
    lines = []
    for row in rows:
        cells = []
        for value, name, (_, unit) in zip(row, names, columns, strict=True):
            if not isinstance(value, str) and not unit:
                raise ValueError(f"column {name!r}: expected words, as it has no unit, got the number {value}")
            shown = value if isinstance(value, str) else number(value)
            cells.append(f'<td data-name="{escape(name)}"{_right(unit)}>{escape(shown)}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    top = f"<caption>{escape(caption)}</caption>" if caption else ""
    # With a tabindex it can be scrolled sideways with the keyboard too.
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption or "table")}"><table>{top}'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _right(unit: str) -> str:
    return ' class="number"' if unit else ""


def number(value: float) -> str:
    """A number as people write it: 1,234 or 0.123 or 4.5e-07."""
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


def picture(figure: Figure, described: str, name: str) -> str:
    """A figure embedded in the page, with the page's font and its colours, light and dark.

    Args:
        figure: a figure in the style of `ostinato.insight.plots`.
        described: a description of the picture, for readers who cannot see it.
        name: a name of letters and digits that no other picture of the page has.
    """
    from ostinato.insight.plots import svg

    return picture_of_svg(svg(figure), described, name)


def picture_of_svg(drawn: str, described: str, name: str) -> str:
    """Embed a figure as `picture` does, from the SVG that `ostinato.insight.plots.svg` has written."""
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.S)
    drawn = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", drawn)  # equal images would have the same id
    # Ids must be unique in the whole page.
    drawn = re.sub(r'\bid="', f'id="{name}-', drawn)
    drawn = drawn.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    drawn = re.sub(r"'DejaVu Sans'[^;\"]*", _FACE, drawn)
    for colour, ours in _COLOURS.items():
        drawn = re.sub(rf"\b(fill|stroke): {colour}", rf"\1: {ours}", drawn)
    drawn = re.sub(r'<svg ([^>]*?)width="([\d.]+)pt" height="[\d.]+pt"', _sized, drawn, count=1)
    drawn = drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(described)}" ', 1)
    # Without namespaces, which are full URLs and would look like addresses of the network.
    drawn = re.sub(r' xmlns(:xlink)?="[^"]*"', "", drawn).replace("xlink:href", "href")
    return f'<figure class="picture">{drawn}</figure>'


def _sized(found: re.Match[str]) -> str:
    return f'<svg {found[1]}style="max-width: {float(found[2]) * 4 / 3:.0f}px"'
