"""What a forward pass of one place saves, as a list of tensors whose shapes are known before it runs: graphs need that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ostinato.kernels.call import CallSpec
from ostinato.kernels.cpu.code.kernel import Kernel, kernel
from ostinato.kernels.cpu.run.binding import Binding
from ostinato.kernels.cpu.run.passes import aligned, kept_rows
from ostinato.kernels.cpu.run.saved import Saved
from ostinato.types import Tensor

# A number, or a torch.SymInt.
_Size = Any


def shapes(spec: CallSpec, given: Sequence[Tensor]) -> list[tuple[_Size, ...]]:
    """The shapes of the tensors that `pack` gives; only the shapes of `given` are read."""
    if spec.segment:
        return []
    compiled = kernel(spec.cell, spec.bias, spec.projected, given[0].dtype is torch.float64)
    assert isinstance(compiled, Kernel)
    letters, (steps, batch) = compiled.description.letters, given[0].shape[:2]
    weight, first = given[1], zip(letters.values(), given[-len(letters) :], strict=True)
    width: dict[str, _Size] = {"I": weight.shape[1], "1": 1, **spec.cell.widths}
    width |= {letter: v.shape[-1] for letter, v in first} | {"H": weight.shape[0] // len(spec.cell.input_gates)}
    rows = kept_rows(compiled.description, compiled.shape, width, spec.shown)
    return [(sum(aligned(steps * batch * math.prod(row)) for row in rows.values()),)]


def pack(call: Binding, given: Sequence[Tensor], saved: Saved | None) -> list[Tensor]:
    """The block, padded to its length if all rows had all steps; an empty list if it is to be computed again."""
    if saved is None:
        return []
    ((numbers,),) = shapes(call.spec, given)
    if saved.block is not None and saved.block.numel() == numbers:
        return [saved.block]
    block = given[0].new_zeros(numbers)
    if saved.block is not None:
        block[: saved.block.numel()] = saved.block
    return [block]


def unpack(call: Binding, given: Sequence[Tensor], masks: Sequence[Tensor], lengths: Tensor | None,
           kept: Sequence[Tensor]) -> Saved:  # fmt: skip
    """Make a `Saved` from `kept`: the outputs, `(T, B, W)`, and what `pack` gave. The backward pass writes over none of these."""
    order, prepared, noise = call.prepare(given, masks, lengths)
    route = call.route(order, save=True)
    shown = [call.gathered(v, order) for v in kept[: len(call.spec.shown)]]
    return Saved(route, prepared, shown, noise, kept[-1].clone())
