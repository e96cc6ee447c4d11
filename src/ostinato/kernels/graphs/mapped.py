"""The rules of the operators for `torch.vmap`: one call with more rows if that is enough, else one call for each example.

Rows are independent of one another, so a mapped dimension of input, states, lengths and masks is folded into the batch. If a weight
is mapped, or the gradient of a weight is wanted (which is a sum over rows), each example needs a call of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ostinato.kernels.call import operand_names
from ostinato.kernels.graphs.operator_key import read
from ostinato.types import Tensor

_Mapped = tuple[list[Tensor], list[int]]  # results, and the mapped dimension of each


def forward(
    info: Any,
    in_dims: Any,
    what: str,
    given: list[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    save: bool = False,
) -> _Mapped:
    """The rule of `recurrence`.

    It saves nothing, as what is saved would have its rows in another order; the backward pass computes it again.
    """
    op, size = torch.ops.ostinato.recurrence.default, info.batch_size
    if _maps_parameters(what, in_dims[1]):
        return _one_by_one(lambda pick: op(what, pick(given, 1), pick(masks, 2), *pick([lengths], 3)), in_dims, size)
    return _unfolded(op(what, *_folded_operands(what, in_dims, given, masks, lengths, size)), _outputs(what), size)


def backward(
    info: Any,
    in_dims: Any,
    what: str,
    given: list[Tensor],
    masks: list[Tensor],
    lengths: Tensor | None,
    kept: list[Tensor],
    gradients: list[Tensor],
    present: list[bool],
    wanted: list[bool],
) -> _Mapped:
    """The rule of `recurrence_backward`."""
    op, size = torch.ops.ostinato.recurrence_backward.default, info.batch_size
    at_given, _ = _rows_at(what)
    dims = [at for at, here in zip(at_given, wanted, strict=True) if here]
    if None in dims or _maps_parameters(what, in_dims[1]):

        def one(pick: Callable[..., Any]) -> list[Tensor]:
            operands = pick(given, 1), pick(masks, 2), *pick([lengths], 3)
            return op(what, *operands, [], pick(gradients, 5), present, wanted)

        return _one_by_one(one, in_dims, size)
    at_gradients = [at for at, here in zip(_outputs(what), present, strict=True) if here]
    folded = [_folded(v, mapped, at, size) for v, mapped, at in zip(gradients, in_dims[5], at_gradients, strict=True)]
    operands = _folded_operands(what, in_dims, given, masks, lengths, size)
    return _unfolded(op(what, *operands, [], folded, present, wanted), [at for at in dims if at is not None], size)


def _rows_at(what: str) -> tuple[list[int | None], list[int]]:
    """The dimension of `B` in each of `given`, None for a parameter, and in each mask."""
    of = read(what)
    states = len(of.cell.states)
    parameters = len(operand_names(of.cell, of.bias)) - 1 - states
    return [1, *[None] * parameters, *[0] * states], [1 if noise.every_step else 0 for noise in of.cell.noise]


def _outputs(what: str) -> list[int]:
    """The dimension of `B` in each output."""
    of = read(what)
    return [1] * len(of.shown) + [0] * len(of.cell.states)


def _maps_parameters(what: str, mapped: Sequence[int | None]) -> bool:
    at_given, _ = _rows_at(what)
    return any(at is None and dim is not None for at, dim in zip(at_given, mapped, strict=True))


def _folded(v: Tensor, mapped: int | None, dim: int, size: int) -> Tensor:
    """Join the mapped dimension and `B` into one, at `dim`."""
    v = v.unsqueeze(dim).expand(*v.shape[:dim], size, *v.shape[dim:]) if mapped is None else v.movedim(mapped, dim)
    return v.flatten(dim, dim + 1)


def _folded_operands(
    what: str, in_dims: Any, given: list[Tensor], masks: list[Tensor], lengths: Tensor | None, size: int
) -> tuple[list[Tensor], list[Tensor], Tensor | None]:
    at_given, at_masks = _rows_at(what)
    with_rows = zip(given, in_dims[1], at_given, strict=True)
    return (
        [v if at is None else _folded(v, mapped, at, size) for v, mapped, at in with_rows],
        # There may be more masks than the cell has: see `ops`.
        [_folded(v, mapped, at, size) for v, mapped, at in zip(masks, in_dims[2], at_masks, strict=False)],
        None if lengths is None else _folded(lengths, in_dims[3], 0, size),
    )


def _unfolded(found: Sequence[Tensor], dims: list[int], size: int) -> _Mapped:
    return [v.unflatten(dim, (size, v.shape[dim] // size)) for v, dim in zip(found, dims, strict=True)], dims


def _one_by_one(run: Callable[[Callable[..., Any]], list[Tensor]], in_dims: Any, size: int) -> _Mapped:
    """Call `run(pick)` for each example, where `pick(values, n)` gives the example's part of the operator's nth argument."""

    def picking(example: int) -> Callable[..., Any]:
        def pick(values: list[Any], argument: int) -> list[Any]:
            dims = in_dims[argument] if isinstance(in_dims[argument], list | tuple) else [in_dims[argument]]
            return [v if at is None else v.select(at, example) for v, at in zip(values, dims, strict=True)]

        return pick

    found = [torch.stack(each) for each in zip(*(run(picking(n)) for n in range(size)), strict=True)]
    return found, [0] * len(found)
