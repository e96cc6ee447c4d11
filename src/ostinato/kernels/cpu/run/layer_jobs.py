"""The frames and jobs of a call's layers, forward and backward, made once for a kind of batch; `Jobs` adds a call's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from ostinato.kernels.cpu.run.jobs import Job, Jobs, Where
from ostinato.kernels.cpu.run.order import Ways
from ostinato.kernels.cpu.run.passes import Frame, Sources, Team, aligned
from ostinato.kernels.cpu.run.route import MaskKind, Part, Route
from ostinato.kernels.cpu.run.sizes import Sizes
from ostinato.types import Tensor


class Layer(NamedTuple):
    """One layer of a launch: a frame for each direction, and the jobs that run before and after them."""

    number: int
    before: list[Job]
    frames: list[Frame]
    behind: list[Job]


class LayerJobs:
    """Makes the frames and jobs of a launch.

    Attributes:
        layers: the layers in the order in which they run.
        jobs: the object that stores the numbers of a call in fields.
        count: how many numbers a call has.
        numbers: the size of the memory that is needed during the call, in numbers of the dtype.
        dx: for each place whose input has a gradient, where that is stored.
    """

    def __init__(self, call: Sizes, route: Route, part: Part, masks: Sequence[MaskKind], teams: Sequence[Team]) -> None:
        self._call, self._route, self._part, self._masks, self._teams = call, route, part, masks, teams
        self._spec, self._order, self._bytes = call.spec, route.order, call.bytes
        self._directions, self._states = len(call.spec.directions), len(call.spec.cell.states)
        self._own = route.memory + 1  # the first of the numbers that only this pass, forward or backward, has
        self.jobs = Jobs(call.functions)
        self.dx: dict[int, Where] = {}
        self.layers: list[Layer] = []
        self.numbers = 0 if route.save else route.numbers
        self.count = 0
        self._begins: dict[int, int] = {}  # of each place's memory

    def _take(self, numbers: int) -> Where:
        """Reserve memory that is needed during the call."""
        where = self._route.memory, self.numbers * self._bytes
        self.numbers += aligned(numbers)
        return where

    def _places(self, layer: int) -> range:
        return range(layer * self._directions, (layer + 1) * self._directions)

    def _move(
        self,
        to: Where,
        source: Where | int,
        places: Tensor,
        width: int,
        rows: tuple[int, int | Where] | None = None,
        name: str = "move_share",
    ) -> Job:
        """A job that copies rows of `width` numbers to other places; `rows`: bytes from row to row in `to` and in `source`."""
        self.jobs.hold(places)
        to_row, from_row = rows or (width * self._bytes,) * 2
        count = places.numel()
        fields = to, source, places.data_ptr(), count, width, to_row, from_row
        return self.jobs.make(name, *fields, bytes=count * width * self._bytes)

    def _frame(self, place: int) -> Frame:
        """The frame of a place, with the fields set that the forward and the backward pass both read."""
        call, route, of = self._call, self._route, self._call.passes[place]
        rows = route.order.rows[place % self._directions]
        frame = of.frame(self._part.name, rows, self._teams[place], route.pitches[place])
        at, batch, first = frame.at, route.order.batch, call.count - self._states
        self._begins[place] = self.numbers
        self.numbers += frame.numbers
        for field, offset in frame.scratch:
            self._tell(frame, field, self._scratch(place, offset))
        self._tell(frame, at.x, route.inputs[place])
        for n, (field, width) in enumerate(zip(at.first, of.states.values(), strict=True)):
            self._tell(frame, field, (first + n, place * batch * width * self._bytes))
        for field, where in zip(at.state, route.states[place], strict=True):
            if where is not None:
                self._tell(frame, field, where)
        for field, name in zip(at.vectors, of.vectors, strict=True):
            self._tell(frame, field, (call.parameter(place, name), 0))
        noise = self._spec.cell.noise
        masks = self._masks[place * len(noise) : (place + 1) * len(noise)]
        for n, ((field, flat, row), kind, each) in enumerate(zip(at.masks, masks, noise, strict=True)):
            self._tell(frame, field, (route.block + 1 + place * len(noise) + n, 0))
            frame.fields[flat] = int(kind == "flat")
            frame.fields[row] = 0 if kind == "one" else of.states[each.state] * self._bytes
        for name, offset in frame.kept.offsets.items():
            if name[0] != "state":
                self._tell(frame, at.kept[name], (route.block, route.kept[place] + offset))
        self.jobs.hold(frame)
        return frame

    def _scratch(self, place: int, offset: int) -> Where:
        """Where a place's memory during the call is stored, from `offset` numbers on."""
        return self._route.memory, (self._begins[place] + offset) * self._bytes

    def _tell(self, frame: Frame, field: int, where: Where) -> None:
        if field != frame.at.nowhere:
            self.jobs.tell(frame.fields, field, where)


