"""The pictures of the companion to the lecture notes: symbols and names of classes alone, so that both languages show the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from ostinato.lab import find
from pictures import paper

# Ink, weak ink, and four colours that a colour-blind reader can tell apart (Okabe & Ito 2008): lines, fills, letters.
STYLE = """
.card{fill:#ffffff;stroke:#cccccc}.ink{stroke:#000000}.weak{stroke:#6b6b6b}
.a{stroke:#0072b2}.b{stroke:#d55e00}.c{stroke:#009e73}.d{stroke:#cc79a7}
.line{fill:none;stroke-width:2}.box{fill:#eef1f6;stroke-width:1.5}
.fa{fill:#cfe6f5}.fb{fill:#f9dcc8}.fc{fill:#ccebe0}.fd{fill:#f3d9e8}
text{fill:#000000;font:15px system-ui,sans-serif;text-anchor:middle}.small{font-size:13px}.left{text-anchor:start}
.ta{fill:#005a8e}.tb{fill:#a84800}.tc{fill:#00694c}.td{fill:#8f3a6c}
"""
KINDS = ("ink", "weak", "a", "b", "c", "d")


class Drawing:
    """A list of SVG elements; every method adds one, at pixels from the upper left corner."""

    def __init__(self, width: int, height: int):
        self.size = (width, height)
        self.parts: list[str] = [
            f'<rect class="card" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10"/>'
        ]

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """A text around (x, y)."""
        self.parts.append(f'<text class="{kind}" x="{x:g}" y="{y + 5:g}">{text}</text>')

    def box(self, x: float, y: float, width: float, height: float, text: str = "", kind: str = "ink") -> None:
        """A rounded box around its middle (x, y)."""
        self.parts.append(
            f'<rect class="box {kind}" x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" rx="6"/>'
        )
        if text:
            self.text(x, y, text)

    def dot(self, x: float, y: float, text: str, kind: str = "ink") -> None:
        """An operation: a circle with a sign."""
        self.parts.append(f'<circle class="box {kind}" cx="{x:g}" cy="{y:g}" r="13"/>')
        self.text(x, y, text)

    def line(self, *points: tuple[float, float], kind: str = "ink", head: bool = True, dashed: bool = False) -> None:
        """An arrow along points."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        extra = (' stroke-dasharray="5 4"' if dashed else "") + (f' marker-end="url(#{kind})"' if head else "")
        self.parts.append(f'<polyline class="line {kind}" points="{path}"{extra}/>')

    def curve(self, path: str, kind: str = "ink") -> None:
        """An arrow along an SVG path."""
        self.parts.append(f'<path class="line {kind}" d="{path}" marker-end="url(#{kind})"/>')

    def svg(self) -> str:
        """The whole."""
        width, height = self.size
        markers = "".join(
            f'<marker id="{kind}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="6" markerHeight="6" orient="auto">'
            f'<path class="{kind}" d="M1 1 8 5 1 9" fill="none" stroke-width="2"/></marker>'
            for kind in KINDS
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
            f"<style>{STYLE}</style>\n<defs>{markers}</defs>\n" + "\n".join(self.parts) + "\n</svg>\n"
        )


def sub(letter: str, index: str) -> str:
    """A letter with an index below."""
    return f'{letter}<tspan dy="4" font-size="11">{index}</tspan>'


def unrolled() -> Drawing:
    """The loop, and the chain that it is; gradients run back."""
    d = Drawing(720, 250)
    d.box(90, 130, 64, 44, "A", "a fa")
    d.curve("M122 122 C175 105 175 155 126 142", "a")
    d.line((90, 205), (90, 156))
    d.line((90, 108), (90, 62))
    d.text(90, 220, sub("x", "t"))
    d.text(90, 48, sub("h", "t"))
    d.text(205, 130, "=")
    for n, x in enumerate((270, 390, 510, 630), 1):
        d.box(x, 130, 64, 44, "A", "a fa")
        d.line((x, 205), (x, 156))
        d.line((x, 108), (x, 62))
        d.text(x, 220, sub("x", str(n)))
        d.text(x, 48, sub("h", str(n)))
        if n < 4:
            d.line((x + 32, 122), (x + 85, 122), kind="a")
            d.line((x + 88, 142), (x + 36, 142), kind="b", dashed=True)
            d.text(x + 60, 166, f"∂{sub('h', str(n + 1))}<tspan dy='-4'>/∂</tspan>{sub('h', str(n))}", "small tb")
    return d


def kinds() -> Drawing:
    """One to one, one to many, many to one, many to many after reading and in step."""
    d = Drawing(720, 210)
    shapes = [("1 : 1", 1, (0,), (0,)), ("1 : N", 3, (0,), (0, 1, 2)), ("N : 1", 3, (0, 1, 2), (2,))]
    shapes += [("N : M", 5, (0, 1, 2), (2, 3, 4)), ("N : N", 3, (0, 1, 2), (0, 1, 2))]
    x = 36.0
    for name, steps, inputs, outputs in shapes:
        xs = [x + 36 * n for n in range(steps)]
        for n, at in enumerate(xs):
            d.box(at, 105, 24, 30, "", "a fa")
            if n:
                d.line((at - 23, 105), (at - 14, 105), kind="a")
            if n in inputs:
                d.box(at, 165, 24, 24, "", "weak")
                d.line((at, 152), (at, 123))
            if n in outputs:
                d.box(at, 45, 24, 24, "", "c fc")
                d.line((at, 89), (at, 60))
        d.text(sum(xs) / steps, 195, name, "small")
        x = xs[-1] + (68 if steps > 1 else 62)
    return d


def truncated() -> Drawing:
    """Chunks: the state goes on, the gradient stops."""
    d = Drawing(720, 170)
    for chunk in range(3):
        left = 40 + 225 * chunk
        d.parts.append(
            f'<rect class="box {"abc"[chunk]} f{"abc"[chunk]}" x="{left}" y="40" width="198" height="60" rx="8"/>'
        )
        for n in range(7):
            x = left + 22 + 26 * n
            d.box(x, 70, 17, 24)
            if n:
                d.line((x - 17, 70), (x - 10, 70))
        d.line((left + 180, 122), (left + 20, 122), kind="b", dashed=True)
        d.text(left + 99, 142, f"∂{sub('L', str(chunk + 1))}", "tb")
        if chunk < 2:
            d.line((left + 188, 70), (left + 236, 70), kind="ink")
            d.text(left + 212, 26, sub("h", str(7 * chunk + 7)), "small")
            d.line((left + 212, 112), (left + 212, 132), kind="b", head=False)
    return d


def lstm() -> Drawing:
    """A step of an LSTM."""
    d = Drawing(720, 330)
    d.parts.append('<rect class="card" x="120" y="40" width="480" height="230" rx="14"/>')
    d.line((50, 80), (670, 80), kind="b")
    d.text(72, 60, sub("c", "t−1"), "tb")
    d.text(650, 60, sub("c", "t"), "tb")
    d.line((50, 245), (470, 245), head=False)
    d.text(72, 228, sub("h", "t−1"))
    d.line((150, 310), (150, 245), head=False)
    d.text(174, 302, sub("x", "t"))
    for x, name, gate in ((200, "σ", "f"), (290, "σ", "i"), (370, "tanh", "g"), (470, "σ", "o")):
        d.line((x, 245), (x, 222))
        d.box(x, 205, 48, 30, name, "a fa" if name == "σ" else "c fc")
        d.text(x - 12, 176, gate, "ta" if name == "σ" else "tc")
    d.dot(200, 80, "×", "b")
    d.line((200, 190), (200, 95), kind="a")
    d.dot(330, 80, "+", "b")
    d.dot(330, 130, "×")
    d.line((290, 190), (290, 130), (315, 130), kind="a")
    d.line((370, 190), (370, 130), (345, 130), kind="c")
    d.line((330, 116), (330, 95))
    d.line((540, 80), (540, 108))
    d.box(540, 124, 54, 30, "tanh", "c fc")
    d.line((540, 139), (540, 157))
    d.dot(540, 172, "×")
    d.line((470, 190), (470, 172), (525, 172), kind="a")
    d.line((540, 186), (540, 245), (670, 245))
    d.text(650, 228, sub("h", "t"))
    return d


def gru() -> Drawing:
    """A step of a GRU, of torch's form."""
    d = Drawing(720, 330)
    d.parts.append('<rect class="card" x="120" y="40" width="480" height="230" rx="14"/>')
    d.line((50, 80), (670, 80), kind="b")
    d.text(72, 60, sub("h", "t−1"), "tb")
    d.text(650, 60, sub("h", "t"), "tb")
    d.line((150, 310), (150, 245), (420, 245), head=False)
    d.text(174, 302, sub("x", "t"))
    d.line((134, 80), (134, 245), (150, 245), kind="b", head=False)
    for x in (210, 420):
        d.line((x, 245), (x, 222))
        d.box(x, 205, 48, 30, "σ", "a fa")
    d.text(226, 176, "r", "ta")
    d.line((180, 80), (180, 140), (195, 140), kind="b")
    d.dot(210, 140, "×")
    d.line((210, 190), (210, 155), kind="a")
    d.line((223, 140), (285, 140))
    d.box(315, 140, 54, 30, "tanh", "c fc")
    d.line((315, 245), (315, 158))
    d.text(360, 126, "n", "tc")
    d.line((342, 140), (480, 140), kind="c")
    d.dot(495, 140, "×")
    d.dot(420, 80, "×", "b")
    d.line((420, 190), (420, 95), kind="a")
    d.text(434, 112, "z", "ta")
    d.line((420, 172), (495, 172), (495, 156), kind="a")
    d.text(522, 165, "1−z", "ta")
    d.dot(560, 80, "+", "b")
    d.line((508, 140), (560, 140), (560, 95), kind="c")
    return d


class Axes:
    """A frame with linear axes over a part of a drawing."""

    def __init__(
        self, d: Drawing, box: tuple[float, float, float, float], x: tuple[float, float], y: tuple[float, float]
    ):
        self.d, self.box, self.x, self.y = d, box, x, y
        left, top, right, bottom = box
        d.line((left, top), (left, bottom), (right, bottom), kind="weak", head=False)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        left, top, right, bottom = self.box
        return (
            left + (right - left) * (x - self.x[0]) / (self.x[1] - self.x[0]),
            bottom - (bottom - top) * (y - self.y[0]) / (self.y[1] - self.y[0]),
        )

    def plot(self, xs: Sequence[float], ys: Sequence[float], kind: str, dashed: bool = False) -> None:
        """A line through points."""
        points = [(round(a, 1), round(b, 1)) for a, b in (self.at(x, y) for x, y in zip(xs, ys, strict=True))]
        self.d.line(*points, kind=kind, head=False, dashed=dashed)

    def ticks(self, xs: dict[float, str], ys: dict[float, str]) -> None:
        """Names at places of both axes."""
        for x, name in xs.items():
            a, b = self.at(x, self.y[0])
            self.d.text(a, b + 16, name, "small")
        for y, name in ys.items():
            a, b = self.at(self.x[0], y)
            self.d.text(a - 24, b, name, "small")


def decay() -> Drawing:
    """From the tables of the lab's `forget_bias` and `gradient_reach`."""
    measured = find("forget_bias").run(seed=0).table
    plain = find("gradient_reach").run(seed=0).table
    d = Drawing(720, 340)
    axes = Axes(d, (70, 30, 590, 290), (0, 100), (-9, 0.2))
    axes.ticks({n: str(n) for n in (0, 20, 40, 60, 80, 100)}, {0: "1", -3: "10⁻³", -6: "10⁻⁶", -9: "10⁻⁹"})
    d.text(330, 326, "T − t", "small")
    plain = plain.where(cell="RNN", gates=plain.column("gates")[0])
    lines = [("RNN", plain.column("gradient_share")[1:101], "weak")]
    for kind, bias in zip("bac", measured.kinds("forget_bias"), strict=True):
        lines.append((f"b = {bias:g}", measured.where(forget_bias=bias).column("gradient_share"), kind))
    for n, (name, shares, kind) in enumerate(lines):
        kept = [(t, math.log10(s)) for t, s in enumerate(shares, 1) if s > 1e-9]
        axes.plot([at for at, _ in kept], [share for _, share in kept], kind)
        d.line((606, 60 + 30 * n), (630, 60 + 30 * n), kind=kind, head=False)
        d.text(638, 60 + 30 * n, name, "small left")
    return d


def activations() -> Drawing:
    """Three functions and their derivatives."""
    d = Drawing(720, 260)
    z = torch.linspace(-4, 4, 81, dtype=torch.float64, requires_grad=True)
    for n, (name, function) in enumerate((("σ", torch.sigmoid), ("tanh", torch.tanh), ("ReLU", torch.relu))):
        y = function(z)
        (slope,) = torch.autograd.grad(y.sum(), z)
        left = 60 + 230 * n
        axes = Axes(d, (left, 50, left + 180, 215), (-4, 4), (-1.1, 2.2))
        axes.ticks({-4: "−4", 0: "0", 4: "4"}, {-1: "−1", 0: "0", 1: "1", 2: "2"})
        axes.plot((-4, 4), (0, 0), "weak", dashed=True)
        shown = [(a, b) for a, b in zip(z.tolist(), y.tolist(), strict=True) if b <= 2.2]
        axes.plot([at for at, _ in shown], [value for _, value in shown], "a")
        axes.plot(z.tolist(), slope.tolist(), "b")
        d.text(left + 90, 26, name)
        d.text(left + 46, 62, "y", "ta")
        d.text(left + 70, 62, "dy/dz", "small tb left")
    return d


def clipping() -> Drawing:
    """By norm, and by value."""
    d = Drawing(720, 240)
    full = torch.tensor([4.0, 1.6])
    for n, (name, short) in enumerate((("g · c / ‖g‖", full / full.norm() * 1.5), ("min(g, c)", full.clamp(max=1.5)))):
        left, bottom, unit = 70 + 350 * n, 190, 60
        d.line((left, bottom), (left + 280, bottom), kind="weak")
        d.line((left, bottom), (left, 40), kind="weak")
        if n:
            d.line(
                (left, bottom - 90), (left + 90, bottom - 90), (left + 90, bottom), kind="c", head=False, dashed=True
            )
        else:
            d.parts.append(
                f'<path class="line c" stroke-dasharray="5 4" d="M{left} {bottom - 90} A90 90 0 0 1 {left + 90} {bottom}"/>'
            )
        d.line((left, bottom), (left + unit * float(full[0]), bottom - unit * float(full[1])), kind="weak", dashed=True)
        d.line((left, bottom), (left + unit * float(short[0]), bottom - unit * float(short[1])), kind="b")
        d.text(left + 254, bottom - 110, "g")
        d.text(left + 90, bottom + 16, "c", "tc")
        d.text(left + 140, 218, name, "small")
    return d


def shapes() -> Drawing:
    """Which states are output, and which are h_n."""
    d = Drawing(720, 330)
    d.parts.append('<rect class="box b fb" x="150" y="30" width="380" height="110" rx="10"/>')
    for row, y in enumerate((85, 220)):
        for t in range(4):
            x = 200 + 93 * t
            d.box(x, y - 22, 44, 30, "→", "a fa")
            d.box(x, y + 22, 44, 30, "←", "c fc")
            if t:
                d.line((x - 69, y - 22), (x - 25, y - 22), kind="a")
                d.line((x - 24, y + 22), (x - 68, y + 22), kind="c")
            if row:
                d.line((x, 180), (x, 143))
                d.line((x, 288), (x, 262))
                d.text(x, 302, sub("x", str(t + 1)))
    for y in (85, 220):
        d.parts.append(f'<rect class="line d" x="450" y="{y - 42}" width="58" height="40" rx="6"/>')
        d.parts.append(f'<rect class="line d" x="171" y="{y + 2}" width="58" height="40" rx="6"/>')
    d.text(620, 85, "output", "tb")
    d.line((590, 85), (536, 85), kind="b")
    d.text(620, 198, "h_n", "td")
    d.line((596, 198), (514, 198), kind="d")
    d.line((602, 184), (514, 76), kind="d")
    d.text(80, 242, "h_n", "td")
    d.line((104, 242), (165, 242), kind="d")
    d.line((96, 228), (165, 112), kind="d")
    d.text(60, 85, "l = 2", "small")
    d.text(60, 200, "l = 1", "small")
    return d


def seq2seq() -> Drawing:
    """Encoder and decoder; truth or own output."""
    d = Drawing(720, 290)
    for n, name in enumerate("오십팔"):
        x = 60 + 80 * n
        d.box(x, 150, 52, 38, "", "a fa")
        d.line((x, 205), (x, 171))
        d.text(x, 220, name)
        d.line((x + 26, 150), (x + 52, 150), kind="a")
    outputs = ["f", "i", "f", "·"]
    for n, name in enumerate(outputs):
        x = 320 + 100 * n
        d.box(x, 150, 52, 38, "", "c fc")
        if n < 3:
            d.line((x + 26, 150), (x + 72, 150), kind="c")
        d.line((x, 131), (x, 92))
        d.text(x, 76, f"ŷ = {name}", "small")
        d.line((x, 205), (x, 171))
        d.text(x, 220, "⟨begin⟩" if n == 0 else f"y = {outputs[n - 1]}", "small")
        if n < 3:
            d.line((x + 16, 92), (x + 50, 112), (x + 50, 190), (x + 92, 190), kind="b", dashed=True)
    d.line((245, 150), (292, 150), kind="a")
    d.text(269, 134, "h, c", "ta")
    d.line((470, 262), (500, 262))
    d.text(508, 262, "y", "left")
    d.line((560, 262), (590, 262), kind="b", dashed=True)
    d.text(598, 262, "ŷ", "left tb")
    return d


def dropout() -> Drawing:
    """A mask for each step, and one for all."""
    d = Drawing(720, 270)
    for n, kinds_of in enumerate((("a", "b", "c"), ("b", "b", "b"))):
        left = 70 + 350 * n
        for t in range(3):
            x = left + 110 * t
            d.box(x, 70, 50, 34, "", "ink")
            d.box(x, 160, 50, 34, "", "ink")
            d.line((x, 215), (x, 180))
            d.text(x, 230, sub("x", str(t + 1)))
            d.line((x, 142), (x, 90), kind=kinds_of[t], dashed=True)
            d.line((x, 52), (x, 28))
            if t < 2:
                for y in (70, 160):
                    d.line((x + 25, y), (x + 84, y), kind="ink" if n == 0 else "d", dashed=n == 1)
            d.text(x + 16, 116, sub("m", str(t + 1)) if n == 0 else "m", f"small t{kinds_of[t]}")
    return d


def parameters() -> Drawing:
    """The blocks of an LSTM's weights."""
    d = Drawing(720, 300)
    for n, gate in enumerate("ifgo"):
        y, kind = 60 + 52 * n, ("a fa", "b fb", "c fc", "d fd")[n]
        d.box(200, y, 90, 48, "", kind)
        d.box(400, y, 240, 48, "", kind)
        d.box(565, y, 26, 48, "", kind)
        d.box(615, y, 26, 48, "", kind)
        d.text(200, y, sub("W", gate))
        d.text(400, y, sub("U", gate))
        d.text(120, y, "H", "small")
    for x, top, bottom in ((200, "W_ih", "I"), (400, "W_hh", "H"), (565, "b_ih", "1"), (615, "b_hh", "1")):
        d.text(x, 20, top, "small")
        d.text(x, 258, bottom, "small")
    d.text(360, 284, "4 (H · (I + H) + 2 H)", "small")
    return d


DRAWN = (unrolled, kinds, truncated, lstm, gru, decay, activations, clipping, shapes, seq2seq, dropout, parameters)


def draw() -> list[Path]:
    """Draws them."""
    return [file for each in DRAWN for file in paper.save(each().svg(), f"notes_{each.__name__}")]
