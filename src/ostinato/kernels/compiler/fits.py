"""At which sizes the code of a step holds, and what a user's step looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ostinato.cells.spec import Cell
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.reading.current import refuse
from ostinato.kernels.reading.fingerprint import Reading
from ostinato.kernels.request import Request

if TYPE_CHECKING:
    from ostinato.kernels.compiler.observed import Observed


def too_few(least: Mapping[str, int], widths: Mapping[str, int]) -> str | None:
    """Why code does not hold at these numbers of units; None if it does.

    Args:
        least: for some letters, the least number of units, as the step takes units by their numbers.
        widths: the width of each letter.
    """
    for letter, count in least.items():
        if widths[letter] < count:
            has = widths[letter]
            return f"the step takes units by numbers that {letter} = {has} has not: its code is for {letter} from {count} on"
    return None


def observed(cell: Cell, bias: bool, projected: bool, reading: Reading) -> Observed:
    """Run a user's step to see what it looks at, and whether it changes what it reads.

    Raises:
        Unsupported: if the step does something that the compiler cannot follow.
    """
    from ostinato.kernels.compiler.observed import Observed

    key = ("observed", bias, projected)
    if (found := reading.kernels.get(key)) is None:
        found = Observed(cell, bias, projected, reading.names)
        if not reading.watch.holds():
            names = ", ".join(reading.watch.changed()) or "what it reads"
            why = f"the step changes {names}; return what it remembers as a state"
            refuse(cell, why)
            raise Unsupported(why)
        reading.kernels[key] = found
    return found


def sizes_of_request(request: Request) -> tuple[int, int, int]:
    """The sizes of a request: `I`, `H`, and `P` (0 without a projection)."""
    cell, weight = request.cell, request.weights.ih
    projected = getattr(request.first, cell.output).shape[-1] if "P" in cell.states.values() else 0
    return weight.shape[1], weight.shape[0] // len(cell.input_gates), projected


def too_few_of_request(least: Mapping[str, int], request: Request) -> str | None:
    """`too_few` at the sizes of a request."""
    return too_few(least, request.cell.widths_at(*sizes_of_request(request)).every()) if least else None


def reason_at_sizes(observed: Observed, request: Request) -> str | None:
    """Why a compiled step does not hold at the sizes of a request; None if it does."""
    if observed.where is None:
        return None
    cell, rows = request.cell, request.input.shape[1]
    if request.packed and request.lengths is not None:
        rows = len(request.lengths)
    inputs, hidden, _ = sizes_of_request(request)
    sizes = rows, inputs, hidden, getattr(request.first, cell.output).shape[1]
    if not all(type(size) is int for size in sizes):
        return unknown_sizes(observed.where)
    return observed.differs(*sizes)


def unknown_sizes(where: str) -> str:
    """The reason why a graph may not hold a step that looks at a size; `where` is the line that does."""
    return f"the step looks at a size ({where}), and a graph holds for sizes that are not known yet"