class ForwardJobs(LayerJobs):
    """The frames and jobs of the parts "inference" and "training"."""

    def __init__(self, call: Sizes, route: Route, part: Part, masks: Sequence[MaskKind], teams: Sequence[Team]) -> None:
        super().__init__(call, route, part, masks, teams)
        self._panels = self._own + self._states
        self.count = self._panels + len(call.packed_from)
        self.layers += map(self._layer, range(call.spec.layers))

    def _layer(self, layer: int) -> Layer:
        made, below = Layer(layer, [], [], []), self._route.below(self._call, layer)
        for place, turned in zip(self._places(layer), self._order.turned, strict=True):
            of, frame = self._call.passes[place], self._frame(place)
            made.frames.append(frame)
            for n, field in enumerate(frame.at.panels, self._panels + place * len(frame.at.panels)):
                self._tell(frame, field, (n, 0))
            made.behind.extend(self._last(place, frame))
            if turned is not None:
                made.before.append(self._move(self._route.inputs[place], below, turned[0], of.input_row))
                made.behind.extend(self._turn_back(layer, place, turned[1]))
        return made

    def _last(self, place: int, frame: Frame) -> Iterator[Job]:
        """The jobs that copy a place's last states to where the caller gets them."""
        of, finals = self._call.passes[place], self._order.finals[place % self._directions]
        for n, (width, pitch) in enumerate(zip(of.states.values(), self._route.pitches[place], strict=True)):
            where, row = self._route.states[place][n], width * self._bytes
            places = finals.ring if where is None else finals.flat
            source = where or self._scratch(place, frame.rings[n])
            to = self._own + n, place * self._order.batch * row
            yield self._move(to, source, places, width, (row, pitch * self._bytes or row))

    def _turn_back(self, layer: int, place: int, back: Tensor) -> Iterator[Job]:
        """The jobs that bring the states of a direction with its own order of rows into the common order."""
        route, d = self._route, place % self._directions
        for where, (name, width) in zip(route.states[place], self._call.passes[place].states.items(), strict=True):
            if (common := route.outputs.get((layer, name))) is not None and where is not None:
                row = width * self._bytes
                to = common[0], common[1] + d * row
                yield self._move(to, where, back, width, (self._directions * row, row))


