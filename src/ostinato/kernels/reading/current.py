"""What a cell computes now: a look at the places that its step reads before every call, a new reading only where one changed."""

from __future__ import annotations

from ostinato.cells.spec import Cell
from ostinato.kernels.reading.fingerprint import Reading, read
from ostinato.kernels.reading.watch import StepWatch
from ostinato.locks import compiling

# Of one cell. Who compiles takes a second for each, so that a number which changes at every step is better not compiled in.
MOST_DIGESTS = 4
_NAME = "_readings"  # kept with the cell, as they hold it: in a table of their own they would never go


def current(cell: Cell) -> Reading:
    """The reading that holds now."""
    known: list[Reading] | None = vars(cell).get(_NAME)
    if known and (known[0].is_ours or known[0].watch.holds()):
        return known[0]
    with compiling:
        return _looked_at(cell)


def _looked_at(cell: Cell) -> Reading:
    known: list[Reading] = vars(cell).setdefault(_NAME, [])
    for reading in known:
        if reading.watch.holds():
            break
    else:
        reading = read(cell)
        for at, earlier in enumerate(known):
            if earlier.digest == reading.digest and reading.digest is not None:
                reading.kernels.update(earlier.kernels)
                del known[at]
                break
        if len({r.digest for r in known if r.digest}) >= MOST_DIGESTS and reading.digest is not None:
            return _given_up(cell, known[0].watch.changed())
    vars(cell)[_NAME] = [reading, *(r for r in known if r is not reading)][:MOST_DIGESTS]
    return reading


def check_unchanged(cell: Cell, digest: str | None, since: str) -> None:
    """Raise `RuntimeError` where a cell no longer computes what it did; `digest`: as far as it is known, or None."""
    now = current(cell).digest
    if digest is not None and (now is None or not now.startswith(digest)):
        raise RuntimeError(
            f"something that the step of cell {cell.name!r} reads outside of its arguments has changed since {since}, so that its "
            "gradient is no longer that of the step; make the change after the backward pass, and graphs anew after the change "
            "(torch.compiler.reset())"
        )


def refuse(cell: Cell, why: str) -> Reading:
    """For good: nothing outside of the step could make it another."""
    reading = Reading(None, why, StepWatch())
    vars(cell)[_NAME] = [reading]
    return reading


def _given_up(cell: Cell, names: list[str]) -> Reading:
    name = ", ".join(names) or "what the step reads"
    return refuse(
        cell,
        f"{name} changes between calls (the step reads it outside of its arguments, and is not compiled again after "
        f"{MOST_DIGESTS} times); make it a parameter of the cell",
    )
