"""`python -m benchmarks.streaming`: one step of a live service, beside the time that its weights alone take to be read.

A step reads every weight once, so it cannot be faster than reading them: that is the floor, measured here with the same
threads, over as many bytes, there and back in turns as a stream does. Steps with pauses between
them are in `benchmarks/paced.py`.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from llvmlite import ir
from rich.console import Console
from rich.table import Table

import ostinato
from benchmarks.case import Subject
from benchmarks.onnx_peer import OnnxLayer
from benchmarks.plain import our_layer, torch_layer
from benchmarks.sizes import GATES, STEPS
from benchmarks.timing import measure
from ostinato.kernels.cpu.code.builder import POINTER, Code
from ostinato.kernels.cpu.code.kernel import shape
from ostinato.kernels.cpu.code.target import compile as machine_code
from ostinato.kernels.cpu.code.target import load
from ostinato.kernels.cpu.run.library import library
from ostinato.kernels.cpu.threads.openmp import run

BLOCK = 1 << 14  # bytes that are always read in the same direction
CHAINS = 8
ROUNDS = 20
DTYPES = (None, torch.bfloat16, torch.int8)
ROWS, TOGETHER = 1000, (16, 256)  # of a service, and how many of them step at a time


def read_module() -> ir.Module:
    """`read(fields, thread, threads)`: add up a share of memory; fields: its address, its blocks, how often, where sums go."""
    vectors = shape(False)
    module = ir.Module("read")
    code = Code(module, "read", "*fields thread threads")
    address, blocks, rounds, sums = (code.load(code.at(code.arg.fields, 8 * n)) for n in range(4))
    size = vectors.lanes * vectors.bytes
    totals = [code.slot(vectors.vector, vectors.zero()) for _ in range(CHAINS)]
    begin = code.div(code.mul(blocks, code.arg.thread), code.arg.threads)
    end = code.div(code.mul(blocks, code.add(code.arg.thread, 1)), code.arg.threads)
    with code.loop(0, rounds) as turn, code.loop(begin, end) as i:
        back = code.sub(code.sub(code.add(begin, end), 1), i)
        block = code.choose(code.is_(code.builder.and_(turn, code.int(1)), "==", 0), i, back)
        with code.loop(0, BLOCK, CHAINS * size) as at:
            place = code.at(code.builder.inttoptr(address, POINTER), code.mul(block, BLOCK), at)
            for n, slot in enumerate(totals):
                total = code.builder.load(slot, typ=vectors.vector)
                total = code.builder.fadd(total, vectors.load(code, code.at(place, n * size)))
                code.builder.store(total, slot)
    total = vectors.zero()
    for slot in totals:
        total = code.builder.fadd(total, code.builder.load(slot, typ=vectors.vector))
    vectors.store(code, total, code.at(code.builder.inttoptr(sums, POINTER), code.mul(code.arg.thread, size)))
    code.end()
    return module


class Reading:
    """Reads so many bytes `ROUNDS` times, by so many threads."""

    def __init__(self, bytes: int, threads: int) -> None:
        self._loaded = load(machine_code(read_module()), ["read"])
        blocks = max(1, bytes // BLOCK)
        self._memory, self._sums = torch.ones(blocks * BLOCK // 4), torch.zeros(threads * 64)
        self._fields = (ctypes.c_int64 * 4)(self._memory.data_ptr(), blocks, ROUNDS, self._sums.data_ptr())
        self._threads = threads

    def __call__(self) -> torch.Tensor:
        """Once through all rounds."""
        fields = ctypes.addressof(self._fields)
        run(library(False)["region"], self._loaded.address("read"), fields, self._threads)
        return self._sums


@dataclass(frozen=True)
class Measured:
    """One stream.

    Attributes:
        name: cell, width and dtype of the weights.
        weight_bytes: that a step reads.
        threads: that read them.
        floor_s: that reading takes.
        step_s: a step, from Python, one after the other.
        onnx_s: the same in ONNX Runtime, every buffer bound; None for rounded weights.
    """

    name: str
    weight_bytes: int
    threads: int
    floor_s: float
    step_s: float
    onnx_s: float | None


@dataclass(frozen=True)
class Together:
    """Rows that step together.

    Attributes:
        name: cell, width and dtype of the weights.
        rows: that step.
        together_s: the median of a call.
        single_s: that of as many steps of a stream of one row.
        product_s: that of one product of these sizes in PyTorch.
    """

    name: str
    rows: int
    together_s: float
    single_s: float
    product_s: float


def together(hidden: int, rows: int, of: int, dtype: torch.dtype | None, budget_s: float) -> Together:
    """Time an LSTM of `I = H = hidden`: some of its rows in one call, and one after the other."""
    layer = ostinato.LSTM(hidden, hidden).eval()
    one, many = ostinato.Stream(layer, dtype), ostinato.Stream(layer, dtype, rows=of)
    x, which = torch.randn(rows, hidden), torch.randperm(of)[:rows]
    weights, entering = torch.randn(2 * hidden, 4 * hidden), torch.randn(rows, 2 * hidden)
    subjects: dict[str, Callable[[], Any]] = {
        "together": lambda: many(x, which),
        "single": lambda: [one(row) for row in x],
        "product": lambda: entering @ weights,
    }
    first_s = {}
    for name, call in subjects.items():
        start = time.perf_counter()
        call()
        first_s[name] = time.perf_counter() - start
    found = measure([Subject(name, call, 0.0) for name, call in subjects.items()], first_s, budget_s)
    return Together(_named("LSTM", hidden, dtype), rows, *(found[name].median_s for name in subjects))


def _named(cell: str, hidden: int, dtype: torch.dtype | None) -> str:
    return f"{cell} {hidden}, {str(dtype or torch.float32).removeprefix('torch.')}"


def measured(cell: str, hidden: int, dtype: torch.dtype | None, budget_s: float) -> Measured:
    """Time a cell of `I = H = hidden`."""
    size = next(s for s in STEPS if hidden == s.H)
    theirs = torch_layer(cell, size).eval()
    stream = ostinato.Stream(our_layer(theirs).eval(), dtype)
    x = torch.randn(1, 1, size.I)
    row, threads = x[0, 0], stream.threads
    reading = Reading(stream.weight_bytes, threads)
    subjects: dict[str, Callable[[], Any]] = {"floor": reading, "step": lambda: stream(row)}
    if dtype is None:
        subjects["onnx"] = OnnxLayer(theirs, 1, 1).bound_step(x)
    first_s = {}
    for name, call in subjects.items():
        start = time.perf_counter()
        call()
        first_s[name] = time.perf_counter() - start
    found = measure([Subject(name, call, 0.0) for name, call in subjects.items()], first_s, budget_s)
    return Measured(
        _named(cell, hidden, dtype),
        stream.weight_bytes,
        threads,
        found["floor"].median_s / ROUNDS,
        found["step"].median_s,
        found["onnx"].median_s if "onnx" in found else None,
    )


def show(console: Console, rows: list[Measured]) -> None:
    """Print them."""
    table = Table(title="one step, I = H, microseconds")
    columns = ("", "weights MB", "threads", "floor", "step", "floor / step", "ONNX Runtime")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        onnx = f"{row.onnx_s * 1e6:.1f}" if row.onnx_s is not None else ""
        figures = [f"{v * 1e6:.1f}" for v in (row.floor_s, row.step_s)]
        share = f"{row.floor_s / row.step_s:.0%}"
        megabytes = f"{row.weight_bytes / 1e6:.2f}"
        table.add_row(row.name, megabytes, str(row.threads), *figures, share, onnx)
    console.print(table)


def show_together(console: Console, rows: list[Together]) -> None:
    """Print them."""
    table = Table(title=f"rows of {ROWS} that step together, I = H, milliseconds")
    for column in ("", "rows", "together", "one by one", "times", "one product in PyTorch"):
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        figures = [f"{v * 1e3:.2f}" for v in (row.together_s, row.single_s)]
        times = f"{row.single_s / row.together_s:.1f}"
        table.add_row(row.name, str(row.rows), *figures, times, f"{row.product_s * 1e3:.2f}")
    console.print(table)


def main(cells: tuple[str, ...] = tuple(GATES), budget_s: float = 2.0) -> None:
    """Measure and print."""
    rows = []
    # Not in inference mode: tensors that are made there have no versions, so that a stream looks at every number for a change.
    with torch.no_grad():
        for cell in cells:
            for size in STEPS:
                rows += [measured(cell, size.H, dtype, budget_s) for dtype in DTYPES]
    show(Console(width=140), rows)
    found = [together(512, rows, ROWS, dtype, 5 * budget_s) for dtype in DTYPES for rows in TOGETHER]
    show_together(Console(width=140), found)


if __name__ == "__main__":
    main()
