"""Sessions in a file: SQLite with a write-ahead log."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from ostinato.errors import StateError
from ostinato.serving.stores.record import HEAD, SIGNATURE, Record, sound
from ostinato.serving.stores.store import Asked, Lease

APPLICATION = 0x05717A73  # identifies the program in the header of a SQLite file
_TABLE = (
    """CREATE TABLE sessions (
        model TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, step INTEGER NOT NULL, created REAL NOT NULL,
        used REAL NOT NULL, expires REAL, version INTEGER NOT NULL, lease TEXT, until REAL NOT NULL DEFAULT 0,
        body BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX by_id ON sessions (model, id)",
    "CREATE INDEX by_owner ON sessions (model, owner, id)",
    "CREATE INDEX by_expiry ON sessions (expires) WHERE expires IS NOT NULL",
)
_HEAD = "id, owner, step, created, used, expires, version"
_PUT = (
    "INSERT INTO sessions (model, id, owner, step, created, used, expires, version, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (model, id) DO UPDATE SET owner = excluded.owner, step = excluded.step, created = excluded.created, "
    "used = excluded.used, expires = excluded.expires, version = excluded.version, body = excluded.body"
)
_COMMIT = (
    "UPDATE sessions SET step = ?, used = ?, expires = ?, version = ?, body = ?, "
    "lease = CASE WHEN ? THEN lease END, until = until * ? "
    "WHERE model = ? AND id = ? AND lease = ? AND version = ?"
)


