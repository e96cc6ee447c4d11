"""The frames of all places of a call for one kind of batch, and where in them the addresses go that every call has of its own.

A call has its addresses in one list: of its tensors, of what it shows, of its block, of its masks. Where anything lies is then a
place in this list and a number of bytes behind it, known as soon as the batch is.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ostinato.kernels.cpu.cores import most_threads
from ostinato.kernels.cpu.division import divided, is_small
from ostinato.kernels.cpu.memory import pool
from ostinato.kernels.cpu.order import Order
from ostinato.kernels.cpu.passes import Frame, Team, aligned
from ostinato.kernels.cpu.threads import InTurn
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.cpu.binding import Binding

KEPT_BYTES = 1 << 16  # of a launch's memory up to which it is kept; else it is taken for each call

Where = tuple[int, int]  # which address, and how many bytes behind it
MaskKind = Literal["one", "row", "flat"]  # one row for all, a row for each row of the batch, or for each flat row


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
        block: the place of its address; those of the masks follow.
    """

    def __init__(self, call: Binding, order: Order, save: bool) -> None:
        self.order, self.save, self._bytes = order, save, call.bytes
        spec, directions, total = call.spec, len(call.spec.directions), order.total
        self.shown = len(spec.shown) * (spec.layers if spec.every_state else 1)
        self.block, self.numbers = call.count + self.shown, 0
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
            return self._alone, True
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
        if is_turned:
            self.inputs.append(self._take(total * of.inputs))
        else:
            self.inputs.append(self.below(call, layer))
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


@dataclass(frozen=True)
class Final:
    """A copy of the last states out of a place: its fields, for `move_share`.

    Attributes:
        source: of the memory, or None where it lies in the launch's.
        state: which.
        to: bytes behind the last states' memory.
    """

    fields: ctypes.Array[ctypes.c_int64]
    source: Where | None
    state: int
    to: int


class Launch:
    """All that one kind of batch makes of a part of a call. For one call at a time.

    Args:
        call: which.
        route: where everything lies.
        part: one of `PARTS`.
        masks: of each place, of what kind each is.
        teams: of each place.

    Attributes:
        frames: of each place.
        finals: of each place, in the forward parts.
        block: the address of its memory, which in inference begins with the route's block.
        held: what has to live until it is left.
        stock: where it waits for the next call.
        at_once: all frames and finals, where one thread runs them and nothing has to be done in between.
    """

    def __init__(
        self, call: Binding, route: Route, part: str, masks: Sequence[MaskKind], teams: Sequence[Team]
    ) -> None:
        self.route, self._dtype, self._bytes = route, call.dtype, call.bytes
        self.frames: list[Frame] = []
        self.at_once: InTurn | None = None
        self.finals: list[list[Final]] = []
        self._stores: list[list[tuple[int, int, int]]] = []
        self._scratch: list[int] = []
        self._numbers = 0 if route.save else route.numbers
        self._memory: Tensor | None = None
        self.block = 0
        self.held: list[object] = []
        self.stock = Stock()
        each = len(call.spec.cell.noise)
        for place, of in enumerate(call.passes):
            rows = route.order.rows[place % len(route.order.rows)]
            frame = of.frame(part, rows, teams[place], route.pitches[place])
            self.frames.append(frame)
            self._scratch.append(self._numbers)
            self._numbers += frame.numbers
            self._stores.append(list(self._places(call, place, masks[place * each : (place + 1) * each])))
            if part != "backward":
                self.finals.append(self._last(call, place))
        if self.finals and all(team.shares == 1 for team in teams) and not any(route.order.turned):
            copies = [ctypes.addressof(final.fields) for finals in self.finals for final in finals]
            jobs = [(frame.function, frame.address) for frame in self.frames]
            move = call.functions["move_share"]
            self.at_once = InTurn(call.functions, jobs + [(move, fields) for fields in copies])

    def _places(self, call: Binding, place: int, masks: Sequence[MaskKind]) -> list[tuple[int, int, int]]:
        """The fields that hold addresses of a call: field, which address, bytes behind it."""
        of, frame, route = call.passes[place], self.frames[place], self.route
        at, batch = frame.at, route.order.batch
        found: list[tuple[int, Where | None]] = [(at.x, route.inputs[place])]
        first = call.count - len(of.states)
        for n, (field, width) in enumerate(zip(at.first, of.states.values(), strict=True)):
            found.append((field, (first + n, place * batch * width * self._bytes)))
        found += zip(at.state, route.states[place], strict=True)
        found += [(field, (call.parameter(place, name), 0)) for field, name in zip(at.vectors, of.vectors, strict=True)]
        for n, ((field, flat, row), kind, noise) in enumerate(zip(at.masks, masks, call.spec.cell.noise, strict=True)):
            found.append((field, (route.block + 1 + place * len(masks) + n, 0)))
            frame.fields[flat] = int(kind == "flat")
            frame.fields[row] = 0 if kind == "one" else of.states[noise.state] * self._bytes
        for name, offset in frame.kept.offsets.items():
            if name[0] != "state":
                found.append((frame.at.kept[name], (route.block, route.kept[place] + offset)))
        return [(field, *where) for field, where in found if where is not None and field != at.nowhere]

    def _last(self, call: Binding, place: int) -> list[Final]:
        of, frame, route = call.passes[place], self.frames[place], self.route
        batch, found = route.order.batch, []
        finals = route.order.finals[place % len(route.order.rows)]
        for n, (width, pitch) in enumerate(zip(of.states.values(), route.pitches[place], strict=True)):
            source, row = route.states[place][n], width * self._bytes
            places = finals.ring if source is None else finals.flat
            fields = (ctypes.c_int64 * 7)(0, 0, places.data_ptr(), batch, width, row, pitch * self._bytes or row)
            frame.hold(places)
            found.append(Final(fields, source, n, place * batch * row))
        return found

    def enter(self) -> None:
        """Have the memory that lives during the call, its numbers whatever they were."""
        if self._memory is not None:
            if pool.poison:
                self._memory.fill_(float("nan"))
            return
        self._memory = memory = pool.take(max(1, self._numbers), dtype=self._dtype)
        self.block = memory.data_ptr()
        for frame, begin in zip(self.frames, self._scratch, strict=True):
            fields, start = frame.fields, self.block + begin * self._bytes
            for field, offset in frame.scratch:
                fields[field] = start + offset * self._bytes
        for finals, frame in zip(self.finals, self.frames, strict=False):
            for final in finals:
                if final.source is None:
                    final.fields[1] = frame.fields[frame.at.state[final.state]]

    def leave(self) -> None:
        """Give large memory back, and wait for the next call where there is room."""
        self.held = []
        if self._numbers * self._bytes > KEPT_BYTES:
            self._memory = None
        if self.stock.is_open:
            self.stock.append(self)

    def feed(self, place: int, addresses: Sequence[int]) -> None:
        """Store the addresses of a call in the frame of a place."""
        fields = self.frames[place].fields
        for field, source, offset in self._stores[place]:
            fields[field] = addresses[source] + offset

    def carry(self, place: int, state: int) -> int:
        """The address at which the gradient of a state goes from step to step, `(2, B, W)`."""
        return self.block + (self._scratch[place] + self.frames[place].carries[state]) * self._bytes


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


def view(block: Tensor, offset: int, *shape: int) -> Tensor:
    """Numbers in a block, from so many bytes on."""
    begin = offset // block.itemsize
    return block[begin : begin + math.prod(shape)].view(shape)
