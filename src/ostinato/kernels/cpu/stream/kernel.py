"""Streaming steps: the code of a cell, its weights in the order in which they are read, and the state that it goes on from."""

from __future__ import annotations

import ctypes
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from llvmlite import ir
from torch.nn import functional as F

from ostinato.cells.spec import Cell
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.cpu.code import cache
from ostinato.kernels.cpu.code.kernel import key_of, observed, shape, too_few
from ostinato.kernels.cpu.code.target import Loaded, load
from ostinato.kernels.cpu.code.target import compile as machine_code
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.cpu.run.library import library
from ostinato.kernels.cpu.stream.held import held_as
from ostinato.kernels.cpu.stream.record import ARGUMENTS, HEADER, NAME, START, THREADS, Described
from ostinato.kernels.cpu.threads.cores import most_threads
from ostinato.kernels.cpu.threads.lateness import Lateness
from ostinato.kernels.cpu.threads.openmp import meeting_place, openmp, slept_s
from ostinato.kernels.reading.current import current
from ostinato.locks import compiling
from ostinato.types import Tensor

THREAD_BYTES = (
    1 << 21
)  # of weights that are worth a thread of their own: one that sleeps takes longer to wake than to read less
ASLEEP_S = 2e-3  # after which the threads of torch's pool no longer spin
GAIN = 0.5  # of lateness, as a share of the time: with more of it several threads gain nothing
WAKING_BYTES = 1 << 24  # of weights that are worth waking a thread for
HELD_BYTES = 1 << 20  # of weights up to which a step is too short to let go of Python's lock


class StreamKernel:
    """The compiled streaming step of a cell.

    Args:
        cell: the recurrence, as it is in evaluation.
        bias: whether there are `bias_ih` and `bias_hh`.
        double: float64 rather than float32.
        held: the dtype in which the weights are held, one of `held.DTYPES`; None for as they are.

    Raises:
        Unsupported: with the reason, where the compiler does not take the cell.
    """

    def __init__(self, cell: Cell, bias: bool, double: bool, held: torch.dtype | None) -> None:
        self.cell, self.held, self.shape = cell, held, shape(double)
        self.projected = "P" in cell.states.values()
        self.reading = reading = current(cell)
        if reading.refusal is not None:
            raise Unsupported(reading.refusal)
        self.observed = None if reading.is_ours else observed(cell, bias, self.projected, reading)
        way = type(held_as(held)).__name__
        key = key_of(f"streaming {reading.digest} {bias} {self.projected} {way}", self.shape)
        if (found := cache.load(key)) is not None:
            head, _, code = found.partition(b"\n")
            self.described = _read(json.loads(head))
        else:
            module, self.described = self._module(bias)
            code = machine_code(module)
            if not reading.watch.holds():
                raise Unsupported(f"{', '.join(reading.watch.changed())} changed while the step was compiled")
            cache.store(key, json.dumps(asdict(self.described)).encode() + b"\n" + code)
        self._loaded: Loaded = load(code, [NAME, START])
        self.stream, self.start = self._loaded.address(NAME), self._loaded.address(START)

    def too_few(self, widths: Mapping[str, int]) -> str | None:
        """Why the code does not hold at these numbers of units, or None."""
        return too_few(self.described.least, widths)

    def _module(self, bias: bool) -> tuple[ir.Module, Described]:
        # Only who compiles imports torch's tracer, which takes its time.
        from ostinato.kernels.compiler.plan import plan
        from ostinato.kernels.compiler.trace import trace
        from ostinato.kernels.cpu.code.loops import Fields
        from ostinato.kernels.cpu.stream.step import StreamStep

        planned = plan(trace(self.cell, bias, self.projected))
        module, fields = ir.Module(f"{self.cell.name}_streaming"), Fields()
        letters = {name: planned.program.letters[name] for name in self.cell.states}
        step = StreamStep(module, planned, self.shape, fields, letters, self.held)
        step.write()
        fields.index("x")  # has a place also where the step does not look at its input
        products = planned.program.products
        return module, Described(
            tuple(fields.names),
            tuple(tuple((s.source, s.pieces) for s in each.segments) for each in step.passes.all),
            tuple(each.space for each in step.passes.all),
            tuple((p.matrix, tuple(p.gates), p.entered, p.heads) for p in products),
            {space: len(leaves) for space, leaves in step.passes.kept.items()},
            dict(planned.inference.scratch),
            len(planned.inference.rows),
            dict(planned.program.least),
        )


