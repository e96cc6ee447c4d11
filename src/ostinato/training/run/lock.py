"""A lock on a file, so that only one process at a time writes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from ostinato.errors import OstinatoError, RunError

if sys.platform != "win32":
    import fcntl


class Lock:
    """A lock that one process at a time holds inside its `with` block; the kernel frees it when the process ends, however it ends.

    It works on local file systems, and on network file systems that support `flock`; it does nothing on Windows. The file stays
    behind, which means nothing.

    Args:
        path: the file to lock; its folder must exist.
        name: a name that the processes of one launch share. A process may take the lock from another one of the same name, which it
            replaces: that one may be stopped or cut off and would hold the lock for ever. See `is_held`.
    """

    def __init__(self, path: Path, name: str | None = None):
        self.path, self.name = path, name
        self._file: int | None = None

    def __enter__(self) -> Lock:
        """Take the lock.

        Raises:
            OstinatoError: another process, or another lock of this one, holds it; see `refused`.
            OSError: the file cannot be written.
        """
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._take(file)
                if _is(file, self.path):
                    self._file = file
                    return self
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # another process has removed the file in the meantime: try again

    def is_held(self) -> bool:
        """Whether this process still holds the lock: another one of the same name may have taken it."""
        return self._file is not None and _is(self._file, self.path)

    def refused(self, who: str) -> OstinatoError:
        """The error to raise if another process holds the lock; `who` is empty or names that process."""
        return RunError(
            f"another run{who} is at work in {self.path.parent.parent}; wait for its end, or choose another --run"
        )

    def _take(self, file: int) -> None:
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder, _, name = os.read(file, 1000).decode(errors="replace").strip().partition("\n")
            if self.name is not None and name == self.name:
                self.path.unlink(missing_ok=True)  # the next try makes a new file of this path, which nobody holds
                return
            who = f" (process {holder})" if holder else ""
            raise self.refused(who) from None
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()} on {os.uname().nodename}\n{self.name or ''}\n".encode())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _is(file: int, path: Path) -> bool:
    try:
        now = os.open(path, os.O_RDONLY)  # opening it makes a network file system ask its server again
    except FileNotFoundError:
        return False
    try:
        return os.path.samestat(os.fstat(file), os.fstat(now))
    finally:
        os.close(now)
