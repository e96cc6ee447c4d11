"""The generated code as text, for people to read."""

from __future__ import annotations

import torch

from ostinato.cells.spec import Cell
from ostinato.errors import ConfigError

KINDS = ("program", "llvm", "assembly", "triton")
PARTS = ("inference", "training", "backward")


def listing(
    cell: Cell, bias: bool, dtype: torch.dtype, kind: str, part: str, sizes: tuple[int, int, int] = (16, 16, 0)
) -> str:
    """What the compiler makes of a cell on this machine; see `ostinato.listing`.

    Args:
        cell: the cell with its options.
        bias: whether there are `bias_ih` and `bias_hh`.
        dtype: the dtype of the parameters; machine code is for float32 or float64.
        kind: one of `KINDS`.
        part: one of `PARTS`.
        sizes: the sizes for which Triton's source is made: `I`, `H`, and `P` or 0.

    Raises:
        ConfigError: for another kind or part, or if the compiler does not take the cell.
    """
    for what, given, known in (("kind", kind, KINDS), ("part", part, PARTS)):
        if given not in known:
            raise ConfigError(f"{what} expected one of {', '.join(known)}, got {given!r}")
    from ostinato.kernels.compiler.graph import Unsupported

    if kind == "triton":
        from ostinato.kernels.gpu.run.shown import source

        return source(cell, bias, dtype, part, sizes)
    from ostinato.kernels.cpu.code.kernel import kernel

    found = kernel(cell, bias, "P" in cell.states.values(), dtype is torch.float64)
    if isinstance(found, Unsupported):
        raise ConfigError(f"there is no code for {cell.name!r}: {found}; it runs on the reference")
    return found.listing(kind, part)
