"""What a cell computes, read from its code and all that it can reach: a name for it, and where to look whether that still holds.

A step is code, and code has no name that changes with it. So the bytecode is read, and everything that it can reach: constants,
defaults, closures, attributes, and those globals that it looks up, functions among them in the same way. The name, a fingerprint,
is the same in every process: compiled code is kept under it on disk. What lies outside of the code can change while a process runs.
So each place is written down, to be looked at again before every call. What can be neither identified nor looked at (a tensor, a
generator, a clock) refuses the cell; a wrong fingerprint would run other code than was written.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from ostinato.cells.spec import Cell
from ostinato.kernels.reading.reader import Reader, Unread
from ostinato.kernels.reading.watch import StepWatch

_PASSES = 20  # each finds the attributes that the code found by the one before looks up


@dataclass(frozen=True)
class Reading:
    """Of one cell at one time.

    Attributes:
        digest: of everything that decides what the step computes, or None where something of it cannot be identified.
        refusal: what that is, in words; else None.
        watch: the places outside of the code that were read.
        is_ours: nothing but code of this package was read, which does not change.
        names: attributes that the code may look up.
        kernels: what was compiled of it, by whoever compiles.
    """

    digest: str | None
    refusal: str | None
    watch: StepWatch
    is_ours: bool = False
    names: frozenset[str] = frozenset()
    kernels: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)


def read(cell: Cell) -> Reading:
    """Read a cell as it is now.

    The rates of noise are no part of the digest, as they reach the step through its masks alone; nor are files, line numbers, and
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
        except (RuntimeError, RecursionError) as error:  # another thread changes what is read, or it is endless
            return Reading(None, f"what the step reads cannot be followed ({error})", reader.watch)
        if reader.names <= names and reader.by_any_name <= by_any_name:
            digest = hashlib.sha256(b"".join(reader.written)).hexdigest()
            return Reading(digest, None, StepWatch() if reader.is_ours else reader.watch, reader.is_ours, names)
        names, by_any_name = names | reader.names, by_any_name or reader.by_any_name
    return Reading(None, "what the step reads cannot be followed", StepWatch())


def fingerprint(cell: Cell) -> str | None:
    """The digest alone."""
    return read(cell).digest
