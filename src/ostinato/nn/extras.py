"""A cell's extras, as a layer's caller gives them and as the kernels want them: in columns behind the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from ostinato.cells.recurrence import Cell
from ostinato.types import Tensor

NONE: frozenset[str] = frozenset()


def check_names(cell: Cell, given: Mapping[str, object], called: str) -> None:
    """Raise `TypeError` unless these are the cell's extras, all of them and no others."""
    if unknown := [name for name in given if name not in cell.extras]:
        raise TypeError(
            f"{called} got an unexpected keyword argument {unknown[0]!r}"
            + (f"; the extras of cell {cell.name!r} are {', '.join(cell.extras)}" if cell.extras else "")
        )
    if missing := [name for name in cell.extras if given.get(name) is None]:
        call = ", ".join(f"{name}=..." for name in cell.extras)
        raise TypeError(
            f"{called} expected the extras of cell {cell.name!r} by name, ({call}); {missing[0]!r} is missing"
        )


def beside(
    cell: Cell,
    sizes: Mapping[str, int],
    given: Mapping[str, Any],
    x: Tensor,
    shape: Sequence[int],
    lay_in: Callable[[Tensor], Tensor],
) -> tuple[list[Tensor], frozenset[str]]:
    """The extras of all time steps in columns, `(T, B, E)` each, or packed `(N, E)`; and of them and "x", what needs no gradient.

    Args:
        cell: whose extras they are.
        sizes: the width of each.
        given: by name, laid out like the input; without a last dimension where the width is one number a row. Truth values count
            1 or 0.
        x: the input, `(T, B, I)` or packed `(N, I)`.
        shape: of the input as the caller gave it.
        lay_in: from the layout of the caller's input to that of `x`.

    Raises:
        TypeError: for what is no tensor.
        RuntimeError: for another shape or dtype than the input's.
    """
    columns: list[Tensor] = []
    idle = [] if x.requires_grad else ["x"]
    for name, size in sizes.items():
        v = given[name]
        v = v.data if isinstance(v, PackedSequence) else v
        if not isinstance(v, torch.Tensor):
            raise TypeError(f"{name} expected a tensor, got {type(v).__name__}")
        if v.dtype is torch.bool:
            v = v.to(x.dtype)
        if v.dtype is not x.dtype or v.device != x.device:
            raise RuntimeError(
                f"{name} expected {x.dtype} on {x.device}, as the input is, got {v.dtype} on {v.device}; "
                f"convert it: .to(device, {x.dtype})"
            )
        got, is_number = tuple(v.shape), cell.extras[name] == "1"
        if is_number and v.dim() == len(shape) - 1:
            v = v.unsqueeze(-1)
        whole = lay_in(v) if v.dim() == len(shape) else v
        if tuple(whole.shape) != (*x.shape[:-1], size):
            expected = tuple(shape[:-1]) if is_number else (*shape[:-1], size)
            raise RuntimeError(
                f"{name} expected one entry for each time step and row of the input, laid out like it, {expected}; got {got}"
            )
        columns.append(whole)
        if not whole.requires_grad:
            idle.append(name)
    return columns, frozenset(idle)
