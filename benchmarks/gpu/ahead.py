"""What the kernels need of GPUs that are not here: every built-in cell, with no option and with all that go together."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

from benchmarks.gpu.subjects import built_in
from ostinato.kernels.compiler.plan import plan
from ostinato.kernels.compiler.trace import trace
from ostinato.kernels.gpu.ahead import usage
from ostinato.kernels.gpu.code.kernel import emit
from ostinato.kernels.gpu.run.model import DEVICES, way_on
from ostinato.kernels.gpu.run.sizes import LayerSizes

HIDDEN = (64, 128, 256, 512, 1024)
TARGETS = ("sm_80", "sm_90")
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
ROWS = 16


@dataclass(frozen=True)
class Row:
    """One kernel.

    Attributes:
        cell: its name, and whether all options are on.
        hidden: `H`, which is `I` too.
        dtype: of what enters products.
        target: the GPU.
        part: "training" or "backward".
        way: how it runs, and its tiles: rows x units, k x split.
        registers: of a thread.
        spilled: bytes of a thread.
        shared: bytes of a program.
        limit: bytes of shared memory that a program may have there.
        products: instructions that multiply matrices.
        seconds: that it took to compile.
    """

    cell: str
    hidden: int
    dtype: str
    target: str
    part: str
    way: str
    registers: int
    spilled: int
    shared: int
    limit: int
    products: int
    seconds: float

    @property
    def key(self) -> tuple[object, ...]:
        """Which kernel it is."""
        return self.cell, self.hidden, self.dtype, self.target, self.part


def rows(
    names: Sequence[str] | None,
    hidden: Iterable[int],
    dtypes: Iterable[str],
    targets: Iterable[str],
    known: Container[object],
) -> Iterator[Row]:
    """Compile them, but those that are known."""
    for (name, cell), H, dtype, target in product(built_in().items(), hidden, dtypes, targets):
        if names is not None and name not in names:
            continue
        if all((name, H, dtype, target, part) in known for part in ("training", "backward")):
            continue
        planned = plan(trace(cell, True, False))
        sizes, low = LayerSizes(cell, planned, True, H, H, 0), DTYPES[dtype]
        way = way_on(sizes, ROWS, low, DEVICES[target])
        if isinstance(way, str):
            raise RuntimeError(way)
        for part in ("training", "backward"):
            blocks = way.blocks(part)
            emitted = emit(planned, part, sizes.widths, blocks, dtype=low, about=f"the step of {name!r}")
            found = usage(emitted, low, blocks, target, way.kind == "persistent")
            kept = "resident" if blocks.resident else "streaming"
            tiles = f"{blocks.rows}x{blocks.units}, {blocks.k}x{blocks.split}"
            how = f"{way.kind}, {tiles}, {kept}, {blocks.warps} warps"
            needs = found.registers, found.spilled, found.shared, DEVICES[target].shared, found.products
            yield Row(name, H, dtype, target, part, how, *needs, round(found.seconds, 1))


def read(file: Path) -> list[Row]:
    """The rows of a file of JSON lines."""
    if not file.exists():
        return []
    return [Row(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def table(found: Sequence[Row]) -> str:
    """As Markdown: both passes of a layer beside each other."""
    lines = [
        "| cell | H | dtype | target | forward: registers / spilled / shared | backward | tiles, forward |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    by_key = {row.key: row for row in found}
    for row in found:
        if row.part == "training" and (back := by_key.get((*row.key[:4], "backward"))) is not None:
            texts = [f"{each.registers} / {each.spilled} / {each.shared >> 10} KB" for each in (row, back)]
            lines.append(
                f"| {row.cell} | {row.hidden} | {row.dtype} | {row.target} | {texts[0]} | {texts[1]} | {row.way} |"
            )
    return "\n".join(lines)


def summary(found: Sequence[Row]) -> str:
    """What of them does not fit."""
    forward = [row for row in found if row.part == "training" and row.spilled]
    backward = [row for row in found if row.part == "backward" and row.spilled]
    too_much = [row for row in found if row.shared > row.limit]
    most = max((row.spilled for row in backward), default=0)
    return (
        f"{len(found)} kernels; {len(forward)} spill in forward, {len(backward)} in backward (at most {most} bytes a thread); "
        f"{len(too_much)} want more shared memory than there is"
    )
