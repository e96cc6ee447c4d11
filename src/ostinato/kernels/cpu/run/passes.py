"""A pass: one direction of one layer on a kernel, with what its machine code reads, which is kept from call to call.

The code of a part, "inference", "training" or "backward", reads its *fields*: some forty numbers and addresses. Nearly all of them
depend only on the sizes of the layer and the rows of the batch. They are written once, into a frame; a call uses the frame of a
launch that no other call uses at the time, stores the few addresses that differ from call to call, and jumps.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from ostinato.kernels.compiler.fits import too_few
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.cpu.code import tiles
from ostinato.kernels.cpu.code.kernel import Description, Kernel
from ostinato.kernels.cpu.code.product import BEHIND, BOTH, LOCAL_BLOCKS, TIME, Shape
from ostinato.kernels.cpu.code.weight_gradients import COLUMNS, scratch_bytes, whole_panels
from ostinato.kernels.cpu.run.library import library, tile_library
from ostinato.kernels.cpu.run.packing import Packing
from ostinato.kernels.cpu.run.rows import Rows
from ostinato.kernels.cpu.threads.cores import most_threads
from ostinato.kernels.cpu.threads.division import UNIT, Work
from ostinato.kernels.cpu.threads.openmp import function, meeting_place, run_pieces, run_shares

CHUNK_BYTES = 1 << 19  # of input that is projected ahead of the loop
ALIGNED = 16  # numbers: whole cache lines
MOST_KINDS = 8  # kinds of batches for which a pass keeps a `Kept`


class Team(NamedTuple):
    """How the work of a pass is divided.

    Attributes:
        shares: the number of shares.
        by_rows: whether a share is a set of rows, which any thread may take. If not, it is a set of units, and the threads wait for
            each other in each step.
    """

    shares: int
    by_rows: bool = False


class Sources:
    """The address of what entered a product at each flat row: the memory differs in every call, the offsets in it do not.

    Args:
        offsets: the offsets of the rows, in bytes.
        first: flat rows that are in another memory (the first states): where they begin, how many, and bytes of one.
        heads: how many parts of a row enter separately; the addresses of each part follow those of the part before.
        row: bytes of what enters.

    Attributes:
        offsets: the offsets of the rows, in bytes.
        addresses: the addresses, which every call fills in.
        first: for each head, the offsets of the rows that are in the other memory.
        at_first: for each head, the part of `addresses` for these rows.
    """

    def __init__(
        self, offsets: np.ndarray, first: tuple[int, int, int] = (0, 0, 0), heads: int = 1, row: int = 0
    ) -> None:
        parts = np.arange(heads) * (row // heads)
        self.offsets = (parts[:, None] + offsets).reshape(-1)
        self.addresses = np.empty_like(self.offsets)
        begin, count, first_row = first
        self.first = [np.arange(count) * first_row + part for part in parts]
        total = len(offsets)
        self.at_first = [self.addresses[n * total + begin : n * total + begin + count] for n in range(heads)]


def heads_together(heads: int, units: int, shape: Shape) -> int:
    """How many heads of `units` units each are packed together: the fewest that fill whole blocks, or all.

    The panels of such blocks must begin where the units of a thread may begin.
    """
    for count in range(1, heads):
        blocks, rest = divmod(count * units, shape.lanes)
        if not heads % count and not rest and (not blocks % shape.across or not shape.across % blocks):
            return count
    return heads


@dataclass(frozen=True)
class Kept:
    """Where in one block the training part stores what the backward part reads.

    Attributes:
        rows: the shape of a flat row of each that is kept: ("state", name), ("slots", space), ("sums", ""), ("enters", product).
        offsets: the offset of each in the block, in bytes.
        bytes: the size of the block.
    """

    rows: Mapping[tuple[str, str], tuple[int, ...]]
    offsets: Mapping[tuple[str, str], int]
    bytes: int


def aligned(numbers: Any) -> Any:
    """Round a count of numbers up to whole cache lines; it may be a torch.SymInt."""
    return -(-numbers // ALIGNED) * ALIGNED


def kept_rows(
    described: Description, shape: Shape, width: Mapping[str, Any], missing: Collection[str]
) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Make `Kept.rows`.

    Args:
        described: the description of the kernel.
        shape: the shape of its vectors.
        width: `H` and `P` by letter; they may be torch.SymInts.
        missing: the states that are stored elsewhere.
    """
    rows: dict[tuple[str, str], tuple[Any, ...]] = {
        ("state", name): (width[letter],) for name, letter in described.letters.items() if name not in missing
    }
    rows |= {
        ("slots", space): (-(-width[space] // shape.lanes), n, shape.lanes) for space, n in described.slots.items() if n
    }
    rows["sums", ""] = (max(1, described.sums["training"]),)
    for k, product in enumerate(described.products):
        if product.state is None and product.input is None:
            rows["enters", str(k)] = (width[product.entered_space],)
    return rows


class FieldPlaces:
    """The index of each field of a part; a field that its code does not read has the index behind the last one, `nowhere`."""

    def __init__(self, part: str, names: Sequence[str], of: Pass) -> None:
        self.nowhere = len(names)
        self.count = len(names) + 1
        self._at = {name: n for n, name in enumerate(names)}
        described, products = of.described, range(len(of.described.products))
        self.x = self["x"]
        self.state, self.first = self.of("state", of.states), self.of("first", of.states)
        self.vectors = self.of("parameter", of.vectors)
        self.masks = [tuple(self[f"mask_{name}{end}"] for end in ("", "_flat", "_row")) for name in of.masks]
        self.panels = [self["weight_x"], *self.of("weight", products)]
        self.transposed = [self["weight_x_t"], *self.of("weight_t", products)]
        self.outside = [(self[f"dstate_{name}"], self[f"dstate_{name}_row"]) for name in of.states]
        self.carries = self.of("carry", of.states)
        self.dx, self.dvectors = self["dx"], self.of("dvector", of.vectors)
        self.dweights = [(self[f"dweight_{at}"], self[f"add_{at}"]) for at in ("x", *products)]
        self.kept = {("sums", ""): self["saved_sums" if part == "backward" else "sums"]}
        self.kept |= {("state", name): at for name, at in zip(of.states, self.state, strict=True)}
        self.kept |= {("slots", space): self[f"slots_{space}"] for space in described.slots}
        self.kept |= {("enters", str(k)): self[f"enters_{k}"] for k in products}

    def __getitem__(self, name: str) -> int:
        return self._at.get(name, self.nowhere)

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def of(self, kind: str, names: Sequence[object] | Mapping[str, object] | range) -> list[int]:
        """The index of the field of each name."""
        return [self[f"{kind}_{name}"] for name in names]


class Frame:
    """The fields of a part for the rows of a batch. For one call at a time.

    Attributes:
        fields: what the machine code reads.
        at: the index of each field.
        address: the address of the fields.
        function: the address of the machine code.
        run: the machine code as a function of Python, `(fields, thread, threads)`.
        team: how the work is divided among threads.
        meeting: the meeting place (the memory of the barrier) of these threads.
        sources: for the gradient of each weight ("x" and the numbers of products), the addresses of what entered the product.
        kept: where in the block the backward part finds what was kept for it; empty in inference.
        scratch: for memory that is needed while the part runs, the index of its field and its offset in memory of `numbers`.
        numbers: the size of that memory, in numbers of the dtype.
        rings: for each state that is stored nowhere else, the offset in that memory of its last two steps.
        carries: for each state, the offset in that memory of the gradient that passes from step to step.
    """

    def __init__(self, at: FieldPlaces, address: int, team: Team, is_backward: bool) -> None:
        self.at, self.function, self.team, self._is_backward = at, address, team, is_backward
        self.run, self.meeting = function(address), meeting_place()
        self.fields = (ctypes.c_int64 * at.count)()
        self.address = ctypes.addressof(self.fields)
        self.sources: dict[str, Sources] = {}
        self.kept = Kept({}, {}, 0)
        self.scratch: list[tuple[int, int]] = []
        self.numbers = 0
        self.rings: dict[int, int] = {}
        self.carries: list[int] = []
        self._constants: list[object] = []

    def hold(self, *constants: object) -> None:
        """Keep alive what the fields point to."""
        self._constants += constants

    def launch(self, functions: Mapping[str, int]) -> None:
        """Run the machine code on the threads of the team."""
        shares, by_rows = self.team
        if shares == 1:
            self.run(self.address, 0, 1)
        elif not by_rows:
            run_shares(functions["region"], self.function, self.address, shares, self.meeting)
        elif not self._is_backward:
            run_pieces(functions["pieces"], self.function, self.address, shares)
        else:
            for half, pieces in ((TIME, shares), (BEHIND, min(shares, most_threads()))):
                self.fields[self.at["halves"]] = half
                run_pieces(functions["pieces"], self.function, self.address, pieces)

    def set(self, values: Mapping[str, int]) -> None:
        """Store fields by name."""
        for name, value in values.items():
            self.fields[self.at[name]] = value

    def reserve(self, name: str, *shape: int, always: bool = False) -> None:
        """Reserve memory that is needed while the part runs, if the code has the field `name`, or `always`."""
        if always or name in self.at:
            self.scratch.append((self.at[name], self.numbers))
            self.numbers += aligned(math.prod(shape))


class Pass:
    """A kernel at the sizes of a direction of a layer: makes frames for kinds of batches.

    Args:
        kernel: the compiled cell.
        inputs: `I`.
        hidden: `H`.
        output: `P`, or `H` without a projection.
        bf16: as in `CallSpec`.

    Attributes:
        input_row: the length of a row of the input, its extras included.
        input_offsets: where in a row each extra begins, and the input itself as "x".
        shapes: the shape of each parameter.
        vectors: the names of the parameters that are vectors.
        matrices: the names of the other parameters.
        masks: the names of the cell's masks.
        states: the width of each state.
        packings: for each packed weight that the forward parts read, in the order of `FieldPlaces.panels`, the matrix and how it is
            packed.
        transposed: the same for the backward part.
        nothing: zeros, as many as a row of two directions has.
        written: how many rows of each parameter's gradient the backward part writes; the caller sets the others to zero.
        adds: for each of `packings`, whether its gradient is added to one that was written before, for the same matrix.
    """

    def __init__(self, kernel: Kernel, inputs: int, hidden: int, output: int, bf16: bool) -> None:
        self.kernel, self.inputs, self.hidden, self.bf16 = kernel, inputs, hidden, bf16
        self.described, self.shape = kernel.description, kernel.shape
        self.dtype = torch.float64 if self.shape.double else torch.float32
        cell, letters = kernel.cell, self.described.letters
        at = inputs, hidden, output if kernel.projected else 0
        self.shapes = cell.parameter_sizes(*at, kernel.bias)
        self.input_offsets, self.input_row = {"x": 0}, inputs
        for name, size in cell.extra_sizes(*at).items():
            self.input_offsets[name] = self.input_row
            self.input_row += size
        self.vectors = tuple(name for name, size in self.shapes.items() if len(size) == 1)
        self.matrices = tuple(name for name, size in self.shapes.items() if len(size) == 2)
        self.masks = tuple(noise.name for noise in cell.noise)
        widths = cell.widths_at(*at)
        self.width = widths.every()
        if (why := too_few(self.described.least, self.width)) is not None:
            raise Unsupported(why)
        self.states = {name: self.width[letter] for name, letter in letters.items()}
        self.blocks = {space: -(-width // self.shape.lanes) for space, width in self.width.items()}
        self.functions = library(self.shape.double)
        self.paired = bf16 and self._fits_tiles()
        if self.paired:
            self.functions = {**self.functions, **tile_library()}
        self.multiply_adds = sum(math.prod(self.shapes[m]) for m in self.matrices if m != "weight_ih")
        self.constants: dict[str, int] = {}
        self._pack()
        self.nothing = torch.zeros(2 * max(self.width.values()) + self.shape.panel, dtype=self.dtype, device="cpu")
        self._fields: dict[str, FieldPlaces] = {}
        self._kept: dict[tuple[int, tuple[int, ...]], Kept] = {}

    def _fits_tiles(self) -> bool:
        """Whether the processor's tiles can compute the products."""
        if not self.kernel.cell.has_whole_products:
            return False
        depths = [self.inputs, *self.states.values(), self.hidden, self.described.gates * self.hidden]
        return tiles.has_tiles() and min(depths) >= tiles.LEAST_DEPTH and max(depths) <= tiles.MOST_DEPTH

    # products

    def gates(self, k: int) -> tuple[tuple[int, ...], int]:
        """The blocks of rows (gates) of its matrix that a product uses, and the rows of one block."""
        product = self.described.products[k]
        return (product.gates, self.hidden) if product.gates else ((0,), self.width[product.space])

    def gradients(self) -> Iterator[tuple[int, tuple[int, ...], int]]:
        """For each product: its number, the gates of its gradient slots in order, and the rows of a gate in its matrix."""
        for k, order in enumerate(self.described.du):
            gates, units = self.gates(k)
            yield k, tuple(gates[i] for i in order), units

    def _pack(self) -> None:
        described, hidden, paired = self.described, self.hidden, self.paired
        every = Packing(tuple(range(described.gates)), hidden, False, paired)
        self.packings = [("weight_ih", every)]
        self.transposed = [("weight_ih", Packing(described.dx, hidden, True, paired))]
        self.written: dict[str, int] = {}
        self.adds: list[bool] = []
        self._write("weight_ih", len(described.dx) * hidden)
        for k, order, units in self.gradients():
            matrix = described.products[k].matrix
            forward, backward = self._heads(k)
            self.packings.append((matrix, Packing(*self.gates(k), False, paired, forward)))
            self.transposed.append((matrix, Packing(order, units, True, paired, backward)))
            self._write(matrix, len(order) * units)
        for name, _, space, _ in described.parameter_slots:
            self.written[name] = self.written.get(name, 0) + self.width[space]
        self._gate_rows = [np.array([gate * hidden for gate in described.dx])]
        self._gate_rows += [np.array([gate * units for gate in order]) for _, order, units in self.gradients()]

    def _write(self, matrix: str, rows: int) -> None:
        # The first product with a gradient for a matrix writes it, for the product's own gates; later products add theirs.
        self.adds.append(matrix in self.written)
        if rows:
            self.written.setdefault(matrix, rows)

    def _heads(self, k: int) -> tuple[tuple[tuple[int, int], ...] | None, tuple[tuple[int, int], ...] | None]:
        """For each head of a product its blocks of units (first, count), forward and backward; None without heads."""
        product, lanes = self.described.products[k], self.shape.lanes
        if (heads := product.heads) == 1:
            return None, None
        blocks, units = self.blocks[product.space], self.width[product.space] // heads
        together = heads_together(heads, units, self.shape)
        shared = blocks * together // heads
        forward = tuple((head // together * shared, shared) for head in range(heads))
        exact = [(head * units // lanes, -(-(head + 1) * units // lanes)) for head in range(heads)]
        deep = max(end - begin for begin, end in exact)
        backward = tuple((min(begin, blocks - deep), deep) for begin, _ in exact)
        self.constants |= {f"together_{k}": together, f"deep_{k}": deep}
        return forward, backward

    # memory

    def kept(self, total: int, pitches: tuple[int, ...]) -> Kept:
        """What the training part keeps of `total` flat rows. A state with a pitch is stored elsewhere and not kept."""
        if (found := self._kept.get((total, pitches))) is None:
            if len(self._kept) >= MOST_KINDS:
                self._kept.clear()
            found = self._kept[total, pitches] = self._keep(total, pitches)
        return found

    def _keep(self, total: int, pitches: tuple[int, ...]) -> Kept:
        missing = {name for name, pitch in zip(self.states, pitches, strict=True) if pitch}
        rows = kept_rows(self.described, self.shape, self.width, missing)
        offsets, at = {}, 0
        for part, row in rows.items():
            offsets[part] = at * self.shape.bytes
            at += aligned(total * math.prod(row))
        return Kept(rows, offsets, at * self.shape.bytes)

    # threads

    def work(self, rows: Rows) -> Work:
        """The size of the work on such rows."""
        own, given, shape = self.multiply_adds, math.prod(self.shapes["weight_ih"]), self.shape
        return Work(
            *(rows.steps, rows.batch, rows.total, own + given + UNIT * self.described.gates * self.hidden),
            *(own * shape.bytes, given * shape.bytes, -(-self.blocks["H"] // shape.across)),
            len(self.described.products) + 2 * bool(self.described.sums["training"]),
            shape.lanes,
        )

    # frames

    def frame(self, part: str, rows: Rows, team: Team, pitches: tuple[int, ...]) -> Frame:
        """Make a frame, in which only the addresses of a call are missing.

        Args:
            part: one of `PARTS`.
            rows: the rows of the batch.
            team: how the work is divided among threads.
            pitches: for each state, numbers from one flat row to the next in the caller's memory; 0 for a state that the pass keeps
                itself: its last two steps or, in training, all of them in the block of `kept`.
        """
        compiled = self.kernel.part(part)
        if (at := self._fields.get(part)) is None:
            at = self._fields[part] = FieldPlaces(part, compiled.fields, self)
        frame = Frame(at, compiled.address, team, is_backward=part == "backward")
        shares = (ctypes.c_int64 * (team.shares + 1))(*rows.shares(team.shares))
        frame.hold(shares, rows, self)
        frame.set(self.functions)
        if self.paired:
            frame.set({"multiply": self.functions["multiply_tiles"]})
        frame.set(
            {
                **self.width,
                **{f"input_{name}": offset * self.shape.bytes for name, offset in self.input_offsets.items()},
                "x_row": self.input_row,
                **self.constants,
                "B": rows.batch,
                "steps": rows.steps,
                "rows": rows.total,
                "offsets": rows.offsets.data_ptr(),
                "counts": rows.counts.data_ptr(),
                "by_rows": int(team.by_rows),
                "row_shares": ctypes.addressof(shares),
                "meeting": ctypes.addressof(frame.meeting),
                "halves": BOTH,
                "sums_flat": int(part == "training"),
                "enters_ring": int(part == "inference"),
            }
        )
        for n, ((name, width), pitch) in enumerate(zip(self.states.items(), pitches, strict=True)):
            is_ring = part == "inference" and not pitch
            frame.set({f"state_{name}_ring": int(is_ring), f"state_{name}_row": (pitch or width) * self.shape.bytes})
            if is_ring:
                frame.rings[n] = frame.numbers
                frame.reserve(f"state_{name}", 2, rows.batch, width)
        for space, count in self.described.scratch[part].items():
            if count:
                frame.reserve(f"scratch_{space}", rows.batch, self.blocks[space], count, self.shape.lanes)
        if part != "inference":
            frame.kept = self.kept(rows.total, pitches)
        if part == "backward":
            self._go_backward(frame, rows, pitches)
        else:
            self._go_forward(frame, part, rows, team)
        return frame

    def _go_forward(self, frame: Frame, part: str, rows: Rows, team: Team) -> None:
        described, lanes = self.described, self.shape.lanes
        row = described.gates * self.blocks["H"] * lanes
        products = enumerate(described.products)
        of_input = {k: self.blocks[p.space] * p.pieces * lanes for k, p in products if p.input and p.heads == 1}
        whole = row + sum(of_input.values())
        steps = max(1, min(rows.steps, CHUNK_BYTES // max(1, whole * self.shape.bytes * rows.batch)))
        steps = max(steps, -(-64 // max(1, rows.batch)))
        frame.set({"chunk": steps})
        frame.reserve("projected", min(steps, max(1, rows.steps)) * rows.batch, row)
        for k, product in enumerate(described.products):
            if k in of_input:
                frame.reserve(f"u_{k}", min(steps, max(1, rows.steps)) * rows.batch, of_input[k])
                continue
            together = max(self.blocks[product.space], team.shares * LOCAL_BLOCKS)
            frame.reserve(f"u_{k}", rows.batch, together, product.pieces, lanes)
            if product.state is None and product.input is None and part == "inference":
                frame.reserve(f"enters_{k}", 2 * rows.batch, self.width[product.entered_space])
        if part == "inference":
            frame.reserve("sums", rows.batch, max(1, described.sums[part]))

    def _go_backward(self, frame: Frame, rows: Rows, pitches: tuple[int, ...]) -> None:
        described, shape = self.described, self.shape
        frame.reserve("sums", rows.batch, max(1, described.sums["backward"]))
        for name, width in self.states.items():
            frame.carries.append(frame.numbers)
            frame.reserve(f"carry_{name}", 2, rows.batch, width, always=True)
        for space, count in described.parameters.items():
            if count:
                frame.reserve(f"gradients_{space}", rows.batch, self.blocks[space], count, shape.lanes)
        columns = [whole_panels(shape, self.inputs)]
        numbers, before = rows.numbers.numpy(), rows.before.numpy()
        begin, count = rows.begin
        frame.sources["x"] = Sources(numbers * (self.input_row * shape.bytes))
        pitch = {n: (p or w) * shape.bytes for (n, w), p in zip(self.states.items(), pitches, strict=True)}
        for k, _, _ in self.gradients():
            product = described.products[k]
            width = self.width[product.entered_space]
            columns.append(whole_panels(shape, width // product.heads))
            if not product.accumulated:  # a product that runs behind the loop needs none either, and has no such field
                frame.reserve(f"dv_{k}", rows.batch, width)
            if product.input is not None:
                offsets = numbers * (self.input_row * shape.bytes) + self.input_offsets[product.input] * shape.bytes
                frame.sources[str(k)] = Sources(offsets, heads=product.heads, row=width * shape.bytes)
            elif product.state is None:
                frame.sources[str(k)] = Sources(
                    numbers * (width * shape.bytes), heads=product.heads, row=width * shape.bytes
                )
            else:  # in the first step, the first states entered
                first = begin, count, width * shape.bytes
                offsets = (before - rows.batch) * pitch[product.state]
                frame.sources[str(k)] = Sources(offsets, first, product.heads, width * shape.bytes)
        for (name, source), gate_rows in zip(frame.sources.items(), self._gate_rows, strict=True):
            frame.set({f"sources_{name}": source.addresses.ctypes.data, f"gate_rows_{name}": gate_rows.ctypes.data})
        most = max(*columns, min(sum(columns), COLUMNS))
        work = -(-scratch_bytes(shape, rows.total, most, max(described.slots.values())) // 64) * 64
        frame.set({"work_bytes": work, "columns": most})
        frame.reserve("work", frame.team.shares, work // shape.bytes)
