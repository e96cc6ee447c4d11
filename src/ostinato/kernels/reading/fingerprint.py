"""A fingerprint of what a cell computes, read from its code and all that it can reach, and the places that could change it.

A step is code, and code has no name that changes with it. So the bytecode is read, and everything that it can reach: constants,
defaults, closures, attributes, and the globals that it looks up; functions among these in the same way. The fingerprint is the same
in every process: compiled code is kept under it on disk. What is outside of the code can change while a process runs. So each place
is noted, and checked again before every call. If the step reads something that can be neither identified nor checked (a tensor, a
generator, a clock), the cell is refused; with a wrong fingerprint, other code than was written would run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from ostinato.cells.spec import Cell
from ostinato.kernels.reading.reader import Reader, Unread
from ostinato.kernels.reading.watch import StepWatch

_PASSES = 20  # at most; each pass finds the attributes that are looked up by the code which the pass before found


@dataclass(frozen=True)
class Reading:
    """What was read of one cell at one time.

    Attributes:
        digest: the digest of everything that decides what the step computes; None if part of it cannot be identified.
        refusal: what cannot be identified, in words; else None.
        watch: the places outside of the code that were read.
        is_ours: whether only code of this package was read, which does not change.
        names: the attributes that the code may look up.
        kernels: what was compiled from it, by a key of each compiler's own.
    """

    digest: str | None
    refusal: str | None
    watch: StepWatch
    is_ours: bool = False
    names: frozenset[str] = frozenset()
    kernels: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)


def read(cell: Cell) -> Reading:
    """Read a cell as it is now.

    The digest does not include the rates of noise, which reach the step through its masks only, nor file names, line numbers, and
    the versions of Python, PyTorch and this package.
    """
    names: frozenset[str] = frozenset()
    by_any_name = False
    for _ in range(_PASSES):
        reader = Reader(names, by_any_name)
        try:
            reader.value(cell, cell.name)
        except Unread as reason:
            return Reading(None, str(reason), reader.watch)
        except (RuntimeError, RecursionError) as error:  # another thread changes it, or it is endless
            return Reading(None, f"what the step reads cannot be followed ({error})", reader.watch)
        if reader.names <= names and reader.by_any_name <= by_any_name:
            digest = hashlib.sha256(b"".join(reader.written)).hexdigest()
            return Reading(digest, None, StepWatch() if reader.is_ours else reader.watch, reader.is_ours, names)
        names, by_any_name = names | reader.names, by_any_name or reader.by_any_name
    return Reading(None, "what the step reads cannot be followed", StepWatch())


def fingerprint(cell: Cell) -> str | None:
    """The digest of a cell as it is now."""
    return read(cell).digest