class SqliteStore:
    """See `Store`.

    Args:
        path: the path of the file, which is made if it does not exist.
        full: wait for the disk whenever states are stored, so that a loss of power loses nothing either; if not, a
            killed process still loses nothing, but a loss of power the last moments.
        clock: returns Unix seconds.

    Raises:
        StateError: the file is something else, or cannot be opened.
    """

    def __init__(self, path: str | Path, *, full: bool = True, clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock, self._full = Path(path), clock, full
        try:
            self._file = sqlite3.connect(
                self.path.absolute(), isolation_level=None, timeout=30.0, check_same_thread=False
            )
            with contextlib.ExitStack() as on_error:
                on_error.callback(self._file.close)
                self._begin(path)
                on_error.pop_all()
        except sqlite3.Error as error:
            raise StateError(f"{path}: expected a file of sessions, or a place for one: {error}") from None

    def _begin(self, path: str | Path) -> None:
        self._file.execute("PRAGMA page_size = 4096")
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")
        self._file.execute("BEGIN IMMEDIATE")
        with self._file:
            tables = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            mark = self._file.execute("PRAGMA application_id").fetchone()[0]
            if tables and mark != APPLICATION:
                raise StateError(f"{path}: expected a file of sessions, or a place for one, got another database")
            if not tables:
                self._file.execute(f"PRAGMA application_id = {APPLICATION}")
                for line in _TABLE:
                    self._file.execute(line)

    def put(self, records: Sequence[tuple[str, Record]]) -> None:
        """See `Store`."""
        with self._block(keeps=True):
            self._file.executemany(
                _PUT, ((m, r.id, r.owner, r.step, r.created, r.used, r.expires, r.version, r.body) for m, r in records)
            )

    def get(self, names: Sequence[tuple[str, str]]) -> list[Record | None]:
        """See `Store`."""
        return [self._one(model, id) for model, id in names]

    def _one(self, model: str, id: str, columns: str = f"{_HEAD}, body") -> Record | None:
        found = self._file.execute(f"SELECT {columns} FROM sessions WHERE model = ? AND id = ?", (model, id)).fetchone()
        return None if found is None else sound(Record(*found))

    def drop(self, names: Sequence[tuple[str, str]]) -> None:
        """See `Store`."""
        with self._block(keeps=True):
            self._file.executemany("DELETE FROM sessions WHERE model = ? AND id = ?", names)

    def heads(self, model: str, owner: str, limit: int, after: str, now: float | None = None) -> list[Record]:
        """See `Store`."""
        rows = self._file.execute(
            f"SELECT {_HEAD}, substr(body, 1, {HEAD}) FROM sessions WHERE model = ? AND owner = ? AND id > ? "
            "AND (expires IS NULL OR expires > ?) ORDER BY id LIMIT ?",
            (model, owner, after, self._clock() if now is None else now, limit),
        )
        return [sound(Record(*row)) for row in rows]

    def count(self, model: str) -> int:
        """See `Store`."""
        return self._file.execute("SELECT count(*) FROM sessions WHERE model = ?", (model,)).fetchone()[0]

    def sweep(self, now: float, spared: Collection[tuple[str, str]] = ()) -> int:
        """See `Store`."""
        with self._block():
            over = self._file.execute(
                "SELECT model, id FROM sessions WHERE expires <= ? AND until <= ?", (now, now)
            ).fetchall()
            return self._file.executemany(
                "DELETE FROM sessions WHERE model = ? AND id = ?", [each for each in over if each not in spared]
            ).rowcount

    def retire(self, model: str, signature: bytes, at: float) -> None:
        """See `Store`."""
        with self._block():
            self._file.execute(
                "UPDATE sessions SET expires = min(coalesce(expires, ?), ?) "
                f"WHERE model = ? AND substr(body, {HEAD - SIGNATURE + 1}, {SIGNATURE}) != ?",
                (at, at, model, signature),
            )

    def acquire(self, asked: Sequence[Asked]) -> list[Lease]:
        """See `Store`."""
        now = self._clock()
        found: list[Lease] = []
        with self._block():
            for each in asked:
                taken = self._file.execute(
                    "UPDATE sessions SET lease = ?, until = ? WHERE model = ? AND id = ? "
                    "AND (lease IS NULL OR lease = ? OR until <= ?)",
                    (each.token, now + each.seconds, each.model, each.id, each.token, now),
                ).rowcount
                head = self._one(each.model, each.id, _HEAD)
                if head is None or not taken:
                    found.append(Lease(False, head is not None, None))
                elif head.version == each.version:
                    found.append(Lease(True, True, head))
                else:
                    found.append(Lease(True, True, self._one(each.model, each.id)))
        return found

    def commit(self, given: Sequence[tuple[str, str, Record]]) -> list[bool]:
        """See `Store`."""
        return self._change(given, goes_on=False)

    def hold(self, given: Sequence[tuple[str, str, Record]]) -> list[bool]:
        """See `Store`."""
        return self._change(given, goes_on=True)

    def _change(self, given: Sequence[tuple[str, str, Record]], *, goes_on: bool) -> list[bool]:
        with self._block(keeps=True):
            return [
                self._file.execute(
                    _COMMIT,
                    (r.step, r.used, r.expires, r.version, r.body, goes_on, goes_on, model, r.id, token, r.version - 1),
                ).rowcount
                == 1
                for model, token, r in given
            ]

    def renew(self, held: Sequence[Asked]) -> list[bool]:
        """See `Store`."""
        now = self._clock()
        with self._block():
            return [
                self._file.execute(
                    "UPDATE sessions SET until = ? WHERE model = ? AND id = ? AND lease = ?",
                    (now + each.seconds, each.model, each.id, each.token),
                ).rowcount
                == 1
                for each in held
            ]

    def release(self, held: Sequence[tuple[str, str, str]]) -> None:
        """See `Store`."""
        with self._block():
            self._file.executemany(
                "UPDATE sessions SET lease = NULL, until = 0 WHERE model = ? AND id = ? AND lease = ?", held
            )

    def ping(self) -> None:
        """See `Store`."""
        self._file.execute("SELECT 1").fetchone()

    def close(self) -> None:
        """Close the file, which merges the write-ahead log into it."""
        self._file.close()

    def _block(self, *, keeps: bool = False) -> Any:
        """Begin a transaction; it waits for the disk only if it `keeps` states: a lease may be lost with the power."""
        if self._full:
            self._file.execute(f"PRAGMA synchronous = {'FULL' if keeps else 'NORMAL'}")
        self._file.execute("BEGIN IMMEDIATE")
        return self._file
