"""Running compiled cells on tensors: buffers, packed weights, fields, threads."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from ostinato.kernels.cpu.kernel import Kernel, library
from ostinato.kernels.cpu.memory import pool
from ostinato.kernels.cpu.packing import Packing, packed
from ostinato.kernels.cpu.product import LOCAL_BLOCKS, scratch_bytes
from ostinato.kernels.cpu.rows import Rows
from ostinato.kernels.cpu.threads import run, yield_address
from ostinato.types import Tensor

CHUNK_BYTES = 1 << 19  # of projected input that waits for the loop
CACHE_BYTES = 1 << 20  # of weights that each thread can read again and again
ALIGNED = 16  # numbers: whole cache lines
SMALL = 1 << 19  # multiply-adds in a time step below which a second thread costs more than it brings


@dataclass(frozen=True)
class Operands:
    """What one direction of one layer is computed from, in flat rows; all contiguous, of one dtype.

    Attributes:
        x: `(rows, I)`.
        weight_ih: `(G H, I)`.
        matrices: `weight_hh` and own matrices by name.
        vectors: biases and own vectors by name.
        first: first states `(B, H)`, in the places' order.
        masks: noise by name: `(rows, H)` or `(B, H)`, or `(1, H)` where all rows have the same.
        flat: names of those that have a row for each flat row.
    """

    x: Tensor
    weight_ih: Tensor
    matrices: Mapping[str, Tensor]
    vectors: Mapping[str, Tensor]
    first: Mapping[str, Tensor]
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    flat: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Memory:
    """What a forward pass leaves for the backward pass.

    Attributes:
        states: every state of every flat row, `(rows, H)`.
        slots: saved vectors for each space; the backward pass writes gradients over them.
        sums: saved sums over rows.
        enters: computed values that entered a product, `(rows, H)`, by product.
    """

    states: dict[str, Tensor]
    slots: dict[str, Tensor]
    sums: Tensor
    enters: dict[int, Tensor]


class Engine:
    """One kernel on one batch: knows all sizes, and sets the fields.

    Args:
        kernel: the compiled cell.
        operands: the tensors.
        rows: which rows they have.
        panels: packed weights of engines with the same ones, so that a pass in segments packs once.
    """

    def __init__(
        self, kernel: Kernel, operands: Operands, rows: Rows, panels: dict[tuple[object, ...], Tensor] | None = None
    ) -> None:
        self.kernel, self.operands, self.rows = kernel, operands, rows
        self.described = kernel.description
        self.shape = kernel.shape
        self.dtype = operands.x.dtype
        self.inputs = operands.x.shape[1]
        hidden = operands.weight_ih.shape[0] // self.described.gates
        self.width = {"H": hidden}
        for name, letter in self.described.letters.items():
            self.width[letter] = operands.first[name].shape[1]
        self.width["H"] = hidden
        self.blocks = {space: -(-width // self.shape.lanes) for space, width in self.width.items()}
        self.functions = library(self.shape.double)
        self._packed = {} if panels is None else panels
        self.keep: list[object] = []  # what must live until the call is over
        self._scratch: dict[
            str, int
        ] = {}  # fields that are addresses in memory of this call alone, each with its first number
        self._scratch_numbers = 0

    def _buffer(self, *shape: int) -> Tensor:
        return pool.take(*shape, dtype=self.dtype)

    def _threads(self) -> tuple[int, bool]:
        """How many threads, and whether each has rows of its own."""
        most, rows = torch.get_num_threads(), self.rows
        weights = sum(m.numel() for m in self.operands.matrices.values())
        work = rows.total * weights // max(1, rows.steps)
        if most == 1 or work + self.operands.weight_ih.numel() < SMALL:
            return 1, False
        # With rows of its own a thread waits for nobody, but reads all weights: good where they fit into its cache.
        few = (weights + self.operands.weight_ih.numel()) * self.shape.bytes <= CACHE_BYTES
        if few and rows.batch >= 2 * self.shape.rows * most:
            return most, True
        # A last thread is one too many where there are more threads than groups of unit blocks.
        return min(most, max(1, -(-self.blocks["H"] // self.shape.across))), False

    def _common(
        self, states: Mapping[str, tuple[Tensor, bool]], part: str, threads: int, by_rows: bool
    ) -> dict[str, int]:
        """Fields that all passes read; `states`: name to (memory, whether of the last two steps only)."""
        rows, operands, described = self.rows, self.operands, self.described
        meeting = (ctypes.c_int64 * 32)()
        meeting[16] = yield_address()
        shares = (ctypes.c_int64 * (threads + 1))(*rows.shares(threads, self.shape.rows))
        values = {
            "B": rows.batch,
            "I": self.inputs,
            "x_width": self.inputs,
            "steps": rows.steps,
            "rows": rows.total,
            "offsets": rows.offsets.data_ptr(),
            "counts": rows.counts.data_ptr(),
            "by_rows": int(by_rows),
            "row_shares": ctypes.addressof(shares),
            "meeting": ctypes.addressof(meeting),
            "sums_flat": int(part == "training"),
            "enters_ring": int(part == "inference"),
            **self.width,
            **self.functions,
        }
        for name, (memory, ring) in states.items():
            values[f"state_{name}"] = memory.data_ptr()
            values[f"state_{name}_ring"] = int(ring)
            values[f"first_{name}"] = operands.first[name].data_ptr()
        for name, vector in operands.vectors.items():
            values[f"parameter_{name}"] = vector.data_ptr()
        for name, mask in operands.masks.items():
            values[f"mask_{name}"] = mask.data_ptr()
            values[f"mask_{name}_flat"] = int(name in operands.flat)
            values[f"mask_{name}_row"] = 0 if mask.shape[0] == 1 else mask.shape[1] * self.shape.bytes
        for space, count in described.scratch[part].items():
            if count:
                self._reserve(f"scratch_{space}", rows.batch, self.blocks[space], count, self.shape.lanes)
        self.keep += [meeting, shares, operands, states]
        return values

    def _reserve(self, field: str, *shape: int) -> None:
        """Memory that lives as long as the call: a part of one block, as taking many costs more than small steps do."""
        self._scratch[field] = self._scratch_numbers
        self._scratch_numbers += -(-math.prod(shape) // ALIGNED) * ALIGNED

    def _panels(self, weight: Tensor, gates: tuple[int, ...], units: int, transposed: bool) -> int:
        key = (id(weight), gates, transposed)
        if key not in self._packed:
            self._packed[key] = packed(weight, Packing(gates, units, transposed), self.shape, self.functions)
        return self._packed[key].data_ptr()

    def _run(self, part: str, values: dict[str, int], threads: int) -> None:
        compiled = self.kernel.part(part)
        block = self._buffer(self._scratch_numbers)
        start = block.data_ptr()
        for name, number in self._scratch.items():
            values[name] = start + number * self.shape.bytes
        fields = (ctypes.c_int64 * len(compiled.fields))(*[values[name] for name in compiled.fields])
        run(self.functions["region"], compiled.address, ctypes.addressof(fields), threads)

    def _gates(self, k: int) -> tuple[tuple[int, ...], int]:
        product = self.described.products[k]
        return (product.gates, self.width["H"]) if product.gates else ((0,), self.width[product.space])

    # forward

    def forward(
        self, save: bool, every: frozenset[str], into: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], Memory]:
        """Run the time loop.

        Args:
            save: keep what `backward` needs.
            every: the states that are wanted for every flat row.
            into: where to write some of these, `(rows, H)`.

        Returns:
            last states `(B, H)` in the places' order, and the memory; without `save` only the states in `every` are in it.
        """
        rows, described, lanes = self.rows, self.described, self.shape.lanes
        part = "training" if save else "inference"
        threads, by_rows = self._threads()
        widths = {name: self.width[letter] for name, letter in described.letters.items()}
        whole = dict(into or {})
        whole |= {
            name: self._buffer(rows.total, w)
            for name, w in widths.items()
            if (save or name in every) and name not in whole
        }
        rings = {name: self._buffer(2, rows.batch, w) for name, w in widths.items() if name not in whole}
        states = {**{n: (m, False) for n, m in whole.items()}, **{n: (m, True) for n, m in rings.items()}}
        values = self._common(states, part, threads, by_rows)
        row = described.gates * self.blocks["H"] * lanes
        steps_in_chunk = max(1, min(rows.steps, CHUNK_BYTES // max(1, row * self.shape.bytes * rows.batch)))
        steps_in_chunk = max(steps_in_chunk, -(-64 // max(1, rows.batch)))
        values["chunk"] = steps_in_chunk
        values["x"] = self.operands.x.data_ptr()
        self._reserve("projected", steps_in_chunk * rows.batch, row)
        values["weight_x"] = self._panels(
            self.operands.weight_ih, tuple(range(described.gates)), self.width["H"], False
        )
        entered: dict[int, Tensor] = {}
        for k, product in enumerate(described.products):
            values[f"weight_{k}"] = self._panels(self.operands.matrices[product.matrix], *self._gates(k), False)
            together = max(self.blocks[product.space], threads * LOCAL_BLOCKS)
            self._reserve(f"u_{k}", rows.batch, together, product.pieces, lanes)
            if product.state is None:
                entered[k] = self._buffer(rows.total if save else 2 * rows.batch, self.width[product.entered_space])
                values[f"enters_{k}"] = entered[k].data_ptr()
        sums = self._buffer(rows.total if save else rows.batch, max(1, described.sums[part]))
        values["sums"] = sums.data_ptr()
        slots = {
            s: self._buffer(rows.total, self.blocks[s], n, lanes) for s, n in described.slots.items() if save and n
        }
        values |= {f"slots_{space}": memory.data_ptr() for space, memory in slots.items()}
        self.keep += [entered, sums, slots]
        self._run(part, values, threads)
        last = {name: self._last(name, memory, ring) for name, (memory, ring) in states.items()}
        return last, Memory(whole, slots, sums, entered if save else {})

    def _last(self, name: str, memory: Tensor, ring: bool) -> Tensor:
        """The state after each place's last step."""
        rows, first = self.rows, self.operands.first[name]
        if not rows.total:
            return first.clone()
        at, count = rows.end
        if count == rows.batch:
            return (memory[(rows.steps - 1) % 2] if ring else memory[at : at + rows.batch]).clone()
        places = torch.arange(rows.batch)
        if ring:
            ends = (rows.counts[:, None] > places).sum(0)
            found = memory[(ends - 1) % 2, places]
        else:
            found = memory[rows.last.clamp(min=0)]
        return torch.where((rows.last >= 0)[:, None], found, first)

    # backward

    def backward(
        self,
        memory: Memory,
        doutputs: Mapping[str, Tensor | None],
        dlast: Mapping[str, Tensor | None],
        *,
        input: bool,
        weights: Mapping[str, bool],
        into: Mapping[str, Tensor] | None = None,
        dx: Tensor | None = None,
    ) -> Gradients:
        """The gradients; those of vector parameters as sums, for `vectors`.

        Args:
            memory: of the forward pass; its slots are written over.
            doutputs: for each state, the gradient of what it was at every flat row `(rows, H)`, or None.
            dlast: for each state, the gradient of its last value `(B, H)` in the places' order, or None.
            input: whether dx is wanted.
            weights: "weight_ih" and names of matrices: whether their gradients are wanted.
            into: gradients of weights to add to.
            dx: where to write the gradient of the input.
        """
        rows, described, shape, operands = self.rows, self.described, self.shape, self.operands
        threads, by_rows = self._threads()
        values = self._common({n: (m, False) for n, m in memory.states.items()}, "backward", threads, by_rows)
        values |= {f"slots_{space}": m.data_ptr() for space, m in memory.slots.items()}
        values |= {f"enters_{k}": m.data_ptr() for k, m in memory.enters.items()}
        values["saved_sums"] = memory.sums.data_ptr()
        self._reserve("sums", rows.batch, max(1, described.sums["backward"]))
        values["add_x"] = int(into is not None)
        nothing = _zeros(max(self.width.values()) + shape.panel, self.dtype)
        carries: dict[str, Tensor] = {}
        for name, letter in described.letters.items():
            width = self.width[letter]
            given, final = doutputs.get(name), dlast.get(name)
            values[f"dstate_{name}"] = (nothing if given is None else given).data_ptr()
            values[f"dstate_{name}_row"] = 0 if given is None else width * shape.bytes
            carries[name] = self._buffer(2, rows.batch, width)
            if final is None:
                carries[name].zero_()
            else:
                carries[name].copy_(final)
            values[f"carry_{name}"] = carries[name].data_ptr()
        self.keep += [nothing, carries, memory, doutputs]
        wanted: dict[str, Tensor] = dict(into or {})
        work = 0
        if weights["weight_ih"]:
            if into is None:  # written whole, unless there is no row at all
                wanted["weight_ih"] = self._buffer(*operands.weight_ih.shape)
                if not rows.total:
                    wanted["weight_ih"].zero_()
            work = scratch_bytes(shape, self.inputs, described.gates)
        for k, product in enumerate(described.products):
            gates, units = self._gates(k)
            order = tuple(gates[i] for i in described.du[k])
            matrix = operands.matrices[product.matrix]
            values[f"weight_t_{k}"] = self._panels(matrix, order, units, True)
            entered = self.width[product.entered_space]
            if not product.accumulated:
                self._reserve(f"dv_{k}", rows.batch, entered)
            values[f"dweight_{k}"] = 0
            values[f"sources_{k}"] = values[f"gate_rows_{k}"] = 0
            # The next product with the same matrix adds to what the one before has written.
            values[f"add_{k}"] = int(product.matrix in wanted)
            if weights[product.matrix]:
                if product.matrix not in wanted:
                    # A product that leaves rows out leaves their gradient at zero.
                    wanted[product.matrix] = torch.zeros_like(matrix)
                values[f"dweight_{k}"] = wanted[product.matrix].data_ptr()
                values[f"sources_{k}"] = self._numbers(self._entered_rows(k, memory))
                values[f"gate_rows_{k}"] = _gate_rows(order, units).data_ptr()
                work = max(work, scratch_bytes(shape, entered, len(order)))
        values["sources_x"] = values["gate_rows_x"] = values["dweight_x"] = 0
        if weights["weight_ih"]:
            values["dweight_x"] = wanted["weight_ih"].data_ptr()
            values["sources_x"] = self._numbers(operands.x.data_ptr() + rows.numbers * (self.inputs * shape.bytes))
            values["gate_rows_x"] = _gate_rows(described.dx, self.width["H"]).data_ptr()
        work = -(-work // 64) * 64
        values["work_bytes"] = work
        self._reserve("work", threads, work // shape.bytes)
        values["dx"] = values["weight_x_t"] = 0
        if input:
            dx = self._buffer(*operands.x.shape) if dx is None else dx
            values["dx"] = dx.data_ptr()
            values["weight_x_t"] = self._panels(operands.weight_ih, described.dx, self.width["H"], True)
        sums: dict[str, Tensor] = {}
        for space, count in described.parameters.items():
            if count:
                self._reserve(f"gradients_{space}", rows.batch, self.blocks[space], count, shape.lanes)
                sums[space] = self._buffer(self.blocks[space], count, shape.lanes)
                values[f"dparameters_{space}"] = sums[space].data_ptr()
        self._run("backward", values, threads)
        return Gradients(dx if input else None, wanted, {}, {name: carry[1] for name, carry in carries.items()}, sums)

    def _entered_rows(self, k: int, memory: Memory) -> Tensor:
        """The address of what entered a product at each flat row."""
        product = self.described.products[k]
        row = self.width[product.entered_space] * self.shape.bytes
        if product.state is None:
            return memory.enters[k].data_ptr() + self.rows.numbers * row
        # In the first step what entered are the first states.
        at = self.rows.before * row
        at += memory.states[product.state].data_ptr() - self.rows.batch * row
        begin, count = self.rows.begin
        at[begin : begin + count] = self.operands.first[product.state].data_ptr() + self.rows.numbers[:count] * row
        return at

    def _numbers(self, numbers: Tensor) -> int:
        self.keep.append(numbers)
        return numbers.data_ptr()

    def vectors(self, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradient of each vector parameter, from the slots of unit blocks: what `backward` gives as `sums`."""
        rows = {
            space: memory.transpose(0, 1).reshape(memory.shape[1], -1)[:, : self.width[space]]
            for space, memory in sums.items()
        }
        found: dict[str, Tensor] = {}
        for name, vector in self.operands.vectors.items():
            found[name] = torch.zeros_like(vector)
        for name, piece, space, slot in self.described.parameter_slots:
            width = self.width[space]
            found[name][piece * width : (piece + 1) * width] = rows[space][slot]
        return found


@functools.lru_cache(maxsize=256)
def _gate_rows(gates: tuple[int, ...], units: int) -> Tensor:
    return torch.tensor([gate * units for gate in gates])


@functools.lru_cache(maxsize=64)
def _zeros(numbers: int, dtype: torch.dtype) -> Tensor:
    return torch.zeros(numbers, dtype=dtype)


@dataclass(frozen=True)
class Gradients:
    """What the backward pass gives.

    Attributes:
        x: `(rows, I)` or None.
        weights: "weight_ih" and matrices, those that were wanted.
        vectors: biases and own vectors.
        first: of the first states, `(B, H)` in the places' order.
        sums: what `Engine.vectors` makes `vectors` of: for each space `(blocks, slots, lanes)`.
    """

    x: Tensor | None
    weights: dict[str, Tensor]
    vectors: dict[str, Tensor]
    first: dict[str, Tensor]
    sums: dict[str, Tensor] = field(default_factory=dict)
