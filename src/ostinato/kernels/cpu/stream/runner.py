"""The state of one stream, and the call that takes a step."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch

from ostinato.kernels.cpu.run.library import library
from ostinato.kernels.cpu.stream.packed import PackedStack, whole
from ostinato.kernels.cpu.stream.record import ARGUMENTS, HEADER, NEXT, UNIT_BYTES
from ostinato.kernels.cpu.stream.together import Together, fitting_threads
from ostinato.kernels.cpu.threads.openmp import meeting_place, openmp
from ostinato.types import Tensor

HELD_BYTES = 1 << 20  # with weights of up to so many bytes, a step is too short to release Python's lock


def start_of(address: int, weight_bytes: int) -> Callable[[int], None]:
    """The function at `address`, as a function of Python that takes an address."""
    # If other threads wait for Python's lock, a thread that releases it gets it back after 5 ms: a hundred times a short step.
    kind = ctypes.PYFUNCTYPE if weight_bytes <= HELD_BYTES else ctypes.CFUNCTYPE
    return kind(None, ctypes.c_void_p)(address)


def call_of(packed: PackedStack, function: int, fields: int, meeting: int, threads: int) -> list[int]:
    """The numbers that `start` reads, see `StreamStep`."""
    functions, door = library(packed.kernel.shape.double), openmp()
    number, count = (0, 0) if door is None else (door.number, door.count)
    parallel = 0 if door is None else ctypes.cast(door.parallel, ctypes.c_void_p).value or 0  # pyright: ignore[reportArgumentType]
    return [function, fields, number, count, meeting, threads, functions["region"], parallel, 0, 0]


def header_of(packed: PackedStack, rows: int, turn: int, meeting: int) -> list[int]:
    """The fields before those of the layers, in the order of `HEADER`."""
    record = 8 * len(packed.kernel.described.fields)
    return [len(packed.records), record, turn, rows, library(packed.kernel.shape.double)["meet"], meeting]


def memory_of(packed: PackedStack, rows: int, threads: int) -> list[dict[str, Tensor]]:
    """For each layer, the memory that a step of `rows` rows needs meanwhile, by the names of fields; it fills whole vectors."""
    kernel, described = packed.kernel, packed.kernel.described
    lanes, like = kernel.shape.lanes, packed.dtype

    def room(*sizes: int) -> Tensor:
        return torch.zeros((rows, *sizes), dtype=like, device="cpu")

    entering = torch.zeros(threads * rows * described.sources * entering_bytes(packed), dtype=torch.uint8, device="cpu")
    made: list[dict[str, Tensor]] = []
    for widths in packed.widths:
        filled = {space: whole(width, lanes) for space, width in widths.items()}
        own = {f"enters_{k}": room(filled[p[2]]) for k, p in enumerate(described.products)}
        for what, counts in (("kept", described.kept), ("scratch", described.scratch)):
            own |= {f"{what}_{s}": room(filled.get(s, 0), max(1, n)) for s, n in counts.items()}
        own |= {"entering": entering, "sums": room(max(1, described.sums)), "output": room(max(filled.values()))}
        made.append(own)
    return made


def entering_bytes(packed: PackedStack) -> int:
    """The bytes of what enters a product as 16-bit numbers, with its unit."""
    widest = max(*packed.inputs, *(max(widths.values()) for widths in packed.widths))
    return 2 * whole(widest, packed.kernel.shape.lanes) + UNIT_BYTES


class Runner:
    """The state of one stream, and the function that takes a step.

    Args:
        packed: the weights.
        threads: the number of threads; None for as many as the weights are worth.
        behind: an output layer that takes the output of the stack, in the same call.

    Attributes:
        call: takes one step. Before a call, `fields[turn][x]` must be the address of the input and `outputs[turn][y]` that of the
            output; after it, `turn` must be changed to the other one of 0 and 1.
        calls: the argument of `call` for each turn.
        fields: two sets of fields, which differ in which states are old and which new, and in the direction in which the weights
            are read.
        outputs: the fields that hold the address of the output: `fields`, or those of the layer behind.
        x, y: the indices of the addresses of input and output in `fields` and `outputs`.
        extras: what the next step gets besides its input, by name, filled up to whole vectors.
        turn: the set of fields that is used next.
        states: for each layer, by name, `(2, width filled up to whole vectors)`; line `turn` is the state before the next step.
    """

    @torch.inference_mode(False)  # these tensors are written to later, in inference mode or not
    def __init__(self, packed: PackedStack, threads: int | None = None, behind: PackedStack | None = None) -> None:
        self.packed = packed
        kernel, described = packed.kernel, packed.kernel.described
        lanes, like = kernel.shape.lanes, packed.dtype
        self.turn = 0
        self.extras = {
            name: torch.zeros(whole(width, lanes), dtype=like, device="cpu") for name, width in packed.extras.items()
        }
        self.states = [
            {
                name: torch.zeros(2, whole(widths[letter], lanes), dtype=like, device="cpu")
                for name, letter in cell.items()
            }
            for widths, cell in ((widths, kernel.cell.states) for widths in packed.widths)
        ]
        self.threads = fitting_threads(packed.weight_bytes, packed.blocks) if threads is None else threads
        self._own = memory_of(packed, 1, self.threads)
        self._meeting = meeting_place()
        record = len(described.fields)
        self.x = len(HEADER) + described.fields.index("x")
        self.y = len(HEADER) + (len(packed.records) - 1) * record + described.fields.index("output")
        self.fields = [(ctypes.c_int64 * (len(HEADER) + record * len(packed.records)))() for _ in range(2)]
        self.outputs = self.fields
        self.arguments = [(ctypes.c_int64 * ARGUMENTS)() for _ in range(2)]
        self.calls = tuple(ctypes.addressof(each) for each in self.arguments)
        self._set_fields()
        weight_bytes = packed.weight_bytes
        self._parts: list[Runner] = [self]
        if behind is not None:
            weight_bytes += behind.weight_bytes
            self._put_behind(Runner(behind, threads))
        self.call = start_of(kernel.start, weight_bytes)
        if any(part.threads > 1 for part in self._parts):
            self._together = Together(self.call, self._meeting, weight_bytes)
            self._threads = [part.threads for part in self._parts]
            self.call = self._call_together

    def _put_behind(self, runner: Runner) -> None:
        """Let another runner take its step after this one's, with this one's output as its input."""
        self._parts.append(runner)
        given = self._own[-1]["output"]
        for turn in (0, 1):
            self.fields[turn][self.y] = runner.fields[turn][runner.x] = given.data_ptr()
            self.arguments[turn][NEXT : NEXT + 2] = [runner.packed.kernel.start, runner.calls[turn]]
        self.outputs, self.y = runner.fields, runner.y

    def _set_fields(self) -> None:
        kernel, packed, meeting = self.packed.kernel, self.packed, ctypes.addressof(self._meeting)
        for turn, (fields, argument) in enumerate(zip(self.fields, self.arguments, strict=True)):
            record = len(kernel.described.fields)
            fields[: len(HEADER)] = header_of(packed, 1, turn, meeting)
            for layer in range(len(packed.records)):
                values = self._values(layer, turn)
                begin = len(HEADER) + layer * record
                fields[begin : begin + record] = [values[name] for name in kernel.described.fields]
            argument[:] = call_of(packed, kernel.stream, ctypes.addressof(fields), meeting, self.threads)

    def _values(self, layer: int, turn: int) -> dict[str, int]:
        packed, output = self.packed, self.packed.kernel.cell.output
        last = layer == len(packed.records) - 1
        values = {**packed.widths[layer], "I": packed.inputs[layer], "entering_bytes": entering_bytes(packed)}
        values |= {name: v.data_ptr() for name, v in (packed.records[layer] | self._own[layer]).items()}
        values |= {f"extra_{name}": v.data_ptr() for name, v in self.extras.items()}
        for name, pair in self.states[layer].items():
            values[f"old_{name}"], values[f"new_{name}"] = pair[turn].data_ptr(), pair[1 - turn].data_ptr()
        if not packed.residual and not last:
            values["output"] = 0
        values["x"] = values["residual"] = 0
        if layer:
            below = self._own[layer - 1]["output"] if packed.residual else self.states[layer - 1][output][1 - turn]
            values["x"] = below.data_ptr()
            values["residual"] = values["x"] if packed.residual else 0
        return values

    def _call_together(self, argument: int) -> None:
        turn = self.turn
        self._together(argument, [part.arguments[turn] for part in self._parts], self._threads)

    def step(self, x: Tensor, y: Tensor) -> None:
        """Take one step from the input `x` to the output `y`, which are contiguous tensors of the right dtype and size."""
        turn = self.turn
        self.fields[turn][self.x], self.outputs[turn][self.y] = x.data_ptr(), y.data_ptr()
        self.call(self.calls[turn])
        self.turn = 1 - turn