def _read(plain: dict[str, Any]) -> Described:
    """From what JSON gives."""
    plain["fields"], plain["spaces"] = tuple(plain["fields"]), tuple(plain["spaces"])
    plain["passes"] = tuple(tuple((source, tuple(pieces)) for source, pieces in each) for each in plain["passes"])
    plain["products"] = tuple((matrix, tuple(gates), *rest) for matrix, gates, *rest in plain["products"])
    return Described(**plain)


def stream_kernel(cell: Cell, bias: bool, double: bool, held: torch.dtype | None) -> StreamKernel | Unsupported:
    """The code of a cell, or the reason why there is none."""
    with compiling:
        known, key = current(cell).kernels, ("stream", bias, double, held)
        if key not in known:
            try:
                known[key] = StreamKernel(cell, bias, double, held)
            except Unsupported as reason:
                known[key] = Unsupported(str(reason))  # without the frames that it went through
        return known[key]


@dataclass(frozen=True)
class LayerTensors:
    """The parameters of one layer; of one dtype, float32 or float64.

    Attributes:
        weight_ih: `(G H, I)`.
        matrices: `weight_hh` and own matrices by name.
        vectors: biases and own vectors by name.
        widths: the number of every letter.
        extras: the width of each.
        masks: noise by name: what its mean is for every unit.
    """

    weight_ih: Tensor
    matrices: Mapping[str, Tensor]
    vectors: Mapping[str, Tensor]
    widths: Mapping[str, int]
    extras: Mapping[str, int] = field(default_factory=dict)
    masks: Mapping[str, float] = field(default_factory=dict)


