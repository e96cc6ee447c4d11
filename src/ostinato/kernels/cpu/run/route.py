"""Where everything of a call is stored: made once for a kind of batch.

A call has its *numbers*, mostly addresses, in one list, in this order:

- the addresses of its tensors, of its outputs, of its block, of its masks, and of the memory that is needed during the call;
- forward: the addresses of the last states, one for each state, and of the packed weights, place by place;
- backward: for the gradient of each output and of each last state an address and the bytes of a row; then the addresses of the
  gradients of the input, of the first states and of the parameters, and of the packed weights.

Where anything is stored is then given by the index of one of these and a number of bytes behind it (`Where`), and is known as soon
as the shape of the batch is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from ostinato.kernels.cpu.run.jobs import Where
from ostinato.kernels.cpu.run.order import Order
from ostinato.kernels.cpu.run.passes import Team, aligned
from ostinato.kernels.cpu.run.sizes import Sizes
from ostinato.kernels.cpu.threads.cores import most_threads
from ostinato.kernels.cpu.threads.division import divided, is_small, is_worth_two

# What a mask holds: one row for all, one for each row of the batch, or one for each flat row.
MaskKind = Literal["one", "row", "flat"]


class Part(NamedTuple):
    """What of a call runs: forward or backward, and backward how far.

    Attributes:
        name: one of `PARTS`.
        lowest: the lowest layer that the backward pass runs, its last one.
        has_dx: whether that layer gives the gradient of its input.
        has_dfirst: whether the gradients of the first states are wanted.
        idle: parts of the input whose gradients are not wanted, although those of other parts are.
    """

    name: str
    lowest: int = 0
    has_dx: bool = False
    has_dfirst: bool = False
    idle: frozenset[str] = frozenset()


INFERENCE, TRAINING = Part("inference"), Part("training")


class Route:
    """Where everything of a call is stored.

    The *block* holds what only the call itself uses: outputs of lower layers; inputs and states of directions with their own order
    of rows; and, if a backward pass is to follow, what its passes keep for it.

    Args:
        call: the sizes of the call.
        order: the order of the rows.
        save: whether a backward pass is to follow.

    Attributes:
        outputs: by layer and state, where the states are that other layers or the caller read, `(rows, D W)` in the common order.
        inputs: for each place, where its input is, `(rows, I)` in the place's own order.
        states: for each place and state, where all its steps are; None for a state of which the pass keeps two steps only.
        pitches: for each place, see `Pass.frame`.
        kept: for each place, the offset in the block of what its pass keeps for the backward pass, in bytes.
        numbers: the size of the block, in numbers of the dtype.
        shown: the number of output tensors.
        block: the index of the block's address among the call's numbers; those of the masks follow.
        memory: the index of the address of the memory needed during the call, behind those of the masks.
        is_small: whether one thread is enough, on any machine.
    """

    def __init__(self, call: Sizes, order: Order, save: bool) -> None:
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
        self.is_small, self._alone = all(map(is_small, self._work)), (Team(1),) * spec.places
        self._directions, self._functions = directions, call.functions

    def teams(self) -> tuple[tuple[Team, ...], bool]:
        """How the work of each place is divided now, and whether a layer's directions run at the same time, each on a thread."""
        if self.is_small or (most := most_threads()) == 1:
            return self._alone, False
        if 1 < self._directions <= most < 2 * self._directions:
            return self._alone, is_worth_two()
        return tuple(Team(*divided(work, self._functions)) for work in self._work), False

    def _take(self, numbers: int) -> Where:
        """Reserve memory in the block."""
        where = self.block, self.numbers * self._bytes
        self.numbers += aligned(numbers)
        return where

    def _place(self, call: Sizes, layer: int, d: int, names: Sequence[str], is_turned: bool) -> None:
        of, total = call.passes[len(self.pitches)], self.order.total
        times = 1 if is_turned else len(call.spec.directions)
        self.pitches.append(tuple(times * width if name in names else 0 for name, width in of.states.items()))
        self.inputs.append(self._take(total * of.input_row) if is_turned else self.below(call, layer))
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

    def below(self, call: Sizes, layer: int) -> Where:
        """Where the input of a layer is, in the common order."""
        return (0, 0) if layer == 0 else self.outputs[layer - 1, call.spec.cell.output]
