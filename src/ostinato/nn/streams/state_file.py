"""Many states in one file: the sessions of a service, by name."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from ostinato.errors import StateError

APPLICATION = 0x05717A70  # the application id in the header of an SQLite file, which tells that we made it
_TABLE = (
    "CREATE TABLE IF NOT EXISTS states (name TEXT PRIMARY KEY, state BLOB NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID"
)
_PUT = "INSERT OR REPLACE INTO states VALUES (?, ?, ?)"


class StateFile(MutableMapping[str, bytes]):
    """A file of states as bytes by name, `states["ada"] = stream.state_bytes()`; it is an SQLite database.

    A state is read without the others, so that a hundred thousand of them need no memory. When `update` returns, or a `with` block
    ends, all that was put in is on the disk, or nothing if it failed; a single assignment is on the disk at once. For one thread
    and one writing process at a time.

    Args:
        path: the path of the file, which is created if it is missing.

    Raises:
        StateError: the file is something else, or cannot be opened, read or written; a state has changed since it was put in; a
            name is not a text, or a state is not bytes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self._in_block = Path(path), False
        with self._told("a file of states, or a place for one"), contextlib.ExitStack() as on_error:
            self._file = sqlite3.connect(self.path.absolute(), isolation_level=None)
            on_error.callback(self._file.close)
            tables = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables and self._file.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
                raise StateError(f"{self.path}: expected a file of states, or a place for one, got another database")
            if not tables:
                self._file.execute(f"PRAGMA application_id = {APPLICATION}")
                self._file.execute(_TABLE)
            on_error.pop_all()

    @contextlib.contextmanager
    def _told(self, expected: str = "a file of states that is open, which nobody else writes to") -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StateError(f"{self.path}: expected {expected}: {error}") from None

    def __getitem__(self, name: str) -> bytes:
        with self._told():
            row = self._file.execute("SELECT state, digest FROM states WHERE name = ?", (_name(name),)).fetchone()
        if row is None:
            raise KeyError(name)
        if row[1] != _digest(name, row[0]):
            raise StateError(f"{self.path}: expected the state of {name!r} as it was written, got one that has changed")
        return row[0]

    def __setitem__(self, name: str, state: bytes) -> None:
        with self._told():
            self._file.execute(_PUT, _row(name, state))

    def __delitem__(self, name: str) -> None:
        with self._told():
            found = self._file.execute("DELETE FROM states WHERE name = ?", (_name(name),)).rowcount
        if not found:
            raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        with self._told():
            for (name,) in self._file.execute("SELECT name FROM states ORDER BY name"):
                yield name

    def __len__(self) -> int:
        with self._told():
            return self._file.execute("SELECT count(*) FROM states").fetchone()[0]

    def update(self, states: Any = (), /, **more: bytes) -> None:
        """Put all of these states in, or none of them if it fails; arguments as those of `dict.update`."""
        pairs: Iterable[tuple[str, bytes]] = cast("Any", states).items() if isinstance(states, Mapping) else states
        rows = (_row(name, state) for given in (pairs, more.items()) for name, state in given)
        with self._told(), contextlib.nullcontext() if self._in_block else self._block():
            self._file.executemany(_PUT, rows)

    @contextlib.contextmanager
    def _block(self) -> Generator[None]:
        self._file.execute("BEGIN IMMEDIATE")
        with self._file:
            yield

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> StateFile:
        if self._in_block:
            raise StateError(f"{self.path}: expected one `with` block at a time")
        with self._told():
            self._file.execute("BEGIN IMMEDIATE")
        self._in_block = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_block = False
        with self._told(), contextlib.closing(self._file):
            self._file.execute("COMMIT" if kind is None else "ROLLBACK")


def _row(name: Any, state: Any) -> tuple[str, bytes, bytes]:
    if not isinstance(state, bytes | bytearray | memoryview):
        raise StateError(f"state of {name!r} expected bytes, from state_bytes(), got {type(state).__name__}")
    content = bytes(cast("bytes", state))
    return _name(name), content, _digest(name, content)


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise StateError(f"name expected a text, got {type(name).__name__}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise StateError(f"name expected a text that can be written, got {name!r}") from None
    return name


def _digest(name: str, state: bytes) -> bytes:
    """The digest of name and state together, so that a state stored under another name is detected too."""
    return hashlib.blake2b(
        state, digest_size=16, person=hashlib.blake2b(name.encode(), digest_size=16).digest()
    ).digest()
