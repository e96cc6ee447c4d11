"""Reasons as text for a terminal of 80 columns, readable with and without colours."""

from __future__ import annotations

from rich.text import Text

from ostinato.insight.reasons.question import Reasons

FOR, AGAINST = (214, 66, 46), (52, 120, 200)  # red and blue
_BAR, _STRONGEST, _CHANNELS = 24, 8, 8
_FAINT = 0.08  # share of the strongest contribution below which a word gets no colour
SUMS = ("gradients", "gates")


def shade(weight: float) -> tuple[int, int, int]:
    """The colour of a weight: blue at -1, white at 0, red at 1."""
    target, share = FOR if weight > 0 else AGAINST, min(1.0, abs(weight)) ** 0.7
    return tuple(round(255 + (each - 255) * share) for each in target)  # pyright: ignore[reportReturnType]


def shown(found: Reasons) -> Text:
    """The text for an example: the answer, the steps in colours, and the largest contributions."""
    text = Text()
    text.append(f"{found.name}: " if found.name else "").append(found.said, style="bold").append(
        "\n" if found.said else ""
    )
    text.append(f"{found.about}: {_signed(found.answer)} {found.unit}; nothing there: {_signed(found.baseline)}\n")
    told = f"method {found.method}"
    if found.method in SUMS:
        told += f"; contributions sum to {_signed(float(found.values.sum()))}, {_signed(found.remainder, 1)} left"
    text.append(told + "\n", style="dim")
    weights = found.by_step
    most = float(abs(weights).max()) or 1.0
    if found.joiner is not None:
        for at, step in enumerate(found.steps):
            weight = weights[at] / most
            style = "" if abs(weight) < _FAINT else "black on rgb({},{},{})".format(*shade(weight))
            text.append(found.joiner if at else "").append(_plain(step), style=style)
        text.append("\n")
    for title, rows in _tables(found):
        width = min(26, max([len(title), *(len(name) for name, _ in rows)]))
        strongest = max([abs(value) for _, value in rows]) or 1.0
        text.append(f"{title:{width}}  contribution\n", style="dim")
        for name, value in rows:
            bar = ("+" if value > 0 else "-") * round(_BAR * abs(value) / strongest)
            style = "rgb({},{},{})".format(*(FOR if value > 0 else AGAINST))
            text.append(f"{name[:width]:{width}}  {_signed(value):>12}  ").append(bar, style=style).append("\n")
    text.right_crop(1)
    return text


def _signed(value: float, digits: int = 4) -> str:
    """A number with its sign and `digits` significant digits; large numbers with all digits before the point."""
    whole = f"{value:+,.0f}"
    return whole if 10**digits <= abs(value) < 1e9 else f"{value:+.{digits}g}"


def _tables(found: Reasons) -> list[tuple[str, list[tuple[str, float]]]]:
    tables = []
    if found.channels and len(found.channels) > 1:
        order = sorted(found.by_channel.items(), key=lambda each: -abs(each[1]))[:_CHANNELS]
        tables.append(("channel", order))
    numbered = found.joiner is not None
    steps = [
        (f"{at:>4} {_plain(name)}" if numbered else name, value) for at, name, value in found.strongest(_STRONGEST)
    ]
    tables.append(("step", steps))
    return tables


def _plain(step: str) -> str:
    """Replace characters that would move a terminal's cursor."""
    return "".join(
        c if c.isprintable() else {"\n": "\\n", "\t": "\\t"}.get(c, "\N{REPLACEMENT CHARACTER}") for c in step
    )
