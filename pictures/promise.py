"""The promise of the compiler: a step that is written once, and what is made of it. All that is shown is what the code gives."""

from __future__ import annotations

import inspect
import tempfile
from html import escape
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import sigmoid, tanh

import ostinato
from ostinato import State, cell
from ostinato.exporting.c import write_c
from ostinato.insight.plots import COLOURS, GREY
from pictures import paper

WIDTH, HEIGHT = 1040, 420
_BLUE, _ORANGE, _GREEN, _PINK = COLOURS[:4]


@cell(gates="f h", states="h", write="f", source="Zhou et al. 2016")
def minimal_gated_unit(x: Any, s: Any, U: Any) -> State:
    """The cell that is shown."""
    f = sigmoid(x.f + U.only("f")(s.h).f)
    c = tanh(x.h + U.only("h")(f * s.h).h)
    return State(h=(1 - f) * s.h + f * c)


def draw() -> list[Path]:
    """Draws it."""
    layer = ostinato.Recurrent(minimal_gated_unit, 10, 20)
    forward, backward = ostinato.listing(layer, "program").split("backward\n")
    parts = [
        _card(0, 4, 348, 296, "you write", _written(), _BLUE),
        _card(390, 4, 222, 296, "the compiler finds", _found(forward, backward), _ORANGE),
        *_outcomes(layer),
        _arrow(348, 152, 390),
        *(_arrow(612, 152, 654, y) for y in (38, 114, 190, 266)),
        _text(0, 336, "With it come, for every cell:", INK, 15, bold=True),
        _text(
            0,
            362,
            "layers and single steps · stacks, both directions, lengths, packing · zoneout, three kinds of dropout,",
            GREY,
            15,
        ),
        _text(
            0,
            384,
            "layer norm, peepholes, learned first states · torch's state_dict · streams and sessions · ONNX and C ·",
            GREY,
            15,
        ),
        _text(0, 406, "gradient flow, saturation, the doctor · a place in every model and task", GREY, 15),
    ]
    body = "\n".join(parts)
    return paper.save(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 0 {WIDTH + 2} {HEIGHT}" role="img">\n'
        "<title>A step of four lines; the programs derived from it; machine code, Triton, ONNX and C made of these</title>\n"
        f"{body}\n</svg>\n",
        "promise",
    )


INK = paper.INK


def _written() -> list[str]:
    source = inspect.getsource(minimal_gated_unit.step).splitlines()
    head = ['@cell(gates="f h", states="h", write="f")', "def minimal_gated_unit(x, s, U):"]
    body = source[next(n for n, line in enumerate(source) if line.startswith("    f =")) :]
    return [
        *head,
        *body,
        "",
        "",
        "layer = ostinato.Recurrent(",
        "    minimal_gated_unit, 10, 20,",
        "    num_layers=2, zoneout=0.1)",
    ]


def _found(forward: str, backward: str) -> list[str]:
    ahead, back = [line for line in forward.splitlines()[1:] if line], [line for line in backward.splitlines() if line]
    return [
        f"forward, {len(ahead)} lines",
        *ahead[1:4],
        "  ...",
        *ahead[-2:],
        f"backward, {len(back)} lines",
        *back[0:4],
        "  ...",
        back[-1],
    ]


def _outcomes(layer: Any) -> list[str]:
    llvm, triton = (ostinato.listing(layer, kind, "training").splitlines() for kind in ("llvm", "triton"))
    vectors = next(line.strip() for line in llvm if "store <" in line)
    stored = next(line.strip() for line in triton if "tl.sigmoid" in line)
    with tempfile.TemporaryDirectory() as scratch:
        ostinato.export(layer.eval(), torch.randn(3, 1, 10), Path(scratch) / "cell.onnx", states=True)
        graph = onnx.load(Path(scratch) / "cell.onnx").graph
        write_c(layer, "cell", scratch)
        c = (Path(scratch) / "cell.c").read_text(encoding="utf-8").splitlines()
    scan = next(node for node in graph.node if node.op_type == "Scan")
    kinds = ", ".join(dict.fromkeys(node.op_type for node in scan.attribute[0].g.node))
    product = next(
        line.strip() for line in c if "tanh" in line and "=" in line and not line.strip().startswith(("*", "/"))
    )
    boxes = [
        ("CPU: machine code, both passes", f"{len(llvm)} lines of LLVM, no compiler to install", vectors),
        ("GPU: Triton kernels, both passes", f"{len(triton)} lines of Triton", stored),
        ("ONNX: a Scan of the step", "at any length and batch", f"Scan {{ {kinds} }}"),
        ("C99: no allocation, math.h alone", f"{len(c)} lines, for a microcontroller", product),
    ]
    return [
        _card(654, 4 + 76 * at, 384, 68, title, [escape(_short(code, 48))], _GREEN, remark)
        for at, (title, remark, code) in enumerate(boxes)
    ]


def _short(line: str, length: int) -> str:
    return line if len(line) <= length else line[: length - 3] + "..."


def _card(x: int, y: int, width: int, height: int, title: str, lines: list[str], colour: str, remark: str = "") -> str:
    small = height < 100
    first = y + (57 if small else 50)
    code = "".join(
        f'<text x="{x + 14}" y="{first + 18 * at}" xml:space="preserve" font-family="ui-monospace, monospace" '
        f'font-size="12" fill="{INK}">{line if small else escape(line)}</text>\n'
        for at, line in enumerate(lines)
    )
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="{paper.PAPER}" '
        f'stroke="{colour}" stroke-width="1.6"/>\n'
        + _text(x + 14, y + (22 if small else 26), title, colour, 14, bold=True)
        + (_text(x + 14, y + 39, remark, GREY, 12) if remark else "")
        + code
    )


def _text(x: int, y: int, text: str, colour: str, size: int, bold: bool = False) -> str:
    style = f'font-family="system-ui, sans-serif" font-size="{size}" font-weight="{600 if bold else 400}"'
    return f'<text x="{x}" y="{y}" {style} fill="{colour}">{escape(text)}</text>\n'


def _arrow(x: int, y: int, to: int, to_y: int | None = None) -> str:
    end = y if to_y is None else to_y
    middle = (x + to) // 2
    return (
        f'<path d="M{x + 3} {y} C{middle} {y} {middle} {end} {to - 8} {end}" fill="none" stroke="{GREY}" stroke-width="1.6"/>\n'
        f'<path d="M{to - 9} {end - 5} L{to - 1} {end} L{to - 9} {end + 5} Z" fill="{GREY}"/>\n'
    )