class BackwardJobs(LayerJobs):
    """The frames and jobs of the part "backward"."""

    def __init__(self, call: Sizes, route: Route, part: Part, masks: Sequence[MaskKind], teams: Sequence[Team]) -> None:
        super().__init__(call, route, part, masks, teams)
        self._dlast = self._own + 2 * route.shown
        self._dx = self._dlast + 2 * self._states
        self._dfirst = self._dx + 1
        self._dparameters = self._dfirst + self._states
        self._panels = self._dparameters + call.spec.places * len(call.spec.parameters)
        self.count = self._panels + sum(len(of.transposed) for of in call.passes)
        self._in_code = not call.spec.bf16  # in bfloat16 torch multiplies what is needed once for all time steps
        self.layers += map(self._layer, reversed(range(part.lowest, call.spec.layers)))

    def _layer(self, layer: int) -> Layer:
        made, has_dx = Layer(layer, [], [], []), layer > self._part.lowest or self._part.has_dx
        places = self._places(layer)
        outside = self._outside(layer, made.before)
        for place, turned in zip(places, self._order.turned, strict=True):
            frame = self._frame(place)
            made.frames.append(frame)
            if has_dx:
                inputs = self._order.total * self._call.passes[place].input_row
                self.dx[place] = (self._dx, 0) if place == 0 else self._take(inputs)
                if self._in_code:
                    self._tell(frame, frame.at.dx, self.dx[place])
                    for name in self._call.passes[place].input_offsets.keys() - self._part.idle:
                        frame.fields[frame.at[f"wants_{name}"]] = 1
            made.before.extend(self._gradients_of_states(place, frame, outside, turned))
            made.before.extend(self._carry(place, frame, made.behind))
            made.before.extend(self._parameters(place, frame))
        for place, turned in zip(places[1:], self._order.turned[1:], strict=True):
            if has_dx:
                way = self._order.rows[0].numbers if turned is None else turned[1]
                width = self._call.passes[place].input_row
                made.behind.append(self._move(self.dx[places[0]], self.dx[place], way, width, name="add_share"))
        return made

    def _outside(self, layer: int, before: list[Job]) -> list[tuple[Where, Where | int] | None]:
        """For each state, where its gradients are, in the common order, and the bytes of a row; None if there are none.

        They come from the caller, from the layer above, or from both; `before` gets the jobs that add them up.
        """
        spec, found = self._spec, list[tuple[Where, Where | int] | None]()
        for name, width in self._call.passes[0].states.items():
            known: tuple[Where, Where | int] | None = None
            if name in spec.shown and (spec.every_state or layer == spec.layers - 1):
                n = self._own + 2 * (spec.shown.index(name) + (layer * len(spec.shown) if spec.every_state else 0))
                known = (n, 0), (n + 1, 0)
            if name == spec.cell.output and layer < spec.layers - 1:
                above, whole = self.dx[(layer + 1) * self._directions], self._directions * width
                if known is not None:
                    rows = whole * self._bytes, known[1]
                    numbers = self._order.rows[0].numbers
                    before.append(self._move(above, known[0], numbers, whole, rows, "add_share"))
                known = above, whole * self._bytes
            found.append(known)
        return found

    def _gradients_of_states(
        self, place: int, frame: Frame, outside: Sequence[tuple[Where, Where | int] | None], turned: Ways | None
    ) -> Iterator[Job]:
        of, d = self._call.passes[place], place % self._directions
        for (field, row_field), width, known in zip(frame.at.outside, of.states.values(), outside, strict=True):
            if known is None:
                frame.fields[field] = of.nothing.data_ptr()
                continue
            row = width * self._bytes
            (number, offset), from_row = known
            where = number, offset + d * row
            if turned is not None:
                to = self._take(self._order.total * width)
                yield self._move(to, where, turned[0], width, (row, from_row))
                where, from_row = to, row
            self._tell(frame, field, where)
            if isinstance(from_row, int):
                frame.fields[row_field] = from_row
            else:
                self._tell(frame, row_field, from_row)

    def _carry(self, place: int, frame: Frame, behind: list[Job]) -> Iterator[Job]:
        """The jobs around the gradients of states that pass from step to step.

        Before the loop they are those of the last states; after it they are those of the first states.
        """
        batch = self._order.batch
        rows = torch.arange(batch, device="cpu")
        for n, width in enumerate(self._call.passes[place].states.values()):
            row, number = width * self._bytes, self._dlast + 2 * n
            carry = self._scratch(place, frame.carries[n])
            both = torch.cat([rows, rows]) + place * batch
            yield self._move(carry, (number, 0), both, width, (row, (number + 1, 0)))
            if self._part.has_dfirst:
                to, source = (self._dfirst + n, place * batch * row), (carry[0], carry[1] + batch * row)
                behind.append(self._move(to, source, rows, width))

    def _parameters(self, place: int, frame: Frame) -> Iterator[Job]:
        """Set the fields for the gradients of the parameters, what these are computed from, and the packed weights."""
        call, at, of = self._call, frame.at, self._call.passes[place]
        first = self._dparameters - 1  # parameters follow the input
        for field, name in zip(at.dvectors, of.vectors, strict=True):
            self._tell(frame, field, (first + call.parameter(place, name), 0))
        for (field, add), (name, _), adds in zip(at.dweights, of.packings, of.adds, strict=True):
            frame.fields[add] = int(adds)
            if self._in_code:
                self._tell(frame, field, (first + call.parameter(place, name), 0))
        for name, sources in frame.sources.items():
            yield from self._entered(place, name, frame, sources)
        for n, field in enumerate(at.transposed, self._panels + place * len(at.transposed)):
            self._tell(frame, field, (n, 0))

    def _entered(self, place: int, name: str, frame: Frame, sources: Sources) -> Iterator[Job]:
        """The jobs that write the addresses of the rows that entered a product; "x" is the product with the input."""
        route, of = self._route, self._call.passes[place]
        if name == "x" or of.described.products[int(name)].input is not None:
            where = route.inputs[place]
        elif (state := of.described.products[int(name)].state) is None:
            where = route.block, route.kept[place] + frame.kept.offsets["enters", name]
        else:
            n, row = list(of.states).index(state), of.states[state] * self._bytes
            where = route.states[place][n]
            assert where is not None
            yield self._rows(sources.addresses, sources.offsets, where)
            # In the first step, the first states entered.
            first = self._call.count - self._states + n, place * self._order.batch * row
            for addresses, offsets in zip(sources.at_first, sources.first, strict=True):
                yield self._rows(addresses, offsets, first)
            return
        yield self._rows(sources.addresses, sources.offsets, where)

    def _rows(self, to: np.ndarray, offsets: np.ndarray, first: Where) -> Job:
        self.jobs.hold(to, offsets)
        return self.jobs.make("place_share", to.ctypes.data, offsets.ctypes.data, len(offsets), first)
