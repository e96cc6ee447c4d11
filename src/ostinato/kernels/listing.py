"""The generated code, to be read."""

from __future__ import annotations

from ostinato.cells.spec import Cell
from ostinato.errors import ConfigError

KINDS = ("program", "llvm", "assembly")
PARTS = ("inference", "training", "backward")


def listing(cell: Cell, bias: bool, double: bool, kind: str, part: str) -> str:
    """What the compiler makes of a cell on this machine; see `ostinato.listing`.

    Args:
        cell: with its options.
        bias: whether there are `bias_ih` and `bias_hh`.
        double: float64 rather than float32.
        kind: one of `KINDS`.
        part: one of `PARTS`.

    Raises:
        ConfigError: for another kind or part, or where the compiler does not take the cell.
    """
    for what, given, known in (("kind", kind, KINDS), ("part", part, PARTS)):
        if given not in known:
            raise ConfigError(f"{what} expected one of {', '.join(known)}, got {given!r}")
    from ostinato.kernels.compiler.graph import Unsupported
    from ostinato.kernels.cpu.code.kernel import kernel

    found = kernel(cell, bias, "P" in cell.states.values(), double)
    if isinstance(found, Unsupported):
        raise ConfigError(f"there is no code for {cell.name!r}: {found}; it runs on the reference")
    return found.listing(kind, part)
