"""Errors about files of a table that cannot be read, among others that can."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from ostinato.errors import DataError

SKIP = "; --reading.skip_broken true leaves such files out"
_TOLD = 5


def told_unread(name: str, unread: Sequence[str]) -> list[str]:
    """Return a note for the user about files that are left out; no note if there are none.

    Args:
        name: The name of the data.
        unread: A line for each file, which says why it cannot be read.
    """
    if not unread:
        return []
    more = f"; and {len(unread) - _TOLD} more" if len(unread) > _TOLD else ""
    return [f"{name}: {len(unread):,} of its files cannot be read, and are left out: {'; '.join(unread[:_TOLD])}{more}"]


class BrokenFilesError(DataError):
    """Files cannot be read.

    Args:
        reasons: For each file by its name, the error and its row.
        hint: The end of the message.
    """

    def __init__(self, reasons: Mapping[str, str], hint: str = ""):
        super().__init__(next(iter(reasons.values())) + hint)
        self.reasons = dict(reasons)


class NotKeptError(DataError):
    """The result cannot be written; nothing is wrong with the files that were read."""


class Collected:
    """Collector of the errors of several files."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    @contextmanager
    def of(self, name: str) -> Generator[None]:
        """Collect a DataError in the block as the error of the file called `name`."""
        try:
            yield
        except NotKeptError:
            raise
        except DataError as error:
            self._reasons[name] = str(error)

    def tell(self) -> None:
        """Raise a `BrokenFilesError` if errors were collected."""
        if self._reasons:
            raise BrokenFilesError(self._reasons)
