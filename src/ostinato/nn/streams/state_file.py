"""Many states in one file: the sessions of a service, by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from types import TracebackType

from ostinato.errors import StateError

_TABLE = "CREATE TABLE IF NOT EXISTS states (name TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID"


class StateFile(MutableMapping[str, bytes]):
    """The bytes of states by name, `states["ada"] = stream.state_bytes()`, in a file; an SQLite database.

    Any one is read without the others, so that a hundred thousand of them need no memory. What was put in is on the disk when
    `update` returns, or the `with` block ends, all of it or nothing; a single assignment is on the disk at once.

    Args:
        path: of the file; made where it is missing.

    Raises:
        StateError: the file is something else, or cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = sqlite3.connect(self.path, isolation_level=None)
            self._file.execute(_TABLE)
        except sqlite3.Error as error:
            raise StateError(f"{self.path}: expected a file of states, or a place for one: {error}") from None

    def __getitem__(self, name: str) -> bytes:
        row = self._file.execute("SELECT state FROM states WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise KeyError(name)
        return row[0]

    def __setitem__(self, name: str, state: bytes) -> None:
        self._file.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (name, state))

    def __delitem__(self, name: str) -> None:
        if not self._file.execute("DELETE FROM states WHERE name = ?", (name,)).rowcount:
            raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for (name,) in self._file.execute("SELECT name FROM states ORDER BY name"))

    def __len__(self) -> int:
        return self._file.execute("SELECT count(*) FROM states").fetchone()[0]

    def update(self, states: Mapping[str, bytes]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Put all of these in, or nothing where it fails."""
        command = "INSERT OR REPLACE INTO states VALUES (?, ?)"
        if self._file.in_transaction:  # of a `with` block
            self._file.executemany(command, states.items())
            return
        self._file.execute("BEGIN")
        with self._file:
            self._file.executemany(command, states.items())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> StateFile:
        self._file.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.execute("COMMIT" if kind is None else "ROLLBACK")
        self.close()