class PackedStack:
    """The weights of a stack, as the code reads them. Streams may share one.

    Args:
        kernel: of the layers' cell.
        layers: from the first to the last.
        residual: whether the output of every layer but the first is added to its input.
    """

    def __init__(self, kernel: StreamKernel, layers: Sequence[LayerTensors], residual: bool) -> None:
        self.kernel, self.residual = kernel, residual
        self.widths = [{**layer.widths, **self._blocks_of_heads(layer.widths)} for layer in layers]
        self.extras = layers[0].extras
        self.inputs = [layer.weight_ih.shape[1] for layer in layers]
        self.records = [self._record(layer) for layer in layers]

    def pack(self, layers: Sequence[LayerTensors]) -> None:
        """Take the values that the weights have now, in place: streams hold the addresses."""
        for record, layer in zip(self.records, layers, strict=True):
            for name, new in self._record(layer).items():
                record[name].copy_(new)

    def _blocks_of_heads(self, widths: Mapping[str, int]) -> dict[str, int]:
        """For each product with heads the units that enter a block, and the blocks that share them."""
        found = {}
        for k, (_, _, entered, heads) in enumerate(self.kernel.described.products):
            if heads > 1:
                together, lanes = _heads_together(heads, widths["d"], self.kernel.shape.lanes), self.kernel.shape.lanes
                found[f"depth_{k}"] = widths[entered] // heads * together
                found[f"shared_{k}"] = max(1, -(-widths["H"] // lanes) * together // heads)
        return found

    @torch.no_grad()
    def _record(self, layer: LayerTensors) -> dict[str, Tensor]:
        described, lanes = self.kernel.described, self.kernel.shape.lanes
        found: dict[str, Tensor] = {}
        for n, (space, segments) in enumerate(zip(described.spaces, described.passes, strict=True)):
            if segments:
                parts = [self._segment(layer, space, *s) for s in segments]
                held = pool.take(len(parts[0]), sum(p.shape[1] for p in parts), dtype=parts[0].dtype)
                found[f"weights_{n}"] = torch.cat(parts, 1, out=held)
        own = {p.name: p.shape for p in self.kernel.cell.parameters}
        for name, vector in layer.vectors.items():
            width = layer.widths["H" if (letter := own.get(name, ("G",))[0]) in ("G", "G_ih") else letter]
            found[f"parameter_{name}"] = F.pad(vector.detach().view(-1, width), (0, -width % lanes)).contiguous()
        for name, mean in layer.masks.items():
            found[f"mask_{name}"] = layer.weight_ih.new_full((_whole(max(layer.widths.values()), lanes),), mean)
        return found

    def _segment(self, layer: LayerTensors, space: str, source: str, pieces: tuple[int, ...]) -> Tensor:
        """`(blocks, numbers)`: `[k][piece][lane]`."""
        units, lanes, heads = layer.widths[space], self.kernel.shape.lanes, 1
        if source == "x":
            matrix, blocks = layer.weight_ih, pieces
        else:
            name, gates, _, heads = self.kernel.described.products[int(source)]
            matrix = layer.weight_ih if name == "weight_ih" else layer.matrices[name]
            blocks = tuple(gates[piece] for piece in pieces) if gates else (0,)
        rows = torch.stack([matrix.detach()[n * units : (n + 1) * units] for n in blocks])
        if heads > 1:
            rows = _beside_others(rows, heads, _heads_together(heads, units // heads, lanes))
        rows = F.pad(rows, (0, 0, 0, -units % lanes))  # (pieces, blocks * lanes, K)
        packed = rows.view(len(blocks), -1, lanes, rows.shape[2]).permute(1, 3, 0, 2)  # (blocks, K, pieces, lanes)
        return held_as(self.kernel.held, heads).packed(packed)

    @property
    def weight_bytes(self) -> int:
        """Of the weights that a step reads."""
        return sum(v.nbytes for record in self.records for n, v in record.items() if n.startswith("weights_"))


def _heads_together(heads: int, units: int, lanes: int) -> int:
    """How many heads of so many units fill whole blocks: the fewest that do, or all."""
    return next((n for n in range(1, heads) if not heads % n and not n * units % lanes), heads)


def _beside_others(rows: Tensor, heads: int, together: int) -> Tensor:
    """The rows of each head, `(pieces, H, K)`, in the columns that are its own among those of heads that share blocks."""
    parts = rows.unflatten(1, (heads // together, together, -1))  # (pieces, groups, heads, units, K)
    where = torch.eye(together, dtype=rows.dtype, device=rows.device)
    return torch.einsum("pghuk,hj->pghujk", parts, where).flatten(4).flatten(1, 3)


def _whole(width: int, lanes: int) -> int:
    """`width` filled up to whole vectors."""
    return -(-width // lanes) * lanes


class Runner:
    """The state of one stream, and the door to the code.

    Attributes:
        call: takes one step. Before it, `fields[turn][x]` must be the address of the input and `fields[turn][y]` that of the
            output; after it, `turn` must be changed to the other one of 0 and 1.
        calls: the argument of `call`, by turn.
        fields: two sets, which differ in what is old and what is new, and in the direction in which the weights are read.
        x, y: places of the addresses of input and output in `fields`.
        extras: what the next step gets besides its input, by name, filled up to whole vectors.
        turn: which set is next.
        states: for each layer, by name, `(2, filled up width)`; the one at `turn` is the state before the next step.
    """

    def __init__(self, packed: PackedStack, threads: int | None = None) -> None:
        self.packed = packed
        kernel, described = packed.kernel, packed.kernel.described
        lanes = kernel.shape.lanes
        like = torch.float64 if kernel.shape.double else torch.float32
        self.turn = 0
        self.states: list[dict[str, Tensor]] = []
        self.extras = {
            name: torch.zeros(_whole(width, lanes), dtype=like, device="cpu") for name, width in packed.extras.items()
        }
        self.threads = self._fitting_threads() if threads is None else threads
        self._own: list[dict[str, Tensor]] = []
        # What enters a product, as 16 bits, for each thread.
        self._entering_bytes = 2 * _whole(max(*packed.inputs, *(max(w.values()) for w in packed.widths)), lanes)
        entering = torch.zeros(self.threads * described.sources * self._entering_bytes, dtype=torch.uint8, device="cpu")
        for widths in packed.widths:
            filled = {space: _whole(width, lanes) for space, width in widths.items()}

            def room(*sizes: int) -> Tensor:
                return torch.zeros(sizes, dtype=like, device="cpu")

            self.states.append({name: room(2, filled[letter]) for name, letter in kernel.cell.states.items()})
            own = {f"enters_{k}": room(filled[p[2]]) for k, p in enumerate(described.products)}
            for what, counts in (("kept", described.kept), ("scratch", described.scratch)):
                own |= {f"{what}_{s}": room(filled.get(s, 0), max(1, n)) for s, n in counts.items()}
            own |= {"entering": entering, "sums": room(max(1, described.sums)), "output": room(max(filled.values()))}
            self._own.append(own)
        self._meeting = meeting_place()
        record = len(described.fields)
        self.x = len(HEADER) + described.fields.index("x")
        self.y = len(HEADER) + (len(packed.records) - 1) * record + described.fields.index("output")
        self.fields = [(ctypes.c_int64 * (len(HEADER) + record * len(packed.records)))() for _ in range(2)]
        self._arguments = [(ctypes.c_int64 * ARGUMENTS)() for _ in range(2)]
        self.calls = tuple(ctypes.addressof(each) for each in self._arguments)
        # Where others wait for Python's lock, who lets go of it gets it back after 5 ms: a hundred times a short step.
        kind = ctypes.PYFUNCTYPE if packed.weight_bytes <= HELD_BYTES else ctypes.CFUNCTYPE
        self.call = self._start = kind(None, ctypes.c_void_p)(kernel.start)
        self._set_fields()
        if self.threads > 1:
            self._late, self._running, self._last = Lateness(), self.threads, 0.0
            self._are_worth_waking = packed.weight_bytes >= WAKING_BYTES
            self.call = self._call_together

    def _fitting_threads(self) -> int:
        if openmp() is None:
            return 1
        lanes = self.packed.kernel.shape.lanes
        blocks = min(-(-widths["H"] // lanes) for widths in self.packed.widths)
        return max(1, min(most_threads(), blocks, self.packed.weight_bytes // THREAD_BYTES))

    def _set_fields(self) -> None:
        kernel, packed = self.packed.kernel, self.packed
        functions, door = library(kernel.shape.double), openmp()
        for turn, (fields, argument) in enumerate(zip(self.fields, self._arguments, strict=True)):
            record = len(kernel.described.fields)
            fields[: len(HEADER)] = [
                len(packed.records),
                8 * record,
                turn,
                functions["meet"],
                ctypes.addressof(self._meeting),
            ]
            for layer in range(len(packed.records)):
                values = self._values(layer, turn)
                begin = len(HEADER) + layer * record
                fields[begin : begin + record] = [values[name] for name in kernel.described.fields]
            number, count = (0, 0) if door is None else (door.number, door.count)
            parallel = 0 if door is None else ctypes.cast(door.parallel, ctypes.c_void_p).value or 0  # pyright: ignore[reportArgumentType]
            address = ctypes.addressof(fields)
            place = ctypes.addressof(self._meeting)
            argument[:] = [kernel.stream, address, number, count, place, self.threads, functions["region"], parallel]

    def _values(self, layer: int, turn: int) -> dict[str, int]:
        packed, output = self.packed, self.packed.kernel.cell.output
        last = layer == len(packed.records) - 1
        values = {**packed.widths[layer], "I": packed.inputs[layer], "residual": 0}
        values["entering_bytes"] = self._entering_bytes
        values |= {name: v.data_ptr() for name, v in (packed.records[layer] | self._own[layer]).items()}
        values |= {f"extra_{name}": v.data_ptr() for name, v in self.extras.items()}
        for name, pair in self.states[layer].items():
            values[f"old_{name}"], values[f"new_{name}"] = pair[turn].data_ptr(), pair[1 - turn].data_ptr()
        if not packed.residual and not last:
            values["output"] = 0
        values["x"] = 0
        if layer:
            below = self._own[layer - 1]["output"] if packed.residual else self.states[layer - 1][output][1 - turn]
            values["x"] = below.data_ptr()
            values["residual"] = values["x"] if packed.residual else 0
        return values

    def _call_together(self, argument: int) -> None:
        """Take one step; alone where the others sleep, or come so late that they save nothing, as other work has their cores."""
        now = time.monotonic()
        is_paced, self._last = now - self._last > ASLEEP_S, now
        alone = (is_paced and not self._are_worth_waking) or self._late.now() > GAIN
        threads = 1 if alone else self.threads
        if threads != self._running:
            for each in self._arguments:
                each[THREADS] = threads
            self._running = threads
        self._start(argument)
        if not alone:
            slept = slept_s(self._meeting) / (threads - 1)
            self._late.note(slept, time.monotonic() - now - slept)

    def step(self, x: Tensor, y: Tensor) -> None:
        """One step, from the input to the output; contiguous tensors of the right dtype and size."""
        turn = self.turn
        fields = self.fields[turn]
        fields[self.x], fields[self.y] = x.data_ptr(), y.data_ptr()
        self.call(self.calls[turn])
        self.turn = 1 - turn
