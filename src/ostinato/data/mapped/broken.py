"""Files of a table that cannot be read, among others that can."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from ostinato.errors import DataError

SKIP = "; --reading.skip_broken true leaves such files out"
_TOLD = 5


def told_unread(name: str, unread: Sequence[str]) -> list[str]:
    """What a user should know of files that are left out, of which each line says why; nothing where there are none.

    Args:
        name: Of the data.
        unread: A line for each.
    """
    if not unread:
        return []
    more = f"; and {len(unread) - _TOLD} more" if len(unread) > _TOLD else ""
    return [f"{name}: {len(unread):,} of its files cannot be read, and are left out: {'; '.join(unread[:_TOLD])}{more}"]


class BrokenFilesError(DataError):
    """Files that are not what they should be.

    Args:
        reasons: Of each by its name, what is wrong with it and in which row.
        hint: What else the message says.
    """

    def __init__(self, reasons: Mapping[str, str], hint: str = ""):
        super().__init__(next(iter(reasons.values())) + hint)
        self.reasons = dict(reasons)


class NotKeptError(DataError):
    """What was read cannot be written: nothing is wrong with the files."""


class Collected:
    """What is wrong with files, one after the other."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    @contextmanager
    def of(self, name: str) -> Generator[None]:
        """What the block finds wrong is about this file."""
        try:
            yield
        except NotKeptError:
            raise
        except DataError as error:
            self._reasons[name] = str(error)

    def tell(self) -> None:
        """Raises `BrokenFilesError` where there are some."""
        if self._reasons:
            raise BrokenFilesError(self._reasons)
