"""One file of sessions, one server."""

from __future__ import annotations

from pathlib import Path

from ostinato.errors import OstinatoError, StateError
from ostinato.training.run.lock import Lock


class FileLock(Lock):
    """Held as long as a server keeps its sessions in a file: another one would write over them.

    The processes of a server share it, as whoever inherits the descriptor holds it too.

    Args:
        sessions: the file of sessions; the lock lies beside it.
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
        """Takes the lock.

        Raises:
            StateError: another server has it, or the file cannot be written.
        """
        try:
            super().__enter__()
        except OSError as error:
            raise StateError(f"{self.path}: expected a place for a lock: {error.strerror or error}") from None
        return self

    def fileno(self) -> int:
        """The descriptor, while it is held."""
        assert self._file is not None
        return self._file


def is_remote(where: str | None) -> bool:
    """Whether sessions are kept by a server that others reach too."""
    return where is not None and where.startswith(("redis://", "rediss://", "unix://"))


def lock_of(where: str | None) -> FileLock | None:
    """Of the place of sessions; None where servers may share it, or where there is none."""
    if where is None or is_remote(where):
        return None
    return FileLock(where.removeprefix("sqlite://"))
