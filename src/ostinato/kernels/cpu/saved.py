"""What a forward pass saves for the backward pass; and the same as a list of tensors whose shapes are known before it has run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch

from ostinato.kernels.call import CallSpec
from ostinato.kernels.cpu.kernel import Kernel, kernel
from ostinato.kernels.cpu.launch import MaskKind, Route, Where, view
from ostinato.kernels.cpu.passes import aligned, kept_rows
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.cpu.binding import Binding

_version = attrgetter("_version")
# A number, or a torch.SymInt.
_Size = Any


class Saved:
    """What the backward pass needs.

    Args and attributes:
        route: where everything lies.
        given: the tensors as they were read: the input in flat rows, parameters, first states in the order of the places.
        shown: of each layer that is shown and each state, all flat rows in the common order, `(rows, D W)`.
        masks: of each place, in the order of the rows, and of what kind.
        block: see `Route`; None where it is computed again, segment by segment.
        segments: the first states of each of these.
        versions: of `shown` as the forward pass left it. It may lie in the memory of what the user has, and may change.
    """

    def __init__(
        self,
        route: Route,
        given: list[Tensor],
        shown: list[Tensor],
        masks: list[tuple[Tensor, MaskKind]],
        block: Tensor | None = None,
        segments: Sequence[list[Tensor]] = (),
    ) -> None:
        self.route, self.given, self.shown, self.masks = route, given, shown, masks
        self.block, self.segments = block, segments
        # In inference mode there are none, and no backward pass.
        self.versions = [] if torch.is_inference_mode_enabled() else list(map(_version, shown))

    @property
    def changed(self) -> bool:
        """Whether the states are no longer what was computed."""
        return list(map(_version, self.shown)) != self.versions

    def _view(self, where: Where, row: int) -> Tensor:
        """What lies somewhere, `(rows, row)`."""
        source, offset = where
        if source == 0:
            return self.given[0].view(-1, row)
        if source < self.route.block:
            return self.shown[source - len(self.given)].view(-1, row)
        assert self.block is not None
        return view(self.block, offset, self.route.order.total, row)

    def input(self, call: Binding, place: int) -> Tensor:
        """That of a place, `(rows, I)`."""
        return self._view(self.route.inputs[place], call.passes[place].inputs)

    def state(self, call: Binding, place: int, n: int) -> Tensor:
        """A state of a place at every flat row, `(rows, W)`."""
        of, pitch, where = call.passes[place], self.route.pitches[place][n], self.route.states[place][n]
        width = list(of.states.values())[n]
        assert where is not None
        if pitch in (0, width):
            return self._view(where, width)
        begin = place % len(self.route.order.rows) * width
        whole = self._view((where[0], where[1] - begin * of.shape.bytes), pitch)
        return whole[:, begin : begin + width]

    def part(self, call: Binding, place: int, name: tuple[str, str]) -> Tensor:
        """A part of what a place keeps, `(rows, ...)`."""
        total = self.route.order.total
        kept = call.passes[place].kept(total, self.route.pitches[place])
        assert self.block is not None
        return view(self.block, self.route.kept[place] + kept.offsets[name], total, *kept.rows[name])


# As a list of tensors, of a call of one place


def shapes(spec: CallSpec, given: Sequence[Tensor]) -> list[tuple[_Size, ...]]:
    """Of what `pack` gives; only the shapes of `given` are looked at."""
    if spec.segment:
        return []
    compiled = kernel(spec.cell, spec.bias, spec.projected, given[0].dtype is torch.float64)
    assert isinstance(compiled, Kernel)
    letters, (steps, batch) = compiled.description.letters, given[0].shape[:2]
    first = zip(letters.values(), given[-len(letters) :], strict=True)
    width = {letter: v.shape[-1] for letter, v in first} | {"H": given[1].shape[0] // compiled.description.gates}
    rows = kept_rows(compiled.description, compiled.shape, width, spec.shown)
    return [(sum(aligned(steps * batch * math.prod(row)) for row in rows.values()),)]


def pack(call: Binding, given: Sequence[Tensor], saved: Saved | None) -> list[Tensor]:
    """The block, as long as it would be if all rows had all steps; nothing where it is to be computed again."""
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
    """What the backward pass wants, from what was shown, `(T, B, W)`, and what `pack` gave. None of it is written over."""
    order, prepared, noise = call.prepare(given, masks, lengths)
    route = call.route(order, save=True)
    shown = [call.gathered(v, order) for v in kept[: len(call.spec.shown)]]
    return Saved(route, prepared, shown, noise, kept[-1].clone())
