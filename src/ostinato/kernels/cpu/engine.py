"""Running compiled cells on tensors: buffers, packed weights, fields, threads."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from ostinato.kernels.cpu import late, tiles
from ostinato.kernels.cpu.kernel import Kernel, library, tile_library
from ostinato.kernels.cpu.late import Late
from ostinato.kernels.cpu.memory import pool
from ostinato.kernels.cpu.packing import Packing, packed
from ostinato.kernels.cpu.product import LOCAL_BLOCKS
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
        bf16: as in `Recurrence`.
    """

    def __init__(
        self,
        kernel: Kernel,
        operands: Operands,
        rows: Rows,
        panels: dict[tuple[object, ...], Tensor] | None = None,
        *,
        bf16: bool = False,
    ) -> None:
        self.kernel, self.operands, self.rows, self.bf16 = kernel, operands, rows, bf16
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
        self.paired = bf16 and self._fits_tiles()
        if self.paired:
            self.functions = {**self.functions, **tile_library()}
        self._packed = {} if panels is None else panels
        self.keep: list[object] = []  # what must live until the call is over
        self._scratch: dict[
            str, int
        ] = {}  # fields that are addresses in memory of this call alone, each with its first number
        self._scratch_numbers = 0

    def _fits_tiles(self) -> bool:
        """Whether the processor's tiles can do the products."""
        depths = [self.inputs, *self.width.values(), self.described.gates * self.width["H"]]
        return tiles.has_tiles() and min(depths) >= tiles.LEAST_DEPTH and max(depths) <= tiles.MOST_DEPTH

    def buffer(self, *shape: int) -> Tensor:
        """Memory whose numbers are whatever they were."""
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
        if self.paired:
            values["multiply"] = self.functions["multiply_tiles"]
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
                self.reserve(f"scratch_{space}", rows.batch, self.blocks[space], count, self.shape.lanes)
        self.keep += [meeting, shares, operands, states]
        return values

    def reserve(self, field: str, *shape: int) -> None:
        """Memory that lives as long as the call: a part of one block, as taking many costs more than small steps do."""
        self._scratch[field] = self._scratch_numbers
        self._scratch_numbers += -(-math.prod(shape) // ALIGNED) * ALIGNED

    def panels(self, weight: Tensor, gates: tuple[int, ...], units: int, transposed: bool) -> int:
        """The address of a weight's panels, see `Packing`."""
        key = (id(weight), gates, transposed)
        if key not in self._packed:
            self._packed[key] = packed(
                weight, Packing(gates, units, transposed, self.paired), self.shape, self.functions
            )
        return self._packed[key].data_ptr()

    def _run(self, part: str, values: dict[str, int], threads: int) -> None:
        compiled = self.kernel.part(part)
        block = self.buffer(self._scratch_numbers)
        start = block.data_ptr()
        for name, number in self._scratch.items():
            values[name] = start + number * self.shape.bytes
        fields = (ctypes.c_int64 * len(compiled.fields))(*[values[name] for name in compiled.fields])
        run(self.functions["region"], compiled.address, ctypes.addressof(fields), threads)

    def gates(self, k: int) -> tuple[tuple[int, ...], int]:
        """The blocks of rows of a product's matrix that it uses, and the rows of one."""
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
            name: self.buffer(rows.total, w)
            for name, w in widths.items()
            if (save or name in every) and name not in whole
        }
        rings = {name: self.buffer(2, rows.batch, w) for name, w in widths.items() if name not in whole}
        states = {**{n: (m, False) for n, m in whole.items()}, **{n: (m, True) for n, m in rings.items()}}
        values = self._common(states, part, threads, by_rows)
        row = described.gates * self.blocks["H"] * lanes
        steps_in_chunk = max(1, min(rows.steps, CHUNK_BYTES // max(1, row * self.shape.bytes * rows.batch)))
        steps_in_chunk = max(steps_in_chunk, -(-64 // max(1, rows.batch)))
        values["chunk"] = steps_in_chunk
        values["x"] = self.operands.x.data_ptr()
        self.reserve("projected", steps_in_chunk * rows.batch, row)
        values["weight_x"] = self.panels(self.operands.weight_ih, tuple(range(described.gates)), self.width["H"], False)
        entered: dict[int, Tensor] = {}
        for k, product in enumerate(described.products):
            values[f"weight_{k}"] = self.panels(self.operands.matrices[product.matrix], *self.gates(k), False)
            together = max(self.blocks[product.space], threads * LOCAL_BLOCKS)
            self.reserve(f"u_{k}", rows.batch, together, product.pieces, lanes)
            if product.state is None:
                entered[k] = self.buffer(rows.total if save else 2 * rows.batch, self.width[product.entered_space])
                values[f"enters_{k}"] = entered[k].data_ptr()
        sums = self.buffer(rows.total if save else rows.batch, max(1, described.sums[part]))
        values["sums"] = sums.data_ptr()
        slots = {s: self.buffer(rows.total, self.blocks[s], n, lanes) for s, n in described.slots.items() if save and n}
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
        places = torch.arange(rows.batch, device="cpu")
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
        self.reserve("sums", rows.batch, max(1, described.sums["backward"]))
        nothing = _zeros(max(self.width.values()) + shape.panel, self.dtype)
        carries: dict[str, Tensor] = {}
        for name, letter in described.letters.items():
            width = self.width[letter]
            given, final = doutputs.get(name), dlast.get(name)
            values[f"dstate_{name}"] = (nothing if given is None else given).data_ptr()
            values[f"dstate_{name}_row"] = 0 if given is None else width * shape.bytes
            carries[name] = self.buffer(2, rows.batch, width)
            if final is None:
                carries[name].zero_()
            else:
                carries[name].copy_(final)
            values[f"carry_{name}"] = carries[name].data_ptr()
        self.keep += [nothing, carries, memory, doutputs]
        for k, product in enumerate(described.products):
            gates, units = self.gates(k)
            order = tuple(gates[i] for i in described.du[k])
            values[f"weight_t_{k}"] = self.panels(operands.matrices[product.matrix], order, units, True)
            if not product.accumulated:
                self.reserve(f"dv_{k}", rows.batch, self.width[product.entered_space])
        if input and dx is None:
            dx = self.buffer(*operands.x.shape)
        wanted = Late(dx if input else None, weights, dict(into or {}), into is not None)
        values |= late.nothing(self) if self.bf16 else late.in_machine_code(self, memory, wanted, threads)
        sums: dict[str, Tensor] = {}
        for space, count in described.parameters.items():
            if count:
                self.reserve(f"gradients_{space}", rows.batch, self.blocks[space], count, shape.lanes)
                sums[space] = self.buffer(self.blocks[space], count, shape.lanes)
                values[f"dparameters_{space}"] = sums[space].data_ptr()
        self._run("backward", values, threads)
        if self.bf16:
            late.in_bfloat16(self, memory, wanted)
        return Gradients(wanted.dx, wanted.into, {}, {name: carry[1] for name, carry in carries.items()}, sums)

    def numbers(self, numbers: Tensor) -> int:
        """The address of numbers that are kept as long as the call."""
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


@functools.lru_cache(maxsize=64)
def _zeros(numbers: int, dtype: torch.dtype) -> Tensor:
    return torch.zeros(numbers, dtype=dtype, device="cpu")


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
