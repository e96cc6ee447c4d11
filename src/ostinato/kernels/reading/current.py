"""What a cell computes now: before every call the places that its step reads are checked; after a change it is read again."""

from __future__ import annotations

from ostinato.cells.spec import Cell
from ostinato.kernels.reading.fingerprint import Reading, read
from ostinato.kernels.reading.watch import StepWatch
from ostinato.locks import compiling

# The most digests of one cell. Each costs a second to compile, so a number that changes at every step should not be compiled in.
MOST_DIGESTS = 4
_NAME = "_readings"  # stored on the cell: readings refer to it, and a global table would keep both alive


def current(cell: Cell) -> Reading:
    """The reading of a cell that holds now."""
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
    """Raise `RuntimeError` if a cell no longer computes what it did.

    Args:
        cell: the cell.
        digest: the digest of what it computed, or the beginning of it; None to check nothing.
        since: what happened then, for the message.
    """
    now = current(cell).digest
    if digest is not None and (now is None or not now.startswith(digest)):
        raise RuntimeError(
            f"something that the step of cell {cell.name!r} reads outside of its arguments has changed since {since}, so that its "
            "gradient is no longer that of the step; make the change after the backward pass, and graphs anew after the change "
            "(torch.compiler.reset())"
        )


def refuse(cell: Cell, why: str) -> Reading:
    """Refuse a cell for good, whatever changes outside of its step."""
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
