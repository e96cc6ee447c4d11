"""The compiled streaming step of a cell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from llvmlite import ir

from ostinato.cells.spec import Cell
from ostinato.kernels.compiler.fits import observed, too_few
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.cpu.code import cache
from ostinato.kernels.cpu.code.kernel import key_of, shape
from ostinato.kernels.cpu.code.target import Loaded, load
from ostinato.kernels.cpu.code.target import compile as machine_code
from ostinato.kernels.cpu.stream.held import held_as
from ostinato.kernels.cpu.stream.record import NAME, START, Described
from ostinato.kernels.reading.current import current
from ostinato.locks import compiling


class StreamKernel:
    """The compiled streaming step of a cell.

    Args:
        cell: the recurrence, as it is in evaluation.
        bias: whether there are `bias_ih` and `bias_hh`.
        double: whether it computes in float64 rather than float32.
        held: the dtype in which the weights are held, bfloat16 or int8; None for as they are.
        many: whether it is for many rows, see `Places`.

    Raises:
        Unsupported: with the reason, if the compiler does not take the cell.
    """

    def __init__(self, cell: Cell, bias: bool, double: bool, held: torch.dtype | None, many: bool = False) -> None:
        self.cell, self.held, self.shape, self._bias, self._many = cell, held, shape(double), bias, many
        self.projected = "P" in cell.states.values()
        self.reading = reading = current(cell)
        if reading.refusal is not None:
            raise Unsupported(reading.refusal)
        self.observed = None if reading.is_ours else observed(cell, bias, self.projected, reading)
        way = type(held_as(held)).__name__
        rows = "many" if many else "one"
        key = key_of(f"streaming {rows} {reading.digest} {bias} {self.projected} {way}", self.shape)
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

    def of_many(self) -> StreamKernel:
        """The code for many rows, with the same weights."""
        found = stream_kernel(self.cell, self._bias, self.shape.double, self.held, many=True)
        assert not isinstance(found, Unsupported), found
        return found

    def too_few(self, widths: Mapping[str, int]) -> str | None:
        """Why the code does not hold at these numbers of units; None if it does."""
        return too_few(self.described.least, widths)

    def _module(self, bias: bool) -> tuple[ir.Module, Described]:
        # Imported only to compile, as importing torch's tracer takes time.
        from ostinato.kernels.compiler.plan import plan
        from ostinato.kernels.compiler.trace import trace
        from ostinato.kernels.cpu.code.loops import Fields
        from ostinato.kernels.cpu.stream.step import StreamStep

        planned = plan(trace(self.cell, bias, self.projected))
        module, fields = ir.Module(f"{self.cell.name}_streaming"), Fields()
        letters = {name: planned.program.letters[name] for name in self.cell.states}
        step = StreamStep(module, planned, self.shape, fields, letters, self.held, self._many)
        step.write()
        fields.index("x")  # gives it a place even if the step does not read its input
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
    """Make a `Described` of what JSON gives."""
    plain["fields"], plain["spaces"] = tuple(plain["fields"]), tuple(plain["spaces"])
    plain["passes"] = tuple(tuple((source, tuple(pieces)) for source, pieces in each) for each in plain["passes"])
    plain["products"] = tuple((matrix, tuple(gates), *rest) for matrix, gates, *rest in plain["products"])
    return Described(**plain)


def stream_kernel(
    cell: Cell, bias: bool, double: bool, held: torch.dtype | None, many: bool = False
) -> StreamKernel | Unsupported:
    """The code of a cell, or the reason why there is none."""
    with compiling:
        known, key = current(cell).kernels, ("stream", bias, double, held, many)
        if key not in known:
            try:
                known[key] = StreamKernel(cell, bias, double, held, many)
            except Unsupported as reason:
                known[key] = Unsupported(str(reason))  # a new one, without the frames that it went through
        return known[key]
