"""Messages about files that cannot be read, among others that can."""

from __future__ import annotations

from collections.abc import Sequence

from ostinato.errors import DataError

_TOLD = 5


def leave_out(flag: str) -> str:
    """Return the end of an error about one of many files."""
    return f"; training with {flag} true leaves such files out"


def unread_note(data: object, unread: Sequence[str]) -> str:
    """Return a note about files that are left out.

    Args:
        data: The data that they belong to.
        unread: The error of each file; at least one.
    """
    more = f"; and {len(unread) - _TOLD} more" if len(unread) > _TOLD else ""
    return f"{data}: {len(unread):,} of its files cannot be read, and are left out: {'; '.join(unread[:_TOLD])}{more}"


def none_left(data: object, unread: Sequence[str]) -> DataError:
    """Make the error for data of which no file can be read."""
    return DataError(f"{data}: none of its {len(unread):,} files can be read; the first: {unread[0]}")


def in_one_line(error: DataError) -> str:
    """Return the message of an error in one line, as in `unread`."""
    return " ".join(str(error).split())
