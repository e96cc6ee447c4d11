"""Files among many that cannot be read: the others are, and the broken ones are told."""

from __future__ import annotations

from collections.abc import Sequence

from ostinato.errors import DataError

_TOLD = 5


def leave_out(flag: str) -> str:
    """What an error about one of many files ends with."""
    return f"; training with {flag} true leaves such files out"


def unread_note(data: object, unread: Sequence[str]) -> str:
    """What is told of files that are left out.

    Args:
        data: What they are among.
        unread: Of each, what is wrong with it; at least one.
    """
    more = f"; and {len(unread) - _TOLD} more" if len(unread) > _TOLD else ""
    return f"{data}: {len(unread):,} of its files cannot be read, and are left out: {'; '.join(unread[:_TOLD])}{more}"


def none_left(data: object, unread: Sequence[str]) -> DataError:
    """The error where no file can be read."""
    return DataError(f"{data}: none of its {len(unread):,} files can be read; the first: {unread[0]}")


def in_one_line(error: DataError) -> str:
    """What is wrong, as `unread` has it."""
    return " ".join(str(error).split())
