"""Reasons as an HTML page in one file, and as a part of another page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from ostinato.insight.html.pages import document, number, picture, table
from ostinato.insight.reasons.deletion import Deletion
from ostinato.insight.reasons.pictures import picture_of
from ostinato.insight.reasons.question import Reasons
from ostinato.insight.reasons.words import AGAINST, FOR, SUMS

_STRONGEST = 10


def page(every: Sequence[Reasons], checked: Deletion | None = None, *, title: str = "Why this answer") -> str:
    """Make a page that opens without a network.

    Args:
        every: the reasons of each example.
        checked: the result of the deletion test; None if it was not made.
        title: the title of the page, plain text.
    """
    parts = [f"<section>{part(found, f'why{at}')}</section>" for at, found in enumerate(every)]
    if checked is not None:
        parts.append(f"<section><h2>Taken away</h2>{check_table(checked)}</section>")
    return document(title, f"<header><h1>{escape(title)}</h1>{LEGEND}</header><main>{''.join(parts)}</main>")


LEGEND = '<p class="soft">Red speaks for the answer, blue against it; the stronger, the more.</p>'


def part(found: Reasons, name: str, *, level: int = 2) -> str:
    """Make the part of a page for one example.

    Args:
        found: the reasons.
        name: a name of letters and digits that no other picture of the page has.
        level: the level of its heading.
    """
    head = f"<h{level}>{escape(f'{found.name}: ' if found.name else '')}{escape(found.said)}</h{level}>"
    told = f"{found.about}: {number(found.answer)} {found.unit}, where nothing is there {number(found.baseline)}"
    if found.method in SUMS:
        told += f"; contributions sum to {number(float(found.values.sum()))}"
    rows = [
        (f"{at} {_readable(step)}" if step != str(at) else f"step {at}", v)
        for at, step, v in found.strongest(_STRONGEST)
    ]
    shown = (
        _text(found)
        if found.joiner is not None
        else picture(picture_of(found), f"Contributions to {found.about}", name)
    )
    steps = table([("step", ""), ("contribution", found.unit)], rows, caption="The steps that weigh most")
    channels = ""
    if len(found.channels) > 1 and found.channels[0] not in ("column 0", "row 0"):
        channels = table(
            [("channel", ""), ("contribution", found.unit)], list(found.by_channel.items()), caption="Channels"
        )
    return f'{head}<p class="soft">{escape(told)} (method {found.method}).</p>{shown}{channels}{steps}'


def check_table(checked: Deletion) -> str:
    """The table of a deletion test: how far answers fall."""
    rows = [
        (f"{share:.0%}", own, drawn)
        for share, own, drawn in zip(checked.shares, checked.named, checked.at_random, strict=True)
    ]
    columns = [("share", ""), (f"drop, by {checked.method}", checked.unit), ("drop, at random", checked.unit)]
    return table(columns, rows, caption=f"Steps and channels taken away, mean of {checked.examples} examples")


def _text(found: Reasons) -> str:
    most = float(np.abs(found.by_step).max()) or 1.0
    spans = []
    for at, (step, value) in enumerate(zip(found.steps, found.by_step.tolist(), strict=True)):
        red, green, blue = FOR if value > 0 else AGAINST
        weight = abs(value) / most
        between = escape(found.joiner or "") if at else ""
        title = escape(f"{at} {value:+.3g}")
        colour = f"background: rgba({red},{green},{blue},{0.75 * weight:.2f})"
        spans.append(f'{between}<span style="{colour}" title="{title}">{escape(_readable(step))}</span>')
    return f'<p style="white-space: pre-wrap; line-height: 1.7; overflow-wrap: anywhere">{"".join(spans)}</p>'


def _readable(step: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in step)
