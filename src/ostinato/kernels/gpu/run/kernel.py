"""A cell on a GPU: its plan, and its kernels for the sizes of each layer."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ostinato.cells.spec import Cell
from ostinato.kernels.compiler.fits import observed, too_few
from ostinato.kernels.compiler.graph import Unsupported, walk
from ostinato.kernels.compiler.plan import Plan, plan
from ostinato.kernels.compiler.trace import trace
from ostinato.kernels.gpu.code.blocks import power
from ostinato.kernels.gpu.code.kernel import PARTS, Emitted, emit
from ostinato.kernels.gpu.code.module import is_interpreted
from ostinato.kernels.gpu.code.operations import EXPRESSIONS
from ostinato.kernels.gpu.run.model import choose
from ostinato.kernels.gpu.run.passes import Passes
from ostinato.kernels.gpu.run.sizes import LayerSizes
from ostinato.kernels.gpu.run.ways import Way, forced
from ostinato.kernels.gpu.run.workspace import Workspaces
from ostinato.kernels.reading.current import current
from ostinato.kernels.reading.fingerprint import Reading
from ostinato.locks import compiling

if TYPE_CHECKING:
    from ostinato.kernels.compiler.observed import Observed

MOST_SIZES = 64  # sizes of layers for which source is kept
_KINDS = ("persistent", "steps")


@dataclass(frozen=True)
class SourceKey:
    """What a source depends on, besides the cell and the sizes."""

    part: str
    way: Way
    dtype: torch.dtype
    with_lengths: bool


class SizedKernels:
    """The kernels of a cell at the sizes of a layer.

    Attributes:
        sizes: the sizes.
        passes: the object that runs the kernels.
        workspaces: memory that stays from call to call.
    """

    def __init__(self, plan: Plan, sizes: LayerSizes, avoided: Mapping[str, str]) -> None:
        self.plan, self.sizes, self.passes, self._avoided = plan, sizes, Passes(plan, sizes), avoided
        self.workspaces = Workspaces()
        self._failed: dict[str, str] = {}
        self._emitted: dict[object, Emitted] = {}
        self._ways: dict[object, Way | str] = {}

    def fail(self, kind: str, reason: str, cell: str, device: torch.device) -> None:
        """Note that a way to run does not work, and why; warn if no way is left."""
        if kind in self._failed:
            return
        self._failed[kind] = reason
        if len(self._failed) == len(_KINDS):
            warnings.warn(
                f"the cell {cell!r} with {self.sizes.hidden} units runs on the reference on {device}: {reason}",
                RuntimeWarning,
                stacklevel=2,
            )

    def way(self, rows: int, dtype: torch.dtype, device: torch.device) -> Way | str:
        """The way in which calls run, or why they cannot."""
        wanted = forced()
        # Rounded to powers of two, so that a last batch with fewer rows needs no kernel of its own.
        rows = max(16, power(rows))
        avoided = (*self._failed, *self._avoided)
        key = rows, dtype, device, wanted, avoided
        if (found := self._ways.get(key)) is None:
            found = self._ways[key] = choose(self.sizes, rows, dtype, device, wanted, avoided)
        if self._failed and (isinstance(found, str) or found.kind in self._failed):
            return f"Triton failed for these sizes ({next(reversed(self._failed.values()))})"
        return found

    def emitted(self, key: SourceKey) -> Emitted:
        """The source of a part."""
        known = key, torch.get_float32_matmul_precision()
        if (found := self._emitted.get(known)) is None:
            blocks = key.way.blocks(key.part)
            found = self._emitted[known] = emit(
                self.plan,
                key.part,
                self.sizes.widths,
                blocks,
                dtype=key.dtype,
                with_lengths=key.with_lengths,
                about=f"the step of {self.sizes.cell.name!r}",
                interpreted=is_interpreted(),
            )
        return found


class GPUKernel:
    """The plan of a cell for GPUs, and its kernels at each size.

    Args:
        cell: the recurrence.
        bias: whether there are `bias_ih` and `bias_hh`.
        projected: whether the output has `P` units.

    Attributes:
        reading: the reading of the cell.
        observed: what its step looks at besides values; None for a cell of this package, whose steps look at nothing else.
        tried: for each device (and dtypes) on which it was tried, why it must not run there; None if it was right.
        avoided: ways to run that gave wrong results, and why.

    Raises:
        Unsupported: with the reason, if it has no kernels.
    """

    def __init__(self, cell: Cell, bias: bool, projected: bool) -> None:
        self.bias, self.projected = bias, projected
        self.reading = current(cell)
        if self.reading.refusal is not None:
            raise Unsupported(self.reading.refusal)
        self.observed: Observed | None = None if self.reading.is_ours else observed(cell, bias, projected, self.reading)
        program = trace(cell, bias, projected)
        self.plan = plan(program)
        if not self.reading.watch.holds():
            raise RuntimeError(
                f"what the step of cell {cell.name!r} reads changed while it was compiled; call it again"
            )
        self._check()
        self.tried: dict[object, str | None] = {}
        self.avoided: dict[str, str] = {}
        self._sized: OrderedDict[tuple[int, int, int], SizedKernels] = OrderedDict()

    def _check(self) -> None:
        """Raise `Unsupported` for an operation that Triton lacks."""
        for part in PARTS:
            schedule = getattr(self.plan, part)
            roots = [store.node for stage in schedule.stages for store in stage.stores]
            roots += [node for stage in schedule.stages for nodes in stage.sums for node in nodes]
            for node in walk(roots):
                known = not node.args or node.op in EXPRESSIONS or node.op in ("sum", "max", "roll", "flip")
                if not known:
                    raise Unsupported(f"the step uses {node.op}, which the compiler for GPUs does not know")

    def too_few(self, widths: Mapping[str, int]) -> str | None:
        """Why the plan does not hold at these numbers of units; None if it does."""
        return too_few(self.plan.program.least, widths)

    def sized(self, cell: Cell, inputs: int, hidden: int, projected: int) -> SizedKernels:
        """The kernels at the sizes of a layer."""
        key = inputs, hidden, projected
        if (found := self._sized.get(key)) is None:
            found = self._sized[key] = SizedKernels(
                self.plan, LayerSizes(cell, self.plan, self.bias, *key), self.avoided
            )
            while len(self._sized) > MOST_SIZES:
                self._sized.popitem(last=False)
        return found


def gpu_kernel(cell: Cell, bias: bool, projected: bool) -> GPUKernel | Unsupported:
    """The kernel of what a cell computes now, or why there is none."""
    reading = current(cell)
    key = "gpu", bias, projected
    found = reading.kernels.get(key)
    if found is None:
        with compiling:
            reading = current(cell)
            found = reading.kernels.get(key) or _found(cell, reading, bias, projected)
            reading.kernels[key] = found
    return found


def _found(cell: Cell, reading: Reading, bias: bool, projected: bool) -> GPUKernel | Unsupported:
    try:
        return GPUKernel(cell, bias, projected)
    except Unsupported as reason:
        # A new one: the exception that was raised keeps the frames that it went through, and they keep the cell.
        return Unsupported(str(reason))
