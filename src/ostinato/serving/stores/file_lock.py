"""The lock by which only one server uses a file of sessions."""

from __future__ import annotations

from pathlib import Path

from ostinato.errors import OstinatoError, StateError
from ostinato.training.run.lock import Lock


class FileLock(Lock):
    """The lock that a server holds while it uses a file of sessions, because another one would overwrite them.

    The processes of a server share it, because a process that inherits the descriptor holds the lock too.

    Args:
        sessions: the file of sessions; the file of the lock is beside it.
    """

    def __init__(self, sessions: str | Path):
        file = Path(sessions).resolve()
        super().__init__(file.with_name(f"{file.name}.lock"))
        self._sessions = sessions

    def refused(self, who: str) -> OstinatoError:
        """See `Lock`."""
        return StateError(
            f"{self._sessions}: expected a file of sessions that no server uses, got one that another server{who} has; stop that "
            "one, choose another --sessions, or share them by --sessions redis://..."
        )

    def __enter__(self) -> FileLock:
        """Take the lock.

        Raises:
            StateError: another server has it, or the file cannot be written.
        """
        try:
            super().__enter__()
        except OSError as error:
            raise StateError(f"{self.path}: expected a place for a lock: {error.strerror or error}") from None
        return self

    def fileno(self) -> int:
        """Return the descriptor of the held lock."""
        assert self._file is not None
        return self._file


def is_remote(where: str | None) -> bool:
    """Tell whether sessions are stored in a server, which other processes reach too."""
    return where is not None and where.startswith(("redis://", "rediss://", "unix://"))


def lock_of(where: str | None) -> FileLock | None:
    """Return the lock for the place of sessions; None if servers may share it, or if there is none."""
    if where is None or is_remote(where):
        return None
    return FileLock(where.removeprefix("sqlite://"))
