"""A call bound to its kernel: a layer's direction, or a whole stack of layers, as two functions of tensors, forward and backward.

Nothing here knows of autograd. What the machine code reads is stored in frames (see `passes`), which are kept from call to call.
What is left for a call is to check that the weights are those that were packed, to take memory for its outputs, and to jump.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import attrgetter

import torch

from ostinato.kernels.call import CallSpec
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.cpu.code.kernel import kernel
from ostinato.kernels.cpu.run import bfloat16
from ostinato.kernels.cpu.run.binding import Binding
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.cpu.run.launch import Launch
from ostinato.kernels.cpu.run.order import Order, order_of_rows
from ostinato.kernels.cpu.run.route import INFERENCE, TRAINING, MaskKind, Part
from ostinato.kernels.cpu.run.saved import Saved
from ostinato.kernels.cpu.run.sizes import MOST_BOUND, sizes_of
from ostinato.types import Tensor

Gradients = list[Tensor | None]
_address, _panels = Tensor.data_ptr, attrgetter("address")


class BoundCall(Binding):
    """A call of a spec at the sizes of a layer, with a `forward` and a `backward` that are functions of tensors."""

    # forward

    def forward(
        self,
        given: Sequence[Tensor],
        masks: Sequence[Tensor],
        lengths: Tensor | None,
        save: bool,
        now: Sequence[object] | None = None,
    ) -> tuple[list[Tensor], Saved | None]:
        """Run the forward pass; give its outputs and, with `save`, what `backward` needs.

        Args:
            given: see `CallSpec`; first states may be missing, for zeros.
            masks: see `CallSpec`; empty for their expectations.
            lengths: the lengths of the rows.
            save: whether a backward pass is to follow.
            now: what `look` gave.
        """
        order, prepared, noise = self.prepare(given, masks, lengths)
        if not order.total:
            return self._empty(self.whole(given, order)), Saved(
                self.route(order, save), prepared, [], noise
            ) if save else None
        in_segments = 0 < self.spec.segment < order.rows[0].steps
        run = self._run_segments if in_segments else self._run
        saved, shown, last = run(order, prepared, noise, save, now=now)
        outputs = [self._spread(v, order, given[0]) for v in shown]
        outputs += last
        return outputs, saved

    def _run(
        self,
        order: Order,
        given: list[Tensor],
        masks: list[tuple[Tensor, MaskKind]],
        save: bool,
        shown: list[Tensor] | None = None,
        now: Sequence[object] | None = None,
    ) -> tuple[Saved | None, list[Tensor], list[Tensor]]:
        """Run all layers over flat rows.

        Args:
            order: the order of the rows.
            given: the tensors, as `prepare` gives them.
            masks: the masks, as `prepare` gives them.
            save: whether `backward` is to follow.
            shown: memory for the outputs; None to take new memory.
            now: what `look` gave.

        Returns:
            What is saved; the outputs, in flat rows; the last states, in the shapes of the first ones and the order of the batch.
        """
        route = self.route(order, save)
        if shown is None:
            rows = given[0].shape[:-1] if order.outside is None else (order.total,)
            shown = [pool.take(*rows, width, dtype=self.dtype) for width in self._shown]
        block = pool.take(max(1, route.numbers), dtype=self.dtype) if save else None
        first = given[self.count - self.states :]
        last = [pool.take(*v.shape[:-2], order.batch, v.shape[-1], dtype=self.dtype) for v in first]
        panels, launch = self.panels(given, now), self.launch(route, TRAINING if save else INFERENCE, masks)
        memory = launch.enter()
        numbers = self.numbers(given, shown, memory if block is None else block.data_ptr(), masks, memory)
        launch.run([*numbers, *map(_address, last), *map(_panels, panels)])
        launch.leave()
        if order.empty is not None:
            at = order.empty if order.sort is None else order.sort[1][order.empty]
            for v, before in zip(last, first, strict=True):
                v[..., order.empty, :] = before[..., at, :]
        return Saved(route, given, shown, masks, block) if save else None, shown, last

    def _run_segments(
        self,
        order: Order,
        given: list[Tensor],
        masks: list[tuple[Tensor, MaskKind]],
        save: bool,
        now: Sequence[object] | None = None,
    ) -> tuple[Saved | None, list[Tensor], list[Tensor]]:
        """Run one segment of time steps after the other, each from the last states of the one before."""
        states = self.passes[0].states
        shown = [pool.take(order.total, states[name], dtype=self.dtype) for name in self.spec.shown]
        firsts, last = [], given[self.count - self.states :]
        for part, flat in order.rows[0].segments(self.spec.segment):
            firsts.append(last)
            own = [v[flat] for v in shown]
            _, _, last = self._run(
                order_of_rows(part), self._cut(given, flat, last), _cut(masks, flat), False, own, now
            )
        saved = Saved(self.route(order, save), given, shown, masks, segments=firsts) if save else None
        return saved, shown, [self._by(v, order, 1) for v in last]

    def _cut(self, given: Sequence[Tensor], flat: slice, first: Sequence[Tensor]) -> list[Tensor]:
        """The tensors of a segment."""
        return [given[0][flat], *given[1 : self.count - self.states], *first]

    def _empty(self, given: Sequence[Tensor]) -> list[Tensor]:
        """What the call gives if all rows are empty."""
        x = given[0]
        shown = [x.new_zeros(*x.shape[:-1], width) for width in self._shown]
        return shown + [v.clone() for v in given[self.count - self.states :]]

    # backward

    def backward(
        self,
        given: Sequence[Tensor],
        saved: Saved,
        changed: bool,
        gradients: Sequence[Tensor | None],
        wanted: Sequence[bool],
        idle: frozenset[str] = frozenset(),
    ) -> Gradients:
        """Compute the gradient of each of `given` that is wanted; None for the others.

        Args:
            given: as in `forward`.
            saved: what `forward` saved. Its block is written over; if there is none, it is computed again.
            changed: whether the outputs have been written to since: they then no longer hold what was computed, and are not ours
                to write.
            gradients: the gradients of what the call gave, None for zeros.
            wanted: for each of `given`, whether its gradient is wanted.
            idle: parts of the input whose gradient is not wanted, see `Request`; it is zero there.
        """
        order, states = saved.route.order, self.states
        given, wanted = self.whole(given, order), [*wanted, *[False] * (self.count - len(wanted))]
        outside, last = gradients[: len(gradients) - states], gradients[len(gradients) - states :]
        if not order.total:
            return self._nothing_back(given, last, wanted)
        flat = [None if d is None else self.gathered(d, order) for d in outside]
        dlast = [None if d is None else self._by(d, order, 0) for d in last]
        found: Gradients = [None] * len(given)
        if saved.segments:
            dx, dfirst = self._segments_back(saved, changed, flat, dlast, wanted, found, idle)
        else:
            dx, dfirst = self._stack_back(saved, changed, flat, dlast, wanted, found, idle)
        if dx is not None and wanted[0]:
            found[0] = self._spread(dx, order, given[0])
        for n, v in enumerate(dfirst, self.count - states):
            if wanted[n]:
                found[n] = self._by(v, order, 1).view(given[n].shape)
        return found

    def _stack_back(
        self,
        saved: Saved,
        changed: bool,
        flat: Sequence[Tensor | None],
        dlast: Sequence[Tensor | None],
        wanted: Sequence[bool],
        found: Gradients,
        idle: frozenset[str],
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Run the backward pass from the last layer to the first.

        Gives the gradient of the input, `(rows, I)`, and those of the first states; those of the parameters are put into `found`.
        """
        if saved.block is None or changed:
            saved = self._saved(saved.route.order, saved.given, saved.masks)
        assert saved.block is not None
        order, states, first = saved.route.order, self.states, self.count - self.states
        part = self._part(wanted, idle)
        dfirst = [pool.take(self.places, order.batch, w, dtype=self.dtype) for w in self.widths if part.has_dfirst]
        dx = pool.take(order.total, self.input_row, dtype=self.dtype) if part.has_dx else None
        if dx is not None and part.idle:
            dx.zero_()
        for (n, is_written), here in zip(self._gradients, wanted[1:first], strict=True):
            if here:
                found[n] = pool.like(saved.given[n]) if is_written else torch.zeros_like(saved.given[n])
        panels, launch = self.panels_back(saved.given, part), self.launch(saved.route, part, saved.masks)
        memory = launch.enter()
        numbers = self.numbers(saved.given, saved.shown, saved.block.data_ptr(), saved.masks, memory)
        for d in (*flat, *dlast):
            numbers += (self._nothing, 0) if d is None else (d.data_ptr(), d.shape[-1] * self.bytes)
        numbers.append(0 if dx is None else dx.data_ptr())
        numbers += map(_address, dfirst) if dfirst else [0] * states
        numbers += [0 if v is None else v.data_ptr() for v in found[1:first]]
        numbers += [0 if each is None else each.address for each in panels]
        between = None
        if self.spec.bf16:
            between = partial(self._in_bfloat16, launch, saved, dx, found)
        launch.run(numbers, between)
        launch.leave()
        return dx, dfirst

    def _part(self, wanted: Sequence[bool], idle: frozenset[str]) -> Part:
        """The part to run for these gradients: it ends at the lowest layer in which one is wanted."""
        if (found := self._parts.get(key := (*wanted, idle))) is None:
            if len(self._parts) >= MOST_BOUND:
                self._parts.clear()
            found = self._parts[key] = self._part_of(wanted, idle)
        return found

    def _part_of(self, wanted: Sequence[bool], idle: frozenset[str]) -> Part:
        lowest, each = 0, self.directions * self.each
        has_dfirst = any(wanted[self.count - self.states :])
        if not has_dfirst and not wanted[0]:
            layers = (n for n in range(self.spec.layers) if any(wanted[1 + n * each : 1 + (n + 1) * each]))
            lowest = next(layers, self.spec.layers - 1)
        return Part("backward", lowest, wanted[0], has_dfirst, idle)

    def _in_bfloat16(self, launch: Launch, saved: Saved, dx: Tensor | None, found: Gradients, layer: int) -> None:
        for place in range(layer * self.directions, (layer + 1) * self.directions):
            of = self.passes[place]
            at = {name: found[self.parameter(place, name)] for name in of.matrices}
            own = launch.gradient(place, dx, of.inputs)
            bfloat16.gradients(self, saved, place, own, {n: v for n, v in at.items() if v is not None})

    def _saved(
        self, order: Order, given: list[Tensor], masks: list[tuple[Tensor, MaskKind]], shown: list[Tensor] | None = None
    ) -> Saved:
        """Run a forward pass only for what it saves."""
        saved, _, _ = self._run(order, given, masks, True, shown)
        assert saved is not None
        return saved

    def _segments_back(
        self,
        saved: Saved,
        changed: bool,
        flat: Sequence[Tensor | None],
        dlast: Sequence[Tensor | None],
        wanted: Sequence[bool],
        found: Gradients,
        idle: frozenset[str],
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Compute each segment again, from the last to the first, and add the gradients up (Gruslys et al. 2016)."""
        order = saved.route.order
        # The outputs are written again, with the same numbers, unless somebody has changed them: those are not ours to write.
        shown = [torch.empty_like(v) for v in saved.shown] if changed else saved.shown
        dx = torch.empty_like(saved.given[0]) if wanted[0] else None
        # The gradients of all states pass from segment to segment.
        first_at, all_states = self.count - self.states, [True] * self.states
        carried = dlast
        segments = list(zip(order.rows[0].segments(self.spec.segment), saved.segments, strict=True))
        for (part, cut), first in reversed(segments):
            given, masks = self._cut(saved.given, cut, first), _cut(saved.masks, cut)
            own = self._saved(order_of_rows(part), given, masks, [v[cut] for v in shown])
            each: Gradients = [None] * len(given)
            outside = [None if d is None else d[cut] for d in flat]
            these = [*wanted[:first_at], *all_states]
            below, carried = self._stack_back(own, False, outside, carried, these, each, idle)
            if dx is not None and below is not None:
                dx[cut] = below
            for n, v in enumerate(each):
                if v is not None:
                    found[n] = v if (total := found[n]) is None else total.add_(v)
        return dx, [v for v in carried if v is not None]

    def _nothing_back(
        self, given: Sequence[Tensor], last: Sequence[Tensor | None], wanted: Sequence[bool]
    ) -> Gradients:
        """The gradients if all rows are empty: zeros, and for the first states those of the last states."""
        before = [None] * (len(given) - len(last))
        return [
            (torch.zeros_like(v) if d is None else d) if here else None
            for v, d, here in zip(given, [*before, *last], wanted, strict=True)
        ]


def _cut(masks: Sequence[tuple[Tensor, MaskKind]], flat: slice) -> list[tuple[Tensor, MaskKind]]:
    """The masks of a segment."""
    return [(v[flat] if kind == "flat" else v, kind) for v, kind in masks]


def bound(spec: CallSpec, given: Sequence[Tensor]) -> BoundCall:
    """The bound call of a spec at the sizes of these tensors; made once and kept with the cell.

    Raises:
        Unsupported: if the compiler does not take the cell.
    """
    cell = spec.cell
    compiled = kernel(cell, spec.bias, spec.projected, given[0].dtype is torch.float64)
    if isinstance(compiled, Unsupported):
        raise Unsupported(str(compiled))  # a new one: an exception that is raised keeps the frames it goes through
    inputs, hidden, output = sizes_of(spec, given)
    # Stored on the cell: a global table of cells would keep every cell alive.
    known: dict[object, BoundCall] = vars(cell).setdefault("_bound", {})
    key = spec, inputs, hidden, output, compiled.shape.double
    found = known.get(key)
    if found is None or found.kernel is not compiled:
        while len(known) >= MOST_BOUND:
            known.pop(next(iter(known)), None)
        found = known[key] = BoundCall(spec, compiled, inputs, hidden, output)
    return found
