"""What a cell is, in words: read from its description and its docstring."""

from __future__ import annotations

import inspect
from typing import Any

from benchmarks.catalogue.cost import SIZE
from ostinato import catalogue
from ostinato.cells.places import find
from ostinato.cells.spec import Cell
from ostinato.insight.parameter_formulas import pieces_of


def described(name: str) -> dict[str, Any]:
    """Equations, source, states and parameters of a cell with its default arguments."""
    named = find(name)
    cell, layer = named.choose(), catalogue.make(name, SIZE.I, SIZE.H)
    return {
        "layer": named.name,
        "equations": _equations(named.choose, cell),
        "source": cell.source,
        "states": " ".join(n if at == "H" else f"{n}:{at.replace(' ', ',')}" for n, at in cell.states.items()),
        "extras": list(cell.extras),
        "formula": " + ".join(piece.whole for piece in pieces_of("", layer)),
        "parameters": sum(p.numel() for p in layer.parameters()),
    }


def _equations(choose: Any, cell: Cell) -> str:
    """The first paragraph of the layer's docstring; where it has no equation, that of the step too."""
    said = [_paragraph(choose)]
    if "=" not in said[0] and "=" in (step := _paragraph(cell)):
        said.append(step)
    return " ".join(said)


def _paragraph(documented: Any) -> str:
    return " ".join(inspect.cleandoc(documented.__doc__ or "").partition("\n\n")[0].split())
