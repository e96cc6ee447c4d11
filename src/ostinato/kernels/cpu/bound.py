"""A call bound to its kernel: a layer's direction, or a whole stack of layers, as two functions of tensors, forward and backward.

Nothing here knows of autograd. What the machine code must be told lies in frames (see `passes`), which are kept from call to call;
what is left for a call is to see that the weights are those that were packed, to take memory for what it gives, and to jump.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import torch

from ostinato.kernels.call import CallSpec
from ostinato.kernels.cpu import late, moving
from ostinato.kernels.cpu.binding import MOST_BOUND, Binding, sizes_of
from ostinato.kernels.cpu.kernel import kernel
from ostinato.kernels.cpu.launch import Launch, MaskKind, Route
from ostinato.kernels.cpu.memory import pool
from ostinato.kernels.cpu.order import Order, order_of_rows
from ostinato.kernels.cpu.passes import Frame
from ostinato.kernels.cpu.saved import Saved
from ostinato.kernels.graph import Unsupported
from ostinato.types import Tensor

Gradients = list[Tensor | None]


class BoundCall(Binding):
    """A call of a spec, at the sizes of a layer, as two functions of tensors."""

    # forward

    def forward(
        self, given: Sequence[Tensor], masks: Sequence[Tensor], lengths: Tensor | None, save: bool
    ) -> tuple[list[Tensor], Saved | None]:
        """What the call gives, see `CallSpec`; and with `save` what `backward` needs."""
        order, prepared, noise = self.prepare(given, masks, lengths)
        if not order.total:
            return self._nothing(given), Saved(self.route(order, save), prepared, [], noise) if save else None
        in_segments = 0 < self.spec.segment < order.rows[0].steps
        run = self._run_segments if in_segments else self._run
        saved, shown, last = run(order, prepared, noise, save)
        outputs = [self._spread(v, order, given[0]) for v in shown]
        outputs += last if given[-1].dim() == 3 else [v[0] for v in last]
        return outputs, saved

    def _run(
        self,
        order: Order,
        given: list[Tensor],
        masks: list[tuple[Tensor, MaskKind]],
        save: bool,
        shown: list[Tensor] | None = None,
    ) -> tuple[Saved | None, list[Tensor], list[Tensor]]:
        """All layers over flat rows.

        Args:
            order: of the rows.
            given: that were prepared.
            masks: that were prepared.
            save: whether `backward` is to follow.
            shown: where to write what is shown; else there is memory for it.

        Returns:
            What is saved; what is shown, in flat rows; the last states, `(places, B, W)` each, in the order of the batch.
        """
        directions, places = self._directions, self._places
        route = self.route(order, save)
        launch, beside = self._enter(route, "training" if save else "inference", [kind for _, kind in masks])
        if shown is None:
            rows = given[0].shape[:-1] if order.outside is None else (order.total,)
            shown = [pool.take(*rows, width, dtype=self.dtype) for width in self._shown]
        block = pool.take(max(1, route.numbers), dtype=self.dtype) if save else None
        last = [pool.take(places, order.batch, width, dtype=self.dtype) for width in self._widths]
        addresses = self._addresses_of(given, shown, launch.block if block is None else block.data_ptr(), masks)
        self._pack(launch, given)
        to = [v.data_ptr() for v in last]
        for place in range(places):
            launch.feed(place, addresses)
            for final in launch.finals[place]:
                final.fields[0] = to[final.state] + final.to
                if final.source is not None:
                    final.fields[1] = addresses[final.source[0]] + final.source[1]
        if launch.at_once is not None and not beside:
            launch.at_once()
        else:
            for begin in range(0, places, directions):
                self._run_layer(launch, begin, addresses, beside)
        launch.leave()
        if order.empty is not None:
            at = order.empty if order.sort is None else order.sort[1][order.empty]
            for v, first in zip(last, given[self.count - self._states :], strict=True):
                v[:, order.empty] = _whole(first)[:, at]
        return Saved(route, given, shown, masks, block) if save else None, shown, last

    def _run_layer(self, launch: Launch, begin: int, addresses: Sequence[int], beside: bool) -> None:
        """The directions of a layer, on several threads or with orders of their own; `begin`: the first one's place."""
        route, places = launch.route, range(begin, begin + self._directions)
        for place in places:
            self._turn(route, place, addresses)
        self._launch([launch.frames[place] for place in places], beside)
        for place in places:
            for final in launch.finals[place]:
                self._move(ctypes.addressof(final.fields), 0, 1)
            self._turn_back(route, place, addresses)

    def _turn(self, route: Route, place: int, addresses: Sequence[int]) -> None:
        """Have the input in the order of a direction that has its own."""
        layer, d = divmod(place, self._directions)
        if (turned := route.order.turned[d]) is not None:
            row = self.passes[place].inputs * self.bytes
            to, source = (addresses[n] + offset for n, offset in (route.inputs[place], route.below(self, layer)))
            moving.copy(self.functions, to, row, source, row, turned[0], self.passes[place].inputs)

    def _turn_back(self, route: Route, place: int, addresses: Sequence[int]) -> None:
        """Have the states of such a direction in the common order."""
        layer, d = divmod(place, self._directions)
        if (turned := route.order.turned[d]) is None:
            return
        for where, (name, width) in zip(route.states[place], self.passes[place].states.items(), strict=True):
            if (common := route.outputs.get((layer, name))) is not None and where is not None:
                row = width * self.bytes
                to, source = addresses[common[0]] + common[1] + d * row, addresses[where[0]] + where[1]
                moving.copy(self.functions, to, self._directions * row, source, row, turned[1], width)

    def _run_segments(
        self, order: Order, given: list[Tensor], masks: list[tuple[Tensor, MaskKind]], save: bool
    ) -> tuple[Saved | None, list[Tensor], list[Tensor]]:
        """A segment of the time steps after the other, each from the last states of the one before."""
        states = self.passes[0].states
        shown = [pool.take(order.total, states[name], dtype=self.dtype) for name in self.spec.shown]
        firsts, last = [], [_whole(v) for v in given[self.count - self._states :]]
        for part, flat in order.rows[0].segments(self.spec.segment):
            firsts.append(last)
            own = [v[flat] for v in shown]
            _, _, last = self._run(order_of_rows(part), self._cut(given, flat, last), _cut(masks, flat), False, own)
        saved = Saved(self.route(order, save), given, shown, masks, segments=firsts) if save else None
        return saved, shown, [self._by(v, order, 1) for v in last]

    def _cut(self, given: Sequence[Tensor], flat: slice, first: Sequence[Tensor]) -> list[Tensor]:
        """The tensors of a segment."""
        return [given[0][flat], *given[1 : self.count - self._states], *first]

    def _nothing(self, given: Sequence[Tensor]) -> list[Tensor]:
        """Where all rows are empty."""
        x = given[0]
        shown = [x.new_zeros(*x.shape[:-1], width) for width in self._shown]
        return shown + [v.clone() for v in given[self.count - self._states :]]

    # backward

    def backward(
        self,
        given: Sequence[Tensor],
        saved: Saved,
        gradients: Sequence[Tensor | None],
        wanted: Sequence[bool],
    ) -> Gradients:
        """The gradient of each of `given` that is wanted, None for the others.

        Args:
            given: as in `forward`.
            saved: what it saved. Its block is written over; a second call computes it again.
            gradients: of what the call gave, None for zeros.
            wanted: for each of `given` whether its gradient is.
        """
        order, states = saved.route.order, self._states
        outside, last = gradients[: len(gradients) - states], gradients[len(gradients) - states :]
        if not order.total:
            return self._nothing_back(given, last, wanted)
        flat = [None if d is None else self.gathered(d, order) for d in outside]
        dlast = [None if d is None else self._by(d, order, 0) for d in last]
        found: Gradients = [None] * len(given)
        back = self._segments_back if saved.segments else self._stack_back
        dx, dfirst = back(saved, flat, dlast, wanted, found)
        if dx is not None and wanted[0]:
            found[0] = self._spread(dx, order, given[0])
        for n, v in enumerate(dfirst, self.count - states):
            if wanted[n]:
                found[n] = self._by(v, order, 1).view(given[n].shape)
        return found

    def _stack_back(
        self,
        saved: Saved,
        flat: Sequence[Tensor | None],
        dlast: Sequence[Tensor | None],
        wanted: Sequence[bool],
        found: Gradients,
    ) -> tuple[Tensor | None, list[Tensor]]:
        """From the last layer to the first. Gives the gradient of the input, `(rows, I)`, and those of the first states."""
        spec, shown = self.spec, len(self.spec.shown)
        if saved.changed or not saved.fresh:
            # What was shown is not ours to change any more.
            saved = self._saved(saved.route.order, saved.given, saved.masks)
        saved.fresh = False
        places, batch = self._places, saved.route.order.batch
        is_asked = any(wanted[self.count - self._states :])
        dfirst = [pool.take(places, batch, width, dtype=self.dtype) for width in self._widths if is_asked]
        launch, beside = self._enter(saved.route, "backward", [kind for _, kind in saved.masks])
        assert saved.block is not None
        addresses = self._addresses_of(saved.given, saved.shown, saved.block.data_ptr(), saved.masks)
        dx = None
        for layer in reversed(range(spec.layers)):
            outside: dict[str, Tensor | None] = {}
            if spec.every_state or layer == spec.layers - 1:
                begin = layer * shown if spec.every_state else 0
                outside |= zip(spec.shown, flat[begin : begin + shown], strict=True)
            if dx is not None:
                above = outside.get(self._output)
                outside[self._output] = dx if above is None else above + dx
            goes_on = any(wanted[: 1 + layer * self._directions * self._each])
            goes_on = goes_on or (layer > 0 and is_asked)
            dx = self._layer_back(
                launch, saved, addresses, layer, outside, dlast, dfirst, wanted, found, goes_on, beside
            )
            if not goes_on:
                break
        launch.leave()
        return dx, dfirst

    def _saved(
        self, order: Order, given: list[Tensor], masks: list[tuple[Tensor, MaskKind]], shown: list[Tensor] | None = None
    ) -> Saved:
        """What a forward pass saves, which is run for that alone."""
        saved, _, _ = self._run(order, given, masks, True, shown)
        assert saved is not None
        return saved

    def _layer_back(
        self,
        launch: Launch,
        saved: Saved,
        addresses: Sequence[int],
        layer: int,
        outside: Mapping[str, Tensor | None],
        dlast: Sequence[Tensor | None],
        dfirst: Sequence[Tensor],
        wanted: Sequence[bool],
        found: Gradients,
        goes_on: bool,
        beside: bool,
    ) -> Tensor | None:
        """One layer: fills `found` and `dfirst`; gives, if it goes on, the gradient of its input in the common order."""
        order = saved.route.order
        places = range(layer * self._directions, (layer + 1) * self._directions)
        inputs = [pool.take(order.total, self.passes[p].inputs, dtype=self.dtype) if goes_on else None for p in places]
        for place, dx in zip(places, inputs, strict=True):
            launch.feed(place, addresses)
            self._feed_back(launch, saved, addresses, place, outside, dlast, wanted, found, dx)
        self._launch([launch.frames[place] for place in places], beside)
        for place, dx in zip(places, inputs, strict=True):
            if self.passes[place].bf16:
                at = {name: found[self.parameter(place, name)] for name in self.passes[place].matrices}
                late.in_bfloat16(self, saved, place, dx, {n: v for n, v in at.items() if v is not None})
            for n, to in enumerate(dfirst):
                bytes_ = order.batch * self._widths[n] * self.bytes
                ctypes.memmove(to.data_ptr() + place * bytes_, launch.carry(place, n) + bytes_, bytes_)
        total = inputs[0]
        for turned, dx in zip(order.turned[1:], inputs[1:], strict=True):
            if total is not None and dx is not None:
                total.add_(dx if turned is None else moving.moved(dx, turned[1], self.functions))
        return total

    def _feed_back(
        self,
        launch: Launch,
        saved: Saved,
        addresses: Sequence[int],
        place: int,
        outside: Mapping[str, Tensor | None],
        dlast: Sequence[Tensor | None],
        wanted: Sequence[bool],
        found: Gradients,
        dx: Tensor | None,
    ) -> None:
        """Tell a frame what the backward part reads and writes besides; puts gradients of parameters into `found`."""
        of, frame, order = self.passes[place], launch.frames[place], saved.route.order
        fields, at, d = frame.fields, frame.at, place % self._directions
        made = self._make_gradients(place, saved.given, wanted, found)
        in_code = not of.bf16  # else torch's products do what comes once for all time steps
        self._pack_back(launch, place, saved.given, with_input=dx is not None and in_code)
        for (field, row), (name, width) in zip(at.outside, of.states.items(), strict=True):
            if (gradient := outside.get(name)) is None:
                fields[field], fields[row] = of.nothing.data_ptr(), 0
                continue
            if (turned := order.turned[d]) is not None:
                gradient = moving.moved(gradient[:, d * width : (d + 1) * width], turned[0], self.functions)
                launch.held.append(gradient)
            begin = 0 if turned is not None else d * width
            fields[field] = gradient.data_ptr() + begin * self.bytes
            fields[row] = gradient.shape[1] * self.bytes
        for n, (width, last) in enumerate(zip(self._widths, dlast, strict=True)):
            bytes_, to = order.batch * width * self.bytes, launch.carry(place, n)
            if last is None:
                ctypes.memset(to, 0, 2 * bytes_)
            else:
                for half in (0, bytes_):
                    ctypes.memmove(to + half, last.data_ptr() + place * bytes_, bytes_)
        fields[at.dx] = dx.data_ptr() if dx is not None and in_code else 0
        for field, name in zip(at.dvectors, of.vectors, strict=True):
            fields[field] = made[name].data_ptr() if name in made else 0
        seen = set()
        for k, ((field, add), (name, _)) in enumerate(zip(at.dweights, of.packings, strict=True)):
            fields[add] = int(name in seen)
            fields[field] = made[name].data_ptr() if name in made and in_code else 0
            seen.add(name)
            if fields[field]:
                self._find_sources(frame, saved.route, addresses, place, k)

    def _find_sources(self, frame: Frame, route: Route, addresses: Sequence[int], place: int, k: int) -> None:
        """Tell where what entered a product lies, row by row; `k` 0 is the input's."""
        of = self.passes[place]
        if k == 0:
            n, offset = route.inputs[place]
            frame.sources["x"].place(addresses[n] + offset)
            return
        name, sources = of.described.products[k - 1].state, frame.sources[str(k - 1)]
        if name is None:
            sources.place(addresses[route.block] + route.kept[place] + frame.kept.offsets["enters", str(k - 1)])
            return
        state = list(of.states).index(name)
        where = route.states[place][state]
        assert where is not None
        first = addresses[self.count - self._states + state] + place * route.order.batch * of.states[name] * self.bytes
        sources.place(addresses[where[0]] + where[1], first)

    def _make_gradients(
        self, place: int, given: Sequence[Tensor], wanted: Sequence[bool], found: Gradients
    ) -> dict[str, Tensor]:
        """Memory for those of a place's parameters; zeros where not all of it is written."""
        made: dict[str, Tensor] = {}
        for n, name, is_written in self._gradients[place]:
            if wanted[n]:
                found[n] = made[name] = pool.like(given[n]) if is_written else torch.zeros_like(given[n])
        return made

    def _segments_back(
        self,
        saved: Saved,
        flat: Sequence[Tensor | None],
        dlast: Sequence[Tensor | None],
        wanted: Sequence[bool],
        found: Gradients,
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Compute each segment again, from the last to the first, and add the gradients up (Gruslys et al. 2016)."""
        order = saved.route.order
        # What was shown is written again with the same numbers, unless it has others now, which are not ours to change.
        shown = [torch.empty_like(v) for v in saved.shown] if saved.changed else saved.shown
        dx = torch.empty_like(saved.given[0]) if wanted[0] else None
        first_at, all_states = self.count - self._states, [True] * self._states  # which go from segment to segment
        carried = dlast
        segments = list(zip(order.rows[0].segments(self.spec.segment), saved.segments, strict=True))
        for (part, cut), first in reversed(segments):
            given, masks = self._cut(saved.given, cut, first), _cut(saved.masks, cut)
            own = self._saved(order_of_rows(part), given, masks, [v[cut] for v in shown])
            each: Gradients = [None] * len(given)
            outside = [None if d is None else d[cut] for d in flat]
            below, carried = self._stack_back(own, outside, carried, [*wanted[:first_at], *all_states], each)
            if dx is not None and below is not None:
                dx[cut] = below
            for n, v in enumerate(each):
                if v is not None:
                    found[n] = v if (total := found[n]) is None else total.add_(v)
        return dx, [v for v in carried if v is not None]

    def _nothing_back(
        self, given: Sequence[Tensor], last: Sequence[Tensor | None], wanted: Sequence[bool]
    ) -> Gradients:
        """Zeros that are there, and the last states' gradients handed to the first states."""
        before = [None] * (len(given) - len(last))
        return [
            (torch.zeros_like(v) if d is None else d) if here else None
            for v, d, here in zip(given, [*before, *last], wanted, strict=True)
        ]


def _whole(v: Tensor) -> Tensor:
    """States with their places."""
    return v if v.dim() == 3 else v[None]


def _cut(masks: Sequence[tuple[Tensor, MaskKind]], flat: slice) -> list[tuple[Tensor, MaskKind]]:
    """The masks of a segment."""
    return [(v[flat] if kind == "flat" else v, kind) for v, kind in masks]


def bound(spec: CallSpec, given: Sequence[Tensor]) -> BoundCall:
    """That of a spec at the sizes of these tensors.

    Raises:
        Unsupported: where the compiler does not take the cell.
    """
    cell = spec.cell
    compiled = kernel(cell, spec.bias, spec.projected, given[0].dtype is torch.float64)
    if isinstance(compiled, Unsupported):
        raise Unsupported(str(compiled))  # another one, as what is raised keeps the frames that it goes through
    inputs, hidden, output = sizes_of(spec, given)
    # Kept with the cell: a table of cells would keep them for good.
    known: dict[object, BoundCall] = vars(cell).setdefault("_bound", {})
    key = spec, inputs, hidden, output, compiled.shape.double
    found = known.get(key)
    if found is None or found.kernel is not compiled:
        while len(known) >= MOST_BOUND:
            known.pop(next(iter(known)), None)
        found = known[key] = BoundCall(spec, compiled, inputs, hidden, output)
    return found
