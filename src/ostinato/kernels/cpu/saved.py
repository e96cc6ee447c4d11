"""What a forward pass keeps for the backward pass, as a list of tensors whose shapes are known before it has run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ostinato.kernels.cpu.engine import Memory
from ostinato.kernels.cpu.recurrence import Kept, Recurrence, Tensors, gathered, operands_of, rows_of
from ostinato.types import Tensor

# A number, or a torch.SymInt.
_Size = Any


def shapes(what: Recurrence, tensors: Tensors) -> list[tuple[_Size, ...]]:
    """Of what `pack` gives; only the shapes of `tensors` are looked at."""
    if what.segment:
        return []
    steps, batch = tensors.input.shape[:2]
    return [(steps * batch, *row) for row in _parts(what, tensors).values()]


def pack(what: Recurrence, tensors: Tensors, kept: Kept | None) -> list[Tensor]:
    """The memory with `T B` rows, those behind the last valid one zero; nothing where it is to be computed again."""
    if what.segment or kept is None or kept.memory is None:
        return []
    held = kept.memory
    flat: dict[tuple[str, Any], Tensor] = {("state", name): v for name, v in held.states.items()}
    flat |= {("slots", space): v for space, v in held.slots.items()} | {("sums", None): held.sums}
    flat |= {("enters", k): v for k, v in held.enters.items()}
    rows = tensors.input.shape[:2].numel()
    return [_padded(flat[part], rows) for part in _parts(what, tensors)]


def unpack(what: Recurrence, tensors: Tensors, kept: Sequence[Tensor]) -> Kept:
    """What the backward pass wants, from what was shown, `(T, B, H)`, and what `pack` gave. None of it is written over."""
    rows = rows_of(what, tensors)
    shown = dict(zip(what.shown, kept, strict=False))
    parts = dict(zip(_parts(what, tensors), (v[: rows.total] for v in kept[len(shown) :]), strict=True))
    states = {name: gathered(v, rows) for name, v in shown.items()}
    states |= {name: v for (kind, name), v in parts.items() if kind == "state"}
    slots = {space: v.clone() for (kind, space), v in parts.items() if kind == "slots"}
    enters = {k: v for (kind, k), v in parts.items() if kind == "enters"}
    memory = Memory(states, slots, parts["sums", None], enters)
    kernel = what.kernel(tensors.input.dtype)
    return Kept(kernel, operands_of(what, tensors, rows), rows, memory, {}, [])


def _parts(what: Recurrence, tensors: Tensors) -> dict[tuple[str, Any], tuple[_Size, ...]]:
    """The shape of a row of each tensor of the memory; without what is shown, which is known anyway."""
    kernel = what.kernel(tensors.input.dtype)
    described, lanes = kernel.description, kernel.shape.lanes
    width: dict[str, _Size] = {letter: tensors.first[name].shape[1] for name, letter in described.letters.items()}
    width["H"] = tensors.weight_ih.shape[0] // described.gates
    letters: Mapping[str, str] = described.letters
    found: dict[tuple[str, Any], tuple[_Size, ...]] = {
        ("state", name): (width[letter],) for name, letter in letters.items() if name not in what.shown
    }
    found |= {("slots", space): (-(-width[space] // lanes), n, lanes) for space, n in described.slots.items() if n}
    found["sums", None] = (max(1, described.sums["training"]),)
    products = enumerate(described.products)
    return found | {("enters", k): (width[p.entered_space],) for k, p in products if p.state is None}


def _padded(v: Tensor, rows: int) -> Tensor:
    if v.shape[0] == rows:
        return v
    padded = v.new_zeros(rows, *v.shape[1:])
    padded[: v.shape[0]] = v
    return padded
