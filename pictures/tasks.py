"""The diagrams of the pages of tasks: what goes in, what is computed at every step, what comes out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from pictures import paper
from pictures.notes import Drawing, sub

BOX = 34.0


def chain(d: Drawing, xs: Sequence[float], y: float, *, first: str = "", kind: str = "a", back: bool = False) -> None:
    """Steps of a recurrence, side by side, with arrows between them; `first` names the state before."""
    for x in xs:
        d.box(x, y, BOX, BOX, "", f"{kind} f{kind}")
    half = BOX / 2
    for before, after in itertools.pairwise(xs):
        ends = ((after - half, y), (before + half + 3, y)) if back else ((before + half, y), (after - half - 3, y))
        d.line(*ends, kind=kind)
    if first and back:
        d.line((xs[-1] + 62, y), (xs[-1] + half + 3, y), kind=kind)
        d.text(xs[-1] + 80, y, first)
    elif first:
        d.line((xs[0] - 62, y), (xs[0] - half - 3, y), kind=kind)
        d.text(xs[0] - 80, y, first)


def up(d: Drawing, xs: Sequence[float], y: float, to: float) -> None:
    """An arrow upwards at each place."""
    for x in xs:
        d.line((x, y), (x, to))


def names(d: Drawing, xs: Sequence[float], y: float, texts: Sequence[str], kind: str = "") -> None:
    """A text at each place."""
    for x, text in zip(xs, texts, strict=True):
        d.text(x, y, text, kind)


def classify() -> Drawing:
    """Many to one."""
    d = Drawing(720, 300)
    xs = (160, 240, 320, 400)
    names(d, xs, 276, ("the", "film", "was", "great"))
    up(d, xs, 258, 222)
    chain(d, xs, 202, first=sub("h", "0"))
    up(d, xs, 184, 148)
    d.box(280, 130, 290, 32, "pooling", "c fc")
    d.line((280, 114), (280, 94))
    d.box(280, 78, 110, 30, "softmax", "b fb")
    d.line((280, 62), (280, 42))
    d.text(280, 28, "p(class)")
    d.text(450, 276, "words, characters, rows of pixels", "small left")
    d.text(450, 202, "the same weights at every step", "small left")
    d.text(450, 130, "last · mean · max · attention", "small left")
    return d


def tag() -> Drawing:
    """An answer at every step."""
    d = Drawing(720, 350)
    xs = (200, 300, 400)
    names(d, xs, 326, ("t·h·e", "d·o·g", "b·a·r·k·s"))
    up(d, xs, 308, 272)
    chain(d, xs, 252, first=sub("h", "0"), kind="c", back=True)
    up(d, xs, 232, 214)
    chain(d, xs, 194, first=sub("h", "0"))
    up(d, xs, 174, 132)
    for x in xs:
        d.box(x, 112, BOX, BOX, "", "b fb")
    for before, after in itertools.pairwise(xs):
        d.line((before + 17, 112), (after - 20, 112), kind="b", dashed=True)
    up(d, xs, 92, 56)
    names(d, xs, 40, ("DET", "NOUN", "VERB"))
    d.text(100, 112, "softmax or CRF", "small tb")
    d.text(442, 112, "a CRF scores the tags together", "small left tb")
    d.text(442, 194, "from the first step to the last", "small left")
    d.text(510, 252, "and back", "small left")
    d.text(452, 318, "a vector of the word,", "small left")
    d.text(452, 336, "and a recurrence over its letters", "small left")
    return d


def forecast() -> Drawing:
    """Read, then draw and read what was drawn."""
    d = Drawing(720, 300)
    xs = (190, 270, 350, 450, 550)
    names(d, xs, 246, (*(sub("x", str(n)) for n in (1, 2, 3)), sub("x̃", "4"), sub("x̃", "5")))
    up(d, xs, 228, 182)
    chain(d, xs, 162, first=sub("h", "0"))
    d.line((567, 162), (640, 162), kind="a")
    d.text(656, 162, "…")
    for n, (x, after) in enumerate(((350, 450), (450, 550), (550, 650)), 4):
        d.line((x, 144), (x, 92))
        d.text(x, 74, f"p({sub('x', str(n))}<tspan dy='-4'>)</tspan>", "tb")
        if after < 650:
            d.line((x + 30, 74), (x + 50, 74), (x + 50, 246), (after - 18, 246), kind="b", dashed=True)
            d.text(x + 50, 52, "draw", "small tb")
    d.text(270, 276, "what was", "small")
    d.text(500, 276, "what was drawn", "small")
    d.text(60, 246, "reads", "small")
    d.text(60, 74, "says", "small")
    d.text(
        360,
        22,
        "read beside it: a season ago · hour, weekday, time of the year · what is known ahead · which series",
        "small",
    )
    return d


def crf() -> Drawing:
    """Scores between the tags of neighbours."""
    d = Drawing(720, 190)
    xs = (200, 300, 400)
    names(d, xs, 30, [sub("e", str(n)) for n in (1, 2, 3)])
    for x in xs:
        d.line((x, 48), (x, 88), head=False)
    for x, name in ((80, "start"), *zip(xs, (sub("y", str(n)) for n in (1, 2, 3)), strict=True), (510, "end")):
        if name in ("start", "end"):
            d.text(x, 108, name)
        else:
            d.box(x, 108, 40, 36, name, "c fc")
    stops = (102, 180, 220, 280, 320, 380, 420, 490)
    for left, right in zip(stops[::2], stops[1::2], strict=True):
        d.line((left, 108), (right - 3, 108), kind="b")
    d.text(470, 22, "emissions (T, B, N): of a recur-", "small left")
    d.text(470, 40, "rent layer and a linear one", "small left")
    d.text(300, 160, "arrows: learned scores, N × N between tags, N at either end", "small tb")
    return d


def encoder_decoder() -> Drawing:
    """Sequence to sequence, with attention."""
    d = Drawing(720, 310)
    read, write = (130, 210, 290), (450, 540, 630)
    names(d, read, 216, ("das", "ist", "gut"))
    up(d, read, 198, 172)
    chain(d, read, 152)
    names(d, read, 96, [sub("h", str(n)) for n in (1, 2, 3)])
    up(d, read, 134, 114)
    d.line((307, 152), (430, 152), kind="b")
    d.text(368, 170, "bridge", "small tb")
    chain(d, write, 152, kind="c")
    names(d, write, 216, ("&lt;begin&gt;", "that", "is"))
    up(d, write, 198, 172)
    for x in write:
        d.line((x, 132), (x, 106), head=True)
    names(d, write, 90, ("that", "is", "good"))
    for x, after in ((450, 540), (540, 630)):
        d.line((x + 22, 90), (x + 45, 90), (x + 45, 216), (after - 22, 216), kind="weak", dashed=True)
    d.curve("M210 76 C300 14 420 14 452 70", "d")
    d.text(330, 18, "attention: a weighted mean of all h, at every step of the decoder", "small td")
    d.text(210, 262, "encoder", "ta")
    d.text(210, 284, "and, if it reads both ways, back", "small")
    d.text(540, 262, "decoder", "tc")
    d.text(540, 284, "what was written is read next", "small")
    return d


def caption() -> Drawing:
    """A text for an image."""
    d = Drawing(720, 320)
    for row in range(3):
        for column in range(4):
            strong = column in (1, 2) and (row == 0 or column == 2)
            kind = "d fd" if strong else "weak"
            d.box(66 + 34 * column, 106 + 34 * row, 32, 32, "", kind)
    d.text(117, 66, "places of the image")
    d.line((117, 236), (117, 202))
    d.text(117, 248, "convolutions, or a", "small")
    d.text(117, 265, "recurrence over the rows", "small")
    d.text(117, 305, "image")
    d.line((117, 292), (117, 276))
    xs = tuple(310 + 72 * n for n in range(6))
    d.line((196, 190), (290, 190), kind="b")
    d.text(244, 210, "first state", "small tb")
    chain(d, xs, 190)
    names(d, xs, 254, ("&lt;begin&gt;", *"seven"))
    up(d, xs, 236, 210)
    up(d, xs, 170, 142)
    d.box(490, 124, 400, 30, "attention: a weighted mean of the places", "d fd")
    d.line((194, 124), (286, 124), kind="d")
    up(d, xs, 108, 78)
    names(d, xs, 62, (*"seven", "&lt;end&gt;"))
    d.text(490, 290, "decoder: what was written is read next", "small")
    d.text(490, 30, "“seven”")
    return d


def transcribe() -> Drawing:
    """A text that is shorter than what is read."""
    d = Drawing(720, 300)
    xs = tuple(50 + 48 * n for n in range(8))
    d.box(218, 270, 380, 30, "several steps side by side", "weak")
    up(d, xs, 254, 226)
    chain(d, xs, 206)
    up(d, xs, 186, 160)
    d.box(218, 143, 380, 30, "p(unit), p(blank) at every frame", "b fb")
    up(d, xs, 126, 98)
    names(d, xs, 82, ("t", "t", "–", "o", "o", "–", "–", "a"), "tb")
    d.line((218, 66), (218, 46))
    d.text(218, 30, "t o a")
    d.text(440, 206, "recurrent layers, in both directions;", "small left")
    d.text(440, 224, "in one, to write while frames come", "small left")
    d.text(440, 82, "– is the blank: no unit here", "small left")
    d.text(440, 22, "greedy: repeats, then blanks, go", "small left")
    d.text(440, 40, "beam: the likeliest text; a lexicon", "small left")
    d.text(440, 58, "and a language model may help", "small left")
    return d


def sound() -> Drawing:
    """Samples become frames."""
    d = Drawing(720, 150)
    points = [(40 + 3 * n, 70 - 26 * ((n * 37 % 19) / 9 - 1) * (0.4 + 0.6 * ((n // 12) % 2))) for n in range(50)]
    d.line(*points, kind="a", head=False)
    d.text(114, 118, "samples")
    d.text(114, 136, "0.5 s at 8,000 a second", "small")
    d.line((200, 70), (300, 70))
    d.text(250, 50, "25 ms window", "small")
    d.text(250, 90, "every 10 ms", "small")
    for column in range(13):
        for row in range(6):
            fill = "abc"[(column * 7 + row * 5) % 3]
            d.box(322 + 13 * column, 40 + 12 * row, 11, 10, "", f"weak f{fill}")
    d.text(400, 118, "frames")
    d.text(400, 136, "51 steps of 40 channels, in decibels", "small")
    d.line((494, 70), (548, 70))
    d.box(625, 70, 140, 40, "recurrent layers", "c fc")
    d.text(625, 118, "as of every recording", "small")
    return d


def sensors() -> Drawing:
    """What a recurrent layer reads of a recording."""
    d = Drawing(720, 300)
    d.box(110, 150, 150, 54, "recording", "weak")
    d.text(110, 194, "T steps, C channels", "small")
    rows = (
        ("(value − mean) / deviation", "learnt in training"),
        ("change since the step before", "at a scale of its own"),
        ("there or missing: 1 or 0", "of channels that have gaps"),
        ("time since the step before", "where times are uneven"),
    )
    for n, (what, when) in enumerate(rows):
        y = 48 + 66 * n
        d.box(330, y, 230, 46, "", "a fa")
        d.text(330, y - 8, what)
        d.text(330, y + 12, when, "small")
        d.line((185, 150), (212, y), kind="weak")
        d.line((445, y), (484, 150), kind="weak")
    d.box(540, 150, 108, 54, "", "c fc")
    d.text(540, 141, "recurrent")
    d.text(540, 160, "layers")
    d.line((594, 150), (628, 92))
    d.line((594, 150), (628, 208))
    d.text(660, 74, "p(class)")
    d.text(660, 54, "classify: once", "small")
    d.text(660, 226, "p(label)")
    d.text(660, 246, "tag: every step", "small")
    return d


def streams() -> Drawing:
    """Chunks of a long text: states go on, gradients stop."""
    d = Drawing(720, 230)
    rows = (("the quick br", "own fox jum", "ps over the"), ("lazy dog and", " then it we", "nt home wit"))
    for row, chunks in enumerate(rows):
        y = 56 + 50 * row
        d.text(60, y, f"stream {row + 1}", "small")
        for n, chunk in enumerate(chunks):
            d.box(200 + 184 * n, y, 176, 36, chunk, f"{'abc'[n]} f{'abc'[n]}")
        d.text(668, y, "…")
    for n in range(3):
        x = 200 + 184 * n
        d.text(x, 22, "T tokens", "small")
        d.line((x + 76, 176), (x - 76, 176), kind="b", dashed=True)
        if n < 2:
            d.line((x + 50, 144), (x + 134, 144))
            d.line((x + 92, 160), (x + 92, 192), kind="b", head=False)
    d.text(60, 144, "state", "small")
    d.text(60, 176, "gradient", "small tb")
    d.text(384, 212, "the state is carried over each border, detached; the gradient stops there", "small")
    return d


def windows() -> Drawing:
    """k1 = k2, and k1 < k2: which steps are run, and which again."""
    d = Drawing(720, 330)
    side = 30.0

    def steps(left: float, y: float, marks: str) -> None:
        for n, mark in enumerate(marks):
            d.box(left + side * n + 15, y, 26, 26, "", "c fc" if mark == "o" else "a fa")

    d.text(90, 50, "k1 = k2 = 4")
    for n in range(3):
        left = 180 + 4 * side * n
        steps(left, 50, "xxxx")
        d.parts.append(f'<rect class="line ink" x="{left - 1}" y="32" width="{4 * side}" height="36" rx="5"/>')
        d.line((left + 4 * side - 12, 88), (left + 10, 88), kind="b", dashed=True)
    d.text(360, 116, "each step is computed once; the gradient of a chunk's first step goes back no step,", "small")
    d.text(360, 134, "that of its last goes back three", "small")
    d.text(90, 212, "k1 = 2, k2 = 4")
    for n, marks in enumerate(("xx", "ooxx", "ooxx")):
        left, y = 180 + 2 * side * max(0, n - 1), 182 + 32 * n
        steps(left, y, marks)
        d.parts.append(
            f'<rect class="line ink" x="{left - 1}" y="{y - 16}" width="{len(marks) * side}" height="32" rx="5"/>'
        )
    d.text(400, 182, "the first window is short", "small left")
    d.box(413, 214, 26, 26, "", "c fc")
    d.text(434, 214, "run again, from the state that was kept", "small left")
    d.box(413, 246, 26, 26, "", "a fa")
    d.text(434, 246, "new, with a loss", "small left")
    d.text(360, 304, "the gradients of new steps go back two steps at least", "small")
    return d


DRAWN: dict[str, Callable[[], Drawing]] = {
    each.__name__: each
    for each in (classify, tag, forecast, crf, encoder_decoder, caption, transcribe, sound, sensors, streams, windows)
}


def draw() -> list[Path]:
    """Writes all of them."""
    return [file for name, make in DRAWN.items() for file in paper.save(make().svg(), f"task_{name}")]
