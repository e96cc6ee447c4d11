"""Pieces of HTML for notebooks, in light and dark themes: text has the notebook's own colour, lines are grey.

A piece is complete in itself: no script, no file, no style that affects anything outside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

MOST_ROWS = 20  # the most rows of a table; the number of further ones is shown below it
COLOURS = ("#4c9be8", "#e8833a", "#35b38a", "#d48ab9", "#8c8ff0", "#c7a72b", "#7f8c9a")
"""For fills that are half transparent, so that text on them can be read on white and on black."""
_GREY = "rgba(128,128,128,.35)"
_STYLE = (
    "--card:transparent;--line:rgba(128,128,128,.35);--soft:rgba(128,128,128,1);--blue:#3f8fd0;"
    "font:13px/1.5 system-ui,sans-serif;max-width:62rem;overflow-x:auto"
)


class Whole(str):
    """A text that a table shows in full."""


def piece(*parts: str) -> str:
    """Parts of HTML, one below the other, as one piece."""
    return f'<div class="ostinato" style="{_STYLE}">{"".join(parts)}</div>'


def heading(text: str, beside: str = "") -> str:
    """A line with bold text, followed by less important text."""
    soft = f' <span style="opacity:.7">{escape(beside)}</span>' if beside else ""
    return f'<div style="margin:.2em 0"><b>{escape(text)}</b>{soft}</div>'


def line(text: str) -> str:
    """A line of text."""
    return f'<div style="margin:.2em 0;overflow-wrap:anywhere">{escape(text)}</div>'


def pre(text: str) -> str:
    """Text whose line breaks and blanks are kept."""
    return f'<pre style="margin:.3em 0;white-space:pre-wrap;background:transparent;color:inherit">{escape(text)}</pre>'


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    words: int = 1,
    caption: str = "",
    most: int | None = MOST_ROWS,
) -> str:
    """A table; numbers are aligned to the right.

    Args:
        columns: the names of the columns; all empty for no heading.
        rows: the rows, with one cell for each column.
        words: how many columns, from the left, hold words and are aligned to the left.
        caption: the text above the table.
        most: how many rows are shown; the number of further ones is shown below. None for all.
    """
    rows = list(rows)
    most = len(rows) if most is None else most
    cell = "padding:.15em .9em .15em 0;border:0;border-bottom:1px solid " + _GREY
    align = ["left" if at < words else "right" for at in range(len(columns))]

    def row_of(kind: str, cells: Sequence[object]) -> str:
        told = (short(each) for each in cells)
        return "".join(
            f'<{kind} style="{cell};text-align:{a}">{escape(t)}</{kind}>' for a, t in zip(align, told, strict=True)
        )

    head = f"<thead><tr>{row_of('th', columns)}</tr></thead>" if any(columns) else ""
    body = "".join(f"<tr>{row_of('td', row)}</tr>" for row in rows[:most])
    more = line(f"... and {len(rows) - most:,} more") if len(rows) > most else ""
    top = heading(caption) if caption else ""
    return (
        f'{top}<table style="border-collapse:collapse;background:transparent">{head}<tbody>{body}</tbody></table>{more}'
    )


def bars(values: Mapping[str, float], *, most: int = 8) -> str:
    """Probabilities as bars, the largest first."""
    ordered = sorted(values.items(), key=lambda each: -each[1])
    rows = "".join(
        f'<tr><td style="padding:.1em .9em .1em 0;border:0;text-align:left">{escape(name)}</td>'
        f'<td style="border:0;width:16rem;text-align:left"><div style="background:{COLOURS[0]};opacity:.75;height:.8em;'
        f'width:{100 * min(max(value, 0.0), 1.0):.1f}%"></div></td>'
        f'<td style="border:0;text-align:right">{value:.1%}</td></tr>'
        for name, value in ordered[:most]
    )
    more = line(f"... and {len(ordered) - most:,} more") if len(ordered) > most else ""
    return f'<table style="border-collapse:collapse;background:transparent">{rows}</table>{more}'


def marked(parts: Iterable[tuple[str, str]], *, between: str = " ", plain: Sequence[str] = ("O",)) -> str:
    """Text whose pieces have tags: each piece on the colour of its tag, which follows in small letters.

    Args:
        parts: (text, tag) in order.
        between: the text between two pieces.
        plain: tags that are not marked.
    """
    found: dict[str, str] = {}
    out: list[str] = []
    for text, tag in parts:
        if not tag or tag in plain:
            out.append(escape(text))
            continue
        colour = found.setdefault(tag, COLOURS[len(found) % len(COLOURS)])
        out.append(
            f'<span title="{escape(tag)}" style="background:{colour}55;border-radius:3px;padding:0 .2em">{escape(text)}'
            f'<sub style="opacity:.75;font-size:.7em"> {escape(tag)}</sub></span>'
        )
    return f'<div style="line-height:1.9;white-space:pre-wrap;overflow-wrap:anywhere">{escape(between).join(out)}</div>'


def strip(segments: Sequence[tuple[float, float, str]], *, height: int = 22, width: int = 640) -> str:
    """Segments of a time line, coloured by their names, as a picture.

    Args:
        segments: (begin, end, name) in order.
        height: the height in pixels.
        width: the width in pixels.
    """
    last = max((end for _, end, _ in segments), default=1.0) or 1.0
    found: dict[str, str] = {}
    boxes = ""
    for begin, end, name in segments:
        colour = found.setdefault(name, COLOURS[len(found) % len(COLOURS)])
        x, w = width * begin / last, width * (end - begin) / last
        boxes += (
            f'<rect x="{x:.1f}" y="0" width="{w:.1f}" height="{height}" fill="{colour}" fill-opacity=".6">'
            f"<title>{escape(name)}</title></rect>"
        )
    names = " ".join(f'<span style="color:{colour}">■</span> {escape(name)}' for name, colour in found.items())
    return (
        f'<svg viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px;display:block" role="img" '
        f'aria-label="segments over time">{boxes}</svg><div style="margin:.2em 0">{names}</div>'
    )


def fan(
    middle: Sequence[float], bands: Sequence[tuple[Sequence[float], Sequence[float]]], labels: Sequence[str]
) -> str:
    """A line with bands around it, as a picture.

    Args:
        middle: the value of the line at each step.
        bands: (low, high) at each step, the widest band first.
        labels: the names of the steps; the first and the last are written.
    """
    width, height, edge = 640, 180, 34
    every = [v for v in middle if math.isfinite(v)] + [
        v for band in bands for side in band for v in side if math.isfinite(v)
    ]
    if not every:
        return ""
    low, high = min(every), max(every)
    span = (high - low) or 1.0

    def at(step: int, value: float) -> str:
        x = edge + (width - 2 * edge) * (step / max(len(middle) - 1, 1) if len(middle) > 1 else 0.5)
        return f"{x:.1f},{8 + (height - 36) * (1 - (value - low) / span):.1f}"

    drawn = ""
    for below, above in bands:
        steps = range(len(below))
        points = [*(at(t, above[t]) for t in steps), *(at(t, below[t]) for t in reversed(steps))]
        drawn += f'<polygon points="{" ".join(points)}" fill="{COLOURS[0]}" fill-opacity=".25" />'
    line_of = " ".join(at(t, value) for t, value in enumerate(middle))
    drawn += f'<polyline points="{line_of}" fill="none" stroke="{COLOURS[0]}" stroke-width="2" />'
    text = 'fill="currentColor" font-size="11" opacity=".8"'
    drawn += f'<text x="0" y="14" {text}>{short(high)}</text><text x="0" y="{height - 28}" {text}>{short(low)}</text>'
    if labels:
        drawn += f'<text x="{edge}" y="{height - 6}" {text}>{escape(labels[0])}</text>'
        drawn += f'<text x="{width - edge}" y="{height - 6}" text-anchor="end" {text}>{escape(labels[-1])}</text>'
    return (
        f'<svg viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px;display:block" role="img" '
        f'aria-label="forecast with its intervals">{drawn}</svg>'
    )


def short(value: object, *, quoted: bool = False) -> str:
    """A value as people read it: four digits of a number, the beginning of a text, the first few of a list.

    Args:
        value: anything.
        quoted: whether texts are put in quotes, as in Python.
    """
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        told = value if isinstance(value, Whole) or len(value) <= 120 else f"{value[:117]}..."
        return repr(told) if quoted else told
    if isinstance(value, Mapping):
        some = list(value.items())[:4]
        shown = [f"{short(key, quoted=True) if quoted else key}: {short(each, quoted=quoted)}" for key, each in some]
        return "{" + ", ".join(shown) + (", ..." if len(value) > 4 else "") + "}"
    if isinstance(value, Sequence):
        shown = [short(each, quoted=quoted) for each in value[:4]]
        return "[" + ", ".join(shown) + (f", ... {len(value):,} in all" if len(value) > 4 else "") + "]"
    return str(value)
