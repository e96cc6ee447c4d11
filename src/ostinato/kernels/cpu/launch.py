"""Where everything of a call lies, and the jobs that run it: made once for a kind of batch.

A call has its *numbers* in one list, mostly addresses:

- of its tensors, of what it shows, of its block, of its masks, and of the memory that lives as long as the call;
- forward: of the last states, one for each state; of the packed weights, place by place;
- backward: of the gradients from outside and of the last states' ones, an address and the bytes of a row each; of the gradients of
  the input, of the first states and of the parameters; of the packed weights.

Where anything lies is then one of these and a number of bytes behind it, known as soon as the batch is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch

from ostinato.kernels.cpu.cores import most_threads
from ostinato.kernels.cpu.division import divided, is_small, is_worth_two, note_end
from ostinato.kernels.cpu.jobs import Job, Jobs, Where
from ostinato.kernels.cpu.memory import pool
from ostinato.kernels.cpu.order import Order, Ways
from ostinato.kernels.cpu.passes import Frame, Sources, Team, aligned
from ostinato.kernels.cpu.threads import InTurn, run_beside
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.cpu.binding import Binding

KEPT_BYTES = 1 << 16  # of a launch's memory up to which it is kept; else it is taken for each call

MaskKind = Literal["one", "row", "flat"]  # one row for all, a row for each row of the batch, or for each flat row


class Part(NamedTuple):
    """Which way a call runs, and how far.

    Attributes:
        name: one of `PARTS`.
        lowest: backward, the last layer that is run.
        has_dx: whether that one gives the gradient of its input.
        has_dfirst: whether the gradients of the first states are wanted.
    """

    name: str
    lowest: int = 0
    has_dx: bool = False
    has_dfirst: bool = False


INFERENCE, TRAINING = Part("inference"), Part("training")


class Route:
    """Where everything of a call lies.

    The *block* holds what nobody but the call sees: outputs of lower layers; inputs and states of directions with their own order;
    and, if a backward pass is to follow, what its passes keep for it.

    Args:
        call: of which sizes.
        order: of the rows.
        save: whether a backward pass is to follow.

    Attributes:
        outputs: by layer and state, those whose flat rows others read, `(rows, D W)` in the common order.
        inputs: of each place, `(rows, I)` in its own order.
        states: of each place, each state's memory; None for what the pass keeps for two steps.
        pitches: of each place, see `Pass.frame`.
        kept: of each place, where in the block its part lies, in bytes.
        numbers: of the block.
        shown: how many tensors are.
        block: the place of its address among the call's numbers; those of the masks follow.
        memory: the place of the address of what lives as long as the call, behind those of the masks.
    """

    def __init__(self, call: Binding, order: Order, save: bool) -> None:
        self.order, self.save, self._bytes = order, save, call.bytes
        spec, directions, total = call.spec, len(call.spec.directions), order.total
        self.shown = len(spec.shown) * (spec.layers if spec.every_state else 1)
        self.block, self.numbers = call.count + self.shown, 0
        self.memory = self.block + 1 + spec.places * len(spec.cell.noise)
        self.outputs: dict[tuple[int, str], Where] = {}
        self.inputs: list[Where] = []
        self.states: list[list[Where | None]] = []
        self.pitches: list[tuple[int, ...]] = []
        self.kept: list[int] = []
        for layer in range(spec.layers):
            is_shown = spec.every_state or layer == spec.layers - 1
            names = spec.shown if is_shown else (spec.cell.output,)
            begin = call.count + (layer * len(names) if spec.every_state else 0)
            for n, name in enumerate(names):
                width = directions * call.passes[0].states[name]
                self.outputs[layer, name] = (begin + n, 0) if is_shown else self._take(total * width)
            for d, turned in enumerate(order.turned):
                self._place(call, layer, d, names, is_turned=turned is not None)
        self._work = [of.work(order.rows[place % directions]) for place, of in enumerate(call.passes)]
        self._is_small, self._alone = all(map(is_small, self._work)), (Team(1),) * spec.places
        self._directions, self._functions = directions, call.functions

    def teams(self) -> tuple[tuple[Team, ...], bool]:
        """How the work of each place is divided now; and whether a layer's directions run at the same time, on a thread each."""
        if self._is_small or (most := most_threads()) == 1:
            return self._alone, False
        if 1 < self._directions <= most < 2 * self._directions:
            return self._alone, all(map(is_worth_two, self._work))
        return tuple(Team(*divided(work, self._functions)) for work in self._work), False

    def _take(self, numbers: int) -> Where:
        """Memory in the block."""
        where = self.block, self.numbers * self._bytes
        self.numbers += aligned(numbers)
        return where

    def _place(self, call: Binding, layer: int, d: int, names: Sequence[str], is_turned: bool) -> None:
        of, total = call.passes[len(self.pitches)], self.order.total
        times = 1 if is_turned else len(call.spec.directions)
        self.pitches.append(tuple(times * width if name in names else 0 for name, width in of.states.items()))
        self.inputs.append(self._take(total * of.inputs) if is_turned else self.below(call, layer))
        states: list[Where | None] = []
        for name, width in of.states.items():
            if name not in names:
                states.append(None)
            elif is_turned:
                states.append(self._take(total * width))
            else:
                source, offset = self.outputs[layer, name]
                states.append((source, offset + d * width * self._bytes))
        if self.save:
            kept = of.kept(total, self.pitches[-1])
            start = self._take(kept.bytes // self._bytes)[1]
            self.kept.append(start)
            for n, name in enumerate(of.states):
                if states[n] is None:
                    states[n] = self.block, start + kept.offsets["state", name]
        self.states.append(states)

    def below(self, call: Binding, layer: int) -> Where:
        """The input of a layer in the common order."""
        return (0, 0) if layer == 0 else self.outputs[layer - 1, call.spec.cell.output]


class Layer(NamedTuple):
    """One layer of a launch: a frame for each direction, and what comes before and behind them."""

    number: int
    before: list[Job]
    frames: list[Frame]
    behind: list[Job]


class Launch:
    """All that one kind of batch makes of a part of a call. For one call at a time.

    Args:
        call: which.
        route: where everything lies.
        part: which way.
        masks: of each place, of what kind each is.
        teams: of each place.
        beside: whether the directions of a layer run at the same time, each on a thread.

    Attributes:
        route: where everything lies.
        stock: where it waits for the next call.
    """

    def __init__(
        self,
        call: Binding,
        route: Route,
        part: Part,
        masks: Sequence[MaskKind],
        teams: Sequence[Team],
        beside: bool,
    ) -> None:
        self.route, self.stock, self._beside, self._functions = route, Stock(), beside, call.functions
        make = _Backward if part.name == "backward" else _Forward
        made = make(call, route, part, masks, teams)
        self._layers, self._jobs, self._dtype, self._numbers = made.layers, made.jobs, call.dtype, made.numbers
        self._dx = made.dx
        self._telling = self._jobs.telling(made.count)
        self._memory: Tensor | None = None
        self._is_kept = self._numbers * call.bytes <= KEPT_BYTES
        jobs = [self._telling]
        for _, before, frames, behind in self._layers:
            jobs += [*before, *(Job(frame.function, frame.address) for frame in frames), *behind]
        is_alone = not beside and not call.spec.bf16 and all(team.shares == 1 for team in teams)
        # One thread, and nothing for Python to do in between.
        self._at_once = InTurn(call.functions, [(job.loop, job.fields) for job in jobs]) if is_alone else None

    def enter(self) -> int:
        """Have the memory that lives during the call, whatever its numbers are; gives its address."""
        if self._memory is None:
            self._memory = pool.take(max(1, self._numbers), dtype=self._dtype)
        elif pool.poison:
            self._memory.fill_(float("nan"))
        return self._memory.data_ptr()

    def leave(self) -> None:
        """Give large memory back, and wait for the next call where there is room."""
        if not self._is_kept:
            self._memory = None
        if self.stock.is_open:
            self.stock.append(self)

    def run(self, numbers: Sequence[int], between: Callable[[int], None] | None = None) -> None:
        """Run it.

        Args:
            numbers: of the call.
            between: for bfloat16, called with the number of a layer when its frames have run.
        """
        self._jobs.put(numbers)
        if self._at_once is not None:
            self._at_once()
            return
        self._jobs.run([self._telling])
        for number, before, frames, behind in self._layers:
            self._jobs.run(before)
            if self._beside:
                note_end(run_beside(self._functions, [(frame.function, frame.address) for frame in frames]))
            else:
                for frame in frames:
                    frame.launch(self._functions)
            if between is not None:
                between(number)
            self._jobs.run(behind)

    def gradient(self, place: int, outside: Tensor | None, inputs: int) -> Tensor | None:
        """That of a place's input, `(rows, I)`, as a tensor; None where there is none.

        Args:
            place: which.
            outside: what the caller gets as the gradient of the call's input.
            inputs: `I`.
        """
        if (where := self._dx.get(place)) is None:
            return None
        rows = self.route.order.total
        assert self._memory is not None
        return view(self._memory, where[1], rows, inputs) if where[0] == self.route.memory else outside


class Stock(list[Launch]):
    """Launches that wait for the next call.

    Attributes:
        is_open: whether they may come back; they and the stock would else hold each other.
    """

    is_open = True

    def close(self) -> None:
        """Let them go."""
        self.is_open = False
        self.clear()


class _Maker:
    """Makes the frames and jobs of a launch.

    Attributes:
        layers: in the order in which they run.
        jobs: who tells the numbers of a call.
        count: how many these are.
        numbers: of the memory that lives during the call.
        dx: where the gradient of each place's input lies, where there is one.
    """

    def __init__(
        self, call: Binding, route: Route, part: Part, masks: Sequence[MaskKind], teams: Sequence[Team]
    ) -> None:
        self._call, self._route, self._part, self._masks, self._teams = call, route, part, masks, teams
        self._spec, self._order, self._bytes = call.spec, route.order, call.bytes
        self._directions, self._states = len(call.spec.directions), len(call.spec.cell.states)
        self._own = route.memory + 1  # the first of the numbers that only one way has
        self.jobs = Jobs(call.functions)
        self.dx: dict[int, Where] = {}
        self.layers: list[Layer] = []
        self.numbers = 0 if route.save else route.numbers
        self.count = 0
        self._begins: dict[int, int] = {}  # of each place's memory

    def _take(self, numbers: int) -> Where:
        """Memory that lives during the call."""
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
        """Rows of so many numbers to other places; `rows`: bytes from one to the next, in `to` and in `source`."""
        self.jobs.hold(places)
        to_row, from_row = rows or (width * self._bytes,) * 2
        count = places.numel()
        fields = to, source, places.data_ptr(), count, width, to_row, from_row
        return self.jobs.make(name, *fields, bytes=count * width * self._bytes)

    def _frame(self, place: int) -> Frame:
        """That of a place, told what it reads in either way."""
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
        """A place's memory while it runs, from so many numbers on."""
        return self._route.memory, (self._begins[place] + offset) * self._bytes

    def _tell(self, frame: Frame, field: int, where: Where) -> None:
        if field != frame.at.nowhere:
            self.jobs.tell(frame.fields, field, where)


class _Forward(_Maker):
    """Of "inference" and "training"."""

    def __init__(
        self, call: Binding, route: Route, part: Part, masks: Sequence[MaskKind], teams: Sequence[Team]
    ) -> None:
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
                made.before.append(self._move(self._route.inputs[place], below, turned[0], of.inputs))
                made.behind.extend(self._turn_back(layer, place, turned[1]))
        return made

    def _last(self, place: int, frame: Frame) -> Iterator[Job]:
        """Copies of the last states."""
        of, finals = self._call.passes[place], self._order.finals[place % self._directions]
        for n, (width, pitch) in enumerate(zip(of.states.values(), self._route.pitches[place], strict=True)):
            where, row = self._route.states[place][n], width * self._bytes
            places = finals.ring if where is None else finals.flat
            source = where or self._scratch(place, frame.rings[n])
            to = self._own + n, place * self._order.batch * row
            yield self._move(to, source, places, width, (row, pitch * self._bytes or row))

    def _turn_back(self, layer: int, place: int, back: Tensor) -> Iterator[Job]:
        """The states of a direction that has its own order, in the common one."""
        route, d = self._route, place % self._directions
        for where, (name, width) in zip(route.states[place], self._call.passes[place].states.items(), strict=True):
            if (common := route.outputs.get((layer, name))) is not None and where is not None:
                row = width * self._bytes
                to = common[0], common[1] + d * row
                yield self._move(to, where, back, width, (self._directions * row, row))


class _Backward(_Maker):
    """Of "backward"."""

    def __init__(
        self, call: Binding, route: Route, part: Part, masks: Sequence[MaskKind], teams: Sequence[Team]
    ) -> None:
        super().__init__(call, route, part, masks, teams)
        self._dlast = self._own + 2 * route.shown
        self._dx = self._dlast + 2 * self._states
        self._dfirst = self._dx + 1
        self._dparameters = self._dfirst + self._states
        self._panels = self._dparameters + call.spec.places * len(call.spec.parameters)
        self.count = self._panels + sum(len(of.transposed) for of in call.passes)
        self._in_code = not call.spec.bf16  # else torch's products do what comes once for all time steps
        self.layers += map(self._layer, reversed(range(part.lowest, call.spec.layers)))

    def _layer(self, layer: int) -> Layer:
        made, has_dx = Layer(layer, [], [], []), layer > self._part.lowest or self._part.has_dx
        places = self._places(layer)
        outside = self._outside(layer, made.before)
        for place, turned in zip(places, self._order.turned, strict=True):
            frame = self._frame(place)
            made.frames.append(frame)
            if has_dx:
                inputs = self._order.total * self._call.passes[place].inputs
                self.dx[place] = (self._dx, 0) if place == 0 else self._take(inputs)
                if self._in_code:
                    self._tell(frame, frame.at.dx, self.dx[place])
            made.before.extend(self._gradients_of_states(place, frame, outside, turned))
            made.before.extend(self._carry(place, frame, made.behind))
            made.before.extend(self._parameters(place, frame))
        for place, turned in zip(places[1:], self._order.turned[1:], strict=True):
            if has_dx:
                way = self._order.rows[0].numbers if turned is None else turned[1]
                width = self._call.passes[place].inputs
                made.behind.append(self._move(self.dx[places[0]], self.dx[place], way, width, name="add_share"))
        return made

    def _outside(self, layer: int, before: list[Job]) -> list[tuple[Where, Where | int] | None]:
        """For each state the gradients in the common order, from the caller or from the layer above, and the bytes of a row."""
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
        """What goes from step to step begins with the gradients of the last states, and ends as those of the first ones."""
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
        """Where the gradients of the parameters go, what they are made of, and the panels."""
        call, at, of = self._call, frame.at, self._call.passes[place]
        first = self._dparameters - 1  # parameters follow the input
        for field, name in zip(at.dvectors, of.vectors, strict=True):
            self._tell(frame, field, (first + call.parameter(place, name), 0))
        seen = set()
        for (field, add), (name, _) in zip(at.dweights, of.packings, strict=True):
            frame.fields[add] = int(name in seen)
            seen.add(name)
            if self._in_code:
                self._tell(frame, field, (first + call.parameter(place, name), 0))
        for name, sources in frame.sources.items():
            yield from self._entered(place, name, frame, sources)
        for n, field in enumerate(at.transposed, self._panels + place * len(at.transposed)):
            self._tell(frame, field, (n, 0))

    def _entered(self, place: int, name: str, frame: Frame, sources: Sources) -> Iterator[Job]:
        """The addresses of the rows that entered a product; "x" is the input's."""
        route, of = self._route, self._call.passes[place]
        if name == "x":
            where = route.inputs[place]
        elif (state := of.described.products[int(name)].state) is None:
            where = route.block, route.kept[place] + frame.kept.offsets["enters", name]
        else:
            n, row = list(of.states).index(state), of.states[state] * self._bytes
            where = route.states[place][n]
            assert where is not None
            yield self._rows(sources.addresses, sources.offsets, where)
            # In the first step they are the first states.
            first = self._call.count - self._states + n, place * self._order.batch * row
            yield self._rows(sources.at_first, sources.first, first)
            return
        yield self._rows(sources.addresses, sources.offsets, where)

    def _rows(self, to: np.ndarray, offsets: np.ndarray, first: Where) -> Job:
        self.jobs.hold(to, offsets)
        return self.jobs.make("place_share", to.ctypes.data, offsets.ctypes.data, len(offsets), first)


def view(block: Tensor, offset: int, *shape: int) -> Tensor:
    """Numbers in a block, from so many bytes on."""
    begin = offset // block.itemsize
    return block[begin : begin + math.prod(shape)].view(shape)
