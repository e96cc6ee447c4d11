"""The number of a module's parameters, in letters and in numbers; for a recurrent layer, from the description of its cell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ostinato.cells.spec import Cell
from ostinato.nn.recurrent import Recurrent
from ostinato.types import Tensor


@dataclass(frozen=True)
class FormulaPiece:
    """One direction of one layer of a recurrent module, or another module that has parameters itself.

    In a formula a space multiplies: `4 (I + H + 2) H`.

    Attributes:
        name: "recurrent.l0", "recurrent.l0_reverse", "output".
        kind: the class name of the module.
        formulas: the formula of each parameter, by its full name.
        whole: the formula of all parameters together.
        letters: the numbers that the letters of the formulas stand for here.
        multiply_adds: the multiply-adds of the matrix products of one step of one row; None if it is not known.
        kept: how many numbers of one step of one row the backward pass needs: the input, and for a recurrent layer every gate and
            every state; None if it is not known.
    """

    name: str
    kind: str
    formulas: Mapping[str, str]
    whole: str
    letters: Mapping[str, int] = field(default_factory=dict)
    multiply_adds: int | None = None
    kept: int | None = None


def pieces_of(name: str, module: Any) -> list[FormulaPiece]:
    """The pieces of a module itself, without its children.

    Args:
        name: the name of the module in the model.
        module: any module; for a recurrent one of torch.nn, what `convert_alone` returns for it.
    """
    dot = f"{name}." if name else ""
    own = {f"{dot}{key}": p for key, p in module._parameters.items() if p is not None}
    if not own:
        return []
    kind = type(module).__name__
    if isinstance(module, Recurrent):
        return _layers(name, dot, module, own)
    if isinstance(getattr(module, "cell", None), Cell):
        return [_direction(module, name or kind, dot, "", module.input_size, module.hidden_size, 0)]
    if isinstance(module, nn.Linear):
        letters = {"I": module.in_features, "O": module.out_features}
        formulas = {key: "O I" if p.dim() == 2 else "O" for key, p in own.items()}
        whole = "O I" if module.bias is None else "(I + 1) O"
        return [FormulaPiece(name, kind, formulas, whole, letters, letters["I"] * letters["O"], letters["I"])]
    if isinstance(module, nn.Embedding):
        letters = {"V": module.num_embeddings, "E": module.embedding_dim}
        # A row is looked up by its number: nothing is multiplied, and only the number is kept.
        return [FormulaPiece(name, kind, dict.fromkeys(own, "V E"), "V E", letters, 0, 1)]
    return [_other(name, kind, own)]


def _layers(name: str, dot: str, module: Recurrent, own: Mapping[str, Tensor]) -> list[FormulaPiece]:
    pieces = []
    for layer, _, suffix in module._places():
        size_in = module.layer_input_sizes[layer]
        label = f"{dot}{suffix[1:]}"
        pieces.append(_direction(module, label, dot, suffix, size_in, module.hidden_sizes[layer], module.proj_size))
    described = {key for piece in pieces for key in piece.formulas}
    rest = {key: p for key, p in own.items() if key not in described}  # learned first states, highways between layers
    return [*pieces, _other(name, type(module).__name__, rest)] if rest else pieces


def _direction(
    module: Any, label: str, dot: str, suffix: str, size_in: int, hidden: int, projected: int
) -> FormulaPiece:
    cell: Cell = module._cells[True]  # the parameters are the same in evaluation
    bias = bool(module.bias)
    shapes = cell.parameter_sizes(size_in, hidden, projected, bias)
    widths = cell.widths_at(size_in, hidden, projected)
    out = "P" if projected else "H"
    # With heads only the blocks on the diagonal are stored.
    columns = out if cell.heads == 1 else "P / N" if projected else "d"
    rows = {"ih": _times(len(cell.input_gates), "H"), "hh": _times(len(cell.gates), "H")}
    letters = {letter: letter for letter in widths.every()} | {"P": out, "G": rows["hh"], "G_ih": rows["ih"]}
    texts = {"weight_ih": f"{rows['ih']} I", "weight_hh": f"{rows['hh']} {columns}"}
    texts |= {"bias_ih": rows["ih"], "bias_hh": rows["hh"]}
    texts |= {p.name: " ".join(letters[letter] for letter in p.shape) for p in cell.parameters}
    texts = {key: texts[key] for key in shapes}
    extra = [texts[p.name] for p in cell.parameters]
    if cell.recurrent and len(cell.input_gates) == len(cell.gates) and columns == "H":
        terms = [_times(len(cell.gates), f"(I + H{' + 2' if bias else ''}) H")]
    else:
        plus = " + 1" if bias else ""
        terms = [_times(len(cell.input_gates), f"(I{plus}) H")]
        terms += [_times(len(cell.gates), f"({columns}{plus}) H")] if cell.recurrent else []
    used = {"I", "H", *re.findall(r"[A-Za-z]\w*", " ".join(texts.values()))}
    sizes = {letter: size for letter, size in widths.every().items() if letter in used}
    return FormulaPiece(
        label,
        type(module).__name__,
        {f"{dot}{key}{suffix}": text for key, text in texts.items()},
        " + ".join([*terms, *extra]),
        sizes,
        sum(shape[0] * shape[1] for shape in shapes.values() if len(shape) == 2),
        size_in + len(cell.gates) * hidden + sum(cell.state_sizes(hidden, projected, size_in).values()),
    )


def _other(name: str, kind: str, own: Mapping[str, Tensor]) -> FormulaPiece:
    texts = {key: " ".join(str(size) for size in p.shape) or "1" for key, p in own.items()}
    return FormulaPiece(name, kind, texts, " + ".join(texts.values()))


def _times(number: int, text: str) -> str:
    return text if number == 1 else f"{number} {text}"
