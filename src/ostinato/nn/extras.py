"""Turn the extras of a cell from the caller's layout into the kernels' layout: columns appended to the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from ostinato.cells.recurrence import Cell
from ostinato.types import Tensor

NONE: frozenset[str] = frozenset()


def check_names(cell: Cell, given: Mapping[str, object], called: str) -> None:
    """Raise `TypeError` unless `given` has exactly the cell's extras; the message begins with `called`."""
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
    """The extras of all time steps as columns, `(T, B, E)` each, or packed `(N, E)`.

    Args:
        cell: the cell that has these extras.
        sizes: the width of each.
        given: the tensors by name, laid out like the input; the last dimension may be left out if the extra is one number a row.
            Truth values count 1 or 0.
        x: the input, `(T, B, I)` or packed `(N, I)`.
        shape: the shape of the input as the caller gave it.
        lay_in: turns the layout of the caller's input into that of `x`.

    Returns:
        The columns, and the names of those that need no gradient, "x" among them if the input needs none.

    Raises:
        TypeError: an extra is not a tensor.
        RuntimeError: an extra has another shape, dtype or device than the input asks for.
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
